//! Whether a client prefers the page or JSON (RFC 9110 §12.5.1).

use crate::http::field_syntax::{list, weighted};

/// True if the client names `application/json` itself and does not prefer HTML. With equal weights: JSON if only a
/// wildcard covers HTML (`application/json, */*`), otherwise the type named first. A type with a malformed weight is
/// not wanted.
pub fn prefers_json(accept: &[u8]) -> bool {
    let mut json: Option<(u16, usize)> = None;
    let mut html: Option<(u16, usize)> = None;
    for (at, member) in list(accept).enumerate() {
        let (kind, weight) = weighted(member);
        let weight = weight.unwrap_or(0);
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
