//! `ssl_certificate auto`: a certificate authority local to this machine, which signs certificates for server names.
//! For development: browsers trust it once its certificate is imported (`webserv cert` explains how).
//!
//! All files are in one directory; keys are readable only by their owner, and files are replaced atomically. Only the
//! server and `webserv cert` create them. Checks, including `-t`, only test whether they could be created
//! ([`foresee`]): nginx's `-t` creates logs and directories, but the serving user could not read keys that root created
//! in a test.

use crate::io::open;
use crate::io::replace::replace;
use crate::sys::file::{self, R_OK, W_OK, X_OK};
use crate::sys::{Errno, process};
use crate::tls::issue::{self, Issued};
use crate::tls::x509::Certificate;
use crate::tls::{pem, ticket};
use crate::util::checkpoint;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Below the state directory of the service or user.
const DIRECTORY: &str = "local-ca";
/// Below [`DIRECTORY`].
const LOCK: &str = "lock";
/// How many times to wait five milliseconds for another process.
const PATIENCE: u32 = 200;
/// A certificate that expires within these seconds is renewed.
pub const RENEW_WITHIN: i64 = 30 * 86_400;

/// The remedy if state cannot be stored; this variable takes precedence.
pub const REMEDY: &str = "name a directory of this user's own: STATE_DIRECTORY=DIR webserv …";

/// Where state is stored: systemd's `$STATE_DIRECTORY`, otherwise root's or the user's own directory.
///
/// # Errors
/// No variable names a directory. A shared one such as /tmp is no fallback: another user could place keys there to be
/// trusted.
pub fn state_directory() -> Result<PathBuf, String> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = of("STATE_DIRECTORY") {
        return Ok(directory);
    }
    if process::geteuid() == 0 {
        return Ok(PathBuf::from("/var/lib/webserv"));
    }
    let home = || of("HOME").map(|home| home.join(".local/state"));
    let own = of("XDG_STATE_HOME").or_else(home).map(|own| own.join("webserv"));
    own.ok_or_else(|| "neither XDG_STATE_HOME nor HOME says where".to_owned())
}

/// # Errors
/// As [`state_directory`].
pub fn directory() -> Result<PathBuf, String> {
    Ok(state_directory()?.join(DIRECTORY))
}

/// Largest file that is read: a certificate with its authority's takes 2 KB.
const LARGEST: u64 = 64 << 10;

fn read(certificate: &Path, key: &Path) -> Option<Issued> {
    let text = |path: &Path| open::text(path, LARGEST).ok();
    Some(Issued { certificate: text(certificate)?, key: text(key)? })
}

/// Valid now, and for longer than [`RENEW_WITHIN`]. A certificate that is not valid yet was made when the clock was
/// wrong.
fn is_fresh(issued: &Issued, names: &[String], now: i64) -> bool {
    issue::covers(issued.certificate.as_bytes(), names)
        .is_some_and(|found| found.missing.is_empty() && found.from <= now && found.until - now > RENEW_WITHIN)
}

/// The paths of the authority's certificate and key.
fn authority_paths(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join("ca.crt"), directory.join("ca.key"))
}

/// The stored authority. One that is not valid yet is kept: people trust it, and the clock of a machine that has just
/// started may be wrong.
fn kept_authority(directory: &Path, now: i64) -> Option<Issued> {
    let (certificate, key) = authority_paths(directory);
    let ends_late = |found: &Issued| {
        issue::covers(found.certificate.as_bytes(), &[]).is_some_and(|found| found.until - now > RENEW_WITHIN)
    };
    read(&certificate, &key).filter(ends_late)
}

/// When the authority of a certificate becomes valid (Unix time).
pub fn begins(issued: &Issued) -> Option<i64> {
    let sections = pem::parse(issued.certificate.as_bytes()).ok()?;
    Some(Certificate::parse(&sections.last()?.der).ok()?.not_before)
}

/// The stored authority, or a new one. Without a directory it lives as long as the process.
fn authority(directory: Option<&Path>, now: i64) -> Result<Issued, String> {
    if let Some(found) = directory.and_then(|directory| kept_authority(directory, now)) {
        return Ok(found);
    }
    let host = process::hostname();
    let made = issue::authority(&format!("webserv local authority of {host}"), now)?;
    if let Some(directory) = directory {
        keep(&made, authority_paths(directory))?;
    }
    Ok(made)
}

fn keep(made: &Issued, (certificate, key): (PathBuf, PathBuf)) -> Result<(), String> {
    let written = replace(&key, made.key.as_bytes(), 0o600)
        .and_then(|()| replace(&certificate, made.certificate.as_bytes(), 0o644));
    written.map_err(|e| unwritable(&certificate, &Errno::from(e)))
}

fn unwritable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("\"{}\" cannot be written {why}", path.display())
}

/// The file whose lock keeps two processes from creating two authorities. It is unlocked, not only closed: a child that
/// is just being started (CGI) has a duplicate of each descriptor until it runs its program.
struct LockFile(OwnedFd);

impl Drop for LockFile {
    fn drop(&mut self) {
        // Without locks in the file system there is nothing to release.
        let _ = file::unlock(self.0.as_fd());
    }
}

fn lock_file(directory: &Path) -> Result<LockFile, String> {
    let path = directory.join(LOCK);
    open::directories(directory, 0o755).map_err(|e| unwritable(&path, &e))?;
    open::own_of_directory(&path, 0o600).map(LockFile).map_err(|e| unwritable(&path, &e))
}

/// Tries to take the lock; true if another process holds it. Without locks in the file system, concurrent processes are
/// unlikely.
fn is_held(lock: &LockFile) -> bool {
    file::flock(lock.0.as_fd()) == Err(Errno::EAGAIN)
}

/// Locks the directory. Waits while another process holds the lock.
fn alone(directory: &Path) -> Result<LockFile, String> {
    let lock = lock_file(directory)?;
    for _ in 0..PATIENCE {
        if !is_held(&lock) {
            break;
        }
        let _ = file::wait_any(&[], 5);
        // A server that reloads serves its clients.
        checkpoint::pass_costly();
    }
    Ok(lock)
}

/// The paths of the certificate for these names, and of its key.
pub fn paths(directory: &Path, names: &[String]) -> (PathBuf, PathBuf) {
    let digest = ticket::context(names.iter().map(String::as_bytes));
    let tag: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let first: String =
        names.first().map_or("localhost", String::as_str).chars().filter(|c| plain(*c)).take(60).collect();
    (directory.join(format!("{first}-{tag}.crt")), directory.join(format!("{first}-{tag}.key")))
}

/// These names and this machine's own (localhost and its addresses).
pub fn names(wanted: &[String]) -> Vec<String> {
    let mut all: Vec<String> = wanted.to_vec();
    for own in ["localhost", "127.0.0.1", "::1"] {
        if !all.iter().any(|name| name == own) {
            all.push(own.to_owned());
        }
    }
    all
}

/// Refuses a directory in which another user could place an authority to be trusted. Call it once the directory exists:
/// another user may have created it first.
fn check_directory(directory: &Path) -> Result<(), String> {
    let user = process::geteuid();
    for place in [Some(directory), directory.parent()].into_iter().flatten() {
        // The owner of a symbolic link may change its target; the link's mode means nothing.
        let (Ok(named), Ok(found)) = (fs::symlink_metadata(place), fs::metadata(place)) else { continue };
        let is_theirs = |uid: u32| ![0, user].contains(&uid) && user != 0;
        let whose = match () {
            () if is_theirs(named.uid()) || is_theirs(found.uid()) => "belongs to another user",
            () if found.mode() & 0o1002 == 0o002 => "is writable by all",
            () => continue,
        };
        return Err(format!("\"{}\" {whose}: keys there are not trusted", place.display()));
    }
    Ok(())
}

/// A certificate, with its chain, for these names and this machine's own.
pub fn obtain(directory: Option<&Path>, names: &[String], now: i64) -> Result<Issued, String> {
    let _alone = directory.map(alone).transpose()?;
    find_or_make(directory, names, now)
}

/// As [`obtain`], for a running server: does not wait for the lock. None: another process holds it.
pub fn renew(directory: Option<&Path>, names: &[String], now: i64) -> Result<Option<Issued>, String> {
    let lock = directory.map(lock_file).transpose()?;
    match lock.as_ref().is_some_and(is_held) {
        true => Ok(None),
        false => find_or_make(directory, names, now).map(Some),
    }
}

/// The reason to report when [`renew`] has returned None for too long.
pub fn held(directory: &Path) -> String {
    format!("another process holds the lock \"{}\"", directory.join(LOCK).display())
}

fn find_or_make(directory: Option<&Path>, names: &[String], now: i64) -> Result<Issued, String> {
    let all = self::names(names);
    directory.map_or(Ok(()), check_directory)?;
    let ca = authority(directory, now)?;
    if let Some(found) = directory.and_then(|directory| kept(directory, &ca, &all, now)) {
        return Ok(found);
    }
    let made = issue::sign(&ca, &all, now)?;
    if let Some(directory) = directory {
        keep(&made, paths(directory, &all))?;
    }
    Ok(made)
}

/// A stored certificate for these names, if the current authority signed it and it is valid for long enough.
fn kept(directory: &Path, ca: &Issued, all: &[String], now: i64) -> Option<Issued> {
    let (certificate, key) = paths(directory, all);
    let found = read(&certificate, &key)?;
    (is_fresh(&found, all, now) && found.certificate.ends_with(&ca.certificate)).then_some(found)
}

/// As [`obtain`], without changing anything on disk: what it would create is created only in memory.
///
/// # Errors
/// `obtain` could not write there, as far as a check can tell.
pub fn foresee(directory: &Path, names: &[String], now: i64) -> Result<Issued, String> {
    check_directory(directory)?;
    let lock = directory.join(LOCK);
    may(&lock, R_OK | W_OK).unwrap_or_else(|| writable(directory)).map_err(|e| unwritable(&lock, &e))?;
    let all = self::names(names);
    if let Some(found) = kept_authority(directory, now).and_then(|ca| kept(directory, &ca, &all, now)) {
        return Ok(found);
    }
    writable(directory).map_err(|e| unwritable(&authority_paths(directory).0, &e))?;
    obtain(None, names, now)
}

/// Whether files can be created in a directory, or a missing directory itself.
fn writable(directory: &Path) -> Result<(), Errno> {
    // The last ancestor of a relative path is empty, which means the working directory.
    let here = |path: &Path| if path.as_os_str().is_empty() { Path::new(".").to_owned() } else { path.to_owned() };
    let found = directory.ancestors().map(here).find_map(|path| Some((may(&path, W_OK | X_OK)?, path)));
    match found {
        Some((Ok(()), path)) if !path.is_dir() => Err(Errno::ENOTDIR),
        Some((outcome, _)) => outcome,
        None => Err(Errno::ENOENT),
    }
}

/// None: the file does not exist.
fn may(path: &Path, mode: i32) -> Option<Result<(), Errno>> {
    Some(file::access(path, mode)).filter(|outcome| *outcome != Err(Errno::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_certificate_is_made_once_and_again_when_it_ends() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("state");
        let names = ["a.test".to_owned()];
        let first = obtain(Some(&directory), &names, NOW).expect("made");
        assert_eq!(obtain(Some(&directory), &names, NOW + 86_400), Ok(first.clone()), "kept");
        let later = obtain(Some(&directory), &names, NOW + 390 * 86_400).expect("made");
        assert_ne!(later, first, "it would end soon");
        let earlier = obtain(Some(&directory), &names, NOW).expect("made");
        assert_ne!(earlier, later, "it would not be valid yet");
        assert!(
            earlier.certificate.ends_with(&authority(Some(&directory), NOW - 400 * 86_400).expect("kept").certificate)
        );
        let ca = authority(Some(&directory), NOW).expect("kept");
        assert!(later.certificate.ends_with(&ca.certificate), "the authority is the same");
        use std::os::unix::fs::PermissionsExt;
        for file in fs::read_dir(&directory).expect("a directory") {
            let path = file.expect("a file").path();
            let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
            let want = if path.extension().is_none_or(|end| end == "key") { 0o600 } else { 0o644 };
            assert_eq!(mode, want, "{}", path.display());
        }
    }

    #[test]
    fn a_server_that_runs_does_not_wait_for_another_process() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("local-ca");
        let lock = alone(&directory).expect("made");
        assert_eq!(renew(Some(&directory), &[], NOW), Ok(None));
        drop(lock);
        let made = renew(Some(&directory), &[], NOW).expect("made");
        assert_eq!(made, Some(obtain(Some(&directory), &[], NOW).expect("kept")));
    }

    /// A reload held all clients up for a second.
    #[test]
    fn while_another_process_holds_the_lock_others_are_served() {
        struct Release(Option<LockFile>);
        impl checkpoint::Interlude for Release {
            fn run(&mut self, _: Option<std::os::fd::BorrowedFd<'_>>) {
                self.0 = None;
            }
        }
        let scratch = Scratch::new();
        let lock = alone(scratch.path()).expect("made");
        let watched = checkpoint::watch(Box::new(Release(Some(lock))));
        let taken = alone(scratch.path()).expect("opened");
        drop(watched);
        assert!(is_held(&lock_file(scratch.path()).expect("opened")), "the other one let it go meanwhile");
        drop(taken);
    }

    /// The directory belongs to the serving user: a FIFO there stopped the parent for good.
    #[test]
    fn a_fifo_in_the_place_of_the_authority_is_not_waited_for() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("local-ca");
        let first = obtain(Some(&directory), &[], NOW).expect("made");
        fs::rename(directory.join("ca.crt"), directory.join("ca.old")).expect("renamed");
        file::make_fifo(&scratch.join("local-ca/ca.crt"), 0o600).expect("mkfifo");
        let second = obtain(Some(&directory), &[], NOW).expect("made again");
        assert_ne!(second, first, "by another authority");
        assert_eq!(obtain(Some(&directory), &[], NOW), Ok(second), "which is kept");
    }

    #[test]
    fn a_check_gives_what_serving_would_and_leaves_the_disk_alone() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("state/local-ca");
        let names = ["a.test".to_owned()];
        let in_memory = foresee(&directory, &names, NOW).expect("it could be kept");
        assert!(is_fresh(&in_memory, &names, NOW));
        assert!(!scratch.path().join("state").exists(), "nothing is made");
        let kept = obtain(Some(&directory), &names, NOW).expect("made");
        assert_eq!(foresee(&directory, &names, NOW), Ok(kept.clone()), "what is kept is what would be served");
        let listed = |directory: &Path| {
            let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
            files.map(|path| (fs::read(&path).expect("a file"), path)).collect::<std::collections::BTreeSet<_>>()
        };
        let before = listed(&directory);
        let later = foresee(&directory, &names, NOW + 390 * 86_400).expect("it could be kept");
        assert_ne!(later, kept, "it would end soon");
        foresee(&directory, &["b.test".to_owned()], NOW).expect("it could be kept");
        assert_eq!(listed(&directory), before);
    }

    #[test]
    fn an_authority_where_all_may_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let directory = scratch.path().join("webserv/local-ca");
        obtain(Some(&directory), &[], NOW).expect("made");
        for place in ["webserv", "webserv/local-ca"] {
            let open = |mode| fs::set_permissions(scratch.path().join(place), fs::Permissions::from_mode(mode));
            open(0o777).expect("changed");
            for outcome in [obtain(Some(&directory), &[], NOW), foresee(&directory, &[], NOW)] {
                assert!(outcome.expect_err("refused").contains("is writable by all"), "{place}");
            }
            open(0o755).expect("changed");
        }
        assert!(obtain(Some(&directory), &[], NOW).is_ok());
        // The target of a link counts: the link's own mode is 0777.
        let link = scratch.path().join("linked");
        std::os::unix::fs::symlink(scratch.path().join("webserv"), &link).expect("linked");
        assert_eq!(obtain(Some(&link.join("local-ca")), &[], NOW), obtain(Some(&directory), &[], NOW));
        fs::set_permissions(scratch.path().join("webserv"), fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(obtain(Some(&link.join("local-ca")), &[], NOW).is_err());
    }

    #[test]
    fn a_check_says_where_nothing_could_be_kept() {
        let scratch = Scratch::new();
        scratch.write("file", b"");
        for place in ["file", "file/state", "file/state/local-ca"] {
            let why = foresee(&scratch.path().join(place), &[], NOW).expect_err("it is a file");
            assert!(
                why.contains("lock\" cannot be written (") && why.contains("(20: Not a directory)"),
                "{place}: {why}"
            );
        }
    }
}
