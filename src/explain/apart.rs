//! What is looked at with the rights of a configuration's server, in a process of its own: rights that were given up do not
//! come back, and another configuration's server has others.

use super::rights;
use crate::config::model::Config;
use crate::sys::process;
use std::io::{Read, Write};

/// The rows that `work` gives with the rights of the server. Only while the process has one thread.
pub fn rows(config: &Config, work: impl FnOnce() -> Vec<Vec<String>>) -> Vec<Vec<String>> {
    if process::geteuid() != 0 {
        return work();
    }
    let Ok((mut reader, mut writer)) = std::io::pipe() else { return work() };
    match process::fork() {
        Ok(Some(_)) => {
            drop(writer);
            let mut bytes = Vec::new();
            // What is missing is seen by its length.
            let _ = reader.read_to_end(&mut bytes);
            let _ = process::reap();
            unpacked(&bytes)
        }
        Ok(None) => {
            drop(reader);
            rights::take(config);
            let is_written = writer.write_all(&packed(&work())).is_ok();
            process::leave(i32::from(!is_written))
        }
        Err(_) => work(),
    }
}

/// Each row as the number of its texts, each text with its length.
fn packed(rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, number: usize| out.extend_from_slice(&(number as u64).to_ne_bytes());
    for row in rows {
        put(&mut out, row.len());
        for text in row {
            put(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn unpacked(mut bytes: &[u8]) -> Vec<Vec<String>> {
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
    let mut rows = Vec::new();
    while let Some(count) = number(&mut bytes) {
        let Some(row) = (0..count).map(|_| text(&mut bytes)).collect() else { break };
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_a_cut_one_does_not() {
        let rows = vec![vec!["a".to_owned(), String::new()], Vec::new(), vec!["ä\n".to_owned()]];
        let bytes = packed(&rows);
        assert_eq!(unpacked(&bytes), rows);
        assert_eq!(unpacked(bytes.get(..bytes.len() - 1).unwrap_or_default()), rows.get(..2).unwrap_or_default());
    }
}
