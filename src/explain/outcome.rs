//! Compares the parts of two explanations that a client could tell apart: status, headers, body. Which file, location
//! or rule led to them does not matter if the response is the same. Where only an upstream knows the response, the
//! upstream requests are compared.

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;

/// Files up to this size are compared by content.
const COMPARED: u64 = 16 << 20;

/// Whether both explanations lead to the same response.
pub fn is_same(before: &str, after: &str) -> bool {
    let (old, new) = (Answer::of(before), Answer::of(after));
    if !old.is_known() || !new.is_known() {
        // The upstream request shows the result of rewriting; for a CGI program only the steps are known.
        let is_told = |text: &str| text.lines().any(|line| line.starts_with("asked "));
        let purpose = if is_told(before) && is_told(after) { Purpose::CompareRequests } else { Purpose::CompareSteps };
        return essence(before, purpose) == essence(after, purpose);
    }
    old.head == new.head
        && match (old.file, new.file) {
            (Some(old), Some(new)) => is_same_file(old, new),
            (None, None) => old.text == new.text,
            _ => false,
        }
}

/// The response according to an explanation.
struct Answer<'t> {
    /// Status and headers; of validators (ETag and the like) only the names.
    head: Vec<&'t str>,
    /// The file that is sent as the body.
    file: Option<&'t str>,
    /// What else produces the body; empty for the status's default page.
    text: Vec<&'t str>,
}

impl<'t> Answer<'t> {
    fn of(explanation: &'t str) -> Answer<'t> {
        let lines = || explanation.lines();
        let head: Vec<&str> = lines().skip_while(|line| !line.starts_with("answer ")).collect();
        let is_version = |line: &&str| is_validator(line);
        let last = |subject: &str| lines().rfind(|line| line.starts_with(subject)).map(bare);
        let file = last("file ").and_then(|line| line.strip_prefix("file ")).map(str::trim_start);
        let file = file.filter(|_| head.iter().any(is_version));
        let status = head.first().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
        // `return CODE "text"`; a redirect's URL is compared as a header.
        let written = lines().rfind(|line| line.contains(": answers ")).map(bare);
        // Without a body, what would have produced it does not matter.
        let is_empty = ["204", "304"].contains(&status)
            || lines().any(|line| line.starts_with("request    HEAD "))
            || head.iter().any(|line| length(line) == Some("0"));
        let text = match written.and_then(|line| line.split_once("return ")?.1.split_once(": answers ")) {
            _ if is_empty => Vec::new(),
            Some((written, _)) if !status.starts_with('3') => {
                written.split_once(' ').map(|(_, text)| text).into_iter().collect()
            }
            Some(_) => Vec::new(),
            None if status.starts_with('2') => ["handler ", "file ", "store "].into_iter().filter_map(last).collect(),
            None => Vec::new(),
        };
        // Validators follow from the body, which is compared itself; only their presence counts.
        let named = |line: &'t str| if is_version(&line) { line.split(':').next().unwrap_or_default() } else { line };
        Answer { head: head.into_iter().map(named).collect(), file, text }
    }

    /// Whether the response is known without an upstream and without reading a body.
    fn is_known(&self) -> bool {
        let first = self.head.first().map(|line| line.trim_start_matches("answer").trim_start());
        first.is_some_and(|status| status.starts_with(|c: char| c.is_ascii_digit()))
    }
}

/// The length of the body, if the line has it.
pub fn length(line: &str) -> Option<&str> {
    field(line, "Content-Length").map(str::trim)
}

fn is_validator(line: &str) -> bool {
    ["ETag", "Last-Modified"].iter().any(|name| field(line, name).is_some())
}

/// The value, if the line is a field of that name. HTTP/2 has names in lower case.
fn field<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let (said, value) = line.trim_start().split_once(':')?;
    said.eq_ignore_ascii_case(name).then_some(value)
}

/// A line's text, and the position behind it.
pub fn placed(line: &str) -> Option<(&str, &str)> {
    line.strip_suffix(']')?.rsplit_once("  [")
}

/// A line without its position.
pub fn bare(line: &str) -> &str {
    line.rsplit_once("  [").map_or(line, |(line, _)| line)
}

fn is_same_file(old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    let (Ok(a), Ok(b)) = (std::fs::metadata(old), std::fs::metadata(new)) else { return false };
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return true;
    }
    let is_small = a.is_file() && b.is_file() && a.len() == b.len() && a.len() <= COMPARED;
    is_small && std::fs::read(old).is_ok_and(|old| std::fs::read(new).is_ok_and(|new| old == new))
}

/// What the lines about a response are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// They are shown: with positions (file and line).
    Show,
    /// They are compared between configurations: without positions, and without steps that had no effect.
    CompareSteps,
    /// As [`Purpose::CompareSteps`], where the lines contain the upstream request: it already shows the result of
    /// rewriting.
    CompareRequests,
}

/// The lines about the response and its handler.
pub fn essence(text: &str, purpose: Purpose) -> String {
    const SUBJECTS: [&str; 13] = [
        "rewrite",
        "handler",
        "file",
        "store",
        "upstream",
        "asked",
        "added",
        "hidden",
        "passed",
        "redirects",
        "cookies",
        "body",
        "answer",
    ];
    let mut out = String::new();
    let mut subject = "";
    for line in text.lines() {
        let head = line.split(' ').next().unwrap_or_default();
        let is_first = !head.is_empty();
        subject = if is_first { head } else { subject };
        let matters = match (subject, purpose) {
            // Only the server and location that were selected, not those tried.
            ("server" | "location", purpose) => is_first && purpose == Purpose::Show,
            ("answer", _) => !is_validator(line),
            ("rewrite", Purpose::CompareRequests) => false,
            ("rewrite", Purpose::CompareSteps) => {
                !bare(line).ends_with(": false") && !bare(line).contains(": does not match ")
            }
            (subject, _) => SUBJECTS.contains(&subject),
        };
        if matters {
            let _ = writeln!(out, "{}", if purpose == Purpose::Show { line } else { bare(line) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_cannot_tell_apart_is_the_same_answer() {
        let missing = "answer     404 Not Found\n           Content-Length: 9\n";
        let upstream = "answer     is the upstream's, which is not contacted to find out\n";
        let text = |text: &str| format!("rewrite    return 200{text}: answers 200  [f:1]\nanswer     200 OK\n");
        let file = |path: &str| format!("file       {path}\nanswer     200 OK\n           ETag: \"{path}\"\n");
        let (here, there) = (file("Cargo.toml"), file("/nowhere/Cargo.toml"));
        for (name, old, new, same) in [
            ("another missing file", format!("file       /a\n{missing}"), format!("file       /b\n{missing}"), true),
            (
                "by a rule, not by the disk",
                format!("rewrite    return 404: answers 404  [f:2]\n{missing}"),
                missing.to_owned(),
                true,
            ),
            ("another header", missing.to_owned(), missing.replace('9', "8"), false),
            (
                "a condition that is false",
                format!("rewrite    if ($a): false  [f:1]\n{missing}"),
                missing.to_owned(),
                true,
            ),
            ("another text", text(" \"a\""), text(" \"b\""), false),
            ("the same text elsewhere", text(" \"a\""), text(" \"a\"").replace("f:1", "g:9"), true),
            ("the same file", here.clone(), here.clone(), true),
            ("another file", here.clone(), there, false),
            (
                "an ETag no more",
                format!("{here}           Last-Modified: now\n"),
                format!("{}           Last-Modified: now\n", here.replace("           ETag: \"Cargo.toml\"\n", "")),
                false,
            ),
            (
                "another URL of an upstream",
                format!("handler    proxy_pass: http://a/  [f:1]\n{upstream}"),
                format!("handler    proxy_pass: http://b/  [f:1]\n{upstream}"),
                false,
            ),
            (
                "the same upstream",
                format!("handler    proxy_pass: http://a/  [f:1]\n{upstream}"),
                format!("handler    proxy_pass: http://a/  [f:7]\n{upstream}"),
                true,
            ),
            (
                "the same upstream, without a condition that was false",
                format!("rewrite    if ($a): false  [f:1]\nhandler    cgi_pass  [f:2]\n{upstream}"),
                format!("handler    cgi_pass  [f:2]\n{upstream}"),
                true,
            ),
            ("an upstream no more", upstream.to_owned(), missing.to_owned(), false),
        ] {
            assert_eq!(is_same(&old, &new), same, "{name}");
        }
    }
}
