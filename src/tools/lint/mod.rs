//! `webserv lint`: configurations that are valid and probably not meant. Walks the tree as it was written, not the
//! resolved model, so that every warning points at a line; knows directives by name and changes nothing.
//!
//! A rule is a function over one directive and the blocks around it, and a row of [`RULES`]: a code, a title and a
//! page of text. `# lint: allow W101` on the line, on the line above it, or on a line that opens a block around it
//! silences a code.

mod access;
mod blocks;
mod exposure;
mod files;
mod headers;
mod level;
mod order;
mod regexes;
mod rule;
mod slips;
mod traps;
mod trust;
mod uploads;
mod values;

use crate::config::ast::{Directive, FileId, Span};
use crate::config::error::Diagnostic;
use crate::config::sources::Sources;
use level::Level;
pub use rule::Paths;
use rule::{Finding, Place, Rule};
use std::cell::Cell;

/// The rules by their codes: traps of the language, then what attackers use, then what webserv adds.
pub const RULES: &[&[Rule]] = &[
    traps::RULES,
    values::RULES,
    slips::RULES,
    headers::RULES,
    regexes::RULES,
    order::RULES,
    access::RULES,
    trust::RULES,
    exposure::RULES,
    headers::SENT,
    uploads::RULES,
    order::AREAS,
    exposure::AREAS,
    files::RULES,
];

/// Rules that ask for something which may stand around a location, or beside it: of a file of locations that a server
/// includes they say nothing.
pub const OF_SURROUNDINGS: [&str; 5] = ["W108", "W117", "W125", "W201", "W205"];

/// All warnings for a tree, without those that a comment allows, in the order of the files.
pub fn lint(tree: &[Directive], sources: &Sources, paths: Option<&Paths>) -> Vec<Diagnostic> {
    by(RULES, tree, sources, paths)
}

/// Missing names that are compared with the names beside them: each costs a reading of a directory, and a server that
/// starts waits for it.
const COMPARISONS: u32 = 50;

/// What a server says of its files when it starts.
pub fn at_start(tree: &[Directive], sources: &Sources, paths: &Paths) -> Vec<Diagnostic> {
    by(&[files::RULES], tree, sources, Some(paths))
}

fn by(rules: &[&[Rule]], tree: &[Directive], sources: &Sources, paths: Option<&Paths>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let silences = |file| memchr::memmem::find(sources.bytes(file), ALLOW.as_bytes()).is_some();
    let silencing = sources.ids().filter(|file| silences(*file)).collect();
    let comparisons = Cell::new(COMPARISONS);
    let mut walk = Walk { rules, sources, silencing, paths, comparisons, warnings: &mut warnings };
    walk.level(Level::new(tree), &mut Vec::new(), &mut Vec::new());
    warnings.sort_by_key(|warning: &Diagnostic| warning.span.map(|span| (span.file, span.start)));
    warnings
}

/// The page of a rule, for `--explain`.
pub fn explain(code: &str) -> Option<String> {
    let rule = RULES.iter().copied().flatten().find(|rule| rule.code.eq_ignore_ascii_case(code))?;
    let silence = format!("To accept it at one place: `# lint: allow {}` on that line or above it.", rule.code);
    Some(format!("{}: {}\n\n{}\n\n{silence}\n", rule.code, rule.title, rule.page))
}

/// Code and title of every rule, one a line.
pub fn list() -> String {
    RULES.iter().copied().flatten().map(|rule| format!("{}  {}\n", rule.code, rule.title)).collect()
}

/// A way through the tree.
struct Walk<'w> {
    rules: &'w [&'w [Rule]],
    sources: &'w Sources,
    /// The files that have a comment which allows a code: of the others no line is searched for one.
    silencing: Vec<FileId>,
    paths: Option<&'w Paths>,
    comparisons: Cell<u32>,
    warnings: &'w mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn level<'a>(&mut self, level: Level<'a>, blocks: &mut Vec<&'a Directive>, levels: &mut Vec<Level<'a>>) {
        let all = level.all;
        levels.push(level);
        for (at, d) in all.iter().enumerate() {
            let place = Place { d, blocks, levels, at, paths: self.paths, comparisons: &self.comparisons };
            let mut found = Vec::new();
            for rule in self.rules.iter().copied().flatten() {
                (rule.check)(&place, &mut found);
                for finding in found.drain(..) {
                    let around = blocks.iter().map(|block| block.name.span);
                    let mut spans = [finding.span, d.name.span].into_iter().chain(around);
                    if !spans.any(|span| self.silencing.contains(&span.file) && allowed(self.sources, span, rule.code))
                    {
                        self.warnings.push(diagnostic(finding, rule.code));
                    }
                }
            }
            if let Some(children) = &d.block {
                blocks.push(d);
                self.level(Level::new(children), blocks, levels);
                blocks.pop();
            }
        }
        levels.pop();
    }
}

fn diagnostic(finding: Finding, code: &'static str) -> Diagnostic {
    let mut warning = Diagnostic::warn(finding.span, finding.message).help(finding.help);
    warning.code = Some(code);
    match finding.note {
        Some((span, note)) => warning.note(span, note),
        None => warning,
    }
}

/// What a comment begins with that allows codes.
const ALLOW: &str = "# lint: allow";

/// Whether a comment on the line of `span`, or alone on the line above, allows the code.
fn allowed(sources: &Sources, span: Span, code: &str) -> bool {
    let allows = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        text.split_once(ALLOW).is_some_and(|(_, codes)| codes.split([' ', ',']).any(|word| word == code))
    };
    let line = sources.line(span);
    if allows(line) {
        return true;
    }
    let start = (span.start as usize).saturating_sub(sources.position(span).offset);
    let above = sources.bytes(span.file).get(..start.saturating_sub(1)).unwrap_or_default();
    let above = above.get(memchr::memrchr(b'\n', above).map_or(0, |at| at + 1)..).unwrap_or_default();
    above.trim_ascii_start().starts_with(b"#") && allows(above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{LoadOptions, load_text};

    pub fn codes(text: &str) -> Vec<String> {
        let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let code = |d: &Diagnostic| d.code.unwrap_or_default().to_owned();
        lint(&loaded.directives, &loaded.sources, None).iter().map(code).collect()
    }

    #[test]
    fn each_rule_warns_where_it_should_and_is_silent_where_not() {
        for (code, bad, good) in [
            ("W001", "location ^/api/ { }", "location ^~ /api/ { }"),
            ("W002", "server_name a.test, b.test;", "server_name a.test b.test;"),
            ("W003", "error_page 404 = @no; location / { }", "error_page 404 = @no; location @no { }"),
            ("W004", "location / { try_files $uri 404; }", "location / { try_files $uri =404; }"),
            ("W005", "location ~ x { } location ~ x { }", "location ~ x { } location ~ y { }"),
            ("W006", "location / { return 403; set $a b; }", "location / { set $a b; return 403; }"),
            ("W007", "location / { if ($arg_a) { root /x; } }", "location / { if ($arg_a) { return 403; } }"),
            ("W008", "location /img/ { root /srv/img; }", "location /img/ { root /srv; }"),
            ("W009", "location /i { alias /srv/i/; }", "location /i/ { alias /srv/i/; }"),
            ("W010", "if (-f request_filename) { return 403; }", "if (-f $request_filename) { return 403; }"),
            ("W012", "rewrite ^/a/(.*)$ /$2;", "rewrite ^/(a)/(.*)$ /$2;"),
            ("W011", "return 301;", "return 301 https://a.test/;"),
            ("W113", "access_log on;", "access_log on.log;"),
            ("W001", "location *.php { }", r"location ~ \.php$ { }"),
            ("W001", "location images { }", "location /images { }"),
            ("W001", "location images { }", "location \"\" { }"),
            ("W101", "location ~ ^/(.+)$ { proxy_pass http://$1/; }", "location ~ ^/(a|b)$ { proxy_pass http://$1/; }"),
            ("W102", "return 302 https://a.test$uri;", "return 302 https://a.test$request_uri;"),
            ("W103", "proxy_set_header Host $http_host;", "proxy_set_header Host $host;"),
            (
                "W104",
                "add_header A a; location / { add_header B b; }",
                "add_header A a; location / { add_header A a; add_header B b; }",
            ),
            (
                "W134",
                "proxy_set_header Host $host; location / { proxy_set_header A b; proxy_pass http://a; }",
                "proxy_set_header Host $host; location / { proxy_set_header Host a; proxy_pass http://a; }",
            ),
            (
                "W134",
                "proxy_set_header X-Real-IP $remote_addr; location / { proxy_set_header A b; proxy_pass http://a; }",
                "proxy_set_header X-Real-IP $remote_addr; location / { proxy_set_header A b; location /b { } }",
            ),
            (
                "W134",
                "proxy_set_header Host $host; location / { proxy_set_header A b; proxy_pass http://a; }",
                "proxy_set_header Host $proxy_host; location / { proxy_set_header A b; proxy_pass http://a; }",
            ),
            ("W105", "location / { allow 127.0.0.1; }", "location / { allow 127.0.0.1; deny all; }"),
            ("W106", "location ~ .php$ { }", r"location ~ \.php$ { }"),
            (
                "W107",
                r"if ($http_origin !~ ^https://a\.test) { return 403; }",
                r"if ($http_origin !~ ^https://a\.test$) { return 403; }",
            ),
            (
                "W108",
                "location /a/ { rewrite ^/a/(.*)$ /a/x?p=$1 last; }",
                "location /a/ { rewrite ^/a/(.*)$ /x?p=$1 last; }",
            ),
            ("W109", "location ~ .* { } location ~ x { }", "location ~ x { } location ~ .* { }"),
            (
                "W110",
                r"location ~ \.php$ { } location ~ ^/a/.*\.php$ { }",
                r"location ~ ^/a/.*\.php$ { } location ~ \.php$ { }",
            ),
            ("W110", "location ^~ /a/ { } location ~ ^/a/b { }", "location /a/ { } location ~ ^/a/b { }"),
            ("W111", "location / { allow all; deny 192.0.2.1; }", "location / { deny 192.0.2.1; allow all; }"),
            ("W112", "listen 443;", "listen 443 ssl;"),
            ("W112", "listen 80 ssl;", "listen 80;"),
            ("W113", "error_log off;", "error_log off.log;"),
            ("W001", "location /a|/b { }", "location ~ ^/(a|b) { }"),
            ("W001", "location /a?x=1 { }", "location /a { }"),
            ("W001", "location = @a { }", "location @a { }"),
            ("W002", "server_name $host;", "server_name $hostname;"),
            ("W006", "location / { break; return 403; }", "location / { return 403; break; }"),
            ("W013", "try_files $uri index.php;", "try_files $uri /index.php;"),
            ("W013", "try_files uri $uri/ =404;", "try_files $uri $uri/ =404;"),
            ("W013", "try_files $uri =404 /index.html;", "try_files $uri /index.html =404;"),
            ("W013", "location @x { } try_files $uri @x =404;", "location @x { } try_files $uri @x;"),
            ("W014", "map http_host $x { a b; }", "map $http_host $x { a b; }"),
            ("W014", "limit_req_zone binary_remote_addr zone=a:1m;", "limit_req_zone $binary_remote_addr zone=a:1m;"),
            ("W015", r"rewrite ^/a/(.*)$ /b/\1 last;", "rewrite ^/a/(.*)$ /b/$1 last;"),
            ("W015", "return 301 /b?x=%1;", "return 301 /b%20x;"),
            ("W016", "map $host $x { *.a.test 1; }", "map $host $x { hostnames; *.a.test 1; }"),
            ("W016", "map $host $x { *.a.test 1; }", "map $server_name $x { *.a.test 1; }"),
            ("W016", "split_clients $uri $x { 50% a; 50% b; * c; }", "split_clients $uri $x { 50% a; 49% b; * c; }"),
            ("W016", "types { text/html .html; }", "types { text/html html; }"),
            ("W016", "types { html text/html; }", "types { text/html html; }"),
            ("W002", "server_name (a|b).test;", "server_name ~^(a|b).test$;"),
            ("W016", "gzip_types text/*;", "gzip_types *;"),
            ("W016", "map $uri $x { default: 1; }", "map $uri $x { default 1; }"),
            ("W016", "map $uri $x { defualt 1; }", "map $uri $x { default 1; }"),
            ("W017", r"location ~ /\.php$/i { }", r"location ~* \.php$ { }"),
            ("W018", "log_format a '%h %l %u %t';", "log_format a '$remote_addr 100%';"),
            ("W019", "upload_filename orignal;", "upload_filename original;"),
            ("W020", "add_header X-Id $request-id;", "add_header X-Id $request_id;"),
            ("W021", "listen 8080:80;", "listen 127.0.0.1:80;"),
            ("W014", "proxy_set_header X-Real-IP remote_addr;", "proxy_set_header X-Real-IP $remote_addr;"),
            ("W014", "proxy_set_header Host host;", "proxy_set_header Host app;"),
            ("W014", "proxy_set_header X-Agent http_user_agent;", "proxy_set_header X-Pool http_backend;"),
            ("W014", "set $ip remote_addr;", "set $up http_backend;"),
            ("W014", "return 301 https://host$request_uri;", "return 301 https://hosts$request_uri;"),
            ("W014", "return 301 https://a.test/request_uri;", "return 301 https://a.test/request;"),
            ("W001", "location = ^/a$ { }", "location = /a { }"),
            ("W001", "location = /api/* { }", "location ^~ /api/ { }"),
            ("W016", "map $uri $x { ~^/a 1; ~^/a 2; }", "map $uri $x { ~^/a 1; ~^/b 2; }"),
            ("W019", "error_log warn;", "error_log warn.log warn;"),
            ("W020", "add_header X $http_x-forwarded-for;", "add_header X $http_origin-$http_via-a;"),
            (
                "W022",
                "if ($request_uri = \"^/admin\") { return 403; }",
                "if ($request_uri ~ \"^/admin\") { return 403; }",
            ),
            ("W022", "if ($host != www\\.a\\.test) { return 403; }", "if ($host != www.a.test) { return 403; }"),
            ("W023", "location /i/ { alias /srv/i; }", "location /i/ { alias /srv/i.txt; }"),
            ("W024", "listen 8443; ssl_certificate c;", "listen 8443 ssl; ssl_certificate c;"),
            ("W106", r"server_name ~^www.a\.test$;", r"server_name ~^www\.a\.test$;"),
            ("W126", "location /a/ { proxy_pass http://b/c; }", "location /a/ { proxy_pass http://b/c.php; }"),
            (
                "W126",
                "location /a/ { proxy_pass http://unix:/run/b:/c; }",
                "location /a/ { proxy_pass http://unix:/run/gunicorn/socket; }",
            ),
            (
                "W126",
                "location /a { proxy_pass http://unix:/run/b:/; }",
                "location /a { proxy_pass http://unix:/run/b/; }",
            ),
            ("W133", "limit_req_zone $http_x_forwarded_for zone=a:1m;", "limit_req_zone $http_x_api_key zone=a:1m;"),
            ("W114", "location / { deny all; return 200; }", "location / { deny all; root /x; }"),
            ("W115", "valid_referers none *.a.test;", "valid_referers *.a.test;"),
            ("W116", r"location ~ \.php { }", r"location ~ \.php(/|$) { } location ~ /\.ht { }"),
            ("W116", r"server_name ~^www\.a\.test;", r"server_name ~^www\.a\.test$;"),
            ("W117", "auth_basic x;", "auth_basic x; auth_basic_user_file f;"),
            ("W118", "location / { add_header Content-Type text/css; }", "location / { default_type text/css; }"),
            ("W119", "server_tokens on;", "server_tokens off;"),
            (
                "W120",
                "location / { root /x; } location /a/ { expires 1d; }",
                "root /x; location / { index a; } location /a/ { expires 1d; }",
            ),
            ("W121", "resolver 8.8.8.8;", "resolver 127.0.0.53;"),
            ("W123", "satisfy any; allow all; auth_basic off;", "satisfy any; deny all; auth_basic off;"),
            ("W124", "root /;", "location /data/ { root /; }"),
            ("W125", "location / { return 301 /; }", "location / { return 301 /a/; } location /a/ { root /x; }"),
            (
                "W125",
                "listen 443 ssl; return 301 https://$host$request_uri;",
                "listen 80; return 301 https://$host$request_uri;",
            ),
            ("W126", "location /a { proxy_pass http://b/; }", "location /a/ { proxy_pass http://b/; }"),
            ("W127", "merge_slashes off;", "merge_slashes on;"),
            ("W128", "ssl_protocols TLSv1 TLSv1.2;", "ssl_protocols TLSv1.2;"),
            ("W129", "set_real_ip_from 0.0.0.0/0;", "set_real_ip_from 10.0.0.0/8;"),
            ("W130", "location ~ ^/(a+)+$ { }", "location ~ ^/(a/)+$ { }"),
            (
                "W131",
                "add_header Access-Control-Allow-Origin $http_origin; add_header Access-Control-Allow-Credentials true;",
                "add_header Access-Control-Allow-Origin $cors; add_header Access-Control-Allow-Credentials true;",
            ),
            ("W132", "location / { auth_basic_user_file f; }", "auth_basic_user_file f; location / { auth_basic x; }"),
            (
                "W207",
                "location /up/ { upload_store /x; deny all; } location /f/ { alias /x/; }",
                "location /up/ { upload_store /x; deny all; } location /f/ { alias /y/; }",
            ),
            ("W005", "location ~* x { } location ~ x { }", "location ~ x { } location ~* x { }"),
            ("W110", "location ~ ^/a { } location ~ ^/a/b { }", "location ~ ^/a/b { } location ~ ^/a { }"),
            (
                "W101",
                "location / { proxy_pass http://$host; }",
                "server_name a.test; location / { proxy_pass http://$host; }",
            ),
            (
                "W101",
                "set $t $arg_u; location / { proxy_pass http://$t; }",
                "set $t a; location / { proxy_pass http://$t; }",
            ),
            (
                "W206",
                "location /u/ { deny all; upload_store /x; upload_serve inline; }",
                "location /u/ { deny all; upload_store /x; }",
            ),
            (
                "W203",
                "client_max_body_size 0; location /u/ { deny all; upload_store /x; }",
                "client_max_body_size 1m; location /u/ { deny all; upload_store /x; }",
            ),
            ("W012", "location ~ ^/a { return 302 /b$1; }", "location ~ ^/(a) { return 302 /b$1; }"),
            (
                "W102",
                r"location ~ ^/([^/]*)/$ { proxy_pass http://a/$1; }",
                "location ~ ^/([a-z]*)/$ { proxy_pass http://a/$1; }",
            ),
            ("W122", "location ~ ^/a/ { alias /x/; }", "location ~ ^/a/(.*)$ { alias /x/$1; }"),
            ("W205", "location /s { stub_status; }", "location /s { stub_status; allow 127.0.0.1; deny all; }"),
            ("W101", "location / { proxy_pass http://a$args; }", "location / { proxy_pass http://a$request_uri; }"),
            (
                "W207",
                "location /up/ { upload_store /x/y/z; deny all; } location /f/ { alias /x/y/; }",
                "location /up/ { upload_store /x/y/z; deny all; } location /f/ { alias /x/yy/; }",
            ),
            (
                "W207",
                "root /s; location /a/up/ { upload_store /s/a/up; deny all; } location /a/ { } location /b/ { alias /s/; }",
                "root /s; location /a/up/ { upload_store /s/a/up; deny all; } location /a/ { }",
            ),
            (
                "W101",
                "set $t a; set $t $arg_u; location / { location /a { proxy_pass http://$t; } }",
                "set $t a; set $u $arg_u; location / { location /a { proxy_pass http://$t; } }",
            ),
            (
                "W203",
                "client_max_body_size 0; location /u/ { upload_quota 1g; }",
                "client_max_body_size 0; location /u/ { upload_quota 1g; upload_max_file_size 1m; }",
            ),
            (
                "W204",
                "add_header Content-Security-Policy \"default-src 'self'\"; location / { autoindex_format page; }",
                "location / { autoindex_format page; } location /a { add_header Content-Security-Policy x; }",
            ),
            ("W201", "location /u/ { dav_methods PUT; }", "location /u/ { dav_methods PUT; deny all; }"),
            (
                "W202",
                "location /u/ { dav_methods PUT; deny all; } location ~ \\.php$ { fastcgi_pass unix:/x; }",
                "location ^~ /u/ { dav_methods PUT; deny all; } location ~ \\.php$ { fastcgi_pass unix:/x; }",
            ),
        ] {
            assert!(explain(code).is_some(), "{code} has a page");
            assert_eq!(codes(&format!("server {{ {bad} }}")), [code], "{bad}");
            assert_eq!(codes(&format!("server {{ {good} }}")), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn one_socket_is_known_however_its_address_is_written() {
        for (text, expected) in [
            ("server { listen *:8443 ssl; } server { listen 8443; ssl_certificate c; }", &[][..]),
            ("server { listen 8443-8450 ssl; } server { listen 0.0.0.0:8444; ssl_certificate c; }", &[]),
            ("server { listen 127.0.0.1:8443 ssl; } server { listen 8443; ssl_certificate c; }", &["W024"]),
            ("server { listen [::]:8443 ssl; } server { listen 8443; ssl_certificate c; }", &["W024"]),
            ("server { listen 8443 quic; } server { listen 8443; ssl_certificate c; }", &["W024"]),
            ("server { listen *:443 ssl; } server { listen 443; }", &[]),
            ("server { listen 127.0.0.1:443 ssl; } server { listen 443; }", &["W112"]),
            ("ssl on; server { listen 8443; ssl_certificate c; } server { listen 443; }", &[]),
            ("http { ssl on; server { listen 8443; ssl_certificate c; } server { listen 443; } }", &[]),
            ("http { ssl on; server { ssl off; listen 443; } }", &["W112"]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }

    #[test]
    fn the_name_of_an_upstream_is_no_forgotten_variable() {
        for name in ["http_origin", "request_id"] {
            let server = format!("server {{ add_header X-Pool {name}; }}");
            assert_eq!(codes(&server), ["W014"], "{name}");
            assert_eq!(codes(&format!("upstream {name} {{ server 127.0.0.1:1; }} {server}")), Vec::<String>::new());
            let nested = format!("http {{ {server} upstream {name} {{ server 127.0.0.1:1; }} }}");
            assert_eq!(codes(&nested), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn rules_of_the_main_level_warn_there() {
        assert_eq!(codes("worker_rlimit_nofile 10; events { worker_connections 20; }"), ["W025"]);
        assert_eq!(codes("worker_rlimit_nofile 20; events { worker_connections 20; }"), Vec::<String>::new());
        // It has to be written to stay root: it is meant.
        assert_eq!(codes("user root;"), Vec::<String>::new());
    }

    #[test]
    fn a_comment_allows_a_code_for_its_line_the_next_and_its_block() {
        for text in [
            "server {\n location ~ .php$ { } # lint: allow W106\n}",
            "server {\n # lint: allow W001 W106\n location ~ .php$ { }\n}",
            "server { # lint: allow W106\n location ~ .php$ { }\n}",
        ] {
            assert_eq!(codes(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(codes("server {\n # lint: allow W001\n location ~ .php$ { }\n}"), ["W106"]);
    }

    #[test]
    fn only_the_first_missing_names_are_compared_with_those_beside_them() {
        let dir = std::env::temp_dir().join(format!("webserv-lint-missing-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("pictures")).expect("a scratch directory");
        let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), are_ours: false };
        let locations: String = (0..120).map(|at| format!("location /{at} {{ root picturse; }}\n")).collect();
        let loaded = load_text("x.conf", format!("server {{ {locations} }}").as_bytes(), &LoadOptions::default());
        let found = at_start(&loaded.directives, &loaded.sources, &paths);
        let _ = std::fs::remove_dir_all(&dir);
        assert_eq!(found.iter().filter(|warning| warning.code == Some("W210")).count(), COMPARISONS as usize);
    }

    #[test]
    fn every_code_is_there_once_and_in_order() {
        let codes: Vec<&str> = RULES.iter().copied().flatten().map(|rule| rule.code).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        assert!(OF_SURROUNDINGS.iter().all(|code| codes.contains(code)));
    }
}
