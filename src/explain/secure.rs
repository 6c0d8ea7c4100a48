//! What a request would know about its TLS connection: the SNI name is its host, and of a client certificate only
//! whether a valid one exists.

use super::query::Query;
use super::question::Question;
use crate::config::model::{Config, EndpointId};
use crate::config::settings::ssl::VerifyClient;
use crate::exchange::tls::TlsFacts;
use crate::route::server;
use std::net::IpAddr;
use std::rc::Rc;

/// The facts of the connection; None: the listener speaks plain HTTP.
pub fn facts(config: &Config, endpoint: EndpointId, question: &Question, asked: &Query) -> Option<Rc<TlsFacts>> {
    let listener = &config.endpoints[endpoint.at()];
    listener.ssl?;
    // Logs do not contain the scheme.
    let is_asked = asked.line.is_none() && asked.listener.is_none() && !asked.tls;
    if is_asked && question.authority.as_ref().is_some_and(|authority| !authority.is_secure) {
        return Some(Rc::new(TlsFacts { is_plain: true, ..TlsFacts::default() }));
    }
    let (name, _) = question.name();
    // An address cannot be sent as SNI, and a name has no trailing dot there (RFC 6066, section 3).
    let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
    let name = Some(name).filter(|name| name.trim_matches(['[', ']']).parse::<IpAddr>().is_err());
    let is_known = |name: &String| matches!(server::by_name(listener, name.as_bytes()), Ok(Some(_)));
    Some(Rc::new(TlsFacts {
        is_named: name.as_ref().is_some_and(is_known),
        server_name: name.map(String::into_boxed_str),
        protocol: "TLSv1.3",
        verdict: asked.certificate.then_some(Ok(())),
        ..TlsFacts::default()
    }))
}

/// Whether some server requests client certificates.
pub fn asks_for_certificates(config: &Config) -> bool {
    config.locations.iter().any(|location| location.settings.ssl.verify != VerifyClient::Off)
}
