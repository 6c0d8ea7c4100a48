//! Punctuation with another meaning than intended: a dash in a variable's name, two ports in one address, a regex after
//! `=`, an alias without a slash.

use super::blocks::{condition, location};
use super::rule::{EVERY, Finding, Rule, RuleContext};
use crate::config::template::Builtin;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W020",
        title: "a dash that ends a variable's name",
        page: "Names of variables have letters, digits and `_`: `$request-id` is $request, then the text \"-id\". Write \
               `$request_id`, or `${request}-id` where the text is meant.",
        about: EVERY,
        check: dashed,
    },
    Rule {
        code: "W021",
        title: "an address that is a number",
        page: "`listen 8080:80` is port 80 of the address 0.0.31.144, which the number 8080 stands for. A server listens on \
               its own port alone; that one port leads to another is a matter of containers (`-p 8080:80`).",
        about: &["listen"],
        check: two_ports,
    },
    Rule {
        code: "W022",
        title: "a comparison with a regex",
        page: "`=` and `!=` compare letter by letter: `if ($request_uri = \"^/admin\")` is never true. A regex has `~`, or `~*` \
               where letter case does not matter.",
        about: &["if"],
        check: compared_regex,
    },
    Rule {
        code: "W023",
        title: "an alias without the trailing slash of its location",
        page: "What follows the location is appended to the alias as it stands: with `location /i/ { alias /srv/i; }` the file \
               of /i/x is /srv/ix. End both with a slash.",
        about: &["alias"],
        check: alias_without_slash,
    },
];

/// `set ${a} 1;`, `set $my-var 1;`: a name that `$name` cannot refer to.
fn unreadable_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    let at = match cx.name() {
        b"set" => 0,
        b"map" | b"geo" | b"split_clients" => cx.d.args.len().wrapping_sub(1),
        _ => return,
    };
    let Some(word) = cx.d.args.get(at) else { return };
    let text = word.str();
    let Some(name) = text.strip_prefix('$').filter(|name| !name.is_empty()) else { return };
    let plain: String = name.trim_matches(['{', '}']).chars().map(|c| if c == '-' { '_' } else { c }).collect();
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name(name) && is_name(&plain) {
        let message = format!("nothing reads this variable: `{text}` is not written as a name is where it is used");
        found.push(Finding::new(word.span, message, format!("write {} ${plain}", cx.d.name.str())));
    }
}

fn dashed(cx: &RuleContext, found: &mut Vec<Finding>) {
    unreadable_name(cx, found);
    for word in cx.d.args.iter().filter(|word| word.bytes().contains(&b'$')) {
        let text = word.str();
        for (at, _) in text.match_indices('$') {
            let rest = text.get(at + 1..).unwrap_or_default();
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
            let written = rest.get(..end).unwrap_or_default().trim_end_matches('-');
            let joined = written.replace('-', "_");
            let is_name = |name: &str| Builtin::of(name).is_some();
            let first = written.split('-').next().unwrap_or_default();
            if written.contains('-') && (is_name(&joined) && is_name(first) || cuts_a_header(first, &joined)) {
                found.push(Finding::new(
                    word.part(at, at + 1 + written.len()),
                    format!("`-` ends the name: this is ${first}, then \"{}\"", &written[first.len()..]),
                    format!("did you mean ${}?", joined.to_ascii_lowercase()),
                ));
            }
        }
    }
}

/// `$http_x-forwarded-for`: this variable exists too, but is only half of what was meant.
fn cuts_a_header(first: &str, joined: &str) -> bool {
    const FAMILIES: [&str; 4] = ["http_", "sent_http_", "upstream_http_", "proxy_add_"];
    let (first, joined) = (first.to_ascii_lowercase(), joined.to_ascii_lowercase());
    let Some(name) = FAMILIES.iter().find_map(|family| first.strip_prefix(family)) else { return false };
    let whole = FAMILIES.iter().find_map(|family| joined.strip_prefix(family)).unwrap_or_default();
    let halves = [
        "x", "cf", "user", "if", "content", "cache", "set", "last", "true", "sec", "access", "strict", "www", "fastly",
    ];
    halves.contains(&name)
        || matches!(whole, "accept_encoding" | "accept_language" | "accept_charset" | "accept_ranges")
}

/// `GET|POST`.
fn is_choice(text: &str) -> bool {
    let mut words = text.trim_start_matches('(').split('|');
    text.contains('|') && words.all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn compared_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(condition) = condition(cx.d) else { return };
    let (Some(is_equal), Some(value)) = (condition.equality(), condition.operand) else { return };
    let (written, sign) = if is_equal { ("=", "~") } else { ("!=", "!~") };
    let (subject, text) = (&*condition.subject, &*condition.text);
    let is_host = ["$host", "$http_host", "$server_name"].contains(&subject);
    if let Some(suffix) = text.strip_prefix('*').filter(|suffix| is_host && suffix.starts_with('.')) {
        let message = format!("`{written}` compares letter by letter: `*` is a letter here, which no host has");
        let help = format!("a regex has `{sign}`: if ({subject} {sign} {}$)", suffix.replace('.', "\\."));
        return found.push(Finding::new(value.part(0, text.len()), message, help));
    }
    let plain = text.trim_matches('*');
    // `*/*` and `image/*` are what clients send.
    if subject != "$http_accept"
        && plain.bytes().any(|b| b.is_ascii_alphanumeric())
        && text.len() > plain.len()
        && plain.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-/".contains(&b))
    {
        let message = format!("`{written}` compares letter by letter: `*` is a letter here");
        let (start, end) = (if text.starts_with('*') { "" } else { "^" }, if text.ends_with('*') { "" } else { "$" });
        let help = format!("a regex has `{sign}`: if ({subject} {sign}* \"{start}{plain}{end}\")");
        return found.push(Finding::new(value.part(0, text.len() + 2 * usize::from(value.quoted)), message, help));
    }
    if text.starts_with('^') || text.ends_with('$') || text.contains(".*") || text.contains("\\.") || is_choice(text) {
        found.push(Finding::new(
            value.part(0, text.len() + 2 * usize::from(value.quoted)),
            format!("`{written}` compares letter by letter, and this is written like a regex"),
            format!("a regex has `{sign}`: if ({subject} {sign} \"{text}\")"),
        ));
    }
}

fn alias_without_slash(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(word)) = (cx.blocks.last(), cx.d.args.first()) else { return };
    let Some((b"" | b"^~", name)) = location(block).filter(|_| cx.is("alias")) else { return };
    let (prefix, text) = (name.str(), word.str());
    let is_file = text.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if prefix.ends_with('/') && !text.ends_with('/') && !text.contains('$') && !is_file {
        let message = format!("\"{prefix}x\" is looked for as \"{text}x\", without a slash between them");
        let finding = Finding::new(word.span, message, format!("end it with a slash as well: alias {text}/;"));
        found.push(finding.note(name.span, "the location ends with one"));
    }
}

fn two_ports(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("listen")) else { return };
    let text = word.str();
    // `80.443`: the short form of an address.
    if let Some((first, last)) = text.split_once('.')
        && first != "127"
        && let (Ok(_), Ok(_)) = (first.parse::<u16>(), last.parse::<u16>())
    {
        let message = format!("\"{text}\" is an address of two numbers, not a port");
        let help = format!("a port has no dot: listen {last}; (or listen {first};)");
        return found.push(Finding::new(word.span, message, help));
    }
    let Some((host, port)) = text.split_once(':') else { return };
    if let (Ok(number), Ok(_)) = (host.parse::<u32>(), port.parse::<u16>()) {
        let address = std::net::Ipv4Addr::from(number);
        found.push(Finding::new(
            word.span,
            format!("\"{text}\" is port {port} of the address {address}"),
            format!("one port is enough: listen {host}; (or listen {port};)"),
        ));
    }
}
