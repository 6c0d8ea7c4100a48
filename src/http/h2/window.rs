//! Flow-control windows (RFC 9113 §5.2, §6.9).
//!
//! Invariant: what is sent never exceeds a window, though a new SETTINGS_INITIAL_WINDOW_SIZE may make it negative
//! (§6.9.2); what the peer is granted never exceeds 2^31-1.

/// Both windows before any SETTINGS.
pub const DEFAULT: u32 = 65_535;
/// The largest window.
pub const MAX: u32 = 0x7fff_ffff;

/// A window into which we send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SendWindow(i64);

/// The window would exceed 2^31-1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow;

impl SendWindow {
    /// A new stream's window: the peer's SETTINGS_INITIAL_WINDOW_SIZE, in bytes.
    pub fn new(size: u32) -> SendWindow {
        SendWindow(i64::from(size))
    }

    /// Bytes that may be sent now.
    pub fn room(self) -> usize {
        self.0.max(0) as usize
    }

    /// Bytes of DATA were sent. It is negative after SETTINGS have made it smaller (RFC 9113 §6.9.2).
    pub fn spend(&mut self, len: usize) {
        self.0 -= len as i64;
    }

    /// WINDOW_UPDATE.
    ///
    /// # Errors
    /// [`Overflow`], and the window is as it was.
    pub fn open(&mut self, increment: u32) -> Result<(), Overflow> {
        self.shift(i64::from(increment))
    }

    /// A new SETTINGS_INITIAL_WINDOW_SIZE: the difference is applied, be the window negative then (§6.9.2).
    ///
    /// # Errors
    /// [`Overflow`], and the window is as it was.
    pub fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        let shifted = self.0 + by;
        if shifted > i64::from(MAX) {
            return Err(Overflow);
        }
        self.0 = shifted;
        Ok(())
    }
}

/// A window into which the client sends: what it may still send, and what was used up and is not yet granted again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiveWindow {
    /// What the client may send. Negative after our initial window shrank.
    left: i64,
    /// Taken by us, to be granted again.
    used: u32,
    /// How large the window is kept.
    size: u32,
}

impl ReceiveWindow {
    /// A new stream's window: the size that our SETTINGS announced, in bytes.
    pub fn new(size: u32) -> ReceiveWindow {
        ReceiveWindow { left: i64::from(size), used: 0, size }
    }

    /// DATA has come, padding included. False where it exceeds the window.
    #[must_use]
    pub fn receive(&mut self, len: u32) -> bool {
        self.left -= i64::from(len);
        self.left >= 0
    }

    /// So much of what came was taken, and its place is free. The increment to grant with it once half the window is
    /// used up: an update for every frame would cost more than the frames.
    pub fn consume(&mut self, len: u32) -> Option<u32> {
        self.used = self.used.saturating_add(len);
        (self.used > 0 && self.used >= self.size / 2).then(|| self.grant())
    }

    /// Keeps the window at `size` from now on, where that is larger: the increment that makes it so.
    pub fn widen(&mut self, size: u32) -> Option<u32> {
        let size = size.min(MAX);
        if size <= self.size {
            return None;
        }
        self.used = self.used.saturating_add(size - self.size);
        self.size = size;
        Some(self.grant())
    }

    /// Our SETTINGS_INITIAL_WINDOW_SIZE holds for the client from its acknowledgement on.
    pub fn shift(&mut self, from: u32, to: u32) {
        self.left += i64::from(to) - i64::from(from);
        self.size = if to >= from { self.size + (to - from) } else { self.size.saturating_sub(from - to) };
    }

    /// What the client may still send.
    pub fn left(&self) -> i64 {
        self.left
    }

    fn grant(&mut self) -> u32 {
        let room = i64::from(MAX) - self.left;
        let increment = i64::from(self.used).min(room).max(0) as u32;
        self.left += i64::from(increment);
        self.used = 0;
        increment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_may_be_negative_and_is_never_too_large() {
        let mut window = SendWindow::new(DEFAULT);
        window.spend(65_535);
        assert_eq!(window.room(), 0);
        // §6.9.2's own example: the initial window drops to 16 KiB after 60 KiB were sent.
        let mut example = SendWindow::new(65_536);
        example.spend(61_440);
        assert_eq!(example.shift(16_384 - 65_536), Ok(()));
        assert_eq!(example, SendWindow(-45_056));
        assert_eq!((example.room(), example.open(45_057), example.room()), (0, Ok(()), 1));
        let mut full = SendWindow::new(MAX);
        assert_eq!((full.open(1), full.room()), (Err(Overflow), MAX as usize));
    }

    #[test]
    fn what_was_taken_is_granted_again_by_halves() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(60) && window.receive(40) && !window.receive(1));
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(100));
        assert_eq!(window.consume(49), None);
        assert_eq!(window.consume(1), Some(50));
        assert_eq!(window.left(), 50);
        assert_eq!(window.consume(50), Some(50));
        assert_eq!((window.left(), window.widen(300), window.left()), (100, Some(200), 300));
        assert_eq!((window.widen(300), window.consume(149), window.consume(1)), (None, None, Some(150)));
        let mut smallest = ReceiveWindow::new(1);
        assert_eq!((smallest.consume(0), smallest.consume(1)), (None, Some(1)), "an increment of 0 is an error");
    }

    #[test]
    fn a_smaller_initial_window_holds_from_its_acknowledgement_on() {
        let mut window = ReceiveWindow::new(DEFAULT);
        assert!(window.receive(65_000));
        window.shift(DEFAULT, 1000);
        assert_eq!(window.left(), 1000 - 65_000);
        assert!(!window.receive(1));
        assert_eq!(window.consume(65_000), Some(65_000));
    }

    #[test]
    fn a_larger_initial_window_holds_from_its_acknowledgement_on() {
        let mut window = ReceiveWindow::new(DEFAULT);
        assert!(window.receive(60_000));
        window.shift(DEFAULT, 100_000);
        assert_eq!(window.left(), 40_000);
        // Half of the larger one.
        assert_eq!((window.consume(49_999), window.consume(1)), (None, Some(50_000)));
    }
}
