//! `webserv sign`: creates a link for `signed_link` with the server's key.

use crate::config::value::{Millis, Size};
use crate::http::escape::unescape;
use crate::http::signed_link;
use crate::sys::Errno;
use std::path::PathBuf;

/// The options from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    pub url: String,
    pub key: PathBuf,
    /// A Unix time, or a duration from now (`2h`).
    pub expires: Option<String>,
    pub methods: String,
    pub size: Option<String>,
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
                return Err(format!("--expires {text}: that is over already, the link would never work"));
            }
            at => at.to_string().into_bytes(),
        },
    };
    let is_type = |word: &str| word.split_once('/').is_some_and(|(kind, sub)| !kind.is_empty() && !sub.is_empty());
    if let Some(word) = sign.types.iter().flat_map(|types| types.split(',')).find(|word| !is_type(word.trim())) {
        return Err(format!("--types {word}: no media type, such as image/png or image/*"));
    }
    let (base, query) = sign.url.split_once('?').map_or((&sign.url[..], None), |(base, query)| (base, Some(query)));
    let is_url = ["http://", "https://"].iter().any(|scheme| base.starts_with(scheme)) || base.starts_with('/');
    if !is_url {
        return Err(format!("{base}: no URL: it begins with https://, http:// or, for the path alone, with /"));
    }
    let start = base.find("://").map_or(0, |at| at + 3);
    let path = base[start..].find('/').map_or("/", |at| &base[start + at..]);
    let mut place = Vec::new();
    match &sign.place {
        Some(text) => place.extend_from_slice(text.as_bytes()),
        None => unescape(path.as_bytes(), &mut place),
    }
    let size = sign.size.as_deref().map(range).transpose()?.unwrap_or_default();
    let types = sign.types.clone().unwrap_or_default().into_bytes();
    let values = [place, expires, sign.methods.to_ascii_uppercase().into_bytes(), size, types];
    signed_link::parse(&values).map_err(str::to_owned)?;
    let args = String::from_utf8_lossy(&signed_link::sign(key, &values)).into_owned();
    let query = query.map_or(String::new(), |query| format!("{query}&"));
    Ok(format!("{base}?{query}{args}\n"))
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
    let bad = || format!("--size {text}: no range MIN-MAX, such as 0-10m");
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
}
