//! An HTTP/1.1 request to the authority and its response. Bounds: [`HEAD`] bytes per response head, [`BODY`] per body.

use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::h1::request;
use crate::http::response_parser::{RequestContext, ResponseHeadProgress, ResponseParser};
use crate::http::upstream_head::Ending;
use crate::http::version::Version;

/// Maximum size of a response head.
const HEAD: usize = 16 << 10;
/// Maximum size of a response body; certificate chains are the largest.
const BODY: usize = 1 << 20;

/// An `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `https`.
    pub secure: bool,
    /// In lower case; an IPv6 address without brackets.
    pub host: String,
    /// The port in the URL, or 443 or 80.
    pub port: u16,
    /// The value of the Host header field.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// The URL as written, since signatures cover that.
    pub text: String,
}

impl Url {
    /// None: it is neither `http` nor `https`, has user information, or characters that no URL has.
    pub fn parse(text: &str) -> Option<Url> {
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let standard = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.map_or(Some(standard), |port| port.parse().ok())?;
        if host.is_empty() || host.contains('@') {
            return None;
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Some(Url {
            secure,
            host: host.to_ascii_lowercase(),
            port,
            authority: authority.to_owned(),
            target,
            text: text.to_owned(),
        })
    }
}

/// The methods that ACME needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// The body of a POST; empty otherwise.
    pub body: Vec<u8>,
}

impl Request {
    /// Without a body.
    pub fn get(url: Url) -> Request {
        Request { method: Method::Get, url, body: Vec::new() }
    }

    /// The bytes of the HTTP/1.1 request. A body is signed JSON (RFC 8555 §6.2).
    pub fn bytes(&self) -> Vec<u8> {
        let method = match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        };
        let mut bytes = Vec::with_capacity(512 + self.body.len());
        request::line(method.as_bytes(), self.url.target.as_bytes(), Version::Http11, &mut bytes);
        request::field(b"Host", self.url.authority.as_bytes(), &mut bytes);
        request::field(b"User-Agent", concat!("webserv/", env!("CARGO_PKG_VERSION")).as_bytes(), &mut bytes);
        request::field(b"Accept", b"*/*", &mut bytes);
        if self.method == Method::Post {
            request::field(b"Content-Type", b"application/jose+json", &mut bytes);
            request::length(BodyLength::Known(self.body.len() as u64), &mut bytes);
        }
        request::end(&mut bytes);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A complete response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Whether the connection can be reused for another request.
    pub keep_alive: bool,
}

impl Response {
    /// The value of the first field of that name, which must be in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A response that is being received.
#[derive(Debug)]
pub struct Receiver {
    context: RequestContext,
    parser: ResponseParser,
    /// The head received so far; once it is complete, body bytes not yet decoded.
    bytes: Vec<u8>,
    body: Option<(Ending, BodyReader)>,
    response: Response,
}

impl Receiver {
    /// For the response to a request of that method: one to HEAD has no body.
    pub fn new(method: Method) -> Receiver {
        let context = RequestContext { head: method == Method::Head, ..RequestContext::default() };
        Receiver {
            context,
            parser: ResponseParser::default(),
            bytes: Vec::new(),
            body: None,
            response: Response::default(),
        }
    }

    /// Whether no byte has been received yet.
    pub fn is_fresh(&self) -> bool {
        self.body.is_none() && self.bytes.is_empty()
    }

    /// Processes received bytes. Some: the response is complete.
    ///
    /// # Errors
    /// It is not HTTP, or too long.
    pub fn take(&mut self, came: &[u8]) -> Result<Option<Response>, String> {
        self.bytes.extend_from_slice(came);
        while self.body.is_none() {
            match self.parser.parse(&self.bytes, HEAD, self.context).map_err(|bad| bad.to_string())? {
                ResponseHeadProgress::Partial => return Ok(None),
                ResponseHeadProgress::Interim(length) => {
                    self.bytes.drain(..length);
                    self.parser.clear();
                }
                ResponseHeadProgress::Complete => self.begin_body(),
            }
        }
        let Some((ending, reader)) = &mut self.body else { return Ok(None) };
        if *ending == Ending::Close {
            self.response.body.append(&mut self.bytes);
        } else {
            let body = &mut self.response.body;
            let decoded = reader.pieces(&self.bytes, |piece| body.extend_from_slice(piece));
            self.bytes.drain(..decoded.map_err(|_| "the body is malformed".to_owned())?);
        }
        if self.response.body.len() > BODY {
            return Err("the response is too long".into());
        }
        let done = *ending != Ending::Close && reader.is_done();
        Ok(done.then(|| std::mem::take(&mut self.response)))
    }

    /// Processes an orderly close of the connection.
    ///
    /// # Errors
    /// The response is incomplete.
    pub fn end(&mut self) -> Result<Response, String> {
        match self.body {
            Some((Ending::Close, _)) => Ok(std::mem::take(&mut self.response)),
            _ => Err("the connection was closed before the response was whole".into()),
        }
    }

    fn begin_body(&mut self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let head = self.parser.take();
        let fields = head.fields.iter();
        self.response.fields = fields
            .map(|field| (text(field.name.of(&self.bytes)).to_ascii_lowercase(), text(field.value.of(&self.bytes))))
            .collect();
        self.response.status = head.status;
        self.response.keep_alive = head.keep_alive;
        let length = match head.ending {
            Ending::Length(length) => BodyLength::Known(length),
            Ending::Mark => BodyLength::Unknown,
            Ending::None | Ending::Close => BodyLength::None,
        };
        self.body = Some((head.ending, BodyReader::new(length)));
        self.bytes.drain(..head.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("https://CA.test/acme/new?x=1#y").expect("a URL");
        assert_eq!(
            (url.secure, url.host.as_str(), url.port, url.target.as_str()),
            (true, "ca.test", 443, "/acme/new?x=1")
        );
        let url = Url::parse("http://[::1]:8080").expect("a URL");
        assert_eq!((url.secure, url.host.as_str(), url.port, url.target.as_str()), (false, "::1", 8080, "/"));
        for wrong in ["ftp://a/", "https://", "https://a b/", "https://a:x/", "https://u@a/", "a/b"] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_response_is_whole_at_its_end_however_it_is_cut() {
        let table: [(&str, &str, Option<&str>); 5] = [
            ("length", "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 4\r\n\r\nbody", Some("body")),
            (
                "chunked",
                "HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
                Some("body"),
            ),
            ("interim", "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", Some("body")),
            ("none", "HTTP/1.1 204 No\r\nX: y\r\n\r\n", Some("")),
            ("until the end", "HTTP/1.1 200 OK\r\n\r\nbody", None),
        ];
        for (name, text, want) in table {
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let mut receiver = Receiver::new(Method::Get);
                let first = receiver.take(&bytes[..cut]).expect(name);
                let whole = match (first, receiver.take(&bytes[cut..]).expect(name)) {
                    (Some(response), _) | (_, Some(response)) => Some(response),
                    _ => None,
                };
                match want {
                    Some(body) => assert_eq!(whole.expect(name).body, body.as_bytes(), "{name} cut at {cut}"),
                    None => assert_eq!(receiver.end().expect(name).body, b"body", "{name} cut at {cut}"),
                }
            }
        }
        let mut cut = Receiver::new(Method::Get);
        assert_eq!(cut.take(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod"), Ok(None));
        assert!(cut.end().is_err());
        assert!(Receiver::new(Method::Get).take(b"SSH-2.0-x\r\n").is_err());
    }

    #[test]
    fn a_request_is_written() {
        let url = Url::parse("https://ca.test:14000/dir").expect("a URL");
        let text = String::from_utf8(Request::get(url.clone()).bytes()).expect("text");
        assert!(
            text.starts_with("GET /dir HTTP/1.1\r\nHost: ca.test:14000\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        let post = Request { method: Method::Post, url, body: b"{}".to_vec() };
        let text = String::from_utf8(post.bytes()).expect("text");
        assert!(text.contains("Content-Length: 2\r\n") && text.ends_with("\r\n\r\n{}"), "{text}");
    }
}
