//! What a MOVE that works by copying may remove from its source: only what the copy holds. An entry that another
//! process adds or changes meanwhile stays, and the MOVE reports it. Symbolic links and special files cannot be
//! copied: a tree that has one when it is copied is not moved at all, and one that appears later stays.
//!
//! An entry whose last change is older than the beginning of the copy is in the copy. Younger ones that were copied are
//! remembered with their state at that time. A few microseconds remain between checking an entry and removing it; and
//! on a file system whose clock is that of another machine and runs behind ours, a new entry counts as old.

use super::lock_tokens::RemovalPermission;
use crate::services::checked_trees::Watch;
use crate::services::clock::{Clock, nanoseconds};
use crate::services::dav_locks::DavLocks;
use crate::services::remove_tree::RemovalPolicy;
use crate::services::temp_names::{HiddenKind, TempNames};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Stat};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

/// A change may carry a time this many nanoseconds in the past: the granularity of the kernel's clock, and a margin.
const CLOCK_GRANULARITY: i128 = 20_000_000;
/// Most entries that are remembered, at some 50 bytes each, if there is memory. Of a larger tree whose entries are all
/// that young, the rest stays.
const ENTRIES: usize = 1 << 20;

/// What a copy of a tree holds, as far as that is needed to tell which entries of the source have changed since.
pub struct Copied {
    /// Nanoseconds since 1970.
    since: i128,
    /// By inode: entries that were changed later, and those with several names, which change when one of the names
    /// goes.
    young: HashMap<u64, (u64, (i64, u32))>,
    /// It holds symbolic links, too.
    has_links: bool,
}

impl Copied {
    /// The copy begins.
    pub fn begin(now: &Clock) -> Copied {
        Copied { since: now.nanoseconds() - CLOCK_GRANULARITY, young: HashMap::new(), has_links: false }
    }

    fn is_old(&self, stat: &Stat) -> bool {
        nanoseconds(stat.ctime) < self.since
    }

    /// The entry is being copied as it is now.
    pub fn note(&mut self, stat: &Stat) {
        let is_young = stat.nlink > 1 || !self.is_old(stat);
        if is_young && self.young.len() < ENTRIES && self.young.try_reserve(1).is_ok() {
            self.young.insert(stat.ino, (stat.size, stat.mtime));
        }
    }

    /// As [`Copied::note`], for a symbolic link that was copied as it is.
    pub fn note_link(&mut self, stat: &Stat) {
        self.has_links = true;
        self.note(stat);
    }

    /// Checks that the entry may be removed.
    ///
    /// # Errors
    /// EBUSY for what the copy does not hold.
    pub fn check(&self, stat: &Stat) -> Result<(), Errno> {
        match stat.kind {
            FileKind::Regular | FileKind::Dir => {}
            FileKind::Symlink if self.has_links => {}
            FileKind::Symlink | FileKind::Other => return Err(Errno::EBUSY),
        }
        match self.is_old(stat) || self.young.get(&stat.ino) == Some(&(stat.size, stat.mtime)) {
            true => Ok(()),
            false => Err(Errno::EBUSY),
        }
    }
}

/// Removes the source of a MOVE, unless something comes into it.
pub struct Leaving<'a> {
    /// Names of files that are being written: they are not removed.
    pub temp_names: &'a mut TempNames,
    /// Tells whether another request has put something into the source since.
    pub source_changed: Option<&'a Watch>,
    /// What the copy holds; None: all may go.
    pub copied: Option<&'a Copied>,
    /// The locks, and which of them the request may pass.
    pub locks: Option<(&'a DavLocks, &'a RemovalPermission)>,
}

impl RemovalPolicy for Leaving<'_> {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.temp_names.hidden_in(dir, HiddenKind::Delete)
    }

    fn may(&mut self, dir: BorrowedFd<'_>, parent: &[u8], name: &CStr, _: bool) -> Result<(), Errno> {
        if self.source_changed.is_some_and(Watch::is_set) {
            return Err(Errno::EBUSY);
        }
        if let Some((locks, leave)) = self.locks {
            leave.check(locks, parent, name)?;
        }
        match (self.copied, file::stat_at(Some(dir), name, Follow::No)) {
            (Some(copied), Ok(there)) => copied.check(&there),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::copying::TreeCopy;
    use super::*;
    use crate::services::remove_tree::{Removal, Stuck};
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::rc::Rc;

    /// Copies `from` to `to`, lets `meanwhile` happen, and removes the source; gives why not all of it.
    fn moved(meanwhile: impl FnOnce(&Path)) -> (Scratch, Option<Stuck>) {
        let scratch = Scratch::new();
        let from = scratch.path().join("from");
        fs::create_dir_all(from.join("in/deep")).expect("mkdir");
        for name in ["a", "in/b", "in/deep/c"] {
            fs::write(from.join(name), name).expect("write");
        }
        fs::hard_link(from.join("a"), from.join("in/a-too")).expect("link");
        let (dir, mut temp_names) = (Rc::new(scratch.fd()), TempNames::default());
        let mut now = Clock::read();
        now.advance_epoch();
        let mut copy = TreeCopy::new(dir.as_fd(), c"from", &dir, true, &mut temp_names).expect("begins");
        copy.copied = Some(Copied::begin(&now));
        while copy.step(&mut Vec::new(), |_, _, _, _| Ok(())).expect("copies") {}
        meanwhile(&from);
        let mut removal = Removal::new(file::dup(dir.as_fd()).expect("dup"), c"from").expect("begins");
        let stuck = loop {
            let copied = copy.copied.as_ref();
            match removal.step(Leaving { temp_names: &mut temp_names, source_changed: None, copied, locks: None }) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(stuck) => break Some(stuck),
            }
        };
        drop(copy);
        (scratch, stuck)
    }

    #[test]
    fn what_has_no_copy_ends_a_move_and_stays_whatever_its_age() {
        type Make = fn(&Path);
        let table: [(&str, Errno, Make); 4] = [
            ("in/link", Errno::ELOOP, |at| symlink("b", at).expect("symlink")),
            ("link", Errno::ELOOP, |at| symlink("/nowhere", at).expect("symlink")),
            ("in/socket", Errno::ENODEV, |at| drop(UnixListener::bind(at).expect("bind"))),
            ("in/.webserv-x", Errno::EBUSY, |at| fs::write(at, "x").expect("write")),
        ];
        for (name, why, make) in table {
            for moves in [true, false] {
                let scratch = Scratch::new();
                fs::create_dir_all(scratch.path().join("from/in")).expect("mkdir");
                make(&scratch.path().join("from").join(name));
                let (dir, mut temp_names) = (Rc::new(scratch.fd()), TempNames::default());
                let mut copy = TreeCopy::new(dir.as_fd(), c"from", &dir, true, &mut temp_names).expect("begins");
                copy.copied = moves.then(|| Copied { since: i128::MAX, young: HashMap::new(), has_links: false });
                let end = loop {
                    match copy.step(&mut Vec::new(), |_, _, _, _| Ok(())) {
                        Ok(true) => {}
                        Ok(false) => break None,
                        Err(e) => break Some(e),
                    }
                };
                assert_eq!(end, moves.then_some(why), "{name}");
                assert_eq!(copy.obstacle, moves.then(|| name.as_bytes().to_vec()));
            }
        }
        let scratch = Scratch::new();
        symlink("x", scratch.path().join("link")).expect("symlink");
        let there = file::stat_at(Some(scratch.fd().as_fd()), c"link", Follow::No).expect("stat");
        let copied = Copied { since: i128::MAX, young: HashMap::new(), has_links: false };
        assert_eq!(copied.check(&there), Err(Errno::EBUSY));
    }

    #[test]
    fn an_old_file_whose_other_name_has_gone_leaves_and_another_that_changed_stays() {
        let scratch = Scratch::new();
        scratch.write("a", b"a");
        let made = file::stat_at(Some(scratch.fd().as_fd()), c"a", Follow::No).expect("stat");
        // How many names it has when it is copied, and its ctime then and when it is to be removed.
        for (nlink, noted, checked, expected) in [
            (1, 9, 9, Ok(())),
            (1, 9, 10, Err(Errno::EBUSY)),
            (2, 9, 10, Ok(())),
            (3, 9, 10, Ok(())),
            (1, 10, 10, Ok(())),
        ] {
            let mut copied = Copied { since: 10_000_000_000, young: HashMap::new(), has_links: false };
            copied.note(&Stat { nlink, ctime: (noted, 0), ..made });
            let found = copied.check(&Stat { nlink: 1, ctime: (checked, 0), ..made });
            assert_eq!(found, expected, "{nlink} {noted} {checked}");
        }
    }

    #[test]
    fn a_tree_that_was_just_made_leaves_with_all_its_names() {
        let (scratch, stuck) = moved(|_| {});
        assert_eq!(stuck, None);
        assert!(!scratch.path().join("from").exists());
    }

    #[test]
    fn what_another_process_puts_into_the_source_of_a_move_is_not_removed() {
        type Act = fn(&Path);
        let table: [(&str, Act); 4] = [
            ("in/new", |from| fs::write(from.join("in/new"), "new").expect("write")),
            ("new", |from| fs::write(from.join("new"), "new").expect("write")),
            ("a", |from| fs::write(from.join("a"), "longer than it was").expect("write")),
            ("other/x", |from| {
                fs::create_dir(from.join("other")).expect("mkdir");
                fs::write(from.join("other/x"), "x").expect("write");
            }),
        ];
        for (name, act) in table {
            let (scratch, stuck) = moved(act);
            assert_eq!(stuck.map(|stuck| stuck.errno), Some(Errno::EBUSY), "{name}");
            assert!(scratch.path().join("from").join(name).exists(), "{name}");
        }
    }
}
