//! Lines of the error log that tools look for, and answers beside them, in which webserv once was not as nginx. All of
//! it holds for nginx too.

use crate::harness::{Server, eventually, http, server};
use crate::http2::client::H2;
use crate::upstream::Upstream;

/// How many lines of the error log have the text.
fn lines(s: &Server, text: &str) -> usize {
    s.error_log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn an_index_below_an_alias_is_found_after_a_rewrite_elsewhere() {
    let s = server(
        "location /foo { rewrite ^ /sub/ break; index c.txt; }
         location /sub/ { alias %%DIR%%/html/sub/; }",
    )
    .file("html/sub/c.txt", "the index")
    .start();
    s.get("/foo").is(200).body_is("the index");
}

#[test]
fn a_client_that_satisfy_any_refuses_has_its_line() {
    let s = server(
        "location /all/ { auth_request /verdict; }
         location /any/ { satisfy any; deny all; }
         location /ask/ { satisfy any; deny all; auth_request /verdict; }
         location /verdict { return 403; }",
    )
    .start();
    // With satisfy all the subrequest alone has refused it, which is no rule.
    s.get("/all/x").is(403);
    s.get("/any/x").is(403);
    eventually("address", || lines(&s, "access forbidden by rule, client: ") == 1);
    s.get("/ask/x").is(403);
    eventually("auth_request", || lines(&s, "access forbidden by rule, client: ") == 2);
}

#[test]
fn a_body_that_is_too_large_where_nothing_is_uploaded_gets_the_error_page() {
    let s = server("client_max_body_size 4; location / { } location /r { return 200 x; }").start();
    for target in ["/", "/r"] {
        let mut client = s.client();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678"));
        client.response().is(413).has("Content-Type", "text/html");
    }
}

#[test]
fn a_cycle_through_a_named_location_is_called_by_its_name() {
    let s = server(
        "error_page 404 = @one; recursive_error_pages on;
         location @one { rewrite ^ /none last; }",
    )
    .start();
    s.get("/none").is(500);
    let line = "rewrite or internal redirection cycle while redirect to named location \"@one\"";
    eventually("the line", || lines(&s, line) == 1);
    assert_eq!(lines(&s, "rewrite or internal redirection cycle"), 1);
}

#[test]
fn the_second_time_of_keepalive_timeout_is_inherited_by_itself() {
    let s = http(
        "keepalive_timeout 50 7;
         server { listen 127.0.0.1:%%PORT%%; location /own { keepalive_timeout 30; return 200 k; }
                  location /both { keepalive_timeout 30 8; return 200 k; } location / { return 200 k; } }",
    )
    .start();
    for (target, value) in [("/own", "timeout=7"), ("/both", "timeout=8"), ("/", "timeout=7")] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.response().is(200).has("Keep-Alive", value);
    }
}

#[test]
fn a_long_field_is_taken_over_http2_as_far_as_the_buffers_reach_together() {
    let s = server("http2 on; return 200 $http_x;").start();
    let long = "a".repeat(9000);
    let mut client = H2::connect(s.address(0));
    let stream = client.request("GET", "/", &[("x", &long)], true);
    let answer = client.answer(stream);
    assert_eq!((answer.status, answer.body.len()), (200, 9000));
}

#[test]
fn rewrite_log_tells_each_step() {
    let s = server(
        "rewrite_log on;
         location / { rewrite ^/none$ /c last; if ($arg_q ~ ^x) { set $a 1; } rewrite ^/a/(.*)$ /b/$1?k=v last;
                      rewrite ^/go$ /away redirect; }
         location /b/ { return 200 b; }
         location /quiet/ { rewrite_log off; rewrite ^/quiet/(.*)$ /b/$1 last; }",
    )
    .start();
    s.get("/a/q?q=x").is(200);
    for line in [
        "\"^/none$\" does not match \"/a/q\"",
        "\"^x\" matches \"x\"",
        "\"^/a/(.*)$\" matches \"/a/q\"",
        "rewritten data: \"/b/q\", args: \"k=v&q=x\"",
    ] {
        eventually(line, || lines(&s, &format!("{line}, client: ")) == 1);
    }
    s.get("/go").is(302);
    eventually("redirect", || lines(&s, "rewritten redirect: \"/away\", client: ") == 1);
    s.get("/quiet/q").is(200);
    assert_eq!(lines(&s, "^/quiet/"), 0);
}

#[test]
fn a_malformed_chunk_is_an_error_of_the_log() {
    let s = server("location / { proxy_pass http://127.0.0.1:9; }").start();
    let mut client = s.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n");
    client.response().is(400);
    eventually("the line", || {
        s.error_log().lines().any(|line| line.contains("[error]") && line.contains("client sent invalid chunked body"))
    });
}

#[test]
fn a_root_that_is_missing_is_named_where_its_real_path_is_asked_for() {
    let s =
        server("location / { root %%DIR%%/gone; return 200 \"[$realpath_root]\"; }").allow_log("realpath()").start();
    s.get("/").is(200).body_is("[]");
    let line = format!("realpath() \"{}\" failed (2: No such file or directory)", s.path("gone").display());
    eventually("the line", || s.error_log().lines().any(|log| log.contains("[crit]") && log.contains(&line)));
    assert_eq!(lines(&s, "realpath()"), 1);
}

#[test]
fn an_idle_websocket_that_times_out_is_no_error() {
    let up = Upstream::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        while peer.some().is_some() {}
    });
    let s = server(&format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_read_timeout 500ms;
                       proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
        up.address
    ))
    .start();
    let mut client = s.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.response().is(101);
    client.expect_closed();
    eventually("its line", || s.error_log().lines().any(|line| line.contains("[info]") && line.contains("timed out")));
    assert_eq!(lines(&s, "[error]"), 0, "{}", s.error_log());
}

#[test]
fn a_client_that_resets_amid_its_body_is_no_client_that_did_not_wait() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let s = http(&format!(
        "log_format status '$uri $status'; access_log logs/status.log status;
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{0}; }}
                   location /early {{ proxy_request_buffering off; proxy_pass http://{0}; }} }}",
        up.address
    ))
    .start();
    for target in ["/late", "/early"] {
        let mut client = s.client();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"));
        client.response().is(100);
        client.reset();
        s.await_file("logs/status.log", |log| log.contains(&format!("{target} 400\n")));
    }
}

#[test]
fn a_client_that_times_out_is_told_with_its_error() {
    let s = server("client_header_timeout 100ms; location / { }").start();
    let mut client = s.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    eventually("the line", || lines(&s, "client timed out (110: Connection timed out)") == 1);
}

#[test]
fn a_key_of_limit_conn_that_is_too_long_is_named_as_it_is_written() {
    let s = http(
        "limit_conn_zone $arg_k zone=z:1m;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location / { limit_conn z 1; } }",
    )
    .file("html/f", "f")
    .start();
    s.get(&format!("/f?k={}", "x".repeat(256))).is(200);
    eventually("the line", || lines(&s, "the value of the \"$arg_k\" key is more than 255 bytes: \"xxx") == 1);
}

#[test]
fn an_application_of_a_variable_without_a_port_is_an_error_of_the_configuration() {
    let s = server(
        "location /f { fastcgi_pass $arg_up; } location /s { scgi_pass $arg_up; } location /u { uwsgi_pass $arg_up; }
         location /p { proxy_pass http://$arg_up; }",
    )
    .start();
    for (to, why) in [
        ("127.0.0.1", "no port in upstream \"127.0.0.1\""),
        ("app", "no port in upstream \"app\""),
        ("", "no host in upstream \"\""),
        ("127.0.0.1:99999", "invalid port in upstream \"127.0.0.1:99999\""),
        ("http://127.0.0.1", "invalid host in upstream \"http://127.0.0.1\""),
    ] {
        for (n, target) in ["/f", "/s", "/u"].into_iter().enumerate() {
            s.get(&format!("{target}?up={to}")).is(500);
            eventually(why, || lines(&s, why) == n + 1);
        }
    }
    s.get("/p").is(500);
    eventually("the prefix", || lines(&s, "invalid URL prefix in \"http://\"") == 1);
}

#[test]
fn a_rate_that_is_no_size_has_its_line() {
    let s = server("location / { limit_rate $arg_r; return 200 x; }").start();
    for (n, rate) in ["1m", "fast", ""].into_iter().enumerate() {
        s.get(&format!("/?r={rate}")).is(200);
        eventually(rate, || lines(&s, "invalid size \"") == n);
    }
    assert_eq!((lines(&s, "invalid size \"fast\""), lines(&s, "invalid size \"\"")), (1, 1));
}

#[test]
fn random_index_tells_of_the_directory_that_it_could_not_open() {
    // log_not_found is about files.
    for silence in ["", "log_not_found off;"] {
        let s = server(&format!("location / {{ random_index on; {silence} }}")).start();
        s.get("/none/").is(404);
        eventually("the line", || lines(&s, "opendir() \"") == 1);
        assert_eq!(lines(&s, "/html/none\" failed (2: No such file or directory)"), 1, "{}", s.error_log());
    }
}

#[test]
fn what_auth_request_set_did_not_set_is_absent_and_no_warning() {
    let s = http(
        "log_format who '$uri [$who] [$own]'; access_log logs/who.log who;
         server { listen 127.0.0.1:%%PORT%%; auth_request_set $who $status;
             location /set { set $own x; return 200 x; } location / { add_header X-Who \"$who\"; return 200 x; } }",
    )
    .start();
    assert_eq!(s.get("/a").is(200).header("X-Who"), None);
    s.await_file("logs/who.log", |log| log.contains("/a [-] []\n"));
    let warned = "using uninitialized \"own\" variable while logging request";
    eventually("the line", || lines(&s, warned) == 1);
    assert_eq!(lines(&s, "using uninitialized \"who\""), 0, "{}", s.error_log());
}

#[test]
fn a_client_that_leaves_its_upstream_is_noticed_by_epoll() {
    let up = Upstream::start(|peer| {
        peer.request();
        // Until the server has closed it.
        peer.request();
    });
    let s = server(&format!("location / {{ proxy_pass http://{}; }}", up.address)).start();
    let mut client = s.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request", || up.connections() == 1);
    client.reset();
    eventually("the line", || lines(&s, "epoll_wait() reported that client prematurely closed connection") == 1);
}

#[test]
fn an_include_that_is_too_long_for_a_variable_has_its_length_in_the_log() {
    let s = server(
        "ssi on; subrequest_output_buffer_size 4;
         location = /page.html { } location /long { return 200 12345; } location /x { ssi off; }",
    )
    .file("html/page.html", "<!--#include virtual=\"/long\" set=\"v\" -->.")
    .start();
    let mut client = s.client();
    client.send(b"GET /page.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    eventually("the line", || lines(&s, "too big subrequest response: 5, client: ") == 1);
}

#[test]
fn a_proxied_folder_has_its_slash_added_within_a_location_of_its_name() {
    let s = server(
        "location /a { location /a/ { proxy_pass http://127.0.0.1:1; } return 200 a; }
         location /b { location = /b { return 200 b; } location /b/ { proxy_pass http://127.0.0.1:1; } }
         location /c { return 200 c; } location /c/ { proxy_pass http://127.0.0.1:1; }
         location = /f/ { return 200 f; } location /f/ { proxy_pass http://127.0.0.1:1; }
         location /d { internal; location /d/ { proxy_pass http://127.0.0.1:1; } }
         location /e/ { client_max_body_size 1; proxy_pass http://127.0.0.1:1; }",
    )
    .start();
    s.get("/f").is(301);
    // What holds for the location comes first.
    assert_eq!(s.get("/d").is(404).header("Location"), None);
    assert_eq!(s.method("POST", "/e", "", b"12").is(413).header("Location"), None);
    s.get("/a").is(301);
    s.get("/b").is(200).body_is("b");
    s.get("/c").is(200).body_is("c");
}

#[test]
fn chunks_that_are_thrown_away_are_not_measured() {
    let s = server("client_max_body_size 4; location /no { deny all; } location /r { return 200 x; } location / { }")
        .start();
    for (target, status) in [("/no", 403), ("/r", 200), ("/missing", 404)] {
        // What a chunk announces may be on its way yet.
        let mut client = s.client();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n1234"));
        client.response().is(status);
        client.send(b"5678\r\n0\r\n\r\nGET /r HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response().is(200).body_is("x");
    }
}

#[test]
fn a_stub_stands_for_an_error_and_its_page() {
    let s = server("ssi on; error_page 404 /page; location /page { return 200 page; }")
        .file(
            "html/i.html",
            "<!--#block name=\"s\" -->stub<!--#endblock --><!--#include virtual=\"/none\" stub=\"s\" -->|\
             <!--#include virtual=\"/none\" -->",
        )
        .start();
    s.get("/i.html").is(200).body_is("stub|page");
}

#[test]
fn an_empty_referer_stands_in_the_line() {
    let s = server("").allow_log("No such file").start();
    s.get_with("/none", "Referer:\r\n").is(404);
    s.get("/plain").is(404);
    eventually("the lines", || lines(&s, "No such file") == 2);
    assert_eq!(lines(&s, ", host: \"localhost\", referrer: \"\""), 1);
    assert_eq!(lines(&s, "referrer: "), 1);
}
