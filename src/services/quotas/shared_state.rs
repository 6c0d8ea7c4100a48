//! What this process knows about a quota shared with other processes ([`super::shared`] reads and writes it).

/// What this process knows in addition to the count.
#[derive(Default)]
pub struct Shared {
    pub(super) recount: Option<Recount>,
    /// The file's content, if its number was counted or derived from a count; and the number of completed counts then.
    pub(super) agreed: Option<(Vec<u8>, u64)>,
    /// Since when others have held the lock, and when it was last tried (monotonic milliseconds).
    pub(super) busy: Option<(u64, u64)>,
}

/// A count without the lock.
pub(super) struct Recount {
    /// The file's content when the count began.
    pub(super) text: Vec<u8>,
    /// The count is complete when the area has completed this many counts.
    pub(super) counts: u64,
    pub(super) tries: u32,
}
