//! Everything a client can do wrong, as data: the status to answer with and a sentence for the error log.
//!
//! A `Reject` is always the request's fault; what is the server's fault never becomes one. The sentences hold no
//! bytes of the client's but those escaped here.

use super::status::Status;
use std::fmt;

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reject {
    /// 414: the request line is longer than `limit` bytes.
    RequestLineTooLong { limit: usize },
    /// 431: a header line, or the whole head, is longer than `limit` bytes.
    HeaderTooLarge { limit: usize },
    /// 400: more than `limit` header fields.
    TooManyFields { limit: usize },
    /// 400: the request line breaks the rule named.
    BadRequestLine(&'static str),
    /// 400: `https://` in the target of a request that came without TLS (RFC 9110 §7.4).
    HttpsTarget,
    /// 400: a header field breaks the rule named.
    BadField(&'static str),
    /// 400: a byte that is not allowed at its position.
    BadByte { place: &'static str, byte: u8 },
    /// 400: Host missing, repeated or not a host.
    BadHost(&'static str),
    /// 400: Content-Length and Transfer-Encoding leave the end of the body in doubt.
    BadFraming(&'static str),
    /// 501: a transfer coding other than `chunked`.
    UnknownCoding,
    /// 501: an extended CONNECT to a protocol that is not supported.
    UnknownProtocol,
    /// 405: a CONNECT of HTTP/2 with a path or a scheme, which a tunnel has none of (RFC 9113 §8.5).
    ConnectToPath,
    /// 505: not HTTP/1.x.
    Version,
    /// 417: an expectation other than `100-continue`.
    Expectation,
    /// 400: chunked framing breaks the rule named.
    BadChunk(&'static str),
    /// 400: the multipart body breaks the rule named.
    BadMultipart(&'static str),
    /// 400: the target's path cannot be normalised.
    BadUri(&'static str),
}

impl Reject {
    /// The request breaks a rule of the protocol, where others ask for more than is allowed or supported: over HTTP/2 a
    /// stream error (RFC 9113 §8.1.1).
    pub fn is_malformed(&self) -> bool {
        match self {
            Reject::BadRequestLine(_)
            | Reject::HttpsTarget
            | Reject::BadField(_)
            | Reject::BadByte { .. }
            | Reject::BadHost(_)
            | Reject::BadFraming(_)
            | Reject::BadChunk(_)
            | Reject::ConnectToPath
            | Reject::Version => true,
            Reject::RequestLineTooLong { .. }
            | Reject::HeaderTooLarge { .. }
            | Reject::TooManyFields { .. }
            | Reject::UnknownCoding
            | Reject::UnknownProtocol
            | Reject::Expectation
            | Reject::BadMultipart(_)
            | Reject::BadUri(_) => false,
        }
    }

    /// The status to answer with.
    pub fn status(&self) -> Status {
        match self {
            Reject::RequestLineTooLong { .. } => Status::URI_TOO_LONG,
            Reject::HeaderTooLarge { .. } => Status::HEADER_TOO_LARGE,
            // nginx: 400, and the error page of 494.
            Reject::TooManyFields { .. } => Status::REQUEST_HEADER_TOO_LARGE,
            Reject::UnknownCoding | Reject::UnknownProtocol => Status::NOT_IMPLEMENTED,
            // nginx.
            Reject::ConnectToPath => Status::METHOD_NOT_ALLOWED,
            Reject::Version => Status::VERSION_NOT_SUPPORTED,
            Reject::Expectation => Status::EXPECTATION_FAILED,
            Reject::BadRequestLine(_)
            | Reject::HttpsTarget
            | Reject::BadField(_)
            | Reject::BadByte { .. }
            | Reject::BadHost(_)
            | Reject::BadFraming(_)
            | Reject::BadChunk(_)
            | Reject::BadMultipart(_)
            | Reject::BadUri(_) => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reject::RequestLineTooLong { limit } => {
                write!(f, "client sent too long URI: the request line exceeds {limit} bytes")
            }
            Reject::HeaderTooLarge { limit } => {
                write!(f, "client sent too large header: a line or the whole exceeds {limit} bytes")
            }
            Reject::TooManyFields { limit } => write!(f, "client sent too many header fields: more than {limit}"),
            Reject::BadRequestLine(rule) => write!(f, "client sent invalid request line: {rule}"),
            Reject::HttpsTarget => f.write_str("client sent an https:// target to a plain HTTP port"),
            Reject::BadField(rule) => write!(f, "client sent invalid header field: {rule}"),
            Reject::BadByte { place, byte } => {
                write!(f, "client sent invalid byte \"{}\" in {place}", byte.escape_ascii())
            }
            Reject::BadHost(rule) => write!(f, "client sent invalid host: {rule}"),
            Reject::BadFraming(rule) => write!(f, "client sent ambiguous body framing: {rule}"),
            Reject::UnknownCoding => f.write_str("client sent unknown \"Transfer-Encoding\""),
            Reject::UnknownProtocol => f.write_str("client sent unknown \":protocol\""),
            Reject::ConnectToPath => f.write_str("client sent CONNECT with \":scheme\" or \":path\""),
            Reject::Version => f.write_str("client sent a protocol version other than HTTP/1.x"),
            Reject::Expectation => f.write_str("client sent an expectation other than \"100-continue\""),
            Reject::BadChunk(rule) => write!(f, "client sent invalid chunked body: {rule}"),
            Reject::BadMultipart(rule) => write!(f, "client sent invalid multipart body: {rule}"),
            Reject::BadUri(rule) => write!(f, "client sent invalid URI: {rule}"),
        }
    }
}

impl std::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status_and_a_sentence() {
        let table = [
            (Reject::RequestLineTooLong { limit: 8192 }, 414, "8192 bytes"),
            (Reject::HeaderTooLarge { limit: 32 }, 431, "32 bytes"),
            (Reject::TooManyFields { limit: 1000 }, 494, "more than 1000"),
            (Reject::BadByte { place: "a header value", byte: 0 }, 400, "\"\\x00\" in a header value"),
            (Reject::UnknownCoding, 501, "Transfer-Encoding"),
            (Reject::ConnectToPath, 405, ":path"),
            (Reject::Version, 505, "HTTP/1.x"),
            (Reject::Expectation, 417, "100-continue"),
            (Reject::BadHost("no Host field"), 400, "no Host field"),
        ];
        for (reject, status, part) in table {
            assert_eq!(reject.status(), Status(status));
            assert!(reject.to_string().contains(part), "{reject}");
        }
    }
}
