//! Programs that store over WebDAV: the clients webdav4 and webdav, git, and what mounts a share as a directory
//! (davfs2, and gvfs, which is what Nautilus is made of). What is not installed is named and skipped; `.ci/run`
//! installs it.
//!
//! Twenty things that people do with clients, here and in [`super::clients`]: litmus' five suites (basic, copymove,
//! props, locks, http); cadaver's put and get, its trees, its locks; rclone's copy, check, sync, move and purge; files
//! and trees of webdav4; files, locks and trees of webdav; git's push; a mount by davfs2.

use super::clients::{run, url};
use super::*;
use crate::uploads::clients::{alone, scripted};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn ended_well(what: &str, out: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{what}: {}\n{}", text(&out.stdout), text(&out.stderr));
}

/// A client of a language, by its script.
fn by_script(s: &Server, name: &str, how: &str) {
    let Some(child) = scripted(name, &[&url(s), how]) else { return };
    ended_well(how, &child.wait_with_output().expect("it ended"));
}

#[test]
fn programs_store_and_find_what_they_stored() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/there.txt", "there").mkdir("mounted").start();
    let mut table = Table::new("programs");
    for how in ["files", "trees"] {
        table.row(OURS, &format!("webdav4: {how}"), || by_script(&s, "webdav_client.py", how));
    }
    for how in ["files", "locks", "trees"] {
        table.row(OURS, &format!("webdav of npm: {how}"), || by_script(&s, "webdav.mjs", how));
    }
    table.row(OURS, "git pushes twice, and clones", || git(&s));
    table.row(OURS, "davfs2 mounts it", || davfs(&s));
    table.row(OURS, "gvfs mounts it", || gvfs(&s));
    let left = s.snapshot("html").into_keys().filter(|name| !name.starts_with("repository.git"));
    assert_eq!(left.collect::<Vec<_>>(), ["form/", "there.txt"]);
}

fn git(s: &Server) {
    if Command::new("git").arg("http-push").output().map_or(true, |out| out.status.code() != Some(129)) {
        return skipped("git has no http-push");
    }
    let work = s.path("work");
    std::fs::create_dir(&work).expect("mkdir");
    let git = |args: &[&str]| {
        let mut git = alone("git");
        git.current_dir(&work).env("HOME", &work).env_remove("XDG_CONFIG_HOME");
        let out = git.args(args).output().expect("git");
        ended_well(&format!("git {args:?}"), &out);
    };
    let bare = s.path("html/repository.git").display().to_string();
    // A name and a password in it, which git repeats in each Destination.
    let remote = format!("{}repository.git", url(s)).replace("://", "://ada:pass%20word@");
    git(&["init", "-q", "--bare", &bare]);
    git(&["--git-dir", &bare, "update-server-info"]);
    git(&["init", "-q"]);
    for content in ["one", "two"] {
        std::fs::write(work.join("file"), content).expect("written");
        git(&["add", "file"]);
        git(&["-c", "user.name=a", "-c", "user.email=a@example", "commit", "-qm", content]);
        git(&["push", "-q", &remote, "HEAD:refs/heads/main"]);
    }
    git(&["clone", "-q", "-b", "main", &remote, "clone"]);
    assert_eq!(std::fs::read(work.join("clone/file")).expect("cloned"), b"two");
}

/// A mount that goes with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn davfs(s: &Server) {
    s.write("davfs.conf", "ask_auth 0\nbuf_size 64\nuse_locks 1\ndelay_upload 0\n");
    let at = s.path("mounted");
    let config = format!("conf={}", s.path("davfs.conf").display());
    let mounted = run("mount.davfs", &["-o", &config, &url(s), &at.display().to_string()], "\n");
    let Some(out) = mounted else { return };
    if !out.status.success() {
        return skipped(&format!("mount.davfs: {}", String::from_utf8_lossy(&out.stderr).trim()));
    }
    let mounted = Mounted(at.clone());
    use std::fs;
    // Whatever the server is: Linux 6.16 refuses its listings where its buffer has the default size (buf_size).
    if let Err(error) = fs::create_dir(at.join("d ir")) {
        drop(mounted);
        let _ = fs::remove_dir(s.path("html/d ir"));
        return skipped(&format!("what mount.davfs mounted cannot be written to: {error}"));
    }
    fs::write(at.join("d ir/a#b%?.txt"), "hello").expect("written");
    assert_eq!(fs::read(at.join("d ir/a#b%?.txt")).expect("read"), b"hello");
    fs::rename(at.join("d ir/a#b%?.txt"), at.join("moved")).expect("renamed");
    fs::copy(at.join("moved"), at.join("copied")).expect("copied");
    let content = crate::harness::noise(300_000);
    fs::write(at.join("large"), &content).expect("written");
    {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().write(true).open(at.join("large")).expect("opened");
        file.write_all_at(b"patched", 1000).expect("patched");
    }
    let out = Command::new("umount").arg(&at).output().expect("umount");
    ended_well("umount", &out);
    std::mem::forget(mounted);
    let expected = [&content[..1000], b"patched", &content[1007..]].concat();
    assert!(s.read("html/large") == expected && s.read("html/moved") == b"hello" && s.read("html/copied") == b"hello");
    assert!(s.path("html/d ir").is_dir());
    for name in ["/large", "/moved", "/copied", "/d%20ir/"] {
        s.method("DELETE", name, "", b"").is(204);
    }
}

fn gvfs(s: &Server) {
    let backend =
        ["/usr/libexec/gvfsd-dav", "/usr/lib/gvfs/gvfsd-dav"].into_iter().find(|path| Path::new(path).exists());
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if backend.is_none() || !["dbus-run-session", "dbus-daemon", "gio", "timeout"].into_iter().all(is_there) {
        return skipped("gvfs-backends and gvfs-daemons, gio or dbus are not installed: gio mount is not tried");
    }
    let steps = r#"timeout 60 gio mount "$1" || exit 77
        set -e
        gio list "$1" | grep -qx there.txt
        gio mkdir "$1/new%20dir"
        gio copy "$2" "$1/new%20dir/a%20%23b.txt"
        gio cat "$1/new%20dir/a%20%23b.txt" | grep -qx content
        gio rename "$1/new%20dir/a%20%23b.txt" "ü.txt"
        gio list "$1/new%20dir" | grep -qx "ü.txt"
        gio move "$1/new%20dir/%C3%BC.txt" "$1/moved.txt"
        gio copy "$1/moved.txt" "$1/copied.txt"
        echo again | gio save "$1/moved.txt"
        gio cat "$1/moved.txt" | grep -qx again
        gio remove "$1/moved.txt" "$1/copied.txt" "$1/new%20dir""#;
    s.write("local", "content\n");
    let (host, local) = (format!("dav://127.0.0.1:{}", s.port()), s.path("local").display().to_string());
    let home = s.path("work-gvfs");
    std::fs::create_dir_all(&home).expect("mkdir");
    // A file and no pipe: daemons that stay have it open, too.
    let said = std::fs::File::create(s.path("gio.log")).expect("a log");
    let ended = alone("timeout")
        .args(["-k", "5", "300", "dbus-run-session", "--", "bash", "-c", steps, "steps", &host, &local])
        .envs([("HOME", &home), ("XDG_RUNTIME_DIR", &home)])
        .envs([("LC_ALL", "C.UTF-8"), ("GVFS_DISABLE_FUSE", "1")])
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a log"))
        .stderr(said)
        .status()
        .expect("timeout");
    end_daemons(&home);
    let said = String::from_utf8_lossy(&s.read("gio.log")).into_owned();
    match ended.code() {
        Some(0) => {}
        // Its daemons may not come up: no mount, or no session.
        Some(77 | 127) => skipped(&format!("gio mounts nothing here: {}", said.trim())),
        _ => panic!("gio: {ended}\n{said}"),
    }
}

/// Ends what a session left behind: processes whose runtime directory is that of the test.
fn end_daemons(home: &Path) {
    let wanted = format!("XDG_RUNTIME_DIR={}", home.display());
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()) {
            let _ = Command::new("kill").arg("-KILL").arg(process.file_name()).stderr(Stdio::null()).status();
        }
    }
}
