//! The head of a request as data: method, target, fields, and what they say of its body. Each protocol's parser fills
//! it ([`super::h1::head`], [`super::h2::request`]); spans are offsets into the bytes that it read.

use crate::http::body_length::BodyLength;
use crate::http::field::Field;
use crate::http::fields::Fields;
use crate::http::header::{HeaderId, UnusualNames};
use crate::http::method::Method;
use crate::http::request_target::TargetForm;
use crate::http::version::Version;
use crate::util::span::Span;

/// Bounds on a head, all in bytes but `fields`; from `large_client_header_buffers` and its neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// The longest request line or header line, its line end included. More is 414 or 431.
    pub line: usize,
    /// The whole head, the empty line included. More is 431 (414 while still in the request line).
    pub total: usize,
    /// The most header fields; 0 means 1000. More is 431.
    pub fields: usize,
    /// `underscores_in_headers` and `ignore_invalid_headers`. A name that is not a token is refused either way.
    pub unusual: UnusualNames,
}

impl Default for HeadLimits {
    /// nginx's `large_client_header_buffers 4 8k`.
    fn default() -> HeadLimits {
        HeadLimits { line: 8192, total: 4 * 8192, fields: 0, unusual: UnusualNames::default() }
    }
}

/// A request head, beside the bytes that its spans refer to.
#[derive(Clone, Default, Debug)]
pub struct RequestHead {
    pub method: Method,
    /// The method's bytes: they tell one [`Method::Unknown`] from another.
    pub method_name: Span,
    /// The target as sent (`$request_uri`).
    pub target: Span,
    /// Which of the four forms of RFC 9112 §3.2 the target has.
    pub form: TargetForm,
    /// Path and query inside the target: what `uri::normalize` takes. Empty, or only a query, in `http://host?q`; empty
    /// for `host:port`; `*` for the asterisk.
    pub origin: Span,
    pub version: Version,
    /// In the order sent, without those that are dropped (`ignore_invalid_headers`).
    pub fields: Vec<Field>,
    /// Without its line end (`$request`); of HTTP/2, as it would be in HTTP/1.
    pub request_line: Span,
    /// Bytes of the whole head (`$request_length`): of HTTP/1 with the empty lines before it and the one at its end, of
    /// HTTP/2 before compression.
    pub len: usize,
    /// How long the body is.
    pub body_length: BodyLength,
    /// Value of Host, or the authority of an absolute target, which wins (RFC 9112 §3.2.2), or `:authority`. Port
    /// included; may be empty.
    pub host: Span,
    /// HTTP/1: the connection may be kept (RFC 9112 §9.3: 1.1 unless `close`, 1.0 only with `keep-alive`).
    pub keep_alive: bool,
    /// `Expect: 100-continue` (RFC 9110 §10.1.1: ignored on HTTP/1.0).
    pub expect_continue: bool,
    /// HTTP/1: Connection lists `upgrade`.
    pub upgrade: bool,
}

impl RequestHead {
    /// Ready for the next request; keeps the capacity of `fields`.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead { fields, ..RequestHead::default() };
    }

    /// A head that has these fields and nothing else, and the bytes that its spans refer to.
    pub fn of_fields(fields: &Fields) -> (RequestHead, Vec<u8>) {
        let (mut head, mut text) = (RequestHead::default(), Vec::new());
        let mut put = |bytes: &[u8]| {
            let start = text.len();
            text.extend_from_slice(bytes);
            Span::new(start, text.len())
        };
        for (name, value) in fields.iter() {
            head.fields.push(Field { id: HeaderId::of(name), name: put(name), value: put(value) });
        }
        (head, text)
    }

    /// The first field of that id. For `HeaderId::Other` use [`RequestHead::find`].
    pub fn get(&self, id: HeaderId) -> Option<Field> {
        self.all(id).next()
    }

    /// The value of the first field of that id.
    pub fn value<'b>(&self, buf: &'b [u8], id: HeaderId) -> Option<&'b [u8]> {
        self.get(id).map(|field| field.value.of(buf))
    }

    /// Every field of that id, in order.
    pub fn all(&self, id: HeaderId) -> impl Iterator<Item = Field> + Clone {
        self.fields.iter().copied().filter(move |field| field.id == id)
    }

    /// The first field of that name, in any case: for names without an id.
    pub fn find(&self, buf: &[u8], name: &[u8]) -> Option<Field> {
        self.fields.iter().copied().find(|field| field.name.of(buf).eq_ignore_ascii_case(name))
    }
}
