//! The state of an upload in progress. The other files contain its steps.

use super::digest::{Algorithm, Digests};
use super::form::Form;
use super::record::Stored;
use super::rules;
use super::share::Share;
use super::target_dir::Place;
use super::temp_file::Part;
use crate::config::settings::upload::{Duplicate, Upload as Rules};
use crate::exchange::Exchange;
use crate::exchange::handlers::versions;
use crate::http::h1::head::Head;
use crate::http::header::HeaderId;
use crate::io::make_path::Making;
use crate::services::quotas::Usage;
use crate::services::resumable::UploadId;
use crate::services::syncs::Sync;
use std::collections::HashMap;
use std::rc::Rc;

/// An upload whose body is arriving.
pub struct Upload {
    pub(super) rules: Rc<Rules>,
    pub(super) place: Place,
    /// The directories below it that names of files contain.
    pub(super) folders: Vec<Folder>,
    /// Where they are in it, by their paths.
    pub(super) folder_at: HashMap<Rc<[u8]>, usize>,
    /// None: the body is the file.
    pub(super) form: Option<Box<Form>>,
    pub(super) parts: Vec<Part>,
    /// Bytes of those before the newest.
    pub(super) earlier: u64,
    /// If names depend on fields that may still arrive: the name and the type that each part came with.
    pub(super) unnamed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the whole body.
    pub(super) digests: Digests,
    /// The client wants this digest of the stored files.
    pub(super) wanted: Option<Algorithm>,
    pub(super) policy: NamePolicy,
    /// The head with the conditions, and its bytes, if that is not this request's head.
    pub(super) conditions: Option<Box<(Head, Vec<u8>)>>,
    /// The digests that are wanted, file by file: every announced digest matches.
    pub(super) checked: Option<Vec<Vec<u8>>>,
    /// upload_sync: how far writing to the disk has come.
    pub(super) writing: Writing,
    /// The files are whole, and wait for a quota that other processes share: tried again in another turn.
    pub(super) is_naming: bool,
    /// Directories that were made for the files, which may still be refused.
    pub(super) made: Making,
    /// The share of the quota, if there is one.
    pub(super) share: Option<Share>,
    /// What is known to come, and what it replaces.
    pub(super) coming: Usage,
    pub(super) freed: Usage,
    /// Most bytes of a file that is held in memory: it is written and named in one go when it is complete.
    pub(super) hold: usize,
    /// Most bytes of the newest file, by the rules of its own path too. 0: any number.
    pub(super) most: u64,
    /// The resumable upload that this one finishes: its bytes are not reserved besides those that are still to come.
    pub(super) resumed: Option<UploadId>,
}

impl Upload {
    /// One with no file yet, by the request's own rules.
    pub fn new(ex: &Exchange, rules: Rc<Rules>, place: Place, policy: NamePolicy) -> Upload {
        Upload {
            most: rules::largest(ex),
            rules,
            place,
            folders: Vec::new(),
            folder_at: HashMap::new(),
            form: None,
            parts: Vec::new(),
            earlier: 0,
            unnamed: Vec::new(),
            digests: Digests::default(),
            wanted: None,
            policy,
            conditions: None,
            checked: None,
            writing: Writing::None,
            is_naming: false,
            made: Making::default(),
            share: None,
            coming: Usage::default(),
            freed: Usage::default(),
            hold: 0,
            resumed: None,
        }
    }

    /// The path of a file relative to the directory of the request.
    pub fn path_of(&self, part: &Part) -> Vec<u8> {
        let folder = part.folder.and_then(|at| self.folders.get(at));
        [folder.map_or(&b""[..], |folder| &folder.path), &part.name].concat()
    }
}

/// What a taken name means for a request.
#[derive(Clone, Copy)]
pub struct NamePolicy {
    pub on_duplicate: Duplicate,
    /// The request has If-Match, If-None-Match or If-Unmodified-Since.
    pub conditional: bool,
    /// It names one version of what it replaces.
    pub names_version: bool,
    /// `If-None-Match: *`: the first request to link the name gets it, the others get 412.
    pub create_only: bool,
}

impl NamePolicy {
    /// As the head says; otherwise as the location says (`on_duplicate`). A PUT replaces.
    pub fn of(head: &Head, buf: &[u8], put: bool, on_duplicate: Duplicate) -> NamePolicy {
        let create_only = head.all(HeaderId::IfNoneMatch).any(|field| field.value.of(buf) == b"*");
        let on_duplicate = match if put { Duplicate::Overwrite } else { on_duplicate } {
            Duplicate::Overwrite if create_only => Duplicate::Error,
            other => other,
        };
        let conditional = versions::are_conditional(head);
        NamePolicy { on_duplicate, conditional, names_version: versions::are_named(head, buf), create_only }
    }

    /// For a request whose preconditions were evaluated before.
    pub fn plain(on_duplicate: Duplicate) -> NamePolicy {
        NamePolicy { on_duplicate, conditional: false, names_version: false, create_only: false }
    }
}

/// upload_sync: how far writing to the disk has come.
#[derive(Default)]
pub enum Writing {
    #[default]
    None,
    Content(Vec<Sync>),
    /// The content is on the disk: the file may get its name.
    Named,
    Names(Vec<Sync>, Vec<Stored>),
}

/// A folder below the directory of the request.
pub struct Folder {
    /// As its files name it, with a final slash.
    pub path: Rc<[u8]>,
    pub place: Place,
}

/// Which of an upload's directories: the request's own, or the folder of this index.
pub type Which = Option<usize>;

/// The directory; a free function, so that the parts of an [`Upload`] can be changed meanwhile.
pub fn place<'a>(own: &'a Place, folders: &'a [Folder], which: Which) -> &'a Place {
    which.and_then(|at| folders.get(at)).map_or(own, |folder| &folder.place)
}
