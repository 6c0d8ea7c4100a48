//! `proxy_pass https://…`: the server name for SNI and for its certificate, and how the certificate is verified.

use crate::config::model::Level;
use crate::config::tls_material::{ClientTls, UpstreamTls};
use crate::exchange::{Exchange, variables};
use crate::http::host;
use crate::http::status::Status;
use crate::services::Services;
use crate::tls::session::Session;
use crate::tls::verify::{Purpose, check_host};
use crate::tls::{CertificateDer, ClientConfig, ServerName};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// The TLS configuration of a connection. Requests with equal configurations share connections.
#[derive(Clone, Debug)]
pub struct Secure {
    /// `proxy_ssl_*` of the location.
    pub settings: Rc<UpstreamTls>,
    /// The handshake configuration: the client certificate may depend on the request.
    config: Arc<ClientConfig>,
    /// proxy_ssl_name, without a port.
    pub name: Box<str>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Secure) -> bool {
        let is_same = Rc::ptr_eq(&self.settings, &other.settings) && Arc::ptr_eq(&self.config, &other.config);
        is_same && self.name == other.name
    }
}

impl Hash for Secure {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (Rc::as_ptr(&self.settings).addr(), Arc::as_ptr(&self.config).addr(), &self.name).hash(hasher);
    }
}

impl Secure {
    /// Creates a session that is about to send its ClientHello.
    pub fn session(&self) -> Result<Session, String> {
        let name = self.name.trim_matches(['[', ']']);
        // A name that is not a DNS name is not sent (nginx).
        let nameless = || ServerName::IpAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED).into());
        let name = ServerName::try_from(name.to_owned()).unwrap_or_else(|_| nameless());
        Session::client(self.config.clone(), name).map_err(|fault| fault.to_string())
    }

    /// Verifies the server's certificates. Err: the sentence for the log.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<(), String> {
        let Some(trust) = &self.settings.verify else { return Ok(()) };
        trust
            .verify(chain, Purpose::Server, now)
            .map_err(|fault| format!("upstream SSL certificate verify error: ({}:{})", fault.number(), fault.text()))?;
        let name = self.name.trim_matches(['[', ']']);
        let fits = chain.first().is_some_and(|leaf| check_host(leaf, name.as_bytes()).is_ok());
        if fits { Ok(()) } else { Err(format!("upstream SSL certificate does not match \"{name}\"")) }
    }
}

/// The location's TLS settings for this request. `proxied`: the host of the URL.
pub fn secure(ex: &mut Exchange, cx: &mut Services, proxied: &[u8]) -> Result<Secure, Status> {
    let config = ex.config.clone();
    let Some(settings) = config.location(ex.route.location).upstream_tls.clone() else {
        return Err(Status::INTERNAL_SERVER_ERROR);
    };
    let config = match &settings.client {
        ClientTls::Ready(config) => config.clone(),
        ClientTls::Variable(variable) => {
            let certificate = variables::text(&variable.certificate, ex, cx);
            let key = variables::text(&variable.key, ex, cx);
            match variable.load(&certificate, &key) {
                Ok(config) => config,
                Err(why) => {
                    ex.report(cx, Level::Error, format_args!("{why}"));
                    return Err(Status::INTERNAL_SERVER_ERROR);
                }
            }
        }
    };
    let name = match &settings.name {
        Some(template) => variables::text(template, ex, cx),
        None => proxied.to_vec(),
    };
    let name = host::name(&name);
    Ok(Secure { settings, config, name: String::from_utf8_lossy(name).into() })
}
