//! The lock tokens that a request names, and what they allow it to change.

use crate::exchange::Exchange;
use crate::exchange::handlers::principal;
use crate::http::dav::condition;
use crate::http::dav::lock::Token;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::dav_locks::{DavLocks, Lock};
use crate::sys::Errno;
use crate::sys::file;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// The tokens that a request names, and the client that names them.
#[derive(Default)]
pub struct Held {
    tokens: Vec<Token>,
    principal: Vec<u8>,
}

impl Held {
    /// From `If` and `Lock-Token` of the request.
    pub fn of(ex: &Exchange) -> Held {
        let tokens = tokens(ex);
        // Without a token there is nothing to compare it with.
        let principal = if tokens.is_empty() { Vec::new() } else { principal::of(ex) };
        Held { tokens, principal }
    }

    /// The request may use the lock: it names its token, and its client is the one that has it. Answers show tokens to
    /// others, too.
    pub fn has(&self, lock: &Lock) -> bool {
        self.tokens.contains(&lock.token) && *lock.creator == *self.principal
    }
}

/// A tree, or a file, whose locks let the request remove it when it began: others may be granted until it is gone.
#[derive(Default)]
pub struct RemovalPermission {
    path: Vec<u8>,
    held: Held,
}

impl RemovalPermission {
    /// To remove `name` in `dir`.
    ///
    /// # Errors
    /// That of readlink: it is not known where it is.
    pub fn of(ex: &Exchange, dir: BorrowedFd<'_>, name: &[u8]) -> Result<RemovalPermission, Errno> {
        Ok(RemovalPermission { path: file::path_in(dir, name)?, held: Held::of(ex) })
    }

    /// Whether `name` in `dir` is still where it was: neither was moved, nor a directory above.
    pub fn is_at(&self, dir: BorrowedFd<'_>, name: &[u8]) -> bool {
        file::path_in(dir, name).is_ok_and(|path| path == self.path)
    }

    /// Whether it may go itself.
    ///
    /// # Errors
    /// EBUSY: another request has locked it meanwhile.
    pub fn check_itself(&self, locks: &DavLocks) -> Result<(), Errno> {
        match locks.is_empty() || is_allowed(locks, &self.path, &self.held) {
            true => Ok(()),
            false => Err(Errno::EBUSY),
        }
    }

    /// Whether an entry may go. `parent` leads to its directory, each name with its slash.
    ///
    /// # Errors
    /// EBUSY: another request has locked it meanwhile.
    pub fn check(&self, locks: &DavLocks, parent: &[u8], name: &CStr) -> Result<(), Errno> {
        if locks.is_empty() {
            return Ok(());
        }
        match is_allowed(locks, &[&self.path, &b"/"[..], parent, name.to_bytes()].concat(), &self.held) {
            true => Ok(()),
            false => Err(Errno::EBUSY),
        }
    }

    /// All of it is gone.
    pub fn forget(&self, cx: &mut Services) {
        cx.dav_locks.forget(&self.path);
    }
}

/// Whether these tokens allow a change of the path: an exclusive lock needs its own; of shared locks, one is enough.
pub(super) fn is_allowed(locks: &DavLocks, path: &[u8], held: &Held) -> bool {
    let (mut shared, mut shares, mut excluded) = (false, false, false);
    locks.each_covering(path, |lock| {
        let is_held = held.has(lock);
        excluded |= lock.exclusive && !is_held;
        shared |= !lock.exclusive;
        shares |= is_held;
    });
    !excluded && (!shared || shares)
}

/// The lock tokens that the request names.
pub fn tokens(ex: &Exchange) -> Vec<Token> {
    let Some(lists) = ex.header(HeaderId::If).and_then(condition::parse) else { return Vec::new() };
    condition::tokens(&lists).filter_map(Token::parse).collect()
}

/// What happens to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its content or its properties change; the name exists.
    Content,
    /// It is created.
    Made,
    /// It is removed or replaced, with everything in it.
    Gone,
}

/// Whether locks let the request change what has the real path.
///
/// # Errors
/// 423.
pub fn check_path(ex: &Exchange, cx: &mut Services, path: &[u8], change: Change) -> Result<(), Status> {
    if cx.dav_locks.is_empty() {
        return Ok(());
    }
    cx.dav_locks.expire(cx.now.ms);
    let held = Held::of(ex);
    let mut allowed = is_allowed(&cx.dav_locks, path, &held);
    if change != Change::Content
        && let Some(slash) = memchr::memrchr(b'/', path)
    {
        // A directory changes when its names do.
        allowed &= is_allowed(&cx.dav_locks, &path[..slash], &held);
    }
    if change == Change::Gone {
        allowed &= !cx.dav_locks.any_below(path, |lock| !held.has(lock));
    }
    if allowed { Ok(()) } else { Err(Status::LOCKED) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn an_entry_that_another_client_has_locked_since_stays() {
        let zone = Rc::from("z");
        let text = |text: &str| Rc::from(text.as_bytes());
        let token = |n: u8| Token::new([n; 16]);
        let mut locks = DavLocks::default();
        let leave = |path: &str| RemovalPermission {
            path: path.into(),
            held: Held { tokens: vec![token(1)], principal: b"u".to_vec() },
        };
        let check = |locks: &DavLocks, parent: &str, name: &CStr| leave("/d/t").check(locks, parent.as_bytes(), name);
        assert_eq!(leave("/d/t").check(&locks, b"", c"f"), Ok(()), "there are no locks");
        for (n, user, path, exclusive, deep) in [
            (1, "u", "/d/t", true, false),
            (2, "u", "/d/t/theirs", true, false),
            (3, "u", "/d/t/a/deep", false, true),
            (4, "u", "/d/t/both", false, false),
            (1, "u", "/d/t/both", false, false),
            (1, "u", "/d/t/own", true, false),
            // Its token stands in answers that others get.
            (1, "v", "/d/t/seen", true, false),
            (1, "", "/d/t/unnamed", true, false),
        ] {
            let (path, href, owner, creator) = (text(path), text(path), text(""), text(user));
            let lock = Lock { token: token(n), path, href, exclusive, deep, owner, creator, timeout: 1, until: 10 };
            locks.grant(&zone, 1 << 20, lock).expect("granted");
        }
        for (parent, name, may) in [
            ("", c"f", true),
            ("", c"theirs", false),
            ("", c"theirs2", true),
            ("a/", c"theirs", true),
            ("a/", c"deep", false),
            ("a/deep/b/", c"c", false),
            ("theirs/", c"f", true),
            ("", c"both", true),
            ("", c"own", true),
            ("", c"seen", false),
            ("", c"unnamed", false),
        ] {
            assert_eq!(check(&locks, parent, name).is_ok(), may, "{parent}{name:?}");
        }
    }
}
