//! A DELETE of a directory with all that is in it, a slice each turn of the loop. It is finished even if its client goes
//! away: a tree that is half removed helps nobody.

use super::{done, status};
use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, SLICE};
use crate::exchange::response::ContentType;
use crate::http::escape::escape_path;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::remove_tree::{Removal, Stuck};
use crate::sys::clock;

pub struct Removing(pub Removal);

impl Removing {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let until = clock::monotonic() + SLICE;
        loop {
            let outcome = self.0.step(&mut cx.temp_names);
            if outcome == Ok(true) && clock::monotonic() < until {
                continue;
            }
            // What was true this turn is no longer: a pipelined GET must not be answered from the file cache.
            cx.now.advance_epoch();
            cx.quotas.less();
            return match outcome {
                Ok(true) => Flow::Wait,
                Ok(false) => done(ex),
                Err(stuck) => told(ex, cx, &stuck, self.0.removed),
            };
        }
    }
}

/// Something in the directory cannot be removed: what it is, and that the rest is left.
pub fn told(ex: &mut Exchange, cx: &mut Services, stuck: &Stuck, removed: u64) -> Flow {
    let Stuck { path, call, errno } = stuck;
    let (status, level) = match status(*errno) {
        // What is being removed is there: an entry of it has gone.
        (Status::NOT_FOUND, level) => (Status::CONFLICT, level),
        known => known,
    };
    let (base, inner) =
        (String::from_utf8_lossy(&ex.route.path).into_owned(), String::from_utf8_lossy(path).into_owned());
    let base = base.trim_end_matches('/');
    ex.report(
        cx,
        level,
        format_args!("{call} \"{base}/{inner}\" failed {errno}, {removed} entries were removed before"),
    );
    if removed == 0 {
        return Flow::Status(status);
    }
    // The name as in a URI: it is what somebody else chose.
    let mut text = b"This could not be removed: \"".to_vec();
    escape_path(path, &mut text);
    let why = errno.message();
    let line = format!("\" ({why}).\nIt and what is beside it is left; {removed} entries of the directory are gone.\n");
    text.extend_from_slice(line.as_bytes());
    ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), text);
    Flow::Respond
}
