//! `syslog:server=…` in access_log and error_log: the server, tag, facility and severity.

use crate::config::addr::PeerAddr;
use crate::config::ast::Directive;
use crate::config::fault::Fault;
use crate::config::settings::logs::Level;
use crate::config::settings::syslog::Syslog;
use crate::sys::socket::Addr;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const INFO: u8 = 6;

/// Maximum length of a tag (RFC 3164 §4.1.3).
const TAG: usize = 32;

/// Parses the first argument of the directive, which begins with `syslog:`.
///
/// # Errors
/// nginx's message.
pub(super) fn parse(d: &Directive, hostname: &str) -> Result<Syslog, Fault> {
    let word = &d.args[0];
    let fault = |text: String| Fault::new(word.span, text);
    let text = word.str();
    let parameters = text.strip_prefix("syslog:").unwrap_or_default();
    let (mut server, mut facility, mut severity, mut tag) = (None, None, None, None);
    let mut named = true;
    for parameter in parameters.split(',') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let duplicate = || fault(format!("duplicate syslog \"{name}\""));
        let unknown = || fault(format!("unknown syslog {name} \"{value}\""));
        match name {
            "server" if server.is_some() => return Err(duplicate()),
            "facility" if facility.is_some() => return Err(duplicate()),
            "severity" if severity.is_some() => return Err(duplicate()),
            "tag" if tag.is_some() => return Err(duplicate()),
            "server" => {
                let addr = PeerAddr::parse(value.as_bytes(), 514).map_err(|e| Fault {
                    help: e.help,
                    ..fault(format!("{} in syslog server \"{value}\"", e.message))
                })?;
                server = Some((addr, value));
            }
            "facility" => facility = Some(FACILITIES.iter().position(|f| *f == value).ok_or_else(unknown)?),
            "severity" => severity = Some(Level::NAMES.iter().position(|s| *s == value).ok_or_else(unknown)?),
            "tag" if value.len() > TAG => return Err(fault("syslog tag length exceeds 32".into())),
            "tag" if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                return Err(fault("syslog \"tag\" only allows alphanumeric characters and underscore".into()));
            }
            "tag" => tag = Some(value),
            "nohostname" if parameter == name => named = false,
            _ => return Err(fault(format!("unknown syslog parameter \"{parameter}\""))),
        }
    }
    let (addr, server) = server.ok_or_else(|| fault("no syslog server specified".into()))?;
    let addr = match addr {
        PeerAddr::Unix(path) => Addr::Unix(path),
        PeerAddr::Inet(addrs) => {
            addrs.first().map(|addr| Addr::from(*addr)).ok_or_else(|| fault("host not found".into()))?
        }
    };
    Ok(Syslog {
        addr,
        server: server.into(),
        facility: facility.map_or(23, |at| at as u8),
        severity: severity.map_or(INFO, |at| at as u8),
        tag: tag.unwrap_or("nginx").into(),
        hostname: named.then(|| hostname.to_ascii_lowercase().into()),
    })
}
