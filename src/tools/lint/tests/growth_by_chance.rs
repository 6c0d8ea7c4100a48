//! As [`super::growth`], for configurations whose lines are drawn by chance: which rules look at a list depends on the
//! lines around it.

use super::growth::{LISTS, growing};
use crate::util::seed::Seed;

/// Lines that turn rules on or off, beside those of [`LISTS`].
const OTHERS: [(&str, &[&str]); 3] = [
    (
        "http",
        &[
            "gzip on;",
            "resolver 10.0.0.1;",
            "add_header A a;",
            "deny all;",
            "real_ip_header X-Real-IP;",
            "index a.html;",
        ],
    ),
    (
        "server",
        &[
            "listen 80;",
            "listen 127.0.0.1:80;",
            "listen [::]:443 ssl;",
            "server_name a.test;",
            "server_name _;",
            "root /srv;",
            "auth_basic a; auth_basic_user_file /srv/p;",
            "deny all;",
            "allow all;",
            "satisfy any;",
            "index i.html;",
            "autoindex on;",
            "return 301 https://$host$request_uri;",
            "if ($scheme = http) { return 301 https://a.test$uri; }",
            "location / { try_files $uri $uri/ /index.php; }",
            "location ~ [.]php$ { fastcgi_pass u; fastcgi_param SCRIPT_FILENAME a; }",
            "location ~ /[.] { deny all; }",
            "location / { proxy_pass http://u; }",
            "location /up { upload_store /srv/up; allowed_methods POST; }",
            "error_page 404 /l/e; recursive_error_pages on;",
        ],
    ),
    (
        "location",
        &[
            "proxy_pass http://u;",
            "proxy_pass https://$host;",
            "fastcgi_pass u;",
            "root /srv;",
            "alias /srv/l/;",
            "internal;",
            "deny all;",
            "allow 10.0.0.1; deny all;",
            "auth_basic a;",
            "auth_basic off;",
            "satisfy any;",
            "upload_store /srv/u;",
            "dav_methods PUT DELETE;",
            "autoindex on;",
            "try_files $uri =404;",
            "return 200 a;",
            "expires 1d;",
            "limit_except GET { deny all; }",
            "proxy_http_version 1.1;",
        ],
    ),
];

/// A line of a block.
fn line(seed: &mut Seed, block: &str) -> &'static str {
    let tables = LISTS.iter().chain(&OTHERS).filter(|(name, _)| *name == block);
    let lines: Vec<&str> = tables.flat_map(|(_, lines)| lines.iter().copied()).collect();
    lines[seed.below(lines.len() as u64) as usize]
}

/// Up to `most` lines of a block, and perhaps a list before or behind them.
fn level(seed: &mut Seed, block: &str, most: u64, times: usize, has_list: bool) -> String {
    let few: String = (0..seed.below(most + 1)).map(|n| line(seed, block).replace('%', &format!("0{n}"))).collect();
    let (listed, is_first) = (line(seed, block), seed.below(2) == 0);
    let list: String = (0..if has_list { times } else { 0 }).map(|n| listed.replace('%', &n.to_string())).collect();
    if is_first { list + &few } else { few + &list }
}

/// A configuration with one or two lists. The same seed draws the same lines.
fn configuration(seed: u64, times: usize) -> String {
    let mut seed = Seed::new(seed);
    let lists = [seed.below(4), seed.below(4)];
    let has = |at: u64| lists.contains(&at);
    let http = level(&mut seed, "http", 4, times, has(0));
    let server = level(&mut seed, "server", 8, times, has(1));
    let [location, other] = [2, 3].map(|at| level(&mut seed, "location", 5, times, has(at)));
    format!(
        "http {{ upstream u {{ server 10.0.0.1; }} {http} server {{ {server} location /l/ {{ {location} }} location /m {{ {other} }} }} }}"
    )
}

#[test]
fn no_surroundings_make_a_rule_search_a_list_for_each_of_its_lines() {
    let (first, count) = match std::env::var("WEBSERV_SEEDS").ok().and_then(|text| text.parse().ok()) {
        Some(count) => (1000, count),
        None => (0, 60),
    };
    let mut wrong = Vec::new();
    for seed in first..first + count {
        let rules = growing(|times| configuration(seed, times));
        if !rules.is_empty() {
            wrong.push(format!("seed {seed}: {rules:?}: {}", configuration(seed, 2)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
