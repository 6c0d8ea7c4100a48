//! The checks of the TLS fuzz target: whatever a peer sends and a file contains, nothing panics, and parsing a
//! ClientHello does not depend on how it is split.

use super::hello::{self, HelloProgress};
use super::server::{Options, Protocols, SessionCache, certified};
use super::session::{SEALED, Session};
use super::{ServerConfig, ciphers, crl, issue, key, names, pem, x509};
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, OnceLock};

fn config() -> Option<Arc<ServerConfig>> {
    static CONFIG: OnceLock<Option<Arc<ServerConfig>>> = OnceLock::new();
    let make = || {
        let made = issue::challenge("example.org", &[0; 32], 1_800_000_000).ok()?;
        let der = pem::parse(made.certificate.as_bytes()).ok()?.swap_remove(0).der;
        let pair = certified(vec![CertificateDer::from(der)], key::load(made.key.as_bytes(), &[]).ok()?).ok()?;
        let options = Options {
            certificates: vec![Arc::new(pair)],
            protocols: Protocols::default(),
            suites: ciphers::suites("DEFAULT")?,
            groups: ciphers::default_groups(),
            prefers_own_ciphers: false,
            buffer_size: 16384,
            alpn: vec![b"http/1.1".to_vec()],
            client_names: Some(Vec::new()),
            policy: Vec::new(),
            cache: SessionCache::None,
            tickets: true,
            ticket_keys: Vec::new(),
            session_timeout: 300,
            early_data: false,
        };
        options.build().ok()
    };
    CONFIG.get_or_init(make).clone()
}

/// Bytes from a client: as a ClientHello, and as everything that a connection receives.
pub fn records(data: &[u8]) {
    let whole = hello::parse(data);
    for cut in 0..data.len().min(300) {
        if let Ok(HelloProgress::Complete(hello)) = hello::parse(&data[..cut]) {
            assert_eq!(Ok(HelloProgress::Complete(hello)), whole, "more behind a hello changes nothing");
            break;
        }
    }
    let Some(config) = config() else { return };
    for most in [1, 13, 100_000] {
        let Ok(mut session) = Session::server(config.clone()) else { return };
        let (mut plain, mut out, mut room) = (Vec::new(), Vec::new(), vec![0; SEALED]);
        for piece in data.chunks(most) {
            let taken = session.receive(&mut piece.to_vec(), &mut plain, &mut out);
            // An invalid call is harmless at any time.
            let _ = session.seal(b"x", &mut room);
            if taken.is_err() {
                break;
            }
        }
        let _ = session.close(&mut room);
        assert!(plain.is_empty(), "without a handshake there is no data");
    }
}

/// Bytes from a file, or a certificate from a peer.
pub fn certificate(data: &[u8]) {
    if let Ok(parsed) = x509::Certificate::parse(data) {
        let _ = (names::rfc2253(parsed.subject), names::oneline(parsed.issuer), names::serial(parsed.serial));
        let _ = (names::time(parsed.not_before), parsed.is_for(b"example.org"), parsed.basic_constraints());
    }
    let _ = crl::Crl::parse(data);
    let names = [x509::AltName::Dns(b"example.org"), x509::AltName::Directory(data)];
    let _ = super::constraints::check(data, &names, &mut 1_000);
    if let Ok(sections) = pem::parse(data) {
        for section in sections {
            assert!(!section.der.is_empty());
        }
    }
    let _ = key::load(data, &[b"pass".to_vec()]);
}
