//! Files, directories, types and names: what a GET of something on disk answers.

use crate::harness::{BOTH, Table, http, noise, ours, server};

#[test]
fn a_target_gives_a_status_a_type_and_a_body() {
    let s = server(
        "location /listed/ { autoindex on; }
         location /noindex/ { index none.html; }
         location /two/ { index missing.html index.txt; }
         location /types/ { types { text/x-odd odd; image/png png PNG; } default_type application/x-none; }
         location /plain/ { types { } default_type text/plain; }",
    )
    .file("html/index.html", "root index")
    .file("html/a.txt", "text")
    .file("html/page.html", "<p>page")
    .file("html/empty.html", "")
    .file("html/none", "no extension")
    .file("html/odd.unknown", "odd")
    .file("html/dir/index.html", "dir index")
    .file("html/noindex/file", "x")
    .file("html/two/index.txt", "second index")
    .file("html/two/other", "o")
    .file("html/types/a.odd", "odd type")
    .file("html/types/a.ODD", "upper")
    .file("html/types/b.other", "fallback")
    .file("html/plain/x.html", "<p>")
    .file("html/with space.txt", "space")
    .file("html/pér cent%.txt", "utf8")
    .file("html/plus+sign.txt", "plus")
    .file("html/q?uestion.txt", "mark")
    .file("html/.hidden", "dot file")
    .file("html/a..b.txt", "dots inside")
    .file("html/...", "three dots")
    .mkdir("html/bare")
    .start();
    let rows: &[(&str, &str, u16, &str, &str)] = &[
        ("the index of the root", "/", 200, "text/html", "root index"),
        ("the index by name", "/index.html", 200, "text/html", "root index"),
        ("a query is not part of the name", "/index.html?x=/../y", 200, "text/html", "root index"),
        ("a bare question mark", "/index.html?", 200, "text/html", "root index"),
        ("an html file", "/page.html", 200, "text/html", "<p>page"),
        ("an empty file", "/empty.html", 200, "text/html", ""),
        ("no extension gives the default type", "/none", 200, "text/plain", "no extension"),
        ("an unknown extension gives the default type", "/odd.unknown", 200, "text/plain", "odd"),
        ("the index of a directory", "/dir/", 200, "text/html", "dir index"),
        ("the second name of index is tried", "/two/", 200, "text/plain", "second index"),
        ("types of the location", "/types/a.odd", 200, "text/x-odd", "odd type"),
        ("extensions ignore case", "/types/a.ODD", 200, "text/x-odd", "upper"),
        ("default_type of the location", "/types/b.other", 200, "application/x-none", "fallback"),
        ("types {} empties the table", "/plain/x.html", 200, "text/plain", "<p>"),
        ("an encoded space", "/with%20space.txt", 200, "text/plain", "space"),
        ("encoded UTF-8 and an encoded percent", "/p%C3%A9r%20cent%25.txt", 200, "text/plain", "utf8"),
        ("lower case hex digits", "/p%c3%a9r%20cent%25.txt", 200, "text/plain", "utf8"),
        ("plus is plus", "/plus+sign.txt", 200, "text/plain", "plus"),
        ("an encoded question mark belongs to the name", "/q%3Fuestion.txt", 200, "text/plain", "mark"),
        ("an encoded letter", "/%61.txt", 200, "text/plain", "text"),
        ("an encoded slash is a slash", "/dir%2Findex.html", 200, "text/html", "dir index"),
        ("a dot file is a file", "/.hidden", 200, "text/plain", "dot file"),
        ("two dots inside a name are no parent", "/a..b.txt", 200, "text/plain", "dots inside"),
        ("three dots are a name", "/...", 200, "text/plain", "three dots"),
        ("slashes are merged", "//a.txt", 200, "text/plain", "text"),
        ("a parent within the root", "/dir/../a.txt", 200, "text/plain", "text"),
        ("a self segment", "/./a.txt", 200, "text/plain", "text"),
        ("a missing file", "/missing", 404, "text/html", "404 Not Found"),
        ("a missing directory", "/missing/", 404, "text/html", "404 Not Found"),
        ("a file with a slash behind it", "/a.txt/", 404, "text/html", "404 Not Found"),
        ("a file as directory", "/a.txt/b", 404, "text/html", "404 Not Found"),
        ("a directory without an index", "/bare/", 403, "text/html", "403 Forbidden"),
        ("index names nothing that exists", "/noindex/", 403, "text/html", "403 Forbidden"),
        ("case matters in names", "/A.TXT", 404, "text/html", "404 Not Found"),
        ("a bad percent encoding", "/%zz", 400, "text/html", "400 Bad Request"),
        ("a cut percent encoding", "/%4", 400, "text/html", "400 Bad Request"),
        ("an encoded NUL", "/a.txt%00.html", 400, "text/html", "400 Bad Request"),
    ];
    let mut table = Table::new("static targets");
    for &(name, target, status, mime, body) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            r.is(status).has("Content-Type", mime);
            if status == 200 {
                r.body_is(body);
                r.has("Content-Length", &body.len().to_string()).has("Accept-Ranges", "bytes");
                assert!(r.header("ETag").is_some() && r.header("Last-Modified").is_some(), "{}", r.show());
            } else {
                r.contains(body);
                r.lacks("ETag").lacks("Last-Modified").lacks("Accept-Ranges");
            }
            assert!(r.header("Date").is_some() && r.header("Server").is_some(), "{}", r.show());
        });
        table.row(BOTH, &format!("{name} (HEAD)"), || {
            let head = s.method("HEAD", target, "", b"");
            let get = s.get(target);
            let lines = |r: &crate::client::Response| {
                r.headers.iter().filter(|(n, _)| n != "Date").cloned().collect::<Vec<_>>()
            };
            head.is(status);
            assert!(head.body.is_empty());
            assert_eq!(lines(&head), lines(&get), "HEAD and GET differ");
        });
    }
}

#[test]
fn a_long_name_is_not_found_or_too_long() {
    let s = server("").start();
    s.get(&format!("/{}", "x".repeat(300))).is_one_of(&[404, 414]);
}

#[test]
fn a_directory_without_slash_is_redirected() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            location /al { alias %%DIR%%/html/dir; } }
         server { listen 127.0.0.1:%%PORT%%; server_name relative.test; root %%DIR%%/html; absolute_redirect off; }
         server { listen 127.0.0.1:%%PORT%%; server_name noport.test; root %%DIR%%/html; port_in_redirect off; }
         server { listen 127.0.0.1:%%PORT%%; server_name named.test; root %%DIR%%/html; server_name_in_redirect on; }",
    )
    .mkdir("html/dir/sub")
    .mkdir("html/a b")
    .start();
    let port = s.port();
    let rows: &[(&str, &str, &str, String)] = &[
        ("absolute by default", "localhost", "/dir", format!("http://localhost:{port}/dir/")),
        ("the client's Host is used", "other.test", "/dir", format!("http://other.test:{port}/dir/")),
        ("the query is kept", "localhost", "/dir?a=b", format!("http://localhost:{port}/dir/?a=b")),
        ("a subdirectory", "localhost", "/dir/sub", format!("http://localhost:{port}/dir/sub/")),
        ("the name is encoded", "localhost", "/a%20b", format!("http://localhost:{port}/a%20b/")),
        ("merged slashes stay merged", "localhost", "//dir", format!("http://localhost:{port}/dir/")),
        ("a directory behind an alias", "localhost", "/al", format!("http://localhost:{port}/al/")),
        ("absolute_redirect off", "relative.test", "/dir", "/dir/".to_owned()),
        ("port_in_redirect off", "noport.test", "/dir", "http://noport.test/dir/".to_owned()),
        ("server_name_in_redirect", "named.test", "/dir", format!("http://named.test:{port}/dir/")),
    ];
    let mut table = Table::new("directory redirects");
    for (name, host, target, location) in rows {
        table.row(BOTH, name, || {
            let r = s.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            r.is(301).has("Location", location).contains("301 Moved Permanently");
        });
    }
    table.row(BOTH, "POST to a directory is redirected too", || {
        s.method("POST", "/dir", "", b"x").is_one_of(&[301, 308, 405]);
    });
}

#[test]
fn root_and_alias_map_uris_to_files() {
    let s = http(
        "root %%DIR%%/outer;
         server { listen 127.0.0.1:%%PORT%%; server_name localhost;
            location /inner/ { root %%DIR%%/inner; }
            location /rel/ { root relative; }
            location /alias/ { alias %%DIR%%/aliased/; }
            location /aliasfile { alias %%DIR%%/aliased/one.txt; }
            location ~ ^/re/(?<name>[a-z]+)$ { alias %%DIR%%/aliased/$name.txt; }
            location ~ ^/num/(.+)$ { alias %%DIR%%/aliased/$1; }
            location /var/ { root %%DIR%%/$arg_dir; }
            location /nest/ { root %%DIR%%/inner; location /nest/deep/ { } }
         }",
    )
    .file("outer/a.txt", "outer a")
    .file("inner/inner/a.txt", "inner a")
    .file("inner/nest/deep/a.txt", "nested inherits")
    .file("relative/rel/a.txt", "relative to the prefix")
    .file("aliased/one.txt", "one")
    .file("aliased/sub/index.html", "sub index")
    .file("site/var/a.txt", "variable root")
    .start();
    let rows: &[(&str, &str, u16, &str)] = &[
        ("root of http is inherited", "/a.txt", 200, "outer a"),
        ("root of the location, URI appended", "/inner/a.txt", 200, "inner a"),
        ("a relative root starts at the prefix", "/rel/a.txt", 200, "relative to the prefix"),
        ("a nested location inherits", "/nest/deep/a.txt", 200, "nested inherits"),
        ("alias replaces the prefix", "/alias/one.txt", 200, "one"),
        ("alias of a directory's index", "/alias/sub/", 200, "sub index"),
        ("alias of one file", "/aliasfile", 200, "one"),
        ("alias with a named capture", "/re/one", 200, "one"),
        ("alias with a numbered capture", "/num/one.txt", 200, "one"),
        ("alias, missing", "/alias/two.txt", 404, ""),
        ("root with a variable", "/var/a.txt?dir=site", 200, "variable root"),
        ("root with another value", "/var/a.txt?dir=none", 404, ""),
    ];
    let mut table = Table::new("root and alias");
    for &(name, target, status, body) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            r.is(status);
            if status == 200 {
                r.body_is(body);
            }
        });
    }
}

#[test]
fn files_of_every_size_arrive_whole() {
    let s = server(
        "location /send/ { alias %%DIR%%/html/; sendfile on; tcp_nopush on; }
         location /chunk/ { alias %%DIR%%/html/; sendfile on; sendfile_max_chunk 64k; }
         location /read/ { alias %%DIR%%/html/; sendfile off; output_buffers 2 16k; }",
    );
    let sizes = [0, 1, 1023, 4096, 16383, 16384, 16385, 65536, 100_001, 1 << 20, 5 << 20];
    let s = sizes.iter().fold(s, |s, &n| s.file(&format!("html/{n}"), noise(n))).start();
    let mut table = Table::new("sizes");
    for place in ["", "/send", "/chunk", "/read"] {
        table.row(BOTH, &format!("every size at {place:?} on one connection"), || {
            let mut client = s.client();
            for n in sizes {
                let r = client.get(&format!("{place}/{n}"));
                r.is(200).has("Content-Length", &n.to_string()).body_is(noise(n));
            }
        });
    }
    table.row(BOTH, "a reader that starts late gets all of 5 MiB", || {
        let mut slow = s.client();
        slow.send(b"GET /5242880 HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..20 {
            s.get("/1023").is(200);
        }
        slow.response().is(200).body_is(noise(5 << 20));
    });
    table.row(BOTH, "a reader that resets half-way does no harm", || {
        for _ in 0..5 {
            let mut client = s.client();
            client.send(b"GET /5242880 HTTP/1.1\r\nHost: a\r\n\r\n");
            client.reset();
        }
        s.get("/1023").is(200).body_is(noise(1023));
    });
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    let s = server("location /listed/ { autoindex on; }")
        .file("html/secret.txt", "secret")
        .file("html/locked/index.html", "locked")
        .file("html/listed/x", "x")
        .mode("html/secret.txt", 0o000)
        .mode("html/locked", 0o000)
        .mode("html/listed", 0o000)
        .unprivileged()
        .start();
    let mut table = Table::new("permissions");
    for (name, target) in [
        ("an unreadable file", "/secret.txt"),
        ("a file in a closed directory", "/locked/index.html"),
        ("a closed directory's index", "/locked/"),
        ("a closed directory's listing", "/listed/"),
    ] {
        table.row(BOTH, name, || {
            s.get(target).is(403).contains("403 Forbidden");
        });
    }
    for path in ["html/locked", "html/listed"] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(s.path(path), open).expect("chmod");
    }
}

#[test]
fn what_is_no_regular_file_is_not_served() {
    let s = server("").file("real.txt", "linked").link("html/link.txt", "../real.txt").link("html/dangling", "nowhere");
    let s = s.link("html/loop", "loop").allow_log("is not a regular file").start();
    crate::os::mkfifo(&s.path("html/fifo"));
    let mut table = Table::new("odd files");
    table.row(BOTH, "a link is followed by default", || {
        s.get("/link.txt").is(200).body_is("linked");
    });
    table.row(BOTH, "a dangling link is not found", || {
        s.get("/dangling").is(404);
    });
    table.row(BOTH, "a link loop is refused", || {
        s.get("/loop").is_one_of(&[403, 404, 500]);
    });
    table.row(BOTH, "a FIFO neither hangs nor serves", || {
        s.get("/fifo").is_one_of(&[403, 404]);
        s.get("/link.txt").is(200);
    });
}

#[test]
fn validators_follow_the_file() {
    let s = server("location /off/ { alias %%DIR%%/html/; etag off; }").file("html/f", "one").start();
    let mut table = Table::new("validators");
    table.row(BOTH, "the same file gives the same validators", || {
        let (a, b) = (s.get("/f"), s.get("/f"));
        assert_eq!(a.header("ETag"), b.header("ETag"));
        assert_eq!(a.header("Last-Modified"), b.header("Last-Modified"));
        let etag = a.header("ETag").expect("an ETag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    });
    table.row(BOTH, "another length gives another ETag", || {
        let before = s.get("/f");
        s.write("html/f", "longer");
        let after = s.get("/f");
        after.is(200).body_is("longer");
        assert_ne!(before.header("ETag"), after.header("ETag"));
    });
    table.row(ours("mtime in nanoseconds takes part in the ETag"), "same length, same second: another ETag", || {
        let stamp = |content: &str, nanos: u32| {
            s.write("html/f", content);
            let then = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, nanos);
            std::fs::File::options().write(true).open(s.path("html/f")).unwrap().set_modified(then).unwrap();
        };
        stamp("aaaa", 1_000_000);
        let before = s.get("/f");
        stamp("bbbb", 2_000_000);
        let after = s.get("/f");
        after.body_is("bbbb");
        assert_ne!(before.header("ETag"), after.header("ETag"));
    });
    table.row(ours("RFC 9110 8.8.2.1: not later than Date"), "a file from the future has no future date", || {
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(7 * 86400);
        std::fs::File::options().write(true).open(s.path("html/f")).unwrap().set_modified(later).unwrap();
        let r = s.get("/f");
        assert_eq!(r.header("Last-Modified"), r.header("Date"), "{}", r.show());
    });
    table.row(BOTH, "Last-Modified is an IMF-fixdate of the mtime", || {
        let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        std::fs::File::options().write(true).open(s.path("html/f")).unwrap().set_modified(then).unwrap();
        s.get("/f").has("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    });
    table.row(BOTH, "etag off", || {
        s.get("/off/f").is(200).lacks("ETag");
    });
}

#[test]
fn scripts_are_compressed_and_get_a_charset_by_either_name_of_their_type() {
    for name in ["application/javascript", "text/javascript"] {
        let s = server(&format!("gzip on; gzip_min_length 1; gzip_types {name}; charset utf-8; charset_types {name};"))
            .file("html/a.js", "// x\n".repeat(100))
            .file("html/a.mjs", "// x\n".repeat(100))
            .start();
        let mut client = s.client();
        for target in ["/a.js", "/a.mjs"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
            let response = client.request(request);
            response.is(200).has("Content-Encoding", "gzip").has("Content-Type", "text/javascript; charset=utf-8");
        }
    }
}
