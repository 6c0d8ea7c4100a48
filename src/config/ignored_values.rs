//! Checks the arguments of directives that are ignored here by nginx's rules, so that a configuration accepted here is
//! accepted there.
//!
//! [`super::known`] names the form of each directive, [`super::ignored_forms`] defines the forms.

use super::addr::literal_address;
use super::argument::{invalid, number, offset, size, time, wrong};
use super::ast::Directive;
use super::build::{Build, Scope};
use super::fault::Fault;
use super::ignored_forms::Form;
use super::suggest;
use super::template::module_of;
use super::value::{self, Millis, Size, ValueError};

const BROWSERS: &[&str] = &["msie", "gecko", "opera", "safari", "konqueror"];
/// Parameters of a cache path, by type.
const CACHE_NUMBERS: &[&str] = &["loader_files", "manager_files"];
const CACHE_TIMES: &[&str] = &["loader_sleep", "loader_threshold", "manager_sleep", "manager_threshold"];
const CACHE_SIZES: &[&str] = &["max_size", "min_free"];

/// Checks the arguments of an ignored directive. The fault is worded as in nginx.
pub fn check(s: &mut Scope, b: &mut Build, d: &Directive, form: Form) -> Result<(), Fault> {
    match form {
        Form::Any => {}
        Form::Number => drop(number(d, 0)?),
        Form::Positive => refuse_unless(number(d, 0)? > 0, d)?,
        Form::Priority => priority(s, d)?,
        Form::Power => power(d)?,
        Form::Size => drop(size(d, 0)?),
        Form::Pool => pool(d)?,
        Form::OffOrOffset if d.args[0].is("off") => {}
        Form::Offset | Form::OffOrOffset => drop(offset(d, 0)?),
        Form::Millis => drop(time(d, 0)?),
        Form::Seconds => seconds(d, 0)?,
        Form::OneSize(sizes) => refuse_unless(sizes.contains(&size(d, 0)?.0), d)?,
        Form::SizeFrom(least) if size(d, 0)?.0 < least => {
            return Err(wrong(d, 0, ValueError::new("value is too small")));
        }
        Form::SizeFrom(_) => {}
        Form::Buffers => refuse_unless(number(d, 0)? > 0 && size(d, 1)?.0 > 0, d)?,
        Form::LowMark => {
            size(d, 0)?;
            b.warn(d.name.span, format!("\"{}\" is not supported, ignored", d.name.str()));
        }
        Form::Choice(words) => one_of(d, 0, words)?,
        Form::Words(words) => set_of(d, words)?,
        Form::NextUpstream(words) => set_of(d, &words.iter().map(|(word, _)| *word).collect::<Vec<_>>())?,
        Form::Valid => valid(d)?,
        Form::Cache(_) if d.args[0].is("off") => {}
        Form::Cache(keys) => kept(d, keys)?,
        Form::CachePath => cache_path(b, d)?,
        Form::Browser => browser(d)?,
        Form::Aio => aio(b, d)?,
        Form::ThreadPool => thread_pool(b, d)?,
        Form::Masks => masks(d)?,
        Form::Mark => mark(d)?,
        Form::Expiry => expiry(d)?,
        Form::Field => text(b, d, 1)?,
        Form::Text | Form::Texts => (0..d.args.len()).try_for_each(|at| text(b, d, at))?,
        Form::Address => address(b, d)?,
        Form::OcspCache => ocsp_cache(d)?,
        Form::Passwords => b.find_passwords(&d.args[0])?,
        Form::Obsolete(instead) => obsolete(b, d, instead),
    }
    Ok(())
}

fn refuse_unless(is_right: bool, d: &Directive) -> Result<(), Fault> {
    if is_right { Ok(()) } else { Err(invalid(d, 0)) }
}

fn priority(s: &mut Scope, d: &Directive) -> Result<(), Fault> {
    const NAME: &str = "worker_priority";
    if s.seen.contains(&NAME) {
        return Err(Fault::new(d.name.span, format!("\"{NAME}\" directive is duplicate")));
    }
    let word = d.args[0].bytes();
    let digits = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
    match value::number(digits, u64::MAX) {
        Ok(0) => Ok(()),
        Ok(_) => {
            s.seen.push(NAME);
            Ok(())
        }
        Err(_) => Err(Fault::new(d.args[0].span, format!("\"{NAME}\" directive invalid number"))),
    }
}

fn power(d: &Directive) -> Result<(), Fault> {
    match number(d, 0)?.is_power_of_two() {
        true => Ok(()),
        false => Err(Fault::new(d.name.span, format!("\"{}\" directive must be a power of two", d.name.str()))),
    }
}

fn pool(d: &Directive) -> Result<(), Fault> {
    match size(d, 0)?.0 {
        ..112 => Err(Fault::new(d.args[0].span, "the pool size must be no less than 112")),
        size if size % 16 != 0 => Err(Fault::new(d.args[0].span, "the pool size must be a multiple of 16")),
        _ => Ok(()),
    }
}

fn seconds(d: &Directive, at: usize) -> Result<(), Fault> {
    Millis::parse_seconds(d.args[at].bytes()).map(drop).map_err(|e| wrong(d, at, e))
}

/// nginx's message for this names no directive.
fn set_of(d: &Directive, words: &[&str]) -> Result<(), Fault> {
    (0..d.args.len()).try_for_each(|at| {
        let message = format!("invalid value \"{}\"", d.args[at].str());
        one_of(d, at, words).map_err(|fault| Fault { message, ..fault })
    })
}

fn valid(d: &Directive) -> Result<(), Fault> {
    let last = d.args.len() - 1;
    seconds(d, last)?;
    for (at, word) in d.args[..last].iter().enumerate() {
        let status = value::number(word.bytes(), 599).is_ok_and(|status| status >= 100);
        if !status && !word.is("any") {
            return Err(invalid(d, at));
        }
    }
    Ok(())
}

fn mark(d: &Directive) -> Result<(), Fault> {
    match d.args[0].bytes() {
        b"off" | [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'='] => Ok(()),
        _ => {
            let rule = "value must be \"off\" or a single letter, digit or \"=\"";
            Err(Fault::new(d.args[0].span, format!("\"{}\" directive {rule}", d.name.str())))
        }
    }
}

fn expiry(d: &Directive) -> Result<(), Fault> {
    let word = &d.args[0];
    match word.is("off") || word.is("max") || Millis::parse_seconds(word.bytes()).is_ok() {
        true => Ok(()),
        false => Err(Fault::new(word.span, format!("\"{}\" directive invalid value", d.name.str()))),
    }
}

fn ocsp_cache(d: &Directive) -> Result<(), Fault> {
    let word = d.args[0].str();
    let shared = word.strip_prefix("shared:").and_then(|rest| rest.split_once(':'));
    let is_zone = |(name, size): (&str, &str)| {
        !name.is_empty() && Size::parse(size.as_bytes()).is_ok_and(|size| size.0 >= 32 << 10)
    };
    match word == "off" || shared.is_some_and(is_zone) {
        true => Ok(()),
        false => {
            Err(Fault::new(d.args[0].span, format!("invalid OCSP cache \"{word}\"")).help("off, or shared:name:1m"))
        }
    }
}

fn obsolete(b: &mut Build, d: &Directive, instead: Option<&str>) {
    let name = d.name.str();
    let text = match instead {
        Some(instead) => format!("the \"{name}\" directive is obsolete, use the \"{instead}\" directive instead"),
        None => format!("the \"{name}\" directive is obsolete, ignored"),
    };
    b.warn(d.name.span, text);
}

/// A value whose variables must exist. Variables of nginx modules that are missing here are harmless, since the value
/// is not used.
fn text(b: &mut Build, d: &Directive, at: usize) -> Result<(), Fault> {
    let words = d.args[at].str();
    let names = words.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let mut names = names.map(|rest| rest.split(|byte| !is_name(byte)).next().unwrap_or_default());
    match names.any(|name| module_of(name).is_some()) {
        true => Ok(()),
        false => b.template(d, at).map(drop),
    }
}

fn address(b: &mut Build, d: &Directive) -> Result<(), Fault> {
    if let Some(word) = d.args.get(1).filter(|word| !word.is("transparent")) {
        return Err(Fault::new(word.span, format!("invalid parameter \"{}\"", word.str())));
    }
    let made = b.template(d, 0)?;
    match d.args[0].is("off") || made.constant().is_none_or(|text| literal_address(text).is_some()) {
        true => Ok(()),
        false => Err(Fault::new(d.args[0].span, format!("invalid address \"{}\"", d.args[0].str()))),
    }
}

fn masks(d: &Directive) -> Result<(), Fault> {
    let auto = d.args[0].is("auto");
    if auto && d.args.len() > 2 {
        let text = "invalid number of arguments in \"worker_cpu_affinity\" directive";
        return Err(Fault::new(d.args[2].span, text));
    }
    for word in d.args.iter().skip(usize::from(auto)) {
        if let Some(odd) = word.str().chars().rev().find(|c| !matches!(c, '0' | '1' | ' ')) {
            let text = format!("invalid character \"{odd}\" in \"worker_cpu_affinity\"");
            return Err(Fault::new(word.span, text));
        }
    }
    Ok(())
}

/// Checks the parameters of open_file_cache and the like: `max=N` and others.
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

fn cache_path(b: &mut Build, d: &Directive) -> Result<(), Fault> {
    let mut zone = false;
    if !b.caches.paths.insert(d.args[0].bytes().into()) {
        return Err(Fault::new(d.args[0].span, format!("the same path name \"{}\" used twice", d.args[0].str()))
            .help("each cache has a directory of its own"));
    }
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
                if let Some((name, _)) = parted {
                    if !b.caches.names.insert(name.into()) {
                        return Err(Fault::new(d.args[at].span, format!("duplicate zone \"{name}\"")));
                    }
                    let module = d.name.str().trim_end_matches("_cache_path").into();
                    b.caches.defined.push((module, name.into()));
                }
                // nginx requires at least eight pages per zone.
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
            return Err(match key {
                "levels" => parameter(d, at).help("up to three numbers, each 1 or 2, as in: levels=1:2"),
                key => {
                    let keys = ["levels", "keys_zone", "inactive", "max_size", "min_free", "use_temp_path"];
                    match suggest::nearest(key, keys).filter(|near| *near != key) {
                        Some(near) => parameter(d, at).help(format!("did you mean \"{near}={held}\"?")),
                        None => parameter(d, at),
                    }
                }
            });
        }
    }
    match zone {
        true => Ok(()),
        false => {
            let text = format!("\"{}\" must have \"keys_zone\" parameter", d.name.str());
            Err(Fault::new(d.next_argument(), text).help("keys_zone=name:10m"))
        }
    }
}

fn aio(b: &mut Build, d: &Directive) -> Result<(), Fault> {
    let word = d.args[0].str();
    match word.strip_prefix("threads=") {
        None => one_of(d, 0, &["on", "off", "threads"]),
        Some(name) if name.contains('$') => text(b, d, 0),
        Some(name) => {
            b.thread_pools.used.push((name.into(), d.args[0].span));
            Ok(())
        }
    }
}

/// As nginx, which overlooks parameters that it does not know.
fn thread_pool(b: &mut Build, d: &Directive) -> Result<(), Fault> {
    let name = d.args[0].str();
    if !b.thread_pools.defined.insert((*name).into()) {
        return Err(Fault::new(d.args[0].span, format!("duplicate thread pool \"{name}\"")));
    }
    let mut has_threads = false;
    for word in &d.args[1..] {
        let text = word.str();
        for (key, least) in [("threads", 1), ("max_queue", 0)] {
            let Some(count) = text.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) else { continue };
            if value::number(count.as_bytes(), u64::MAX).is_ok_and(|count| count >= least) {
                has_threads |= key == "threads";
            } else {
                return Err(Fault::new(word.span, format!("invalid {key} value \"{text}\"")));
            }
        }
    }
    match has_threads {
        true => Ok(()),
        false => {
            Err(Fault::new(d.next_argument(), "\"thread_pool\" must have \"threads\" parameter").help("threads=32"))
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
    match words.iter().any(|word| word.eq_ignore_ascii_case(&text) || word.ends_with('=') && text.starts_with(word)) {
        true => Ok(()),
        false => Err(invalid(d, at).help(match words {
            ["on", "off"] => "write `on` or `off`".to_owned(),
            words => suggest::one_of(&text, words),
        })),
    }
}
