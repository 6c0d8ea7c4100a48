//! More of an upload that exists: its room, and who has it.

use super::super::location::Home;
use super::super::state::UploadState;
use super::*;
use crate::exchange::testing::{OUTSIDE, Site};
use std::fs;
use std::path::PathBuf;

/// An area in which `there` has 900 bytes and an upload 50, of which the server does not know yet: the upload's id,
/// and the file with its bytes.
fn area(settings: &str, name: &str) -> (Site, UploadId, PathBuf) {
    let location = "location /up/ { allowed_methods POST; upload_store DIR/up; upload_resumable on;";
    let site = Site::new("", &format!("{location} {settings} }}"));
    let home = site.cx.config.locations.iter().find_map(|location| Home::of(&site.cx.config, location));
    let home = home.expect("it has one");
    let dir = PathBuf::from(String::from_utf8(home.path.to_vec()).expect("text"));
    fs::create_dir_all(&dir).expect("made");
    site.scratch.write("up/there", &[b'x'; 900]);
    let id = UploadId::random().expect("entropy");
    let record = UploadState {
        method: Method::Post,
        uri: b"/up/".to_vec(),
        path: home.area().to_vec(),
        area: home.area().to_vec(),
        dir: b"/up/".to_vec(),
        name: name.into(),
        dialect: Dialect::Rufh,
        age: 60_000,
        ..UploadState::empty()
    };
    drop(home.open().and_then(|dir| dir.create(id, &record)).expect("it is begun"));
    let part = dir.join(format!("{}.part", id.text()));
    fs::write(&part, [b'y'; 50]).expect("written");
    (site, id, part)
}

/// A PATCH behind what is there. `field` says how much comes.
fn patch(site: &mut Site, id: UploadId, field: &str) -> Exchange {
    let kind = "Content-Type: application/partial-upload";
    let fields = ["Upload-Offset: 50", "Upload-Complete: ?0", kind, field];
    site.cx.slice.steps = Some(u32::MAX);
    site.at(&format!("PATCH /up/?webserv-upload={}", id.text()), &fields, OUTSIDE)
}

fn status(ex: &Exchange, flow: Flow) -> u16 {
    match flow {
        Flow::Respond => ex.response.status.0,
        Flow::Status(status) => status.0,
        other => panic!("{other:?}"),
    }
}

/// After a start nothing is known of an area. A length that is announced is compared with what is found there; what
/// comes without one must not find the room of an empty area. What the upload will replace gives its room back.
#[test]
fn more_of_an_upload_finds_the_room_that_its_area_has_after_a_start() {
    for (name, field, fits) in [
        ("f", "Transfer-Encoding: chunked", 50),
        ("f", "Content-Length: 51", 0),
        ("f", "Content-Length: 50", 50),
        ("there", "Content-Length: 950", 950),
        ("there", "Content-Length: 951", 0),
    ] {
        let (mut site, id, _) = area("upload_quota 1000; upload_on_duplicate overwrite;", name);
        let mut ex = patch(&mut site, id, field);
        let cx = &mut site.cx;
        match run(&mut ex, cx, id) {
            Ok(mut append) => {
                assert!(append.accept(&mut ex, cx, &vec![b'z'; fits]).is_ok(), "{name} {field}");
                assert!(append.accept(&mut ex, cx, b"z").is_err(), "{name} {field}");
            }
            Err(flow) => assert_eq!((status(&ex, flow), fits), (507, 0), "{name} {field}"),
        }
    }
}

#[test]
fn what_is_spliced_beyond_a_limit_is_cut_off_and_refused() {
    for (settings, bytes, expected, size) in [
        ("upload_max_file_size 60;", 10, None, 60),
        ("upload_max_file_size 60;", 11, Some(413), 60),
        ("upload_quota 1000;", 50, None, 100),
        ("upload_quota 1000;", 51, Some(507), 100),
        ("upload_quota 1000; upload_max_file_size 60;", 51, Some(413), 60),
    ] {
        let (mut site, id, part) = area(settings, "f");
        let mut ex = patch(&mut site, id, "Transfer-Encoding: chunked");
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{settings}: {}", ex.response.status.0) };
        let fd = append.splice_target(cx).expect("nothing is hashed");
        file::write_all(fd, &vec![b'z'; bytes]).expect("written");
        let outcome = append.spliced(&mut ex, cx, bytes as u64).map_err(|flow| status(&ex, flow));
        assert_eq!(outcome.err(), expected, "{settings} {bytes}");
        assert_eq!(fs::metadata(&part).expect("it is there").len(), size, "{settings} {bytes}");
    }
}

/// 30 more bytes arrive.
fn piece(append: &mut Append, ex: &mut Exchange, cx: &mut Services, splices: bool) -> Result<(), Flow> {
    if splices {
        let fd = append.splice_target(cx).expect("nothing is hashed");
        file::write_all(fd, &[b'z'; 30]).expect("written");
        return append.spliced(ex, cx, 30);
    }
    append.accept(ex, cx, &[b'z'; 30])
}

/// The newer request found, and answered with, bytes for which it was not known whether there was room.
#[test]
fn pieces_that_may_have_no_room_do_not_go_over_to_a_newer_request() {
    for splices in [false, true] {
        let (mut site, id, part) = area("upload_quota 1000 shared;", "f");
        let mut ex = patch(&mut site, id, "Transfer-Encoding: chunked");
        let mut newer = site.at(&format!("HEAD /up/?webserv-upload={}", id.text()), &[], OUTSIDE);
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{}", ex.response.status.0) };
        for _ in 0..2 {
            assert_eq!(piece(&mut append, &mut ex, cx, splices), Ok(()));
        }
        assert_eq!(fs::metadata(&part).expect("it is there").len(), 110);
        assert!(run(&mut newer, cx, id).is_err(), "it answers at once");
        let offset = newer.response.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"Upload-Offset"));
        assert_eq!(offset.map(|(_, value)| value.to_vec()), Some(b"80".to_vec()), "what has room");
        drop(append);
        assert_eq!((fs::metadata(&part).expect("it is there").len(), cx.resumable.holds(id)), (80, 80));
    }
}

/// What was there when the upload began counted until its end.
#[test]
fn files_that_were_removed_make_room_for_an_upload_that_grows() {
    for shared in ["", " shared"] {
        let (mut site, id, part) = area(&format!("upload_quota 1000{shared};"), "f");
        let there = site.scratch.path().join("up/there");
        let mut ex = patch(&mut site, id, "Transfer-Encoding: chunked");
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{}", ex.response.status.0) };
        fs::remove_file(there).expect("removed");
        cx.now.advance();
        assert_eq!(append.accept(&mut ex, cx, &[b'z'; 500]), Ok(()), "{shared}");
        while append.works() {
            cx.now.advance();
            assert_eq!(append.work(&mut ex, cx), Flow::Body, "{shared}");
        }
        assert_eq!(fs::metadata(&part).expect("it is there").len(), 550);
    }
}

/// It was stopped for so long that another process took the upload over: what has the name now is that one's.
#[test]
fn an_upload_that_another_process_has_by_now_is_neither_finished_nor_removed() {
    for field in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
        let (mut site, id, part) = area("", "f");
        let mut ex = patch(&mut site, id, field);
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{}", ex.response.status.0) };
        fs::copy(&part, part.with_extension("new")).expect("copied");
        fs::rename(part.with_extension("new"), &part).expect("renamed");
        // In the turn that it was stopped in, it does not look again.
        assert_eq!(append.accept(&mut ex, cx, b"zzz"), Ok(()));
        assert_eq!(append.finish(&mut ex, cx), Flow::Close);
        drop(append);
        assert_eq!(fs::read(&part).expect("it is there"), [b'y'; 50]);
    }
}

/// Each chunk of a read began the search for room again: all but the last stayed, although none had room.
#[test]
fn several_chunks_of_one_read_do_not_exceed_a_quota_that_processes_share() {
    for (quota, splices, ends, expected) in [
        (1000, false, true, (507, 100)),
        (1000, true, true, (507, 100)),
        (1100, false, true, (200, 170)),
        // Its connection ends before it is known whether there is room.
        (1000, false, false, (200, 80)),
        (1000, true, false, (200, 80)),
    ] {
        let (mut site, id, part) = area(&format!("upload_quota {quota} shared;"), "f");
        let mut ex = patch(&mut site, id, "Transfer-Encoding: chunked");
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{}", ex.response.status.0) };
        for _ in 0..4 {
            assert_eq!(piece(&mut append, &mut ex, cx, splices), Ok(()), "{quota} {splices} {ends}");
        }
        while ends && append.works() {
            cx.now.advance();
            append.work(&mut ex, cx);
        }
        drop(append);
        let size = fs::metadata(&part).expect("it is there").len();
        let status = ex.response.status.0;
        assert_eq!(
            (status, size, cx.resumable.holds(id)),
            (expected.0, expected.1, expected.1),
            "{quota} {splices} {ends}"
        );
    }
}

/// It was stopped just before the name: the name was taken by what another process had finished, whose record and bytes
/// went with the refusal.
#[test]
fn a_name_that_is_refused_removes_nothing_before_it_is_known_whose_upload_it_is() {
    for (name, is_kept) in [("there", false), ("f", true)] {
        let (mut site, id, part) = area("upload_on_duplicate error;", name);
        let mut ex = patch(&mut site, id, "Content-Length: 1");
        let cx = &mut site.cx;
        let Ok(mut append) = run(&mut ex, cx, id) else { panic!("{}", ex.response.status.0) };
        if is_kept {
            // The other one has given the bytes their name.
            fs::rename(&part, part.with_extension("named")).expect("renamed");
        }
        let refused = append.upload.complete(&mut ex, cx, Vec::new()).err().expect("it is refused");
        assert_eq!(refused.kept, is_kept);
        assert_eq!((part.exists(), part.with_extension("state").exists()), (!is_kept, true), "{name}");
    }
}
