//! Tests of the head: tables re-run at every split point, and httparse as a differential oracle.

use super::*;
use crate::http::body_length::BodyLength;
use crate::http::header::UnusualNames;

const LIMITS: HeadLimits =
    HeadLimits { line: 200, total: 600, fields: 8, unusual: UnusualNames { underscores: false, all: false } };

/// Feeds `text` in pieces that end at `cuts` and at its end.
fn feed(
    text: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HeadLimits,
) -> (HeadParser, Result<HeadProgress, Reject>) {
    let mut parser = HeadParser::default();
    for cut in cuts.into_iter().chain([text.len()]) {
        match parser.parse(&text[..cut], limits) {
            Ok(HeadProgress::Partial) => {}
            other => return (parser, other),
        }
    }
    let last = Ok(HeadProgress::Partial);
    (parser, last)
}

/// What a caller sees of a head.
fn facts(text: &[u8], (parser, result): &(HeadParser, Result<HeadProgress, Reject>)) -> String {
    match result {
        Err(reject) => format!("{reject:?}"),
        Ok(HeadProgress::Partial) => "partial".into(),
        Ok(HeadProgress::Complete) => {
            let show = |span: Span| String::from_utf8_lossy(span.of(text)).into_owned();
            let fields: Vec<_> = parser.head.fields.iter().map(|f| (f.id, show(f.name), show(f.value))).collect();
            format!(
                "{:?} {} {} {:?} {} {:?} {fields:?} [{}] {} {:?} {} {} {} {}",
                parser.head.method,
                show(parser.head.method_name),
                show(parser.head.target),
                parser.head.form,
                show(parser.head.origin),
                parser.head.version,
                show(parser.head.request_line),
                parser.head.len,
                parser.head.body_length,
                show(parser.head.host),
                parser.head.keep_alive,
                parser.head.expect_continue,
                parser.head.upgrade,
            )
        }
    }
}

/// The result on the whole, after checking that no way to split the text changes it.
fn run(text: &[u8], limits: &HeadLimits) -> (HeadParser, Result<HeadProgress, Reject>) {
    let whole = feed(text, [], limits);
    let expected = facts(text, &whole);
    for cut in 0..text.len() {
        assert_eq!(facts(text, &feed(text, [cut], limits)), expected, "cut at {cut}: {}", text.escape_ascii());
    }
    assert_eq!(facts(text, &feed(text, 0..text.len(), limits)), expected, "bytewise: {}", text.escape_ascii());
    whole
}

fn status_of(text: &[u8], limits: &HeadLimits) -> u16 {
    match run(text, limits).1 {
        Ok(HeadProgress::Complete) => 0,
        Ok(HeadProgress::Partial) => 1,
        Err(reject) => reject.status().0,
    }
}

#[test]
fn a_head_is_taken_apart_in_place() {
    let text =
        b"\r\nPOST /a?b HTTP/1.1\r\nHost: a.test:81\r\nX-A:\t v v \t\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhelloGET";
    let (parser, result) = run(text, &LIMITS);
    assert_eq!(result, Ok(HeadProgress::Complete));
    assert_eq!(parser.head.len, text.len() - 8);
    assert_eq!(
        (parser.head.method, parser.head.version, parser.head.body_length),
        (Method::Post, Version::Http11, BodyLength::Known(5))
    );
    assert_eq!(parser.head.request_line.of(text), b"POST /a?b HTTP/1.1");
    assert_eq!(parser.head.target.of(text), b"/a?b");
    assert_eq!(parser.head.host.of(text), b"a.test:81");
    assert_eq!(parser.head.find(text, b"x-a").map(|f| f.value.of(text)), Some(&b"v v"[..]));
    assert_eq!(parser.head.find(text, b"X-EMPTY").map(|f| f.value.of(text)), Some(&b""[..]));
    assert_eq!(parser.head.find(text, b"x-b"), None);
    assert_eq!(parser.head.value(text, HeaderId::ContentLength), Some(&b"5"[..]));
    assert_eq!(parser.head.value(text, HeaderId::Range), None);
    assert!(parser.head.keep_alive && !parser.head.expect_continue && !parser.head.upgrade);
}

#[test]
fn heads_are_accepted_and_refused_by_rule() {
    // `§` stands for the request line and Host of a sound request, `~` for a hundred bytes.
    let table: [(&str, u16); 91] = [
        ("§\r\n", 0),
        ("GET / HTTP/1.0\r\n\r\n", 0),
        ("GET / HTTP/1.0\n\n", 0),
        ("GET / HTTP/1.1\nHost: a\n\n", 0),
        ("\r\n\n\r\n§\r\n", 0),
        ("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n§\r\n", 0),
        ("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n§\r\n", 400),
        ("\r§\r\n", 400),
        (" §\r\n", 400),
        ("\x16\x03\x01", 400),
        ("§", 1),
        ("§X: y\r\n", 1),
        ("", 1),
        ("\r\n\r", 1),
        // lines
        ("§X: y\r\n z\r\n\r\n", 400),
        ("§X: y\r\n\tz\r\n\r\n", 400),
        ("§ X: y\r\n\r\n", 400),
        ("§X : y\r\n\r\n", 400),
        ("§X\t: y\r\n\r\n", 400),
        ("§: y\r\n\r\n", 400),
        ("§X\r\n\r\n", 400),
        ("§X y\r\n\r\n", 400),
        ("§X(: y\r\n\r\n", 400),
        ("§\u{e9}: y\r\n\r\n", 400),
        ("§X: \0\r\n\r\n", 400),
        ("§X: a\rb\r\n\r\n", 400),
        ("§X: a\r\r\n\r\n", 400),
        ("§X: \x0b\r\n\r\n", 400),
        ("§X: \x7f\r\n\r\n", 400),
        ("§X: \u{e9}\ta\r\n\r\n", 0),
        ("§X:y\r\n\r\n", 0),
        ("§X_Y: y\r\n\r\n", 0),
        ("§X_Y(: y\r\n\r\n", 400),
        ("§\r\r\n", 400),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
        // Host
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400),
        ("§Host: a\r\n\r\n", 400),
        ("§Host: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: [zz]\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        ("GET http://b/ HTTP/1.1\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.0\r\n\r\n", 0),
        // Content-Length
        ("§Content-Length: 0\r\n\r\n", 0),
        ("§Content-Length:\t7 \r\n\r\n", 0),
        ("§Content-Length: +7\r\n\r\n", 400),
        ("§Content-Length: -7\r\n\r\n", 400),
        ("§Content-Length: 7,7\r\n\r\n", 400),
        ("§Content-Length: 0x7\r\n\r\n", 400),
        ("§Content-Length: 7 7\r\n\r\n", 400),
        ("§Content-Length:\r\n\r\n", 400),
        ("§Content-Length: 18446744073709551616\r\n\r\n", 400),
        ("§Content-Length: 7\r\nContent-Length: 8\r\n\r\n", 400),
        ("§Content-Length: 7\r\nContent-Length: 7\r\n\r\n", 400),
        ("§Content_Length: 7\r\nContent-Length: 8\r\n\r\n", 0),
        // Transfer-Encoding
        ("§Transfer-Encoding: chunked\r\n\r\n", 0),
        ("§transfer-encoding: \tChunked \r\n\r\n", 0),
        ("§Transfer-Encoding: gzip\r\n\r\n", 501),
        ("§Transfer-Encoding: identity\r\n\r\n", 501),
        ("§Transfer-Encoding: xchunked\r\n\r\n", 501),
        ("§Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("§Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
        ("§Transfer-Encoding:\r\n\r\n", 400),
        ("§Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("§Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
        ("§Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("§Content-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        ("§Transfer-Encoding : chunked\r\n\r\n", 400),
        ("§Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
        ("§X: y\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        // Expect
        ("§Expect: 100-continue\r\n\r\n", 0),
        ("§Expect: 100-Continue\r\n\r\n", 0),
        ("§Expect: 200-ok\r\n\r\n", 417),
        ("§Expect: 100-continue, x\r\n\r\n", 417),
        ("§Expect:\r\n\r\n", 0),
        // limits: line 200, total 600, 8 fields
        ("GET /~ HTTP/1.1\r\n", 1),
        ("GET /~~ HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET /~~", 414),
        ("§X: ~~\r\n\r\n", 431),
        ("§X: ~~", 431),
        ("§X: ~\r\nX: ~\r\nX: ~\r\nX: ~\r\nX: ~\r\nX: ~\r\n", 431),
        ("§A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\n\r\n", 0),
        ("§A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\nG:\r\nH:\r\n\r\n", 494),
        ("§A:\r\nB:\r\nC:\r\nD_:\r\nE_:\r\nF_:\r\nG_:\r\nH_:\r\n\r\n", 494),
        ("GET /~~~~~~", 414),
    ];
    for (text, status) in table {
        let text = text.replace('§', "GET / HTTP/1.1\r\nHost: a\r\n").replace('~', &"l".repeat(100));
        assert_eq!(status_of(text.as_bytes(), &LIMITS), status, "{text:?}");
    }
}

#[test]
fn a_line_and_a_head_may_be_exactly_as_long_as_the_limit() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyy\r\n\r\n";
    let exact = HeadLimits { line: 23, total: text.len(), ..LIMITS };
    assert_eq!(status_of(text, &exact), 0);
    assert_eq!(status_of(text, &HeadLimits { line: 22, ..exact }), 431);
    assert_eq!(status_of(text, &HeadLimits { line: 15, ..exact }), 414);
    assert_eq!(status_of(text, &HeadLimits { total: text.len() - 1, ..exact }), 431);
    assert_eq!(status_of(text, &HeadLimits { total: 10, ..exact }), 414);
    // What has no end yet needs a byte more: full limits are known to be exceeded.
    for (end, line, total, expected) in [(24, 23, 25, 0), (24, 23, 24, 431), (15, 16, 99, 0), (15, 15, 99, 414)] {
        let got = HeadParser::default().parse(&text[..end], &HeadLimits { line, total, ..LIMITS });
        assert_eq!(got.map_or_else(|reject| reject.status().0, |_| 0), expected, "{end} bytes of {line}, {total}");
    }
}

#[test]
fn the_connection_persists_as_the_version_and_its_options_say() {
    let table = [
        ("1.1", "", true, false),
        ("1.1", "Connection: close\r\n", false, false),
        ("1.0", "", false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false),
        ("1.1", "Connection: foo, CLOSE\r\n", false, false),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", false, false),
        ("1.0", "Connection: keep-alive, close\r\n", false, false),
        ("1.1", "Connection: closed\r\n", true, false),
        ("1.1", "Connection: keep-alive, Upgrade\r\n", true, true),
        ("1.9", "", true, false),
        ("1.1", "Connection: ,,\r\n", true, false),
    ];
    for (version, fields, keep_alive, upgrade) in table {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let (parser, result) = run(text.as_bytes(), &LIMITS);
        assert_eq!(result, Ok(HeadProgress::Complete), "{text}");
        assert_eq!((parser.head.keep_alive, parser.head.upgrade), (keep_alive, upgrade), "{text}");
    }
}

#[test]
fn an_absolute_target_names_the_host_and_underscores_are_kept_only_when_asked() {
    let text = b"GET http://B.test:8/x HTTP/1.1\r\nHost: a\r\nX_Y: z\r\nExpect: 100-continue\r\n\r\n";
    let (parser, _) = run(text, &LIMITS);
    assert_eq!((parser.head.host.of(text), parser.head.origin.of(text)), (&b"B.test:8"[..], &b"/x"[..]));
    assert!(parser.head.expect_continue);
    assert_eq!((parser.head.fields.len(), parser.head.find(text, b"x_y")), (2, None));
    let (parser, _) = run(text, &HeadLimits { unusual: UnusualNames { underscores: true, all: false }, ..LIMITS });
    assert_eq!(parser.head.find(text, b"x_y").map(|f| f.value.of(text)), Some(&b"z"[..]));
    let old = b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
    assert!(!run(old, &LIMITS).0.head.expect_continue, "an HTTP/1.0 client cannot take a 100");
}

#[test]
fn a_cleared_head_forgets_all_but_its_capacity() {
    let first = b"POST http://b/ HTTP/1.0\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\n";
    let second = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut parser = HeadParser::default();
    assert_eq!(parser.parse(first, &LIMITS), Ok(HeadProgress::Complete));
    assert_eq!(parser.parse(first, &LIMITS), Ok(HeadProgress::Complete), "asking again changes nothing");
    let (capacity, at) = (parser.head.fields.capacity(), parser.head.fields.as_ptr());
    parser.clear();
    assert_eq!(parser.parse(second, &LIMITS), Ok(HeadProgress::Complete));
    let fresh = feed(second, [], &LIMITS);
    assert_eq!(facts(second, &(parser.clone(), Ok(HeadProgress::Complete))), facts(second, &fresh));
    assert_eq!((parser.head.fields.capacity(), parser.head.fields.as_ptr()), (capacity, at));
}

#[test]
fn a_head_has_begun_with_its_first_byte_that_is_no_line_end() {
    for (text, begun) in
        [("", false), ("\r", false), ("\r\n", false), ("\r\n\r\n", false), ("G", true), ("\r\nG", true)]
    {
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(text.as_bytes(), &LIMITS), Ok(HeadProgress::Partial));
        assert_eq!(parser.has_begun(text.as_bytes()), begun, "{text:?}");
    }
}

/// xorshift64*: the same corpus on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

#[test]
fn what_is_accepted_httparse_reads_the_same_way() {
    let seeds: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"POST /a/b?c=d HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 12\r\nX-Y: z z\r\n\r\n",
        b"PUT http://a.test/x HTTP/1.0\r\nhost:\ta\t\r\nConnection: close, x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\nHost: [::1]:80\nA:\n\n",
        b"\r\nDELETE /%41 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\nCookie: a=\"b\"; c\xff\r\n\r\n",
        b"GET /x HTTP/1.1\r\nUser-Agent: t/1.0 (x; y)\r\nAccept: */*;q=0.1\r\nHost: a\r\nIf-None-Match: W/\"x\"\r\n\r\n",
    ];
    const BYTES: &[u8] = b"\r\n\t :/?#%*0019aAzZ_-.,;=\"\\[]@\0\x01\x7f\x80\xff";
    let limits = HeadLimits { unusual: UnusualNames { underscores: true, all: true }, ..HeadLimits::default() };
    let (mut random, mut accepted) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    for round in 0..60_000 {
        let mut text = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.below(4) {
            if text.len() < 2 {
                break;
            }
            let at = random.below(text.len());
            let byte = BYTES[random.below(BYTES.len())];
            match random.below(5) {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => drop(text.remove(at)),
                3 => {
                    let end = (at + 1 + random.below(12)).min(text.len());
                    let piece = text[at..end].to_vec();
                    let to = random.below(text.len());
                    text.splice(to..to, piece);
                }
                _ => text.truncate(at.max(1)),
            }
        }
        let (parser, result) = feed(&text, [random.below(text.len()), text.len()], &limits);
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut oracle = httparse::Request::new(&mut fields);
        let parsed = oracle.parse(&text);
        if result != Ok(HeadProgress::Complete) {
            continue;
        }
        accepted += 1;
        let shown = text.escape_ascii();
        // httparse knows no version but 1.0 and 1.1; RFC 9110 §2.5 has us take 1.2 to 1.9 as 1.1.
        if parsed == Err(httparse::Error::Version) {
            let line = parser.head.request_line.of(&text);
            assert!(matches!(line.last(), Some(b'2'..=b'9')), "{shown}");
            continue;
        }
        // httparse wants UTF-8 in the target; we take any byte from 0x80 on, as nginx does.
        if parsed == Err(httparse::Error::Token) && std::str::from_utf8(parser.head.target.of(&text)).is_err() {
            continue;
        }
        assert_eq!(parsed, Ok(httparse::Status::Complete(parser.head.len)), "{shown}");
        assert_eq!(oracle.method.map(str::as_bytes), Some(parser.head.method_name.of(&text)), "{shown}");
        assert_eq!(oracle.path.map(str::as_bytes), Some(parser.head.target.of(&text)), "{shown}");
        assert_eq!(oracle.version, Some(u8::from(parser.head.version == Version::Http11)), "{shown}");
        let theirs: Vec<_> = oracle.headers.iter().map(|h| (h.name.as_bytes(), h.value)).collect();
        let ours: Vec<_> = parser.head.fields.iter().map(|f| (f.name.of(&text), f.value.of(&text))).collect();
        assert_eq!(ours, theirs, "{shown}");
    }
    assert!(accepted > 10_000, "the corpus must not degenerate: {accepted} accepted");
}

#[test]
fn the_method_is_known_once_its_space_has_come() {
    let table = [
        ("", Method::Unknown),
        ("HEAD", Method::Unknown),
        ("HEAD ", Method::Head),
        ("\r\nHEAD /", Method::Head),
        ("HEAD * HTTP/1.1\r\n", Method::Head),
        ("HEAD /f HTTP/2.0\r\n", Method::Head),
        ("HEAD /f HTTP/1.1\r\nHost : a\r\n", Method::Head),
        ("HEADER /", Method::Unknown),
        ("HEAD\t/ HTTP/1.1\r\n", Method::Unknown),
        ("POST /a", Method::Post),
    ];
    for (text, method) in table {
        for at in 0..=text.len() {
            let mut parser = HeadParser::default();
            let limits = HeadLimits::default();
            let _ = parser.parse(&text.as_bytes()[..at], &limits).and_then(|_| parser.parse(text.as_bytes(), &limits));
            assert_eq!(parser.method_so_far(text.as_bytes()), method, "{text:?} split at {at}");
        }
    }
}

#[test]
fn the_limit_that_is_named_does_not_depend_on_how_reads_split() {
    let limits = HeadLimits { line: 256, total: 1024, ..HeadLimits::default() };
    let outcome = |text: &[u8], cuts: &[usize]| {
        let mut parser = HeadParser::default();
        let ends = cuts.iter().copied().chain([text.len()]);
        ends.map(|end| parser.parse(&text[..end], &limits)).find(|step| step != &Ok(HeadProgress::Partial))
    };
    let field = |length: usize| format!("X: {}\r\n", "v".repeat(length));
    for (name, fields, limit) in [
        ("a long line early", field(2000), 256),
        ("a long line across the end of all", field(200).repeat(4) + &field(900), 1024),
        ("short lines, too many", field(100).repeat(20), 1024),
        ("a line that ends with both", field(200).repeat(3) + &field(384), 256),
        ("the same byte is too much for both", field(200).repeat(3) + &field(123) + &field(384), 256),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
        let whole = outcome(&text, &[]);
        assert_eq!(whole, Some(Err(Reject::HeaderTooLarge { limit })), "{name}");
        for cut in 1..text.len() {
            assert_eq!(outcome(&text, &[cut]), whole, "{name}, cut at {cut}");
            assert_eq!(outcome(&text, &(cut..text.len()).step_by(7).collect::<Vec<_>>()), whole, "{name}, from {cut}");
        }
    }
}

#[test]
fn a_field_line_that_is_refused_names_what_is_wrong_with_it() {
    let bad = |place, byte| Err(Reject::BadByte { place, byte });
    type Split = Result<(usize, std::ops::Range<usize>), Reject>;
    let table: [(&[u8], Split); 9] = [
        (b"A: x", Ok((1, 3..4))),
        (b"A:\t x y \t", Ok((1, 4..7))),
        (b"A:", Ok((1, 2..2))),
        (b" A: x", Err(Reject::BadField("a line folded onto the one before"))),
        (b": x", Err(Reject::BadField("empty name"))),
        (b"A", Err(Reject::BadField("no colon"))),
        (b"A : x", Err(Reject::BadField("a blank between name and colon"))),
        (b"A\x7f: x", bad("a header name", 0x7f)),
        (b"A: x\x01y\x02", bad("a header value", 1)),
    ];
    for (line, expected) in table {
        assert_eq!(split_field(line), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn a_parser_that_handed_its_head_over_reads_the_next_request() {
    let (mut parser, mut head) = (HeadParser::default(), RequestHead::default());
    for (text, path) in [("GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", "/a"), ("PUT /b HTTP/1.0\r\n\r\n", "/b")] {
        assert_eq!(parser.parse(&text.as_bytes()[..5], &LIMITS), Ok(HeadProgress::Partial));
        assert_eq!(parser.parse(text.as_bytes(), &LIMITS), Ok(HeadProgress::Complete));
        head.clear();
        parser.take(&mut head);
        assert_eq!(head.target.of(text.as_bytes()), path.as_bytes());
        assert_eq!((head.len, head.fields.len()), (text.len(), text.matches(": ").count()));
        assert!(parser.head.fields.is_empty());
    }
}
