//! Configurations made from a seed, and requests to them: webserv and nginx beside each other.
//!
//! Every difference must be of a kind that README's table of differences has a row of ([`KINDS`]). `SEED=n` makes other
//! configurations, `CONFIGURATIONS=n` more of them.

use super::cases::{Asked, Case};
use super::{apart, ask, setup};
use crate::harness::skip_on_nginx;
use crate::real_confs::oracle;
use std::io::Write;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A text with variables in it.
    fn text(&mut self) -> String {
        let words: Vec<&str> = (0..1 + self.below(3)).map(|_| self.pick(VARIABLES)).collect();
        format!("\"{}\"", words.join(" "))
    }
}

const VARIABLES: &[&str] = &[
    "x",
    "-",
    "$uri",
    "$request_uri",
    "$args",
    "$arg_a",
    "$host",
    "$request_method",
    "$scheme",
    "$is_args",
    "$document_root",
    "$request_filename",
    "$http_x_a",
    "$cookie_c",
    "$server_name",
    "$status",
    "$remote_addr",
    "$content_type",
    "$http_host",
    "$1",
    "$m",
    "$g",
    "$request",
    "$limit_rate",
    "$server_protocol",
    "$sent_http_content_type",
    "$body_bytes_sent",
    "$realip_remote_addr",
];

/// Lines that any level takes. `T` stands for a text.
const ANYWHERE: &[&str] = &[
    "add_header X-A T;",
    "add_header X-B T always;",
    "add_trailer X-T T;",
    "expires off;",
    "expires epoch;",
    "expires -1;",
    "expires 30d;",
    "etag off;",
    "if_modified_since off;",
    "if_modified_since before;",
    "error_page 404 /err.html;",
    "error_page 404 403 =200 /err.html;",
    "error_page 405 412 416 /b.html?x=$uri;",
    "error_page 404 @fallback;",
    "error_page 403 = @fallback;",
    "error_page 500 502 503 504 =404 /err.html;",
    "error_page 404 http://e.test/x;",
    "max_ranges 0;",
    "max_ranges 1;",
    "charset utf-8;",
    "charset koi8-r;",
    "gzip on; gzip_min_length 0; gzip_types text/plain;",
    "gzip on; gzip_types *; gzip_vary on;",
    "default_type text/plain;",
    "autoindex on;",
    "autoindex on; autoindex_format json;",
    "autoindex on; autoindex_format xml; autoindex_exact_size off;",
    "index a.txt;",
    "index none.html /b.html;",
    "index x.txt index.html;",
    "deny all;",
    "deny 127.0.0.1;",
    "allow all;",
    "client_max_body_size 5;",
    "absolute_redirect off;",
    "server_name_in_redirect on;",
    "port_in_redirect off;",
    "recursive_error_pages on;",
    "types { text/x-a txt html; }",
    "ssi on; ssi_types *;",
    "satisfy any;",
    "server_tokens off;",
    "chunked_transfer_encoding off;",
    "sendfile off;",
];
const IN_LOCATIONS: &[&str] = &[
    "try_files $uri $uri/ =404;",
    "try_files /none /a.txt;",
    "try_files $uri.html $uri @fallback;",
    "try_files $uri/index.html /dir/ =403;",
    "set $g T;",
    "root %%DIR%%/other;",
    "internal;",
    "limit_except GET { deny all; }",
    "valid_referers none a.test; if ($invalid_referer) { return 403; }",
];
const SCRIPT: &[&str] = &[
    "return 200 T;",
    "return 404;",
    "return 403 T;",
    "return 301 /x$uri;",
    "return 302 https://h.test$request_uri;",
    "return 204;",
    "return 405;",
    "return 500 T;",
    "return 307 /q?$args;",
    "return 418 x;",
    "rewrite ^/r(.*)$ /dir$1;",
    "rewrite ^/r/(\\w+) /$1.txt last;",
    "rewrite ^/(.*)\\.old$ /$1.txt break;",
    "rewrite ^/p /b.html permanent;",
    "rewrite ^/p2(.*) /x$1? redirect;",
    "rewrite ^/enc(.*)$ /e$1 redirect;",
    "if ($arg_a) { return 200 T; }",
    "if (!-e $request_filename) { rewrite ^ /b.html last; }",
    "if (-d $request_filename) { set $g dir; }",
    "if ($request_method = POST) { return 403; }",
    "if ($uri ~ \"^/(d.*)\") { add_header X-I \"$1\"; }",
    "break;",
];
const PROXY: &[&str] = &[
    "proxy_pass http://127.0.0.1:%%PORT1%%;",
    "proxy_pass http://127.0.0.1:%%PORT1%%; proxy_intercept_errors on;",
    "proxy_pass http://127.0.0.1:%%PORT1%%; proxy_set_header X-A $uri;",
    "proxy_pass http://127.0.0.1:%%PORT1%%; proxy_hide_header X-U; proxy_redirect off;",
    "proxy_pass http://127.0.0.1:%%PORT1%%; proxy_buffering off; proxy_http_version 1.0;",
];
const LOCATIONS: &[&str] = &[
    "/",
    "/dir/",
    "/d",
    "= /",
    "= /a.txt",
    "^~ /dir",
    "~ \\.txt$",
    "~* \\.(HTML|js)$",
    "~ ^/(?<n>dir|no)/(.*)$",
    "/no/",
    "/r",
    "/x",
    "/p",
    "= /dir/",
    "/big.txt",
    "\"/sp ace\"",
    "~ /$",
];
const UPSTREAM: &str = "server { listen 127.0.0.1:%%PORT1%%; default_type text/plain; add_header X-U \"$http_x_a\";
    location / { return 200 \"up $request_method $request_uri $http_range $content_length\\n\"; }
    location ~ /redir { return 302 http://127.0.0.1:%%PORT1%%/up/there; } location ~ /err { return 503 uperr; }
    location ~ /accel { add_header X-Accel-Redirect /b.html; return 200 x; } location ~ /nc { return 204; } }";
const TARGETS: &[&str] = &[
    "/",
    "/a.txt",
    "/b.html",
    "/big.txt",
    "/s.js",
    "/dir",
    "/dir/",
    "/dir/x.txt",
    "/dir/sub",
    "/empty.txt",
    "/no/",
    "/no/z.txt",
    "/missing",
    "/missing/",
    "/a.txt/",
    "/r/a",
    "/r",
    "/x/x.txt",
    "/p",
    "/p2/q",
    "/sp%20ace.txt",
    "//a.txt",
    "/dir//x.txt",
    "/dir/../a.txt",
    "/a%2etxt",
    "/enc%20x%3f",
    "/ssi.html",
    "/a.old",
    "/redir",
    "/err",
    "/accel",
    "/nc",
    "/DIR/",
    "/%2e%2e/",
    "/b.html/x",
    "/dirx",
    "/%ff",
];
const QUERIES: &[&str] = &["", "", "", "?", "?a=1", "?a=xyz&b", "?%zz"];
const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "PUT", "DELETE", "TRACE"];
const HOSTS: &[&str] = &["a.test", "a.test", "a.test", "A.TEST.", "second.test", "www.a.test", "a.test:99", "1.2.3.4"];
const FIELDS: &[&str] = &[
    "",
    "",
    "",
    "",
    "Range: bytes=0-3",
    "Range: bytes=-5",
    "Range: bytes=2-4,6-8",
    "Range: bytes=99999-",
    "If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT",
    "If-Modified-Since: Fri, 03 Jan 2020 03:04:05 GMT",
    "If-None-Match: *",
    "If-Match: \"x\"",
    "If-Unmodified-Since: Wed, 01 Jan 2020 03:04:05 GMT",
    "Accept-Encoding: gzip",
    "X-A: y",
    "Cookie: c=v; d=w",
    "Referer: http://evil.test/",
    "Content-Type: text/x",
    "Range: bytes=0-3\r\nIf-Range: \"x\"",
    "Expect: 100-continue",
];

/// A kind of difference: how it is recognised (the request, webserv's answer, nginx's), and README's row.
type Kind = (&'static str, fn(&str, &str, &str) -> bool);

fn both(ours: &str, theirs: &str, our_status: &str, their_status: &str) -> bool {
    ours.starts_with(&format!("HTTP/1.1 {our_status}")) && theirs.starts_with(&format!("HTTP/1.1 {their_status}"))
}

const KINDS: &[Kind] = &[
    ("| `Range` on HEAD |", |ask, _, _| ask.starts_with("HEAD") && ask.contains("\r\nRange:")),
    ("| `Expect: 100-continue` without a body", |ask, _, theirs| {
        ask.contains("\r\nExpect:") && theirs.starts_with("HTTP/1.1 100")
    }),
    ("| `If-Match`, `If-Unmodified-Since` and the like on other methods than GET", |ask, _, theirs| {
        ask.contains("\r\nIf-")
            && !ask.starts_with("GET")
            && !ask.starts_with("HEAD")
            && ["412", "304"].iter().any(|status| both(theirs, theirs, status, status))
    }),
    ("| `If-Unmodified-Since` where nothing says when the resource changed |", |ask, ours, theirs| {
        ask.contains("\r\nIf-Unmodified-Since")
            && theirs.starts_with("HTTP/1.1 412")
            && !ours.starts_with("HTTP/1.1 412")
    }),
    ("| POST to a folder without its slash", |_, ours, theirs| both(ours, theirs, "308", "301")),
    ("| a blank that a variable brings into the URI of `proxy_pass` |", |ask, _, theirs| {
        ask.contains("%20") && theirs.starts_with("HTTP/1.1 400")
    }),
    ("| error pages, refused uploads and what was stored |", |_, ours, theirs| both(ours, theirs, "413", "413")),
    ("| what an answer leaves behind when `error_page` or a 416 replaces it |", |ask, ours, theirs| {
        ask.contains("\r\nRange:") && (both(ours, theirs, "416", "416") || both(ours, theirs, "302", "302"))
            || both(ours, theirs, "416", "416")
    }),
    ("| `/a/..` and the like where a listing is made |", |_, ours, theirs| both(ours, theirs, "404", "500")),
    ("| a listing's length |", |ask, ours, theirs| {
        ask.starts_with("HEAD") && both(ours, theirs, "200", "200") && ours.contains("Content-Length")
    }),
];

fn line(dice: &mut Dice, from: &[&str]) -> String {
    let line = dice.pick(from);
    let text = dice.text();
    line.replace(" T;", &format!(" {text};")).replace(" T always", &format!(" {text} always"))
}

/// Lines of a block: none says twice what may be said once.
fn lines(dice: &mut Dice, count: usize, from: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..count {
        let line = line(dice, from);
        let name = line.split(' ').next().unwrap_or_default().to_owned();
        if !lines.iter().any(|other| other.starts_with(&name)) {
            lines.push(line);
        }
    }
    lines
}

fn location(dice: &mut Dice) -> (String, String) {
    let name = dice.pick(LOCATIONS);
    let count = dice.below(3);
    let mut body = lines(dice, count, ANYWHERE);
    let more = dice.below(2);
    body.extend(lines(dice, more, IN_LOCATIONS));
    if dice.one_in(3) {
        body.push(line(dice, SCRIPT));
    }
    if dice.one_in(6) {
        body.push(dice.pick(PROXY).to_owned());
    }
    (name.trim_start_matches("^~ ").to_owned(), format!("location {name} {{ {} }}\n", body.join(" ")))
}

fn server(dice: &mut Dice, name: &str) -> String {
    let count = dice.below(3);
    let mut text = lines(dice, count, ANYWHERE).join(" ");
    if dice.one_in(5) {
        text.push_str(&line(dice, SCRIPT).replace("add_header X-I \"$1\"", "set $g \"$1\""));
    }
    let mut names: Vec<String> = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let (name, location) = location(dice);
        if !names.contains(&name) {
            names.push(name);
            text.push_str(&location);
        }
    }
    let fallback = dice.pick(&["return 200 \"fb $uri $status\";", "root %%DIR%%/other;", "return 404;"]);
    format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name {name}; root %%DIR%%/html;\n{text}\n\
         location @fallback {{ {fallback} }} }}\n"
    )
}

fn request(dice: &mut Dice) -> Asked {
    let method = dice.pick(METHODS);
    let target = format!("{}{}", dice.pick(TARGETS), dice.pick(QUERIES));
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", dice.pick(HOSTS));
    let field = dice.pick(FIELDS);
    if !field.is_empty() {
        head.push_str(&format!("{field}\r\n"));
    }
    if ["POST", "PUT"].contains(&method) {
        head.push_str(dice.pick(&["Content-Length: 4\r\n\r\n1234", "Content-Length: 0\r\n\r\n"]));
        head.push_str(if dice.one_in(9) { "" } else { "\r\n" });
    } else {
        head.push_str("\r\n");
    }
    Asked { shown: head.clone(), bytes: head.into_bytes(), question: None, differs: None }
}

fn case(seed: u64) -> Case {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let outer = lines(&mut dice, 2, ANYWHERE).join("\n").replace("@fallback", "/b.html");
    let mut conf = format!("map $arg_a $m {{ default 0; 1 2; ~^x(.*) $1; }}\ngeo $g {{ default w; }}\n{outer}\n");
    let name = dice.pick(&["a.test", "_", "*.a.test a.test", "~^(?<w>.+)\\.re$ b"]);
    conf.push_str(&server(&mut dice, name));
    conf.push_str(&server(&mut dice, "second.test"));
    conf.push_str(UPSTREAM);
    let files = [
        ("html/index.html", "<p>index</p>"),
        ("html/a.txt", "alpha beta gamma"),
        ("html/b.html", "<b>b</b>"),
        ("html/s.js", "var s;"),
        ("html/dir/index.html", "dirindex"),
        ("html/dir/x.txt", "x"),
        ("html/empty.txt", ""),
        ("html/dir/sub/y.html", "y"),
        ("html/no/z.txt", "z"),
        ("html/err.html", "ERR"),
        ("html/sp ace.txt", "sp"),
        ("html/ssi.html", "<!--#echo var=\"uri\" -->"),
        ("other/a.txt", "other"),
        ("other/dir/x.txt", "ox"),
        ("html/big.txt", "0123456789012345678901234567890123456789012345678901234567890123456789"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).to_vec();
    let asks = (0..40).map(|_| request(&mut dice)).collect();
    Case { name: format!("configuration {seed}"), files, conf, asks, ..Case::default() }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn generated_configurations_are_answered_alike() {
    if skip_on_nginx("both servers are started here") {
        return;
    }
    let Some(nginx) = oracle() else {
        let _ = writeln!(std::io::stderr(), "skipped: no nginx to compare with (WEBSERV_ORACLE)");
        return;
    };
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    for (row, _) in KINDS {
        assert!(readme.contains(row), "README's table has no row {row}");
    }
    let (first, count) = (number("SEED", 1) * 10_000, number("CONFIGURATIONS", 20));
    let (mut different, mut asked) = (Vec::new(), 0);
    for seed in first..first + count {
        let case = case(seed);
        let (ours, theirs) = (setup(&case).start(), setup(&case).start_on(&nginx));
        for one in &case.asks {
            asked += 1;
            let (got, wanted) = (ask(&ours, &one.bytes), ask(&theirs, &one.bytes));
            if got != wanted && !KINDS.iter().any(|(_, is)| is(&one.shown, &got, &wanted)) {
                different.push(format!("=== {}\n{}\n{}", case.name, one.shown, apart(&got, &wanted)));
            }
        }
    }
    println!("{asked} answers to {count} configurations");
    assert!(different.is_empty(), "{} of {asked} differ:\n{}", different.len(), different.join("\n"));
}
