//! What holds of every input that another server or a balancer sends.

use super::splits;
use webserv::http::field_syntax::is_token;
use webserv::http::h1::response::{Ending, Progress, RequestContext, ResponseHead};
use webserv::http::proxy_protocol as proxy;

/// A response head of HTTP/1: the verdict does not depend on the reads, spans lie inside, and where its body ends is
/// beyond doubt.
pub fn response(data: &[u8]) {
    const LIMIT: usize = 1024;
    for head in [false, true] {
        let asked = RequestContext { head, upgrade: head, ..RequestContext::default() };
        let run = |cuts: &[usize]| {
            let mut response = ResponseHead::default();
            let mut result = Ok(Progress::Partial);
            for &cut in cuts {
                result = response.parse(&data[..cut], LIMIT, asked);
                if result != Ok(Progress::Partial) {
                    break;
                }
            }
            (result, response)
        };
        let (result, whole) = run(&[data.len()]);
        for cuts in splits(data) {
            let (verdict, response) = run(&cuts);
            assert_eq!(verdict, result);
            if result == Ok(Progress::Complete) {
                assert_eq!(
                    (response.len, response.status, response.ending, response.keep_alive, response.fields),
                    (whole.len, whole.status, whole.ending, whole.keep_alive, whole.fields.clone())
                );
            }
        }
        if result == Ok(Progress::Complete) {
            assert!((100..1000).contains(&whole.status) && whole.len <= LIMIT.min(data.len()));
            assert!(!head || matches!(whole.ending, Ending::None), "a HEAD has no body");
            for field in &whole.fields {
                assert!(is_token(field.name.of(data)) && field.value.end() <= whole.len);
                assert!(!field.value.of(data).iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
        }
    }
}

/// The PROXY protocol's header: more bytes behind it change nothing, and no value reaches past its end.
pub fn proxy_protocol(data: &[u8]) {
    let whole = proxy::parse(data);
    for end in 0..data.len() {
        match proxy::parse(&data[..end]) {
            Ok(proxy::Progress::Partial) => {}
            Ok(complete) => assert_eq!(whole.as_ref(), Ok(&complete), "after {end} bytes"),
            Err(_) => assert!(whole.is_err(), "refused after {end} bytes"),
        }
    }
    if let Ok(proxy::Progress::Complete(len, header)) = whole {
        assert!(len > 0 && len <= data.len());
        for name in ["alpn", "authority", "unique_id", "ssl", "ssl_verify", "ssl_cn", "ssl_0x21", "netns", "0xea"] {
            let value = header.as_ref().and_then(|header| header.tlv(name));
            assert!(value.is_none_or(|value| value.len() <= len));
        }
    }
}
