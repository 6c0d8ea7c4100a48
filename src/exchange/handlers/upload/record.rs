//! The facts of a finished upload, for `$upload_*` in logs, headers and everything else that is made later.
//!
//! Invariant: the names here have been checked; the values of fields are the client's text, limited by the form.

use crate::config::template::Builtin;
use crate::http::etag::ETag;
use crate::sys::file;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// A file that was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The name that it got: not always the one that was sent.
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Of the file as it was stored.
    pub etag: ETag,
    /// It replaced another file.
    pub replaced: bool,
    /// The value of its Repr-Digest, if the client wants one.
    pub digest: Vec<u8>,
    /// It has the modification time that the client gave it.
    pub is_dated: bool,
}

/// Kept until the exchange is used again.
#[derive(Default)]
pub struct UploadRecord {
    /// In the order in which they were sent.
    pub files: Vec<Stored>,
    /// Plain fields of the form.
    pub fields: Vec<(Box<[u8]>, Vec<u8>)>,
    /// The files' directory; None: nothing was stored.
    pub dir: Option<Rc<OwnedFd>>,
}

impl UploadRecord {
    /// Appends the value of a variable; false if it has none. Of several files the first counts.
    pub fn value(&self, variable: Builtin, out: &mut Vec<u8>) -> bool {
        let first = self.files.first();
        let value = match (variable, first) {
            (Builtin::UploadStatus, _) if self.dir.is_some() => b"stored".to_vec(),
            (Builtin::UploadStatus, _) => b"refused".to_vec(),
            (Builtin::UploadFiles, _) => self.files.len().to_string().into_bytes(),
            (Builtin::UploadFileName, Some(file)) => file.name.clone(),
            (Builtin::UploadFileExt, Some(file)) => extension(&file.name).to_vec(),
            (Builtin::UploadFileSize, Some(file)) => file.size.to_string().into_bytes(),
            (Builtin::UploadFilePath, Some(file)) => match self.path(file) {
                Some(path) => path,
                None => return false,
            },
            _ => return false,
        };
        out.extend_from_slice(&value);
        true
    }

    /// The value of a plain field; names ignore case, as variables do.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        find(&self.fields, name)
    }

    /// The file's whole real path.
    fn path(&self, stored: &Stored) -> Option<Vec<u8>> {
        file::path_in(self.dir.as_ref()?.as_fd(), &stored.name).ok()
    }
}

/// The first field of that name, which is in lower case and has `_` for characters that a variable's name cannot
/// have.
pub fn find<'f>(fields: &'f [(Box<[u8]>, Vec<u8>)], name: &[u8]) -> Option<&'f [u8]> {
    let is_same = |(a, b): (&u8, &u8)| a.to_ascii_lowercase() == *b || *b == b'_' && !a.is_ascii_alphanumeric();
    let field = fields.iter().find(|(n, _)| n.len() == name.len() && n.iter().zip(name).all(is_same));
    field.map(|(_, value)| &value[..])
}

/// The last extension with its dot, or nothing.
pub fn extension(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b'.', name) {
        Some(dot) if dot > 0 => &name[dot..],
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_found_by_variables() {
        let field = |name: &str, value: &str| (name.as_bytes().into(), value.as_bytes().to_vec());
        let fields = [field("Note", "1"), field("note", "2"), field("my-name[]", "3"), field("", "4")];
        let table = [("note", Some("1")), ("my_name__", Some("3")), ("", Some("4")), ("my_name", None), ("no", None)];
        for (name, expected) in table {
            assert_eq!(find(&fields, name.as_bytes()), expected.map(str::as_bytes), "{name}");
        }
        let value = |variable| {
            let mut out = Vec::new();
            UploadRecord::default().value(variable, &mut out).then(|| String::from_utf8(out).expect("ASCII"))
        };
        assert_eq!(value(Builtin::UploadStatus).as_deref(), Some("refused"));
        assert_eq!(value(Builtin::UploadFiles).as_deref(), Some("0"));
        assert_eq!(value(Builtin::UploadFileName), None);
    }
}
