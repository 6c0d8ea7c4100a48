//! GET and HEAD of a file, and POST up to where it is refused: index files, the redirect of a directory without its
//! slash, types, validators.

use super::autoindex::{self, Making};
use super::upstream::stored::{self, PathLinks};
use super::{add_slash, failure, methods, symlinks};
use crate::config::model::Level;
use crate::config::settings::files::Symlinks;
use crate::config::settings::gzip::Stored;
use crate::exchange::filters::{gzip, ssi};
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::paths::{self, Mapped};
use crate::exchange::response::Body;
use crate::exchange::{Exchange, Printable, error_page, media_types, variables};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use crate::services::open_files::{OpenFile, Opened};
use crate::sys::Errno;
use crate::sys::file::Stat;
use crate::util::clean_path::has_parent;
use std::ffi::CStr;
use std::rc::Rc;

/// Answers with the file of the URI: nginx's static module, its index and gzip_static. For a directory without its
/// slash a redirect to it, for one without an index a listing or 403.
///
/// # Errors
/// The flow that answers; a listing that takes several turns is returned instead.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Making> {
    let root = match paths::map(ex, cx) {
        Mapped::Path { root } => root,
        Mapped::Unknown(e) => return Err(failure::failed(ex, cx, "open()", e)),
        none => return Err(unmapped(ex, cx, none)),
    };
    if ex.route.uri.ends_with(b"/") {
        return directory(ex, cx, root);
    }
    if ex.location().settings.gzip.stored != Stored::Off
        && ex.route.method != Method::Post
        && let Some(file) = stored_gzip(ex, cx, root)
    {
        return Err(file);
    }
    Err(match open(ex, cx, root) {
        Ok(Opened::File(file)) => match vouched(ex, cx, file) {
            Flow::Respond => check_ssi_page(ex, cx),
            flow => flow,
        },
        Ok(Opened::Directory(_)) => add_slash::redirect(ex),
        Ok(Opened::Other) => {
            ex.report(cx, Level::Crit, format_args!("\"{}\" is not a regular file", Printable(&ex.route.path)));
            Flow::Status(Status::NOT_FOUND)
        }
        Err(e) => {
            ex.basis.vouch();
            failure::failed(ex, cx, "open()", e)
        }
    })
}

/// The URI names no file here.
fn unmapped(ex: &mut Exchange, cx: &mut Services, mapped: Mapped) -> Flow {
    if mapped == Mapped::Rewritten {
        let name = Printable(&ex.location().name.clone()).to_string();
        ex.report(
            cx,
            Level::Alert,
            format_args!("\"alias\" cannot be used in location \"{name}\" where URI was rewritten"),
        );
    }
    // A rewrite may leave a URI without a leading slash: nginx then appends it to the root as it is.
    if mapped == Mapped::Outside && !ex.route.uri.starts_with(b"/") {
        let (path, missing) = (Printable(&ex.route.path).to_string(), Errno::ENOENT);
        ex.report(cx, Level::Error, format_args!("open() \"{path}\" failed {missing}"));
    }
    Flow::Status(mapped.refusal())
}

/// Vouches for a response with a file opened by its only name: it is the same for the next equal request.
fn vouched(ex: &mut Exchange, cx: &mut Services, file: Rc<OpenFile>) -> Flow {
    ex.basis.vouch();
    respond(ex, cx, file)
}

/// The response is the file at `ex.path`. If it is a page with SSI, and a client may have stored it, its commands are
/// not run.
fn check_ssi_page(ex: &mut Exchange, cx: &mut Services) -> Flow {
    // X-Accel-Redirect may bring another type than that of the name.
    let may_be_page = ssi::is_of_type(ex) || ex.location().settings.ssi.on && ex.route.kept.content_type.is_some();
    if !may_be_page || !stored::is_in_question(ex) {
        return Flow::Respond;
    }
    let path = ex.route.path.clone();
    let shown = Printable(&path);
    match stored::is_client_writable(ex, cx, &path, PathLinks::Possible) {
        Ok(is_stored) => {
            ex.response.is_inert = is_stored;
            if is_stored {
                let why = "lies where clients may store files: SSI commands in it are not run (upload_execute)";
                ex.report(cx, Level::Info, format_args!("\"{shown}\" {why}"));
            }
            Flow::Respond
        }
        Err(e) => {
            let why = "whether clients may store files where it lies is not known";
            ex.report(cx, Level::Crit, format_args!("SSI commands in \"{shown}\" are not run: {why} {e}"));
            Flow::Status(failure::blame(e).0)
        }
    }
}

/// Opens `ex.path`. One of the last descriptors is not kept for a client that has other requests under way: it could
/// hold one with each of its streams, as long as it likes, and other clients would get none.
///
/// # Errors
/// EMFILE also for that.
fn open(ex: &mut Exchange, cx: &mut Services, root: usize) -> Result<Opened, Errno> {
    let is_one_of_the_last = |opened: &Result<Opened, Errno>, cx: &Services| match opened {
        Ok(Opened::File(file)) => file.fd().is_some_and(|fd| cx.descriptors.is_reserved(fd)),
        _ => false,
    };
    let found = open_any(ex, cx, root);
    if !ex.client.has_others || !is_one_of_the_last(&found, cx) {
        return found;
    }
    // Of cached files some are closed now.
    drop(found);
    cx.files.give_back();
    match open_any(ex, cx, root) {
        again if is_one_of_the_last(&again, cx) => Err(Errno::EMFILE),
        again => again,
    }
}

/// Opens `ex.path`, applying disable_symlinks to what follows the first `root` bytes.
fn open_any(ex: &mut Exchange, cx: &mut Services, root: usize) -> Result<Opened, Errno> {
    if ex.basis.has_no_lookup() || ex.route.index != ex.route.path {
        ex.basis.add_lookup();
    }
    ex.route.path.push(0);
    let config = ex.config.clone();
    let found = match (
        &config.location(ex.route.location).settings.files.symlinks,
        CStr::from_bytes_with_nul(&ex.route.path),
    ) {
        (_, Err(_)) => Err(Errno::EINVAL),
        (Symlinks::Off, Ok(path)) => cx.files.open(path, &cx.now, &mut cx.dir_watch),
        (rule, Ok(_)) => {
            ex.basis.depends_on_other_names();
            symlinks::open(ex, cx, rule, root)
        }
    };
    ex.route.path.pop();
    found
}

/// The response is this file, unless the request is a POST.
pub fn respond(ex: &mut Exchange, cx: &mut Services, file: Rc<OpenFile>) -> Flow {
    if ex.route.method == Method::Post && !error_page::is_page(ex) {
        return methods::not_allowed(ex);
    }
    let content_type = media_types::of_uri(&ex.location().settings.files, &ex.route.uri);
    let etag = ex.location().settings.output.etag;
    let response = &mut ex.response;
    response.status = Status::OK;
    response.content_type = content_type;
    response.etag = etag.then_some(file.etag);
    response.last_modified = Some((file.stat.mtime.0, file.last_modified));
    response.ranges = true;
    response.body = Body::File(file);
    let cacheable = super::upload::guard(ex, cx);
    ex.basis.passed(cacheable);
    Flow::Respond
}

/// gzip_static: the file's `.gz`, if it exists and the client accepts gzip.
fn stored_gzip(ex: &mut Exchange, cx: &mut Services, root: usize) -> Option<Flow> {
    let always = ex.location().settings.gzip.stored == Stored::Always;
    let accepted = always || gzip::is_accepted(ex, cx.now.unix);
    if !accepted && !ex.location().settings.gzip.vary {
        return None;
    }
    let len = ex.route.path.len();
    ex.route.path.extend_from_slice(b".gz");
    let found = open(ex, cx, root);
    ex.route.path.truncate(len);
    // The response is not the file that the path names.
    ex.basis.depends_on_other_names();
    let Ok(Opened::File(file)) = found else { return None };
    if ex.location().settings.gzip.vary && !always {
        ex.response.line(b"Vary", b"Accept-Encoding");
    }
    if !accepted || is_stale(ex, cx, root, &file.stat) {
        return None;
    }
    let flow = respond(ex, cx, file);
    ex.response.line(b"Content-Encoding", b"gzip");
    ex.response.encoded = true;
    Some(flow)
}

/// Where clients may store files, a `.gz` that was not written after its file is outdated: a PUT, MOVE or DELETE
/// changed the file alone. A MOVE keeps the modification time, which all files of a tree may share, so the ctime is
/// compared too. With `always` the `.gz` may exist alone, and is then sent.
fn is_stale(ex: &mut Exchange, cx: &mut Services, root: usize, gz: &Stat) -> bool {
    let path = ex.route.path.clone();
    if stored::is_in_write_area(ex, cx, &path, PathLinks::Possible) == Ok(false) {
        return false;
    }
    match open(ex, cx, root) {
        Ok(Opened::File(file)) => file.stat.mtime > gz.mtime || file.stat.ctime > gz.ctime,
        _ => ex.location().settings.gzip.stored != Stored::Always,
    }
}

/// A URI that ends in a slash: the first existing index file, a listing, or 403.
fn directory(ex: &mut Exchange, cx: &mut Services, root: usize) -> Begun<Making> {
    let config = ex.config.clone();
    let settings = &config.location(ex.route.location).settings;
    if settings.listing.random
        && let Some(flow) = autoindex::random(ex, cx)
    {
        return Err(flow);
    }
    let (len, mut tested) = (ex.route.path.len(), false);
    // An area for uploads always shows its page: an uploaded index.html must not replace it.
    let indexes: &[_] = if settings.listing.upload { &[] } else { &settings.files.index };
    for index in indexes {
        let constant = index.file.constant();
        let expanded;
        let name = match constant {
            Some(name) => name,
            None => {
                expanded = variables::text(&index.file, ex, cx);
                &expanded[..]
            }
        };
        if index.absolute || name.starts_with(b"/") {
            let args = std::mem::take(&mut ex.route.args);
            ex.route.set_uri(name);
            if ex.route.args.is_empty() {
                ex.route.args = args;
            }
            return Err(Flow::Redirect);
        }
        if name.is_empty() || has_parent(name) {
            continue;
        }
        ex.route.path.truncate(len);
        ex.route.path.extend_from_slice(name);
        let found = open(ex, cx, root);
        cx.trace.say("index", None, || {
            let file = matches!(found, Ok(Opened::File(_)));
            format!("{}: {}", Printable(&ex.route.path), if file { "is a file, taken" } else { "is not there" })
        });
        match found {
            // nginx makes an internal redirect of it: the file may belong to another location.
            Ok(found) => {
                ex.route.uri.extend_from_slice(name);
                return Err(match found {
                    Opened::File(file) if leads_back_here(ex) => vouched(ex, cx, file),
                    _ => {
                        ex.route.index.clone_from(&ex.route.path);
                        Flow::Redirect
                    }
                });
            }
            Err(e) => {
                if let Some(flow) = index_failed(ex, cx, len, e, &mut tested) {
                    return Err(flow);
                }
            }
        }
    }
    ex.route.path.truncate(len);
    autoindex::run(ex, cx)
}

/// What follows when the index file `ex.path` cannot be opened; its first `len` bytes are the directory's. None: the
/// next one is tried.
fn index_failed(ex: &mut Exchange, cx: &mut Services, len: usize, e: Errno, tested: &mut bool) -> Option<Flow> {
    match e {
        Errno::ENOENT if *tested => None,
        // The directory itself may be missing: nginx then logs the first index file.
        Errno::ENOENT => {
            let dir = ex.route.path[..len].to_vec();
            match symlinks::stat(ex, cx, &dir) {
                Err(e @ (Errno::ENOENT | Errno::ENOTDIR)) => Some(autoindex::not_opened(ex, cx, e)),
                _ => {
                    *tested = true;
                    None
                }
            }
        }
        Errno::ENOTDIR => Some(autoindex::not_opened(ex, cx, e)),
        Errno::EACCES => {
            ex.report(cx, Level::Error, format_args!("\"{}\" is forbidden {e}", Printable(&ex.route.path)));
            Some(Flow::Status(Status::FORBIDDEN))
        }
        e => Some(failure::failed(ex, cx, "open()", e)),
    }
}

/// The URI of an index file would find this very location again, and nothing would run on the way: true of servers
/// without scripts whose only location is this one, that is of most small ones. The file itself would be the answer: it
/// is neither a program nor a page with commands, and no compressed one is sent in its place.
fn leads_back_here(ex: &Exchange) -> bool {
    let (server, settings) = (ex.server(), &ex.location().settings);
    if !settings.cgi.extensions.is_empty() || settings.ssi.on || settings.gzip.stored != Stored::Off {
        return false;
    }
    let alone = server.tree.exact.is_empty() && server.tree.regexes.is_empty() && server.tree.prefixes.len() <= 1;
    // A single `location /a/` may be another than this one: the server's own level, or a named location.
    let only = server.tree.prefixes.first().map_or(server.root, |entry| entry.location);
    alone
        && only == ex.route.location
        && ex.location().plain
        && ex.location().tree.is_none()
        && ex.config.location(server.root).script.ops.is_empty()
}
