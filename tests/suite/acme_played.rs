//! Certificates by ACME where a real authority cannot be brought to do what is tested: one that is played says when to
//! renew, refuses, errs, and signs what has ended already.

use crate::acme::page;
use crate::harness::{Setup, eventually, http};
use crate::over_tls::Tls;
use crate::privsep::Parent;
use crate::tls::{certificate, tool};
use crate::upstream::{Peer, Request, Upstream};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// An answer that is given once, instead of what the authority does: what is asked for, the status, more fields, the
/// body.
type Fault = (&'static str, u16, &'static str, &'static str);

/// What the authority was asked, and is about to do.
#[derive(Default)]
struct Book {
    orders: Vec<Value>,
    renewals: Vec<String>,
    /// Keys of the accounts that were made.
    accounts: Vec<Value>,
    faults: Vec<Fault>,
    /// What was signed last.
    chain: String,
}

/// An authority that signs whatever is ordered, and says when it is to be renewed.
struct Played {
    upstream: Upstream,
    book: Arc<Mutex<Book>>,
}

/// A part of a signed request.
fn part(body: &[u8], name: &str) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    serde_json::from_slice(&unpadded(body[name].as_str().unwrap_or_default())).unwrap_or(Value::Null)
}

fn payload(body: &[u8]) -> Value {
    part(body, "payload")
}

fn unpadded(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let bits = four.iter().fold(0u32, |bits, byte| bits << 6 | u32::from(value(*byte))) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

fn sign(dir: &Path, request: &[u8], days: &str) -> String {
    std::fs::write(dir.join("conf/request.der"), request).expect("written");
    std::fs::write(dir.join("conf/extensions"), "authorityKeyIdentifier=keyid\nsubjectAltName=DNS:ari.test\n")
        .expect("written");
    let path = |name: &str| dir.join("conf").join(name).to_string_lossy().into_owned();
    let paths = [path("request.der"), path("localhost.crt"), path("localhost.key"), path("extensions")];
    let args = [
        "x509",
        "-req",
        "-inform",
        "DER",
        "-in",
        &paths[0],
        "-CA",
        &paths[1],
        "-CAkey",
        &paths[2],
        "-CAcreateserial",
        "-days",
        days,
        "-extfile",
        &paths[3],
    ];
    let output = tool("openssl", &args, b"").expect("openssl is there");
    String::from_utf8(output.stdout).expect("PEM")
}

/// The fields and the body of an answer.
fn answer(request: &Request, book: &mut Book, dir: &Path, windows: &[(&str, &str)], days: &str) -> (String, String) {
    let base = format!("http://{}", request.all("host").first().copied().unwrap_or_default());
    let fin = format!("{base}/fin");
    match request.target() {
        "/dir" => {
            let urls = json!({ "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/acct"),
                "newOrder": format!("{base}/order"), "renewalInfo": format!("{base}/ari") });
            (String::new(), urls.to_string())
        }
        "/acct" => {
            book.accounts.push(part(&request.body, "protected")["jwk"].clone());
            (format!("Location: {base}/acct/{}\r\n", book.accounts.len()), String::new())
        }
        "/order" => {
            book.orders.push(payload(&request.body));
            let order = json!({ "status": "ready", "authorizations": [], "finalize": fin });
            (format!("Location: {base}/order/1\r\n"), order.to_string())
        }
        "/order/1" => (String::new(), json!({ "status": "ready", "finalize": fin }).to_string()),
        "/fin" => {
            let csr = payload(&request.body)["csr"].as_str().map(unpadded).unwrap_or_default();
            book.chain = sign(dir, &csr, days);
            let order = json!({ "status": "valid", "authorizations": [], "finalize": fin,
                "certificate": format!("{base}/cert") });
            (String::new(), order.to_string())
        }
        "/cert" => (String::new(), book.chain.clone()),
        target if target.starts_with("/ari/") => {
            let (start, end) = windows[book.renewals.len().min(windows.len() - 1)];
            book.renewals.push(target.trim_start_matches("/ari/").to_owned());
            (String::new(), json!({ "suggestedWindow": { "start": start, "end": end } }).to_string())
        }
        _ => (String::new(), String::new()),
    }
}

type Windows = &'static [(&'static str, &'static str)];

/// To be renewed in years.
const LATE: Windows = &[("2090-01-01T00:00:00Z", "2090-01-02T00:00:00Z")];

impl Played {
    /// `windows`: how the answers about renewal begin and end, one after the other; the last stays. `days`: how long
    /// certificates are good.
    fn start(dir: PathBuf, windows: Windows, days: &'static str, faults: &[Fault]) -> Played {
        let book = Arc::new(Mutex::new(Book { faults: faults.to_vec(), ..Book::default() }));
        let shared = book.clone();
        let upstream = Upstream::start(move |peer: &mut Peer| {
            while let Some(request) = peer.request() {
                let (status, fields, body) = {
                    let mut book = shared.lock().expect("not poisoned");
                    match book.faults.iter().position(|(target, ..)| *target == request.target()) {
                        Some(at) => {
                            let (_, status, fields, body) = book.faults.remove(at);
                            (status, fields.to_owned(), body.to_owned())
                        }
                        None => {
                            let (fields, body) = answer(&request, &mut book, &dir, windows, days);
                            (200, fields, body)
                        }
                    }
                };
                let length = if request.line.starts_with("HEAD") { 0 } else { body.len() };
                let head =
                    format!("HTTP/1.1 {status} X\r\nReplay-Nonce: n\r\n{fields}Content-Length: {length}\r\n\r\n");
                if !peer.send(head.as_bytes()) || !peer.send(&body.as_bytes()[..length]) {
                    return;
                }
            }
        });
        Played { upstream, book }
    }

    /// The authority, and a server that gets a certificate of it. None: there is no openssl.
    fn with_server(windows: Windows, days: &'static str, faults: &[Fault]) -> Option<(Played, Setup)> {
        let setup = http(
            "keepalive_requests 1000000;
             acme_issuer played { uri http://%%CA%%/dir; state_path state; }
             server { listen 127.0.0.1:%%PORT%% ssl; server_name ari.test; acme_certificate played;
                 location / { return 200 ok; } location = /metrics { prometheus; } }",
        );
        if !certificate(setup.dir(), "localhost", "ec") {
            return None;
        }
        let played = Played::start(setup.dir().to_owned(), windows, days, faults);
        let setup = setup.replace("%%CA%%", &played.upstream.address.to_string());
        let setup = setup.restartable().allow_log("in use all the same").allow_log("acme issuer \"played\"");
        Some((played, setup))
    }

    fn look<T>(&self, at: impl FnOnce(&Book) -> T) -> T {
        at(&self.book.lock().expect("not poisoned"))
    }
}

fn issued(log: &str) -> usize {
    log.matches("issued by \"played\"").count()
}

#[test]
fn a_certificate_is_renewed_when_its_authority_wishes_and_names_what_it_replaces() {
    // The first certificate is to be replaced at once, the second in years.
    const WINDOWS: Windows = &[("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), LATE[0]];
    let Some((played, setup)) = Played::with_server(WINDOWS, "90", &[]) else { return };
    let server = setup.start();
    server.await_file("logs/error.log", |log| issued(log) == 2);
    eventually("the second was asked about", || played.look(|book| book.renewals.len()) == 2);
    let (orders, renewals) = played.look(|book| (book.orders.clone(), book.renewals.clone()));
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0].get("replaces"), None);
    assert_eq!(orders[1]["replaces"].as_str(), Some(renewals[0].as_str()), "the first is replaced");
    assert_ne!(renewals[0], renewals[1]);
    assert!(renewals[0].contains('.'));
    assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok");
    assert_eq!(issued(&server.error_log()), 2, "not renewed for ever");
}

#[test]
fn a_certificate_that_cannot_be_written_is_used_and_written_later() {
    let Some((played, setup)) = Played::with_server(LATE, "90", &[]) else { return };
    let mut server = setup.start();
    server.await_file("logs/error.log", |log| issued(log) == 1);
    let kept = || {
        let mut entries = server.path("state").read_dir().expect("there").map(|entry| entry.expect("an entry").path());
        entries.find(|path| path.extension().is_some_and(|end| end == "pem")).expect("the certificate is kept")
    };
    let path = kept();
    // As little as on a full disk can be written where a directory has the name.
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("made");
    server.kill_and_restart();
    server.await_file("logs/error.log", |log| log.contains("in use all the same; the write is tried again"));
    assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok");
    std::fs::remove_dir(&path).expect("nothing was written into it");
    server.await_file("logs/error.log", |log| log.contains("acme certificate for ari.test is on disk now"));
    assert_eq!(server.error_log().matches("in use all the same").count(), 1, "said once");
    server.kill_and_restart();
    assert_eq!(page(server.port(), "ari.test").expect("it was kept").0, "ok");
    assert_eq!(played.look(|book| book.orders.len()), 2, "no other was ordered");
}

#[test]
fn an_order_that_a_kill_broke_off_is_made_again_by_the_same_account() {
    let Some((played, setup)) = Played::with_server(LATE, "90", &[("/fin", 403, "", "{}")]) else { return };
    let mut server = setup.start();
    server.await_file("logs/error.log", |log| log.contains("finalize failed with status 403; next attempt in"));
    server.kill_and_restart();
    server.await_file("logs/error.log", |log| log.contains("for ari.test issued by"));
    assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok");
    let (orders, accounts) = played.look(|book| (book.orders.len(), book.accounts.clone()));
    assert_eq!(orders, 2);
    assert!(accounts.iter().all(|key| *key == accounts[0]), "{accounts:?}");
}

/// Started by root: each reload brings a fresh process, which has of ACME what is on disk.
#[test]
fn accounts_orders_and_certificates_are_taken_over_by_the_process_that_follows() {
    let signer = Setup::full("").mkdir("conf");
    if !certificate(signer.dir(), "localhost", "ec") {
        return;
    }
    let faults: [Fault; 1] = [("/fin", 403, "", "{}")];
    let played = Played::start(signer.dir().to_owned(), LATE, "90", &faults);
    let block = format!(
        "acme_issuer played {{ uri http://{}/dir; state_path DIR/up; }}
         server {{ listen 127.0.0.1:PORT; listen unix:DIR/up/tls ssl; server_name ari.test; acme_certificate played;
             root DIR/html; }}",
        played.upstream.address
    );
    let Some(s) = Parent::start_with("user nobody;", &block) else { return };
    let says = |what: &str, times: usize| eventually(what, || s.log().matches(what).count() == times);
    says("finalize failed with status 403; next attempt in", 1);
    // What was broken off is ordered again, by the same account.
    s.reload();
    says("for ari.test issued by", 1);
    s.reload();
    let (orders, accounts) = played.look(|book| (book.orders.len(), book.accounts.clone()));
    assert_eq!(orders, 2, "what was issued is not ordered again: {}", s.log());
    assert!(accounts.iter().all(|key| *key == accounts[0]), "{accounts:?}");
}

#[test]
fn a_pause_that_an_authority_wants_outlasts_the_process() {
    const MANY: &str = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}"#;
    let faults = [("/order", 429, "Retry-After: 86400\r\n", MANY)];
    let Some((played, setup)) = Played::with_server(LATE, "90", &faults) else { return };
    let mut server = setup.start();
    server.await_file("logs/error.log", |log| log.contains("(rateLimited); next attempt in 86400 seconds"));
    server.kill_and_restart();
    let log = server.await_file("logs/error.log", |log| log.contains("acme certificate for ari.test is not ordered"));
    assert!(log.contains("slow down (rateLimited); remove \""), "{log}");
    let entries = server.path("state").read_dir().expect("there").map(|entry| entry.expect("an entry").path());
    let kept = entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "retry")).expect("a file");
    assert_eq!(std::fs::metadata(&kept).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(played.look(|book| book.orders.len()), 0, "nothing was ordered");
    std::fs::remove_file(&kept).expect("removed");
    server.kill_and_restart();
    server.await_file("logs/error.log", |log| log.contains("for ari.test issued by"));
    assert!(!kept.exists());
}

#[test]
fn connections_and_requests_go_on_while_a_certificate_is_renewed() {
    const WINDOWS: Windows = &[("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), LATE[0]];
    let Some((_played, setup)) = Played::with_server(WINDOWS, "90", &[]) else { return };
    let server = setup.start();
    server.await_file("logs/error.log", |log| issued(log) >= 1);
    // On one connection from the first certificate into the time of the second.
    let mut tls = Tls::new();
    let mut tcp = TcpStream::connect(server.address(0)).expect("accepted");
    let mut ask = || {
        tls.write(&mut tcp, b"GET / HTTP/1.1\r\nHost: ari.test\r\n\r\n").expect("the connection goes on");
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"\r\n\r\nok") {
            let n = tls.read(&mut tcp, &mut piece).expect("the connection goes on");
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..n]);
        }
    };
    eventually("the second is there", || {
        ask();
        issued(&server.error_log()) == 2
    });
    ask();
    assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok");
    // Its end is what a monitoring system looks at.
    tls.write(&mut tcp, b"GET /metrics HTTP/1.1\r\nHost: ari.test\r\n\r\n").expect("the connection goes on");
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains("\nwebserv_certificate_expiry_timestamp_seconds{server=\"ari.test\"} ") {
        let n = tls.read(&mut tcp, &mut piece).expect("the connection goes on");
        assert_ne!(n, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
}

#[test]
fn an_account_key_that_is_lost_or_damaged_is_replaced_and_what_is_there_is_not_overwritten() {
    let Some((played, setup)) = Played::with_server(LATE, "90", &[]) else { return };
    let mut server = setup.start();
    server.await_file("logs/error.log", |log| issued(log) == 1);
    let forget = |path: PathBuf| {
        for entry in path.read_dir().expect("there").map(|entry| entry.expect("an entry").path()) {
            if entry.extension().is_some_and(|end| end == "pem") {
                std::fs::remove_file(entry).expect("removed");
            }
        }
    };
    let key = server.path("state/account.key");
    std::fs::remove_file(&key).expect("removed");
    forget(server.path("state"));
    server.kill_and_restart();
    server.await_file("logs/error.log", |log| issued(log) == 2);
    assert!(std::fs::read_to_string(&key).expect("made").contains("PRIVATE KEY"));
    std::fs::write(&key, "damaged").expect("written");
    forget(server.path("state"));
    server.kill_and_restart();
    let log = server.await_file("logs/error.log", |log| issued(log) == 3);
    assert!(log.contains("[emerg]") && log.contains("acme issuer \"played\": "), "{log}");
    assert_eq!(std::fs::read_to_string(&key).expect("there"), "damaged");
    let accounts = played.look(|book| book.accounts.clone());
    assert!(accounts.len() == 3 && accounts[0] != accounts[1] && accounts[1] != accounts[2], "{accounts:?}");
}

/// As a machine whose clock is years ahead sees every certificate.
#[test]
fn a_certificate_that_has_ended_when_it_comes_is_not_ordered_again_and_again() {
    let Some((played, setup)) = Played::with_server(LATE, "-1", &[]) else { return };
    let server = setup.start();
    server.await_file("logs/error.log", |log| log.contains("is already due for renewal"));
    eventually("it was asked about", || played.look(|book| book.renewals.len()) == 1);
    for _ in 0..3 {
        assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok");
    }
    assert_eq!(played.look(|book| book.orders.len()), 1);
}

#[test]
fn what_an_authority_refuses_is_said_and_tried_again_when_that_makes_sense() {
    const NONCE: &str = r#"{"type":"urn:ietf:params:acme:error:badNonce"}"#;
    let table: &[(&str, &[Fault], &[&str])] = &[
        (
            "too many",
            &[(
                "/order",
                429,
                "Retry-After: 7200\r\n",
                r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}"#,
            )],
            &["newOrder failed with status 429: slow down (rateLimited); next attempt in 7200 seconds"],
        ),
        (
            "not well",
            &[("/dir", 503, "", "")],
            &["the directory failed with status 503", "acme certificate for ari.test issued by"],
        ),
        ("no directory", &[("/dir", 200, "", "<html>")], &["cannot be understood: its directory; next attempt in"]),
        (
            "nonces",
            &[
                ("/acct", 400, "", NONCE),
                ("/order", 400, "", NONCE),
                ("/order", 400, "", NONCE),
                ("/fin", 400, "", NONCE),
            ],
            &["acme certificate for ari.test issued by"],
        ),
        (
            "no such account",
            &[("/order", 400, "", r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist"}"#)],
            &["acme certificate for ari.test issued by"],
        ),
        (
            "an order that is not",
            &[(
                "/fin",
                200,
                "",
                r#"{"status":"invalid","error":{"type":"urn:ietf:params:acme:error:badCSR","detail":"no"}}"#,
            )],
            &["no (badCSR); next attempt in"],
        ),
        (
            "a name that it does not take",
            &[("/order", 400, "", r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"never"}"#)],
            &["newOrder failed with status 400: never (rejectedIdentifier); next attempt in"],
        ),
        ("no chain", &[("/cert", 200, "", "-----BEGIN")], &["not issued by \"played\": ", "cannot be understood"]),
    ];
    for (name, faults, want) in table {
        let Some((played, setup)) = Played::with_server(LATE, "90", faults) else { return };
        let server = setup.start();
        server.await_file("logs/error.log", |log| want.iter().all(|part| log.contains(part)));
        assert_eq!(played.look(|book| book.faults.len()), 0, "{name}");
        if want.contains(&"acme certificate for ari.test issued by") {
            assert_eq!(page(server.port(), "ari.test").expect("served").0, "ok", "{name}");
        }
    }
}

#[test]
fn an_authority_whose_name_is_not_found_is_no_reason_not_to_serve() {
    let setup = http(&format!(
        "resolver 127.0.0.1:{} ipv6=off; resolver_timeout 300ms;
         acme_issuer lost {{ uri http://ca.invalid/dir; state_path state; }}
         server {{ listen 127.0.0.1:%%PORT0%%; return 200 ordinary; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name a.test; acme_certificate lost; return 200 ok; }}",
        crate::os::reserve().expect("a free port").1.port()
    ));
    let server = setup.start();
    server.get("/").is(200).body_is("ordinary");
    server.await_file("logs/error.log", |log| {
        log.contains("\"ca.invalid\": the name could not be resolved") && log.contains("next attempt in")
    });
    server.get("/").is(200).body_is("ordinary");
}

#[test]
fn a_state_path_that_cannot_be_made_is_an_error_with_its_line() {
    let setup = http(
        "acme_issuer a { uri http://ca.invalid/dir;
             state_path conf/test.conf/state; }
         server { listen 127.0.0.1:%%PORT%% ssl; server_name a.test; acme_certificate a; }",
    );
    let output = setup.test_config();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{shown}");
    assert!(shown.contains("conf/test.conf/state\" failed (20: Not a directory)"), "{shown}");
    let line = shown.lines().find(|line| line.contains("state_path conf/test.conf/state;"));
    assert!(line.is_some(), "the line is shown: {shown}");
}

/// Below the prefix a service may seldom write: the package's did not start.
#[test]
fn the_state_is_in_the_state_directory_unless_nginx_has_made_its_own() {
    let site = format!(
        "acme_issuer kept {{ uri http://{}/dir; accept_terms_of_service; }}
         server {{ listen 127.0.0.1:%%PORT%% ssl; server_name a.test; acme_certificate kept; return 200 ok; }}",
        crate::os::reserve().expect("a free port").1
    );
    for (made, used, other) in [("none", "state/acme_kept", "acme_kept"), ("acme_kept", "acme_kept", "state/acme_kept")]
    {
        let server = http(&site).mkdir(made).start();
        eventually("the account has a key", || server.exists(&format!("{used}/account.key")));
        assert!(!server.exists(other), "{other}");
    }
}
