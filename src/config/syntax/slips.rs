//! Typos of form: characters never meant as the `;`, `{` or quote that the grammar takes them for. Each is reported
//! once, and parsing continues after the whole construct, so that no consequential errors are reported.

use super::{Builder, in_quotes, line as syntax_line, quoted, shown, unescape};
use crate::config::ast::{Span, Word};
use crate::config::error::Diagnostic;

impl Builder<'_> {
    /// If the character at `at` is not meant as such, reports what it is and returns where to continue.
    pub(super) fn no_end(&mut self, at: Span) -> Option<usize> {
        if let Some(end) = self.tag_in_angles(at) {
            return Some(end);
        }
        match self.text(at) {
            b"{" if self.too_deep == 0 => {
                let slip = self
                    .quantifier(at)
                    .or_else(|| self.placeholder(at))
                    .or_else(|| self.json_value(at))
                    .or_else(|| self.json_format(at))
                    .or_else(|| self.apache_variable(at));
                slip.or_else(|| self.braced_name(at)).or_else(|| self.brace_in_regex(at))
            }
            b";" if self.too_deep == 0 && self.words.is_empty() => self.semicolon_comment(at),
            b";" if self.too_deep == 0 => self.semicolon_in_regex(at),
            _ => None,
        }
    }

    /// The `{4}` of an unquoted regex.
    fn quantifier(&mut self, at: Span) -> Option<usize> {
        let word = self.words.last()?;
        let span = self.quantified(word, at)?;
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        // nginx's message for the resulting state.
        let brace = self.span(at.start as usize, span.end as usize);
        let error = Diagnostic::emerg(brace, "unexpected end of file, expecting \"}\"")
            .label("the `{` in this regex opens a block: it needs quotes");
        let help = format!("write it in quotes: {}", self.quoted(&written));
        self.errors.push(error.help(help).rewriting(span));
        Some(self.replace_last(span))
    }

    /// Apache's `%{HTTP_HOST}`, as part of a word.
    fn apache_variable(&mut self, at: Span) -> Option<usize> {
        let word = self.words.last().filter(|word| !word.quoted && word.span.end == at.start)?;
        if !word.bytes().ends_with(b"%") {
            return None;
        }
        let line = self.rest_of_line(at);
        let close = memchr::memchr(b'}', line)?;
        let tail = line.get(close..)?.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b';');
        let span = self.span(word.span.start as usize, at.start as usize + tail.map_or(line.len(), |n| close + n));
        // A directive of Apache is reported as such.
        let is_apaches = self.words.first().is_some_and(|name| name.bytes().iter().any(u8::is_ascii_uppercase));
        if !is_apaches {
            let error = Diagnostic::emerg(at, "unexpected \"{\"").label("Apache's way to name a variable");
            self.errors.push(error.help("variables are written $name here: $host, $http_referer, $request_uri"));
        }
        Some(self.replace_last(span))
    }

    /// `https://{host}/`: a placeholder of Caddy or Python, within a word or as a whole word.
    fn braced_name(&mut self, at: Span) -> Option<usize> {
        let word = self.words.last().filter(|word| !word.quoted)?;
        let is_amid = word.span.end == at.start;
        // `\p{Lu}` is regex syntax.
        if is_amid && (self.words.len() < 2 || word.bytes().get(word.len().saturating_sub(2)) == Some(&b'\\')) {
            return None;
        }
        let line = self.rest_of_line(at);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let length = line.iter().skip(1).take_while(|byte| is_name(byte)).count();
        if length == 0 || line.get(length + 1) != Some(&b'}') {
            return None;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
        let tail = line.iter().position(ends).unwrap_or(line.len());
        let name =
            String::from_utf8_lossy(line.get(1..=length)?).rsplit('.').next().unwrap_or_default().replace('-', "_");
        let start = if is_amid { word.span.start } else { at.start };
        let span = self.span(start as usize, at.start as usize + tail);
        let error = Diagnostic::emerg(at, "unexpected \"{\"").label("a brace opens a block");
        let name = match &*name {
            "path" => "uri",
            "query" => "args",
            "remote_host" => "remote_addr",
            name => name,
        };
        self.errors.push(error.help(format!("a variable is written with a `$`: ${name} or ${{{name}}}")));
        if is_amid {
            return Some(self.replace_last(span));
        }
        self.words.push(Word::in_quotes(self.text(span), span));
        Some(span.end as usize)
    }

    /// `"root": "/srv",`: a line of JSON. Returns its end.
    pub(super) fn json_member(&mut self, quoted: Span) -> Option<usize> {
        let after = quoted.end as usize;
        let is_first = self.words.first().is_some_and(|word| word.span == quoted);
        if !is_first || self.bytes.get(after) != Some(&b':') {
            return None;
        }
        let at = self.span(after, after + 1);
        let line = self.rest_of_line(at);
        let end = after + line.len();
        let value = String::from_utf8_lossy(line.get(1..)?).trim().trim_end_matches([',', ';']).to_owned();
        let name = self.words.first()?.str().into_owned();
        let block = value.starts_with('{');
        if !self.errors.note_where(
            |first| first.help.iter().any(|help| help.starts_with("this is JSON")),
            at,
            "and this".into(),
        ) {
            let meant =
                if block { format!("{name} {{ … }}") } else { format!("{name} {};", value.trim_matches('"')) };
            let error =
                Diagnostic::emerg(at, "unexpected \":\"").label("a space, `;` or `{` must follow a closing quote");
            self.errors.push(error.help(format!("this is JSON; a directive is written {meant}")));
        }
        self.words.clear();
        Some(if block { after + 1 } else { end })
    }

    /// `return 200 {"a":1};`: a value that needs quotes.
    fn json_value(&mut self, at: Span) -> Option<usize> {
        let name = self.words.first().filter(|name| !name.quoted && self.words.len() > 1)?.str().into_owned();
        let line = self.rest_of_line(at);
        let inside = line.get(1..)?.trim_ascii_start();
        // `map $a $b { "x:y" 1; }` and `{ "x" :1; }` are valid entries; a colon directly after the quotes is not nginx
        // syntax.
        let text = inside.strip_prefix(b"\"")?;
        let close =
            memchr::memchr_iter(b'"', text).find(|at| !text.get(..*at).is_some_and(|key| key.ends_with(b"\\")))?;
        if text.get(close + 1) != Some(&b':') {
            return None;
        }
        // `{"a":1}; }`: the last brace ends the enclosing block.
        let whole = memchr::memmem::find(line, b"};").map(|end| end + 1);
        let end = at.start as usize + whole.or_else(|| memchr::memrchr(b'}', line).map(|last| last + 1))?;
        let span = self.span(at.start as usize, end);
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        let before = syntax_line(self.words.iter().skip(1));
        let error = Diagnostic::emerg(at, "unexpected \"{\"").label("a brace opens a block");
        let value = quoted(&written);
        self.errors.push(error.help(format!("a value with braces needs quotes: {name} {before} {value};")));
        self.words.push(Word::in_quotes(written.as_bytes(), span));
        Some(end)
    }

    /// `log_format json {⏎ "time": "$time_local"⏎};`: a JSON object without quotes around it.
    fn json_format(&mut self, at: Span) -> Option<usize> {
        if self.words.len() < 2 || !self.words.first()?.is("log_format") {
            return None;
        }
        let rest = self.bytes.get(at.start as usize..)?;
        let key = rest.get(1..)?.trim_ascii_start().strip_prefix(b"\"")?;
        let behind = key.get(memchr::memchr(b'"', key)? + 1..)?;
        if !behind.trim_ascii_start().starts_with(b":") {
            return None;
        }
        let end = at.start as usize + object_end(rest)?;
        let written = String::from_utf8_lossy(self.text(self.span(at.start as usize, end))).into_owned();
        let one_line = written.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = self.words.get(1)?.str().into_owned();
        let error = Diagnostic::emerg(at, "unexpected \"{\"").label("a brace opens a block");
        let span = self.span(at.start as usize, end);
        let text = Word::in_quotes(one_line.as_bytes(), span);
        let (name, value) = (quoted(&name), quoted(&shown(&text)));
        let cure = format!("a format is a text in quotes: log_format {name} escape=json {value};");
        self.errors.push(error.help(cure));
        self.words.push(text);
        Some(end)
    }

    /// A regex in quotes; the parenthesis that ends an `if` stands behind them.
    fn quoted(&self, written: &str) -> String {
        let is_if = self.words.first().is_some_and(|word| word.is("if"));
        let count = |sign| written.matches(sign).count();
        let value = |raw: &str| quoted(&String::from_utf8_lossy(&unescape(raw.as_bytes())));
        match written.strip_suffix(')').filter(|_| is_if && count(')') > count('(')) {
            Some(regex) => format!("{})", value(regex)),
            None => value(written),
        }
    }

    /// `location ~ ^/a{2 {`: an unclosed brace within an unquoted regex.
    fn brace_in_regex(&mut self, at: Span) -> Option<usize> {
        let word = self.words.last().filter(|word| word.span.end == at.start && !word.quoted)?;
        let is_rewrite = self.takes_regex()?;
        let line = self.rest_of_line(at);
        let rest = line.get(1..)?;
        let length = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b';').unwrap_or(rest.len());
        // `location ~ ^/a{{`: the last one opens the block.
        let tail = rest.get(..length)?;
        let tail = tail.strip_suffix(b"{").unwrap_or(tail);
        let opens = rest.get(tail.len()..)?.trim_ascii_start().starts_with(b"{");
        // `location ~ ^/a{types {` is two blocks.
        let is_name = tail.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        let is_name = is_name && !tail.contains(&b'}');
        if !is_rewrite && (!opens || is_name) {
            return None;
        }
        let span = self.span(word.span.start as usize, at.end as usize + tail.len());
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        let unknown = String::from_utf8_lossy(tail).into_owned();
        // nginx's message for the resulting state.
        let message = match unknown.is_empty() || is_rewrite {
            true => "unexpected \"{\"".to_owned(),
            false => format!("unknown directive \"{unknown}\""),
        };
        let counts = tail.first().is_some_and(u8::is_ascii_digit) && !tail.contains(&b'}');
        let more = if counts { ", and a repetition ends with `}`" } else { "" };
        let error = Diagnostic::emerg(at, message).label("the `{` in this regex opens a block: it needs quotes");
        let help = format!("write it in quotes: {}{more}", self.quoted(&written));
        // An unfinished repetition is no regex in quotes either.
        self.errors.push(error.help(help).rewriting(Some(span).filter(|_| !counts)));
        Some(self.replace_last(span))
    }

    /// Whether the last word can be a regex: of a `rewrite`, which has no block, or before a block.
    fn takes_regex(&self) -> Option<bool> {
        let tilde = |at: usize| self.words.get(at).is_some_and(|word| word.bytes().starts_with(b"~"));
        match self.words.first()?.bytes() {
            b"location" if tilde(1) => Some(false),
            b"if" if self.words.len() > 2 => Some(false),
            b"rewrite" if self.words.len() == 2 => Some(true),
            _ => None,
        }
    }

    /// A quoted word continued without a space: `"a"b`. Reports it and takes it as one word. Returns its end.
    pub(super) fn glued_to_quotes(&mut self, n: usize, quoted: Span) -> Option<usize> {
        let after = quoted.end as usize;
        let rest = self.bytes.get(after..)?;
        let length = rest.iter().skip(1).take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1;
        let found = String::from_utf8_lossy(rest.get(..length)?).into_owned();
        let at = self.span(after, after + length);
        if let Some(end) = self.curly_around(n, at, &found) {
            return Some(end);
        }
        let is_tag = found == ">" && self.words.first().is_some_and(|name| name.bytes().starts_with(b"<"));
        let tail = rest.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b'{' | b'}'));
        let tail = tail.unwrap_or(rest.len());
        let span = self.span(quoted.start as usize, after + tail);
        let raw = self.text(span);
        let quote = char::from(*raw.first()?);
        let plain: Vec<u8> = raw.iter().copied().filter(|byte| *byte != quote as u8).collect();
        let plain_text = String::from_utf8_lossy(&plain).into_owned();
        if !is_tag {
            let help = match plain_text.chars().count() {
                0..60 => format!("quotes enclose a whole word: {quote}{plain_text}{quote}"),
                _ => "quotes enclose a whole word: write \"a$b\", not \"a\"$b".to_owned(),
            };
            let error = Diagnostic::emerg(at, format!("unexpected \"{found}\"")).help(help);
            self.errors.push(error.label("a space, `;` or `{` must follow a closing quote"));
        }
        self.words.truncate(n);
        self.words.push(Word::in_quotes(&unescape(&plain), span));
        Some(after + tail)
    }

    /// `“default-src 'self'”`: straight quotes inside typographic ones, which were meant to quote the whole.
    fn curly_around(&mut self, n: usize, at: Span, found: &str) -> Option<usize> {
        let is_curly = |text: &str| text.starts_with(['“', '”', '„', '‘', '’', '«', '»']);
        let first = self.words.iter().take(n).position(|word| !word.quoted && is_curly(&word.str()))?;
        let line = self.rest_of_line(at);
        let text = String::from_utf8_lossy(line).into_owned();
        let close = text.char_indices().rfind(|(_, c)| matches!(c, '“' | '”' | '’' | '»'))?;
        if !is_curly(found) && close.0 == 0 {
            return None;
        }
        let end = at.start as usize + close.0 + close.1.len_utf8();
        let span = self.span(self.words.get(first)?.span.start as usize, end);
        let inside = String::from_utf8_lossy(self.text(span)).into_owned();
        let inside = inside.trim_matches(['“', '”', '„', '‘', '’', '«', '»']);
        let error = Diagnostic::emerg(span, "typographic quotes are part of the words, not quotes");
        self.errors.push(error.help(format!("use straight quotes: {}", in_quotes(inside))));
        self.words.truncate(first);
        self.words.push(Word::in_quotes(inside.as_bytes(), span));
        Some(end)
    }

    /// `; a comment` as in ini files.
    fn semicolon_comment(&mut self, at: Span) -> Option<usize> {
        let before = self.bytes.get(..at.start as usize)?;
        let indent = before.get(memchr::memrchr(b'\n', before).map_or(0, |n| n + 1)..)?;
        let line = self.rest_of_line(at);
        let text = line.get(1..)?.trim_ascii();
        let is_text = text.first().is_some_and(u8::is_ascii_alphanumeric) && !text.ends_with(b";");
        if !indent.trim_ascii().is_empty() || !is_text || text.ends_with(b"{") || text.ends_with(b"}") {
            return None;
        }
        let end = at.start as usize + line.len();
        let error = Diagnostic::emerg(at, "unexpected \";\"").label("no directive before it");
        self.errors.push(error.help("a comment begins with `#` and ends with the line"));
        Some(end)
    }

    /// `location ~ ^/a;b {`: a `;` within an unquoted regex.
    fn semicolon_in_regex(&mut self, at: Span) -> Option<usize> {
        let (name, word) = (self.words.first()?, self.words.last()?);
        let is_amid = word.span.end == at.start && !word.quoted;
        let goes_on = self
            .bytes
            .get(at.end as usize)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !b";{}#\"'".contains(byte));
        let wants_more = match name.bytes() {
            b"location" => self.words.len() > 2 && self.words.get(1).is_some_and(|word| word.bytes().starts_with(b"~")),
            b"if" => self.words.len() > 2,
            b"rewrite" => self.words.len() == 2,
            _ => false,
        };
        if !(is_amid && goes_on && wants_more) {
            return None;
        }
        let line = self.rest_of_line(at);
        let length = line.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'{').unwrap_or(line.len());
        let span = self.span(word.span.start as usize, at.start as usize + length);
        let written = String::from_utf8_lossy(self.text(span)).into_owned();
        let error = Diagnostic::emerg(at, "unexpected \";\"").label("it ends the directive in the middle of this word");
        let help = format!("a regex with `;` or braces needs quotes: {}", self.quoted(&written));
        self.errors.push(error.help(help));
        Some(self.replace_last(span))
    }

    /// A quoted word that contains the same quotes: `'It's up'`, `"say "hi" now"`. Returns its end.
    pub(super) fn quotes_in_quotes(&mut self, at: usize, quoted: Span) -> Option<usize> {
        let quote = *self.text(quoted).first()?;
        let inside = self.text(quoted).get(1..)?.split_last()?.1;
        let after = quoted.end as usize;
        let rest = self.bytes.get(after..)?;
        let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))?;
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
        let apostrophe = quote == b'\'' && inside.last().is_some_and(is_letter) && line.first().is_some_and(is_letter);
        let nested = inside.last().is_some_and(|byte| matches!(byte, b' ' | b'=' | b'(' | b'{' | b'[' | b',' | b':'));
        if !(apostrophe || nested) || memchr::memchr(b'\n', inside).is_some() {
            return None;
        }
        let ends = |n: usize| matches!(line.get(n + 1), None | Some(b' ' | b'\t' | b';' | b'{' | b')'));
        let close = memchr::memrchr_iter(quote, line).find(|n| ends(*n))?;
        let end = after + close + 1;
        let span = self.span(quoted.start as usize, end);
        let inner = self.bytes.get(quoted.start as usize + 1..end - 1)?;
        let shown = String::from_utf8_lossy(inner).into_owned();
        let found = String::from_utf8_lossy(line.get(..1)?).into_owned();
        let place = self.span(after - 1, after);
        let other = if quote == b'"' { '\'' } else { '"' };
        let help = match shown.contains(other) {
            false => {
                format!("the quote ends the value there; write all of it in the other kind: {other}{shown}{other}")
            }
            true => format!("the quote ends the value there; inside it is written \\{}", char::from(quote)),
        };
        let error = Diagnostic::emerg(place, format!("unexpected \"{found}\"")).help(help);
        self.errors.push(error.label("a space, `;` or `{` must follow a closing quote"));
        self.words.truncate(at);
        self.words.push(Word::in_quotes(&unescape(inner), span));
        Some(end)
    }

    /// Extends the last word to the end of `span`; returns that end.
    fn replace_last(&mut self, span: Span) -> usize {
        let raw = self.text(span);
        self.words.pop();
        self.words.push(Word::new(&unescape(raw), span));
        span.end as usize
    }

    /// The text from `at` to the end of its line.
    pub(super) fn rest_of_line(&self, at: Span) -> &[u8] {
        let rest = self.bytes.get(at.start as usize..).unwrap_or_default();
        rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// The whole word as meant, if the brace `at` opens a regex quantifier: `^/\d{4}/`.
    fn quantified(&self, word: &Word, at: Span) -> Option<Span> {
        if word.quoted || word.span.end != at.start {
            return None;
        }
        let rest = self.bytes.get(at.end as usize..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b',').count();
        if count == 0 || rest.get(count) != Some(&b'}') {
            return None;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        Some(Span::new(word.span.file, word.span.start, at.end + len as u32))
    }
}

/// The end of the JSON object at the start of the text.
fn object_end(text: &[u8]) -> Option<usize> {
    const LONGEST: usize = 16 << 10;
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate().take(LONGEST) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
