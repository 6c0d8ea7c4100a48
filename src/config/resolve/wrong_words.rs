//! Errors in the arguments of a known directive in the right context: the message, and the correction.

use super::{lexical, markup, placeholder, remedy, siblings};
use crate::config::ast::{Directive, Span, Word, written};
use crate::config::build::Build;
use crate::config::context::{Args, Contexts};
use crate::config::error::PLACEHOLDER;
use crate::config::fault::Fault;
use crate::config::row::Row;
use crate::config::{suggest, syntax};

/// Directives whose last argument is free text, often left unquoted.
const TAKES_TEXT: [&str; 14] = [
    "return",
    "add_header",
    "add_trailer",
    "proxy_set_header",
    "auth_basic",
    "root",
    "alias",
    "set",
    "default_type",
    "fastcgi_param",
    "rewrite",
    "access_log",
    "error_log",
    "auth_basic_user_file",
];

impl Build {
    /// Reports a directive that its row rejects, with a correction if the row suggests one.
    pub(super) fn wrong(&mut self, here: Contexts, row: &Row, d: &Directive, fault: Fault) {
        if let Some((first, second)) = self.swallowed(here, d) {
            let fault = syntax::missing_semicolon(&first, &second);
            return self.error(self.comment_in_value(&first).unwrap_or(fault));
        }
        // `listen 80 root /srv;`: the word at fault begins another directive.
        if let Some((first, second)) =
            self.joined_in_line(here, row.args, d).filter(|(_, second)| second.name.span == fault.span)
        {
            return self.error(syntax::missing_semicolon(&first, &second));
        }
        if let Some((span, help)) = lexical::curly_phrase(d) {
            return self.error(Fault { span, help: Some(help), ..fault });
        }
        self.define_anyway(row.name, d);
        let text = String::from_utf8_lossy(self.sources.slice(fault.span)).into_owned();
        let is_list = lexical::LISTS.contains(&row.name);
        let is_list = is_list
            || matches!(
                row.name,
                "listen" | "allow" | "deny" | "set_real_ip_from" | "dav_access" | "upload_store_access"
            );
        let has_comma = |word: &&Word| word.bytes().ends_with(b",") || is_list && word.bytes().contains(&b',');
        let comma = d.args.iter().find(|word| !word.quoted && has_comma(word));
        if let Some(dash) = text.chars().find(|c| matches!(c, '–' | '—' | '−')) {
            let help = format!("a plain `-` is meant, not the dash `{dash}` (U+{:04X})", u32::from(dash));
            return self.error(Fault { help: Some(help), ..fault });
        }
        if let Some((span, help)) =
            placeholder::unfilled(d).or_else(|| lexical::blank_value(d, fault.span, &self.sources))
        {
            return self.error(Fault { span, help: Some(help), ..fault });
        }
        let help = match (&fault.help, comma) {
            (_, Some(_)) => Some(without_commas(row, d)),
            // Variables may occur in any value.
            (Some(_), _) if fault.message.contains("variable") && fault.message.contains("closing bracket") => None,
            (given, _) => match remedy::of_value(d, &fault).filter(|_| !fault.message.contains("duplicate")) {
                Some(help) => Some(help),
                None if d.args.len() == 1 && is_none_of(row, &text) => Some(format!("write {} off;", row.name)),
                None if given.as_ref().is_some_and(|given| given.starts_with("write ")) => None,
                None if given.is_some() => {
                    let is_set = ["value", "parameter", "method"]
                        .iter()
                        .any(|what| fault.message.contains(&format!("invalid {what} ")));
                    given.as_ref().filter(|_| is_set).and_then(|given| nearest_in(given, &text))
                }
                None if fault.message.contains("duplicate") => Some("remove one of the two".to_owned()),
                None if fault.message.contains("invalid") || fault.message.contains("unknown") => {
                    Some(from_doc(row, &text))
                }
                None => remedy::example(row.name, row.args).map(|example| format!("as in: {example}")),
            },
        };
        let span = self.wrong_part(row, d, &fault, comma).unwrap_or(fault.span);
        self.error(match help {
            Some(help) => Fault { span, help: Some(help), ..fault },
            None => Fault { span, ..fault },
        });
    }

    /// `add_header X-Colour #ff0000;`: the value was read as a comment, and the `;` with it.
    fn comment_in_value(&self, first: &Directive) -> Option<Fault> {
        let (file, after) = (first.close.file, first.close.start as usize);
        let rest = self.sources.bytes(file).get(after..)?;
        let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))?;
        let hash = line.iter().position(|byte| *byte != b' ' && *byte != b'\t')?;
        let text = line.get(hash..)?.strip_prefix(b"#")?;
        let value = text.get(..memchr::memchr(b';', text)?)?;
        let is_value = !value.is_empty() && !value.contains(&b'#') && !value.iter().any(u8::is_ascii_whitespace);
        let span = Span::new(file, (after + hash) as u32, (after + hash + 1 + value.len()) as u32);
        let value = String::from_utf8_lossy(value).into_owned();
        is_value.then(|| {
            Fault::new(span, syntax::not_terminated(&first.name))
                .label("a comment begins here: nothing after the `#` is read")
                .help(format!(
                    "a value that begins with `#` needs quotes: {} {} {};",
                    first.name.str(),
                    syntax::line(&first.args),
                    syntax::quoted(&format!("#{value}"))
                ))
        })
    }

    /// The wrong part of a word: a comma, a parameter's value, the port of an address.
    fn wrong_part(&self, row: &Row, d: &Directive, fault: &Fault, comma: Option<&Word>) -> Option<Span> {
        let word = d.args.iter().find(|word| word.span == fault.span && !word.quoted)?;
        // The word has no escapes, so that offsets in the text and the source agree.
        let text =
            std::str::from_utf8(self.sources.slice(word.span)).ok().filter(|text| text.as_bytes() == word.bytes())?;
        if comma.is_some_and(|comma| comma.span == word.span) {
            let at = text.find(',')?;
            return Some(word.span.part(at, at + 1));
        }
        if let Some((key, value)) = text.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty())
            && row.doc.contains(&format!("{key}="))
        {
            return Some(word.span.part(text.len() - value.len(), text.len()));
        }
        if fault.message.starts_with("invalid port") {
            let start = text.find("://").map_or(0, |at| at + 3);
            let at = start + text.get(start..)?.find('/').unwrap_or(text.len() - start);
            let colon = text.get(..at)?.rfind(':').filter(|colon| *colon >= start && colon + 1 < at)?;
            return Some(word.span.part(colon + 1, at));
        }
        None
    }
}

/// `dav_methods none`: a list that is off unless it names something.
fn is_none_of(row: &Row, text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    row.default == "off" && row.args != Args::FLAG && matches!(&*lower, "none" | "no" | "false" | "disabled")
}

/// The correction for commas between words or at their ends.
fn without_commas(row: &Row, d: &Directive) -> String {
    let text = matches!(row.name, "add_header" | "add_trailer").then(|| remedy::of_text(d)).flatten();
    match (row.name, text) {
        // `public, max-age=60` is one value.
        (_, Some((_, help))) => help,
        ("listen", _) => listen_each(d),
        ("allow" | "deny" | "set_real_ip_from" | "server", _) => remedy::one_each(d),
        (name, _) => {
            format!("words are separated by spaces, the comma is part of the word: {name} {};", parted(d).join(" "))
        }
    }
}

/// The words between commas. Those in quotes are whole.
fn parted(d: &Directive) -> Vec<String> {
    let parts = d.args.iter().flat_map(|word| match word.quoted {
        true => vec![syntax::as_written(word)],
        false => word.str().split(',').filter(|part| !part.is_empty()).map(syntax::quoted).collect(),
    });
    parts.collect()
}

/// A directive with a block that has none.
fn without_block(d: &Directive) -> Fault {
    let name = d.name.str();
    let text = format!("directive \"{name}\" has no opening \"{{\"");
    let fault = Fault::new(remedy::before_block(d).span.after(), text);
    if d.name.is("if") && d.args.first().is_some_and(|word| word.bytes().starts_with(b"[")) {
        return fault.help("a condition is written in parentheses, a block in braces: if (-f $request_filename) { … }");
    }
    fault
        .label(format!("missing `{{` after `{}`", remedy::before_block(d).str()))
        .help(format!("a block follows: {}", remedy::as_block(d)))
}

/// The fault of a missing or surplus block, or of a wrong number of arguments.
pub(super) fn wrong_shape(d: &Directive, args: Args) -> Fault {
    let name = d.name.str();
    if args.is_block() && d.block.is_none() {
        return without_block(d);
    }
    if d.block.is_some() && !args.is_block() {
        let fault = Fault::new(d.name.span, format!("directive \"{name}\" is not terminated by \";\""));
        // A single word in braces was probably meant as the value.
        let inside: Vec<&Directive> = d.block.iter().flatten().collect();
        let words: Vec<&Word> = d.args.iter().chain(inside.iter().flat_map(|line| line.words())).collect();
        let value = match inside[..] {
            [one] if args.accepts(words.len()) && one.block.is_none() => syntax::line(words.iter().copied()),
            _ => syntax::line(&d.args),
        };
        return fault
            .label(format!("`{name}` takes no block"))
            .help(format!("it ends with `;`: {}", format!("{name} {value}").trim_end().to_owned() + ";"));
    }
    let message = format!("invalid number of arguments in \"{name}\" directive");
    let most = (0..8).rev().find(|n| args.accepts(*n)).unwrap_or(0);
    if args.is_block() {
        // Mark the surplus words; if words are missing, their place.
        let span = d.surplus(most).unwrap_or_else(|| d.next_argument());
        let fault = Fault::new(span, message).label(format!("it takes {}", args.describe()));
        return Fault { help: remedy::of_shape(d, args), ..fault };
    }
    let is_sign = |word: &&Word| !word.quoted && ["=", ":", ":=", "=>", "->"].iter().any(|sign| word.is(sign));
    if let Some(sign) = d.args.iter().take(2).find(is_sign) {
        let rest: Vec<&Word> = d.args.iter().filter(|word| word.span != sign.span).collect();
        let help = format!("leave out the `{}`: {name} {};", sign.str(), syntax::line(rest));
        return Fault::new(sign.span, message).help(help);
    }
    if let Some(word) = d.args.iter().find(|word| !word.quoted && word.bytes().starts_with(b"<%")) {
        return Fault::new(word.span, message).help(PLACEHOLDER);
    }
    if let Some((span, help)) = markup::continued(d) {
        return Fault::new(span, message).help(help);
    }
    if let Some(fault) = torn_text(d, args, most, &message) {
        return fault;
    }
    if let Some((span, help)) = siblings::of_shape(d) {
        return Fault::new(span, message).label(format!("it takes {}", args.describe())).help(help);
    }
    let help = remedy::of_shape(d, args).unwrap_or_else(|| format!("it takes {}", args.describe()));
    // Two words in one are neither too many nor missing.
    if help.starts_with("two words") {
        return Fault::new(d.args_span(), message).help(help);
    }
    let from = d.args.first().filter(|word| word.is("from") && d.args.len() == 2).map(|from| from.span);
    let wrong = from.or(d.surplus(most));
    match wrong {
        Some(span) => Fault::new(span, message).label(format!("it takes {}", args.describe())).help(help),
        None => Fault::new(d.next_argument(), message).label("an argument is missing here").help(help),
    }
}

/// An unquoted text, which makes too many arguments.
fn torn_text(d: &Directive, args: Args, most: usize, message: &str) -> Option<Fault> {
    let name = d.name.str();
    if !TAKES_TEXT.contains(&&*name) || d.args.len() <= most || most == 0 {
        return None;
    }
    if let Some((span, help)) = password_file(d).or_else(|| remedy::of_text(d)) {
        return Some(Fault::new(span, message).label(format!("it takes {}", args.describe())).help(help));
    }
    if d.args[0].is("*")
        && let Some(help) = remedy::of_shape(d, args)
    {
        return Some(Fault::new(d.args[0].span, message).help(help));
    }
    let (taken, surplus) = d.args.split_at(most);
    let is_path = |word: &Word| word.bytes().starts_with(b"/");
    let help = match taken.last().is_some_and(is_path) && surplus.iter().all(is_path) {
        true => format!("it takes only one path: {name} {};", syntax::line(taken)),
        false => format!("a value with spaces needs quotes: {name} {}", quoted_tail(d, most - 1)),
    };
    Some(Fault::new(d.surplus(most)?, message).label(format!("it takes {}", args.describe())).help(help))
}

/// One `listen` per comma-separated address; `127.0.0.1,8080` is an address and its port.
fn listen_each(d: &Directive) -> String {
    let words: Vec<_> = d.args.iter().map(Word::str).collect();
    let words = words.join(",");
    let addresses: Vec<_> = words.split(',').filter(|address| !address.is_empty()).collect();
    if let [host, port] = addresses[..]
        && host.contains('.')
        && port.parse::<u16>().is_ok()
    {
        return format!("a colon comes before the port: listen {host}:{port};");
    }
    let is_parameter =
        |word: &&str| matches!(*word, "ssl" | "http2" | "default_server" | "proxy_protocol" | "reuseport");
    if let [address, parameters @ ..] = &addresses[..]
        && !parameters.is_empty()
        && parameters.iter().all(is_parameter)
    {
        return format!("words are separated by spaces: listen {address} {};", parameters.join(" "));
    }
    let lines: Vec<_> = addresses.iter().map(|address| format!("listen {address};")).collect();
    format!("another address is another `listen`, without a comma: {}", lines.join(" "))
}

/// `auth_basic "Members" /etc/htpasswd;`
fn password_file(d: &Directive) -> Option<(Span, String)> {
    let [realm, file] = &d.args[..] else { return None };
    if d.name.is("auth_basic") && file.bytes().contains(&b':') && !file.bytes().contains(&b' ') {
        let help = format!(
            "users and their password hashes belong in a file: auth_basic {}; auth_basic_user_file PATH;",
            syntax::in_quotes(&realm.str())
        );
        return Some((file.span, help));
    }
    let is_meant = d.name.is("auth_basic") && file.bytes().contains(&b'/');
    let (realm, path) = (syntax::in_quotes(&realm.str()), syntax::as_written(file));
    let help = format!("the file has a directive of its own: auth_basic {realm}; auth_basic_user_file {path};");
    is_meant.then_some((file.span, help))
}

/// Text shortened to a recognizable length.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The arguments, with those from `from` on as one quoted word.
fn quoted_tail(d: &Directive, from: usize) -> String {
    let (kept, text) = d.args.split_at(from);
    let text = syntax::in_quotes(&shown(&written(text)));
    format!("{}{}{text};", syntax::line(kept), if kept.is_empty() { "" } else { " " })
}

/// The word most likely meant, out of a sentence that lists the allowed ones.
fn nearest_in(help: &str, word: &str) -> Option<String> {
    let words = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (key, value) = key_and_value(word);
    let value = &*value;
    // The sentence already explains why the word is not allowed.
    if help.contains(&format!("{key} is not ")) {
        return None;
    }
    let near = suggest::nearest(
        key,
        words.filter(|known| known.len() > 2 && *known != key && !matches!(*known, "mean" | "one")),
    )?;
    (!help.contains("did you mean")).then(|| format!("did you mean \"{near}{value}\"?"))
}

/// A parameter from the row's documentation that resembles the word; otherwise the documentation's first sentence and
/// an example.
fn from_doc(row: &Row, word: &str) -> String {
    let authority = word.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return "no user belongs here: proxy_set_header Authorization \"Basic BASE64\" sends one".to_owned();
    }
    let (key, value) = key_and_value(word);
    let words = row.doc.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-'));
    let words = words.map(|word| word.trim_end_matches(['.', '-'])).filter(|known| known.len() > 1 && *known != key);
    // With `:` in place of `=`, the name itself is the nearest.
    if word.starts_with(&format!("{key}:")) && row.doc.contains(&format!("{key}=")) {
        return format!("did you mean \"{key}{value}\"?");
    }
    let near = || suggest::nearest(key, words);
    let switches = row.doc.contains("on, off") || row.doc.contains("on or off") || row.doc.contains("off");
    match word.to_ascii_lowercase().as_str() {
        "no" | "false" | "0" | "disable" | "disabled" | "none" if switches => {
            return format!("write {} off;", row.name);
        }
        "yes" | "true" | "1" | "enable" | "enabled" if row.doc.contains("on, off") || row.doc.contains("on or off") => {
            return format!("write {} on;", row.name);
        }
        _ => {}
    }
    if let Some(near) = near() {
        return format!("did you mean \"{near}{value}\"?");
    }
    let first = row.doc.split_once(". ").map_or(row.doc, |(first, _)| first);
    let first = first.trim_end_matches('.');
    match remedy::example(row.name, row.args).filter(|_| !row.contexts.intersects(Contexts::UPSTREAM)) {
        Some(example) => format!("as in: {example} ({first})"),
        None => format!("`{}` takes {}: {first}", row.name, row.args.describe()),
    }
}

/// `key` and `=value`, also of `key:value`.
fn key_and_value(word: &str) -> (&str, String) {
    word.split_once(['=', ':']).map_or((word, String::new()), |(key, value)| (key, format!("={value}")))
}
