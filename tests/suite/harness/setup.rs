//! A server to be: its directory, its configuration with the placeholders of tests, how it is started.

use super::running::Server;
use super::{binary, copy_for_all, on_nginx, write};
use crate::{os, over_http2, over_tls};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use webserv::sys::socket;

/// A server to be: its directory exists already, so files can be put into it.
pub struct Setup {
    pub(super) dir: PathBuf,
    config: String,
    unprivileged: bool,
    master: bool,
    pub(super) allowed: Vec<String>,
    wildcard: bool,
    pub(super) restartable: bool,
    send_buffer: Option<u32>,
    denied: Vec<os::Denied>,
}

impl Setup {
    pub(super) fn new(http: String) -> Setup {
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
            send_buffer: None,
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

    /// The kernel keeps so few bytes of each response: connections have it of their listener, which is the test's own,
    /// so that `listen … sndbuf` does nothing to it.
    pub fn send_buffer(mut self, bytes: u32) -> Setup {
        self.send_buffer = Some(bytes);
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
            if let Some(bytes) = self.send_buffer {
                socket::sndbuf(listener.as_fd(), bytes).expect("SO_SNDBUF");
            }
        }
        let addresses =
            listeners.iter().map(|l| l.local_addr().expect("bound").port()).map(|p| ([127, 0, 0, 1], p).into());
        let addresses = addresses.collect();
        (listeners, addresses)
    }

    /// What the server reads, for the transport that is tested.
    pub(super) fn write_config(&self, config: &str, ports: &[SocketAddr]) {
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

    pub(super) fn spawn(&self, binary: &Path, listeners: &[TcpListener]) -> Child {
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

fn own(path: &Path, id: u32) {
    os::chown(path, id);
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            own(&entry.path(), id);
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
