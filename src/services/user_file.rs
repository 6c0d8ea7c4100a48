//! The content of a large password file, cached between requests: reading megabytes for each guess and searching them
//! line by line would block the loop. The last files used are cached.
//!
//! Limits: [`FILES`] files of [`MAX_BYTES`] bytes are cached, so that alternating guesses for several files do not read
//! them again. A file is read once per version, at most [`SLICE`] bytes per millisecond, and searched as one text (16
//! MiB take 2 ms). Reading takes 2 ms; it is sliced because of memory not used before: the kernel clears each page at
//! its first use (16 MiB took 33 ms on a virtual machine).
//!
//! All slices are of one version of the file: a password that was changed must not be valid again. A file that changes
//! while it is read is read again, then in one step.

use super::file_digests::FileVersion;
use super::open_files::OpenFile;
use crate::sys::file::Stat;
use crate::sys::{Errno, file};
use std::collections::VecDeque;
use std::rc::Rc;

/// Maximum size; a larger password file is a mistake.
const LARGEST: u64 = 16 << 20;
/// Maximum number of files that are cached.
const FILES: usize = 4;
/// Maximum size of all of them together.
const MAX_BYTES: usize = 48 << 20;
/// Bytes read at a time.
const SLICE: usize = 1 << 20;
/// Milliseconds for which a file that is being read has precedence over another.
const PRECEDENCE: u64 = 20;

/// The files used last.
#[derive(Default)]
pub struct UserFile {
    /// The most recently used first.
    known: VecDeque<Known>,
    reading: Option<Reading>,
}

struct Known {
    /// Its device and inode.
    file: (u64, u64),
    version: FileVersion,
    content: Rc<Vec<u8>>,
}

/// A file of which a part was read.
struct Reading {
    /// Its device and inode.
    file: (u64, u64),
    /// As it was when reading began.
    version: FileVersion,
    size: usize,
    bytes: Vec<u8>,
    /// When the last slice was read.
    at: u64,
    /// The file changed while it was read in slices: all is read at one time, since it may change again.
    again: bool,
}

impl UserFile {
    /// None: a slice was read; ask again a millisecond later. `now`: the loop's milliseconds; None if it may be
    /// blocked, so that all is read at once.
    ///
    /// # Errors
    /// The error of reading; EINVAL if it is too large.
    pub fn content(&mut self, open: &OpenFile, now: Option<u64>) -> Result<Option<Rc<Vec<u8>>>, Errno> {
        if let Some(bytes) = open.memory() {
            return Ok(Some(Rc::new(bytes.to_vec())));
        }
        let Some(fd) = open.fd() else { return Err(Errno::EINVAL) };
        // As it is now: the open file may be a cached one, and may have been written since the last slice.
        let stat = file::fstat(fd)?;
        let version = FileVersion::of(&stat);
        if let Some(content) = self.find(&version) {
            return Ok(Some(content));
        }
        if stat.size > LARGEST {
            return Err(Errno::EINVAL);
        }
        let Some(mut reading) = self.turn_of(&stat, now) else { return Ok(None) };
        reading.bytes.try_reserve_exact(reading.size.saturating_sub(reading.bytes.len()))?;
        let most = if now.is_some() && !reading.again { SLICE } else { reading.size };
        if !reading.read(most, |into, at| file::pread(fd, into, at))? {
            self.reading = Some(reading);
            return Ok(None);
        }
        let is_whole = FileVersion::of(&file::fstat(fd)?) == reading.version;
        if !is_whole && !reading.again {
            self.reading = Some(Reading { bytes: Vec::new(), ..reading });
            return if now.is_some() { Ok(None) } else { self.content(open, now) };
        }
        let content = Rc::new(reading.bytes);
        // If it was being written once more, the next request reads it again.
        if is_whole {
            self.keep(Known { file: reading.file, version: reading.version, content: content.clone() });
        }
        Ok(Some(content))
    }

    fn find(&mut self, version: &FileVersion) -> Option<Rc<Vec<u8>>> {
        let at = self.known.iter().position(|known| known.version == *version)?;
        self.known.make_contiguous()[..=at].rotate_right(1);
        self.known.front().map(|known| known.content.clone())
    }

    /// Of each file one version is kept.
    fn keep(&mut self, new: Known) {
        self.known.retain(|known| known.file != new.file);
        self.known.push_front(new);
        let mut bytes = 0;
        self.known.truncate(FILES);
        self.known.retain(|known| {
            bytes += known.content.len();
            bytes <= MAX_BYTES
        });
    }

    /// The part of this file read so far, if a slice may be read now.
    fn turn_of(&mut self, stat: &Stat, now: Option<u64>) -> Option<Reading> {
        let (file, at) = ((stat.dev, stat.ino), now.unwrap_or_default());
        if let (Some(reading), Some(now)) = (&self.reading, now) {
            let age = now.saturating_sub(reading.at);
            if age == 0 || age < PRECEDENCE && reading.file != file {
                return None;
            }
        }
        let begun = self.reading.take().filter(|reading| reading.file == file);
        let (version, size) = (FileVersion::of(stat), stat.size as usize);
        // A begun reading whose client has left is continued by another, maybe hours later.
        let again = begun.as_ref().is_some_and(|reading| reading.again || reading.version != version);
        let new = || Reading { file, version, size, bytes: Vec::new(), at, again };
        let reading = begun.filter(|reading| reading.version == version).unwrap_or_else(new);
        Some(Reading { at, again, ..reading })
    }
}

impl Reading {
    /// Whether this was the last slice.
    fn read(
        &mut self,
        most: usize,
        mut pread: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
    ) -> Result<bool, Errno> {
        let end = self.size.min(self.bytes.len() + most);
        while self.bytes.len() < end {
            let from = self.bytes.len();
            self.bytes.resize(end, 0);
            let got = pread(&mut self.bytes[from..], from as u64);
            self.bytes.truncate(from + *got.as_ref().unwrap_or(&0));
            // It has become shorter.
            if got? == 0 {
                return Ok(true);
            }
        }
        Ok(end == self.size)
    }
}

/// The stored password of a user: the second field of the first line with that name. As in nginx, lines that begin with
/// `#` or a carriage return are skipped: a user who is commented out cannot log in as "#NAME".
pub fn stored<'f>(users: &'f [u8], user: &[u8]) -> Option<&'f [u8]> {
    let field = |from: usize| {
        let rest = users.get(from..)?;
        let end = memchr::memchr3(b':', b'\r', b'\n', rest).unwrap_or(rest.len());
        rest.get(..end)
    };
    if user.contains(&b'\n') || user.starts_with(b"#") || user.starts_with(b"\r") {
        return None;
    }
    let name = [user, b":"].concat();
    if users.starts_with(&name) {
        return field(name.len());
    }
    let line = [b"\n", &name[..]].concat();
    field(memchr::memmem::find(users, &line)? + line.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clock::Clock;
    use crate::services::dir_watch::DirWatch;
    use crate::services::open_files::{FileCache, Opened};
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_user_has_the_first_line_of_the_name() {
        let file = b"# users\nann:one:comment\nannabel:two\r\nann:three\n#gone:x\n\rcr:x\nlast:{PLAIN}x";
        for (name, user, expected) in [
            ("a comment ends the password", "ann", Some("one")),
            ("a longer name is another", "annabel", Some("two")),
            ("no newline at the end", "last", Some("{PLAIN}x")),
            ("no such user", "an", None),
            ("a name is of one line", "one:comment\nannabel", None),
            ("the first line", "# users\nann", None),
            ("commented out", "#gone", None),
            ("commented out, by the name alone", "gone", None),
            ("a line that begins with CR", "\rcr", None),
        ] {
            assert_eq!(stored(file, user.as_bytes()), expected.map(str::as_bytes), "{name}");
        }
        assert_eq!(stored(b"ann:one", b"ann"), Some(&b"one"[..]));
        assert_eq!(stored(b"ann:\nbob:x", b"ann"), Some(&b""[..]));
        assert_eq!(stored(b"#ann:one", b"#ann"), None, "the first line is commented out");
    }

    #[test]
    fn a_large_file_is_read_once_a_version() {
        let scratch = Scratch::new();
        let mut text = vec![b'#'; 3 << 20];
        text.extend_from_slice(b"\nann:one\n");
        scratch.write("users", &text);
        let (mut files, mut watch, mut now) = (FileCache::new(1 << 20), DirWatch::default(), Clock::read());
        let mut users = UserFile::default();
        let mut content = |now: &mut Clock, users: &mut UserFile| {
            now.advance_epoch();
            let Ok(Opened::File(file)) = files.open(&scratch.join("users"), now, &mut watch) else { panic!("a file") };
            users.content(&file, None).expect("readable").expect("not in slices")
        };
        let first = content(&mut now, &mut users);
        assert!(Rc::ptr_eq(&first, &content(&mut now, &mut users)), "kept");
        text.extend_from_slice(b"bob:two\n");
        scratch.write("users", &text);
        let second = content(&mut now, &mut users);
        assert_eq!((stored(&first, b"bob"), stored(&second, b"bob")), (None, Some(&b"two"[..])));
    }

    #[test]
    fn a_large_file_is_read_in_slices_while_others_are_served() {
        let scratch = Scratch::new();
        let (mut files, mut watch, now) = (FileCache::new(1 << 20), DirWatch::default(), Clock::read());
        let mut open = |name: &str, size: usize| {
            scratch.write(name, &[&vec![b'#'; size][..], b"\nann:", name.as_bytes(), b"\n"].concat());
            let Ok(Opened::File(file)) = files.open(&scratch.join(name), &now, &mut watch) else { panic!("a file") };
            file
        };
        let (one, other) = (open("one", 3 * SLICE), open("other", SLICE + 1));
        let mut users = UserFile::default();
        let mut ask = |file: &OpenFile, ms: u64| {
            let content = users.content(file, Some(ms)).expect("readable");
            content.map(|content| stored(&content, b"ann").expect("found").to_vec())
        };
        assert_eq!((ask(&one, 1), ask(&one, 1), ask(&other, 1)), (None, None, None), "one slice a millisecond");
        assert_eq!((ask(&one, 2), ask(&other, 3)), (None, None), "the other waits");
        assert_eq!((ask(&one, 3), ask(&other, 4)), (None, None));
        assert_eq!((ask(&other, 5), ask(&one, 5)), (None, Some(b"one".to_vec())), "four slices");
        assert_eq!((ask(&other, 5), ask(&one, 5)), (None, Some(b"one".to_vec())));
        assert_eq!((ask(&other, 6), ask(&other, 7)), (Some(b"other".to_vec()), Some(b"other".to_vec())));
        assert_eq!((ask(&one, 6), ask(&other, 6)), (Some(b"one".to_vec()), Some(b"other".to_vec())), "both are kept");
        let third = open("third", 2 * SLICE);
        let users = &mut UserFile::default();
        let mut ask = |file: &OpenFile, ms: u64| users.content(file, Some(ms)).expect("readable").is_some();
        assert_eq!((ask(&other, 8), ask(&third, 9), ask(&third, 40)), (false, false, false), "it left after a slice");
        assert_eq!((ask(&third, 41), ask(&third, 42), ask(&other, 43)), (false, true, false));
    }

    /// Guesses for two files in turn read 15 MB each time.
    #[test]
    fn large_files_that_are_used_in_turn_are_read_once() {
        let scratch = Scratch::new();
        let (mut files, mut watch, now) = (FileCache::new(1 << 20), DirWatch::default(), Clock::read());
        let mut open = |name: &str| {
            scratch.write(name, &vec![b'#'; SLICE + 1]);
            let Ok(Opened::File(file)) = files.open(&scratch.join(name), &now, &mut watch) else { panic!("a file") };
            file
        };
        let all = ["1", "2", "3", "4", "5"].map(&mut open);
        let mut users = UserFile::default();
        let content =
            |users: &mut UserFile, at: usize| users.content(&all[at], None).expect("readable").expect("not in slices");
        let first: Vec<_> = (0..FILES).map(|at| content(&mut users, at)).collect();
        for at in [0, 1, 0, 1, 3, 2, 0] {
            assert!(Rc::ptr_eq(&first[at], &content(&mut users, at)), "{at}");
        }
        // The one that was used the longest time ago makes room.
        content(&mut users, 4);
        assert!(users.known.len() == FILES && !Rc::ptr_eq(&first[1], &content(&mut users, 1)));
        let file = |n: u64| (0, n);
        let known = |n, len| Known { file: file(n), version: users_version(), content: Rc::new(vec![0; len]) };
        users.keep(known(1, MAX_BYTES));
        users.keep(known(2, 1));
        assert_eq!(users.known.iter().map(|known| known.file).collect::<Vec<_>>(), [file(2)], "by their bytes");
    }

    fn users_version() -> FileVersion {
        FileVersion::of(&file::stat(c"/").expect("it is there"))
    }

    /// The client of the first slice left; the file was then changed in place, and another client asks.
    #[test]
    fn a_removed_user_of_a_file_that_was_read_in_part_is_not_let_in_again() {
        let scratch = Scratch::new();
        let (mut files, mut watch, now) = (FileCache::new(1 << 20), DirWatch::default(), Clock::read());
        let mut write = |users: &str, rest: usize| {
            scratch.write("users", &[users.as_bytes(), &vec![b'#'; rest][..], b"\nlast:x\n"].concat());
            let Ok(Opened::File(file)) = files.open(&scratch.join("users"), &now, &mut watch) else { panic!("a file") };
            file
        };
        let mut users = UserFile::default();
        // The open file is a cached one, with the stat of its opening.
        let file = write("ann:old\nbob:x\n", 3 * SLICE);
        assert!(users.content(&file, Some(1)).expect("readable").is_none(), "one slice");
        write("ann:new\n", 2 * SLICE);
        let first = |users: &mut UserFile, file: &OpenFile| {
            (10..).find_map(|ms| users.content(file, Some(ms)).expect("readable")).expect("all slices")
        };
        let content = first(&mut users, &file);
        let of = |name: &[u8]| stored(&content, name).map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!((of(b"ann"), of(b"bob"), of(b"last")), (Some("new".into()), None, Some("x".into())));
        assert!(Rc::ptr_eq(&content, &first(&mut users, &file)), "kept");
        // Written between the slices each time: it is read at one time in the end.
        write("ann:one\n", 4 * SLICE);
        assert!(users.content(&file, Some(100)).expect("readable").is_none());
        write("ann:two\n", 5 * SLICE);
        let content = users.content(&file, Some(101)).expect("readable").expect("read at one time");
        assert_eq!((stored(&content, b"ann"), content.len()), (Some(&b"two"[..]), 8 + 5 * SLICE + 8));
    }
}
