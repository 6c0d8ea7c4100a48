//! Parses words of a directive: sizes, times, flags, numbers, access modes. Pure; addresses are in `addr`.
//!
//! The rules are nginx's (`ngx_parse_size`, `ngx_parse_offset`, `ngx_parse_time`, …) and so are the messages; the
//! caller knows the word and attaches its span.

/// An error in a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueError {
    /// In nginx's words if nginx has this error.
    pub message: String,
    /// How to write it right.
    pub help: Option<String>,
}

impl ValueError {
    /// Without help.
    pub fn new(message: impl Into<String>) -> ValueError {
        ValueError { message: message.into(), help: None }
    }

    /// Adds how to write it right.
    pub fn help(mut self, help: impl Into<String>) -> ValueError {
        self.help = Some(help.into());
        self
    }

    /// The message as nginx completes it for a directive with one value: `"NAME" directive invalid value`.
    pub fn in_directive(mut self, name: &str) -> ValueError {
        self.message = format!("\"{name}\" directive {}", self.message);
        self
    }
}

fn invalid(help: impl Into<String>) -> ValueError {
    ValueError::new("invalid value").help(help)
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Digits only, as `ngx_atoi`.
fn digits(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit).filter(|value| *value <= max)
    })
}

/// A number of at most `max`; otherwise the error `invalid number`.
pub fn number(text: &[u8], max: u64) -> Result<u64, ValueError> {
    let max = max.min(i64::MAX as u64);
    digits(text, max).ok_or_else(|| {
        if let Some(plain) = ungrouped(&lossy(text)) {
            return ValueError::new("invalid number").help(format!("write {plain}: digits are not grouped"));
        }
        if let Some(plain) = Size::parse_offset(text).ok().map(|size| size.0).filter(|size| *size <= max) {
            return ValueError::new("invalid number").help(format!("a count takes no unit: {plain}"));
        }
        ValueError::new("invalid number").help(match max {
            1_000_000_000_000.. => "a whole number, in digits".to_owned(),
            max => format!("a whole number from 0 to {max}"),
        })
    })
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Size(pub u64);

impl Size {
    /// A size in memory: `32`, `32k`, `32m`.
    pub fn parse(text: &[u8]) -> Result<Size, ValueError> {
        Size::scaled(text, false)
    }

    /// A size of files or requests, which may also be in `g`.
    pub fn parse_offset(text: &[u8]) -> Result<Size, ValueError> {
        Size::scaled(text, true)
    }

    fn scaled(text: &[u8], giga: bool) -> Result<Size, ValueError> {
        let (value, shift) = match text {
            [value @ .., b'k' | b'K'] => (value, 10),
            [value @ .., b'm' | b'M'] => (value, 20),
            [value @ .., b'g' | b'G'] if giga => (value, 30),
            value => (value, 0),
        };
        match digits(value, i64::MAX as u64 >> shift) {
            Some(value) => Ok(Size(value << shift)),
            None => Err(invalid(size_help(text, giga))),
        }
    }
}

/// The help for an invalid size: the corrected size if the unit is longer than nginx's (`2GiB`, `10MB`).
fn size_help(text: &[u8], giga: bool) -> String {
    let shown = lossy(text).to_ascii_lowercase();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, word) = text.split_at_checked(digits).unwrap_or_default();
    let number = lossy(number);
    if matches!(&*shown, "unlimited" | "none" | "off" | "infinite" | "max" | "-1" | "no") {
        return "0 means no limit where the directive allows that; a size is written 8192, 32k or 10m".into();
    }
    if shown.starts_with('$') {
        return "a size takes no variables here: 8192, 32k, 10m".into();
    }
    if let Some(plain) = ungrouped(&shown) {
        return format!("write {plain}: digits are not grouped");
    }
    if let Some(meant) = fraction(&shown, &SMALLER_SIZES) {
        return format!("write {meant}: a size is a whole number");
    }
    if shown.starts_with('-') {
        return "a size is not negative: 8192, 32k, 10m".into();
    }
    let word = lossy(word.trim_ascii()).to_ascii_lowercase();
    match word.bytes().next() {
        _ if number.is_empty() => {}
        Some(b't') if giga => {
            return format!("write {}g: the largest unit is g", times_1024(&number));
        }
        Some(b'g' | b't') if !giga => {
            return format!("write {}m: the largest unit here is m", times_1024(&number));
        }
        Some(b'b' | b'k' | b'm' | b'g') => {
            let unit = if word.starts_with('b') { "" } else { word.get(..1).unwrap_or_default() };
            return format!("write {number}{unit}: a unit is one letter right after the number");
        }
        _ => {}
    }
    match giga {
        true => "a size is a number of bytes, or one with k, m or g right after it: 8192, 32k, 10m, 1g".into(),
        false => "a size is a number of bytes, or one with k or m right after it: 8192, 32k, 10m".into(),
    }
}

/// Converts a number to the next smaller unit.
fn times_1024(number: &str) -> u64 {
    number.parse::<u64>().unwrap_or(1).saturating_mul(1024)
}

/// `1,000m`, `1_000`: removes the separators of digit groups.
pub fn ungrouped(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '_' | '\'')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let mut groups = number.split([',', '_', '\'']);
    let first = groups.next().filter(|first| (1..4).contains(&first.len()))?;
    let rest: Vec<&str> = groups.collect();
    let grouped = !rest.is_empty() && rest.iter().all(|group| group.len() == 3);
    grouped.then(|| format!("{first}{}{unit}", rest.concat()))
}

/// Units, with the next smaller one and the factor.
const SMALLER_SIZES: [(&str, &str, f64); 4] =
    [("k", "", 1024.0), ("m", "k", 1024.0), ("g", "m", 1024.0), ("t", "g", 1024.0)];
const SMALLER_TIMES: [(&str, &str, f64); 5] =
    [("", "ms", 1000.0), ("s", "ms", 1000.0), ("m", "s", 60.0), ("h", "m", 60.0), ("d", "h", 24.0)];

/// Converts `0.5m` to a whole number of the next smaller unit.
fn fraction(text: &str, units: &[(&str, &str, f64)]) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')).unwrap_or(text.len());
    let (number, word) = text.split_at_checked(end)?;
    let number: f64 = number.replace(',', ".").parse().ok().filter(|_| number.contains(['.', ',']))?;
    let unit = unit(word)?;
    let (_, smaller, of) = units.iter().find(|(name, _, _)| *name == unit)?;
    let whole = (number * of).round();
    (0.0..1e12).contains(&whole).then(|| format!("{whole}{smaller}"))
}

/// nginx's letter for a unit, however it is spelled.
pub fn unit(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => "",
        "k" | "kb" | "kib" | "kbit" | "kilobytes" => "k",
        "m" | "mb" | "mib" | "mbit" | "megabytes" => "m",
        "g" | "gb" | "gib" | "gigabytes" => "g",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        "mon" | "month" | "months" => "M",
        "y" | "yr" | "year" | "years" => "y",
        "ms" | "msec" | "millis" | "milliseconds" => "ms",
        _ => return None,
    })
}

/// The corrected time, if the unit is a word (`5min`, `30 seconds`) or the number has a fraction.
pub fn time_meant(text: &[u8]) -> Option<String> {
    let shown = lossy(text).to_ascii_lowercase();
    if let Some(meant) = fraction(&shown, &SMALLER_TIMES) {
        return Some(meant);
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, word) = text.split_at_checked(digits)?;
    let word = lossy(word.trim_ascii());
    if let Some(ordered) = longest_first(&shown) {
        return Some(ordered);
    }
    let unit =
        unit(&word).filter(|unit| !unit.is_empty() && (*unit != "m" || word.to_ascii_lowercase().starts_with("mi")))?;
    (!number.is_empty() && !matches!(unit, "k" | "g")).then(|| format!("{}{unit}", lossy(number)))
}

/// `30m1h` with the units in descending order.
fn longest_first(text: &str) -> Option<String> {
    const UNITS: [&str; 8] = ["y", "w", "d", "h", "m", "s", "ms", ""];
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        parts.push((UNITS.iter().position(|known| *known == unit.trim())?, number, unit));
        rest = tail;
    }
    let mut ordered = parts.clone();
    ordered.sort_by_key(|part| part.0);
    let twice = ordered.windows(2).any(|pair| pair[0].0 == pair[1].0);
    (parts.len() > 1 && ordered != parts && !twice)
        .then(|| ordered.iter().map(|(_, number, unit)| format!("{number}{unit}")).collect())
}

/// Converts `00:01:05` to a time.
fn clock(text: &str) -> Option<String> {
    let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let parts = parts.filter(|parts| (2..4).contains(&parts.len()))?;
    let units = ["h", "m", "s"].into_iter().skip(3 - parts.len());
    let written: String =
        parts.iter().zip(units).filter(|(n, _)| **n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    Some(if written.is_empty() { "0".to_owned() } else { written })
}

/// The help for an invalid time: the corrected time, if possible.
fn time_help(text: &[u8]) -> String {
    if let Some(meant) = time_meant(text) {
        return format!("write {meant}: units are ms, s, m, h, d, w, M and y");
    }
    if let Some(meant) = clock(&lossy(text)) {
        return format!("write {meant}: hours, minutes and seconds have their letters");
    }
    match &*lossy(text).to_ascii_lowercase() {
        "infinite" | "forever" | "never" | "unlimited" | "max" => {
            "a time cannot be infinite; a long one is 365d".into()
        }
        "off" | "none" | "no" => {
            "0 turns it off where the directive can be off; a time is written 500ms, 30s or 1h30m".into()
        }
        shown if shown.starts_with('-') => "a time is not negative: 0, 500ms, 30s, 1h30m".into(),
        _ => TIME_HELP.to_owned(),
    }
}

/// A duration in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

const TIME_HELP: &str = "a time is numbers with ms, s, m, h, d, w, M or y, the longest first: 500ms, 30s, 1h30m";

impl Millis {
    /// Times that nginx stores in milliseconds: `500ms`, `30` and `30s`, `"1h 30m"`. As in nginx, `M` and `y` are
    /// invalid: they are for times stored in seconds.
    pub fn parse(text: &[u8]) -> Result<Millis, ValueError> {
        time(text, Unit::Millis).map(Millis).ok_or_else(|| invalid(time_help(text)))
    }

    /// Times that nginx stores in seconds (`expires`, `open_file_cache_valid`, `keepalive_timeout`'s header): no `ms`,
    /// but `M` (30 days) and `y` (365 days).
    pub fn parse_seconds(text: &[u8]) -> Result<Millis, ValueError> {
        let seconds = time(text, Unit::Seconds).and_then(|seconds| seconds.checked_mul(1000));
        seconds.map(Millis).ok_or_else(|| invalid(time_help(text)))
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Millis,
    Seconds,
}

/// Each unit may occur once, in descending order; a number without a unit is seconds and comes last.
fn time(text: &[u8], unit: Unit) -> Option<u64> {
    const MAX: u64 = i64::MAX as u64;
    let second = if unit == Unit::Seconds { 1 } else { 1000 };
    let mut step = if unit == Unit::Seconds { 0 } else { 2 };
    let mut total: u64 = 0;
    let mut at = text;
    let mut valid = false;
    while !at.is_empty() {
        let length = at.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (value, rest) = at.split_at_checked(length)?;
        // nginx treats a unit without a number as zero, as long as some number is given.
        valid |= length > 0;
        let value = if length == 0 { 0 } else { digits(value, MAX)? };
        let (next, scale, skip) = match rest {
            [] => (9, second, 0),
            [b'y', ..] => (1, 365 * 86400 * second, 1),
            [b'M', ..] => (2, 30 * 86400 * second, 1),
            [b'w', ..] => (3, 7 * 86400 * second, 1),
            [b'd', ..] => (4, 86400 * second, 1),
            [b'h', ..] => (5, 3600 * second, 1),
            [b'm', b's', ..] if unit == Unit::Millis => (8, 1, 2),
            [b'm', b's', ..] => return None,
            [b'm', ..] => (6, 60 * second, 1),
            [b's', ..] => (7, second, 1),
            [b' ', ..] => (9, second, 1),
            _ => return None,
        };
        let too_late = match rest.first() {
            None => false,
            Some(b' ') => step >= 7,
            Some(_) => step >= next,
        };
        if too_late {
            return None;
        }
        step = next;
        total = total.checked_add(value.checked_mul(scale)?).filter(|total| *total <= MAX)?;
        at = rest.get(skip..)?.trim_ascii_start_spaces();
    }
    valid.then_some(total)
}

trait Spaces {
    fn trim_ascii_start_spaces(&self) -> &[u8];
}

impl Spaces for [u8] {
    fn trim_ascii_start_spaces(&self) -> &[u8] {
        let blanks = self.iter().take_while(|byte| **byte == b' ').count();
        self.get(blanks..).unwrap_or_default()
    }
}

/// `on` or `off`, ignoring case; the message names the directive, as nginx's does.
pub fn flag(text: &[u8], directive: &str) -> Result<bool, ValueError> {
    if text.eq_ignore_ascii_case(b"on") {
        return Ok(true);
    }
    if text.eq_ignore_ascii_case(b"off") {
        return Ok(false);
    }
    let text = lossy(text);
    let message = format!("invalid value \"{text}\" in \"{directive}\" directive, it must be \"on\" or \"off\"");
    let error = ValueError::new(message);
    Err(match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "enable" | "enabled" => error.help("write `on`"),
        "false" | "no" | "0" | "disable" | "disabled" | "none" | "of" | "offf" => error.help("write `off`"),
        "onn" | "o" => error.help("write `on`"),
        _ => error.help("write `on` or `off`"),
    })
}

/// One of several words, ignoring case (nginx's enum slots).
pub fn choice<T: Copy>(text: &[u8], choices: &[(&str, T)]) -> Result<T, ValueError> {
    if let Some((_, value)) = choices.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes())) {
        return Ok(*value);
    }
    let text = lossy(text);
    let error = ValueError::new(format!("invalid value \"{text}\""));
    Err(match super::suggest::nearest(&text, choices.iter().map(|(name, _)| *name)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            error.help(format!("one of {}", names.join(", ")))
        }
    })
}

/// Permission bits of stored files: `user:rw group:r all:r`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode(pub u32);

impl Mode {
    /// Parses the words of `dav_access` and `upload_store_access`. An error includes the index of the wrong word.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w [u8]>) -> Result<Mode, (usize, ValueError)> {
        let mut mode = 0;
        // The owner can read and write unless configured otherwise.
        let mut user = 0o600;
        for (n, word) in words.into_iter().enumerate() {
            let rights = |rights: &[u8]| match rights {
                b"rw" => Some(6),
                b"r" => Some(4),
                _ => None,
            };
            let bits = if let Some(rest) = word.strip_prefix(b"user:") {
                user = 0;
                rights(rest).map(|bits| bits << 6)
            } else if let Some(rest) = word.strip_prefix(b"group:") {
                rights(rest).map(|bits| bits << 3)
            } else if let Some(rest) = word.strip_prefix(b"all:") {
                rights(rest)
            } else {
                None
            };
            mode |= bits.ok_or_else(|| {
                let message = format!("invalid value \"{}\"", lossy(word));
                (n, ValueError::new(message).help("`user:`, `group:` or `all:`, followed by `r` or `rw`"))
            })?;
        }
        Ok(Mode(mode | user))
    }

    /// The mode of a directory for such files: who may read may also search it.
    pub fn directory(self) -> Mode {
        Mode(self.0 | (self.0 & 0o444) >> 2)
    }
}

#[cfg(test)]
mod tests;
