//! Good configurations that are near to what a rule warns of: it is silent there, whatever others say.

use super::super::codes;

/// The rule does not warn of any of these servers.
fn silent(code: &str, servers: &[&str]) {
    let warned = |server: &&&str| codes(&format!("http {{ {server} }}")).iter().any(|found| found == code);
    let wrong: Vec<_> = servers.iter().filter(warned).collect();
    assert!(wrong.is_empty(), "{code}: {wrong:#?}");
}

/// The rule warns of each of these servers.
fn warned(code: &str, servers: &[&str]) {
    let silent = |server: &&&str| codes(&format!("http {{ {server} }}")).iter().all(|found| found != code);
    let wrong: Vec<_> = servers.iter().filter(silent).collect();
    assert!(wrong.is_empty(), "{code}: {wrong:#?}");
}

#[test]
fn groups_that_a_request_brings_from_another_location_are_not_called_empty() {
    silent(
        "W012",
        &[
            "server { root /s; location ~ ^/x/(.*)$ { try_files /c/$1 @f; } location @f { proxy_pass http://127.0.0.1:80/cgi/$1; } }",
            "server { root /srv/$1; location ~ ^/t/([^/]+)/ { } }",
            "server { proxy_set_header X-Tenant $1; location ~ ^/t/([^/]+)/ { proxy_pass http://127.0.0.1:80; } }",
            "server { root /s; location ~ ^/y/(.*)$ { error_page 404 = @gen; } location @gen { set $n $1; return 200 $n; } }",
            "server { location ~ ^/y/(.*)$ { error_page 404 = /gen; } location /gen { set $n $1; return 200 $n; } }",
            "server { location /x/ { rewrite ^/x/(.*)$ /y last; } location /y { return 302 /z/$1; } }",
            "server { location = /y { internal; return 302 /z/$1; } }",
            "server { listen 81; server_name a.test; server_name ~^(.+)\\.a\\.test$; root /srv/$1; }",
        ],
    );
    warned("W012", &["server { location ~ \\.php$ { } location /old/ { return 301 https://b.test$1; } }"]);
}

#[test]
fn a_refusal_of_a_path_that_other_requests_are_led_to_is_left_alone() {
    let fastcgi = "fastcgi_pass 127.0.0.1:9000;";
    let asks = |condition: &str| format!("server {{ root /srv; if ({condition}) {{ return 403; }} }}");
    let led = |condition: &str, to: &str| format!("server {{ root /srv; {to} if ({condition}) {{ return 404; }} }}");
    let index = "$request_uri ~ ^/index\\.php";
    let by_map = |keys: &str| {
        format!(
            "map $request_uri $blocked {{ default 0; {keys} }} server {{ root /srv; location / {{ try_files $uri /index.php; }} \
             location = /index.php {{ if ($blocked) {{ return 404; }} {fastcgi} }} }}"
        )
    };
    let good = [
        format!(
            "server {{ root /srv; location / {{ try_files $uri /index.php; }} \
             location = /index.php {{ if ({index}) {{ return 404; }} {fastcgi} }} }}"
        ),
        format!("server {{ location = /a.php {{ if ($request_uri ~ ^/a\\.php) {{ return 404; }} {fastcgi} }} }}"),
        by_map("~^/index\\.php 1; /xmlrpc.php 1;"),
        by_map("~^/public 0;"),
        asks("$request_uri != /health"),
        asks("$request_uri !~ ^/health$"),
        asks("$request_uri !~ ^/v[0-9]/"),
        asks("$request_uri ~ ^/index\\.html"),
        led(index, "index index.php;"),
        led(index, "error_page 404 /index.php;"),
        led(index, "rewrite ^/b$ /index.php?b=1;"),
        led("$request_uri ~ \"^(/admin|/index\\.php)\"", "location / { try_files $uri /index.php$is_args$args; }"),
        led("$request_uri !~ ^/public/", "location / { try_files $uri /index.php; }"),
    ];
    silent("W380", &good.iter().map(String::as_str).collect::<Vec<_>>());
    let bad = [
        asks("$request_uri ~ \"^(/admin|/private)(/|$)\""),
        asks("$request_uri !~ ^/public/"),
        led("$request_uri ~ ^/admin", "location / { try_files $uri /index.php; }"),
        by_map("~^/admin 1;"),
    ];
    warned("W380", &bad.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn spaces_that_are_meant_in_a_regex_are_left_alone() {
    silent(
        "W384",
        &[
            "map $http_accept_encoding $br { default 0; \"~*(^|,| )br(,| |;|$)\" 1; }",
            "server { if ($http_cookie ~* \"(^| )wordpress_logged_in_\") { return 403; } }",
            "server { if ($http_cookie ~ \"(;| |^)lang=de\") { return 302 /de/; } }",
            "server { if ($http_user_agent ~* \"(Java |Indy Library|Jakarta Commons)\") { return 403; } }",
            "server { if ($http_user_agent ~* \"( |^)bot\") { return 403; } }",
        ],
    );
}

#[test]
fn media_ranges_are_compared_letter_by_letter() {
    silent(
        "W022",
        &[
            "server { if ($http_accept = \"*/*\") { return 403; } if ($http_accept != \"image/*\") { return 403; } }",
            "server { if ($arg_a = \"*/*\") { return 403; } if ($arg_a = \"*-*\") { return 403; } }",
        ],
    );
}

#[test]
fn a_uri_that_another_location_serves_does_not_begin_with_the_root() {
    let app = "location /app/ { alias /srv/dist/; try_files $uri $uri/ /app/index.html; }";
    let root = "server { root /app; location / { try_files $uri /app/index.html; }";
    let servers = [
        format!("{root} {app} }}"),
        format!("{root} location /app/ {{ proxy_pass http://127.0.0.1:1; }} }}"),
        format!("{root} location = /app/index.html {{ root /other; }} }}"),
    ];
    silent("W353", &servers.iter().map(String::as_str).collect::<Vec<_>>());
    warned(
        "W353",
        &[
            &format!("{root} location /b/ {{ alias /b/; }} }}"),
            "server { root /a; location / { root /srv/w; try_files $uri /srv/w/a.html; } }",
        ],
    );
}

#[test]
fn an_error_page_beside_what_shows_the_application_is_left_alone() {
    let with = |lines: &str| format!("server {{ root /srv; error_page 404 /index.html; {lines} }}");
    let servers = [
        with("location / { try_files $uri $uri/ /index.html; } location ~* \\.(js|css)$ { expires 30d; }"),
        with("location / { try_files $uri =404; }"),
        with("location = /index.html { internal; } location / { return 404; }"),
        with("location / { return 404; }"),
        with("location /api/ { proxy_pass http://127.0.0.1:1; proxy_intercept_errors on; }"),
    ];
    silent("W382", &servers.iter().map(String::as_str).collect::<Vec<_>>());
    warned("W382", &[&with(""), &with("location / { expires 1d; }")]);
}
