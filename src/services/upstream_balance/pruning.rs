//! Groups that are no longer used are dropped in steps: a configuration may have had fifty thousand of them, or one of
//! fifty thousand servers.

use super::{Balance, FEW, Group};
use crate::config::dismantle;
use crate::config::settings::upstream::Upstream;
use crate::sys::process;
use crate::util::hash::take_some;
use std::rc::Rc;

/// A group of at most this many servers is freed in one step.
const FEW_SERVERS: usize = 16;
/// Servers of a larger group that are freed in a step.
const SERVERS: usize = 64;

impl Balance {
    /// Begins to drop groups that are no longer used: of an old configuration, of a finished request, or with a name's
    /// old addresses. [`Balance::prune_some`] goes on with it.
    pub fn prune(&mut self) {
        match self.unsure.is_empty() {
            true => std::mem::swap(&mut self.groups, &mut self.unsure),
            false => self.again = true,
        }
    }

    /// Whether groups that are no longer used are being dropped.
    pub fn is_pruning(&self) -> bool {
        !self.unsure.is_empty() || !self.spent.is_empty()
    }

    /// Drops some of them.
    pub fn prune_some(&mut self) {
        if !self.is_pruning() {
            return;
        }
        process::sort_freed_blocks();
        let is_used = |group: &Group| Rc::strong_count(&group.upstream) > 1;
        if let Some(group) = self.spent.last_mut() {
            if !group.free_some() {
                self.spent.pop();
            }
            return;
        }
        for (key, group) in take_some(&mut self.unsure) {
            if is_used(&group) {
                self.groups.insert(key, group);
            } else if group.peers.len() > FEW_SERVERS {
                self.spent.push(group);
            }
        }
        if self.unsure.is_empty() {
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
        if let Some(group) = self.unsure.remove(&key) {
            self.groups.insert(key, group);
        }
    }
}

impl Group {
    /// Frees some of its servers. False: none are left.
    fn free_some(&mut self) -> bool {
        let has_state = !self.peers.is_empty();
        self.peers.truncate(self.peers.len().saturating_sub(SERVERS));
        dismantle::servers(&mut self.upstream) || has_state
    }
}
