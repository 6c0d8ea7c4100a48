//! What variables hold: the values that `set`, `map` and `geo` around a directive give them.

use crate::config::ast::{Directive, Word};
use crate::util::hash::FastMap;

/// Maximum number of values of a variable.
pub const MOST: usize = 20;

/// Values by variable, its name in lower case and without `$`.
pub type Values<'a> = FastMap<String, Vec<&'a Word>>;

/// What `set` (at this level and in its `if` blocks), `map` and `geo` assign.
pub fn of_level(all: &[Directive]) -> Values<'_> {
    let mut found = Values::default();
    for d in all {
        match (d.name.bytes(), &d.args[..]) {
            (b"set", [name, value]) => add(&mut found, name, value),
            (b"if", _) => {
                for inner in d.block.iter().flatten().filter(|inner| inner.name.is("set")) {
                    if let [name, value] = &inner.args[..] {
                        add(&mut found, name, value);
                    }
                }
            }
            (b"map" | b"geo", [.., name]) => lines(d).take(MOST).for_each(|(_, value)| add(&mut found, name, value)),
            _ => {}
        }
    }
    found
}

fn add<'a>(found: &mut Values<'a>, name: &Word, value: &'a Word) {
    if let Some(name) = name.str().strip_prefix('$') {
        let values = found.entry(name.to_ascii_lowercase()).or_default();
        if values.len() < MOST {
            values.push(value);
        }
    }
}

/// The lines of a `map` or `geo` that give a value: the key and the value.
pub fn lines(table: &Directive) -> impl Iterator<Item = (&Word, &Word)> {
    let is_setting = |line: &Directive| ["include", "proxy", "delete"].iter().any(|name| line.name.is(name));
    table.block.iter().flatten().filter(move |line| !is_setting(line)).filter_map(|line| match &line.args[..] {
        [value] => Some((&line.name, value)),
        _ => None,
    })
}

/// The text with `$name` and `${name}` replaced.
pub fn replaced(text: &str, name: &str, value: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let is_name = |text: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let inside = part.strip_prefix('{').filter(|part| is_name(part)).and_then(|part| part.get(name.len()..));
        let braced = inside.and_then(|rest| rest.strip_prefix('}'));
        let rest = braced.or_else(|| part.get(name.len()..).filter(|rest| is_name(part) && !goes_on(rest)));
        match rest {
            Some(rest) => out.extend([value, rest]),
            None => out.extend(["$", part]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_variable_is_replaced_as_a_whole_name_only() {
        for (text, expected) in [
            ("http://$a/$ab", "http://V/$ab"),
            ("${a}b$A", "VbV"),
            ("$a", "V"),
            ("$ba-$a", "$ba-V"),
            ("no variable", "no variable"),
        ] {
            assert_eq!(replaced(text, "a", "V"), expected);
        }
    }
}
