//! Regexes as the configuration writes them (PCRE in nginx). `regex` runs in linear time and takes nearly all
//! real patterns; `fancy-regex`, with a step limit, only those it refuses (look-around, back-references).

use super::template::{Source, Variables};

/// Steps a backtracking pattern may take on one subject before it counts as "no match" (nginx: PCRE's own limit).
const BACKTRACK_LIMIT: usize = 100_000;

/// Captures `$0` … `$9` of the last match, as offsets into the subject.
pub type Groups = [Option<(u32, u32)>; 10];

#[derive(Debug)]
pub struct Pattern {
    source: Box<str>,
    engine: Engine,
    /// Named groups: (group, index of the variable it fills).
    named: Vec<(usize, u32)>,
    groups: usize,
}

#[derive(Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Whether upper and lower case are the same (`~*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    Insensitive,
}

/// What a match found: group offsets, and where named variables got their text.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    pub groups: Groups,
    /// (variable index, start, end) of named groups.
    pub named: Vec<(u32, u32, u32)>,
}

impl Pattern {
    /// Compiles `source`; named groups become variables of the configuration.
    pub fn new(source: &[u8], case: Case, vars: &mut Variables) -> Result<Pattern, String> {
        let (mut pattern, names) = Pattern::compile(source, case)?;
        for (group, name) in names.iter().enumerate() {
            if let Some(name) = name {
                pattern.named.push((group, vars.define(name, Source::Captured)?));
            }
        }
        Ok(pattern)
    }

    /// The pattern, and the names of its groups.
    fn compile(source: &[u8], case: Case) -> Result<(Pattern, Vec<Option<String>>), String> {
        let text = std::str::from_utf8(source).map_err(|_| "the pattern is not UTF-8".to_string())?;
        let insensitive = case == Case::Insensitive;
        let linear = regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(insensitive)
            .size_limit(4 << 20)
            .build();
        let (engine, names): (Engine, Vec<Option<String>>) = match linear {
            Ok(regex) => {
                let names = regex.capture_names().map(|n| n.map(str::to_owned)).collect();
                (Engine::Linear(regex), names)
            }
            Err(why) => {
                let wanted = if insensitive { format!("(?i){text}") } else { text.to_owned() };
                let fancy = fancy_regex::RegexBuilder::new(&wanted).backtrack_limit(BACKTRACK_LIMIT).build();
                let Ok(fancy) = fancy else { return Err(reason(&why)) };
                let names = fancy.capture_names().map(|n| n.map(str::to_owned)).collect();
                (Engine::Backtracking(Box::new(fancy)), names)
            }
        };
        Ok((Pattern { source: text.into(), engine, named: Vec::new(), groups: names.len() }, names))
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// True where a match has something to remember.
    pub fn captures(&self) -> bool {
        self.groups > 1
    }

    /// How many groups there are, the whole match included.
    pub fn groups(&self) -> usize {
        self.groups
    }

    pub fn is_match(&self, subject: &[u8]) -> bool {
        match &self.engine {
            Engine::Linear(regex) => regex.is_match(subject),
            Engine::Backtracking(regex) => {
                std::str::from_utf8(subject).is_ok_and(|text| regex.is_match(text).unwrap_or(false))
            }
        }
    }

    /// Matches and says where the groups are. A subject that is not UTF-8 never matches a backtracking pattern.
    pub fn find(&self, subject: &[u8]) -> Option<Matched> {
        let mut found = Matched::default();
        let mut all: Vec<Option<(u32, u32)>> = Vec::new();
        match &self.engine {
            Engine::Linear(regex) if self.groups == 1 => {
                let whole = regex.find(subject)?;
                found.groups[0] = Some((whole.start() as u32, whole.end() as u32));
                return Some(found);
            }
            Engine::Linear(regex) => {
                let captures = regex.captures(subject)?;
                all.extend(captures.iter().map(|g| g.map(|g| (g.start() as u32, g.end() as u32))));
            }
            Engine::Backtracking(regex) => {
                let captures = regex.captures(std::str::from_utf8(subject).ok()?).ok()??;
                all.extend(captures.iter().map(|g| g.map(|g| (g.start() as u32, g.end() as u32))));
            }
        }
        for (slot, group) in found.groups.iter_mut().zip(&all) {
            *slot = *group;
        }
        for &(group, variable) in &self.named {
            let (start, end) = all.get(group).copied().flatten().unwrap_or((0, 0));
            found.named.push((variable, start, end));
        }
        Some(found)
    }
}

/// A pattern that belongs to no configuration: a page's own (SSI).
#[derive(Debug)]
pub struct Loose {
    pattern: Pattern,
    names: Vec<Option<String>>,
}

impl Loose {
    /// # Errors
    /// What is wrong with the pattern.
    pub fn new(source: &[u8]) -> Result<Loose, String> {
        let (pattern, names) = Pattern::compile(source, Case::Sensitive)?;
        Ok(Loose { pattern, names })
    }

    /// The text of each group, `$9` at most; of one that took no part, nothing.
    pub fn find(&self, subject: &[u8]) -> Option<Vec<Vec<u8>>> {
        let found = self.pattern.find(subject)?;
        let text = |(start, end): (u32, u32)| subject.get(start as usize..end as usize).unwrap_or_default().to_vec();
        let groups = found.groups.iter().take(self.pattern.groups);
        Some(groups.map(|group| group.map(text).unwrap_or_default()).collect())
    }

    /// Names of groups, and which they are.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().enumerate().filter_map(|(group, name)| Some((name.as_deref()?, group)))
    }
}

/// Many patterns tried in one pass over the subject.
#[derive(Debug)]
pub struct PatternSet {
    set: regex::bytes::RegexSet,
    /// Position in the location list of each member of `set`.
    members: Vec<u32>,
    /// Positions of those that only a backtracking engine takes.
    others: Vec<u32>,
}

impl PatternSet {
    /// A set over the patterns in their order, or None where one pass would not pay.
    pub fn new(patterns: &[(&Pattern, Case)]) -> Option<PatternSet> {
        const WORTH: usize = 4;
        let (mut sources, mut members, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (pattern, case)) in patterns.iter().enumerate() {
            match pattern.engine {
                Engine::Linear(_) => {
                    let flag = if *case == Case::Insensitive { "(?i)" } else { "" };
                    sources.push(format!("{flag}(?:{})", pattern.source));
                    members.push(at as u32);
                }
                Engine::Backtracking(_) => others.push(at as u32),
            }
        }
        if members.len() < WORTH {
            return None;
        }
        let set = regex::bytes::RegexSetBuilder::new(&sources).unicode(false).size_limit(64 << 20).build().ok()?;
        Some(PatternSet { set, members, others })
    }

    /// The position of the first pattern, in configuration order, that matches. `pattern` gives those of the level.
    pub fn first<'p>(&self, subject: &[u8], pattern: impl Fn(usize) -> &'p Pattern) -> Option<usize> {
        let linear = self.set.matches(subject).iter().next().map(|member| self.members[member]);
        let before = linear.unwrap_or(u32::MAX);
        let other = self.others.iter().take_while(|at| **at < before);
        let other = other.copied().find(|at| pattern(*at as usize).is_match(subject));
        other.or(linear).map(|at| at as usize)
    }
}

/// The one line of a regex error that says what is wrong.
fn reason(why: &regex::Error) -> String {
    let text = why.to_string();
    let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("invalid pattern");
    line.trim().trim_start_matches("error: ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ahead_falls_back_and_named_groups_become_variables() {
        let mut vars = Variables::default();
        for (name, source, case, subject, expected) in [
            ("linear", r"\.php$", Case::Sensitive, "/a.php", Some(0)),
            ("case is kept", r"\.php$", Case::Sensitive, "/a.PHP", None),
            ("case is ignored", r"\.php$", Case::Insensitive, "/a.PHP", Some(0)),
            ("look-ahead", r"^/(?!api)(\w+)", Case::Sensitive, "/web", Some(1)),
            ("look-ahead refuses", r"^/(?!api)(\w+)", Case::Sensitive, "/api", None),
            ("back-reference", r"(a)\1", Case::Insensitive, "xAa", Some(1)),
            ("named", r"^/(?<user>\w+)/", Case::Sensitive, "/bob/x", Some(1)),
        ] {
            let pattern = Pattern::new(source.as_bytes(), case, &mut vars).expect(name);
            let found = pattern.find(subject.as_bytes());
            assert_eq!(found.is_some(), expected.is_some(), "{name}");
            if let (Some(found), Some(group)) = (found, expected) {
                assert!(found.groups[group].is_some(), "{name}");
            }
        }
        assert_eq!(vars.undefined().count(), 0);
        assert!(Pattern::new(b"(", Case::Sensitive, &mut vars).is_err());
    }
}
