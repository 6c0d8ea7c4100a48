//! The `If` header (RFC 4918 §10.4): which lock tokens a client holds, and the states of resources that it counts on.
//!
//! What bounds it: [`MOST`] lists of as many conditions. Each resource is looked at once ([`ByResource`]), so that the
//! cost of looking grows with the bytes of the paths that the header spells out, not with the lists about one path.

use crate::http::field_syntax::trim_ows;

/// Lists in a header, and conditions in each, at most.
const MOST: usize = 64;

/// One parenthesised list: it holds if all of its conditions do (RFC 4918 §10.4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<'a> {
    /// The URL it is about; None: the request's own.
    pub resource: Option<&'a [u8]>,
    /// Never empty.
    pub conditions: Vec<Condition<'a>>,
}

/// A state token or an entity tag that the resource must have, or with `Not` must lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// Whether `Not` precedes it.
    pub not: bool,
    pub state: State<'a>,
}

/// What a condition compares with the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// A lock token: the URI without its angle brackets.
    Token(&'a [u8]),
    /// With its quotes, and `W/` where it is weak.
    ETag(&'a [u8]),
}

/// Reads the value of `If`. None: it is malformed.
pub fn parse(value: &[u8]) -> Option<Vec<List<'_>>> {
    let mut rest = trim_ows(value);
    let (mut lists, mut resource) = (Vec::new(), None);
    // A resource is followed by one list at least.
    let mut expects_list = false;
    while !rest.is_empty() {
        match rest.first()? {
            b'<' if !expects_list => {
                let (url, after) = angle(rest)?;
                // All lists have one, or none has.
                if resource.is_none() && !lists.is_empty() {
                    return None;
                }
                (resource, rest, expects_list) = (Some(url), after, true);
            }
            b'(' => {
                let (conditions, after) = list(rest)?;
                lists.push(List { resource, conditions });
                (rest, expects_list) = (after, false);
            }
            _ => return None,
        }
        if lists.len() > MOST {
            return None;
        }
        rest = trim_ows(rest);
    }
    (!lists.is_empty() && !expects_list).then_some(lists)
}

fn list(text: &[u8]) -> Option<(Vec<Condition<'_>>, &[u8])> {
    let mut rest = trim_ows(text.strip_prefix(b"(")?);
    let mut conditions = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(b")") {
            return (!conditions.is_empty()).then_some((conditions, after));
        }
        let mut not = false;
        if rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"not")) {
            (not, rest) = (true, trim_ows(rest.get(3..)?));
        }
        let (state, after) = match rest.first()? {
            b'<' => angle(rest).map(|(token, after)| (State::Token(token), after))?,
            b'[' => {
                let end = memchr::memchr(b']', rest)?;
                let tag = trim_ows(rest.get(1..end)?);
                (State::ETag(tag), rest.get(end + 1..)?)
            }
            _ => return None,
        };
        if conditions.len() >= MOST {
            return None;
        }
        conditions.push(Condition { not, state });
        rest = trim_ows(after);
    }
}

/// `<…>`: what is in it, and what follows.
pub fn angle(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"<")?;
    let end = memchr::memchr(b'>', inner)?;
    (end > 0).then_some((inner.get(..end)?, inner.get(end + 1..)?))
}

/// Results about the resources of lists: each resource is examined once, however many lists name it.
pub struct ByResource<'a, T>(Vec<(Option<&'a [u8]>, T)>);

impl<T> Default for ByResource<'_, T> {
    fn default() -> Self {
        ByResource(Vec::new())
    }
}

impl<'a, T> ByResource<'a, T> {
    /// What is known of the list's resource; the first time by `look`.
    pub fn at(&mut self, list: &List<'a>, look: impl FnOnce(Option<&'a [u8]>) -> T) -> &T {
        let known = self.0.iter().position(|(resource, _)| *resource == list.resource);
        let at = known.unwrap_or_else(|| {
            self.0.push((list.resource, look(list.resource)));
            self.0.len() - 1
        });
        &self.0[at].1
    }

    /// All that was found.
    pub fn into_all(self) -> impl Iterator<Item = T> {
        self.0.into_iter().map(|(_, found)| found)
    }
}

/// The tokens that a header names: its client holds them.
pub fn tokens<'l, 'a>(lists: &'l [List<'a>]) -> impl Iterator<Item = &'a [u8]> + 'l {
    lists.iter().flat_map(|list| &list.conditions).filter_map(|condition| match condition.state {
        State::Token(token) => Some(token),
        State::ETag(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let lists = parse(value.as_bytes())?;
        let list = |list: &List<'_>| {
            let conditions = list.conditions.iter().map(|condition| {
                let not = if condition.not { "!" } else { "" };
                match condition.state {
                    State::Token(token) => format!("{not}{}", text(token)),
                    State::ETag(tag) => format!("{not}{}", text(tag)),
                }
            });
            let resource = list.resource.map_or(String::new(), |url| format!("{}: ", text(url)));
            format!("{resource}{}", conditions.collect::<Vec<_>>().join(" & "))
        };
        Some(lists.iter().map(list).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn lists_are_alternatives_of_conditions() {
        let table = [
            ("(<urn:a>)", Some("urn:a")),
            ("(<urn:a> [\"e\"]) (Not <urn:b>[W/\"f\"])", Some("urn:a & \"e\" | !urn:b & W/\"f\"")),
            ("</x> (<urn:a>) (<urn:b>) <http://h/y>(<urn:c>)", Some("/x: urn:a | /x: urn:b | http://h/y: urn:c")),
            ("(NOT <DAV:no-lock>)", Some("!DAV:no-lock")),
            (" ( <urn:a> ) ", Some("urn:a")),
            ("", None),
            ("()", None),
            ("(<>)", None),
            ("(<urn:a>", None),
            ("<urn:a>", None),
            ("</x> </y> (<urn:a>)", None),
            ("(<urn:a>) </x> (<urn:b>)", None),
            ("(urn:a)", None),
            ("([\"e\")", None),
            ("(<urn:a>) x", None),
        ];
        for (most, is_taken) in [(MOST, true), (MOST + 1, false)] {
            assert_eq!(parse("(<urn:a>) ".repeat(most).as_bytes()).is_some(), is_taken, "{most} lists");
            let conditions = format!("({})", "<urn:a> ".repeat(most));
            assert_eq!(parse(conditions.as_bytes()).is_some(), is_taken, "{most} conditions");
        }
        for (value, expected) in table {
            assert_eq!(shown(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_resource_of_many_lists_is_looked_at_once() {
        let value = format!("</a> {}</b>{}</a>([\"q\"])", "([\"q\"])".repeat(40), "([\"q\"])".repeat(20));
        let lists = parse(value.as_bytes()).expect("well-formed");
        let (mut looked, mut count) = (ByResource::default(), 0);
        for list in &lists {
            let found = looked.at(list, |resource| {
                count += 1;
                resource.map(<[u8]>::to_vec)
            });
            assert_eq!(found.as_deref(), list.resource);
        }
        assert_eq!((lists.len(), count), (61, 2));
        let own = parse(b"([\"q\"]) ([\"r\"])").expect("well-formed");
        let mut looked = ByResource::default();
        assert!(own.iter().all(|list| looked.at(list, |resource| resource.is_none()) == &true));
        assert_eq!(looked.into_all().count(), 1, "the request's own");
    }

    #[test]
    fn a_header_cut_anywhere_is_none_or_a_shorter_one() {
        let whole = "</x> (<urn:a> [\"e\"]) (Not <urn:b>)";
        for at in 0..whole.len() {
            if let Some(lists) = parse(&whole.as_bytes()[..at]) {
                assert!(lists.len() == 1 && whole.as_bytes()[..at].trim_ascii_end().ends_with(b")"), "cut at {at}");
            }
        }
        let lists = parse(whole.as_bytes()).expect("whole");
        assert_eq!(tokens(&lists).collect::<Vec<_>>(), [&b"urn:a"[..], b"urn:b"]);
    }
}
