//! What `-t` says of certificates, keys and their files: each fault with the file, the line and the reason.

use crate::harness::{Setup, http, skipped};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use webserv::tls::issue::{self, Issued};
use webserv::tls::pem;

const NAMES: [&str; 2] = ["a.test", "*.w.test"];

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

fn root(name: &str) -> Issued {
    issue::authority(name, now()).expect("an authority")
}

/// A certificate with the root that signed it, and its key.
fn pair() -> Issued {
    issue::sign(&root("root"), &NAMES.map(str::to_owned), now()).expect("a certificate")
}

fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) {
    std::fs::write(path, content).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
}

/// Setup whose third line names the certificate and its fourth the key.
fn setup(chain: &[u8], key: &[u8], mode: u32, more: &str) -> Setup {
    let setup = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%% ssl; server_name a.test;
ssl_certificate a.pem;
ssl_certificate_key a.key;
{more}
}}"
    ));
    std::fs::create_dir_all(setup.dir().join("conf")).expect("a directory");
    write(&setup.dir().join("conf/a.pem"), chain, 0o644);
    write(&setup.dir().join("conf/a.key"), key, mode);
    setup
}

/// Every user of this machine gets to what is in the directory.
fn is_open(directory: &Path) -> bool {
    let directory = directory.canonicalize().expect("a directory");
    let passes = |above: &Path| std::fs::metadata(above).is_ok_and(|data| data.permissions().mode() & 1 == 1);
    directory.ancestors().all(passes)
}

/// Whether there is a warning.
fn warns(shown: &str) -> bool {
    shown.contains("[warn]")
}

/// Whether the configuration is taken, and what is shown.
fn test(setup: &Setup) -> (bool, String) {
    let output = setup.test_config();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_pair_that_can_be_used_is_warned_of_where_clients_or_strangers_may_stumble() {
    let made = pair();
    let at = made.certificate.rfind("-----BEGIN").expect("two certificates");
    let (leaf, root) = made.certificate.split_at(at);
    let stranger = self::root("stranger").certificate;
    let table: [(&str, String, u32, &str, Option<(&str, &str)>); 8] = [
        ("all is well", made.certificate.clone(), 0o600, "", None),
        ("each twice", format!("{leaf}{leaf}{root}{root}"), 0o640, "", None),
        ("an editor's mark", format!("\u{feff}{}", made.certificate), 0o600, "", None),
        ("no handshakes", made.certificate.clone(), 0o600, "server_name x.test; ssl_reject_handshake on;", None),
        (
            "a key for all to read",
            made.certificate.clone(),
            0o644,
            "",
            Some(("[warn] every user of this machine can read the key", "ssl_certificate_key a.key;")),
        ),
        (
            "no issuer",
            leaf.to_owned(),
            0o600,
            "",
            Some(("[notice] \"", "holds no certificate of its issuer (\"root\")")),
        ),
        (
            "another issuer",
            format!("{leaf}{stranger}"),
            0o600,
            "",
            Some(("did not issue certificate 1", "ssl_certificate a.pem;")),
        ),
        (
            "wildcards",
            made.certificate.clone(),
            0o600,
            "server_name *.w.test .v.test *.x.test;",
            Some(("is for its name \".v.test\"", "is for its name \"*.x.test\"")),
        ),
    ];
    for (name, chain, mode, more, want) in table {
        let setup = setup(chain.as_bytes(), made.key.as_bytes(), mode, more);
        for directory in ["", "conf"] {
            let directory = setup.dir().join(directory);
            std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).expect("chmod");
        }
        let (taken, shown) = test(&setup);
        assert!(taken, "{name}: {shown}");
        if mode == 0o644 && !is_open(setup.dir()) {
            skipped("the directory of temporary files is closed to other users");
            continue;
        }
        match want {
            None => assert!(!warns(&shown) && !shown.contains("holds no"), "{name}: {shown}"),
            Some((first, second)) => assert!(shown.contains(first) && shown.contains(second), "{name}: {shown}"),
        }
        assert!(!shown.contains("name \"*.w.test\""), "{name}: {shown}");
    }
}

#[test]
fn a_key_for_all_to_read_is_not_warned_of_below_a_closed_directory() {
    let made = pair();
    let setup = setup(made.certificate.as_bytes(), made.key.as_bytes(), 0o644, "");
    std::fs::set_permissions(setup.dir().join("conf"), PermissionsExt::from_mode(0o700)).expect("chmod");
    let (taken, shown) = test(&setup);
    assert!(taken && !shown.contains("can read the key"), "{shown}");
}

/// A server whose locations show one certificate to upstreams by other names each.
fn to_upstreams(chain: &[u8], key: &[u8]) -> Setup {
    let location = |n: usize, more: &str| {
        format!("location /{n} {{ proxy_pass https://127.0.0.1:9; proxy_ssl_name n{n}.test; {more} }}\n")
    };
    let pair = "proxy_ssl_certificate a.pem; proxy_ssl_certificate_key a.key;";
    let locations: String = (0..8).map(|n| location(n, if n < 4 { "" } else { pair })).collect();
    let setup = http(&format!("server {{ listen 127.0.0.1:%%PORT%%; {pair}\n{locations} }}"));
    std::fs::create_dir_all(setup.dir().join("conf")).expect("a directory");
    write(&setup.dir().join("conf/a.pem"), chain, 0o644);
    write(&setup.dir().join("conf/a.key"), key, 0o600);
    setup
}

#[test]
fn a_certificate_for_upstreams_is_judged_once_and_for_them() {
    let root = root("root");
    let names = NAMES.map(str::to_owned);
    let old = issue::sign(&root, &names, now() - 400 * 86_400).expect("a certificate");
    let made = pair();
    let (leaf, _) = made.certificate.split_at(made.certificate.rfind("-----BEGIN").expect("two certificates"));
    for (name, chain, key, level, want) in [
        ("expired", &*old.certificate, &*old.key, "[warn]", "has expired ("),
        (
            "no issuer",
            leaf,
            &made.key,
            "[notice]",
            "): upstreams that verify it will refuse it unless they know that one",
        ),
    ] {
        let (taken, shown) = test(&to_upstreams(chain.as_bytes(), key.as_bytes()));
        let is_meant = |line: &str| line.contains(level) && line.contains(want);
        assert!(taken && shown.lines().any(is_meant), "{name}: {shown}");
        assert_eq!(shown.matches(want).count(), 1, "{name}: {shown}");
        assert!(!shown.contains("client"), "{name}: {shown}");
    }
    let (taken, shown) = test(&to_upstreams(b"", made.key.as_bytes()));
    // The line of the server once, and those of four locations.
    assert_eq!((taken, shown.matches("the file is empty").count()), (false, 5), "{shown}");
    let (taken, shown) = test(&setup(old.certificate.as_bytes(), old.key.as_bytes(), 0o600, ""));
    assert!(!taken && shown.contains("has expired ("), "clients: {shown}");
}

#[test]
fn what_is_no_certificate_or_key_is_named_for_what_it_is() {
    let made = pair();
    let der = pem::parse(made.certificate.as_bytes()).expect("PEM").swap_remove(0).der;
    let (good, key) = (made.certificate.as_bytes(), made.key.as_bytes());
    let public = made.key.replace("PRIVATE", "PUBLIC");
    let one_line = made.key.replace('\n', "\\n");
    let table: [(&str, &[u8], &[u8], &str); 7] = [
        (
            "nothing",
            b"",
            key,
            "a.pem\": no certificate in the file (no \"-----BEGIN CERTIFICATE-----\"): the file is empty",
        ),
        (
            "binary",
            &der,
            key,
            "a.pem\": no certificate in the file (no \"-----BEGIN CERTIFICATE-----\"): it looks like DER",
        ),
        (
            "swapped",
            key,
            good,
            "but a private key: the files of ssl_certificate and ssl_certificate_key may be swapped",
        ),
        (
            "no key",
            good,
            b"",
            "a.key\": no private key in the file (no \"-----BEGIN PRIVATE KEY-----\"): the file is empty",
        ),
        (
            "a key on one line",
            good,
            one_line.as_bytes(),
            "a.key\": no private key in the file (no \"-----BEGIN PRIVATE KEY-----\"): its lines do not end in a newline",
        ),
        ("a public key", good, public.as_bytes(), "but a section \"PUBLIC KEY\""),
        ("a certificate", good, good, "but a section \"CERTIFICATE\""),
    ];
    for (name, chain, key, want) in table {
        let (taken, shown) = test(&setup(chain, key, 0o600, ""));
        assert!(!taken && shown.contains(want) && shown.contains("test.conf:"), "{name}: {shown}");
    }
}

#[test]
fn a_stapled_response_that_is_none_and_zones_of_two_sizes_are_errors() {
    let made = pair();
    let twice = "ssl_session_cache shared:Z:1m; } server { listen 127.0.0.1:%%PORT1%%; ssl_session_cache shared:Z:2m;";
    for (more, want) in [
        ("ssl_stapling_file a.pem;", "a.pem\": it is not an OCSP response (DER)"),
        (twice, "the size 2097152 of shared memory zone \"Z\" conflicts with already declared size 1048576"),
    ] {
        let (taken, shown) = test(&setup(made.certificate.as_bytes(), made.key.as_bytes(), 0o600, more));
        assert!(!taken && shown.contains(want), "{more}: {shown}");
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_not_warned_that_no_certificate_is_for_its_name() {
    let made = pair();
    for (name, listen, warned) in [
        ("plain", "listen 127.0.0.1:%%PORT1%%;", false),
        ("another port", "listen 127.0.0.1:%%PORT1%% ssl;", true),
        ("the same port", "listen 127.0.0.1:%%PORT%% ssl;", true),
        ("both", "listen 127.0.0.1:%%PORT%% ssl; listen 127.0.0.1:%%PORT1%%;", true),
    ] {
        let setup = http(&format!(
            "ssl_certificate a.pem; ssl_certificate_key a.key;
server {{ listen 127.0.0.1:%%PORT%% ssl; server_name a.test; }}
server {{ {listen} server_name other.test; }}"
        ));
        std::fs::create_dir_all(setup.dir().join("conf")).expect("a directory");
        write(&setup.dir().join("conf/a.pem"), &made.certificate, 0o644);
        write(&setup.dir().join("conf/a.key"), &made.key, 0o600);
        let (taken, shown) = test(&setup);
        assert!(taken && !shown.contains("its name \"a.test\""), "{name}: {shown}");
        assert_eq!(
            shown.contains("no certificate of the server is for its name \"other.test\""),
            warned,
            "{name}: {shown}"
        );
    }
}
