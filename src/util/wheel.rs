//! Timers for connections, each of which has at most one, named by its slot number. Arming, moving and disarming cost a
//! few writes, however many timers there are.
//!
//! The wheel is 4096 slots of 16 ms; a timer hangs in the slot of its deadline, or in the last one if that is more than
//! 65 seconds away. Most timeouts are moved later with every read and write and never fire, so moving a deadline later
//! only writes it down: when the slot the timer still hangs in comes up, it is put where it then belongs. The
//! invariant: a timer hangs in a slot that comes up no later than its deadline, and a slot's bit is set when anything
//! hangs in it.
//!
//! Deadlines are rounded up to the next 16 ms: a timer is never early, and late by less than a slot.

/// Milliseconds per slot.
pub const TICK: u64 = 16;

const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;

/// Deadlines further away count as this far, in ticks (198 days). Keeps differences of 32-bit ticks unambiguous.
const FURTHEST: u64 = 1 << 30;

/// `next` and `heads`: the list ends.
const END: u32 = u32::MAX;
/// `prev`: first in its slot's list.
const FIRST: u32 = u32::MAX;
/// `prev`: not armed.
const OFF: u32 = u32::MAX - 1;

/// Ticks are the lower 32 bits of the wheel's 64: they only mean something near its cursor.
#[derive(Clone, Copy, Debug)]
struct Link {
    deadline: u32,
    /// The tick whose slot the timer hangs in: at most `deadline`.
    at: u32,
    next: u32,
    prev: u32,
}

const _: () = assert!(size_of::<Link>() == 16);

impl Link {
    const NONE: Link = Link { deadline: 0, at: 0, next: END, prev: OFF };
}

/// All timers of the process's connections.
#[derive(Debug)]
pub struct Wheel {
    /// By timer id.
    links: Vec<Link>,
    heads: Box<[u32; SLOTS]>,
    /// A bit per slot.
    occupied: [u64; WORDS],
    /// A bit per word of `occupied`.
    words: u64,
    /// The first tick that has not been expired.
    cursor: u64,
    len: usize,
}

impl Wheel {
    /// `now` in milliseconds of the clock all deadlines are on.
    pub fn new(now: u64) -> Wheel {
        Wheel {
            links: Vec::new(),
            heads: Box::new([END; SLOTS]),
            occupied: [0; WORDS],
            words: 0,
            cursor: now / TICK,
            len: 0,
        }
    }

    /// Sets the deadline of timer `id`, armed or not. One that is past fires at the next slot. Ids are small numbers:
    /// the wheel keeps 16 bytes for each up to the largest.
    pub fn arm(&mut self, id: u32, deadline: u64) {
        let index = id as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, Link::NONE);
        }
        let tick = deadline.div_ceil(TICK).clamp(self.cursor, self.cursor + FURTHEST);
        let Some(link) = self.links.get_mut(index) else { return };
        link.deadline = tick as u32;
        if link.prev == OFF {
            self.len += 1;
        } else if is_before(tick as u32, link.at) {
            self.unhang(id);
        } else {
            return;
        }
        self.hang(id);
    }

    /// Forgets timer `id`; fine if it is not armed.
    pub fn disarm(&mut self, id: u32) {
        if self.is_armed(id) {
            self.unhang(id);
            self.len -= 1;
        }
    }

    /// The timer is set.
    pub fn is_armed(&self, id: u32) -> bool {
        self.links.get(id as usize).is_some_and(|link| link.prev != OFF)
    }

    /// When timer `id` fires, in milliseconds: its deadline, rounded up to a slot.
    pub fn deadline(&self, id: u32) -> Option<u64> {
        let link = self.links.get(id as usize).filter(|link| link.prev != OFF)?;
        Some(self.full(link.deadline) * TICK)
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the ids whose deadline has come to `due`; they are no longer armed. In no order that matters.
    pub fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        let last = now / TICK;
        if last < self.cursor {
            return;
        }
        // After a long stop every slot comes up once: all ticks of a slot are in the same list.
        let mut tick = self.cursor.max(last.saturating_sub(SLOTS as u64 - 1));
        // What is put back belongs behind `last`.
        self.cursor = last + 1;
        while let Some(distance) = self.distance(tick) {
            tick += distance;
            if tick > last {
                break;
            }
            self.expire_slot(slot_of(tick as u32), last as u32, due);
            tick += 1;
        }
    }

    fn expire_slot(&mut self, slot: usize, last: u32, due: &mut Vec<u32>) {
        // The list is taken off whole: a timer put back into this slot must not come up again now.
        let Some(head) = self.heads.get_mut(slot) else { return };
        let mut id = std::mem::replace(head, END);
        self.mark_empty(slot);
        while let Some(link) = self.links.get_mut(id as usize) {
            let next = link.next;
            if is_before(last, link.deadline) {
                self.hang(id);
            } else {
                *link = Link::NONE;
                self.len -= 1;
                due.push(id);
            }
            id = next;
        }
    }

    /// Milliseconds until [`Wheel::expire`] may have something to do; `None` while nothing is armed. A timer moved
    /// later may make it wake for nothing.
    pub fn next(&self, now: u64) -> Option<u64> {
        let distance = self.distance(self.cursor)?;
        Some(((self.cursor + distance) * TICK).saturating_sub(now))
    }

    /// Puts a timer that hangs nowhere into the slot of its deadline, or the furthest there is.
    fn hang(&mut self, id: u32) {
        let cursor = self.cursor as u32;
        let Some(link) = self.links.get_mut(id as usize) else { return };
        let ahead = link.deadline.wrapping_sub(cursor).min(SLOTS as u32 - 1);
        link.at = cursor.wrapping_add(ahead);
        let slot = slot_of(link.at);
        let Some(head) = self.heads.get_mut(slot) else { return };
        link.prev = FIRST;
        link.next = *head;
        let second = std::mem::replace(head, id);
        if let Some(second) = self.links.get_mut(second as usize) {
            second.prev = id;
        }
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
            self.words |= 1 << (slot / 64);
        }
    }

    /// Takes a timer out of its slot's list.
    fn unhang(&mut self, id: u32) {
        let Some(link) = self.links.get_mut(id as usize) else { return };
        let Link { at, next, prev, .. } = *link;
        link.prev = OFF;
        link.next = END;
        if let Some(next) = self.links.get_mut(next as usize) {
            next.prev = prev;
        }
        if prev != FIRST {
            if let Some(prev) = self.links.get_mut(prev as usize) {
                prev.next = next;
            }
            return;
        }
        let slot = slot_of(at);
        if let Some(head) = self.heads.get_mut(slot) {
            *head = next;
        }
        if next == END {
            self.mark_empty(slot);
        }
    }

    fn mark_empty(&mut self, slot: usize) {
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
            if *word == 0 {
                self.words &= !(1 << (slot / 64));
            }
        }
    }

    /// Ticks from `tick` to the first whose slot is occupied, going round once.
    fn distance(&self, tick: u64) -> Option<u64> {
        let slot = slot_of(tick as u32);
        let (word, bit) = (slot / 64, slot % 64);
        let here = self.occupied.get(word)? >> bit;
        if here != 0 {
            return Some(u64::from(here.trailing_zeros()));
        }
        // Rotated so that the word after ours comes first and ours, with the slots before `tick`, last.
        let behind = self.words.rotate_right((word as u32 + 1) % 64);
        if behind == 0 {
            return None;
        }
        let found = (word + 1 + behind.trailing_zeros() as usize) % WORDS;
        let target = found * 64 + self.occupied.get(found)?.trailing_zeros() as usize;
        Some(((target + SLOTS - slot) % SLOTS) as u64)
    }

    /// The 64-bit tick that is nearest to the cursor among those with these lower bits.
    fn full(&self, tick: u32) -> u64 {
        let ahead = tick.wrapping_sub(self.cursor as u32) as i32;
        self.cursor.saturating_add_signed(i64::from(ahead))
    }
}

fn slot_of(tick: u32) -> usize {
    tick as usize % SLOTS
}

/// Whether tick `a` comes before `b`, both less than 2^31 ticks apart.
fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests;
