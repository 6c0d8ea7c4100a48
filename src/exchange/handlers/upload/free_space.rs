//! The space that must stay free (upload_min_free), checked while uploads arrive.
//!
//! Invariant: it stays free except for the bytes of one [`STEP`] and of one write for each upload.

use super::refusal::Refusal;
use super::rules;
use crate::config::settings::upload::MinFree;
use crate::services::Services;
use std::os::fd::{AsFd, OwnedFd};

/// Bytes of all uploads after which each looks at the free space again.
const STEP: u64 = 4 << 20;

/// The value of [`Services::arrived`] when the free space was last checked.
#[derive(Clone, Copy)]
pub struct FreeSpaceCheck(u64);

impl FreeSpaceCheck {
    /// The check was made just now.
    pub fn now(cx: &Services) -> FreeSpaceCheck {
        FreeSpaceCheck(cx.arrived)
    }

    /// `more` bytes have arrived, for `dir`.
    ///
    /// # Errors
    /// 507: the space that is to stay free is used up.
    pub fn check(&mut self, cx: &mut Services, dir: &OwnedFd, min_free: MinFree, more: u64) -> Result<(), Refusal> {
        cx.arrived = cx.arrived.wrapping_add(more);
        if min_free == MinFree::Bytes(0) || cx.arrived.wrapping_sub(self.0) < STEP {
            return Ok(());
        }
        *self = FreeSpaceCheck::now(cx);
        rules::check_room(dir.as_fd(), min_free, more)
    }
}
