//! Logs that go to a syslog server: what a message looks like, and that a server which is gone costs nothing else.

use crate::client::LIMIT;
use crate::harness::{BOTH, Setup, Table, http, ours};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout");
    socket
}

fn message(socket: &UdpSocket) -> String {
    let mut buf = [0; 65536];
    let n = socket.recv(&mut buf).expect("a message comes");
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

/// `<PRI>Mmm dd hh:mm:ss rest` → PRI and rest.
#[track_caller]
fn split(message: &str) -> (u32, String) {
    let (priority, rest) = message.strip_prefix('<').and_then(|m| m.split_once('>')).expect("a priority");
    let (stamp, rest) = rest.split_at(15);
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    assert!(month.contains(&&stamp[..3]) && stamp.as_bytes()[9] == b':' && rest.starts_with(' '), "{message}");
    (priority.parse().expect("a number"), rest[1..].to_owned())
}

#[test]
fn lines_go_to_syslog() {
    let (access, error, both) = (udp(), udp(), udp());
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    let setup = http(&format!(
        "log_format main '$request_method $uri \"$http_x\"';
         server {{
         listen 127.0.0.1:%%PORT%%;
         access_log syslog:server=127.0.0.1:{a},nohostname main;
         error_log syslog:server=127.0.0.1:{e},tag=web_1,facility=daemon,nohostname info;
         location / {{ deny all; }}
         location /unix {{ access_log syslog:server=unix:%%DIR%%/log.sock,severity=debug,facility=kern,tag=t main; error_log logs/error.log; return 200; }}
         location /two {{
             access_log syslog:server=127.0.0.1:{b},nohostname main;
             access_log logs/two.log main;
             error_log syslog:server=127.0.0.1:{b},nohostname;
             error_log logs/two.err;
             deny all;
         }}
         }}",
        a = port(&access),
        e = port(&error),
        b = port(&both),
    ));
    let unix = UnixDatagram::bind(setup.dir().join("log.sock")).expect("a fresh directory");
    unix.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let s = setup.allow_log("while logging to syslog").start();
    let mut table = Table::new("syslog");
    table.row(BOTH, "an access line", || {
        s.get_with("/a", "X: a\"b\r\n").is(403);
        assert_eq!(split(&message(&access)), (23 * 8 + 6, "nginx: GET /a \"a\\x22b\"".to_owned()));
    });
    table.row(BOTH, "a diagnostic has the severity of its level", || {
        let (priority, text) = split(&message(&error));
        assert_eq!(priority, 3 * 8 + 3);
        assert!(text.starts_with("web_1: 20") && text.contains("[error]"), "{text}");
        assert!(text.contains("access forbidden by rule, client: 127.0.0.1") && !text.ends_with('\n'), "{text}");
    });
    table.row(BOTH, "a unix socket, and the host's name", || {
        s.get("/unix").is(200);
        let mut buf = [0; 65536];
        let n = unix.recv(&mut buf).expect("a message comes");
        let (priority, text) = split(&String::from_utf8_lossy(&buf[..n]));
        assert_eq!(priority, 7);
        let (host, rest) = text.split_once(' ').expect("a host");
        assert!(!host.is_empty() && rest == "t: GET /unix \"-\"", "{text}");
    });
    table.row(BOTH, "several logs of a level are all written", || {
        s.get("/two").is(403);
        let mut texts = [split(&message(&both)).1, split(&message(&both)).1];
        texts.sort_unstable_by_key(|text| text.contains("[error]"));
        assert_eq!(texts[0], "nginx: GET /two \"-\"");
        assert!(texts[1].contains("access forbidden by rule"), "{texts:?}");
        s.await_file("logs/two.log", |text| text == "GET /two \"-\"\n");
        s.await_file("logs/two.err", |text| text.contains("access forbidden by rule"));
    });
    drop(unix);
    std::fs::remove_file(s.path("log.sock")).expect("it was bound");
    table.row(BOTH, "the listener is gone", || {
        (0..20).for_each(|_| {
            s.get("/unix").is(200);
        });
    });
    table.row(ours("nginx says it for each line"), "reported once", || {
        let text = s.await_file("logs/error.log", |text| text.contains("while logging to syslog"));
        assert_eq!(text.matches("while logging to syslog").count(), 1, "{text}");
    });
    table.row(BOTH, "the listener is there again, and has the first line that follows", || {
        let unix = UnixDatagram::bind(s.path("log.sock")).expect("the name is free");
        unix.set_read_timeout(Some(LIMIT)).expect("a timeout");
        crate::harness::eventually("it is tried again", || {
            s.get("/unix").is(200);
            unix.set_nonblocking(true).expect("FIONBIO");
            unix.recv(&mut [0; 65536]).is_ok()
        });
        drop(unix);
        std::fs::remove_file(s.path("log.sock")).expect("it was bound");
        let unix = UnixDatagram::bind(s.path("log.sock")).expect("the name is free");
        unix.set_read_timeout(Some(LIMIT)).expect("a timeout");
        s.get("/unix?first").is(200);
        let mut buf = [0; 65536];
        let n = unix.recv(&mut buf).expect("a message comes");
        assert!(String::from_utf8_lossy(&buf[..n]).contains("/unix"), "of a server that was started again");
    });
}

#[test]
fn mistakes_in_syslog_are_told() {
    let mut table = Table::new("syslog parameters");
    for (text, expected) in [
        ("syslog:", "unknown syslog parameter \"\""),
        ("syslog:tag=a", "no syslog server specified"),
        ("syslog:server=127.0.0.1,server=127.0.0.1", "duplicate syslog \"server\""),
        ("syslog:server=127.0.0.1,facility=none", "unknown syslog facility \"none\""),
        ("syslog:server=127.0.0.1,severity=err", "unknown syslog severity \"err\""),
        ("syslog:server=127.0.0.1,tag=a-b", "syslog \"tag\" only allows alphanumeric characters and underscore"),
        ("syslog:server=127.0.0.1,tag=123456789012345678901234567890123", "syslog tag length exceeds 32"),
        ("syslog:server=127.0.0.1,hostname", "unknown syslog parameter \"hostname\""),
        ("syslog:server=unix:", "no path in the unix domain socket"),
        ("syslog:server=127.0.0.1:0", "invalid port"),
        ("syslog:server=127.0.0.1 combined buffer=1k", "logs to syslog cannot be buffered"),
    ] {
        table.row(BOTH, text, || {
            let out = check(http(&format!("server {{ listen 127.0.0.1:%%PORT%%; access_log {text}; }}")));
            assert!(out.contains(expected), "{out}");
        });
    }
}

fn check(setup: Setup) -> String {
    let out = setup.run(&["-t", "-p", "%%DIR%%", "-c", "conf/test.conf"]);
    String::from_utf8_lossy(&out.stderr).into_owned()
}
