//! Short byte strings: words of a configuration, of which ten thousand servers have two hundred thousand, and values of
//! variables.
//!
//! Invariant: two texts are equal where their bytes are.

/// Up to 22 bytes live in place, without an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Repr);

const INLINE: usize = 22;

#[derive(Clone, Debug)]
enum Repr {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl PartialEq for Repr {
    fn eq(&self, other: &Repr) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Repr {}

impl Repr {
    fn bytes(&self) -> &[u8] {
        match self {
            Repr::Inline(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Heap(bytes) => bytes,
        }
    }
}

impl Text {
    /// Short ones need no memory of their own.
    pub fn new(bytes: &[u8]) -> Text {
        let mut inline = [0; INLINE];
        match inline.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Text(Repr::Inline(bytes.len() as u8, inline))
            }
            None => Text(Repr::Heap(bytes.into())),
        }
    }

    /// The bytes, which need not be UTF-8.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new(b"")
    }
}
