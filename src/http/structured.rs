//! Structured fields (RFC 9651), as far as dictionaries go: `sha-256=:…:, u=3;x, flag`.
//!
//! Invariant: a value that breaks a rule anywhere is no dictionary at all (§4.2): half of it never counts.

use super::escape::base64;
use super::field_syntax::is_token_byte;
use std::collections::HashMap;

/// The value of a member, as far as its callers need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A byte sequence (`:…:`), its base64 decoded.
    Bytes(Vec<u8>),
    /// At most 15 digits (§3.3.1).
    Integer(i64),
    Boolean(bool),
    /// Something else that is well-formed: a decimal, a string, a token, a date, an inner list.
    Other,
}

/// The members of one line in their order, each key once: the last of its name counts (§4.2.2). `None` where the line
/// is malformed; one that is empty has no members.
pub fn dictionary(line: &[u8]) -> Option<Vec<(&[u8], Item)>> {
    let mut text = Text { rest: line.trim_ascii() };
    let mut members: Vec<(&[u8], Item)> = Vec::new();
    let mut last: HashMap<&[u8], usize> = HashMap::new();
    while !text.rest.is_empty() {
        let key = text.key()?;
        let item = match text.take(b'=') {
            false => Item::Boolean(true),
            true if text.rest.first() == Some(&b'(') => text.inner_list()?,
            true => text.bare()?,
        };
        text.parameters()?;
        last.insert(key, members.len());
        members.push((key, item));
        text.blanks();
        if text.rest.is_empty() {
            break;
        }
        if !text.take(b',') {
            return None;
        }
        text.blanks();
        // A comma that nothing follows.
        text.rest.first()?;
    }
    let mut at = 0..;
    members.retain(|(key, _)| at.next().is_some_and(|at| last.get(key) == Some(&at)));
    Some(members)
}

/// What is left of a line.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The bytes from here on that are `wanted`.
    fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self.rest.iter().take_while(|b| wanted(**b)).count();
        let (run, rest) = self.rest.split_at(len);
        self.rest = rest;
        run
    }

    fn blanks(&mut self) {
        self.run(|b| matches!(b, b' ' | b'\t'));
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        if !matches!(self.rest.first()?, b'a'..=b'z' | b'*') {
            return None;
        }
        Some(self.run(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')))
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.run(|b| b == b' ');
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn inner_list(&mut self) -> Option<Item> {
        self.take(b'(');
        loop {
            self.run(|b| b == b' ');
            if self.take(b')') {
                return Some(Item::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.rest.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn bare(&mut self) -> Option<Item> {
        let rest = self.rest;
        match rest.first()? {
            b':' => {
                self.take(b':');
                let inside = self.run(|b| b != b':');
                let mut bytes = Vec::with_capacity(inside.len());
                (self.take(b':') && base64(inside, &mut bytes)).then_some(Item::Bytes(bytes))
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'?' => {
                self.take(b'?');
                let value = self.take(b'1');
                (value || self.take(b'0')).then_some(Item::Boolean(value))
            }
            b'"' => self.string(),
            b'@' => {
                self.take(b'@');
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => {
                self.take(b'%');
                matches!(self.rest.first()?, b'"').then_some(())?;
                self.string()
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'*' => {
                self.run(|b| is_token_byte(b) || matches!(b, b':' | b'/'));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.take(b'-');
        let digits = self.run(|b| b.is_ascii_digit());
        if self.rest.first() == Some(&b'.') {
            self.take(b'.');
            let fraction = self.run(|b| b.is_ascii_digit());
            return ((1..=12).contains(&digits.len()) && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        if !(1..=15).contains(&digits.len()) {
            return None;
        }
        let value: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Item::Integer(if negative { -value } else { value }))
    }

    fn string(&mut self) -> Option<Item> {
        self.take(b'"');
        loop {
            self.run(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\');
            if self.take(b'"') {
                return Some(Item::Other);
            }
            if !(self.take(b'\\') && (self.take(b'"') || self.take(b'\\'))) {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<String> {
        let members = dictionary(line.as_bytes())?;
        let shown = members.iter().map(|(key, item)| {
            let item = match item {
                Item::Bytes(bytes) => format!(":{}:", String::from_utf8_lossy(bytes)),
                Item::Integer(n) => n.to_string(),
                Item::Boolean(b) => b.to_string(),
                Item::Other => "…".into(),
            };
            format!("{}={item}", String::from_utf8_lossy(key))
        });
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_dictionary_is_read_whole_or_not_at_all() {
        let good = [
            ("", ""),
            ("  ", ""),
            ("sha-256=:aGVsbG8=:", "sha-256=:hello:"),
            ("a=1 ,\tb=:YQ==:;x;y=\"z,\\\"\"", "a=1 b=:a:"),
            ("a=1, b=2, a=3", "b=2 a=3"),
            ("a, b=?0, c=?1;p", "a=true b=false c=true"),
            ("a=-7, b=1.5, c=tok/en:x, d=@1, e=%\"x\"", "a=-7 b=… c=… d=… e=…"),
            ("a=(1 2;q \"x\"), b=()", "a=… b=…"),
            ("*k_1-.=0", "*k_1-.=0"),
        ];
        for (line, expected) in good {
            assert_eq!(shown(line).as_deref(), Some(expected), "{line}");
        }
        let bad = [
            ",",
            "a=1,",
            "a=1 b=2",
            "a=",
            "=1",
            "A=1",
            "a= 1",
            "a=:YQ==",
            "a=:?:",
            "a=\"x",
            "a=\"\u{e9}\"",
            "a=?2",
            "a=1234567890123456",
            "a=1.",
            "a=(1",
            "a=(1\"x\")",
            "a=1;",
            "a=1;B",
            "1=a",
        ];
        for line in bad {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
