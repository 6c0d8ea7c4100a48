//! charset: names it in Content-Type, and converts the body if its source has another.

use crate::config::model::Level;
use crate::config::settings::charset::{Charset, Recode};
use crate::exchange::basis::Cacheable;
use crate::exchange::body_encoder::{Encoder, Source};
use crate::exchange::response::{Body, ContentType};
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;

/// `charset`, `source_charset` and `charset_map`, as nginx's charset filter: adds the parameter to Content-Type, and
/// has the body recoded where there is a map.
pub fn apply(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    let named = ex.location().settings.charset.name.is_some() || ex.route.kept.charset.is_some();
    // A 304 made here has no type.
    if named && ex.response.describes_content(ex.response.status) {
        name_and_recode(ex, cx);
    }
    // Configured charsets are the same each time; a variable revokes the vouching itself.
    Cacheable::Yes
}

fn name_and_recode(ex: &mut Exchange, cx: &mut Services) {
    let charset = ex.location().settings.charset.clone();
    let kind = ex.response.content_type.as_bytes().to_vec();
    // An upstream response's type has its charset in a separate field (nginx).
    let stream = matches!(ex.response.body, Body::Stream { .. });
    let (bare, named) = if stream { parted(&kind) } else { (&kind[..], None) };
    let Some(name) = wanted(&charset, &kind, named, ex, cx) else { return };
    let source = match named {
        Some(named) => Some(named.to_vec()),
        None => charset.source.as_ref().map(|source| variables::text(source, ex, cx)),
    };
    let content_type = ContentType::Shared([bare, b"; charset=", &name].concat().into());
    // A variable without a value names no charset; without `source_charset`, any source is accepted.
    let Some(source) = source.filter(|source| !source.eq_ignore_ascii_case(&name)) else {
        ex.response.content_type = content_type;
        return;
    };
    if ex.response.encoded {
        return;
    }
    let config = ex.config.clone();
    let map = config
        .tables
        .charsets
        .iter()
        .find(|map| map.from.eq_ignore_ascii_case(&source) && map.to.eq_ignore_ascii_case(&name));
    let Some(map) = map else {
        let (from, to) = (String::from_utf8_lossy(&source), String::from_utf8_lossy(&name));
        ex.report(cx, Level::Error, format_args!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\""));
        return;
    };
    ex.response.content_type = content_type;
    // An upstream's 304 has nothing to recode.
    if ex.response.status != Status::NOT_MODIFIED {
        recode(ex, cx, &map.recode);
    }
}

/// The charset to send; None: the response stays as it is.
fn wanted(
    charset: &Charset,
    kind: &[u8],
    named: Option<&[u8]>,
    ex: &mut Exchange,
    cx: &mut Services,
) -> Option<Vec<u8>> {
    if kind.is_empty() {
        return None;
    }
    // An upstream's X-Accel-Charset takes precedence over the directive, for any type; but only if the configuration
    // knows the charset (nginx).
    if let Some(name) = ex.route.kept.charset.clone() {
        let known = ex.config.tables.charset_names.iter().any(|known| known.eq_ignore_ascii_case(&name));
        if !known {
            let name = String::from_utf8_lossy(&name);
            ex.report(cx, Level::Error, format_args!("unknown charset \"{name}\" to override"));
        }
        return known.then(|| name.to_vec());
    }
    let name = charset.name.as_ref()?;
    // Browsers may apply the charset of a redirect to the next page (nginx).
    let redirect = matches!(ex.response.status, Status::MOVED_PERMANENTLY | Status::FOUND);
    let fits = match named {
        Some(_) => charset.override_charset,
        None => memchr::memmem::find(kind, b"charset=").is_none() && charset.types.contains(kind),
    };
    if redirect || !fits {
        return None;
    }
    Some(variables::text(name, ex, cx)).filter(|name| !name.is_empty())
}

/// Splits `type; charset=name` into the type with its other parameters, and the name without quotes.
fn parted(kind: &[u8]) -> (&[u8], Option<&[u8]>) {
    for at in memchr::memchr_iter(b';', kind) {
        let (bare, parameter) = (&kind[..at], kind[at + 1..].trim_ascii_start());
        if let Some((word, name)) = parameter.split_at_checked(8)
            && word.eq_ignore_ascii_case(b"charset=")
        {
            let name = name.trim_ascii();
            let quoted = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
            return (bare, Some(quoted.unwrap_or(name)).filter(|name| !name.is_empty()));
        }
    }
    (kind, None)
}

/// Converts the body to the other charset.
fn recode(ex: &mut Exchange, cx: &mut Services, how: &Recode) {
    let recode = Some(how.clone());
    match (std::mem::take(&mut ex.response.body), how) {
        // Length and ranges stay correct, so it is converted when it is queued.
        (body @ Body::File(_), Recode::Bytes(_)) => {
            ex.response.body = body;
            ex.response.recode = recode;
        }
        (Body::Bytes(bytes), _) => {
            let made = Source::bytes(bytes).recode(recode).whole(&mut cx.scratch);
            ex.response.body = Body::Bytes(made.unwrap_or_default());
        }
        (Body::Shared(bytes), _) => {
            let made = Source::bytes(bytes.to_vec()).recode(recode).whole(&mut cx.scratch);
            ex.response.body = Body::Bytes(made.unwrap_or_default());
        }
        (Body::Made(source), _) => ex.response.body = Body::Made(Box::new(source.recode(recode))),
        (Body::File(file), _) => {
            let end = file.stat.size;
            ex.response.body = Body::Made(Box::new(Source::file(file, 0, end).recode(recode)));
            ex.response.ranges = false;
        }
        (Body::Stream { length }, kind) => {
            let same = matches!(kind, Recode::Bytes(_));
            ex.response.encoder.get_or_insert_with(Box::<Encoder>::default).recode(recode);
            ex.response.body = Body::Stream { length: length.filter(|_| same) };
            ex.response.fields.remove(b"accept-ranges");
        }
        (body, _) => ex.response.body = body,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_charset_is_parted_from_its_type() {
        for (kind, bare, name) in [
            ("text/html", "text/html", None),
            ("text/html; charset=utf-8", "text/html", Some("utf-8")),
            ("text/html;Charset=\"koi8-r\"", "text/html", Some("koi8-r")),
            ("text/html; x=y; charset=a ", "text/html; x=y", Some("a")),
            ("text/html; charset=", "text/html", None),
            ("text/html; charset", "text/html; charset", None),
            (";", ";", None),
        ] {
            let (got, named) = super::parted(kind.as_bytes());
            assert_eq!((got, named), (bare.as_bytes(), name.map(str::as_bytes)), "{kind}");
        }
    }
}
