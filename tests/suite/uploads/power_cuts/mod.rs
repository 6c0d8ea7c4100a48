//! upload_sync and power cuts: the system calls of real uploads, copies, moves and removals are recorded (strace) and
//! done again on a file system that loses what was not synced ([`disk`]), with a cut after each of them. What was
//! answered with success must be there and whole, and what was not must be as before or as after.
//!
//! The test is able to fail: with fsyncs taken out of the recording it has to find losses.

mod disk;
mod script;
mod trace;

use super::cuts::Seed;
use super::*;
use crate::harness::{http, skipped};
use crate::strace::Strace;
use disk::{After, Disk, Inode, ROOT, Snapshot};
use script::{Op, Upload, script};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use trace::Call;

const CALLS: &str = "trace=openat,openat2,write,pwrite64,writev,splice,copy_file_range,sendto,sendmsg,recvfrom,read,\
                     ftruncate,fsync,fdatasync,syncfs,io_submit,io_getevents,linkat,rename,renameat,renameat2,unlinkat,\
                     mkdirat,close,fcntl,accept4,lseek,unlink,mkdir,rmdir,dup";
/// Subsets tried at random after each call, beside the systematic ones; more where those are too few.
const RANDOM: usize = 12;
/// At least this many cuts are tried. How many the systematic ones are depends on how much is written at the same time.
const LEAST: usize = 10_000;
/// Findings that are shown.
const SHOWN: usize = 30;
const DIRECTORY: &[u8] = b"<dir>";

/// What of the recording counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Nothing,
    SyncsOfFiles,
    SyncsOfDirectories,
}

/// The recording, done again.
struct Replay<'r> {
    ops: &'r [Op],
    uploads: &'r [Upload],
    disk: Disk,
    /// Open files, by number: the inode and the position.
    open: HashMap<i32, (Inode, usize)>,
    sockets: HashMap<i32, usize>,
    syncs: HashMap<String, Snapshot>,
    ignored: Ignored,
    random: usize,
    /// Requests that have come, and those that are answered, in that order.
    begun: Vec<usize>,
    answered: Vec<usize>,
    cuts: usize,
    lost: Vec<String>,
}

impl Replay<'_> {
    fn run(&mut self, trace: &str) {
        let mut seed = Seed(16);
        for line in trace.lines() {
            let Some(call) = Call::parse(line) else { continue };
            if self.apply(&call) {
                self.cut(&mut seed, line);
            }
            // One finding is enough where some have to be, and these where none may be.
            let enough = if self.ignored == Ignored::Nothing { SHOWN } else { 1 };
            if self.lost.len() >= enough {
                return;
            }
        }
    }

    /// Does it again; whether anything is different now.
    fn apply(&mut self, call: &Call<'_>) -> bool {
        match call.name {
            "openat" | "openat2" => return self.open(call),
            "accept4" => _ = self.open.remove(&(call.result as i32)),
            "close" => {
                self.open.remove(&call.number(0));
                self.sockets.remove(&call.number(0));
            }
            "fcntl" | "dup" if call.name == "dup" || call.text.contains("F_DUPFD") => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    self.open.insert(call.result as i32, *open);
                }
            }
            "lseek" => {
                if let Some((_, at)) = self.open.get_mut(&call.number(0)) {
                    *at = call.result as usize;
                }
            }
            "recvfrom" | "read" => return self.received(call),
            "sendto" | "sendmsg" | "write" | "writev" if !self.open.contains_key(&call.number(0)) => {
                return self.sent(call);
            }
            "write" | "pwrite64" => {
                let Some((inode, at)) = self.open.get_mut(&call.number(0)) else { return false };
                let bytes = call.bytes(1);
                let at = match call.name {
                    "write" => std::mem::replace(at, *at + bytes.len()),
                    _ => call.offset(3).expect("an offset"),
                };
                self.disk.write(*inode, at, &bytes);
                return true;
            }
            "splice" => {
                let Some((inode, at)) = self.open.get_mut(&call.number(2)) else { return false };
                let len = call.result as usize;
                let op = &self.ops[*self.begun.last().expect("a request")];
                let from = call.offset(3).unwrap_or(*at);
                *at = from + len;
                self.disk.write(*inode, from, &op.body[from - op.base..from - op.base + len]);
                return true;
            }
            "copy_file_range" => {
                let (Some((from, _)), Some((to, _))) = (self.open.get(&call.number(0)), self.open.get(&call.number(2)))
                else {
                    return false;
                };
                let (at, to_at) = (call.offset(1).expect("an offset"), call.offset(3).expect("an offset"));
                let bytes = self.disk.content(*from)[at..at + call.result as usize].to_vec();
                self.disk.write(*to, to_at, &bytes);
                return true;
            }
            "ftruncate" => {
                let Some((inode, _)) = self.open.get(&call.number(0)) else { return false };
                self.disk.truncate(*inode, call.offset(1).expect("a length"));
                return true;
            }
            "fsync" | "fdatasync" => {
                let Some((inode, _)) = self.open.get(&call.number(0)) else { return false };
                self.disk.end_sync(self.disk.begin_sync(*inode));
                return true;
            }
            "io_submit" => {
                let calls = call.values("aio_data=").zip(call.values("aio_fildes="));
                for (data, fd) in calls {
                    if let Some((inode, _)) = fd.parse().ok().and_then(|fd: i32| self.open.get(&fd)) {
                        self.syncs.insert(data.into(), self.disk.begin_sync(*inode));
                    }
                }
            }
            "io_getevents" => {
                let mut any = false;
                for data in call.values("{data=") {
                    let Some(snapshot) = self.syncs.remove(data) else { continue };
                    let ignored = match snapshot.is_of_directory(&self.disk) {
                        true => Ignored::SyncsOfDirectories,
                        false => Ignored::SyncsOfFiles,
                    };
                    if self.ignored != ignored {
                        self.disk.end_sync(snapshot);
                        any = true;
                    }
                }
                return any;
            }
            "linkat" | "rename" | "renameat" | "renameat2" | "unlinkat" | "unlink" | "mkdirat" | "mkdir" | "rmdir" => {
                return self.name(call);
            }
            _ => {}
        }
        false
    }

    /// What a path of a call is relative to; None: it is elsewhere.
    fn base(&self, fd: &str, path: &[u8]) -> Option<Inode> {
        match path.starts_with(b"/") || fd == "AT_FDCWD" {
            true => Some(ROOT),
            false => self.open.get(&fd.parse().ok()?).map(|(inode, _)| *inode),
        }
    }

    fn is_elsewhere(&self, path: &[u8]) -> bool {
        self.disk.parent(ROOT, path).is_none()
    }

    fn open(&mut self, call: &Call<'_>) -> bool {
        let (fd, path) = (call.result as i32, call.bytes(1));
        self.open.remove(&fd);
        let Some(base) = self.base(call.arguments[0], &path) else { return false };
        let flags = call.arguments[2];
        if flags.contains("O_TMPFILE") {
            let inode = self.disk.make();
            self.open.insert(fd, (inode, 0));
            return true;
        }
        let found = self.disk.find(base, &path);
        let mut changed = false;
        let inode = match found {
            Some(inode) => inode,
            None if flags.contains("O_CREAT") => {
                let Some((dir, name)) = self.disk.parent(base, &path) else { return false };
                let inode = self.disk.make();
                self.disk.change(vec![(dir, name, Some(inode))]);
                changed = true;
                inode
            }
            None => return false,
        };
        if flags.contains("O_TRUNC") {
            self.disk.truncate(inode, 0);
            changed = true;
        }
        self.open.insert(fd, (inode, 0));
        changed
    }

    /// link, rename, unlink, mkdir.
    fn name(&mut self, call: &Call<'_>) -> bool {
        let place = |it: &Self, at: usize| {
            let path = call.bytes(at + 1);
            let base = it.base(call.arguments[at], &path)?;
            it.disk.parent(base, &path)
        };
        let sets = match call.name {
            "linkat" => {
                let path = call.bytes(1);
                let fd = match path.strip_prefix(b"/proc/self/fd/") {
                    Some(number) => std::str::from_utf8(number).expect("digits").parse().expect("a number"),
                    None => call.number(0),
                };
                let Some((inode, _)) = self.open.get(&fd).copied() else { return false };
                let Some((dir, name)) = place(self, 2) else { return false };
                vec![(dir, name, Some(inode))]
            }
            "renameat" | "renameat2" => {
                let (Some((dir, name)), Some((to, new))) = (place(self, 0), place(self, 2)) else { return false };
                let moved = self.disk.name(dir, &name);
                let other = if call.text.contains("RENAME_EXCHANGE") { self.disk.name(to, &new) } else { None };
                vec![(dir, name, other), (to, new, moved)]
            }
            "unlinkat" => {
                let Some((dir, name)) = place(self, 0) else { return false };
                vec![(dir, name, None)]
            }
            "mkdirat" => {
                let Some((dir, name)) = place(self, 0) else { return false };
                let inode = self.disk.make_directory();
                vec![(dir, name, Some(inode))]
            }
            // Of the file system that is done again, the server names nothing by a path alone: what is left of its
            // start may be in the recording (the pid file's other name).
            "unlink" if self.is_elsewhere(&call.bytes(0)) => return false,
            other => panic!("{other} is not known here: {}", call.text),
        };
        self.disk.change(sets);
        true
    }

    fn received(&mut self, call: &Call<'_>) -> bool {
        let Some(number) = call.after("X-Op: ").and_then(|text| text.parse().ok()) else { return false };
        self.sockets.insert(call.number(0), number);
        self.begun.push(number);
        false
    }

    fn sent(&mut self, call: &Call<'_>) -> bool {
        let is_answer = call.contains("HTTP/1.1 2") || call.contains("HTTP/1.1 3");
        let Some(number) = self.sockets.get(&call.number(0)).filter(|_| is_answer) else { return false };
        self.answered.push(*number);
        self.sockets.remove(&call.number(0));
        true
    }

    /// The power goes now, in many ways.
    fn cut(&mut self, seed: &mut Seed, line: &str) {
        if self.begun.is_empty() {
            return;
        }
        let (allowed, keeps) = self.allowed();
        let promised = self.promised();
        let (mut cuts, mut lost) = (0, Vec::new());
        self.disk.cuts(seed, self.random, |after| {
            cuts += 1;
            let before = lost.len();
            for (path, values) in &allowed {
                let there = after.file(path);
                let there = there.as_ref().map(|content| &content[..]);
                if !values.contains(&there) {
                    lost.push(format!("{path} holds {}", shown(there)));
                }
            }
            for any in &keeps {
                if !any.iter().any(|(path, content)| after.file(path).is_some_and(|there| *there == *content)) {
                    lost.push(format!("neither of {:?}", any.iter().map(|(path, _)| path).collect::<Vec<_>>()));
                }
            }
            for (upload, offset, named) in &promised {
                if !(*named && after.file(&upload.name).is_some_and(|there| *there == upload.content))
                    && let Err(why) = goes_on(after, upload, *offset)
                {
                    lost.push(format!("{} from {offset}: {why}", upload.part));
                }
            }
            if lost.len() > before {
                let context = format!(", after {} with {:?}", &line[..line.len().min(60)], after.describe());
                lost[before..].iter_mut().for_each(|finding| finding.push_str(&context));
            }
        });
        self.cuts += cuts;
        self.lost.extend(lost);
    }

    /// What each path may hold: what the last answered request left there, or one that is not answered yet.
    #[allow(clippy::type_complexity)]
    fn allowed(&self) -> (HashMap<&str, Vec<Option<&[u8]>>>, Vec<&Vec<(String, Vec<u8>)>>) {
        let mut allowed: HashMap<&str, Vec<Option<&[u8]>>> = HashMap::new();
        let mut keeps = Vec::new();
        for number in &self.begun {
            let op = &self.ops[*number];
            let is_answered = self.answered.contains(number);
            for (path, content) in &op.after {
                let old = || OLD.iter().find(|(old, _)| path.ends_with(old)).map(|(_, content)| content.as_bytes());
                let values = allowed.entry(path).or_insert_with(|| vec![old()]);
                if is_answered {
                    values.clear();
                }
                values.push(content.as_deref());
            }
            if !is_answered {
                keeps.extend(&op.keeps);
            }
        }
        (allowed, keeps)
    }

    /// Uploads that go on, the offset that is promised, and whether the file may have its name already.
    fn promised(&self) -> Vec<(&Upload, usize, bool)> {
        let mut uploads = Vec::new();
        for (at, upload) in self.uploads.iter().enumerate().filter(|(_, upload)| !upload.name.is_empty()) {
            let of = |number: &&usize| self.ops[**number].upload.is_some_and(|(other, _)| other == at);
            let offset = |number: &usize| self.ops[*number].upload.map_or(0, |(_, offset)| offset);
            let Some(promised) = self.answered.iter().filter(of).map(offset).max() else { continue };
            let named = self.begun.iter().filter(of).any(|number| offset(number) == upload.content.len());
            if promised < upload.content.len() {
                uploads.push((upload, promised, named));
            }
        }
        uploads
    }
}

/// An upload's record says how much of its bytes' file counts, and that much is right.
fn goes_on(after: &After<'_>, upload: &Upload, offset: usize) -> Result<(), String> {
    let record = after.file(&upload.record).ok_or("no record")?;
    let text = String::from_utf8_lossy(&record).into_owned();
    if !text.starts_with("webserv-upload 1\nmarks ") || !text.ends_with("\nend\n") {
        return Err(format!("the record is {text:?}"));
    }
    let synced = text.lines().nth(1).and_then(|line| line.split(' ').nth(2)?.parse().ok());
    let synced: usize = synced.ok_or("the record does not say what counts")?;
    let bytes = after.file(&upload.part).ok_or("no bytes")?;
    let counts = bytes.len().min(synced);
    match counts >= offset && bytes[..counts] == upload.content[..counts] {
        true => Ok(()),
        false => Err(format!("{counts} of {} bytes count", bytes.len())),
    }
}

fn shown(content: Option<&[u8]>) -> String {
    match content {
        None => "nothing".into(),
        Some(content) => {
            format!("{} bytes {:?}", content.len(), String::from_utf8_lossy(&content[..content.len().min(20)]))
        }
    }
}

/// What is there from the beginning.
const OLD: [(&str, &str); 2] = [("/a/old", "old!"), ("/over/old", "old!")];

fn put_all(disk: &mut Disk, dir: Inode, path: &Path) {
    for entry in std::fs::read_dir(path).expect("a directory").flatten() {
        let name = entry.file_name().into_encoded_bytes();
        match entry.path().is_dir() {
            true => {
                let inner = disk.put(dir, &name, DIRECTORY);
                put_all(disk, inner, &entry.path());
            }
            false => _ = disk.put(dir, &name, &std::fs::read(entry.path()).expect("a file")),
        }
    }
}

#[test]
fn nothing_that_was_answered_is_lost_by_a_power_cut() {
    if skip_on_nginx("uploads") || skip_on_http2("a request is found by its text") || crate::over_tls::is_wanted() {
        return;
    }
    if Command::new("openssl").arg("version").output().is_err() {
        return skipped("openssl is not installed: power cuts are not tried");
    }
    let s = http(
        "dav_ext_lock_zone zone=locks:1m;
         server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
         client_max_body_size 10m; upload_sync on; delete_recursive on;
         location /a/ { allowed_methods GET POST PUT DELETE; upload_create_path on; upload_resumable on; }
         location /over/ { allowed_methods GET POST DELETE; upload_on_duplicate overwrite;
                           delete_trash %%DIR%%/html/trash/bin; }
         location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_lock zone=locks;
                          dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; } }",
    );
    let s = OLD.iter().fold(s, |s, (path, content)| s.file(&format!("html{path}"), content));
    let s = s.mkdir("html/dav").start();
    let root = s.path("html");
    let mut before = Disk::new();
    let mut at = ROOT;
    for name in root.iter().skip(1) {
        at = before.put(at, name.as_encoded_bytes(), DIRECTORY);
    }
    put_all(&mut before, at, &root);
    let Some(strace) = Strace::attach(&s, &["-xx", "-s", "100000", "-e", CALLS]) else { return };
    let (mut ops, mut uploads) = script(&s);
    // The server reads this only when strace has written down how its last answer went out.
    assert_eq!(s.get("/none").status, 404);
    let trace = strace.detach();
    // Paths as the file system has them.
    let prefix = root.display().to_string();
    for op in &mut ops {
        let keeps = op.keeps.iter_mut().flatten().map(|(path, _)| path);
        op.after.iter_mut().map(|(path, _)| path).chain(keeps).for_each(|path| path.insert_str(0, &prefix));
    }
    for upload in &mut uploads {
        let named = Some(&mut upload.name).filter(|name| !name.is_empty());
        [&mut upload.part, &mut upload.record].into_iter().chain(named).for_each(|path| path.insert_str(0, &prefix));
    }
    let replay = |ignored, random| {
        let mut replay = Replay {
            ops: &ops,
            uploads: &uploads,
            disk: before.clone(),
            open: HashMap::new(),
            sockets: HashMap::new(),
            syncs: HashMap::new(),
            ignored,
            random,
            begun: Vec::new(),
            answered: Vec::new(),
            cuts: 0,
            lost: Vec::new(),
        };
        replay.run(&trace);
        if ignored == Ignored::Nothing && replay.lost.is_empty() {
            assert_eq!(replay.answered.len(), ops.len(), "all answers are in the recording");
        }
        (replay.cuts, replay.lost)
    };
    let mut random = RANDOM;
    let (mut cuts, mut lost) = replay(Ignored::Nothing, random);
    while cuts < LEAST && lost.is_empty() && random < RANDOM << 10 {
        random *= 2;
        (cuts, lost) = replay(Ignored::Nothing, random);
    }
    println!("{cuts} power cuts, {} findings", lost.len());
    let mut kinds: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for finding in &lost {
        kinds.entry(finding.split(", after").next().unwrap_or_default()).or_default().push(finding);
    }
    let shown: Vec<String> = kinds.values().map(|all| format!("{} x {}", all.len(), all[0])).take(SHOWN).collect();
    assert!(lost.is_empty(), "{}", shown.join("\n"));
    assert!(cuts >= LEAST, "{cuts}");
    for without in [Ignored::SyncsOfFiles, Ignored::SyncsOfDirectories] {
        assert!(!replay(without, RANDOM).1.is_empty(), "syncs that are taken out are missed");
    }
}
