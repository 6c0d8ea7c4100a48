//! The Huffman code of HPACK (RFC 7541 §5.2, appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, shorter ones come first.
//! So the lengths are all there is to keep; codes and both directions' tables are computed from them when the crate is
//! compiled.

/// Bits of each byte's code; the last row is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// The longest code, EOS among them.
const LONGEST: usize = 30;
/// Bits that are looked up at once: every code that ordinary text consists of.
const FAST: u32 = 9;
const EOS: u16 = 256;

struct Code {
    /// Each symbol's code, right-aligned.
    codes: [u32; 257],
    /// Symbols by length, then by value.
    symbols: [u16; 257],
    /// By length: the first code, left-aligned in 32 bits, and where its symbol stands in `symbols`.
    first: [u32; LONGEST + 1],
    offset: [u16; LONGEST + 1],
    /// By the next [`FAST`] bits: symbol and length; length 0 where the code is longer.
    fast: [(u8, u8); 1 << FAST],
}

static CODE: Code = build();

const fn build() -> Code {
    let mut made = Code {
        codes: [0; 257],
        symbols: [0; 257],
        first: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        fast: [(0, 0); 1 << FAST],
    };
    let (mut code, mut at, mut len) = (0u32, 0usize, 1usize);
    while len <= LONGEST {
        code <<= 1;
        made.first[len] = code << (32 - len as u32);
        made.offset[len] = at as u16;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == len {
                made.codes[symbol] = code;
                made.symbols[at] = symbol as u16;
                if len <= FAST as usize {
                    let spread = FAST - len as u32;
                    let mut tail = 0;
                    while tail < 1 << spread {
                        made.fast[((code << spread) | tail) as usize] = (symbol as u8, len as u8);
                        tail += 1;
                    }
                }
                code += 1;
                at += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    made
}

/// Why a string is no Huffman code: EOS within it, padding longer than seven bits or other than ones (RFC 7541 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// Appends what `input` stands for. At most 8/5 of its length is written.
///
/// # Errors
/// [`Invalid`]; part of the text may have been appended.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    let (mut bits, mut held) = (0u64, 0u32);
    let mut rest = input.iter();
    out.reserve(input.len() * 8 / 5 + 1);
    // `bits` keeps the unread ones at its upper end.
    loop {
        while held <= 56 {
            let Some(byte) = rest.next() else { break };
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        let (symbol, len) = CODE.fast[(bits >> (64 - FAST)) as usize];
        let (symbol, len) = match len {
            0 => slow((bits >> 32) as u32)?,
            len => (symbol, u32::from(len)),
        };
        if len > held {
            break;
        }
        out.push(symbol);
        bits <<= len;
        held -= len;
    }
    // What is left is the beginning of EOS, shorter than a byte.
    match held < 8 && bits.leading_ones() >= held {
        true => Ok(()),
        false => Err(Invalid),
    }
}

/// A code longer than [`FAST`] bits, left-aligned.
#[cold]
fn slow(bits: u32) -> Result<(u8, u32), Invalid> {
    let mut len = FAST as usize + 1;
    while len < LONGEST && bits >= CODE.first[len + 1] {
        len += 1;
    }
    let index = usize::from(CODE.offset[len]) + ((bits - CODE.first[len]) >> (32 - len as u32)) as usize;
    match CODE.symbols.get(index) {
        Some(&symbol) if symbol != EOS => Ok((symbol as u8, len as u32)),
        // Thirty ones and more are EOS; fewer are padding, which the caller recognises by what it holds.
        _ => Ok((0, u32::MAX)),
    }
}

/// Bytes that [`encode`] makes of `text`.
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the code of `text`, padded with ones.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0u32);
    for byte in text {
        let len = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << len | u64::from(CODE.codes[usize::from(*byte)]);
        held += len;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | (0xff >> held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Invalid> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        // RFC 7541 appendix C.4 and C.6.
        let table: [(&str, &[u8]); 5] = [
            ("www.example.com", &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]),
            ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            ("302", &[0x64, 0x02]),
            ("private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
            ("", &[]),
        ];
        for (text, code) in table {
            assert_eq!(decoded(code).as_deref(), Ok(text.as_bytes()), "{text}");
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!(out, code, "{text}");
            assert_eq!(encoded_len(text.as_bytes()), code.len(), "{text}");
        }
    }

    #[test]
    fn every_pair_of_bytes_comes_back() {
        for one in 0..=255u8 {
            for other in 0..=255u8 {
                let text = [one, other, one];
                let mut code = Vec::new();
                encode(&text, &mut code);
                assert_eq!(code.len(), encoded_len(&text));
                assert_eq!(decoded(&code).as_deref(), Ok(&text[..]), "{text:?}");
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones_and_eos_never_stands_in_a_string() {
        // RFC 7541 §5.2: each of these MUST be a decoding error.
        let bad: [(&str, &[u8]); 7] = [
            ("a byte of padding", &[0xff]),
            ("padding of eight bits after a symbol", &[0b0000_0111, 0xff]),
            ("padding of zeros", &[0b0000_0000]),
            ("padding not of the beginning of EOS", &[0b0000_0110]),
            ("EOS", &[0xff, 0xff, 0xff, 0xff]),
            ("EOS and a symbol", &[0xff, 0xff, 0xff, 0xfc, 0x07]),
            ("the beginning of a long code", &[0xff, 0xfe]),
        ];
        for (name, code) in bad {
            assert_eq!(decoded(code), Err(Invalid), "{name}");
        }
        assert_eq!(decoded(&[0b0000_0111]).as_deref(), Ok(&b"0"[..]));
    }
}
