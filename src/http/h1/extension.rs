//! The grammar of chunk extensions (RFC 9112 §7.1.1), byte by byte. Their values are not used; their grammar is
//! checked, because a lenient reader may see the end of the line elsewhere.

use crate::http::field_syntax::{is_field_byte, is_token_byte};

/// The position in the syntax of chunk extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// Behind a semicolon: a name comes.
    Begin,
    /// In the name of an extension.
    Name,
    /// Blanks behind a name: a value or another extension comes.
    AfterName,
    /// Behind an equals sign: a value comes.
    Equals,
    /// In a value that is a token.
    Value,
    /// In a value that is a quoted string.
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind the closing quote: a blank, a semicolon or the end of the line comes.
    EndQuote,
    /// Blanks behind a value: another extension comes.
    AfterValue,
}

impl Extension {
    /// The place behind `byte`; None: it may not stand here.
    pub fn next(self, byte: u8) -> Option<Extension> {
        use Extension as E;
        Some(match (self, byte) {
            (E::Quoted, b'"') => E::EndQuote,
            (E::Quoted, b'\\') => E::Escaped,
            (E::Quoted | E::Escaped, _) if is_field_byte(byte) => E::Quoted,
            (E::Begin | E::Equals, b' ' | b'\t') => self,
            (E::Name | E::AfterName, b' ' | b'\t') => E::AfterName,
            (E::Value | E::EndQuote | E::AfterValue, b' ' | b'\t') => E::AfterValue,
            (E::Name | E::AfterName, b'=') => E::Equals,
            (E::Name | E::AfterName | E::Value | E::EndQuote | E::AfterValue, b';') => E::Begin,
            (E::Equals, b'"') => E::Quoted,
            (E::Begin | E::Name, _) if is_token_byte(byte) => E::Name,
            (E::Equals | E::Value, _) if is_token_byte(byte) => E::Value,
            _ => return None,
        })
    }

    /// The line may end here.
    pub fn is_whole(self) -> bool {
        matches!(self, Extension::Name | Extension::Value | Extension::EndQuote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_a_name_and_perhaps_a_value() {
        let reads =
            |text: &str| text.bytes().try_fold(Extension::Begin, Extension::next).is_some_and(Extension::is_whole);
        for good in
            ["a", "a=b", " a = b", "a;b", "a=b ; c=d", "a=\"\"", "a=\"b;c\"", "a=\"\\\"\"", "a=\"\u{e9}\t\"", "!#$=~"]
        {
            assert!(reads(good), "{good:?}");
        }
        for bad in [
            "",
            " ",
            "=",
            "=b",
            "a=",
            "a= ",
            "a;",
            ";a",
            "a b",
            "a=b c",
            "a[",
            "a=[",
            "a=\"",
            "a=\"b",
            "a=\"\\\"",
            "a=\"b\"c",
            "a=b ",
            "a\u{1}",
            "a=\"\u{1}\"",
            "\u{e9}",
        ] {
            assert!(!reads(bad), "{bad:?}");
        }
    }
}
