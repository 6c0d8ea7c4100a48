//! Range requests (RFC 9110 section 14) for files.

use crate::client::{Response, find};
use crate::harness::{BOTH, Runs, Server, Table, noise, on_nginx, ours, server};
use std::time::{Duration, UNIX_EPOCH};

const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EMPTY_MEMBERS: Runs = ours("RFC 9110 5.6.1.2: empty list members are skipped");

fn start() -> Server {
    let s = server(
        "location /none/ { alias %%DIR%%/html/; max_ranges 0; }
         location /one/ { alias %%DIR%%/html/; max_ranges 1; }
         location /two/ { alias %%DIR%%/html/; max_ranges 2; }
         location /read/ { alias %%DIR%%/html/; sendfile off; }
         location = /text { return 200 abcdefghij; }
         error_page 404 /f; ",
    )
    .file("html/f", ALPHABET)
    .file("html/empty", "")
    .file("html/page.html", ALPHABET)
    .file("html/big", noise(300_000))
    .start();
    let file = std::fs::File::options().write(true).open(s.path("html/f")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
    s
}

#[test]
fn a_single_range_gives_a_part() {
    let s = start();
    // body "" with 416 means Content-Range: bytes */26; with 200 the whole file is due.
    let rows: &[(Runs, &str, &str, u16, &str, &str)] = &[
        (BOTH, "the first byte", "bytes=0-0", 206, "bytes 0-0/26", "a"),
        (BOTH, "a part", "bytes=2-5", 206, "bytes 2-5/26", "cdef"),
        (BOTH, "open end", "bytes=20-", 206, "bytes 20-25/26", "uvwxyz"),
        (BOTH, "everything", "bytes=0-", 206, "bytes 0-25/26", ALPHABET),
        (BOTH, "the last byte", "bytes=25-25", 206, "bytes 25-25/26", "z"),
        (BOTH, "an end beyond the file is cut", "bytes=24-99", 206, "bytes 24-25/26", "yz"),
        (BOTH, "a suffix", "bytes=-3", 206, "bytes 23-25/26", "xyz"),
        (BOTH, "a suffix longer than the file", "bytes=-99", 206, "bytes 0-25/26", ALPHABET),
        (BOTH, "a suffix as long as the file", "bytes=-26", 206, "bytes 0-25/26", ALPHABET),
        (BOTH, "a start at the end", "bytes=26-", 416, "", ""),
        (BOTH, "a start beyond the end", "bytes=99-100", 416, "", ""),
        (BOTH, "a suffix of nothing", "bytes=-0", 416, "", ""),
        (BOTH, "no set", "bytes=", 200, "", ALPHABET),
        (BOTH, "only a dash", "bytes=-", 416, "", ""),
        (BOTH, "letters", "bytes=a-b", 416, "", ""),
        (BOTH, "no dash", "bytes=5", 416, "", ""),
        (BOTH, "a number too large for 64 bits as start", "bytes=99999999999999999999-", 416, "", ""),
        (BOTH, "the largest 64-bit number as end", "bytes=3-9223372036854775807", 206, "bytes 3-25/26", &ALPHABET[3..]),
        (BOTH, "spaces around the numbers", "bytes= 2 - 5 ", 206, "bytes 2-5/26", "cdef"),
        (BOTH, "the unit ignores case", "BYTES=2-5", 206, "bytes 2-5/26", "cdef"),
        (BOTH, "another unit is ignored", "lines=0-1", 200, "", ALPHABET),
        (BOTH, "no unit is ignored", "0-1", 200, "", ALPHABET),
        (BOTH, "a list whose second member cannot be met", "bytes=0-1,50-60", 206, "bytes 0-1/26", "ab"),
        (BOTH, "a list whose first member cannot be met", "bytes=50-60,0-1", 206, "bytes 0-1/26", "ab"),
        (BOTH, "a list of which nothing can be met", "bytes=50-60,70-", 416, "", ""),
        (BOTH, "a list that asks for more than the file has", "bytes=0-,0-,0-", 200, "", ALPHABET),
        (EMPTY_MEMBERS, "an empty member at the start", "bytes=,2-5", 206, "bytes 2-5/26", "cdef"),
        (EMPTY_MEMBERS, "an empty member at the end", "bytes=2-5,", 206, "bytes 2-5/26", "cdef"),
    ];
    let mut table = Table::new("single ranges");
    for &(runs, name, range, status, content_range, body) in rows {
        for place in ["/f", "/read/f"] {
            table.row(runs, &format!("{name} at {place}"), || {
                let mut client = s.client();
                let r = client.request(format!("GET {place} HTTP/1.1\r\nHost: localhost\r\nRange: {range}\r\n\r\n"));
                r.is(status);
                match status {
                    206 => {
                        r.has("Content-Range", content_range).has("Content-Length", &body.len().to_string());
                        r.has("Content-Type", "text/plain").body_is(body);
                        assert!(r.header("ETag").is_some(), "{}", r.show());
                    }
                    416 => {
                        r.has("Content-Range", "bytes */26").contains("416 Requested Range Not Satisfiable");
                    }
                    _ => {
                        r.lacks("Content-Range").has("Content-Length", "26").body_is(body);
                    }
                }
                client.expect_alive("/f", 200);
            });
        }
    }
}

/// The parts of a multipart/byteranges body as (Content-Type, Content-Range, bytes); panics unless it is well formed.
fn parts(r: &Response) -> Vec<(String, String, Vec<u8>)> {
    let mime = r.header("Content-Type").expect("a type");
    let boundary = mime.strip_prefix("multipart/byteranges; boundary=").unwrap_or_else(|| panic!("{mime}"));
    let (open, close) = (format!("\r\n--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let body = r.body.strip_suffix(close.as_bytes()).unwrap_or_else(|| panic!("no close delimiter in {}", r.text()));
    let mut rest = body.strip_prefix(open.as_bytes()).unwrap_or_else(|| panic!("no delimiter in {}", r.text()));
    let mut parts = Vec::new();
    loop {
        let end = find(rest, open.as_bytes()).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let head = find(part, b"\r\n\r\n").expect("a part's head");
        let (mut mime, mut range) = (String::new(), String::new());
        for line in String::from_utf8_lossy(&part[..head]).split("\r\n") {
            let (name, value) = line.split_once(": ").expect("a part's field");
            match name.to_ascii_lowercase().as_str() {
                "content-type" => mime = value.to_owned(),
                "content-range" => range = value.to_owned(),
                other => panic!("part field {other}"),
            }
        }
        parts.push((mime, range, part[head + 4..].to_vec()));
        if after.is_empty() {
            return parts;
        }
        rest = &after[open.len()..];
    }
}

#[test]
fn several_ranges_give_a_multipart_body() {
    let s = start();
    let rows: &[(Runs, &str, &str, &str, &[(&str, &str)])] = &[
        (BOTH, "two parts", "/page.html", "bytes=0-1,4-5", &[("0-1", "ab"), ("4-5", "ef")]),
        (BOTH, "spaces after the comma", "/page.html", "bytes=0-1, 4-5", &[("0-1", "ab"), ("4-5", "ef")]),
        (BOTH, "in the order asked", "/page.html", "bytes=4-5,0-1", &[("4-5", "ef"), ("0-1", "ab")]),
        (BOTH, "with a suffix", "/page.html", "bytes=0-0,-1", &[("0-0", "a"), ("25-25", "z")]),
        (BOTH, "one that cannot be met is left out", "/page.html", "bytes=0-0,90-,-1", &[("0-0", "a"), ("25-25", "z")]),
        (BOTH, "overlapping", "/page.html", "bytes=0-3,2-5", &[("0-3", "abcd"), ("2-5", "cdef")]),
        (BOTH, "without sendfile", "/read/page.html", "bytes=0-1,4-5", &[("0-1", "ab"), ("4-5", "ef")]),
        (BOTH, "as many as max_ranges", "/two/page.html", "bytes=0-1,4-5", &[("0-1", "ab"), ("4-5", "ef")]),
        (EMPTY_MEMBERS, "an empty member", "/page.html", "bytes=0-1,,4-5", &[("0-1", "ab"), ("4-5", "ef")]),
    ];
    let mut table = Table::new("several ranges");
    for &(runs, name, target, range, expected) in rows {
        table.row(runs, name, || {
            let mut client = s.client();
            let r = client.request(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nRange: {range}\r\n\r\n"));
            r.is(206).lacks("Content-Range");
            let found = parts(&r);
            let expected: Vec<_> = expected
                .iter()
                .map(|(range, body)| ("text/html".to_owned(), format!("bytes {range}/26"), body.as_bytes().to_vec()))
                .collect();
            assert_eq!(found, expected);
            client.expect_alive("/f", 200);
        });
    }
    table.row(BOTH, "parts of a big file", || {
        let r = s.get_with("/big", "Range: bytes=0-99999,150000-249999,-10\r\n");
        let found: Vec<u8> = parts(&r).into_iter().flat_map(|part| part.2).collect();
        let big = noise(300_000);
        assert!(found == [&big[..100_000], &big[150_000..250_000], &big[299_990..]].concat());
    });
}

#[test]
fn other_things_decide_whether_a_range_holds() {
    let s = start();
    let etag = s.get("/f").header("ETag").expect("an ETag").to_owned();
    let rows: &[(Runs, &str, &str, &str, &str, u16)] = &[
        (BOTH, "max_ranges 0", "GET", "/none/f", "Range: bytes=0-1", 200),
        (BOTH, "max_ranges 1, one", "GET", "/one/f", "Range: bytes=0-1", 206),
        (BOTH, "max_ranges 1, two", "GET", "/one/f", "Range: bytes=0-1,4-5", 200),
        (BOTH, "max_ranges 2, three", "GET", "/two/f", "Range: bytes=0-1,4-5,6-7", 200),
        (BOTH, "the text of a return", "GET", "/text", "Range: bytes=0-1", 200),
        (BOTH, "a missing file", "GET", "/none/missing", "Range: bytes=90-", 404),
        (BOTH, "If-None-Match comes first", "GET", "/f", "Range: bytes=0-1\r\nIf-None-Match: {E}", 304),
        (BOTH, "If-Match fails first", "GET", "/f", "Range: bytes=0-1\r\nIf-Match: \"x\"", 412),
        (BOTH, "If-Match holds", "GET", "/f", "Range: bytes=0-1\r\nIf-Match: {E}", 206),
        (BOTH, "If-Range with the ETag", "GET", "/f", "Range: bytes=0-1\r\nIf-Range: {E}", 206),
        (BOTH, "If-Range with the ETag marked weak", "GET", "/f", "Range: bytes=0-1\r\nIf-Range: W/{E}", 200),
        (BOTH, "If-Range with another ETag", "GET", "/f", "Range: bytes=0-1\r\nIf-Range: \"x\"", 200),
        (BOTH, "If-Range with another ETag beats 416", "GET", "/f", "Range: bytes=90-\r\nIf-Range: \"x\"", 200),
        (
            BOTH,
            "If-Range with the date",
            "GET",
            "/f",
            "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT",
            206,
        ),
        (
            BOTH,
            "If-Range with an older date",
            "GET",
            "/f",
            "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:36 GMT",
            200,
        ),
        (
            BOTH,
            "If-Range with a later date",
            "GET",
            "/f",
            "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT",
            200,
        ),
        (BOTH, "If-Range with garbage", "GET", "/f", "Range: bytes=0-1\r\nIf-Range: x", 200),
        (BOTH, "If-Range without Range", "GET", "/f", "If-Range: {E}", 200),
        (BOTH, "an empty file, from its start", "GET", "/empty", "Range: bytes=0-", 200),
        (BOTH, "an empty file, its last byte", "GET", "/empty", "Range: bytes=-1", 200),
        (BOTH, "an empty file, a later byte", "GET", "/empty", "Range: bytes=1-", 416),
        (ours("RFC 9110 14.2: Range is defined for GET alone"), "HEAD", "HEAD", "/f", "Range: bytes=0-1", 200),
        (
            ours("RFC 9110 14.2: Range is defined for GET alone"),
            "HEAD, unsatisfiable",
            "HEAD",
            "/f",
            "Range: bytes=90-",
            200,
        ),
    ];
    let mut table = Table::new("ranges and the rest");
    for &(runs, name, method, target, fields, status) in rows {
        table.row(runs, name, || {
            let mut client = s.client();
            let fields = fields.replace("{E}", &etag);
            let r = client.request(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n"));
            r.is(status);
            match status {
                206 => {
                    r.body_is("ab").has("Content-Range", "bytes 0-1/26").has("Last-Modified", SAME);
                }
                200 if target.ends_with("/f") => {
                    r.has("Content-Length", "26");
                    if method == "GET" {
                        r.body_is(ALPHABET);
                    }
                }
                _ => {}
            }
            if !r.closes() && (status != 412 || !on_nginx()) {
                client.expect_alive("/f", 200);
            }
        });
    }
    table.row(BOTH, "an end too large for 64 bits", || {
        let r = s.get_with("/f", "Range: bytes=3-99999999999999999999\r\n");
        r.is_one_of(&[206, 416]);
        if r.status == 206 {
            r.body_is(&ALPHABET[3..]);
        }
    });
    table.row(BOTH, "no Accept-Ranges where max_ranges is 0", || {
        s.get("/f").has("Accept-Ranges", "bytes");
        s.get("/none/f").lacks("Accept-Ranges");
    });
}
