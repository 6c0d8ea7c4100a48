//! Recipes for applications as they are copied with a slip, each beside the same lines as they are meant.

use super::twins::{check, check_in, tls};

/// In a server without TLS.
fn plain(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; {lines} }} }}")
}

/// A location that passes requests, with more lines.
fn passed(lines: &str) -> String {
    plain(&format!("location /a/ {{ proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; {lines} }}"))
}

#[test]
fn a_header_filled_with_another_value_than_it_names_is_found() {
    check_in(
        passed,
        &[
            (
                "W366",
                "proxy_set_header X-Real-IP $proxy_add_x_forwarded_for;",
                "proxy_set_header X-Real-IP $remote_addr;",
            ),
            ("W366", "proxy_set_header X-Real-Ip $server_addr;", "proxy_set_header X-Real-Ip $proxy_protocol_addr;"),
            ("W366", "proxy_set_header X-Forwarded-For $host;", "proxy_set_header X-Forwarded-For $remote_addr;"),
            (
                "W366",
                "proxy_set_header X-Forwarded-Proto $server_protocol;",
                "proxy_set_header X-Server $server_protocol;",
            ),
            ("W366", "proxy_set_header X-Forwarded-Port $remote_port;", "proxy_set_header X-Remote-Port $remote_port;"),
        ],
    );
    let gateway = |line: &str| {
        let all = "fastcgi_param SCRIPT_FILENAME /srv/a.php; fastcgi_param QUERY_STRING $query_string; ";
        plain(&format!("location = /a {{ {all} {line} fastcgi_pass 127.0.0.1:9000; }}"))
    };
    for (bad, good) in [
        ("fastcgi_param REMOTE_ADDR $server_addr;", "fastcgi_param REMOTE_ADDR $remote_addr;"),
        ("fastcgi_param SERVER_PORT $remote_port;", "fastcgi_param REMOTE_PORT $remote_port;"),
    ] {
        check(&[("W366", &gateway(bad), &gateway(good))]);
    }
    for (bad, good) in [
        (
            "PHP_VALUE \"upload_max_filesize=50M post_max_size=50M\"",
            "PHP_VALUE \"upload_max_filesize=50M\\n post_max_size=50M\"",
        ),
        ("PHP_ADMIN_VALUE \"a.b=1; c.d=2\"", "PHP_ADMIN_VALUE \"open_basedir=/srv:/tmp\""),
        ("PHP_VALUE \"a=1 b=2\"", "PHP_VALUE 'sendmail_path=\"/bin/mail -f a=b\"'"),
    ] {
        check(&[("W367", &gateway(&format!("fastcgi_param {bad};")), &gateway(&format!("fastcgi_param {good};")))]);
    }
}

#[test]
fn a_list_compared_with_one_word_is_found() {
    check_in(
        plain,
        &[
            ("W368", "if ($http_cookie = \"a=1\") { return 403; }", "if ($cookie_a = 1) { return 403; }"),
            (
                "W368",
                "if ($http_accept_language = de) { return 302 /de/; }",
                "if ($http_accept_language ~* ^de) { return 302 /de/; }",
            ),
            (
                "W368",
                "if ($http_accept_encoding != gzip) { return 406; }",
                "if ($http_accept_encoding = \"\") { return 406; }",
            ),
            (
                "W368",
                "if ($http_accept = text/html) { return 302 /a/; }",
                "if ($http_accept = application/json) { return 302 /a/; }",
            ),
        ],
    );
    let map = |table: &str| {
        format!(
            "http {{ map {table} server {{ listen 127.0.0.1:80; server_name a.test; location = /a {{ return 302 /$m/; }} }} }}"
        )
    };
    for (bad, good) in [
        (
            "$http_accept_language $m { default en; de de; fr fr; }",
            "$http_accept_language $m { default en; ~*^de de; }",
        ),
        ("$http_accept $m { default a; image/webp b; }", "$http_accept $m { default a; application/json b; }"),
        (
            "$http_accept_language $m { default en; de de; }",
            "$http_accept_language $m { default en; de de; ~^de, de; }",
        ),
        ("$http_cookie $m { default a; beta=1 b; }", "$cookie_beta $m { default a; 1 b; }"),
    ] {
        check(&[("W368", &map(bad), &map(good))]);
    }
}

#[test]
fn a_request_that_does_not_reach_its_application_is_found() {
    let pass = "proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host;";
    let upgrade = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    for (code, bad, good) in [
        (
            "W370",
            format!("location / {{ try_files $uri $uri/ =404; {pass} }}"),
            format!("location / {{ try_files $uri @app; }} location @app {{ {pass} }}"),
        ),
        (
            "W370",
            format!("location /a/ {{ try_files $uri =404; {pass} }}"),
            format!("location ~ \\.php$ {{ try_files $uri =404; {pass} }}"),
        ),
        (
            "W371",
            "location /a/ { rewrite ^/a/(.*)$ /$1 break; proxy_pass http://127.0.0.1:3000$request_uri; }".to_owned(),
            "location /a/ { rewrite ^/a/(.*)$ /$1 break; proxy_pass http://127.0.0.1:3000; }".to_owned(),
        ),
        (
            "W372",
            "location /a/ { proxy_pass http://unix:/run/php/php8.2-fpm.sock; }".to_owned(),
            "location /a/ { proxy_pass http://unix:/run/app.sock; }".to_owned(),
        ),
        (
            "W373",
            format!("location /ws/ {{ {pass} proxy_http_version 1.1; }}"),
            format!("location /ws/ {{ {pass} {upgrade} proxy_http_version 1.1; }} location /news/ {{ {pass} }}"),
        ),
        (
            "W373",
            "location /ws/ { proxy_pass http://app_ws; proxy_set_header Host $host; }".to_owned(),
            // A web service.
            format!("location /ws/ {{ {pass} }}"),
        ),
        (
            "W371",
            "location /a/ { rewrite ^ /x break; proxy_pass http://127.0.0.1:3000$request_uri; }".to_owned(),
            "location /a/ { rewrite ^ /x break; proxy_pass http://127.0.0.1:3000/log?from=$request_uri; }".to_owned(),
        ),
        (
            "W373",
            format!("location /socket.io/ {{ {pass} }}"),
            format!("{upgrade} location /socket.io/ {{ proxy_pass http://127.0.0.1:3000; }}"),
        ),
    ] {
        check(&[(code, &plain(&bad), &plain(&good))]);
    }
    let group = |pass: &str| {
        let group = "upstream php { server unix:/run/php-fpm.sock; }";
        format!("http {{ {group} server {{ listen 127.0.0.1:80; server_name a.test; location /a/ {{ {pass} }} }} }}")
    };
    let fastcgi =
        "fastcgi_param SCRIPT_FILENAME /srv/a.php; fastcgi_param QUERY_STRING $query_string; fastcgi_pass php;";
    check(&[("W372", &group("proxy_pass http://php; proxy_set_header Host $host;"), &group(fastcgi))]);
}

#[test]
fn an_anchor_of_one_alternative_and_a_lost_slash_are_found() {
    let pass = "proxy_pass http://127.0.0.1:3000/; proxy_set_header Host $host;";
    for (code, bad, good) in [
        ("W377", r"location ~ \.m3u8|\.ts$ { expires 1h; }", r"location ~ \.(m3u8|ts)$ { expires 1h; }"),
        ("W377", "location ~ ^/a/|/b/ { expires 1h; }", "location ~ ^/(a|b)/ { expires 1h; }"),
        ("W377", r"if ($uri ~ \.bak|\.old$) { return 302 /a; }", r"if ($uri ~ \.bak$|\.old$) { return 302 /a; }"),
        ("W377", r"location ~ \.a|\.b$ { expires 1h; }", r"location ~ \.a|\.b$ { deny all; }"),
        ("W065", "location /g/ { rewrite ^/g/(.*) $1 break; }", "location /g/ { rewrite ^/g/(.*) /$1 break; }"),
        ("W065", "location /g/ { rewrite ^/g/(.+)$ $1 last; }", "location /g/ { rewrite ^/g(/.*)$ $1 last; }"),
        (
            "W068",
            "if ($remote_addr = 10.0.0.1,10.0.0.2) { return 403; }",
            "if ($remote_addr = 10.0.0.1) { return 403; }",
        ),
        (
            "W378",
            "location /a/ { fastcgi_param A b; proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; }",
            "fastcgi_param A b; location /a/ { proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host; }",
        ),
        (
            "W379",
            &format!("location /a/ {{ {pass} proxy_cookie_path /a/ /; }}"),
            &format!("location /a/ {{ {pass} proxy_cookie_path / /a/; }}"),
        ),
        (
            "W379",
            &format!("location /a/ {{ {pass} proxy_cookie_path /a/ /; }}"),
            &format!("location /a/ {{ {pass} proxy_set_header X-Forwarded-Prefix /a; proxy_cookie_path /a/ /; }}"),
        ),
        (
            "W379",
            &format!("location /a/ {{ {pass} proxy_redirect /a/ /; }}"),
            &format!("location /a/ {{ {pass} proxy_redirect / /a/; }}"),
        ),
    ] {
        check(&[(code, &plain(bad), &plain(good))]);
    }
    // The URL of the pass has the slash.
    let is_found = |url: &str| {
        let all = super::codes(&plain(&format!("location /g/ {{ rewrite ^/g/(.*) $1 break; proxy_pass {url}; }}")));
        all.iter().any(|code| code == "W065")
    };
    assert!(is_found("http://127.0.0.1:3000") && !is_found("http://127.0.0.1:3000/$uri"));
}

#[test]
fn a_limit_that_meets_others_than_it_is_meant_for_is_found() {
    let zone = |table: &str, key: &str, rate: &str, line: &str| {
        let zone = format!("limit_req_zone {key} zone=a:1m rate={rate};");
        format!("http {{ {table} {zone} server {{ listen 127.0.0.1:80; server_name a.test; {line} }} }}")
    };
    let geo = "geo $g { default 1; 10.0.0.0/8 0; }";
    let map = format!("{geo} map $g $key {{ 0 \"\"; 1 $binary_remote_addr; }}");
    let bots = "map $http_user_agent $b { default \"\"; ~*bot 1; }";
    let (line, one) = ("limit_req zone=a burst=20;", "limit_req zone=a;");
    let pass = "proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host;";
    check(&[
        ("W369", &zone(geo, "$g", "9r/s", line), &zone(&map, "$key", "9r/s", line)),
        ("W369", &zone(geo, "$g", "9r/s", line), &zone(bots, "$b", "9r/s", line)),
        (
            "W374",
            &zone("", "$binary_remote_addr", "1r/s", "limit_req zone=a;"),
            &zone("", "$binary_remote_addr", "1r/s", "limit_req zone=a burst=20;"),
        ),
        (
            "W374",
            &zone("", "$binary_remote_addr", "1r/s", &format!("root /srv; {one} location /x {{ {pass} }}")),
            &zone("", "$binary_remote_addr", "1r/s", &format!("{one} location / {{ {pass} }}")),
        ),
        (
            "W374",
            &zone("", "$binary_remote_addr", "1r/s", "limit_req zone=a;"),
            &zone("map $request_method $p { POST $binary_remote_addr; }", "$p", "1r/s", "limit_req zone=a;"),
        ),
        (
            "W374",
            &zone("", "$binary_remote_addr", "60r/m", "limit_req zone=a;"),
            &zone("", "$binary_remote_addr", "1r/s", "location /login { limit_req zone=a; }"),
        ),
    ]);
    check_in(plain, &[("W375", "large_client_header_buffers 2 1k;", "large_client_header_buffers 4 16k;")]);
}

#[test]
fn what_no_request_is_meant_to_get_is_found() {
    check(&[
        ("W101", &plain("if ($request_uri ~ /to/(.*)) { set $a b; } location /p/ { proxy_pass http://$1; }"), ""),
        ("W101", &plain("rewrite ^/p/(.+)$ /q last; location /q { proxy_pass http://$1/; }"), ""),
    ]);
    for good in [
        "if ($request_uri ~ /to/(a|b)) { set $a b; } location /p/ { proxy_pass http://$1; }",
        "if ($request_uri !~ /to/(.*)) { set $a b; } location /p/ { proxy_pass http://$1; }",
        "if ($request_uri ~ /to/(.*)) { set $a b; } location ~ ^/(a|b)$ { proxy_pass http://$1; }",
        "if ($scheme ~ (.*)) { set $a b; } location /p/ { proxy_pass http://$1; }",
        "if ($request_uri ~ /to/(.*)) { set $a b; } location /p/ { proxy_pass http://a.test/$1; }",
    ] {
        let found = super::codes(&plain(good));
        assert!(!found.iter().any(|code| code == "W101"), "{good}: {found:?}");
    }
    check_in(
        plain,
        &[
            (
                "W376",
                "location = / { add_header Cache-Control no-cache; } location / { }",
                "location = /index.html { add_header Cache-Control no-cache; } location / { }",
            ),
            (
                "W376",
                "location = / { expires -1; } location / { }",
                "autoindex on; location = / { expires -1; } location / { }",
            ),
            (
                "W376",
                "location = / { expires -1; } location / { }",
                "location = / { expires -1; try_files /index.html =404; } location / { }",
            ),
            ("W139", "root /w; client_body_temp_path /w/tmp;", "root /w; client_body_temp_path /var/tmp/bodies;"),
            (
                "W068",
                "if ($ssl_client_verify != success) { return 403; }",
                "if ($ssl_client_verify != NONE) { return 403; }",
            ),
        ],
    );
    let credentials =
        "add_header Access-Control-Allow-Origin https://b.test; add_header Access-Control-Allow-Credentials true;";
    check_in(
        tls,
        &[
            ("W068", "if ($https = off) { return 403; }", "if ($https = on) { return 204; }"),
            (
                "W156",
                &format!("{credentials} add_header Access-Control-Allow-Headers *;"),
                &format!("{credentials} add_header Access-Control-Allow-Headers Authorization;"),
            ),
        ],
    );
}
