//! Groups that are no longer used are dropped in steps: a configuration may have had fifty thousand of them.

use super::{Balance, FEW, Group};
use crate::config::settings::upstream::Upstream;
use crate::sys::process;
use crate::util::hash::take_some;
use std::rc::Rc;

impl Balance {
    /// Begins to drop groups that are no longer used: of an old configuration, of a finished request, or with a name's
    /// old addresses. [`Balance::prune_some`] goes on with it.
    pub fn prune(&mut self) {
        match self.is_pruning() {
            true => self.again = true,
            false => std::mem::swap(&mut self.groups, &mut self.unsure),
        }
    }

    /// Whether groups that are no longer used are being dropped.
    pub fn is_pruning(&self) -> bool {
        !self.unsure.is_empty()
    }

    /// Drops some of them.
    pub fn prune_some(&mut self) {
        if !self.is_pruning() {
            return;
        }
        process::sort_freed_blocks();
        let is_used = |(_, group): &(usize, Group)| Rc::strong_count(&group.upstream) > 1;
        self.groups.extend(take_some(&mut self.unsure).filter(is_used));
        if !self.is_pruning() {
            // Doubled, so that on average each new group pays for checking two.
            self.full = FEW.max(2 * self.groups.len());
            if std::mem::take(&mut self.again) {
                self.prune();
            }
        }
    }

    /// A group in use is no longer searched for.
    pub(super) fn settle(&mut self, upstream: &Rc<Upstream>) {
        let key = Rc::as_ptr(upstream).addr();
        if self.is_pruning()
            && let Some(group) = self.unsure.remove(&key)
        {
            self.groups.insert(key, group);
        }
    }
}
