//! Requests that do not reach their application as they are meant to: files are required, a rewrite does not count, the
//! protocol is another one, an upgrade is not asked for.

use super::blocks::{Pass, authority, condition, is_of_client, location, passes, sets};
use super::regexes::{Captured, group};
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::util::hash::FastSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W370",
        title: "only files are passed to the application",
        page: "`try_files $uri =404` in a location with `proxy_pass` answers 404 for all that is no file, and asks the \
               application for the files. Send files, and pass the rest: `try_files $uri @app;` with the pass in \
               `location @app`.",
        about: &["proxy_pass", "grpc_pass"],
        check: files_only,
    },
    Rule {
        code: "W371",
        title: "a rewrite that the URL of the pass leaves out",
        page: "`$request_uri` is what the client sent: `proxy_pass http://app$request_uri` passes that, whatever \
               `rewrite … break` made of the path. Leave the variable out (`proxy_pass http://app;` passes the rewritten path), or \
               use `$uri$is_args$args`.",
        about: &["proxy_pass"],
        check: unused_rewrite,
    },
    Rule {
        code: "W372",
        title: "HTTP to a server of FastCGI",
        page: "PHP-FPM speaks FastCGI: of `proxy_pass` it closes the connection, and clients get 502. Write \
               `fastcgi_pass unix:/run/php/php-fpm.sock;` with `include fastcgi_params;` and SCRIPT_FILENAME.",
        about: &["proxy_pass"],
        check: http_to_fpm,
    },
    Rule {
        code: "W373",
        title: "a path of WebSockets without Upgrade",
        page: "An upgrade is passed on only where `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection \
               \"upgrade\";` say so: otherwise the application gets a plain request, and the WebSocket is not opened.",
        about: &["proxy_pass"],
        check: no_upgrade,
    },
    Rule {
        code: "W378",
        title: "parameters for another protocol",
        page: "`fastcgi_param` is for `fastcgi_pass`, `uwsgi_param` for `uwsgi_pass`, `scgi_param` for `scgi_pass`: an application \
               that `proxy_pass` asks gets header fields, which `proxy_set_header` names.",
        about: &["proxy_pass"],
        check: other_parameters,
    },
    Rule {
        code: "W379",
        title: "paths of an application that are replaced in the wrong direction",
        page: "`proxy_redirect` and `proxy_cookie_path` name first what the application writes, then what clients are to see. Where \
               `location /app/ { proxy_pass http://app/; }` takes the prefix away, answers need it again: \
               `proxy_cookie_path / /app/;`.",
        about: &["proxy_redirect", "proxy_cookie_path"],
        check: reversed,
    },
];

fn other_parameters(cx: &RuleContext, found: &mut Vec<Finding>) {
    const PARAMETERS: [(&str, &str); 3] =
        [("fastcgi_param", "fastcgi_pass"), ("uwsgi_param", "uwsgi_pass"), ("scgi_param", "scgi_pass")];
    if !cx.is_first("proxy_pass") || !cx.is_in("location") {
        return;
    }
    // A level may have parameters for the locations in it.
    let has_more = cx.level().has("location") || cx.level().has("if");
    for (name, pass) in PARAMETERS.iter().filter(|(_, pass)| !has_more && !cx.level().has(pass)) {
        if let Some(line) = cx.level().first_of(name) {
            let message = format!("`{name}` is for `{pass}`: proxy_pass sends no parameters");
            let help = "leave the lines out, or name the fields by proxy_set_header";
            found.push(Finding::new(cx.d.span, message, help).note(line.span, "the parameters"));
        }
    }
}

fn reversed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [from, to] = &cx.d.args[..] else { return };
    let Some((_, prefix)) = cx.blocks.last().and_then(|block| location(block)).filter(|(sign, _)| is_prefix(sign))
    else {
        return;
    };
    let Some(url) = cx.level().first_of("proxy_pass").and_then(|pass| pass.args.first()).map(|word| word.str()) else {
        return;
    };
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    // An application that is told its prefix writes it.
    const TOLD: [&str; 4] = ["x-forwarded-prefix", "x-script-name", "x-forwarded-path", "x-forwarded-context"];
    let lines = cx.level().named("proxy_set_header").iter().take(COMPARED);
    if lines.into_iter().any(|line| TOLD.iter().any(|name| sets(line, name).is_some())) {
        return;
    }
    let is_reversed =
        from.bytes() == prefix.bytes() && path.is_some_and(|path| to.is(path)) && from.bytes() != to.bytes();
    if is_reversed && !url.contains('$') {
        let message = format!("the application behind this location does not write \"{}\"", from.str());
        let help = format!("what it writes comes first: {} {} {};", cx.d.name.str(), to.str(), from.str());
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

fn is_prefix(sign: &[u8]) -> bool {
    sign.is_empty() || sign == b"^~" || sign == b"="
}

fn files_only(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_pass = passes(&[Pass::Http]).any(|name| cx.is(name));
    // A regex for scripts may lead to a server that runs the files.
    let is_area = cx.blocks.last().and_then(|block| location(block)).is_some_and(|(sign, _)| is_prefix(sign));
    let Some(files) = cx.level().first_of("try_files").filter(|_| is_pass && is_area) else { return };
    let is_last = files.args.last().is_some_and(|word| word.bytes().starts_with(b"=4"));
    if is_last && files.args.iter().any(|word| word.is("$uri")) {
        let message = "what is no file is answered here, and only requests for files are passed on";
        let help = "write: try_files $uri @app; and put the pass into location @app { … }";
        found.push(Finding::new(files.args_span(), message, help).note(cx.d.span, "the pass"));
    }
}

fn unused_rewrite(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let Some(at) = text.find("$request_uri") else { return };
    // Behind a path it is a parameter: `http://app/login?from=$request_uri`.
    let is_path = text.get(..at).and_then(|url| url.split_once("://")).is_some_and(|(_, host)| !host.contains('/'));
    if !is_path {
        return;
    }
    let breaks = |d: &&&Directive| d.args.get(2).is_some_and(|flag| flag.is("break"));
    if let Some(rewrite) = cx.level().named("rewrite").iter().take(COMPARED).find(breaks) {
        let message = "$request_uri is the path as the client sent it: the rewrite above has no effect";
        let help = format!("leave it out: proxy_pass {};", text.get(..at).unwrap_or_default());
        found.push(Finding::new(word.span, message, help).note(rewrite.span, "the rewrite"));
    }
}

fn http_to_fpm(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let is_fpm = |text: &str| {
        let path = text.trim_start_matches("unix:").split(':').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        name.contains("fpm") && (text.ends_with(":9000") || name.ends_with(".sock"))
    };
    let socket = text.strip_prefix("http://unix:");
    let name = authority(&text);
    let group = cx.levels.iter().rev().find_map(|level| level.upstream(name.as_bytes()));
    let servers = group.and_then(|group| group.block.as_deref()).unwrap_or_default();
    let of_group = |d: &&Directive| d.name.is("server") && d.args.first().is_some_and(|word| is_fpm(&word.str()));
    let server = servers.iter().take(COMPARED).find(of_group);
    let is_such = match (socket, group) {
        (Some(path), _) => is_fpm(path),
        (None, Some(_)) => server.is_some(),
        (None, None) => is_fpm(name),
    };
    if is_such && text.starts_with("http:") {
        let message = "PHP-FPM does not speak HTTP: it closes the connection";
        let to = text.trim_start_matches("http://").trim_end_matches('/');
        let finding =
            Finding::new(word.span, message, format!("write: fastcgi_pass {to}; and include fastcgi_params;"));
        found.push(match server {
            Some(server) => finding.note(server.span, "the server"),
            None => finding,
        });
    }
}

fn no_upgrade(cx: &RuleContext, found: &mut Vec<Finding>) {
    const NAMES: [&str; 5] = ["websocket", "websockets", "socket.io", "sockjs", "sockjs-node"];
    let Some(block) = cx.blocks.last().filter(|_| cx.is("proxy_pass")) else { return };
    let Some((_, path)) = location(block).filter(|(sign, _)| is_prefix(sign)) else { return };
    let text = path.str();
    let last = text.trim_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    // A level with lines of its own takes none of the levels above. An included file may have more.
    let headers = cx.levels.iter().rev().find(|level| level.has("proxy_set_header") || level.has("include"));
    // `/ws/` may be a web service instead: what else is written there tells.
    let target = cx.d.args.first().map(|word| authority(&word.str()).to_ascii_lowercase()).unwrap_or_default();
    let is_meant = || cx.level().has("proxy_http_version") || target.contains("ws") || target.contains("socket");
    let is_socket = NAMES.contains(&&*last) || matches!(&*last, "ws" | "wss") && is_meant();
    if !is_socket || headers.is_some_and(|level| level.has("include")) {
        return;
    }
    let mut lines = headers.map(|level| level.named("proxy_set_header")).unwrap_or_default().iter();
    if !lines.any(|line| sets(line, "upgrade").is_some_and(|value| !value.is_empty())) {
        let message = "no WebSocket is opened here: Upgrade is not passed on";
        let help = "add: proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";
        found.push(Finding::new(path.span, message, help).note(cx.d.span, "the pass"));
    }
}

/// Numbers of groups that the rewrites and `if` blocks of a server leave to its locations, and that hold what a client
/// likes.
fn open_groups(all: &[Directive]) -> FastSet<String> {
    let mut groups = FastSet::default();
    for d in all {
        let regex = match d.name.bytes() {
            b"rewrite" => d.args.first().map(|word| word.str().into_owned()),
            b"if" => asked_of_request(d),
            _ => None,
        };
        let Some(regex) = regex else { continue };
        let numbers = ('1'..='9').map(String::from).map_while(|number| Some((group(&regex, &number)?, number)));
        let is_open = |held: Captured| matches!(held, Captured::Anything | Captured::NoLineEnd);
        groups.extend(numbers.filter(|(held, _)| is_open(*held)).map(|(_, number)| number));
    }
    groups
}

/// The regex of an `if` that asks for a part of the request.
fn asked_of_request(d: &Directive) -> Option<String> {
    let asked = condition(d)?;
    (asked.regex() == Some(true) && is_of_request(&asked.subject)).then_some(asked.text)
}

/// Whether a client writes this variable of its request as it likes.
fn is_of_request(subject: &str) -> bool {
    let name = subject.trim_start_matches('$');
    const PATHS: [&str; 6] = ["uri", "document_uri", "request_uri", "args", "query_string", "request_body"];
    PATHS.contains(&name) || is_of_client(name)
}

/// Whether `$1` may be what a client likes because a regex of the server captured it, and none of the location.
pub fn is_of_server(cx: &RuleContext, name: &str) -> bool {
    let is_regex = |block: &&Directive| location(block).is_some_and(|(sign, _)| sign.starts_with(b"~"));
    let is_plain = cx.is_in("location") && !cx.blocks.iter().any(is_regex);
    let own = cx.level().has("rewrite") || cx.level().has("if");
    let server = cx.inside("server").filter(|_| is_plain && !own && name.len() == 1);
    server.is_some_and(|server| server.groups.get_or_init(|| open_groups(server.all)).contains(name))
}
