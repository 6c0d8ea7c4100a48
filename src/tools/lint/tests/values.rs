//! Values and texts that are sent or logged otherwise than meant, beside the ones that are as meant.

use super::twins::check;
use super::unlike;

#[test]
fn a_header_that_browsers_ignore_is_found() {
    let line = |name: &str, value: &str| format!("add_header {name} \"{value}\";");
    let mut wrong = Vec::new();
    for (name, bad, good) in [
        ("X-Frame-Options", "ALLOWALL", "SAMEORIGIN"),
        ("X-Frame-Options", "ALLOW-FROM https://a.test", "deny"),
        ("X-Content-Type-Options", "on", "nosniff"),
        ("Strict-Transport-Security", "includeSubDomains", ""),
        ("Strict-Transport-Security", "max-age: 31536000", "max-age=31536000; includeSubDomains"),
        ("Referrer-Policy", "none", "no-referrer, strict-origin-when-cross-origin"),
        ("Content-Security-Policy", "default-src self", "default-src 'self' self.example.org"),
        ("Content-Security-Policy", "img-src *; script-src 'self' unsafe-inline", "upgrade-insecure-requests"),
        ("Content-Security-Policy", "script-src nonce-abc", "script-src 'nonce-abc'"),
        ("Access-Control-Allow-Origin", "https://a.test, https://b.test", "*"),
        ("Access-Control-Allow-Origin", "https://*.a.test", "$origin"),
        ("Access-Control-Allow-Origin", "https://a.test/", "https://a.test:8443"),
        ("Access-Control-Allow-Origin", "a.test", "http://localhost:3000"),
        ("Access-Control-Max-Age", "1d", "86400"),
        ("Permissions-Policy", "geolocation 'none'", "geolocation=()"),
        ("Cache-Control", "public, max-age: 3600", "public, max-age=3600"),
        ("Cache-Control", "max-age=1d", "no-store"),
    ] {
        wrong.extend(unlike(&line(name, bad), &["W156"]));
        wrong.extend(unlike(&line(name, good), &[]));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_media_type_that_does_not_fit_is_found() {
    check(&[
        ("W073", "default_type html;", "default_type text/html;"),
        ("W073", "default_type octet-stream;", "default_type \"\";"),
        ("W073", "types { text/html html; text/plain; }", "types { text/html html; text/plain txt; }"),
        (
            "W074",
            "types { text/html html; } server { location /d/ { types { text/plain log; } } }",
            "types { text/html html; } server { location /d/ { types { } default_type text/plain; } }",
        ),
        (
            "W074",
            "types { text/html html; } server { location /d/ { types { text/plain log; } } }",
            r"types { text/html html; } server { location ~ \.log$ { types { text/plain log; } } }",
        ),
        (
            "W074",
            "types { text/html html; } server { location /d/ { types { text/plain log; } } }",
            "types { text/html html; } server { location /d/ { alias /srv/logs/; types { text/plain log; } } }",
        ),
        (
            "W075",
            "location /a { return 200 '{\"ok\":1}'; }",
            "location /a { default_type application/json; return 200 '{\"ok\":1}'; }",
        ),
        ("W075", "location /a { return 404 '<h1>no</h1>'; }", "location = /a.html { return 404 '<h1>no</h1>'; }"),
        ("W075", "default_type text/html; location /a { return 200 '[]'; }", "location /a { return 200 '<- back'; }"),
    ]);
}

#[test]
fn a_log_that_no_program_can_read_or_that_holds_secrets_is_found() {
    check(&[
        (
            "W076",
            "log_format a '{\"uri\":\"$request_uri\"}'; access_log /a a;",
            "log_format a escape=json '{\"uri\":\"$request_uri\"}'; access_log /a a;",
        ),
        ("W076", "log_format a '{' '\"a\":\"$uri\",' '\"b\":1}';", "log_format a '{$uri}';"),
        ("W157", "log_format a '$remote_addr $http_authorization';", "log_format a '$remote_addr $remote_user';"),
        ("W157", "log_format a '$http_cookie';", "log_format a '$cookie_lang';"),
    ]);
    let format = "log_format main '$remote_addr';";
    let server = |line: &str| format!("http {{ {format} server {{ {line} }} }}");
    assert_eq!(unlike(&server(""), &["W026"]), None);
    assert_eq!(unlike(&server("access_log /a main buffer=4k;"), &[]), None);
    // Without a server the file is a part, and the others may use the format.
    assert_eq!(unlike(&format!("http {{ {format} }}"), &["W212"]), None);
}

#[test]
fn a_regex_with_more_behind_its_end_is_found() {
    check(&[
        ("W072", r"rewrite ^/a$, /b last;", r"rewrite ^/a$ /b last;"),
        ("W072", r"location ~ ^/a$/b { }", r"location ~ ^/(a|b$)/ { }"),
        ("W072", r"if ($uri ~ /a^b) { return 403; }", r"if ($uri ~ /[a^b]) { return 403; }"),
        ("W072", r"rewrite ^/a$\.php$ /b;", r"location ~ ^/a\$b { }"),
        ("W072", r"if ($uri ~ ^/a$b) { return 403; }", r"if ($uri ~ ^/[]$a]) { return 403; }"),
        ("W072", r"location ~ ^/[[:alpha:]_]$a { }", r"location ~ [[:alpha:]_$a] { }"),
        ("W072", r"location ~ ^/[[:a]$b { }", r"location ~ [[:^digit:][:upper:]$a] { }"),
        ("W072", r"map $uri $x { ~*^/a$b 1; }", r"map $uri $x { ~*^/a$ 1; /a$b 1; }"),
        ("W072", r"map $uri $x { ~^/a$ 1; ~a^b 1; }", r"map $uri $x { ~a\^b 1; }"),
        (
            "W072",
            r"valid_referers ~a\.test$/; if ($invalid_referer) { return 403; }",
            r"valid_referers ~a\.test/; if ($invalid_referer) { return 403; }",
        ),
        ("W072", r"server_name ~^a\.test$ ~^b\.test$x$;", r"server_name ~^a\.test$ ~^b\.test$;"),
    ]);
}

#[test]
fn a_target_that_leads_elsewhere_is_found() {
    check(&[
        ("W077", "location / { return 301 www.a.test; }", "location / { return 301 index.html; }"),
        ("W077", "location / { return 302 https:/a.test/; }", "location / { return 302 https://a.test/; }"),
        ("W077", "location / { return 301 http:a.test; }", "location /b { return 301 /a.test; }"),
        (
            "W078",
            "location / { return 301 https://a.test/$request_uri; }",
            "location / { return 301 https://a.test$request_uri; }",
        ),
        (
            "W078",
            "location / { proxy_pass http://127.0.0.1:1/$request_uri; }",
            "location / { proxy_pass http://127.0.0.1:1/a$request_uri; }",
        ),
        ("W079", "location / { return 404 https://a.test/; }", "location / { return 200 https://a.test/; }"),
        ("W080", "proxy_set_header X-Forwaded-For $remote_addr;", "proxy_set_header X-Forwarded-For $remote_addr;"),
        ("W080", "proxy_set_header X_Real_IP $remote_addr;", "proxy_set_header X-Site-Name $host;"),
        (
            "W081",
            "http { server { location /a { uwsgi_pass 127.0.0.1:1; } } }",
            "http { uwsgi_param A b; server { location /a { uwsgi_pass 127.0.0.1:1; } } }",
        ),
        ("W082", r"location ~ \.(JPG|PNG)$ { expires 1d; }", r"location ~* \.(JPG|PNG)$ { expires 1d; }"),
        ("W013", "location / { try_files $uri$uri/ =404; }", "location / { try_files $uri $uri/ =404; }"),
        ("W016", "map $host $x { Default 1; a 2; }", "map $host $x { default 1; a 2; }"),
        ("W016", "map $host $x { default 1; a.test/ 2; }", "map $host$uri $x { default 1; a.test/ 2; }"),
        ("W051", "http { server { gzip_comp_level 5; } }", "http { gzip on; server { gzip_comp_level 5; } }"),
        (
            "W014",
            "fastcgi_param SCRIPT_FILENAME /srv/fastcgi_script_name;",
            "fastcgi_param SCRIPT_FILENAME /srv/index.php;",
        ),
    ]);
}

#[test]
fn one_mistake_has_one_warning() {
    assert_eq!(unlike("location / { rewrite ^http://a.test/(.*)$ /$1; }", &["W031"]), None);
    assert_eq!(unlike("auth_basic Off;", &["W019"]), None);
}

#[test]
fn arguments_hosts_and_times_that_are_written_otherwise_than_meant_are_found() {
    check(&[
        ("W016", "map $uri $a { /health* 0; default 1; }", "map $uri $a { ~^/health 0; default 1; }"),
        (
            "W347",
            "if ($request_method !~ ^(GET|POST)$) { return 405; }",
            "if ($request_method !~ ^(GET|HEAD|POST)$) { return 405; }",
        ),
        ("W036", "proxy_connect_timeout 3000;", "proxy_connect_timeout 3600;"),
        (
            "W039",
            "expires 1d; add_header Cache-Control max-age=60;",
            "expires 1d; add_header Cache-Control max-age=86400;",
        ),
        (
            "W088",
            "server { location / { expires 30d; try_files $uri /i.html; } }",
            "server { location / { expires 30d; try_files $uri /i.html; } location = /i.html { expires -1; } }",
        ),
        (
            "W144",
            "location / { rewrite ^/(.*)$ https://$1/ permanent; }",
            r"if ($host ~ ^www\.(a\.test)$) { return 301 https://$1$request_uri; }",
        ),
        ("W345", "location / { try_files $uri /i.html$args; }", "location / { try_files $uri /i.html?a=$args; }"),
        ("W345", "return 301 https://a.test/x$query_string;", "return 301 https://a.test/x$is_args$args;"),
        (
            "W346",
            "location / { proxy_pass http://unix:run/a.sock; }",
            "location / { proxy_pass http://unix:/run/a.sock; }",
        ),
    ]);
}

#[test]
fn an_if_that_only_adds_headers_takes_nothing_away() {
    let add = "if ($arg_a) { add_header A a; }";
    let server = |inside: &str| format!("location / {{ {add} {inside} }}");
    let mut wrong = Vec::new();
    wrong.extend(unlike(&server("return 200 a;"), &[]));
    wrong.extend(unlike(&server("if ($arg_b) { add_header B b; }"), &["W007", "W007"]));
    wrong.extend(unlike(&server("try_files $uri =404;"), &["W007"]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
