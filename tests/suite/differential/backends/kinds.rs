//! The kinds of differences between what webserv and nginx make of backends: those that README's table of differences
//! has a row of. None may excuse more than its row says.

use super::stub::{Answer, End, Framing};

/// What both made of one request.
pub struct Pair<'a> {
    pub ask: &'a str,
    pub conf: &'a str,
    pub answers: &'a [Answer],
    pub ours: &'a str,
    pub theirs: &'a str,
    pub we_asked: &'a str,
    pub they_asked: &'a str,
}

impl Pair<'_> {
    /// The answers that one of the two was given.
    fn given(&self) -> &[Answer] {
        let asked = |text: &str| text.lines().filter(|line| line.starts_with("--- ")).count();
        &self.answers[..asked(self.we_asked).max(asked(self.they_asked)).min(self.answers.len())]
    }

    /// Something was asked over HTTP, or of an application.
    fn was_asked(&self, over_http: bool) -> bool {
        let lines = self.we_asked.lines().chain(self.they_asked.lines());
        lines.filter(|line| line.starts_with("--- ")).any(|line| line.starts_with("--- proxy") == over_http)
    }

    /// Nothing differs once both are changed in this way.
    fn same_after(&self, change: impl Fn(&str) -> String) -> bool {
        change(self.ours) == change(self.theirs) && change(self.we_asked) == change(self.they_asked)
    }

    fn any(&self, is: impl Fn(&Answer) -> bool) -> bool {
        self.given().iter().any(is)
    }

    fn are(&self, our_status: &str, their_status: &str) -> bool {
        let has = |text: &str, status: &str| text.lines().any(|line| line.starts_with(&format!("HTTP/1.1 {status}")));
        has(self.ours, our_status) && has(self.theirs, their_status)
    }

    /// Nothing differs but lines of the answers that begin with one of these.
    fn answers_but_for(&self, names: &[&str]) -> bool {
        without(self.ours, names) == without(self.theirs, names) && self.we_asked == self.they_asked
    }

    /// Nothing differs but lines of what was asked of the backends that begin with one of these.
    fn asked_but_for(&self, names: &[&str]) -> bool {
        without(self.we_asked, names) == without(self.they_asked, names)
    }

    /// One of the requests of the connection.
    fn asks(&self, method: &str) -> bool {
        self.ask.starts_with(method)
            || self.ask.contains(&format!("\n{method}"))
            || self.ask.contains(&format!("abc{method}"))
    }
}

/// The table's row, and how a difference of this kind is recognised.
pub type Kind = (&'static str, fn(&Pair) -> bool);

pub const KINDS: &[Kind] = &[
    ("| an upstream's interim response (1xx other than 101) |", |pair| {
        pair.was_asked(true) && pair.any(|answer| !answer.interim.is_empty())
    }),
    ("| an upstream's response without a status line, or with a code below 100 |", |pair| {
        pair.was_asked(true) && pair.any(|answer| answer.odd_line.as_deref().is_some_and(is_no_status_line))
            || pair.was_asked(false) && pair.any(|answer| answer.odd_status.as_deref().is_some_and(is_no_status))
    }),
    ("| control bytes in an upstream's status line |", |pair| {
        pair.was_asked(true) && pair.any(|answer| answer.odd_line.as_deref().is_some_and(has_control))
    }),
    ("| `Expect: 100-continue` without a body", |pair| {
        pair.ask.contains("\r\nExpect:") && pair.theirs.contains("HTTP/1.1 100")
    }),
    ("| POST, PUT, DELETE and the like to a folder without its slash", |pair| {
        pair.are("308", "301") || pair.ours.contains("HTTP/1.1 308") && pair.conf.contains("error_page 30")
    }),
    ("| `proxy_pass_request_body off` |", |pair| {
        pair.conf.contains("proxy_pass_request_body off")
            && (pair.theirs.contains("HTTP/1.1 504") || pair.asked_but_for(&["content-length:"]))
    }),
    ("| `auth_request` to a `proxy_pass` that passes the body", |pair| {
        pair.conf.contains("auth_request /auth;")
            && pair.conf.contains("location = /auth { proxy_pass")
            && !pair.they_asked.contains("/auth ")
            && ["\nContent-Length: ", "\nTransfer-Encoding: "].iter().any(|name| pair.ask.contains(name))
    }),
    ("| a chunked body received together with its head, with `proxy_request_buffering off`", |pair| {
        pair.conf.contains("request_buffering off")
            && (pair.asked_but_for(&["transfer-encoding:", "content-length:"])
                || pair.conf.contains("$request_body") && pair.ask.contains("\nTransfer-Encoding: chunked"))
            && pair.ours == pair.theirs
    }),
    ("| `$sent_http_…` that is read before there is a response", |pair| {
        pair.conf.contains("$sent_http_") && pair.answers_but_for(&["x-l:", "x-t:", "x-up:"])
    }),
    ("| OPTIONS for files |", |pair| pair.asks("OPTIONS") && pair.ours.contains("HTTP/1.1 204")),
    ("| a fragment in the target (`/a#b`) |", |pair| {
        // Those of `$request_uri` follow one another.
        pair.ask.contains("#frag")
            && (pair.same_after(without_fragments)
                || pair.same_after(|text| without(&without_fragments(text), &["x-long:", "long="])))
    }),
    ("| escaped CR or LF in a path |", |pair| pair.ask.contains("%0a") && pair.ours.contains("HTTP/1.1 400")),
    ("| an upstream's `Proxy-Connection` and `TE`, and fields that its", |pair| {
        pair.answers_but_for(&["proxy-connection:", "te:"])
    }),
    ("| `Content-Length` and `Content-Type` of an upstream's 204 |", |pair| {
        pair.are("204", "204") && pair.answers_but_for(&["content-length:", "content-type:"])
    }),
    ("| lines of an upstream's head whose name is not a token", |pair| {
        pair.any(|answer| {
            let named = |bad: &str| answer.fields.windows(bad.len()).any(|part| part == bad.as_bytes());
            ["X-(a)", "NoColon", "X-\u{e9}", "\"quoted\"", "<b>", "X-@", "a\u{1}b", "X\0", "a\0b"]
                .iter()
                .any(|bad| named(bad))
                || answer.fields.windows(3).any(|part| part == b"X-\xe9")
        })
    }),
    ("| request fields named in the client's `Connection` |", |pair| {
        pair.ask.contains("\r\nConnection: close, X-A") && pair.asked_but_for(&["x-a:", "http_x_a="])
    }),
    ("| the header field `Proxy`, to FastCGI, SCGI, uwsgi and CGI |", |pair| {
        pair.ask.contains("\r\nProxy:") && pair.asked_but_for(&["http_proxy="])
    }),
    ("| tabs around the value of a header field |", |pair| {
        pair.ask.contains("\ttab") && pair.asked_but_for(&["x-a:", "http_x_a="])
    }),
    ("| a space or a control byte in the URI of `proxy_pass` |", |pair| {
        pair.conf.contains("$uri") && pair.same_after(|text| text.replace("%20", " "))
    }),
    ("| `proxy_method` with an empty variable |", |pair| {
        pair.conf.contains("proxy_method $arg_a") && pair.ours.contains("HTTP/1.1 500")
    }),
    ("| an upstream's status without a phrase |", |pair| {
        pair.ours.replace("00 \n", "00\n") == pair.theirs.replace("00 \n", "00\n") && pair.we_asked == pair.they_asked
    }),
    ("| a body whose upstream broke off or stopped, except", |pair| {
        let answers = |text: &str| text.matches("HTTP/1.1 ").count();
        let is_cut = |text: &str| text.contains("[cut]");
        pair.any(breaks_off) && (is_cut(pair.ours) || is_cut(pair.theirs) || answers(pair.theirs) < answers(pair.ours))
    }),
    ("| `Range` on methods other than GET (HEAD among them) |", |pair| {
        pair.ask.contains("\r\nRange:") && !pair.ask.starts_with("GET")
    }),
    ("| `If-Match`, `If-Unmodified-Since` and the like on methods other than GET", |pair| {
        pair.ask.contains("\r\nIf-")
            && ["304", "412"].iter().any(|status| pair.theirs.contains(&format!("HTTP/1.1 {status}")))
    }),
    ("| fields of the original response when `error_page`", |pair| {
        pair.answers_but_for(&[
            "www-authenticate:",
            "expires:",
            "cache-control:",
            "vary:",
            "content-range:",
            "content-type:",
        ])
    }),
    ("| an `X-Accel-Redirect` that does not begin with a slash |", |pair| {
        pair.any(|answer| accel_redirects(answer).iter().any(|target| !target.starts_with(['/', '@'])))
    }),
    ("| two slashes or a `.` segment in `X-Accel-Redirect` |", |pair| {
        pair.any(|answer| accel_redirects(answer).iter().any(|target| target.contains("//")))
    }),
    ("| a request with an empty body that `X-Accel-Redirect` or an error page sends to a backend |", |pair| {
        let is_empty = pair.ask.contains("\r\n\r\n0\r\n") || pair.ask.contains("Content-Length: 0\r\n");
        is_empty && pair.asked_but_for(&["content-length:", "content_length="])
    }),
    ("| a 101 that its client did not ask for |", |pair| pair.theirs.contains("HTTP/1.1 101")),
    ("| a kept connection to an upstream that is closed during a request |", |pair| {
        pair.any(|answer| answer.end == End::Reset) && pair.we_asked.starts_with(pair.they_asked)
    }),
    ("| the reason phrases of 302 and 401 |", |pair| {
        let bare = |text: &str| text.replace("302 Found", "302").replace("302 Moved Temporarily", "302");
        bare(pair.ours) == bare(pair.theirs) && pair.we_asked == pair.they_asked
    }),
    ("| `*_store` with `*_buffering off` |", |pair| {
        pair.conf.contains("_store") && pair.conf.contains("_buffering off")
    }),
];

/// A final response does not begin so: `HTTP/1.`, a digit, a blank, a code of three digits from 200 on, a blank or the
/// end.
fn is_no_status_line(line: &[u8]) -> bool {
    let code = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(1..)).and_then(|rest| rest.strip_prefix(b" "));
    code.is_none_or(is_no_code)
}

fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// The same of the field that stands for it in what applications answer.
fn is_no_status(field: &[u8]) -> bool {
    let name = b"status:";
    match field.get(..name.len()) {
        Some(start) if start.eq_ignore_ascii_case(name) => is_no_code(field[name.len()..].trim_ascii_start()),
        _ => is_no_status_line(field),
    }
}

fn is_no_code(text: &[u8]) -> bool {
    let is_code = text.len() >= 3 && text[..3].iter().all(u8::is_ascii_digit) && text[0] >= b'2';
    !is_code || text.get(3).is_some_and(|next| *next != b' ')
}

/// The body ends before it should, or in the middle of what says where it ends.
fn breaks_off(answer: &Answer) -> bool {
    answer.only.is_some()
        || matches!(answer.framing, Framing::Chunks | Framing::Other(_) | Framing::Fields(_))
        || answer.records.ended.is_none()
        || answer.records.odd.is_some()
}

/// What stands behind the path of a target is a part of the fragment.
pub fn without_fragments(text: &str) -> String {
    let mut pieces = text.split("#frag");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |whole, piece| whole + piece.trim_start_matches(|c: char| !c.is_ascii_whitespace()))
}

/// The values of `X-Accel-Redirect` in the answer of a backend.
fn accel_redirects(answer: &Answer) -> Vec<String> {
    let text = String::from_utf8_lossy(&answer.fields).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("X-Accel-Redirect: ")).map(str::to_owned).collect()
}

/// A text without lines that begin with one of these.
fn without(text: &str, names: &[&str]) -> String {
    let lines = text.lines().filter(|line| !names.iter().any(|name| line.to_ascii_lowercase().starts_with(name)));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_kind_of_difference_has_its_row() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    for (row, _) in KINDS {
        assert!(readme.contains(row), "README's table has no row {row}");
    }
}
