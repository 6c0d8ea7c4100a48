//! How work begins that may take longer than a turn of the loop.
//!
//! Invariant: nothing is done for it while the turn has no time left. A hundred requests for long listings that come at
//! once would each take a slice before the next one is read, and a small request among them would wait for all.

use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::services::Services;

/// Does the first slice of `work` by `slice`, if there is time for it: what is small is complete at once.
pub fn begin<W>(
    mut work: Box<W>,
    ex: &mut Exchange,
    cx: &mut Services,
    slice: fn(&mut W, &mut Exchange, &mut Services) -> Flow,
) -> Begun<W> {
    if cx.slice.is_over() {
        return Ok(work);
    }
    match slice(&mut work, ex, cx) {
        Flow::Wait => Ok(work),
        flow => Err(flow),
    }
}
