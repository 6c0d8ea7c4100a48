//! Protection that does not protect: limits that only count, links that open every file, redirects from HTTPS to
//! HTTP, a short HSTS lifetime.

use super::blocks::{Pass, authority, condition, first_below, location, passes, variables, variables_below};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::leads_to;
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W169",
        title: "a redirect from HTTPS down to HTTP",
        page: "The next request goes in the clear, with its cookies, and anyone on the way can read and answer it. Write \
               `https://`, or `$scheme://`.",
        about: &["return", "rewrite"],
        check: downgrade,
    },
    Rule {
        code: "W170",
        title: "a link that opens every file",
        page: "What `secure_link_md5` hashes is what a link is for: without $uri the hash of one file is that of all files of the \
               location. Write it beside the secret: `secure_link_md5 \"$secure_link_expires$uri SECRET\";`.",
        about: &["secure_link_md5"],
        check: any_file,
    },
    Rule {
        code: "W341",
        title: "an expiry time that no link has",
        page: "`$secure_link_expires` is what stands behind the comma of `secure_link`: with `secure_link $arg_md5;` alone it is \
               empty, links are for ever, and those that were made with a time fit no more. Write \
               `secure_link $arg_md5,$arg_expires;`.",
        about: &["secure_link_md5"],
        check: no_time,
    },
    Rule {
        code: "W344",
        title: "a password that no location requires",
        page: "`auth_basic` of a server is what its locations ask for that say nothing themselves. Where `location /` says \
               `auth_basic off`, and so do all the others, no password is asked for. Write `off` only where a path is for everyone: \
               `location /css/ { auth_basic off; }`.",
        about: &["auth_basic"],
        check: asked_nowhere,
    },
    Rule {
        code: "W171",
        title: "a limit that only counts",
        page: "`limit_req_dry_run on` and `limit_conn_dry_run on` write to the log what they would refuse, and refuse nothing: they \
               are for a first try. Remove the line when the limit is right.",
        about: &["limit_req_dry_run", "limit_conn_dry_run"],
        check: dry_run,
    },
    Rule {
        code: "W172",
        title: "an identity header that clients can send, too",
        page: "`X_Remote_User` and `X-Remote-User` are one variable to programs of CGI, WSGI and PHP. nginx drops names with `_` for \
               that reason; with `underscores_in_headers on` (or `ignore_invalid_headers off`) the client's own goes along with \
               the one that is set here. Leave the line out.",
        about: &["underscores_in_headers", "ignore_invalid_headers"],
        check: twin_header,
    },
    Rule {
        code: "W176",
        title: "early data that the application is not told of",
        page: "A request in early data can be recorded and sent again by anyone on the way. The application can refuse (425) what \
               must not be done twice, if it is told: `proxy_set_header Early-Data $ssl_early_data;`.",
        about: &["ssl_early_data"],
        check: untold_early_data,
    },
    Rule {
        code: "W309",
        title: "a server that refuses every handshake, and has content",
        page: "`ssl_reject_handshake on` is for a server of names that no one has: what else stands in it is never asked for. Keep \
               it in a server of its own, with `listen 443 ssl default_server;` alone.",
        about: &["ssl_reject_handshake"],
        check: rejected_content,
    },
    Rule {
        code: "W310",
        title: "a scheme that no request has",
        page: "`$scheme` is what this server speaks: where no listener has `ssl` it is always http, and a redirect to https comes \
               back for ever behind a proxy that speaks TLS. Ask what that one says: `$http_x_forwarded_proto`.",
        about: &["if"],
        check: never_https,
    },
    Rule {
        code: "W149",
        title: "Strict-Transport-Security for a short time",
        page: "A browser that has not visited the site for as long as max-age says goes back to plain HTTP, where anyone on the \
               way can answer. Short times are for a first try. Write half a year at least: `max-age=31536000`.",
        about: &["add_header"],
        check: short_promise,
    },
];

fn downgrade(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = leads_to(cx) else { return };
    let text = word.str();
    if !text.starts_with("http://") || !cx.speaks_tls_only() {
        return;
    }
    let host = authority(&text);
    let named = |d: &Directive| d.name.is("server_name") && d.args.iter().any(|name| name.is(host));
    let is_own = matches!(host, "$host" | "$http_host" | "$server_name" | "$ssl_server_name")
        || cx.inside("server").is_some_and(|server| server.all.iter().any(named));
    if is_own {
        let message = "visitors are sent out of TLS: the next request goes in the clear";
        found.push(Finding::new(word.span, message, format!("write: {}", text.replacen("http:", "https:", 1))));
    }
}

fn any_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("secure_link_md5") {
        return;
    }
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let names = variables(&text);
    const OF_THE_PATH: [&str; 5] = ["uri", "request_uri", "document_uri", "request_filename", "arg_file"];
    let is_path = |name: &String| OF_THE_PATH.contains(&&**name) || !is_known(name);
    let is_one = cx.location().is_some_and(|(sign, _)| sign == b"=");
    if !is_one && !names.is_empty() && !names.iter().any(is_path) {
        let message = "a link to one file opens all files here: the path is not in it";
        found.push(Finding::new(word.span, message, format!("add it: secure_link_md5 \"$uri{text}\";")));
    }
}

/// Variables that do not depend on which file is asked for.
fn is_known(name: &str) -> bool {
    ["secure_link_expires", "remote_addr", "binary_remote_addr", "host", "scheme", "remote_user", "server_name"]
        .contains(&name)
        || name.starts_with("http_")
}

fn dry_run(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("limit_req_dry_run") && !cx.is("limit_conn_dry_run") {
        return;
    }
    if cx.d.says("on") {
        let what = if cx.is("limit_conn_dry_run") { "limit_conn" } else { "limit_req" };
        let message = format!("nothing is refused: {what} only counts");
        found.push(Finding::new(cx.d.span, message, "remove the line when the limit is right"));
    }
}

fn twin_header(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("underscores_in_headers") && !cx.is("ignore_invalid_headers") {
        return;
    }
    let wanted = if cx.is("underscores_in_headers") { "on" } else { "off" };
    if !cx.d.says(wanted) {
        return;
    }
    let proves = |name: &String| name == "remote_user" || name.starts_with("ssl_client_");
    let is_one = |d: &Directive| {
        d.name.is("proxy_set_header")
            && d.args.first().is_some_and(|name| name.bytes().contains(&b'-'))
            && d.args.get(1).is_some_and(|value| variables(&value.str()).iter().any(proves))
    };
    if let Some(header) = first_below(cx.level().all, is_one) {
        let name = header.args[0].str().replace('-', "_");
        let message = format!("a client can send \"{name}\", which many programs take for the header set here");
        found.push(Finding::new(cx.d.span, message, "leave the line out").note(header.span, "who the client is"));
    }
}

fn untold_early_data(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("ssl_early_data") {
        return;
    }
    if !cx.d.says("on") || !cx.is_whole {
        return;
    }
    let Some(outermost) = cx.levels.first() else { return };
    let names = outermost.variables.get_or_init(|| variables_below(outermost.all));
    let is_pass = |d: &Directive| passes(&[Pass::Http, Pass::Gateway]).any(|name| d.name.is(name));
    let pass = first_below(cx.level().all, is_pass);
    if let Some(pass) = pass.filter(|_| !names.contains("ssl_early_data")) {
        let message = "the application is not told which requests may be a copy that someone sends again";
        let help = "add: proxy_set_header Early-Data $ssl_early_data;";
        found.push(Finding::new(cx.d.span, message, help).note(pass.span, "they are passed on"));
    }
}

fn rejected_content(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("ssl_reject_handshake") {
        return;
    }
    let is_on = cx.d.says("on") && cx.is_in("server");
    let content = cx.level().all.iter().find(|d| location(d).is_some());
    if let Some(content) = content.filter(|_| is_on && cx.speaks_tls_only()) {
        let message = "no client gets through to this server: every handshake is refused";
        let help = "keep this line in a server of its own, for names that no other has";
        found.push(Finding::new(cx.d.span, message, help).note(content.args_span(), "never asked for"));
    }
}

fn never_https(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("if") {
        return;
    }
    if !condition(cx.d).is_some_and(|asked| asked.subject == "$scheme" && asked.text.starts_with("http")) {
        return;
    }
    let (Some(server), Some(http)) = (cx.inside("server"), cx.inside("http")) else { return };
    let is_unsaid = cx.levels.iter().any(|level| level.has("include")) || !cx.is_whole || !server.has("listen");
    // What is not redirected is served here.
    let is_served = |d: &Directive| location(d).is_some() && !d.block.iter().flatten().any(|d| d.name.is("return"));
    let serves = || *server.serves.get_or_init(|| server.all.iter().any(is_served));
    if serves() && !is_unsaid && !http.below().speaks_tls {
        let message = "$scheme is always http: no listener here speaks TLS";
        let help = "behind a proxy that does: $http_x_forwarded_proto";
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

fn no_time(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("secure_link_md5")) else { return };
    let asks = variables(&word.str()).iter().any(|name| name == "secure_link_expires");
    let link = cx.levels().find_map(|level| level.first_of("secure_link")).filter(|_| asks);
    let Some(value) = link.and_then(|link| link.args.first()) else { return };
    // A variable may hold both.
    let is_plain = value.bytes().starts_with(b"$arg_") || value.bytes().starts_with(b"$cookie_");
    if is_plain && !value.bytes().contains(&b',') {
        let message = "$secure_link_expires is empty: secure_link names no time";
        let help = format!("write: secure_link {},$arg_expires;", value.str());
        found.push(Finding::new(word.span, message, help).note(value.span, "the hash alone"));
    }
}

fn asked_nowhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_server = cx.is_first("auth_basic") && cx.is_in("server") && !cx.d.says("off");
    if !is_server || !cx.is_whole || cx.level().has("include") || cx.level().has("auth_request") {
        return;
    }
    let off = |d: &'_ Directive| {
        d.block.iter().flatten().find(|d| d.name.is("auth_basic")).filter(|d| d.says("off")).map(|d| d.span)
    };
    let mut locations = cx.level().all.iter().filter_map(|d| Some((d, location(d)?)));
    let is_all = |sign: &[u8], name: &Word| name.is("/") && (sign.is_empty() || sign == b"^~");
    let all = locations.clone().find(|(_, (sign, name))| is_all(sign, name)).and_then(|(d, _)| off(d));
    if let Some(all) = all.filter(|_| locations.all(|(d, _)| off(d).is_some())) {
        let message = "the server's password is never asked for: all paths come here, or to locations like this";
        let help = "write `off` only in locations that are for everyone";
        found.push(Finding::new(all, message, help).note(cx.d.span, "the password"));
    }
}

/// Long enough for browsers of monthly visitors to remember the policy.
const MIN_HSTS_AGE: u64 = 30 * 86_400;

fn short_promise(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("add_header") || name.lower() != b"strict-transport-security" {
        return;
    }
    let text = value.str().to_ascii_lowercase();
    let Some((_, rest)) = text.split_once("max-age=") else { return };
    let digits: String = rest.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect();
    // 0 revokes the policy.
    let Some(seconds) = digits.parse::<u64>().ok().filter(|seconds| (1..MIN_HSTS_AGE).contains(seconds)) else {
        return;
    };
    let message = format!("browsers forget after {seconds} s that this site is HTTPS only");
    found.push(Finding::new(value.span, message, "write max-age=31536000, a year"));
}
