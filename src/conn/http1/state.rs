//! What only HTTP/1 keeps of a connection whose requests are read: the head that is being read, and what the next one
//! has to know of the last.
//!
//! Invariant: until a head is passed on, the unread input begins with it, so that what the parser has scanned is never
//! scanned again.

use crate::conn::request::state::RequestReader;
use crate::exchange::Exchange;
use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::h1::head::{HeadParser, HeadProgress};
use crate::http::reject::Reject;
use std::rc::Rc;

/// A stream of HTTP/2 has none: it comes with its head complete, and carries one request.
#[derive(Default)]
pub struct Http1 {
    /// The head that is being read.
    parser: HeadParser,
    /// The request came behind another.
    is_pipelined: bool,
    /// keepalive_timeout of the location that answered last, in milliseconds.
    pub idle_for: u64,
    /// The cache's hash of the request, if it was seen before ([`crate::exchange::cacheable::learn`]).
    pub seen: Option<u64>,
}

impl Http1 {
    /// Ready for the next head, which was read behind a request or not.
    pub fn next_request(&mut self, is_pipelined: bool) {
        self.parser.clear();
        self.is_pipelined = is_pipelined;
        self.seen = None;
    }

    /// False while not even a byte of the request line has come.
    pub fn has_begun(&self, reader: &RequestReader) -> bool {
        self.parser.has_begun(reader.unread())
    }

    /// Goes on with the head, by the limits that hold for `ex`.
    ///
    /// # Errors
    /// The head is no HTTP.
    pub fn parse(&mut self, ex: &Exchange, reader: &RequestReader) -> Result<HeadProgress, Reject> {
        self.parser.parse(reader.unread(), &ex.head_limits())
    }

    /// The head is complete: passes it to the exchange.
    pub fn hand_over(&mut self, ex: &mut Exchange, reader: &mut RequestReader) {
        let head = &self.parser.head;
        let len = head.len;
        reader.body = match head.body_length {
            BodyLength::None => None,
            length @ (BodyLength::Known(_) | BodyLength::Unknown) => Some(BodyReader::new(length)),
        };
        reader.may_keep = head.keep_alive;
        self.give(ex, reader.unread().get(..len).unwrap_or_default());
        reader.at += len;
        reader.expects_continue = ex.request.expects_continue();
        let came = reader.unread().len() as u64;
        ex.progress.has_buffered_body = came > 0;
        ex.progress.has_whole_body = matches!(ex.request.head.body_length, BodyLength::Known(length) if length <= came);
    }

    /// The head will not be complete: the exchange has what came of it.
    pub fn hand_over_partial(&mut self, ex: &mut Exchange, reader: &mut RequestReader) {
        let len = self.parser.head.len;
        let method = self.parser.method_so_far(reader.unread());
        (self.parser.head.method, ex.route.method) = (method, method);
        self.give(ex, reader.unread());
        reader.at += len;
    }

    fn give(&mut self, ex: &mut Exchange, text: &[u8]) {
        if Rc::get_mut(&mut ex.request).is_none() {
            ex.request = Rc::default();
        }
        let Some(request) = Rc::get_mut(&mut ex.request) else { return };
        request.text.clear();
        request.text.extend_from_slice(text);
        request.pipelined = self.is_pipelined;
        self.parser.take(&mut request.head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::http::method::Method;

    /// An exchange to which as much of `text` was passed on as is a head, and what is left of it.
    fn passed_on(text: &[u8], is_pipelined: bool) -> (Exchange, RequestReader, Result<HeadProgress, Reject>) {
        let mut site = Site::new("", "");
        let mut ex = site.at("GET /before", &[], OUTSIDE);
        let (mut http1, mut reader) = (Http1::default(), RequestReader::default());
        http1.next_request(is_pipelined);
        let mut progress = Ok(HeadProgress::Partial);
        for end in 1..=text.len() {
            reader.input = text[..end].to_vec();
            progress = http1.parse(&ex, &reader);
            if progress != Ok(HeadProgress::Partial) {
                reader.input = text.to_vec();
                break;
            }
        }
        match progress {
            Ok(HeadProgress::Complete) => http1.hand_over(&mut ex, &mut reader),
            _ => http1.hand_over_partial(&mut ex, &mut reader),
        }
        (ex, reader, progress)
    }

    #[test]
    fn what_stands_behind_a_head_is_left_for_its_body_and_the_next() {
        let head = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
        for (behind, is_whole) in [("", false), ("ab", false), ("abc", true), ("abcGET /", true)] {
            let (ex, reader, progress) = passed_on(&[&head[..], behind.as_bytes()].concat(), true);
            assert_eq!((progress, reader.unread()), (Ok(HeadProgress::Complete), behind.as_bytes()));
            assert_eq!((&ex.request.text[..], ex.request.head.method), (&head[..], Method::Put), "{behind}");
            assert_eq!((reader.remaining(), reader.may_keep, reader.expects_continue), (Some(3), true, true));
            let progress = &ex.progress;
            assert_eq!(
                (progress.has_buffered_body, progress.has_whole_body),
                (!behind.is_empty(), is_whole),
                "{behind}"
            );
            assert!(ex.request.pipelined);
        }
    }

    #[test]
    fn the_next_head_begins_with_nothing_of_the_last() {
        let mut site = Site::new("", "");
        let mut ex = site.at("GET /before", &[], OUTSIDE);
        let (mut http1, mut reader) = (Http1::default(), RequestReader::default());
        reader.input = b"DELETE /long/one HTTP/1.1\r\nHost: b\r\nContent-Le".to_vec();
        assert_eq!(http1.parse(&ex, &reader), Ok(HeadProgress::Partial));
        assert!(http1.has_begun(&reader));
        http1.seen = Some(7);
        for is_pipelined in [true, false] {
            http1.next_request(is_pipelined);
            reader.input.clear();
            reader.at = 0;
            assert!(http1.seen.is_none() && !http1.has_begun(&reader));
            reader.input = b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
            assert_eq!(http1.parse(&ex, &reader), Ok(HeadProgress::Complete));
            http1.hand_over(&mut ex, &mut reader);
            let request = &ex.request;
            assert_eq!((request.head.method, request.head.target.of(&request.text)), (Method::Get, &b"/b"[..]));
            assert_eq!((request.pipelined, reader.has_more()), (is_pipelined, false));
        }
    }

    #[test]
    fn of_a_head_that_never_ends_the_exchange_has_what_came() {
        for (text, method) in
            [("", Method::Unknown), ("HEAD /a HT", Method::Head), ("GET /a HTTP/1.1\r\nHo", Method::Get)]
        {
            let (ex, reader, progress) = passed_on(text.as_bytes(), false);
            assert_eq!((progress, &ex.request.text[..]), (Ok(HeadProgress::Partial), text.as_bytes()));
            assert_eq!((ex.request.head.method, ex.route.method), (method, method), "{text}");
            assert!(!ex.request.pipelined && !reader.may_keep && reader.is_body_complete());
        }
        let (ex, _, progress) = passed_on(b"GET /a HTTP/1.1\r\nbroken\r\n\r\n", false);
        assert!(progress.is_err() && ex.request.text.ends_with(b"\r\n"), "{progress:?}");
    }
}
