//! Unfinished uploads: found on the disk after a start, removed when they expire. Both in slices, between two turns
//! of the loop.

use super::location::{self, Home};
use super::pending_upload::{self, written};
use super::sharing;
use super::store::{Dir, Entry, Unread};
use super::takeover;
use super::tus;
use crate::config::model::Level;
use crate::services::Services;
use crate::services::clock::Clock;
use crate::services::resumable::{Ended, KnownUpload, RESERVED_FOR, Scan, UploadId};
use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_DIRECTORY, O_RDONLY, Unlink};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Entries and uploads that are looked at in one slice.
const SLICE: usize = 32;
/// Milliseconds after which a file without a record, or an unfinished record, is a leftover: a request writes one
/// directly after the other.
const LEFT_OVER: i64 = 60_000;
/// An upload that is being written to is looked at again when it would expire by its last byte, but at least and at
/// most after these milliseconds.
const RETRY_DELAYS: (i64, i64) = (1_000, 60_000);

/// Searches all directories of the configuration that may contain uploads, from the next turn on.
pub fn begin(cx: &mut Services) {
    let config = cx.config.clone();
    let speaking = config.locations.iter().filter(|location| location.settings.upload.resumable.speaks.any());
    let mut homes: Vec<Rc<[u8]>> =
        speaking.filter_map(|location| Home::of(&config, location)).map(|h| h.path).collect();
    homes.sort_unstable();
    homes.dedup();
    sharing::begin(cx, &homes);
    cx.resumable.unread = homes.into();
    cx.resumable.reading = None;
}

/// Milliseconds until something is due.
pub fn due(cx: &Services) -> Option<u64> {
    if cx.resumable.is_reading() || !cx.resumable.superseded.is_empty() {
        return Some(0);
    }
    let until = |next: i64| u64::try_from(next.saturating_sub(cx.now.unix_ms())).unwrap_or(0);
    let (uploads, now) = (&cx.resumable, cx.now.ms);
    let times = [uploads.next().map(until), uploads.next_check(now), uploads.untidy.next(now)];
    times.into_iter().flatten().min()
}

/// A slice of what is due.
pub fn run(cx: &mut Services) {
    read(cx);
    takeover::check_idle(cx);
    expire(cx);
    cx.resumable.untidy.try_again(cx.now.ms, location::is_tidy);
}

/// Whether uploads of an earlier process are still being searched for ([`begin`]), whose sizes a quota counts. Searches
/// a slice at each call.
pub fn is_reading(cx: &mut Services) -> bool {
    while cx.resumable.is_reading() && !cx.slice.is_over() {
        read(cx);
    }
    cx.resumable.is_reading()
}

fn read(cx: &mut Services) {
    let mut scan = match cx.resumable.reading.take() {
        Some(scan) => scan,
        None => match cx.resumable.unread.pop_front() {
            None => return,
            Some(path) => {
                sharing::appear(cx, &path);
                match open(&path) {
                    Ok(dir) => Scan { home: path, dir, names: Vec::new() },
                    Err(Errno::ENOENT) => return,
                    Err(e) => return complain(cx, &path, e),
                }
            }
        },
    };
    if scan.names.is_empty() {
        match scan.dir.fill() {
            Ok(true) => {}
            Ok(false) => return location::tidy(cx, &scan.home),
            Err(e) => return complain(cx, &scan.home, e),
        }
        scan.names.extend(scan.dir.entries().map(|entry| entry.name.to_bytes().into()));
    }
    match location::open(&scan.home) {
        Ok(dir) => {
            for name in scan.names.drain(scan.names.len().saturating_sub(SLICE)..) {
                if let Some(entry) = Entry::of(&name) {
                    handle_entry(cx, &scan.home, &dir, entry);
                }
            }
            cx.resumable.reading = Some(scan);
        }
        Err(Errno::ENOENT) => {}
        Err(e) => complain(cx, &scan.home, e),
    }
}

fn open(path: &[u8]) -> Result<file::ReadDir, Errno> {
    let path = file::c_string(path)?;
    file::open_at(None, &path, O_RDONLY | O_DIRECTORY, 0).map(file::read_dir)
}

fn complain(cx: &mut Services, path: &[u8], e: Errno) {
    let log = cx.config.process.error_log.clone();
    let path = crate::exchange::Printable(path);
    let what = format_args!("unfinished uploads in \"{path}\" could not be looked through {e}");
    cx.logs.error(&log, Level::Warn, &mut cx.now, None, what);
}

/// Handles a file of an earlier process, or of this one.
fn handle_entry(cx: &mut Services, home: &Rc<[u8]>, dir: &Dir, entry: Entry) {
    let now = cx.now.unix_ms();
    match entry {
        Entry::State(id) if cx.resumable.get(id).is_none() => {
            let Ok(Some(record)) = dir.load(id) else { return };
            let place = Home { path: home.clone(), ours: location::is_ours(home) };
            sharing::note_presence(cx, &place);
            match dir.stat(id) {
                // Its client never learned its name, and has the parts.
                Ok(Some(_)) if tus::is_final(&record.concat) => drop_whole(cx, home, dir, id),
                Ok(Some(stat)) => {
                    let expires = pending_upload::expires(&cx.now, &record, &stat);
                    cx.resumable.insert(id, pending_upload::known(home, &record, stat.size, expires));
                    let age = u64::try_from(now - written(&cx.now, &stat)).unwrap_or(0);
                    if let (Some(length), true) = (record.length, age < RESERVED_FOR) {
                        let now = cx.now.ms;
                        cx.resumable.promise(id, length, None, now, now + RESERVED_FOR - age);
                    }
                }
                Ok(None) => match pending_upload::remembered(cx, &place, dir, id, &record) {
                    Some(at) => cx.resumable.insert(id, KnownUpload::stored(home.clone(), &record.path, Some(at))),
                    None => {
                        // By its record, which goes then.
                        let past = match dir.is_stored(id, &record) {
                            true => Ended::Done(pending_upload::over(&record)),
                            false => Ended::Gone,
                        };
                        dir.forget(id);
                        cx.resumable.finish(id, past);
                    }
                },
                Err(_) => {}
            }
        }
        Entry::State(_) => {}
        Entry::Part(id) if dir.is_known(id) => {}
        Entry::Own(id) if dir.is_known(id) => {}
        Entry::Part(_) | Entry::New(_) | Entry::Ask(_) | Entry::Own(_) | Entry::To(..) => {
            let name = entry.name();
            let fd = Some(dir.fd().as_fd());
            if let Ok(stat) = file::stat_at(fd, &name, Follow::No)
                && written(&cx.now, &stat) < now - LEFT_OVER
            {
                let _ = file::unlink_at(fd, &name, Unlink::File);
            }
        }
    }
}

/// Removes a file made of parts that did not get its name, unless a request of an earlier process still works on it.
fn drop_whole(cx: &mut Services, home: &Rc<[u8]>, dir: &Dir, id: UploadId) {
    if let Ok(Some(_lock)) = dir.open_part(id) {
        dir.remove(id);
        location::tidy(cx, home);
    }
}

fn expire(cx: &mut Services) {
    let now = cx.now.unix_ms();
    for _ in 0..SLICE {
        let Some(id) = cx.resumable.expired(now) else { return };
        let Some(open) = cx.resumable.get(id) else { continue };
        let (home, written) = (open.home.clone(), open.is_written());
        let later = later(&cx.now, &home, id);
        if written {
            let at = later.ok().flatten().unwrap_or(now);
            cx.resumable.postpone(id, at.clamp(now + RETRY_DELAYS.0, now + RETRY_DELAYS.1));
            continue;
        }
        match later {
            // Bytes arrived since its expiry was computed.
            Ok(Some(at)) if at > now => cx.resumable.postpone(id, at),
            // It belongs to another version of this server, or cannot be read at the moment.
            Err(_) => cx.resumable.postpone(id, now + RETRY_DELAYS.1),
            Ok(_) => match remove(&cx.now, &home, id) {
                Removed::Gone => {
                    location::tidy(cx, &home);
                    cx.resumable.finish(id, Ended::Gone);
                }
                Removed::InUse => cx.resumable.postpone(id, now + RETRY_DELAYS.1),
            },
        }
    }
}

enum Removed {
    Gone,
    /// Another process writes to it or has just done so, or keeps it.
    InUse,
}

/// Removes an upload that has expired, unless another process uses it.
fn remove(now: &Clock, home: &[u8], id: UploadId) -> Removed {
    let dir = match location::open(home) {
        Ok(dir) => dir,
        Err(Errno::ENOENT) => return Removed::Gone,
        Err(_) => return Removed::InUse,
    };
    let Ok(_lock) = dir.open_part(id) else { return Removed::InUse };
    // Bytes may have arrived before it was locked, or another process has completed it and keeps its response.
    if !matches!(later(now, home, id), Ok(at) if at.is_none_or(|at| at <= now.unix_ms())) {
        return Removed::InUse;
    }
    if dir.load(id).is_ok_and(|record| record.is_some_and(|record| record.is_contested)) {
        dir.remove_copies(id);
    }
    dir.remove(id);
    Removed::Gone
}

/// When an upload expires, by what is on the disk. None: it does not exist.
///
/// # Errors
/// It cannot be read, or belongs to another version of this server.
fn later(now: &Clock, home: &[u8], id: UploadId) -> Result<Option<i64>, Unread> {
    let dir = match location::open(home) {
        Err(Errno::ENOENT) => return Ok(None),
        dir => dir.map_err(Unread::Call)?,
    };
    let Some(record) = dir.load(id)? else { return Ok(None) };
    // A finished upload has only its record left.
    let stat = match dir.stat(id).map_err(Unread::Call)? {
        Some(stat) => stat,
        None => dir.stat_record(id).map_err(Unread::Call)?,
    };
    Ok(Some(pending_upload::expires(now, &record, &stat).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::super::pending_upload::Missing;
    use super::super::state::UploadState;
    use super::super::takeover::Access;
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::http::method::Method;
    use crate::services::resumable::Lease;
    use std::fs::{self, File};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    /// Soon after a start nothing expires.
    const GRACE: u64 = 3_600_000;
    const ID: &str = "0123456789abcdef0123456789abcdef";

    /// An upload area whose state directory exists.
    fn area() -> (Site, Home, PathBuf) {
        let area = "location /up/ { allowed_methods GET POST; upload_store DIR/up; upload_resumable on; }";
        let site = Site::new("", area);
        let config = &site.cx.config;
        let home = config.locations.iter().find_map(|location| Home::of(config, location)).expect("it has one");
        let dir = PathBuf::from(String::from_utf8(home.path.to_vec()).expect("text"));
        fs::create_dir_all(&dir).expect("a directory");
        (site, home, dir)
    }

    /// An upload of 12 bytes that expires after a minute.
    fn record(home: &Home) -> UploadState {
        UploadState {
            method: Method::Post,
            uri: b"/up/".to_vec(),
            path: home.area().to_vec(),
            area: home.area().to_vec(),
            dir: b"/up/".to_vec(),
            name: b"f".to_vec(),
            length: Some(12),
            age: 60_000,
            ..UploadState::empty()
        }
    }

    fn date(file: &File, seconds: u64) {
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("its time is set");
    }

    /// Another process may be about to give such a file its name, or to read it.
    #[test]
    fn what_was_left_over_goes_after_a_minute_and_not_before() {
        let (mut site, _, dir) = area();
        let cx = &mut site.cx;
        let other = ID.replace('0', "1");
        let old = |name: &str, seconds| date(&File::create(dir.join(name)).expect("a file"), seconds);
        let kinds = ["new", "ask", "part"];
        kinds.iter().for_each(|kind| old(&format!("{ID}.{kind}"), 30));
        kinds.iter().for_each(|kind| old(&format!("{other}.{kind}"), 90));
        old("another.new", 90);
        begin(cx);
        assert_eq!(due(cx), Some(0), "it is searched at once");
        while cx.resumable.is_reading() {
            read(cx);
        }
        let mut left: Vec<String> = fs::read_dir(&dir)
            .expect("the directory is read")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        let young = ["ask", "new", "part"].map(|kind| format!("{ID}.{kind}"));
        assert_eq!(left, [&young[..], &["another.new".to_owned()]].concat());
        assert_eq!(due(cx), None);
    }

    /// Several servers may have one directory: the time of its file counts, not when this one last saw it.
    #[test]
    fn an_upload_that_another_process_continues_does_not_expire() {
        for (seconds, is_kept) in [(30, true), (90, false)] {
            let (mut site, home, dir) = area();
            let cx = &mut site.cx;
            let id = UploadId::parse(ID.as_bytes()).expect("an id");
            let record = record(&home);
            drop(home.open().and_then(|dir| dir.create(id, &record)).expect("it is begun"));
            let part = dir.join(format!("{ID}.part"));
            date(&File::options().write(true).open(&part).expect("its bytes"), seconds);
            let seen = cx.now.unix_ms() - 1;
            // Soon after a start nothing expires.
            cx.now.pass(3_600_000);
            cx.resumable.insert(id, pending_upload::known(&home.path, &record, 0, Some(seen)));
            expire(cx);
            assert_eq!((part.exists(), cx.resumable.get(id).is_some()), (is_kept, is_kept), "{seconds} seconds ago");
            assert_eq!(due(cx).is_some_and(|ms| (1..=60_000).contains(&ms)), is_kept, "{seconds} seconds ago");
        }
    }

    /// By its date it seemed to be two days old, and others got the room of its bytes that were still to come.
    #[test]
    fn a_clock_that_is_set_forward_ends_no_promise_of_an_upload_that_is_found() {
        let (mut site, home, _) = area();
        let cx = &mut site.cx;
        let id = UploadId::parse(ID.as_bytes()).expect("an id");
        drop(home.open().and_then(|dir| dir.create(id, &record(&home))).expect("it is begun"));
        cx.now.set_wall(2 * 86_400);
        cx.now.advance();
        begin(cx);
        while cx.resumable.is_reading() {
            read(cx);
        }
        assert_eq!(cx.resumable.holds(id), 12);
    }

    /// Its client may be slow: for longer than an upload lives, nothing may arrive.
    #[test]
    fn an_upload_does_not_expire_while_a_request_writes_to_it() {
        let (mut site, home, dir) = area();
        let cx = &mut site.cx;
        let id = UploadId::parse(ID.as_bytes()).expect("an id");
        let bytes = home.open().and_then(|dir| dir.create(id, &record(&home))).expect("it is begun");
        let part = dir.join(format!("{ID}.part"));
        date(&File::options().write(true).open(&part).expect("its bytes"), 90);
        cx.now.pass(GRACE);
        let now = cx.now.unix_ms();
        cx.resumable.insert(id, pending_upload::known(&home.path, &record(&home), 0, Some(now - 1)));
        let lease = cx.resumable.lease(id, Lease::new(bytes));
        expire(cx);
        assert!(part.exists());
        let next = cx.resumable.next().expect("it is looked at again") - now;
        assert!((RETRY_DELAYS.0..=RETRY_DELAYS.1).contains(&next), "in {next} ms");
        drop(lease);
        cx.resumable.postpone(id, now - 1);
        expire(cx);
        assert!(!part.exists());
        assert_eq!(cx.resumable.ended(id), Some(&Ended::Gone));
    }

    #[test]
    fn without_a_greatest_age_an_upload_waits_for_ever() {
        let (mut site, home, dir) = area();
        let cx = &mut site.cx;
        let id = UploadId::parse(ID.as_bytes()).expect("an id");
        let record = UploadState { age: 0, ..record(&home) };
        drop(home.open().and_then(|dir| dir.create(id, &record)).expect("it is begun"));
        let part = dir.join(format!("{ID}.part"));
        date(&File::options().write(true).open(&part).expect("its bytes"), 3650 * 86_400);
        begin(cx);
        while cx.resumable.is_reading() {
            read(cx);
        }
        cx.now.pass(GRACE);
        expire(cx);
        assert!(part.exists() && cx.resumable.get(id).is_some());
        assert_eq!(due(cx), None, "no time is waited for");
    }

    /// The sweep comes later: until then a client must not be told of an offset from which it cannot go on.
    #[test]
    fn an_upload_that_has_expired_is_gone_for_its_client_before_it_is_swept_away() {
        for (seconds, is_gone) in [(30, false), (90, true)] {
            let (mut site, home, dir) = area();
            let id = UploadId::parse(ID.as_bytes()).expect("an id");
            drop(home.open().and_then(|dir| dir.create(id, &record(&home))).expect("it is begun"));
            let part = dir.join(format!("{ID}.part"));
            date(&File::options().write(true).open(&part).expect("its bytes"), seconds);
            site.cx.now.pass(GRACE);
            let mut ex = site.at(&format!("HEAD /up/?webserv-upload={ID}"), &[], OUTSIDE);
            let found = pending_upload::find(&mut ex, &mut site.cx, id, Access::Read);
            assert_eq!(matches!(found, Err(Missing::Over(Ended::Gone))), is_gone, "{seconds} seconds ago");
            assert_eq!((found.is_ok(), part.exists()), (!is_gone, !is_gone), "{seconds} seconds ago");
        }
    }
}
