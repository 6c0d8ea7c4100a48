//! What `webserv explain` says is what the running server does: configurations and requests drawn by chance, each
//! request asked of both. `SEED=n` replays one configuration, `SEEDS=n` draws more of them.

mod draw;
mod traced;

use crate::client::{Client, Framing, Response};
use crate::harness::{Server, Setup, binary, skip_on_nginx};
use crate::http2::client::{H2, head_for};
use crate::over_tls::{self, Tls};
use crate::tls;
use draw::{CGI, FILES, Question, Rng, configuration, question};
use rustls::sign::CertifiedKey;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use webserv::config::certificates;

/// Requests for each configuration.
const REQUESTS: usize = 40;

/// What is compared of an answer: the status and its fields, but for what is the connection's and what time makes.
fn facts(status: u16, fields: impl Iterator<Item = (String, String)>) -> (u16, BTreeSet<String>) {
    const LEFT_OUT: [&str; 5] = ["date", "connection", "keep-alive", "transfer-encoding", "expires"];
    // HTTP/2 has small letters.
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let kept = fields.filter(|(name, _)| !LEFT_OUT.contains(&&**name));
    (status, kept.map(|(name, value)| format!("{name}: {value}")).collect())
}

fn live(mut client: Client, asked: &Question) -> Result<Response, String> {
    let Question { method, target, host, fields, body } = asked;
    let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    // What is refused at once may be answered, and closed, before the body is out.
    client.try_send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n{body}"));
    client.try_response(method == "HEAD").map_err(|end| format!("{end:?}"))
}

/// A client over TLS, under the name of the host, that has a certificate or none.
fn secure(server: &Server, asked: &Question, certificate: Option<Arc<CertifiedKey>>) -> Client {
    let name = asked.host.trim_end_matches('.').to_ascii_lowercase();
    Client::secure(server.address(2), Tls::to(&name, certificate))
}

/// The certificate that servers of these configurations trust clients by.
fn of_client(server: &Server) -> Option<Arc<CertifiedKey>> {
    let [certificate, key] =
        ["client.crt", "client.key"].map(|name| std::fs::read(server.path(&format!("conf/{name}"))));
    certificates::pair(&certificate.ok()?, &key.ok()?, &[]).ok().map(Arc::new)
}

/// The same as a stream of HTTP/2.
fn live_http2(server: &Server, asked: &Question) -> Result<Response, String> {
    let Question { method, target, host, fields, body } = asked;
    let fields: Vec<(String, &str)> = fields
        .iter()
        .filter_map(|field| field.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, *value)).collect();
    let mut client = H2::connect(server.address(0));
    let stream = client.next_stream();
    client.send(&head_for(host, stream, method, target, &fields, body.is_empty()));
    if !body.is_empty() {
        client.data(stream, body.as_bytes(), true);
    }
    let answer = client.answer(stream);
    if answer.status == 0 {
        return Err(format!("reset: {:?}", answer.reset));
    }
    let headers = answer.fields.into_iter().filter(|(name, _)| !name.starts_with(':')).collect();
    let (head, framing, trailers) = (Vec::new(), Framing::Close, answer.trailers);
    Ok(Response { status: answer.status, headers, body: answer.body, framing, trailers, head })
}

/// Explain cannot know whether a limit is reached; it names the limit that holds here, and its line.
fn is_limited(server: &Server, text: &str, live: &Response, asked: &Question) -> bool {
    let at = live.header("X-Where").and_then(|at| at.parse::<usize>().ok());
    let config = String::from_utf8_lossy(&server.read("conf/test.conf")).into_owned();
    let is_said = |at: usize| text.contains(&format!("conf/test.conf:{at}]"));
    let limits = |at: usize| {
        let block = config.lines().skip(at).take_while(|line| !line.starts_with('}'));
        block.clone().any(|line| line.starts_with("limit_req "))
    };
    live.status == 429 && asked.target.contains("?x=") && at.is_some_and(|at| is_said(at) && limits(at))
}

fn explained(server: &Server, asked: &Question, way: Way) -> String {
    let mut command = Command::new(binary());
    command.arg("explain").args(["-H", &format!("Host: {}", asked.host)]);
    match way {
        Way::TlsWithCertificate => command.arg("--client-cert"),
        Way::Http2 => command.arg("--http2"),
        Way::Http1 | Way::Tls => &mut command,
    };
    asked.fields.iter().for_each(|field| {
        command.args(["-H", field]);
    });
    let (scheme, port) = if way.is_secure() { ("https", server.address(2).port()) } else { ("http", server.port()) };
    let url = format!("{scheme}://127.0.0.1:{port}{}", asked.target);
    command.args(["conf/test.conf", &asked.method, &url]).current_dir(server.path("")).env_remove("NGINX");
    let out = command.output().expect("the binary runs");
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{} {url}: {errors}", asked.method);
    text.into_owned()
}

/// The lines of a subject: its own, and those below it without one.
fn subject<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().take_while(|line| !line.starts_with("settings at")) {
        if !line.starts_with(' ') {
            inside = line.split(' ').next() == Some(name);
        }
        if inside && !line.trim().is_empty() {
            found.push(line.strip_prefix(name).unwrap_or(line).trim());
        }
    }
    found
}

/// What explain has wrong, or None.
fn difference(server: &Server, text: &str, live: &Result<Response, String>, asked: &Question) -> Option<String> {
    let is_head = asked.method == "HEAD";
    let mut answer = subject(text, "answer");
    // The upstreams of these configurations let requests in, but for those whose conditions they answer by 304 or 412.
    if answer.first()?.starts_with("depends on what the upstream of") {
        let is_conditional = asked.fields.iter().any(|field| field.starts_with("If-"));
        if is_conditional && live.as_ref().is_ok_and(|live| live.status == 500) {
            return None;
        }
        answer.remove(0);
    }
    let first = *answer.first()?;
    let live = match live {
        Err(_) if first.starts_with("none: the connection is closed") => return None,
        Err(end) => return Some(format!("closed ({end})")),
        Ok(live) => live,
    };
    if first.starts_with("none: the connection is closed") {
        return Some("it is answered".into());
    }
    if first.starts_with("is the upstream's") {
        return passed(server, text, live, is_head);
    }
    if first.starts_with("depends on the body") {
        return written(text, live, &asked.method);
    }
    if is_limited(server, text, live, asked) {
        return None;
    }
    let status: u16 = first.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
    let field = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let said = facts(status, answer.iter().skip(1).filter_map(field));
    let mut done = facts(live.status, live.headers.iter().cloned());
    if answer.last().is_some_and(|line| line.starts_with("and a Content-Length where a GET ")) && is_head {
        done.1.retain(|field| !field.starts_with("content-length: "));
    }
    if said != done {
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
        return Some(format!(
            "said {} [{}], done {} [{}]",
            said.0,
            only(&said.1, &done.1),
            done.0,
            only(&done.1, &said.1)
        ));
    }
    // The location is that of the last line that has one.
    let place = live.header("X-Where").filter(|at| at.bytes().all(|byte| byte.is_ascii_digit()));
    let taken = subject(text, "location").iter().rfind(|line| line.contains(" for /")).map(|line| (*line).to_owned());
    if let (Some(at), Some(taken)) = (place, &taken)
        && !taken.contains("limit_except")
        && !taken.ends_with(&format!("conf/test.conf:{at}]"))
        && !text.contains("@named")
    {
        return Some(format!("answered by the location of line {at}, said was {taken}"));
    }
    let file = subject(text, "file").last().map(|path| (*path).to_owned());
    let root = format!("{}/", server.path("").display()).replace("//", "/");
    if let Some(file) = file.filter(|_| live.status == 200 && !is_head && live.header("Content-Encoding").is_none()) {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_owned();
        if FILES.contains(&&*name) && live.text() != name {
            return Some(format!("file {name}, sent was {:?}", live.text()));
        }
    }
    None
}

/// Of a request that was passed on: to the right place, and as it was said.
fn passed(server: &Server, text: &str, live: &Response, is_head: bool) -> Option<String> {
    let handler = subject(text, "handler").last().copied().unwrap_or_default();
    let (body, is_coded) = (live.text(), live.header("Content-Encoding").is_some());
    let peer = subject(text, "upstream").concat();
    if handler.starts_with("cgi_pass") {
        // A program that may not be run, or is none, is refused by what is found at the time.
        let is_program = body.starts_with("program ") || is_head || is_coded || live.status != 200;
        return (!is_program).then(|| format!("not the program's: {body:?}"));
    }
    if handler.starts_with("fastcgi_pass") {
        // Where nothing listens, 200 is the status that error_page gives its page.
        let has_page = text.contains("  error_page 502 =200 ");
        let is_answered = live.status != 200 || has_page || body == "html/e404.html";
        let is_dead = peer == "127.0.0.1:9" && is_answered || is_head || is_coded;
        return (!is_dead).then(|| format!("upstream {peer:?}, answered was {}", live.status));
    }
    let url = handler.split("proxy_pass: ").nth(1).unwrap_or_default().split("  [").next().unwrap_or_default();
    let port = server.address(1).port().to_string();
    if !peer.contains(&port) {
        return Some(format!("upstream {peer:?} is not port {port}"));
    }
    let uri = url.split_once("://").map_or("", |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    let uri = if uri.starts_with('/') { uri.to_owned() } else { format!("/{uri}") };
    // The answer of the other server may be changed by the way; that it is its answer, its text says.
    let is_passed = body.starts_with("up ") || is_head || is_coded || live.status != 200;
    let same = !body.starts_with("up ") || body.ends_with(&format!(" {uri}"));
    (!is_passed || !same).then(|| format!("passed on as {body:?}, said was {uri:?}"))
}

/// Of a request that changes something: it was let in, and what it made is where it was said to be.
fn written(text: &str, live: &Response, method: &str) -> Option<String> {
    // Whatever the body is, these are known without it.
    if [301, 302, 401, 405, 500, 501, 502].contains(&live.status) {
        return Some(format!("said to depend on the body, done {}", live.status));
    }
    let place = subject(text, "store").last().or(subject(text, "file").last()).map(|path| (*path).to_owned());
    let place = place.unwrap_or_default();
    let makes = ["PUT", "MKCOL"].contains(&method) && [201, 204].contains(&live.status);
    (makes && !Path::new(&place).exists()).then(|| format!("answered {}, but there is no {place:?}", live.status))
}

/// How a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    Tls,
    TlsWithCertificate,
}

impl Way {
    fn is_secure(self) -> bool {
        matches!(self, Way::Tls | Way::TlsWithCertificate)
    }
}

/// A server of a drawn configuration, with the files that it is about.
fn drawn(config: &str) -> Server {
    let mut setup = Setup::full(config).file("users", "alice:{PLAIN}secret\n").allow_log("");
    for name in FILES {
        setup = setup.file(name, name);
    }
    for name in CGI {
        let program = format!("#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nprogram {name}'\n");
        setup = setup.file(name, program).mode(name, 0o755);
    }
    for name in ["store", "dav", "dav/sub"] {
        setup = setup.mkdir(name).mode(name, 0o777);
    }
    let pair = over_tls::pair();
    // Without openssl no client has a certificate.
    if !tls::certificate(setup.dir(), "client", "ec") {
        setup = setup.file("conf/client.crt", &*pair.certificate);
    }
    setup.file("conf/pair.crt", &*pair.certificate).file("conf/pair.key", &*pair.key).start()
}

#[test]
fn what_is_said_of_requests_drawn_by_chance_is_what_is_done() {
    if skip_on_nginx("explain") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("SEEDS").unwrap_or(8),
    };
    let (mut asked, mut wrong) = (0, Vec::new());
    for seed in seeds {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| {
            rng.next();
        });
        let config = configuration(&mut rng);
        let server = drawn(&config);
        let certificate = of_client(&server);
        for at in 0..REQUESTS {
            let question = question(&mut rng);
            let way = match at % 5 {
                2 if !question.fields.iter().any(|field| field.starts_with("Expect")) => Way::Http2,
                3 => Way::Tls,
                4 if certificate.is_some() => Way::TlsWithCertificate,
                _ => Way::Http1,
            };
            let text = explained(&server, &question, way);
            let answer = match way {
                Way::Http1 => live(server.client(), &question),
                Way::Http2 => live_http2(&server, &question),
                Way::Tls => live(secure(&server, &question, None), &question),
                Way::TlsWithCertificate => live(secure(&server, &question, certificate.clone()), &question),
            };
            asked += 1;
            if let Some(why) = difference(&server, &text, &answer, &question) {
                let Question { method, target, host, fields, .. } = &question;
                wrong.push(format!("SEED={seed} {way:?} {method} {target} Host: {host} {fields:?}: {why}"));
                if number("SEED").is_some() {
                    println!("{}\n{text}\n", wrong.last().expect("just pushed"));
                }
            }
        }
        if number("SEED").is_some() {
            println!("{config}");
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
