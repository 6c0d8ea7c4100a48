//! Tests of [`super::Uploads`]: who writes, what is held, and until when.

use super::looks::SEEN;
use super::*;
use crate::sys::file;

fn id(n: u8) -> UploadId {
    UploadId([n; 16])
}

/// Bytes and files that are held.
fn held(uploads: &mut Uploads, area: &[u8], but: &[UploadId], now: u64) -> (u64, u64) {
    let held = uploads.held(area, but, now);
    (held.bytes, held.files)
}

fn open(path: &str, bytes: u64, expires: Option<i64>) -> KnownUpload {
    KnownUpload::new(Rc::from(&b"/state"[..]), path.as_bytes(), bytes, expires)
}

#[test]
fn an_id_reads_back_and_nothing_else_is_one() {
    let id = UploadId::random().expect("entropy");
    assert_eq!(UploadId::parse(id.text().as_bytes()), Some(id));
    assert_eq!(id.text().len(), 32);
    let long = "0".repeat(33);
    let longer = "0".repeat(34);
    let upper = "A".repeat(32);
    let dots = format!("../{}", "0".repeat(29));
    for bad in ["", "0", "00", &long[..31], &long, &longer, &upper, &dots] {
        assert_eq!(UploadId::parse(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn the_newer_request_writes_and_the_older_no_more() {
    let file = || file::memfd(c"upload").expect("a memory file");
    let mut uploads = Uploads::default();
    uploads.insert(id(1), open("/a/x", 10, None));
    assert!(uploads.take(id(1)).is_none(), "no request writes");
    let old = uploads.lease(id(1), Lease::new(file()));
    assert!(uploads.get(id(1)).is_some_and(KnownUpload::is_written));
    let taken = uploads.take(id(1)).expect("the old one's file");
    assert!(!old.is_live() && !uploads.get(id(1)).is_some_and(KnownUpload::is_written));
    let new = uploads.lease(id(1), taken);
    drop(old);
    assert!(new.is_live() && uploads.get(id(1)).is_some_and(KnownUpload::is_written));
    drop(new);
    assert!(!uploads.get(id(1)).is_some_and(KnownUpload::is_written));
}

#[test]
fn what_is_held_counts_for_the_area_it_is_in() {
    let mut uploads = Uploads::default();
    uploads.insert(id(1), open("/srv/a/x", 10, None));
    uploads.insert(id(2), open("/srv/a/b/y", 20, None));
    uploads.insert(id(3), open("/srv/b/", u64::MAX, None));
    uploads.insert(id(4), KnownUpload::stored(Rc::from(&b"/state"[..]), b"/srv/a/z", None));
    assert_eq!(held(&mut uploads, b"/srv/a/", &[], 0), (30, 2));
    assert_eq!(held(&mut uploads, b"/srv/a/", &[id(2)], 0), (10, 1));
    assert_eq!(held(&mut uploads, b"/srv/", &[], 0), (u64::MAX, 3));
    assert_eq!(held(&mut uploads, b"/srv/c/", &[], 0), (0, 0));
    // Its sum was requested, so from now on it is updated.
    assert!(uploads.update(id(1), 15, None));
    uploads.insert(id(5), open("/srv/a/b/w", 1, None));
    uploads.insert(id(2), KnownUpload::stored(Rc::from(&b"/state"[..]), b"/srv/a/b/y", None));
    uploads.finish(id(3), Ended::Gone);
    uploads.finish(id(4), Ended::Gone);
    assert!(!uploads.update(id(3), 9, None));
    assert_eq!(held(&mut uploads, b"/srv/a/", &[], 0), (16, 2));
    assert_eq!(held(&mut uploads, b"/srv/a/", &[id(2)], 0), (16, 2), "a file that has its name holds nothing");
    assert_eq!(held(&mut uploads, b"/srv/a/", &[id(5)], 0), (15, 1));
    assert_eq!(held(&mut uploads, b"/srv/", &[], 0), (16, 2));
    assert_eq!(held(&mut uploads, b"/srv/a", &[], 0), (16, 2));
}

#[test]
fn an_announced_size_does_not_take_the_quota_for_a_day() {
    let mut uploads = Uploads::default();
    uploads.insert(id(1), open("/a/x", 10, None));
    uploads.promise(id(1), 1000, None, 0, RESERVED_FOR);
    assert_eq!(held(&mut uploads, b"/a/", &[], RESERVED_FOR - 1), (1000, 1));
    // Its last byte counts, and no request holds it.
    uploads.arrived(id(1), 20, 100);
    assert_eq!((held(&mut uploads, b"/a/", &[], RESERVED_FOR), uploads.holds(id(1))), ((1000, 1), 1000));
    assert_eq!((held(&mut uploads, b"/a/", &[], RESERVED_FOR + 100), uploads.holds(id(1))), ((20, 1), 20));
    // It is promised anew, while a request writes to it and sends nothing.
    uploads.promise(id(1), 500, None, RESERVED_FOR + 200, 2 * RESERVED_FOR + 200);
    let lease = uploads.lease(id(1), Lease::new(file::memfd(c"upload").expect("a memory file")));
    assert_eq!(held(&mut uploads, b"/a/", &[], 9 * RESERVED_FOR), (500, 1));
    drop(lease);
    assert_eq!(held(&mut uploads, b"/a/", &[], 10 * RESERVED_FOR), (20, 1));
    // More than was promised has arrived.
    uploads.promise(id(1), 30, None, 0, 11 * RESERVED_FOR);
    uploads.arrived(id(1), 40, 10 * RESERVED_FOR);
    assert_eq!(
        (held(&mut uploads, b"/a/", &[], 10 * RESERVED_FOR), held(&mut uploads, b"/a/", &[id(1)], 0)),
        ((40, 1), (0, 0))
    );
    uploads.finish(id(1), Ended::Gone);
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (0, 0));
    // Where no quota asks, they are forgotten all the same.
    for n in 0..100 {
        uploads.insert(id(n), open("/a/x", 10, None));
        uploads.promise(id(n), 20, None, u64::from(n) * RESERVED_FOR, u64::from(n + 1) * RESERVED_FOR);
    }
    assert!(uploads.promised.len() <= 2, "{}", uploads.promised.len());
}

#[test]
fn uploads_expire_by_what_they_say_last() {
    let mut uploads = Uploads::default();
    uploads.insert(id(1), open("/a", 0, Some(100)));
    uploads.insert(id(2), open("/b", 0, Some(200)));
    uploads.insert(id(3), open("/c", 0, None));
    assert_eq!((uploads.next(), uploads.expired(99)), (Some(100), None));
    // More bytes arrived meanwhile.
    assert!(uploads.update(id(1), 0, Some(300)));
    assert_eq!(uploads.expired(250), Some(id(2)));
    uploads.finish(id(2), Ended::Gone);
    assert_eq!((uploads.expired(250), uploads.next()), (None, Some(300)));
    assert_eq!(uploads.expired(300), Some(id(1)));
    uploads.postpone(id(1), 400);
    assert_eq!((uploads.expired(300), uploads.next()), (None, Some(400)));
    assert_eq!(uploads.ended(id(2)), Some(&Ended::Gone));
    assert_eq!(uploads.ended(id(1)), None);
}

/// The file made of them counts instead; but a request that joined them may end without removing them.
#[test]
fn parts_do_not_count_beside_their_whole_as_long_as_a_request_has_them() {
    let mut uploads = Uploads::default();
    let mut leases = Vec::new();
    for n in [1, 2] {
        uploads.insert(id(n), open("/a/x", 10, None).of_part(true));
        leases.push(uploads.lease(id(n), Lease::new(file::memfd(c"upload").expect("a memory file"))));
    }
    uploads.insert(id(3), open("/a/y", 5, None));
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (25, 1), "a part is no file");
    uploads.joined(&[id(1), id(2)]);
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (5, 1));
    // One of them is removed as it should be, the other one is left.
    uploads.finish(id(1), Ended::Gone);
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (5, 1));
    leases.clear();
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (15, 1));
    assert!(uploads.joined.is_empty());
    uploads.finish(id(2), Ended::Gone);
    assert_eq!(held(&mut uploads, b"/a/", &[], 0), (5, 1));
}

#[test]
fn uploads_that_another_process_may_have_ended_are_looked_at_in_turn() {
    let mut uploads = Uploads::default();
    (0..100).for_each(|n| uploads.insert(id(n), open("/a/x", 1, None)));
    uploads.insert(id(200), open("/b/x", 1, None));
    let _lease = uploads.lease(id(0), Lease::new(file::memfd(c"upload").expect("a memory file")));
    let first = uploads.idle(b"/a/", CHECK_INTERVAL, false);
    assert_eq!((first.len(), uploads.idle(b"/a/", 2 * CHECK_INTERVAL - 1, false).len()), (SEEN - 1, 0));
    assert_eq!(uploads.idle(b"/b/", CHECK_INTERVAL, false), [id(200)], "each area for itself");
    assert_eq!(uploads.idle(b"/b/", CHECK_INTERVAL, true), [id(200)], "at once where it must be");
    assert_eq!(held(&mut uploads, b"/c/", &[], CHECK_INTERVAL), (0, 0));
    assert!(
        uploads.idle(b"/c/", CHECK_INTERVAL, false).is_empty() && !uploads.looks.areas.contains_key(&b"/c/"[..]),
        "nothing is held there"
    );
    let mut all = [first, uploads.idle(b"/a/", 2 * CHECK_INTERVAL, false)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (1..100).map(id).collect::<Vec<_>>(), "all but the one that a request writes to");
}

#[test]
fn a_pass_that_began_earlier_has_not_seen_all_uploads() {
    let mut uploads = Uploads::default();
    (0..100).for_each(|n| uploads.insert(id(n), open("/a/x", 1, None)));
    uploads.insert(id(200), open("/b/x", 1, None));
    assert_eq!((held(&mut uploads, b"/a/", &[], 0), held(&mut uploads, b"/c/", &[], 0)), ((100, 100), (0, 0)));
    assert_eq!(uploads.idle(b"/a/", CHECK_INTERVAL, false).len(), SEEN);
    let pass = uploads.next_pass();
    assert_eq!(uploads.idle(b"/a/", CHECK_INTERVAL, true).len(), 100 - SEEN, "the end of the pass that was under way");
    assert!(!uploads.has_seen_all(b"/a/", pass));
    assert_eq!(uploads.idle(b"/b/", CHECK_INTERVAL, true), [id(200)]);
    assert!(!uploads.has_seen_all(b"/a/", pass), "another area's does not count");
    assert_eq!(uploads.idle(b"/a/", CHECK_INTERVAL, true).len(), 100);
    assert!(uploads.has_seen_all(b"/a/", pass) && uploads.has_seen_all(b"/c/", pass + 9), "there is nothing in it");
    assert!(!uploads.has_seen_all(b"/a/", uploads.next_pass()));
}

#[test]
fn uploads_under_way_are_looked_at_a_few_at_a_time_and_each_once_a_second() {
    let mut uploads = Uploads::default();
    let mut leases = Vec::new();
    for n in 0..200 {
        let home: &[u8] = if n < 120 { b"/state" } else { b"/other" };
        uploads.insert(id(n), KnownUpload::new(Rc::from(home), b"/a/x", 1, None));
        leases.push(uploads.lease(id(n), Lease::new(file::memfd(c"upload").expect("a memory file"))));
    }
    for round in 1..=2 {
        let now = round * CHECK_INTERVAL;
        let (mut all, mut groups) = (Vec::new(), Vec::new());
        assert_eq!(uploads.next_check(now), Some(0));
        while let Some((home, ids)) = uploads.leased(now, 64) {
            assert!(ids.iter().all(|id| uploads.get(*id).is_some_and(|open| open.home == home)));
            groups.push(ids.len());
            all.extend(ids);
        }
        assert_eq!(groups, [64, 16, 64, 56], "no more at a time, and one directory at a time");
        all.sort_unstable();
        assert_eq!(all, (0..200).map(id).collect::<Vec<_>>());
        assert_eq!(
            (uploads.leased(now + CHECK_INTERVAL - 1, 64), uploads.next_check(now)),
            (None, Some(CHECK_INTERVAL))
        );
    }
}

#[test]
fn unfinished_uploads_count_by_number_also_as_parts() {
    let mut uploads = Uploads::default();
    uploads.insert(id(1), open("/srv/a/x", 0, None));
    assert_eq!(uploads.unfinished(b"/srv/a/"), 1);
    uploads.insert(id(2), open("/srv/a/y", 0, None).of_part(true));
    uploads.insert(id(3), open("/srv/ab/y", 0, None).of_part(true));
    uploads.insert(id(4), KnownUpload::stored(Rc::from(&b"/state"[..]), b"/srv/a/z", None));
    assert_eq!([uploads.unfinished(b"/srv/a/"), uploads.unfinished(b"/srv/")], [2, 3]);
    uploads.update(id(2), 10, None);
    uploads.finish(id(1), Ended::Gone);
    assert_eq!([uploads.unfinished(b"/srv/a/"), uploads.unfinished(b"/srv/")], [1, 2]);
}

#[test]
fn a_first_upload_into_an_area_looks_at_none_of_the_others() {
    let mut uploads = Uploads::default();
    for n in 0..=255 {
        uploads.insert(id(n), open(&format!("/srv/{}/x", n % 2), 1, None));
    }
    let visited = |uploads: &Uploads, area: &[u8]| uploads.below(area, None).count();
    assert_eq!([&b"/srv/2/"[..], b"/srv/1/", b"/srv/"].map(|area| visited(&uploads, area)), [0, 128, 256]);
    for n in 0..=255 {
        uploads.finish(id(n), Ended::Gone);
    }
    assert!(uploads.by_path.is_empty());
}

/// A client that asks another process without pause waits since its first try; one that gave up begins again.
#[test]
fn a_request_waits_for_another_process_since_its_first_try() {
    let mut uploads = Uploads::default();
    let table = [
        ("the first try", 1_000, 1_000),
        ("again at once", 1_025, 1_000),
        ("after the longest pause", 1_025 + PATIENCE, 1_000),
        ("after a longer pause", 1_026 + 2 * PATIENCE, 1_026 + 2 * PATIENCE),
    ];
    for (name, now, since) in table {
        assert_eq!(uploads.ask(id(1), now), since, "{name}");
    }
    assert_eq!(uploads.ask(id(2), 3 * PATIENCE), 3 * PATIENCE, "each upload for itself");
    uploads.stop_asking(id(1));
    assert_eq!(uploads.ask(id(1), 3 * PATIENCE), 3 * PATIENCE, "it had been released");
}

#[test]
fn clients_that_repeat_a_refused_request_do_not_fill_the_log() {
    let mut uploads = Uploads::default();
    let homes: [Rc<[u8]>; 2] = [Rc::from(&b"/state"[..]), Rc::from(&b"/other"[..])];
    for home in &homes {
        let logged: Vec<u64> = (0..2 * LOGGED_EACH).filter_map(|_| uploads.count_elsewhere(home)).collect();
        assert_eq!(logged, [1, LOGGED_EACH, 2 * LOGGED_EACH]);
    }
}

#[test]
fn the_locks_of_a_directory_are_examined_once() {
    let mut uploads = Uploads::default();
    let homes: [Rc<[u8]>; 2] = [Rc::from(&b"/state"[..]), Rc::from(&b"/other"[..])];
    let first: Vec<bool> = [0, 1, 0, 1].map(|n: usize| uploads.note_home(&homes[n])).into();
    assert_eq!(first, [true, true, false, false]);
}
