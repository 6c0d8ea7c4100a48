//! Media types that do not fit what is sent with them, and logs in JSON that no program can read.

use super::blocks::{is_pass, location};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W073",
        title: "an invalid media type",
        page: "A media type has two parts: `default_type html` sends \"html\", which no browser knows, so that it guesses or \
               saves the file. Write `text/html`. A line of `types` without an extension gives its type to no file.",
        about: &["default_type", "types"],
        check: no_media_type,
    },
    Rule {
        code: "W074",
        title: "types that replace all others",
        page: "A `types` block in a location or a server is not added to the one around it, it takes its place: pages, styles and \
               images there are sent with `default_type`, and browsers save them. Write `include mime.types;` into the \
               block, or a location of its own for that extension: `location ~ \\.log$ { types { } default_type text/plain; }`.",
        about: &["types"],
        check: replaced_types,
    },
    Rule {
        code: "W075",
        title: "a text sent with the wrong media type",
        page: "The text of `return` has the type of `default_type` (text/plain unless something else is written), or that of \
               the extension in the URI. A page of HTML is shown as its source so, an object of JSON is refused by \
               programs that ask for its type. Write `default_type text/html;` or `default_type application/json;` beside it.",
        about: &["return"],
        check: other_type,
    },
    Rule {
        code: "W076",
        title: "a JSON log without escape=json",
        page: "Without `escape=json` a quote in a URI or a User-Agent is written as `\\x22`, which is no JSON: the program that \
               reads the log refuses the line. Write `log_format NAME escape=json '{…}';`.",
        about: &["log_format"],
        check: unescaped_json,
    },
];

/// Media types by the word that is written in their place.
const MEANT: [(&str, &str); 12] = [
    ("css", "text/css"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("javascript", "text/javascript"),
    ("jpeg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("plain", "text/plain"),
    ("txt", "text/plain"),
    ("xml", "text/xml"),
];

fn no_media_type(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("types") {
        for line in cx.children().iter().filter(|line| line.args.is_empty() && line.name.bytes().contains(&b'/')) {
            let message = format!("no file has the type \"{}\": its extensions are missing", line.name.str());
            let help = format!("name them behind it: {} EXTENSION …;", line.name.str());
            found.push(Finding::new(line.name.span, message, help));
        }
        return;
    }
    let Some(word) = cx.d.args.first().filter(|_| cx.is("default_type")) else { return };
    let text = word.str();
    if text.is_empty() || text.contains(['/', '$']) {
        return;
    }
    let bare = text.trim_start_matches('.').to_ascii_lowercase();
    let meant = MEANT.iter().find(|(word, _)| *word == bare).map(|(_, meant)| *meant);
    let help = match meant {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "two parts, as in: default_type text/html;".to_owned(),
    };
    found.push(Finding::new(word.span, format!("\"{text}\" is no media type: it has no `/`"), help));
}

/// Blocks with more lines than this are lists of their own.
const FEW: usize = 3;

fn replaced_types(cx: &RuleContext, found: &mut Vec<Finding>) {
    let lines = cx.children();
    let Some(block) = cx.blocks.last().filter(|_| cx.is("types")) else { return };
    // A regex or an exact path names the files for which it is.
    let is_prefix = match location(block) {
        Some((sign, name)) => (sign.is_empty() || sign == b"^~") && name.bytes().starts_with(b"/"),
        None => block.name.is("server"),
    };
    let is_few = (1..=FEW).contains(&lines.len()) && lines.iter().all(|line| line.name.bytes().contains(&b'/'));
    // A directory of its own may have files of no other type.
    let apart: &[&str] = if block.name.is("server") { &["default_type"] } else { &["default_type", "root", "alias"] };
    let is_apart = apart.iter().any(|name| cx.level().has(name));
    // The blocks of one level are added together.
    let all = cx.level().all.iter().filter(|d| d.name.is("types"));
    let types: usize = all.map(|d| d.block.as_deref().unwrap_or_default().len()).sum();
    if !is_prefix || !is_few || is_apart || types > FEW || cx.level().has("include") {
        return;
    }
    let is_handed_on = cx.level().all.iter().any(|d| is_pass(&d.name.str()) || d.name.is("return"));
    let replaced = cx.levels.iter().rev().skip(1).find_map(|level| level.first_of("types"));
    // Without `types`, HTML, GIF and JPEG are built in; an include that was not found may add others.
    let is_known = replaced.is_some() || cx.is_whole && cx.inside("http").is_some();
    if is_known && !is_handed_on {
        let message = "all other types are replaced: other files here are sent with default_type";
        let help = "write into it as well: include mime.types; (or give these extensions a location of their own)";
        let finding = Finding::new(cx.d.name.span, message, help);
        found.push(match replaced {
            Some(replaced) => finding.note(replaced.name.span, "the types that it replaces"),
            None => finding,
        });
    }
}

fn other_type(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [_, word] = &cx.d.args[..] else { return };
    let text = word.str();
    let text = text.trim_start();
    let is_letter = |at: usize| text.as_bytes().get(at).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'!');
    let (kind, fits, meant): (_, &[&str], _) = match text.as_bytes().first() {
        Some(b'<') if is_letter(1) => ("HTML", &["html", "xml", "svg"], "text/html"),
        Some(b'{') if matches!(text.as_bytes().get(1), Some(b'"' | b'}')) => ("JSON", &["json"], "application/json"),
        Some(b'[') if matches!(text.as_bytes().get(1), Some(b'"' | b'{' | b']')) => {
            ("JSON", &["json"], "application/json")
        }
        _ => return,
    };
    // The extension in the URI decides before `default_type`.
    let has_extension = cx.location().is_some_and(|(_, name)| name.bytes().contains(&b'.'));
    let is_typed =
        |d: &Directive| d.name.is("add_header") && d.args.first().is_some_and(|word| word.lower() == b"content-type");
    if !cx.is("return") || has_extension || cx.levels.iter().any(|level| level.all.iter().any(is_typed)) {
        return;
    }
    let default = cx.levels.iter().rev().find_map(|level| level.all.get(level.first("default_type")?)?.args.first());
    // Written by name it is meant: the source is to be seen, or not to be run.
    if default.is_some_and(|word| word.bytes().eq_ignore_ascii_case(b"text/plain")) {
        return;
    }
    let default = default.map_or_else(|| "text/plain".to_owned(), |word| word.str().to_ascii_lowercase());
    if default.contains('$') || fits.iter().any(|part| default.contains(part)) {
        return;
    }
    let message = format!("this {kind} is sent as \"{default}\"");
    found.push(Finding::new(word.span, message, format!("add: default_type {meant};")));
}

fn unescaped_json(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((name, rest)) = cx.d.args.split_first().filter(|_| cx.is("log_format")) else { return };
    if rest.first().is_some_and(|word| word.is("escape=json") || word.is("escape=none")) {
        return;
    }
    let texts = rest.iter().filter(|word| !word.bytes().starts_with(b"escape="));
    let text: String = texts.map(Word::str).collect();
    let is_json = text.trim_start().starts_with('{') && text.contains("\":") && text.contains("\"$");
    if is_json {
        let message = "a quote in a value is written as \\x22 here, which is no JSON";
        let help = format!("write: log_format {} escape=json '{{ … }}';", name.str());
        found.push(Finding::new(name.span, message, help));
    }
}
