//! What a request knows of its TLS connection: `$ssl_…`, and whether its server accepts it.

use super::Exchange;
pub use super::tls_facts::{TlsFacts, Verdict};
use crate::config::model::Level;
use crate::config::settings::ssl::VerifyClient;
use crate::config::template::Builtin;
use crate::http::status::Status;
use crate::route::server;
use crate::services::Services;
use crate::tls::hello;
use crate::tls::verify::Purpose;
use crate::tls::x509::Certificate;
use crate::tls::{ciphers, names, pem};
use sha1::{Digest, Sha1};
use std::fmt::Write;
use std::rc::Rc;

/// Verdicts by other servers' trust that a connection keeps.
const MAX_VERDICTS: usize = 8;

/// Until a request names its server, the one that the name in the ClientHello chose applies (nginx), or else the
/// default.
pub fn start(ex: &mut Exchange) {
    let Some(facts) = ex.client.tls.as_deref().filter(|facts| facts.is_named) else { return };
    let name = hello::host(facts.server_name.as_deref().unwrap_or_default());
    let endpoint = &ex.config.endpoints[ex.client.endpoint.at()];
    // A reload may have taken the name away.
    if let Ok(Some(id)) = server::by_name(endpoint, name.as_bytes()) {
        ex.route.server = id;
        ex.route.location = ex.config.server(id).root;
    }
}

/// Whether the request's server accepts its connection; the status of the refusal if not.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Option<Status> {
    let Some(facts) = ex.client.tls.clone() else {
        if !ex.client.is_secure {
            return None;
        }
        // What is not known is not taken for accepted.
        ex.report(cx, Level::Alert, format_args!("the request knows nothing of its TLS connection"));
        return Some(Status::INTERNAL_SERVER_ERROR);
    };
    if facts.is_plain {
        ex.report(cx, Level::Info, format_args!("client sent plain HTTP request to HTTPS port"));
        return Some(Status::HTTP_TO_HTTPS);
    }
    let verify = ex.location().settings.ssl.verify;
    if verify == VerifyClient::Off {
        return None;
    }
    // The answer depends on who the client is.
    ex.basis.varies();
    if is_misdirected(ex, &facts) {
        let text = "client attempted to request the server name different from the one that was negotiated";
        ex.report(cx, Level::Info, format_args!("{text}"));
        return Some(Status::MISDIRECTED_REQUEST);
    }
    ex.client.verdict = judge(ex, &facts, cx.now.unix);
    match ex.client.verdict {
        Some(Err(fault)) if verify != VerifyClient::OptionalNoCa || !fault.is_unknown_issuer() => {
            let (number, text) = (fault.number(), fault.text());
            ex.report(cx, Level::Info, format_args!("client SSL certificate verify error: ({number}:{text})"));
            Some(Status::SSL_CERTIFICATE_ERROR)
        }
        None if verify == VerifyClient::On => {
            ex.report(cx, Level::Info, format_args!("client sent no required SSL certificate"));
            Some(Status::SSL_CERTIFICATE_REQUIRED)
        }
        _ => None,
    }
}

/// Whether the request is for another server than the handshake (nginx): the requested name chose one of several, and
/// the Host names another.
fn is_misdirected(ex: &Exchange, facts: &TlsFacts) -> bool {
    let Some(name) = facts.server_name.as_deref().filter(|_| facts.is_named) else { return false };
    !name.trim_end_matches('.').as_bytes().eq_ignore_ascii_case(&ex.route.host)
        && ex.config.endpoints[ex.client.endpoint.at()].has_several()
}

/// The verdict on the client's certificates by the trust of the request's server. That of the handshake was another
/// one's if the server has no certificates of its own, or if it was made before a reload, which may have taken a CA
/// away: a client must not keep its access for as long as it keeps its connection.
fn judge(ex: &Exchange, facts: &TlsFacts, now: i64) -> Option<Verdict> {
    let verdict = facts.verdict?;
    let Some(own) = &ex.config.server(ex.route.server).trust else { return Some(verdict) };
    let Some(by) = facts.trust.as_ref().filter(|by| !Rc::ptr_eq(by, own)) else { return Some(verdict) };
    let mut judged = facts.judged.borrow_mut();
    if let Some((_, verdict)) = judged.iter().find(|(trust, _)| Rc::ptr_eq(trust, own)) {
        return Some(*verdict);
    }
    let verdict = if own.is_same(by) { verdict } else { own.verify(&facts.chain, Purpose::Client, now) };
    if judged.len() >= MAX_VERDICTS {
        judged.truncate(MAX_VERDICTS - 1);
    }
    judged.insert(0, (own.clone(), verdict));
    Some(verdict)
}

/// The verdict on the client's certificates: by the request's server if that verifies clients, else the handshake's.
/// None: there are none.
pub fn verdict(ex: &Exchange) -> Option<Verdict> {
    ex.client.verdict.or(ex.client.tls.as_ref()?.verdict)
}

/// Appends the value of a variable `$ssl_…`; false: there is none. `now`: seconds since 1970.
pub fn value(ex: &Exchange, variable: Builtin, now: i64, out: &mut Vec<u8>) -> bool {
    let Some(facts) = ex.client.tls.as_deref().filter(|facts| !facts.is_plain) else { return false };
    if variable != Builtin::SslClientVerify {
        return facts.value(variable, now, out);
    }
    match verdict(ex) {
        None => out.extend_from_slice(b"NONE"),
        Some(Ok(())) => out.extend_from_slice(b"SUCCESS"),
        Some(Err(fault)) => {
            out.extend_from_slice(b"FAILED:");
            out.extend_from_slice(fault.text().as_bytes());
        }
    }
    true
}

/// `a:b:c`.
fn joined(names: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    out.extend_from_slice(names.collect::<Vec<_>>().join(":").as_bytes());
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    let text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    out.extend_from_slice(text.as_bytes());
}

impl TlsFacts {
    /// As [`value`], for variables that are equal for all requests of a connection.
    fn value(&self, variable: Builtin, now: i64, out: &mut Vec<u8>) -> bool {
        let mut text = |text: &str| {
            out.extend_from_slice(text.as_bytes());
            true
        };
        match variable {
            Builtin::SslProtocol => text(self.protocol),
            Builtin::SslCipher => text(&ciphers::suite_name(self.cipher)),
            Builtin::SslCurve if self.group != 0 => text(&ciphers::group(self.group)),
            Builtin::SslEarlyData => self.early.get() && text("1"),
            Builtin::SslServerName => self.server_name.as_deref().is_some_and(text),
            Builtin::SslSessionReused => text(if self.is_resumed { "r" } else { "." }),
            Builtin::SslAlpnProtocol => match &self.alpn {
                Some(name) => {
                    out.extend_from_slice(name);
                    true
                }
                None => false,
            },
            Builtin::SslSessionId => match &self.session {
                Some(id) => {
                    hexadecimal(id, out);
                    true
                }
                None => false,
            },
            Builtin::SslCiphers | Builtin::SslCurves | Builtin::SslSigalgs => self.offered(variable, out),
            _ => self.of_certificate(variable, now, out),
        }
    }

    fn offered(&self, variable: Builtin, out: &mut Vec<u8>) -> bool {
        let Some(hello) = &self.offers else { return false };
        match variable {
            Builtin::SslCiphers => joined(hello.ciphers.iter().map(|number| ciphers::suite_name(*number)), out),
            Builtin::SslCurves => joined(hello.groups.iter().map(|number| ciphers::group(*number)), out),
            _ => joined(hello.signatures.iter().map(|number| ciphers::scheme(*number)), out),
        }
        true
    }

    fn of_certificate(&self, variable: Builtin, now: i64, out: &mut Vec<u8>) -> bool {
        let Some(der) = self.chain.first() else { return false };
        let Ok(certificate) = Certificate::parse(der) else { return false };
        let name = |written: Result<String, _>| written.unwrap_or_default();
        let text = match variable {
            Builtin::SslClientSDn => name(names::rfc2253(certificate.subject)),
            Builtin::SslClientIDn => name(names::rfc2253(certificate.issuer)),
            Builtin::SslClientSDnLegacy => name(names::oneline(certificate.subject)),
            Builtin::SslClientIDnLegacy => name(names::oneline(certificate.issuer)),
            Builtin::SslClientSerial => names::serial(certificate.serial),
            Builtin::SslClientVStart => names::time(certificate.not_before),
            Builtin::SslClientVEnd => names::time(certificate.not_after),
            Builtin::SslClientVRemain => ((certificate.not_after - now).max(0) / 86_400).to_string(),
            Builtin::SslClientFingerprint => {
                hexadecimal(&Sha1::digest(der), out);
                return true;
            }
            // As a header may carry it: each further line begins with a tab.
            Builtin::SslClientCert => pem::write("CERTIFICATE", der).trim_end().replace('\n', "\n\t"),
            Builtin::SslClientRawCert => pem::write("CERTIFICATE", der),
            Builtin::SslClientEscapedCert => {
                for byte in pem::write("CERTIFICATE", der).bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
                        byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                    }
                }
                return true;
            }
            _ => return false,
        };
        out.extend_from_slice(text.as_bytes());
        true
    }
}
