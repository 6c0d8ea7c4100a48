//! The same configuration, the same requests, webserv and nginx beside each other: what they answer, log and say.
//!
//! The cases stand in `tests/differential/*.case` (`cases` has their notation) and are read when the test runs. What is
//! each server's own is taken out before the comparison (`facts`); a difference on purpose is marked with its reason,
//! and a mark that no longer holds fails. `ROW=text` runs only the cases whose name contains the text. Without nginx
//! the comparison is skipped, loudly (`oracle`).

mod backends;
mod cases;
mod dice;
mod facts;
mod generated;
mod kinds;
mod verdicts;

use crate::client::LIMIT;
use crate::harness::{Server, Setup, binary, skip_on_nginx};
use crate::real_confs::oracle;
use cases::{Asked, Case};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// When every served file was written: dates in answers and listings are comparable.
const WRITTEN: Duration = Duration::from_secs(1_577_934_245);

const LOG: &str = "log_format facts '\"$request\" $status $body_bytes_sent $request_length \"$uri\" \
    \"$server_name\" \"$host\" \"$http_referer\" $request_completion';\n\
    types { text/html html htm; text/plain txt; text/css css; application/javascript js; image/png png;\n\
    image/jpeg jpg; application/json json; text/xml xml; }\n";

fn setup(case: &Case) -> Setup {
    let mut setup = Setup::full(&format!(
        "%%PREAMBLE%%\nevents {{ worker_connections 512; }}\nhttp {{\n{LOG}access_log logs/access.log facts;\n{}}}\n",
        case.conf
    ));
    // What a case provokes is its own matter.
    for level in ["[crit]", "[alert]", "[emerg]"] {
        setup = setup.allow_log(level);
    }
    for dir in &case.dirs {
        setup = setup.mkdir(dir);
    }
    for (path, content) in &case.files {
        setup = setup.file(path, content);
    }
    for (path, target) in &case.links {
        setup = setup.link(path, target);
    }
    date(&setup.dir().join("html"));
    setup
}

fn date(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            date(&entry.path());
        }
    }
    if let Ok(file) = File::open(path) {
        file.set_modified(SystemTime::UNIX_EPOCH + WRITTEN).expect("our own file");
    }
}

fn ask(server: &Server, bytes: &[u8]) -> String {
    answered(server, bytes, facts::Of::Servers)
}

fn answered(server: &Server, bytes: &[u8], of: facts::Of) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut client = server.client();
    if text.contains("%%PORT%%") {
        client.try_send(text.replace("%%PORT%%", &server.port().to_string()));
    } else {
        client.try_send(bytes);
    }
    // What a backend takes long for must not pass for a difference.
    let limit = if of == facts::Of::Backends { LIMIT } else { Duration::from_secs(5) };
    facts::answers(server, bytes, &client.rest_within(limit), of)
}

/// Answers to each request, then the logs.
fn run(case: &Case, mut server: Server) -> Vec<String> {
    let mut facts: Vec<String> = case.asks.iter().map(|asked| ask(&server, &asked.bytes)).collect();
    // A connection that lingers is logged when it ends, which a turn of the loop may bring.
    ask(&server, b"GET /a-last-one HTTP/1.0\r\n\r\n");
    server.stop();
    let marked = case.asks.iter().any(|asked| asked.differs.is_some());
    facts.push(if marked || case.unlogged { String::new() } else { facts::access_log(&server, case.unsized_) });
    facts.push(if case.quiet || marked { String::new() } else { facts::error_log(&server) });
    facts
}

fn short(text: &str) -> String {
    text.chars().take(600).collect()
}

/// The lines that only one of the two has; both as they are when it is their order that differs.
fn apart(ours: &str, theirs: &str) -> String {
    let only = |sign: char, lines: &str, other: &str| {
        let mut other: Vec<&str> = other.lines().collect();
        let mut alone = String::new();
        for line in lines.lines() {
            match other.iter().position(|known| *known == line) {
                Some(at) => drop(other.swap_remove(at)),
                None => alone.push_str(&format!("{sign} {}\n", short(line))),
            }
        }
        alone
    };
    let lines = only('-', ours, theirs) + &only('+', theirs, ours);
    if lines.is_empty() { format!("--- webserv\n{}\n--- nginx\n{}", short(ours), short(theirs)) } else { lines }
}

fn compare(file: &str) {
    if skip_on_nginx("both servers are started here") {
        return;
    }
    let Some(nginx) = oracle() else {
        let _ = writeln!(std::io::stderr(), "skipped: {file}: no nginx to compare with (WEBSERV_ORACLE)");
        return;
    };
    let only = std::env::var("ROW").ok();
    let text = read(file);
    let (mut different, mut asked) = (Vec::new(), 0);
    for case in cases::parse(&text) {
        if only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
            continue;
        }
        asked += case.asks.len();
        let ours = run(&case, setup(&case).start());
        let theirs = run(&case, setup(&case).start_on(&nginx));
        for (at, (got, wanted)) in ours.iter().zip(&theirs).enumerate() {
            let ask = case.asks.get(at);
            let shown = ask.map_or(["access log", "error log"][at.saturating_sub(case.asks.len())], |ask| &ask.shown);
            match ask.and_then(|ask| ask.differs.as_ref()) {
                Some(reason) if got == wanted => different
                    .push(format!("=== {}\n{shown}\nno longer differs ({reason}): strike out the mark", case.name)),
                None if got != wanted => {
                    different.push(format!("=== {}\n{shown}\n{}", case.name, apart(got, wanted)));
                }
                _ => {}
            }
        }
    }
    println!("{file}: {asked} requests");
    assert!(different.is_empty(), "{file}: {} differences:\n{}", different.len(), different.join("\n\n"));
}

/// What `webserv explain` makes of the same question: the status of its answer, or what it says instead.
fn explained(server: &Server, (method, host, target, fields): &(String, String, String, Vec<String>)) -> String {
    let host = host.split(':').next().unwrap_or_default();
    let mut command = Command::new(binary());
    command.arg("explain").arg(server.path("conf/test.conf"));
    command.arg(format!("{method} http://{host}:{}{target}", server.port())).arg("-p").arg(server.setup.dir());
    for field in fields {
        command.arg("-H").arg(field);
    }
    let out = command.env_remove("NGINX").output().expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let answer = text.lines().rev().find_map(|line| line.strip_prefix("answer").map(str::trim).map(str::to_owned));
    answer.unwrap_or_else(|| format!("no answer: {text}{}", String::from_utf8_lossy(&out.stderr)))
}

/// Plain questions: no body, a host that is a name, a path.
fn is_plain(question: &(String, String, String, Vec<String>)) -> bool {
    let (method, host, target, fields) = question;
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    let named = named && port.bytes().all(|b| b.is_ascii_digit());
    let plain = target.starts_with('/') && target.is_ascii() && !target.contains(['#', '\\']);
    ["GET", "HEAD"].contains(&method.as_str()) && named && plain && fields.iter().all(|f| !f.ends_with(':'))
}

#[test]
fn explain_says_what_the_server_does() {
    if skip_on_nginx("webserv's own command") {
        return;
    }
    let (mut different, mut asked) = (Vec::new(), 0);
    for file in ["locations.case", "rewrites.case", "errors.case", "servers.case", "maps.case"] {
        for case in cases::parse(&read(file)) {
            let plain = |ask: &&Asked| ask.question.as_ref().is_some_and(is_plain);
            let asks: Vec<&Asked> = case.asks.iter().filter(plain).collect();
            if asks.is_empty() {
                continue;
            }
            let server = setup(&case).start();
            for ask in asks {
                let Some(question) = &ask.question else { continue };
                asked += 1;
                let text = String::from_utf8_lossy(&ask.bytes).replace("%%PORT%%", &server.port().to_string());
                let mut client = server.client();
                client.send(text);
                let answer = client.rest_within(LIMIT);
                let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
                let told = explained(&server, question);
                if !told.starts_with(&status) {
                    different.push(format!("=== {}\n{}\nserver {status:?}, explain {told:?}", case.name, ask.shown));
                }
            }
        }
    }
    println!("{asked} questions");
    assert!(different.is_empty(), "{} of {asked}:\n{}", different.len(), different.join("\n\n"));
}

fn read(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

macro_rules! files {
    ($($name:ident)*) => { $(#[test] fn $name() { compare(concat!(stringify!($name), ".case")); })* };
}

files! { locations files rewrites errors maps headers access variables http1 servers proxy heads sites }
