//! PROPPATCH (RFC 4918 §9.2). No properties are stored. Those that Windows sets after each copy are accepted, and the
//! modification time, also as rclone sends it, becomes the file's own; every other one is refused within the 207, all
//! or none.

use super::depth::{Depth, depth};
use super::guard::{self, Change};
use super::refuse::{failed, malformed, refuse};
use super::target::Resource;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::multistatus::{self, is_ours, propstat};
use crate::exchange::response::ContentType;
use crate::http::date;
use crate::http::dav::body::{self, PropertyUpdate};
use crate::http::dav::xml;
use crate::http::escape::escape_path;
use crate::http::status::Status;
use crate::io::open;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_RDONLY};
use std::os::fd::AsFd;

const WINDOWS: &str = "urn:schemas-microsoft-com:";
/// What Windows sets besides the modification time.
const TAKEN: [&str; 3] = ["Win32CreationTime", "Win32LastAccessTime", "Win32FileAttributes"];

/// What is done with a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PropertyChange {
    Taken,
    /// The modification time of the file, Unix seconds.
    Modified(i64),
    /// Only this server sets it.
    Protected,
    Refused,
}

/// Answers 207 with a status for each property. Only the modification time is ever changed.
pub fn run(ex: &mut Exchange, cx: &mut Services, body: &[u8]) -> Flow {
    let wishes = match body::proppatch(body) {
        Ok(wishes) => wishes,
        Err(why) => return malformed(ex, cx, why),
    };
    if !matches!(depth(ex, Depth::Zero), Some(Depth::Zero | Depth::Infinity)) {
        return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0"));
    }
    let mut verdicts: Vec<PropertyChange> = wishes.iter().map(verdict).collect();
    let resource = Resource::of(ex, cx).and_then(|resource| resource.check_slash(ex).map(|()| resource));
    match resource {
        Ok(resource) => {
            if let Err(status) = guard::check(ex, cx, resource.dir.as_fd(), resource.name.to_bytes(), Change::Content) {
                return Flow::Status(status);
            }
            match apply(&resource, &verdicts) {
                Ok(true) => {}
                Ok(false) => wishes.iter().zip(&mut verdicts).for_each(|(wish, verdict)| not_stored(wish, verdict)),
                Err(e) => return failed(ex, cx, "utimensat()", e),
            }
            cx.now.changed();
        }
        // The area itself has no properties that could be set.
        Err(Errno::EBUSY) => {}
        Err(e) => return failed(ex, cx, "open()", e),
    }
    answer(ex, &wishes, &verdicts)
}

fn verdict(wish: &PropertyUpdate) -> PropertyChange {
    if is_ours(&wish.name) {
        return PropertyChange::Protected;
    }
    match (&*wish.name.ns, &*wish.name.name, &wish.value) {
        (WINDOWS, "Win32LastModifiedTime", Some(value)) => {
            date::parse(value.trim().as_bytes()).map_or(PropertyChange::Refused, PropertyChange::Modified)
        }
        // How rclone and ownCloud's clients set it (`getlastmodified` is protected).
        ("DAV:", "lastmodified", Some(value)) => {
            date::parse_unix(value.trim()).map_or(PropertyChange::Refused, PropertyChange::Modified)
        }
        (WINDOWS, name, Some(_)) if TAKEN.contains(&name) => PropertyChange::Taken,
        // Removing a property that is not there succeeds.
        (_, _, None) => PropertyChange::Taken,
        _ => PropertyChange::Refused,
    }
}

fn is_granted(verdict: PropertyChange) -> bool {
    matches!(verdict, PropertyChange::Taken | PropertyChange::Modified(_))
}

/// Applies everything, or nothing. False: the file system does not store such a time.
fn apply(resource: &Resource, verdicts: &[PropertyChange]) -> Result<bool, Errno> {
    let stat = file::stat_at(Some(resource.dir.as_fd()), &resource.name, Follow::No)?;
    if !verdicts.iter().all(|verdict| is_granted(*verdict)) {
        return Ok(true);
    }
    let modified = verdicts.iter().rev().find_map(|verdict| match verdict {
        PropertyChange::Modified(time) => Some(*time),
        _ => None,
    });
    match modified {
        Some(time) if stat.kind == FileKind::Regular => {
            let fd = open::regular_at(resource.dir.as_fd(), &resource.name, O_RDONLY, 0)?;
            match file::set_mtime(fd.as_fd(), (time, 0)) {
                Ok(()) => file::fstat(fd.as_fd()).map(|stat| stat.has_mtime(time)),
                Err(e) if file::is_missing(e) => Ok(false),
                Err(e) => Err(e),
            }
        }
        _ => Ok(true),
    }
}

/// The time was not stored. Windows, whose other times are not kept either, is told that it was taken: it fails the
/// whole copy otherwise.
fn not_stored(wish: &PropertyUpdate, verdict: &mut PropertyChange) {
    if matches!(verdict, PropertyChange::Modified(_)) {
        *verdict = if &*wish.name.ns == WINDOWS { PropertyChange::Taken } else { PropertyChange::Refused };
    }
}

fn answer(ex: &mut Exchange, wishes: &[PropertyUpdate], verdicts: &[PropertyChange]) -> Flow {
    let mut href = Vec::new();
    escape_path(&ex.route.uri, &mut href);
    let mut out = multistatus::HEAD.to_vec();
    out.extend_from_slice(b"<D:response>");
    multistatus::href(&href, &mut out);
    let granted = verdicts.iter().all(|verdict| is_granted(*verdict));
    for (status, belongs) in [
        ("200 OK", (|verdict, granted| granted && is_granted(verdict)) as fn(PropertyChange, bool) -> bool),
        ("403 Forbidden", |verdict, _| matches!(verdict, PropertyChange::Protected | PropertyChange::Refused)),
        ("424 Failed Dependency", |verdict, granted| !granted && is_granted(verdict)),
    ] {
        let mut names = Vec::new();
        for (wish, _) in wishes.iter().zip(verdicts).filter(|(_, verdict)| belongs(**verdict, granted)) {
            xml::empty(&wish.name, &mut names);
        }
        if !names.is_empty() {
            propstat(&names, status, &mut out);
        }
    }
    out.extend_from_slice(b"</D:response>\n");
    out.extend_from_slice(multistatus::TAIL);
    ex.response.text(Status::MULTI_STATUS, ContentType::Static(multistatus::CONTENT_TYPE), out);
    Flow::Respond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_windows_is_told_that_a_time_was_taken_which_was_not_stored() {
        use PropertyChange::{Modified, Protected, Refused, Taken};
        for (space, before, expected) in [
            (WINDOWS, Modified(1), Taken),
            ("DAV:", Modified(1), Refused),
            ("http://owncloud.org/ns", Modified(1), Refused),
            (WINDOWS, Refused, Refused),
            (WINDOWS, Protected, Protected),
            ("DAV:", Taken, Taken),
        ] {
            let wish = "<D:set><D:prop><Z:time>x</Z:time></D:prop></D:set>";
            let text = format!("<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"{space}\">{wish}</D:propertyupdate>");
            let wishes = body::proppatch(text.as_bytes()).expect("it is right");
            let mut verdict = before;
            not_stored(&wishes[0], &mut verdict);
            assert_eq!(verdict, expected, "{space} {before:?}");
        }
    }
}
