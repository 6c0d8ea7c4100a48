//! The cache against a changing directory: responses immediately reflect what exists.

use super::*;
use crate::services::dir_watch::TRUST;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Tree(PathBuf);

impl Tree {
    /// `current` is a link to `releases/1`, which contains `site/a`; `link` in it leads to `../../shared`.
    fn new(serial: usize) -> Tree {
        let root = std::env::temp_dir().join(format!("webserv-files-{}-{serial}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (release, text) in [("1", "one"), ("2", "another")] {
            fs::create_dir_all(root.join("releases").join(release).join("site")).expect("a directory");
            fs::write(root.join("releases").join(release).join("site/a"), text).expect("a file");
        }
        fs::write(root.join("shared"), "shared").expect("a file");
        symlink("releases/1", root.join("current")).expect("a link");
        symlink("../../../shared", root.join("releases/1/site/link")).expect("a link");
        symlink("../../../nowhere", root.join("releases/1/site/dangling")).expect("a link");
        Tree(root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Opener {
    now: Clock,
    watch: DirWatch,
    cache: FileCache,
}

impl Opener {
    fn new() -> Opener {
        let mut now = Clock::read();
        // Make the files old enough to be trusted.
        now.jump(60_000);
        now.advance();
        Opener { now, watch: DirWatch::default(), cache: FileCache::new(1 << 20) }
    }

    fn what(&mut self, path: &Path) -> String {
        self.now.advance_epoch();
        let path = CString::new(path.as_os_str().as_bytes()).expect("a path of our own");
        // A missing name is cached at its second miss.
        let _ = self.cache.open(&path, &self.now, &mut self.watch);
        match self.cache.open(&path, &self.now, &mut self.watch) {
            Ok(Opened::File(file)) => match file.memory() {
                Some(text) => format!("{} {:o}", String::from_utf8_lossy(text), file.stat.mode),
                None => "a large file".into(),
            },
            Ok(Opened::Directory(_)) => "a directory".into(),
            Ok(Opened::Other) => "no file".into(),
            Err(e) => format!("{e}"),
        }
    }
}

fn rename(tree: &Tree, from: &str, to: &str) {
    fs::rename(tree.at(from), tree.at(to)).expect("a rename");
}

fn write(tree: &Tree, path: &str, text: &str) {
    fs::write(tree.at(path), text).expect("a file");
}

type Change = fn(&Tree);

#[test]
fn a_change_is_seen_at_the_next_moment() {
    const MISSING: &str = "(2: No such file or directory)";
    let mode = |text: &str| format!("{text} 644");
    let rows: &[(&str, &str, Change, String)] = &[
        ("written", "site/a", |t| write(t, "releases/1/site/a", "eno"), mode("eno")),
        (
            "cut",
            "site/a",
            |t| fs::File::options().write(true).open(t.at("releases/1/site/a")).expect("open").set_len(1).expect("cut"),
            mode("o"),
        ),
        (
            "replaced",
            "site/a",
            |t| {
                write(t, "new", "new");
                rename(t, "new", "releases/1/site/a")
            },
            mode("new"),
        ),
        ("deleted", "site/a", |t| fs::remove_file(t.at("releases/1/site/a")).expect("unlink"), MISSING.into()),
        (
            "its mode changed",
            "site/a",
            |t| fs::set_permissions(t.at("releases/1/site/a"), fs::Permissions::from_mode(0o600)).expect("chmod"),
            "one 600".into(),
        ),
        (
            "a directory in its place",
            "site/a",
            |t| {
                fs::remove_file(t.at("releases/1/site/a")).expect("unlink");
                fs::create_dir(t.at("releases/1/site/a")).expect("mkdir")
            },
            "a directory".into(),
        ),
        (
            "a link in its place",
            "site/a",
            |t| {
                fs::remove_file(t.at("releases/1/site/a")).expect("unlink");
                symlink("../../../shared", t.at("releases/1/site/a")).expect("link")
            },
            mode("shared"),
        ),
        ("its directory moved away", "site/a", |t| rename(t, "releases/1/site", "releases/1/gone"), MISSING.into()),
        (
            "another directory moved there",
            "site/a",
            |t| {
                rename(t, "releases/1/site", "gone");
                rename(t, "releases/2/site", "releases/1/site")
            },
            mode("another"),
        ),
        (
            "a directory above moved away",
            "site/a",
            |t| {
                rename(t, "releases", "old");
            },
            MISSING.into(),
        ),
        (
            "the link above swapped",
            "site/a",
            |t| {
                symlink("releases/2", t.at("next")).expect("link");
                rename(t, "next", "current")
            },
            mode("another"),
        ),
        ("the link above removed", "site/a", |t| fs::remove_file(t.at("current")).expect("unlink"), MISSING.into()),
        ("through a link: the target written", "site/link", |t| write(t, "shared", "derahs"), mode("derahs")),
        (
            "through a link: the target replaced",
            "site/link",
            |t| {
                write(t, "new", "new");
                rename(t, "new", "shared")
            },
            mode("new"),
        ),
        ("missing, then written", "site/none", |t| write(t, "releases/1/site/none", "some"), mode("some")),
        ("missing, then moved there", "site/none", |t| rename(t, "shared", "releases/1/site/none"), mode("shared")),
        (
            "missing, with its directory",
            "site/no/such/file",
            |t| {
                fs::create_dir_all(t.at("releases/1/site/no/such")).expect("mkdir");
                write(t, "releases/1/site/no/such/file", "x")
            },
            mode("x"),
        ),
        (
            "missing beneath a file",
            "site/a/b",
            |t| {
                fs::remove_file(t.at("releases/1/site/a")).expect("unlink");
                fs::create_dir(t.at("releases/1/site/a")).expect("mkdir");
                write(t, "releases/1/site/a/b", "x")
            },
            mode("x"),
        ),
        ("a dangling link gets its target", "site/dangling", |t| write(t, "nowhere", "now"), mode("now")),
        (
            "missing, the link above swapped",
            "site/b",
            |t| {
                write(t, "releases/2/site/b", "b");
                symlink("releases/2", t.at("next")).expect("link");
                rename(t, "next", "current")
            },
            mode("b"),
        ),
    ];
    for (serial, (name, path, change, expected)) in rows.iter().enumerate() {
        let tree = Tree::new(serial);
        let mut asked = Opener::new();
        let path = tree.at("current").join(path);
        let before = asked.what(&path);
        assert_ne!(before, *expected, "{name}: nothing would change");
        assert_eq!(asked.what(&path), before, "{name}: asked twice");
        change(&tree);
        // Younger than the clock's granularity: not cached, and the change itself may be.
        assert_eq!(asked.what(&path), *expected, "{name}");
        assert_eq!(asked.what(&path), *expected, "{name}: asked again");
    }
}

#[test]
fn a_directory_made_anew_while_somebody_holds_the_old_one_is_another() {
    let tree = Tree::new(1000);
    let mut asked = Opener::new();
    let (dir, path) = (tree.at("releases/2/site"), tree.at("releases/2/site/b"));
    let missing = asked.what(&path);
    let held = fs::File::open(&dir).expect("a directory opens");
    fs::remove_dir_all(&dir).expect("rmdir");
    fs::create_dir(&dir).expect("mkdir");
    assert_eq!(asked.what(&path), missing);
    write(&tree, "releases/2/site/b", "b");
    assert_eq!(asked.what(&path), "b 644");
    drop(held);
}

#[test]
fn a_write_under_a_name_made_elsewhere_since_is_seen_before_long() {
    let tree = Tree::new(1003);
    let mut asked = Opener::new();
    let path = tree.at("current/site/a");
    asked.what(&path);
    fs::hard_link(tree.at("releases/1/site/a"), tree.at("other")).expect("link");
    write(&tree, "other", "eno");
    asked.now.jump(TRUST);
    asked.now.advance();
    assert_eq!(asked.what(&path), "eno 644");
    // From now on it is known to have two names, and is checked each time.
    write(&tree, "other", "neo");
    assert_eq!(asked.what(&path), "neo 644");
}

#[test]
fn what_is_watched_is_not_looked_at() {
    let tree = Tree::new(1001);
    let mut asked = Opener::new();
    for path in ["current/site/a", "current/site/none", "current/site/no/such"] {
        let path = tree.at(path);
        asked.what(&path);
        let key = path.as_os_str().as_bytes();
        asked.now.advance_epoch();
        let found = asked.cache.map.get(key).map(|at| &asked.cache.slots[*at as usize].lookup);
        let lookup = found.or_else(|| asked.cache.missing.get(key).map(|(_, lookup)| lookup));
        assert!(lookup.is_some_and(|lookup| lookup.holds(&asked.now)), "{}", path.display());
    }
}

#[test]
fn names_that_are_asked_for_once_are_not_remembered() {
    let tree = Tree::new(1004);
    let mut asked = Opener::new();
    let path = CString::new(tree.at("current/site/scan").as_os_str().as_bytes()).expect("a path of our own");
    for (miss, expected) in [0, 1, 1].into_iter().enumerate() {
        let found = asked.cache.open(&path, &asked.now, &mut asked.watch);
        assert_eq!(found.err(), Some(Errno::ENOENT));
        assert_eq!(asked.cache.missing.len(), expected, "miss {miss}");
    }
}

#[test]
fn more_directories_than_are_watched_are_answered_all_the_same() {
    let tree = Tree::new(1002);
    let mut asked = Opener::new();
    asked.watch.forget();
    assert_eq!(asked.what(&tree.at("current/site/a")), "one 644");
    asked.watch.forget();
    write(&tree, "releases/1/site/a", "eno");
    assert_eq!(asked.what(&tree.at("current/site/a")), "eno 644");
}

#[test]
fn a_file_whose_pieces_are_asked_for_often_is_read_once_and_anew_when_it_changes() {
    let tree = Tree::new(91);
    let (path, mut asked) = (tree.at("large"), Opener::new());
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path of our own");
    let open = |asked: &mut Opener| {
        asked.now.advance_epoch();
        match asked.cache.open(&name, &asked.now, &mut asked.watch) {
            Ok(Opened::File(file)) => file,
            _ => panic!("it is a file"),
        }
    };
    for (letter, len) in [("a", WHOLE), ("b", WHOLE), ("c", WHOLE + 1)] {
        fs::write(&path, letter.repeat(len as usize)).expect("written");
        let file = open(&mut asked);
        for _ in 0..CACHE_AFTER_PARTS {
            assert_eq!(file.piece(1, 3), None, "not often");
        }
        let often = (len <= WHOLE).then(|| letter.repeat(2));
        assert_eq!(file.piece(1, 3), often.as_deref().map(str::as_bytes));
        assert_eq!(open(&mut asked).piece(WHOLE - 1, WHOLE + 1), None, "beyond its end, or not kept");
        assert!(Rc::ptr_eq(&file, &open(&mut asked)));
    }
}

#[test]
fn one_large_file_does_not_have_each_turn_go_through_all_that_are_kept() {
    let tree = Tree::new(1003);
    let mut asked = Opener::new();
    let large = tree.at("current/site/large");
    fs::write(&large, vec![0; 2 * SMALL as usize]).expect("a file");
    assert_eq!(asked.what(&large), "a large file");
    asked.cache.sweep(&asked.now);
    let used = &asked.cache.slots[0].file.used;
    used.set(used.get() - IDLE_FD - 1);
    asked.cache.sweep(&asked.now);
    assert!(asked.cache.holds_descriptors(), "it was looked for in this very turn");
    asked.now.ms += SWEEP;
    asked.cache.sweep(&asked.now);
    assert!(!asked.cache.holds_descriptors());
}

#[test]
fn cached_files_give_their_descriptors_back_where_few_are_left() {
    let tree = Tree::new(1005);
    let mut asked = Opener::new();
    let large = |at: usize| tree.at(&format!("current/site/large{at}"));
    let fetch = |asked: &mut Opener, at: usize| assert_eq!(asked.what(&large(at)), "a large file");
    for at in 0..3 {
        fs::write(large(at), vec![0; 2 * SMALL as usize]).expect("a file");
        fetch(&mut asked, at);
    }
    asked.what(&tree.at("current/site/a"));
    assert_eq!((asked.cache.descriptors, asked.cache.slots.len()), (3, 4));
    let sent = asked.cache.slots[1].file.clone();
    assert_eq!(asked.cache.give_back(), 2, "the one that is being sent is not free");
    assert_eq!((asked.cache.descriptors, asked.cache.slots.len()), (0, 1), "small files stay");
    assert_eq!(asked.cache.give_back(), 0);
    drop(sent);
    let mut few = Descriptors::default();
    few.set_limit(0);
    asked.cache.set_descriptors(4, few);
    for at in 0..3 {
        fetch(&mut asked, at);
    }
    assert_eq!(asked.cache.descriptors, 0, "nothing is kept of the last ones");
    asked.cache.set_descriptors(2, Descriptors::default());
    for at in 0..3 {
        fetch(&mut asked, at);
    }
    assert_eq!(asked.cache.descriptors, 1, "half of those that there may be");
}
