//! The content of a large password file, cached between requests: reading megabytes for each guess and searching them
//! line by line would block the loop. Only the last file used is cached.
//!
//! Limits: a file is read once per version (16 MiB take a few milliseconds), and searched as one text.

use super::file_digests::Version;
use super::open_files::OpenFile;
use crate::sys::{Errno, file};
use std::rc::Rc;

/// Maximum size; a larger password file is a mistake.
const LARGEST: u64 = 16 << 20;

/// The file used last.
#[derive(Default)]
pub struct UserFile {
    last: Option<(Version, Rc<[u8]>)>,
}

impl UserFile {
    /// # Errors
    /// The error of reading; EINVAL if it is too large.
    pub fn content(&mut self, open: &OpenFile) -> Result<Rc<[u8]>, Errno> {
        if let Some(bytes) = open.memory() {
            return Ok(bytes.into());
        }
        let version = Version::of(&open.stat);
        if let Some((_, content)) = self.last.as_ref().filter(|(known, _)| *known == version) {
            return Ok(content.clone());
        }
        self.last = None;
        let Some(fd) = open.fd().filter(|_| open.stat.size <= LARGEST) else { return Err(Errno::EINVAL) };
        let mut bytes = vec![0; open.stat.size as usize];
        let mut len = 0;
        while len < bytes.len() {
            match file::pread(fd, &mut bytes[len..], len as u64)? {
                0 => break,
                n => len += n,
            }
        }
        bytes.truncate(len);
        let content: Rc<[u8]> = bytes.into();
        // If it was being written meanwhile, the next request reads it again.
        if Version::of(&file::fstat(fd)?) == version {
            self.last = Some((version, content.clone()));
        }
        Ok(content)
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
            users.content(&file).expect("readable")
        };
        let first = content(&mut now, &mut users);
        assert!(Rc::ptr_eq(&first, &content(&mut now, &mut users)), "kept");
        text.extend_from_slice(b"bob:two\n");
        scratch.write("users", &text);
        let second = content(&mut now, &mut users);
        assert_eq!((stored(&first, b"bob"), stored(&second, b"bob")), (None, Some(&b"two"[..])));
    }
}
