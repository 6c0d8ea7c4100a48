//! Set-Cookie from an upstream: proxy_cookie_domain and proxy_cookie_path, then proxy_cookie_flags. A cookie without a
//! matching rule is left unchanged, byte for byte; otherwise, `; ` separates the attributes (nginx).

use super::record::trim_spaces;
use super::rewrite::{self, Compare};
use super::settings::settings;
use crate::config::settings::proxy::From;
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// `name=value` or only a name, without surrounding blanks.
type Attribute<'a> = (&'a [u8], Option<Vec<u8>>);

/// The value of a Set-Cookie line after applying the location's rules.
pub fn rewrite(ex: &mut Exchange, cx: &mut Services, value: &[u8]) -> Vec<u8> {
    let settings = settings(ex).clone();
    if settings.cookie_domains.is_empty() && settings.cookie_paths.is_empty() && settings.cookie_flags.is_empty() {
        return value.to_vec();
    }
    let mut attributes: Vec<Attribute<'_>> = value.split(|b| *b == b';').map(attribute).collect();
    if attributes.first().is_none_or(|(_, value)| value.is_none()) {
        // Not a cookie (nginx).
        return value.to_vec();
    }
    let mut changed = false;
    for (name, value) in attributes.iter_mut().skip(1) {
        let Some(value) = value else { continue };
        let (rules, compare) = if name.eq_ignore_ascii_case(b"domain") {
            (&settings.cookie_domains, Compare::Domain)
        } else if name.eq_ignore_ascii_case(b"path") {
            (&settings.cookie_paths, Compare::Exactly)
        } else {
            continue;
        };
        if let Some(new) = rules.iter().find_map(|rule| rewrite::apply(ex, cx, rule, value, compare)) {
            (*value, changed) = (new, true);
        }
    }
    if let Some(flags) = flags(ex, cx, attributes[0].0) {
        flags.edit(&mut attributes);
        changed = true;
    }
    if !changed {
        return value.to_vec();
    }
    let mut out = Vec::with_capacity(value.len() + 16);
    for (at, (name, value)) in attributes.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}

fn attribute(text: &[u8]) -> Attribute<'_> {
    match memchr::memchr(b'=', text) {
        Some(at) => (trim_spaces(&text[..at]), Some(trim_spaces(&text[at + 1..]).to_vec())),
        None => (trim_spaces(text), None),
    }
}

/// The flags of the first rule for this cookie. None: no rule matches, or it has no flags.
fn flags(ex: &mut Exchange, cx: &mut Services, cookie: &[u8]) -> Option<Flags> {
    let rules = settings(ex).cookie_flags.clone();
    let rule = rules.iter().find(|rule| match &rule.cookie {
        From::Text(template) => variables::text(template, ex, cx).eq_ignore_ascii_case(cookie),
        From::Regex(pattern) => match ex.route.effort.spend(|effort| pattern.find_within(cookie, effort)) {
            Ok(None) => false,
            Ok(matched) => {
                ex.remember(cookie, matched);
                true
            }
            Err(failed) => {
                ex.pattern_gave_up(cx, &failed);
                false
            }
        },
    })?;
    let mut flags = Flags::default();
    for word in &rule.flags {
        flags.add(&variables::text(word, ex, cx));
    }
    (flags != Flags::default()).then_some(flags)
}

/// True sets a flag, false removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    secure: Option<bool>,
    http_only: Option<bool>,
    /// An empty value removes it.
    same_site: Option<&'static str>,
}

impl Flags {
    /// Adds a flag; its name is case-insensitive. If flags contradict each other, setting wins over removing, and the
    /// stricter value over the laxer (nginx). Unknown words are ignored.
    fn add(&mut self, word: &[u8]) {
        const STRICTNESS: [&str; 4] = ["Strict", "Lax", "None", ""];
        let same_site = match &word.to_ascii_lowercase()[..] {
            b"secure" => return self.secure = Some(true),
            b"nosecure" => return self.secure = self.secure.or(Some(false)),
            b"httponly" => return self.http_only = Some(true),
            b"nohttponly" => return self.http_only = self.http_only.or(Some(false)),
            b"samesite=strict" => "Strict",
            b"samesite=lax" => "Lax",
            b"samesite=none" => "None",
            b"nosamesite" => "",
            _ => return,
        };
        self.same_site = STRICTNESS.into_iter().find(|word| *word == same_site || Some(*word) == self.same_site);
    }

    fn edit(mut self, attributes: &mut Vec<Attribute<'_>>) {
        let mut first = true;
        attributes.retain_mut(|(name, value)| {
            if std::mem::take(&mut first) {
                return true;
            }
            if name.eq_ignore_ascii_case(b"secure") {
                return take(&mut self.secure);
            }
            if name.eq_ignore_ascii_case(b"httponly") {
                return take(&mut self.http_only);
            }
            if name.eq_ignore_ascii_case(b"samesite") {
                match self.same_site {
                    Some("") => return false,
                    Some(word) => {
                        self.same_site = None;
                        if value.as_deref().is_none_or(|value| !value.eq_ignore_ascii_case(word.as_bytes())) {
                            (*name, *value) = (b"SameSite", Some(word.as_bytes().to_vec()));
                        }
                    }
                    None => {}
                }
            }
            true
        });
        for (name, wanted) in [(&b"Secure"[..], self.secure), (b"HttpOnly", self.http_only)] {
            if wanted == Some(true) {
                attributes.push((name, None));
            }
        }
        if let Some(word) = self.same_site.filter(|word| !word.is_empty()) {
            attributes.push((b"SameSite", Some(word.as_bytes().to_vec())));
        }
    }
}

/// Whether to keep an existing flag; marks it as processed.
fn take(wanted: &mut Option<bool>) -> bool {
    match *wanted {
        Some(true) => {
            *wanted = None;
            true
        }
        Some(false) => false,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_and_taken_away() {
        for (name, cookie, words, expected) in [
            ("set", "a=1", &["secure", "HttpOnly"][..], "a=1; Secure; HttpOnly"),
            ("there already", "a=1; secure;HTTPONLY", &["secure", "httponly"], "a=1; secure; HTTPONLY"),
            ("taken away", "a=1; Secure; Path=/; HttpOnly", &["nosecure", "nohttponly"], "a=1; Path=/"),
            ("not there", "a=1; Path=/", &["nosecure"], "a=1; Path=/"),
            ("a site rule", "a=1", &["samesite=lax"], "a=1; SameSite=Lax"),
            ("another site rule", "a=1; samesite=none; x", &["samesite=strict"], "a=1; SameSite=Strict; x"),
            ("the same site rule", "a=1; samesite=strict", &["samesite=strict"], "a=1; samesite=strict"),
            ("no site rule", "a=1; SameSite=Lax", &["nosamesite"], "a=1"),
            ("the cookie itself is never a flag", "secure=1", &["nosecure"], "secure=1"),
            ("unknown words", "a=1", &["x", ""], "a=1"),
            ("a contradiction", "a=1", &["nosecure", "secure"], "a=1; Secure"),
            ("the stricter", "a=1", &["samesite=none", "samesite=lax"], "a=1; SameSite=Lax"),
        ] {
            let mut flags = Flags::default();
            words.iter().for_each(|word| flags.add(word.as_bytes()));
            let mut attributes: Vec<Attribute<'_>> = cookie.as_bytes().split(|b| *b == b';').map(attribute).collect();
            flags.edit(&mut attributes);
            let shown: Vec<String> = attributes
                .iter()
                .map(|(name, value)| {
                    let value = value.as_ref().map(|v| format!("={}", String::from_utf8_lossy(v)));
                    format!("{}{}", String::from_utf8_lossy(name), value.unwrap_or_default())
                })
                .collect();
            assert_eq!(shown.join("; "), expected, "{name}");
        }
    }
}
