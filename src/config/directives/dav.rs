//! dav_methods and related directives. PUT and DELETE are the upload and delete handlers, with nginx's rules.

use crate::config::argument::{invalid, number, wrong};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::Outcome;
use crate::config::row::{Effect, Row, row};
use crate::config::value::Mode;
use crate::http::method::{Method, MethodSet};
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "dav_methods",
        HSL,
        Args::ONE_OR_MORE,
        "off",
        Effect::Many(methods),
        "Which of PUT, DELETE, MKCOL, COPY and MOVE are answered, by nginx's rules: the URI of a collection ends in \
         a slash, and DELETE of one removes all below it. Copies appear whole. Unlike nginx, nothing outside the \
         root is reached by links, and what a client could not PUT, GET or DELETE itself is not copied, moved \
         or deleted with a folder.",
    ),
    row(
        "create_full_put_path",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.upload).create_path),
        "Whether PUT makes the directories that are missing; the same as upload_create_path.",
    ),
    row(
        "dav_access",
        HSL,
        Args::TAKE123,
        "user:rw",
        Effect::Once(access),
        "Mode of files that are made; directories may be entered by who may read them. The same as upload_store_access.",
    ),
    row(
        "min_delete_depth",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Once(|s, _, d| {
            Rc::make_mut(&mut s.settings.dav).min_delete_depth = number(d, 0)?;
            Ok(())
        }),
        "DELETE of a URI with fewer components is refused with 409, whether dav_methods or allowed_methods allow it, and by the page's form.",
    ),
];

/// Several directives of one block add up (nginx).
fn methods(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut set = if s.first { MethodSet::EMPTY } else { s.settings.dav.methods };
    for (at, word) in d.args.iter().enumerate() {
        match word.bytes().to_ascii_uppercase().as_slice() {
            b"OFF" => {}
            b"PUT" => set = set.with(Method::Put),
            b"DELETE" => set = set.with(Method::Delete),
            b"MKCOL" => set = set.with(Method::Mkcol),
            b"COPY" => set = set.with(Method::Copy),
            b"MOVE" => set = set.with(Method::Move),
            _ => return Err(invalid(d, at)),
        }
    }
    Rc::make_mut(&mut s.settings.dav).methods = set;
    Ok(())
}

fn access(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mode = Mode::parse(d.args.iter().map(|w| w.bytes())).map_err(|(at, e)| wrong(d, at, e))?;
    Rc::make_mut(&mut s.settings.upload).mode = mode.0;
    Ok(())
}
