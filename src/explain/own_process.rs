//! Runs work with the rights of a configuration's server in a child process: dropped privileges cannot be regained, and
//! the server of another configuration may have others.

use super::rights;
use crate::config::model::Config;
use crate::io::console;
use crate::sys::process::{self, Exit};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Rows = Vec<Vec<String>>;

/// Returns the rows that `work` produces with the server's rights. Call only while the process has one thread (it
/// forks).
///
/// # Errors
/// The child did not return all rows.
pub fn rows(config: &Config, work: impl FnOnce() -> Rows) -> Result<Rows, String> {
    if process::geteuid() != 0 {
        return Ok(work());
    }
    let (mut reader, mut writer) = std::io::pipe().map_err(|e| format!("pipe() failed: {e}"))?;
    match process::fork().map_err(|e| format!("fork() failed {e}"))? {
        Some(pid) => {
            drop(writer);
            let mut bytes = Vec::new();
            let read = reader.read_to_end(&mut bytes);
            let exit = process::await_end(pid).map_err(|e| format!("waitpid() failed {e}"))?;
            read.map_err(|e| format!("read() failed: {e}"))?;
            whole(exit, &bytes)
        }
        None => {
            drop(reader);
            // After a panic (its message is already printed) the child must not go on as a copy of the parent.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if let Err(why) = rights::take(config) {
                    console::line(format_args!("webserv: [warn] {why}"));
                }
                serde_json::to_vec(&work()).is_ok_and(|rows| writer.write_all(&rows).is_ok())
            }));
            process::leave(i32::from(!outcome.unwrap_or(false)))
        }
    }
}

/// The child's rows, if it exited successfully and they are complete.
fn whole(exit: Exit, bytes: &[u8]) -> Result<Rows, String> {
    let what = "the process that looks at files with the server's rights";
    match exit {
        Exit::Code(0) => serde_json::from_slice(bytes).map_err(|_| format!("{what} gave only a part of its answer")),
        Exit::Code(status) => Err(format!("{what} ended with status {status}")),
        Exit::Signal(signal) => Err(format!("{what} was killed by signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_cut_ones_do_not() {
        let rows = vec![vec!["a".to_owned(), String::new()], Vec::new(), vec!["ä\n".to_owned()]];
        let bytes = serde_json::to_vec(&rows).expect("texts");
        assert_eq!(whole(Exit::Code(0), &bytes), Ok(rows));
        for end in 0..bytes.len() {
            let cut = whole(Exit::Code(0), bytes.get(..end).unwrap_or_default());
            assert!(cut.is_err_and(|why| why.contains("gave only a part")), "{end}");
        }
    }

    #[test]
    fn a_process_that_died_is_no_answer_without_rows() {
        let none = b"[]"[..].to_vec();
        assert_eq!(whole(Exit::Code(0), &none), Ok(Vec::new()));
        for (exit, bytes, why) in [
            (Exit::Code(0), &[][..], "gave only a part"),
            (Exit::Code(1), &none, "ended with status 1"),
            (Exit::Signal(9), &none, "was killed by signal 9"),
        ] {
            assert!(whole(exit, bytes).is_err_and(|text| text.contains(why)), "{exit:?}");
        }
    }
}
