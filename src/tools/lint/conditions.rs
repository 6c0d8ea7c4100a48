//! Conditions of `if` that the lines of a `map` or `geo` decide: always, never, or for values that no line names.

use super::assigned;
use super::blocks::{condition, refuses};
use super::rule::{Finding, Rule, RuleContext};
use super::tables::{FixedValues, Table, meets};
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
        title: "a value that no line of the map names is let in",
        page: "`map` and `geo` without `default` leave the variable empty for everything that no line names. Where the lines say \
               who may enter, and an `if` refuses the others by another value, those that no line names are not refused. \
               Write `default` with the value that is refused.",
        about: &["map", "geo"],
        check: unlisted,
    },
];

/// The only `map` or `geo` that defines a variable, unless a `set` does as well.
fn table_of<'p, 'a>(cx: &RuleContext<'p, 'a>, subject: &str) -> Option<&'p Table<'a>> {
    let name = subject.strip_prefix('$')?;
    let http = cx.inside("http")?;
    let table = http.table(subject.as_bytes())?;
    let is_set = cx.levels().any(|level| !std::ptr::eq(level, http) && level.assigned().contains_key(name));
    (!is_set).then_some(table)
}

fn decided(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(condition) = condition(cx.d) else { return };
    let Some(table) = table_of(cx, &condition.subject) else { return };
    let Some(values) = table.values() else { return };
    let Some(met) = values.meeting(&condition) else { return };
    // A table of a default alone, or of one value, is a switch.
    let is_switch = values.count() == 1 && condition.sign.is_none();
    let is_listed = assigned::lines(table.directive).any(|(key, _)| !key.is("default"));
    let (never, always) = (met == 0, met == values.count());
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
            let known: Vec<String> = values.in_order.iter().take(5).map(|value| format!("\"{value}\"")).collect();
            format!("its values are {}", known.join(", "))
        }
    };
    found.push(Finding::new(word.span, message, help).note(table.directive.args_span(), "its values"));
}

fn unlisted(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (true, Some(name)) = (cx.is("map") || cx.is("geo"), cx.d.args.last()) else { return };
    if assigned::lines(cx.d).any(|(key, _)| key.is("default") || key.is("0.0.0.0/0") || key.is("~.") || key.is("~.*")) {
        return;
    }
    let lines = || assigned::lines(cx.d).filter(|(_, value)| !value.is_empty());
    let Some(values) = FixedValues::of(cx.d).filter(|_| lines().nth(1).is_some()) else { return };
    let is_refusal = |block: &&&Directive| refuses(block.block.as_deref().unwrap_or_default());
    for block in cx.level().ifs_about(&name.str()).iter().filter(is_refusal) {
        let Some(condition) = condition(block) else { continue };
        let Some(met) = values.meeting(&condition) else { continue };
        // A list of those who are refused names no others. The empty value is one of those that pass.
        if meets(&condition, "") != Some(false) || values.count() - met < 2 {
            continue;
        }
        let message = format!("{} is empty for all that no line names: they are not refused", name.str());
        let help = "add a line for them: default VALUE; with the value that is refused";
        found.push(Finding::new(cx.d.args_span(), message, help).note(block.args_span(), "it refuses"));
        return;
    }
}
