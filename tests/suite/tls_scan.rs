//! What a scanner of TLS servers looks for, asked by openssl s_client: nothing that is broken is spoken, what protects
//! old clients is there.

use crate::harness::{Server, http, skip_on_nginx};
use crate::over_tls;
use crate::tls::{certificate, tool};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// What s_client shows of a handshake; it ends the connection by itself. None: there is no openssl.
fn shown(server: &Server, args: &[&str]) -> Option<String> {
    let address = server.address(0).to_string();
    let mut all = vec!["s_client", "-connect", &address, "-servername", "localhost"];
    all.extend(args);
    let output = tool("openssl", &all, b"Q\n")?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn is_agreed(shown: &str) -> bool {
    shown.contains("Cipher is ") && !shown.contains("Cipher is (NONE)")
}

fn start() -> Option<Server> {
    let setup = http(
        "server {
             listen 127.0.0.1:%%PORT%% ssl;
             server_name localhost;
             ssl_certificate localhost.crt;
             ssl_certificate_key localhost.key;
             ssl_certificate rsa.crt;
             ssl_certificate_key rsa.key;
             ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
             add_header Strict-Transport-Security \"max-age=63072000\" always;
             location / { return 404; }
         }",
    );
    let is_there = certificate(setup.dir(), "localhost", "ec") && certificate(setup.dir(), "rsa", "rsa");
    is_there.then(|| setup.start())
}

#[test]
fn a_scan_finds_strong_suites_only() {
    if skip_on_nginx("its OpenSSL has old suites") {
        return;
    }
    let Some(server) = start() else { return };
    let table = [
        ("ALL:@SECLEVEL=0", "-tls1", false),
        ("ALL:@SECLEVEL=0", "-tls1_1", false),
        ("aNULL:@SECLEVEL=0", "-tls1_2", false),
        ("eNULL:@SECLEVEL=0", "-tls1_2", false),
        ("AES128-SHA:@SECLEVEL=0", "-tls1_2", false),
        ("AES128-GCM-SHA256", "-tls1_2", false),
        ("DHE-RSA-AES128-GCM-SHA256", "-tls1_2", false),
        ("ECDHE-ECDSA-AES128-SHA", "-tls1_2", false),
        ("ECDHE-RSA-AES256-SHA384", "-tls1_2", false),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "-tls1_2", true),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", "-tls1_2", true),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "-tls1_2", true),
        ("ECDHE-RSA-AES128-GCM-SHA256", "-tls1_2", true),
        ("ECDHE-RSA-CHACHA20-POLY1305", "-tls1_2", true),
        ("ALL", "-tls1_3", true),
    ];
    for (suites, version, want) in table {
        let Some(text) = shown(&server, &[version, "-cipher", suites]) else { return };
        assert_eq!(is_agreed(&text), want, "{suites} {version}: {text}");
    }
    for (groups, want) in [("X25519", true), ("P-256", true), ("P-384", true), ("ffdhe2048", false)] {
        let text = shown(&server, &["-tls1_3", "-groups", groups]).expect("openssl is there");
        assert_eq!(is_agreed(&text), want, "{groups}: {text}");
    }
}

#[test]
fn passwords_of_keys_come_through_a_fifo_and_are_not_waited_for_long() {
    let setup = http(
        "server {
             listen 127.0.0.1:%%PORT%% ssl;
             ssl_certificate localhost.crt;
             ssl_certificate_key locked.key;
             ssl_password_file words;
         }",
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let path = |name: &str| setup.dir().join("conf").join(name).to_string_lossy().into_owned();
    let (key, locked, words) = (path("localhost.key"), path("locked.key"), path("words"));
    let lock = ["pkcs8", "-topk8", "-in", &key, "-out", &locked, "-passout", "pass:secret", "-v2", "aes-256-cbc"];
    assert!(tool("openssl", &lock, b"").is_some_and(|output| output.status.success()));
    crate::os::mkfifo(words.as_ref());
    let writes = std::thread::spawn(move || std::fs::write(words, "secret\n"));
    let output = setup.test_config();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writes.join().expect("it ends").expect("there was a reader");
    if skip_on_nginx("it waits for ever") {
        return;
    }
    let output = setup.test_config();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && shown.contains("cannot load passwords"), "{shown}");
}

#[test]
fn a_scan_finds_what_protects_old_clients() {
    if skip_on_nginx("its protocols are its OpenSSL's") {
        return;
    }
    let Some(server) = start() else { return };
    let Some(text) = shown(&server, &["-tls1_2", "-comp"]) else { return };
    for want in ["Secure Renegotiation IS supported", "Compression: NONE", "Extended master secret: yes"] {
        assert!(text.contains(want), "{want}: {text}");
    }
    // A client that was made to step down is told that there is better (RFC 7507).
    let text = shown(&server, &["-tls1_2", "-fallback_scsv"]).expect("openssl is there");
    assert!(!is_agreed(&text) && text.contains("inappropriate fallback"), "{text}");
    let text = shown(&server, &["-alpn", "h3,spdy/1"]).expect("openssl is there");
    assert!(!is_agreed(&text) || text.contains("No ALPN negotiated"), "{text}");
    let url = format!("https://127.0.0.1:{}/", server.port());
    let Some(output) = tool("curl", &["-s", "-k", "-m", "20", "-o", "/dev/null", "-D", "-", &url], b"") else { return };
    let head = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
    assert!(head.contains("404") && head.contains("strict-transport-security: max-age=63072000"), "{head}");
}

/// A server that needs no openssl.
fn start_alone() -> Option<Server> {
    if skip_on_nginx("its alerts are its OpenSSL's") {
        return None;
    }
    let block = "server { listen 127.0.0.1:%%PORT%% ssl; ssl_certificate own.crt; ssl_certificate_key own.key; }";
    let own = over_tls::pair();
    Some(http(block).file("conf/own.crt", &own.certificate).file("conf/own.key", &own.key).start())
}

/// All that comes of these bytes until the server ends the connection, which it must; how is its choice.
fn outcome(s: &Server, what: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(s.address(0)).expect("it listens");
    tcp.set_read_timeout(Some(crate::client::LIMIT)).expect("SO_RCVTIMEO");
    // It need not take all of it.
    let _ = tcp.write_all(bytes);
    let mut got = Vec::new();
    if let Err(e) = tcp.read_to_end(&mut got) {
        assert_ne!(e.kind(), ErrorKind::WouldBlock, "{what}: the connection goes on after {got:x?}");
    }
    got
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a record's length").to_be_bytes();
    [&[kind, 3, 1][..], &length, body].concat()
}

/// A hello of this version without `supported_versions`, as a client that knows nothing newer sends it.
fn old_hello(minor: u8, suites: &[u16]) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    body.extend(u16::try_from(suites.len() * 2).expect("few").to_be_bytes());
    suites.iter().for_each(|suite| body.extend(suite.to_be_bytes()));
    body.extend([1, 0]);
    // supported_groups: P-256; signature_algorithms: ECDSA and RSA with SHA-256.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1];
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    record(22, &[&[1, 0, 0, body.len() as u8][..], &body].concat())
}

/// A fatal alert of this description.
fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

const PROTOCOL_VERSION: u8 = 70;
const HANDSHAKE_FAILURE: u8 = 40;

#[test]
fn a_scan_by_hand_finds_no_old_protocol_and_no_key_exchange_by_rsa() {
    let Some(s) = start_alone() else { return };
    // ECDHE with GCM and CBC, and the key exchange that ROBOT is about.
    let (all, rsa): (&[u16], &[u16]) =
        (&[0xc02b, 0xc02f, 0xc009, 0xc013, 0x009c, 0x002f], &[0x009c, 0x009d, 0x002f, 0x0035]);
    for (name, minor) in [("SSLv3", 0), ("TLSv1", 1), ("TLSv1.1", 2)] {
        assert_eq!(outcome(&s, name, &old_hello(minor, all)), alert(PROTOCOL_VERSION), "{name}");
        // As OpenSSL sends it: without an extension by which anything could be chosen.
        let bare = [&[1, 0, 0, 41, 3, minor][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
        assert_eq!(outcome(&s, name, &record(22, &bare)), alert(PROTOCOL_VERSION), "{name} without extensions");
    }
    assert_eq!(outcome(&s, "RSA", &old_hello(3, rsa)), alert(HANDSHAKE_FAILURE), "key exchange by RSA");
    // What is between them is well formed: TLS 1.2 is answered, and then ends with an alert where a record is none.
    let got = outcome(&s, "TLSv1.2", &[old_hello(3, all), record(99, b"x")].concat());
    assert!(got.starts_with(&[22, 3, 3]) && got.ends_with(&[2, 10]) || got.ends_with(&[2, 50]), "{got:x?}");
    assert!(!s.error_log().contains("panicked"));
}

#[test]
fn hostile_records_end_with_an_alert_and_cost_little() {
    const MANY: usize = 200_000;
    let Some(s) = start_alone() else { return };
    let hello = over_tls::Tls::new().hello().expect("a hello");
    let bytewise = hello[5..].chunks(1).flat_map(|byte| record(22, byte)).collect::<Vec<_>>();
    let endless = [record(22, &[&[1, 0xff, 0xff, 0xff][..], &[7; 1000]].concat()), record(22, &[7; 1000]).repeat(100)];
    let after = |what: &[u8]| [&hello[..], what].concat();
    let begins = |bytes: &[u8]| bytes.first() == Some(&22);
    let table: [(&str, Vec<u8>, bool); 11] = [
        ("a hello in records of a byte", bytewise, false),
        ("a hello without end", endless.concat(), false),
        ("a record that is too long", vec![22, 3, 1, 0xff, 0xff, 1], false),
        ("records without content", record(22, b"").repeat(MANY / 5), false),
        (
            "records without content in a hello",
            [&record(22, &hello[5..50])[..], &record(22, b"").repeat(9)].concat(),
            false,
        ),
        ("a heartbeat that claims more than it has", after(&[24, 3, 3, 0, 3, 1, 0x40, 0]), true),
        ("warnings", after(&record(21, &[1, 90]).repeat(MANY / 7)), true),
        ("changes of ciphers", after(&record(20, &[1]).repeat(MANY / 6)), true),
        ("data that no key opens", after(&record(23, &[7; 40]).repeat(MANY / 45)), true),
        ("data without content", after(&record(23, b"").repeat(MANY / 5)), true),
        ("another hello", after(&hello), true),
    ];
    for (what, bytes, is_answered) in table {
        let got = outcome(&s, what, &bytes);
        // What was sent may be lost where more came than was read.
        assert!(got.is_empty() || begins(&got) == is_answered, "{what}: {got:x?}");
        assert!(got.len() < 4000, "{what}: {} bytes", got.len());
    }
    // Others are served as before.
    let mut tcp = TcpStream::connect(s.address(0)).expect("it listens");
    over_tls::Tls::new().shake(&mut tcp).expect("a handshake");
}

#[test]
fn keys_are_not_renewed_without_end() {
    let Some(s) = start_alone() else { return };
    let mut tcp = TcpStream::connect(s.address(0)).expect("it listens");
    tcp.set_read_timeout(Some(crate::client::LIMIT)).expect("SO_RCVTIMEO");
    let mut tls = over_tls::Tls::new();
    tls.shake(&mut tcp).expect("a handshake");
    // The connection ends long before.
    let is_over = (0..100_000).any(|_| tls.renew_keys(&mut tcp).is_err());
    let waits = |e: &std::io::Error| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    let ended = is_over || tls.read(&mut tcp, &mut [0; 9]).is_err_and(|e| !waits(&e));
    assert!(ended, "the server takes any number of them");
}
