//! What checkers for nginx and collections of its pitfalls warn of, each beside the same lines as they are meant.

mod narrowed;

use super::twins::{PHP, check, check_in, tls};

/// In a server without TLS.
fn plain(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; {lines} }} }}")
}

/// A location that passes requests.
fn passed(lines: &str) -> String {
    plain(&format!("{lines} location / {{ proxy_pass http://127.0.0.1:3000; }}"))
}

#[test]
fn a_refusal_that_another_spelling_of_the_path_passes_is_found() {
    check_in(
        passed,
        &[
            ("W380", "if ($request_uri ~ ^/admin) { return 403; }", "if ($uri ~ ^/admin) { return 403; }"),
            (
                "W380",
                "if ($request_uri ~* \"^/a/\") { return 404; }",
                "if ($request_uri ~ \"\\.\\./\") { return 403; }",
            ),
            ("W380", "if ($request_uri = /secret) { return 403; }", "if ($request_uri = /secret?x) { return 403; }"),
            ("W380", "if ($request_uri !~ ^/public) { return 403; }", "if ($request_uri !~ ^/a) { set $b 1; }"),
            (
                "W383",
                "location /a { limit_except GET { } proxy_pass http://127.0.0.1:1; }",
                "location /a { limit_except GET { deny all; } proxy_pass http://127.0.0.1:1; }",
            ),
        ],
    );
    let map = |subject: &str, key: &str| {
        let server =
            "server { listen 127.0.0.1:80; if ($no) { return 403; } location / { proxy_pass http://127.0.0.1:1; } }";
        format!("http {{ map {subject} $no {{ default 0; {key} 1; }} {server} }}")
    };
    check(&[
        ("W380", &map("$request_uri", "~^/admin"), &map("$uri", "~^/admin")),
        ("W380", &map("$request_uri", "/admin"), &map("$request_uri", "~union.*select")),
    ]);
}

#[test]
fn signs_that_are_letters_here_are_found() {
    check_in(
        plain,
        &[
            (
                "W381",
                "root /w; location / { try_files $uri /a.php&q=$uri; }",
                "root /w; location / { try_files $uri /a.php?q=$uri&$args; }",
            ),
            (
                "W381",
                "root /w; location / { try_files $uri /a.php&is_args$args; }",
                "root /w; location / { try_files $uri /a.php$is_args$args; }",
            ),
            ("W381", "rewrite ^/a/(.*)$ /b&q=$1 break; root /w;", "rewrite ^/a/(.*)$ /b?q=$1 break; root /w;"),
            ("W381", "location = /a { return 302 /b&q=$arg_q; }", "location = /a { return 302 /r&d/; }"),
            (
                "W381",
                "location = /a { return 302 /b&q=1; }",
                "location = /a { return 302 https://b.test$request_uri&q=1; }",
            ),
        ],
    );
    check_in(
        passed,
        &[
            (
                "W384",
                "if ($http_user_agent ~* \"bot | curl\") { return 403; }",
                "if ($http_user_agent ~* \"bot|curl\") { return 403; }",
            ),
            (
                "W384",
                "if ($http_user_agent ~ \"(a | b)\") { return 403; }",
                "if ($http_user_agent ~ \"a b|c d\") { return 403; }",
            ),
            (
                "W022",
                "if ($http_user_agent = \"*bot*\") { return 403; }",
                "if ($http_user_agent ~ bot) { return 403; }",
            ),
            ("W022", "if ($arg_a = 10.*) { return 403; }", "if ($arg_a = *) { return 403; }"),
        ],
    );
    check(&[(
        "W054",
        "http { gzip on; gzip_types *; server { listen 127.0.0.1:80; root /w; } }",
        "http { gzip off; gzip_types *; server { listen 127.0.0.1:80; root /w; } }",
    )]);
}

#[test]
fn pages_with_another_status_than_meant_and_scripts_among_uploads_are_found() {
    check_in(
        plain,
        &[
            ("W382", "root /w; error_page 404 /index.html;", "root /w; error_page 404 /404.html;"),
            ("W382", "root /w; error_page 403 404 /index.html;", "root /w; error_page 404 =200 /index.html;"),
        ],
    );
    let with = |lines: &str| plain(&format!("root /w; {lines} {PHP}"));
    for (bad, good) in [
        ("location /uploads/ { expires 1d; }", "location ^~ /uploads/ { expires 1d; }"),
        (
            "location /wp-content/uploads { }",
            "location ~ ^/wp-content/uploads/.*\\.php { return 403; } location /wp-content/uploads { }",
        ),
        ("location /avatars/ { }", "location /images/ { }"),
    ] {
        check(&[("W385", &with(bad), &with(good))]);
    }
    let sized = |http: &str, lines: &str| {
        format!(
            "http {{ {http} server {{ listen 127.0.0.1:80; location / {{ proxy_pass http://127.0.0.1:1; {lines} }} }} }}"
        )
    };
    check(&[(
        "W386",
        &sized("client_max_body_size 0;", ""),
        &sized("client_max_body_size 10m;", "client_max_body_size 0;"),
    )]);
}

#[test]
fn an_application_that_needs_encoded_slashes_is_found() {
    check_in(
        plain,
        &[
            (
                "W387",
                "location /_matrix/ { proxy_pass http://127.0.0.1:8000/_matrix/; }",
                "location /_matrix/ { proxy_pass http://127.0.0.1:8000; }",
            ),
            (
                "W387",
                "location /couchdb/ { proxy_pass http://127.0.0.1:5984/couchdb/; }",
                "location / { proxy_pass http://127.0.0.1:5984/; }",
            ),
            (
                "W387",
                "location /jenkins/ { proxy_pass http://127.0.0.1:8080/jenkins/; }",
                "location /jenkins/ { proxy_pass http://127.0.0.1:8080/; }",
            ),
        ],
    );
}

#[test]
fn groups_that_no_regex_has_are_found_in_all_directives() {
    check_in(
        plain,
        &[
            (
                "W012",
                "location /a { proxy_pass http://127.0.0.1:80/b/$1?c; }",
                "location ~ /a/(.*)$ { proxy_pass http://127.0.0.1:80/$1?c; }",
            ),
            (
                "W012",
                "location /a { add_header X-A $1; return 204; }",
                "location ~ ^/a(b)$ { add_header X-A $1; return 204; }",
            ),
            (
                "W012",
                "location /a { set $x $1; return 302 /b/$x; }",
                "location ~ ^/a/(b)$ { set $x $1; return 302 /b/$x; }",
            ),
            (
                "W012",
                "root /w; location /a { try_files /b/$1 =404; }",
                "root /w; location ~ ^/a/(.*)$ { try_files /b/$1 =404; }",
            ),
            (
                "W012",
                "location ~ ^/a/ { proxy_set_header X-A $1; proxy_pass http://127.0.0.1:1; }",
                "location ~ ^/(a)/ { proxy_set_header X-A $1; proxy_pass http://127.0.0.1:1; }",
            ),
            (
                "W012",
                "location ~ ^/(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)$ { return 302 /x/$10; }",
                "location ~ ^/(.)(.)$ { return 302 /x/$10; }",
            ),
            ("W153", "location ~ /site(2)(.*) { alias /srv/$2; }", "location ~ ^/(a|b)/(.*)$ { alias /srv/$2; }"),
            ("W153", "location ~ ^/x(2)(.*)$ { alias /srv/$2; }", "location ~ ^/x(2)/(.*)$ { alias /srv/$2; }"),
        ],
    );
}

#[test]
fn headers_of_the_request_that_a_level_drops_are_found() {
    check_in(
        passed,
        &[
            (
                "W134",
                "proxy_set_header X-User \"\"; location /a { proxy_set_header Via b; proxy_pass http://127.0.0.1:1; }",
                "proxy_set_header X-User \"\"; location /a { proxy_set_header X-User \"\"; proxy_pass http://127.0.0.1:1; }",
            ),
            (
                "W134",
                "proxy_set_header X-Remote-User $remote_user; location /a { proxy_set_header Via b; proxy_pass http://127.0.0.1:1; }",
                "proxy_set_header Connection \"\"; location /a { proxy_set_header Via b; proxy_pass http://127.0.0.1:1; }",
            ),
        ],
    );
    let levels = |above: &str| {
        let location = "location / { proxy_pass http://127.0.0.1:1; }";
        format!("http {{ {above} server {{ listen 127.0.0.1:80; proxy_set_header Via b; {location} }} }}")
    };
    check(&[("W134", &levels("proxy_set_header X-Forwarded-Proto $scheme;"), &levels("proxy_set_header Via a;"))]);
}

#[test]
fn answers_given_before_access_is_checked_are_found_across_levels() {
    check_in(
        plain,
        &[
            (
                "W114",
                "allow 10.0.0.0/8; deny all; location / { return 200 secret; }",
                "allow 10.0.0.0/8; deny all; location /health { return 200 ok; }",
            ),
            (
                "W114",
                "location /a { allow 10.0.0.0/8; deny all; rewrite ^/a/(.*)$ /b/$1 permanent; }",
                "location /a { allow 10.0.0.0/8; deny all; rewrite ^/a/(.*)$ /b/$1 permanent; proxy_pass http://127.0.0.1:1; }",
            ),
            (
                "W111",
                "location / { allow 0.0.0.0/0; deny all; proxy_pass http://127.0.0.1:1; }",
                "listen [::1]:80; location / { allow 0.0.0.0/0; deny all; proxy_pass http://127.0.0.1:1; }",
            ),
        ],
    );
    check_in(
        tls,
        &[
            (
                "W105",
                "location / { satisfy all; allow 10.0.0.1; auth_basic a; auth_basic_user_file /f; proxy_pass http://127.0.0.1:1; }",
                "satisfy any; auth_basic a; auth_basic_user_file /f; location / { allow 10.0.0.1; proxy_pass http://127.0.0.1:1; }",
            ),
            (
                "W105",
                "location / { satisfy any; allow 10.0.0.1; proxy_pass http://127.0.0.1:1; }",
                "location / { satisfy any; allow 10.0.0.1; auth_request /c; proxy_pass http://127.0.0.1:1; } \
                 location = /c { internal; proxy_pass http://127.0.0.1:2; }",
            ),
        ],
    );
}

#[test]
fn values_that_come_through_several_variables_are_found() {
    let maps = |first: &str| {
        let second = "map $host $b { a $a; default 1; }";
        let server = "server { listen 127.0.0.1:80; location / { add_header X-A $b; root /w; } }";
        format!("http {{ map $host $a {{ a {first}; default 1; }} {second} {server} }}")
    };
    check(&[("W102", &maps("$uri"), &maps("$request_uri"))]);
    let origin = |value: &str| {
        plain(&format!(
            "set $o {value}; location / {{ add_header Vary Origin; add_header Access-Control-Allow-Origin $o; \
             add_header Access-Control-Allow-Credentials true; proxy_pass http://127.0.0.1:1; }}"
        ))
    };
    check(&[("W131", &origin("$http_origin"), &origin("https://b.test"))]);
    check_in(
        plain,
        &[
            (
                "W087",
                "resolver 10.0.0.1; set $b api.example.com; location / { proxy_pass https://$b; }",
                "resolver 10.0.0.1; set $b api.example.com; location / { proxy_ssl_server_name on; proxy_pass https://$b; }",
            ),
            (
                "W087",
                "location / { proxy_ssl_server_name off; proxy_pass https://api.example.com; }",
                "location / { proxy_ssl_server_name on; proxy_pass https://api.example.com; }",
            ),
            (
                "W101",
                "resolver 10.0.0.1; location ~ ^/p/([\\w.-]+)$ { proxy_pass http://$1; }",
                "resolver 10.0.0.1; location ~ ^/p/([\\w-]+)$ { proxy_pass http://$1.a.internal; }",
            ),
            (
                "W125",
                "if ($http_x_forwarded_proto = \"http\") { return 301 http://$host$request_uri; }",
                "if ($http_x_forwarded_proto = \"http\") { return 301 https://$host$request_uri; }",
            ),
        ],
    );
    let by_network = |rest: &str| {
        let geo = format!("geo $b {{ {rest} 10.0.0.0/8 127.0.0.1:1; }}");
        format!("http {{ {geo} server {{ listen 127.0.0.1:80; location / {{ proxy_pass http://$b; }} }} }}")
    };
    check(&[("W140", &by_network(""), &by_network("default 127.0.0.1:2;"))]);
}

#[test]
fn hosts_that_a_regex_for_origins_lets_through_are_found() {
    let asked = |name: &str, regex: &str| passed(&format!("if ($http_{name} !~ \"{regex}\") {{ return 403; }}"));
    for (code, name, bad, good) in [
        ("W107", "origin", "^a\\.test$", "^https://a\\.test$"),
        ("W107", "origin", "^https://exa.+ple\\.org$", "^https://dev-.+\\.example\\.org$"),
    ] {
        check(&[(code, &asked(name, bad), &asked(name, good))]);
    }
}

#[test]
fn what_is_said_to_everyone_or_lost_is_found() {
    check_in(
        passed,
        &[
            ("W388", "if ($arg_token != s3cret) { return 403; }", "if ($http_x_token != s3cret) { return 403; }"),
            ("W388", "if ($arg_api_key != \"a\") { return 401; }", "if ($arg_page != a) { return 404; }"),
            ("W068", "if ($invalid_referer = 0) { return 403; }", "if ($arg_a = 0) { return 403; }"),
            ("W047", "keepalive_timeout 0;", "keepalive_timeout 20s;"),
        ],
    );
    check_in(
        plain,
        &[
            ("W389", "return 301 https://a.test;", "return 301 https://a.test$request_uri;"),
            ("W389", "return 301 https://www.a.test/;", "return 301 https://b.test/;"),
            ("W389", "location / { return 302 https://$host; }", "location = /x { return 302 https://$host; }"),
            (
                "W392",
                "root /w; location /uploads/ { default_type text/html; }",
                "root /w; location /pages/ { default_type text/html; }",
            ),
            (
                "W353",
                "root /srv/www; location / { try_files $uri /srv/www/index.html; }",
                "root /srv/www; location / { try_files $uri /srv/index.html; }",
            ),
            (
                "W097",
                "error_page 404 /404.html; location / { proxy_pass http://127.0.0.1:1; } location = /404.html { root /w; }",
                "error_page 404 /404.html; proxy_intercept_errors on; location / { proxy_pass http://127.0.0.1:1; } \
                 location = /404.html { root /w; }",
            ),
            (
                "W097",
                "error_page 404 /404.html; location / { proxy_pass http://127.0.0.1:1; } location = /404.html { root /w; }",
                "error_page 404 /404.html; location / { proxy_pass http://127.0.0.1:1; } location /404.html { root /w; }",
            ),
            (
                "W327",
                "location / { proxy_pass http://127.0.0.1:1; proxy_buffering on; add_header X-Accel-Buffering no; }",
                "location / { proxy_pass http://127.0.0.1:1; proxy_buffering off; add_header X-Accel-Buffering no; }",
            ),
        ],
    );
    let asked = |table: &str| {
        format!(
            "http {{ {table} server {{ listen 127.0.0.1:80; if ($no) {{ return 403; }} \
             location / {{ proxy_pass http://127.0.0.1:1; }} }} }}"
        )
    };
    check(&[(
        "W391",
        &asked("geo $no { default 1; 203.0.113.0/24 1; }"),
        &asked("geo $no { default 0; 203.0.113.0/24 1; }"),
    )]);
    let listing = |lines: &str| format!("http {{ server {{ listen 80; root /w; {lines} }} }}");
    for (bad, good) in [
        ("location /backup/ { autoindex on; }", "location /backup/ { autoindex on; allow 10.0.0.0/8; deny all; }"),
        ("location ^~ /a/logs { autoindex on; }", "location /files/ { autoindex on; }"),
    ] {
        check(&[("W390", &listing(bad), &listing(good))]);
    }
}
