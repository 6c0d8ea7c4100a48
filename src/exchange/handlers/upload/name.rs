//! Names of stored files: which names a client may give, and how other names are made.
//!
//! A name is checked, never rewritten: [`Names::check`] refuses with a 400 that says why. Invariant: every name from
//! [`choose`] or [`exact`] has been checked.

use super::record::extension;
use super::refusal::Refusal;
use crate::config::settings::upload::{FileName, NameRule, UploadSettings};
use crate::config::template::{Builtin, Part, Template, Var};
use crate::exchange::{Exchange, variables};
use crate::http::escape::unescape;
use crate::http::status::Status;
use crate::services::{Services, temp_names};
use crate::sys::random;
use crate::util::date::Civil;
use std::io::Write;

/// The longest name of Linux's file systems, in bytes.
const LONGEST: usize = 255;

/// Where a name comes from, which decides what else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// From a form, a POST or a plain PUT: such a name is never meant to be a dotfile.
    Form,
    /// From a method of dav_methods: clients that synchronise have dotfiles too, and nginx stores them.
    Dav,
}

/// Which names are allowed (`upload_names`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// upload_names.
    pub rule: NameRule,
    /// What kind of request names the file.
    pub manner: Manner,
}

impl Names {
    /// As the location and the method of the request decide.
    pub fn of(ex: &Exchange) -> Names {
        let is_dav = ex.location().settings.dav.answers(ex.route.method);
        let manner = if is_dav { Manner::Dav } else { Manner::Form };
        Names { rule: ex.location().settings.upload.names, manner }
    }

    /// Checks a name.
    ///
    /// # Errors
    /// The rule that it breaks, as the end of a sentence for the client.
    pub fn check(self, name: &[u8]) -> Result<(), &'static str> {
        if is_plain(name) {
            return Ok(());
        }
        self.check_as_is(name)?;
        // A program that gets the name may decode it again: it must be a valid name then, too.
        if self.rule != NameRule::Safe || memchr::memchr(b'%', name).is_none() {
            return Ok(());
        }
        let (mut name, mut decoded) = (name.to_vec(), Vec::new());
        while name.contains(&b'%') {
            decoded.clear();
            unescape(&name, &mut decoded);
            if decoded == name {
                break;
            }
            self.check_as_is(&decoded)
                .map_err(|_| "the file name holds %-escapes of characters that no file name may hold")?;
            std::mem::swap(&mut name, &mut decoded);
        }
        Ok(())
    }

    /// Checks a name as it is.
    fn check_as_is(self, name: &[u8]) -> Result<(), &'static str> {
        if name.is_empty() {
            return Err("the file name is empty");
        }
        if name.len() > LONGEST {
            return Err("the file name is longer than 255 bytes");
        }
        // If a browser sends a whole path, it means the last part; but only the browser knows which separator it
        // uses.
        if name.contains(&b'/') {
            return Err("the file name holds a slash");
        }
        if matches!(name, b"." | b"..") {
            return Err("the file name is only dots");
        }
        if temp_names::is_hidden(name) {
            return Err("the file name starts with a dot and a word reserved for this server");
        }
        if name.contains(&0) {
            return Err("the file name holds a control character");
        }
        match self.rule {
            NameRule::Any => Ok(()),
            NameRule::Safe => self.is_safe(name),
        }
    }

    /// Refuses what could harm people or programs that handle the file later.
    fn is_safe(self, name: &[u8]) -> Result<(), &'static str> {
        if name.contains(&b'\\') {
            return Err("the file name holds a backslash");
        }
        if name.iter().any(|b| *b < b' ' || *b == 0x7f) {
            return Err("the file name holds a control character");
        }
        if self.manner == Manner::Form && name.first() == Some(&b'.') {
            return Err("the file name starts with a dot");
        }
        // Overlong forms among them: a careless decoder reads a dot or a slash.
        let Ok(text) = std::str::from_utf8(name) else { return Err("the file name is not UTF-8") };
        for c in text.chars() {
            match c {
                '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => return Err("the file name holds a control character"),
                // They disguise a name: `gpj.exe` looks like `exe.jpg`.
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    return Err("the file name holds a character that changes the direction of writing");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Letters, digits, `-`, `_` and dots, none of them first: no rule is about such a name. Most are so, and each rule for
/// itself took 500 instructions.
fn is_plain(name: &[u8]) -> bool {
    const PLAIN: [bool; 256] = {
        let (mut table, mut at) = ([false; 256], 0);
        while at < 128 {
            table[at] = matches!(at as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.');
            at += 1;
        }
        table
    };
    let begins = name.first().is_some_and(|first| *first != b'.');
    begins && name.len() <= LONGEST && name.iter().all(|b| PLAIN[usize::from(*b)])
}

/// `name-1.ext`: another name for a file whose own is taken. Double extensions such as `.tar.gz` stay together.
pub fn numbered(name: &[u8], number: &str) -> Vec<u8> {
    let mut stem = &name[..name.len() - extension(name).len()];
    if extension(stem).eq_ignore_ascii_case(b".tar") {
        stem = &stem[..stem.len() - 4];
    }
    [stem, b"-", number.as_bytes(), &name[stem.len()..]].concat()
}

/// What is known of a file when its name is made of variables.
#[derive(Clone, Copy, Default)]
pub struct NameFacts<'a> {
    /// The client's name for the file.
    pub name: &'a [u8],
    /// Plain fields of the form that have arrived.
    pub fields: &'a [(Box<[u8]>, Vec<u8>)],
}

/// Expands a template for the name of a file: `$upload_file_name`, `$upload_file_ext` (with its dot) and
/// `$upload_field_NAME` are those of the file that is `known` so far.
fn expand(template: &Template, ex: &mut Exchange, cx: &mut Services, known: &NameFacts<'_>) -> Vec<u8> {
    variables::expand_by(template, ex, cx, |var, _, _, out| {
        match var {
            Var::Builtin(Builtin::UploadFileName) => out.extend_from_slice(known.name),
            Var::Builtin(Builtin::UploadFileExt) => out.extend_from_slice(extension(known.name)),
            Var::UploadField(name) => {
                out.extend_from_slice(super::record::find(known.fields, name).unwrap_or_default());
            }
            _ => return false,
        }
        true
    })
}

/// The name depends on fields of the form, which may follow the file.
pub fn is_made_of_fields(rule: &FileName) -> bool {
    let FileName::Value(template) = rule else { return false };
    template.parts.iter().any(|part| matches!(part, Part::Var(Var::UploadField(_))))
}

/// Whether the client chooses nothing of a name but its extension. `given`: the client's name for the file, if the
/// client is free to choose it. What `set`, `map` and regexes make counts as the configuration's.
pub fn is_chosen_here(rule: &FileName, given: Option<&[u8]>) -> bool {
    use Builtin::{
        Args, ContentType, Host, QueryString, Request, RequestBody, RequestUri, SslServerName, UploadFileName,
    };
    match rule {
        FileName::Original => given.is_none(),
        FileName::Random | FileName::Time => true,
        FileName::Value(template) => template.parts.iter().all(|part| match part {
            Part::Var(Var::UploadField(_) | Var::Arg(_) | Var::Http(_) | Var::Cookie(_)) => false,
            Part::Var(Var::Builtin(UploadFileName)) => given.is_none(),
            Part::Var(Var::Builtin(
                Args | QueryString | RequestUri | Request | RequestBody | ContentType | Host | SslServerName,
            )) => false,
            _ => true,
        }),
    }
}

/// The name a file is stored under: the client's, where it gave one and may choose.
///
/// # Errors
/// 400 for a name that [`Names::check`] refuses.
pub fn choose(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &UploadSettings,
    known: &NameFacts<'_>,
    content_type: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let given = (!known.name.is_empty()).then_some(known.name);
    let names = Names::of(ex);
    if let Some(name) = given {
        names.check(name).map_err(|why| Refusal::name(why, name))?;
    }
    let end = match given {
        Some(name) => extension(name),
        None => extension_of_type(content_type),
    };
    let name = match (&rules.filename, given) {
        (FileName::Original, Some(name)) => return Ok(name.to_vec()),
        (FileName::Random, _) => [random_digits(32).as_bytes(), end].concat(),
        (FileName::Original | FileName::Time, _) => [moment(cx.now.unix).as_bytes(), end].concat(),
        (FileName::Value(template), _) => expand(template, ex, cx, known),
    };
    names.check(&name).map_err(|why| Refusal::name(why, &name))?;
    Ok(name)
}

/// The name that the URI gives, and no other.
pub fn exact(names: Names, name: &[u8]) -> Result<Vec<u8>, Refusal> {
    names.check(name).map_err(|why| Refusal::name(why, name))?;
    Ok(name.to_vec())
}

/// `20261122-221651-3fa9c1d2`: sorts by time, and two of one second differ.
fn moment(unix: i64) -> String {
    let c = Civil::from_unix(unix);
    let mut text = format!("{:04}{:02}{:02}-{:02}{:02}{:02}-", c.year, c.month, c.day, c.hour, c.minute, c.second);
    text.push_str(&random_digits(8));
    text
}

/// This many (at most 32) random hex digits.
pub fn random_digits(count: usize) -> String {
    let mut bytes = [0; 16];
    // Without entropy all digits are zero: such a name may be taken, which is found when the file gets it.
    let _ = random::fill(&mut bytes);
    let mut text = Vec::with_capacity(32);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(count);
    String::from_utf8(text).expect("hex digits are ASCII")
}

/// The usual extension of a media type, with its dot; nothing for the types that say nothing.
fn extension_of_type(content_type: &[u8]) -> &'static [u8] {
    const TYPES: [(&str, &str); 33] = [
        ("application/gzip", ".gz"),
        ("application/javascript", ".js"),
        ("application/json", ".json"),
        ("application/pdf", ".pdf"),
        ("application/rtf", ".rtf"),
        ("application/x-7z-compressed", ".7z"),
        ("application/x-tar", ".tar"),
        ("application/xml", ".xml"),
        ("application/zip", ".zip"),
        ("audio/flac", ".flac"),
        ("audio/mpeg", ".mp3"),
        ("audio/mp4", ".m4a"),
        ("audio/ogg", ".ogg"),
        ("audio/wav", ".wav"),
        ("font/woff2", ".woff2"),
        ("image/avif", ".avif"),
        ("image/bmp", ".bmp"),
        ("image/gif", ".gif"),
        ("image/heic", ".heic"),
        ("image/jpeg", ".jpg"),
        ("image/png", ".png"),
        ("image/svg+xml", ".svg"),
        ("image/tiff", ".tiff"),
        ("image/webp", ".webp"),
        ("text/css", ".css"),
        ("text/csv", ".csv"),
        ("text/html", ".html"),
        ("text/javascript", ".js"),
        ("text/markdown", ".md"),
        ("text/plain", ".txt"),
        ("text/xml", ".xml"),
        ("video/mp4", ".mp4"),
        ("video/webm", ".webm"),
    ];
    let found =
        TYPES.iter().find(|(name, _)| super::rules::essence(content_type).eq_ignore_ascii_case(name.as_bytes()));
    found.map_or(b"", |(_, extension)| extension.as_bytes())
}

impl Refusal {
    /// A name that may not be stored. The log shows it escaped; the client, who sent it, only gets the rule.
    fn name(why: &'static str, name: &[u8]) -> Refusal {
        let shown: String =
            name.iter().take(300).flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
        Refusal::new(Status::BAD_REQUEST, why).detail(format!("file name \"{shown}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Names = Names { rule: NameRule::Safe, manner: Manner::Form };
    const DAV: Names = Names { rule: NameRule::Safe, manner: Manner::Dav };
    const ANY: Names = Names { rule: NameRule::Any, manner: Manner::Dav };

    #[test]
    fn what_clients_that_synchronise_bring_is_stored() {
        let names =
            ["Q: why.txt", "Vol. 2.", " first", "feat. x ", "C:evil", "x.php.", ".DS_Store", "._f", "~lock.a.odt#"];
        for name in names {
            assert_eq!(DAV.check(name.as_bytes()), Ok(()), "{name}");
            assert_eq!(FORM.check(name.as_bytes()).is_ok(), !name.starts_with('.'), "{name}");
        }
        for name in [&b".."[..], b".", b"a/b", b"a\0", b".webserv-upload-1", b""] {
            assert!(ANY.check(name).is_err(), "{}", String::from_utf8_lossy(name));
        }
        for name in [&b"a\nb"[..], b"a\\b", b".htaccess", b"a%2fb", b"\xff"] {
            assert_eq!(ANY.check(name), Ok(()), "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_name_that_means_something_else_somewhere_is_refused() {
        let long = "n".repeat(255);
        let good = [
            "a",
            "a.txt",
            "a b  c.txt",
            "say \"hi\".txt",
            "a..b.tar.gz",
            "100%25.txt",
            "100%",
            "5%-off %41.txt",
            "\u{e9}t\u{e9}.txt",
            "\u{20ac} rates.txt",
            "-rf",
            "*",
            "$(id)",
            "`id`",
            "|x",
            "CON",
            "1:b",
            "<b>",
            "\u{feff}x",
            &long,
        ];
        for name in good {
            assert_eq!(FORM.check(name.as_bytes()), Ok(()), "{name}");
        }
        let longer = "n".repeat(256);
        let bad: [(&[u8], &str); 35] = [
            (b"", "empty"),
            (b".", "dots"),
            (b"..", "dots"),
            (b"../evil", "slash"),
            (b"/tmp/evil", "slash"),
            (b"evil/", "slash"),
            (b"/", "slash"),
            (b"a\\b", "backslash"),
            (b"..\\evil", "backslash"),
            (b"C:\\dir\\evil.txt", "backslash"),
            (b"a\0b", "control"),
            (b"a\nb", "control"),
            (b"a\r\nb", "control"),
            (b"a\tb", "control"),
            (b"a\x1b[2Jb", "control"),
            (b"a\x7fb", "control"),
            (b"a\xc2\x85b", "control"),
            ("a\u{2028}b".as_bytes(), "control"),
            (b"a\xc0\xafb", "UTF-8"),
            (b"a\xff", "UTF-8"),
            (b"a\xed\xa0\x80", "UTF-8"),
            ("a\u{202e}txt.exe".as_bytes(), "direction"),
            ("\u{2066}a".as_bytes(), "direction"),
            ("a\u{200f}".as_bytes(), "direction"),
            ("a\u{61c}".as_bytes(), "direction"),
            (b".htaccess", "starts with a dot"),
            (b".webserv-upload-1", "starts with a dot"),
            (b"a%2fb", "escapes"),
            (b"a%252Fb", "escapes"),
            (b"%2e%2e%5cevil", "escapes"),
            (b"%25252e", "escapes"),
            (b"a%00", "escapes"),
            (b"a%0d%0aX: y", "escapes"),
            (b"%c0%ae%c0%ae", "escapes"),
            (longer.as_bytes(), "longer"),
        ];
        for (name, expected) in bad {
            let why = FORM.check(name).expect_err(&String::from_utf8_lossy(name));
            assert!(why.contains(expected), "{:?}: {why}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_taken_name_counts_before_its_extension() {
        let table = [
            ("old.txt", "1", "old-1.txt"),
            ("old", "2", "old-2"),
            ("a.tar.gz", "1", "a-1.tar.gz"),
            ("a.TAR.xz", "1", "a-1.TAR.xz"),
            ("a.b.c", "12", "a.b-12.c"),
            ("tar.gz", "1", "tar-1.gz"),
            ("x-1.txt", "1", "x-1-1.txt"),
        ];
        for (name, number, expected) in table {
            assert_eq!(String::from_utf8_lossy(&numbered(name.as_bytes(), number)), expected);
        }
    }

    #[test]
    fn extensions_come_from_names_and_types() {
        for (name, expected) in [("a.txt", ".txt"), ("a", ""), (".a", ""), ("a.b.C", ".C"), ("a.", ".")] {
            assert_eq!(extension(name.as_bytes()), expected.as_bytes(), "{name}");
        }
        let table =
            [("text/plain; charset=utf-8", ".txt"), ("IMAGE/JPEG", ".jpg"), ("application/octet-stream", ""), ("", "")];
        for (kind, expected) in table {
            assert_eq!(extension_of_type(kind.as_bytes()), expected.as_bytes(), "{kind}");
        }
    }

    #[test]
    fn a_made_name_passes_its_own_judge() {
        assert_eq!(&moment(1_795_385_811)[..16], "20261122-221651-");
        assert_eq!(moment(0).len(), 24);
        assert_eq!(random_digits(8).len(), 8);
        assert_eq!(FORM.check(moment(0).as_bytes()), Ok(()));
    }
}
