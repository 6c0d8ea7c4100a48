//! auth_basic: the user name and password of the request against a file of users.
//!
//! Slow hashes are computed by another process ([`crate::services::passwords`]); the request waits for it, the loop
//! does not. The verdict is remembered under a secret hash of the stored line and the password, so a changed line is
//! checked again.

use super::password;
use crate::config::model::Level;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::open_files::Opened;
use crate::services::passwords::{Given, PasswordCheck};
use crate::services::user_file::stored;
use crate::sys::Errno;
use crate::sys::file::c_string;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Milliseconds after which a request that waits for a verdict asks for it again. Usually the verdict wakes it
/// earlier.
const PATIENCE: u64 = 60_000;
/// Milliseconds until the next slice of a large file is read.
const READING: u64 = 1;

/// What checking the password came to.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordOutcome {
    /// No password is required here.
    NotAsked,
    /// The password is right; `$remote_user` is authenticated.
    Granted,
    /// The request does not go on now: a challenge, an error, or a delay until the hash is computed.
    Refused(Flow),
}

/// Checks the credentials of the request, as nginx's auth_basic: 401 with a challenge without them or for wrong ones,
/// 403 if there is no file of users, 500 if it cannot be read. A slow hash delays the request, which is then checked
/// again.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> PasswordOutcome {
    let auth = ex.location().settings.auth.clone();
    let (Some(realm), Some(file)) = (&auth.realm, &auth.file) else { return PasswordOutcome::NotAsked };
    let realm = variables::text(realm, ex, cx);
    if realm == b"off" {
        return PasswordOutcome::NotAsked;
    }
    let Some((user, given)) = ex.request.basic_credentials() else {
        ex.report(cx, Level::Info, format_args!("no user/password was provided for basic authentication"));
        return PasswordOutcome::Refused(challenge(ex, &realm));
    };
    let path = variables::text(file, ex, cx);
    let path = ex.config.process.conf_dir.join(std::ffi::OsStr::from_bytes(&path));
    let users = match read(&path, cx) {
        Ok(Some(users)) => users,
        Ok(None) => return again_after(cx, READING),
        Err(e) => {
            let missing = matches!(e, Errno::ENOENT);
            let level = if missing { Level::Error } else { Level::Crit };
            ex.report(cx, level, format_args!("open() \"{}\" failed {e}", path.display()));
            let status = if missing { Status::FORBIDDEN } else { Status::INTERNAL_SERVER_ERROR };
            return PasswordOutcome::Refused(Flow::Status(status));
        }
    };
    let name = String::from_utf8_lossy(&user).into_owned();
    let Some(stored) = stored(&users, &user) else {
        ex.report(cx, Level::Error, format_args!("user \"{name}\" was not found in \"{}\"", path.display()));
        return PasswordOutcome::Refused(challenge(ex, &realm));
    };
    match verdict(ex, cx, stored, &given) {
        PasswordCheck::Right => {
            ex.route.authenticated = true;
            PasswordOutcome::Granted
        }
        PasswordCheck::Wrong => {
            ex.report(cx, Level::Error, format_args!("user \"{name}\": password mismatch"));
            PasswordOutcome::Refused(challenge(ex, &realm))
        }
        PasswordCheck::Pending => again_after(cx, PATIENCE),
        PasswordCheck::TooMany => overloaded(ex, cx, Status::TOO_MANY_REQUESTS, "of this client"),
        PasswordCheck::Busy => overloaded(ex, cx, Status::SERVICE_UNAVAILABLE, "of all clients"),
        PasswordCheck::Failed => PasswordOutcome::Refused(Flow::Status(Status::INTERNAL_SERVER_ERROR)),
    }
}

fn verdict(ex: &Exchange, cx: &mut Services, stored: &[u8], password: &[u8]) -> PasswordCheck {
    // `explain` runs in a process of its own, and waits for the answer.
    if !password::is_slow(stored) || cx.trace.is_some() {
        return if password::matches(stored, password) { PasswordCheck::Right } else { PasswordCheck::Wrong };
    }
    let waiter = cx.syncs.driven;
    let client = ex.client.peer.octets();
    cx.passwords.check(&Given { stored, password, client, waiter }, password::matches)
}

/// Too many passwords wait to be checked.
fn overloaded(ex: &mut Exchange, cx: &mut Services, status: Status, whose: &str) -> PasswordOutcome {
    ex.report(cx, Level::Warn, format_args!("too many passwords {whose} wait to be checked"));
    ex.response.line(b"Retry-After", b"1");
    PasswordOutcome::Refused(Flow::Status(status))
}

fn again_after(cx: &Services, ms: u64) -> PasswordOutcome {
    PasswordOutcome::Refused(Flow::Delay { until: cx.now.ms + ms, then: Then::Phase(Phase::Access) })
}

/// None: a large file is being read.
fn read(path: &std::path::Path, cx: &mut Services) -> Result<Option<Rc<Vec<u8>>>, Errno> {
    let path = c_string(path.as_os_str().as_bytes())?;
    // `explain` has nothing else to do.
    let now = cx.trace.is_none().then_some(cx.now.ms);
    match cx.files.open(&path, &cx.now, &mut cx.dir_watch)? {
        Opened::File(file) => cx.user_file.content(&file, now),
        _ => Err(Errno::EISDIR),
    }
}

/// 401 (407 for a proxy) with the challenge.
fn challenge(ex: &mut Exchange, realm: &[u8]) -> Flow {
    let mut value = b"Basic realm=\"".to_vec();
    for &byte in realm {
        // RFC 9110 §5.6.4: the realm is a quoted string.
        if matches!(byte, b'"' | b'\\') {
            value.push(b'\\');
        }
        value.push(byte);
    }
    value.push(b'"');
    let (field, status) = match ex.request.asks_a_proxy() {
        true => (&b"Proxy-Authenticate"[..], Status::PROXY_AUTH_REQUIRED),
        false => (&b"WWW-Authenticate"[..], Status::UNAUTHORIZED),
    };
    ex.response.line(field, &value);
    Flow::Status(status)
}
