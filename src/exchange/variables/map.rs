//! The value of a map.

use super::keep::Keep;
use crate::config::pattern::Effort;
use crate::config::pattern_set;
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// Appends the value of `$name` of a `map`. `table`: its index in the configuration.
pub fn value(table: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Keep {
    let config = ex.config.clone();
    let Some(map) = config.tables.maps.get(table as usize) else { return Keep::No };
    // The subject stands where the value will.
    let from = out.len();
    variables::expand(&map.source, ex, cx, out);
    let subject = &out[from..];
    let key = if map.hostnames { subject.strip_suffix(b".").unwrap_or(subject) } else { subject };
    // An empty subject is looked up too (`"" value;`), but never matched, as in nginx.
    let mut found = match key.iter().any(u8::is_ascii_uppercase) {
        true => map.names.find(&key.to_ascii_lowercase()),
        false => map.names.find(key),
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
    out.truncate(from);
    if let Some(value) = found.or(map.default).and_then(|at| map.values.get(at as usize)) {
        variables::expand(value, ex, cx, out);
    }
    if map.volatile { Keep::No } else { Keep::Yes }
}
