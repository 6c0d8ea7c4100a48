//! Several instances behind a load balancer, as docs/fleet.md has it: they are restarted one after the other under load,
//! and no request is lost.

use crate::client::Client;
use crate::harness::{Setup, eventually, on_nginx, skipped};
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
             location = /health {{ access_log off; health; }}\n}}\n"
        );
        std::fs::write(&config, text).expect("written");
        Instance { address, config, log: setup.dir().join(format!("logs/{name}.access")) }
    }

    fn start(&self) -> Process {
        let mut command = Command::new(BINARY);
        command.arg("-q").arg(&self.config).env_remove("NGINX").stdin(Stdio::null()).stderr(Stdio::null());
        os::inherit(&mut command, Vec::new());
        let process = Process(command.spawn().expect("the binary starts"));
        eventually("the instance listens", || std::net::TcpStream::connect(self.address).is_ok());
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

#[test]
fn rolling_restarts_behind_haproxy_lose_no_request() {
    if on_nginx() {
        return;
    }
    if Command::new("haproxy").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skipped("haproxy");
        return;
    }
    let setup = Setup::full("").file("html/f", "f");
    let instances = [Instance::new(&setup, "one"), Instance::new(&setup, "two")];
    let balancer = free();
    // What is shipped, but for addresses and how often it looks.
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/haproxy.cfg");
    let text = std::fs::read_to_string(shipped).expect("it is shipped");
    let replaced = [
        ("bind :8080", format!("bind {balancer}")),
        ("127.0.0.1:8081\n    server", format!("{}\n    server", instances[0].address)),
        ("server two 127.0.0.1:8082", format!("server two {}", instances[1].address)),
        ("inter 1s", "inter 200ms".to_owned()),
    ];
    let text = replaced.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "contrib/haproxy.cfg has no {from:?} any more");
        text.replace(from, to)
    });
    let config = setup.dir().join("haproxy.cfg");
    std::fs::write(&config, text).expect("written");

    let mut running: Vec<Option<Process>> = instances.iter().map(|instance| Some(instance.start())).collect();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    os::inherit(&mut command, Vec::new());
    let _balancer = Process(command.spawn().expect("haproxy starts"));
    eventually("the balancer answers", || {
        std::net::TcpStream::connect(balancer).is_ok() && Client::connect(balancer).get("/f").status == 200
    });

    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost: Vec<String> = std::thread::scope(|scope| {
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
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let answered = answered.load(Ordering::Relaxed);
    println!("{RESTARTS} rolling restarts: {answered} requests answered, {} lost", lost.len());
    assert!(lost.is_empty() && answered > 100, "{answered} answered, lost: {lost:#?}");
    drop(running);
    let _ = std::fs::remove_dir_all(setup.dir());
}
