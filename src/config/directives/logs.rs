//! access_log, log_format and error_log.

use super::syslog;
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{ErrorLog, Level, LogTarget};
use crate::config::row::{Effect, HSLI, Row, row};
use crate::config::settings::list::List;
use crate::config::settings::logs::{AccessLog, AccessTarget, Escape, LineFormat, LogFormat, Logging, PathCache};
use crate::config::suggest;
use crate::config::template::{Part, Template};
use crate::config::value::{Millis, Size};
use std::rc::Rc;

/// Maximum bytes of a log compressed at once: some milliseconds at the highest level.
const GZIP: u64 = 64 << 10;

pub const ROWS: &[Row] = &[
    row(
        "access_log",
        HSLI.or(Contexts::LIMIT_EXCEPT),
        Args::ONE_OR_MORE,
        "off",
        Effect::Many(access_log),
        "Where requests are logged: a path (variables allowed), syslog:server=ADDRESS|unix:PATH[,facility=…][,severity=…][,tag=…][,nohostname] or off, then a format and buffer=SIZE, flush=TIME, if=CONDITION. Lines of one turn of the event loop are written together. Without it no access is logged; with -c, as in nginx, logs/access.log is.",
    ),
    row(
        "log_format",
        Contexts::HTTP,
        Args::TWO_OR_MORE,
        "combined \"...\"",
        Effect::Many(log_format),
        "Names a format of access_log lines; escape=default|json|none.",
    ),
    row(
        "error_log",
        Contexts::MAIN.or(Contexts::HSL),
        Args::ONE_OR_MORE,
        "logs/error.log error",
        Effect::Many(error_log),
        "Where diagnostics go (a path, stderr or syslog:server=…) and from which level on; several of a level are all written. Levels: debug, info, notice, warn, error, crit, alert, emerg. Ours: json makes each line one JSON object, always valid UTF-8; rate=N writes at most N lines a second and then says how many were left out.",
    ),
    row(
        "open_log_file_cache",
        Contexts::HSL,
        Args::TAKE1234,
        "off",
        Effect::Once(open_log_file_cache),
        "Keeps files of access logs whose path has variables open: max=N, inactive=TIME, min_uses=N, valid=TIME; or off.",
    ),
    row(
        "log_subrequest",
        Contexts::HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.logs).subrequests),
        "Whether what SSI includes gets lines of its own in the access log.",
    ),
];

fn open_log_file_cache(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut cache = PathCache { max: 0, inactive: 10_000, valid: 60_000, min_uses: 1 };
    let mut off = false;
    for word in &d.args {
        let text = word.str();
        let bad = || Fault::new(word.span, format!("invalid \"open_log_file_cache\" parameter \"{text}\""));
        let time = |text: &str| Millis::parse_seconds(text.as_bytes()).map(|ms| ms.0).map_err(|_| bad());
        match text.split_once('=') {
            None if text == "off" => off = true,
            Some(("max", n)) => cache.max = n.parse().ok().ok_or_else(bad)?,
            Some(("inactive", t)) => cache.inactive = time(t)?,
            Some(("valid", t)) => cache.valid = time(t)?,
            Some(("min_uses", n)) => cache.min_uses = n.parse().ok().ok_or_else(bad)?,
            _ => return Err(bad()),
        }
    }
    if !off && cache.max == 0 {
        return Err(Fault::new(d.args_span(), "\"open_log_file_cache\" must have \"max\" parameter"));
    }
    Rc::make_mut(&mut s.settings.logs).paths = (!off).then_some(cache);
    Ok(())
}

fn log_format(_: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let name = d.args[0].str().into_owned();
    if b.formats.contains_key(name.as_str()) {
        let fault = Fault::new(d.args[0].span, format!("duplicate \"log_format\" name \"{name}\""));
        return Err(match b.format_places.get(name.as_str()) {
            Some(first) => fault.note(*first, "first given here").help("give it another name, or remove one"),
            None => fault.help(format!("`{name}` is built in: give yours another name")),
        });
    }
    b.format_places.insert(name.as_str().into(), d.args[0].span);
    let mut escape = Escape::Default;
    let mut from = 1;
    if let Some(kind) = d.args[1].bytes().strip_prefix(b"escape=") {
        escape = match kind {
            b"default" => Escape::Default,
            b"json" => Escape::Json,
            b"none" => Escape::None,
            _ => {
                let kind = String::from_utf8_lossy(kind);
                let near = suggest::nearest(&kind, ["default", "json", "none"]).unwrap_or("json");
                let message = format!("unknown log format escaping \"{kind}\"");
                return Err(Fault::new(d.args[1].span, message).help(format!("did you mean escape={near}?")));
            }
        };
        from = 2;
    }
    // Parse each word by itself before joining them, so that no variable name continues into the next word.
    let mut parts = Vec::new();
    for at in from..d.args.len() {
        for part in b.template(d, at)?.parts {
            if let Part::Capture(digit) = part {
                let text = format!("unknown \"{digit}\" variable");
                return Err(Fault::new(d.args[at].span, text)
                    .help("a log format has no captures of a regex; name the group: (?<name>…), then $name"));
            }
            parts.push(part);
        }
    }
    let line = Template { parts: parts.into() };
    b.formats.insert(name.as_str().into(), Rc::new(LogFormat { escape, line, combined: false }));
    Ok(())
}

fn access_log(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let logs = Rc::make_mut(&mut s.settings.logs);
    logs.access_off &= !s.first;
    if d.args[0].is("off") {
        return access_log_off(logs, d);
    }
    let mut format = None;
    let (mut condition, mut buffer, mut flush, mut gzip) = (None, None, None, None);
    for (at, word) in d.args.iter().enumerate().skip(1) {
        let bytes = word.bytes();
        let bad = || Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
        // The second word is always the name of a format (nginx).
        if at == 1 {
            format = Some(named_format(b, d, word)?);
        } else if let Some(size) = bytes.strip_prefix(b"buffer=") {
            let wrong = || {
                let fault = Fault::new(word.span, format!("invalid buffer size \"{}\"", String::from_utf8_lossy(size)));
                fault.help("write a size that is not 0, as in: buffer=32k")
            };
            buffer = Some(Size::parse(size).ok().map(|size| size.0).filter(|n| *n > 0).ok_or_else(wrong)?);
        } else if let Some(time) = bytes.strip_prefix(b"flush=") {
            flush = Some(flush_time(time, word)?);
        } else if let Some(text) = bytes.strip_prefix(b"if=") {
            condition = Some(b.template_of(text, word.span)?);
        } else if bytes == b"gzip" {
            gzip = Some(1);
        } else if let Some(level) = bytes.strip_prefix(b"gzip=") {
            let level = std::str::from_utf8(level).ok().and_then(|n| n.parse().ok()).filter(|n| (1..=9).contains(n));
            gzip = Some(level.ok_or_else(bad)?);
        } else {
            return Err(bad());
        }
    }
    if gzip.is_some() {
        // As in nginx, compression needs a buffer.
        buffer = buffer.or(Some(GZIP));
    }
    let of_buffer = d.args.iter().skip(1).find(|word| word.bytes().starts_with(b"flush=")).unwrap_or(&d.args[0]);
    if flush.is_some() && buffer.is_none() {
        return Err(Fault::new(of_buffer.span, format!("no buffer is defined for access_log \"{}\"", d.args[0].str())));
    }
    let target = access_target(b, d, buffer.is_some())?;
    if let (AccessTarget::File(file), Some(size)) = (&target, buffer)
        && *b.buffered_logs.entry(*file).or_insert((size, flush, gzip)) != (size, flush, gzip)
    {
        let path = d.args[0].str();
        return Err(Fault::new(
            d.args_span(),
            format!("access_log \"{path}\" already defined with conflicting parameters"),
        )
        .help("one file has one buffer: give it the same buffer=, flush= and gzip= in each line"));
    }
    let format = format.unwrap_or_else(|| b.combined());
    // Compression blocks the event loop, so a larger buffer would be compressed in pieces anyway.
    let buffer = buffer.map(|size| if gzip.is_some() { size.min(GZIP) } else { size });
    let log = AccessLog { target, format, condition, buffer, flush, gzip };
    let logs = Rc::make_mut(&mut s.settings.logs);
    if !logs.access_off {
        logs.access.add(s.first, log);
    }
    Ok(())
}

fn access_log_off(logs: &mut Logging, d: &Directive) -> Outcome {
    if d.args.len() > 1 {
        return Err(Fault::new(d.args[1].span, format!("invalid parameter \"{}\"", d.args[1].str())));
    }
    logs.access = List::default();
    logs.access_off = true;
    Ok(())
}

fn flush_time(time: &[u8], word: &Word) -> Result<u64, Fault> {
    let wrong = || Fault::new(word.span, format!("invalid flush time \"{}\"", String::from_utf8_lossy(time)));
    Millis::parse(time).ok().map(|time| time.0).filter(|ms| *ms > 0).ok_or_else(wrong)
}

fn named_format(b: &Build, d: &Directive, word: &Word) -> Result<Rc<LogFormat>, Fault> {
    if let Some(known) = b.formats.get(word.str().as_ref()) {
        return Ok(known.clone());
    }
    let first = d.args[0].str();
    let is_off = matches!(&*first.to_ascii_lowercase(), "none" | "no" | "false" | "disabled" | "null");
    let meant = match b.formats.contains_key(first.as_ref()) {
        _ if is_off => Some("no log is written by: access_log off;".to_owned()),
        true => Some(format!("the path comes first: access_log {} {first};", word.str())),
        false => suggest::did_you_mean(&word.str(), b.formats.keys().map(|name| &**name)),
    };
    Err(Fault::new(word.span, format!("unknown log format \"{}\"", word.str()))
        .help(meant.unwrap_or_else(|| "define it by log_format in http, above this line".into())))
}

fn access_target(b: &mut Build, d: &Directive, is_buffered: bool) -> Result<AccessTarget, Fault> {
    if d.args[0].bytes().starts_with(b"syslog:") {
        if is_buffered {
            return Err(Fault::new(d.args_span(), "logs to syslog cannot be buffered"));
        }
        return Ok(AccessTarget::Syslog(Rc::new(syslog::parse(d, &b.process.hostname)?)));
    }
    if d.args[0].is_empty() {
        return Ok(AccessTarget::File(b.log_file(b"/dev/stderr")));
    }
    let path = b.prefixed_path_template(d, 0)?;
    match path.constant() {
        Some(path) => Ok(AccessTarget::File(b.log_file(path))),
        None if is_buffered => Err(Fault::new(d.args[0].span, "buffered logs cannot have variables in name")),
        None => Ok(AccessTarget::Path(path)),
    }
}

/// Parses `100`, or `100r/s` as in limit_req.
fn lines_a_second(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_suffix("r/s").or(text.strip_suffix("/s")).unwrap_or(text);
    digits.parse().ok().filter(|rate| *rate > 0)
}

fn error_log(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let mut level = Level::Error;
    let (mut has_level, mut format, mut rate) = (false, LineFormat::Text, None);
    for word in d.args.iter().skip(1) {
        if word.is("json") {
            format = LineFormat::Json;
            continue;
        }
        if let Some(number) = word.bytes().strip_prefix(b"rate=") {
            rate = Some(lines_a_second(number).ok_or_else(|| {
                Fault::new(word.span, format!("invalid rate \"{}\"", word.str())).help("lines a second, as in rate=100")
            })?);
            continue;
        }
        if std::mem::replace(&mut has_level, true) && !word.bytes().starts_with(b"debug_") {
            return Err(Fault::new(word.span, format!("duplicate log level \"{}\"", word.str())));
        }
        level = match Level::of(&word.str()) {
            Some(level) => level,
            None if word.bytes().starts_with(b"debug_") => Level::Debug,
            None => {
                return Err(Fault::new(word.span, format!("invalid log level \"{}\"", word.str()))
                    .help(Level::NAMES.join(", ")));
            }
        };
    }
    let word = &d.args[0];
    let target = match word.bytes() {
        b"stderr" | b"" => LogTarget::Stderr,
        path if path.starts_with(b"syslog:") => LogTarget::Syslog(Rc::new(syslog::parse(d, &b.process.hostname)?)),
        path if path.starts_with(b"memory:") => {
            return Err(
                Fault::new(word.span, "error_log to memory is not supported").help("log to a file or to stderr")
            );
        }
        path => LogTarget::File(b.log_file_from_prefix(path)),
    };
    let logs = Rc::make_mut(&mut s.settings.logs);
    let also = (!s.first).then(|| Rc::new(logs.error.clone()));
    logs.error = ErrorLog { target, level, format, rate, also };
    if s.context == Contexts::MAIN {
        b.process.error_log = logs.error.clone();
    }
    Ok(())
}
