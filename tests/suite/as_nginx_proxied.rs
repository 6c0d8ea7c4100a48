//! As `as_nginx`, of the fields and ranges of an upstream's responses.

use crate::harness::{http, server};
use crate::upstream::Upstream;

/// An upstream whose response to `/PATH` is an X-Accel-Redirect to `/PATH` below `/in`, with a type of its own.
fn leading_inwards() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let to = request.target().to_owned();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nX-Accel-Redirect: /in{to}\r\nContent-Length: 0\r\n\r\n"
            );
            if !peer.send(answer.as_bytes()) {
                return;
            }
        }
    })
}

#[test]
fn a_listing_or_an_empty_gif_after_x_accel_redirect_has_its_own_type() {
    let up = leading_inwards();
    let s = server(&format!(
        "location / {{ proxy_pass http://{}; }} location /in/ {{ internal; autoindex on; }}
         location /in/json/ {{ autoindex on; autoindex_format json; }} location /in/gif {{ empty_gif; }}
         location /in/status {{ stub_status; }} location /in/text {{ return 200 text; }}
         location /in/gone {{ return 410 text; }}",
        up.address
    ))
    .file("html/in/a/f.txt", "f")
    .file("html/in/json/f.txt", "f")
    .allow_log("No such file")
    .start();
    let kinds = [
        ("/a/", "text/html"),
        ("/json/", "application/json"),
        ("/gif", "image/gif"),
        ("/status", "text/plain"),
        // These have none of their own.
        ("/a/f.txt", "x/y"),
        ("/text", "x/y"),
    ];
    for (path, kind) in kinds {
        s.get(path).is(200).has("Content-Type", kind);
    }
    s.get("/gone").is(410).has("Content-Type", "x/y").body_is("text");
    s.get("/missing").is(404).has("Content-Type", "text/html");
}

#[test]
fn if_range_of_a_proxied_response_is_compared_with_what_add_header_made() {
    let up = Upstream::start(|peer| {
        while peer.request().is_some() {
            let answer = b"HTTP/1.1 200 OK\r\nETag: \"up\"\r\nContent-Length: 5\r\n\r\nhello";
            if !peer.send(answer) {
                return;
            }
        }
    });
    let s = server(&format!(
        "proxy_force_ranges on; location /mine {{ add_header ETag '\"mine\"'; proxy_pass http://{0}; }}
         location /none {{ proxy_hide_header ETag; proxy_pass http://{0}; }} location /up {{ proxy_pass http://{0}; }}",
        up.address
    ))
    .start();
    let rows =
        [("/up", "up", 206), ("/up", "mine", 200), ("/mine", "mine", 206), ("/mine", "up", 200), ("/none", "up", 200)];
    for (path, tag, status) in rows {
        let r = s.get_with(path, &format!("Range: bytes=1-2\r\nIf-Range: \"{tag}\"\r\n"));
        r.is(status).body_is(if status == 206 { "el" } else { "hello" });
    }
}

#[test]
fn a_304_of_an_upstream_has_no_validators_that_its_page_with_commands_lacks() {
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let kind = &request.target()[3..];
            let answer =
                format!("HTTP/1.1 304 X\r\nContent-Type: text/{kind}\r\nETag: \"e\"\r\nAccept-Ranges: bytes\r\n\r\n");
            if !peer.send(answer.as_bytes()) {
                return;
            }
        }
    });
    let s = server(&format!(
        "ssi on; location / {{ proxy_pass http://{0}; }}
         location /l/ {{ ssi_last_modified on; proxy_pass http://{0}; }}",
        up.address
    ))
    .start();
    s.get("/s/html").is(304).lacks("ETag").lacks("Accept-Ranges");
    s.get("/l/html").is(304).has("ETag", "W/\"e\"").lacks("Accept-Ranges");
    s.get("/s/plain").is(304).has("ETag", "\"e\"").has("Accept-Ranges", "bytes");
}

#[test]
fn expires_by_type_holds_for_a_304_of_an_upstream_that_names_its_type() {
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let status = if request.target() == "/304" { "304 X\r\n" } else { "200 X\r\nContent-Length: 0\r\n" };
            let answer = format!("HTTP/1.1 {status}Content-Type: text/html\r\n\r\n");
            if !peer.send(answer.as_bytes()) {
                return;
            }
        }
    });
    let s = http(&format!(
        "map $sent_http_content_type $time {{ text/html 1h; default off; }}
         server {{ listen 127.0.0.1:%%PORT%%; expires $time; charset utf-8; add_header X-Type $sent_http_content_type;
             location / {{ proxy_pass http://{}; }} location /f {{ }} }}",
        up.address
    ))
    .file("html/f/a.html", "a")
    .start();
    for path in ["/200", "/304"] {
        let r = s.get(path);
        r.has("Cache-Control", "max-age=3600")
            .has("X-Type", "text/html")
            .has("Content-Type", "text/html; charset=utf-8");
    }
    // A 304 made here has no type, as in nginx.
    let date = s.get("/f/a.html").is(200).header("Last-Modified").unwrap_or_default().to_owned();
    let r = s.get_with("/f/a.html", &format!("If-Modified-Since: {date}\r\n"));
    r.is(304).lacks("X-Type").lacks("Cache-Control");
}

#[test]
fn a_location_without_keepalive_that_only_adds_a_slash_ends_the_connection_behind_an_error_page() {
    let s = server(
        "location /app/ { keepalive_requests 1; error_page 301 @moved; proxy_pass http://127.0.0.1:1; }
         location @moved { return 302 /elsewhere; }",
    )
    .start();
    let mut client = s.client();
    client.send(b"GET /app HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().is(302).has("Connection", "close");
}
