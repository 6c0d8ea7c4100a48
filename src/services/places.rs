//! A bounded number of places for work that costs much memory or CPU for a short request.
//!
//! Invariant: dropping a place frees it.

use std::cell::Cell;
use std::rc::Rc;

pub struct Places {
    free: Rc<Cell<usize>>,
}

/// One of them.
pub struct Place {
    free: Rc<Cell<usize>>,
}

impl Places {
    pub fn new(most: usize) -> Places {
        Places { free: Rc::new(Cell::new(most)) }
    }

    /// None: all are taken.
    pub fn take(&self) -> Option<Place> {
        let left = self.free.get().checked_sub(1)?;
        self.free.set(left);
        Some(Place { free: self.free.clone() })
    }
}

impl Place {
    /// Whether all places are taken, with this one.
    pub fn is_none_free(&self) -> bool {
        self.free.get() == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free.set(self.free.get() + 1);
    }
}
