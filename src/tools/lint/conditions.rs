//! Conditions of `if` that the lines of a `map` or `geo` decide: always, never, or for values that no line names.

use super::assigned;
use super::blocks::{Condition, below, condition, refuses};
use super::rule::{Finding, Rule, RuleContext};
use super::tables::{FixedValues, Table, meets};
use crate::config::ast::Directive;
use crate::util::hash::FastMap;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W083",
        title: "a condition that no value of its map meets",
        page: "A variable of `map` or `geo` has the values that its lines give, and the empty one where there is no `default`; \
               one of `set` those that the lines of its server give. \
               Empty and `0` are false. A condition that none of them meets is never true, and one that all meet always \
               is: a value is missing, or written differently in one of the two places.",
        about: &["if"],
        check: decided,
    },
    Rule {
        code: "W159",
        title: "a value that the map does not define is let in",
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

/// The values that the `set` lines of a server give each variable; None: not all are fixed.
fn fixed_sets(server: &[Directive]) -> FastMap<String, Option<Vec<String>>> {
    let mut found: FastMap<String, Option<Vec<String>>> = FastMap::default();
    below(server, |d| {
        let (name, value) = match (d.name.bytes(), &d.args[..]) {
            (b"set", [name, value]) => (name, (!value.bytes().contains(&b'$')).then(|| value.str().into_owned())),
            (b"auth_request_set", [name, ..]) => (name, None),
            _ => return false,
        };
        let values = found.entry(name.str().to_ascii_lowercase()).or_insert_with(|| Some(Vec::new()));
        match (value, &mut *values) {
            (Some(value), Some(known)) if !known.contains(&value) => known.push(value),
            (Some(_), _) => {}
            (None, _) => *values = None,
        }
        false
    });
    found
}

/// A comparison with a value that no `set` of the server gives. One value alone is a switch.
fn never_set(cx: &RuleContext, condition: &Condition, found: &mut Vec<Finding>) {
    let (Some(server), Some(http)) = (cx.inside("server"), cx.inside("http")) else { return };
    let (Some(is_equal), Some(word)) = (condition.equality(), condition.operand) else { return };
    if condition.text.is_empty() || !cx.is_whole || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    let sets = server.fixed_sets.get_or_init(|| fixed_sets(server.all));
    let Some(Some(values)) = sets.get(&condition.subject) else { return };
    let is_made_elsewhere = http.all.iter().any(|d| {
        matches!(d.name.bytes(), b"map" | b"geo" | b"split_clients" | b"auth_request_set")
            && d.args.iter().any(|word| word.bytes().eq_ignore_ascii_case(condition.subject.as_bytes()))
    });
    if values.len() < 2 || values.contains(&condition.text) || is_made_elsewhere {
        return;
    }
    let outcome = if is_equal { "never" } else { "always" };
    let message = format!("this is {outcome} true: {} is never \"{}\"", condition.subject, condition.text);
    let known: Vec<String> = values.iter().take(5).map(|value| format!("\"{value}\"")).collect();
    found.push(Finding::new(word.span, message, format!("it is set to {}", known.join(", "))));
}

fn decided(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(condition) = condition(cx.d) else { return };
    let Some(table) = table_of(cx, &condition.subject) else { return never_set(cx, &condition, found) };
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
