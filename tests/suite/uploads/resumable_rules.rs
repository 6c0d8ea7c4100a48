//! The rules of uploads hold for resumable ones; what is on its way is not served; what is forgotten goes.

use super::resumable::{OCTETS, area_of, base64, create, filename, offset, patch, resumable, tus};
use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

pub const STATE: &str = "html/a/.webserv-upload-state";

#[test]
fn a_name_is_judged_when_a_resumable_upload_ends() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("names of resumable uploads");
    table.row(OURS, "a name taken meanwhile", || {
        let s = resumable("");
        let target = create(&s, "x.txt", 4);
        s.write("html/a/x.txt", "old!");
        patch(&s, &target, 0, b"new!").is(409);
        assert_eq!(s.read("html/a/x.txt"), b"old!");
        assert!(!s.exists(STATE), "there is nothing to wait for");
        tus(&s, "HEAD", &target, "", b"").is(410);
    });
    table.row(OURS, "upload_on_duplicate overwrite", || {
        let s = resumable("upload_on_duplicate overwrite;");
        s.write("html/a/x.txt", "old!");
        let target = create(&s, "x.txt", 4);
        patch(&s, &target, 0, b"ne").is(204);
        s.get("/a/x.txt").is(200).body_is("old!");
        patch(&s, &target, 2, b"w!").is(204);
        s.get("/a/x.txt").is(200).body_is("new!");
    });
    table.row(OURS, "upload_on_duplicate rename", || {
        let s = resumable("upload_on_duplicate rename;");
        s.write("html/a/x.txt", "old!");
        let target = create(&s, "x.txt", 4);
        patch(&s, &target, 0, b"new!").is(204).has("Content-Location", "/a/x-1.txt");
        assert_eq!(s.read("html/a/x-1.txt"), b"new!");
        assert_eq!(s.read("html/a/x.txt"), b"old!");
    });
    table.row(OURS, "preconditions are those of the creation, judged at the end", || {
        let s = resumable("upload_on_duplicate overwrite;");
        let begin = |target: &str, condition: &str| {
            let r = s.method("PUT", target, &format!("Upload-Complete: ?0\r\n{condition}"), b"ne");
            r.is(201);
            located(&r)
        };
        let end = |target: &str| {
            let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 2\r\nUpload-Complete: ?1\r\n";
            s.method("PATCH", target, fields, b"w!")
        };
        let first = begin("/a/c.txt", "If-None-Match: *\r\n");
        let second = begin("/a/c.txt", "If-None-Match: *\r\n");
        end(&first).is(201);
        end(&second).is(412).has("Upload-Complete", "?1");
        s.method("PUT", "/a/c.txt", "Upload-Complete: ?0\r\nIf-None-Match: *\r\n", b"ne").is(412);
        let etag = s.get("/a/c.txt").header("ETag").expect("an ETag").to_owned();
        let matching = begin("/a/c.txt", &format!("If-Match: {etag}\r\n"));
        let stale = begin("/a/c.txt", &format!("If-Match: {etag}\r\n"));
        end(&matching).is(204);
        end(&stale).is(412);
        assert!(!s.exists(STATE));
    });
    table.row(OURS, "so is the version that WebDAV's If names", || {
        let s = resumable("dav_methods PUT; dav_ext_methods PROPFIND;");
        s.method("PUT", "/a/c.txt", "", b"old").is(201);
        let etag = s.get("/a/c.txt").header("ETag").expect("an ETag").to_owned();
        let begin = || {
            let fields = format!("Upload-Complete: ?0\r\nIf: ([{etag}])\r\n");
            located(s.method("PUT", "/a/c.txt", &fields, b"ne").is(201))
        };
        let end = |target: &str| {
            let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 2\r\nUpload-Complete: ?1\r\n";
            s.method("PATCH", target, fields, b"w!")
        };
        let (first, second) = (begin(), begin());
        end(&first).is(204);
        end(&second).is(412);
        s.method("PUT", "/a/c.txt", &format!("Upload-Complete: ?0\r\nIf: ([{etag}])\r\n"), b"ne").is(412);
        assert_eq!(s.read("html/a/c.txt"), b"new!");
    });
}

#[test]
fn the_rules_of_uploads_hold() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("rules for resumable uploads");
    table.row(OURS, "another user of the area reaches no upload, not even a finished one", || {
        let area = area_of("auth_basic a; auth_basic_user_file %%DIR%%/users;");
        let s = running(area.file("users", "u:{PLAIN}p\nv:{PLAIN}p\n"));
        let as_user = |name: &str| format!("Authorization: Basic {}\r\n", base64(format!("{name}:p").as_bytes()));
        let (u, v) = (as_user("u"), as_user("v"));
        let fields = format!("{u}Upload-Length: 4\r\n{}", filename("x.txt"));
        let target = located(tus(&s, "POST", "/a/", &fields, b"").is(201));
        let append = |user: &str, offset: usize, body: &[u8]| {
            tus(&s, "PATCH", &target, &format!("{user}{OCTETS}Upload-Offset: {offset}\r\n"), body)
        };
        append(&u, 0, b"ab").is(204);
        append(&v, 2, b"xx").is(404);
        tus(&s, "HEAD", &target, &v, b"").is(404);
        tus(&s, "DELETE", &target, &v, b"").is(404);
        tus(&s, "HEAD", &target, "", b"").is(401);
        append(&u, 2, b"cd").is(204);
        tus(&s, "HEAD", &target, &v, b"").is(404);
        tus(&s, "HEAD", &target, &u, b"").is(200).has("Upload-Offset", "4");
        assert_eq!(s.read("html/a/x.txt"), b"abcd");
    });
    table.row(OURS, "upload_return answers the end of the draft", || {
        let s = resumable("upload_return 200 stored;");
        let target = located(s.method("POST", "/a/x", "Upload-Complete: ?0\r\n", b"").is(201));
        let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n";
        s.method("PATCH", &target, fields, b"x").is(200).body_is("stored").has("Upload-Complete", "?1");
    });
    table.row(OURS, "client_max_body_size is for each request", || {
        let s = resumable("client_max_body_size 1000;");
        let target = create(&s, "x.bin", 1800);
        patch(&s, &target, 0, &noise(1001)).is(413);
        patch(&s, &target, 0, &noise(900)).is(204);
        patch(&s, &target, 900, &noise(900)).is(204);
        assert_eq!(s.read("html/a/x.bin").len(), 1800);
    });
    table.row(OURS, "what is stored is sent as what strangers stored", || {
        let s = resumable("");
        let target = create(&s, "x.html", 3);
        patch(&s, &target, 0, b"<p>").is(204);
        let r = s.get("/a/x.html");
        r.is(200).has("X-Content-Type-Options", "nosniff");
        assert!(r.header("Content-Disposition").is_some_and(|value| value.starts_with("attachment")));
    });
    table.row(OURS, "access rules hold for every request", || {
        let s = resumable("limit_except GET HEAD { deny all; }");
        tus(&s, "POST", "/a/", &format!("Upload-Length: 1\r\n{}", filename("x")), b"").is(403);
        let any = "/a/?webserv-upload=0123456789abcdef0123456789abcdef";
        patch(&s, any, 0, b"x").is(403);
        tus(&s, "DELETE", any, "", b"").is(403);
        tus(&s, "HEAD", any, "", b"").is(404);
    });
}

#[test]
fn the_argument_of_an_upload_leads_no_refused_method_to_what_else_answers() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "upload_resumable on;
         location /tried/ { allowed_methods GET POST; try_files $uri @app; }
         location /script/ { allowed_methods GET POST; try_files $uri @script; }
         location /led/ { allowed_methods GET POST; try_files $uri /any/x; }
         location /paged/ { allowed_methods GET POST; error_page 404 = @app; }
         location /store/ { allowed_methods GET POST; try_files $uri @store; }
         location /any/ { return 200 any; }
         location @app { proxy_pass http://127.0.0.1:1; }
         location @script { allowed_methods GET POST DELETE; return 200 script; }
         location @store { allowed_methods GET POST; }",
    )
    .mkdir("html/store")
    .start();
    let mut table = Table::new("what answers requests that name an upload");
    for area in ["tried", "script", "led", "paged"] {
        for method in ["DELETE", "PATCH", "PUT", "MKCOL", "HEAD"] {
            for what in [format!("x?webserv-upload={}", "0".repeat(32)), "x?webserv-upload=1".into(), "x".into()] {
                table.row(OURS, &format!("{method} /{area}/{what}"), || {
                    let expected: &[u16] = if method == "HEAD" { &[200, 404, 405, 502] } else { &[404, 405] };
                    tus(&s, method, &format!("/{area}/{what}"), "", b"").is_one_of(expected);
                });
            }
        }
    }
    table.row(OURS, "an upload that a named location stores is found there", || {
        let r = tus(&s, "POST", "/store/new", "Upload-Length: 2\r\n", b"");
        let target = located(r.is(201));
        patch(&s, &target, 0, b"ok").is(204);
        assert_eq!(s.read("html/store/new"), b"ok");
    });
}

#[test]
fn an_upload_is_where_its_client_can_reach_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("where uploads are");
    let location = |settings: &str, target: &str, fields: &str| {
        let s = resumable(settings);
        let head = format!("POST {target} HTTP/1.1\r\n{fields}Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\n\r\n");
        let r = s.send(format!("{}Connection: close\r\n\r\n", head.strip_suffix("\r\n").expect("a head")));
        let location = r.is(201).header("Location").expect("it says").to_owned();
        location.split("webserv-upload=").next().unwrap_or_default().to_owned()
    };
    let rows = [
        (
            "as the client calls the server, port and all",
            "",
            "/a/",
            "Host: up.test:8443\r\n",
            if crate::over_tls::is_wanted() { "https://up.test:8443/a/?" } else { "http://up.test:8443/a/?" },
        ),
        (
            "behind a proxy that tells the scheme",
            "",
            "/a/?x=1",
            "Host: up.test\r\nX-Forwarded-Proto: https\r\n",
            "https://up.test/a/?x=1&",
        ),
        (
            "a path alone, where that is asked for",
            "absolute_redirect off;",
            "/a/b%20c",
            "Host: up.test\r\n",
            "/a/b%20c?",
        ),
        ("never another host", "absolute_redirect off;", "//a/", "Host: up.test\r\n", "/a/?"),
    ];
    for (what, settings, target, fields, expected) in rows {
        table.row(OURS, what, || assert_eq!(location(settings, target, fields), expected));
    }
    table.row(OURS, "the listing's page resumes where tus is spoken", || {
        for (speaks, resumes) in [("on", true), ("tus", true), ("rufh", false), ("off", false)] {
            let s = running(
                server(&format!(
                    "location /p/ {{ allowed_methods GET POST; autoindex on; autoindex_upload on; upload_resumable {speaks}; }}"
                ))
                .file("html/index.html", "")
                .mkdir("html/p"),
            );
            assert_eq!(s.get("/p/").text().contains(" data-resumable"), resumes, "{speaks}");
        }
    });
}

#[test]
fn unfinished_uploads_count_for_the_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = area_of("upload_quota 1000 files=3;").restartable().start();
    let refused = |s: &Server| tus(s, "POST", "/a/", &format!("Upload-Length: 601\r\n{}", filename("b")), b"").status;
    let target = create(&s, "a", 400);
    assert_eq!(refused(&s), 507);
    s.method("POST", "/a/plain", "", &noise(601)).is(507);
    patch(&s, &target, 0, &noise(100)).is(204);
    assert_eq!(refused(&s), 507, "what is to come counts");
    s.method("POST", "/a/plain", "", &noise(500)).is(201);
    s.kill_and_restart();
    s.method("POST", "/a/other", "", &noise(101)).is(507);
    let last = create(&s, "c", 100);
    tus(&s, "POST", "/a/", &format!("Upload-Length: 0\r\n{}", filename("d")), b"").is(507);
    tus(&s, "DELETE", &last, "", b"").is(204);
    // Its own bytes are not counted twice.
    patch(&s, &target, 100, &noise(300)).is(204);
    assert_eq!(s.read("html/a/a").len(), 400);
    s.method("POST", "/a/other", "", &noise(101)).is(507);
    s.method("POST", "/a/other", "", &noise(100)).is(201);
    // A length that is not known counts as it comes.
    std::fs::remove_file(s.path("html/a/other")).expect("it is there");
    let head = format!("Upload-Defer-Length: 1\r\n{}", filename("e"));
    let target = located(tus(&s, "POST", "/a/", &head, b"").is(201));
    patch(&s, &target, 0, &noise(101)).is(507);
    patch(&s, &target, 0, &noise(90)).is(204);
    patch(&s, &target, 90, &noise(11)).is(507);
    let fields = format!("{OCTETS}Upload-Offset: 90\r\nUpload-Length: 100\r\n");
    tus(&s, "PATCH", &target, &fields, &noise(10)).is(204);
    assert_eq!(s.read("html/a/e").len(), 100);
}

#[test]
fn what_is_on_its_way_is_hidden() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("autoindex on; delete_recursive on; dav_methods PUT MKCOL COPY MOVE;");
    let target = create(&s, "x.txt", 10);
    patch(&s, &target, 0, b"01234").is(204);
    let id = target.rsplit('=').next().expect("an id");
    let mut table = Table::new("hidden");
    let part = format!("/a/.webserv-upload-state/{id}.part");
    for path in ["/a/.webserv-upload-state/", "/a/.webserv-upload-state", &part, "/a/%2ewebserv-upload-state/x"] {
        table.row(OURS, path, || {
            for method in ["GET", "HEAD", "DELETE"] {
                s.method(method, path, "", b"").is(404);
            }
            for method in ["COPY", "MOVE"] {
                s.method(method, path, "Destination: /a/copied\r\n", b"").is(404);
            }
            for method in ["PUT", "POST"] {
                s.method(method, path, "", b"x").is_one_of(&[400, 404, 409]);
            }
        });
    }
    table.row(OURS, "the listing", || {
        let r = s.get("/a/");
        r.is(200);
        assert!(!r.text().contains("webserv-upload"), "{}", r.text());
    });
    table.row(OURS, "all is still there", || {
        assert_eq!(offset(&s, &target), 5);
        assert_eq!(s.path(STATE).metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
        patch(&s, &target, 5, b"56789").is(204);
    });
}

#[test]
fn the_state_store_may_be_elsewhere() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("upload_state_store");
    table.row(OURS, "on the same file system", || {
        let s = resumable("upload_state_store elsewhere/state;");
        let target = create(&s, "x", 2);
        patch(&s, &target, 0, b"a").is(204);
        assert_eq!(s.snapshot("elsewhere/state").len(), 2);
        assert!(!s.exists(STATE));
        patch(&s, &target, 1, b"b").is(204);
        assert_eq!(s.read("html/a/x"), b"ab");
        // What the configuration names stays, and what is known of the upload until it expires.
        assert_eq!(s.snapshot("elsewhere/state").len(), 1);
        assert!(s.exists("elsewhere/state"));
    });
    table.row(OURS, "below the root: what is in it is not shown", || {
        let s = resumable("upload_state_store html/waiting; } location /all/ { alias %%DIR%%/html/; autoindex on;");
        std::os::unix::fs::symlink("waiting", s.path("html/link")).expect("a link");
        let target = create(&s, "x", 2);
        patch(&s, &target, 0, b"a").is(204);
        let names = s.snapshot("html/waiting");
        assert_eq!(names.len(), 2);
        for name in names.keys() {
            s.get(&format!("/waiting/{name}")).is(404);
            s.get(&format!("/link/{name}")).is(404);
            s.get(&format!("/all/waiting/{name}")).is(404);
        }
        s.get("/all/waiting/").is(404);
        assert!(!s.get("/all/").is(200).text().contains("waiting"));
        patch(&s, &target, 1, b"b").is(204);
        assert_eq!(s.get("/a/x").is(200).body, b"ab");
    });
    table.row(OURS, "on another", || {
        let shm = std::path::Path::new("/dev/shm");
        let s = resumable("upload_state_store /dev/shm;");
        let device =
            |path: &std::path::Path| std::os::unix::fs::MetadataExt::dev(&path.metadata().expect("it is there"));
        if !shm.is_dir() || device(shm) == device(&s.path("html")) {
            return;
        }
        tus(&s, "POST", "/a/", "Upload-Length: 1\r\n", b"").is(500);
        s.await_file("logs/error.log", |log| log.contains("another file system"));
    });
    table.row(OURS, "a store of which nothing is known", || {
        let s = resumable("upload_store $document_root/a;");
        tus(&s, "POST", "/a/", "Upload-Length: 1\r\n", b"").is(500);
        s.await_file("logs/error.log", |log| log.contains("upload_state_store is not set"));
    });
    table.row(OURS, "values that are none", || {
        for bad in ["upload_resumable maybe;", "upload_state_store $x;", "upload_resumable_max_age soon;"] {
            let out = server(bad).run(&["-t", "-p", "%%DIR%%", "-c", "conf/test.conf"]);
            assert!(!out.status.success(), "{bad}");
        }
    });
}

#[test]
fn forgotten_uploads_expire() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("expiry");
    table.row(OURS, "while the server runs", || {
        let s = resumable("upload_resumable_max_age 300ms;");
        let target = create(&s, "x", 10);
        patch(&s, &target, 0, b"a").is_one_of(&[204, 410]);
        let gone = crate::os::wait_for_change(&s.path("html/a"), crate::client::LIMIT, || !s.exists(STATE));
        assert!(gone, "the upload never went");
        tus(&s, "HEAD", &target, "", b"").is(410);
        patch(&s, &target, 1, b"b").is(410);
    });
    table.row(OURS, "asked for when the time of the configuration is over", || {
        let s = resumable("upload_resumable_max_age 1ms;");
        let target = create(&s, "x", 10);
        eventually("it is over", || tus(&s, "HEAD", &target, "", b"").status == 410);
        assert!(!s.exists(STATE));
        assert!(!s.exists("html/a/x"));
    });
    table.row(OURS, "not by the time of its file within an hour of the start", || {
        let s = resumable("upload_resumable_max_age 1h;");
        let target = create(&s, "x", 10);
        age(&s, ".part", 3601);
        tus(&s, "HEAD", &target, "", b"").is(200);
    });
    table.row(OURS, "asked for when its time is over", || {
        let s = resumable("upload_resumable_max_age 1h;");
        let target = create(&s, "x", 10);
        age(&s, ".part", 3601);
        shorten(&s, STATE, "");
        tus(&s, "HEAD", &target, "", b"").is(410);
        assert!(!s.exists(STATE));
    });
    table.row(OURS, "at the start, with what is unknown", || {
        let mut s = area_of("upload_resumable_max_age 1h;").restartable().start();
        let (old, new) = (create(&s, "old", 10), create(&s, "new", 10));
        let id = |target: &str| target.rsplit('=').next().expect("an id").to_owned();
        s.write(&format!("{STATE}/00000000000000000000000000000000.part"), "nobody's");
        s.write(&format!("{STATE}/00000000000000000000000000000000.new"), "webserv-uplo");
        s.write(&format!("{STATE}/other"), "not ours");
        // Whole names: every sixteenth id ends in a 0.
        let nobodys = "0".repeat(32);
        for name in [format!("{nobodys}.part"), format!("{nobodys}.new"), format!("{}.part", id(&old))] {
            age(&s, &name, 3601);
        }
        shorten(&s, STATE, &id(&old));
        s.kill_and_restart();
        eventually("only the new upload is there", || {
            s.get("/").is(200);
            let entries = std::fs::read_dir(s.path(STATE)).expect("the state directory");
            let names: Vec<String> =
                entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
            names.len() == 3 && names.iter().all(|name| name == "other" || name.starts_with(&id(&new)))
        });
        tus(&s, "HEAD", &old, "", b"").is(410);
        assert_eq!(offset(&s, &new), 0);
    });
    table.row(OURS, "never, where the time is 0", || {
        let s = resumable("upload_resumable_max_age 0;");
        let target = create(&s, "x", 10);
        age(&s, ".part", 1_000_000_000);
        tus(&s, "HEAD", &target, "", b"").is(200).lacks("Upload-Expires");
        patch(&s, &target, 0, b"x").is(204).lacks("Upload-Expires");
    });
}

/// Has uploads whose id begins so, of a directory of states, live a millisecond from their last byte on: what a start
/// finds too old is kept for a while.
pub fn shorten(s: &Server, states: &str, id: &str) {
    let mut seen = false;
    for entry in std::fs::read_dir(s.path(states)).expect("the state directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if name.starts_with(id) && name.ends_with(".state") {
            let record = std::fs::read_to_string(&path).expect("a record");
            let shorter: Vec<&str> =
                record.split('\n').map(|line| if line.starts_with("age ") { "age 1" } else { line }).collect();
            std::fs::write(&path, shorter.join("\n")).expect("written");
            seen = true;
        }
    }
    assert!(seen, "{id}");
}

/// Makes the files of the state directory that end so older.
fn age(s: &Server, end: &str, seconds: u64) {
    let mut seen = false;
    for entry in std::fs::read_dir(s.path(STATE)).expect("the state directory") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().ends_with(end) {
            let file = std::fs::File::options().write(true).open(&path).expect("it opens");
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("utimes");
            seen = true;
        }
    }
    assert!(seen, "no {end}");
}
