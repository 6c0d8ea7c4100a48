//! File systems and kernels as they are: without hard links, without the flags of renameat2, without openat2, without
//! splice, without modes. The same uploads, copies, moves and deletes hold on all of them.

use super::resumable::{create, patch};
use super::*;
use crate::harness::{http, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Areas below `root`: one for uploads, one for WebDAV, and a trash beside them.
fn setup_at(root: &str) -> Setup {
    http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; client_max_body_size 10m; root {root};
         location /a/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; upload_create_path on; }}
         location /over/ {{ allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; delete_trash {root}/trash; }}
         location /dav/ {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }} }}"
    ))
    .file("index.html", "index")
}

fn form(s: &Server, target: &str, files: &[(&str, &str)]) -> Response {
    let parts = files.iter().map(|(name, content)| {
        format!("--b\r\nContent-Disposition: form-data; name=f; filename={name}\r\n\r\n{content}\r\n")
    });
    let body = parts.collect::<String>() + "--b--\r\n";
    s.method("POST", target, "Content-Type: multipart/form-data; boundary=b\r\n", body.as_bytes())
}

fn transfer(s: &Server, method: &str, from: &str, to: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n"), b"")
}

/// Everything that storing needs of a file system, in the directory `root`.
#[track_caller]
fn exercise(s: &Server, root: &Path, is_mounted: bool) {
    for dir in ["a", "over", "dav"] {
        std::fs::create_dir_all(root.join(dir)).expect("mkdir");
    }
    let read = |name: &str| std::fs::read(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    // New names, and names that are taken.
    s.method("PUT", "/a/put", "", b"one").is(201);
    s.method("PUT", "/a/put", "", b"two").is_one_of(&[200, 204]);
    assert_eq!(read("a/put"), b"two");
    form(s, "/a/", &[("x", "1"), ("y", "2")]).is(201);
    form(s, "/a/", &[("z", "3"), ("y", "never")]).is(409);
    assert_eq!((read("a/x"), read("a/y"), root.join("a/z").exists()), (b"1".to_vec(), b"2".to_vec(), false));
    form(s, "/over/", &[("x", "1"), ("y", "2")]).is(201);
    form(s, "/over/", &[("x", "3"), ("y", "4")]).is_one_of(&[200, 201]);
    assert_eq!((read("over/x"), read("over/y")), (b"3".to_vec(), b"4".to_vec()));
    let large = noise(3_000_000);
    s.method("PUT", "/a/large", "", &large).is(201);
    assert!(read("a/large") == large, "large");
    s.method("PUT", "/a/new/deep/file", "", b"deep").is(201);
    let r = s.get("/a/large");
    let tag = r.header("ETag").expect("one").to_owned();
    s.method("PUT", "/a/large", &format!("If-Match: {tag}\r\n"), b"short").is_one_of(&[200, 204]);
    // In pieces.
    let target = create(s, "pieces", 6);
    patch(s, &target, 0, b"abc").is(204);
    patch(s, &target, 3, b"def").is(204);
    assert_eq!(read("a/pieces"), b"abcdef");
    // The same name into the trash twice.
    s.method("DELETE", "/over/x", "", b"").is(204);
    form(s, "/over/", &[("x", "again")]).is(201);
    s.method("DELETE", "/over/x", "", b"").is(204);
    assert_eq!((read("trash/x"), read("trash/x-1")), (b"3".to_vec(), b"again".to_vec()));
    // Trees.
    for (method, target) in [("MKCOL", "/dav/t/"), ("MKCOL", "/dav/t/in/"), ("MKCOL", "/dav/u/")] {
        s.method(method, target, "", b"").is(201);
    }
    s.method("PUT", "/dav/t/in/f", "", b"f").is(201);
    s.method("PUT", "/dav/u/old", "", b"old").is(201);
    transfer(s, "COPY", "/dav/t/in/f", "/dav/g").is(201);
    transfer(s, "COPY", "/dav/t/in/f", "/dav/g").is(204);
    s.method("COPY", "/dav/t/in/f", "Destination: /dav/g\r\nOverwrite: F\r\n", b"").is(412);
    transfer(s, "COPY", "/dav/t/", "/dav/c/").is(201);
    transfer(s, "COPY", "/dav/t/", "/dav/u/").is(204);
    assert_eq!((read("dav/c/in/f"), read("dav/u/in/f")), (b"f".to_vec(), b"f".to_vec()));
    assert!(!root.join("dav/u/old").exists());
    transfer(s, "MOVE", "/dav/c/", "/dav/m/").is(201);
    transfer(s, "MOVE", "/dav/m/", "/dav/u/").is(204);
    transfer(s, "MOVE", "/dav/g", "/dav/u/").is(204);
    assert_eq!(read("dav/u"), b"f");
    assert!(!root.join("dav/m").exists() && !root.join("dav/c").exists() && !root.join("dav/g").exists());
    s.method("DELETE", "/dav/t/", "", b"").is(204);
    // Nothing is left of what was claimed or hidden.
    // FUSE itself keeps what is open still, and so the directory it was in.
    let is_fuse =
        |name: &String| name.contains(".fuse_hidden") || is_mounted && name.ends_with(".webserv-upload-state");
    let mut names: Vec<String> = names(root);
    names.retain(|name| !is_fuse(name));
    assert!(!names.iter().any(|name| name.contains(".webserv-")), "{names:?}");
    let expected =
        ["a/large", "a/new/deep/file", "a/pieces", "a/put", "a/x", "a/y", "dav/u", "over/y", "trash/x", "trash/x-1"];
    assert_eq!(
        names.iter().filter(|name| root.join(name).is_file() && *name != "index.html").collect::<Vec<_>>(),
        expected
    );
}

/// All names below, sorted.
fn names(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut ways = vec![PathBuf::new()];
    while let Some(way) = ways.pop() {
        for entry in std::fs::read_dir(root.join(&way)).expect("read").flatten() {
            let way = way.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ways.push(way.clone());
            }
            all.push(way.to_string_lossy().into_owned());
        }
    }
    all.sort();
    all
}

#[test]
fn uploads_hold_where_calls_are_missing() {
    if skip_on_nginx("uploads") {
        return;
    }
    use libc::*;
    let table: &[(&str, &[(c_long, i32)])] = &[
        ("nothing is missing", &[]),
        ("hard links", &[(SYS_linkat, EPERM)]),
        ("hard links, said otherwise", &[(SYS_linkat, EOPNOTSUPP)]),
        ("flags of renameat2", &[(SYS_renameat2, EINVAL)]),
        ("renameat2", &[(SYS_renameat2, ENOSYS)]),
        ("both", &[(SYS_linkat, EPERM), (SYS_renameat2, EINVAL)]),
        ("openat2", &[(SYS_openat2, ENOSYS)]),
        ("openat2, forbidden", &[(SYS_openat2, EPERM)]),
        ("splice", &[(SYS_splice, EINVAL)]),
        ("fchmod", &[(SYS_fchmod, EPERM)]),
        ("utimensat", &[(SYS_utimensat, EPERM)]),
        ("copy_file_range", &[(SYS_copy_file_range, EXDEV)]),
        ("flock", &[(SYS_flock, ENOLCK)]),
        ("sync_file_range and fallocate", &[(SYS_sync_file_range, EINVAL), (SYS_fallocate, EOPNOTSUPP)]),
        (
            "all of them",
            &[
                (SYS_linkat, EPERM),
                (SYS_renameat2, EINVAL),
                (SYS_openat2, ENOSYS),
                (SYS_splice, EINVAL),
                (SYS_fchmod, EPERM),
                (SYS_utimensat, EPERM),
                (SYS_flock, ENOLCK),
            ],
        ),
    ];
    let mut rows = Table::new("storing without some system calls");
    for (what, calls) in table {
        rows.row(OURS, what, || {
            let s = setup_at("%%DIR%%/store").mkdir("store").deny(calls).allow_log("file locks").start();
            exercise(&s, &s.path("store"), false);
        });
    }
}

/// A file system that goes with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Mounts by a program; None (said aloud) where that cannot be.
fn mount(program: &str, args: &[&str], at: &Path) -> Option<Mounted> {
    match Command::new(program).args(args).output() {
        Ok(out) if out.status.success() => Some(Mounted(at.to_owned())),
        Ok(out) => {
            skipped(&format!("{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr).trim()));
            None
        }
        Err(_) => {
            skipped(&format!("{program} is not installed"));
            None
        }
    }
}

#[test]
fn uploads_hold_on_file_systems_as_they_are() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut rows = Table::new("storing on other file systems");
    let sftp = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
    let sftp = sftp.into_iter().find(|path| Path::new(path).exists());
    for what in ["tmpfs", "overlay", "bindfs", "sshfs", "sshfs without hard links"] {
        rows.row(OURS, what, || {
            let setup = setup_at("%%DIR%%/store").mkdir("store").mkdir("lower").mkdir("upper").mkdir("work");
            let setup = setup.allow_log("file locks").allow_log("upload_state_store is on another file system");
            let dir = setup.dir().to_owned();
            let at = dir.join("store");
            let path = |name: &str| dir.join(name).display().to_string();
            let mounted = match what {
                "tmpfs" => mount("mount", &["-t", "tmpfs", "tmpfs", &path("store")], &at),
                "overlay" => {
                    // Its layers must not be on an overlay themselves.
                    let _layers = mount("mount", &["-t", "tmpfs", "tmpfs", &path("work")], &dir.join("work"));
                    std::mem::forget(_layers);
                    for layer in ["lower", "upper", "inner"] {
                        let _ = std::fs::create_dir(dir.join("work").join(layer));
                    }
                    let work = path("work");
                    let options = format!("lowerdir={work}/lower,upperdir={work}/upper,workdir={work}/inner");
                    mount("mount", &["-t", "overlay", "overlay", "-o", &options, &path("store")], &at)
                }
                "bindfs" => mount("bindfs", &[&path("upper"), &path("store")], &at),
                _ => {
                    let Some(sftp) = sftp else { return skipped("no sftp-server") };
                    let script = dir.join("ssh");
                    std::fs::write(&script, format!("#!/bin/sh\nexec {sftp}\n")).expect("written");
                    Command::new("chmod").arg("755").arg(&script).status().expect("chmod");
                    let mut options = format!("ssh_command={}", script.display());
                    if what.ends_with("links") {
                        options += ",disable_hardlink";
                    }
                    mount("sshfs", &["-o", &options, &format!("x:{}", path("upper")), &path("store")], &at)
                }
            };
            if mounted.is_none() {
                return;
            }
            {
                let s = setup.start();
                exercise(&s, &at, true);
            }
            drop(mounted);
            let _ = Command::new("umount").arg("-l").arg(dir.join("work")).stderr(std::process::Stdio::null()).status();
        });
    }
}
