//! Certificates from ACME: the directives of nginx's ACME module, and a short form of our own.

use crate::acme::ChallengeKind;
use crate::acme::wire::Url;
use crate::config::argument::{flag, invalid};
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, Section, row};
use crate::config::settings::acme::{AccountKeySource, CertificateRequest, EabSecret, IssuerDraft, StateStore};
use crate::config::value::Size;
use crate::tls::issue::KeyKind;

const ISSUER: Contexts = Contexts::ACME_ISSUER;

pub const ROWS: &[Row] = &[
    row(
        "acme_issuer",
        Contexts::HTTP,
        Args::TAKE1.block(),
        "",
        Effect::Section(Section::AcmeIssuer),
        "A certificate authority that acme_certificate may name. `default` need not be defined: it is Let's Encrypt, whose terms of service are agreed to by naming it.",
    ),
    row(
        "uri",
        ISSUER,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| {
            let word = &d.args[0];
            let url = Url::parse(&word.str()).ok_or_else(|| {
                Fault::new(word.span, format!("invalid URL \"{}\"", word.str()))
                    .help("https://HOST/PATH of its directory")
            })?;
            set(s, |issuer| issuer.uri = Some(url))
        }),
        "The URL of the authority's directory. The block needs it.",
    ),
    row(
        "account_key",
        ISSUER,
        Args::TAKE1,
        "ecdsa:256",
        Effect::Once(account_key),
        "The key that requests are signed with: ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096 makes one at first start, which state_path keeps; anything else is the name of a file (PEM; of RSA, 4096 bits at most).",
    ),
    row(
        "challenge",
        ISSUER,
        Args::TAKE1,
        "http-01",
        Effect::Once(|s, _, d| {
            let kind = match d.args[0].bytes() {
                b"http-01" | b"http" => ChallengeKind::Http01,
                b"tls-alpn-01" | b"tls-alpn" => ChallengeKind::TlsAlpn01,
                _ => return Err(invalid(d, 0).help("http-01 or tls-alpn-01; dns-01 is not supported")),
            };
            set(s, |issuer| issuer.challenge = kind)
        }),
        "How control over names is shown: http-01 needs port 80 (any server on it will do: challenges are answered before a server is asked), tls-alpn-01 needs port 443.",
    ),
    row(
        "contact",
        ISSUER,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(contact),
        "Where the authority can reach you: addresses of mail, or URLs.",
    ),
    row(
        "external_account_key",
        ISSUER,
        Args::TAKE2,
        "",
        Effect::Once(external),
        "Binds the account to one that the authority knows otherwise: the key's identifier, and a file with the key (base64url) or data:KEY.",
    ),
    row(
        "preferred_chain",
        ISSUER,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| set(s, |issuer| issuer.preferred_chain = Some(d.args[0].str().into_owned()))),
        "Of several chains that the authority offers the one whose topmost certificate is issued by this common name.",
    ),
    row(
        "profile",
        ISSUER,
        Args::TAKE12,
        "",
        Effect::Once(|s, _, d| {
            let required = match d.args.get(1) {
                None => false,
                Some(word) if word.is("require") => true,
                Some(_) => return Err(invalid(d, 1).help("require, or nothing")),
            };
            set(s, |issuer| issuer.profile = Some((d.args[0].str().into_owned(), required)))
        }),
        "The profile that certificates are ordered by, where the authority has it; with `require` it is an error that it has not.",
    ),
    row(
        "ssl_trusted_certificate",
        ISSUER,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            let (path, span) = (b.full_path(d.args[0].bytes()), d.args[0].span);
            set(s, |issuer| issuer.trusted = Some((path, span)))
        }),
        "CAs (PEM) that the authority's own server is trusted by. Without it the system's.",
    ),
    row(
        "ssl_verify",
        ISSUER,
        Args::FLAG,
        "on",
        Effect::Once(|s, _, d| {
            let on = flag(d, 0)?;
            set(s, |issuer| issuer.verify = on)
        }),
        "Whether the certificate of the authority's server is looked at.",
    ),
    row(
        "state_path",
        ISSUER,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            let state = match d.args[0].bytes() {
                b"off" => StateStore::Off,
                path => StateStore::Path(b.full_path(path)),
            };
            set(s, |issuer| issuer.state = state)
        }),
        "Directory for the account's key, the certificates with their keys, and pauses that the authority demanded \
         (NAME.retry; remove it to try at once); off keeps them in memory only. Default: acme_NAME below \
         $STATE_DIRECTORY, /var/lib/webserv (root) or ~/.local/state/webserv. It is created if missing, and owned by \
         the serving user.",
    ),
    row(
        "accept_terms_of_service",
        ISSUER,
        Args::NONE,
        "",
        Effect::Once(|s, _, _| set(s, |issuer| issuer.agreed = true)),
        "Agrees to the authority's terms of service. Where they are is in the error log of a refusal.",
    ),
    row(
        "acme_shared_zone",
        Contexts::HTTP,
        Args::TAKE1,
        "zone=ngx_acme_shared:256k",
        Effect::Once(zone),
        "Accepted: one process needs no shared memory.",
    ),
    row(
        "acme_certificate",
        Contexts::SERVER,
        Args::ONE_OR_MORE,
        "",
        Effect::Once(certificate),
        "Orders a certificate from that issuer for the given names, or those of server_name, and renews it without a \
         reload. Without ssl_certificate it is used at once, and port 80 answers challenges and redirects. key= is \
         ecdsa:256 (default), ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096. Handshakes are refused until it \
         exists.",
    ),
];

fn set(s: &mut Scope, change: impl FnOnce(&mut IssuerDraft)) -> Outcome {
    if let Some(issuer) = &mut s.issuer {
        change(issuer);
    }
    Ok(())
}

fn account_key(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let text = word.str();
    let key = match KeyKind::parse(&text) {
        Some(kind) => AccountKeySource::Made(kind),
        None if text.starts_with("ecdsa:") || text.starts_with("rsa:") => return Err(unknown_key(word, &text)),
        None => AccountKeySource::File(b.full_path(word.bytes()), word.span),
    };
    set(s, |issuer| issuer.account_key = key)
}

fn unknown_key(word: &Word, text: &str) -> Fault {
    let fault = Fault::new(word.span, format!("unsupported key \"{text}\""));
    fault.help("ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096")
}

fn contact(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    for word in &d.args {
        let text = word.str();
        let has_scheme = text.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        });
        if text.is_empty() {
            return Err(
                Fault::new(word.span, "a contact is empty").help("an address, as in: contact admin@example.org;")
            );
        }
        let url = if has_scheme { text.into_owned() } else { format!("mailto:{text}") };
        set(s, |issuer| issuer.contacts.push(url))?;
    }
    Ok(())
}

fn external(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[1];
    let secret = match word.bytes().strip_prefix(b"data:") {
        Some(text) => EabSecret::Text(String::from_utf8_lossy(text).into_owned(), word.span),
        None => EabSecret::File(b.full_path(word.bytes()), word.span),
    };
    set(s, |issuer| issuer.external = Some((d.args[0].str().into_owned(), secret)))
}

fn zone(_: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let text = d.args[0].str();
    let size = text.strip_prefix("zone=").and_then(|zone| zone.split_once(':')).filter(|(name, _)| !name.is_empty());
    match size.map(|(_, size)| Size::parse(size.as_bytes())) {
        Some(Ok(_)) => Ok(()),
        _ => Err(invalid(d, 0).help("zone=NAME:SIZE")),
    }
}

fn certificate(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let (mut names, mut key) = (Vec::new(), KeyKind::default());
    for word in &d.args[1..] {
        let text = word.str();
        match text.strip_prefix("key=") {
            Some(kind) => key = KeyKind::parse(kind).ok_or_else(|| unknown_key(word, kind))?,
            None if is_identifier(&text) => names.push((text.trim_end_matches('.').to_ascii_lowercase(), word.span)),
            None => {
                let fault = Fault::new(word.span, format!("invalid identifier \"{text}\""));
                return Err(
                    fault.help("a whole name or an address: wildcards would need dns-01, which is not supported")
                );
            }
        }
    }
    if let Some(draft) = &mut s.server {
        let issuer = d.args[0].str().as_ref().into();
        draft.acme = Some(CertificateRequest { issuer, issuer_span: d.args[0].span, names, key, span: d.span });
    }
    Ok(())
}

/// A DNS name or an address.
pub fn is_identifier(text: &str) -> bool {
    let is_name = text.trim_end_matches('.').split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    });
    text.parse::<std::net::IpAddr>().is_ok() || is_name && text.len() <= 253
}
