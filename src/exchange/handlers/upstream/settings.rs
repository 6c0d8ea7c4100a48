//! The settings of the pass directives.

use crate::config::settings::proxy::ProxySettings;
use crate::exchange::Exchange;
use std::rc::Rc;

/// The settings that belong to the location's pass directive.
pub fn settings(ex: &Exchange) -> &Rc<ProxySettings> {
    let protocol = ex.log.upstream.as_ref().map(|record| record.protocol);
    ex.location().settings.upstream(protocol.unwrap_or_default())
}
