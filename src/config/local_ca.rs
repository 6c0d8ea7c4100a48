//! `ssl_certificate auto`: a certificate authority of this machine, and what it signs for servers' names. For people
//! who develop: browsers trust it once its certificate is imported (`webserv cert` tells how).
//!
//! Files lie in one directory, the keys readable by their owner only, and are replaced whole or not at all.

use crate::io::open;
use crate::io::replace::replace;
use crate::sys::{Errno, file};
use crate::tls::issue::{self, Issued};
use crate::tls::ticket;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Below the state directory of the service or the person.
const DIRECTORY: &str = "local-ca";
/// How often five milliseconds are waited for another process.
const PATIENCE: u32 = 200;
/// A certificate that ends within these seconds is made again.
const SOON: i64 = 30 * 86_400;

/// Where state is kept: systemd's `$STATE_DIRECTORY`, else root's or the person's own.
pub fn state_directory() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = of("STATE_DIRECTORY") {
        return directory;
    }
    if crate::sys::process::geteuid() == 0 {
        return PathBuf::from("/var/lib/webserv");
    }
    let home = || of("HOME").map(|home| home.join(".local/state"));
    of("XDG_STATE_HOME").or_else(home).unwrap_or_else(std::env::temp_dir).join("webserv")
}

pub fn directory() -> PathBuf {
    state_directory().join(DIRECTORY)
}

fn read(certificate: &Path, key: &Path) -> Option<Issued> {
    Some(Issued { certificate: fs::read_to_string(certificate).ok()?, key: fs::read_to_string(key).ok()? })
}

fn is_fresh(issued: &Issued, names: &[String], now: i64) -> bool {
    issue::covers(issued.certificate.as_bytes(), names)
        .is_some_and(|(until, missing)| missing.is_empty() && until - now > SOON)
}

/// The authority: the one on disk, or a new one. Without a directory it lives as long as the process.
pub fn authority(directory: Option<&Path>, now: i64) -> Result<Issued, String> {
    let paths = directory.map(|directory| (directory.join("ca.crt"), directory.join("ca.key")));
    if let Some((certificate, key)) = &paths
        && let Some(found) = read(certificate, key).filter(|found| is_fresh(found, &[], now))
    {
        return Ok(found);
    }
    let host = crate::sys::process::hostname();
    let made = issue::authority(&format!("webserv local authority of {host}"), now)?;
    if let Some((certificate, key)) = paths {
        let written = replace(&key, made.key.as_bytes(), 0o600)
            .and_then(|()| replace(&certificate, made.certificate.as_bytes(), 0o644));
        written.map_err(|e| format!("\"{}\" cannot be written: {e}", certificate.display()))?;
    }
    Ok(made)
}

/// One process at a time: certificates of two authorities would not go together. Waits while another one makes its own.
fn alone(directory: &Path) -> Result<OwnedFd, String> {
    let path = directory.join("lock");
    let failed = |e: &dyn std::fmt::Display| format!("\"{}\" cannot be written: {e}", path.display());
    fs::create_dir_all(directory).map_err(|e| failed(&e))?;
    let lock = open::own(&path, 0o600).map_err(|e| failed(&e))?;
    for _ in 0..PATIENCE {
        match file::flock(lock.as_fd()) {
            Err(Errno::EAGAIN) => drop(file::wait_any(&[], 5)),
            // Where there are no locks there are hardly two of us.
            _ => break,
        }
    }
    Ok(lock)
}

/// Where the certificate for these names is kept: its certificate and its key.
pub fn paths(directory: &Path, names: &[String]) -> (PathBuf, PathBuf) {
    let digest = ticket::context(names.iter().map(String::as_bytes));
    let tag: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let first: String =
        names.first().map_or("localhost", String::as_str).chars().filter(|c| plain(*c)).take(60).collect();
    (directory.join(format!("{first}-{tag}.crt")), directory.join(format!("{first}-{tag}.key")))
}

/// These names, and this machine's own.
pub fn names(wanted: &[String]) -> Vec<String> {
    let mut all: Vec<String> = wanted.to_vec();
    for own in ["localhost", "127.0.0.1", "::1"] {
        if !all.iter().any(|name| name == own) {
            all.push(own.to_owned());
        }
    }
    all
}

/// A certificate for these names and for this machine's own, with its chain.
pub fn obtain(directory: Option<&Path>, names: &[String], now: i64) -> Result<Issued, String> {
    let all = self::names(names);
    let _alone = directory.map(alone).transpose()?;
    let ca = authority(directory, now)?;
    let paths = directory.map(|directory| paths(directory, &all));
    if let Some((certificate, key)) = &paths
        && let Some(found) = read(certificate, key)
        // One that an earlier authority signed is of no use.
        && is_fresh(&found, &all, now)
        && found.certificate.ends_with(&ca.certificate)
    {
        return Ok(found);
    }
    let made = issue::sign(&ca, &all, now)?;
    if let Some((certificate, key)) = paths {
        let written = replace(&key, made.key.as_bytes(), 0o600)
            .and_then(|()| replace(&certificate, made.certificate.as_bytes(), 0o644));
        written.map_err(|e| format!("\"{}\" cannot be written: {e}", certificate.display()))?;
    }
    Ok(made)
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
}
