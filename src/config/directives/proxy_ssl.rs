//! TLS to upstreams: the `proxy_ssl_*` directives, for `proxy_pass https://…`. Files are read by `config::proxy_tls`.

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
use crate::tls::server::Protocols;
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

fn ssl(settings: &mut Settings) -> &mut ProxySsl {
    Rc::make_mut(&mut settings.proxy_ssl)
}

pub const ROWS: &[Row] = &[
    row(
        "proxy_ssl_certificate",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| file(s, d, |ssl| &mut ssl.certificate)),
        "File with the certificate that upstreams are shown (PEM); \"\" takes an outer level's back. Variables are refused.",
    ),
    row(
        "proxy_ssl_certificate_key",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| file(s, d, |ssl| &mut ssl.key)),
        "File with the private key of that certificate (PEM).",
    ),
    row(
        "proxy_ssl_password_file",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| file(s, d, |ssl| &mut ssl.passwords)),
        "Passwords of encrypted keys, one a line, tried in their order.",
    ),
    row(
        "proxy_ssl_trusted_certificate",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| file(s, d, |ssl| &mut ssl.trusted)),
        "File with the certificates of CAs (PEM) that upstreams are verified by.",
    ),
    row(
        "proxy_ssl_crl",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, _, d| file(s, d, |ssl| &mut ssl.crl)),
        "File with revocation lists (PEM): every CA of an upstream's chain needs one.",
    ),
    row(
        "proxy_ssl_verify",
        HSL,
        Args::FLAG,
        "off",
        Effect::Once(verify),
        "Whether the upstream's certificate must be good, and for its name; 502 where it is not.",
    ),
    row(
        "proxy_ssl_verify_depth",
        HSL,
        Args::TAKE1,
        "1",
        Effect::Number(|s| &mut ssl(s).verify_depth),
        "Certificates between an upstream's and nothing at most, the root among them.",
    ),
    row(
        "proxy_ssl_name",
        HSL,
        Args::TAKE1,
        "$proxy_host",
        Effect::Once(name),
        "The name that an upstream is asked for and checked against; variables allowed.",
    ),
    row(
        "proxy_ssl_server_name",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssl(s).server_name),
        "Whether the name is sent to the upstream (SNI).",
    ),
    row(
        "proxy_ssl_session_reuse",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut ssl(s).session_reuse),
        "Whether sessions with upstreams are resumed.",
    ),
    row(
        "proxy_ssl_protocols",
        HSL,
        Args::ONE_OR_MORE,
        "TLSv1.2 TLSv1.3",
        Effect::Many(protocols),
        "Protocols that are spoken with upstreams: TLSv1.2 and TLSv1.3. Older ones may be named beside them.",
    ),
    row(
        "proxy_ssl_ciphers",
        HSL,
        Args::TAKE1,
        "DEFAULT",
        Effect::Once(cipher_list),
        "Suites of TLS 1.2 in OpenSSL's grammar, over those there are here.",
    ),
];

fn file(s: &mut Scope, d: &Directive, field: fn(&mut ProxySsl) -> &mut Option<Named>) -> Outcome {
    let word = &d.args[0];
    if word.bytes().contains(&b'$') {
        let text = format!("variables are not supported in \"{}\"", d.name.str());
        return Err(Fault::new(word.span, text).help("name a file"));
    }
    let named = Named { name: Template::literal(word.bytes()), span: word.span };
    *field(ssl(&mut s.settings)) = (!word.bytes().is_empty()).then_some(named);
    Ok(())
}

fn verify(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    ssl(&mut s.settings).verify = flag(d, 0)?.then_some(d.args[0].span);
    Ok(())
}

fn name(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    ssl(&mut s.settings).name = Some(b.template(d, 0)?);
    Ok(())
}

fn protocols(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let named = versions(b, d)?;
    let first = s.first;
    let protocols = &mut ssl(&mut s.settings).protocols;
    // Lines of one block add up (nginx).
    let before = if first { Protocols { v1_2: false, v1_3: false } } else { *protocols };
    *protocols = Protocols { v1_2: before.v1_2 || named.v1_2, v1_3: before.v1_3 || named.v1_3 };
    Ok(())
}

fn cipher_list(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    ssl(&mut s.settings).ciphers = ciphers(d)?;
    Ok(())
}
