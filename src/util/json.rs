//! A JSON document that is made, not read: objects keep the order of their members.

use crate::util::decimal;

/// A value. There are neither null nor arrays: nothing here needs them.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// Without a fraction.
    Number(u64),
    /// Escaped when it is written.
    Text(String),
    Bool(bool),
    /// Names and values, in the order in which they are written.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A string.
    pub fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    /// An object with these members.
    pub fn object<N: Into<String>>(members: impl IntoIterator<Item = (N, Json)>) -> Json {
        Json::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// An object of numbers.
    pub fn numbers<'n>(members: impl IntoIterator<Item = (&'n str, u64)>) -> Json {
        Json::object(members.into_iter().map(|(name, value)| (name, Json::Number(value))))
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(of, _)| of == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends it over several lines, two spaces a level; `escape` writes the inside of a string.
    pub fn write(&self, depth: usize, escape: fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
        let string = |text: &str, out: &mut Vec<u8>| {
            out.push(b'"');
            escape(text.as_bytes(), out);
            out.push(b'"');
        };
        match self {
            Json::Number(number) => decimal::push(*number, 0, out),
            Json::Text(text) => string(text, out),
            Json::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Json::Object(members) if members.is_empty() => out.extend_from_slice(b"{}"),
            Json::Object(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
                    out.resize(out.len() + 2 * (depth + 1), b' ');
                    string(name, out);
                    out.extend_from_slice(b": ");
                    value.write(depth + 1, escape, out);
                }
                out.push(b'\n');
                out.resize(out.len() + 2 * depth, b' ');
                out.push(b'}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_their_order_a_line_each() {
        let json = Json::object([
            ("b", Json::Number(1)),
            ("a", Json::object([("x", Json::text("y")), ("on", Json::Bool(true))])),
            ("none", Json::Object(Vec::new())),
        ]);
        let mut out = Vec::new();
        json.write(0, |text, out| out.extend_from_slice(text), &mut out);
        let expected = "{\n  \"b\": 1,\n  \"a\": {\n    \"x\": \"y\",\n    \"on\": true\n  },\n  \"none\": {}\n}";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(json.get("a").and_then(|a| a.get("x")), Some(&Json::text("y")));
        assert_eq!(json.get("c"), None);
    }
}
