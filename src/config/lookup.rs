//! Resolves host names in directives by the system's resolver, which blocks. At startup that does not matter; during a
//! reload ([`Session`]) a helper process resolves them while the event loop goes on.

use crate::io::helper::Helper;
use crate::util::checkpoint;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// Maximum time per name, in seconds.
const LONGEST: u32 = 30;
/// Maximum number of addresses per name.
const MAX_ADDRESSES: usize = 64;
/// Size of a tag and the longest address.
const ENTRY: usize = 17;

#[derive(Default)]
struct LookupCache {
    helper: Option<Helper>,
    known: HashMap<String, Vec<IpAddr>>,
}

thread_local! {
    static CACHE: RefCell<Option<LookupCache>> = const { RefCell::new(None) };
}

/// As long as it exists, a helper process resolves names, each only once.
pub struct Session(());

impl Session {
    /// Until it is dropped, names are looked up by the helper, and asked for once each.
    pub fn begin() -> Session {
        CACHE.set(Some(LookupCache::default()));
        Session(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        CACHE.take();
    }
}

/// The addresses of a name, without duplicates, in the resolver's order. Empty if it is not found.
pub fn addresses(name: &str) -> Vec<IpAddr> {
    // Taken out while waiting, because the event loop runs meanwhile.
    let Some(mut asked) = CACHE.take() else { return system(name) };
    let found = match asked.known.get(name) {
        Some(known) => known.clone(),
        None => {
            let found = asked.ask(name).unwrap_or_default();
            asked.known.insert(name.to_owned(), found.clone());
            found
        }
    };
    CACHE.set(Some(asked));
    found
}

impl LookupCache {
    /// None: the helper could not be asked.
    fn ask(&mut self, name: &str) -> Option<Vec<IpAddr>> {
        if name.len() > crate::io::helper::LARGEST {
            return None;
        }
        if self.helper.is_none() {
            self.helper = Helper::start(c"webserv-names", LONGEST, |question| {
                encode(&std::str::from_utf8(question).map(system).unwrap_or_default())
            })
            .ok();
        }
        let helper = self.helper.as_ref()?;
        let mut answer = helper.ask(name.as_bytes()).err().map(Err);
        while answer.is_none() {
            if !checkpoint::wait(helper.fd()) {
                // Outside the event loop, blocking is fine.
                let _ = crate::sys::file::wait_readable(helper.fd(), u32::MAX);
            }
            answer = helper.answer();
        }
        if let Some(Ok(text)) = answer {
            return Some(decode(&text));
        }
        // The helper timed out; the next name starts a new one.
        self.helper = None;
        None
    }
}

fn system(name: &str) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in (name, 0).to_socket_addrs().into_iter().flatten().map(|address| address.ip()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips
}

/// Never empty: an empty message means that the channel is closed.
fn encode(ips: &[IpAddr]) -> Vec<u8> {
    let mut out = vec![0];
    for ip in ips.iter().take(MAX_ADDRESSES) {
        let mut entry = [0; ENTRY];
        match ip {
            IpAddr::V4(ip) => {
                entry[0] = 4;
                entry[1..5].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                entry[0] = 6;
                entry[1..].copy_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&entry);
    }
    out
}

fn decode(text: &[u8]) -> Vec<IpAddr> {
    let entries = text.get(1..).unwrap_or_default().chunks_exact(ENTRY);
    let decoded = entries.filter_map(|entry| match entry {
        [4, a, b, c, d, ..] => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
        [6, octets @ ..] => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    });
    decoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_by_another_process_as_by_this_one() {
        let direct = addresses("localhost");
        assert!(!direct.is_empty());
        let session = Session::begin();
        for _ in 0..2 {
            assert_eq!(addresses("localhost"), direct);
            assert_eq!(addresses("name.invalid"), Vec::<IpAddr>::new());
        }
        drop(session);
        let all: Vec<IpAddr> = vec!["1.2.3.4".parse().expect("an address"), "1:2::3".parse().expect("an address")];
        assert_eq!(decode(&encode(&all)), all);
        assert_eq!(decode(b""), Vec::<IpAddr>::new());
    }
}
