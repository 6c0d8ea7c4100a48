//! map and split_clients: variables whose value depends on another variable.

use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::error::Diagnostic;
use crate::config::fault::{Fault, Outcome};
use crate::config::names::{Refused, Wildcards};
use crate::config::pattern::{Case, Pattern};
use crate::config::pattern_set::{MatchMode, PatternSet};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::map::{MapTable, SplitTable};
use crate::config::template::Source;

pub const ROWS: &[Row] = &[
    row(
        "map",
        Contexts::HTTP,
        Args::TAKE2.block(),
        "",
        Effect::Many(map),
        "Makes a variable out of another value: lines of a key (a string, ~regex, ~*regex, with hostnames also *.name and name.*) and a value with variables; default, hostnames, volatile, include. Keys ignore case.",
    ),
    row(
        "map_hash_max_size",
        Contexts::HTTP,
        Args::TAKE1,
        "2048",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the tables here need no sizing.",
    ),
    row(
        "map_hash_bucket_size",
        Contexts::HTTP,
        Args::TAKE1,
        "64",
        Effect::Once(|_, _, d| crate::config::argument::number(d, 0).map(drop)),
        "Accepted; the tables here need no sizing.",
    ),
    row(
        "split_clients",
        Contexts::HTTP,
        Args::TAKE2.block(),
        "",
        Effect::Many(split_clients),
        "Makes a variable for split tests: lines of a percentage (or * for the rest) and a value, chosen by MurmurHash2 of the first argument, as in nginx.",
    ),
];

/// The name of a variable that a block defines.
pub fn variable(word: &Word) -> Result<String, Fault> {
    match word.bytes().strip_prefix(b"$") {
        Some(name) if !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') => {
            Ok(String::from_utf8_lossy(name).into_owned())
        }
        _ => {
            let text = word.str();
            let bare = text.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}');
            let name = bare.chars().map(|c| if matches!(c, '-' | '.' | ' ') { '_' } else { c });
            let name: String = name.filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let meant = match name.is_empty() {
                true => String::new(),
                false => format!(": did you mean \"${name}\"?"),
            };
            Err(Fault::new(word.span, format!("invalid variable name \"{text}\""))
                .help(format!("a variable starts with $ and has letters, digits and _{meant}")))
        }
    }
}

/// First words of lines in `map` that are not keys.
const MAP_WORDS: &[&str] = &["default", "hostnames", "volatile", "include"];

fn map(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut table = MapTable { source: b.template(d, 0)?, ..MapTable::default() };
    let name = variable(&d.args[1])?;
    let lines = d.block.as_deref().unwrap_or_default();
    // What grows moves all that is in it, in one step.
    table.names.reserve(lines.iter().filter(|line| !line.name.bytes().starts_with(b"~")).count());
    table.values.reserve(lines.len());
    // These apply wherever in the block they stand, so they are read first.
    for line in lines.iter().filter(|l| l.args.is_empty() && l.block.is_none()) {
        table.hostnames |= line.name.is("hostnames");
        table.volatile |= line.name.is("volatile");
    }
    b.lines(d, |b, line| {
        map_line(&mut table, b, line).map_err(|fault| match lines.iter().find(|first| is_same_key(first, line)) {
            Some(first) if fault.span == line.name.span && first.span.start < line.span.start => {
                fault.note(first.span, "first given here")
            }
            _ => fault,
        })
    })?;
    table.set = PatternSet::new(table.regexes.iter().map(|(pattern, _)| pattern), MatchMode::Match);
    let at = b.tables.maps.len() as u32;
    b.define(&name, Source::Map(at), d.args[1].span)?;
    b.tables.maps.push(table);
    Ok(())
}

fn is_same_key(one: &Directive, other: &Directive) -> bool {
    one.name.bytes() == other.name.bytes() && one.span.file == other.span.file
}

fn map_line(table: &mut MapTable, b: &mut Build, line: &Directive) -> Outcome {
    let value = match (&line.args[..], &line.block) {
        ([], None) if line.name.is("hostnames") || line.name.is("volatile") => return Ok(()),
        ([value], None) => value,
        _ => return Err(b.data_line(line, 1, "invalid number of the map parameters", MAP_WORDS)),
    };
    let at = table.values.len() as u32;
    table.values.push(b.template_of(value.bytes(), value.span)?);
    map_key(table, b, &line.name, at)
}

fn map_key(table: &mut MapTable, b: &mut Build, word: &Word, at: u32) -> Outcome {
    let key = word.bytes();
    if key == b"default" {
        if table.default.replace(at).is_some() {
            return Err(Fault::new(word.span, "duplicate default map parameter").help("remove one of the two lines"));
        }
        return Ok(());
    }
    if let [b'~', rest @ ..] = key {
        let (source, case) = match rest {
            [b'*', rest @ ..] => (rest, Case::Insensitive),
            rest => (rest, Case::Sensitive),
        };
        let pattern = Pattern::of_word(word, source, case, &mut b.variables)?;
        table.regexes.push((pattern, at));
        return Ok(());
    }
    // A backslash removes a special meaning: "\default", "\~".
    let key = key.strip_prefix(b"\\").unwrap_or(key);
    let wildcards = if table.hostnames { Wildcards::Yes } else { Wildcards::No };
    table.names.add(key, at, wildcards).map_err(|why| match why {
        Refused::Duplicate => Fault::new(word.span, format!("conflicting parameter \"{}\"", word.str()))
            .label("this key is in the map already")
            .help("duplicate: remove one of the two lines"),
        Refused::Invalid => Fault::new(word.span, format!("invalid hostname or wildcard \"{}\"", word.str())),
    })
}

/// Parses a percentage like `51.2%`, in hundredths.
pub fn hundredths(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text.strip_suffix(b"%")?).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 2 || whole.len() + part.len() == 0 || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let whole: u32 = format!("0{whole}").parse().ok().filter(|n| *n <= 100)?;
    Some(whole * 100 + format!("{part:0<2}").parse::<u32>().ok()?)
}

/// The value of a split_clients line, its second word. nginx ignores further words, but a line that contains the next
/// one is a mistake.
fn part<'a>(b: &mut Build, line: &'a Directive) -> Result<&'a Word, Fault> {
    let message = "a line of \"split_clients\" is a percentage and a value";
    match (&line.args[..], &line.block) {
        ([value], None) => Ok(value),
        ([value, rest, ..], None) if b.line_in_line(line, |_| true).is_none() => {
            let fault = b.data_line(line, 1, message, &[]);
            let warning = Diagnostic::warn(rest.span, format!("\"{}\" is ignored: {message}", rest.str()));
            b.warning(match fault.help {
                Some(help) => warning.help(help),
                None => warning,
            });
            Ok(value)
        }
        _ => Err(b.data_line(line, 1, message, &[])),
    }
}

/// The sum of percentages in a `split_clients` so far.
#[derive(Default)]
struct Shares {
    /// In hundredths of a percent.
    sum: u32,
    last: u32,
}

impl Shares {
    /// Adds the share of a line, a percentage or `*`. Returns the exclusive end of its range of hashes; 0: all the
    /// rest.
    fn add(&mut self, word: &Word) -> Result<u32, Fault> {
        let share = match word.bytes() {
            b"*" => 0,
            text => hundredths(text).filter(|p| *p > 0).ok_or_else(|| {
                let help = match word.bytes() {
                    digits if digits.iter().all(u8::is_ascii_digit) => format!("write {}%", word.str()),
                    [b'*', ..] => "`*` alone is the rest".to_owned(),
                    _ => "0.01% to 100%, or * for the rest".to_owned(),
                };
                Fault::new(word.span, format!("invalid percent value \"{}\"", word.str())).help(help)
            })?,
        };
        self.sum = if share == 0 { 10_000 } else { self.sum + share };
        if self.sum > 10_000 {
            return Err(Fault::new(word.span, "percent total is greater than 100%")
                .help("what is given adds up to more than 100%; `*` is the rest"));
        }
        if self.sum == 10_000 {
            return Ok(0);
        }
        self.last = self.last.wrapping_add((u64::from(share) * 0xffff_ffff / 10_000) as u32);
        Ok(self.last)
    }
}

fn split_clients(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut table = SplitTable { source: b.template(d, 0)?, parts: Vec::new() };
    let name = variable(&d.args[1])?;
    let mut sum = Shares::default();
    b.lines(d, |b, line| {
        let below = sum.add(&line.name)?;
        table.parts.push((below, part(b, line)?.bytes().into()));
        Ok(())
    })?;
    let at = b.tables.splits.len() as u32;
    b.define(&name, Source::Split(at), d.args[1].span)?;
    b.tables.splits.push(table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_in_hundredths() {
        for (name, text, expected) in [
            ("whole", "10%", Some(1000)),
            ("tenths", "51.2%", Some(5120)),
            ("hundredths", "0.05%", Some(5)),
            ("all", "100%", Some(10_000)),
            ("no sign", "10", None),
            ("too fine", "1.234%", None),
            ("not a number", "x%", None),
            ("nothing", "%", None),
            ("no more than a point", ".%", None),
            ("nothing before the point", ".5%", Some(50)),
        ] {
            assert_eq!(hundredths(text.as_bytes()), expected, "{name}");
        }
    }
}
