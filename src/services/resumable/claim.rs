//! Who writes to an upload where locks end at the mount: a file beside it, made with O_EXCL, which all mounts of the
//! directory see as they do not see each other's locks.
//!
//! Invariant: a claim is removed by the process that made it, or by one that found it left behind.

use crate::sys::file::{self, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY, Unlink};
use crate::sys::{Errno, random};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// No claim is longer.
const LONGEST: usize = 256;

/// Removed when this is dropped.
pub struct Claim {
    dir: Rc<OwnedFd>,
    name: CString,
    /// The claimant's mount ([`Claim::is_from`]) and a number of its own.
    text: Vec<u8>,
}

impl Claim {
    /// # Errors
    /// EEXIST: there is one already.
    pub fn make(dir: &Rc<OwnedFd>, name: CString, mount: &[u8]) -> Result<Claim, Errno> {
        let text = [mount, format!(" {:016x}", random::number()?).as_bytes()].concat();
        let fd = file::open_at(Some(dir.as_fd()), &name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
        let claim = Claim { dir: dir.clone(), name, text };
        let wrote = file::write(fd.as_fd(), &claim.text).and_then(|wrote| match wrote == claim.text.len() {
            true => file::flush(fd.as_fd()),
            false => Err(Errno::ENOSPC),
        });
        if let Err(e) = wrote {
            let _ = file::unlink_at(Some(dir.as_fd()), &claim.name, Unlink::File);
            return Err(e);
        }
        Ok(claim)
    }

    /// What the claim of that name says. None: there is none.
    pub fn read(dir: &OwnedFd, name: &CString) -> Result<Option<Vec<u8>>, Errno> {
        let fd = match file::open_at(Some(dir.as_fd()), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0) {
            Err(Errno::ENOENT) => return Ok(None),
            fd => fd?,
        };
        let mut text = Vec::with_capacity(LONGEST);
        file::read_into(fd.as_fd(), &mut text, LONGEST)?;
        Ok(Some(text))
    }

    /// Whether a claim with that text was made over this mount.
    pub fn is_from(text: &[u8], mount: &[u8]) -> bool {
        text.strip_prefix(mount).is_some_and(|rest| rest.len() == 17 && rest.starts_with(b" "))
    }

    /// Removes a claim that was left behind, if it still says this.
    pub fn clear(dir: &OwnedFd, name: &CString, text: &[u8]) -> Result<(), Errno> {
        if Claim::read(dir, name)?.as_deref() == Some(text) {
            match file::unlink_at(Some(dir.as_fd()), name, Unlink::File) {
                Err(Errno::ENOENT) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// No other process took it for one that was left behind.
    pub fn is_ours(&self) -> bool {
        Claim::read(&self.dir, &self.name).is_ok_and(|text| text.as_deref() == Some(&self.text))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = Claim::clear(&self.dir, &self.name, &self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn one_claim_is_made_and_only_its_own_is_given_back() {
        let scratch = Scratch::new();
        let (dir, name) = (Rc::new(scratch.fd()), CString::from(c"claim"));
        let make = |mount: &[u8]| Claim::make(&dir, name.clone(), mount);
        let claim = make(b"a").expect("it is free");
        assert_eq!(make(b"b").map(drop), Err(Errno::EEXIST));
        let text = Claim::read(&dir, &name).expect("read").expect("it is there");
        assert!(claim.is_ours() && Claim::is_from(&text, b"a"));
        assert!(!Claim::is_from(&text, b"") && !Claim::is_from(&text, b"b") && !Claim::is_from(b"a", b"a"));
        Claim::clear(&dir, &name, b"another").expect("nothing to do");
        assert!(claim.is_ours());
        Claim::clear(&dir, &name, &text).expect("removed");
        assert!(!claim.is_ours());
        let other = make(b"").expect("it is free");
        drop(claim);
        assert!(other.is_ours(), "not the later one's");
        drop(other);
        assert_eq!(Claim::read(&dir, &name), Ok(None));
    }
}
