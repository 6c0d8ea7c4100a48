//! A server that runs: what tests ask of it. Every one is stopped when its `Server` is dropped, and the test fails if
//! the server died early, panicked, or wrote an `[alert]`, `[crit]` or `[emerg]` line that the test did not announce.

use super::setup::Setup;
use super::{binary, eventually, request, write};
use crate::client::{Client, LIMIT, Response};
use crate::os;
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// A running server. Dropping it stops and judges it.
pub struct Server {
    pub setup: Setup,
    pub pid: u32,
    pub(super) child: Option<Child>,
    pub(super) ports: Vec<SocketAddr>,
    /// Kept only where the process is to be started again.
    pub(super) listeners: Vec<TcpListener>,
    pub(super) stopped: bool,
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
