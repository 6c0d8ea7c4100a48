//! An upload that becomes longer than what is reserved for it. In a quota that other processes share, uploads that they
//! have ended may hold its room: these are looked for in slices, and what came last waits in the file.
//!
//! Invariant: pieces for which it is not known whether there is room do not count as arrived, and nothing is read
//! behind them. They are of one read: it may bring several chunks.

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
        // Whatever is behind a piece that waits is judged with it.
        if self.unsure.is_some() {
            return Fit::Unsure;
        }
        let (id, size) = (self.upload.id, self.upload.size);
        let fit = self.room.as_mut().map_or(Fit::All, |room| room.take(cx, id, (size, n)));
        if let Fit::Unsure = fit {
            self.set_unsure(Some(size));
        }
        fit
    }

    /// The size before the pieces for which it is not known whether there is room. A newer request must not find these.
    fn set_unsure(&mut self, size: Option<u64>) {
        self.unsure = size;
        self.lease.set_sure(size);
    }

    /// What is known to have room counts as arrived.
    pub(super) fn count(&self, cx: &mut Services) {
        cx.resumable.arrived(self.upload.id, self.unsure.unwrap_or(self.upload.size), cx.now.ms);
    }

    /// A piece is in the file, which had `before` bytes.
    pub(super) fn grown(&mut self, ex: &mut Exchange, cx: &mut Services, before: u64, fit: Fit) -> Result<(), Flow> {
        match fit {
            Fit::Unsure => return Ok(()),
            Fit::All => self.count(cx),
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

    /// The pieces whose room is not known: looks on.
    pub(super) fn settle(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let Some(before) = self.unsure else { return Flow::Wait };
        let (id, size) = (self.upload.id, self.upload.size);
        let fit = self.room.as_mut().map_or(Fit::All, |room| room.settle(cx, id, (before, size - before)));
        if let Fit::Unsure = fit {
            return Flow::Wait;
        }
        self.set_unsure(None);
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
        self.count(cx);
        cut
    }
}
