//! Settings that admit more clients than they seem to, reveal more than intended, or cause redirect loops.

use super::blocks::{below, location};
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W123",
        title: "satisfy any with a rule that allows everyone",
        page: "`satisfy any` lets in who passes one of the checks: with `allow all` no password is ever asked for. End the \
               rules with `deny all;`.",
        about: &["satisfy"],
        check: any_of_all,
    },
    Rule {
        code: "W124",
        title: "the whole file system is served",
        page: "`root /` serves every file that the server's user can read, /etc included; `alias /etc/` the system's settings, \
               keys among them. Name the directory of the site.",
        about: &["root", "alias"],
        check: whole_system,
    },
    Rule {
        code: "W125",
        title: "a redirect to itself",
        page: "The target of the redirect is answered by the same line, so that browsers give up after twenty rounds. A \
               redirect to HTTPS belongs in the server of port 80 alone.",
        about: &["return"],
        check: redirect_loop,
    },
    Rule {
        code: "W126",
        title: "a prefix that is replaced without its slash",
        page: "`location /api { proxy_pass http://app/; }` also matches /apiary and /api../x, which become //ary and /../x: \
               requests reach what the location was not for. With `location /api/ { proxy_pass http://app/v1; }` /api/x \
               becomes /v1x. End both with a slash, or neither.",
        about: &["proxy_pass"],
        check: slash_of_the_prefix,
    },
    Rule {
        code: "W127",
        title: "slashes are not merged",
        page: "With `merge_slashes off` //admin is another path than /admin and passes rules for it, while the file system and \
               most applications take both for the same. That of an address's default server holds for all servers of the \
               address: the path is read before the host is known.",
        about: &["merge_slashes"],
        check: unmerged,
    },
    Rule {
        code: "W128",
        title: "broken protocols",
        page: "SSLv2, SSLv3, TLSv1 and TLSv1.1 are broken (RFC 7568, RFC 8996): they are never spoken here, and other servers \
               that read this file would. Write `ssl_protocols TLSv1.2 TLSv1.3;`.",
        about: &["ssl_protocols"],
        check: old_protocols,
    },
    Rule {
        code: "W129",
        title: "every client may claim any address",
        page: "`set_real_ip_from 0.0.0.0/0` takes the address from a header of any client, so that limits, rules and logs can \
               be deceived. Name the addresses of your proxies only.",
        about: &["proxy", "set_real_ip_from"],
        check: any_proxy,
    },
];

fn any_of_all(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|word| cx.is_first("satisfy") && word.is("any")) else { return };
    let decides = |d: &&Directive| d.name.is("allow") || d.name.is("deny");
    let first = cx.level().all.iter().filter(decides).find(|d| d.says("all"));
    if let Some(rule) = first.filter(|d| d.name.is("allow")) {
        let message = "everyone is let in: `satisfy any` asks no more once a check passes, and this one always does";
        found.push(Finding::new(rule.span, message, "write: deny all;").note(word.span, "one check is enough"));
    }
}

/// System directories, which are not document roots.
const SYSTEM: [&str; 9] = ["/etc", "/etc/nginx", "/etc/ssl", "/root", "/proc", "/sys", "/dev", "/boot", "/var/lib"];

fn whole_system(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("root") || cx.is("alias")) else { return };
    let texts = cx.texts(&word.str());
    if let Some(dir) = texts.iter().map(|text| text.trim_end_matches('/')).find(|dir| SYSTEM.contains(dir)) {
        if !cx.levels().any(Level::authenticates) {
            let message = format!("the system's files in {dir} are served to everyone");
            found.push(Finding::new(word.span, message, "name the directory of the site: /srv/www"));
        }
        return;
    }
    let serves_all = cx.blocks.last().is_some_and(|block| match location(block) {
        Some((modifier, name)) => cx.is("alias") && !modifier.starts_with(b"~") || modifier != b"=" && name.is("/"),
        None => block.name.is("server") || block.name.is("http"),
    });
    if serves_all && texts.iter().any(|text| is_everything(text)) {
        found.push(Finding::new(
            word.span,
            "the whole file system is served",
            "name the directory of the site: /srv/www",
        ));
    }
}

/// `/`, also in forms like `/.` and `/srv/..`.
fn is_everything(path: &str) -> bool {
    let mut depth = 0usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    path.starts_with('/') && depth == 0
}

/// The URL of a redirect.
fn target(d: &Directive) -> Option<&Word> {
    match &d.args[..] {
        [code, url] if d.name.is("return") && matches!(code.bytes(), [b'3', b'0', _]) => Some(url),
        _ => None,
    }
}

fn redirect_loop(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(url), Some(block)) = (target(cx.d), cx.blocks.last()) else { return };
    let text = url.str();
    let is_same = match location(block) {
        Some((b"" | b"^~", name)) if name.is("/") && (text.contains("://") || text == "$request_uri") => {
            !cx.level().has("if") && cx.inside("server").is_some_and(|server| same_server(server, &text))
        }
        Some((modifier, name)) => {
            text.starts_with('/') && !text.contains('$') && in_a_circle(cx, block, modifier, name, &text)
        }
        None if block.name.is("if") => same_scheme(block, &text),
        None => block.name.is("server") && same_server(cx.level(), &text),
    };
    if is_same {
        let message = format!("\"{text}\" is redirected by this line again, without end");
        found.push(Finding::new(url.span, message, "name a target elsewhere, or a location for this one"));
    }
}

/// `if ($scheme = http) { return 301 http://$host$request_uri; }`: the redirected request meets the condition again.
fn same_scheme(block: &Directive, target: &str) -> bool {
    let words: Vec<_> = block.args.iter().map(Word::str).collect();
    // What a proxy in front says of its connection counts for the next request as well.
    let words: Vec<&str> =
        words.iter().map(|word| word.trim_matches(['(', ')'])).filter(|word| !word.is_empty()).collect();
    let scheme = match words[..] {
        ["$scheme" | "$http_x_forwarded_proto", "=" | "!=", scheme @ ("http" | "https")] => {
            if (words[1] == "=") == (scheme == "http") { "http" } else { "https" }
        }
        // An empty text is left out.
        ["$https", "="] | ["$https", "=", "off"] | ["$https", "!=", "on"] => "http",
        ["$https", "=", "on"] => "https",
        _ => return false,
    };
    let Some((to, "$host$request_uri" | "$http_host$request_uri" | "$server_name$request_uri")) =
        target.split_once("://")
    else {
        return false;
    };
    to == scheme
}

fn in_a_circle(cx: &RuleContext, block: &Directive, modifier: &[u8], name: &Word, target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    // With an `if` or an argument, the next request may differ.
    let is_plain = !target.contains('?') && !cx.level().has("if") && !cx.level().has("rewrite");
    let taker = || cx.inside("server").and_then(|server| server.taker(path.as_bytes()));
    let is_own = match modifier {
        b"" | b"^~" => path.as_bytes().starts_with(name.bytes()),
        b"=" => path.as_bytes() == name.bytes(),
        _ => taker().is_some(),
    };
    is_plain && is_own && taker().is_none_or(|taker| taker.name.span == block.name.span)
}

/// Whether a server of one scheme redirects to itself.
fn same_server(server: &Level, target: &str) -> bool {
    if server.has("if") {
        return false;
    }
    let listens = server.named("listen");
    let is_secure = |d: &&Directive| d.args.iter().any(|word| word.is("ssl"));
    let scheme = if !listens.is_empty() && listens.iter().all(is_secure) { "https://" } else { "http://" };
    // Both schemes in one server: plain requests are redirected to https, and then again.
    let mixed = scheme == "http://" && target.starts_with("https://") && listens.iter().any(is_secure);
    let Some((from, rest)) = target.split_once("://") else { return target == "$request_uri" };
    // The request's own URL.
    if from == "$scheme" && matches!(rest, "$host$request_uri" | "$http_host$request_uri") {
        return true;
    }
    // A port it listens on is the same server's.
    let rest = match rest
        .split_once(':')
        .map(|(host, tail)| (host, tail.split_at(tail.find(['/', '$']).unwrap_or(tail.len()))))
    {
        Some((host, (port, tail))) if !port.is_empty() => {
            let ends = format!(":{port}");
            let is_here =
                |d: &Directive| d.args.first().is_some_and(|word| word.is(port) || word.str().ends_with(&ends));
            if !listens.iter().any(|d| is_here(d)) {
                return false;
            }
            &format!("{host}{tail}")
        }
        _ => rest,
    };
    if format!("{from}://") != scheme && !mixed {
        return false;
    }
    let host = rest.split(['/', '$']).next().unwrap_or_default();
    let mut names = server.named("server_name").iter().flat_map(|d| &d.args);
    let only = names.next().filter(|_| names.next().is_none());
    match rest {
        "$host$request_uri" | "$host$uri" | "$http_host$request_uri" => true,
        "$server_name$request_uri" => only.is_some(),
        _ => only.is_some_and(|only| only.is(host)) && rest.strip_prefix(host) == Some("$request_uri"),
    }
}

fn slash_of_the_prefix(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(word), Some(block)) = (cx.d.args.first(), cx.blocks.last()) else { return };
    let Some((b"" | b"^~", name)) = location(block).filter(|_| cx.is("proxy_pass")) else { return };
    let (prefix, url) = (name.str(), word.str());
    let path = path_of(&url);
    if let Some((message, help)) = path.and_then(|path| glued_path(&prefix, &url, path)) {
        found.push(Finding::new(word.span, message, help).note(name.span, "the location ends with a slash"));
        return;
    }
    if prefix.len() > 1 && !prefix.ends_with('/') && path.is_some_and(|path| path.ends_with('/')) && !url.contains('$')
    {
        let message = format!("location \"{prefix}\" also matches \"{prefix}../\", which leads out of \"{url}\"");
        let help = format!("end the location with a slash as well: location {prefix}/ {{ … }}");
        found.push(Finding::new(name.span, message, help).note(word.span, "the URL ends with a slash"));
    }
}

/// The path of a URL; for a unix socket, the part after the colon that follows the socket's path.
fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    if rest.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix:")) {
        return rest.get(5..)?.split_once(':').map(|(_, path)| path).filter(|path| !path.is_empty());
    }
    rest.get(rest.find('/')?..)
}

/// `location /api/ { proxy_pass http://app/v1; }`: the rest of the URI is appended without a slash.
fn glued_path(prefix: &str, url: &str, path: &str) -> Option<(String, String)> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_whole = path.len() > 1 && !last.is_empty() && !last.contains(['.', '?', '=']) && !url.contains('$');
    (is_whole && prefix.ends_with('/')).then(|| {
        let message = format!("\"{prefix}x\" becomes \"{path}x\", without a slash between them");
        (message, format!("end the URL with a slash as well: proxy_pass {url}/;"))
    })
}

/// Up to two servers that restrict access: possibly the current one, and another.
fn guarded(all: &[Directive]) -> Vec<&Directive> {
    let servers = all.iter().filter(|d| d.name.is("server")).take(COMPARED);
    let is_guard = |d: &Directive| d.name.is("deny") || d.name.is("auth_basic");
    servers.filter(|d| below(d.block.as_deref().unwrap_or_default(), is_guard)).take(2).collect()
}

fn unmerged(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("merge_slashes") && cx.d.says("off") {
        // The other servers of the default server's address are affected despite their rules.
        let around = cx.levels.iter().rev().nth(1);
        let servers = around.map(|level| level.guarded.get_or_init(|| guarded(level.all))).into_iter().flatten();
        let guarded = servers.copied().find(|d| d.span != cx.blocks.last().map_or(d.span, |block| block.span));
        let finding = Finding::new(
            cx.d.args_span(),
            "//path passes the rules for /path",
            "leave the line out, or write: merge_slashes on;",
        );
        found.push(match guarded {
            Some(server) => finding
                .note(server.name.span, "as default server of an address, for this server too, which has such rules"),
            None => finding,
        });
    }
}

fn old_protocols(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_old = |word: &&Word| ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1"].iter().any(|old| word.is(old));
    if let Some(word) = cx.d.args.iter().find(|word| cx.is("ssl_protocols") && is_old(word)) {
        let message = format!("{} is broken, and not spoken here", word.str());
        found.push(Finding::new(word.span, message, "write: ssl_protocols TLSv1.2 TLSv1.3;"));
    }
}

fn any_proxy(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_all = |word: &&Word| word.is("0.0.0.0/0") || word.is("::/0");
    let in_geo = cx.is("proxy") && cx.is_in("geo");
    let trusts = in_geo || cx.is("set_real_ip_from");
    if let Some(word) = cx.d.args.first().filter(|word| trusts && is_all(word)) {
        let message = "every client may claim any address";
        let help = format!("name your proxies only: {} 10.0.0.0/8;", cx.d.name.str());
        found.push(Finding::new(word.span, message, help));
    }
}
