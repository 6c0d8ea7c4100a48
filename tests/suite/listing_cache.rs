//! Listings that are kept for a moment: never an old one, whatever changed it. A second server
//! that keeps none says what is right.

use crate::harness::{Server, eventually, http, skip_on_nginx};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

const SITE: &str = "
    root %%ROOT%%;
    location / { autoindex on; autoindex_format json; }
    location /html/ { alias %%ROOT%%/d/; autoindex on; }
    location /page/ { alias %%ROOT%%/d/; autoindex on; autoindex_format page; }
    location /plain/ { alias %%ROOT%%/d/; autoindex on; autoindex_format json; disable_symlinks on; }
    location /put/ { alias %%ROOT%%/d/; allowed_methods PUT DELETE; }";

fn site(cache: &str, root: &Path) -> Server {
    let site = SITE.replace("%%ROOT%%", &root.to_string_lossy());
    http(&format!("listing_cache_size {cache};\nserver {{ listen 127.0.0.1:%%PORT%%; {site} }}")).start()
}

struct Pair {
    kept: Server,
    fresh: Server,
    root: PathBuf,
}

impl Pair {
    /// Both servers show the same directory, which is the first's.
    fn new() -> Pair {
        let root = std::env::temp_dir().join(format!("webserv-listed-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("d/sub")).expect("mkdir");
        fs::create_dir_all(root.join("elsewhere")).expect("mkdir");
        Pair { kept: site("8m", &root), fresh: site("off", &root), root }
    }

    fn d(&self, name: &str) -> PathBuf {
        self.root.join("d").join(name)
    }

    /// Whatever was kept is no longer right: the very next answers are those of now.
    #[track_caller]
    fn agree(&self, after: &str) {
        let mut client = self.kept.client();
        for target in ["/d/", "/html/", "/page/", "/page/?sort=time&order=desc", "/plain/"] {
            let kept = client.get(target);
            let fresh = self.fresh.get(target);
            assert_eq!(kept.status, fresh.status, "{target} after {after}");
            assert!(
                kept.body == fresh.body,
                "{target} is old after {after}:\n{}\nis now\n{}",
                kept.text(),
                fresh.text()
            );
            // From now on the kept one is asked for.
            assert!(client.get(target).body == kept.body, "{target} twice after {after}");
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.root.join("d"), fs::Permissions::from_mode(0o755));
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn touch(path: &Path, seconds: u64) {
    let file = File::open(path).expect("open");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)).expect("utimes");
}

#[test]
fn a_listing_is_never_older_than_the_last_change() {
    if skip_on_nginx("listing_cache_size") {
        return;
    }
    let pair = Pair::new();
    let d = |name: &str| pair.d(name);
    fs::write(d("a"), "1").expect("write");
    fs::write(d("log"), "").expect("write");
    fs::write(pair.root.join("elsewhere/target"), "12").expect("write");
    fs::write(pair.root.join("elsewhere/first"), "12").expect("write");
    fs::hard_link(pair.root.join("elsewhere/first"), d("second")).expect("link");
    symlink("../elsewhere/target", d("link")).expect("symlink");
    symlink("nowhere", d("dangling")).expect("symlink");
    let mut log = File::options().append(true).open(d("log")).expect("open");
    pair.agree("the beginning");
    let mut length = 1;
    for round in 0..20u64 {
        length = length * 7 % 1000 + 1;
        let name = format!("new-{round}");
        fs::write(d("a"), vec![b'x'; length]).expect("write");
        pair.agree("a write");
        log.write_all(b"a line\n").expect("append");
        pair.agree("a line at the end of an open file");
        touch(&d("a"), round);
        pair.agree("a time that was set");
        fs::write(d(&name), "").expect("write");
        pair.agree("a new entry");
        fs::rename(d(&name), d(&format!("x-{name}"))).expect("rename");
        pair.agree("another name");
        fs::write(d("sub").join(&name), "").expect("write");
        touch(&d("sub"), 100 + round);
        pair.agree("the time of a subdirectory");
        fs::write(pair.root.join("elsewhere/target"), vec![b'x'; length]).expect("write");
        pair.agree("the target of a link");
        File::options().append(true).open(pair.root.join("elsewhere/first")).expect("open").write_all(b"x").expect("x");
        pair.agree("a write by another name of the file");
        fs::remove_file(d("link")).expect("unlink");
        symlink(if round % 2 == 0 { "a" } else { "../elsewhere/target" }, d("link")).expect("symlink");
        pair.agree("a link that leads elsewhere");
        let other = pair.root.join("other");
        fs::create_dir(&other).expect("mkdir");
        fs::write(other.join("only"), "here").expect("write");
        fs::rename(d(""), pair.root.join("away")).expect("rename");
        fs::rename(&other, d("")).expect("rename");
        pair.agree("another directory in its place");
        fs::rename(d(""), pair.root.join("gone")).expect("rename");
        pair.agree("none in its place");
        fs::rename(pair.root.join("away"), d("")).expect("rename");
        fs::remove_dir_all(pair.root.join("gone")).expect("rmdir");
        pair.agree("the old one back");
        pair.kept.method("PUT", &format!("/put/{name}"), "", &vec![b'x'; length]).is(201);
        pair.agree("our own PUT");
        pair.kept.method("PUT", &format!("/put/{name}"), "", b"shorter").is_one_of(&[200, 204]);
        pair.agree("our own PUT over it");
        pair.kept.method("DELETE", &format!("/put/{name}"), "", b"").is(204);
        pair.agree("our own DELETE");
        fs::remove_file(d(&format!("x-{name}"))).expect("unlink");
        pair.agree("a removal");
    }
    fs::set_permissions(d("sub"), fs::Permissions::from_mode(0o700)).expect("chmod");
    pair.agree("chmod of an entry");
}

#[test]
fn a_directory_that_may_no_longer_be_read_is_not_listed_from_memory() {
    if skip_on_nginx("listing_cache_size") {
        return;
    }
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; autoindex on; }")
        .file("html/d/f", "x")
        .unprivileged()
        .start();
    for _ in 0..20 {
        s.get("/d/").is(200).contains("\"f\"");
        fs::set_permissions(s.path("html/d"), fs::Permissions::from_mode(0o000)).expect("chmod");
        s.get("/d/").is(403);
        fs::set_permissions(s.path("html/d"), fs::Permissions::from_mode(0o755)).expect("chmod");
    }
}

#[test]
fn what_the_kernel_does_not_tell_shows_after_a_moment() {
    if skip_on_nginx("listing_cache_size") {
        return;
    }
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; autoindex on; }")
        .file("html/d/f", "x")
        .mkdir("elsewhere")
        .start();
    s.get("/d/").is(200);
    // The second name was given after the listing was made: writes by it are told to its own directory only.
    fs::hard_link(s.path("html/d/f"), s.path("elsewhere/f")).expect("link");
    s.write("elsewhere/f", "12345");
    eventually("the size of the file", || s.get("/d/").text().contains(" 5\r\n"));
}

/// Larger than a piece: made, kept and sent in several.
#[test]
fn a_large_page_is_kept_as_it_was_made() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; autoindex on;
         location /gzip/ { alias %%DIR%%/html/; gzip on; gzip_types text/html; } }",
    )
    .mkdir("html/d")
    .start();
    let dir = s.path("html/d");
    for n in 0..3000 {
        File::create(dir.join(format!("{n:06}-{}", "x".repeat(40)))).expect("create");
    }
    let text = s.get("/d/").is(200).text();
    assert_eq!(text.matches("<a href=\"0").count(), 3000);
    assert!(text.trim_end().ends_with("</html>"), "whole");
    assert!(s.get("/d/").is(200).text() == text, "as before");
    s.method("HEAD", "/d/", "", b"").is(200);
    let old = s.client().request("GET /d/ HTTP/1.0\r\n\r\n").is(200).text();
    assert!(old == text, "to a client that knows no chunks");
    let mut unpacked = String::new();
    let packed = s.get_with("/gzip/d/", "Accept-Encoding: gzip\r\n");
    flate2::read::GzDecoder::new(&packed.is(200).body[..]).read_to_string(&mut unpacked).expect("gzip");
    assert!(unpacked == text.replace("/d/", "/gzip/d/"), "compressed");
}

/// A directory large enough to take many turns.
#[test]
fn a_huge_directory_holds_nobody_up() {
    if skip_on_nginx("one worker lists it in one go") {
        return;
    }
    const ENTRIES: usize = 60_000;
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; autoindex on; }")
        .file("html/f", "small")
        .mkdir("html/d")
        .start();
    let dir = s.path("html/d");
    for n in 0..ENTRIES {
        File::create(dir.join(format!("{:06}", n * 7919 % ENTRIES))).expect("create");
    }
    let text = s.answers_others_during("GET /d/ HTTP/1.1\r\nHost: a\r\n\r\n", "/f").is(200).text();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("<a href=\"")?.get(..6)).collect();
    assert_eq!(names.len(), ENTRIES);
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    // A client that goes away meanwhile does no harm.
    let mut gone = s.client();
    gone.send("GET /d/?again HTTP/1.1\r\nHost: a\r\n\r\n");
    s.get("/f").is(200);
    gone.reset();
    s.get("/f").is(200);
    let mut half = s.client();
    half.send("GET /d/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").half_close();
    assert_eq!(half.response().is(200).text().len(), text.len());
}
