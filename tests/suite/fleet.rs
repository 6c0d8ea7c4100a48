//! Several instances behind a load balancer, as docs/fleet.md has it: they are restarted one after the other under
//! load, and no request is lost.

use crate::client::{Client, Response};
use crate::harness::{Setup, eventually, http, noise, on_nginx, skipped};
use crate::os;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_webserv");
const CLIENTS: usize = 4;
const RESTARTS: usize = 6;

/// A process that ends with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells threads to stop when it goes.
struct Stopped<'s>(&'s AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn free() -> SocketAddr {
    os::reserve().expect("a free port").1
}

/// One instance: its address, its configuration beside it, as the documentation writes both.
struct Instance {
    address: SocketAddr,
    config: std::path::PathBuf,
    log: std::path::PathBuf,
}

impl Instance {
    fn new(setup: &Setup, name: &str) -> Instance {
        let (dir, address) = (setup.dir().display(), free());
        let user = if os::is_root() { "user root;" } else { "" };
        let config = setup.dir().join(format!("{name}.conf"));
        let text = format!(
            "{user} pid {dir}/{name}.pid; error_log {dir}/logs/{name}.error; drain_delay 2s;\n\
             server {{\n    listen {address} proxy_protocol;\n    set_real_ip_from 127.0.0.1;\n    \
             real_ip_header proxy_protocol;\n    root {dir}/html;\n    access_log {dir}/logs/{name}.access;\n    \
             location = /health {{ access_log off; health; }}\n    \
             location /a/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; }}\n}}\n"
        );
        std::fs::write(&config, text).expect("written");
        Instance { address, config, log: setup.dir().join(format!("logs/{name}.access")) }
    }

    fn start(&self) -> Process {
        let errors = self.config.with_extension("errors");
        let spawn = || {
            let mut command = Command::new(BINARY);
            let stderr = std::fs::File::create(&errors).expect("a file");
            command.arg("-q").arg(&self.config).env_remove("NGINX").stdin(Stdio::null()).stderr(stderr);
            os::inherit(&mut command, Vec::new());
            Process(command.spawn().expect("the binary starts"))
        };
        let mut process = spawn();
        eventually("the instance listens", || {
            if process.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                // Another test's client may have had its port for a moment.
                let said = std::fs::read_to_string(&errors).unwrap_or_default();
                assert!(said.contains("Address already in use"), "an instance does not start: {said}");
                process = spawn();
            }
            std::net::TcpStream::connect(self.address).is_ok()
        });
        // Before it answers it is not known to the others.
        let mut client = Client::connect(self.address);
        client.send("PROXY UNKNOWN\r\nGET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        client.response().is(200);
        process
    }

    /// As the documentation has it: the health check fails first, the command returns when all is done.
    fn drain(&self, mut process: Process) {
        let out = Command::new(BINARY).args(["-s", "drain"]).arg(&self.config).env_remove("NGINX").output();
        let out = out.expect("the binary runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(process.0.wait().expect("it ended").success());
    }
}

/// Asks until it is told to stop. Gives how many requests were answered, and what became of the others.
fn ask(balancer: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut lost = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(balancer);
        while !stop.load(Ordering::Relaxed) {
            client.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
            match client.try_response(false) {
                Ok(response) if response.status == 200 && response.body == b"f" => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    if response.closes() {
                        break;
                    }
                }
                Ok(response) => {
                    lost.push(response.show());
                    break;
                }
                Err(end) => {
                    lost.push(format!("{end:?}"));
                    break;
                }
            }
        }
    }
    lost
}

/// A file of contrib, with some of its words replaced: each has to be there.
fn shipped(file: &str, replaced: &[(&str, String)]) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(file);
    let text = std::fs::read_to_string(path).expect("it is shipped");
    replaced.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "contrib/{file} has no {from:?} any more");
        text.replace(from, to)
    })
}

/// HAProxy as it is shipped, but for addresses and how often it looks, before these two; and what ends it.
fn balance(setup: &Setup, instances: &[Instance; 2]) -> (SocketAddr, Process) {
    let balancer = free();
    let replaced = [
        ("bind :8080", format!("bind {balancer}")),
        ("127.0.0.1:8081\n    server", format!("{}\n    server", instances[0].address)),
        ("server two 127.0.0.1:8082", format!("server two {}", instances[1].address)),
        ("inter 1s", "inter 200ms".to_owned()),
    ];
    let config = setup.dir().join("haproxy.cfg");
    std::fs::write(&config, shipped("haproxy.cfg", &replaced)).expect("written");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    os::inherit(&mut command, Vec::new());
    let process = Process(command.spawn().expect("haproxy starts"));
    eventually("the balancer answers", || {
        std::net::TcpStream::connect(balancer).is_ok() && Client::connect(balancer).get("/f").status == 200
    });
    (balancer, process)
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skipped(program);
    }
    found
}

const TUS: &str = "Host: h\r\nTus-Resumable: 1.0.0\r\nConnection: close\r\n";

/// The answer of an instance: HAProxy has one of its own while it has not noticed yet that one is gone.
fn ask_any(balancer: SocketAddr, text: &str, body: &[u8]) -> Response {
    let mut answer = None;
    eventually("an instance answers", || {
        let mut client = Client::connect(balancer);
        client.send(text).send(body);
        answer = client.try_response(text.starts_with("HEAD")).ok().filter(|r| !matches!(r.status, 502..=504));
        answer.is_some()
    });
    answer.expect("there was one")
}

/// Begins an upload of this many bytes; gives its target.
fn create(balancer: SocketAddr, length: usize) -> String {
    let fields = format!("Upload-Length: {length}\r\nUpload-Metadata: filename Zg==\r\nContent-Length: 0\r\n");
    let r = ask_any(balancer, &format!("POST /a/ HTTP/1.1\r\n{TUS}{fields}\r\n"), b"");
    let location = r.is(201).header("Location").expect("a Location").to_owned();
    location[location.find("/a/").expect("a path")..].to_owned()
}

fn offset(balancer: SocketAddr, target: &str) -> usize {
    let r = ask_any(balancer, &format!("HEAD {target} HTTP/1.1\r\n{TUS}\r\n"), b"");
    r.is(200).header("Upload-Offset").and_then(|text| text.parse().ok()).expect("an offset")
}

fn patch(target: &str, at: usize, length: usize) -> String {
    let fields = "Content-Type: application/offset+octet-stream\r\n";
    format!("PATCH {target} HTTP/1.1\r\n{TUS}{fields}Upload-Offset: {at}\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn an_upload_goes_on_behind_haproxy_when_its_instance_is_killed() {
    if on_nginx() || !has("haproxy") {
        return;
    }
    let setup = Setup::full("").file("html/f", "f").mkdir("html/a");
    let instances = [Instance::new(&setup, "one"), Instance::new(&setup, "two")];
    let mut running: Vec<Option<Process>> = instances.iter().map(|instance| Some(instance.start())).collect();
    let (balancer, _process) = balance(&setup, &instances);
    // What clients are told is where the balancer is, not an instance.
    let mut client = Client::connect(balancer);
    let seen = format!("http://site.test:{}/a/", balancer.port());
    client.request("GET /a HTTP/1.1\r\nHost: site.test\r\n\r\n").is(301).has("Location", &seen);
    let put = "PUT /a/put HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1\r\n\r\nx";
    client.request(put).is(201).has("Location", &format!("{seen}put"));
    drop(client);
    let content = noise(600_000);
    let target = create(balancer, content.len());
    let id = target.rsplit('=').next().unwrap_or_default();
    let part = setup.dir().join(format!("html/a/.webserv-upload-state/{id}.part"));
    let mut at = 0;
    // Whichever has it, the other goes on.
    for cut in [200_000, 400_000] {
        let mut client = Client::connect(balancer);
        client.send(patch(&target, at, content.len() - at)).send(&content[at..cut]);
        eventually("the piece is there", || std::fs::metadata(&part).is_ok_and(|meta| meta.len() == cut as u64));
        let has_it = |process: &Option<Process>| process.as_ref().is_some_and(|p| os::has_open(p.0.id(), &part));
        let holder = running.iter().position(has_it).expect("one of them has the file open");
        drop(running[holder].take());
        at = offset(balancer, &target);
        assert_eq!(at, cut);
        running[holder] = Some(instances[holder].start());
    }
    ask_any(balancer, &patch(&target, at, content.len() - at), &content[at..]).is(204);
    assert!(std::fs::read(setup.dir().join("html/a/f")).expect("it is there") == content);
    // Each of the two knows how it ended, also after it was killed itself.
    for gone in 0..2 {
        drop(running[gone].take());
        assert_eq!(offset(balancer, &target), content.len());
        running[gone] = Some(instances[gone].start());
    }
}

#[test]
fn rolling_restarts_behind_haproxy_lose_no_request() {
    if on_nginx() || !has("haproxy") {
        return;
    }
    let setup = Setup::full("").file("html/f", "f");
    let instances = [Instance::new(&setup, "one"), Instance::new(&setup, "two")];
    let mut running: Vec<Option<Process>> = instances.iter().map(|instance| Some(instance.start())).collect();
    let (balancer, _process) = balance(&setup, &instances);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost: Vec<String> = std::thread::scope(|scope| {
        // Also where a step below fails: the clients would go on for ever.
        let stopped = Stopped(&stop);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask(balancer, &stop, &answered))).collect();
        for at in 0..RESTARTS {
            let (instance, place) = (&instances[at % 2], &mut running[at % 2]);
            instance.drain(place.take().expect("it runs"));
            std::fs::write(&instance.log, "").expect("written");
            *place = Some(instance.start());
            // The other is not touched before this one has its share of the load again.
            let has_requests = || std::fs::metadata(&instance.log).is_ok_and(|log| log.len() > 0);
            eventually("the balancer sends requests to the instance that came back", has_requests);
        }
        drop(stopped);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let answered = answered.load(Ordering::Relaxed);
    println!("{RESTARTS} rolling restarts: {answered} requests answered, {} lost", lost.len());
    assert!(lost.is_empty() && answered > 100, "{answered} answered, lost: {lost:#?}");
}

/// nginx waits for ever behind an interim response, such as the 104 of the drafts of resumable uploads.
#[test]
fn resumable_uploads_pass_nginx_in_front() {
    if on_nginx() || !has("nginx") {
        return;
    }
    let site = "server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
         set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
         location /up/ { allowed_methods GET POST PUT PATCH DELETE; upload_resumable on; } }";
    let behind = http(site).mkdir("html/up").start();
    let front = free();
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("    {name}_temp_path {name};\n"));
    let replaced = [
        ("127.0.0.1:8081;\n        keepalive", format!("127.0.0.1:{};\n        keepalive", behind.port())),
        ("listen 8080;", format!("listen {front};")),
        ("http {\n", format!("http {{\n    access_log off;\n{}", temporary.concat())),
    ];
    let text = shipped("nginx-front.conf", &replaced);
    let config = behind.path("front.conf");
    std::fs::write(&config, format!("daemon off;\nmaster_process off;\npid front.pid;\n{text}")).expect("written");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(behind.path("")).arg("-c").arg(&config).args(["-e", "/dev/null"]).stderr(Stdio::null());
    os::inherit(&mut command, Vec::new());
    let _nginx = Process(command.stdin(Stdio::null()).spawn().expect("nginx starts"));
    eventually("nginx listens", || std::net::TcpStream::connect(front).is_ok());
    let seen = format!("http://site.test:{}/up/", front.port());
    let draft = "Upload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1";
    // A part of a file is none, whatever the proxy left out.
    std::fs::write(behind.path("html/up/part"), "whole").expect("written");
    let older = "Upload-Draft-Interop-Version: 3\r\nUpload-Incomplete: ?1";
    for (name, method, fields) in [
        ("draft", "PUT", draft),
        ("part", "PUT", older),
        ("plain", "PUT", "X: y"),
        ("tus", "POST", "Tus-Resumable: 1.0.0\r\nUpload-Length: 2\r\nContent-Type: application/offset+octet-stream"),
    ] {
        let fields = format!("Host: site.test\r\n{fields}\r\nContent-Length: 2");
        let r = Client::connect(front).request(format!("{method} /up/{name} HTTP/1.1\r\n{fields}\r\n\r\nhi"));
        let location = r.is(201).header("Location").expect("a Location").to_owned();
        assert!(location.starts_with(&seen), "{name}: {location}");
    }
    assert_eq!(std::fs::read_to_string(behind.path("html/up/part")).expect("it is there"), "whole");
}
