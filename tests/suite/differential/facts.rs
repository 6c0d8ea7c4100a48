//! What two answers are compared by: their bytes, without what is each server's own.
//!
//! Own are the dates of now, the name and version of the server, what an ETag is made of, reason phrases, the order of
//! header lines, the markup of the standard pages, the boundary between ranges, and how a body that is made while it is
//! sent is framed. Everything else is compared.

use crate::client::find;
use crate::harness::Server;

/// Whose bytes the answers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The servers' own: each may frame and date them as it likes.
    Servers,
    /// A backend's, which both pass on: how they are framed is compared, and whether they are all there.
    Backends,
}

/// The answers of one connection, each as text.
pub fn answers(server: &Server, asked: &[u8], bytes: &[u8], of: Of) -> String {
    let heads = find(asked, b"HEAD ").is_some();
    let (mut rest, mut text) = (bytes, String::new());
    while let Some(end) = find(rest, b"\r\n\r\n").filter(|_| rest.starts_with(b"HTTP/1.")) {
        let (head, after) = rest.split_at(end + 2);
        let head = String::from_utf8_lossy(head).into_owned();
        let mut after = &after[2..];
        let (mut body, is_whole) = body(&head, &mut after, heads);
        if of == Of::Backends && !is_whole {
            body.extend_from_slice(b"\n[cut]");
        }
        text.push_str(&answer(&head, body, of));
        rest = after;
    }
    text.push_str(&String::from_utf8_lossy(rest));
    own(server, &text)
}

/// Takes the message's body off `rest`, and says whether it is all there. A body cut short is what there is of it.
fn body(head: &str, rest: &mut &[u8], heads: bool) -> (Vec<u8>, bool) {
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line[name.len()..].trim().to_owned())
    };
    let status = head.get(9..12).unwrap_or_default();
    if status.starts_with('1') || status == "204" || status == "304" || (heads && rest.starts_with(b"HTTP/1.")) {
        return (Vec::new(), true);
    }
    if field("transfer-encoding:").is_some() {
        let (mut body, mut is_whole) = (Vec::new(), false);
        while let Some(end) = find(rest, b"\r\n") {
            let size = String::from_utf8_lossy(&rest[..end]).into_owned();
            let Ok(size) = usize::from_str_radix(&size, 16) else { break };
            *rest = &rest[end + 2..];
            if size == 0 {
                // Trailers, if any, up to the empty line.
                while let Some(end) = find(rest, b"\r\n") {
                    let line = &rest[..end];
                    if !line.is_empty() {
                        body.extend_from_slice(b"\n[trailer] ");
                        body.extend_from_slice(line);
                    }
                    *rest = &rest[end + 2..];
                    if end == 0 {
                        is_whole = true;
                        break;
                    }
                }
                break;
            }
            let size = size.min(rest.len());
            body.extend_from_slice(&rest[..size]);
            *rest = rest[size..].strip_prefix(b"\r\n").unwrap_or(&rest[size..]);
        }
        return (body, is_whole || heads);
    }
    let length = field("content-length:").and_then(|value| value.parse().ok()).unwrap_or(rest.len());
    let (body, after) = rest.split_at(length.min(rest.len()));
    *rest = after;
    (body.to_vec(), body.len() == length || heads && body.is_empty())
}

fn answer(head: &str, body: Vec<u8>, of: Of) -> String {
    let mut page = String::from_utf8_lossy(&body).into_owned();
    let gzip = body.starts_with(&[0x1f, 0x8b]);
    let standard = page.contains("<center><h1>") && page.contains("<hr><center>");
    if gzip {
        page = "(gzip)".to_owned();
    } else if standard {
        let part = |from: &str, to: &str| {
            let rest = page.split_once(from).map_or("", |(_, rest)| rest);
            rest.split_once(to).map_or("", |(part, _)| part).to_owned()
        };
        page = format!(
            "(page: {} | {} | {} | {})",
            part("<title>", "</title>").get(..3).unwrap_or_default(),
            part("<h1>", "</h1>").get(..3).unwrap_or_default(),
            part("</h1></center>", "<hr>").trim(),
            part("<hr><center>", "</center>").replace("webserv/0.1.0", "nginx/1.31.5").replace("webserv", "nginx")
        );
    }
    let multipart = head.contains("multipart/byteranges; boundary=");
    if multipart {
        page = page.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    }
    let (code, refused) = (head.get(9..12).unwrap_or_default(), head.get(9..10) == Some("4"));
    let mut lines = Vec::new();
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            lines.push(line.to_owned());
            continue;
        };
        let value = value.trim();
        let value = match name.to_ascii_lowercase().as_str() {
            // Backends have dates, names and validators of their own.
            "date" if !value.contains(" 2020 ") => "now",
            "server" if !value.starts_with("theirs") => "own",
            "etag" if of == Of::Backends && value.len() < 8 => value,
            "etag" if value.starts_with("W/") => "W/own",
            "etag" => "own",
            "expires" if !value.starts_with("Thu, 01 Jan 1970") && !value.contains("2037") => "a date",
            // A HEAD's page is not seen: errors are taken for standard pages.
            "content-length" if standard || multipart || (page.is_empty() && code >= "300" && value != "0") => continue,
            "content-type" if multipart => "multipart/byteranges; boundary=own",
            // Ours alone says it of a 405, and of the page that stands for one.
            "allow" if refused => continue,
            // What is made while it is sent has a length here when it is small.
            "transfer-encoding" if of == Of::Servers || gzip || standard => continue,
            "content-length" if !page.is_empty() && (of == Of::Servers || gzip) => continue,
            _ => value,
        };
        lines.push(format!("{name}: {value}"));
    }
    lines.sort();
    // A phrase is passed on.
    let line = if of == Of::Backends && !standard { head.lines().next() } else { head.get(..12) };
    format!("{}\n{}\n\n{page}\n", line.unwrap_or_default(), lines.join("\n"))
}

/// Takes ports and directories out.
pub fn own(server: &Server, text: &str) -> String {
    let mut text = text.replace(&server.setup.dir().to_string_lossy().into_owned(), "DIR");
    for at in 0..server.ports() {
        text = text.replace(&server.address(at).port().to_string(), &format!("PORT{at}"));
    }
    text.replace("webserv/0.1.0", "nginx/1.31.5")
}

/// The lines of the access log in no order: a connection that lingers is logged when it ends.
pub fn access_log(server: &Server, unsized_: bool) -> String {
    let text = std::fs::read(server.path("logs/access.log")).unwrap_or_default();
    let text = own(server, &String::from_utf8_lossy(&text));
    let mut lines: Vec<String> = text.lines().map(|line| log_line(line, unsized_)).collect();
    lines.sort();
    lines.join("\n")
}

/// The size of a standard page is its own, and how far a request was read that is refused.
fn log_line(line: &str, unsized_: bool) -> String {
    let Some((request, rest)) = line.split_once("\" ") else { return line.to_owned() };
    let mut words = rest.splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(status), Some(_), Some(_), Some(rest)) if status >= "400" => format!("{request}\" {status} - - {rest}"),
        (Some(status), Some(_), Some(length), Some(rest)) if unsized_ || status >= "300" => {
            format!("{request}\" {status} - {length} {rest}")
        }
        _ => line.to_owned(),
    }
}

/// What was wrong: messages from `warn` up, without time and numbers.
pub fn error_log(server: &Server) -> String {
    let text = own(server, &server.error_log());
    let wrong = |line: &&str| ["[warn]", "[error]", "[crit]", "[alert]", "[emerg]"].iter().any(|l| line.contains(l));
    let mut lines: Vec<String> = text.lines().filter(wrong).map(message).collect();
    lines.sort();
    lines.join("\n")
}

fn message(line: &str) -> String {
    let Some((head, rest)) = line.split_once("] ") else { return line.to_owned() };
    let level = head.split_once('[').map_or("", |(_, level)| level);
    let rest = rest.split_once(": ").map_or(rest, |(_, rest)| rest);
    let rest = rest.strip_prefix('*').and_then(|rest| rest.split_once(' ')).map_or(rest, |(_, rest)| rest);
    format!("[{level}] {rest}")
}
