//! What variables are worth at each stage of a request, and what error lines name: all of it holds for nginx too.

use crate::harness::{http, server};

#[test]
fn names_that_a_pattern_captures_are_there_in_the_location_nested_in_it() {
    let s = server(
        "location ~ ^/(?<first>[a-z]+)/(?<rest>.*)$ {
             location ~ txt$ { return 200 \"$first|$rest|$1\"; }
             location ~ ^/(?<first>.)(.*)js$ { return 200 \"$first|$rest|$1\"; }
             return 200 \"$first|$rest|$1\";
         }",
    )
    .start();
    s.get("/ab/c.txt").body_is("ab|c.txt|");
    s.get("/ab/c.js").body_is("a|c.js|a");
    s.get("/ab/c").body_is("ab|c|ab");
}

#[test]
fn the_address_of_an_error_page_knows_the_status_and_nothing_does_before() {
    let s = server(
        "location /kept { error_page 404 /e?$status; }
         location /coded { error_page 404 =202 /e?$status; }
         location /any { error_page 404 = /e?$status; }
         location /away { error_page 404 http://e.test/$status; }
         location /moved { error_page 404 =301 http://e.test/$status; }
         location = /e { return 200 \"$args $status\"; }
         location /length { add_header X $sent_http_content_length; return 200 \"[$sent_http_content_length]\"; }
         location /set { set $s $status; add_header X $s; return 201 \"$s $status\"; }",
    )
    .start();
    s.get("/kept").is(404).body_is("404 404");
    s.get("/coded").is(202).body_is("202 202");
    s.get("/any").is(200).body_is("000 200");
    s.get("/away").is(302).has("Location", "http://e.test/404");
    s.get("/moved").is(301).has("Location", "http://e.test/301");
    s.get("/set").is(201).has("X", "000").body_is("000 201");
    // Nor does a text know its own length.
    s.get("/length").is(200).has("X", "2").body_is("[]");
}

#[test]
fn a_range_beyond_the_file_is_answered_without_validators_of_add_header() {
    let s = server("add_header ETag '\"e\"'; add_header Last-Modified 'Thu, 02 Jan 2020 00:00:00 GMT';")
        .file("html/a", "a")
        .start();
    s.get("/a").is(200).has("ETag", "\"e\"");
    let r = s.get_with("/a", "Range: bytes=9-\r\n");
    assert_eq!((r.is(416).header("ETag"), r.header("Last-Modified")), (None, None));
}

#[test]
fn the_name_of_an_upstream_is_forgotten_by_an_internal_redirect() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; proxy_intercept_errors on; error_page 404 /e;
                  location /p { proxy_pass http://127.0.0.1:%%PORT1%%; }
                  location = /e { return 200 \"[$proxy_host$proxy_port]$upstream_status\"; } }
         server { listen 127.0.0.1:%%PORT1%%; location = /p/x { add_header X-Accel-Redirect /e; return 200; } }",
    )
    .start();
    s.get("/p/none").is(404).body_is("[]404");
    s.get("/p/x").is(200).body_is("[]200");
}

#[test]
fn trailers_know_how_the_body_is_framed() {
    let s =
        server("add_trailer T \"$sent_http_content_length|$sent_http_transfer_encoding\";").file("html/a", "a").start();
    let r = s.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(r.trailers, [("T".to_owned(), "|chunked".to_owned())]);
}

#[test]
fn an_error_line_names_the_field_of_the_host_and_the_subrequest() {
    let s = server(
        "location /a { auth_request /none; }
         location /l { return 200 l; }",
    )
    .start();
    s.send("GET http://b.test/x HTTP/1.1\r\nHost: a.test:81\r\nConnection: close\r\n\r\n").is(404);
    s.await_file("logs/error.log", |log| {
        log.contains("request: \"GET http://b.test/x HTTP/1.1\", host: \"a.test:81\"")
    });
    s.get("/a").is(500);
    s.await_file("logs/error.log", |log| log.contains("request: \"GET /a HTTP/1.1\", subrequest: \"/none\", host: "));
}

#[test]
fn the_log_knows_what_a_map_makes_of_a_header_each_time() {
    let s = http(
        "map $connection_requests $http_n { default many; 1 first; } log_format f '$http_n';
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; access_log logs/f.log f; }",
    )
    .file("html/a", "a")
    .start();
    let mut client = s.client();
    for _ in 0..3 {
        client.get("/a").is(200);
    }
    s.await_file("logs/f.log", |log| log == "first\nmany\nmany\n");
}
