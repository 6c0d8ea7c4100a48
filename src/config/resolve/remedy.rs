//! Suggests the corrected line for common mistakes.
//! Used only for a directive that is already wrong; nothing here is ever accepted.

use super::{addresses, rates, siblings, split_words, statuses};
use crate::config::ast::{Directive, Span, Word, written};
use crate::config::context::Args;
use crate::config::fault::Fault;
use crate::config::model::Level;
use crate::config::row::Row;
use crate::config::syntax;
use crate::config::{examples, registry, suggest, value};

/// The help for a wrong number of arguments.
pub fn of_shape(d: &Directive, args: Args) -> Option<String> {
    let name = d.name.str();
    let words = &d.args;
    let text = |at: usize| words.get(at).map(Word::str).unwrap_or_default();
    let line = |words: &[String]| format!("write {name} {};", words.join(" "));
    if args.is_block() {
        return of_block(d);
    }
    // `60 s`: a number and its unit.
    let all: Vec<String> = words.iter().map(|word| word.str().into_owned()).collect();
    if words.len() > 1 && args.accepts(words.len() - 1) {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unit = |word: &str| if word == "%" { Some("%") } else { value::unit(word) };
        let pair = all.windows(2).position(|pair| is_number(&pair[0]) && unit(&pair[1]).is_some());
        if let Some(at) = pair {
            let unit = unit(&all[at + 1]).unwrap_or_default();
            let mut joined = all.clone();
            joined.splice(at..at + 2, [format!("{}{unit}", all[at])]);
            return Some(format!("a number and its unit are one word: {}", line(&joined).trim_start_matches("write ")));
        }
    }
    if let Some(joined) = (0..words.len()).find_map(|at| split_words::parameter(d, at)) {
        return Some(joined);
    }
    // `Name=value`, `"Name: value"`: two words in one.
    if words.len() == 1 && args.accepts(2) {
        let whole = text(0);
        let halves = whole.split_once(": ").or_else(|| whole.split_once('=')).or_else(|| whole.split_once(':'));
        if let Some((key, rest)) = halves.filter(|(key, rest)| !key.is_empty() && !rest.is_empty()) {
            let rest = if rest.contains(' ') { format!("\"{rest}\"") } else { rest.to_owned() };
            return Some(format!("two words, without a sign between them: {name} {key} {rest};"));
        }
    }
    if let Some(network) = addresses::with_mask(&all).filter(|_| REPEATED.contains(&&*name)) {
        return Some(format!("a network is written with its bits: {name} {network};"));
    }
    if REPEATED.contains(&&*name) && words.len() > 1 {
        // Apache's `allow from all`.
        let words: Vec<_> = all.iter().map(|word| word.trim_end_matches(',')).filter(|word| *word != "from").collect();
        let lines = suggest::lines(&name, &words);
        return Some(if words.len() == 1 { format!("write {lines}") } else { format!("one in each line: {lines}") });
    }
    if args.is_flag() {
        return Some(format!("{name} on; or {name} off;"));
    }
    if let Some(help) = by_name(&name, &all, words) {
        return Some(help);
    }
    if name == "return" && words.is_empty() {
        return Some("`return` needs at least a status: return 404;".into());
    }
    if args.accepts(0) && !words.is_empty() {
        return Some(format!("it takes {}: {name};", args.describe()));
    }
    example(&name, args).map(|example| format!("it takes {}, as in: {example}", args.describe()))
}

/// Help specific to a directive.
fn by_name(name: &str, all: &[String], words: &[Word]) -> Option<String> {
    match name {
        "proxy_pass" if words.len() == 2 && (all[0].ends_with(':') || all[1].starts_with("//")) => {
            Some(format!("a URL contains no spaces: proxy_pass {};", all.concat()))
        }
        "proxy_pass" if words.len() == 2 && all[1].starts_with(':') => {
            Some(format!("a URL contains no spaces: proxy_pass {};", all.concat()))
        }
        "fastcgi_pass" | "scgi_pass" | "uwsgi_pass" if words.len() == 2 && joins_address(&all[0], &all[1]) => {
            Some(format!("an address contains no spaces: {name} {};", all.concat()))
        }
        "ssl_certificate" if words.len() == 2 => Some(format!(
            "the key has a directive of its own: ssl_certificate {}; ssl_certificate_key {};",
            all[0], all[1]
        )),
        "proxy_pass" if words.len() > 1 => {
            let servers: Vec<_> =
                all.iter().map(|url| url.split_once("://").map_or(&**url, |(_, host)| host)).collect();
            let servers: Vec<_> =
                servers.iter().map(|host| format!("server {};", host.trim_end_matches('/'))).collect();
            let group = format!("upstream backend {{ {} }} in http", servers.join(" "));
            Some(format!("several servers are a group: {group}, and proxy_pass http://backend;"))
        }
        "root" if words.len() == 2 && words[0].is("*") => Some(format!("leave out the `*`: root {};", all[1])),
        "proxy_set_header" if words.len() == 1 => {
            let value = match all[0].to_ascii_lowercase().trim_end_matches(':') {
                "upgrade" => "$http_upgrade",
                "connection" => "$connection_upgrade",
                "x-real-ip" => "$remote_addr",
                "x-forwarded-for" => "$proxy_add_x_forwarded_for",
                "x-forwarded-proto" => "$scheme",
                _ => "$host",
            };
            Some(format!("it takes a name and a value: proxy_set_header {} {value};", all[0].trim_end_matches(':')))
        }
        "ssl_ciphers" if words.len() > 1 => {
            const SHOWN: usize = 8;
            let list = all.iter().flat_map(|word| word.split([':', ','])).filter(|one| !one.is_empty());
            let list: Vec<&str> = list.take(SHOWN).collect();
            Some(format!("the list is one word, without spaces: ssl_ciphers {};", list.join(":")))
        }
        "set" if words.len() == 1 => Some(format!("it takes 2 arguments; an empty value: set {} \"\";", all[0])),
        "internal" | "ip_hash" | "least_conn" | "empty_gif" if !words.is_empty() => {
            Some(format!("it takes no arguments: {name};"))
        }
        _ if name.ends_with("_buffers") && words.len() == 1 => {
            // `4x16k`
            let joined = all[0].split_once(['x', '*', ',', ':']);
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let (number, size) = match joined.filter(|(number, size)| digits(number) && !size.is_empty()) {
                Some(pair) => pair,
                None if digits(&all[0]) => (&*all[0], "8k"),
                None => ("4", &*all[0]),
            };
            Some(format!("it takes a number of buffers and their size: {name} {number} {size};"))
        }
        _ => None,
    }
}

/// `unix: /run/a.sock`, `127.0.0.1 :9000`, `127.0.0.1: 9000`.
fn joins_address(first: &str, second: &str) -> bool {
    first.ends_with(':') || second.starts_with(':')
}

/// An example of the directive, otherwise its default.
pub fn example(name: &str, args: Args) -> Option<String> {
    // The one name of a block and of a line.
    if name == "server" && !args.is_block() {
        return Some("server 127.0.0.1:3000;".to_owned());
    }
    let default = |row: &Row| {
        let plain = !row.default.is_empty() && !row.args.is_block() && row.name == name;
        plain.then(|| format!("{name} {};", row.default))
    };
    examples::of(name).or_else(|| registry::rows().find_map(default))
}

/// How many arguments stand before a block that is missing.
fn before_brace(d: &Directive) -> usize {
    let before = match &*d.name.str() {
        "if" => d.args.iter().position(|word| word.bytes().ends_with(b")")).map_or(d.args.len(), |at| at + 1),
        "server" | "http" | "events" | "types" => 0,
        "map" | "split_clients" => 2,
        "upstream" => 1,
        "location" => {
            d.args.first().map_or(0, |first| if matches!(first.bytes(), b"=" | b"^~" | b"~" | b"~*") { 2 } else { 1 })
        }
        _ => d.args.len(),
    };
    before.min(d.args.len())
}

/// The word behind which the `{` is missing.
pub fn before_block(d: &Directive) -> &Word {
    before_brace(d).checked_sub(1).and_then(|last| d.args.get(last)).unwrap_or(&d.name)
}

/// The directive with the block it lacks: surplus arguments go into the block.
pub fn as_block(d: &Directive) -> String {
    let name = d.name.str();
    let (head, inside) = d.args.split_at(before_brace(d));
    let inside = if inside.is_empty() { "…".to_owned() } else { format!("{};", syntax::line(inside)) };
    format!("{} {{ {inside} }}", format!("{name} {}", syntax::line(head)).trim_end())
}

/// One directive per argument.
pub fn one_each(d: &Directive) -> String {
    let (name, words): (_, Vec<_>) = (d.name.str(), d.args.iter().map(Word::str).collect());
    let words = words.join(",");
    let words = words.split(',').filter(|word| !word.is_empty());
    format!("one in each line: {}", suggest::lines(&name, words))
}

/// The words by which a value without quotes is too long, and the line with quotes; arguments after the value stay
/// outside.
pub fn of_text(d: &Directive) -> Option<(Span, String)> {
    let name = d.name.str();
    let words: Vec<_> = d.args.iter().map(Word::str).collect();
    let is_flag = |at: usize| {
        let flags: &[&str] = match &*name {
            "rewrite" => &["last", "break", "redirect", "permanent"],
            "add_header" | "add_trailer" => &["always"],
            "fastcgi_param" => &["if_not_empty"],
            _ => &[],
        };
        words.get(at).is_some_and(|word| flags.contains(&&**word))
    };
    let end = if words.len() > 2 && is_flag(words.len() - 1) { words.len() - 1 } else { words.len() };
    let range = match &*name {
        // A regex with a space, followed by its replacement.
        "rewrite" if end < words.len() && is_flag(end - 1) => {
            let help = format!("it takes only one flag: rewrite {} {} {};", words[0], words[1], words[2]);
            return Some((d.args[end].span, help));
        }
        "rewrite" if end < words.len() => 0..end - 1,
        "return" if end == 3 && words.get(1).is_some_and(|url| url.contains("://") || url.starts_with('/')) => {
            let flag = matches!(&*words[2], "permanent" | "redirect" | "last" | "break");
            let help = format!("it takes only a status and a URL: return {} {};", words[0], words[1]);
            return flag.then(|| (d.args[2].span, help));
        }
        "add_header" | "add_trailer" => 1..end,
        _ => return None,
    };
    let text = words.get(range.clone()).filter(|text| text.len() > 1)?.join(" ");
    // Quotes around single words of the value, as in `'self'`, become part of it, unless the word needs them.
    let is_plain = !text.contains('"');
    let text = d.args.get(range.clone())?.iter().map(|word| match word.quoted {
        true if is_plain && syntax::quoted(&word.str()) == word.str() => format!("'{}'", word.str()),
        _ => word.str().into_owned(),
    });
    let text = syntax::in_quotes(&text.collect::<Vec<_>>().join(" "));
    let before = d.args.get(..range.start)?.iter().map(|word| syntax::as_written(word) + " ").collect::<String>();
    let after =
        d.args.get(range.end..)?.iter().map(|word| format!(" {}", syntax::as_written(word))).collect::<String>();
    let span = d.args.get(range.start + 1)?.span.to(d.args.get(range.end - 1)?.span);
    Some((span, format!("a value with spaces needs quotes: {name} {before}{text}{after};")))
}

/// Directives with one argument that may be repeated.
const REPEATED: [&str; 7] =
    ["env", "allow", "deny", "include", "set_real_ip_from", "proxy_hide_header", "proxy_pass_header"];

fn of_block(d: &Directive) -> Option<String> {
    let name = d.name.str();
    let first = d.args.first().map(Word::str);
    Some(match (&*name, first) {
        ("server", Some(first)) => format!("names go inside: server {{ server_name {first}; … }}"),
        ("http" | "events" | "types", Some(_)) => format!("nothing comes before its brace: {name} {{ … }}"),
        ("upstream", Some(_)) if d.args.len() > 1 => {
            let words: Vec<_> = d.args.iter().map(Word::str).collect();
            format!("the name of a group is one word: upstream {} {{ … }}", words.join("_"))
        }
        ("map" | "geo" | "split_clients", Some(_)) if is_joined_source(d) => {
            let (name, source) = d.args.split_last()?;
            let source: String = source.iter().map(Word::str).collect();
            format!("values that are looked up together are one word: {} {source} {} {{ … }}", d.name.str(), name.str())
        }
        ("upstream", None) => "a group has a name: upstream backend { … }".into(),
        ("location", None) => "a location has a path: location / { … }".into(),
        ("location", Some(tilde)) if tilde == "~" && d.args.get(1).is_some_and(|word| word.is("*")) => {
            let rest = syntax::line(d.args.iter().skip(2));
            format!("the modifier contains no space: location ~* {rest} {{ … }}")
        }
        ("location", Some(sign)) if d.args.len() == 3 && sign.starts_with('~') => {
            let rest = d.args.iter().skip(1).map(|word| word.str().into_owned()).collect::<String>();
            format!("a regex with spaces needs quotes: location {sign} {rest} {{ … }}")
        }
        ("location", Some(_)) => "a location has one path; write two, or a regex: location ~ ^/(a|b)/ { … }".into(),
        ("if", None) => "a condition is written in parentheses: if ($request_method = POST) { … }".into(),
        _ => return examples::of(&name).map(|example| format!("as in: {example}")),
    })
}

/// `map $host $uri $name`: two values before the name of the variable.
fn is_joined_source(d: &Directive) -> bool {
    d.args.len() == 3 && d.args.iter().all(|word| word.bytes().starts_with(b"$"))
}

/// Directives with one help for every value that they refuse.
const SENTENCES: [(&str, &str); 4] = [
    ("gzip_http_version", "gzip_http_version 1.1; (the lowest version that may be compressed)"),
    ("ssl_session_cache", "as in: ssl_session_cache shared:SSL:10m; (or off, none, builtin)"),
    ("gzip_comp_level", "1 is fast, 9 is small: gzip_comp_level 5;"),
    ("keepalive", "the number of idle connections to keep: keepalive 32;"),
];

/// The fault with help for that value if there is one, otherwise with its own help.
pub fn with_remedy(d: &Directive, fault: Fault) -> Fault {
    let help = of_value(d, &fault).or(fault.help);
    Fault { help, ..fault }
}

/// The help for an argument whose value the directive does not accept.
pub fn of_value(d: &Directive, fault: &Fault) -> Option<String> {
    let name = d.name.str();
    // Any value may contain a malformed variable.
    if fault.message.starts_with("the closing bracket in ") || fault.message == "invalid variable name" {
        return None;
    }
    let at = d.args.iter().position(|word| word.span == fault.span).unwrap_or(0);
    let word = d.args.get(at)?;
    let text = word.str();
    let sentence = || SENTENCES.iter().find(|(of, _)| *of == name).map(|(_, sentence)| (*sentence).to_owned());
    let known = split_words::joined(d, at).or_else(|| siblings::of_value(d, &fault.message, &text)).or_else(sentence);
    if known.is_some() {
        return known;
    }
    match &*name {
        "proxy_pass" if fault.message.contains("cannot have URI part") => {
            let host = text.split("://").nth(1)?.split('/').next()?;
            let scheme = text.split(':').next()?;
            Some(format!("write it without a URI: proxy_pass {scheme}://{host}; (`rewrite` changes the URI before)"))
        }
        "proxy_pass" => addresses::url(&text),
        "fastcgi_pass" | "scgi_pass" | "uwsgi_pass" => addresses::gateway(&name, &text),
        "allow" | "deny" | "set_real_ip_from" => addresses::network(&name, &text),
        "resolver" => addresses::resolver(&text),
        "return" => statuses::answer(d, &text),
        "rewrite" => flag_first(d).or_else(|| flag(&text)),
        "add_header" | "add_trailer" if fault.help.is_none() => of_text(d).map(|(_, help)| help),
        "dav_access" | "upload_store_access" => access(&name, &text),
        "limit_conn" => rates::connections(d),
        "user" => user(&text),
        "ssl_verify_client" if matches!(&*text, "yes" | "true" | "required" | "require" | "1") => {
            Some("did you mean \"on\"?".into())
        }
        "error_page" => statuses::error_page(d),
        "allowed_methods" | "dav_methods" | "limit_except" if text.contains(['|', '/', ',']) => Some(each_word(d)),
        "listen" => addresses::listen(d, word, &fault.message),
        "server" if text.starts_with('/') => addresses::peer(d, word),
        "server" if fault.message.starts_with("host not found") && addresses::named_peer(d).is_none() => Some(
            "an address, or a name that the system can look up now; with `resolve`, one that can be looked up later"
                .into(),
        ),
        "server" => addresses::peer(d, word),
        "limit_req_zone" | "limit_conn_zone" => rates::zone(d),
        "limit_rate" | "limit_rate_after" | "proxy_limit_rate" => rates::rate(&name, &text),
        "error_log" if text.contains('/') && level_of(&d.args).is_some() => {
            Some(format!("the path comes first: error_log {text} {};", level_of(&d.args)?))
        }
        "error_log" | "limit_req_log_level" | "limit_conn_log_level" => level(&text),
        "location" => modifier(d, &text),
        "ssl_protocols" => protocol(&text),
        "server_name" => addresses::name(d, &text),
        "expires" => {
            let words: Vec<_> = d.args.iter().map(Word::str).collect();
            expires(&words.concat())
        }
        _ if name.ends_with("_buffers") => buffers(d),
        _ => near_off(&text),
    }
}

/// `GET|POST`, `GET/POST`
fn each_word(d: &Directive) -> String {
    let words = written(&d.args).replace(['|', '/', ','], " ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("words are separated by spaces: {} {words};", d.name.str())
}

/// `rewrite permanent ^/old$ /new;`
fn flag_first(d: &Directive) -> Option<String> {
    let [flag, rest @ ..] = &d.args[..] else { return None };
    let is_flag = ["last", "break", "redirect", "permanent"].iter().any(|known| flag.is(known));
    (is_flag && rest.len() == 2).then(|| format!("the flag comes last: rewrite {} {};", syntax::line(rest), flag.str()))
}

fn flag(text: &str) -> Option<String> {
    let inside = text.trim_matches(['[', ']']).to_ascii_lowercase();
    let flags: Vec<&str> = inside.split(',').collect();
    if let Some(code) = flags.iter().find_map(|flag| match *flag {
        "f" => Some(403),
        "g" => Some(410),
        _ => None,
    }) {
        return Some(format!("Apache's {text} is `return {code};` in a location or an `if`"));
    }
    let redirect = flags.iter().copied().find(|flag| *flag == "r" || flag.starts_with("r="));
    let meant = match redirect.unwrap_or(flags.first()?) {
        "301" | "r=301" => "permanent",
        "302" | "r=302" | "r" => "redirect",
        "l" | "end" => "last",
        word => suggest::nearest(word, ["last", "break", "redirect", "permanent"])?,
    };
    Some(format!("did you mean \"{meant}\"?"))
}

/// The log level in place of the path.
fn level_of(words: &[Word]) -> Option<String> {
    let first = words.first()?.str();
    Level::NAMES.contains(&&*first).then(|| first.into_owned())
}

fn level(text: &str) -> Option<String> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "err" => "error",
        "critical" | "fatal" => "crit",
        "verbose" | "trace" => "debug",
        word => suggest::nearest(word, Level::NAMES.into_iter().rev())?,
    };
    Some(format!("did you mean \"{meant}\"?"))
}

/// Permissions as octal numbers or in other words.
fn access(name: &str, text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0').trim_start_matches('o');
    if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let words = ["user", "group", "all"].iter().zip(digits.bytes()).filter_map(|(whose, digit)| match digit & 6 {
            6 => Some(format!("{whose}:rw")),
            4 => Some(format!("{whose}:r")),
            _ => None,
        });
        return Some(format!("rights are words: {name} {};", words.collect::<Vec<_>>().join(" ")));
    }
    let (whose, rights) = text.split_once([':', '=']).unwrap_or((text, "rw"));
    let whose = match whose {
        "owner" | "u" => "user",
        "g" => "group",
        "other" | "others" | "o" | "world" | "everyone" => "all",
        whose => suggest::nearest(whose, ["user", "group", "all"]).or((whose == "grp").then_some("group"))?,
    };
    let rights = if rights.contains('w') { "rw" } else { "r" };
    Some(format!("did you mean \"{whose}:{rights}\"? (`user:`, `group:` or `all:`, and `r` or `rw`)"))
}

fn user(text: &str) -> Option<String> {
    let (user, group) = text.split_once([':', '.'])?;
    Some(format!("a user and a group are two words: user {user} {group};"))
}

fn modifier(d: &Directive, text: &str) -> Option<String> {
    let rest = d.args.get(1)?.str();
    if matches!(&*rest, "~" | "~*" | "=" | "^~") && d.args.len() == 2 {
        return Some(format!("the modifier comes first: location {rest} {text} {{ … }}"));
    }
    Some(match text {
        "=~" | "~~" | "regex" => format!("location ~ {rest} {{ … }}"),
        "^" => format!("location ^~ {rest} {{ … }} (a prefix), or location ~ ^{rest} {{ … }} (a regex)"),
        "@" => format!("the name of a location is one word: location @{rest} {{ … }}"),
        "exact" => format!("location = {rest} {{ … }}"),
        "prefix" => format!("location {rest} {{ … }}, or location ^~ {rest} {{ … }}"),
        "*~" | "=~*" | "~i" => format!("location ~* {rest} {{ … }}"),
        "~^" => format!("location ~ ^{rest} {{ … }}, or ^~ for a prefix that no regex overrides"),
        "==" => format!("location = {rest} {{ … }}"),
        "!~" | "!~*" | "!=" => format!("no location is a negation: location ~ ^(?!{rest}) {{ … }}"),
        _ if text.starts_with(['/', '@', '^']) => of_block(d)?,
        _ => return None,
    })
}

fn protocol(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    Some(match digits {
        "1.3" | "13" => "did you mean \"TLSv1.3\"?".into(),
        "1.2" | "12" | "1" => "did you mean \"TLSv1.2\"?".into(),
        _ => "ssl_protocols TLSv1.2 TLSv1.3;".into(),
    })
}

fn expires(text: &str) -> Option<String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if let Some(meant) = value::time_meant(unsigned.as_bytes()) {
        let sign = if text.starts_with('-') { "-" } else { "" };
        return Some(format!("write expires {sign}{meant};"));
    }
    if let Some(time) =
        text.strip_prefix('=').filter(|time| value::time_meant(time.as_bytes()).is_some() || time.ends_with('d'))
    {
        return Some(format!("leave out the `=`: expires {time};"));
    }
    match text.to_ascii_lowercase().as_str() {
        "never" | "forever" => Some("expires max; lets it be kept for ten years".into()),
        "none" | "no" | "disabled" => Some("expires off;".into()),
        "immediately" | "now" => Some("expires -1; or expires epoch;".into()),
        _ => None,
    }
}

fn buffers(d: &Directive) -> Option<String> {
    let [first, second] = &d.args[..] else { return None };
    let is_number = |word: &Word| word.bytes().iter().all(u8::is_ascii_digit);
    (!is_number(first) && is_number(second))
        .then(|| format!("the number comes first: {} {} {};", d.name.str(), second.str(), first.str()))
}

fn near_off(text: &str) -> Option<String> {
    match text {
        "of" | "offf" | "OFf" => Some("did you mean \"off\"?".into()),
        "onn" | "o" => Some("did you mean \"on\"?".into()),
        _ => None,
    }
}
