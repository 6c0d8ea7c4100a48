//! The 207 of a PROPFIND, made while it is sent: the resource, then what is in it, an entry at a time.
//!
//! Invariant: memory holds one batch of names, whatever the directory has; a piece looks at a bounded number of
//! entries.

mod item;
mod props;

pub use item::{Item, Property, Shape, href, lock_discovery};
pub use props::{choose, is_ours, propstat};

use super::archive::walk::is_out_of_reach;
use crate::http::escape::escape_component;
use crate::services::dav_locks::{EntryLocks, Lock};
use crate::services::temp_names;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, ReadDir, Stat};
use crate::util::{bytes, subpaths};
use std::ffi::{CStr, CString};

/// The media type of a 207 (RFC 4918 §8.2).
pub const CONTENT_TYPE: &str = "application/xml; charset=utf-8";
/// The beginning of a 207.
pub const HEAD: &[u8] = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
/// The end of a 207.
pub const TAIL: &[u8] = b"</D:multistatus>\n";
/// Bytes of a piece, about; and entries looked at for it at most.
const PIECE: usize = 32 << 10;
const ENTRIES: usize = 256;

/// The body of a 207 while it is made.
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

    /// All has been written.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next piece, of about `most` bytes, at the end of `out`.
    ///
    /// # Errors
    /// The directory cannot be read on.
    pub fn fill(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Errno> {
        if let Some((name, stat, locks)) = self.itself.take() {
            out.extend_from_slice(HEAD);
            let item = Item { href: &self.href, name: &name, stat: &stat, locks: &locks };
            props::response(&self.shape, &item, out);
        }
        let full = out.len() + most.min(PIECE);
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
                !bytes::has_control(name) && !temp_names::is_hidden(name) && !subpaths::contains(hidden, b"", name)
            };
            self.batch.extend(dir.entries().map(|entry| entry.name).filter(|name| is_shown(name)).map(CStr::to_owned));
        }
        Ok(self.batch.pop())
    }

    /// Entries that vanish meanwhile, or that the client may not see, are left out. Clients take entries missing from a
    /// complete response for deleted, so an entry that exists and cannot be examined gets a status of its own.
    fn entry(&mut self, name: &CStr, out: &mut Vec<u8>) {
        let Some(dir) = &self.dir else { return };
        let mut own = self.href.clone();
        escape_component(name.to_bytes(), &mut own);
        let follow = if self.shape.follow { Follow::Yes } else { Follow::No };
        let stat = match file::stat_at(Some(dir.dir()), name, follow) {
            Ok(stat) => stat,
            Err(e) if is_out_of_reach(e) => return,
            Err(_) => {
                out.extend_from_slice(b"<D:response>");
                href(&own, out);
                out.extend_from_slice(b"<D:status>HTTP/1.1 500 Internal Server Error</D:status></D:response>\n");
                return;
            }
        };
        if !matches!(stat.kind, FileKind::Regular | FileKind::Dir) {
            return;
        }
        if stat.kind == FileKind::Dir {
            own.push(b'/');
        }
        let name = name.to_bytes();
        let locks = self.locks.of(name);
        props::response(&self.shape, &Item { href: &own, name, stat: &stat, locks: &locks }, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::files::Files;
    use crate::sys::scratch::Scratch;
    use std::os::fd::AsFd;
    use std::rc::Rc;

    /// A mail box on a network file system that was gone made the whole folder's PROPFIND fail.
    #[test]
    fn an_entry_with_a_lasting_fault_has_a_status_of_its_own_in_a_207() {
        let scratch = Scratch::new();
        let shape = Shape {
            properties: Vec::new(),
            names_only: false,
            tells_missing: false,
            files: Rc::new(Files::default()),
            etag: true,
            locks: false,
            follow: false,
            hidden: Vec::new(),
            room: None,
        };
        let stat = file::fstat(scratch.fd().as_fd()).expect("it is there");
        let dir = Some(file::read_dir(scratch.fd()));
        let mut answer =
            Multistatus::new(shape, b"/a/".to_vec(), (b"a".to_vec(), stat, Vec::new()), dir, EntryLocks::default());
        // The kernel looks at no name of 300 bytes; the other one has gone.
        answer.batch = vec![c"gone".to_owned(), CString::new(vec![b'x'; 300]).expect("no NUL")];
        let mut out = Vec::new();
        while !answer.is_ended() {
            answer.fill(&mut out, PIECE).expect("it goes on");
        }
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("<D:response>").count(), 2, "{text}");
        assert!(text.contains(&format!("/a/{}</D:href><D:status>HTTP/1.1 500 ", "x".repeat(300))), "{text}");
        assert!(text.ends_with("</D:multistatus>\n"));
    }
}
