//! `ssl_certificate auto` while the server runs.

use crate::harness::{Setup, eventually};
use crate::privsep::Parent;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webserv::config::local_ca;
use webserv::tls::pem;
use webserv::util::date::Civil;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    i64::try_from(now).expect("in range")
}

/// An authority and a certificate of it that is due for renewal after `seconds`. Returns its end.
fn keep(directory: &Path, seconds: u64) -> String {
    let (ca_key, key) = (rcgen::KeyPair::generate().expect("a key"), rcgen::KeyPair::generate().expect("a key"));
    let names = local_ca::names(&["a.test".to_owned()]);
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("a name");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).expect("signed");
    let now = now();
    let midnight = Civil::from_unix(now);
    let mut leaf = rcgen::CertificateParams::new(names.clone()).expect("names");
    leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let of_day = u64::try_from(now.rem_euclid(86_400)).expect("in range");
    leaf.not_after = rcgen::date_time_ymd(midnight.year, midnight.month, midnight.day)
        + Duration::from_secs(of_day + local_ca::RENEW_WITHIN.unsigned_abs() + seconds);
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(ca, &ca_key)).expect("signed");
    fs::create_dir_all(directory).expect("made");
    let root = pem::write("CERTIFICATE", root.der());
    let chain = pem::write("CERTIFICATE", leaf.der()) + &root;
    let (certificate_path, key_path) = local_ca::paths(directory, &names);
    for (path, text) in [
        (directory.join("ca.crt"), root),
        (directory.join("ca.key"), pem::write("PRIVATE KEY", &ca_key.serialize_der())),
        (certificate_path, chain),
        (key_path, pem::write("PRIVATE KEY", &key.serialize_der())),
    ] {
        fs::write(path, text).expect("written");
    }
    let end = Civil::from_unix(now + local_ca::RENEW_WITHIN + i64::try_from(seconds).expect("few"));
    let (date, time) = ((end.year, end.month, end.day), (end.hour, end.minute, end.second));
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.0, date.1, date.2, time.0, time.1, time.2)
}

/// As root it is the parent that may write it, and another process that serves it.
#[test]
fn a_certificate_that_ends_is_replaced_without_a_reload() {
    const BLOCK: &str = "server { listen 127.0.0.1:PORT; root DIR/html; location = /ends { api /status/certificates/a.test/expires; } } \
        server { listen unix:DIR/tls ssl; server_name a.test; ssl_certificate auto; }";
    // A machine that is too slow for the first gets another chance.
    for seconds in [4, 15, 35] {
        let made = Setup::full("");
        let end = keep(&made.dir().join("local-ca"), seconds);
        let before = format!("cp -r {} state; export STATE_DIRECTORY=$PWD/state;", made.dir().display());
        let Some(s) = Parent::start_after(&before, "user nobody;", BLOCK) else { return };
        let (first, child) = (s.get("/ends").text(), s.child());
        if !first.contains(&end) {
            continue;
        }
        eventually("another one is served", || s.get("/ends").text() != first);
        assert!(s.log().contains("the certificate for a.test was made again"), "{}", s.log());
        assert_eq!(s.child(), child, "by the same process");
        return;
    }
    panic!("it was made again before it could be seen");
}

/// The directory belongs to the user of the serving process. The parent waited in open() for ever: it heard neither HUP
/// nor TERM, and did not make a crash good.
#[test]
fn a_fifo_among_the_files_of_the_authority_does_not_stop_the_parent() {
    const BLOCK: &str = "server { listen 127.0.0.1:PORT; root DIR/html; } \
        server { listen unix:DIR/tls ssl; server_name a.test; ssl_certificate auto; }";
    let before = "mkdir state; export STATE_DIRECTORY=$PWD/state;";
    let Some(s) = Parent::start_after(before, "user nobody;", BLOCK) else { return };
    let authority = s.setup.dir().join("state/local-ca/ca.crt");
    fs::rename(&authority, authority.with_extension("old")).expect("it was made");
    assert!(std::process::Command::new("mkfifo").arg(&authority).status().expect("mkfifo runs").success());
    s.reload();
    s.get("/f").is(200);
    assert!(fs::metadata(&authority).expect("made again").is_file());
}
