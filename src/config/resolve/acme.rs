//! Resolves authorities and their certificates. Files of an issuer are read here, with the rights of the process that
//! reads the configuration.

use crate::acme::Terms;
use crate::acme::jose::AccountKey as Jose;
use crate::acme::wire::Url;
use crate::config::acme::{AccountKey, Acme, Certificate, CertificateId, Issuer};
use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Form, LocationDraft, Scope};
use crate::config::certificates;
use crate::config::context::Contexts;
use crate::config::directives::acme::is_identifier;
use crate::config::directives::resolver;
use crate::config::error::Diagnostic;
use crate::config::fault::Fault;
use crate::config::local_ca;
use crate::config::settings::Settings;
use crate::config::settings::acme::{AccountKeySource, CertificateRequest, EabSecret, IssuerDraft, StateStore};
use crate::config::settings::listen::Name;
use crate::config::suggest;
use crate::http::escape;
use crate::tls::client::Options;
use crate::tls::verify::Trust;
use crate::util::text::Text;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;

/// The issuer that does not have to be defined.
const DEFAULT: &str = "default";
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Maximum chain length to a system root, without the leaf.
const DEPTH: u64 = 9;

/// Where distributions store the trusted CAs.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

impl Build {
    /// Reads an `acme_issuer` block; `outer` is the level of http.
    pub(super) fn acme_issuer(&mut self, outer: &Scope, d: &Directive, children: &[Directive]) {
        let mut scope = Scope::new(Contexts::ACME_ISSUER, outer.settings.clone(), LocationDraft::default()).within(d);
        let name = d.args[0].str().into_owned();
        scope.issuer = Some(IssuerDraft::new(&name, d.args[0].span));
        self.level(&mut scope, children);
        let Some(issuer) = scope.issuer.take() else { return };
        // A wrong `uri` is reported already.
        if issuer.uri.is_none() && !children.iter().any(|d| d.name.is("uri")) && !self.diagnostics.has_meant("uri") {
            let fault = Fault::new(d.args[0].span, format!("\"uri\" is missing in acme_issuer \"{name}\""));
            self.error(fault.help(format!("name the authority's directory, as in: uri {LETS_ENCRYPT};")));
        }
        match self.issuers.iter().find(|other| other.name == issuer.name) {
            Some(first) => {
                let fault = Fault::new(issuer.span, format!("duplicate acme_issuer \"{name}\""));
                self.error(fault.note(first.span, "first given here"));
            }
            None => self.issuers.push(issuer),
        }
    }

    /// Collects the certificates to get from each issuer, and assigns one to each server.
    pub(super) fn acme(&mut self) -> Acme {
        let mut acme = Acme::default();
        for at in 0..self.drafts.len() {
            let Some(wanted) = self.drafts[at].acme.clone() else { continue };
            let settings = self.servers.get(at).and_then(|server| self.locations.get(server.root.at()));
            let settings = settings.map(|root| root.settings.clone()).unwrap_or_default();
            let Some(names) = self.identifiers(at, &wanted) else {
                self.issuer_draft(&wanted);
                continue;
            };
            let known = acme.issuers.iter().position(|issuer| issuer.name == wanted.issuer);
            let issuer = match known {
                Some(known) => known,
                None => {
                    let Some(issuer) = self.issuer(&wanted, &settings) else { continue };
                    acme.issuers.push(Rc::new(issuer));
                    acme.issuers.len() - 1
                }
            };
            let certificate = Certificate { issuer, names, key: wanted.key };
            let id = acme.certificates.iter().position(|other| *other == certificate).unwrap_or_else(|| {
                acme.certificates.push(certificate);
                acme.certificates.len() - 1
            });
            self.servers[at].acme = Some(CertificateId(id));
        }
        acme
    }

    /// The names for a certificate.
    fn identifiers(&mut self, at: usize, wanted: &CertificateRequest) -> Option<Vec<String>> {
        let mut names: Vec<String> = wanted.names.iter().map(|(name, _)| name.clone()).collect();
        let mut left_out = Vec::new();
        if names.is_empty() {
            for (name, span) in &self.drafts[at].names {
                let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                match name {
                    Name::Exact(name) if is_identifier(&text(name)) => names.push(text(name)),
                    Name::Suffix { name, bare: true } => {
                        names.push(text(name.strip_prefix(b".").unwrap_or(name)));
                        left_out.push((*span, "names below it are not: wildcards would need dns-01"));
                    }
                    Name::Exact(name) if name.is_empty() => {}
                    _ => left_out.push((*span, "wildcards and regular expressions cannot be in a certificate of ACME")),
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        if names.is_empty() {
            let fault = Fault::new(wanted.span, "no name that a certificate could be issued for");
            self.error(
                fault.help("give server_name full names, or name them here: acme_certificate ISSUER example.org"),
            );
            return None;
        }
        let is_own = self.issuers.iter().any(|issuer| issuer.name == wanted.issuer);
        if let Some(name) = names.iter().find(|name| &*wanted.issuer == DEFAULT && !is_own && !is_public(name)) {
            let text = format!("no public authority certifies \"{name}\": only this machine or network knows the name");
            let help = "`ssl_certificate auto;` makes a certificate for it";
            self.warning(Diagnostic::warn(wanted.span, text).help(help));
        }
        for (span, why) in left_out {
            self.warn(span, format!("not all of these names are in the certificate: {why}"));
        }
        Some(names)
    }

    /// Where an issuer stores its state by default: in nginx's directory if nginx has created it, otherwise in the
    /// state directory. A service may write there, but seldom below the prefix.
    fn default_state(&self, issuer: &str) -> Result<PathBuf, String> {
        let name = format!("acme_{issuer}");
        let of_nginx = self.full_path(name.as_bytes());
        match local_ca::state_directory() {
            Ok(state) if self.form != Form::Nginx || !of_nginx.is_dir() => Ok(state.join(name)),
            Err(why) if self.form != Form::Nginx => Err(why),
            _ => Ok(of_nginx),
        }
    }

    fn issuer(&mut self, wanted: &CertificateRequest, settings: &Settings) -> Option<Issuer> {
        let draft = self.issuer_draft(wanted)?;
        let before = self.diagnostics.errors();
        let uri = draft.uri.clone()?;
        let trust = if draft.verify { self.trust(&draft) } else { None };
        let account_key = self.account_key(&draft.account_key);
        let external = draft.external.clone().and_then(|(kid, secret)| Some((kid, self.secret(&secret)?)));
        let client = match Options::with_defaults(8, vec![b"http/1.1".to_vec()]).build() {
            Ok(client) => client,
            Err(why) => {
                self.error(Fault::new(draft.span, format!("cannot prepare TLS to the issuer: {why}")));
                return None;
            }
        };
        let state = match draft.state {
            StateStore::Off => None,
            StateStore::Path(path) => Some(path),
            StateStore::Default => match self.default_state(&draft.name) {
                Ok(path) => Some(path),
                Err(why) => {
                    let text = format!("no directory for ACME accounts and certificates: {why}");
                    self.error(Fault::new(wanted.issuer_span, text).help(local_ca::REMEDY));
                    return None;
                }
            },
        };
        let terms = Terms {
            uri,
            contacts: draft.contacts,
            agreed: draft.agreed,
            external,
            challenge: draft.challenge,
            preferred_chain: draft.preferred_chain,
            profile: draft.profile,
        };
        let names = &settings.names;
        let issuer = Issuer {
            name: draft.name,
            terms,
            account_key: account_key?,
            client,
            trust,
            state,
            resolver: names.resolver.clone().unwrap_or_else(resolver::of_system),
            resolver_timeout: names.timeout,
        };
        (self.diagnostics.errors() == before).then_some(issuer)
    }

    /// The issuer's block; by default, Let's Encrypt.
    fn issuer_draft(&mut self, wanted: &CertificateRequest) -> Option<IssuerDraft> {
        if let Some(draft) = self.issuers.iter().find(|issuer| issuer.name == wanted.issuer) {
            return Some(draft.clone());
        }
        if &*wanted.issuer == DEFAULT {
            let uri = Url::parse(LETS_ENCRYPT);
            return Some(IssuerDraft { uri, agreed: true, ..IssuerDraft::new(DEFAULT, wanted.issuer_span) });
        }
        let text = format!("issuer \"{}\" is not defined", wanted.issuer);
        let names = self.issuers.iter().map(|issuer| &*issuer.name).chain([DEFAULT]);
        let help = suggest::did_you_mean(&wanted.issuer, names)
            .unwrap_or_else(|| "acme_issuer NAME { uri URL; … } in http, or `default` for Let's Encrypt".to_owned());
        self.error(Fault::new(wanted.issuer_span, text).help(help));
        None
    }

    fn trust(&mut self, draft: &IssuerDraft) -> Option<Trust> {
        let (path, span) = match &draft.trusted {
            Some((path, span)) => (path.clone(), *span),
            None => {
                let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
                let found = named.into_iter().chain(BUNDLES.iter().map(PathBuf::from)).find(|path| path.exists());
                let Some(path) = found else {
                    let fault =
                        Fault::new(draft.span, "this system has no bundle of trusted CAs to verify the issuer with");
                    self.error(fault.help("install ca-certificates, or name a file: ssl_trusted_certificate"));
                    return None;
                };
                (path, draft.span)
            }
        };
        match certificates::trusted(&path) {
            Ok(roots) => Some(Trust::new(roots, None, DEPTH)),
            Err(why) => {
                self.error(Fault::new(span, format!("cannot load trusted certificates \"{}\": {why}", path.display())));
                None
            }
        }
    }

    fn account_key(&mut self, key: &AccountKeySource) -> Option<AccountKey> {
        let (path, span) = match key {
            AccountKeySource::Made(kind) => return Some(AccountKey::Made(*kind)),
            AccountKeySource::File(path, span) => (path, *span),
        };
        let read = certificates::read(path).and_then(|text| {
            Jose::from_pem(&text)?;
            String::from_utf8(text).map_err(|_| "it is not text".to_owned())
        });
        read.map(AccountKey::Given)
            .map_err(|why| {
                self.error(Fault::new(span, format!("cannot load account key \"{}\": {why}", path.display())))
            })
            .ok()
    }

    /// The MAC key for external account binding.
    fn secret(&mut self, secret: &EabSecret) -> Option<Vec<u8>> {
        let (text, span) = match secret {
            EabSecret::Text(text, span) => (Ok(text.clone()), *span),
            EabSecret::File(path, span) => {
                let text = certificates::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
                (text.map_err(|why| format!("cannot load \"{}\": {why}", path.display())), *span)
            }
        };
        let key = text.and_then(|text| {
            escape::from_base64url(text.trim().as_bytes()).ok_or_else(|| "the key is not base64url".to_owned())
        });
        key.map_err(|why| self.error(Fault::new(span, why))).ok().filter(|key| !key.is_empty())
    }

    /// For the short form: servers on port 80 that redirect to HTTPS, for names that have none.
    pub(super) fn redirecting(&mut self, level: &[Directive]) -> Vec<Directive> {
        let named = |d: &Directive, name: &str| d.block.as_ref().is_some_and(|b| b.iter().any(|d| d.name.is(name)));
        if level.iter().any(|d| d.name.is("ssl_certificate")) {
            return Vec::new();
        }
        let servers = || level.iter().filter(|d| d.name.is("server") && d.block.is_some());
        let plain: Vec<&Directive> = servers().filter(|server| listens(server, is_plain_80)).collect();
        let taken: Vec<&[u8]> = plain.iter().flat_map(|server| words(server, "server_name")).map(Word::bytes).collect();
        let mut made = Vec::new();
        for server in servers() {
            if !named(server, "acme_certificate") || named(server, "ssl_certificate") || listens(server, is_plain_80) {
                continue;
            }
            let Some(order) = directives(server, "acme_certificate").next() else { continue };
            let names: Vec<Word> =
                words(server, "server_name").filter(|name| !taken.contains(&name.bytes())).cloned().collect();
            let listens: Vec<Word> = directives(server, "listen").filter_map(address_80).collect();
            if names.is_empty() || listens.is_empty() {
                continue;
            }
            let text = "port 80 answers challenges and redirects to HTTPS for these names";
            self.notice(
                order.span,
                format!("{text} (a server on port 80 with one of these server_names would answer for it instead)"),
            );
            made.push(redirect(order.span, listens, names));
        }
        made
    }
}

/// Whether a public CA could certify a name: not one that is local to a machine or network (RFC 2606, RFC 6761, RFC
/// 6762, and ICANN's `internal`).
fn is_public(name: &str) -> bool {
    const LOCAL: [&str; 7] = ["localhost", "local", "internal", "test", "example", "invalid", "home.arpa"];
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()),
        Ok(IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
        Err(_) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_of = |top: &&str| name.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            name.contains('.') && !LOCAL.iter().any(is_of)
        }
    }
}

fn directives<'a>(server: &'a Directive, name: &'a str) -> impl Iterator<Item = &'a Directive> {
    server.block.iter().flatten().filter(move |d| d.name.is(name))
}

fn words<'a>(server: &'a Directive, name: &'a str) -> impl Iterator<Item = &'a Word> {
    directives(server, name).flat_map(|d| &d.args)
}

fn listens(server: &Directive, wanted: fn(&Directive) -> bool) -> bool {
    directives(server, "listen").any(wanted)
}

fn is_secure(listen: &Directive) -> bool {
    listen.args.iter().skip(1).any(|word| word.is("ssl"))
}

/// Splits an address into host and port; the colon stays with the host.
fn split(address: &[u8]) -> (&[u8], &[u8]) {
    match address.iter().rposition(|byte| *byte == b':') {
        Some(at) if !address.ends_with(b"]") => address.split_at(at + 1),
        _ if address.iter().all(u8::is_ascii_digit) => (b"", address),
        _ => (address, b""),
    }
}

fn is_plain_80(listen: &Directive) -> bool {
    let port = listen.args.first().map(|word| split(word.bytes()).1);
    port.is_some_and(|port| port == b"80" || port.is_empty()) && !is_secure(listen)
}

/// The address of an HTTPS `listen`, with port 80.
fn address_80(listen: &Directive) -> Option<Word> {
    let word = listen.args.first().filter(|_| is_secure(listen))?;
    let (host, port) = split(word.bytes());
    (port == b"443").then(|| Word { text: Text::new(&[host, b"80"].concat()), ..word.clone() })
}

/// `server { listen …; server_name …; return 301 https://$host$request_uri; }`, with `span` as its position.
fn redirect(span: Span, listens: Vec<Word>, names: Vec<Word>) -> Directive {
    let word = |text: &[u8]| Word::new(text, span);
    let directive =
        |name: &[u8], args: Vec<Word>, block| Directive { name: word(name), args, block, span, close: span };
    let mut inside: Vec<Directive> =
        listens.into_iter().map(|address| directive(b"listen", vec![address], None)).collect();
    inside.push(directive(b"server_name", names, None));
    inside.push(directive(b"return", vec![word(b"301"), word(b"https://$host$request_uri")], None));
    directive(b"server", Vec::new(), Some(inside))
}
