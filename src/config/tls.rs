//! Builds the TLS configuration of each server from its `ssl_*` directives. Files are read while loading, except
//! certificates whose names have variables, which are read at the handshake.

use super::acme::CertificateId;
use super::ast::Span;
use super::certificates::{self, PemSource};
use super::error::{Diagnostic, Diagnostics};
use super::load::Touch;
use super::local_ca;
use super::local_certificate::LocalCertificate;
use super::model::{Endpoint, Location, Server, ServerId};
use super::settings::ssl::{Named, Ssl, VerifyClient};
use super::template::{Builtin, Part, Var};
use super::tls_checks::{self, Peer};
use super::tls_material::{Acme, Handshake, ServerTls, Variable, sentence};
use super::tls_recipe::Recipe;
use crate::io::open;
use crate::sys::Errno;
use crate::tls::ticket::Key;
use crate::tls::verify::Trust;
use crate::tls::x509::Certificate;
use crate::tls::{CertifiedKey, names};
use crate::util::checkpoint;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Whether a server uses the certificate of its `acme_certificate`: it names only that one, or none at all.
fn takes_acme(ssl: &Ssl) -> bool {
    let is = |named: &Named, builtin| *named.name.parts == [Part::Var(Var::Builtin(builtin))];
    match (&ssl.certificates[..], &ssl.keys[..]) {
        ([], _) => ssl.auto.is_none(),
        ([certificate], [key]) => is(certificate, Builtin::AcmeCertificate) && is(key, Builtin::AcmeCertificateKey),
        _ => false,
    }
}

/// ALPN protocols, the preferred one first.
fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let http1 = [&b"http/1.1"[..], b"http/1.0", b"http/0.9"];
    http2.then_some(&b"h2"[..]).into_iter().chain(http1).map(<[u8]>::to_vec).collect()
}

/// What determines a server's certificates.
#[derive(Clone, Copy)]
struct CertificateSources<'w> {
    ssl: &'w Rc<Ssl>,
    names: &'w [(String, Span)],
    http2: bool,
    acme: Option<CertificateId>,
}

/// State shared while all servers are built.
pub struct Builder<'a> {
    /// Relative file names start here.
    pub directory: &'a Path,
    /// Seconds since 1970.
    pub now: i64,
    /// Where errors go.
    pub diagnostics: &'a mut Diagnostics,
    /// Whether files may be written (`auto`).
    pub touch: Touch,
    /// By settings (identity) and whether HTTP/2 is offered.
    made: HashMap<(*const Ssl, bool), Option<Rc<ServerTls>>>,
    /// Of servers without certificates, by settings (identity).
    borrowed: HashMap<*const Ssl, Option<Rc<Trust>>>,
    leaves: HashMap<*const Ssl, Vec<(Span, Arc<CertifiedKey>)>>,
    /// Pairs already checked; many servers may share one.
    checked: HashSet<(PemSource, PemSource)>,
}

impl<'a> Builder<'a> {
    /// Nothing is read yet.
    pub fn new(directory: &'a Path, now: i64, touch: Touch, diagnostics: &'a mut Diagnostics) -> Builder<'a> {
        let (made, borrowed) = (HashMap::new(), HashMap::new());
        let (leaves, checked) = (HashMap::new(), HashSet::new());
        Builder { directory, now, diagnostics, touch, made, borrowed, leaves, checked }
    }

    /// Sets the TLS configuration of every server, and checks that default servers of TLS listeners have one. `names`:
    /// the names of each server; `by_acme`: servers with acme_certificate, whose lack of a certificate is reported
    /// elsewhere.
    pub fn attach_certificates(
        &mut self,
        servers: &mut [Server],
        locations: &[Location],
        endpoints: &[Endpoint],
        names: &[Vec<(String, Span)>],
        by_acme: &HashSet<ServerId>,
    ) {
        let by_listen: HashSet<usize> =
            endpoints.iter().filter(|endpoint| endpoint.http2).map(|endpoint| endpoint.default.at()).collect();
        // A server without TLS may inherit certificates from http, which then do not matter.
        let by_tls: HashSet<ServerId> =
            endpoints.iter().filter(|endpoint| endpoint.ssl.is_some()).flat_map(Endpoint::servers).collect();
        for (at, server) in servers.iter_mut().enumerate() {
            checkpoint::pass_costly();
            let Some(root) = locations.get(server.root.at()) else { continue };
            let ssl = &root.settings.ssl;
            let acme = server.acme;
            let http2 = root.settings.http2.enable || by_listen.contains(&at);
            let names = names.get(at).map(Vec::as_slice).unwrap_or_default();
            server.tls = self.server(CertificateSources { ssl, names, http2, acme });
            server.trust = match &server.tls {
                Some(tls) => (tls.verify != VerifyClient::Off).then(|| tls.trust.clone()),
                None if by_tls.contains(&ServerId(at as u32)) => self.borrower(ssl),
                None => None,
            };
            let is_shown = !ssl.reject_handshake && by_tls.contains(&ServerId(at as u32));
            if let Some(leaves) = self.leaves.get(&Rc::as_ptr(ssl)).filter(|_| is_shown) {
                tls_checks::uncovered(leaves, names).into_iter().for_each(|warning| self.diagnostics.push(warning));
            }
        }
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.ssl.is_some()) {
            let default = &servers[endpoint.default.at()];
            let named = by_acme.contains(&endpoint.default)
                || locations.get(default.root.at()).is_some_and(|root| {
                    let ssl = &root.settings.ssl;
                    ssl.auto.is_some() || !ssl.certificates.is_empty() || ssl.reject_handshake
                });
            if !named {
                let text = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
                let help = "name one in the server or in http, or \"ssl_certificate auto\" on a developer's machine";
                self.diagnostics.push(Diagnostic::emerg(endpoint.ssl.unwrap_or(endpoint.span), text).help(help));
            }
        }
    }

    fn fail(&mut self, span: Span, text: String) {
        if self.diagnostics.lacks_end(span) {
            return;
        }
        let help = self.cure(&text);
        let error = Diagnostic::emerg(span, text);
        self.diagnostics.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    /// The help for an error in a certificate's files.
    fn cure(&self, text: &str) -> Option<String> {
        if text.starts_with("no \"ssl_certificate_key\"") {
            return Some("name its key beside it: ssl_certificate_key PATH;".into());
        }
        if text.starts_with("no ssl_client_certificate") {
            return Some("name the CA of the clients' certificates: ssl_client_certificate PATH;".into());
        }
        let name = text.split('"').nth(1)?;
        if text.contains(&Errno::EACCES.to_string()) {
            return Some(open::unreadable(Path::new(name)));
        }
        if !text.contains("No such file") {
            return None;
        }
        if let Some(meant) = super::load::meant(&self.directory.join(name), name) {
            return Some(format!("did you mean \"{meant}\"?"));
        }
        let place = format!("correct the path: a relative one begins at \"{}\"", self.directory.display());
        Some(match text.starts_with("cannot load certificate \"") {
            false => place,
            true => format!(
                "{place}; or `acme_certificate default;` gets one for a public name, `ssl_certificate auto;` makes one for \
                 this machine"
            ),
        })
    }

    fn path(&self, named: &Named) -> PathBuf {
        self.directory.join(OsStr::from_bytes(named.name.constant().unwrap_or_default()))
    }

    /// Reads a file; an error is reported and gives None.
    fn file<T>(&mut self, named: Option<&Named>, read: impl Fn(&Path) -> Result<T, String>, what: &str) -> Option<T> {
        let named = named?;
        let path = self.path(named);
        match read(&path) {
            Ok(found) => Some(found),
            Err(why) => {
                self.fail(named.span, format!("cannot load {what} \"{}\": {why}", path.display()));
                None
            }
        }
    }

    fn server(&mut self, wanted: CertificateSources<'_>) -> Option<Rc<ServerTls>> {
        // These differ from server to server, so they cannot be shared.
        if wanted.acme.is_some() || wanted.ssl.auto.is_some() {
            return self.make(wanted);
        }
        let key = (Rc::as_ptr(wanted.ssl), wanted.http2);
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let made = self.make(wanted);
        self.made.insert(key, made.clone());
        made
    }

    fn make(&mut self, wanted: CertificateSources<'_>) -> Option<Rc<ServerTls>> {
        let CertificateSources { ssl, names, http2, acme } = wanted;
        let acme = acme.filter(|_| takes_acme(ssl));
        if ssl.reject_handshake && ssl.certificates.is_empty() && ssl.auto.is_none() {
            let trust = Rc::default();
            return Some(Rc::new(ServerTls {
                handshake: Handshake::Refused,
                verify: VerifyClient::Off,
                trust,
                read_until: None,
            }));
        }
        if ssl.certificates.is_empty() && ssl.auto.is_none() && acme.is_none() {
            return None;
        }
        let (trust, client_names) = self.trust(ssl)?;
        let recipe = self.recipe(ssl, &trust, client_names, http2)?;
        let passwords = self.file(ssl.passwords.as_ref(), certificates::passwords, "passwords").unwrap_or_default();
        let handshake = match acme {
            Some(certificate) => Handshake::Acme(Box::new(Acme::new(certificate, recipe))),
            None => self.handshake(ssl, names, recipe, passwords)?,
        };
        let handshake = if ssl.reject_handshake { Handshake::Refused } else { handshake };
        let leaves = self.leaves.get(&Rc::as_ptr(ssl)).into_iter().flatten();
        let read_until = leaves.filter_map(|(_, pair)| Some(certificates::leaf(pair)?.not_after)).min();
        Some(Rc::new(ServerTls { handshake, verify: ssl.verify, trust: Rc::new(trust), read_until }))
    }

    /// By what a server verifies clients that has no certificates: the handshake is the default server's.
    fn borrower(&mut self, ssl: &Rc<Ssl>) -> Option<Rc<Trust>> {
        let names_cas = ssl.client_certificate.is_some() || ssl.trusted_certificate.is_some();
        if ssl.verify == VerifyClient::Off || !names_cas {
            return None;
        }
        if let Some(made) = self.borrowed.get(&Rc::as_ptr(ssl)) {
            return made.clone();
        }
        let made = self.trust(ssl).map(|(trust, _)| Rc::new(trust));
        self.borrowed.insert(Rc::as_ptr(ssl), made.clone());
        made
    }

    /// Reports a certificate without a key. If a misspelled ssl_certificate_key was reported already, checks only that
    /// the certificate can be read.
    fn keyless(&mut self, certificate: &Named) {
        if !self.diagnostics.has_meant("ssl_certificate_key") {
            return self.fail(certificate.span, keyless_text(certificate));
        }
        let path = self.path(certificate);
        if let Err(why) = certificates::read(&path) {
            self.fail(certificate.span, format!("cannot load certificate \"{}\": {why}", path.display()));
        }
    }

    fn handshake(
        &mut self,
        ssl: &Rc<Ssl>,
        names: &[(String, Span)],
        recipe: Recipe,
        passwords: Vec<Vec<u8>>,
    ) -> Option<Handshake> {
        if ssl.has_foreign_key {
            return None;
        }
        if let Some(missing) = ssl.certificates.get(ssl.keys.len()) {
            self.keyless(missing);
            return None;
        }
        let pairs: Vec<(&Named, &Named)> = ssl.certificates.iter().zip(&ssl.keys).collect();
        if pairs.iter().any(|(c, k)| c.name.constant().is_none() || k.name.constant().is_none()) {
            let pairs = pairs.iter().map(|(c, k)| (c.name.clone(), k.name.clone())).collect();
            let directory = self.directory.to_owned();
            return Some(Handshake::Variable(Box::new(Variable { pairs, directory, passwords, recipe })));
        }
        let mut found = Vec::new();
        for (certificate, key) in pairs {
            let source = |named: &Named| PemSource::new(named.name.constant().unwrap_or_default(), self.directory);
            let (from, key_from) = (source(certificate), source(key));
            match certificates::load(&from, &key_from, &passwords) {
                Ok(pair) => {
                    if self.checked.insert((from.clone(), key_from.clone())) {
                        let places = ((&from, certificate.span), (&key_from, key.span));
                        let found = tls_checks::pair(Peer::Client, places.0, places.1, &pair, self.now);
                        found.into_iter().for_each(|diagnostic| self.diagnostics.push(diagnostic));
                    }
                    self.leaves.entry(Rc::as_ptr(ssl)).or_default().push((certificate.span, pair.clone()));
                    found.push(pair);
                }
                Err(wrong) => {
                    let (of_key, text) = sentence(&wrong, &from, &key_from);
                    self.fail(if of_key { key.span } else { certificate.span }, text);
                    if !of_key && from != key_from && !self.diagnostics.lacks_end(certificate.span) {
                        self.unread_key(key, &key_from);
                    }
                }
            }
        }
        if let Some(span) = ssl.auto {
            return self.automatic(span, names, found, recipe).map(|local| Handshake::Local(Box::new(local)));
        }
        if found.is_empty() {
            return None;
        }
        let span = ssl.certificates.first().map(|named| named.span).unwrap_or_default();
        match recipe.build(found) {
            Ok(config) => Some(Handshake::Ready(config)),
            Err(why) => {
                self.fail(span, format!("cannot prepare TLS: {why}"));
                None
            }
        }
    }

    /// Reports a key that cannot be read when the certificate is wrong too: these are two mistakes.
    fn unread_key(&mut self, key: &Named, from: &PemSource) {
        if let PemSource::File(path) = from
            && let Err(why) = certificates::read(path)
        {
            self.fail(key.span, format!("cannot load certificate key \"{}\": {why}", path.display()));
        }
    }

    /// The certificate signed by the local authority, in addition to `others`, which the server names.
    fn automatic(
        &mut self,
        span: Span,
        names: &[(String, Span)],
        others: Vec<Arc<CertifiedKey>>,
        recipe: Recipe,
    ) -> Option<LocalCertificate> {
        let names: Vec<String> = names.iter().flat_map(|(name, _)| tls_checks::spelled_out(name)).collect();
        let directory = local_ca::directory();
        let kept = directory.as_ref().ok().filter(|_| self.touch == Touch::Write).cloned();
        let made = match self.touch {
            Touch::Nothing => local_ca::obtain(None, &names, self.now),
            Touch::Read => directory.and_then(|directory| local_ca::foresee(&directory, &names, self.now)),
            Touch::Write => directory.and_then(|directory| local_ca::obtain(Some(&directory), &names, self.now)),
        };
        let made = made.or_else(|why| {
            // HTTPS works, but browsers will ask for another exception after a restart.
            let text = format!("the local authority is kept only in memory, until the process ends: {why}");
            self.diagnostics.push(Diagnostic::warn(span, text).help(local_ca::REMEDY));
            local_ca::obtain(None, &names, self.now)
        });
        if let Some(begins) = made.as_ref().ok().and_then(local_ca::begins).filter(|begins| *begins > self.now) {
            self.diagnostics.push(too_early(span, begins, self.now));
        }
        match made.and_then(|made| LocalCertificate::new(names, kept, others, recipe, &made)) {
            Ok(local) => Some(local),
            Err(why) => {
                self.fail(span, format!("cannot make a certificate: {why}"));
                None
            }
        }
    }

    /// The CAs and CRLs to verify clients, and the CA names to send in certificate requests.
    fn trust(&mut self, ssl: &Ssl) -> Option<(Trust, Option<Vec<Vec<u8>>>)> {
        let before = self.diagnostics.errors();
        let (mut trusted, mut names) = (Vec::new(), Vec::new());
        if let Some(roots) = self.file(ssl.client_certificate.as_ref(), certificates::trusted, "client certificates") {
            for subject in roots.iter().filter_map(|der| Certificate::parse(der).ok().map(|c| c.subject.to_vec())) {
                if !names.contains(&subject) {
                    names.push(subject);
                }
            }
            trusted = roots;
        }
        let others = self.file(ssl.trusted_certificate.as_ref(), certificates::trusted, "trusted certificates");
        trusted.extend(others.unwrap_or_default());
        let crls = self.file(ssl.crl.as_ref(), certificates::crls, "revocation lists");
        if ssl.verify == VerifyClient::On || ssl.verify == VerifyClient::Optional {
            let missing = ssl.client_certificate.is_none() && ssl.trusted_certificate.is_none();
            if missing && let Some(place) = ssl.verify_at {
                self.fail(place, "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".into());
            }
        }
        let trust = Trust::new(trusted, crls, ssl.verify_depth);
        (self.diagnostics.errors() == before).then_some((trust, (ssl.verify != VerifyClient::Off).then_some(names)))
    }

    fn recipe(
        &mut self,
        ssl: &Rc<Ssl>,
        trust: &Trust,
        client_names: Option<Vec<Vec<u8>>>,
        http2: bool,
    ) -> Option<Recipe> {
        let before = self.diagnostics.errors();
        let mut ticket_keys = Vec::new();
        for named in &ssl.ticket_keys {
            let read = |path: &Path| {
                let bytes = certificates::read(path)?;
                Key::from_bytes(&bytes).map(Arc::new).ok_or_else(|| "it must be 48 or 80 bytes".to_owned())
            };
            ticket_keys.extend(self.file(Some(named), read, "session ticket key"));
        }
        let stapled = self.file(ssl.stapling_file.as_ref(), certificates::ocsp, "OCSP response");
        let mut policy = vec![ssl.verify as u8];
        policy.extend(ssl.verify_depth.to_be_bytes());
        if ssl.verify != VerifyClient::Off {
            trust.roots().iter().for_each(|root| policy.extend_from_slice(root));
            policy.push(u8::from(trust.crls().is_some()));
            // Sessions verified with other CRLs must not be resumed.
            trust.crls().iter().copied().flatten().for_each(|crl| policy.extend_from_slice(crl.content()));
        }
        let alpn = protocols(http2);
        let recipe = Recipe { ssl: ssl.clone(), alpn, client_names, policy, ticket_keys, stapled };
        (self.diagnostics.errors() == before).then_some(recipe)
    }
}

/// The error for a certificate without a key.
fn keyless_text(certificate: &Named) -> String {
    match certificate.name.constant() {
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            format!("no \"ssl_certificate_key\" is defined for certificate \"{name}\"")
        }
        None => "no \"ssl_certificate_key\" is defined for the certificate".into(),
    }
}

/// The warning for a local authority that no client accepts yet.
fn too_early(span: Span, begins: i64, now: i64) -> Diagnostic {
    let (begins, now) = (names::time(begins), names::time(now));
    let text = format!("the local authority is not yet valid (valid from {begins})");
    let help = format!(
        "this machine's clock says {now}: is it right? Where it was wrong when the authority was made, remove \"ca.crt\" \
         beside the files that `webserv cert` names, and trust the next one"
    );
    Diagnostic::warn(span, text).help(help)
}
