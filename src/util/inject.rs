//! Fault injection for tests; compiled into unit tests only.

#[cfg(test)]
thread_local! {
    static PLACE: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Panics once where a test has armed this point.
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

/// A fault will be injected somewhere.
#[cfg(test)]
pub fn is_armed() -> bool {
    PLACE.get().is_some()
}
