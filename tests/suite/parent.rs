//! Under a parent: what a reload hands over to the fresh process, and what else root's signals do.

use crate::client::{Client, LIMIT};
use crate::harness::{LOCKINFO, eventually};
use crate::os;
use crate::privsep::{Parent, children};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

const LIMITS: &str = "limit_req_zone $uri zone=r:1m rate=1r/m; limit_conn_zone $http_x zone=c:1m; \
    dav_ext_lock_zone zone=l:1m; upstream u { server 127.0.0.1:PORT; server 127.0.0.1:1 down; } \
    server { listen 127.0.0.1:PORT; root DIR/html; access_log DIR/logs/access.log; \
    location /r/ { alias DIR/html/; limit_req zone=r; limit_req_status 429; } \
    location /up/ { root DIR; dav_methods PUT DELETE; dav_ext_methods LOCK UNLOCK; dav_ext_lock zone=l; \
      limit_conn c 1; upload_quota 100; } \
    location /proxied/ { proxy_pass http://u/; } location /status/ { api /status/; } }";

fn put(client: &mut Client, name: &str, fields: &str, length: usize) {
    client.send(format!(
        "PUT /up/{name} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n{fields}\r\n"
    ));
}

#[test]
fn limits_hold_over_a_reload() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    s.get("/r/f").is(200);
    s.get("/r/f").is(429);
    for _ in 0..2 {
        s.reload();
        s.get("/r/f").is(429);
    }
}

#[test]
fn places_and_shares_of_a_quota_are_the_uploads_own_over_two_reloads() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    let mut upload = s.client();
    put(&mut upload, "slow", "X: key\r\n", 80);
    upload.response().is(100);
    let mut other = s.client();
    put(&mut other, "gone", "X: other\r\n", 10);
    other.response().is(100);
    for round in 0..2 {
        s.reload();
        let mut second = s.client();
        put(&mut second, "x", "X: key\r\n", 5);
        assert_eq!(second.response().status, 503, "{round}: the one place of this key is taken");
        let mut third = s.client();
        put(&mut third, "x", "", 20);
        assert_eq!(third.response().status, 507, "{round}: 90 of 100 bytes are claimed");
    }
    // One client leaves: what it held is free, in the process that it has never spoken to.
    drop(other);
    eventually("there is room", || {
        let mut client = s.client();
        put(&mut client, "y", "", 20);
        client.response().status == 100
    });
    // The other is stored, and counts as a file from then on.
    upload.send(vec![b'x'; 80]);
    upload.response().is(201);
    eventually("its place is free", || {
        let mut client = s.client();
        put(&mut client, "z", "X: key\r\n", 5);
        client.response().status == 100
    });
    let mut last = s.client();
    put(&mut last, "x", "", 21);
    last.response().is(507);
}

#[test]
fn locks_hold_over_a_reload() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    lock(&mut s.client(), "doc");
    s.reload();
    s.client().request("PUT /up/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").is(423);
}

/// Another request, after which the process is a turn further: it has told the one it replaced.
fn a_turn_further(client: &mut Client) {
    client.send("GET /r/f HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response();
}

/// Locks a name.
fn lock(client: &mut Client, name: &str) -> String {
    let head = format!("LOCK /up/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", LOCKINFO.len());
    client.send([head.as_bytes(), LOCKINFO].concat());
    let answer = client.response();
    answer.is_one_of(&[200, 201]);
    a_turn_further(client);
    answer.header("Lock-Token").expect("a token").to_owned()
}

#[test]
fn a_lock_taken_after_a_reload_holds_for_an_upload_from_before_it() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    let mut upload = s.client();
    put(&mut upload, "doc", "", 10);
    upload.response().is(100);
    upload.send("STALE");
    s.reload();
    lock(&mut s.client(), "doc");
    upload.send("STALE");
    upload.response().is(423);
}

#[test]
fn a_lock_ended_after_a_reload_does_not_refuse_an_upload_from_before_it() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    let mut upload = s.client();
    put(&mut upload, "doc", "", 10);
    upload.response().is(100);
    let token = lock(&mut s.client(), "doc");
    s.reload();
    let mut client = s.client();
    client.send(format!("UNLOCK /up/doc HTTP/1.1\r\nHost: a\r\nLock-Token: {token}\r\n\r\n"));
    client.response().is(204);
    a_turn_further(&mut client);
    upload.send("0123456789");
    upload.response().is_one_of(&[201, 204]);
}

#[test]
fn a_reload_keeps_counting_the_connections_of_the_old_process() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    let mut upload = s.client();
    put(&mut upload, "slow", "", 10);
    upload.response().is(100);
    let active = |n: u32| {
        let text = s.get("/status/connections").text();
        text.contains(&format!("\"active\":{n},")) || text.contains(&format!("\"active\": {n},"))
    };
    eventually("the upload, and the status request", || active(2));
    s.reload();
    eventually("still both", || active(2));
    upload.send("0123456789");
    upload.response().is(201);
    eventually("it has left", || active(1));
}

#[test]
fn a_reload_or_a_crash_during_a_drain_keeps_the_health_check_failing() {
    let block = "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; location = /health { health; } \
        location = /draining { return 200 \"$draining\"; } }";
    let Some(s) = Parent::start_with("user nobody; drain_delay 1h;", block) else { return };
    s.get("/health").is(200);
    s.signal(libc::SIGRTMIN() + 1);
    eventually("it drains", || s.get("/health").status == 503);
    s.reload();
    s.get("/health").is(503);
    let child = s.child();
    os::kill(child, libc::SIGKILL);
    eventually("another one serves", || {
        s.child() != child && std::net::TcpStream::connect(("127.0.0.1", s.port)).is_ok()
    });
    s.get("/health").is(503);
}

/// Names the pid file "two" in the configuration.
fn rename_pid_file(s: &Parent) {
    let file = |name: &str| s.setup.dir().join(name);
    let conf = file("conf/test.conf");
    let text = std::fs::read_to_string(&conf).expect("a configuration");
    let renamed = text.replace(&format!("pid {};", file("pid").display()), &format!("pid {};", file("two").display()));
    assert_ne!(text, renamed);
    std::fs::write(&conf, renamed).expect("written");
}

#[test]
fn a_reload_follows_a_pid_file_of_another_name() {
    for main in ["user nobody;", "user root;"] {
        let Some(s) = Parent::start_with(main, LIMITS) else { return };
        let file = |name: &str| s.setup.dir().join(name);
        let conf = file("conf/test.conf");
        rename_pid_file(&s);
        s.reload();
        let pid = std::fs::read_to_string(file("two")).expect("the new one");
        assert_eq!(pid.trim(), s.process.id().to_string(), "{main}");
        for name in ["pid", "pid.reload", "pid.uploads"] {
            assert!(!file(name).exists(), "{main} {name}");
        }
        assert!(file("two.uploads").exists(), "{main} the journal of hidden names");
        let told = Command::new(crate::table::binary()).args(["-s", "reload", "-c"]).arg(&conf).status();
        assert!(told.expect("it runs").success(), "{main}");
        s.get("/f").is(200);
    }
}

/// The child had the lock on the new pid file as well, and kept it while it finished its requests.
#[test]
fn a_start_after_the_parent_was_killed_is_not_refused_for_the_pid_file_of_a_reload() {
    let Some(mut s) = Parent::start_with("user nobody;", LIMITS) else { return };
    rename_pid_file(&s);
    let old_log = s.setup.dir().join("logs/access.log");
    let conf = s.setup.dir().join("conf/test.conf");
    let text = std::fs::read_to_string(&conf).expect("a configuration");
    std::fs::write(&conf, text.replace("logs/access.log", "logs/access.two")).expect("written");
    s.reload();
    let child = s.child();
    assert!(!os::has_open(child, &old_log), "a log of the old configuration");
    let mut upload = s.client();
    put(&mut upload, "slow", "", 10);
    upload.response().is(100);
    s.process.kill().expect("our child");
    s.process.wait().expect("our child");
    eventually("the child listens no more", || std::net::TcpStream::connect(("127.0.0.1", s.port)).is_err());
    s.process = Parent::spawn(&s.setup, "");
    s.await_start();
    upload.send("0123456789");
    upload.response().is(201);
    assert!(os::wait_exit(child, LIMIT));
}

/// Stops a child that starts in the place of one that was killed, sends WINCH, and waits until that was handled.
fn winch_while_a_child_starts(s: &Parent) -> u32 {
    s.reload();
    eventually("the one before has exited", || s.children().len() == 1);
    let old = s.child();
    // Once it serves it has its helper processes, which become children of its parent when it is killed.
    s.get("/f").is(200);
    let helpers = children(old);
    os::kill(old, libc::SIGKILL);
    let another = || s.children().into_iter().find(|child| *child != old && !helpers.contains(child));
    let mut child = None;
    eventually("another one starts", || {
        child = another();
        child.is_some()
    });
    let child = child.expect("it starts");
    os::kill(child, libc::SIGSTOP);
    let handled = || s.log().matches("shutting down the serving processes").count();
    let before = handled();
    s.signal(libc::SIGWINCH);
    // Not only read: the SIGCHLD of the stop is handled before it, and would reap a child that was killed meanwhile.
    eventually("WINCH was handled", || handled() > before);
    child
}

#[test]
fn winch_while_a_child_starts_leaves_none() {
    let Some(s) = Parent::start("user nobody;") else { return };
    let is_left = || s.try_child().is_some();
    let old = s.child();
    // Both are taken in one turn, HUP first.
    s.signal(libc::SIGSTOP);
    s.signal(libc::SIGHUP);
    s.signal(libc::SIGWINCH);
    s.signal(libc::SIGCONT);
    eventually("a child has started", || s.log().contains("the configuration was reloaded"));
    assert!(os::wait_exit(old, LIMIT));
    eventually("it exits, too", || !is_left());
    let child = winch_while_a_child_starts(&s);
    os::kill(child, libc::SIGCONT);
    eventually("it exits once it has got to serve", || !is_left());
    let child = winch_while_a_child_starts(&s);
    os::kill(child, libc::SIGKILL);
    eventually("it is reaped", || !is_left());
    s.reload();
    s.get("/f").is(200);
    let log = s.log();
    assert!(!log.contains("could not be started again"), "{log}");
}

#[test]
fn counts_of_upstreams_go_on_after_a_reload() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    s.get("/proxied/f").is(200);
    s.reload();
    s.get("/proxied/f").is(200);
    eventually("both are counted", || {
        let text = s.get("/status/http/upstreams/u").text();
        text.contains("\"2xx\": 2") || text.contains("\"2xx\":2")
    });
}

#[test]
fn sessions_are_resumed_after_a_reload_with_tickets_and_without() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    if !crate::tls::certificate(s.setup.dir(), "localhost", "ec") {
        return;
    }
    let session = s.setup.dir().join("session");
    let shake = |how: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-tls1_2", "-connect", &format!("127.0.0.1:{}", s.port), how]).arg(&session);
        let output = command.stdin(Stdio::null()).output().expect("openssl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for kept in ["ssl_session_cache shared:S:1m; ssl_session_tickets off;", "ssl_session_cache off;"] {
        let block = "server { listen 127.0.0.1:PORT ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key; \
            ssl_protocols TLSv1.2; ";
        s.reconfigure("user nobody;", &format!("{block} {kept} }}"));
        s.reload();
        assert!(shake("-sess_out").contains("New, TLSv1.2"), "{kept}");
        s.reload();
        assert!(shake("-sess_in").contains("Reused, TLSv1.2"), "{kept}");
    }
}

#[test]
fn no_request_is_lost_while_processes_follow_one_another() {
    let Some(s) = Parent::start_with("user nobody;", LIMITS) else { return };
    for _ in 0..5 {
        s.signal(libc::SIGHUP);
        for _ in 0..40 {
            s.get("/f").is(200);
        }
    }
}

#[test]
fn programs_run_as_the_worker_and_an_upgrade_and_a_drain_are_the_parents() {
    let block = "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; \
        location /sh/ { alias DIR/scripts/; cgi_pass /bin/sh; } }";
    let Some(mut s) = Parent::start_with("user nobody; drain_delay 0s;", block) else { return };
    let scripts = s.setup.dir().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    let script = "printf '\\n'; id -u; grep NoNewPrivs /proc/self/status";
    std::fs::write(scripts.join("who.sh"), script).expect("written");
    let answer = s.get("/sh/who.sh");
    answer.is(200);
    assert_eq!(answer.text().split_whitespace().collect::<Vec<_>>(), ["65534", "NoNewPrivs:", "1"]);
    // The new binary is a parent of its own, with the old one beside it until that is told to go.
    let (old, child) = (s.process.id(), s.child());
    let pid_file = s.setup.dir().join("pid");
    let named = || std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<u32>().ok());
    s.signal(libc::SIGUSR2);
    eventually("the new one has the pid file", || named().is_some_and(|pid| pid != old));
    let new = named().expect("a number");
    s.get("/f").is(200);
    s.signal(libc::SIGQUIT);
    assert!(os::wait_exit(child, LIMIT) && s.process.wait().expect("our child").success());
    s.get("/f").is(200);
    // -s drain is heard by the parent that the pid file names.
    let binary = crate::table::binary();
    let told = Command::new(binary).args(["-s", "drain", "-c"]).arg(s.setup.dir().join("conf/test.conf")).status();
    assert!(told.expect("it runs").success());
    assert!(os::wait_exit(new, LIMIT), "it has ended");
    assert!(!pid_file.exists());
}

#[test]
fn programs_do_not_outlive_the_crash_of_their_serving_process() {
    let block = "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; \
        location /sh/ { alias DIR/scripts/; cgi_pass /bin/sh; } }";
    let Some(s) = Parent::start_with("user nobody;", block) else { return };
    let scripts = s.setup.dir().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    std::fs::write(scripts.join("long.sh"), "sleep 60; exit").expect("written");
    let (mut client, child) = (s.client(), s.child());
    client.send("GET /sh/long.sh HTTP/1.1\r\nHost: a\r\n\r\n");
    let programs = || std::fs::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap_or_default();
    eventually("the program runs", || !programs().is_empty());
    let program: u32 = programs().trim().parse().expect("one pid");
    os::kill(child, libc::SIGKILL);
    assert!(os::wait_exit(program, LIMIT), "it has ended with its serving process");
    s.get("/f").is(200);
}

/// Each reload left as many running as there may be, and a stop left all of them.
#[test]
fn programs_that_do_not_end_by_term_do_not_outlive_a_reload_or_a_stop() {
    let block = "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; \
        location /sh/ { alias DIR/scripts/; cgi_pass /bin/sh; } }";
    let Some(mut s) = Parent::start_with("user nobody; worker_shutdown_timeout 1ms;", block) else { return };
    let scripts = s.setup.dir().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    std::fs::write(scripts.join("deaf.sh"), "trap '' TERM; exec sleep 60").expect("written");
    let start = |s: &Parent| {
        let (mut client, child) = (s.client(), s.child());
        client.send("GET /sh/deaf.sh HTTP/1.1\r\nHost: a\r\n\r\n");
        let programs = || std::fs::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap_or_default();
        eventually("the program runs", || !programs().is_empty());
        (client, programs().trim().parse::<u32>().expect("one pid"))
    };
    let (_client, program) = start(&s);
    s.signal(libc::SIGHUP);
    assert!(os::wait_exit(program, LIMIT), "it has ended soon after its serving process");
    eventually("its end is known", || s.child() != program);
    let (_client, program) = start(&s);
    s.signal(libc::SIGTERM);
    assert!(s.process.wait().expect("our child").success());
    assert!(os::wait_exit(program, LIMIT), "it has ended with the server");
}

/// A program that has answered and ended left them: they are not what the crash of another process leaves.
#[test]
fn jobs_that_programs_left_running_are_not_ended_by_a_later_crash() {
    let block = "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; \
        location /sh/ { alias DIR/scripts/; cgi_pass /bin/bash; } }";
    if !std::path::Path::new("/bin/bash").exists() {
        return crate::harness::skipped("bash is not installed");
    }
    let Some(s) = Parent::start_with("user nobody;", block) else { return };
    let scripts = s.setup.dir().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    // With -m the job has a process group of its own.
    let script = "set -m; sleep 60 >&- 2>&- <&- & printf 'Content-Type: text/plain\\n\\n%s' $!";
    std::fs::write(scripts.join("job.sh"), script).expect("written");
    let old = s.child();
    let job: u32 = s.get("/sh/job.sh").is(200).text().trim().parse().expect("a pid");
    s.signal(libc::SIGHUP);
    assert!(os::wait_exit(old, LIMIT));
    let child = s.child();
    os::kill(child, libc::SIGKILL);
    assert!(os::wait_exit(child, LIMIT));
    s.get("/f").is(200);
    os::kill(job, libc::SIGKILL);
    assert!(!s.log().contains("outlived"), "{}", s.log());
}

/// With its port named: one that the kernel chose would be lost with a shutdown().
fn bound_as_configured() -> std::net::TcpListener {
    // Bound while the reserving socket is, so that no other test gets the port: both have SO_REUSEADDR.
    let (_held, address) = os::reserve().expect("a free port");
    std::net::TcpListener::bind(address).expect("bound")
}

/// A process that shares listening sockets can shut them down, which ends them for all that have them. A serving
/// process that was taken over may do that before it ends: afterwards clients are served again, by TCP and by a Unix
/// socket.
#[test]
fn a_listening_socket_that_was_shut_down_listens_again() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    s.signal(libc::SIGTERM);
    s.process.wait().expect("it ends");
    let tcp = bound_as_configured();
    s.port = tcp.local_addr().expect("bound").port();
    let path = s.setup.dir().join("socket");
    let unix = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let block = "server { listen 127.0.0.1:PORT; listen unix:DIR/socket; root DIR/html; access_log off; }";
    s.reconfigure("user nobody;", block);
    let mut command = Command::new(crate::table::binary());
    os::inherit(&mut command, vec![tcp.as_raw_fd(), unix.as_raw_fd()]);
    command.arg(s.setup.dir().join("conf/test.conf"));
    command.env("NGINX", format!("{};{};", tcp.as_raw_fd(), unix.as_raw_fd()));
    s.process = command.current_dir(s.setup.dir()).stdin(Stdio::null()).spawn().expect("runs");
    eventually("it serves", || std::fs::read_to_string(s.setup.dir().join("pid")).is_ok());
    let status_over_unix = || {
        let mut client = std::os::unix::net::UnixStream::connect(&path)?;
        client.write_all(b"GET /f HTTP/1.0\r\n\r\n")?;
        let mut status = [0; 12];
        client.read_exact(&mut status).map(|()| status == *b"HTTP/1.1 200")
    };
    assert!(status_over_unix().expect("it serves"));
    for end in [libc::SHUT_RD, libc::SHUT_RDWR] {
        let child = s.child();
        // As if it was taken over: it does nothing about it.
        os::kill(child, libc::SIGSTOP);
        for socket in [tcp.as_raw_fd(), unix.as_raw_fd()] {
            os::shutdown(socket, end);
        }
        assert!(std::net::TcpStream::connect(("127.0.0.1", s.port)).is_err() || end == libc::SHUT_RD);
        os::kill(child, libc::SIGKILL);
        assert!(os::wait_exit(child, LIMIT));
        eventually("TCP", || std::net::TcpStream::connect(("127.0.0.1", s.port)).is_ok());
        s.get("/f").is(200);
        eventually("Unix", || status_over_unix().is_ok_and(|is_right| is_right));
    }
    let log = s.log();
    let count = |address: &str| log.matches(&format!("{address} was shut down by a serving process")).count();
    assert_eq!((count(&format!("127.0.0.1:{}", s.port)), count("socket")), (2, 1), "{log}");
}

/// Here the socket was shut down by another process than the one that serves, which sees it.
#[test]
fn a_serving_process_listens_again_where_another_has_shut_its_socket_down() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    s.signal(libc::SIGTERM);
    s.process.wait().expect("it ends");
    let tcp = bound_as_configured();
    s.port = tcp.local_addr().expect("bound").port();
    s.reconfigure("user nobody;", "server { listen 127.0.0.1:PORT; root DIR/html; access_log off; }");
    let mut command = Command::new(crate::table::binary());
    os::inherit(&mut command, vec![tcp.as_raw_fd()]);
    command.arg(s.setup.dir().join("conf/test.conf")).env("NGINX", format!("{};", tcp.as_raw_fd()));
    s.process = command.current_dir(s.setup.dir()).stdin(Stdio::null()).spawn().expect("runs");
    eventually("it serves", || std::fs::read_to_string(s.setup.dir().join("pid")).is_ok());
    let child = s.child();
    for _ in 0..2 {
        os::shutdown(tcp.as_raw_fd(), libc::SHUT_RDWR);
        eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", s.port)).is_ok());
        s.get("/f").is(200);
    }
    assert_eq!(s.child(), child);
}
