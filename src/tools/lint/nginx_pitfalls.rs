//! Lines that nginx accepts without a warning, but that do not do what they seem to.

use super::blocks::{location, variables};
use super::regexes;
use super::rule::{COMPARED, EVERY, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::resolve::{lexical, placeholder};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W001",
        title: "a prefix location that is written like a regex",
        page: "Without `~` the name of a location is a prefix, compared letter by letter: `location ^/api/` matches no \
               request at all. Write `location ~ ^/api/` for a regex, or `location /api/` for the prefix.",
        about: &["location"],
        check: prefix_like_a_regex,
    },
    Rule {
        code: "W002",
        title: "a server name that no host has",
        page: "Names are separated by spaces, and a comma is a letter of the name: no Host header has it. A port \
               belongs to `listen`; it is taken off the Host header before names are compared. Variables are not \
               filled in, but for $hostname.",
        about: &["server_name"],
        check: odd_server_name,
    },
    Rule {
        code: "W004",
        title: "try_files ends in a number that is not a status",
        page: "The last argument of `try_files` is a URI; a status is written `=404`. `404` or `/404` is a file that \
               is looked for.",
        about: &["try_files"],
        check: try_files_code,
    },
    Rule {
        code: "W005",
        title: "the same regex location twice",
        page: "Regex locations are tried in their order and the first that matches wins: a second one with the same \
               regex is never reached.",
        about: &["location"],
        check: duplicate_regex,
    },
    Rule {
        code: "W006",
        title: "directives after a return",
        page: "`return`, `break` and a `rewrite` of every URI end the rewrite directives of their block: `set`, `rewrite`, \
               `if` and `return` after them never run. Move them before it.",
        about: &["set", "rewrite", "if", "return"],
        check: after_return,
    },
    Rule {
        code: "W007",
        title: "`if` in a location with more than return, rewrite and set",
        page: "A block of `if` inside a location replaces the location for the request: handlers and headers of the \
               location may be lost, and of two such blocks only the last counts. Choose values by `map`, or use \
               `try_files` and locations of their own.",
        about: EVERY,
        check: if_is_evil,
    },
    Rule {
        code: "W008",
        title: "root repeats the name of its location",
        page: "The whole URI is appended to `root`: `location /img/ { root /srv/img; }` looks for /srv/img/img/…. \
               Name the directory above, or use `alias`.",
        about: &["root"],
        check: root_repeats_location,
    },
    Rule {
        code: "W009",
        title: "alias leaves its directory",
        page: "`location /i { alias /srv/i/; }` also matches /i../secret, which becomes /srv/i/../secret. End both the \
               location and the alias with a slash.",
        about: &["alias"],
        check: alias_traversal,
    },
    Rule {
        code: "W011",
        title: "a redirect without its URL",
        page: "`return 301;` answers a redirect that leads nowhere: browsers show an empty page. Write where it leads, or \
               another status.",
        about: &["return"],
        check: redirect_to_nowhere,
    },
    Rule {
        code: "W012",
        title: "a rewrite names a group that its regex does not have",
        page: "`rewrite ^/a/(.*)$ /$2;` has one group: $2 is empty, and so is $1 where nothing around it is a regex. $10 is $1 and \
               a 0. Groups of a `location` or an `if` around it are gone by \
               then, since `rewrite` matches its own regex last; a named group, `(?<name>…)`, stays.",
        about: EVERY,
        check: missing_group,
    },
];

fn prefix_like_a_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    match location(cx.d) {
        Some((b"=" | b"^~", word)) if word.bytes().starts_with(b"@") => {
            let text = word.str();
            let message =
                format!("location \"{text}\" never matches: with a modifier it is a path, and those begin with `/`");
            let help = format!("a named location has no modifier: location {text} {{ … }}");
            found.push(Finding::new(word.span, message, help));
        }
        Some((modifier @ (b"=" | b"^~"), word)) => {
            let (text, sign) = (word.str(), String::from_utf8_lossy(modifier).into_owned());
            let is_regex = text.starts_with("^/") || text.ends_with('$') || text.contains(".*") || text.contains("\\.");
            let help = match text.strip_suffix('*').filter(|start| !is_regex && start.ends_with('/')) {
                Some(start) => format!("a prefix stands alone: location {start} {{ … }}"),
                None if is_regex => format!("a regex has the modifier `~`: location ~ {text} {{ … }}"),
                None => return,
            };
            let message = format!("location {sign} \"{text}\" never matches: its signs are letters behind `{sign}`");
            found.push(Finding::new(word.span, message, help));
        }
        Some((b"", word)) => {
            let text = word.str();
            if matches!(&*text, "~" | "~*" | "=" | "^~") {
                let message = format!("`{text}` is the path here: what it is a sign for is missing");
                found.push(Finding::new(
                    word.span,
                    message,
                    format!("write the path behind it: location {text} PATH {{ … }}"),
                ));
            } else if let Some((why, help)) = not_a_prefix(&text) {
                found.push(Finding::new(word.span, format!("location \"{text}\" {why}"), help));
            }
        }
        _ => {}
    }
}

/// Why a location without modifier is not what it seems, and what was meant.
fn not_a_prefix(text: &str) -> Option<(&'static str, String)> {
    if let Some(at) = text.find('?').filter(|_| text.starts_with('/') && text.contains('=')) {
        let (path, query) = text.split_at_checked(at).unwrap_or((text, ""));
        let argument = query.trim_start_matches('?').split('=').next().unwrap_or_default();
        return Some((
            "never matches: a location is compared without the query",
            format!("location {path} {{ … }}, and inside it `if ($arg_{argument} = …)`"),
        ));
    }
    if text.starts_with('/') && text.contains("|/") || text.starts_with("(/") {
        let inside = text.trim_matches(['(', ')']);
        return Some((
            "is a prefix and never matches: `|` is a letter of it",
            format!("a choice is a regex: location ~ ^({inside}) {{ … }}"),
        ));
    }
    let has_modifier = text.starts_with(['~', '=']) || text.starts_with("^~");
    if (text.starts_with('*') || text.contains("/*")) && !has_modifier {
        let tail = text.rsplit('*').next().unwrap_or_default().replace('.', "\\.");
        let regex = if tail.is_empty() { text.trim_end_matches('*').to_owned() } else { format!("~ {tail}$") };
        return Some((
            "is a prefix and never matches: `*` is a letter of it",
            format!("a suffix is matched by a regex, a beginning by a prefix: location {regex} {{ … }}"),
        ));
    }
    let is_regex = text.starts_with("^/") || text.ends_with('$') || text.contains(".*") || text.contains("\\.");
    // The empty prefix matches every URI.
    if !is_regex && !has_modifier && !text.is_empty() && !text.starts_with(['@', '/']) && !text.contains('$') {
        return Some(("never matches: a URI begins with `/`", format!("location /{text} {{ … }}")));
    }
    (is_regex && !has_modifier).then(|| {
        (
            "is a prefix and never matches: it is written like a regex",
            format!(
                "a regex has the modifier `~`: location ~ {text} {{ … }}; a prefix that wins over regexes has `^~`"
            ),
        )
    })
}

/// The regex to which `$1` in a directive refers, and the word that contains it.
fn captures_of<'a>(cx: &RuleContext<'_, 'a>) -> Option<(&'a Word, &'a Word)> {
    match (cx.name(), &cx.d.args[..]) {
        (b"rewrite", [regex, replacement, ..]) => Some((regex, replacement)),
        (b"return" | b"set", [_, value])
        | (b"alias" | b"proxy_pass" | b"root", [value])
        | (b"add_header" | b"proxy_set_header" | b"fastcgi_param", [_, value, ..]) => {
            // Another regex in the block may have matched last.
            let others = ["rewrite", "if"].iter().any(|name| cx.level().has(name));
            let block = cx.blocks.last().filter(|_| !others)?;
            let (modifier, regex) = location(block)?;
            modifier.starts_with(b"~").then_some((regex, value))
        }
        _ => {
            let in_map = cx.is_in("map");
            let [value] = &cx.d.args[..] else { return None };
            (in_map && cx.name().starts_with(b"~")).then_some((&cx.d.name, value))
        }
    }
}

/// The words of a directive in which `$1` stands for a group.
fn filled_in(d: &Directive) -> &[Word] {
    match (d.name.bytes(), &d.args[..]) {
        (b"return", [code, _]) if code.bytes().starts_with(b"30") => &d.args[1..],
        (b"set" | b"add_header" | b"proxy_set_header" | b"fastcgi_param", [_, _, ..]) => &d.args[1..2],
        (b"proxy_pass" | b"root" | b"alias", [_]) | (b"try_files", _) => &d.args,
        _ => &[],
    }
}

/// `location /old/ { return 301 https://a.test$1; }`: nothing around it is a regex.
fn no_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    let group = |name: &String| name.len() == 1 && name.starts_with(|c: char| c.is_ascii_digit());
    let named = |word: &Word| variables(&word.str()).into_iter().find(group);
    let has_sign = |word: &&Word| memchr::memchr(b'$', word.bytes()).is_some();
    let first = filled_in(cx.d).iter().filter(has_sign).find_map(|word| Some((word, named(word)?)));
    let Some((url, name)) = first.filter(|_| cx.inside("server").is_some()) else { return };
    let is_regex = |block: &&Directive| location(block).is_some_and(|(sign, _)| sign.starts_with(b"~"));
    let matches = ["rewrite", "if", "include", "map"];
    let named = |d: &Directive| d.args.iter().any(|word| word.bytes().starts_with(b"~"));
    let is_matched = cx.blocks.iter().any(is_regex)
        || cx.levels.iter().any(|level| matches.iter().any(|name| level.has(name)))
        || cx.blocks.iter().any(|block| block.name.is("if"))
        || cx.inside("server").is_some_and(|server| server.named("server_name").iter().any(|d| named(d)));
    // Requests that are led on keep the groups of where they come from.
    let is_led_to = cx.levels().any(|level| level.has("internal"))
        || cx.location().is_some_and(|(_, name)| name.bytes().starts_with(b"@"))
        || cx.inside("server").is_some_and(|server| server.below().has_groups);
    if !is_matched && !is_led_to {
        let message = format!("${name} is empty: no regex is matched here");
        found.push(Finding::new(url.span, message, "take the path by a regex: location ~ ^/old(/.*)$ { … }"));
    }
}

fn missing_group(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(finding) = regexes::group_of_no_match(cx) {
        return found.push(finding);
    }
    let Some((regex, replacement)) = captures_of(cx) else { return no_regex(cx, found) };
    let (regex, text) = (regex.str(), replacement.str());
    let bytes = regex.as_bytes();
    // Escapes and classes may contain parentheses: skip what cannot be counted reliably.
    if regex.contains('[') && regex.contains("[(") || regex.contains("\\Q") {
        return;
    }
    let opens = |at: &usize| {
        let is_escaped =
            bytes.get(..*at).is_some_and(|before| before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1);
        let is_plain = match bytes.get(at + 1..) {
            Some([b'?', b'P' | b'<' | b'\'', next, ..]) => !matches!(next, b'=' | b'!'),
            Some([b'?' | b'*', ..]) => false,
            _ => true,
        };
        bytes.get(*at) == Some(&b'(') && !is_escaped && is_plain
    };
    let groups = (0..bytes.len()).filter(opens).count();
    let is_cut = |(at, _): &(usize, &str)| {
        let [first, second] = text.as_bytes().get(at + 1..at + 3)? else { return None };
        ((b'1'..=b'9').contains(first) && second.is_ascii_digit()).then_some((char::from(*first), char::from(*second)))
    };
    if let Some((first, second)) = text.match_indices('$').find_map(|at| is_cut(&at)).filter(|_| groups > 9) {
        let message = format!("this is ${first}, and then the text \"{second}\": groups have one digit");
        let help = "name the group: (?<name>…), and $name";
        return found.push(Finding::new(replacement.span, message, help));
    }
    let named =
        text.match_indices('$').filter_map(|(at, _)| text.as_bytes().get(at + 1)).filter(|b| (b'1'..=b'9').contains(b));
    let highest = named.map(|digit| usize::from(digit - b'0')).max().unwrap_or(0);
    if highest > groups {
        let has = match groups {
            0 => "no group".to_owned(),
            1 => "one group".to_owned(),
            n => format!("{n} groups"),
        };
        let message = format!("${highest} is empty: the regex \"{regex}\" has {has}");
        found.push(Finding::new(
            replacement.span,
            message,
            "put what it means into parentheses, or name it (?<name>…)",
        ));
    }
}

fn redirect_to_nowhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code] = &cx.d.args[..] else { return };
    if cx.is("return") && ["301", "302", "303", "307", "308"].iter().any(|known| code.is(known)) {
        let message = format!("a redirect without a URL: {} leads nowhere", code.str());
        found.push(Finding::new(code.span, message, format!("return {} https://$host$request_uri;", code.str())));
    }
}

/// A variable or placeholder among the names of a server.
fn unfilled_name(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    let help = match placeholder::name_of(&text) {
        Some(_) if text.contains('}') => placeholder::FILL.to_owned(),
        Some(name) => format!("its `}}` is missing: {name}"),
        None if text == "=" => {
            let name = cx.d.args.iter().find(|other| other.span != word.span)?;
            format!("leave out the `=`: server_name {};", name.str())
        }
        None if text.starts_with('$') && text != "$hostname" => {
            "every host is the default server: server_name _; with listen … default_server".to_owned()
        }
        None => return None,
    };
    let message = format!("\"{text}\" is compared as it stands: no variable is filled in here");
    Some(Finding::new(word.span, message, help))
}

/// `server_name default_server;`
fn default_as_a_name(cx: &RuleContext, word: &Word) -> Option<Finding> {
    // Addresses may come from includes.
    let is_default = |d: &Directive| d.args.iter().any(|arg| arg.is("default_server") || arg.is("default"));
    let mut listens = cx.level().all.iter().take(COMPARED).filter(|d| d.name.is("listen"));
    (listens.clone().next().is_some() && !listens.any(is_default)).then(|| {
        let message = "\"default_server\" is a name like any other here";
        Finding::new(word.span, message, "it belongs to the address: listen 80 default_server;")
    })
}

/// Only letters, digits, `-`, `*` and dots, without a trailing dot: a fast path for most names of long lists.
fn is_usual_name(name: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*' | b'.');
    name.iter().all(is_usual) && !name.ends_with(b".")
}

fn odd_server_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("server_name") {
        return;
    }
    let may_be_odd = |word: &&Word| !word.bytes().starts_with(b"~") && !is_usual_name(word.bytes());
    for word in cx.d.args.iter().filter(may_be_odd) {
        let text = word.str();
        let plain = text.trim_matches(',');
        if text == "default_server" {
            found.extend(default_as_a_name(cx, word));
            continue;
        }
        if text.len() > 1 && text.ends_with('.') && !text.starts_with('$') {
            let message = format!("the server name \"{text}\" never matches: the last dot of a host is left out");
            let help = format!("write it without the dot: {}", text.trim_end_matches('.'));
            found.push(Finding::new(word.span, message, help));
            continue;
        }
        if let Some(finding) = unfilled_name(cx, word) {
            found.push(finding);
            continue;
        }
        let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()) {
            continue;
        }
        let is_odd = |c: char| lexical::is_blank(c) || matches!(c, '“' | '”' | '„' | '‘' | '’' | '«' | '»' | '；');
        if !text.is_ascii() && !text.contains(is_odd) {
            let message = format!("the server name \"{text}\" never matches: clients send it in ASCII");
            found.push(Finding::new(word.span, message, "write its form in ASCII (punycode), which begins with xn--"));
            continue;
        }
        if let Some(sign) = text.chars().find(|c| "()|[]^$\\+?".contains(*c)).filter(|_| !text.starts_with('$')) {
            found.push(Finding::new(
                word.span,
                format!("`{sign}` is a letter of the server name \"{text}\", which no host has"),
                format!("a regex begins with `~`: server_name ~^{}$;", text.trim_matches(['^', '$'])),
            ));
        } else if text.contains(',') {
            found.push(Finding::new(
                word.span,
                format!("the comma is part of the server name \"{text}\""),
                format!("names are separated by spaces: \"{}\"", plain.replace(',', " ")),
            ));
        } else if let Some((name, port)) = text.rsplit_once(':')
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            found.push(Finding::new(
                word.span,
                format!("the server name \"{text}\" has a port and never matches"),
                format!("write \"{name}\" here; the port belongs to `listen`"),
            ));
        }
    }
}

fn try_files_code(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.last().filter(|_| cx.is("try_files")) else { return };
    let text = word.str();
    if let Some(code) = text.strip_prefix('=').filter(|code| (1..3).contains(&code.len())) {
        let message = format!("{code} is no status: it has three digits");
        return found.push(Finding::new(word.span, message, "as in =404"));
    }
    if let Some((uri, code)) = text.rsplit_once('=').filter(|(uri, _)| uri.starts_with('/') && !uri.contains('?'))
        && code.len() == 3
        && code.starts_with(['4', '5', '2'])
        && code.bytes().all(|byte| byte.is_ascii_digit())
    {
        let message = format!("\"{text}\" is one URI here: the status is a word of its own");
        let help = format!("a space is missing: {uri} ={code}");
        return found.push(Finding::new(word.part(uri.len(), text.len()), message, help));
    }
    let digits = text.trim_start_matches('/');
    if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        found.push(Finding::new(
            word.span,
            format!("\"{text}\" is a URI here, not a status"),
            format!("a status is written \"={digits}\""),
        ));
    }
}

fn duplicate_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((modifier @ (b"~" | b"~*"), word)) = location(cx.d) else { return };
    let level = cx.level();
    let before = |modifier: &[u8]| level.location(modifier, word.bytes()).filter(|first| *first < cx.at);
    // A case-insensitive regex matches everything that a case-sensitive one does.
    let first = before(modifier).or_else(|| before(b"~*"));
    if let Some(first) = first.map(|first| &level.all[first]) {
        let message = format!("regex location \"{}\" is there already: this one is never reached", word.str());
        let finding = Finding::new(word.span, message, "remove one, or make their regexes differ");
        found.push(finding.note(first.span, "the first one"));
    }
}

fn after_return(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !["set", "rewrite", "if", "return"].iter().any(|name| cx.is(name)) {
        return;
    }
    let level = cx.level();
    let before = |name: &str| level.first(name).filter(|first| *first < cx.at).map(|first| &level.all[first]);
    // It matches every URI, and its flag ends the block.
    let ends = |d: &&Directive| {
        let all = d
            .args
            .first()
            .is_some_and(|regex| ["^", "^/", ".*", "^.*$", "^(.*)$", "^/(.*)$"].iter().any(|every| regex.is(every)));
        let is_url = d.args.get(1).is_some_and(|url| url.bytes().starts_with(b"http"));
        all && (d.args.len() > 2 || is_url)
    };
    let rewrite = before("rewrite").filter(ends).filter(|first| first.span != cx.d.span);
    if let Some(first) = before("return").or_else(|| before("break")).or(rewrite) {
        let by = first.name.str();
        let message = format!("\"{}\" after a {by} never runs", cx.d.name.str());
        let finding = Finding::new(cx.d.name.span, message, format!("move it before the `{by}`, or remove it"));
        found.push(finding.note(first.span, "the block ends here"));
    }
}

fn if_is_evil(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [.., around, block] = cx.blocks else { return };
    // If it returns, the location's settings do not matter.
    if !block.name.is("if") || !around.name.is("location") || cx.level().has("return") {
        return;
    }
    let harmless = ["return", "rewrite", "set", "break", "rewrite_log", "if", "access_log", "error_log", "limit_rate"];
    let is_harmless = |d: &Directive| harmless.iter().any(|name| d.name.is(name));
    // Report once per block.
    let is_first = || cx.level().all.iter().take(cx.at).all(is_harmless);
    if !is_harmless(cx.d) && is_first() && !adds_alone(cx, is_harmless) {
        found.push(Finding::new(
            cx.d.name.span,
            format!("\"{}\" in an `if` replaces what the location says for such requests", cx.d.name.str()),
            "choose the value by `map`, or lead such requests to a location of their own",
        ));
    }
}

fn root_repeats_location(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(word)) = (cx.blocks.last(), cx.d.args.first()) else { return };
    let Some((b"" | b"^~" | b"=", name)) = location(block).filter(|_| cx.is("root")) else { return };
    let name = name.str();
    let tail = name.trim_end_matches('/');
    let root = word.str();
    if tail.len() > 1 && tail.starts_with('/') && root.trim_end_matches('/').ends_with(tail) && !root.contains('$') {
        found.push(Finding::new(
            word.span,
            format!(
                "the URI is appended to root: \"{name}\" is looked for in \"{}{name}\"",
                root.trim_end_matches('/')
            ),
            format!(
                "write root {}; or alias {}/;",
                root.trim_end_matches('/').trim_end_matches(tail),
                root.trim_end_matches('/')
            ),
        ));
    }
}

fn alias_traversal(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(word)) = (cx.blocks.last(), cx.d.args.first()) else { return };
    let Some((b"" | b"^~", name)) = location(block).filter(|_| cx.is("alias")) else { return };
    let text = name.str();
    if text.starts_with('/') && !text.ends_with('/') && word.bytes().ends_with(b"/") {
        let help = format!("end the location with a slash as well: location {text}/ {{ … }}");
        let message = format!("location \"{text}\" also matches \"{text}../\", which leads out of the alias");
        found.push(Finding::new(name.span, message, help).note(word.span, "the alias ends with a slash"));
    }
}

/// Whether the block adds headers only, and nothing else is lost by it: the location has neither headers nor
/// `try_files`, and no other `if`.
fn adds_alone(cx: &RuleContext, is_harmless: impl Fn(&Directive) -> bool) -> bool {
    let [.., around, _] = cx.levels else { return false };
    let is_header = |d: &Directive| d.name.is("add_header") || d.name.is("add_trailer");
    let is_lost = |d: &Directive| is_header(d) || d.name.is("try_files") || d.name.is("alias");
    let ifs = around.all.iter().filter(|d| d.name.is("if")).count();
    cx.level().all.iter().all(|d| is_header(d) || is_harmless(d)) && ifs == 1 && !around.all.iter().any(is_lost)
}
