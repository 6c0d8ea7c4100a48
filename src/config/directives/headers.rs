//! Response header fields: those the configuration adds, validators, redirects.

use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::Diagnostic;
use crate::config::expires;
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::headers::{AddHeader, AddedFields, Expires, Inherit, Output, Tokens};
use crate::http::cond::ImsMode;
use std::rc::Rc;

fn output(s: &mut Settings) -> &mut Output {
    Rc::make_mut(&mut s.output)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "add_header",
        HSLI,
        Args::TAKE23,
        "",
        Effect::Many(add_header),
        "Adds a header to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308; with always, to all. A level that has its own inherits none. CR and LF from variables never reach the client.",
    ),
    row(
        "expires",
        HSLI,
        Args::TAKE12,
        "off",
        Effect::Once(expires),
        "Sets Expires and Cache-Control: a time, modified TIME, @time of day, epoch, max, off or a variable.",
    ),
    row(
        "etag",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut output(s).etag),
        "Whether static files carry an ETag, made of modification time (nanoseconds take part) and size. Where the nanoseconds are 0 (packages, images of containers), the file's inode and change take part: two releases of one date differ, but so do replicas of one image. Where these stand behind one balancer, off leaves Last-Modified.",
    ),
    row(
        "if_modified_since",
        HSL,
        Args::TAKE1,
        "exact",
        Effect::Once(if_modified_since),
        "How If-Modified-Since is compared: off, exact or before.",
    ),
    row(
        "max_ranges",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(max_ranges),
        "Most ranges of one request; with more the whole file is sent. 0 turns ranges off.",
    ),
    row(
        "server_tokens",
        HSL,
        Args::TAKE1,
        "on",
        Effect::Once(server_tokens),
        "Whether the version is shown in the Server header and on error pages: on, off or build.",
    ),
    row(
        "chunked_transfer_encoding",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut output(s).chunked),
        "Whether a response of unknown length may be chunked; otherwise the connection's end is its end.",
    ),
    row(
        "absolute_redirect",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut output(s).absolute_redirect),
        "Whether the redirects that the server makes contain scheme and host.",
    ),
    row(
        "port_in_redirect",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut output(s).port_in_redirect),
        "Whether absolute redirects name the port.",
    ),
    row(
        "server_name_in_redirect",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut output(s).server_name_in_redirect),
        "Whether absolute redirects use the first server_name instead of the Host header.",
    ),
    row(
        "add_trailer",
        HSLI,
        Args::TAKE23,
        "",
        Effect::Many(add_trailer),
        "Adds a field after the body of chunked HTTP/1.1 responses, with the statuses and inheritance of add_header.",
    ),
    row(
        "add_header_inherit",
        HSLI,
        Args::TAKE1,
        "on",
        Effect::Once(|s, _, d| inherit_mode(d).map(|mode| output(&mut s.settings).headers_inherit = mode)),
        "Whether a level without add_header takes those of the level above (on), none of them (off), or every level adds to them (merge).",
    ),
    row(
        "add_trailer_inherit",
        HSLI,
        Args::TAKE1,
        "on",
        Effect::Once(|s, _, d| inherit_mode(d).map(|mode| output(&mut s.settings).trailers_inherit = mode)),
        "What add_header_inherit is, for add_trailer.",
    ),
    row(
        "early_hints",
        HSL,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(early_hints),
        "When early hints (103) of a proxied server are passed on to the client: where one of the strings is neither empty nor 0, as in `early_hints $http2;`. Some clients of HTTP/1.1 do not expect them. All hints of a server together are at most proxy_buffer_size long.",
    ),
    row(
        "msie_refresh",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut output(s).msie_refresh),
        "Whether Internet Explorer is redirected by a page with a refresh instead of 301 and 302.",
    ),
];

/// A header name from the configuration. nginx sends any text; text that would end the line is refused here. An empty
/// name without a value only stops the inheritance of fields.
pub(super) fn header_name(b: &mut Build, d: &Directive) -> Result<Box<[u8]>, Fault> {
    let (name, word) = (d.args[0].bytes(), &d.args[0]);
    if name.is_empty() && d.args.get(1).is_some_and(|value| value.bytes().is_empty()) {
        return Ok(Box::default());
    }
    if name.is_empty() || name.iter().any(|b| *b < b' ' || *b == 0x7f) {
        return Err(Fault::new(word.span, format!("\"{}\" cannot be the name of a header", word.str()))
            .help("letters, digits and -: a name, then its value in quotes"));
    }
    if !crate::http::field_syntax::is_token(name) {
        let warning = Diagnostic::warn(word.span, format!("\"{}\" is no valid header name", word.str()));
        b.warning(warning.help(match name.strip_suffix(b":") {
            Some(plain) => format!("a header name stands without its colon: \"{}\"", String::from_utf8_lossy(plain)),
            None => "letters, digits and -: a name, then its value in quotes".into(),
        }));
    }
    Ok(name.into())
}

fn added(b: &mut Build, d: &Directive) -> Result<AddHeader, Fault> {
    let always = match d.args.get(2) {
        None => false,
        Some(word) if word.is("always") => true,
        Some(word) => {
            let fault = Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
            let near = crate::config::suggest::nearest(&word.str(), ["always"]);
            return Err(match near {
                Some(near) => fault.help(format!("did you mean \"{near}\"?")),
                None => fault,
            });
        }
    };
    if let Some(at) = d.args[1].bytes().iter().position(|b| matches!(b, b'\r' | b'\n' | 0)) {
        b.warn(d.args[1].part(at, at + 1), "a header value cannot hold line breaks: they are sent as spaces");
    }
    Ok(AddHeader { name: header_name(b, d)?, value: b.template(d, 1)?, always })
}

fn add_header(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let header = added(b, d)?;
    output(&mut s.settings).headers.add(s.first, header);
    Ok(())
}

fn expires(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let words: Vec<&[u8]> = d.args.iter().map(|w| w.bytes()).collect();
    let template = b.template(d, d.args.len() - 1)?;
    output(&mut s.settings).expires = if template.constant().is_none() && words.len() == 1 {
        Some(Rc::new(Expires::Value(template)))
    } else if template.constant().is_none() && words[0] == b"modified" {
        Some(Rc::new(Expires::Value(b.template_of(&words.join(&b' '), d.args_span())?)))
    } else {
        match expires::parse(&words) {
            Some(parsed) => parsed.map(Rc::new),
            None => {
                return Err(Fault::new(d.args[d.args.len() - 1].span, "invalid value of \"expires\"")
                    .help("a time such as 30d, modified 1h, @15h30m, epoch, max or off"));
            }
        }
    };
    Ok(())
}

fn if_modified_since(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    output(&mut s.settings).if_modified_since = match &d.args[0].lower()[..] {
        b"off" => ImsMode::Off,
        b"exact" => ImsMode::Exact,
        b"before" => ImsMode::Before,
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}

fn max_ranges(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let most = crate::config::argument::number(d, 0)?;
    output(&mut s.settings).max_ranges = Some(u32::try_from(most).unwrap_or(u32::MAX));
    Ok(())
}

fn server_tokens(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    output(&mut s.settings).server_tokens = match &d.args[0].lower()[..] {
        b"on" | b"build" => Tokens::On,
        b"off" => Tokens::Off,
        _ => return Err(invalid(d, 0)),
    };
    Ok(())
}

fn add_trailer(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let trailer = added(b, d)?;
    output(&mut s.settings).trailers.add(s.first, trailer);
    Ok(())
}

fn early_hints(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    for at in 0..d.args.len() {
        let string = b.template(d, at)?;
        output(&mut s.settings).early_hints.add(s.first && at == 0, string);
    }
    Ok(())
}

fn inherit_mode(d: &Directive) -> Result<Inherit, Fault> {
    match &d.args[0].lower()[..] {
        b"on" => Ok(Inherit::On),
        b"off" => Ok(Inherit::Off),
        b"merge" => Ok(Inherit::Merge),
        _ => Err(invalid(d, 0)),
    }
}

/// Which directives a level contains itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnLines {
    /// It has add_header.
    pub add_header: bool,
    /// It has add_trailer.
    pub add_trailer: bool,
}

/// Call at the end of a level, since its inheritance directives apply wherever they stand in it. `outer`: the outer
/// level.
pub fn inherit(s: &mut Settings, outer: &Output, own: OwnLines) {
    let merged = |mode: Inherit, own: bool, above: &[AddHeader], mine: &[AddHeader]| -> Option<AddedFields> {
        match mode {
            Inherit::Off if !own && !mine.is_empty() => Some(AddedFields::default()),
            // A level's own fields come first (nginx).
            Inherit::Merge if own && !above.is_empty() => Some(mine.iter().chain(above).cloned().collect()),
            _ => None,
        }
    };
    let now = &s.output;
    let headers = merged(now.headers_inherit, own.add_header, &outer.headers, &now.headers);
    let trailers = merged(now.trailers_inherit, own.add_trailer, &outer.trailers, &now.trailers);
    if let Some(headers) = headers {
        output(s).headers = headers;
    }
    if let Some(trailers) = trailers {
        output(s).trailers = trailers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Template;

    #[test]
    fn fields_of_the_outer_level_are_merged_behind_those_of_the_inner() {
        let field = |name: &[u8]| AddHeader { name: name.into(), value: Template::literal(b"v"), always: false };
        let outer = Output { headers: [field(b"Outer")].into_iter().collect(), ..Output::default() };
        let (alone, both) = (vec!["Inner"], vec!["Inner", "Outer"]);
        for (mode, expected) in [(Inherit::On, alone.clone()), (Inherit::Merge, both), (Inherit::Off, alone)] {
            let mut inner = Settings::default();
            output(&mut inner).headers = [field(b"Inner")].into_iter().collect();
            output(&mut inner).headers_inherit = mode;
            inherit(&mut inner, &outer, OwnLines { add_header: true, add_trailer: false });
            let names: Vec<_> = inner.output.headers.iter().map(|field| String::from_utf8_lossy(&field.name)).collect();
            assert_eq!(names, expected, "{mode:?}");
        }
        let mut bare = Settings { output: Rc::new(outer.clone()), ..Settings::default() };
        output(&mut bare).headers_inherit = Inherit::Off;
        inherit(&mut bare, &outer, OwnLines::default());
        let names: Vec<_> = bare.output.headers.iter().map(|field| String::from_utf8_lossy(&field.name)).collect();
        assert!(names.is_empty(), "none of its own, and none inherited");
    }
}
