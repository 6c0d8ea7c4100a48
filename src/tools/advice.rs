//! What would help where the server could not start: the directive that names what could not be had, with its line, and
//! the cure. Reads the configuration once more: by now its text is gone.

use crate::config::ast::{Directive, Span};
use crate::config::build::Form;
use crate::config::error::Diagnostic;
use crate::config::model::Config;
use crate::config::sources::Sources;
use crate::server::lifecycle::{Cause, Failure};
use crate::server::reload::Origin;
use crate::server::reload_report::Refused;
use crate::server::signal_command::signal_name;
use crate::sys::Errno;
use crate::sys::process;
use crate::sys::socket::Addr;
use crate::tools::report;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Directives whose first argument is a path that is written to.
const PATHS: [&str; 9] = [
    "error_log",
    "access_log",
    "pid",
    "client_body_temp_path",
    "proxy_temp_path",
    "fastcgi_temp_path",
    "uwsgi_temp_path",
    "scgi_temp_path",
    "state_path",
];

/// The failure as a message of the configuration.
pub fn message(origin: &Origin, failure: &Failure) -> String {
    let (diagnostic, sources) = diagnostic(origin, failure);
    text(&diagnostic, &sources, origin)
}

/// Why a running server stays as it was: the cause with its line and the cure, where it is known.
pub fn refused(origin: &Origin, refused: Refused) -> String {
    match refused {
        Refused { errors, cause: None } => errors,
        Refused { errors, cause } => {
            let first = errors.lines().next().unwrap_or_default();
            let why = first.split_once("[emerg] ").map_or(first, |(_, why)| why).to_owned();
            // What stays as it was stands behind it.
            let (why, stays) = why.rsplit_once("; ").map_or((&*why, None), |(why, stays)| (why, Some(stays)));
            let (mut diagnostic, sources) = diagnostic(origin, &Failure { why: why.to_owned(), cause });
            diagnostic.help.extend(stays.map(str::to_owned));
            text(&diagnostic, &sources, origin)
        }
    }
}

/// The same as one line of JSON.
pub fn json(origin: &Origin, failure: &Failure) -> String {
    let (diagnostic, sources) = diagnostic(origin, failure);
    report::one(&diagnostic, &sources, &origin.program)
}

fn diagnostic(origin: &Origin, failure: &Failure) -> (Diagnostic, Sources) {
    let read = origin.read();
    let mut diagnostic = Diagnostic::emerg(None, failure.why.clone());
    match &failure.cause {
        Some(Cause::Listen(addr, e)) => {
            diagnostic.span = read.config.as_ref().and_then(|config| {
                let socket = config.sockets.iter().find(|socket| socket.addr == *addr)?;
                Some(config.endpoints.get(socket.endpoint.at())?.span)
            });
            diagnostic.help = listening(addr, *e, origin);
        }
        Some(Cause::Open(path, e)) => {
            diagnostic.span = naming(&read.tree, path, &origin.prefix);
            diagnostic.help = writing(path, *e, diagnostic.span.is_some(), origin.form);
        }
        None => {}
    }
    (diagnostic, read.sources)
}

/// A configuration that `webserv DIR` made has no lines of the user's.
fn text(diagnostic: &Diagnostic, sources: &Sources, origin: &Origin) -> String {
    match origin.text {
        None => diagnostic.render(sources, &origin.program),
        Some(_) => Diagnostic { span: None, ..diagnostic.clone() }.render(sources, &origin.program),
    }
}

/// The directive that names a path, as the server reads it.
fn naming(tree: &[Directive], path: &Path, prefix: &Path) -> Option<Span> {
    tree.iter().find_map(|d| {
        let is_it = PATHS.iter().any(|name| d.name.is(name))
            && d.args.first().is_some_and(|word| prefix.join(std::ffi::OsStr::from_bytes(word.bytes())) == path);
        if is_it { Some(d.args_span()) } else { naming(d.block.as_deref().unwrap_or_default(), path, prefix) }
    })
}

fn listening(addr: &Addr, e: Errno, origin: &Origin) -> Vec<String> {
    if let Addr::Unix(path) = addr {
        return making_socket(addr, path, e);
    }
    let port = addr.port().unwrap_or(0);
    let is_ours = origin.text.is_some();
    let other = if is_ours { format!("another one: --port {}", other_than(port)) } else { "another port".to_owned() };
    match e {
        Errno::EADDRINUSE => {
            let holder = holder(addr);
            let who = holder.as_ref().map_or_else(
                || format!("another process has the port; `ss -ltnp sport = :{port}`, as root, shows which"),
                |(pid, name)| format!("process {pid} ({name}) has the port"),
            );
            let mut help = vec![who, format!("stop it, or listen on {other}")];
            if !is_ours && holder.is_some_and(|(_, name)| name == own_name()) {
                help.push("instances that share an address have `reuseport` in its `listen`, each of them".to_owned());
            }
            help
        }
        Errno::EACCES if (1..1024).contains(&port) => vec![
            match is_ours {
                true => "only root may listen below 1024: --port 8080 needs no right".to_owned(),
                false => "only root may listen below 1024: 1024 and above need no right".to_owned(),
            },
            "or start it as root or by its systemd unit, or give the right once: sudo setcap cap_net_bind_service=+ep \
             $(command -v webserv)"
                .to_owned(),
        ],
        Errno::EADDRNOTAVAIL => {
            vec!["no interface of this machine has this address: `ip address` lists them; without one all are listened on".to_owned()]
        }
        Errno::EAFNOSUPPORT => vec!["this machine has no IPv6: leave this listen out".to_owned()],
        _ => Vec::new(),
    }
}

/// The same of a unix socket.
fn making_socket(addr: &Addr, path: &Path, e: Errno) -> Vec<String> {
    let shown = path.display();
    match e {
        Errno::EADDRINUSE => match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                vec![format!("\"{shown}\" is there and is no socket: name another path, or remove it")]
            }
            _ => {
                let who = holder(addr).map_or_else(
                    || format!("another process listens there; `ss -lxp src {shown}`, as root, shows which"),
                    |(pid, name)| format!("process {pid} ({name}) listens there"),
                );
                vec![who, "stop it, or name another path".to_owned()]
            }
        },
        Errno::EACCES => {
            vec![
                "this user may not make the socket there: name another directory, or let this user write to it"
                    .to_owned(),
            ]
        }
        Errno::ENOENT | Errno::ENOTDIR => vec!["the directory of the socket does not exist".to_owned()],
        Errno::EROFS => vec!["its file system is read only: name another directory".to_owned()],
        _ => Vec::new(),
    }
}

/// A port that needs no right, as an example.
fn other_than(port: u16) -> u16 {
    if port == 8080 { 8081 } else { 8080 }
}

fn writing(path: &Path, e: Errno, is_named: bool, form: Form) -> Vec<String> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = dir.display();
    let mut help = match e {
        Errno::ENOENT => vec![format!("the directory \"{shown}\" does not exist: mkdir -p \"{shown}\"")],
        Errno::EACCES | Errno::EPERM => {
            let who = process::user_of(process::geteuid());
            vec![format!("{who} may not write there: {}", right_to_write(path, dir))]
        }
        Errno::EROFS => vec![format!("\"{shown}\" is on a file system that is read only: name another place")],
        Errno::EISDIR => vec!["a directory has this name: name a file".to_owned()],
        Errno::ENOTDIR => vec![format!("\"{shown}\" is no directory")],
        Errno::ENOSPC => vec!["the file system is full".to_owned()],
        _ => Vec::new(),
    };
    if !is_named && form == Form::Nginx {
        let default = "no directive names it: with -c the files are nginx's. Name another one, as in `error_log stderr;` and \
                       `pid off;`, or leave -c out";
        help.push(default.to_owned());
    }
    help
}

/// How this user comes to write to a file, or to make it in its directory. What belongs to another user stays theirs: it
/// may be the log of a service, which could not write to it any more.
fn right_to_write(path: &Path, dir: &Path) -> String {
    let what = if path.exists() { path } else { dir };
    let owner = std::fs::metadata(what).map(|meta| meta.uid());
    let shown = what.display();
    match owner {
        Ok(owner) if owner == process::geteuid() => {
            format!("chmod u+w{} \"{shown}\"", if what == dir { "x" } else { "" })
        }
        // What belongs to root is the system's: /run, /var/log.
        Ok(0) if what == dir => {
            "make a directory there that belongs to this user, and name a file in it; or start, or test, as root"
                .to_owned()
        }
        Ok(owner) => {
            let owner = process::user_of(owner);
            format!("\"{shown}\" belongs to {owner}: start, or test, as {owner} or root, or name another place")
        }
        Err(_) => "start, or test, as root, or name another place".to_owned(),
    }
}

/// How a server without a pid file gets a signal: the process that has its port is in sight.
pub fn by_hand(config: &Config, signal: &str) -> Option<String> {
    let name = signal_name(signal)?;
    let (pid, program) = config.sockets.iter().find_map(|socket| holder(&socket.addr))?;
    Some(match own_name() == program {
        true => format!("process {pid} ({program}) has its port: kill -{name} {pid}"),
        false => format!("process {pid} ({program}) has its port, and is another program"),
    })
}

/// The name of this program, as [`holder`] gives that of another.
fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim().to_owned()
}

/// The number and name of the process that listens there, where we may know.
fn holder(addr: &Addr) -> Option<(String, String)> {
    let tables: &[&str] = if addr.port().is_some() { &["tcp", "tcp6"] } else { &["unix"] };
    let sockets: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| {
            let socket = |line: &str| match addr {
                Addr::Unix(path) => unix_listener(line, path),
                _ => listener(line, addr.port()?),
            };
            table.lines().filter_map(socket).collect::<Vec<_>>()
        })
        .collect();
    let processes = std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().as_bytes().iter().all(u8::is_ascii_digit));
    for process in processes {
        let Ok(fds) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let has = fds.flatten().any(|fd| {
            std::fs::read_link(fd.path()).is_ok_and(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
        });
        // This process may have been given the socket of another address (socket activation).
        if has && process.file_name().to_str() != Some(&std::process::id().to_string()) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((process.file_name().to_string_lossy().into_owned(), name.trim().to_owned()));
        }
    }
    None
}

/// The socket of a line of /proc/net/tcp that listens on the port, as /proc/PID/fd names it.
fn listener(line: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    let is_there = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()? == port && state == LISTEN;
    // tx:rx, tr:when, retransmissions, uid, timeout, inode.
    is_there.then(|| words.nth(5).map(|inode| format!("socket:[{inode}]")))?
}

/// The same of a line of /proc/net/unix, which has the path as it was bound.
fn unix_listener(line: &str, path: &Path) -> Option<String> {
    // Num, references, protocol, flags, type, state, inode, path; what is connected through it has no inode of a listener.
    const LISTENS: &str = "00010000";
    let (mut words, mut rest) = (Vec::new(), line);
    for _ in 0..7 {
        let (word, behind) = rest.trim_start().split_once(' ')?;
        words.push(word);
        rest = behind;
    }
    let absolute = std::path::absolute(path).ok();
    let is_it =
        words.get(3) == Some(&LISTENS) && (Path::new(rest) == path || Some(Path::new(rest)) == absolute.as_deref());
    is_it.then(|| words.get(6).map(|inode| format!("socket:[{inode}]")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_net_tcp_names_its_socket() {
        let line =
            "   0: 0100007F:1FBC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0";
        assert_eq!(listener(line, 8124).as_deref(), Some("socket:[12345]"));
        assert_eq!(listener(line, 8125), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 8124), None);
        assert_eq!(listener("  sl  local_address rem_address   st", 8124), None);
    }

    #[test]
    fn a_line_of_proc_net_unix_names_its_socket() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 23456 /run/a b.sock";
        assert_eq!(unix_listener(line, Path::new("/run/a b.sock")).as_deref(), Some("socket:[23456]"));
        assert_eq!(unix_listener(line, Path::new("/run/a")), None);
        assert_eq!(unix_listener(&line.replace(" 00010000 ", " 00000000 "), Path::new("/run/a b.sock")), None);
        assert_eq!(unix_listener("Num       RefCount Protocol Flags    Type St Inode Path", Path::new("Path")), None);
    }
}
