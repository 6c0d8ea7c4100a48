//! Tables of upstream responses; each is fed whole and split at every point.

use super::*;

const LIMIT: usize = 4096;

fn show(head: &UpstreamHead, buf: &[u8]) -> String {
    let fields: Vec<String> = head
        .fields
        .iter()
        .map(|f| format!("{}={}", String::from_utf8_lossy(f.name.of(buf)), String::from_utf8_lossy(f.value.of(buf))))
        .collect();
    format!(
        "{} {} [{}] {:?}{} rest {}",
        head.status,
        String::from_utf8_lossy(head.reason.of(buf)),
        fields.join(","),
        head.ending,
        if head.keep_alive { " keep" } else { "" },
        buf.len() - head.len
    )
}

/// Feeds `text` in two pieces, taking interim responses out as the caller of the parser does.
fn run(text: &[u8], split: usize, asked: RequestContext) -> String {
    let mut parser = ResponseParser::default();
    let mut buf = text[..split].to_vec();
    let mut fed = split == text.len();
    loop {
        match parser.parse(&buf, LIMIT, asked) {
            Err(why) => return why.to_string(),
            Ok(ResponseHeadProgress::Interim(n)) => {
                buf.drain(..n);
                parser.clear();
            }
            Ok(ResponseHeadProgress::Complete) => {
                if !fed {
                    buf.extend_from_slice(&text[split..]);
                }
                return show(&parser.head, &buf);
            }
            Ok(ResponseHeadProgress::Partial) if fed => return "partial".into(),
            Ok(ResponseHeadProgress::Partial) => {
                buf.extend_from_slice(&text[split..]);
                fed = true;
            }
        }
    }
}

#[test]
fn a_head_means_the_same_however_it_is_split() {
    let get = RequestContext::default();
    let head = RequestContext { head: true, ..get };
    let upgrade = RequestContext { upgrade: true, ..get };
    let table: &[(&str, RequestContext, &str, &str)] = &[
        ("plain", get, "HTTP/1.1 200 OK\r\nA: b\r\n\r\nxy", "200 OK [A=b] Close rest 2"),
        ("no reason", get, "HTTP/1.1 200\r\n\r\n", "200  [] Close rest 0"),
        ("an empty reason", get, "HTTP/1.1 200 \r\n\r\n", "200  [] Close rest 0"),
        ("bare LF", get, "HTTP/1.1 404 Not Found\nA:b\n\n", "404 Not Found [A=b] Close rest 0"),
        (
            "a length keeps the connection",
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxy",
            "200 OK [Content-Length=2] Length(2) keep rest 2",
        ),
        (
            "but not under HTTP/1.0",
            get,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nxy",
            "200 OK [Content-Length=2] Length(2) rest 2",
        ),
        (
            "nor with close",
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\n",
            "200 OK [Content-Length=2,Connection=x, Close] Length(2) rest 0",
        ),
        (
            "chunked",
            get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "200 OK [Transfer-Encoding=Chunked] Mark keep rest 0",
        ),
        (
            "HEAD has no body",
            head,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "200 OK [Content-Length=9] None keep rest 0",
        ),
        ("204", get, "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content [] None keep rest 0"),
        (
            "304 with a length",
            get,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "304 Not Modified [Content-Length=9] None keep rest 0",
        ),
        (
            "100 and 103 are skipped",
            get,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
            "204 N [] None keep rest 0",
        ),
        (
            "101 where it was asked for",
            upgrade,
            "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nraw",
            "101 Switching [Upgrade=x] None rest 3",
        ),
        (
            "101 out of the blue",
            get,
            "HTTP/1.1 101 Switching\r\n\r\n",
            "upstream sent invalid header: 101 where no other protocol was asked for",
        ),
        (
            "101 that goes to the client all the same",
            RequestContext { passes_101: true, ..get },
            "HTTP/1.1 101 Switching\r\n\r\nraw",
            "101 Switching [] None rest 3",
        ),
        ("not HTTP", get, "SSH-2.0-x\r\n", "upstream sent no valid HTTP/1.0 header"),
        ("HTTP/2", get, "HTTP/2.0 200 OK\r\n\r\n", "200 OK [] Close rest 0"),
        (
            "another version",
            get,
            "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\n",
            "200 OK [Content-Length=2] Length(2) keep rest 0",
        ),
        (
            "1.0 with another nought",
            get,
            "HTTP/1.00 200 OK\r\nContent-Length: 2\r\n\r\n",
            "200 OK [Content-Length=2] Length(2) rest 0",
        ),
        (
            "1.1 with one before",
            get,
            "HTTP/1.01 200 OK\r\nContent-Length: 2\r\n\r\n",
            "200 OK [Content-Length=2] Length(2) keep rest 0",
        ),
        ("two blanks", get, "HTTP/1.1  200 OK\r\n\r\n", "200 OK [] Close rest 0"),
        ("HTTP/0.9", get, "HTTP/0.9 200 OK\r\n\r\n", "upstream sent no valid HTTP/1.0 header"),
        ("a version without a minor number", get, "HTTP/1 200 OK\r\n\r\n", "upstream sent no valid HTTP/1.0 header"),
        (
            "a name that is no token",
            get,
            "HTTP/1.1 200 OK\r\nX-(a): b\r\n\u{e9}: b\r\nC: d\r\n\r\n",
            "200 OK [C=d] Close rest 0",
        ),
        ("a line without a colon", get, "HTTP/1.1 200 OK\r\nAB\r\nC: d\r\n\r\n", "200 OK [C=d] Close rest 0"),
        (
            "a name with a blank in it",
            get,
            "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
            "upstream sent invalid header: \"A\\x20...\"",
        ),
        (
            "a control byte",
            get,
            "HTTP/1.1 200 OK\r\nA: b\u{1}c\u{7f} \t\r\n\r\n",
            "200 OK [A=b\u{1}c\u{7f}] Close rest 0",
        ),
        ("a short code", get, "HTTP/1.1 20 OK\r\n\r\n", "upstream sent no valid HTTP/1.0 header"),
        ("a long code", get, "HTTP/1.1 2000 OK\r\n\r\n", "upstream sent no valid HTTP/1.0 header"),
        ("a code below 100", get, "HTTP/1.1 099 OK\r\n\r\n", "upstream sent no valid HTTP/1.0 header"),
        ("a folded line", get, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "upstream sent invalid header: \"\\x20...\""),
        ("a NUL", get, "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", "upstream sent invalid header: \"A: b\\x00...\""),
        (
            "two lengths",
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
            "upstream sent duplicate header line: \"Content-Length: 2\", previous value: \"Content-Length: 2\"",
        ),
        (
            "length and chunked",
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
        ),
        (
            "an unknown coding",
            get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "upstream sent unknown \"Transfer-Encoding\": \"gzip\"",
        ),
        (
            "a length that is none",
            get,
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "upstream sent invalid \"Content-Length\" header: \"Content-Length: -1\"",
        ),
        ("half a head", get, "HTTP/1.1 200 OK\r\nA: b\r\n", "partial"),
        ("nothing", get, "", "partial"),
    ];
    for (name, asked, text, expected) in table {
        for split in 0..=text.len() {
            assert_eq!(run(text.as_bytes(), split, *asked), *expected, "{name}, split at {split}");
        }
    }
}

#[test]
fn a_head_tells_whether_a_name_with_a_meaning_stands_twice() {
    for (fields, expected) in [
        ("Server: a\r\nDate: b", false),
        ("Server: a\r\nserver: b", true),
        ("Server: a\r\nServer: b\r\nServer: c", true),
        ("Server: a\r\nServer: b\r\nDate: c\r\nDate: d", true),
    ] {
        let (text, mut parser) = (format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), ResponseParser::default());
        let parsed = parser.parse(text.as_bytes(), LIMIT, RequestContext::default());
        assert_eq!((parsed, parser.head.repeats), (Ok(ResponseHeadProgress::Complete), expected), "{fields}");
    }
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let mut text = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
    text.resize(LIMIT, b'x');
    let mut parser = ResponseParser::default();
    assert_eq!(parser.parse(&text, LIMIT, RequestContext::default()), Err(InvalidResponse::TooBig { limit: LIMIT }));
    let mut parser = ResponseParser::default();
    assert_eq!(parser.parse(&text[..LIMIT - 1], LIMIT, RequestContext::default()), Ok(ResponseHeadProgress::Partial));
    // It is as long as it is if its end has come already.
    for (len, fits) in [(LIMIT, true), (LIMIT + 1, false), (LIMIT + 100, false)] {
        for line_end in ["\r\n\r\n", "\r\nB: \x01\r\n\r\n"] {
            let mut text = b"HTTP/1.1 200 OK\r\nA: \t".to_vec();
            text.resize(len - line_end.len(), b'x');
            text.extend_from_slice(line_end.as_bytes());
            let got = ResponseParser::default().parse(&text, LIMIT, RequestContext::default());
            let is_too_big = got == Err(InvalidResponse::TooBig { limit: LIMIT });
            assert_eq!(is_too_big, !fits, "{len} {line_end:?}: {got:?}");
        }
    }
}

#[test]
fn a_head_may_have_a_thousand_lines() {
    for (lines, expected) in
        [(1000, Ok(ResponseHeadProgress::Complete)), (1001, Err(InvalidResponse::Field("too many lines")))]
    {
        let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(lines));
        let got = ResponseParser::default().parse(text.as_bytes(), text.len(), RequestContext::default());
        assert_eq!(got, expected, "{lines}");
    }
}

/// What cannot become a status line is refused without waiting for the end of its line.
#[test]
fn another_protocol_is_refused_by_its_first_byte_that_is_wrong() {
    for text in ["HTTP/1.1 200 OK", "HTTPS", "SSH-2.0", "http/1.1", "H2", "\0"] {
        let same = text.bytes().zip(*b"HTTP/").take_while(|(a, b)| a == b).count();
        for len in 0..=text.len() {
            let outcome = ResponseParser::default().parse(&text.as_bytes()[..len], LIMIT, RequestContext::default());
            let expected = if len <= same || same == 5 {
                Ok(ResponseHeadProgress::Partial)
            } else {
                Err(InvalidResponse::StatusLine)
            };
            assert_eq!(outcome, expected, "{text:?}, {len} bytes");
        }
    }
}

#[test]
fn a_script_answers_without_a_status_line() {
    let parsed = RequestContext { format: ResponseFormat::Cgi { status_line: false }, ..RequestContext::default() };
    let either = RequestContext { format: ResponseFormat::Cgi { status_line: true }, ..RequestContext::default() };
    let head = RequestContext { head: true, ..parsed };
    let table: &[(&str, RequestContext, &str, &str)] = &[
        ("no status is 200", parsed, "Content-Type: a/b\n\nxy", "200  [Content-Type=a/b] Close rest 2"),
        ("a location is 302", parsed, "Location: http://a/\r\n\r\n", "302  [Location=http://a/] Close rest 0"),
        ("a status", parsed, "Status: 404 Gone Away\n\n", "404 Gone Away [Status=404 Gone Away] Close rest 0"),
        ("a status alone", parsed, "A: b\nStatus: 201\n\n", "201  [A=b,Status=201] Close rest 0"),
        (
            "a status beside a location",
            parsed,
            "Location: /x\nStatus: 303 See Other\n\n",
            "303 See Other [Location=/x,Status=303 See Other] Close rest 0",
        ),
        ("the first status", parsed, "status: 201\nStatus: 500\n\n", "201  [status=201,Status=500] Close rest 0"),
        ("a length", parsed, "Content-Length: 2\n\nxy", "200  [Content-Length=2] Length(2) rest 2"),
        (
            "two lengths",
            parsed,
            "Content-Length: 2\nContent-Length: 2\n\n",
            "upstream sent duplicate header line: \"Content-Length: 2\", previous value: \"Content-Length: 2\"",
        ),
        ("no chunks", parsed, "Transfer-Encoding: chunked\n\n2", "200  [Transfer-Encoding=chunked] Close rest 1"),
        ("for HEAD", head, "Content-Length: 2\n\n", "200  [Content-Length=2] None rest 0"),
        ("no body", parsed, "Status: 304\n\n", "304  [Status=304] None rest 0"),
        ("no fields", parsed, "\nxy", "200  [] Close rest 2"),
        ("a word", parsed, "Status: ok\n\n", "upstream sent invalid status \"ok\""),
        ("a short code", parsed, "Status: 20\n\n", "upstream sent invalid status \"20\""),
        ("a long code", parsed, "Status: 2000 OK\n\n", "200 OK [Status=2000 OK] Close rest 0"),
        ("a code without a blank", parsed, "Status: 200OK\n\n", "200  [Status=200OK] Close rest 0"),
        (
            "an unknown coding",
            parsed,
            "Transfer-Encoding: gzip\n\n",
            "upstream sent unknown \"Transfer-Encoding\": \"gzip\"",
        ),
        (
            "a length and chunks",
            parsed,
            "Content-Length: 2\nTransfer-Encoding: chunked\n\n",
            "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
        ),
        ("the least final code", parsed, "Status: 200\n\n", "200  [Status=200] Close rest 0"),
        ("a code below it", parsed, "Status: 199\n\n", "upstream sent invalid status \"199\""),
        ("a switch", RequestContext { upgrade: true, ..parsed }, "Status: 101\n\n", "101  [Status=101] None rest 0"),
        ("a code below that", parsed, "Status: 102\n\n", "upstream sent invalid status \"102\""),
        ("a tab before the reason", parsed, "Status: 404\tGone\n\n", "404 Gone [Status=404\tGone] Close rest 0"),
        ("no name", parsed, ": b\n\n", "upstream sent invalid header: \"\\x3a...\""),
        ("no name, and a NUL", parsed, ":\0\n\n", "upstream sent invalid header: \"\\x3a...\""),
        ("a NUL at once", parsed, "A:\0\n\n", "upstream sent invalid header: \"A:\\x00...\""),
        ("a NUL further on", parsed, "A: bc\0d\n\n", "upstream sent invalid header: \"A: bc\\x00...\""),
        ("an interim code", parsed, "Status: 100\n\n", "upstream sent invalid status \"100\""),
        (
            "no field",
            parsed,
            "Traceback (most recent call last)\n\n",
            "upstream sent invalid header: \"Traceback\\x20...\"",
        ),
        ("a bare CR", parsed, "A: b\rSet-Cookie: x\n\n", "upstream sent invalid header: \"A: b\\x0d...\""),
        ("a folded line", parsed, "A: b\n c\n\n", "upstream sent invalid header: \"\\x20...\""),
        ("a NUL", parsed, "A: b\0\n\n", "upstream sent invalid header: \"A: b\\x00...\""),
        ("a status line is nothing", parsed, "HTTP/1.1 404 Nope\nA: b\n\n", "200  [A=b] Close rest 0"),
        ("one of another version", either, "HTTP/2.0 200 OK\nA: b\n\nx", "200 OK [A=b] Close rest 1"),
        ("but it may be one", either, "HTTP/1.1 201 Yes\nA: b\n\nx", "201 Yes [A=b] Close rest 1"),
        ("or not", either, "H: b\nStatus: 201\n\nx", "201  [H=b,Status=201] Close rest 1"),
        ("interim", either, "HTTP/1.1 100 Continue\n\nHTTP/1.0 200 OK\n\n", "200 OK [] Close rest 0"),
    ];
    for (name, asked, text, expected) in table {
        for split in 0..=text.len() {
            assert_eq!(&run(text.as_bytes(), split, *asked), expected, "{name}, split at {split}");
        }
    }
}

#[test]
fn only_a_script_that_names_a_path_and_no_status_is_followed() {
    let asked = RequestContext { format: ResponseFormat::Cgi { status_line: true }, ..RequestContext::default() };
    for (text, expected) in [
        ("Location: /x?y\n\n", Some("/x?y")),
        ("Location: http://a/x\n\n", None),
        ("Location: //a/x\n\n", None),
        ("Location: x\n\n", None),
        ("Status: 302\nLocation: /x\n\n", None),
        ("HTTP/1.1 302 Found\nLocation: /x\n\n", None),
        ("A: b\n\n", None),
    ] {
        let mut parser = ResponseParser::default();
        assert_eq!(parser.parse(text.as_bytes(), LIMIT, asked), Ok(ResponseHeadProgress::Complete));
        let target = parser.head.local_redirect(text.as_bytes()).map(String::from_utf8_lossy);
        assert_eq!(target.as_deref(), expected, "{text}");
    }
}
