//! Checks of certificates, keys and chains that parse but are wrong or risky: dates, gaps in the chain, permissions of
//! the key file, names that no certificate covers.

use super::ast::Span;
use super::certificates::{self, PemSource};
use super::error::Diagnostic;
use super::settings::listen::{Name, ServerDraft};
use crate::tls::CertifiedKey;
use crate::tls::names::time;
use crate::tls::x509::Certificate;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A certificate that expires within these seconds causes a warning.
const WARN_WITHIN: i64 = 14 * 86_400;
/// authorityInfoAccess (RFC 5280 §4.2.2.1): certificates of public authorities have it.
const AUTHORITY_INFORMATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
/// Read permission for others.
const OTHERS_READ: u32 = 0o004;
/// Search permission for others, on a directory.
const OTHERS_PASS: u32 = 0o001;

/// Who receives the certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Nearly all verify it.
    Client,
    /// Many accept any certificate, or know this one.
    Upstream,
}

impl Peer {
    fn all(self) -> &'static str {
        if self == Peer::Client { "clients" } else { "upstreams that verify it" }
    }
}

/// All findings about a pair. `certificate` and `key`: where they come from, and the position of their directives.
pub(super) fn pair(
    peer: Peer,
    certificate: (&PemSource, Span),
    key: (&PemSource, Span),
    pair: &CertifiedKey,
    now: i64,
) -> Vec<Diagnostic> {
    let chain: Vec<Certificate<'_>> = pair.cert.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let (source, span) = certificate;
    let shown = source.shown();
    let mut found: Vec<Diagnostic> = date(peer, &shown, &chain, now, span).into_iter().collect();
    found.extend(issuer_date(&shown, &chain, now, span));
    found.extend(gap(peer, &shown, &chain, span));
    found.extend(rights(key.0, key.1));
    found
}

/// The validity of the certificate itself. Clients reject one that is out of date.
fn date(peer: Peer, shown: &str, chain: &[Certificate<'_>], now: i64, span: Span) -> Option<Diagnostic> {
    let leaf = chain.first()?;
    // A machine that has just booted may not have set its clock.
    let clock = format!("this machine's clock says {}", time(now));
    let wrong = |text: String, help: String| match peer {
        Peer::Client => Diagnostic::emerg(span, text).help(help),
        Peer::Upstream => {
            Diagnostic::warn(span, text).help("an upstream that verifies it will refuse the connection").help(help)
        }
    };
    if now < leaf.not_before {
        let text = format!("certificate \"{shown}\" is not yet valid (valid from {})", time(leaf.not_before));
        Some(wrong(text, format!("{clock}: is it right?")))
    } else if now > leaf.not_after {
        let text = format!("certificate \"{shown}\" has expired ({})", time(leaf.not_after));
        Some(wrong(text, format!("a new one is needed from its authority ({clock})")))
    } else if leaf.not_after - now < WARN_WITHIN {
        Some(Diagnostic::warn(span, format!("certificate \"{shown}\" expires soon ({})", time(leaf.not_after))))
    } else {
        None
    }
}

/// The first issuer in the chain that is out of date. Clients that know another path to a trusted root ignore it, so
/// this is a warning.
fn issuer_date(shown: &str, chain: &[Certificate<'_>], now: i64, span: Span) -> Option<Diagnostic> {
    chain.iter().enumerate().skip(1).find_map(|(at, issuer)| {
        let what = if now < issuer.not_before {
            format!("is not yet valid (valid from {})", time(issuer.not_before))
        } else if now > issuer.not_after {
            format!("has expired ({})", time(issuer.not_after))
        } else if issuer.not_after - now < WARN_WITHIN {
            format!("expires soon ({})", time(issuer.not_after))
        } else {
            return None;
        };
        let text = format!("certificate {} of \"{shown}\"{} {what}", at + 1, named(issuer.common_name()));
        Some(Diagnostic::warn(span, text).help("get the chain of the certificate again from its authority"))
    })
}

/// ` ("name")`
fn named(name: Option<&[u8]>) -> String {
    name.map_or_else(String::new, |name| format!(" (\"{}\")", String::from_utf8_lossy(name)))
}

/// A gap in the chain, for peers that know only the roots.
fn gap(peer: Peer, shown: &str, chain: &[Certificate<'_>], span: Span) -> Option<Diagnostic> {
    let broken = chain.windows(2).position(|two| !two[0].is_self_issued() && two[0].issuer != two[1].subject);
    if let Some(at) = broken {
        let text = format!("certificate {} of \"{shown}\" did not issue certificate {}", at + 2, at + 1);
        let help = format!(
            "{} may not find the way to a root they trust: each certificate is followed by its issuer's",
            peer.all()
        );
        return Some(Diagnostic::warn(span, text).help(help));
    }
    let [leaf] = chain else { return None };
    if leaf.is_self_issued() {
        return None;
    }
    let text = format!(
        "\"{shown}\" holds no certificate of its issuer{}: {} will refuse it unless they know that one",
        named(leaf.issuer_common_name()),
        peer.all()
    );
    let help = "append the intermediate certificates (a file is often named fullchain.pem), unless a root signed it";
    let is_public = leaf.extension(AUTHORITY_INFORMATION).is_ok_and(|found| found.is_some());
    // A private root may well sign server certificates directly.
    let diagnostic = if is_public { Diagnostic::warn(span, text) } else { Diagnostic::notice(span, text) };
    Some(diagnostic.help(help))
}

/// A warning for a key that every user of the machine can read: by its mode, and through every directory above it.
fn rights(key: &PemSource, span: Span) -> Option<Diagnostic> {
    let PemSource::File(path) = key else { return None };
    let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
    if mode & OTHERS_READ == 0 || !is_reached_by_others(path) {
        return None;
    }
    let text = format!("every user of this machine can read the key \"{}\" (mode {mode:04o})", path.display());
    Some(
        Diagnostic::warn(span, text)
            .help("`chmod 600` and root as its owner are enough: it is read with root's rights"),
    )
}

/// Whether others may search every directory above a file. The resolved path is checked, since it opens the file too.
fn is_reached_by_others(path: &Path) -> bool {
    let passes = |above: &Path| std::fs::metadata(above).is_ok_and(|data| data.mode() & OTHERS_PASS != 0);
    path.canonicalize().is_ok_and(|real| real.ancestors().skip(1).all(passes))
}

/// Server names that certificates can cover: exact names, and wildcards as written. Names of one label (`devbox`) are
/// for nearby machines: the local authority covers them, and no other is expected to. Non-ASCII names cannot be in a
/// certificate, and clients never send them (they send the `xn--` form).
pub fn certifiable(draft: &ServerDraft) -> Vec<(String, Span)> {
    let certifiable = |(name, span): &(Name, Span)| {
        let text = |name: &[u8]| str::from_utf8(name).ok().filter(|name| name.is_ascii()).map(str::to_owned);
        match name {
            Name::Exact(name) if name.contains(&b'.') || is_label(name) => Some((text(name)?, *span)),
            Name::Suffix { name, bare: true } => Some((text(name)?, *span)),
            Name::Suffix { name, bare: false } => Some((format!("*{}", text(name)?), *span)),
            _ => None,
        }
    };
    draft.names.iter().filter_map(certifiable).collect()
}

fn is_label(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// What a certificate must cover to cover all that a server name matches.
pub(super) fn spelled_out(name: &str) -> Vec<String> {
    match name.strip_prefix('.') {
        Some(bare) => vec![bare.to_owned(), format!("*.{bare}")],
        None => vec![name.to_owned()],
    }
}

/// Whether a certificate covers the name or, for a wildcard, some name that it matches.
fn suits(leaf: &Certificate<'_>, name: &str) -> bool {
    match name.strip_prefix('*').or_else(|| name.starts_with('.').then_some(name)) {
        Some(suffix) => {
            leaf.is_below(suffix.as_bytes()) || !name.starts_with('*') && leaf.is_for(&suffix.as_bytes()[1..])
        }
        None => leaf.is_for(name.as_bytes()),
    }
}

/// Server names that no certificate covers, except names of one label.
pub(super) fn uncovered(leaves: &[(Span, std::sync::Arc<CertifiedKey>)], names: &[(String, Span)]) -> Vec<Diagnostic> {
    let covers = |pair: &CertifiedKey, name: &str| {
        let leaf = certificates::leaf(pair);
        leaf.is_none_or(|leaf| suits(&leaf, name))
    };
    let whole = names.iter().filter(|(name, _)| name.contains('.'));
    let missing = whole.filter(|(name, _)| !leaves.iter().any(|(_, pair)| covers(pair, name)));
    let warning = |(name, span): &(String, Span)| {
        Diagnostic::warn(*span, format!("no certificate of the server is for its name \"{name}\""))
    };
    missing.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    use crate::tls::testing;

    #[test]
    fn names_that_no_certificate_can_have_do_not_stop_one_from_being_made() {
        let text = "events { } http { server { listen 8443 ssl; ssl_certificate auto;\n\
            server_name a.test *.w.test *.b\u{fc}cher.test .b\u{fc}cher.test b\u{fc}cher.test *.\u{65e5}\u{672c}.test; } }";
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        assert!(!resolved.diagnostics.has_errors(), "{}", resolved.diagnostics.render(&loaded.sources, "webserv"));
    }

    #[test]
    fn a_wildcard_of_a_server_wants_a_certificate_for_something_below_it() {
        for (names, wanted, want) in [
            (&["a.w.test"][..], "*.w.test", true),
            (&["*.w.test"], "*.w.test", true),
            (&["*.w.test"], ".w.test", true),
            (&["w.test"], ".w.test", true),
            (&["w.test"], "*.w.test", false),
            (&["xw.test"], "*.w.test", false),
            (&["*.v.test"], "*.w.test", false),
            (&["*.v.test"], "a.w.test", false),
            (&["A.W.test"], "a.w.test", true),
        ] {
            let made = testing::leaf("cn.test", names);
            let leaf = Certificate::parse(&made.der).expect("a certificate");
            assert_eq!(suits(&leaf, wanted), want, "{names:?} {wanted}");
        }
        assert_eq!(spelled_out(".w.test"), ["w.test", "*.w.test"]);
        assert_eq!(spelled_out("*.w.test"), ["*.w.test"]);
    }
}
