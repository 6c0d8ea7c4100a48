//! Arguments and environment of a program, as execve(2) takes them.
//!
//! Invariant: the buffer contains complete strings, each terminated by its only NUL.

use std::ffi::c_char;
use std::ptr;

/// NUL-terminated strings in one buffer: a program gets some thirty, and allocating each would cost more than filling
/// them.
#[derive(Default)]
pub struct Strings {
    bytes: Vec<u8>,
    /// The start of each string.
    starts: Vec<usize>,
}

impl Strings {
    /// Reserves memory for this many strings of 64 bytes.
    pub fn with_capacity(strings: usize) -> Strings {
        Strings { bytes: Vec::with_capacity(strings * 64), starts: Vec::with_capacity(strings) }
    }

    /// Appends the concatenation of `parts`. False if it contains a NUL; then nothing is appended.
    pub fn push(&mut self, parts: &[&[u8]]) -> bool {
        if parts.iter().any(|part| memchr::memchr(0, part).is_some()) {
            return false;
        }
        self.starts.push(self.bytes.len());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(0);
        true
    }

    /// A null-terminated array for C; the strings stay here.
    pub(super) fn pointers(&self) -> Vec<*const c_char> {
        let string = |start: &usize| self.bytes[*start..].as_ptr().cast();
        self.starts.iter().map(string).chain([ptr::null()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_with_a_nul_is_left_out() {
        let mut strings = Strings::default();
        let pushed = [&[&b"A="[..], b"1"][..], &[b"B=", b"a\0b"], &[], &[b"C"]].map(|parts| strings.push(parts));
        assert_eq!(pushed, [true, false, true, true]);
        assert_eq!((&strings.bytes[..], &strings.starts[..]), (&b"A=1\0\0C\0"[..], &[0, 4, 5][..]));
        let pointers = strings.pointers();
        assert_eq!(pointers.len(), 4);
        assert!(pointers[3].is_null());
    }
}
