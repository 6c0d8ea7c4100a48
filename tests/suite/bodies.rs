//! Request bodies that no handler asked for, expectations, and closing so that the answer is not lost.

use crate::client::{Client, find};
use crate::harness::{BOTH, Table, noise, ours};
use crate::http1::start;

#[test]
fn expect_is_answered() {
    let s = start();
    let mut table = Table::new("expect");
    table.row(BOTH, "100-continue, then the body", || {
        let mut client = s.client();
        client.send(b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let first = client.response();
        if first.status == 100 {
            client.send(b"hello");
            client.response().is(200).body_is("text");
        } else {
            first.is(200);
        }
    });
    table.row(BOTH, "no 100 for HTTP/1.0", || {
        let mut client = s.client();
        client.send(b"POST /text HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
        client.response().is(200).body_is("text");
    });
    table.row(BOTH, "a body that is too large is refused without a 100", || {
        let mut client = s.client();
        client.send(b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n");
        client.response().is(413);
    });
    table.row(ours("RFC 9110 10.1.1: an expectation it cannot meet"), "another expectation", || {
        s.method("POST", "/text", "Expect: tea\r\n", b"hello").is_one_of(&[417, 200]);
    });
}

#[test]
fn bodies_nobody_wants_are_read_away() {
    let s = start();
    let mut table = Table::new("discarded bodies");
    let rows: &[(&str, &str, usize)] = &[
        ("small", "/text", 10),
        ("1 MiB", "/text", 1 << 20),
        ("of a 405", "/f", 1000),
        ("of a 404", "/none", 100_000),
    ];
    for &(name, target, length) in rows {
        table.row(BOTH, &format!("Content-Length, {name}"), || {
            let mut client = s.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            client.send(noise(length));
            client.response();
            client.expect_alive("/f", 200);
        });
        table.row(BOTH, &format!("chunked, {name}"), || {
            let mut client = s.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for part in noise(length).chunks(7000) {
                client.send(format!("{:x}\r\n", part.len())).send(part).send("\r\n");
            }
            client.send("0\r\n\r\n");
            client.response();
            client.expect_alive("/f", 200);
        });
    }
    table.row(BOTH, "a GET may have a body", || {
        let mut client = s.client();
        client.request(b"GET /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").is(200).body_is("0123456789");
        client.expect_alive("/f", 200);
    });
}

/// Writes as much of `length` zeros as the server takes; the 413 must still be readable afterwards.
fn refused_upload(mut client: Client, head: &str, length: usize) {
    client.send(head);
    let block = vec![b'0'; 1 << 16];
    let mut sent = 0;
    while sent < length && client.try_send(&block[..block.len().min(length - sent)]) {
        sent += block.len();
    }
    let r = client.response();
    r.is(413).contains("413 Request Entity Too Large");
    assert!(r.closes(), "{}", r.show());
}

#[test]
fn closing_does_not_lose_the_answer() {
    let s = start();
    let mut table = Table::new("closing");
    table.row(BOTH, "a refused 20 MB upload still reads its 413", || {
        for _ in 0..5 {
            let head = "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n";
            refused_upload(s.client(), head, 20_000_000);
        }
    });
    table.row(BOTH, "a half-closed client is answered", || {
        let mut client = s.client();
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").half_close();
        client.response().is(200).body_is(noise(1 << 20));
        client.expect_closed();
    });
    table.row(BOTH, "a half-closed client's pipeline is answered", || {
        let mut client = s.client();
        client.send(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10)).half_close();
        for _ in 0..10 {
            client.response().is(200).body_is("0123456789");
        }
        client.expect_closed();
    });
    table.row(BOTH, "a FIN within the head is met by a close", || {
        let mut client = s.client();
        client.send(b"GET /f HTTP/1.1\r\nHost:").half_close();
        let rest = client.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&rest));
    });
    table.row(BOTH, "a FIN within the body is met by a close", || {
        let mut client = s.client();
        client.send(b"POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello").half_close();
        let rest = client.rest();
        assert!(find(&rest, b"HTTP/1.1").is_none_or(|at| at == 0), "{}", String::from_utf8_lossy(&rest));
    });
    table.row(BOTH, "a client that says nothing and leaves", || {
        s.client().half_close().expect_closed();
        s.client().reset();
        s.get("/f").is(200);
    });
    table.row(BOTH, "many connections that reset at any moment", || {
        let whole: &[u8] =
            b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nPOST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123";
        for at in 0..whole.len() {
            let mut client = s.client();
            client.send(&whole[..at]);
            client.reset();
        }
        s.get("/f").is(200);
    });
}
