//! Requests that go elsewhere than the configuration suggests: out of their location, to a name that cannot exist, to a
//! program that looks in another directory, back to this server.

use super::blocks::{location, variables};
use super::missing_prerequisites::{host_of, is_domain};
use super::paths::literal_start;
use super::regexes::{matches, uri_of};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::leads_to;
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W084",
        title: "a script that is searched for outside the root",
        page: "SCRIPT_FILENAME names the file that PHP runs. Where it begins with another directory than `root`, the server \
               checks one file and PHP runs another, or none (\"Primary script unknown\"). Write `$document_root` in its \
               place. (Where PHP runs in a container it may see the files by another path: `fastcgi_pass` names a host then.)",
        about: &["fastcgi_param"],
        check: other_script,
    },
    Rule {
        code: "W085",
        title: "a rewrite that leaves the location before its handler runs",
        page: "After a `rewrite` without a flag, or with `last`, a location is looked for by the new URI: with \
               `location /api/ { rewrite ^/api/(.*)$ /$1; proxy_pass …; }` each request goes on in `location /`, and the \
               `proxy_pass` is never reached. `break` changes the URI and stays in the location.",
        about: &["rewrite"],
        check: leads_away,
    },
    Rule {
        code: "W086",
        title: "a redirect to an invalid server name",
        page: "`$server_name` is the first name of `server_name` as it is written: `_`, `*.example.org` or a regex is no host \
               that a browser could go to, and a server without names has none. Write `$host`, or the name itself.",
        about: &["return", "rewrite"],
        check: to_no_name,
    },
    Rule {
        code: "W326",
        title: "a page sent instead of a script or an image",
        page: "With `try_files $uri /index.html` a script that is not there is answered with the page, and status 200: browsers refuse \
               it (\"Unexpected token <\"), and keep it as long as `expires` says. End with `=404` where files have an extension.",
        about: &["try_files"],
        check: page_for_asset,
    },
    Rule {
        code: "W087",
        title: "an upstream that is not told which of its sites is meant",
        page: "Many servers have several sites on one address and choose the certificate by the name that the client sends \
               (SNI): without it they end the handshake, which is a 502 here. `proxy_ssl_server_name on;` sends it.",
        about: &["proxy_pass"],
        check: no_server_name,
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
        code: "W146",
        title: "a proxy that passes requests to itself",
        page: "The upstream is the address that this server listens on, and no other server does: the request comes back \
               until there are no more connections. Name the port of the application.",
        about: &["proxy_pass"],
        check: asks_itself,
    },
];

fn other_script(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let text = value.str();
    if !cx.is("fastcgi_param") || !name.is("SCRIPT_FILENAME") || !text.starts_with('/') {
        return;
    }
    const FILES: [&str; 4] = ["$fastcgi_script_name", "$uri", "$document_uri", "$request_filename"];
    let Some(dir) = FILES.iter().find_map(|file| text.split_once(file)).map(|(dir, _)| dir) else { return };
    let is_local = |d: &Directive| {
        let address = d.args.first().map(Word::str).unwrap_or_default();
        ["unix:", "127.0.0.1", "localhost", "[::1]"].iter().any(|own| address.starts_with(own))
    };
    let is_here = cx.level().first_of("fastcgi_pass").is_some_and(is_local);
    let root = cx.levels().find_map(|level| if level.has("alias") { None } else { level.first_of("root") });
    let (Some(root), false) = (root.filter(|_| is_here), cx.level().has("alias")) else { return };
    let Some(word) = root.args.first() else { return };
    let Some(files) = cx.path(word, |paths| &paths.prefix) else { return };
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    let files = plain(&files.to_string_lossy());
    if !dir.contains('$') && plain(dir) != files {
        let message = format!("PHP looks for the script in \"{dir}\", and not in the root, \"{}\"", word.str());
        let help =
            format!("write: fastcgi_param SCRIPT_FILENAME $document_root{};", &text[dir.trim_end_matches('/').len()..]);
        found.push(Finding::new(value.span, message, help).note(root.span, "the root"));
    }
}

/// Text with which all paths of a location begin.
fn beginning(d: &Directive) -> Option<String> {
    match location(d)? {
        (b"" | b"^~", name) if name.bytes().starts_with(b"/") => Some(name.str().into_owned()),
        (sign, regex) if sign.starts_with(b"~") => literal_start(&regex.str()).map(str::to_owned),
        _ => None,
    }
}

fn leads_away(cx: &RuleContext, found: &mut Vec<Finding>) {
    let ([regex, target, flag @ ..], Some(block)) = (&cx.d.args[..], cx.blocks.last()) else { return };
    if !cx.is("rewrite") || flag.first().is_some_and(|flag| !flag.is("last")) {
        return;
    }
    let level = cx.level();
    // Other steps may end the request, or keep it here.
    let steps = ["rewrite", "if", "return", "break", "location"].iter().map(|name| level.named(name).len());
    let Some(pass) = level.first_pass().filter(|_| steps.sum::<usize>() == 1) else { return };
    let (Some(start), Some(uri)) = (beginning(block), uri_of(target)) else { return };
    let takes_all = ["x", "q/w.e", "a-1/b/c"].iter().all(|rest| matches(regex, &format!("{start}{rest}")));
    if !takes_all || !uri.starts_with('/') {
        return;
    }
    let Some(server) = cx.inside("server") else { return };
    // Where the target is, as it stands and with more behind it.
    let is_here = |uri: &str| server.taker(uri.as_bytes()).is_some_and(|taker| taker.name.span == block.name.span);
    let is_nested = !server.all.iter().any(|d| d.name.span == block.name.span);
    if is_nested || uri.starts_with(&start) || is_here(&uri) || is_here(&format!("{uri}/q")) {
        return;
    }
    let message = format!(
        "each request goes on at \"{}\", in another location: `{}` is never reached",
        target.str(),
        pass.name.str()
    );
    let help = match flag {
        [] => format!("stay in this location: rewrite {} {} break;", regex.str(), target.str()),
        _ => "let `break` take the place of `last`: it stays in this location".to_owned(),
    };
    found.push(Finding::new(cx.d.args_span(), message, help).note(pass.span, "it is here"));
}

fn to_no_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(url) = leads_to(cx) else { return };
    let text = url.str();
    let Some((_, rest)) = text.split_once("://") else { return };
    let names_it = rest.starts_with('$') && variables(rest).first().is_some_and(|name| name == "server_name");
    let Some(server) = cx.inside("server").filter(|_| names_it) else { return };
    let first = server.first_of("server_name").and_then(|d| d.args.first());
    let name = first.map(|word| word.str().into_owned()).unwrap_or_default();
    let is_none = name.is_empty() || name == "_" || name.starts_with(['*', '~', '$']) || name.ends_with(".*");
    if !is_none || server.has("include") || !cx.is_whole {
        return;
    }
    let message = match first {
        Some(_) => format!("$server_name is \"{name}\" here, which is no host to go to"),
        None => "$server_name is empty here: the server has no name".to_owned(),
    };
    let finding = Finding::new(url.span, message, format!("write: {}", text.replacen("server_name", "host", 1)));
    found.push(match first {
        Some(word) => finding.note(word.span, "the name"),
        None => finding,
    });
}

fn no_server_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    // A variable may hold the whole host.
    let texts = cx.texts(&word.str());
    let Some(text) = texts.iter().find(|text| text.starts_with("https://") && is_domain(host_of(text))) else { return };
    let host = host_of(text);
    // Names of a network of one's own are seldom many on one address.
    const OWN: [&str; 9] =
        [".local", ".internal", ".lan", ".test", ".svc", ".home", ".localdomain", ".localhost", ".intranet"];
    let is_own = OWN.iter().any(|end| host.ends_with(end));
    let setting = cx.levels().find_map(|level| level.first_of("proxy_ssl_server_name"));
    let is_sent = setting.is_some_and(|d| !d.says("off"));
    let is_group = cx.levels.iter().any(|level| level.has_upstream(host.as_bytes()));
    if !is_own && !is_sent && !is_group && cx.is_whole {
        let message = format!("\"{host}\" is not told its name in the handshake, which many servers refuse");
        let finding = Finding::new(word.span, message, "add: proxy_ssl_server_name on;");
        found.push(match setting {
            Some(off) => finding.note(off.span, "turned off here"),
            None => finding,
        });
    }
}

fn page_for_asset(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"~" | b"~*", name)) = cx.blocks.last().and_then(|block| location(block)) else { return };
    let Some(last) = cx.d.args.last().filter(|_| cx.is("try_files")) else { return };
    let regex = name.str();
    let Some((_, ends)) = regex.rsplit_once("\\.") else { return };
    let mut words = ends.split(|c: char| !c.is_ascii_alphanumeric());
    let is_asset = words.any(|word| matches!(word, "js" | "css" | "png" | "jpg" | "svg" | "woff2"));
    if is_asset && ends.ends_with('$') && last.bytes().starts_with(b"/") && last.bytes().ends_with(b".html") {
        let message = format!("\"{}\" is sent for each file that is not there", last.str());
        found.push(Finding::new(last.span, message, "end with a status: =404"));
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

/// The address of a group's only server.
fn only_server(upstream: &Directive) -> Option<String> {
    let mut servers = upstream.block.iter().flatten().filter(|d| d.name.is("server"));
    let server = servers.next().filter(|_| servers.next().is_none())?;
    Some(server.args.first()?.str().into_owned())
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
    let of_group = cx.inside("http").and_then(|http| only_server(http.upstream(address.as_bytes())?));
    let address = of_group.as_deref().unwrap_or(address);
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
        let message = format!("{host}:{port} is this server itself: each request comes back again and again");
        let finding = Finding::new(word.span, message, "name the address of the application");
        found.push(finding.note(listen.span, "it listens there"));
    }
}
