//! "Did you mean": finds the entry of a closed set (directives, parameters, zones, formats, users, files…) that a word
//! was meant to be. Pure; every closed set uses this, so that all tolerate the same mistakes.

/// The candidate that `word` probably means; None if none is close enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_of(word, candidates.into_iter().map(|candidate| (candidate, 0)))
}

/// As [`nearest`], for candidates with a penalty: it counts like that many wrong letters when candidates are compared,
/// but does not affect whether one is close enough.
pub fn nearest_of<'a>(word: &str, candidates: impl IntoIterator<Item = (&'a str, usize)>) -> Option<&'a str> {
    if word.is_empty() || word.chars().count() > 64 {
        return None;
    }
    let (asked, mut known) = (Shape::of(word), Shape::default());
    let near = candidates.into_iter().filter_map(|(candidate, penalty)| {
        known.set(candidate);
        asked.distance(&known).map(|distance| (distance + penalty, candidate))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// The sentence for a help line, if a candidate is close enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|near| format!("did you mean \"{near}\"?"))
}

/// The nearest of a set; otherwise the set itself, up to twelve entries.
pub fn one_of(word: &str, set: &[&str]) -> String {
    let near = did_you_mean(word, set.iter().copied());
    near.unwrap_or_else(|| {
        let names: Vec<String> = set.iter().take(12).map(|name| format!("`{name}`")).collect();
        format!("one of {}{}", names.join(", "), if set.len() > 12 { ", …" } else { "" })
    })
}

/// One directive per word: `index a; index b;`.
pub fn lines(name: &str, words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| format!("{name} {};", word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Whether one word becomes the other by one wrong, missing or additional byte, or by two exchanged ones. Needs no
/// memory, and time proportional to their length: lists of thousands of names are compared with each known one.
pub fn is_one_slip(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&a[..a.len() - end], &b[..b.len() - end]) {
        ([], [_]) | ([_], []) | ([_], [_]) => true,
        ([a, c], [b, d]) => a == d && c == b,
        _ => false,
    }
}

/// A word without the usual variations: case, and the character that joins its parts.
#[derive(Default)]
struct Shape {
    text: String,
    /// Without what joins its parts.
    joined: String,
    /// A bit for each letter that occurs.
    letters: u64,
}

impl Shape {
    fn of(word: &str) -> Shape {
        let mut shape = Shape::default();
        shape.set(word);
        shape
    }

    /// Makes it the shape of another word: a list of candidates takes one buffer.
    fn set(&mut self, word: &str) {
        self.text.clear();
        self.joined.clear();
        self.letters = 0;
        for c in word.chars() {
            let c = if matches!(c, '-' | '.' | ' ') { '_' } else { c.to_ascii_lowercase() };
            self.text.push(c);
            if c != '_' {
                self.joined.push(c);
                self.letters |= 1 << (u32::from(c) % 64);
            }
        }
    }

    fn parts(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.text.split('_').filter(|part| !part.is_empty()).collect();
        parts.sort_unstable();
        parts
    }

    /// Whether at most `edits` may lead from one to the other, by their lengths and letters: each edit adds or takes at
    /// most one of these. Cheap, where the distance itself takes time proportional to both lengths.
    fn may_be(&self, other: &Shape, edits: usize, (a, b): (&str, &str)) -> bool {
        let unknown = |of: u64, by: u64| (of & !by).count_ones() as usize;
        // Lengths are in bytes; a letter has at most four.
        a.len().abs_diff(b.len()) <= 4 * edits
            && unknown(self.letters, other.letters) <= edits
            && unknown(other.letters, self.letters) <= edits
    }

    /// How different the words are; `None` if one cannot be a misspelling of the other. At most a third of the letters
    /// may differ, so that `on` is never taken for `set`.
    fn distance(&self, other: &Shape) -> Option<usize> {
        let (a, b) = (&self.text, &other.text);
        if a == b {
            return Some(0);
        }
        if a.len().abs_diff(b.len()) > 12 {
            return None;
        }
        if self.joined == other.joined {
            return Some(0);
        }
        if self.joined.len() == other.joined.len() && self.letters == other.letters {
            let parts = self.parts();
            if parts.len() > 1 && parts == other.parts() {
                return Some(1);
            }
        }
        let length = a.chars().count();
        let most = if length >= 15 { 3 } else { (length / 3).min(2) };
        if self.may_be(other, most, (a, b)) {
            let edits = strsim::osa_distance(a, b);
            if edits <= most {
                return Some(if edits == 1 { 1 } else { edits + 1 });
            }
        }
        // `proxy_sethead`: parts that are not separated, with one more slip.
        let (a_joined, b_joined) = (&self.joined, &other.joined);
        if length >= 8 && self.may_be(other, 2, (a_joined, b_joined)) && strsim::osa_distance(a_joined, b_joined) <= 2 {
            return Some(4);
        }
        if let Some(distance) = left_out(self, other) {
            return Some(distance);
        }
        let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
        // `satisfies`, `satisfy`.
        let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
        if common >= 5 && common * 3 >= long.len() * 2 {
            return Some(4);
        }
        if without_vowels(a, b) {
            return Some(4);
        }
        let cut = short.len() >= 5 && short.len() * 3 >= long.len() * 2;
        (cut && (long.starts_with(short.as_str()) || long.ends_with(short.as_str()))).then_some(4)
    }
}

/// `lstn`, `srvr`: a word without its vowels.
fn without_vowels(asked: &str, known: &str) -> bool {
    let is_vowel = |byte: u8| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    asked.len() >= 4 && !asked.bytes().any(is_vowel) && asked.bytes().eq(known.bytes().filter(|byte| !is_vowel(*byte)))
}

/// The distance of two names of which one omits or abbreviates parts of the other: `gzip_level`, `ssl_cert`,
/// `pid_file`.
fn left_out(asked: &Shape, known: &Shape) -> Option<usize> {
    let split = |shape: &Shape| shape.text.split('_').filter(|part| !part.is_empty()).count();
    let (few, many) = (split(asked), split(known));
    let covers = |short: &Shape, long: &Shape| {
        let mut parts = long.text.split('_').filter(|part| !part.is_empty());
        short.text.split('_').filter(|part| !part.is_empty()).all(|part| {
            parts.any(|whole| whole == part || part.len() >= 4 && whole.len() > part.len() && whole.starts_with(part))
        })
    };
    let shortened = || {
        let pairs = asked.text.split('_').zip(known.text.split('_'));
        pairs.clone().all(|(a, b)| {
            let short = a.len().min(b.len());
            // `resume`, `resumable`.
            let stem = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
            a == b || short >= 3 && stem == short || stem >= 5 && stem * 4 >= short * 3
        })
    };
    match (few, many) {
        // `limit_request_zone`.
        (2.., _) if few == many && shortened() => Some(2),
        (2.., _) if few == many => covers(asked, known).then_some(2),
        (2.., _) if many == few + 1 => covers(asked, known).then_some(3),
        (2.., _) if many == few + 2 => covers(asked, known).then_some(5),
        (2.., 1) if few == 2 => (known.text.len() >= 3 && covers(known, asked)).then_some(5),
        (3.., _) if few == many + 1 => covers(known, asked).then_some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pairs of short words of three letters, compared with the general distance.
    #[test]
    fn one_slip_is_a_distance_of_one() {
        let mut words = vec![String::new()];
        for length in 1..=4 {
            let longer = |word: &String| ["a", "b", "c"].map(|letter| format!("{word}{letter}"));
            let next: Vec<String> = words.iter().filter(|word| word.len() + 1 == length).flat_map(longer).collect();
            words.extend(next);
        }
        assert_eq!(words.len(), 121);
        for (a, b) in words.iter().flat_map(|a| words.iter().map(move |b| (a, b))) {
            assert_eq!(is_one_slip(a, b), strsim::osa_distance(a, b) == 1, "{a} {b}");
        }
    }

    #[test]
    fn slips_of_the_finger_find_their_word() {
        let set = ["server_name", "client_max_body_size", "autoindex", "root", "set", "remote_addr", "listen"];
        for (word, expected) in [
            ("sever_name", Some("server_name")),
            ("name__server", Some("server_name")),
            ("size__body_max_client", Some("client_max_body_size")),
            ("servername", Some("server_name")),
            ("client-max-body-size", Some("client_max_body_size")),
            ("max_client_body_size", Some("client_max_body_size")),
            ("AutoIndex", Some("autoindex")),
            ("remote_address", Some("remote_addr")),
            ("rot", Some("root")),
            ("max_body", Some("client_max_body_size")),
            ("listen_to", Some("listen")),
            ("lstn", Some("listen")),
            ("srvr_nm", Some("server_name")),
            ("on", None),
            ("", None),
            ("something_else", None),
        ] {
            assert_eq!(nearest(word, set), expected, "{word}");
        }
    }

    #[test]
    fn a_likely_candidate_wins_over_one_that_is_as_near() {
        assert_eq!(nearest_of("fastcgi_pas", [("fastcgi_pass", 2), ("fastcgi_past", 0)]), Some("fastcgi_past"));
    }
}
