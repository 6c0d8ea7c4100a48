//! The live properties: those of RFC 4918 §15, the two of RFC 4331 about quotas, and one that Apache and its clients
//! agreed on.

use super::item::{Item, Live, Property, Shape, href, lock_discovery};
use crate::exchange::media_types;
use crate::http::date;
use crate::http::dav::body::PropfindRequest;
use crate::http::dav::xml::{self, Name};
use crate::services::open_files::version;
use crate::sys::file::{FileKind, Stat};
use crate::util::date::Civil;
use std::collections::HashSet;
use std::io::Write;

const APACHE: &str = "http://apache.org/dav/props/";

/// Each with its namespace and name, and whether `allprop` means it.
const LIVE: [(Live, &str, &str, bool); 12] = [
    (Live::CreationDate, "DAV:", "creationdate", true),
    (Live::DisplayName, "DAV:", "displayname", true),
    (Live::ContentLength, "DAV:", "getcontentlength", true),
    (Live::ContentType, "DAV:", "getcontenttype", true),
    (Live::ETag, "DAV:", "getetag", true),
    (Live::LastModified, "DAV:", "getlastmodified", true),
    (Live::LockDiscovery, "DAV:", "lockdiscovery", true),
    (Live::ResourceType, "DAV:", "resourcetype", true),
    (Live::SupportedLock, "DAV:", "supportedlock", true),
    // RFC 4331 §3: not where everything is asked for.
    (Live::QuotaAvailable, "DAV:", "quota-available-bytes", false),
    (Live::QuotaUsed, "DAV:", "quota-used-bytes", false),
    (Live::Executable, APACHE, "executable", false),
];

fn find(name: &Name) -> Option<Live> {
    LIVE.iter().find(|(_, ns, local, _)| *ns == &*name.ns && *local == &*name.name).map(|(live, ..)| *live)
}

/// A name that clients cannot set.
pub fn is_ours(name: &Name) -> bool {
    find(name).is_some()
}

/// The properties that a request is about.
pub fn choose(wanted: &PropfindRequest) -> Vec<Property> {
    let known = |name: &Name| find(name).map_or_else(|| Property::Unknown(name.clone()), Property::Live);
    match wanted {
        // A name that occurs twice is listed once.
        PropfindRequest::These(names) => {
            let mut seen = HashSet::new();
            names.iter().filter(|name| seen.insert(*name)).map(known).collect()
        }
        PropfindRequest::Names => LIVE.iter().map(|(live, ..)| Property::Live(*live)).collect(),
        PropfindRequest::All(more) => {
            let all = LIVE.iter().filter(|(.., all)| *all).map(|(live, ..)| Property::Live(*live));
            // `include` adds only properties that exist.
            let more = LIVE.iter().filter(|(live, .., all)| !all && more.iter().any(|name| find(name) == Some(*live)));
            all.chain(more.map(|(live, ..)| Property::Live(*live))).collect()
        }
    }
}

/// `response` of one resource: what it has, and, where that was asked for, what it has not.
pub fn response(shape: &Shape, item: &Item<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<D:response>");
    href(item.href, out);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for property in &shape.properties {
        match property {
            Property::Unknown(name) => xml::empty(name, &mut missing),
            Property::Live(live) if !has(*live, shape, item.stat) => xml::empty(&name(*live), &mut missing),
            Property::Live(live) if shape.names_only => xml::empty(&name(*live), &mut found),
            Property::Live(live) => value(*live, shape, item, &mut found),
        }
    }
    let tells_missing = shape.tells_missing && !missing.is_empty();
    if !found.is_empty() || !tells_missing {
        propstat(&found, "200 OK", out);
    }
    if tells_missing {
        propstat(&missing, "404 Not Found", out);
    }
    out.extend_from_slice(b"</D:response>\n");
}

/// Properties that share a status.
pub fn propstat(properties: &[u8], status: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<D:propstat><D:prop>");
    out.extend_from_slice(properties);
    let _ = write!(out, "</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>");
}

fn name(live: Live) -> Name {
    let row = LIVE.iter().find(|(it, ..)| *it == live);
    let (ns, local) = row.map_or(("", ""), |(_, ns, local, _)| (*ns, *local));
    Name { ns: ns.into(), name: local.into() }
}

fn has(live: Live, shape: &Shape, stat: &Stat) -> bool {
    let is_file = stat.kind == FileKind::Regular;
    match live {
        Live::ContentLength | Live::ContentType | Live::Executable => is_file,
        Live::ETag => is_file && shape.etag,
        Live::QuotaAvailable | Live::QuotaUsed => !is_file && shape.room.is_some(),
        Live::CreationDate | Live::DisplayName | Live::LastModified | Live::LockDiscovery | Live::ResourceType => true,
        Live::SupportedLock => true,
    }
}

fn value(live: Live, shape: &Shape, item: &Item<'_>, out: &mut Vec<u8>) {
    if live == Live::LockDiscovery {
        return lock_discovery(item.locks, None, out);
    }
    let tag = name(live);
    if live == Live::Executable {
        let executable = if item.stat.mode & 0o111 == 0 { "F" } else { "T" };
        let _ = write!(out, "<A:executable xmlns:A=\"{APACHE}\">{executable}</A:executable>");
        return;
    }
    let _ = write!(out, "<D:{}>", tag.name);
    match live {
        Live::CreationDate => {
            let Civil { year, month, day, hour, minute, second, .. } = Civil::from_unix(item.stat.mtime.0);
            let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        }
        Live::DisplayName => xml::escape(&String::from_utf8_lossy(item.name), out),
        Live::ContentLength => _ = write!(out, "{}", item.stat.size),
        Live::ContentType => {
            let kind = media_types::of_name(&shape.files, item.name);
            xml::escape(&String::from_utf8_lossy(kind.as_bytes()), out);
        }
        Live::ETag => xml::escape(&String::from_utf8_lossy(version(item.stat).as_bytes()), out),
        Live::LastModified => out.extend_from_slice(&date::format(item.stat.mtime.0)),
        Live::ResourceType if item.stat.kind == FileKind::Dir => out.extend_from_slice(b"<D:collection/>"),
        Live::SupportedLock if shape.locks => {
            for scope in ["exclusive", "shared"] {
                let _ = write!(
                    out,
                    "<D:lockentry><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"
                );
            }
        }
        Live::QuotaAvailable => _ = write!(out, "{}", shape.room.unwrap_or_default().0),
        Live::QuotaUsed => _ = write!(out, "{}", shape.room.unwrap_or_default().1),
        Live::ResourceType | Live::SupportedLock | Live::LockDiscovery | Live::Executable => {}
    }
    let _ = write!(out, "</D:{}>", tag.name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::files::Files;
    use std::rc::Rc;

    fn stat(kind: FileKind) -> Stat {
        let (mtime, ctime) = ((784_111_777, 0), (784_111_777, 0));
        Stat { kind, size: 5, mtime, ctime, ino: 1, dev: 1, mode: 0o644, nlink: 1, uid: 0, gid: 0 }
    }

    fn shown(wanted: &PropfindRequest, kind: FileKind) -> String {
        let shape = Shape {
            properties: choose(wanted),
            names_only: *wanted == PropfindRequest::Names,
            tells_missing: matches!(wanted, PropfindRequest::These(_)),
            files: Rc::new(Files::default()),
            etag: true,
            locks: false,
            follow: true,
            hidden: Vec::new(),
            room: None,
        };
        let mut out = Vec::new();
        let item = Item { href: b"/a%20b&c", name: b"a b&c", stat: &stat(kind), locks: &[] };
        response(&shape, &item, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn these(names: &[(&str, &str)]) -> PropfindRequest {
        PropfindRequest::These(names.iter().map(|(ns, name)| Name { ns: (*ns).into(), name: (*name).into() }).collect())
    }

    #[test]
    fn what_is_there_and_what_is_not_are_told_apart() {
        let text = shown(&these(&[("DAV:", "getcontentlength"), ("urn:x", "a")]), FileKind::Regular);
        assert_eq!(
            text,
            "<D:response><D:href>/a%20b&amp;c</D:href><D:propstat><D:prop><D:getcontentlength>5</D:getcontentlength>\
             </D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><x:a xmlns:x=\"urn:x\"/>\
             </D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>\n"
        );
        let none = shown(&these(&[("DAV:", "getcontentlength")]), FileKind::Dir);
        assert!(none.contains("404") && !none.contains("200 OK"), "{none}");
    }

    #[test]
    fn all_properties_are_those_of_the_kind() {
        let file = shown(&PropfindRequest::All(Vec::new()), FileKind::Regular);
        for part in
            ["<D:resourcetype></D:resourcetype>", "<D:displayname>a b&amp;c<", "1994-11-06T08:49:37Z", "getetag"]
        {
            assert!(file.contains(part), "{part} in {file}");
        }
        let dir = shown(&PropfindRequest::All(Vec::new()), FileKind::Dir);
        assert!(dir.contains("<D:collection/>") && !dir.contains("getcontentlength") && !dir.contains("404"), "{dir}");
        let names = shown(&PropfindRequest::Names, FileKind::Dir);
        assert!(names.contains("<D:displayname/>") && !names.contains("404"), "{names}");
    }
}
