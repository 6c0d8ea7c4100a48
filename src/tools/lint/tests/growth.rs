//! No rule searches a block for each of its lines: what all of them look at grows with the number of lines, however
//! long a generated list is. Words that are looked at are counted, since times would depend on the machine.

use super::*;
use crate::config::ast::words_read;

/// Lines beside which rules have more to look at.
const SERVER: &str = "listen 80; listen [::]:443 ssl; server_name a.test _; root /srv; index i.html; error_page 404 /e; \
    auth_basic a; deny 10.0.0.1; allow all; add_header A a; set $a b; rewrite ^/x$ /y last; if ($a) { return 403; } \
    return 301 /z;";
const LOCATION: &str = "proxy_pass http://u; proxy_set_header Host $host; fastcgi_param A a; auth_basic a; deny all; \
    try_files $uri /x; upload_store /srv/u; rewrite ^/x$ /y break; add_header A a; expires 1d; gzip on; return 403;";

/// Lists that one block may have, by the block that is around them.
pub(super) const LISTS: [(&str, &[&str]); 6] = [
    (
        "http",
        &[
            "map $uri $m% { default 0; ~^/a% 1; }",
            "geo $g% { default 0; 10.0.0.0/8 1; }",
            "split_clients $uri $s% { 50% a; * b; }",
            "limit_req_zone $arg_a% zone=r%:1m rate=1r/s;",
            "limit_conn_zone $arg_a% zone=c%:1m;",
            "log_format l% '$uri %';",
            "upstream u% { server 10.0.0.1:%; keepalive 4; }",
            "server { listen 80; server_name n%.test; location / { proxy_pass http://u%; } }",
            "server { listen 10.0.0.1:%; server_name n%.test; root /srv/%; }",
            "server { listen 443 ssl; server_name n%.test www.n%.test; location ~ x%$ { return 403; } }",
            "proxy_cache_path /srv/c% keys_zone=k%:1m;",
            "set_real_ip_from 10.%.0.0/16;",
        ],
    ),
    (
        "server",
        &[
            "server_name n%.test;",
            "listen 127.0.0.1:%;",
            "error_page 404 /e%;",
            "error_page 404 =200 @n%;",
            "rewrite ^/a%/(.*)$ /b%/$1;",
            "rewrite ^/a%$ /b% permanent;",
            "if ($uri ~ ^/a%) { return 403; }",
            "if ($arg_a = %) { set $v% 1; }",
            "set $v% x;",
            "set $v% $arg_a%;",
            "location /a% { root /srv/%; }",
            "location /a%/ { proxy_pass http://u/; }",
            "location = /a% { return 301 /b%; }",
            "location ~ ^/a%/ { proxy_pass http://u; }",
            "location ~* x%$ { deny all; }",
            "location @n% { proxy_pass http://u; }",
            "location /a% { alias /srv/a%/; try_files $uri @n%; }",
            "location /a% { auth_basic a; auth_basic_user_file /srv/p%; }",
            "location /a% { upload_store /srv/u%; upload_quota 1g; }",
            "return 200 %;",
        ],
    ),
    (
        "location",
        &[
            "proxy_set_header X-% %;",
            "proxy_set_header X-% $http_x_%;",
            "proxy_hide_header X-%;",
            "proxy_pass_header X-%;",
            "proxy_cookie_path /a% /b%;",
            "proxy_cookie_domain a%.test b%.test;",
            "proxy_redirect http://a%/ /b%/;",
            "fastcgi_param P% %;",
            "fastcgi_hide_header X-%;",
            "uwsgi_param P% %;",
            "scgi_param P% %;",
            "cgi_env P% %;",
            "add_header X-% %;",
            "add_header X-% $arg_a%;",
            "add_trailer X-% %;",
            "allow 10.%.0.0/16;",
            "deny 10.%.0.0/16;",
            "access_log logs/%.log;",
            "index i%.html;",
            "limit_req zone=r%;",
            "limit_conn c% 5;",
            "rewrite ^/a%/(.*)$ /b%/$1;",
            "rewrite ^/a%/(.*)$ /b%/$1 break;",
            "set $v% x;",
            "if ($arg_a = %) { return 403; }",
            "auth_request_set $v% $upstream_http_x_%;",
            "valid_referers a%.test;",
            "error_page 404 /e%;",
            "cgi_extension .e% /bin/sh;",
            "gzip_types a/b%;",
            "proxy_next_upstream error;",
            "location /l/a% { root /srv; }",
        ],
    ),
    ("upstream", &["server 10.0.0.1:%;", "server n%.test resolve;", "server 10.0.0.1:% backup down;"]),
    ("map", &["a% b%;", "~^/a%/ b%;", "*.a%.test b;"]),
    ("geo", &["10.%.0.0/16 a%;"]),
];

/// A configuration with a list in a block, before or behind the other lines there.
fn text(block: &str, line: &str, times: usize, (server, location, is_first): (&str, &str, bool)) -> String {
    let lines: String = (0..times).map(|n| line.replace('%', &n.to_string())).collect();
    let (before, after) = if is_first { (&*lines, "") } else { ("", &*lines) };
    match block {
        "http" => format!("http {{ gzip on; resolver 10.0.0.1; {lines} server {{ {server} }} }}"),
        "server" => {
            let other = "server { listen [::]:80; listen 443 ssl default_server; server_name b.test; }";
            format!("http {{ {other} server {{ {server} {before} location / {{ {location} }} {after} }} {other} }}")
        }
        "location" => {
            format!("http {{ server {{ {server} location /l {{ {before} {location} {after} }} location / {{ }} }} }}")
        }
        "upstream" => format!("http {{ upstream u {{ {lines} }} server {{ {server} location / {{ {location} }} }} }}"),
        table => format!("http {{ {table} $uri $t {{ {lines} }} server {{ {server} if ($t) {{ return 403; }} }} }}"),
    }
}

/// Words that these rules look at.
fn read(rules: &[&'static Rule], loaded: &Loaded) -> u64 {
    let before = words_read();
    by(&Index::new(rules), &loaded.directives, &loaded.sources, None);
    words_read() - before
}

/// The rules for which what they look at grows faster than the lines of a list.
pub(super) fn growing(text: impl Fn(usize) -> String) -> Vec<&'static str> {
    const FEW: usize = 2 * level::COMPARED;
    const TIMES: usize = 4;
    let [few, many] =
        [FEW, TIMES * FEW].map(|times| load_text("x.conf", text(times).as_bytes(), &LoadOptions::default()));
    let grows = |rules: &[&'static Rule]| {
        let (few, many) = (read(rules, &few), read(rules, &many));
        many > (few + 100) * TIMES as u64 * 5 / 4
    };
    if !grows(&rules()) {
        return Vec::new();
    }
    rules().into_iter().filter(|rule| grows(&[rule])).map(|rule| rule.code).collect()
}

#[test]
fn what_the_rules_look_at_grows_with_the_lines_of_a_list_and_not_with_their_square() {
    let plain = "proxy_pass http://u;";
    let surroundings =
        [(SERVER, LOCATION, true), (SERVER, LOCATION, false), ("listen 80;", plain, true), ("listen 80;", "", false)];
    let mut wrong = Vec::new();
    for (block, lines) in LISTS {
        for (line, others) in lines.iter().flat_map(|line| surroundings.map(|others| (line, others))) {
            let rules = growing(|times| text(block, line, times, others));
            if !rules.is_empty() {
                wrong.push(format!("{block}: {line} beside {} bytes, first: {}: {rules:?}", others.0.len(), others.2));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lines of a server that lead to what is defined elsewhere: a location, a group of servers, or a table.
const LEADING: [(&str, &[&str]); 3] = [
    (
        "location",
        &[
            "error_page 404 /l/%;",
            "error_page 403 /l/%;",
            "rewrite ^/a%$ /l/% last;",
            "rewrite ^/a%/(.*)$ /l/$1;",
            "if ($arg_a = %) { return 302 /l/%; }",
            "if ($arg_a = %) { rewrite ^ /l/% last; }",
            "location = /a% { return 301 /l/%; }",
            "location /a% { return 302 /l/%; }",
            "location /a% { rewrite ^ /l/% last; }",
            "location /a% { try_files $uri /l/%; }",
            "location /a% { error_page 404 /l/%; proxy_pass http://u; }",
            "location /a% { auth_request /l/%; proxy_pass http://u; }",
            "location /a% { proxy_pass http://u; proxy_redirect / /l/%; }",
            "location /l/a% { deny all; }",
            "location = /l/%.php { auth_basic a; }",
            "location /a% { alias /srv/l/; index /l/%; }",
        ],
    ),
    (
        "upstream",
        &[
            "location /a% { proxy_pass http://u; }",
            "location /a% { proxy_pass http://u/; proxy_set_header Host u; }",
            "location /a% { proxy_pass https://u; proxy_ssl_verify on; }",
            "location /a% { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection close; }",
            "location /a% { fastcgi_pass u; }",
            "location /a% { uwsgi_pass u; }",
        ],
    ),
    (
        "map",
        &[
            "add_header X-% $t;",
            "if ($t) { return 403; }",
            "if ($t = %) { return 301 $t; }",
            "return 301 $t;",
            "set $v% $t;",
            "rewrite ^/a% $t;",
            "location /a% { proxy_pass http://$t; }",
            "location /a% { proxy_pass http://u; proxy_set_header X-% $t; }",
            "location /a% { root /srv/$t; }",
            "location /a% { proxy_pass http://u; proxy_set_header Connection $t; }",
            "location /a% { access_log logs/a.log combined if=$t; }",
            "location /a% { add_header Access-Control-Allow-Origin $t; }",
        ],
    ),
];

#[test]
fn no_rule_searches_what_a_line_leads_to_for_each_such_line() {
    let mut wrong = Vec::new();
    for (kind, lines) in LEADING {
        let lists = LISTS.iter().find(|(block, _)| *block == kind).map_or(&[][..], |(_, lists)| lists);
        // A third of the lists are of every kind, and quick.
        for (leading, list) in lines.iter().flat_map(|line| lists.iter().step_by(3).map(move |list| (*line, *list))) {
            let rules = growing(|times| {
                let lines = |line: &str| (0..times).map(|n| line.replace('%', &n.to_string())).collect::<String>();
                let server = format!("listen 80; root /srv; {}", lines(leading));
                match kind {
                    "location" => format!("http {{ server {{ {server} location /l/ {{ {} }} }} }}", lines(list)),
                    "map" => format!("http {{ map $uri $t {{ {} }} server {{ {server} }} }}", lines(list)),
                    block => format!("http {{ {block} u {{ {} }} server {{ {server} }} }}", lines(list)),
                }
            });
            if !rules.is_empty() {
                wrong.push(format!("{leading} to {list}: {rules:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
