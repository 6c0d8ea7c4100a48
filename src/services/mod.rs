//! State shared by all requests: the turn's clock, the configuration, buffers, open files, logs, counters. The event
//! loop passes [`Services`] down. Nothing here imports `conn` or `exchange`: what a service must wake is known by its
//! key.

pub mod acme;
pub mod boot;
pub mod checked_trees;
pub mod children;
pub mod clock;
pub mod compressors;
pub mod configured_dirs;
pub mod dav_locks;
pub mod descriptors;
pub mod dir_path;
pub mod dir_watch;
pub mod directories;
pub mod encoded_copies;
pub mod error_line;
pub mod fair_share;
pub mod file_digests;
pub mod handover;
pub mod handshakes;
pub mod host_groups;
pub mod limits;
pub mod listings;
mod log_file;
mod log_paths;
pub mod logs;
pub mod open_files;
pub mod overload;
pub mod passwords;
pub mod places;
pub mod presence;
pub mod quotas;
pub mod real_paths;
pub mod remote_mounts;
pub mod remove_tree;
pub mod resolver;
pub mod response_cache;
pub mod resumable;
pub mod slice;
pub mod stats;
pub mod syncs;
mod syslog;
pub mod temp_dir;
pub mod temp_names;
pub mod upstream_balance;
pub mod upstream_names;
pub mod upstream_time;
pub mod user_file;

use crate::config::model::Config;
use crate::config::settings::body::TempPath;
use crate::io::make_path::MadeDirectories;
use crate::route::Recorder;
use crate::sys::Errno;
use crate::sys::file;
use crate::util::buf::BufPool;
use acme::Acme;
use boot::Boot;
use checked_trees::CheckedTrees;
use children::Children;
use clock::Clock;
use compressors::Compressors;
use configured_dirs::ConfiguredDirs;
use dav_locks::DavLocks;
use descriptors::Descriptors;
use dir_watch::DirWatch;
use directories::Directories;
use file_digests::FileDigests;
use handshakes::Handshakes;
use host_groups::HostGroups;
use limits::LimitCounters;
use listings::Listings;
use logs::Logs;
use open_files::FileCache;
use overload::Overload;
use passwords::Passwords;
use places::Places;
use quotas::Quotas;
use real_paths::RealPaths;
use resolver::Resolver;
use response_cache::ResponseCache;
use resumable::Uploads;
use slice::Slice;
use stats::Stats;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use syncs::Syncs;
use temp_dir::{Keep, TempFile, TempFileError};
use temp_names::TempNames;
use upstream_balance::Balance;
use upstream_names::UpstreamNames;
use user_file::UserFile;

/// Maximum bytes read from a socket at once while a body is streamed. Larger reads make uploads cheaper.
pub const SCRATCH: usize = 256 << 10;
/// Maximum bytes of an upstream's response received at once; larger reads are not cheaper.
pub const RECEIVED: usize = 64 << 10;
/// Holds nearly every request head, and a small body with it.
const BUFFER: usize = 8 << 10;
/// Maximum number of buffers kept for reuse.
const BUFFERS: usize = 1024;

/// Listings, searches and archives of many entries that are made at once: megabytes each.
const LARGE_LISTINGS: usize = 4;

/// One per process; disjoint from the connections, so that plain borrows suffice.
pub struct Services {
    /// The configuration for new requests. A request in progress keeps the one it began with.
    pub config: Rc<Config>,
    /// The time of this turn.
    pub now: Clock,
    /// The time for work in this turn.
    pub slice: Slice,
    /// Buffers of requests, emptied, for the next ones.
    pub buffers: BufPool,
    /// Compressor states, which take long to allocate.
    pub compressors: Rc<Compressors>,
    /// Open and cached files.
    pub files: FileCache,
    /// Cached responses.
    pub response_cache: ResponseCache,
    /// How many descriptors may be used for slow clients.
    pub descriptors: Descriptors,
    /// Directories that need not be checked until the kernel reports a change.
    pub dir_watch: DirWatch,
    /// Directories for uploads, kept open.
    pub directories: Directories,
    /// Real paths of scripts, with all links followed.
    pub real_paths: RealPaths,
    /// Real paths of directories in which clients may store files: these files are never executed.
    pub store_dirs: ConfiguredDirs,
    /// Real paths of directories whose contents are never served.
    pub hidden_dirs: ConfiguredDirs,
    /// Real paths of directories that are neither moved nor removed, nor their parents.
    pub kept_dirs: ConfiguredDirs,
    /// A response has used much memory, which is returned to the system when the process is idle.
    pub has_used_much: bool,
    /// Hidden names of files that are being made, copied or removed.
    pub temp_names: TempNames,
    /// Digests of files.
    pub file_digests: FileDigests,
    /// The usage of areas with a quota.
    pub quotas: Quotas,
    /// WebDAV's locks.
    pub dav_locks: DavLocks,
    /// Directories being checked before they are copied, moved or removed.
    pub checked_trees: CheckedTrees,
    /// fsync calls under way.
    pub syncs: Syncs,
    /// Rendered listings of directories.
    pub listings: Listings,
    /// For listings, searches and archives of many entries.
    pub large_listings: Places,
    /// Access and error logs.
    pub logs: Logs,
    /// Counters of the process.
    pub stats: Stats,
    /// How many handshakes this turn may still begin.
    pub handshakes: Handshakes,
    /// Certificates obtained by ACME.
    pub acme: Acme,
    /// Counters of limit_req and limit_conn.
    pub limits: LimitCounters,
    /// Slow hashes under way, and verdicts.
    pub passwords: Passwords,
    /// Recently used large password files.
    pub user_file: UserFile,
    /// The state of upstream servers: whose turn is next, and which have failed.
    pub upstream_balance: Balance,
    /// Groups of hosts in URLs with variables.
    pub host_groups: HostGroups,
    /// Resolves names at request time.
    pub resolver: Resolver,
    /// Running CGI programs.
    pub children: Children,
    /// Servers of groups whose names are resolved repeatedly.
    pub upstream_names: UpstreamNames,
    /// The directories that uploads in progress have created, and those in which they store.
    pub uploading: Rc<MadeDirectories>,
    /// Bytes of uploads received: each upload checks the free space again after a certain number of them.
    pub arrived: u64,
    /// Unfinished resumable uploads.
    pub resumable: Uploads,
    /// The machine's boot; read before the process is confined.
    pub boot: Option<Boot>,
    /// A buffer for bytes that are consumed immediately; it belongs to no connection.
    pub scratch: Vec<u8>,
    /// The buffer that a part of an upstream's response was last received into.
    pub received: Option<Rc<Vec<u8>>>,
    /// For splice from a socket to a file; created on first use, and always empty between calls.
    pub pipe: Option<(OwnedFd, OwnedFd)>,
    /// How close the process is to worker_memory_limit.
    pub overload: Overload,
    /// Whether the process shuts down gracefully: connections are not kept alive.
    pub quitting: bool,
    /// Whether a drain has begun: health checks fail, everything else is served.
    pub draining: bool,
    /// When the configuration was loaded (Unix time).
    pub loaded: i64,
    /// Records the phases for `webserv explain`, and prevents side effects. None in the server.
    pub trace: Option<Recorder>,
}

impl Services {
    /// Whether `opened` has one of the reserved last descriptors and no cached file could be closed instead: then it
    /// must be closed again.
    pub fn is_crowded(&mut self, opened: BorrowedFd<'_>) -> bool {
        self.descriptors.is_reserved(opened) && self.files.give_back() == 0
    }

    /// An empty buffer for [`RECEIVED`] bytes of an upstream's response: the last one, unless a client still waits for
    /// bytes of it. Give it back as [`Services::received`].
    pub fn take_received(&mut self) -> Rc<Vec<u8>> {
        let mut buffer = match self.received.take() {
            Some(last) if Rc::strong_count(&last) == 1 => last,
            _ => Rc::new(Vec::with_capacity(RECEIVED)),
        };
        Rc::make_mut(&mut buffer).clear();
        buffer
    }

    /// Creates a temporary file in `at`. If descriptors are scarce, closes cached files first.
    ///
    /// # Errors
    /// As [`TempFile::create`].
    pub fn temp_file(&mut self, at: &TempPath, keep: Keep) -> Result<TempFile, TempFileError> {
        match TempFile::create(at, keep, self.descriptors) {
            Err(TempFileError { errno: Errno::EMFILE | Errno::ENFILE, .. }) if self.files.give_back() > 0 => {
                TempFile::create(at, keep, self.descriptors)
            }
            outcome => outcome,
        }
    }

    /// Tells the clock, the tree checks and the quotas that a file was created in `dir` other than by an upload.
    pub fn file_came(&mut self, dir: BorrowedFd<'_>) {
        self.now.changed();
        self.checked_trees.name_added(dir);
        self.quotas.files_added();
    }

    /// Informs the configured directories that the files with these names, or formerly with them, were moved or copied.
    /// New names of directories are not synced to disk yet.
    pub fn names_moved(&mut self, names: &[(BorrowedFd<'_>, &CStr)]) {
        self.syncs.made_directory();
        let path = |(dir, name): &(BorrowedFd<'_>, &CStr)| file::path_in(*dir, name.to_bytes());
        let paths: Result<Vec<Vec<u8>>, Errno> = names.iter().map(path).collect();
        for dirs in [&mut self.store_dirs, &mut self.hidden_dirs, &mut self.kept_dirs] {
            match &paths {
                Ok(paths) => dirs.moved(paths),
                Err(_) => dirs.any_moved(),
            }
        }
    }

    /// Whether there are directories to be resolved ahead of the requests that need them.
    pub fn has_dirs_to_find(&self) -> bool {
        [&self.store_dirs, &self.hidden_dirs, &self.kept_dirs].iter().any(|dirs| dirs.is_to_prepare(&self.config))
    }

    /// Resolves a few of them.
    pub fn find_dirs(&mut self) {
        self.find_dirs_of(&self.config.clone());
    }

    /// As [`Services::find_dirs`], for a configuration that may have yet to take over. False: there is nothing to do.
    pub fn find_dirs_of(&mut self, config: &Rc<Config>) -> bool {
        let mut all = [&mut self.store_dirs, &mut self.hidden_dirs, &mut self.kept_dirs].into_iter();
        let Some(dirs) = all.find(|dirs| dirs.is_to_prepare(config)) else { return false };
        dirs.prepare(config, self.now.ms);
        true
    }

    /// Whether lists of directories are to be freed, since their configuration has ended.
    pub fn has_ended_dirs(&self) -> bool {
        [&self.store_dirs, &self.hidden_dirs, &self.kept_dirs].iter().any(|dirs| dirs.has_ended())
    }

    /// Frees parts of them.
    pub fn free_ended_dirs(&mut self) {
        for dirs in [&mut self.store_dirs, &mut self.hidden_dirs, &mut self.kept_dirs] {
            dirs.free_ended(|| !self.slice.tick());
        }
    }

    /// For a process that starts: empty caches, counters at 0. Reads the clock and the machine's boot id.
    pub fn new(config: Rc<Config>, logs: Logs) -> Services {
        let mut upstream_names = UpstreamNames::default();
        upstream_names.adopt(&config);
        let cache = config.static_cache_size();
        let repeats = config.repeat_cache_size();
        let listings = Listings::new(config.listing_cache_size());
        let now = Clock::read();
        let loaded = now.unix;
        let overload = Overload::default();
        Services {
            config,
            now,
            slice: Slice::default(),
            buffers: BufPool::new(BUFFER, BUFFERS),
            compressors: Rc::new(Compressors::new(overload.pledges())),
            files: FileCache::new(cache),
            response_cache: ResponseCache::new(repeats),
            descriptors: Descriptors::default(),
            dir_watch: DirWatch::default(),
            directories: Directories::default(),
            real_paths: RealPaths::default(),
            store_dirs: ConfiguredDirs::stored(),
            hidden_dirs: ConfiguredDirs::hidden(),
            kept_dirs: ConfiguredDirs::kept(),
            has_used_much: false,
            temp_names: TempNames::default(),
            file_digests: FileDigests::default(),
            quotas: Quotas::default(),
            dav_locks: DavLocks::default(),
            checked_trees: CheckedTrees::default(),
            syncs: Syncs::default(),
            listings,
            large_listings: Places::new(LARGE_LISTINGS),
            logs,
            stats: Stats::beginning(loaded),
            handshakes: Handshakes::default(),
            acme: Acme::default(),
            limits: LimitCounters::default(),
            passwords: Passwords::default(),
            user_file: UserFile::default(),
            upstream_balance: Balance::default(),
            host_groups: HostGroups::default(),
            resolver: Resolver::default(),
            children: Children::default(),
            upstream_names,
            uploading: Rc::default(),
            arrived: 0,
            resumable: Uploads::default(),
            boot: Boot::read(),
            scratch: Vec::with_capacity(SCRATCH),
            received: None,
            pipe: None,
            overload,
            quitting: false,
            draining: false,
            loaded,
            trace: None,
        }
    }
}
