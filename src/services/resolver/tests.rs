//! Which lookups go on while many names get no answer: the name server is a socket that nothing reads.

use super::*;
use crate::util::slab;
use std::net::UdpSocket;

fn client(last: u8) -> Sharer {
    Sharer::of(&[192, 0, 2, last])
}

fn wake(slot: u32) -> Wake {
    Wake::conn(slab::Key::new(slot, 1))
}

struct Fixture {
    resolver: Resolver,
    settings: Rc<ResolverSettings>,
    _silent: UdpSocket,
}

impl Fixture {
    fn new() -> Fixture {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let servers = [silent.local_addr().expect("it is bound")].into();
        let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
        let mut resolver = Resolver::default();
        resolver.set_descriptors(20);
        Fixture { resolver, settings, _silent: silent }
    }

    /// Whether the lookup has begun, or joined another.
    fn asks(&mut self, name: &str, client: Option<Sharer>, slot: u32, timeout: u64) -> Option<Ticket> {
        let owner = client.is_some().then(|| wake(slot));
        let settings = &self.settings;
        let question = Question { settings, name: name.as_bytes(), want: Want::Addresses, timeout, owner, client };
        match self.resolver.ask(&question, 1000) {
            Submitted::Later(ticket) => Some(ticket),
            Submitted::Now(outcome) => {
                assert_eq!(outcome, Err(LookupError::BUSY));
                None
            }
        }
    }
}

#[test]
fn names_that_get_no_answer_do_not_end_the_lookups_of_other_clients() {
    let mut dns = Fixture::new();
    let all: Vec<_> = (0..30).map(|n| dns.asks(&format!("x{n}.evil"), Some(client(1)), n, 5000)).collect();
    assert_eq!(all.iter().flatten().count(), 20, "no more, nor more descriptors");
    assert_eq!(dns.resolver.next_due(), Some(6000));
    let other = dns.asks("good.test", Some(client(2)), 50, 5000);
    assert!(other.is_some());
    assert_eq!(dns.resolver.next_due(), Some(0), "one of the first client has ended, as it is to be told");
    let (woken, newest) = (dns.resolver.woken(), all[19].expect("it had begun"));
    assert_eq!((woken, dns.resolver.take(newest)), (vec![wake(19)], Some(Err(LookupError::BUSY))));
    assert_eq!(dns.resolver.lookups.shares().total(), 20);
    assert!(dns.asks("x30.evil", Some(client(1)), 0, 5000).is_none(), "it has the most");
    // What the configuration needs is not counted.
    assert!(dns.asks("group.test", None, 0, 5000).is_some());
    assert_eq!(dns.resolver.lookups.shares().total(), 20);
}

#[test]
fn a_lookup_that_another_client_waits_for_goes_on() {
    let mut dns = Fixture::new();
    for n in 0..20 {
        dns.asks(&format!("x{n}.evil"), Some(client(1)), n, 5000).expect("there is room");
    }
    let joined = dns.asks("X19.evil", Some(client(2)), 50, 5000).expect("the same question");
    dns.asks("good.test", Some(client(3)), 51, 5000).expect("another gives way");
    assert_eq!((dns.resolver.woken(), dns.resolver.take(joined)), (vec![wake(18)], None));
    let shares = dns.resolver.lookups.shares();
    assert_eq!([1, 2, 3].map(|last| shares.of(client(last))), [18, 1, 1]);
}

#[test]
fn each_caller_gives_up_at_its_own_time() {
    let mut dns = Fixture::new();
    let long = dns.asks("a.test", Some(client(1)), 1, 9000).expect("begun");
    let short = dns.asks("a.test", Some(client(2)), 2, 100).expect("joined");
    let polled = dns.asks("a.test", None, 0, 200).expect("joined");
    assert_eq!(dns.resolver.next_due(), Some(1100));
    dns.resolver.expire(1100);
    let outcomes = |dns: &mut Fixture| [short, polled, long].map(|ticket| dns.resolver.take(ticket).is_some());
    assert_eq!((dns.resolver.woken(), outcomes(&mut dns)), (vec![wake(2)], [true, false, false]));
    dns.resolver.expire(1200);
    assert_eq!((dns.resolver.answered(), outcomes(&mut dns)), (vec![polled], [false, true, false]));
    assert_eq!(dns.resolver.next_due(), Some(6000), "the question is repeated");
    dns.resolver.expire(6000);
    assert_eq!(dns.resolver.next_due(), Some(10_000));
    dns.resolver.expire(10_000);
    assert_eq!((dns.resolver.woken(), outcomes(&mut dns)), (vec![wake(1)], [false, false, true]));
    assert_eq!((dns.resolver.next_due(), dns.resolver.done_since.len()), (None, 0));
}
