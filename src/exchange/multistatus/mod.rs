//! The 207 of a PROPFIND, made while it is sent: the resource, then what is in it, an entry at a time.
//!
//! Invariant: memory holds one batch of names, whatever the directory has; a piece looks at a bounded number of entries.

mod item;
mod props;

pub use item::{Item, Property, Shape, href, lock_discovery};
pub use props::{choose, is_ours, propstat};

use crate::http::escape::escape_component;
use crate::services::dav_locks::Lock;
use crate::services::temp_names;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, ReadDir, Stat};
use crate::util::bytes;
use std::ffi::{CStr, CString};

pub const CONTENT_TYPE: &str = "application/xml; charset=utf-8";
pub const HEAD: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
pub const TAIL: &[u8] = b"</D:multistatus>\n";
/// Bytes of a piece, about; and entries looked at for it at most.
const PIECE: usize = 32 << 10;
const ENTRIES: usize = 256;

pub struct Multistatus {
    shape: Shape,
    /// The URI of the resource, escaped; a collection's ends in a slash.
    href: Vec<u8>,
    /// The resource itself, until it was listed.
    itself: Option<(Vec<u8>, Stat, Vec<Lock>)>,
    /// What is in it, where that is wanted.
    dir: Option<ReadDir>,
    batch: Vec<CString>,
    locks: EntryLocks,
    ended: bool,
}

/// The locks of a directory's entries.
#[derive(Default)]
pub struct EntryLocks {
    /// Of each.
    pub deep: Vec<Lock>,
    /// Of single ones, in the order of their paths: of ten thousand a map by name took longer than a turn may.
    own: Vec<Lock>,
    /// Where names begin in these.
    name: usize,
}

impl EntryLocks {
    /// `below`: all locks of what is in the directory at `path`, in the order of their paths within each zone.
    pub fn new<'l>(path: &[u8], deep: Vec<Lock>, below: impl IntoIterator<Item = &'l Lock>) -> EntryLocks {
        let name = path.len() + 1;
        let is_entrys = |lock: &&Lock| lock.path.get(name..).is_some_and(|name| !name.contains(&b'/'));
        let mut own: Vec<Lock> = below.into_iter().filter(is_entrys).cloned().collect();
        own.sort_by(|a, b| a.path.cmp(&b.path));
        EntryLocks { deep, own, name }
    }

    /// Those of the entry of that name.
    fn of(&self, name: &[u8]) -> Vec<Lock> {
        let named = |lock: &Lock| lock.path.get(self.name..).unwrap_or_default().cmp(name);
        let start = self.own.partition_point(|lock| named(lock).is_lt());
        let own = self.own.iter().skip(start).take_while(|lock| named(lock).is_eq());
        self.deep.iter().chain(own).cloned().collect()
    }
}

impl Multistatus {
    /// `itself`: name, state and locks of the resource.
    pub fn new(
        shape: Shape,
        href: Vec<u8>,
        itself: (Vec<u8>, Stat, Vec<Lock>),
        dir: Option<ReadDir>,
        locks: EntryLocks,
    ) -> Multistatus {
        Multistatus { shape, href, itself: Some(itself), dir, batch: Vec::new(), locks, ended: false }
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next piece, at the end of `out`.
    ///
    /// # Errors
    /// The directory cannot be read on.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> Result<(), Errno> {
        if let Some((name, stat, locks)) = self.itself.take() {
            out.extend_from_slice(HEAD);
            let item = Item { href: &self.href, name: &name, stat: &stat, locks: &locks };
            props::response(&self.shape, &item, out);
        }
        let full = out.len() + PIECE;
        for _ in 0..ENTRIES {
            if out.len() >= full {
                return Ok(());
            }
            let Some(name) = self.next()? else {
                out.extend_from_slice(TAIL);
                self.ended = true;
                return Ok(());
            };
            self.entry(&name, out);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<CString>, Errno> {
        let Some(dir) = &mut self.dir else { return Ok(None) };
        while self.batch.is_empty() {
            if !dir.fill()? {
                self.dir = None;
                return Ok(None);
            }
            let hidden = &self.shape.hidden;
            // A name that no URI can lead to, or none of the clients', is not listed.
            let is_shown = |name: &CStr| {
                let name = name.to_bytes();
                !bytes::has_control(name)
                    && !temp_names::is_hidden(name)
                    && !hidden.iter().any(|hidden| **hidden == *name)
            };
            self.batch.extend(dir.entries().map(|entry| entry.name).filter(|name| is_shown(name)).map(CStr::to_owned));
        }
        Ok(self.batch.pop())
    }

    /// What vanishes meanwhile, or cannot be looked at, is left out.
    fn entry(&mut self, name: &CStr, out: &mut Vec<u8>) {
        let Some(dir) = &self.dir else { return };
        let follow = if self.shape.follow { Follow::Yes } else { Follow::No };
        let Ok(stat) = file::stat_at(Some(dir.dir()), name, follow) else { return };
        if !matches!(stat.kind, FileKind::Regular | FileKind::Dir) {
            return;
        }
        let name = name.to_bytes();
        let mut href = self.href.clone();
        escape_component(name, &mut href);
        if stat.kind == FileKind::Dir {
            href.push(b'/');
        }
        let locks = self.locks.of(name);
        props::response(&self.shape, &Item { href: &href, name, stat: &stat, locks: &locks }, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::dav::lock::Token;

    #[test]
    fn an_entry_has_the_locks_of_its_name_and_those_of_all() {
        let lock = |n: u8, path: &str| {
            let path = std::rc::Rc::<[u8]>::from(path.as_bytes());
            let (token, href, owner) = (Token::new([n; 16]), path.clone(), path.clone());
            Lock { token, path, href, exclusive: false, deep: false, owner, timeout: 1, until: 1 }
        };
        // Of two zones.
        let below =
            [lock(1, "/d/a"), lock(2, "/d/a.b"), lock(3, "/d/a/x"), lock(4, "/d/ab"), lock(5, "/d/a"), lock(6, "/d/0")];
        let locks = EntryLocks::new(b"/d", vec![lock(9, "/")], &below);
        let table: [(&str, &[u8]); 6] =
            [("a", &[9, 1, 5]), ("a.b", &[9, 2]), ("ab", &[9, 4]), ("0", &[9, 6]), ("x", &[9]), ("", &[9])];
        for (name, expected) in table {
            let found: Vec<_> = locks.of(name.as_bytes()).into_iter().map(|lock| lock.token).collect();
            assert_eq!(found, expected.iter().map(|n| Token::new([*n; 16])).collect::<Vec<_>>(), "{name}");
        }
    }
}
