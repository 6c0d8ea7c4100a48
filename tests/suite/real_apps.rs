//! Whole configurations of applications behind a proxy, as `real_confs` compares those of sites.

use crate::real_confs::{compare, conf};
use crate::upstream::Upstream;

/// Answers with what it was asked, its header lines in order; some targets are answered in a way of their own.
fn application() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let mut lines: Vec<String> =
                request.fields.iter().map(|(n, v)| format!("{}: {v}\n", n.to_lowercase())).collect();
            lines.sort();
            let body = format!("{}\n{}\n{}", request.line, lines.concat(), String::from_utf8_lossy(&request.body));
            let target = request.target().rsplit('/').next().unwrap_or_default().to_owned();
            let (status, fields) = match target.as_str() {
                "404" => ("404 Not Found", ""),
                "503" => ("503 Oops", "Retry-After: 5\r\n"),
                "move" => ("302 Found", "Location: http://internal.test/there?x\r\n"),
                "own" => ("301 Moved Permanently", "Location: /there\r\n"),
                "cookie" => ("200 OK", "Set-Cookie: a=b; Path=/x; Domain=internal.test\r\n"),
                "json" => ("200 OK", "Content-Type: application/json\r\nX-Kind: j\r\nETag: \"j\"\r\n"),
                "html" => (
                    "200 OK",
                    "Content-Type: text/html\r\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-cache\r\n",
                ),
                "dated" => (
                    "200 OK",
                    "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nAccept-Ranges: bytes\r\nVary: Origin\r\n",
                ),
                "accel" => ("200 OK", "X-Accel-Redirect: /files/app.txt\r\nContent-Type: text/x-accel\r\n"),
                "204" => ("204 No Content", ""),
                _ => ("200 OK", "Content-Type: text/plain\r\n"),
            };
            let head_only = request.line.starts_with("HEAD ");
            let length =
                if status.starts_with("204") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let head = format!("HTTP/1.1 {status}\r\n{fields}{length}\r\n");
            if !peer.send(head.as_bytes()) || !head_only && !length.is_empty() && !peer.send(body.as_bytes()) {
                return;
            }
        }
    })
}

#[test]
fn applications_behind_a_proxy() {
    let up = application();
    let nowhere = Upstream::nowhere().to_string();
    let text = include_str!("../nginx_confs/apps.conf").replace("%%UP%%", &up.address.to_string());
    let text = text.replace("%%NOWHERE%%", &nowhere);
    let setup = || {
        conf(&text)
            .file("html/assets/app.txt", "static\n")
            .file("html/lost.html", "lost\n")
            .file("html/named/here.txt", "here\n")
            .allow_log("while connecting to upstream")
    };
    const FROM: &str = "X-Forwarded-For: 203.0.113.9, 127.0.0.2\r\n";
    const GZIP: &str = "Accept-Encoding: gzip\r\n";
    compare(
        "apps",
        setup,
        &[
            ("GET", "git.test", "/a%20b/../c?d=e%2F", "", None),
            ("GET", "git.test", "/", FROM, None),
            ("POST", "git.test", "/form", "Content-Type: text/plain\r\nX-Request-Id: mine\r\n", Some(2000)),
            ("POST", "git.test", "/form", "", Some(0)),
            ("PUT", "git.test", "/big", "", Some(300_000)),
            ("POST", "git.test", "/too/big", "", Some(1_100_000)),
            ("HEAD", "git.test", "/json", "", None),
            ("GET", "git.test", "/json", "X-Forwarded-Proto: https\r\nProxy: evil\r\nTE: trailers\r\n", None),
            ("DELETE", "git.test", "/thing/204", "", None),
            ("PROPFIND", "git.test", "/dav", "Depth: 1\r\n", None),
            ("GET", "git.test", "/git", "", None),
            ("GET", "git.test", "/git/x?y", "", None),
            ("GET", "git.test", "/git/move", "", None),
            ("GET", "git.test", "/git/own", "", None),
            ("GET", "git.test", "/own", "", None),
            ("GET", "git.test", "/move", "", None),
            ("GET", "git.test", "/git/cookie", "", None),
            ("GET", "git.test", "/cookie", "", None),
            ("GET", "git.test", "/strip/a/b?c", "", None),
            ("GET", "git.test", "/strip/", "", None),
            ("GET", "git.test", "/users/42/a/b?x=1", "", None),
            ("GET", "git.test", "/users/x/a", "", None),
            ("GET", "git.test", "/static/app.txt", "", None),
            ("GET", "git.test", "/static/", "", None),
            ("GET", "git.test", "/cached/json", "", None),
            ("GET", "git.test", "/cached/html", "", None),
            ("GET", "git.test", "/cached/404", "", None),
            ("GET", "git.test", "/dated", "If-Modified-Since: Wed, 21 Oct 2015 07:28:00 GMT\r\n", None),
            ("GET", "git.test", "/dated", "If-Unmodified-Since: Wed, 21 Oct 2014 07:28:00 GMT\r\n", None),
            ("GET", "git.test", "/dated", "Range: bytes=0-3\r\nIf-Range: \"x\"\r\n", None),
            ("GET", "git.test", "/json", "If-None-Match: \"j\"\r\n", None),
            ("GET", "git.test", "/sticky/x", "Cookie: session=abc\r\n", None),
            ("GET", "git.test", "/503", "", None),
            ("HEAD", "git.test", "/json", GZIP, None),
            ("GET", "api.test", "/v1/json", "Origin: http://o.test\r\n", None),
            ("OPTIONS", "api.test", "/v1/json", "Origin: http://o.test\r\n", None),
            ("POST", "api.test", "/v1/404", "Origin: http://o.test\r\n", Some(3)),
            ("POST", "api.test", "/v1/html", "Origin: http://o.test\r\n", Some(3)),
            ("GET", "api.test", "/caught/404", "", None),
            ("GET", "api.test", "/caught/503", "", None),
            ("POST", "api.test", "/caught/404", "", Some(9)),
            ("GET", "api.test", "/caught/html", "", None),
            ("GET", "api.test", "/caught/accel", "", None),
            ("HEAD", "api.test", "/caught/accel", "", None),
            ("GET", "api.test", "/dead/x", "", None),
            ("POST", "api.test", "/dead/x", "", Some(100)),
            ("GET", "api.test", "/named/here.txt", "", None),
            ("GET", "api.test", "/named/else?x=1", "", None),
            ("GET", "api.test", "/read/x", "", None),
            ("POST", "api.test", "/read/x", "", Some(1)),
            ("GET", "api.test", "/slow/1", "", None),
            ("GET", "api.test", "/slow/2", "", None),
            ("GET", "api.test", "/slow/3", "", None),
            ("GET", "api.test", "/files/app.txt", "", None),
            ("GET", "api.test", "/lost.html", "", None),
            ("GET", "api.test", "/healthz", "", None),
        ],
    );
}
