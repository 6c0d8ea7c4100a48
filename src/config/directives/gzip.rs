//! gzip and gzip_static.

use super::charset::take;
use crate::config::argument::{invalid, number};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::gzip::{Gzip, Proxied, Stored};
use std::rc::Rc;

fn gzip(s: &mut Settings) -> &mut Gzip {
    Rc::make_mut(&mut s.gzip)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "gzip",
        HSLI,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut gzip(s).on),
        "Whether responses of gzip_types are compressed for clients that take gzip. Files of any size are compressed as they are sent, in slices.",
    ),
    row(
        "gzip_types",
        HSL,
        Args::ONE_OR_MORE,
        "text/html",
        Effect::Many(|s, b, d| {
            take(&mut gzip(&mut s.settings).types, s.first, &d.args, b);
            Ok(())
        }),
        "Media types that are compressed, beside text/html; * is any.",
    ),
    row("gzip_comp_level", HSL, Args::TAKE1, "1", Effect::Once(level), "How hard to compress, 1 to 9."),
    row(
        "gzip_min_length",
        HSL,
        Args::TAKE1,
        "20",
        Effect::Size(|s| &mut gzip(s).min_length),
        "Shorter responses are not compressed.",
    ),
    row(
        "gzip_vary",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut gzip(s).vary),
        "Whether responses that could be compressed say Vary: Accept-Encoding, which caches need.",
    ),
    row(
        "gzip_proxied",
        HSL,
        Args::ONE_OR_MORE,
        "off",
        Effect::Many(proxied),
        "Which responses are compressed for requests with Via: off, expired, no-cache, no-store, private, no_last_modified, no_etag, auth, any.",
    ),
    row(
        "gzip_disable",
        HSL,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(disable),
        "No gzip for a User-Agent that matches one of these regexes (case is ignored); msie6 is Internet Explorer before 7.",
    ),
    row(
        "gzip_http_version",
        HSL,
        Args::TAKE1,
        "1.1",
        Effect::Once(version),
        "The oldest version of a request that is answered with gzip, 1.0 or 1.1.",
    ),
    row(
        "gzip_static",
        HSL,
        Args::TAKE1,
        "off",
        Effect::Once(stored),
        "Whether FILE.gz is sent for FILE: on for clients that accept gzip, always for all; with the media type of \
         FILE. Where clients may store files, only a .gz written after its file is sent (by mtime and ctime), since \
         PUT, MOVE or DELETE of the file leave an old one behind; there a .gz without its file is sent only with \
         always.",
    ),
];

fn level(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    gzip(&mut s.settings).level = match number(d, 0)? {
        level @ 1..=9 => level as u32,
        _ => return Err(Fault::new(d.args[0].span, "value must be between 1 and 9")),
    };
    Ok(())
}

/// Several directives of one block add up (nginx).
fn proxied(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut set = if s.first { Proxied::default() } else { s.settings.gzip.proxied };
    for (at, word) in d.args.iter().enumerate() {
        match &word.lower()[..] {
            b"off" => set = Proxied::default(),
            b"expired" => set.expired = true,
            b"no-cache" => set.no_cache = true,
            b"no-store" => set.no_store = true,
            b"private" => set.private = true,
            b"no_last_modified" => set.no_last_modified = true,
            b"no_etag" => set.no_etag = true,
            b"auth" => set.auth = true,
            b"any" => set.any = true,
            _ => return Err(invalid(d, at)),
        }
    }
    gzip(&mut s.settings).proxied = set;
    Ok(())
}

/// Several directives of one block add up (nginx).
fn disable(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut before = Rc::default();
    if !s.first {
        std::mem::swap(&mut before, &mut gzip(&mut s.settings).disable);
    }
    // Not shared yet: inner blocks are read after the directives of this level.
    let mut set = Rc::try_unwrap(before).unwrap_or_default();
    for word in &d.args {
        match word.bytes() {
            b"msie6" => set.msie6 = true,
            b"degradation" => {}
            source => {
                set.agents.push(Pattern::of_word(word, source, Case::Insensitive, &mut b.variables)?);
            }
        }
    }
    gzip(&mut s.settings).disable = Rc::new(set);
    Ok(())
}

fn version(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    gzip(&mut s.settings).http10 = match &d.args[0].lower()[..] {
        b"1.0" => true,
        b"1.1" => false,
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}

fn stored(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    gzip(&mut s.settings).stored = match &d.args[0].lower()[..] {
        b"off" => Stored::Off,
        b"on" => Stored::On,
        b"always" => Stored::Always,
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}
