//! Commands that read logs and other servers' configurations: `explain --log`, `diff`, `check-nginx`. Nothing is started.

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
    assert!(ok && text.ends_with("2 of 4 recorded requests would be answered otherwise\n"), "{text}");
    for part in ["GET /x\n", "301 Moved", "302 Found", "GET /p/1\n", "127.0.0.1:9\n", "127.0.0.1:10\n", "new.conf:5]"] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    let (ok, text) = said(&setup, &["diff", "conf/test.conf", "new.conf"]);
    assert!(ok && text.contains("+     location /x: return 302 /y") && !text.contains("/closed"), "{text}");
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
