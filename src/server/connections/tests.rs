//! In which order connections are driven where a turn's time is over.

use crate::http::h2::frame::{self, EndStream, PREFACE};
use crate::http::h2::hpack::encode;
use crate::server::test_world::{World, read};
use crate::services::slice::Slice;
use crate::sys::epoll;
use crate::util::slab::Key;
use crate::util::wake::Wake;
use std::io::Write;
use std::os::unix::net::UnixStream;

const GET: &str = "GET /f HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client that has sent `text`, and its connection.
fn client(world: &mut World, text: &[u8]) -> (UnixStream, Key) {
    let mut client = world.client("");
    client.write_all(text).expect("there is room");
    settle(world);
    let newest = world.server.conns.iter().max_by_key(|(_, conn)| conn.serial).map(|(key, _)| key);
    (client, newest.expect("it is open"))
}

/// A client of HTTP/2 that has sent no request.
fn http2_client(world: &mut World) -> (UnixStream, Key) {
    let mut hello = PREFACE.to_vec();
    frame::settings(&mut hello, &[]);
    client(world, &hello)
}

/// Until all connections wait for their clients.
fn settle(world: &mut World) {
    world.turns();
    while !world.server.run.is_empty() || !world.server.late.is_empty() {
        world.turns();
    }
}

fn request(stream: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame::headers(&mut out, stream, EndStream::Yes, 16_384, |block| {
        for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", "/f"), (":authority", "a")] {
            encode::field(block, name.as_bytes(), value.as_bytes());
        }
    });
    out
}

fn requests(world: &World, key: Key) -> u32 {
    world.server.conns.get(key).expect("it is open").served.requests()
}

/// Sends four requests at once. Their connection has the least share of a turn.
fn send_four(world: &mut World, (client, key): &mut (UnixStream, Key)) {
    client.write_all(&[1, 3, 5, 7].map(request).concat()).expect("there is room");
    world.server.conns.get_mut(*key).expect("it is open").transport.event(epoll::IN);
    world.server.cx.slice.share(1000);
    world.server.drive_and_batch(Wake::conn(*key));
}

/// A small request waited for a step of each of 200 connections, all of which had work for many turns.
#[test]
fn a_small_request_does_not_wait_behind_connections_that_used_up_their_share() {
    let mut world = World::new();
    let mut heavy: Vec<_> = (0..3).map(|_| http2_client(&mut world)).collect();
    let (mut small, key) = client(&mut world, GET.as_bytes());
    assert!(read(&mut small).ends_with("content"));
    // However long that took on this machine.
    world.server.conns.get_mut(key).expect("it is open").queueing.set_heavy(false);
    heavy.iter_mut().for_each(|heavy| send_four(&mut world, heavy));
    assert_eq!(world.server.run.len(), 3, "they go on");
    settle(&mut world);
    // The next requests come when the turn's time is over, the small one last.
    world.server.cx.slice = Slice::over();
    assert!(world.server.cx.slice.is_turn_over());
    for (client, key) in &mut heavy {
        client.write_all(&request(9)).expect("there is room");
        world.server.client_event(*key, epoll::IN);
    }
    small.write_all(GET.as_bytes()).expect("there is room");
    world.server.client_event(key, epoll::IN);
    assert_eq!(world.server.late, [key], "it is driven first");
    assert_eq!(world.server.run.len(), 3, "they are driven as well");
    settle(&mut world);
    assert!(heavy.iter().all(|(_, key)| requests(&world, *key) == 5), "all are served");
    assert!(read(&mut small).ends_with("content"));
}

/// One that was heavy once stayed so while the server was busy: its events were never looked at by themselves. And any
/// request over HTTP/2 made its connection heavy there.
#[test]
fn a_connection_is_heavy_no_longer_once_an_event_fits_into_its_share() {
    let mut world = World::new();
    let mut heavy = http2_client(&mut world);
    send_four(&mut world, &mut heavy);
    settle(&mut world);
    let (client, key) = &mut heavy;
    for (stream, queued_with) in [(9, "those that go on"), (11, "the small")] {
        world.server.cx.slice = Slice::over();
        assert!(world.server.cx.slice.is_turn_over());
        client.write_all(&request(stream)).expect("there is room");
        world.server.client_event(*key, epoll::IN);
        let queue = if queued_with == "the small" { &world.server.late } else { &world.server.run };
        assert_eq!(*queue, [*key], "{queued_with}");
        world.server.cx.slice = Slice::default();
        settle(&mut world);
    }
    client.write_all(&request(13)).expect("there is room");
    world.server.conns.get_mut(*key).expect("it is open").transport.event(epoll::IN);
    world.server.cx.slice.share(1000);
    world.server.drive_and_batch(Wake::conn(*key));
    let conn = world.server.conns.get(*key).expect("it is open");
    assert!(conn.served.requests() == 7 && !conn.queueing.is_heavy(), "one small request, however short its share");
}

/// 32 KiB of header blocks were decoded in one step: a millisecond of each of 200 connections.
#[test]
fn frames_of_one_connection_take_no_more_than_its_share() {
    let mut world = World::new();
    let mut heavy = http2_client(&mut world);
    send_four(&mut world, &mut heavy);
    for begun in 1..=4 {
        assert_eq!(requests(&world, heavy.1), begun, "one frame in each of its turns");
        world.server.cx.slice.share(1000);
        world.server.drive_and_batch(Wake::conn(heavy.1));
    }
}
