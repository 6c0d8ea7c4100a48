//! Conditions of `if` that the lines of a `map` or `geo` decide: always, never, or for those whom no line names.

use super::assigned;
use super::blocks::{Condition, condition};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Directive;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W083",
        title: "a condition that no value of its map meets",
        page: "A variable of `map` or `geo` has the values that its lines give, and the empty one where there is no `default`. \
               Empty and `0` are false. A condition that none of them meets is never true, and one that all meet always \
               is: a value is missing, or written differently in one of the two places.",
        about: &["if"],
        check: decided,
    },
    Rule {
        code: "W159",
        title: "who stands in no line of the map is let in",
        page: "`map` and `geo` without `default` leave the variable empty for everything that no line names. Where the lines say \
               who may enter, and an `if` refuses the others by another value, those that no line names are not refused. \
               Write `default` with the value that is refused.",
        about: &["map", "geo"],
        check: unlisted,
    },
];

/// Whether a value meets a condition that compares as text; None: it is a regex or a file test.
fn meets(condition: &Condition, value: &str) -> Option<bool> {
    match (condition.sign, condition.operand) {
        (None, None) => Some(!value.is_empty() && value != "0"),
        (Some(sign), Some(_)) if sign.is("=") => Some(value == condition.text),
        (Some(sign), Some(_)) if sign.is("!=") => Some(value != condition.text),
        _ => None,
    }
}

/// The values of a table, if all are fixed: those of its lines, and the one for what no line names.
fn fixed_values(table: &Directive) -> Option<Vec<String>> {
    if table.block.iter().flatten().any(|line| line.name.is("include")) {
        return None;
    }
    let mut values: Vec<String> = assigned::lines(table).map(|(_, value)| value.str().into_owned()).collect();
    let has_default = assigned::lines(table).any(|(key, _)| key.is("default"));
    if !has_default {
        values.push(String::new());
    }
    values.iter().all(|value| !value.contains('$')).then_some(values)
}

/// The only `map` or `geo` that defines a variable, unless a `set` does as well.
fn table_of<'a>(cx: &RuleContext<'_, 'a>, subject: &str) -> Option<&'a Directive> {
    let name = subject.strip_prefix('$')?;
    let http = cx.inside("http")?;
    let mut tables = http.all.iter().filter(|d| {
        (d.name.is("map") || d.name.is("geo")) && d.args.last().is_some_and(|word| word.lower() == subject.as_bytes())
    });
    let table = tables.next().filter(|_| tables.next().is_none())?;
    let is_set = cx.levels().any(|level| {
        let is_table = level.all.iter().any(|d| std::ptr::eq(d, table));
        !is_table && level.assigned().contains_key(name)
    });
    (!is_set).then_some(table)
}

fn decided(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(condition) = condition(cx.d) else { return };
    let Some(table) = table_of(cx, &condition.subject) else { return };
    let Some(values) = fixed_values(table) else { return };
    let outcomes: Option<Vec<bool>> = values.iter().map(|value| meets(&condition, value)).collect();
    let Some(outcomes) = outcomes else { return };
    // A table of a default alone, or of one value, is a switch.
    let first = values.first();
    let is_switch = values.len() < 2 || values.iter().all(|value| Some(value) == first) && condition.sign.is_none();
    let is_listed = assigned::lines(table).any(|(key, _)| !key.is("default"));
    let (never, always) = (outcomes.iter().all(|met| !met), outcomes.iter().all(|met| *met));
    if !is_listed || !(never || always) || is_switch && always {
        return;
    }
    let word = condition.operand.unwrap_or(&cx.d.args[0]);
    let name = &condition.subject;
    let message = match (never, condition.sign) {
        (true, None) => format!("this is never true: each value of {name} is empty or 0"),
        (true, Some(_)) => format!("this is never true: {name} is never \"{}\"", condition.text),
        (false, None) => format!("this is always true: no value of {name} is empty or 0"),
        (false, Some(_)) => format!("this is always true: {name} is never \"{}\"", condition.text),
    };
    let help = match condition.operand {
        None => "give the value 1 to what is meant".to_owned(),
        Some(_) => {
            let mut known: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
            known.dedup();
            known.truncate(5);
            format!("its values are {}", known.join(", "))
        }
    };
    found.push(Finding::new(word.span, message, help).note(table.args_span(), "its values"));
}

/// Whether a block refuses the request.
fn refuses(block: &Directive) -> bool {
    let is_refusal =
        |d: &Directive| d.name.is("return") && d.args.first().is_some_and(|code| code.bytes().starts_with(b"4"));
    block.block.iter().flatten().any(is_refusal)
}

fn unlisted(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (true, Some(name)) = (cx.is("map") || cx.is("geo"), cx.d.args.last()) else { return };
    if assigned::lines(cx.d).any(|(key, _)| key.is("default") || key.is("0.0.0.0/0") || key.is("~.") || key.is("~.*")) {
        return;
    }
    let Some(values) = fixed_values(cx.d) else { return };
    let listed: Vec<&String> = values.iter().filter(|value| !value.is_empty()).collect();
    for block in cx.level().ifs_about(&name.str()).iter().filter(|block| refuses(block)) {
        let Some(condition) = condition(block) else { continue };
        let passes = |value: &str| meets(&condition, value) == Some(false);
        // A list of those who are refused names no others.
        if listed.len() < 2 || !passes("") || !listed.iter().any(|value| passes(value)) {
            continue;
        }
        let message = format!("{} is empty for all that no line names: they are not refused", name.str());
        let help = "add a line for them: default VALUE; with the value that is refused";
        found.push(Finding::new(cx.d.args_span(), message, help).note(block.args_span(), "it refuses"));
        return;
    }
}
