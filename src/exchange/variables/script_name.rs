//! `$fastcgi_script_name` and `$fastcgi_path_info`: the URI as fastcgi_split_path_info cuts it.
//!
//! Invariant: a URI that the pattern does not match whole is the name of the script, without path info; a line break in
//! it (`%0a`) changes nothing of that.

use crate::exchange::Exchange;
use std::ops::Range;

/// Where the name and the path info stand in the URI.
fn split(ex: &Exchange) -> (Range<usize>, Range<usize>) {
    let whole = (0..ex.route.uri.len(), 0..0);
    let Some(pattern) = &ex.location().settings.fastcgi.gateway.split_path_info else { return whole };
    let found = match ex.route.effort.spend(|effort| pattern.find_within(&ex.route.uri, effort)) {
        Ok(Some(found)) => found,
        Ok(None) => return whole,
        // If the pattern fails, no script is named rather than the wrong one.
        Err(_) => return (0..0, 0..0),
    };
    let group = |at: usize| found.groups[at].map(|(start, end)| start as usize..end as usize).unwrap_or_default();
    (group(1), group(2))
}

/// With fastcgi_index behind a final slash.
pub fn name(ex: &Exchange, out: &mut Vec<u8>) {
    let name = ex.route.uri.get(split(ex).0).unwrap_or_default();
    out.extend_from_slice(name);
    if name.ends_with(b"/") {
        out.extend_from_slice(&ex.location().settings.fastcgi.gateway.index);
    }
}

/// `$fastcgi_path_info`: appends the second group of fastcgi_split_path_info, or nothing.
pub fn path_info(ex: &Exchange, out: &mut Vec<u8>) {
    out.extend_from_slice(ex.route.uri.get(split(ex).1).unwrap_or_default());
}
