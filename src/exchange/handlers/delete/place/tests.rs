//! Removing, in real directories.

use super::*;
use std::fs;
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

    fn place(&self, below: &str, links: Links) -> Option<Place> {
        let root = self.0.join("area");
        let root = root.as_os_str().as_bytes();
        Place::of(&[root, below.as_bytes()].concat(), root.len(), links)
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
    use Links::{Inside, None};
    type Case = (&'static str, &'static str, Links, Result<&'static str, Errno>);
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
        let place = scratch.place(below, *links).expect("a name below the area");
        let outcome = place.remove(Content::Kept, |_| Ok(()));
        match expected {
            Ok(gone) => {
                assert_eq!(outcome, Ok(()), "{name}");
                tree.retain(|path| path != gone);
            }
            Err(expected) => match outcome {
                Err(Refusal::Failed { errno, .. }) => assert_eq!(errno, *expected, "{name}"),
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
    let place = scratch.place("/sub/", Links::Inside).expect("a name");
    assert!(matches!(place.remove(Content::Kept, |_| Ok(())), Err(Refusal::Failed { errno: Errno::ENOTEMPTY, .. })));
    assert_eq!(place.remove(Content::Removed, |_| Ok(())), Ok(()));
    let left: Vec<String> =
        tree.into_iter().filter(|path| path != "area/sub" && !path.starts_with("area/sub/")).collect();
    assert_eq!(scratch.tree(), left);
}

#[test]
fn a_tree_that_is_too_large_or_too_deep_stays_whole() {
    let scratch = Scratch::new("large");
    let large = scratch.0.join("area/large");
    fs::create_dir(&large).expect("mkdir");
    for n in 0..=tree::ENTRIES {
        fs::hard_link(scratch.0.join("area/file"), large.join(n.to_string())).expect("link");
    }
    fs::create_dir_all(scratch.0.join("area/deep").join("d/".repeat(40))).expect("mkdir");
    for name in ["/large", "/deep"] {
        let place = scratch.place(name, Links::Inside).expect("a name");
        assert_eq!(place.remove(Content::Removed, |_| Ok(())), Err(Refusal::TooMuch), "{name}");
    }
    assert_eq!(fs::read_dir(&large).expect("read_dir").count(), tree::ENTRIES + 1);
    assert!(scratch.0.join("area/deep").join("d/".repeat(40)).is_dir());
}

#[test]
fn the_area_itself_has_no_place() {
    let scratch = Scratch::new("area");
    for below in ["", "/", "//", "/.", "/..", "/sub/..", "/sub/./"] {
        assert_eq!(scratch.place(below, Links::Inside), None, "{below}");
    }
}

#[test]
fn the_judge_sees_the_link_and_its_content_and_has_the_last_word() {
    let scratch = Scratch::new("judge");
    let tree = scratch.tree();
    let seen = std::cell::Cell::new(None);
    for (below, itself, content) in [
        ("/file", FileKind::Regular, Some(FileKind::Regular)),
        ("/to-file", FileKind::Symlink, Some(FileKind::Regular)),
        ("/dangling", FileKind::Symlink, None),
        ("/empty", FileKind::Dir, Some(FileKind::Dir)),
    ] {
        let outcome = scratch.place(below, Links::Inside).expect("a name").remove(Content::Kept, |found| {
            seen.set(Some((found.itself.kind, found.content.map(|stat| stat.kind))));
            Err(Refusal::Precondition)
        });
        assert_eq!(outcome, Err(Refusal::Precondition), "{below}");
        assert_eq!(seen.take(), Some((itself, content)), "{below}");
    }
    assert_eq!(scratch.tree(), tree);
}

#[test]
fn a_template_begins_with_its_area() {
    let literal = |text: &str| Part::Literal(text.as_bytes().into());
    let place = |path: &str, parts: Vec<Part>| {
        let place = Place::of_template(path.as_bytes(), &Template { parts: parts.into() }, Links::Inside)?;
        let text = |s: &CString| s.to_string_lossy().into_owned();
        Some((text(&place.area), text(&place.parent), text(&place.name), place.links))
    };
    let found = |area: &str, parent: &str, name: &str, links| Some((area.into(), parent.into(), name.into(), links));
    let table = [
        ("/data/a/b", vec![literal("/data/"), Part::Capture(1)], found("/data/", "a", "b", Links::Inside)),
        ("/data/up-x", vec![literal("/data/up-"), Part::Capture(1)], found("/data/", ".", "up-x", Links::Inside)),
        ("/data/../etc/x", vec![literal("/data/"), Part::Capture(1)], found("/data/", "../etc", "x", Links::Inside)),
        ("/data/x", vec![Part::Capture(1)], found("/", "data", "x", Links::None)),
        ("/data/", vec![literal("/data/"), Part::Capture(1)], None),
    ];
    for (path, parts, expected) in table {
        assert_eq!(place(path, parts), expected, "{path}");
    }
}
