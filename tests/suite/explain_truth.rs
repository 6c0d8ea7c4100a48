//! What `webserv explain` says is what the running server does: configurations and requests drawn by chance, each request
//! asked of both. `SEED=n` replays one configuration, `SEEDS=n` draws more of them.

use crate::client::Response;
use crate::harness::{Server, Setup, binary, skip_on_nginx};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;

/// Requests for each configuration.
const REQUESTS: usize = 40;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n
    }

    fn of<'a>(&mut self, set: &[&'a str]) -> &'a str {
        set[self.below(set.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const FILES: [&str; 14] = [
    "html/index.html",
    "html/a.txt",
    "html/a/index.html",
    "html/a/b/c.txt",
    "html/a/b/index.htm",
    "html/img/x.png",
    "html/x.php",
    "html/a/y.php",
    "html/e404.html",
    "html/pre.css",
    "html/pre.css.gz",
    "other/a.txt",
    "other/img/x.png",
    "other/index.html",
];

/// One directive a line, so that a line is a place.
struct Draft<'r> {
    text: String,
    rng: &'r mut Rng,
}

impl Draft<'_> {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn here(&self) -> usize {
        self.text.lines().count() + 1
    }

    /// Settings that may stand in any location.
    fn settings(&mut self) {
        for (percent, lines) in [
            (20, &["deny all;"][..]),
            (10, &["allow 127.0.0.0/8;", "deny all;"]),
            (15, &["limit_except GET { deny all; }"]),
            (15, &["auth_basic \"in here\";", "auth_basic_user_file %%DIR%%/users;"]),
            (10, &["satisfy any;"]),
            (20, &["expires 1h;"]),
            (15, &["add_header X-More \"$uri $arg_x\";"]),
            (15, &["error_page 404 /e404.html;"]),
            (10, &["error_page 403 404 =410 /gone;"]),
            (10, &["error_page 403 @named;"]),
            (10, &["internal;"]),
            (15, &["default_type text/x-drawn;"]),
            (15, &["gzip on;", "gzip_min_length 0;", "gzip_types *;"]),
            (10, &["gzip_static on;"]),
            (10, &["charset utf-8;"]),
            (10, &["etag off;"]),
            (10, &["max_ranges 0;"]),
            (10, &["server_tokens off;"]),
            (10, &["allowed_methods GET;"]),
            (10, &["client_max_body_size 5;"]),
            (10, &["if_modified_since before;"]),
        ] {
            if self.rng.chance(percent / 2) {
                lines.iter().for_each(|line| self.line(line));
            }
        }
    }

    /// Steps of the rewrite script, which may stand in a server too.
    fn script(&mut self) {
        let flags = ["last", "break", "redirect", "permanent", ""];
        let (flag, code) = (self.rng.of(&flags), self.rng.of(&["301", "302", "404", "200", "403", "444"]));
        for (percent, line) in [
            (12, format!("rewrite ^/r/(.*)$ /$1 {flag};")),
            (8, format!("rewrite ^/a/(.)/(.*)$ /$2?via=$1 {flag};")),
            (10, format!("if ($arg_x = y) {{ return {code} /to; }}")),
            (8, "if ($request_method = POST) { return 405; }".to_owned()),
            (8, "if (-f $request_filename) { set $seen yes; }".to_owned()),
            (6, "if ($http_user_agent ~* bot) { rewrite ^ /a.txt break; }".to_owned()),
            (10, "set $seen \"$uri-$host\";".to_owned()),
        ] {
            if self.rng.chance(percent) {
                self.line(&line);
            }
        }
    }

    fn location(&mut self, head: &str) {
        let at = self.here();
        self.line(&format!("location {head} {{"));
        self.line(&format!("add_header X-Where {at} always;"));
        self.settings();
        self.script();
        let is_regex = head.starts_with('~') || head.starts_with('@');
        match self.rng.below(12) {
            0 | 1 => {
                let root = self.rng.of(&["html", "other", "nothing"]);
                self.line(&format!("root %%DIR%%/{root};"));
            }
            2 if !head.starts_with('@') && !is_regex => self.line("alias %%DIR%%/other/;"),
            3 => self.line("try_files $uri $uri/ =404;"),
            4 => self.line("try_files $uri /a.txt;"),
            5 => self.line("try_files $uri @named;"),
            6 => self.line("autoindex on;"),
            7 => self.line("index index.htm index.html;"),
            8 => {
                let what = self.rng.of(&["204", "301 /to$uri", "200 \"text $uri\"", "418", "https://$host/x"]);
                self.line(&format!("return {what};"));
            }
            9 if is_regex => self.line("proxy_pass http://127.0.0.1:%%PORT1%%;"),
            9 | 10 => {
                let uri = self.rng.of(&["", "/", "/part/"]);
                let uri = if is_regex { "" } else { uri };
                self.line(&format!("proxy_pass http://127.0.0.1:%%PORT1%%{uri};"));
            }
            _ => {}
        }
        self.line("}");
    }

    fn server(&mut self, names: &str) {
        self.line("server {");
        self.line("listen 127.0.0.1:%%PORT%%;");
        self.line(&format!("server_name {names};"));
        self.line("root %%DIR%%/html;");
        let at = self.here();
        self.line(&format!("add_header X-Where server-{at} always;"));
        self.script();
        self.line("location @named { add_header X-Where named always; return 200 named; }");
        let mut drawn = BTreeSet::new();
        for _ in 0..3 + self.rng.below(6) {
            let heads = [
                "/",
                "/a/",
                "/a/b/",
                "/img/",
                "/p/",
                "= /exact",
                "= /",
                "^~ /final/",
                "^~ /a/b",
                "~ \\.php$",
                "~* \\.(png|jpg)$",
                "~ ^/a/(?<rest>.*)$",
                "/a",
                "/gone",
                "~ x",
            ];
            let head = self.rng.of(&heads);
            // A modifier makes no other name of a prefix.
            if drawn.insert(head.trim_start_matches("^~ ").to_owned()) {
                self.location(head);
            }
        }
        self.line("}");
    }
}

fn configuration(rng: &mut Rng) -> String {
    let mut draft = Draft { text: String::new(), rng };
    draft.line("%%PREAMBLE%%");
    draft.line("events { }");
    draft.line("http {");
    draft.line("types { text/html html htm; text/plain txt; image/png png; text/css css; }");
    draft.line("access_log off;");
    draft.line("map $arg_x $mapped { default none; ~^y first; }");
    draft.server("a.test *.a.test");
    draft.server("b.test ~^w");
    draft.line("server { listen 127.0.0.1:%%PORT1%%; return 200 \"up $request_method $request_uri\"; }");
    draft.line("}");
    draft.text
}

/// Method, target, host and further fields.
fn question(rng: &mut Rng) -> (String, String, String, Vec<String>) {
    let method =
        if rng.chance(75) { "GET" } else { rng.of(&["HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PROPFIND", "BREW"]) };
    let paths = [
        "/",
        "/index.html",
        "/a.txt",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/",
        "/a/b/c.txt",
        "/img/x.png",
        "/img/",
        "/img",
        "/x.php",
        "/a/y.php",
        "/exact",
        "/exact/",
        "/final/x.php",
        "/final/",
        "/p/q%20r",
        "/p",
        "/r/a.txt",
        "/r/nothing",
        "/nothing",
        "/nothing/",
        "/pre.css",
        "/a/../a.txt",
        "//a.txt",
        "/%61.txt",
        "/gone",
        "/a/b/nothing.png",
        "/../x",
        "/a.txt/",
        "/%00",
    ];
    let target = format!("{}{}", rng.of(&paths), rng.of(&["", "", "", "?x=y", "?x=z", "?"]));
    let host = rng.of(&["a.test", "x.a.test", "b.test", "web", "other", "A.TEST", "b.test."]);
    let mut fields = Vec::new();
    for (percent, field) in [
        (10, "Range: bytes=0-3"),
        (5, "Range: bytes=900-"),
        (10, "Accept-Encoding: gzip"),
        (10, "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"),
        (5, "If-None-Match: *"),
        (5, "If-Match: \"none\""),
        (15, "Authorization: Basic YWxpY2U6c2VjcmV0"),
        (5, "Authorization: Basic YWxpY2U6d3Jvbmc="),
        (10, "User-Agent: Bot"),
        (5, "X-Odd_Name: 1"),
    ] {
        if rng.chance(percent) && !fields.iter().any(|have: &String| have.split(':').next() == field.split(':').next())
        {
            fields.push(field.to_owned());
        }
    }
    (method.to_owned(), target, host.to_owned(), fields)
}

/// What is compared of an answer: the status and its fields, but for what is the connection's.
fn facts(status: u16, fields: impl Iterator<Item = (String, String)>) -> (u16, BTreeSet<String>) {
    let kept = fields.filter(|(name, _)| !["date", "connection", "keep-alive"].contains(&&*name.to_ascii_lowercase()));
    (status, kept.map(|(name, value)| format!("{name}: {value}")).collect())
}

fn live(server: &Server, method: &str, target: &str, host: &str, fields: &[String]) -> Result<Response, String> {
    let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    let mut client = server.client();
    client.send(request);
    client.try_response(method == "HEAD").map_err(|end| format!("{end:?}"))
}

fn explained(server: &Server, method: &str, url: &str, host: &str, fields: &[String]) -> String {
    let mut command = Command::new(binary());
    command.arg("explain").args(["-H", &format!("Host: {host}")]);
    fields.iter().for_each(|field| {
        command.args(["-H", field]);
    });
    command.args(["conf/test.conf", method, url]).current_dir(server.path("")).env_remove("NGINX");
    let out = command.output().expect("the binary runs");
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{method} {url}: {errors}");
    text.into_owned()
}

/// The lines of a subject: its own, and those below it without one.
fn subject<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().take_while(|line| !line.starts_with("settings at")) {
        if !line.starts_with(' ') {
            inside = line.split(' ').next() == Some(name);
        }
        if inside && !line.trim().is_empty() {
            found.push(line.strip_prefix(name).unwrap_or(line).trim());
        }
    }
    found
}

/// What explain has wrong, or None.
fn difference(server: &Server, text: &str, live: &Result<Response, String>, is_head: bool) -> Option<String> {
    let answer = subject(text, "answer");
    let first = *answer.first()?;
    let live = match live {
        Err(_) if first.starts_with("none: the connection is closed") => return None,
        Err(end) => return Some(format!("closed ({end})")),
        Ok(live) => live,
    };
    if first.starts_with("none: the connection is closed") {
        return Some("it is answered".into());
    }
    if first.starts_with("is the upstream's") {
        let url = subject(text, "handler")
            .iter()
            .rev()
            .find_map(|line| line.split("proxy_pass: ").nth(1))
            .unwrap_or_default();
        let url = url.split("  [").next().unwrap_or_default();
        let (port, body) = (server.address(1).port().to_string(), live.text());
        let uri = url.split_once(&port).map_or("", |(_, uri)| uri);
        let uri = if uri.starts_with('/') { uri.to_owned() } else { format!("/{}", uri.trim_start_matches('/')) };
        let peer = subject(text, "upstream").concat();
        if !peer.contains(&port) {
            return Some(format!("upstream {peer:?} is not port {port}"));
        }
        // The answer of the other server may be changed by the way; that it is its answer, its text says.
        let is_coded = live.header("Content-Encoding").is_some();
        let is_passed = body.starts_with("up ") || is_head || is_coded || live.status != 200;
        let same = !body.starts_with("up ") || body.ends_with(&format!(" {uri}"));
        return (!is_passed || !same).then(|| format!("passed on as {body:?}, said was {uri:?}"));
    }
    if first.starts_with("depends on the body") {
        return None;
    }
    let status: u16 = first.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
    let field = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let said = facts(status, answer.iter().skip(1).filter_map(field));
    let done = facts(live.status, live.headers.iter().cloned());
    if said != done {
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join(", ");
        return Some(format!(
            "said {} [{}], done {} [{}]",
            said.0,
            only(&said.1, &done.1),
            done.0,
            only(&done.1, &said.1)
        ));
    }
    // The location is that of the last line that has one.
    let place = live.header("X-Where").filter(|at| at.bytes().all(|byte| byte.is_ascii_digit()));
    let taken = subject(text, "location").iter().rfind(|line| line.contains(" for /")).map(|line| (*line).to_owned());
    if let (Some(at), Some(taken)) = (place, &taken)
        && !taken.contains("limit_except")
        && !taken.ends_with(&format!("conf/test.conf:{at}]"))
        && !text.contains("@named")
    {
        return Some(format!("answered by the location of line {at}, said was {taken}"));
    }
    let file = subject(text, "file").last().map(|path| (*path).to_owned());
    let root = format!("{}/", server.path("").display()).replace("//", "/");
    if let Some(file) = file.filter(|_| live.status == 200 && !is_head && live.header("Content-Encoding").is_none()) {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_owned();
        if FILES.contains(&&*name) && live.text() != name {
            return Some(format!("file {name}, sent was {:?}", live.text()));
        }
    }
    None
}

#[test]
fn what_is_said_of_requests_drawn_by_chance_is_what_is_done() {
    if skip_on_nginx("explain") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("SEEDS").unwrap_or(8),
    };
    let (mut asked, mut wrong) = (0, Vec::new());
    for seed in seeds {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| {
            rng.next();
        });
        let config = configuration(&mut rng);
        let mut setup = Setup::full(&config).file("users", "alice:{PLAIN}secret\n").allow_log("");
        for name in FILES {
            setup = setup.file(name, name);
        }
        let server = setup.start();
        for _ in 0..REQUESTS {
            let (method, target, host, fields) = question(&mut rng);
            let url = format!("http://127.0.0.1:{}{target}", server.port());
            let text = explained(&server, &method, &url, &host, &fields);
            let answer = live(&server, &method, &target, &host, &fields);
            asked += 1;
            if let Some(why) = difference(&server, &text, &answer, method == "HEAD") {
                wrong.push(format!("SEED={seed} {method} {target} Host: {host} {fields:?}: {why}"));
                if number("SEED").is_some() {
                    println!("{}\n{text}\n", wrong.last().expect("just pushed"));
                }
            }
        }
        if number("SEED").is_some() {
            println!("{config}");
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
