//! The state of an upload in progress. The other files contain its steps.

use super::commit::{self, Numbers};
use super::digest::{Algorithm, Digests};
use super::form::Form;
use super::free_space::FreeSpaceCheck;
use super::quota_share::QuotaShare;
use super::record::Stored;
use super::refusal::Refusal;
use super::rules;
use super::target_dir::TargetDir;
use super::temp_file::Part;
use crate::config::settings::upload::{Duplicate, UploadSettings};
use crate::exchange::Exchange;
use crate::exchange::handlers::versions::{self, Versions};
use crate::http::header::HeaderId;
use crate::http::request_head::RequestHead;
use crate::io::make_path::NewDirectories;
use crate::services::Services;
use crate::services::quotas::Usage;
use crate::services::quotas::shared::QuotaLock;
use crate::services::resumable::UploadId;
use crate::services::syncs::{Prepared, Sync};
use crate::services::temp_names::{Left, TempNames};
use crate::sys::Errno;
use crate::sys::file::Stat;
use crate::util::seldom::Seldom;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::rc::Rc;

pub use super::temp_file::Which;

/// An upload whose body is arriving. What few of them have is boxed: beyond 1032 bytes the allocator has no short way.
pub struct Upload {
    /// The settings of its location.
    pub(super) rules: Rc<UploadSettings>,
    /// The directory of the request.
    pub(super) target: TargetDir,
    /// The directories below it that names of files contain.
    pub(super) folders: Vec<Folder>,
    /// Where they are in it, by their paths.
    pub(super) folder_at: Seldom<BTreeMap<Rc<[u8]>, usize>>,
    /// None: the body is the file.
    pub(super) form: Option<Box<Form>>,
    /// Its body is a form, also while that is read.
    pub(super) is_form: bool,
    /// Its files, in the order in which they come; the newest may be incomplete.
    pub(super) parts: Vec<Part>,
    /// Bytes of those before the newest.
    pub(super) earlier: u64,
    /// If names depend on fields that may still arrive: the name and the type that each part came with.
    pub(super) unnamed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the whole body.
    pub(super) digests: Digests,
    /// The client wants this digest of the stored files.
    pub(super) wanted: Option<Algorithm>,
    /// What a taken name means.
    pub(super) policy: NamePolicy,
    /// The head with the conditions, and its bytes, if that is not this request's head.
    pub(super) conditions: Option<Box<(RequestHead, Vec<u8>)>>,
    /// upload_sync: how far writing to the disk has come.
    pub(super) writing: Writing,
    /// upload_sync: what writing the name to the disk needs.
    pub(super) prepared: Option<Box<Prepared>>,
    /// The body is complete, and the files get their names; or these are taken back.
    pub(super) naming: Naming,
    /// Names are being taken back.
    pub(super) taking_back: Option<Box<TakingBack>>,
    /// Where many files are closed, in slices.
    pub(super) left: Option<Left>,
    /// Directories that were made for the files, which may still be refused.
    pub(super) made: NewDirectories,
    /// The share of the quota, if there is one.
    pub(super) share: Option<Box<QuotaShare>>,
    /// What is known to come, and what it replaces.
    pub(super) coming: Usage,
    /// What is freed by replacing files.
    pub(super) freed: Usage,
    /// Most bytes of a file that is held in memory: it is written and named in one go when it is complete.
    pub(super) hold: usize,
    /// When the free space was last checked.
    pub(super) free_space: FreeSpaceCheck,
    /// Most bytes of the newest file, by the rules of its own path too. 0: any number.
    pub(super) most: u64,
    /// The location of the newest file's name lets no upload replace a file.
    pub(super) never_replaces: bool,
    /// The resumable uploads that become its file: their bytes have arrived with earlier requests, and are not reserved
    /// besides its own. Empty: the file is this request's body.
    pub(super) own: Vec<UploadId>,
}

impl Upload {
    /// One with no file yet, by the request's own rules.
    pub fn new(
        ex: &Exchange,
        cx: &Services,
        rules: Rc<UploadSettings>,
        target: TargetDir,
        policy: NamePolicy,
    ) -> Upload {
        let made = NewDirectories::storing_in(&cx.uploading, target.dir.as_fd());
        Upload {
            most: rules::largest(ex),
            never_replaces: false,
            rules,
            target,
            folders: Vec::new(),
            folder_at: None,
            form: None,
            is_form: false,
            parts: Vec::new(),
            earlier: 0,
            unnamed: Vec::new(),
            digests: Digests::default(),
            wanted: None,
            policy,
            conditions: None,
            writing: Writing::None,
            prepared: None,
            naming: Naming::default(),
            taking_back: None,
            left: None,
            made,
            share: None,
            coming: Usage::default(),
            freed: Usage::default(),
            hold: 0,
            free_space: FreeSpaceCheck::now(cx),
            own: Vec::new(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The process ends while names are given: it stores all files or none.
        let given = self.naming.given;
        if given > 0 {
            let parts = self.parts.get_mut(..given).unwrap_or_default();
            commit::take_back(&self.target.dir, parts, &mut TempNames::default());
        }
        self.naming.leave_quota();
        if let Some(left) = &self.left {
            self.parts.drain(..).for_each(|part| part.close_later(left));
            self.folders.drain(..).for_each(|folder| left.close(folder.target.dir));
        }
    }
}

/// How far the end of an upload has come: its files get their names ([`super::finish`]).
///
/// Its sets are boxed, since most uploads have one file, and none of them; and trees, since a hash table is keyed.
#[derive(Default)]
pub struct Naming {
    /// It has begun, and continues in a later turn.
    pub(super) is_begun: bool,
    /// The digests that are wanted, file by file: every announced digest matches. Empty if none is wanted.
    pub(super) digests: Option<Vec<Vec<u8>>>,
    /// Files whose names are chosen.
    pub(super) chosen: usize,
    /// Files that were looked at for the quota.
    pub(super) counted: Counted,
    /// The quota has room for them; with the lock of one that other processes share.
    pub(super) is_within_quota: bool,
    /// Held until the names are given.
    pub(super) lock: Option<Box<QuotaLock>>,
    /// The versions that the request names, locked; Some from before the first name is given.
    pub(super) versions: Option<Versions>,
    /// The directories and names that files wanted so far, where these replace others.
    pub(super) wanted: Seldom<BTreeSet<(Which, Vec<u8>)>>,
    /// The same files as they are once they have their names, by those without what a file system may ignore.
    pub(super) named: Seldom<BTreeMap<Vec<u8>, Vec<Stat>>>,
    /// By directory and name: the numbers that were added to names.
    pub(super) numbers: Numbers,
    /// Files that have their names, and their versions. The names are kept once all have theirs.
    pub(super) given: usize,
}

/// What the files take, and what they replace, as far as it was counted.
#[derive(Default)]
pub struct Counted {
    /// Files that were counted.
    pub(super) files: usize,
    /// What they take, and what they replace.
    pub(super) usage: (Usage, Usage),
    /// The directories and names of those that were counted.
    pub(super) names: Seldom<BTreeSet<(Which, Vec<u8>)>>,
}

/// Names that are being taken back.
pub struct TakingBack {
    /// All names could be taken back so far.
    pub(super) is_whole: bool,
    /// Why they are.
    pub(super) why: Because,
}

/// Why names are taken back.
pub enum Because {
    /// A name could not be given, or the upload is refused: the client is told so.
    Refused(Refusal),
    /// upload_sync: the names could not be written to the disk.
    Unwritten(&'static str, Errno),
}

impl Naming {
    /// No file keeps a name: other processes have the room.
    pub fn leave_quota(&mut self) {
        self.lock.take().into_iter().for_each(|lock| lock.take_back());
    }
}

/// What a taken name means for a request.
#[derive(Clone, Copy)]
pub struct NamePolicy {
    /// `upload_on_duplicate`.
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
    pub fn of(head: &RequestHead, buf: &[u8], put: bool, on_duplicate: Duplicate) -> NamePolicy {
        let conditional = versions::has_conditions(head);
        let create_only = conditional && head.all(HeaderId::IfNoneMatch).any(|field| field.value.of(buf) == b"*");
        let on_duplicate = match if put { Duplicate::Overwrite } else { on_duplicate } {
            Duplicate::Overwrite if create_only => Duplicate::Error,
            other => other,
        };
        let names_version = conditional && versions::names_version(head, buf);
        NamePolicy { on_duplicate, conditional, names_version, create_only }
    }

    /// For a request whose preconditions were evaluated before.
    pub fn plain(on_duplicate: Duplicate) -> NamePolicy {
        NamePolicy { on_duplicate, conditional: false, names_version: false, create_only: false }
    }
}

/// upload_sync: how far writing to the disk has come.
#[derive(Default)]
pub enum Writing {
    /// Nothing is being written.
    #[default]
    None,
    /// The content of that many files is being written, and more will be.
    Begun(Vec<Sync>),
    /// The content of all files is being written; their names wait for it.
    Content(Vec<Sync>),
    /// The content is on the disk: the file may get its name.
    Named,
    /// As [`Writing::Begun`], of that many directories.
    NamesBegun(usize, Vec<Sync>, Vec<Stored>),
    /// The directories of all names are being written; the response waits for it.
    Names(Vec<Sync>, Vec<Stored>),
}

/// A folder below the directory of the request.
pub struct Folder {
    /// As its files name it, with a final slash.
    pub path: Rc<[u8]>,
    /// Its directory, which may have to be made.
    pub target: TargetDir,
}

/// The path of a file relative to the directory of the request.
pub fn path_of(folders: &[Folder], part: &Part) -> Vec<u8> {
    let folder = part.folder.and_then(|at| folders.get(at));
    [folder.map_or(&b""[..], |folder| &folder.path), &part.name].concat()
}

/// The directory; a free function, so that the parts of an [`Upload`] can be changed meanwhile.
pub fn target_of<'a>(own: &'a TargetDir, folders: &'a [Folder], which: Which) -> &'a TargetDir {
    which.and_then(|at| folders.get(at)).map_or(own, |folder| &folder.target)
}
