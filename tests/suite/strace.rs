//! strace, attached to a running server. Where the machine allows no attaching (Yama, a container without the right to
//! trace), the test that wants it is skipped aloud.

use crate::harness::Server;
use crate::table::skipped;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// Ends when dropped; the server goes on.
pub struct Strace {
    child: Child,
    /// Held open: strace writes there when it ends.
    _messages: BufReader<ChildStderr>,
    trace: PathBuf,
}

impl Strace {
    /// None, said aloud: it is not installed, or may not attach.
    pub fn attach(s: &Server, options: &[&str]) -> Option<Strace> {
        let trace = s.path("trace");
        let child = Command::new("strace")
            .args(options)
            .args(["-p", &s.pid.to_string(), "-o"])
            .arg(&trace)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            skipped("strace is not installed");
            return None;
        };
        let mut messages = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        // Warnings come before the line that counts; where it cannot attach, it ends.
        while !said.contains(" attached") {
            if messages.read_line(&mut said).unwrap_or(0) == 0 {
                skipped(&format!("strace cannot attach here: {}", said.trim()));
                let _ = child.wait();
                return None;
            }
        }
        Some(Strace { child, _messages: messages, trace })
    }

    /// Lets go of the server: what was recorded.
    pub fn detach(mut self) -> String {
        crate::os::kill(self.child.id(), libc::SIGINT);
        self.child.wait().expect("strace ends");
        String::from_utf8(std::fs::read(&self.trace).expect("a recording")).expect("ASCII")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            crate::os::kill(self.child.id(), libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
