//! LOCK and UNLOCK (RFC 4918 §9.10, §9.11).

use super::depth::{Depth, depth};
use super::guard::{self, Change};
use super::lock_tokens;
use super::refuse::{failed, malformed, refuse};
use super::target::{self, LockKey, Resource};
use crate::config::model::Level;
use crate::config::settings::limits::Counts;
use crate::config::settings::upload::Store;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::path_rules::{self, PathAction, PathRules};
use crate::exchange::handlers::principal;
use crate::exchange::handlers::syncing::Name;
use crate::exchange::handlers::upload::{self, Names, Refusal};
use crate::exchange::multistatus::{self, lock_discovery};
use crate::exchange::response::ContentType;
use crate::exchange::{Exchange, Printable, media_types, paths};
use crate::http::dav::body::{self, LockInfo};
use crate::http::dav::lock::{self, Token};
use crate::http::escape::escape_path;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::io::open;
use crate::services::dav_locks::{Lock, NotGranted};
use crate::services::quotas::shared::QuotaLock;
use crate::services::{Services, temp_names};
use crate::sys::file::{self, FileKind, O_CREAT, O_EXCL, O_WRONLY};
use crate::sys::{Errno, random};
use std::os::fd::AsFd;
use std::rc::Rc;

/// The location's zone: its name, its size, and for how many seconds locks are granted.
fn zone(ex: &Exchange) -> Option<(Rc<str>, u64, u64)> {
    let zone = ex.config.tables.zones.get(ex.location().settings.dav.lock_zone? as usize)?;
    match zone.defined {
        Some((_, Counts::Locks { timeout })) => Some((zone.name.clone(), zone.size.0, timeout)),
        _ => None,
    }
}

/// The name of a file that was made, and the lock that it was made for.
pub type Made = (Name, Box<Lock>);

/// `made`: set if a file was made. [`Flow::Wait`]: nothing was done yet; the quota's area is being counted, or
/// another process has its lock.
pub fn lock(ex: &mut Exchange, cx: &mut Services, body: &[u8], made: &mut Option<Made>) -> Flow {
    let Some((zone, size, most)) = zone(ex) else {
        return refuse(ex, cx, Status::FORBIDDEN, format_args!("LOCK needs dav_ext_lock with a dav_ext_lock_zone"));
    };
    let timeout = lock::timeout(ex.header(HeaderId::Timeout), most);
    if body.trim_ascii().is_empty() {
        return refresh(ex, cx, timeout);
    }
    let info = match body::lockinfo(body) {
        Ok(info) => info,
        Err(why) => return malformed(ex, cx, why),
    };
    let deep = match depth(ex, Depth::Infinity) {
        Some(Depth::Zero) => false,
        Some(Depth::Infinity) => true,
        _ => return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0 or infinity")),
    };
    let (key, resource) = match find(ex, cx).and_then(|found| check_store(ex, cx).map(|()| found)) {
        Ok(found) => found,
        Err(flow) => return flow,
    };
    let Ok(random) = random_bytes() else { return Flow::Status(Status::INTERNAL_SERVER_ERROR) };
    let is_collection = key.stat.is_some_and(|stat| stat.kind == FileKind::Dir);
    if is_collection && let Err(flow) = check_collection(ex, cx, deep) {
        return flow;
    }
    let LockInfo { exclusive, owner } = info;
    let lock = Lock {
        token: Token::new(random),
        path: key.path.as_slice().into(),
        href: href(&ex.route.uri, is_collection).into(),
        exclusive,
        deep: deep && is_collection,
        owner: owner.into(),
        creator: principal::of(ex).into(),
        timeout,
        until: cx.now.ms.saturating_add(timeout.saturating_mul(1000)),
    };
    cx.dav_locks.expire(cx.now.ms);
    if let Err(denied) = cx.dav_locks.grant(&zone, size, lock.clone()) {
        return deny(ex, cx, denied, &zone);
    }
    let status = match (&key.stat, resource) {
        (None, Some(resource)) => match make(ex, cx, &resource) {
            Ok(status) => {
                let name = (resource.dir, resource.name);
                *made = (status == Status::CREATED).then(|| (name, Box::new(lock.clone())));
                status
            }
            Err(flow) => {
                cx.dav_locks.release(&lock.path, lock.token);
                return flow;
            }
        },
        _ => Status::OK,
    };
    ex.response.line(b"Lock-Token", format!("<{}>", lock.token).as_bytes());
    answer(ex, cx, status, &lock)
}

/// What a PUT writes is what the lock is for: upload_store may store it elsewhere, where no lock would hold.
fn check_store(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    if !matches!(ex.location().settings.upload.store, Store::Path(_)) {
        return Ok(());
    }
    let locked = ex.route.path.clone();
    match upload::resumed::path(ex, cx) {
        Ok(path) if paths::is_same(&path, &locked) => Ok(()),
        _ => {
            let why = "LOCK: uploads are stored elsewhere here (upload_store), where the lock would not hold";
            Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("{why}")))
        }
    }
}

/// Whether the client may lock the collection; `deep`: with all that is or will be in it, from which the lock keeps
/// others.
fn check_collection(ex: &mut Exchange, cx: &mut Services, deep: bool) -> Result<(), Flow> {
    path_rules::check_directory(ex, cx).map_err(|refusal| upload::refuse(ex, cx, &refusal))?;
    if !deep {
        return Ok(());
    }
    let rules = PathRules::of(ex, cx);
    if rules.are_same_below(ex, &upload::as_directory(&rules.uri), PathAction::Put) {
        return Ok(());
    }
    // RFC 4918 §9.10.3: all of the tree is locked, or nothing.
    let why = "LOCK: paths below it may have other rules: Depth 0 locks the collection alone";
    Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("{why}")))
}

fn deny(ex: &Exchange, cx: &mut Services, denied: NotGranted, zone: &str) -> Flow {
    match denied {
        NotGranted::Locked => Flow::Status(Status::LOCKED),
        NotGranted::Full => {
            ex.report(cx, Level::Error, format_args!("no room for a lock in dav_ext_lock_zone \"{zone}\""));
            Flow::Status(Status::INSUFFICIENT_STORAGE)
        }
        NotGranted::Many => {
            let path = Printable(&ex.route.uri);
            ex.report(cx, Level::Info, format_args!("LOCK: too many locks of \"{path}\", or of other spellings of it"));
            Flow::Status(Status::LOCKED)
        }
    }
}

fn href(uri: &[u8], is_collection: bool) -> Vec<u8> {
    let mut href = Vec::new();
    escape_path(uri, &mut href);
    if is_collection && !href.ends_with(b"/") {
        href.push(b'/');
    }
    href
}

/// The resource that the URI names, unless it is the area itself.
fn find(ex: &mut Exchange, cx: &mut Services) -> Result<(LockKey, Option<Resource>), Flow> {
    if temp_names::is_hidden(&ex.route.uri) {
        return Err(refuse(
            ex,
            cx,
            Status::BAD_REQUEST,
            format_args!("LOCK: names that begin like this are reserved for this server"),
        ));
    }
    match Resource::of(ex, cx) {
        Ok(resource) => match resource.check_slash(ex).and_then(|()| resource.key()) {
            Ok(key) => Ok((key, Some(resource))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                Err(refuse(ex, cx, Status::CONFLICT, format_args!("LOCK: no collection has that name")))
            }
            Err(e) => Err(failed(ex, cx, "lstat()", e)),
        },
        Err(Errno::EBUSY) => {
            let uri = ex.route.uri.clone();
            target::key(ex, cx, &uri).map(|key| (key, None)).ok_or(Flow::Status(Status::NOT_FOUND))
        }
        Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Flow::Status(Status::CONFLICT)),
        Err(e) => Err(failed(ex, cx, "open()", e)),
    }
}

/// A free name becomes an empty file (RFC 4918 §7.3), if PUT could make one.
fn make(ex: &mut Exchange, cx: &mut Services, resource: &Resource) -> Result<Status, Flow> {
    if !ex.location().settings.dav.methods.contains(Method::Put) {
        let why = format_args!("LOCK of an unused name needs PUT in dav_methods");
        return Err(refuse(ex, cx, Status::FORBIDDEN, why));
    }
    if ex.location().settings.upload.store == Store::Off {
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("LOCK of an unused name: uploads are off here")));
    }
    if let Err(why) = Names::of(ex).check(resource.name.to_bytes()) {
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("LOCK: {why}")));
    }
    let directory = file::path_of(resource.dir.as_fd()).map_err(|e| failed(ex, cx, "readlink()", e))?;
    // The lock of the name is the client's own; only that of the directory counts.
    guard::check_path(ex, cx, &directory, Change::Content).map_err(Flow::Status)?;
    // The limits of PUT; the content is checked when it is sent.
    let quota = match check_limits(ex, cx, resource) {
        Ok(quota) => quota,
        Err(refusal) if refusal.later => return Err(Flow::Wait),
        Err(refusal) => return Err(upload::refuse(ex, cx, &refusal)),
    };
    let mode = ex.location().settings.upload.mode;
    let outcome = open::regular_at(resource.dir.as_fd(), &resource.name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if outcome.is_err() {
        quota.into_iter().for_each(QuotaLock::take_back);
    }
    match outcome {
        Ok(_) => {
            cx.file_came(resource.dir.as_fd());
            Ok(Status::CREATED)
        }
        // Another request was faster.
        Err(Errno::EEXIST) => Ok(Status::OK),
        Err(e) => Err(failed(ex, cx, "open()", e)),
    }
}

/// upload_extensions, upload_types by the name, upload_min_free and upload_quota, with its lock where it has one.
fn check_limits(ex: &mut Exchange, cx: &mut Services, resource: &Resource) -> Result<Option<QuotaLock>, Refusal> {
    let (rules, name) = (ex.location().settings.upload.clone(), resource.name.to_bytes());
    upload::check_extension(&rules.extensions, name)?;
    upload::check_type(&rules.types, media_types::of_uri(&ex.location().settings.files, &ex.route.uri).as_bytes())
        .map_err(|refusal| refusal.of(name))?;
    upload::check_room(resource.dir.as_fd(), rules.min_free, 0)?;
    upload::lock_empty(ex, cx)
}

fn random_bytes() -> Result<[u8; 16], Errno> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes).map(|()| bytes)
}

/// A LOCK without a body: extends the lock that `If` names.
fn refresh(ex: &mut Exchange, cx: &mut Services, timeout: u64) -> Flow {
    let uri = ex.route.uri.clone();
    let Some(key) = target::key(ex, cx, &uri) else { return Flow::Status(Status::NOT_FOUND) };
    let tokens = lock_tokens::tokens(ex);
    if tokens.is_empty() {
        return refuse(
            ex,
            cx,
            Status::BAD_REQUEST,
            format_args!("LOCK without a body needs the lock's token in \"If\""),
        );
    }
    cx.dav_locks.expire(cx.now.ms);
    if is_of_another(ex, cx, &key.path, &tokens) {
        return not_yours(ex, cx);
    }
    let now = cx.now.ms;
    let found = tokens.into_iter().find_map(|token| cx.dav_locks.refresh(&key.path, token, timeout, now));
    match found {
        Some(lock) => answer(ex, cx, Status::OK, &lock),
        None => Flow::Status(Status::PRECONDITION_FAILED),
    }
}

fn answer(ex: &mut Exchange, cx: &Services, status: Status, lock: &Lock) -> Flow {
    let mut out = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:prop xmlns:D=\"DAV:\">".to_vec();
    lock_discovery(std::slice::from_ref(lock), Some(cx.now.ms), &mut out);
    out.extend_from_slice(b"</D:prop>\n");
    ex.response.text(status, ContentType::Static(multistatus::CONTENT_TYPE), out);
    Flow::Respond
}

/// A lock with one of these tokens on the path is another client's.
fn is_of_another(ex: &Exchange, cx: &Services, path: &[u8], tokens: &[Token]) -> bool {
    let principal = principal::of(ex);
    let mut found = false;
    cx.dav_locks.each_covering(path, |lock| found |= tokens.contains(&lock.token) && *lock.creator != *principal);
    found
}

/// RFC 4918 §9.11.1.
fn not_yours(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let method = ex.route.method.name();
    refuse(ex, cx, Status::FORBIDDEN, format_args!("{method}: the lock is another client's"))
}

/// UNLOCK (RFC 4918 §9.11): 204, or 409 if no lock of the resource has this token. Only the client that took a lock may
/// release it.
pub fn unlock(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let Some(value) = ex.header(HeaderId::LockToken) else {
        return refuse(ex, cx, Status::BAD_REQUEST, format_args!("UNLOCK without \"Lock-Token\""));
    };
    let token = lock::lock_token(value);
    let uri = ex.route.uri.clone();
    let Some(key) = target::key(ex, cx, &uri) else { return Flow::Status(Status::CONFLICT) };
    cx.dav_locks.expire(cx.now.ms);
    if is_of_another(ex, cx, &key.path, token.as_slice()) {
        return not_yours(ex, cx);
    }
    match token.is_some_and(|token| cx.dav_locks.release(&key.path, token)) {
        true => {
            ex.response.status = Status::NO_CONTENT;
            Flow::Respond
        }
        // RFC 4918 §9.11.1.
        false => refuse(ex, cx, Status::CONFLICT, format_args!("UNLOCK: no such lock")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    /// Answers show tokens to others, too.
    #[test]
    fn only_the_client_that_took_a_lock_may_release_it() {
        let mut site = Site::new("", "location / { dav_methods PUT; dav_ext_methods LOCK UNLOCK; }");
        std::fs::write(site.root().join("a"), "a").expect("written");
        let token = Token::new([1; 16]);
        let field = format!("Lock-Token: <{token}>");
        for (creator, client, expected) in [
            ("", None, Status::NO_CONTENT),
            ("user u", Some("dTpw"), Status::NO_CONTENT),
            ("user v", Some("dTpw"), Status::FORBIDDEN),
            ("user u", None, Status::FORBIDDEN),
            ("", Some("dTpw"), Status::FORBIDDEN),
        ] {
            let password = format!("Authorization: Basic {}", client.unwrap_or_default());
            let fields = [&*field, &*password];
            let mut ex = site.at("UNLOCK /a", &fields[..1 + usize::from(client.is_some())], INSIDE);
            ex.route.authenticated = client.is_some();
            let cx = &mut site.cx;
            let path: std::rc::Rc<[u8]> = target::key(&mut ex, cx, b"/a").expect("it has one").path.as_slice().into();
            let (href, until) = (std::rc::Rc::from(&b"/a"[..]), cx.now.ms + 1000);
            let (owner, creator) = (std::rc::Rc::from(&b""[..]), std::rc::Rc::from(creator.as_bytes()));
            let lock = crate::services::dav_locks::Lock {
                token,
                path: path.clone(),
                href,
                exclusive: true,
                deep: false,
                owner,
                creator,
                timeout: 1,
                until,
            };
            cx.dav_locks.grant(&"z".into(), 1 << 20, lock).expect("granted");
            let status = match unlock(&mut ex, cx) {
                Flow::Status(status) => status,
                flow => {
                    assert_eq!(flow, Flow::Respond, "{client:?}");
                    ex.response.status
                }
            };
            assert_eq!(status, expected, "{client:?}");
            cx.dav_locks.forget(&path);
        }
    }
}
