//! The rules of RFC 9112 and RFC 9110 that a server can be seen to follow, section by section:
//! `tests/conformance/*.rows` are read when the test runs.
//!
//! A line that begins with a section's number and has no `|` heads the rows below it. A row is four columns, with ` | `
//! between them: `both` (nginx does it too) or `ours: REASON`, the rule, the bytes that are sent, and what comes back.
//! `¶` is CRLF, `\xHH` a byte, `{H}` a Host line, `{LONG}` 40 000 letters; `{E}` is the ETag of `/f`, `{S}` when it was
//! changed, `{O}` and `{L}` a second before and after. What comes back are the answers in order, `;` between them, then
//! `closed` or `open`:
//!
//! ```text
//! 200 body=0123456789; closed     a status (or several, `400/501`), and what must hold of it
//! head 200 Content-Length=10      the answer to a HEAD
//! 206 Content-Range=bytes~0-1/10  a field's value, `~` for a blank; `+Name` it is there, `-Name` it is not
//! 405 body!=secret                the body has no such text
//! 200 version=HTTP/1.1            what the status line begins with
//! ```

use crate::client::find;
use crate::harness::{BOTH, Runs, Server, Table, ours, server};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

const CHANGED: u64 = 784_111_777;

fn start() -> Server {
    let s = server(
        "location = /text { return 200 text; }
         location = /smuggled { return 200 smuggled; }
         location = /moved { return 301 /text; }
         location = /host { return 200 $host; }
         location = /target { return 200 \"$uri $args\"; }
         location = /field { return 200 \"[$http_x]\"; }
         location = /nothing { return 204; }
         location = /body { proxy_pass http://127.0.0.1:%%PORT1%%; add_header X-Body \"[$request_body]\"; }
         location = /hop { proxy_pass http://127.0.0.1:%%PORT1%%; proxy_set_header Connection \"\"; proxy_http_version 1.1; }
         location = /secret { auth_basic realm; auth_basic_user_file %%DIR%%/users; }
         location = /plain.txt { gzip on; gzip_min_length 0; gzip_types text/plain; gzip_vary on; default_type text/plain; }
         location /dav/ { dav_methods PUT DELETE; }
         location = /small { client_max_body_size 2; proxy_pass http://127.0.0.1:%%PORT1%%; }
         } server { listen 127.0.0.1:%%PORT1%%; location / { return 200 \"[$http_x_hop][$http_te][$http_content_length]\"; }",
    )
    .file("html/f", "0123456789")
    .file("html/plain.txt", "text ".repeat(100))
    .file("html/secret", "secret")
    .file("html/dav/old", "old")
    .file("users", "u:{PLAIN}p\n")
    .mkdir("html/dir")
    .start();
    let file = fs::File::options().write(true).open(s.path("html/f")).expect("our own file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(CHANGED)).expect("its time is set");
    s
}

struct Row {
    runs: Runs,
    name: String,
    sent: Vec<u8>,
    wanted: String,
}

fn rows(file: &str, etag: &str) -> Vec<Row> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut section, mut rows) = (String::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !line.contains('|') && line.starts_with(|c: char| c.is_ascii_digit()) {
            section = line.to_owned();
            continue;
        }
        let columns: Vec<&str> = line.split(" | ").collect();
        let [runs, rule, sent, wanted] = columns[..] else { panic!("{file}: neither a heading nor a row: {line}") };
        // Rows live as long as the test does.
        let runs = match (runs, runs.strip_prefix("ours: ")) {
            ("both", _) => BOTH,
            (_, Some(reason)) => ours(reason.to_owned().leak()),
            _ => panic!("{file}: neither \"both\" nor \"ours: \": {line}"),
        };
        assert!(!section.is_empty(), "{file}: a row above the first heading: {line}");
        let wanted = wanted.replace("{E}", etag).replace("{S}", "Sun,~06~Nov~1994~08:49:37~GMT");
        rows.push(Row { runs, name: format!("§{section}: {rule}"), sent: bytes(sent, etag), wanted });
    }
    rows
}

fn bytes(text: &str, etag: &str) -> Vec<u8> {
    let text = text
        .replace("{H}", "Host: a.test¶")
        .replace("{LONG}", &"x".repeat(40_000))
        .replace("{E}", etag)
        .replace("{S}", "Sun, 06 Nov 1994 08:49:37 GMT")
        .replace("{O}", "Sun, 06 Nov 1994 08:49:36 GMT")
        .replace("{L}", "Sun, 06 Nov 1994 08:49:38 GMT")
        .replace('¶', "\r\n");
    let (mut bytes, mut rest) = (Vec::new(), text.as_str());
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let (digits, after) = after.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn judge(s: &Server, row: &Row) {
    let mut client = s.client();
    client.try_send(&row.sent);
    for wanted in row.wanted.split("; ") {
        let mut words = wanted.split(' ').peekable();
        let to_head = words.next_if_eq(&"head").is_some();
        match words.next().expect("a row wants something") {
            "closed" => assert!(client.rest().is_empty(), "bytes behind the last answer"),
            "open" => client.expect_alive("/text", 200),
            statuses => {
                let answer = client.try_response(to_head).unwrap_or_else(|end| panic!("no answer: {end:?}"));
                let statuses: Vec<u16> = statuses.split('/').map(|status| status.parse().expect("a status")).collect();
                answer.is_one_of(&statuses);
                for word in words {
                    match (word.split_once('='), word.split_at(1)) {
                        (Some(("body!", text)), _) => {
                            let is_there = find(&answer.body, text.as_bytes()).is_some();
                            assert!(!is_there, "{text} in {}", answer.show());
                        }
                        (Some(("version", version)), _) => {
                            let status_line = [version.as_bytes(), b" "].concat();
                            assert!(answer.head.starts_with(&status_line), "no {version}: {}", answer.show());
                        }
                        (Some(("body", body)), _) => _ = answer.body_is(body.replace('~', " ")),
                        (Some((name, value)), _) => _ = answer.has(name, &value.replace('~', " ")),
                        (None, ("+", name)) => assert!(answer.header(name).is_some(), "no {name}: {}", answer.show()),
                        (None, ("-", name)) => _ = answer.lacks(name),
                        _ => panic!("what is {word:?}"),
                    }
                }
            }
        }
    }
}

fn walk(title: &'static str, file: &str) {
    let s = start();
    let etag = s.get("/f").header("ETag").expect("an ETag").to_owned();
    let mut table = Table::new(title);
    let rows = rows(file, &etag);
    assert!(rows.len() >= 100, "{file} has {} rows", rows.len());
    for row in rows {
        table.row(row.runs, &row.name, || judge(&s, &row));
    }
    table.row(BOTH, "the server is well afterwards", || _ = s.get("/f").is(200).body_is("0123456789"));
}

#[test]
fn messages_are_as_rfc_9112_says() {
    walk("RFC 9112", "rfc9112.rows");
}

#[test]
fn requests_mean_what_rfc_9110_says() {
    walk("RFC 9110", "rfc9110.rows");
}
