//! The request line: method, one space, target, one space, version (RFC 9112 §3). Stricter than the RFC allows a
//! server to be lenient (§3 last paragraphs): several spaces and trailing blanks are refused, since peers that read
//! them otherwise open a way to smuggle.

use crate::http::field_syntax::is_method_byte;
use crate::http::host;
use crate::http::method::Method;
use crate::http::reject::Reject;
use crate::http::request_target::{TargetForm, without_fragment};
use crate::http::version::Version;
use crate::util::bytes::begins_with;
use std::ops::Range;

/// The line that a connection of HTTP/2 begins with (RFC 9113 §3.4): no request has this method.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A request line taken apart; ranges are offsets into the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestLine {
    pub method: Method,
    /// The method's bytes.
    pub method_name: Range<usize>,
    pub target: Range<usize>,
    /// Which of the four forms of RFC 9112 §3.2 the target has.
    pub form: TargetForm,
    /// Of the absolute forms and the authority form; empty otherwise.
    pub authority: Range<usize>,
    /// Path and query, without a fragment: what `uri::normalize` takes. Empty, or only a query, in `http://host?q`;
    /// empty for `host:port`; `*` for the asterisk.
    pub origin: Range<usize>,
    pub version: Version,
}

/// Parses a request line without its line end.
pub fn parse(line: &[u8]) -> Result<RequestLine, Reject> {
    let method_len = line.iter().position(|byte| !is_method_byte(*byte)).unwrap_or(line.len());
    if method_len == 0 || line.get(method_len) != Some(&b' ') {
        return Err(match line.get(method_len) {
            Some(&byte) if byte != b' ' => Reject::BadByte { place: "the method", byte },
            _ => Reject::BadRequestLine("no method and single space"),
        });
    }
    let method = Method::parse(&line[..method_len]);
    let rest = method_len + 1;
    let space = match line {
        // The common case costs one comparison instead of a search from the end.
        [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] => line.len() - 9,
        _ => memchr::memrchr(b' ', line).unwrap_or(0),
    };
    if space < rest {
        return Err(Reject::BadRequestLine("no protocol version"));
    }
    let target = rest..space;
    if line == PREFACE {
        return Err(Reject::BadRequestLine("the preface of HTTP/2, which is not spoken here"));
    }
    let version = version(&line[space + 1..])?;
    let end = without_fragment(line, target.clone())?;
    let (form, authority, origin) = forms(line, target.start..end, method)?;
    Ok(RequestLine { method, method_name: 0..method_len, target, form, authority, origin, version })
}

/// `HTTP/1.0` is 1.0, `HTTP/1.1` to `HTTP/1.9` are 1.1; another single-digit major is 505.
fn version(text: &[u8]) -> Result<Version, Reject> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            if *major == b'1' {
                Ok(Version::Http11)
            } else {
                Err(Reject::Version)
            }
        }
        _ => Err(Reject::BadRequestLine("malformed protocol version")),
    }
}

const SCHEMES: [(&[u8], TargetForm); 2] =
    [(b"http://", TargetForm::Absolute), (b"https://", TargetForm::AbsoluteHttps)];

type Forms = (TargetForm, Range<usize>, Range<usize>);

fn forms(line: &[u8], target: Range<usize>, method: Method) -> Result<Forms, Reject> {
    let text = &line[target.clone()];
    if method == Method::Connect {
        if !host::is_valid(text) || host::split(text).1.is_none() {
            return Err(Reject::BadRequestLine("CONNECT without host:port"));
        }
        return Ok((TargetForm::Authority, target.clone(), target.end..target.end));
    }
    if text[0] == b'/' {
        return Ok((TargetForm::Origin, 0..0, target));
    }
    if text == b"*" {
        if method != Method::Options {
            return Err(Reject::BadRequestLine("the target * with a method other than OPTIONS"));
        }
        return Ok((TargetForm::Asterisk, 0..0, target));
    }
    let Some((scheme, form)) = SCHEMES.into_iter().find(|(scheme, _)| begins_with(text, scheme)) else {
        return Err(Reject::BadRequestLine("a target that is neither a path nor an http:// or https:// URI"));
    };
    let start = target.start + scheme.len();
    let end = line[start..target.end].iter().position(|b| matches!(b, b'/' | b'?')).map_or(target.end, |at| at + start);
    if !host::is_valid(&line[start..end]) {
        return Err(Reject::BadHost("in the request target"));
    }
    Ok((form, start..end, end..target.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_taken_apart() {
        let table = [
            ("GET / HTTP/1.1", TargetForm::Origin, "", "/"),
            ("GET /a?b HTTP/1.0", TargetForm::Origin, "", "/a?b"),
            ("GET //x HTTP/1.7", TargetForm::Origin, "", "//x"),
            ("OPTIONS * HTTP/1.1", TargetForm::Asterisk, "", "*"),
            ("OPTIONS /x HTTP/1.1", TargetForm::Origin, "", "/x"),
            ("GET HTTP://a.test:80/p?q HTTP/1.1", TargetForm::Absolute, "a.test:80", "/p?q"),
            ("GET http://a.test HTTP/1.1", TargetForm::Absolute, "a.test", ""),
            ("GET http://a.test?x=/y HTTP/1.1", TargetForm::Absolute, "a.test", "?x=/y"),
            ("GET https://a.test/p?q HTTP/1.1", TargetForm::AbsoluteHttps, "a.test", "/p?q"),
            ("CONNECT a.test:443 HTTP/1.1", TargetForm::Authority, "a.test:443", ""),
            ("CONNECT [::1]:443 HTTP/1.1", TargetForm::Authority, "[::1]:443", ""),
            ("M_X /\u{e9} HTTP/1.1", TargetForm::Origin, "", "/\u{e9}"),
            ("GET /a#f#g HTTP/1.1", TargetForm::Origin, "", "/a"),
        ];
        for (line, form, authority, origin) in table {
            let got = parse(line.as_bytes()).expect(line);
            assert_eq!(got.form, form, "{line}");
            assert_eq!(&line[got.authority], authority, "{line}");
            assert_eq!(&line[got.origin], origin, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_line_is_named() {
        let table = [
            ("G(T / HTTP/1.1", Reject::BadByte { place: "the method", byte: b'(' }),
            ("GeT / HTTP/1.1", Reject::BadByte { place: "the method", byte: b'e' }),
            ("G1 / HTTP/1.1", Reject::BadByte { place: "the method", byte: b'1' }),
            (" GET / HTTP/1.1", Reject::BadRequestLine("no method and single space")),
            ("GET", Reject::BadRequestLine("no method and single space")),
            ("GET  HTTP/1.1", Reject::BadRequestLine("no target")),
            ("GET HTTP/1.1", Reject::BadRequestLine("no protocol version")),
        ];
        for (line, reject) in table {
            assert_eq!(parse(line.as_bytes()).map(|_| ()), Err(reject), "{line}");
        }
    }

    #[test]
    fn a_request_line_that_breaks_a_rule_is_refused() {
        let table = [
            ("", 400),
            ("GET", 400),
            ("GET ", 400),
            ("GET /", 400),
            ("GET / ", 400),
            ("GET  HTTP/1.1", 400),
            (" GET / HTTP/1.1", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET /  HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET\t/ HTTP/1.1", 400),
            ("GET /\tHTTP/1.1", 400),
            ("GET / HTTP/1.1\t", 400),
            ("G(T / HTTP/1.1", 400),
            ("GET / HTTP/1.10", 400),
            ("GET / HTTP/1.01", 400),
            ("GET / HTTP/01.1", 400),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1", 400),
            ("GET / HTTP/", 400),
            ("GET / HTTP/1.x", 400),
            ("GET / HTTPS/1.1", 400),
            ("GET / HTTP/2.0", 505),
            ("PRI * HTTP/2.0", 400),
            ("GET / HTTP/0.9", 505),
            ("GET / HTTP/9.9", 505),
            ("GET /a b HTTP/1.1", 400),
            ("GET #f HTTP/1.1", 400),
            ("GET /#a\x01b HTTP/1.1", 400),
            ("GET /\0 HTTP/1.1", 400),
            ("GET /\x7f HTTP/1.1", 400),
            ("GET /\r HTTP/1.1", 400),
            ("GET * HTTP/1.1", 400),
            ("OPTIONS ** HTTP/1.1", 400),
            ("GET a HTTP/1.1", 400),
            ("GET ?a HTTP/1.1", 400),
            ("GET ../a HTTP/1.1", 400),
            ("GET \\a HTTP/1.1", 400),
            ("GET a.test:80 HTTP/1.1", 400),
            ("GET ftp://a/ HTTP/1.1", 400),
            ("GET https:///a HTTP/1.1", 400),
            ("GET http:/a HTTP/1.1", 400),
            ("GET http:///a HTTP/1.1", 400),
            ("GET http://u@a/ HTTP/1.1", 400),
            ("GET http://a,b/ HTTP/1.1", 400),
            ("GET http:// HTTP/1.1", 400),
            ("GET http://a\\b/ HTTP/1.1", 400),
            ("GET http://[zz]/ HTTP/1.1", 400),
            ("CONNECT / HTTP/1.1", 400),
            ("CONNECT a.test HTTP/1.1", 400),
            ("CONNECT a: HTTP/1.1", 400),
            ("CONNECT http://a/ HTTP/1.1", 400),
            ("CONNECT [::1] HTTP/1.1", 400),
        ];
        for (line, status) in table {
            assert_eq!(parse(line.as_bytes()).map_err(|r| r.status().0), Err(status), "{line:?}");
        }
    }
}
