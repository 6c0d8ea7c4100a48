//! Punctuation that other languages use between a name and its value or around a name, and that is literal here.

use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Word;
use crate::config::resolve::placeholder::is_in_capitals;
use crate::config::syntax;

pub const RULES: &[Rule] = &[Rule {
    code: "W064",
    title: "punctuation that is part of a word here",
    page: "Names and values are separated by spaces: in `fastcgi_param HTTPS: on` the colon is part of the name, in \
           `alias =/srv/a/` the `=` part of the path, and `try_files $uri || /index.html` looks for a file called \
           `||`. So are the marks around a name that a template program should have replaced, `%NAME%` and `@@NAME@@`.",
    about: &[
        "alias",
        "error_page",
        "fastcgi_hide_header",
        "fastcgi_param",
        "gzip_types",
        "log_format",
        "proxy_hide_header",
        "proxy_pass_header",
        "root",
        "scgi_param",
        "server_name",
        "try_files",
        "uwsgi_param",
    ],
    check: stray_sign,
}];

fn stray_sign(cx: &RuleContext, found: &mut Vec<Finding>) {
    let slip = match cx.name() {
        b"root" | b"alias" => cx.d.args.first().and_then(|word| path(cx, word)),
        b"server_name" => cx.d.args.iter().find_map(unfilled),
        b"try_files" => operator(cx),
        b"gzip_types" => cx.d.args.iter().find_map(|word| listed(cx, word)),
        b"error_page" => status_for_page(cx),
        b"log_format" => cx.d.args.first().and_then(|word| with_comma(cx, word)),
        name if [&b"_param"[..], b"_hide_header", b"_pass_header"].iter().any(|end| name.ends_with(end)) => {
            cx.d.args.first().and_then(|word| with_colon(cx, word))
        }
        _ => None,
    };
    found.extend(slip);
}

/// `%NAME%`, `@@NAME@@`, `__NAME__`.
fn unfilled(word: &Word) -> Option<Finding> {
    memchr::memchr3(b'%', b'@', b'_', word.bytes())?;
    let text = word.str();
    let is_mark = |mark: &&str| {
        let name = text.split(*mark).nth(1).unwrap_or_default();
        text.matches(*mark).count() == 2 && is_in_capitals(name)
    };
    let mark = ["%", "@@", "__", "@"].into_iter().find(|mark| is_mark(mark))?;
    let message = format!("\"{text}\" is taken literally: no name is filled in between `{mark}`");
    Some(Finding::new(
        word.span,
        message,
        "write the value, or have the template's program make the file; a variable is $name",
    ))
}

fn path(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    let Some(right) = text.strip_prefix('=').filter(|right| right.starts_with(['/', '$'])) else {
        return unfilled(word);
    };
    let message = format!("the `=` is part of the path \"{text}\"");
    Some(Finding::new(word.span, message, format!("leave out the `=`: {} {right};", cx.d.name.str())))
}

fn operator(cx: &RuleContext) -> Option<Finding> {
    let is_operator =
        |word: &&Word| ["||", "|", "&&", "or", "->", "=>"].iter().any(|sign| !word.quoted && word.is(sign));
    let word = cx.d.args.iter().find(is_operator)?;
    let rest = syntax::line(cx.d.args.iter().filter(|word| !is_operator(word)));
    let message = format!("`{}` is the name of a file here: what is tried is separated by spaces", word.str());
    Some(Finding::new(word.span, message, format!("remove it: try_files {rest};")))
}

fn listed(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    if !text.trim().contains(' ') || !text.contains('/') {
        return None;
    }
    let message = format!("\"{text}\" is one type, which no response has");
    let help = format!("each type is a word of its own, without quotes: {} {};", cx.d.name.str(), text.trim());
    Some(Finding::new(word.span, message, help))
}

fn status_for_page(cx: &RuleContext) -> Option<Finding> {
    let (word, codes) = cx.d.args.split_last().filter(|(_, codes)| !codes.is_empty())?;
    let is_status = word.len() == 3 && word.bytes().iter().all(u8::is_ascii_digit);
    let text = word.str();
    let message = format!("\"{text}\" is the page here, and no status");
    let help = format!("a URI ends the line: error_page {} {text} /{text}.html;", syntax::line(codes));
    is_status.then(|| Finding::new(word.span, message, help))
}

fn with_comma(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    let plain = text.strip_suffix([',', ':'])?;
    let message = format!("the `{}` is part of the name \"{text}\"", text.get(plain.len()..)?);
    Some(Finding::new(word.span, message, format!("write: {} {plain} …", cx.d.name.str())))
}

fn with_colon(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    let plain = text.strip_suffix([':', '='])?;
    let sign = text.get(plain.len()..)?;
    let rest = syntax::line(cx.d.args.iter().skip(1));
    let message = format!("the `{sign}` is part of the name \"{text}\"");
    let help = format!("a name stands without it: {}", format!("{} {plain} {rest}", cx.d.name.str()).trim_end());
    Some(Finding::new(word.span, message, format!("{help};")))
}
