//! Areas that clients can write to.

use super::blocks::{authenticates, location, runs_files};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Directive;

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
pub fn is_kept_outside(area: &[Directive], server: &Level, script: &Directive) -> bool {
    let path = |all: &[Directive], name: &str| {
        let word = all.iter().find(|d| d.name.is(name))?.args.first()?.str().into_owned();
        (word.starts_with('/') && !word.contains('$')).then(|| word.trim_end_matches('/').to_owned() + "/")
    };
    let root = path(script.block.as_deref().unwrap_or_default(), "root").or_else(|| path(server.all, "root"));
    let store = path(area, "upload_store");
    store.zip(root).is_some_and(|(store, root)| !store.starts_with(&root))
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
