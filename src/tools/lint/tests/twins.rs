//! Dangerous lines next to similar harmless ones: the first cause a warning, the second none at all.

use super::{explain, unlike};

/// (code, bad, good): the code has a page, the first text has it alone, and the second is silent.
pub fn check(cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (code, bad, good) in cases {
        assert!(explain(code).is_some(), "{code} has a page");
        wrong.extend(unlike(bad, &[code]));
        wrong.extend(unlike(good, &[]));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// As [`check`], with the lines of each case inside of a configuration.
pub fn check_in(around: fn(&str) -> String, cases: &[(&str, &str, &str)]) {
    for (code, bad, good) in cases {
        check(&[(code, &around(bad), &around(good))]);
    }
}

/// In a server with TLS alone.
pub fn tls(lines: &str) -> String {
    format!("http {{ server {{ listen 443 ssl; server_name a.test; {lines} }} }}")
}

/// A location that runs PHP as it should.
pub const PHP: &str = "location ~ \\.php$ { try_files $uri =404; fastcgi_param SCRIPT_FILENAME $document_root$uri; \
                       fastcgi_pass 127.0.0.1:9000; }";

#[test]
fn the_harmless_twin_of_a_trap_is_silent() {
    check(&[
        ("W068", "if ($request_method = post) { return 405; }", "if ($request_method = POST) { return 405; }"),
        ("W068", "if ($scheme = HTTP) { return 403; }", "if ($scheme = http) { return 403; }"),
        ("W068", "if ($host = \"A.test\") { return 403; }", "if ($host = \"a.test\") { return 403; }"),
        ("W068", "if ($host != a.test:8080) { return 403; }", "if ($http_host != a.test:8080) { return 403; }"),
        ("W068", "if ($args = \"?a=b\") { return 403; }", "if ($args = \"a=b\") { return 403; }"),
        ("W068", "if ($uri = /a?b) { return 403; }", "if ($request_uri = /a?b) { return 403; }"),
        ("W068", "if ($uri = index.html) { return 403; }", "if ($uri = /index.html) { return 403; }"),
        ("W068", "if ($remote_addr = 10.0.0.0/8) { return 403; }", "if ($remote_addr = 10.0.0.1) { return 403; }"),
        ("W069", "split_clients $uri $v { 20% a; 30.5% b; }", "split_clients $uri $v { 20% a; 30.5% b; * c; }"),
        ("W069", "split_clients $uri $v { 20% a; }", "split_clients $uri $v { 50% a; 50% b; }"),
        (
            "W070",
            "add_header X-Frame-Options DENY; add_header x-frame-options SAMEORIGIN;",
            "add_header Set-Cookie a=b; add_header Set-Cookie c=d;",
        ),
        (
            "W071",
            "location / { fastcgi_pass 127.0.0.1:9000; proxy_pass http://127.0.0.1:1; }",
            "location / { fastcgi_pass 127.0.0.1:9000; location /a { proxy_pass http://127.0.0.1:1; } }",
        ),
        (
            "W155",
            "if ($http_x_forwarded_for != 203.0.113.5) { return 403; }",
            "if ($http_x_forwarded_for = \"\") { return 403; }",
        ),
        ("W155", "geo $http_x_real_ip $ok { default 0; 10.0.0.0/8 1; }", "geo $ok { default 0; 10.0.0.0/8 1; }"),
        (
            "W216",
            "location / { deny all; upload_max_file_size 100m; }",
            "location / { deny all; upload_max_file_size 100m; client_max_body_size 0; }",
        ),
        ("W216", "client_max_body_size 10m; upload_max_file_size 100m;", "upload_max_file_size 100k;"),
        (
            "W217",
            "location / { deny all; allowed_methods GET; dav_methods PUT; }",
            "location / { deny all; allowed_methods GET PUT; dav_methods PUT; }",
        ),
        (
            "W217",
            "location / { deny all; allowed_methods GET PUT; dav_methods PUT MKCOL; dav_ext_methods PROPFIND OPTIONS; }",
            "location / { deny all; allowed_methods GET PUT MKCOL PROPFIND; dav_methods PUT MKCOL; dav_ext_methods PROPFIND OPTIONS; }",
        ),
        (
            "W216",
            "upload_max_file_size 100m;",
            "server { upload_resumable on; upload_max_file_size 100m; client_max_body_size 16m; }",
        ),
        (
            "W216",
            "server { upload_max_file_size 100m; client_max_body_size 10m; }",
            "server { upload_max_file_size 100m; client_max_body_size 10m; location /up/ { client_max_body_size 100m; } }",
        ),
        ("W016", "map $host $x { default 0; /a/.*b 1; }", "map $host $x { default 0; hostnames; www.example.* 1; }"),
        ("W069", "split_clients $request_id $v { 1% a; }", "split_clients $request_id $v { 1% 1; }"),
        (
            "W070",
            "add_header X-Frame-Options DENY; add_header X-Frame-Options sameorigin;",
            "add_header X-Frame-Options DENY; add_header X-Frame-Options \"\";",
        ),
        (
            "W071",
            "location / { empty_gif; proxy_pass http://127.0.0.1:1; }",
            "location / { cgi_pass off; proxy_pass http://127.0.0.1:1; }",
        ),
        ("W036", "expires 7;", "expires 30;"),
        ("W036", "proxy_read_timeout 60000;", "proxy_read_timeout 86400;"),
        ("W019", "server { auth_basic Off; auth_basic_user_file /f; }", "server { auth_basic off; }"),
        ("W016", "map $uri $x { default 0; ^/a$ 1; }", "map $uri $x { default 0; ~^/a$ 1; /a 2; }"),
        ("W020", "add_header X-A $http_X-Real-IP;", "add_header X-A $http_x_real_ip;"),
        ("W031", r#"if ($uri ~ "\?x=") { return 403; }"#, r#"if ($request_uri ~ "\?x=") { return 403; }"#),
        (
            "W013",
            "location / { try_files /index.html $uri =404; }",
            "location / { try_files /maintenance.html $uri /index.html =404; }",
        ),
        ("W064", "root =/srv;", "root /srv;"),
        ("W064", "root %ROOT%;", "root /srv/100%;"),
        ("W064", "server_name @@HOST@@;", "server_name a.test;"),
        ("W064", "try_files $uri || /a;", "try_files $uri /a;"),
        ("W064", "gzip_types \"text/css text/xml\";", "gzip_types text/css text/xml;"),
        ("W064", "error_page 404 500;", "error_page 404 /500;"),
        ("W064", "fastcgi_param HTTPS: on;", "fastcgi_param HTTPS on;"),
        ("W065", "rewrite ^/a$ b;", "rewrite ^/a$ /b;"),
        ("W065", "rewrite ^/a$ a.test/b permanent;", "rewrite ^/a$ https://a.test/b permanent;"),
        (
            "W066",
            "location ~ \\.php$ { fastcgi_param A b; fastcgi_pass 127.0.0.1:9000; }",
            "location ~ \\.php$ { fastcgi_param SCRIPT_FILENAME $document_root$uri; fastcgi_pass 127.0.0.1:9000; }",
        ),
        (
            "W066",
            "location / { fastcgi_param A b; fastcgi_pass unix:/run/php.sock; }",
            "location / { fastcgi_param A b; fastcgi_pass unix:/run/app.sock; }",
        ),
        (
            "W067",
            "map $http_user_agent $b { default 0; googlebot 1; } server { if ($b) { return 403; } }",
            "map $http_user_agent $b { default 0; ~*googlebot 1; curl/8.0 1; } server { if ($b) { return 403; } }",
        ),
        ("W035", "location /$host/ { }", "location ~ ^/[a-z]+/$ { }"),
        (
            "W101",
            "location ~ ^/a(?<rest>.*)\\.x$ { proxy_pass http://127.0.0.1:3000$rest; }",
            "location ~ ^/a(?<rest>/.*)\\.x$ { proxy_pass http://127.0.0.1:3000$rest; }",
        ),
        (
            "W101",
            "location ~ ^/a(.*)\\.x$ { proxy_pass http://127.0.0.1:3000$1; }",
            "location ~ ^/a(/.*)\\.x$ { proxy_pass http://127.0.0.1:3000$1; }",
        ),
        ("W060", "if ($uri ~ ^/a) { set $x $1; }", "if ($uri ~ ^/(a)) { set $x $1; }"),
        ("W061", "if ($http_referrer = a) { return 403; }", "if ($http_x_token = a) { return 403; }"),
        ("W062", "set $Target a; if ($target = b) { return 403; }", "set $Target a; if ($Target = b) { return 403; }"),
        (
            "W063",
            "server { location / { try_files $uri @a; } location @a { try_files $uri @a; } }",
            "server { location / { try_files $uri @a; } location @a { try_files $uri =404; } }",
        ),
        (
            "W063",
            "server { location /a { rewrite ^ /b last; } location /b { try_files $uri /a; } }",
            "server { location /a { rewrite ^ /b break; } location /b { try_files $uri /a; } }",
        ),
        (
            "W063",
            "server { location = /m.html { try_files /x.html /m.html; } }",
            "server { location / { try_files $uri /index.html; } }",
        ),
        (
            "W104",
            "server { add_header A a; add_header_inherit on; location / { add_header B b; } }",
            "add_header_inherit merge; server { add_header A a; location / { add_header B b; } }",
        ),
        (
            "W114",
            "location / { deny all; if ($arg_a) { return 200 ok; } }",
            "location / { deny all; if ($request_method = OPTIONS) { return 204; } }",
        ),
        (
            "W118",
            "location / { add_header Content-Type a/b; proxy_pass http://127.0.0.1:1; }",
            "location / { add_header Content-Type a/b; proxy_pass http://127.0.0.1:1; proxy_hide_header Content-Type; }",
        ),
        ("W124", "location /f/ { alias /srv/..; }", "location /f/ { alias /srv/; }"),
        ("W144", "location ~ ^/go/(.*)$ { return 302 $1; }", "location ~ ^/go(/.*)$ { return 302 $1; }"),
        ("W153", "location ~ ^/i(.*)$ { alias /srv/i/$1; }", "location ~ ^/i/(.*)$ { alias /srv/i/$1; }"),
        ("W153", "location ~ ^/i/(.*)$ { alias /srv/i$1; }", r"location ~ ^/i-(\d+)$ { alias /srv/i$1; }"),
        (
            "W154",
            "server { listen 80; server_name a.test; } server { listen 80; server_name _; }",
            "server { listen 80; server_name a.test; } server { listen 80 default_server; server_name _; }",
        ),
        (
            "W154",
            "server { listen 80; server_name admin.a.test; } server { listen 80; server_name a.test; }",
            "server { listen 80; server_name a.test; } server { listen 80; server_name admin.a.test; }",
        ),
        (
            "W101",
            "map $uri $b { ~^/x/(.*)$ $1; default a; } server { location / { proxy_pass http://$b; } }",
            "map $uri $b { ~^/x/(a|b)$ $1; default a; } server { location / { proxy_pass http://$b; } }",
        ),
        (
            "W101",
            "location ~ ^/p/(.*)$ { set $h $1; proxy_pass http://$h; }",
            "location ~ ^/p/(a|b)$ { set $h $1; proxy_pass http://$h; }",
        ),
        (
            "W102",
            "map $host $h { a.test $uri; default 1; } server { location / { add_header A $h; } }",
            "map $host $h { a.test $request_uri; default 1; } server { location / { add_header A $h; } }",
        ),
        (
            "W205",
            "server { listen 80; location /s { stub_status; } }",
            "server { listen unix:/run/s; location /s { stub_status; } }",
        ),
        ("W004", "try_files $uri /a.html=404;", "try_files $uri /a.php?x=404;"),
        ("W014", "access_log logs/a combined if=loggable;", "access_log logs/a combined if=$loggable;"),
        (
            "W012",
            "if ($host !~ ^(www)x$) { return 301 https://a.test/$1; }",
            "if ($host ~ ^(www)x$) { return 301 https://a.test/$1; }",
        ),
        (
            "W202",
            "location = /in { dav_methods PUT; cgi_pass on; deny all; }",
            "location = /in { cgi_pass on; deny all; }",
        ),
        ("W022", "if ($host = *.a.test) { return 403; }", "if ($host = a.test) { return 403; }"),
        ("W106", "location ~ .git { }", r"location ~ \.git/ { }"),
        (
            "W107",
            r"if ($http_host ~ ^www\.a\.test) { return 301 https://a.test/; }",
            r"if ($http_host ~ ^www\.) { return 301 https://a.test/; }",
        ),
        (
            "W152",
            "server { fastcgi_param A b; location / { fastcgi_param C d; fastcgi_pass 127.0.0.1:1; } }",
            "server { fastcgi_param A b; location / { fastcgi_param C d; fastcgi_param A b; fastcgi_pass 127.0.0.1:1; } }",
        ),
        (
            "W108",
            "server { location /a/ { rewrite ^/a/(.*)$ /b/$1 last; } location /b/ { rewrite ^/b/(.*)$ /a/$1 last; } }",
            "server { location /a/ { rewrite ^/a/(.*)$ /b/$1 last; } location /b/ { rewrite ^/b/(.*)$ /c/$1 last; } }",
        ),
        (
            "W107",
            r"map $http_referer $bad { ~*semalt\.com 1; } server { if ($bad = 0) { return 403; } }",
            r"map $http_referer $bad { ~*semalt\.com 1; } server { if ($bad) { return 403; } }",
        ),
        (
            "W107",
            r"if ($http_referer !~ ^https://a\.com) { return 403; }",
            r"if ($http_referer ~* (semalt\.com|a\.com)) { return 403; }",
        ),
        (
            "W034",
            "if ($upstream_addr = a) { return 403; }",
            "split_clients $remote_addr $upstream_group { * a; } server { if ($upstream_group = a) { return 403; } }",
        ),
        (
            "W139",
            "server { root /w; access_log /w/logs/a.log; location / { } }",
            "server { root /w; access_log /w/logs/a.log; location / { proxy_pass http://127.0.0.1:3000; } }",
        ),
        (
            "W140",
            "map $host $app { a.test http://a; } server { location / { proxy_pass $app; } }",
            "map $host $app { a.test http://a; } server { if ($app = '') { return 404; } location / { proxy_pass $app; } }",
        ),
        (
            "W101",
            "location / { proxy_pass http://$arg_be$request_uri; }",
            "location / { proxy_pass http://$be$request_uri; }",
        ),
        (
            "W118",
            "location / { add_header Content-Type text/plain; return 200 ok; }",
            "location / { if ($arg_a) { add_header Content-Type text/plain; return 204; } }",
        ),
        ("W002", "server_name localhost [::1;", "server_name localhost [::1];"),
        (
            "W116",
            r"location ~ /(xmlrpc|wp-config)\.php { expires 1d; }",
            r"location ~ /(xmlrpc|wp-config)\.php { deny all; }",
        ),
        ("W013", "try_files none.html @app; location @app { }", "try_files none @app; location @app { }"),
        ("W040", "map $uri $m { * x; }", "map $uri $m { default x; }"),
        (
            "W041",
            "location /a/ { proxy_pass http://$b/; }",
            "location /a/ { proxy_pass http://$b$request_uri; } location = /b { proxy_pass http://$b/; }",
        ),
        ("W042", "server { real_ip_header X-A; }", "server { set_real_ip_from 10.0.0.1; real_ip_header X-A; }"),
        (
            "W043",
            "server { error_page 500 502 =200 /e.html; }",
            "server { error_page 500 502 =200 /e; location /e { proxy_pass http://127.0.0.1:1; } }",
        ),
        (
            "W141",
            "location / { secure_link $arg_a; secure_link_md5 k$uri; }",
            "location / { secure_link $arg_a; secure_link_md5 k$uri; if ($secure_link = '') { return 403; } }",
        ),
        (
            "W141",
            "secure_link $arg_a,$arg_e; secure_link_md5 k$uri; if ($secure_link = '') { return 403; }",
            "secure_link $arg_a,$arg_e; secure_link_md5 k$uri; if ($secure_link != 1) { return 403; }",
        ),
        ("W141", "valid_referers a.test;", "valid_referers a.test; if ($invalid_referer) { return 403; }"),
        (
            "W141",
            "server { ssl_verify_client optional; }",
            "server { ssl_verify_client optional; } log_format a $ssl_client_verify;",
        ),
        ("W044", "server { valid_referers non a.test; if ($invalid_referer) { return 403; } }", "charset utf-8;"),
        ("W044", "charset utf8;", "error_page 404 = /a;"),
        ("W001", "location ~ { }", "location ~ /a { }"),
        ("W004", "location / { try_files $uri =40; }", "location / { try_files $uri =404; }"),
        ("W142", "secure_link_md5 $uri$remote_addr;", "secure_link_md5 $uri$secret;"),
        (
            "W143",
            "proxy_set_header X-Real-IP $http_x_real_ip;",
            "set_real_ip_from 10.0.0.1; proxy_set_header X-Real-IP $http_x_real_ip;",
        ),
        ("W144", "return 302 $arg_to;", "return 302 /login?to=$arg_to;"),
        ("W144", "return 302 /$arg_to;", "return 302 /a/$arg_to;"),
        ("W144", "rewrite ^/r(.*)$ https://a.test$1 permanent;", "rewrite ^/r(/.*)$ https://a.test$1 permanent;"),
        ("W144", "rewrite ^/r/(.*)$ https://a.test$1 permanent;", "rewrite ^(.*)$ https://a.test$1 permanent;"),
        ("W145", "default_type text/html; location /a { return 300 $arg_a; }", "location /a { return 300 $arg_a; }"),
        (
            "W145",
            "default_type text/html; location / { return 200 <p>$arg_a; }",
            "default_type text/html; location / { default_type text/plain; return 200 <p>$arg_a; }",
        ),
        (
            "W146",
            "http { server { listen 8080; location / { proxy_pass http://127.0.0.1:8080; } } }",
            "http { server { listen 8080; location / { proxy_pass http://127.0.0.1:8080; } } server { listen 8080; server_name b.test; } }",
        ),
        (
            "W147",
            "add_header Access-Control-Allow-Origin null;",
            "add_header Access-Control-Allow-Origin https://a.test;",
        ),
        (
            "W108",
            "server { location /a/ { rewrite ^/a/(.*)$ /a/b/$1; } }",
            "server { location /a/ { rewrite ^/a/(.*)$ /a/b/$1; return 404; } }",
        ),
        ("W129", "geo $g { proxy 0.0.0.0/0; default 0; }", "geo $g { proxy 10.0.0.0/8; default 0; }"),
    ]);
}

#[test]
fn paths_that_cannot_come_and_regexes_that_take_long_are_told_from_those_that_are_well() {
    check(&[
        ("W057", "location ~ ^/a/b$ { return 200; }", r"location ~ ^/a/b\.txt$ { return 200; }"),
        ("W057", "location ~ ^/login$ { return 200; }", "location ~* ^/login$ { return 200; }"),
        ("W058", "location /a/ { location ~ ^/b/ { } }", "location /a/ { location ~ ^/a/b/ { } }"),
        ("W058", "location /a/ { rewrite ^/b/(.*)$ /$1 break; }", "location /a/ { rewrite ^/a/(.*)$ /$1 break; }"),
        ("W058", "location = /a { rewrite ^/a/(.*)$ /$1 break; }", "location = /a { rewrite ^/a /b break; }"),
        (
            "W059",
            "server { error_page 404 /x; location /x { return 404; } }",
            "server { error_page 404 /x; location /x { return 200 x; } }",
        ),
        (
            "W059",
            "server { error_page 403 /x; location / { deny all; } }",
            "server { error_page 403 /x; location = /x { internal; } location / { deny all; } }",
        ),
        (
            "W110",
            r"location ^~ / { } location ~ \.php$ { }",
            r"location ^~ / { } location /a { } location ~ \.php$ { }",
        ),
        (
            "W130",
            "if ($http_user_agent ~ ^(([a-z])+.)+[A-Z]$) { return 403; }",
            "if ($uri ~ ^(/[a-z]+)+$) { return 403; }",
        ),
        ("W130", "location ~ ^/(a|a)*b$ { return 403; }", "location ~ ^/(a|b)*c$ { return 403; }"),
        (
            "W125",
            "server { if ($scheme = http) { return 301 http://$host$request_uri; } }",
            "server { if ($scheme = http) { return 301 https://$host$request_uri; } }",
        ),
        (
            "W101",
            "map $arg_a $up { default $arg_a; } server { location / { proxy_pass http://$up; } }",
            "map $arg_a $up { default 127.0.0.1; } server { location / { proxy_pass http://$up; } }",
        ),
        ("W103", "fastcgi_param SERVER_NAME $http_host;", "fastcgi_param SERVER_NAME $server_name;"),
        (
            "W029",
            "proxy_http_version 1.0; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
        ),
        ("W044", "error_page 404 =200;", "error_page 404 =200 /a;"),
        (
            "W035",
            "server { set_real_ip_from 10.0.0.1; real_ip_header $http_x_real_ip; }",
            "server { set_real_ip_from 10.0.0.1; real_ip_header X-Real-IP; }",
        ),
    ]);
}
