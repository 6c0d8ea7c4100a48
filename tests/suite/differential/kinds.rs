//! The kinds of differences between answers of webserv and nginx that README's table of differences has a row of, and
//! how each is recognised. None may excuse more than its row says.

/// A kind of difference: how it is recognised (the request, webserv's answer, nginx's), and the table's row.
pub type Kind = (&'static str, fn(&str, &str, &str) -> bool);

fn both(ours: &str, theirs: &str, our_status: &str, their_status: &str) -> bool {
    ours.starts_with(&format!("HTTP/1.1 {our_status}")) && theirs.starts_with(&format!("HTTP/1.1 {their_status}"))
}

pub const KINDS: &[Kind] = &[
    ("| `Range` on methods other than GET (HEAD among them) |", |ask, _, _| {
        !ask.starts_with("GET") && ask.contains("\r\nRange:")
    }),
    ("| `Expect: 100-continue` without a body", |ask, _, theirs| {
        ask.contains("\r\nExpect:") && theirs.starts_with("HTTP/1.1 100")
    }),
    ("| `If-Match`, `If-Unmodified-Since` and the like on methods other than GET", |ask, _, theirs| {
        ask.contains("\r\nIf-")
            && !ask.starts_with("GET")
            && !ask.starts_with("HEAD")
            && ["412", "304"].iter().any(|status| both(theirs, theirs, status, status))
    }),
    ("| `If-Unmodified-Since` on a resource without a modification date |", |ask, ours, theirs| {
        // Or what error_page makes of the 412, a cycle among them.
        ask.contains("\r\nIf-Unmodified-Since") && ours != theirs && !ours.starts_with("HTTP/1.1 412")
    }),
    ("| several lines of entity tags or of `Expect` |", |ask, _, theirs| {
        ask.matches("\r\nExpect:").count() == 2 && theirs.starts_with("HTTP/1.1 400")
    }),
    ("| POST, PUT, DELETE and the like to a folder without its slash", |_, ours, theirs| {
        both(ours, theirs, "308", "301")
    }),
    ("| a space or a control byte in the URI of `proxy_pass` |", |ask, _, theirs| {
        ask.contains("%20") && theirs.starts_with("HTTP/1.1 400")
    }),
    ("| a space in the replacement of `rewrite … redirect` |", |_, ours, theirs| {
        ours.contains("Location: ") && ours.replace("%20", " ") == theirs.replace("%20", " ")
    }),
    ("| the body of error pages, and the answers to refused and stored uploads |", |_, ours, theirs| {
        both(ours, theirs, "413", "413")
    }),
    (
        "| fields of the original response when `error_page`, a 416 or `X-Accel-Redirect` replaces it |",
        |_, ours, theirs| {
            let mut lines: Vec<&str> = theirs.lines().collect();
            lines.dedup_by(|line, before| line == before && line.starts_with("Expires:"));
            lines.join("\n").trim_end() == ours.trim_end()
        },
    ),
    ("| `$content_length` of a chunked body that is discarded or too large |", |ask, ours, theirs| {
        ask.contains("\r\nTransfer-Encoding:") && is_but_for_zeros(ours, theirs)
    }),
    ("| the header fields after a refused Host |", |ask, ours, theirs| {
        let asks_more = ["\r\nRange:", "\r\nIf-"].iter().any(|field| ask.contains(field));
        asks_more && ask.contains("..test\r\n") && both(theirs, theirs, "200", "200") && ours != theirs
    }),
    (
        "| COPY, MOVE and DELETE of a directory that contains something its own location denies |",
        |ask, ours, theirs| {
            ["DELETE", "COPY", "MOVE"].iter().any(|method| ask.starts_with(method)) && both(ours, theirs, "403", "2")
        },
    ),
    ("| a request that times out in its head or body |", |_, ours, theirs| {
        ours.strip_prefix(theirs.trim_end()).is_some_and(|more| more.trim_start().starts_with("HTTP/1.1 408"))
    }),
    ("| `$request_uri` of `http://host?a=b` |", |ask, ours, theirs| {
        ask.contains(" http://") && ours.replace("/?", "?") == theirs.replace("/?", "?")
    }),
    ("| an include that ends the connection", |_, ours, theirs| theirs.is_empty() && ours.contains("\n\n")),
    ("| `ssi` for content already compressed by `gzip_static` or an upstream |", |ask, ours, theirs| {
        const OF_FILES: &[&str] = &["etag", "accept-ranges", "last-modified", "content-length"];
        ask.contains("gz.txt") && without(ours, OF_FILES) == without(theirs, OF_FILES)
    }),
    ("| COPY and MOVE into another location |", |ask, ours, theirs| {
        (ask.starts_with("COPY") || ask.starts_with("MOVE")) && both(ours, theirs, "403", "400")
    }),
    ("| MKCOL without the final slash |", |ask, ours, theirs| {
        ask.starts_with("MKCOL") && ["201", "403", "405"].iter().any(|status| both(ours, theirs, status, "409"))
    }),
    ("| an `Expect` other than `100-continue` |", |ask, ours, _| {
        ask.contains("\r\nExpect:") && both(ours, ours, "417", "417")
    }),
    (
        "| fields of the original response when `error_page`, a 416 or `X-Accel-Redirect` replaces it |",
        |ask, ours, theirs| {
            ask.contains("\r\nRange:") && (both(ours, theirs, "416", "416") || both(ours, theirs, "302", "302"))
                || both(ours, theirs, "416", "416")
        },
    ),
    ("| `$uri` and `$args` after a cycle |", |_, ours, theirs| {
        // Fields that the configuration adds have variables in them.
        both(ours, theirs, "500", "500") && without(ours, &["x-"]) == without(theirs, &["x-"])
    }),
    ("| `/a/..` and the like in a listing, or made by `rewrite` |", |_, ours, theirs| both(ours, theirs, "404", "500")),
    ("| a file as the error page of a POST, PUT or the like, in a named location |", |ask, ours, theirs| {
        let is_read = ["GET", "HEAD"].iter().any(|method| ask.starts_with(method));
        !is_read && ["4", "5"].iter().any(|status| both(ours, theirs, status, "405"))
    }),
    ("| `ssi` for files that clients may have stored", |ask, ours, theirs| {
        ask.contains("\r\nRange:") && both(ours, theirs, "206", "200")
    }),
    ("| unknown method |", |_, ours, _| both(ours, ours, "501", "501")),
    ("| OPTIONS for files |", |ask, ours, _| ask.starts_with("OPTIONS") && both(ours, ours, "204", "204")),
    ("| the body of error pages, and the answers to refused and stored uploads |", |ask, ours, theirs| {
        ask.starts_with("PUT") && ours.contains("ETag") && without(ours, &["etag"]) == without(theirs, &["etag"])
    }),
    ("| the header fields of a refused request line |", |_, ours, theirs| both(ours, theirs, "400", "400")),
    ("| `charset $name`, where that variable is not set |", |_, ours, theirs| {
        // None is, of a request whose line is refused.
        theirs.is_empty() && both(ours, ours, "400", "400")
    }),
    ("| the header fields of a refused request line |", |ask, ours, theirs| {
        // The variables of its error page differ, too.
        is_refused(ask) && (ours.starts_with("HTTP/1.1 400") || both(ours, theirs, "200", "200"))
    }),
    ("| `keepalive_requests` where a server answers by a `return` or redirect of its own |", |_, ours, theirs| {
        let ended = theirs.replacen("Connection: keep-alive", "Connection: close", 1);
        ours.contains("Connection: close") && ended.starts_with(ours.trim_end())
    }),
    ("| `$sent_http_…` that is read before there is a response (the text of `return`) |", |_, ours, theirs| {
        let values = |answer: &str| without(answer, &["connection:"]).replace("keep-alive", "close");
        values(ours) == values(theirs)
    }),
    ("| `return` of 304 or 1xx,", |_, ours, theirs| {
        const OF_TEXT: &[&str] = &["content-"];
        ["304", "100"].iter().any(|status| both(ours, theirs, status, status))
            && without(ours, OF_TEXT) == without(theirs, OF_TEXT)
    }),
    ("| escaped CR or LF in a path |", |ask, ours, theirs| {
        (ask.contains("%0a") || ask.contains("%0d")) && ours.starts_with("HTTP/1.1 400") && ours != theirs
    }),
    ("| a redirect with `server_name_in_redirect`", |_, ours, theirs| {
        let is_bare = theirs.contains("Location: http://:") || theirs.contains("Location: http:///");
        is_bare && both(ours, theirs, "3", "3")
    }),
    ("| quotes in the realm of `auth_basic` |", |_, ours, theirs| ours != theirs && ours.replace('\\', "") == theirs),
    ("| an unknown transfer coding beside `Content-Length` |", |ask, ours, theirs| {
        ask.contains("\r\nTransfer-Encoding:")
            && ask.contains("\r\nContent-Length:")
            && both(ours, theirs, "400", "501")
    }),
    ("| a fragment in the target (`/a#b`) |", |ask, _, theirs| ask.contains('#') && theirs.contains('#')),
    ("| the length of small responses generated while they are sent", |_, ours, theirs| {
        const LENGTH: &[&str] = &["content-length", "accept-ranges"];
        without(ours, LENGTH) == without(theirs, LENGTH)
            || both(ours, theirs, "206", "200") && theirs.contains("charset=")
    }),
    ("| the length of small responses generated while they are sent", |ask, ours, theirs| {
        ask.starts_with("HEAD") && both(ours, theirs, "200", "200") && ours.contains("Content-Length")
    }),
];

/// The target of a request is a way above the root, or has no escape behind a `%`.
pub fn is_refused(ask: &str) -> bool {
    let target = ask.split(' ').nth(1).unwrap_or_default();
    let above = target.starts_with("/..") || target.contains("/%2e%2e/?");
    above || target.contains("/%zz") || target.ends_with("/%") || target.contains("/%?")
}

/// Nothing but values of `$content_length` that are 0 is missing in ours: words of a line, or a field with its value.
/// How a body is framed is no such value, nor is a line that has nothing else.
fn is_but_for_zeros(ours: &str, theirs: &str) -> bool {
    let mut ours = ours.lines().peekable();
    let held = theirs.lines().all(|wanted| {
        let is_framing = wanted.starts_with("HTTP/") || wanted.to_ascii_lowercase().starts_with("content-length:");
        let has_less = |got: &str| !is_framing && got.contains(char::is_alphanumeric) && is_without_zeros(got, wanted);
        let is_zero_field = || !is_framing && wanted.split_once(": ").is_some_and(|(_, value)| value.trim() == "0");
        ours.next_if(|got| *got == wanted || has_less(got)).is_some() || is_zero_field()
    });
    held && ours.next().is_none()
}

/// The words of a line are another's without some that are 0.
fn is_without_zeros(line: &str, whole: &str) -> bool {
    let mut words = line.split_whitespace().peekable();
    whole.split_whitespace().all(|word| words.next_if_eq(&word).is_some() || word == "0") && words.next().is_none()
}

#[test]
fn zeros_of_content_length_excuse_no_other_difference() {
    let rows = [
        ("X: a b", "X: a 0 b", true),
        ("A: a\nB: b", "A: a\nX: 0\nB: b", true),
        ("text", "text 0", true),
        ("X: a", "X: a", true),
        ("X: a 0", "X: a", false),
        ("X: a", "X: b 0", false),
        ("a\n", "a\n0\n", false),
        ("A: a", "A: a\nContent-Length: 0", false),
        ("Content-Length: 0\nA: a", "A: a", false),
        ("Content-Length: 5", "Content-Length: 0", false),
    ];
    for (ours, theirs, expected) in rows {
        assert_eq!(is_but_for_zeros(ours, theirs), expected, "{ours:?} {theirs:?}");
    }
}

/// An answer without lines that begin with one of these.
fn without(answer: &str, names: &[&str]) -> String {
    let lines = answer.lines().filter(|line| !names.iter().any(|name| line.to_ascii_lowercase().starts_with(name)));
    lines.map(|line| format!("{line}\n")).collect()
}
