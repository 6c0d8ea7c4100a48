//! The directives by which a request is passed on.

use crate::config::settings::proxy::Proxy as Settings;
use crate::exchange::Exchange;
use std::rc::Rc;

/// The settings of the directives that passed a request on.
pub fn settings(ex: &Exchange) -> &Rc<Settings> {
    let protocol = ex.log.upstream.as_ref().map(|record| record.protocol);
    ex.here().settings.upstream(protocol.unwrap_or_default())
}
