//! Header blocks to fields (RFC 7541 §3, §6).
//!
//! Invariant: the dynamic table is right after every block that decodes, stored or not: what exceeds the caller's
//! bounds is read on for the table's sake, but not kept. What a reference makes of one byte is an entry of up to 4 KiB,
//! which is what a decompression bomb is made of: it is not copied where nothing needs it, and a block whose literals
//! copy more than its bounds allow ([`Bounds::copies`]) ends the connection.

use super::static_table::{FIRST_DYNAMIC, STATIC};
use super::table::Table;
use crate::http::field::Field;
use crate::http::h2::error::HpackError;
use crate::http::h2::frame::MIN_MAX_FRAME;
use crate::http::h2::huffman;
use crate::http::header::HeaderId;
use crate::util::span::Span;

/// The size of the dynamic table that we advertise: RFC 7541's default, so SETTINGS need not name it.
pub const TABLE_SIZE: usize = 4096;

/// Largest value that an index, length or size may take: beyond any bound here, and far from overflow.
const LARGEST: u32 = 1 << 24;

/// What a decoded block may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Bytes of all fields, names and values.
    pub total: usize,
    /// Number of fields.
    pub fields: usize,
}

impl Bounds {
    /// Bytes that a block may have before it is decoded: twice what it may say, and one frame at least.
    pub fn encoded(&self) -> usize {
        self.total.saturating_mul(2).max(MIN_MAX_FRAME as usize)
    }

    /// Bytes of names and values that the literals of a block may copy. Those that it spells out itself are at most
    /// 1.6 times its own bytes (Huffman), so more than this is made of names from the table, repeated.
    fn copies(&self) -> usize {
        self.encoded().saturating_mul(2)
    }
}

/// Which bound was exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// The bytes of all fields.
    Bytes { limit: usize },
    /// The number of fields (`max_headers`).
    Fields { limit: usize },
}

/// Decoded fields: their text, and where each stands in it. Used again from request to request.
#[derive(Clone, Default, Debug)]
pub struct Block {
    /// Names and values without separators; the spans of `fields` are offsets into it.
    pub text: Vec<u8>,
    /// In the order sent, pseudo-header fields among them.
    pub fields: Vec<Field>,
    /// What was left out, if anything: the fields are then incomplete.
    pub excess: Option<Excess>,
}

impl Block {
    /// Empties it for the next block; its memory is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.excess = None;
    }
}

/// Decompresses the header blocks of one connection, in their order (RFC 7541).
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// Bytes that literals of this block have copied.
    copied: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { table: Table::new(TABLE_SIZE), copied: 0 }
    }
}

/// What begins a field, by its first bits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    Indexed,
    Plain,
}

impl Decoder {
    /// Decodes a whole block; what `out` held before stays.
    ///
    /// # Errors
    /// Where the block is malformed. The table is then undefined: the connection has to end (RFC 9113 §4.3).
    pub fn decode(&mut self, block: &[u8], bounds: &Bounds, out: &mut Block) -> Result<(), HpackError> {
        let mut input = Input { rest: block };
        let mut begun = false;
        self.copied = 0;
        while let Some(&first) = input.rest.first() {
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                self.indexed(index, bounds, out)?;
            } else if first & 0x40 != 0 {
                self.literal(&mut input, 6, Literal::Indexed, bounds, out)?;
            } else if first & 0x20 != 0 {
                let size = input.integer(5)?;
                if begun {
                    return Err(HpackError::LateTableSize);
                }
                if size as usize > TABLE_SIZE {
                    return Err(HpackError::TableSize(size));
                }
                self.table.resize(size as usize);
                continue;
            } else {
                // §6.2.2 and §6.2.3: never indexed is for those who pass it on in this form, which we do not.
                self.literal(&mut input, 4, Literal::Plain, bounds, out)?;
            }
            begun = true;
        }
        Ok(())
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.table.memory()
    }

    /// Entries of the dynamic table and their size.
    pub fn usage(&self) -> (usize, usize) {
        self.table.usage()
    }

    fn entry(&self, index: u32) -> Result<(&[u8], &[u8], HeaderId), HpackError> {
        let at = index as usize;
        let found = match at.checked_sub(FIRST_DYNAMIC) {
            Some(dynamic) => self.table.get(dynamic),
            None => at.checked_sub(1).and_then(|at| STATIC.get(at)).copied(),
        };
        found.ok_or(HpackError::Index(index))
    }

    fn indexed(&mut self, index: u32, bounds: &Bounds, out: &mut Block) -> Result<(), HpackError> {
        let (name, value, id) = self.entry(index)?;
        let start = out.text.len();
        if !admit(out, bounds, start, name.len(), value.len()) {
            return Ok(());
        }
        out.text.extend_from_slice(name);
        out.text.extend_from_slice(value);
        store(out, start, name.len(), id);
        Ok(())
    }

    fn literal(
        &mut self,
        input: &mut Input<'_>,
        prefix: u32,
        literal: Literal,
        bounds: &Bounds,
        out: &mut Block,
    ) -> Result<(), HpackError> {
        let start = out.text.len();
        let id = match input.integer(prefix)? {
            0 => {
                input.string(&mut out.text)?;
                HeaderId::of(out.text.get(start..).unwrap_or_default())
            }
            index => {
                let (name, _, id) = self.entry(index)?;
                // Of a field that is refused already and not for the table, a name of 4 KiB for each byte would be
                // copied for nothing.
                if out.excess.is_none() || literal == Literal::Indexed {
                    out.text.extend_from_slice(name);
                }
                id
            }
        };
        let name_len = out.text.len() - start;
        input.string(&mut out.text)?;
        let value_len = out.text.len() - start - name_len;
        self.copied += name_len + value_len;
        if self.copied > bounds.copies() {
            return Err(HpackError::Copies { limit: bounds.copies() as u32 });
        }
        if literal == Literal::Indexed {
            let (name, value) = out.text.get(start..).unwrap_or_default().split_at(name_len);
            self.table.insert(name, value, id);
        }
        match admit(out, bounds, start, name_len, value_len) {
            true => store(out, start, name_len, id),
            false => out.text.truncate(start),
        }
        Ok(())
    }
}

/// Whether one more field keeps within the bounds; `held` bytes are those of the fields before it.
fn admit(out: &mut Block, bounds: &Bounds, held: usize, name: usize, value: usize) -> bool {
    if out.excess.is_some() {
        return false;
    }
    if out.fields.len() >= bounds.fields {
        out.excess = Some(Excess::Fields { limit: bounds.fields });
    } else if held + name + value > bounds.total {
        out.excess = Some(Excess::Bytes { limit: bounds.total });
    }
    out.excess.is_none()
}

fn store(out: &mut Block, start: usize, name: usize, id: HeaderId) {
    let end = out.text.len();
    out.fields.push(Field { id, name: Span::new(start, start + name), value: Span::new(start + name, end) });
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// §5.1: an integer with a prefix of `prefix` bits.
    fn integer(&mut self, prefix: u32) -> Result<u32, HpackError> {
        let full = (1u32 << prefix) - 1;
        let (first, rest) = self.rest.split_first().ok_or(HpackError::Truncated)?;
        self.rest = rest;
        let mut value = u32::from(*first) & full;
        if value < full {
            return Ok(value);
        }
        let mut shift = 0;
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(HpackError::Truncated)?;
            self.rest = rest;
            value += u32::from(byte & 0x7f) << shift;
            if value > LARGEST {
                return Err(HpackError::Integer);
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            // Zeros without end are no larger value, but no integer either.
            if shift > 21 {
                return Err(HpackError::Integer);
            }
        }
    }

    /// §5.2: a string, appended to `out`.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), HpackError> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let len = self.integer(7)? as usize;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(HpackError::Truncated)?;
        self.rest = rest;
        if coded {
            huffman::decode(text, out).map_err(|_| HpackError::Huffman)
        } else {
            out.extend_from_slice(text);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
