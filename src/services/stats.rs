//! Counters of the process: what `stub_status` and the `$connections_*` variables tell.

#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub accepted: u64,
    pub handled: u64,
    pub requests: u64,
    /// Connections open now, and how many of them idle, read a request, or answer one.
    pub active: u64,
    pub reading: u64,
    pub writing: u64,
    pub waiting: u64,
}
