//! Status codes and their reason phrases.
//!
//! Reason phrases are nginx's where nginx has one (scripts match `416 Requested Range Not Satisfiable`), the
//! registry's elsewhere.

use std::fmt;

/// A status code. Any number can be carried (`return 299`); only registered ones have a reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Status(pub u16);

/// What every response begins with.
impl Default for Status {
    fn default() -> Status {
        Status::OK
    }
}

macro_rules! constants {
    ($($name:ident $code:literal $reason:literal;)*) => {
        impl Status {
            $(pub const $name: Status = Status($code);)*

            /// The reason phrase; empty for a code that is not registered.
            pub fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }

            /// Code and reason as a page's title has them. `None` for a code that is not registered.
            pub fn title(self) -> Option<&'static [u8]> {
                match self.0 {
                    $($code => Some(concat!($code, " ", $reason).as_bytes()),)*
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        pub(super) const ALL: &[Status] = &[$(Status::$name),*];
    };
}

/// Gives the registered codes to another macro: name, code, reason.
macro_rules! statuses {
    ($use:ident) => {
        $use! {
            CONTINUE 100 "Continue";
            SWITCHING_PROTOCOLS 101 "Switching Protocols";
            EARLY_HINTS 103 "Early Hints";
            UPLOAD_RESUMPTION_SUPPORTED 104 "Upload Resumption Supported";
            OK 200 "OK";
            CREATED 201 "Created";
            ACCEPTED 202 "Accepted";
            NON_AUTHORITATIVE 203 "Non-Authoritative Information";
            NO_CONTENT 204 "No Content";
            RESET_CONTENT 205 "Reset Content";
            PARTIAL_CONTENT 206 "Partial Content";
            MULTI_STATUS 207 "Multi-Status";
            MULTIPLE_CHOICES 300 "Multiple Choices";
            MOVED_PERMANENTLY 301 "Moved Permanently";
            FOUND 302 "Found";
            SEE_OTHER 303 "See Other";
            NOT_MODIFIED 304 "Not Modified";
            TEMPORARY_REDIRECT 307 "Temporary Redirect";
            PERMANENT_REDIRECT 308 "Permanent Redirect";
            BAD_REQUEST 400 "Bad Request";
            UNAUTHORIZED 401 "Unauthorized";
            PAYMENT_REQUIRED 402 "Payment Required";
            FORBIDDEN 403 "Forbidden";
            NOT_FOUND 404 "Not Found";
            METHOD_NOT_ALLOWED 405 "Not Allowed";
            NOT_ACCEPTABLE 406 "Not Acceptable";
            PROXY_AUTH_REQUIRED 407 "Proxy Authentication Required";
            REQUEST_TIMEOUT 408 "Request Time-out";
            CONFLICT 409 "Conflict";
            GONE 410 "Gone";
            LENGTH_REQUIRED 411 "Length Required";
            PRECONDITION_FAILED 412 "Precondition Failed";
            CONTENT_TOO_LARGE 413 "Request Entity Too Large";
            URI_TOO_LONG 414 "Request-URI Too Large";
            UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type";
            RANGE_NOT_SATISFIABLE 416 "Requested Range Not Satisfiable";
            EXPECTATION_FAILED 417 "Expectation Failed";
            MISDIRECTED_REQUEST 421 "Misdirected Request";
            UNPROCESSABLE_CONTENT 422 "Unprocessable Content";
            LOCKED 423 "Locked";
            FAILED_DEPENDENCY 424 "Failed Dependency";
            UPGRADE_REQUIRED 426 "Upgrade Required";
            PRECONDITION_REQUIRED 428 "Precondition Required";
            TOO_MANY_REQUESTS 429 "Too Many Requests";
            HEADER_TOO_LARGE 431 "Request Header Fields Too Large";
            CHECKSUM_MISMATCH 460 "Checksum Mismatch";
            INTERNAL_SERVER_ERROR 500 "Internal Server Error";
            NOT_IMPLEMENTED 501 "Not Implemented";
            BAD_GATEWAY 502 "Bad Gateway";
            SERVICE_UNAVAILABLE 503 "Service Temporarily Unavailable";
            GATEWAY_TIMEOUT 504 "Gateway Time-out";
            VERSION_NOT_SUPPORTED 505 "HTTP Version Not Supported";
            INSUFFICIENT_STORAGE 507 "Insufficient Storage";
        }
    };
}

pub(super) use statuses;

statuses!(constants);

/// nginx's own codes: seen in the access log and by `error_page`, never in a status line.
impl Status {
    /// Close the connection without an answer (`return 444`).
    pub const CLOSE: Status = Status(444);
    /// nginx's for a head that is too large. Such a head is a 431 here, so that only `return` and `error_page` name it.
    pub const REQUEST_HEADER_TOO_LARGE: Status = Status(494);
    /// A client's certificate did not verify.
    pub const SSL_CERTIFICATE_ERROR: Status = Status(495);
    /// `ssl_verify_client on`, and the client sent no certificate.
    pub const SSL_CERTIFICATE_REQUIRED: Status = Status(496);
    /// A plain request came to a TLS port.
    pub const HTTP_TO_HTTPS: Status = Status(497);
    /// The client closed the connection before its response; logged only.
    pub const CLIENT_CLOSED_REQUEST: Status = Status(499);
}

impl Status {
    /// The code a client sees: nginx's 494 to 497 are sent as 400, others as they are.
    pub fn on_the_wire(self) -> Status {
        match self.0 {
            494..=497 => Status::BAD_REQUEST,
            _ => self,
        }
    }

    /// A configured answer with this code leads to a URI (nginx's list).
    pub fn is_redirect(self) -> bool {
        matches!(self.0, 301 | 302 | 303 | 307 | 308)
    }

    /// After it what the client sends next cannot be trusted to be another request (nginx's list).
    pub fn closes(self) -> bool {
        matches!(self.0, 400 | 408 | 413 | 414 | 431 | 494..=497 | 500 | 501)
    }

    /// 1xx, 204 and 304 have no content (RFC 9110 §6.4.1).
    pub fn has_no_content(self) -> bool {
        matches!(self.0, 100..=199 | 204 | 304)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_after_some_codes_the_next_request_cannot_be_found() {
        for code in [400, 408, 413, 414, 431, 494, 497, 500, 501] {
            assert!(Status(code).closes(), "{code}");
        }
        for code in [200, 206, 304, 403, 404, 405, 412, 416, 429, 444, 493, 498, 502, 503, 504, 507] {
            assert!(!Status(code).closes(), "{code}");
        }
    }

    #[test]
    fn an_unregistered_code_has_no_reason() {
        for code in [0, 299, 444, 499, 599, 999] {
            assert_eq!((Status(code).reason(), Status(code).title()), ("", None));
        }
        assert_eq!(Status::REQUEST_HEADER_TOO_LARGE.on_the_wire(), Status::BAD_REQUEST);
        assert_eq!(Status::CLOSE.on_the_wire(), Status::CLOSE);
    }
}
