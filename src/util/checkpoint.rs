//! Long computations on the one thread (reading a configuration) call [`pass`] now and then, so that their caller can
//! do other work meanwhile: a server that reloads goes on serving its clients. Without a caller that asked for it,
//! the call does nothing.
//!
//! What bounds it: [`pass`] after at most a few hundred microseconds of work, [`pass_costly`] around a step that may
//! take longer by itself. The first [`FREE`] light steps are one piece, so that a small configuration is read at once.

use crate::sys::{clock, process};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

/// Nanoseconds of computing between two interludes.
const SLICE: u64 = 2_000_000;
/// Light steps for one look at the clock.
const STEPS_PER_READING: u32 = 16;
/// Light steps before the first interlude.
const FREE: u32 = 512;

/// What is done meanwhile.
pub trait Interlude {
    /// `awaited`: comes back once it is readable; else soon.
    fn run(&mut self, awaited: Option<BorrowedFd<'_>>);
}

struct Watch {
    interlude: Box<dyn Interlude>,
    /// When computing went on, nanoseconds.
    since: u64,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
    /// Light steps since [`watch`]; [`u32::MAX`]: nothing is done meanwhile.
    static STEPS: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// Interludes are run until this is dropped.
pub struct Watched(PhantomData<*const ()>);

/// From now on what this thread computes has interludes.
pub fn watch(interlude: Box<dyn Interlude>) -> Watched {
    WATCH.set(Some(Watch { interlude, since: clock::monotonic_ns() }));
    STEPS.set(0);
    Watched(PhantomData)
}

impl Drop for Watched {
    fn drop(&mut self) {
        STEPS.set(u32::MAX);
        WATCH.take();
    }
}

/// After a light step.
pub fn pass() {
    let steps = STEPS.get();
    if steps == u32::MAX {
        return;
    }
    STEPS.set(if steps == u32::MAX - 1 { FREE } else { steps + 1 });
    if steps >= FREE && steps.is_multiple_of(STEPS_PER_READING) {
        process::sort_freed_blocks();
        pass_costly();
    }
}

/// Light steps since [`watch`].
#[cfg(test)]
pub fn steps() -> u32 {
    STEPS.get()
}

/// Before or after a step that may take a millisecond or more by itself.
pub fn pass_costly() {
    let is_due = |watch: &Watch| clock::monotonic_ns().saturating_sub(watch.since) >= SLICE;
    if STEPS.get() != u32::MAX && WATCH.with_borrow(|watch| watch.as_ref().is_some_and(is_due)) {
        interlude(None);
    }
}

/// Waits until `fd` is readable. False: nothing is done meanwhile here, so the caller waits itself.
pub fn wait(fd: BorrowedFd<'_>) -> bool {
    interlude(Some(fd))
}

/// Interludes have none themselves: their watch is taken away meanwhile.
fn interlude(awaited: Option<BorrowedFd<'_>>) -> bool {
    let Some(mut watch) = WATCH.take() else { return false };
    let steps = STEPS.replace(u32::MAX);
    watch.interlude.run(awaited);
    watch.since = clock::monotonic_ns();
    WATCH.set(Some(watch));
    STEPS.set(steps);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    struct Count(Rc<Cell<u32>>);

    impl Interlude for Count {
        fn run(&mut self, _: Option<BorrowedFd<'_>>) {
            self.0.set(self.0.get() + 1);
            assert!(!wait_now(), "no interlude in an interlude");
        }
    }

    fn wait_now() -> bool {
        wait(std::os::fd::AsFd::as_fd(&std::io::stdin()))
    }

    #[test]
    fn interludes_are_run_while_they_are_wanted() {
        let count = Rc::new(Cell::new(0));
        assert!(!wait_now());
        let watched = watch(Box::new(Count(count.clone())));
        (0..FREE).for_each(|_| pass());
        assert_eq!(count.get(), 0, "what is short is one piece");
        assert!(wait_now());
        assert_eq!(count.get(), 1);
        // A busy machine may take the processor away for longer than a slice.
        let end = clock::monotonic_ns() + 1000 * SLICE;
        while clock::monotonic_ns() < end && count.get() < 2 {
            pass();
        }
        assert!(count.get() >= 2);
        drop(watched);
        assert!(!wait_now());
    }
}
