//! Which server is picked, in known sequences; and when state is dropped.

use super::*;
use crate::config::addr::PeerAddr;
use std::net::Ipv4Addr;

#[test]
fn peers_are_tried_once_however_many_there_are() {
    let mut tried = Peers::default();
    for at in [0, 63, 64, 200, 65] {
        assert!(!tried.has(at) && tried.add(at) && tried.has(at) && !tried.add(at), "{at}");
    }
    assert!([1, 62, 66, 199, 201].iter().all(|at| !tried.has(*at)));
}

/// `servers`: weights, with `b` for backup and `d` for down.
fn upstream(servers: &str, method: Method) -> Rc<Upstream> {
    let mut upstream = Upstream::named("u");
    upstream.method = method;
    for (at, word) in servers.split(' ').enumerate() {
        let addr = PeerAddr::parse(format!("127.0.0.1:{}", at + 1).as_bytes(), 80).expect("an address");
        let mut peer = Upstream::of("x", addr).peers.remove(0);
        peer.weight = word.trim_matches(['b', 'd']).parse().expect("a weight");
        peer.backup = word.contains('b');
        peer.down = word.contains('d');
        upstream.peers.push(peer);
    }
    Rc::new(upstream)
}

fn client(last: u8) -> Client {
    Client::new(Ipv4Addr::new(10, 1, last, 9).into(), 1)
}

fn by(client: &Client) -> BalanceKey<'_> {
    BalanceKey { client, key: b"" }
}

fn sequence(balance: &mut Balance, upstream: &Rc<Upstream>, count: usize, now: u64) -> String {
    let mut taken = Vec::new();
    for _ in 0..count {
        match balance.take(upstream, &mut Tried::default(), by(&client(1)), now) {
            Some(at) => {
                taken.push(at.to_string());
                balance.give(upstream, at, Outcome::Good, RequestTimes { began: 0, header: None }, now);
            }
            None => taken.push("-".into()),
        }
    }
    taken.join("")
}

#[test]
fn weights_are_spread_smoothly() {
    for (name, servers, expected) in [
        ("equal", "1 1 1", "012012012"),
        ("five, one, one", "5 1 1", "0010200"),
        ("down is left out", "1 1d 1", "020202"),
        ("backup waits", "1 1b", "0000"),
        ("all are down but the backup", "1d 1b", "1111"),
        ("all are down", "1d 1d", "--"),
        ("one", "1", "00"),
    ] {
        let (mut balance, upstream) = (Balance::default(), upstream(servers, Method::RoundRobin));
        assert_eq!(sequence(&mut balance, &upstream, expected.len(), 1), expected, "{name}");
    }
}

#[test]
fn a_server_that_failed_rests_and_is_tried_again() {
    let (mut balance, upstream) = (Balance::default(), upstream("1 1", Method::RoundRobin));
    let mut tried = Tried::default();
    assert_eq!(balance.take(&upstream, &mut tried, by(&client(1)), 1000), Some(0));
    assert_eq!(
        balance.give(&upstream, 0, Outcome::Failed, RequestTimes { began: 0, header: None }, 1000),
        PeerState::Disabled
    );
    assert_eq!(balance.take(&upstream, &mut tried, by(&client(1)), 1000), Some(1), "the same request goes on");
    balance.give(&upstream, 1, Outcome::Good, RequestTimes { began: 0, header: None }, 1000);
    assert_eq!(balance.take(&upstream, &mut tried, by(&client(1)), 1000), None, "all were tried");
    assert_eq!(sequence(&mut balance, &upstream, 3, 5000), "111");
    let later = sequence(&mut balance, &upstream, 4, 11_001);
    assert!(later.contains('0'), "{later}");
}

#[test]
fn a_server_whose_kept_connection_was_stale_may_be_taken_again_and_those_before_it_not() {
    let hash = || Method::Hash { key: Default::default(), ring: None };
    let client = client(1);
    let key = BalanceKey { key: b"value", ..by(&client) };
    for method in [Method::RoundRobin, Method::IpHash, hash()] {
        let (mut balance, upstream) = (Balance::default(), upstream("1 1 1", method));
        let mut tried = Tried::default();
        let mut take = |tried: &mut Tried| balance.take(&upstream, tried, key, 1);
        let first = take(&mut tried).expect("a server");
        let second = take(&mut tried).expect("another");
        tried.forget_last();
        tried.forget_last();
        let again = take(&mut tried).expect("one");
        assert!(again != first, "{:?}", upstream.method);
        assert!(matches!(upstream.method, Method::RoundRobin) || again == second, "{:?}", upstream.method);
        let last = take(&mut tried).expect("the third");
        assert!(last != first && last != again, "{:?}", upstream.method);
        assert_eq!(take(&mut tried), None, "{:?}", upstream.method);
    }
}

#[test]
fn groups_made_for_requests_go_with_them() {
    let (mut balance, kept) = (Balance::default(), upstream("1 1", Method::RoundRobin));
    let mut take = |upstream: &Rc<Upstream>| balance.take(upstream, &mut Tried::default(), by(&client(1)), 1);
    take(&kept).expect("a server");
    let under_way: Vec<_> = (0..3 * FEW).map(|_| upstream("1 1", Method::RoundRobin)).collect();
    for held in &under_way {
        take(held).expect("a server");
    }
    for _ in 0..100 * FEW {
        take(&upstream("1 1", Method::RoundRobin)).expect("a server");
    }
    let most = 2 * (under_way.len() + 1 + FEW);
    assert!(balance.groups.len() <= most, "{}", balance.groups.len());
    assert_eq!(balance.seen(&kept, 0, 1).busy, 1, "what is in use is counted on");
    drop(under_way);
    balance.prune();
    while balance.is_pruning() {
        balance.prune_some();
    }
    assert_eq!(balance.groups.len(), 1);
}

#[test]
fn thousands_of_groups_are_dropped_in_steps_and_keep_their_state_meanwhile() {
    let mut balance = Balance::default();
    let groups: Vec<_> = (0..3000).map(|_| upstream("1 1", Method::RoundRobin)).collect();
    for group in &groups {
        balance.take(group, &mut Tried::default(), by(&client(1)), 1).expect("a server");
    }
    let busy = |balance: &Balance, group| (0..2).map(|peer| balance.seen(group, peer, 1).busy).sum::<u32>();
    while balance.is_pruning() {
        balance.prune_some();
    }
    let kept = groups[7].clone();
    drop(groups);
    balance.prune();
    balance.prune();
    let mut before = balance.groups.len() + balance.unsure.len();
    let mut steps = 0;
    while balance.is_pruning() {
        assert_eq!(busy(&balance, &kept), 1);
        balance.prune_some();
        let left = balance.groups.len() + balance.unsure.len();
        assert!(before - left <= 256, "{}", before - left);
        (before, steps) = (left, steps + 1);
    }
    assert!(steps >= 3000 / 256, "{steps}");
    assert_eq!((balance.groups.len(), busy(&balance, &kept)), (1, 1));
}

/// One of fifty thousand held up other clients.
#[test]
fn a_group_of_thousands_of_servers_is_freed_in_steps() {
    let mut balance = Balance::default();
    let group = upstream("1 ".repeat(3000).trim_end(), Method::RoundRobin);
    balance.take(&group, &mut Tried::default(), by(&client(1)), 1).expect("a server");
    drop(group);
    balance.prune();
    balance.prune_some();
    let left = |balance: &Balance| {
        balance.spent.iter().map(|group| group.peers.len() + group.upstream.peers.len()).sum::<usize>()
    };
    let mut before = left(&balance);
    assert_eq!(before, 6000);
    while balance.is_pruning() {
        balance.prune_some();
        let left = left(&balance);
        assert!(before - left <= 256, "{}", before - left);
        before = left;
    }
    assert_eq!((before, balance.groups.len()), (0, 0));
}

#[test]
fn the_least_busy_is_taken() {
    let (mut balance, upstream) = (Balance::default(), upstream("1 2", Method::LeastConn));
    let mut take = || balance.take(&upstream, &mut Tried::default(), by(&client(1)), 1).expect("one is free");
    let taken: Vec<usize> = (0..6).map(|_| take()).collect();
    assert_eq!(taken.iter().filter(|at| **at == 1).count(), 4, "{taken:?}");
}

#[test]
fn one_client_keeps_its_server() {
    let (mut balance, upstream) = (Balance::default(), upstream("1 1 1", Method::IpHash));
    let mut seen = std::collections::BTreeSet::new();
    for last in 0..50 {
        let mut take = || balance.take(&upstream, &mut Tried::default(), by(&client(last)), 1);
        let first = take();
        assert_eq!(first, take());
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3);
}

/// Known results of nginx 1.31 for the same group.
#[test]
fn a_ring_holds_what_nginx_puts_on_it() {
    let mut group = Upstream::clone(&upstream("1 2 1 1", Method::RoundRobin));
    let names = ["127.0.0.1:8081", "127.0.0.1:8082", "unix:/nowhere/x.sock", "localhost"];
    for (line, (peer, name)) in group.peers.iter_mut().zip(names).enumerate() {
        (peer.line, peer.server) = (line as u32, name.into());
    }
    let ring = Ring::of(&group.peers);
    group.method = Method::Hash { key: Default::default(), ring: Some(ring) };
    let (mut balance, group) = (Balance::default(), Rc::new(group));
    let mut taken = String::new();
    for key in b'a'..=b'p' {
        let by = BalanceKey { client: &client(1), key: &[key] };
        let at = balance.take(&group, &mut Tried::default(), by, 1).expect("all are well");
        balance.give(&group, at, Outcome::Good, RequestTimes { began: 0, header: None }, 1);
        taken.push_str(&at.to_string());
    }
    assert_eq!(taken, "3223010011020333");
}

/// A name whose answer changes with each look-up must not bring a dead server back each time.
#[test]
fn a_server_that_stays_when_the_addresses_change_keeps_its_failures_and_requests() {
    let group = |ports: &[u16]| {
        let mut upstream = Upstream::named("u");
        upstream.base = Some(Rc::new(Upstream::named("u")));
        for port in ports {
            let addr = PeerAddr::parse(format!("127.0.0.1:{port}").as_bytes(), 80).expect("an address");
            upstream.peers.extend(Upstream::of("x", addr).peers);
        }
        Rc::new(upstream)
    };
    let times = RequestTimes { began: 0, header: None };
    let mut balance = Balance::default();
    let before = group(&[1, 2]);
    let mut tried = Tried::default();
    let first = balance.take(&before, &mut tried, by(&client(1)), 1000).expect("a server");
    let dead = balance.take(&before, &mut tried, by(&client(1)), 1000).expect("the other one");
    assert_eq!((first, dead), (0, 1));
    assert_eq!(balance.give(&before, dead, Outcome::Failed, times, 1000), PeerState::Disabled);
    let mut now = before.clone();
    for other in [3, 4, 5] {
        let next = group(&[2, other, 1]);
        balance.succeed(&now, &next);
        now = next;
        assert_eq!(sequence(&mut balance, &now, 4, 2000).matches('0').count(), 0, "the dead one is not tried");
        assert_eq!(balance.seen(&now, 2, 2000).busy, 1, "the request of before is under way");
    }
    // It was taken from the first group, and ends in the one that there is now.
    balance.give(&before, first, Outcome::Good, times, 2000);
    assert_eq!(balance.seen(&now, 2, 2000).busy, 0);
    assert!(sequence(&mut balance, &now, 6, 60_000).contains('0'), "after fail_timeout it is tried");
}
