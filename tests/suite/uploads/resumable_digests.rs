//! Digests and checksums of resumable uploads: required ones, those of large content, and those of a large whole.

use super::digests::sha256;
use super::resumable::{OCTETS, base64, create, resumable, tus};
use super::resumable_draft::{PARTIAL, begin, offset};
use super::*;
use sha2::{Digest as _, Sha256};

/// A PATCH of the draft.
fn append(s: &Server, target: &str, fields: &str, body: &[u8]) -> Response {
    s.method("PATCH", target, &format!("{PARTIAL}{fields}"), body)
}

#[test]
fn the_draft_sends_the_digest_that_is_required_with_each_part_or_of_the_whole() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_verify_digest require;");
    let (hello, whole) = (sha256(b"hello"), sha256(b"hello you"));
    let mut table = Table::new("digests that the draft must send");
    table.row(OURS, "neither", || {
        let r = s.method("POST", "/a/none.txt", "Upload-Complete: ?0\r\n", b"hello");
        r.is(400).contains("upload_verify_digest require");
        assert!(!s.exists("html/a/.webserv-upload-state"), "nothing has begun");
    });
    table.row(OURS, "of each part", || {
        let target = begin(&s, "/a/parts.txt", &format!("Content-Digest: {hello}\r\n"), b"hello");
        let last = "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n";
        append(&s, &target, last, b" you").is(400).contains("upload_verify_digest require");
        assert_eq!(offset(&s, &target), 5);
        append(&s, &target, &format!("{last}Content-Digest: {}\r\n", sha256(b" you")), b" you").is(201);
        assert_eq!(s.read("html/a/parts.txt"), b"hello you");
    });
    table.row(OURS, "of the whole", || {
        let target = begin(&s, "/a/whole.txt", &format!("Repr-Digest: {whole}\r\n"), b"hello");
        append(&s, &target, "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n", b" you").is(201);
        assert_eq!(s.read("html/a/whole.txt"), b"hello you");
    });
    table.row(OURS, "where there is no content", || {
        let target = begin(&s, "/a/later.txt", "", b"");
        let first = format!("Upload-Offset: 0\r\nUpload-Complete: ?0\r\nContent-Digest: {hello}\r\n");
        append(&s, &target, &first, b"hello").is(204);
        append(&s, &target, "Upload-Offset: 5\r\nUpload-Complete: ?1\r\n", b"").is(201);
    });
}

/// It goes from the socket to the file without being seen, unless it has to be hashed; the whole is hashed at the end,
/// slice by slice.
#[test]
fn large_content_of_resumable_uploads_is_hashed_too() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = resumable("upload_on_duplicate overwrite;");
    let content = noise(5_000_000);
    let (first, rest) = content.split_at(4_500_000);
    let mut table = Table::new("digests of large content");
    table.row(OURS, "tus's checksum", || {
        for (hashed, status, there) in [(&first[1..], 460, 0), (first, 204, first.len())] {
            let target = create(&s, "tus.bin", content.len());
            let checksum = format!("Upload-Checksum: sha256 {}\r\n", base64(&Sha256::digest(hashed)));
            tus(&s, "PATCH", &target, &format!("{OCTETS}Upload-Offset: 0\r\n{checksum}"), first).is(status);
            tus(&s, "HEAD", &target, "", b"").is(200).has("Upload-Offset", &there.to_string());
            tus(&s, "DELETE", &target, "", b"").is(204);
        }
    });
    table.row(OURS, "the draft's Content-Digest", || {
        for (hashed, status, there) in [(&first[1..], 400, 0), (first, 204, first.len())] {
            let target = begin(&s, "/a/draft.bin", "", b"");
            let fields = format!("Upload-Offset: 0\r\nUpload-Complete: ?0\r\nContent-Digest: {}\r\n", sha256(hashed));
            append(&s, &target, &fields, first).is(status);
            assert_eq!(offset(&s, &target), there);
            s.method("DELETE", &target, "", b"").is(204);
        }
    });
    table.row(OURS, "the draft's Repr-Digest of what came in two parts", || {
        for (hashed, status) in [(&content[1..], 400), (&content, 201)] {
            let target = begin(&s, "/a/whole.bin", &format!("Repr-Digest: {}\r\n", sha256(hashed)), first);
            let last = format!("Upload-Offset: {}\r\nUpload-Complete: ?1\r\n", first.len());
            append(&s, &target, &last, rest).is(status);
            assert_eq!(s.exists("html/a/whole.bin"), status == 201);
        }
        assert!(s.read("html/a/whole.bin") == content);
    });
}

/// Each directory of unfinished uploads may take a descriptor, which clients then lack.
#[test]
fn more_directories_of_uploads_than_an_eighth_of_the_descriptors_are_logged() {
    if skip_on_nginx("uploads") {
        return;
    }
    let text = "unfinished uploads lie in 17 directories, but 16 of them may have a descriptor";
    for (count, is_logged) in [(16, false), (17, true)] {
        let areas: String = (0..count)
            .map(|at| format!("location /{at}/ {{ allowed_methods GET POST; upload_resumable on; }}\n"))
            .collect();
        let config = format!(
            "%%PREAMBLE%%\nworker_rlimit_nofile 128;\nevents {{}}\nhttp {{ server {{ listen 127.0.0.1:%%PORT0%%; \
             root %%DIR%%/html; {areas} }} }}"
        );
        let s = running(Setup::full(&config).file("html/index.html", "index").allow_log("unfinished uploads lie in"));
        let log = s.error_log();
        assert_eq!(log.contains("unfinished uploads lie in"), is_logged, "{count}: {log}");
        assert_eq!(log.contains(text), is_logged, "{count}: {log}");
        assert_eq!(log.contains("(worker_rlimit_nofile 136 is enough)"), is_logged, "{count}: {log}");
    }
}
