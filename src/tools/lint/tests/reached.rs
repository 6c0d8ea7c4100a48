//! Rules about what requests never reach, or reach in another way.

use super::super::explain;
use super::unlike;

#[test]
fn what_is_never_reached_or_reached_by_another_way_is_named() {
    let mut wrong = Vec::new();
    for (code, bad, good) in [
        ("W037", "return 301 https://a.test/; location /a/ { root /x; }", "location / { return 301 https://a.test/; }"),
        ("W037", "return 404; location /a { }", "error_page 404 @a; return 404; location @a { root /x; }"),
        ("W044", "add_header X-Frame-Options SAMEORGIN;", "add_header X-Frame-Options sameorigin;"),
        ("W046", "rewrite ^/a /b last; rewrite ^/a/c /d last;", "rewrite ^/a/c /d last; rewrite ^/a /b last;"),
        ("W046", "rewrite ^/a /b permanent; rewrite ^/a/c /d;", "rewrite ^/a /b; rewrite ^/a/c /d last;"),
        ("W048", "proxy_pass http://$pool.x.test;", "proxy_pass http://a.test;"),
        ("W048", "set $b x.test; proxy_pass http://$b;", "set $b 127.0.0.1; proxy_pass http://$b;"),
        (
            "W049",
            "location /x { auth_request /auth; }",
            "location /x { auth_request /auth; } location = /auth { proxy_pass http://a; }",
        ),
        (
            "W048",
            "map $uri $b { /a 127.0.0.1; default x.test; } proxy_pass http://$b;",
            "map $uri $b { /a 127.0.0.1; default 127.0.0.2; } proxy_pass http://$b;",
        ),
        ("W050", "proxy_read_timeout 0;", "proxy_read_timeout 1d;"),
        ("W050", "proxy_send_timeout 0h;", "proxy_send_timeout 1h;"),
        (
            "W052",
            r"root /x; location /i/ { alias /y/; } location ~ \.png$ { expires 1d; }",
            r"root /x; location ^~ /i/ { alias /y/; } location ~ \.png$ { expires 1d; }",
        ),
        (
            "W052",
            r"location / { proxy_pass http://a; } location ~ \.(css|js)$ { expires 1d; }",
            r"root /x; location / { proxy_pass http://a; } location /i/ { alias /x/i/; } location ~ \.(css|js)$ { expires 1d; }",
        ),
        ("W102", "set $p $uri; add_header X $p;", "set $p $request_uri; add_header X $p;"),
        ("W103", "return 301 https://$http_host$request_uri;", "return 301 https://$host$request_uri;"),
        (
            "W110",
            r"location ~* \.(gif|jpg)$ { } location ~* \.jpg$ { deny all; }",
            r"location ~ /\. { deny all; } location ~ /\.ht { deny all; }",
        ),
        (
            "W125",
            "listen 8080; server_name a.test; location / { return 301 http://a.test:8080$request_uri; }",
            "listen 8080; server_name a.test; location / { return 301 http://b.test:8080$request_uri; }",
        ),
        ("W137", "error_page 404 = /404.html;", "error_page 404 = /404.php; location = /404.php { fastcgi_pass a; }"),
        (
            "W148",
            "location = /admin { deny all; } location / { proxy_pass http://a; }",
            "location = /admin { deny all; } location ^~ /admin/ { deny all; } location / { proxy_pass http://a; }",
        ),
        (
            "W148",
            "root /x; location = /a { auth_basic x; auth_basic_user_file f; } location /a/ { expires 1d; }",
            "location = /a.php { deny all; } location / { proxy_pass http://a; }",
        ),
        (
            "W203",
            "client_max_body_size 2g; location /u/ { deny all; upload_quota 1g; }",
            "client_max_body_size 1m; location /u/ { deny all; upload_quota 1g; }",
        ),
        ("W002", "server_name müller.test;", "server_name xn--mller-kva.test;"),
    ] {
        assert!(explain(code).is_some(), "{code} has a page");
        wrong.extend(unlike(&format!("server {{ {bad} }}"), &[code]));
        wrong.extend(unlike(&format!("server {{ {good} }}"), &[]));
    }
    for (code, bad, good) in [
        ("W045", "map $uri $a { ~^/a 1; ~^/a/b 2; }", "map $uri $a { ~^/a/b 2; ~^/a 1; }"),
        ("W045", "map $http_user_agent $a { ~* 1; ~bot 2; }", "map $http_user_agent $a { ~*bot 1; ~*googlebot 1; }"),
        ("W047", "keepalive_requests 100;", "upstream a { server b; keepalive_requests 100; }"),
        ("W051", "gzip_types text/css;", "gzip on; gzip_types text/css;"),
        (
            "W140",
            "map $host $r { a.test /a; } server { root $r; }",
            "map $host $r { default /b; } server { root $r/x; }",
        ),
    ] {
        wrong.extend(unlike(&format!("http {{ {bad} server {{ }} }}"), &[code]));
        wrong.extend(unlike(&format!("http {{ {good} server {{ proxy_pass http://a; }} }}"), &[]));
    }
    assert_eq!(wrong, Vec::<String>::new());
}
