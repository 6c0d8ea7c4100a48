//! Started by root, strangers are served by a process that has given root up; a parent keeps what is needed later.

use crate::client::{Client, LIMIT};
use crate::harness::{Setup, eventually, noise, on_nginx, skipped};
use crate::os;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

/// A server of root's with a parent, whose directory `nobody` may reach.
pub struct Parent {
    pub setup: Setup,
    pub process: Child,
    pub port: u16,
}

const BLOCK: &str = "server { listen 127.0.0.1:PORT; root DIR/html; access_log DIR/logs/access.log; \
    location /t { return 200 old; } location = /count { api /status/http/requests/total; } location /up/ { dav_methods PUT; root DIR; } \
    location /in/ { auth_basic in; auth_basic_user_file DIR/users; } }";

fn config(setup: &Setup, port: u16, main: &str, block: &str) -> String {
    let text = format!(
        "daemon off; {main} pid DIR/pid; error_log DIR/logs/error.log info;\nevents {{}}\n\
         http {{ client_body_temp_path DIR/body; {block} }}\n"
    );
    text.replace("DIR", &setup.dir().to_string_lossy()).replace("PORT", &port.to_string())
}

impl Parent {
    pub fn start(main: &str) -> Option<Parent> {
        Parent::start_with(main, BLOCK)
    }

    pub fn start_with(main: &str, block: &str) -> Option<Parent> {
        Parent::start_after("", main, block)
    }

    pub fn start_after(before: &str, main: &str, block: &str) -> Option<Parent> {
        if on_nginx() {
            return None;
        }
        if !os::is_root() {
            skipped("only root has rights to separate");
            return None;
        }
        let users = "v:$apr1$.0MOaPY7$Pagiz4hFvcBJ069gDeQ9z0\n";
        let setup = Setup::full("")
            .file("html/f", "f")
            .file("html/in/f", "in")
            .file("users", users)
            .mkdir("up")
            .mkdir("conf")
            .unprivileged();
        os::chown(&setup.dir().join("up"), 65_534);
        let reserved = os::reserve().expect("a free port");
        let port = reserved.1.port();
        drop(reserved);
        std::fs::write(setup.dir().join("conf/test.conf"), config(&setup, port, main, block)).expect("written");
        let parent = Parent { process: Parent::spawn(&setup, before), setup, port };
        parent.await_start();
        Some(parent)
    }

    /// `before`: what a shell runs before it becomes the server.
    pub fn spawn(setup: &Setup, before: &str) -> Child {
        let stderr = std::fs::File::create(setup.dir().join("logs/stderr")).expect("created");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{before} exec \"$0\" \"$@\"")).arg(crate::table::binary());
        command.arg(setup.dir().join("conf/test.conf")).env_remove("NGINX").stdin(Stdio::null()).stderr(stderr);
        command.current_dir(setup.dir()).spawn().expect("runs")
    }

    /// Its child is root until it serves; one that ends before that is no crash but a start that failed.
    pub fn await_start(&self) {
        eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        self.get("/f").is(200);
    }

    /// As [`children`], of the parent.
    pub fn children(&self) -> Vec<u32> {
        children(self.process.id())
    }

    pub fn try_child(&self) -> Option<u32> {
        self.children().last().copied()
    }

    pub fn child(&self) -> u32 {
        let mut found = None;
        // /proc may list none while one is replaced.
        eventually("it has a child", || {
            found = self.try_child();
            found.is_some()
        });
        found.expect("it has a child")
    }

    pub fn client(&self) -> Client {
        Client::connect(([127, 0, 0, 1], self.port).into())
    }

    pub fn get(&self, target: &str) -> crate::client::Response {
        self.client().get(target)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setup.dir().join("logs/error.log")).unwrap_or_default()
    }

    pub fn signal(&self, signal: i32) {
        os::kill(self.process.id(), signal);
    }

    pub fn reconfigure(&self, main: &str, block: &str) {
        let text = config(&self.setup, self.port, main, block);
        std::fs::write(self.setup.dir().join("conf/test.conf"), text).expect("written");
    }
}

impl Parent {
    /// HUP, until a fresh process serves.
    pub fn reload(&self) {
        let reloads = |log: String| log.matches("the configuration was reloaded").count();
        let before = reloads(self.log());
        self.signal(libc::SIGHUP);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("a fresh process serves", || reloads(self.log()) > before);
        }));
        assert!(outcome.is_ok(), "{}", self.log());
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.process.try_wait().map(|ended| {
            if ended.is_none() {
                os::kill(self.process.id(), libc::SIGTERM);
                let _ = self.process.wait();
            }
        });
    }
}

/// A process's children as /proc lists them, the newest last. It may leave some out while others exit.
pub fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn status(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect(field);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_process_that_serves_has_given_root_up_for_good() {
    let Some(s) = Parent::start("user nobody;") else { return };
    s.get("/f").is(200).body_is("f");
    let child = s.child();
    assert_eq!(status(child, "Uid"), "65534 65534 65534 65534");
    assert_eq!(status(child, "Gid").split(' ').collect::<std::collections::BTreeSet<_>>().len(), 1);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(child, set), "0000000000000000", "{set}");
    }
    assert_eq!((status(child, "NoNewPrivs"), status(child, "Seccomp")), ("1".to_owned(), "2".to_owned()));
    let pid = std::fs::read_to_string(s.setup.dir().join("pid")).expect("written");
    assert_eq!(pid.trim(), s.process.id().to_string(), "the pid file names the parent");
    let mut client = Client::connect(([127, 0, 0, 1], s.port).into());
    client.request("PUT /up/file HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").is(201);
    assert_eq!(std::fs::read(s.setup.dir().join("up/file")).expect("stored"), b"x");
}

/// Files that anybody may read, outside what is served: through links, as an intruder would have to.
#[test]
fn what_is_not_served_cannot_be_read_by_the_process_that_serves() {
    let Some(s) = Parent::start("user nobody;") else { return };
    if !std::fs::read_to_string(s.setup.dir().join("logs/error.log")).is_ok_and(|log| !log.contains("Landlock")) {
        return skipped("Landlock");
    }
    let outside = std::path::PathBuf::from(format!("/var/lib/webserv-suite-{}", std::process::id()));
    std::fs::create_dir(&outside).expect("root may");
    std::fs::write(outside.join("secret"), "secret").expect("written");
    let html = s.setup.dir().join("html");
    let targets = ["/etc/passwd", "/etc/services", &outside.join("secret").to_string_lossy()].map(str::to_owned);
    for (n, target) in targets.iter().enumerate() {
        std::os::unix::fs::symlink(target, html.join(format!("link{n}"))).expect("linked");
    }
    std::os::unix::fs::symlink("f", html.join("inside")).expect("linked");
    s.get("/inside").is(200).body_is("f");
    let statuses: Vec<u16> = (0..targets.len()).map(|n| s.get(&format!("/link{n}")).status).collect();
    // A link of root's at the top says that what it leads to is served: from the next reload on, but not in /etc.
    s.reload();
    let after: Vec<u16> = (0..targets.len()).map(|n| s.get(&format!("/link{n}")).status).collect();
    let _ = std::fs::remove_dir_all(&outside);
    assert_eq!((statuses, after), (vec![403; 3], vec![403, 403, 200]));
}

#[test]
fn passwords_are_checked_where_nothing_can_be_started() {
    let Some(s) = Parent::start("user nobody;") else { return };
    for (password, status) in [("djpzZWNyZXQ=", 200), ("djpzZWNyZXU=", 401)] {
        let mut client = Client::connect(([127, 0, 0, 1], s.port).into());
        let request = format!("GET /in/f HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {password}\r\n\r\n");
        client.request(&request).is(status);
    }
    // Not even with the process that checks them gone.
    let helper = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", s.child())).expect("procfs");
    let helper: u32 = helper.trim().parse().expect("one child");
    os::kill(helper, libc::SIGKILL);
    let mut client = Client::connect(([127, 0, 0, 1], s.port).into());
    client.request("GET /in/f HTTP/1.1\r\nHost: a\r\nAuthorization: Basic djpzZWNyZXY=\r\n\r\n").is(401);
    // Its end is no order, whatever user it had become: it does not stay in the list of processes.
    eventually("it is reaped", || !std::path::Path::new(&format!("/proc/{helper}")).exists());
}

#[test]
fn a_crash_is_made_good_and_no_connection_refused() {
    let Some(s) = Parent::start("user nobody;") else { return };
    for _ in 0..3 {
        let child = s.child();
        os::kill(child, libc::SIGKILL);
        // What it had accepted would go with it; from then on connections wait in the backlog.
        assert!(os::wait_exit(child, LIMIT));
        s.get("/f").is(200).body_is("f");
        assert_ne!(s.child(), child);
    }
    assert!(s.log().contains("exited on signal 9"), "{}", s.log());
}

/// Flags of a descriptor belong to all processes that have it: one that was taken over clears O_NONBLOCK of what it
/// shares with its parent and its successors, and crashes.
#[test]
fn what_a_serving_process_shares_makes_neither_its_parent_nor_its_successor_wait() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    s.signal(libc::SIGTERM);
    s.process.wait().expect("it ends");
    // With a socket that this test shares, too.
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
    s.port = socket.local_addr().expect("bound").port();
    s.reconfigure("user nobody;", BLOCK);
    let mut command = Command::new(crate::table::binary());
    os::inherit(&mut command, vec![socket.as_raw_fd()]);
    command.arg(s.setup.dir().join("conf/test.conf")).env("NGINX", format!("{};", socket.as_raw_fd()));
    s.process = command.current_dir(s.setup.dir()).stdin(Stdio::null()).spawn().expect("runs");
    s.await_start();
    for _ in 0..2 {
        let signal_fds = |child| {
            let fds = std::fs::read_dir(format!("/proc/{child}/fd")).ok()?;
            let names = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
            Some(names.filter(|name| name.ends_with("anon_inode:[signalfd]")).count())
        };
        // Since it serves it has made its own, and closed its parent's before.
        s.get("/f").is(200);
        // The others are helper processes of one that has exited: they are children of the parent until they exit, too.
        let mut serving = Vec::new();
        eventually("the one before has exited", || {
            serving = s.children().into_iter().filter(|child| signal_fds(*child) >= Some(1)).collect();
            serving.len() == 1
        });
        let child = serving[0];
        assert_eq!(signal_fds(child), Some(1), "its own, and not its parent's, too");
        socket.set_nonblocking(false).expect("fcntl");
        os::kill(child, libc::SIGKILL);
        assert!(os::wait_exit(child, LIMIT));
        let mut clients = [s.client(), s.client()];
        for client in &mut clients {
            client.get("/f").is(200);
            client.get("/f").is(200);
        }
        s.reload();
    }
}

/// As under a supervisor that ignores the end of its own children, or behind nohup.
#[test]
fn signals_that_the_caller_ignores_are_heard_all_the_same() {
    let Some(mut s) = Parent::start_after("trap '' CHLD HUP INT QUIT TERM USR1 USR2;", "user nobody;", BLOCK) else {
        return;
    };
    let child = s.child();
    os::kill(child, libc::SIGKILL);
    eventually("the crash is made good", || s.try_child().is_some_and(|now| now != child));
    s.get("/f").is(200);
    s.reload();
    s.signal(libc::SIGTERM);
    eventually("it ends", || s.process.try_wait().expect("our child").is_some());
}

#[test]
fn a_reload_serves_with_a_fresh_process_while_the_old_one_finishes() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let old = s.child();
    let mut upload = Client::connect(([127, 0, 0, 1], s.port).into());
    upload.send("PUT /up/slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    upload.response().is(100);
    upload.send("01234");
    s.get("/t").is(200).body_is("old");
    s.reconfigure("user nobody;", &BLOCK.replace("200 old", "200 new"));
    s.signal(libc::SIGHUP);
    eventually("the new configuration answers", || s.get("/t").text() == "new");
    assert_ne!(s.child(), old);
    let counted: u64 = s.get("/count").text().trim().parse().expect("a number");
    assert!(counted >= 4, "the fresh process goes on counting: {counted}");
    upload.send("56789");
    upload.response().is(201);
    assert_eq!(std::fs::read(s.setup.dir().join("up/slow")).expect("stored"), b"0123456789");
    assert!(os::wait_exit(old, LIMIT), "the old process stays");
    s.reconfigure("user nobody;", "rooot;");
    s.signal(libc::SIGHUP);
    eventually("it is refused", || s.log().contains("the old one stays"));
    s.get("/t").is(200).body_is("new");
}

#[test]
fn sessions_are_resumed_by_the_fresh_process_of_a_reload() {
    let Some(s) = Parent::start("user nobody;") else { return };
    if !crate::tls::certificate(s.setup.dir(), "localhost", "ec") {
        return;
    }
    let block =
        "server { listen 127.0.0.1:PORT ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key; }";
    let session = s.setup.dir().join("session");
    let shake = |how: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-tls1_2", "-connect", &format!("127.0.0.1:{}", s.port), how]).arg(&session);
        let output = command.stdin(Stdio::null()).output().expect("openssl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let reload = || {
        let old = s.child();
        s.reconfigure("user nobody;", block);
        s.signal(libc::SIGHUP);
        assert!(os::wait_exit(old, LIMIT), "the old process stays");
    };
    reload();
    let first = shake("-sess_out");
    assert!(first.contains("New, TLSv1.2"), "{first}");
    reload();
    let second = shake("-sess_in");
    assert!(second.contains("Reused, TLSv1.2"), "{second}");
}

#[test]
fn the_workers_user_has_no_orders_to_give() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let child = s.child();
    let as_nobody = |command: &str| {
        let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", command];
        Command::new("setpriv").args(arguments).stderr(Stdio::null()).status().expect("setpriv runs")
    };
    for signal in ["HUP", "USR1", "USR2", "QUIT", "TERM", "INT", "WINCH"] {
        as_nobody(&format!("kill -{signal} {child}"));
        assert!(!as_nobody(&format!("kill -{signal} {}", s.process.id())).success(), "{signal}");
    }
    s.get("/f").is(200).body_is("f");
    assert_eq!(s.child(), child);
    // A link at a log's path, made by the user who owns the directory.
    let (logs, target) = (s.setup.dir().join("logs"), s.setup.dir().join("secret"));
    std::fs::write(&target, "secret").expect("written");
    os::chown(&logs, 65_534);
    let link = format!("cd {0}; mv access.log old; ln -s {1} access.log", logs.display(), target.display());
    assert!(as_nobody(&link).success());
    s.signal(libc::SIGUSR1);
    eventually("it is refused", || s.log().contains("access.log\" failed (13: "));
    s.get("/f").is(200);
    assert_eq!(std::fs::read(&target).expect("there"), b"secret");
}

#[test]
fn links_that_the_workers_user_makes_lead_root_nowhere() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let dir = s.setup.dir().to_owned();
    std::fs::write(dir.join("secret"), "secret").expect("written");
    std::fs::create_dir(dir.join("safe")).expect("made");
    std::fs::write(dir.join("safe/kept"), "kept").expect("written");
    let state = || {
        ["secret", "safe", "safe/kept"].map(|name| {
            let meta = std::fs::metadata(dir.join(name)).expect("it is there");
            (meta.uid(), meta.gid(), meta.mode(), meta.is_file().then(|| std::fs::read(dir.join(name)).expect("read")))
        })
    };
    let before = state();
    assert_eq!(before[0].0, 0);
    os::chown(&dir, 65_534);
    os::chown(&dir.join("logs"), 65_534);
    let command = format!(
        "cd {}; mv pid pid.old; ln -s secret pid; mv body body.old; ln -s safe body; \
         cd logs; mv error.log error.old; ln -s ../secret error.log; mv access.log access.old; ln -s ../secret access.log",
        dir.display()
    );
    let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", &command];
    assert!(Command::new("setpriv").args(arguments).status().expect("setpriv runs").success());
    let told = || std::fs::read_to_string(dir.join("logs/error.old")).unwrap_or_default();
    s.signal(libc::SIGUSR1);
    eventually("the logs are refused", || {
        ["access.log", "error.log"].iter().all(|log| told().contains(&format!("{log}\" failed (13: ")))
    });
    s.get("/f").is(200);
    assert_eq!(state(), before);
    s.signal(libc::SIGHUP);
    eventually("the reload has ended", || {
        let stderr = std::fs::read_to_string(dir.join("logs/stderr")).unwrap_or_default();
        [told(), stderr].iter().any(|text| ["reload", "old configuration"].iter().any(|word| text.contains(word)))
    });
    s.get("/f").is(200);
    assert_eq!(state(), before);
}

#[test]
fn logs_are_reopened_by_the_parent() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let logs = s.setup.dir().join("logs");
    s.get("/f?before").is(200);
    std::fs::rename(logs.join("access.log"), logs.join("access.old")).expect("rename");
    s.signal(libc::SIGUSR1);
    eventually("the new log is written", || {
        s.get("/f?after").is(200);
        std::fs::read_to_string(logs.join("access.log")).is_ok_and(|text| text.contains("after"))
    });
}

#[test]
fn root_without_user_serves_as_nobody_and_names_what_does_not_work() {
    let Some(mut s) = Parent::start("") else { return };
    let up = s.setup.dir().join("up");
    assert_eq!(status(s.child(), "Uid"), "65534 65534 65534 65534");
    let said = std::fs::read_to_string(s.setup.dir().join("logs/stderr")).expect("written");
    assert!(said.contains("started by root without \"user\": serving as nobody"), "{said}");
    assert!(!said.contains("cannot write"), "{said}");
    s.signal(libc::SIGTERM);
    s.process.wait().expect("our child");
    os::chown(&up, 0);
    s.process = Parent::spawn(&s.setup, "");
    s.await_start();
    let said = std::fs::read_to_string(s.setup.dir().join("logs/stderr")).expect("written");
    assert!(said.contains(&format!("nobody cannot write to \"{}\"", up.display())), "{said}");
    drop(s);
    let Some(s) = Parent::start("user root;") else { return };
    // Told to stay root, there is nothing to separate.
    let child = s.try_child().expect("what checks passwords");
    eventually("it takes its name", || status(child, "Name") == "webserv-hash");
}

#[test]
fn quit_and_term_end_the_parent_and_its_children() {
    for signal in [libc::SIGQUIT, libc::SIGTERM] {
        let Some(mut s) = Parent::start("user nobody;") else { return };
        std::fs::write(s.setup.dir().join("html/big"), noise(4 << 20)).expect("written");
        let child = s.child();
        s.get("/big").is(200);
        s.signal(signal);
        assert!(os::wait_exit(s.process.id(), LIMIT), "{signal}");
        assert_eq!(s.process.wait().expect("our child").code(), Some(0));
        assert!(os::wait_exit(child, LIMIT));
        assert!(!s.setup.dir().join("pid").exists());
    }
}

#[test]
fn winch_lets_the_child_finish_while_listeners_stay_and_hup_starts_another() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let child = s.child();
    s.signal(libc::SIGWINCH);
    assert!(os::wait_exit(child, LIMIT));
    eventually("it is reaped, and no other follows", || s.try_child().is_none());
    let mut waiting = s.client();
    waiting.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    s.reload();
    waiting.response().is(200).body_is("f");
    assert_ne!(s.child(), child);
}

#[test]
fn a_child_whose_parent_was_killed_does_not_stay() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    let child = s.child();
    s.process.kill().expect("our child");
    s.process.wait().expect("our child");
    assert!(os::wait_exit(child, LIMIT));
}
