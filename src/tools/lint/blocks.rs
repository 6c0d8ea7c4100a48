//! Properties of a block, derived from its directives.

use crate::config::ast::{Directive, Word};
use crate::config::pattern::Case;
use crate::util::hash::FastMap;
use std::collections::HashSet;

/// A location's modifier (empty if none) and name.
pub fn location(d: &Directive) -> Option<(&[u8], &Word)> {
    match &d.args[..] {
        _ if !d.name.is("location") => None,
        [name] => Some((b"", name)),
        [modifier, name] => Some((modifier.bytes(), name)),
        _ => None,
    }
}

/// Whether something at this level authenticates the client.
pub fn authenticates(level: &[Directive]) -> bool {
    level.iter().any(|d| match d.name.bytes() {
        b"auth_basic" | b"signed_link" => d.args.iter().all(|word| !word.is("off")),
        b"deny" | b"internal" | b"auth_request" | b"ssl_verify_client" | b"return" => true,
        // For the methods that it names it forbids nothing.
        b"limit_except" => {
            let writes = ["POST", "PUT", "PATCH", "DELETE", "MOVE", "COPY", "MKCOL"];
            let is_open = d.args.iter().any(|word| writes.iter().any(|method| word.is(method)));
            !is_open && d.block.as_deref().is_some_and(authenticates)
        }
        _ => false,
    })
}

/// Whether one of these directives answers 4xx.
pub fn refuses(level: &[Directive]) -> bool {
    level.iter().any(|d| d.name.is("return") && d.args.first().is_some_and(|code| code.bytes().starts_with(b"4")))
}

/// Whether a directive at this level or below satisfies `is_such`.
pub fn below<'a>(all: &'a [Directive], is_such: impl FnMut(&'a Directive) -> bool) -> bool {
    first_below(all, is_such).is_some()
}

/// A directive at this level or below that satisfies `is_such`.
pub fn first_below<'a>(all: &'a [Directive], mut is_such: impl FnMut(&'a Directive) -> bool) -> Option<&'a Directive> {
    let mut open = vec![all];
    while let Some(level) = open.pop() {
        for d in level {
            if is_such(d) {
                return Some(d);
            }
            open.extend(d.block.as_deref());
        }
    }
    None
}

/// Whether a `listen` has TLS.
pub fn is_tls(listen: &Directive) -> bool {
    listen.args.iter().any(|word| word.is("ssl") || word.is("quic"))
}

/// What an `if` asks, without its parentheses.
pub struct Condition<'a> {
    /// What is asked about, in lower case: `$name`, or the file test (`-f`).
    pub subject: String,
    /// `=`, `!=`, `~` and the like; None: whether the variable is true.
    pub sign: Option<&'a Word>,
    /// What it is compared with.
    pub operand: Option<&'a Word>,
    /// The text of the operand.
    pub text: String,
}

impl Condition<'_> {
    /// Whether the operand is a regex, that is to match (true) or not to (false).
    pub fn regex(&self) -> Option<bool> {
        let sign = self.sign?;
        sign.bytes().contains(&b'~').then(|| !sign.bytes().starts_with(b"!"))
    }

    /// Whether the operand is a text, that is to be equal (true) or not to be (false).
    pub fn equality(&self) -> Option<bool> {
        let sign = self.sign?;
        (sign.is("=") || sign.is("!=")).then(|| sign.is("="))
    }
}

/// The condition of an `if`. The parentheses may stand apart from what they enclose.
pub fn condition(d: &Directive) -> Option<Condition<'_>> {
    if !d.name.is("if") {
        return None;
    }
    let is_sign = |word: &&Word, sign: &str| !word.quoted && word.is(sign);
    let words: Vec<&Word> = d.args.iter().filter(|word| !is_sign(word, "(") && !is_sign(word, ")")).collect();
    let first = words.first()?.str();
    let (sign, operand) = match words[..] {
        [_] => (None, None),
        [_, operand] => (None, Some(operand)),
        [_, sign, operand, ..] => (Some(sign), Some(operand)),
        [] => return None,
    };
    let has_end = d.args.last().is_some_and(|last| is_sign(&last, ")"));
    let whole = operand.map(|word| word.str().into_owned()).unwrap_or_default();
    let glued = operand.is_some_and(|word| !word.quoted && !has_end);
    let text = whole.strip_suffix(')').filter(|_| glued).unwrap_or(&whole).to_owned();
    let subject = first.trim_start_matches('(').trim_end_matches(')').to_ascii_lowercase();
    Some(Condition { subject, sign, operand, text })
}

/// The `if` blocks at this level and below, by the first variable they test, in lower case.
pub fn ifs_below(all: &[Directive]) -> FastMap<String, Vec<&Directive>> {
    let mut found: FastMap<String, Vec<&Directive>> = FastMap::default();
    below(all, |d| {
        if let Some(condition) = condition(d) {
            found.entry(condition.subject.trim_start_matches('!').to_owned()).or_default().push(d);
        }
        false
    });
    found
}

/// The variables used in words at this level and below.
pub fn variables_below(all: &[Directive]) -> HashSet<String> {
    let mut found = HashSet::new();
    below(all, |d| {
        found.extend(d.args.iter().flat_map(|word| variables(&word.str())));
        false
    });
    found
}

/// Case sensitivity of a regex location's modifier.
pub fn case_of(sign: &[u8]) -> Case {
    if sign == b"~*" { Case::Insensitive } else { Case::Sensitive }
}

/// The host and port of a URL; without a scheme, what precedes the first slash.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// The value of a `proxy_set_header` of this name.
pub fn sets<'a>(d: &'a Directive, header: &str) -> Option<&'a Word> {
    let [name, value] = &d.args[..] else { return None };
    (d.name.is("proxy_set_header") && name.bytes().eq_ignore_ascii_case(header.as_bytes())).then_some(value)
}

/// The kind of a pass directive's target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// HTTP: another server.
    Http,
    /// An application server, which executes the requested file.
    Gateway,
    /// The requested file itself, executed as a program.
    Program,
    /// Something else, such as a tunnel.
    Other,
}

const PASSES: [(&str, Pass); 7] = [
    ("proxy_pass", Pass::Http),
    ("grpc_pass", Pass::Http),
    ("fastcgi_pass", Pass::Gateway),
    ("uwsgi_pass", Pass::Gateway),
    ("scgi_pass", Pass::Gateway),
    ("cgi_pass", Pass::Program),
    ("memcached_pass", Pass::Other),
];

/// The pass directives with these kinds of targets.
pub fn passes(kinds: &[Pass]) -> impl Iterator<Item = &'static str> {
    PASSES.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| *name)
}

/// Whether a directive is a pass directive of any kind.
pub fn is_pass(name: &str) -> bool {
    PASSES.iter().any(|(pass, _)| *pass == name)
}

/// Whether a directive causes the requested file to be executed.
pub fn runs_files(d: &Directive) -> bool {
    passes(&[Pass::Gateway, Pass::Program]).any(|name| d.name.is(name))
}

/// A regex location, not anchored to a directory, that executes files by extension.
pub fn runs(d: &Directive) -> bool {
    location(d).is_some_and(|(modifier, regex)| modifier.starts_with(b"~") && !regex.bytes().starts_with(b"^/"))
        && d.block.iter().flatten().any(runs_files)
}

/// Whether a variable is a header, an argument or a cookie of the request.
pub fn is_of_client(name: &str) -> bool {
    ["arg_", "http_", "cookie_"].iter().any(|family| name.starts_with(family))
}

/// The variables in a word: their names without `$` and braces.
pub fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        // A numbered capture has one digit.
        match name.bytes().next() {
            Some(digit @ b'0'..=b'9') => names.push(char::from(digit).to_string()),
            Some(_) => names.push(name.to_ascii_lowercase()),
            None => {}
        }
    }
    names
}

/// The variable that is the whole host of a pass, or the beginning of a root: `http://$name/…`, `$name`.
pub fn chosen_host(d: &Directive) -> Option<String> {
    if d.name.is("root") || d.name.is("alias") {
        // A root's first component: if the variable is empty, the path is another one.
        let text = d.args.first()?.str().into_owned();
        let name = variables(text.strip_prefix('$').map(|_| text.split('/').next().unwrap_or_default())?).pop()?;
        return text.split('/').next().is_some_and(|first| first.len() == name.len() + 1).then_some(name);
    }
    if !passes(&[Pass::Http, Pass::Gateway]).any(|name| d.name.is(name)) {
        return None;
    }
    let text = d.args.first()?.str();
    let host = text.split_once("://").map_or(&*text, |(_, rest)| rest);
    let host = host.split(['/', ':']).next()?;
    let names = variables(host);
    let [name] = &names[..] else { return None };
    (host.len() == name.len() + 1).then(|| name.clone())
}
