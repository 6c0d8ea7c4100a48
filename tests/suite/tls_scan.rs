//! What a scanner of TLS servers looks for, asked by openssl s_client: nothing that is broken is spoken, what protects
//! old clients is there.

use crate::harness::{Server, http, skip_on_nginx};
use crate::tls::{certificate, tool};

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
    let name = std::ffi::CString::new(words.clone()).expect("no NUL");
    assert_eq!(crate::os::mkfifo(&name), 0);
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
