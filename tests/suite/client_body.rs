//! Bodies that are read whole before an upstream is asked: in memory, or in files of client_body_temp_path.

use crate::harness::{BOTH, Server, Setup, Table, noise, ours, server, skip_on_nginx};
use crate::upstream::Upstream;

const BACK: &str = "location /back { return 200 \"$request_method $http_content_length\"; }";

fn variables(s: &Server, target: &str, body: &[u8]) -> (Option<String>, Option<String>) {
    let r = s.method("POST", target, "", body);
    r.is(200);
    let value = |name: &str| r.header(name).map(str::to_owned);
    (value("X-Body"), value("X-File"))
}

#[test]
fn where_a_body_is_kept() {
    let up = Upstream::echo();
    let block = format!(
        "add_header X-Body $request_body; add_header X-File $request_body_file;
         client_body_buffer_size 1k; client_body_temp_path tmp/plain;
         proxy_http_version 1.1;
         {BACK}
         location /mem {{ proxy_pass http://{0}; }}
         location /single {{ client_body_in_single_buffer on; proxy_pass http://{0}; }}
         location /on {{ client_body_in_file_only on; proxy_pass http://{0}; }}
         location /clean {{ client_body_in_file_only clean; proxy_pass http://{0}; }}
         location /levels {{ client_body_in_file_only on; client_body_temp_path tmp/levels 1 2; proxy_pass http://{0}; }}
         location /stream {{ client_body_in_file_only on; proxy_request_buffering off; proxy_pass http://{0}; }}
         location /local {{ client_body_in_file_only on; return 200 ok; }}
         location /unread {{ proxy_pass_request_body off; proxy_set_header Content-Length \"\"; proxy_pass http://{0}; }}
         location /made {{ proxy_set_body \"<$request_body>\"; proxy_pass http://{0}; }}",
        up.address
    );
    let s = server(&block).mkdir("tmp").start();
    let files = |path: &str| {
        let found = s.snapshot(path).into_iter().filter(|(_, content)| content != "directory");
        found.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let mut table = Table::new("where a body is kept");
    table.row(BOTH, "the directories are made at the start", || {
        s.get("/back").is(200);
        assert!(s.path("tmp/plain").is_dir() && s.path("tmp/levels").is_dir());
    });
    for target in ["/mem", "/single"] {
        table.row(BOTH, &format!("{target}: a small body"), || {
            assert_eq!(variables(&s, target, b"small"), (Some("small".into()), None));
        });
        table.row(BOTH, &format!("{target}: a quarter more than the buffer"), || {
            let (body, file) = variables(&s, target, &[b'x'; 1200]);
            assert_eq!((body.map(|b| b.len()), file), (Some(1200), None));
        });
        table.row(BOTH, &format!("{target}: more than that"), || {
            let (body, file) = variables(&s, target, &noise(50_000));
            assert_eq!(body, None);
            assert!(file.expect("a file").contains("/tmp/plain/0000"));
            assert_eq!(files("tmp/plain"), [""; 0], "its name is gone at once");
        });
    }
    table.row(BOTH, "no body", || {
        let r = s.get("/on");
        r.lacks("X-Body").lacks("X-File");
    });
    table.row(BOTH, "on keeps the file", || {
        let (body, file) = variables(&s, "/on", b"to be kept");
        assert_eq!(body, None);
        assert_eq!(std::fs::read(file.expect("a file")).expect("it is there"), b"to be kept");
        assert_eq!(files("tmp/plain").len(), 1);
    });
    table.row(BOTH, "on, an empty body", || {
        let (_, file) = variables(&s, "/on", b"");
        assert_eq!(std::fs::read(file.expect("a file")).expect("it is there"), b"");
    });
    table.row(BOTH, "clean removes it", || {
        let before = files("tmp/plain").len();
        let mut client = s.client();
        let r = client.request(b"POST /clean HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nclean");
        let file = r.header("X-File").expect("a file").to_owned();
        // The next answer of the connection follows the end of that request.
        client.request(b"GET /back HTTP/1.1\r\nHost: localhost\r\n\r\n").is(200);
        assert!(!std::path::Path::new(&file).exists());
        assert_eq!(files("tmp/plain").len(), before);
    });
    table.row(BOTH, "levels", || {
        let (_, file) = variables(&s, "/levels", b"deep");
        let file = file.expect("a file");
        let (rest, name) = file.rsplit_once('/').expect("a path");
        assert!(rest.ends_with(&format!("/tmp/levels/{}/{}", &name[9..], &name[7..9])), "{file}");
        assert_eq!(std::fs::read(&file).expect("it is there"), b"deep");
    });
    table.row(BOTH, "unbuffered: no file", || {
        let before = files("tmp/plain").len();
        assert_eq!(variables(&s, "/stream", b"streamed").1, None);
        assert_eq!(files("tmp/plain").len(), before);
    });
    table.row(BOTH, "it is not read: no file", || {
        assert_eq!(variables(&s, "/local", b"unread"), (None, None));
    });
    table.row(BOTH, "read, though not passed", || {
        assert_eq!(variables(&s, "/unread", b"read"), (Some("read".into()), None));
        assert_eq!(up.last().body, b"");
    });
    table.row(BOTH, "part of another body", || {
        s.method("POST", "/made", "", b"inside").is(200);
        assert_eq!(up.last().body, b"<inside>");
    });
    for target in ["/mem", "/on", "/clean", "/levels", "/stream"] {
        table.row(BOTH, &format!("{target}: every byte arrives"), || {
            let body = noise(700_001);
            s.method("PUT", target, "", &body).is(200);
            let seen = up.last();
            assert_eq!(seen.all("content-length"), ["700001"]);
            assert!(seen.body == body);
        });
    }
    table.row(BOTH, "chunks become a length", || {
        let body = noise(30_000);
        let mut request = b"POST /mem HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(7000) {
            request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            request.extend_from_slice(piece);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        s.send(&request).is(200);
        let seen = up.last();
        assert_eq!((seen.all("content-length"), seen.all("transfer-encoding")), (vec!["30000"], vec![]));
        assert!(seen.body == body);
    });
}

#[test]
fn a_second_server_gets_the_same_file() {
    let (dead, up) = (Upstream::start(|peer| drop(peer.head())), Upstream::echo());
    let s = crate::harness::http(&format!(
        "upstream u {{ server {}; server {} backup; }}
         server {{ listen 127.0.0.1:%%PORT%%; client_body_buffer_size 1k; client_body_temp_path tmp;
             location / {{ proxy_pass http://u; }} }}",
        dead.address, up.address
    ))
    .start();
    let body = noise(300_000);
    s.method("PUT", "/x", "", &body).is(200);
    assert_eq!((dead.connections(), up.connections()), (1, 1));
    assert!(up.last().body == body, "the second server got another body");
}

#[test]
fn paths_that_cannot_be() {
    let setup = |path: &str| server(&format!("client_body_temp_path {path};"));
    let mut table = Table::new("client_body_temp_path");
    let verdict = |setup: Setup| {
        let prefix = format!("{}/", setup.dir().display());
        let out = setup.run(&["-t", "-p", &prefix, "-c", "conf/test.conf"]);
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for (path, ok) in [("a 1 2 3", true), ("b 3 3 4", true), ("c 4 4 4", false), ("d 0", false), ("e x", false)] {
        table.row(BOTH, path, || {
            let (success, said) = verdict(setup(path));
            assert_eq!(success, ok, "{said}");
        });
    }
    table.row(BOTH, "no parent", || {
        let (success, said) = verdict(setup("none/here"));
        assert!(!success && said.contains("mkdir()") && said.contains("failed (2:"), "{said}");
    });
    table.row(BOTH, "an unknown word", || {
        assert!(!verdict(server("client_body_in_file_only always;")).0);
    });
}

#[test]
fn a_full_disk_is_told() {
    if skip_on_nginx("nginx says 500") {
        return;
    }
    let up = Upstream::echo();
    let s = server(&format!(
        "client_body_buffer_size 1k; client_body_temp_path tmp/gone; location / {{ proxy_pass http://{}; }}",
        up.address
    ))
    .mkdir("tmp")
    .allow_log("[crit]")
    .start();
    s.method("POST", "/", "", b"small").is(200);
    // A file where the directory was: nothing can be made in it, not even by root.
    std::fs::remove_dir(s.path("tmp/gone")).expect("it is empty");
    std::fs::write(s.path("tmp/gone"), b"").expect("a file");
    let mut table = Table::new("no room for a body");
    table.row(ours("the directory is gone"), "500, and the connection ends", || {
        s.method("POST", "/", "", &noise(20_000)).is(500);
        assert!(s.error_log().contains("open() \"") && s.error_log().contains("tmp/gone/0000"));
    });
    table.row(BOTH, "others are served on", || {
        s.method("POST", "/", "", b"small").is(200);
    });
    assert_eq!(up.requests().len(), 2);
}
