//! Tables of rows, and which server each row holds for. `WEBSERV_BIN=/path/to/nginx` makes nginx the binary under test.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Which servers a row of a table holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// nginx's behaviour, proven against nginx itself.
    Both,
    /// Ours alone: a feature nginx lacks, or a deliberate difference; the text says which.
    Ours(&'static str),
}

/// The row holds for nginx too.
pub const BOTH: Runs = Runs::Both;

/// The row holds for us alone; the reason is printed when it is skipped.
pub const fn ours(reason: &'static str) -> Runs {
    Runs::Ours(reason)
}

/// The binary under test.
pub fn binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("WEBSERV_BIN") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_webserv")),
    })
}

/// Whether the binary under test is the real nginx.
pub fn on_nginx() -> bool {
    static NGINX: OnceLock<bool> = OnceLock::new();
    *NGINX.get_or_init(|| {
        std::env::var_os("WEBSERV_BIN").is_some()
            && Command::new(binary()).arg("-V").output().is_ok_and(|out| {
                let text = String::from_utf8_lossy(&out.stderr).into_owned();
                text.contains("nginx version: nginx/") && !text.contains("webserv/")
            })
    })
}

/// True (and says so past the test runner's capture) when the test cannot hold for nginx.
#[must_use]
pub fn skip_on_nginx(reason: &str) -> bool {
    if on_nginx() {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        let _ = writeln!(std::io::stderr(), "skipped on nginx: {name}: {reason}");
        return true;
    }
    false
}

/// Says past the test runner's capture that a test cannot run here, and what is missing.
pub fn skipped(missing: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {missing}");
}

/// A table under way: runs each row, remembers the failed ones, fails at the end with all their names.
pub struct Table {
    title: &'static str,
    only: Option<String>,
    ran: usize,
    failed: Vec<String>,
}

impl Table {
    /// `ROW=text` in the environment runs only the rows whose name contains the text.
    pub fn new(title: &'static str) -> Table {
        Table { title, only: std::env::var("ROW").ok(), ran: 0, failed: Vec::new() }
    }

    pub fn row(&mut self, runs: Runs, name: &str, check: impl FnOnce()) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        // A dead server fails every row alike: enough is enough.
        if self.failed.len() == 20 {
            self.failed.push("… the rest was not run".to_owned());
        }
        if self.failed.len() > 20 {
            return;
        }
        if crate::over_http2::skips_row(self.title, name) {
            return;
        }
        if let Runs::Ours(reason) = runs
            && skip_on_nginx(&format!("{name}: {reason}"))
        {
            return;
        }
        self.ran += 1;
        if catch_unwind(AssertUnwindSafe(check)).is_err() {
            println!("^^^ row {name:?}\n");
            self.failed.push(name.to_owned());
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        println!("{}: {} rows", self.title, self.ran);
        if !self.failed.is_empty() && !std::thread::panicking() {
            panic!(
                "{}: {} of {} rows failed:\n  {}",
                self.title,
                self.failed.len(),
                self.ran,
                self.failed.join("\n  ")
            );
        }
    }
}
