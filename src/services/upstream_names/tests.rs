//! Thousands of names: what is looked up at a time, and what a reload keeps. The name server is a socket that nothing
//! reads.

use super::*;
use crate::config::addr::PeerAddr;
use crate::config::settings::resolver::ResolverSettings;
use std::net::UdpSocket;

fn groups(count: usize, settings: &Rc<ResolverSettings>) -> Vec<Rc<Upstream>> {
    let group = |n: usize| {
        let mut base = Upstream::named(&format!("u{n}"));
        let addr = PeerAddr::parse(b"127.0.0.1:9", 80).expect("an address");
        let peer = UpstreamServer::all(addr).remove(0);
        let dynamic = |host: String| Dynamic { host: host.into(), port: 9, service: None, peer: peer.clone() };
        base.dynamic = vec![dynamic(format!("n{n}.test")), dynamic(format!("m{n}.test"))];
        base.resolver = Some(settings.clone());
        Rc::new(base)
    };
    (0..count).map(group).collect()
}

/// All are listed at once.
fn adopt(names: &mut UpstreamNames, groups: &[Rc<Upstream>]) {
    names.adopt_groups(Rc::new(groups.to_vec()));
    while names.unlisted.is_some() {
        names.list_some();
    }
}

/// How many groups have been made.
fn made(names: &UpstreamNames) -> usize {
    names.groups.iter().filter(|group| !group.names.is_empty()).count()
}

/// How many groups of the first of the configurations before are left.
fn left_before(names: &UpstreamNames) -> usize {
    names.before.first().map_or(0, |before| before.groups.len())
}

#[test]
fn more_names_than_are_looked_up_at_a_time_wait_and_none_is_refused() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let servers = [silent.local_addr().expect("it is bound")].into();
    let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
    let (mut names, mut resolver, mut now) = (UpstreamNames::default(), Resolver::default(), 1000);
    let all = groups(ASKED, &settings);
    adopt(&mut names, &all);
    for _ in 0..all.len().div_ceil(MADE) {
        names.make_some();
    }
    let mut runs = 0;
    while names.next_due().is_some() {
        assert!(names.run(&mut resolver, now).failed.is_empty(), "none is refused");
        runs += 1;
    }
    assert_eq!((names.asked.len(), names.dues.len(), runs), (ASKED, ASKED, ASKED / BEGUN_AT_ONCE));
    // They time out, and the others follow.
    now += 30_000;
    let mut failed = 0;
    while names.dues.first().is_some_and(|(due, _)| *due <= now) || resolver.next_due().is_some_and(|due| due <= now) {
        resolver.expire(now);
        failed += names.run(&mut resolver, now).failed.len();
    }
    assert_eq!((failed, names.asked.len(), names.dues.len()), (ASKED, ASKED, ASKED));
    assert!(names.dues.iter().all(|(due, _)| *due == now + RETRY));
}

#[test]
fn a_reload_keeps_the_addresses_of_names_that_stay() {
    let servers = [([127, 0, 0, 1], 53).into()].into();
    let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
    let (before, after) = (groups(3, &settings), groups(4, &settings));
    let mut names = UpstreamNames::default();
    adopt(&mut names, &before);
    names.make_some();
    let addr = SocketAddr::from(([192, 0, 2, 1], 7));
    names.groups[1].names[1].addresses = vec![Address { addr, weight: 0, backup: false }];
    names.groups[1].rebuild();
    let shown = |names: &mut UpstreamNames, base: &Rc<Upstream>| -> Vec<String> {
        names.current(base).peers.iter().map(|peer| peer.name.to_string()).collect()
    };
    assert_eq!(shown(&mut names, &before[1]), ["192.0.2.1:7"]);
    adopt(&mut names, &after);
    assert_eq!(shown(&mut names, &after[1]), ["192.0.2.1:9"], "with the port that it has now");
    assert!(shown(&mut names, &after[0]).is_empty() && shown(&mut names, &after[3]).is_empty());
    assert!(Rc::ptr_eq(&names.current(&before[1]), &before[1]), "no longer known");
    names.make_some();
    assert_eq!((names.next_due(), names.dues.len()), (Some(0), 8));
}

/// 5000 groups were one step of 19 ms at HUP.
#[test]
fn many_groups_are_adopted_in_steps_and_a_request_finds_its_own_at_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let servers = [silent.local_addr().expect("it is bound")].into();
    let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
    let count = 3 * MADE + 1;
    let (before, after) = (groups(count, &settings), groups(count, &settings));
    let addr = SocketAddr::from(([192, 0, 2, 1], 9));
    let mut names = UpstreamNames::default();
    adopt(&mut names, &before);
    for group in 0..count {
        names.make(group);
        names.groups[group].names[0].addresses = vec![Address { addr, weight: 0, backup: false }];
    }
    adopt(&mut names, &after);
    assert_eq!((made(&names), names.dues.len()), (0, 0));
    assert_eq!(names.current(&after[count - 1]).peers[0].name, addr.to_string().into());
    assert_eq!(made(&names), 1);
    let mut resolver = Resolver::default();
    for step in 1..=3 {
        assert_eq!(names.next_due(), Some(0));
        names.run(&mut resolver, 1000);
        assert_eq!((made(&names), left_before(&names)), (step * MADE + 1, count));
    }
    for left in [count, 2 * MADE + 1, MADE + 1, 1, 0] {
        names.make_some();
        assert_eq!(left_before(&names), left);
    }
    assert_eq!((made(&names), names.made), (count, count));
}

/// The second of two HUPs at once adopted all that were left of the first in one step.
#[test]
fn reloads_that_follow_each_other_adopt_groups_in_steps_and_lose_no_address() {
    let servers = [([127, 0, 0, 1], 53).into()].into();
    let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
    let count = 2 * MADE;
    let generations: Vec<_> = (0..4).map(|_| groups(count, &settings)).collect();
    let mut names = UpstreamNames::default();
    adopt(&mut names, &generations[0]);
    let addr = SocketAddr::from(([192, 0, 2, 1], 9));
    for group in 0..count {
        names.make(group);
        names.groups[group].names[0].addresses = vec![Address { addr, weight: 0, backup: false }];
    }
    for next in &generations[1..] {
        adopt(&mut names, next);
        assert_eq!(made(&names), 0, "none is made in the step of the reload");
        names.make_some();
        assert_eq!(made(&names), MADE);
    }
    for base in [&generations[3][0], &generations[3][count - 1]] {
        assert_eq!(names.current(base).peers[0].name, addr.to_string().into());
    }
    let mut steps = 0;
    while names.next_due() == Some(0) && !names.before.is_empty() {
        let before: usize = names.before.iter().map(|before| before.groups.len()).sum();
        names.make_some();
        let after: usize = names.before.iter().map(|before| before.groups.len()).sum();
        assert!(before - after <= MADE);
        steps += 1;
    }
    assert!((1 + 3 * count / MADE..20).contains(&steps), "{steps}");
    assert_eq!((made(&names), names.before.len()), (count, 0));
}

/// Fifty thousand were one step of 17 ms.
#[test]
fn the_groups_of_a_reload_are_listed_in_steps_and_a_request_finds_its_own_at_once() {
    let servers = [([127, 0, 0, 1], 53).into()].into();
    let settings = Rc::new(ResolverSettings { servers, valid: None, ipv4: true, ipv6: false });
    let (all, others) = (groups(2 * LISTED + 1, &settings), groups(1, &settings));
    let mut names = UpstreamNames::default();
    names.adopt_groups(Rc::new(all.clone()));
    assert_eq!((names.groups.len(), names.next_due()), (0, Some(0)));
    names.current(&all[2 * LISTED]);
    names.current(&all[2 * LISTED]);
    assert!(Rc::ptr_eq(&names.current(&others[0]), &others[0]), "another configuration's");
    assert_eq!((names.groups.len(), made(&names)), (1, 1));
    let mut before = 1;
    while names.unlisted.is_some() {
        names.make_some();
        assert!(names.groups.len() - before <= LISTED);
        before = names.groups.len();
    }
    assert_eq!(names.groups.len(), all.len());
    let is_listed = |(at, base): (usize, &Rc<Upstream>)| {
        names.places.contains_key(&Rc::as_ptr(base).addr()) && names.by_name.contains_key(&*format!("u{at}"))
    };
    assert!(all.iter().enumerate().all(is_listed));
}
