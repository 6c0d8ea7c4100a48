//! Lookups in progress, indexed by question, by due time, and by the client they are counted for.

use super::answer::Want;
use super::lookup::{Lookup, Waiter};
use crate::config::settings::resolver::ResolverSettings;
use crate::services::fair_share::{Sharer, Shares};
use crate::util::slab::{Key, Slab};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// Maximum number of a client's lookups examined for one that no other client waits for.
const MOST_EXAMINED: usize = 8;

/// The address of the settings (which a lookup holds), the name, and what is asked about it.
type Asked = (usize, Box<str>, Want);

#[derive(Default)]
pub(super) struct Pending {
    entries: Slab<Entry>,
    asked: HashMap<Asked, Key>,
    dues: BTreeSet<(u64, u64)>,
    /// By client and age.
    owned: BTreeSet<(Sharer, u64, u64)>,
    shares: Shares,
    serial: u64,
}

struct Entry {
    lookup: Lookup,
    /// The client it is counted for; None: the configuration.
    owner: Option<Sharer>,
    serial: u64,
    /// As in `dues`.
    due: u64,
}

impl Pending {
    pub(super) fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(super) fn find(&self, settings: &Rc<ResolverSettings>, name: &str, want: Want) -> Option<Key> {
        self.asked.get(&(Rc::as_ptr(settings).addr(), name.into(), want)).copied()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Lookup> {
        self.entries.get_mut(key).map(|entry| &mut entry.lookup)
    }

    pub(super) fn insert(&mut self, lookup: Lookup, owner: Option<Sharer>) -> Key {
        self.serial += 1;
        let (serial, due) = (self.serial, lookup.due());
        let asked = question(&lookup);
        let key = self.entries.insert(Entry { lookup, owner, serial, due });
        self.asked.insert(asked, key);
        self.dues.insert((due, key.to_u64()));
        self.count(owner, serial, key);
        key
    }

    fn count(&mut self, owner: Option<Sharer>, serial: u64, key: Key) {
        if let Some(client) = owner {
            self.shares.add(client);
            self.owned.insert((client, serial, key.to_u64()));
        }
    }

    fn discount(&mut self, owner: Option<Sharer>, serial: u64, key: Key) {
        if let Some(client) = owner {
            self.shares.remove(client);
            self.owned.remove(&(client, serial, key.to_u64()));
        }
    }

    /// Another caller waits for it.
    pub(super) fn join(&mut self, key: Key, waiter: Waiter) {
        if let Some(lookup) = self.get_mut(key) {
            lookup.join(waiter);
        }
        self.plan(key);
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Lookup> {
        let entry = self.entries.remove(key)?;
        self.asked.remove(&question(&entry.lookup));
        self.dues.remove(&(entry.due, key.to_u64()));
        self.discount(entry.owner, entry.serial, key);
        Some(entry.lookup)
    }

    /// Call it when the lookup may have become due at another time.
    pub(super) fn plan(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let due = entry.lookup.due();
        if due != entry.due {
            self.dues.remove(&(entry.due, key.to_u64()));
            self.dues.insert((due, key.to_u64()));
            entry.due = due;
        }
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.dues.first().map(|(due, _)| *due)
    }

    pub(super) fn due_by(&self, now: u64) -> Option<Key> {
        self.dues.first().filter(|(due, _)| *due <= now).map(|(_, key)| Key::from_u64(*key))
    }

    /// Ends the newest lookup of the client. One that other clients wait for too is counted for one of them from now
    /// on, and continues.
    pub(super) fn give_up(&mut self, client: Sharer) -> Option<Lookup> {
        for _ in 0..MOST_EXAMINED {
            let (.., newest) = *self.owned.range((client, 0, 0)..=(client, u64::MAX, u64::MAX)).next_back()?;
            let key = Key::from_u64(newest);
            let entry = self.entries.get_mut(key)?;
            let Some(heir) = entry.lookup.waiters.iter().map(|waiter| waiter.client).find(|own| *own != Some(client))
            else {
                return self.remove(key);
            };
            let (owner, serial) = (std::mem::replace(&mut entry.owner, heir), entry.serial);
            self.discount(owner, serial, key);
            self.count(heir, serial, key);
        }
        None
    }
}

fn question(lookup: &Lookup) -> Asked {
    (Rc::as_ptr(&lookup.settings).addr(), lookup.name.clone(), lookup.want)
}
