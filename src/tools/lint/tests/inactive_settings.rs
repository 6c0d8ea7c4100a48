//! Lines that do nothing, or open what is meant to be closed, each beside its harmless twin.

use super::codes;
use super::twins::{PHP, check, check_in, tls};

fn server(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; root /w; {lines} }} }}")
}

#[test]
fn a_setting_of_what_is_not_turned_on_is_found() {
    check_in(
        server,
        &[
            ("W312", "location /d/ { limit_rate_after 1m; }", "location /d/ { limit_rate_after 1m; limit_rate 9k; }"),
            ("W312", "limit_rate_after 1m;", "limit_rate_after 1m; location /d/ { limit_rate 9k; }"),
            ("W312", "limit_rate_after 1m;", "set $limit_rate 9k; limit_rate_after 1m;"),
            (
                "W312",
                "location /d/ { deny all; dav_methods PUT; delete_trash t; }",
                "location /d/ { deny all; dav_methods PUT DELETE; delete_trash t; }",
            ),
            ("W312", "location /d/ { min_delete_depth 2; }", "location /d/ { delete_trash off; }"),
            ("W312", "autoindex_format json;", "autoindex_format json; location /d/ { autoindex on; }"),
            ("W312", "cgi_env A b;", "cgi_env A b; location /c/ { cgi_extension .py /usr/bin/python3; }"),
            (
                "W312",
                "proxy_ssl_trusted_certificate c.pem;",
                "proxy_ssl_verify off; proxy_ssl_trusted_certificate c.pem;",
            ),
            ("W312", "limit_req_status 429;", "include limits; limit_req_status 429;"),
            (
                "W312",
                "limit_conn_status 429;",
                "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; proxy_intercept_errors on; }",
            ),
            ("W312", "auth_request_set $a $upstream_http_a;", "auth_delay 1s; auth_basic off;"),
        ],
    );
    check_in(tls, &[("W312", "ssl_client_certificate c.pem;", "ssl_client_certificate c.pem; ssl_verify_client on;")]);
    let zone = |lines: &str| {
        format!(
            "http {{ limit_req_zone $binary_remote_addr zone=a:1m rate=9r/s; server {{ listen 127.0.0.1:80; {lines} }} }}"
        )
    };
    check_in_zone(&zone, "limit_req zone=a nodelay;", "limit_req zone=a burst=5 nodelay;");
    check_in_zone(&zone, "limit_req zone=a delay=3;", "limit_req zone=a;");
}

fn check_in_zone(around: &dyn Fn(&str) -> String, bad: &str, good: &str) {
    check(&[("W314", &around(bad), &around(good))]);
}

#[test]
fn tests_with_one_outcome_are_found() {
    check_in(
        server,
        &[
            ("W010", "if (!-f $uri) { return 404; }", "if (!-f $document_root$uri) { return 404; }"),
            ("W010", "if (-e $request_uri.html) { return 404; }", "if (-e $uri_of_mine) { return 404; }"),
            (
                "W313",
                "if ($http_user_agent ~* (curl|wget|)) { return 403; }",
                "if ($http_user_agent ~* (curl|wget)) { return 403; }",
            ),
            ("W313", "location ~ /(a|b|) { }", "location ~ ^/(a|b|)$ { }"),
            (
                "W068",
                "if ($http_user_agent = Googlebot) { return 403; }",
                "if ($http_user_agent = my-bot) { return 403; }",
            ),
        ],
    );
    check(&[
        (
            "W313",
            "http { map $http_user_agent $b { default 0; ~*(curl|) 1; } server { if ($b) { return 403; } } }",
            "http { map $http_user_agent $b { default 0; ~*(curl) 1; } server { if ($b) { return 403; } } }",
        ),
        (
            "W067",
            "map $http_user_agent $b { default 0; curl 1; } server { if ($b) { return 403; } }",
            "map $http_user_agent $b { default 0; our-bot 1; } server { if ($b) { return 403; } }",
        ),
    ]);
}

#[test]
fn files_that_are_handed_out_to_anyone_are_found() {
    let php = |flag: &str| server(&format!("location / {{ rewrite ^/p/([a-z]+)$ /index.php?p=$1 {flag}; }} {PHP}"));
    check(&[("W179", &php("break"), &php("last"))]);
    let app = "location /app/ { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; }";
    let with = |lines: &str| server(&format!("{lines} {app}"));
    check(&[
        (
            "W180",
            &with("location /protected/ { alias /srv/f/; }"),
            &with("location /protected/ { internal; alias /srv/f/; }"),
        ),
        ("W180", &with("location /x-accel/ { alias /srv/f/; }"), &with("location /f/ { alias /srv/f/; }")),
        (
            "W180",
            &with("location /protected/ { alias /srv/f/; }"),
            &with("location /protected/ { if ($cookie_a = '') { return 403; } alias /srv/f/; }"),
        ),
        ("W180", &with("location /internal/ { root /srv; }"), &server("location /internal/ { alias /srv/f/; }")),
    ]);
    let mapped = |inside: &str| {
        server(&format!(
            "location /f/ {{ {inside} alias /srv/f/; }} location / {{ proxy_pass http://127.0.0.1:3000; \
             proxy_set_header Host $host; proxy_set_header X-Accel-Mapping /srv/f/=/f/; }}"
        ))
    };
    check(&[("W180", &mapped(""), &mapped("internal;"))]);
    check_in(
        server,
        &[
            (
                "W181",
                "location /a/ { alias /srv/f/; signed_link /etc/keys; } location /b/ { alias /srv/f/; }",
                "location /a/ { alias /srv/f/; signed_link /etc/keys; } location /b/ { alias /srv/g/; }",
            ),
            (
                "W181",
                "location /a/ { alias /srv/f/; auth_basic a; auth_basic_user_file /u; } location /b/ { alias /srv/f/; }",
                "location /a/ { alias /srv/f/; auth_basic a; auth_basic_user_file /u; dav_methods PUT; } \
                 location /b/ { alias /srv/f/; }",
            ),
            (
                "W181",
                "location /a/ { alias /srv/f/; secure_link $arg_m,$arg_e; secure_link_md5 k$uri; \
                 if ($secure_link = '') { return 403; } if ($secure_link = '0') { return 410; } } \
                 location /b/ { alias /srv/f/; }",
                "location /a/ { alias /srv/f/; secure_link $arg_m,$arg_e; secure_link_md5 k$uri; \
                 if ($secure_link = '') { return 403; } if ($secure_link = '0') { return 410; } }",
            ),
        ],
    );
}

#[test]
fn servers_and_headers_that_are_not_what_they_seem_are_found() {
    let group = |lines: &str| {
        format!(
            "http {{ upstream app {{ server 10.0.0.1:443; }} server {{ listen 127.0.0.1:80; location / {{ \
             proxy_set_header Host $host; proxy_pass https://app; {lines} }} }} }}"
        )
    };
    check(&[
        ("W315", &group("proxy_ssl_verify on;"), &group("proxy_ssl_verify on; proxy_ssl_name a.test;")),
        ("W315", &group("proxy_ssl_verify on;"), &group("proxy_ssl_verify off;")),
        (
            "W315",
            &group("proxy_ssl_verify on;"),
            &group("proxy_ssl_verify on;").replace("server 10.0.0.1:443", "server app:443"),
        ),
    ]);
    let origin = |line: &str| {
        format!(
            "http {{ map $http_origin $cors {{ {line} }} server {{ listen 127.0.0.1:80; add_header \
             Access-Control-Allow-Origin $cors; add_header Access-Control-Allow-Credentials true; add_header Vary Origin; }} }}"
        )
    };
    check(&[("W131", &origin("default $http_origin;"), &origin("default ''; https://b.test $http_origin;"))]);
    check_in(
        server,
        &[
            ("W316", "error_page 404 http://a.test/404.html;", "error_page 404 http://b.test/404.html;"),
            (
                "W316",
                "error_page 404 http://a.test/l;",
                "error_page 401 http://a.test/l; error_page 497 https://$host/l;",
            ),
            ("W316", "error_page 500 502 $scheme://$host/50x.html;", "error_page 500 502 /50x.html;"),
            (
                "W146",
                "location /a/ { proxy_pass http://127.0.0.1:80; proxy_set_header Host $host; }",
                "location /a/ { proxy_pass http://127.0.0.1:80/b/; proxy_set_header Host $host; }",
            ),
            (
                "W148",
                "location = /a/ { auth_basic a; auth_basic_user_file /u; } location / { proxy_pass http://127.0.0.1:3000; }",
                "location = /a/ { deny all; } location / { proxy_pass http://127.0.0.1:3000; }",
            ),
            (
                "W103",
                "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header X-Forwarded-Host $http_host; }",
                "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header X-Forwarded-Host $http_x_forwarded_host; }",
            ),
            (
                "W230",
                "location / { deny all; upload_store /up; upload_filename a.bin; }",
                "location / { deny all; upload_store /up; upload_filename $request_id.bin; }",
            ),
            (
                "W156",
                "add_header Set-Cookie 'a=b; SameSite=None';",
                "add_header Set-Cookie 'a=b; SameSite=None; Secure';",
            ),
            (
                "W156",
                "add_header Content-Security-Policy \"default-src 'self', img-src *\";",
                "add_header Content-Security-Policy \"default-src 'self'; img-src *\";",
            ),
            (
                "W156",
                "add_header Access-Control-Allow-Methods 'GET POST';",
                "add_header Access-Control-Allow-Methods 'GET, POST';",
            ),
        ],
    );
    check_in(
        tls,
        &[(
            "W156",
            "add_header Strict-Transport-Security 'max-age=31536000 includeSubDomains';",
            "add_header Strict-Transport-Security 'max-age=31536000; includeSubDomains';",
        )],
    );
    let types = |inside: &str| {
        format!(
            "http {{ types {{ text/html html; }} {} server {{ listen 127.0.0.1:80; root /w; {} }} }}",
            if inside.is_empty() { "types { application/wasm wasm; }" } else { "" },
            inside
        )
    };
    check(&[("W074", &types("types { application/wasm wasm; }"), &types(""))]);
    let common = "types { text/html html; text/css css; text/javascript js; image/png png; }";
    let added = format!("{common} types {{ application/wasm wasm; }}");
    check(&[("W074", &types("types { application/wasm wasm; }"), &types(&added))]);
}

#[test]
fn error_pages_and_logs_that_do_not_come_are_found() {
    let app = "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; }";
    let with = |lines: &str| server(&format!("{lines} {app}"));
    check(&[
        (
            "W318",
            &with("error_page 502 504 /e.html;"),
            &with("error_page 502 504 /e.html; location = /e.html { internal; }"),
        ),
        ("W318", &with("error_page 503 /e.html;"), &with("error_page 404 /e.html;")),
        (
            "W318",
            &with("error_page 503 /e.html;"),
            &with("location /api/ { proxy_pass http://127.0.0.1:4000; error_page 503 /e.html; }"),
        ),
    ]);
    check_in(
        server,
        &[
            ("W317", "error_page 404 /w/404.html;", "error_page 404 /404.html;"),
            ("W317", "error_page 404 /var/www/404.html;", "error_page 404 /var/e.html; location /var/ { }"),
            ("W317", "error_page 404 /srv/www/404.html;", "error_page 404 /home/404.html;"),
            ("W321", "access_log /l/a; access_log off;", "access_log /l/a; location /s/ { access_log off; }"),
            ("W039", "add_header Cache-Control 'public, no-store';", "add_header Cache-Control 'no-store, max-age=0';"),
            ("W125", "location ~ ^/a/go/?$ { return 301 /a/go/; }", "location ~ ^/a/go$|^/b$ { return 301 /a/go/; }"),
            (
                "W012",
                "location /old/ { return 301 https://b.test$1; }",
                "location /old/ { return 301 https://b.test; }",
            ),
            (
                "W326",
                "location ~* \\.(js|css)$ { try_files $uri /index.html; }",
                "location ~* \\.(js|css)$ { try_files $uri =404; } location / { try_files $uri /index.html; }",
            ),
        ],
    );
}

#[test]
fn what_applications_and_hosts_take_otherwise_is_found() {
    let pass = |lines: &str| server(&format!("location / {{ proxy_pass http://127.0.0.1:3000; {lines} }}"));
    check(&[
        (
            "W323",
            &pass("proxy_set_header Host $host; proxy_set_header host b.test;"),
            &pass("proxy_set_header Host $host; proxy_set_header X-A a; proxy_set_header X-A b;"),
        ),
        ("W325", &pass("proxy_cookie_flags a samesite=none;"), &pass("proxy_cookie_flags a secure samesite=none;")),
    ]);
    let php = |line: &str| {
        server(&format!(
            "location ~ \\.php$ {{ try_files $uri =404; fastcgi_param SCRIPT_FILENAME $document_root$uri; {line} \
             fastcgi_pass 127.0.0.1:9000; }}"
        ))
    };
    check(&[
        ("W320", &php("fastcgi_param HTTPS $scheme;"), &php("fastcgi_param HTTPS $https if_not_empty;")),
        (
            "W143",
            &php("fastcgi_param REMOTE_ADDR $http_x_forwarded_for;"),
            &php("fastcgi_param REMOTE_ADDR $remote_addr;"),
        ),
    ]);
    let upgrade = |lines: &str| {
        format!(
            "http {{ map $http_upgrade $c {{ {lines} }} server {{ listen 127.0.0.1:80; \
                                         location / {{ proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; \
                                         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; }} }} }}"
        )
    };
    check(&[("W319", &upgrade("default upgrade;"), &upgrade("default upgrade; '' close;"))]);
    let hosts = |key: &str| {
        format!(
            "http {{ map $host $w {{ default 0; {key} 1; }} server {{ listen 127.0.0.1:80; if ($w) {{ return 404; }} }} }}"
        )
    };
    check(&[("W322", &hosts("~^WWW"), &hosts("~*^WWW")), ("W322", &hosts("~^WWW"), &hosts("~^www\\W"))]);
    // What else holds a capital letter and may match.
    for good in ["~^a\\x2Db$", "'~^\\p{L}'", "~^\\pL", "'~^(www|WWW)\\.a\\.test$'"] {
        check(&[("W322", &hosts("~^WWW"), &hosts(good))]);
    }
    check_in(
        server,
        &[
            ("W182", "location / { root /srv/$http_x_site; }", "location / { root /srv/$host; }"),
            ("W183", "index index.php index.html;", "index index.html;"),
            ("W183", "index index.php;", "index index.php; location ~ \\.php$ { deny all; }"),
            (
                "W231",
                "location / { upload_quota 1m; upload_max_file_size 2m; client_max_body_size 2m; }",
                "location / { upload_quota 9m; }",
            ),
            ("W232", "dav_ext_methods PROPFIND;", "dav_ext_methods PROPFIND OPTIONS;"),
            ("W036", "limit_rate 500;", "limit_rate 500k;"),
        ],
    );
    check_in(
        tls,
        &[(
            "W096",
            "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; proxy_set_header X-Forwarded-Port 80; }",
            "location / { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; proxy_set_header X-Forwarded-Port 443; }",
        )],
    );
}

#[test]
fn good_configurations_beside_them_are_quiet() {
    let is_loud = |text: &str, code: &str| codes(text).iter().any(|found| found == code);
    let compare = |code: &str, bad: &str, good: &str| {
        assert!(is_loud(bad, code), "{code}: {bad}");
        assert!(!is_loud(good, code), "{code}: {good}");
    };
    let rows = [
        // X-Accel-Limit-Rate sets the rate.
        (
            "W312",
            "location / { limit_rate_after 1m; }",
            "location / { proxy_pass http://127.0.0.1:3000; limit_rate_after 1m; }",
        ),
        // What comes back is a request from outside, for which an internal location is 404.
        (
            "W146",
            "location /i/ { proxy_pass http://127.0.0.1:80; proxy_set_header Host $host; }",
            "location /i/ { internal; proxy_pass http://127.0.0.1:80; proxy_set_header Host $host; }",
        ),
        // One picture, replaced by the next.
        (
            "W230",
            "location / { deny all; upload_store /up; upload_filename a.png; }",
            "location / { deny all; upload_store /up; upload_filename a.png; upload_on_duplicate overwrite; }",
        ),
        // The URI is the path.
        (
            "W317",
            "location / { error_page 404 /var/www/404.html; }",
            "location / { root /; error_page 404 /var/www/404.html; }",
        ),
    ];
    for (code, bad, good) in rows {
        compare(code, &server(bad), &server(good));
    }
    let closed = |text: &str| text.replacen("http {", "http { auth_basic a; auth_basic_user_file /u;", 1);
    let handed = server(
        "location /protected/ { alias /srv/f/; } \
         location / { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; }",
    );
    let opened = server("location /a/ { alias /srv/f/; signed_link /etc/keys; } location /b/ { alias /srv/f/; }");
    compare("W180", &handed, &closed(&handed));
    compare("W181", &opened, &closed(&opened));
}

/// It came once for each of what a location asks.
#[test]
fn an_open_twin_of_a_location_that_asks_twice_is_found_once() {
    let found = |asks: &str| {
        let text = server(&format!("location /a/ {{ alias /srv/f/; {asks} }} location /b/ {{ alias /srv/f/; }}"));
        codes(&text).iter().filter(|code| *code == "W181").count()
    };
    assert_eq!(found("auth_basic a; auth_basic_user_file /u; auth_request /ask;"), 1);
    assert_eq!(found("auth_basic off; auth_request /ask;"), 1);
    assert_eq!(found("auth_basic off;"), 0);
}
