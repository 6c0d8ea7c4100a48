//! How many connections there may be, and how many descriptors for what they need.

use crate::config::model::Config;
use crate::services::Services;
use crate::sys::process;

/// Descriptors reserved for listeners, logs and files.
const RESERVED: u64 = 64;

/// The maximum number of connections: worker_connections, but no more than there are descriptors.
pub fn of(config: &Config) -> usize {
    let wanted = config.process.connections.map_or(usize::MAX, |most| most as usize);
    descriptors().min(wanted)
}

/// The number of descriptors for connections and what they need.
fn descriptors() -> usize {
    let all = all_descriptors().saturating_sub(RESERVED).max(16);
    usize::try_from(all).unwrap_or(usize::MAX)
}

fn all_descriptors() -> u64 {
    process::nofile_limit().map_or(1024, |limit| limit.soft)
}

/// Tells open files, uploads and the resolver the number of descriptors.
pub fn note_descriptors(cx: &mut Services) {
    cx.descriptors.set_limit(all_descriptors());
    cx.files.set_descriptors(descriptors(), cx.descriptors);
    cx.resolver.set_descriptors(cx.descriptors.eighth());
}
