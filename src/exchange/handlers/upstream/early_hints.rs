//! Early hints (103, RFC 8297) from an upstream: passed on before its response if `early_hints` says so. Other interim
//! responses concern only the upstream connection and are dropped.

use super::connection_options::ConnectionOptions;
use super::settings::settings;
use crate::config::model::Level;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::{Exchange, variables};
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::http::upstream_head::UpstreamHead;
use crate::http::version::Version;
use crate::services::Services;

/// An interim response.
pub(super) struct Hints<'a> {
    /// Its status and fields.
    pub head: &'a UpstreamHead,
    /// The bytes that the spans of `head` are offsets into.
    pub bytes: &'a [u8],
    /// The number of its bytes.
    pub len: usize,
    /// The protocol that it came in.
    pub protocol: Protocol,
}

/// Processes an interim response; `hinted` counts the bytes of earlier ones. False: an HTTP/1.0 server must not send
/// it.
pub(super) fn pass(hints: &Hints<'_>, hinted: &mut usize, ex: &mut Exchange, cx: &mut Services) -> bool {
    if hints.head.status != Status::EARLY_HINTS.0 {
        return true;
    }
    if hints.head.version < Version::Http11 {
        let what = "upstream sent HTTP/1.0 response with early hints while reading response header from upstream";
        ex.report(cx, Level::Error, format_args!("{what}"));
        return false;
    }
    *hinted += hints.len;
    if *hinted as u64 > settings(ex).buffer_size.0 {
        let what = "upstream sent too big early hints while reading response header from upstream";
        ex.report(cx, Level::Info, format_args!("{what}"));
        return true;
    }
    // HTTP/1.0 clients do not know interim responses; those of a subrequest do not concern the page.
    if ex.request.head.version < Version::Http11 || ex.nesting.subrequest.is_some() || !is_wanted(ex, cx) {
        return true;
    }
    let fields = fields(hints, ex);
    if !fields.is_empty() {
        ex.out.interim(Status::EARLY_HINTS, &fields);
    }
    true
}

fn is_wanted(ex: &mut Exchange, cx: &mut Services) -> bool {
    let strings = ex.location().settings.output.early_hints.clone();
    strings.iter().any(|string| variables::is_true(&variables::text(string, ex, cx)))
}

/// The fields for the client: as in a final response, without those that concern the connection or the content.
fn fields(hints: &Hints<'_>, ex: &Exchange) -> Fields {
    let settings = settings(ex);
    let mut fields = Fields::default();
    let named = hints.head.fields.iter().filter(|field| field.id == HeaderId::Connection);
    let options = ConnectionOptions::of(named.map(|field| field.value.of(hints.bytes)));
    for field in &hints.head.fields {
        let (name, value) = (field.name.of(hints.bytes), field.value.of(hints.bytes));
        if hints.protocol.passes(settings, field.id, name) && !options.withhold(field.id, name) {
            fields.push(name, value);
        }
    }
    fields
}
