//! Servers that reach one store by mounts whose locks end there (FUSE). What cannot be mounted here is named and
//! skipped.

use super::mounts::{Mounted, mount};
use super::processes::{begin, size_of_part};
use super::resumable::{create, offset, patch, tus};
use super::*;
use crate::harness::Server;

const BLOCK: &str = "location /a/ { root %%DIR%%/html; allowed_methods GET POST PUT DELETE; upload_resumable on; }";

/// A server on the direct path and one over FUSE; the mount goes last.
fn pair() -> Option<(Server, Server, Mounted)> {
    if skip_on_nginx("uploads") {
        return None;
    }
    let setup = || server(BLOCK).file("html/index.html", "index").allow_log("file locks");
    let direct = running(setup().mkdir("html/a"));
    let beyond = setup();
    let at = beyond.dir().join("html");
    let from = direct.path("html").display().to_string();
    let mounted = mount("bindfs", &["-o", "nonempty", &from, &at.display().to_string()], &at)?;
    Some((direct, running(beyond), mounted))
}

/// A client whose connection broke comes back to the server on the direct path, while the one over FUSE still waits for
/// the rest: both had the upload, and both answered 204.
#[test]
fn an_upload_received_over_fuse_is_released_before_the_direct_path_takes_it() {
    let Some((direct, beyond, _mounted)) = pair() else { return };
    for way in ["HEAD", "PATCH"] {
        let target = create(&beyond, way, 10);
        let mut older = begin(&beyond, &target, 0, 10, b"012", "");
        eventually("bytes arrive", || size_of_part(&direct, &target) == 3);
        if way == "HEAD" {
            assert_eq!(offset(&direct, &target), 3);
        }
        patch(&direct, &target, 3, b"3456").is(204);
        older.try_send("3456789");
        assert_eq!(older.rest(), b"", "no answer, least of all a 204");
        assert_eq!(offset(&beyond, &target), 7, "not what the mount remembers");
        patch(&direct, &target, 7, b"789").is(204);
        assert_eq!(direct.read(&format!("html/a/{way}")), b"0123456789");
    }
    // The records stay for a client that asks the other server how its upload ended.
    let is_left = |name: &String| [".part", ".ask", ".own"].iter().any(|end| name.ends_with(end));
    assert_eq!(direct.snapshot("html").into_keys().find(is_left), None);
    drop(beyond);
}

/// It is waited for ten seconds. When it went on, it wrote what its client had sent meanwhile.
#[test]
fn a_server_that_was_stopped_does_not_write_to_an_upload_that_another_has_finished() {
    let Some((direct, beyond, _mounted)) = pair() else { return };
    let target = create(&beyond, "stopped", 10);
    let mut older = begin(&beyond, &target, 0, 10, b"012", "");
    eventually("bytes arrive", || size_of_part(&direct, &target) == 3);
    beyond.frozen(|| {
        older.try_send("torn...");
        patch(&direct, &target, 3, b"3456789").is(204);
    });
    assert_eq!(older.rest(), b"", "no answer, least of all a 204");
    assert_eq!(direct.read("html/a/stopped"), b"0123456789");
    assert_eq!(offset(&direct, &target), 10);
    let is_left = |name: &String| name.contains("upload-state/") && !name.ends_with(".state") && !name.ends_with('/');
    assert_eq!(direct.snapshot("html").into_keys().find(is_left), None);
    drop(beyond);
}

/// The kernel keeps a file that is removed while it is open under another name, so the directory was not empty then.
#[test]
fn the_hidden_directory_goes_over_fuse_too_when_its_last_upload_is_cancelled() {
    let Some((direct, beyond, _mounted)) = pair() else { return };
    let target = create(&beyond, "cancelled", 10);
    let older = begin(&beyond, &target, 0, 10, b"012", "");
    eventually("bytes arrive", || size_of_part(&direct, &target) == 3);
    tus(&beyond, "DELETE", &target, "", b"").is(204);
    eventually("the directory goes", || !direct.exists("html/a/.webserv-upload-state"));
    drop((older, beyond));
}
