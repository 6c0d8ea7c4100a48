//! The lookup of a map.

use crate::config::pattern::Effort;
use crate::config::pattern_set;
use crate::config::settings::map::MapTable;
use crate::config::template::Template;
use crate::exchange::Exchange;
use crate::services::Services;

/// The value that a `map` has for a subject. None: it has none, and no default.
pub fn find<'m>(map: &'m MapTable, subject: &[u8], ex: &mut Exchange, cx: &mut Services) -> Option<&'m Template> {
    let key = if map.hostnames { subject.strip_suffix(b".").unwrap_or(subject) } else { subject };
    // An empty subject is looked up too (`"" value;`), but never matched, as in nginx.
    let mut found = match map.names.may_have(key.len()) {
        false => None,
        true if key.iter().any(u8::is_ascii_uppercase) => map.names.find(&key.to_ascii_lowercase()),
        true => map.names.find(key),
    };
    if found.is_none() && !key.is_empty() {
        let first = |effort: &mut Effort| pattern_set::first(map.set.as_ref(), &map.regexes, key, effort);
        match ex.route.effort.spend(first) {
            Ok(None) => {}
            Ok(Some((at, matched))) => {
                // One without groups takes away what was captured before.
                ex.remember(key, Some(matched.unwrap_or_default()));
                found = map.regexes.get(at).map(|(_, value)| *value);
            }
            Err(failed) => ex.pattern_gave_up(cx, &failed),
        }
    }
    found.or(map.default).and_then(|at| map.values.get(at as usize))
}
