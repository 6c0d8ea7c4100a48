//! Rules that seem to restrict access but do not, and information that helps attackers.

use super::blocks::{Pass, is_pass, location, passes, refuses};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use super::values::is_off;
use crate::config::ast::{Directive, Word};
use crate::config::syntax::quoted;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W114",
        title: "a return that answers before access is checked",
        page: "`return` runs in the rewrite phase, before `allow`, `deny` and `auth_basic`: in the same block they never \
               decide anything. Put what needs protection into a location that serves files or proxies, or check by `if` \
               before the `return`.",
        about: &["return", "rewrite"],
        check: answered_before,
    },
    Rule {
        code: "W115",
        title: "a Referer check that requests without a Referer pass",
        page: "`none` in `valid_referers` lets requests without the header in, and any client can leave it out. Leave \
               `none` out where the check protects something; nothing that matters should depend on Referer alone.",
        about: &["valid_referers"],
        check: empty_referer,
    },
    Rule {
        code: "W116",
        title: "a regex that does not match at the end only",
        page: "`\\.php` matches /x.php.jpg as well, and `~example\\.org` the host example.org.evil.test. End the regex with \
               `$`, and begin one of a host with `^`.",
        about: &["location", "server_name"],
        check: open_end,
    },
    Rule {
        code: "W118",
        title: "Content-Type set by add_header",
        page: "`add_header Content-Type` adds a second header beside the one that the response has, and clients take either. \
               Write `default_type`, or `types { }`.",
        about: &["add_header"],
        check: second_type,
    },
    Rule {
        code: "W119",
        title: "every response shows the server's version",
        page: "`server_tokens on` shows the version in the Server header and on error pages, which tells attackers what to \
               try; `build` shows the name of the build as well. Write `server_tokens off;`.",
        about: &["server_tokens"],
        check: version,
    },
    Rule {
        code: "W120",
        title: "root in one location only",
        page: "A `root` inside a location holds there alone: the other locations of the server take files from the default, \
               a directory called html. Write `root` once, in the server, and in a location only what differs.",
        about: &["location"],
        check: root_in_location,
    },
    Rule {
        code: "W121",
        title: "a public resolver",
        page: "Answers of a name server outside your network can be forged on their way, and lead `proxy_pass` elsewhere. \
               Name one on this machine or in your network: `resolver 127.0.0.53;`.",
        about: &["resolver"],
        check: public_resolver,
    },
    Rule {
        code: "W122",
        title: "alias in a regex location that captures nothing",
        page: "In a regex location the path is made of the captures: `location ~ ^/img/ { alias /srv/img/; }` leads every \
               request to the directory itself. Write `location ~ ^/img/(.*)$ { alias /srv/img/$1; }`, or a prefix.",
        about: &["alias"],
        check: alias_without_capture,
    },
];

/// Rules that also run at every start: ineffective protection.
pub const AT_START: &[Rule] = &[Rule {
    code: "W117",
    title: "auth_basic without a password file",
    page: "Without `auth_basic_user_file`, in this block or above it, `auth_basic` asks for nothing: everyone is let in \
               (as in nginx).",
    about: &["auth_basic"],
    check: no_passwords,
}];

fn is_rule(d: &Directive) -> bool {
    // `allow all` says what is so without it.
    d.name.is("deny")
        || d.name.is("allow") && !d.says("all")
        || d.name.is("auth_basic") && !d.args.iter().any(|word| word.is("off"))
}

fn answered_before(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if cx.is_first("rewrite") {
        return redirected_before(cx, found);
    }
    if !cx.is_first("return") {
        return;
    }
    if cx.is_in("if") {
        return answered_by_if(cx, found);
    }
    if !(cx.is_in("location") || cx.is_in("server")) {
        return;
    }
    // A return that refuses everyone is intentional.
    let refuses = cx.d.args.first().is_some_and(|code| matches!(code.bytes(), [b'4' | b'5', _, _]));
    if let Some(rule) = level.all.iter().find(|d| is_rule(d)).filter(|_| !refuses) {
        let message = format!("\"{}\" here never decides: this answers before access is checked", rule.name.str());
        let help = "put the answer into a location of its own (try_files with a file, or error_page), or use `if`";
        return found.push(Finding::new(cx.d.name.span, message, help).note(rule.span, "the rule"));
    }
    if !level.all.iter().any(|d| d.name.is("auth_basic")) && cx.is_in("location") {
        answered_below(cx, found);
    }
}

/// A location of a protected server that answers with content of its own. What monitors and crawlers ask for is meant
/// for everyone.
fn answered_below(cx: &RuleContext, found: &mut Vec<Finding>) {
    const OPEN: [&str; 9] = ["health", "ping", "alive", "ready", "live", "robots", "favicon", "well-known", "status"];
    const SAID: [&[u8]; 9] = [b"ok", b"pong", b"up", b"alive", b"healthy", b"ready", b"live", b"true", b"1"];
    let ([code, text], Some((b"" | b"^~" | b"~" | b"~*", name))) = (&cx.d.args[..], cx.location()) else { return };
    // A line end at its end may be written as `\n`.
    let said = text.str().to_ascii_lowercase();
    let is_said = SAID.contains(&said.trim_end().trim_end_matches("\\n").as_bytes());
    let is_open = is_said || name.is("/up") || OPEN.iter().any(|word| name.str().contains(word));
    let is_checked = || {
        cx.level().has("allow")
            || cx.level().all.iter().any(|d| d.name.is("if") && refuses(d.block.as_deref().unwrap_or_default()))
    };
    if !code.is("200") || text.is_empty() || is_open || cx.level().has("internal") || is_checked() {
        return;
    }
    let Some(above) = cx.levels().skip(1).find(|level| ["allow", "deny", "auth_basic"].iter().any(|n| level.has(n)))
    else {
        return;
    };
    if let Some(rule) = above.first_of("deny").or_else(|| above.first_of("auth_basic")).filter(|d| is_rule(d)) {
        let message = format!("\"{}\" of the level above never decides on this answer", rule.name.str());
        let help = "a `return` answers before access is checked: put the text into a file, or check by `if` before it";
        found.push(Finding::new(cx.d.name.span, message, help).note(rule.span, "the rule"));
    }
}

/// A location with access rules that does nothing but redirect by `rewrite`.
fn redirected_before(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let leads = match &cx.d.args[..] {
        [_, url, ..] if url.bytes().starts_with(b"http") => true,
        [_, _, flag] => flag.is("redirect") || flag.is("permanent"),
        _ => false,
    };
    let is_other = |d: &Directive| !is_rule(d) && !d.name.is("rewrite") && !d.name.is("auth_basic_user_file");
    if !leads || !cx.is_in("location") || level.all.iter().any(is_other) {
        return;
    }
    if let Some(rule) = level.all.iter().find(|d| is_rule(d)) {
        let message = format!("\"{}\" here never decides: this redirects before access is checked", rule.name.str());
        let help = "leave the rule out: it belongs to the location that the redirect leads to";
        found.push(Finding::new(cx.d.name.span, message, help).note(rule.span, "the rule"));
    }
}

/// An `if` that answers with content before the access rules of its block are checked.
fn answered_by_if(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, _text] = &cx.d.args[..] else { return };
    let Some(around) = cx.levels().nth(1).filter(|_| code.bytes().starts_with(b"2")) else { return };
    // A browser's preflight request carries no credentials.
    let is_preflight =
        cx.blocks.last().is_some_and(|block| block.args.iter().any(|word| word.str().starts_with("OPTIONS")));
    if let Some(rule) = around.all.iter().find(|d| is_rule(d)).filter(|_| !is_preflight) {
        let message =
            format!("\"{}\" never decides on this answer: it is given before access is checked", rule.name.str());
        let help = "put the answer into a location of its own, or check by `if` before it";
        found.push(Finding::new(cx.d.name.span, message, help).note(rule.span, "the rule"));
    }
}

fn empty_referer(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(word) = cx.d.args.iter().find(|word| cx.is("valid_referers") && word.is("none")) {
        let message = "`none` lets every request in that has no Referer";
        found.push(Finding::new(word.span, message, "leave `none` out, and do not rely on Referer alone"));
    }
}

/// An extension at the end of a regex without `$`: `\.php`, `\.(jpg|png)`.
fn extension(regex: &str) -> Option<&str> {
    let at = regex.rfind("\\.")?;
    let tail = regex.get(at + 2..)?;
    let inside = tail.strip_prefix('(').and_then(|tail| tail.strip_suffix(')')).unwrap_or(tail);
    let inside = inside.trim_start_matches("?:");
    let plain = !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"|?".contains(&byte));
    // `/\.ht` is the beginning of a name.
    let is_name = regex.get(..at).is_some_and(|before| before.is_empty() || !before.ends_with(['/', '^']));
    (plain && is_name).then_some(tail)
}

/// Whether a block does nothing but refuse requests.
pub fn only_refuses(all: &[Directive]) -> bool {
    let refuses = |d: &Directive| match (d.name.bytes(), d.args.first()) {
        (b"deny", Some(word)) => word.is("all"),
        (b"return", Some(code)) => code.bytes().starts_with(b"4"),
        (b"access_log" | b"log_not_found" | b"error_log", _) => true,
        _ => false,
    };
    all.iter().any(|d| d.name.is("deny") || d.name.is("return")) && all.iter().all(refuses)
}

fn open_end(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some((modifier, word)) = location(cx.d)
        && modifier.starts_with(b"~")
    {
        let text = word.str();
        // If it refuses requests, also matching longer names (/x.php~) is welcome.
        if let Some(tail) = extension(&text).filter(|_| !only_refuses(cx.children())) {
            let message = format!("\"{text}\" also matches names that go on after \"{tail}\"");
            found.push(Finding::new(word.span, message, format!("end it: \"{text}$\"")));
        }
    }
    if cx.is("server_name") {
        for word in cx.d.args.iter().filter(|word| word.bytes().starts_with(b"~")) {
            let text = word.str();
            let regex = text.trim_start_matches('~');
            let is_host = regex.contains("\\.") || regex.contains('.');
            // `~^www\.` deliberately matches all hosts with this prefix.
            let is_open = regex.ends_with(".*") || regex.ends_with(".+") || regex.ends_with("\\.");
            if is_host && !regex.ends_with('$') && !is_open {
                let message = format!("\"{text}\" also matches hosts that only begin so");
                found.push(Finding::new(word.span, message, format!("end it: \"{text}$\"")));
            }
        }
    }
}

fn no_passwords(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|word| cx.is("auth_basic") && !is_off(&word.lower())) else { return };
    let named = |level: &Level| level.has("auth_basic_user_file");
    let inside = |level: &Level| {
        level.all.iter().flat_map(|d| d.block.iter().flatten()).any(|d| d.name.is("auth_basic_user_file"))
    };
    if !cx.levels().any(named) && !inside(cx.level()) {
        let message = "no password is asked for: there is no auth_basic_user_file";
        found.push(Finding::new(word.span, message, "add: auth_basic_user_file htpasswd;"));
    }
}

fn second_type(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    // Responses of programs may lack a type.
    let is_served = !passes(&[Pass::Gateway, Pass::Program]).any(|pass| cx.level().has(pass));
    let is_passed = cx.level().has("proxy_pass");
    let hides = |d: &Directive| {
        d.name.bytes().ends_with(b"_hide_header")
            && d.args.first().is_some_and(|word| word.bytes().eq_ignore_ascii_case(b"content-type"))
    };
    let is_hidden = || cx.levels().any(|level| level.all.iter().any(hides));
    // These have no Content-Type.
    let is_bare =
        |d: &Directive| d.name.is("return") && d.args.first().is_some_and(|code| code.is("204") || code.is("304"));
    let is_one = cx.is("add_header") && name.bytes().eq_ignore_ascii_case(b"content-type");
    // Report once per block.
    let is_first = || cx.level().field("content-type").is_some_and(|first| first.span == cx.d.span);
    if is_one && is_served && is_first() && !cx.level().all.iter().any(is_bare) && !is_hidden() {
        let help = match is_passed {
            true => "add: proxy_hide_header Content-Type;".to_owned(),
            false => format!("write: default_type {};", quoted(&value.str())),
        };
        found.push(Finding::new(name.span, "this is a second Content-Type beside the response's own", help));
    }
}

fn version(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(word) = cx.d.args.first().filter(|word| cx.is("server_tokens") && (word.is("on") || word.is("build"))) {
        found.push(Finding::new(word.span, "every response shows the server's version", "write: server_tokens off;"));
    }
}

/// What makes a location independent of a root, in addition to the pass directives.
const ANSWERS: [&str; 10] =
    ["root", "alias", "return", "stub_status", "status", "empty_gif", "deny", "rewrite", "upload_store", "include"];

/// Reports once per server, at its first location.
fn root_in_location(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let in_server = cx.is_in("server");
    if !in_server || !cx.is_first("location") || cx.levels().any(|level| level.has("root")) {
        return;
    }
    if level.has("return") || level.has("include") {
        return;
    }
    let locations = || level.all.iter().filter_map(|d| Some((d, location(d)?)));
    let inside = |d: &Directive, name: &str| d.block.iter().flatten().any(|d| d.name.is(name));
    let Some((with, _)) = locations().find(|(d, _)| inside(d, "root")) else { return };
    let without = locations().find(|(d, (_, name))| {
        let answers = d.block.iter().flatten().any(|d| is_pass(&d.name.str()));
        // Programs are told the file's path by this variable.
        let names_file =
            |d: &Directive| d.args.iter().any(|word| memchr::memmem::find(word.bytes(), b"$document_root").is_some());
        let needs_root =
            answers && d.block.iter().flatten().any(names_file) && !inside(d, "root") && !inside(d, "include");
        let is_served = needs_root
            || !answers && !ANSWERS.iter().any(|name| inside(d, name)) && !inside(d, "if") && !inside(d, "location");
        is_served && !name.bytes().starts_with(b"@")
    });
    if let Some((_, (_, name))) = without {
        let root = with.block.iter().flatten().find(|d| d.name.is("root")).map_or(with.args_span(), |d| d.span);
        let message = format!("this root holds in its location alone: location \"{}\" has none", name.str());
        let help = "write `root` once, in the server";
        found.push(Finding::new(root, message, help).note(name.span, "the location without one"));
    }
}

fn public_resolver(cx: &RuleContext, found: &mut Vec<Finding>) {
    const PUBLIC: [&str; 10] = [
        "8.8.8.8",
        "8.8.4.4",
        "1.1.1.1",
        "1.0.0.1",
        "9.9.9.9",
        "208.67.222.222",
        "208.67.220.220",
        "4.2.2.2",
        "[2001:4860:4860::8888]",
        "[2606:4700:4700::1111]",
    ];
    let is_public = |word: &&Word| PUBLIC.contains(&word.str().trim_end_matches(":53"));
    if let Some(word) = cx.d.args.iter().find(|word| cx.is("resolver") && is_public(word)) {
        let message = format!("{} is outside your network: its answers can be forged on their way", word.str());
        found.push(Finding::new(word.span, message, "name a resolver of your own: resolver 127.0.0.53;"));
    }
}

fn alias_without_capture(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(word)) = (cx.blocks.last(), cx.d.args.first()) else { return };
    let Some((modifier, name)) = location(block).filter(|_| cx.is("alias")) else { return };
    if modifier.starts_with(b"~") && !word.bytes().contains(&b'$') && word.bytes().ends_with(b"/") {
        let regex = name.str();
        let start = regex.trim_end_matches(['$', '/']);
        let message = format!("every request of \"{regex}\" is led to \"{}\" itself", word.str());
        let help = format!("capture the rest: location ~ {start}/(.*)$ {{ alias {}$1; }}", word.str());
        found.push(Finding::new(word.span, message, help));
    }
}

/// Rule W205 in [`super::order`]: connection counts are for operators only.
pub fn open_status(cx: &RuleContext, found: &mut Vec<Finding>) {
    let shows = ["stub_status", "status", "api", "prometheus"].iter().any(|name| cx.is(name));
    if !shows || cx.d.says("off") {
        return;
    }
    // `allow all` alone lets everyone in.
    let names_some = |d: &Directive| d.name.is("allow") && !d.says("all") && !d.says("0.0.0.0/0");
    let asked = |level: &Level| level.authenticates() || level.has("allow") && level.all.iter().any(names_some);
    if !cx.levels().any(asked) && !is_local(cx) {
        let help = "add: allow 127.0.0.1; deny all;";
        found.push(Finding::new(cx.d.name.span, "the status page is open to anyone", help));
    }
}

/// Whether the server can only be reached by unix sockets, whose file permissions restrict access.
fn is_local(cx: &RuleContext) -> bool {
    let Some(server) = cx.inside("server") else { return false };
    let mut listens = server.all.iter().filter(|d| d.name.is("listen"));
    let is_unix = |d: &Directive| d.args.first().is_some_and(|word| word.bytes().starts_with(b"unix:"));
    server.has("listen") && listens.all(is_unix)
}
