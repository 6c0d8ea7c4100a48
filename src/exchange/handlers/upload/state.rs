//! The state of an upload in progress. Its steps are in the other files.

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
use std::rc::Rc;

/// An upload whose body is on its way.
pub struct Upload {
    pub(super) rules: Rc<Rules>,
    pub(super) place: Place,
    /// Those below it that names of files lead into.
    pub(super) folders: Vec<Folder>,
    /// None: the body is the file.
    pub(super) form: Option<Box<Form>>,
    pub(super) parts: Vec<Part>,
    /// Where names are made of fields that may yet come: what each part came with, its name and its type.
    pub(super) unnamed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the whole body.
    pub(super) digests: Digests,
    /// The client would like to have this one of what was stored.
    pub(super) wanted: Option<Algorithm>,
    pub(super) policy: NamePolicy,
    /// The head that has them, and its bytes, where it is not this request's.
    pub(super) conditions: Option<Box<(Head, Vec<u8>)>>,
    /// The digests that are wanted, file by file: every one that was announced holds.
    pub(super) checked: Option<Vec<Vec<u8>>>,
    /// upload_sync: how far that is.
    pub(super) writing: Writing,
    /// The files are whole, and wait for a quota that other processes keep too: it is asked again in another turn.
    pub(super) is_naming: bool,
    /// Directories that were made for the files, which may yet be refused.
    pub(super) made: Making,
    /// Of the quota, where there is one.
    pub(super) share: Option<Share>,
    /// What is known to come, and what it replaces.
    pub(super) coming: Usage,
    pub(super) freed: Usage,
    /// Bytes that a file may have to be held in memory: written and named in one go when they are all there.
    pub(super) hold: usize,
    /// Bytes that the newest file may have: by the rules of its own path too. 0: any number.
    pub(super) most: u64,
    /// The resumable upload that this one ends: its bytes are not held beside those that are to come.
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
            form: None,
            parts: Vec::new(),
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

    /// What a file is called, seen from the directory of the request.
    pub fn path_of(&self, part: &Part) -> Vec<u8> {
        let folder = part.folder.and_then(|at| self.folders.get(at));
        [folder.map_or(&b""[..], |folder| &folder.path), &part.name].concat()
    }
}

/// What a name that is taken means to a request.
#[derive(Clone, Copy)]
pub struct NamePolicy {
    pub on_duplicate: Duplicate,
    /// The request has If-Match, If-None-Match or If-Unmodified-Since.
    pub conditional: bool,
    /// It goes for one version of what it replaces.
    pub names_version: bool,
    /// `If-None-Match: *`: the first that links the name has it, the others get 412.
    pub create_only: bool,
}

impl NamePolicy {
    /// As the head says it, where the location says `on_duplicate`. A PUT replaces.
    pub fn of(head: &Head, buf: &[u8], put: bool, on_duplicate: Duplicate) -> NamePolicy {
        let create_only = head.all(HeaderId::IfNoneMatch).any(|field| field.value.of(buf) == b"*");
        let on_duplicate = match if put { Duplicate::Overwrite } else { on_duplicate } {
            Duplicate::Overwrite if create_only => Duplicate::Error,
            other => other,
        };
        let conditional = versions::are_conditional(head);
        NamePolicy { on_duplicate, conditional, names_version: versions::are_named(head, buf), create_only }
    }

    /// Of a request whose preconditions were judged before.
    pub fn plain(on_duplicate: Duplicate) -> NamePolicy {
        NamePolicy { on_duplicate, conditional: false, names_version: false, create_only: false }
    }
}

/// upload_sync: how far it is.
#[derive(Default)]
pub enum Writing {
    #[default]
    None,
    Content(Vec<Sync>),
    /// The content is: it may get its name.
    Named,
    Names(Vec<Sync>, Vec<Stored>),
}

/// A folder below the directory of the request.
pub struct Folder {
    /// As its files name it, ending in a slash.
    pub path: Vec<u8>,
    pub place: Place,
}

/// Which of an upload's directories: the request's own, or the folder of this index.
pub type Which = Option<usize>;

/// The directory; apart from [`Upload`], so that its parts can be changed meanwhile.
pub fn place<'a>(own: &'a Place, folders: &'a [Folder], which: Which) -> &'a Place {
    which.and_then(|at| folders.get(at)).map_or(own, |folder| &folder.place)
}
