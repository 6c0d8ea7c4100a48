//! Regexes meant to allow certain origins, hosts or Referers that also allow others.

use super::blocks::{self, condition};
use super::regexes::{bare_dot, regexes_of};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W190",
        title: "a referer that any site can have",
        page: "A regex of `valid_referers` is looked for anywhere behind the scheme: `~example` also matches \
               https://evil.test/?example. Write the dots of the name: `*.example.org`, or `~\\.example\\.`.",
        about: &["valid_referers"],
        check: any_referer,
    },
    Rule {
        code: "W107",
        title: "an origin check that other origins pass",
        page: "A regex for Origin, Referer or a host must end where the host ends: `^https://a\\.test` also matches \
               https://a.test.evil.test. End it with `$`, or with `/` for a Referer; write dots as `\\.`.",
        about: &["if", "map"],
        check: open_origin,
    },
];

/// Whether a match refuses the request, so that matching more is harmless.
fn refuses(block: &Directive) -> bool {
    let is_met = condition(block).is_none_or(|condition| condition.sign.is_none() || condition.regex() == Some(true));
    is_met && blocks::refuses(block.block.as_deref().unwrap_or_default())
}

/// Whether the variable of a map is only used to refuse matching requests.
fn names_the_refused(cx: &RuleContext) -> bool {
    let name = cx.d.args.get(1).map(|word| word.str().into_owned()).unwrap_or_default();
    let asking = cx.level().ifs_about(&name);
    !asking.is_empty() && asking.iter().all(|block| block.args.len() == 1 && refuses(block))
}

/// `$http_origin`, `$http_referer` or `$http_host`, if a directive lets in what its regexes match of it.
fn checked(cx: &RuleContext) -> Option<&'static str> {
    let one_of = |name: &str| ["$http_origin", "$http_referer", "$http_host"].into_iter().find(|known| *known == name);
    match cx.name() {
        b"if" => {
            let condition = condition(cx.d).filter(|_| !refuses(cx.d))?;
            // `^www\.` deliberately tests only how a host begins.
            let is_start = condition.text.trim_end_matches(')').ends_with("\\.");
            one_of(&condition.subject).filter(|subject| *subject != "$http_host" || !is_start)
        }
        b"map" => {
            let subject = one_of(&cx.d.args.first()?.str())?;
            (subject != "$http_host" && !names_the_refused(cx)).then_some(subject)
        }
        _ => None,
    }
}

fn any_referer(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_open = |word: &&Word| {
        let text = word.str().into_owned();
        text.strip_prefix('~').is_some_and(|regex| !regex.is_empty() && !regex.contains(['.', '^', '/', '$']))
    };
    if let Some(word) = cx.d.args.iter().find(|word| cx.is("valid_referers") && is_open(word)) {
        let text = word.str();
        let name = text.trim_start_matches('~');
        let message = format!("\"{name}\" may stand anywhere: a page of any site may have it in its address");
        found.push(Finding::new(word.span, message, "name the hosts: *.example.org, or ~\\.example\\."));
    }
}

fn open_origin(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(subject) = checked(cx) else { return };
    for regex in regexes_of(cx.d) {
        // Slashes may be escaped.
        let text = regex.text.replace("\\/", "/").replace("/{2}", "//");
        if let Some((message, help)) = passes_others(&text, subject == "$http_referer", subject == "$http_origin") {
            found.push(Finding::new(regex.word.span, message, help));
        }
    }
}

/// Whether a path follows the host.
fn has_path(regex: &str) -> bool {
    regex.split("://").nth(1).is_some_and(|host| host.replace("[^/", "[^").contains('/'))
}

/// What is wrong with a regex for hosts, and the correction.
fn passes_others(regex: &str, referer: bool, of_origin: bool) -> Option<(String, String)> {
    let names_a_host = regex.contains("\\.") || regex.contains("://") || regex.contains('.');
    let ends = regex.ends_with('$')
        || regex.ends_with("$)")
        || regex.contains("(/|$)")
        || regex.contains("($|/)")
        || regex.contains("(?:/|$)")
        || has_path(regex);
    if names_a_host && !ends {
        let help = format!("end it where the host ends: \"{regex}{}\"", if referer { "/" } else { "$" });
        return Some((format!("\"{regex}\" also matches hosts that only begin like this one"), help));
    }
    // An Origin has nothing behind the host: what ends like this is a name below it, or the host itself.
    let name = ["\\.", "://", "(^|\\.|://)"].iter().find_map(|start| regex.strip_prefix(start)?.strip_suffix('$'));
    let is_literal = |name: &str| !name.contains(['*', '+', '|', '?', '$']) && bare_dot(name).is_none();
    if of_origin && name.is_some_and(|name| name.contains("\\.") && is_literal(name)) {
        return None;
    }
    if names_a_host && !regex.starts_with('^') {
        let help = format!("begin it with the scheme: \"^https?://{regex}\"");
        return Some((format!("\"{regex}\" also matches hosts that only end like this one"), help));
    }
    if of_origin && regex.split("://").nth(1).is_some_and(|rest| rest.ends_with('/') || rest.ends_with("/$")) {
        let help = format!("end it where the host ends: \"{}$\"", regex.trim_end_matches('$').trim_end_matches('/'));
        return Some((format!("\"{regex}\" matches no Origin: it has no path, nor a slash at its end"), help));
    }
    let has_scheme = regex.contains("//") || regex.starts_with("^.") || regex.starts_with("^(.");
    if of_origin && names_a_host && !has_scheme {
        let help = format!("begin it with the scheme: \"^https?://{}\"", regex.trim_start_matches('^'));
        return Some((format!("\"{regex}\" matches no Origin: it begins with a scheme"), help));
    }
    if let Some(anything) = anything_within(regex) {
        let message = format!("\"{regex}\" also matches hosts of others: `{anything}` may be any part of the name");
        return Some((message, "write the name out, and let a dot stand behind what may vary".to_owned()));
    }
    if let Some((anything, is_end)) = anything_beside(regex) {
        let which = if is_end { "begin" } else { "end" };
        let message =
            format!("\"{regex}\" also matches hosts that only {which} like this one: `{anything}` may be part of them");
        let help = match is_end {
            true => "end it where the host ends: (:[0-9]+)?$",
            false => "let what stands before it end with a dot: ([a-z0-9-]+\\.)?",
        };
        return Some((message, help.to_owned()));
    }
    let at = bare_dot(regex)?;
    let (before, rest) = regex.split_at_checked(at)?;
    let message = format!("a dot in \"{regex}\" matches any character, so that another host passes");
    Some((message, format!("escape it: \"{before}\\{rest}\"")))
}

/// A wildcard in the name that is registered: `https://exa.+ple\.org`, behind which less than two dots follow.
fn anything_within(regex: &str) -> Option<&'static str> {
    let (_, host) = regex.split_once("://")?;
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let within = |any: &&&'static str| {
        let (before, rest) = host.split_once(**any)?;
        let name = rest.split(['/', '$', ')', '|']).next().unwrap_or_default();
        (before.ends_with(is_letter) && name.starts_with(is_letter) && name.matches("\\.").count() == 1).then_some(())
    };
    [".+", ".*", "[^/]+", "[^/]*"].iter().find(|any| within(any).is_some()).copied()
}

/// A wildcard directly before the host (false) or after it (true), by which another host can match:
/// `://([^/]+)?a\.test`, `a\.test.*$`.
fn anything_beside(regex: &str) -> Option<(&'static str, bool)> {
    const ANYTHING: [&str; 10] =
        ["([^/]+)?", "([^/]*)", "[^/]+", "[^/]*", "(.*)", "(.+)", "(.*)?", "(.+)?", ".*", ".+"];
    let (_, host) = regex.split_once("://")?;
    let host = host.trim_end_matches([')']).trim_end_matches('$');
    let names = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && rest.contains("\\.");
    if let Some(found) = ANYTHING.iter().find(|any| host.strip_prefix(**any).is_some_and(names)) {
        return Some((found, false));
    }
    let ends = |any: &&&str| {
        let before = host.strip_suffix(**any)?;
        (before.ends_with(|c: char| c.is_ascii_alphanumeric()) && !has_path(regex)).then_some(())
    };
    ANYTHING.iter().find(|any| ends(any).is_some()).map(|found| (*found, true))
}

#[cfg(test)]
mod tests {
    use super::passes_others;

    #[test]
    fn a_regex_for_hosts_begins_and_ends_where_the_host_does() {
        for (regex, of_origin, expected) in [
            (r"^https://([^/]+)?a\.test([^/]+)?$", true, Some("end like this one")),
            (r"^https://a\.test([^/]+)?$", true, Some("begin like this one")),
            (r"^https://.*a\.test$", true, Some("end like this one")),
            (r"^https://a\.test.*$", false, Some("begin like this one")),
            (r"^https?://a\.test/", true, Some("matches no Origin")),
            (r"^https?://a\.test/", false, None),
            (r"^https://([a-z0-9-]+\.)?a\.test(:[0-9]+)?$", true, None),
            (r"^https://.*\.a\.test$", true, None),
            (r"^https://(.+\.)?a\.test$", true, None),
            (r"^https?://a\.test/.*$", false, None),
        ] {
            let found = passes_others(regex, !of_origin, of_origin).map(|(message, _)| message);
            match (&found, expected) {
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{regex}: {found}"),
                (found, expected) => assert_eq!(found.as_deref(), expected, "{regex}"),
            }
        }
    }
}
