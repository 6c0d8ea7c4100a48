//! Responses that caches and browsers keep for longer than intended, or give to clients they were not meant for.

use super::blocks::variables;
use super::rule::{Finding, Rule, RuleContext};
use super::tables::Table;
use crate::config::ast::{Directive, Word};
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W088",
        title: "pages that browsers keep for weeks or years",
        page: "A file that is kept for weeks or a year is not requested again, even if it has changed: that is for files whose \
               name changes with them (app.3f2a.js). A page keeps its name, so that visitors do not see its new version. Write \
               `expires -1;` or a short time for pages, also where `try_files` ends in one.",
        about: &["expires"],
        check: kept_pages,
    },
    Rule {
        code: "W150",
        title: "one visitor's cookie sent to everyone",
        page: "A response with Set-Cookie is not cached, unless `proxy_ignore_headers Set-Cookie` says so: then its cookie, a \
               session perhaps, is sent to all that ask for the same. Add `proxy_hide_header Set-Cookie;`.",
        about: &["proxy_ignore_headers", "fastcgi_ignore_headers", "uwsgi_ignore_headers", "scgi_ignore_headers"],
        check: shared_cookie,
    },
    Rule {
        code: "W175",
        title: "an answer for one origin that is kept for all",
        page: "Where Access-Control-Allow-Origin depends on the Origin of the request, a cache must not give one site's answer to \
               another: add `add_header Vary Origin;`.",
        about: &["add_header"],
        check: without_vary,
    },
    Rule {
        code: "W039",
        title: "two headers about caching that contradict each other",
        page: "`expires` sends a Cache-Control of its own: beside it an `add_header Cache-Control no-store` makes two, and caches \
               choose; so it is with a `max-age` of another length. Write one of them.",
        about: &["add_header"],
        check: two_lifetimes,
    },
    Rule {
        code: "W189",
        title: "what only users may see is kept for everyone",
        page: "`Cache-Control: public` lets caches on the way keep an answer though a password was needed for it, and give it to those \
               who have none. Write `private`.",
        about: &["add_header"],
        check: public_secret,
    },
];

fn kept_pages(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (true, [time], Some((sign, name))) = (cx.is("expires"), &cx.d.args[..], cx.location()) else { return };
    /// Half a year.
    const LONG: u64 = 180 * 86_400;
    let is_long = time.is("max") || Millis::parse_seconds(time.bytes()).is_ok_and(|time| time.seconds() >= LONG);
    let path = name.str();
    let last = path.rsplit("\\.").next().unwrap_or_default();
    let mut words = last.split(|c: char| !c.is_ascii_alphanumeric());
    let is_page = match sign {
        b"~" | b"~*" => path.contains("\\.") && words.any(|word| matches!(word, "html" | "htm" | "xhtml")),
        _ => path.ends_with(".html") || path.ends_with(".htm"),
    };
    if let Some(page) = fallback_page(cx).filter(|_| sign.is_empty() || sign == b"^~") {
        /// A week.
        const KEPT: u64 = 7 * 86_400;
        if time.is("max") || Millis::parse_seconds(time.bytes()).is_ok_and(|time| time.seconds() >= KEPT) {
            let message = format!("browsers keep {} for that long and do not see a new version", page.str());
            let help = "a short time here (expires -1;), a long one in a location of the files that never change";
            return found.push(Finding::new(time.span, message, help).note(page.span, "it is sent from here"));
        }
    }
    if is_long && is_page {
        let message = "visitors do not see a new version of a page: their browsers keep it";
        found.push(Finding::new(time.span, message, "a short time for pages: expires -1;"));
    }
}

fn shared_cookie(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_cookie = |word: &&Word| word.bytes().eq_ignore_ascii_case(b"Set-Cookie");
    let Some(word) = cx.d.args.iter().find(is_cookie) else { return };
    let name = cx.d.name.str();
    let Some(module) = name.strip_suffix("_ignore_headers") else { return };
    let (cache, hide) = (format!("{module}_cache"), format!("{module}_hide_header"));
    let is_cached = cx.levels.iter().rev().find_map(|level| level.all.get(level.first(&cache)?));
    let is_cached = is_cached.is_some_and(|d| d.args.first().is_some_and(|zone| !zone.is("off")));
    let is_hidden = cx
        .levels
        .iter()
        .any(|level| level.all.iter().any(|d| d.name.is(&hide) && d.args.iter().any(|word| is_cookie(&word))));
    if is_cached && !is_hidden {
        let message = "responses with a cookie are cached, and sent with it to everybody";
        found.push(Finding::new(word.span, message, format!("add: {hide} Set-Cookie;")));
    }
}

fn without_vary(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("add_header") {
        return;
    }
    let [name, value, ..] = &cx.d.args[..] else { return };
    if name.lower() != b"access-control-allow-origin" {
        return;
    }
    let is_of_origin = |table: &Table| {
        let of = table.directive.args.first();
        table.directive.name.is("map") && of.is_some_and(|of| of.lower() == b"$http_origin")
    };
    let of_origin = |name: &String| {
        let table = cx.inside("http").and_then(|http| http.table(format!("${name}").as_bytes()));
        name == "http_origin" || table.is_some_and(is_of_origin)
    };
    let level = cx.level();
    // With credentials for every site the origin itself is the mistake.
    if value.is("$http_origin") && level.field("access-control-allow-credentials").is_some() {
        return;
    }
    // What may not be kept needs no Vary.
    let is_kept = || !level.all.iter().any(|d| d.args.iter().any(|word| word.str().contains("no-store")));
    let is_varied = level.field("vary").is_some() || level.has("include");
    if !is_varied && variables(&value.str()).iter().any(of_origin) && is_kept() {
        let message = "a cache may give the answer for one site to another, whose browser refuses it then";
        found.push(Finding::new(cx.d.span, message, "add: add_header Vary Origin;"));
    }
}

fn public_secret(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("add_header") || !name.bytes().eq_ignore_ascii_case(b"cache-control") {
        return;
    }
    let text = value.str().to_ascii_lowercase();
    let is_public = text.split(',').any(|word| word.trim() == "public");
    let asks = |d: &&Directive| d.args.first().is_some_and(|word| !word.is("off"));
    let asking = cx.levels().find_map(|level| level.first_of("auth_basic").or(level.first_of("auth_request")));
    let may_pass = cx.levels().any(|level| level.has("satisfy"));
    if let Some(asking) = asking.filter(|d| is_public && asks(d) && !may_pass) {
        let message = "caches may keep this for those who have no password";
        let finding = Finding::new(value.span, message, "write private in place of public");
        found.push(finding.note(asking.span, "it is asked for here"));
    }
}

fn two_lifetimes(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("add_header") || !name.bytes().eq_ignore_ascii_case(b"cache-control") {
        return;
    }
    let text = value.str().to_ascii_lowercase();
    let mut words = text.split(',').map(str::trim);
    let is_kept = |word: &&str| *word == "public" || word.starts_with("max-age=") && *word != "max-age=0";
    if let Some(kept) = words.clone().find(is_kept).filter(|_| words.any(|word| word == "no-store")) {
        let message = format!("\"no-store\" forbids what \"{kept}\" allows");
        let help = "keep one of the two: no-store, or public and max-age=SECONDS";
        return found.push(Finding::new(value.span, message, help));
    }
    let Some(expires) = cx.level().first_of("expires") else { return };
    let time = expires.args.last().map(Word::str).unwrap_or_default();
    let age = text
        .split(',')
        .find_map(|word| word.trim().strip_prefix("max-age=")?.parse().ok())
        .filter(|_| expires.args.len() == 1);
    let other = |age: &u64| *age > 0 && lifetime(&time).is_some_and(|time| time != *age);
    if let Some(age) = age.filter(other) {
        let message = format!("two times in two Cache-Control headers: {age} seconds here, and `expires {time}`");
        let help = "keep one of the two lines, or leave the max-age out here";
        return found.push(Finding::new(value.span, message, help).note(expires.span, "the other"));
    }
    let Some(forbids) = ["no-store", "no-cache", "max-age=0"].iter().find(|word| text.contains(**word)) else { return };
    let is_later = time.starts_with(|c: char| c.is_ascii_digit())
        && !time.trim_matches(|c: char| !c.is_ascii_digit()).chars().all(|c| c == '0');
    if is_later || time == "max" {
        let message =
            format!("\"{forbids}\" beside `expires {time}`: two Cache-Control headers that contradict each other");
        found
            .push(Finding::new(cx.d.args_span(), message, "keep one of the two lines").note(expires.span, "the other"));
    }
}

/// The max-age that `expires` sends: 10 years for `max`. None: none, or it differs by the request.
fn lifetime(time: &str) -> Option<u64> {
    const MAX: u64 = 315_360_000;
    match time {
        "max" => Some(MAX),
        time => Millis::parse_seconds(time.as_bytes()).ok().map(|time| time.seconds()).filter(|seconds| *seconds > 0),
    }
}

/// The page that `try_files` of the same location ends in, if no other location answers it.
fn fallback_page<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Word> {
    let page = cx.level().first_of("try_files")?.args.last().filter(|word| word.bytes().starts_with(b"/"))?;
    let taker = cx.inside("server")?.taker(page.bytes())?;
    let is_own = cx.blocks.last().is_some_and(|block| std::ptr::eq(taker, *block));
    (is_own && page.bytes().ends_with(b".html")).then_some(page)
}
