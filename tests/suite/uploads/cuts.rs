//! The fault loop: a thousand uploads cut at random bytes, the process killed in between. The directory, hidden names
//! included, is afterwards what it was before; readers see whole files meanwhile; no descriptor is left open.

use super::*;
use crate::client::find;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: usize = 1000;
const KILLS: usize = 8;

/// SplitMix64. The seed is in the failure's message: the same seed cuts at the same bytes.
pub struct Seed(pub u64);

impl Seed {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Everything below `dir`, hidden names too: kind, inode, length, time of change and a hash of the content.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory").flatten() {
            let path = entry.path();
            let Ok(meta) = path.symlink_metadata() else { continue };
            let what = if meta.is_dir() {
                waiting.push(path.clone());
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap_or_default().display())
            } else {
                let content = std::fs::read(&path).unwrap_or_default();
                format!("{} bytes {:016x}, {} at {}", meta.len(), hash(&content), meta.ino(), meta.mtime_nsec())
            };
            lines.push(format!("{}: {what}", path.strip_prefix(dir).expect("below").display()));
        }
    }
    lines.sort();
    lines
}

/// One whole upload of `content` under `name`, as the client would send it.
fn upload(seed: &mut Seed, area: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let raw = |method: &str, target: &str, fields: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n");
        [head.as_bytes(), body].concat()
    };
    match seed.below(5) {
        0 => raw("POST", &format!("{area}{name}"), "", content),
        1 => raw("PUT", &format!("{area}{name}"), "", content),
        form @ (2 | 3) => {
            let mut parts = vec![file(name, content)];
            if form == 3 {
                parts.insert(seed.below(2), file(&format!("beside-{name}"), b"the other file of the form"));
            }
            raw("POST", area, &form_type(), &super::form(&parts))
        }
        _ => {
            let method = ["POST", "PUT"][seed.below(2)];
            let mut bytes =
                format!("{method} {area}{name} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
            for piece in content.chunks(1 + seed.below(9000)) {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            bytes
        }
    }
}

/// The versions of the one file that is really replaced meanwhile: each is known by its first bytes.
fn version(n: usize) -> Vec<u8> {
    let mut content = format!("version {n:08}\n").into_bytes();
    content.extend_from_slice(&noise(100_000 + n * 37));
    content
}

/// Reads `/over/live` until told to stop; the number of whole answers. A killed server costs a connection, no more.
fn read_on(address: std::net::SocketAddr, stop: &AtomicBool) -> usize {
    let mut client = Client::connect(address);
    let mut whole = 0;
    while !stop.load(Ordering::Relaxed) {
        let sent = client.try_send("GET /over/live HTTP/1.1\r\nHost: a\r\n\r\n");
        match sent.then(|| client.try_response(false)) {
            Some(Ok(response)) => {
                response.is(200);
                let number = std::str::from_utf8(&response.body[8..16]).ok().and_then(|digits| digits.parse().ok());
                let number = number.unwrap_or_else(|| panic!("no version of the file begins like this"));
                assert!(response.body == version(number), "a GET saw something else than version {number}");
                whole += 1;
            }
            _ => client = Client::connect(address),
        }
    }
    whole
}

/// What the fault loop has done to `/over/live`: the version that is there, and the last one that was told.
struct Live {
    current: usize,
    told: usize,
}

/// Everything but logs, the configuration and the file that is really replaced.
fn quiet(s: &Server) -> Vec<String> {
    let mut entries = listing(&s.path(""));
    entries.retain(|line| !["logs", "conf", "html/over/live"].iter().any(|name| line.starts_with(name)));
    entries
}

/// Sends an upload without its end, and resets the connection, closes it, or leaves it in `open`.
fn cut_an_upload(s: &Server, seed: &mut Seed, content: &[u8], open: &mut Vec<Client>) {
    let length = match seed.below(4) {
        0 => seed.below(200),
        1 => seed.below(300_000),
        _ => seed.below(20_000),
    };
    let (area, name) = [("/over/", "old"), ("/over/", "new"), ("/up/", "fresh"), ("/made/", "a/b/c")][seed.below(4)];
    // A form names its files itself, so that it has no directory to make.
    let name = if area == "/made/" && seed.below(2) == 0 { "flat" } else { name };
    let bytes = upload(seed, area, name, &content[..length]);
    // Behind the head as a rule, within it now and then; never the last byte.
    let head = find(&bytes, b"\r\n\r\n").expect("a head") + 4;
    let from = if seed.below(10) == 0 { 0 } else { head.min(bytes.len() - 1) };
    let cut = from + seed.below(bytes.len() - from);
    let mut client = s.client();
    // The server may refuse early: what it answers is not asked here.
    client.try_send(&bytes[..cut]);
    match seed.below(3) {
        0 => client.reset(),
        1 => drop(client),
        _ => open.push(client),
    }
}

/// FIN; half of the clients wait for what is answered.
fn half_close(open: &mut Vec<Client>, round: usize) {
    for (at, mut client) in open.drain(..).enumerate() {
        client.try_half_close();
        if at % 2 == 0 {
            let text = String::from_utf8_lossy(&client.rest()).into_owned();
            assert!(!text.contains("HTTP/1.1 2"), "round {round}: a cut upload was stored: {text}");
        }
    }
}

/// Kills the server amid an upload that replaces the file, and whatever else is open.
fn kill(s: &mut Server, seed: &mut Seed, live: &mut Live, round: usize) {
    let mut last = s.client();
    let next = version(live.current + 1);
    let head = format!("PUT /over/live HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", next.len());
    last.send(head);
    // Sometimes whole, and not waited for: then it is the old file or the new one.
    let sent = if seed.below(2) == 0 { next.len() } else { seed.below(next.len()) };
    last.try_send(&next[..sent]);
    s.kill_and_restart();
    s.get("/").is(200);
    let got = s.get("/over/live");
    live.current = if got.body == next { live.current + 1 } else { live.told };
    assert!(got.body == version(live.current), "round {round}: neither the old file nor the new one");
    live.told = live.current;
}

fn cut_and_kill(s: &mut Server, seed: &mut Seed, live: &mut Live) {
    let (content, mut open) = (noise(300_000), Vec::new());
    for round in 0..ROUNDS {
        cut_an_upload(s, seed, &content, &mut open);
        if open.len() == 8 {
            half_close(&mut open, round);
        }
        if round % 20 == 7 {
            live.current += 1;
            s.method("PUT", "/over/live", "", &version(live.current)).is(204);
            live.told = live.current;
        }
        if round % (ROUNDS / KILLS) == ROUNDS / KILLS - 1 {
            kill(s, seed, live, round);
            open.clear();
        }
    }
}

#[test]
fn a_thousand_cut_uploads_and_kills_leave_the_directory_as_it_was() {
    if skip_on_nginx("uploads") {
        return;
    }
    let number = 20_260_731;
    println!("seed {number}");
    let mut seed = Seed(number);
    let mut s = running(
        server(
            "client_max_body_size 10m; lingering_timeout 300ms; lingering_time 1s;
             location /up/ { allowed_methods GET POST PUT DELETE; }
             location /over/ { allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; }
             location /made/ { allowed_methods GET POST PUT; upload_create_path on; }",
        )
        .file("html/index.html", "index")
        .file("html/up/kept", "kept")
        .file("html/over/old", noise(50_000))
        .file("html/over/.hidden", "hidden")
        .file("html/over/live", version(0))
        .mkdir("html/made")
        .restartable(),
    );
    let before = quiet(&s);
    let stop = AtomicBool::new(false);
    let address = s.address(0);
    let mut live = Live { current: 0, told: 0 };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read_on(address, &stop))).collect();
        // Whatever fails in here, the readers are told to stop.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cut_and_kill(&mut s, &mut seed, &mut live);
        }));
        stop.store(true, Ordering::Relaxed);
        let whole: Vec<usize> = readers.into_iter().map(|reader| reader.join().expect("a reader")).collect();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        println!("{} versions, {whole:?} whole reads", live.current);
        assert!(whole.iter().all(|&reads| reads > 0));
    });
    eventually("the directory is as before", || {
        s.get("/").is(200);
        quiet(&s) == before
    });
    assert!(s.read("html/over/live") == version(live.current));
}

#[test]
fn a_kill_amid_replacements_leaves_no_hidden_file() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut seed = Seed(11);
    let mut s = running(setup("").file("html/over/two.txt", "old!").restartable());
    let names = |s: &Server| -> Vec<String> {
        listing(&s.path("html")).iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect()
    };
    let before = names(&s);
    let stop = AtomicBool::new(false);
    let address = s.address(0);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let content = noise(200 + worker);
                let two = super::form(&[file("old.txt", &content), file("two.txt", &content)]);
                let form =
                    format!("POST /over/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{}\r\n", two.len(), form_type());
                let raw =
                    format!("POST /over/old.txt HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len());
                let (form, raw) = ([form.as_bytes(), &two].concat(), [raw.as_bytes(), &content].concat());
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    let bytes = if worker % 2 == 0 { &form } else { &raw };
                    if !client.try_send(bytes) || client.try_response(false).is_err() {
                        client = Client::connect(address);
                    }
                }
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..40 {
                for _ in 0..seed.below(30) {
                    s.get("/").is(200);
                }
                s.kill_and_restart();
                s.get("/").is(200);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    // The last process was not killed, but others before it.
    eventually("nothing hidden is left", || {
        s.get("/").is(200);
        names(&s) == before
    });
}

#[test]
fn cut_uploads_leave_no_descriptor_open() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut seed = Seed(7);
    let s = running(setup("lingering_timeout 300ms; lingering_time 1s;"));
    let content = noise(100_000);
    let one = |seed: &mut Seed| {
        let name = ["old.txt", "new"][seed.below(2)];
        let bytes = upload(seed, "/over/", name, &content[..20_000]);
        let mut client = s.client();
        client.try_send(&bytes[..bytes.len() - 1 - seed.below(20_000)]);
        if seed.below(2) == 0 { client.reset() } else { drop(client) }
    };
    // What is opened once for good: directories, the pipe for splicing, the journal of replacements.
    for _ in 0..20 {
        one(&mut seed);
    }
    for _ in 0..2 {
        s.method("POST", "/over/old.txt", "", &content).is(200);
    }
    s.get("/").is(200);
    let idle = || {
        // The connections of what came before are gone when only one is left to be counted: this one.
        let mut last = Vec::new();
        eventually("the descriptors settle", || {
            s.get("/").is(200);
            let now = opened(&s);
            let same = now == last;
            last = now;
            same && connections(&s) == 0
        });
        last
    };
    let before = idle();
    for _ in 0..300 {
        one(&mut seed);
    }
    let after = idle();
    let more: Vec<&String> = after.iter().filter(|target| count(&after, target) > count(&before, target)).collect();
    // A directory is let go when it has not been used for some time, and opened again: once.
    let over = s.path("html/over").display().to_string();
    assert!(more.iter().all(|target| **target == over) && more.len() <= 1, "{more:?}: {after:#?} after {before:#?}");
}

/// What the process has open, sorted, without its watch of the file system: that is opened once, but not before a name
/// has been asked for some time.
fn opened(s: &Server) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", s.pid)).expect("proc").flatten();
    let mut targets: Vec<String> =
        fds.filter_map(|fd| Some(std::fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned())).collect();
    targets.sort();
    if let Some(watch) = targets.iter().position(|target| target == "anon_inode:inotify") {
        targets.remove(watch);
    }
    targets
}

fn count(targets: &[String], target: &str) -> usize {
    targets.iter().filter(|other| *other == target).count()
}

/// Sockets of the process beside those that listen.
fn connections(s: &Server) -> usize {
    let listening = 1;
    let fds = std::fs::read_dir(format!("/proc/{}/fd", s.pid)).expect("proc");
    let sockets = fds
        .flatten()
        .filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:")));
    sockets.count().saturating_sub(listening)
}
