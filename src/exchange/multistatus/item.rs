//! A resource and its properties, as data; and the elements of XML that several answers share.

use crate::config::settings::files::Files;
use crate::http::dav::xml::{self, Name};
use crate::services::dav_locks::Lock;
use crate::sys::file::Stat;
use std::rc::Rc;

/// What is the same for all entries.
pub struct Shape {
    /// Properties in the order in which they are listed.
    pub properties: Vec<Property>,
    /// Only the names of properties are wanted.
    pub names_only: bool,
    /// Properties that the resource does not have are listed too.
    pub tells_missing: bool,
    /// How types are known.
    pub files: Rc<Files>,
    /// `etag` is on: getetag is listed.
    pub etag: bool,
    /// LOCK is answered here.
    pub locks: bool,
    /// Symbolic links are followed; otherwise they are left out.
    pub follow: bool,
    /// Names of trash directories, which are not listed.
    pub hidden: Vec<Box<[u8]>>,
    /// Free and used bytes of the file system.
    pub room: Option<(u64, u64)>,
}

/// One resource.
pub struct Item<'a> {
    /// Its URI, escaped.
    pub href: &'a [u8],
    /// Its last component, for displayname.
    pub name: &'a [u8],
    /// Of what a link leads to, where they are followed.
    pub stat: &'a Stat,
    /// Locks on it, inherited ones included.
    pub locks: &'a [Lock],
}

/// A property that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// A property that this server computes (RFC 4918 §15).
    Live(Live),
    /// A property that no resource has.
    Unknown(Name),
}

/// The properties that are computed, by their names in `DAV:` but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    CreationDate,
    DisplayName,
    ContentLength,
    ContentType,
    ETag,
    LastModified,
    LockDiscovery,
    ResourceType,
    SupportedLock,
    QuotaAvailable,
    QuotaUsed,
    /// `executable` of Apache's namespace, which clients ask for.
    Executable,
}

/// `<D:href>`: the URI is escaped already.
pub fn href(uri: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<D:href>");
    xml::escape(&String::from_utf8_lossy(uri), out);
    out.extend_from_slice(b"</D:href>");
}

/// The active locks of a resource, as `lockdiscovery` has them.
pub fn lock_discovery(locks: &[Lock], now: Option<u64>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<D:lockdiscovery>");
    for lock in locks {
        let scope: &[u8] = if lock.exclusive { b"exclusive" } else { b"shared" };
        let depth: &[u8] = if lock.deep { b"infinity" } else { b"0" };
        let left = now.map_or(lock.timeout, |now| lock.until.saturating_sub(now).div_ceil(1000));
        let head = [
            &b"<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:"[..],
            scope,
            b"/></D:lockscope><D:depth>",
            depth,
            b"</D:depth>",
        ];
        out.extend_from_slice(&head.concat());
        if !lock.owner.is_empty() {
            out.extend_from_slice(&[&b"<D:owner>"[..], &lock.owner, b"</D:owner>"].concat());
        }
        let token =
            format!("<D:timeout>Second-{left}</D:timeout><D:locktoken><D:href>{}</D:href></D:locktoken>", lock.token);
        out.extend_from_slice(token.as_bytes());
        out.extend_from_slice(b"<D:lockroot>");
        href(&lock.href, out);
        out.extend_from_slice(b"</D:lockroot></D:activelock>");
    }
    out.extend_from_slice(b"</D:lockdiscovery>");
}
