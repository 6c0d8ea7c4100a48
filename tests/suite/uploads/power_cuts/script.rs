//! The requests of the recording, and what is true once each is answered.

use super::super::resumable::{OCTETS, filename};
use super::super::*;
use super::DIRECTORY;
use std::process::{Command, Stdio};

/// One request, and what is true once it is answered.
#[derive(Default)]
pub struct Op {
    /// Each path, and what it holds then; None: nothing.
    pub after: Vec<(String, Option<Vec<u8>>)>,
    /// Of each of these at least one holds at any time, from this request on until another changes its paths.
    pub keeps: Vec<Vec<(String, Vec<u8>)>>,
    /// Where spliced bytes come from, and the offset of the first.
    pub body: Vec<u8>,
    pub base: usize,
    /// The upload that goes on with it, and how much of it is promised then.
    pub upload: Option<(usize, usize)>,
}

/// A resumable upload: its bytes' file and its record, and what it is to hold.
pub struct Upload {
    pub part: String,
    pub record: String,
    pub content: Vec<u8>,
    pub name: String,
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
        let parts: Vec<Vec<u8>> = files.iter().map(|(name, content)| super::super::file(name, content)).collect();
        let after = files.iter().map(|(name, content)| (format!("{target}{name}"), Some(content.to_vec())));
        let op = Op { after: after.collect(), ..Op::default() };
        self.send("POST", target, &form_type(), &super::super::form(&parts), op);
    }

    fn mkcol(&mut self, target: &str) {
        let op = Op { after: vec![(target.into(), Some(DIRECTORY.to_vec()))], ..Op::default() };
        self.send("MKCOL", target, "", b"", op);
    }

    /// LOCK of a free name makes a file.
    fn lock(&mut self, target: &str) {
        let op = Op { after: vec![(target.into(), Some(Vec::new()))], ..Op::default() };
        self.send("LOCK", target, "Depth: 0\r\n", LOCKINFO, op);
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

pub fn script(s: &Server) -> (Vec<Op>, Vec<Upload>) {
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
    super::super::resumable::base64(&child.wait_with_output().expect("openssl").stdout)
}
