//! Headers, ports and texts that go or mean something else than intended, each beside its harmless twin.

use super::twins::{PHP, check, check_in, tls};

fn server(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; root /w; {lines} }} }}")
}

/// In a location that proxies.
fn proxied(lines: &str) -> String {
    server(&format!("location / {{ proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; {lines} }}"))
}

#[test]
fn a_header_that_goes_the_other_way_is_found() {
    check_in(
        proxied,
        &[
            ("W327", "proxy_set_header Access-Control-Allow-Origin *;", "add_header Access-Control-Allow-Origin *;"),
            ("W327", "proxy_set_header X-Accel-Buffering no;", "proxy_buffering off; add_header X-Accel-Buffering no;"),
            ("W327", "add_header X-Accel-Buffering no;", "proxy_set_header X-Frame-Options \"\";"),
            ("W327", "add_header X-Real-IP $remote_addr;", "proxy_set_header X-Real-IP $remote_addr;"),
            ("W327", "proxy_hide_header Authorization;", "proxy_set_header Authorization \"\";"),
            ("W327", "proxy_pass_header Authorization;", "proxy_pass_header Server;"),
        ],
    );
    check_in(server, &[("W327", "fastcgi_hide_header Cookie;", "add_header X-Real-IP $remote_addr;")]);
}

#[test]
fn a_header_whose_value_browsers_ignore_is_found() {
    let header = |lines: &str| server(&format!("add_header {lines};"));
    check_in(
        header,
        &[
            (
                "W156",
                "Content-Security-Policy \"default-src: 'self'\"",
                "Content-Security-Policy \"default-src 'self'; worker-src *; webrtc 'block'\"",
            ),
            (
                "W156",
                "Content-Security-Policy \"frame-ancestor 'none'\"",
                "Content-Security-Policy \"frame-ancestors 'none'\"",
            ),
            ("W156", "Retry-After 10m", "Retry-After 600"),
            ("W156", "Retry-After soon", "Retry-After \"Sun, 06 Nov 1994 08:49:37 GMT\""),
        ],
    );
    check_in(
        tls,
        &[(
            "W156",
            "add_header Strict-Transport-Security \"max-age=31536000; includeSubDomain\";",
            "add_header Strict-Transport-Security \"max-age=31536000; includeSubDomains; preload\";",
        )],
    );
}

#[test]
fn a_port_that_speaks_something_else_is_found() {
    let app = |lines: &str| server(&format!("{PHP} location /app/ {{ {lines} }}"));
    check_in(
        app,
        &[
            ("W329", "proxy_pass http://localhost:9000;", "proxy_pass http://localhost:9001;"),
            ("W329", "proxy_pass http://127.0.0.1:9000/;", "proxy_pass http://127.0.0.2:9000/;"),
        ],
    );
    check_in(
        proxied,
        &[
            ("W330", "proxy_redirect http://127.0.0.1:8000/ /;", "proxy_redirect http://127.0.0.1:3000/ /;"),
            ("W330", "proxy_redirect http://localhost:8000 /;", "proxy_redirect http://app.test:8000 /;"),
            ("W330", "proxy_redirect http://localhost:8000/ /;", "proxy_redirect http://localhost:80/ /;"),
        ],
    );
    check_in(
        server,
        &[
            ("W343", "return 301 https://$host:80$request_uri;", "return 301 https://$host:8080$request_uri;"),
            ("W343", "return 301 http://b.test:443/;", "return 301 https://b.test:443/;"),
            ("W328", "add_header Alt-Svc 'h3=\":443\"; ma=86400';", "add_header Alt-Svc 'h2=\":443\"; ma=86400';"),
        ],
    );
}

#[test]
fn a_text_that_means_something_else_is_found() {
    let format =
        |lines: &str| format!("http {{ log_format a {lines}; access_log logs/a.log a; server {{ listen 80; }} }}");
    check_in(
        format,
        &[
            ("W333", "'$request_time' '$status'", "'$request_time ' '$status'"),
            ("W333", "'\"$request\"' '$status'", "'$scheme://' '$host' '$request_uri'"),
            ("W333", "'${status}' '\"$http_referer\"'", "escape=json '{\"a\":\"$host\",' '\"b\":\"$status\"}'"),
        ],
    );
    check_in(
        server,
        &[
            ("W334", "location /p { return 204 pong; }", "location /p { return 200 pong; }"),
            ("W334", "location /p { return 444 no; }", "location /p { return 204 \"\"; }"),
            ("W335", "proxy_cookie_domain http://app.test a.test;", "proxy_cookie_domain app.test a.test;"),
            ("W335", "proxy_cookie_domain app.test:8080 a.test;", "proxy_cookie_domain ~^(.*)$ a.test;"),
            ("W336", "proxy_read_timeout 60ms;", "proxy_read_timeout 500ms;"),
            ("W336", "client_body_timeout 12ms;", "proxy_connect_timeout 60ms;"),
            (
                "W342",
                "location ~ \\.cgi$ { scgi_param A b; scgi_param A c; scgi_pass 127.0.0.1:9001; }",
                "location ~ \\.cgi$ { scgi_param A b; scgi_param A c if_not_empty; scgi_pass 127.0.0.1:9001; }",
            ),
            ("W013", "try_files $document_root$uri =404;", "try_files $uri =404;"),
            ("W061", "set_real_ip_from 10.0.0.1; real_ip_header X_Real_IP;", "set_real_ip_from 10.0.0.1;"),
            (
                "W061",
                "set_real_ip_from 10.0.0.1; real_ip_header X-Forwarded-Fo;",
                "set_real_ip_from 10.0.0.1; real_ip_header X-Envoy-External-Address;",
            ),
        ],
    );
}

#[test]
fn a_value_that_a_variable_never_has_is_found() {
    let map = |lines: &str| format!("http {{ map {lines} }} server {{ listen 80; if ($a) {{ return 404; }} }} }}");
    check_in(
        map,
        &[
            ("W068", "$uri $a { default 0; /a?b=c 1;", "$request_uri $a { default 0; /a?b=c 1;"),
            ("W068", "$uri $a { default 0; index.html 1;", "$uri $a { default 0; /index.html 1; ~b 1; \"\" 1;"),
            ("W068", "$args $a { default 0; ?b 1;", "$request_method $a { default 0; post 1;"),
            ("W068", "$server_port $a { default 0; https 1;", "$scheme $a { default 0; HTTPS 1;"),
        ],
    );
    let set = |value: &str| {
        server(&format!("set $m 0; if ($arg_m) {{ set $m 1; }} if ($m {value}) {{ return 404; }} set $one a;"))
    };
    check_in(
        set,
        &[("W083", "= yes", "= 1"), ("W083", "!= yes", "!= \"\""), ("W083", "= 2", "~ 2"), ("W083", "= on", "= 0")],
    );
    check_in(
        server,
        &[
            (
                "W083",
                "set $e a; location /b { set $e b; } if ($e = c) { return 404; }",
                "set $e a; if ($e = c) { return 404; }",
            ),
            (
                "W083",
                "set $e a; set $e b; if ($e = c) { return 404; }",
                "set $e a; set $e $arg_e; if ($e = c) { return 404; }",
            ),
        ],
    );
}

#[test]
fn a_path_that_another_location_answers_is_found() {
    let with_php = |lines: &str| server(&format!("{lines} {PHP}"));
    check_in(
        with_php,
        &[
            ("W331", "location /wp-config.php { deny all; }", "location = /wp-config.php { deny all; }"),
            ("W331", "location /data/ { deny all; }", "location ^~ /data/ { deny all; }"),
            ("W331", "location /data { return 404; }", "location /.git { deny all; }"),
        ],
    );
    check(&[
        (
            "W338",
            &server("auth_basic a; auth_basic_user_file f; location /.well-known/acme-challenge/ { root /x; }"),
            &server(
                "auth_basic a; auth_basic_user_file f; \
                 location /.well-known/acme-challenge/ { auth_basic off; root /x; }",
            ),
        ),
        (
            "W338",
            &server("allow 10.0.0.1; deny all; location ^~ /.well-known/acme-challenge { root /x; }"),
            &server("allow 10.0.0.1; deny all; location ^~ /.well-known/acme-challenge { allow all; root /x; }"),
        ),
    ]);
}

#[test]
fn clients_of_the_other_family_are_found() {
    let both = |lines: &str| format!("http {{ server {{ listen 80; listen [::]:80; server_name a.test; {lines} }} }}");
    check_in(
        both,
        &[
            ("W340", "deny 0.0.0.0/0;", "deny all;"),
            ("W340", "allow 10.0.0.1; deny 0.0.0.0/0;", "allow 10.0.0.1; deny 0.0.0.0/0; deny ::/0;"),
        ],
    );
    check_in(server, &[("W340", "deny ::/0;", "deny 0.0.0.0/0;")]);
    let beside = |lines: &str| {
        format!(
            "http {{ server {{ listen 80 default_server; listen [::]:80 default_server; server_name _; return 444; }} \
             server {{ {lines} server_name a.test; root /w; }} }}"
        )
    };
    check_in(
        beside,
        &[
            ("W339", "listen 80;", "listen 80; listen [::]:80;"),
            ("W339", "listen *:80;", "listen 127.0.0.1:80;"),
            ("W339", "listen 0.0.0.0:80;", "listen 8080;"),
        ],
    );
}

#[test]
fn links_and_uploads_that_never_work_are_found() {
    let link = |lines: &str| {
        server(&format!(
            "location /l/ {{ secure_link {lines}; secure_link_md5 \"$secure_link_expires$uri s\"; \
             if ($secure_link = \"\") {{ return 403; }} if ($secure_link = \"0\") {{ return 410; }} }}"
        ))
    };
    check_in(link, &[("W341", "$arg_md5", "$arg_md5,$arg_e")]);
    let area = |lines: &str| server(&format!("location /u/ {{ deny all; {lines} }}"));
    check_in(
        area,
        &[
            (
                "W233",
                "allowed_methods GET POST; upload_min_free 100%;",
                "allowed_methods GET POST; upload_min_free 10%;",
            ),
            (
                "W234",
                "allowed_methods GET PUT; upload_resumable tus;",
                "allowed_methods GET POST; upload_resumable tus;",
            ),
            ("W234", "allowed_methods GET; upload_resumable on;", "allowed_methods GET PUT; upload_resumable on;"),
        ],
    );
    check_in(
        server,
        &[
            (
                "W207",
                "location /u/ { auth_basic a; auth_basic_user_file f; allowed_methods GET DELETE; \
                 delete_trash /w/u/t shown; } location /p/ { alias /w/u/; }",
                "location /u/ { auth_basic a; auth_basic_user_file f; allowed_methods GET DELETE; \
                 delete_trash /w/u/t; } location /p/ { alias /w/u/; }",
            ),
            (
                "W139",
                "location /l/ { alias /srv/l/; signed_link /srv/l/keys; }",
                "location /l/ { alias /srv/l/; signed_link /srv/keys; }",
            ),
        ],
    );
}

#[test]
fn scripts_whose_source_is_sent_are_found() {
    let before = |lines: &str| server(&format!("location ~* {lines} {PHP}"));
    for (lines, is_sent) in [
        ("\\.(css|php)$ { expires 30d; }", true),
        ("\\.(css|phtml)$ { expires 30d; }", false),
        ("\\.(css|php)$ { return 404; }", false),
        ("^/app/.*\\.php$ { expires 30d; }", false),
    ] {
        let found = super::codes(&before(lines));
        assert_eq!(found.contains(&"W179".to_owned()), is_sent, "{lines}: {found:?}");
    }
}

#[test]
fn protection_that_lets_everyone_in_is_found() {
    let off = "{ auth_basic off; }";
    let asked = |lines: &str| server(&format!("auth_basic a; auth_basic_user_file f; {lines}"));
    check(&[
        ("W344", &asked(&format!("location / {off}")), &asked(&format!("location /css/ {off}"))),
        (
            "W344",
            &asked(&format!("location ^~ / {off} location /css/ {off}")),
            &asked(&format!("location / {off} location /a/ {{ index x; }}")),
        ),
        (
            "W205",
            &server("location = /s { stub_status; allow all; }"),
            &server("location = /s { stub_status; allow 10.0.0.1; deny all; }"),
        ),
    ]);
}
