//! What applications lack: the file to run, the slash of a URI, the whole of a name.

use super::blocks::{Pass, authority, location, passes, sets};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use super::targets::begins_with_host;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W320",
        title: "a scheme where HTTPS is on or empty",
        page: "Applications take any value of the parameter HTTPS but `off` for TLS, \"http\" too: they make links to https, and set \
               cookies that the browser does not send back. `$https` is `on` or empty: `fastcgi_param HTTPS $https if_not_empty;`.",
        about: &["fastcgi_param", "uwsgi_param", "scgi_param"],
        check: scheme_as_https,
    },
    Rule {
        code: "W065",
        title: "a rewrite to a URI without its slash",
        page: "A path begins with `/`: `rewrite ^/a$ b;` makes the URI \"b\", which no location has, and \
               `rewrite ^ www.example.org permanent;` redirects to a path of this site. Write `/b`, or the scheme as well: \
               `https://www.example.org`.",
        about: &["rewrite"],
        check: no_slash,
    },
    Rule {
        code: "W066",
        title: "PHP without SCRIPT_FILENAME",
        page: "PHP runs the file that SCRIPT_FILENAME names, and answers with an empty page, or \"Primary script unknown\", without \
               it. nginx's `fastcgi_params` does not set it, its `fastcgi.conf` does. Add \
               `fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;`.",
        about: &["fastcgi_pass"],
        check: no_script,
    },
    Rule {
        code: "W089",
        title: "the name of an upstream as the Host",
        page: "Without `proxy_set_header Host` the application is asked for the host of `proxy_pass`: the name of the upstream. One \
               with a `_` is no host name at all, which Django, Tomcat and others refuse with 400; links that are made of it \
               lead nowhere. Add `proxy_set_header Host $host;`.",
        about: &["proxy_pass"],
        check: name_of_group,
    },
    Rule {
        code: "W090",
        title: "the path of a script below an alias",
        page: "With `alias` $document_root is the directory of the alias, and $fastcgi_script_name the whole URI with the name of \
               the location: together they name a file that is not there (\"Primary script unknown\"). $request_filename is the \
               file that the alias leads to.",
        about: &["fastcgi_param"],
        check: script_below_alias,
    },
    Rule {
        code: "W098",
        title: "a PATH_INFO that is always empty",
        page: "$fastcgi_path_info is what `fastcgi_split_path_info` cuts off the URI: without that line it is empty, and \
               /index.php/a/b is looked for as one file. Add `fastcgi_split_path_info ^(.+\\.php)(/.*)$;`.",
        about: &["fastcgi_param"],
        check: unsplit,
    },
    Rule {
        code: "W067",
        title: "a map key that no User-Agent equals",
        page: "A key without `~` is compared with the whole value: `bot` matches a client that calls itself \"bot\" and nothing \
               more. A part of the name is found by a regex: `~*bot`.",
        about: &["map"],
        check: whole_agent,
    },
];

fn unsplit(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("fastcgi_param") {
        return;
    }
    let Some(value) = cx.d.args.get(1).filter(|word| word.is("$fastcgi_path_info")) else { return };
    // A file of parameters may be read where it is not used.
    let is_used = cx.level().has("fastcgi_pass") && cx.is_whole && !cx.level().has("include");
    if is_used && !cx.levels().any(|level| level.has("fastcgi_split_path_info")) {
        let message = "always empty: nothing cuts off the path behind the script";
        found.push(Finding::new(value.span, message, "add: fastcgi_split_path_info ^(.+\\.php)(/.*)$;"));
    }
}

/// The group that a replacement begins with, if the slash before it is left out: `rewrite ^/a/(.*)$ $1`.
fn begins_with_group(cx: &RuleContext, text: &str) -> Option<char> {
    let digit = text.strip_prefix('$')?.chars().next().filter(|digit| *digit == '1')?;
    // `proxy_pass http://app/$uri` puts the slash back.
    let is_put_back =
        |d: &&crate::config::ast::Directive| d.args.first().is_some_and(|word| word.bytes().contains(&b'$'));
    if passes(&[Pass::Http]).filter_map(|name| cx.level().first_of(name)).any(|d| is_put_back(&d)) {
        return None;
    }
    let regex = cx.d.args.first()?.str();
    let (before, group) = regex.split_once('(')?;
    let is_outside = before.starts_with("^/") && before.ends_with('/') && !before.contains(['\\', '[', '|', '?']);
    (is_outside && (group.starts_with(".*)") || group.starts_with(".+)"))).then_some(digit)
}

fn no_slash(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [_, target, rest @ ..] = &cx.d.args[..] else { return };
    let text = target.str();
    let is_path = text.starts_with(['/', '$', '?']) || text.contains("://") || text.is_empty() || text == "-";
    let is_redirect = || rest.iter().any(|flag| flag.is("permanent") || flag.is("redirect"));
    if let Some(digit) = begins_with_group(cx, &text).filter(|_| cx.is("rewrite") && !is_redirect()) {
        let message = format!("the path that is made does not begin with a slash: ${digit} is what follows it");
        return found.push(Finding::new(target.span, message, format!("write: /{text}")));
    }
    if let Some(name) = begins_with_host(cx, &text).filter(|_| cx.is("rewrite") && is_redirect()) {
        let message = format!("the host in ${name} is taken for a path");
        return found.push(Finding::new(target.span, message, format!("write the scheme as well: $scheme://{text}")));
    }
    if !cx.is("rewrite") || is_path {
        return;
    }
    let first = text.split('/').next().unwrap_or_default();
    let is_host = first.contains('.') && is_redirect();
    let message = format!("\"{text}\" is no path: a path begins with `/`");
    let help = match is_host {
        true => format!("write the scheme as well: https://{text}"),
        false => format!("write /{text}"),
    };
    found.push(Finding::new(target.span, message, help));
}

fn no_script(cx: &RuleContext, found: &mut Vec<Finding>) {
    const NAME: &[u8] = b"SCRIPT_FILENAME";
    let Some(address) = cx.d.args.first().filter(|_| cx.is("fastcgi_pass")) else { return };
    let is_php = |text: &str| text.to_ascii_lowercase().contains("php");
    let runs_php = is_php(&address.str()) || cx.location().is_some_and(|(_, path)| is_php(&path.str()));
    if !runs_php || !cx.is_whole {
        return;
    }
    // The innermost level that has any gives all of them.
    let Some(level) = cx.levels().find(|level| level.has("fastcgi_param")) else { return };
    let mut given = level.all.iter().filter(|d| d.name.is("fastcgi_param"));
    if given.any(|d| d.args.first().is_some_and(|name| name.bytes() == NAME)) {
        return;
    }
    let message = "PHP is not told which file to run: SCRIPT_FILENAME is not passed";
    let help = "add: fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;";
    found.push(Finding::new(cx.d.args_span(), message, help));
}

fn name_of_group(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let host = authority(&text);
    let is_group = || cx.levels.iter().any(|level| level.has_upstream(host.as_bytes()));
    // The innermost level that has any sets all of them.
    let names_host = |level: &Level| {
        let mut lines = level.all.iter().filter(|d| d.name.is("proxy_set_header"));
        lines.any(|d| sets(d, "host").is_some())
    };
    let is_set = || {
        let has_any = |level: &&Level| level.has("proxy_set_header") || level.has("include");
        cx.levels().find(has_any).is_some_and(|level| level.has("include") || names_host(level))
    };
    if host.contains('_') && cx.is_whole && is_group() && !is_set() {
        let message = format!("the application is asked for the host \"{host}\", which is no host name");
        found.push(Finding::new(word.span, message, "add: proxy_set_header Host $host;"));
    }
}

fn script_below_alias(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let text = value.str().replace(['{', '}'], "");
    let is_joined = text == "$document_root$fastcgi_script_name" || text == "$document_root$uri";
    if !cx.is("fastcgi_param") || !name.is("SCRIPT_FILENAME") || !is_joined {
        return;
    }
    let inner = cx.levels().zip(cx.blocks.iter().rev()).find(|(level, _)| level.has("alias") || level.has("root"));
    let Some((level, block)) = inner.filter(|(level, _)| level.has("alias")) else { return };
    let alias = level.first_of("alias");
    let is_prefix = location(block).is_some_and(|(sign, name)| (sign.is_empty() || sign == b"^~") && name.len() > 1);
    // A rewrite may take the name of the location off the URI.
    if let Some(alias) = alias.filter(|_| is_prefix && !cx.levels().any(|level| level.has("rewrite"))) {
        let message = "the alias replaces the name of the location, and this appends the whole URI to it";
        let help = "write: fastcgi_param SCRIPT_FILENAME $request_filename;";
        found.push(Finding::new(value.span, message, help).note(alias.span, "the alias"));
    }
}

fn scheme_as_https(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_param = ["fastcgi_param", "uwsgi_param", "scgi_param"].iter().any(|param| cx.is(param));
    if is_param && name.is("HTTPS") && (value.is("$scheme") || value.is("$http_x_forwarded_proto")) {
        let message = format!("{} may be \"http\": applications take any value for HTTPS", value.str());
        // Behind a front that ends TLS $https is empty.
        let (https, table) = match value.is("$scheme") {
            true => ("$https", ""),
            false => ("$front_https", " with: map $http_x_forwarded_proto $front_https { https on; }"),
        };
        let help = format!("write: {} HTTPS {https} if_not_empty;{table}", cx.d.name.str());
        found.push(Finding::new(value.span, message, help));
    }
}

/// Parts of the User-Agents of browsers and common programs. A longer text (`my-bot`) may be a whole User-Agent.
pub const AGENTS: [&str; 40] = [
    "bot",
    "crawl",
    "crawler",
    "spider",
    "slurp",
    "curl",
    "wget",
    "mozilla",
    "chrome",
    "firefox",
    "safari",
    "msie",
    "trident",
    "android",
    "iphone",
    "ipad",
    "python",
    "python-requests",
    "scrapy",
    "opera",
    "googlebot",
    "bingbot",
    "yandexbot",
    "baiduspider",
    "duckduckbot",
    "applebot",
    "ahrefsbot",
    "semrushbot",
    "mj12bot",
    "dotbot",
    "petalbot",
    "gptbot",
    "ccbot",
    "claudebot",
    "bytespider",
    "facebookexternalhit",
    "twitterbot",
    "adsbot-google",
    "amazonbot",
    "sogou",
];

/// Whether a text is one of [`AGENTS`].
pub fn is_agent(text: &str) -> bool {
    AGENTS.iter().any(|agent| text.eq_ignore_ascii_case(agent))
}

fn whole_agent(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("map") || !cx.d.says("$http_user_agent") {
        return;
    }
    for line in cx.children().iter().filter(|line| line.args.len() == 1) {
        if is_agent(&line.name.str()) {
            let message = format!("\"{}\" is compared with the whole User-Agent, which is longer", line.name.str());
            found.push(Finding::new(
                line.name.span,
                message,
                format!("a part is found by a regex: ~*{}", line.name.str()),
            ));
        }
    }
}
