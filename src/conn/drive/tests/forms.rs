//! Forms of many files: of what is done for one, each turn does as much as its slice allows, file by file.

use super::*;
use std::fs;

const FILES: usize = 6;
const RULES: &str = "access_log off; error_log /dev/null; allowed_methods GET POST; upload_create_path on;";

/// A form of small files, each in a folder of its own.
fn request() -> String {
    let part = |at: usize| {
        format!("--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"d{at}/f\"\r\n\r\nfile {at}\r\n")
    };
    request_of(&(0..FILES).map(part).collect::<String>())
}

/// A form of these parts.
fn request_of(parts: &str) -> String {
    let body = format!("{parts}--B--\r\n");
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The folders and files there are.
fn names(world: &World) -> (usize, usize) {
    let folders: Vec<_> =
        fs::read_dir(world.dir.path()).expect("a directory").flatten().map(|one| one.path()).collect();
    let folders = folders.iter().filter(|path| path.is_dir());
    let files: Vec<usize> = folders.map(|path| fs::read_dir(path).expect("a directory").count()).collect();
    (files.len(), files.iter().sum())
}

/// Drives it until it is answered, with time for one step in each turn; `see` looks at what there is after each. Gives
/// the number of turns, and the answer.
fn drive_slowly(world: &mut World, mut see: impl FnMut(&World, (usize, usize))) -> (usize, String) {
    let (mut conn, mut far) = world.client(true);
    far.write_all(request().as_bytes()).expect("there is room");
    conn.transport.event(epoll::IN);
    for turn in 1..20 * FILES {
        let before = names(world);
        world.cx.now.advance();
        world.cx.slice.begin();
        world.cx.slice.steps = Some(1);
        let next = world.drive_once(&mut conn);
        let (after, mut bytes) = (names(world), vec![0; 1 << 16]);
        let changed = before.0.abs_diff(after.0) + before.1.abs_diff(after.1);
        assert!(changed <= 2, "turn {turn}: {before:?} became {after:?}");
        see(world, after);
        if next == Next::Wait {
            let len = far.read(&mut bytes).expect("an answer");
            return (turn, String::from_utf8_lossy(&bytes[..len]).into_owned());
        }
        assert_eq!(next, Next::Run);
    }
    panic!("it is not answered");
}

#[test]
fn a_form_of_many_files_does_one_step_after_another_and_is_stored_whole() {
    for quota in ["", "upload_quota 1m;"] {
        let mut world = World::in_root_of(RULES, quota);
        let (turns, answer) = drive_slowly(&mut world, |_, _| {});
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(turns >= 3 * (FILES - 1), "parsed, made and named one by one, {quota}: {turns}");
        assert_eq!(names(&world), (FILES, FILES));
        let last = world.dir.path().join(format!("d{}/f", FILES - 1));
        assert_eq!(fs::read_to_string(last).expect("it is stored"), format!("file {}", FILES - 1));
    }
}

#[test]
fn a_form_whose_last_name_is_taken_while_the_others_are_given_leaves_nothing() {
    let mut world = World::in_root_of(RULES, "");
    let mut most = 0;
    let (turns, answer) = drive_slowly(&mut world, |world, (_, files)| {
        most = most.max(files);
        if files == 1 && most == 1 {
            fs::write(world.dir.path().join(format!("d{}/f", FILES - 1)), "another's").expect("written");
        }
    });
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!((most, names(&world)), (FILES, (1, 1)), "after {turns} turns");
}

#[test]
fn a_form_that_is_dropped_while_names_are_given_leaves_nothing() {
    let mut world = World::in_root_of(RULES, "");
    let (mut conn, mut far) = world.client(true);
    far.write_all(request().as_bytes()).expect("there is room");
    conn.transport.event(epoll::IN);
    while names(&world).1 < 2 {
        world.cx.slice.begin();
        world.cx.slice.steps = Some(1);
        assert_eq!(world.drive_once(&mut conn), Next::Run);
    }
    drop(conn);
    assert_eq!(names(&world), (0, 0));
}

/// 100 000 of them, 6.5 MB, took 22 ms of a turn.
#[test]
fn a_form_of_many_inputs_without_a_file_is_parsed_one_after_another() {
    let mut world = World::in_root_of(RULES, "");
    let (mut conn, mut far) = world.client(true);
    let none = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n\r\n".repeat(FILES);
    far.write_all(request_of(&none).as_bytes()).expect("there is room");
    conn.transport.event(epoll::IN);
    let mut turns = 0;
    loop {
        world.cx.slice.begin();
        world.cx.slice.steps = Some(1);
        turns += 1;
        if world.drive_once(&mut conn) == Next::Wait || turns > 20 * FILES {
            break;
        }
    }
    let mut bytes = vec![0; 1 << 16];
    let len = far.read(&mut bytes).expect("an answer");
    let answer = String::from_utf8_lossy(&bytes[..len]);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(turns >= FILES - 1, "{turns}");
}
