//! Checks how words are written: lookalike characters, syntax of other languages, wrong comment signs, merge and
//! template markers. These messages about an unknown name take precedence over "did you mean".

use super::languages::{latin, other_language};
use crate::config::ast::{Directive, Span, Word};
use crate::config::build::Build;
use crate::config::context::Contexts;
use crate::config::error::Diagnostic;
use crate::config::registry;
use crate::config::sources::Sources;
use crate::config::syntax;
use std::net::IpAddr;

impl Build {
    /// Warns about lookalike characters and paths of another system: accepted as written, as in nginx, but not meant.
    pub(super) fn odd_characters(&mut self, d: &Directive) {
        if d.args.iter().all(|word| !word.quoted && is_plain(word)) && !is_path(d) {
            return;
        }
        if let Some((span, help)) = curly_phrase(d) {
            let warning = Diagnostic::warn(span, "typographic quotes are part of the words, not quotes");
            return self.diagnostics.push(warning.help(help));
        }
        let is_path = is_path(d);
        for word in &d.args {
            let raw = self.sources.slice(word.span);
            if let Some(warning) = is_path.then(|| odd_path(word, raw)).flatten().or_else(|| odd_word(d, word)) {
                self.diagnostics.push(warning);
            }
        }
    }

    /// As [`Build::odd_characters`], for a data line such as in a `map`, whose key is a value too.
    pub(in crate::config) fn odd_line(&mut self, line: &Directive) {
        self.odd_characters(line);
        if let Some(warning) = colon_behind(line) {
            return self.diagnostics.push(warning);
        }
        if !is_plain(&line.name)
            && let Some(warning) = odd_word(line, &line.name)
        {
            self.diagnostics.push(warning);
        }
    }
}

/// `default: 0;`, `text/css: css;`: a colon after the key, as in YAML. An IPv6 address may end with colons: `fe80::`.
fn colon_behind(line: &Directive) -> Option<Diagnostic> {
    let key = &line.name;
    let plain = key.bytes().strip_suffix(b":").filter(|plain| !plain.is_empty() && !plain.contains(&b':'))?;
    // `map $scheme: $x` has keys such as `https:`.
    if key.quoted || plain.starts_with(b"~") || matches!(plain, b"http" | b"https") {
        return None;
    }
    let plain = String::from_utf8_lossy(plain).into_owned();
    let warning = Diagnostic::warn(key.span, format!("the colon is part of the word \"{}\"", key.str()));
    Some(warning.help(format!("leave out the colon: {plain} {};", syntax::line(&line.args))))
}

/// Directives whose arguments are paths.
const PATHS: [&str; 8] =
    ["root", "alias", "access_log", "error_log", "pid", "include", "upload_store", "auth_basic_user_file"];

fn is_path(d: &Directive) -> bool {
    PATHS.iter().any(|name| d.name.is(name))
}

/// Fast path: most words contain no suspicious character.
fn is_plain(word: &Word) -> bool {
    word.bytes()
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b':' | b'-' | b'$'))
}

fn odd_path(word: &Word, raw: &[u8]) -> Option<Diagnostic> {
    let raw = if word.quoted { raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default() } else { raw };
    match raw {
        [drive, b':', b'\\' | b'/', rest @ ..] if drive.is_ascii_alphabetic() && !rest.starts_with(b"/") => {
            let name = String::from_utf8_lossy(rest).replace('\\', "/");
            let warning = Diagnostic::warn(
                word.span,
                "a path of Windows: here paths begin with `/`, and a relative one is taken from the prefix",
            );
            Some(warning.help(format!("write it as in: /srv/{}", name.trim_start_matches('/'))))
        }
        [b'~', b'/', rest @ ..] => {
            let warning = Diagnostic::warn(word.span, "`~` is a letter of the path here, not your home directory");
            let rest = String::from_utf8_lossy(rest);
            Some(warning.help(format!("write the whole path, as in: /home/{}/{rest}", user_name())))
        }
        _ => None,
    }
}

/// The home directory that `~` probably means.
fn user_name() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or("alice".into())
}

/// Directives with lists, in which commas are no separators.
pub const LISTS: [&str; 12] = [
    "try_files",
    "index",
    "gzip_types",
    "charset_types",
    "allowed_methods",
    "dav_methods",
    "ssl_protocols",
    "proxy_next_upstream",
    "valid_referers",
    "upload_extensions",
    "resolver",
    "ssi_types",
];

/// `text/css,text/xml`, `.jpg,.png`, `a.html,b.html`: a comma in place of the space.
fn joined_types(d: &Directive, word: &Word) -> Option<Diagnostic> {
    // This runs for each word, and few belong to such a list.
    let takes_list =
        d.name.bytes().ends_with(b"_types") || matches!(d.name.bytes(), b"upload_extensions" | b"index" | b"try_files");
    if !takes_list || !word.bytes().contains(&b',') {
        return None;
    }
    let text = word.str();
    let is_list = |joins: &str| joins.split(',').all(|one| !one.is_empty());
    let is_joined = match d.name.bytes() {
        b"upload_extensions" => is_list(&text),
        b"index" => is_list(&text) && text.split(',').all(|name| name.contains('.') && !name.contains('$')),
        b"try_files" => is_list(&text) && text.split(',').all(|name| name.starts_with(['$', '/', '=', '@'])),
        _ => text.matches('/').count() > 1,
    };
    if !is_joined {
        return None;
    }
    let warning = Diagnostic::warn(word.span, format!("the comma is part of the word \"{text}\""));
    Some(warning.help(format!("words are separated by spaces: {}", text.replace(',', " "))))
}

/// What is suspicious about the characters of a word.
pub fn odd_word(d: &Directive, word: &Word) -> Option<Diagnostic> {
    if let Some(warning) = super::placeholder::shell_escape(d, word).or_else(|| joined_types(d, word)) {
        return Some(warning);
    }
    if word.quoted || is_plain(word) {
        return None;
    }
    let text = word.str();
    if text.ends_with(',') && text.len() > 1 && LISTS.iter().any(|name| d.name.is(name)) {
        let warning = Diagnostic::warn(word.span, format!("the comma is part of the word \"{text}\""));
        let is_first =
            d.args.iter().find(|other| other.bytes().ends_with(b",")).is_none_or(|first| first.span == word.span);
        return is_first.then(|| warning.help(without_commas(d)));
    }
    let is_first = d.args.first().is_some_and(|first| first.span == word.span);
    if matches!(&*text, "=" | "=>") && is_first && LISTS.iter().any(|name| d.name.is(name)) {
        let warning = Diagnostic::warn(word.span, format!("`{text}` is a word of the list here"));
        let rest = syntax::line(d.args.iter().skip(1));
        return Some(warning.help(format!("leave out the `{text}`: {} {rest};", d.name.str())));
    }
    // `root /srv";`: a single quote character, at the end.
    if let [rest @ .., quote @ (b'"' | b'\'')] = word.bytes()
        && !rest.contains(quote)
        && rest.len() > 1
        && !d.name.is("log_format")
    {
        let warning = Diagnostic::warn(word.span, "a quote inside a word is part of it");
        let quote = char::from(*quote);
        let plain = text.trim_end_matches(quote);
        return Some(warning.help(format!("remove it, or write {quote}{plain}{quote}")));
    }
    if super::placeholder::is_placeholder(d, &text) {
        let warning = Diagnostic::warn(word.span, format!("\"{text}\" is a placeholder that was not filled in"));
        return Some(warning.help("replace it with what is meant, without the marks around it"));
    }
    if text.starts_with(CURLY) || text.ends_with(CURLY) {
        let what = if text.contains('`') { "backticks" } else { "typographic quotes" };
        let warning = Diagnostic::warn(word.span, format!("{what} are part of the value, not quotes"));
        let plain = text.replace(CURLY, "");
        return Some(warning.help(format!("use straight quotes: \"{plain}\"")));
    }
    if word.bytes().iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return None;
    }
    // `＄host`, `｛`: full-width characters of an East Asian keyboard.
    if let Some(wide) = text.chars().find(|c| ('\u{ff01}'..='\u{ff5e}').contains(c) && wide_sign(*c)) {
        let plain: String = text.chars().map(|c| if wide_sign(c) { narrow(c) } else { c }).collect();
        let message = format!("`{wide}` (U+{:04X}) is not the sign `{}`", u32::from(wide), narrow(wide));
        return Some(Diagnostic::warn(word.span, message).help(format!("write {plain}")));
    }
    if goes_on(word.bytes()) {
        let warning = Diagnostic::warn(word.span, "the `\\` at the end of the line is part of a word");
        return Some(warning.help(GOES_ON));
    }
    let (at, blank) = text.char_indices().find(|(_, c)| is_blank(*c))?;
    let plain: String = text.chars().map(|c| if is_blank(c) { ' ' } else { c }).collect();
    let place = word.part(at, at + blank.len_utf8());
    let warning = Diagnostic::warn(place, format!("{} is part of this word", blank_name(blank)));
    Some(warning.help(format!("remove it, or write a plain space: {}", plain.trim())))
}

/// The help for a shell's line continuation (`\\`).
pub const GOES_ON: &str = "a directive goes on over lines until its `;`: remove the `\\`";

const CURLY: [char; 9] = ['“', '”', '„', '‘', '’', '«', '»', '`', '´'];

/// A character that looks like a blank, or like nothing, and separates no words.
pub fn is_blank(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{85}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{3000}' | '\u{feff}' | '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}')
}

/// Whether it is the full-width form of a syntax character.
fn wide_sign(c: char) -> bool {
    matches!(narrow(c), '$' | '{' | '}' | '/' | ':' | '"' | '\'' | '.')
}

fn narrow(c: char) -> char {
    u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).filter(char::is_ascii).unwrap_or(c)
}

/// Whether a line ends in a shell's line continuation (`\`).
pub fn goes_on(text: &[u8]) -> bool {
    let is_last = |at: usize| matches!(text.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..]));
    memchr::memchr_iter(b'\\', text).any(is_last)
}

/// The position of the first such character in a word.
pub fn blank_in(word: &Word, sources: &Sources) -> Option<Span> {
    let raw = String::from_utf8_lossy(sources.slice(word.span));
    let (at, c) = raw.char_indices().find(|(_, c)| is_blank(*c))?;
    Some(word.span.part(at, at + c.len_utf8()))
}

/// The first such character in the argument that an error is about, and what to do about it.
pub fn blank_value(d: &Directive, at: Span, sources: &Sources) -> Option<(Span, String)> {
    let is_it = |word: &&Word| word.span.file == at.file && word.span.start <= at.start && at.start < word.span.end;
    let word = d.args.iter().find(is_it)?;
    let span = blank_in(word, sources)?;
    let text = word.str();
    let c = text.chars().find(|c| is_blank(*c))?;
    let plain: String = text.chars().filter(|c| !is_blank(*c)).collect();
    Some((span, format!("{} is part of this word: remove it, or write a plain space: {plain}", blank_name(c))))
}

fn blank_name(c: char) -> String {
    let name = match c {
        '\u{a0}' | '\u{202f}' => "a no-break space",
        '\u{3000}' | '\u{2000}'..='\u{200a}' => "a space of another width",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "a line separator",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark of the writing direction"
        }
        '\u{ad}' => "a soft hyphen",
        c if c.is_ascii() => "a control character",
        '\u{feff}' => "a byte order mark",
        _ => "an invisible zero-width character",
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// Words that close a shell's `if`.
pub fn is_shell_end(name: &str) -> bool {
    matches!(name, "then" | "fi")
}

/// `DocumentRoot`: the style of Apache's directives, but not of nginx's.
pub fn is_camel(name: &str) -> bool {
    let inner = name.trim_start_matches(['<', '/']);
    let (upper, lower) =
        (inner.bytes().filter(u8::is_ascii_uppercase).count(), inner.bytes().any(|b| b.is_ascii_lowercase()));
    name.starts_with(['<']) && lower || upper > 1 && lower && inner.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The help for a name like `DocumentRoot`; None: it has no capitals like that.
pub fn camel(name: &str) -> Option<String> {
    is_camel(name).then(|| {
        "this looks like a directive of Apache; names are lower case here, as in: server_name, root, proxy_pass"
            .to_owned()
    })
}

/// A phrase in typographic quotes that is split at spaces: its position, and the correct quoting.
pub fn curly_phrase(d: &Directive) -> Option<(Span, String)> {
    let may_begin_one = |byte: &u8| *byte == b'`' || !byte.is_ascii();
    let begins_one = |word: &Word| word.bytes().first().is_some_and(may_begin_one) && word.str().starts_with(CURLY);
    let first = d.args.iter().position(|word| !word.quoted && begins_one(word))?;
    let last = d.args.iter().rposition(|word| !word.quoted && word.str().ends_with(CURLY))?;
    let words = d.args.get(first..=last).filter(|words| words.len() > 1)?;
    let phrase: Vec<_> = words.iter().map(|word| word.str().replace(CURLY, "")).collect();
    let span = words.first()?.span.to(words.last()?.span);
    let what = if words.iter().any(|word| word.bytes().contains(&b'`')) { "backticks" } else { "typographic quotes" };
    Some((span, format!("{what} are not quotes here; use straight ones: \"{}\"", phrase.join(" "))))
}

/// What is wrong with the spelling of a name; the first check that matches is the most specific.
pub fn name(d: &Directive, here: Contexts) -> Option<String> {
    let name = &*d.name.str();
    if d.name.quoted && !name.is_empty() {
        return Some(
            "a text in quotes is not a directive: if it goes on with the one above, that one ended too early by its `;`"
                .into(),
        );
    }
    if name.is_empty() {
        return Some("a line begins with the name of a directive; quotes hold values only".into());
    }
    let spelling = Spelling { d, name, here };
    spelling
        .blank_inside()
        .or_else(|| other_language(name).map(str::to_owned))
        .or_else(|| spelling.variable())
        .or_else(|| spelling.value_joined())
        .or_else(|| spelling.other_alphabet())
        .or_else(|| spelling.sign_between())
        .or_else(|| spelling.member())
        .or_else(|| spelling.value_first())
        .or_else(|| spelling.other_sign())
}

/// A name as written, with its directive.
struct Spelling<'d> {
    d: &'d Directive,
    name: &'d str,
    here: Contexts,
}

impl Spelling<'_> {
    fn known(&self, name: &str) -> bool {
        registry::find(name, self.here).is_some()
    }

    /// `joined`, then the directive's words. Without a `;` they may extend to the end of a file, so at most the first
    /// ones are shown.
    fn words_after(&self, joined: &str) -> String {
        const SHOWN: usize = 8;
        let first = Some(joined).filter(|joined| !joined.is_empty()).map(syntax::quoted);
        let rest = (self.d.args.len() > SHOWN).then(|| "…".to_owned());
        let words = self.d.args.iter().take(SHOWN).map(syntax::as_written);
        first.into_iter().chain(words).chain(rest).collect::<Vec<_>>().join(" ")
    }

    /// Unusual space characters.
    fn blank_inside(&self) -> Option<String> {
        let c = self.name.chars().find(|c| is_blank(*c))?;
        let spaced: String = self.name.chars().map(|c| if is_blank(c) { ' ' } else { c }).collect();
        let plain: String = self.name.chars().filter(|c| !is_blank(*c)).collect();
        let first = spaced.split_whitespace().next().unwrap_or_default();
        let meant = match (self.known(&plain), self.known(first)) {
            (true, _) => format!("; did you mean \"{plain}\"?"),
            (_, true) => format!("; did you mean \"{}\"?", spaced.trim()),
            _ => String::new(),
        };
        Some(format!("it contains {}, where a plain space or nothing belongs{meant}", blank_name(c)))
    }

    /// `$name = value;`
    fn variable(&self) -> Option<String> {
        let name = self.name;
        if name.starts_with("$HTTP[") || name.starts_with("$SERVER[") {
            return Some("lighttpd's condition: a host is a `server { server_name …; }`, a path a `location`".into());
        }
        if !name.starts_with('$') {
            return None;
        }
        if name == "$" {
            return Some("`$` is the prompt of a shell, copied along: remove it".into());
        }
        let value = self.d.args.iter().find(|word| !word.is("=")).map_or("value".into(), |word| word.str());
        let (name, value) = name.split_once('=').unwrap_or((name, &value));
        Some(format!("a variable is set by: set {name} {value};"))
    }

    /// `location=/x {`, `return301 /x;`, `deny_all;`
    fn value_joined(&self) -> Option<String> {
        let name = self.name;
        let location = name.strip_prefix("location").filter(|path| path.starts_with(['=', '^']));
        if let Some(path) = location.filter(|_| self.d.block.is_some()) {
            let sign = path.find(|c: char| !matches!(c, '=' | '^' | '~')).unwrap_or(path.len());
            let (sign, path) = path.split_at_checked(sign)?;
            return Some(format!("spaces are missing: location {sign} {} {{ … }}", self.words_after(path)));
        }
        let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if letters.len() < name.len() && letters.len() > 3 && self.known(letters) {
            let digits = name.strip_prefix(letters)?;
            return Some(format!("a space is missing: {letters} {};", self.words_after(digits)));
        }
        let (head, tail) = name.rsplit_once('_')?;
        (matches!(tail, "all" | "on" | "off") && self.known(head)).then(|| format!("did you mean \"{head} {tail};\"?"))
    }

    /// Letters of another alphabet that look Latin.
    fn other_alphabet(&self) -> Option<String> {
        let latin = latin(self.name).filter(|latin| self.known(latin))?;
        let other = self.name.chars().find(|c| !c.is_ascii())?;
        Some(format!(
            "`{other}` (U+{:04X}) is of another alphabet and only looks Latin; did you mean \"{latin}\"?",
            u32::from(other)
        ))
    }

    /// `root: /srv;`, `root=/srv;`
    fn sign_between(&self) -> Option<String> {
        for (sign, text) in [(":", "no colon stands"), ("=>", "no `=>` stands"), ("=", "no `=` stands")] {
            let Some((key, value)) = self.name.split_once(sign) else { continue };
            let words = self.words_after(value);
            let value = if words.is_empty() { "VALUE" } else { &words };
            if self.known(key) && (self.d.block.is_some() || is_block(key, self.here)) {
                let is_yaml = self.d.block.is_none() && sign == ":";
                let yaml = if is_yaml { "this looks like YAML; " } else { "" };
                let head = if self.d.block.is_some() { format!("{key} {words}") } else { key.to_owned() };
                return Some(format!("{yaml}{text} after the name of a block: {} {{ … }}", head.trim_end()));
            }
            if self.known(key) {
                return Some(format!("{text} after a directive's name: {key} {};", beginning(value)));
            }
            // A shell's `ROOT=/srv`.
            if sign == "=" && !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Some(format!("a variable is set by: set ${} {value};", key.to_ascii_lowercase()));
            }
        }
        None
    }

    /// `upstream u { 127.0.0.1:3000; }`
    fn member(&self) -> Option<String> {
        let port = self.name.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        let is_address = port.is_some_and(|port| port.parse::<u16>().is_ok()) || self.name.parse::<IpAddr>().is_ok();
        let others: String = self.d.args.iter().map(|word| format!(" {}", word.str())).collect();
        let line = format!("server {}{others}", self.name);
        (self.here == Contexts::UPSTREAM && is_address).then(|| format!("a server has its word: {line};"))
    }

    /// `on autoindex;`: the right words in the wrong order.
    fn value_first(&self) -> Option<String> {
        let (d, name) = (self.d, self.name);
        if d.block.is_some() || d.args.len() >= 4 || name.contains('_') {
            return None;
        }
        let word = d.args.iter().find(|word| !word.quoted && self.known(&word.str()))?;
        let is_value = name.bytes().all(|byte| !byte.is_ascii_alphabetic())
            || matches!(
                name,
                "on" | "off"
                    | "true"
                    | "false"
                    | "yes"
                    | "no"
                    | "set"
                    | "enable"
                    | "disable"
                    | "use"
                    | "turn"
                    | "not"
                    | "all"
                    | "from"
            );
        if !is_value {
            return None;
        }
        let verb = matches!(name, "set" | "enable" | "use" | "turn" | "not");
        let rest: Vec<_> = d.args.iter().filter(|other| other.span != word.span).map(|other| other.str()).collect();
        let rest = match (name, rest.is_empty()) {
            ("enable" | "use" | "turn", true) => "on".to_owned(),
            ("disable" | "not", true) => "off".to_owned(),
            _ if verb => rest.join(" "),
            _ => std::iter::once(name.into()).chain(rest).collect::<Vec<_>>().join(" "),
        };
        Some(format!("the name of the directive comes first: {} {rest};", word.str()))
    }

    /// A character that no name contains: the value begins there, or the name is quoted, or it is a host.
    fn other_sign(&self) -> Option<String> {
        let (d, name) = (self.d, self.name);
        let cut = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let (head, rest) = name.split_at_checked(cut)?;
        if !rest.is_empty() && self.known(head) && !rest.starts_with(['-', '.']) {
            return Some(format!("a space is missing: {head} {}", self.words_after(rest)));
        }
        let quoted = name.trim_matches(|c| CURLY.contains(&c) || c == '`' || c == '\\');
        if quoted != name && self.known(quoted) {
            return Some(format!("did you mean \"{quoted}\"? the character before it does not belong to the name"));
        }
        // `server_name a.test; b.test;`
        let is_host =
            name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'*'));
        (is_host && d.args.is_empty() && d.block.is_none() && self.here.intersects(Contexts::SERVER))
            .then(|| format!("several names are one directive: server_name … {name};"))
    }
}

/// Whether a directive has a block.
fn is_block(name: &str, here: Contexts) -> bool {
    registry::find(name, here).is_some_and(|found| found.args().is_block())
}

/// The line without the commas behind its words.
fn without_commas(d: &Directive) -> String {
    let parts = d.args.iter().map(|word| match word.quoted {
        true => syntax::as_written(word),
        false => syntax::quoted(word.str().trim_end_matches(',')),
    });
    format!("words are separated by spaces: {} {};", d.name.str(), parts.collect::<Vec<String>>().join(" "))
}
/// The beginning of a value, enough to recognise it: without a semicolon it may span many lines.
fn beginning(value: &str) -> String {
    const SHOWN: usize = 60;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
