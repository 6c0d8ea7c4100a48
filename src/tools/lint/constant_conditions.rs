//! Tests with the same outcome for every request: of a file that is never there, by a regex that matches everything.

use super::blocks::{case_of, location};
use super::regexes::regexes_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::pattern::{Case, Pattern};
use crate::config::template::Variables;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W391",
        title: "a table whose lines all say the same",
        page: "A `map` or `geo` whose default is the value of every line gives that value always: `geo $blocked { default 1; \
               203.0.113.0/24 1; }` blocks everyone. One of the two is the other way round.",
        about: &["map", "geo"],
        check: always_the_same,
    },
    Rule {
        code: "W010",
        title: "a file test of a word, or of a URI",
        page: "`if (-f request_filename)` looks for a file called request_filename, and `if (-f $uri)` for one at the top of the \
               file system: neither is there. Write `$request_filename`, which is the file that the URI stands for.",
        about: &["if"],
        check: no_file,
    },
    Rule {
        code: "W313",
        title: "a regex that matches everything",
        page: "`(curl|wget|)` ends in an empty alternative, which matches any text: the condition holds for all requests. Leave \
               out the last `|`.",
        about: &["location", "rewrite", "if", "map", "valid_referers"],
        check: empty_alternative,
    },
];

/// Variables that hold a path of the site, not of the file system.
const URIS: [&str; 3] = ["$uri", "$request_uri", "$document_uri"];

fn no_file(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [test, path] = &cx.d.args[..] else { return };
    let is_test = matches!(test.bytes(), [b'(', b'-', _] | [b'(', b'!', b'-', _]);
    if !cx.is("if") || !is_test {
        return;
    }
    let text = path.str();
    let bare = text.trim_end_matches(')');
    let test = test.str();
    let test = test.trim_start_matches('(');
    if !bare.contains(['$', '/', '.']) {
        let message =
            format!("\"{bare}\" is a file's name here, not a variable: the test is the same for every request");
        found.push(Finding::new(path.span, message, format!("a variable starts with $: if ({test} ${text}")));
    }
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let uri = URIS.iter().find(|uri| bare.strip_prefix(**uri).is_some_and(|rest| !goes_on(rest)));
    if let Some(uri) = uri {
        let message = format!("{uri} is looked for at the top of the file system, not below the root");
        let help = match bare == *uri {
            true => format!("write: if ({test} $request_filename)"),
            false => format!("begin with the root: if ({test} $document_root{bare})"),
        };
        found.push(Finding::new(path.span, message, help));
    }
}

/// A path that no list of words matches: locations and rewrites are matched with paths.
const PROBE: &[u8] = b"/\x01";

fn empty_alternative(cx: &RuleContext, found: &mut Vec<Finding>) {
    let case = location(cx.d).map_or(Case::Insensitive, |(sign, _)| case_of(sign));
    for regex in regexes_of(cx.d).iter().take(COMPARED) {
        // With more of the regex behind it an empty alternative makes a part optional.
        let Some(fixed) = without_empty_end(&regex.text) else { continue };
        let meets = |text: &str| {
            let pattern = Pattern::new(text.as_bytes(), case, &mut Variables::default());
            pattern.is_ok_and(|pattern| pattern.is_match(PROBE).unwrap_or(false))
        };
        if meets(&regex.text) && !meets(&fixed) {
            let message = format!("\"{}\" matches everything: its last alternative is empty", regex.text);
            found.push(Finding::new(regex.word.span, message, format!("leave it out: {fixed}")));
        }
    }
}

/// The regex without the empty alternative that it, or the group that ends it, ends with.
fn without_empty_end(regex: &str) -> Option<String> {
    let body = regex.trim_end_matches(')');
    let before = body.strip_suffix('|')?.trim_end_matches('|');
    let is_sign = !before.ends_with('\\') && !before.is_empty();
    is_sign.then(|| format!("{before}{}", &regex[body.len()..]))
}

/// Rule W083 looks at the conditions that a `map` never meets.
fn always_the_same(cx: &RuleContext, found: &mut Vec<Finding>) {
    let lines = cx.children();
    let Some(default) = lines.iter().find(|line| line.name.is("default")).and_then(|line| line.args.first()) else {
        return;
    };
    const SETTINGS: [&str; 7] = ["default", "hostnames", "volatile", "ranges", "proxy", "proxy_recursive", "delete"];
    let mut others = lines.iter().filter(|line| !SETTINGS.iter().any(|name| line.name.is(name)));
    let is_same = |line: &Directive| line.args.first().is_some_and(|value| value.bytes() == default.bytes());
    let is_fixed = !default.bytes().contains(&b'$');
    if cx.is("geo") && is_fixed && others.clone().next().is_some() && others.all(is_same) {
        let message =
            format!("every line gives \"{}\", as the default does: the variable never differs", default.str());
        let help = "let the default be the other value, or leave the table out";
        found.push(Finding::new(default.span, message, help));
    }
}

#[cfg(test)]
mod tests {
    use super::without_empty_end;

    #[test]
    fn the_empty_alternative_is_the_last_of_the_regex() {
        for (regex, expected) in [
            ("(curl|wget|)", Some("(curl|wget)")),
            ("curl|wget||", Some("curl|wget")),
            ("((a|b)|)", Some("((a|b))")),
            (r"a\|", None),
            ("(a|)b", None),
            ("(a|b)", None),
            ("|", None),
        ] {
            assert_eq!(without_empty_end(regex).as_deref(), expected, "{regex}");
        }
    }
}
