//! What makes a decoded header block a request, or a trailer section (RFC 9113 §8).
//!
//! Invariant: a block that passes says one thing to every reader: no field of HTTP/1's framing, one host, one length,
//! and nothing in names, values or target that a line of HTTP/1 could not hold (§10.3). Those who pass it on to an
//! HTTP/1 peer cannot be made to smuggle.

use super::hpack::Block;
use super::hpack::decode::Excess;
use crate::http::body_length::{self, BodyLength};
use crate::http::field::Field;
use crate::http::field_syntax::{is_field_byte, is_field_value, is_method_byte, is_token, is_token_byte, list};
use crate::http::header::{HeaderId, UnusualNames};
use crate::http::host;
use crate::http::method::Method;
use crate::http::reject::Reject;
use crate::http::repeated::{self, Names};
use crate::http::request_target::without_fragment;
use crate::util::span::Span;

/// The protocols that are passed on.
pub const WEBSOCKET: &[u8] = b"websocket";
/// The version in `$request` and `$server_protocol`.
const PROTOCOL: &[u8] = b"HTTP/2.0";

/// A request, as spans of its block's text. The fields that are no pseudo-header fields stay in the block.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DecodedHead {
    pub method: Method,
    /// The method's bytes.
    pub method_name: Span,
    /// `:path`, as sent.
    pub target: Span,
    /// Method, target and version as a request line (`$request`).
    pub request_line: Span,
    /// `:scheme`, as sent.
    pub scheme: Span,
    /// `:authority`, or Host where there is none.
    pub host: Span,
    /// RFC 8441 §4: the protocol of an extended CONNECT; empty otherwise.
    pub protocol: Span,
    /// By Content-Length and END_STREAM; [`BodyLength::Unknown`] where only the end of the stream will tell.
    pub body_length: BodyLength,
    /// `Expect: 100-continue` (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// Bytes of the request before compression, for `$request_length`.
    pub len: usize,
}

/// How a block is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `underscores_in_headers` and `ignore_invalid_headers`.
    pub unusual: UnusualNames,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL was sent.
    pub extended_connect: bool,
    /// `max_headers`: fields that are no pseudo-header fields.
    pub fields: usize,
}

/// Takes the pseudo-header fields out of `block` and judges the rest. `end`: nothing follows the block.
///
/// # Errors
/// The rule broken. The request is malformed then (§8.1.1), and `head` holds what was read before, for the log.
pub fn read(block: &mut Block, end: bool, rules: Rules, head: &mut DecodedHead) -> Result<(), Reject> {
    *head = DecodedHead { len: block.text.len(), ..DecodedHead::default() };
    let pseudo = Pseudo::take(block);
    // As far as it goes, also for one that is refused.
    request_line(block, &pseudo, head);
    whole(block, rules)?;
    pseudo.check(block, rules, head)?;
    fields(block, rules, head, end)?;
    merge_cookies(block);
    Ok(())
}

/// Judges a trailer section (§8.1).
///
/// # Errors
/// As [`read`].
pub fn trailers(block: &Block, rules: Rules) -> Result<(), Reject> {
    whole(block, rules)?;
    for field in &block.fields {
        well_formed(field, &block.text)?;
        if is_of_connection(field, &block.text) || matches!(field.id, HeaderId::ContentLength | HeaderId::Host) {
            return Err(Reject::BadField("it may not stand in a trailer section"));
        }
    }
    Ok(())
}

/// All fields of the block were kept, and there are not more than allowed.
fn whole(block: &Block, rules: Rules) -> Result<(), Reject> {
    match block.excess {
        Some(Excess::Bytes { limit }) => Err(Reject::HeaderTooLarge { limit }),
        Some(Excess::Fields { limit }) => Err(Reject::TooManyFields { limit }),
        None if block.fields.len() > rules.fields => Err(Reject::TooManyFields { limit: rules.fields }),
        None => Ok(()),
    }
}

/// The pseudo-header fields (§8.3), each at most once.
#[derive(Clone, Copy, Default)]
struct Pseudo {
    method: Option<Span>,
    scheme: Option<Span>,
    path: Option<Span>,
    authority: Option<Span>,
    protocol: Option<Span>,
    fault: Option<&'static str>,
}

impl Pseudo {
    /// Those at the block's beginning; they are no fields of the block any more.
    fn take(block: &mut Block) -> Pseudo {
        let mut found = Pseudo::default();
        let mut count = 0;
        for field in &block.fields {
            let name = field.name.of(&block.text);
            if name.first() != Some(&b':') {
                break;
            }
            count += 1;
            let place = match name {
                b":method" => &mut found.method,
                b":scheme" => &mut found.scheme,
                b":path" => &mut found.path,
                b":authority" => &mut found.authority,
                b":protocol" => &mut found.protocol,
                _ => {
                    found.fault = Some("unknown pseudo-header field");
                    continue;
                }
            };
            if place.replace(field.value).is_some() {
                found.fault = Some("a pseudo-header field stands twice");
            }
        }
        block.fields.drain(..count);
        found
    }

    fn check(&self, block: &Block, rules: Rules, head: &mut DecodedHead) -> Result<(), Reject> {
        if let Some(fault) = self.fault {
            return Err(Reject::BadField(fault));
        }
        let text = |span: Option<Span>| span.map(|span| span.of(&block.text));
        let method = text(self.method).ok_or(Reject::BadRequestLine("no :method"))?;
        if !method.iter().all(|byte| is_method_byte(*byte)) || method.is_empty() {
            return Err(Reject::BadRequestLine("malformed :method"));
        }
        match text(self.protocol) {
            None => {}
            // RFC 8441 §4: only where the server's SETTINGS allow it.
            Some(_) if !rules.extended_connect || head.method != Method::Connect => {
                return Err(Reject::BadField("unexpected :protocol"));
            }
            Some(protocol) if !is_token(protocol) => return Err(Reject::BadField("malformed :protocol")),
            Some(protocol) if !protocol.eq_ignore_ascii_case(WEBSOCKET) => {
                return Err(Reject::UnknownProtocol);
            }
            Some(_) => head.protocol = self.protocol.unwrap_or_default(),
        }
        let is_tunnel = head.method == Method::Connect && self.protocol.is_none();
        if is_tunnel && (self.scheme.is_some() || self.path.is_some()) {
            // §8.5: they MUST be omitted.
            return Err(Reject::ConnectToPath);
        }
        let is_scheme = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        match text(self.scheme) {
            None if is_tunnel => {}
            None => return Err(Reject::BadRequestLine("no :scheme")),
            Some([first, rest @ ..]) if first.is_ascii_alphabetic() && rest.iter().all(is_scheme) => {
                head.scheme = self.scheme.unwrap_or_default();
            }
            Some(_) => return Err(Reject::BadRequestLine("malformed :scheme")),
        }
        match text(self.path) {
            None if is_tunnel => {}
            None => return Err(Reject::BadRequestLine("no :path")),
            Some(path) => {
                without_fragment(path, 0..path.len())?;
                let is_asterisk = path == b"*" && head.method == Method::Options;
                if path.first() != Some(&b'/') && !is_asterisk {
                    return Err(Reject::BadRequestLine("a :path that does not begin with /"));
                }
            }
        }
        match text(self.authority) {
            None => {}
            Some(authority) if !host::is_valid(authority) || authority.is_empty() => {
                return Err(Reject::BadHost("malformed :authority"));
            }
            Some(_) => head.host = self.authority.unwrap_or_default(),
        }
        Ok(())
    }
}

/// Writes the request line that logs and variables show behind the block's text.
fn request_line(block: &mut Block, pseudo: &Pseudo, head: &mut DecodedHead) {
    let start = block.text.len();
    let mut copy = |span: Option<Span>| {
        let at = block.text.len();
        let span = span.unwrap_or_default();
        block.text.extend_from_within(span.start as usize..span.end());
        let copied = Span::new(at, block.text.len());
        block.text.push(b' ');
        copied
    };
    head.method_name = copy(pseudo.method);
    head.target = copy(pseudo.path.or(pseudo.authority));
    block.text.extend_from_slice(PROTOCOL);
    head.request_line = Span::new(start, block.text.len());
    head.method = Method::parse(head.method_name.of(&block.text));
}

fn fields(block: &mut Block, rules: Rules, head: &mut DecodedHead, end: bool) -> Result<(), Reject> {
    let text = &block.text;
    let (mut names, mut repeated, mut length, mut host_field) = (Names::default(), false, None, None);
    for field in &block.fields {
        well_formed(field, text)?;
        if is_of_connection(field, text) {
            return Err(Reject::BadField("a field of HTTP/1's connections"));
        }
        repeated |= names.add(field.id);
        let value = field.value.of(text);
        match field.id {
            HeaderId::Host if host_field.is_some() => return Err(Reject::BadHost("more than one Host field")),
            HeaderId::Host => host_field = Some(field.value),
            HeaderId::ContentLength if length.is_some() => {
                return Err(Reject::BadFraming("more than one \"Content-Length\""));
            }
            HeaderId::ContentLength => length = Some(body_length::content_length(value)?),
            HeaderId::Expect => {
                for expectation in list(value).filter(|e| !e.is_empty()) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Reject::Expectation);
                    }
                    head.expect_continue = true;
                }
            }
            _ => {}
        }
    }
    if repeated {
        repeated::check(&block.fields, text)?;
    }
    one_host(block, head, host_field)?;
    head.body_length = match (length, end) {
        (Some(1..), true) => return Err(Reject::BadFraming("the stream ends before its body")),
        // It ends with the stream. With a length of 0, what comes until then is malformed (RFC 9113 §8.1.1).
        (None | Some(0), false) => BodyLength::Unknown,
        (Some(length), _) => BodyLength::Known(length),
        (None, true) => BodyLength::None,
    };
    let text = &block.text;
    block.fields.retain(|field| field.id != HeaderId::Other || rules.unusual.keep(field.name.of(text)));
    Ok(())
}

/// The one host that `:authority` and Host name, as a Host field too.
fn one_host(block: &mut Block, head: &mut DecodedHead, said: Option<Span>) -> Result<(), Reject> {
    let text = &block.text;
    match said {
        Some(value) if !host::is_valid(value.of(text)) => return Err(Reject::BadHost("malformed Host field")),
        Some(value) if head.host.is_empty() => head.host = value,
        // §8.3.1: neither may contradict the other.
        Some(value) if !is_same_host(value.of(text), head.host.of(text), head.scheme.of(text)) => {
            return Err(Reject::BadHost("\":authority\" and \"Host\" have different values"));
        }
        // The former counts, also for upstreams, however the latter is written.
        Some(_) => {
            for field in block.fields.iter_mut().filter(|field| field.id == HeaderId::Host) {
                field.value = head.host;
            }
        }
        None if head.host.is_empty() => return Err(Reject::BadHost("neither \":authority\" nor \"Host\"")),
        None => {
            // For $http_host, and for upstreams.
            let start = block.text.len();
            block.text.extend_from_slice(b"host");
            let name = Span::new(start, block.text.len());
            block.fields.insert(0, Field { id: HeaderId::Host, name, value: head.host });
        }
    }
    if head.host.is_empty() { Err(Reject::BadHost("neither \":authority\" nor \"Host\"")) } else { Ok(()) }
}

/// RFC 3986 §6.2: they differ in case at most, or in a port that the scheme implies.
fn is_same_host(one: &[u8], other: &[u8], scheme: &[u8]) -> bool {
    let implied: &[u8] = match scheme {
        b"http" => b":80",
        b"https" => b":443",
        _ => b":",
    };
    fn without<'a>(host: &'a [u8], implied: &[u8]) -> &'a [u8] {
        host.strip_suffix(implied).or(host.strip_suffix(b":")).unwrap_or(host)
    }
    without(one, implied).eq_ignore_ascii_case(without(other, implied))
}

/// §8.2.1. What is no token is refused too: it could not be passed on.
fn well_formed(field: &Field, text: &[u8]) -> Result<(), Reject> {
    let (name, value) = (field.name.of(text), field.value.of(text));
    let is_name = |b: &u8| is_token_byte(*b) && !b.is_ascii_uppercase();
    if !name.iter().all(is_name) || name.is_empty() {
        if name.first() == Some(&b':') {
            return Err(Reject::BadField("a pseudo-header field among or behind others"));
        }
        return Err(match name.iter().copied().find(|b| !is_name(b)) {
            Some(byte) => Reject::BadByte { place: "a header name", byte },
            None => Reject::BadField("empty name"),
        });
    }
    if !is_field_value(value) {
        let byte = value.iter().copied().find(|b| !is_field_byte(*b)).unwrap_or_default();
        return Err(Reject::BadByte { place: "a header value", byte });
    }
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value {
        return Err(Reject::BadField("a value with blanks around it"));
    }
    Ok(())
}

/// §8.2.2: these say how HTTP/1 uses a connection, and mean nothing here.
fn is_of_connection(field: &Field, text: &[u8]) -> bool {
    match field.id {
        HeaderId::Connection
        | HeaderId::KeepAlive
        | HeaderId::ProxyConnection
        | HeaderId::TransferEncoding
        | HeaderId::Upgrade => true,
        HeaderId::Te => !field.value.of(text).eq_ignore_ascii_case(b"trailers"),
        _ => false,
    }
}

/// §8.2.3: cookies that were sent apart, for better compression, are one field to everybody else. It is the last one
/// (nginx).
fn merge_cookies(block: &mut Block) {
    let is_cookie = |field: &Field| field.id == HeaderId::Cookie;
    let Some(first) = block.fields.iter().position(is_cookie) else { return };
    let mut merged = block.fields.remove(first);
    if block.fields.iter().any(is_cookie) {
        let start = block.text.len();
        block.text.extend_from_within(merged.value.start as usize..merged.value.end());
        for field in block.fields.iter().filter(|field| is_cookie(field)) {
            block.text.extend_from_slice(b"; ");
            block.text.extend_from_within(field.value.start as usize..field.value.end());
        }
        merged.value = Span::new(start, block.text.len());
        block.fields.retain(|field| !is_cookie(field));
    }
    block.fields.push(merged);
}

#[cfg(test)]
mod tests;
