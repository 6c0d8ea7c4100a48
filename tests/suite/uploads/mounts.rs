//! File systems that a machine mounts, and what mounts within an area change: the same uploads hold on all of them.
//! What cannot be mounted here is named and skipped.

use super::file_systems::{exercise, setup_at, transfer};
use super::resumable::{base64, filename, offset, patch, tus};
use super::*;
use crate::harness::{LOCKINFO, OWN_FORM, http, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system that goes with the test.
pub(super) struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Mounts by a program; None (said aloud) where that cannot be.
pub(super) fn mount(program: &str, args: &[&str], at: &Path) -> Option<Mounted> {
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

/// A new file system in a file.
fn mount_image(kind: &str, image: &Path, at: &Path) -> Option<Mounted> {
    let size = if kind == "ext4" { 64 << 20 } else { 512 << 20 };
    std::fs::File::create(image).and_then(|file| file.set_len(size)).expect("a sparse file");
    let (program, image) = (format!("mkfs.{kind}"), image.display().to_string());
    match Command::new(&program).args(["-q", &image]).output() {
        Ok(out) if out.status.success() => {
            mount("mount", &["-o", "loop", "-t", kind, &image, &at.display().to_string()], at)
        }
        Ok(out) => {
            skipped(&format!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim()));
            None
        }
        Err(_) => {
            skipped(&format!("{program} is not installed"));
            None
        }
    }
}

/// A new file system of Windows in a file, by its FUSE driver.
fn mount_ntfs(driver: &str, options: &[&str], image: &Path, at: &Path) -> Option<Mounted> {
    std::fs::File::create(image).and_then(|file| file.set_len(64 << 20)).expect("a sparse file");
    let (image, at_path) = (image.display().to_string(), at.display().to_string());
    match Command::new("mkfs.ntfs").args(["-F", "-q", &image]).output() {
        Ok(out) if out.status.success() => mount(driver, &[options, &[&image[..], &at_path]].concat(), at),
        Ok(out) => {
            skipped(&format!("mkfs.ntfs: {}", String::from_utf8_lossy(&out.stderr).trim()));
            None
        }
        Err(_) => {
            skipped("mkfs.ntfs is not installed");
            None
        }
    }
}

/// MOVE of a directory to its own name in other case was answered 204, and the directory was gone.
#[test]
fn what_is_respelled_where_case_is_ignored_is_not_lost() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = server(
        "location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; }
         location /page/ { allowed_methods GET POST PUT DELETE; autoindex_upload on; }
         location /over/ { allowed_methods GET POST; upload_on_duplicate overwrite; }",
    );
    let setup = setup.file("html/index.html", "index");
    let at = setup.dir().join("html");
    let image = setup.dir().join("image");
    let Some(mounted) = mount_ntfs("lowntfs-3g", &["-o", "ignore_case"], &image, &at) else { return };
    for dir in ["dav", "page", "over"] {
        std::fs::create_dir(at.join(dir)).expect("mkdir");
    }
    {
        let s = setup.allow_log("by another spelling").allow_log("hold each other").start();
        s.method("MKCOL", "/dav/X/", "", b"").is(201);
        s.method("PUT", "/dav/X/f", "", b"kept").is(201);
        s.method("PUT", "/dav/A", "", b"file").is(201);
        for (from, to) in [("/dav/X/", "/dav/x/"), ("/dav/x/", "/dav/X/"), ("/dav/A", "/dav/a"), ("/dav/a", "/dav/A")] {
            s.method("MOVE", from, &format!("Destination: {to}\r\nOverwrite: F\r\n"), b"").is(201);
            transfer(&s, "MOVE", to, from).is(201);
            transfer(&s, "COPY", from, to).is(403);
            assert_eq!((s.read("html/dav/x/f"), s.read("html/dav/a")), (b"kept".to_vec(), b"file".to_vec()), "{to}");
        }
        for (method, from, to) in
            [("COPY", "/dav/X/", "/dav/x/sub/"), ("MOVE", "/dav/X/", "/dav/x/sub/"), ("MOVE", "/dav/x/f", "/dav/X")]
        {
            transfer(&s, method, from, to).is(403);
            assert_eq!(s.read("html/dav/x/f"), b"kept", "{method} {from} {to}");
        }
        // Another one of that name in another directory is replaced as ever.
        s.method("MKCOL", "/dav/X/x/", "", b"").is(201);
        s.method("PUT", "/dav/y", "", b"other").is(201);
        transfer(&s, "MOVE", "/dav/y", "/dav/A").is(204);
        assert_eq!(s.read("html/dav/a"), b"other");
        s.method("PUT", "/page/a.txt", "", b"page").is(201);
        s.method("POST", "/page/", OWN_FORM, b"webserv-move=a.txt&webserv-to=A.TXT").is(303);
        assert_eq!(s.read("html/page/a.txt"), b"page");
        // Two files of one form whose names are one here are both stored, as two of one name are.
        s.method("POST", "/over/x", "", b"").is(201);
        let body = form(&[file("IMG.jpg", b"ONE"), file("img.JPG", b"TWO"), file("X", b"replaced")]);
        post_form(&s, "/over/", &body).is(201);
        assert_eq!(
            ["IMG.jpg", "img-1.JPG", "x"].map(|name| s.read(&format!("html/over/{name}"))),
            [&b"ONE"[..], b"TWO", b"replaced"]
        );
    }
    drop(mounted);
}

/// Where case is ignored, another spelling of a locked, hidden or uploaded file was another file.
#[test]
fn another_spelling_leads_past_no_lock_shows_nothing_hidden_and_runs_no_upload() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = http(
        "dav_ext_lock_zone zone=l:1m;
         server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
             location / { autoindex on; autoindex_format page; autoindex_archive tar; }
             location ^~ /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods LOCK UNLOCK PROPFIND OPTIONS;
                              dav_ext_lock zone=l; }
             location /up/ { allowed_methods GET PUT DELETE; delete_trash %%DIR%%/html/Trash; }
             location ^~ /in/ { allowed_methods GET PUT; }
             location ~ \\.cgi$ { cgi_pass on; } }",
    );
    let setup = setup.file("html/index.html", "index").allow_log("lies where clients may store files");
    let (at, image) = (setup.dir().join("html"), setup.dir().join("image"));
    let Some(mounted) = mount_ntfs("lowntfs-3g", &["-o", "ignore_case"], &image, &at) else { return };
    for dir in ["dav", "dav/tree", "dav/tree/sub", "up", "in", "Trash"] {
        std::fs::create_dir(at.join(dir)).expect("mkdir");
    }
    {
        let s = setup.start();
        let lock = |target: &str| {
            let r = s.method("LOCK", target, "", LOCKINFO);
            r.is_one_of(&[200, 201]);
            format!("If: ({})\r\n", r.header("Lock-Token").expect("a token"))
        };
        let (file, _tree) = (lock("/dav/lk"), lock("/dav/tree/"));
        for name in ["/dav/lk", "/dav/LK", "/dav/Lk"] {
            s.method("PUT", name, "", b"another's").is(423);
            s.method("DELETE", name, "", b"").is(423);
            s.method("LOCK", name, "", LOCKINFO).is(423);
            s.method("PUT", name, &file, b"own").is(204);
        }
        for name in ["/dav/TREE/new", "/dav/Tree/SUB/new", "/DAV/tree/new"] {
            assert!([405, 423].contains(&s.method("PUT", name, "", b"another's").status), "{name}");
        }
        transfer(&s, "MOVE", "/dav/TREE/", "/dav/gone/").is(423);
        s.method("PUT", "/dav/free", "", b"free").is(201);
        s.method("PUT", "/dav/FREE", "", b"free").is(204);
        // The trash.
        s.method("PUT", "/up/a", "", b"REMOVED").is(201);
        s.method("DELETE", "/up/a", "", b"").is(204);
        for name in ["/Trash/a", "/TRASH/a", "/trash/a", "/tra%C5%BFh/a", "/trash/"] {
            s.get(name).is(404);
        }
        assert!(!String::from_utf8_lossy(&s.get("/?archive=tar").is(200).body).contains("REMOVED"));
        // Programs.
        let script = b"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nRAN'\n";
        for (stored, asked) in [("/up/x.CGI", "/up/x.cgi"), ("/in/y.cgi", "/IN/y.cgi"), ("/up/z.CGI", "/UP/Z.cgi")] {
            s.method("PUT", stored, "", script).is(201);
            s.get(asked).is(403);
        }
        std::fs::write(at.join("own.cgi"), script).expect("written");
        assert_eq!(s.get("/own.cgi").is(200).text(), "RAN");
    }
    drop(mounted);
}

#[test]
fn uploads_hold_on_file_systems_as_they_are() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut rows = Table::new("storing on other file systems");
    let sftp = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
    let sftp = sftp.into_iter().find(|path| Path::new(path).exists());
    let kinds = [
        "tmpfs",
        "ext4",
        "xfs",
        "btrfs",
        "ntfs-3g",
        "bind",
        "overlay",
        "bindfs",
        "rclone",
        "sshfs",
        "sshfs without hard links",
        "nfs",
    ];
    for what in kinds {
        rows.row(OURS, what, || {
            let setup = setup_at("%%DIR%%/store").mkdir("store").mkdir("lower").mkdir("upper").mkdir("work");
            let setup = setup.allow_log("file locks").allow_log("upload_state_store is on another file system");
            let dir = setup.dir().to_owned();
            let at = dir.join("store");
            let path = |name: &str| dir.join(name).display().to_string();
            // Unmounted after what lies on them.
            let mut layers = None;
            let mounted = match what {
                "tmpfs" => mount("mount", &["-t", "tmpfs", "tmpfs", &path("store")], &at),
                "ext4" | "xfs" | "btrfs" => mount_image(what, &dir.join("image"), &at),
                "ntfs-3g" => mount_ntfs(what, &[], &dir.join("image"), &at),
                "bind" => mount("mount", &["--bind", &path("upper"), &path("store")], &at),
                "overlay" => {
                    // Its layers must not be on an overlay themselves.
                    layers = mount("mount", &["-t", "tmpfs", "tmpfs", &path("work")], &dir.join("work"));
                    for layer in ["lower", "upper", "inner"] {
                        let _ = std::fs::create_dir(dir.join("work").join(layer));
                    }
                    let work = path("work");
                    let options = format!("lowerdir={work}/lower,upperdir={work}/upper,workdir={work}/inner");
                    mount("mount", &["-t", "overlay", "overlay", "-o", &options, &path("store")], &at)
                }
                "nfs" => {
                    // An empty directory of a server: `host:/path`.
                    let Ok(export) = std::env::var("WEBSERV_TEST_NFS") else {
                        return skipped("WEBSERV_TEST_NFS names no export of NFS");
                    };
                    mount("mount", &["-t", "nfs", &export, &path("store")], &at)
                }
                "rclone" => {
                    // Without its cache a file is written once, from its beginning: nothing that comes in pieces. While
                    // the cache still has files to write, a directory that is renamed cannot be read, by any program: a
                    // row for machines where that is quick.
                    if std::env::var_os("WEBSERV_TEST_RCLONE").is_none() {
                        return skipped("WEBSERV_TEST_RCLONE is not set");
                    }
                    let (from, cache) = (format!(":local:{}", path("upper")), path("work"));
                    let (to, log) = (path("store"), path("rclone.log"));
                    let files = ["--config", "/dev/null", "--cache-dir", &cache, "--log-file", &log];
                    // What goes on in the background keeps no pipe of ours.
                    let quiet = ["-c", "exec rclone \"$@\" > /dev/null 2>&1", "rclone"];
                    let args = [
                        &quiet[..],
                        &["mount", &from, &to, "--daemon", "--vfs-cache-mode", "writes", "--vfs-write-back", "0s"],
                        &files[..],
                    ]
                    .concat();
                    mount("sh", &args, &at)
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
            drop(layers);
        });
    }
}

/// The directory `in` of each area is another mount: of a file system of its own, or of the same one, which only the
/// calls that fail with EXDEV tell apart.
#[test]
fn areas_may_hold_other_mounts() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut rows = Table::new("mounts within areas");
    for what in ["tmpfs", "bind"] {
        rows.row(OURS, what, || {
            let areas = ["a", "over", "dav", "sync", "own"];
            let mut setup =
                setup_at("%%DIR%%/store").allow_log("same file system").allow_log("something else is mounted");
            for area in areas {
                setup = setup.mkdir(&format!("store/{area}/in")).mkdir(&format!("other/{area}"));
            }
            let dir = setup.dir().to_owned();
            let mut mounted = Vec::new();
            for area in areas {
                let at = dir.join("store").join(area).join("in");
                let (from, to) = (dir.join("other").join(area).display().to_string(), at.display().to_string());
                let args = match what {
                    "bind" => ["--bind", &from, &to, "-v"],
                    _ => ["-t", "tmpfs", "tmpfs", &to],
                };
                let Some(there) = mount("mount", &args, &at) else { return };
                mounted.push(there);
            }
            let s = setup.start();
            across_mounts(&s);
            drop(s);
            drop(mounted);
        });
    }
}

#[track_caller]
fn across_mounts(s: &Server) {
    s.method("PUT", "/a/in/put", "", b"1").is(201);
    s.method("PUT", "/a/in/put", "", b"2").is_one_of(&[200, 204]);
    assert_eq!(s.read("store/a/in/put"), b"2");
    post_form(s, "/over/in/", &form(&[file("x", b"1"), file("y", b"2")])).is(201);
    post_form(s, "/over/in/", &form(&[file("x", b"3"), file("y", b"4")])).is_one_of(&[200, 201]);
    assert_eq!((s.read("store/over/in/x"), s.read("store/over/in/y")), (b"3".to_vec(), b"4".to_vec()));
    // In pieces: refused before the first byte, or kept by the location that the mount has.
    let fields = |name: &str| format!("Upload-Length: 3\r\n{}", filename(name));
    tus(s, "POST", "/a/in/", &fields("pieces"), b"").is(500).contains("a location of its own");
    let metadata = fields("file").trim_end().to_owned() + &format!(",relativePath {}\r\n", base64(b"in/deep/file"));
    tus(s, "POST", "/a/", &metadata, b"").is(500).contains("a location of its own");
    let target = located(tus(s, "POST", "/own/in/", &fields("pieces"), b"").is(201));
    patch(s, &target, 0, b"abc").is(204);
    assert_eq!(s.read("store/own/in/pieces"), b"abc");
    s.method("PUT", "/sync/in/f", "", b"1").is(201);
    // A file and a tree, both ways, onto what is there too.
    s.method("PUT", "/dav/f", "", b"f").is(201);
    s.method("MKCOL", "/dav/t/", "", b"").is(201);
    s.method("PUT", "/dav/t/g", "", b"g").is(201);
    for method in ["COPY", "MOVE"] {
        transfer(s, method, "/dav/f", "/dav/in/f").is_one_of(&[201, 204]);
        transfer(s, method, "/dav/t/", "/dav/in/t/").is_one_of(&[201, 204]);
        assert_eq!((s.read("store/dav/in/f"), s.read("store/dav/in/t/g")), (b"f".to_vec(), b"g".to_vec()));
        transfer(s, method, "/dav/in/f", "/dav/f").is_one_of(&[201, 204]);
        transfer(s, method, "/dav/in/t/", "/dav/t/").is_one_of(&[201, 204]);
        assert_eq!((s.read("store/dav/f"), s.read("store/dav/t/g")), (b"f".to_vec(), b"g".to_vec()));
    }
    assert!(!s.exists("store/dav/in/f") && !s.exists("store/dav/in/t"));
    s.method("DELETE", "/dav/t/", "", b"").is(204);
    // The trash is elsewhere: nothing is lost.
    s.method("DELETE", "/over/in/x", "", b"");
    assert!(s.exists("store/over/in/x") || s.exists("store/trash/x"));
    // What is mounted is no entry that can go.
    s.method("DELETE", "/dav/in/", "", b"").is_one_of(&[403, 409]);
    let hidden = s.snapshot("store").into_keys().find(|name| name.contains(".webserv-"));
    assert_eq!(hidden, None);
}

/// Locks end at that mount, so an upload of the server on the other side does not go on here: a client that tries it
/// all the time does not fill the log.
#[test]
fn an_upload_beyond_a_mount_without_locks_is_warned_of_once() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = "location /a/ { root %%DIR%%/html; allowed_methods GET POST PUT DELETE; upload_resumable on; }";
    let setup = || server(block).file("html/index.html", "index");
    let a = running(setup().mkdir("html/a").allow_log("file locks"));
    let b = setup().allow_log("file locks").allow_log("another server");
    let at = b.dir().join("html");
    let Some(mounted) =
        mount("bindfs", &["-o", "nonempty", &a.path("html").display().to_string(), &at.display().to_string()], &at)
    else {
        return;
    };
    {
        let b = running(b);
        let target = located(tus(&a, "POST", "/a/", &format!("Upload-Length: 3\r\n{}", filename("f")), b"").is(201));
        for _ in 0..20 {
            tus(&b, "HEAD", &target, "", b"").is_one_of(&[404, 410]);
        }
        assert_eq!(b.error_log().matches("the upload belongs to another server").count(), 1);
    }
    drop(mounted);
}

/// A disk with errors is mounted read-only by the kernel, and one that is being checked by its operator: the client
/// learns where it stands, and goes on when the disk can be written again.
#[test]
fn an_unfinished_upload_on_a_read_only_file_system_tells_its_offset() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = setup_at("%%DIR%%/store").mkdir("store");
    let at = setup.dir().join("store");
    let store = at.display().to_string();
    let Some(_mounted) = mount("mount", &["-t", "tmpfs", "tmpfs", &store], &at) else { return };
    for dir in ["a", "sync"] {
        std::fs::create_dir(at.join(dir)).expect("mkdir");
    }
    let s = setup.allow_log("Read-only file system").start();
    let remount = |how: &str| {
        // The answer to a PATCH may arrive before the server has closed the file.
        eventually(how, || {
            Command::new("mount").args(["-o", how, &store]).output().is_ok_and(|out| out.status.success())
        });
    };
    let uploads = ["/a/", "/sync/"].map(|area| {
        let fields = format!("Upload-Length: 8\r\n{}", filename("f"));
        located(tus(&s, "POST", area, &fields, b"").is(201))
    });
    for upload in &uploads {
        patch(&s, upload, 0, b"half").is(204);
    }
    remount("remount,ro");
    for upload in &uploads {
        assert_eq!(offset(&s, upload), 4);
        patch(&s, upload, 4, b"rest").is(403);
        tus(&s, "DELETE", upload, "", b"").is(403);
        assert_eq!(offset(&s, upload), 4);
    }
    remount("remount,rw");
    for (upload, file) in uploads.iter().zip(["a/f", "sync/f"]) {
        patch(&s, upload, 4, b"rest").is(204);
        assert_eq!(std::fs::read(at.join(file)).expect("it is whole"), b"halfrest");
    }
}
