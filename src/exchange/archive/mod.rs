//! A folder and all below it as one file, made while it is sent: zip or tar.
//!
//! | module | subject |
//! |---|---|
//! | [`walk`] | what is in it, an entry at a time |
//! | [`zip`] | entries without compression, sizes behind the data, zip64 where it is needed |
//! | [`tar`] | ustar headers, pax records for what does not fit |
//!
//! Invariant: a piece reads a bounded number of bytes and entries. Changes to files while they are read never make
//! the archive invalid: a file that became shorter is padded (tar), or its entry has the bytes that were found (zip).
//! One that is there and cannot be opened (EIO, a network file system that is gone) is left out, and named in a note
//! at the end: one such file must not make the whole folder impossible to fetch. One that breaks off while it is sent
//! ends the archive.

mod spool;
mod tar;
pub mod walk;
mod zip;

use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Stat};
pub use spool::Spool;
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use walk::{Member, Walk, WalkStep, is_shortage};

/// Bytes of a file in a piece: what a stored block of deflate holds.
const PIECE: usize = 0xffff;
/// Entries looked at for a piece at most.
const ENTRIES: usize = 64;

/// The last file of an archive from which something is missing.
const NOTE: &[u8] = b"MISSING-FROM-THIS-ARCHIVE.txt";
/// The first line of it.
const NOTE_HEAD: &[u8] = b"These could not be read and are not, or not whole, in this archive:\n";
/// Bytes of it, at most; and its last line if it would be longer.
const MOST_NOTED: usize = 60_000;
const NOTE_CUT: &[u8] = b"... and more\n";

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    /// `application/zip`: [`zip`].
    Zip,
    /// `application/x-tar`: ustar with pax headers where a name or size needs them.
    Tar,
}

impl ArchiveForm {
    /// The media type of the response.
    pub fn content_type(self) -> &'static str {
        match self {
            ArchiveForm::Zip => "application/zip",
            ArchiveForm::Tar => "application/x-tar",
        }
    }

    /// Without its dot, for the name of the download.
    pub fn extension(self) -> &'static str {
        match self {
            ArchiveForm::Zip => "zip",
            ArchiveForm::Tar => "tar",
        }
    }
}

enum Writer {
    Zip(Box<zip::Zip>),
    Tar,
}

/// An archive while it is made and sent: a piece at a time, so memory does not depend on its size.
pub struct Archive {
    walk: Walk,
    writer: Writer,
    /// Paths that are left out, with everything below them.
    refused: HashSet<Vec<u8>>,
    /// Entries that changed after this time (seconds and nanoseconds) may not have been judged: left out.
    judged: Option<(i64, u32)>,
    file: Option<Content>,
    /// The paths of what could not be read, a line each.
    missing: Vec<u8>,
    /// These end in [`NOTE_CUT`].
    is_note_full: bool,
    /// Held where no file is open: the next one takes its place. An archive that was begun when there was room for it
    /// needs no further descriptor, however slowly its client reads.
    place: Option<OwnedFd>,
    ended: bool,
}

/// The file whose content is being read.
struct Content {
    fd: OwnedFd,
    at: u64,
    /// Its size when its entry began.
    size: u64,
}

impl Archive {
    /// `place`: a descriptor that is given up for those of files. `judged`: the time at which `refused` was computed,
    /// if anything may be refused.
    pub fn new(
        (walk, place): (Walk, OwnedFd),
        (form, spool): (ArchiveForm, Spool),
        refused: HashSet<Vec<u8>>,
        judged: Option<(i64, u32)>,
    ) -> Archive {
        let writer = match form {
            ArchiveForm::Zip => Writer::Zip(Box::new(zip::Zip::new(spool))),
            ArchiveForm::Tar => Writer::Tar,
        };
        let (missing, is_note_full, place) = (Vec::new(), false, Some(place));
        Archive { walk, writer, refused, judged, file: None, missing, is_note_full, place, ended: false }
    }

    /// All has been written, or it broke: nothing follows.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Appends the next piece to `out`; of a file, or of what stands at the end, `most` bytes.
    ///
    /// # Errors
    /// The folder itself, or a file whose entry has begun, cannot be read on, memory or descriptors are short, or what
    /// is kept for the end cannot be stored: the archive is cut, so that it does not seem to be whole.
    pub fn fill(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Errno> {
        if let Writer::Zip(zip) = &self.writer
            && let Some(e) = zip.failed()
        {
            return Err(e);
        }
        if self.file.is_some() {
            return self.content(out, most);
        }
        if let Writer::Zip(zip) = &mut self.writer
            && zip.is_closing()
        {
            self.ended = zip.close(out, most);
            return Ok(());
        }
        for _ in 0..ENTRIES {
            match self.walk.step()? {
                WalkStep::On => {}
                WalkStep::Found(found) => {
                    self.entry(&found, out)?;
                    if !out.is_empty() {
                        return Ok(());
                    }
                }
                WalkStep::Unreadable(path) => self.miss(&path),
                WalkStep::End if !self.missing.is_empty() => return self.note(out),
                WalkStep::End => {
                    match &mut self.writer {
                        Writer::Zip(zip) => zip.begin_closing(),
                        Writer::Tar => {
                            tar::end(out);
                            self.ended = true;
                        }
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, found: &Member, out: &mut Vec<u8>) -> Result<(), Errno> {
        let is_dir = found.stat.kind == FileKind::Dir;
        let is_fresh = self.judged.is_some_and(|at| found.stat.ctime > at);
        if is_fresh || self.refused.contains(&found.path) {
            if is_dir {
                self.walk.skip();
            }
            return Ok(());
        }
        let mut stat = found.stat;
        if !is_dir {
            self.place = None;
            let fd = match self.walk.open(&found.path, 0) {
                Ok(Some(fd)) => fd,
                Ok(None) => return Ok(()),
                Err(e) if is_shortage(e) => return Err(e),
                Err(_) => {
                    self.miss(&found.path);
                    return Ok(());
                }
            };
            stat = file::fstat(fd.as_fd())?;
            if stat.kind != FileKind::Regular {
                self.place = Some(fd);
                return Ok(());
            }
            self.file = Some(Content { fd, at: 0, size: stat.size });
        }
        match &mut self.writer {
            Writer::Zip(zip) => zip.begin(&found.path, &stat, out),
            Writer::Tar => tar::begin(&found.path, &stat, out),
        }
        Ok(())
    }

    /// Something could not be read. Names that the client may not see are left out.
    fn miss(&mut self, path: &[u8]) {
        let as_folder = [path.strip_suffix(b"/").unwrap_or(path), b"/"].concat();
        if self.is_note_full || self.refused.contains(path) || self.refused.contains(&as_folder) {
            return;
        }
        self.is_note_full = self.missing.len() + path.len() > MOST_NOTED;
        if self.is_note_full {
            self.missing.extend_from_slice(NOTE_CUT);
            return;
        }
        self.missing.extend_from_slice(path);
        self.missing.push(b'\n');
    }

    /// The entry that names what is missing.
    fn note(&mut self, out: &mut Vec<u8>) -> Result<(), Errno> {
        let text = [NOTE_HEAD, &std::mem::take(&mut self.missing)].concat();
        let folder = file::fstat(self.walk.newest())?;
        let stat = Stat { kind: FileKind::Regular, size: text.len() as u64, mode: 0o644, nlink: 1, ..folder };
        match &mut self.writer {
            Writer::Zip(zip) => {
                zip.begin(NOTE, &stat, out);
                zip.data(&text, out);
                zip.end(out);
            }
            Writer::Tar => {
                tar::begin(NOTE, &stat, out);
                out.extend_from_slice(&text);
                tar::pad(stat.size, out);
            }
        }
        Ok(())
    }

    /// The next bytes of the file.
    fn content(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Errno> {
        let Some(content) = &mut self.file else { return Ok(()) };
        let wanted = (content.size - content.at).min(PIECE.min(most) as u64) as usize;
        let mut bytes = Vec::with_capacity(wanted);
        let read = match wanted {
            0 => 0,
            wanted => file::pread_into(content.fd.as_fd(), &mut bytes, wanted, content.at)?,
        };
        content.at += read as u64;
        let is_over = read == 0 || content.at == content.size;
        match &mut self.writer {
            Writer::Zip(zip) => zip.data(&bytes, out),
            Writer::Tar => {
                out.extend_from_slice(&bytes);
                if read == 0 && content.at < content.size {
                    let filled = (content.size - content.at).min(PIECE as u64);
                    out.resize(out.len() + filled as usize, 0);
                    content.at += filled;
                    if content.at < content.size {
                        return Ok(());
                    }
                }
            }
        }
        if is_over {
            match &mut self.writer {
                Writer::Zip(zip) => zip.end(out),
                Writer::Tar => tar::pad(content.size, out),
            }
            self.place = self.file.take().map(|content| content.fd);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
