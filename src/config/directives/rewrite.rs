//! The rewrite module's directives: rows and their compilation to the ops of a script. They run in their order,
//! unlike all other directives.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::context::{Args, Contexts};
use crate::config::fault::Fault;
use crate::config::model::{Condition, Op, PathTest, Rewrite, RewriteFlag, SetTarget};
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, row};
use crate::config::template::Source;
use std::rc::Rc;

const WHERE: Contexts = Contexts::SERVER.or(Contexts::LOCATION).or(Contexts::IF_SERVER).or(Contexts::IF_LOCATION);

pub const ROWS: &[Row] = &[
    row(
        "return",
        WHERE,
        Args::TAKE12,
        "",
        Effect::Script,
        "Answers at once: a code, a code with text or (for 301, 302, 303, 307, 308) a URL, or a URL alone (302). 444 closes the connection without an answer.",
    ),
    row(
        "rewrite",
        WHERE,
        Args::TAKE23,
        "",
        Effect::Script,
        "Replaces the URI where the regex matches: last and break go on inside, redirect and permanent answer 302 and 301. A replacement that ends in ? drops the arguments.",
    ),
    row(
        "if",
        Contexts::SERVER.or(Contexts::LOCATION),
        Args::ONE_OR_MORE.block(),
        "",
        Effect::Script,
        "Runs the block where the condition holds: a variable, = and !=, ~ ~* !~ !~* with a regex, -f -d -e -x and their negations.",
    ),
    row("set", WHERE, Args::TAKE2, "", Effect::Script, "Gives a variable a value."),
    row("break", WHERE, Args::NONE, "", Effect::Script, "Ends the rewrite directives of this level."),
    row(
        "rewrite_log",
        Contexts::HSL.or(Contexts::IF_SERVER).or(Contexts::IF_LOCATION),
        Args::FLAG,
        "off",
        Effect::Once(|_, _, d| crate::config::argument::flag(d, 0).map(drop)),
        "Accepted. webserv explain shows every rewrite step.",
    ),
    row(
        "uninitialized_variable_warn",
        Contexts::HSL.or(Contexts::IF_SERVER).or(Contexts::IF_LOCATION),
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.logs).uninitialized),
        "Whether the error log is warned of variables that `set` has not reached. They are empty.",
    ),
];

/// Compiles everything but `if`, whose block is a level of its own.
pub fn compile(b: &mut Build, d: &Directive) -> Result<Op, Fault> {
    match d.name.bytes() {
        b"return" => answer(b, d),
        b"rewrite" => rewrite(b, d),
        b"set" => set(b, d),
        _ => Ok(Op::Break),
    }
}

fn answer(b: &mut Build, d: &Directive) -> Result<Op, Fault> {
    let word = &d.args[0];
    let bytes = word.bytes();
    let url = |bytes: &[u8]| [&b"http://"[..], b"https://", b"$scheme"].iter().any(|p| bytes.starts_with(p));
    let code = word.str().parse::<u16>().ok().filter(|_| bytes.iter().all(u8::is_ascii_digit));
    match code {
        Some(code @ 0..=999) => {
            let text = if d.args.len() > 1 { Some(b.template(d, 1)?) } else { None };
            Ok(Op::Return { code, text })
        }
        _ if d.args.len() == 1 && url(bytes) => Ok(Op::Return { code: 302, text: Some(b.template(d, 0)?) }),
        _ => Err(Fault::new(word.span, format!("invalid return code \"{}\"", word.str()))
            .help("return CODE [text]; return CODE URL; or return http://…;")),
    }
}

fn rewrite(b: &mut Build, d: &Directive) -> Result<Op, Fault> {
    let pattern = pattern(b, d, 0, Case::Sensitive)?;
    let word = &d.args[1];
    let text = word.bytes();
    if text.is_empty() {
        return Err(Fault::new(word.span, "empty replacement"));
    }
    let external = [&b"http://"[..], b"https://", b"$scheme"].iter().any(|p| text.starts_with(p));
    let drop_args = text.len() > 1 && text.ends_with(b"?") || text == b"?";
    let replacement = b.template_of(if drop_args { &text[..text.len() - 1] } else { text }, word.span)?;
    let flag = match d.args.get(2).map(|w| w.bytes()) {
        None => RewriteFlag::None,
        Some(b"last") => RewriteFlag::Last,
        Some(b"break") => RewriteFlag::Break,
        Some(b"redirect") => RewriteFlag::Redirect,
        Some(b"permanent") => RewriteFlag::Permanent,
        Some(_) => {
            return Err(Fault::new(d.args[2].span, format!("invalid parameter \"{}\"", d.args[2].str()))
                .help("last, break, redirect or permanent"));
        }
    };
    Ok(Op::Rewrite(Box::new(Rewrite { pattern, replacement, flag, drop_args, external })))
}

fn set(b: &mut Build, d: &Directive) -> Result<Op, Fault> {
    Ok(Op::Set { slot: target(b, d)?, value: b.template(d, 1)? })
}

/// The variable that the first word names, to be given a value.
pub(super) fn target(b: &mut Build, d: &Directive) -> Result<SetTarget, Fault> {
    let word = &d.args[0];
    let name = match word.bytes().strip_prefix(b"$") {
        Some(name) if !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
        _ => {
            return Err(Fault::new(word.span, format!("invalid variable name \"{}\"", word.str()))
                .help(format!("a variable starts with $: set ${} …;", word.str().trim_start_matches('$'))));
        }
    };
    Ok(match name.as_str() {
        "args" => SetTarget::Args,
        "limit_rate" => SetTarget::LimitRate,
        _ => SetTarget::User(b.variables.define(&name, Source::Stored).map_err(|why| Fault::new(word.span, why))?),
    })
}

fn pattern(b: &mut Build, d: &Directive, at: usize, case: Case) -> Result<Pattern, Fault> {
    let word = &d.args[at];
    Pattern::of_word(word, word.bytes(), case, &mut b.variables)
}

/// Conditions as other languages have them.
fn unlike_a_condition(d: &Directive) -> Option<Fault> {
    let word = |text: &str| d.args.iter().find(|word| !word.quoted && word.bytes() == text.as_bytes());
    for sign in ["&&", "||", "and", "or", "AND", "OR"] {
        if let Some(word) = word(sign).filter(|_| d.args.len() > 3) {
            return Some(
                Fault::new(word.span, format!("invalid condition: \"{sign}\" does not combine conditions here"))
                    .help("one condition stands in an `if`: nest two, or combine the values by `map`"),
            );
        }
    }
    for sign in ["==", "===", "eq", "=~", "!==", "ne", "<", ">", "<=", ">=", "in"] {
        if let Some(word) = word(sign) {
            let meant = match sign {
                "==" | "===" | "eq" => "`=` compares",
                "=~" => "`~` matches a regex",
                "!==" | "ne" => "`!=` compares",
                _ => "there are =, !=, ~, ~*, !~ and !~* only; a regex or a `map` can tell ranges",
            };
            return Some(Fault::new(word.span, format!("unexpected \"{sign}\" in condition")).help(meant));
        }
    }
    let first = d.args.first()?;
    let bytes = first.bytes();
    let name = bytes.strip_prefix(b"(")?;
    let text = String::from_utf8_lossy(name);
    if let Some(dash) = text.chars().next().filter(|c| matches!(c, '–' | '—' | '−')) {
        let letter: String = text.chars().skip(1).collect();
        return Some(
            Fault::new(first.part(1, 1 + dash.len_utf8()), format!("invalid condition \"{text}\""))
                .help(format!("a plain `-` stands there, not a dash (U+{:04X}): -{letter}", u32::from(dash))),
        );
    }
    let bare = text.strip_suffix(')').unwrap_or(&text);
    if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Some(
            Fault::new(first.part(1, 1 + bare.len()), format!("invalid condition \"{bare}\""))
                .help(format!("a variable starts with $: if (${bare} …)")),
        );
    }
    None
}

/// The condition of an `if`: its words with the outer parentheses taken off.
pub fn condition(b: &mut Build, d: &Directive) -> Result<Condition, Fault> {
    let fault = || {
        // As nginx: the word without its parentheses.
        let word = d.args[0].str();
        let shown = word.strip_prefix('(').map_or(&*word, |word| word.strip_suffix(')').unwrap_or(word));
        Fault::new(d.args_span(), format!("invalid condition \"{shown}\""))
            .help("if ($variable = value), if ($uri ~ regex) or if (-f $request_filename)")
    };
    let last = d.args.len() - 1;
    let mut words: Vec<&[u8]> = d.args.iter().map(|w| w.bytes()).collect();
    words[0] = words[0].strip_prefix(b"(").ok_or_else(fault)?;
    words[last] = words[last].strip_suffix(b")").ok_or_else(fault)?;
    words.retain(|w| !w.is_empty());
    // An empty quoted word ("") is an operand, never a parenthesis alone.
    let empty_operand = d.args.len() >= 3 && d.args.iter().any(|w| w.quoted && w.is_empty());
    let span = d.args_span();
    if let Some(fault) = unlike_a_condition(d) {
        return Err(fault);
    }
    let first = *words.first().ok_or_else(fault)?;
    // What is compared is one variable, whole (nginx): `($uri=a)` names none.
    if let Some(name) = first.strip_prefix(b"$")
        && !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    {
        return Err(Fault::new(span, format!("unknown \"{}\" variable", String::from_utf8_lossy(name)))
            .help("blanks stand around the operator: if ($variable = value)"));
    }
    if first.starts_with(b"$") && words.len() == 1 && !empty_operand {
        return Ok(Condition::True(b.template_of(first, span)?));
    }
    if first.starts_with(b"$") {
        let operator = *words.get(1).ok_or_else(fault)?;
        let operand: &[u8] = match (words.get(2), empty_operand) {
            (Some(word), _) if words.len() == 3 => word,
            (None, true) => b"",
            _ => return Err(fault()),
        };
        let left = b.template_of(first, span)?;
        let matching = |b: &mut Build, case, negated, subject| {
            let pattern = Box::new(Pattern::of_word(&d.args[last], operand, case, &mut b.variables)?);
            Ok(Condition::Match { subject, pattern, negated })
        };
        return match operator {
            b"=" => Ok(Condition::Equal { left, right: b.template_of(operand, span)?, negated: false }),
            b"!=" => Ok(Condition::Equal { left, right: b.template_of(operand, span)?, negated: true }),
            b"~" => matching(b, Case::Sensitive, false, left),
            b"~*" => matching(b, Case::Insensitive, false, left),
            b"!~" => matching(b, Case::Sensitive, true, left),
            b"!~*" => matching(b, Case::Insensitive, true, left),
            other => Err(Fault::new(span, format!("unexpected \"{}\" in condition", String::from_utf8_lossy(other)))),
        };
    }
    let (negated, letter) = match first {
        [b'-', letter] => (false, *letter),
        [b'!', b'-', letter] => (true, *letter),
        _ => return Err(Fault::new(span, format!("invalid condition \"{}\"", String::from_utf8_lossy(first)))),
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
