//! Variables of the response: its status, its fields, how much of it was sent.

use super::put::{Is, joined, number, put, set};
use crate::config::template::Builtin;
use crate::exchange::response::Decided;
use crate::exchange::{Exchange, Tx};
use crate::http::status::Status;
use crate::services::Services;
use std::io::Write;

/// The value of a variable of the response. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, _: &mut Services, out: &mut Vec<u8>) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        B::Status => {
            // While an error's page is made, that of the error: it is what will be sent. Nothing is known before
            // (nginx).
            let status = match ex.route.error_page {
                Some(status) if status.0 != 0 && ex.progress.tx == Tx::Wait => status,
                // A page answered with 206 or 304 still has the status of its error (nginx).
                Some(status) if status.0 != 0 && is_of_page(ex.response.status) => status,
                _ if ex.progress.tx == Tx::Wait && !ex.response.has_status() => Status(0),
                _ => ex.response.status,
            };
            write!(out, "{:03}", status.0).expect("a Vec takes all that is written");
            Is::Set
        }
        B::BytesSent => number(ex.bytes_sent(), out),
        B::BodyBytesSent => number(ex.body_bytes_sent(), out),
        B::GzipRatio => match &ex.response.tally {
            Some(tally) => ratio(tally.get(), out),
            None => Is::Unset,
        },
        _ => return None,
    })
}

/// The request for a page may lead to it under any other status.
fn is_of_page(status: Status) -> bool {
    matches!(status, Status::PARTIAL_CONTENT | Status::NOT_MODIFIED)
}

/// `$sent_http_NAME`: `name` in lower case with underscores. Before the head is written it has what is decided so far.
pub fn field(ex: &Exchange, name: &[u8], out: &mut Vec<u8>) -> Is {
    let response = &ex.response;
    match name {
        b"content_type" if !response.describes_content(response.status) => return Is::Unset,
        b"content_type" => return set(response.content_type.as_bytes(), out),
        // Decided behind the lines of add_header (nginx).
        b"accept_ranges" if ex.progress.tx != Tx::Wait && response.ranges && response.status == Status::OK => {
            return put(Some(b"bytes"), out);
        }
        b"transfer_encoding" if ex.out.is_chunked() => return put(ex.out.transfer_coding(), out),
        b"content_length" if ex.out.is_chunked() || response.status == Status::NOT_MODIFIED => return Is::Unset,
        b"content_length" if response.announced.is_some() => return number(response.announced.unwrap_or(0), out),
        b"last_modified" if response.last_modified.is_some() => {
            return put(response.last_modified.as_ref().map(|(_, text)| &text[..]), out);
        }
        b"etag" if response.etag.is_some() => return put(response.etag.as_ref().map(|tag| tag.as_bytes()), out),
        b"location" if response.location.is_some() => return put(response.location.as_deref(), out),
        b"connection" => {
            return put(Some(ex.out.connection_option(response.status == Status::SWITCHING_PROTOCOLS)), out);
        }
        b"content_length" if ex.progress.tx != Tx::Wait || response.decided != Decided::Whole => return Is::Unset,
        b"content_length" => {
            return match response.body.length() {
                Some(n) => number(n, out),
                None => Is::Unset,
            };
        }
        _ => {}
    }
    joined(response.fields.iter(), name, out)
}

/// nginx's `$gzip_ratio`: how many times smaller, rounded to two digits.
fn ratio((taken, made): (u64, u64), out: &mut Vec<u8>) -> Is {
    if made == 0 {
        return Is::Unset;
    }
    let hundredths = (taken.saturating_mul(1000) / made + 5) / 10;
    write!(out, "{}.{:02}", hundredths / 100, hundredths % 100).expect("a Vec takes all that is written");
    Is::Set
}
