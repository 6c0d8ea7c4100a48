//! Lifetime of cached listings, what ends it earlier, and how many are kept.

use super::*;
use crate::sys::file;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("webserv-listings-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a fresh directory");
        Directory(path)
    }

    fn open(&self) -> (File, Stat) {
        let dir = File::open(&self.0).expect("open");
        let stat = file::fstat(dir.as_fd()).expect("fstat");
        (dir, stat)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn page(listings: &mut Listings, dir: &Directory, size: usize) -> Page {
    let (fd, stat) = dir.open();
    let guard = listings.guard(fd.as_fd(), &stat, &Clock::read()).expect("the temporary directory is local");
    Page { body: Rc::new([vec![b'x'; size].into()]), loose: Rc::new([]), dir: stat, guard }
}

#[test]
fn a_page_lives_until_something_happens_or_a_second_is_over() {
    let dir = Directory::new("life");
    let (mut listings, mut now) = (Listings::new(1000), Clock::read());
    let kept = |listings: &mut Listings, now: &Clock| listings.find(b"a", &dir.open().1, now).is_some();
    let keep = |listings: &mut Listings, now: &Clock| {
        let page = page(listings, &dir, 10);
        listings.keep(b"a"[..].into(), page, now);
    };
    keep(&mut listings, &now);
    assert!(kept(&mut listings, &now) && kept(&mut listings, &now));
    fs::write(dir.0.join("f"), "").expect("write");
    assert!(!kept(&mut listings, &now), "an entry was made");
    keep(&mut listings, &now);
    fs::write(dir.0.join("f"), "1").expect("write");
    assert!(!kept(&mut listings, &now), "an entry was written");
    assert_eq!((listings.bytes, listings.pages.len(), listings.watched.len()), (0, 0, 0));

    keep(&mut listings, &now);
    let due = listings.next_due().expect("a page is kept");
    assert_eq!(due, now.ms + 1_001, "the directive promises a second");
    now.ms = due - 1;
    assert!(kept(&mut listings, &now));
    now.ms = due;
    assert!(!kept(&mut listings, &now), "a second is over");
    listings.sweep(now.ms);
    assert_eq!((listings.bytes, listings.watched.len(), listings.next_due()), (0, 0, None));
}

#[test]
fn what_changed_while_it_was_made_is_not_kept() {
    let dir = Directory::new("made");
    let (mut listings, now) = (Listings::new(1000), Clock::read());
    let (early, late) = (page(&mut listings, &dir, 10), page(&mut listings, &dir, 10));
    fs::write(dir.0.join("f"), "").expect("write");
    listings.keep(b"early"[..].into(), early, &now);
    // Another page of the same directory, begun after the change, is valid.
    let after = page(&mut listings, &dir, 10);
    listings.keep(b"after"[..].into(), after, &now);
    listings.keep(b"late"[..].into(), late, &now);
    let (_, stat) = dir.open();
    let found = [b"early", &b"after"[..], b"late"].map(|key| listings.find(key, &stat, &now).is_some());
    assert_eq!(found, [false, true, false]);
}

#[test]
fn pages_are_bounded_in_bytes_and_number() {
    let dir = Directory::new("bounds");
    let (mut listings, mut now) = (Listings::new(1000), Clock::read());
    let (_, stat) = dir.open();
    for n in 0..4u8 {
        let page = page(&mut listings, &dir, 400);
        now.ms += 1;
        listings.keep([n].into(), page, &now);
    }
    assert_eq!([0, 1, 2, 3].map(|n| listings.find(&[n], &stat, &now).is_some()), [false, false, true, true]);
    assert_eq!((listings.bytes, listings.watched.len()), (800, 1));
    let large = page(&mut listings, &dir, 1001);
    listings.keep([9].into(), large, &now);
    assert!(listings.find(&[9], &stat, &now).is_none());
    for n in 0..PAGES + 9 {
        let page = page(&mut listings, &dir, 0);
        listings.keep(n.to_ne_bytes().into(), page, &now);
    }
    assert!(listings.pages.len() <= PAGES);
    listings.set_limit(0);
    assert_eq!((listings.pages.len(), listings.bytes, listings.watched.len()), (0, 0, 0));
    let (fd, stat) = dir.open();
    assert!(listings.guard(fd.as_fd(), &stat, &now).is_none(), "off");
    listings.set_limit(1 << 30);
    assert!(matches!(listings.guard(fd.as_fd(), &stat, &now), Some(Guard::Watched(_))));
}

#[test]
fn a_page_of_too_many_entries_to_watch_is_kept_by_the_directorys_times() {
    let dir = Directory::new("many");
    let (mut listings, mut now) = (Listings::new(1000), Clock::read());
    // Its size is that of a directory with very many entries.
    let large = || {
        let (fd, stat) = dir.open();
        (fd, Stat { size: 1 << 40, ..stat })
    };
    let (fd, stat) = large();
    (now.unix, now.nanos) = stat.ctime;
    assert!(listings.guard(fd.as_fd(), &stat, &now).is_none(), "another change may leave its times as they are");
    now.unix -= 1;
    assert!(listings.guard(fd.as_fd(), &stat, &now).is_none(), "its times are to come");
    now.unix += 3;
    let guard = listings.guard(fd.as_fd(), &stat, &now).expect("it is kept");
    assert!(matches!(guard, Guard::Compared(since) if since == now.ms));
    assert!(listings.inotify.is_none() && listings.watched.is_empty(), "not watched");

    let began = now.ms;
    now.ms += 300;
    let page = Page { body: Rc::new([vec![b'x'; 10].into()]), loose: Rc::new([]), dir: stat, guard };
    listings.keep(b"a"[..].into(), page.clone(), &now);
    assert!(listings.find(b"a", &stat, &now).is_some());
    assert_eq!(listings.next_due(), Some(began + 1_001), "entries have been read since");
    now.ms = began + 1_001;
    listings.sweep(now.ms);
    assert_eq!((listings.bytes, listings.pages.len()), (0, 0), "a second is over");

    now.ms = began;
    listings.keep(b"a"[..].into(), page, &now);
    let change = || {
        // Until the kernel's coarse clock has advanced.
        while large().1 == stat {
            fs::write(dir.0.join("f"), "").expect("write");
            fs::remove_file(dir.0.join("f")).expect("remove");
        }
    };
    change();
    assert!(listings.find(b"a", &large().1, &now).is_none(), "entries came and went");
}

#[test]
fn the_more_requests_wait_for_a_page_the_more_rarely_each_looks() {
    let mut listings = Listings::new(1000);
    let _mark = listings.make(b"a");
    let pauses: Vec<u64> = (0..2000).filter_map(|_| listings.awaits(b"a")).collect();
    assert_eq!((pauses[0], pauses[99], pauses[1999]), (20, 45, 250));
}

#[test]
fn a_page_too_large_to_be_kept_is_kept_for_those_who_waited_for_it() {
    let dir = Directory::new("awaited");
    let (mut listings, now) = (Listings::new(1000), Clock::read());
    let find = |listings: &mut Listings| listings.find(b"a", &dir.open().1, &now).map(|page| page.size());
    let made = |listings: &mut Listings, waits: bool| {
        let mark = listings.make(b"a");
        assert!(!waits || listings.awaits(b"a").is_some() && listings.awaits(b"b").is_none());
        let large = page(listings, &dir, 2000);
        listings.keep(b"a"[..].into(), large, &now);
        drop(mark);
        assert_eq!(listings.awaits(b"a"), None);
    };
    made(&mut listings, false);
    assert_eq!(find(&mut listings), None);
    made(&mut listings, true);
    assert_eq!((find(&mut listings), find(&mut listings), listings.bytes), (Some(2000), Some(2000), 0));
    assert_eq!(listings.next_due(), Some(now.ms + LIFETIME + 1));
    listings.sweep(now.ms + LIFETIME + 1);
    assert_eq!(find(&mut listings), None);
    made(&mut listings, true);
    fs::write(dir.0.join("f"), "").expect("write");
    assert_eq!(find(&mut listings), None, "an entry was made");
}
