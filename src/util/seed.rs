//! Random numbers for model tests: the same seed gives the same run.

/// The state of the generator.
pub struct Seed(u64);

impl Seed {
    /// Any number will do.
    pub fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    /// SplitMix64: any seed will do, zero included.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A text of `len` of these bytes.
    pub fn text(&mut self, of: &[u8], len: usize) -> Vec<u8> {
        (0..len).map(|_| of[self.below(of.len() as u64) as usize]).collect()
    }
}
