//! Maps host names to values, like nginx's combined hash: exact names, `*.suffix`, `.suffix`, `prefix.*`. For
//! directives that list hosts (map with `hostnames`, valid_referers); servers have their own table.
//!
//! Keys are in lower case, and so must names be that are looked up.

use crate::util::hash::{FastMap, free_some};

/// Bytes of the longest name that a wildcard may stand for a part of: names of DNS are no longer.
const LONGEST: usize = 255;

/// The ends of a name that `*` may stand before, the longest first. Only those that a name of DNS may have: a Host of
/// 8 KB that consists of dots would have 32 MB of them.
pub fn ends(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let from = name.len().saturating_sub(LONGEST);
    memchr::memchr_iter(b'.', &name[from..]).map(move |at| from + at).filter(|at| *at > 0).map(move |at| &name[at..])
}

/// The beginnings that `*` may stand behind, the longest first.
pub fn beginnings(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memrchr_iter(b'.', &name[..name.len().min(LONGEST)]).map(move |at| &name[..=at])
}

/// Names and wildcards, each with a value.
#[derive(Clone, Debug, Default)]
pub struct HostNames {
    exact: FastMap<Box<[u8]>, u32>,
    /// `.example.com`
    suffixes: FastMap<Box<[u8]>, u32>,
    /// `www.example.`
    prefixes: FastMap<Box<[u8]>, u32>,
    /// The length of the longest of `exact`.
    longest: usize,
}

/// Whether `*` and a leading dot are wildcards in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// As in server_name.
    Yes,
    /// The name is compared as it is.
    No,
}

/// Why a name cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A misplaced `*`.
    Invalid,
    /// The name exists already.
    Duplicate,
}

impl HostNames {
    /// Frees some of the names. False: none are left.
    pub fn free_some(&mut self) -> bool {
        [&mut self.exact, &mut self.suffixes, &mut self.prefixes].into_iter().any(free_some)
    }

    /// Makes room for that many names without wildcards.
    pub fn reserve(&mut self, names: usize) {
        self.exact.reserve(names);
    }

    /// Adds a name with its value.
    ///
    /// # Errors
    /// A misplaced wildcard, or a duplicate name.
    pub fn add(&mut self, name: &[u8], value: u32, wildcards: Wildcards) -> Result<(), Refused> {
        let lower = name.to_ascii_lowercase();
        let put = |table: &mut FastMap<Box<[u8]>, u32>, key: &[u8]| match table.insert(key.into(), value) {
            Some(first) => {
                table.insert(key.into(), first);
                Err(Refused::Duplicate)
            }
            None => Ok(()),
        };
        self.longest = self.longest.max(lower.len());
        if wildcards == Wildcards::No {
            return put(&mut self.exact, &lower);
        }
        let inner = match &lower[..] {
            [b'*', b'.', rest @ ..] | [b'.', rest @ ..] | [rest @ .., b'.', b'*'] => rest,
            name => name,
        };
        if inner.contains(&b'*') || memchr::memmem::find(&lower, b"..").is_some() {
            return Err(Refused::Invalid);
        }
        match &lower[..] {
            [b'*', suffix @ ..] if suffix.len() > 1 => put(&mut self.suffixes, suffix),
            [b'.', bare @ ..] if !bare.is_empty() => {
                put(&mut self.exact, bare)?;
                put(&mut self.suffixes, &lower)
            }
            [prefix @ .., b'*'] if prefix.len() > 1 => put(&mut self.prefixes, prefix),
            name if name.contains(&b'*') => Err(Refused::Invalid),
            name => put(&mut self.exact, name),
        }
    }

    /// The names without wildcards.
    pub fn exact(&self) -> impl Iterator<Item = &[u8]> {
        self.exact.keys().map(|name| &**name)
    }

    /// The value for a name in lower case: an exact match, then the longest suffix, then the longest prefix.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        // A name of megabytes (`map $request_body`) takes milliseconds to hash.
        if name.len() <= self.longest
            && let Some(value) = self.exact.get(name)
        {
            return Some(*value);
        }
        if !self.suffixes.is_empty()
            && let Some(value) = ends(name).find_map(|end| self.suffixes.get(end))
        {
            return Some(*value);
        }
        if self.prefixes.is_empty() {
            return None;
        }
        beginnings(name).find_map(|beginning| self.prefixes.get(beginning)).copied()
    }

    /// Whether a name of that length may be found.
    pub fn may_have(&self, len: usize) -> bool {
        len <= self.longest || !self.suffixes.is_empty() || !self.prefixes.is_empty()
    }

    /// No name is in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Host of 60 KB that consists of dots took 110 ms, all of which other clients waited.
    #[test]
    fn a_name_of_many_dots_is_looked_up_by_few_parts_of_it() {
        let long = b"a.".repeat(30_000);
        let parts = || ends(&long).chain(beginnings(&long));
        assert!(parts().count() <= 2 * LONGEST && parts().all(|part| part.len() <= LONGEST));
        let mut names = HostNames::default();
        names.add(b"*.example.com", 1, Wildcards::Yes).expect("a name");
        names.add(b"a.*", 2, Wildcards::Yes).expect("a name");
        assert_eq!(names.find(&[&long[..], b"example.com"].concat()), Some(1));
        assert_eq!(names.find(&long), Some(2));
    }

    #[test]
    fn a_name_is_found_as_nginx_finds_it() {
        let mut names = HostNames::default();
        let keys = ["example.com", "example.*", "*.example.com", ".dot.example.com", "WWW.Upper.org"];
        for (at, key) in keys.iter().enumerate() {
            names.add(key.as_bytes(), at as u32, Wildcards::Yes).expect(key);
        }
        for (name, host, expected) in [
            ("exact", "example.com", Some(0)),
            ("a prefix", "example.org", Some(1)),
            ("a suffix", "a.example.com", Some(2)),
            ("a dot is the name itself", "dot.example.com", Some(3)),
            ("the longest suffix", "www.dot.example.com", Some(3)),
            ("upper case in the configuration", "www.upper.org", Some(4)),
            ("nothing", "other.net", None),
            ("empty", "", None),
        ] {
            assert_eq!(names.find(host.as_bytes()), expected, "{name}");
        }
        for (name, key, why) in [
            ("twice", "EXAMPLE.com", Refused::Duplicate),
            ("a star inside", "a.*.b", Refused::Invalid),
            ("a star alone", "*", Refused::Invalid),
            ("two dots", "..", Refused::Invalid),
            ("two dots behind a star", "*..com", Refused::Invalid),
        ] {
            assert_eq!(names.add(key.as_bytes(), 9, Wildcards::Yes), Err(why), "{name}");
        }
    }
}
