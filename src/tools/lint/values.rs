//! Literal values that were meant as something else: a file without its slash, a name without its `$`, a capture in
//! another program's syntax.

use super::blocks::{is_of_client, location};
use super::rule::{EVERY, Finding, Rule, RuleContext};
use super::spelling::REQUEST_HEADERS;
use crate::config::ast::{Directive, Word};
use crate::config::context::Contexts;
use crate::config::directives::map::hundredths;
use crate::config::model::Level;
use crate::config::template::Builtin;
use crate::config::{registry, suggest};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W013",
        title: "an argument of try_files that is not a file",
        page: "Arguments of `try_files` are appended to the root as they stand, so a file begins with `/` (or a variable \
               that does): `index.php` looks for /srv/wwwindex.php. A status (`=404`) and a named location are taken as \
               the last argument only; before it they are names of files.",
        about: &["try_files"],
        check: no_file,
    },
    Rule {
        code: "W014",
        title: "a variable without its $",
        page: "`map http_host $x` compares the word \"http_host\", not the header; a limit whose key is the word \
               `binary_remote_addr` counts all clients together. A variable begins with `$`.",
        about: &[
            "proxy_set_header",
            "fastcgi_param",
            "uwsgi_param",
            "scgi_param",
            "add_header",
            "set",
            "return",
            "access_log",
            "map",
            "split_clients",
            "limit_req_zone",
            "limit_conn_zone",
        ],
        check: without_dollar,
    },
    Rule {
        code: "W015",
        title: "a capture as another program writes it",
        page: "Captures are `$1` to `$9` here. `\\1` (sed, lighttpd's older forms) and `%1` (Apache) are sent as they stand.",
        about: &["rewrite", "return", "alias", "proxy_pass"],
        check: foreign_capture,
    },
    Rule {
        code: "W016",
        title: "an entry that never matches",
        page: "In `types` a line is a MIME type and extensions without a dot: `text/html html htm;`. In `map` the word \
               `default` names the value for all else; a word that is only like it is a key. A key without `~` is no \
               regex.",
        about: EVERY,
        check: dead_entry,
    },
    Rule {
        code: "W017",
        title: "slashes around a regex",
        page: "A regex stands alone: `location ~ \\.php$`. In `~ /\\.php$/` the slashes are part of it, and nothing follows \
               the end of a path, so it never matches. Letter case is ignored by `~*`, not by an `i` at the end.",
        about: &["location", "rewrite"],
        check: delimiters,
    },
    Rule {
        code: "W018",
        title: "a log format of another server",
        page: "`%h` and `%{Referer}i` are Apache's; here they are written to the log as they stand. Variables begin with \
               `$`: $remote_addr, $request, $status, $http_referer.",
        about: &["log_format"],
        check: foreign_format,
    },
    Rule {
        code: "W019",
        title: "a value that is nearly a keyword",
        page: "`upload_filename` takes `original`, `random`, `time` or a name with variables. A word that is only nearly one \
               of the three is a name: every upload is stored under it. `error_log warn` writes to a file called \"warn\": \
               the path comes first, then the level. `auth_basic Off` asks for a password in the name of \"Off\".",
        about: &["auth_basic", "error_log", "upload_filename"],
        check: near_keyword,
    },
];

fn no_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("try_files") {
        return;
    }
    let Some((last, files)) = cx.d.args.split_last() else { return };
    // The line swallowed the next one because its `;` is missing, which is reported elsewhere.
    let is_directive = |word: &Word| {
        registry::find(&word.str(), Contexts::LOCATION)
            .is_some_and(|found| found.contexts().intersects(Contexts::LOCATION))
    };
    if cx.d.args.iter().any(is_directive) {
        return;
    }
    if let [first, second, ..] = files
        && first.bytes().starts_with(b"/index.")
        && second.bytes().starts_with(b"$uri")
    {
        let message = format!("\"{}\" is tried first: if it exists, it answers every request", first.str());
        let rest: Vec<_> = files.iter().skip(1).chain([first]).map(Word::str).collect();
        let help = format!("put it behind what was asked for: try_files {} {};", rest.join(" "), last.str());
        found.push(Finding::new(first.span, message, help));
    }
    for word in files {
        let text = word.str();
        let status =
            text.strip_prefix('=').filter(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit()));
        if status.is_some() || text.starts_with('@') {
            found.push(Finding::new(
                word.span,
                format!("\"{text}\" is a file's name here: only the last argument is more than that"),
                format!("put {text} last, or leave it out"),
            ));
        } else if text.contains("$uri$uri") {
            let message = format!("\"{text}\" is one name of a file: the path twice");
            let help = format!("each file is a word of its own: {}", text.replace("$uri$uri", "$uri $uri"));
            found.push(Finding::new(word.span, message, help));
        } else if let Some(start) = root_twice(&text) {
            let message = format!("\"{text}\" is looked for below the root, where {start} stands once more");
            let help = format!("leave it out: {}", within_root(&text, start));
            found.push(Finding::new(word.span, message, help));
        } else if word.quoted && text.contains(" $") {
            let each = text.replace(' ', "`, `");
            let message = format!("\"{text}\" is one name of a file, with a space in it");
            found.push(Finding::new(word.span, message, format!("write them without the quotes: `{each}`")));
        } else if !(is_dummy(&text) && last.bytes().starts_with(b"@")) {
            found.extend(slashless(word));
        }
    }
    if !last.bytes().starts_with(b"@") && !last.bytes().starts_with(b"=") {
        found.extend(slashless(last));
    }
}

/// The variable of the root, with which a file of `try_files` begins.
fn root_twice(text: &str) -> Option<&'static str> {
    ["$document_root", "$realpath_root", "$request_filename"].into_iter().find(|name| text.starts_with(name))
}

fn within_root(text: &str, start: &str) -> String {
    let rest = text.get(start.len()..).unwrap_or_default();
    if start == "$request_filename" || rest.is_empty() { format!("$uri{rest}") } else { rest.to_owned() }
}

/// `try_files none @app;`: a deliberately missing file.
fn is_dummy(text: &str) -> bool {
    !text.contains(['.', '/', '|']) && Builtin::of(text).is_none()
}

fn slashless(word: &Word) -> Option<Finding> {
    let text = word.str();
    // Commas and statuses are reported elsewhere.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/?$={}".contains(&byte)) || text == "|";
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    // `_` is commonly used for a file that does not exist.
    if text.is_empty()
        || text == "_"
        || text.starts_with(['/', '$', '=', '@'])
        || !is_plain
        || is_code
        || text.contains("://")
    {
        return None;
    }
    let bare = text.trim_end_matches('/');
    if text == "|" {
        let message = "\"|\" is a file's name here: files are looked for one after the other";
        return Some(Finding::new(word.span, message, "remove it: try_files $uri /index.html;"));
    }
    let meant = match Builtin::of(bare).is_some() {
        true => format!("${text}"),
        false => format!("/{text}"),
    };
    let message = format!("\"{text}\" is appended to the root without a slash between them");
    Some(Finding::new(word.span, message, format!("did you mean \"{meant}\"?")))
}

fn without_dollar(cx: &RuleContext, found: &mut Vec<Finding>) {
    let first = match cx.name() {
        b"proxy_set_header" | b"fastcgi_param" | b"uwsgi_param" | b"scgi_param" | b"add_header" | b"set" => {
            return found.extend(plain_value(cx));
        }
        b"return" => return found.extend(plain_host(cx)),
        b"access_log" => return found.extend(plain_condition(cx)),
        b"map" | b"split_clients" | b"limit_req_zone" | b"limit_conn_zone" => cx.d.args.first(),
        _ => None,
    };
    let Some(word) = first.filter(|word| !word.bytes().contains(&b'$')) else { return };
    let text = word.str();
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_known = Builtin::of(&text).is_some() || is_of_client(&text);
    if is_name && (is_known || cx.is("map")) {
        found.push(Finding::new(
            word.span,
            format!("\"{text}\" is a fixed word here, the same for every request"),
            format!("a variable begins with $: did you mean \"${text}\"?"),
        ));
    }
}

/// `access_log logs/a combined if=loggable;`
fn plain_condition(cx: &RuleContext) -> Option<Finding> {
    let word = cx.d.args.iter().find(|word| word.bytes().starts_with(b"if="))?;
    let text = word.str();
    let name = text.strip_prefix("if=").filter(|name| !name.is_empty() && !name.contains('$'))?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let message = format!("\"{name}\" is a fixed word here: the condition is the same for every request");
    let help = format!("a variable begins with $: did you mean \"if=${name}\"?");
    // `if=0` and `if=1` are W361's.
    (is_name && name != "0" && name != "1").then(|| Finding::new(word.part(3, text.len()), message, help))
}

/// `proxy_set_header X-Real-IP remote_addr`: the name of a variable in place of its value.
fn plain_value(cx: &RuleContext) -> Option<Finding> {
    let [key, value, ..] = &cx.d.args[..] else { return None };
    let text = value.str();
    let is_header = |name: &str| key.bytes().eq_ignore_ascii_case(name.as_bytes());
    let is_meant = match &*text {
        "host" => cx.is("proxy_set_header") && is_header("host"),
        "scheme" => is_header("x-forwarded-proto") || is_header("x-scheme"),
        _ if cx.is("set") && key.bytes().get(1..) == Some(value.bytes()) => false,
        name => {
            // Other words in `http_` are names of their own: `http_backend`.
            let names_a_header = || name.strip_prefix("http_").is_some_and(|header| REQUEST_HEADERS.contains(&header));
            // `set` may store any word.
            name.contains('_') && (Builtin::of(name).is_some() || !cx.is("set") && names_a_header())
        }
    };
    if let Some(part) = path_part(cx, &text) {
        let at = text.find(part).unwrap_or_default();
        let message = format!("\"{part}\" is a fixed word here, the same for every request");
        let help =
            format!("a variable begins with $: did you mean \"{}\"?", text.replacen(part, &format!("${part}"), 1));
        return Some(Finding::new(value.part(at, at + part.len()), message, help));
    }
    let names_upstream = || cx.levels.iter().any(|level| level.has_upstream(value.bytes()));
    (is_meant && !names_upstream()).then(|| {
        Finding::new(
            value.span,
            format!("\"{text}\" is a fixed word here, the same for every request"),
            format!("a variable begins with $: did you mean \"${text}\"?"),
        )
    })
}

/// `fastcgi_param SCRIPT_FILENAME /srv/www/fastcgi_script_name`: a variable's name as a part of a path.
fn path_part<'t>(cx: &RuleContext, text: &'t str) -> Option<&'t str> {
    let is_path = cx.name().ends_with(b"_param") && text.contains('/');
    let mut parts = text.split('/').filter(|_| is_path);
    parts.find(|part| matches!(*part, "fastcgi_script_name" | "document_root" | "document_uri" | "request_uri"))
}

/// `return 301 https://host$request_uri`, `… https://a.test/request_uri`.
fn plain_host(cx: &RuleContext) -> Option<Finding> {
    let word = cx.d.args.last()?;
    let text = word.str();
    let (scheme, rest) = text.split_once("://")?;
    if rest.starts_with('$')
        && let Some(host) = rest.strip_suffix("/request_uri").filter(|host| !host.contains(['/', '?']))
    {
        let message = "\"request_uri\" is a fixed word here, the same for every request";
        let help = format!("a variable begins with $: did you mean \"{scheme}://{host}$request_uri\"?");
        return Some(Finding::new(word.span, message, help));
    }
    let end = rest.find(['/', '$', ':', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end)?;
    let (plain, meant) = match (host, path) {
        ("host" | "http_host" | "server_name", _) => (host, format!("{scheme}://${rest}")),
        (_, "/request_uri") => ("request_uri", format!("{scheme}://{host}$request_uri")),
        _ => return None,
    };
    let message = format!("\"{plain}\" is a fixed word here, the same for every request");
    Some(Finding::new(word.span, message, format!("a variable begins with $: did you mean \"{meant}\"?")))
}

fn foreign_capture(cx: &RuleContext, found: &mut Vec<Finding>) {
    let word = match (cx.name(), &cx.d.args[..]) {
        (b"rewrite", [_, word, ..]) | (b"return", [_, word]) | (b"alias" | b"proxy_pass", [word]) => word,
        _ => return,
    };
    let text = word.str();
    let bytes = text.as_bytes();
    let is_foreign = |at: &usize| {
        let digit = bytes.get(at + 1).is_some_and(|byte| (b'1'..=b'9').contains(byte));
        match bytes.get(*at) {
            Some(b'\\') => digit,
            // `%1F` is an encoded byte.
            Some(b'%') => digit && !bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit),
            _ => false,
        }
    };
    if let Some(at) = (0..bytes.len()).find(is_foreign) {
        let (written, digit) = (text.get(at..at + 2).unwrap_or_default(), text.get(at + 1..at + 2).unwrap_or_default());
        found.push(Finding::new(
            word.span,
            format!("\"{written}\" is sent as it stands: it is no capture here"),
            format!("did you mean \"{}\"?", text.replacen(written, &format!("${digit}"), 1)),
        ));
    }
}

/// A wildcard key in a map without `hostnames`, and a `*` in split_clients when nothing is left.
fn dead_choice(cx: &RuleContext, block: &Directive, found: &mut Vec<Finding>) {
    if !block.name.is("map") && !block.name.is("split_clients") {
        return;
    }
    let name = cx.d.name.str();
    let of_hosts = block.args.first().is_some_and(|word| word.str().ends_with("host"));
    let has_star = name.starts_with("*.") || name.ends_with(".*") && !name.starts_with('~');
    if block.name.is("map") && of_hosts && has_star && !cx.level().has("hostnames") {
        let message = format!("\"{name}\" is compared as it stands: no host has a `*` in its name");
        found.push(Finding::new(cx.d.name.span, message, "add to this map: hostnames;"));
    }
    let is_host = block.args.first().is_some_and(|word| word.is("$host") || word.is("$http_host"));
    if let Some(host) = name
        .split('/')
        .next()
        .filter(|host| !host.is_empty() && is_host && name.contains('/') && !name.starts_with('~'))
    {
        let message = format!("\"{name}\" never matches: no host has a `/` in its name");
        found.push(Finding::new(cx.d.name.span, message, format!("did you mean \"{host}\"?")));
    }
    if block.name.is("split_clients") && name == "*" && cx.is_first("*") {
        let all: u32 = cx.level().all.iter().filter_map(|line| hundredths(line.name.bytes())).sum();
        if all >= 10_000 {
            let message = "`*` is what the shares before it leave, which is nothing: they are 100 % together";
            found.push(Finding::new(cx.d.name.span, message, "make a share smaller, or remove this line"));
        }
    }
}

/// An entry of `types` that no file has.
fn dead_extension(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_type = cx.name().contains(&b'/');
    for word in &cx.d.args {
        let text = word.str();
        if let Some(bare) = text.strip_prefix('.').filter(|bare| !bare.is_empty()) {
            let message = format!("no file has the extension \"{text}\": it is written without the dot");
            found.push(Finding::new(word.span, message, format!("did you mean \"{bare}\"?")));
        } else if !is_type && text.contains('/') {
            let help = format!("the type comes first: {text} {};", cx.d.name.str());
            found.push(Finding::new(cx.d.name.span, "this is an extension, not a MIME type", help));
            return;
        }
    }
}

fn dead_entry(cx: &RuleContext, found: &mut Vec<Finding>) {
    if ["gzip_types", "ssi_types", "charset_types", "sub_filter_types", "addition_types"].iter().any(|name| cx.is(name))
    {
        let part = |word: &&Word| word.len() > 1 && word.bytes().contains(&b'*');
        if let Some(word) = cx.d.args.iter().find(part) {
            let message =
                format!("\"{}\" is no type: `*` stands for all of them only where it stands alone", word.str());
            let help = "name each: text/plain text/css application/javascript application/json image/svg+xml";
            found.push(Finding::new(word.span, message, help));
        }
        return;
    }
    let Some(block) = cx.blocks.last() else { return };
    dead_choice(cx, block, found);
    if block.name.is("types") {
        dead_extension(cx, found);
    }
    if !block.name.is("map") {
        return;
    }
    if cx.name().starts_with(b"~")
        && let Some(first) = cx.level().first(&cx.d.name.str()).filter(|first| *first < cx.at)
    {
        let message = format!("\"{}\" is never taken: the same regex stands above it", cx.d.name.str());
        let finding = Finding::new(cx.d.name.span, message, "remove one, or make their regexes differ");
        found.push(finding.note(cx.level().all[first].span, "the first one"));
    }
    let key = cx.d.name.str();
    // A literal key may contain characters that are special in a regex, but hardly begins with `^` or ends in `$`. Of
    // `hostnames`, `www.example.*` is one.
    let is_regex = key.len() > 2
        && (key.starts_with('^')
            || key.ends_with('$') && !key.starts_with('$')
            || key.strip_suffix(".*").unwrap_or(&key).contains(".*"))
        && !key.starts_with('~');
    if cx.d.args.len() == 1 && is_regex {
        let message = format!("\"{key}\" looks like a regex, but is compared as plain text");
        found.push(Finding::new(cx.d.name.span, message, format!("a regex begins with `~`: ~{key}")));
    }
    let prefix = key.strip_suffix('*').filter(|prefix| prefix.starts_with('/') && !is_regex);
    if let Some(prefix) = prefix.filter(|_| cx.d.args.len() == 1) {
        let message = format!("\"{key}\" is compared as plain text: `*` stands for itself");
        found.push(Finding::new(cx.d.name.span, message, format!("a regex begins with `~`: ~^{prefix}")));
    }
    if cx.d.args.len() == 1 && !cx.level().has("default") {
        let text = cx.d.name.str();
        // A colon behind it is reported by the parser of the table.
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphabetic());
        if is_word && text != "default" && suggest::nearest(&text, ["default"]).is_some() {
            let message = format!("\"{text}\" is a key like any other");
            found.push(Finding::new(cx.d.name.span, message, "did you mean \"default\"?"));
        }
    }
}

fn delimiters(cx: &RuleContext, found: &mut Vec<Finding>) {
    let word = match location(cx.d) {
        Some((modifier, word)) if modifier.starts_with(b"~") => word,
        _ => match cx.d.args.first() {
            Some(word) if cx.is("rewrite") => word,
            _ => return,
        },
    };
    let text = word.str();
    let tail = ["$/", "$/i"].iter().find(|tail| text.ends_with(**tail));
    if !(tail.is_some() || text.starts_with("/^")) {
        return;
    }
    let bare = tail.map_or(&*text, |tail| text.strip_suffix(&tail[1..]).unwrap_or(&text));
    let bare = if text.starts_with("/^") || tail.is_some() { bare.strip_prefix('/').unwrap_or(bare) } else { bare };
    found.push(Finding::new(
        word.span,
        format!("\"{text}\" never matches: the slashes around it are part of the regex"),
        format!("write it without them: {bare}"),
    ));
}

fn foreign_format(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("log_format") {
        return;
    }
    let signs = ["%h", "%l", "%u", "%t", "%r", "%>s", "%s", "%b", "%O", "%D", "%{"];
    let is_foreign = |word: &&Word| {
        let text = word.str();
        !text.contains('$') && signs.iter().filter(|sign| text.contains(**sign)).count() > usize::from(text.len() > 4)
    };
    if let Some(word) = cx.d.args.iter().skip(1).find(is_foreign) {
        let help =
            "variables begin with $: $remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";
        found.push(Finding::new(word.span, "Apache's signs are written to the log as they stand", help));
    }
}

/// Whether it was meant as `off`, which counts only in lower case.
pub fn is_off(word: &[u8]) -> bool {
    matches!(word, b"off" | b"no" | b"none" | b"false" | b"disable" | b"disabled")
}

fn near_keyword(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let [word] = &cx.d.args[..]
        && cx.is("error_log")
        && Level::NAMES.iter().any(|level| word.is(level))
    {
        let level = word.str();
        let message = format!("this writes to a file called \"{level}\"");
        found.push(Finding::new(
            word.span,
            message,
            format!("the path comes first: error_log logs/error.log {level};"),
        ));
    }
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("auth_basic") && !word.is("off") && is_off(&word.lower()))
    {
        let message = format!("this asks for a password, with \"{}\" as the realm", word.str());
        found.push(Finding::new(word.span, message, "to ask for no password: auth_basic off;"));
    }
    let Some(word) = cx.d.args.first().filter(|_| cx.is("upload_filename")) else { return };
    let text = word.str();
    let words = ["original", "random", "time"];
    if words.iter().any(|known| text == *known) || text.contains(['$', '.']) {
        return;
    }
    let near = suggest::nearest(&text, words);
    let help = near
        .map_or("a variable makes names differ: $request_id".to_owned(), |near| format!("did you mean \"{near}\"?"));
    found.push(Finding::new(word.span, format!("every upload is stored as \"{text}\""), help));
}
