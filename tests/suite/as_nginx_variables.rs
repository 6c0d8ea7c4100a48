//! What variables are worth at each stage of a request, and what error lines name: all of it holds for nginx too.

use crate::harness::{http, server};
use crate::over_http2;
use crate::upstream::Upstream;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

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

#[test]
fn clients_of_a_unix_socket_are_one_to_a_limit() {
    let s = http(
        "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m; log_format f '$binary_remote_addr $status';
         server { listen 127.0.0.1:%%PORT%%; listen unix:%%DIR%%/s; access_log logs/f.log f;
                  location / { limit_req zone=z; return 200; } location = /file { limit_req zone=z; root html; } }",
    )
    .file("html/file", "x")
    .start();
    s.get("/").is(200);
    for _ in 0..2 {
        let (mut client, mut answer) = (UnixStream::connect(s.path("s")).expect("its socket"), String::new());
        client.write_all(b"GET /file HTTP/1.0\r\n\r\n").expect("it is read");
        client.read_to_string(&mut answer).expect("an answer");
    }
    let log = s.await_file("logs/f.log", |log| log.lines().count() == 3);
    assert!(log.ends_with("\nunix: 200\nunix: 503\n"), "{log}");
}

#[test]
fn the_log_has_the_status_that_was_sent() {
    let s = http(
        "log_format f '$uri $status'; max_headers 3;
         server { listen 127.0.0.1:%%PORT%%; access_log logs/f.log f; error_page 494 =200 /many;
                  location = /many { return 200 many; } location /494 { return 200; }
                  location /495 { return 495; } location /496 { return 496; } location /497 { return 497; }
                  location /page { error_page 497 =201 /495/x; return 497; } }",
    )
    .start();
    for target in ["/495", "/496", "/497", "/page"] {
        s.get(target).is(400);
    }
    s.send("GET /494 HTTP/1.1\r\nHost: a\r\nA: a\r\nB: b\r\nC: c\r\nD: d\r\nConnection: close\r\n\r\n")
        .is(200)
        .body_is("many");
    s.await_file("logs/f.log", |log| log == "/495 400\n/496 400\n/497 400\n/495/x 400\n/many 200\n");
}

#[test]
fn access_log_off_ends_all_logs_of_its_level_wherever_it_stands() {
    let s = server(
        "access_log logs/all.log; location /first { access_log off; access_log logs/own.log; }
         location /last { access_log logs/own.log; access_log off; } location /own { access_log logs/own.log; }
         location /off { access_log off; location /off/own { access_log logs/own.log; } }",
    )
    .start();
    for target in ["/first", "/last", "/off", "/own", "/off/own", "/"] {
        s.get(target);
    }
    s.await_file("logs/all.log", |log| log.lines().count() == 1 && log.contains("GET / "));
    s.await_file("logs/own.log", |log| {
        log.lines().count() == 2 && log.contains("GET /own ") && log.contains("GET /off/own ")
    });
}

#[test]
fn geo_of_a_variable_has_proxies_too() {
    let s = http(
        "geo $arg_a $net { proxy 127.0.0.1; default none; 5.5.5.5 five; 127.0.0.1 own; }
         server { listen 127.0.0.1:%%PORT%%; return 200 $net; }",
    )
    .start();
    for (target, net) in [("/?a=127.0.0.1", "five"), ("/?a=127.0.0.2", "none"), ("/?a=x", "none"), ("/", "none")] {
        s.get_with(target, "X-Forwarded-For: 5.5.5.5\r\n").body_is(net);
    }
    s.get("/?a=127.0.0.1").body_is("own");
}

#[test]
fn no_log_is_made_of_a_name_whose_root_does_not_exist() {
    let s = server(
        "access_log logs/$arg_l.log; location /a { alias %%DIR%%/html/none/; }
         location /r { root %%DIR%%/html/$arg_r; return 200 r; }",
    )
    .mkdir("html/is")
    .file("html/file", "f")
    .allow_log("[crit]")
    .start();
    for target in ["/r?r=none&l=1", "/r?r=file&l=2", "/a/x?r=is&l=3", "/r?r=is&l=4"] {
        s.get(target).is_one_of(&[200, 404]);
    }
    s.await_file("logs/4.log", |log| log.contains("l=4 "));
    for name in ["logs/1.log", "logs/2.log", "logs/3.log"] {
        assert!(!s.exists(name), "{name}");
    }
    s.await_file("logs/error.log", |log| log.contains("testing \"") && log.contains("existence failed (20: "));
}

#[test]
fn http2_of_a_request_over_http1_is_an_empty_text() {
    if over_http2::is_wanted() {
        return;
    }
    let s = http("log_format f '[$http2]'; server { listen 127.0.0.1:%%PORT%%; access_log logs/f.log f; return 200; }")
        .start();
    s.get("/").is(200);
    s.await_file("logs/f.log", |log| log == "[]\n");
}

#[test]
fn a_referer_that_was_refused_is_invalid_for_its_error_page_and_the_log() {
    let s = http(
        "log_format r '$uri [$invalid_referer]'; access_log logs/r.log r;
         server { listen 127.0.0.1:%%PORT%%; error_page 403 /sorry;
             location / { valid_referers none a.test; if ($invalid_referer) { return 403; } return 200 x; }
             location /sorry { return 200 [$invalid_referer]; } }",
    )
    .start();
    let asked = |referer: &str| {
        s.client().request(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{referer}\r\n").as_bytes())
    };
    asked("Referer: http://evil/\r\n").is(403).body_is("[1]");
    asked("").is(200).body_is("x");
    s.await_file("logs/r.log", |log| log == "/sorry [1]\n/ []\n");
    s.get("/sorry").is(200).body_is("[]");
}

#[test]
fn an_empty_body_is_an_empty_text_without_request_buffering_too() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for buffering in ["on", "off"] {
        let s = http(&format!(
            "log_format b '$request_method [$request_body]'; access_log logs/b.log b;
             server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_request_buffering {buffering};
                       proxy_pass http://{}; }} }}",
            up.address
        ))
        .start();
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        s.client().request(post).is(200);
        s.get("/").is(200);
        s.await_file("logs/b.log", |log| log == "POST []\nGET [-]\n");
    }
}

#[test]
fn the_page_of_498_is_that_of_404() {
    let s = server("location / { return 498; } location /t { return 498 text; }").start();
    let r = s.get("/");
    r.is(498).has("Content-Type", "text/html");
    assert!(r.text().contains("<h1>404 Not Found</h1>"), "{}", r.text());
    s.get("/t").is(498).body_is("text");
}

#[test]
fn what_the_last_server_answered_is_known_where_no_other_is_left() {
    let up = Upstream::always("HTTP/1.1 500 X\r\nX-A: told\r\nContent-Length: 0\r\n\r\n");
    let s = http(&format!(
        "log_format u '$upstream_status [$upstream_http_x_a]'; access_log logs/u.log u;
         upstream u {{ server 127.0.0.1:1 max_fails=1 fail_timeout=1h; server {} max_fails=0; }}
         server {{ listen 127.0.0.1:%%PORT%%;
             location / {{ proxy_pass http://u; proxy_next_upstream error http_500; }} }}",
        up.address
    ))
    .start();
    s.get("/").is(500);
    // The first one is out by now: the answer of the other one is what came last.
    s.get("/").is(502);
    s.await_file("logs/u.log", |log| log == "502, 500 [told]\n500, 502 [told]\n");
}

#[test]
fn the_script_of_what_is_no_request_is_an_empty_text() {
    if over_http2::is_wanted() {
        return;
    }
    let s =
        http("log_format s '[$fastcgi_script_name]'; access_log logs/s.log s; server { listen 127.0.0.1:%%PORT%%; }")
            .start();
    s.client().request(b"get / HTTP/1.1\r\nHost: a\r\n\r\n").is(400);
    s.await_file("logs/s.log", |log| log == "[]\n");
}
