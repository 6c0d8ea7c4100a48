//! The forms of what nginx lets the directives say that are ignored here, each named at its row of [`super::known`]: a
//! value that nginx refuses is refused, so that a configuration that is right here is right there.

use super::argument::{invalid, number, offset, size, time, wrong};
use super::ast::Directive;
use super::fault::Fault;
use super::suggest;
use super::value::{self, Millis, Size, ValueError};

/// The words that a directive takes. All but [`Form::Words`] may stand once at a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Any,
    Number,
    /// From 1 on.
    Positive,
    Size,
    /// A size that nginx can make a pool of.
    Pool,
    Offset,
    /// `off`, or a size.
    OffOrOffset,
    Millis,
    Seconds,
    /// One of these sizes.
    OneSize(&'static [u64]),
    /// A size, and the least that it may be.
    SizeFrom(u64),
    /// A number of buffers and the size of each.
    Buffers,
    /// One of these, or of those that end in `=`, with a value.
    Choice(&'static [&'static str]),
    /// Each word is one of these.
    Words(&'static [&'static str]),
    /// Statuses or `any`, and a time.
    Valid,
    /// `off`, or `max=N` among others: these.
    Cache(&'static [&'static str]),
    /// A directory, and a zone for the keys among others.
    CachePath,
    /// A directory, and up to three levels of directories in it.
    TempPath,
    /// A name of a browser and a version, or `unlisted`.
    Browser,
}

/// What a cache of files keeps, and for how long.
pub const KEPT: &[&str] = &["max", "inactive"];
pub const KEPT_VALID: &[&str] = &["max", "inactive", "valid"];
const BROWSERS: &[&str] = &["msie", "gecko", "opera", "safari", "konqueror"];
/// Parameters of a cache's path by what they hold.
const CACHE_NUMBERS: &[&str] = &["loader_files", "manager_files"];
const CACHE_TIMES: &[&str] = &["loader_sleep", "loader_threshold", "manager_sleep", "manager_threshold"];
const CACHE_SIZES: &[&str] = &["max_size", "min_free"];

pub const STALE: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "updating",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "off",
];
pub const NEXT: &[&str] = &[
    "error",
    "timeout",
    "denied",
    "invalid_header",
    "invalid_response",
    "not_found",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "updating",
    "off",
];

impl Form {
    /// The directive may stand once at a level.
    pub fn is_single(self) -> bool {
        !matches!(self, Form::Words(_) | Form::Valid | Form::CachePath | Form::Browser)
    }
}

/// What is wrong with the words of an ignored directive, by nginx's rules.
pub fn check(d: &Directive, form: Form) -> Result<(), Fault> {
    match form {
        Form::Any => {}
        Form::Number => drop(number(d, 0)?),
        Form::Positive => {
            if number(d, 0)? == 0 {
                return Err(invalid(d, 0));
            }
        }
        Form::Size => drop(size(d, 0)?),
        Form::Pool => {
            let size = size(d, 0)?.0;
            if size < 112 {
                return Err(Fault::new(d.args[0].span, "the pool size must be no less than 112"));
            }
            if size % 16 != 0 {
                return Err(Fault::new(d.args[0].span, "the pool size must be a multiple of 16"));
            }
        }
        Form::OffOrOffset if d.args[0].is("off") => {}
        Form::Offset | Form::OffOrOffset => drop(offset(d, 0)?),
        Form::Millis => drop(time(d, 0)?),
        Form::Seconds => drop(Millis::parse_seconds(d.args[0].bytes()).map_err(|e| wrong(d, 0, e))?),
        Form::OneSize(sizes) => {
            let size = size(d, 0)?.0;
            if !sizes.contains(&size) {
                return Err(invalid(d, 0));
            }
        }
        Form::SizeFrom(least) => {
            if size(d, 0)?.0 < least {
                return Err(wrong(d, 0, ValueError::new("value is too small")));
            }
        }
        Form::Buffers => {
            if number(d, 0)? == 0 || size(d, 1)?.0 == 0 {
                return Err(invalid(d, 0));
            }
        }
        Form::Choice(words) => one_of(d, 0, words)?,
        Form::Words(words) => (0..d.args.len()).try_for_each(|at| one_of(d, at, words))?,
        Form::Valid => {
            let last = d.args.len() - 1;
            Millis::parse_seconds(d.args[last].bytes()).map_err(|e| wrong(d, last, e))?;
            for (at, word) in d.args[..last].iter().enumerate() {
                let status = value::number(word.bytes(), 599).is_ok_and(|status| status >= 100);
                if !status && !word.is("any") {
                    return Err(invalid(d, at));
                }
            }
        }
        Form::Cache(_) if d.args[0].is("off") => {}
        Form::Cache(keys) => kept(d, keys)?,
        Form::CachePath => cache_path(d)?,
        Form::TempPath => {
            for at in 1..d.args.len() {
                if !matches!(number(d, at)?, 1..=3) {
                    return Err(wrong(d, at, ValueError::new("invalid value")));
                }
            }
        }
        Form::Browser => browser(d)?,
    }
    Ok(())
}

/// `max=N` and what else a cache of files may say.
fn kept(d: &Directive, keys: &[&str]) -> Result<(), Fault> {
    let mut most = false;
    for (at, word) in d.args.iter().enumerate() {
        let text = word.str();
        let known = text.split_once('=').filter(|(key, _)| keys.contains(key));
        let is_right = match known {
            Some(("max", n)) => {
                most = true;
                value::number(n.as_bytes(), u64::MAX).is_ok_and(|n| n > 0)
            }
            Some((_, time)) => Millis::parse_seconds(time.as_bytes()).is_ok(),
            None => false,
        };
        if !is_right {
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            let near = suggest::nearest(key, keys.iter().copied()).filter(|near| *near != key);
            let fault = parameter(d, at);
            return Err(match near {
                Some(near) => fault.help(format!("did you mean \"{near}={value}\"?")),
                None => fault.help(format!("as in: {} max=1000 inactive=20s;", d.name.str())),
            });
        }
    }
    match most {
        true => Ok(()),
        false => {
            let error = ValueError::new("must have the \"max\" parameter");
            Err(wrong(d, 0, error.help(format!("as in: {} max=1000 inactive=20s;", d.name.str()))))
        }
    }
}

fn cache_path(d: &Directive) -> Result<(), Fault> {
    let mut zone = false;
    for (at, word) in d.args.iter().enumerate().skip(1) {
        let text = word.str();
        let (key, held) = text.split_once('=').ok_or_else(|| parameter(d, at))?;
        let bytes = held.as_bytes();
        let is_right = match key {
            "levels" => {
                let levels: Vec<&str> = held.split(':').collect();
                levels.len() <= 3 && levels.iter().all(|level| matches!(*level, "1" | "2"))
            }
            "keys_zone" => {
                let parted = held.split_once(':').filter(|(name, _)| !name.is_empty());
                zone = parted.is_some();
                // nginx's zones hold eight pages or more.
                parted.is_none_or(|(_, size)| Size::parse(size.as_bytes()).is_ok_and(|size| size.0 >= 32 << 10))
            }
            "use_temp_path" => matches!(held, "on" | "off"),
            "inactive" => Millis::parse_seconds(bytes).is_ok(),
            key if CACHE_SIZES.contains(&key) => Size::parse_offset(bytes).is_ok(),
            key if CACHE_NUMBERS.contains(&key) => value::number(bytes, u64::MAX).is_ok(),
            key if CACHE_TIMES.contains(&key) => Millis::parse(bytes).is_ok(),
            _ => false,
        };
        if !is_right {
            return Err(parameter(d, at));
        }
    }
    match zone {
        true => Ok(()),
        false => {
            let text = format!("\"{}\" must have \"keys_zone\" parameter", d.name.str());
            Err(Fault::new(d.span, text).help("keys_zone=name:10m"))
        }
    }
}

fn browser(d: &Directive) -> Result<(), Fault> {
    let name = d.args[0].str();
    if d.args.len() == 1 {
        return match &*name {
            "unlisted" => Ok(()),
            _ => Err(invalid(d, 0)),
        };
    }
    if !BROWSERS.contains(&&*name) {
        return Err(Fault::new(d.args[0].span, format!("unknown browser name \"{name}\"")));
    }
    let version = d.args[1].str();
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if version.split('.').count() > 4 || !version.trim_end_matches('.').split('.').all(is_part) {
        return Err(Fault::new(d.args[1].span, format!("invalid browser version \"{version}\"")));
    }
    Ok(())
}

fn parameter(d: &Directive, at: usize) -> Fault {
    Fault::new(d.args[at].span, format!("invalid \"{}\" parameter \"{}\"", d.name.str(), d.args[at].str()))
}

fn one_of(d: &Directive, at: usize, words: &[&str]) -> Result<(), Fault> {
    let text = d.args[at].str().to_ascii_lowercase();
    match words.iter().any(|word| *word == text || word.ends_with('=') && text.starts_with(word)) {
        true => Ok(()),
        false => Err(invalid(d, at).help(match words {
            ["on", "off"] => "write `on` or `off`".to_owned(),
            words => suggest::one_of(&text, words),
        })),
    }
}
