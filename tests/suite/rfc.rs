//! Rules of RFC 9110 and 9112 that cross subjects: what a HEAD, an error page, a timer and a connection do together.

use crate::client::Client;
use crate::harness::{BOTH, Runs, Server, Table, on_nginx, ours, server, skip_on_nginx};

const SILENT: Runs = ours("RFC 9110 15.5.9: nginx closes without a word");

/// Timers of a second where a row waits for one; what must not be waited for is a minute, beyond the client's patience.
fn hasty() -> Server {
    start(
        "client_header_timeout 1s; client_body_timeout 1s; lingering_timeout 1s; lingering_time 2s; send_timeout 60s;",
    )
}

/// A client that has sent this before the server sees that it is there: its timers find it sent.
fn sent(s: &Server, bytes: &str) -> Client {
    s.frozen(|| {
        let mut client = s.client();
        client.try_send(bytes);
        client
    })
}

fn start(timers: &str) -> Server {
    let upload = if on_nginx() { "" } else { "location /up/ { allowed_methods GET PUT POST DELETE; }" };
    server(&format!(
        "{timers}
         client_max_body_size 1k;
         location = /text {{ return 200 text; }}
         location /paged/ {{ error_page 404 405 412 413 416 /page.html; alias %%DIR%%/html/; }}
         location /forgiven/ {{ error_page 413 =200 /page.html; alias %%DIR%%/html/; }}
         {upload}"
    ))
    .mkdir("html/up")
    .file("html/f", "0123456789")
    .file("html/page.html", "a page")
    .start()
}

#[test]
fn no_answer_to_a_head_has_content() {
    let s = hasty();
    let long = "x".repeat(40_000);
    let rows: &[(Runs, &str, String, u16)] = &[
        (BOTH, "a HEAD that is not HTTP", "HEAD /f HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        (BOTH, "a HEAD of a path that is none", "HEAD /%zz HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (BOTH, "a HEAD of the asterisk", "HEAD * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (BOTH, "a HEAD in another version", "HEAD /f HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        (BOTH, "a HEAD with a line too long", format!("HEAD /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (BOTH, "a HEAD with a line that does not end", format!("HEAD /{long}"), 414),
        (
            ours("431 by its own name"),
            "a HEAD with too large fields",
            format!("HEAD /f HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
        ),
        (BOTH, "a HEAD with a bad coding", "HEAD /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n".into(), 501),
        (SILENT, "a HEAD that stops in its fields", "HEAD /f HTTP/1.1\r\nHost: a\r\n".into(), 408),
        (SILENT, "a HEAD that stops in its line", "HEAD /f".into(), 408),
    ];
    let mut table = Table::new("HEAD refused");
    for (runs, name, bytes, status) in rows {
        table.row(*runs, name, || {
            let mut client = sent(&s, bytes);
            let r = client.response_to_head();
            assert!(r.is(*status).closes(), "{}", r.show());
            assert!(client.rest().is_empty(), "content after {}", r.show());
        });
        table.row(*runs, &format!("{name}, behind another request"), || {
            let mut client = sent(&s, &format!("GET /text HTTP/1.1\r\nHost: a\r\n\r\n{bytes}"));
            client.response().is(200).body_is("text");
            client.response_to_head().is(*status);
            assert!(client.rest().is_empty(), "content after a HEAD");
        });
    }
}

#[test]
fn every_wait_has_its_own_time() {
    let s = hasty();
    let mut table = Table::new("waits");
    table.row(SILENT, "half a head behind an answered request gets the time of a head", || {
        let mut client = sent(&s, "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /f HTTP/1.1\r\n");
        client.response().is(200);
        client.response().is(408).has("Connection", "close");
        client.expect_closed();
    });
    table.row(SILENT, "a body that was invited gets the time of a body", || {
        let mut client = sent(&s, "PUT /up/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(100);
        client.response().is(408).has("Connection", "close");
        client.expect_closed();
        assert!(!s.exists("html/up/a"));
    });
    table.row(BOTH, "a body that is neither wanted nor sent does not keep the connection", || {
        let mut client = sent(&s, "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        client.response().is(405);
        client.expect_closed();
    });
    table.row(BOTH, "an idle connection is closed without a word", || {
        s.client().expect_closed();
    });
}

#[test]
fn an_error_page_changes_the_content_and_nothing_else() {
    let s = start("");
    let mut table = Table::new("error pages");
    table.row(BOTH, "413 with a page closes the connection", || {
        let mut client = s.client();
        client.send("PUT /paged/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
        client.response().is(413).has("Connection", "close").body_is("a page");
        client.expect_closed();
    });
    table.row(BOTH, "413 shown as 200 closes the connection", || {
        let mut client = s.client();
        client.send("GET /forgiven/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
        client.response().is(200).has("Connection", "close").body_is("a page");
        client.expect_closed();
    });
    table.row(BOTH, "404 with a page keeps it", || {
        let mut client = s.client();
        client.request("GET /paged/x HTTP/1.1\r\nHost: a\r\n\r\n").is(404).body_is("a page");
        client.expect_alive("/text", 200);
    });
    table.row(BOTH, "the page is no part of a range and meets no condition", || {
        for fields in ["Range: bytes=0-1\r\n", "If-None-Match: *\r\n", "If-Match: \"x\"\r\n"] {
            s.get_with("/paged/x", fields).is(404).body_is("a page");
        }
    });
    table.row(ours("RFC 9110 15.5.6: a 405 carries Allow"), "405 with a page keeps Allow", || {
        let r = s.method("POST", "/paged/f", "", b"");
        r.is(405).body_is("a page");
        assert!(r.header("Allow").is_some_and(|allow| allow.contains("HEAD")), "{}", r.show());
    });
    table.row(ours("nginx drops Content-Range"), "416 with a page keeps Content-Range", || {
        s.get_with("/paged/f", "Range: bytes=50-\r\n").is(416).has("Content-Range", "bytes */10");
    });
}

#[test]
fn a_chunk_is_judged_by_what_it_announces() {
    if skip_on_nginx("PUT is stored") {
        return;
    }
    let s = start("");
    let mut table = Table::new("announced chunks");
    for (name, size, status) in [
        ("more than is allowed", "401", 413),
        ("as much as a file may have", "7FFFFFFFFFFFFFFF", 413),
        ("more than there is", "FFFFFFFFFFFFFFFF", 400),
    ] {
        table.row(BOTH, &format!("a chunk of {name} is refused before it comes"), || {
            let mut client = s.client();
            client.send(format!("PUT /up/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n"));
            client.response().is(status).has("Connection", "close");
            client.expect_closed();
            assert!(!s.exists("html/up/a"));
        });
    }
    table.row(BOTH, "chunks count together", || {
        let mut client = s.client();
        let half = format!("300\r\n{}\r\n", "x".repeat(0x300));
        client.send(format!("PUT /up/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{half}300\r\n"));
        client.response().is(413).has("Connection", "close");
        client.expect_closed();
    });
    table.row(BOTH, "as much as is allowed is taken", || {
        let body = "x".repeat(0x400);
        let chunk = format!("400\r\n{body}\r\n0\r\n\r\n");
        s.send(format!("PUT /up/full HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")).is(201);
        assert_eq!(s.read("html/up/full"), body.as_bytes());
    });
}
