//! Directories and links that are moved while they are configured.

use super::*;
use crate::config::build::Form;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::sys::scratch::Scratch;
use std::cell::Cell;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn top() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let top = fs::canonicalize(scratch.path()).expect("it is there");
    (scratch, top)
}

fn listed<'d>(directories: impl Iterator<Item = Listed<'d>>) -> ConfiguredDirs {
    let mut dirs = ConfiguredDirs::stored();
    dirs.add(directories);
    dirs
}

fn relink(to: &Path, link: &Path) {
    drop(fs::remove_file(link));
    symlink(to, link).expect("a link");
}

/// The dirs that contain the path, with the rest of it.
fn found(dirs: &mut ConfiguredDirs, now: u64, path: &Path) -> Vec<(Option<usize>, String)> {
    let mut found = Vec::new();
    dirs.refresh_stale(now).expect("it can be looked at");
    dirs.find(&[path.as_os_str().as_bytes()], |role, rest| {
        found.push((role, String::from_utf8_lossy(rest).into_owned()));
        false
    });
    found
}

#[test]
fn a_place_is_found_by_its_name_and_by_where_it_lies() {
    let (_scratch, top) = top();
    let (a, link, none) = (top.join("a"), top.join("link"), top.join("link/none"));
    fs::create_dir(&a).expect("a directory");
    relink(&a, &link);
    let directories = [(&link, None), (&a, Some(0)), (&none, Some(1)), (&link, Some(2))];
    let mut dirs = listed(directories.iter().map(|(path, role)| (path.as_os_str().as_bytes(), *role)));
    let own = |rest: &str| vec![(None, rest.to_owned()), (Some(2), rest.to_owned())];
    let all = |rest: &str| [own(rest), vec![(Some(0), rest.to_owned())]].concat();
    let sorted = |mut those: Vec<_>| {
        those.sort();
        those
    };
    assert_eq!(found(&mut dirs, 5000, &top.join("link/./x//y")), own("x/y"));
    assert_eq!(sorted(found(&mut dirs, 5000, &top.join("a/x"))), sorted(all("x")));
    // What does not exist yet will be where its parent is.
    let within = found(&mut dirs, 5000, &top.join("a/none/x"));
    assert_eq!(sorted(within), sorted([all("none/x"), vec![(Some(1), "x".to_owned())]].concat()));
    assert_eq!(found(&mut dirs, 5000, &top.join("ab/x")), []);
    assert_eq!(found(&mut dirs, 5000, &top), []);
    let mut root = listed([(&b"/"[..], None)].into_iter());
    assert_eq!(found(&mut root, 5000, Path::new("/x")), [(None, "x".to_owned())]);
}

#[test]
fn what_is_known_of_a_path_holds_until_a_directory_lies_elsewhere() {
    let (_scratch, top) = top();
    let link = top.join("link");
    relink(&top.join("a"), &link);
    let mut dirs = listed([(link.as_os_str().as_bytes(), None)].into_iter());
    let generation = |dirs: &mut ConfiguredDirs, now: u64| {
        dirs.refresh_stale(now).expect("it can be looked at");
        dirs.generation
    };
    for dir in ["a", "b"] {
        fs::create_dir(top.join(dir)).expect("a directory");
    }
    let first = generation(&mut dirs, 5000);
    assert_eq!(generation(&mut dirs, 6000), first, "it lies where it lay");
    dirs.any_moved();
    assert_eq!(generation(&mut dirs, 6000), first, "what was moved was another one");
    relink(&top.join("b"), &link);
    let second = generation(&mut dirs, 7000);
    assert_ne!(second, first);
    relink(&top.join("a"), &link);
    assert!(generation(&mut dirs, 8000) > second, "no number comes back");
}

#[test]
fn a_place_is_found_whatever_the_case_of_its_name() {
    let (_scratch, top) = top();
    let (real, link) = (top.join("Real"), top.join("Trash"));
    fs::create_dir(&real).expect("a directory");
    relink(&real, &link);
    let mut dirs = listed([(link.as_os_str().as_bytes(), Some(3))].into_iter());
    for (path, rest) in [
        ("trash/X", "X"),
        ("TRASH", ""),
        ("tra\u{17f}h/X/y", "X/y"),
        ("rEAL/a", "a"),
        ("Trash/\u{212a}/b", "\u{212a}/b"),
    ] {
        assert_eq!(found(&mut dirs, 5000, &top.join(path)), [(Some(3), rest.to_owned())], "{path}");
    }
    assert_eq!(found(&mut dirs, 5000, &top.join("trashes/X")), []);
}

#[test]
fn a_link_that_leads_elsewhere_is_seen_after_a_second_or_a_move_of_ours() {
    let (_scratch, top) = top();
    let (a, b, link) = (top.join("a/x"), top.join("b/x"), top.join("link"));
    relink(&top.join("a"), &link);
    let mut dirs = listed([(link.as_os_str().as_bytes(), Some(7))].into_iter());
    let is_in = |dirs: &mut ConfiguredDirs, now: u64| [&a, &b, &link].map(|path| !found(dirs, now, path).is_empty());
    for dir in ["a", "b"] {
        fs::create_dir(top.join(dir)).expect("a directory");
    }
    assert_eq!(is_in(&mut dirs, 5000), [true, false, true]);
    relink(&top.join("b"), &link);
    assert_eq!(is_in(&mut dirs, 5999), [true, false, true]);
    assert_eq!(is_in(&mut dirs, 6000), [false, true, true]);
    relink(&top.join("a"), &link);
    dirs.moved(&[link.as_os_str().as_bytes().to_vec()]);
    assert_eq!(is_in(&mut dirs, 6000), [true, false, true]);
    fs::remove_file(&link).expect("removed");
    assert_eq!(is_in(&mut dirs, 7000), [false, false, true]);
    assert_eq!(dirs.by_path.len(), 1, "no path is kept that no directory has");
}

#[test]
fn a_place_of_another_machine_is_looked_at_after_a_move_or_an_upload_of_ours() {
    let (_scratch, top) = top();
    let link = top.join("link");
    let own = link.as_os_str().as_bytes();
    let remote = || RemoteMounts::parse(format!("1 0 0:30 / {} rw - nfs h:/x rw", top.display()).as_bytes());
    let mut dirs = listed([(own, None)].into_iter());
    // As if the kernel never had it cached.
    let lies = |dirs: &mut ConfiguredDirs, now: u64, at: &str| {
        dirs.refresh_stale_by(now, |_| None, ask_remote, remote).expect("it can be looked at");
        *dirs.dirs[0].real == *top.join(at).as_os_str().as_bytes()
    };
    for dir in ["a", "b"] {
        fs::create_dir(top.join(dir)).expect("a directory");
    }
    relink(&top.join("a"), &link);
    assert!(lies(&mut dirs, 5000, "a"), "it is looked at before the first use");
    relink(&top.join("b"), &link);
    assert!(lies(&mut dirs, 6000, "a"), "the other machine is not asked");
    dirs.any_moved();
    assert!(lies(&mut dirs, 6000, "b"));
    relink(&top.join("a"), &link);
    dirs.used(top.join("li").as_os_str().as_bytes());
    assert!(lies(&mut dirs, 7000, "b"), "that is another directory");
    dirs.used(top.join("link/x/y").as_os_str().as_bytes());
    assert!(lies(&mut dirs, 8000, "a"));
    relink(&top.join("b"), &link);
    assert!(lies(&mut dirs, 9000, "a"), "once");
    let local = RemoteMounts::default;
    dirs.refresh_stale_by(10_000, |_| None, ask_remote, local).expect("it can be looked at");
    assert_eq!(*dirs.dirs[0].real, *top.join("b").as_os_str().as_bytes(), "this machine's own are looked at");
}

#[test]
fn without_a_free_descriptor_a_place_stays_where_it_was_found_or_is_not_known() {
    let (_scratch, top) = top();
    let link = top.join("link");
    let mut dirs = listed([(link.as_os_str().as_bytes(), None)].into_iter());
    for dir in ["a", "b"] {
        fs::create_dir(top.join(dir)).expect("a directory");
    }
    relink(&top.join("a"), &link);
    let mut lies = |now: u64, asked: fn(&[u8]) -> Result<Vec<u8>, Errno>, change: fn(&mut ConfiguredDirs)| {
        change(&mut dirs);
        let outcome = dirs.refresh_stale_by(now, |_| None, asked, RemoteMounts::default);
        outcome.map(|()| dirs.dirs[0].real.ends_with(b"/b"))
    };
    let none: fn(&[u8]) -> Result<Vec<u8>, Errno> = |_| Err(Errno::EMFILE);
    let broken: fn(&[u8]) -> Result<Vec<u8>, Errno> = |_| Err(Errno::EIO);
    assert_eq!(lies(5000, none, |_| {}), Err(Errno::EMFILE), "it was never looked at");
    assert_eq!(lies(5000, ask_remote, |_| {}), Ok(false));
    relink(&top.join("b"), &link);
    assert_eq!(lies(6000, none, |_| {}), Ok(false), "it stays where it was");
    assert_eq!(lies(6000, ask_remote, |_| {}), Ok(true), "the next look is not put off");
    assert_eq!(lies(6001, none, ConfiguredDirs::any_moved), Err(Errno::EMFILE), "it may have been moved");
    assert_eq!(lies(6001, none, |_| {}), Err(Errno::EMFILE), "that is not forgotten");
    assert_eq!(lies(6001, broken, |_| {}), Ok(true), "a broken disk makes no other directory unknown");
    assert_eq!(lies(8000, none, |dirs| dirs.dirs[0].is_used = true), Err(Errno::EMFILE));
}

#[test]
fn of_many_places_a_call_looks_at_some_and_none_is_left_out() {
    let (_scratch, top) = top();
    let names: Vec<PathBuf> = (0..2 * AT_ONCE + 9).map(|at| top.join(format!("link/{at}"))).collect();
    relink(&top.join("a"), &top.join("link"));
    for dir in ["a", "b"] {
        fs::create_dir(top.join(dir)).expect("a directory");
    }
    let mut dirs = listed(names.iter().map(|name| (name.as_os_str().as_bytes(), None)));
    let count = |dirs: &ConfiguredDirs, dir: &str| {
        let dir = top.join(dir);
        dirs.dirs.iter().filter(|directory| directory.real.starts_with(dir.as_os_str().as_bytes())).count()
    };
    dirs.refresh_stale(5000).expect("it can be looked at");
    assert_eq!(count(&dirs, "a"), names.len(), "all are looked at before the first use");
    relink(&top.join("b"), &top.join("link"));
    for (now, expected) in [(5999, 0), (6000, AT_ONCE), (6000, 2 * AT_ONCE), (6001, names.len()), (6999, names.len())] {
        dirs.refresh_stale(now).expect("it can be looked at");
        assert_eq!(count(&dirs, "b"), expected, "{now}");
    }
}

thread_local! {
    static LOOKUPS: Cell<usize> = const { Cell::new(0) };
}

fn counting(path: &[u8]) -> Result<Vec<u8>, Errno> {
    LOOKUPS.set(LOOKUPS.get() + 1);
    ask_remote(path)
}

#[test]
fn a_move_looks_only_at_the_directories_at_or_below_its_paths() {
    let (_scratch, top) = top();
    let names: Vec<PathBuf> = (0..2000).map(|at| top.join(format!("site{at}/trash"))).collect();
    let mut dirs = listed(names.iter().map(|name| (name.as_os_str().as_bytes(), None)));
    let mut lookups = |now: u64, moved: &[&str]| {
        let paths: Vec<Vec<u8>> = moved.iter().map(|path| top.join(path).as_os_str().as_bytes().to_vec()).collect();
        dirs.moved(&paths);
        LOOKUPS.set(0);
        dirs.refresh_stale_by(now, |_| None, counting, RemoteMounts::default).expect("it can be looked at");
        LOOKUPS.get()
    };
    assert_eq!(lookups(5000, &[]), names.len(), "before the first use");
    assert_eq!(lookups(5000, &["other/a", "other/b"]), 0);
    assert_eq!(lookups(5000, &["site7", "other/b"]), 1);
    assert_eq!(lookups(5000, &["site7/trash", "site8/trash/x", "site9"]), 2);
    assert_eq!(lookups(5000, &["."]), names.len());
}

#[test]
fn after_a_move_directories_behind_links_are_looked_at_in_turn() {
    let (_scratch, top) = top();
    let names: Vec<PathBuf> = (0..AT_ONCE + 9).map(|at| top.join(format!("link/{at}"))).collect();
    relink(&top.join("a"), &top.join("link"));
    fs::create_dir(top.join("a")).expect("a directory");
    let mut dirs = listed(names.iter().map(|name| (name.as_os_str().as_bytes(), None)));
    dirs.refresh_stale(5000).expect("it can be looked at");
    dirs.moved(&[top.join("x").as_os_str().as_bytes().to_vec()]);
    for expected in [AT_ONCE, 9, 0] {
        LOOKUPS.set(0);
        dirs.refresh_stale_by(5000, |_| None, counting, RemoteMounts::default).expect("it can be looked at");
        assert_eq!(LOOKUPS.get(), expected);
    }
}

#[test]
fn what_is_kept_at_or_below_a_path_is_found_by_its_name_and_by_where_it_lies() {
    let (_scratch, top) = top();
    relink(&top.join("data"), &top.join("www"));
    fs::create_dir_all(top.join("data/a/trash")).expect("a directory");
    let name = top.join("www/a/trash");
    let mut dirs = listed([(name.as_os_str().as_bytes(), None)].into_iter());
    dirs.refresh_stale(5000).expect("it can be looked at");
    let holds = |path: &str| dirs.has_within(&[b"/elsewhere", top.join(path).as_os_str().as_bytes()]);
    for path in ["www/a", "data/a", "data", "www/a/trash/", "data//a/./trash", "www"] {
        assert!(holds(path), "{path}");
    }
    for path in ["data/a/trash/x", "data/a/tra", "data/b", "w"] {
        assert!(!holds(path), "{path}");
    }
}

/// The roots of 5000 servers were found in one step, by the first MOVE or DELETE of a directory after each reload: 40
/// ms.
#[test]
fn many_directories_are_found_a_few_at_a_time_before_a_request_asks() {
    thread_local! {
        static FOUND: Cell<usize> = const { Cell::new(0) };
    }
    fn find(path: &[u8]) -> Option<Vec<u8>> {
        FOUND.set(FOUND.get() + 1);
        Some(path.to_vec())
    }
    fn gone(_: &[u8]) -> Option<Vec<u8>> {
        None
    }
    let none = || RemoteMounts::parse(b"");
    let far = || RemoteMounts::parse(b"1 0 0:1 / /far rw - nfs4 a:/ rw\n");
    let failing = |_: &[u8]| Err(Errno::EMFILE);
    let paths: Vec<String> =
        (0..3 * AT_ONCE).map(|n| format!("/{}/{n}", if n < AT_ONCE { "near" } else { "far" })).collect();
    let mut dirs = listed(paths.iter().map(|path| (path.as_bytes(), None)));
    dirs.prepares = true;
    for turn in 1..=2 {
        FOUND.set(0);
        dirs.prepare_by(5000, find, failing, none);
        assert_eq!((FOUND.get(), dirs.sound, dirs.prepares), (AT_ONCE, turn * AT_ONCE, true));
    }
    // A request that comes before the end finds the rest, and only that.
    FOUND.set(0);
    dirs.refresh_stale_by(5000, find, failing, none).expect("found");
    assert_eq!((FOUND.get(), dirs.sound), (AT_ONCE, 3 * AT_ONCE));
    dirs.prepare_by(5000, find, failing, none);
    assert!(!dirs.prepares, "all are found");
    // What is remote is not asked ahead, and what fails is left to the request.
    for (known, ask, remote) in
        [(gone as fn(&[u8]) -> _, ask_remote as fn(&[u8]) -> _, far as fn() -> RemoteMounts), (gone, failing, none)]
    {
        dirs.any_moved();
        assert!(dirs.prepares);
        (0..3).for_each(|_| dirs.prepare_by(6000, known, ask, remote));
        assert!(!dirs.prepares && dirs.sound <= AT_ONCE, "{}", dirs.sound);
    }
}

fn configuration(roots: usize) -> Rc<Config> {
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    let locations: String =
        (0..roots).map(|n| format!("location /{n} {{ root /none/{n}; dav_methods PUT; }}")).collect();
    let text = format!("events {{}} http {{ server {{ listen 80; {locations} }} }}");
    let mut loaded = load_text("t", text.as_bytes(), &LoadOptions::default());
    let resolved = crate::config::resolve::resolve(&mut loaded, Path::new("/"), Form::Webserv, Vec::new(), None);
    Rc::new(resolved.config.expect("the configuration is right"))
}

/// After a reload, each request of the old configuration made all of the new one's be found again: 40 ms for 5000.
#[test]
fn requests_of_an_old_configuration_do_not_make_the_new_ones_directories_be_found_again() {
    let [old, new] = [3, AT_ONCE + 9].map(configuration);
    let mut dirs = ConfiguredDirs::kept();
    let number = |dirs: &mut ConfiguredDirs, of: &Rc<Config>| dirs.generation(of, 5000).expect("found");
    let before = number(&mut dirs, &old);
    assert!(dirs.is_to_prepare(&new));
    dirs.prepare(&new, 5000);
    // One in between continues with its own.
    assert_eq!(number(&mut dirs, &old), before);
    assert!(dirs.is_to_prepare(&new));
    dirs.prepare(&new, 5000);
    assert!(!dirs.is_to_prepare(&new));
    let after = number(&mut dirs, &new);
    assert_ne!(after, before);
    for _ in 0..2 {
        assert_eq!(number(&mut dirs, &old), before);
        assert!(!dirs.is_to_prepare(&new));
        dirs.adopt(&new);
        assert_eq!(dirs.sound, dirs.dirs.len(), "all are found");
        assert_eq!(number(&mut dirs, &new), after);
    }
    // What is moved is moved for both.
    dirs.moved(&[b"/none".to_vec()]);
    for (of, count) in [(&old, 3), (&new, AT_ONCE + 9)] {
        dirs.adopt(of);
        assert_eq!(dirs.moved.len(), count);
    }
    drop(old);
    dirs.adopt(&configuration(1));
    dirs.free_ended(|| true);
    assert_eq!(dirs.others.len(), 1, "the old configuration's are gone with it");
}

/// They were only freed, at once, when a request of a third configuration asked.
#[test]
fn lists_of_a_configuration_are_freed_in_steps_once_it_has_ended() {
    let config = |count: usize| {
        let stores: String = (0..count).map(|n| format!("location /{n} {{ upload_store /nowhere/{n}; }}")).collect();
        let text = format!("server {{ listen 127.0.0.1:1; {stores} }}");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        Rc::new(resolved.config.expect("valid"))
    };
    let new = config(5);
    for asks_again in [true, false] {
        let (old, mut dirs) = (config(100), ConfiguredDirs::stored());
        dirs.generation(&old, 0).expect("they do not exist");
        if asks_again {
            dirs.generation(&new, 0).expect("they do not exist");
        }
        dirs.free_ended(|| true);
        assert_eq!((dirs.has_ended(), dirs.others.len()), (false, usize::from(asks_again)), "it runs");
        let before = dirs.last_generation();
        drop(old);
        assert!(dirs.has_ended());
        let mut steps = 0;
        while dirs.has_ended() {
            let mut once = true;
            dirs.free_ended(|| std::mem::take(&mut once));
            steps += 1;
        }
        assert!(steps >= 100, "{steps}");
        assert_eq!((dirs.others.len(), dirs.last_generation()), (0, before));
    }
}
