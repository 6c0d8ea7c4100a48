//! DELETE.

use crate::exchange::Exchange;
use crate::exchange::phases::Flow;
use crate::http::status::Status;
use crate::shared::Cx;

pub struct Form {}

pub fn run(_ex: &mut Exchange, _cx: &mut Cx) -> Flow {
    Flow::Status(Status::NOT_IMPLEMENTED)
}

impl Form {
    pub fn accept(&mut self, _data: &[u8]) -> Result<(), Flow> {
        Ok(())
    }

    pub fn finish(self, _ex: &mut Exchange, _cx: &mut Cx) -> Flow {
        Flow::Status(Status::NOT_IMPLEMENTED)
    }
}
