//! Directories of a lower layer of overlayfs, as images bring them: the kernel renames none of them (EXDEV). What
//! cannot be mounted here is named and skipped.

use super::mounts::{Mounted, mount};
use super::*;
use std::path::Path;

/// An overlay at `at` without redirect_dir, whose lower layer is what `fill` makes.
fn mount_layers(dir: &Path, at: &Path, fill: impl FnOnce(&Path)) -> Option<[Mounted; 2]> {
    // Its layers must not be on an overlay themselves.
    let layers = dir.join("layers");
    let below = mount("mount", &["-t", "tmpfs", "tmpfs", &layers.display().to_string()], &layers)?;
    for dir in ["lower", "upper", "inner"] {
        std::fs::create_dir(layers.join(dir)).expect("mkdir");
    }
    fill(&layers.join("lower"));
    let of = |layer: &str| layers.join(layer).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={},redirect_dir=off", of("lower"), of("upper"), of("inner"));
    let args = ["-t", "overlay", "overlay", "-o", &options, &at.display().to_string()];
    mount("mount", &args, at).map(|above| [above, below])
}

/// A directory that an image brings, with what it holds.
fn fill_old(lower: &Path) {
    std::fs::create_dir_all(lower.join("old/in/deep")).expect("mkdir");
    std::fs::create_dir_all(lower.join("empty")).expect("mkdir");
    for (name, content) in [("old/a", "first"), ("old/in/f", "of the image"), ("old/in/deep/g", "")] {
        std::fs::write(lower.join(name), content).expect("written");
    }
    std::os::unix::fs::symlink("f", lower.join("old/in/link")).expect("a link");
    std::fs::hard_link(lower.join("old/a"), lower.join("old/a-too")).expect("a hard link");
}

/// A directory that an image brings was answered with 409 unless it was empty: overlayfs renames none of them.
#[test]
fn a_directory_of_a_lower_layer_goes_into_the_trash_with_everything_in_it() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    for sync in ["off", "on"] {
        let block = format!(
            "upload_sync {sync};
             location / {{ root %%DIR%%/store; allowed_methods GET DELETE; delete_recursive on;
                           delete_trash %%DIR%%/store/trash; }}"
        );
        let setup = server(&block).file("html/index.html", "index").mkdir("store").mkdir("layers");
        let dir = setup.dir().to_owned();
        let Some(_mounted) = mount_layers(&dir, &dir.join("store"), fill_old) else { return };
        let s = setup.start();
        for name in ["/old/", "/empty/"] {
            s.method("DELETE", name, "", b"").is(204);
        }
        assert!(!s.exists("store/old") && !s.exists("store/empty") && s.exists("store/trash/empty"));
        let trash = s.path("store/trash/old");
        let read = |name: &str| std::fs::read_to_string(trash.join(name)).expect("it is in the trash");
        assert_eq!(["a", "a-too", "in/f", "in/deep/g"].map(read), ["first", "first", "of the image", ""]);
        assert_eq!(std::fs::read_link(trash.join("in/link")).expect("a link"), Path::new("f"));
        assert_eq!(std::fs::read_dir(s.path("store/trash")).expect("read").count(), 2, "and no hidden name");
    }
}

/// What has no copy must not be lost with its directory, nor a part of it be left in the trash.
#[test]
fn a_directory_of_a_lower_layer_that_cannot_be_copied_stays_whole() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let block = "location / { root %%DIR%%/store; allowed_methods GET DELETE; delete_recursive on;
                              delete_trash %%DIR%%/store/trash; }";
    let setup = server(block).file("html/index.html", "index").mkdir("store").mkdir("layers");
    let setup = setup.allow_log("cannot be copied into the trash").allow_log("copying into the trash");
    let dir = setup.dir().to_owned();
    let fill = |lower: &Path| {
        fill_old(lower);
        drop(std::os::unix::net::UnixListener::bind(lower.join("old/in/deep/socket")).expect("a socket"));
    };
    let Some(_mounted) = mount_layers(&dir, &dir.join("store"), fill) else { return };
    let s = setup.start();
    s.method("DELETE", "/old/", "", b"").is(403).contains("cannot be copied into the trash");
    for name in ["a", "in/f", "in/link", "in/deep/g", "in/deep/socket"] {
        assert!(s.path("store/old").join(name).symlink_metadata().is_ok(), "{name}");
    }
    s.await_file("logs/error.log", |log| log.contains("\"in/deep/socket\" cannot be copied into the trash"));
    std::fs::remove_file(s.path("store/old/in/deep/socket")).expect("removed");
    s.method("DELETE", "/old/", "", b"").is(204);
    assert!(!s.exists("store/old") && s.exists("store/trash/old/in/deep/g"));
}

/// Deleting a tree of a lower layer stopped at the 32nd directory: deeper ones are moved up first, which overlayfs
/// refuses.
#[test]
fn a_deep_tree_of_a_lower_layer_is_deleted() {
    if skip_on_nginx("delete_recursive") {
        return;
    }
    let block = "location / { root %%DIR%%/store; allowed_methods GET DELETE; delete_recursive on; }";
    let setup = server(block).file("html/index.html", "index").mkdir("store").mkdir("layers");
    let dir = setup.dir().to_owned();
    let fill = |lower: &Path| {
        let deep = lower.join("old").join(vec!["d"; 100].join("/"));
        std::fs::create_dir_all(&deep).expect("mkdir");
        std::fs::write(deep.join("f"), "deep").expect("written");
    };
    let Some(_mounted) = mount_layers(&dir, &dir.join("store"), fill) else { return };
    let s = setup.start();
    s.method("DELETE", "/old/", "", b"").is(204);
    assert_eq!(std::fs::read_dir(s.path("store")).expect("read").count(), 0);
}
