//! Uploads and deletes.

use super::upload_resumable::Resumable;
use crate::config::template::{Part, Template};
use crate::config::value::Size;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Upload {
    /// DELETE removes a directory with everything in it.
    pub delete_recursive: bool,
    /// Where deleted files are moved to; does not begin with a variable.
    pub trash: Option<Template>,
    /// The trash can be browsed as a directory; what is deleted in it is gone.
    pub trash_shown: bool,
    pub store: Store,
    /// Mode of stored files; directories also get x wherever they have r.
    pub mode: u32,
    pub create_path: bool,
    pub on_duplicate: Duplicate,
    /// 0: no limit.
    pub max_file_size: Size,
    /// 0: no limit.
    pub max_files: u64,
    /// Media types that may be stored; empty: any.
    pub types: Rc<[Box<[u8]>]>,
    pub extensions: Rc<Extensions>,
    pub filename: FileName,
    pub min_free: MinFree,
    pub quota: Option<Quota>,
    pub verify_digest: Verify,
    /// The response is sent when the upload is on the disk.
    pub sync: bool,
    /// Bytes per second of a body.
    pub limit_rate: Option<Template>,
    /// The response in place of 201 and the list: a status, with a URI or a text.
    pub answer: Option<Answer>,
    /// None: decided by the kind of the location.
    pub serve: Option<Serve>,
    pub names: NameRule,
    /// Pages of other sites may post here.
    pub cross_site: bool,
    pub resumable: Resumable,
}

/// How a stored file is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileName {
    /// The client's.
    Original,
    /// Random digits, and the client's extension.
    Random,
    /// The time, random digits, and the client's extension.
    Time,
    Value(Template),
}

/// Space that an upload must leave free on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Hundredths of the file system.
    Percent(u64),
}

/// Limits of the files in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes; 0 is no limit.
    pub bytes: u64,
    /// 0 is no limit.
    pub files: u64,
    /// Other processes store files there too: a lock file makes all of them keep it.
    pub shared: bool,
}

/// How Content-Digest and Repr-Digest are handled (RFC 9530).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    Off,
    /// Checked if the client sends one.
    On,
    Require,
}

/// `upload_return`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    pub text: Option<Template>,
}

/// Which names may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// All that are safe for people and programs that handle the file later.
    Safe,
    /// All that the file system supports.
    Any,
}

/// How files of an upload area that a browser could run are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    Attachment,
    Inline,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Not set: the URI's own directory, where POST is allowed.
    Uri,
    Off,
    /// A directory; absolute unless it starts with a variable.
    Path(Template),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    Error,
    Overwrite,
    Rename,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    pub allowed: Vec<Box<[u8]>>,
    pub denied: Vec<Box<[u8]>>,
}

impl Default for Upload {
    fn default() -> Upload {
        Upload {
            delete_recursive: false,
            trash: None,
            trash_shown: false,
            store: Store::Uri,
            mode: 0o600,
            create_path: false,
            on_duplicate: Duplicate::Error,
            max_file_size: Size(0),
            max_files: 20,
            types: Rc::new([]),
            extensions: Rc::default(),
            filename: FileName::Original,
            min_free: MinFree::Bytes(0),
            quota: None,
            verify_digest: Verify::On,
            sync: false,
            limit_rate: None,
            answer: None,
            serve: None,
            names: NameRule::Safe,
            cross_site: false,
            resumable: Resumable::default(),
        }
    }
}

impl Upload {
    /// The directory that contains the trash, whatever the values of its variables.
    pub fn trash_directory(&self) -> Option<&[u8]> {
        match self.trash.as_ref()?.parts.first() {
            Some(Part::Literal(text)) => Some(text),
            _ => None,
        }
    }
}
