//! Resolves hosts that a proxy_pass builds from variables set to constants (`set $app grafana; proxy_pass
//! http://$app:3000;`) while loading, like hosts written directly. nginx resolves them at run time, so a name that is
//! not found is a warning, and requests that need it get a 502.

use crate::config::build::Build;
use crate::config::model::SetTarget;
use crate::config::script::{Op, Script};
use crate::config::settings::proxy_pass::To;
use crate::config::template::{Builtin, Part, Template, Var};
use crate::config::upstream_url::Url;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Limits: nesting of variables set from variables, and number of values.
const DEPTH: usize = 4;
const VALUES: usize = 64;

/// The values that a variable is set to anywhere in the configuration.
type Sets<'a> = HashMap<u32, Vec<&'a Template>>;

/// The known beginning of a value. `whole`: the value ends there.
#[derive(Clone)]
struct Start {
    text: Vec<u8>,
    whole: bool,
}

impl Build {
    /// Adds these hosts as groups.
    pub(super) fn refer_constant_hosts(&mut self) {
        let mut sets = Sets::new();
        for location in &self.locations {
            gather(&location.script, &mut sets);
        }
        let mut hosts = Vec::new();
        for location in &self.locations {
            let Some(pass) = location.pass.as_deref() else { continue };
            let To::Made(template) = &pass.to else { continue };
            // A resolver looks them up at request time.
            if location.settings.names.resolver.is_some() {
                continue;
            }
            for start in starts(template, &sets, 0) {
                let Ok(url) = Url::of(pass.protocol, &start.text) else { continue };
                // What follows may still be part of the host.
                let cut = !start.whole && url.uri.is_empty();
                let literal = url.host.starts_with('[') || url.host.starts_with("unix:");
                let ip: Result<Ipv4Addr, _> = url.host.parse();
                if !cut && !literal && ip.is_err() {
                    hosts.push((url.host.to_owned(), url.port, location.span));
                }
            }
        }
        for (host, port, span) in hosts {
            self.upstreams.refer_if_found(&host, port, span);
        }
    }
}

fn gather<'a>(script: &'a Script, sets: &mut Sets<'a>) {
    for op in &script.ops {
        match op {
            Op::Set { slot: SetTarget::User(at), value } => sets.entry(*at).or_default().push(value),
            Op::If { script, .. } => gather(script, sets),
            _ => {}
        }
    }
}

fn starts(template: &Template, sets: &Sets<'_>, depth: usize) -> Vec<Start> {
    let mut all = vec![Start { text: Vec::new(), whole: true }];
    for part in &template.parts {
        let choices = match part {
            Part::Literal(text) => vec![Start { text: text.to_vec(), whole: true }],
            Part::Var(Var::Builtin(Builtin::Scheme)) => vec![Start { text: b"http".to_vec(), whole: true }],
            // Whatever the path is, the host ends before it.
            Part::Var(Var::Builtin(Builtin::RequestUri | Builtin::Uri | Builtin::DocumentUri)) => {
                vec![Start { text: b"/".to_vec(), whole: false }]
            }
            Part::Var(Var::User(at)) if depth < DEPTH => match sets.get(at) {
                Some(values) => values.iter().flat_map(|value| starts(value, sets, depth + 1)).take(VALUES).collect(),
                None => vec![Start { text: Vec::new(), whole: false }],
            },
            _ => vec![Start { text: Vec::new(), whole: false }],
        };
        let longer = |start: Start| -> Vec<Start> {
            if !start.whole {
                return vec![start];
            }
            let joined = |choice: &Start| Start { text: [&start.text[..], &choice.text].concat(), whole: choice.whole };
            choices.iter().map(joined).collect()
        };
        all = all.into_iter().flat_map(longer).take(VALUES).collect();
    }
    all
}
