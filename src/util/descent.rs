//! The order in which a tree of directories is walked: depth first, those of one directory as they were found. Opens
//! nothing itself.
//!
//! Invariant: memory holds the names of directories that are still to be entered, and one path.

use std::collections::VecDeque;
use std::ffi::CString;

#[derive(Default)]
struct Level {
    /// Directories that have not been entered, in the order in which they were found.
    pending: VecDeque<CString>,
    /// Length of the path of the directory above.
    above: usize,
}

/// Where a walk is, and what is still to be entered.
pub struct Descent {
    /// The path from the top to the present directory, each name with its slash.
    path: Vec<u8>,
    levels: Vec<Level>,
}

/// What [`Descent::advance`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Into the directory at the path: it is to be read.
    Enter,
    /// Back to the directory above, which has been read.
    Back,
    /// All of the tree has been walked.
    End,
}

impl Default for Descent {
    /// At the top, which is to be read.
    fn default() -> Descent {
        Descent { path: Vec::new(), levels: vec![Level::default()] }
    }
}

impl Descent {
    /// From the top; empty for that itself, else with a final slash.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// A directory was found in the present one: it is entered later.
    pub fn add(&mut self, name: CString) {
        if let Some(level) = self.levels.last_mut() {
            level.pending.push_back(name);
        }
    }

    /// The directory that was added last is not entered.
    pub fn forget_last(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.pending.pop_back();
        }
    }

    /// The present directory has been read: on to the next.
    pub fn advance(&mut self) -> Next {
        let Some(level) = self.levels.last_mut() else { return Next::End };
        if let Some(name) = level.pending.pop_front() {
            let above = self.path.len();
            self.path.extend_from_slice(name.to_bytes());
            self.path.push(b'/');
            self.levels.push(Level { pending: VecDeque::new(), above });
            return Next::Enter;
        }
        self.path.truncate(level.above);
        self.levels.pop();
        if self.levels.is_empty() { Next::End } else { Next::Back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_is_entered_once_and_left_behind_what_is_in_it() {
        let tree = [("", &["a", "b", "no"][..]), ("a/", &["d"]), ("a/d/", &[]), ("b/", &["c"]), ("b/c/", &[])];
        let (mut descent, mut seen) = (Descent::default(), vec![String::new()]);
        let mut is_new = true;
        loop {
            let path = String::from_utf8(descent.path().to_vec()).expect("ASCII");
            let names = tree.iter().find(|(directory, _)| *directory == path).map_or(&[][..], |(_, names)| names);
            for name in names.iter().filter(|_| is_new) {
                descent.add(CString::new(*name).expect("no NUL"));
                if *name == "no" {
                    descent.forget_last();
                }
            }
            let next = descent.advance();
            is_new = next == Next::Enter;
            match next {
                Next::Enter => seen.push(String::from_utf8(descent.path().to_vec()).expect("ASCII")),
                Next::Back => {}
                Next::End => break,
            }
        }
        assert_eq!(seen, tree.map(|(directory, _)| directory));
        assert_eq!((descent.advance(), descent.path()), (Next::End, &b""[..]));
    }
}
