//! Clients that cost more than they should: each ends with the connection closed for a named reason, after a bounded
//! number of frames, with bounded memory; and others are served meanwhile.

use super::client::{H2, head, raw};
use super::gone::huge;
use super::{connect, site};
use crate::harness::Server;
use webserv::http::h2::error::ErrorCode;
use webserv::http::h2::frame::{flag, kind};

/// Kilobytes of memory that the process has for itself: pages of the program and of files come and go.
fn memory(s: &Server) -> u64 {
    s.kilobytes("RssAnon")
}

/// Nanoseconds of processor time that it has used.
fn used(s: &Server) -> u64 {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", s.pid)).unwrap_or_default();
    if let Some(ns) = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()) {
        return ns;
    }
    // A kernel that does not count so finely: in hundredths of a second.
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    (ticks(11) + ticks(12)) * 10_000_000
}

/// What 5000 ordinary requests cost on this machine, in this build, now: what any of these may cost at most. An attack
/// that ends after a thousand frames costs an eighth of it.
fn most_to_use(s: &Server) -> u64 {
    let mut c = connect(s);
    let began = used(s);
    for n in 0..500 {
        assert_eq!(c.get(&format!("/small?{n}")).status, 200);
    }
    // Where hundredths are counted, it may be none.
    (10 * (used(s) - began)).max(100_000_000)
}

/// One connection has its buffers and a limited number of streams.
const KILOBYTES: u64 = 4 << 10;

/// A site that was asked for something, and what memory it holds then.
fn warm(server: &str) -> (Server, u64) {
    let s = site(server);
    let mut c = connect(&s);
    for path in ["/small", "/large", "/missing"] {
        c.get(path);
    }
    let before = memory(&s);
    (s, before)
}

/// What an attack costs a warm server, counted from here.
struct Watch<'a> {
    s: &'a Server,
    memory: u64,
    began: u64,
    most_to_use: u64,
}

impl Watch<'_> {
    /// `memory`: what the server held before.
    fn begin(s: &Server, memory: u64) -> Watch<'_> {
        let most_to_use = most_to_use(s);
        Watch { s, memory, began: used(s), most_to_use }
    }

    /// It has cost less than `most` KiB and than [`most_to_use`], and others are served.
    fn holds(&self, most: u64) {
        let grown = memory(self.s).saturating_sub(self.memory);
        assert!(grown < most, "{grown} KiB");
        let spent = used(self.s) - self.began;
        assert!(spent < self.most_to_use, "{spent} ns of {}", self.most_to_use);
        assert_eq!(connect(self.s).get("/small").status, 200);
    }
}

/// A request that is not answered in whole, since its window is shut, and what makes the server reset it.
fn by(n: u32, fault: &[u8]) -> Vec<u8> {
    let shut = raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let shut = if n == 0 { &shut[..] } else { &[] };
    [shut, &head(2 * n + 1, "GET", "/large", &[], true), fault].concat()
}

#[test]
fn floods_end_with_their_connection_and_cost_little() {
    let rapid: fn(u32) -> Vec<u8> = |n| {
        let stream = 2 * n + 1;
        [head(stream, "GET", "/large", &[], true), raw(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    let made: fn(u32) -> Vec<u8> = |n| {
        let stream = 2 * n + 1;
        [head(stream, "GET", "/large", &[], true), raw(kind::WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    };
    let table: [(&str, fn(u32) -> Vec<u8>); 24] = [
        ("rapid reset", rapid),
        ("made you reset", made),
        (
            "CONTINUATION",
            |n| if n == 0 { raw(kind::HEADERS, 1, 1, &[0x82]) } else { raw(kind::CONTINUATION, 0, 1, &[]) },
        ),
        ("a header block without end", |n| {
            if n == 0 { raw(kind::HEADERS, 1, 1, &[0x82]) } else { raw(kind::CONTINUATION, 0, 1, &[0x82; 16_000]) }
        }),
        ("PING", |_| raw(kind::PING, 0, 0, &[0; 8])),
        ("SETTINGS", |_| raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1, 0, 4, 0, 0, 0, 9])),
        ("PRIORITY", |n| raw(kind::PRIORITY, 0, 2 * n + 1, &[0; 5])),
        ("empty DATA", |n| if n == 0 { head(1, "POST", "/small", &[], false) } else { raw(kind::DATA, 0, 1, b"") }),
        ("DATA of padding alone", |n| {
            if n == 0 { head(1, "POST", "/small", &[], false) } else { raw(kind::DATA, 8, 1, &[5, 0, 0, 0, 0, 0]) }
        }),
        ("PRIORITY_UPDATE", |n| raw(0x10, 0, 0, &[&(2 * n + 1).to_be_bytes()[..], b"u=1, i"].concat())),
        ("acknowledgements of SETTINGS", |_| raw(kind::SETTINGS, 1, 0, b"")),
        ("answers to PING", |_| raw(kind::PING, 1, 0, &[0; 8])),
        ("window updates", |_| raw(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ("unknown frames", |_| raw(0x77, 0, 0, b"x")),
        ("GOAWAY", |_| raw(kind::GOAWAY, 0, 0, &[0; 8])),
        ("streams beyond the limit", |n| head(2 * n + 1, "POST", "/kept", &[], false)),
        ("trailers that do not end", |n| {
            if n == 0 { head(1, "POST", "/kept", &[], false) } else { raw(kind::HEADERS, 4, 1, &[0, 1, b'a', 1, b'b']) }
        }),
        ("heads of a stream that was reset", |n| match n {
            0 => [head(1, "POST", "/kept", &[], false), raw(kind::PRIORITY, 0, 1, &[0; 4])].concat(),
            _ => raw(kind::HEADERS, 5, 1, &[0, 1, b'a', 1, b'b']),
        }),
        ("windows of all streams to and fro", |n| match n {
            0..100 => head(2 * n + 1, "GET", "/large", &[], true),
            _ => raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, (n % 2) as u8]),
        }),
        ("sizes of the table to and fro", |n| {
            raw(kind::SETTINGS, 0, 0, &[[0, 1, 0, 0, 0, 0], [0, 1, 0xff, 0xff, 0xff, 0xff]][n as usize % 2])
        }),
        ("made you reset by DATA", |n| by(n, &raw(kind::DATA, 0, 2 * n + 1, b"x"))),
        ("made you reset by HEADERS", |n| by(n, &head(2 * n + 1, "GET", "/large", &[], true))),
        ("made you reset by a window", |n| {
            let window = raw(kind::WINDOW_UPDATE, 0, 2 * n + 1, &0x7fff_ffff_u32.to_be_bytes());
            by(n, &window.repeat(2))
        }),
        ("made you reset by PRIORITY", |n| by(n, &raw(kind::PRIORITY, 0, 2 * n + 1, &[0; 4]))),
    ];
    for (name, frames) in table {
        let (s, before) = warm("location /kept { upload_store %%DIR%%/store; allowed_methods POST; }");
        let most_spent = most_to_use(&s);
        let began = used(&s);
        let mut c = connect(&s);
        // What is sent behind the end is read, and thrown away: no part of this.
        let (mut sent, mut bytes, mut most) = (0, 0, before);
        while sent < 20_000 && bytes < 4 << 20 {
            let some: Vec<u8> = (sent..sent + 20).flat_map(frames).collect();
            if !c.try_send(&some) {
                break;
            }
            (sent, bytes) = (sent + 20, bytes + some.len());
            if sent % 100 == 0 {
                most = most.max(memory(&s));
            }
        }
        // It ends: by GOAWAY, as far as that still arrives.
        let code = c.goaway().map_or(ErrorCode::ENHANCE_YOUR_CALM.0, |(_, code)| code);
        // A PRIORITY that is too short is an error of the connection where its stream is not open any more.
        let is_named = code == ErrorCode::ENHANCE_YOUR_CALM.0
            || name.ends_with("PRIORITY") && code == ErrorCode::FRAME_SIZE_ERROR.0;
        assert!(is_named, "{name}: {code}");
        let grown = most.max(memory(&s)) - before;
        assert!(grown < KILOBYTES, "{name}: {grown} KiB");
        let spent = used(&s) - began;
        assert!(spent < most_spent, "{name}: {spent} ns of {most_spent}");
        assert_eq!(connect(&s).get("/small").status, 200, "{name}");
    }
}

#[test]
fn a_decompression_bomb_is_refused_and_costs_nothing() {
    let (s, before) = warm("");
    let watch = Watch::begin(&s, before);
    let mut c = connect(&s);
    // A field of 4000 bytes into the table, then thousands of references of one byte each.
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 1, b'l', 0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 12_000]);
    c.frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block);
    assert_eq!(c.answer(1).status, 431);
    watch.holds(KILOBYTES);
}

#[test]
fn windows_of_nothing_hold_no_memory_and_thousands_of_streams_do_not_either() {
    let (s, before) = warm("send_timeout 60s;");
    let watch = Watch::begin(&s, before);
    let mut clients: Vec<H2> = (0..20)
        .map(|_| {
            let mut c = connect(&s);
            c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            for _ in 0..100 {
                c.request("GET", "/large", &[], true);
            }
            c
        })
        .collect();
    for c in &mut clients {
        for _ in 0..100 {
            c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
        }
    }
    // 2000 responses of 3 MB each wait for their windows: a few kilobytes each.
    watch.holds(8 << 10);
}

#[test]
fn output_that_is_not_read_stops_the_reading() {
    let (s, before) = warm("");
    let watch = Watch::begin(&s, before);
    let mut c = connect(&s);
    // Each request earns some patience for its PINGs, whose answers are never read.
    c.request("GET", "/large", &[], true);
    c.try_send(&raw(kind::PING, 0, 0, &[0; 8]).repeat(900));
    for _ in 0..20 {
        c.request("GET", "/large", &[], true);
    }
    watch.holds(KILOBYTES);
}

#[test]
fn an_idle_connection_holds_a_few_kilobytes() {
    const COUNT: u64 = 200;
    let (s, _) = warm("keepalive_timeout 60s;");
    // One costs what all have in common.
    let _first = connect(&s).get("/small");
    let before = memory(&s);
    let clients: Vec<H2> = (0..COUNT)
        .map(|_| {
            let mut c = connect(&s);
            // Fields for its table, and more streams at once than an idle connection should remember.
            let agent = [("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")];
            let streams: Vec<u32> = (0..10).map(|_| c.request("GET", "/large", &agent, true)).collect();
            assert!(c.answers(&streams).values().all(|answer| answer.status == 200 && answer.ended));
            c
        })
        .collect();
    let each = memory(&s).saturating_sub(before) * 1024 / COUNT;
    assert!(each <= 8192, "{each} bytes each");
    drop(clients);
}

#[test]
fn heads_that_are_too_large_are_refused_and_what_they_left_is_given_back() {
    let (s, before) = warm("keepalive_glitches 0;");
    let watch = Watch::begin(&s, before);
    let mut c = connect(&s);
    let long = "x".repeat(40_000);
    let many: Vec<(String, &str)> = (0..900).map(|n| (format!("x-{n}"), "v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for _ in 0..100 {
        let stream = c.request("GET", "/small", &[("x-long", &long)], true);
        assert_eq!(c.answer(stream).status, 431);
        let stream = c.request("GET", "/small", &many, true);
        assert!(matches!(c.answer(stream).status, 200 | 431));
    }
    watch.holds(KILOBYTES);
}

#[test]
fn dependencies_in_circles_and_chains_cost_no_more_than_others() {
    let (s, before) = warm("keepalive_requests 10000;");
    let cost = |depends: bool| {
        let mut c = connect(&s);
        let began = used(&s);
        for round in 0..50u32 {
            let first = 200 * round + 1;
            let mut frames = Vec::new();
            let mut streams = Vec::new();
            for n in 0..100 {
                let stream = first + 2 * n;
                // Each depends on the next, and the last on the first.
                let parent = match n {
                    _ if !depends => 0,
                    99 => first,
                    _ => stream + 2,
                };
                frames.extend(raw(kind::PRIORITY, 0, stream, &[&parent.to_be_bytes()[..], &[n as u8]].concat()));
                frames.extend(head(stream, "GET", "/small", &[], true));
                streams.push(stream);
            }
            c.send(&frames);
            assert!(c.answers(&streams).values().all(|answer| answer.status == 200 && answer.ended));
        }
        used(&s) - began
    };
    let (without, with) = (cost(false), cost(true));
    assert!(with < 10 * without, "{with} ns, without {without}");
    let grown = memory(&s).saturating_sub(before);
    assert!(grown < KILOBYTES, "{grown} KiB");
}

#[test]
fn a_window_that_is_opened_byte_by_byte_ends_the_connection() {
    let (s, before) = warm("");
    let watch = Watch::begin(&s, before);
    let mut c = connect(&s);
    c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let stream = c.request("GET", "/large", &[], true);
    let mut sent = 0;
    while sent < 10_000 && c.try_send(&raw(kind::WINDOW_UPDATE, 0, stream, &1u32.to_be_bytes())) {
        sent += 1;
    }
    assert_eq!(
        c.goaway().map(|(_, code)| code).unwrap_or(ErrorCode::ENHANCE_YOUR_CALM.0),
        ErrorCode::ENHANCE_YOUR_CALM.0
    );
    watch.holds(KILOBYTES);
}

#[test]
fn a_client_that_updates_both_windows_for_each_frame_is_no_attacker() {
    let s = site("");
    huge(&s);
    let mut c = connect(&s);
    let stream = c.request("GET", "/huge", &[], true);
    let mut got = 0;
    while got < 24 << 20 {
        let frame = c.next_frame().expect("a frame");
        if frame.header.kind != kind::DATA {
            continue;
        }
        got += frame.payload.len();
        let update = |of: u32| raw(kind::WINDOW_UPDATE, 0, of, &frame.header.len.to_be_bytes());
        c.send(&[update(0), update(stream)].concat());
    }
    assert_eq!(c.said_goaway, None);
}

#[test]
fn bodies_that_nothing_takes_are_bounded_by_the_window_of_their_connection() {
    // Requests that wait for their turn: what has come of their bodies is kept.
    let (s, before) = warm("location /held/ { alias %%DIR%%/html/; limit_req zone=slow burst=1000; }");
    let watch = Watch::begin(&s, before);
    let mut c = connect(&s);
    c.frame(kind::SETTINGS, 1, 0, b"");
    assert_eq!(c.get("/held/small").status, 200);
    let mut total = 0usize;
    for _ in 0..100 {
        let stream = c.request("POST", "/held/small", &[("content-length", "100000")], false);
        // A whole window of each stream; the connection's is smaller than all of them.
        let sent = [16_384, 16_384, 16_384, 16_383].into_iter().all(|len| {
            total += len;
            c.try_send(&raw(kind::DATA, 0, stream, &vec![b'x'; len]))
        });
        if !sent || total > 5 << 20 {
            break;
        }
    }
    assert_eq!(c.goaway().map_or(ErrorCode::FLOW_CONTROL_ERROR.0, |(_, code)| code), ErrorCode::FLOW_CONTROL_ERROR.0);
    // Four megabytes at most were kept, in buffers that grow by doubling.
    watch.holds(12 << 10);
}

/// CVE-2026-49975 and its family: references of one byte each, within all limits, on streams that are held open by
/// windows of nothing.
#[test]
fn many_tiny_fields_on_streams_that_stand_still_hold_little_memory() {
    let (s, before) = warm("send_timeout 60s;");
    let watch = Watch::begin(&s, before);
    // A field, or a crumb of a cookie, into the table; then references to it.
    let table: [(&str, &[u8]); 2] = [("fields", b"\x40\x01a\x00"), ("crumbs", b"\x60\x00")];
    let mut clients = Vec::new();
    let mut sent = 0u64;
    for (name, entry) in table {
        let mut c = connect(&s);
        c.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        for n in 0..100u32 {
            let mut block = vec![0x82, 0x86, 0x44, 6];
            block.extend(b"/large");
            block.extend(b"\x41\x01l");
            block.extend(entry);
            block.extend([0xbe; 900]);
            sent += block.len() as u64;
            c.frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 2 * n + 1, &block);
        }
        for _ in 0..100 {
            c.until(|frame| frame.header.kind == kind::HEADERS).unwrap_or_else(|| panic!("{name}: no head"));
        }
        clients.push(c);
    }
    // 200 streams stand still: a few kilobytes of each, some thirty bytes for each that came.
    watch.holds((40 * sent / 1024).min(2 * KILOBYTES));
    drop(clients);
}
