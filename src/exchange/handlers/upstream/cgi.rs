//! CGI/1.1 (RFC 3875): which file a request runs, and with which environment.
//!
//! Invariants: only regular files inside the root are run, and never one that clients may have stored. Of the server's
//! own environment, a program gets only PATH.

use super::begin::assemble;
use super::find::PassTarget;
use super::header_params::{client_lines, push_target_host};
use super::path_info;
use super::record::RequestTarget;
use super::settings::settings;
use super::state::{RequestBody, Script, UpstreamRequest};
use super::stored::{self, PathLinks};
use crate::config::addr::PeerAddr;
use crate::config::model::{ContentHandler, Level, Location};
use crate::config::settings::cgi::{Interpreter, by_extension};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::Upstream;
use crate::config::template::{Builtin, Var};
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::upload::target_path::trusted;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, Printable, variables};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::children::Start;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, Stat};
use crate::sys::process::Strings;
use crate::sys::socket;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

/// The value of PATH.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
/// Bytes that a pipe can hold, unless its user has exceeded the limit for pipes.
const PIPE_CAPACITY: usize = 64 << 10;
/// Maximum number of path segments after the script name that are tried.
const DEPTH: usize = 64;

/// Whether the request is for a program: by its location, or by an extension where files are served.
pub fn is_program(ex: &Exchange) -> bool {
    runs(ex.location(), &ex.route.uri)
}

/// Whether the location runs a program for that URI.
pub fn runs(location: &Location, uri: &[u8]) -> bool {
    let extensions = &location.settings.cgi.extensions;
    match location.content {
        ContentHandler::Cgi => true,
        // Most locations have none: their URIs are not searched.
        ContentHandler::Files => !extensions.is_empty() && by_extension(uri, extensions).next().is_some(),
        _ => false,
    }
}

/// Where the name of the program may end, in the order in which files are looked for.
fn ends(ex: &Exchange) -> Vec<(usize, Interpreter)> {
    let uri = &ex.route.uri;
    if ex.location().content == ContentHandler::Files {
        let found = by_extension(uri, &ex.location().settings.cgi.extensions);
        return found.take(DEPTH).map(|(end, interpreter)| (end, interpreter.clone())).collect();
    }
    let slashes = memchr::memrchr_iter(b'/', uri).filter(|slash| *slash > 0);
    [uri.len()].into_iter().chain(slashes).take(DEPTH).map(|end| (end, ex.location().interpreter.clone())).collect()
}

/// The content phase of a CGI program.
pub fn start(ex: &mut Exchange, cx: &mut Services) -> Begun<UpstreamRequest> {
    let script = find(ex, cx)?;
    // Checked before the body is read, to no avail otherwise.
    has_place(ex, cx)?;
    let name = String::from_utf8_lossy(&script.file).into_owned();
    // A program has no address, and no statistics of a server count it.
    let mut upstream = Upstream::of(&name, PeerAddr::Unix(PathBuf::new()));
    upstream.peers[0].name = name.into();
    let place = RequestTarget::default();
    let target = PassTarget { upstream: Rc::new(upstream), pending: None, target: place, is_secure: false };
    let mut request = assemble(ex, cx, Protocol::Cgi, target)?;
    request.script = Some(script);
    Ok(request)
}

/// Checks whether another program may be started.
fn has_place(ex: &Exchange, cx: &mut Services) -> Result<(), Flow> {
    let most = ex.location().settings.cgi.max_children;
    if !cx.children.has_room(most) {
        ex.report(cx, Level::Error, format_args!("{most} CGI programs are running (cgi_max_children)"));
        return Err(Flow::Status(Status::SERVICE_UNAVAILABLE));
    }
    Ok(())
}

/// # Errors
/// `Flow::Next`: a file is asked for that lies in a directory with the name of a program, or such a directory.
fn find(ex: &mut Exchange, cx: &mut Services) -> Result<Script, Flow> {
    let uri = ex.route.uri.clone();
    let is_by_extension = ex.location().content == ContentHandler::Files;
    let ends = ends(ex);
    let mut are_directories = is_by_extension && ends.len() < DEPTH;
    let last_end = ends.iter().map(|(end, _)| *end).max().unwrap_or(0);
    for (end, interpreter) in ends {
        let Mapped::Path { root } = paths::map_uri(ex, cx, uri.get(..end).unwrap_or_default()) else {
            are_directories = false;
            break;
        };
        let path = ex.route.path.clone();
        let files = &ex.location().settings.files;
        // The alias of a regex location is a whole path, with captures; another alias may be too, if it has
        // variables.
        let whole = files.alias == Some(u32::MAX) || root >= path.len() && files.root.constant().is_none();
        let root = if whole { trusted(&files.root, &path) } else { root };
        match open_script(&path, root) {
            Ok(seen) if seen.stat.kind == FileKind::Regular => {
                let (name, path_info) = uri.split_at(end);
                let is_meant = path_info.is_empty() || path_info::is_meant(ex, cx, name, path_info);
                check_script(ex, cx, &seen, is_meant, interpreter.is_some()).map_err(Flow::Status)?;
                return Ok(Script { file: seen.file, name: name.to_vec(), path_info: path_info.to_vec(), interpreter });
            }
            // `/a.py/b.py`, where a.py is a directory.
            Ok(seen) if is_by_extension && seen.stat.kind == FileKind::Dir => {}
            Err(_) if !is_by_extension => {}
            _ => {
                are_directories = false;
                break;
            }
        }
    }
    // The directory itself is only read by its name; below it any method is the files' own.
    let is_read = matches!(ex.route.method, Method::Get | Method::Head);
    if are_directories && (is_read || last_end < uri.len()) {
        return Err(Flow::Next);
    }
    ex.report(cx, Level::Error, format_args!("no CGI program for \"{}\"", Printable(&uri)));
    Err(Flow::Status(Status::NOT_FOUND))
}

/// A file and where its path leads.
struct RealFile {
    /// Its real path.
    file: Vec<u8>,
    stat: Stat,
    is_inside: bool,
}

/// Opens the file at `path` if the path contains no symbolic link and no `..`: it is then the real path, which lies
/// inside the root, its prefix. This takes half the system calls. None: it may contain one.
fn without_links(path: &[u8]) -> Result<Option<RealFile>, Errno> {
    let Some(file) = shortest(path) else { return Ok(None) };
    match file::open_without_links(&file::c_string(path)?) {
        Ok(opened) => Ok(Some(RealFile { file, stat: file::fstat(opened.as_fd())?, is_inside: true })),
        Err(e @ (Errno::ENOENT | Errno::ENOTDIR)) => Err(e),
        Err(_) => Ok(None),
    }
}

/// Removes empty and `.` segments from an absolute path. None: it is relative, or contains `..`.
fn shortest(path: &[u8]) -> Option<Vec<u8>> {
    let mut short = Vec::with_capacity(path.len());
    for name in path.strip_prefix(b"/")?.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return None,
            name => {
                short.push(b'/');
                short.extend_from_slice(name);
            }
        }
    }
    Some(short)
}

/// Opens the file at `path`, whose first `root` bytes are the root.
fn open_script(path: &[u8], root: usize) -> Result<RealFile, Errno> {
    if let Some(seen) = without_links(path)? {
        return Ok(seen);
    }
    let (root, rest) = path.split_at_checked(root.max(1)).ok_or(Errno::ENOENT)?;
    let name = paths::below(rest, b"").unwrap_or_default();
    if name.is_empty() {
        // An alias that names the program itself: the configuration names it, so links are allowed.
        let opened = file::open_at(None, &file::c_string(path)?, O_PATH, 0)?;
        let (stat, file) = (file::fstat(opened.as_fd())?, file::path_of(opened.as_fd())?);
        return Ok(RealFile { file, stat, is_inside: true });
    }
    let root = file::open_at(None, &file::c_string(root)?, O_PATH | O_DIRECTORY, 0)?;
    let rules = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    let (opened, outside) = match file::open_beneath(root.as_fd(), &file::c_string(name)?, O_PATH, 0, rules) {
        // A link leaves the directory, but may lead back into it.
        Err(Errno::EXDEV) => (file::open_at(None, &file::c_string(path)?, O_PATH, 0)?, true),
        opened => (opened?, false),
    };
    let stat = file::fstat(opened.as_fd())?;
    let file = file::path_of(opened.as_fd())?;
    let is_inside = !outside || paths::is_beneath(&file, &file::path_of(root.as_fd())?);
    Ok(RealFile { file, stat, is_inside })
}

/// Checks that the file may be run.
fn check_script(
    ex: &mut Exchange,
    cx: &mut Services,
    seen: &RealFile,
    is_meant: bool,
    is_interpreted: bool,
) -> Result<(), Status> {
    let why = if !seen.is_inside {
        "lies outside of the root"
    } else if !is_meant {
        "has a name that belongs to another location"
    } else if !is_interpreted && seen.stat.mode & 0o111 == 0 {
        "is not executable"
    } else {
        return stored::check(ex, cx, "CGI program ", &seen.file, PathLinks::Resolved);
    };
    ex.report(cx, Level::Error, format_args!("CGI program \"{}\" {why}", Printable(&seen.file)));
    Err(Status::FORBIDDEN)
}

impl UpstreamRequest {
    /// Whether a program responds instead of a server.
    pub fn is_program(&self) -> bool {
        self.script.is_some()
    }

    /// Starts the program. Returns its key and the pipe from which its output is read.
    pub fn spawn(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(crate::util::slab::Key, OwnedFd), Flow> {
        has_place(ex, cx)?;
        let Some(script) = self.script.take() else { return Err(Flow::Status(Status::INTERNAL_SERVER_ERROR)) };
        self.note_try(ex, cx, self.upstream.name.clone());
        self.asked.format = self.protocol.response_format();
        self.asked.head = ex.route.method == Method::Head;
        self.body = RequestBody::Whole;
        let outcome = self.run(ex, cx, &script);
        self.script = Some(script);
        outcome.map_err(|(call, e)| {
            self.broken(ex, cx, call, e);
            Flow::Status(if e == Errno::EACCES { Status::FORBIDDEN } else { Status::INTERNAL_SERVER_ERROR })
        })
    }

    fn run(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        script: &Script,
    ) -> Result<(crate::util::slab::Key, OwnedFd), (&'static str, Errno)> {
        let cgi = ex.location().settings.cgi.clone();
        let timeout = settings(ex).read_timeout.0;
        let (env, dir) = environment(ex, cx, script);
        if std::mem::take(&mut ex.route.evaluation_failed) {
            return Err(("execve()", Errno::E2BIG));
        }
        let text = |bytes: &[u8]| file::c_string(bytes).map_err(|e| ("execve()", e));
        let path = text(script.interpreter.as_deref().unwrap_or(&script.file))?;
        let mut args = Strings::default();
        let mut fits = args.push(&[path.as_bytes()]);
        if script.interpreter.is_some() {
            fits &= args.push(&[&script.file]);
        }
        if !fits {
            return Err(("execve()", Errno::EINVAL));
        }
        let dir = text(&dir)?;
        let held;
        let stdin = match ex.progress.body.as_ref().map(|body| (body.file(), body.bytes())) {
            Some((Some(file), _)) => Some(file.fd()),
            Some((None, Some(bytes))) if !bytes.is_empty() => {
                held = holding(bytes)?;
                Some(held.as_fd())
            }
            _ => None,
        };
        let start = Start {
            path,
            args,
            env,
            dir,
            stdin,
            shown: String::from_utf8_lossy(&script.file).into(),
            cpu_seconds: timeout.div_ceil(1000).max(1),
            logs: cgi.logs_stderr,
        };
        cx.children.start(start)
    }
}

/// A descriptor from which these bytes, followed by the end of file, can be read: a pipe if they fit (saves 60 µs),
/// otherwise a file.
fn holding(bytes: &[u8]) -> Result<OwnedFd, (&'static str, Errno)> {
    if bytes.len() <= PIPE_CAPACITY {
        let (read, write) = file::pipe().map_err(|e| ("pipe2()", e))?;
        if file::write(write.as_fd(), bytes) == Ok(bytes.len()) {
            // Programs do not expect EAGAIN on an empty pipe.
            socket::set_nonblocking(read.as_fd(), false).map_err(|e| ("ioctl()", e))?;
            return Ok(read);
        }
    }
    let held = file::memfd(c"request body").map_err(|e| ("memfd_create()", e))?;
    file::write_all(held.as_fd(), bytes).map_err(|e| ("write()", e))?;
    Ok(held)
}

/// Variables that every program gets.
const REQUIRED_VARS: [(&[u8], Builtin); 13] = [
    (b"QUERY_STRING", Builtin::QueryString),
    (b"REQUEST_METHOD", Builtin::RequestMethod),
    (b"REQUEST_URI", Builtin::RequestUri),
    (b"REQUEST_SCHEME", Builtin::Scheme),
    (b"DOCUMENT_ROOT", Builtin::DocumentRoot),
    (b"DOCUMENT_URI", Builtin::DocumentUri),
    (b"SERVER_PROTOCOL", Builtin::ServerProtocol),
    (b"SERVER_NAME", Builtin::Host),
    (b"SERVER_ADDR", Builtin::ServerAddr),
    (b"SERVER_PORT", Builtin::ServerPort),
    (b"REMOTE_ADDR", Builtin::RemoteAddr),
    (b"REMOTE_HOST", Builtin::RemoteAddr),
    (b"REMOTE_PORT", Builtin::RemotePort),
];
/// Variables that are omitted if empty.
const OPTIONAL_VARS: [(&[u8], Builtin); 3] =
    [(b"CONTENT_TYPE", Builtin::ContentType), (b"CONTENT_LENGTH", Builtin::ContentLength), (b"HTTPS", Builtin::Https)];

fn builtin_text(builtin: Builtin, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    variables::builtins(&[builtin], ex, cx)
}

/// The variables of RFC 3875 §4.1 and others that programs expect, as `NAME=value`, and the working directory. Values
/// with a NUL are omitted: they cannot be passed to a program.
fn environment(ex: &mut Exchange, cx: &mut Services, script: &Script) -> (Strings, Vec<u8>) {
    let mut env = Strings::with_capacity(40);
    let cgi = ex.location().settings.cgi.clone();
    let is_set = |name: &[u8]| cgi.env.iter().any(|(own, _)| **own == *name);
    let mut put = |name: &[u8], value: &[u8]| {
        if !is_set(name) {
            env.push(&[name, b"=", value]);
        }
    };
    let mut value = Vec::with_capacity(128);
    put(b"PATH", PATH);
    put(b"GATEWAY_INTERFACE", b"CGI/1.1");
    put(b"SERVER_SOFTWARE", concat!("webserv/", env!("CARGO_PKG_VERSION")).as_bytes());
    put(b"REDIRECT_STATUS", b"200");
    put(b"SCRIPT_FILENAME", &script.file);
    put(b"SCRIPT_NAME", &script.name);
    put(b"PATH_INFO", &script.path_info);
    if !script.path_info.is_empty() {
        // PATH_INFO is not mapped like a URI of this location: it lacks the prefix that an alias replaces.
        let root = builtin_text(Builtin::DocumentRoot, ex, cx);
        put(b"PATH_TRANSLATED", &[root.strip_suffix(b"/").unwrap_or(&root), &script.path_info].concat());
    }
    for (at, (name, builtin)) in REQUIRED_VARS.into_iter().chain(OPTIONAL_VARS).enumerate() {
        value.clear();
        variables::value(&Var::Builtin(builtin), ex, cx, &mut value);
        if at < REQUIRED_VARS.len() || !value.is_empty() {
            put(name, &value);
        }
    }
    // Programs trust these, so an unverified user name is omitted (RFC 3875 §4.1.11).
    if ex.route.authenticated {
        put(b"AUTH_TYPE", b"Basic");
        put(b"REMOTE_USER", &builtin_text(Builtin::RemoteUser, ex, cx));
    }
    if !ex.request.head.host.of(ex.buf()).is_empty() {
        value.clear();
        push_target_host(ex, cx, &mut value);
        put(b"HTTP_HOST", &value);
    }
    let hides_password = ex.location().settings.auth.realm.is_some();
    client_lines(ex, is_set, |name, value| {
        // These become CONTENT_…, the host was put above; and a password that was verified here is not passed on.
        let has_own = name == b"HTTP_CONTENT_LENGTH" || name == b"HTTP_CONTENT_TYPE" || name == b"HTTP_HOST";
        let is_secret = hides_password && name == b"HTTP_AUTHORIZATION";
        if !has_own && !is_secret {
            put(name, value);
        }
    });
    for (name, template) in cgi.env.iter() {
        let value = variables::text(template, ex, cx);
        env.push(&[name, b"=", &value]);
    }
    let dir = match &cgi.working_dir {
        Some(template) => variables::text(template, ex, cx),
        None => script.file.get(..memchr::memrchr(b'/', &script.file).unwrap_or(0).max(1)).unwrap_or(b"/").to_vec(),
    };
    (env, dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_with_an_extension_is_the_script() {
        let extensions = [(b".py"[..].into(), None), (b".cgi"[..].into(), None)];
        for (uri, expected) in [
            ("/a.py", &[5][..]),
            ("/a.py/x/y", &[5]),
            ("/a.pyc", &[]),
            ("/a.pyc/b.py", &[11]),
            ("/.py", &[]),
            ("/d/.py/b.py/z", &[11]),
            ("/py", &[]),
            ("/a.cgi/x.py", &[6, 11]),
            ("/a.py/x.cgi/", &[5, 11]),
        ] {
            let ends: Vec<usize> = by_extension(uri.as_bytes(), &extensions).map(|(end, _)| end).collect();
            assert_eq!(ends, expected, "{uri}");
        }
    }
}
