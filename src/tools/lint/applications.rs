//! What applications lack: the file to run, the slash of a URI, the whole of a name.

use super::rule::{Finding, Rule, RuleContext};

pub const RULES: &[Rule] = &[
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
        code: "W067",
        title: "a map key that no User-Agent is",
        page: "A key without `~` is compared with the whole value: `bot` matches a client that calls itself \"bot\" and nothing \
               more. A part of the name is found by a regex: `~*bot`.",
        about: &["map"],
        check: whole_agent,
    },
];

fn no_slash(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [_, target, rest @ ..] = &cx.d.args[..] else { return };
    let text = target.str();
    let is_path = text.starts_with(['/', '$', '?']) || text.contains("://") || text.is_empty() || text == "-";
    if !cx.is("rewrite") || is_path {
        return;
    }
    let first = text.split('/').next().unwrap_or_default();
    let is_host = first.contains('.') && rest.iter().any(|flag| flag.is("permanent") || flag.is("redirect"));
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

/// Parts of the names of clients, none of which is the whole.
const AGENTS: [&str; 18] = [
    "bot", "crawl", "spider", "slurp", "curl", "wget", "mozilla", "chrome", "firefox", "safari", "msie", "trident",
    "android", "iphone", "ipad", "python", "scrapy", "opera",
];

fn whole_agent(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("map") || !cx.d.args.first().is_some_and(|source| source.is("$http_user_agent")) {
        return;
    }
    for line in cx.children().iter().filter(|line| line.args.len() == 1) {
        let key = line.name.str().to_ascii_lowercase();
        let is_part = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if is_part && AGENTS.iter().any(|agent| key.contains(agent)) {
            let message = format!("\"{}\" is compared with the whole User-Agent, which is longer", line.name.str());
            found.push(Finding::new(
                line.name.span,
                message,
                format!("a part is found by a regex: ~*{}", line.name.str()),
            ));
        }
    }
}
