//! Removing, in real directories.

use super::*;
use crate::services::temp_names::TempNames;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

struct Scratch(PathBuf);

impl Scratch {
    /// `area` with files, directories and links, and `outside` beside it.
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("webserv-delete-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let area = path.join("area");
        for dir in ["area/empty", "area/full", "area/sub/deep", "outside/empty"] {
            fs::create_dir_all(path.join(dir)).expect("mkdir");
        }
        for file in ["area/file", "area/full/x", "area/sub/deep/x", "outside/x"] {
            fs::write(path.join(file), "content").expect("write");
        }
        for (target, link) in [
            ("file", "to-file"),
            ("sub", "to-sub"),
            ("../outside", "out"),
            ("../outside/x", "out-file"),
            ("nowhere", "dangling"),
            ("to-self", "to-self"),
            ("full", "to-full"),
        ] {
            symlink(target, area.join(link)).expect("symlink");
        }
        symlink(path.join("area/sub"), area.join("absolute")).expect("symlink");
        Scratch(path)
    }

    fn target(&self, below: &str, links: AllowedLinks) -> Option<RemovalTarget> {
        let root = self.0.join("area");
        let root = root.as_os_str().as_bytes();
        RemovalTarget::of(&[root, below.as_bytes()].concat(), root.len(), links)
    }

    /// Removes to the end, however many steps that takes.
    fn remove(
        target: &RemovalTarget,
        content: DirectoryContent,
        check: impl FnOnce(&NameStat) -> Result<(), NotRemoved>,
    ) -> Result<(), NotRemoved> {
        let Removed::Begun(mut removal) = target.remove(content, None, |found, _, _| check(found))? else {
            return Ok(());
        };
        loop {
            match removal.step(&mut TempNames::default()) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(stuck) => return Err(NotRemoved::Failed { call: stuck.call, errno: stuck.errno }),
            }
        }
    }

    /// Everything there is, as paths below the scratch directory.
    fn tree(&self) -> Vec<String> {
        fn walk(dir: &Path, base: &Path, out: &mut Vec<String>) {
            for entry in fs::read_dir(dir).expect("read_dir").flatten() {
                let path = entry.path();
                out.push(path.strip_prefix(base).expect("below").display().to_string());
                if entry.file_type().expect("type").is_dir() {
                    walk(&path, base, out);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.0, &self.0, &mut all);
        all.sort();
        all
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_name_is_removed_and_nothing_else() {
    use AllowedLinks::{Inside, None};
    type Case = (&'static str, &'static str, AllowedLinks, Result<&'static str, Errno>);
    let table: &[Case] = &[
        ("a file", "/file", Inside, Ok("area/file")),
        ("a file deeper down", "/sub/deep/x", Inside, Ok("area/sub/deep/x")),
        ("an empty directory", "/empty", Inside, Ok("area/empty")),
        ("an empty directory with its slash", "/empty/", Inside, Ok("area/empty")),
        ("a directory with something in it", "/full", Inside, Err(Errno::ENOTEMPTY)),
        ("the same with its slash", "/full/", Inside, Err(Errno::ENOTEMPTY)),
        ("a file with a slash", "/file/", Inside, Err(Errno::ENOTDIR)),
        ("a file as directory", "/file/x", Inside, Err(Errno::ENOTDIR)),
        ("what is not there", "/none", Inside, Err(Errno::ENOENT)),
        ("a directory that is not there", "/none/x", Inside, Err(Errno::ENOENT)),
        ("a link, not the file", "/to-file", Inside, Ok("area/to-file")),
        ("a link, not the directory", "/to-sub", Inside, Ok("area/to-sub")),
        ("a link to a directory with its slash", "/to-full/", Inside, Ok("area/to-full")),
        ("a link out with its slash", "/out/", Inside, Err(Errno::EXDEV)),
        ("a link with its slash, links forbidden", "/to-full/", None, Err(Errno::ELOOP)),
        ("a link to a file with a slash", "/to-file/", Inside, Err(Errno::ENOTDIR)),
        ("a link that leads nowhere", "/dangling", Inside, Ok("area/dangling")),
        ("a link to itself", "/to-self", Inside, Ok("area/to-self")),
        ("a link out, itself", "/out", Inside, Ok("area/out")),
        ("a link to a file outside, itself", "/out-file", Inside, Ok("area/out-file")),
        ("through a link out", "/out/x", Inside, Err(Errno::EXDEV)),
        ("through a link out, a directory", "/out/empty/", Inside, Err(Errno::EXDEV)),
        ("through a link inside", "/to-sub/deep/x", Inside, Ok("area/sub/deep/x")),
        ("through a link inside, links forbidden", "/to-sub/deep/x", None, Err(Errno::ELOOP)),
        ("a link, links forbidden", "/to-sub", None, Ok("area/to-sub")),
        ("through an absolute link", "/absolute/deep/x", Inside, Err(Errno::EXDEV)),
        ("through a link to itself", "/to-self/x", Inside, Err(Errno::ELOOP)),
        ("up and out", "/../outside/x", Inside, Err(Errno::EXDEV)),
        ("slashes add nothing", "//sub//deep//x", Inside, Ok("area/sub/deep/x")),
    ];
    for (name, below, links, expected) in table {
        let scratch = Scratch::new("table");
        let mut tree = scratch.tree();
        let target = scratch.target(below, *links).expect("a name below the area");
        let outcome = Scratch::remove(&target, DirectoryContent::Kept, |_| Ok(()));
        match expected {
            Ok(gone) => {
                assert_eq!(outcome, Ok(()), "{name}");
                tree.retain(|path| path != gone);
            }
            Err(expected) => match outcome {
                Err(NotRemoved::Failed { errno, .. }) => assert_eq!(errno, *expected, "{name}"),
                other => panic!("{name}: {other:?}"),
            },
        }
        assert_eq!(scratch.tree(), tree, "{name}");
    }
}

#[test]
fn a_tree_is_removed_without_what_its_links_lead_to() {
    let scratch = Scratch::new("tree");
    let tree = scratch.tree();
    let area = scratch.0.join("area");
    let sub = area.join("sub");
    symlink("../../outside", sub.join("out")).expect("symlink");
    symlink("../full", sub.join("deep/side")).expect("symlink");
    for n in 0..2000 {
        fs::write(sub.join(format!("deep/a-name-that-fills-batches-{n}")), "").expect("write");
    }
    let target = scratch.target("/sub/", AllowedLinks::Inside).expect("a name");
    assert!(matches!(
        Scratch::remove(&target, DirectoryContent::Kept, |_| Ok(())),
        Err(NotRemoved::Failed { errno: Errno::ENOTEMPTY, .. })
    ));
    assert_eq!(Scratch::remove(&target, DirectoryContent::Removed, |_| Ok(())), Ok(()));
    let left: Vec<String> =
        tree.into_iter().filter(|path| path != "area/sub" && !path.starts_with("area/sub/")).collect();
    assert_eq!(scratch.tree(), left);
}

#[test]
fn a_tree_may_be_as_large_and_as_deep_as_it_likes() {
    let scratch = Scratch::new("large");
    let tree = scratch.tree();
    let large = scratch.0.join("area/large");
    fs::create_dir_all(large.join("d")).expect("mkdir");
    for n in 0..1500 {
        fs::hard_link(scratch.0.join("area/file"), large.join(n.to_string())).expect("link");
        fs::create_dir(large.join("d").join(n.to_string())).expect("mkdir");
    }
    // Deeper than descriptors may be held for.
    let deep = scratch.0.join("area/deep");
    fs::create_dir(&deep).expect("mkdir");
    let mut dir = OwnedFd::from(fs::File::open(&deep).expect("open"));
    for _ in 0..400 {
        file::mkdir_at(Some(dir.as_fd()), c"dd", 0o755).expect("mkdir");
        dir = file::open_at(Some(dir.as_fd()), c"dd", O_DIRECTORY, 0).expect("open");
    }
    drop(dir);
    for name in ["/large", "/deep/"] {
        let target = scratch.target(name, AllowedLinks::Inside).expect("a name");
        assert_eq!(Scratch::remove(&target, DirectoryContent::Removed, |_| Ok(())), Ok(()), "{name}");
    }
    assert_eq!(scratch.tree(), tree);
}

/// Another process makes links of directories and directories of links while the tree is removed: what the links lead
/// to stays.
#[test]
fn a_link_that_is_swapped_in_meanwhile_leads_nowhere() {
    let scratch = Scratch::new("swap");
    let outside = scratch.0.join("outside");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (victim, aside) = (scratch.0.join("area/t/a/b"), scratch.0.join("aside"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::create_dir_all(victim.join("c"));
                let _ = fs::rename(&victim, &aside);
                let _ = symlink(&outside, &victim);
                let _ = fs::remove_file(&victim);
                let _ = fs::rename(&aside, &victim);
            }
        });
        for _ in 0..150 {
            let _ = fs::create_dir_all(scratch.0.join("area/t/a"));
            let target = scratch.target("/t", AllowedLinks::Inside).expect("a name");
            // However it ends.
            let _ = Scratch::remove(&target, DirectoryContent::Removed, |_| Ok(()));
            let target = scratch.target("/t/a/b/x", AllowedLinks::Inside).expect("a name");
            let _ = Scratch::remove(&target, DirectoryContent::Removed, |_| Ok(()));
            assert!(outside.join("x").exists() && outside.join("empty").is_dir());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn the_area_itself_has_no_place() {
    let scratch = Scratch::new("area");
    for below in ["", "/", "//", "/.", "/..", "/sub/..", "/sub/./"] {
        assert_eq!(scratch.target(below, AllowedLinks::Inside), None, "{below}");
    }
}

#[test]
fn the_judge_sees_the_link_and_its_content_and_has_the_last_word() {
    let scratch = Scratch::new("check");
    let tree = scratch.tree();
    let seen = std::cell::Cell::new(None);
    for (below, itself, content) in [
        ("/file", FileKind::Regular, Some(FileKind::Regular)),
        ("/to-file", FileKind::Symlink, Some(FileKind::Regular)),
        ("/dangling", FileKind::Symlink, None),
        ("/empty", FileKind::Dir, Some(FileKind::Dir)),
    ] {
        let target = scratch.target(below, AllowedLinks::Inside).expect("a name");
        let outcome = Scratch::remove(&target, DirectoryContent::Kept, |found| {
            seen.set(Some((found.itself.kind, found.content.map(|stat| stat.kind))));
            Err(NotRemoved::Precondition)
        });
        assert_eq!(outcome, Err(NotRemoved::Precondition), "{below}");
        assert_eq!(seen.take(), Some((itself, content)), "{below}");
    }
    assert_eq!(scratch.tree(), tree);
}

#[test]
fn a_template_begins_with_its_area() {
    let literal = |text: &str| Part::Literal(text.as_bytes().into());
    let target = |path: &str, parts: Vec<Part>| {
        let target =
            RemovalTarget::of_template(path.as_bytes(), &Template { parts: parts.into() }, AllowedLinks::Inside)?;
        let text = |s: &CString| s.to_string_lossy().into_owned();
        Some((text(&target.area), text(&target.parent), text(&target.name), target.links))
    };
    let found = |area: &str, parent: &str, name: &str, links| Some((area.into(), parent.into(), name.into(), links));
    let table = [
        ("/data/a/b", vec![literal("/data/"), Part::Capture(1)], found("/data/", "a", "b", AllowedLinks::Inside)),
        (
            "/data/up-x",
            vec![literal("/data/up-"), Part::Capture(1)],
            found("/data/", ".", "up-x", AllowedLinks::Inside),
        ),
        (
            "/data/../etc/x",
            vec![literal("/data/"), Part::Capture(1)],
            found("/data/", "../etc", "x", AllowedLinks::Inside),
        ),
        ("/data/x", vec![Part::Capture(1)], found("/", "data", "x", AllowedLinks::None)),
        ("/data/", vec![literal("/data/"), Part::Capture(1)], None),
    ];
    for (path, parts, expected) in table {
        assert_eq!(target(path, parts), expected, "{path}");
    }
}
