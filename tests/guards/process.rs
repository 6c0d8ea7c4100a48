//! What the real process costs: system calls per request, as strace counts them, and memory per idle connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use webserv::sys::{process, socket};

/// Requests of a count.
const REQUESTS: usize = 200;
/// Milliseconds after which a file is looked at whatever the kernel reports (`services::dir_watch`).
const TRUST: usize = webserv::services::dir_watch::TRUST as usize;
/// System calls to look at a file again: it is opened, examined and closed, or examined twice if it is not there.
const LOOK_UP: usize = 3;
/// A file is kept once it has not changed for this long (`services::clock`); the clock of its times may lag a tick.
const KEPT_AFTER: Duration = Duration::from_nanos(2 * webserv::services::clock::SETTLED as u64);

/// A running server in a directory of its own; killed when dropped.
pub struct Process {
    child: Child,
    pub dir: PathBuf,
    addr: SocketAddr,
}

impl Process {
    /// Starts the binary, by way of `wrapper` if there is one, with this in its `http` block.
    pub fn start(wrapper: &[&str], http: &str) -> Process {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("webserv-guards-{}-{number}", std::process::id()));
        fs::create_dir_all(dir.join("www/many")).expect("a temporary directory");
        fs::write(dir.join("www/small"), "x".repeat(1024)).expect("a file");
        let small = fs::File::options().write(true).open(dir.join("www/small")).expect("there");
        small.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("touched");
        fs::write(dir.join("www/large"), "x".repeat(100 << 10)).expect("a file");
        for number in 0..REQUESTS {
            fs::write(dir.join(format!("www/many/{number}")), "x".repeat(1024)).expect("a file");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("bound");
        socket::set_cloexec(listener.as_fd(), false).expect("FD_CLOEXEC");
        // Started by root, it would serve through a child, which is not the process that is measured.
        let user = if webserv::sys::process::geteuid() == 0 { "user root;" } else { "" };
        let text = format!(
            "daemon off; {user} pid pid; error_log error.log; events {{ worker_connections 20000; }}
             http {{ access_log off; keepalive_requests 1000000; {http}
                 server {{ listen {addr}; root {};
                     location /up/ {{ root {}; allowed_methods GET PUT; }} }} }}",
            dir.join("www").display(),
            dir.display()
        );
        fs::write(dir.join("conf"), text).expect("a file");
        let binary = env!("CARGO_BIN_EXE_webserv");
        let words: Vec<&str> = wrapper.iter().copied().chain([binary, "conf"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&dir).env("NGINX", format!("{};", listener.as_raw_fd()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("stderr")).expect("a file"));
        let child = command.spawn().expect("the server starts");
        let process = Process { child, dir, addr };
        // Its pid file is written before it serves.
        ask(&mut process.connect(), "/small", "");
        process
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).expect("the socket listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("SO_RCVTIMEO");
        stream
    }

    /// The server's process id, from its pid file: the child may be the wrapper.
    fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.dir.join("pid")).unwrap_or_default();
        text.trim().parse().unwrap_or_else(|_| panic!("no pid: {}", self.shown()))
    }

    pub fn shown(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }

    /// Kilobytes resident.
    pub fn resident(&self) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        // Without the pages of the binary: they are the larger the less it is optimised.
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }

    /// Ends the server and waits for the process that started it.
    pub fn stop(&mut self) {
        let text = fs::read_to_string(self.dir.join("pid")).unwrap_or_default();
        match text.trim().parse() {
            Ok(pid) => _ = process::kill(pid, process::SIGTERM),
            Err(_) => _ = self.child.kill(),
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Sends a request and reads its whole answer.
fn ask(stream: &mut TcpStream, path: &str, fields: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: guard\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let (mut answer, mut buffer) = (Vec::new(), [0; 16384]);
    loop {
        let n = stream.read(&mut buffer).expect("an answer");
        assert!(n > 0, "closed within an answer");
        answer.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |n| n.parse().expect("a number")) {
                return text.into_owned();
            }
        }
    }
}

/// System calls from the reading of a request to that of the next: what a quarter of them needs at most. On a slow
/// machine others wait for a full socket, look again at a file that was looked at too long ago, or are woken by a
/// timer; what each request costs is in the cheap ones too.
fn calls_of_one(calls: &[&str], method: &str) -> usize {
    let reads = |call: &&str| call.starts_with("recv") && call.contains(&format!("\"{method} "));
    let begins: Vec<usize> = (0..calls.len()).filter(|&at| reads(&calls[at])).collect();
    let mut costs: Vec<usize> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(costs.len() >= REQUESTS - 1, "{} of {REQUESTS} requests are in the trace", costs.len());
    costs.sort_unstable();
    costs[costs.len() / 4]
}

/// epoll_wait, recv, send: and what each kind of answer costs beside. Nothing looks at the disk where nothing changed.
#[test]
fn an_answer_costs_as_many_system_calls_as_the_table_says() {
    let strace = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED an_answer_costs_as_many_system_calls: strace cannot trace here");
        return;
    }
    let log = "access_log access.log;";
    let known = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let rows: &[(&str, &str, &str, &str, &str, usize)] = &[
        ("a small file", "", "/small", "", "200", 3),
        ("a large file: its head, then sendfile", "sendfile on;", "/large", "", "200", 4),
        ("many files", "", "/many/%", "", "200", 3),
        ("a name that is not there: a line in the error log", "", "/none", "", "404", 4),
        ("the same, not logged", "log_not_found off;", "/none", "", "404", 3),
        ("not modified", "", "/small", known, "304", 3),
        ("a piece of a large file: one read", "", "/large", "Range: bytes=1000-1999\r\n", "206", 4),
        ("logged: one write a turn", log, "/small", "", "200", 4),
    ];
    // By the short way of requests that are known, and by the long one.
    for ((name, http, path, fields, status, most), way) in
        rows.iter().flat_map(|row| ["", "repeat_cache_size 0; "].map(|way| (row, way)))
    {
        let mut server = Process::start(&["strace", "-o", "trace"], &format!("{way}{http}"));
        let mut client = server.connect();
        let files = if path.contains('%') { REQUESTS } else { 1 };
        let path = |number: usize| path.replace('%', &number.to_string());
        // Files written a moment ago would be read again by the requests that are counted.
        let since = Instant::now();
        while since.elapsed() <= KEPT_AFTER {
            ask(&mut client, "/small", "");
        }
        for number in 0..REQUESTS {
            let answer = ask(&mut client, &path(number), fields);
            assert!(answer.starts_with("HTTP/1.1 "), "{}", server.shown());
        }
        ask(&mut client, "/begin", "");
        for number in 0..REQUESTS {
            let answer = ask(&mut client, &path(number), fields);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        }
        ask(&mut client, "/end", "");
        server.stop();
        let trace = fs::read_to_string(server.dir.join("trace")).expect("strace wrote it");
        let lines: Vec<&str> = trace.lines().collect();
        let at = |what: &str| lines.iter().position(|line| line.contains(what)).expect("the marks were received");
        let calls = &lines[at("GET /begin")..at("GET /end")];
        let one = calls_of_one(calls, "GET");
        println!("{name}: {} calls for {REQUESTS} requests, {one} for one", calls.len());
        // Where more than one file is asked for, each of them may have been looked at too long ago.
        let looks = (since.elapsed().as_millis() as usize / TRUST * files).min(REQUESTS) / REQUESTS;
        let sample = calls.get(20..40).unwrap_or_default().join("\n  ");
        assert!(one <= most + LOOK_UP * looks, "{way}{name}: {one} calls for a request:\n  {sample}");
    }
}

/// The wait, recv, one look each at the directory and the name, open, write, fstat for the ETag, rename, close, send.
/// On a file system of this machine nothing more can be learnt by a second descriptor that is closed.
#[test]
fn a_small_file_that_replaces_another_takes_ten_system_calls() {
    let strace = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED a_small_file_that_replaces_another: strace cannot trace here");
        return;
    }
    let mut server = Process::start(&["strace", "-o", "trace"], "");
    fs::create_dir(server.dir.join("up")).expect("a directory");
    let mut client = server.connect();
    let mut put = |number: usize| {
        let head = "PUT /up/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n";
        let body = format!("{number:4096}");
        client.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).expect("sent");
        let mut answer = [0; 4096];
        let n = client.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}\n{}", server.shown());
    };
    (0..10).for_each(&mut put);
    ask(&mut server.connect(), "/begin", "");
    (0..REQUESTS).for_each(&mut put);
    ask(&mut server.connect(), "/end", "");
    server.stop();
    let trace = fs::read_to_string(server.dir.join("trace")).expect("strace wrote it");
    let lines: Vec<&str> = trace.lines().collect();
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).expect("the marks were received");
    // Without what a debug build asks of each descriptor before it closes it.
    let calls = lines[at("GET /begin")..at("GET /end")].iter().filter(|call| !call.contains("F_GETFD"));
    let calls: Vec<&str> = calls.copied().collect();
    let statfs = calls.iter().any(|call| call.contains("fstatfs("));
    let closed = calls.iter().filter(|call| call.contains("F_DUPFD")).count();
    let one = calls_of_one(&calls, "PUT");
    println!("{} calls for {REQUESTS} files, {one} for one, {closed} copies of a descriptor", calls.len());
    let sample = calls.get(20..45).unwrap_or_default().join("\n  ");
    // On a network file system, or FUSE, the copy stays.
    let path = std::ffi::CString::new(server.dir.join("up").into_os_string().into_encoded_bytes()).expect("no NUL");
    let kind = webserv::sys::file::file_system(&path).expect("statfs");
    let is_local = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994].contains(&kind);
    assert!(!is_local || closed == 0, "a copy of the descriptor is closed:\n  {sample}");
    assert!(!statfs, "the file system of a directory is asked for once:\n  {sample}");
    let most = if is_local { 10 } else { 12 };
    assert!(one <= most, "{one} calls for a file:\n  {sample}");
}

/// Until more arrives, it needs room for what has arrived.
#[test]
fn an_upload_that_waits_for_its_client_holds_no_buffer() {
    let (soft, _) = process::raise_nofile(None).expect("RLIMIT_NOFILE");
    let count = usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(500).min(2_000);
    let server = Process::start(&[], "client_body_timeout 1h;");
    fs::create_dir(server.dir.join("up")).expect("a directory");
    let mut asker = server.connect();
    let mut clients: Vec<TcpStream> = (0..count).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let head = format!("PUT /up/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n");
        client.write_all(head.as_bytes()).expect("sent");
        ask(&mut asker, "/small", "");
    }
    let before = server.resident();
    for client in &mut clients {
        client.write_all(b"x").expect("sent");
        ask(&mut asker, "/small", "");
    }
    let grown = server.resident().saturating_sub(before) * 1024;
    let each = grown / clients.len().max(1);
    println!("{count} uploads of a byte: {each} bytes each");
    assert!(each <= 1024, "{each} bytes each, for {count} uploads");
}

#[test]
fn an_idle_connection_costs_at_most_128_bytes() {
    let (soft, _) = process::raise_nofile(None).expect("RLIMIT_NOFILE");
    let count = usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(500).min(10_000);
    assert!(count >= 400, "a limit of {soft} descriptors is too low to measure anything");
    let server = Process::start(&[], "keepalive_timeout 1h;");
    let open = |many: usize| -> Vec<TcpStream> {
        (0..many)
            .map(|_| {
                let mut client = server.connect();
                ask(&mut client, "/small", "");
                client
            })
            .collect()
    };
    // What is made once is not counted.
    drop(open(100));
    let before = server.resident();
    let clients = open(count);
    let grown = server.resident().saturating_sub(before) * 1024;
    let each = grown / clients.len();
    println!("{count} idle connections: {each} bytes each");
    // Few connections measure pages.
    assert!(count < 10_000 || each <= 128, "{each} bytes each, for {count} connections");
}
