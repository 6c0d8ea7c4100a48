//! TLS of servers: the `ssl_*` directives. `config::tls` reads and checks their files once the server block is
//! complete.

use crate::config::argument::{flag, invalid, wrong};
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::Args;
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, HS, Row, row};
use crate::config::settings::ssl::{Named, Ssl, VerifyClient};
use crate::config::template::Template;
use crate::config::value::{self, Millis, Size};
use crate::tls::ciphers;
use crate::tls::server::{Protocols, SessionCache};
use std::rc::Rc;

fn ssl(settings: &mut Settings) -> &mut Ssl {
    Rc::make_mut(&mut settings.ssl)
}

const EARLY_DATA: &str = "Whether clients that resume a TLS 1.3 session may send a request with their first message. \
    It can be replayed to another server behind the same balancer: while $ssl_early_data is 1, let the application \
    answer 425 to what must not happen twice (`proxy_set_header Early-Data $ssl_early_data`). Session tickets are \
    not used then.";

pub const ROWS: &[Row] = &[
    row(
        "ssl_certificate",
        HS,
        Args::TAKE1,
        "",
        Effect::Many(certificate),
        "PEM file with the server's certificate and then the intermediate ones, relative to the directory of the \
         main configuration file; several for several kinds of keys. Variables are allowed (read at handshakes); \
         data:… is the text itself. `auto` makes one signed by a local authority: see `webserv cert`. It must be \
         valid now.",
    ),
    row(
        "ssl_certificate_key",
        HS,
        Args::TAKE1,
        "",
        Effect::Many(key),
        "File with the private key (PEM: PKCS#8, PKCS#1 or SEC1) of the certificate at the same place among those of the level; variables and data:… allowed. Keys of an engine or store are refused.",
    ),
    row(
        "ssl_password_file",
        HS,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            b.find_passwords(&d.args[0])?;
            named(s, b, d, |ssl| &mut ssl.passwords)
        }),
        "Passwords of encrypted keys, one a line, tried in their order; a FIFO gives what a program writes to it within two seconds. PKCS#8 with AES and OpenSSL's older form with AES are opened.",
    ),
    row(
        "ssl_protocols",
        HS,
        Args::ONE_OR_MORE,
        "TLSv1.2 TLSv1.3",
        Effect::Many(protocols),
        "Protocols that are spoken: TLSv1.2 and TLSv1.3. Older ones may be named beside them and are not spoken, since they are broken (RFC 8996); naming only those is an error.",
    ),
    row(
        "ssl_ciphers",
        HS,
        Args::TAKE1,
        "HIGH:!aNULL:!MD5",
        Effect::Once(cipher_list),
        "Suites of TLS 1.2 in OpenSSL's grammar, over those there are here: ECDHE with AES-GCM or ChaCha20. A list that leaves none of them is an error. Those of TLS 1.3 are always on.",
    ),
    row(
        "ssl_prefer_server_ciphers",
        HS,
        Args::FLAG,
        "off",
        Effect::Once(|s, _, d| {
            ssl(&mut s.settings).prefer_server_ciphers = Some(flag(d, 0)?);
            Ok(())
        }),
        "Whether the server's order of suites counts, instead of the client's. By default TLS 1.3 takes AES-128 before AES-256, unless the client begins with ChaCha20.",
    ),
    row(
        "ssl_ecdh_curve",
        HS,
        Args::TAKE1,
        "auto",
        Effect::Once(curves),
        "Groups for the key exchange, the favourite first: X25519MLKEM768, X25519, prime256v1, secp384r1, SecP256r1MLKEM768. Others are left out with a notice; a list of none that there is here is an error.",
    ),
    row(
        "ssl_buffer_size",
        HS,
        Args::TAKE1,
        "16k",
        Effect::Size(|s| &mut ssl(s).buffer_size),
        "Data in a record at most; 16k is the most that TLS has.",
    ),
    row(
        "ssl_verify_client",
        HS,
        Args::TAKE1,
        "off",
        Effect::Once(verify),
        "Whether clients are asked for certificates: on (without a good one they get 400), optional, optional_no_ca (its issuer need not be known; $ssl_client_verify tells). A server without certificates of its own verifies by its own CAs what the default server asked clients for.",
    ),
    row(
        "ssl_verify_depth",
        HS,
        Args::TAKE1,
        "1",
        Effect::Number(|s| &mut ssl(s).verify_depth),
        "Certificates between a client's and a trusted root at most, as OpenSSL counts since 1.1.0. More than 10 counts as 10.",
    ),
    row(
        "ssl_client_certificate",
        HS,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| named(s, b, d, |ssl| &mut ssl.client_certificate)),
        "File with the certificates of CAs (PEM) whose clients are trusted; their names are sent to clients.",
    ),
    row(
        "ssl_trusted_certificate",
        HS,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| named(s, b, d, |ssl| &mut ssl.trusted_certificate)),
        "More trusted CAs (PEM), whose names are not sent to clients.",
    ),
    row(
        "ssl_crl",
        HS,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| named(s, b, d, |ssl| &mut ssl.crl)),
        "File with revocation lists (PEM): every CA of a client's chain needs one.",
    ),
    row(
        "ssl_session_cache",
        HS,
        Args::TAKE12,
        "none",
        Effect::Many(session_cache),
        "Where sessions are kept for clients that come back: off, none, builtin[:N] or shared:NAME:SIZE (some 2500 sessions a megabyte, fewer with certificates of clients; one of more than 4 KB is not kept). With both of the last two, the shared one is used. They survive a reload.",
    ),
    row(
        "ssl_session_tickets",
        HS,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut ssl(s).tickets),
        "Whether clients keep their sessions themselves, sealed. The process's keys change each hour or session timeout, and survive a reload.",
    ),
    row(
        "ssl_session_ticket_key",
        HS,
        Args::TAKE1,
        "",
        Effect::Many(ticket_key),
        "File of 48 or 80 bytes with a key for tickets, to share it between servers; the first seals, all open.",
    ),
    row(
        "ssl_session_timeout",
        HS,
        Args::TAKE1,
        "5m",
        Effect::Once(session_timeout),
        "How long a session can be resumed.",
    ),
    row(
        "ssl_stapling_file",
        HS,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| named(s, b, d, |ssl| &mut ssl.stapling_file)),
        "File with an OCSP response (DER) for the certificate, sent to clients that ask for one, whatever ssl_stapling says.",
    ),
    row(
        "ssl_reject_handshake",
        HS,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut ssl(s).reject_handshake),
        "Refuses clients of this server with an unrecognized_name alert; no certificate is needed.",
    ),
    row("ssl_early_data", HS, Args::FLAG, "off", Effect::Flag(|s| &mut ssl(s).early_data), EARLY_DATA),
];

fn file(b: &mut Build, word: &Word) -> Result<Named, Fault> {
    Ok(Named { name: b.template_of(word.bytes(), word.span)?, span: word.span })
}

fn named(s: &mut Scope, b: &mut Build, d: &Directive, field: fn(&mut Ssl) -> &mut Option<Named>) -> Outcome {
    let word = &d.args[0];
    // A file name, whatever characters it contains.
    let name = Named { name: Template::literal(word.bytes()), span: word.span };
    let _ = b;
    *field(ssl(&mut s.settings)) = (!word.bytes().is_empty()).then_some(name);
    Ok(())
}

fn certificate(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let ssl = ssl(&mut s.settings);
    if s.first {
        ssl.certificates.clear();
        ssl.auto = None;
    }
    match d.args[0].bytes() {
        b"auto" => ssl.auto = Some(d.args[0].span),
        _ => ssl.certificates.push(file(b, &d.args[0])?),
    }
    Ok(())
}

fn key(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    if word.bytes().starts_with(b"engine:") || word.bytes().starts_with(b"store:") {
        ssl(&mut s.settings).has_foreign_key = true;
        let text = format!("keys of engines and stores are not supported in \"{}\"", word.str());
        return Err(Fault::new(word.span, text).help("name a file with the key"));
    }
    let ssl = ssl(&mut s.settings);
    if s.first {
        ssl.keys.clear();
    }
    ssl.keys.push(file(b, word)?);
    Ok(())
}

fn ticket_key(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let ssl = ssl(&mut s.settings);
    if s.first {
        ssl.ticket_keys.clear();
    }
    ssl.ticket_keys.push(file(b, &d.args[0])?);
    Ok(())
}

/// In seconds, as in nginx.
fn session_timeout(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    ssl(&mut s.settings).timeout = Millis::parse_seconds(d.args[0].bytes()).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn protocols(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let named = self::versions(b, d)?;
    let first = s.first;
    ssl(&mut s.settings).protocols.add(named, first);
    Ok(())
}

/// The protocols that a directive enables.
pub fn versions(b: &mut Build, d: &Directive) -> Result<Protocols, Fault> {
    let mut found = Protocols { v1_2: false, v1_3: false };
    for (at, word) in d.args.iter().enumerate() {
        // Letter case is ignored (nginx).
        let is = |name: &&str| word.bytes().eq_ignore_ascii_case(name.as_bytes());
        match ["TLSv1.2", "TLSv1.3", "SSLv2", "SSLv3", "TLSv1", "TLSv1.1"].iter().find(|name| is(name)) {
            Some(&"TLSv1.2") => found.v1_2 = true,
            Some(&"TLSv1.3") => found.v1_3 = true,
            Some(old) => b.notice(word.span, format!("{old} is not spoken: it is broken (RFC 8996)")),
            None => return Err(invalid(d, at)),
        }
    }
    if !found.v1_2 && !found.v1_3 {
        let fault = Fault::new(d.args_span(), "only protocols that are not spoken are named");
        return Err(fault.help("add TLSv1.2 and TLSv1.3"));
    }
    Ok(found)
}

fn cipher_list(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    ssl(&mut s.settings).ciphers = self::ciphers(d)?;
    Ok(())
}

/// A cipher list that selects at least one suite.
pub fn ciphers(d: &Directive) -> Result<Box<str>, Fault> {
    let list = d.args[0].str();
    if ciphers::suites(&list).is_none() {
        let fault = Fault::new(d.args[0].span, format!("no cipher match for \"{list}\""));
        return Err(
            fault.help("suites of TLS 1.2 here are ECDHE with AES128-GCM, AES256-GCM or CHACHA20; HIGH means all")
        );
    }
    Ok(list.as_ref().into())
}

fn curves(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let list = d.args[0].str();
    let (found, missing) = ciphers::groups(&list);
    if found.is_empty() {
        let fault = Fault::new(d.args[0].span, format!("no known curve in \"{list}\""));
        return Err(fault.help("X25519MLKEM768, X25519, prime256v1, secp384r1 or auto"));
    }
    for name in missing {
        b.notice(d.args[0].span, format!("there is no curve \"{name}\" here: left out"));
    }
    ssl(&mut s.settings).curves = list.as_ref().into();
    Ok(())
}

fn verify(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let ssl = ssl(&mut s.settings);
    ssl.verify_at = Some(d.span);
    ssl.verify = match &d.args[0].lower()[..] {
        b"off" => VerifyClient::Off,
        b"on" => VerifyClient::On,
        b"optional" => VerifyClient::Optional,
        b"optional_no_ca" => VerifyClient::OptionalNoCa,
        _ => return Err(invalid(d, 0).help("on, off, optional or optional_no_ca")),
    };
    Ok(())
}

/// Bytes of a session without a client's certificate, for caches whose size is a number of sessions.
const SESSION: usize = 512;

fn session_cache(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut cache = SessionCache::None;
    for (at, word) in d.args.iter().enumerate() {
        let text = word.str();
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["off" | "none"] => cache = SessionCache::None,
            ["builtin"] if matches!(cache, SessionCache::None) => {
                cache = SessionCache::Zone(String::new(), 20480 * SESSION)
            }
            ["builtin", most] => {
                let most = value::number(most.as_bytes(), 1 << 24).map_err(|e| wrong(d, at, e))?;
                if matches!(cache, SessionCache::None) {
                    cache = SessionCache::Zone(String::new(), most as usize * SESSION);
                }
            }
            ["builtin"] => {}
            ["shared", name, size] if !name.is_empty() => {
                let size = Size::parse(size.as_bytes()).map_err(|e| wrong(d, at, e))?;
                if size.0 < 8 << 12 {
                    return Err(Fault::new(word.span, format!("session cache \"{text}\" is too small")));
                }
                let known = *b.session_zones.entry(name.into()).or_insert(size.0);
                if known != size.0 {
                    let text = format!(
                        "the size {} of shared memory zone \"{name}\" conflicts with already declared size {known}",
                        size.0
                    );
                    return Err(Fault::new(word.span, text));
                }
                cache = SessionCache::Zone(name.to_owned(), usize::try_from(size.0).unwrap_or(usize::MAX));
            }
            _ => {
                let text = format!("invalid session cache \"{text}\"");
                return Err(Fault::new(word.span, text).help("off, none, builtin[:N] or shared:NAME:SIZE"));
            }
        }
    }
    ssl(&mut s.settings).cache = cache;
    Ok(())
}
