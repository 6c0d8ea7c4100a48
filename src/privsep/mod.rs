//! Privilege separation: if the server is started as root and `user` names another user, a [`parent`] process keeps
//! root's rights and does only what needs them, and the serving process drops them for good ([`sandbox`]).
//!
//! The parent reads nothing from the network, and from the serving process only one byte ("ready"). It reads the
//! configuration, which is root's, binds ports, opens logs and journals, and passes everything on: by fork, or later
//! over a socketpair. So a child begins with a parsed configuration and open sockets, and a reload drops no client: the
//! parent parses, a new child serves, the old one drains.

pub mod parent;
pub mod sandbox;

use crate::config::model::{Config, Level};
use crate::server::lifecycle::{self, Failure, Greeting};
use crate::server::reload::ConfigSource;

/// Serves until it is stopped by a signal: under a parent if there are privileges to separate, otherwise in this
/// process.
///
/// # Errors
/// The process could not start.
pub fn serve(
    config: Config,
    config_source: ConfigSource,
    greeting: Greeting,
    notes: Vec<(Level, String)>,
) -> Result<(), Failure> {
    let mut prepared = lifecycle::prepare(config, config_source, greeting, notes)?;
    match prepared.worker.take() {
        Some(worker) => parent::run(prepared, worker),
        None => lifecycle::serve(prepared),
    }
}
