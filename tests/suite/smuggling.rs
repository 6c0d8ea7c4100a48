//! Messages whose extent two readers could see differently (RFC 9112 sections 2.2, 5, 6, 7, 11), and plainly bad ones.
//!
//! Every row is raw bytes. Wherever bytes could be taken for a second request they ask for `/smuggled`, whose answer
//! must never appear. A refused message ends the connection, because its end is not known.

use crate::client::{Client, End};
use crate::harness::{BOTH, Runs, Server, Table, ours, server};

const S: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const F: &str = "GET /f HTTP/1.1\r\nHost: a\r\n\r\n";

enum Want {
    /// One answer with one of these statuses, then the server closes.
    Refused(&'static [u16]),
    /// 200, and the message ends where RFC 9112 says: the `GET /f` behind it is answered.
    Taken,
    /// Reading it either way is lawful, as long as nothing is smuggled: 200 or one of these with a close.
    Either(&'static [u16]),
    /// The fault is in a body that `/text` does not need: refused with one of these, or answered and then closed.
    Late(&'static [u16]),
}
use Want::{Either, Late, Refused, Taken};

fn start() -> Server {
    server(
        "client_max_body_size 10m;
         location = /text { return 200 text; }
         location = /smuggled { return 200 SMUGGLED; }",
    )
    .file("html/f", "0123456789")
    .start()
}

/// All answers until the server closes or falls silent after a `GET /f` was answered.
fn judge(s: &Server, bytes: &[u8], want: &Want) {
    let mut client: Client = s.client();
    client.try_send(bytes);
    let first = match client.try_response(false) {
        Ok(first) => first,
        // A refusal may come as a bare close when the head is not even a head.
        Err(End::Closed | End::Reset) if matches!(want, Refused(s) | Either(s) if s.contains(&0)) => return,
        Err(end) => panic!("no answer: {end:?}"),
    };
    assert_ne!(first.text(), "SMUGGLED", "the first answer is to smuggled bytes");
    let refused = |allowed: &[u16], client: &mut Client| {
        assert!(allowed.contains(&first.status), "{} is not in {allowed:?}:\n{}", first.status, first.show());
        let rest = client.rest();
        assert!(rest.is_empty(), "bytes behind a refusal: {:?}", String::from_utf8_lossy(&rest));
    };
    let taken = |client: &mut Client| {
        first.is(200);
        // The row ends with `GET /f` and its answer must be the second and last.
        match client.try_response(false) {
            Ok(second) => second.is(200).body_is("0123456789"),
            Err(End::Closed | End::Reset) if matches!(want, Either(_)) => return,
            Err(end) => panic!("no answer to what follows: {end:?}"),
        };
        client.half_close();
        client.expect_closed();
    };
    match want {
        Late(_) if first.status == 200 => refused(&[200], &mut client),
        Refused(allowed) | Late(allowed) => refused(allowed, &mut client),
        Taken => taken(&mut client),
        Either(_) if first.status == 200 => taken(&mut client),
        Either(allowed) => refused(allowed, &mut client),
    }
}

fn run(title: &'static str, rows: Vec<(Runs, &str, Vec<u8>, Want)>) {
    let s = start();
    let mut table = Table::new(title);
    for (runs, name, bytes, want) in &rows {
        table.row(*runs, name, || judge(&s, bytes, want));
    }
    table.row(BOTH, "the server is well afterwards", || {
        s.get("/f").is(200).body_is("0123456789");
    });
}

/// POST with these framing fields (each ended by CRLF), body and followers.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /text HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}").into_bytes()
}

fn length(value: &str) -> Vec<u8> {
    post(&format!("Content-Length: {value}\r\n"), &format!("hello{S}"))
}

fn good_length(value: &str) -> Vec<u8> {
    post(&format!("Content-Length: {value}\r\n"), &format!("hello{F}"))
}

#[test]
fn content_length_is_one_decimal_number() {
    const BAD: Want = Refused(&[400]);
    let tab = ours("HTAB counts as whitespace around values");
    run(
        "Content-Length",
        vec![
            (BOTH, "plain", good_length("5"), Taken),
            (BOTH, "leading zeros", good_length("0005"), Taken),
            (BOTH, "spaces around", good_length("   5   "), Taken),
            (tab, "tabs around", good_length("\t5\t"), Taken),
            (BOTH, "zero", post("Content-Length: 0\r\n", F), Taken),
            (BOTH, "plus sign", length("+5"), BAD),
            (BOTH, "minus sign", length("-5"), BAD),
            (BOTH, "hexadecimal", length("0x5"), BAD),
            (BOTH, "a list of equal values", length("5,5"), BAD),
            (BOTH, "a list with a space", length("5, 5"), BAD),
            (BOTH, "a list of different values", length("5,0"), BAD),
            (BOTH, "two numbers", length("5 5"), BAD),
            (BOTH, "a letter behind", length("5a"), BAD),
            (BOTH, "an exponent", length("1e1"), BAD),
            (BOTH, "a fraction", length("5.0"), BAD),
            (BOTH, "an underscore", length("5_0"), BAD),
            (BOTH, "a parameter", length("5;x"), BAD),
            (BOTH, "quotes", length("\"5\""), BAD),
            (BOTH, "empty", length(""), BAD),
            (BOTH, "Arabic digits", length("\u{665}"), BAD),
            (BOTH, "a vertical tab before", length("\x0b5"), BAD),
            (BOTH, "a form feed behind", length("5\x0c"), BAD),
            (BOTH, "a NUL behind", length("5\0"), BAD),
            (BOTH, "2^64", length("18446744073709551616"), BAD),
            (BOTH, "2^64 + 5", length("18446744073709551621"), BAD),
            (BOTH, "2^63", length("9223372036854775808"), Refused(&[400, 413])),
            (BOTH, "2^63 - 1", length("9223372036854775807"), Refused(&[413])),
            (BOTH, "a hundred digits", length(&"9".repeat(100)), Refused(&[400, 413])),
            (BOTH, "twice, equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", &format!("hello{S}")), BAD),
            (BOTH, "twice, different", post("Content-Length: 5\r\nContent-Length: 0\r\n", &format!("hello{S}")), BAD),
            (
                BOTH,
                "twice, in other case",
                post("Content-Length: 0\r\ncontent-length: 5\r\n", &format!("hello{S}")),
                BAD,
            ),
            (
                BOTH,
                "twice, the second bad",
                post("Content-Length: 5\r\nContent-Length: x\r\n", &format!("hello{S}")),
                BAD,
            ),
            (BOTH, "a space before the colon", post("Content-Length : 5\r\n", &format!("hello{S}")), BAD),
            (BOTH, "a folded line", post("Content-Length:\r\n 5\r\n", &format!("hello{S}")), BAD),
            (BOTH, "a CR alone within", post("Content-Length: 5\r0\r\n", &format!("hello{S}")), BAD),
        ],
    );
}

fn coding(value: &str) -> Vec<u8> {
    post(&format!("Transfer-Encoding: {value}\r\n"), &format!("5\r\nhello\r\n0\r\n\r\n{S}"))
}

fn good_coding(value: &str) -> Vec<u8> {
    post(&format!("Transfer-Encoding: {value}\r\n"), &format!("5\r\nhello\r\n0\r\n\r\n{F}"))
}

#[test]
fn transfer_encoding_is_chunked_or_refused() {
    const BAD: Want = Refused(&[400, 501]);
    let tab = ours("HTAB counts as whitespace around values");
    let both_fields = |fields: &str| post(fields, &format!("0\r\n\r\n{S}"));
    run(
        "Transfer-Encoding",
        vec![
            (BOTH, "plain", good_coding("chunked"), Taken),
            (BOTH, "capitals", good_coding("Chunked"), Taken),
            (BOTH, "spaces around", good_coding("  chunked  "), Taken),
            (tab, "tabs around", good_coding("\tchunked\t"), Taken),
            (BOTH, "with Content-Length", both_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), BAD),
            (BOTH, "before Content-Length", both_fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), BAD),
            (BOTH, "with Content-Length 0", both_fields("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), BAD),
            (BOTH, "x before", coding("xchunked"), BAD),
            (BOTH, "x behind", coding("chunkedx"), BAD),
            (BOTH, "twice in a list", coding("chunked, chunked"), BAD),
            (BOTH, "twice in lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", S), BAD),
            (BOTH, "chunked and identity in lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", S), BAD),
            (BOTH, "identity and chunked in lines", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", S), BAD),
            (BOTH, "identity", coding("identity"), BAD),
            (BOTH, "identity with Content-Length", both_fields("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), BAD),
            (BOTH, "identity, chunked", coding("identity, chunked"), BAD),
            (BOTH, "chunked, identity", coding("chunked, identity"), BAD),
            (BOTH, "gzip", coding("gzip"), BAD),
            (BOTH, "gzip, chunked", coding("gzip, chunked"), BAD),
            (BOTH, "a parameter", coding("chunked;q=1"), BAD),
            (BOTH, "quotes", coding("\"chunked\""), BAD),
            (BOTH, "empty", coding(""), BAD),
            (BOTH, "a comma before", coding(", chunked"), Either(&[400, 501])),
            (BOTH, "a comma behind", coding("chunked,"), BAD),
            (BOTH, "a vertical tab before", coding("\x0bchunked"), BAD),
            (BOTH, "a vertical tab behind", coding("chunked\x0b"), BAD),
            (BOTH, "a NUL before", coding("\0chunked"), BAD),
            (BOTH, "a NUL behind", coding("chunked\0"), BAD),
            (BOTH, "a no-break space", coding("\u{a0}chunked"), BAD),
            (BOTH, "a space before the colon", both_fields("Transfer-Encoding : chunked\r\n"), BAD),
            (BOTH, "a tab before the colon", both_fields("Transfer-Encoding\t: chunked\r\n"), BAD),
            (BOTH, "a folded line", both_fields("Transfer-Encoding:\r\n chunked\r\n"), BAD),
            (BOTH, "a fold behind another field", both_fields("X: y\r\n Transfer-Encoding: chunked\r\n"), BAD),
            (BOTH, "behind a CR alone", both_fields("X: y\rTransfer-Encoding: chunked\r\n"), BAD),
            (BOTH, "a NUL in the name", both_fields("Transfer-Encoding\0: chunked\r\n"), BAD),
            (BOTH, "HTTP/1.0", b"POST /text HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.0\r\n\r\n".to_vec(), BAD),
            (
                BOTH,
                "an underscore makes another name",
                post("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", &format!("0\r\n\r\n{F}")),
                Either(&[400]),
            ),
            (BOTH, "behind an LF alone it is a line", post("X: y\nTransfer-Encoding: chunked\r\n", &format!("5\r\nhello\r\n0\r\n\r\n{F}")), Either(&[400])),
            (BOTH, "for GET", format!("GET /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{F}").into_bytes(), Taken),
        ],
    );
}

fn chunks(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn chunks_are_read_exactly() {
    const BAD: Want = Late(&[400]);
    let loose = ours("RFC 9112 7.1: nginx takes it");
    run(
        "chunks",
        vec![
            (
                BOTH,
                "several",
                chunks(&format!("5\r\nhello\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n{F}")),
                Taken,
            ),
            (BOTH, "a leading zero", chunks(&format!("05\r\nhello\r\n0\r\n\r\n{F}")), Taken),
            (BOTH, "several zeros end it", chunks(&format!("5\r\nhello\r\n000\r\n\r\n{F}")), Taken),
            (
                BOTH,
                "many leading zeros",
                chunks(&format!("{}5\r\nhello\r\n0\r\n\r\n{F}", "0".repeat(40))),
                Either(&[400]),
            ),
            (BOTH, "an extension", chunks(&format!("5;a=b\r\nhello\r\n0\r\n\r\n{F}")), Taken),
            (BOTH, "an extension with quotes", chunks(&format!("5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n{F}")), Taken),
            (BOTH, "a space before an extension", chunks(&format!("5 ;a=b\r\nhello\r\n0\r\n\r\n{F}")), Either(&[400])),
            (BOTH, "trailers", chunks(&format!("5\r\nhello\r\n0\r\nX-T: v\r\nY-T: w\r\n\r\n{F}")), Taken),
            (
                BOTH,
                "framing fields as trailers",
                chunks(&format!("5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n{F}")),
                Either(&[400]),
            ),
            (BOTH, "many chunks of one byte", chunks(&format!("{}0\r\n\r\n{F}", "1\r\nx\r\n".repeat(5000))), Taken),
            (BOTH, "no chunks", chunks(&format!("0\r\n\r\n{F}")), Taken),
            (BOTH, "plus sign", chunks(&format!("+5\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "minus sign", chunks(&format!("-5\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "0x", chunks(&format!("0x5\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "no hexadecimal digit", chunks(&format!("g\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "a space before", chunks(&format!(" 5\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "an underscore", chunks(&format!("5_0\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "an empty size", chunks(&format!("\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "only an extension", chunks(&format!(";x\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "2^64", chunks(&format!("10000000000000000\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "2^64 + 5", chunks(&format!("10000000000000005\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "2^64 - 1", chunks(&format!("ffffffffffffffff\r\nhello\r\n0\r\n\r\n{S}")), Late(&[400, 413])),
            (BOTH, "2^63 - 1", chunks(&format!("7fffffffffffffff\r\nhello\r\n0\r\n\r\n{S}")), Late(&[400, 413])),
            (BOTH, "more data than the size", chunks(&format!("5\r\nhelloworld\r\n0\r\n\r\n{S}")), BAD),
            (BOTH, "no CRLF behind the data", chunks(&format!("5\r\nhello0\r\n\r\n{S}")), BAD),
            (BOTH, "two other bytes behind the data", chunks(&format!("5\r\nhelloXX0\r\n\r\n{S}")), BAD),
            (BOTH, "a CR alone behind the data", chunks(&format!("5\r\nhello\r0\r\n\r\n{S}")), BAD),
            (loose, "a space behind the size", chunks(&format!("5 \r\nhello\r\n0\r\n\r\n{F}")), Either(&[400])),
            (loose, "an LF alone behind the data", chunks(&format!("5\r\nhello\n0\r\n\r\n{F}")), Either(&[400])),
            (loose, "an LF alone behind the size", chunks(&format!("5\nhello\r\n0\r\n\r\n{F}")), Either(&[400])),
            (loose, "an LF alone in an extension", chunks(&format!("5;a\nhello\r\n0\r\n\r\n{F}")), Either(&[400])),
            (loose, "a CR alone behind the size", chunks(&format!("5\rX\nhello\r\n0\r\n\r\n{S}")), BAD),
            (loose, "a semicolon without an extension", chunks(&format!("5;\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (loose, "an extension without a name", chunks(&format!("5;=b\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (loose, "an extension whose name is no token", chunks(&format!("5;a[=b\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (
                loose,
                "quotes of an extension that do not end",
                chunks(&format!("5;a=\"b\r\nhello\r\n0\r\n\r\n{S}")),
                BAD,
            ),
            (loose, "a NUL in an extension", chunks(&format!("5;a\0\r\nhello\r\n0\r\n\r\n{S}")), BAD),
            (loose, "a request as trailer", chunks(&format!("5\r\nhello\r\n0\r\n{S}")), BAD),
            (loose, "a CR alone in a trailer", chunks(&format!("0\r\nX: a\rb\r\n\r\n{S}")), BAD),
            (loose, "a NUL in a trailer", chunks(&format!("0\r\nX: a\0\r\n\r\n{S}")), BAD),
            (loose, "a trailer without name", chunks(&format!("0\r\n: v\r\n\r\n{S}")), BAD),
            (
                ours("chunk extensions are bounded"),
                "an extension of 1 MiB",
                chunks(&format!("5;{}\r\nhello\r\n0\r\n\r\n{S}", "x".repeat(1 << 20))),
                Late(&[400, 413, 431]),
            ),
            (
                ours("chunk extensions are bounded"),
                "a MiB of extensions on one-byte chunks",
                chunks(&format!("{}0\r\n\r\n{S}", format!("1;{}\r\nx\r\n", "x".repeat(200)).repeat(5000))),
                Late(&[400, 413, 431]),
            ),
            (
                ours("trailers are bounded"),
                "trailers of 1 MiB",
                chunks(&format!("0\r\n{}\r\n{S}", "X-T: 0123456789\r\n".repeat(60_000))),
                Late(&[400, 413, 431]),
            ),
        ],
    );
}

fn get(line_end: &str, fields: &str) -> Vec<u8> {
    format!("GET /text{line_end}\r\nHost: a\r\n{fields}\r\n{S}").into_bytes()
}

fn good_get(line_end: &str, fields: &str) -> Vec<u8> {
    format!("GET /text{line_end}\r\nHost: a\r\n{fields}\r\n{F}").into_bytes()
}

#[test]
fn field_lines_are_well_formed() {
    const V: &str = " HTTP/1.1";
    const BAD: Want = Refused(&[400]);
    let token = ours("field names that are not tokens are refused");
    run(
        "field lines",
        vec![
            (BOTH, "plain", good_get(V, "X: y\r\n"), Taken),
            (BOTH, "no space behind the colon", good_get(V, "X:y\r\n"), Taken),
            (BOTH, "an empty value", good_get(V, "X:\r\n"), Taken),
            (BOTH, "bytes above 127 in a value", good_get(V, "X: \u{fc}\r\n"), Taken),
            (BOTH, "tabs within a value", good_get(V, "X: a\tb\r\n"), Taken),
            (BOTH, "a colon within a value", good_get(V, "X: a:b\r\n"), Taken),
            (BOTH, "every token character in a name", good_get(V, "!#$%&'*+-.^`|~09azAZ: y\r\n"), Taken),
            (BOTH, "a space before the colon", get(V, "X : y\r\n"), BAD),
            (BOTH, "a space within the name", get(V, "X Y: y\r\n"), BAD),
            (BOTH, "a tab within the name", get(V, "X\tY: y\r\n"), BAD),
            (BOTH, "no name", get(V, ": y\r\n"), BAD),
            (ours("RFC 9112 5: a line without colon"), "no colon", get(V, "X\r\n"), BAD),
            (BOTH, "a NUL in the value", get(V, "X: a\0b\r\n"), BAD),
            (BOTH, "a NUL in the name", get(V, "X\0Y: a\r\n"), BAD),
            (BOTH, "a CR alone in the value", get(V, "X: a\rb\r\n"), BAD),
            (BOTH, "a CR alone in the name", get(V, "X\rY: b\r\n"), BAD),
            (BOTH, "a line that begins with a space", get(V, " X: y\r\n"), BAD),
            (BOTH, "a line that begins with a tab", get(V, "\tX: y\r\n"), BAD),
            (BOTH, "a folded line", get(V, "X: y\r\n z\r\n"), BAD),
            (BOTH, "a line of spaces", get(V, "   \r\n"), BAD),
            (token, "a bracket in the name", get(V, "X(Y): y\r\n"), BAD),
            (token, "a slash in the name", get(V, "X/Y: y\r\n"), BAD),
            (token, "an at sign in the name", get(V, "X@Y: y\r\n"), BAD),
            (token, "a byte above 127 in the name", get(V, "X\u{fc}: y\r\n"), BAD),
            (token, "quotes in the name", get(V, "\"X\": y\r\n"), BAD),
            (token, "DEL in the name", get(V, "X\x7f: y\r\n"), BAD),
            (
                ours("RFC 9110 5.5: CTL in a value"),
                "a control character in the value",
                get(V, "X: a\x01b\r\n"),
                Either(&[400]),
            ),
            (
                BOTH,
                "a space before the first field",
                format!("GET /text HTTP/1.1\r\n Host: a\r\n\r\n{S}").into_bytes(),
                BAD,
            ),
            (BOTH, "two thousand fields", get(V, &"X: y\r\n".repeat(2000)), Refused(&[400, 431])),
        ],
    );
}

#[test]
fn request_lines_are_well_formed() {
    const BAD: Want = Refused(&[400]);
    const VERSION: Want = Refused(&[400, 505]);
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n{S}").into_bytes();
    let good = |line: &str| format!("{line}\r\nHost: a\r\n\r\n{F}").into_bytes();
    run(
        "request lines",
        vec![
            (BOTH, "plain", good("GET /text HTTP/1.1"), Taken),
            (BOTH, "a later minor version", good("GET /text HTTP/1.2"), Taken),
            (BOTH, "HTTP/2.0", line("GET /text HTTP/2.0"), VERSION),
            (BOTH, "HTTP/9.9", line("GET /text HTTP/9.9"), VERSION),
            (BOTH, "HTTP/0.9 by name", line("GET /text HTTP/0.9"), VERSION),
            (BOTH, "no minor version", line("GET /text HTTP/1"), BAD),
            (BOTH, "no minor digit", line("GET /text HTTP/1."), BAD),
            (BOTH, "lower case", line("GET /text http/1.1"), BAD),
            (BOTH, "a misspelt protocol", line("GET /text HTP/1.1"), BAD),
            (BOTH, "text behind the version", line("GET /text HTTP/1.1x"), BAD),
            (BOTH, "a word behind the version", line("GET /text HTTP/1.1 x"), BAD),
            (BOTH, "a space within the protocol", line("GET /text HTTP /1.1"), BAD),
            (BOTH, "a leading zero", line("GET /text HTTP/01.1"), BAD),
            (BOTH, "a huge version", line("GET /text HTTP/1.99999999999999999999"), BAD),
            (ours("HTTP/1.10 is no version"), "two minor digits", line("GET /text HTTP/1.10"), VERSION),
            (ours("HTTP/1.01 is no version"), "a leading zero in the minor", line("GET /text HTTP/1.01"), VERSION),
            (
                BOTH,
                "the preface of HTTP/2",
                format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{S}").into_bytes(),
                Refused(&[0, 400, 405, 501, 505]),
            ),
            (BOTH, "a tab for a space", line("GET\t/text HTTP/1.1"), BAD),
            (BOTH, "a tab before the version", line("GET /text\tHTTP/1.1"), BAD),
            (BOTH, "two spaces before the target", good("GET  /text HTTP/1.1"), Either(&[400])),
            (BOTH, "a space at the start", line(" GET /text HTTP/1.1"), BAD),
            (BOTH, "a NUL in the method", line("GE\0T /text HTTP/1.1"), BAD),
            (BOTH, "no method", line("/text HTTP/1.1"), BAD),
            (BOTH, "only a method", line("GET"), BAD),
            (BOTH, "an at sign in the method", line("G@T /text HTTP/1.1"), Refused(&[400, 501])),
            (BOTH, "a colon in the method", line("GET: /text HTTP/1.1"), Refused(&[400, 501])),
            (
                ours("unknown methods are 501"),
                "a method of 5000 letters",
                good(&format!("{} /text HTTP/1.1", "A".repeat(5000))),
                Either(&[400, 414, 501]),
            ),
            (BOTH, "a space in the target", line("GET /te xt HTTP/1.1"), BAD),
            (BOTH, "a NUL in the target", line("GET /te\0xt HTTP/1.1"), BAD),
            (BOTH, "a CR alone in the target", line("GET /te\rxt HTTP/1.1"), BAD),
            (BOTH, "a control character in the target", line("GET /te\x01xt HTTP/1.1"), BAD),
            (BOTH, "a DEL in the target", line("GET /te\x7fxt HTTP/1.1"), BAD),
            (BOTH, "a CR alone behind the version", b"GET /text HTTP/1.1\rHost: a\r\n\r\n".to_vec(), BAD),
            (BOTH, "two CRs", b"GET /text HTTP/1.1\r\r\nHost: a\r\n\r\n".to_vec(), BAD),
            (
                BOTH,
                "CRs before the request",
                format!("\r\r\rGET /text HTTP/1.1\r\nHost: a\r\n\r\n{F}").into_bytes(),
                Either(&[400]),
            ),
            (
                BOTH,
                "TLS instead of HTTP",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
                Refused(&[0, 400]),
            ),
            (
                BOTH,
                "a proxy header",
                format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{S}").into_bytes(),
                Refused(&[400, 501]),
            ),
            (BOTH, "only garbage", [vec![0xff; 100], b"\r\n\r\n".to_vec()].concat(), Refused(&[0, 400, 501])),
            (ours("HTTP/0.9 is not spoken"), "no version", line("GET /text"), VERSION),
        ],
    );
}
