//! upload_limit_rate: a body takes its time, and other requests do not wait for it.

use super::*;
use std::time::{Duration, Instant};

#[test]
fn uploads_come_at_their_rate_and_delay_nobody() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = "location /a/ { allowed_methods GET POST; upload_limit_rate 400k; }
         location /free/ { allowed_methods GET POST; upload_limit_rate $arg_rate; }";
    let s = running(server(block).file("html/index.html", "index").mkdir("html/a").mkdir("html/free"));
    let content = noise(300_000);
    // A slice of a quarter second goes at once, the rest does not.
    let least = Duration::from_millis(400);
    let chunked =
        format!("POST /a/chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", content.len());
    let requests = [
        crate::harness::request("POST", "/a/spliced", "", &content),
        [chunked.as_bytes(), &content, b"\r\n0\r\n\r\n"].concat(),
        crate::harness::request("POST", "/a/", &form_type(), &form(&[file("form", &content)])),
    ];
    std::thread::scope(|scope| {
        let uploads = requests.each_ref().map(|request| {
            let mut client = s.client();
            scope.spawn(move || {
                let begun = Instant::now();
                client.send(request).response().is(201);
                begun.elapsed()
            })
        });
        // These are answered meanwhile; a small upload is no longer on its way than without a limit.
        for n in 0..20 {
            s.get("/").is(200);
            s.method("POST", &format!("/a/small{n}"), "", b"small").is(201);
        }
        s.method("POST", "/free/none", "", &content).is(201);
        s.method("POST", "/free/nonsense?rate=x", "", &content).is(201);
        for upload in uploads {
            let took = upload.join().expect("an upload that is answered");
            assert!(took >= least, "{took:?}");
        }
    });
    for name in ["a/spliced", "a/chunked", "a/form", "free/none", "free/nonsense"] {
        assert!(s.read(&format!("html/{name}")) == content, "{name}");
    }
    let begun = Instant::now();
    s.method("POST", "/free/some?rate=400k", "", &content).is(201);
    assert!(begun.elapsed() >= least);
    // Refused while it waits: what follows is thrown away at once.
    let s = area("upload_limit_rate 1k; upload_max_file_size 100;");
    let mut client = s.client();
    client.send(b"POST /a/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n");
    client.send(&content[..200_000]).send("\r\n0\r\n\r\n");
    client.response().is(413).contains("upload_max_file_size 100");
}
