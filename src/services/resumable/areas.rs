//! The sums of unfinished uploads by area, so that admitting an upload does not require iterating over all others: an
//! area's sum is computed when first needed; then each upload that is added, changed or removed updates the sums of the
//! areas that contain its path.
//!
//! Invariant: a cached sum includes all uploads below its path; an update takes time proportional to the length of its
//! path.

use crate::services::quotas::Usage;
use crate::util::hash::{FastSet, SecretMap};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Maximum number of cached sums, since variables may create any number of areas. When exceeded, all are dropped.
const AREAS: usize = 4096;

/// Bytes, files and uploads; bytes in more than 64 bits, so that additions of large sizes can be undone.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sum {
    bytes: u128,
    files: u64,
    uploads: u64,
}

impl Sum {
    /// With one more upload. Bytes cannot overflow: they are kept in twice the width.
    pub fn plus(self, more: Usage) -> Sum {
        let bytes = self.bytes + u128::from(more.bytes);
        Sum { bytes, files: self.files.saturating_add(more.files), uploads: self.uploads + 1 }
    }

    /// Without one of the uploads. Never below 0.
    pub fn minus(self, less: Usage) -> Sum {
        let bytes = self.bytes.saturating_sub(u128::from(less.bytes));
        let uploads = self.uploads.saturating_sub(1);
        Sum { bytes, files: self.files.saturating_sub(less.files), uploads }
    }

    /// How many uploads it is the sum of.
    pub fn uploads(self) -> u64 {
        self.uploads
    }

    /// Bytes are clamped to u64.
    pub fn usage(self) -> Usage {
        Usage { bytes: u64::try_from(self.bytes).unwrap_or(u64::MAX), files: self.files, dirs: 0 }
    }
}

/// The sums that were asked for.
#[derive(Default)]
pub struct Areas {
    /// By path, with trailing slash.
    sums: SecretMap<Box<[u8]>, Sum>,
    /// Hashes of these paths' prefixes: a path is hashed once incrementally, not again for each directory.
    known: FastSet<u64>,
    hash: RandomState,
}

impl Areas {
    /// None: it was not computed yet.
    pub fn get(&self, area: &[u8]) -> Option<Sum> {
        self.sums.get(area).copied()
    }

    /// Caches the sum, unless the path lacks a trailing slash: it would be a prefix of other names too.
    pub fn keep(&mut self, area: &[u8], sum: Sum) {
        if !area.ends_with(b"/") {
            return;
        }
        if self.sums.len() >= AREAS {
            self.sums.clear();
            self.known.clear();
        }
        if self.sums.insert(area.into(), sum).is_none() {
            let mut hasher = self.hash.build_hasher();
            area.split_inclusive(|b| *b == b'/').for_each(|part| hasher.write(part));
            self.known.insert(hasher.finish());
        }
    }

    /// Changes the sums of the areas that contain a path.
    pub fn change(&mut self, path: &[u8], to: impl Fn(Sum) -> Sum) {
        if self.sums.is_empty() {
            return;
        }
        let (mut hasher, mut end) = (self.hash.build_hasher(), 0);
        for part in path.split_inclusive(|b| *b == b'/') {
            hasher.write(part);
            end += part.len();
            if part.ends_with(b"/")
                && self.known.contains(&hasher.finish())
                && let Some(sum) = self.sums.get_mut(&path[..end])
            {
                *sum = to(*sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(bytes: u64, files: u64) -> Usage {
        Usage { bytes, files, dirs: 0 }
    }

    #[test]
    fn a_change_reaches_the_areas_above_it_and_no_others() {
        let mut areas = Areas::default();
        let all: [&[u8]; 5] = [b"/", b"/srv/", b"/srv/a/", b"/srv/ab/", b"/srv/a/b/"];
        all.iter().for_each(|area| areas.keep(area, Sum::default()));
        areas.keep(b"/srv/a", Sum::default());
        assert_eq!(areas.get(b"/srv/a"), None, "/srv/ab begins so, too");
        areas.change(b"/srv/a/file", |sum| sum.plus(usage(u64::MAX, 1)));
        areas.change(b"/srv/a/b/", |sum| sum.plus(usage(7, 1)));
        areas.change(b"/srv/a", |sum| sum.plus(usage(1, 1)));
        let totals = |areas: &Areas| all.map(|area| areas.get(area).map(Sum::usage));
        let sums = [(u64::MAX, 3), (u64::MAX, 3), (u64::MAX, 2), (0, 0), (7, 1)].map(|(b, f)| Some(usage(b, f)));
        assert_eq!(totals(&areas), sums);
        areas.change(b"/srv/a/file", |sum| sum.minus(usage(u64::MAX, 1)));
        let sums = [(8, 2), (8, 2), (7, 1), (0, 0), (7, 1)].map(|(b, f)| Some(usage(b, f)));
        assert_eq!(totals(&areas), sums);
    }

    #[test]
    fn areas_without_end_take_no_memory_without_end() {
        let mut areas = Areas::default();
        (0..3 * AREAS).for_each(|n| areas.keep(format!("/srv/{n}/").as_bytes(), Sum::default()));
        assert!(areas.sums.len() <= AREAS && areas.known.len() <= AREAS);
    }
}
