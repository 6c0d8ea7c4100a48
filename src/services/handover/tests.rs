//! Records encoded and decoded, truncated at every position; and what remains of one process in the next.

use super::record::Record;
use super::*;
use crate::config::build::Form;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::http::dav::lock::Token;
use crate::services::dav_locks::Lock;
use crate::services::logs::Logs;
use crate::services::stats::PeerCounts;

fn lock(path: &str) -> Lock {
    let text = |text: &str| Rc::from(text.as_bytes());
    Lock {
        token: Token::new([7; 16]),
        path: text(path),
        href: text("/h"),
        exclusive: true,
        deep: false,
        owner: text("<o/>"),
        creator: text(""),
        timeout: 60,
        until: u64::MAX,
    }
}

#[test]
fn records_read_back_and_cut_ones_are_none() {
    let counts = PeerCounts { selected: 1, responses: [1, 2, 3, 4, 5, 6], sent: 7, received: 8, fails: 9 };
    let records = [
        Record::Requests { zone: "z", key: b"\0k", excess: -5, last: 9 },
        Record::Connections { zone: "z", key: b"", count: 3 },
        Record::Claim { area: b"/a", bytes: u64::MAX, files: 1 },
        Record::Lock { zone: "z", lock: lock("/p") },
        Record::Lock { zone: "z", lock: Lock { creator: Rc::from(&b"u"[..]), ..lock("/p") } },
        Record::Unlocked { path: b"/p", token: Token::new([8; 16]) },
        Record::Session { zone: "s", key: b"k", made: 1, value: b"v" },
        Record::TicketKey { name: [1; 16], secret: [2; 32], made: 3 },
        Record::Upstream { upstream: "u", peer: "p", counts },
        Record::End,
    ];
    let message: Vec<u8> = records.iter().flat_map(Record::encode).collect();
    let mut rest = &message[..];
    for record in &records {
        assert_eq!(Record::decode(&mut rest).as_ref(), Some(record));
    }
    assert_eq!((rest, Record::decode(&mut rest)), (&b""[..], None));
    for record in &records {
        let bytes = record.encode();
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&mut &bytes[..cut]), None, "{record:?} cut at {cut}");
        }
    }
    assert_eq!(Record::decode(&mut &[b'r', 255, 255, 255, 255, 255, 255, 255, 255][..]), None, "an endless text");
}

fn services() -> Services {
    let text = "events {} http { limit_req_zone $remote_addr zone=r:1m rate=1r/s; limit_conn_zone $remote_addr zone=c:1m; \
        server { listen 127.0.0.1:1; limit_req zone=r; limit_conn c 1; } }";
    let mut loaded = load_text("t", text.as_bytes(), &LoadOptions::default());
    let resolved = resolve(&mut loaded, std::path::Path::new("/"), Form::Webserv, Vec::new(), None);
    Services::new(Rc::new(resolved.config.expect("the configuration is right")), Logs::new())
}

fn give(records: impl IntoIterator<Item = Vec<u8>>, to: &mut Predecessor, cx: &mut Services) {
    for bytes in records {
        let record = Record::decode(&mut &bytes[..]).expect("a record");
        to.take(record, cx);
    }
}

#[test]
fn the_next_process_goes_on_with_limits_slots_and_shares() {
    let (mut old, mut new) = (services(), services());
    let (zone, places): (Rc<str>, Rc<str>) = ("r $remote_addr".into(), "c $remote_addr".into());
    let now = old.now.ms;
    assert_eq!(old.limits.pass(&zone, b"k", 1000, now, 1 << 20), 0);
    assert_eq!(old.limits.pass(&zone, b"k", 1000, now, 1 << 20), 1000);
    assert!(old.limits.enter(&places, &Rc::from(&b"k"[..]), 1, 1 << 20));
    let area = old.quotas.area_at(b"/srv/up");
    let mut claim = Claim::new(area);
    claim.set_granted(Usage::file(10));
    old.dav_locks.inherit("l", lock("/srv/up/f"));
    let mut predecessor = Predecessor::default();
    // A request arrived in the new process before the handover.
    assert_eq!(new.limits.pass(&zone, b"k", 1000, now, 1 << 20), 0);
    let mut state = HandoverState::of(&mut old);
    give(std::iter::from_fn(|| state.take()), &mut predecessor, &mut new);
    assert_eq!(new.limits.excess(&zone, b"k", 1000, now), 3000, "three requests, and one more");
    assert!(!new.limits.enter(&places, &Rc::from(&b"k"[..]), 1, 1 << 20), "the place is taken");
    assert_eq!(new.quotas.area_at(b"/srv/up").claimed(), Usage::file(10));
    assert_eq!(new.dav_locks.shown(b"/srv/up/f").len(), 1);
    // A last request of the old process, which ends like its upload and the other request.
    assert_eq!(old.limits.pass(&zone, b"k", 1000, now, 1 << 20), 0);
    old.limits.leave(&places, b"k");
    drop(claim);
    let changes = changes(&mut old);
    give(changes, &mut predecessor, &mut new);
    assert_eq!(new.limits.excess(&zone, b"k", 1000, now), 4000);
    assert!(new.limits.enter(&places, &Rc::from(&b"k"[..]), 1, 1 << 20), "it came free");
    assert_eq!(new.quotas.area_at(b"/srv/up").claimed(), Usage::default());
    assert!(super::changes(&mut old).is_empty(), "said once");
    // A process that exits unexpectedly holds nothing any more.
    give([Record::Connections { zone: "c $remote_addr", key: b"x", count: 1 }.encode()], &mut predecessor, &mut new);
    assert!(!new.limits.enter(&places, &Rc::from(&b"x"[..]), 1, 1 << 20));
    assert_eq!(predecessor.release(&mut new).len(), 1);
    assert!(new.limits.enter(&places, &Rc::from(&b"x"[..]), 1, 1 << 20));
}
