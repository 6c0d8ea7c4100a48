//! charset, source_charset and charset_map: the charset named in Content-Type, and conversion to it.

use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::{Diagnostic, Diagnostics};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{Location, Settings, Tables};
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::charset::{Charset, CharsetMap, Recode, TypeSet};
use crate::config::template::Template;
use crate::util::hash::FastMap;
use std::rc::Rc;

fn charset(s: &mut Settings) -> &mut Charset {
    Rc::make_mut(&mut s.charset)
}

/// Records a charset's name unless it has variables.
fn known(b: &mut Build, name: Option<&[u8]>) {
    if let Some(name) = name
        && !b.tables.charset_names.iter().any(|known| known.eq_ignore_ascii_case(name))
    {
        b.tables.charset_names.push(name.into());
    }
}

pub const ROWS: &[Row] = &[
    row(
        "charset",
        HSLI,
        Args::TAKE1,
        "off",
        Effect::Once(|s, b, d| {
            let name = b.template(d, 0)?;
            let name = (name.constant() != Some(b"off")).then_some(name);
            known(b, name.as_ref().and_then(Template::constant));
            charset(&mut s.settings).name = name;
            Ok(())
        }),
        "Charset named in the Content-Type of charset_types; variables allowed. Files in another source_charset are recoded by a charset_map.",
    ),
    row(
        "source_charset",
        HSLI,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            let name = b.template(d, 0)?;
            known(b, name.constant());
            charset(&mut s.settings).source = Some(name);
            Ok(())
        }),
        "The charset files are written in.",
    ),
    row(
        "override_charset",
        HSLI,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut charset(s).override_charset),
        "Whether a response that names a charset already is recoded too.",
    ),
    row(
        "charset_types",
        Contexts::HSL,
        Args::ONE_OR_MORE,
        "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml",
        Effect::Many(|s, b, d| {
            take(&mut charset(&mut s.settings).types, s.first, &d.args, b);
            Ok(())
        }),
        "Media types that get a charset, beside text/html; * is any.",
    ),
    row(
        "charset_map",
        Contexts::HTTP,
        Args::TAKE2.block(),
        "",
        Effect::Many(charset_map),
        "Recodes between two charsets: lines of two hexadecimal codes; where the second charset is utf-8, its bytes. Works in both directions. What is not listed is kept up to 7F, else it becomes a question mark.",
    ),
];

/// Reports charsets to convert between without a charset_map. The map may come after its use, so this runs last.
pub fn check(locations: &[Location], tables: &Tables, tree: &[Directive], diagnostics: &mut Diagnostics) {
    let mut seen: Vec<(&[u8], &[u8])> = Vec::new();
    for location in locations {
        let charset = &location.settings.charset;
        let (Some(from), Some(to)) = (&charset.source, &charset.name) else { continue };
        let (Some(from), Some(to)) = (from.constant(), to.constant()) else { continue };
        if from.is_empty() || to.is_empty() || from.eq_ignore_ascii_case(to) || seen.contains(&(from, to)) {
            continue;
        }
        seen.push((from, to));
        let is = |map: &CharsetMap| map.from.eq_ignore_ascii_case(from) && map.to.eq_ignore_ascii_case(to);
        if !tables.charsets.iter().any(is) {
            let (from, to) = (String::from_utf8_lossy(from), String::from_utf8_lossy(to));
            let text = format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"");
            let place = named(tree, &to).or_else(|| named(tree, &from));
            let help = format!("define it in http: charset_map {from} {to} {{ … }}; or leave `source_charset` out");
            diagnostics.push(Diagnostic::emerg(place.unwrap_or(location.span), text).help(help));
        }
    }
}

/// The first directive that names a charset.
fn named(level: &[Directive], charset: &str) -> Option<Span> {
    level.iter().find_map(|d| {
        let names = d.name.is("charset") || d.name.is("source_charset");
        let word = d.args.first().filter(|word| names && word.bytes().eq_ignore_ascii_case(charset.as_bytes()));
        word.map(|word| word.span).or_else(|| named(d.block.as_deref().unwrap_or_default(), charset))
    })
}

/// Adds the words of a directive; `text/html` is always included. Several directives of one level add up.
pub fn take(set: &mut TypeSet, first: bool, words: &[Word], b: &mut Build) {
    if first {
        *set = TypeSet::of(&["text/html"]);
    }
    for word in words {
        if word.is("*") {
            *set = TypeSet::All;
            return;
        }
        if !set.add(word.bytes()) {
            b.warn(word.span, format!("duplicate MIME type \"{}\"", word.str()));
        }
    }
}

fn hex(word: &Word) -> Result<Vec<u8>, Fault> {
    let text = word.bytes();
    let digits = if text.len() % 2 == 1 { [b"0", text].concat() } else { text.to_vec() };
    let pairs = digits.chunks_exact(2).map(|pair| crate::http::escape::hex_pair(pair[0], pair[1]));
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.filter(|b| (1..=4).contains(&b.len())).ok_or_else(|| {
        Fault::new(word.span, format!("invalid value \"{}\"", word.str())).help("hexadecimal digits: 8F")
    })
}

fn charset_map(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let name = |at: usize| -> Box<[u8]> { d.args[at].bytes().to_ascii_lowercase().into() };
    let (from, to) = (name(0), name(1));
    if from == to {
        let text =
            format!("\"charset_map\" between the same charsets \"{}\" and \"{}\"", d.args[0].str(), d.args[1].str());
        return Err(Fault::new(d.args_span(), text));
    }
    known(b, Some(&from));
    known(b, Some(&to));
    let same = |map: &CharsetMap| map.from == from && map.to == to;
    if b.tables.charsets.iter().any(same) {
        let text = format!("duplicate \"charset_map\" between \"{}\" and \"{}\"", d.args[0].str(), d.args[1].str());
        return Err(Fault::new(d.args_span(), text));
    }
    let identity = || std::array::from_fn::<u8, 256, _>(|n| if n < 128 { n as u8 } else { b'?' });
    let (mut forth, mut back) = (identity(), identity());
    let mut to_utf8: [Box<[u8]>; 256] =
        std::array::from_fn(|n| if n < 128 { [n as u8][..].into() } else { b"?"[..].into() });
    let mut from_utf8: FastMap<u32, u8> = (0..128u8).map(|n| (u32::from(n), n)).collect();
    let utf8 = &*to == b"utf-8" || &*to == b"utf8";
    for line in d.block.iter().flatten() {
        let [target] = &line.args[..] else {
            return Err(Fault::new(line.span, "invalid parameters number").help("two hexadecimal codes"));
        };
        let (source, target_bytes) = (hex(&line.name)?, hex(target)?);
        let [source] = source[..] else {
            return Err(Fault::new(line.name.span, format!("invalid value \"{}\"", line.name.str())));
        };
        if utf8 {
            if target.bytes().len() % 2 == 1 {
                return Err(Fault::new(target.span, format!("invalid value \"{}\"", target.str()))
                    .help("bytes are two hexadecimal digits each: D0B0"));
            }
            let text = std::str::from_utf8(&target_bytes).ok().and_then(|t| t.chars().next());
            let letter = text.ok_or_else(|| Fault::new(target.span, format!("invalid value \"{}\"", target.str())))?;
            to_utf8[usize::from(source)] = target_bytes.into();
            from_utf8.insert(u32::from(letter), source);
        } else {
            let [target] = target_bytes[..] else {
                return Err(Fault::new(target.span, format!("invalid value \"{}\"", target.str())));
            };
            forth[usize::from(source)] = target;
            back[usize::from(target)] = source;
        }
    }
    let (there, here) = if utf8 {
        (Recode::ToUtf8(Rc::new(to_utf8)), Recode::FromUtf8(Rc::new(from_utf8)))
    } else {
        (Recode::Bytes(Rc::new(forth)), Recode::Bytes(Rc::new(back)))
    };
    b.tables.charsets.push(CharsetMap { from: from.clone(), to: to.clone(), recode: there });
    b.tables.charsets.push(CharsetMap { from: to, to: from, recode: here });
    Ok(())
}
