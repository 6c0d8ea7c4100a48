//! Settings of upload areas that do nothing, or less than they seem.

use super::blocks::{below, location};
use super::level::Level;
use super::location_conflicts::path_of;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::value::Size;
use crate::util::hash::FastMap;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W225",
        title: "a setting of uploads where nothing can be uploaded",
        page: "`allowed_methods` is GET and HEAD by default: without POST or PUT there (or `dav_methods PUT`) nothing is stored, the \
               listing has no form, and no limit or list of types is looked at. Write `allowed_methods GET POST;`.",
        about: &SETTINGS,
        check: nothing_uploaded,
    },
    Rule {
        code: "W234",
        title: "resumable uploads where no upload can begin",
        page: "An upload of tus begins with a POST, one of the IETF draft with a POST or a PUT: where `allowed_methods` names neither, \
               `upload_resumable` has nothing to go on with, and clients get 405. Add POST: `allowed_methods GET POST;`.",
        about: &["upload_resumable"],
        check: never_begun,
    },
    Rule {
        code: "W233",
        title: "more free space required than a disk has",
        page: "`upload_min_free 100%` asks for a disk that is empty also after the upload: each one is refused with 507. Write what is \
               to be left, such as `5%` or `10g`.",
        about: &["upload_min_free"],
        check: whole_disk,
    },
    Rule {
        code: "W226",
        title: "a quota that another location bypasses",
        page: "`upload_quota` bounds what the uploads of its location add up to. Another location that stores into the same \
               directory without one fills it as it likes. Give both the same.",
        about: &["upload_store"],
        check: around_the_quota,
    },
    Rule {
        code: "W227",
        title: "locks that no client can request",
        page: "`dav_ext_lock` is where LOCK keeps its locks, and LOCK is answered only where `dav_ext_methods` names it: \
               `dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;`. It needs both: without `dav_ext_lock zone=dav;`, and \
               `dav_ext_lock_zone zone=dav:10m;` in http, each LOCK gets a 403, and Finder and Office open all files as \
               read-only.",
        about: &["dav_ext_lock", "dav_ext_methods"],
        check: no_lock,
    },
    Rule {
        code: "W228",
        title: "files that every user of the machine can write",
        page: "With `all:rw` each program and each user of the machine can change what was uploaded, and what is served. Give \
               others `r` at most: `upload_store_access user:rw group:rw all:r;`.",
        about: &["upload_store_access", "dav_access"],
        check: written_by_all,
    },
    Rule {
        code: "W231",
        title: "a file size limit above the quota",
        page: "`upload_quota` is what all files of the area add up to: a file of `upload_max_file_size` that is larger is refused with \
               507, after its bytes have come. Raise the quota, or lower the size.",
        about: &["upload_quota"],
        check: quota_of_one_file,
    },
    Rule {
        code: "W232",
        title: "a WebDAV that clients do not recognise",
        page: "File managers ask OPTIONS before PROPFIND, and look for the field DAV in the answer: without OPTIONS among the \
               `dav_ext_methods` they say that this is no WebDAV server. Write `dav_ext_methods PROPFIND OPTIONS;`.",
        about: &["dav_ext_methods"],
        check: unrecognised,
    },
    Rule {
        code: "W229",
        title: "a health check that needs a password",
        page: "Load balancers and containers ask without a password, and take 401 for a server that is down. Where the server asks \
               for one, write `auth_basic off;` in the location of `health`.",
        about: &["health"],
        check: asked_for_a_password,
    },
];

/// What only uploads look at.
const SETTINGS: [&str; 6] = [
    "autoindex_upload",
    "upload_types",
    "upload_extensions",
    "upload_on_duplicate",
    "upload_max_files",
    "upload_return",
];

/// Which methods a location answers; an `include` may hold any of them.
const METHODS: [&str; 4] = ["allowed_methods", "allow_methods", "dav_methods", "include"];

/// Whether a directive lets clients store something, or may.
fn stores(d: &Directive) -> bool {
    match d.name.bytes() {
        b"allowed_methods" | b"allow_methods" | b"dav_methods" => d.args.iter().any(|word| {
            ["POST", "PUT", "PATCH"].iter().any(|method| word.bytes().eq_ignore_ascii_case(method.as_bytes()))
        }),
        b"include" => true,
        _ => false,
    }
}

fn nothing_uploaded(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !SETTINGS.iter().any(|name| cx.is(name)) {
        return;
    }
    if cx.d.args.iter().any(|word| word.is("off") || word.is("0")) || !cx.is_whole || cx.inside("server").is_none() {
        return;
    }
    // Each level says it once, at its first setting.
    let first = SETTINGS.iter().filter_map(|name| cx.level().first(name)).min();
    let above = |level: &Level| METHODS.iter().filter_map(|name| level.first_of(name)).any(stores);
    if first == Some(cx.at) && !cx.levels().any(above) && !below(cx.level().all, stores) {
        let message = format!("\"{}\" does nothing: no method stores files here", cx.d.name.str());
        found.push(Finding::new(cx.d.span, message, "add: allowed_methods GET POST;"));
    }
}

fn never_begun(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|word| cx.is("upload_resumable") && !word.is("off")) else { return };
    let (methods, named): (&[&str], _) = match word.is("tus") {
        true => (&["POST"], "POST"),
        false => (&["POST", "PUT", "PATCH"], "POST or PUT"),
    };
    let begins = |d: &Directive| {
        let is_one = |word: &Word| methods.iter().any(|method| word.bytes().eq_ignore_ascii_case(method.as_bytes()));
        d.name.is("include") || METHODS.iter().any(|name| d.name.is(name)) && d.args.iter().any(is_one)
    };
    // A server says how uploads go on for locations that it does not name.
    let is_listed = cx.levels().any(|level| METHODS.iter().any(|name| level.has(name)));
    let above = |level: &Level| level.all.iter().any(begins);
    if !cx.is_in("location") || !is_listed || cx.levels().any(above) || below(cx.level().all, begins) {
        return;
    }
    let message = format!("no upload begins here, which takes {named}: clients get 405");
    found.push(Finding::new(word.span, message, "add: allowed_methods GET POST;"));
}

fn whole_disk(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("upload_min_free")) else { return };
    let text = word.str();
    let share = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
    if share.is_some_and(|share| share >= 100) {
        let message = "no disk has that much left: each upload is refused with 507";
        found.push(Finding::new(word.span, message, "write what is to be left: 5%, or a size such as 10g"));
    }
}

/// The `upload_quota` of the locations here, by the store of each.
fn quotas<'a>(server: &Level<'a>) -> FastMap<String, &'a Directive> {
    let mut found = FastMap::default();
    for inside in server.all.iter().filter(|d| location(d).is_some()).filter_map(|d| d.block.as_deref()) {
        let line = |name: &str| inside.iter().find(|d| d.name.is(name));
        if let (Some(store), Some(quota)) = (line("upload_store").and_then(path_of), line("upload_quota")) {
            found.entry(store).or_insert(quota);
        }
    }
    found
}

fn around_the_quota(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("upload_store") {
        return;
    }
    let (Some(store), Some(server)) = (path_of(cx.d), cx.inside("server")) else { return };
    if store.contains('$') || cx.levels().any(|level| level.has("upload_quota") || level.has("include")) {
        return;
    }
    if let Some(quota) = server.quotas.get_or_init(|| quotas(server)).get(&store) {
        let message = "uploads here lead around the quota of another location with the same store";
        let help = format!("add: upload_quota {};", quota.args.first().map(|word| word.str()).unwrap_or_default());
        found.push(Finding::new(cx.d.span, message, help).note(quota.span, "the quota"));
    }
}

fn quota_of_one_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    let size = |d: &Directive| Size::parse_offset(d.args.first()?.bytes()).ok().map(|size| size.0);
    let Some(quota) = size(cx.d).filter(|quota| cx.is("upload_quota") && *quota > 0) else { return };
    let largest = cx.levels().find_map(|level| level.first_of("upload_max_file_size"));
    if let Some(largest) = largest.filter(|largest| size(largest).is_some_and(|size| size > quota)) {
        let message = format!("a file of {} never has room here", largest.args[0].str());
        let finding = Finding::new(cx.d.args[0].span, message, "raise the quota, or lower upload_max_file_size");
        found.push(finding.note(largest.span, "the largest file"));
    }
}

fn unrecognised(cx: &RuleContext, found: &mut Vec<Finding>) {
    let names = |method: &str| cx.d.args.iter().find(|word| word.is(method));
    if let Some(word) = names("PROPFIND").filter(|_| cx.is("dav_ext_methods") && names("OPTIONS").is_none()) {
        let message = "clients ask OPTIONS first, and take this for no WebDAV";
        let words: Vec<_> = cx.d.args.iter().map(|word| word.str()).collect();
        found.push(Finding::new(word.span, message, format!("write: dav_ext_methods {} OPTIONS;", words.join(" "))));
    }
}

fn no_lock(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("dav_ext_methods") {
        return without_locks(cx, found);
    }
    if !cx.is("dav_ext_lock") {
        return;
    }
    let names = |d: &Directive| d.name.is("dav_ext_methods") && d.args.iter().any(|word| word.is("LOCK"));
    let is_off = cx.d.says("off");
    let above = |level: &Level| level.first_of("dav_ext_methods").is_some_and(names);
    if is_off || !cx.is_whole || cx.levels().any(above) || below(cx.level().all, names) {
        return;
    }
    let message = "no client can take a lock: LOCK is not among the methods";
    found.push(Finding::new(cx.d.span, message, "write: dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK;"));
}

/// LOCK is among the methods, and no zone keeps its locks.
fn without_locks(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.iter().find(|word| word.is("LOCK")).filter(|_| cx.is_whole) else { return };
    let has_zone = |d: &Directive| d.name.is("dav_ext_lock") && !d.says("off");
    let own = cx.levels().find_map(|level| level.first_of("dav_ext_lock"));
    if own.is_some_and(has_zone) || below(cx.level().all, has_zone) {
        return;
    }
    let message = "LOCK is answered with 403: no dav_ext_lock says where locks are kept";
    let help = "write: dav_ext_lock zone=dav; and in http: dav_ext_lock_zone zone=dav:10m;";
    found.push(Finding::new(word.span, message, help));
}

fn written_by_all(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("upload_store_access") && !cx.is("dav_access") {
        return;
    }
    if let Some(word) = cx.d.args.iter().find(|word| word.is("all:rw") || word.is("all:w")) {
        let message = "every user of this machine can change these files";
        found.push(Finding::new(word.span, message, "others may read at most: all:r"));
    }
}

fn asked_for_a_password(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(asks) = cx.levels().find_map(|level| level.first_of("auth_basic")).filter(|_| cx.is("health")) else {
        return;
    };
    if !asks.args.iter().any(|word| word.is("off")) && !cx.levels().any(|level| level.has("satisfy")) {
        let message = "balancers have no password: they take 401 for a server that is down";
        found.push(Finding::new(cx.d.span, message, "add: auth_basic off;").note(asks.span, "a password is asked for"));
    }
}
