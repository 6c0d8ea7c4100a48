//! Resumable uploads that are cut, raced and killed: what is stored in the end is what was sent, byte for byte.

use super::resumable::{OCTETS, area_of, create, filename, offset, patch, resumable, tus};
use super::resumable_rules::shorten;
use super::*;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

const STATE: &str = "html/a/.webserv-upload-state";

/// Sends the head of a PATCH for all of `length` bytes from `offset` on.
fn begin_patch(s: &Server, target: &str, offset: usize, length: usize, fields: &str) -> Client {
    let mut client = s.client();
    client.send(format!(
        "PATCH {target} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OCTETS}Upload-Offset: {offset}\r\n\
         {fields}Content-Length: {length}\r\n\r\n"
    ));
    client
}

/// Reproducible choices.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

#[test]
fn a_cut_upload_goes_on_and_is_whole() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut table = Table::new("cut resumable uploads");
    for (what, length, rounds) in [("small", 5_000, 20), ("with pipe", 900_000, 12)] {
        for (how, reset) in [("FIN", false), ("RST", true)] {
            table.row(OURS, &format!("{what}, {how}"), || {
                for round in 0..rounds {
                    let content = noise(length);
                    let name = format!("{what}-{how}-{round}").replace(' ', "-");
                    let target = create(&s, &name, length);
                    let mut at = 0;
                    let mut cuts = 0;
                    while at < length {
                        let left = length - at;
                        let cut = if cuts < 4 { dice.below(left + 1) } else { left };
                        let mut client = begin_patch(&s, &target, at, left, "");
                        client.send(&content[at..at + cut]);
                        if cut == left {
                            client.response().is(204);
                        } else if reset {
                            client.reset();
                        } else {
                            client.half_close().rest();
                        }
                        let there = offset(&s, &target);
                        assert!((at..=at + cut).contains(&there), "{there} after {at} and {cut} more");
                        if !reset {
                            assert_eq!(there, at + cut, "all that was sent before a FIN counts");
                        }
                        at = there;
                        cuts += 1;
                    }
                    assert!(s.read(&format!("html/a/{name}")) == content, "{name} differs");
                }
                assert!(!s.exists(STATE));
            });
        }
    }
}

#[test]
fn a_killed_server_loses_nothing_that_it_told() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = area_of("").restartable().start();
    let mut table = Table::new("killed amid resumable uploads");
    table.row(OURS, "ten times in one upload", || {
        let content = noise(2_000_000);
        let target = create(&s, "killed.bin", content.len());
        let mut dice = Dice(77);
        let mut told = 0;
        for _ in 0..10 {
            let at = offset(&s, &target);
            assert!(at >= told, "{at} after {told} was told");
            let cut = dice.below(content.len() - at);
            let mut client = begin_patch(&s, &target, at, content.len() - at, "");
            client.send(&content[at..at + cut / 2]);
            // As far as it can be told without stopping it: something arrived.
            eventually("bytes arrive", || part(&s).len() >= at + (cut / 2).min(1));
            client.send(&content[at + cut / 2..at + cut]);
            s.kill_and_restart();
            let there = offset(&s, &target);
            assert!((at..=at + cut).contains(&there), "{there} after {at} and {cut} more");
            assert!(part(&s) == content[..there], "what is there is what was sent");
            told = there;
        }
        patch(&s, &target, told, &content[told..]).is(204);
        assert!(s.read("html/a/killed.bin") == content);
        assert!(!s.exists(STATE));
    });
    table.row(OURS, "bytes that no checksum was compared of are gone", || {
        let target = create(&s, "unsure.txt", 10);
        patch(&s, &target, 0, b"01").is(204);
        let mut client = begin_patch(&s, &target, 2, 5, "Upload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n");
        client.send("hel");
        eventually("bytes arrive", || part(&s).len() > 2);
        s.kill_and_restart();
        assert_eq!(offset(&s, &target), 2);
        patch(&s, &target, 2, b"23456789").is(204);
        assert_eq!(s.read("html/a/unsure.txt"), b"0123456789");
    });
    table.row(OURS, "between the last byte and the name: asking for the offset stores it", || {
        let target = create(&s, "between.txt", 5);
        patch(&s, &target, 0, b"hell").is(204);
        s.write(&format!("{STATE}/{}.part", id(&target)), "hello");
        s.kill_and_restart();
        assert!(!s.exists("html/a/between.txt"));
        assert_eq!(offset(&s, &target), 5);
        assert_eq!(s.read("html/a/between.txt"), b"hello");
        assert!(!s.exists(STATE));
    });
    table.row(OURS, "between the name and the last answer: the offset is the end", || {
        let target = create(&s, "named.txt", 5);
        patch(&s, &target, 0, b"hell").is(204);
        let part = format!("{STATE}/{}.part", id(&target));
        s.write(&part, "hello");
        std::fs::rename(s.path(&part), s.path("html/a/named.txt")).expect("rename");
        s.kill_and_restart();
        assert_eq!(offset(&s, &target), 5);
        eventually("nothing is left of it", || {
            s.get("/").is(200);
            !s.exists(STATE)
        });
    });
    table.row(OURS, "a record that is broken is no upload", || {
        let target = create(&s, "broken.txt", 5);
        let state = format!("{STATE}/{}.state", id(&target));
        let text = String::from_utf8(s.read(&state)).expect("text");
        s.write(&state, &text[..text.len() / 2]);
        s.kill_and_restart();
        tus(&s, "HEAD", &target, "", b"").is(404);
        s.get("/").is(200);
        std::fs::remove_dir_all(s.path(STATE)).expect("it is there");
    });
    table.row(OURS, "one of a newer version stays, even if its time is over here", || {
        let (newer, own) = (create(&s, "newer.txt", 5), create(&s, "own.txt", 5));
        let state = |target: &str| format!("{STATE}/{}.state", id(target));
        let text = String::from_utf8(s.read(&state(&newer))).expect("text");
        s.write(&state(&newer), text.replacen("\nend\n", "\ncolour red\nend\n", 1));
        shorten(&s, STATE, "");
        for entry in std::fs::read_dir(s.path(STATE)).expect("the state directory") {
            let file = std::fs::File::options().write(true).open(entry.expect("an entry").path()).expect("a file");
            file.set_modified(std::time::UNIX_EPOCH).expect("its time is set");
        }
        s.kill_and_restart();
        eventually("its own is removed", || {
            s.get("/").is(200);
            !s.exists(&state(&own))
        });
        assert!(s.exists(&state(&newer)) && s.exists(&state(&newer).replace(".state", ".part")));
        std::fs::remove_dir_all(s.path(STATE)).expect("it is there");
    });
    table.row(OURS, "the draft, at once and killed", || {
        let content = noise(500_000);
        let mut client = s.client();
        client.send(format!(
            "PUT /a/draft.bin HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 8\r\n\
             Content-Length: {}\r\n\r\n",
            content.len()
        ));
        let target = located(client.response().is(104));
        client.send(&content[..300_000]);
        eventually("bytes arrive", || !part(&s).is_empty());
        s.kill_and_restart();
        let r = s.method("HEAD", &target, "", b"");
        r.is(204).has("Upload-Complete", "?0").has("Upload-Length", "500000");
        let at: usize = r.header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset");
        assert!(at <= 300_000 && !s.exists("html/a/draft.bin"));
        let fields =
            format!("Content-Type: application/partial-upload\r\nUpload-Offset: {at}\r\nUpload-Complete: ?1\r\n");
        s.method("PATCH", &target, &fields, &content[at..]).is(201);
        assert!(s.read("html/a/draft.bin") == content);
    });
}

fn id(target: &str) -> &str {
    target.rsplit('=').next().expect("an id")
}

/// The bytes of the one upload that is under way.
fn part(s: &Server) -> Vec<u8> {
    let entries = std::fs::read_dir(s.path(STATE)).expect("the state directory");
    let mut parts = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "part"));
    let path = parts.next().expect("an upload");
    assert!(parts.next().is_none(), "more than one upload");
    std::fs::read(path).expect("it is there")
}

#[test]
fn of_two_requests_the_newer_goes_on() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let mut table = Table::new("parallel PATCHes");
    table.row(OURS, "the older is cut, its bytes never mix", || {
        let target = create(&s, "race.bin", 300_000);
        let mut old = begin_patch(&s, &target, 0, 300_000, "");
        old.send(vec![b'a'; 100_000]);
        eventually("its bytes arrive", || part(&s).len() == 100_000);
        let mut new = begin_patch(&s, &target, 100_000, 200_000, "");
        new.send(vec![b'b'; 50_000]);
        eventually("the newer's bytes arrive", || part(&s).len() == 150_000);
        // The older does not know yet.
        old.try_send(vec![b'a'; 100_000]);
        old.rest();
        assert_eq!(part(&s).len(), 150_000);
        new.send(vec![b'b'; 150_000]).response().is(204).has("Upload-Offset", "300000");
        let stored = s.read("html/a/race.bin");
        assert!(stored[..100_000].iter().all(|b| *b == b'a') && stored[100_000..].iter().all(|b| *b == b'b'));
    });
    table.row(OURS, "an offset that was told stays true", || {
        let target = create(&s, "told.bin", 300_000);
        let mut old = begin_patch(&s, &target, 0, 300_000, "");
        old.send(vec![b'a'; 100_000]);
        eventually("its bytes arrive", || part(&s).len() == 100_000);
        let at = offset(&s, &target);
        old.try_send(vec![b'a'; 100_000]);
        old.rest();
        assert_eq!((at, part(&s).len()), (100_000, 100_000));
        patch(&s, &target, at, &vec![b'b'; 200_000]).is(204);
    });
    table.row(OURS, "clients that vanished do not lock it for the third", || {
        let target = create(&s, "vanished.bin", 300_000);
        let mut vanished = begin_patch(&s, &target, 0, 300_000, "");
        vanished.send(vec![b'a'; 100_000]);
        eventually("its bytes arrive", || part(&s).len() == 100_000);
        assert_eq!(offset(&s, &target), 100_000);
        let mut cut = begin_patch(&s, &target, 100_000, 200_000, "");
        cut.send(vec![b'b'; 50_000]);
        cut.half_close().rest();
        assert_eq!(offset(&s, &target), 150_000);
        patch(&s, &target, 150_000, &vec![b'c'; 150_000]).is(204);
        // It never said a word.
        drop(vanished);
    });
    table.row(OURS, "cancelled while it is written", || {
        let target = create(&s, "cancelled.bin", 300_000);
        let mut old = begin_patch(&s, &target, 0, 300_000, "");
        old.send(vec![b'a'; 100_000]);
        eventually("its bytes arrive", || part(&s).len() == 100_000);
        tus(&s, "DELETE", &target, "", b"").is(204);
        old.try_send(vec![b'a'; 200_000]);
        old.rest();
        assert!(!s.exists(STATE) && !s.exists("html/a/cancelled.bin"));
        tus(&s, "HEAD", &target, "", b"").is(410);
    });
    table.row(OURS, "two of one offset, each byte by byte", || {
        let target = create(&s, "same.txt", 10);
        let (mut old, mut new) = (begin_patch(&s, &target, 0, 10, ""), None);
        for n in 0..10u8 {
            old.try_send([b'a' + n]);
            if n == 4 {
                eventually("four bytes arrive", || part(&s).len() >= 4);
                let at = offset(&s, &target);
                new = Some((at, begin_patch(&s, &target, at, 10 - at, "")));
            }
        }
        let (at, mut new) = new.expect("begun");
        let rest = &b"0123456789"[at..];
        new.send(rest).response().is(204);
        let stored = s.read("html/a/same.txt");
        assert_eq!(stored, [&b"abcdefghij"[..at], rest].concat());
    });
    table.row(OURS, "fifty uploads of one name: one gets it", || {
        let targets: Vec<String> = (0..50)
            .map(|_| {
                located(tus(&s, "POST", "/a/", &format!("Upload-Length: 2\r\n{}", filename("one.txt")), b"").is(201))
            })
            .collect();
        let statuses: Vec<u16> = targets.iter().map(|target| patch(&s, target, 0, b"ab").status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1);
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 49);
        assert!(!s.exists(STATE));
    });
}

#[test]
fn uploads_survive_a_stop_and_a_reload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("");
    let target = create(&s, "reloaded.txt", 10);
    let mut client = begin_patch(&s, &target, 0, 10, "");
    client.send("01234");
    eventually("bytes arrive", || part(&s).len() == 5);
    s.signal(libc::SIGHUP);
    s.get("/").is(200);
    client.send("56789").response().is(204);
    assert_eq!(s.read("html/a/reloaded.txt"), b"0123456789");
}

#[test]
fn what_stands_in_place_of_an_uploads_bytes_is_neither_waited_for_nor_written_to() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = area_of("").restartable().allow_log("failed (22").allow_log("failed (40").file("outside", "outside");
    let mut s = running(setup);
    let mut table = Table::new("no file of bytes");
    for kind in ["a FIFO", "a FIFO with another end", "a link"] {
        table.row(OURS, kind, || {
            let target = create(&s, "f.txt", 10);
            patch(&s, &target, 0, b"01").is(204);
            let path = s.path(&format!("{STATE}/{}.part", id(&target)));
            std::fs::remove_file(&path).expect("it is there");
            match kind {
                "a link" => std::os::unix::fs::symlink(s.path("outside"), &path).expect("symlink"),
                _ => crate::os::mkfifo(&path),
            }
            let mut options = std::fs::File::options();
            let other = options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
            let other = (kind == "a FIFO with another end").then(|| other.open(&path).expect("both ends"));
            for r in [tus(&s, "HEAD", &target, "", b""), patch(&s, &target, 2, b"23456789")] {
                assert!(r.status >= 400, "{}", r.show());
            }
            let r = tus(&s, "DELETE", &target, "", b"");
            assert!(r.status == 204 || r.status >= 400, "{}", r.show());
            s.get("/").is(200);
            if let Some(mut other) = other {
                let read = std::io::Read::read(&mut other, &mut [0; 16]);
                assert_eq!(read.expect_err("nothing came").kind(), std::io::ErrorKind::WouldBlock);
            }
            assert_eq!(s.read("outside"), b"outside");
            assert!(!s.exists("html/a/f.txt"));
            // The next one is not concerned.
            let next = create(&s, "next.txt", 2);
            patch(&s, &next, 0, b"ok").is(204);
            assert_eq!(s.read("html/a/next.txt"), b"ok");
            s.method("DELETE", "/a/next.txt", "", b"").is(204);
            let _ = std::fs::remove_file(&path);
        });
    }
    table.row(OURS, "nor by a process that starts", || {
        let target = create(&s, "f.txt", 10);
        let path = s.path(&format!("{STATE}/{}.part", id(&target)));
        std::fs::remove_file(&path).expect("it is there");
        crate::os::mkfifo(&path);
        s.kill_and_restart();
        s.get("/").is(200);
        assert!(tus(&s, "HEAD", &target, "", b"").status >= 400);
        s.get("/").is(200);
    });
}

#[test]
fn an_upload_that_another_version_of_the_server_keeps_is_not_unknown() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = area_of("").restartable().start();
    let target = create(&s, "newer.bin", 10);
    patch(&s, &target, 0, b"01234").is(204);
    let id = target.rsplit('=').next().expect("an id").to_owned();
    let file = format!("{STATE}/{id}.state");
    let ours = String::from_utf8(s.read(&file)).expect("text");
    let newer = ours.replacen("webserv-upload 1", "webserv-upload 2", 1);
    for newer in [&newer, &ours.replacen("\nend\n", "\nnew-field x\nend\n", 1)] {
        s.write(&file, newer);
        // A 404 or 410 would have clients begin again.
        tus(&s, "HEAD", &target, "", b"").is(503);
        patch(&s, &target, 5, b"56789").is(503);
        tus(&s, "DELETE", &target, "", b"").is(503);
        s.kill_and_restart();
        s.get("/").is(200);
        assert_eq!((s.read(&file), part(&s)), (newer.as_bytes().to_vec(), b"01234".to_vec()), "it is left as it is");
    }
    s.write(&file, &ours);
    assert_eq!(offset(&s, &target), 5);
    patch(&s, &target, 5, b"56789").is(204);
    assert_eq!(s.read("html/a/newer.bin"), b"0123456789");
}

/// By a program that cleans up, or a file system that is repaired: a client that was told that the upload is complete
/// would remove its own file.
#[test]
fn an_upload_whose_bytes_something_else_removed_is_not_said_to_be_complete() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut s = area_of("upload_on_duplicate overwrite;").restartable().start();
    let mut table = Table::new("removed bytes");
    for (what, restarts) in [("while the server runs", false), ("before it starts", true)] {
        table.row(OURS, what, || {
            let target = create(&s, "f.txt", 10);
            patch(&s, &target, 0, b"01234").is(204);
            std::fs::remove_file(s.path(&format!("{STATE}/{}.part", id(&target)))).expect("it is there");
            if restarts {
                s.kill_and_restart();
            }
            for _ in 0..2 {
                tus(&s, "HEAD", &target, "", b"").is_one_of(&[404, 410]).lacks("Upload-Offset");
            }
            patch(&s, &target, 5, b"56789").is_one_of(&[404, 410]);
            assert!(!s.exists("html/a/f.txt"));
        });
    }
    // The file that the upload was to replace is as long.
    for (what, restarts) in [("of a replacement", false), ("of a replacement, before it starts", true)] {
        table.row(OURS, what, || {
            s.write("html/a/same.txt", "old bytes!");
            wait_for_another_timestamp(&s);
            let target = create(&s, "same.txt", 10);
            patch(&s, &target, 0, b"01234").is(204);
            std::fs::remove_file(s.path(&format!("{STATE}/{}.part", id(&target)))).expect("it is there");
            if restarts {
                s.kill_and_restart();
            }
            for _ in 0..2 {
                tus(&s, "HEAD", &target, "", b"").is_one_of(&[404, 410]).lacks("Upload-Offset");
            }
            assert_eq!(s.read("html/a/same.txt"), b"old bytes!");
        });
    }
}

/// Until a file that is written now has a later time than all before it: the kernel's clock for them has ticks.
fn wait_for_another_timestamp(s: &Server) {
    let changed =
        |path: &str| std::fs::metadata(s.path(path)).map(|file| (file.ctime(), file.ctime_nsec())).expect("there");
    s.write("html/tick", "");
    let first = changed("html/tick");
    eventually("the clock of files goes on", || {
        s.write("html/tick", "");
        changed("html/tick") > first
    });
}
