//! The hot path allocates nothing: a server in this thread, a client in this thread, and an allocator that counts while
//! it is the server's turn. `TRACE=1` shows where the first allocations come from.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use webserv::config::build::Form;
use webserv::config::load::{LoadOptions, load_text};
use webserv::config::resolve::resolve;
use webserv::server::Server;
use webserv::server::listeners::Listeners;
use webserv::server::signals::Signals;
use webserv::services::Services;
use webserv::services::logs::Logs;
use webserv::sys::Errno;
use webserv::sys::socket::{self, Addr, Family, More};
use webserv::tools::lint::lint;

struct Counting;

thread_local! {
    /// It is the server's turn, in this thread.
    static SERVING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count(size: usize) {
    // A thread that is ending has no cells left, and no server.
    if SERVING.try_with(Cell::get) != Ok(true) {
        return;
    }
    let count = COUNT.get() + 1;
    COUNT.set(count);
    if count <= 5 && std::env::var_os("TRACE").is_some() {
        SERVING.set(false);
        eprintln!("{size} bytes:\n{}", Backtrace::force_capture());
        SERVING.set(true);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments as they came; counting allocates nothing but for
// a trace, which is not counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An upstream in the same thread: whatever it reads is a request, which it answers with the same bytes.
struct Upstream {
    listener: TcpListener,
    connections: Vec<TcpStream>,
    answer: Vec<u8>,
}

impl Upstream {
    fn new(answer: Vec<u8>) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a flag");
        Upstream { listener, connections: Vec::new(), answer }
    }

    fn serve(&mut self) {
        while let Ok((connection, _)) = self.listener.accept() {
            connection.set_nonblocking(true).expect("a flag");
            self.connections.push(connection);
        }
        let mut request = [0; 4096];
        for connection in &mut self.connections {
            if connection.read(&mut request).is_ok_and(|n| n > 0) {
                connection.write_all(&self.answer).expect("room for an answer");
            }
        }
    }
}

struct Loop {
    server: Server,
    client: OwnedFd,
    inbox: Vec<u8>,
    upstream: Option<Upstream>,
}

impl Loop {
    fn new(http: &str, server: &str) -> Loop {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let std::net::SocketAddr::V4(addr) = socket.local_addr().expect("bound") else { unreachable!("asked for") };
        let mut listeners = Listeners::default();
        assert!(listeners.inherit(&format!("{};", socket.into_raw_fd()), "").is_empty());
        let root = env!("CARGO_MANIFEST_DIR");
        let text = format!(
            "error_log stderr emerg; events {{ worker_connections 64; }}
             http {{ access_log off; keepalive_requests 1000000; {http}
                 server {{ listen {addr}; root {root}; {server} }} }}"
        );
        let mut loaded = load_text("guards.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new(root), Form::Webserv, Vec::new(), None);
        let shown = resolved.diagnostics.render(&loaded.sources, "guards");
        let Some(config) = resolved.config else { panic!("{shown}") };
        let mut logs = Logs::new();
        logs.open(&config).expect("the log opens");
        listeners.open(&config).expect("inherited");
        let cx = Services::new(Rc::new(config), logs);
        let server = Server::new(cx, listeners, Signals::none()).expect("epoll");
        let client = socket::socket(Family::V4).expect("a socket");
        socket::connect(client.as_fd(), &Addr::V4(addr)).expect("connect");
        Loop { server, client, inbox: Vec::with_capacity(1 << 20), upstream: None }
    }

    /// One request and its whole answer, `len` bytes if it is known. Gives the answer's length.
    fn ask(&mut self, request: &[u8], len: Option<usize>) -> usize {
        assert_eq!(socket::send(self.client.as_fd(), request, More::No), Ok(request.len()));
        self.inbox.clear();
        let mut quiet = 0;
        loop {
            SERVING.set(true);
            self.server.poll();
            SERVING.set(false);
            self.upstream.iter_mut().for_each(Upstream::serve);
            let most = self.inbox.capacity() - self.inbox.len();
            match socket::recv_into(self.client.as_fd(), &mut self.inbox, most) {
                Ok(0) => panic!("closed by the server"),
                Ok(_) => quiet = 0,
                Err(Errno::EAGAIN) => quiet += 1,
                Err(e) => panic!("{e}"),
            }
            let done = match len {
                Some(len) => self.inbox.len() >= len,
                None => !self.inbox.is_empty() && quiet > 20,
            };
            if done {
                return self.inbox.len();
            }
        }
    }
}

/// Requests that are counted.
const COUNTED: u64 = 1000;

#[test]
fn a_cached_file_is_answered_without_an_allocation() {
    let log = std::env::temp_dir().join(format!("webserv-guards-{}.log", std::process::id()));
    let combined = format!("access_log {};", log.display());
    let get = |lines: &str| format!("GET /LICENSE-MIT HTTP/1.1\r\nHost: localhost\r\nUser-Agent: guard\r\n{lines}\r\n");
    let rows: [(&str, &str, &str, String, &str); 8] = [
        ("a small file", "", "", get(""), "200"),
        ("its head", "", "", get("").replace("GET", "HEAD"), "200"),
        ("a condition that holds", "", "", get("If-None-Match: *\r\n"), "304"),
        ("a small file, logged", &combined, "", get("Referer: http://localhost/\r\n"), "200"),
        ("a small file, with types", "types { text/plain txt; }", "", get(""), "200"),
        ("a larger file", "", "", get("").replace("LICENSE-MIT", "Cargo.lock"), "200"),
        ("a host in capitals", "", "server_name localhost;", get("").replace("localhost", "LOCALHOST"), "200"),
        ("a location among several", "", "location /a/ { } location / { }", get(""), "200"),
    ];
    // By the short way of requests that are known, and by the long one.
    let rows = rows.iter().flat_map(|row| ["", "repeat_cache_size 0; "].map(|way| (row, way)));
    let mut failed = Vec::new();
    for ((name, http, server, request, status), way) in rows {
        let mut served = Loop::new(&format!("{way}{http}"), server);
        COUNT.set(0);
        let len = served.ask(request.as_bytes(), None);
        let first = String::from_utf8_lossy(&served.inbox[..12]).into_owned();
        assert_eq!(first, format!("HTTP/1.1 {status}"), "{name}");
        assert!(COUNT.get() > 0, "the allocations of a first request were not seen");
        for _ in 0..100 {
            served.ask(request.as_bytes(), Some(len));
        }
        // A second that begins renders its date, and other things are done now and then: the best of three counts, and
        // where requests take so long that none is without a new second, a few for each.
        let counts = [(); 3].map(|()| {
            let (begun, mut allocating) = (served.server.cx.now.unix, 0);
            for _ in 0..COUNTED {
                COUNT.set(0);
                assert_eq!(served.ask(request.as_bytes(), Some(len)), len, "{name}");
                allocating += i64::from(COUNT.get() > 0);
            }
            (allocating, served.server.cx.now.unix - begun)
        });
        if counts.iter().all(|(allocating, seconds)| *allocating > 2 * seconds) {
            failed.push(format!("{way}{name}: requests that allocate, of {COUNTED}, and seconds begun: {counts:?}"));
        }
    }
    let _ = std::fs::remove_file(log);
    assert!(failed.is_empty(), "allocations (TRACE=1 shows where):\n  {}", failed.join("\n  "));
}

#[test]
fn a_known_request_on_a_stream_is_answered_without_an_allocation() {
    use webserv::http::h2::frame::{self, PREFACE};
    use webserv::http::h2::hpack::encode;
    let mut failed = Vec::new();
    for (name, path) in [("a small file", "/LICENSE-MIT"), ("a larger file", "/Cargo.lock")] {
        let mut served = Loop::new("http2 on; http2_chunk_size 16k;", "");
        let mut hello = PREFACE.to_vec();
        frame::settings(&mut hello, &[(4, 0x3fff_ffff)]);
        frame::window_update(&mut hello, 0, 0x3fff_ffff);
        served.ask(&hello, None);
        let mut next = 1;
        let mut request = || {
            let mut out = Vec::new();
            frame::headers(&mut out, next, frame::EndStream::Yes, 16_384, |out| {
                let pseudo = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "localhost")];
                pseudo.iter().for_each(|(name, value)| encode::field(out, name.as_bytes(), value.as_bytes()));
            });
            next += 2;
            out
        };
        COUNT.set(0);
        served.ask(&request(), None);
        assert!(COUNT.get() > 0, "the allocations of a first request were not seen");
        // The first block of a connection is longer by a byte.
        let len = served.ask(&request(), None);
        for _ in 0..100 {
            served.ask(&request(), Some(len));
        }
        let counts = [(); 3].map(|()| {
            let (begun, mut allocating) = (served.server.cx.now.unix, 0);
            for _ in 0..COUNTED {
                let bytes = request();
                COUNT.set(0);
                assert_eq!(served.ask(&bytes, Some(len)), len, "{name}");
                allocating += i64::from(COUNT.get() > 0);
            }
            (allocating, served.server.cx.now.unix - begun)
        });
        if counts.iter().all(|(allocating, seconds)| *allocating > 2 * seconds) {
            failed.push(format!("{name}: requests that allocate, of {COUNTED}, and seconds begun: {counts:?}"));
        }
    }
    assert!(failed.is_empty(), "allocations (TRACE=1 shows where):\n  {}", failed.join("\n  "));
}

/// Buffers and records are used again from one request to the next; what is still allocated is counted here.
#[test]
fn a_passed_request_takes_few_allocations() {
    let fields = "Server: a\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n";
    let head = format!("{fields}Content-Length: 2\r\n\r\n");
    let http = format!("HTTP/1.1 200 OK\r\n{head}ok").into_bytes();
    let record = |kind: u8, content: &[u8]| [&[1, kind, 0, 1, 0, content.len() as u8, 0, 0], content].concat();
    let fastcgi = [record(6, format!("{head}ok").as_bytes()), record(6, b""), record(3, &[0; 8])].concat();
    let params =
        "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_param QUERY_STRING $query_string;
        fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SCRIPT_NAME $fastcgi_script_name;
        fastcgi_param REQUEST_URI $request_uri; fastcgi_param DOCUMENT_ROOT $document_root;
        fastcgi_param SERVER_PROTOCOL $server_protocol; fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param SERVER_NAME $server_name; fastcgi_keep_conn on;";
    let proxy =
        "location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; }".to_owned();
    // An application may not run what clients store, so that is looked up as well.
    let gateway = format!("location / {{ fastcgi_pass u; {params} }} location /put/ {{ dav_methods PUT; }}");
    for (name, server, answer, most) in [("HTTP", proxy, http, 1), ("FastCGI", gateway, fastcgi, 6)] {
        let upstream = Upstream::new(answer);
        let addr = upstream.listener.local_addr().expect("bound");
        let group = format!("upstream u {{ server {addr}; keepalive 4; keepalive_requests 1000000; }}");
        let mut served = Loop::new(&group, &server);
        served.upstream = Some(upstream);
        let request = b"GET /tests/x.php HTTP/1.1\r\nHost: localhost\r\nUser-Agent: guard\r\nAccept: */*\r\n\r\n";
        let len = served.ask(request, None);
        let shown = String::from_utf8_lossy(&served.inbox).into_owned();
        assert!(shown.starts_with("HTTP/1.1 200") && shown.ends_with("ok"), "{name}: {shown}");
        for _ in 0..100 {
            served.ask(request, Some(len));
        }
        // What is done once a second is not a request's: the tenth that allocates most is left out, so that it does
        // not count unless there are fewer than ten requests in a second.
        let mut counts: Vec<u64> = (0..COUNTED)
            .map(|_| {
                COUNT.set(0);
                assert_eq!(served.ask(request, Some(len)), len, "{name}");
                COUNT.get()
            })
            .collect();
        counts.sort_unstable();
        let usual = &counts[..counts.len() / 10 * 9];
        let total: u64 = usual.iter().sum();
        println!("{name}: {total} allocations for {} requests, {:?} at most", usual.len(), usual.last());
        let allowed = most * usual.len() as u64;
        assert!(total <= allowed, "{name}: {total} allocations, {allowed} are allowed for {} requests", usual.len());
    }
}

/// A file that replaces another, as a client that synchronises sends it. (Before they were counted here: 23.)
#[test]
fn a_small_put_takes_few_allocations() {
    let dir = std::env::temp_dir().join(format!("webserv-guards-put-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("put")).expect("a directory");
    let location = format!("location /put/ {{ root {}; dav_methods PUT DELETE; }}", dir.display());
    let mut served = Loop::new("", &location);
    // With a journal of hidden names, as every server has one that has a pid file.
    let journal = std::ffi::CString::new(format!("{}/journal", dir.display())).expect("no NUL");
    served.server.cx.temp_names.keep(&journal).expect("the journal opens");
    let body = "x".repeat(4096);
    let request = format!("PUT /put/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n{body}");
    served.ask(request.as_bytes(), None);
    assert!(served.inbox.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&served.inbox));
    for _ in 0..100 {
        served.ask(request.as_bytes(), Some(1));
    }
    assert!(served.inbox.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&served.inbox));
    // As above, what is done once a second is left out.
    let mut counts: Vec<u64> = (0..COUNTED)
        .map(|_| {
            COUNT.set(0);
            served.ask(request.as_bytes(), Some(1));
            COUNT.get()
        })
        .collect();
    counts.sort_unstable();
    let usual = &counts[..counts.len() / 10 * 9];
    println!("PUT: {:?} to {:?} allocations", usual.first(), usual.last());
    let _ = std::fs::remove_dir_all(dir);
    assert!(usual.iter().all(|count| *count <= 8), "{:?} allocations, 8 are allowed", usual.last());
}

#[test]
fn what_a_long_line_should_have_been_is_found_in_linear_time() {
    let count = |words: usize| {
        let line = |name: &str| format!("{name}{};", " 10.0.0.1".repeat(words));
        let lines = ["deny", "return 200", "add_header X"].map(line).join("\n");
        let text = format!("events {{ }} http {{ server {{ listen 8080;\n{lines}\n}} }}");
        let mut loaded = load_text("guard.conf", text.as_bytes(), &LoadOptions::default());
        let before = COUNT.get();
        SERVING.set(true);
        let resolved = resolve(&mut loaded, Path::new("/"), Form::Webserv, Vec::new(), None);
        SERVING.set(false);
        assert_eq!(resolved.diagnostics.errors(), 3);
        COUNT.get() - before
    };
    let (few, many) = (count(200), count(1600));
    assert!(many <= few * 8, "{few} allocations for 200 words, {many} for 1600");
}

#[test]
fn a_map_is_read_once_however_many_conditions_ask_for_its_variable() {
    let count = |many: usize| {
        let lines: String = (0..many).map(|n| format!("k{n} b;")).collect();
        let conditions: String =
            (0..many).map(|n| format!("location /{n} {{ if ($v = b) {{ return 403; }} }}")).collect();
        let text = format!(
            "events {{ }} http {{ map $uri $v {{ default a; {lines} }} server {{ listen 127.0.0.1:1; {conditions} }} }}"
        );
        let loaded = load_text("guard.conf", text.as_bytes(), &LoadOptions::default());
        let before = COUNT.get();
        SERVING.set(true);
        let found = lint(&loaded.directives, &loaded.sources, None);
        SERVING.set(false);
        assert!(found.is_empty(), "{found:?}");
        COUNT.get() - before
    };
    let (few, many) = (count(100), count(800));
    assert!(many <= few * 9, "{few} allocations for 100 lines and conditions, {many} for 800");
}
