//! /etc/hosts: read again after a change, which is checked at most once per second.

use super::answer::{Answer, Records};
use crate::config::settings::resolver::ResolverSettings;
use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

const PATH: &str = "/etc/hosts";
/// Milliseconds.
const PAUSE: u64 = 1000;
/// Maximum size of a hosts file.
const MOST: u64 = 16 << 20;

/// The names of the file, with their addresses.
#[derive(Default)]
pub(super) struct Hosts {
    names: HashMap<Box<str>, Addresses>,
    /// Inode, size, modification time.
    stamp: Option<(u64, u64, i64, i64)>,
    look_at: u64,
}

/// The addresses of a name by family. One list for all lookups, since groups of servers are identified by it
/// ([`crate::services::host_groups`]).
struct Addresses {
    both: Rc<[IpAddr]>,
    ipv4: Option<Rc<[IpAddr]>>,
    ipv6: Option<Rc<[IpAddr]>>,
}

impl Addresses {
    fn new(all: Vec<IpAddr>) -> Addresses {
        let both: Rc<[IpAddr]> = all.into();
        let of = |wanted: fn(&IpAddr) -> bool| {
            if both.iter().all(wanted) {
                return Some(both.clone());
            }
            both.iter().any(wanted).then(|| both.iter().filter(|ip| wanted(ip)).copied().collect())
        };
        Addresses { ipv4: of(IpAddr::is_ipv4), ipv6: of(IpAddr::is_ipv6), both }
    }
}

impl Hosts {
    /// None: the file has no address of the wanted families for this name.
    pub(super) fn find(&mut self, name: &str, settings: &ResolverSettings, now: u64) -> Option<Answer> {
        if now >= self.look_at {
            self.look_at = now + PAUSE;
            self.refresh();
        }
        let addresses = self.names.get(name)?;
        let found = match (settings.ipv4, settings.ipv6) {
            (true, true) => Some(&addresses.both),
            (true, false) => addresses.ipv4.as_ref(),
            (false, true) => addresses.ipv6.as_ref(),
            (false, false) => None,
        };
        Some(Answer { found: Records::Addresses(found?.clone()), until: now + PAUSE })
    }

    fn refresh(&mut self) {
        let stamp = fs::metadata(PATH).ok().map(|meta| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()));
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        let text = match stamp {
            Some((_, size, ..)) if size <= MOST => fs::read_to_string(PATH).unwrap_or_default(),
            _ => String::new(),
        };
        self.names = parse(&text);
    }
}

fn parse(text: &str) -> HashMap<Box<str>, Addresses> {
    let mut names: HashMap<Box<str>, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words {
            let all = names.entry(name.to_ascii_lowercase().into()).or_default();
            if !all.contains(&ip) {
                all.push(ip);
            }
        }
    }
    names.into_iter().map(|(name, all)| (name, Addresses::new(all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_hosts_is_read() {
        let names = parse("127.0.0.1 localhost Me # comment\n::1\tlocalhost\nnonsense x\n#10.0.0.1 y\n10.0.0.2\tz z\n");
        let text = |name: &str| {
            names.get(name).map(|all| all.both.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(text("localhost").as_deref(), Some("127.0.0.1 ::1"));
        assert_eq!((text("me").as_deref(), text("z").as_deref()), (Some("127.0.0.1"), Some("10.0.0.2")));
        assert_eq!((text("x"), text("y"), text("comment")), (None, None, None));
    }

    /// Each request made a group of its own of a host that the file has.
    #[test]
    fn all_questions_for_a_name_of_the_file_share_one_list_of_addresses() {
        let names = parse("127.0.0.1 both four\n::1 both six\n");
        let mut hosts = Hosts { names, stamp: None, look_at: u64::MAX };
        let mut found = |name: &str, ipv4, ipv6| {
            let settings = ResolverSettings { servers: Box::default(), valid: None, ipv4, ipv6 };
            match hosts.find(name, &settings, 0)?.found {
                Records::Addresses(ips) => Some(ips),
                Records::Services(_) => None,
            }
        };
        for (name, ipv4, ipv6, expected) in [
            ("both", true, true, "127.0.0.1 ::1"),
            ("both", true, false, "127.0.0.1"),
            ("both", false, true, "::1"),
            ("both", false, false, ""),
            ("four", true, true, "127.0.0.1"),
            ("four", false, true, ""),
            ("six", false, true, "::1"),
            ("six", true, false, ""),
            ("none", true, true, ""),
        ] {
            let lists = [found(name, ipv4, ipv6), found(name, ipv4, ipv6)];
            let texts = lists.each_ref().map(|ips| {
                let ips = ips.iter().flat_map(|ips| ips.iter());
                ips.map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(texts, [expected, expected], "{name} {ipv4} {ipv6}");
            if let [Some(one), Some(other)] = lists {
                assert!(Rc::ptr_eq(&one, &other), "{name} {ipv4} {ipv6}");
            }
        }
    }
}
