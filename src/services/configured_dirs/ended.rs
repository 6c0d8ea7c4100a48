//! Frees the lists of configurations that have ended, in steps: freeing the paths of thousands of directories at once
//! would hold up other clients.
//!
//! Invariant: such a list is found as soon as the last request of its configuration is over, even if no request of
//! another configuration asks.

use super::ConfiguredDirs;

impl ConfiguredDirs {
    /// Whether there are lists to be freed.
    pub fn has_ended(&self) -> bool {
        self.is_filled_in_vain() || self.others.iter().any(|dirs| !dirs.is_alive())
    }

    /// Whether requests of its configuration may still run.
    fn is_alive(&self) -> bool {
        self.of.strong_count() > 0
    }

    /// Whether the configuration of the current list has ended, and no request of another one has replaced it.
    fn is_filled_in_vain(&self) -> bool {
        !self.is_alive() && !self.dirs.is_empty()
    }

    /// Frees parts of such lists while `goes_on` returns true.
    pub fn free_ended(&mut self, mut goes_on: impl FnMut() -> bool) {
        if self.is_filled_in_vain() {
            let (generation, last) = (self.generation, self.last.clone());
            let empty = ConfiguredDirs { generation, last, ..ConfiguredDirs::of(self.list) };
            let mut ended = std::mem::replace(self, empty);
            self.others = std::mem::take(&mut ended.others);
            self.others.push(ended);
        }
        while let Some(at) = self.others.iter().position(|dirs| !dirs.is_alive()) {
            let Some(ended) = self.others.get_mut(at).filter(|_| goes_on()) else { return };
            if ended.dirs.pop().is_none() & ended.by_path.pop_first().is_none() {
                self.others.swap_remove(at);
            }
        }
    }
}
