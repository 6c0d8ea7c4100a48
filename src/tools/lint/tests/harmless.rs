//! Good configurations that a rule once warned of: it is silent, and still warns of the lines that it is for.

/// In a server for everyone.
fn open(lines: &str) -> String {
    format!("http {{ server {{ listen 80; server_name a.test; root /srv; {lines} }} }}")
}

/// (code, lines of a server that it says nothing of).
const SILENT: &[(&str, &str)] = &[
    ("W047", "keepalive_timeout 0; return 444;"),
    (
        "W097",
        "error_page 404 /404.html; location /hello/ { proxy_pass http://127.0.0.1:1; } location /dev/ { proxy_pass http://127.0.0.1:2; }",
    ),
    ("W097", "error_page 404 /404.html; location / { proxy_pass http://127.0.0.1:1; } location = /a { root /w; }"),
    ("W101", "location ~ ^/svc/([a-z0-9.-]+\\.svc\\.cluster\\.local)/ { proxy_pass http://$1; }"),
    ("W101", "location ~ ^/z/(?<h>s3\\.[a-z0-9.-]+\\.amazonaws\\.com)/ { proxy_pass https://$h; }"),
    ("W101", "location ~ ^/x/([a-z0-9.-]+\\.example\\.com)/ { proxy_pass http://$1; }"),
    ("W107", "if ($http_origin !~ \"\\.a\\.test$\") { return 403; }"),
    ("W107", "if ($http_origin !~ \"(^|\\.|:\\/\\/)a\\.test$\") { return 403; }"),
    ("W107", "if ($http_origin !~ \"^https?:/{2}a\\.test$\") { return 403; }"),
    ("W111", "listen unix:/run/a; location / { allow 0.0.0.0/0; deny all; proxy_pass http://127.0.0.1:1; }"),
    (
        "W114",
        "allow 10.0.0.0/8; deny all; location /version { if ($remote_addr !~ ^10) { return 403; } return 200 1.0; }",
    ),
    ("W114", "allow 10.0.0.0/8; deny all; location /livez { return 200 a; } location /up { return 200 b; }"),
    ("W114", "allow 10.0.0.0/8; deny all; location /a { return 200 ok; } location /b { return 200 \"OK\\n\"; }"),
    ("W114", "allow 10.0.0.0/8; deny all; location /ip { allow all; return 200 $remote_addr; }"),
    ("W114", "allow 10.0.0.0/8; deny all; location /old { allow all; rewrite ^ https://b.test/ permanent; }"),
    (
        "W134",
        "proxy_set_header Accept-Encoding \"\"; location /ws { proxy_set_header Via a; proxy_pass http://127.0.0.1:1; }",
    ),
    (
        "W134",
        "sub_filter a b; proxy_set_header Accept-Encoding \"\"; location /auth { internal; proxy_set_header Via a; proxy_pass http://127.0.0.1:1; }",
    ),
    (
        "W134",
        "sub_filter a b; proxy_set_header Accept-Encoding \"\"; location /ws { proxy_set_header Upgrade $http_upgrade; proxy_pass http://127.0.0.1:1; }",
    ),
    (
        "W134",
        "proxy_set_header X-Request-ID $request_id; location /a { proxy_set_header Via a; proxy_pass http://127.0.0.1:1; }",
    ),
    ("W381", "location /a { return 302 https://b.test/#/search&q=$arg_q; }"),
    ("W381", "location /b { return 301 /new${sep}&id=1; }"),
    ("W381", "if ($request_uri ~ ^/old(\\?.*)$) { return 301 /new$1&v=2; }"),
    ("W381", "rewrite ^/m/(.*)$ /maps/v1;lang=de&x=1 last;"),
    (
        "W385",
        "location /uploads/ { alias /data/uploads/; } location ~ \\.php$ { try_files $uri =404; fastcgi_pass 127.0.0.1:1; }",
    ),
    (
        "W385",
        "location /uploads/ { expires 30d; } location ~ \\.php$ { if ($uri ~ ^/uploads/) { return 403; } fastcgi_pass 127.0.0.1:1; }",
    ),
    ("W385", "location /uploads { rewrite ^ /x last; } location ~ \\.php$ { fastcgi_pass 127.0.0.1:1; }"),
    (
        "W385",
        "location /uploads/ { } location ~ \\.php$ { root /srv/php; try_files $uri =404; fastcgi_pass 127.0.0.1:1; }",
    ),
    (
        "W385",
        "location /uploads/ { } location ~ \\.php$ { fastcgi_param SCRIPT_FILENAME /srv/front.php; fastcgi_pass 127.0.0.1:1; }",
    ),
    (
        "W385",
        "location /uploads/ { } location ~ \\.php$ { fastcgi_param SCRIPT_FILENAME $document_root/i.php; fastcgi_pass 127.0.0.1:1; }",
    ),
    ("W387", "location / { proxy_pass http://127.0.0.1:8008/; }"),
    ("W387", "location /gitlab-pages/ { proxy_pass http://127.0.0.1:80/gitlab-pages/; }"),
    ("W388", "if ($arg_token != $cookie_csrftoken) { return 403; }"),
    ("W388", "if ($arg_auth != \"basic\") { return 404; }"),
    (
        "W389",
        "location = / { try_files /index.html =404; } location /assets/ { } location / { return 302 https://a.test/; }",
    ),
    ("W389", "location / { return 302 https://a.test/; } location /app/ { try_files $uri =404; }"),
    ("W389", "location / { return 302 http://a.test/; }"),
    ("W389", "location / { return 302 $scheme://$host/; }"),
    ("W390", "location /logs/ { if ($remote_addr !~ \"^10\\.\") { return 403; } autoindex on; }"),
    (
        "W390",
        "location /db/ { secure_link $arg_m; secure_link_md5 x$uri; if ($secure_link = \"\") { return 403; } autoindex on; }",
    ),
    ("W392", "location /uploads/ { default_type text/html; add_header Content-Disposition attachment; }"),
];

/// (code, a whole configuration that it says nothing of).
const SILENT_WHOLE: &[(&str, &str)] = &[
    ("W140", "http { geo $p { ranges; 0.0.0.0-255.255.255.255 a; } server { location / { proxy_pass http://$p; } } }"),
    ("W140", "http { geo $p { 0.0.0.0/1 a; 128.0.0.0/1 b; } server { location / { proxy_pass http://$p; } } }"),
    ("W386", "http { client_max_body_size 0; server { listen 80; root /srv; } }"),
    (
        "W386",
        "http { client_max_body_size 0; proxy_request_buffering off; server { location / { proxy_pass http://a:1; } } }",
    ),
    (
        "W386",
        "http { client_max_body_size 0; server { location / { proxy_request_buffering off; proxy_pass http://a:1; } } }",
    ),
    ("W390", "http { server { listen 127.0.0.1:80; root /srv; location /logs/ { autoindex on; } } }"),
    ("W390", "http { server { listen unix:/run/a; root /srv; location /logs/ { autoindex on; } } }"),
];

/// (code, lines of a server that it warns of, beside those above).
const WARNED: &[(&str, &str)] = &[
    ("W101", "location ~ ^/x/([a-z0-9.-]+\\.com)/ { proxy_pass http://$1; }"),
    ("W101", "location ~ ^/x/([a-z0-9.-]+\\.[a-z]+)/ { proxy_pass http://$1; }"),
    ("W107", "if ($http_referer !~ \"\\.a\\.test$\") { return 403; }"),
    ("W107", "if ($http_origin !~ \"a\\.test$\") { return 403; }"),
    ("W107", "if ($http_origin !~ \"\\.a.test$\") { return 403; }"),
    ("W107", "if ($http_origin !~ \"\\.a\\.test$|b\\.test$\") { return 403; }"),
    ("W114", "allow 10.0.0.0/8; deny all; location /ip { return 200 $remote_addr; }"),
    (
        "W134",
        "sub_filter a b; proxy_set_header Accept-Encoding \"\"; location /a { proxy_set_header Via a; proxy_pass http://b:1; }",
    ),
    ("W389", "location / { return 301 https://$host; } location /.well-known/acme-challenge/ { root /w; }"),
    ("W390", "location /logs/ { if ($request_method = POST) { return 405; } autoindex on; }"),
];

#[test]
fn good_configurations_that_look_like_a_trap_are_silent() {
    let mut wrong = Vec::new();
    let lines = SILENT.iter().map(|(code, lines)| (code, open(lines)));
    for (code, text) in lines.chain(SILENT_WHOLE.iter().map(|(code, text)| (code, (*text).to_owned()))) {
        let found = super::codes(&text);
        wrong.extend(found.iter().any(|other| other == code).then(|| format!("{code}: {text}")));
    }
    for (code, lines) in WARNED {
        let found = super::codes(&open(lines));
        wrong.extend((!found.iter().any(|other| other == code)).then(|| format!("{code} is missing: {lines}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
