//! Cached answers of name servers. As in nginx, each `resolver` directive has its own cache; a reload begins with an
//! empty one.

use super::answer::{Answer, Records, Want};
use crate::config::settings::resolver::ResolverSettings;
use std::collections::HashMap;
use std::rc::Rc;

/// Maximum number of names per cache.
const NAMES: usize = 10_000;
/// Maximum number of records of all names in a cache: an answer may have thousands.
const RECORDS: usize = 200_000;

/// A part for each `resolver` directive in use.
#[derive(Default)]
pub(super) struct Cache(Vec<Part>);

struct Part {
    settings: Rc<ResolverSettings>,
    names: HashMap<(Box<str>, Want), Answer>,
    /// The records of all of them.
    records: usize,
}

impl Part {
    fn put(&mut self, question: (Box<str>, Want), answer: Answer, now: u64) {
        let is_full = |part: &Part| part.names.len() >= NAMES || part.records >= RECORDS;
        if is_full(self) {
            self.names.retain(|_, answer| now < answer.until);
            self.records = self.names.values().map(|answer| answer.found.len()).sum();
        }
        if is_full(self) {
            (self.names, self.records) = (HashMap::new(), 0);
        }
        self.records += answer.found.len();
        if let Some(before) = self.names.insert(question, answer) {
            self.records -= before.found.len();
        }
    }
}

impl Cache {
    /// None: unknown or expired.
    pub(super) fn get(&self, settings: &Rc<ResolverSettings>, name: &str, want: Want, now: u64) -> Option<Answer> {
        let part = self.0.iter().find(|part| Rc::ptr_eq(&part.settings, settings))?;
        part.names.get(&(name.into(), want)).filter(|answer| now < answer.until).cloned()
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
            self.0.push(Part { settings: settings.clone(), names: HashMap::new(), records: 0 });
            self.0.len() - 1
        });
        let answer = Answer { found, until };
        self.0[at].put((name, want), answer.clone(), now);
        answer
    }

    /// Drops the parts of directives that no configuration in use has.
    pub(super) fn prune(&mut self) {
        self.0.retain(|part| Rc::strong_count(&part.settings) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn names_with_thousands_of_addresses_do_not_fill_the_memory() {
        let servers = [([127, 0, 0, 1], 53).into()].into();
        let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
        let mut cache = Cache::default();
        let list: Rc<[IpAddr]> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST); 4000].into();
        for n in 0..500 {
            let found = Records::Addresses(list.clone());
            cache.put(&settings, format!("n{n}").into(), Want::Addresses, found, 0, 100);
            let part = &cache.0[0];
            assert_eq!(part.records, part.names.len() * 4000);
            assert!(part.records < RECORDS + 4000, "{}", part.records);
        }
        let Some(Answer { found: Records::Addresses(found), .. }) = cache.get(&settings, "n499", Want::Addresses, 50)
        else {
            panic!("the last one is there")
        };
        assert!(Rc::ptr_eq(&found, &list), "without a copy");
    }
}
