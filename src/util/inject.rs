//! Faults that tests ask for. Compiled out of everything but unit tests.

#[cfg(test)]
thread_local! {
    static PLACE: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Panics where a test has asked for it, once.
#[inline(always)]
pub fn panic_point(_place: &'static str) {
    #[cfg(test)]
    assert!(PLACE.get() != Some(_place) || PLACE.take().is_none(), "asked for by a test: {_place}");
}

/// The next [`panic_point`] of this name in this thread panics.
#[cfg(test)]
pub fn arm(place: &'static str) {
    PLACE.set(Some(place));
}

#[cfg(test)]
pub fn is_armed() -> bool {
    PLACE.get().is_some()
}
