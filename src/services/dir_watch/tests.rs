//! Which directories are watched, and what an event costs.

use super::*;
use crate::sys::scratch::Scratch;
use std::os::unix::ffi::OsStrExt;

#[test]
fn a_directory_of_many_entries_is_not_watched() {
    let root = std::env::temp_dir().join(format!("webserv-dir-watch-{}", std::process::id()));
    let dir = root.join("way/in");
    std::fs::create_dir_all(&dir).expect("a fresh directory");
    std::fs::write(dir.join("entry"), "").expect("an entry");
    let size = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").len();
    let (path, now) = (dir.as_os_str().as_bytes(), Clock::read());
    for (name, bound, expected) in [
        ("as they are", Bound::default(), true),
        ("all are too large", Bound(|_| 0), false),
        ("none is", Bound(|_| u64::MAX), true),
    ] {
        let mut watch = DirWatch { bound, ..DirWatch::default() };
        assert_eq!(watch.directory(path, &now).is_some(), expected, "{name}: of {} bytes", size(&dir));
        assert_eq!(watch.known(path, &now), Some(expected), "{name}: looked at each time");
        assert_eq!(watch.marks.is_empty(), !expected, "{name}: no watch is left behind");
    }
    let _ = std::fs::remove_dir_all(&root);
}

/// A hundred new directories, whose paths go on with `way`.
fn hundred(scratch: &Scratch, way: &str) -> Vec<Vec<u8>> {
    let dir = |n: u32| {
        let path = scratch.join(&format!("{way}{n}")).into_bytes();
        std::fs::create_dir_all(std::ffi::OsStr::from_bytes(&path)).expect("a fresh directory");
        path
    };
    (0..100).map(dir).collect()
}

/// Watches those that can be watched.
fn look(paths: &[Vec<u8>], watch: &mut DirWatch, now: &Clock) -> Vec<Rc<Dir>> {
    paths.iter().filter_map(|path| watch.directory(path, now)).collect()
}

/// One event about `/srv` was worked off for all directories below it at once: 650 ms.
#[test]
fn an_event_about_a_common_ancestor_is_worked_off_in_parts() {
    let scratch = Scratch::new();
    let paths = hundred(&scratch, "top/");
    let (mut watch, mut now) = (DirWatch::default(), Clock::read());
    let before = look(&paths, &mut watch, &now);
    assert_eq!(before.len(), paths.len());
    let steps = before[0].marks.borrow().len();
    let top = scratch.join("top");
    std::fs::rename(std::ffi::OsStr::from_bytes(top.to_bytes()), format!("{}2", top.to_str().expect("UTF-8")))
        .expect("renamed");
    now.advance_epoch();
    watch.refresh(&now);
    assert!(before.iter().all(|dir| dir.changes().is_none()), "none is trusted any more");
    assert!(paths.iter().all(|path| watch.watched(path).is_none() && watch.known(path, &now).is_none()));
    assert!(watch.lost.len() >= paths.len() - SWEEP.div_ceil(steps), "{} of them wait", watch.lost.len());
    // The same paths are watched again meanwhile.
    std::fs::rename(format!("{}2", top.to_str().expect("UTF-8")), top.to_str().expect("UTF-8")).expect("renamed");
    now.advance_epoch();
    watch.refresh(&now);
    let after = look(&paths, &mut watch, &now);
    assert_eq!(after.len(), paths.len());
    let epochs = paths.len() * steps / SWEEP + 1;
    for _ in 0..epochs {
        now.advance_epoch();
        watch.refresh(&now);
    }
    assert!(watch.lost.is_empty() && after.iter().all(|dir| dir.changes().is_some()), "those stay");
    assert_eq!(watch.dirs.len(), paths.len());
    let trusted = |dirs: &Dirs| dirs.values().all(|dir| dir.alive.get());
    assert!(watch.marks.values().all(|mark| trusted(&mark.inside) && mark.steps.values().all(trusted)));
}

/// All that was kept of them was dropped at once when the kernel's queue was full: 220 ms for 4096 deep directories.
#[test]
fn directories_whose_events_were_lost_are_given_back_in_parts() {
    let scratch = Scratch::new();
    let paths = hundred(&scratch, "");
    let (mut watch, mut now) = (DirWatch::default(), Clock::read());
    let before = look(&paths, &mut watch, &now);
    if before.is_empty() {
        eprintln!("SKIPPED: the file system cannot be watched");
        return;
    }
    let (count, steps) = (before.len(), before[0].marks.borrow().len());
    watch.take(inotify::Event { watch: -1, mask: inotify::Q_OVERFLOW, name: b"" });
    assert!(before.iter().all(|dir| dir.changes().is_none()), "none is trusted any more");
    let held = |dirs: &[Rc<Dir>]| dirs.iter().filter(|dir| !dir.marks.borrow().is_empty()).count();
    assert!(held(&before) == count && !watch.marks.is_empty(), "nothing is given back at once");
    now.advance_epoch();
    watch.refresh(&now);
    assert!(held(&before) >= count - SWEEP.div_ceil(steps), "{} are left", held(&before));
    // They are watched again meanwhile, and what happens in them is reported.
    let after = look(&paths, &mut watch, &now);
    for _ in 0..count * steps / SWEEP + 1 {
        now.advance_epoch();
        watch.refresh(&now);
    }
    assert!(watch.lost.is_empty() && held(&before) == 0 && held(&after) == count);
    let changes = after[0].changes().expect("watched");
    scratch.write("0/new", b"x");
    now.advance_epoch();
    watch.refresh(&now);
    assert!(after[0].changes().is_some_and(|now| now > changes));
}

#[test]
fn the_bound_is_of_the_file_systems_own_measure() {
    let temp = CString::new(std::env::temp_dir().into_os_string().into_encoded_bytes()).expect("a path");
    let stat = file::stat(&temp).expect("a directory");
    let price = |path, size| price(path, &Stat { size, ..stat });
    assert_eq!([0, 1 << 20, 1 << 40].map(|size| price(c"/proc", size)), [Ok(Price::NotLocal); 3]);
    if price(&temp, 0) == Ok(Price::Fair) {
        assert_eq!(price(&temp, 1 << 40), Ok(Price::TooHigh));
    }
    assert_eq!((largest(ZFS), largest(LOCAL[0])), (40_000, 1 << 20));
    for without_measure in [0x8584_58f6, 0xca45_1a4e] {
        assert!(!LOCAL.contains(&without_measure), "ramfs, bcachefs");
    }
}
