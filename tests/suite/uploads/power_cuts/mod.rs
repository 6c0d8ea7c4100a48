//! upload_sync and power cuts: the system calls of real uploads, copies, moves and removals are recorded (strace) and done
//! again on a file system that loses what was not synced ([`disk`]), with a cut after each of them. What was answered with
//! success must be there and whole, and what was not must be as before or as after.
//!
//! The test is able to fail: with fsyncs taken out of the recording it has to find losses.

mod disk;
mod trace;

use super::cuts::Seed;
use super::resumable::{OCTETS, filename};
use super::*;
use crate::harness::{http, skipped};
use disk::{After, Disk, Inode, ROOT, Snapshot};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use trace::Call;

const CALLS: &str = "trace=openat,openat2,write,pwrite64,writev,splice,copy_file_range,sendto,sendmsg,recvfrom,read,\
                     ftruncate,fsync,fdatasync,syncfs,io_submit,io_getevents,linkat,rename,renameat,renameat2,unlinkat,\
                     mkdirat,close,fcntl,accept4,lseek,unlink,mkdir,rmdir,dup";
/// Subsets tried at random after each call, beside the systematic ones.
const RANDOM: usize = 12;
/// More cuts than this have to be tried.
const LEAST: usize = 10_000;
const DIRECTORY: &[u8] = b"<dir>";

/// One request, and what is true once it is answered.
#[derive(Default)]
struct Op {
    /// Each path, and what it holds then; None: nothing.
    after: Vec<(String, Option<Vec<u8>>)>,
    /// Of each of these at least one holds at any time, from this request on until another changes its paths.
    keeps: Vec<Vec<(String, Vec<u8>)>>,
    /// Where spliced bytes come from, and the offset of the first.
    body: Vec<u8>,
    base: usize,
    /// The upload that goes on with it, and how much of it is promised then.
    upload: Option<(usize, usize)>,
}

/// A resumable upload: its bytes' file and its record, and what it is to hold.
struct Upload {
    part: String,
    record: String,
    content: Vec<u8>,
    name: String,
}

/// Sends requests and remembers what each is to come to.
struct Script<'s> {
    s: &'s Server,
    ops: Vec<Op>,
    uploads: Vec<Upload>,
}

impl Script<'_> {
    #[track_caller]
    fn send(&mut self, method: &str, target: &str, fields: &str, body: &[u8], op: Op) -> Response {
        let number = self.ops.len();
        self.ops.push(Op { body: body.to_vec(), ..op });
        let r = self.s.method(method, target, &format!("X-Op: {number}\r\n{fields}"), body);
        assert!((200..400).contains(&r.status), "{method} {target}: {}", r.show());
        r
    }

    fn stores(&mut self, method: &str, target: &str, body: &[u8]) {
        let op = Op { after: vec![(target.into(), Some(body.to_vec()))], ..Op::default() };
        self.send(method, target, "", body, op);
    }

    fn form(&mut self, target: &str, files: &[(&str, &[u8])]) {
        let parts: Vec<Vec<u8>> = files.iter().map(|(name, content)| super::file(name, content)).collect();
        let after = files.iter().map(|(name, content)| (format!("{target}{name}"), Some(content.to_vec())));
        let op = Op { after: after.collect(), ..Op::default() };
        self.send("POST", target, &form_type(), &super::form(&parts), op);
    }

    fn mkcol(&mut self, target: &str) {
        let op = Op { after: vec![(target.into(), Some(DIRECTORY.to_vec()))], ..Op::default() };
        self.send("MKCOL", target, "", b"", op);
    }

    /// LOCK of a free name makes a file.
    fn lock(&mut self, target: &str) {
        let op = Op { after: vec![(target.into(), Some(Vec::new()))], ..Op::default() };
        let body =
            r#"<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"#;
        self.send("LOCK", target, "Depth: 0\r\n", body.as_bytes(), op);
    }

    /// COPY or MOVE of these files below a name, each with its content; `gone`: what the destination had that goes.
    fn transfer(&mut self, method: &str, from: &str, to: &str, files: &[(&str, &[u8])], gone: &[(&str, &[u8])]) {
        let mut op = Op::default();
        for (file, content) in files {
            let (old, new) = (format!("{from}{file}"), format!("{to}{file}"));
            op.after.push((new.clone(), Some(content.to_vec())));
            if method == "MOVE" {
                op.after.push((old.clone(), None));
                op.keeps.push(vec![(old, content.to_vec()), (new, content.to_vec())]);
            }
        }
        for (file, content) in gone {
            let name = format!("{to}{file}");
            op.keeps.push(
                [(name.clone(), content.to_vec())]
                    .into_iter()
                    .chain(files.iter().map(|(file, content)| (format!("{to}{file}"), content.to_vec())))
                    .collect(),
            );
            op.after.push((name, None));
        }
        self.send(method, from, &format!("Destination: {to}\r\n"), b"", op);
    }

    fn delete(&mut self, target: &str, files: &[&str], trash: Option<(&str, &[u8])>) {
        let mut after: Vec<_> = files.iter().map(|file| (format!("{target}{file}"), None)).collect();
        after.push((target.into(), None));
        let mut keeps = Vec::new();
        if let Some((name, content)) = trash {
            after.push((name.into(), Some(content.to_vec())));
            keeps.push(vec![(target.into(), content.to_vec()), (name.into(), content.to_vec())]);
        }
        self.send("DELETE", target, "", b"", Op { after, keeps, ..Op::default() });
    }

    /// Makes an upload by its first request; gives its number and its target.
    fn create(&mut self, fields: &str, target: &str, name: &str, content: &[u8], sent: usize) -> (usize, String) {
        let number = self.uploads.len();
        let body = &content[..sent];
        let op = Op { upload: Some((number, sent)), ..Op::default() };
        let method = if fields.contains("Tus") { "POST" } else { "PUT" };
        let location = located(&self.send(method, target, fields, body, op));
        let id = location.rsplit('=').next().expect("an id").to_owned();
        let file = |kind: &str| format!("/a/.webserv-upload-state/{id}.{kind}");
        let name = name.to_owned();
        self.uploads.push(Upload { part: file("part"), record: file("state"), content: content.to_vec(), name });
        (number, location)
    }

    fn patch(&mut self, upload: (usize, &str), fields: &str, from: usize, to: usize) {
        let (number, target) = upload;
        let content = self.uploads[number].content.clone();
        let mut op = Op { base: from, upload: Some((number, to)), ..Op::default() };
        if to == content.len() {
            op.after.push((self.uploads[number].name.clone(), Some(content.clone())));
        }
        let fields = format!("Upload-Offset: {from}\r\n{fields}");
        self.send("PATCH", target, &fields, &content[from..to], op);
    }
}

fn script(s: &Server) -> (Vec<Op>, Vec<Upload>) {
    let mut it = Script { s, ops: Vec::new(), uploads: Vec::new() };
    let large = noise(45_000);
    for (target, body) in
        [("/a/small", &b"small"[..]), ("/a/large", &large), ("/a/old", b"new"), ("/a/large", b"short")]
    {
        it.stores("PUT", target, body);
    }
    it.stores("POST", "/a/posted", &large);
    it.stores("PUT", "/a/new/deep/er/file", &large);
    it.stores("PUT", "/a/new/deep/er/beside", b"beside");
    it.form("/a/", &[("f1", b"1"), ("f2", &large)]);
    it.form("/over/", &[("old", b"new"), ("g", b"g"), ("large", &large)]);
    // Resumable, of both protocols.
    let tus = format!("Tus-Resumable: 1.0.0\r\n{OCTETS}");
    let fields = |name: &str, length: usize| format!("{tus}Upload-Length: {length}\r\n{}", filename(name));
    let (n, target) = it.create(&fields("tus", large.len()), "/a/", "/a/tus", &large, 0);
    it.patch((n, &target), &tus, 0, 10_000);
    it.patch((n, &target), &tus, 10_000, 10_100);
    it.send("HEAD", &target, "Tus-Resumable: 1.0.0\r\n", b"", Op { upload: Some((n, 10_100)), ..Op::default() });
    it.patch((n, &target), &tus, 10_100, 45_000);
    let (n, target) = it.create(&fields("checked", 20), "/a/", "/a/checked", &noise(20), 5);
    let sum = |bytes: &[u8]| format!("{tus}Upload-Checksum: sha1 {}\r\n", sha1_of(bytes));
    it.patch((n, &target), &sum(&noise(20)[5..12]), 5, 12);
    it.patch((n, &target), &sum(&noise(20)[12..]), 12, 20);
    let (n, target) = it.create(&fields("cancelled", 20), "/a/", "/a/cancelled", &noise(20), 5);
    it.send("DELETE", &target, "Tus-Resumable: 1.0.0\r\n", b"", Op::default());
    it.uploads[n].name.clear();
    let draft =
        |ends: bool| format!("Content-Type: application/partial-upload\r\nUpload-Complete: ?{}\r\n", i32::from(ends));
    let (n, target) = it.create(&draft(false), "/a/draft", "/a/draft", &large, 20_000);
    it.patch((n, &target), &draft(false), 20_000, 30_000);
    it.patch((n, &target), &draft(true), 30_000, 45_000);
    let (n, target) = it.create(&draft(false), "/a/fresh/tree/draft", "/a/fresh/tree/draft", b"0123456789", 4);
    it.patch((n, &target), &draft(true), 4, 10);
    // An upload that takes a name which is taken.
    let (n, target) = it.create(&draft(false), "/a/old", "/a/old", &large, 4);
    it.patch((n, &target), &draft(true), 4, 45_000);
    // Parts that become one file.
    let part = |it: &mut Script<'_>, content: &[u8]| {
        let fields = format!("{tus}Upload-Concat: partial\r\nUpload-Length: {}\r\n", content.len());
        let (number, target) = it.create(&fields, "/a/", "", content, content.len());
        (number, target)
    };
    let parts = [part(&mut it, &large[..30_000]), part(&mut it, &large[30_000..])];
    let urls = parts.each_ref().map(|(_, target)| target.as_str()).join(" ");
    let joined = Op { after: vec![("/a/joined".into(), Some(large.clone()))], ..Op::default() };
    let fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Concat: final;{urls}\r\n{}", filename("joined"));
    it.send("POST", "/a/", &fields, b"", joined);
    // WebDAV.
    it.lock("/dav/locked");
    for target in ["/dav/t/", "/dav/t/in/", "/dav/u/"] {
        it.mkcol(target);
    }
    it.stores("PUT", "/dav/t/in/f", b"f");
    it.stores("PUT", "/dav/t/g", &large);
    it.stores("PUT", "/dav/u/old", b"old");
    let tree: [(&str, &[u8]); 2] = [("in/f", b"f"), ("g", &large)];
    it.transfer("COPY", "/dav/t/in/f", "/dav/f", &[("", b"f")], &[]);
    it.transfer("COPY", "/dav/t/g", "/dav/f", &[("", &large)], &[]);
    it.transfer("COPY", "/dav/t/", "/dav/c/", &tree, &[]);
    it.transfer("COPY", "/dav/t/", "/dav/u/", &tree, &[("old", b"old")]);
    it.transfer("MOVE", "/dav/c/", "/dav/m/", &tree, &[]);
    it.stores("PUT", "/dav/u/more", b"more");
    it.transfer("MOVE", "/dav/m/", "/dav/u/", &tree, &[("more", b"more")]);
    it.transfer("MOVE", "/dav/u/g", "/dav/t/in/g", &[("", &large)], &[]);
    it.transfer("MOVE", "/dav/f", "/dav/t/in/f", &[("", &large)], &[]);
    it.delete("/dav/t/", &["in/f", "in/g", "g", "in/"], None);
    it.delete("/a/small", &[], None);
    it.delete("/over/g", &[], Some(("/trash/bin/g", b"g")));
    // Many at once, in directories that none has made yet.
    let first = it.ops.len();
    let mut clients = Vec::new();
    for n in 0..24 {
        let target = format!("/a/many/{}/{n}", n % 3);
        let body = format!("many {n}").into_bytes();
        let fields = format!("X-Op: {}\r\n", first + n);
        let mut client = s.client();
        client.send(request("PUT", &target, &fields, &body));
        it.ops.push(Op { after: vec![(target, Some(body))], ..Op::default() });
        clients.push(client);
    }
    clients.iter_mut().for_each(|client| _ = client.response().is(201));
    (it.ops, it.uploads)
}

fn sha1_of(bytes: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha1", "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), bytes).expect("written");
    super::resumable::base64(&child.wait_with_output().expect("openssl").stdout)
}

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
            // One finding is enough where some have to be.
            if self.ignored != Ignored::Nothing && !self.lost.is_empty() {
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
        self.disk.cuts(seed, RANDOM, |after| {
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

fn record(s: &Server) -> Option<(Child, std::path::PathBuf)> {
    let trace = s.path("trace");
    let mut strace = Command::new("strace")
        .args(["-xx", "-s", "100000", "-e", CALLS, "-p", &s.pid.to_string(), "-o"])
        .arg(&trace)
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut first = [0];
    std::io::Read::read_exact(strace.stderr.as_mut().expect("piped"), &mut first).expect("attached");
    Some((strace, trace))
}

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
    if Command::new("strace").arg("-V").output().is_err() || Command::new("openssl").arg("version").output().is_err() {
        skipped("strace or openssl is not installed: power cuts are not tried");
        return;
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
    let Some((mut strace, trace)) = record(&s) else { return skipped("strace cannot be started") };
    let (mut ops, mut uploads) = script(&s);
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().expect("kill");
    strace.wait().expect("strace ends");
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
    let trace = String::from_utf8(std::fs::read(trace).expect("a recording")).expect("ASCII");
    let replay = |ignored| {
        let mut replay = Replay {
            ops: &ops,
            uploads: &uploads,
            disk: before.clone(),
            open: HashMap::new(),
            sockets: HashMap::new(),
            syncs: HashMap::new(),
            ignored,
            begun: Vec::new(),
            answered: Vec::new(),
            cuts: 0,
            lost: Vec::new(),
        };
        replay.run(&trace);
        if ignored == Ignored::Nothing {
            assert_eq!(replay.answered.len(), ops.len(), "all answers are in the recording");
        }
        (replay.cuts, replay.lost)
    };
    let (cuts, lost) = replay(Ignored::Nothing);
    println!("{cuts} power cuts, {} findings", lost.len());
    let mut kinds: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for finding in &lost {
        kinds.entry(finding.split(", after").next().unwrap_or_default()).or_default().push(finding);
    }
    let shown: Vec<String> = kinds.values().map(|all| format!("{} x {}", all.len(), all[0])).take(30).collect();
    assert!(lost.is_empty(), "{}", shown.join("\n"));
    assert!(cuts >= LEAST, "{cuts}");
    for without in [Ignored::SyncsOfFiles, Ignored::SyncsOfDirectories] {
        assert!(!replay(without).1.is_empty(), "syncs that are taken out are missed");
    }
}
