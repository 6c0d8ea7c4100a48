//! What strace wrote, as calls: `name(arguments) = result`, strings in hexadecimal digits.

/// A call that succeeded.
pub struct Call<'t> {
    pub name: &'t str,
    pub arguments: Vec<&'t str>,
    pub result: i64,
    /// All between the parentheses.
    pub text: &'t str,
}

impl<'t> Call<'t> {
    /// None: it failed, or the line is something else.
    pub fn parse(line: &'t str) -> Option<Call<'t>> {
        let open = line.find('(')?;
        let (call, result) = line.rsplit_once(" = ")?;
        let name = &line[..open];
        let text = call.trim_end().strip_suffix(')')?.get(open + 1..)?;
        let result = result.split(' ').next()?.parse().ok()?;
        (result >= 0).then(|| Call { name, arguments: split(text), result, text })
    }

    pub fn number(&self, at: usize) -> i32 {
        self.arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(-1)
    }

    /// A file offset: a number, or one in brackets; None for NULL.
    pub fn offset(&self, at: usize) -> Option<usize> {
        self.arguments.get(at)?.trim_matches(['[', ']']).parse().ok()
    }

    pub fn bytes(&self, at: usize) -> Vec<u8> {
        self.arguments.get(at).map_or(Vec::new(), |text| unhex(text))
    }

    /// All `key=value` of such a key.
    pub fn values(&self, key: &'static str) -> impl Iterator<Item = &'t str> + use<'t> {
        let rest = self.text.split(key).skip(1);
        rest.map(|rest| rest.split([',', '}']).next().unwrap_or_default())
    }

    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(&hex(text))
    }

    /// What follows such a text in the strings, up to the end of the line.
    pub fn after(&self, text: &str) -> Option<String> {
        let pattern = hex(text);
        let at = self.text.find(&pattern)? + pattern.len();
        let rest = &self.text[at..];
        let end = rest.find("\\x0d").unwrap_or(rest.len());
        Some(String::from_utf8_lossy(&unhex(&rest[..end])).into_owned())
    }
}

fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    // Strings are hexadecimal: nothing in them looks like punctuation.
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_matches('"').split("\\x").skip(1);
    digits.filter_map(|two| u8::from_str_radix(two.get(..2)?, 16).ok()).collect()
}
