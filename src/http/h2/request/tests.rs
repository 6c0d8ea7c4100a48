//! Requests by the rules of RFC 9113 §8.1 to §8.5, and RFC 8441.

use super::super::hpack::encode;
use super::super::hpack::{Bounds, Decoder};
use super::*;

const RULES: Rules =
    Rules { unusual: UnusualNames { underscores: false, all: false }, extended_connect: true, fields: 100 };

#[test]
fn hosts_are_the_same_but_for_case_and_the_schemes_port() {
    for (one, other, scheme, expected) in [
        ("a.test", "A.test:80", "http", true),
        ("a.test:443", "a.test", "https", true),
        ("a.test:80", "a.test", "https", false),
        ("a.test:443", "a.test", "http", false),
        ("a.test:", "a.test", "http", true),
        ("a.test:80", "a.test", "ftp", false),
        ("a.test", "b.test", "http", false),
    ] {
        let same = is_same_host(one.as_bytes(), other.as_bytes(), scheme.as_bytes());
        assert_eq!(same, expected, "{one} {other} {scheme}");
    }
}

fn block(fields: &[(&str, &str)]) -> Block {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        // As literals: the encoder would write names in lower case.
        bytes.push(0);
        encode::integer(&mut bytes, 0, 7, name.len());
        bytes.extend_from_slice(name.as_bytes());
        encode::integer(&mut bytes, 0, 7, value.len());
        bytes.extend_from_slice(value.as_bytes());
    }
    let mut block = Block::default();
    let bounds = Bounds { total: 4000, fields: 40 };
    assert_eq!(Decoder::default().decode(&bytes, &bounds, &mut block), Ok(()));
    block
}

fn status(fields: &[(&str, &str)], end: bool, rules: Rules) -> u16 {
    let mut head = DecodedHead::default();
    read(&mut block(fields), end, rules, &mut head).map_or_else(|reject| reject.status().0, |()| 0)
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":path", "/a?b"), (":authority", "l:81")];

#[test]
fn a_request_is_taken_apart() {
    let fields =
        [&GET[..], &[("x-a", "1"), ("cookie", "a=b"), ("x_b", "2"), ("cookie", "c=d"), ("cookie", "e"), ("x-c", "3")]]
            .concat();
    let mut block = block(&fields);
    let mut head = DecodedHead::default();
    assert_eq!(read(&mut block, true, RULES, &mut head), Ok(()));
    let text = |span: Span| String::from_utf8_lossy(span.of(&block.text)).into_owned();
    assert_eq!(text(head.request_line), "GET /a?b HTTP/2.0");
    assert_eq!(
        (text(head.method_name), text(head.target), text(head.scheme)),
        ("GET".into(), "/a?b".into(), "https".into())
    );
    assert_eq!((head.method, text(head.host), head.body_length), (Method::Get, "l:81".into(), BodyLength::None));
    let got: Vec<_> = block.fields.iter().map(|field| format!("{}={}", text(field.name), text(field.value))).collect();
    assert_eq!(got, ["host=l:81", "x-a=1", "x-c=3", "cookie=a=b; c=d; e"]);
}

#[test]
fn the_byte_that_breaks_a_field_is_named() {
    let refused = |name: &str, value: &str| {
        let mut head = DecodedHead::default();
        read(&mut block(&[&GET[..], &[(name, value)]].concat()), true, RULES, &mut head)
    };
    assert_eq!(refused("x a", "1"), Err(Reject::BadByte { place: "a header name", byte: b' ' }));
    assert_eq!(refused("xA", "1"), Err(Reject::BadByte { place: "a header name", byte: b'A' }));
    assert_eq!(refused("x", "a\x01b"), Err(Reject::BadByte { place: "a header value", byte: 1 }));
}

#[test]
fn a_cookie_is_the_last_field() {
    let mut block = block(&[&GET[..], &[("cookie", "a=b"), ("x-a", "1")]].concat());
    let mut head = DecodedHead::default();
    assert_eq!(read(&mut block, true, RULES, &mut head), Ok(()));
    let names: Vec<&[u8]> = block.fields.iter().map(|field| field.name.of(&block.text)).collect();
    assert_eq!(names, [&b"host"[..], b"x-a", b"cookie"]);
}

#[test]
fn an_empty_cookie_keeps_its_place_among_others() {
    for (cookies, merged) in [(["", "a=b"], "; a=b"), (["a=b", ""], "a=b; "), (["", ""], "; ")] {
        let mut block = block(&[&GET[..], &cookies.map(|cookie| ("cookie", cookie))].concat());
        let mut head = DecodedHead::default();
        assert_eq!(read(&mut block, true, RULES, &mut head), Ok(()));
        let values: Vec<&[u8]> = block.fields.iter().map(|field| field.value.of(&block.text)).collect();
        assert_eq!(values, [b"l:81", merged.as_bytes()], "{cookies:?}");
    }
}

#[test]
fn each_malformed_request_is_refused() {
    let with = |extra: &[(&'static str, &'static str)]| [&GET[..], extra].concat();
    let without = |name: &str| GET.iter().copied().filter(|(n, _)| *n != name).collect::<Vec<_>>();
    let other = |name: &str, value: &'static str| {
        GET.iter().map(|(n, v)| if *n == name { (*n, value) } else { (*n, *v) }).collect::<Vec<_>>()
    };
    let connect = [(":method", "CONNECT"), (":authority", "l:443")];
    let websocket = |extra: &[(&'static str, &'static str)]| {
        [&[(":method", "CONNECT"), (":scheme", "https"), (":path", "/chat"), (":authority", "l")][..], extra].concat()
    };
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16);
    let table: Vec<Row<'_>> = vec![
        ("a request", with(&[]), 0),
        ("8.2 upper case in a name", with(&[("X-a", "b")]), 400),
        ("8.2.1 a blank in a name", with(&[("x a", "b")]), 400),
        ("8.2.1 a colon in a name", with(&[("x:a", "b")]), 400),
        ("8.2.1 no name", with(&[("", "b")]), 400),
        ("8.2.1 a byte beyond ASCII in a name", with(&[("x\u{e9}", "b")]), 400),
        ("8.2.1 NUL", with(&[("x", "a\0b")]), 400),
        ("8.2.1 CR", with(&[("x", "a\rb")]), 400),
        ("8.2.1 LF", with(&[("x", "a\nb")]), 400),
        ("8.2.1 a blank before a value", with(&[("x", " b")]), 400),
        ("8.2.1 a blank behind a value", with(&[("x", "b\t")]), 400),
        ("8.2.1 an empty value", with(&[("x", "")]), 0),
        ("8.2.2 Connection", with(&[("connection", "close")]), 400),
        ("8.2.2 Keep-Alive", with(&[("keep-alive", "1")]), 400),
        ("8.2.2 Proxy-Connection", with(&[("proxy-connection", "close")]), 400),
        ("8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), 400),
        ("8.2.2 Upgrade", with(&[("upgrade", "h2c")]), 400),
        ("8.2.2 TE: trailers", with(&[("te", "trailers")]), 0),
        ("8.2.2 TE: gzip", with(&[("te", "gzip")]), 400),
        ("8.3 an unknown pseudo-header field", [&[(":x", "y")][..], &GET].concat(), 400),
        ("8.3 :status", [&[(":status", "200")][..], &GET].concat(), 400),
        ("8.3 a pseudo-header field behind others", [&[("x", "y")][..], &GET].concat(), 400),
        ("8.3 one twice", with(&[(":path", "/")]), 400),
        ("8.3.1 no :method", without(":method"), 400),
        ("8.3.1 no :scheme", without(":scheme"), 400),
        ("8.3.1 no :path", without(":path"), 400),
        ("8.3.1 an empty :path", other(":path", ""), 400),
        ("8.3.1 a :path without /", other(":path", "a"), 400),
        ("8.3.1 * with GET", other(":path", "*"), 400),
        ("8.3.1 a blank in :path", other(":path", "/a b"), 400),
        ("8.3.1 a fragment, as over HTTP/1.1", other(":path", "/a#b"), 0),
        ("8.3.1 a blank in a fragment", other(":path", "/a#b c"), 400),
        ("8.3.1 CR LF in :path", other(":path", "/\r\nx:y"), 400),
        ("8.3.1 an empty :method", other(":method", ""), 400),
        ("8.3.1 a blank in :method", other(":method", "G T"), 400),
        ("8.3.1 an empty :scheme", other(":scheme", ""), 400),
        ("8.3.1 a malformed :scheme", other(":scheme", "ht tp"), 400),
        ("8.3.1 another :scheme", other(":scheme", "foo"), 0),
        ("8.3.1 an empty :authority", other(":authority", ""), 400),
        ("8.3.1 a user in :authority", other(":authority", "u@l"), 400),
        ("8.3.1 no host at all", without(":authority"), 400),
        ("8.3.1 Host alone", [&without(":authority")[..], &[("host", "l")]].concat(), 0),
        ("8.3.1 Host as :authority", with(&[("host", "l:81")]), 0),
        ("8.3.1 Host unlike :authority", with(&[("host", "m")]), 400),
        ("8.3.1 Host as :authority, in upper case", with(&[("host", "L:81")]), 0),
        ("8.3.1 Host unlike :authority by its port", with(&[("host", "l")]), 400),
        ("8.3.1 Host unlike :authority by another port", with(&[("host", "l:80")]), 400),
        ("two Host fields", with(&[("host", "l:81"), ("host", "l:81")]), 400),
        ("a malformed Host", [&without(":authority")[..], &[("host", "a/b")]].concat(), 400),
        ("8.5 CONNECT", connect.to_vec(), 0),
        ("8.5 CONNECT to nowhere", connect[..1].to_vec(), 400),
        ("8.5 CONNECT to a path", websocket(&[]), 405),
        ("RFC 8441 4 an extended CONNECT", websocket(&[(":protocol", "websocket")]), 0),
        ("RFC 8441 4 another method", with(&[(":protocol", "websocket")]), 400),
        ("RFC 8441 4 no :path", [&connect[..], &[(":scheme", "https"), (":protocol", "websocket")]].concat(), 400),
        ("8.1.1 a length that is none", with(&[("content-length", "x")]), 400),
        ("8.1.1 two lengths", with(&[("content-length", "0"), ("content-length", "0")]), 400),
        ("8.1.1 a length, and the stream ends", with(&[("content-length", "1")]), 400),
        ("8.1.1 a length of 0", with(&[("content-length", "0")]), 0),
        ("an expectation that is unknown", with(&[("expect", "x")]), 417),
        ("a field that may stand once", with(&[("authorization", "a"), ("authorization", "b")]), 400),
    ];
    for (name, fields, wanted) in &table {
        assert_eq!(status(fields, true, RULES), *wanted, "{name}");
    }
    let websocket = websocket(&[(":protocol", "websocket")]);
    assert_eq!(status(&websocket, false, Rules { extended_connect: false, ..RULES }), 400);
}

#[test]
fn what_the_stream_says_about_its_body_is_its_length() {
    let length = |extra: &[(&str, &str)], end| {
        let mut head = DecodedHead::default();
        let fields = [&GET[..], extra].concat();
        read(&mut block(&fields), end, RULES, &mut head).map(|()| head.body_length)
    };
    assert_eq!(length(&[], true), Ok(BodyLength::None));
    assert_eq!(length(&[], false), Ok(BodyLength::Unknown));
    assert_eq!(length(&[("content-length", "7")], false), Ok(BodyLength::Known(7)));
    assert_eq!(length(&[("content-length", "0")], true), Ok(BodyLength::Known(0)));
    assert_eq!(
        length(&[("content-length", "0")], false),
        Ok(BodyLength::Unknown),
        "something may follow, which is malformed"
    );
}

#[test]
fn a_refused_request_still_has_its_line_for_the_log() {
    let mut block = block(&[(":method", "GET"), (":path", "/x"), ("X", "y")]);
    let mut head = DecodedHead::default();
    assert!(read(&mut block, true, RULES, &mut head).is_err());
    assert_eq!(head.request_line.of(&block.text), b"GET /x HTTP/2.0");
}

#[test]
fn trailers_hold_no_field_that_frames_or_routes() {
    let table = [
        ("x", "y", true),
        (":path", "/", false),
        ("content-length", "1", false),
        ("host", "l", false),
        ("transfer-encoding", "chunked", false),
        ("Upper", "x", false),
        ("te", "gzip", false),
    ];
    for (name, value, good) in table {
        assert_eq!(trailers(&block(&[(name, value)]), RULES).is_ok(), good, "{name}");
    }
    // What the decoder leaves out would not be judged, nor reach what waits for it.
    let many = |n, fields| trailers(&block(&vec![("x", "y"); n]), Rules { fields, ..RULES });
    let too_many = |limit| Err(Reject::TooManyFields { limit });
    assert_eq!([many(3, 3), many(4, 3), many(41, 100)], [Ok(()), too_many(3), too_many(40)]);
}
