//! Resumable uploads in tus 1.0.0: each status of the protocol and its extensions, and that every rule of uploads holds
//! for what comes in pieces.

use super::*;

/// A server whose one upload area `/a/` takes resumable uploads.
pub fn area_of(settings: &str) -> Setup {
    let block = format!(
        "client_max_body_size 10m;
         location /a/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; {settings} }}
         location /plain/ {{ allowed_methods GET POST DELETE; }}"
    );
    server(&block).file("html/index.html", "index").mkdir("html/a").mkdir("html/plain").mkdir("elsewhere")
}

pub fn resumable(settings: &str) -> Server {
    running(area_of(settings))
}

/// A request of tus.
#[track_caller]
pub fn tus(s: &Server, method: &str, target: &str, fields: &str, body: &[u8]) -> Response {
    s.method(method, target, &format!("Tus-Resumable: 1.0.0\r\n{fields}"), body)
}

pub const OCTETS: &str = "Content-Type: application/offset+octet-stream\r\n";

/// Makes an upload of that many bytes in `/a/`; gives its target.
#[track_caller]
pub fn create(s: &Server, name: &str, length: usize) -> String {
    let r = tus(s, "POST", "/a/", &format!("Upload-Length: {length}\r\n{}", filename(name)), b"");
    r.is(201).has("Tus-Resumable", "1.0.0");
    located(&r)
}

pub fn filename(name: &str) -> String {
    format!("Upload-Metadata: filename {}\r\n", base64(name.as_bytes()))
}

#[track_caller]
pub fn patch(s: &Server, target: &str, offset: usize, body: &[u8]) -> Response {
    tus(s, "PATCH", target, &format!("{OCTETS}Upload-Offset: {offset}\r\n"), body)
}

/// The offset that HEAD tells.
#[track_caller]
pub fn offset(s: &Server, target: &str) -> usize {
    let r = tus(s, "HEAD", target, "", b"");
    r.is(200).has("Cache-Control", "no-store");
    r.header("Upload-Offset").and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no offset in {}", r.show()))
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |n: u32| char::from(DIGITS[(n & 63) as usize]);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        let all = [digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)];
        text.extend(&all[..=three.len()]);
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

const STATE: &str = "html/a/.webserv-upload-state";

#[test]
fn tus_goes_on_where_it_stopped() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("tus");
    tus_in_pieces(&mut table, &s);
    tus_content(&mut table, &s);
    tus_lengths_that_come_later(&mut table, &s);
    tus_names_and_methods(&mut table, &s);
}

fn tus_in_pieces(table: &mut Table, s: &Server) {
    table.row(OURS, "OPTIONS tells what there is", || {
        let r = s.method("OPTIONS", "/a/", "", b"");
        r.is(204).has("Tus-Version", "1.0.0").has("Tus-Resumable", "1.0.0").lacks("Tus-Max-Size");
        let extensions = r.header("Tus-Extension").unwrap_or_default();
        for name in [
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "termination",
            "checksum",
            "checksum-trailer",
            "concatenation",
            "expiration",
        ] {
            assert!(extensions.split(',').any(|other| other == name), "{name} in {extensions}");
        }
        assert!(r.header("Tus-Checksum-Algorithm").is_some_and(|list| list.split(',').any(|name| name == "sha1")));
        s.method("OPTIONS", "/plain/", "", b"").is(204).lacks("Tus-Version").lacks("Upload-Limit");
        // The version is not looked at.
        s.method("OPTIONS", "/a/", "Tus-Resumable: 0.1\r\n", b"").is(204);
    });
    table.row(OURS, "in three pieces, and nothing is seen before the last", || {
        let target = create(s, "three.txt", 10);
        assert_eq!(offset(s, &target), 0);
        patch(s, &target, 0, b"012").is(204).has("Upload-Offset", "3").has("Tus-Resumable", "1.0.0");
        assert_eq!(offset(s, &target), 3);
        patch(s, &target, 3, b"3456").is(204).has("Upload-Offset", "7");
        assert!(!s.exists("html/a/three.txt"));
        let r = patch(s, &target, 7, b"789");
        r.is(204).has("Upload-Offset", "10").has("Content-Location", "/a/three.txt").lacks("Upload-Expires");
        let got = s.get("/a/three.txt");
        got.is(200).body_is("0123456789");
        assert_eq!(got.header("ETag"), r.header("ETag"));
        assert!(!s.exists(STATE), "nothing is left of it");
    });
    table.row(OURS, "HEAD tells all that is known", || {
        let target = create(s, "head.txt", 10);
        let r = tus(s, "HEAD", &target, "", b"");
        r.is(200).has("Upload-Offset", "0").has("Upload-Length", "10").has("Tus-Resumable", "1.0.0");
        r.has("Upload-Metadata", &format!("filename {}", base64(b"head.txt"))).lacks("Upload-Defer-Length");
        assert!(r.header("Upload-Expires").is_some_and(|date| date.ends_with(" GMT")), "{}", r.show());
        // A browser may ask, which does not say the version.
        s.method("HEAD", &target, "", b"").is(200).has("Upload-Offset", "0");
        s.get(&target).is(200).has("Upload-Offset", "0");
        tus(s, "DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "a stored upload is still known, and its end may be asked for again", || {
        let target = create(s, "again.txt", 3);
        patch(s, &target, 0, b"abc").is(204);
        assert_eq!(offset(s, &target), 3);
        patch(s, &target, 3, b"").is(204).has("Upload-Offset", "3");
        patch(s, &target, 3, b"d").is(409);
        tus(s, "DELETE", &target, "", b"").is(204);
        tus(s, "HEAD", &target, "", b"").is(410);
        assert_eq!(s.read("html/a/again.txt"), b"abc");
    });
}

fn tus_content(table: &mut Table, s: &Server) {
    table.row(OURS, "chunked content, byte by byte", || {
        let target = create(s, "chunked.txt", 11);
        let mut client = s.client();
        let text = format!(
            "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        );
        client.send_split(text.as_bytes(), 1..text.len());
        client.response().is(204).has("Upload-Offset", "11");
        assert_eq!(s.read("html/a/chunked.txt"), b"hello world");
        client.expect_alive("/a/chunked.txt", 200);
    });
    table.row(OURS, "an empty file is stored at once", || {
        let r = tus(s, "POST", "/a/", &format!("Upload-Length: 0\r\n{}", filename("empty.txt")), b"");
        r.is(201).has("Upload-Offset", "0").has("Content-Location", "/a/empty.txt");
        assert_eq!(s.read("html/a/empty.txt"), b"");
        assert_eq!(offset(s, &located(&r)), 0);
    });
    table.row(OURS, "content with the creation, a part and all of it", || {
        let head = format!("Upload-Length: 10\r\n{OCTETS}{}", filename("with.txt"));
        let r = tus(s, "POST", "/a/", &head, b"01234");
        r.is(201).has("Upload-Offset", "5");
        patch(s, &located(&r), 5, b"56789").is(204);
        assert_eq!(s.read("html/a/with.txt"), b"0123456789");
        let head = format!("Upload-Length: 3\r\n{OCTETS}{}", filename("with-all.txt"));
        tus(s, "POST", "/a/", &head, b"abc").is(201).has("Upload-Offset", "3");
        assert_eq!(s.read("html/a/with-all.txt"), b"abc");
    });
    table.row(OURS, "100-continue is sent, then the content taken", || {
        let target = create(s, "expect.txt", 3);
        let mut client = s.client();
        client.send(format!(
            "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 0\r\n\
             Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        ));
        client.response().is(100);
        client.send("abc").response().is(204);
    });
}

fn tus_lengths_that_come_later(table: &mut Table, s: &Server) {
    table.row(OURS, "a length that comes later", || {
        let head = format!("Upload-Defer-Length: 1\r\n{}", filename("later.txt"));
        let r = tus(s, "POST", "/a/", &head, b"");
        let target = located(r.is(201));
        tus(s, "HEAD", &target, "", b"").is(200).has("Upload-Defer-Length", "1").lacks("Upload-Length");
        patch(s, &target, 0, b"012").is(204).has("Upload-Offset", "3");
        let with = |offset: usize, length: &str, body: &[u8]| {
            let fields = format!("{OCTETS}Upload-Offset: {offset}\r\nUpload-Length: {length}\r\n");
            tus(s, "PATCH", &target, &fields, body)
        };
        with(3, "2", b"").is(400);
        with(3, "x", b"").is(400);
        with(3, "6", b"34").is(204).has("Upload-Offset", "5");
        tus(s, "HEAD", &target, "", b"").is(200).has("Upload-Length", "6").lacks("Upload-Defer-Length");
        with(5, "7", b"5").is(400);
        with(5, "6", b"5").is(204);
        assert_eq!(s.read("html/a/later.txt"), b"012345");
    });
    table.row(OURS, "a deferred length that turns out to be what is there", || {
        let head = format!("Upload-Defer-Length: 1\r\n{OCTETS}{}", filename("later-end.txt"));
        let target = located(tus(s, "POST", "/a/", &head, b"012").is(201));
        let fields = format!("{OCTETS}Upload-Offset: 3\r\nUpload-Length: 3\r\n");
        tus(s, "PATCH", &target, &fields, b"").is(204).has("Upload-Offset", "3");
        assert_eq!(s.read("html/a/later-end.txt"), b"012");
    });
}

fn tus_names_and_methods(table: &mut Table, s: &Server) {
    table.row(OURS, "cancelled", || {
        let target = create(s, "cancelled.txt", 10);
        patch(s, &target, 0, b"012").is(204);
        tus(s, "DELETE", &target, "", b"").is(204).has("Tus-Resumable", "1.0.0");
        for method in ["HEAD", "DELETE"] {
            tus(s, method, &target, "", b"").is(410).lacks("Upload-Offset");
        }
        patch(s, &target, 3, b"3").is(410);
        assert!(!s.exists(STATE) && !s.exists("html/a/cancelled.txt"));
    });
    table.row(OURS, "POST that means PATCH, or DELETE", || {
        let target = create(s, "override.txt", 3);
        let fields = format!("X-HTTP-Method-Override: PATCH\r\n{OCTETS}Upload-Offset: 0\r\n");
        tus(s, "POST", &target, &fields, b"ab").is(204).has("Upload-Offset", "2");
        tus(s, "POST", &target, "X-HTTP-Method-Override: DELETE\r\n", b"").is(204);
        tus(s, "HEAD", &target, "", b"").is(410);
    });
    table.row(OURS, "another argument stays in the upload's URI", || {
        let r = tus(s, "POST", "/a/?x=y%20z", &format!("Upload-Length: 1\r\n{}", filename("args.txt")), b"");
        let target = located(r.is(201));
        assert!(target.starts_with("/a/?x=y%20z&webserv-upload="), "{target}");
        patch(s, &target, 0, b"x").is(204);
    });
    table.row(OURS, "to a URI that names the file", || {
        let r = tus(s, "POST", "/a/named%20by%20uri.txt", "Upload-Length: 1\r\n", b"");
        patch(s, &located(r.is(201)), 0, b"x").is(204);
        assert_eq!(s.read("html/a/named by uri.txt"), b"x");
    });
    table.row(OURS, "without a name: Content-Location says", || {
        let r = tus(s, "POST", "/a/", "Upload-Length: 1\r\n", b"");
        let r = patch(s, &located(r.is(201)), 0, b"x");
        s.get(r.is(204).header("Content-Location").expect("it says")).is(200).body_is("x");
    });
    table.row(OURS, "a large file through the pipe", || {
        let content = noise(3_000_000);
        let target = create(s, "large.bin", content.len());
        patch(s, &target, 0, &content[..1_700_001]).is(204).has("Upload-Offset", "1700001");
        patch(s, &target, 1_700_001, &content[1_700_001..]).is(204);
        assert!(s.read("html/a/large.bin") == content);
    });
}

#[test]
fn tus_refuses_what_is_not_right() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s =
        resumable("upload_max_file_size 100; upload_extensions !.php; upload_types text/* application/octet-stream;");
    s.write("html/a/taken.txt", "old!");
    let before = disk(&s);
    let name = filename("x.txt");
    let mut table = Table::new("tus, refused");
    let rows: &[(&str, u16, String)] = &[
        ("no length", 400, name.clone()),
        ("a length that is none", 400, format!("Upload-Length: 1x\r\n{name}")),
        ("a negative length", 400, format!("Upload-Length: -1\r\n{name}")),
        ("a length and none", 400, format!("Upload-Length: 1\r\nUpload-Defer-Length: 1\r\n{name}")),
        ("a length deferred by another word", 400, format!("Upload-Defer-Length: 0\r\n{name}")),
        ("metadata that is not base64", 400, "Upload-Length: 1\r\nUpload-Metadata: filename ???\r\n".into()),
        ("metadata with a key twice", 400, "Upload-Length: 1\r\nUpload-Metadata: a YQ==,a YQ==\r\n".into()),
        ("a name that leads out", 400, format!("Upload-Length: 1\r\n{}", filename("../x"))),
        ("a name with a dot before", 400, format!("Upload-Length: 1\r\n{}", filename(".htaccess"))),
        ("an extension that may not be", 415, format!("Upload-Length: 1\r\n{}", filename("x.php"))),
        (
            "a type that may not be",
            415,
            format!(
                "Upload-Length: 1\r\nUpload-Metadata: filename {},filetype {}\r\n",
                base64(b"x"),
                base64(b"image/png")
            ),
        ),
        ("a file that is too large", 413, format!("Upload-Length: 101\r\n{name}")),
        ("a name that is taken", 409, format!("Upload-Length: 1\r\n{}", filename("taken.txt"))),
        ("parts that are none", 400, format!("Upload-Length: 1\r\nUpload-Concat: part\r\n{name}")),
        ("an unknown algorithm", 400, format!("Upload-Length: 1\r\nUpload-Checksum: crc99 AAAA\r\n{name}")),
    ];
    for (what, status, fields) in rows {
        table.row(OURS, what, || {
            tus(&s, "POST", "/a/", fields, b"").is(*status).has("Tus-Resumable", "1.0.0").lacks("Location");
            assert_eq!(before, disk(&s));
        });
    }
    table.row(OURS, "another version", || {
        for method in ["POST", "HEAD", "PATCH", "DELETE"] {
            let r = s.method(method, "/a/", &format!("Tus-Resumable: 0.2.2\r\nUpload-Length: 1\r\n{name}"), b"");
            r.is(412).has("Tus-Version", "1.0.0");
        }
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "content of another type with the creation", || {
        let fields = format!("Upload-Length: 5\r\nContent-Type: text/plain\r\n{name}");
        tus(&s, "POST", "/a/", &fields, b"hello").is(415);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "more content than the length with the creation", || {
        tus(&s, "POST", "/a/", &format!("Upload-Length: 4\r\n{OCTETS}{name}"), b"hello").is(413);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "an upload that is not there", || {
        let id = "0123456789abcdef0123456789abcdef";
        for target in [
            format!("/a/?webserv-upload={id}"),
            "/a/?webserv-upload=x".into(),
            "/a/?webserv-upload=".into(),
            "/a/x".into(),
        ] {
            tus(&s, "HEAD", &target, "", b"").is(404).lacks("Upload-Offset");
            patch(&s, &target, 0, b"x").is(404);
            tus(&s, "DELETE", &target, "", b"").is(404);
        }
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "requests that do not fit the upload", || {
        let target = create(&s, "fit.txt", 10);
        patch(&s, &target, 0, b"01234").is(204);
        let with = |fields: &str, body: &[u8]| tus(&s, "PATCH", &target, fields, body);
        with(&format!("{OCTETS}Upload-Offset: 4\r\n"), b"4").is(409);
        with(&format!("{OCTETS}Upload-Offset: 6\r\n"), b"6").is(409);
        with(OCTETS, b"5").is(400);
        with(&format!("{OCTETS}Upload-Offset: -5\r\n"), b"5").is(400);
        with("Upload-Offset: 5\r\n", b"5").is(415);
        with("Upload-Offset: 5\r\nContent-Type: text/plain\r\n", b"5").is(415);
        with(&format!("{OCTETS}Upload-Offset: 5\r\nUpload-Length: 9\r\n"), b"5").is(400);
        with(&format!("{OCTETS}Upload-Offset: 5\r\n"), b"567890").is(413);
        with(&format!("{OCTETS}Upload-Offset: 5\r\nUpload-Checksum: sha1 x\r\n"), b"5").is(400);
        with(&format!("{OCTETS}Upload-Offset: 5\r\nUpload-Checksum: crc99 AAAA\r\n"), b"5").is(400);
        let unversioned = s.method("PATCH", &target, &format!("{OCTETS}Upload-Offset: 5\r\n"), b"5");
        unversioned.is(412).has("Tus-Version", "1.0.0");
        s.method("DELETE", &target, "", b"").is(412);
        tus(&s, "PUT", &target, "", b"x").is(405).has("Allow", "HEAD, PATCH, DELETE, OPTIONS");
        assert_eq!(offset(&s, &target), 5);
        patch(&s, &target, 5, b"56789").is(204);
        assert_eq!(s.read("html/a/fit.txt"), b"0123456789");
        std::fs::remove_file(s.path("html/a/fit.txt")).expect("it is there");
    });
    table.row(OURS, "chunked content that is longer than the length", || {
        let target = create(&s, "long.txt", 10);
        let body = b"b\r\n01234567890\r\n0\r\n\r\n";
        let fields = format!("{OCTETS}Upload-Offset: 0\r\nTransfer-Encoding: chunked\r\n");
        tus(&s, "PATCH", &target, &fields, body).is(413);
        assert_eq!(offset(&s, &target), 0);
        tus(&s, "DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "more of a deferred length than a file may have", || {
        let target = located(tus(&s, "POST", "/a/", &format!("Upload-Defer-Length: 1\r\n{name}"), b"").is(201));
        patch(&s, &target, 0, &noise(60)).is(204);
        patch(&s, &target, 60, &noise(41)).is(413);
        assert_eq!(offset(&s, &target), 60);
        tus(&s, "DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "an upload by another URI than its own", || {
        let target = create(&s, "own.txt", 10);
        let id = target.rsplit('=').next().expect("an id");
        std::fs::create_dir(s.path("html/a/sub")).expect("mkdir");
        for other in ["/a/sub/", "/a/x", "/a"] {
            tus(&s, "HEAD", &format!("{other}?webserv-upload={id}"), "", b"").is_one_of(&[404, 301]);
        }
        tus(&s, "DELETE", &target, "", b"").is(204);
    });
    table.row(OURS, "where uploads are not resumable, or not allowed", || {
        tus(&s, "POST", "/plain/x", "Upload-Length: 5\r\n", b"plain").is(201).lacks("Tus-Resumable");
        assert_eq!(s.read("html/plain/x"), b"plain");
        tus(&s, "PATCH", "/plain/x", OCTETS, b"").is(405);
        let s = running(
            server("location /r/ { allowed_methods GET; upload_resumable on; }")
                .mkdir("html/r")
                .file("html/index.html", ""),
        );
        tus(&s, "POST", "/r/", "Upload-Length: 5\r\n", b"").is(405);
        tus(&s, "PATCH", "/r/?webserv-upload=0123456789abcdef0123456789abcdef", OCTETS, b"").is(405);
        s.method("OPTIONS", "/r/", "", b"").is(204).lacks("Tus-Version");
    });
}

#[test]
fn tus_checksums_count_before_the_bytes_do() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("tus checksums");
    let with = |target: &str, offset: usize, checksum: &str, body: &[u8]| {
        let fields = format!("{OCTETS}Upload-Offset: {offset}\r\nUpload-Checksum: {checksum}\r\n");
        tus(&s, "PATCH", target, &fields, body)
    };
    const HELLO: [&str; 3] = [
        "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        "sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "md5 XUFAKrxLKna5cZ2REBfFkg==",
    ];
    for (n, checksum) in HELLO.into_iter().enumerate() {
        table.row(OURS, &format!("{} that fits and does not", checksum.split(' ').next().unwrap_or_default()), || {
            let target = create(&s, &format!("sum{n}.txt"), 10);
            with(&target, 0, checksum, b"hallo").is(460).has("Tus-Resumable", "1.0.0");
            assert_eq!(offset(&s, &target), 0);
            with(&target, 0, checksum, b"hello").is(204).has("Upload-Offset", "5");
            with(&target, 5, checksum, b"jello").is(460);
            assert_eq!(offset(&s, &target), 5);
            with(&target, 5, checksum, b"hello").is(204).has("Upload-Offset", "10");
            assert_eq!(s.read(&format!("html/a/sum{n}.txt")), b"hellohello");
        });
    }
    table.row(OURS, "a piece that is cut is not compared, so it does not count", || {
        let target = create(&s, "cut.txt", 10);
        patch(&s, &target, 0, b"01").is(204);
        let mut client = s.client();
        client.send(format!(
            "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: 2\r\n\
             Upload-Checksum: {}\r\nContent-Length: 5\r\n\r\nhel",
            HELLO[0]
        ));
        client.half_close().rest();
        assert_eq!(offset(&s, &target), 2);
        with(&target, 2, HELLO[0], b"hello").is(204);
        // Without one, what is there counts again.
        patch(&s, &target, 7, b"7").is(204);
        assert_eq!(offset(&s, &target), 8);
        patch(&s, &target, 8, b"89").is(204);
        assert_eq!(s.read("html/a/cut.txt"), b"01hello789");
    });
    table.row(OURS, "with the creation", || {
        let head =
            |name: &str| format!("Upload-Length: 5\r\n{OCTETS}Upload-Checksum: {}\r\n{}", HELLO[0], filename(name));
        tus(&s, "POST", "/a/", &head("c1.txt"), b"hallo").is(460);
        assert!(!s.exists("html/a/c1.txt"));
        tus(&s, "POST", "/a/", &head("c2.txt"), b"hello").is(201);
        assert_eq!(s.read("html/a/c2.txt"), b"hello");
    });
    table.row(OURS, "where one is required", || {
        let s = resumable("upload_verify_digest require;");
        let target = create(&s, "must.txt", 5);
        patch(&s, &target, 0, b"hello").is(400);
        let fields = format!("{OCTETS}Upload-Offset: 0\r\nUpload-Checksum: {}\r\n", HELLO[0]);
        tus(&s, "PATCH", &target, &fields, b"hello").is(204);
    });
}
