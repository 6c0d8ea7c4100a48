//! A JSON document that is made, not read: objects keep the order of their members. It is written piece by piece, and
//! what is large is made while it is written.

use crate::util::decimal;

/// Names and values, in the order in which they are written.
type Members = Box<dyn Iterator<Item = (String, Json)>>;

/// A value. There are neither null nor arrays: nothing here needs them.
pub enum Json {
    /// Without a fraction.
    Number(u64),
    /// Escaped when it is written.
    Text(String),
    Bool(bool),
    /// An object, whose members are made when they are written.
    Object(Members),
}

impl Json {
    /// A string.
    pub fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    /// An object with these members.
    pub fn object<N: Into<String>, M: IntoIterator<Item = (N, Json)>>(members: M) -> Json
    where
        M::IntoIter: 'static,
    {
        Json::Object(Box::new(members.into_iter().map(|(name, value)| (name.into(), value))))
    }

    /// An object of numbers.
    pub fn numbers<'n>(members: impl IntoIterator<Item = (&'n str, u64)>) -> Json {
        let members: Vec<_> = members.into_iter().map(|(name, value)| (name.to_owned(), Json::Number(value))).collect();
        Json::object(members)
    }

    /// The member of that name, without the rest.
    pub fn into_member(self, name: &str) -> Option<Json> {
        match self {
            Json::Object(mut members) => members.find(|(of, _)| of == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A document on its way: over several lines, two spaces a level.
pub struct Writer {
    /// The objects that are not complete, the innermost last; and whether something of them was written.
    open: Vec<(Members, bool)>,
    /// Writes the inside of a string.
    escape: fn(&[u8], &mut Vec<u8>),
}

impl Writer {
    /// Begins with the document, at the end of `out`.
    pub fn begin(json: Json, escape: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) -> Writer {
        let mut writer = Writer { open: Vec::new(), escape };
        writer.value(json, out);
        writer
    }

    /// Goes on until `out` has at least `bytes` bytes. Returns whether the document is complete.
    pub fn fill(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        while out.len() < bytes {
            let depth = self.open.len();
            let Some((members, has_some)) = self.open.last_mut() else { return true };
            match members.next() {
                Some((name, value)) => {
                    out.extend_from_slice(if *has_some { b",\n" } else { b"\n" });
                    *has_some = true;
                    out.resize(out.len() + 2 * depth, b' ');
                    self.string(&name, out);
                    out.extend_from_slice(b": ");
                    self.value(value, out);
                }
                None => {
                    if *has_some {
                        out.push(b'\n');
                        out.resize(out.len() + 2 * (depth - 1), b' ');
                    }
                    out.push(b'}');
                    self.open.pop();
                }
            }
        }
        self.open.is_empty()
    }

    fn value(&mut self, value: Json, out: &mut Vec<u8>) {
        match value {
            Json::Number(number) => decimal::push(number, 0, out),
            Json::Text(text) => self.string(&text, out),
            Json::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Json::Object(members) => {
                out.push(b'{');
                self.open.push((members, false));
            }
        }
    }

    fn string(&self, text: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        (self.escape)(text.as_bytes(), out);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: Json, piece: usize) -> String {
        let mut all = Vec::new();
        let mut writer = Writer::begin(json, |text, out| out.extend_from_slice(text), &mut all);
        loop {
            let mut out = Vec::new();
            let is_complete = writer.fill(piece, &mut out);
            all.extend(out);
            if is_complete {
                return String::from_utf8(all).expect("text");
            }
        }
    }

    fn sample() -> Json {
        Json::object([
            ("b", Json::Number(1)),
            ("a", Json::object([("x", Json::text("y")), ("on", Json::Bool(true))])),
            ("none", Json::numbers([])),
        ])
    }

    #[test]
    fn members_stand_in_their_order_a_line_each() {
        let expected = "{\n  \"b\": 1,\n  \"a\": {\n    \"x\": \"y\",\n    \"on\": true\n  },\n  \"none\": {}\n}";
        for piece in [1, 7, 1000] {
            assert_eq!(written(sample(), piece), expected, "{piece}");
        }
        let member = sample().into_member("a").and_then(|a| a.into_member("x"));
        assert_eq!(member.map(|x| written(x, 100)), Some("\"y\"".to_owned()));
        assert!(sample().into_member("c").is_none());
    }
}
