//! Which directives a request was passed on by.

use crate::config::settings::proxy::Proxy as Settings;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::Exchange;
use std::rc::Rc;

/// The settings of the directives that passed a request on.
pub fn settings(ex: &Exchange) -> &Rc<Settings> {
    let settings = &ex.here().settings;
    match ex.log.upstream.as_ref().map(|record| record.protocol) {
        Some(Protocol::FastCgi) => &settings.fastcgi,
        Some(Protocol::Scgi) => &settings.scgi,
        Some(Protocol::Uwsgi) => &settings.uwsgi,
        Some(Protocol::Cgi) => &settings.cgi_upstream,
        Some(Protocol::Tunnel) => &settings.tunnel,
        Some(Protocol::Http1) | None => &settings.proxy,
    }
}
