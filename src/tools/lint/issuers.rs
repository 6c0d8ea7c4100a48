//! Certificates from an authority: settings of a trial that were left, names that no authority certifies, files that
//! are not a whole chain.

use super::blocks::{authority, location};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W177",
        title: "a certificate without its intermediate certificates",
        page: "`cert.pem` of certbot and others is the site's certificate alone: browsers that do not have the one that signed it \
               refuse the site, while others have it in their cache. Name the whole chain: `ssl_certificate …/fullchain.pem;`.",
        about: &["ssl_certificate"],
        check: alone,
    },
    Rule {
        code: "W338",
        title: "a challenge behind a password",
        page: "The authority asks for `/.well-known/acme-challenge/` without a password, from addresses that it does not tell: where \
               the server asks for one, or denies, the certificate is not renewed. Write `auth_basic off;` and `allow all;` in \
               the location.",
        about: &["location"],
        check: asked_for_a_password,
    },
    Rule {
        code: "W221",
        title: "a certificate authority for tests",
        page: "Certificates of a staging authority are for tests: no browser trusts them. Write the `uri` of the real one, as in \
               https://acme-v02.api.letsencrypt.org/directory.",
        about: &["uri"],
        check: staging,
    },
    Rule {
        code: "W222",
        title: "a certificate authority that anyone can impersonate",
        page: "With `ssl_verify off` the certificate of the authority is not looked at: anyone on the way can take its place, get \
               the account and hand out certificates. For an authority of your own, name its root: \
               `ssl_trusted_certificate FILE;`.",
        about: &["ssl_verify"],
        check: unverified,
    },
    Rule {
        code: "W223",
        title: "certificates that are ordered at every start",
        page: "Without a place that lasts (`state_path off`, or one in /tmp) each start orders the certificates again, and \
               authorities allow a few a week: then the site is without one. Write a directory below /var/lib.",
        about: &["state_path"],
        check: forgotten,
    },
    Rule {
        code: "W224",
        title: "a name that no public authority certifies",
        page: "Public authorities certify names that anyone can look up: not `localhost`, a single word, or names below .local, .lan, \
               .internal, .home, .corp and .test. `ssl_certificate auto;` makes a certificate for them on this machine.",
        about: &["acme_certificate"],
        check: private_name,
    },
];

fn alone(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("ssl_certificate")) else { return };
    let text = word.str();
    let name = text.rsplit('/').next().unwrap_or_default();
    let is_meant = matches!(name, "cert.pem" | "cert1.pem");
    let Some(directory) = text.strip_suffix(name).filter(|_| is_meant) else { return };
    let whole = || cx.path(word, |paths| &paths.conf_dir).map(|path| path.with_file_name("fullchain.pem"));
    if directory.contains("/letsencrypt/live/") || whole().is_some_and(|path| path.exists()) {
        let message = "this is the site's certificate alone: some browsers cannot tell who signed it";
        let help = format!("name the whole chain: ssl_certificate {directory}fullchain.pem;");
        found.push(Finding::new(word.span, message, help));
    }
}

fn asked_for_a_password(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((_, name)) = location(cx.d) else { return };
    if memchr::memmem::find(name.bytes(), b"/.well-known/acme").is_none_or(|at| at >= 2) {
        return;
    }
    let has = |name: &str| cx.children().iter().any(|d| d.name.is(name));
    let is_free = |lines: &[&str]| lines.iter().any(|name| has(name));
    if is_free(&["return", "rewrite", "include", "satisfy"]) || cx.levels().any(|level| level.has("satisfy")) {
        return;
    }
    let asking = |name: &str| {
        let line = cx.levels().find_map(|level| level.first_of(name))?;
        (!line.says("off") && !has(name)).then_some(line)
    };
    let denying = || cx.levels().find_map(|level| level.first_of("deny")).filter(|_| !is_free(&["allow", "deny"]));
    let asks = asking("auth_basic").or_else(|| asking("auth_request"));
    let (by, help) = match asks {
        Some(by) => (by, format!("add: {} off;", by.name.str())),
        None => match denying() {
            Some(by) => (by, "add: allow all;".to_owned()),
            None => return,
        },
    };
    let message = "the authority is refused here: the certificate is not renewed";
    found.push(Finding::new(cx.d.args_span(), message, help).note(by.span, "inherited from here"));
}

fn staging(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("uri") {
        return;
    }
    let Some(word) = cx.d.args.first().filter(|_| cx.is_in("acme_issuer")) else { return };
    let text = word.str();
    let host = authority(&text);
    if host.contains("staging") || host.starts_with("acme-test") || text.contains("/test/") {
        let real =
            if host.ends_with("letsencrypt.org") { "https://acme-v02.api.letsencrypt.org/directory" } else { "URL" };
        let message = "this authority is for tests: no browser trusts its certificates";
        found.push(Finding::new(word.span, message, format!("write: uri {real};")));
    }
}

fn unverified(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("ssl_verify") {
        return;
    }
    if cx.is_in("acme_issuer") && cx.d.says("off") {
        let message = "anyone on the way can pass for this authority";
        found.push(Finding::new(
            cx.d.span,
            message,
            "leave it out; for one of your own: ssl_trusted_certificate FILE;",
        ));
    }
}

fn forgotten(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("state_path") {
        return;
    }
    let Some(word) = cx.d.args.first().filter(|_| cx.is_in("acme_issuer")) else { return };
    let text = word.str();
    if text == "off" || ["/tmp/", "/run/", "/dev/shm/", "/var/run/"].iter().any(|start| text.starts_with(start)) {
        let message = "certificates are ordered again at every start, which authorities allow a few times a week";
        found.push(Finding::new(word.span, message, "write a directory that lasts: state_path /var/lib/webserv/acme;"));
    }
}

/// Whether a public authority can check that someone owns the name.
fn is_private(word: &Word) -> bool {
    const ENDS: [&str; 11] = [
        "local",
        "lan",
        "internal",
        "intranet",
        "home",
        "corp",
        "test",
        "localhost",
        "localdomain",
        "invalid",
        "example",
    ];
    let text = word.str().to_ascii_lowercase();
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    is_name && (ENDS.contains(&last) || !text.contains('.')) && text.parse::<std::net::IpAddr>().is_err()
}

/// Whether an issuer of this name is a public authority. One of one's own certifies what it likes.
fn is_public(http: &Level, issuer: &Word) -> bool {
    const PUBLIC: [&str; 5] = ["letsencrypt.org", "zerossl.com", "buypass.", "pki.goog", "sslcom"];
    let is_it =
        |d: &&Directive| d.name.is("acme_issuer") && d.args.first().is_some_and(|name| name.bytes() == issuer.bytes());
    let defined = http.all.iter().find(is_it);
    let uri = defined.and_then(|d| d.block.iter().flatten().find(|d| d.name.is("uri"))?.args.first());
    uri.map_or(issuer.is("default"), |uri| PUBLIC.iter().any(|name| uri.str().contains(name)))
}

fn private_name(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(issuer) = cx.d.args.first().filter(|_| cx.is("acme_certificate")) else { return };
    let mut own = cx.d.args.iter().skip(1).filter(|word| !word.bytes().contains(&b'=')).peekable();
    let mut of_server = cx.level().all.iter().filter(|d| d.name.is("server_name")).flat_map(|d| &d.args);
    let private = match own.peek() {
        Some(_) => own.find(|word| is_private(word)),
        None => of_server.find(|word| is_private(word)),
    };
    if let (Some(word), Some(http)) = (private, cx.inside("http"))
        && is_public(http, issuer)
    {
        let message = format!("no public authority certifies \"{}\"", word.str());
        let finding = Finding::new(word.span, message, "for a private name: ssl_certificate auto;");
        found.push(finding.note(cx.d.span, "ordered here"));
    }
}
