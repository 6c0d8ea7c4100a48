//! The record of an unfinished upload, a small file beside its bytes: lines of a word and a value. Text only, no
//! files.
//!
//! Invariant: a record that was cut anywhere, or altered into something that is no record, is rejected.

use crate::http::escape::{escape_component, unescape};
use crate::http::method::Method;
use crate::services::boot::Boot;
use std::io::Write;

/// The first line. Another format gets another number; records with unknown numbers are left to the servers that know
/// them ([`is_foreign`]).
const FIRST: &[u8] = b"webserv-upload 1";
/// How every format begins.
const KIND: &[u8] = b"webserv-upload ";
const LAST: &[u8] = b"end";
/// The second line, see [`UploadState::marks`]; and the widths of its numbers.
const MARKS: &str = "marks ";
const BOOT: usize = 64;
const DIGITS: usize = 18;
/// Where that line begins.
pub const MARKS_AT: u64 = FIRST.len() as u64 + 1;

/// The protocol that an upload was created in; other requests for it must use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// tus 1.0.0.
    Tus,
    /// Resumable Uploads for HTTP.
    Rufh,
}

/// The content of `ID.state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// Its protocol.
    pub dialect: Dialect,
    /// POST or PUT: the method that the finished upload is treated as.
    pub method: Method,
    /// The URI path that created it; other URIs cannot reach it.
    pub uri: Vec<u8>,
    /// Who began it ([`principal`]); other clients cannot reach it. Empty: any client that knows its id may.
    ///
    /// [`principal`]: crate::exchange::handlers::principal
    pub user: Vec<u8>,
    /// The path of that URI.
    pub path: Vec<u8>,
    /// The beginning of that path which contains the state directory, with its slash; empty if the configuration
    /// names that directory.
    pub area: Vec<u8>,
    /// It was created where the area has another path: in another container, or on another machine.
    pub is_moved: bool,
    /// The URI path of the directory that the file goes to.
    pub dir: Vec<u8>,
    /// Directories below that one, from the client's relativePath: `album/1/`.
    pub below: Vec<u8>,
    /// The file's future name.
    pub name: Vec<u8>,
    /// Bytes of the whole; None: not announced yet.
    pub length: Option<u64>,
    /// Milliseconds that it lives after its last byte; 0: for ever.
    pub age: u64,
    /// Bytes from here on belong to a request whose checksum was not compared: they do not count.
    pub unverified: Option<u64>,
    /// upload_sync: bytes that are on the disk; later ones do not count once the machine has been started again.
    pub synced: Option<(Boot, u64)>,
    /// Servers write to it whose locks end at their mounts: each also needs a claim (`ID.own`).
    pub is_claimed: bool,
    /// One of them did not release it and may still write to its file: the bytes have to be copied into a new file
    /// before more are written.
    pub is_contested: bool,
    /// Its file has its name.
    pub ended: bool,
    /// tus: Upload-Concat as it was sent; empty for an ordinary upload.
    pub concat: Vec<u8>,
    /// tus: Upload-Metadata as it was sent.
    pub metadata: Vec<u8>,
    /// Header lines with the preconditions of the creation, each with its CRLF.
    pub conditions: Vec<u8>,
    /// Repr-Digest of the whole, as it was sent.
    pub digest: Vec<u8>,
}

impl UploadState {
    /// The content of the record's file.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let mut line = |word: &str, value: &[u8]| {
            out.extend_from_slice(word.as_bytes());
            out.push(b' ');
            escape_component(value, &mut out);
            out.push(b'\n');
        };
        line("dialect", if self.dialect == Dialect::Tus { b"tus" } else { b"rufh" });
        line("method", self.method.name().as_bytes());
        line("uri", &self.uri);
        line("path", &self.path);
        line("dir", &self.dir);
        line("name", &self.name);
        line("age", self.age.to_string().as_bytes());
        let rest = [
            // Servers that know no users leave records with this line alone.
            ("user", &self.user),
            ("area", &self.area),
            ("below", &self.below),
            ("concat", &self.concat),
            ("metadata", &self.metadata),
            ("conditions", &self.conditions),
            ("digest", &self.digest),
        ];
        if self.is_claimed {
            // Servers that do not know the 2 read it as 1.
            line("claims", if self.is_contested { b"2" } else { b"1" });
        }
        for (word, value) in rest.into_iter().filter(|(_, value)| !value.is_empty()) {
            line(word, value);
        }
        let _ = out.write_all(&[LAST, b"\n"].concat());
        [FIRST, b"\n", self.marks().as_bytes(), b"\n", &out].concat()
    }

    /// The line that changes while bytes arrive. Its length never changes and it is near the beginning, so that it is
    /// overwritten in place: a few bytes of one disk block are old or new, never both.
    pub fn marks(&self) -> String {
        let number = |value: Option<u64>| value.map_or("-".repeat(DIGITS), |value| format!("{value:0DIGITS$}"));
        let (boot, synced) = match self.synced.filter(|_| !self.ended) {
            Some((boot, synced)) => (boot.text(), Some(synced)),
            // Older servers do not read a number without a start of the machine.
            None => ("-".repeat(BOOT), self.length.filter(|_| self.ended)),
        };
        format!("{MARKS}{boot} {} {} {}", number(synced), number(self.unverified), number(self.length))
    }

    /// Reads the line of [`UploadState::marks`], without its word. None: it is invalid.
    fn read_marks(&mut self, text: &[u8]) -> Option<()> {
        let (boot, rest) = text.split_at_checked(BOOT)?;
        let mut words = rest.strip_prefix(b" ")?.split(|b| *b == b' ');
        let mut next = || match words.next()? {
            dashes if dashes.iter().all(|b| *b == b'-') => Some(None),
            digits => number(digits).map(Some),
        };
        let synced = next()?;
        (self.unverified, self.length) = (next()?, next()?);
        self.synced = Boot::parse(boot).zip(synced);
        self.ended = synced.is_some() && self.synced.is_none();
        Some(())
    }

    /// Sets its path as this server sees it, for which the state directory is in `area`.
    pub fn relocate(&mut self, area: &[u8]) {
        if area.is_empty() || self.area.is_empty() || self.area == area {
            return;
        }
        if let Some(rest) = self.path.strip_prefix(&self.area[..]) {
            self.path = [area, rest].concat();
            self.area = area.to_vec();
            self.is_moved = true;
        }
    }

    /// What a record says that has no line.
    pub(super) fn empty() -> UploadState {
        UploadState {
            dialect: Dialect::Tus,
            method: Method::Unknown,
            uri: Vec::new(),
            user: Vec::new(),
            path: Vec::new(),
            area: Vec::new(),
            is_moved: false,
            dir: Vec::new(),
            below: Vec::new(),
            name: Vec::new(),
            length: None,
            age: 0,
            unverified: None,
            synced: None,
            is_claimed: false,
            is_contested: false,
            ended: false,
            concat: Vec::new(),
            metadata: Vec::new(),
            conditions: Vec::new(),
            digest: Vec::new(),
        }
    }

    /// Parses a record. None: it is not one, or not a whole one.
    pub fn parse(text: &[u8]) -> Option<UploadState> {
        let mut record = UploadState::empty();
        let body = text.strip_suffix(b"\n")?.strip_suffix(LAST)?.strip_suffix(b"\n")?;
        let mut lines = body.split(|b| *b == b'\n');
        if lines.next() != Some(FIRST) {
            return None;
        }
        for line in lines {
            let space = memchr::memchr(b' ', line)?;
            let (word, coded) = (&line[..space], &line[space + 1..]);
            let mut value = Vec::with_capacity(coded.len());
            unescape(coded, &mut value);
            match word {
                b"dialect" if value == b"tus" => record.dialect = Dialect::Tus,
                b"dialect" if value == b"rufh" => record.dialect = Dialect::Rufh,
                b"method" => record.method = Method::parse(&value),
                b"uri" => record.uri = value,
                b"user" => record.user = value,
                b"path" => record.path = value,
                b"dir" => record.dir = value,
                b"name" => record.name = value,
                b"age" => record.age = number(&value)?,
                b"marks" => record.read_marks(&value)?,
                // Records of earlier servers do not have that line.
                b"length" => record.length = Some(number(&value)?),
                b"unverified" => record.unverified = Some(number(&value)?),
                b"area" => record.area = value,
                b"claims" => (record.is_claimed, record.is_contested) = (true, value == b"2"),
                b"below" => record.below = value,
                b"concat" => record.concat = value,
                b"metadata" => record.metadata = value,
                b"conditions" => record.conditions = value,
                b"digest" => record.digest = value,
                _ => return None,
            }
        }
        let is_whole = matches!(record.method, Method::Post | Method::Put) && !record.name.is_empty();
        is_whole.then_some(record)
    }
}

/// For text that is no [`UploadState`] here: it is a whole record of another version of this server, with unknown
/// fields.
pub fn is_foreign(text: &[u8]) -> bool {
    text.starts_with(KIND) && text.ends_with(b"\nend\n")
}

/// A whole number that fits a file's size.
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> UploadState {
        UploadState {
            dialect: Dialect::Rufh,
            method: Method::Put,
            uri: b"/up/\xc3\xa9 x".to_vec(),
            user: b"j\xc3\xb6rg\n".to_vec(),
            path: b"/srv/up/\xff\n".to_vec(),
            area: b"/srv/up/".to_vec(),
            is_moved: false,
            dir: b"/up/".to_vec(),
            below: b"album/\xc3\xa9/".to_vec(),
            name: b"\xc3\xa9 x".to_vec(),
            length: Some(12),
            age: 86_400_000,
            unverified: Some(3),
            synced: Boot::parse("1f".repeat(32).as_bytes()).map(|boot| (boot, 7)),
            is_claimed: true,
            is_contested: true,
            ended: false,
            concat: b"final;/up/?webserv-upload=1 /up/".to_vec(),
            metadata: b"filename YQ==,x".to_vec(),
            conditions: b"If-None-Match: *\r\nIf-Match: \"a\"\r\n".to_vec(),
            digest: b"sha-256=:abc=:".to_vec(),
        }
    }

    #[test]
    fn a_record_reads_back() {
        let bare = UploadState {
            dialect: Dialect::Tus,
            method: Method::Post,
            length: None,
            unverified: None,
            synced: None,
            is_claimed: false,
            is_contested: false,
            user: Vec::new(),
            below: Vec::new(),
            concat: Vec::new(),
            metadata: Vec::new(),
            conditions: Vec::new(),
            digest: Vec::new(),
            ..record()
        };
        let ended = UploadState { synced: None, ended: true, ..record() };
        let claimed = UploadState { is_contested: false, ..record() };
        for record in [record(), bare, claimed, ended] {
            assert_eq!(UploadState::parse(&record.text()), Some(record));
        }
    }

    #[test]
    fn an_area_may_have_another_path_elsewhere() {
        let relocated = |made: &str, path: &str, here: &str| {
            let mut record = UploadState { area: made.into(), path: path.into(), ..record() };
            record.relocate(here.as_bytes());
            (String::from_utf8(record.path).expect("as it was"), record.is_moved)
        };
        assert_eq!(relocated("/srv/up/", "/srv/up/a/", "/mnt/"), ("/mnt/a/".into(), true));
        assert_eq!(relocated("/srv/up/", "/srv/up/a/", "/srv/up/"), ("/srv/up/a/".into(), false));
        // The configuration names the directory; an older version's record; a path of another area.
        assert_eq!(relocated("/srv/up/", "/srv/up/a/", ""), ("/srv/up/a/".into(), false));
        assert_eq!(relocated("", "/srv/up/a/", "/mnt/"), ("/srv/up/a/".into(), false));
        assert_eq!(relocated("/srv/up/", "/other/a/", "/mnt/"), ("/other/a/".into(), false));
    }

    #[test]
    fn marks_are_overwritten_in_their_place() {
        let (old, mut new) = (record(), record());
        (new.length, new.unverified, new.synced) = (None, Some(999_999_999_999_999_999), None);
        let mut text = old.text();
        let at = MARKS_AT as usize;
        assert!(at + new.marks().len() < 512, "in the first block");
        text[at..at + new.marks().len()].copy_from_slice(new.marks().as_bytes());
        assert_eq!(UploadState::parse(&text), Some(new));
    }

    #[test]
    fn a_record_of_an_older_version_reads_too() {
        let text = String::from_utf8(record().text()).expect("all is escaped");
        let marks = record().marks();
        let old = text.replace(&format!("{marks}\n"), "length 12\nunverified 3\n");
        assert_eq!(UploadState::parse(old.as_bytes()), Some(UploadState { synced: None, ..record() }));
    }

    #[test]
    fn a_record_of_another_version_is_told_from_one_that_is_broken() {
        let text = String::from_utf8(record().text()).expect("escaped");
        let newer = [
            text.replacen("webserv-upload 1", "webserv-upload 2", 1),
            text.replacen("\nend\n", "\ncolour red\nend\n", 1),
        ];
        for newer in newer {
            assert_eq!(UploadState::parse(newer.as_bytes()), None);
            assert!(is_foreign(newer.as_bytes()));
            for at in 0..newer.len() {
                assert!(!is_foreign(&newer.as_bytes()[..at]), "cut at {at}");
            }
        }
        assert!(!is_foreign(b"") && !is_foreign(b"\nend\n"));
    }

    #[test]
    fn a_record_cut_anywhere_is_none() {
        let text = record().text();
        for at in 0..text.len() {
            assert_eq!(UploadState::parse(&text[..at]), None, "cut at {at}");
        }
        let other = String::from_utf8(text).expect("all is escaped");
        for (from, to) in [("upload 1", "upload 2"), ("PUT", "GET"), ("000012\n", "00001-\n"), ("age ", "ago ")] {
            assert_eq!(UploadState::parse(other.replace(from, to).as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn a_number_is_digits_and_fits() {
        let table = [
            ("0", Some(0)),
            ("007", Some(7)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("9999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1 ", None),
        ];
        for (text, expected) in table {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
    }
}
