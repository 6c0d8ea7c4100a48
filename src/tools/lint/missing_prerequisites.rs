//! Directives that need another one that is missing: a host without a resolver, a check without a location or without a
//! test of its result, a certificate without a TLS listener.

use super::blocks::{Pass, authority, below, is_tls, location, passes, variables_below};
use super::headers::before_path;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Directive;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W048",
        title: "a host that cannot be looked up",
        page: "Where the host of a pass has variables, its name is looked up while requests are served, by the servers that \
               `resolver` names: without one every request is answered 502. Write `resolver ADDRESS;`, or name the host in \
               an `upstream`.",
        about: &["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass"],
        check: no_resolver,
    },
    Rule {
        code: "W049",
        title: "auth_request names no location",
        page: "The URI of `auth_request` is asked for within this server. Where no location answers it, the answer is 404, \
               and each request that was to be checked ends in 500. Write `location = /auth { internal; proxy_pass …; }`.",
        about: &["auth_request"],
        check: asks_nowhere,
    },
    Rule {
        code: "W051",
        title: "gzip is tuned and never turned on",
        page: "`gzip_types` and its like say how responses are compressed where gzip is on, but there is no `gzip on;`. Add \
               `gzip on;`.",
        about: &["gzip_types", "gzip_comp_level", "gzip_min_length", "gzip_proxied"],
        check: gzip_off,
    },
    Rule {
        code: "W024",
        title: "a certificate that no listener uses",
        page: "`ssl_certificate` and `acme_certificate` alone turn nothing on: a `listen` without `ssl` speaks plain HTTP. \
               Write `listen 443 ssl;`.",
        about: &["ssl_certificate", "acme_certificate"],
        check: unused_certificate,
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
        code: "W003",
        title: "a named location that does not exist",
        page: "`error_page` and `try_files` may lead to `@name`. Where the server has no `location @name` every such \
               request ends in 500.",
        about: &["error_page", "try_files"],
        check: missing_named_location,
    },
];

/// The host of a pass directive, without port.
pub fn host_of(text: &str) -> &str {
    let host = before_path(authority(text).split('?').next().unwrap_or_default());
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// A name with dots that is not an address.
pub fn is_domain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let top = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && top.len() > 1 && name.bytes().all(is_letter) && top.bytes().all(|b| b.is_ascii_alphabetic())
}

fn no_resolver(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_pass = passes(&[Pass::Http, Pass::Gateway]).any(|name| cx.is(name));
    let Some(word) = cx.d.args.first().filter(|_| is_pass && cx.is_whole) else { return };
    let has = |name: &str| cx.levels.iter().any(|level| level.has(name));
    if !word.bytes().contains(&b'$') || has("resolver") || has("include") {
        return;
    }
    let text = word.str();
    let host = host_of(&text);
    // `$1.internal.test`, or a variable set to such a name.
    let name = match host.rsplit_once('$') {
        Some((_, tail)) if tail.contains('.') => {
            let fixed = tail.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '}'));
            is_domain(fixed.trim_start_matches('.')).then(|| host.to_owned())
        }
        Some(("", name)) => {
            let values = cx.values(&name.trim_matches(['{', '}']).to_ascii_lowercase()).iter();
            values.map(|value| value.str().into_owned()).find(|value| is_domain(host_of(value)))
        }
        _ => None,
    };
    let is_group = |name: &str| cx.levels.iter().any(|level| level.has_upstream(name.as_bytes()));
    if let Some(name) = name.filter(|name| !is_group(host_of(name))) {
        let message = format!("\"{}\" cannot be looked up: no `resolver` is named", host_of(&name));
        found.push(Finding::new(word.span, message, "add the address of a name server: resolver 127.0.0.53;"));
    }
}

fn asks_nowhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("auth_request")) else { return };
    let Some(server) = cx.inside("server") else { return };
    let path = word.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
    if !path.starts_with(b"/") && !path.starts_with(b"$") && !word.is("off") {
        let message = format!(
            "\"{}\" does not begin with a slash: no location answers it, and each request is answered 500",
            word.str()
        );
        found.push(Finding::new(word.span, message, format!("auth_request /{};", word.str())));
        return;
    }
    if !path.starts_with(b"/") || path.contains(&b'$') || server.has("include") || server.has("return") {
        return;
    }
    // A static file as the answer would allow access, which may be intended for tests; so a location of its own is
    // accepted.
    let taker = server.taker(path);
    let is_answered = taker.is_some_and(|taker| {
        let inside = server.inside(taker);
        inside.first_pass().is_some() || ["return", "include", "location", "if"].iter().any(|name| inside.has(name))
    });
    let is_own = taker.and_then(location).is_some_and(|(_, name)| !name.is("/"));
    if !is_answered && !is_own {
        let message = format!("no location answers \"{}\": each request is answered 500", word.str());
        let help = format!("add: location = {} {{ internal; proxy_pass http://ADDRESS; }}", word.str());
        found.push(Finding::new(word.span, message, help));
    }
}

fn gzip_off(cx: &RuleContext, found: &mut Vec<Finding>) {
    const TUNED: [&str; 4] = ["gzip_types", "gzip_comp_level", "gzip_min_length", "gzip_proxied"];
    let level = cx.level();
    let is_first = TUNED.iter().filter_map(|name| level.first(name)).min() == Some(cx.at);
    // A slip in a list of types has a warning of its own.
    let in_http = cx.is_in("http") || !cx.is("gzip_types") && cx.blocks.iter().any(|block| block.name.is("http"));
    if !is_first || !in_http || !cx.is_whole || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    if cx.levels.first().is_some_and(|outermost| !outermost.below().compresses) {
        let message = format!("\"{}\" has no effect: gzip is off", cx.d.name.str());
        found.push(Finding::new(cx.d.args_span(), message, "add: gzip on;"));
    }
}

fn unused_certificate(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(server) = cx.blocks.last().filter(|block| block.name.is("server")) else { return };
    let is_first =
        cx.is_first("ssl_certificate") || cx.is_first("acme_certificate") && !cx.level().has("ssl_certificate");
    // `ssl on` enables TLS; `ssl off` is intentional.
    if !is_first || cx.ssl().is_some() {
        return;
    }
    // Includes are expanded in the tree, so `listen` directives in other files are seen.
    let listens = || server.block.iter().flatten().filter(|d| d.name.is("listen"));
    let has_other_warning =
        |d: &Directive| d.args.first().is_some_and(|word| word.str().rsplit(':').next() == Some("443"));
    if listens().next().is_some() && !listens().any(|d| is_tls(d) || has_other_warning(d) || cx.shares_tls(d)) {
        let message = "no `listen` of this server has `ssl`: it speaks plain HTTP, without this certificate";
        let finding = Finding::new(cx.d.span, message, "write: listen 443 ssl;");
        found.push(match listens().next() {
            Some(listen) => finding.note(listen.span, "it listens"),
            None => finding,
        });
    }
}

fn untrusted_header(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is_first("real_ip_header") || !cx.is_whole {
        return;
    }
    let has = |name: &str| cx.levels.iter().any(|level| level.has(name));
    let trusts = |d: &Directive| d.name.is("set_real_ip_from") || d.name.is("include");
    if !has("set_real_ip_from") && !has("include") && !below(cx.level().all, trusts) {
        let message = "the header is never read: no address is trusted to send it";
        found.push(Finding::new(cx.d.args_span(), message, "add: set_real_ip_from ADDRESS; of the proxy in front"));
    }
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

fn missing_named_location(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("error_page") && !cx.is("try_files") {
        return;
    }
    let Some(word) = cx.d.args.last() else { return };
    let text = word.str();
    if !text.starts_with('@') || text.contains('$') {
        return;
    }
    let Some(server) = cx.inside("server") else {
        // In http it applies to every server.
        let has = |d: &Directive| d.name.is("include") || location(d).is_some_and(|(_, name)| name.is(&text));
        if cx.is_in("http") && !below(cx.level().all, has) {
            let message = format!("named location \"{text}\" could not be found: no server has such a location");
            found.push(Finding::new(word.span, message, format!("add to each server: location {text} {{ … }}")));
        }
        return;
    };
    if server.location(b"", word.bytes()).is_some() {
        return;
    }
    let near = cx.may_compare().then(|| {
        let known = server.location_names().filter(|name| name.starts_with(b"@")).map(String::from_utf8_lossy);
        let known: Vec<String> = known.map(|name| name.into_owned()).collect();
        crate::config::suggest::did_you_mean(&text, known.iter().map(String::as_str))
    });
    let near = near.flatten();
    found.push(Finding::new(
        word.span,
        format!("named location \"{text}\" could not be found: there is no such location in this server"),
        near.unwrap_or_else(|| format!("add: location {text} {{ … }}")),
    ));
}
