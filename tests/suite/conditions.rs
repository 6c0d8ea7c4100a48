//! Conditional requests (RFC 9110 section 13) for files. Ranges have their own module; uploads too.

use crate::harness::{BOTH, Runs, Server, Table, on_nginx, ours, server};
use std::time::{Duration, UNIX_EPOCH};

const MTIME: u64 = 784_111_777;
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const OLDER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

const WINS: Runs = ours("RFC 9110 13.2.2: a matching If-None-Match wins over an old If-Modified-Since");
const MATCH_WINS: Runs = ours("RFC 9110 13.2.2: If-Match wins over If-Unmodified-Since");
const ONE_LIST: Runs = ours("RFC 9110 5.3: several lines of a list field are one list");
const BAD_DATE: Runs = ours("RFC 9110 13.1.3, 13.1.4: a date that is not valid is ignored");

fn start() -> Server {
    let s = server(
        "location /before/ { alias %%DIR%%/html/; if_modified_since before; }
         location /never/ { alias %%DIR%%/html/; if_modified_since off; }
         location /noetag/ { alias %%DIR%%/html/; etag off; }
         location /list/ { alias %%DIR%%/html/; autoindex on; }
         location /head/ { alias %%DIR%%/html/; add_header X-Added yes; expires 1h; }
         location = /text { return 200 text; }
         location = /go { return 302 /f; }",
    )
    .file("html/f", "0123456789")
    .mkdir("html/dir")
    .start();
    let file = std::fs::File::options().write(true).open(s.path("html/f")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MTIME)).unwrap();
    s
}

#[test]
fn every_precondition_has_its_status() {
    let s = start();
    let etag = s.get("/f").header("ETag").expect("an ETag").to_owned();
    // In the fields: {E} is the file's ETag, {S} its date, {O} an older one, {L} a later one.
    let rows: &[(Runs, &str, &str, &str, u16)] = &[
        // If-None-Match: weak comparison
        (BOTH, "INM with the ETag", "/f", "If-None-Match: {E}", 304),
        (BOTH, "INM with the ETag marked weak", "/f", "If-None-Match: W/{E}", 304),
        (BOTH, "INM with another ETag", "/f", "If-None-Match: \"x\"", 200),
        (BOTH, "INM star", "/f", "If-None-Match: *", 304),
        (BOTH, "INM list with the ETag last", "/f", "If-None-Match: \"a\", W/\"b\", {E}", 304),
        (BOTH, "INM list with the ETag first", "/f", "If-None-Match: {E}, \"a\"", 304),
        (BOTH, "INM list without spaces", "/f", "If-None-Match: \"a\",{E},\"b\"", 304),
        (BOTH, "INM list without the ETag", "/f", "If-None-Match: \"a\", \"b\"", 200),
        (BOTH, "INM with a comma inside a tag", "/f", "If-None-Match: \"a,b\", {E}", 304),
        (BOTH, "INM without quotes", "/f", "If-None-Match: abc", 200),
        (BOTH, "INM with an empty tag", "/f", "If-None-Match: \"\"", 200),
        (BOTH, "INM of a missing file", "/missing", "If-None-Match: *", 404),
        (BOTH, "INM where etag is off", "/noetag/f", "If-None-Match: {E}", 200),
        (ONE_LIST, "INM on two lines, the second matches", "/f", "If-None-Match: \"a\"\r\nIf-None-Match: {E}", 304),
        (ONE_LIST, "INM on two lines, the first matches", "/f", "If-None-Match: {E}\r\nIf-None-Match: \"a\"", 304),
        // If-Modified-Since: nginx's `exact` is the default
        (BOTH, "IMS same", "/f", "If-Modified-Since: {S}", 304),
        (BOTH, "IMS older", "/f", "If-Modified-Since: {O}", 200),
        (BOTH, "IMS later, exact", "/f", "If-Modified-Since: {L}", 200),
        (BOTH, "IMS later, before", "/before/f", "If-Modified-Since: {L}", 304),
        (BOTH, "IMS same, before", "/before/f", "If-Modified-Since: {S}", 304),
        (BOTH, "IMS older, before", "/before/f", "If-Modified-Since: {O}", 200),
        (BOTH, "IMS same, off", "/never/f", "If-Modified-Since: {S}", 200),
        (BOTH, "IMS same, etag off", "/noetag/f", "If-Modified-Since: {S}", 304),
        (BOTH, "IMS in RFC 850 form", "/f", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        (BOTH, "IMS in asctime form", "/f", "If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
        (BOTH, "IMS garbage", "/f", "If-Modified-Since: yesterday", 200),
        (BOTH, "IMS garbage, before", "/before/f", "If-Modified-Since: yesterday", 200),
        (BOTH, "IMS empty", "/f", "If-Modified-Since: ", 200),
        (BOTH, "IMS with an impossible day", "/before/f", "If-Modified-Since: Sun, 45 Nov 2094 08:49:37 GMT", 200),
        (BOTH, "IMS with an impossible hour", "/before/f", "If-Modified-Since: Sun, 06 Nov 2094 25:49:37 GMT", 200),
        (BAD_DATE, "IMS with text behind the date", "/f", "If-Modified-Since: {S}, x", 200),
        (BOTH, "IMS of a missing file", "/missing", "If-Modified-Since: {S}", 404),
        (BOTH, "IMS of a listing", "/list/dir/", "If-Modified-Since: {S}", 200),
        // together
        (BOTH, "INM matches, IMS same", "/f", "If-None-Match: {E}\r\nIf-Modified-Since: {S}", 304),
        (BOTH, "INM differs, IMS same", "/f", "If-None-Match: \"x\"\r\nIf-Modified-Since: {S}", 200),
        (WINS, "INM matches, IMS older", "/f", "If-None-Match: {E}\r\nIf-Modified-Since: {O}", 304),
        (WINS, "INM star, IMS older", "/f", "If-None-Match: *\r\nIf-Modified-Since: {O}", 304),
        (BOTH, "INM differs, IMS older", "/f", "If-None-Match: \"x\"\r\nIf-Modified-Since: {O}", 200),
        // If-Match: strong comparison
        (BOTH, "IM with the ETag", "/f", "If-Match: {E}", 200),
        (BOTH, "IM with the ETag marked weak", "/f", "If-Match: W/{E}", 412),
        (BOTH, "IM with another ETag", "/f", "If-Match: \"x\"", 412),
        (BOTH, "IM star", "/f", "If-Match: *", 200),
        (BOTH, "IM list with the ETag", "/f", "If-Match: \"a\", {E}", 200),
        (BOTH, "IM list without the ETag", "/f", "If-Match: \"a\", \"b\"", 412),
        (BOTH, "IM of a missing file", "/missing", "If-Match: \"a\"", 404),
        (ONE_LIST, "IM on two lines, the second matches", "/f", "If-Match: \"a\"\r\nIf-Match: {E}", 200),
        (ONE_LIST, "IM on two lines, none matches", "/f", "If-Match: \"a\"\r\nIf-Match: \"b\"", 412),
        // If-Unmodified-Since
        (BOTH, "IUS same", "/f", "If-Unmodified-Since: {S}", 200),
        (BOTH, "IUS later", "/f", "If-Unmodified-Since: {L}", 200),
        (BOTH, "IUS older", "/f", "If-Unmodified-Since: {O}", 412),
        (BAD_DATE, "IUS garbage", "/f", "If-Unmodified-Since: yesterday", 200),
        (BAD_DATE, "IUS list", "/f", "If-Unmodified-Since: {O}, {O}", 200),
        (BOTH, "IUS of a missing file", "/missing", "If-Unmodified-Since: {O}", 404),
        // order of evaluation
        (MATCH_WINS, "IM matches, IUS older", "/f", "If-Match: {E}\r\nIf-Unmodified-Since: {O}", 200),
        (BOTH, "IM differs, IUS same", "/f", "If-Match: \"x\"\r\nIf-Unmodified-Since: {S}", 412),
        (BOTH, "IM differs, INM matches", "/f", "If-Match: \"x\"\r\nIf-None-Match: {E}", 412),
        (BOTH, "IM matches, INM matches", "/f", "If-Match: {E}\r\nIf-None-Match: {E}", 304),
        (BOTH, "IUS older, INM matches", "/f", "If-Unmodified-Since: {O}\r\nIf-None-Match: {E}", 412),
        (BOTH, "IUS same, IMS same", "/f", "If-Unmodified-Since: {S}\r\nIf-Modified-Since: {S}", 304),
        // what has no validators
        (BOTH, "INM star of a return", "/text", "If-None-Match: *", 304),
        (BOTH, "INM tag of a return", "/text", "If-None-Match: \"x\"", 200),
        (BOTH, "IM star of a redirect", "/go", "If-Match: *", 302),
        (BOTH, "INM of a directory redirect", "/dir", "If-None-Match: *", 301),
        (BOTH, "field names ignore case", "/f", "iF-nOnE-mAtCh: {E}", 304),
    ];
    let mut table = Table::new("preconditions");
    for &(runs, name, target, fields, status) in rows {
        let fields = fields.replace("{E}", &etag).replace("{S}", SAME).replace("{O}", OLDER).replace("{L}", LATER);
        table.row(runs, name, || {
            for method in ["GET", "HEAD"] {
                let mut client = s.client();
                let r = client.request(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n"));
                r.is(status);
                match status {
                    200 if target.ends_with("/f") && method == "GET" => {
                        r.body_is("0123456789");
                    }
                    304 => {
                        r.lacks("Content-Length").lacks("Transfer-Encoding").lacks("Content-Type");
                        if target.ends_with("/f") {
                            r.has("Last-Modified", SAME);
                            if !target.starts_with("/noetag") {
                                r.has("ETag", &etag);
                            }
                        }
                        assert!(r.header("Date").is_some());
                    }
                    412 => {
                        r.lacks("ETag").lacks("Last-Modified");
                        if method == "GET" {
                            r.contains("412 Precondition Failed");
                        }
                    }
                    _ => {}
                }
                // nginx closes after a 412; nothing asks for that.
                if status != 412 || !on_nginx() {
                    client.expect_alive("/f", 200);
                }
            }
        });
    }
}

#[test]
fn a_304_carries_the_headers_that_update_a_cache() {
    let s = start();
    let etag = s.get("/head/f").header("ETag").expect("an ETag").to_owned();
    let r = s.get_with("/head/f", &format!("If-None-Match: {etag}\r\n"));
    r.is(304).has("X-Added", "yes").has("Cache-Control", "max-age=3600");
    assert!(r.header("Expires").is_some(), "{}", r.show());
}
