//! Response headers whose value no browser understands: the header is sent, and protects or allows nothing.

use super::exposure::credentials;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::suggest;

pub const RULES: &[Rule] = &[Rule {
    code: "W156",
    title: "a header whose value browsers ignore",
    page: "A browser that does not understand the value of a header goes on as if it were not there: X-Frame-Options is \
           `DENY` or `SAMEORIGIN` (for a list of sites there is `frame-ancestors` of Content-Security-Policy), \
           X-Content-Type-Options `nosniff`; Strict-Transport-Security needs its max-age; keywords of \
           Content-Security-Policy stand in single quotes (`'self'`, else it is a host called \"self\"), and its rules end \
           with `;`; a cookie with `SameSite=None` needs `Secure`; \
           Access-Control-Allow-Origin is one origin without a path, or `*`; a number of seconds follows `max-age=` and \
           Access-Control-Max-Age, and Retry-After has one, or a date.",
    about: &["add_header"],
    check: ignored_value,
}];

fn ignored_value(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let text = value.str();
    // An empty value is not sent, and a variable may have any.
    if !cx.is("add_header") || text.trim().is_empty() || text.contains('$') {
        return;
    }
    let lower = text.to_ascii_lowercase();
    let slip = match &name.lower()[..] {
        b"x-frame-options" => frame_options(&lower),
        b"x-content-type-options" => one_word(&lower, "nosniff"),
        b"strict-transport-security" => {
            let help = || "write: \"max-age=31536000; includeSubDomains\"".to_owned();
            let has_age = lower.contains("max-age=");
            let slip = (!has_age).then(|| ("has no `max-age=`", help()));
            let is_torn = || lower.split(';').any(|part| part.trim().contains(' '));
            let slip = slip
                .or_else(|| lower.contains(',').then(|| ("has a comma where `;` stands between its parts", help())));
            let slip = slip.or_else(|| is_torn().then(|| ("has no `;` between its parts", help())));
            slip.or_else(|| transport_word(&lower))
        }
        b"set-cookie" => cross_site_cookie(&lower),
        b"access-control-allow-methods" | b"access-control-allow-headers" | b"access-control-expose-headers" => {
            listed(cx, &text)
        }
        b"referrer-policy" => referrer_policy(&lower),
        b"content-security-policy" | b"content-security-policy-report-only" => security_policy(&lower),
        b"access-control-allow-origin" => allowed_origin(&lower),
        b"access-control-max-age" => {
            let is_number = lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            (!is_number).then(|| ("which is no number of seconds", "write seconds, as in: 86400".to_owned()))
        }
        b"permissions-policy" => {
            let is_older = lower.contains('\'') && !lower.contains('=');
            let slip =
                ("in the syntax of the older Feature-Policy", "write: \"geolocation=(), camera=(self)\"".to_owned());
            is_older.then_some(slip)
        }
        b"cache-control" => max_age(&lower),
        b"cross-origin-resource-policy" => one_of(&lower, &["same-origin", "same-site", "cross-origin"]),
        b"cross-origin-opener-policy" => {
            one_of(&lower, &["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"])
        }
        b"cross-origin-embedder-policy" => one_of(&lower, &["require-corp", "credentialless", "unsafe-none"]),
        b"retry-after" => {
            // A date has letters, and a digit of its day, too.
            let is_time = lower.bytes().all(|byte| byte.is_ascii_digit()) || lower.ends_with("gmt");
            (!is_time)
                .then(|| ("which is neither a number of seconds nor a date", "write seconds, as in: 600".to_owned()))
        }
        _ => None,
    };
    if let Some((why, help)) = slip {
        let message = format!("browsers ignore this {}: \"{text}\" {why}", name.str());
        found.push(Finding::new(value.span, message, help));
    }
}

/// A list of methods or headers.
fn listed(cx: &RuleContext, text: &str) -> Slip {
    if text == "*" && credentials(cx.level()).is_some() {
        let help = "name them, as in: \"Authorization, Content-Type\"";
        return Some(("stands for all of them only where no credentials are allowed", help.to_owned()));
    }
    let words: Vec<&str> = text.split([' ', ';', '|']).filter(|word| !word.is_empty()).collect();
    let help = || format!("write: \"{}\"", words.join(", "));
    (words.len() > 1 && !text.contains(',')).then(|| ("has no commas between its words", help()))
}

type Slip = Option<(&'static str, String)>;

fn frame_options(lower: &str) -> Slip {
    const WORDS: [&str; 2] = ["sameorigin", "deny"];
    if let Some(site) = lower.strip_prefix("allow-from").map(str::trim).filter(|site| !site.is_empty()) {
        let help = format!("name the sites by: add_header Content-Security-Policy \"frame-ancestors {site}\";");
        return Some(("is not supported any more", help));
    }
    // A slip of one of the words is W044's.
    let is_slip = suggest::nearest(lower, WORDS).is_some() && !lower.contains([' ', ',', ';', ':']);
    (!is_slip).then(|| ("is neither DENY nor SAMEORIGIN", "write SAMEORIGIN, or leave the line out".to_owned()))
}

/// Words of which one is the value; parameters may follow.
fn one_of(lower: &str, words: &[&'static str]) -> Slip {
    let word = lower.split(';').next().unwrap_or_default().trim();
    let help = || match suggest::nearest(word, words.iter().copied()) {
        // What follows the word stays: the value is not replaced as a whole.
        Some(near) if lower.contains(';') => format!("the word is {near}"),
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it takes one of: {}", words.join(", ")),
    };
    (!words.contains(&word)).then(|| ("is not a word it takes", help()))
}

fn one_word(lower: &str, word: &str) -> Slip {
    let is_slip = suggest::nearest(lower, [word]).is_some() && !lower.contains([' ', ',', ';', ':']);
    (!is_slip).then(|| ("is not the word it takes", format!("write {word}")))
}

fn referrer_policy(lower: &str) -> Slip {
    const POLICIES: [&str; 8] = [
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    ];
    let mut words = lower.split(',').map(str::trim);
    if words.any(|word| POLICIES.contains(&word)) {
        return None;
    }
    let near = suggest::nearest(lower.trim(), POLICIES).unwrap_or("strict-origin-when-cross-origin");
    Some(("is no policy", format!("did you mean \"{near}\"?")))
}

/// `SameSite=None` is for cookies that other sites' pages send along, which browsers take with `Secure` only.
fn cross_site_cookie(lower: &str) -> Slip {
    let mut parts = lower.split(';').map(|part| part.trim().replace(' ', ""));
    let is_for_all = parts.any(|part| part == "samesite=none");
    let is_secure = lower.split(';').any(|part| part.trim() == "secure");
    (is_for_all && !is_secure).then(|| ("is SameSite=None without Secure", "add: Secure".to_owned()))
}

/// `includeSubDomain`, which is no word of Strict-Transport-Security.
fn transport_word(lower: &str) -> Slip {
    const WORDS: [&str; 2] = ["includesubdomains", "preload"];
    let mut words = lower.split(';').map(str::trim).filter(|word| !word.is_empty() && !word.contains('='));
    let wrong = words.find(|word| !WORDS.contains(word) && suggest::nearest(word, WORDS).is_some())?;
    let near = suggest::nearest(wrong, WORDS)?;
    let near = if near == "preload" { near } else { "includeSubDomains" };
    Some(("has a word that it does not know", format!("did you mean \"{near}\"?")))
}

/// The rules of a policy.
const POLICY_RULES: [&str; 32] = [
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "navigate-to",
    "object-src",
    "plugin-types",
    "prefetch-src",
    "referrer",
    "reflected-xss",
    "report-to",
    "report-uri",
    "require-sri-for",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
];

/// A rule whose name is none: `default-src:`, `frame-ancestor`. A newer one that is not listed is like none of them.
fn policy_rule(lower: &str) -> Slip {
    let names = lower.split(';').filter_map(|rule| rule.split_ascii_whitespace().next());
    for name in names.filter(|name| !POLICY_RULES.contains(name) && *name != "worker-src") {
        let plain = name.trim_end_matches(':');
        if plain != name && POLICY_RULES.contains(&plain) {
            return Some(("has a colon behind the name of a rule", format!("write: {plain} 'self'")));
        }
        if let Some(near) = suggest::nearest(plain, POLICY_RULES) {
            return Some(("has a rule that there is not", format!("did you mean \"{near}\"?")));
        }
    }
    None
}

/// Keywords that are hosts without their quotes, and commas, behind which another policy begins.
fn security_policy(lower: &str) -> Slip {
    if let Some(slip) = policy_rule(lower) {
        return Some(slip);
    }
    if lower.contains(", ") || lower.contains(" ,") {
        return Some((
            "has a comma, behind which another policy begins",
            "`;` stands between its rules, and a space between sources".to_owned(),
        ));
    }
    const KEYWORDS: [&str; 6] = ["self", "none", "unsafe-inline", "unsafe-eval", "strict-dynamic", "unsafe-hashes"];
    let is_bare = |word: &&str| {
        KEYWORDS.contains(word)
            || ["nonce-", "sha256-", "sha384-", "sha512-"].iter().any(|start| word.starts_with(start))
    };
    let mut sources = lower.split(';').flat_map(|rule| rule.split_ascii_whitespace().skip(1));
    let word = sources.find(is_bare)?;
    Some((
        "has a keyword without its quotes, which is a host so",
        format!("write '{word}' in single quotes, and the whole in double ones"),
    ))
}

fn allowed_origin(lower: &str) -> Slip {
    let text = lower.trim();
    if text.contains([',', ' ']) {
        return Some((
            "is more than one origin",
            "let a `map` of $http_origin choose the one that asks, and add `Vary: Origin`".to_owned(),
        ));
    }
    if text.len() > 1 && text.contains('*') {
        let help = "let a `map` of $http_origin with a regex choose the one that asks, and add `Vary: Origin`";
        return Some(("is a pattern, and only `*` alone is known", help.to_owned()));
    }
    let after = text.split_once("://").map(|(_, rest)| rest);
    match after {
        Some(rest) if rest.contains('/') => {
            let origin = text.split('/').take(3).collect::<Vec<_>>().join("/");
            Some(("has a path, which no origin has", format!("write {origin}")))
        }
        None if text != "*" && text != "null" => Some(("has no scheme", format!("write https://{text}"))),
        _ => None,
    }
}

/// `max-age: 3600`, `max-age 3600`, `max-age=1d`.
fn max_age(lower: &str) -> Slip {
    let part = lower.split(',').map(str::trim).find(|part| part.starts_with("max-age"))?;
    let value = part.trim_start_matches("max-age");
    let is_right = value.strip_prefix('=').is_some_and(|seconds| {
        let seconds = seconds.trim_matches('"');
        !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit())
    });
    (!is_right).then(|| ("has no number of seconds behind `max-age=`", "write seconds, as in: max-age=3600".to_owned()))
}
