//! Configurations and requests, drawn by chance: everything that an answer is made of, in any combination.

use std::collections::BTreeSet;
use std::fmt::Write;

pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
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

pub const FILES: [&str; 14] = [
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

/// Programs.
pub const CGI: [&str; 3] = ["cgi/x.php", "cgi/a/y.php", "cgi/index.html"];

/// One directive a line, so that a line is a place.
struct Draft<'r> {
    text: String,
    /// What stands in the block already.
    given: BTreeSet<String>,
    rng: &'r mut Rng,
}

impl Draft<'_> {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn next_line(&self) -> usize {
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
            (8, &["auth_request /check/204;"]),
            (8, &["auth_request /check/401;"]),
            (6, &["auth_request /check/403;"]),
            (6, &["auth_request /check/500;"]),
            (6, &["auth_request /check/file;"]),
            (6, &["auth_request /check/none;"]),
            (6, &["auth_request /check/up;"]),
            (8, &["absolute_redirect off;"]),
            (8, &["port_in_redirect off;"]),
            (8, &["server_name_in_redirect on;"]),
            (8, &["recursive_error_pages on;"]),
            (8, &["error_page 404 = @named;"]),
            (8, &["error_page 401 405 /a.txt;"]),
            (8, &["error_page 502 =200 /e404.html;"]),
            (8, &["error_page 500 https://err.test/x;"]),
            (8, &["disable_symlinks on;"]),
            (8, &["types { text/odd txt; }"]),
            (8, &["add_header_inherit merge;"]),
            (8, &["real_ip_header X-Real-IP;", "set_real_ip_from 127.0.0.0/8;"]),
            (6, &["ssi on;", "ssi_types *;"]),
            (8, &["auth_basic off;"]),
            (8, &["autoindex_format json;"]),
            (8, &["expires -1;"]),
            (8, &["add_trailer X-End yes;"]),
            (6, &["proxy_intercept_errors on;"]),
            (6, &["proxy_hide_header X-Up;"]),
            (6, &["limit_rate 9m;"]),
            (10, &["limit_req zone=often;", "limit_req_status 429;"]),
            (6, &["limit_conn each 100;"]),
            (8, &["gzip_vary on;"]),
            (6, &["gzip_proxied any;"]),
            (6, &["gzip_disable Bot;"]),
            (6, &["gzip_http_version 1.0;"]),
            (8, &["valid_referers none a.test;", "if ($invalid_referer) { return 403; }"]),
            (6, &["autoindex_exact_size off;"]),
            (6, &["add_header_inherit off;"]),
            (6, &["max_ranges 1;"]),
            (6, &["error_page 416 =200 /a.txt;"]),
            (6, &["error_page 405 = /a/index.html;"]),
            (6, &["chunked_transfer_encoding off;"]),
            (6, &["log_not_found off;"]),
            (6, &["proxy_method GET;"]),
            (6, &["proxy_redirect off;"]),
            (6, &["proxy_set_header Host other.test;"]),
            (6, &["proxy_pass_request_headers off;"]),
            (6, &["proxy_ignore_headers Expires;"]),
            (6, &["override_charset on;"]),
            (6, &["keepalive_disable none;"]),
            (6, &["open_file_cache off;"]),
            (6, &["secure_link $arg_x;", "secure_link_md5 \"$uri x\";", "if ($secure_link = \"\") { return 410; }"]),
        ] {
            // Most stand once in a block.
            let name = lines[0].split(' ').next().unwrap_or_default();
            if self.rng.chance(percent / 2) && (name == "error_page" || self.given.insert(name.to_owned())) {
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
        let at = self.next_line();
        self.line(&format!("location {head} {{"));
        self.line(&format!("add_header X-Where {at} always;"));
        self.given.clear();
        self.settings();
        self.script();
        let is_regex = head.starts_with('~') || head.starts_with('@');
        match self.rng.below(20) {
            0 | 1 => {
                let root = self.rng.of(&["html", "other", "nothing"]);
                self.line(&format!("root %%DIR%%/{root};"));
            }
            2 if !head.starts_with('@') && !is_regex => self.line("alias %%DIR%%/other/;"),
            3 => {
                let files =
                    self.rng.of(&["$uri $uri/ =404", "$uri $uri/index.html =403", "/a.txt =404", "$uri/ /nothing"]);
                self.line(&format!("try_files {files};"));
            }
            4 => self.line("try_files $uri /a.txt;"),
            5 => self.line("try_files $uri @named;"),
            6 => self.line("autoindex on;"),
            7 => self.line("index index.htm index.html;"),
            8 => {
                let what = self.rng.of(&["204", "301 /to$uri", "200 \"text $uri\"", "418", "https://$host/x"]);
                self.line(&format!("return {what};"));
            }
            11 if !is_regex => {
                let twice = self.rng.of(&["error", "rename", "overwrite"]);
                self.line("upload_store %%DIR%%/store;");
                self.line(&format!("upload_on_duplicate {twice};"));
                if self.given.insert("allowed_methods".to_owned()) {
                    self.line("allowed_methods GET POST PUT DELETE;");
                }
            }
            12 => {
                self.line("root %%DIR%%/dav;");
                self.line("dav_methods PUT DELETE MKCOL COPY MOVE;");
                self.line("dav_ext_methods PROPFIND OPTIONS;");
            }
            13 => {
                let uri = if is_regex { "" } else { self.rng.of(&["", "/part/"]) };
                self.line(&format!("proxy_pass http://group{uri};"));
            }
            14 => {
                self.line("set $up 127.0.0.1:%%PORT1%%;");
                self.line("proxy_pass http://$up;");
            }
            15 => {
                self.line("root %%DIR%%/cgi;");
                self.line("cgi_pass on;");
            }
            16 => self.line("fastcgi_pass 127.0.0.1:9;"),
            17 => self.line("empty_gif;"),
            18 if !is_regex && "/a/b/c.txt".starts_with(head.trim_start_matches("^~ ")) => {
                let at = self.next_line();
                self.line("location /a/b/c {");
                self.line(&format!("add_header X-Where {at} always;"));
                self.settings();
                self.line("}");
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
        self.line("listen 127.0.0.1:%%PORT2%% ssl;");
        let verify = self.rng.of(&["off", "on", "optional", "optional_no_ca"]);
        self.line(&format!("ssl_verify_client {verify};"));
        self.line(&format!("server_name {names};"));
        self.line("root %%DIR%%/html;");
        let at = self.next_line();
        self.line(&format!("add_header X-Where server-{at} always;"));
        self.script();
        self.line("location @named { add_header X-Where named always; return 200 named; }");
        for (name, what) in [
            ("204", "return 204;"),
            ("401", "return 401;"),
            ("403", "deny all;"),
            ("500", "return 500;"),
            ("file", "alias %%DIR%%/html/a.txt;"),
            ("none", "alias %%DIR%%/html/none;"),
            ("up", "proxy_pass http://group;"),
        ] {
            self.line(&format!("location = /check/{name} {{ internal; {what} }}"));
        }
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
                "/up/",
                "/dav/",
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

pub fn configuration(rng: &mut Rng) -> String {
    let mut draft = Draft { text: String::new(), given: BTreeSet::new(), rng };
    draft.line("%%PREAMBLE%%");
    draft.line("events { }");
    draft.line("http {");
    draft.line("types { text/html html htm; text/plain txt; image/png png; text/css css; }");
    draft.line("access_log off;");
    // A request without the argument is not counted; of the others the second is one too many.
    draft.line("limit_req_zone $arg_x zone=often:1m rate=1r/m;");
    draft.line("limit_conn_zone $server_name zone=each:1m;");
    draft.line("http2 on;");
    draft.line("ssl_certificate pair.crt;");
    draft.line("ssl_certificate_key pair.key;");
    draft.line("ssl_client_certificate client.crt;");
    draft.line("map $arg_x $mapped { default none; ~^y first; }");
    draft.server("a.test *.a.test");
    draft.server("b.test ~^w");
    draft.line("upstream group { server 127.0.0.1:%%PORT1%%; server 127.0.0.1:9 down; server 127.0.0.1:9 backup; }");
    draft.line("server { listen 127.0.0.1:%%PORT1%%; add_header X-Up yes;");
    draft.line("location ~ q { return 404 \"up 404 $request_uri\"; }");
    draft.line("location / { return 200 \"up $request_method $request_uri\"; } }");
    draft.line("}");
    draft.text
}

/// A request.
pub struct Question {
    pub method: String,
    pub target: String,
    pub host: String,
    /// Further lines of the head.
    pub fields: Vec<String>,
    pub body: &'static str,
}

pub fn question(rng: &mut Rng) -> Question {
    let writes = ["POST", "DELETE", "PUT", "MKCOL", "COPY", "MOVE", "PROPFIND"];
    let method = match rng.below(100) {
        ..70 => "GET",
        70..78 => rng.of(&["HEAD", "OPTIONS", "BREW"]),
        _ => rng.of(&writes),
    };
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
        "/up/new.txt",
        "/up/",
        "/up/sub/x",
        "/dav/x",
        "/dav/sub",
        "/dav/sub/",
        "/dav/sub/y",
        "/check/204",
        "/check/none",
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
        (5, "Referer: http://a.test/x"),
        (5, "Referer: http://evil.test/x"),
        (5, "Accept-Encoding: gzip;q=0, br"),
        (3, "Via: 1.1 proxy"),
        (10, "X-Real-IP: 10.1.2.3"),
        (5, "Depth: 0"),
        (5, "Destination: http://a.test/dav/z"),
        (3, "Overwrite: F"),
        (3, "Expect: 100-continue"),
        (3, "Content-Type: text/x"),
    ] {
        if rng.chance(percent) && !fields.iter().any(|have: &String| have.split(':').next() == field.split(':').next())
        {
            fields.push(field.to_owned());
        }
    }
    let body = if writes.contains(&method) && rng.chance(70) { ["body", "nine byte"][rng.below(2)] } else { "" };
    if !body.is_empty() {
        fields.push(format!("Content-Length: {}", body.len()));
    }
    Question { method: method.to_owned(), target, host: host.to_owned(), fields, body }
}
