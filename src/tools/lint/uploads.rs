//! Areas that clients can write to.

use super::blocks::{authenticates, location, runs_files};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::settings::client::ClientSettings;
use crate::config::suggest;
use crate::config::syntax;
use crate::config::value::{Millis, Size};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W201",
        title: "anyone may write here",
        page: "The location takes uploads or deletes files, and nothing in it or around it asks who the client is. Add \
               `auth_basic`, or `allow` and `deny`, or `limit_except`.",
        about: &["location"],
        check: open_to_all,
    },
    Rule {
        code: "W202",
        title: "uploaded files can be run",
        page: "A regex location passes scripts of the whole server to an application, those that visitors upload \
               included. Write the upload area as `location ^~ …`, so that no regex takes its files.",
        about: &["location"],
        check: uploads_run,
    },
    Rule {
        code: "W216",
        title: "files larger than a request may be",
        page: "`client_max_body_size` limits the request, to 1 MiB by default. A file larger than that is answered with 413 \
               before `upload_max_file_size` counts, unless it is sent in parts (`upload_resumable`). Raise both.",
        about: &["upload_max_file_size"],
        check: above_the_body,
    },
    Rule {
        code: "W217",
        title: "a method that is not among those allowed",
        page: "`allowed_methods` names all methods that a location answers: one of `dav_methods` that it leaves out gets a 405. \
               Name it in both.",
        about: &["dav_methods", "dav_ext_methods"],
        check: disallowed,
    },
    Rule {
        code: "W218",
        title: "files that clients store are run",
        page: "With `upload_execute on` a file that a client has stored is run as a program of this server: anyone who may upload \
               can do what the server's user can. `ssi on` where files are stored is the same: a page with `<!--#include -->` \
               asks for what its author may not. Leave the line out; programs belong into a directory that no one uploads to.",
        about: &["upload_execute", "ssi"],
        check: runs_uploads,
    },
    Rule {
        code: "W220",
        title: "pages of other sites may upload on a visitor's behalf",
        page: "A browser that has the password, or whose address is let in, sends it along with a form of any other site. With \
               `upload_cross_site on` such a form stores files here without the visitor's knowledge. Leave the line out: programs, \
               which send neither Origin nor Sec-Fetch-Site, are let in without it.",
        about: &["upload_cross_site"],
        check: of_other_sites,
    },
    Rule {
        code: "W230",
        title: "one name for all uploads",
        page: "`upload_filename` without a variable gives every upload the same name: the second one is refused (409). Write \
               `random` or `time`, or a variable into it: `upload_filename $request_id.bin;`; to keep only the last one: \
               `upload_on_duplicate overwrite;`.",
        about: &["upload_filename"],
        check: one_name,
    },
    Rule {
        code: "W219",
        title: "unfinished uploads that are kept for ever",
        page: "What breaks off and is never finished stays on the disk with `upload_resumable_max_age 0`, until there is no room. \
               Give a time: `upload_resumable_max_age 7d;`.",
        about: &["upload_resumable_max_age"],
        check: kept_for_ever,
    },
];

/// The directive that lets clients write, if the level has one.
fn writes(level: &[Directive]) -> Option<&Directive> {
    let on = |d: &Directive| match d.name.bytes() {
        b"dav_methods" => d.args.iter().any(|word| !word.is("off")),
        b"upload_store" | b"autoindex_upload" | b"upload_resumable" => d.args.iter().all(|word| !word.is("off")),
        b"allowed_methods" => d.args.iter().any(|word| word.is("PUT") || word.is("DELETE")),
        _ => false,
    };
    level.iter().find(|d| on(d))
}

/// As [`writes`], by POST as well.
fn writes_posts(level: &[Directive]) -> bool {
    let is_post = |d: &Directive| d.name.is("allowed_methods") && d.args.iter().any(|word| word.is("POST"));
    let is_passed = level.iter().any(|d| super::blocks::is_pass(&d.name.str()));
    writes(level).is_some() || level.iter().any(is_post) && !is_passed
}

fn open_to_all(cx: &RuleContext, found: &mut Vec<Finding>) {
    if location(cx.d).is_none() {
        return;
    }
    let Some(writing) = writes(cx.children()) else { return };
    if authenticates(cx.children()) || cx.levels().any(Level::authenticates) {
        return;
    }
    found.push(Finding::new(
        writing.name.span,
        "anyone may write or delete files here: nothing asks who the client is",
        "add auth_basic with auth_basic_user_file, or allow and deny",
    ));
}

/// Whether uploads are stored outside the root in which scripts are looked up.
pub fn is_kept_outside<'a>(area: &[Directive], server: &Level<'a>, script: &'a Directive) -> bool {
    let path = |line: Option<&Directive>| {
        let word = line?.args.first()?.str().into_owned();
        let is_fixed = !word.contains('$') && !word.contains("..");
        is_fixed.then(|| word.trim_start_matches("./").trim_end_matches('/').to_owned() + "/")
    };
    let root = path(server.inside(script).first_of("root")).or_else(|| path(server.first_of("root")));
    let store = path(area.iter().find(|d| d.name.is("upload_store")));
    // Where a relative path begins is not known here.
    let is_outside =
        |store: &str, root: &str| store.starts_with('/') == root.starts_with('/') && !store.starts_with(root);
    store.zip(root).is_some_and(|(store, root)| is_outside(&store, &root))
}

/// A location that both stores files and executes them: all its requests go to the programs, so nothing is stored.
fn runs_its_own(cx: &RuleContext) -> Option<Finding> {
    let on = || cx.children().iter().filter(|d| d.args.iter().all(|word| !word.is("off")));
    let storing = on().find(|d| d.name.is("dav_methods") || d.name.is("upload_store"))?;
    let running = on().find(|d| runs_files(d))?;
    let by = running.name.str();
    let message = format!("files are to be stored here, and run: {by} takes every request, PUT as well");
    let help = format!("a location of its own for `{}`, whose files no {by} runs", storing.name.str());
    Some(Finding::new(running.span, message, help).note(storing.span, "files are stored by"))
}

fn uploads_run(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((modifier, name)) = location(cx.d) else { return };
    if let Some(finding) = runs_its_own(cx) {
        return found.push(finding);
    }
    if !modifier.is_empty() || name.bytes().starts_with(b"@") || writes(cx.children()).is_none() {
        return;
    }
    let Some(server) = cx.inside("server") else { return };
    if let Some(script) = server.runs_uploads().filter(|script| !is_kept_outside(cx.children(), server, script)) {
        let message = format!("scripts uploaded below \"{}\" are run", name.str());
        let help = format!("no regex is tried for: location ^~ {} {{ … }}", name.str());
        found.push(Finding::new(name.span, message, help).note(script.span, "they are passed on"));
    }
}

fn above_the_body(cx: &RuleContext, found: &mut Vec<Finding>) {
    let size = |d: &Directive| Size::parse_offset(d.args.first()?.bytes()).ok().map(|size| size.0);
    let Some(file) = size(cx.d).filter(|_| cx.is("upload_max_file_size")) else { return };
    let nearest = |name: &str| cx.levels().find_map(|level| level.all.get(level.first(name)?));
    // Each part is a request of its own, and a block inside may raise the limit.
    let is_in_parts = nearest("upload_resumable").is_some_and(|d| !d.args.iter().any(|word| word.is("off")));
    fn raises(level: &[Directive]) -> bool {
        level.iter().filter_map(|d| d.block.as_deref()).any(|block| {
            block.iter().any(|d| d.name.is("client_max_body_size") || d.name.is("upload_resumable")) || raises(block)
        })
    }
    if is_in_parts || raises(cx.level().all) {
        return;
    }
    let set = nearest("client_max_body_size");
    let body = match set {
        Some(set) => size(set),
        // An include that was not found may set it.
        None => cx.is_whole.then(|| ClientSettings::default().max_body_size.0),
    };
    let Some(body) = body.filter(|body| *body > 0 && *body < file) else { return };
    let text = cx.d.args[0].str();
    let message = format!("a file of {text} is refused: client_max_body_size allows {body} bytes in one request");
    let verb = if set.is_some() { "raise it" } else { "add" };
    let finding = Finding::new(cx.d.args[0].span, message, format!("{verb}: client_max_body_size {text};"));
    found.push(match set {
        Some(set) => finding.note(set.span, "the limit of the whole request"),
        None => finding,
    });
}

fn disallowed(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("dav_methods") && !cx.is("dav_ext_methods") {
        return;
    }
    let Some(allowed) = cx.level().first_of("allowed_methods") else { return };
    let is_left_out = |word: &&Word| {
        !word.is("off") && !word.is("OPTIONS") && !allowed.args.iter().any(|known| known.bytes() == word.bytes())
    };
    // One correction for both directives.
    let directives = ["dav_methods", "dav_ext_methods"].into_iter().filter_map(|name| cx.level().first_of(name));
    let missing: Vec<&Word> = directives.flat_map(|d| d.args.iter().filter(is_left_out)).collect();
    let Some((first, last)) = missing.first().zip(missing.last()) else { return };
    if !cx.d.args.iter().any(|word| word.span == first.span) {
        return;
    }
    let names: Vec<_> = missing.iter().map(|word| word.str()).collect();
    let message = match names.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("{} and {last} are answered with 405: allowed_methods does not list them", others.join(", "))
        }
        _ => format!("{} is answered with 405: allowed_methods does not list it", last.str()),
    };
    let them = if names.len() > 1 { "them" } else { "it" };
    let help = format!("add {them}: allowed_methods {} {};", syntax::line(&allowed.args), names.join(" "));
    found.push(Finding::new(first.span, message, help).note(allowed.span, "the methods that are allowed"));
}

fn runs_uploads(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_on = cx.d.says("on");
    let is_area = || cx.is_in("location") && writes_posts(cx.level().all);
    if cx.is("ssi") && is_on && is_area() {
        let message = "pages that clients have stored are processed by SSI";
        found.push(Finding::new(cx.d.span, message, "leave the line out where files are uploaded"));
    }
    if cx.is("upload_execute") && is_on {
        let message = "files that clients have stored are run as programs";
        found.push(Finding::new(cx.d.span, message, "leave the line out, and keep programs where no one uploads to"));
    }
}

fn of_other_sites(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_on = cx.is("upload_cross_site") && cx.d.says("on");
    if is_on && cx.levels().any(Level::authenticates) {
        let message = "a page of any other site may upload with the browser of a visitor who is let in here";
        found.push(Finding::new(cx.d.span, message, "leave the line out"));
    }
}

fn one_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("upload_filename")) else { return };
    // A slip of one of the words has a warning of its own.
    let is_made = suggest::nearest(&word.str(), ["original", "random", "time"]).is_some();
    let on_duplicate = cx.levels().find_map(|level| level.first_of("upload_on_duplicate")?.args.first());
    // To number the files, or to keep the last one, is meant.
    let is_meant = on_duplicate.is_some_and(|word| word.is("rename") || word.is("overwrite"));
    if !is_made && !is_meant && !word.bytes().contains(&b'$') {
        let message = format!("every upload is called \"{}\": the second one is refused", word.str());
        let help = format!("write random or time, or a variable into it: upload_filename $request_id-{};", word.str());
        found.push(Finding::new(word.span, message, help));
    }
}

fn kept_for_ever(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_zero = |word: &&Word| Millis::parse(word.bytes()) == Ok(Millis(0));
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("upload_resumable_max_age") && is_zero(word)) {
        let message = "what is never finished stays on the disk for ever";
        found.push(Finding::new(word.span, message, "give a time: upload_resumable_max_age 7d;"));
    }
}
