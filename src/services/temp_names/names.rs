//! How hidden names are generated and distinguished from clients' names.
//!
//! Invariant: names of one process are unique; those of two processes differ with high probability.

use crate::sys::random;
use crate::util::decimal;
use std::cell::OnceCell;
use std::ffi::CString;

/// Prefix of hidden names. Clients cannot use it.
pub const HIDDEN: &str = ".webserv-";

/// What a hidden name is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HiddenKind {
    /// A file that is to replace another.
    Upload,
    /// A file or tree being copied, or replaced by a copy.
    Copy,
    /// A tree being removed.
    Delete,
}

impl HiddenKind {
    /// All kinds, to recognise a name.
    pub(super) const ALL: [HiddenKind; 3] = [HiddenKind::Upload, HiddenKind::Copy, HiddenKind::Delete];

    /// The word in the hidden name.
    pub(super) fn word(self) -> &'static str {
        match self {
            HiddenKind::Upload => "upload",
            HiddenKind::Copy => "copy",
            HiddenKind::Delete => "delete",
        }
    }
}

/// Whether a component of the path or URI is a hidden name, ignoring case, since some file systems do.
pub fn is_hidden(path: &[u8]) -> bool {
    memchr::memchr_iter(b'.', path).any(|at| {
        let begins = at.checked_sub(1).is_none_or(|before| path.get(before) == Some(&b'/'));
        begins
            && path
                .get(at..)
                .and_then(|rest| rest.get(..HIDDEN.len()))
                .is_some_and(|start| start.eq_ignore_ascii_case(HIDDEN.as_bytes()))
    })
}

/// The names of a process.
#[derive(Default)]
pub struct Names {
    /// Drawn with the first name, so that the placeholder left while an upload has taken the names costs no system
    /// call.
    id: OnceCell<u32>,
    /// What the names of uploads begin with, made with the first.
    upload: OnceCell<Box<[u8]>>,
    made: u64,
}

impl Names {
    /// Distinguishes our names from those of other processes writing to the same directory.
    pub(super) fn id(&self) -> u32 {
        *self.id.get_or_init(|| random::number().unwrap_or(0) as u32)
    }

    /// The next name.
    pub fn next(&mut self, what: HiddenKind) -> CString {
        self.made += 1;
        let begin = || format!("{HIDDEN}{}-{:08x}-", what.word(), self.id()).into_bytes().into_boxed_slice();
        let other;
        let prefix = match what {
            HiddenKind::Upload => self.upload.get_or_init(begin),
            HiddenKind::Copy | HiddenKind::Delete => {
                other = begin();
                &other
            }
        };
        // Without formatting, which took a twentieth of an upload's CPU time, and in one piece of the right size: one
        // that is too large is allocated again by CString.
        let mut place = [0; decimal::DIGITS];
        let digits = decimal::digits(self.made, &mut place);
        let mut name = Vec::with_capacity(prefix.len() + digits.len() + 1);
        name.extend_from_slice(prefix);
        name.extend_from_slice(digits);
        CString::new(name).expect("no NUL in words and digits")
    }
}
