//! Cached answers of name servers. As in nginx, each `resolver` directive has its own cache; a reload begins with an
//! empty one.

use super::answer::{Answer, Records, Want};
use crate::config::settings::resolver::ResolverSettings;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Maximum number of names per cache.
const NAMES: usize = 10_000;

/// A part for each `resolver` directive in use.
#[derive(Default)]
pub(super) struct Cache(Vec<Part>);

struct Part {
    settings: Rc<ResolverSettings>,
    names: HashMap<(Box<str>, Want), Answer>,
    /// Which address comes first next time (round robin).
    turn: usize,
}

impl Cache {
    /// None: unknown or expired. Each call turns the addresses by one, so that all get requests (nginx).
    pub(super) fn get(&mut self, settings: &Rc<ResolverSettings>, name: &str, want: Want, now: u64) -> Option<Answer> {
        let part = self.0.iter_mut().find(|part| Rc::ptr_eq(&part.settings, settings))?;
        let answer = part.names.get(&(name.into(), want)).filter(|answer| now < answer.until)?;
        part.turn = part.turn.wrapping_add(1);
        Some(Answer { found: turned(&answer.found, part.turn), until: answer.until })
    }

    /// Caches an answer and returns it.
    pub(super) fn put(
        &mut self,
        settings: &Rc<ResolverSettings>,
        name: Box<str>,
        want: Want,
        found: Records,
        now: u64,
        until: u64,
    ) -> Answer {
        let at = self.0.iter().position(|part| Rc::ptr_eq(&part.settings, settings)).unwrap_or_else(|| {
            self.0.push(Part { settings: settings.clone(), names: HashMap::new(), turn: 0 });
            self.0.len() - 1
        });
        let names = &mut self.0[at].names;
        if names.len() >= NAMES {
            names.retain(|_, answer| now < answer.until);
        }
        if names.len() >= NAMES {
            names.clear();
        }
        let answer = Answer { found, until };
        names.insert((name, want), answer.clone());
        answer
    }

    /// Drops the parts of directives that no configuration in use has.
    pub(super) fn prune(&mut self) {
        self.0.retain(|part| Rc::strong_count(&part.settings) > 1);
    }
}

/// Rotates the list of addresses.
fn turned(found: &Records, turn: usize) -> Records {
    match found {
        Records::Addresses(all) if all.len() > 1 => {
            let mut all: Vec<IpAddr> = all.to_vec();
            let at = turn % all.len();
            all.rotate_left(at);
            Records::Addresses(all.into())
        }
        found => found.clone(),
    }
}
