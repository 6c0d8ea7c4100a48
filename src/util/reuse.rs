//! Resetting a value by construction, with the memory of a part: `*self = X { text: emptied(..), ..X::default() }`. A
//! field that is added later is reset without being named; one whose memory is to be kept is named there alone.

/// Empties a part in place and hands it over, with its capacity.
pub fn emptied<T: Default>(part: &mut T, clear: impl FnOnce(&mut T)) -> T {
    clear(part);
    std::mem::take(part)
}
