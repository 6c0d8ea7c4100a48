//! What the client is told: what was stored and where, or why nothing was; as HTML, JSON or text, by Accept.

use super::name::{As, Known, expand};
use super::refusal::Refusal;
use crate::config::directives::upload::Answer;
use crate::exchange::phases::Flow;
use crate::exchange::response::{Body, ContentType};
use crate::exchange::{Exchange, error_page};
use crate::http::escape::{escape_component, escape_path, html_escape, json_escape};
use crate::http::etag::ETag;
use crate::http::header::{HeaderId, list, trim_ows};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::shared::Cx;
use std::io::Write;

/// A file that was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    pub etag: ETag,
    /// It took the place of another.
    pub replaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Html,
    Json,
    Text,
}

/// The format that an Accept line asks for: the one with the highest quality, the first among equals. A range with a
/// `*` asks for nothing in particular.
pub fn format(accept: &[u8]) -> Format {
    let mut best = (0, Format::Text);
    for range in list(accept) {
        let mut parameters = range.split(|b| *b == b';').map(trim_ows);
        let kind = parameters.next().unwrap_or_default().to_ascii_lowercase();
        let format = match &kind[..] {
            b"text/html" | b"application/xhtml+xml" => Format::Html,
            b"application/json" | b"application/problem+json" => Format::Json,
            b"text/plain" => Format::Text,
            _ => continue,
        };
        let quality =
            parameters.find_map(|p| p.strip_prefix(b"q=").or(p.strip_prefix(b"Q="))).map_or(1000, thousandths);
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

/// `0.5` → 500. What is malformed counts in full.
fn thousandths(text: &[u8]) -> u32 {
    let text = std::str::from_utf8(text).unwrap_or("1");
    text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).map_or(1000, |q| (q * 1000.0) as u32)
}

fn format_of(ex: &Exchange) -> Format {
    let accept: Vec<&[u8]> = ex.head.all(HeaderId::Accept).map(|field| field.value.of(ex.buf())).collect();
    format(&accept.join(&b","[..]))
}

/// All is stored: the answer to it. `uri` is the directory's; `stored` is not empty unless upload_return answers.
pub fn stored(
    ex: &mut Exchange,
    cx: &mut Cx,
    uri: &[u8],
    stored: &[Stored],
    fields: &[(Box<[u8]>, Vec<u8>)],
    answer: Option<&Answer>,
) -> Flow {
    let mut location = Vec::new();
    escape_path(uri, &mut location);
    let single = match stored {
        [one] => {
            escape_component(&one.name, &mut location);
            Some(one)
        }
        _ => None,
    };
    let replaced = !stored.is_empty() && stored.iter().all(|file| file.replaced);
    if ex.method == Method::Put {
        ex.response.etag = single.map(|file| file.etag);
        if replaced {
            ex.response.status = Status::NO_CONTENT;
            return Flow::Respond;
        }
    } else if let Some(answer) = answer {
        return configured(ex, cx, stored, fields, answer);
    }
    let format = format_of(ex);
    // A browser that posted the listing's form goes back to the listing.
    if format == Format::Html && ex.method == Method::Post && ex.here().settings.listing.upload {
        let mut listing = Vec::new();
        escape_path(uri, &mut listing);
        ex.response.location = Some(listing);
        ex.response.status = Status::SEE_OTHER;
    } else {
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
fn configured(
    ex: &mut Exchange,
    cx: &mut Cx,
    stored: &[Stored],
    fields: &[(Box<[u8]>, Vec<u8>)],
    answer: &Answer,
) -> Flow {
    let status = Status(answer.code);
    let redirect = matches!(answer.code, 301 | 302 | 303 | 307 | 308);
    let first = stored.first();
    let known = Known { name: first.map_or(b"", |file| &file.name), size: first.map(|file| file.size), fields };
    let how = if redirect { As::Uri } else { As::Text };
    let text = answer.text.as_ref().map(|text| expand(text, ex, cx, &known, how));
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

/// The list of what was stored in the directory `uri`.
pub fn render(format: Format, uri: &[u8], stored: &[Stored]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let href = |file: &Stored| {
        let mut href = Vec::new();
        escape_path(uri, &mut href);
        escape_component(&file.name, &mut href);
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
                let _ = write!(out, "\",\"replaced\":{}}}", file.replaced);
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

fn note(file: &Stored) -> &'static str {
    if file.replaced { ", replaced" } else { "" }
}

fn page(out: &mut Vec<u8>, title: &str) {
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
    );
}

/// Nothing is stored: says why, to the log and to the client. An error page of the configuration goes before.
pub fn refuse(ex: &mut Exchange, cx: &mut Cx, refusal: &Refusal) -> Flow {
    let status = refusal.status;
    let between = if refusal.detail.is_empty() { "" } else { ": " };
    let name: String = refusal.name.iter().flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
    let of = if name.is_empty() { String::new() } else { format!(" (file name \"{name}\")") };
    let (why, detail) = (&refusal.why, &refusal.detail);
    ex.report(cx, refusal.level, format_args!("upload refused: {why}{of}{between}{detail}"));
    if error_page::has(ex, status) && ex.error_page.is_none() {
        return Flow::Status(status);
    }
    let format = format_of(ex);
    ex.response.etag = None;
    ex.response.location = None;
    ex.response.ranges = false;
    // RFC 9457 for those who ask for JSON.
    let kind = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/problem+json",
        Format::Text => "text/plain; charset=utf-8",
    };
    ex.response.text(status, ContentType::Static(kind), problem(format, refusal));
    Flow::Respond
}

/// The body of a refusal.
pub fn problem(format: Format, refusal: &Refusal) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let (status, why) = (refusal.status, refusal.why.as_bytes());
    match format {
        Format::Json => {
            let _ = write!(out, "{{\"status\":{},\"title\":\"{}\",\"detail\":\"", status.0, status.reason());
            json_escape(why, &mut out);
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
            out.extend_from_slice(b". Nothing was stored.</p>\n</body>\n</html>\n");
        }
        Format::Text => {
            let _ = write!(out, "{} {}: ", status.0, status.reason());
            if !refusal.name.is_empty() {
                out.extend_from_slice(&refusal.name);
                out.extend_from_slice(b": ");
            }
            out.extend_from_slice(why);
            out.extend_from_slice(b". Nothing was stored.\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_format() {
        use Format::*;
        let table = [
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Html),
            ("application/json", Json),
            ("application/json, text/plain, */*", Json),
            ("text/html;q=0.5, application/json", Json),
            ("text/html;q=0.5, application/json;q=0.4", Html),
            ("TEXT/HTML", Html),
            ("text/plain, text/html", Text),
            ("text/html;q=0", Text),
            ("text/html;q=junk", Html),
            ("text/*", Text),
            ("application/problem+json", Json),
        ];
        for (accept, expected) in table {
            assert_eq!(format(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn the_list_escapes_every_name() {
        let file = |name: &str, replaced| Stored { name: name.into(), size: 3, etag: ETag::new(0, 0, 3), replaced };
        let files = [file("a\"<b>&.txt", false), file("\u{e9} x", true)];
        let text = |format| String::from_utf8(render(format, b"/u p/", &files)).expect("UTF-8");
        assert_eq!(
            text(Format::Json),
            "{\"files\":[{\"name\":\"a\\\"\\u003Cb>&.txt\",\"size\":3,\"location\":\"/u%20p/a%22%3Cb%3E%26.txt\",\
             \"replaced\":false},{\"name\":\"\u{e9} x\",\"size\":3,\"location\":\"/u%20p/%C3%A9%20x\",\"replaced\":true}]}\n"
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
        let text = |format| String::from_utf8(problem(format, &refusal)).expect("UTF-8");
        assert_eq!(
            text(Format::Json),
            "{\"status\":409,\"title\":\"Conflict\",\"detail\":\"the name is taken\",\"name\":\"\\u003Ci>.txt\"}\n"
        );
        assert_eq!(text(Format::Text), "409 Conflict: <i>.txt: the name is taken. Nothing was stored.\n");
        assert!(text(Format::Html).contains("<b><bdi>&lt;i&gt;.txt</bdi></b>: the name is taken."));
        let bare = Refusal::new(Status::BAD_REQUEST, "the file name holds a slash");
        let text = String::from_utf8(problem(Format::Text, &bare)).expect("UTF-8");
        assert_eq!(text, "400 Bad Request: the file name holds a slash. Nothing was stored.\n");
    }
}
