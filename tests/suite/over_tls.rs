//! What holds of the plain server holds over TLS: modules of the suite are run a second time with
//! `TEST_TRANSPORT=tls`, in which every `listen` of a setup has `ssl` and every client speaks TLS.

use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ConnectionTrafficSecrets};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use webserv::tls::{ServerName, ciphers, client, issue};

/// Names that certificates of setups are for. Tests take others as well: nothing is verified here.
const NAMES: [&str; 3] = ["localhost", "*.example.com", "a.test"];

pub fn is_wanted() -> bool {
    std::env::var_os("TEST_TRANSPORT").is_some_and(|name| name == "tls")
}

/// A certificate and its key, the same for all servers of this process.
pub fn pair() -> &'static issue::Issued {
    static PAIR: OnceLock<issue::Issued> = OnceLock::new();
    PAIR.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let authority = issue::authority("suite", now).expect("an authority");
        let names: Vec<String> = NAMES.iter().map(|name| (*name).into()).collect();
        issue::sign(&authority, &names, now).expect("a certificate")
    })
}

/// The configuration with TLS on all its ports: of a setup, before its ports are known.
pub fn secured(config: &str) -> String {
    let pair = "ssl_certificate %%DIR%%/conf/suite.crt; ssl_certificate_key %%DIR%%/conf/suite.key;";
    let mut out = String::with_capacity(config.len() + 400);
    for statement in config.split_inclusive([';', '{', '}']) {
        let is_listen = statement.trim_start().starts_with("listen ") && statement.contains("%%PORT");
        match statement.strip_suffix(';') {
            Some(listen) if is_listen && !listen.contains(" ssl") => out.extend([listen, " ssl;"]),
            _ => out.push_str(statement),
        }
        if statement.trim_end_matches('{').trim_end().ends_with("http") && statement.ends_with('{') {
            out.push_str(pair);
        }
    }
    out.replace("http://127.0.0.1:%%PORT", "https://127.0.0.1:%%PORT")
}

/// The client's end, by rustls' buffered API: another one than the server's.
pub struct Tls(rustls::ClientConnection);

fn options(certificate: Option<Arc<CertifiedKey>>) -> client::Options {
    client::Options {
        protocols: Default::default(),
        suites: ciphers::suites("HIGH:!aNULL:!MD5").expect("suites"),
        certificate,
        sends_name: true,
        sessions: 0,
        alpn: Vec::new(),
    }
}

impl Tls {
    pub fn new() -> Tls {
        static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| options(None).build().expect("a configuration"));
        Tls::of(config.clone(), "localhost")
    }

    /// A client that asks for `name`, with a certificate of its own.
    pub fn to(name: &str, certificate: Option<Arc<CertifiedKey>>) -> Tls {
        Tls::of(options(certificate).build().expect("a configuration"), name)
    }

    /// A client of TLS 1.3 that gives its keys away by [`Tls::secrets`].
    pub fn sealing() -> Tls {
        let mut options = options(None);
        options.suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_256_GCM_SHA384);
        let mut config = Arc::unwrap_or_clone(options.build().expect("a configuration"));
        config.enable_secret_extraction = true;
        Tls::of(config.into(), "localhost")
    }

    /// With which this end seals its records: the number of the next, the key, the nonce.
    pub fn secrets(self) -> (u64, [u8; 32], [u8; 12]) {
        let (sequence, secret) = self.0.dangerous_extract_secrets().expect("it is enabled").tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secret else { panic!("another suite") };
        let key = key.as_ref().try_into().expect("of 256 bits");
        (sequence, key, iv.as_ref().try_into().expect("of 96 bits"))
    }

    fn of(config: Arc<rustls::ClientConfig>, name: &str) -> Tls {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        Tls(rustls::ClientConnection::new(config, name).expect("a client"))
    }

    fn flush(&mut self, tcp: &mut TcpStream) -> Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(tcp)?;
        }
        Ok(())
    }

    /// One read of the socket. 0: its end.
    fn fill(&mut self, tcp: &mut TcpStream) -> Result<usize> {
        let n = self.0.read_tls(tcp)?;
        let done = self.0.process_new_packets().map_err(|e| Error::new(ErrorKind::InvalidData, e));
        self.flush(tcp)?;
        done.map(|_| n)
    }

    /// The first message of the handshake, for the caller to send.
    pub fn hello(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    pub fn shake(&mut self, tcp: &mut TcpStream) -> Result<()> {
        self.flush(tcp)?;
        while self.0.is_handshaking() {
            if self.fill(tcp)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    pub fn read(&mut self, tcp: &mut TcpStream, into: &mut [u8]) -> Result<usize> {
        self.shake(tcp)?;
        loop {
            match self.0.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.fill(tcp)?,
                // Without close_notify: what came may be cut.
                other => return other,
            };
        }
    }

    pub fn write(&mut self, tcp: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
        self.shake(tcp)?;
        let taken = self.0.writer().write(bytes)?;
        self.flush(tcp)?;
        Ok(taken)
    }

    /// New keys for both directions (TLS 1.3).
    pub fn renew_keys(&mut self, tcp: &mut TcpStream) -> Result<()> {
        self.0.refresh_traffic_keys().map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
        self.flush(tcp)
    }

    /// close_notify.
    pub fn end(&mut self, tcp: &mut TcpStream) -> Result<()> {
        self.shake(tcp)?;
        self.0.send_close_notify();
        self.flush(tcp)
    }
}

/// What is about the plain transport itself: sockets that the test writes to while the server stands still, that it
/// closes without a word, or on which something goes before TLS.
const PLAIN_ONLY: [&str; 5] = [
    // They speak HTTP/2 with prior knowledge, and their modules have names that others have.
    "http2::",
    "turns::as_many_clients",
    "bounds::memory_that_runs_out",
    "uploads::parallel::a_hundred",
    // These programs make their own URLs, and know nothing of our certificate.
    "uploads::clients::",
];

/// Runs these modules of the suite again, over TLS.
fn again(modules: &[&str]) {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.env("TEST_TRANSPORT", "tls").args(modules).args(["--test-threads", "2"]);
    for name in PLAIN_ONLY {
        command.args(["--skip", name]);
    }
    let output = command.output().expect("the suite runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "over TLS:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("running 0 tests"), "nothing was run:\n{text}");
}

/// Each runs unless it is in a second run itself.
macro_rules! over_tls {
    ($($name:ident: $modules:expr;)*) => {
        $(#[test]
        fn $name() {
            if !is_wanted() && !crate::harness::skip_on_nginx("TLS by parameter") {
                again(&$modules);
            }
        })*
    };
}

over_tls! {
    uploads_hold_over_tls: ["uploads::"];
    files_ranges_and_pages_hold_over_tls: ["ranges::", "ssi::", "static_files::", "bodies::", "client_body::"];
    proxying_holds_over_tls: ["proxy::", "proxy_answers::", "proxy_servers::"];
    turns_programs_and_balancers_hold_over_tls:
        ["turns::", "smuggling::", "proxy_protocol::", "fastcgi::", "cgi::", "explain::"];
    http1_and_its_limits_hold_over_tls: ["http1::", "bounds::", "repeats::"];
}
