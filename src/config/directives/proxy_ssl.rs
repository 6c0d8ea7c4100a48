//! TLS to upstreams: `proxy_ssl_*` for `proxy_pass https://…`, and `uwsgi_ssl_*` for `uwsgi_pass suwsgi://…`.
//! `config::proxy_tls` reads the files.

use super::ssl::{ciphers, versions};
use crate::config::argument::flag;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy_ssl::ProxySsl;
use crate::config::settings::ssl::Named;
use crate::config::template::Template;
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

/// Selects a directive's settings.
type Of = fn(&mut Settings) -> &mut ProxySsl;

fn proxy(settings: &mut Settings) -> &mut ProxySsl {
    Rc::make_mut(&mut settings.proxy_ssl)
}

fn uwsgi(settings: &mut Settings) -> &mut ProxySsl {
    Rc::make_mut(&mut settings.uwsgi_ssl)
}

/// Rows of both families; `$of` selects the settings.
macro_rules! common {
    ($prefix:literal, $of:ident, $host:literal) => {
        &[
            row(
                concat!($prefix, "_ssl_certificate"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Once(|s, b, d| chosen($of, s, b, d, |ssl| &mut ssl.certificate)),
                "File with the certificate that upstreams are shown (PEM); \"\" takes an outer level's back. Variables are allowed: the file is then read when a request needs it, and where the name is empty there is no certificate.",
            ),
            row(
                concat!($prefix, "_ssl_certificate_key"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Once(|s, b, d| chosen($of, s, b, d, |ssl| &mut ssl.key)),
                "File with the private key of that certificate (PEM); variables allowed.",
            ),
            row(
                concat!($prefix, "_ssl_password_file"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Once(|s, b, d| {
                    b.find_passwords(&d.args[0])?;
                    file($of, s, d, |ssl| &mut ssl.passwords)
                }),
                "Passwords of encrypted keys, one a line, tried in their order.",
            ),
            row(
                concat!($prefix, "_ssl_trusted_certificate"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Once(|s, _, d| file($of, s, d, |ssl| &mut ssl.trusted)),
                "File with the certificates of CAs (PEM) that upstreams are verified by.",
            ),
            row(
                concat!($prefix, "_ssl_crl"),
                HSL,
                Args::TAKE1,
                "",
                Effect::Once(|s, _, d| file($of, s, d, |ssl| &mut ssl.crl)),
                "File with revocation lists (PEM): every CA of an upstream's chain needs one.",
            ),
            row(
                concat!($prefix, "_ssl_verify"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Once(|s, b, d| verify($of, s, b, d)),
                "Whether the upstream's certificate must be good, and for its name; 502 where it is not.",
            ),
            row(
                concat!($prefix, "_ssl_verify_depth"),
                HSL,
                Args::TAKE1,
                "1",
                Effect::Number(|s| &mut $of(s).verify_depth),
                "Certificates between an upstream's and a trusted root at most; public sites have one or two.",
            ),
            row(
                concat!($prefix, "_ssl_name"),
                HSL,
                Args::TAKE1,
                $host,
                Effect::Once(|s, b, d| name($of, s, b, d)),
                "The name that an upstream's certificate must have (*_ssl_verify) and that is sent to it as SNI (*_ssl_server_name on); variables are allowed. The default is the host of the pass directive.",
            ),
            row(
                concat!($prefix, "_ssl_server_name"),
                HSL,
                Args::FLAG,
                "off",
                Effect::Flag(|s| &mut $of(s).server_name),
                "Whether the name is sent to the upstream (SNI).",
            ),
            row(
                concat!($prefix, "_ssl_session_reuse"),
                HSL,
                Args::FLAG,
                "on",
                Effect::Flag(|s| &mut $of(s).session_reuse),
                "Whether sessions with upstreams are resumed.",
            ),
            row(
                concat!($prefix, "_ssl_protocols"),
                HSL,
                Args::ONE_OR_MORE,
                "TLSv1.2 TLSv1.3",
                Effect::Many(|s, b, d| protocols($of, s, b, d)),
                "Protocols that are spoken with upstreams: TLSv1.2 and TLSv1.3. Older ones may be named beside them.",
            ),
            row(
                concat!($prefix, "_ssl_ciphers"),
                HSL,
                Args::TAKE1,
                "DEFAULT",
                Effect::Once(|s, b, d| cipher_list($of, s, b, d)),
                "Suites of TLS 1.2 in OpenSSL's grammar, over those there are here.",
            ),
        ]
    };
}

/// `proxy_ssl_*`.
pub const PROXY: &[Row] = common!("proxy", proxy, "$proxy_host");

/// `uwsgi_ssl_*`.
pub const UWSGI: &[Row] = common!("uwsgi", uwsgi, "");

fn file(of: Of, s: &mut Scope, d: &Directive, field: fn(&mut ProxySsl) -> &mut Option<Named>) -> Outcome {
    let word = &d.args[0];
    if word.bytes().contains(&b'$') {
        let text = format!("variables are not supported in \"{}\"", d.name.str());
        return Err(Fault::new(word.span, text).help("name a file"));
    }
    let named = Named { name: Template::literal(word.bytes()), span: word.span };
    *field(of(&mut s.settings)) = (!word.bytes().is_empty()).then_some(named);
    Ok(())
}

/// A file whose name may have variables.
fn chosen(
    of: Of,
    s: &mut Scope,
    b: &mut Build,
    d: &Directive,
    field: fn(&mut ProxySsl) -> &mut Option<Named>,
) -> Outcome {
    let span = d.args[0].span;
    let name = b.template(d, 0)?;
    *field(of(&mut s.settings)) = (!d.args[0].bytes().is_empty()).then_some(Named { name, span });
    Ok(())
}

fn verify(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    of(&mut s.settings).verify = flag(d, 0)?.then_some(d.args[0].span);
    Ok(())
}

fn name(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    of(&mut s.settings).name = Some(b.template(d, 0)?);
    Ok(())
}

fn protocols(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let named = versions(b, d)?;
    let first = s.first;
    of(&mut s.settings).protocols.add(named, first);
    Ok(())
}

fn cipher_list(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    of(&mut s.settings).ciphers = ciphers(d)?;
    Ok(())
}
