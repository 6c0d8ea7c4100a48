//! Listings of directories.

use crate::exchange::Exchange;
use crate::exchange::phases::Flow;
use crate::http::status::Status;
use crate::shared::Cx;

pub fn run(_ex: &mut Exchange, _cx: &mut Cx, _root: usize) -> Flow {
    Flow::Status(Status::FORBIDDEN)
}
