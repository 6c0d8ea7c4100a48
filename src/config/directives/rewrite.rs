//! The rewrite directives: their rows, and compilation to the ops of a script. Unlike other directives, they run in the
//! order in which they are written.

use crate::config::ast::Directive;
use crate::config::build::Build;
use crate::config::context::{Args, Contexts};
use crate::config::fault::Fault;
use crate::config::model::SetTarget;
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, row};
use crate::config::script::{Op, Rewrite, RewriteFlag};
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
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.logs).rewrites),
        "Whether the error log says at level notice what each regex of rewrite and if matched, and what the URI became. webserv explain shows the same of one request.",
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

/// Compiles any rewrite directive except `if`, whose block is a level of its own.
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
            // As in nginx, an empty text with an error status is no text: the error_page applies.
            let has_text = d.args.get(1).is_some_and(|text| code < 400 || !text.bytes().is_empty());
            let text = if has_text { Some(b.template(d, 1)?) } else { None };
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
    let flag = flag(d)?;
    if text.is_empty() {
        return Err(Fault::new(word.span, "empty replacement"));
    }
    let external = [&b"http://"[..], b"https://", b"$scheme"].iter().any(|p| text.starts_with(p));
    let drop_args = text.len() > 1 && text.ends_with(b"?") || text == b"?";
    let replacement = b.template_of(if drop_args { &text[..text.len() - 1] } else { text }, word.span)?;
    Ok(Op::Rewrite(Box::new(Rewrite { pattern, replacement, flag, drop_args, external })))
}

/// The last word of `rewrite`. It is checked before the replacement: words in a wrong order are the mistake then, and
/// not the `$` of a regex that stands in its place.
fn flag(d: &Directive) -> Result<RewriteFlag, Fault> {
    Ok(match d.args.get(2).map(|w| w.bytes()) {
        None => RewriteFlag::None,
        Some(b"last") => RewriteFlag::Last,
        Some(b"break") => RewriteFlag::Break,
        Some(b"redirect") => RewriteFlag::Redirect,
        Some(b"permanent") => RewriteFlag::Permanent,
        Some(_) => {
            return Err(Fault::new(d.args[2].span, format!("invalid parameter \"{}\"", d.args[2].str()))
                .help("last, break, redirect or permanent"));
        }
    })
}

fn set(b: &mut Build, d: &Directive) -> Result<Op, Fault> {
    Ok(Op::Set { slot: target(b, d)?, value: b.template(d, 1)? })
}

/// The variable that the first word assigns to.
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
        _ => SetTarget::User(b.define(&name, Source::Stored, word.span)?),
    })
}

fn pattern(b: &mut Build, d: &Directive, at: usize, case: Case) -> Result<Pattern, Fault> {
    let word = &d.args[at];
    Pattern::of_word(word, word.bytes(), case, &mut b.variables)
}
