//! Corrects zones, rates and connection limits in common wrong notations, for the help of a directive that is already
//! wrong.

use crate::config::ast::{Directive, Word};
use crate::config::value;

/// The line of a `limit_req_zone` or `limit_conn_zone`.
pub fn zone(d: &Directive) -> Option<String> {
    let (zones, keys): (Vec<&Word>, Vec<&Word>) = d.args.iter().partition(|word| word.bytes().contains(&b'='));
    if zones.iter().any(|word| word.bytes().starts_with(b"zone=") && !word.bytes().contains(&b':')) {
        let words: Vec<_> = d.args.iter().map(Word::str).collect();
        let sized =
            words.iter().map(|word| if word.starts_with("zone=") { format!("{word}:10m") } else { word.to_string() });
        return Some(format!("a zone has a size: {} {};", d.name.str(), sized.collect::<Vec<_>>().join(" ")));
    }
    if let Some(rate) = d.args.iter().map(Word::str).find_map(|word| word.strip_prefix("rate=").map(str::to_owned)) {
        let whole = rate.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rate.split_at_checked(whole)?;
        let minutes = rate.strip_suffix("r/s").and_then(|number| number.parse::<f64>().ok()).filter(|_| unit != "r/s");
        return match (minutes, number.is_empty()) {
            (Some(number), _) if number > 0.0 && number < 1.0 => {
                Some(format!("a whole number of requests: rate={}r/m", (number * 60.0).round()))
            }
            (_, false) if unit.contains('m') => Some(format!("requests in a minute: rate={number}r/m")),
            (_, false) if !matches!(unit, "r/s" | "r/m" | "") && !unit.contains('h') => {
                Some(format!("requests in a second: rate={number}r/s, or in a minute: rate={number}r/m"))
            }
            (_, false) if unit.contains('h') => Some("requests in a minute or a second: rate=10r/m, rate=10r/s".into()),
            _ => None,
        };
    }
    let key = keys.first().filter(|_| d.args.first().is_some_and(|word| word.bytes().contains(&b'=')))?;
    let rest: Vec<_> = zones.iter().map(|word| word.str()).collect();
    Some(format!("the key comes first: {} {} {};", d.name.str(), key.str(), rest.join(" ")))
}

/// The line of a `limit_conn`.
pub fn connections(d: &Directive) -> Option<String> {
    let [zone, count] = &d.args[..] else { return None };
    let (zone, count) = (zone.str(), count.str());
    if zone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!("the zone comes first: limit_conn {count} {zone};"));
    }
    Some(format!("a number of connections, in digits: limit_conn {zone} 10;"))
}

/// Bytes a second.
pub fn rate(name: &str, text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_end_matches("/s").trim_end_matches("ps");
    match (number.is_empty(), value::unit(unit).filter(|unit| matches!(*unit, "k" | "m" | ""))) {
        (false, Some(unit)) => Some(format!("bytes a second, the unit one letter: {name} {number}{unit};")),
        _ => Some(format!("bytes a second: {name} 100k;")),
    }
}
