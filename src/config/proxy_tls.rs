//! Builds the TLS configuration for connections to a location's upstream from its `proxy_ssl_*` or `uwsgi_ssl_*`
//! directives.

use super::ast::Span;
use super::certificates::{self, PemSource};
use super::error::{Diagnostic, Diagnostics};
use super::model::Location;
use super::settings::proxy_pass::{Protocol, To};
use super::settings::proxy_ssl::ProxySsl;
use super::settings::ssl::Named;
use super::tls_checks::{self, Peer};
use super::tls_material::{ClientTls, UpstreamTls, VariableClient, sentence};
use crate::tls::client::Options;
use crate::tls::verify::Trust;
use crate::tls::{CertifiedKey, ciphers};
use crate::util::checkpoint;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// How many servers' sessions are cached for resumption, per configuration.
const SESSIONS: usize = 256;

/// Builds the configuration of every location that may use TLS to its upstream.
pub fn equip(directory: &Path, locations: &mut [Location], found: &mut Diagnostics) {
    let mut made: HashMap<*const ProxySsl, Option<Rc<UpstreamTls>>> = HashMap::new();
    let (mut checked, mut reported) = (Checked::new(), HashSet::new());
    for location in locations {
        checkpoint::pass_costly();
        let Some(pass) = &location.pass else { continue };
        let speaks = matches!(pass.protocol, Protocol::Http1 | Protocol::Uwsgi);
        let is_secure = speaks && (pass.is_secure || matches!(pass.to, To::Made(_)));
        if is_secure {
            let settings = &location.settings;
            let ssl = if pass.protocol == Protocol::Uwsgi { &settings.uwsgi_ssl } else { &settings.proxy_ssl }.clone();
            let entry = made.entry(Rc::as_ptr(&ssl));
            let tls = entry.or_insert_with(|| {
                let mut own = Diagnostics::default();
                let tls = make(directory, pass.protocol, &ssl, &mut checked, &mut own);
                // Many locations may inherit one directive, each with other settings beside it: report its error once.
                let fresh = own.iter().filter(|d| reported.insert((d.span, d.message.clone())));
                fresh.for_each(|diagnostic| found.push(diagnostic.clone()));
                tls.map(Rc::new)
            });
            location.upstream_tls = tls.clone();
        }
    }
}

/// Pairs already checked; many locations may share one.
type Checked = HashSet<(PemSource, PemSource)>;

fn path(directory: &Path, named: &Named) -> PathBuf {
    directory.join(OsStr::from_bytes(named.name.constant().unwrap_or_default()))
}

fn make(
    directory: &Path,
    protocol: Protocol,
    ssl: &ProxySsl,
    checked: &mut Checked,
    found: &mut Diagnostics,
) -> Option<UpstreamTls> {
    let before = found.errors();
    let mut fail = |named: &Named, text: String| found.push(Diagnostic::emerg(named.span, text));
    let mut file = |named: &Option<Named>, what: &str, read: &dyn Fn(&Path) -> Result<Loaded, String>| {
        let named = named.as_ref()?;
        let path = path(directory, named);
        read(&path).map_err(|why| fail(named, format!("cannot load {what} \"{}\": {why}", path.display()))).ok()
    };
    let passwords = file(&ssl.passwords, "passwords", &|path| certificates::passwords(path).map(Loaded::Passwords));
    let roots = file(&ssl.trusted, "trusted certificates", &|path| certificates::trusted(path).map(Loaded::Roots));
    let crls = file(&ssl.crl, "revocation lists", &|path| certificates::crls(path).map(Loaded::Crls));
    let passwords = if let Some(Loaded::Passwords(words)) = passwords { words } else { Vec::new() };
    if let (Some(certificate), None) = (&ssl.certificate, &ssl.key) {
        let module = module(protocol);
        fail(certificate, format!("no \"{module}_ssl_certificate_key\" is defined for the certificate"));
    }
    let pair = ssl.certificate.as_ref().zip(ssl.key.as_ref());
    let is_variable = |named: &Named| named.name.constant().is_none();
    let variable = pair.filter(|(certificate, key)| is_variable(certificate) || is_variable(key));
    let certificate = match pair.filter(|_| variable.is_none()) {
        Some((certificate, key)) => load(directory, certificate, key, &passwords, checked, found),
        None => None,
    };
    let verify = match ssl.verify {
        Some(span) => Some(trust(span, protocol, ssl, roots, crls, found)?),
        None => None,
    };
    let options = Options {
        protocols: ssl.protocols,
        suites: ciphers::suites(&ssl.ciphers)?,
        certificate,
        sends_name: ssl.server_name,
        sessions: if ssl.session_reuse { SESSIONS } else { 0 },
        alpn: Vec::new(),
    };
    if found.errors() > before {
        return None;
    }
    let client = match variable {
        Some((certificate, key)) => ClientTls::Variable(Box::new(VariableClient {
            certificate: certificate.name.clone(),
            key: key.name.clone(),
            directory: directory.to_owned(),
            passwords,
            options,
            made: RefCell::default(),
        })),
        None => {
            let failed = |why| Diagnostic::emerg(None, format!("cannot prepare TLS to upstreams: {why}"));
            ClientTls::Ready(options.build().map_err(|why| found.push(failed(why))).ok()?)
        }
    };
    Some(UpstreamTls { client, name: ssl.name.clone(), verify })
}

/// The roots and CRLs by which the upstream's certificate is verified.
fn trust(
    span: Span,
    protocol: Protocol,
    ssl: &ProxySsl,
    roots: Option<Loaded>,
    crls: Option<Loaded>,
    found: &mut Diagnostics,
) -> Option<Trust> {
    let Some(Loaded::Roots(roots)) = roots else {
        if ssl.trusted.is_none() {
            let module = module(protocol);
            let text = format!("no {module}_ssl_trusted_certificate for {module}_ssl_verify");
            found.push(Diagnostic::emerg(span, text));
        }
        return None;
    };
    let crls = if let Some(Loaded::Crls(lists)) = crls { Some(lists) } else { None };
    Some(Trust::new(roots, crls, ssl.verify_depth))
}

/// Loads a certificate and its key. On an error, reports it and returns None.
fn load(
    directory: &Path,
    certificate: &Named,
    key: &Named,
    passwords: &[Vec<u8>],
    checked: &mut Checked,
    found: &mut Diagnostics,
) -> Option<Arc<CertifiedKey>> {
    let source = |named: &Named| PemSource::new(named.name.constant().unwrap_or_default(), directory);
    let (from, key_from) = (source(certificate), source(key));
    match certificates::load(&from, &key_from, passwords) {
        Ok(pair) => {
            if checked.insert((from.clone(), key_from.clone())) {
                let now = crate::sys::clock::realtime().0;
                let places = ((&from, certificate.span), (&key_from, key.span));
                let diagnostics = tls_checks::pair(Peer::Upstream, places.0, places.1, &pair, now);
                diagnostics.into_iter().for_each(|diagnostic| found.push(diagnostic));
            }
            Some(pair)
        }
        Err(wrong) => {
            let (of_key, text) = sentence(&wrong, &from, &key_from);
            found.push(Diagnostic::emerg(if of_key { key } else { certificate }.span, text));
            None
        }
    }
}

/// The prefix of its directives.
fn module(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Uwsgi { "uwsgi" } else { "proxy" }
}

/// The contents of a file.
enum Loaded {
    Passwords(Vec<Vec<u8>>),
    Roots(Vec<crate::tls::CertificateDer<'static>>),
    Crls(Vec<crate::tls::crl::Crl>),
}
