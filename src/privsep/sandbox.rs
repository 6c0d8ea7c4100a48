//! What the serving process keeps: the ids of the configured user, no capabilities, and no_new_privs. If the kernel
//! supports them, a seccomp filter denies system calls that the server never makes, and Landlock denies files that the
//! configuration does not need.
//!
//! Writable: where the configuration stores, its temporary directories, and directories of logs whose path has
//! variables. Readable: served directories, the targets of symbolic links at their top and, since links below them lead
//! anywhere by default, every top-level directory except those of the system, its users and data of other programs
//! ([`SECRETS`], [`DATA`]). A link into one of these is followed only at the top of a served directory; one created
//! later, from the next reload on. A directory that is replaced (`current` → the next release) must keep working, so
//! its parent is allowed too, unless that is `/`.
//!
//! Programs cannot be started unless the configuration has CGI scripts ([`needs_programs`]). Children inherit Landlock
//! and the filter, and a script needs access to nearly every program and library. So with CGI the process is not
//! confined by Landlock and may execute programs. Scripts run as the same user in any case, and no_new_privs and the
//! rest of the filter apply to them too (set-user-id helpers such as sendmail's do not work in scripts).

use crate::config::model::{Config, Location};
use crate::config::settings::logs::AccessTarget;
use crate::config::template::Part;
use crate::server::serving_user::{ServingUser, directories, directory};
use crate::sys::file::{self, FileKind, O_PATH};
use crate::sys::sandbox::{self, Access, Landlock};
use crate::sys::{Errno, process};
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Top-level directories that are readable only if the configuration names something in them.
const SECRETS: [&str; 9] = ["/boot", "/dev", "/etc", "/home", "/lost+found", "/proc", "/root", "/run", "/sys"];
/// Directories in /var with data of other programs.
const DATA: [&str; 10] = ["account", "backups", "cache", "crash", "lib", "lock", "log", "mail", "run", "spool"];
/// Maximum number of entries of a served directory searched for links.
const LINKS: usize = 4096;
/// What the C library and the resolver read while serving.
const SYSTEM: [&str; 10] = [
    "/etc/hosts",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/mime.types",
    "/proc/self",
];
const DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];

/// Drops root's rights for good.
///
/// # Errors
/// The ids cannot be changed, or rights cannot be dropped: the process must not serve. Unsupported kernel features are
/// not an error; their names are returned.
pub fn enter(worker: &ServingUser, config: &Config) -> Result<Vec<String>, (&'static str, Errno)> {
    let mut missing = Vec::new();
    if let Err(e) = sandbox::drop_capability_bounds() {
        missing.push(format!("the bounding set of capabilities {e}"));
    }
    process::set_user(worker.uid, worker.gid, &worker.name).map_err(|e| ("setresuid()", e))?;
    sandbox::no_new_privs().map_err(|e| ("prctl(PR_SET_NO_NEW_PRIVS)", e))?;
    let programs = needs_programs(config);
    if !programs && let Err(e) = confine(config) {
        missing.push(format!("Landlock {e}"));
    }
    if let Err(e) = sandbox::deny_calls(programs) {
        missing.push(format!("seccomp {e}"));
    }
    Ok(missing)
}

/// For a process that only inspects files (`webserv explain`): the part of [`enter`] that determines which files can be
/// opened.
///
/// # Errors
/// The ids cannot be changed.
pub fn enter_to_inspect(worker: &ServingUser, config: &Config) -> Result<(), (&'static str, Errno)> {
    process::set_user(worker.uid, worker.gid, &worker.name).map_err(|e| ("setresuid()", e))?;
    sandbox::no_new_privs().map_err(|e| ("prctl(PR_SET_NO_NEW_PRIVS)", e))?;
    if !needs_programs(config) {
        // Without Landlock in the kernel, the server is not confined either.
        let _ = confine(config);
    }
    Ok(())
}

fn needs_programs(config: &Config) -> bool {
    config.locations.iter().any(Location::runs_programs)
}

fn confine(config: &Config) -> Result<(), Errno> {
    let rules = Landlock::new()?;
    let (read, mut written) = directories(config);
    written.extend(config.process.temp_paths.iter().chain(config.acme.state_paths()).cloned());
    written.extend(config.locations.iter().map(|location| location.settings.body.temp.path.clone()));
    written.extend(variable_logs(config));
    let above = |paths: &BTreeSet<PathBuf>| -> Vec<PathBuf> {
        let parents = paths.iter().filter_map(|path| path.parent()).filter(|path| path.parent().is_some());
        parents.map(Path::to_owned).collect()
    };
    let reads = read.iter().cloned().chain(above(&read)).chain(tops(config)).chain(password_files(config));
    let reads = reads.chain([config.process.conf_dir.clone()]).chain(read.iter().flat_map(|dir| links(dir)));
    let system = SYSTEM.iter().map(PathBuf::from);
    for path in reads.chain(system) {
        allow(&rules, &path, Access::Read);
    }
    for path in written.iter().cloned().chain(above(&written)).chain(DEVICES.iter().map(PathBuf::from)) {
        allow(&rules, &path, Access::Write);
    }
    rules.enforce()
}

/// Adds a rule for a path; one that does not exist needs none.
fn allow(rules: &Landlock, path: &Path, access: Access) {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return };
    let Ok(fd) = file::open_at(None, &path, O_PATH, 0) else { return };
    let is_dir = file::fstat(fd.as_fd()).is_ok_and(|stat| stat.kind == FileKind::Dir);
    // Without the rule the path is inaccessible, which shows in the error log.
    let _ = rules.allow(fd.as_fd(), is_dir, access);
}

/// Top-level directories that may hold content. A root that begins with a variable may be in any user's or program's
/// directory.
fn tops(config: &Config) -> Vec<PathBuf> {
    let is_anywhere = config.locations.iter().any(|location| directory(&location.settings.files.root).is_none());
    let entries = |dir: &str| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_secret = |path: &Path| SECRETS.iter().any(|secret| path == Path::new(secret));
    let is_data = |path: &Path| DATA.iter().any(|name| path.ends_with(name));
    let tops = entries("/").filter(|path| !is_secret(path) && path != Path::new("/var"));
    let var = entries("/var").filter(|path| is_anywhere || !is_data(path));
    tops.chain(var).chain(is_anywhere.then(|| PathBuf::from("/home"))).collect()
}

/// Targets of symbolic links at the top of a served directory, except those in the system's secrets. Links created by
/// the serving user are ignored, so that it cannot widen its own sandbox.
fn links(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(LINKS);
    let is_link = |stat: std::fs::Metadata| stat.is_symlink() && stat.uid() != process::geteuid();
    let links = entries.filter(|entry| entry.metadata().is_ok_and(is_link));
    let targets = links.filter_map(|entry| std::fs::canonicalize(entry.path()).ok());
    let is_system = |path: &Path| {
        let mut secrets = SECRETS.iter().filter(|secret| **secret != "/home");
        path == Path::new("/") || path == Path::new("/home") || secrets.any(|secret| path.starts_with(secret))
    };
    targets.filter(|path| !is_system(path)).collect()
}

/// Directories of password files; not the files, since Landlock's rule on a file ends when the file is replaced.
fn password_files(config: &Config) -> Vec<PathBuf> {
    let files = config.locations.iter().filter_map(|location| location.settings.auth.file.as_ref());
    let dirs = files.filter_map(|file| match file.parts.first() {
        Some(Part::Literal(text)) => password_directory(&config.process.conf_dir, text, file.parts.len() == 1),
        _ => None,
    });
    dirs.collect()
}

/// The directory of a password file. `text`: its path, or the part before the first variable. Never the root directory,
/// which would allow everything: for a file in it, the path of the file itself.
fn password_directory(conf_dir: &Path, text: &[u8], is_whole: bool) -> Option<PathBuf> {
    let name = memchr::memrchr(b'/', text).map_or(0, |at| at + 1);
    let dir = conf_dir.join(OsStr::from_bytes(text.get(..name)?));
    if dir.parent().is_some() { Some(dir) } else { is_whole.then(|| conf_dir.join(OsStr::from_bytes(text))) }
}

/// Directories of access logs whose path has variables: the part before the first variable.
fn variable_logs(config: &Config) -> Vec<PathBuf> {
    let logs = config.locations.iter().flat_map(|location| location.settings.logs.access.iter());
    let paths = logs.filter_map(|log| match &log.target {
        AccessTarget::Path(template, ..) => match template.parts.first() {
            Some(Part::Literal(text)) => {
                let dir = text.get(..memchr::memrchr(b'/', text)?)?;
                Some(PathBuf::from(OsStr::from_bytes(dir)))
            }
            _ => None,
        },
        _ => None,
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_file_opens_the_root_of_the_system() {
        let rows: &[(&[u8], bool, Option<&str>)] = &[
            (b"/etc/webserv/users", true, Some("/etc/webserv/")),
            (b"users", true, Some("/etc/webserv")),
            (b"sub/users", true, Some("/etc/webserv/sub/")),
            (b"/srv/", false, Some("/srv/")),
            (b"/srv/users-", false, Some("/srv/")),
            (b"users-", false, Some("/etc/webserv")),
            (b"/htpasswd", true, Some("/htpasswd")),
            (b"/", false, None),
            (b"/etc", false, None),
        ];
        for (text, is_whole, expected) in rows {
            let dir = password_directory(Path::new("/etc/webserv"), text, *is_whole);
            assert_eq!(dir.as_deref(), expected.map(Path::new), "{}", String::from_utf8_lossy(text));
        }
    }
}
