//! Where a directive may stand and how many arguments it takes: the two vocabularies of directive rows. No names, no
//! tables.

use std::fmt;
use std::ops::BitOr;

/// A set of places where a directive may stand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Contexts(pub u32);

impl Contexts {
    /// Outside all blocks.
    pub const MAIN: Contexts = Contexts(1);
    pub const EVENTS: Contexts = Contexts(1 << 1);
    pub const HTTP: Contexts = Contexts(1 << 2);
    pub const SERVER: Contexts = Contexts(1 << 3);
    pub const LOCATION: Contexts = Contexts(1 << 4);
    /// `if` in a server.
    pub const IF_SERVER: Contexts = Contexts(1 << 5);
    /// `if` in a location.
    pub const IF_LOCATION: Contexts = Contexts(1 << 6);
    pub const LIMIT_EXCEPT: Contexts = Contexts(1 << 7);
    pub const UPSTREAM: Contexts = Contexts(1 << 8);
    /// Anywhere inside `stream { }`.
    pub const STREAM: Contexts = Contexts(1 << 9);
    /// Anywhere inside `mail { }`.
    pub const MAIL: Contexts = Contexts(1 << 10);
    // Blocks whose lines are data, not directives.
    pub const TYPES: Contexts = Contexts(1 << 11);
    pub const MAP: Contexts = Contexts(1 << 12);
    pub const GEO: Contexts = Contexts(1 << 13);
    pub const SPLIT_CLIENTS: Contexts = Contexts(1 << 14);
    pub const CHARSET_MAP: Contexts = Contexts(1 << 15);
    /// Inside `acme_issuer { }`.
    pub const ACME_ISSUER: Contexts = Contexts(1 << 16);
    /// Every block.
    pub const ANY: Contexts = Contexts(u32::MAX);

    /// `http`, `server` and `location`: most directives.
    pub const HSL: Contexts = Contexts::HTTP.or(Contexts::SERVER).or(Contexts::LOCATION);

    /// Both sets together.
    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether `self` includes every place of `other`.
    pub const fn contains(self, other: Contexts) -> bool {
        self.0 & other.0 == other.0
    }

    /// Some context is in both.
    pub const fn intersects(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }

    /// No context is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The contexts by the names an admin knows, in order of nesting.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(bit, _)| self.intersects(*bit)).map(|(_, name)| *name)
    }

    /// `"http", "server" or "location"`.
    pub fn describe(self) -> String {
        if self == Contexts::ANY {
            return "any block".to_string();
        }
        list(self.names().map(|name| format!("\"{name}\"")))
    }
}

const NAMES: [(Contexts, &str); 17] = [
    (Contexts::MAIN, "main"),
    (Contexts::EVENTS, "events"),
    (Contexts::HTTP, "http"),
    (Contexts::UPSTREAM, "upstream"),
    (Contexts::SERVER, "server"),
    (Contexts::IF_SERVER, "if in server"),
    (Contexts::LOCATION, "location"),
    (Contexts::IF_LOCATION, "if in location"),
    (Contexts::LIMIT_EXCEPT, "limit_except"),
    (Contexts::TYPES, "types"),
    (Contexts::MAP, "map"),
    (Contexts::GEO, "geo"),
    (Contexts::SPLIT_CLIENTS, "split_clients"),
    (Contexts::CHARSET_MAP, "charset_map"),
    (Contexts::ACME_ISSUER, "acme_issuer"),
    (Contexts::STREAM, "stream"),
    (Contexts::MAIL, "mail"),
];

impl BitOr for Contexts {
    type Output = Contexts;
    fn bitor(self, other: Contexts) -> Contexts {
        self.or(other)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// How many arguments a directive takes, and whether a block follows. nginx allows sets ("one or three"), so this is a
/// set too.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Args {
    /// Bit n: n arguments are allowed (n ≤ 7).
    counts: u8,
    /// Any number of arguments from this one on is allowed; 0: no such rule.
    at_least: u8,
    any: bool,
    block: bool,
    flag: bool,
}

impl Args {
    const fn exactly(counts: u8) -> Args {
        Args { counts, at_least: 0, any: false, block: false, flag: false }
    }

    /// No argument, as `internal;`.
    pub const NONE: Args = Args::exactly(1);
    pub const TAKE1: Args = Args::exactly(1 << 1);
    pub const TAKE2: Args = Args::exactly(1 << 2);
    pub const TAKE3: Args = Args::exactly(1 << 3);
    pub const TAKE4: Args = Args::exactly(1 << 4);
    pub const TAKE12: Args = Args::TAKE1.or(Args::TAKE2);
    pub const TAKE13: Args = Args::TAKE1.or(Args::TAKE3);
    pub const TAKE23: Args = Args::TAKE2.or(Args::TAKE3);
    pub const TAKE123: Args = Args::TAKE12.or(Args::TAKE3);
    pub const TAKE1234: Args = Args::TAKE123.or(Args::TAKE4);
    /// `on` or `off`.
    pub const FLAG: Args = Args { flag: true, ..Args::TAKE1 };
    /// `NGX_CONF_1MORE`.
    pub const ONE_OR_MORE: Args = Args { at_least: 1, ..Args::exactly(0) };
    /// `NGX_CONF_2MORE`.
    pub const TWO_OR_MORE: Args = Args { at_least: 2, ..Args::exactly(0) };
    /// Any number, none included.
    pub const ANY: Args = Args { any: true, ..Args::exactly(0) };

    /// What either allows.
    pub const fn or(self, other: Args) -> Args {
        let at_least = match (self.at_least, other.at_least) {
            (0, b) => b,
            (a, 0) => a,
            (a, b) => {
                if a < b {
                    a
                } else {
                    b
                }
            }
        };
        Args {
            counts: self.counts | other.counts,
            at_least,
            any: self.any || other.any,
            block: self.block || other.block,
            flag: self.flag || other.flag,
        }
    }

    /// From `min` to `max` arguments; a `max` above 7 means "or more".
    pub const fn range(min: u8, max: u8) -> Args {
        let mut counts = 0;
        let mut n = min;
        while n <= max && n <= 7 {
            counts |= 1 << n;
            n += 1;
        }
        if max > 7 { Args { at_least: min, any: min == 0, ..Args::exactly(counts) } } else { Args::exactly(counts) }
    }

    /// The same arguments, followed by `{ }`.
    pub const fn block(self) -> Args {
        Args { block: true, ..self }
    }

    /// A block follows the arguments.
    pub const fn is_block(self) -> bool {
        self.block
    }

    /// `on` or `off`.
    pub const fn is_flag(self) -> bool {
        self.flag
    }

    /// Whether a directive may have this many arguments.
    pub const fn accepts(self, count: usize) -> bool {
        self.any
            || (count < 8 && self.counts & (1 << count) != 0)
            || (self.at_least > 0 && count >= self.at_least as usize)
    }

    /// `1 or 3 arguments`, for "it takes …".
    pub fn describe(self) -> String {
        if self.flag {
            return "\"on\" or \"off\"".to_string();
        }
        if self.any {
            return "any number of arguments".to_string();
        }
        if self.at_least > 0 {
            let plural = if self.at_least == 1 { "" } else { "s" };
            return format!("{} argument{plural} or more", self.at_least);
        }
        if self.counts == 1 {
            return "no arguments".to_string();
        }
        let words = list((0..8).filter(|n| self.counts & (1 << n) != 0).map(|n| n.to_string()));
        if self.counts == 2 { "1 argument".to_string() } else { format!("{words} arguments") }
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.describe(), if self.block { " and a block" } else { "" })
    }
}

/// `a, b or c`.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} or {last}", items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argument_counts_are_sets() {
        for (args, right, wrong, says) in [
            (Args::NONE, &[0][..], &[1, 2][..], "no arguments"),
            (Args::TAKE1, &[1], &[0, 2, 9], "1 argument"),
            (Args::TAKE13, &[1, 3], &[0, 2, 4, 300], "1 or 3 arguments"),
            (Args::TAKE1234, &[1, 2, 3, 4], &[0, 5], "1, 2, 3 or 4 arguments"),
            (Args::ONE_OR_MORE, &[1, 2, 300], &[0], "1 argument or more"),
            (Args::TWO_OR_MORE, &[2, 300], &[0, 1], "2 arguments or more"),
            (Args::ANY, &[0, 1, 300], &[], "any number of arguments"),
            (Args::FLAG, &[1], &[0, 2], "\"on\" or \"off\""),
            (Args::range(2, 4), &[2, 3, 4], &[1, 5], "2, 3 or 4 arguments"),
            (Args::range(3, 255), &[3, 300], &[2], "3 arguments or more"),
            (Args::range(0, 255), &[0, 300], &[], "any number of arguments"),
        ] {
            assert_eq!(args.describe(), says);
            assert!(right.iter().all(|n| args.accepts(*n)), "{args:?}");
            assert!(!wrong.iter().any(|n| args.accepts(*n)), "{args:?}");
        }
        assert!(Args::TAKE1.block().is_block() && Args::TAKE1.block().accepts(1));
    }

    #[test]
    fn contexts_name_themselves() {
        assert_eq!(Contexts::HSL.describe(), "\"http\", \"server\" or \"location\"");
        assert_eq!(Contexts::MAIN.describe(), "\"main\"");
        assert!(Contexts::HSL.contains(Contexts::SERVER) && !Contexts::HSL.intersects(Contexts::MAIN));
    }
}
