//! Which ops of a script are asked about together: those with one subject, the URI or a variable; and which `set` lines are
//! done at once.
//!
//! Invariant: the subjects of lists are *stable*. As long as no op of the script does anything, each evaluation gives the
//! same value and leaves nothing behind that another op could see, captures above all. All other ops are evaluated one by
//! one, in their order.

use crate::config::model::{Location, Tables};
use crate::config::pattern_set::{MatchMode, PatternSet};
use crate::config::script::{Condition, FixedValues, MapOps, Op, OpList, OpLists, OpTest, Question, Script, SetRun};
use crate::config::settings::map::MapTable;
use crate::config::template::{Builtin, Part, SetTarget, Source, Template, Var, Variables};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use crate::util::text::Text;
use std::rc::Rc;

/// Fewer equal subjects are asked one by one.
const WORTH: usize = 4;

/// The subject, and the kind of question.
type ListKey<'a> = (Option<&'a Template>, std::mem::Discriminant<Question<'a>>);

/// Makes the lists of all scripts.
pub fn equip(locations: &mut [Location], variables: &Variables, tables: &Tables) {
    let maps = tables.maps.iter().map(|map| is_stable_map(map, variables)).collect();
    let known = Stability { variables, tables, maps };
    for location in locations {
        checkpoint::pass();
        known.equip(&mut location.script);
    }
}

struct Stability<'a> {
    variables: &'a Variables,
    tables: &'a Tables,
    /// Whether each of the maps is stable.
    maps: Vec<bool>,
}

impl Stability<'_> {
    fn equip(&self, script: &mut Script) {
        for op in &mut script.ops {
            if let Op::If { script, .. } = op {
                checkpoint::pass();
                self.equip(script);
            }
        }
        script.lists = self.lists_of(&script.ops);
        script.set_runs = self.set_runs(&script.ops);
    }

    fn set_runs(&self, ops: &[Op]) -> Vec<SetRun> {
        let mut runs = Vec::new();
        let mut from = 0;
        for chunk in ops.chunk_by(|one, next| self.fixed(one).is_some() == self.fixed(next).is_some()) {
            let ops = from..from + chunk.len();
            from = ops.end;
            // Of one variable's lines the last one stays.
            let values: FixedValues = chunk.iter().filter_map(|op| self.fixed(op)).collect();
            if !values.is_empty() && ops.len() >= WORTH {
                runs.push(SetRun { ops, values: Rc::new(values) });
            }
        }
        runs
    }

    /// The variable that an op gives a value which is the same in every request. One that is computed where no `set` has
    /// given it a value is no such variable: its value is computed again for the access log.
    fn fixed(&self, op: &Op) -> Option<(u32, Text)> {
        let Op::Set { slot: SetTarget::User(variable), value } = op else { return None };
        let is_stored = matches!(self.variables.defined.get(*variable as usize), Some((_, Source::Stored)));
        value.constant().filter(|_| is_stored).map(|text| (*variable, Text::new(text)))
    }

    fn lists_of(&self, ops: &[Op]) -> OpLists {
        if ops.len() < WORTH {
            return OpLists { lists: Vec::new(), others: (0..ops.len()).collect() };
        }
        let mut by_subject: FastMap<ListKey, Vec<usize>> = FastMap::default();
        for (at, op) in ops.iter().enumerate() {
            if let Some((subject, question)) = op.question() {
                by_subject.entry((subject, std::mem::discriminant(&question))).or_default().push(at);
            }
        }
        let is_stable = |subject: Option<&Template>| subject.is_none_or(|subject| self.is_stable(subject));
        let mut groups: Vec<(ListKey, Vec<usize>)> =
            by_subject.into_iter().filter(|(_, at)| at.len() >= WORTH).collect();
        groups.sort_unstable_by_key(|(_, at)| (std::cmp::Reverse(at.len()), at[0]));
        let lists = groups.into_iter().filter(|((subject, _), _)| is_stable(*subject));
        let lists = lists.filter_map(|((subject, _), at)| {
            let test = match ops[at[0]].question()?.1 {
                Question::Pattern(_) => OpTest::Patterns(patterns(ops, &at, MatchMode::Match)?),
                Question::NoPattern(_) => OpTest::NoPatterns(patterns(ops, &at, MatchMode::Mismatch)?),
                Question::Text(_) => OpTest::Texts(texts(ops, &at)),
                Question::NoText(_) => OpTest::NoTexts(texts(ops, &at)),
            };
            Some(OpList { subject: subject.cloned(), ops: at, test })
        });
        let mut lists: Vec<OpList> = lists.take(OpLists::MOST).collect();
        let mut is_listed = vec![false; ops.len()];
        lists.iter().flat_map(|list| &list.ops).for_each(|at| is_listed[*at] = true);
        for list in self.lists_of_maps(ops, &is_listed).into_iter().take(OpLists::MOST - lists.len()) {
            list.ops.iter().for_each(|at| is_listed[*at] = true);
            lists.push(list);
        }
        let others = (0..ops.len()).filter(|at| !is_listed[*at]).collect();
        OpLists { lists, others }
    }

    /// Lists of ops that ask for maps of one source, those in no other list yet.
    fn lists_of_maps(&self, ops: &[Op], is_listed: &[bool]) -> Vec<OpList> {
        let mut by_source: FastMap<&Template, Vec<AskedMap>> = FastMap::default();
        for (at, op) in ops.iter().enumerate().filter(|(at, _)| !is_listed[*at]) {
            if let Some(asked) = self.asked_map(at, op) {
                by_source.entry(&asked.map.source).or_default().push(asked);
            }
        }
        let mut asked: Vec<_> =
            by_source.into_iter().filter(|(source, asked)| asked.len() >= WORTH && self.is_stable(source)).collect();
        asked.sort_unstable_by_key(|(_, asked)| (std::cmp::Reverse(asked.len()), asked[0].at));
        let list = |(source, asked): (&Template, Vec<AskedMap>)| {
            let mut named: FastMap<Box<[u8]>, Vec<usize>> = FastMap::default();
            for asked in &asked {
                checkpoint::pass();
                asked.map.names.exact().for_each(|name| named.entry(name.into()).or_default().push(asked.at));
            }
            let defaults = asked.iter().map(|asked| (asked.variable, Text::new(asked.default)));
            let maps = MapOps {
                named,
                variables: asked.iter().map(|asked| asked.variable).collect(),
                defaults: Rc::new(defaults.collect()),
            };
            let ops = asked.iter().map(|asked| asked.at).collect();
            OpList { subject: Some(source.clone()), ops, test: OpTest::Maps(maps) }
        };
        asked.into_iter().map(list).collect()
    }

    /// The map that decides whether an op does anything, where it does nothing by the map's default.
    fn asked_map(&self, at: usize, op: &Op) -> Option<AskedMap<'_>> {
        let Op::If { condition, .. } = op else { return None };
        let (Condition::True(asked) | Condition::Equal { left: asked, .. }) = condition else { return None };
        let [Part::Var(Var::User(variable))] = *asked.parts else { return None };
        let Some((_, Source::Map(table))) = self.variables.defined.get(variable as usize) else { return None };
        let map = self.tables.maps.get(*table as usize)?;
        // A pattern captures; a volatile map is another one at each use.
        if map.hostnames || map.volatile || !map.regexes.is_empty() {
            return None;
        }
        let default = match map.default {
            Some(at) => map.values.get(at as usize)?.constant()?,
            None => b"",
        };
        let holds = match condition {
            Condition::Equal { right, negated, .. } => (right.constant()? == default) != *negated,
            _ => !matches!(default, b"" | b"0"),
        };
        (!holds).then_some(AskedMap { at, variable, map, default })
    }

    fn is_stable(&self, subject: &Template) -> bool {
        let is_stable_map = |table: u32| self.maps.get(table as usize).is_some_and(|is_stable| *is_stable);
        is_stable(subject, self.variables, is_stable_map)
    }
}

/// An op that asks for a map.
struct AskedMap<'a> {
    at: usize,
    variable: u32,
    map: &'a MapTable,
    default: &'a [u8],
}

/// A map that has patterns leaves captures. Maps of maps are left out: what they are made of may be any number of others.
fn is_stable_map(map: &MapTable, variables: &Variables) -> bool {
    checkpoint::pass();
    let mut templates = map.values.iter().chain([&map.source]);
    map.regexes.is_empty() && templates.all(|template| is_stable(template, variables, |_| false))
}

fn is_stable(template: &Template, variables: &Variables, is_stable_map: impl Fn(u32) -> bool) -> bool {
    let is_stable_user = |at: u32| match variables.defined.get(at as usize) {
        // Only an op that does something gives it a value: a set, or a pattern that matches. One with named groups that is
        // negated does so too, and is in no list.
        Some((_, Source::Stored | Source::Captured)) => true,
        Some((_, Source::Map(table))) => is_stable_map(*table),
        _ => false,
    };
    let is_stable_family =
        |var: &Var| matches!(var, Var::Arg(_) | Var::Http(_) | Var::Cookie(_) | Var::ProxyProtocolTlv(_) | Var::Absent);
    let is_stable_variable = |var: &Var| match (var, variables.redefinition(var)) {
        (Var::User(at), _) => is_stable_user(*at),
        // Where no op has given it a value, it is the request's own.
        (var, Some(at)) => is_stable_user(at) && is_stable_family(var),
        (Var::Builtin(builtin), None) => is_constant(*builtin),
        (var, None) => is_stable_family(var),
    };
    template.parts.iter().all(|part| match part {
        Part::Literal(_) => true,
        Part::Capture(_) => false,
        Part::Var(var) => is_stable_variable(var),
    })
}

/// It depends on nothing but the request's head, its connection and what ops of the script do.
fn is_constant(builtin: Builtin) -> bool {
    use Builtin::*;
    matches!(
        builtin,
        Args | QueryString
            | IsArgs
            | Uri
            | DocumentUri
            | RequestUri
            | Request
            | RequestMethod
            | Host
            | ServerName
            | ServerAddr
            | ServerPort
            | ServerProtocol
            | Scheme
            | Https
            | Http2
            | RemoteAddr
            | BinaryRemoteAddr
            | RemotePort
            | RemoteUser
            | RealipRemoteAddr
            | RealipRemotePort
            | ContentLength
            | ContentType
            | ProxyProtocolAddr
            | ProxyProtocolPort
            | ProxyProtocolServerAddr
            | ProxyProtocolServerPort
            | SslProtocol
            | SslCipher
            | SslServerName
            | SslClientVerify
            | SslClientSDn
            | SslClientIDn
            | SslClientFingerprint
            | SslClientSerial
    )
}

fn patterns(ops: &[Op], at: &[usize], wanted: MatchMode) -> Option<PatternSet> {
    let patterns: Vec<_> = at.iter().filter_map(|at| ops[*at].pattern()).collect();
    PatternSet::new(patterns.iter().copied(), wanted)
}

fn texts(ops: &[Op], at: &[usize]) -> FastMap<Box<[u8]>, Vec<usize>> {
    let mut texts: FastMap<Box<[u8]>, Vec<usize>> = FastMap::default();
    for &at in at {
        if let Some((_, Question::Text(text) | Question::NoText(text))) = ops[at].question() {
            texts.entry(text.into()).or_default().push(at);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use std::path::Path;

    /// How many of the ops of a server that asks about the subject are in lists.
    fn listed(subject: &str) -> usize {
        let mut block = String::new();
        for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            for sign in ["~ ^", "!~ ^", "= ", "!= "] {
                block += &format!("if ({subject} {sign}{text}) {{ return 204; }}\n");
            }
            block += &format!("if ({subject} !~ (?<named>{text})) {{ return 204; }}\n");
        }
        let text = format!(
            "server {{ listen 127.0.0.1:1; if ($uri !~ (?<named>x)) {{ set $set 1; }}\n{block} }}
             map $uri $plain {{ default $set; }} map $uri $captures {{ ~^/(.) 1; }} map $1 $captured {{ volatile; a b; }}
             map $uri $gives_one {{ default $1; }} map $plain $of_map {{ a b; }} map $arg_m $arg_made {{ ~(.) b; }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Own, Vec::new(), None);
        let config = resolved.config.expect("the configuration has no errors");
        let script = &config.locations[config.servers[0].root.0 as usize].script;
        assert_eq!(script.ops.len(), 41);
        script.ops.len() - script.lists.others.len()
    }

    #[test]
    fn only_subjects_that_no_evaluation_changes_are_in_lists() {
        for (subject, expected) in [
            ("$uri", 32),
            ("$arg_x", 32),
            ("$http_host", 32),
            ("$named", 32),
            ("$set", 32),
            ("$plain", 32),
            ("$captures", 0),
            ("$captured", 0),
            ("$gives_one", 0),
            // Its default makes none of the eight with `=` hold.
            ("$of_map", 8),
            ("$arg_made", 0),
            ("$realpath_root", 0),
            ("$msec", 0),
        ] {
            assert_eq!(listed(subject), expected, "{subject}");
        }
    }
}
