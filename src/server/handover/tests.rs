//! For which processes changes of locks are noted.

use super::*;
use crate::config::build::Form;
use crate::config::load::{LoadOptions, load_text};
use crate::config::resolve::resolve;
use crate::http::dav::lock::Token;
use crate::server::listeners::Listeners;
use crate::server::signals::Signals;
use crate::services::Services;
use crate::services::dav_locks::Lock;
use crate::services::logs::Logs;
use crate::sys::scratch::Scratch;
use std::rc::Rc;

fn server(dir: &Scratch) -> Server {
    let path = dir.path().display();
    let text = format!("error_log {path}/errors; events {{}} http {{ server {{ listen unix:{path}/socket; }} }}");
    let mut loaded = load_text("handover.conf", text.as_bytes(), &LoadOptions::default());
    let resolved = resolve(&mut loaded, dir.path(), Form::Webserv, Vec::new(), None);
    let config = resolved.config.expect("the configuration is right");
    Server::new(Services::new(Rc::new(config), Logs::new()), Listeners::default(), Signals::none()).expect("epoll")
}

/// The number of changes that are noted for a lock.
fn noted(server: &mut Server) -> usize {
    let (path, empty): (Rc<[u8]>, Rc<[u8]>) = (Rc::from(&b"/f"[..]), Rc::default());
    let (href, owner, creator) = (path.clone(), empty.clone(), empty);
    let (token, timeout, until) = (Token::new([1; 16]), 1, u64::MAX);
    let lock = Lock { token, path, href, exclusive: true, deep: false, owner, creator, timeout, until };
    server.cx.dav_locks.grant(&Rc::from("z"), 1 << 20, lock).expect("nothing is locked");
    assert!(server.cx.dav_locks.release(b"/f", token));
    server.cx.dav_locks.take_changes().len()
}

#[test]
fn no_changes_of_locks_are_noted_for_a_successor_that_has_exited() {
    let dir = Scratch::new();
    let mut server = server(&dir);
    assert_eq!(noted(&mut server), 0);
    let (ours, theirs) = pass::pair().expect("descriptors");
    server.hand_over(ours);
    assert_eq!(noted(&mut server), 2);
    drop(theirs);
    server.send_state();
    assert!(!server.has_successor());
    assert_eq!(noted(&mut server), 0);
}

#[test]
fn changes_of_locks_are_noted_as_long_as_a_predecessor_runs() {
    let dir = Scratch::new();
    let mut server = server(&dir);
    let (ours, theirs) = pass::pair().expect("descriptors");
    server.inherit(ours).expect("epoll");
    assert_eq!(noted(&mut server), 2);
    drop(theirs);
    let key = server.handover.predecessors.iter().map(|(key, _)| key).next().expect("it is there");
    server.predecessor_event(key);
    assert_eq!(noted(&mut server), 0);
}

#[test]
fn no_changes_of_locks_are_noted_for_a_channel_that_cannot_be_watched() {
    let dir = Scratch::new();
    let mut server = server(&dir);
    dir.write("file", b"");
    let file = std::fs::File::open(dir.path().join("file")).expect("it is there");
    assert_eq!(server.inherit(file.into()), Err(Errno::EPERM));
    assert_eq!(noted(&mut server), 0);
}

/// They were taken for those of the process that passed them on, which then counted as complete.
#[test]
fn records_of_an_earlier_process_are_not_taken_for_another_ones_without_its_channel() {
    let dir = Scratch::new();
    let mut server = server(&dir);
    let (ours, theirs) = pass::pair().expect("descriptors");
    server.inherit(ours).expect("epoll");
    let key = server.handover.predecessors.iter().map(|(key, _)| key).next().expect("it is there");
    for (number, has_ended) in [(1, false), (0, true)] {
        pass::send(theirs.as_fd(), &[&[number], &Record::End.encode()[..]].concat(), &[]).expect("there is room");
        server.predecessor_event(key);
        let link = server.handover.predecessors.get(key).expect("it runs");
        assert_eq!(link.has_ended, has_ended, "{number}");
    }
}
