//! What is looked at with the rights of a configuration's server, in a process of its own: rights that were given up do not
//! come back, and another configuration's server has others.

use super::rights;
use crate::config::model::Config;
use crate::io::console;
use crate::sys::process::{self, Exit};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Rows = Vec<Vec<String>>;

/// The rows that `work` gives with the rights of the server. Only while the process has one thread.
///
/// # Errors
/// The other process did not give all of them.
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
            // A panic, whose message is printed already, must not go on as the parent's copy.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if let Err(why) = rights::take(config) {
                    console::line(format_args!("webserv: [warn] {why}"));
                }
                writer.write_all(&packed(&work())).is_ok()
            }));
            process::leave(i32::from(!outcome.unwrap_or(false)))
        }
    }
}

/// What the other process gave, where it ended well and gave all of it.
fn whole(exit: Exit, bytes: &[u8]) -> Result<Rows, String> {
    let what = "the process that looks at files with the server's rights";
    match exit {
        Exit::Code(0) => unpacked(bytes).ok_or_else(|| format!("{what} gave only a part of its answer")),
        Exit::Code(status) => Err(format!("{what} ended with status {status}")),
        Exit::Signal(signal) => Err(format!("{what} was killed by signal {signal}")),
    }
}

/// Their number, then each row as the number of its texts, each text with its length.
fn packed(rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, number: usize| out.extend_from_slice(&(number as u64).to_ne_bytes());
    put(&mut out, rows.len());
    for row in rows {
        put(&mut out, row.len());
        for text in row {
            put(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// None: they are not whole.
fn unpacked(mut bytes: &[u8]) -> Option<Rows> {
    let number = |bytes: &mut &[u8]| {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        usize::try_from(u64::from_ne_bytes(*first)).ok()
    };
    let text = |bytes: &mut &[u8]| {
        let length = number(bytes)?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let count = number(&mut bytes)?;
    let mut rows = Vec::new();
    for _ in 0..count {
        let texts = number(&mut bytes)?;
        rows.push((0..texts).map(|_| text(&mut bytes)).collect::<Option<_>>()?);
    }
    bytes.is_empty().then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_cut_ones_do_not() {
        let rows = vec![vec!["a".to_owned(), String::new()], Vec::new(), vec!["ä\n".to_owned()]];
        let bytes = packed(&rows);
        assert_eq!(unpacked(&bytes), Some(rows));
        for end in 0..bytes.len() {
            assert_eq!(unpacked(bytes.get(..end).unwrap_or_default()), None, "{end}");
        }
        assert_eq!(unpacked(&packed(&[])), Some(Vec::new()));
    }

    #[test]
    fn a_process_that_died_is_no_answer_without_rows() {
        let none = packed(&[]);
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
