//! Where an upload goes, and what the place has room for.

use super::super::commit::NameFailure;
use super::whole::{Comes, FORM, changes, form, site, text, upload};
use crate::exchange::flow::Flow;
use crate::exchange::handlers::resumable::held::begin_elsewhere;
use crate::exchange::handlers::upload::{self, Upload};
use crate::exchange::testing::{OUTSIDE, Site};
use crate::exchange::{Exchange, Rx};
use crate::services::resumable::UploadId;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// Elsewhere a directory that is named without its slash is answered with 308: here the location is named so.
#[test]
fn a_location_whose_name_has_no_slash_takes_a_body_under_that_name() {
    for (line, fields) in [("POST /new", &[][..]), ("POST /new/", &[]), ("POST /new", &[FORM])] {
        let mut site = site();
        fs::create_dir(site.scratch.path().join("new")).expect("a directory");
        let body = if fields.is_empty() { b"abc".to_vec() } else { form(&[("name=f; filename=\"f\"", "abc")]) };
        let (status, ex) = upload(&mut site, line, fields, &body, Comes::In(7));
        assert_eq!(status, 201, "{line} {fields:?}: {}", text(&ex));
        assert_eq!(changes(&site), ["new/whole=abc"], "{line} {fields:?}");
    }
}

/// An area always has room for 64 directories. Three come here, one of which is above both files; `dir` is there.
#[test]
fn a_folder_that_several_files_of_a_form_are_in_is_counted_once() {
    for (before, expected) in [(60, 201), (61, 507)] {
        let mut site = site();
        for at in 0..before {
            fs::create_dir(site.scratch.path().join(format!("up/{at}"))).expect("a directory");
        }
        let body = form(&[("name=f; filename=\"p/q/a\"", "1"), ("name=f; filename=\"p/r/b\"", "2")]);
        let (status, ex) = upload(&mut site, "POST /dirs/", &[FORM], &body, Comes::In(1 << 16));
        assert_eq!(status, expected, "{before} are there: {}", text(&ex));
        assert_eq!(site.scratch.path().join("up/p").exists(), expected == 201, "{before} are there");
    }
}

/// What another program removed since the count has made room. A small area is counted again before an upload is
/// refused or has to wait.
#[test]
fn a_small_area_that_seems_full_is_counted_again_at_once() {
    let mut site = site();
    site.cx.slice.steps = Some(u32::MAX);
    // So many that it is not counted in every turn anyway.
    (0..100).for_each(|at| site.scratch.write(&format!("up/{at}"), b""));
    let (status, ex) = upload(&mut site, "PUT /quota/f", &[], &[b'x'; 900], Comes::In(1 << 16));
    assert_eq!(status, 201, "{}", text(&ex));
    fs::remove_file(site.scratch.path().join("up/f")).expect("removed");
    site.cx.now.advance_epoch();
    let mut ex = site.at("PUT /quota/g", &["Content-Length: 900"], OUTSIDE);
    let Ok(begun) = upload::start(&mut ex, &mut site.cx) else { panic!("it is refused: {}", text(&ex)) };
    assert!(!begun.works(), "it waits for another count");
}

/// The status of a body that comes in pieces of 1000 bytes, in turns that are too short to look at all uploads at once.
fn in_short_turns(site: &mut Site, line: &str, fields: &[&str], body: &[u8]) -> u16 {
    fn work(upload: &mut Upload, ex: &mut Exchange, site: &mut Site) -> Option<u16> {
        while upload.works() {
            site.cx.now.advance();
            site.cx.slice.steps = Some(3);
            if let Flow::Respond | Flow::Status(_) = upload.work(ex, &mut site.cx) {
                return Some(ex.response.status.0);
            }
        }
        None
    }
    let mut ex = site.at(line, &[fields, &["Transfer-Encoding: chunked"]].concat(), OUTSIDE);
    site.cx.slice.steps = Some(3);
    let Ok(mut upload) = upload::start(&mut ex, &mut site.cx) else { panic!("it is refused: {}", text(&ex)) };
    for piece in body.chunks(1000) {
        if let Some(refused) = work(&mut upload, &mut ex, site) {
            return refused;
        }
        site.cx.slice.steps = Some(3);
        if upload.accept(&mut ex, &mut site.cx, piece).is_err() {
            return ex.response.status.0;
        }
    }
    ex.progress.rx = Rx::Done;
    match work(&mut upload, &mut ex, site) {
        Some(refused) => refused,
        None => {
            site.cx.slice.steps = Some(u32::MAX);
            let flow = upload.finish(&mut ex, &mut site.cx);
            assert_eq!(flow, Flow::Respond);
            ex.response.status.0
        }
    }
}

/// Bodies without a length were refused once the first 1024 uploads that others might have ended were looked at.
#[test]
fn a_body_without_a_length_gets_the_room_of_all_uploads_that_others_ended() {
    for (ended, expected) in [(0, 507), (40, 201)] {
        for (line, fields) in [("PUT /shared/f", &[][..]), ("POST /shared/", &[FORM])] {
            let mut site = site();
            let area = format!("{}/up/", site.scratch.path().display());
            begin_elsewhere(&mut site, &area, (1140, ended));
            let content = "x".repeat(3000);
            let body = match fields {
                [] => content.into_bytes(),
                _ => form(&[("name=f; filename=\"f\"", &content)]),
            };
            assert_eq!(in_short_turns(&mut site, line, fields, &body), expected, "{line} {ended}");
        }
    }
}

/// Nothing of a link is counted, so replacing it gives nothing back: `there` has 3 of the 1000 bytes.
#[test]
fn a_link_that_an_upload_replaces_makes_no_room() {
    for (length, expected) in [(997, 200), (998, 507)] {
        let mut site = site();
        symlink("a/name/of/many/letters/that/leads/nowhere", site.scratch.path().join("up/link")).expect("a link");
        let body = "x".repeat(length);
        let (status, ex) = upload(&mut site, "POST /over-quota/link", &[], body.as_bytes(), Comes::In(1 << 16));
        assert_eq!(status, expected, "{length}: {}", text(&ex));
    }
}

/// A form of three files whose turns are over at once: its turns behind the body, and its status. `late`: a file that
/// gets its name while the body arrives.
fn by_turns(site: &mut Site, late: Option<&str>) -> (usize, u16) {
    let parts: Vec<String> = ["a", "b", "c"].map(|name| format!("name=f; filename=\"p/{name}\"")).into();
    let body = form(&parts.iter().map(|part| (&**part, "1")).collect::<Vec<_>>());
    let mut ex = site.at("POST /up/", &[FORM, &format!("Content-Length: {}", body.len())], OUTSIDE);
    let cx = &mut site.cx;
    let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("it is refused: {}", text(&ex)) };
    cx.slice.steps = Some(0);
    upload.accept(&mut ex, cx, &body).expect("a form");
    while upload.works() {
        assert!(matches!(upload.work(&mut ex, cx), Flow::Wait | Flow::Body));
    }
    if let Some(name) = late {
        fs::create_dir(site.scratch.path().join("up/p")).expect("a directory");
        fs::write(site.scratch.path().join("up/p").join(name), "late").expect("written");
    }
    ex.progress.rx = Rx::Done;
    let (mut flow, mut turns) = (upload.finish(&mut ex, cx), 0);
    while matches!(flow, Flow::Wait) {
        assert!(upload.works(), "it waits for nothing");
        (flow, turns) = (upload.work(&mut ex, cx), turns + 1);
    }
    (turns, ex.response.status.0)
}

/// Many small files in one form keep no other request waiting: a turn names one, or takes one back.
#[test]
fn a_turn_without_time_names_one_file_or_takes_one_back() {
    let mut whole = site();
    let (turns, status) = by_turns(&mut whole, None);
    assert_eq!((status, changes(&whole)), (201, ["p/a=1", "p/b=1", "p/c=1"].map(String::from).to_vec()));
    assert!(turns >= 2, "{turns}");
    for (late, files, least) in [("a", "p/a=late", 0), ("b", "p/b=late", 1), ("c", "p/c=late", 3)] {
        let mut refused = site();
        let (turns, status) = by_turns(&mut refused, Some(late));
        assert_eq!((status, changes(&refused)), (409, vec![files.to_owned()]), "{late}");
        assert!(turns >= least, "{late}: {turns}");
    }
}

/// A name that cannot be given is refused while nothing of the body was asked for.
#[test]
fn a_name_that_is_taken_is_refused_by_the_head_alone() {
    for (line, expected) in [
        ("POST /plain/there", Err(409)),
        ("POST /plain/new", Ok(())),
        ("POST /over/there", Ok(())),
        ("POST /other/there", Ok(())),
        ("PUT /plain/there", Ok(())),
        ("PUT /plain/dir", Err(409)),
        ("PUT /over/socket", Err(409)),
        ("POST /other/socket", Ok(())),
    ] {
        let mut site = site();
        let _socket = UnixListener::bind(site.scratch.path().join("up/socket")).expect("a socket's file");
        let mut ex = site.at(line, &["Content-Length: 3"], OUTSIDE);
        let outcome = upload::start(&mut ex, &mut site.cx).map(drop);
        assert_eq!(outcome.map_err(|_| ex.response.status.0), expected, "{line}");
    }
}

/// upload_sync opens what it will write before anything has a name; the folders of a form are opened later.
#[test]
fn only_an_upload_that_is_synced_is_prepared_for_it() {
    let in_folder = form(&[("name=f; filename=\"p/a\"", "1")]);
    for (line, fields, body, is_resumable, expected) in [
        ("PUT /sync/f", &[][..], &b"1"[..], false, true),
        // It keeps its bytes if the directory cannot be opened later.
        ("PUT /sync/f", &[], b"1", true, false),
        ("PUT /up/f", &[], b"1", false, false),
        ("POST /sync-folders/", &[FORM], &in_folder, false, false),
    ] {
        let mut site = site();
        let length = format!("Content-Length: {}", body.len());
        let mut ex = site.at(line, &[fields, &[&length]].concat(), OUTSIDE);
        let cx = &mut site.cx;
        let Ok(mut upload) = upload::start(&mut ex, cx) else { panic!("{line}: {}", text(&ex)) };
        upload.accept(&mut ex, cx, body).expect("it is right");
        if is_resumable {
            upload.own.push(UploadId::random().expect("entropy"));
        }
        upload.prepare_writing(cx).expect("it is opened");
        assert_eq!(upload.prepared.is_some(), expected, "{line}");
    }
}

/// A form has many files and one body: a file of it that goes to a folder with a location of its own is bounded as a
/// body is there, once its name is known. Other bodies, and files of the request's own folder, were bounded before.
#[test]
fn a_file_of_a_form_is_no_larger_than_a_body_in_the_folder_it_goes_to() {
    let locations = "
        location /in/ { allowed_methods POST; upload_create_path on; }
        location /in/small/ { allowed_methods POST; client_max_body_size 10; }
        location /named/ { allowed_methods POST; upload_create_path on; upload_filename $upload_field_to; }
        location /named/small/ { allowed_methods POST; client_max_body_size 10; }
        location ~ \\.small$ { allowed_methods POST; client_max_body_size 10; }";
    let named = "Content-Disposition: attachment; filename=a.small";
    for (size, target, given, stored, expected) in [
        (10, "/in/", "small/a", "small/a", 201),
        (11, "/in/", "small/a", "small/a", 413),
        (11, "/in/", "other/a", "other/a", 201),
        (10, "/named/", "small/x", "small/to", 201),
        (11, "/named/", "small/x", "small/to", 413),
        (11, "/named/", "other/x", "other/to", 201),
        (11, "/in/", "a.small", "a.small", 201),
        (11, "/in/", "", "a.small", 201),
    ] {
        let mut site = Site::new("", locations);
        let area = site.root().join(&target[1..]);
        fs::create_dir(&area).expect("a directory");
        let (content, file) = ("x".repeat(size), format!("name=f; filename=\"{given}\""));
        let (field, body) = match given {
            "" => (named, content.into_bytes()),
            _ => (FORM, form(&[(&*file, &*content), ("name=to", "to")])),
        };
        let (status, ex) = upload(&mut site, &format!("POST {target}"), &[field], &body, Comes::In(1 << 16));
        assert_eq!(status, expected, "{size} {target} {given}: {}", text(&ex));
        assert_eq!(area.join(stored).exists(), expected == 201, "{size} {target} {given}");
    }
}

/// A location that lets uploads replace files may contain one that does not: what is asked of upload_on_duplicate there
/// is not the reason.
#[test]
fn a_taken_name_is_refused_with_the_rule_that_refuses_it() {
    let never = "the name is taken, and its location lets no upload replace a file";
    for (line, never_replaces, expected) in [
        ("PUT /over/there", true, (never, "")),
        ("PUT /over/there", false, ("the name is taken", "upload_on_duplicate")),
        ("POST /plain/new", true, ("the name is taken", "upload_on_duplicate")),
    ] {
        let mut site = site();
        let mut ex = site.at(line, &["Content-Length: 3"], OUTSIDE);
        let Ok(mut upload) = upload::start(&mut ex, &mut site.cx) else { panic!("{line}: it is refused") };
        upload.never_replaces = never_replaces;
        let refusal = upload.refusal(NameFailure::Taken, b"there");
        assert_eq!((&*refusal.why, refusal.limit), expected, "{line} {never_replaces}");
    }
}
