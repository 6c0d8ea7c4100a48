//! Evaluates words of commands: variables in values, expressions of `if`, URIs of `include`.
//!
//! nginx's rules, including the odd ones: a page's variables hide the configuration's, `$0` to `$9` belong to the
//! page's last regex, and names are case-insensitive.

use super::state::{ENTRY, Shared};
use crate::config::pattern::{PagePattern, RequestEffort};
use crate::exchange::variables::{self, Is};
use crate::exchange::{Exchange, Printable};
use crate::http::escape::unescape;
use crate::http::uri;
use crate::services::Services;
use crate::util::clean_path::has_parent;

/// Maximum size of an expanded value.
const LONGEST: usize = 256 << 10;
/// Bytes of a variable up to which a command that encodes or compares it is short: some microseconds.
const SHORT: usize = 512;

/// The error of a command is a sentence for the error log.
pub type Outcome<T> = Result<T, String>;

/// Appends the value of a variable. False: there is no such variable. After a long one the clock is read.
pub fn variable(name: &[u8], shared: &Shared, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let is_set = append(name, shared, ex, cx, out);
    if out.len() - before > SHORT {
        cx.slice.look();
    }
    is_set
}

fn append(name: &[u8], shared: &Shared, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> bool {
    let lower = name.iter().any(u8::is_ascii_uppercase).then(|| name.to_ascii_lowercase());
    let name = lower.as_deref().unwrap_or(name);
    if let Some(value) = shared.variable(name) {
        out.extend_from_slice(value);
        return true;
    }
    let config = ex.config.clone();
    let var = std::str::from_utf8(name).ok().and_then(|name| config.variables.known(name));
    let before = out.len();
    let is_set = var.is_some_and(|var| variables::value(&var, ex, cx, out) == Is::Set);
    if !is_set {
        out.truncate(before);
    }
    is_set
}

/// A value with variables expanded and backslashes removed.
pub fn expand(text: &[u8], shared: &Shared, ex: &mut Exchange, cx: &mut Services) -> Outcome<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [escaped, tail @ ..]) => {
                if !matches!(escaped, b'\\' | b'\'' | b'"' | b'$') {
                    out.push(b'\\');
                }
                out.push(*escaped);
                tail
            }
            (b'\\', []) => tail,
            (b'$', _) => {
                let (name, tail) = name(tail).map_err(|why| why.unwrap_or_else(|| bad_name(text)))?;
                variable(name, shared, ex, cx, &mut out);
                if out.len() > LONGEST {
                    return Err(format!("a value of more than {LONGEST} bytes"));
                }
                tail
            }
            _ => {
                let run = memchr::memchr2(b'$', b'\\', rest).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..run]);
                &rest[run..]
            }
        };
    }
    Ok(out)
}

fn bad_name(text: &[u8]) -> String {
    format!("invalid variable name in \"{}\"", Printable(text))
}

/// Parses a variable's name after its `$`; also returns what follows. Err(None): there is none.
fn name(text: &[u8]) -> Result<(&[u8], &[u8]), Option<String>> {
    let (braced, text) = text.strip_prefix(b"{").map_or((false, text), |rest| (true, rest));
    let len = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let (name, rest) = text.split_at(len);
    let rest = match rest.strip_prefix(b"}") {
        Some(rest) if braced => rest,
        _ if braced => {
            return Err(Some(format!("the closing bracket in \"{}\" variable is missing", Printable(name))));
        }
        _ => rest,
    };
    if name.is_empty() { Err(None) } else { Ok((name, rest)) }
}

/// Evaluates the expression of `if` and `elif`: a value, `left = right`, `left != right`, or either with `/regex/`.
pub fn holds(expr: &[u8], shared: &mut Shared, ex: &mut Exchange, cx: &mut Services) -> Outcome<bool> {
    let is_left = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'$' | b'{' | b'}' | b'_' | b'"' | b'\'');
    let len = expr.iter().take_while(|b| is_left(b)).count();
    let (left, rest) = expr.split_at(len);
    // nginx always converts it to lower case.
    let lower = left.iter().any(u8::is_ascii_uppercase).then(|| left.to_ascii_lowercase());
    let left = expand(lower.as_deref().unwrap_or(left), shared, ex, cx)?;
    let invalid = || format!("invalid expression in \"{}\"", Printable(expr));
    let (equal, right) = match trim(rest) {
        [] => return Ok(!left.is_empty()),
        [b'=', right @ ..] => (true, trim(right)),
        [b'!', b'=', right @ ..] => (false, trim(right)),
        _ => return Err(invalid()),
    };
    let same = match right {
        [b'/', pattern @ .., b'/'] => {
            let pattern = expand(pattern, shared, ex, cx)?;
            shared.matches(&pattern, &left, &ex.route.effort)?
        }
        [b'/', _, ..] => return Err(invalid()),
        // An escaped slash begins no regex.
        [b'\\', right @ ..] if right.len() > 1 && right.starts_with(b"/") => expand(right, shared, ex, cx)? == left,
        _ => expand(right, shared, ex, cx)? == left,
    };
    Ok(same == equal)
}

fn trim(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b == b' ').count();
    &text[blanks..]
}

/// The path and arguments of an `include`. A relative path starts from the page's own directory.
pub fn target(text: &[u8], shared: &Shared, ex: &mut Exchange, cx: &mut Services) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let mut uri = expand(text, shared, ex, cx)?;
    if uri.first() != Some(&b'/') && !uri.is_empty() {
        let dir = memchr::memrchr(b'/', &ex.route.uri).map_or(0, |at| at + 1);
        uri.splice(0..0, ex.route.uri[..dir].iter().copied());
    }
    let leads_out = |path: &[u8]| path.is_empty() || path.contains(&0) || has_parent(path);
    let (raw, args) = uri::split_args(&uri);
    let mut path = Vec::with_capacity(raw.len());
    unescape(raw, &mut path);
    if leads_out(raw) || leads_out(&path) {
        // nginx's words.
        return Err(format!(concat!("un", "safe URI \"{}\" was detected"), Printable(&uri)));
    }
    Ok((path, args.unwrap_or_default().to_vec()))
}

impl Shared {
    /// A variable set by the page, or a group of its last regex. `name` is in lower case.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        if let [digit @ b'0'..=b'9'] = name
            && let Some(group) = self.groups.get(usize::from(digit - b'0'))
        {
            return Some(group);
        }
        self.variables.get(name).map(Vec::as_slice)
    }

    /// Sets a variable; `name` is case-insensitive.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) -> Outcome<()> {
        let name = name.to_ascii_lowercase();
        match self.variables.get(&*name).map(Vec::len) {
            Some(before) => self.hold(value.len().saturating_sub(before))?,
            None => self.hold(name.len() + value.len() + ENTRY)?,
        }
        self.variables.insert(name.into(), value);
        Ok(())
    }

    fn matches(&mut self, pattern: &[u8], subject: &[u8], effort: &RequestEffort) -> Outcome<bool> {
        let compiled = PagePattern::new(pattern)?;
        let Some(groups) = effort.spend(|effort| compiled.find(subject, effort))? else { return Ok(false) };
        for (name, group) in compiled.names() {
            self.set(name.as_bytes(), groups.get(group).cloned().unwrap_or_default())?;
        }
        self.groups = groups;
        Ok(true)
    }
}
