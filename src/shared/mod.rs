//! What all requests share: the clock of the turn, the configuration, buffers, open files, logs, counters. [`Cx`] is
//! handed down by the loop; nothing here knows a connection or a request.

pub mod balance;
pub mod directories;
pub mod files;
pub mod limits;
pub mod listings;
pub mod litter;
mod log_paths;
pub mod logs;
pub mod now;
pub mod passwords;
pub mod quotas;
pub mod removal;
pub mod repeats;
pub mod stats;
pub mod syncs;
mod syslog;
pub mod temp;
pub mod uploads;
pub mod variants;
pub mod watch;

use crate::config::model::Config;
use crate::route::Recorder;
use crate::util::buf::BufPool;
use balance::Balance;
use directories::Directories;
use files::FileCache;
use limits::Limits;
use listings::Listings;
use litter::Litter;
use logs::Logs;
use now::Now;
use passwords::Passwords;
use quotas::Quotas;
use repeats::Repeats;
use stats::Stats;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use syncs::Syncs;
use uploads::Uploads;
use watch::Watch;

/// Bytes read from a socket at a time while a body streams. Larger bites are what makes uploads cheap.
pub const SCRATCH: usize = 256 << 10;
/// A request head fits one of these nearly always, and a small body with it.
const BUFFER: usize = 8 << 10;
/// Buffers kept for reuse.
const BUFFERS: usize = 1024;

/// Everything shared. One per process; disjoint from the connections, so plain borrows suffice.
pub struct Cx {
    /// What new requests are answered by. An exchange under way keeps the one it began with.
    pub config: Rc<Config>,
    pub now: Now,
    pub buffers: BufPool,
    pub files: FileCache,
    /// Requests whose answer is known.
    pub repeats: Repeats,
    /// Directories that need not be looked at until the kernel says so.
    pub watch: Watch,
    /// Where uploads go.
    pub directories: Directories,
    pub litter: Litter,
    /// What is in the areas that have a quota.
    pub quotas: Quotas,
    pub syncs: Syncs,
    /// Rendered listings of directories.
    pub listings: Listings,
    pub logs: Logs,
    pub stats: Stats,
    pub limits: Limits,
    pub passwords: Passwords,
    /// Servers of upstream groups: whose turn it is, who has failed.
    pub balance: Balance,
    /// Resumable uploads that are not finished.
    pub uploads: Uploads,
    /// For bytes that are consumed at once: owned by no connection.
    pub scratch: Vec<u8>,
    /// For splice from a socket to a file; made at first use, always empty between two calls.
    pub pipe: Option<(OwnedFd, OwnedFd)>,
    /// A graceful shutdown is under way: no connection is kept.
    pub quitting: bool,
    /// Watches the phases for `webserv explain`, and keeps them from changing anything. The server has none.
    pub trace: Option<Recorder>,
}

impl Cx {
    pub fn new(config: Rc<Config>, logs: Logs) -> Cx {
        let cache = config.static_cache_size();
        let repeats = config.repeat_cache_size();
        let listings = Listings::new(config.listing_cache_size());
        Cx {
            config,
            now: Now::read(),
            buffers: BufPool::new(BUFFER, BUFFERS),
            files: FileCache::new(cache),
            repeats: Repeats::new(repeats),
            watch: Watch::default(),
            directories: Directories::default(),
            litter: Litter::default(),
            quotas: Quotas::default(),
            syncs: Syncs::default(),
            listings,
            logs,
            stats: Stats::default(),
            limits: Limits::default(),
            passwords: Passwords::default(),
            balance: Balance::default(),
            uploads: Uploads::default(),
            scratch: Vec::with_capacity(SCRATCH),
            pipe: None,
            quitting: false,
            trace: None,
        }
    }
}
