//! Starts the real server for one test: a fresh directory, a config text, sockets the test bound itself.
//!
//! The sockets listen before the server is started (they are passed by nginx's own `NGINX=fd;fd;`), so there is no port
//! race and no waiting for readiness. Every server is stopped when its `Server` is dropped, and the test fails if the
//! server died early, panicked, or wrote an `[alert]`, `[crit]` or `[emerg]` line that the test did not announce.
//!
//! `WEBSERV_BIN=/path/to/nginx` runs the same suite against nginx, as the oracle. See `Runs`.

use crate::client::{Client, LIMIT, Response};
use crate::os;
pub use crate::table::{BOTH, Runs, Table, binary, on_nginx, ours, skip_on_nginx, skipped};
use crate::{over_http2, over_tls};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A server to be: its directory exists already, so files can be put into it.
pub struct Setup {
    dir: PathBuf,
    config: String,
    unprivileged: bool,
    master: bool,
    allowed: Vec<String>,
    wildcard: bool,
    restartable: bool,
    denied: Vec<os::Denied>,
}

/// A setup whose `http { … }` block has this content. See `Setup::full` for the whole file.
pub fn http(block: &str) -> Setup {
    Setup::new(format!("http {{\n    access_log logs/access.log;\n{block}\n}}\n"))
}

/// A setup with one server on `%%PORT%%`, root `%%DIR%%/html`, and this content.
pub fn server(block: &str) -> Setup {
    http(&format!(
        "server {{\n    listen 127.0.0.1:%%PORT%%;\n    server_name localhost;\n    root %%DIR%%/html;\n{block}\n}}"
    ))
}

/// Copies a binary so that every user may start it. By a process of its own: a child of another test would hold the open
/// file, and what is open for writing cannot be started (ETXTBSY).
pub fn copy_for_all(binary: &Path, copy: &Path) {
    let copied = Command::new("install").args(["-m", "755"]).args([binary, copy]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", binary.display());
}

impl Setup {
    fn new(http: String) -> Setup {
        let mut setup = Setup::full("");
        setup.config = format!("%%PREAMBLE%%\nevents {{ worker_connections 512; }}\n{http}");
        setup
    }

    /// A setup whose config file is exactly this text, placeholders replaced.
    pub fn full(config: &str) -> Setup {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("webserv-suite-{}-{number}", std::process::id()));
        // What a process of this number left that was killed.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("logs")).expect("temporary directory");
        fs::create_dir_all(dir.join("html")).expect("temporary directory");
        let dir = dir.canonicalize().expect("just made");
        Setup {
            dir,
            config: config.to_owned(),
            unprivileged: false,
            master: false,
            allowed: Vec::new(),
            wildcard: false,
            restartable: false,
            denied: Vec::new(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file below the directory, making its parents.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Setup {
        write(&self.dir.join(path), content.as_ref());
        self
    }

    /// Replaces a placeholder of the test's own in the config.
    pub fn replace(mut self, placeholder: &str, text: &str) -> Setup {
        self.config = self.config.replace(placeholder, text);
        self
    }

    pub fn mkdir(self, path: &str) -> Setup {
        fs::create_dir_all(self.dir.join(path)).expect("mkdir");
        self
    }

    /// A symbolic link `path` whose text is `target` (placeholders replaced).
    pub fn link(self, path: &str, target: &str) -> Setup {
        symlink(target.replace("%%DIR%%", &self.dir.to_string_lossy()), self.dir.join(path)).expect("symlink");
        self
    }

    pub fn mode(self, path: &str, mode: u32) -> Setup {
        fs::set_permissions(self.dir.join(path), fs::Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// Runs as `nobody` when the tests run as root, so that file modes mean something.
    pub fn unprivileged(mut self) -> Setup {
        self.unprivileged = true;
        self
    }

    /// nginx only: a master and one worker, for graceful shutdown and reload, which its single process lacks.
    pub fn master(mut self) -> Setup {
        self.master = true;
        self
    }

    /// A log line that contains this text is expected, whatever its level.
    pub fn allow_log(mut self, text: &str) -> Setup {
        self.allowed.push(text.to_owned());
        self
    }

    /// The sockets outlive the process, for `Server::kill_and_restart`: who connects in between waits in the backlog.
    pub fn restartable(mut self) -> Setup {
        self.restartable = true;
        self
    }

    /// System calls of the server fail with these errors.
    pub fn deny(mut self, calls: &[os::Denied]) -> Setup {
        self.denied = calls.to_vec();
        self
    }

    /// Binds the sockets on 0.0.0.0 instead of 127.0.0.1, for `listen %%PORT%%`.
    pub fn wildcard(mut self) -> Setup {
        self.wildcard = true;
        self
    }

    /// The text with `%%DIR%%`, `%%PORT%%` … and `%%PREAMBLE%%` replaced.
    fn expand(&self, text: &str, ports: &[SocketAddr]) -> String {
        let master = if self.master && on_nginx() { "on" } else { "off" };
        // Started by root, a server becomes `nobody`, who may not write into the tests' directories.
        let user = if os::is_root() && !self.unprivileged { "user root root; " } else { "" };
        let preamble = format!(
            "daemon off; master_process {master}; {user}worker_processes 1; pid logs/webserv.pid; error_log logs/error.log info;"
        );
        let on = if over_http2::is_wanted() { "http { http2 on;" } else { "http {" };
        let text = text.replacen("http {", on, 1);
        let mut text = text.replace("%%PREAMBLE%%", &preamble).replace("%%DIR%%", &self.dir.to_string_lossy());
        for (i, address) in ports.iter().enumerate() {
            text = text.replace(&format!("%%PORT{i}%%"), &address.port().to_string());
        }
        if let Some(first) = ports.first() {
            text = text.replace("%%PORT%%", &first.port().to_string());
        }
        text
    }

    /// Writes `conf/test.conf` and runs the binary to its end, without sockets (`-t`, `-v`, `-T` …).
    /// Ports in the config are held for it meanwhile.
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_on(binary(), args)
    }

    /// The same with another binary.
    pub fn run_on(&self, binary: &Path, args: &[&str]) -> Output {
        let held: Vec<_> = (0..self.ports()).map(|_| os::reserve().expect("a free port")).collect();
        let addresses: Vec<SocketAddr> = held.iter().map(|(_, address)| *address).collect();
        write(&self.dir.join("conf/test.conf"), self.expand(&self.config, &addresses).as_bytes());
        let mut command = Command::new(binary);
        let args: Vec<String> = args.iter().map(|arg| arg.replace("%%DIR%%", &self.dir.to_string_lossy())).collect();
        command.env("STATE_DIRECTORY", self.dir.join("state"));
        command.args(args).current_dir(&self.dir).env_remove("NGINX").env_remove("WEBSERV_BIN").stdin(Stdio::null());
        command.output().expect("the binary under test runs")
    }

    /// What `-t` makes of the config.
    pub fn test_config(&self) -> Output {
        self.run(&["-t", "-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf"])
    }

    /// How many ports the config speaks of.
    fn ports(&self) -> usize {
        let mut count = usize::from(self.config.contains("%%PORT%%"));
        while self.config.contains(&format!("%%PORT{count}%%")) {
            count += 1;
        }
        count
    }

    fn bind(&self) -> (Vec<TcpListener>, Vec<SocketAddr>) {
        let count = self.ports();
        let host = if self.wildcard { "0.0.0.0:0" } else { "127.0.0.1:0" };
        let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind(host).expect("a free port")).collect();
        for listener in &listeners {
            // nginx takes inherited sockets as they are: in blocking mode two workers would stall each other in accept.
            listener.set_nonblocking(true).expect("O_NONBLOCK");
        }
        let addresses =
            listeners.iter().map(|l| l.local_addr().expect("bound").port()).map(|p| ([127, 0, 0, 1], p).into());
        let addresses = addresses.collect();
        (listeners, addresses)
    }

    /// What the server reads, for the transport that is tested.
    fn write_config(&self, config: &str, ports: &[SocketAddr]) {
        let mut config = config.to_owned();
        if over_tls::is_wanted() {
            config = over_tls::secured(&config);
            write(&self.dir.join("conf/suite.crt"), over_tls::pair().certificate.as_bytes());
            write(&self.dir.join("conf/suite.key"), over_tls::pair().key.as_bytes());
        }
        write(&self.dir.join("conf/test.conf"), self.expand(&config, ports).as_bytes());
    }

    pub fn start(self) -> Server {
        self.start_on(binary())
    }

    /// Starts another binary than the one under test: the oracle beside it.
    pub fn start_on(self, binary: &Path) -> Server {
        let (listeners, ports) = self.bind();
        self.write_config(&self.config, &ports);
        let child = self.spawn(binary, &listeners);
        let listeners = if self.restartable { listeners } else { Vec::new() };
        Server { pid: child.id(), child: Some(child), ports, listeners, setup: self, stopped: false }
    }

    /// The binary, or a copy of it where `nobody` cannot get at it.
    pub fn startable(&self, binary: &Path) -> PathBuf {
        if !self.unprivileged || !os::is_root() || is_for_all(binary) {
            return binary.to_owned();
        }
        let copy = self.dir.join("binary");
        copy_for_all(binary, &copy);
        copy
    }

    fn spawn(&self, binary: &Path, listeners: &[TcpListener]) -> Child {
        let fds: Vec<_> = listeners.iter().map(AsRawFd::as_raw_fd).collect();
        let mut command = Command::new(self.startable(binary));
        command.arg("-p").arg(format!("{}/", self.dir.display())).arg("-c").arg(self.dir.join("conf/test.conf"));
        command.arg("-e").arg(self.dir.join("logs/error.log"));
        command.env("NGINX", fds.iter().map(|fd| format!("{fd};")).collect::<String>()).env_remove("WEBSERV_BIN");
        let output = File::options().create(true).append(true).open(self.dir.join("logs/stderr")).expect("log file");
        // What is made for this machine is made for this test.
        command.env("STATE_DIRECTORY", self.dir.join("state"));
        command.current_dir(&self.dir).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("dup")).stderr(output);
        if self.unprivileged && os::is_root() {
            own(&self.dir, 65534);
            command.uid(65534).gid(65534);
        }
        os::inherit(&mut command, fds);
        if !self.denied.is_empty() {
            os::deny(&mut command, &self.denied);
        }
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary.display()))
    }
}

/// Whether anybody may run it: nothing on the way to a checkout of root's is shut to others.
fn is_for_all(binary: &Path) -> bool {
    binary.ancestors().all(|path| path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o1 != 0))
}

/// A running server. Dropping it stops and judges it.
pub struct Server {
    pub setup: Setup,
    pub pid: u32,
    child: Option<Child>,
    ports: Vec<SocketAddr>,
    /// Kept only where the process is to be started again.
    listeners: Vec<TcpListener>,
    stopped: bool,
}

impl Server {
    pub fn address(&self, index: usize) -> SocketAddr {
        self.ports[index]
    }

    /// How many sockets it was given.
    pub fn ports(&self) -> usize {
        self.ports.len()
    }

    pub fn port(&self) -> u16 {
        self.ports[0].port()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.setup.dir.join(path)
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        write(&self.path(path), content.as_ref());
    }

    pub fn client(&self) -> Client {
        Client::connect(self.ports[0])
    }

    /// One whose connection is agreed on: what it sends next is a request.
    pub fn ready_client(&self) -> Client {
        let mut client = self.client();
        client.shake();
        client
    }

    pub fn client_at(&self, index: usize) -> Client {
        Client::connect(self.ports[index])
    }

    /// One request on its own connection. Nothing may follow the response but a close.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = self.client();
        let response = client.request(bytes);
        assert!(
            client.leftover().is_empty(),
            "bytes after the response: {:?}",
            String::from_utf8_lossy(client.leftover())
        );
        if response.closes() {
            client.expect_closed();
        }
        response
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.get_with(target, "")
    }

    /// GET with further header lines, each ended by CRLF.
    #[track_caller]
    pub fn get_with(&self, target: &str, fields: &str) -> Response {
        self.method("GET", target, fields, b"")
    }

    /// Any method on its own connection; a body is sent with Content-Length.
    #[track_caller]
    pub fn method(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Response {
        self.send(request(method, target, fields, body))
    }

    pub fn signal(&self, signal: i32) {
        os::kill(self.pid, signal);
    }

    /// A line of /proc/PID/status that counts kilobytes (`VmRSS`, `RssAnon`, `VmHWM` …).
    pub fn kilobytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the server runs");
        let count = |line: &str| line.strip_prefix(field)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse().ok();
        status.lines().find_map(count).unwrap_or_else(|| panic!("no {field} in {status}"))
    }

    /// What is done while the process stands still: it sees all of it at once, however slow the test is.
    pub fn frozen<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal(libc::SIGSTOP);
        eventually("it stands still", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
        });
        let outcome = act();
        self.signal(libc::SIGCONT);
        outcome
    }

    /// Sends a request that takes many turns of the loop, and behind it others for `quick`, which are answered before
    /// it is: the access log has them in the order in which they ended. Gives the answer of the slow one.
    #[track_caller]
    pub fn answers_others_during(&self, slow: &str, quick: &str) -> Response {
        const OTHERS: usize = 5;
        let target = slow.split(' ').nth(1).expect("a request line");
        let lines = |text: &str, target: &str| text.matches(&format!(" {target} HTTP/")).count();
        self.get(quick).is(200);
        let quick = format!("{quick}?during={target}");
        // What has to be agreed on before a request can be sent needs the server.
        let (mut first, mut others) = (self.ready_client(), Vec::new());
        others.extend((0..OTHERS).map(|_| self.ready_client()));
        self.frozen(|| {
            first.send(slow);
            for client in &mut others {
                client.send(format!("GET {quick} HTTP/1.1\r\nHost: a\r\n\r\n"));
            }
        });
        for mut client in others {
            client.response().is(200);
        }
        let answer = first.response();
        let log = self.await_file("logs/access.log", |text| lines(text, target) > 0);
        let (before, _) = log.split_once(&format!(" {target} HTTP/")).expect("it is there");
        assert_eq!(lines(before, &quick), OTHERS, "answered before {target} was:\n{log}");
        answer
    }

    /// Replaces the config file; placeholders as in the first one.
    pub fn reconfigure(&self, config: &str) {
        self.setup.write_config(config, &self.ports);
    }

    /// As `reconfigure`, with the block of `http`.
    pub fn reconfigure_http(&self, block: &str) {
        self.reconfigure(&format!(
            "%%PREAMBLE%%\nevents {{ worker_connections 512; }}\nhttp {{\n    access_log logs/access.log;\n{block}\n}}\n"
        ));
    }

    /// Runs the binary once more with this server's prefix and config (`-s reload` …).
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("-p").arg(format!("{}/", self.setup.dir.display())).arg("-c").arg(self.path("conf/test.conf"));
        command.arg("-e").arg(self.path("logs/error.log")).args(args).env_remove("NGINX").env_remove("WEBSERV_BIN");
        command.stdin(Stdio::null()).output().expect("the binary under test runs")
    }

    pub fn error_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("logs/error.log")).unwrap_or_default()).into_owned()
    }

    /// Waits until the file below the directory satisfies `done` (a missing file is empty text).
    #[track_caller]
    pub fn await_file(&self, path: &str, done: impl Fn(&str) -> bool) -> String {
        let path = self.path(path);
        let read = || String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let dir = path.parent().expect("a file has a directory");
        if !os::wait_for_change(dir, LIMIT, || done(&read())) {
            panic!("{} never became what was expected:\n{}", path.display(), read());
        }
        read()
    }

    /// Every entry below `path`: files with their content, links with their text, directories.
    pub fn snapshot(&self, path: &str) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        collect(&self.path(path), "", &mut entries);
        entries
    }

    /// Waits for the process to end by itself; its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        self.stopped = true;
        if !os::wait_exit(self.pid, LIMIT) {
            panic!("the server did not end within {LIMIT:?}\n{}", self.error_log());
        }
        let status = self.child.take().expect("waited once").wait().expect("our child");
        status.code().unwrap_or_else(|| panic!("the server was killed: {status}"))
    }

    /// TERM, then everything it wrote is on disk.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(libc::SIGTERM);
        let code = self.wait();
        assert_eq!(code, 0, "exit code after TERM\n{}", self.error_log());
    }

    /// kill -9, and a new process on the same sockets and files.
    pub fn kill_and_restart(&mut self) {
        let status = self.restart(libc::SIGKILL);
        assert_eq!(status.code(), None, "it was killed, it did not end before");
    }

    /// It ends once what is under way has ended, and a new process goes on.
    pub fn quit_and_restart(&mut self) {
        let status = self.restart(libc::SIGQUIT);
        assert!(status.success(), "{status}");
    }

    /// Ends the process by a signal, and starts another. Gives how the first one ended.
    fn restart(&mut self, signal: i32) -> ExitStatus {
        assert!(self.setup.restartable, "the setup says restartable()");
        self.signal(signal);
        let status = self.child.take().expect("running").wait().expect("our child");
        let child = self.setup.spawn(binary(), &self.listeners);
        self.pid = child.id();
        self.child = Some(child);
        status
    }

    /// What is wrong with the logs, if anything.
    fn complaints(&self) -> Vec<String> {
        let mut text = self.error_log();
        text.push_str(&String::from_utf8_lossy(&fs::read(self.path("logs/stderr")).unwrap_or_default()));
        let bad = |line: &&str| {
            ["[alert]", "[crit]", "[emerg]", "panicked"].iter().any(|word| line.contains(word))
                && !self.setup.allowed.iter().any(|text| line.contains(text.as_str()))
        };
        text.lines().filter(bad).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut trouble = Vec::new();
        if let Some(mut child) = self.child.take() {
            match child.try_wait() {
                Ok(Some(status)) if !self.stopped => trouble.push(format!("the server ended early: {status}")),
                Ok(Some(_)) => {}
                _ => {
                    os::kill(self.pid, libc::SIGTERM);
                    // A test may have failed while it stood still.
                    os::kill(self.pid, libc::SIGCONT);
                    if !os::wait_exit(self.pid, LIMIT) {
                        trouble.push(format!("the server did not obey TERM within {LIMIT:?}"));
                        let _ = child.kill();
                    }
                    match child.wait() {
                        Ok(status) if status.success() => {}
                        other => trouble.push(format!("exit after TERM: {other:?}")),
                    }
                }
            }
        }
        trouble.extend(self.complaints());
        if std::thread::panicking() || !trouble.is_empty() {
            let config = fs::read_to_string(self.path("conf/test.conf")).unwrap_or_default();
            let stderr = fs::read_to_string(self.path("logs/stderr")).unwrap_or_default();
            println!("--- config\n{config}\n--- stderr\n{stderr}\n--- error log\n{}\n---", self.error_log());
        }
        if !std::thread::panicking() && !trouble.is_empty() {
            panic!("{}", trouble.join("\n"));
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        if std::env::var_os("KEEP").is_some() {
            println!("kept {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A whole request with `Host: localhost` and `Connection: close`.
pub fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}").into_bytes();
    let framed = fields.to_ascii_lowercase();
    if !framed.contains("content-length:")
        && !framed.contains("transfer-encoding:")
        && (!body.is_empty() || matches!(method, "POST" | "PUT"))
    {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Asks again until it holds; each asking is a round trip of its own, so nothing is polled idly.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never within {LIMIT:?}: {what}");
    }
}

/// Reproducible bytes that compress badly and have no period a bug could hide behind.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file has a directory")).expect("mkdir");
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn own(path: &Path, id: u32) {
    os::chown(path, id);
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            own(&entry.path(), id);
        }
    }
}

fn collect(dir: &Path, prefix: &str, entries: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("lstat");
        if kind.is_symlink() {
            entries.insert(name, format!("-> {}", fs::read_link(entry.path()).expect("readlink").display()));
        } else if kind.is_dir() {
            entries.insert(format!("{name}/"), String::new());
            collect(&entry.path(), &format!("{name}/"), entries);
        } else {
            let content = fs::read(entry.path()).unwrap_or_default();
            entries.insert(name, String::from_utf8_lossy(&content).into_owned());
        }
    }
}
