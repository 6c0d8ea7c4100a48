//! valid_referers: for which Referer headers `$invalid_referer` is empty.

use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::Args;
use crate::config::fault::{Fault, Outcome};
use crate::config::names::{HostNames, Refused, Wildcards};
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, SL, row};
use std::rc::Rc;

pub const ROWS: &[Row] = &[
    row(
        "valid_referers",
        SL,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(valid_referers),
        "Referers that leave $invalid_referer empty: none, blocked, server_names, names with or without a path (also *.name and name.*), ~regex. Names and regexes ignore case.",
    ),
    row(
        "referer_hash_max_size",
        SL,
        Args::TAKE1,
        "2048",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the table of names here needs no sizing.",
    ),
    row(
        "referer_hash_bucket_size",
        SL,
        Args::TAKE1,
        "64",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the table of names here needs no sizing.",
    ),
];

fn valid_referers(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    // Several directives of one level add up; they replace those of the outer level.
    if s.first {
        s.settings.referers = Rc::default();
    }
    s.own.referers = true;
    let read = Rc::make_mut(&mut s.settings.referers);
    for word in &d.args {
        match word.bytes() {
            b"" => return Err(Fault::new(word.span, "invalid referer \"\"")),
            b"none" => read.none = true,
            b"blocked" => read.blocked = true,
            b"server_names" => read.server_names = true,
            b"~" => return Err(Fault::new(word.span, "empty regex in \"~\"")),
            [b'~', source @ ..] => {
                let pattern = Pattern::of_word(word, source, Case::Insensitive, &mut b.variables)?;
                Rc::make_mut(&mut read.regexes).push(pattern);
            }
            text => host(word, text, Rc::make_mut(&mut read.hosts), Rc::make_mut(&mut read.uris))?,
        }
    }
    Ok(())
}

fn host(word: &Word, text: &[u8], hosts: &mut HostNames, uris: &mut Vec<Box<[u8]>>) -> Outcome {
    let slash = memchr::memchr(b'/', text).unwrap_or(text.len());
    let (name, uri) = text.split_at(slash);
    let at = uris.len() as u32;
    uris.push(uri.into());
    match hosts.add(name, at, Wildcards::Yes) {
        Ok(()) => Ok(()),
        Err(Refused::Duplicate) => Err(Fault::new(word.span, format!("conflicting parameter \"{}\"", word.str()))),
        Err(Refused::Invalid) => Err(Fault::new(word.span, format!("invalid hostname or wildcard \"{}\"", word.str()))),
    }
}
