//! The page's words in several languages, from the files beside this one, and which language a client prefers.
//!
//! A file has a line `key = text` for each word, the same keys in the same order in every file; `{0}` stands for a
//! name or a number. Keys that begin with `js_` are for the scripts.

use super::escape;
use crate::http::field_syntax::{list, weighted};

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    En,
    De,
    Fr,
    Es,
    Pt,
    Ja,
    Zh,
}

/// The values of `lang`, and the words.
const LANGUAGES: [(Language, &str, &str); 7] = [
    (Language::En, "en", include_str!("words/en.txt")),
    (Language::De, "de", include_str!("words/de.txt")),
    (Language::Fr, "fr", include_str!("words/fr.txt")),
    (Language::Es, "es", include_str!("words/es.txt")),
    (Language::Pt, "pt", include_str!("words/pt.txt")),
    (Language::Ja, "ja", include_str!("words/ja.txt")),
    (Language::Zh, "zh-Hans", include_str!("words/zh.txt")),
];

/// A word of the page, in the order of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Word {
    Title, Add, AddFolder, Upload, Hint, Filter, Press, Contents, Name, Size, Modified, Delete, DeleteName, Rename,
    RenameName, Parent, Empty, Drop, DeleteQ, DeleteFolderQ, DeleteAllQ, Keep, KeepIt, Cancel, Top, Path, Uploads, Folder,
    Folders, File, Files, Bytes, NewFolder, Make, MoveQ, MoveTo, Move, Archive, Search, Found, Nothing,
    NotAll, Actions, Back,
}

impl Language {
    /// The language that an Accept-Language line prefers among those of the page (RFC 9110 §12.5.4); English if it
    /// names none of them.
    pub fn of(accept: &[u8]) -> Language {
        let mut best = (0, Language::En);
        for member in list(accept) {
            let (range, weight) = weighted(member);
            // A malformed weight counts in full.
            let weight = weight.unwrap_or(1000);
            let mut subtags = range.split(|b| *b == b'-');
            let primary = subtags.next().unwrap_or_default();
            // Our Chinese is simplified: a request for traditional characters is not one for it. A script subtag counts
            // more than a region.
            let rest: Vec<&[u8]> = subtags.collect();
            let has = |tags: &[&str]| {
                rest.iter().any(|tag| tags.iter().any(|known| tag.eq_ignore_ascii_case(known.as_bytes())))
            };
            let is_other = primary.eq_ignore_ascii_case(b"zh") && !has(&["hans"]) && has(&["hant", "tw", "hk", "mo"]);
            let is_named =
                |name: &str| name.split('-').next().is_some_and(|n| primary.eq_ignore_ascii_case(n.as_bytes()));
            let found = LANGUAGES.iter().find(|(_, name, _)| is_named(name) && !is_other);
            let found = found.map(|(language, ..)| *language).or((range == b"*").then_some(Language::En));
            if let Some(language) = found.filter(|_| weight > best.0) {
                best = (weight, language);
            }
        }
        best.1
    }

    fn row(self) -> (&'static str, &'static str) {
        LANGUAGES.iter().find(|(language, ..)| *language == self).map_or(("en", ""), |(_, name, text)| (name, text))
    }

    /// Its own name, for the menu of languages.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether a count of none takes the word for one.
    pub fn has_one_for_none(self) -> bool {
        matches!(self, Language::Fr | Language::Pt)
    }

    /// The decimal separator, and the separator of groups of three digits.
    pub fn number_marks(self) -> (&'static str, &'static str) {
        match self {
            Language::De | Language::Es | Language::Pt => (",", "."),
            Language::Fr => (",", "\u{202f}"),
            Language::En | Language::Ja | Language::Zh => (".", ","),
        }
    }

    /// One word, for rows: reading all words for each row would cost more than the row.
    pub fn get(self, word: Word) -> &'static str {
        let line = self.row().1.lines().nth(word as usize);
        line.and_then(|line| line.split_once(" = ")).map_or("", |(_, text)| text)
    }

    /// The words, read once for a page.
    pub fn words(self) -> Words {
        Words { texts: self.row().1.lines().filter_map(|line| line.split_once(" = ")).collect() }
    }
}

/// The words of a language.
pub struct Words {
    texts: Vec<(&'static str, &'static str)>,
}

impl Words {
    /// The text in this language, `{0}` not replaced.
    pub fn get(&self, word: Word) -> &'static str {
        self.texts.get(word as usize).map_or("", |(_, text)| text)
    }

    /// Appends the word; `inner` writes its `{0}`. The rest is our own text and needs no escaping.
    pub fn with(&self, word: Word, out: &mut Vec<u8>, inner: impl FnOnce(&mut Vec<u8>)) {
        let text = self.get(word);
        let (before, after) = text.split_once("{0}").unwrap_or((text, ""));
        out.extend_from_slice(before.as_bytes());
        inner(out);
        out.extend_from_slice(after.as_bytes());
    }

    /// The word with a name in it, as text.
    pub fn named(&self, word: Word, name: &[u8], out: &mut Vec<u8>) {
        self.with(word, out, |out| escape::text(name, out));
    }

    /// The word with this key; empty if there is none.
    pub fn of(&self, key: &str) -> &'static str {
        self.texts.iter().find(|(known, _)| *known == key).map_or("", |(_, text)| text)
    }

    /// Why a request was refused, as the scripts say it.
    pub fn of_status(&self, status: u16) -> String {
        match self.of(&format!("js_e{status}")) {
            "" => self.of("js_else").replace("{0}", &status.to_string()),
            own => own.to_owned(),
        }
    }

    /// The word with this key, as [`Words::with`], and with `{1}` for the reason.
    pub fn because(&self, key: &str, out: &mut Vec<u8>, inner: impl FnOnce(&mut Vec<u8>), why: &str) {
        let text = self.of(key);
        let (before, after) = text.split_once("{0}").unwrap_or((text, ""));
        out.extend_from_slice(before.as_bytes());
        inner(out);
        out.extend_from_slice(after.replace("{1}", why).as_bytes());
    }

    /// The words of the scripts, as JSON.
    pub fn for_scripts(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let scripts = self.texts.iter().filter_map(|(key, text)| Some((key.strip_prefix("js_")?, text)));
        for (at, (key, text)) in scripts.enumerate() {
            out.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_chosen_by_weight() {
        let table = [
            ("", Language::En),
            ("de", Language::De),
            ("de-AT,de;q=0.9,en;q=0.8", Language::De),
            ("nl, fr;q=0.7, en;q=0.3", Language::Fr),
            ("en;q=0.5, ja;q=0.9", Language::Ja),
            ("zh-Hans-CN", Language::Zh),
            ("zh-TW, de;q=0.5", Language::De),
            ("zh-Hant-HK", Language::En),
            ("zh-Hans-HK", Language::Zh),
            ("zh-hans-TW, en;q=0.5", Language::Zh),
            ("PT-br", Language::Pt),
            ("es;q=0, en", Language::En),
            ("*, de;q=0.5", Language::En),
            ("deu", Language::En),
            ("de;q=x, fr;q=0.5", Language::De),
        ];
        for (accept, expected) in table {
            assert_eq!(Language::of(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn a_status_without_a_text_of_its_own_is_told_by_its_number() {
        for (language, name, _) in LANGUAGES {
            let words = language.words();
            assert_eq!(words.of_status(403), words.of("js_e403"), "{name}");
            assert!(!words.of_status(403).is_empty() && !words.of_status(403).contains("403"), "{name}");
            let other = words.of_status(418);
            assert!(other.contains("418") && !other.contains('{'), "{name}: {other}");
        }
    }

    #[test]
    fn every_language_has_every_word() {
        let keys = |language: Language| language.words().texts.iter().map(|(key, _)| *key).collect::<Vec<_>>();
        let english = keys(Language::En);
        assert_eq!(english.get(Word::Back as usize), Some(&"back"));
        assert!(english.iter().skip(Word::Back as usize + 1).all(|key| key.starts_with("js_")));
        for (language, name, _) in LANGUAGES {
            assert_eq!(keys(language), english, "{name}");
            for ((key, text), (_, model)) in language.words().texts.iter().zip(Language::En.words().texts) {
                let holes = |text: &str| [text.contains("{0}"), text.contains("{1}")];
                assert_eq!(holes(text), holes(model), "{name}: {key}");
                assert!(!text.is_empty() && !text.contains(['<', '>', '&', '"', '\\']), "{name}: {key}");
            }
        }
    }
}
