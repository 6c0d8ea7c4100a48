//! Uploads and deletes.

use super::upload_resumable::Resumable;
use crate::config::template::{Part, Template};
use crate::config::value::Size;
use std::rc::Rc;

/// upload_ and delete_ directives; dav_methods uses the same code.
#[derive(Clone, Debug)]
pub struct UploadSettings {
    /// Whether DELETE removes a directory with its contents.
    pub delete_recursive: bool,
    /// The directory that deleted files are moved to; does not begin with a variable.
    pub trash: Option<Template>,
    /// Whether the trash can be browsed; deleting inside it is final.
    pub trash_shown: bool,
    /// Where files of POST go.
    pub store: Store,
    /// Mode of stored files; directories also get x wherever r is set.
    pub mode: u32,
    /// Missing directories are made.
    pub create_path: bool,
    /// What a taken name means for a POST.
    pub on_duplicate: Duplicate,
    /// 0: no limit.
    pub max_file_size: Size,
    /// 0: no limit.
    pub max_files: u64,
    /// Allowed media types; empty: any.
    pub types: Rc<[Box<[u8]>]>,
    /// Which extensions may be stored.
    pub extensions: Rc<Extensions>,
    /// What files are called.
    pub filename: FileName,
    /// Space that must stay free on the disk.
    pub min_free: MinFree,
    /// None: off.
    pub quota: Option<Quota>,
    /// upload_verify_digest.
    pub verify_digest: VerifyDigest,
    /// Whether the response waits until the upload is synced to disk.
    pub sync: bool,
    /// Bytes per second for a request body.
    pub limit_rate: Option<Template>,
    /// The response that replaces 201 with the list of files: a status, with a URI or a text.
    pub answer: Option<Answer>,
    /// None: decided by the kind of the location.
    pub serve: Option<Serve>,
    /// Which names are allowed.
    pub names: NameRule,
    /// Whether pages of other sites may POST uploads here.
    pub cross_site: bool,
    /// Whether uploads can go on where they broke off.
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
    /// A template.
    Value(Template),
}

/// Space that an upload must leave free on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Percent of the size of the file system.
    Percent(u64),
}

impl MinFree {
    /// Whether what leaves that much free leaves `other` free, too, whatever the size of the file system.
    pub fn covers(self, other: MinFree) -> bool {
        match (self, other) {
            (_, MinFree::Bytes(0) | MinFree::Percent(0)) => true,
            (MinFree::Bytes(own), MinFree::Bytes(other)) | (MinFree::Percent(own), MinFree::Percent(other)) => {
                own >= other
            }
            _ => false,
        }
    }
}

/// Limits on the files in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes; 0 is no limit.
    pub bytes: u64,
    /// 0 is no limit.
    pub files: u64,
    /// Whether other processes store files there too: a lock file coordinates their counts.
    pub shared: bool,
}

impl Quota {
    /// Whether everything within this quota is within `other` too, for an area that is part of this one's.
    pub fn covers(self, other: Quota) -> bool {
        let covers = |own: u64, other: u64| other == 0 || own > 0 && own <= other;
        covers(self.bytes, other.bytes) && covers(self.files, other.files) && (self.shared || !other.shared)
    }
}

/// How Content-Digest and Repr-Digest are handled (RFC 9530).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyDigest {
    /// Digests are not looked at.
    Off,
    /// Checked if the client sends one.
    On,
    /// Required: without one, 400.
    Require,
}

/// `upload_return`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub code: u16,
    /// A text, or the URI of a redirect.
    pub text: Option<Template>,
}

/// Which file names may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// Names that are safe for people and programs that handle the file later.
    Safe,
    /// Any name that the file system supports.
    Any,
}

/// How files that a browser could execute are sent from an upload area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// To be saved, not shown.
    Attachment,
    /// As any file.
    Inline,
}

/// upload_store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// The URI's own directory, if POST is allowed; the default.
    Uri,
    /// POST stores nothing.
    Off,
    /// A directory; absolute unless it starts with a variable.
    Path(Template),
}

/// upload_on_duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// The request is refused with 409.
    Error,
    /// The file is replaced, atomically.
    Overwrite,
    /// The name gets a number.
    Rename,
}

/// upload_extensions, in lower case with their dots.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Only these; empty: all that are not denied.
    pub allowed: Vec<Box<[u8]>>,
    /// Never these.
    pub denied: Vec<Box<[u8]>>,
}

impl Default for UploadSettings {
    fn default() -> UploadSettings {
        UploadSettings {
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
            verify_digest: VerifyDigest::On,
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

impl UploadSettings {
    /// The part of the trash's path before any variables.
    pub fn trash_directory(&self) -> Option<&[u8]> {
        match self.trash.as_ref()?.parts.first() {
            Some(Part::Literal(text)) => Some(text),
            _ => None,
        }
    }
}
