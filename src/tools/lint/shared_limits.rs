//! Limits that meet others than they are meant for: all clients in one count, the files of a page, a cookie.

use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::value::Size;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W369",
        title: "a limit whose key is the same for many clients",
        page: "Requests with the same key are counted together, and only those with an empty key are not: with a `geo` or \
               `map` of `0` and `1` as the key all clients share two counts, also those that are meant to be free. Let a `map` \
               make the key: `map $limited $key { 0 \"\"; 1 $binary_remote_addr; }`.",
        about: &["limit_req_zone", "limit_conn_zone"],
        check: one_for_all,
    },
    Rule {
        code: "W374",
        title: "a limit that refuses the files of a page",
        page: "A browser asks for a page and its styles, scripts and images at once. A low rate without `burst` for a whole \
               server answers all but the first with 503. Add `burst=20 nodelay`, or limit the location that needs it.",
        about: &["limit_req"],
        check: no_burst,
    },
    Rule {
        code: "W375",
        title: "no room for a cookie",
        page: "A header line longer than a buffer of `large_client_header_buffers` is answered with 400, and a longer request line \
               with 414. Cookies and tokens take some kilobytes. The default is `4 8k`.",
        about: &["large_client_header_buffers"],
        check: short_lines,
    },
];

fn one_for_all(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_zone = cx.is("limit_req_zone") || cx.is("limit_conn_zone");
    let Some(key) = cx.d.args.first().filter(|_| is_zone) else { return };
    let name = key.lower();
    let Some(table) = cx.levels.iter().rev().find_map(|level| level.table(&name)) else { return };
    let Some(values) = table.values() else { return };
    let is_no = |value: &str| ["0", "no", "off", "false"].contains(&value);
    let free = values.in_order.iter().find(|value| is_no(value));
    let Some(free) = free.filter(|_| !values.in_order.iter().any(String::is_empty)) else { return };
    let message =
        format!("clients with \"{free}\" are limited as well, all together: only an empty key is not counted");
    let help = format!("make the key by a map: map {} $key {{ {free} \"\"; default $binary_remote_addr; }}", key.str());
    found.push(Finding::new(key.span, message, help).note(table.directive.args_span(), "its values"));
}

/// Requests per minute below which the files of one page are refused.
const SLOW: u32 = 300;

fn no_burst(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_whole = cx.is_in("server") || cx.is_in("http");
    if !is_whole || !cx.is_first("limit_req") || cx.level().has("limit_req_dry_run") {
        return;
    }
    let of = |word: &Word, name: &str| word.str().strip_prefix(name).map(str::to_owned);
    let has_burst = cx.d.args.iter().any(|word| of(word, "burst=").is_some() || word.is("nodelay"));
    let Some(zone) = cx.d.args.iter().find_map(|word| of(word, "zone=")).filter(|_| !has_burst) else { return };
    let is_it = |d: &&&Directive| {
        let names = d.args.iter().filter_map(|word| of(word, "zone="));
        names.into_iter().any(|name| name.split(':').next() == Some(zone.as_str()))
    };
    let Some(level) = cx.levels.iter().rev().find(|level| level.has("limit_req_zone")) else { return };
    let Some(line) = level.named("limit_req_zone").iter().take(COMPARED).find(is_it) else { return };
    // With another key not all requests of a client may count; and what is passed on may be an interface for programs.
    let is_client = |word: &Word| word.is("$binary_remote_addr") || word.is("$remote_addr");
    let sends_files = || {
        let passes = |d: &Directive| super::blocks::is_pass(&d.name.str());
        cx.levels().any(|level| level.has("root")) || !super::blocks::below(cx.level().all, passes)
    };
    if !line.args.first().is_some_and(is_client) || !sends_files() {
        return;
    }
    let rate = line.args.iter().find_map(|word| of(word, "rate=")).unwrap_or_default();
    let per_minute = match (rate.strip_suffix("r/s"), rate.strip_suffix("r/m")) {
        (Some(count), _) => count.parse::<u32>().ok().and_then(|count| count.checked_mul(60)),
        (_, Some(count)) => count.parse().ok(),
        _ => None,
    };
    if per_minute.is_some_and(|count| count <= SLOW) {
        let message = format!("of a page and its files all but the first are refused at {rate}");
        let help = "add: burst=20 nodelay; or limit the location that needs it";
        found.push(Finding::new(cx.d.args_span(), message, help).note(line.span, "the rate"));
    }
}

fn short_lines(cx: &RuleContext, found: &mut Vec<Finding>) {
    const SHORT: u64 = 2048;
    let [_, size] = &cx.d.args[..] else { return };
    if cx.is("large_client_header_buffers") && Size::parse(size.bytes()).is_ok_and(|size| size.0 < SHORT) {
        let message = format!("a header line longer than {} is refused: cookies and tokens are longer", size.str());
        found.push(Finding::new(size.span, message, "write: large_client_header_buffers 4 8k;"));
    }
}
