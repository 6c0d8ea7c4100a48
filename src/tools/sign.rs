//! `webserv sign`: creates a link for `signed_link` with the server's key.

use crate::config::value::{Millis, Size};
use crate::http::field_syntax::is_token;
use crate::http::reject::Reject;
use crate::http::signed_link;
use crate::http::uri::{self, Slashes};
use crate::sys::Errno;
use std::path::PathBuf;

/// The options from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// Where the link leads.
    pub url: String,
    /// The file that signed_link names; its first key signs.
    pub key: PathBuf,
    /// A Unix time, or a duration from now (`2h`).
    pub expires: Option<String>,
    /// Names, separated by commas.
    pub methods: String,
    /// `MIN-MAX` bytes, or one bound.
    pub size: Option<String>,
    /// Media types, separated by commas.
    pub types: Option<String>,
    /// Sign everything below this path instead of only the URL's.
    pub place: Option<String>,
}

/// The signed URL.
///
/// # Errors
/// The key cannot be read, or an option is invalid.
pub fn link(sign: &Sign, now: i64) -> Result<String, String> {
    let keys = std::fs::read(&sign.key).map_err(|e| {
        let cure = match e.kind() {
            std::io::ErrorKind::NotFound => "; `openssl rand -hex 32` makes a key, which signed_link names as well",
            _ => "",
        };
        format!("open() \"{}\" failed {}{cure}", sign.key.display(), Errno::from(e))
    })?;
    let keys = signed_link::keys_of(&keys)?;
    let Some(key) = keys.first() else { return Err(format!("{}: no key", sign.key.display())) };
    let expires = match &sign.expires {
        None => Vec::new(),
        Some(text) => match moment(text, now)? {
            at if at <= now => {
                return Err(format!("--expires {text}: that is in the past, the link would never work"));
            }
            at => at.to_string().into_bytes(),
        },
    };
    let types = words(sign.types.as_deref().unwrap_or_default());
    if let Some(word) = types.split(',').find(|word| !word.is_empty() && !is_type(word)) {
        return Err(format!("--types {word}: not a media type such as image/png or image/*"));
    }
    let (base, query) = sign.url.split_once('?').map_or((&sign.url[..], None), |(base, query)| (base, Some(query)));
    let path = path_of(base)?;
    if let Some(raw) = sign.url.chars().find(|c| *c <= ' ' || *c == '#') {
        return Err(format!("{}: a signed URL cannot contain {raw:?}: write %{:02X}", sign.url, u32::from(raw)));
    }
    let target = normal(path, "")?;
    let place = match &sign.place {
        Some(place) => normal(place, "--place ")?,
        None => target.clone(),
    };
    let size = sign.size.as_deref().map(range).transpose()?.unwrap_or_default();
    let methods = words(&sign.methods).to_ascii_uppercase();
    let values = [place, expires, methods.into_bytes(), size, types.into_bytes()];
    let link = signed_link::parse(&values).map_err(as_options)?;
    if !link.is_of(&target) {
        let (path, place) = (String::from_utf8_lossy(&target), String::from_utf8_lossy(&values[0]));
        return Err(format!("--place {place}: the link would not be valid for its own URL, whose path is {path}"));
    }
    let args = String::from_utf8_lossy(&signed_link::sign(key, &values)).into_owned();
    let query = query.map_or(String::new(), |query| format!("{query}&"));
    Ok(format!("{base}?{query}{args}\n"))
}

/// The arguments of a link as the options that they come from.
fn as_options(why: &str) -> String {
    why.replace("link-", "--")
}

/// A list without the spaces that people write behind its commas.
fn words(list: &str) -> String {
    list.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

fn is_type(word: &str) -> bool {
    word.split_once('/').is_some_and(|(kind, sub)| is_token(kind.as_bytes()) && is_token(sub.as_bytes()))
}

/// The path of a URL without its query, as it stands there.
fn path_of(url: &str) -> Result<&str, String> {
    if url.starts_with('/') {
        return Ok(url);
    }
    let scheme = url.split_once("://").filter(|(s, _)| ["http", "https"].iter().any(|w| s.eq_ignore_ascii_case(w)));
    let Some((_, rest)) = scheme else {
        return Err(format!("{url}: not a URL: it begins with https://, http:// or, for the path alone, with /"));
    };
    Ok(rest.find('/').map_or("/", |at| &rest[at..]))
}

/// The path in the form in which the server compares it (with merge_slashes on): decoded, without dot segments and
/// doubled slashes. A signature of any other form never matches.
fn normal(path: &str, option: &str) -> Result<Vec<u8>, String> {
    let mut place = Vec::new();
    match uri::normalize(path.as_bytes(), Slashes::Merge, &mut place) {
        Ok(found) if found.query.is_none() => Ok(place),
        Ok(_) => Err(format!("{option}{path}: not a URI path: it has a query")),
        Err(Reject::BadUri(why)) => Err(format!("{option}{path}: not a URI path: {why}")),
        Err(_) => Err(format!("{option}{path}: not a URI path")),
    }
}

fn moment(text: &str, now: i64) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(at) if at > 1_000_000_000 => Ok(at),
        _ => match Millis::parse(text.as_bytes()) {
            Ok(time) => Ok(now.saturating_add_unsigned(time.0 / 1000)),
            Err(_) => Err(format!("--expires {text}: neither a Unix time nor a time from now (30m, 2h, 7d)")),
        },
    }
}

/// Parses `1k-10m`, in bytes.
fn range(text: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("--size {text}: not a range MIN-MAX, such as 0-10m");
    let (least, most) = text.split_once('-').ok_or_else(bad)?;
    let end = |text: &str| match text {
        "" => Ok(String::new()),
        text => Size::parse_offset(text.as_bytes()).map(|size| size.0.to_string()).map_err(|_| bad()),
    };
    Ok(format!("{}-{}", end(least)?, end(most)?).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_written_as_in_the_configuration() {
        let table = [("2h", Some(7200)), ("1764230400", Some(1_764_230_400)), ("90", Some(90)), ("soon", None)];
        for (text, expected) in table {
            assert_eq!(moment(text, 0).ok(), expected, "{text}");
        }
        assert_eq!(range("1k-10m").as_deref(), Ok(&b"1024-10485760"[..]));
        assert_eq!(range("-5").as_deref(), Ok(&b"-5"[..]));
        assert!(range("5").is_err());
    }

    #[test]
    fn a_link_is_signed_for_the_path_that_the_server_sees() {
        for (url, place) in [
            ("/in/./a/../b%20c//d", Ok("/in/b c/d")),
            ("HTTPS://h/%C3%A9/%2e%2e/x/", Ok("/x/")),
            ("http://h", Ok("/")),
            ("/../x", Err("")),
            ("/100%", Err("")),
            ("x/y", Err("")),
        ] {
            let found = path_of(url).and_then(|path| normal(path, ""));
            assert_eq!(found.map_err(|_| ""), place.map(|text| text.as_bytes().to_vec()), "{url}");
        }
        assert_eq!(words("image/png, text/*"), "image/png,text/*");
        assert!(is_type("image/*") && !is_type("image") && !is_type("a/b c/d") && !is_type("text/html;q=1"));
    }
}
