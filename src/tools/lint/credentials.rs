//! Secrets that others can read: passwords on their way, keys on the disk, what a debug log holds.

use super::blocks::{condition, refuses};
use super::level::{Level, Weak};
use super::rule::{Finding, Rule, RuleContext};
use super::values::is_off;
use crate::config::ast::{Directive, Word};
use crate::io::open;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W388",
        title: "a secret in the address",
        page: "`if ($arg_token != s3cret)` has the secret in the URL: logs of this server and of proxies, histories and Referer \
               headers keep it, and so does everyone who gets the link. Ask for a header ($http_x_api_key), a password \
               (`auth_basic`) or a signed link that ends.",
        about: &["if"],
        check: secret_argument,
    },
    Rule {
        code: "W160",
        title: "a password that is sent in the clear",
        page: "`auth_basic` has the browser send the password with each request, and without TLS anyone on the way reads it. \
               Ask for it in a server that listens with `ssl` alone, and redirect to that one; behind a proxy that speaks TLS, \
               listen on an address that only it reaches (127.0.0.1), or name it by `set_real_ip_from`.",
        about: &["auth_basic"],
        check: plain_password,
    },
    Rule {
        code: "W161",
        title: "a key that every user of the machine can read",
        page: "Anyone with the key of a certificate can pass for the server. The master process reads it as root: no one else \
               needs to. `chmod 600 KEY`.",
        about: &["ssl_certificate_key", "proxy_ssl_certificate_key"],
        check: readable_key,
    },
    Rule {
        code: "W162",
        title: "a log of everything that happens",
        page: "At the level `debug` the log holds the headers of each request, with cookies and passwords, and grows by several \
               KiB for each. Write `error_log FILE warn;`, and `debug` for the time of a search only.",
        about: &["error_log"],
        check: debug_log,
    },
    Rule {
        code: "W178",
        title: "a password file with passwords in it",
        page: "A line is `USER:HASH`. A word that is no hash matches no password (crypt), and one behind `{PLAIN}` is the password \
               itself, for everyone who reads the file or a backup of it. `htpasswd -B FILE USER` or `openssl passwd -6` make \
               hashes.",
        about: &["auth_basic_user_file"],
        check: unhashed,
    },
];

/// Whether a `listen` takes connections from other machines, without TLS.
fn is_plain(cx: &RuleContext, listen: &Directive) -> bool {
    let address = listen.args.first().map(Word::str).unwrap_or_default();
    let is_own = address.parse::<std::net::IpAddr>().ok().or_else(|| {
        let (host, _) = address.rsplit_once(':')?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    });
    let is_private = match is_own {
        Some(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.segments()[0] & 0xfe00 == 0xfc00,
        None => address.starts_with("unix:") || address.starts_with("localhost"),
    };
    let is_safe = |word: &Word| ["ssl", "quic", "proxy_protocol"].iter().any(|safe| word.is(safe));
    !is_private && !listen.args.iter().any(is_safe) && !cx.shares_tls(listen)
}

fn plain_password(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(word), Some(server)) = (cx.d.args.first(), cx.inside("server")) else { return };
    if !cx.is("auth_basic") || is_off(&word.lower()) || cx.ssl().is_some() || !cx.is_whole {
        return;
    }
    // Without a file no password is asked for; another rule warns of that.
    let is_asked = |level: &Level| level.has("auth_basic_user_file");
    let is_behind = || cx.levels.iter().any(|level| level.has("set_real_ip_from") || level.has("include"));
    // A redirect of plain requests, or a proxy that says what the client speaks.
    let is_led = || {
        ["$scheme", "$https", "$http_x_forwarded_proto", "$server_port"]
            .iter()
            .any(|name| !server.ifs_about(name).is_empty())
    };
    if !cx.levels().any(is_asked) || is_behind() || is_led() || server.has("return") {
        return;
    }
    let plain = server.named("listen").iter().find(|listen| is_plain(cx, listen));
    if let Some(listen) = plain {
        let message = "the password is sent in the clear: the server listens without TLS";
        let help = "ask for it in a server with `listen 443 ssl`, and redirect to that one here";
        found.push(Finding::new(cx.d.span, message, help).note(listen.args_span(), "it listens"));
    }
}

/// Whether users other than the owner and the group can read a file: its mode, and the way to it.
fn is_readable(path: &Path) -> bool {
    const READ: u32 = 0o004;
    const ENTER: u32 = 0o001;
    let may = |path: &Path, bit: u32| std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & bit != 0);
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    is_file && may(path, READ) && path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || may(dir, ENTER))
}

fn readable_key(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_file = |word: &&Word| cx.name().ends_with(b"ssl_certificate_key") && !word.bytes().starts_with(b"data:");
    let Some(word) = cx.d.args.first().filter(is_file) else { return };
    let Some(path) = cx.path(word, |paths| &paths.conf_dir).and_then(|path| path.canonicalize().ok()) else { return };
    if is_readable(&path) {
        let message = "every user of this machine can read this key";
        found.push(Finding::new(word.span, message, format!("chmod 600 \"{}\"", path.display())));
    }
}

fn debug_log(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(word) = cx.d.args.iter().skip(1).find(|word| cx.is("error_log") && word.is("debug")) {
        let message = "each header of each request is logged, cookies and passwords as well";
        found.push(Finding::new(word.span, message, "a level that leaves them out: warn"));
    }
}

/// What stands in place of a hash, or a weak one.
fn weakness(line: &[u8]) -> Option<Weak> {
    let mut parts = line.split(|byte| *byte == b':').skip(1);
    let hash = parts.next()?.trim_ascii_end();
    // Traditional crypt has 13 characters.
    let is_crypt = hash.len() == 13 && hash.iter().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(byte));
    match hash.first()? {
        _ if line.starts_with(b"#") || is_crypt => None,
        b'$' | b'*' | b'!' => None,
        b'{' if hash.starts_with(b"{PLAIN}") => Some(Weak::Itself),
        b'{' => hash.starts_with(b"{SHA}").then_some(Weak::Unsalted),
        _ => Some(Weak::Nothing),
    }
}

/// Larger files are made by a program.
const LARGEST: u64 = 64 * 1024;

/// The first user of a password file without a hash that holds, and what the file has instead.
fn without_hash(path: &Path) -> Option<(String, Weak)> {
    // Other kinds of files could block.
    std::fs::metadata(path).ok().filter(|meta| meta.is_file() && meta.len() <= LARGEST)?;
    let text = open::read(path, LARGEST).ok()?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let (line, weak) = lines.find_map(|line| Some((line, weakness(line)?)))?;
    let user = line.split(|byte| *byte == b':').next().unwrap_or_default();
    Some((String::from_utf8_lossy(user).into_owned(), weak))
}

fn unhashed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("auth_basic_user_file")) else { return };
    let (Some(path), Some(outermost)) = (cx.path(word, |paths| &paths.conf_dir), cx.levels.first()) else { return };
    // Many locations name one file.
    let mut known = outermost.unhashed.borrow_mut();
    let first = known.entry(path.clone()).or_insert_with(|| without_hash(&path));
    if let Some((user, weak)) = &*first {
        let message = match weak {
            Weak::Itself => format!("the file holds the password of \"{user}\" itself"),
            Weak::Nothing => format!("what the file has for \"{user}\" is no hash: no password matches it"),
            Weak::Unsalted => {
                format!("the hash of \"{user}\" has no salt: lists of such hashes give the password at once")
            }
        };
        let help = format!("htpasswd -B \"{}\" \"{user}\" writes a hash (package apache2-utils)", path.display());
        found.push(Finding::new(word.span, message, help));
    }
}

/// Arguments that hold secrets.
const SECRET_ARGUMENTS: [&str; 12] = [
    "$arg_token",
    "$arg_key",
    "$arg_api_key",
    "$arg_apikey",
    "$arg_secret",
    "$arg_password",
    "$arg_pass",
    "$arg_passwd",
    "$arg_pwd",
    "$arg_auth",
    "$arg_auth_token",
    "$arg_access_token",
];

/// Values that choose a way to log in, or whether to.
const WORDS: [&str; 18] = [
    "basic", "bearer", "digest", "none", "oauth", "oauth2", "oidc", "saml", "ldap", "sso", "jwt", "true", "false",
    "yes", "no", "on", "0", "1",
];

fn secret_argument(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(asked) = condition(cx.d).filter(|asked| SECRET_ARGUMENTS.contains(&&*asked.subject)) else { return };
    let is_word = WORDS.iter().any(|word| asked.text.eq_ignore_ascii_case(word));
    let is_secret = !asked.text.is_empty() && !asked.text.contains('$') && !is_word;
    if asked.equality() == Some(false) && is_secret && refuses(cx.children()) {
        let message = format!("{} is a part of the address: logs, histories and links keep the secret", asked.subject);
        let help = "ask for a header, as in $http_x_api_key, or for a password: auth_basic";
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}
