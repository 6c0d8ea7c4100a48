//! Requests that come again: which are known, and what becomes of their answers where the client does not read.

use super::*;
use crate::sys::socket;

const HEAD: &str = " HTTP/1.1\r\nHost: a\r\n\r\n";

impl World {
    fn knows(&self, request: &str) -> bool {
        let hash = self.cx.response_cache.hash(EndpointId(0), request.as_bytes());
        self.cx.response_cache.find(hash, EndpointId(0), request.as_bytes()).is_some()
    }

    /// One round of the connection, and what came of it.
    fn ask(&mut self, conn: &mut Conn, far: &mut UnixStream, request: &str) -> (Next, String) {
        far.write_all(request.as_bytes()).expect("there is room");
        conn.transport.event(epoll::IN);
        let next = self.drive(conn);
        (next, String::from_utf8_lossy(&read(far)).into_owned())
    }

    fn drive(&mut self, conn: &mut Conn) -> Next {
        let next = self.drive_once(conn);
        self.pool.send_batch.clear();
        next
    }

    /// Makes the request known, on connections of their own.
    fn teach(&mut self, request: &str) -> String {
        let mut seen = String::new();
        for _ in 0..2 {
            let (mut conn, mut far) = self.client(true);
            seen = self.ask(&mut conn, &mut far, request).1;
        }
        assert!(self.knows(request), "{request}: {seen}");
        seen
    }
}

/// All that is there now.
fn read(far: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let mut len = 0;
    while let Ok(n @ 1..) = far.read(&mut bytes[len..]) {
        len += n;
    }
    bytes.truncate(len);
    bytes
}

const EXPIRES: &str = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied expired; \
    add_header Expires 'Thu, 01 Jan 2099 00:00:00 GMT';";
const VIA: &str = "Via: 1.1 a\r\nAccept-Encoding: gzip\r\n";

#[test]
fn a_request_that_came_twice_is_known() {
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let table = [
        ("a file", "", get("/g", ""), true),
        ("its head", "", "HEAD /g HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), true),
        ("the head of a large one", "", "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), true),
        ("a large one", "sendfile on;", get("/large", ""), true),
        ("a large one without sendfile", "", get("/large", ""), false),
        ("not modified", "", get("/g", "If-None-Match: *\r\n"), true),
        ("a range", "", get("/g", "Range: bytes=1-2\r\n"), true),
        ("a range of a large one", "", get("/large", "Range: bytes=1-2\r\n"), true),
        ("two ranges", "", get("/g", "Range: bytes=1-1,3-3\r\n"), false),
        ("a range there is not", "", get("/g", "Range: bytes=100-\r\n"), false),
        ("what is not there", "", get("/no", ""), true),
        ("what is not there, unsaid", "log_not_found off;", get("/no", ""), true),
        ("a directory that is not there", "", get("/no/", ""), false),
        ("an index", "index g;", get("/", ""), true),
        ("an index among several locations", "index g; location /a/ { }", get("/", ""), true),
        (
            "an index that another directory's file answers",
            "index g; location = /g { root %/page; }",
            get("/", ""),
            false,
        ),
        ("an index that another file answers", "index g; location = /g { alias %/f; }", get("/", ""), false),
        ("an index that another handler answers", "index g; location = /g { stub_status; }", get("/", ""), false),
        ("the second index", "index no g;", get("/", ""), false),
        ("a header", "add_header X y always;", get("/g", ""), true),
        ("a header of a variable", "add_header X $uri;", get("/g", ""), false),
        ("a capture", "location ~ ^/(x)$ { alias %/g; add_header X $1; }", get("/x", ""), true),
        ("expires", "expires 1h;", get("/g", ""), false),
        ("an alias", "location /x/ { alias %/; }", get("/x/g", ""), true),
        ("a charset", "charset utf-8;", get("/g", ""), true),
        ("compressed", "gzip on; gzip_types *; gzip_min_length 1;", get("/g", "Accept-Encoding: gzip\r\n"), false),
        ("what a proxy may have compressed once it has expired", EXPIRES, get("/g", VIA), false),
        ("a .gz", "gzip_static always;", get("/z", ""), false),
        ("a password", "auth_basic x; auth_basic_user_file /dev/null;", get("/g", ""), false),
        ("an address", "allow all;", get("/g", ""), false),
        ("a script", "set $x y;", get("/g", ""), false),
        ("try_files", "try_files $uri =404;", get("/g", ""), false),
        ("an error page", "error_page 404 /g;", get("/no", ""), false),
        ("an error page elsewhere", "error_page 404 http://a/;", get("/no", ""), false),
        ("limit_rate", "limit_rate 1m;", get("/g", ""), false),
        ("real_ip", "set_real_ip_from 127.0.0.1;", get("/g", ""), false),
        ("a page of SSI", "ssi on; ssi_types *;", get("/g", ""), false),
        ("a file that SSI does not read", "ssi on;", get("/g", ""), true),
        ("disable_symlinks", "disable_symlinks on;", get("/g", ""), false),
        ("the last of a connection", "", get("/g", "Connection: close\r\n"), true),
        ("the last by rule", "keepalive_requests 1;", get("/g", ""), false),
        ("HTTP/1.0", "", "GET /g HTTP/1.0\r\n\r\n".to_owned(), true),
        ("an empty line before it", "", format!("\r\n{}", get("/g", "")), true),
        ("bare LF", "", "GET /g HTTP/1.1\nHost: a\n\n".to_owned(), false),
        ("a kilobyte", "", get("/g", &format!("X: {}\r\n", "y".repeat(960))), true),
        ("more than that", "", get("/g", &format!("X: {}\r\n", "y".repeat(1000))), false),
        ("a body of nothing", "", get("/g", "Content-Length: 0\r\n"), false),
        ("a log of two", "access_log %/log; access_log %/log2;", get("/g", ""), false),
        ("a log with a condition", "access_log %/log combined if=$uri;", get("/g", ""), false),
        ("a log", "access_log %/log;", get("/g", ""), true),
    ];
    for (name, server, request, known) in table {
        let dir = Scratch::new();
        for (file, content) in [("g", "another".to_owned()), ("large", "x".repeat(50_000)), ("z", "plain".to_owned())] {
            dir.write(file, content.as_bytes());
        }
        dir.write("z.gz", b"gz");
        dir.write("f", b"another");
        std::fs::create_dir(dir.path().join("page")).expect("free");
        dir.write("page/g", b"another");
        let path = dir.path().display().to_string();
        let server = format!("root {path}; {}", server.replace('%', &path));
        let mut turn = World::in_root("access_log off;", &server);
        let (mut conn, mut far) = turn.client(true);
        let first = turn.ask(&mut conn, &mut far, &request).1;
        assert!(first.starts_with("HTTP/1.1 "), "{name}: {first}");
        assert!(!turn.knows(&request), "{name}: after the first");
        let (mut conn, mut far) = turn.client(true);
        turn.ask(&mut conn, &mut far, &request);
        assert_eq!(turn.knows(&request), known, "{name}: {first}");
    }
    let mut turn = World::of("access_log off; repeat_cache_size 0;");
    let request = format!("GET /g{HEAD}");
    for _ in 0..4 {
        let (mut conn, mut far) = turn.client(true);
        turn.ask(&mut conn, &mut far, &request);
    }
    assert!(!turn.knows(&request), "repeat_cache_size 0");
}

const FORMAT: &str = "log_format x '$request $uri $host $request_length $status $bytes_sent $body_bytes_sent \
    $sent_http_etag $sent_http_content_type $sent_http_connection $connection_requests $http_x_y';";

/// A site that has a large file, and logs its requests; `/x` is answered by a capture.
fn logged_site(target: &str) -> (Scratch, World) {
    let dir = Scratch::new();
    std::fs::create_dir(dir.path().join("page")).expect("mkdir");
    dir.write("page/index.html", "0123456789".repeat(600).as_bytes());
    dir.write("large", "0123456789".repeat(10_000).as_bytes());
    let path = dir.path().display().to_string();
    let capture = match target {
        "/x" => format!("location ~ ^/(x)$ {{ alias {path}/page/index.html; add_header X $1; }}"),
        _ => String::new(),
    };
    let server = format!("root {path}; sendfile on; access_log {path}/log x; error_log {path}/errors; {capture}");
    let world = World::in_root(FORMAT, &server);
    (dir, world)
}

fn log_lines(dir: &Scratch, world: &mut World) -> Vec<String> {
    world.cx.logs.flush_all();
    let text = String::from_utf8(dir.read(&dir.join("log"))).expect("the lines are ASCII");
    text.lines().map(str::to_owned).collect()
}

/// What another writes to the client's socket, as far as it goes. Gives how many of the `junk` bytes it took.
fn crowd(conn: &Conn, junk: usize) -> usize {
    socket::sndbuf(conn.fd().expect("a socket"), 4096).expect("SO_SNDBUF");
    let mut waiting = 0;
    while waiting < junk
        && let Ok(n @ 1..) = socket::send(conn.fd().expect("a socket"), &[b'j'; 100], socket::More::No)
    {
        waiting += n;
    }
    waiting
}

/// Goes on, as the client reads, until the connection is idle or closed. Gives its last step; what came is `seen`.
fn drive_to_the_end(
    turn: &mut World,
    conn: &mut Conn,
    far: &mut UnixStream,
    mut next: Next,
    seen: &mut Vec<u8>,
) -> Next {
    for _ in 0..500 {
        conn.check_invariants(next == Next::Run, &turn.pool.upstream_conns);
        let piece = read(far);
        let idle = piece.is_empty() && conn.is_idle();
        seen.extend_from_slice(&piece);
        if matches!(next, Next::Close(_)) || idle && next == Next::Wait {
            break;
        }
        conn.transport.event(epoll::OUT);
        next = turn.drive(conn);
    }
    seen.extend_from_slice(&read(far));
    next
}

/// Asks `count` times at once, where `junk` bytes are in the client's way. True: the socket took a part of the answers.
fn ask_in_a_crowd((name, target, count, closes): (&str, &str, usize, bool), junk: usize) -> bool {
    let name = format!("{name}, behind {junk}");
    let (dir, mut turn) = logged_site(target);
    let request = format!("GET {target} HTTP/1.1\r\nHost: A\r\nX-Y: z\r\n\r\n");
    let last = match closes {
        true => request.replace("X-Y", "Connection: close\r\nX-Y"),
        false => request.clone(),
    };
    let (one, end) = (turn.teach(&request), turn.teach(&last));
    let taught = log_lines(&dir, &mut turn);
    let (mut conn, mut far) = turn.client(true);
    let waiting = crowd(&conn, junk);
    far.write_all(format!("{}{last}", request.repeat(count - 1)).as_bytes()).expect("there is room");
    conn.transport.event(epoll::IN);
    let next = turn.drive(&mut conn);
    let blocked = matches!(conn.state, ConnState::Active(_));
    assert!(blocked || junk < usize::MAX, "{name}: nothing goes where nothing fits");
    let mut seen = read(&mut far);
    let is_cut = blocked && seen.len() > waiting;
    let next = drive_to_the_end(&mut turn, &mut conn, &mut far, next, &mut seen);
    assert_eq!(next, if closes { Next::Close(CloseReason::Served) } else { Next::Wait }, "{name}");
    let answers = String::from_utf8(seen.split_off(waiting)).expect("the answers are ASCII");
    let expected = format!("{}{end}", one.repeat(count - 1));
    assert!(answers == expected, "{name}: {} bytes of {}", answers.len(), expected.len());
    let logged = log_lines(&dir, &mut turn).split_off(taught.len());
    let own = |line: &str, n: usize| line.replace(" 1 z", &format!(" {n} z"));
    let mut wanted: Vec<String> = (1..count).map(|n| own(&taught[1], n)).collect();
    wanted.push(own(&taught[3], count));
    assert_eq!(logged, wanted, "{name}");
    let stats = &turn.cx.stats;
    assert_eq!((stats.reading, stats.writing), (0, 0), "{name}: no request is being answered");
    // A large one takes more than a round again.
    if !closes && target != "/large" {
        let (next, again) = turn.ask(&mut conn, &mut far, &request);
        assert_eq!((next, again == one), (Next::Wait, true), "{name}: the connection goes on");
    }
    is_cut
}

/// Answers that do not fit into the client's socket arrive whole, and are logged as if they had.
#[test]
fn answers_that_do_not_fit_arrive_whole_and_are_logged_once() {
    let table = [
        ("one", "/page/", 1, false),
        ("one that ends the connection", "/page/", 1, true),
        ("several", "/page/", 9, false),
        ("several, the last of which ends the connection", "/page/", 9, true),
        ("more than a batch", "/page/", 30, false),
        ("what is not there", "/no", 40, false),
        ("by a capture", "/x", 9, true),
        ("a file by sendfile", "/large", 1, false),
        ("a file by sendfile that ends the connection", "/large", 1, true),
        ("files by sendfile", "/large", 4, false),
    ];
    let cases = table.into_iter().flat_map(|case| [0, 500, usize::MAX].map(|junk| (case, junk)));
    let cut = cases.filter(|(case, junk)| ask_in_a_crowd(*case, *junk)).count();
    assert!(cut > 5, "{cut} were cut");
}

/// Answers too long to be batched make no one wait: a turn with many of them must not hold all until it ends.
#[test]
fn answers_that_are_sent_take_no_room_in_the_turn() {
    let mut turn = World::of("access_log off;");
    turn.dir.write("f", "0123456789".repeat(1000).as_bytes());
    let request = format!("GET /f{HEAD}");
    let one = turn.teach(&request);
    let gathered = turn.teach(&format!("GET /g{HEAD}"));
    let gather = |turn: &mut World, asked: &str| {
        let (mut conn, mut far) = turn.client(true);
        far.write_all(asked.as_bytes()).expect("there is room");
        conn.transport.event(epoll::IN);
        let next = turn.drive_within(&mut conn, Budget { batch: true, ..Budget::default() });
        (next, conn, far)
    };
    let (next, mut short, mut short_far) = gather(&mut turn, &format!("GET /g{HEAD}"));
    assert_eq!((next, turn.pool.send_batch.bytes()), (Next::Send, gathered.len()));
    let table = [
        ("known", request.clone(), one.len()),
        ("two", request.repeat(2), 2 * one.len()),
        ("one before what is not known", format!("{request}GET /g?{HEAD}"), one.len()),
    ];
    for (name, asked, least) in table {
        for _ in 0..3 {
            let (next, _conn, mut far) = gather(&mut turn, &asked);
            if next == Next::Wait {
                assert!(read(&mut far).len() >= least, "{name}");
            }
            assert_eq!(turn.pool.send_batch.bytes(), gathered.len(), "{name}: only what is gathered is held");
        }
    }
    turn.drive(&mut short);
    assert_eq!(String::from_utf8_lossy(&read(&mut short_far)), gathered);
}
