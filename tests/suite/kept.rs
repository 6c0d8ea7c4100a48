//! Files that are kept in memory, open, or compressed: never answered as they were before the request was sent.

use crate::client::Response;
use crate::harness::{BOTH, Server, Table, eventually, server, skip_on_nginx};
use flate2::read::GzDecoder;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A version of a file: its number, and as many bytes as that asks for, each telling the number again.
fn version(number: u64, large: bool) -> Vec<u8> {
    let size = if large { 20_000 + number * 7919 % 120_000 } else { 100 + number * 613 % 16_000 } as usize;
    let line = format!("{number:010}\n");
    line.bytes().cycle().take(size / line.len() * line.len()).collect()
}

/// The number of the version that a body is, all of it.
fn number(body: &[u8], large: bool) -> u64 {
    let digits = body.get(..10).and_then(|b| std::str::from_utf8(b).ok());
    let number = digits.and_then(|d| d.parse().ok()).unwrap_or_else(|| panic!("{} bytes of no version", body.len()));
    assert!(body == version(number, large), "{} bytes are not all of version {number}", body.len());
    number
}

fn content(answer: &Response) -> Vec<u8> {
    if answer.header("Content-Encoding") != Some("gzip") {
        return answer.body.clone();
    }
    let mut text = Vec::new();
    GzDecoder::new(&answer.body[..]).read_to_end(&mut text).expect("the body is gzip");
    text
}

const CONFIG: &str = "keepalive_requests 1000000; gzip_types text/plain; location /z/ { gzip on; gzip_min_length 1; }";

/// How often each file is replaced.
const VERSIONS: u64 = 60;

/// The number of the version that begins with `piece`.
fn number_of_piece(piece: &[u8], large: bool) -> u64 {
    let whole = piece.get(..10).and_then(|b| std::str::from_utf8(b).ok()).and_then(|d| d.parse().ok());
    let number = whole.unwrap_or_else(|| panic!("{} bytes of no version", piece.len()));
    assert!(version(number, large).starts_with(piece), "not all of version {number}");
    number
}

/// Replaces each file as fast as it can while clients read; every answer is whole, and no older than its request.
#[test]
fn files_replaced_under_load_are_whole_and_never_old() {
    let mut s = server(CONFIG);
    let files: Vec<(&str, bool)> =
        vec![("small.txt", false), ("large.txt", true), ("z/small.txt", false), ("z/large.txt", true)];
    for (path, large) in &files {
        s = s.file(&format!("html/{path}"), version(0, *large));
    }
    let s = s.start();
    let current: Vec<AtomicU64> = files.iter().map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let clients = [0, 1, 2, 3].map(|client| {
            let (s, files, current, done, read) = (&s, &files, &current, &done, &read);
            scope.spawn(move || {
                let mut connection = s.client();
                for turn in client.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let at = turn % files.len();
                    let (path, large) = files[at];
                    let least = current[at].load(Ordering::SeqCst);
                    // Whole, compressed, or the first nine lines.
                    let piece = turn % 3 == 1 && !path.starts_with("z/");
                    let fields = match turn % 3 {
                        0 => "",
                        1 if piece => "Range: bytes=0-98\r\n",
                        _ => "Accept-Encoding: gzip\r\n",
                    };
                    let ask = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
                    // Two in one write: both were sent now.
                    connection.send([ask.as_bytes(), ask.as_bytes()].concat());
                    for _ in 0..2 {
                        let answer = connection.response();
                        let seen = if piece {
                            assert_eq!(answer.is(206).body.len(), 99);
                            number_of_piece(&answer.body, large)
                        } else {
                            number(&content(answer.is(200)), large)
                        };
                        assert!(seen >= least, "/{path}: version {seen} was sent, {least} was there");
                        read.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        for number in 1..=VERSIONS {
            for (at, (path, large)) in files.iter().enumerate() {
                let place = s.path(&format!("html/{path}"));
                let fresh = s.path("html/fresh");
                fs::write(&fresh, version(number, *large)).expect("a new version");
                fs::rename(&fresh, &place).expect("takes the old one's place");
                current[at].store(number, Ordering::SeqCst);
            }
            // Long enough, now and then, for a version to be kept and served from memory.
            let waited = read.load(Ordering::Relaxed) + if number % 4 == 0 { 400 } else { 1 };
            while read.load(Ordering::Relaxed) < waited && !clients.iter().any(|client| client.is_finished()) {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Answered from memory until the moment before.
fn warm(s: &Server, path: &str, text: &str) {
    let mut client = s.client();
    for _ in 0..3 {
        client.get(path).is(200).body_is(text);
    }
}

#[test]
fn a_change_shows_in_the_next_answer() {
    let page = "x".repeat(40_000);
    let s = server(CONFIG)
        .file("html/a/f", "old")
        .file("html/a/large", &page)
        .file("html/b/f", "of b")
        .file("html/real/f", "real")
        .link("html/led", "real")
        .file("html/other/f", "other")
        .start();
    let mut table = Table::new("changes");
    table.row(BOTH, "written in place, the same size", || {
        warm(&s, "/a/f", "old");
        s.write("html/a/f", "new");
        s.get("/a/f").is(200).body_is("new");
    });
    table.row(BOTH, "a large file cut short", || {
        warm(&s, "/a/large", &page);
        fs::File::options().write(true).open(s.path("html/a/large")).and_then(|f| f.set_len(17)).expect("cut");
        s.get("/a/large").is(200).body_is(&page[..17]);
    });
    table.row(BOTH, "touched: the validators are new", || {
        let before = s.get("/b/f").header("ETag").map(str::to_owned);
        warm(&s, "/b/f", "of b");
        let file = fs::File::options().write(true).open(s.path("html/b/f")).expect("there");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).expect("touched");
        let answer = s.get_with("/b/f", &format!("If-None-Match: {}\r\n", before.unwrap_or_default()));
        answer.is(200).has("Last-Modified", "Mon, 12 Jan 1970 13:46:40 GMT");
    });
    table.row(BOTH, "the directory is another one", || {
        warm(&s, "/b/f", "of b");
        fs::rename(s.path("html/b"), s.path("html/gone")).expect("away");
        s.get("/b/f").is(404);
        s.get("/b/f").is(404);
        fs::rename(s.path("html/other"), s.path("html/b")).expect("there");
        s.get("/b/f").is(200).body_is("other");
    });
    table.row(BOTH, "a link on the way leads elsewhere", || {
        warm(&s, "/led/f", "real");
        symlink("b", s.path("html/next")).expect("a link");
        fs::rename(s.path("html/next"), s.path("html/led")).expect("swapped");
        s.get("/led/f").is(200).body_is("other");
    });
    table.row(BOTH, "removed, and made again", || {
        warm(&s, "/b/f", "other");
        fs::remove_file(s.path("html/b/f")).expect("removed");
        s.get("/b/f").is(404);
        s.get("/b/f").is(404);
        s.write("html/b/f", "again");
        s.get("/b/f").is(200).body_is("again");
    });
    table.row(BOTH, "missing directories that come to be", || {
        let mut client = s.client();
        for _ in 0..3 {
            client.get("/no/such/place").is(404);
        }
        fs::create_dir_all(s.path("html/no/such")).expect("made");
        s.write("html/no/such/place", "here");
        client.get("/no/such/place").is(200).body_is("here");
    });
}

/// They were answered from the cache as before, for as long as their file stayed as it was.
#[test]
fn kept_files_are_hidden_or_guarded_where_a_configured_directory_leads_to_them_later() {
    if skip_on_nginx("delete_trash and upload_serve") {
        return;
    }
    let s = server(
        "location /up/ { allowed_methods GET POST DELETE; upload_store %%DIR%%/store; delete_trash %%DIR%%/trash; }
         location /area/ { allowed_methods GET POST; autoindex on; autoindex_upload on; alias %%DIR%%/area/; }",
    )
    .file("html/secret/f.html", "hidden later")
    .file("html/files/f.html", "guarded later")
    .file("other/x", "")
    .start();
    for link in ["trash", "area"] {
        symlink("other", s.path(link)).expect("a link");
    }
    warm(&s, "/secret/f.html", "hidden later");
    warm(&s, "/files/f.html", "guarded later");
    let leads = |link: &str, to: &str| {
        symlink(to, s.path("next")).expect("a link");
        fs::rename(s.path("next"), s.path(link)).expect("swapped");
    };
    leads("trash", "html/secret");
    eventually("the trash is hidden", || s.get("/secret/f.html").status == 404);
    leads("area", "html/files");
    eventually("what was uploaded is a download", || {
        s.get("/files/f.html").is(200).header("Content-Disposition") == Some("attachment")
    });
    leads("trash", "other");
    eventually("no trash", || s.get("/secret/f.html").status == 200);
}

#[test]
fn a_file_that_may_no_longer_be_read_is_refused_at_once() {
    let s = server("").file("html/d/f", "text").unprivileged().start();
    warm(&s, "/d/f", "text");
    fs::set_permissions(s.path("html/d/f"), fs::Permissions::from_mode(0o000)).expect("closed");
    s.get("/d/f").is(403);
    fs::set_permissions(s.path("html/d/f"), fs::Permissions::from_mode(0o644)).expect("open");
    warm(&s, "/d/f", "text");
    fs::set_permissions(s.path("html/d"), fs::Permissions::from_mode(0o000)).expect("closed");
    s.get("/d/f").is(403);
    fs::set_permissions(s.path("html/d"), fs::Permissions::from_mode(0o755)).expect("open");
    s.get("/d/f").is(200).body_is("text");
}

#[test]
fn what_was_compressed_is_kept_while_the_file_is_the_same() {
    let text = "words and words. ".repeat(20_000);
    let s = server(CONFIG).file("html/z/f.txt", &text).start();
    let ask = |s: &Server| s.get_with("/z/f.txt", "Accept-Encoding: gzip\r\n");
    let first = ask(&s);
    assert!(content(&first) == text.as_bytes());
    let again = ask(&s);
    again.has("Content-Encoding", "gzip");
    assert!(again.body == first.body, "the same bytes");
    assert_eq!(again.header("ETag"), first.header("ETag"));
    let other = text.replace("words", "sword");
    s.write("html/z/f.txt", &other);
    assert!(content(&ask(&s)) == other.as_bytes());
    assert!(content(&s.get("/z/f.txt")) == other.as_bytes(), "and for those who do not take gzip");
}
