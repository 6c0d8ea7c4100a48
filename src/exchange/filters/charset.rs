//! charset: named in Content-Type, and the body recoded where its source differs.

use crate::config::directives::charset::Recode;
use crate::config::model::Level;
use crate::exchange::response::{Body, ContentType};
use crate::exchange::source::{Encoder, Source};
use crate::exchange::{Exchange, vars};
use crate::http::status::Status;
use crate::shared::Cx;

pub fn apply(ex: &mut Exchange, cx: &mut Cx) {
    if ex.here().settings.charset.name.is_none() {
        return;
    }
    let charset = ex.here().settings.charset.clone();
    let Some(name) = &charset.name else { return };
    let kind = ex.response.content_type.as_bytes();
    let named = memchr::memmem::find(kind, b"charset=").is_some();
    // A browser may take the charset of a redirect for that of the next page (nginx).
    let redirect =
        matches!(ex.response.status, Status::MOVED_PERMANENTLY | Status::FOUND) && ex.response.location.is_some();
    if kind.is_empty() || named || redirect || ex.response.encoded || !charset.types.contains(kind) {
        return;
    }
    let kind = kind.to_vec();
    let name = vars::text(name, ex, cx);
    if name.is_empty() {
        return;
    }
    let source = charset.source.as_ref().map(|source| vars::text(source, ex, cx)).unwrap_or_default();
    ex.response.content_type = ContentType::Shared([&kind[..], b"; charset=", &name].concat().into());
    if source.is_empty() || source.eq_ignore_ascii_case(&name) {
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
    let recode = Some(map.recode.clone());
    match (std::mem::take(&mut ex.response.body), &map.recode) {
        // The length stays, so do ranges: recoded where it is queued.
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
        (Body::File(file), _) => {
            let end = file.stat.size;
            ex.response.body = Body::Made(Box::new(Source::file(file, 0, end).recode(recode)));
            ex.response.ranges = false;
            ex.response.weaken();
        }
        (Body::Stream { length }, kind) => {
            let same = matches!(kind, Recode::Bytes(_));
            ex.response.encoder.get_or_insert_with(Box::<Encoder>::default).recode(recode);
            ex.response.body = Body::Stream { length: length.filter(|_| same) };
            ex.response.remove(b"accept-ranges");
            ex.response.weaken();
        }
        (body, _) => ex.response.body = body,
    }
}
