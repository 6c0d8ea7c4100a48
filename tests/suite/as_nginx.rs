//! Kinds of answers in which nginx is right and webserv once was not, each by its symptom. All of it holds for nginx
//! too.

use crate::harness::{Server, Setup, binary, http, on_nginx, server};
use std::process::Command;

fn ask(s: &Server, target: &str, fields: &str) -> String {
    s.get_with(target, fields).text()
}

#[test]
fn a_rewrite_of_the_server_runs_once_where_no_location_matches() {
    let s = server("rewrite ^ /x last; location = /y { return 200 y; }").file("html/x", "the file").start();
    s.get("/").is(200).body_is("the file");
    let s = server("set $a \"${a}1\"; ssi on; ssi_types text/plain; default_type text/plain;")
        .file("html/p", "<!--#echo var=\"a\" -->")
        .start();
    s.get("/p").body_is("1");
}

#[test]
fn set_and_map_of_a_header_an_argument_or_a_cookie_count() {
    let s = server(
        "set $http_x_a s; set $arg_q aa; set $cookie_c cc; set $sent_http_x_y yy;
         return 200 \"[$http_x_a][$arg_q][$cookie_c][$sent_http_x_y][$http_x_b]\";",
    )
    .start();
    let all = "X-A: c\r\nCookie: c=1\r\nX-B: b\r\n";
    assert_eq!(ask(&s, "/?q=1", all), "[s][aa][cc][yy][b]");
    let s = http(
        "map $uri $http_x_a { default m; /no \"\"; } map $uri $arg_q { default mq; }
         server { listen 127.0.0.1:%%PORT%%; return 200 \"[$http_x_a][$arg_q][$http_x_b]\"; }",
    )
    .start();
    assert_eq!(ask(&s, "/?q=1", all), "[m][mq][b]");
    assert_eq!(ask(&s, "/no?q=1", all), "[][mq][b]");
}

#[test]
fn words_of_a_log_format_are_joined_after_their_variables_are_read() {
    let mut s = http(
        "log_format f '$status' 'x' '$uri' \"y\";
         server { listen 127.0.0.1:%%PORT%%; access_log logs/f.log f; return 200; }",
    )
    .start();
    s.get("/a").is(200);
    s.stop();
    assert_eq!(String::from_utf8_lossy(&s.read("logs/f.log")), "200x/ay\n");
}

#[test]
fn a_server_name_is_shown_as_nginx_shows_it() {
    let named = |names: &str| {
        let s = http(&format!("server {{ listen 127.0.0.1:%%PORT%%; server_name {names}; return 200 $server_name; }}"))
            .start();
        s.get("/").text()
    };
    assert_eq!(named("\"~^(?<N>\\w)\\.Ex$\" b"), "~^(?<N>\\w)\\.Ex$");
    assert_eq!(named("Foo.Ex"), "foo.ex");
    // No host has such a name; nginx starts with it all the same.
    assert_eq!(named("a.*.b"), "a.*.b");
}

#[test]
fn add_header_changes_the_validator_that_if_range_is_compared_with() {
    let s = server(
        "location /e { add_header ETag '\"own\"'; }
         location /l { add_header Last-Modified \"Thu, 01 Jan 2015 00:00:00 GMT\"; }
         location /n { add_header ETag \"\"; }",
    )
    .file("html/e", "hello")
    .file("html/l", "hello")
    .file("html/n", "hello")
    .start();
    let range = |target: &str, validator: &str| {
        s.get_with(target, &format!("Range: bytes=0-1\r\nIf-Range: {validator}\r\n")).status
    };
    let tag = s.get("/l").header("ETag").expect("an ETag").to_owned();
    assert_eq!(range("/e", "\"own\""), 206);
    assert_eq!(range("/e", &tag), 200);
    assert_eq!(range("/l", "Thu, 01 Jan 2015 00:00:00 GMT"), 206);
    assert_eq!(range("/l", &tag), 206);
    assert_eq!(range("/n", "\"own\""), 200);
}

#[test]
fn ignore_invalid_headers_off_keeps_underscores() {
    for (setting, seen) in [("on", "[][2]"), ("off", "[1][2]")] {
        let s = server(&format!("ignore_invalid_headers {setting}; return 200 \"[$http_a_b][$http_x]\";")).start();
        assert_eq!(ask(&s, "/", "A_b: 1\r\nX: 2\r\n"), seen);
    }
}

#[test]
fn a_405_to_trace_and_connect_ends_the_connection() {
    let s = server("return 200 x;").start();
    for line in ["TRACE / HTTP/1.1", "CONNECT a:80 HTTP/1.1"] {
        let mut client = s.client();
        client.send(format!("{line}\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(client.response().is(405).closes());
        client.expect_closed();
    }
}

#[test]
fn a_bad_chunk_of_an_ignored_body_is_refused_also_before_the_end() {
    let s = server("return 200 x;").start();
    for connection in ["", "Connection: close\r\n"] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{connection}\r\n");
        s.send(format!("{head}zz\r\n")).is(400);
    }
}

#[test]
fn a_refusal_is_of_the_server_that_is_known_by_then() {
    let named = |name: &str, text: &str| {
        format!(
            "server {{ listen 127.0.0.1:%%PORT%%; server_name {name}; {text} error_page 400 /e;
              location = /e {{ return 400 {name}; }} location / {{ return 200 \"{name} $uri\"; }} }}"
        )
    };
    let s = http(&[named("first", "merge_slashes off;"), named("second", "")].concat()).start();
    let body = |request: &str| s.send(format!("{request}\r\n\r\n")).text();
    assert_eq!(body("GET /%zz HTTP/1.1\r\nHost: second"), "first");
    assert_eq!(body("GET http://second/%zz HTTP/1.1\r\nHost: second"), "first");
    assert_eq!(body("GET / HTTP/1.1\r\nHost: second\r\nHost: second"), "second");
    assert_eq!(body("GET / HTTP/1.1\r\nHost: second\r\nContent-Length: x"), "second");
    assert_eq!(body("GET / HTTP/1.1\r\nHost: se cond"), "first");
    // The request line is read before the host is known.
    assert_eq!(body("GET /a//b HTTP/1.1\r\nHost: second"), "second /a//b");
}

#[test]
fn configurations_that_nginx_takes() {
    for block in [
        "server { listen 127.0.0.1:%%PORT%%; root \"\"; }",
        "server { listen 127.0.0.1:%%PORT%%; allow 127.00.0.1; deny 010.0.0.0/08; return 200; }",
        "geo $g { 127.0.0.01 1; } server { listen 127.0.0.1:%%PORT%%; return 200; }",
        "server { listen 127.0.0.1:%%PORT%%; location @n { return 200; } location @n { return 201; } }",
        "server { listen 127.0.0.1:%%PORT%%; add_header X: y; proxy_set_header Host: z; }",
        "map \"$uri:$host\" $m { \"/:a\" 1; default 2; } server { listen 127.0.0.1:%%PORT%%; return 200 $m; }",
    ] {
        let s = http(block).start();
        s.get("/").is_one_of(&[200, 403, 404]);
    }
    let whole = "%%PREAMBLE%%\nevents { worker_connections 100000000; }
        http { server { listen 127.0.0.1:%%PORT%%; return 200; } }";
    assert!(Setup::full(whole).run(&["-t", "-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf"]).status.success());
    let unnamed = "error_log stderr; pid \"\"; events { } http { server { listen 127.0.0.1:%%PORT%%; return 200; } }";
    assert!(Setup::full(unnamed).run(&["-t", "-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf"]).status.success());
}

#[test]
fn a_post_that_nothing_takes_is_answered_as_by_nginx() {
    let s = server("location / { } location /l/ { autoindex on; } location /ae { error_page 405 =200 /a.txt; }")
        .file("html/a.txt", "a")
        .file("html/ae", "x")
        .file("html/i/index.html", "i")
        .mkdir("html/d")
        .mkdir("html/l")
        .start();
    let table = [
        ("/", 403),
        ("/a.txt", 405),
        ("/none", 404),
        ("/d", 301),
        ("/d/", 403),
        ("/e/", 404),
        ("/l/", 403),
        ("/i/", 405),
        ("/a.txt/", 404),
        ("/ae", 200),
    ];
    for (target, status) in table {
        s.method("POST", target, "", b"x").is(status);
    }
}

#[test]
fn the_redirect_of_a_directory_keeps_its_slashes() {
    let s = server("merge_slashes off;").mkdir("html/d/e").start();
    let port = s.port();
    s.get("//d//e").is(301).has("Location", &format!("http://localhost:{port}//d//e/"));
    s.get("///d?x").is(301).has("Location", &format!("http://localhost:{port}///d/?x"));
    // Without a host in front two slashes would name another one.
    let s = server("merge_slashes off; absolute_redirect off;").mkdir("html/d").start();
    let location = s.get("//d").is(301).header("Location").unwrap_or_default().to_owned();
    assert!(on_nginx() || location == "/%2Fd/", "{location}");
}

/// One request a minute goes at once, the others wait.
fn limited() -> Setup {
    let block = "limit_req_zone $server_port zone=z:1m rate=1r/m;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; limit_req zone=z burst=5; }";
    http(block).file("html/f", "f").master()
}

#[test]
fn a_request_that_limit_req_holds_ends_with_its_client() {
    let mut s = limited().start();
    s.get("/f").is(200);
    let mut held = s.client();
    held.send(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    held.leave();
    let log = s.await_file("logs/access.log", |log| log.lines().count() == 2);
    assert!(log.contains(" 499 0 "), "{log}");
    // The held request, due in a minute, does not keep the process: the wait gives up before that.
    s.signal(libc::SIGQUIT);
    assert_eq!(s.wait(), 0);
}

#[test]
fn status_is_that_of_the_error_whose_page_is_made() {
    let s = server(
        "error_page 404 @n; error_page 403 /e; location @n { return 418 $status; } location = /e { return 500 $status; }
         location /d { deny all; } location /two { error_page 404 =202 @n; }",
    )
    .start();
    s.get("/none").is(404).body_is("404");
    s.get("/d").is(403).body_is("403");
    s.get("/two").is(202).body_is("202");
}

#[test]
fn a_precondition_that_fails_has_its_error_page() {
    let s = server("location /a { error_page 412 /page; } location /b { error_page 412 http://e.test/; }")
        .file("html/a", "a")
        .file("html/b", "b")
        .file("html/page", "the page")
        .start();
    s.get_with("/a", "If-Match: \"x\"\r\n").is(412).body_is("the page");
    s.get_with("/b", "If-Match: \"x\"\r\n").is(302).has("Location", "http://e.test/");
    s.get_with("/a", "If-Match: *\r\n").is(200).body_is("a");
}

#[test]
fn trace_is_refused_before_its_location_says_anything() {
    let s = server("location / { error_page 405 =302 http://e.test/; add_header X-A 1 always; }").start();
    let r = s.method("TRACE", "/", "", b"");
    assert_eq!(r.is(405).header("X-A"), None);
}

#[test]
fn a_root_made_of_a_map_of_the_uri_is_that_of_the_uri() {
    let s = http(
        "map $uri $folder { ~^/([a-z]+)\\.txt$ $1; default none; }
         split_clients $uri $part { 100% all; }
         server { listen 127.0.0.1:%%PORT%%; location / { root html/$folder; } location /all/ { root html/$part; } }",
    )
    .file("html/a/a.txt", "a of a")
    .file("html/b/b.txt", "b of b")
    .file("html/all/all/x", "x of all")
    .start();
    s.get("/a.txt").is(200).body_is("a of a");
    s.get("/b.txt").is(200).body_is("b of b");
    s.get("/all/x").is(200).body_is("x of all");
}

#[test]
fn a_text_of_the_configuration_is_text_whatever_its_path_ends_in() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; location / { return 200 ok; }
                  location /json/ { default_type application/json; return 200 []; }
                  location /own/ { types { text/x-own php; } return 200 ok; } }",
    )
    .start();
    for (path, kind) in [
        ("/health", "text/plain"),
        ("/a.php", "text/plain"),
        ("/a.css", "text/plain"),
        ("/a.html", "text/html"),
        ("/a.GIF", "image/gif"),
        ("/json/a.css", "application/json"),
        ("/own/a.php", "text/x-own"),
    ] {
        assert_eq!(s.get(path).is(200).header("Content-Type"), Some(kind), "{path}");
    }
}

#[test]
fn a_cycle_of_redirects_ends_the_connection_also_behind_an_error_page() {
    let s = server("error_page 500 /none; location / { try_files /x /y; }").allow_log("[error]").start();
    let mut client = s.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().is(500).has("Connection", "close");
}

#[test]
fn an_error_page_that_fails_for_ever_ends() {
    let s = server(
        "recursive_error_pages on; error_page 404 500 @fallback; location / { return 404; }
         location @fallback { return 404; } location = /ok { return 200 ok; }
         location /uri/ { error_page 404 500 /uri/none; }
         location /rewritten { error_page 500 @fallback; rewrite ^ /rewritten; }",
    )
    .allow_log("[error]")
    .start();
    for path in ["/none", "/uri/x", "/rewritten"] {
        s.get(path).is(500);
        s.get("/ok").is(200).body_is("ok");
    }
}

#[test]
fn an_alias_does_not_guess_what_of_a_rewritten_uri_is_its_own() {
    let s = server(
        "location /a/ { alias %%DIR%%/html/b/; rewrite ^ /other/f break; }
         location /t/ { alias %%DIR%%/html/b/; try_files $uri =404; rewrite ^ /t/f break; }
         location /v/ { alias %%DIR%%/html/b/; rewrite ^ /v/f break; return 200 x; }
         location /n/ { alias %%DIR%%/html/b/; if ($uri ~ x) { set $w \"[$request_filename]\"; } return 200 $w; }
         location /plain/ { alias %%DIR%%/html/b/; }",
    )
    .file("html/b/f", "f")
    .allow_log("[alert]")
    .start();
    s.get("/a/f").is(500);
    s.get("/t/f").is(500);
    s.get("/n/x").is(200).contains("/html/b/x");
    s.get("/plain/f").is(200).body_is("f");
}

#[test]
fn how_many_fields_a_request_may_have_is_its_servers_word() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name few; max_headers 3; return 200 few; }
         server { listen 127.0.0.1:%%PORT%%; server_name many; return 200 many; }
         server { listen 127.0.0.1:%%PORT%%; server_name one; max_headers 1; return 200 one; }",
    )
    .start();
    let more = |count: usize| (0..count).map(|at| format!("X-{at}: x\r\n")).collect::<String>();
    for (name, before, host, behind, status) in [
        ("as many as the default server takes", 0, "few", 2, 200),
        ("one more", 0, "few", 3, 400),
        ("one more, before the name", 3, "few", 0, 400),
        ("a server that takes more", 0, "many", 20, 200),
        ("whose name came too late", 4, "many", 0, 400),
        ("a server that takes fewer", 0, "one", 0, 200),
        ("than there are", 0, "one", 1, 400),
        ("what stands before the name is the default server's", 2, "one", 0, 200),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{}Host: {host}\r\n{}\r\n", more(before), more(behind));
        let answer = s.client().request(bytes);
        assert_eq!(answer.status, status, "{name}: {}", answer.show());
    }
}

#[test]
fn geo_takes_an_address_with_its_port_from_its_proxy() {
    let s = http(
        "geo $net { proxy 127.0.0.1; default none; 1.2.3.0/24 four; 2001:db8::/32 six; }
         server { listen 127.0.0.1:%%PORT%%; return 200 $net; }",
    )
    .start();
    for (value, net) in [
        ("1.2.3.4", "four"),
        ("1.2.3.4:80", "four"),
        ("[2001:db8::1]:80", "six"),
        ("9.9.9.9, 1.2.3.4:1,", "four"),
        ("nothing", "none"),
    ] {
        assert_eq!(ask(&s, "/", &format!("X-Forwarded-For: {value}\r\n")), net, "{value}");
    }
}

#[test]
fn expires_modified_counts_from_the_page_of_an_error() {
    let s =
        server("expires modified 1h; error_page 404 =301 /page; error_page 403 =200 /page; location /no { deny all; }")
            .file("html/page", "p")
            .start();
    for target in ["/none", "/no"] {
        let r = s.get(target);
        let age = r.header("Cache-Control").and_then(|value| value.strip_prefix("max-age="));
        assert!(age.is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age <= 3600)), "{target}");
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_577_934_245);
    let page = std::fs::File::options().write(true).open(s.path("html/page")).expect("the page");
    page.set_modified(old).expect("our own file");
    for target in ["/none", "/no"] {
        s.get(target).has("Cache-Control", "no-cache");
    }
}

#[test]
fn a_test_refuses_an_address_that_no_interface_has() {
    let may_bind_all = |family: &str| {
        let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
        setting.is_ok_and(|text| text.trim() == "1")
    };
    let has_v6 = std::path::Path::new("/proc/net/if_inet6").exists();
    let rows = [
        // Documentation's own (RFC 5737, RFC 3849): no machine has them.
        ("192.0.2.1:%%PORT1%%", may_bind_all("ipv4"), true),
        ("[2001:db8::1]:%%PORT1%%", !has_v6 || may_bind_all("ipv6"), true),
        ("127.0.0.1:%%PORT1%%", false, false),
        ("%%PORT1%%", false, false),
    ];
    for (address, is_unknown, is_refused) in rows {
        if is_unknown {
            continue;
        }
        let setup = http(&format!(
            "server {{ listen 127.0.0.1:%%PORT%%; }} server {{ listen {address}; listen 127.0.0.1:%%PORT2%%; }}"
        ));
        let out = setup.test_config();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.success(), !is_refused, "{address}: {text}");
        if is_refused {
            let shown = address.replace(":%%PORT1%%", ":");
            assert!(
                text.contains(&format!("bind() to {shown}")) && text.contains("assign requested address"),
                "{text}"
            );
        }
        // Sockets that are handed over are bound already. nginx takes them over in a test, too.
        if is_refused && !on_nginx() {
            let prefix = format!("{}/", setup.dir().display());
            let args = ["-t", "-p", &prefix, "-c", "conf/test.conf"];
            let out =
                Command::new(binary()).args(args).env("NGINX", "9;").output().expect("the binary under test runs");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
    }
}

#[test]
fn configurations_that_nginx_refuses() {
    for (lines, why) in [
        ("access_log logs/a.log combined buffer=1k flush=0;", "invalid flush time \"0\""),
        ("keepalive_timeout 75s 500ms;", "invalid value"),
    ] {
        let out = http(&format!("server {{ listen 127.0.0.1:%%PORT%%; {lines} }}")).test_config();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && text.contains(why), "{lines}: {text}");
    }
    for option in ["reuseport", "backlog=9", "deferred", "so_keepalive=on", "bind"] {
        let server = format!("server {{ listen 127.0.0.1:%%PORT%% {option}; }}");
        let text = String::from_utf8_lossy(&http(&server.repeat(2)).test_config().stderr).into_owned();
        assert!(text.contains("duplicate listen options for 127.0.0.1:"), "{option}: {text}");
    }
}

#[test]
fn a_return_says_nothing_of_the_connection_or_of_limits() {
    let s = server("location /505 { return 505; } location /413 { return 413; }").start();
    let mut client = s.client();
    assert!(!client.get("/505").is(505).closes());
    client.get("/505").is(505);
    let text = s.method("POST", "/413", "", b"").is(413).text();
    assert!(!text.contains("client_max_body_size"), "{text}");
}

#[test]
fn expires_modified_0_is_now() {
    let s = server("expires modified 0;").file("html/f", "f").start();
    s.get("/f").has("Cache-Control", "max-age=0");
}

#[test]
fn gzip_proxied_reads_all_lines_of_cache_control() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; gzip on; gzip_min_length 1; gzip_types text/plain; gzip_proxied no-store;
                  proxy_pass_header Cache-Control; location / { proxy_pass http://127.0.0.1:%%PORT1%%; } }
         server { listen 127.0.0.1:%%PORT1%%; add_header Cache-Control private; default_type text/plain;
                  location /a { add_header Cache-Control private; add_header Cache-Control no-store; return 200 aaaaaaaa; }
                  location /b { return 200 aaaaaaaa; } }",
    )
    .start();
    let fields = "Accept-Encoding: gzip\r\nVia: 1.1 a\r\n";
    s.get_with("/a", fields).is(200).has("Content-Encoding", "gzip");
    s.get_with("/b", fields).is(200).lacks("Content-Encoding");
}
