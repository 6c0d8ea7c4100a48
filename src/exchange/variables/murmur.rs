//! split_clients: MurmurHash2 of a value decides, so that nginx and webserv put a client into the same group.

use crate::config::settings::map::SplitTable;

/// The value that a `split_clients` has for its source's text. None: no part of it.
pub fn find<'s>(split: &'s SplitTable, text: &[u8]) -> Option<&'s [u8]> {
    let hash = hash(text);
    split.parts.iter().find(|(below, _)| hash < *below || *below == 0).map(|(_, value)| &value[..])
}

/// Austin Appleby's MurmurHash2, 32 bits, seed 0.
fn hash(text: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = text.len() as u32;
    let mut words = text.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four"));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    for (at, byte) in rest.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ h >> 15
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_murmur_2() {
        // Of the reference implementation.
        for (text, expected) in [("", 0), ("a", 0x9268_5f5e), ("abc", 0x1357_7c9b), ("abcd", 0x2687_3021)] {
            assert_eq!(super::hash(text.as_bytes()), expected, "{text}");
        }
    }
}
