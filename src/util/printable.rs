//! Bytes of a client or a configuration in a line for people: none of them starts a line of its own or drives a
//! terminal.

use super::bytes;
use std::fmt;
use std::io::Write;

/// Bytes for a log line: text as it is, control bytes and what is not UTF-8 as \xNN.
pub struct Printable<'a>(pub &'a [u8]);

impl Printable<'_> {
    /// Appends the escaped bytes.
    pub fn put(&self, line: &mut Vec<u8>) {
        // Nearly all.
        if bytes::is_printable(self.0) {
            return line.extend_from_slice(self.0);
        }
        // A Vec takes all that is written.
        let _ = write!(line, "{self}");
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if bytes::is_printable(self.0)
            && let Ok(text) = std::str::from_utf8(self.0)
        {
            return f.write_str(text);
        }
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((at, control)) = rest.char_indices().find(|(_, c)| c.is_control()) {
                let (text, tail) = rest.split_at(at);
                f.write_str(text)?;
                // All control characters are below U+00A0.
                put_escaped(f, u8::try_from(control).unwrap_or_default())?;
                rest = tail.get(control.len_utf8()..).unwrap_or_default();
            }
            f.write_str(rest)?;
            for byte in chunk.invalid() {
                put_escaped(f, *byte)?;
            }
        }
        Ok(())
    }
}

fn put_escaped(f: &mut fmt::Formatter<'_>, byte: u8) -> fmt::Result {
    // By a table: a client chooses how many there are, and formatting each cost four times what nginx's line costs.
    f.write_str(std::str::from_utf8(&bytes::escape(byte)).unwrap_or_default())
}

/// Text that came from a configuration, safe for a terminal and a log: control characters become `?`.
pub fn visible(text: &str) -> String {
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(bad) { text.replace(bad, "?") } else { text.to_string() }
}
