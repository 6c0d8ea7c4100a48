//! Parses the condition of an `if`, and explains mistakes in it.

use crate::config::ast::{Directive, Span, Word, written};
use crate::config::build::Build;
use crate::config::fault::Fault;
use crate::config::pattern::{Case, Pattern};
use crate::config::script::{Condition, PathTest};
use crate::config::template::Builtin;

/// The condition's words, without parentheses.
fn inside(d: &Directive) -> Span {
    let (all, [first, ..]) = (d.args_span(), &d.args[..]) else { return d.name.span };
    let (open, len) = (usize::from(first.bytes().starts_with(b"(")), (all.end - all.start) as usize);
    let close = usize::from(d.args.last().is_some_and(|last| !last.quoted && last.bytes().ends_with(b")")));
    if len > open + close { all.part(open, len - close) } else { all }
}

/// The fault of a condition in another language's syntax. The first check that matches is the most specific.
fn unlike_a_condition(d: &Directive) -> Option<Fault> {
    if let Some(fault) = combined(d).or_else(|| foreign_operator(d)) {
        return Some(fault);
    }
    let first = d.args.first()?;
    let bytes = first.bytes();
    let Some(name) = bytes.strip_prefix(b"(") else {
        let written = written(&d.args);
        return Some(Fault::new(inside(d), format!("invalid condition \"{}\"", first.str())).help(format!(
            "a condition is written in parentheses: if ({})",
            written.trim_matches(['[', ']', '(', ')', ' '])
        )));
    };
    let text = String::from_utf8_lossy(name);
    if !d.args.last()?.bytes().ends_with(b")") {
        let written = written(&d.args);
        return Some(
            Fault::new(d.args.last()?.span.after(), format!("invalid condition \"{text}\""))
                .label("the `)` is missing")
                .help(format!("close it: if {written})")),
        );
    }
    if text.starts_with('(') || text.is_empty() && d.args.get(1).is_some_and(|word| word.bytes().starts_with(b"(")) {
        let inside_all = written(&d.args);
        return Some(
            Fault::new(inside(d), format!("invalid condition \"{text}\""))
                .help(format!("one pair of parentheses is enough: if ({})", inside_all.trim_matches(['(', ')', ' ']))),
        );
    }
    if text == "!"
        && let Some(test) = d.args.get(1).filter(|word| word.len() == 2 && word.bytes().starts_with(b"-"))
    {
        let rest = written(d.args.get(2..).unwrap_or_default());
        let span = Span { end: test.span.end, ..first.part(1, 2) };
        return Some(
            Fault::new(span, "invalid condition \"!\"".to_owned())
                .help(format!("no space stands between: if (!{} {rest}", test.str())),
        );
    }
    let is_negated = text.starts_with('!') && !text.starts_with("!-");
    if is_negated && d.args.len() == 1 {
        let variable = text.get(1..)?.trim_end_matches(')');
        return Some(Fault::new(inside(d), format!("invalid condition \"!{variable}\"")).help(format!(
            "`!` stands before an operator only: if ({variable} = \"\") where it is empty, = 0 where it is 0"
        )));
    }
    wrong_comparison(d, &text).or_else(|| wrong_test(d, first, &text))
}

/// Conditions joined by `&&`, `or` …
fn combined(d: &Directive) -> Option<Fault> {
    let sign = ["&&", "||", "and", "or", "AND", "OR"];
    let (sign, word) = sign.iter().find_map(|sign| Some((sign, bare_word(d, sign)?))).filter(|_| d.args.len() > 2)?;
    Some(
        Fault::new(word.span, format!("invalid condition: \"{sign}\" does not combine conditions here"))
            .help("one condition stands in an `if`: nest two, or combine the values by `map`"),
    )
}

/// `==`, `<` …
fn foreign_operator(d: &Directive) -> Option<Fault> {
    let signs = ["==", "===", "eq", "=~", "!==", "ne", "<", ">", "<=", ">=", "in"];
    let (sign, word) = signs.iter().find_map(|sign| Some((*sign, bare_word(d, sign)?)))?;
    let meant = match sign {
        "==" | "===" | "eq" => "`=` compares",
        "=~" => "`~` matches a regex",
        "!==" | "ne" => "`!=` compares",
        _ => "there are =, !=, ~, ~*, !~ and !~* only; a regex or a `map` can tell ranges",
    };
    Some(Fault::new(word.span, format!("unexpected \"{sign}\" in condition")).help(meant))
}

/// The unquoted word with this text.
fn bare_word<'d>(d: &'d Directive, text: &str) -> Option<&'d Word> {
    d.args.iter().find(|word| !word.quoted && word.bytes() == text.as_bytes())
}

/// `($variable =)`, `($variable is value)`, `($variable value)`. `name`: the first word without its parenthesis.
fn wrong_comparison(d: &Directive, name: &str) -> Option<Fault> {
    let [_, sign, rest @ ..] = &d.args[..] else { return None };
    if !name.starts_with('$') {
        return None;
    }
    let value = sign.str();
    let is_value = value.len() > 1 && value.starts_with(|c: char| c.is_ascii_alphanumeric() || "/\"'".contains(c));
    if rest.is_empty() && is_value && (sign.quoted || value.ends_with(')')) {
        let value = written([sign]);
        return Some(
            Fault::new(sign.span, format!("invalid condition \"{name}\""))
                .label("an operator is missing before it")
                .help(format!("write: if ({name} = {value}")),
        );
    }
    let text = sign.str();
    let bare = text.trim_end_matches(')');
    let has_no_operand = (rest.is_empty() || written(rest) == ")") && !rest.iter().any(|word| word.quoted);
    if has_no_operand && matches!(bare, "=" | "!=" | "~" | "~*" | "!~" | "!~*") {
        let (what, example) = if bare.contains('~') { ("a regex", "^/path") } else { ("a value", "value") };
        return Some(
            Fault::new(sign.span, format!("invalid condition \"{name}\""))
                .label(format!("{what} is missing after `{bare}`"))
                .help(format!("if ({name} {bare} {example})")),
        );
    }
    let meant = match &*text.to_ascii_lowercase() {
        "is" | "equals" | "equal" => "=",
        "not" | "isnot" | "<>" | "not=" | "=!" => "!=",
        "contains" | "matches" | "match" | "like" | "regex" | "starts_with" | "startswith" | "has" => "~",
        _ => return None,
    };
    Some(
        Fault::new(sign.span, format!("unexpected \"{text}\" in condition"))
            .help(format!("`{meant}` is written for it: if ({name} {meant} {}", written(rest))),
    )
}

/// File tests in the syntax of shells and other languages, and a variable without its `$`.
fn wrong_test(d: &Directive, first: &Word, text: &str) -> Option<Fault> {
    if let Some(dash) = text.chars().next().filter(|c| matches!(c, '–' | '—' | '−')) {
        let letter: String = text.chars().skip(1).collect();
        return Some(
            Fault::new(first.part(1, 1 + dash.len_utf8()), format!("invalid condition \"{text}\""))
                .help(format!("a plain `-` stands there, not a dash (U+{:04X}): -{letter}", u32::from(dash))),
        );
    }
    let bare = text.strip_suffix(')').unwrap_or(text);
    let fault = || Fault::new(first.part(1, 1 + bare.len()), format!("invalid condition \"{bare}\""));
    let test = match bare.split('(').next().unwrap_or_default() {
        "exists" | "exist" | "file_exists" => Some("-e"),
        "file" | "is_file" => Some("-f"),
        "dir" | "is_dir" | "directory" => Some("-d"),
        _ => None,
    };
    if let Some(test) = test {
        let path = d.args.get(1).map_or("$request_filename".into(), Word::str);
        let path = path.trim_end_matches(')');
        return Some(fault().help(format!("files are tested by -f, -d, -e and -x: if ({test} {path})")));
    }
    if matches!(bare, "-z" | "-n" | "-s" | "-r" | "-w" | "-l" | "-L") {
        return Some(
            fault().help(
                "the tests are -f (a file), -d (a directory), -e (anything) and -x (executable); empty is = \"\"",
            ),
        );
    }
    if let Some((test, path)) = bare.split_once('$').filter(|(test, _)| matches!(*test, "-f" | "-d" | "-e" | "-x")) {
        return Some(fault().help(format!("a space stands between: if ({test} ${path})")));
    }
    if let Some(rest) = bare.strip_prefix("!(") {
        let sign = d.args.get(1).map(Word::str).unwrap_or_default();
        let value = d.args.get(2).map(Word::str).unwrap_or_default();
        let value = value.trim_end_matches(')');
        let is_sign = matches!(&*sign, "=" | "~" | "~*");
        return is_sign.then(|| fault().help(format!("the sign is negated: if ({rest} !{sign} {value})")));
    }
    let is_name = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| fault().help(format!("a variable starts with $: if (${bare} …)")))
}

/// The condition probably meant, if it begins with neither a variable nor a test.
fn meant_by(words: &[&[u8]]) -> String {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    match words {
        [[b'!', name @ ..], sign @ (b"=" | b"~" | b"~*"), value] if name.starts_with(b"$") => {
            format!("the sign is negated: if ({} !{} {})", text(name), text(sign), text(value))
        }
        [[b'!', name @ ..]] if name.starts_with(b"$") => {
            format!("what is empty or 0 is false: if ({} = \"\") or if ({} = 0)", text(name), text(name))
        }
        _ => "if ($variable = value), if ($uri ~ regex) or if (-f $request_filename)".to_owned(),
    }
}

/// Parses the condition of an `if`, whose outer parentheses may be part of its words.
pub fn read(b: &mut Build, d: &Directive) -> Result<Condition, Fault> {
    if let Some(fault) = unlike_a_condition(d) {
        return Err(fault);
    }
    let fault = || {
        // As in nginx, the message shows the word without parentheses.
        let word = d.args[0].str();
        let shown = word.strip_prefix('(').map_or(&*word, |word| word.strip_suffix(')').unwrap_or(word));
        Fault::new(inside(d), format!("invalid condition \"{shown}\""))
            .help("if ($variable = value), if ($uri ~ regex) or if (-f $request_filename)")
    };
    let last = d.args.len() - 1;
    let mut words: Vec<&[u8]> = d.args.iter().map(|w| w.bytes()).collect();
    words[0] = words[0].strip_prefix(b"(").ok_or_else(fault)?;
    words[last] = words[last].strip_suffix(b")").ok_or_else(fault)?;
    words.retain(|w| !w.is_empty());
    // An empty quoted word ("") is an operand; only unquoted words can be a parenthesis.
    let empty_operand = d.args.len() >= 3 && d.args.iter().any(|w| w.quoted && w.is_empty());
    let span = inside(d);
    let first = *words.first().ok_or_else(fault)?;
    one_variable(first, &d.args[0])?;
    if first.starts_with(b"$") && words.len() == 1 && !empty_operand {
        return Ok(Condition::True(b.template_of(first, span)?));
    }
    if first.starts_with(b"$") {
        return comparison(b, d, &words, empty_operand)?.ok_or_else(fault);
    }
    let (negated, letter) = match first {
        [b'-', letter] => (false, *letter),
        [b'!', b'-', letter] => (true, *letter),
        _ => {
            let fault = Fault::new(span, format!("invalid condition \"{}\"", String::from_utf8_lossy(first)));
            return Err(fault.help(meant_by(&words)));
        }
    };
    let test = match letter {
        b'f' => PathTest::File,
        b'd' => PathTest::Directory,
        b'e' => PathTest::Exists,
        b'x' => PathTest::Executable,
        _ => return Err(fault()),
    };
    match words[..] {
        [_, path] => Ok(Condition::Path { test, path: b.template_of(path, span)?, negated }),
        _ => Err(fault()),
    }
}

/// As in nginx, the left side must be exactly one variable: `($uri=a)` is not.
fn one_variable(first: &[u8], word: &Word) -> Result<(), Fault> {
    let Some(name) = first.strip_prefix(b"$") else { return Ok(()) };
    let text = String::from_utf8_lossy(name);
    if let [b'1'..=b'9'] = name {
        return Err(Fault::new(word.part(1, 2 + text.len()), format!("unknown \"{text}\" variable"))
            .help("a capture is compared by its name: (?<name>…), then if ($name = value); or `set` it first"));
    }
    if name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Ok(());
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let fault = Fault::new(word.part(1, 2 + text.len()), format!("unknown \"{text}\" variable"));
    let is_dashed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    Err(match (is_dashed, text.split_at_checked(end)) {
        (true, _) => {
            fault.help(format!("`-` ends a name: did you mean ${}?", text.replace('-', "_").to_ascii_lowercase()))
        }
        (false, Some((name, rest))) if rest.starts_with(['=', '~', '!', '<', '>']) => {
            let sign = rest.find(|c: char| !matches!(c, '=' | '~' | '!' | '*' | '<' | '>')).unwrap_or(rest.len());
            let (sign, value) = rest.split_at_checked(sign).unwrap_or((rest, ""));
            fault.help(format!("blanks stand around the operator: if (${name} {sign} {value})"))
        }
        (false, Some((name, rest))) if rest.starts_with('[') && rest.ends_with(']') => {
            let family = match name.to_ascii_lowercase().as_str() {
                "http" | "header" | "headers" | "_server" => "http_",
                "cookie" | "cookies" | "_cookie" => "cookie_",
                _ => "arg_",
            };
            let key = rest.trim_matches(['[', ']', '"', '\'']).replace('-', "_").to_ascii_lowercase();
            let is_own = name.eq_ignore_ascii_case("_server") && Builtin::of(&key).is_some();
            let family = if is_own { "" } else { family };
            fault.help(format!("a member of a family is a variable of its own: ${family}{key}"))
        }
        _ => fault.help("one variable is compared, whole: if ($variable = value); `set` joins several first"),
    })
}

/// `$variable operator operand`. None: a word is missing or surplus.
fn comparison(b: &mut Build, d: &Directive, words: &[&[u8]], empty_operand: bool) -> Result<Option<Condition>, Fault> {
    let [first, operator, operands @ ..] = words else { return Ok(None) };
    let span = inside(d);
    if operands.len() > 1 && matches!(*operator, b"=" | b"!=" | b"~" | b"~*" | b"!~" | b"!~*") {
        let value = written(d.args.get(2..).unwrap_or_default());
        let value = value.strip_suffix(')').unwrap_or(&value);
        let span = d.args.get(3).map_or(span, |word| word.span.to(span));
        let (left, operator) = (String::from_utf8_lossy(first), String::from_utf8_lossy(operator));
        return Err(Fault::new(span, format!("invalid condition \"{left}\""))
            .help(format!("a value with spaces needs quotes: if ({left} {operator} \"{value}\")")));
    }
    let operand: &[u8] = match operands {
        [word] => word,
        [] if empty_operand => b"",
        _ => return Ok(None),
    };
    let left = b.template_of(first, span)?;
    let (negated, case) = match *operator {
        b"=" => (false, None),
        b"!=" => (true, None),
        b"~" => (false, Some(Case::Sensitive)),
        b"~*" => (false, Some(Case::Insensitive)),
        b"!~" => (true, Some(Case::Sensitive)),
        b"!~*" => (true, Some(Case::Insensitive)),
        other => {
            let text = format!("unexpected \"{}\" in condition", String::from_utf8_lossy(other));
            return Err(
                Fault::new(d.args[1].span, text).help("an operator is =, !=, ~, ~*, !~ or !~*: if ($variable = value)")
            );
        }
    };
    Ok(Some(match case {
        None => Condition::Equal { left, right: b.template_of(operand, span)?, negated },
        Some(case) => {
            // After a quoted word, `)` is a separate word.
            let holds = |word: &&Word| memchr::memmem::find(word.bytes(), operand).is_some();
            let word = d.args.iter().rfind(holds).unwrap_or(&d.args[d.args.len() - 1]);
            let pattern = Box::new(Pattern::of_word(word, operand, case, &mut b.variables)?);
            Condition::Match { subject: left, pattern, negated }
        }
    }))
}
