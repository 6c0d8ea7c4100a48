//! Whole uploads over a configuration, without a connection: what is answered, and which files are there then.

use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload;
use crate::exchange::testing::{KEY, OUTSIDE, Site};
use crate::exchange::{Exchange, Rx};
use crate::http::signed_link::sign;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A body that is longer than what is held in memory.
const LONG: usize = 100_000;

/// Files below a directory of the site, by their paths. What the server keeps for itself is not named.
fn files(site: &Site, below: &str) -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("it is below").display().to_string();
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => walk(&path, root, found),
                false if name.contains(".webserv-") => {}
                false => {
                    let content = fs::read_to_string(&path).expect("text");
                    found.insert(name, if content.len() < 100 { content } else { content.len().to_string() });
                }
            }
        }
    }
    let root = site.scratch.path().join(below);
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

/// The body comes in pieces of this size, spliced where that is possible; or whole, behind its head.
#[derive(Clone, Copy)]
pub enum Comes {
    In(usize),
    Spliced(usize),
    Whole,
}

/// The flow with which it ends: at its head, within its body or behind it.
fn run(site: &mut Site, ex: &mut Exchange, body: &[u8], comes: Comes) -> Flow {
    let cx = &mut site.cx;
    let mut upload = match upload::start(ex, cx) {
        Ok(upload) => upload,
        Err(flow) => return flow,
    };
    let size = match comes {
        Comes::In(size) | Comes::Spliced(size) => size,
        Comes::Whole => body.len().max(1),
    };
    // What is there is counted before the body is read.
    while upload.works() {
        if let flow @ (Flow::Respond | Flow::Status(_)) = upload.work(ex, cx) {
            return flow;
        }
    }
    for piece in body.chunks(size) {
        let fd = upload.splice_target().filter(|_| matches!(comes, Comes::Spliced(_)));
        let taken = match fd {
            Some(fd) => {
                crate::sys::file::write_all(fd, piece).expect("it is written");
                upload.spliced(ex, cx, piece.len() as u64)
            }
            None if matches!(comes, Comes::Whole) => upload.accept_whole(ex, cx, (&mut [b"head", piece].concat(), 4)),
            None => upload.accept(ex, cx, piece),
        };
        if let Err(flow) = taken {
            return flow;
        }
        while upload.works() {
            if let flow @ (Flow::Respond | Flow::Status(_)) = upload.work(ex, cx) {
                return flow;
            }
        }
    }
    ex.progress.rx = Rx::Done;
    let mut flow = upload.finish(ex, cx);
    while matches!(flow, Flow::Wait | Flow::Body) {
        assert!(upload.works() || upload.is_writing(), "it waits for nothing");
        flow = upload.work(ex, cx);
    }
    flow
}

fn status(ex: &Exchange, flow: &Flow) -> u16 {
    match flow {
        Flow::Respond => ex.response.status.0,
        Flow::Status(status) => status.0,
        other => panic!("{other:?}"),
    }
}

/// One request: its status, and the exchange.
pub fn upload(site: &mut Site, line: &str, fields: &[&str], body: &[u8], comes: Comes) -> (u16, Exchange) {
    let length = format!("Content-Length: {}", body.len());
    let is_chunked = fields.iter().any(|field| field.starts_with("Transfer-Encoding"));
    let mut all = fields.to_vec();
    if !is_chunked {
        all.push(&length);
    }
    let mut ex = site.at(line, &all, OUTSIDE);
    let flow = run(site, &mut ex, body, comes);
    (status(&ex, &flow), ex)
}

pub fn form(parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(disposition, content): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    (parts + "--b--\r\n").into_bytes()
}

pub const FORM: &str = "Content-Type: multipart/form-data; boundary=b";

const AREAS: &str = "
    location /up/ { allowed_methods GET PUT POST; upload_store DIR/up; upload_create_path on; }
    location /plain/ { allowed_methods PUT POST; upload_store DIR/up; }
    location /over/ { allowed_methods PUT POST; upload_store DIR/up; upload_on_duplicate overwrite; }
    location /other/ { allowed_methods PUT POST; upload_store DIR/up; upload_on_duplicate rename; }
    location /small/ { allowed_methods PUT POST; upload_store DIR/up; upload_max_file_size 10; }
    location /sync/ { allowed_methods PUT POST; upload_store DIR/up; upload_sync on; upload_on_duplicate overwrite; }
    location /sync-folders/ { allowed_methods POST; upload_store DIR/up; upload_sync on; upload_create_path on; }
    location /digest/ { allowed_methods PUT POST; upload_store DIR/up; upload_verify_digest require; }
    location /field/ { allowed_methods POST; upload_store DIR/up; upload_filename $upload_field_to-$upload_file_name; }
    location /link/ { allowed_methods PUT POST; upload_store DIR/up; signed_link KEYS; }
    location /made/ { allowed_methods PUT POST; upload_store DIR/new/store; upload_create_path on; }
    location /none/ { allowed_methods PUT POST; upload_store DIR/missing; }
    location /told/ { allowed_methods POST; upload_store DIR/up; upload_return 200 $upload_files; }
    location /few/ { allowed_methods POST; upload_store DIR/up; upload_max_files 2; }
    location /shown/ { allowed_methods POST DELETE; upload_store DIR/up; }
    location /quota/ { allowed_methods PUT POST; upload_store DIR/up; upload_quota 1000; }
    location /shared/ { allowed_methods PUT POST; upload_store DIR/up; upload_quota 116500 shared; }
    location /over-quota/ {
        allowed_methods PUT POST; upload_store DIR/up; upload_quota 1000; upload_on_duplicate overwrite;
    }
    location /other-quota/ {
        allowed_methods PUT POST; upload_store DIR/up; upload_quota 1000; upload_on_duplicate rename;
    }
    location /dirs/ {
        allowed_methods POST; upload_store DIR/up; upload_quota 1m files=9; upload_create_path on;
    }
    location /new { allowed_methods POST; root DIR; upload_filename whole; }
    location /site/ { allowed_methods PUT POST; alias DIR/up/; dav_methods PUT; }";

pub fn site() -> Site {
    let site = Site::new("", AREAS);
    fs::create_dir(site.scratch.path().join("up")).expect("a directory");
    fs::create_dir(site.scratch.path().join("up/dir")).expect("a directory");
    site.scratch.write("up/there", b"old");
    site
}

/// What a row says of the files: what is new or changed.
pub fn changes(site: &Site) -> Vec<String> {
    let all = files(site, "up").into_iter().chain(files(site, "new").into_iter().map(|(n, c)| (format!("new/{n}"), c)));
    let is_old = |(name, content): &(String, String)| name == "there" && content == "old";
    all.filter(|file| !is_old(file)).map(|(name, content)| format!("{name}={content}")).collect()
}

#[test]
fn a_body_becomes_the_file_that_its_uri_or_its_rules_name() {
    let long = "x".repeat(LONG);
    for (line, fields, body, expected, files) in [
        ("PUT /up/f", &[][..], "abc", 201, &["f=abc"][..]),
        ("PUT /up/f", &[], "", 201, &["f="]),
        ("PUT /up/f", &[], &long, 201, &["f=100000"]),
        ("PUT /up/a/b/f", &[], "abc", 201, &["a/b/f=abc"]),
        ("PUT /plain/a/f", &[], "abc", 409, &[]),
        ("PUT /up/there", &[], "new", 204, &["there=new"]),
        ("PUT /up/there", &["If-None-Match: *"], "new", 412, &[]),
        ("PUT /up/dir", &[], "new", 409, &[]),
        ("PUT /up/", &[], "new", 409, &[]),
        ("PUT /up/.hidden", &[], "new", 400, &[]),
        ("PUT /small/f", &[], "0123456789", 201, &["f=0123456789"]),
        ("PUT /small/f", &[], "0123456789a", 413, &[]),
        ("PUT /small/f", &["Transfer-Encoding: chunked"], "0123456789a", 413, &[]),
        ("PUT /small/f", &["Transfer-Encoding: chunked"], "0123456789", 201, &["f=0123456789"]),
        ("PUT /made/f", &[], "abc", 201, &["new/store/f=abc"]),
        ("PUT /none/f", &[], "abc", 409, &[]),
        ("PUT /sync/f", &[], "abc", 201, &["f=abc"]),
        ("PUT /sync/there", &[], "abc", 204, &["there=abc"]),
        ("POST /up/f", &[], "abc", 201, &["f=abc"]),
        ("POST /up/there", &[], "abc", 409, &[]),
        ("POST /over/there", &[], "abc", 200, &["there=abc"]),
        ("POST /other/there", &[], "abc", 201, &["there-1=abc"]),
        ("POST /up/dir", &[], "abc", 308, &[]),
        ("POST /up/", &["Content-Disposition: attachment; filename=f"], "abc", 201, &["f=abc"]),
        ("POST /up/dir", &["Content-Disposition: attachment; filename=f"], "abc", 201, &["dir/f=abc"]),
        ("PUT /up/there", &["If-None-Match: \"x\""], "new", 204, &["there=new"]),
        ("POST /up/f", &["Content-Encoding: gzip"], "abc", 415, &[]),
        ("POST /up/f", &["Content-Encoding: identity"], "abc", 201, &["f=abc"]),
        ("POST /up/f", &["Content-Encoding:"], "abc", 201, &["f=abc"]),
        ("POST /up/f", &["Sec-Fetch-Site: cross-site"], "abc", 403, &[]),
        ("POST /told/f", &[], "abc", 200, &["f=abc"]),
        ("PUT /site/.hidden", &[], "abc", 201, &[".hidden=abc"]),
    ] {
        for comes in [Comes::In(7), Comes::In(1 << 16), Comes::Spliced(4096), Comes::Whole] {
            let mut site = site();
            let (status, ex) = upload(&mut site, line, fields, body.as_bytes(), comes);
            assert_eq!(status, expected, "{line} {fields:?}: {}", text(&ex));
            assert_eq!(changes(&site), files, "{line} {fields:?}");
            let is_recorded = ex.log.upload.as_ref().is_some_and(|record| record.dir.is_some());
            assert_eq!(is_recorded, expected < 300, "{line} {fields:?}: recorded as stored");
        }
    }
}

pub fn text(ex: &Exchange) -> String {
    match &ex.response.body {
        crate::exchange::response::Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

#[test]
fn a_form_is_stored_as_a_whole_or_not_at_all() {
    let long = "x".repeat(LONG);
    let file = |name: &str| format!("name=f; filename=\"{name}\"");
    let (a, b, there, deep) = (file("a"), file("b"), file("there"), file("p/q/c"));
    for (target, parts, expected, files) in [
        ("/up/", &[(&*a, "1"), (&b, "2")][..], 201, &["a=1", "b=2"][..]),
        ("/up/", &[(&*a, &*long), (&b, "2")], 201, &["a=100000", "b=2"]),
        ("/up/", &[(&*a, "1"), (&there, "2"), (&b, "3")], 409, &[]),
        ("/sync/", &[(&*a, "1"), (&there, "2"), (&b, "3")], 201, &["a=1", "b=3", "there=2"]),
        ("/over/", &[(&*a, "1"), (&there, "2"), (&a, "3")], 201, &["a=1", "a-1=3", "there=2"]),
        // What the second got was replaced by the third.
        ("/over/", &[(&*a, "1"), (&a, "2"), (&file("a-1"), "3")], 201, &["a=1", "a-1=2", "a-1-1=3"]),
        ("/other/", &[(&*there, "1"), (&there, "2"), (&a, "3")], 201, &["a=3", "there-1=1", "there-2=2"]),
        ("/up/", &[(&*deep, "1"), (&a, "2")], 201, &["a=2", "p/q/c=1"]),
        ("/up/", &[(&*deep, "1"), (&there, "2")], 409, &[]),
        ("/plain/", &[(&*deep, "1")], 400, &[]),
        ("/small/", &[(&*a, "0123456789"), (&b, "0123456789")], 201, &["a=0123456789", "b=0123456789"]),
        ("/small/", &[(&*a, "1"), (&b, "0123456789a")], 413, &[]),
        ("/few/", &[(&*a, "1"), (&b, "2")], 201, &["a=1", "b=2"]),
        ("/few/", &[(&*a, "1"), (&b, "2"), (&deep, "3")], 413, &[]),
        ("/up/", &[("name=text", "1")], 400, &[]),
        ("/told/", &[("name=text", "1")], 200, &[]),
        ("/field/", &[(&*a, "1"), ("name=to", "you")], 201, &["you-a=1"]),
        ("/field/", &[("name=to", "../up"), (&*a, "1")], 400, &[]),
    ] {
        for comes in [Comes::In(7), Comes::In(1 << 16)] {
            let mut site = site();
            let (status, ex) = upload(&mut site, &format!("POST {target}"), &[FORM], &form(parts), comes);
            assert_eq!(
                status,
                expected,
                "{target} {:?}: {}",
                parts.iter().map(|part| part.0).collect::<Vec<_>>(),
                text(&ex)
            );
            assert_eq!(changes(&site), files, "{target}");
            let made = site.scratch.path().join("up/p").exists();
            assert_eq!(made, files.iter().any(|file| file.starts_with("p/")), "{target}: no folder is left");
        }
        let mut site = site();
        let whole = form(parts);
        let cut = &whole[..whole.len() - 4];
        let (status, _) = upload(&mut site, &format!("POST {target}"), &[FORM], cut, Comes::In(1 << 16));
        assert!(status >= 400 && changes(&site).is_empty(), "{target}: {status} without its end");
    }
}

#[test]
fn digests_that_are_asked_for_must_be_there_and_be_right() {
    // Of "abc".
    const RIGHT: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    const WRONG: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFaA=:";
    for (target, name, value, expected) in [
        ("/digest/f", "", "", 400),
        ("/digest/f", "Content-Digest", RIGHT, 201),
        ("/digest/f", "Repr-Digest", RIGHT, 201),
        ("/digest/f", "Content-Digest", WRONG, 400),
        ("/up/f", "Content-Digest", RIGHT, 201),
        ("/up/f", "Repr-Digest", WRONG, 400),
        ("/up/f", "Content-Digest", "sha-256=?", 400),
        ("/up/f", "Want-Repr-Digest", "sha-256=1", 201),
    ] {
        for comes in [Comes::In(2), Comes::Whole] {
            let mut site = site();
            let field = format!("{name}: {value}");
            let fields = if name.is_empty() { &[][..] } else { &[&*field] };
            let (status, ex) = upload(&mut site, &format!("PUT {target}"), fields, b"abc", comes);
            assert_eq!(status, expected, "{target} {field}");
            assert_eq!(changes(&site).len(), usize::from(expected == 201), "{target} {field}");
            let digest = ex.response.fields.iter().find(|(name, _)| *name == b"Repr-Digest").map(|(_, value)| value);
            let wanted = (name == "Want-Repr-Digest").then_some(RIGHT.as_bytes());
            assert_eq!(digest, wanted, "{target} {field}");
        }
    }
}

#[test]
fn a_signed_link_allows_uploads_to_its_place_only() {
    let link = |target: &str, methods: &str| {
        let text = |text: &str| text.as_bytes().to_vec();
        String::from_utf8(sign(KEY, &[text(target), text(""), text(methods), text(""), text("")])).expect("text")
    };
    let named = |name: &str| format!("Content-Disposition: attachment; filename={name}");
    for (target, line, name, expected) in [
        ("/link/", "POST /link/", "f", 201),
        ("/link/dir/", "POST /link/dir/", "f", 201),
        ("/link/f", "POST /link/f", "", 201),
        ("/link/f", "PUT /link/f", "", 201),
        ("/link/f", "POST /link/", "g", 403),
        ("/link/dir/", "POST /link/", "g", 403),
        ("/link/dir", "POST /link/dir", "g", 201),
    ] {
        let mut site = site();
        let line = format!("{line}?{}", link(target, "POST,PUT"));
        let field = named(name);
        let fields = if name.is_empty() { &[][..] } else { &[&*field] };
        let mut all = fields.to_vec();
        all.push("Content-Length: 1");
        let mut ex = site.at(&line, &all, OUTSIDE);
        let came = match crate::exchange::access::check(&mut ex, &mut site.cx) {
            Flow::Next => {
                let flow = run(&mut site, &mut ex, b"x", Comes::In(1));
                status(&ex, &flow)
            }
            flow => status(&ex, &flow),
        };
        assert_eq!(came, expected, "{target} {line} {name}");
        assert_eq!(changes(&site).len(), usize::from(expected == 201), "{target} {line} {name}");
    }
}

/// The body is decoded by then, and its trailers are known when it has ended.
#[test]
fn a_digest_in_the_trailers_is_compared_whether_it_was_announced_or_not() {
    // Of LONG times "x".
    const RIGHT: &str = "sha-256=:1p5omIFXgzJyMFqvIfRTyAA0boo2QNtleOJgIVVC5dQ=:";
    const WRONG: &str = "sha-256=:1p5omIFXgzJyMFqvIfRTyAA0boo2QNtleOJgIVVC5dA=:";
    let long = "x".repeat(LONG);
    for (target, announced, trailer, expected) in [
        ("/digest/f", "", "", 400),
        ("/digest/f", "", RIGHT, 201),
        ("/digest/f", "", WRONG, 400),
        ("/digest/f", "Trailer: Content-Digest", RIGHT, 201),
        ("/up/f", "", "", 201),
        ("/up/f", "", RIGHT, 201),
        ("/up/f", "", WRONG, 400),
        ("/up/f", "Trailer: Content-Digest", RIGHT, 201),
        ("/up/f", "Trailer: Content-Digest", WRONG, 400),
    ] {
        for comes in [Comes::In(1 << 16), Comes::Spliced(4096)] {
            let mut site = site();
            let chunked = ["Transfer-Encoding: chunked", announced];
            let fields = if announced.is_empty() { &chunked[..1] } else { &chunked[..] };
            let mut ex = site.at(&format!("PUT {target}"), fields, OUTSIDE);
            if !trailer.is_empty() {
                ex.progress.trailers.push(b"Content-Digest", trailer.as_bytes());
            }
            let flow = run(&mut site, &mut ex, long.as_bytes(), comes);
            assert_eq!(status(&ex, &flow), expected, "{target} {announced} {trailer}");
            assert_eq!(changes(&site).len(), usize::from(expected == 201), "{target} {announced} {trailer}");
        }
    }
}

/// The listing page asks for it once its visitor, who may delete, has agreed; a page of another site cannot.
#[test]
fn a_page_replaces_a_file_only_for_those_who_may_delete_it() {
    for (line, sender, expected) in [
        ("POST /shown/there?webserv-replace", "Sec-Fetch-Site: same-origin", 200),
        ("POST /shown/there?webserv-replace", "Sec-Fetch-Site: cross-site", 403),
        ("POST /shown/there?webserv-replace", "X: y", 409),
        ("POST /shown/there?webserv-replace=1", "Sec-Fetch-Site: same-origin", 409),
        ("POST /shown/there", "Sec-Fetch-Site: same-origin", 409),
        ("POST /up/there?webserv-replace", "Sec-Fetch-Site: same-origin", 409),
    ] {
        let mut site = site();
        let (status, _) = upload(&mut site, line, &[sender], b"new", Comes::In(2));
        assert_eq!(status, expected, "{line} {sender}");
        assert_eq!(changes(&site).len(), usize::from(expected == 200), "{line} {sender}");
    }
}

/// An upload whose head was accepted, with nothing of its body.
fn begun(site: &mut Site, line: &str, fields: &[&str]) -> (Box<super::super::state::Upload>, Exchange) {
    let mut ex = site.at(line, fields, OUTSIDE);
    match upload::start(&mut ex, &mut site.cx) {
        Ok(upload) => (upload, ex),
        Err(flow) => panic!("{line} {fields:?}: {flow:?}"),
    }
}

/// Little is held in memory and costs no file before it is whole; what may be more goes to the disk as it comes.
#[test]
fn no_more_than_a_little_of_a_body_is_in_memory() {
    const HERE: usize = 8 << 10;
    let (chunked, wait, wanted) = ("Transfer-Encoding: chunked", "Expect: 100-continue", "Want-Repr-Digest: sha-256=1");
    // What comes, and whether there is a file then, at the beginning and after that.
    for (fields, comes, at_once, then) in [
        (&["Content-Length: 100"][..], 100, false, false),
        (&["Content-Length: 16384"], 16_384, false, false),
        (&["Content-Length: 16385"], 16_385, true, true),
        (&["Content-Length: 100", wait], 100, true, true),
        (&[chunked], 16_384, false, false),
        (&[chunked], 16_385, false, true),
    ] {
        let mut site = site();
        let (mut upload, mut ex) = begun(&mut site, "PUT /up/f", fields);
        assert_eq!(upload.splice_target().is_some(), at_once, "{fields:?}");
        for piece in vec![b'x'; comes].chunks(HERE) {
            upload.accept(&mut ex, &mut site.cx, piece).expect("it is right");
        }
        assert_eq!(upload.splice_target().is_some(), then, "{fields:?} {comes}");
        let mut all = fields.to_vec();
        all.push(wanted);
        let (upload, _) = begun(&mut site, "PUT /up/g", &all);
        assert!(upload.splice_target().is_none(), "{fields:?}: what is hashed is read");
    }
}

#[test]
fn only_upload_sync_waits_for_the_disk() {
    for (line, expected) in [("PUT /up/f", false), ("PUT /sync/f", true)] {
        let mut site = site();
        let (mut upload, mut ex) = begun(&mut site, line, &["Content-Length: 3"]);
        upload.accept(&mut ex, &mut site.cx, b"abc").expect("it is right");
        assert_eq!(upload.write_content(&mut site.cx).ok(), Some(expected), "{line}");
    }
}

/// `there` has 3 bytes, which count.
#[test]
fn a_quota_counts_what_is_there_then_and_not_what_is_replaced() {
    let of = |bytes: usize| "x".repeat(bytes);
    let file = |name: &str| format!("name=f; filename=\"{name}\"");
    let (a, there) = (file("a"), file("there"));
    let (most, more, half) = (of(997), of(998), of(300));
    for (line, body, expected) in [
        ("PUT /quota/f", &most, 201),
        ("PUT /quota/f", &more, 507),
        ("PUT /quota/there", &of(1000), 204),
        ("PUT /quota/there", &of(1001), 507),
        ("POST /over-quota/there", &of(1000), 200),
        // Beside the one that is there.
        ("POST /other-quota/there", &most, 201),
        ("POST /other-quota/there", &more, 507),
    ] {
        for (fields, comes) in [(&[][..], Comes::In(100)), (&["Transfer-Encoding: chunked"], Comes::In(100))] {
            let mut site = site();
            let (status, ex) = upload(&mut site, line, fields, body.as_bytes(), comes);
            assert_eq!(status, expected, "{line} {fields:?} {}: {}", body.len(), text(&ex));
        }
    }
    // Two of one name: the second stands beside the first, which replaces what was there, or stands beside that, too.
    // Another file has the rest of the room.
    for (target, first, rest, expected) in [
        ("/over-quota/", &*a, 397, 201),
        ("/over-quota/", &*a, 398, 507),
        ("/over-quota/", &*there, 400, 201),
        ("/over-quota/", &*there, 401, 507),
        ("/other-quota/", &*a, 397, 201),
        ("/other-quota/", &*a, 398, 507),
        ("/other-quota/", &*there, 397, 201),
        ("/other-quota/", &*there, 398, 507),
    ] {
        let mut site = site();
        let body = form(&[(first, &*half), (first, &*half)]);
        let (status, ex) = upload(&mut site, &format!("POST {target}"), &[FORM], &body, Comes::In(1 << 16));
        assert!(status < 300, "{target} {first}: {status} {}", text(&ex));
        let (status, ex) = upload(&mut site, &format!("PUT {target}z"), &[], of(rest).as_bytes(), Comes::In(1 << 16));
        assert_eq!(status, expected, "{target} {first} {rest}: {}", text(&ex));
    }
}

/// A body of unknown length reserves as it comes: it is refused by its first byte that has no room.
#[test]
fn a_body_that_outgrows_the_quota_is_refused_as_it_comes() {
    let mut site = site();
    let (mut upload, mut ex) = begun(&mut site, "PUT /quota/f", &["Transfer-Encoding: chunked"]);
    while upload.works() {
        upload.work(&mut ex, &mut site.cx);
    }
    for at in 0..9 {
        assert!(upload.accept(&mut ex, &mut site.cx, &[b'x'; 100]).is_ok(), "{at}");
    }
    assert!(upload.accept(&mut ex, &mut site.cx, &[b'x'; 97]).is_ok());
    assert!(upload.accept(&mut ex, &mut site.cx, b"x").is_err());
}
