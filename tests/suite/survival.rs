//! What must not end or hang the process: closed terminals, full disks, FIFOs, empty configurations, hasty operators.

use crate::client::LIMIT;
use crate::harness::{Setup, eventually, on_nginx, server};
use crate::os;
use crate::process::text;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

const FULL: &str = "/dev/full";

#[test]
fn output_that_nobody_takes_is_no_panic() {
    if on_nginx() {
        return;
    }
    let s = server("").start();
    for args in [&["-t"][..], &["-T"], &["-v"], &["-V"], &["-s", "nonsense"], &["directives"], &["--version"], &["-h"]]
    {
        for closed in [true, false] {
            let mut command = Command::new(crate::table::binary());
            command.args(["-p", s.setup.dir().to_str().expect("UTF-8"), "-c", "conf/test.conf"]);
            let args: Vec<&str> = args.to_vec();
            if args[0] == "directives" {
                command = Command::new(crate::table::binary());
            }
            let sink = || match closed {
                true => Stdio::from(os::pipe().1),
                false => Stdio::from(File::options().write(true).open(FULL).expect(FULL)),
            };
            let status = command.args(&args).env_remove("NGINX").stdout(sink()).stderr(sink()).status().expect("runs");
            assert!(matches!(status.code(), Some(0 | 1)), "{args:?}, closed: {closed}: {status}");
        }
    }
}

#[test]
fn a_fifo_at_a_logs_path_stops_nobody() {
    if on_nginx() {
        return;
    }
    let s = server("location / { return 200 x; }").allow_log("lines for").start();
    s.get("/before").is(200);
    std::fs::rename(s.path("logs/access.log"), s.path("logs/access.old")).expect("rename");
    os::mkfifo(&s.path("logs/access.log"));
    s.signal(libc::SIGUSR1);
    // More than a pipe and the buffer behind it hold.
    let long = format!("/{}", "x".repeat(3000));
    let mut client = s.client();
    for n in 0..500 {
        client.get(&format!("{long}{n}")).is(200);
    }
    let mut fifo = File::open(s.path("logs/access.log")).expect("opens");
    let reader = std::thread::spawn(move || {
        let mut text = vec![0; 1 << 16];
        let mut lines = 0;
        while lines == 0 || !text.starts_with(b"end") {
            let n = std::io::Read::read(&mut fifo, &mut text).unwrap_or(0);
            if n == 0 {
                return lines;
            }
            lines += text[..n].iter().filter(|b| **b == b'\n').count();
        }
        lines
    });
    s.await_file("logs/error.log", |text| text.contains("were dropped"));
    s.get("/after").is(200);
    drop(s);
    assert!(reader.join().expect("no panic") > 0);
}

#[test]
fn a_fifo_among_the_includes_is_refused() {
    if on_nginx() {
        return;
    }
    let s = server("location / { return 200 old; }").allow_log("FIFO").allow_log("the old one stays").start();
    s.get("/").is(200).body_is("old");
    os::mkfifo(&s.path("conf/extra.conf"));
    s.reconfigure_http("include extra.conf;");
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |text| text.contains("is a FIFO or a socket"));
    s.get("/").is(200).body_is("old");
}

#[test]
fn an_empty_configuration_keeps_the_old() {
    let s = server("location / { return 200 old; }").allow_log("section in configuration").allow_log("stays").start();
    s.get("/").is(200).body_is("old");
    for config in ["", "# all is commented out\n"] {
        s.reconfigure(config);
        let out = s.command(&["-t"]);
        assert_eq!(out.status.code(), Some(1), "{config:?}: {}", text(&out));
        assert!(text(&out).contains("no \"events\" section in configuration"), "{}", text(&out));
    }
    if on_nginx() {
        return;
    }
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |text| text.contains("no \"events\" section in configuration"));
    s.get("/").is(200).body_is("old");
}

#[test]
fn one_pid_file_has_one_process_and_a_left_over_number_is_not_signalled() {
    if on_nginx() {
        return;
    }
    let mut s = server("").allow_log("is running already").start();
    s.get("/").is(403);
    let again = s.command(&[]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(text(&again).contains("running already"), "{}", text(&again));
    s.stop();
    // The number belongs to another process now.
    let mut other = Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().expect("sleep");
    s.write("logs/webserv.pid", format!("{}\n", other.id()));
    for signal in ["stop", "quit", "reload", "reopen"] {
        let out = s.command(&["-s", signal]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(text(&out).contains("left over"), "{}", text(&out));
    }
    assert!(other.try_wait().expect("our child").is_none(), "another process was signalled");
    other.kill().expect("our child");
    other.wait().expect("our child");
}

#[test]
fn logs_that_no_configuration_names_any_more_are_closed_and_stay_away() {
    if on_nginx() {
        return;
    }
    let log = |n: u32| {
        format!(
            "server {{ listen 127.0.0.1:%%PORT%%; access_log logs/{n}.log; error_log logs/e{n}.log; location / {{ return 200 {n}; }} }}"
        )
    };
    let s = server("").start();
    // Once it answers, signals are events.
    s.get("/");
    for n in 1..5 {
        s.reconfigure_http(&log(n));
        s.signal(libc::SIGHUP);
        eventually("the new one answers", || s.get("/").text() == n.to_string());
    }
    let open = || -> Vec<String> {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", s.pid)).expect("ours");
        let names = fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        names.filter(|p| p.extension().is_some_and(|e| e == "log")).map(|p| p.display().to_string()).collect()
    };
    eventually("only the last ones are open", || {
        let open = open();
        open.iter().filter(|p| p.ends_with("4.log")).count() == 2 && !open.iter().any(|p| p.ends_with("1.log"))
    });
    std::fs::remove_file(s.path("logs/1.log")).expect("it was written");
    std::fs::rename(s.path("logs/4.log"), s.path("logs/4.old")).expect("it is there");
    s.signal(libc::SIGUSR1);
    assert!(os::wait_for_change(&s.path("logs"), LIMIT, || s.exists("logs/4.log")));
    assert!(!s.exists("logs/1.log"));
}

#[test]
fn a_daemon_is_ready_when_its_parent_ends_and_holds_nothing_of_its_caller() {
    let reserved = os::reserve().expect("a free port");
    let port = reserved.1.port();
    drop(reserved);
    let setup = Setup::full("");
    let dir = setup.dir().to_owned();
    let user = if os::is_root() { "user root root;" } else { "" };
    let config = format!(
        "daemon on; {user} pid pid; error_log logs/error.log;\nevents {{}}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 x; }} }}\n"
    );
    std::fs::create_dir_all(dir.join("conf")).expect("mkdir");
    std::fs::write(dir.join("conf/test.conf"), config).expect("written");
    let mut command = Command::new(crate::table::binary());
    command.arg("-p").arg(format!("{}/", dir.display())).arg("-c").arg("conf/test.conf").env_remove("NGINX");
    // Ends when the last holder of the pipes is gone.
    let out = command.stdin(Stdio::null()).output().expect("runs");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    let pid: u32 = std::fs::read_to_string(dir.join("pid")).expect("it is there").trim().parse().expect("a number");
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let fds = |n: u32| std::fs::read_link(format!("/proc/{pid}/fd/{n}")).expect("open").display().to_string();
    let (out, err) = (fds(1), fds(2));
    os::kill(pid, libc::SIGTERM);
    eventually("it ends", || !dir.join("pid").exists());
    assert_eq!((out.as_str(), err.ends_with("logs/error.log")), ("/dev/null", true), "{err}");
}

#[test]
fn a_log_may_be_a_descriptor_that_is_a_socket() {
    if on_nginx() {
        return;
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("socketpair");
    let reserved = os::reserve().expect("a free port");
    let port = reserved.1.port();
    drop(reserved);
    let setup = Setup::full("");
    let user = if os::is_root() { "user root root;" } else { "" };
    let config = format!(
        "daemon off; {user} error_log logs/error.log;\nevents {{}}\nhttp {{ access_log /dev/stdout; server {{ listen 127.0.0.1:{port}; return 200 x; }} }}\n"
    );
    std::fs::create_dir_all(setup.dir().join("conf")).expect("mkdir");
    std::fs::write(setup.dir().join("conf/test.conf"), config).expect("written");
    let mut command = Command::new(crate::table::binary());
    command.arg("-p").arg(format!("{}/", setup.dir().display())).arg("-c").arg("conf/test.conf").env_remove("NGINX");
    let mut child = command.stdin(Stdio::null()).stdout(OwnedFd::from(theirs)).spawn().expect("runs");
    eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    crate::client::Client::connect(([127, 0, 0, 1], port).into()).get("/hello").is(200);
    ours.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&ours), &mut line).expect("a line");
    os::kill(child.id(), libc::SIGTERM);
    child.wait().expect("our child");
    assert!(line.contains("GET /hello"), "{line}");
}

/// Each client that leaves makes room for the next: with half a second for every few of them it took a minute.
#[test]
fn a_client_that_comes_after_descriptors_ran_out_waits_for_no_timer() {
    if on_nginx() {
        return;
    }
    let config = "%%PREAMBLE%%\nworker_rlimit_nofile 16;\nevents {}\nhttp { server { listen 127.0.0.1:%%PORT0%%; root %%DIR%%/html; } }";
    let s = Setup::full(config).file("html/a", "content").allow_log("Too many open files").start();
    let mut crowd: Vec<_> = (0..300).map(|_| s.client()).collect();
    for client in &mut crowd {
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n");
    }
    eventually("descriptors run out", || s.error_log().contains("accept4() failed"));
    drop(crowd);
    // While the others' descriptors are being closed, there may be none for the file: that is an answer, too.
    let first = s.get("/a");
    assert!([200, 503].contains(&first.status), "{}", first.show());
    eventually("there is room for the file", || s.get("/a").status == 200);
}

/// What clients hold open with some bytes must not keep files from others.
#[test]
fn half_uploads_leave_descriptors_to_those_who_read() {
    if on_nginx() {
        return;
    }
    let config = "%%PREAMBLE%%\nworker_rlimit_nofile 128;\nevents {}\nhttp { server { listen 127.0.0.1:%%PORT0%%; \
        root %%DIR%%/html; location /up/ { dav_methods PUT; upload_resumable on; allowed_methods GET POST PUT; } \
        location /pass/ { proxy_pass http://127.0.0.1:9; } } }";
    let pass = format!("POST /pass/ HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{}", "x".repeat(20_000));
    let put = "PUT /up/AT HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome";
    let tus = "POST /up/ HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 1000000\r\n\
               Content-Type: application/offset+octet-stream\r\nUpload-Metadata: filename eA==\r\n\
               Content-Length: 1000000\r\n\r\nsome";
    // A resumable one has more descriptors than its connection's and its file's.
    for (count, request) in [(55, put), (36, tus), (55, pass.as_str())] {
        let setup = Setup::full(config).file("html/a", "content").mkdir("html/up");
        let s = setup.allow_log("too many uploads").allow_log("Too many open files").start();
        let mut uploads: Vec<_> = (0..count).map(|_| s.client()).collect();
        for (at, client) in uploads.iter_mut().enumerate() {
            client.send(request.replace("AT", &at.to_string()));
        }
        uploads.last_mut().expect("many").response().is(503).has("Retry-After", "1");
        s.get("/a").is(200).body_is("content");
    }
}

/// Large files that are only cached leave their descriptors to whatever else needs one.
#[test]
fn cached_files_take_no_descriptor_that_a_request_needs() {
    if on_nginx() {
        return;
    }
    let config = "%%PREAMBLE%%\nworker_rlimit_nofile 48;\nevents {}\nhttp { server { listen 127.0.0.1:%%PORT0%%; \
        root %%DIR%%/html; location /list/ { alias %%DIR%%/html/; autoindex on; } } }";
    let setup = Setup::full(config);
    let large = "x".repeat(20_000);
    let setup = (0..60).fold(setup, |setup, at| setup.file(&format!("html/f{at}"), &large));
    let s = setup.start();
    let mut client = s.client();
    for at in 0..60 {
        client.get(&format!("/f{at}")).is(200);
    }
    let mut others: Vec<_> = (0..8).map(|_| s.client()).collect();
    for other in &mut others {
        other.get("/list/").is(200);
        other.get("/f0").is(200);
    }
}

/// Over connections that are there before: a new one would make room.
#[test]
fn bodies_in_files_take_the_descriptors_of_cached_files() {
    if on_nginx() {
        return;
    }
    let config = "%%PREAMBLE%%\nworker_rlimit_nofile 128;\nevents {}\nhttp { server { listen 127.0.0.1:%%PORT0%%; \
        root %%DIR%%/html; location /pass/ { proxy_pass http://127.0.0.1:9; } } }";
    let large = "x".repeat(20_000);
    let setup = (0..55).fold(Setup::full(config), |setup, at| setup.file(&format!("html/f{at}"), &large));
    let s = setup.allow_log("connect() failed").start();
    let mut clients: Vec<_> = (0..40).map(|_| s.client()).collect();
    for client in &mut clients {
        client.get("/f0").is(200);
    }
    for at in 0..55 {
        clients[0].get(&format!("/f{at}")).is(200);
    }
    for client in &mut clients {
        client.send(format!("POST /pass/ HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{large}"));
    }
    // There is no upstream.
    for client in &mut clients {
        client.send(&large);
        client.response().is(502);
    }
}

/// Starts the server by a shell that does something before: whether a request is answered 200, or what it says at its
/// end.
fn outcome_after(before: &str) -> Result<u16, String> {
    let reserved = os::reserve().expect("a free port");
    let port = reserved.1.port();
    drop(reserved);
    let user = if os::is_root() { "user root root;" } else { "" };
    let setup = Setup::full("").file("html/a", "content");
    let config = format!(
        "daemon off; {user} error_log logs/error.log; pid logs/pid;\nevents {{}}\n\
         http {{ server {{ listen 127.0.0.1:{port}; root html; }} }}\n"
    );
    std::fs::create_dir_all(setup.dir().join("conf")).expect("mkdir");
    std::fs::write(setup.dir().join("conf/test.conf"), config).expect("written");
    let said = setup.dir().join("said");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(crate::table::binary());
    command.arg("-p").arg(format!("{}/", setup.dir().display())).arg("-c").arg("conf/test.conf").env_remove("NGINX");
    let stderr = File::create(&said).expect("created");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("runs");
    let mut ended = None;
    // Not by connecting: to a port of no listener that may succeed, with itself as the peer, and then keeps the port.
    eventually("it has its pid file, with its listeners open, or ends", || {
        ended = child.try_wait().expect("our child");
        ended.is_some() || std::fs::read(setup.dir().join("logs/pid")).is_ok_and(|pid| !pid.is_empty())
    });
    if let Some(status) = ended {
        assert_eq!(status.code(), Some(1), "{before}: {status}");
        return Err(std::fs::read_to_string(said).expect("readable"));
    }
    let get = || crate::client::Client::connect(([127, 0, 0, 1], port).into()).get("/a").status;
    // A connection that has just been closed may have a descriptor still.
    let mut status = get();
    eventually("the descriptors are free", || {
        status = if status == 503 { get() } else { status };
        status != 503
    });
    os::kill(child.id(), libc::SIGTERM);
    child.wait().expect("our child");
    Ok(status)
}

#[test]
fn with_few_descriptors_it_serves_or_says_that_it_cannot() {
    if on_nginx() {
        return;
    }
    let mut refused = 0;
    for limit in 7..24 {
        match outcome_after(&format!("ulimit -n {limit}")) {
            Ok(status) => assert_eq!(status, 200, "{limit} descriptors"),
            Err(said) => {
                refused += 1;
                let why = ["RLIMIT_NOFILE", "Too many open files"].iter().any(|why| said.contains(why));
                assert!(why && said.contains("[emerg]"), "{limit}: {said}");
            }
        }
    }
    assert!((1..16).contains(&refused), "{refused}");
}

#[test]
fn a_largest_file_of_nothing_ends_no_process_by_a_signal() {
    if on_nginx() {
        return;
    }
    assert!(matches!(outcome_after("ulimit -f 0"), Ok(200) | Err(_)));
    assert_eq!(outcome_after("exec 0<&- 1>&- 2>&-"), Ok(200));
}
