//! Lines never reached because of earlier ones, and listeners that are not what they seem.

use super::blocks::{case_of, is_pass, location};
use super::location_conflicts::is_restricted;
use super::paths::literal_start;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use super::shadowed_regexes::{self, Sampled, Subject};
use crate::config::ast::{Directive, Word};
use crate::config::pattern::Case;
use crate::config::value::Size;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W110",
        title: "a regex location that is never tried",
        page: "A `^~` prefix keeps URIs from all regexes, and of the regexes the first that matches is taken. A regex whose \
               URIs all begin with such a prefix, or end with what an earlier regex matches, is never reached. Put the \
               special one first, or nest it in the prefix location.",
        about: &["location"],
        check: unreached,
    },
    Rule {
        code: "W111",
        title: "access rules after one that applies to everyone",
        page: "`allow` and `deny` are tried in their order and the first that matches decides: what stands behind \
               `allow all` or `deny all` in the same block has no effect.",
        about: &["allow", "deny"],
        check: behind_all,
    },
    Rule {
        code: "W112",
        title: "a listener whose port suggests another protocol",
        page: "A listener on 443 without `ssl` (on any `listen` of that address) speaks plain HTTP, so browsers show an error; \
               one on 80 with `ssl` answers plain requests with 400. Add the parameter, or leave it out.",
        about: &["listen"],
        check: listener,
    },
    Rule {
        code: "W113",
        title: "error_log off, and access_log on, are files",
        page: "`error_log off` writes to a file called \"off\" (nginx), `access_log on` to one called \"on\". \
               `error_log /dev/null crit;` is the way to be rid of the \
               lines; better is a level that leaves out what does not matter.",
        about: &["access_log", "error_log"],
        check: log_off,
    },
    Rule {
        code: "W203",
        title: "a quota that one client can fill",
        page: "`upload_quota` bounds the area, and with `client_max_body_size 0` and no `upload_max_file_size` nothing bounds \
               one request: the first large upload takes all the room. Give one of them.",
        about: &["allowed_methods", "upload_store", "upload_quota"],
        check: unbounded,
    },
    Rule {
        code: "W204",
        title: "a Content-Security-Policy that does not apply to the listing",
        page: "The listing page has a strict policy of its own, by hash, and is sent with that one alone: a site's would take \
               its style and its scripts away. What `add_header` says here holds for files, not for the listing. Give the \
               listing a location of its own if that is not meant.",
        about: &["autoindex_format", "autoindex_upload"],
        check: policy,
    },
    Rule {
        code: "W205",
        title: "a status page that anyone can read",
        page: "`stub_status` and `status` show how busy the server is, `api` and `prometheus` also the names and addresses of \
               servers and upstreams. Add `allow 127.0.0.1; deny all;`, or a password.",
        about: &["stub_status", "status", "api", "prometheus"],
        check: super::access::open_status,
    },
    Rule {
        code: "W206",
        title: "uploaded pages are shown as the site's own",
        page: "With `upload_serve inline` an HTML or SVG file that a client stored runs its scripts in the site's name, and \
               reads what its visitors may read. Leave the default, `attachment`, or serve uploads from a host of their own.",
        about: &["upload_serve"],
        check: shown_inline,
    },
];

/// Reports once per block, at its first location.
fn unreached(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if !cx.is_first("location") {
        return;
    }
    let locations = || level.all.iter().filter_map(|d| Some((d, location(d)?)));
    let finals: Vec<(&Directive, String)> = locations()
        .filter(|(_, (modifier, _))| *modifier == b"^~")
        .map(|(d, (_, name))| (d, name.str().into_owned()))
        .collect();
    let has_longer = level.location_names().any(|name| name.len() > 1 && name.starts_with(b"/"));
    let mut earlier: Vec<(&Directive, Sampled)> = Vec::new();
    for (d, (modifier, name)) in locations().filter(|(_, (modifier, _))| modifier.starts_with(b"~")).take(COMPARED) {
        let regex = name.str().into_owned();
        let prefix = literal_start(&regex).filter(|_| modifier == b"~");
        let caught = prefix.and_then(|start| finals.iter().find(|(_, prefix)| start.starts_with(prefix.as_str())));
        // `^~ /` keeps all paths from regexes, except below longer prefixes.
        let caught = caught.or_else(|| finals.iter().find(|(_, prefix)| prefix == "/" && !has_longer));
        // Another rule reports what follows a location that takes everything.
        let is_behind_all = level.catch_all().is_some_and(|first| level.all[first].span.start < d.span.start);
        let sample = |case| Sampled::new(name.bytes(), case, Subject::Path);
        let sampled = sample(case_of(modifier));
        let taken =
            sampled.as_ref().filter(|_| !is_behind_all).and_then(|own| shadowed_regexes::shadowing(&earlier, own));
        // What is refused in any case is asked for as it is written: `~ \.php$` before `~* \.php$ { deny all; }`.
        let open = || {
            let is_refusal = modifier == b"~*" && !is_behind_all && is_restricted(d);
            shadowed_regexes::shadowing(&earlier, &is_refusal.then(|| sample(Case::Sensitive)).flatten()?)
        };
        if let Some((by, prefix)) = caught {
            let what = format!("never tried: `^~ {prefix}` keeps what begins so from regexes");
            let help = "write it inside that location, or leave ^~ out there";
            found.push(Finding::new(d.args_span(), what, help).note(by.args_span(), "the prefix"));
        } else if let Some(by) =
            taken.or_else(open).filter(|by| !(is_same(by, d) || is_restricted(by) && is_restricted(d)))
        {
            let help = "put it before the general one";
            let what = "never taken: an earlier regex matches all that this one does";
            found.push(Finding::new(d.args_span(), what, help).note(by.args_span(), "the one that is taken"));
        }
        earlier.extend(sampled.map(|sampled| (d, sampled)));
    }
}

/// Another rule reports identical regexes.
fn is_same(one: &Directive, other: &Directive) -> bool {
    location(one).map(|(_, name)| name.bytes()) == location(other).map(|(_, name)| name.bytes())
}

fn behind_all(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("allow") && !cx.is("deny") {
        return;
    }
    // Report once per block: the first rule that follows.
    let level = cx.level();
    if let Some(finding) = behind_all_addresses(cx) {
        return found.push(finding);
    }
    let Some((by, _)) = level.rule_behind_all().filter(|(_, behind)| *behind == cx.at) else { return };
    let what = "never asked: the rule before it decides for everyone";
    let help = "put it above, or remove it";
    found.push(Finding::new(cx.d.span, what, help).note(level.all[by].span, "that rule"));
}

/// `allow 0.0.0.0/0; deny all;` where clients of IPv4 only come in.
fn behind_all_addresses(cx: &RuleContext) -> Option<Finding> {
    let first = cx.level().first_of("allow").filter(|d| d.says("0.0.0.0/0") && cx.is_first("deny"))?;
    let is_behind = first.span.file == cx.d.span.file && first.span.start < cx.d.span.start;
    // A client of a socket has no address.
    let has_ipv6 = |d: &&Directive| {
        let others = [&b"["[..], b"unix:", b"localhost"];
        d.args.first().is_some_and(|word| others.iter().any(|start| word.bytes().starts_with(start)))
    };
    let server = cx.inside("server").filter(|_| is_behind)?;
    if server.named("listen").iter().any(has_ipv6) || server.has("include") {
        return None;
    }
    let message = "never asked: 0.0.0.0/0 is every client of this server";
    Some(Finding::new(cx.d.span, message, "allow the networks that are meant").note(first.span, "that rule"))
}

fn listener(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("listen") {
        return;
    }
    let Some(address) = cx.d.args.first() else { return };
    let text = address.str();
    let port = text.rsplit(':').next().unwrap_or_default();
    let has = |d: &Directive, word: &str| d.args.iter().any(|arg| arg.is(word));
    let is_ssl = has(cx.d, "ssl");
    // `ssl on`, or `ssl` at another `listen` of the address, enables TLS.
    let is_turned_on = || cx.ssl().is_some_and(|d| has(d, "on")) || cx.shares_tls(cx.d);
    if port == "443" && !is_ssl && !has(cx.d, "quic") && !is_turned_on() {
        found.push(Finding::new(
            address.span,
            "port 443 without ssl speaks plain HTTP",
            "write: listen 443 ssl; with a certificate",
        ));
    }
    if port == "80" && is_ssl {
        found.push(Finding::new(
            address.span,
            "port 80 with ssl: browsers speak plain HTTP there",
            "write: listen 443 ssl;",
        ));
    }
}

fn log_off(cx: &RuleContext, found: &mut Vec<Finding>) {
    let switch = |word: &&Word| ["on", "true", "yes"].iter().any(|switch| word.is(switch));
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("access_log") && switch(word)) {
        found.push(Finding::new(
            word.span,
            format!("this writes to a file called \"{}\"", word.str()),
            "access_log names a file: access_log logs/access.log;",
        ));
    }
    let off = |word: &&Word| ["of", "offf", "none", "disabled", "false", "no"].iter().any(|off| word.is(off));
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("access_log") && off(word)) {
        found.push(Finding::new(
            word.span,
            format!("this writes to a file called \"{}\"", word.str()),
            "did you mean \"off\"? access_log off; writes none",
        ));
    }
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("error_log") && word.is("off")) {
        found.push(Finding::new(
            word.span,
            "this writes to a file called \"off\"",
            "error_log /dev/null crit; drops the lines",
        ));
    }
}

/// The innermost first directive of this name in the enclosing blocks.
fn nearest<'a>(cx: &RuleContext<'_, 'a>, name: &str) -> Option<&'a Directive> {
    cx.levels.iter().rev().find_map(|level| level.all.get(level.first(name)?))
}

fn shown_inline(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("upload_serve") && cx.d.says("inline") {
        let what = "scripts in uploaded pages run in this site's name";
        found.push(Finding::new(cx.d.args_span(), what, "leave the line out: uploads are sent as attachments"));
    }
}

fn unbounded(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_on = |d: &Directive| !d.says("off");
    let writes = cx.is("allowed_methods") && cx.d.args.iter().any(|word| word.is("PUT") || word.is("POST"));
    let is_other = || cx.level().has("upload_store") || cx.level().all.iter().any(|d| is_pass(&d.name.str()));
    if cx.is("upload_store") && is_on(cx.d) || writes && !is_other() {
        let is_open = nearest(cx, "client_max_body_size").is_some_and(|d| d.says("0"));
        let bounds = ["upload_max_file_size", "upload_quota", "upload_min_free"];
        if is_open && bounds.iter().all(|name| nearest(cx, name).is_none()) {
            let what = "one upload may fill the disk: client_max_body_size is 0, and nothing else bounds it";
            found.push(Finding::new(cx.d.span, what, "upload_max_file_size 1g; or upload_quota 10g;"));
        }
        return;
    }
    if !cx.is("upload_quota") || cx.d.says("off") {
        return;
    }
    if nearest(cx, "upload_max_file_size").is_some() {
        return;
    }
    let size = |d: &Directive| Some(Size::parse_offset(d.args.first()?.bytes()).ok()?.0);
    let Some(body) = nearest(cx, "client_max_body_size") else { return };
    let (most, quota) = (size(body), size(cx.d));
    if most == Some(0) {
        let what =
            "one upload may take the whole quota: client_max_body_size is 0 and there is no upload_max_file_size";
        found.push(Finding::new(cx.d.span, what, "upload_max_file_size 1g;"));
    } else if quota.is_some() && most >= quota {
        let what = "one upload may take the whole quota: client_max_body_size is no smaller";
        let finding = Finding::new(cx.d.span, what, "write a smaller client_max_body_size, or upload_max_file_size");
        found.push(finding.note(body.span, "it is"));
    }
}

fn policy(cx: &RuleContext, found: &mut Vec<Finding>) {
    let shows = cx.is("autoindex_format") && cx.d.says("page") || cx.is("autoindex_upload") && cx.d.says("on");
    if !shows {
        return;
    }
    // add_header of the innermost block that has any.
    let level = cx.levels.iter().rev().find(|level| level.has("add_header"));
    let policy = level.and_then(|level| level.field("content-security-policy"));
    let is_strict = |d: &&Directive| d.args.get(1).is_some_and(|word| !word.str().contains("-inline'"));
    if let Some(policy) = policy.filter(is_strict) {
        let what = "the listing is sent with a Content-Security-Policy of its own, not with this site's";
        let help = "give the listing a location of its own, with add_header lines without it";
        found.push(Finding::new(cx.d.span, what, help).note(policy.span, "that policy"));
    }
}
