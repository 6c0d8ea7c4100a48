//! What the configuration's other logs contain about logged requests: lines are joined by request id, and the error log
//! explains a status.

use super::request_ids::{Ids, is_hex};
use crate::config::model::Config;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Maximum number of lines kept per request.
const LINES: usize = 32;

/// What other logs have, by request.
#[derive(Default)]
pub struct OtherLogs {
    /// Lines in other logs, by request id.
    lines: HashMap<String, Vec<String>>,
    ids: Ids,
    /// The id, if only one request is explained.
    only: Option<String>,
}

impl OtherLogs {
    /// Reads the configuration's logs for all requests in `text`, which is the log at `known`.
    pub fn of(config: &Config, known: Option<&Path>, text: &str) -> OtherLogs {
        let ids = Ids::of(config);
        let wanted = text.lines().filter_map(|line| ids.find(line)).map(str::to_owned).collect();
        OtherLogs { lines: read(config, known, &wanted, &ids), ids, only: None }
    }

    /// As [`OtherLogs::of`], for the one request with this id or line.
    pub fn of_one(config: &Config, known: Option<&Path>, (id, line): (&str, &str)) -> OtherLogs {
        if !is_hex(id) {
            return OtherLogs::of(config, known, line);
        }
        let ids = Ids::of(config);
        let lines = read(config, known, &HashSet::from([id.to_owned()]), &ids);
        OtherLogs { lines, ids, only: Some(id.to_owned()) }
    }

    /// Lines of other logs about this line's request.
    pub fn lines(&self, line: &str) -> &[String] {
        let id = self.only.as_deref().or_else(|| self.ids.find(line));
        id.and_then(|id| self.lines.get(id)).map_or(&[], Vec::as_slice)
    }

    /// Why the request got its status, if the error log says so.
    pub fn message<'l>(&'l self, line: &'l str) -> Option<&'l str> {
        let own = message(line);
        self.lines(line).iter().rev().find_map(|line| message(line)).or(own)
    }

    /// The message that its upstream gave no usable response, even if later messages follow it.
    pub fn fault<'l>(&'l self, line: &'l str) -> Option<&'l str> {
        let all = self.lines(line).iter().map(String::as_str).chain([line]);
        all.filter_map(message).find(|message| is_upstreams(message))
    }

    /// The name of the server that answered, if a line contains it.
    pub fn server(&self, line: &str) -> Option<&str> {
        self.lines(line).iter().rev().find(|line| message(line).is_some()).and_then(|line| server(line))
    }
}

fn read(config: &Config, known: Option<&Path>, wanted: &HashSet<String>, ids: &Ids) -> HashMap<String, Vec<String>> {
    let mut lines: HashMap<String, Vec<String>> = HashMap::new();
    let known = known.and_then(|path| std::fs::canonicalize(path).ok());
    for path in config.log_files.iter().filter(|_| !wanted.is_empty()) {
        // Reading a pipe or terminal would block.
        let is_other = std::fs::canonicalize(path).is_ok_and(|path| path.is_file() && Some(&path) != known.as_ref());
        let Some(file) = is_other.then(|| File::open(path).ok()).flatten() else { continue };
        let (mut reader, mut bytes) = (BufReader::new(file), Vec::new());
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end();
            if let Some(id) = ids.find(line).filter(|id| wanted.contains(*id)) {
                let known = lines.entry(id.to_owned()).or_default();
                if known.len() < LINES {
                    known.push(line.to_owned());
                }
            }
            bytes.clear();
        }
    }
    lines
}

/// The message of an error log line, without its trailer. None: another kind of line, or a message that explains
/// nothing.
fn message(line: &str) -> Option<&str> {
    let text = match line.split_once("\"message\":\"") {
        Some((_, rest)) => rest.split_once("\",\"").map_or(rest, |(text, _)| text),
        None => {
            let (head, rest) = line.split_once("] ")?;
            let (pid, rest) = rest.split_once(": *")?;
            let is_error_log = head.contains(" [") && pid.contains('#');
            let (_, text) = rest.split_once(' ').filter(|_| is_error_log)?;
            text.split_once(", client: ").map_or(text, |(text, _)| text)
        }
    };
    let beginnings = ["a client request body is buffered", "an upstream response is buffered", "send() failed"];
    let is_idle = beginnings.iter().any(|beginning| text.starts_with(beginning));
    (!is_idle && !["[notice]", "[debug]"].iter().any(|level| line.contains(level))).then_some(text)
}

fn server(line: &str) -> Option<&str> {
    let rest = line.split_once(", server: ").or_else(|| line.split_once("\"server\":\""))?.1;
    rest.split([',', '"']).next().filter(|name| !name.is_empty())
}

/// Whether a message is about a request that was rejected before its path was known, so no location was selected.
pub fn is_early(message: &str) -> bool {
    let early = ["client sent invalid request: ", "client sent plain HTTP", "client sent a TLS handshake"];
    let about_body = ["body", "chunk"].iter().any(|word| message.contains(word));
    (early.iter().any(|text| message.starts_with(text)) && !about_body)
        || ["SSL certificate", "client attempted to request"].iter().any(|text| message.contains(text))
}

/// Whether a message is about an upstream that gave no usable response.
pub fn is_upstreams(message: &str) -> bool {
    ["upstream", "no resolver", "could not be resolved"].iter().any(|word| message.contains(word))
        && !message.starts_with("client ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_error_log_is_its_message_and_its_server() {
        let about = ", client: ::1, server: a.test, request_id: \"188f971907a6422799c9ed366495ea85\", request: \"x\"";
        let line = format!("2026/11/28 00:13:54 [error] 7#7: *14 connect() failed while connecting to upstream{about}");
        assert_eq!(message(&line), Some("connect() failed while connecting to upstream"));
        assert_eq!(server(&line), Some("a.test"));
        let json = "{\"level\":\"info\",\"message\":\"client sent x\",\"client\":\"::1\",\"server\":\"b\"}";
        assert_eq!((message(json), server(json)), (Some("client sent x"), Some("b")));
        let access = "::1 - - [28/Nov/2026:00:13:53 +0000] \"GET /a: *b HTTP/1.1\" 404 1 \"-\" \"-\"";
        assert_eq!(message(access), None);
        let refused = |why: &str| is_early(&format!("client sent invalid request: client sent {why}"));
        assert!(refused("invalid host: x") && !refused("invalid chunked body: x"));
        assert!(!is_early("client sent no or an invalid \"Destination\" header"));
    }
}
