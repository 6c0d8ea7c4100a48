//! The server under a service manager, behind a load balancer and before a log collector.

use crate::harness::{Setup, eventually, ours, server, skip_on_nginx};
use crate::os;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// A server as systemd starts one: its sockets bound before it, its messages read.
struct Service {
    child: Child,
    manager: UnixDatagram,
    port: u16,
    setup: Setup,
}

impl Service {
    fn start(main: &str) -> Service {
        let setup = Setup::full("").file("html/f", "f").mkdir("conf");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let manager = UnixDatagram::bind(setup.dir().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(LIMIT)).expect("a timeout");
        let dir = setup.dir().display();
        let user = if os::is_root() { "user root;" } else { "" };
        let config = format!(
            "daemon off; {user} {main} pid {dir}/pid; error_log {dir}/logs/error.log info;\nevents {{}}\n\
             http {{ server {{ listen 127.0.0.1:{port}; root {dir}/html; }} }}\n"
        );
        std::fs::write(setup.dir().join("conf/test.conf"), config).expect("written");
        // LISTEN_PID is the number of the very process: a shell becomes the server.
        let mut command = Command::new("sh");
        command
            .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
            .arg(crate::table::binary());
        command.arg("-c").arg(setup.dir().join("conf/test.conf")).current_dir(setup.dir()).stdin(Stdio::null());
        command.env_remove("NGINX").env("NOTIFY_SOCKET", setup.dir().join("notify")).env("WATCHDOG_USEC", "200000");
        os::inherit_as(&mut command, vec![(listener.as_raw_fd(), 3)]);
        let child = command.spawn().expect("the shell runs");
        Service { child, manager, port, setup }
    }

    /// The next message but for signs of life.
    fn told(&self) -> String {
        loop {
            let mut text = [0; 512];
            let got = self.manager.recv(&mut text).expect("a message in time");
            let text = String::from_utf8_lossy(&text[..got]).into_owned();
            if text != "WATCHDOG=1" {
                return text;
            }
        }
    }

    fn signal(&self, number: i32) {
        os::kill(self.child.id(), number);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After an upgrade the server is another process.
        let named = std::fs::read_to_string(self.setup.dir().join("pid")).ok();
        if let Some(pid) = named.and_then(|text| text.trim().parse().ok()).filter(|pid| *pid != self.child.id()) {
            os::kill(pid, libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.setup.dir());
    }
}

#[test]
fn a_service_manager_passes_sockets_and_is_told_of_start_reload_and_end() {
    if skip_on_nginx("nginx does not speak with systemd") {
        return;
    }
    let mut service = Service::start("");
    assert!(service.told().starts_with("READY=1\n"));
    crate::client::Client::connect(([127, 0, 0, 1], service.port).into()).get("/f").is(200).body_is("f");
    let mut text = [0; 512];
    let got = service.manager.recv(&mut text).expect("a sign of life");
    assert_eq!(&text[..got], b"WATCHDOG=1");

    service.signal(libc::SIGHUP);
    let reloading = service.told();
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the form of notify-reload");
    assert!(usec.lines().next().is_some_and(|number| number.parse::<u64>().is_ok()), "{reloading}");
    assert_eq!(service.told(), "READY=1\nSTATUS=serving");

    std::fs::write(service.setup.dir().join("conf/test.conf"), "nonsense;").expect("written");
    service.signal(libc::SIGHUP);
    assert!(service.told().starts_with("RELOADING=1\n"));
    assert!(service.told().contains("was refused"), "the service is up, and its status says what is wrong");

    service.signal(libc::SIGQUIT);
    assert!(service.told().starts_with("STOPPING=1\n"));
    assert_eq!(service.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn an_upgrade_makes_the_new_process_the_service() {
    if skip_on_nginx("nginx does not speak with systemd") {
        return;
    }
    let service = Service::start("");
    assert!(service.told().starts_with("READY=1\n"));
    service.signal(libc::SIGUSR2);
    assert!(service.told().starts_with("READY=1\n"), "of the new one");
    let pid = std::fs::read_to_string(service.setup.dir().join("pid")).expect("its pid file");
    service.signal(libc::SIGQUIT);
    assert_eq!(service.told(), format!("MAINPID={}", pid.trim()));
    os::kill(pid.trim().parse().expect("a number"), libc::SIGTERM);
    assert!(service.told().starts_with("STOPPING=1\n"));
}

#[test]
fn the_watchdog_hears_of_a_process_that_a_second_upgrade_started() {
    if skip_on_nginx("nginx does not speak with systemd") {
        return;
    }
    let service = Service::start("");
    assert!(service.told().starts_with("READY=1\n"));
    let named = || std::fs::read_to_string(service.setup.dir().join("pid")).expect("a pid file");
    let mut serving = service.child.id();
    for _ in 0..2 {
        os::kill(serving, libc::SIGUSR2);
        assert!(service.told().starts_with("READY=1\n"), "of the new one");
        os::kill(serving, libc::SIGQUIT);
        assert_eq!(service.told(), format!("MAINPID={}", named().trim()));
        assert!(os::wait_exit(serving, LIMIT));
        serving = named().trim().parse().expect("a number");
    }
    service.manager.set_nonblocking(true).expect("a flag");
    while service.manager.recv(&mut [0; 512]).is_ok() {}
    service.manager.set_nonblocking(false).expect("a flag");
    let mut text = [0; 512];
    let got = service.manager.recv(&mut text).expect("it says that it lives");
    assert_eq!(&text[..got], b"WATCHDOG=1");
    os::kill(serving, libc::SIGTERM);
    assert!(service.told().starts_with("STOPPING=1\n"));
}

/// A server whose configuration begins with `main`, with a health check.
fn with_health(main: &str) -> Setup {
    Setup::full(&format!(
        "%%PREAMBLE%% {main}\nevents {{}}\nhttp {{ server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; \
         location = /health {{ health; }} location /own {{ if ($draining) {{ return 503; }} return 200 own; }} }} }}"
    ))
    .file("html/f", "f")
}

#[test]
fn a_drain_fails_the_health_check_first_and_serves_all_the_while() {
    if skip_on_nginx("nginx has no drain") {
        return;
    }
    for signal in webserv::sys::process::drains() {
        let mut s = with_health("drain_delay 1h;").start();
        s.get("/health").is(200).body_is("ok\n").has("Cache-Control", "no-store");
        s.get("/own").is(200);
        s.method("POST", "/health", "", b"").is(405);
        s.signal(signal);
        eventually("the health check fails", || s.get("/health").status == 503);
        s.get("/own").is(503);
        s.get("/f").is(200).body_is("f");
        s.signal(libc::SIGQUIT);
        assert_eq!(s.wait(), 0);
    }
}

#[test]
fn the_command_that_drains_returns_when_the_server_has_ended() {
    if skip_on_nginx("nginx has no drain") {
        return;
    }
    let mut s = with_health("drain_delay 50ms;").start();
    s.get("/health").is(200);
    let out = s.command(&["-s", "drain"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!s.exists("logs/webserv.pid"));
    assert_eq!(s.wait(), 0);
}

#[test]
fn an_error_log_as_json_is_an_object_a_line_whatever_was_asked() {
    if skip_on_nginx("json is ours") {
        return;
    }
    let s = server("error_log logs/json.log info json; error_log logs/text.log;").start();
    let mut client = s.client();
    for _ in 0..3 {
        client.request(b"GET /no\"%FF\\ HTTP/1.1\r\nHost: a\r\nReferer: http://\xe4/\r\n\r\n").is(404);
    }
    client.leave();
    let text = s.await_file("logs/json.log", |text| text.matches("(2: No such file").count() == 3);
    let text_log = s.await_file("logs/text.log", |text| text.lines().count() == 3);
    assert!(text_log.contains("[error]") && text_log.contains(", request: \"GET "), "{text_log}");
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let member = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        if member("level") != "error" {
            continue;
        }
        assert!(member("message").starts_with("open() \""), "{line}");
        assert!(member("request").starts_with("GET /no\"%FF\\ "), "{line}");
        assert_eq!((member("client").as_str(), member("server").as_str()), ("127.0.0.1", "localhost"), "{line}");
        assert!(value["pid"].is_u64() && value["connection"].is_u64() && member("time").contains('T'), "{line}");
    }
}

#[test]
fn error_lines_and_access_lines_of_a_request_have_the_same_id() {
    if skip_on_nginx("nginx's error lines have no $request_id") {
        return;
    }
    let s = crate::harness::http(
        "log_format id '$request_id $status $request'; access_log logs/id.log id; \
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; add_header X-Id $request_id always; }",
    )
    .start();
    let mut client = s.client();
    let ids: Vec<String> =
        (0..3).map(|_| client.get("/none").is(404).header("X-Id").expect("an id").to_owned()).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    client.leave();
    let access = s.await_file("logs/id.log", |text| text.lines().count() == 3);
    let errors = s.await_file("logs/error.log", |text| text.matches("request_id: ").count() == 3);
    for id in &ids {
        assert!(access.contains(&format!("{id} 404 GET /none")), "{access}");
        assert!(errors.contains(&format!("request_id: \"{id}\", request: \"GET /none")), "{errors}");
    }
}

#[test]
fn an_error_log_with_a_rate_counts_what_it_leaves_out() {
    if skip_on_nginx("rate= is ours") {
        return;
    }
    let s = server("error_log logs/rated.log error rate=2;").start();
    let mut client = s.client();
    for _ in 0..20 {
        client.get("/none").is(404);
    }
    client.leave();
    let own = s.await_file("logs/error.log", |text| text.contains("lines of the error log were left out"));
    let counted: usize = own
        .lines()
        .filter(|line| line.contains("were left out"))
        .filter_map(|line| line.split(": ").nth(1)?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    let written = String::from_utf8_lossy(&s.read("logs/rated.log")).lines().count();
    assert!(written >= 2 && written + counted <= 20 && counted > 0, "{written} written, {counted} left out");
}

#[test]
fn parameters_of_an_error_log_are_checked() {
    let mut table = crate::table::Table::new("parameters of error_log");
    for (value, expected) in [
        ("x.log json error rate=10r/s", "test is successful"),
        ("x.log error error", "duplicate log level"),
        ("x.log rate=0", "invalid rate \"rate=0\""),
        ("x.log jsn", "invalid log level \"jsn\""),
    ] {
        table.row(ours("json and rate are ours"), value, || {
            let out =
                server(&format!("error_log {value};")).run(&["-t", "-p", "%%DIR%%", "-c", "%%DIR%%/conf/test.conf"]);
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(text.contains(expected), "{text}");
        });
    }
}

/// The counters of a server over its own api.
fn counters(client: &mut crate::client::Client, path: &str) -> serde_json::Value {
    let answer = client.get(path);
    answer.is(200).has("Content-Type", "application/json").has("Cache-Control", "no-store");
    serde_json::from_slice(&answer.body).expect("JSON")
}

const STATUS: &str = "location /status/ { api /status/; } location = /requests { api /status/http/requests; } \
    location = /metrics { prometheus all; } location /up/ { allowed_methods GET POST PUT; upload_max_file_size 10; }";

#[test]
fn the_tree_of_counters_counts_what_clients_did() {
    if skip_on_nginx("api is Angie's") {
        return;
    }
    let s = server(STATUS).file("html/f", "f").mkdir("html/up").start();
    let mut client = s.client();
    for _ in 0..5 {
        client.get("/f").is(200);
    }
    client.get("/none").is(404);
    client.request("PUT /up/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345").is(201);
    s.method("PUT", "/up/b", "", b"12345678901").is(413);
    let tree = counters(&mut client, "/status/");
    assert_eq!(tree["webserv"]["state"], "serving");
    let uploads = serde_json::json!({"begun": 2, "stored": 1, "refused": 1, "files": 1, "bytes": 5});
    assert_eq!(tree["uploads"], uploads);
    assert_eq!(tree["http"]["requests"]["total"], 9);
    assert_eq!((&tree["http"]["responses"]["2xx"], &tree["http"]["responses"]["4xx"]), (&6.into(), &2.into()));
    assert!(tree["http"]["caches"]["responses"]["hits"].as_u64().is_some(), "{tree}");
    assert_eq!(tree["http"]["times"]["request_time"]["count"], 8);
    assert!(tree["http"]["data"]["sent"].as_u64().is_some_and(|sent| sent > 800), "{tree}");
    assert_eq!(tree["connections"]["active"], 1);
    // Parts of it, by the rest of the URI or by the directive.
    assert_eq!(counters(&mut client, "/status/http/responses/4xx"), 2);
    assert_eq!(counters(&mut client, "/requests")["total"], 11);
    let missing = client.get("/status/nothing");
    missing.is(404).contains("PathNotFound");
    client
        .request("POST /status/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .is(405)
        .has("Allow", "GET, HEAD, OPTIONS");
}

#[test]
fn connections_are_counted_by_the_reason_of_their_end() {
    if skip_on_nginx("api is Angie's") {
        return;
    }
    let s = Setup::full(&format!(
        "%%PREAMBLE%% error_log logs/debug.log debug; events {{ }} http {{ access_log off; server {{ \
         listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; {STATUS} location = /shut {{ return 444; }} \
         location = /last {{ keepalive_timeout 0; return 200 last; }} \
         location = /late {{ keepalive_timeout 50ms; return 200 late; }} }} }}"
    ))
    .start();
    s.get("/last").is(200);
    s.client().send("GET /shut HTTP/1.1\r\nHost: a\r\n\r\n").expect_closed();
    let mut idle = s.client();
    idle.get("/late").is(200);
    idle.expect_closed();
    s.client().leave();
    let mut client = s.client();
    let expected = serde_json::json!(
        {"served": 1, "client": 1, "idle": 1, "timed_out": 0, "refused": 1, "shutdown": 0, "failed": 0});
    eventually("all are closed", || counters(&mut client, "/status/connections/closed") == expected);
    client.get("/metrics").contains("webserv_connections_closed_total{reason=\"idle\"} 1\n");
    let log = String::from_utf8_lossy(&s.read("logs/debug.log")).into_owned();
    assert!(log.contains("connection closed: timed out: keepalive_timeout"), "{log}");
}

#[test]
fn counters_go_on_over_a_reload() {
    if skip_on_nginx("api is Angie's") {
        return;
    }
    let s = server(STATUS).file("html/f", "f").start();
    let mut client = s.client();
    client.get("/f").is(200);
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |text| text.contains("was reloaded"));
    assert_eq!(counters(&mut client, "/status/http/requests/total"), 2);
}

#[test]
fn prometheus_text_has_a_family_of_each_counter() {
    if skip_on_nginx("prometheus is Angie's") {
        return;
    }
    let (upstream, address) = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    };
    drop(upstream);
    let s = crate::harness::http(&format!(
        "upstream back {{ server {address}; }} \
         upstream gone {{ server {address} max_fails=1; server 127.0.0.2:{} max_fails=1; }} server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; {STATUS} \
         location /p {{ proxy_pass http://back; }} location /gone {{ proxy_pass http://gone; }} }} \
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name made.test; ssl_certificate auto; }}",
        address.port()
    ))
    .allow_log("connect() failed")
    .allow_log("no live upstreams")
    .start();
    s.get("/p").is(502);
    for _ in 0..3 {
        s.get("/gone").is(502);
    }
    let answer = s.get("/metrics");
    answer.is(200).has("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for expected in [
        "# TYPE webserv_http_request_seconds histogram\n",
        "webserv_http_request_seconds_bucket{le=\"+Inf\"} 4\n",
        "webserv_http_responses_total{class=\"5xx\"} 4\n",
        &format!("webserv_upstream_peer_requests_total{{upstream=\"back\",peer=\"{address}\"}} 1\n"),
        // It has not answered: the 502 is this server's.
        &format!("webserv_upstream_peer_fails_total{{upstream=\"back\",peer=\"{address}\"}} 1\n"),
        &format!("webserv_upstream_peer_responses_total{{upstream=\"back\",peer=\"{address}\",class=\"5xx\"}} 0\n"),
        &format!("webserv_upstream_peer_responses_total{{upstream=\"back\",peer=\"{address}\",class=\"none\"}} 1\n"),
        "webserv_upstream_no_live_total{upstream=\"back\"} 0\n",
        "webserv_upstream_no_live_total{upstream=\"gone\"} 2\n",
        "webserv_build_info{version=\"",
        "webserv_start_time_seconds ",
        "webserv_draining 0\n",
        "webserv_loop_stalled_seconds_total ",
        "webserv_certificate_expiry_timestamp_seconds{server=\"made.test\"} ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("peer=\"gone\""), "a group without a server that can be used is no server");
    let mut types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let families = types.len();
    types.dedup_by_key(|line| line.split(' ').next().unwrap_or_default().to_owned());
    assert_eq!(types.len(), families, "a family stands once");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        assert!(name.starts_with("webserv_") && value.parse::<f64>().is_ok(), "{line}");
        // What `promtool check metrics` complains of.
        assert!(!name.contains("milli") && !name.contains("_ms"), "{line}: base units");
    }
}

#[test]
fn the_status_command_reads_the_counters_of_the_running_server() {
    if skip_on_nginx("api is Angie's") {
        return;
    }
    let mut s = server(STATUS).start();
    s.get("/none").is(404);
    let shown = |args: &[&str]| {
        let out = s.command(args);
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let (ok, text) = shown(&["--status"]);
    assert!(ok && text.contains("\nresponses     ") && text.contains(" 1 4xx") && text.lines().count() <= 10, "{text}");
    let (ok, text) = shown(&["--status", "--all"]);
    assert!(ok && text.contains("http.responses.4xx ") && text.contains("webserv.state "), "{text}");
    let (ok, json) = shown(&["--status", "--format", "json"]);
    assert!(ok && serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    s.stop();
    let out = s.command(&["--status"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && text.contains("no server runs by this configuration"), "{text}");
    let none = server("").run(&["--status", "-p", "%%DIR%%", "-c", "%%DIR%%/conf/test.conf"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("api /status/;"));
}

/// What systemd passes for `ListenStream=`, started like a service: what it says, and whether it serves both families.
#[test]
fn a_socket_units_address_of_either_family_goes_with_the_packages_two_listens() {
    if skip_on_nginx("nginx does not speak with systemd") {
        return;
    }
    let Ok(probe) = TcpListener::bind("[::]:0") else { return crate::harness::skipped("IPv6") };
    drop(probe);
    let both = "listen PORT; listen [::]:PORT;";
    for (passed, listens, is_served, told) in [
        ("0.0.0.0", both, true, ""),
        ("::", both, false, "write ListenStream=0.0.0.0:PORT in the unit"),
        ("::", "listen PORT;", false, "write ListenStream=0.0.0.0:PORT in the unit"),
        ("::", "listen [::]:PORT ipv6only=off;", true, ""),
        ("0.0.0.0", "listen [::]:PORT;", true, "passes \"0.0.0.0:PORT\", which no \"listen\" names"),
    ] {
        let setup = Setup::full("").file("html/f", "f").mkdir("conf");
        let listener = TcpListener::bind((passed, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let filled = |text: &str| text.replace("PORT", &port.to_string());
        let (dir, listens) = (setup.dir().display(), filled(listens));
        let user = if os::is_root() { "user root;" } else { "" };
        let config = format!(
            "daemon off; {user} pid {dir}/pid; error_log {dir}/logs/error.log info;\nevents {{}}\n\
             http {{ server {{ {listens} root {dir}/html; }} }}\n"
        );
        std::fs::write(setup.dir().join("conf/test.conf"), config).expect("written");
        let stderr = std::fs::File::create(setup.dir().join("logs/stderr")).expect("created");
        let mut command = Command::new("sh");
        command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]).arg(crate::table::binary());
        command.arg("-c").arg(setup.dir().join("conf/test.conf")).current_dir(setup.dir());
        command.env_remove("NGINX").env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stderr(stderr);
        os::inherit_as(&mut command, vec![(listener.as_raw_fd(), 3)]);
        let mut child = command.spawn().expect("the shell runs");
        let said = || std::fs::read_to_string(setup.dir().join("logs/stderr")).unwrap_or_default();
        if is_served {
            let is_up = || std::fs::read_to_string(setup.dir().join("pid")).is_ok_and(|pid| !pid.is_empty());
            eventually("it is up", is_up);
            let address = if listens.contains("::") { "[::1]" } else { "127.0.0.1" };
            let address = format!("{address}:{port}").parse().expect("an address");
            crate::client::Client::connect(address).get("/f").is(200).body_is("f");
            os::kill(child.id(), libc::SIGTERM);
        }
        let ended = child.wait().expect("it ends");
        assert_eq!(ended.success(), is_served, "{passed}, {listens} {}", said());
        let told = filled(told);
        assert!(said().contains(&told), "{passed}, {listens} {}", said());
        assert_eq!(said().contains("[warn]"), !told.is_empty(), "{}", said());
    }
}
