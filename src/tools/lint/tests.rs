//! For each rule, a configuration that it warns about and one that it does not.

use super::*;
use crate::config::load::{LoadOptions, Loaded, load_text};

mod advice;
mod directions;
mod files;
mod followed;
mod growth;
mod growth_by_chance;
mod harmless;
mod inactive_settings;
mod kinds;
mod reached;
mod recipes;
mod replaced;
mod twins;
mod values;

pub fn codes(text: &str) -> Vec<String> {
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let code = |d: &Diagnostic| d.code.unwrap_or_default().to_owned();
    let found = lint(&loaded.directives, &loaded.sources, None).iter().map(code).collect();
    let by_all: Vec<_> =
        by(&Index::unsorted(rules()), &loaded.directives, &loaded.sources, None).iter().map(code).collect();
    assert_eq!(found, by_all, "a rule finds something at a directive that it is not about: {text}");
    found
}

/// The text with its codes, if they differ from `expected`.
pub fn unlike(text: &str, expected: &[&str]) -> Option<String> {
    let found = codes(text);
    (found != expected).then(|| format!("{text}: {found:?}"))
}

#[test]
fn each_rule_warns_where_it_should_and_is_silent_where_not() {
    let mut wrong = Vec::new();
    for (code, bad, good) in [
        ("W031", "rewrite ^old/(.*)$ /new/$1;", "rewrite ^/old/(.*)$ /new/$1;"),
        ("W031", r"rewrite ^http://a.test/(.*)$ /$1;", r"rewrite ^(a|/b)/(.*)$ /$1;"),
        ("W031", r"location ~ \.php\?id= { }", r"location ~ \.php(\?|$) { }"),
        ("W031", "location /my%20files/ { }", "location \"/my files/\" { }"),
        ("W031", "location //admin { }", "merge_slashes on; location //admin { }"),
        ("W032", "location / { try_files $uri $uri/; }", "location / { try_files $uri $uri/ =404; }"),
        ("W032", "location / { try_files $uri http://a; }", "location / { try_files $uri @a; } location @a { }"),
        ("W033", "error_page 404 404.html;", "error_page 404 https://a.test/404.html;"),
        ("W034", "if ($status = 404) { return 403; }", "error_page 404 /x; if ($status = 404) { return 403; }"),
        ("W035", "error_log logs/$host.log;", "error_log logs/a.log;"),
        ("W035", "add_header X-$host a;", "add_header X-A $host;"),
        ("W036", "client_max_body_size 10;", "client_max_body_size 10m;"),
        ("W037", "location / { return 403; root /srv; }", "location / { if ($arg_a) { return 403; } root /srv; }"),
        ("W038", "listen [::]:8080;", "listen 8080; listen [::]:8080;"),
        ("W038", "listen [::]:8080;", "listen [::]:8080 ipv6only=off;"),
        ("W039", "expires 1y; add_header Cache-Control no-store;", "expires off; add_header Cache-Control no-store;"),
        ("W103", "proxy_set_header Host $cookie_site.test;", "proxy_set_header Host $host:$server_port;"),
        ("W104", "add_trailer A a; location / { add_trailer B b; }", "add_trailer A a; location / { add_header B b; }"),
        (
            "W105",
            "location / { satisfy any; allow 10.0.0.1; }",
            "location / { satisfy any; allow 10.0.0.1; deny all; }",
        ),
        ("W116", r"server_name ~^www\.a;", r"server_name ~^www\.;"),
        (
            "W107",
            r"if ($http_origin !~ ^https://a\.test) { return 403; }",
            r"if ($http_referer !~ ^https:\/\/a\.test\/) { return 403; }",
        ),
        ("W101", "location / { proxy_pass $arg_scheme://a.test; }", "location / { proxy_pass $scheme://a.test; }"),
        (
            "W102",
            "location ~ ^/(?<p>[^.]+)$ { set $q $p; add_header X-P $q; }",
            "location ~ ^/(?<p>[a-z]+)$ { set $q $p; add_header X-P $q; }",
        ),
        (
            "W125",
            "listen 8080; server_name a.test; return 301 http://a.test:8080$request_uri;",
            "listen 8080; server_name a.test; return 301 http://a.test:8081$request_uri;",
        ),
        (
            "W138",
            r"root /w; location /a/ { auth_basic x; auth_basic_user_file /f; } location ~ \.php$ { fastcgi_pass a; }",
            r"root /w; location ^~ /a/ { auth_basic x; auth_basic_user_file /f; } location ~ \.php$ { fastcgi_pass a; }",
        ),
        (
            "W138",
            r"root /w; location /a/ { allow 10.0.0.1; deny all; } location ~ ^/(.+)\.html$ { }",
            r"root /w; location /a/ { allow 10.0.0.1; deny all; } location ~ \.(css|js)$ { }",
        ),
        (
            "W139",
            "root /w; auth_basic x; auth_basic_user_file /w/.htpasswd;",
            r"root /w; auth_basic x; auth_basic_user_file /w/.htpasswd; location ~ /\. { deny all; }",
        ),
        ("W139", "root /w; access_log /w/logs/a.log;", "location /d/ { root /w; access_log /w/logs/a.log; }"),
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
        ("W054", "gzip on; gzip_types text/css image/png;", "gzip on; gzip_types text/css image/svg+xml;"),
        ("W054", "gzip on; gzip_types video/mp4;", "gzip off; gzip_types video/mp4;"),
        (
            "W055",
            "limit_conn_zone $connection zone=a:1m; limit_conn a 1;",
            "limit_conn_zone $host zone=a:1m; limit_conn a 1;",
        ),
        ("W056", "map $uri $a { a b; } map $host $a { a b; }", "map $uri $a { a b; } map $host $b { a b; }"),
        (
            "W149",
            "add_header Strict-Transport-Security max-age=60;",
            "add_header Strict-Transport-Security max-age=31536000;",
        ),
        (
            "W150",
            "proxy_cache a; proxy_ignore_headers Set-Cookie;",
            "proxy_cache a; proxy_ignore_headers Set-Cookie; proxy_hide_header Set-Cookie;",
        ),
        ("W151", "access_log logs/$http_host.log;", "access_log logs/$server_name.log;"),
        (
            "W049",
            "location / { auth_request auth; }",
            "location / { auth_request /auth; } location = /auth { proxy_pass http://a; }",
        ),
        ("W125", "return 301 $scheme://$host$request_uri;", "return 301 $scheme://www.$host$request_uri;"),
        ("W125", "location / { return 302 $request_uri; }", "location / { if ($arg_a) { return 302 $request_uri; } }"),
        ("W013", "try_files $uri index.php;", "try_files $uri /index.php;"),
        ("W013", "try_files \"$uri $uri/\" =404;", "try_files \"$uri\" $uri/ =404;"),
        ("W002", "server_name ${DOMAIN_NAME;", "server_name a.test;"),
        ("W044", "charset utf-8,gbk;", "charset utf-8;"),
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
        ("W022", "if ($request_uri = \"^/admin\") { return 403; }", "if ($uri ~ \"^/admin\") { return 403; }"),
        ("W022", "if ($host != www\\.a\\.test) { return 403; }", "if ($host != www.a.test) { return 403; }"),
        ("W023", "location /i/ { alias /srv/i; }", "location /i/ { alias /srv/i.txt; }"),
        ("W024", "listen 8443; ssl_certificate c;", "listen 8443 ssl; ssl_certificate c;"),
        ("W024", "listen 80; acme_certificate default;", "listen 443 ssl; listen 80; acme_certificate default;"),
        ("W106", r"server_name ~^www.a\.test$;", r"server_name ~^www\.a\.test$;"),
        ("W126", "location /a/ { proxy_pass http://b/c; }", "location /a/ { proxy_pass http://b/c.php; }"),
        (
            "W126",
            "location /a/ { proxy_pass http://unix:/run/b:/c; }",
            "location /a/ { proxy_pass http://unix:/run/gunicorn/socket; }",
        ),
        ("W126", "location /a { proxy_pass http://unix:/run/b:/; }", "location /a { proxy_pass http://unix:/run/b/; }"),
        ("W133", "limit_req_zone $http_x_forwarded_for zone=a:1m;", "limit_req_zone $http_x_api_key zone=a:1m;"),
        ("W135", "ssl_ciphers HIGH:RC4-MD5:!aNULL;", "ssl_ciphers HIGH:DES-CBC3-SHA:RC4+RSA:!aNULL:!MD5:!RC4;"),
        (
            "W136",
            "listen 80; add_header Strict-Transport-Security max-age=31536000; return 301 https://a.test/;",
            "listen 80; listen 443 ssl; add_header Strict-Transport-Security max-age=31536000;",
        ),
        ("W137", "error_page 404 =200 /404.html;", "error_page 404 =200 /index.html; error_page 404 /404.html;"),
        ("W029", "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Upgrade \"\";"),
        (
            "W029",
            "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"\";",
            "proxy_set_header Connection $c; proxy_set_header Upgrade $http_upgrade;",
        ),
        ("W002", "listen 80; server_name _ default_server;", "listen 80 default_server; server_name _ default_server;"),
        ("W002", "listen 80; server_name default_server;", "server_name _ default_server;"),
        ("W002", "server_name a.test.;", "server_name .a.test a.*;"),
        ("W014", "return 301 https://$host/request_uri;", "return 301 https://$host/request_uri/;"),
        ("W106", "location ~ /.git { }", r"location ~ /\.git { } location ~ ^/.+/.*x { }"),
        ("W106", "location ~ ^/wp-config.php { }", r"location ~ ^/wp-config\.php$ { } location ~ /v1.0/[a.b] { }"),
        (
            "W124",
            "location /c/ { alias /etc/; }",
            "location /c/ { alias /etc/; auth_basic x; } auth_basic_user_file f;",
        ),
        ("W124", "root /root;", "root /etc/site/www;"),
        ("W114", "location / { deny all; return 200; }", "location / { deny all; root /x; }"),
        (
            "W115",
            "valid_referers none *.a.test; if ($invalid_referer) { return 403; }",
            "valid_referers *.a.test; if ($invalid_referer) { return 403; }",
        ),
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
            r"location ~ ^/([^/]*)/$ { proxy_pass http://a/$1$is_args$args; }",
            "location ~ ^/([a-z]*)/$ { proxy_pass http://a/$1$is_args$args; }",
        ),
        ("W122", "location ~ ^/a/ { alias /x/; }", "location ~ ^/a/(.*)$ { alias /x/$1; }"),
        ("W205", "location /s { stub_status; }", "location /s { stub_status; allow 127.0.0.1; deny all; }"),
        ("W205", "location /s/ { api /s/; }", "location /s/ { api /s/; allow 127.0.0.1; deny all; }"),
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
        ("W201", "location /u/ { dav_methods PUT; }", "location /u/ { dav_methods PUT; deny all; signed_link off; }"),
        (
            "W201",
            "location /u/ { dav_methods PUT; signed_link off; }",
            "location /u/ { dav_methods PUT; signed_link k; }",
        ),
        (
            "W202",
            "location /u/ { dav_methods PUT; deny all; } location ~ \\.php$ { fastcgi_pass unix:/x; }",
            "location ^~ /u/ { dav_methods PUT; deny all; } location ~ \\.php$ { fastcgi_pass unix:/x; }",
        ),
    ] {
        assert!(explain(code).is_some(), "{code} has a page");
        wrong.extend(unlike(&format!("server {{ {bad} }}"), &[code]));
        wrong.extend(unlike(&format!("server {{ {good} }}"), &[]));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn one_socket_is_known_however_its_address_is_written() {
    for (text, expected) in [
        ("server { listen *:8443 ssl; } server { listen 8443; ssl_certificate c; }", &[][..]),
        ("server { listen 8443-8450 ssl; } server { listen 0.0.0.0:8444; ssl_certificate c; }", &[]),
        ("server { listen 127.0.0.1:8443 ssl; } server { listen 8443; ssl_certificate c; }", &["W024"]),
        ("server { listen [::]:8443 ssl; } server { listen 8443; ssl_certificate c; }", &["W038", "W024"]),
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
fn names_and_upstreams_of_http_warn_where_they_have_no_effect() {
    let mut wrong = Vec::new();
    let upstream = "upstream a { keepalive 4; server b; }";
    let hsts = "add_header Strict-Transport-Security max-age=31536000;";
    let pass = "location / { proxy_pass http://a; }";
    for (code, bad, good) in [
        ("W026", "limit_req_zone $host zone=a:1m rate=1r/s; server { }".to_owned(), {
            "limit_req_zone $host zone=a:1m rate=1r/s; server { location / { limit_req zone=a burst=5; } }".to_owned()
        }),
        ("W026", "limit_conn_zone $host zone=a:1m; server { limit_req zone=a; }".to_owned(), {
            "limit_conn_zone $host zone=a:1m; limit_conn a 5; server { }".to_owned()
        }),
        ("W026", "proxy_cache_path /x keys_zone=a:1m; server { }".to_owned(), {
            "proxy_cache_path /x keys_zone=a:1m; server { proxy_cache a; }".to_owned()
        }),
        ("W026", "upstream a { server a; } server { location /a { } }".to_owned(), "server { }".to_owned()),
        ("W026", format!("{upstream} server {{ server_name a; }}"), format!("{upstream} server {{ {pass} }}")),
        (
            "W026",
            format!("{upstream} server {{ location / {{ proxy_pass http://b; }} }}"),
            format!("{upstream} server {{ location / {{ proxy_pass http://$b; }} }}"),
        ),
        (
            "W026",
            format!("{upstream} map $host $b {{ default c; }} server {{ }}"),
            format!("{upstream} map $host $b {{ default A; }} server {{ }}"),
        ),
        (
            "W027",
            format!("upstream a {{ server b down; }} server {{ {pass} }}"),
            format!("upstream a {{ server b down; server c; }} server {{ {pass} }}"),
        ),
        (
            "W027",
            format!("upstream a {{ server b; server B:80; }} server {{ {pass} }}"),
            format!("upstream a {{ server b; server b:81; }} server {{ {pass} }}"),
        ),
        (
            "W136",
            format!("server {{ listen 80; {hsts} }} server {{ listen 8443 ssl; }}"),
            format!("server {{ listen 80; {hsts} }} server {{ listen 80; }}"),
        ),
        (
            "W030",
            "upstream a { server b; } server { fastcgi_param A b; fastcgi_pass a; }".to_owned(),
            "upstream a { server b:9000; server unix:/x; server [::1]:9; } server { fastcgi_param A b; fastcgi_pass a; }".to_owned(),
        ),
        (
            "W140",
            "map $host $b { a.test 127.0.0.1:1; } server { location / { proxy_pass http://$b; } }".to_owned(),
            "map $host $b { default 127.0.0.1:1; } server { location / { proxy_pass http://$b; } }".to_owned(),
        ),
        (
            "W012",
            "map $uri $b { ~^/a/ /b/$1; } server { return 301 $b; }".to_owned(),
            "map $uri $b { ~^/(a)/ /b/$1; } server { return 301 $b; }".to_owned(),
        ),
        (
            "W028",
            format!("{upstream} server {{ proxy_http_version 1.0; {pass} }}"),
            format!("{upstream} server {{ proxy_http_version 1.1; {pass} }}"),
        ),
        (
            "W028",
            format!("{upstream} proxy_set_header Connection close; server {{ {pass} }}"),
            format!("{upstream} proxy_set_header Connection close; server {{ proxy_set_header A b; {pass} }}"),
        ),
    ] {
        assert!(explain(code).is_some(), "{code} has a page");
        wrong.extend(unlike(&format!("http {{ {bad} }}"), &[code]));
        wrong.extend(unlike(&format!("http {{ {good} }}"), &[]));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn rules_of_the_main_level_warn_there() {
    assert_eq!(codes("worker_rlimit_nofile 10; events { worker_connections 20; }"), ["W025"]);
    assert_eq!(codes("worker_rlimit_nofile 20; events { worker_connections 20; }"), Vec::<String>::new());
    // It has to be written to stay root: nothing was forgotten.
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
fn every_code_is_there_once() {
    let codes: Vec<&str> = rules().iter().map(|rule| rule.code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    assert!(NEED_CONTEXT.iter().all(|code| codes.contains(code)));
}
