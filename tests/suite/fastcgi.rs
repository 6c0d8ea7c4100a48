//! fastcgi_pass, black-box: php-fpm as real sites use it, and an application of our own that breaks the protocol.

use crate::harness::{BOTH, Server, Setup, Table, eventually, noise, ours, server};
use crate::table::skipped;
use crate::upstream::{Peer, Upstream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const PHP_FPM: &str = "/usr/sbin/php-fpm8.2";

/// php-fpm with a few children; gone when dropped.
struct Fpm {
    child: Child,
    socket: PathBuf,
}

impl Fpm {
    /// None: it is not installed.
    fn start(setup: &Setup) -> Option<Fpm> {
        if !std::path::Path::new(PHP_FPM).exists() {
            skipped("php-fpm8.2 is not installed");
            return None;
        }
        let dir = setup.dir();
        let socket = dir.join("fpm.sock");
        let user = if crate::os::is_root() { "user = root\ngroup = root\n" } else { "" };
        let config = format!(
            "[global]\nerror_log = {0}/fpm.log\ndaemonize = no\n[www]\n{user}listen = {0}/fpm.sock\nlisten.mode = 0666\n\
             pm = static\npm.max_children = 3\ncatch_workers_output = no\nphp_admin_value[upload_tmp_dir] = {0}\n\
             php_admin_value[post_max_size] = 64M\nphp_admin_value[log_errors] = on\nphp_admin_value[error_log] =\n",
            dir.display()
        );
        std::fs::write(dir.join("fpm.conf"), config).expect("a writable directory");
        let child = Command::new(PHP_FPM)
            .args(["-n", "-R", "-F", "-y"])
            .arg(dir.join("fpm.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("php-fpm starts");
        let fpm = Fpm { child, socket };
        eventually("php-fpm listens", || UnixStream::connect(&fpm.socket).is_ok());
        Some(fpm)
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // Killed, it would leave its children behind.
        crate::os::kill(self.child.id(), 15);
        let _ = self.child.wait();
    }
}

const PARAMS: &str = "
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_param SCRIPT_NAME $fastcgi_script_name;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_param QUERY_STRING $query_string;
    fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param REQUEST_URI $request_uri;
    fastcgi_param CONTENT_TYPE $content_type;
    fastcgi_param CONTENT_LENGTH $content_length;
    fastcgi_param SERVER_PROTOCOL $server_protocol;
    fastcgi_param REDIRECT_STATUS 200;
    fastcgi_param HTTPS $https if_not_empty;";

#[test]
fn php_sites_are_served() {
    let setup = server(&format!(
        "index index.php index.html; client_max_body_size 64m; {PARAMS}
         fastcgi_pass_header X-Accel-Expires;
         location / {{ try_files $uri $uri/ /index.php?q=$uri&$args; }}
         location ~ \\.php$ {{ try_files $uri =404; fastcgi_index index.php; fastcgi_pass unix:%%DIR%%/fpm.sock; }}
         location ~ ^/info/.+\\.php {{
             fastcgi_split_path_info ^(.+?\\.php)(/.*)$; fastcgi_pass unix:%%DIR%%/fpm.sock;
         }}
         location ^~ /streamed/ {{ fastcgi_request_buffering off; fastcgi_pass unix:%%DIR%%/fpm.sock; }}
         location ^~ /errors/ {{ fastcgi_intercept_errors on; error_page 404 /sorry.html; fastcgi_pass unix:%%DIR%%/fpm.sock; }}
         location /inside/ {{ internal; }}"
    ));
    let sources = [
        ("index.php", "front <?= $_GET['q'] ?? '-' ?>"),
        ("hello.php", "<?php header('X-Php: ' . PHP_SAPI); echo 'hello ', $_SERVER['REQUEST_METHOD'];"),
        ("info/show.php", "<?= $_SERVER['SCRIPT_NAME'], '|', $_SERVER['PATH_INFO'] ?? '' ?>"),
        ("form.php", "<?= $_POST['name'] ?? '?', ' ', strlen(file_get_contents('php://input')) ?>"),
        ("streamed/sum.php", "<?= md5(file_get_contents('php://input')) ?>"),
        ("sum.php", "<?= md5(file_get_contents('php://input')), ' ', $_SERVER['CONTENT_LENGTH'] ?>"),
        ("large.php", "<?php for ($i = 0; $i < 4000; $i++) echo str_repeat('0123456789', 100);"),
        (
            "env.php",
            "<?= json_encode([getenv('HTTP_PROXY'), $_SERVER['HTTP_PROXY'] ?? null, $_SERVER['HTTP_A_B'] ?? null, $_SERVER['HTTP_HOST']]) ?>",
        ),
        ("status.php", "<?php http_response_code(418); echo 'tea';"),
        ("moved.php", "<?php header('Location: /hello.php');"),
        ("sendfile.php", "<?php header('X-Accel-Redirect: /inside/secret.txt');"),
        ("errors/none.php", "<?php http_response_code(404); echo 'raw';"),
        ("noise.php", "<?php error_log('a word for the log'); echo 'fine';"),
        ("die.php", "<?php file_put_contents(__DIR__ . '/pid', getmypid() . '.'); sleep(20);"),
        ("sorry.html", "sorry"),
        ("inside/secret.txt", "secret"),
        ("evil.jpg", "<?= 'executed' ?>"),
    ];
    let mut setup = setup;
    for (path, text) in sources {
        setup = setup.file(&format!("html/{path}"), text);
    }
    let setup = setup.allow_log("FastCGI sent in stderr").allow_log("reading response header");
    let Some(_fpm) = Fpm::start(&setup) else { return };
    let s = setup.start();
    let mut table = Table::new("php-fpm");
    for (name, target, status, body) in [
        ("a script", "/hello.php", 200, "hello GET"),
        ("the index", "/", 200, "front -"),
        ("a front controller", "/a/pretty/name?x=1", 200, "front /a/pretty/name"),
        ("a script that is not there", "/none.php", 404, ""),
        ("path info", "/info/show.php/a/b", 200, "/info/show.php|/a/b"),
        ("no path info", "/info/show.php", 200, "/info/show.php|"),
        ("a status", "/status.php", 418, "tea"),
        ("an error page", "/errors/none.php", 404, "sorry"),
        ("X-Accel-Redirect", "/sendfile.php", 200, "secret"),
        ("an upload with a script behind it is no script", "/evil.jpg/x.php", 404, ""),
    ] {
        table.row(BOTH, name, || {
            let response = s.get(target);
            response.is(status);
            if !body.is_empty() {
                response.contains(body);
            }
        });
    }
    table.row(BOTH, "headers of a script", || {
        s.get("/hello.php").has("X-Php", "fpm-fcgi").lacks("Status");
        s.get("/moved.php").is(302).has("Location", "/hello.php");
    });
    table.row(ours("no path here holds a line break"), "a line break in path info", || {
        s.get("/info/show.php%0a/x").is(400);
    });
    table.row(BOTH, "HEAD", || {
        s.method("HEAD", "/hello.php", "", b"");
    });
    table.row(BOTH, "a form", || {
        let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
        s.method("POST", "/form.php", fields, b"name=Ada").is(200).contains("Ada 8");
    });
    let large = noise(3 << 20);
    table.row(BOTH, "a large body", || {
        let sum = s.method("POST", "/sum.php", "Content-Type: x/y\r\n", &large).is(200).text();
        assert!(sum.ends_with(&format!(" {}", large.len())), "{sum}");
        s.method("POST", "/streamed/sum.php", "Content-Type: x/y\r\n", &large).is(200).contains(&sum[..32]);
    });
    table.row(BOTH, "a body in chunks has a length", || {
        let chunked = "POST /sum.php HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        s.send(chunked).is(200).contains("ab56b4d92b40713acc5af89985d4b786 5");
    });
    table.row(ours("nginx tells it no length: it reads nothing"), "a body in chunks that is not buffered", || {
        let mut client = s.client();
        client.send("POST /streamed/sum.php HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        client.send("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.bytes(25), b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        client.response().is(200).contains("ab56b4d92b40713acc5af89985d4b786");
    });
    table.row(BOTH, "a large answer", || {
        assert_eq!(s.get("/large.php").is(200).body.len(), 4_000_000);
    });
    table.row(ours("httpoxy: nginx passes Proxy on"), "Proxy is not passed on", || {
        s.get_with("/env.php", "Proxy: evil\r\nA-B: c\r\n").is(200).contains("[false,null,\"c\",");
    });
    table.row(BOTH, "STDERR goes to the error log", || {
        s.get("/noise.php").is(200).contains("fine");
        s.await_file("logs/error.log", |log| {
            log.contains("FastCGI sent in stderr: \"PHP message: a word for the log\"")
        });
    });
    table.row(BOTH, "a child that dies is a 502", || {
        let mut client = s.client();
        client.send("GET /die.php HTTP/1.1\r\nHost: a\r\n\r\n");
        let pid = s.await_file("html/pid", |text| text.ends_with('.'));
        crate::os::kill(pid.trim_end_matches('.').parse().expect("a process"), 9);
        client.response().is(502);
    });
}

/// Reads a request and answers with these bytes.
fn answer(peer: &mut Peer, bytes: &[u8]) {
    while let Some(header) = peer.take(8) {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]])) + usize::from(header[6]);
        if peer.take(length).is_none() {
            return;
        }
        if header[1] == 5 && length == 0 {
            break;
        }
    }
    peer.send(bytes);
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

#[test]
fn an_application_that_breaks_the_protocol_is_a_bad_gateway() {
    let head = b"Content-Type: text/plain\r\n\r\n";
    let end = record(3, &[0; 8]);
    let long = [b"Content-Length: 9\r\n\r\n".as_slice(), b"short"].concat();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("fine", [record(6, &[head, b"ok".as_slice()].concat()), record(6, b""), end.clone()].concat(), 200, ""),
        ("nothing", vec![], 502, "upstream prematurely closed connection while reading response header"),
        ("no head", [record(6, b""), end.clone()].concat(), 502, "upstream prematurely closed FastCGI stdout"),
        ("another version", b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 502, "unsupported FastCGI protocol version: 72"),
        ("another id", [1, 6, 0, 9, 0, 0, 0, 0].to_vec(), 502, "unexpected FastCGI request id low byte: 9"),
        ("too busy", record(3, &[0, 0, 0, 0, 2, 0, 0, 0]), 502, "upstream sent unexpected FastCGI record: 3"),
        ("another type", record(11, &[0; 8]), 502, "upstream sent invalid FastCGI record type: 11"),
        ("two ends", [record(6, &[head, b"ok".as_slice()].concat()), end.clone(), end.clone()].concat(), 200, ""),
        ("words behind the end", [record(6, b"\r\nok"), end.clone(), b"garbage".to_vec()].concat(), 200, ""),
        ("padding", [vec![1, 6, 0, 1, 0, 4, 255, 0], b"\r\nok".to_vec(), vec![7; 255], end.clone()].concat(), 200, ""),
        ("empty STDERR", [record(7, b""), record(6, b"\r\nok"), record(7, b""), end.clone()].concat(), 200, ""),
        ("a status line", [record(6, b"HTTP/1.1 404 No\r\nA: b\r\n\r\nok"), end.clone()].concat(), 200, ""),
        ("a status that is none", record(6, b"Status: abc\r\n\r\n"), 502, "upstream sent invalid status \"abc\""),
        ("words", record(6, b"foo bar\r\n\r\n"), 502, "upstream sent invalid header: \"foo\\x20...\""),
        ("an injected line", record(6, b"A: b\rSet-Cookie: c\r\n\r\n"), 502, "upstream sent invalid header"),
        ("only an end", end.clone(), 502, "upstream sent unexpected FastCGI record: 3"),
        ("a head without end", record(6, &vec![b'x'; 9000]), 502, "upstream sent"),
        ("fewer bytes", [record(6, &long), record(6, b""), end].concat(), 0, "prematurely closed FastCGI stdout"),
    ];
    for (name, bytes, status, log) in cases {
        let up = Upstream::start(move |peer| answer(peer, &bytes));
        let s: Server = server(&format!("fastcgi_param A b; location / {{ fastcgi_pass {}; }}", up.address))
            .allow_log("upstream")
            .start();
        if status == 0 {
            let mut client = s.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.try_response(false).is_err(), "{name}");
        } else {
            assert_eq!(s.get("/").status, status, "{name}");
        }
        if !log.is_empty() {
            s.await_file("logs/error.log", |text| text.contains(log));
        }
    }
}

/// It says when a request is over, and the connection is open for the next: one that just ends was cut.
#[test]
fn an_application_that_keeps_connections_ends_its_records() {
    let end = record(3, &[0; 8]);
    for (name, bytes, is_whole) in [
        ("an end", [record(6, b"\r\nok"), record(6, b""), end].concat(), true),
        ("a length", record(6, b"Content-Length: 2\r\n\r\nok"), true),
        ("no end", [record(6, b"\r\nok"), record(6, b"")].concat(), false),
        ("neither", record(6, b"\r\nok"), false),
    ] {
        let up = Upstream::start(move |peer| answer(peer, &bytes));
        let s =
            server(&format!("fastcgi_param A b; fastcgi_keep_conn on; location / {{ fastcgi_pass {}; }}", up.address))
                .allow_log("upstream prematurely closed connection while reading upstream")
                .start();
        let mut client = s.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.try_response(false).is_ok(), is_whole, "{name}");
    }
}

/// A worker that was killed: half a page must not look whole, or caches in front keep it.
#[test]
fn an_application_that_ends_without_end_request_was_cut() {
    if crate::table::skip_on_nginx("nginx ends the response as if it were whole") {
        return;
    }
    for (name, bytes, is_whole) in [
        ("a length", record(6, b"Content-Length: 2\r\n\r\nok"), true),
        ("the end of STDOUT", [record(6, b"\r\nok"), record(6, b"")].concat(), true),
        ("neither", record(6, b"\r\nok"), false),
    ] {
        let up = Upstream::start(move |peer| answer(peer, &bytes));
        let s = server(&format!("fastcgi_param A b; location / {{ fastcgi_pass {}; }}", up.address))
            .allow_log("upstream prematurely closed FastCGI stdout while reading upstream")
            .start();
        let mut client = s.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.try_response(false).is_ok(), is_whole, "{name}");
    }
}

/// What follows a request would be taken for records: another request, with parameters that the client chooses.
#[test]
fn a_client_writes_no_records_after_a_101() {
    if crate::table::skip_on_nginx("nginx passes them on") {
        return;
    }
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = got.clone();
    let up = Upstream::start(move |peer| {
        answer(peer, &record(6, b"Status: 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"));
        while let Some(bytes) = peer.some() {
            seen.lock().expect("no panic while it is held").extend(bytes);
        }
    });
    let s = server(&format!("fastcgi_param A b; location / {{ fastcgi_pass {}; }}", up.address))
        .allow_log("101 where no other protocol was asked for")
        .start();
    let mut client = s.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.send(record(1, &[0, 1, 0, 0, 0, 0, 0, 0]));
    assert_eq!(client.response().status, 502);
    assert!(got.lock().expect("no panic while it is held").is_empty());
}

/// The first location's upstream was given its end; the second one's, to which its X-Accel-Redirect leads, waits for an
/// end, too.
#[test]
fn an_empty_body_that_was_passed_on_ends_for_the_next_upstream_too() {
    let next = "X-Accel-Redirect: /next\r\n";
    let http = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let line = if request.target() == "/next" { "" } else { next };
            peer.send(format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 0\r\n\r\n").as_bytes());
        }
    });
    let end = record(3, &[0; 8]);
    let (first, last) = ([record(6, format!("{next}\r\n").as_bytes()), end.clone()], [record(6, b"\r\n"), end]);
    let asked = Upstream::start(move |peer| answer(peer, &first.concat()));
    let ends = Upstream::start(move |peer| answer(peer, &last.concat()));
    let mut table = Table::new("empty bodies that are passed on twice");
    for (kind, there, then) in [("proxy", &http, &http), ("fastcgi", &asked, &ends)] {
        let (scheme, version) = if kind == "proxy" { ("http://", "proxy_http_version 1.1;") } else { ("", "") };
        let s = server(&format!(
            "{version} {kind}_request_buffering off; {kind}_read_timeout 5s; fastcgi_param A b;
             location / {{ {kind}_pass {scheme}{}; }}
             location = /next {{ {kind}_pass {scheme}{}; }}",
            there.address, then.address
        ));
        let s = s.allow_log("upstream timed out").start();
        for body in ["Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            table.row(BOTH, &format!("{kind}, {body:?}"), || {
                let mut client = s.client();
                client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"));
                client.response().is(200);
            });
        }
    }
}
