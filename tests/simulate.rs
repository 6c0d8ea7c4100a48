//! Seeded simulation: a real server on real sockets, in this thread, and clients that do to it what the network does.
//! They split bytes anywhere, stop reading, half-close, reset, spoil requests and jump the clock. After every round
//! the server's invariants are checked; at the end every request that was whole has had its one right answer and no
//! connection is left.
//!
//! `SEED=17 cargo test --test simulate` replays one run, `SEEDS=100000` makes more of them.

#[path = "simulate/client.rs"]
mod client;
#[path = "simulate/http2.rs"]
mod http2;
#[path = "simulate/judge.rs"]
mod judge;
#[path = "simulate/request.rs"]
mod request;
#[path = "simulate/rng.rs"]
mod rng;
#[path = "simulate/streams.rs"]
mod streams;

use client::Client;
use request::{LIVE, Maker, SIZES, content};
use rng::Rng;
use std::fs;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use webserv::config::build::Form;
use webserv::config::load::{LoadOptions, load_text};
use webserv::config::resolve::resolve;
use webserv::server::listeners::Listeners;
use webserv::server::signals::Signals;
use webserv::server::{Mode, Server};
use webserv::services::Services;
use webserv::services::logs::Logs;
use webserv::services::stats::Counter;
use webserv::sys::socket::Addr;

const SEEDS: u64 = 200;

#[test]
fn every_request_gets_its_answer_whatever_the_network_does() {
    over_seeds(|site, seed| World::new(site, seed).run());
}

/// Runs each seed; gives clients and answers of one.
fn over_seeds(run: impl Fn(&Site, u64) -> (usize, usize)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let site = Site::new(&name.replace("::", "-"));
    let (mut clients, mut answers) = (0, 0);
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| run(&site, seed))) {
            Ok((more_clients, more_answers)) => {
                clients += more_clients;
                answers += more_answers;
            }
            Err(panic) => {
                eprintln!("\nthe simulation failed: SEED={seed} cargo test --test simulate {name}");
                resume_unwind(panic);
            }
        }
    }
    println!("{clients} clients, {answers} answers");
}

/// What is served in every run.
struct Site {
    dir: PathBuf,
    files: Vec<Rc<[u8]>>,
}

impl Site {
    fn new(name: &str) -> Site {
        let dir = std::env::temp_dir().join(format!("webserv-simulate-{}-{}", std::process::id(), &name[..10]));
        fs::create_dir_all(dir.join("html/list")).expect("a temporary directory");
        fs::create_dir_all(dir.join("html/page")).expect("a temporary directory");
        let dir = dir.canonicalize().expect("just made");
        let files: Vec<Rc<[u8]>> = (0..SIZES.len()).map(|n| content(n).into()).collect();
        for (n, bytes) in files.iter().enumerate() {
            fs::write(dir.join(format!("html/f{n}")), bytes).expect("a file");
            fs::write(dir.join(format!("html/list/entry <{n}>")), b"").expect("a file");
        }
        let site = Site { dir, files };
        site.replace_live(0);
        site
    }

    /// Another version of `/live`, put in place whole.
    fn replace_live(&self, version: u8) {
        let fresh = self.dir.join("fresh");
        fs::write(&fresh, vec![version; LIVE]).expect("a file");
        fs::rename(fresh, self.dir.join("html/live")).expect("rename");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A server, and where its files are.
struct Served {
    server: Server,
    addr: Addr,
    log: PathBuf,
    store: PathBuf,
    /// Uploads come slowly.
    paced: bool,
    seed: u64,
}

struct World<'a> {
    site: &'a Site,
    rng: Rng,
    served: Served,
    clients: Vec<Client>,
    /// Those who will never say another word.
    silent: Vec<Client>,
    maker: Maker,
    /// Clients made, and answers they saw.
    made: usize,
    answers: usize,
    /// Clock jumps so far, until they add up to a timeout.
    jumped: u64,
    jumps: bool,
}

/// Below the shortest timeout of the configuration. The server's clock is the machine's, with jumps: timeouts are long
/// beside anything that a busy machine does to this process.
const PATIENCE: u64 = 80_000;

/// What takes no time at all, on a machine that has other things to do.
const AT_ONCE: Duration = Duration::from_secs(60);

impl<'a> World<'a> {
    fn new(site: &'a Site, seed: u64) -> World<'a> {
        let mut rng = Rng::new(seed);
        let served = serve(site, &mut rng, seed, "");
        let jumps = rng.percent(40);
        let maker = Maker::new(site.files.clone(), seed);
        World {
            site,
            rng,
            served,
            clients: Vec::new(),
            silent: Vec::new(),
            maker,
            made: 0,
            answers: 0,
            jumped: 0,
            jumps,
        }
    }

    /// Gives how many clients there were, and how many answers they saw.
    fn run(mut self) -> (usize, usize) {
        for _ in 0..200 + self.rng.below(600) {
            self.step();
            if self.rng.percent(70) {
                self.served.poll();
            }
        }
        self.settle();
        self.end();
        self.served.judge_log();
        self.served.judge_store();
        (self.made, self.answers)
    }

    /// A client, the server or an upstream goes on.
    fn step(&mut self) {
        if self.clients.is_empty() || self.clients.len() < 8 && self.rng.percent(8) {
            return self.connect();
        }
        let at = self.rng.below(self.clients.len());
        let rng = &mut self.rng;
        let client = &mut self.clients[at];
        match rng.below(100) {
            0..=44 => _ = client.send(rng.size(30_000)),
            45..=84 => _ = client.receive(rng.size(60_000)),
            85..=88 if client.may_add() && !client.over => plan(client, &mut self.maker, rng),
            89..=90 => client.half_close(),
            91..=92 => {
                if rng.percent(50) {
                    client.prepare_reset();
                }
                self.leave(at);
            }
            93..=94 => self.site.replace_live(rng.next() as u8),
            95..=97 if self.jumps => {
                let ms = if rng.percent(20) { rng.size(1_000_000) } else { rng.size(20_000) } as u64;
                self.jump(ms);
            }
            _ => {}
        }
    }

    fn connect(&mut self) {
        self.made += 1;
        let name = format!("client {}", self.made);
        let Some(mut client) = Client::connect(&self.served.addr, name, &mut self.rng) else { return };
        client.wild = self.rng.percent(25);
        plan(&mut client, &mut self.maker, &mut self.rng);
        self.clients.push(client);
    }

    fn leave(&mut self, at: usize) {
        let client = self.clients.swap_remove(at);
        self.answers += client.answers;
        self.served.judge_uploads(client.uploads);
    }

    fn jump(&mut self, ms: u64) {
        self.served.server.cx.now.jump(ms);
        self.jumped += ms;
        if self.jumped > PATIENCE {
            self.jumped = 0;
            self.clients.iter_mut().for_each(|client| client.late = true);
        }
    }

    /// Everyone goes on as fast as they can, until all is answered.
    fn settle(&mut self) {
        let mut wait = Wait::new();
        loop {
            let mut moved = false;
            for client in &mut self.clients {
                moved |= client.progress();
            }
            self.served.poll();
            match wait.after(moved, self.clients.iter().all(Client::is_settled), self.served.paced, || self.unsettled())
            {
                Then::Settled => return,
                Then::Jump(ms) => self.jump(ms),
                Then::GoOn => {}
            }
        }
    }

    fn unsettled(&self) -> String {
        let waiting = self.clients.iter().filter(|client| !client.is_settled());
        waiting.map(|client| client.shown() + "\n").collect()
    }

    /// Everyone leaves, or the server does; in either case nothing stays behind.
    fn end(&mut self) {
        let quits = self.rng.percent(30);
        if quits {
            self.served.server.quit();
        } else {
            while !self.clients.is_empty() {
                if self.rng.percent(30) {
                    // Gone without a word: only a timeout can tell.
                    self.silent.push(self.clients.swap_remove(0));
                } else {
                    self.leave(0);
                }
            }
            // A client that has closed is let go at once; no timeout is needed for that.
            let begun = Instant::now();
            while self.served.server.connections() > self.silent.len() {
                assert!(begun.elapsed() < AT_ONCE, "connections of clients that left stay open");
                self.served.poll();
            }
        }
        for _ in 0..6 {
            self.served.poll();
            self.served.server.cx.now.jump(1_200_000);
        }
        self.served.poll();
        assert_eq!(self.served.server.connections(), 0, "connections are left");
        assert_eq!(self.served.server.mode == Mode::Stopped, quits, "{:?}", self.served.server.mode);
        while !self.clients.is_empty() {
            self.clients[0].late = true;
            while self.clients[0].receive(100_000) {}
            self.leave(0);
        }
        let stats = &self.served.server.cx.stats;
        assert_eq!(stats.get(Counter::Accepted), stats.get(Counter::Handled));
        assert!(stats.get(Counter::Requests) as usize >= self.answers, "{} answers", self.answers);
    }
}

/// A server over a socket of its own. `lines` stand in its configuration.
fn serve(site: &Site, rng: &mut Rng, seed: u64, lines: &str) -> Served {
    let (log, store) = (site.dir.join(format!("error-{seed}.log")), site.dir.join(format!("html/up-{seed}")));
    fs::create_dir_all(&store).expect("a directory");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut listeners = Listeners::default();
    let mut options = String::new();
    let (addr, listen) = if rng.percent(50) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let std::net::SocketAddr::V4(addr) = socket.local_addr().expect("bound") else { unreachable!("asked for") };
        assert!(listeners.inherit(&format!("{};", socket.into_raw_fd()), "").is_empty());
        if rng.percent(50) {
            options = format!(" sndbuf={}", 1 << (12 + rng.below(6)));
        }
        (Addr::V4(addr), addr.to_string())
    } else {
        let path = site.dir.join(format!("socket-{seed}"));
        (Addr::Unix(path.clone()), format!("unix:{}", path.display()))
    };
    let text = config(rng, lines, site, &log, &store, &format!("{listen}{options}"));
    let options = LoadOptions::default();
    let mut loaded = load_text("simulate.conf", text.as_bytes(), &options);
    let resolved = resolve(&mut loaded, &site.dir, Form::Webserv, Vec::new(), None);
    let shown = resolved.diagnostics.render(&loaded.sources, "simulate");
    let Some(config) = resolved.config else { panic!("{shown}") };
    let mut logs = Logs::new();
    logs.open(&config).expect("logs in a temporary directory");
    listeners.open(&config).expect("a free address");
    let cx = Services::new(Rc::new(config), logs);
    let server = Server::new(cx, listeners, Signals::none()).expect("epoll");
    let paced = !text.contains("upload_limit_rate 0;");
    Served { server, addr, log, store, paced, seed }
}

/// How long nothing has moved, while everyone goes on as fast as they can. Rounds are free; only where the kernel's own
/// timers are at work (a full window) does it take time.
struct Wait {
    begun: Instant,
    since: Instant,
}

enum Then {
    Settled,
    GoOn,
    /// What is paced waits for its time, in milliseconds.
    Jump(u64),
}

impl Wait {
    fn new() -> Wait {
        Wait { begun: Instant::now(), since: Instant::now() }
    }

    fn after(&mut self, moved: bool, is_settled: bool, paced: bool, unsettled: impl Fn() -> String) -> Then {
        assert!(self.begun.elapsed() < Duration::from_millis(PATIENCE), "these are too slow:\n{}", unsettled());
        if moved {
            self.since = Instant::now();
        } else if is_settled {
            return Then::Settled;
        } else if self.since.elapsed() > AT_ONCE {
            panic!("these wait for ever:\n{}", unsettled());
        } else if self.since.elapsed() > Duration::from_millis(2) {
            if paced {
                return Then::Jump(25);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Then::GoOn
    }
}

impl Served {
    fn poll(&mut self) {
        self.server.poll();
        self.server.check_invariants();
    }

    /// Each upload by its name and content: stored whole, or not at all.
    fn judge_uploads(&self, uploads: impl IntoIterator<Item = (String, Vec<u8>, bool)>) {
        for (name, content, is_stored) in uploads {
            let found = fs::read(self.store.join(&name)).ok();
            assert_eq!(found.is_some(), is_stored, "{name} in the store");
            assert!(found.is_none_or(|found| found == content), "{name} has another content");
        }
    }

    /// A request that panicked, or anything else that is the server's fault, is in its log.
    fn judge_log(&self) {
        let text = fs::read_to_string(&self.log).expect("the error log");
        let fault = |line: &&str| ["[alert]", "[crit]", "[emerg]"].iter().any(|level| line.contains(level));
        let faults: Vec<&str> = text.lines().filter(fault).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let _ = fs::remove_file(&self.log);
    }

    /// An upload is there whole or not at all: every name is one that was asked for, nothing is half done.
    fn judge_store(&self) {
        for entry in fs::read_dir(&self.store).expect("the store") {
            let name = entry.expect("an entry").file_name();
            let ours = format!("u{}-", self.seed);
            assert!(name.to_string_lossy().starts_with(&ours), "{name:?} was left in the store");
        }
        let _ = fs::remove_dir_all(&self.store);
    }
}

/// Adds a few requests to what the client will send.
fn plan(client: &mut Client, maker: &mut Maker, rng: &mut Rng) {
    let count = if rng.percent(3) { 200 } else { 1 + rng.below(20) };
    for _ in 0..count {
        if !client.may_add() {
            return;
        }
        if client.wild && rng.percent(50) {
            client.add_wild(&maker.spoiled(rng));
        } else if client.wild {
            let request = maker.valid(rng);
            if !request.owed.to_head && request.owed.stores.is_none() {
                client.add_wild(&request.bytes);
            }
        } else {
            client.add(maker.valid(rng));
        }
    }
}

fn config(rng: &mut Rng, lines: &str, site: &Site, log: &Path, store: &Path, listen: &str) -> String {
    let (dir, log, store) = (site.dir.display(), log.display(), store.display());
    let sendfile = rng.pick(&["on", "off"]);
    let buffers = rng.pick(&["4 8k", "8 4k"]);
    let lingering = rng.pick(&["on", "always"]);
    let rate = rng.pick(&["0", "0", "300k"]);
    let access = rng.pick(&["off", "access.log", "access.log combined buffer=4k flush=1s"]);
    format!(
        "error_log {log} info;
         events {{ worker_connections 64; }}
         http {{
             access_log {access};
             sendfile {sendfile};
             {lines}
             large_client_header_buffers {buffers};
             client_header_timeout 100s; client_body_timeout 120s; send_timeout 150s; keepalive_timeout 200s;
             lingering_close {lingering}; lingering_time 400s; lingering_timeout 200s;
             server {{
                 listen {listen};
                 root {dir}/html;
                 location / {{ }}
                 location /list/ {{ autoindex on; }}
                 location /gone/ {{ return 410; }}
                 location /page/ {{ error_page 404 /f2; }}
                 location /up/ {{
                     alias {store}/;
                     allowed_methods GET POST PUT DELETE;
                     client_max_body_size 1m;
                     upload_limit_rate {rate};
                 }}
             }}
         }}"
    )
}
