//! Lines of an error log, in nginx's format or as JSON: one object per line, always UTF-8, with the request's data as
//! members. Also limits repeated lines: a repeated message of the process is only counted, and a log with a rate drops
//! lines beyond it and reports how many.
//!
//! No line is longer than 9 KiB: the message has at most [`MESSAGE`] bytes, the request line [`REQUEST`], each other
//! member of the request's data [`MEMBER`], counted as written. A longer value loses its middle, marked with "…", which
//! no valid URI contains ([`is_shortened`]), so that both the cause and the client remain visible; nginx cuts the end
//! of the line (2048 bytes, NGX_MAX_ERROR_STR).

use super::clock::Clock;
use crate::config::model::{Level, LineFormat};
use crate::http::escape::json_escape;
use crate::util::decimal;
use crate::util::printable::Printable;
use std::fmt::{self, Write};

/// Milliseconds for which a repeated line is only counted.
const REPEAT_INTERVAL: u64 = 10_000;
/// A rate is one per second.
const SECOND: u64 = 1_000;

/// Maximum bytes of the text of a line: a path may have 4096.
const MESSAGE: usize = 4096;
/// Maximum bytes of the request line: queries of some hundred bytes are ordinary, and `explain` needs the whole.
const REQUEST: usize = 2048;
/// Maximum bytes of each other member: host, referrer and so on.
const MEMBER: usize = 512;
/// Stands for what was left out.
const LEFT_OUT: &str = "…";

/// A request's data after the text, in the line's format.
pub trait RequestPart {
    /// Appends the request's part (client, server, request line …) in the line's format.
    fn put(&self, format: LineFormat, line: &mut Vec<u8>);
}

impl<F: Fn(LineFormat, &mut Vec<u8>)> RequestPart for F {
    fn put(&self, format: LineFormat, line: &mut Vec<u8>) {
        self(format, line);
    }
}

/// The data of a line besides its text.
#[derive(Clone, Copy)]
pub struct Facts {
    /// The level of the line.
    pub level: Level,
    /// The process that writes it.
    pub pid: u32,
    /// The number of the connection.
    pub serial: Option<u64>,
}

/// Appends the line up to its text; the request's data follow, then [`end`].
pub fn begin(format: LineFormat, facts: Facts, now: &mut Clock, text: &[u8], line: &mut Vec<u8>) {
    let Facts { level, pid, serial } = facts;
    match format {
        LineFormat::Text => {
            line.extend_from_slice(now.error_stamp().as_bytes());
            line.extend_from_slice(b" [");
            line.extend_from_slice(level.name().as_bytes());
            line.extend_from_slice(b"] ");
            for end in [&b"#"[..], b": "] {
                decimal::push(u64::from(pid), 0, line);
                line.extend_from_slice(end);
            }
            if let Some(serial) = serial {
                line.push(b'*');
                decimal::push(serial, 0, line);
                line.push(b' ');
            }
            // Names of clients, programs and files may be in it: whatever they hold, a line stays one line.
            shortened(text, MESSAGE, line, |text, line| Printable(text).put(line));
        }
        LineFormat::Json => {
            line.extend_from_slice(b"{\"time\":\"");
            line.extend_from_slice(now.iso().as_bytes());
            line.extend_from_slice(b"\",\"level\":\"");
            line.extend_from_slice(level.name().as_bytes());
            line.extend_from_slice(b"\",\"pid\":");
            decimal::push(u64::from(pid), 0, line);
            if let Some(serial) = serial {
                line.extend_from_slice(b",\"connection\":");
                decimal::push(serial, 0, line);
            }
            json_member("message", text, MESSAGE, line);
        }
    }
}

/// A member whose value is text.
pub fn member(name: &str, value: &[u8], line: &mut Vec<u8>) {
    json_member(name, value, most(name), line);
}

fn most(name: &str) -> usize {
    if name == "request" { REQUEST } else { MEMBER }
}

/// Whether this member, as written in a line, has lost its middle. A shortened value keeps more than half of its room,
/// so a mark in a short value was sent by the client.
pub fn is_shortened(name: &str, shown: &str) -> bool {
    shown.len() > most(name) / 2 && shown.contains(LEFT_OUT)
}

fn json_member(name: &str, value: &[u8], most: usize, line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":\"");
    shortened(value, most, line, json_escape);
    line.push(b'"');
}

/// Appends one of the request's data to a line of text.
pub fn text_member(name: &str, value: &[u8], line: &mut Vec<u8>) {
    shortened(value, most(name), line, |value, line| Printable(value).put(line));
}

/// Appends at most `most` bytes: `value` with `escape`, without its middle if it is too long.
fn shortened(value: &[u8], most: usize, line: &mut Vec<u8>, escape: impl Fn(&[u8], &mut Vec<u8>)) {
    let begin = line.len();
    let mut kept = most;
    if value.len() <= most {
        escape(value, line);
        if line.len() - begin <= most {
            return;
        }
        kept = value.len();
    }
    let most = most - LEFT_OUT.len();
    loop {
        // Escaped, it may have six times the length.
        let used = (line.len() - begin).max(kept);
        kept = (kept * most / used).min(kept.saturating_sub(1));
        line.truncate(begin);
        let is_inside = |at: usize| value.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let (mut head, mut tail) = (kept - kept / 4, value.len() - kept / 4);
        // Characters stay whole; bytes that are not UTF-8 are cut anywhere.
        head -= (0..4.min(head)).find(|back| !is_inside(head - back)).unwrap_or_default();
        tail += (0..4).find(|on| !is_inside(tail + on)).unwrap_or_default();
        escape(&value[..head], line);
        line.extend_from_slice(LEFT_OUT.as_bytes());
        escape(&value[tail..], line);
        if line.len() - begin <= most + LEFT_OUT.len() {
            return;
        }
    }
}

/// Ends a line that was begun in that format.
pub fn end(format: LineFormat, line: &mut Vec<u8>) {
    line.extend_from_slice(match format {
        LineFormat::Text => b"\n",
        LineFormat::Json => b"}\n",
    });
}

/// The process's last message about itself.
#[derive(Default)]
pub struct Repeats {
    text: Vec<u8>,
    /// When it was written.
    at: u64,
    count: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Write it; the previous line was repeated this many times.
    After(u64),
    /// It repeats the previous line: it is counted, not written.
    Counted,
}

impl Repeats {
    /// Whether to write a line about the process.
    pub fn admit(&mut self, text: &[u8], now: u64) -> Admitted {
        let is_same = self.text == text;
        if is_same && now.saturating_sub(self.at) < REPEAT_INTERVAL {
            self.count += 1;
            return Admitted::Counted;
        }
        self.at = now;
        if !is_same {
            self.text.clear();
            self.text.extend_from_slice(text);
        }
        Admitted::After(std::mem::take(&mut self.count))
    }

    /// Appends the number of repeated lines.
    pub fn note(count: u64, text: &mut Vec<u8>) {
        let mut note = String::new();
        if count > 0 {
            let _ = write!(note, " (the line before was repeated {count} more times)");
        }
        text.extend_from_slice(note.as_bytes());
    }
}

/// The number of lines of a log in the current second.
#[derive(Clone, Debug, Default)]
pub struct Window {
    began: u64,
    lines: u64,
    left_out: u64,
}

impl Window {
    /// Whether one more line may be written at `rate` lines per second.
    pub fn admit(&mut self, rate: u32, now: u64) -> bool {
        if now.saturating_sub(self.began) >= SECOND {
            (self.began, self.lines) = (now, 0);
        }
        let is_within = self.lines < u64::from(rate);
        match is_within {
            true => self.lines += 1,
            false => self.left_out += 1,
        }
        is_within
    }

    /// When to report dropped lines.
    pub fn due(&self) -> Option<u64> {
        (self.left_out > 0).then_some(self.began + SECOND)
    }

    /// The number of dropped lines, once the second is over.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        self.due().filter(|due| *due <= now).map(|_| std::mem::take(&mut self.left_out))
    }
}

/// Formats a message into a reused buffer.
pub fn write(text: &mut Vec<u8>, what: fmt::Arguments<'_>) {
    text.clear();
    // Writing to a Vec does not fail.
    let _ = std::io::Write::write_fmt(text, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_one_object_whatever_is_in_it() {
        let mut line = Vec::new();
        let facts = Facts { level: Level::Error, pid: 7, serial: Some(3) };
        begin(LineFormat::Json, facts, &mut Clock::read(), b"open() \"/a\xffb\n\" failed", &mut line);
        member("request", b"GET /\"\\\x01 HTTP/1.1", &mut line);
        end(LineFormat::Json, &mut line);
        let text = String::from_utf8(line).expect("UTF-8");
        assert!(text.starts_with("{\"time\":\"20"), "{text}");
        let rest = "\"level\":\"error\",\"pid\":7,\"connection\":3,\"message\":\"open() \\\"/a\u{fffd}b\\n\\\" failed\",\
                    \"request\":\"GET /\\\"\\\\\\u0001 HTTP/1.1\"}\n";
        assert!(text.ends_with(rest), "{text}");
    }

    #[test]
    fn a_text_line_is_one_line_whatever_is_in_it() {
        let mut line = Vec::new();
        let facts = Facts { level: Level::Error, pid: 7, serial: Some(3) };
        begin(LineFormat::Text, facts, &mut Clock::read(), b"user \"a\n[emerg] \x1b[2J\xff\xc3\xa4\" was", &mut line);
        end(LineFormat::Text, &mut line);
        let text = String::from_utf8(line).expect("UTF-8");
        assert!(text.ends_with("[error] 7#7: *3 user \"a\\x0A[emerg] \\x1B[2J\\xFF\u{e4}\" was\n"), "{text}");
    }

    #[test]
    fn a_long_member_loses_its_middle_and_not_its_end() {
        let put = |value: &[u8], most: usize, escape: fn(&[u8], &mut Vec<u8>)| {
            let mut line = b"x".to_vec();
            shortened(value, most, &mut line, escape);
            assert!(line.len() <= most + 1, "{}", line.escape_ascii());
            String::from_utf8(line.split_off(1)).expect("UTF-8")
        };
        let printable = |value: &[u8], line: &mut Vec<u8>| Printable(value).put(line);
        assert_eq!(put(b"0123456789", 10, printable), "0123456789");
        assert_eq!(put(b"0123456789a", 10, printable), "012345…a");
        let long = [b"GET /".as_slice(), &[b'a'; 90_000], b" HTTP/1.1"].concat();
        let text = put(&long, REQUEST, printable);
        assert!(is_shortened("request", &text) && !is_shortened("request", "GET /…"), "{text}");
        assert!(text.len() > REQUEST - 4 && text.starts_with("GET /aa") && text.ends_with("aa HTTP/1.1"), "{text}");
        for (most, pattern) in (20..60).zip(["\u{e4}", "\u{20ac}x", "\u{1f600}", "a\u{1}b", "\""].iter().cycle()) {
            let value = pattern.repeat(1000);
            for text in [put(value.as_bytes(), most, printable), put(value.as_bytes(), most, json_escape)] {
                assert!(
                    text.contains(LEFT_OUT) && !text.contains('\u{fffd}') && text.len() > most / 2,
                    "{most} {text}"
                );
                assert_eq!(text.contains("\\x"), pattern.contains('\u{1}') && !text.contains("\\u00"), "{text}");
            }
        }
        let bytes = [0x80; 3000];
        assert!(put(&bytes, 100, printable).starts_with("\\x80\\x80"));
        assert!(put(&bytes, 100, json_escape).starts_with('\u{fffd}'));
    }

    #[test]
    fn a_line_that_comes_again_at_once_is_counted() {
        let mut repeats = Repeats::default();
        let table = [
            (&b"full"[..], 0, Admitted::After(0)),
            (b"full", 1, Admitted::Counted),
            (b"full", 9_999, Admitted::Counted),
            (b"full", 10_000, Admitted::After(2)),
            (b"full", 10_001, Admitted::Counted),
            (b"other", 10_002, Admitted::After(1)),
            (b"full", 10_003, Admitted::After(0)),
        ];
        for (text, now, expected) in table {
            assert_eq!(repeats.admit(text, now), expected, "at {now}");
        }
    }

    #[test]
    fn a_rate_leaves_lines_out_and_counts_them() {
        let mut window = Window::default();
        let written = (0..10).filter(|_| window.admit(3, 5_000)).count();
        assert_eq!((written, window.due(), window.take(5_999)), (3, Some(6_000), None));
        assert_eq!((window.take(6_000), window.due()), (Some(7), None));
        assert!(window.admit(3, 6_000));
    }
}
