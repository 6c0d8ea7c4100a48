//! An upload that is taken over from a process which released it, or is silent.

use super::*;
use crate::exchange::testing::Site;
use crate::http::method::Method;
use crate::services::boot::Boot;
use crate::services::resumable::{CHECK_INTERVAL, KnownUpload};
use crate::sys::file::Follow;
use crate::sys::scratch::Scratch;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

#[test]
fn an_upload_that_could_not_be_asked_for_is_not_taken_for_a_stored_one() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let id = UploadId::random().expect("entropy");
    let path = scratch.path().join("state");
    std::fs::create_dir(&path).expect("made");
    let dir = Dir::open(path.as_os_str().as_bytes(), b"", Follow::No).expect("a directory");
    std::fs::write(path.join(format!("{}.part", id.text())), "half").expect("written");
    let record = UploadState::empty();
    let taken = lease(&mut site.cx, &dir, id, (&record, b""), Access::Read);
    assert!(taken.is_ok(), "its bytes are there");
    std::fs::remove_dir_all(&path).expect("removed");
    // As where the file that asks for it goes at that moment, on sshfs: ENOENT, O_CREAT or not.
    assert_eq!(dir.ask(id), Err(Errno::ENOENT));
    assert!(matches!(wait(&mut site.cx, &dir, id), LeaseError::Elsewhere(Flow::Delay { .. })));
    let taken = lease(&mut site.cx, &dir, id, (&record, b""), Access::Read);
    assert!(matches!(taken, Err(LeaseError::Named)));
}

/// An upload that a request received over FUSE was also given to one on the direct path: neither saw the other's
/// lock.
#[test]
fn an_upload_that_is_claimed_beyond_the_mount_is_asked_for_and_waited_for() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let cx = &mut site.cx;
    let id = UploadId::random().expect("entropy");
    let path = scratch.path().as_os_str().as_bytes();
    let dir = Dir::open(path, b"", Follow::No).expect("a directory");
    std::fs::write(scratch.path().join(format!("{}.part", id.text())), "half").expect("written");
    let record = UploadState { is_claimed: true, ..UploadState::empty() };
    let take = |cx: &mut Services, reach: &[u8]| match lease(cx, &dir, id, (&record, reach), Access::Write) {
        Ok((lease, _)) => Some(lease),
        Err(LeaseError::Elsewhere(_)) => None,
        Err(_) => panic!("it can be taken"),
    };
    let theirs = dir.claim(id, b"mount").expect("it is free");
    assert!(take(cx, b"").is_none() && dir.is_asked(id) && theirs.is_ours());
    drop(theirs);
    let ours = take(cx, b"").expect("it was released");
    assert!(!dir.is_asked(id) && !ours.is_lost());
    drop(ours);
    assert_eq!(dir.claimed(id), Ok(None), "it is given back");
    // Of a process with the same mount the lock tells that it is gone.
    let theirs = dir.claim(id, b"mount").expect("it is free");
    drop(take(cx, b"mount").expect("it was left behind"));
    assert!(!theirs.is_ours());
    // A process that was killed releases nothing.
    let theirs = dir.claim(id, b"mount").expect("it is free");
    assert!(take(cx, b"").is_none());
    cx.now.pass(PATIENCE);
    let ours = take(cx, b"").expect("it was left behind");
    assert!(!theirs.is_ours() && !ours.is_lost());
}

/// An upload of which half has arrived, and what a request finds that takes it beyond the mount of its process.
fn begun(scratch: &Scratch, record: &UploadState, bytes: &[u8]) -> (Dir, UploadId, PathBuf) {
    let id = UploadId::random().expect("entropy");
    let dir = Dir::open(scratch.path().as_os_str().as_bytes(), b"", Follow::No).expect("a directory");
    let part = scratch.path().join(format!("{}.part", id.text()));
    std::fs::write(&part, bytes).expect("written");
    dir.save(id, record).expect("saved");
    (dir, id, part)
}

fn record(is_claimed: bool) -> UploadState {
    UploadState { method: Method::Post, name: b"f".to_vec(), is_claimed, ..UploadState::empty() }
}

/// Tries until the upload is released, or silently left; how often, and the lease.
fn take(site: &mut Site, dir: &Dir, id: UploadId, reach: &[u8]) -> (usize, Lease) {
    for turn in 0..1000 {
        site.cx.slice.steps = Some(0);
        let record = dir.load(id).expect("it can be read").expect("it is there");
        match lease(&mut site.cx, dir, id, (&record, reach), Access::Write) {
            Ok((lease, _)) => return (turn, lease),
            Err(LeaseError::Elsewhere(_)) => {}
            Err(_) => panic!("it can be taken"),
        }
        if turn == 0 {
            site.cx.now.pass(PATIENCE);
        }
    }
    panic!("it is never released");
}

fn names(scratch: &Scratch) -> Vec<String> {
    let entries = std::fs::read_dir(scratch.path()).expect("it is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII")).collect();
    names.sort();
    names.iter().map(|name| name.split_at(32).1.to_owned()).collect()
}

/// It looked at its claim, was stopped for longer than it was waited for, and went on with the write after that: the
/// piece was in a file that another process had gone on with, or finished.
#[test]
fn what_a_stopped_process_writes_when_it_goes_on_is_in_no_upload() {
    // With a claim, as over FUSE; without one, as on the direct path.
    for (is_claimed, reach, size) in [(true, &b""[..], 4), (true, b"mount-2", 5 << 20), (false, b"mount-2", 4)] {
        for synced in [false, true] {
            let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
            let boot = site.cx.boot.or(Boot::parse("1f".repeat(32).as_bytes())).filter(|_| synced);
            let record = UploadState { synced: boot.map(|boot| (boot, 1)), ..record(is_claimed) };
            let bytes = vec![b'x'; size];
            let (dir, id, part) = begun(&scratch, &record, &bytes);
            let stopped = std::fs::File::options().append(true).open(&part).expect("it is there");
            let claim = is_claimed.then(|| dir.claim(id, b"mount").expect("it is free"));
            let theirs = Lease::new(stopped.try_clone().expect("a descriptor").into()).with_claim(claim);
            assert!(!theirs.is_lost());
            let (turns, ours) = take(&mut site, &dir, id, reach);
            assert!(is_lost(&theirs, &dir, id) && !is_lost(&ours, &dir, id));
            // A piece a turn, however long the file.
            assert!(turns >= size >> 20, "{turns}");
            (&stopped).write_all(b"torn").expect("written");
            assert!(std::fs::read(&part).expect("it is there") == bytes, "not what the stopped one wrote");
            stopped.set_len(0).expect("cut");
            assert!(theirs.is_lost() && !ours.is_lost());
            file::seek(ours.fd(), size as u64).expect("its end");
            file::write_all(ours.fd(), b"more").expect("written");
            assert!(std::fs::read(&part).expect("it is there") == [&bytes[..], b"more"].concat());
            let record = dir.load(id).expect("it can be read").expect("it is there");
            assert!(record.is_claimed && !record.is_contested);
            assert_eq!(names(&scratch), [".own", ".part", ".state"]);
            drop((theirs, ours));
            assert_eq!(names(&scratch), [".part", ".state"]);
        }
    }
}

/// Its client leaves, or the process is killed, while the bytes are copied: the next one must not go on in the file
/// that the stopped process has open.
#[test]
fn a_copy_that_is_left_is_made_again_before_anything_is_written() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let bytes = vec![b'x'; 3 << 20];
    let (dir, id, part) = begun(&scratch, &record(true), &bytes);
    let stopped = std::fs::File::options().append(true).open(&part).expect("it is there");
    let theirs = dir.claim(id, b"mount").expect("it is free");
    site.cx.slice.steps = Some(0);
    for _ in 0..2 {
        let taken = lease(&mut site.cx, &dir, id, (&record(true), b""), Access::Write);
        assert!(matches!(taken, Err(LeaseError::Elsewhere(_))));
        site.cx.now.pass(PATIENCE);
    }
    assert!(!theirs.is_ours() && names(&scratch).iter().any(|name| name.starts_with(".to-")));
    assert_eq!(site.cx.resumable.next_check(site.cx.now.ms), Some(CHECK_INTERVAL));
    site.cx.now.pass(1);
    check_idle(&mut site.cx);
    assert_eq!(names(&scratch), [".part", ".state"], "no client waits for it");
    let (turns, ours) = take(&mut site, &dir, id, b"");
    assert!(turns >= 3, "it is copied from the beginning");
    (&stopped).write_all(b"torn").expect("written");
    assert!(std::fs::read(&part).expect("it is there") == bytes);
    drop(ours);
}

/// An idle upload was only asked for: one that was taken over from a stopped process kept its connection.
#[test]
fn an_idle_upload_that_was_taken_over_gives_up_its_connection() {
    for is_claimed in [true, false] {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        let (dir, id, part) = begun(&scratch, &record(is_claimed), b"half");
        let claim = is_claimed.then(|| dir.claim(id, b"mount").expect("it is free"));
        let fd = std::fs::File::options().write(true).open(&part).expect("it is there");
        let home = scratch.path().as_os_str().as_bytes().into();
        let cx = &mut site.cx;
        cx.resumable.insert(id, KnownUpload::new(home, b"/f", 4, None));
        let lease = cx.resumable.lease(id, Lease::new(fd.into()).with_claim(claim));
        let look = |cx: &mut Services| {
            cx.now.pass(CHECK_INTERVAL);
            check_idle(cx);
            lease.is_live()
        };
        assert!(look(cx), "nobody wants it");
        match dir.claimed(id).expect("it can be read") {
            Some(text) => dir.unclaim(id, &text).expect("removed"),
            None => {
                std::fs::write(scratch.path().join("new"), "half").expect("written");
                std::fs::rename(scratch.path().join("new"), &part).expect("renamed");
            }
        }
        assert!(!look(cx), "{is_claimed}");
    }
}

/// A process on the direct path receives an upload that it began without a claim, and one beyond its mount asks.
struct Beyond {
    site: Site,
    /// The other process.
    direct: Site,
    scratch: Scratch,
    dir: Dir,
    id: UploadId,
    theirs: Rc<Lease>,
}

impl Beyond {
    fn new() -> Beyond {
        let (site, mut direct, scratch) =
            (Site::new("", "location / { }"), Site::new("", "location / { }"), Scratch::new());
        let (dir, id, part) = begun(&scratch, &record(false), b"half");
        let fd = std::fs::File::options().append(true).open(part).expect("it is there");
        let home = scratch.path().as_os_str().as_bytes().into();
        direct.cx.resumable.insert(id, KnownUpload::new(home, b"/f", 4, None));
        let theirs = direct.cx.resumable.lease(id, Lease::new(fd.into()));
        Beyond { site, direct, scratch, dir, id, theirs }
    }

    /// The record as it is.
    fn record(&self) -> UploadState {
        self.dir.load(self.id).expect("it can be read").expect("it is there")
    }

    /// The process beyond the mount tries.
    fn ask(&mut self) -> Option<Lease> {
        let record = self.record();
        of(lease(&mut self.site.cx, &self.dir, self.id, (&record, b"mount"), Access::Write))
    }

    /// A newer request comes to the other one, which has read this record.
    fn come_back(&mut self, record: &UploadState) -> Option<Lease> {
        of(lease(&mut self.direct.cx, &self.dir, self.id, (record, b""), Access::Write))
    }
}

fn of(taken: Result<(Lease, bool), LeaseError>) -> Option<Lease> {
    match taken {
        Ok((lease, _)) => Some(lease),
        Err(LeaseError::Elsewhere(_)) => None,
        Err(_) => panic!("it can be taken"),
    }
}

/// Processes that see each other's locks need no claim: one beyond their mount asks, and waits for the answer.
#[test]
fn an_upload_without_a_claim_is_asked_for_from_beyond_the_mount() {
    let mut beyond = Beyond::new();
    for _ in 0..2 {
        assert!(beyond.ask().is_none() && beyond.dir.is_asked(beyond.id));
        // Another one that asked has given up.
        beyond.dir.unask(beyond.id);
    }
    assert!(beyond.theirs.is_live());
    give_way(&mut beyond.direct.cx, &beyond.dir, beyond.id);
    assert!(!beyond.theirs.is_live());
    let ours = beyond.ask().expect("its process has released it");
    assert!(!ours.is_lost() && !beyond.dir.is_asked(beyond.id));
    drop(ours);
    assert_eq!(names(&beyond.scratch), [".part", ".state"]);
}

/// The one that had asked took it for released, and both wrote to one file: A answered 409, B 204, and the file was
/// neither's.
#[test]
fn a_client_that_comes_back_where_its_upload_was_just_released_does_not_write_beside_another() {
    for is_released in [true, false] {
        let mut beyond = Beyond::new();
        let before = beyond.record();
        assert!(beyond.ask().is_none());
        if is_released {
            give_way(&mut beyond.direct.cx, &beyond.dir, beyond.id);
        }
        // What it read of the record is older.
        assert!(beyond.come_back(&before).is_none(), "it sees the claim");
        assert!(!beyond.theirs.is_live());
        // It asks as well; that is no reason to wait.
        let ours = beyond.ask().expect("it is released");
        assert!(beyond.come_back(&before).is_none() && beyond.dir.is_asked(beyond.id));
        assert!(!is_lost(&ours, &beyond.dir, beyond.id));
        drop(ours);
        let theirs = beyond.record();
        let theirs = beyond.come_back(&theirs).expect("it is released");
        assert!(theirs.is_claimed() && beyond.record().is_claimed);
        assert!(beyond.ask().is_none(), "it has the lock");
        drop(theirs);
        assert_eq!(names(&beyond.scratch), [".ask", ".part", ".state"]);
    }
}

/// Its claim would keep others waiting.
#[test]
fn a_client_that_leaves_while_its_upload_is_asked_for_leaves_no_claim() {
    let mut beyond = Beyond::new();
    assert!(beyond.ask().is_none() && beyond.dir.has_claim(beyond.id));
    let cx = &mut beyond.site.cx;
    assert_eq!(cx.resumable.next_check(cx.now.ms), Some(CHECK_INTERVAL));
    cx.now.pass(PATIENCE + 1);
    check_idle(cx);
    assert!(!beyond.dir.has_claim(beyond.id));
}

/// Only a start of a process looked for it, when it was a minute old.
#[test]
fn a_copy_of_a_killed_process_is_removed_by_the_next_one() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let contested = UploadState { is_contested: true, ..record(true) };
    let (dir, id, _) = begun(&scratch, &contested, b"half");
    let (other, _, _) = begun(&scratch, &record(false), b"half");
    for id in [id.text(), "f".repeat(32)] {
        std::fs::write(scratch.path().join(format!("{id}.to-0123456789abcdef")), "ha").expect("written");
    }
    let ours = take(&mut site, &dir, id, b"").1;
    drop((ours, other));
    let left = names(&scratch);
    assert_eq!(left.iter().filter(|name| name.starts_with(".to-")).count(), 1, "another upload's: {left:?}");
}

/// It would go on beyond what is copied, or finish, while the bytes are copied.
#[test]
fn a_process_without_a_claim_sees_that_its_upload_is_being_copied() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let (dir, id, part) = begun(&scratch, &record(false), &vec![b'x'; 3 << 20]);
    let fd = std::fs::File::options().write(true).open(&part).expect("it is there");
    let theirs = Lease::new(fd.into());
    site.cx.slice.steps = Some(0);
    assert!(!is_lost(&theirs, &dir, id));
    for _ in 0..2 {
        let taken = lease(&mut site.cx, &dir, id, (&record(false), b"mount"), Access::Write);
        assert!(matches!(taken, Err(LeaseError::Elsewhere(_))));
        site.cx.now.pass(PATIENCE);
    }
    assert!(is_lost(&theirs, &dir, id));
    // Its process was killed before it could mark the record: one on the direct path does not write without a claim.
    site.cx.resumable.moving.clear();
    let left = dir.claim(id, b"mount").expect("it is free");
    dir.save(id, &record(false)).expect("saved");
    assert!(matches!(
        lease(&mut site.cx, &dir, id, (&record(false), b""), Access::Write),
        Err(LeaseError::Elsewhere(_))
    ));
    drop(left);
}

/// The question stayed beside the finished upload until the next start.
#[test]
fn the_question_for_an_upload_that_ends_meanwhile_is_not_left() {
    let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
    let (dir, id, part) = begun(&scratch, &record(false), b"half");
    let held = dir.open_part(id).expect("it is free").expect("it is there");
    let taken = lease(&mut site.cx, &dir, id, (&record(false), b""), Access::Read);
    assert!(matches!(taken, Err(LeaseError::Elsewhere(_))) && dir.is_asked(id));
    std::fs::remove_file(part).expect("removed");
    stop_asking(&mut site.cx, &dir, id);
    assert!(!dir.is_asked(id));
    drop(held);
}
