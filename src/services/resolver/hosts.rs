//! /etc/hosts: read again after a change, which is checked at most once per second.

use super::answer::{Answer, Records};
use crate::config::settings::resolver::ResolverSettings;
use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;

const PATH: &str = "/etc/hosts";
/// Milliseconds.
const PAUSE: u64 = 1000;
/// Maximum size of a hosts file.
const MOST: u64 = 16 << 20;

/// The names of the file, with their addresses.
#[derive(Default)]
pub(super) struct Hosts {
    names: HashMap<Box<str>, Vec<IpAddr>>,
    /// Inode, size, modification time.
    stamp: Option<(u64, u64, i64, i64)>,
    look_at: u64,
}

impl Hosts {
    /// None: the file has no address of the wanted families for this name.
    pub(super) fn find(&mut self, name: &str, settings: &ResolverSettings, now: u64) -> Option<Answer> {
        if now >= self.look_at {
            self.look_at = now + PAUSE;
            self.refresh();
        }
        let wanted = |ip: &IpAddr| if ip.is_ipv4() { settings.ipv4 } else { settings.ipv6 };
        let found: Vec<IpAddr> = self.names.get(name)?.iter().filter(|ip| wanted(ip)).copied().collect();
        (!found.is_empty()).then(|| Answer { found: Records::Addresses(found.into()), until: now + PAUSE })
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

fn parse(text: &str) -> HashMap<Box<str>, Vec<IpAddr>> {
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
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_hosts_is_read() {
        let names = parse("127.0.0.1 localhost Me # comment\n::1\tlocalhost\nnonsense x\n#10.0.0.1 y\n10.0.0.2\tz z\n");
        let text =
            |name: &str| names.get(name).map(|all| all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(text("localhost").as_deref(), Some("127.0.0.1 ::1"));
        assert_eq!((text("me").as_deref(), text("z").as_deref()), (Some("127.0.0.1"), Some("10.0.0.2")));
        assert_eq!((text("x"), text("y"), text("comment")), (None, None, None));
    }
}
