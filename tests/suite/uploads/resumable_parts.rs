//! tus's concatenation and checksum-trailer, folders by relativePath, and the folder whose slash is missing.

use super::resumable::{OCTETS, area_of, base64, create, filename, patch, resumable, tus};
use super::*;

/// The names in a directory.
pub fn names(s: &Server, dir: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(s.path(dir)) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// A complete part of a file, and its target.
#[track_caller]
pub fn partial(s: &Server, content: &[u8]) -> String {
    let fields = format!("Upload-Concat: partial\r\nUpload-Length: {}\r\n{OCTETS}", content.len());
    located(tus(s, "POST", "/a/", &fields, content).is(201).has("Upload-Offset", &content.len().to_string()))
}

/// A request that makes a file of parts, for a client whose answer is not waited for.
pub fn join_request(urls: &[&str], name: &str) -> String {
    format!(
        "POST /a/ HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Concat: final;{}\r\n{}Content-Length: 0\r\n\r\n",
        urls.join(" "),
        filename(name)
    )
}

pub fn join(s: &Server, urls: &[&str], name: &str) -> Response {
    tus(s, "POST", "/a/", &format!("Upload-Concat: final;{}\r\n{}", urls.join(" "), filename(name)), b"")
}

#[test]
fn parallel_parts_become_one_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("concatenation");
    table.row(OURS, "two parts, and nothing is left of them", || {
        let (a, b) = (partial(&s, b"hello "), partial(&s, b"world"));
        assert_eq!(names(&s, "html/a").iter().filter(|name| !name.starts_with('.')).count(), 0, "parts are no files");
        let r = tus(&s, "HEAD", &a, "", b"");
        r.is(200).has("Upload-Concat", "partial").has("Upload-Offset", "6").has("Upload-Length", "6");
        let r = join(&s, &[&a, &format!("http://elsewhere.test{b}")], "whole.txt");
        r.is(201).has("Content-Location", "/a/whole.txt");
        assert_eq!(s.read("html/a/whole.txt"), b"hello world");
        assert!(!s.exists("html/a/.webserv-upload-state"), "{:?}", names(&s, "html/a"));
        let whole = located(&r);
        let r = tus(&s, "HEAD", &whole, "", b"");
        r.is(200).has("Upload-Length", "11").has("Upload-Offset", "11");
        assert!(r.header("Upload-Concat").is_some_and(|value| value.starts_with("final;")), "{}", r.show());
        tus(&s, "PATCH", &whole, &format!("{OCTETS}Upload-Offset: 11\r\n"), b"x").is(403);
        tus(&s, "HEAD", &a, "", b"").is(410);
    });
    table.row(OURS, "many large parts, in the order that the final one names", || {
        let content = noise(9_000_001);
        let parts: Vec<String> = content.chunks(1_500_000).map(|piece| partial(&s, piece)).collect();
        let urls: Vec<&str> = parts.iter().map(String::as_str).collect();
        join(&s, &urls, "large.bin").is(201);
        assert!(s.read("html/a/large.bin") == content);
    });
    table.row(OURS, "what is no complete part is refused, and nothing is lost", || {
        let done = partial(&s, b"done");
        let fields = "Upload-Concat: partial\r\nUpload-Length: 9\r\n";
        let open = located(tus(&s, "POST", "/a/", fields, b"").is(201));
        let own = create(&s, "own.txt", 3);
        let none = format!("/a/?webserv-upload={}", "0".repeat(32));
        for (urls, why) in [
            (vec![&done[..], &open[..]], "number 2 of Upload-Concat is not a complete partial upload"),
            (vec![&own[..]], "number 1 of Upload-Concat is not a complete partial upload"),
            (vec![&none[..]], "no such upload as number 1"),
            (vec![&done[..], &done[..]], "twice"),
            (vec!["/a/x"], "not an upload of this server"),
            (vec![], "names no uploads"),
        ] {
            join(&s, &urls, "refused.txt").is(400).contains(why);
        }
        let fields = format!("Upload-Concat: final;{done}\r\nUpload-Length: 4\r\n");
        tus(&s, "POST", "/a/", &fields, b"").is(400);
        tus(&s, "POST", "/a/", "Upload-Concat: both\r\nUpload-Length: 4\r\n", b"").is(400);
        assert!(!s.exists("html/a/refused.txt"));
        patch(&s, &open, 0, b" and open").is(204);
        join(&s, &[&done, &open], "kept.txt").is(201);
        assert_eq!(s.read("html/a/kept.txt"), b"done and open");
        tus(&s, "DELETE", &own, "", b"").is(204);
    });
    table.row(OURS, "the rules hold for the whole", || {
        let s = resumable("upload_max_file_size 10; upload_extensions txt; upload_quota 100;");
        let (a, b) = (partial(&s, b"123456"), partial(&s, b"7890ab"));
        join(&s, &[&a, &b], "x.txt").is(413);
        join(&s, &[&a], "x.exe").is(415);
        join(&s, &[&a], "x.txt").is(201);
        // The quota counts parts once: as parts, then as the file.
        let s = resumable("upload_quota 10;");
        let (a, b) = (partial(&s, b"12345"), partial(&s, b"67890"));
        join(&s, &[&a, &b], "all.txt").is(201);
        assert_eq!(s.read("html/a/all.txt"), b"1234567890");
    });
    table.row(OURS, "parts survive a killed server", || {
        let mut s = running(area_of("").restartable());
        let (a, b) = (partial(&s, b"one,"), partial(&s, b"two"));
        s.kill_and_restart();
        join(&s, &[&a, &b], "after.txt").is(201);
        assert_eq!(s.read("html/a/after.txt"), b"one,two");
    });
}

#[test]
fn a_checksum_in_the_trailers_counts() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let send = |s: &Server, target: &str, announce: &str, checksum: &str| {
        let mut client = s.client();
        client.send(format!(
            "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n{announce}\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{checksum}\r\n"
        ));
        client.response()
    };
    const RIGHT: &str = "Upload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n";
    const WRONG: &str = "Upload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n";
    let mut table = Table::new("checksum-trailer");
    for announce in ["Trailer: Upload-Checksum\r\n", ""] {
        table.row(OURS, &format!("right and wrong, {announce:?}"), || {
            let target = create(&s, "trailer.txt", 5);
            send(&s, &target, announce, WRONG).is(460);
            tus(&s, "HEAD", &target, "", b"").is(200).has("Upload-Offset", "0");
            send(&s, &target, announce, "Upload-Checksum: crc32 AAAA\r\n").is(400);
            send(&s, &target, announce, RIGHT).is(204).has("Upload-Offset", "5");
            assert_eq!(s.read("html/a/trailer.txt"), b"hello");
            s.method("DELETE", "/a/trailer.txt", "", b"").is(204);
        });
    }
    table.row(OURS, "where one is required, the announced one has to come", || {
        let s = resumable("upload_verify_digest require;");
        let target = create(&s, "required.txt", 5);
        send(&s, &target, "", "").is(400);
        send(&s, &target, "Trailer: Upload-Checksum\r\n", "").is(400);
        send(&s, &target, "Trailer: Upload-Checksum\r\n", RIGHT).is(204);
    });
    table.row(OURS, "what is announced and never comes does not count", || {
        let target = create(&s, "cut.txt", 10);
        let mut client = s.client();
        client.send(format!(
            "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n\
             Trailer: Upload-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        ));
        eventually("the bytes are there", || {
            let parts = names(&s, "html/a/.webserv-upload-state");
            parts.iter().any(|name| {
                name.ends_with(".part") && s.read(&format!("html/a/.webserv-upload-state/{name}")).len() == 5
            })
        });
        drop(client);
        tus(&s, "HEAD", &target, "", b"").is(200).has("Upload-Offset", "0");
    });
}

#[test]
fn a_folder_keeps_its_paths() {
    if skip_on_nginx("uploads") {
        return;
    }
    let creates = |s: &Server, path: &str, name: &str| {
        let fields = format!(
            "Upload-Length: 3\r\n{OCTETS}Upload-Metadata: relativePath {},filename {}\r\n",
            base64(path.as_bytes()),
            base64(name.as_bytes())
        );
        tus(s, "POST", "/a/", &fields, b"abc")
    };
    let mut table = Table::new("relativePath");
    table.row(OURS, "directories are made with upload_create_path", || {
        let s = resumable("upload_create_path on;");
        let r = creates(&s, "album/é 1/x.jpg", "x.jpg");
        r.is(201).has("Content-Location", "/a/album/%C3%A9%201/x.jpg");
        assert_eq!(s.read("html/a/album/é 1/x.jpg"), b"abc");
        creates(&s, "/album/y.jpg", "y.jpg").is(201);
        assert_eq!(s.read("html/a/album/y.jpg"), b"abc");
        for path in ["null", "z.jpg", ""] {
            creates(&s, path, "z.jpg").is(201);
            s.method("DELETE", "/a/z.jpg", "", b"").is(204);
        }
        for path in ["../x/z.jpg", "a/../../z.jpg", ".git/hooks/z.jpg", "a/.webserv-upload-state/z"] {
            creates(&s, path, "z.jpg").is(400);
        }
        assert!(!s.exists("html/a/a") && !s.exists("html/z.jpg"));
    });
    table.row(OURS, "in pieces, with nothing seen before the end", || {
        let s = resumable("upload_create_path on;");
        let fields = format!(
            "Upload-Length: 4\r\nUpload-Metadata: relativePath {},name {}\r\n",
            base64(b"deep/er/x"),
            base64(b"x")
        );
        let target = located(tus(&s, "POST", "/a/", &fields, b"").is(201));
        patch(&s, &target, 0, b"ab").is(204);
        assert!(!s.exists("html/a/deep"));
        patch(&s, &target, 2, b"cd").is(204).has("Content-Location", "/a/deep/er/x");
        assert_eq!(s.read("html/a/deep/er/x"), b"abcd");
    });
    table.row(OURS, "without it a folder is refused, as that of a form is", || {
        let s = resumable("");
        creates(&s, "album/x.jpg", "x.jpg").is(400);
        creates(&s, "x.jpg", "x.jpg").is(201).has("Content-Location", "/a/x.jpg");
    });
}

#[test]
fn a_folder_without_its_slash_loses_no_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(area_of("").mkdir("html/a/sub"));
    let mut table = Table::new("no slash");
    for target in ["/a", "/a/sub"] {
        let taken = |r: &Response, s: &Server| match r.status {
            201 => true,
            308 => {
                assert_eq!(located(r), format!("{target}/"), "{}", r.show());
                assert!(names(s, "html/a/sub").is_empty());
                false
            }
            _ => panic!("{}", r.show()),
        };
        table.row(OURS, &format!("a raw body to {target}"), || {
            taken(&s.method("POST", target, "Content-Type: text/plain\r\n", b"x"), &s);
        });
        table.row(OURS, &format!("a form to {target}"), || {
            let name = format!("form{}.txt", target.len());
            if taken(&post_form(&s, target, &form(&[file(&name, b"x")])), &s) {
                assert!(s.exists(&format!("html{target}/{name}")));
                s.method("DELETE", &format!("{target}/{name}"), "", b"").is(204);
            }
        });
        table.row(OURS, &format!("creations to {target}"), || {
            let name = format!("tus{}.txt", target.len());
            let r = tus(&s, "POST", target, &format!("Upload-Length: 1\r\n{OCTETS}{}", filename(&name)), b"x");
            if taken(&r, &s) {
                assert!(s.exists(&format!("html{target}/{name}")));
                s.method("DELETE", &format!("{target}/{name}"), "", b"").is(204);
            }
            taken(&tus(&s, "POST", target, &format!("Upload-Length: 1\r\n{OCTETS}"), b"x"), &s);
            taken(&s.method("POST", target, "Upload-Complete: ?0\r\nUpload-Length: 9\r\n", b"x"), &s);
        });
    }
    table.row(OURS, "an area whose directory has another name", || {
        let other = format!(
            "location /other/ {{ alias {}/; allowed_methods GET POST; upload_resumable on; }}
             location /outer {{ allowed_methods GET POST; }} location /outer/ {{ allowed_methods GET POST; }}
             location /read/ {{ allowed_methods GET; }}",
            s.path("html/a/sub").display()
        );
        let s = running(server(&other).file("html/index.html", "index"));
        for fields in ["Content-Type: text/plain\r\n", "Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\n"] {
            let r = s.method("POST", "/other", fields, b"");
            assert_eq!(located(r.is(308)), "/other/");
            s.method("POST", "/read", fields, b"").is_one_of(&[404, 405]);
        }
        assert_ne!(s.method("POST", "/outer", "Content-Type: text/plain\r\n", b"x").status, 308, "that is its own");
    });
    table.row(OURS, "PUT names a file, which a folder is not", || {
        s.method("PUT", "/a/sub", "", b"x").is(409);
    });
}

/// 900 partial uploads of a byte took 60 MB and 1800 files under `upload_quota 1m files=3`.
#[test]
fn parts_without_end_do_not_fill_the_disk_beyond_a_quota() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_quota 1m files=3;");
    let begin = || tus(&s, "POST", "/a/", "Upload-Concat: partial\r\nUpload-Length: 1\r\n", b"");
    let mut targets: Vec<String> = (0..64).map(|_| located(begin().is(201))).collect();
    begin().is(507);
    assert_eq!(names(&s, "html/a/.webserv-upload-state").len(), 128);
    // What is there goes on, and what ends makes room.
    patch(&s, &targets[0], 0, b"1").is(204);
    let ended = targets.pop().expect("64 were begun");
    tus(&s, "DELETE", &ended, "", b"").is(204);
    begin().is(201);
    join(&s, &[&targets[0]], "whole").is(201);
    assert_eq!(s.read("html/a/whole"), b"1");
}

#[test]
fn a_creation_whose_record_would_be_larger_than_32_kib_is_refused() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let metadata = |more: usize| {
        let line = |n: usize| format!("Upload-Metadata: field{n} {}\r\n", base64(&vec![b'~'; more]));
        let fields: String = (0..3).map(line).collect();
        tus(&s, "POST", "/a/", &format!("Upload-Length: 1\r\n{}{fields}", filename("a")), b"")
    };
    metadata(1000).is(201);
    metadata(5500).is(431);
}
