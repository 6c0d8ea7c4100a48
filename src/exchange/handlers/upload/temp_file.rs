//! A file that is being written: in memory while it is small, then without a name in its directory, so that it does
//! not appear before it is complete and dropping it leaves nothing.

use super::digest::Digests;
use crate::http::etag::ETag;
use crate::io::open;
use crate::services::temp_names::{Left, TempNames};
use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, O_TMPFILE, Rename, Stat, Unlink};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Bytes after which the kernel is asked to start writing, so that dirty pages never add up to one long stall.
const WRITE_BACK: u64 = 8 << 20;
/// Most bytes that are read back at once: some milliseconds.
const READ_BACK: u64 = 4 << 20;

/// Which of an upload's directories: the request's own, or the folder of this index.
pub type Which = Option<usize>;
/// What is known of files by their directories and names.
pub type ByName<T> = BTreeMap<(Which, Vec<u8>), T>;

/// One file of an upload, from its first byte until it has a name.
pub struct Part {
    content: Content,
    /// Its temporary name, if it has one.
    temporary: Option<Temporary>,
    mode: u32,
    /// Bytes so far, and how many of them are being written to the disk.
    size: u64,
    flushed: u64,
    /// Its future name.
    pub name: Vec<u8>,
    /// The media type it was sent with, where it may get another name than its own.
    pub kind: Vec<u8>,
    /// The folder below the request's directory that it goes into; and that folder, once it exists.
    pub folder: Which,
    /// None: the request's own directory, or a folder that does not exist yet.
    pub home: Option<Rc<OwnedFd>>,
    /// It replaces no file: the location of its name lets no upload do so.
    pub never_replaces: bool,
    /// The digests announced or wanted for this file alone.
    pub digests: Digests,
    /// It had to be copied, and is another file than at first.
    copied: bool,
    /// It has the modification time that the client gave it: it was looked at after that was set.
    pub is_dated: bool,
    /// upload_sync: its content is on the disk before it gets a name, and the name can be taken back.
    pub durable: bool,
    /// The name that it got.
    given: Option<Given>,
    /// The version that it had when it got its name.
    pub etag: Option<ETag>,
    /// The name that another request gave it: it gets that back if it loses the one that it got.
    origin: Option<(Rc<OwnedFd>, CString)>,
}

/// What a file's name was before, and how to restore that.
enum Given {
    Free(CString),
    /// The old file has the new one's hidden name.
    Exchanged(CString),
    /// The old file is gone, unless it got a second name before: then the name can be given back to it.
    Replaced(Option<(CString, Temporary)>),
}

enum Content {
    /// In memory, from an offset on: a small file is made and named in one go, in the cheapest way.
    Held(Vec<u8>, usize),
    File(OwnedFd),
}

/// How a file is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Birth {
    /// Without a name: nothing stays, even if the process dies.
    Nameless,
    /// Under a hidden name that is then renamed: 5 µs cheaper than linking a nameless file. For files that replace
    /// another one at once.
    Hidden,
}

/// A hidden name, removed when it is dropped unless it no longer exists.
struct Temporary {
    dir: Rc<OwnedFd>,
    name: CString,
    gone: bool,
    /// See [`Part::flush`].
    may_fail_at_close: bool,
    left: Left,
}

impl Temporary {
    fn new(dir: &Rc<OwnedFd>, name: CString, left: Left) -> Temporary {
        Temporary { dir: dir.clone(), name, gone: false, may_fail_at_close: true, left }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let goes = || file::unlink_at(Some(self.dir.as_fd()), &self.name, Unlink::File);
        if !self.gone && !matches!(goes(), Ok(()) | Err(Errno::ENOENT)) {
            self.left.add_file((self.dir.clone(), std::mem::take(&mut self.name)));
        }
    }
}

impl Part {
    /// An empty file with the future name `name`, in memory, with room for this many bytes.
    pub fn held(name: Vec<u8>, mode: u32, room: usize) -> Part {
        Part {
            content: Content::Held(Vec::with_capacity(room), 0),
            temporary: None,
            mode,
            size: 0,
            flushed: 0,
            name,
            kind: Vec::new(),
            folder: None,
            home: None,
            never_replaces: false,
            digests: Digests::default(),
            copied: false,
            is_dated: false,
            durable: false,
            given: None,
            etag: None,
            origin: None,
        }
    }

    /// The file `hidden` of `dir`, written by other requests, with the future name `name`. It is removed when this is
    /// dropped, unless [`Part::forget_hidden_name`] was called.
    pub fn adopt(dir: &Rc<OwnedFd>, hidden: CString, name: Vec<u8>, mode: u32, left: Left) -> Result<Part, Errno> {
        let fd = open::regular_at(dir.as_fd(), &hidden, O_RDWR, 0)?;
        let size = file::fstat(fd.as_fd())?.size;
        let origin = Some((dir.clone(), hidden.clone()));
        let temporary = Some(Temporary::new(dir, hidden, left));
        Ok(Part { content: Content::File(fd), temporary, size, flushed: size, origin, ..Part::held(name, mode, 0) })
    }

    /// One of many: it is closed, and its hidden name removed, in a slice of a turn.
    pub fn close_later(mut self, left: &Left) {
        if let Some(temporary) = &mut self.temporary
            && !temporary.gone
        {
            temporary.gone = true;
            left.add_file((temporary.dir.clone(), std::mem::take(&mut temporary.name)));
        }
        if let Some(Given::Replaced(Some((_, old)))) = &mut self.given
            && !old.gone
        {
            old.gone = true;
            left.add_file((old.dir.clone(), std::mem::take(&mut old.name)));
        }
        if let Content::File(fd) = self.content {
            left.close(Rc::new(fd));
        }
    }

    /// The hidden name is no longer this part's to remove: it stays when the part is dropped.
    pub fn forget_hidden_name(&mut self) {
        self.keep();
    }

    /// Turns what is in memory into a file in `dir`. Gives the buffer back that it was in.
    pub fn move_to_file(
        &mut self,
        dir: &Rc<OwnedFd>,
        temp_names: &mut TempNames,
        birth: Birth,
    ) -> Result<Vec<u8>, Errno> {
        let Content::Held(bytes, from) = &mut self.content else { return Ok(Vec::new()) };
        let (bytes, from) = (std::mem::take(bytes), std::mem::take(from));
        let nameless = match birth {
            Birth::Nameless => file::open_at(Some(dir.as_fd()), c".", O_TMPFILE | O_RDWR, self.mode),
            Birth::Hidden => Err(Errno::EOPNOTSUPP),
        };
        let fd = match nameless {
            Ok(fd) => fd,
            // The file system cannot (NFS, vfat, some of FUSE's), whatever it says of it, or the kernel does not know
            // the flag. What else is wrong is wrong with a name as well.
            Err(_) => {
                let name = temp_names.hidden(dir);
                let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
                let fd = file::open_at(Some(dir.as_fd()), &name, flags, self.mode)?;
                let mut temporary = Temporary::new(dir, name, temp_names.left());
                temporary.may_fail_at_close = temp_names.may_fail_at_close(dir);
                self.temporary = Some(temporary);
                fd
            }
        };
        self.content = Content::File(fd);
        self.append(bytes.get(from..).unwrap_or_default())?;
        Ok(bytes)
    }

    /// What arrives is held in this buffer, if it is held and nothing has arrived: to allocate one for each small file,
    /// and to free it, took a fortieth of what an upload costs outside of the kernel.
    pub fn lend(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if let Content::Held(held, _) = &mut self.content
            && held.capacity() == 0
        {
            *held = buffer();
        }
    }

    /// Takes all of the file where it lies, from `at` on in `input`, in exchange for an empty buffer: to copy 4 KiB
    /// took 400 instructions. False: something has arrived before, or it is on the disk.
    pub fn take_whole(&mut self, input: &mut Vec<u8>, at: usize, empty: impl FnOnce() -> Vec<u8>) -> bool {
        if !matches!(&self.content, Content::Held(held, _) if held.is_empty()) {
            return false;
        }
        let whole = std::mem::replace(input, empty());
        let bytes = whole.get(at..).unwrap_or_default();
        self.digests.update(bytes);
        self.size += bytes.len() as u64;
        self.content = Content::Held(whole, at);
        true
    }

    /// Makes sure that everything was written, before the file gets a name: file systems without nameless files
    /// (network ones, FUSE) report a failed write only at close. (For a durable file fsync reports it; where the write
    /// itself does, two system calls are saved.)
    pub fn flush(&self) -> Result<(), Errno> {
        let may_fail = self.temporary.as_ref().is_some_and(|temporary| temporary.may_fail_at_close);
        match self.fd() {
            Some(fd) if may_fail && !self.durable => file::flush(fd),
            _ => Ok(()),
        }
    }

    /// None while the file is in memory.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.content {
            Content::Held(..) => None,
            Content::File(fd) => Some(fd.as_fd()),
        }
    }

    /// Its state, after setting the mode that the configuration asks for: neither the umask nor an ACL of the
    /// directory changes that.
    pub fn stat(&self) -> Result<Stat, Errno> {
        let Some(fd) = self.fd() else { return Err(Errno::EBADF) };
        let stat = file::fstat(fd)?;
        if stat.mode != self.mode {
            match file::chmod_fd(fd, self.mode) {
                // A file system without such modes (vfat, some mounts of FUSE's) still stores the file.
                Err(e) if file::is_missing(e) => {}
                other => other?,
            }
        }
        Ok(stat)
    }

    /// Its content went to another file than the first, whose facts do not hold.
    pub fn was_copied(&self) -> bool {
        self.copied
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file is in memory, and may stay there with `more` bytes in at most `most`.
    pub fn holds(&self, more: usize, most: usize) -> bool {
        matches!(&self.content, Content::Held(bytes, from) if bytes.len() - from + more <= most)
    }

    /// Appends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.digests.update(bytes);
        match &mut self.content {
            Content::Held(held, _) => held.extend_from_slice(bytes),
            Content::File(_) => self.append(bytes)?,
        }
        self.wrote(bytes.len() as u64);
        Ok(())
    }

    fn append(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        let Some(fd) = self.fd() else { return Err(Errno::EBADF) };
        while !bytes.is_empty() {
            let wrote = file::write(fd, bytes)?;
            bytes = bytes.get(wrote..).unwrap_or_default();
            if wrote == 0 {
                return Err(Errno::EIO);
            }
        }
        Ok(())
    }

    /// Hashes what was written, if that is little: the loop waits for it. None: it is too much, or cannot be read.
    pub fn hash_again(&self, digests: &mut Digests) -> Option<()> {
        let fd = match &self.content {
            Content::Held(bytes, from) => {
                digests.update(bytes.get(*from..).unwrap_or_default());
                return Some(());
            }
            Content::File(_) if self.size > READ_BACK => return None,
            Content::File(fd) => fd.as_fd(),
        };
        let mut block = Vec::with_capacity(64 << 10);
        let mut at = 0;
        while at < self.size {
            block.clear();
            let most = block.capacity();
            let read = file::pread_into(fd, &mut block, most, at).ok().filter(|read| *read > 0)?;
            digests.update(&block);
            at += read as u64;
        }
        Some(())
    }

    /// `n` bytes were appended, here or by splice.
    pub fn wrote(&mut self, n: u64) {
        self.size += n;
        let due = self.size - self.flushed;
        if due >= WRITE_BACK
            && let Some(fd) = self.fd()
        {
            // If the file system cannot, nothing is lost.
            let _ = file::sync_range(fd, self.flushed, due);
            self.flushed = self.size;
        }
    }

    /// Gives the file a free name; EEXIST if it is taken.
    pub fn link(&mut self, dir: &Rc<OwnedFd>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        if self.temporary.is_none() {
            match file::link_fd(self.fd().ok_or(Errno::EBADF)?, Some(dir.as_fd()), name) {
                Err(e) if file::is_no_link(e) => self.copy_to_hidden(dir, temp_names)?,
                Ok(()) => {
                    self.given = Some(Given::Free(name.to_owned()));
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        self.rename(dir, name, Rename::NoReplace, temp_names)?;
        self.keep();
        self.given = Some(Given::Free(name.to_owned()));
        Ok(())
    }

    /// A file without a name that cannot get one, since hard links are not possible, is written once more, under a
    /// hidden name. The loop waits for that. File systems without hard links have no nameless files either, so this
    /// happens only where a filter of system calls forbids link, or a quota of projects.
    fn copy_to_hidden(&mut self, dir: &Rc<OwnedFd>, temp_names: &mut TempNames) -> Result<(), Errno> {
        let Content::File(old) = &self.content else { return Err(Errno::EBADF) };
        let name = temp_names.hidden(dir);
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
        let new = file::open_at(Some(dir.as_fd()), &name, flags, self.mode)?;
        self.temporary = Some(Temporary::new(dir, name, temp_names.left()));
        let mut block = Vec::with_capacity(256 << 10);
        let mut at = 0;
        loop {
            block.clear();
            let most = block.capacity();
            let read = file::pread_into(old.as_fd(), &mut block, most, at)?;
            if read == 0 {
                break;
            }
            at += read as u64;
            file::write_all(new.as_fd(), &block)?;
        }
        let _ = file::set_mtime(new.as_fd(), file::fstat(old.as_fd())?.mtime);
        if self.durable {
            file::fsync(new.as_fd())?;
        }
        self.content = Content::File(new);
        self.copied = true;
        self.stat().map(drop)
    }

    /// Puts the file under a name that may be taken, in one step: readers see the old file or the new one.
    pub fn replace(&mut self, dir: &Rc<OwnedFd>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        // Without a journal a hidden name could stay for ever, should the process be killed meanwhile.
        let old = if self.durable && temp_names.is_kept() { keep_old(dir, name, temp_names) } else { None };
        self.rename(dir, name, Rename::Replace, temp_names)?;
        self.keep();
        self.given = Some(Given::Replaced(old.map(|old| (name.to_owned(), old))));
        Ok(())
    }

    /// [`Part::replace`] in a way that can be taken back: the old file keeps a hidden name until this part is
    /// dropped. ENOENT if nothing had the name, EINVAL if the file system cannot.
    pub fn exchange(&mut self, dir: &Rc<OwnedFd>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        self.rename(dir, name, Rename::Exchange, temp_names)?;
        self.given = Some(Given::Exchanged(name.to_owned()));
        Ok(())
    }

    /// The name that it got was free before.
    pub fn is_new(&self) -> bool {
        matches!(self.given, Some(Given::Free(_)))
    }

    /// Gives the name in `dir` back to what had it before. False: that was impossible, or another file has the name
    /// by now.
    pub fn take_back(&mut self, dir: &Rc<OwnedFd>, temp_names: &mut TempNames) -> bool {
        let (Some(given), Some(fd)) = (self.given.take(), self.fd()) else { return false };
        let (Given::Free(name) | Given::Exchanged(name) | Given::Replaced(Some((name, _)))) = &given else {
            return false;
        };
        if !file::has_name(fd, Some(dir.as_fd()), name, Follow::No).unwrap_or(false) {
            return false;
        }
        match given {
            Given::Free(name) => self.unname(dir, &name, temp_names).is_ok(),
            Given::Exchanged(name) => self.rename(dir, &name, Rename::Exchange, temp_names).is_ok(),
            Given::Replaced(None) => false,
            Given::Replaced(Some((name, mut old))) => {
                if let Some((home, hidden)) = &self.origin {
                    if file::link_at(Some(dir.as_fd()), &name, Some(home.as_fd()), hidden).is_err() {
                        return false;
                    }
                    self.temporary = Some(Temporary::new(home, hidden.clone(), temp_names.left()));
                }
                old.gone =
                    file::rename_at(Some(dir.as_fd()), &old.name, Some(dir.as_fd()), &name, Rename::Replace).is_ok();
                old.gone
            }
        }
    }

    /// Frees a name that was free before.
    fn unname(&mut self, dir: &Rc<OwnedFd>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        let Some((home, hidden)) = &self.origin else {
            return file::unlink_at(Some(dir.as_fd()), name, Unlink::File);
        };
        file::rename_at(Some(dir.as_fd()), name, Some(home.as_fd()), hidden, Rename::NoReplace)?;
        self.temporary = Some(Temporary::new(home, hidden.clone(), temp_names.left()));
        Ok(())
    }

    fn rename(&mut self, dir: &Rc<OwnedFd>, name: &CStr, how: Rename, temp_names: &mut TempNames) -> Result<(), Errno> {
        if self.temporary.is_none() {
            let hidden = temp_names.hidden(dir);
            match file::link_fd(self.fd().ok_or(Errno::EBADF)?, Some(dir.as_fd()), &hidden) {
                Ok(()) => self.temporary = Some(Temporary::new(dir, hidden, temp_names.left())),
                Err(e) if file::is_no_link(e) => self.copy_to_hidden(dir, temp_names)?,
                Err(e) => return Err(e),
            }
        }
        let Some(temporary) = &self.temporary else { return Err(Errno::EINVAL) };
        file::rename_at(Some(temporary.dir.as_fd()), &temporary.name, Some(dir.as_fd()), name, how)
    }

    /// Forgets the hidden name without removing it: it no longer exists, or is another's to remove.
    fn keep(&mut self) {
        if let Some(mut temporary) = self.temporary.take() {
            temporary.gone = true;
        }
    }
}

/// A second, hidden name for the file about to be replaced. None: there is none, or it cannot be linked.
fn keep_old(dir: &Rc<OwnedFd>, name: &CStr, temp_names: &mut TempNames) -> Option<Temporary> {
    let hidden = temp_names.hidden(dir);
    file::link_at(Some(dir.as_fd()), name, Some(dir.as_fd()), &hidden).ok()?;
    Some(Temporary::new(dir, hidden, temp_names.left()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn a_whole_file_is_written_from_the_buffer_it_came_in_and_what_comes_later_is_not_put_before_it() {
        let (scratch, mut names) = (Scratch::new(), TempNames::default());
        let dir = scratch.dir();
        let mut input = Vec::with_capacity(64);
        input.extend_from_slice(b"PUT / HTTP/1.1 content");
        let lay_at = input.as_ptr();
        let mut part = Part::held(b"x".to_vec(), 0o600, 0);
        assert!(part.take_whole(&mut input, 15, || b"".to_vec()) && input.is_empty());
        assert!(part.size() == 7 && part.holds(3, 10) && !part.holds(4, 10));
        assert!(!part.take_whole(&mut b"more".to_vec(), 0, Vec::new), "something has arrived");
        part.write(b"!").expect("held");
        let buffer = part.move_to_file(&dir, &mut names, Birth::Nameless).expect("moved to a file");
        assert_eq!(buffer.as_ptr(), lay_at, "it is given back");
        assert!(!part.take_whole(&mut b"more".to_vec(), 0, Vec::new), "it is on the disk");
        part.link(&dir, c"x", &mut names).expect("linked");
        assert_eq!(scratch.read("x"), b"content!");
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        for (hidden, birth) in [(false, Birth::Nameless), (true, Birth::Hidden)] {
            let mut temp_names = TempNames::default();
            let mut births = TempNames::default();
            let mut make = |name: &str| {
                let mut part = Part::held(name.into(), 0o640, 0);
                part.write(b"he").expect("held");
                assert!(part.holds(3, 5) && !part.holds(4, 5) && part.fd().is_none());
                part.move_to_file(&dir, &mut births, birth).expect("moved to a file");
                assert!(!part.holds(0, 5) && part.fd().is_some());
                part.write(b"llo").expect("written");
                assert_eq!((part.size(), part.stat().map(|stat| stat.size)), (5, Ok(5)));
                assert_eq!(part.stat().map(|stat| stat.mode), Ok(0o640));
                part
            };
            drop(make("x"));
            assert_eq!(scratch.names(), [""; 0], "dropped, hidden {hidden}");

            let mut part = make("x");
            part.link(&dir, c"x", &mut temp_names).expect("linked");
            drop(part);
            assert_eq!(scratch.names(), ["x"], "linked, hidden {hidden}");
            assert_eq!(scratch.read("x"), b"hello");

            let mut part = make("x");
            assert_eq!(part.link(&dir, c"x", &mut temp_names), Err(Errno::EEXIST));
            drop(part);
            assert_eq!(scratch.names(), ["x"], "refused, hidden {hidden}");

            scratch.write("x", b"old");
            make("x").replace(&dir, c"x", &mut temp_names).expect("replaced");
            assert_eq!((scratch.names(), scratch.read("x")), (vec!["x".into()], b"hello".to_vec()));

            scratch.write("x", b"old");
            let mut part = make("x");
            part.exchange(&dir, c"x", &mut temp_names).expect("exchanged");
            assert_eq!(scratch.read("x"), b"hello");
            part.exchange(&dir, c"x", &mut temp_names).expect("taken back");
            drop(part);
            assert_eq!((scratch.names(), scratch.read("x")), (vec!["x".into()], b"old".to_vec()));

            assert_eq!(make("y").exchange(&dir, c"y", &mut temp_names), Err(Errno::ENOENT));
            assert_eq!(scratch.names(), ["x"], "nothing to exchange, hidden {hidden}");
            scratch.remove("x");
        }
    }
}
