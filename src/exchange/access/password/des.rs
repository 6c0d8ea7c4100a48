//! The traditional crypt(3): DES 25 times over a block of zeros, disturbed by a salt of 12 bits. Two characters of
//! salt, eleven of hash; of a password eight characters count. Weak, and still in files: it is read, but should not
//! be written any more.

use super::crypt64;

/// The hash part for a salt of two characters; None where they are none.
pub fn hash(password: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
    let &[first, second] = salt else { return None };
    let salt = u32::from(crypt64::digit(first)?) | u32::from(crypt64::digit(second)?) << 6;
    // Bit k of the salt exchanges bits k and k + 24 of each expansion, counted from the left.
    let swap = (0..24).filter(|k| salt >> k & 1 == 1).fold(0, |mask, k| mask | 1 << (23 - k));
    let key = (0..8).fold(0, |key, at| key << 8 | u64::from(password.get(at).copied().unwrap_or(0) << 1));
    let keys = schedule(key);
    // The initial permutation of zeros is zeros, and the inner ones cancel each other.
    let (mut left, mut right) = (0, 0);
    for _ in 0..25 {
        for key in keys {
            (left, right) = (right, left ^ round(right, key, swap));
        }
        (left, right) = (right, left);
    }
    let block = permute(u64::from(left) << 32 | u64::from(right), 64, &FINAL);
    Some((0..11).map(|at| crypt64::DIGITS[(u128::from(block) << 2 >> (60 - 6 * at) & 63) as usize]).collect())
}

fn schedule(key: u64) -> [u64; 16] {
    const HALF: u64 = (1 << 28) - 1;
    let chosen = permute(key, 64, &CHOICE1);
    let (mut c, mut d) = (chosen >> 28, chosen & HALF);
    std::array::from_fn(|at| {
        let by = if matches!(at, 0 | 1 | 8 | 15) { 1 } else { 2 };
        c = (c << by | c >> (28 - by)) & HALF;
        d = (d << by | d >> (28 - by)) & HALF;
        permute(c << 28 | d, 56, &CHOICE2)
    })
}

fn round(right: u32, key: u64, swap: u64) -> u32 {
    // Each group of four bits with its two neighbours.
    let mut wide = (0..8).fold(0, |wide, at| wide << 6 | u64::from(right.rotate_left(4 * at + 5) & 63));
    let exchanged = (wide >> 24 ^ wide) & swap;
    wide ^= exchanged << 24 | exchanged;
    wide ^= key;
    let mut out = 0;
    for (at, rows) in BOXES.iter().enumerate() {
        let six = wide >> (42 - 6 * at) & 63;
        let row = rows[(six >> 4 & 2 | six & 1) as usize];
        out = out << 4 | row >> (60 - 4 * (six >> 1 & 15)) & 15;
    }
    permute(out, 32, &MIX) as u32
}

/// The bits of `value` that the table names, counted from 1 at the left of its `width` bits.
fn permute(value: u64, width: u8, table: &[u8]) -> u64 {
    table.iter().fold(0, |out, at| out << 1 | value >> (width - at) & 1)
}

// The tables of FIPS 46-3.

const FINAL: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
    61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
    49, 17, 57, 25,
];
const MIX: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4,
    25,
];
const CHOICE1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
    47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
const CHOICE2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
    40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
/// Four rows of sixteen values for each box, a value a hexadecimal digit.
const BOXES: [[u64; 4]; 8] = [
    [0xe4d1_2fb8_3a6c_5907, 0x0f74_e2d1_a6cb_9538, 0x41e8_d62b_fc97_3a50, 0xfc82_4917_5b3e_a06d],
    [0xf18e_6b34_972d_c05a, 0x3d47_f28e_c01a_69b5, 0x0e7b_a4d1_58c6_932f, 0xd8a1_3f42_b67c_05e9],
    [0xa09e_63f5_1dc7_b428, 0xd709_346a_285e_cbf1, 0xd649_8f30_b12c_5ae7, 0x1ad0_6987_4fe3_b52c],
    [0x7de3_069a_1285_bc4f, 0xd8b5_6f03_472c_1ae9, 0xa690_cb7d_f13e_5284, 0x3f06_a1d8_945b_c72e],
    [0x2c41_7ab6_853f_d0e9, 0xeb2c_47d1_50fa_3986, 0x421b_ad78_f9c5_630e, 0xb8c7_1e2d_6f09_a453],
    [0xc1af_9268_0d34_e75b, 0xaf42_7c95_61de_0b38, 0x9ef5_28c3_704a_1db6, 0x432c_95fa_be17_608d],
    [0x4b2e_f08d_3c97_5a61, 0xd0b7_491a_e35c_2f86, 0x14bd_c37e_af68_0592, 0x6bd8_14a7_950f_e23c],
    [0xd284_6fb1_a93e_50c7, 0x1fd8_a374_c56b_0e92, 0x7b41_9ce2_06ad_f358, 0x21e7_4a8d_fc90_356b],
];
