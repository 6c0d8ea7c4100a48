//! proxy_store and its like: responses that stay as files, whole or not at all, and nowhere but where they belong.

use crate::harness::{BOTH, LOCKINFO, Server, Setup, Table, eventually, noise, ours, server, skip_on_nginx};
use crate::upstream::Upstream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Answers by the target.
fn upstream() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let target = request.target().to_owned();
            let big = noise(300_000);
            let ok = "HTTP/1.1 200 OK\r\n";
            let answer: Vec<u8> = match &target[target.rfind('/').unwrap_or(0)..] {
                "/dated" => format!("{ok}Last-Modified: {DATE}\r\nContent-Length: 5\r\n\r\ndated").into(),
                "/chunked" => {
                    format!("{ok}Transfer-Encoding: chunked\r\n\r\n4\r\nchun\r\n3;x=y\r\nked\r\n0\r\nX: y\r\n\r\n")
                        .into()
                }
                "/big" => [format!("{ok}Content-Length: {}\r\n\r\n", big.len()).as_bytes(), &big].concat(),
                "/close" => [format!("{ok}Connection: close\r\n\r\n").as_bytes(), &big].concat(),
                "/empty" => format!("{ok}Content-Length: 0\r\n\r\n").into(),
                "/short" => format!("{ok}Content-Length: 10\r\n\r\nshort").into(),
                "/cut" => format!("{ok}Transfer-Encoding: chunked\r\n\r\n9\r\ncut").into(),
                "/missing" => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".into(),
                "/part" => "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\npart".into(),
                "/head" => format!("{ok}Content-Length: 4\r\n\r\n").into(),
                _ => format!("{ok}Content-Length: 5\r\n\r\nplain").into(),
            };
            if !peer.send(&answer) || ["/close", "/short", "/cut"].iter().any(|end| target.ends_with(end)) {
                return;
            }
        }
    })
}

fn setup(block: &str, up: &Upstream) -> Setup {
    server(&block.replace("%%UP%%", &up.address.to_string()))
}

/// Names in a directory, hidden ones too.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn stored(s: &Server, path: &str) -> Vec<u8> {
    // nginx names the file after the response is sent.
    eventually(path, || s.exists(path));
    s.read(path)
}

#[test]
fn responses_stay_as_files() {
    let up = upstream();
    let s = setup(
        "location / { proxy_pass http://%%UP%%; proxy_store on; }
         location /below/ { proxy_pass http://%%UP%%/; proxy_store on; proxy_store_access user:rw group:rw all:r; }
         location /made/ { proxy_pass http://%%UP%%; proxy_store %%DIR%%/store/$host/$arg_name; }
         location /root/ { proxy_pass http://%%UP%%; proxy_store $document_root/kept$uri; }
         location /one { proxy_pass http://%%UP%%; proxy_store %%DIR%%/new/dir/one; }
         location /off/ { proxy_pass http://%%UP%%; proxy_store off; }",
        &up,
    )
    .start();
    let mut table = Table::new("proxy_store");
    let files: &[(&str, Vec<u8>)] = &[
        ("plain", b"plain".to_vec()),
        ("dated", b"dated".to_vec()),
        ("chunked", b"chunked".to_vec()),
        ("empty", Vec::new()),
        ("big", noise(300_000)),
        ("close", noise(300_000)),
    ];
    for (name, body) in files {
        table.row(BOTH, name, || {
            s.get(&format!("/{name}")).is(200).body_is(body);
            assert_eq!(stored(&s, &format!("html/{name}")), *body);
        });
    }
    table.row(BOTH, "with mode and time", || {
        let meta = std::fs::metadata(s.path("html/dated")).expect("stored");
        assert_eq!((meta.permissions().mode() & 0o777, meta.mtime()), (0o600, 784_111_777));
        s.get("/below/new/dir/dated").is(200);
        stored(&s, "html/below/new/dir/dated");
        let mode = |path: &str| std::fs::metadata(s.path(path)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode("html/below/new/dir/dated"), 0o664);
        // Less what the umask takes.
        assert_eq!(mode("html/below/new") & 0o755, 0o755);
    });
    table.row(BOTH, "a stored file takes the place of what was there", || {
        s.write("html/plain", "old");
        s.get("/plain").is(200);
        eventually("it is replaced", || s.read("html/plain") == b"plain");
    });
    table.row(BOTH, "a path with variables", || {
        s.get("/made/x?name=a").is(200);
        assert_eq!(stored(&s, "store/localhost/a"), b"plain");
        s.get("/root/x").is(200);
        assert_eq!(stored(&s, "html/kept/root/x"), b"plain");
        s.get("/one").is(200);
        assert_eq!(stored(&s, "new/dir/one"), b"plain");
    });
    for name in ["missing", "part", "short", "cut", "off/x"] {
        table.row(BOTH, &format!("not stored: {name}"), || {
            let _ = s.client().send(format!("GET /{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).rest();
            s.get("/plain").is(200);
            assert!(!s.exists(&format!("html/{name}")));
        });
    }
    table.row(BOTH, "not stored: an answer to HEAD", || {
        s.client().send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n").response_to_head().is(200);
        s.get("/plain").is(200);
        assert!(!s.exists("html/head"));
    });
    table.row(BOTH, "a client that leaves costs no copy", || {
        let mut client = s.client();
        client.send("GET /gone/big HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the upstream has it", || up.requests().iter().any(|request| request.target() == "/gone/big"));
        client.reset();
        assert_eq!(stored(&s, "html/gone/big"), noise(300_000));
    });
    table.row(ours("there are no files of a moment"), "nothing else is there", || {
        let top = ["below", "big", "chunked", "close", "dated", "empty", "gone", "kept", "plain"];
        let all: Vec<String> = names(&s.path("html")).into_iter().filter(|name| name != "index.html").collect();
        assert_eq!(all, top);
    });
}

/// What a request names never leads out of the directory that the configuration names.
#[test]
fn a_directory_that_a_store_makes_itself_is_not_missing() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    let s = server(&format!("location / {{ proxy_pass http://{}; proxy_store %%DIR%%/made/by/it$uri; }}", up.address))
        .start();
    s.get("/f").is(200);
    s.await_file("made/by/it/f", |content| content == "x");
    assert!(!s.error_log().contains("does not exist"), "{}", s.error_log());
}

#[test]
fn stored_responses_stay_beneath_the_root() {
    let up = upstream();
    let s = setup(
        "location / { proxy_pass http://%%UP%%; proxy_store on; }
         location /made/ { proxy_pass http://%%UP%%; proxy_store %%DIR%%/store/$arg_name; }
         location /bare/ { proxy_pass http://%%UP%%; proxy_store $document_root/$arg_name; }",
        &up,
    )
    .allow_log("[crit]")
    .mkdir("outside")
    .mkdir("store")
    .mkdir("html/dir")
    .file("outside/kept", "kept")
    .link("html/link", "../outside")
    .link("html/file", "../outside/kept")
    .link("store/link", "../outside")
    .start();
    let mut table = Table::new("stores and links");
    table.row(BOTH, "a file of the root", || {
        s.get("/dir/x").is(200);
        assert_eq!(stored(&s, "html/dir/x"), b"plain");
    });
    let rows = [
        ("a link out of the root", "/link/x"),
        ("a link out of what stands before variables", "/made/x?name=link/x"),
        ("a link below $document_root", "/bare/x?name=link/x"),
        ("dots", "/made/x?name=../outside/x"),
        ("dots below $document_root", "/bare/x?name=../outside/x"),
        ("dots that come back", "/made/x?name=a/../b"),
        ("a directory", "/dir"),
        ("no name", "/"),
        ("a name of our own", "/made/x?name=.webserv-x"),
        ("a control character", "/made/%0a/x?name=a%0ab"),
    ];
    for (name, target) in rows {
        table.row(ours("nginx follows links and dots"), name, || {
            s.get(target).is_one_of(&[200, 400]);
            assert_eq!((names(&s.path("outside")), s.read("outside/kept")), (vec!["kept".into()], b"kept".to_vec()));
        });
    }
    table.row(ours("nginx follows links and dots"), "a link that has the name is replaced", || {
        s.get("/file").is(200);
        assert_eq!((s.read("html/file"), s.read("outside/kept")), (b"plain".to_vec(), b"kept".to_vec()));
        assert!(!s.path("html/file").is_symlink());
    });
    table.row(ours("nginx follows links and dots"), "nothing else came to be", || {
        assert_eq!(names(&s.path("store")), ["link"]);
        assert_eq!(names(&s.path("html/dir")), ["x"]);
    });
}

#[test]
fn applications_answers_stay_too() {
    let up = Upstream::start(|peer| {
        if peer.some().is_some() {
            peer.send(b"Status: 200 OK\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nfrom scgi");
        }
    });
    let s = setup(
        "location / { scgi_pass %%UP%%; scgi_param A b; scgi_store on; scgi_store_access user:rw group:r; }",
        &up,
    )
    .start();
    s.get("/file").is(200).body_is("from scgi");
    assert_eq!(stored(&s, "html/file"), b"from scgi");
    let meta = std::fs::metadata(s.path("html/file")).expect("stored");
    assert_eq!((meta.permissions().mode() & 0o777, meta.mtime()), (0o640, 784_111_777));
}

#[test]
fn what_a_store_may_be() {
    let up = Upstream::nowhere();
    let rows: &[(&str, Option<&str>)] = &[
        ("proxy_store on; proxy_store off;", Some("duplicate")),
        ("proxy_store \"\";", Some("empty path")),
        ("proxy_store_access user:x;", Some("invalid value \"user:x\"")),
        ("proxy_cache z; proxy_store on;", Some("\"proxy_store\" directive is incompatible with \"proxy_cache\"")),
        ("proxy_store on; proxy_cache z;", Some("\"proxy_cache\" directive is incompatible with \"proxy_store\"")),
        ("proxy_cache z; location /a { proxy_store on; }", None),
        ("proxy_store /srv/x; location /a { proxy_cache z; }", None),
        ("fastcgi_store on; uwsgi_store off; scgi_store /a$uri; uwsgi_store_access all:r;", None),
    ];
    for (lines, error) in rows {
        let all = format!(
            "proxy_cache_path %%DIR%%/cache keys_zone=z:1m; server {{ listen 127.0.0.1:%%PORT%%; {lines} location / {{ proxy_pass http://{up}; }} }}"
        );
        let output = crate::harness::http(&all).test_config();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match error {
            None => assert!(output.status.success(), "{lines}: {text}"),
            Some(error) => assert!(!output.status.success() && text.contains(error), "{lines}: {text}"),
        }
    }
}

#[test]
fn a_response_that_has_no_room_under_the_quota_is_sent_and_not_stored() {
    let up = upstream();
    let mut table = Table::new("proxy_store under upload_quota");
    for shared in ["", "shared"] {
        table.row(ours("upload_quota"), &format!("upload_quota 12 {shared}"), || {
            let block = format!(
                "location /q/ {{ proxy_pass http://%%UP%%; proxy_store on; upload_quota 12 {shared}; }}
                     location /up/ {{ alias %%DIR%%/html/q/; dav_methods PUT; upload_quota 12 {shared}; }}"
            );
            let s = setup(&block, &up).mkdir("html/q").allow_log("response not stored").start();
            // A response does not wait for a count or a lock: the next one is stored.
            let is_stored = |name: &str| {
                s.get(&format!("/q/{name}")).is(200).body_is("plain");
                s.exists(&format!("html/q/{name}"))
            };
            for name in ["one", "two"] {
                eventually("it is stored", || is_stored(name));
                assert_eq!(stored(&s, &format!("html/q/{name}")), b"plain");
            }
            s.get("/q/three").is(200).body_is("plain");
            eventually("it is in the log", || s.error_log().contains("upload_quota for"));
            assert!(!s.exists("html/q/three"));
            s.method("PUT", "/up/too-much", "", b"12345").is(507);
            s.get("/q/two").is(200);
            s.get("/q/big").is(200).body_is(noise(300_000));
            assert!(!s.exists("html/q/big"));
            std::fs::remove_file(s.path("html/q/one")).expect("removed");
            eventually("there is room again", || is_stored("three"));
            assert_eq!(stored(&s, "html/q/three"), b"plain");
        });
    }
}

/// The upstream goes on only when that is seen: how large it would have become does not matter.
#[test]
fn an_upstream_does_not_fill_the_disk_beyond_the_quota_before_it_ends() {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let up = Upstream::start(move |peer| {
        let Some(request) = peer.request() else { return };
        let announced = request.target().ends_with("/announced");
        let head = if announced { "Content-Length: 2097152" } else { "Connection: close" };
        peer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
        let (first, more) = (noise(2 << 20), if announced { 0 } else { 64 << 10 });
        peer.send(&first[..1 << 20]);
        peer.send(&first[1 << 20..(1 << 20) + more]);
        let _ = gate.lock().map(|gate| gate.recv());
        peer.send(&first[(1 << 20) + more..]);
    });
    let block = "location /q/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 1m; }
                 location /all/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 1g files=1; }";
    let s = setup(block, &up).mkdir("html/q").mkdir("html/all").allow_log("response not stored").start();
    for name in ["announced", "growing"] {
        let line = format!("{name}\": it is larger than the whole quota");
        std::thread::scope(|scope| {
            let client = scope.spawn(|| s.get(&format!("/q/{name}")));
            eventually("it is given up while it comes", || s.error_log().contains(&line));
            go.send(()).expect("the upstream waits");
            client.join().expect("an answer").is(200).body_is(noise(2 << 20));
        });
    }
    // One of another kind of quota is kept.
    go.send(()).expect("the upstream waits");
    s.get("/all/growing").is(200).body_is(noise(2 << 20));
    assert_eq!(stored(&s, "html/all/growing"), noise(2 << 20));
    assert_eq!(names(&s.path("html/q")), Vec::<String>::new());
}

#[test]
fn no_empty_directories_stay_of_a_response_that_has_no_room() {
    let up = upstream();
    let block = "location /q/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 12; }";
    let s = setup(block, &up).mkdir("html/q").allow_log("response not stored").start();
    for name in ["one", "two"] {
        s.get(&format!("/q/{name}")).is(200);
        stored(&s, &format!("html/q/{name}"));
    }
    for name in ["chunked", "plain"] {
        s.get(&format!("/q/new/dir/{name}")).is(200);
        eventually("it is in the log", || s.error_log().contains(&format!("dir/{name}\": the quota")));
    }
    assert_eq!(names(&s.path("html/q")), ["one", "two"]);
}

#[test]
fn a_response_is_not_stored_without_a_quota_where_its_area_cannot_be_known() {
    let up = upstream();
    let block =
        "location /q/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 12; upload_store %%DIR%%/none; }";
    let s = setup(block, &up).mkdir("html/q").allow_log("response not stored").start();
    s.get("/q/one").is(200).body_is("plain");
    eventually("it is in the log", || s.error_log().contains("upload_quota for"));
    assert_eq!(names(&s.path("html/q")), Vec::<String>::new());
}

#[test]
fn the_first_responses_of_a_large_area_are_kept_or_a_warning_says_why_not() {
    let up = upstream();
    let block = "location /q/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 1g files=1000000; }
                 location /r/ { proxy_pass http://%%UP%%; proxy_store on; upload_quota 1g files=1000000; }";
    let s = setup(block, &up).mkdir("html/q").mkdir("html/r").start();
    for (dir, count) in [("q", 1500), ("r", 20_000)] {
        for n in 0..count {
            std::fs::write(s.path(&format!("html/{dir}/{n}")), "").expect("written");
        }
    }
    // The first few thousand names are counted while the response comes.
    s.get("/q/one").is(200);
    assert_eq!(stored(&s, "html/q/one"), b"plain");
    s.get("/r/one").is(200);
    eventually("it is in the log", || s.error_log().contains("is still being counted, response not stored"));
    assert!(!s.error_log().contains("[crit]"));
    eventually("it has been counted", || {
        s.get("/r/two").is(200);
        s.exists("html/r/two")
    });
}

/// It was stored in the moved folder, and nothing was said.
#[test]
fn a_response_is_not_stored_elsewhere_than_its_uri_says() {
    if skip_on_nginx("nginx stores by the path, and makes the folder again") {
        return;
    }
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let up = Upstream::start(move |peer| {
        while peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
            may_go_on.lock().expect("one at a time").recv().expect("the test goes on");
            peer.send(b"half");
        }
    });
    let s = setup("location / { proxy_pass http://%%UP%%; proxy_store on; }", &up)
        .file("html/tree/in/old", "old")
        .allow_log("response not stored")
        .start();
    for target in ["/tree/in/new", "/tree/in/made/new"] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.expect_started();
        std::fs::rename(s.path("html/tree"), s.path("html/away")).expect("renamed");
        go_on.send(()).expect("it waits");
        client.response().is(200).body_is("halfhalf");
        s.await_file("logs/error.log", |log| {
            log.contains(&format!("{target}\": its directory was moved or removed meanwhile, response not stored"))
        });
        assert_eq!(names(&s.path("html/away/in")), ["old"]);
        assert!(!s.exists("html/tree"));
        std::fs::rename(s.path("html/away"), s.path("html/tree")).expect("renamed");
    }
}

/// What another process had ended counted here until it expired, a day later.
#[test]
fn a_response_has_the_room_of_an_upload_that_another_process_ended() {
    if skip_on_nginx("uploads") {
        return;
    }
    let up = upstream();
    let block = |html: &str| {
        format!(
            "location /a/ {{ alias {html}/a/; allowed_methods GET POST DELETE; upload_resumable on; }}
             location /q/ {{ alias {html}/a/; proxy_pass http://%%UP%%; proxy_store on; upload_quota 1000; }}"
        )
    };
    let a = setup(&block("%%DIR%%/html"), &up).mkdir("html/a").start();
    let html = a.path("html");
    let b = setup(&block(&html.display().to_string()), &up).allow_log("response not stored").start();
    let fields = "Tus-Resumable: 1.0.0\r\nUpload-Length: 998\r\nUpload-Metadata: filename eA==\r\n";
    let created = b.method("POST", "/a/", fields, b"");
    let location = created.is(201).header("Location").expect("its URI").to_owned();
    let target = &location[location.find("/a/").expect("a path")..];
    b.get("/q/plain").is(200).body_is("plain");
    eventually("it has no room", || b.error_log().contains("response not stored"));
    a.method("DELETE", target, "Tus-Resumable: 1.0.0\r\n", b"").is(204);
    eventually("it is stored", || {
        b.get("/q/plain").is(200);
        html.join("a/plain").exists()
    });
}

#[test]
fn a_response_replaces_no_file_that_a_client_has_locked_nor_goes_where_nothing_is_shown() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let coding = if request.target().contains("gz") { "Content-Encoding: gzip\r\n" } else { "" };
            if !peer.send(format!("HTTP/1.1 200 OK\r\n{coding}Content-Length: 5\r\n\r\nstore").as_bytes()) {
                return;
            }
        }
    });
    let text = "dav_ext_lock_zone zone=locks:1m;
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location /d/ { dav_methods PUT; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=locks; }
             location /r/ { allowed_methods GET POST; upload_resumable on; upload_state_store %%DIR%%/html/State; }
             location /gz { proxy_pass http://%%UP%%; proxy_store %%DIR%%/html/$arg_n; }
             location /get { proxy_pass http://%%UP%%; proxy_store %%DIR%%/html/$arg_n; } }";
    let s = crate::harness::http(&text.replace("%%UP%%", &up.address.to_string()))
        .file("html/d/f", "mine")
        .file("html/State/x.state", "a record")
        .file("html/folder/x", "x")
        .link("html/d/folder", "../folder")
        .allow_log("response not stored")
        .start();
    s.method("LOCK", "/d/f", "", LOCKINFO).is(200);
    s.method("LOCK", "/d/free", "", LOCKINFO).is(201);
    let lines = |why: &str| s.error_log().lines().filter(|line| line.contains(why)).count();
    let rows = [
        ("/get", "d/f", "is locked by a client, response not stored"),
        ("/get", "d/free", "is locked by a client, response not stored"),
        ("/get", "State/x.state", "is no path for a response to be stored at"),
        ("/get", "d/folder", "rename() to"),
        ("/gz", "page.html", "the response has \"Content-Encoding: gzip\", response not stored"),
    ];
    for (target, name, why) in rows {
        let before = (lines(why), std::fs::read(s.path(&format!("html/{name}"))).ok());
        s.get(&format!("{target}?n={name}")).is(200).body_is("store");
        eventually(why, || lines(why) == before.0 + 1);
        assert_eq!(std::fs::read(s.path(&format!("html/{name}"))).ok(), before.1, "{name}");
    }
    assert!(s.path("html/d/folder").is_symlink());
    // Its name says what it is, as gzip_static expects it; and a name that is free of locks is stored.
    s.get("/gz?n=page.html.gz").is(200);
    assert_eq!(stored(&s, "html/page.html.gz"), b"store");
    s.get("/get?n=d/other").is(200);
    assert_eq!(stored(&s, "html/d/other"), b"store");
}
