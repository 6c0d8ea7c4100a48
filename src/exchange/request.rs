//! What the client asked: the head of a request and the bytes it refers to. Made by the protocol that read it; the
//! same for all subrequests ([`super::filters::ssi`]).
//!
//! Invariant: once an exchange has begun nothing in it changes; what routing makes of it is in
//! [`super::route_state::RouteState`].

use crate::http::body_length::BodyLength;
use crate::http::escape;
use crate::http::field::Field;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::request_head::RequestHead;
use crate::util::bytes::begins_with;

/// The scheme of these credentials.
const BASIC: &[u8] = b"basic ";
/// Spare bytes that are worth a copy to free.
const SPARE: usize = 1024;

/// A request as the client sent it; rewrites leave it alone ([`super::route_state::RouteState`] changes).
#[derive(Default)]
pub struct Request {
    /// The bytes that the spans of `head` are offsets into.
    pub text: Vec<u8>,
    /// The parsed head.
    pub head: RequestHead,
    /// It was sent before the previous response was complete (`$pipe`).
    pub pipelined: bool,
}

impl Request {
    /// Forgets the request; keeps the capacity of its buffers.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut head = std::mem::take(&mut self.head);
        text.clear();
        head.clear();
        *self = Request { text, head, ..Request::default() };
    }

    /// Gives back what the buffers have beyond this head's size, while the request waits: an earlier, larger head may
    /// have left it.
    pub fn tighten(&mut self) {
        if self.text.capacity() - self.text.len() >= SPARE {
            self.text.shrink_to_fit();
        }
        if (self.head.fields.capacity() - self.head.fields.len()) * size_of::<Field>() >= SPARE {
            self.head.fields.shrink_to_fit();
        }
    }

    /// A body follows, of at least one byte or of a length that is not known yet.
    pub fn has_content(&self) -> bool {
        !self.ends_with_head() && !self.is_to_be_empty()
    }

    /// HTTP/2: Content-Length is 0, but the stream has not ended; any DATA that follows is malformed.
    /// Over HTTP/1 chunks and a length together are refused.
    pub fn is_to_be_empty(&self) -> bool {
        self.head.body_length == BodyLength::Unknown && self.head.get(HeaderId::ContentLength).is_some()
    }

    /// The head is all of the request.
    pub fn ends_with_head(&self) -> bool {
        matches!(self.head.body_length, BodyLength::None | BodyLength::Known(0))
    }

    /// The client may wait for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.head.expect_continue && self.has_content()
    }

    /// The value of a header field.
    pub fn value(&self, id: HeaderId) -> Option<&[u8]> {
        self.head.value(&self.text, id)
    }

    /// CONNECT asks this server to be a proxy, which has credentials of its own (RFC 9110 §11.7).
    pub fn asks_a_proxy(&self) -> bool {
        self.head.method == Method::Connect
    }

    /// User and password that the request gives this server (RFC 7617). None as well where there is no user, or no
    /// colon behind it.
    pub fn basic_credentials(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let field = if self.asks_a_proxy() { HeaderId::ProxyAuthorization } else { HeaderId::Authorization };
        let value = self.value(field).filter(|value| begins_with(value, BASIC))?;
        let mut decoded = Vec::new();
        if !escape::base64(value[BASIC.len()..].trim_ascii(), &mut decoded) {
            return None;
        }
        let colon = memchr::memchr(b':', &decoded)?;
        let password = decoded.split_off(colon + 1);
        decoded.pop();
        (!decoded.is_empty()).then_some((decoded, password))
    }
}

/// What follows `MSIE ` where the client says it is Internet Explorer: a version and more, and no `Opera` (nginx's
/// rule).
fn msie_version(agent: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(agent, b"MSIE ")? + 5;
    let version = agent.get(at..).filter(|version| version.len() > 2)?;
    memchr::memmem::find(agent, b"Opera").is_none().then_some(version)
}

/// Internet Explorer, of whatever version.
pub fn is_msie(agent: &[u8]) -> bool {
    msie_version(agent).is_some()
}

/// `MSIE 4.` to `MSIE 6.`, but not a 6 that says it has the second service pack (nginx's rule).
pub fn is_old_msie(agent: &[u8]) -> bool {
    match msie_version(agent) {
        Some([b'4' | b'5', b'.', ..]) => true,
        Some([b'6', b'.', ..]) => memchr::memmem::find(agent, b"SV1").is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_explorer_is_recognised_as_nginx_does() {
        for (agent, any, old) in [
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", true, true),
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", true, false),
            ("Mozilla/4.0 (compatible; MSIE 5.5)", true, true),
            ("Mozilla/5.0 (compatible; MSIE 10.0)", true, false),
            ("Mozilla/4.0 (compatible; MSIE 6.0) Opera 8", false, false),
            ("MSIE 6", false, false),
            ("MSIE 6.", false, false),
            ("Mozilla/5.0 (X11)", false, false),
        ] {
            assert_eq!((is_msie(agent.as_bytes()), is_old_msie(agent.as_bytes())), (any, old), "{agent}");
        }
    }
}
