//! A header field that stands twice: what nginx refuses, and where we go by the RFC instead. And control bytes that
//! were escaped in a path: known to scripts, refused where a file would be opened.

use crate::harness::{BOTH, Runs, Table, ours, server};

const LIST: Runs = ours("RFC 9110 5.3: several lines of a list field are one list");
const DATE: Runs = ours("RFC 9110 13.1.3, 13.1.4: a date that stands twice is ignored");
const SAME: Runs = ours("RFC 9110 10.1.1: 100-continue said twice says nothing else");
const NO_FILE: Runs = ours("no file of a site has a control byte in its name: nginx looks for it");

#[test]
fn a_field_that_stands_twice() {
    let s = server(
        "location / { return 200 ok; }
         location /v { return 200 \"$content_type|$http_content_type|$http_user_agent|$http_cookie\"; }",
    )
    .start();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let rows: &[(Runs, &str, &str, u16)] = &[
        (BOTH, "Authorization", "Authorization: Basic YTph\r\nAuthorization: Basic YTph", 400),
        (BOTH, "Content-Range", "Content-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/2", 400),
        (BOTH, "If-Range", "If-Range: \"a\"\r\nIf-Range: \"a\"", 400),
        (BOTH, "Host", "Host: localhost", 400),
        (BOTH, "Content-Length", "Content-Length: 0\r\nContent-Length: 0", 400),
        (BOTH, "Transfer-Encoding", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        (BOTH, "Expect, unknown", "Expect: foo\r\nExpect: bar", 400),
        (BOTH, "Expect, one unknown", "Expect: 100-continue\r\nExpect: bar", 400),
        (SAME, "Expect, the same", "Expect: 100-continue\r\nExpect: 100-continue", 200),
        (BOTH, "If-Match without tags", "If-Match: foo\r\nIf-Match: bar", 400),
        (LIST, "If-Match of tags", "If-Match: \"foo\"\r\nIf-Match: \"bar\"", 412),
        (BOTH, "If-None-Match without tags", "If-None-Match: foo\r\nIf-None-Match: bar", 400),
        (LIST, "If-None-Match of tags", "If-None-Match: \"foo\"\r\nIf-None-Match: W/\"bar\"", 200),
        (BOTH, "If-Modified-Since without dates", "If-Modified-Since: foo\r\nIf-Modified-Since: bar", 400),
        (DATE, "If-Modified-Since with a date", "If-Modified-Since: foo\r\nIf-Modified-Since: {D}", 200),
        (BOTH, "If-Unmodified-Since without dates", "If-Unmodified-Since: foo\r\nIf-Unmodified-Since: bar", 400),
        (DATE, "If-Unmodified-Since with a date", "If-Unmodified-Since: {D}\r\nIf-Unmodified-Since: {D}", 200),
        (BOTH, "Referer", "Referer: a\r\nReferer: b", 200),
        (BOTH, "any other", "X-Y: a\r\nX-Y: b", 200),
    ];
    let mut table = Table::new("fields that stand twice");
    for (runs, name, fields, status) in rows {
        table.row(*runs, name, || {
            s.get_with("/", &format!("{}\r\n", fields.replace("{D}", date))).is(*status);
        });
    }
    table.row(BOTH, "variables of several lines", || {
        let fields =
            "Content-Type: a\r\nUser-Agent: b\r\nCookie: c\r\nContent-Type: d\r\nUser-Agent: e\r\nCookie: f\r\n";
        s.get_with("/v", fields).is(200).body_is("a, d|a, d|b, e|c; f");
    });
}

#[test]
fn a_control_byte_in_a_path() {
    let s = server(
        "location /ret/ { return 200 \"$uri.\"; }
         location /rw/ { rewrite ^/rw/(.*)$ /ret/$1 last; }
         location /pass/ { proxy_pass http://127.0.0.1:%%PORT%%/raw/; }
         location /raw/ { return 200 $request_uri; }
         location /try/ { try_files $uri /ret/fallback; }
         location /list/ { autoindex on; }
         location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; }",
    )
    .file("html/f", "f")
    .file("html/dav/f", "f")
    .mkdir("html/list/d")
    .start();
    let mut table = Table::new("control bytes in a path");
    for code in ["01", "09", "0b", "1B", "1f", "7F"] {
        let byte = char::from(u8::from_str_radix(code, 16).expect("two hexadecimal digits"));
        table.row(BOTH, &format!("%{code} by return"), || {
            s.get(&format!("/ret/a%{code}b")).is(200).body_is(format!("/ret/a{byte}b."));
        });
        table.row(BOTH, &format!("%{code} by rewrite"), || {
            s.get(&format!("/rw/a%{code}b")).is(200).body_is(format!("/ret/a{byte}b."));
        });
        table.row(BOTH, &format!("%{code} to an upstream"), || {
            let escaped = code.to_uppercase();
            s.get(&format!("/pass/a%{code}b")).is(200).body_is(format!("/raw/a%{escaped}b"));
        });
        for path in ["/a%", "/f%", "/try/x%", "/list/%", "/list/d/%"] {
            table.row(NO_FILE, &format!("{path}{code} for a file"), || {
                s.get(&format!("{path}{code}")).is(400);
                s.get(&format!("{path}{code}/")).is(400);
            });
        }
        for method in ["PUT", "DELETE", "MKCOL", "COPY", "MOVE"] {
            table.row(NO_FILE, &format!("%{code} by {method}"), || {
                let fields = "Content-Length: 1\r\nConnection: close\r\nDestination: /dav/new\r\n";
                let fields = if method == "PUT" { fields } else { &fields[19..] };
                let body = if method == "PUT" { "x" } else { "" };
                let request = format!("{method} /dav/f%{code} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}");
                s.send(request.as_bytes()).is(400);
            });
        }
        table.row(NO_FILE, &format!("%{code} in a Destination"), || {
            let fields = format!("Destination: /dav/g%{code}\r\nConnection: close\r\n");
            s.send(format!("COPY /dav/f HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes()).is(400);
        });
    }
    for path in ["/ret/%00", "/f%00", "/ret/\u{1}", "/ret/\u{7f}"] {
        table.row(BOTH, &format!("{path:?} is no request"), || {
            s.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).is(400);
        });
    }
    for path in ["/ret/%0d", "/ret/%0A"] {
        table.row(ours("CR and LF in a path are an end of line to a later program"), path, || {
            s.get(path).is(400);
        });
    }
}
