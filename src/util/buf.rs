//! Reused byte buffers. The one returned last is taken first: its memory is most likely in the processor's caches.

/// A buffer that grew beyond this many times the standard capacity is not kept: one large response must not make the
/// pool large for good.
const LARGEST: usize = 4;

/// Empty buffers of one capacity, a bounded number of them.
#[derive(Debug)]
pub struct BufPool {
    idle: Vec<Vec<u8>>,
    capacity: usize,
    keep: usize,
}

impl BufPool {
    /// Buffers of `capacity` bytes, of which at most `keep` lie idle.
    pub fn new(capacity: usize, keep: usize) -> BufPool {
        BufPool { idle: Vec::new(), capacity, keep }
    }

    /// An empty buffer with at least the standard capacity.
    pub fn take(&mut self) -> Vec<u8> {
        self.idle.pop().unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Takes a buffer back, whatever it holds. One that is too large, too small (someone took its memory out) or one
    /// too many is freed.
    pub fn give(&mut self, mut buf: Vec<u8>) {
        let usable = buf.capacity() >= self.capacity && buf.capacity() <= self.capacity.saturating_mul(LARGEST);
        if usable && self.idle.len() < self.keep {
            buf.clear();
            self.idle.push(buf);
        }
    }

    /// Bytes that [`BufPool::take`] promises.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many buffers lie idle.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Frees all but `keep` idle buffers: for quiet moments.
    pub fn shrink(&mut self, keep: usize) {
        self.idle.truncate(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_given_last_is_taken_first_and_empty() {
        let mut pool = BufPool::new(64, 8);
        let mut first = pool.take();
        let mut second = pool.take();
        first.extend_from_slice(b"secret");
        second.extend_from_slice(b"other");
        let place = second.as_ptr();
        pool.give(first);
        pool.give(second);
        let again = pool.take();
        assert_eq!(again.as_ptr(), place);
        assert!(again.is_empty());
        assert!(again.capacity() >= pool.capacity());
    }

    #[test]
    fn only_buffers_of_a_usual_size_are_kept() {
        let table = [
            ("one of ours", 64, 1),
            ("grown to the limit", 256, 1),
            ("grown beyond the limit", 257, 0),
            ("its memory was taken out", 0, 0),
            ("smaller than promised", 63, 0),
        ];
        for (name, capacity, kept) in table {
            let mut pool = BufPool::new(64, 8);
            pool.give(Vec::with_capacity(capacity));
            assert_eq!(pool.idle(), kept, "{name}");
        }
    }

    #[test]
    fn no_more_than_keep_lie_idle() {
        let mut pool = BufPool::new(16, 2);
        for _ in 0..5 {
            pool.give(Vec::with_capacity(16));
        }
        assert_eq!(pool.idle(), 2);
        pool.shrink(1);
        assert_eq!(pool.idle(), 1);
        let mut none = BufPool::new(16, 0);
        none.give(Vec::with_capacity(16));
        assert_eq!(none.idle(), 0);
    }
}
