//! The response: what was stored and where, or why nothing was; as HTML, JSON or text, by Accept.

use super::limit::Limit;
use super::raw;
use super::record::Stored;
use super::refusal::Refusal;
use super::sent_form;
use crate::config::model::{ContentHandler, Level};
use crate::config::settings::upload::Answer;
use crate::config::template::{Template, Var};
use crate::exchange::flow::Flow;
use crate::exchange::handlers::add_slash;
use crate::exchange::response::{Body, ContentType};
use crate::exchange::{Exchange, body_limit, error_page, variables};
use crate::http::escape::{escape_component, escape_path, html_escape, json_escape};
use crate::http::field_syntax::{list, weighted};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;
use std::io::Write;

const BODY_TOO_LARGE: &str = "the body of the request is too large";

/// The media type of the response to an upload, by the client's Accept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A page for people: `text/html`, for forms.
    Html,
    /// `application/json`.
    Json,
    /// `text/plain`: the default, for scripts.
    Text,
}

/// The format that an Accept line prefers: the one with the highest weight, the first among equals. None: no format
/// in particular, as with `*` ranges.
pub fn format(accept: &[u8]) -> Option<Format> {
    let mut best = (0, None);
    for range in list(accept) {
        let (kind, weight) = weighted(range);
        let format = match &kind.to_ascii_lowercase()[..] {
            b"text/html" | b"application/xhtml+xml" => Format::Html,
            b"application/json" | b"application/problem+json" => Format::Json,
            b"text/plain" => Format::Text,
            _ => continue,
        };
        // A malformed weight counts in full.
        let weight = weight.unwrap_or(1000);
        if weight > best.0 {
            best = (weight, Some(format));
        }
    }
    best.1
}

fn format_of(ex: &Exchange) -> Option<Format> {
    let accept: Vec<&[u8]> = ex.request.head.all(HeaderId::Accept).map(|field| field.value.of(ex.buf())).collect();
    format(&accept.join(&b","[..]))
}

/// The response when everything is stored. `uri` is the directory's; `stored` is not empty unless upload_return
/// answers.
pub fn stored(ex: &mut Exchange, cx: &mut Services, uri: &[u8], stored: &[Stored], answer: Option<&Answer>) -> Flow {
    // Names and fields that the client chose are no commands.
    ex.response.is_inert = true;
    let single = match stored {
        [one] => Some(one),
        _ => None,
    };
    if let Some(file) = single.filter(|file| !file.digest.is_empty()) {
        // Like ETag, the digest of what is stored now (RFC 9110 §8.8, RFC 9530 §3).
        ex.response.line(b"Repr-Digest", &file.digest);
    }
    let replaced = !stored.is_empty() && stored.iter().all(|file| file.replaced);
    if single.is_some_and(|file| file.is_dated) && raw::given_time(ex).is_some() {
        ex.response.line(b"X-OC-MTime", b"accepted");
    }
    if ex.route.method == Method::Put {
        ex.response.etag = single.map(|file| file.etag);
        if replaced {
            ex.response.status = Status::NO_CONTENT;
            return Flow::Respond;
        }
    } else if let Some(answer) = answer {
        return configured(ex, cx, answer);
    }
    let format = format_of(ex).unwrap_or(Format::Text);
    // A browser that posted the listing's form goes back to the listing.
    if format == Format::Html && ex.route.method == Method::Post && ex.location().settings.listing.upload {
        let mut listing = Vec::new();
        escape_path(uri, &mut listing);
        ex.response.location = Some(listing);
        ex.response.status = Status::SEE_OTHER;
    } else {
        let mut location = Vec::new();
        escape_path(uri, &mut location);
        single.into_iter().for_each(|file| escape_name(&file.name, &mut location));
        ex.response.location = Some(location);
        ex.response.status = if replaced { Status::OK } else { Status::CREATED };
        ex.response.etag = single.map(|file| file.etag);
    }
    ex.response.content_type = ContentType::Static(match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/json",
        Format::Text => "text/plain; charset=utf-8",
    });
    ex.response.body = Body::Bytes(render(format, uri, stored));
    Flow::Respond
}

/// upload_return.
fn configured(ex: &mut Exchange, cx: &mut Services, answer: &Answer) -> Flow {
    let status = Status(answer.code);
    let redirect = status.is_redirect();
    let text = answer.text.as_ref().map(|text| match redirect {
        true => uri(text, ex, cx),
        false => variables::text(text, ex, cx),
    });
    if redirect {
        ex.response.location = text;
        return Flow::Status(status);
    }
    ex.response.status = status;
    if let Some(text) = text
        && !status.has_no_content()
    {
        ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), text);
    }
    Flow::Respond
}

/// A template as a URI: names and fields that the client chose are escaped and stay one component.
fn uri(template: &Template, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    variables::expand_by(template, ex, cx, |var, ex, cx, out| {
        let is_of_client = match var {
            Var::UploadField(_) => true,
            Var::Builtin(builtin) => builtin.name().starts_with("upload_"),
            _ => false,
        };
        if is_of_client {
            let mut value = Vec::new();
            variables::value(var, ex, cx, &mut value);
            escape_component(&value, out);
        }
        is_of_client
    })
}

/// The list of what was stored in the directory `uri`.
pub fn render(format: Format, uri: &[u8], stored: &[Stored]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let href = |file: &Stored| {
        let mut href = Vec::new();
        escape_path(uri, &mut href);
        escape_name(&file.name, &mut href);
        href
    };
    match format {
        Format::Json => {
            out.extend_from_slice(b"{\"files\":[");
            for (at, file) in stored.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"{\"name\":\"" } else { b",{\"name\":\"" });
                json_escape(&file.name, &mut out);
                let _ = write!(out, "\",\"size\":{},\"location\":\"", file.size);
                out.extend_from_slice(&href(file));
                let _ = write!(out, "\",\"replaced\":{}", file.replaced);
                if !file.digest.is_empty() {
                    out.extend_from_slice(b",\"digest\":\"");
                    json_escape(&file.digest, &mut out);
                    out.push(b'"');
                }
                out.push(b'}');
            }
            out.extend_from_slice(b"]}\n");
        }
        Format::Html => {
            page(&mut out, "Stored");
            out.extend_from_slice(b"<ul>\n");
            for file in stored {
                out.extend_from_slice(b"<li><a href=\"");
                out.extend_from_slice(&href(file));
                out.extend_from_slice(b"\"><bdi>");
                html_escape(&file.name, &mut out);
                let _ = writeln!(out, "</bdi></a> ({} bytes{})", file.size, note(file));
            }
            out.extend_from_slice(b"</ul>\n</body>\n</html>\n");
        }
        Format::Text => {
            for file in stored {
                out.extend_from_slice(&href(file));
                let _ = writeln!(out, " {} bytes{}", file.size, note(file));
            }
        }
    }
    out
}

/// The name of a stored file; its slashes separate the folders in which it was stored.
fn escape_name(name: &[u8], out: &mut Vec<u8>) {
    for (at, component) in name.split(|b| *b == b'/').enumerate() {
        if at > 0 {
            out.push(b'/');
        }
        escape_component(component, out);
    }
}

fn note(file: &Stored) -> &'static str {
    if file.replaced { ", replaced" } else { "" }
}

fn page(out: &mut Vec<u8>, title: &str) {
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
    );
}

/// Nothing is stored: says why, to the log and to the client. An error page of the configuration takes precedence.
pub fn refuse(ex: &mut Exchange, cx: &mut Services, refusal: &Refusal) -> Flow {
    if refusal.status == Status::PERMANENT_REDIRECT {
        return add_slash::redirect(ex);
    }
    if refusal.status == Status::SERVICE_UNAVAILABLE {
        ex.response.line(b"Retry-After", b"1");
    }
    let between = if refusal.detail.is_empty() { "" } else { ": " };
    let name: String = refusal.name.iter().flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
    let of = if name.is_empty() { String::new() } else { format!(" (file name \"{name}\")") };
    let (why, detail) = (&refusal.why, &refusal.detail);
    let limit = Limit::of(ex, refusal.limit);
    let what = if is_removal(ex) { "DELETE" } else { "upload" };
    ex.report(cx, refusal.level, format_args!("{what} refused: {why}{limit}{of}{between}{detail}"));
    // A form of the listing has a page of its own, which leads back and has its words for the status.
    if ex.route.sent_form.is_some() && format_of(ex) != Some(Format::Json) {
        return Flow::Status(refusal.status);
    }
    respond(ex, refusal, &limit)
}

/// A DELETE that is refused says why. nginx's own module (`dav_methods`) answers with the standard page, as does a form
/// of the listing with its own.
pub fn not_removed(ex: &mut Exchange, status: Status, why: &'static str) -> Flow {
    let is_plain = ex.location().settings.dav.methods.contains(Method::Delete) || ex.route.sent_form.is_some();
    if is_plain {
        return Flow::Status(status);
    }
    respond(ex, &Refusal::new(status, why), &Limit::default())
}

/// Whether the request would have removed something: its refusals say that nothing was deleted.
fn is_removal(ex: &Exchange) -> bool {
    ex.route.method == Method::Delete
}

/// The names are as the request wants them, but the disk has not confirmed it.
pub fn unconfirmed(ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
    ex.report(cx, Level::Crit, format_args!("done, but perhaps not on the disk: {call} of the directory failed {e}"));
    let why = "it is done, but the disk does not confirm it: a power cut may undo it";
    respond(ex, &Refusal::new(Status::INTERNAL_SERVER_ERROR, why), &Limit::default())
}

fn respond(ex: &mut Exchange, refusal: &Refusal, limit: &Limit) -> Flow {
    if !error_page::is_own_text_sent(ex, refusal.status) {
        return Flow::Status(refusal.status);
    }
    if is_page_form(ex) {
        sent_form::note(ex, refusal, limit);
        return Flow::Status(refusal.status);
    }
    tell(ex, format_of(ex).unwrap_or(Format::Text), refusal, limit);
    Flow::Respond
}

/// The body of a listing's form was too large, as its head said: for the page of the listing.
pub fn note_too_large(ex: &mut Exchange, status: Status) {
    if ex.route.sent_form.is_none() && is_body_too_large(ex, status) && is_page_form(ex) {
        let limit = Limit::of(ex, "client_max_body_size");
        sent_form::note(ex, &Refusal::new(status, BODY_TOO_LARGE), &limit);
    }
}

/// Whether the location would have stored the body, had it not been larger than client_max_body_size.
fn is_body_too_large(ex: &Exchange, status: Status) -> bool {
    status == Status::CONTENT_TOO_LARGE
        && body_limit::was_exceeded(ex)
        && ex.location().content == ContentHandler::Files
        && ex.location().stores()
}

/// Whether the request is a listing's form of uploads, from a client that reads pages.
fn is_page_form(ex: &Exchange) -> bool {
    ex.route.method == Method::Post
        && ex.location().settings.listing.upload
        && ex.route.uri.ends_with(b"/")
        && format_of(ex) == Some(Format::Html)
}

fn tell(ex: &mut Exchange, format: Format, refusal: &Refusal, limit: &Limit) {
    ex.response.etag = None;
    ex.response.location = None;
    ex.response.ranges = false;
    // RFC 9457 for clients that prefer JSON.
    let kind = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/problem+json",
        Format::Text => "text/plain; charset=utf-8",
    };
    let undone = if is_removal(ex) { "deleted" } else { "stored" };
    let body = problem(format, refusal, &limit.line.text, undone);
    ex.response.text(refusal.status, ContentType::Static(kind), body);
    ex.response.is_inert = true;
}

/// The response to a request that would have changed files and was refused elsewhere: as JSON or text for clients
/// that prefer them, and with the limit if one was exceeded. False: the standard page will do.
pub fn refused_otherwise(ex: &mut Exchange, status: Status) -> bool {
    let writes = matches!(ex.request.head.method, Method::Post | Method::Put | Method::Delete);
    if !writes || status.0 < 400 || ex.location().content != ContentHandler::Files {
        return false;
    }
    let (why, limit) = match is_body_too_large(ex, status) {
        true => (BODY_TOO_LARGE, "client_max_body_size"),
        false => ("", ""),
    };
    let format = match format_of(ex) {
        Some(Format::Json) => Format::Json,
        Some(Format::Html) if limit.is_empty() => return false,
        None if limit.is_empty() => return false,
        other => other.unwrap_or(Format::Text),
    };
    let limit = Limit::of(ex, limit);
    tell(ex, format, &Refusal::new(status.on_the_wire(), why), &limit);
    true
}

/// The body of a refusal. `limit`: the line whose limit was exceeded; may be empty. `undone`: what did not happen.
fn problem(format: Format, refusal: &Refusal, limit: &str, undone: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let status = refusal.status;
    let why = if limit.is_empty() { refusal.why.to_string() } else { format!("{} ({limit})", refusal.why) };
    let why = why.as_bytes();
    match format {
        Format::Json => {
            let _ = write!(out, "{{\"status\":{},\"title\":\"{}", status.0, status.reason());
            if !why.is_empty() {
                out.extend_from_slice(b"\",\"detail\":\"");
                json_escape(why, &mut out);
            }
            if !limit.is_empty() {
                out.extend_from_slice(b"\",\"limit\":\"");
                json_escape(limit.as_bytes(), &mut out);
            }
            if !refusal.name.is_empty() {
                out.extend_from_slice(b"\",\"name\":\"");
                json_escape(&refusal.name, &mut out);
            }
            out.extend_from_slice(b"\"}\n");
        }
        Format::Html => {
            page(&mut out, &format!("{} {}", status.0, status.reason()));
            out.extend_from_slice(b"<p>");
            if !refusal.name.is_empty() {
                out.extend_from_slice(b"<b><bdi>");
                html_escape(&refusal.name, &mut out);
                out.extend_from_slice(b"</bdi></b>: ");
            }
            html_escape(why, &mut out);
            let _ = writeln!(out, ". Nothing was {undone}.</p>");
        }
        Format::Text => {
            let _ = write!(out, "{} {}", status.0, status.reason());
            if why.is_empty() {
                out.push(b'\n');
                return out;
            }
            out.extend_from_slice(b": ");
            if !refusal.name.is_empty() {
                out.extend_from_slice(&refusal.name);
                out.extend_from_slice(b": ");
            }
            out.extend_from_slice(why);
            let _ = writeln!(out, ". Nothing was {undone}.");
        }
    }
    out
}

/// Body bytes that were spliced could not be written to their file.
pub fn not_written(ex: &mut Exchange, cx: &mut Services, e: Errno) -> Flow {
    let path = ex.route.uri.clone();
    refuse(ex, cx, &Refusal::call("splice()", &path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::http::etag::ETag;

    #[test]
    fn accept_chooses_the_format() {
        use Format::*;
        let table = [
            ("", None),
            ("*/*", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Html)),
            ("application/json", Some(Json)),
            ("application/json, text/plain, */*", Some(Json)),
            ("text/html;q=0.5, application/json", Some(Json)),
            ("text/html;q=0.5, application/json;q=0.4", Some(Html)),
            ("text/html;level=1;q=0.5, application/json ; q=0.501", Some(Json)),
            ("TEXT/HTML", Some(Html)),
            ("text/plain, text/html", Some(Text)),
            ("text/html;q=0", None),
            ("text/html;q=0.0, application/json;Q=0.001", Some(Json)),
            ("text/html;q=junk", Some(Html)),
            ("text/*", None),
            ("application/problem+json", Some(Json)),
        ];
        for (accept, expected) in table {
            assert_eq!(format(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn the_list_escapes_every_name() {
        let file = |name: &str, replaced| Stored {
            name: name.into(),
            size: 3,
            etag: ETag::new(0, 0, 3, 0),
            replaced,
            digest: if replaced { b"sha-256=:x:".to_vec() } else { Vec::new() },
            is_dated: false,
        };
        let files = [file("a\"<b>&.txt", false), file("\u{e9} x", true)];
        let text = |format| String::from_utf8(render(format, b"/u p/", &files)).expect("UTF-8");
        assert_eq!(
            text(Format::Json),
            "{\"files\":[{\"name\":\"a\\\"\\u003Cb>&.txt\",\"size\":3,\"location\":\"/u%20p/a%22%3Cb%3E%26.txt\",\
             \"replaced\":false},{\"name\":\"\u{e9} x\",\"size\":3,\"location\":\"/u%20p/%C3%A9%20x\",\"replaced\":true,\
             \"digest\":\"sha-256=:x:\"}]}\n"
        );
        assert_eq!(text(Format::Text), "/u%20p/a%22%3Cb%3E%26.txt 3 bytes\n/u%20p/%C3%A9%20x 3 bytes, replaced\n");
        let html = text(Format::Html);
        let first = "<li><a href=\"/u%20p/a%22%3Cb%3E%26.txt\"><bdi>a&quot;&lt;b&gt;&amp;.txt</bdi></a> (3 bytes)\n";
        assert!(html.contains(first), "{html}");
        assert_eq!(String::from_utf8(render(Format::Json, b"/", &[])).expect("UTF-8"), "{\"files\":[]}\n");
    }

    #[test]
    fn a_refusal_says_the_rule_and_a_judged_name() {
        let refusal = Refusal::new(Status::CONFLICT, "the name is taken").of(b"<i>.txt");
        let text = |format| String::from_utf8(problem(format, &refusal, "", "stored")).expect("UTF-8");
        assert_eq!(
            text(Format::Json),
            "{\"status\":409,\"title\":\"Conflict\",\"detail\":\"the name is taken\",\"name\":\"\\u003Ci>.txt\"}\n"
        );
        assert_eq!(text(Format::Text), "409 Conflict: <i>.txt: the name is taken. Nothing was stored.\n");
        assert!(text(Format::Html).contains("<b><bdi>&lt;i&gt;.txt</bdi></b>: the name is taken."));
        let bare = Refusal::new(Status::BAD_REQUEST, "the file name holds a slash");
        let text = String::from_utf8(problem(Format::Text, &bare, "", "stored")).expect("UTF-8");
        assert_eq!(text, "400 Bad Request: the file name holds a slash. Nothing was stored.\n");
        let large = Refusal::new(Status::CONTENT_TOO_LARGE, "the file is too large").of(b"x");
        let text =
            |format| String::from_utf8(problem(format, &large, "upload_max_file_size 1m", "stored")).expect("UTF-8");
        let json = text(Format::Json);
        assert!(json.contains("\"detail\":\"the file is too large (upload_max_file_size 1m)\""), "{json}");
        assert!(json.contains("\"limit\":\"upload_max_file_size 1m\",\"name\":\"x\"}"), "{json}");
        assert!(
            text(Format::Text).ends_with(": x: the file is too large (upload_max_file_size 1m). Nothing was stored.\n")
        );
        let bare =
            |format| String::from_utf8(problem(format, &Refusal::new(Status(405), ""), "", "stored")).expect("UTF-8");
        assert_eq!(bare(Format::Json), "{\"status\":405,\"title\":\"Not Allowed\"}\n");
        assert_eq!(bare(Format::Text), "405 Not Allowed\n");
    }

    #[test]
    fn a_form_of_the_listing_is_told_from_other_requests() {
        let mut site = Site::new("", "location /p/ { allowed_methods POST; autoindex on; autoindex_upload on; }");
        for (line, accept, expected) in [
            ("POST /p/", "text/html", true),
            ("POST /p/", "application/json", false),
            ("POST /p/f", "text/html", false),
            ("PUT /p/", "text/html", false),
            ("POST /", "text/html", false),
        ] {
            let ex = site.at(line, &[&format!("Accept: {accept}")], INSIDE);
            assert_eq!(is_page_form(&ex), expected, "{line} {accept}");
        }
    }
}
