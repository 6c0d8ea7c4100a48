//! Requests that come again byte for byte: answered, and logged, as if each were the first. Two servers of one
//! configuration, of which one keeps no answers (`repeat_cache_size 0`), are asked alike and compared: answers but for
//! the date, logs but for times and ports.
//!
//! That the other one does answer from what it keeps cannot be seen from here, and must not be: the unit tests of
//! `conn/drive` see it (`a_request_that_came_twice_is_known`), with the heads and files of these rows.

mod changes;
mod logs;
mod rows;

use crate::client::{Client, Response, find};
use crate::harness::{Server, Setup, eventually, http, skip_on_nginx};
use rows::{ROWS, Row};
use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

/// What was written within so long is not kept: it may change again under the same times.
pub const SETTLED: Duration = Duration::from_millis(30);

/// The one that keeps nothing, and the one under test.
pub struct Pair {
    pub off: Server,
    pub on: Server,
}

impl Pair {
    /// `block` is the content of `http`; `prepare` makes the files, the same for both.
    pub fn new(block: &str, prepare: impl Fn(Setup) -> Setup) -> Pair {
        let start = |size: &str| {
            let setup = prepare(http(&format!("repeat_cache_size {size};\n{block}")));
            age(setup.dir());
            setup.start()
        };
        let pair = Pair { off: start("0"), on: start("1m") };
        let begun = Instant::now();
        eventually("the files are old enough to be kept", || {
            std::thread::yield_now();
            begun.elapsed() > SETTLED
        });
        pair
    }

    /// Asks both the same, and compares what they say.
    #[track_caller]
    pub fn same(&self, what: &str, ask: impl Fn(&Server) -> Vec<String>) {
        let (off, on) = (ask(&self.off), ask(&self.on));
        for (at, (off, on)) in off.iter().zip(&on).enumerate() {
            assert_eq!(on, off, "{what}: answer {at}");
        }
        assert_eq!(on.len(), off.len(), "{what}: number of answers");
    }

    /// Both end, and their logs are the same but for what `plain` takes out.
    #[track_caller]
    pub fn same_logs(&mut self, logs: &[&str], plain: impl Fn(&str) -> String) {
        self.off.stop();
        self.on.stop();
        for log in logs {
            let lines = |server: &Server| {
                let text = String::from_utf8_lossy(&server.read(log)).into_owned();
                text.lines().map(|line| plain(&impersonal(line, server))).collect::<Vec<_>>()
            };
            let (off, on) = (lines(&self.off), lines(&self.on));
            assert!(!off.is_empty(), "{log} has lines");
            let differ: Vec<_> = off.iter().zip(&on).filter(|(off, on)| on != off).take(10).collect();
            assert!(differ.is_empty(), "{log}: (of the one that keeps nothing, of the other)\n{differ:#?}");
            assert_eq!(on.len(), off.len(), "{log}: number of lines");
        }
    }
}

/// All files below are of one time, long ago: validators are the same on both.
fn age(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).expect("our own").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            age(&path);
        } else if path.is_file() && !path.is_symlink() {
            let year = if path.ends_with("future") { 10_000_000_000 } else { 1_000_000_000 };
            let time = SystemTime::UNIX_EPOCH + Duration::new(year, 1);
            File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("utimes");
        }
    }
}

/// A text without what differs between two servers: their directories and ports.
fn impersonal(text: &str, server: &Server) -> String {
    let mut text = text.replace(&*server.setup.dir().to_string_lossy(), "DIR");
    for at in 0..server.ports() {
        text = text.replace(&server.address(at).port().to_string(), &format!("PORT{at}"));
    }
    text
}

/// Log lines without times and process ids: `[time]` of an access log, `time [level] pid#pid:` of the error log.
pub fn timeless(line: &str) -> String {
    let level =
        ["error", "crit", "info", "warn", "notice"].iter().find_map(|level| line.split_once(&format!(" [{level}] ")));
    if let Some((_, rest)) = level
        && let Some((_, rest)) = rest.split_once(": ")
    {
        // The id of the request is another each time.
        return match rest.split_once(", request_id: \"") {
            Some((before, after)) => format!("{before}{}", after.split_once('"').map_or("", |(_, after)| after)),
            None => rest.to_owned(),
        };
    }
    match (line.find('['), line.find(']')) {
        (Some(from), Some(to)) if from < to => format!("{}[]{}", &line[..from], &line[to + 1..]),
        _ => line.to_owned(),
    }
}

/// An answer as text, without its date and the boundary it chose.
pub fn shown(answer: &Response, server: &Server) -> String {
    let mut bytes = answer.head.clone();
    let mut without_time = |field: &[u8]| {
        if let Some(at) = find(&bytes, field) {
            bytes.drain(at + field.len()..at + field.len() + 29);
        }
    };
    without_time(b"\r\nDate: ");
    // Of a file from the future this is the time of the answer, too (RFC 9110 §8.8.2.1).
    if find(&answer.head, b"\r\nETag: \"2540be400-").is_some() {
        without_time(b"\r\nLast-Modified: ");
    }
    bytes.extend_from_slice(&answer.body);
    let mut text = impersonal(&bytes.iter().map(|b| char::from(*b)).collect::<String>(), server);
    if let Some((_, rest)) = text.clone().split_once("boundary=")
        && let Some((boundary, _)) = rest.split_once("\r\n")
    {
        text = text.replace(boundary, "B");
    }
    text
}

/// The answers to that many requests on one connection, or what came instead.
fn answers(client: &mut Client, requests: &[&[u8]], server: &Server) -> Vec<String> {
    let mut seen = Vec::new();
    for request in requests {
        match client.try_response(request.starts_with(b"HEAD ")) {
            Ok(answer) => {
                let closes = answer.closes();
                seen.push(shown(&answer, server));
                if closes {
                    break;
                }
            }
            Err(_) => {
                seen.push("the end".to_owned());
                break;
            }
        }
    }
    seen
}

/// One after the other, each when its predecessor was answered; a new connection where the last one ended.
pub fn in_turn(server: &Server, port: usize, before: &[u8], requests: &[&[u8]]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut open: Option<Client> = None;
    for request in requests {
        let mut client = open.take().unwrap_or_else(|| {
            let mut client = server.client_at(port);
            client.send(before);
            client
        });
        client.try_send(request);
        match client.try_response(request.starts_with(b"HEAD ")) {
            Ok(answer) => {
                seen.push(shown(&answer, server));
                if !answer.closes() {
                    open = Some(client);
                }
            }
            Err(_) => seen.push("the end".to_owned()),
        }
    }
    seen
}

/// All in one write, on a connection of their own.
pub fn at_once(server: &Server, port: usize, requests: &[&[u8]]) -> Vec<String> {
    let mut client = server.client_at(port);
    client.try_send(requests.concat());
    answers(&mut client, requests, server)
}

/// In two writes that end at `at`.
fn split(server: &Server, port: usize, requests: &[&[u8]], at: usize) -> Vec<String> {
    let mut client = server.client_at(port);
    let bytes = requests.concat();
    let (first, second) = bytes.split_at(at.min(bytes.len()));
    client.try_send(first);
    std::thread::yield_now();
    client.try_send(second);
    answers(&mut client, requests, server)
}

/// A request by its short form: `METHOD path|field|field`, the path below the row's own; `LONG path N` with a
/// cookie of N bytes; or `RAW …` with `{P}` for that.
fn spelled(row: &str, ask: &str) -> Vec<u8> {
    if let Some(raw) = ask.strip_prefix("RAW ") {
        return raw.replace("{P}", &format!("/{row}")).into_bytes();
    }
    if let Some((path, length)) = ask.strip_prefix("LONG ").and_then(|ask| ask.split_once(' ')) {
        let cookie = "a".repeat(length.parse().expect("a number"));
        return format!("GET /{row}/{path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n").into_bytes();
    }
    let mut parts = ask.split('|');
    let (method, path) = parts.next().and_then(|line| line.split_once(' ')).expect("METHOD path");
    let fields: String = parts.map(|field| format!("{field}\r\n")).collect();
    format!("{method} /{row}/{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

/// Everything that is done with one request.
fn program(pair: &Pair, row: &Row, ask: &str) {
    let request = &spelled(row.name, ask)[..];
    let other = |n: u32| format!("GET /common/f?{}-{n} HTTP/1.1\r\nHost: a\r\n\r\n", row.name).into_bytes();
    let (other, another) = (&other(1)[..], &other(2)[..]);
    let known = &b"GET /common/f HTTP/1.1\r\nHost: a\r\n\r\n"[..];
    let name = format!("{}: {ask}", row.name);
    pair.same(&format!("{name}: one connection"), |s| in_turn(s, 0, b"", &[request; 4]));
    pair.same(&format!("{name}: a connection for each"), |s| {
        (0..4).flat_map(|_| in_turn(s, 0, b"", &[request])).collect()
    });
    pair.same(&format!("{name}: pipelined"), |s| at_once(s, 0, &[request; 20]));
    let mixed = [request, other, request, request, known, another, request];
    pair.same(&format!("{name}: between others"), |s| at_once(s, 0, &mixed));
    pair.same(&format!("{name}: behind one that is known"), |s| at_once(s, 0, &[known, request, known, request]));
    for at in [1, request.len() - 1, request.len() + 3, 2 * request.len() - 2] {
        pair.same(&format!("{name}: cut at {at}"), |s| split(s, 0, &[request, request, known], at));
    }
}

/// The files of each row.
fn files(setup: Setup, row: &str) -> Setup {
    let text: String = (0..600).map(|n| format!("line {n} of a text that repeats itself\n")).collect();
    setup
        .file(&format!("html/{row}/f"), "a small file\n")
        .file(&format!("html/{row}/page.html"), "<!--# echo var=\"uri\" --> <p>page</p>\n")
        .file(&format!("html/{row}/text.txt"), &text[..3000])
        .file(&format!("html/{row}/middle.txt"), &text[..9000])
        .file(&format!("html/{row}/large.txt"), &text)
        .file(&format!("html/{row}/text.txt.gz"), "not gzip at all, but who looks?")
        .file(&format!("html/{row}/empty"), "")
        .file(&format!("html/{row}/future"), "from the future")
        .file(&format!("html/{row}/dir/index.html"), "an index")
        .file(&format!("html/{row}/bare/x"), "no index here")
        .file(&format!("html/{row}/err"), "an error page of its own")
        .link(&format!("html/{row}/link"), "f")
}

#[test]
fn what_comes_again_is_answered_as_before() {
    if skip_on_nginx("repeat_cache_size is ours") {
        return;
    }
    let locations: String = ROWS
        .iter()
        .map(|row| match row.block.strip_prefix("AS-IS ") {
            Some(block) => block.to_owned(),
            None => format!("location /{}/ {{ {} }}\n", row.name, row.block),
        })
        .collect();
    let server = format!(
        "log_format mine '$remote_addr $request_length $status $bytes_sent $connection $connection_requests $uri $host';
         limit_req_zone $binary_remote_addr zone=r:1m rate=1000r/s;
         limit_conn_zone $binary_remote_addr zone=c:1m;
         map $http_x $mapped {{ default one; two two; }}
         server {{
             listen 127.0.0.1:%%PORT%%; server_name a; root %%DIR%%/html;
             location /common/ {{ }}
             {locations}
         }}
         server {{ listen 127.0.0.1:%%PORT%%; server_name ~^(?<sub>[a-z]+)\\.example$; root %%DIR%%/html/common;
             location /sub {{ root %%DIR%%/html/$sub; }} }}"
    );
    let mut pair = Pair::new(&server, |setup| {
        let setup = setup.file("html/.passwords", "user:{PLAIN}secret\n");
        ROWS.iter().map(|row| row.name).chain(["common"]).fold(setup, files)
    });
    let mut table = crate::harness::Table::new("the same again");
    for row in ROWS {
        table.row(crate::harness::BOTH, row.name, || {
            for ask in row.asks {
                program(&pair, row, ask);
            }
            let all: Vec<Vec<u8>> = row.asks.iter().map(|ask| spelled(row.name, ask)).collect();
            let all: Vec<&[u8]> = all.iter().cycle().take(3 * row.asks.len()).map(|ask| &ask[..]).collect();
            pair.same(&format!("{}: all in turn", row.name), |s| in_turn(s, 0, b"", &all));
            pair.same(&format!("{}: all at once", row.name), |s| at_once(s, 0, &all));
        });
    }
    drop(table);
    pair.same_logs(&["logs/access.log", "logs/mine.log", "logs/error.log"], timeless);
}
