//! What variables are worth when the request is over: in the access log, where `-` means that there is nothing, and in
//! trailers.

use crate::harness::{BOTH, Runs, Table, eventually, ours, server, skip_on_nginx};
use crate::upstream::Upstream;

#[test]
fn variables_in_the_log() {
    let up = Upstream::always("HTTP/1.1 201 Created\r\nContent-Length: 4\r\nX-Up: u\r\nSet-Cookie: c=v; p\r\n\r\nback");
    let block = format!(
        "access_log logs/v.log v; keepalive_timeout 60 30;
         location /ret {{ return 200 text; }}
         location /redir {{ return 302 /ret; }}
         location /add {{ add_header X-Add \"a b\"; expires epoch; return 200; }}
         location /trailer {{ add_trailer T v; return 200 abc; }}
         location /204 {{ return 204; }}
         location /gz/ {{ gzip on; gzip_types text/plain; gzip_min_length 1; alias %%DIR%%/html/; }}
         location /auth {{ auth_basic r; auth_basic_user_file %%DIR%%/users; }}
         location /up {{ proxy_pass http://{0}/x; }}
         location /rw/ {{ rewrite ^/rw/(.*)$ /ret/$1?q=1 last; }}
         location /named/ {{ try_files /none @n; }}
         location @n {{ return 201 n; }}
         location /sub {{ alias %%DIR%%/html/; }}
         location /err/ {{ error_page 404 /ret; }}",
        up.address
    );
    // The value, asked for in one request each.
    let rows: &[(Runs, &str, &str, &str, &str, &str)] = &[
        (BOTH, "no arguments", "GET /f.txt", "", "args", "-"),
        (BOTH, "a question mark alone", "GET /f.txt?", "", "args", "-"),
        (BOTH, "arguments", "GET /f.txt?a=1", "", "args", "a=1"),
        (BOTH, "arguments of a rewrite", "GET /rw/a?b=c", "", "args", "q=1&b=c"),
        (BOTH, "no question mark", "GET /f.txt", "", "is_args", ""),
        (BOTH, "an argument that is empty", "GET /f.txt?a=", "", "arg_a", ""),
        (BOTH, "an argument that is not there", "GET /f.txt?b=1", "", "arg_a", "-"),
        (BOTH, "a normal path", "GET /%66//x/../../f.txt", "", "uri", "/f.txt"),
        (BOTH, "a rewritten path", "GET /rw/a", "", "uri", "/ret/a"),
        (BOTH, "the path as it came", "GET /rw/%61?x", "", "request_uri", "/rw/%61?x"),
        (BOTH, "an absolute target", "GET http://h/f.txt?x", "", "request_uri", "/f.txt?x"),
        (BOTH, "a named location", "GET /named/x", "", "uri", "/named/x"),
        (BOTH, "length of a file", "GET /f.txt", "", "sent_http_content_length", "60"),
        (BOTH, "length of a redirect", "GET /204", "", "sent_http_content_length", "-"),
        (BOTH, "length of chunks", "GET /trailer", "", "sent_http_content_length", "-"),
        (BOTH, "chunks", "GET /trailer", "", "sent_http_transfer_encoding", "chunked"),
        (BOTH, "no chunks", "GET /f.txt", "", "sent_http_transfer_encoding", "-"),
        (BOTH, "a trailer", "GET /trailer", "", "sent_trailer_t", "v"),
        (BOTH, "type of nothing", "GET /204", "", "sent_http_content_type", "-"),
        (BOTH, "ranges", "GET /f.txt", "", "sent_http_accept_ranges", "bytes"),
        (BOTH, "no ranges", "GET /ret", "", "sent_http_accept_ranges", "-"),
        (BOTH, "where to", "GET /redir", "", "sent_http_location", "http://localhost:%PORT%/ret"),
        (BOTH, "where to, of a directory", "GET /d", "", "sent_http_location", "http://localhost:%PORT%/d/"),
        (BOTH, "nowhere", "GET /f.txt", "", "sent_http_location", "-"),
        (BOTH, "a header of the configuration", "GET /add", "", "sent_http_x_add", "a b"),
        (BOTH, "expires", "GET /add", "", "sent_http_cache_control", "no-cache"),
        (BOTH, "gzip's ratio", "GET /gz/f.txt", "Accept-Encoding: gzip\r\n", "gzip_ratio", "1.82"),
        (BOTH, "no gzip", "GET /f.txt", "Accept-Encoding: gzip\r\n", "gzip_ratio", "-"),
        (BOTH, "status", "GET /named/x", "", "status", "201"),
        (BOTH, "status of an error page", "GET /err/x", "", "status", "404"),
        (BOTH, "the user", "GET /ret", "Authorization: Basic dTpw\r\n", "remote_user", "u"),
        (BOTH, "no user", "GET /ret", "", "remote_user", "-"),
        (BOTH, "host without a port", "GET /f.txt", "Host: A.Test:81\r\n", "host", "a.test"),
        (BOTH, "port of the host", "GET /f.txt", "Host: a:81\r\n", "request_port", "81"),
        (BOTH, "no port of the host", "GET /f.txt", "", "request_port", ""),
        (BOTH, "a cookie", "GET /f.txt", "Cookie: a=b; c=d\r\n", "cookie_c", "d"),
        (BOTH, "completion", "GET /f.txt", "", "request_completion", "OK"),
        (BOTH, "bytes of a body", "GET /f.txt", "", "body_bytes_sent", "60"),
        (BOTH, "bytes of no body", "HEAD /f.txt", "", "body_bytes_sent", "0"),
        (BOTH, "the first of a connection", "GET /f.txt", "", "connection_requests", "1"),
        (BOTH, "alone", "GET /f.txt", "", "pipe", "."),
        (BOTH, "an upstream's status", "GET /up", "", "upstream_status", "201"),
        (BOTH, "no upstream", "GET /f.txt", "", "upstream_status", "-"),
        (BOTH, "an upstream's header", "GET /up", "", "upstream_http_x_up", "u"),
        (BOTH, "an upstream's cookie", "GET /up", "", "upstream_cookie_c", "v"),
        (BOTH, "bytes of an upstream's body", "GET /up", "", "upstream_response_length", "4"),
        (BOTH, "not limited", "GET /f.txt", "", "limit_req_status", "-"),
        (BOTH, "no length", "GET /f.txt", "", "content_length", "-"),
        (BOTH, "scheme", "GET /f.txt", "", "scheme", "http"),
        (BOTH, "no TLS", "GET /f.txt", "", "https", ""),
        (BOTH, "the file", "GET /f.txt", "", "request_filename", "%DIR%/html/f.txt"),
        (BOTH, "the file of an alias", "GET /sub", "", "document_root", "%DIR%/html/"),
        (
            ours("nginx says close at that moment, whatever was sent"),
            "the connection",
            "GET /f.txt",
            "",
            "sent_http_connection",
            "keep-alive",
        ),
    ];
    let names: Vec<&str> = rows.iter().map(|row| row.4).collect();
    let format: String = names.iter().map(|name| format!("${{{name}}}|")).collect();
    let s = crate::harness::http(&format!(
        "log_format v \"{format}\"; server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; {block} }}"
    ))
    .file("html/f.txt", "0123456789".repeat(6))
    .file("users", "u:{PLAIN}p\n")
    .mkdir("html/d")
    .start();
    let mut table = Table::new("variables in the log");
    let mut lines = 0;
    for (at, (runs, name, request, fields, variable, expected)) in rows.iter().enumerate() {
        table.row(*runs, &format!("${variable}: {name}"), || {
            lines += 1;
            let (method, target) = request.split_once(' ').expect("method and target");
            let host = if fields.starts_with("Host:") { "" } else { "Host: localhost\r\n" };
            let mut client = s.client();
            client.send(format!("{method} {target} HTTP/1.1\r\n{host}{fields}\r\n"));
            if method == "HEAD" {
                client.response_to_head()
            } else {
                client.response()
            };
            let log = s.await_file("logs/v.log", |text| text.lines().count() >= lines);
            let line = log.lines().nth(lines - 1).expect("counted");
            let expected = expected
                .replace("%PORT%", &s.port().to_string())
                .replace("%DIR%", s.path("").to_string_lossy().trim_end_matches('/'));
            assert_eq!(line.split('|').nth(at), Some(&*expected), "{line}");
        });
    }
    table.row(BOTH, "what is no request", || {
        lines += 1;
        s.send(b"BAD\r\n\r\n").is(400);
        let log = s.await_file("logs/v.log", |text| text.lines().count() >= lines);
        let line: Vec<&str> = log.lines().nth(lines - 1).expect("counted").split('|').collect();
        let of = |name: &str| line[names.iter().position(|n| *n == name).expect("it is logged")];
        assert_eq!((of("uri"), of("request_uri"), of("args")), ("-", "-", "-"));
    });
    table.row(BOTH, "a request that is refused for its fields", || {
        lines += 1;
        s.send(b"GET /f.txt?a=1 HTTP/1.1\r\n\r\n").is(400);
        let log = s.await_file("logs/v.log", |text| text.lines().count() >= lines);
        let line: Vec<&str> = log.lines().nth(lines - 1).expect("counted").split('|').collect();
        let of = |name: &str| line[names.iter().position(|n| *n == name).expect("it is logged")];
        assert_eq!((of("uri"), of("request_uri"), of("args")), ("/f.txt", "/f.txt?a=1", "a=1"));
    });
}

#[test]
fn charsets() {
    let s = server("charset utf-8; location /err/ { charset koi8-r; alias %%DIR%%/html/; }")
        .file("html/f.html", "0123456789")
        .start();
    let mut table = Table::new("charset");
    for (path, charset) in [("/f.html", "utf-8"), ("/err/f.html", "koi8-r")] {
        table.row(BOTH, &format!("{path}: of a file and of error pages"), || {
            s.get(path).is(200).has("Content-Type", &format!("text/html; charset={charset}"));
            s.get(&format!("{path}.none")).is(404).has("Content-Type", &format!("text/html; charset={charset}"));
            let r = s.get_with(path, "Range: bytes=100-\r\n");
            r.is(416).has("Content-Type", &format!("text/html; charset={charset}")).has("Content-Range", "bytes */10");
        });
    }
    for (config, ok) in [
        ("charset koi8-r; source_charset utf-8;", false),
        ("charset koi8-r; source_charset koi8-r;", true),
        ("charset off; source_charset utf-8;", true),
        ("charset $arg_c; source_charset utf-8;", true),
        ("source_charset utf-8; location /a { charset koi8-r; }", false),
    ] {
        table.row(BOTH, config, || {
            let setup = server(config);
            let prefix = format!("{}/", setup.dir().display());
            let out = setup.run(&["-t", "-p", &prefix, "-c", "conf/test.conf"]);
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.success(), ok, "{said}");
            let missing = "no \"charset_map\" between the charsets \"utf-8\" and \"koi8-r\"";
            assert_eq!(said.contains(missing), !ok, "{said}");
        });
    }
}

/// The body went out whole, and nothing said that its trailer was missing.
#[test]
fn a_trailer_whose_value_is_too_long_is_not_missing_in_silence() {
    if skip_on_nginx("it has no such bound") {
        return;
    }
    let up = Upstream::start(|peer| {
        while peer.request().is_some() {
            if !peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanswered") {
                return;
            }
        }
    });
    let double: String = (0..10).map(|at| format!("set $d{} \"$d{at}$d{at}\"; ", at + 1)).collect();
    let s = server(&format!(
        "set $d0 $http_x; {double}
         add_trailer X-Long $d10;
         location / {{ }}
         location /text {{ return 200 answered; }}
         location /proxied {{ proxy_pass http://{}; }}",
        up.address
    ))
    .file("html/f", "answered")
    .allow_log("the values of variables are too long together")
    .start();
    let long = format!("X: {}\r\n", "x".repeat(7000));
    for (lines, (uri, status)) in [("/f", 500), ("/text", 500), ("/proxied", 200)].into_iter().enumerate() {
        let seen = s.get_with(uri, &long);
        seen.is(status);
        assert_eq!(seen.text() == "answered", status == 200, "{uri}: {}", seen.text());
        let count = || s.error_log().lines().filter(|line| line.contains("too long together")).count();
        eventually("the log says it", || count() == lines + 1);
        assert_eq!(s.get(uri).is(200).text(), "answered", "{uri}");
    }
}
