//! Servers that reach one store by mounts whose locks end there (FUSE). What cannot be mounted here is named and
//! skipped.

use super::mounts::mount;
use super::processes::begin;
use super::resumable::{create, offset, patch};
use super::*;

const BLOCK: &str = "location /a/ { root %%DIR%%/html; allowed_methods GET POST PUT DELETE; upload_resumable on; }";

/// A client whose connection broke comes back to the server on the direct path, while the one over FUSE still waits for
/// the rest: both had the upload, and both answered 204.
#[test]
fn an_upload_received_over_fuse_is_released_before_the_direct_path_takes_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let setup = || server(BLOCK).file("html/index.html", "index").allow_log("file locks");
    let direct = running(setup().mkdir("html/a"));
    let beyond = setup();
    let at = beyond.dir().join("html");
    let from = direct.path("html").display().to_string();
    let Some(mounted) = mount("bindfs", &["-o", "nonempty", &from, &at.display().to_string()], &at) else { return };
    {
        let beyond = running(beyond);
        for way in ["HEAD", "PATCH"] {
            let target = create(&beyond, way, 10);
            let mut older = begin(&beyond, &target, 0, 10, b"012", "");
            eventually("bytes arrive", || super::processes::size_of_part(&direct, &target) == 3);
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
    }
    drop(mounted);
}
