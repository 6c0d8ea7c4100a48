//! A file system that may lose everything that was not synced: pages of files, each by itself, and names, each change
//! by itself, but never one without those before it that concern the same names or made the directory. A rename within
//! it is one change: its new name is not lost while the old one is gone.

use super::super::cuts::Seed;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

pub type Inode = usize;
pub const ROOT: Inode = 0;
const PAGE: usize = 4096;

#[derive(Default, Clone)]
pub struct Disk {
    inodes: Vec<Node>,
    /// Changes of names that may be lost, the oldest first.
    pending: Vec<Change>,
    count: u64,
}

#[derive(Default, Clone)]
struct Node {
    /// As the kernel has it, and as the disk has.
    names: HashMap<Vec<u8>, Inode>,
    disk_names: HashMap<Vec<u8>, Inode>,
    content: Rc<Vec<u8>>,
    disk_content: Rc<Vec<u8>>,
}

#[derive(Clone)]
struct Change {
    number: u64,
    /// What each of these names is from now on.
    sets: Vec<(Inode, Vec<u8>, Option<Inode>)>,
    /// All directories that it concerned, whichever are on the disk by now; of a rename those above them too.
    dirs: Vec<Inode>,
}

/// An fsync under way: what it covers.
pub struct Snapshot {
    inode: Inode,
    content: Rc<Vec<u8>>,
    until: u64,
}

impl Snapshot {
    pub fn is_of_directory(&self, disk: &Disk) -> bool {
        disk.content(self.inode) == super::DIRECTORY
    }
}

/// What is there after a power cut.
pub struct After<'d> {
    disk: &'d Disk,
    names: HashMap<(Inode, Vec<u8>), Option<Inode>>,
    contents: HashMap<Inode, Rc<Vec<u8>>>,
}

impl Disk {
    pub fn new() -> Disk {
        Disk { inodes: vec![Node::default()], ..Disk::default() }
    }

    pub fn make(&mut self) -> Inode {
        self.inodes.push(Node::default());
        self.inodes.len() - 1
    }

    /// Known by what it holds: on the disk it is a directory from the beginning, once it has its name.
    pub fn make_directory(&mut self) -> Inode {
        let inode = self.make();
        let content = Rc::new(super::DIRECTORY.to_vec());
        self.inodes[inode].content = content.clone();
        self.inodes[inode].disk_content = content;
        inode
    }

    pub fn find(&self, from: Inode, path: &[u8]) -> Option<Inode> {
        path.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".").try_fold(from, |at, name| {
            if name == b".." {
                return (0..self.inodes.len())
                    .find(|above| self.inodes[*above].names.values().any(|inode| *inode == at));
            }
            self.inodes[at].names.get(name).copied()
        })
    }

    /// The directory of a path, and the name in it.
    pub fn parent(&self, from: Inode, path: &[u8]) -> Option<(Inode, Vec<u8>)> {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let slash = path.iter().rposition(|b| *b == b'/');
        let (way, name) = slash.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        Some((self.find(from, way)?, name.to_vec()))
    }

    /// What was there before, and is on the disk.
    pub fn put(&mut self, dir: Inode, name: &[u8], content: &[u8]) -> Inode {
        let inode = self.make();
        let content = Rc::new(content.to_vec());
        self.inodes[inode].content = content.clone();
        self.inodes[inode].disk_content = content;
        self.inodes[dir].names.insert(name.to_vec(), inode);
        self.inodes[dir].disk_names.insert(name.to_vec(), inode);
        inode
    }

    pub fn change(&mut self, sets: Vec<(Inode, Vec<u8>, Option<Inode>)>) {
        for (dir, name, inode) in &sets {
            match inode {
                Some(inode) => _ = self.inodes[*dir].names.insert(name.clone(), *inode),
                None => _ = self.inodes[*dir].names.remove(name),
            }
        }
        self.count += 1;
        let mut dirs: Vec<Inode> = sets.iter().map(|(dir, ..)| *dir).collect();
        let mut at = 0;
        while let Some(dir) = dirs.get(at).filter(|_| sets.len() > 1) {
            dirs.extend(self.find(*dir, b".."));
            at += 1;
        }
        self.pending.push(Change { number: self.count, sets, dirs });
    }

    pub fn name(&self, dir: Inode, name: &[u8]) -> Option<Inode> {
        self.inodes[dir].names.get(name).copied()
    }

    pub fn content(&self, inode: Inode) -> &[u8] {
        &self.inodes[inode].content
    }

    pub fn write(&mut self, inode: Inode, at: usize, bytes: &[u8]) {
        let content = Rc::make_mut(&mut self.inodes[inode].content);
        if content.len() < at + bytes.len() {
            content.resize(at + bytes.len(), 0);
        }
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn truncate(&mut self, inode: Inode, len: usize) {
        Rc::make_mut(&mut self.inodes[inode].content).resize(len, 0);
    }

    pub fn begin_sync(&self, inode: Inode) -> Snapshot {
        Snapshot { inode, content: self.inodes[inode].content.clone(), until: self.count }
    }

    pub fn end_sync(&mut self, done: Snapshot) {
        self.inodes[done.inode].disk_content = done.content;
        // A name that goes from here does not go alone: the new one is on the disk too, and the way to it.
        let (needs, mut whole) = (self.needs(), BTreeSet::new());
        for (at, change) in self.pending.iter().enumerate().filter(|(_, change)| change.number <= done.until) {
            let goes = change.sets.iter().any(|(dir, _, inode)| *dir == done.inode && inode.is_none());
            if goes && change.dirs.len() > 1 {
                whole.insert(at);
                whole.extend(&needs[at]);
            }
        }
        let mut changes = std::mem::take(&mut self.pending);
        for (at, change) in changes.iter_mut().enumerate() {
            let (sets, mut left) = (std::mem::take(&mut change.sets), Vec::new());
            for (dir, name, inode) in sets {
                if !whole.contains(&at) && (dir != done.inode || change.number > done.until) {
                    left.push((dir, name, inode));
                    continue;
                }
                match inode {
                    Some(inode) => _ = self.inodes[dir].disk_names.insert(name, inode),
                    None => _ = self.inodes[dir].disk_names.remove(&name),
                }
            }
            change.sets = left;
        }
        changes.retain(|change| !change.sets.is_empty());
        self.pending = changes;
    }

    fn dirty(&self) -> Vec<Inode> {
        let is_dirty = |inode: &Inode| !Rc::ptr_eq(&self.inodes[*inode].content, &self.inodes[*inode].disk_content);
        (0..self.inodes.len()).filter(is_dirty).collect()
    }

    /// What a power cut now may leave: nothing of what is pending, all of it, each thing alone, all but each, and some
    /// at random.
    pub fn cuts(&self, seed: &mut Seed, random: usize, mut each: impl FnMut(&After<'_>)) {
        let (changes, dirty) = (self.pending.len(), self.dirty());
        let (needs, things) = (self.needs(), changes + dirty.len());
        let mut cut = |keeps: &mut dyn FnMut(usize) -> bool, seed: &mut Seed| {
            let kept: BTreeSet<usize> = (0..changes).filter(|at| keeps(*at)).collect();
            let contents = dirty.iter().enumerate().map(|(at, inode)| {
                let (old, new) = (&self.inodes[*inode].disk_content, &self.inodes[*inode].content);
                let content = match (keeps(changes + at), seed.below(3)) {
                    (true, 0 | 1) => new.clone(),
                    (false, 0) => old.clone(),
                    _ => Rc::new(torn(old, new, seed)),
                };
                (*inode, content)
            });
            let contents = contents.collect();
            each(&After { disk: self, names: self.names_with(kept, &needs), contents });
        };
        cut(&mut |_| false, seed);
        if things == 0 {
            return;
        }
        cut(&mut |_| true, seed);
        for one in 0..things {
            cut(&mut |at| at == one, seed);
            cut(&mut |at| at != one, seed);
        }
        for _ in 0..random {
            let mask: Vec<bool> = (0..things).map(|_| seed.below(2) == 0).collect();
            cut(&mut |at| mask[at], seed);
        }
    }

    /// The names that differ from the disk's where these changes are kept, and those that they build on.
    fn names_with(
        &self,
        mut kept: BTreeSet<usize>,
        needs: &[BTreeSet<usize>],
    ) -> HashMap<(Inode, Vec<u8>), Option<Inode>> {
        for at in kept.clone() {
            kept.extend(&needs[at]);
        }
        let mut names = HashMap::new();
        for at in kept {
            for (dir, name, inode) in &self.pending[at].sets {
                names.insert((*dir, name.clone()), *inode);
            }
        }
        names
    }

    /// For each pending change, all earlier ones that it builds on, found once for all cuts: with many requests at once
    /// a hundred are pending, and each is left out of some two hundred cuts.
    fn needs(&self) -> Vec<BTreeSet<usize>> {
        let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(self.pending.len());
        for (at, change) in self.pending.iter().enumerate() {
            let mut needed = BTreeSet::new();
            for before in (0..at).rev() {
                if !needed.contains(&before) && change.builds_on(&self.pending[before]) {
                    needed.insert(before);
                    needed.extend(&needs[before]);
                }
            }
            needs.push(needed);
        }
        needs
    }
}

impl Change {
    /// It sets a name that the earlier one set, too, or is in a directory that the earlier one names: nothing is in a
    /// directory that is not there.
    fn builds_on(&self, earlier: &Change) -> bool {
        earlier.sets.iter().any(|(dir, name, inode)| {
            self.sets.iter().any(|(other, its, _)| other == dir && its == name)
                || inode.is_some_and(|made| self.dirs.contains(&made))
        })
    }
}

/// Some pages of the old content, some of the new, some that were never written.
fn torn(old: &[u8], new: &[u8], seed: &mut Seed) -> Vec<u8> {
    let len = match seed.below(3) {
        0 => old.len(),
        1 => new.len(),
        _ => old.len().min(new.len()) + seed.below(old.len().abs_diff(new.len()) + 1),
    };
    let mut content = vec![0; len];
    for at in (0..len).step_by(PAGE) {
        let from: &[u8] = match seed.below(3) {
            0 => new,
            // What was there stays there: only what is new may be missing.
            _ => old,
        };
        let end = len.min(at + PAGE).min(from.len());
        if at < end {
            content[at..end].copy_from_slice(&from[at..end]);
        }
    }
    content
}

impl After<'_> {
    pub fn file(&self, path: &str) -> Option<Rc<Vec<u8>>> {
        let mut at = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = match self.names.get(&(at, name.as_bytes().to_vec())) {
                Some(inode) => (*inode)?,
                None => *self.disk.inodes[at].disk_names.get(name.as_bytes())?,
            };
        }
        Some(self.contents.get(&at).unwrap_or(&self.disk.inodes[at].disk_content).clone())
    }

    pub fn describe(&self) -> BTreeMap<String, Option<Inode>> {
        let names = self.names.iter();
        names.map(|((dir, name), inode)| (format!("{dir}/{}", String::from_utf8_lossy(name)), *inode)).collect()
    }
}
