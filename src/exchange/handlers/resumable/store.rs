//! The directory of unfinished uploads: two files for each, `ID.part` with the bytes that have arrived and `ID.state`
//! with the [`UploadState`]. While a process waits for another to release an upload, there is also `ID.ask`, and where
//! locks end at a mount `ID.own` while one writes to it, and `ID.to-NUMBER` while its bytes are copied into a new file
//! ([`super::takeover`]).
//!
//! Locks are flock's, on the bytes' file: a request that reads its size, cuts it or writes to it has that lock, and
//! has made sure that the file still has its name.
//!
//! Invariant: a record is replaced as a whole or not at all. It is written after the bytes' file exists and removed
//! before that is: bytes without a record belong to no upload. A record without bytes is that of an upload whose file
//! got its name; in a directory that the configuration names it stays until it expires.

use super::locks;
use super::state::{self, MARKS_AT, UploadState};
use crate::io::open;
use crate::services::resumable::{Claim, MovedFiles, UploadId};
use crate::services::syncs::{Sync, Syncs};
use crate::services::temp_names::Left;
use crate::sys::file::{
    self, FileKind, Follow, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, Rename,
    Stat, Unlink,
};
use crate::sys::{Errno, random};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Larger than any record: its URI, path and metadata came in one request head, and escapes make them at most three
/// times as long.
const LARGEST: usize = 512 << 10;

/// Attempts at a file whose name another file gets at that moment. (There may be file systems whose numbers of inodes
/// change.)
const TRIES: u32 = 3;

const PART: &str = "part";
const STATE: &str = "state";
const NEW: &str = "new";
/// An empty file: another process wants the upload.
const ASK: &str = "ask";
/// The claim of the process that writes to it, where locks end at the mount.
const OWN: &str = "own";
/// The beginning for a new file with its bytes; a number follows, since two processes may make one.
const TO: &str = "to-";

/// The directory, opened, and the area that it must stay beneath.
#[derive(Clone)]
pub struct Dir {
    fd: Rc<OwnedFd>,
    /// The directory's parent, with a final slash; empty if the configuration names the directory.
    area: Rc<[u8]>,
}

/// The meaning of a name in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `ID.part`: the bytes that have arrived.
    Part(UploadId),
    /// `ID.state`: the record.
    State(UploadId),
    /// A record that was not finished.
    New(UploadId),
    /// `ID.ask`: another process wants the upload.
    Ask(UploadId),
    /// `ID.own`: a process writes to it.
    Own(UploadId),
    /// `ID.to-NUMBER`: its bytes are copied into it.
    To(UploadId, u64),
}

impl Entry {
    /// None: it is none of these, and is left alone.
    pub fn of(name: &[u8]) -> Option<Entry> {
        let (id, kind) = name.split_at_checked(32)?;
        let id = UploadId::parse(id)?;
        match kind {
            b".part" => Some(Entry::Part(id)),
            b".state" => Some(Entry::State(id)),
            b".new" => Some(Entry::New(id)),
            b".ask" => Some(Entry::Ask(id)),
            b".own" => Some(Entry::Own(id)),
            _ => {
                let number = kind.strip_prefix(b".")?.strip_prefix(TO.as_bytes())?;
                let number = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
                Some(Entry::To(id, number)).filter(|entry| entry.name().to_bytes().ends_with(kind))
            }
        }
    }

    /// The name in the directory.
    pub fn name(self) -> CString {
        match self {
            Entry::Part(id) => name(id, PART),
            Entry::State(id) => name(id, STATE),
            Entry::New(id) => name(id, NEW),
            Entry::Ask(id) => name(id, ASK),
            Entry::Own(id) => name(id, OWN),
            Entry::To(id, number) => name(id, &format!("{TO}{number:016x}")),
        }
    }
}

fn name(id: UploadId, kind: &str) -> CString {
    CString::new(format!("{}.{kind}", id.text())).expect("hex digits hold no NUL")
}

/// The name of the file with an upload's bytes.
pub fn part(id: UploadId) -> CString {
    name(id, PART)
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A system call failed.
    Call(Errno),
    /// Another version of this server wrote it.
    Foreign,
}

impl Dir {
    /// The directory at an absolute path, in this area of uploads. ENOENT if there is no unfinished upload.
    pub fn open(path: &[u8], area: &[u8], links: Follow) -> Result<Dir, Errno> {
        let path = file::c_string(path)?;
        let follow = if links == Follow::No { O_NOFOLLOW } else { 0 };
        let fd = file::open_at(None, &path, O_RDONLY | O_DIRECTORY | follow, 0)?;
        Ok(Dir { fd: Rc::new(fd), area: area.into() })
    }

    /// The directory's descriptor.
    pub fn fd(&self) -> &Rc<OwnedFd> {
        &self.fd
    }

    /// A new upload without bytes, open for writing and locked.
    pub fn create(&self, id: UploadId, record: &UploadState) -> Result<OwnedFd, Errno> {
        let fd = open::regular_at(self.fd.as_fd(), &part(id), O_WRONLY | O_CREAT | O_EXCL, 0o600)?;
        let saved = locks::take(fd.as_fd()).and_then(|()| self.save(id, record));
        if let Err(e) = saved {
            self.remove(id);
            return Err(e);
        }
        Ok(fd)
    }

    /// Replaces the record.
    pub fn save(&self, id: UploadId, record: &UploadState) -> Result<(), Errno> {
        let (dir, new) = (Some(self.fd.as_fd()), name(id, NEW));
        let fd = open::regular_at(self.fd.as_fd(), &new, O_WRONLY | O_CREAT | O_TRUNC, 0o600)?;
        let text = record.text();
        let mut rest = &text[..];
        while !rest.is_empty() {
            let wrote = match file::write(fd.as_fd(), rest) {
                Ok(0) => Err(Errno::EIO),
                other => other,
            };
            match wrote {
                Ok(wrote) => rest = rest.get(wrote..).unwrap_or_default(),
                Err(e) => {
                    let _ = file::unlink_at(dir, &new, Unlink::File);
                    return Err(e);
                }
            }
        }
        file::rename_at(dir, &new, dir, &name(id, STATE), Rename::Replace)
    }

    /// Overwrites the part of the record that changes while bytes arrive ([`UploadState::marks`]) in place; a record of
    /// an older version is replaced. Gives the record's file if it is to be written to the disk.
    pub fn mark(&self, id: UploadId, record: &UploadState) -> Result<OwnedFd, Errno> {
        let open = || open::regular_at(self.fd.as_fd(), &name(id, STATE), O_RDWR, 0);
        let (fd, marks) = (open()?, record.marks());
        let mut old = vec![0; marks.len()];
        let read = file::pread(fd.as_fd(), &mut old, MARKS_AT)?;
        if read < marks.len() || old.get(..6) != marks.as_bytes().get(..6) {
            self.save(id, record)?;
            return open();
        }
        match file::pwrite(fd.as_fd(), marks.as_bytes(), MARKS_AT)? {
            wrote if wrote == marks.len() => Ok(fd),
            _ => Err(Errno::EIO),
        }
    }

    /// None: there is no such upload.
    pub fn load(&self, id: UploadId) -> Result<Option<UploadState>, Unread> {
        let fd = match open::regular_at(self.fd.as_fd(), &name(id, STATE), O_RDONLY, 0) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(Unread::Call(e)),
        };
        let mut text = Vec::with_capacity(4096);
        loop {
            text.reserve(4096);
            let read = file::read_into(fd.as_fd(), &mut text, LARGEST).map_err(Unread::Call)?;
            if read == 0 || text.len() > LARGEST {
                let Some(mut record) = UploadState::parse(&text) else {
                    return if state::is_foreign(&text) { Err(Unread::Foreign) } else { Ok(None) };
                };
                record.relocate(&self.area);
                return Ok(Some(record));
            }
        }
    }

    /// There is a record, whatever its content.
    pub fn is_known(&self, id: UploadId) -> bool {
        self.stat_record(id).is_ok()
    }

    /// The state of the bytes' file. None: it has got its name.
    pub fn stat(&self, id: UploadId) -> Result<Option<Stat>, Errno> {
        match file::stat_at(Some(self.fd.as_fd()), &part(id), Follow::No) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The record's file.
    pub fn stat_record(&self, id: UploadId) -> Result<Stat, Errno> {
        file::stat_at(Some(self.fd.as_fd()), &name(id, STATE), Follow::No)
    }

    /// Whether the file of an upload without bytes got its name. A process that died in between, or one of an older
    /// version, has not noted it: the file is there then, and has changed since its record was written (the rename
    /// counts). Another file of that length, which the upload was to replace, has not.
    pub fn is_stored(&self, id: UploadId, record: &UploadState) -> bool {
        let Ok(noted) = self.stat_record(id) else { return record.ended };
        let in_it = |slash: &[u8]| [&record.path, slash, &record.below, &record.name].concat();
        let paths = [record.path.clone(), in_it(b""), in_it(b"/")];
        let is_whole = |path: Vec<u8>| {
            let stat = CString::new(path).ok().and_then(|path| file::stat_at(None, &path, Follow::No).ok());
            stat.is_some_and(|stat| {
                stat.kind == FileKind::Regular && Some(stat.size) == record.length && stat.ctime >= noted.mtime
            })
        };
        record.ended || paths.into_iter().any(is_whole)
    }

    /// Begins to write to the disk what shows that the upload exists: its record and the names.
    pub fn sync(&self, id: UploadId, syncs: &mut Syncs) -> Result<Vec<Sync>, Errno> {
        let record = open::regular_at(self.fd.as_fd(), &name(id, STATE), O_RDONLY, 0)?;
        let mut begun = vec![syncs.begin(record.as_fd())];
        begun.extend(syncs.begin_names([&self.fd])?);
        Ok(begun)
    }

    /// Opens the bytes' file for writing, and locks it: EAGAIN if another process writes to it. None: it has got its
    /// name, even while the lock was waited for.
    pub fn open_part(&self, id: UploadId) -> Result<Option<OwnedFd>, Errno> {
        let mut opened = Ok(None);
        for _ in 0..TRIES {
            let fd = match open::regular_at(self.fd.as_fd(), &part(id), O_WRONLY, 0) {
                Err(Errno::ENOENT) => return Ok(None),
                fd => fd?,
            };
            locks::take(fd.as_fd())?;
            let is_current = file::has_name(fd.as_fd(), Some(self.fd.as_fd()), &part(id), Follow::No)?;
            opened = Ok(if is_current || self.stat(id)?.is_some() { Some(fd) } else { None });
            if is_current {
                break;
            }
        }
        opened
    }

    /// The bytes' file, locked as `old`, and a new one for its bytes ([`crate::services::resumable::Moving`]).
    pub fn begin_move(&self, id: UploadId, old: OwnedFd) -> Result<MovedFiles, Errno> {
        // Of processes that were killed, or stopped, while they copied.
        self.remove_copies(id);
        let new = Entry::To(id, random::number()?).name();
        let source = self.read_part(id)?;
        let fd = open::regular_at(self.fd.as_fd(), &new, O_WRONLY | O_CREAT | O_EXCL, 0o600)?;
        if let Err(e) = locks::take(fd.as_fd()) {
            let _ = file::unlink_at(Some(self.fd.as_fd()), &new, Unlink::File);
            return Err(e);
        }
        Ok(MovedFiles { dir: self.fd.clone(), old: (old, source), new: (fd, new), name: part(id) })
    }

    /// Removes the files that its bytes were to be copied into, for the process that has its lock, or where it has
    /// ended.
    pub fn remove_copies(&self, id: UploadId) {
        let dir = Some(self.fd.as_fd());
        let Ok(fd) = file::open_at(dir, c".", O_RDONLY | O_DIRECTORY, 0) else { return };
        let mut list = file::read_dir(fd);
        while list.fill().is_ok_and(|is_more| is_more) {
            for entry in list.entries() {
                if matches!(Entry::of(entry.name.to_bytes()), Some(Entry::To(of, _)) if of == id) {
                    let _ = file::unlink_at(dir, entry.name, Unlink::File);
                }
            }
        }
    }

    /// [`Dir::open_part`] where the file system is read-only: nothing can be written until it no longer is.
    pub fn open_part_read_only(&self, id: UploadId) -> Result<OwnedFd, Errno> {
        let fd = self.read_part(id)?;
        match locks::take(fd.as_fd()) {
            // NFS locks only what is open for writing.
            Ok(()) | Err(Errno::EBADF) => Ok(fd),
            Err(e) => Err(e),
        }
    }

    /// Asks the process that writes to the upload to release it.
    pub fn ask(&self, id: UploadId) -> Result<(), Errno> {
        open::regular_at(self.fd.as_fd(), &name(id, ASK), O_WRONLY | O_CREAT, 0o600).map(drop)
    }

    /// Another process asks for the upload.
    pub fn is_asked(&self, id: UploadId) -> bool {
        file::stat_at(Some(self.fd.as_fd()), &name(id, ASK), Follow::No).is_ok()
    }

    /// The upload is ours, or no longer waited for.
    pub fn unask(&self, id: UploadId) {
        let _ = file::unlink_at(Some(self.fd.as_fd()), &name(id, ASK), Unlink::File);
    }

    /// Claims the upload for a process with this mount ([`locks::reach`]).
    ///
    /// # Errors
    /// EEXIST: another one has it.
    pub fn claim(&self, id: UploadId, mount: &[u8]) -> Result<Claim, Errno> {
        Claim::make(&self.fd, name(id, OWN), mount)
    }

    /// A process with a claim writes to the upload, or has left that behind.
    pub fn has_claim(&self, id: UploadId) -> bool {
        file::stat_at(Some(self.fd.as_fd()), &name(id, OWN), Follow::No).is_ok()
    }

    /// What the claim of the process that has it says.
    pub fn claimed(&self, id: UploadId) -> Result<Option<Vec<u8>>, Errno> {
        Claim::read(&self.fd, &name(id, OWN))
    }

    /// Removes a claim that was left behind.
    pub fn unclaim(&self, id: UploadId, text: &[u8]) -> Result<(), Errno> {
        Claim::clear(&self.fd, &name(id, OWN), text)
    }

    /// Opens the bytes' file while another request writes to it.
    pub fn read_part(&self, id: UploadId) -> Result<OwnedFd, Errno> {
        open::regular_at(self.fd.as_fd(), &part(id), O_RDONLY, 0)
    }

    /// Removes all its files; what cannot be removed is left to the next sweep.
    pub fn remove(&self, id: UploadId) {
        self.forget(id);
        let _ = file::unlink_at(Some(self.fd.as_fd()), &part(id), Unlink::File);
    }

    /// As [`Dir::remove`], beside other requests; then the directory, if it is `own` and empty.
    pub fn remove_later(&self, id: UploadId, left: &Left, own: Option<CString>) {
        left.add_files(&self.fd, [name(id, STATE), name(id, NEW), name(id, ASK), name(id, OWN), part(id)], own);
    }

    /// Removes the record; the bytes have their name.
    pub fn forget(&self, id: UploadId) {
        let dir = Some(self.fd.as_fd());
        let _ = file::unlink_at(dir, &name(id, STATE), Unlink::File);
        let _ = file::unlink_at(dir, &name(id, NEW), Unlink::File);
        let _ = file::unlink_at(dir, &name(id, OWN), Unlink::File);
        self.unask(id);
    }
}
