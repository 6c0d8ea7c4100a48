//! When the loop must wake without an event. A timeout of epoll_wait is a kernel timer that is armed and cancelled at
//! each wait, which on a virtual machine exits the guest each time: 3 µs of a single request. Deadlines are distant and
//! move with every request, so one timerfd is set to the first of them and left there. It then fires early once, and is
//! set again.
//!
//! Invariant: a wait that is endless here still ends by the requested deadline, plus what the turn took before: as with
//! a timeout, since `now` is when the turn began.

use crate::conn::token::{Role, token_of};
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll, Timeout};
use crate::sys::timer::Timer;

/// Deadlines nearer than this (milliseconds) become the timeout of epoll_wait: they change in every turn.
const NEAR: u64 = 1_000;

/// A wait that ends this many milliseconds late: the process was stopped, or not scheduled.
const OVERSLEPT: u64 = 50;

/// Whether the wait for `deadline` that began at `began` ended late. A process that was stopped between the wait and
/// reading the clock has not seen what arrived meanwhile, and would time out clients that were in time. So the next
/// turn fetches events first, without waiting.
pub fn has_overslept(deadline: Option<u64>, began: u64, now: u64) -> bool {
    deadline.is_some_and(|deadline| deadline > began && now > deadline + OVERSLEPT)
}

/// The one kernel timer of the loop.
pub struct WakeTimer {
    timer: Timer,
    /// When it will fire (monotonic milliseconds).
    at: Option<u64>,
}

impl WakeTimer {
    /// Not armed; registered with the loop's epoll.
    pub fn new(epoll: &Epoll) -> Result<WakeTimer, Errno> {
        let timer = Timer::new()?;
        epoll.add(timer.fd(), epoll::IN | epoll::ET, token_of(Role::Timer))?;
        Ok(WakeTimer { timer, at: None })
    }

    /// How to wait from `now` in order to wake at `deadline`.
    pub fn wait(&mut self, deadline: u64, now: u64) -> Timeout {
        let left = deadline.saturating_sub(now);
        if left == 0 {
            return Timeout::Now;
        }
        if self.at.is_some_and(|at| at <= deadline) {
            return Timeout::Never;
        }
        // A longer wait ends early, and is repeated.
        let millis = u32::try_from(left).unwrap_or(u32::MAX).min(1 << 30);
        if left < NEAR || self.timer.set(millis).is_err() {
            return Timeout::Millis(millis);
        }
        self.at = Some(now + u64::from(millis));
        Timeout::Never
    }

    /// Call it when the timer has fired.
    pub fn fired(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_waits_a_turn_where_the_wait_for_it_ended_late() {
        let table = [
            ("nothing was waited for", None, 9_000, false),
            ("in time", Some(3_000), 3_000, false),
            ("woken before", Some(3_000), 1_500, false),
            ("as late as clocks are", Some(3_000), 3_050, false),
            ("stopped meanwhile", Some(3_000), 3_051, true),
            ("due before the wait, which did not wait", Some(1_000), 9_000, false),
        ];
        for (name, deadline, now, expected) in table {
            assert_eq!(has_overslept(deadline, 1_000, now), expected, "{name}");
        }
    }

    #[test]
    fn the_timer_is_set_for_what_is_far_and_comes_first() {
        let epoll = Epoll::new().expect("epoll_create1");
        let mut wake_timer = WakeTimer::new(&epoll).expect("timerfd_create");
        let table = [
            ("nothing is left", 5, 5, Timeout::Now, None),
            ("soon: a timeout", 900, 5, Timeout::Millis(895), None),
            ("far: set", 60_000, 5, Timeout::Never, Some(60_000)),
            ("later still: left alone", 90_000, 2_000, Timeout::Never, Some(60_000)),
            ("soon, while it is set", 2_500, 2_000, Timeout::Millis(500), Some(60_000)),
            ("earlier: set again", 30_000, 3_000, Timeout::Never, Some(30_000)),
            ("the time has come", 30_000, 30_000, Timeout::Now, Some(30_000)),
            ("not beyond what the kernel takes", u64::MAX, 0, Timeout::Never, Some(30_000)),
        ];
        for (name, deadline, now, expected, at) in table {
            assert_eq!(wake_timer.wait(deadline, now), expected, "{name}");
            assert_eq!(wake_timer.at, at, "{name}");
        }
        wake_timer.fired();
        assert_eq!(wake_timer.wait(u64::MAX, 0), Timeout::Never);
        assert_eq!(wake_timer.at, Some(1 << 30));
    }
}
