//! Real directories with files added and removed while they are counted.

use super::*;
use crate::services::clock::Clock;
use crate::sys::file::{O_DIRECTORY, O_PATH};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("webserv-quotas-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path.canonicalize().expect("just made"))
    }

    fn write(&self, name: &str, size: usize) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        fs::write(path, vec![0; size]).expect("a file");
    }

    fn dir(&self, name: &str) -> OwnedFd {
        let path = CString::new(self.0.join(name).to_str().expect("UTF-8")).expect("no NUL");
        file::open_at(None, &path, O_PATH | O_DIRECTORY, 0).expect("opens")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn of(bytes: u64, files: u64) -> Usage {
    Usage { bytes, files, dirs: 0 }
}

/// What is there, without directories.
fn files(area: &Area) -> Usage {
    Usage { dirs: 0, ..area.used.get() }
}

fn counted(area: &Area, now: &mut Clock) -> Usage {
    for _ in 0..10_000 {
        now.advance();
        if area.refresh(now, &mut Slice::default()).expect("readable") && area.walk.borrow().is_none() {
            return files(area);
        }
    }
    panic!("the count does not end");
}

#[test]
fn files_count_and_links_do_not() {
    let scratch = Scratch::new("kinds");
    for (name, size) in [("a", 5), ("d/b", 3), ("d/e/c", 0), (".webserv-upload-1", 10)] {
        scratch.write(name, size);
    }
    std::os::unix::fs::symlink("a", scratch.0.join("link")).expect("a link");
    std::os::unix::fs::symlink("/etc", scratch.0.join("dirlink")).expect("a link");
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    assert_eq!(counted(&area, &mut now), of(8, 3));
    let missing = quotas.area(scratch.dir("").as_fd(), &[c"x".into(), c"y".into()]).expect("an area");
    assert_eq!(counted(&missing, &mut now), of(0, 0));
    // Whatever path leads to it, and after it was created.
    fs::create_dir_all(scratch.0.join("x/y")).expect("a directory");
    assert!(Rc::ptr_eq(&missing, &quotas.area(scratch.dir("x/y").as_fd(), &[]).expect("an area")));
}

#[test]
fn claims_never_exceed_the_quota() {
    let scratch = Scratch::new("claims");
    scratch.write("a", 600);
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    counted(&area, &mut now);
    let quota = |bytes, files| Quota { bytes, files, shared: false };
    let mut first = Claim::new(area.clone());
    assert_eq!(first.resize(of(401, 1), of(0, 0), quota(1000, 0)), Err(Full { used: of(600, 1), claimed: of(0, 0) }));
    assert_eq!(first.resize(of(300, 1), of(0, 0), quota(1000, 0)), Ok(()));
    let mut second = Claim::new(area.clone());
    assert_eq!(
        second.resize(of(101, 0), of(0, 0), quota(1000, 0)),
        Err(Full { used: of(600, 1), claimed: of(300, 1) })
    );
    assert_eq!(second.resize(of(100, 0), of(0, 0), quota(1000, 0)), Ok(()));
    assert_eq!(second.resize(of(100, 1), of(0, 0), quota(0, 2)), Err(Full { used: of(600, 1), claimed: of(300, 1) }));
    assert!(first.resize(of(301, 1), of(0, 0), quota(1000, 0)).is_err());
    // The first is stored: its claim has become usage.
    scratch.write("b", 300);
    quotas.stored(scratch.dir("").as_fd(), of(300, 1), of(0, 0));
    drop(first);
    assert_eq!(files(&area), of(900, 2));
    assert_eq!(area.claimed.get(), of(100, 0));
    // A file that replaces a larger one needs no more room.
    let mut third = Claim::new(area.clone());
    assert_eq!(third.resize(of(0, 0), of(0, 0), quota(500, 1)), Ok(()));
    drop((second, third));
    assert_eq!(area.claimed.get(), of(0, 0));
}

#[test]
fn what_is_stored_below_counts_for_every_area_above() {
    let scratch = Scratch::new("nested");
    scratch.write("in/ner/a", 10);
    scratch.write("inner/b", 10);
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let [outer, inner, other] =
        ["", "in/ner", "inner"].map(|name| quotas.area(scratch.dir(name).as_fd(), &[]).expect("an area"));
    for area in [&outer, &inner, &other] {
        counted(area, &mut now);
    }
    quotas.stored(scratch.dir("in/ner").as_fd(), of(5, 1), of(10, 1));
    assert_eq!([&outer, &inner, &other].map(|area| files(area)), [of(15, 2), of(5, 1), of(10, 1)]);
}

/// Whatever is stored or replaced during a count, the result is correct, or too high if it says so.
#[test]
fn files_that_come_during_a_count_are_counted_once() {
    let scratch = Scratch::new("during");
    let dirs = ["a", "b", "c", "b/d"];
    for dir in dirs {
        for n in 0..700 {
            scratch.write(&format!("{dir}/{n}"), 1);
        }
    }
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    let mut total = of(2800, 2800);
    assert_eq!(counted(&area, &mut now), total);
    let mut exact = 0;
    for round in 0..10 {
        for step in 0..4 {
            area.count(&now).expect("counts");
            let dir = dirs[(round + step) % 4];
            scratch.write(&format!("{dir}/new-{round}-{step}"), 7);
            quotas.stored(scratch.dir(dir).as_fd(), of(7, 1), of(0, 0));
            scratch.write(&format!("{dir}/{round}"), 1 + round);
            quotas.stored(scratch.dir(dir).as_fd(), of(1 + round as u64, 1), of(1, 1));
            scratch.write(&format!("{dir}/{round}"), 1);
            quotas.stored(scratch.dir(dir).as_fd(), of(1, 1), of(1 + round as u64, 1));
            total = total.plus(of(7, 1));
        }
        while area.walk.borrow().is_some() {
            area.count(&now).expect("counts");
        }
        let used = files(&area);
        assert!(used.bytes >= total.bytes && used.files >= total.files, "{used:?} of {total:?} in round {round}");
        if area.accuracy.get() == Accuracy::Exact {
            assert_eq!(used, total, "round {round}");
            exact += 1;
        }
    }
    area.count(&now).expect("counts");
    while area.walk.borrow().is_some() {
        area.count(&now).expect("counts");
    }
    assert_eq!(files(&area), total, "nothing came meanwhile; {exact} of 10 were exact");
}

#[test]
fn a_count_that_could_not_open_a_directory_begins_again() {
    let scratch = Scratch::new("again");
    scratch.write("a/b", 7);
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    *area.walk.borrow_mut() = Some(walk::Walk::broken(&area.path));
    assert_eq!(area.count(&now), Err(Errno::EINVAL));
    assert_eq!(counted(&area, &mut now), of(7, 1));
}

#[test]
fn a_slice_of_a_count_holds_fewer_directories_the_deeper_they_are() {
    let cost = |name: &str, path: fn(usize) -> String| {
        let scratch = Scratch::new(name);
        (1..=96).for_each(|at| std::fs::create_dir_all(scratch.0.join(path(at))).expect("made"));
        let path = std::os::unix::ffi::OsStrExt::as_bytes(scratch.0.as_os_str());
        let mut walk = walk::Walk::begin(path).expect("opened").expect("it is there");
        assert_eq!(walk.slice(u64::MAX), Ok(Some(Usage::directories(96))));
        walk.entries
    };
    let (flat, deep) = (cost("flat", |at| at.to_string()), cost("deep", |at| "d/".repeat(at)));
    assert_eq!(flat, 97 * 8 + 96);
    // Of the 96 directories, the second 32 have at least that many directories above them, the last 32 twice as many.
    assert_eq!(deep, flat + 32 + 2 * 32);
}

#[test]
fn the_room_of_a_file_that_is_replaced_belongs_to_one_upload() {
    let area = Quotas::default().area_at(b"/area");
    let (mut first, mut second) = (Claim::new(area.clone()), Claim::new(area));
    assert!(first.take_room_of((1, 2)) && !first.take_room_of((1, 2)), "two files of one upload");
    assert!(!second.take_room_of((1, 2)) && second.take_room_of((1, 3)));
    drop(first);
    assert!(second.take_room_of((1, 2)));
}

#[test]
fn a_hundred_uploads_that_wait_for_a_count_make_two_steps_of_it_a_turn() {
    let scratch = Scratch::new("shared-steps");
    (0..6).for_each(|dir| (0..SLICE / 2).for_each(|n| scratch.write(&format!("{dir}/{n}"), 1)));
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    let examined = |area: &Area| area.walk.borrow().as_ref().map(|walk| walk.entries);
    let mut last = 0;
    for turn in 0..100 {
        now.advance();
        let mut slice = Slice::default();
        slice.steps = Some(u32::MAX);
        if (0..100).all(|_| area.refresh(&now, &mut slice).expect("readable")) {
            assert!(turn >= 1, "all names in {turn} turns");
            return assert_eq!(files(&area), of(6 * (SLICE / 2), 6 * (SLICE / 2)));
        }
        let Some(names) = examined(&area) else { continue };
        // A step ends with the batch of names that reaches its number.
        assert!(names <= last + 3 * SLICE, "{names} names after {last}");
        last = names;
    }
    panic!("the count does not end");
}

#[test]
fn no_step_of_a_count_is_made_once_the_slice_of_the_turn_is_over() {
    let scratch = Scratch::new("late-steps");
    scratch.write("a", 1);
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    assert_eq!(area.refresh(&now, &mut Slice::over()), Ok(false));
    assert_eq!(area.counts(), 0);
    now.advance();
    assert_eq!(area.refresh(&now, &mut Slice::default()), Ok(true));
    scratch.write("b", 1);
    let other = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    quotas.files_removed();
    let counts = other.counts();
    let turns = (0..=MAX_TURNS_WITHOUT).take_while(|_| {
        now.advance();
        other.step(&now, &mut Slice::over()).expect("readable");
        other.counts() == counts
    });
    assert_eq!(turns.count() as u64, MAX_TURNS_WITHOUT - 1, "a busy server counts too");
}

/// upload_create_path made 1260 directories under `upload_quota 1m files=3`, and they stayed.
#[test]
fn directories_without_end_do_not_fill_an_area_with_a_quota() {
    let quota = |bytes, files| Quota { bytes, files, shared: false };
    let scratch = Scratch::new("directories");
    (0..DIRECTORIES - 1).for_each(|at| fs::create_dir(scratch.0.join(at.to_string())).expect("made"));
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    counted(&area, &mut now);
    let mut claim = Claim::new(area.clone());
    assert_eq!(claim.resize(Usage::directories(1), of(0, 0), quota(1 << 20, 3)), Ok(()));
    assert!(claim.resize(Usage::directories(2), of(0, 0), quota(1 << 20, 3)).is_err());
    let mut other = Claim::new(area.clone());
    assert!(other.resize(Usage::directories(1), of(0, 0), quota(1 << 20, 3)).is_err());
    assert_eq!(other.resize(of(5, 1), of(0, 0), quota(1 << 20, 3)), Ok(()), "files have room");
    quotas.stored(scratch.dir("").as_fd(), Usage::directories(1), Usage::default());
    drop((claim, other));
    assert_eq!(area.used.get().dirs, DIRECTORIES);
    let most = |bytes, files| most_directories(quota(bytes, files));
    assert_eq!(
        [most(1 << 20, 0), most(1 << 20, 100), most(0, 1000), most(4096, 0), most(0, 0)],
        [256, 100, 1000, 64, u64::MAX / DIRECTORY]
    );
}

/// Each of the uploads that ended in a turn counted a thousand names, under a quota that processes share.
#[test]
fn a_turn_without_time_left_counts_no_small_area_for_each_upload_that_ends() {
    let scratch = Scratch::new("ended");
    (0..500).for_each(|at| scratch.write(&at.to_string(), 1));
    let area = Quotas::default().area(scratch.dir("").as_fd(), &[]).expect("an area");
    let (now, shared) = (Clock::read(), Quota { bytes: 0, files: 5000, shared: true });
    let take = |steps: Option<u32>| {
        let mut slice = Slice::default();
        slice.steps = steps;
        let attempt = shared::QuotaLock::take(&area, shared, (of(0, 0), of(0, 0)), &now, &mut slice);
        matches!(attempt, Ok(shared::LockAttempt::Lock(_)))
    };
    while !take(None) {}
    let counts = area.counts();
    assert!((0..3).all(|_| take(Some(0))));
    assert_eq!(area.counts(), counts);
    assert!(take(None));
    assert_eq!(area.counts(), counts + 1);
}

/// Other programs may have removed files since the last count, also while one is under way.
#[test]
fn an_upload_is_refused_only_after_a_count_that_began_later() {
    let scratch = Scratch::new("awaited");
    scratch.write("a", 600);
    let (mut quotas, mut now) = (Quotas::default(), Clock::read());
    let area = quotas.area(scratch.dir("").as_fd(), &[]).expect("an area");
    counted(&area, &mut now);
    assert_eq!((area.counts(), area.count_to_await(&now)), (1, None), "it was counted just now");
    quotas.files_removed();
    assert_eq!(area.count_to_await(&now), Some(2), "this process removed files since");
    counted(&area, &mut now);
    *area.walk.borrow_mut() = walk::Walk::begin(&area.path).expect("opened");
    now.advance();
    assert_eq!((area.counts(), area.count_to_await(&now)), (2, Some(4)), "the count under way may be past them");
}
