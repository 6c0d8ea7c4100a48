//! Files that change once an answer of them is kept: the very next answer is of what is there then. Nothing here knows
//! whether one was kept; asked for three times, it was (see the module's opening).

use super::SETTLED;
use crate::client::Client;
use crate::harness::{BOTH, Server, Table, eventually, http, on_nginx, server};
use crate::os;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

const ASK: &str = "GET /d/f HTTP/1.1\r\nHost: a\r\n\r\n";

struct Change {
    name: &'static str,
    /// The path asked for, what it gives before, the change, and what it gives after.
    path: &'static str,
    before: (u16, &'static str),
    change: fn(&Server),
    after: (u16, &'static str),
}

const fn change(
    name: &'static str,
    path: &'static str,
    before: (u16, &'static str),
    change: fn(&Server),
    after: (u16, &'static str),
) -> Change {
    Change { name, path, before, change, after }
}

fn replace(s: &Server, path: &str, content: &str) {
    fs::write(s.path("fresh"), content).expect("a file");
    fs::rename(s.path("fresh"), s.path(path)).expect("it takes the place");
}

const OLD: (u16, &str) = (200, "old");
const NEW: (u16, &str) = (200, "new");
const NO: (u16, &str) = (404, "");

const CHANGES: &[Change] = &[
    change("rewritten in place", "/d/f", OLD, |s| s.write("html/d/f", "new"), NEW),
    change("another takes its name", "/d/f", OLD, |s| replace(s, "html/d/f", "new"), NEW),
    change("cut short", "/d/f", OLD, |s| s.write("html/d/f", ""), (200, "")),
    change("longer", "/d/f", OLD, |s| s.write("html/d/f", "longer"), (200, "longer")),
    change("deleted", "/d/f", OLD, |s| fs::remove_file(s.path("html/d/f")).expect("there"), NO),
    change(
        "a directory in its place",
        "/d/f",
        OLD,
        |s| {
            fs::remove_file(s.path("html/d/f")).and_then(|()| fs::create_dir(s.path("html/d/f"))).expect("there");
        },
        (301, ""),
    ),
    change(
        "a link in its place",
        "/d/f",
        OLD,
        |s| {
            s.write("html/elsewhere", "new");
            fs::remove_file(s.path("html/d/f"))
                .and_then(|()| symlink("../elsewhere", s.path("html/d/f")))
                .expect("there");
        },
        NEW,
    ),
    change(
        "its directory moved away",
        "/d/f",
        OLD,
        |s| fs::rename(s.path("html/d"), s.path("html/x")).expect("there"),
        NO,
    ),
    change(
        "another directory in its directory's place",
        "/d/f",
        OLD,
        |s| {
            s.write("html/n/f", "new");
            fs::rename(s.path("html/d"), s.path("html/x")).expect("there");
            fs::rename(s.path("html/n"), s.path("html/d")).expect("there");
        },
        NEW,
    ),
    change(
        "the two change places",
        "/d/f",
        OLD,
        |s| {
            s.write("html/n/f", "new");
            os::exchange(&s.path("html/d"), &s.path("html/n")).expect("RENAME_EXCHANGE");
        },
        NEW,
    ),
    change("the root goes", "/d/f", OLD, |s| fs::rename(s.path("html"), s.path("gone")).expect("there"), NO),
    change("made where it was missing", "/d/no", NO, |s| s.write("html/d/no", "new"), NEW),
    change("moved to where it was missing", "/d/no", NO, |s| replace(s, "html/d/no", "new"), NEW),
    change("linked to where it was missing", "/d/no", NO, |s| symlink("f", s.path("html/d/no")).expect("free"), OLD),
    change(
        "a directory where it was missing",
        "/d/no",
        NO,
        |s| fs::create_dir(s.path("html/d/no")).expect("free"),
        (301, ""),
    ),
    change("made below what was missing", "/e/f/g", NO, |s| s.write("html/e/f/g", "new"), NEW),
    change(
        "a file on the way becomes a directory",
        "/d/f/g",
        NO,
        |s| {
            fs::remove_file(s.path("html/d/f")).expect("there");
            s.write("html/d/f/g", "new");
        },
        NEW,
    ),
    change(
        "the directory of what is missing is changed",
        "/d/no",
        NO,
        |s| {
            s.write("html/n/no", "new");
            os::exchange(&s.path("html/d"), &s.path("html/n")).expect("RENAME_EXCHANGE");
        },
        NEW,
    ),
    change(
        "a directory made that was missing",
        "/none/",
        NO,
        |s| fs::create_dir(s.path("html/none")).expect("free"),
        (403, ""),
    ),
    change("an index in a directory that was missing", "/none/", NO, |s| s.write("html/none/index.html", "new"), NEW),
    change("an index that changes", "/i/", OLD, |s| s.write("html/i/index.html", "new"), NEW),
    change(
        "an index that goes",
        "/i/",
        OLD,
        |s| fs::remove_file(s.path("html/i/index.html")).expect("there"),
        (403, ""),
    ),
    change(
        "an index that goes, though another file answers for it",
        "/other/",
        OLD,
        |s| fs::remove_file(s.path("html/other/i.html")).expect("there"),
        (403, ""),
    ),
    change("the other file that answers for an index", "/other/", OLD, |s| s.write("html/d/f", "new"), NEW),
    change("the file behind a link", "/link", OLD, |s| s.write("html/d/f", "new"), NEW),
    change(
        "a link that leads elsewhere",
        "/link",
        OLD,
        |s| {
            s.write("html/n/f", "new");
            symlink("n/f", s.path("html/fresh")).expect("free");
            fs::rename(s.path("html/fresh"), s.path("html/link")).expect("there");
        },
        NEW,
    ),
    change(
        "a directory's link that leads elsewhere",
        "/dlink/f",
        OLD,
        |s| {
            s.write("html/n/f", "new");
            symlink("n", s.path("html/fresh")).expect("free");
            fs::rename(s.path("html/fresh"), s.path("html/dlink")).expect("there");
        },
        NEW,
    ),
    change("written by its other name", "/hard", OLD, |s| s.write("html/hard2", "new"), NEW),
    change("a .gz in place of a .gz", "/gz/t", OLD, |s| replace(s, "html/gz/t.gz", "new"), NEW),
    change("a .gz goes", "/gz/t", OLD, |s| fs::remove_file(s.path("html/gz/t.gz")).expect("there"), (200, "plain")),
    change("a .gz comes", "/gz/u", OLD, |s| s.write("html/gz/u.gz", "new"), NEW),
    change("a file in the way of try_files", "/try/x", OLD, |s| s.write("html/try/x", "new"), NEW),
    change("an error page", "/page/no", (404, "old"), |s| s.write("html/d/f", "new"), (404, "new")),
];

/// Of what changed: the status, and the body where that is not a page of the server's own.
fn check(name: &str, client: &mut Client, (status, body): (u16, &str)) {
    let answer = client.response();
    assert_eq!(answer.status, status, "{name}: {}", answer.show());
    if !body.is_empty() || status == 200 {
        assert_eq!(answer.text(), body, "{name}");
    }
}

fn start() -> Server {
    let s = server(
        "keepalive_requests 1000000;
         location /gz/ { gzip_static always; }
         location /try/ { try_files $uri /d/f; }
         location /page/ { error_page 404 /d/f; }
         location /other/ { index i.html; }
         location = /other/i.html { alias %%DIR%%/html/d/f; }",
    );
    let s = s
        .file("html/d/f", "old")
        .file("html/i/index.html", "old")
        .file("html/gz/t", "plain")
        .file("html/gz/t.gz", "old")
        .file("html/gz/u", "old")
        .file("html/hard", "old")
        .file("html/other/i.html", "the first")
        .mkdir("html/try")
        .link("html/link", "d/f")
        .link("html/dlink", "d");
    fs::hard_link(s.dir().join("html/hard"), s.dir().join("html/hard2")).expect("link");
    s.start()
}

#[test]
fn the_next_answer_is_of_the_file_as_it_is() {
    let mut table = Table::new("changes between the same requests");
    for row in CHANGES {
        table.row(BOTH, row.name, || {
            let s = start();
            let ask = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", row.path);
            let mut client = s.client();
            settle(&mut client, row.path);
            client.send(&ask);
            check(row.name, &mut client, row.before);
            let mut other = s.client();
            other.send(&ask);
            check(row.name, &mut other, row.before);
            (row.change)(&s);
            client.send(&ask);
            check(row.name, &mut client, row.after);
            other.send(ask.repeat(20));
            for _ in 0..20 {
                check(row.name, &mut other, row.after);
            }
        });
    }
}

/// The change comes while the same requests are under way: each that is sent after it sees it, and none sees half.
#[test]
fn a_file_that_changes_between_pipelined_requests() {
    let s = start();
    let mut client = s.client();
    let mut last = "old".to_owned();
    for n in 0..300 {
        client.send(ASK.repeat(3));
        let new = format!("version {n}");
        match n % 2 {
            0 => replace(&s, "html/d/f", &new),
            _ => {
                let _ = fs::remove_file(s.path("html/d/f"));
                s.write("html/d/f", &new);
            }
        }
        client.send(ASK.repeat(2));
        for at in 0..5 {
            let answer = client.response();
            let text = answer.text();
            // In between it may be missing, or empty.
            let between = n % 2 == 1 && (answer.status == 404 || text.is_empty() || new.starts_with(&text));
            let right = text == new || at < 3 && (text == last || between);
            assert!(right, "turn {n}, answer {at}: {} {text:?}", answer.status);
        }
        last = new;
        // Long enough, now and then, for it to be kept.
        if n % 50 == 0 {
            settle(&mut client, "/d/f");
        }
    }
}

/// Asks until a file that was made before is old enough to be kept, and then often enough for its answer to be.
fn settle(client: &mut Client, path: &str) {
    let begun = Instant::now();
    eventually("a moment has passed", || {
        client.get(path);
        begun.elapsed() > SETTLED
    });
    for _ in 0..3 {
        client.get(path);
    }
}

#[test]
fn a_new_configuration_answers_at_once() {
    let block = |root: &str, more: &str| {
        format!(
            "server {{ listen 127.0.0.1:%%PORT%%; keepalive_requests 1000000; root %%DIR%%/{root}; add_header X-Is {root}; {more} }}"
        )
    };
    let s = http(&block("one", "")).file("one/f", "of one").file("two/f", "of two").master().start();
    let mut client = s.client();
    for (at, (root, more)) in
        [("two", ""), ("one", "log_not_found off;"), ("two", "access_log off;"), ("one", "")].into_iter().enumerate()
    {
        settle(&mut client, "/f");
        for _ in 0..4 {
            let old = if at % 2 == 0 { "one" } else { "two" };
            client.get("/f").is(200).has("X-Is", old).body_is(format!("of {old}"));
            client.get("/no").is(404);
        }
        s.reconfigure_http(&block(root, more));
        s.signal(libc::SIGHUP);
        if on_nginx() {
            eventually("the new worker answers", || s.get("/f").header("X-Is") == Some(root));
            client = s.client();
        } else {
            // Until it is read, which a busy machine may need several turns for, the old one answers.
            let reloads = |log: &str| log.matches("the configuration was reloaded").count();
            s.await_file("logs/error.log", |log| reloads(log) == at + 1);
        }
        for _ in 0..2 {
            client.get("/f").is(200).has("X-Is", root).body_is(format!("of {root}"));
        }
    }
}
