//! Whether a client prefers the page or JSON (RFC 9110 §12.5.1).

use crate::http::field_syntax::{list, trim_ows};

/// True if the client names `application/json` itself and does not prefer HTML. With equal weights: JSON if only a
/// wildcard covers HTML (`application/json, */*`), otherwise the type named first.
pub fn prefers_json(accept: &[u8]) -> bool {
    let mut json: Option<(u16, usize)> = None;
    let mut html: Option<(u16, usize)> = None;
    for (at, member) in list(accept).enumerate() {
        let mut parts = member.split(|b| *b == b';').map(trim_ows);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(quality).unwrap_or(1000);
        let place = if kind.eq_ignore_ascii_case(b"application/json") {
            &mut json
        } else if kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml") {
            &mut html
        } else {
            continue;
        };
        if place.is_none_or(|(best, _)| weight > best) {
            *place = Some((weight, at));
        }
    }
    match (json, html) {
        (Some((0, _)), _) | (None, _) => false,
        (Some(_), None) => true,
        (Some((json, first)), Some((html, second))) => json > html || json == html && first < second,
    }
}

/// `q=0.25` as thousandths. None for another parameter; an invalid weight counts as 0.
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match value {
        [b'0', rest @ ..] => (0, rest),
        [b'1', rest @ ..] => (1000, rest),
        _ => return Some(0),
    };
    let digits = match fraction {
        [] => &[][..],
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Some(0),
    };
    let fraction = (0..3).fold(0, |n, at| n * 10 + digits.get(at).map_or(0, |d| u16::from(d - b'0')));
    Some((whole + fraction).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_to_those_who_ask_for_it() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let table = [
            ("", false),
            ("*/*", false),
            (browser, false),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0", false),
            ("application/json;q=0.5, text/html", false),
            ("application/json, text/html;q=0.9", true),
            ("application/json;q=0.25, text/html;q=0.3", false),
            ("text/html, application/json", false),
            ("application/json, text/html", true),
            ("text/*, application/json;q=0.1", true),
            ("application/json;q=junk, text/html", false),
            ("application/json;q=1.0009", false),
            ("application/*", false),
        ];
        for (accept, expected) in table {
            assert_eq!(prefers_json(accept.as_bytes()), expected, "{accept}");
        }
    }
}
