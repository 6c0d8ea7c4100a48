//! Directories of uploads that were not empty when their last upload ended: on FUSE a file that is removed while it is
//! open stays under another name until it is closed. They are tried again, less and less often.

use std::collections::HashMap;
use std::rc::Rc;

/// Milliseconds until a directory is tried again; doubled each time.
const FIRST: u64 = 50;
/// How often: a connection that has ended may keep a file open for a minute.
const TRIES: u32 = 11;
/// Most directories; the others are left to the next start.
const MOST: usize = 1024;

/// The directories.
#[derive(Default)]
pub struct Untidy {
    /// By path: when it is due (monotonic milliseconds), and how often it was tried.
    dirs: HashMap<Rc<[u8]>, (u64, u32)>,
}

impl Untidy {
    /// The directory was not empty; `now`: monotonic milliseconds.
    pub fn add(&mut self, dir: &Rc<[u8]>, now: u64) {
        if self.dirs.len() < MOST {
            self.dirs.insert(dir.clone(), (now + FIRST, 0));
        }
    }

    /// Milliseconds until [`Untidy::try_again`] must be called.
    pub fn next(&self, now: u64) -> Option<u64> {
        self.dirs.values().map(|(at, _)| at.saturating_sub(now)).min()
    }

    /// Tries those that are due. `is_tidy` removes one; false: it is still not empty.
    pub fn try_again(&mut self, now: u64, is_tidy: impl Fn(&[u8]) -> bool) {
        self.dirs.retain(|dir, (at, tries)| {
            if *at > now {
                return true;
            }
            *tries += 1;
            *at = now + (FIRST << *tries);
            *tries < TRIES && !is_tidy(dir)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_directory_is_tried_again_until_it_is_empty_or_has_uploads_again() {
        for (empty_after, expected) in [(3, 3), (100, TRIES - 1)] {
            let (mut untidy, mut now, tries) = (Untidy::default(), 0, Cell::new(0));
            assert_eq!(untidy.next(now), None);
            untidy.add(&b"/dir"[..].into(), now);
            while let Some(wait) = untidy.next(now) {
                now += wait;
                untidy.try_again(now, |_| {
                    tries.set(tries.get() + 1);
                    tries.get() >= empty_after
                });
            }
            assert_eq!(tries.get(), expected);
            assert!(now < 120_000);
        }
    }
}
