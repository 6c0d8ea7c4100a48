//! The statuses of `return` and `error_page` as people write them, and how they are written here: for the help of a
//! directive that is wrong already.

use crate::config::ast::{Directive, Word};

/// What `return` was meant to answer.
pub fn answer(d: &Directive, text: &str) -> Option<String> {
    let second = d.args.get(1).map(Word::str);
    if let Some(code) = second.filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some(format!("the status comes first: return {code} {text};"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("a status has three digits, as in: return 301 https://example.org/;".into());
    }
    // `30l`, `4O4`.
    let meant: String = text
        .chars()
        .map(|c| {
            if "lI".contains(c) {
                '1'
            } else if "oO".contains(c) {
                '0'
            } else {
                c
            }
        })
        .collect();
    if meant.len() == 3 && meant.bytes().all(|byte| byte.is_ascii_digit()) {
        let words: Vec<_> = std::iter::once(meant.into()).chain(d.args.iter().skip(1).map(Word::str)).collect();
        return Some(format!("a status is three digits: return {};", words.join(" ")));
    }
    let digits = text.trim_start_matches('=').bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.trim_start_matches('=');
    if digits == 3 {
        let (code, rest) = rest.split_at_checked(3)?;
        let rest = rest.trim_start_matches([':', ',', '=']);
        let words: Vec<_> = std::iter::once(rest.into()).chain(d.args.iter().skip(1).map(Word::str)).collect();
        return Some(format!("write return {};", format!("{code} {}", words.join(" ").trim()).trim_end()));
    }
    match text.to_ascii_lowercase().as_str() {
        "redirect" => {
            Some("a status in digits, 302 for temporary, 301 for permanent: return 302 https://example.org/;".into())
        }
        "permanent" | "moved" => Some("a status in digits: return 301 https://example.org/;".into()),
        "forbidden" | "deny" | "denied" => Some("a status in digits: return 403;".into()),
        "not_found" | "notfound" | "not-found" => Some("a status in digits: return 404;".into()),
        "unauthorized" => Some("a status in digits: return 401;".into()),
        "gone" => Some("a status in digits: return 410;".into()),
        "ok" => Some("a status in digits: return 200;".into()),
        "error" => Some("a status in digits: return 500;".into()),
        _ if text.starts_with("http") => {
            let (scheme, rest) = text.split_once([':', '/'])?;
            let scheme = if scheme == "https" { scheme } else { "http" };
            Some(format!("did you mean return {scheme}://{};", rest.trim_start_matches([':', '/'])))
        }
        _ if text.starts_with('/') => Some(format!("a status comes first: return 301 {text};")),
        _ if d.args.len() == 1 && (d.args[0].quoted || text.starts_with('$')) => {
            Some(format!("a status comes first: return 200 \"{text}\";"))
        }
        _ => None,
    }
}

/// What `error_page` was meant to have.
pub fn error_page(d: &Directive) -> Option<String> {
    let words: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
    let is_code = |text: &String| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(at) = words.iter().position(|word| word == "=").filter(|at| words.get(at + 1).is_some_and(is_code)) {
        let mut joined = words.clone();
        joined.splice(at..at + 2, [format!("={}", words[at + 1])]);
        return Some(format!("`=` and the status are one word: error_page {};", joined.join(" ")));
    }
    let is_ordered = words.first().is_some_and(is_code) && words.iter().rev().skip(1).all(is_code);
    if is_ordered {
        return None;
    }
    let (codes, pages): (Vec<String>, Vec<String>) = words.into_iter().partition(is_code);
    match &pages[..] {
        [page] if at_end_is_success(&d.args) => {
            let (answer, codes) = codes.split_last()?;
            Some(format!(
                "the status to answer with is written with `=`: error_page {} ={answer} {page};",
                codes.join(" ")
            ))
        }
        [page] if !codes.is_empty() => Some(format!("the statuses come first: error_page {} {page};", codes.join(" "))),
        _ => {
            // `500,502`, `500-504`, `=20o`.
            let all: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
            let listed = all.join(" ").replace(',', " ");
            if let Some((from, to)) =
                all.iter().find_map(|word| word.split_once('-').filter(|(from, _)| from.parse::<u16>().is_ok()))
                && let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>())
                && to.checked_sub(from).is_some_and(|more| more < 10 || more < 300 && (300..600).contains(&from))
            {
                const SHOWN: usize = 10;
                let some = if to - from < SHOWN as u16 { &[][..] } else { answered(from) };
                let codes: Vec<String> = match some {
                    [] => (from..=to).take(SHOWN).map(|code| code.to_string()).collect(),
                    some => some.iter().map(u16::to_string).collect(),
                };
                return Some(format!("list each status: error_page {} {};", codes.join(" "), all.last()?));
            }
            if let Some(class) =
                all.iter().find(|word| matches!(word.to_ascii_lowercase().as_str(), "4xx" | "5xx" | "3xx"))
            {
                let first = class.as_bytes().first().map_or(0, |digit| u16::from(digit.saturating_sub(b'0')) * 100);
                let codes: Vec<String> = answered(first).iter().map(u16::to_string).collect();
                let line = all.join(" ").replace(&**class, &codes.join(" "));
                return Some(format!("list each status: error_page {line};"));
            }
            let is_list = all.iter().any(|word| word.contains(',') && !word.contains('/'));
            Some(match is_list {
                true => format!(
                    "statuses are separated by spaces: error_page {};",
                    listed.split_whitespace().collect::<Vec<_>>().join(" ")
                ),
                false => {
                    "statuses from 300 to 599, =200 to answer with another, then a URI: error_page 404 =200 /404.html;"
                        .into()
                }
            })
        }
    }
}

/// The usual errors of a class of statuses.
fn answered(from: u16) -> &'static [u16] {
    match from / 100 {
        4 => &[400, 401, 403, 404],
        5 => &[500, 502, 503, 504],
        _ => &[301, 302],
    }
}

/// `404 /index.php 200`: the status for the page is at the end.
fn at_end_is_success(words: &[Word]) -> bool {
    words.len() > 2 && words.last().is_some_and(|word| word.len() == 3 && word.bytes().starts_with(b"2"))
}
