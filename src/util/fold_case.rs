//! Names as file systems compare them that ignore case, or how a letter is composed.
//!
//! Invariant: two names that such a file system treats as the same are equal here, except for the short names of FAT.
//! The opposite need not be true.

use super::decompose::decompose;
use std::borrow::Cow;

/// The name or path in lower case, decomposed, without characters that are ignored. Slashes stay where they are.
pub fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_ascii() {
        return match name.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
    }
    let mut folded = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let letters = decompose(chunk.valid().chars().filter(|c| !is_ignored(*c)));
        for c in letters.iter().flat_map(|c| c.to_uppercase()).flat_map(char::to_lowercase) {
            folded.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        folded.extend_from_slice(chunk.invalid());
    }
    Cow::Owned(folded)
}

/// Whether two names are folded to the same, without copies of ASCII ones.
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) || !(a.is_ascii() && b.is_ascii()) && fold(a) == fold(b)
}

/// Another spelling of a name. None: it has no letter that could be written otherwise.
pub fn respelled(name: &[u8]) -> Option<Vec<u8>> {
    let other: Vec<u8> = name
        .iter()
        .map(|b| if b.is_ascii_lowercase() { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() })
        .collect();
    (other != name).then_some(other)
}

/// Unicode's Default_Ignorable_Code_Point.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_folded_to_one() {
        let table: [(&[u8], &[u8], bool); 14] = [
            (b"/a/Trash", b"/A/tRASH", true),
            (b"/a/b", b"/a/c", false),
            ("/tra\u{17f}h".as_bytes(), b"/TRASH", true),
            ("/\u{212a}eys".as_bytes(), b"/keys", true),
            ("/tra\u{200b}sh\u{fe0f}".as_bytes(), b"/trash", true),
            ("/\u{fc}".as_bytes(), "/U\u{308}".as_bytes(), true),
            ("/\u{fc}".as_bytes(), b"/u", false),
            ("/\u{1ed8}".as_bytes(), "/\u{f4}\u{323}".as_bytes(), true),
            ("/\u{ac00}".as_bytes(), "/\u{1100}\u{1161}".as_bytes(), true),
            ("/M\u{dc}ll".as_bytes(), "/m\u{fc}LL".as_bytes(), true),
            ("/Stra\u{df}e".as_bytes(), b"/STRASSE", true),
            (b"/\xff/A", b"/\xff/a", true),
            (b"/\xff", b"/\xfe", false),
            ("/\u{3b1}\u{3c3}".as_bytes(), "/\u{391}\u{3c2}".as_bytes(), true),
        ];
        for (a, b, expected) in table {
            let shown = format!("{} {}", String::from_utf8_lossy(a), String::from_utf8_lossy(b));
            assert_eq!(fold(a) == fold(b), expected, "{shown}");
            assert_eq!(is_same(a, b), expected, "{shown}");
            let slashes = |path: &[u8]| path.iter().filter(|b| **b == b'/').count();
            assert_eq!(slashes(&fold(a)), slashes(a), "{shown}");
        }
    }

    #[test]
    fn another_spelling_differs_and_is_of_the_same_name() {
        for (name, expected) in [("x.php", Some("X.PHP")), ("Ab1", Some("aB1")), ("1.2", None), ("\u{e4}", None)] {
            let other = respelled(name.as_bytes());
            assert_eq!(other.as_deref(), expected.map(str::as_bytes), "{name}");
            assert!(other.is_none_or(|other| is_same(&other, name.as_bytes())), "{name}");
        }
    }
}
