//! Directives without effect, or with another than it seems: checks whose result is not used, addresses and redirects
//! controlled by the client, paths that are the same for every request.

use super::blocks::{authority, below, is_of_client, is_pass, location, variables, variables_below};
use super::regexes::{Captured, captured};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::is_redirect;
use crate::config::ast::{Directive, Word};
use crate::config::suggest;
use crate::util::hash::FastSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W040",
        title: "a map with the key `*`",
        page: "In a `map` the value for all others is called `default`. `*` is a key like any other: the text `*`.",
        about: &["*"],
        check: star_key,
    },
    Rule {
        code: "W041",
        title: "a path that is the same for every request",
        page: "Where the host of `proxy_pass` is a variable, its path is what the upstream is asked for, whatever the client \
               asked for: nothing is appended to it. Leave the path out, or write `$request_uri` behind the host.",
        about: &["proxy_pass"],
        check: constant_path,
    },
    Rule {
        code: "W042",
        title: "real_ip_header without set_real_ip_from",
        page: "No address is trusted to name others, so that the header is never read, and logs and limits see the proxy's \
               address. Name the proxies: `set_real_ip_from 10.0.0.0/8;`.",
        about: &["real_ip_header"],
        check: untrusted_header,
    },
    Rule {
        code: "W043",
        title: "an error that looks like a success",
        page: "With `error_page 500 502 =200 /e.html` a failure is answered with 200: caches keep the page, monitors and \
               programs take it for the answer. Leave the `=200` out.",
        about: &["error_page"],
        check: hidden_error,
    },
    Rule {
        code: "W044",
        title: "a word that is nearly the one meant",
        page: "`valid_referers non` is the name of a host, `charset utf8` a charset that no registry has, and the page of \
               `error_page 404 =;` is called `=`: nothing says so. Write `none`, `utf-8`, and a page behind the `=`.",
        about: &["valid_referers", "add_header", "charset", "error_page"],
        check: nearly,
    },
    Rule {
        code: "W141",
        title: "a check whose result is never used",
        page: "`secure_link`, `valid_referers` and `ssl_verify_client optional` refuse nothing themselves: they set a \
               variable. Ask for it: `if ($secure_link = \"\") { return 403; }`, and for links that expire \
               `if ($secure_link = \"0\") { return 410; }`; `if ($invalid_referer) { return 403; }`; \
               `if ($ssl_client_verify != SUCCESS) { return 403; }`.",
        about: &["secure_link", "valid_referers", "ssl_verify_client"],
        check: unasked,
    },
    Rule {
        code: "W142",
        title: "secure_link_md5 without a secret",
        page: "A hash of what the client knows is one that the client can make. Put a secret word beside the variables: \
               `secure_link_md5 \"$secure_link_expires$uri secret\";`.",
        about: &["secure_link_md5"],
        check: no_secret,
    },
    Rule {
        code: "W143",
        title: "an address or a user as the client wrote it",
        page: "Applications trust X-Real-IP, X-Forwarded-For and names of users as what the proxy found out. Passed on as \
               the client sent them, anyone is who they say. Write `$remote_addr`, `$proxy_add_x_forwarded_for` or \
               `$remote_user`; behind another proxy name it by `set_real_ip_from`.",
        about: &["proxy_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"],
        check: claimed,
    },
    Rule {
        code: "W144",
        title: "a redirect to where the client says",
        page: "A redirect whose host, or its end, comes from the request sends visitors of this site to any other (open \
               redirect). `https://a.test$1` is one too where `$1` need not begin with a slash: `.evil.test` makes it \
               another host. Name the host, and end it with `/`.",
        about: &["return", "rewrite", "upload_return"],
        check: open_redirect,
    },
    Rule {
        code: "W145",
        title: "a page that repeats what the client sent",
        page: "An argument, a header or the decoded path in a text of HTML is run as a script by the browser of anyone who \
               follows a link to it. Send such a text as text/plain.",
        about: &["return", "upload_return"],
        check: reflected,
    },
    Rule {
        code: "W146",
        title: "a proxy that asks itself",
        page: "The upstream is the address that this server listens on, and no other server does: the request comes back \
               until there are no more connections. Name the port of the application.",
        about: &["proxy_pass"],
        check: asks_itself,
    },
    Rule {
        code: "W147",
        title: "the origin `null` is allowed",
        page: "`null` is the origin of every sandboxed frame and local file, so that any site can have it. Name the origins \
               that may read.",
        about: &["add_header"],
        check: null_origin,
    },
];

fn nearly(cx: &RuleContext, found: &mut Vec<Finding>) {
    let meant = |word: &Word| -> Option<String> {
        let text = word.str();
        match cx.name() {
            b"valid_referers" if !text.contains(['.', '~', '*', '/']) => {
                let words = ["none", "blocked", "server_names"];
                (!words.contains(&&*text)).then(|| suggest::nearest(&text, words)).flatten().map(str::to_owned)
            }
            b"add_header" if cx.d.args.get(1).is_some_and(|value| value.span == word.span) => {
                let words: &[&str] = match &cx.d.args.first()?.lower()[..] {
                    b"x-frame-options" => &["SAMEORIGIN", "DENY"],
                    b"x-content-type-options" => &["nosniff"],
                    _ => return None,
                };
                let is_one = words.iter().any(|known| known.eq_ignore_ascii_case(&text));
                // Words with punctuation are reported by another rule.
                let is_word = text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
                (is_word && !is_one)
                    .then(|| suggest::nearest(&text, words.iter().copied()))
                    .flatten()
                    .map(str::to_owned)
            }
            b"charset" if text.contains(',') => text.split(',').next().map(str::to_owned),
            b"charset" => text.eq_ignore_ascii_case("utf8").then(|| "utf-8".to_owned()),
            b"error_page" if text.starts_with('=') && cx.d.args.last().is_some_and(|last| last.span == word.span) => {
                Some(format!("{text} /page"))
            }
            _ => None,
        }
    };
    for (word, meant) in cx.d.args.iter().filter_map(|word| Some((word, meant(word)?))) {
        let message = format!("\"{}\" is taken as it stands", word.str());
        found.push(Finding::new(word.span, message, format!("did you mean \"{meant}\"?")));
    }
}

fn star_key(cx: &RuleContext, found: &mut Vec<Finding>) {
    let in_map = cx.is_in("map");
    if in_map && cx.is("*") && cx.d.args.len() == 1 && !cx.level().has("default") {
        let message = "`*` is a key like any other: it stands for no others";
        found.push(Finding::new(cx.d.name.span, message, "did you mean \"default\"?"));
    }
}

fn constant_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    // `$app/`: the scheme may be part of the variable.
    let rest = text.split_once("://").map_or(&*text, |(_, rest)| rest);
    let Some((host, path)) = rest.find('/').map(|at| rest.split_at(at)) else { return };
    // A regex, or a location without trailing slash, may be meant for a single URI.
    let is_many = cx.location().is_some_and(|(sign, name)| {
        (sign.is_empty() || sign == b"^~") && name.bytes().starts_with(b"/") && name.bytes().ends_with(b"/")
    });
    if !host.contains('$') || path.contains('$') || !path.ends_with('/') || !is_many || cx.level().has("internal") {
        return;
    }
    let message =
        format!("every request asks the upstream for \"{path}\": nothing is appended where the host is a variable");
    let bare = text.strip_suffix(path).unwrap_or(&text);
    let help = match path {
        "/" => format!("leave the path out: proxy_pass {bare};"),
        _ => format!("write what is to be asked for: proxy_pass {bare}{}$request_uri;", path.trim_end_matches('/')),
    };
    found.push(Finding::new(word.span, message, help));
}

fn untrusted_header(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("real_ip_header") || !cx.is_whole {
        return;
    }
    let has = |name: &str| cx.levels.iter().any(|level| level.has(name));
    let trusts = |d: &Directive| d.name.is("set_real_ip_from") || d.name.is("include");
    if !has("set_real_ip_from") && !has("include") && !below(cx.level().all, trusts) {
        let message = "the header is never read: no address is trusted to send it";
        found.push(Finding::new(cx.d.args_span(), message, "add: set_real_ip_from ADDRESS; of the proxy in front"));
    }
}

fn hidden_error(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((page, rest)) = cx.d.args.split_last().filter(|_| cx.is("error_page")) else { return };
    let Some((change, codes)) = rest.split_last() else { return };
    let is_failure = |word: &Word| word.len() == 3 && word.bytes().starts_with(b"5");
    // If something answers in its place, 200 may be correct.
    let level = cx.level();
    let is_answered = || level.passing.get_or_init(|| passing(level.all)).contains(page.bytes());
    let is_page = page.bytes().starts_with(b"/");
    if change.is("=200") && !codes.is_empty() && codes.iter().all(is_failure) && is_page && !is_answered() {
        let message = "a failure is answered with 200: caches and programs take the page for the answer";
        let codes: Vec<_> = codes.iter().map(Word::str).collect();
        let help = format!("write: error_page {} {};", codes.join(" "), page.str());
        found.push(Finding::new(change.span, message, help));
    }
}

/// The names of locations at this level and below that pass requests on.
fn passing(all: &[Directive]) -> FastSet<&[u8]> {
    let mut names = FastSet::default();
    below(all, |d| {
        let name = location(d).filter(|_| d.block.iter().flatten().any(|d| is_pass(&d.name.str())));
        names.extend(name.map(|(_, name)| name.bytes()));
        false
    });
    names
}

fn unasked(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (variable, help) = match (cx.name(), cx.d.args.first()) {
        (b"secure_link", Some(_)) => ("secure_link", "add: if ($secure_link = \"\") { return 403; }"),
        (b"valid_referers", Some(_)) => ("invalid_referer", "add: if ($invalid_referer) { return 403; }"),
        (b"ssl_verify_client", Some(word)) if word.is("optional") || word.is("optional_no_ca") => {
            ("ssl_client_", "add: if ($ssl_client_verify != SUCCESS) { return 403; }, or write `on`")
        }
        _ => return,
    };
    let Some(outermost) = cx.levels.first() else { return };
    let names = outermost.variables.get_or_init(|| variables_below(outermost.all));
    let is_read = match variable.ends_with('_') {
        true => names.iter().any(|name| name.starts_with(variable)),
        false => names.contains(variable),
    };
    // An included or missing file may use it.
    if !cx.is_whole || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    if !is_read {
        let message = format!("\"{}\" refuses nothing: no line asks what it found", cx.d.name.str());
        return found.push(Finding::new(cx.d.name.span, message, help));
    }
    let expires = cx.is("secure_link") && cx.d.args.iter().any(|word| word.bytes().contains(&b','));
    if expires {
        let asked = outermost.ifs_about("$secure_link");
        let is_first_half = |block: &&Directive| {
            let text: String = block.args.iter().skip(1).map(|word| word.str().into_owned()).collect();
            text.trim_matches([')', '"', '\'']) == "="
        };
        if !asked.is_empty() && asked.iter().all(is_first_half) && !outermost.below().maps_secure_link {
            let message = "links that have expired are let in: $secure_link is \"0\" for them, not empty";
            found.push(Finding::new(cx.d.args_span(), message, "add: if ($secure_link = \"0\") { return 410; }"));
        }
    }
}

/// Whether a client knows this value of its own request.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 9] = [
        "uri",
        "request_uri",
        "document_uri",
        "args",
        "remote_addr",
        "host",
        "scheme",
        "request_method",
        "secure_link_expires",
    ];
    KNOWN.contains(&name) || is_of_client(name)
}

fn no_secret(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("secure_link_md5")) else { return };
    let text = word.str();
    let mut fixed = text.replace(['{', '}'], "");
    let names = variables(&text);
    for name in &names {
        fixed = fixed.replacen(&format!("${name}"), "", 1);
    }
    if names.iter().all(|name| is_known(name)) && !fixed.contains(|c: char| c.is_ascii_alphanumeric()) {
        let message = "nothing in it is secret: who reads one link can make others";
        let help = format!("add a secret word: secure_link_md5 \"{text} SECRET\";");
        found.push(Finding::new(word.span, message, help));
    }
}

fn claimed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value] = &cx.d.args[..] else { return };
    let header = name.str().to_ascii_lowercase();
    let is_param = ["fastcgi_param", "uwsgi_param", "scgi_param"].iter().any(|param| cx.is(param));
    let is_address = header == "x-real-ip" || header == "x-forwarded-for" || is_param && header == "remote_addr";
    let is_user = header.ends_with("remote-user") || is_param && header == "remote_user";
    let text = value.str();
    let is_sent = text.starts_with("$http_") && variables(&text).len() == 1;
    let is_behind = cx.levels.iter().any(|level| level.has("set_real_ip_from"));
    if !cx.is("proxy_set_header") && !is_param || !is_sent || is_behind || !(is_address || is_user) {
        return;
    }
    let right = match &*header {
        "x-real-ip" | "remote_addr" => "$remote_addr",
        "x-forwarded-for" => "$proxy_add_x_forwarded_for",
        _ => "$remote_user",
    };
    let message = format!("{text} is what the client wrote: the upstream takes it for what this server found out");
    found.push(Finding::new(value.span, message, format!("write: {} {} {right};", cx.d.name.str(), name.str())));
}

fn open_redirect(cx: &RuleContext, found: &mut Vec<Finding>) {
    let word = match (cx.name(), &cx.d.args[..]) {
        (b"return" | b"upload_return", [code, url]) if is_redirect(code) => url,
        (b"rewrite", [_, url, flag]) if flag.is("redirect") || flag.is("permanent") => url,
        (b"rewrite", [_, url]) if url.bytes().starts_with(b"http") => url,
        _ => return,
    };
    let text = word.str();
    let of_request = |name: &str| name.starts_with("arg_") || name.starts_with("cookie_");
    let host = authority(&text);
    let first = variables(&text).into_iter().next();
    // `/$arg_next`: `//evil.test` is a host.
    let at_start = text.strip_prefix('/').unwrap_or(&text);
    if let Some(name) = first.filter(|name| of_request(name))
        && (at_start.starts_with('$') || variables(host).contains(&name))
    {
        let message = format!("the client chooses by ${name} where visitors of this site are sent");
        return found.push(Finding::new(word.span, message, "name the host, or let a `map` allow a fixed set"));
    }
    if let Some(name) = whole_capture(&text)
        && !cx.is("rewrite")
        && captured(cx, name).is_some_and(|held| matches!(held, Captured::NoLineEnd | Captured::Anything))
        && may_begin_without_slash(cx)
    {
        let message = format!("the path chooses by ${name} where visitors of this site are sent");
        return found.push(Finding::new(word.span, message, format!("stay on this site: /${name}, or name the host")));
    }
    let Some((before, digit)) = host.split_once('$').filter(|(before, _)| before.contains('.')) else { return };
    let Some(name) = digit.chars().next().filter(char::is_ascii_digit).map(String::from) else { return };
    let is_open = captured(cx, &name).is_some_and(|held| matches!(held, Captured::NoLineEnd | Captured::Anything));
    if text.contains("://") && is_open && may_begin_without_slash(cx) {
        let message = format!("${name} need not begin with a slash: \".evil.test\" makes \"{before}\" another host");
        let help = format!("end the host: {}", text.replacen(&format!("{before}$"), &format!("{before}/$"), 1));
        found.push(Finding::new(word.span, message, help));
    }
}

/// A URL that consists of exactly one group: `$1`.
fn whole_capture(url: &str) -> Option<&str> {
    url.strip_prefix('$').filter(|digit| digit.len() == 1 && digit.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether the first group of the regex of this rewrite, or of the enclosing `if` or location, may match text without a
/// leading slash: `^/r(.*)$`, but not `^(.*)$` or `^/r(/.*)$`.
fn may_begin_without_slash(cx: &RuleContext) -> bool {
    let own = cx.d.args.first().filter(|_| cx.is("rewrite"));
    let of_if = cx.blocks.last().filter(|block| block.name.is("if")).and_then(|block| block.args.get(2));
    let Some(regex) = own.or(of_if).or_else(|| Some(cx.location()?.1)) else { return false };
    let text = regex.str();
    let Some((before, group)) = text.split_once('(') else { return false };
    let group = group.trim_start_matches("?:");
    !matches!(before, "" | "^") && !group.starts_with('/') && !group.starts_with("\\/")
}

fn reflected(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, word] = &cx.d.args[..] else { return };
    if !cx.is("return") && !cx.is("upload_return") || is_redirect(code) {
        return;
    }
    let text = word.str();
    let is_field = |name: &str| name.starts_with("upload_field_") || name == "upload_file_name";
    let is_repeated = |name: &String| matches!(&**name, "uri" | "document_uri") || is_of_client(name) || is_field(name);
    let Some(name) = variables(&text).into_iter().find(is_repeated) else { return };
    let is_html = |word: &Word| word.bytes().to_ascii_lowercase().starts_with(b"text/html");
    let of_level = cx.levels.iter().rev().find_map(|level| {
        let own = level.first_of("default_type").and_then(|d| d.args.first());
        own.or_else(|| level.field("content-type").and_then(|d| d.args.get(1)))
    });
    if of_level.is_some_and(is_html) {
        let message = format!("${name} is a part of this page as the client sent it, scripts as well");
        found.push(Finding::new(word.span, message, "send it as text: default_type text/plain;"));
    }
}

fn asks_itself(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let takes_all = cx
        .blocks
        .last()
        .and_then(|block| location(block))
        .is_some_and(|(sign, name)| (sign.is_empty() || sign == b"^~") && name.is("/"));
    let Some(address) = text.strip_prefix("http://") else { return };
    // Without a URI part the path comes back as it is, and to the same location, unless it is internal: that is 404.
    let is_changed = || address.contains('/') || ["rewrite", "internal"].iter().any(|name| cx.level().has(name));
    if !takes_all && (is_changed() || !cx.is_in("location")) {
        return;
    }
    let address = address.trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") || cx.level().has("if") {
        return;
    }
    let port_of = |listen: &Directive| {
        let word = listen.args.first().map(|word| word.str().into_owned()).unwrap_or_default();
        let is_own =
            word.starts_with(host) || !word.contains(':') || word.starts_with("*:") || word.starts_with("0.0.0.0:");
        word.rsplit(':').next().filter(|_| is_own).map(str::to_owned)
    };
    let own = cx.inside("server").map(|server| server.all).unwrap_or_default();
    let is_meant = |d: &&Directive| d.name.is("listen") && port_of(d).is_some_and(|own| own == port);
    let is_only = || {
        cx.inside("http").is_some_and(|http| {
            let servers = http.all.iter().filter(|d| d.name.is("server"));
            let meant = servers.filter(|d| d.block.iter().flatten().any(|d| is_meant(&d)));
            // Only if a single server matches.
            meant.take(2).count() == 1 && !http.has("include")
        })
    };
    if let Some(listen) = own.iter().find(is_meant).filter(|_| is_only()) {
        let message = format!("{host}:{port} is this server itself: the request comes back without end");
        let finding = Finding::new(word.span, message, "name the address of the application");
        found.push(finding.note(listen.span, "it listens there"));
    }
}

fn null_origin(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_one = cx.is("add_header") && name.bytes().eq_ignore_ascii_case(b"access-control-allow-origin");
    if is_one && value.bytes().eq_ignore_ascii_case(b"null") {
        let message = "any site can have the origin `null`";
        found.push(Finding::new(value.span, message, "name an origin, as in https://app.example.org"));
    }
}
