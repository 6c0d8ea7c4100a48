//! `-s upgrade`: the binary that lies in the server's place takes over, without a connection that is refused or cut.

use crate::client::Client;
use crate::harness::{Setup, copy_for_all, skip_on_nginx};
use crate::os;
use crate::process::text;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_webserv");
const LIMIT: Duration = Duration::from_secs(60);

/// A server whose binary is a file of its own, which can be replaced.
struct Installed {
    setup: Setup,
    process: Child,
    address: SocketAddr,
}

impl Installed {
    fn start(main: &str) -> Installed {
        Installed::start_by(main, "webserv")
    }

    /// `program`: the path of the binary, or of a link to it, below the directory.
    fn start_by(main: &str, program: &str) -> Installed {
        let setup = Setup::full("").file("html/f", "f").mkdir("html/up");
        let (dir, address) = (setup.dir().display(), os::reserve().expect("a free port").1);
        let config = format!(
            "daemon off; {main} pid {dir}/pid; error_log {dir}/logs/error.log info;\nevents {{}}\nhttp {{ access_log off;\n\
             server {{ listen {address}; listen unix:{dir}/s; root {dir}/html; location /up/ {{ allowed_methods GET POST; }} }} }}\n"
        );
        std::fs::write(setup.dir().join("test.conf"), config).expect("written");
        let mut installed = Installed { process: placeholder(), setup, address };
        installed.install(copy_of_the_binary);
        if program != "webserv" {
            installed.link("webserv", program);
        }
        let mut command = Command::new(installed.path(program));
        command.arg("-c").arg(installed.path("test.conf")).current_dir(installed.setup.dir());
        command.env_remove("NGINX").stdin(Stdio::null()).stderr(Stdio::null());
        os::inherit(&mut command, Vec::new());
        let _ = installed.process.wait();
        installed.process = command.spawn().expect("it starts");
        assert!(
            os::wait_for_change(installed.setup.dir(), LIMIT, || installed.named().is_some()),
            "it has its pid file"
        );
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.setup.dir().join(name)
    }

    /// As a package manager does: a file of another name, renamed.
    fn install(&self, make: impl Fn(&Path)) {
        let fresh = self.path("webserv.new");
        make(&fresh);
        std::fs::rename(fresh, self.path("webserv")).expect("in its place");
    }

    /// Makes a symbolic link, or has an existing one lead elsewhere.
    fn link(&self, target: &str, name: &str) {
        let fresh = self.path("link.new");
        std::os::unix::fs::symlink(self.path(target), &fresh).expect("symlink");
        std::fs::rename(fresh, self.path(name)).expect("in its place");
    }

    fn upgrade(&self) -> Output {
        let mut command = Command::new(BINARY);
        command.args(["-s", "upgrade", "-c"]).arg(self.path("test.conf")).current_dir(self.setup.dir());
        command.env_remove("NGINX").stdin(Stdio::null()).output().expect("the command runs")
    }

    fn named(&self) -> Option<u32> {
        std::fs::read_to_string(self.path("pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(pid) = self.named().filter(|pid| *pid != self.process.id()) {
            os::kill(pid, libc::SIGTERM);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(self.setup.dir());
    }
}

fn copy_of_the_binary(place: &Path) {
    copy_for_all(Path::new(BINARY), place);
}

fn write_program(place: &Path, content: &str) {
    std::fs::write(place, content).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place, mode).expect("its mode is set");
}

/// A process that ends at once.
fn placeholder() -> Child {
    Command::new("true").spawn().expect("true(1) runs")
}

/// The main directives of the forms there are: one process, and one under a parent that is root.
fn forms() -> Vec<&'static str> {
    if os::is_root() { vec!["user root;", "user nobody;"] } else { vec![""] }
}

#[test]
fn an_upgrade_by_command_refuses_no_connection_and_finishes_what_has_begun() {
    if skip_on_nginx("nginx has no such command") {
        return;
    }
    for main in forms() {
        let mut s = Installed::start(main);
        if main == "user nobody;" {
            os::chown(&s.path("html/up"), 65534);
        }
        let old = s.process.id();
        let mut upload = Client::connect(s.address);
        upload.send("POST /up/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
        upload.response().is(100);
        let out = s.upgrade();
        assert_eq!(out.status.code(), Some(0), "{main} {}", text(&out));
        let new = s.named().expect("a pid file");
        assert_ne!(new, old, "{main} it has waited for the new one");
        Client::connect(s.address).get("/f").is(200).body_is("f");
        upload.send("0123456789").response().is(201);
        assert!(s.process.wait().expect("our child").success(), "{main} the old one was told to end");
        Client::connect(s.address).get("/up/slow").is(200).body_is("0123456789");
        // The file of the socket stays with the new one, which removes it when it ends.
        assert!(s.path("s").exists(), "{main}");
        os::kill(new, libc::SIGQUIT);
        assert!(os::wait_exit(new, LIMIT), "{main}");
        assert!(!s.path("s").exists(), "{main}");
    }
}

#[test]
fn a_new_binary_that_does_not_start_fails_the_command_and_changes_nothing() {
    if skip_on_nginx("nginx has no such command") {
        return;
    }
    for main in forms() {
        let s = Installed::start(main);
        let old = s.process.id();
        let broken = ["#!/bin/sh\nexit 3\n", "no program"];
        for content in broken {
            s.install(|place| write_program(place, content));
            let out = s.upgrade();
            assert_eq!(out.status.code(), Some(1), "{main} {}", text(&out));
            assert!(text(&out).contains("the new binary"), "{main} {}", text(&out));
            assert_eq!(s.named(), Some(old), "{main}");
            Client::connect(s.address).get("/f").is(200);
        }
        // Nothing is left of them that would stand in the way of one that works.
        s.install(copy_of_the_binary);
        let out = s.upgrade();
        assert_eq!(out.status.code(), Some(0), "{main} {}", text(&out));
        assert_ne!(s.named(), Some(old), "{main}");
    }
}

#[test]
fn a_second_new_binary_waits_for_the_first() {
    if skip_on_nginx("nginx has no such command") {
        return;
    }
    for main in forms() {
        let mut s = Installed::start(main);
        // One that lives and never serves, and says where it is.
        let fifo = s.path("started");
        os::mkfifo(&fifo);
        let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", fifo.display());
        s.install(|place| write_program(place, &script));
        os::kill(s.process.id(), libc::SIGUSR2);
        let mut line = String::new();
        BufReader::new(std::fs::File::open(&fifo).expect("opened")).read_line(&mut line).expect("its number");
        let first: u32 = line.trim().parse().expect("a number");
        let out = s.upgrade();
        assert_eq!(out.status.code(), Some(1), "{main} {}", text(&out));
        assert!(text(&out).contains(&format!("process {first} already is one")), "{main} {}", text(&out));
        os::kill(first, libc::SIGKILL);
        os::kill(s.process.id(), libc::SIGQUIT);
        assert!(s.process.wait().expect("our child").success(), "{main}");
    }
}

#[test]
fn an_upgrade_starts_the_program_that_a_changed_link_leads_to() {
    if skip_on_nginx("nginx has no such command") {
        return;
    }
    for main in forms() {
        let mut s = Installed::start_by(main, "current");
        copy_of_the_binary(&s.path("second"));
        s.link("second", "current");
        let out = s.upgrade();
        assert_eq!(out.status.code(), Some(0), "{main} {}", text(&out));
        let new = s.named().expect("a pid file");
        let runs = std::fs::read_link(format!("/proc/{new}/exe")).expect("it runs");
        assert_eq!(runs.file_name(), Some("second".as_ref()), "{main}");
        assert!(s.process.wait().expect("our child").success(), "{main}");
    }
}
