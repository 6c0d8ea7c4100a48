//! What holds of every input that another server or a balancer sends.

use super::splits;
use webserv::http::field_syntax::is_token;
use webserv::http::proxy_protocol as proxy;
use webserv::http::response_parser::{RequestContext, ResponseFormat, ResponseHeadProgress, ResponseParser};
use webserv::http::upstream_head::{Ending, UpstreamHead};

/// The longest head that is taken.
const LIMIT: usize = 1024;

/// A response head of HTTP/1: where its body ends is beyond doubt.
pub fn response(data: &[u8]) {
    for head in [false, true] {
        let asked = RequestContext { head, upgrade: head, ..RequestContext::default() };
        if let Some(read) = response_head(data, asked) {
            assert!(!head || matches!(read.ending, Ending::None), "a HEAD has no body");
            assert!(read.fields.iter().all(|field| is_token(field.name.of(data))));
        }
    }
}

/// A script's response head.
pub fn cgi(data: &[u8]) {
    for status_line in [false, true] {
        let format = ResponseFormat::Cgi { status_line };
        let _ = response_head(data, RequestContext { format, ..RequestContext::default() });
    }
}

/// Verdict and contents do not depend on the reads, spans lie inside, and no field can be split by another reader.
/// None: it is not complete, or refused.
fn response_head(data: &[u8], asked: RequestContext) -> Option<UpstreamHead> {
    let run = |cuts: &[usize]| {
        let mut response = ResponseParser::default();
        let mut result = Ok(ResponseHeadProgress::Partial);
        for &cut in cuts {
            result = response.parse(&data[..cut], LIMIT, asked);
            if result != Ok(ResponseHeadProgress::Partial) {
                break;
            }
        }
        (result, response.take())
    };
    let (result, whole) = run(&[data.len()]);
    for cuts in splits(data) {
        let (verdict, response) = run(&cuts);
        assert_eq!(verdict, result);
        if result == Ok(ResponseHeadProgress::Complete) {
            assert_eq!(
                (response.len, response.status, response.ending, response.keep_alive, response.fields),
                (whole.len, whole.status, whole.ending, whole.keep_alive, whole.fields.clone())
            );
        }
    }
    if result != Ok(ResponseHeadProgress::Complete) {
        return None;
    }
    assert!((100..1000).contains(&whole.status) && whole.len <= LIMIT.min(data.len()));
    for field in &whole.fields {
        assert!(field.value.end() <= whole.len);
        assert!(!field.value.of(data).iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
    Some(whole)
}

/// The PROXY protocol's header: more bytes behind it change nothing, and no value reaches past its end.
pub fn proxy_protocol(data: &[u8]) {
    let whole = proxy::parse(data);
    for end in 0..data.len() {
        match proxy::parse(&data[..end]) {
            Ok(proxy::ProxyHeaderProgress::Partial) => {}
            Ok(complete) => assert_eq!(whole.as_ref(), Ok(&complete), "after {end} bytes"),
            Err(_) => assert!(whole.is_err(), "refused after {end} bytes"),
        }
    }
    if let Ok(proxy::ProxyHeaderProgress::Complete(len, header)) = whole {
        assert!(len > 0 && len <= data.len());
        for name in ["alpn", "authority", "unique_id", "ssl", "ssl_verify", "ssl_cn", "ssl_0x21", "netns", "0xea"] {
            let value = header.as_ref().and_then(|header| header.tlv(name));
            assert!(value.is_none_or(|value| value.len() <= len));
        }
    }
}
