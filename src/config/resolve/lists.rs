//! Groups the ops of a script: those that test the same subject (the URI or a variable) are decided by one lookup, and
//! consecutive constant `set`s are executed as one step.
//!
//! Invariant: the subjects of lists are *stable*: until some op has an effect, evaluating one gives the same value each
//! time and has no side effect visible to other ops, captures above all. All other ops are evaluated one by one, in
//! order.

use crate::config::model::{Location, Tables};
use crate::config::pattern_set::{MatchMode, PatternSet};
use crate::config::script::{
    AskedVariables, Comparison, Condition, FixedValues, GeoOps, MapOps, Op, OpList, OpLists, OpTest, Script, SetRun,
};
use crate::config::settings::geo::GeoTable;
use crate::config::settings::map::MapTable;
use crate::config::template::{Builtin, Part, SetTarget, Source, Template, Var, Variables};
use crate::util::checkpoint;
use crate::util::hash::FastMap;
use crate::util::text::Text;
use std::rc::Rc;

/// Fewer ops with the same subject are tested one by one.
const MIN_OPS: usize = 4;

/// The subject and the kind of test.
type ListKey<'a> = (Option<&'a Template>, std::mem::Discriminant<Comparison<'a>>);

/// Builds the lists of all scripts.
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
    /// For each map, whether it is stable.
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
            // If a variable is set several times, the last value counts.
            let values: FixedValues = chunk.iter().filter_map(|op| self.fixed(op)).collect();
            if !values.is_empty() && ops.len() >= MIN_OPS {
                runs.push(SetRun { ops, values: Rc::new(values) });
            }
        }
        runs
    }

    /// The variable that an op sets to a constant. Excluded are variables that are computed unless `set`: they are
    /// computed again for the access log.
    fn fixed(&self, op: &Op) -> Option<(u32, Text)> {
        let Op::Set { slot: SetTarget::User(variable), value } = op else { return None };
        let is_stored = matches!(self.variables.defined.get(*variable as usize), Some((_, Source::Stored)));
        value.constant().filter(|_| is_stored).map(|text| (*variable, Text::new(text)))
    }

    fn lists_of(&self, ops: &[Op]) -> OpLists {
        if ops.len() < MIN_OPS {
            return OpLists { lists: Vec::new(), others: (0..ops.len()).collect() };
        }
        let mut by_subject: FastMap<ListKey, Vec<usize>> = FastMap::default();
        for (at, op) in ops.iter().enumerate() {
            if let Some((subject, question)) = op.comparison() {
                by_subject.entry((subject, std::mem::discriminant(&question))).or_default().push(at);
            }
        }
        let is_stable = |subject: Option<&Template>| subject.is_none_or(|subject| self.is_stable(subject));
        let mut groups: Vec<(ListKey, Vec<usize>)> =
            by_subject.into_iter().filter(|(_, at)| at.len() >= MIN_OPS).collect();
        groups.sort_unstable_by_key(|(_, at)| (std::cmp::Reverse(at.len()), at[0]));
        let lists = groups.into_iter().filter(|((subject, _), _)| is_stable(*subject));
        let lists = lists.filter_map(|((subject, _), at)| {
            let test = match ops[at[0]].comparison()?.1 {
                Comparison::Pattern(_) => OpTest::Patterns(patterns(ops, &at, MatchMode::Match)?),
                Comparison::NoPattern(_) => OpTest::NoPatterns(patterns(ops, &at, MatchMode::Mismatch)?),
                Comparison::Text(_) => OpTest::Texts(texts(ops, &at)),
                Comparison::NoText(_) => OpTest::NoTexts(texts(ops, &at)),
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
        if lists.len() < OpLists::MOST
            && let Some(list) = self.list_of_geos(ops)
        {
            list.ops.iter().for_each(|at| is_listed[*at] = true);
            lists.push(list);
        }
        let others = (0..ops.len()).filter(|at| !is_listed[*at]).collect();
        OpLists { lists, others }
    }

    /// The ops that ask for a `geo` of the client's address.
    fn list_of_geos(&self, ops: &[Op]) -> Option<OpList> {
        let address = Var::Builtin(Builtin::BinaryRemoteAddr);
        let asked: Vec<_> = ops.iter().enumerate().filter_map(|(at, op)| self.asked_geo(at, op)).collect();
        if asked.len() < MIN_OPS || self.variables.redefinition(&address).is_some() {
            return None;
        }
        let defaults = asked.iter().map(|(_, variable, _, geo)| (*variable, Text::new(geo.default_value())));
        let asked_variables = AskedVariables {
            defaults: Rc::new(defaults.collect()),
            variables: asked.iter().map(|(_, variable, ..)| *variable).collect(),
        };
        let geos = GeoOps { tables: asked.iter().map(|(_, _, table, _)| *table).collect(), asked: asked_variables };
        let ops = asked.iter().map(|(at, ..)| *at).collect();
        let subject = Template { parts: Box::new([Part::Var(address)]) };
        Some(OpList { subject: Some(subject), ops, test: OpTest::Geos(geos) })
    }

    /// The `geo` that decides whether an op does anything, where it does nothing by the default: the op, the variable,
    /// the table. Only of the client's own address, which no op of the script changes.
    fn asked_geo(&self, at: usize, op: &Op) -> Option<(usize, u32, u32, &GeoTable)> {
        let (condition, variable) = asked_variable(op)?;
        let Some((_, Source::Geo(table))) = self.variables.defined.get(variable as usize) else { return None };
        let geo = self.tables.geos.get(*table as usize)?;
        let is_own = geo.source.is_none() && geo.proxies.is_empty() && !geo.volatile;
        (is_own && is_idle_by(condition, geo.default_value())?).then_some((at, variable, *table, geo))
    }

    /// Lists of ops that test maps of one source and are in no other list yet.
    fn lists_of_maps(&self, ops: &[Op], is_listed: &[bool]) -> Vec<OpList> {
        let mut by_source: FastMap<&Template, Vec<AskedMap>> = FastMap::default();
        for (at, op) in ops.iter().enumerate().filter(|(at, _)| !is_listed[*at]) {
            if let Some(asked) = self.asked_map(at, op) {
                by_source.entry(&asked.map.source).or_default().push(asked);
            }
        }
        let mut asked: Vec<_> =
            by_source.into_iter().filter(|(source, asked)| asked.len() >= MIN_OPS && self.is_stable(source)).collect();
        asked.sort_unstable_by_key(|(_, asked)| (std::cmp::Reverse(asked.len()), asked[0].at));
        let list = |(source, asked): (&Template, Vec<AskedMap>)| {
            let mut named: FastMap<Box<[u8]>, Vec<usize>> = FastMap::default();
            for asked in &asked {
                checkpoint::pass();
                asked.map.names.exact().for_each(|name| named.entry(name.into()).or_default().push(asked.at));
            }
            let defaults = asked.iter().map(|asked| (asked.variable, Text::new(asked.default)));
            let variables = asked.iter().map(|asked| asked.variable).collect();
            let maps = MapOps { named, asked: AskedVariables { variables, defaults: Rc::new(defaults.collect()) } };
            let ops = asked.iter().map(|asked| asked.at).collect();
            OpList { subject: Some(source.clone()), ops, test: OpTest::Maps(maps) }
        };
        asked.into_iter().map(list).collect()
    }

    /// The map whose value decides about an op, if the map's default makes it do nothing.
    fn asked_map(&self, at: usize, op: &Op) -> Option<AskedMap<'_>> {
        let (condition, variable) = asked_variable(op)?;
        let Some((_, Source::Map(table))) = self.variables.defined.get(variable as usize) else { return None };
        let map = self.tables.maps.get(*table as usize)?;
        // Patterns set captures; a volatile map is evaluated at each use.
        if map.hostnames || map.volatile || !map.regexes.is_empty() {
            return None;
        }
        let default = match map.default {
            Some(at) => map.values.get(at as usize)?.constant()?,
            None => b"",
        };
        is_idle_by(condition, default)?.then_some(AskedMap { at, variable, map, default })
    }

    fn is_stable(&self, subject: &Template) -> bool {
        let is_stable_map = |table: u32| self.maps.get(table as usize).is_some_and(|is_stable| *is_stable);
        is_stable(subject, self.variables, is_stable_map)
    }
}

/// The variable of the configuration that an `if` asks for, and its condition.
fn asked_variable(op: &Op) -> Option<(&Condition, u32)> {
    let Op::If { condition, .. } = op else { return None };
    let (Condition::True(asked) | Condition::Equal { left: asked, .. }) = condition else { return None };
    let [Part::Var(Var::User(variable))] = *asked.parts else { return None };
    Some((condition, variable))
}

/// Whether a condition on a variable does not hold where that has its default. None: that is not known before a
/// request.
fn is_idle_by(condition: &Condition, default: &[u8]) -> Option<bool> {
    Some(match condition {
        Condition::Equal { right, negated, .. } => (right.constant()? == default) == *negated,
        _ => matches!(default, b"" | b"0"),
    })
}

/// An op that tests a map.
struct AskedMap<'a> {
    at: usize,
    variable: u32,
    map: &'a MapTable,
    default: &'a [u8],
}

/// Maps with patterns set captures. Maps of maps are excluded: their depth is unbounded.
fn is_stable_map(map: &MapTable, variables: &Variables) -> bool {
    checkpoint::pass();
    let mut templates = map.values.iter().chain([&map.source]);
    map.regexes.is_empty() && templates.all(|template| is_stable(template, variables, |_| false))
}

fn is_stable(template: &Template, variables: &Variables, is_stable_map: impl Fn(u32) -> bool) -> bool {
    let is_stable_user = |at: u32| match variables.defined.get(at as usize) {
        // Only an op with an effect assigns it: a `set` or a matching pattern. A negated pattern with named groups also
        // assigns when it does nothing, and is in no list.
        Some((_, Source::Stored | Source::Captured)) => true,
        Some((_, Source::Map(table))) => is_stable_map(*table),
        _ => false,
    };
    let is_stable_family =
        |var: &Var| matches!(var, Var::Arg(_) | Var::Http(_) | Var::Cookie(_) | Var::ProxyProtocolTlv(_) | Var::Absent);
    let is_stable_variable = |var: &Var| match (var, variables.redefinition(var)) {
        (Var::User(at), _) => is_stable_user(*at),
        // Unless an op assigns it, it is derived from the request.
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

/// Whether it depends only on the request head, the connection and what the script's ops do.
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
        if let Some((_, Comparison::Text(text) | Comparison::NoText(text))) = ops[at].comparison() {
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

    /// The number of ops in lists, for a server whose ops test the subject.
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
             map $uri $gives_one {{ default $1; }} map $plain $of_map {{ a b; }} geo $near {{ default 0; 10.0.0.0/8 1; }}
             geo $behind {{ default 0; proxy 10.0.0.1; }} geo $arg_x $asked {{ default 0; }} map $arg_m $arg_made {{ ~(.) b; }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
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
            // By default none of the eight `=` tests is true.
            ("$of_map", 8),
            // The client's address is asked about once for all of them; one that a proxy names is not.
            ("$near", 8),
            ("$behind", 0),
            ("$asked", 0),
            ("$arg_made", 0),
            ("$realpath_root", 0),
            ("$msec", 0),
        ] {
            assert_eq!(listed(subject), expected, "{subject}");
        }
    }
}
