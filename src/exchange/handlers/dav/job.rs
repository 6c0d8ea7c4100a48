//! What a COPY or MOVE is to do.

use super::target::Spot;
use crate::http::status::Status;

/// All that was asked for, checked.
pub struct Job {
    pub source: Spot,
    pub target: Spot,
    pub deep: bool,
    pub moves: bool,
    pub overwrite: bool,
    pub status: Status,
    /// The destination is a directory: not even a file replaces it in one step.
    pub swaps: bool,
}
