//! Resumable uploads by the IETF draft Resumable Uploads for HTTP.

use super::resumable::{area_of, resumable};
use super::resumable_parts::names;
use super::*;

pub const VERSION: &str = "Upload-Draft-Interop-Version: 8\r\n";
pub const PARTIAL: &str = "Content-Type: application/partial-upload\r\n";

/// Makes an upload and sends a first part of it; gives its target.
#[track_caller]
pub fn begin(s: &Server, target: &str, fields: &str, body: &[u8]) -> String {
    let r = s.method("POST", target, &format!("Upload-Complete: ?0\r\n{fields}"), body);
    r.is(201).has("Upload-Complete", "?0").has("Upload-Offset", &body.len().to_string());
    assert!(r.header("Upload-Limit").is_some());
    located(&r)
}

#[track_caller]
pub fn append(s: &Server, target: &str, offset: usize, complete: bool, body: &[u8]) -> Response {
    let flag = u8::from(complete);
    s.method("PATCH", target, &format!("{PARTIAL}Upload-Offset: {offset}\r\nUpload-Complete: ?{flag}\r\n"), body)
}

#[track_caller]
pub fn offset(s: &Server, target: &str) -> usize {
    let r = s.method("HEAD", target, "", b"");
    r.is(204).has("Cache-Control", "no-store").has("Upload-Complete", "?0");
    assert!(r.header("Upload-Limit").is_some());
    r.header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset")
}

#[test]
fn the_draft_goes_on_where_it_stopped() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("the draft");
    draft_limits_and_104(&mut table, &s);
    draft_in_parts(&mut table, &s);
    draft_ends_and_offsets(&mut table, &s);
}

fn draft_limits_and_104(table: &mut Table, s: &Server) {
    table.row(OURS, "OPTIONS tells the limits", || {
        s.method("OPTIONS", "/a/", "", b"").is(204).has("Upload-Limit", "max-append-size=10485760, max-age=86400");
        let s = running(
            server(
                "client_max_body_size 0; location /a/ { allowed_methods POST; upload_resumable rufh; upload_resumable_max_age 0;
                   location /a/b/ { upload_max_file_size 5g; } }",
            )
            .file("html/index.html", ""),
        );
        s.method("OPTIONS", "/a/", "", b"").is(204).has("Upload-Limit", "min-size=0").lacks("Tus-Version");
        s.method("OPTIONS", "/a/b/", "", b"").is(204).has("Upload-Limit", "max-size=5368709120");
    });
    table.row(OURS, "all at once: 104 that names the upload, then the answer of a plain upload", || {
        let mut client = s.client();
        client.send(format!(
            "POST /a/whole.txt HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 5\r\n\r\n"
        ));
        let interim = client.response();
        interim
            .is(104)
            .has("Upload-Draft-Interop-Version", "8")
            .has("Upload-Limit", "max-append-size=10485760, max-age=86400");
        let target = located(&interim);
        client.send("hello");
        let r = client.response();
        r.is(201).has("Upload-Complete", "?1").contains("/a/whole.txt");
        assert_eq!(located(&r), "/a/whole.txt");
        let got = client.get("/a/whole.txt");
        got.is(200).body_is("hello");
        assert_eq!(got.header("ETag"), r.header("ETag"));
        let r = s.method("HEAD", &target, "", b"");
        r.is(204).has("Upload-Complete", "?1").has("Upload-Offset", "5").has("Upload-Length", "5");
    });
    table.row(OURS, "100-continue comes after the 104, not in its place", || {
        let mut client = s.client();
        client.send(format!(
            "PUT /a/expected.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n"
        ));
        client.response().is(104);
        client.response().is(100);
        client.send("hello").response().is(201);
    });
    table.row(OURS, "a 104 is only for who knows its version, and goes unsaid else", || {
        for version in ["", "Upload-Draft-Interop-Version: 2\r\n", "Upload-Draft-Interop-Version: x\r\n"] {
            let fields = format!("Upload-Complete: ?1\r\n{version}");
            s.method("PUT", "/a/plain.txt", &fields, b"plain").is_one_of(&[201, 204]);
            let target = begin(s, "/a/", version, b"part");
            assert_eq!(offset(s, &target), 4);
            s.method("DELETE", &target, "", b"").is(204);
        }
        let mut client = s.client();
        client.send(
            "POST /a/old.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 6\r\nContent-Length: 1\r\n\r\nx",
        );
        client.response().is(104).has("Upload-Draft-Interop-Version", "6");
        client.response().is(201);
        let r = s.send(format!("POST /a/1.0 HTTP/1.0\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 1\r\n\r\nx"));
        r.is(201);
    });
}

fn draft_in_parts(table: &mut Table, s: &Server) {
    table.row(OURS, "fields of another type are ignored", || {
        for field in ["Upload-Complete: 1\r\n", "Upload-Complete: true\r\n", "Upload-Complete: ?2\r\n"] {
            s.method("PUT", "/a/ignored.txt", &format!("{VERSION}{field}"), b"x")
                .is_one_of(&[201, 204])
                .lacks("Upload-Offset");
        }
        let fields = format!("Upload-Complete: ?0\r\nUpload-Length: x\r\n{VERSION}");
        let mut client = s.client();
        client.send(request_bytes("POST", "/a/", &fields, b"abc"));
        client.response().is(104);
        let target = located(client.response().is(201));
        s.method("HEAD", &target, "", b"").is(204).lacks("Upload-Length");
        s.method("DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "in parts", || {
        let target = begin(s, "/a/parts.txt", "Upload-Length: 10\r\n", b"012");
        let r = s.method("HEAD", &target, "", b"");
        r.is(204).has("Upload-Length", "10");
        let limit = r.header("Upload-Limit").unwrap_or_default();
        assert!(limit.starts_with("max-append-size=10485760, max-age=86"), "{limit}");
        append(s, &target, 3, false, b"3456").is(204).has("Upload-Complete", "?0").has("Upload-Offset", "7");
        s.get(&target).is(204).has("Upload-Offset", "7");
        assert!(!s.exists("html/a/parts.txt"));
        let r = append(s, &target, 7, true, b"789");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(located(&r), "/a/parts.txt");
        assert_eq!(s.read("html/a/parts.txt"), b"0123456789");
        assert!(!s.exists("html/a/.webserv-upload-state"));
    });
    table.row(OURS, "nothing first, nothing last", || {
        let target = begin(s, "/a/", "Content-Disposition: inline; filename=\"careful.txt\"\r\n", b"");
        append(s, &target, 0, false, b"careful").is(204);
        append(s, &target, 7, false, b"").is(204).has("Upload-Offset", "7");
        append(s, &target, 7, true, b"").is(201);
        assert_eq!(s.read("html/a/careful.txt"), b"careful");
    });
    table.row(OURS, "PUT replaces, and answers so", || {
        s.write("html/a/put.txt", "old!");
        let r = s.method("PUT", "/a/put.txt", "Upload-Complete: ?0\r\n", b"ne");
        let target = located(r.is(201));
        s.get("/a/put.txt").is(200).body_is("old!");
        append(s, &target, 2, true, b"w").is(204).has("Upload-Complete", "?1");
        s.get("/a/put.txt").is(200).body_is("new");
    });
}

fn draft_ends_and_offsets(table: &mut Table, s: &Server) {
    table.row(OURS, "the end is answered again when its answer was lost", || {
        let target = begin(s, "/a/lost.txt", "", b"lo");
        append(s, &target, 2, true, b"st").is(201);
        let r = append(s, &target, 4, true, b"");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(located(&r), "/a/lost.txt");
        let r = append(s, &target, 4, true, b"x");
        r.is(400).has("Content-Type", "application/problem+json").contains("#completed-upload");
        assert_eq!(s.read("html/a/lost.txt"), b"lost");
    });
    table.row(OURS, "cancelled", || {
        let target = begin(s, "/a/cancelled.txt", "", b"x");
        s.method("DELETE", &target, "", b"").is(204);
        s.method("HEAD", &target, "", b"").is(410);
        append(s, &target, 1, false, b"x").is(410);
    });
    table.row(OURS, "offsets on the way", || {
        let s = running(area_of("client_max_body_size 0;"));
        let content = noise(40 << 20);
        let mut client = s.client();
        client.send(format!(
            "POST /a/way.bin HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: {}\r\n\r\n",
            content.len()
        ));
        client.response().is(104);
        client.send(&content);
        let mut last = 0;
        let r = loop {
            let r = client.response();
            if r.status != 104 {
                break r;
            }
            r.lacks("Location");
            let offset: usize = r.header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset");
            assert!(offset > last && offset <= content.len(), "{offset} after {last}");
            last = offset;
        };
        r.is(201);
        assert!(last > 0, "some offset was told");
        assert!(s.read("html/a/way.bin") == content);
    });
}

pub fn request_bytes(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    crate::harness::request(method, target, fields, body)
}

/// Interop versions 3 to 8 from the first request to the last, by their own words.
#[test]
fn each_version_of_the_draft_is_spoken() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("interop versions");
    for version in 3..=8 {
        table.row(OURS, &format!("version {version}"), || {
            let complete = |is: bool| match version {
                3 => format!("Upload-Incomplete: ?{}\r\n", u8::from(!is)),
                _ => format!("Upload-Complete: ?{}\r\n", u8::from(is)),
            };
            let version_line = format!("Upload-Draft-Interop-Version: {version}\r\n");
            let name = format!("/a/v{version}.txt");
            let mut client = s.client();
            // All at once, and cut: the 104 says where it goes on.
            let head = format!(
                "POST {name} HTTP/1.1\r\nHost: a\r\n{version_line}{}Content-Length: 10\r\n\r\nhello",
                complete(true)
            );
            client.send(head);
            let interim = client.response();
            interim.is(104).has("Upload-Draft-Interop-Version", &version.to_string());
            let target = located(&interim);
            drop(client);
            let offset = eventually_offset(&s, &target, &version_line, 5);
            offset.is(204).has("Upload-Complete", "?0");
            if version == 3 {
                offset.has("Upload-Incomplete", "?1");
                // As where a proxy has taken the version's name away.
                s.method("HEAD", &target, "", b"").is(204).has("Upload-Incomplete", "?1");
            }
            let kind = if version >= 6 { PARTIAL } else { "" };
            let fields = format!("{version_line}{kind}Upload-Offset: 5\r\n{}", complete(true));
            let r = s.method("PATCH", &target, &fields, b"world");
            r.is(201).has("Upload-Complete", "?1");
            assert_eq!(s.read(&format!("html{name}")), b"helloworld");
            if version == 3 {
                r.has("Upload-Incomplete", "?0");
            }
        });
    }
}

/// A proxy in front may take the version's name away, or empty it, and leave the field that tells of a part.
#[test]
fn a_part_does_not_replace_the_file_whatever_version_is_named() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("Upload-Incomplete");
    s.write("html/a/whole.txt", b"whole");
    for version in ["", "Upload-Draft-Interop-Version:\r\n", "Upload-Draft-Interop-Version: 2\r\n"] {
        table.row(OURS, &format!("beside {version:?}"), || {
            let fields = format!("{version}Upload-Incomplete: ?1\r\n");
            s.method("PUT", "/a/whole.txt", &fields, b"abc").is(201).has("Upload-Incomplete", "?1");
            assert_eq!(s.read("html/a/whole.txt"), b"whole");
        });
    }
}

/// HEAD, as soon as all bytes that were sent are there.
fn eventually_offset(s: &Server, target: &str, fields: &str, expected: usize) -> Response {
    let mut last = None;
    eventually("all bytes are there", || {
        let r = s.method("HEAD", target, fields, b"");
        let there = r.header("Upload-Offset") == Some(expected.to_string().as_str());
        last = Some(r);
        there
    });
    last.expect("it was asked")
}

/// The length that a client declares is the end, also for clients that never say `Upload-Complete: ?1`.
#[test]
fn the_declared_length_completes_an_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("declared length");
    table.row(OURS, "with the creation", || {
        let r = s.method("POST", "/a/one.txt", "Upload-Complete: ?0\r\nUpload-Length: 3\r\n", b"abc");
        r.is(201).has("Upload-Complete", "?1").has("Upload-Offset", "3");
        assert_eq!(s.read("html/a/one.txt"), b"abc");
        let r = s.method("POST", "/a/none.txt", "Upload-Complete: ?0\r\nUpload-Length: 0\r\n", b"");
        r.is(201).has("Upload-Complete", "?1");
        assert_eq!(s.read("html/a/none.txt"), b"");
    });
    table.row(OURS, "with the last part, and a last empty one is no error", || {
        let target = begin(&s, "/a/two.txt", "Upload-Length: 6\r\n", b"abc");
        append(&s, &target, 3, false, b"def").is(201).has("Upload-Complete", "?1").has("Upload-Offset", "6");
        assert_eq!(s.read("html/a/two.txt"), b"abcdef");
        append(&s, &target, 6, true, b"").is(201).has("Upload-Complete", "?1");
        s.method("HEAD", &target, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "6");
    });
    table.row(OURS, "chunked, and the digest of the whole is compared all the same", || {
        let chunked = |s: &Server, target: &str| {
            let mut client = s.client();
            client.send(format!(
                "PATCH {target} HTTP/1.1\r\nHost: a\r\n{PARTIAL}Upload-Offset: 3\r\nUpload-Complete: ?0\r\n\
                 Transfer-Encoding: chunked\r\n\r\n2\r\nlo\r\n0\r\n\r\n"
            ));
            client.response()
        };
        let digest = "Repr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\r\nUpload-Length: 5\r\n";
        let target = begin(&s, "/a/right.txt", digest, b"hel");
        chunked(&s, &target).is(201).has("Upload-Complete", "?1");
        assert_eq!(s.read("html/a/right.txt"), b"hello");
        let target = begin(&s, "/a/wrong.txt", digest, b"hal");
        chunked(&s, &target).is(400);
        assert!(!s.exists("html/a/wrong.txt"));
    });
    table.row(OURS, "asked for after a server died before it named the file", || {
        let mut s = running(area_of("").restartable());
        let target = begin(&s, "/a/died.txt", "Upload-Length: 6\r\n", b"abc");
        let home = "html/a/.webserv-upload-state";
        let part = names(&s, home).into_iter().find(|name| name.ends_with(".part")).expect("its bytes");
        // As a server leaves it that dies between the last byte and the name.
        s.write(&format!("{home}/{part}"), b"abcdef");
        s.kill_and_restart();
        s.method("HEAD", &target, "", b"").is(204).has("Upload-Complete", "?1").has("Upload-Offset", "6");
        assert_eq!(s.read("html/a/died.txt"), b"abcdef");
    });
}

#[test]
fn a_put_of_dav_methods_may_be_resumable() {
    if skip_on_nginx("uploads") {
        return;
    }
    let locations = "location /a/ { dav_methods PUT DELETE; upload_resumable on; }
                     location /locked/ { dav_methods PUT; dav_ext_methods PROPFIND LOCK UNLOCK; dav_ext_lock zone=z; upload_resumable on; }";
    let block = format!(
        "dav_ext_lock_zone zone=z:1m;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; {locations} }}"
    );
    let s = running(http(&block).file("html/index.html", "").mkdir("html/a").mkdir("html/locked"));
    let mut client = s.client();
    client.send(format!(
        "PUT /a/x.txt HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{VERSION}Content-Length: 10\r\n\r\nhello"
    ));
    let target = located(client.response().is(104));
    drop(client);
    eventually_offset(&s, &target, VERSION, 5);
    append(&s, &target, 5, true, b"world").is(201);
    assert_eq!(s.read("html/a/x.txt"), b"helloworld");
    s.method("LOCK", "/locked/y.txt", "Depth: 0\r\n", LOCKINFO).is_one_of(&[200, 201]);
    s.method("PUT", "/locked/y.txt", "Upload-Complete: ?0\r\n", b"part").is(423);
    s.method("PUT", "/a/dir/", "Upload-Complete: ?0\r\n", b"part").is(409);
}
