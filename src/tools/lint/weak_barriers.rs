//! Barriers that hold no one back: what everyone can send lets in, a tunnel leads everywhere, one check is none.

use super::blocks::condition;
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W185",
        title: "a cookie or a header with a well-known value that lets in",
        page: "Everyone can send `Cookie: admin=yes`: a rule that refuses all others lets in every client that sends it, and such \
               values are tried. Ask for a password (`auth_basic`), or an application (`auth_request`).",
        about: &["if"],
        check: guessed,
    },
    Rule {
        code: "W187",
        title: "a tunnel for everyone",
        page: "`tunnel_pass` connects every client with every address that this server reaches, the networks behind it as well. Let \
               in those who may use it (`allow`, `deny all`, `auth_basic`), or name where it leads: a `map` of $host.",
        about: &["tunnel_pass"],
        check: open_tunnel,
    },
    Rule {
        code: "W188",
        title: "a session's cookie that is sent in the clear",
        page: "A cookie without `Secure` is sent with plain requests of the same host as well, where others on the way can read it. A \
               server that speaks TLS alone adds `; Secure` to the cookies that it sets.",
        about: &["add_header"],
        check: insecure_cookie,
    },
    Rule {
        code: "W354",
        title: "satisfy any with one check, which has no effect",
        page: "`satisfy any` lets in who passes one of several checks. Where there is a password alone and no `allow` or `deny`, \
               everyone is asked for it, as without `satisfy`. Name the addresses that need none: \
               `allow 10.0.0.0/8; deny all;`.",
        about: &["satisfy"],
        check: one_check,
    },
];

fn guessed(cx: &RuleContext, found: &mut Vec<Finding>) {
    const WORDS: [&str; 9] = ["1", "yes", "true", "on", "ok", "admin", "root", "y", "allow"];
    let Some(condition) = condition(cx.d) else { return };
    let name = condition.subject.trim_start_matches('$');
    let is_sent = ["cookie_", "http_x_"].iter().any(|family| name.starts_with(family));
    let is_word = WORDS.iter().any(|word| condition.text.eq_ignore_ascii_case(word));
    if is_sent && is_word && condition.equality() == Some(false) && locks_out(cx.children()) {
        let message = format!("everyone can send \"{}\" in ${name}, and is let in", condition.text);
        let help = "ask for a password (auth_basic), or an application (auth_request)";
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

/// Whether a block refuses with a status for those who may not, and not for what is asked (404, 405, 409).
fn locks_out(level: &[Directive]) -> bool {
    let is_such = |code: &Word| code.is("401") || code.is("403");
    level.iter().any(|d| d.name.is("return") && d.args.first().is_some_and(is_such))
}

/// Whether a server takes requests of other machines for any host: a CONNECT names the host it asks for, so that a
/// server with names, which is not the one for all other hosts, tunnels to its own names alone.
fn is_reached(cx: &RuleContext) -> bool {
    let Some(server) = cx.inside("server") else { return true };
    let listens = server.named("listen");
    let is_local = |listen: &&Directive| {
        let text = listen.args.first().map(Word::str).unwrap_or_default();
        ["127.", "[::1]", "localhost", "unix:"].iter().any(|start| text.starts_with(start))
    };
    let is_name = |word: &Word| !word.bytes().starts_with(b"~") && word.bytes().contains(&b'.');
    let has_names = server.named("server_name").iter().take(COMPARED).flat_map(|d| &d.args).any(is_name);
    let is_private = !listens.is_empty() && listens.iter().take(COMPARED).all(is_local);
    !is_private && (!has_names || cx.may_compare() && is_default(cx, listens))
}

/// Whether one of these `listen` lines is that of the server for all other hosts: by its word, or as the first.
fn is_default(cx: &RuleContext, listens: &[&Directive]) -> bool {
    let says_it = |listen: &Directive| listen.args.iter().any(|word| word.is("default_server") || word.is("default"));
    let address = |listen: &Directive| listen.args.first().map(|word| word.bytes().to_vec());
    let around = cx.blocks.iter().rposition(|block| block.name.is("server")).and_then(|at| cx.levels.get(at));
    let all = around.map(Level::servers).unwrap_or_default();
    let is_it = |own: &&Directive| {
        let mut same = all.iter().flat_map(|server| &server.listens).filter(|other| address(other) == address(own));
        let first = same.next();
        let is_first = first.is_none_or(|first| std::ptr::eq(*first, *own));
        says_it(own) || is_first && !same.any(|other| says_it(other))
    };
    // A server without a `listen` has port 80.
    listens.is_empty() || listens.iter().take(COMPARED).any(is_it)
}

fn open_tunnel(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_free = |d: &Directive| d.args.first().is_none_or(|word| word.bytes().starts_with(b"$host"));
    let is_asked = cx.levels().any(|level| {
        level.authenticates() || ["allow", "auth_basic", "if", "ssl_verify_client"].iter().any(|name| level.has(name))
    });
    if cx.is("tunnel_pass") && is_free(cx.d) && !is_asked && is_reached(cx) {
        let message = "everyone may have a connection made to any address that this server reaches";
        let help = "let in those who may use it: allow and deny all, or auth_basic";
        found.push(Finding::new(cx.d.span, message, help));
    }
}

fn insecure_cookie(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    if !cx.is("add_header") || name.lower() != b"set-cookie" || !cx.speaks_tls_only() {
        return;
    }
    let text = value.str().to_ascii_lowercase();
    let is_secure = text.split(';').skip(1).any(|part| part.trim() == "secure");
    let name = text.split('=').next().unwrap_or_default();
    let is_session = ["sess", "sid", "token", "auth", "login", "jwt"].iter().any(|part| name.contains(part));
    let is_taken_back = text.contains("max-age=0") || text.contains("1970");
    if is_session && !is_secure && !is_taken_back && !text.contains('$') {
        let message = "this cookie is sent with plain requests as well, where others can read it";
        found.push(Finding::new(value.span, message, "end it with `; Secure`"));
    }
}

fn one_check(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|word| cx.is_first("satisfy") && word.is("any")) else { return };
    let is_checked = |level: &Level| {
        ["allow", "deny", "auth_request", "signed_link", "auth_jwt", "include"].iter().any(|name| level.has(name))
    };
    let mut levels = cx.levels();
    let is_asked = cx.level().has("auth_basic");
    // A block inside may have the other check.
    let is_inside = super::blocks::below(cx.level().all, |d| d.name.is("allow") || d.name.is("deny"));
    if is_asked && !is_inside && !levels.any(is_checked) {
        let message = "`satisfy any` has no effect: the password is the only check";
        found.push(Finding::new(word.span, message, "name who needs no password: allow 10.0.0.0/8; deny all;"));
    }
}
