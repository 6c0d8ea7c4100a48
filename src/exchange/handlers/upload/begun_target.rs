//! Where a resumable upload continues if its upload_store has variables. The directory is determined when it is
//! created: a variable with another value in each request (an id, the time, a connection's number) may differ later,
//! and so may the result of a map of it (a directory per day, after midnight).
//!
//! Invariant: variables that may distinguish clients (a user, a header field, an argument, an address) have the same
//! value as at the creation, so that no client continues in the directory of another.

use crate::config::model::Config;
use crate::config::settings::map::MapTable;
use crate::config::template::{Builtin, Part, Source, Template, Var};
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// Variables that are made of others are followed this far.
const DEPTH: u8 = 8;

/// The path that the upload of this request was begun with, if the location's store may still give it. None: the
/// request goes on with none, the store has no variables, or they lead elsewhere. `below`: the part of the URI below
/// the store. Also gives where that begins in the path.
pub fn find(ex: &mut Exchange, cx: &mut Services, store: &Template, below: &[u8]) -> Option<(Vec<u8>, usize)> {
    let path = ex.route.begun_at.clone().filter(|_| store.constant().is_none())?;
    let area = path.strip_suffix(below)?.len();
    let value = path.get(..area)?.strip_suffix(b"/")?;
    let config = ex.config.clone();
    let mut changing = Vec::new();
    let text = variables::expand_by(store, ex, cx, |var, _, _, out| {
        let is_changing = changes(var, &config, DEPTH);
        if is_changing {
            changing.push(out.len());
        }
        is_changing
    });
    fits(&text, &changing, value).then(|| (path.to_vec(), area))
}

/// Whether `value` is `text` with at least one byte put in at each of the offsets `at`, which ascend.
fn fits(text: &[u8], at: &[usize], value: &[u8]) -> bool {
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return text == value };
    let (begin, end) = (text.get(..*first).unwrap_or_default(), text.get(*last..).unwrap_or_default());
    let Some(mut rest) = value.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)) else { return false };
    for between in at.windows(2) {
        let &[from, to] = between else { continue };
        let piece = text.get(from..to).unwrap_or_default();
        // The earliest place leaves most for the others.
        let found = rest.get(1..).and_then(|later| memchr::memmem::find(later, piece));
        let Some(found) = found else { return false };
        rest = rest.get(1 + found + piece.len()..).unwrap_or_default();
    }
    !rest.is_empty()
}

/// Whether two requests of one client for one upload may have different values of it, and it tells nothing else apart.
fn changes(var: &Var, config: &Config, depth: u8) -> bool {
    let at = match (var, config.variables.redefinition(var)) {
        (Var::User(at), _) => *at,
        (_, Some(at)) => at,
        (Var::Builtin(builtin), None) => return is_of_request(*builtin),
        (Var::Http(name), None) => return name.starts_with(b"content_") || name.starts_with(b"upload_"),
        _ => return false,
    };
    let Some(depth) = depth.checked_sub(1) else { return false };
    let is_made_of_it = |template: &Template| {
        template.constant().is_none() && template.parts.iter().all(|part| part_changes(part, config, depth))
    };
    match config.variables.defined.get(at as usize) {
        Some((_, Source::Map(table))) => config.tables.maps.get(*table as usize).is_some_and(|map| {
            is_made_of_it(&map.source)
                && map.values.iter().flat_map(|value| value.parts.iter()).all(|part| {
                    matches!(part, Part::Capture(_)) || is_captured(part, map) || part_changes(part, config, depth)
                })
        }),
        Some((_, Source::Split(table))) => {
            config.tables.splits.get(*table as usize).is_some_and(|split| is_made_of_it(&split.source))
        }
        _ => false,
    }
}

fn part_changes(part: &Part, config: &Config, depth: u8) -> bool {
    match part {
        Part::Literal(_) => true,
        Part::Var(var) => changes(var, config, depth),
        Part::Capture(_) => false,
    }
}

/// Whether a pattern of the map gives it its value.
fn is_captured(part: &Part, map: &MapTable) -> bool {
    let Part::Var(Var::User(at)) = part else { return false };
    map.regexes.iter().any(|(pattern, _)| pattern.fills(*at))
}

fn is_of_request(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        RequestId
            | RequestMethod
            | RequestLength
            | RequestTime
            | ContentLength
            | ContentType
            | Msec
            | TimeIso8601
            | TimeLocal
            | DateLocal
            | DateGmt
            | Pid
            | Pipe
            | Connection
            | ConnectionRequests
            | ConnectionTime
            | ConnectionsActive
            | ConnectionsReading
            | ConnectionsWriting
            | ConnectionsWaiting
            | RemotePort
            | RealipRemotePort
            | ProxyProtocolPort
            | SslSessionId
            | SslSessionReused
            | TcpinfoRtt
            | TcpinfoRttvar
            | TcpinfoSndCwnd
            | TcpinfoRcvSpace
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::upload::Store;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn only_what_stands_for_a_changing_variable_may_differ() {
        // The text is written with `|` where a changing variable stands.
        let table = [
            ("/srv/|", "/srv/1", true),
            ("/srv/|", "/srv/2026/11/30", true),
            ("/srv/|", "/srv/", false),
            ("/srv/|", "/other/1", false),
            ("/srv/|/ann", "/srv/1/ann", true),
            ("/srv/|/ann", "/srv/1/bob", false),
            ("/srv/|/ann", "/srv/ann", false),
            ("/srv/ann/|", "/srv/bob/1", false),
            ("/srv/|-|/ann", "/srv/1-2/ann", true),
            ("/srv/|-|/ann", "/srv/123-2/ann", true),
            ("/srv/|-|/ann", "/srv/-2/ann", false),
            ("/srv/|-|/ann", "/srv/1-/ann", false),
            ("/srv/|/ann/|", "/srv/1/bob/2", false),
            ("/srv/|/ann/|", "/srv/1/ann/2", true),
            ("/srv/||", "/srv/12", true),
            ("/srv/||", "/srv/1", false),
            ("/srv", "/srv", true),
            ("/srv", "/srv/1", false),
        ];
        for (written, value, expected) in table {
            let (mut text, mut at) = (String::new(), Vec::new());
            for c in written.chars() {
                if c == '|' { at.push(text.len()) } else { text.push(c) }
            }
            assert_eq!(fits(text.as_bytes(), &at, value.as_bytes()), expected, "{written} {value}");
        }
    }

    #[test]
    fn an_upload_goes_on_where_it_began_only_as_far_as_its_variables_tell_no_clients_apart() {
        let tables = "map $request_id $half { ~^(?<begin>..) $begin; default 00; }
            map $request_id $fixed { default $request_method; } map $http_x $of_client { a $request_id; default x; }
            map $request_id $to_client { a $http_x; default x; } map $pid $same { default $remote_user; }
            split_clients $msec $shard { 50% a; * b; } split_clients $arg_a $shard_of_client { 50% a; * b; }
            map $half $twice { default $half; }";
        let table = [
            ("$request_id", true),
            ("$msec", true),
            ("$connection", true),
            ("$remote_port", true),
            ("$http_content_length", true),
            ("$http_upload_offset", true),
            ("$half", true),
            ("$twice", true),
            ("$fixed", true),
            ("$shard", true),
            ("$remote_addr", false),
            ("$remote_user", false),
            ("$http_x", false),
            ("$http_x_content_", false),
            ("$arg_a", false),
            ("$cookie_a", false),
            ("$own", false),
            ("$of_client", false),
            ("$to_client", false),
            ("$same", false),
            ("$shard_of_client", false),
        ];
        for (variable, expected) in table {
            let mut site = Site::new(tables, &format!("location /t/ {{ set $own a; upload_store /s/{variable}; }}"));
            let mut ex = site.at("PATCH /t/f", &[], INSIDE);
            let Store::Path(store) = ex.location().settings.upload.store.clone() else { panic!("{variable}") };
            ex.route.begun_at = Some(b"/s/elsewhere/f"[..].into());
            let found = find(&mut ex, &mut site.cx, &store, b"f");
            let whole = (b"/s/elsewhere/f".to_vec(), b"/s/elsewhere/".len());
            assert_eq!(found, expected.then_some(whole), "{variable}");
            assert_eq!(find(&mut ex, &mut site.cx, &store, b"g"), None, "{variable}: another file");
            ex.route.begun_at = None;
            assert_eq!(find(&mut ex, &mut site.cx, &store, b"f"), None, "{variable}: none has begun");
        }
    }
}
