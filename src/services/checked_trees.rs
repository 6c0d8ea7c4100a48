//! Directory trees being checked before they are copied, moved or removed as a whole. This takes several turns: a file
//! stored in the tree meanwhile may be missed, so the tree is flagged and checked again.
//!
//! Invariant: costs nothing while no tree is being checked.

use crate::sys::Errno;
use crate::sys::file;
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};

/// The trees; an entry lives as long as its check.
#[derive(Default)]
pub struct CheckedTrees(Vec<Checked>);

/// The real path of a tree, and its watch's flag.
type Checked = (Box<[u8]>, Weak<Cell<bool>>);

/// Whether something was added to a tree; the tree is watched until this is dropped.
pub struct Watch(Rc<Cell<bool>>);

impl Watch {
    /// Whether something was added since the last [`Watch::take`].
    pub fn is_set(&self) -> bool {
        self.0.get()
    }

    /// Whether something was added since the last call.
    pub fn take(&self) -> bool {
        self.0.replace(false)
    }
}

impl CheckedTrees {
    /// Watches the tree at `top`.
    pub fn watch(&mut self, top: BorrowedFd<'_>) -> Result<Watch, Errno> {
        let path = file::path_of(top)?;
        let came = Rc::new(Cell::new(false));
        self.0.retain(|(_, came)| came.strong_count() > 0);
        self.0.push((path.into(), Rc::downgrade(&came)));
        Ok(Watch(came))
    }

    /// Call it when a name was added to `dir`.
    pub fn name_added(&mut self, dir: BorrowedFd<'_>) {
        if self.0.is_empty() {
            return;
        }
        self.0.retain(|(_, came)| came.strong_count() > 0);
        // A directory whose path is unknown may be in any tree.
        let path = file::path_of(dir).ok();
        for (tree, came) in &self.0 {
            let is_in = path.as_ref().is_none_or(|path| {
                path.strip_prefix(&**tree)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || tree.ends_with(b"/"))
            });
            if let (true, Some(came)) = (is_in, came.upgrade()) {
                came.set(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{O_DIRECTORY, O_PATH};
    use crate::sys::scratch::Scratch;
    use std::os::fd::AsFd;

    #[test]
    fn a_tree_learns_of_what_comes_into_it_and_of_nothing_else() {
        let scratch = Scratch::new();
        for name in ["a", "a/in", "a/in/ner", "ab"] {
            std::fs::create_dir(scratch.path().join(name)).expect("mkdir");
        }
        let open = |name: &str| file::open_at(None, &scratch.join(name), O_PATH | O_DIRECTORY, 0).expect("opens");
        let mut trees = CheckedTrees::default();
        let watch = trees.watch(open("a").as_fd()).expect("a path");
        for (name, expected) in [("a", true), ("a/in/ner", true), ("ab", false), ("", false)] {
            trees.name_added(open(name).as_fd());
            assert_eq!(watch.take(), expected, "{name:?}");
            assert!(!watch.take(), "once");
        }
        drop(watch);
        trees.name_added(open("a").as_fd());
        assert!(trees.0.is_empty(), "a tree that is judged no longer is forgotten");
    }
}
