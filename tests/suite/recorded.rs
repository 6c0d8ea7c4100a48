//! Commands that read logs and other servers' configurations: `explain --log`, `diff`, `check-nginx`. Nothing is
//! started.

mod joined;

use crate::harness::{Setup, skip_on_nginx};

const LOG: &str = "10.0.0.1 - - [27/Nov/2026:04:23:34 +0000] \"GET /x HTTP/1.1\" 301 1 \"-\" \"-\" id=aa\n\
    10.0.0.1 - - [27/Nov/2026:04:23:35 +0000] \"GET /f HTTP/1.1\" 200 1 \"-\" \"-\" id=bb\n\
    10.0.0.1 - - [27/Nov/2026:04:23:36 +0000] \"GET /p/1 HTTP/1.1\" 200 1 \"-\" \"-\" id=cc\n\
    2026/11/27 04:23:37 [error] 7#7: *2 access forbidden by rule, client: 10.0.0.1, server: a, \
    request: \"GET /closed HTTP/1.1\", host: \"a\"\n";

fn config(location_x: &str, port: u16) -> String {
    format!(
        "server {{\n    listen 127.0.0.1:%%PORT%%;\n    root %%DIR%%/html;\n    location /x {{ {location_x} }}\n    \
         location /p/ {{ proxy_pass http://127.0.0.1:{port}; }}\n    location /closed {{ deny 10.0.0.0/8; }}\n}}\n"
    )
}

fn setup() -> Setup {
    Setup::full(&config("return 301 /y;", 9)).file("requests.log", LOG).file("html/f", "f")
}

fn said(setup: &Setup, args: &[&str]) -> (bool, String) {
    let out = setup.run(args);
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

#[test]
fn a_recorded_request_is_explained_by_its_id_or_its_line() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup = setup();
    let explain = |id: &str| said(&setup, &["explain", "--log", "requests.log", "conf/test.conf", id]);
    let line = LOG.lines().last().expect("a line");
    for (id, answer, place) in [
        ("aa", "301 Moved Permanently", "conf/test.conf:4"),
        ("bb", "200 OK", "conf/test.conf:2"),
        ("cc", "is the upstream's", "conf/test.conf:5"),
        (line, "403 Forbidden", "conf/test.conf:6"),
    ] {
        let (ok, text) = explain(id);
        assert!(ok && text.contains(answer) && text.contains(place) && text.contains("from 10.0.0.1"), "{id}: {text}");
    }
    let (ok, text) = explain("none");
    assert!(!ok && text.contains("has no request with \"none\""), "{text}");
}

/// What is refused before its Host is known is traced by the log that it lies in, or by the port that its line has.
#[test]
fn a_request_that_was_refused_early_is_traced_to_its_listener() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "server {\n    listen 127.0.0.1:%%PORT%%;\n    server_name a.test;\n}\nserver {\n    listen \
                  127.0.0.1:%%PORT1%%;\n    server_name b.test;\n    access_log %%DIR%%/own.log;\n    \
                  large_client_header_buffers 2 1k;\n}\n";
    let line = |request: &str, rest: &str| format!("10.0.0.1 - - [27/Nov/2026:04:23:34 +0000] \"{request}\" {rest}\n");
    let long = format!("GET /{} HTTP/1.1", "a".repeat(2000));
    let lines = [
        line(&long, "414 1 \"-\" \"-\" id=aa"),
        line("GET / HTTP/1.1", "431 1 \"-\" \"-\" id=bb"),
        line("nonsense", "400 1 \"-\" \"-\" id=cc"),
        line("", "408 1 \"-\" \"-\" id=dd"),
    ];
    let setup = Setup::full(config).file("own.log", lines.concat()).file("shared.log", lines.concat());
    for (id, decides) in [("aa", ":9]"), ("bb", ":9]"), ("cc", ":5]"), ("dd", ":5]")] {
        let (ok, text) = said(&setup, &["explain", "--log", "own.log", "conf/test.conf", id]);
        let starting = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert!(ok && starting("listener").ends_with("test.conf:6]"), "{id}: {text}");
        assert!(starting("server").ends_with("test.conf:5]"), "{id}: {text}");
        assert!(starting("logged").ends_with(decides), "{id}: {text}");
        assert!(!text.contains("doubt"), "{id}: {text}");
        // A log of all servers does not say which one it was.
        let (_, text) = said(&setup, &["explain", "--log", "shared.log", "conf/test.conf", id]);
        assert!(id == "aa" || text.contains("fits 2 listeners"), "{id}: {text}");
    }
}

/// A 404 of a URI with a query of 600 bytes was explained as that of another URI, the shortened one of the error log.
#[test]
fn a_long_request_of_the_error_log_is_explained_or_refused_as_shortened() {
    if skip_on_nginx("explain") {
        return;
    }
    let server = crate::harness::server("location / { return 410; } location /none { }").start();
    let trace = |length: usize| {
        let target = format!("/none{}?{}", length, "q".repeat(length));
        server.get(&target).is(404);
        let start = format!("GET /none{length}?q");
        let log = server.await_file("logs/error.log", |text| text.contains(&start) && text.ends_with('\n'));
        let line = log.lines().find(|line| line.contains(&start)).expect("just seen").to_owned();
        let mut command = std::process::Command::new(crate::harness::binary());
        command.args(["explain", "--log", "logs/error.log", "conf/test.conf", &line]).current_dir(server.path(""));
        let out = command.output().expect("the binary runs");
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        (out.status.success(), text, target)
    };
    let (ok, text, target) = trace(1500);
    assert!(ok && text.contains(&format!("request    GET {target} from 127.0.0.1")), "{text}");
    let (ok, text, _) = trace(5000);
    assert!(!ok && text.contains("the error log, which shortened it") && !text.contains("answer "), "{text}");
}

/// A name that the listener's servers do not have is answered by its default, and the port says which listener that is.
#[test]
fn a_request_for_a_name_of_another_listener_is_traced_by_its_port() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "server {\n    listen 127.0.0.1:8081;\n    server_name a.test;\n    return 403;\n}\nserver {\n    \
                  listen 127.0.0.1:8082;\n    server_name b.test;\n    return 410;\n}\n";
    let line = "10.0.0.1 - - [27/Nov/2026:04:23:34 +0000] \"GET / HTTP/1.1\" 410 1 \"-\" \"-\" id=aa host=\"a.test\" \
                server_port=8082\n";
    let setup = Setup::full(config).file("requests.log", line);
    let (ok, text) = said(&setup, &["explain", "--log", "requests.log", "conf/test.conf", "aa"]);
    assert!(ok && text.contains("listener   127.0.0.1:8082") && text.contains("answer     410"), "{text}");
    assert!(!text.contains("doubt"), "{text}");
}

/// Every kind of answer over 399 that a client can cause, one location each.
const REFUSING: &str = r#"%%PREAMBLE%%
events { }
http {
    log_format traced '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" id=$request_id host="$http_host"';
    access_log logs/access.log traced;
    limit_req_zone $request_uri zone=each:1m rate=1r/m;
    map $http_user_agent $is_bot { default 0; ~bot 1; }
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name a.test;
        root %%DIR%%/html;
        location /limited { limit_req zone=each; }
        location /dead { proxy_pass http://127.0.0.1:9; }
        location /passed { proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /closed { deny all; }
        location /locked { auth_basic "x"; auth_basic_user_file %%DIR%%/users; }
        location /small { allowed_methods GET POST; client_max_body_size 5; }
        location /bots { if ($is_bot) { return 429; } }
        location /pages { valid_referers none *.a.test; if ($invalid_referer) { return 403; } }
        location /teapot { return 418; }
        location /page { error_page 404 /page.html; }
        location /asked { auth_request /no; }
        location = /no { internal; return 401; }
        location /told { auth_request /dead; }
        location /fast { fastcgi_pass 127.0.0.1:9; }
        location /simple { scgi_pass 127.0.0.1:9; }
        location /program { root %%DIR%%; cgi_pass on; }
        location /store/ { root %%DIR%%; upload_store %%DIR%%/store; allowed_methods PUT DELETE; upload_on_duplicate error; }
        location /full/ { upload_store %%DIR%%/store; allowed_methods PUT; upload_min_free 8589934591g; }
        location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; }
        location /cycle { rewrite ^ /cycle last; }
        location /tried { try_files $uri =404; }
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name b.test;
        return 301 http://b.test:%%PORT2%%$request_uri;
    }
    server {
        listen 127.0.0.1:%%PORT2%%;
        server_name b.test;
        location /second { deny all; }
        location /second/dead { proxy_pass http://127.0.0.1:9; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        server_name other;
        location / { return 404; }
        location /passed/busy { return 503; }
    }
}
"#;

/// Of some requests, what the line has that decided.
const DECIDERS: [(&str, &str); 13] = [
    ("GET /limited/a", "location /limited"),
    ("GET /closed", "location /closed"),
    ("GET /locked", "location /locked"),
    ("GET /asked", "location = /no"),
    ("GET /told", "auth_request /dead"),
    ("GET /fast", "fastcgi_pass"),
    ("GET /simple", "scgi_pass"),
    ("GET /program/p", "location /program"),
    ("PUT /full/x", "upload_min_free"),
    ("COPY /dav/x", "dav_methods"),
    ("GET /tried", "try_files"),
    // The name is served at two ports: one redirects.
    ("GET /second", "location /second {"),
    ("GET /second/dead", "location /second/dead"),
];

#[test]
fn every_live_answer_over_399_is_traced_to_its_line() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup =
        Setup::full(REFUSING).file("html/page.html", "page").file("html/small/f", "f").file("users", "a:{PLAIN}b\n");
    let setup = setup.file("store/have", "x").mode("store", 0o777).file("program/p", "#!/bin/sh\nexit 3\n");
    let server = setup.mode("program/p", 0o755).allow_log("").start();
    let port = server.port();
    let sent = |at: usize, bytes: String| {
        let mut client = server.client_at(at);
        client.send(bytes);
        // What is not answered is in the log all the same.
        let _ = client.try_response(false);
    };
    for target in ["/second", "/second/dead"] {
        sent(2, format!("GET {target} HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n"));
    }
    for (host, head, body) in [
        ("a.test", "GET /none HTTP/1.1\r\n", ""),
        ("a.test", "GET /page/none HTTP/1.1\r\n", ""),
        ("a.test", "GET /limited/a HTTP/1.1\r\n", ""),
        ("a.test", "GET /limited/a HTTP/1.1\r\n", ""),
        ("a.test", "GET /dead HTTP/1.1\r\n", ""),
        ("a.test", "GET /passed/x HTTP/1.1\r\n", ""),
        ("a.test", "GET /passed/busy HTTP/1.1\r\n", ""),
        ("a.test", "GET /closed HTTP/1.1\r\n", ""),
        ("a.test", "GET /locked HTTP/1.1\r\n", ""),
        ("a.test", "POST /small/x HTTP/1.1\r\nContent-Length: 9\r\n", "123456789"),
        ("a.test", "POST /small/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "9\r\n123456789\r\n0\r\n\r\n"),
        ("a.test", "DELETE /small/f HTTP/1.1\r\n", ""),
        ("a.test", "BREW / HTTP/1.1\r\n", ""),
        ("a.test", "GET /bots HTTP/1.1\r\nUser-Agent: a bot\r\n", ""),
        ("a.test", "GET /pages HTTP/1.1\r\nReferer: http://b.test/\r\n", ""),
        ("a.test", "GET /teapot?\"x HTTP/1.1\r\n", ""),
        ("a.test", "GET /page.html HTTP/1.1\r\nIf-Match: \"no\"\r\n", ""),
        ("a.test", "GET /page.html HTTP/1.1\r\nRange: bytes=99-\r\n", ""),
        ("a.test", "GET /%zz HTTP/1.1\r\n", ""),
        ("a.test", "GET /../../x HTTP/1.1\r\n", ""),
        ("a.test", "GET http://a.test/none HTTP/1.1\r\n", ""),
        ("a.test", "GET / HTTP/9.1\r\n", ""),
        ("a.test", "nonsense\r\n", ""),
        ("a.test", "\u{16}\u{3}\u{1}\r\n", ""),
        ("a.test", "GET / HTTP/1.1\r\nHost: b\r\n", ""),
        (&format!("a.test:{port}"), "GET /closed/y HTTP/1.1\r\n", ""),
        ("a.test", "GET /asked HTTP/1.1\r\n", ""),
        ("a.test", "GET /told HTTP/1.1\r\n", ""),
        ("a.test", "GET /fast HTTP/1.1\r\n", ""),
        ("a.test", "GET /simple HTTP/1.1\r\n", ""),
        ("a.test", "GET /program/p HTTP/1.1\r\n", ""),
        ("a.test", "GET /program/none HTTP/1.1\r\n", ""),
        ("a.test", "PUT /store/have HTTP/1.1\r\nIf-None-Match: *\r\nContent-Length: 1\r\n", "x"),
        ("a.test", "DELETE /store/none HTTP/1.1\r\n", ""),
        ("a.test", "PUT /full/x HTTP/1.1\r\nContent-Length: 1\r\n", "x"),
        ("a.test", "PUT /dav/no/x HTTP/1.1\r\nContent-Length: 1\r\n", "x"),
        ("a.test", "COPY /dav/x HTTP/1.1\r\n", ""),
        ("a.test", "GET /cycle HTTP/1.1\r\n", ""),
        ("a.test", "GET /tried HTTP/1.1\r\n", ""),
        ("b.test", "GET http://b.test/second HTTP/1.1\r\nExpect: x\r\n", ""),
    ] {
        sent(0, format!("{head}Host: {host}\r\nConnection: close\r\n\r\n{body}"));
    }
    let log = server.await_file("logs/access.log", |text| text.lines().count() >= 44);
    let mut missed = Vec::new();
    let mut count = 0;
    for line in log.lines() {
        let status = line.split("\" ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let id = line.split("id=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
        if !status.starts_with(['4', '5']) {
            continue;
        }
        count += 1;
        let mut command = std::process::Command::new(crate::harness::binary());
        command.args(["explain", "--log", "logs/access.log", "conf/test.conf", id]).current_dir(server.path(""));
        let out = command.output().expect("the binary runs");
        let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        let is_said = |subject: &str| {
            text.lines()
                .any(|line| line.strip_prefix(subject).is_some_and(|rest| rest.trim_start().starts_with(status)))
        };
        if !out.status.success() || !(is_said("answer") || is_said("logged")) || !text.contains("test.conf:") {
            missed.push(format!("{line}\n{text}"));
        }
        // The line that decided, of those that have one of their own.
        for (_, directive) in DECIDERS.iter().filter(|(request, _)| line.contains(&format!("\"{request} HTTP"))) {
            let at = REFUSING.lines().position(|line| line.contains(directive)).expect("a line") + 1;
            if !text.contains(&format!("conf/test.conf:{at}]")) {
                missed.push(format!("{line}: not by line {at}\n{text}"));
            }
        }
    }
    assert!(missed.is_empty() && count >= 41, "{} of {count}:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn two_configurations_are_compared_by_what_was_asked() {
    if skip_on_nginx("diff") {
        return;
    }
    let setup = setup();
    let (ok, _) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(ok);
    let new = std::fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
    let new =
        format!("# moved down a line\n{}", new.replace("301 /y", "302 /y").replace("127.0.0.1:9;", "127.0.0.1:10;"));
    std::fs::write(setup.dir().join("new.conf"), new).expect("written");
    let (ok, text) = said(&setup, &["diff", "conf/test.conf", "new.conf", "--log", "requests.log"]);
    assert!(ok && text.ends_with("2 of 4 recorded requests would be answered differently\n"), "{text}");
    for part in ["GET /x\n", "301 Moved", "302 Found", "GET /p/1\n", "127.0.0.1:9\n", "127.0.0.1:10\n", "new.conf:5]"] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    // Without a log it is the directives that are compared.
    let (ok, text) = said(&setup, &["diff", "conf/test.conf", "new.conf"]);
    for part in [
        "location /x\n",
        "return 301 /y;  conf/test.conf:",
        "return 302 /y;  new.conf:",
        " changes of the configuration\n",
        "--log LOG",
    ] {
        assert!(ok && text.contains(part), "{part:?}: {text}");
    }
    assert!(!text.contains("/closed"), "{text}");
    let (_, text) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(text.starts_with("no directive differs (comments, "), "{text}");
}

/// What differs by the moment or by chance differs in no answer, and what an upstream does not see in none of its own.
#[test]
fn what_an_upstream_is_asked_and_what_is_added_to_its_answer_are_compared() {
    if skip_on_nginx("diff") {
        return;
    }
    let config = "map $uri $kind { default a; }\nserver { listen 127.0.0.1:%%PORT%%; set $unused 1;\n\
                  location / { add_header X-Id \"$request_id $msec\"; expires 1h; return 200 x; }\n\
                  location /p { proxy_pass http://127.0.0.1:9; proxy_set_header X-Id $request_id; add_header X-A 1; }\n\
                  location /f { fastcgi_pass 127.0.0.1:9; fastcgi_param A $kind; }\n}\n";
    let setup = Setup::full(config);
    let (ok, _) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(ok);
    let old = std::fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
    std::fs::write(setup.dir().join("old.conf"), &old).expect("written");
    let line = |path| format!("::1 - - [t] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"-\"\n");
    std::fs::write(setup.dir().join("log"), ["/", "/p", "/f"].map(line).concat()).expect("written");
    for (name, new, count, shown) in [
        ("nothing", old.clone(), 0, ""),
        ("a variable that is never used", old.replace("set $unused 1;", ""), 0, ""),
        (
            "a field that is sent",
            old.replace("proxy_set_header", "proxy_set_header X-B b; proxy_set_header"),
            1,
            "X-B: b",
        ),
        ("a field that is added", old.replace("add_header X-A 1", "add_header X-A 2"), 1, "X-A: 2"),
        ("a field that is left out", old.replace("add_header X-A", "proxy_hide_header X-C; add_header X-A"), 1, "x-c"),
        (
            "a field that is passed",
            old.replace("add_header X-A", "proxy_pass_header Server; add_header X-A"),
            1,
            "server",
        ),
        (
            "a field that is passed anyway",
            old.replace("add_header X-A", "proxy_pass_header X-C; add_header X-A"),
            0,
            "",
        ),
        (
            "a field that is left out and passed",
            old.replace("add_header X-A", "proxy_hide_header X-C; proxy_pass_header x-c; add_header X-A"),
            0,
            "",
        ),
        (
            "a redirect that is rewritten",
            old.replace("add_header X-A", "proxy_redirect http://a/ /b/; add_header X-A"),
            1,
            "http://a/ /b/",
        ),
        (
            "the redirect that is rewritten anyway",
            old.replace("add_header X-A", "proxy_redirect http://127.0.0.1:9/ /; add_header X-A"),
            0,
            "",
        ),
        ("no redirect rewritten", old.replace("add_header X-A", "proxy_redirect off; add_header X-A"), 1, "redirects"),
        (
            "a cookie's path",
            old.replace("add_header X-A", "proxy_cookie_path ~*^/(a)/ /$1; add_header X-A"),
            1,
            "path ~*^/(a)/ /$1",
        ),
        (
            "a cookie's flags",
            old.replace("add_header X-A", "proxy_cookie_flags a secure; add_header X-A"),
            1,
            "flags a secure",
        ),
        ("the body", old.replace("proxy_set_header", "proxy_set_body $uri; proxy_set_header"), 1, "body       /p"),
        (
            "no body of a request without one",
            old.replace("proxy_set_header", "proxy_pass_request_body off; proxy_set_header"),
            0,
            "",
        ),
        ("the method", old.replace("proxy_set_header", "proxy_method POST; proxy_set_header"), 1, "method: POST"),
        ("the value of a parameter", old.replace("default a;", "default b;"), 1, "A: b"),
    ] {
        std::fs::write(setup.dir().join("new.conf"), new).expect("written");
        let (ok, text) = said(&setup, &["diff", "old.conf", "new.conf", "--log", "log"]);
        let end = format!("{count} of 3 recorded requests would be answered differently\n");
        assert!(ok && text.ends_with(&end) && text.contains(shown), "{name}: {text}");
    }
}

#[test]
fn a_request_that_came_to_two_ports_is_compared_for_both() {
    if skip_on_nginx("diff") {
        return;
    }
    let config = "server { listen 127.0.0.1:%%PORT%%; location / { return 200 first; } }\n\
                  server { listen 127.0.0.1:%%PORT1%%; location / { return 200 second; } }\n";
    let setup = Setup::full(config);
    let (ok, _) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(ok);
    // Each run has ports of its own: both files stay as they are.
    let old = std::fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
    std::fs::write(setup.dir().join("old.conf"), &old).expect("written");
    let ports: Vec<&str> =
        old.split("listen 127.0.0.1:").skip(1).map(|rest| rest.split(';').next().unwrap_or_default()).collect();
    let lines: String = [0, 1, 0, 1]
        .iter()
        .map(|at| format!("::1 - - [t] \"GET /x HTTP/1.1\" 200 5 \"-\" \"-\" server_port={}\n", ports[*at]))
        .collect();
    std::fs::write(setup.dir().join("two.log"), lines).expect("written");
    for (name, new, count) in [
        ("the second", old.replace("200 second", "200 other"), 1),
        ("the first", old.replace("200 first", "200 other"), 1),
        ("both", old.replace("return 200", "return 410"), 2),
    ] {
        std::fs::write(setup.dir().join("new.conf"), new).expect("written");
        let (ok, text) = said(&setup, &["diff", "old.conf", "new.conf", "--log", "two.log"]);
        let end = format!("{count} of 2 recorded requests would be answered differently\n");
        assert!(ok && text.ends_with(&end), "{name}: {text}");
        for (at, port) in ports.iter().enumerate() {
            let is_listed = text.contains(&format!("GET /x  by 127.0.0.1:{port}\n"));
            assert_eq!(is_listed, count == 2 || (at == 1) == (name == "the second"), "{name}: {text}");
        }
    }
}

#[test]
fn a_configuration_of_nginx_is_judged_directive_by_directive() {
    if skip_on_nginx("check-nginx") {
        return;
    }
    let fine =
        "worker_processes 4;\nevents { }\nhttp { server { listen 127.0.0.1:%%PORT%%; location / { root /srv; } } }";
    let (ok, text) = said(&Setup::full(fine), &["check-nginx", "conf/test.conf"]);
    assert!(ok && text.contains("ignored    worker_processes in ") && text.contains("test.conf:1: "), "{text}");
    assert!(text.contains("verdict    drop-in"), "{text}");
    let refused =
        "events { }\nhttp {\n  server { listen 127.0.0.1:%%PORT%%; location / { perl x; grpc_pass grpc://a; } } }";
    let (ok, text) = said(&Setup::full(refused), &["check-nginx", "conf/test.conf"]);
    assert!(!ok && text.contains("refused    ") && text.contains("test.conf:3"), "{text}");
    assert!(text.contains("verdict    not yet: 2 "), "{text}");
}

/// The fields of a line have the places that its `log_format` gives them.
#[test]
fn a_log_in_a_format_of_its_own_is_read_by_it() {
    if skip_on_nginx("diff") {
        return;
    }
    for (format, line) in [
        ("$request_id $request_method $host $request_uri $status", "ID GET a.test /x?q=1 301"),
        ("$request_id|$http_host|$request|$status", "ID|a.test|GET /x?q=1 HTTP/1.1|301"),
        (
            "$host $remote_addr [$time_local] \"$request\" $status $request_id",
            "a.test ::1 [t] \"GET /x?q=1 HTTP/1.1\" 301 ID",
        ),
    ] {
        let id = "188f971907a6422799c9ed366495ea85";
        let config = format!(
            "log_format own '{format}';\naccess_log %%DIR%%/own.log own;\n\
             server {{ listen 127.0.0.1:%%PORT%%; server_name other; return 410; }}\n\
             server {{ listen 127.0.0.1:%%PORT%%; server_name a.test; location /x {{ return 301 /y; }} }}\n"
        );
        let setup = Setup::full(&config).file("own.log", format!("{}\n", line.replace("ID", id)));
        let (ok, text) = said(&setup, &["explain", "--log", "own.log", "conf/test.conf", id]);
        assert!(ok && text.contains("GET /x?q=1") && text.contains("301 Moved"), "{format}: {text}");
        assert!(text.starts_with(&format!("line       {}\n", line.replace("ID", id))), "{format}: {text}");
        let old = std::fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
        std::fs::write(setup.dir().join("new.conf"), old.replace("301 /y", "302 /y")).expect("written");
        let (ok, text) = said(&setup, &["diff", "conf/test.conf", "new.conf", "--log", "own.log"]);
        assert!(ok && text.ends_with("1 of 1 recorded requests would be answered differently\n"), "{format}: {text}");
    }
}
