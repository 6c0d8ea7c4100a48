//! The status line of a response (RFC 9112 §4). That of a registered code is a constant: the hot path copies it and
//! formats nothing.

use crate::http::status::{Status, statuses};
use std::io::Write;

macro_rules! lines {
    ($($name:ident $code:literal $reason:literal;)*) => {
        /// The whole line `HTTP/1.1 200 OK\r\n`. None for a code that is not registered.
        fn constant(status: Status) -> Option<&'static [u8]> {
            match status.0 {
                $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n").as_bytes()),)*
                _ => None,
            }
        }
    };
}

statuses!(lines);

/// Appends the line. `reason`: an upstream's words for the status.
pub fn append(status: Status, reason: Option<&[u8]>, out: &mut Vec<u8>) {
    match (constant(status), reason) {
        (_, Some(reason)) => {
            let _ = write!(out, "HTTP/1.1 {:03} ", status.0);
            out.extend_from_slice(reason);
            out.extend_from_slice(b"\r\n");
        }
        (Some(line), None) => out.extend_from_slice(line),
        (None, None) => {
            let _ = write!(out, "HTTP/1.1 {:03} {}\r\n", status.0, status.reason());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::status::ALL;

    #[test]
    fn a_known_code_has_a_line_made_of_its_code_and_reason() {
        for status in ALL {
            let line = format!("HTTP/1.1 {} {}\r\n", status, status.reason());
            assert_eq!(constant(*status), Some(line.as_bytes()));
        }
        assert_eq!(constant(Status::OK), Some(&b"HTTP/1.1 200 OK\r\n"[..]));
    }

    #[test]
    fn an_unregistered_code_has_its_line_made() {
        for code in [0, 299, 444, 499, 599, 999] {
            assert_eq!(constant(Status(code)), None);
            let mut out = Vec::new();
            append(Status(code), None, &mut out);
            assert_eq!(out, format!("HTTP/1.1 {code:03} \r\n").as_bytes());
        }
    }
}
