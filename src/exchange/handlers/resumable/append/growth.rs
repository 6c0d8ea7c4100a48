//! An upload that becomes longer than what is reserved for it. In a quota that other processes share, uploads that they
//! have ended may hold its room: these are looked for in slices, and the piece that came last waits in the file.
//!
//! Invariant: a piece for which it is not known whether there is room does not count as arrived, and nothing behind it
//! is read.

use super::Append;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::resumed::Fit;
use crate::exchange::{Exchange, Rx};
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file;

impl Append {
    /// Whether the upload may have the next `n` bytes.
    pub(super) fn room_for(&mut self, cx: &mut Services, n: u64) -> Fit {
        let (id, size) = (self.upload.id, self.upload.size);
        self.room.as_mut().map_or(Fit::All, |room| room.take(cx, id, (size, n)))
    }

    /// A piece is in the file, which had `before` bytes.
    pub(super) fn grown(&mut self, ex: &mut Exchange, cx: &mut Services, before: u64, fit: Fit) -> Result<(), Flow> {
        match fit {
            Fit::Unsure => {
                self.unsure = Some(before);
                return Ok(());
            }
            Fit::All => cx.resumable.arrived(self.upload.id, self.upload.size, cx.now.ms),
            Fit::Some(fits, refusal) => {
                return Err(match self.cut(cx, before.saturating_add(fits)) {
                    Ok(()) => self.refuse_rest(ex, cx, &refusal),
                    Err(e) => self.failed(ex, cx, "ftruncate()", e),
                });
            }
        }
        self.tell(ex);
        Ok(())
    }

    /// The piece whose room is not known: looks on.
    pub(super) fn settle(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let Some(before) = self.unsure else { return Flow::Wait };
        let (id, size) = (self.upload.id, self.upload.size);
        let fit = self.room.as_mut().map_or(Fit::All, |room| room.settle(cx, id, (before, size - before)));
        if let Fit::Unsure = fit {
            return Flow::Wait;
        }
        self.unsure = None;
        match self.grown(ex, cx, before, fit) {
            Ok(()) if ex.progress.rx == Rx::Done => self.finish(ex, cx),
            Ok(()) => Flow::Body,
            Err(flow) => flow,
        }
    }

    /// Cuts off what is behind the first `most` bytes.
    pub(super) fn cut(&mut self, cx: &mut Services, most: u64) -> Result<(), Errno> {
        let cut = match self.upload.size > most {
            true => file::ftruncate(self.lease.fd(), most),
            false => Ok(()),
        };
        if cut.is_ok() {
            self.upload.size = self.upload.size.min(most);
        }
        cx.resumable.arrived(self.upload.id, self.upload.size, cx.now.ms);
        cut
    }
}
