//! Starts the real server for one test: a fresh directory, a config text, sockets the test bound itself.
//!
//! The sockets listen before the server is started (they are passed by nginx's own `NGINX=fd;fd;`), so there is no port
//! race and no waiting for readiness. [`setup`] is the server to be, [`running`] the one that runs.
//!
//! `WEBSERV_BIN=/path/to/nginx` runs the same suite against nginx, as the oracle. See `Runs`.

mod running;
mod setup;

pub use crate::table::{BOTH, Runs, Table, binary, on_nginx, ours, skip_on_nginx, skipped};
pub use running::Server;
pub use setup::Setup;

use crate::client::{LIMIT, Response};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A setup whose `http { … }` block has this content. See `Setup::full` for the whole file.
pub fn http(block: &str) -> Setup {
    Setup::new(format!("http {{\n    access_log logs/access.log;\n{block}\n}}\n"))
}

/// A setup with one server on `%%PORT%%`, root `%%DIR%%/html`, and this content.
pub fn server(block: &str) -> Setup {
    http(&format!(
        "server {{\n    listen 127.0.0.1:%%PORT%%;\n    server_name localhost;\n    root %%DIR%%/html;\n{block}\n}}"
    ))
}

/// Copies a binary so that every user may start it. By a process of its own: a child of another test would hold the
/// open file, and what is open for writing cannot be started (ETXTBSY).
pub fn copy_for_all(binary: &Path, copy: &Path) {
    let copied = Command::new("install").args(["-m", "755"]).args([binary, copy]).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} cannot be copied", binary.display());
}

/// The body of a LOCK: an exclusive one, without an owner.
pub const LOCKINFO: &[u8] =
    b"<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";

/// The head of a form that the listing's own page sends.
pub const OWN_FORM: &str = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n";

/// POSTs a form with these files, each with its content.
pub fn post_files(s: &Server, target: &str, files: &[(&str, &str)]) -> Response {
    let parts = files.iter().map(|(name, content)| {
        format!("--b\r\nContent-Disposition: form-data; name=f; filename=\"{name}\"\r\n\r\n{content}\r\n")
    });
    let body = parts.collect::<String>() + "--b--\r\n";
    s.method("POST", target, "Content-Type: multipart/form-data; boundary=b\r\n", body.as_bytes())
}

/// A whole request with `Host: localhost` and `Connection: close`.
pub fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}").into_bytes();
    let framed = fields.to_ascii_lowercase();
    if !framed.contains("content-length:")
        && !framed.contains("transfer-encoding:")
        && (!body.is_empty() || matches!(method, "POST" | "PUT"))
    {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Asks again until it holds; each asking is a round trip of its own, so nothing is polled idly.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never within {LIMIT:?}: {what}");
        // The processes under test run on the same processors.
        std::thread::yield_now();
    }
}

/// Reproducible bytes that compress badly and have no period a bug could hide behind.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file has a directory")).expect("mkdir");
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
