//! Certificates by ACME against Debian's pebble, a real authority for tests. Skipped, loudly, where it is missing;
//! `acme_played` has what pebble cannot be brought to do.

use crate::harness::{Server, Setup, eventually, http};
use crate::os;
use crate::tls::{certificate, tool};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself is reaped all the same.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program in the directory. None, loudly, where it is not installed.
fn start(program: &str, args: &[&str], dir: &Path) -> Option<Running> {
    let log = std::fs::File::create(dir.join(format!("logs/{program}"))).expect("a log");
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null());
    // A quarter of all nonces is refused.
    command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "25");
    command.stdout(log.try_clone().expect("dup")).stderr(log);
    let started = command.spawn().ok().map(Running);
    if started.is_none() {
        eprintln!("SKIPPED: {program} is not installed");
    }
    started
}

/// Where the authority will be: names are looked up at `dns`.
struct Place {
    acme: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
}

impl Place {
    fn new() -> Place {
        let place = || os::reserve().expect("a free port").1;
        Place { acme: place(), management: place(), dns: place() }
    }

    /// Pebble, which looks for challenges at these ports of this machine. `accounts`: keys of accounts that it knows
    /// and without which it takes none.
    fn start(&self, dir: &Path, plain: u16, secure: u16, accounts: Value) -> Option<(Running, Running)> {
        let config = json!({ "pebble": {
            "listenAddress": self.acme.to_string(), "managementListenAddress": self.management.to_string(),
            "certificate": "conf/localhost.crt", "privateKey": "conf/localhost.key",
            "httpPort": plain, "tlsPort": secure, "ocspResponderURL": "",
            "externalAccountBindingRequired": accounts.is_object(), "externalAccountMACKeys": accounts,
        } });
        std::fs::write(dir.join("conf/pebble.json"), config.to_string()).expect("written");
        let (dns, unused) = (self.dns.to_string(), os::reserve().expect("a free port").1.to_string());
        let args = [
            "-defaultIPv6",
            "",
            "-dns01",
            &dns,
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            &unused,
        ];
        let names = start("pebble-challtestsrv", &args, dir)?;
        let authority = start("pebble", &["-config", "conf/pebble.json", "-dnsserver", &dns], dir)?;
        Some((names, authority))
    }
}

fn is_there(program: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()));
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// The page at a name, and who issued its certificate; None: there is no handshake.
pub fn page(port: u16, name: &str) -> Option<(String, String)> {
    let (resolve, url) = (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}/"));
    let args = ["-s", "-k", "-m", "10", "--resolve", &resolve, "-w", "\n%{certs}", &url];
    let output = tool("curl", &args, b"").filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (page, certificates) = text.split_once('\n')?;
    let issuer = certificates.lines().find(|line| line.starts_with("Issuer:")).unwrap_or_default();
    Some((page.to_owned(), issuer.to_owned()))
}

#[test]
fn certificates_come_by_both_challenges_without_a_reload_and_survive_a_restart() {
    if !is_there("pebble") || !is_there("pebble-challtestsrv") {
        return;
    }
    let place = Place::new();
    let uri = format!("https://localhost:{}/dir", place.acme.port());
    let common = format!("uri {uri}; ssl_trusted_certificate conf/localhost.crt; accept_terms_of_service;");
    let setup = http(&format!(
        "acme_shared_zone zone=acme:1M;
         acme_issuer plain {{ {common} contact a@example.org; state_path state/plain; }}
         acme_issuer alpn {{ {common} challenge tls-alpn; account_key ecdsa:384; state_path state/alpn; }}
         server {{ listen 127.0.0.1:%%PORT0%%; server_name plain.test;
             location / {{ return 200 \"ordinary\"; }} }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name one.test; acme_certificate plain;
             return 200 \"one $ssl_server_name\"; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name two.test three.test;
             acme_certificate alpn key=rsa:2048; ssl_certificate $acme_certificate;
             ssl_certificate_key $acme_certificate_key; return 200 two; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name four.test; acme_certificate alpn four.test;
             set $wanted 1; ssl_certificate $acme_certificate$empty; ssl_certificate_key $acme_certificate_key$empty;
             return 200 four; }}
         map $host $empty {{ default \"\"; }}"
    ))
    .restartable();
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let mut server = setup.start();
    let (plain, secure) = (server.address(0).port(), server.address(1).port());
    // The authority is not there yet, which is no reason not to serve.
    server.get("/").is(200).body_is("ordinary");
    server.await_file("logs/error.log", |log| log.contains("connect() failed") && log.contains("next attempt in"));
    assert_eq!(page(secure, "one.test"), None, "no certificate yet");
    server.await_file("logs/error.log", |log| log.contains("server name \"one.test\" is not issued yet"));
    let Some(authority) = place.start(&server.path(""), plain, secure, Value::Null) else { return };
    server.await_file("logs/pebble", |log| log.contains("ACME directory available"));
    // On a slow machine the authority has missed several attempts, and the next is far away.
    server.kill_and_restart();
    for (name, body) in [("one.test", "one one.test"), ("three.test", "two"), ("four.test", "four")] {
        eventually(name, || page(secure, name).is_some());
        let (page, issuer) = page(secure, name).expect("just now it was");
        assert_eq!(page, body);
        assert!(issuer.contains("Pebble Intermediate"), "{name}: {issuer}");
    }
    server.get("/.well-known/acme-challenge/x").is(200).body_is("ordinary");
    for entry in ["plain", "alpn"].iter().flat_map(|name| server.path("state").join(name).read_dir().expect("there")) {
        let path = entry.expect("an entry").path();
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    drop(authority);
    let issued = |server: &Server| server.error_log().matches("issued by").count();
    let before = issued(&server);
    server.kill_and_restart();
    assert_eq!(page(secure, "two.test").expect("it was kept").0, "two");
    // One that knows none of our accounts any more.
    let Some(_authority) = place.start(&server.path(""), plain, secure, Value::Null) else { return };
    server.await_file("logs/pebble", |log| log.contains("ACME directory available"));
    let reload = |servers: &str| {
        server.reconfigure_http(&format!(
            "acme_issuer plain {{ {common} contact a@example.org; state_path state/plain; }}
             server {{ listen 127.0.0.1:%%PORT0%%; return 200 plain; }} {servers}"
        ));
        assert!(server.command(&["-s", "reload"]).status.success());
    };
    let one =
        "server { listen 127.0.0.1:%%PORT1%% ssl; server_name one.test; acme_certificate plain; return 200 again; }";
    reload(one);
    eventually("the new configuration is served", || page(secure, "one.test").is_some_and(|(page, _)| page == "again"));
    assert_eq!(issued(&server), before, "nothing was ordered again");
    // Another certificate comes with a reload, for two names, while the first goes on.
    let more = "server { listen 127.0.0.1:%%PORT1%% ssl; server_name five.test six.test; acme_certificate plain; return 200 new; }";
    reload(&format!("{one}{more}"));
    for name in ["five.test", "six.test"] {
        eventually(name, || page(secure, name).is_some_and(|(page, _)| page == "new"));
    }
    assert_eq!(issued(&server), before + 1, "that one was ordered, and no other");
    reload(more);
    eventually("the first is gone", || page(secure, "one.test").is_some_and(|(page, _)| page == "new"));
}

#[test]
fn an_account_is_bound_to_one_that_the_authority_knows() {
    if !is_there("pebble") || !is_there("pebble-challtestsrv") {
        return;
    }
    let place = Place::new();
    let uri = format!("https://localhost:{}/dir", place.acme.port());
    let common = format!("uri {uri}; ssl_trusted_certificate conf/localhost.crt; accept_terms_of_service;");
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let wrong = "AAAAZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let setup = http(&format!(
        "acme_issuer bound {{ {common} external_account_key kid-1 conf/account.key; state_path state/bound; }}
         acme_issuer wrong {{ {common} external_account_key kid-1 conf/wrong.key; state_path state/wrong; }}
         acme_issuer loose {{ {common} state_path state/loose; }}
         server {{ listen 127.0.0.1:%%PORT0%%; return 404; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name bound.test; acme_certificate bound; return 200 bound; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name wrong.test; acme_certificate wrong; return 200 no; }}
         server {{ listen 127.0.0.1:%%PORT1%% ssl; server_name loose.test; acme_certificate loose; return 200 no; }}"
    ))
    .file("conf/account.key", format!("{key}\n"))
    .file("conf/wrong.key", wrong)
    .restartable();
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    let mut server = setup.start();
    let (plain, secure) = (server.address(0).port(), server.address(1).port());
    let Some(_authority) = place.start(&server.path(""), plain, secure, json!({ "kid-1": key })) else { return };
    server.await_file("logs/pebble", |log| log.contains("ACME directory available"));
    // What was tried before the authority was there is not waited for.
    server.kill_and_restart();
    eventually("the certificate comes", || page(secure, "bound.test").is_some());
    assert_eq!(page(secure, "bound.test").expect("just now it was").0, "bound");
    server.await_file("logs/error.log", |log| {
        log.contains("requires a binding to an external account") && log.contains("\"wrong\"")
    });
    assert_eq!((page(secure, "wrong.test"), page(secure, "loose.test")), (None, None));
}

#[test]
fn the_short_form_is_all_that_https_takes() {
    let tools = ["pebble", "pebble-challtestsrv", "unshare", "ip", "curl"];
    if !tools.into_iter().all(is_there) {
        return;
    }
    if !os::is_root() {
        eprintln!("SKIPPED: a network of its own needs root");
        return;
    }
    let setup = Setup::full(
        "acme_issuer default { uri https://localhost:14000/dir; ssl_trusted_certificate %%DIR%%/conf/localhost.crt; \
         state_path %%DIR%%/state/deep; accept_terms_of_service; }\n\
         server { listen 443 ssl; server_name example.test; acme_certificate default; root %%DIR%%/html; }\n",
    )
    .file("html/index.html", "the page")
    .file(
        "conf/pebble.json",
        r#"{"pebble":{"listenAddress":"127.0.0.1:14000","managementListenAddress":"127.0.0.1:15000",
            "certificate":"conf/localhost.crt","privateKey":"conf/localhost.key","httpPort":80,"tlsPort":443}}"#,
    );
    if !certificate(setup.dir(), "localhost", "ec") {
        return;
    }
    // The configuration is written, and checked by the way: what it adds by itself is printed.
    let checked = setup.run(&["-t", "-c", "%%DIR%%/conf/test.conf"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && said.contains("port 80 answers challenges and redirects"), "{said}");
    let script = "ip link set lo up
        pebble-challtestsrv -defaultIPv6 '' -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 '' \
            -management 127.0.0.1:8055 >logs/names 2>&1 & NAMES=$!
        PEBBLE_VA_NOSLEEP=1 pebble -config conf/pebble.json -dnsserver 127.0.0.1:8053 >logs/pebble 2>&1 & CA=$!
        \"$WEBSERV\" conf/test.conf >logs/stderr 2>&1 & SERVER=$!
        trap 'kill $NAMES $CA $SERVER; wait' EXIT
        try='curl -s -m 10 --retry 40 --retry-all-errors --retry-delay 1'
        $try -k --resolve example.test:443:127.0.0.1 https://example.test/
        $try -o /dev/null -w '[%{http_code} %{redirect_url}]' --resolve example.test:80:127.0.0.1 'http://example.test/a?b'
        stat -c '[%a %U]' state/deep/example.test-*.pem";
    // What is tested may be where `nobody` cannot get at it; it is started by root.
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", script]).current_dir(setup.dir()).env("WEBSERV", crate::harness::binary());
    command.env_remove("NGINX").env("STATE_DIRECTORY", setup.dir().join("state"));
    let output = command.stdin(Stdio::null()).output().expect("unshare runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = std::fs::read_to_string(setup.dir().join("logs/stderr")).unwrap_or_default();
    assert_eq!(shown, "the page[301 https://example.test/a?b][600 nobody]\n", "{log}");
}

#[test]
fn what_is_wrong_with_an_issuer_is_said_when_the_configuration_is_read() {
    let table = [
        ("acme_issuer a { }", "\"uri\" is missing in acme_issuer \"a\""),
        ("acme_issuer a { uri ftp://x/; }", "invalid URL \"ftp://x/\""),
        ("acme_issuer a { uri https://x/; challenge dns-01; }", "invalid value \"dns-01\""),
        ("acme_issuer a { uri https://x/; account_key rsa:1; }", "unsupported key \"rsa:1\""),
        ("acme_issuer a { uri https://x/; account_key none.key; }", ""),
        ("server { listen %%PORT%% ssl; server_name a.test; acme_certificate no; }", "issuer \"no\" is not defined"),
        (
            "server { listen %%PORT%% ssl; server_name *.a.test; acme_certificate default; }",
            "no name that a certificate",
        ),
        ("server { listen %%PORT%% ssl; acme_certificate default *.a.test; }", "invalid identifier \"*.a.test\""),
        ("server { listen %%PORT%% ssl; acme_certificate default a.test key=dsa; }", "unsupported key \"dsa\""),
        ("server { listen %%PORT%% ssl; acme_certificate; }", "invalid number of arguments"),
        ("acme_shared_zone zone=x; server { }", "invalid value \"zone=x\""),
    ];
    for (text, want) in table {
        let setup = http(text);
        let output = setup.test_config();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if want.is_empty() {
            assert!(output.status.success(), "an issuer that no server uses is not looked into: {said}");
        } else {
            assert!(!output.status.success() && said.contains(want), "{text}: {said}");
            assert!(!said.contains("no \"ssl_certificate\" is defined"), "one mistake is one message: {text}: {said}");
        }
    }
}
