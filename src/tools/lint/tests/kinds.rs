//! Mistakes of guides and forums, each beside the same lines as they are meant.

use super::twins::{PHP, check, check_in, tls};
use super::*;

/// In a server without TLS.
fn plain(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; {lines} }} }}")
}

#[test]
fn arguments_that_are_given_twice_or_lost_are_found() {
    check_in(
        plain,
        &[
            ("W091", "return 301 https://b.test$request_uri$is_args$args;", "return 301 https://b.test$request_uri;"),
            ("W091", "return 301 https://b.test$request_uri?$args;", "return 301 https://b.test/a?$args;"),
            (
                "W091",
                "rewrite ^ https://b.test$request_uri permanent;",
                "rewrite ^ https://b.test$request_uri? permanent;",
            ),
            ("W091", "rewrite ^/a$ /b?x=1&$args last;", "rewrite ^/a$ /b?x=1 last;"),
            ("W091", "rewrite ^/a$ /b?$query_string;", "set $args a=b; rewrite ^/a$ /b?$args;"),
            ("W091", "rewrite ^/a$ /b?$args;", "if ($arg_a) { set $args a=b; } rewrite ^/a$ /b?$args;"),
            (
                "W091",
                "location / { try_files $uri /a?$is_args$args; }",
                "location / { try_files $uri /a$is_args$args; }",
            ),
            (
                "W092",
                "location ~ ^/a/(.*)$ { proxy_pass http://127.0.0.1:3000/$1; }",
                "location ~ ^/a/(.*)$ { proxy_pass http://127.0.0.1:3000/$1$is_args$args; }",
            ),
            (
                "W092",
                "location ~ ^/a/(.*)$ { proxy_pass http://127.0.0.1:3000/$1; }",
                "location ~ ^/a/(.*)\\.png$ { proxy_pass http://127.0.0.1:3000/$1.png; }",
            ),
            (
                "W092",
                "location ~ ^/(a|b)/(.*)$ { proxy_pass http://127.0.0.1:3000/$1-$2; }",
                "location ~ ^/(a|b)/(.*)$ { proxy_pass http://127.0.0.1:3000/$2; }",
            ),
        ],
    );
    let front = |page: &str| plain(&format!("location / {{ try_files $uri {page}; }} {PHP}"));
    check(&[("W092", &front("/index.php"), &front("/index.php?$args"))]);
}

#[test]
fn networks_and_rules_that_see_other_addresses_than_meant_are_found() {
    check_in(
        plain,
        &[
            ("W163", "allow 172.0.0.0/8; deny all;", "allow 172.16.0.0/12; deny all;"),
            ("W163", "allow 192.0.0.0/8; deny all;", "allow 192.0.2.0/24; deny all;"),
            ("W163", "allow 192.168.0.0/8; deny all;", "allow 128.0.0.0/1; deny all;"),
            ("W164", "allow 0.0.0.0; deny all;", "allow 10.0.0.1; deny all;"),
            ("W164", "allow 10.0.0.1; deny ::;", "allow 10.0.0.1; deny all;"),
            (
                "W093",
                "set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol;",
                "listen 8080 proxy_protocol; set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol;",
            ),
            (
                "W165",
                "listen 8080 proxy_protocol; allow 203.0.113.0/24; deny all;",
                "listen 8080 proxy_protocol; allow 127.0.0.1; deny all;",
            ),
            (
                "W165",
                "listen 8080 proxy_protocol; location / { allow 203.0.113.1; deny all; }",
                "listen 8080 proxy_protocol; set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol; \
             location / { allow 203.0.113.1; deny all; }",
            ),
        ],
    );
}

#[test]
fn upstreams_that_are_spoken_to_otherwise_than_they_expect_are_found() {
    let pass = |group: &str, url: &str| {
        let group = if group.is_empty() { String::new() } else { format!("upstream app {{ {group} }}") };
        format!(
            "http {{ {group} server {{ listen 127.0.0.1:80; location /a/ {{ proxy_pass {url}; \
             proxy_set_header Host $host; proxy_ssl_server_name on; proxy_ssl_name a.test; }} }} }}"
        )
    };
    for (code, bad, good) in [
        ("W094", ("", "http://10.0.0.1:443"), ("", "https://10.0.0.1:443")),
        ("W094", ("", "https://10.0.0.1:80"), ("", "http://10.0.0.1:80")),
        ("W094", ("server 10.0.0.1:443;", "http://app"), ("server 10.0.0.1:8443;", "http://app")),
        ("W094", ("server 10.0.0.1:443;", "http://App"), ("server 10.0.0.1:8443;", "http://App")),
        ("W094", ("server a.test;", "https://app"), ("server a.test:443;", "https://app")),
        ("W094", ("server [::1];", "https://app"), ("server unix:/run/a;", "https://app")),
        ("W095", ("", "http://unix:/run/a.sock/"), ("", "http://unix:/run/a.sock:/")),
        // An error of its own, whose help is right.
        ("W095", ("", "http://unix:/run/a.sock/"), ("", "http://unix/run/a.sock/")),
    ] {
        check(&[(code, &pass(bad.0, bad.1), &pass(good.0, good.1))]);
    }
    check_in(
        plain,
        &[
            (
                "W097",
                "location / { proxy_pass http://10.0.0.1; error_page 404 /404.html; }",
                "location / { proxy_pass http://10.0.0.1; error_page 404 /404.html; proxy_intercept_errors on; }",
            ),
            (
                "W097",
                "location / { uwsgi_param A $uri; uwsgi_pass a:1; error_page 403 404 /404.html; }",
                "location / { uwsgi_param A $uri; uwsgi_pass a:1; error_page 502 504 /50x.html; }",
            ),
            ("W166", "proxy_next_upstream error non_idempotent;", "proxy_next_upstream error;"),
            (
                "W301",
                "resolver 10.0.0.1; location / { proxy_pass http://app:3000; }",
                "resolver 10.0.0.1; set $app app; location / { proxy_pass http://$app:3000; }",
            ),
            (
                "W301",
                "resolver 10.0.0.1; location / { proxy_pass http://app.test; }",
                "resolver 10.0.0.1; location / { proxy_pass http://10.0.0.2; }",
            ),
            (
                "W098",
                "location ~ \\.php$ { fastcgi_param PATH_INFO $fastcgi_path_info; fastcgi_param SCRIPT_FILENAME $uri; fastcgi_pass a:1; }",
                "location ~ \\.php$ { fastcgi_param PATH_INFO $fastcgi_path_info; fastcgi_param SCRIPT_FILENAME $uri; \
             fastcgi_split_path_info ^(.+\\.php)(/.*)$; fastcgi_pass a:1; }",
            ),
        ],
    );
    check_in(
        tls,
        &[
            ("W096", "proxy_set_header X-Forwarded-Proto http;", "proxy_set_header X-Forwarded-Proto https;"),
            (
                "W176",
                "ssl_early_data on; location / { proxy_pass http://10.0.0.1; }",
                "ssl_early_data on; location / { proxy_pass http://10.0.0.1; proxy_set_header Host $host; \
             proxy_set_header Early-Data $ssl_early_data; }",
            ),
        ],
    );
    let group = |lines: &str| {
        format!(
            "http {{ upstream app {{ {lines} server 10.0.0.1; server 10.0.0.2; }} server {{ proxy_http_version 1.1; \
             location / {{ proxy_pass http://app; proxy_set_header Connection \"\"; }} }} }}"
        )
    };
    check(&[("W099", &group("keepalive 8; ip_hash;"), &group("ip_hash; keepalive 8;"))]);
}

#[test]
fn requests_that_come_back_to_what_sent_them_away_are_found() {
    check_in(
        plain,
        &[
            (
                "W302",
                "allow 10.0.0.1; deny all; error_page 403 /403.html;",
                "allow 10.0.0.1; deny all; error_page 403 /403.html; location = /403.html { allow all; }",
            ),
            (
                "W302",
                "deny all; error_page 403 /403.html;",
                "deny all; error_page 403 /403.html; location = /403.html { return 200 no; }",
            ),
            (
                "W302",
                "auth_basic a; auth_basic_user_file /f; error_page 401 /401.html;",
                "auth_basic a; auth_basic_user_file /f; error_page 401 /401.html; location = /401.html { auth_basic off; }",
            ),
            (
                "W302",
                "error_page 503 /m.html; if (-f /m) { return 503; }",
                "error_page 503 @m; if (-f /m) { return 503; } location @m { rewrite ^ /m.html break; }",
            ),
            (
                "W302",
                "error_page 503 /m.html; if ($arg_m) { return 503; }",
                "error_page 503 /m.html; if ($uri != /m.html) { return 503; }",
            ),
            ("W303", "rewrite ^/s(.*)$ /s/$1 permanent;", "rewrite ^/s$ /s/ permanent;"),
            ("W303", "rewrite ^/(.*)$ /new/$1 redirect;", "rewrite ^/old/(.*)$ /new/$1 redirect;"),
            (
                "W303",
                "location / { rewrite ^(.*)$ /n$1 permanent; }",
                "location / { rewrite ^(.*)$ /n$1 permanent; } location /n { }",
            ),
            (
                "W304",
                "rewrite ^/(.*)/$ /$1 permanent; location / { try_files $uri $uri/ =404; }",
                "rewrite ^/(.*)/$ /$1 permanent; location / { try_files $uri $uri.html =404; }",
            ),
            (
                "W304",
                "rewrite ^/(.*)/$ /$1 permanent; location / { try_files $uri $uri/ =404; }",
                "if (!-d $request_filename) { rewrite ^/(.*)/$ /$1 permanent; } location / { try_files $uri $uri/ =404; }",
            ),
            (
                "W310",
                "if ($scheme != https) { return 301 https://$host$request_uri; } location / { }",
                "if ($scheme != https) { return 301 https://$host$request_uri; } listen 443 ssl; location / { }",
            ),
        ],
    );
}

#[test]
fn paths_that_another_location_answers_and_private_directories_are_found() {
    check_in(
        plain,
        &[
            (
                "W305",
                "location /.well-known/ { root /w; } location ~ /\\. { deny all; }",
                "location ^~ /.well-known/ { root /w; } location ~ /\\. { deny all; }",
            ),
            (
                "W305",
                "location /.well-known/ { root /w; } location ~ /\\. { return 404; }",
                "location /.well-known/ { root /w; } location ~ /\\.(?!well-known) { return 404; }",
            ),
            (
                "W306",
                "location /a/ { alias /w/; try_files $uri /index.html; }",
                "location /a/ { alias /w/; try_files $uri /a/index.html; }",
            ),
            (
                "W306",
                "location /a/ { alias /w/; try_files $uri /index.html; }",
                "location /a/ { alias /w/; try_files $uri /index.html; } location = /index.html { }",
            ),
            (
                "W307",
                "root /w; location = / { root /s; index a.html; }",
                "root /w; location = / { root /s; try_files /a.html =404; }",
            ),
            ("W307", "root /w; location = / { root /s; index a.html; }", "root /w; location = / { index a.html; }"),
            ("W167", "location /u/ { alias /home/a/; }", "location /u/ { alias /home/a/public_html/; }"),
            ("W167", "root /etc/letsencrypt;", "root /etc/letsencrypt/html;"),
            (
                "W110",
                "location ~ \\.php$ { fastcgi_param SCRIPT_FILENAME $uri; fastcgi_pass a:1; } location ~* /up/.*\\.php$ { deny all; }",
                "location ~* /up/.*\\.php$ { deny all; } location ~ \\.php$ { fastcgi_param SCRIPT_FILENAME $uri; fastcgi_pass a:1; }",
            ),
        ],
    );
}

#[test]
fn protection_that_is_written_and_does_not_protect_is_found() {
    check_in(
        tls,
        &[
            ("W169", "location /a { return 301 http://$host/b; }", "location /a { return 301 http://b.test/b; }"),
            (
                "W169",
                "location /a { rewrite ^ http://a.test/b permanent; }",
                "location /a { return 301 https://$host/b; }",
            ),
            ("W309", "ssl_reject_handshake on; location / { }", "ssl_reject_handshake on;"),
            (
                "W156",
                "add_header Strict-Transport-Security \"max-age=31536000, preload\";",
                "add_header Strict-Transport-Security \"max-age=31536000; preload\";",
            ),
        ],
    );
    // No redirect: W169 has nothing to say.
    assert_eq!(codes(&tls("location /a { return 304 http://$host/b; }")), ["W079"]);
    let link = |hashed: &str| {
        plain(&format!(
            "location /p/ {{ secure_link $arg_h; secure_link_md5 \"{hashed}\"; if ($secure_link = \"\") {{ return 403; }} }}"
        ))
    };
    check(&[("W170", &link("$remote_addr s"), &link("$uri s"))]);
    let limit = |line: &str| {
        format!(
            "http {{ limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; server {{ limit_req zone=a; {line} }} }}"
        )
    };
    check(&[("W171", &limit("limit_req_dry_run on;"), &limit("limit_req_dry_run off;"))]);
    check_in(
        plain,
        &[
            (
                "W172",
                "underscores_in_headers on; proxy_set_header X-User $remote_user;",
                "underscores_in_headers on; proxy_set_header X-Id $request_id;",
            ),
            (
                "W175",
                "add_header Access-Control-Allow-Origin $http_origin;",
                "add_header Access-Control-Allow-Origin *;",
            ),
            (
                "W175",
                "add_header Access-Control-Allow-Origin $http_origin;",
                "add_header Access-Control-Allow-Origin $http_origin; add_header Vary Origin;",
            ),
        ],
    );
    let for_origin = |subject: &str| {
        format!(
            "http {{ map {subject} $cors {{ default a; }} server {{ add_header Access-Control-Allow-Origin $cors; }} }}"
        )
    };
    check(&[("W175", &for_origin("$http_origin"), &for_origin("$host"))]);
    check(&[
        (
            "W174",
            "http { log_format a escape=none $http_user_agent; access_log l a; server { } }",
            "http { log_format a escape=none $status; access_log l a; server { } }",
        ),
        (
            "W157",
            "http { log_format a $request_body; access_log l a; server { } }",
            "http { log_format a $request_length; access_log l a; server { } }",
        ),
        (
            "W311",
            "error_log l warn; http { server { rewrite_log on; } }",
            "error_log l info; http { server { rewrite_log on; } }",
        ),
        (
            "W152",
            "server { cgi_env A a; location / { cgi_env B b; } }",
            "server { cgi_env A a; location / { cgi_env A a; cgi_env B b; } }",
        ),
    ]);
}

#[test]
fn certificates_that_no_browser_takes_are_found() {
    let order = |issuer: &str, name: &str| {
        format!(
            "http {{ acme_issuer le {{ {issuer} }} server {{ listen 443 ssl; server_name {name}; acme_certificate le; }} }}"
        )
    };
    let real = "uri https://acme-v02.api.letsencrypt.org/directory;";
    let staging = "uri https://acme-staging-v02.api.letsencrypt.org/directory;";
    let (state, none) = (format!("{real} state_path /var/lib/a;"), format!("{real} state_path off;"));
    let (lost, unchecked) = (format!("{real} state_path /tmp/a;"), format!("{real} ssl_verify off;"));
    check(&[
        ("W221", &order(staging, "a.example.org"), &order(real, "a.example.org")),
        ("W222", &order(&unchecked, "a.example.org"), &order(real, "a.example.org")),
        ("W223", &order(&none, "a.example.org"), &order(&state, "a.example.org")),
        ("W223", &order(&lost, "a.example.org"), &order(&state, "a.example.org")),
        ("W224", &order(real, "a.local"), &order("uri https://ca.corp/acme;", "a.local")),
        (
            "W177",
            &tls("ssl_certificate /etc/letsencrypt/live/a/cert.pem;"),
            &tls("ssl_certificate /etc/letsencrypt/live/a/fullchain.pem;"),
        ),
    ]);
}

#[test]
fn settings_of_uploads_that_do_nothing_are_found() {
    check_in(
        plain,
        &[
            (
                "W225",
                "location /u/ { deny all; autoindex_upload on; }",
                "location /u/ { deny all; allowed_methods GET POST; autoindex_upload on; }",
            ),
            (
                "W225",
                "location /u/ { upload_types image/png; }",
                "location /u/ { deny all; dav_methods PUT; upload_types image/png; }",
            ),
            ("W225", "upload_max_files 3;", "upload_max_files 3; location /u/ { deny all; allowed_methods POST; }"),
            (
                "W226",
                "deny all; location /a/ { upload_store /u; upload_quota 1g; } location /b/ { upload_store /u/; }",
                "deny all; location /a/ { upload_store /u; upload_quota 1g; } location /b/ { upload_store /v; }",
            ),
            (
                "W227",
                "dav_ext_lock zone=a;",
                "dav_ext_lock zone=a; location / { deny all; dav_ext_methods LOCK UNLOCK; }",
            ),
            (
                "W227",
                "location / { deny all; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; }",
                "location / { deny all; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=a; }",
            ),
            (
                "W227",
                "dav_ext_lock zone=a; location / { deny all; dav_ext_lock off; dav_ext_methods LOCK UNLOCK; }",
                "location / { deny all; dav_ext_methods LOCK UNLOCK; location /a/ { dav_ext_lock zone=a; } }",
            ),
            ("W228", "upload_store_access user:rw all:rw;", "upload_store_access user:rw all:r;"),
            (
                "W139",
                "root /w; location /d/ { signed_link /w/keys; }",
                "root /w; location /d/ { signed_link /etc/webserv/keys; } location /e/ { signed_link off; }",
            ),
            (
                "W229",
                "auth_basic a; auth_basic_user_file /f; location = /h { health; }",
                "auth_basic a; auth_basic_user_file /f; location = /h { auth_basic off; health; }",
            ),
            (
                "W218",
                "location /u/ { deny all; allowed_methods POST; ssi on; }",
                "location /u/ { deny all; allowed_methods POST; ssi off; } location /v/ { ssi on; }",
            ),
            (
                "W145",
                "default_type text/html; location /u/ { deny all; allowed_methods POST; upload_return 200 $upload_field_a; }",
                "location /u/ { deny all; allowed_methods POST; upload_return 200 $upload_field_a; }",
            ),
        ],
    );
}

/// The codes of what is found with these files.
fn found_with(name: &str, files: &[(&str, &str)], text: &str) -> Vec<&'static str> {
    let dir = std::env::temp_dir().join(format!("webserv-lint-{name}-{}", std::process::id()));
    for (file, content) in files {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("a scratch directory");
        std::fs::write(path, content).expect("a scratch file");
    }
    let paths = Paths { prefix: dir.clone(), conf_dir: dir.join("conf"), on_this_machine: false };
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let found = lint(&loaded.directives, &loaded.sources, Some(&paths));
    let _ = std::fs::remove_dir_all(&dir);
    found.iter().filter_map(|warning| warning.code).collect()
}

#[test]
fn passwords_in_a_file_of_hashes_are_found() {
    let text = "server { location / { auth_basic a; auth_basic_user_file f; } }";
    for (line, expected) in [
        ("a:wonderland\n", &["W178"][..]),
        ("a:{PLAIN}wonderland\n", &["W178"]),
        ("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", &["W178"]),
        ("# users\n\na:$apr1$abcdefgh$0123456789012345678901\nb:{SSHA}x\nc:abJnggxhB/yWI\n", &[]),
        ("a:$2y$05$x:a comment\nb:!\n", &[]),
    ] {
        assert_eq!(found_with("hashes", &[("conf/f", line)], text), expected, "{line}");
    }
}

#[test]
fn what_lies_below_the_root_and_is_private_is_found() {
    for (text, expected) in [
        ("server { root conf/..; }", &["W168"][..]),
        ("server { location /all/ { alias ./; } }", &["W168"]),
        ("server { root html; }", &[]),
        ("server { location /sub/ { root .; } }", &[]),
        ("server { listen 443 ssl; ssl_certificate cert.pem; }", &["W177"]),
        ("server { listen 443 ssl; ssl_certificate fullchain.pem; }", &[]),
    ] {
        let files = [("conf/fullchain.pem", ""), ("conf/cert.pem", ""), ("html/index.html", "")];
        let found: Vec<_> = found_with("private", &files, text).into_iter().filter(|code| *code != "W120").collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Facts of the whole configuration are looked for in all of it.
#[test]
fn a_large_configuration_is_no_reason_to_warn() {
    let with = |lines: usize| {
        let many: String = (0..lines).map(|n| format!("h{n}.test {n};")).collect();
        format!(
            "http {{ real_ip_header proxy_protocol; set_real_ip_from 10.0.0.1; gzip_comp_level 5;\n\
             server {{ listen 127.0.0.1:80 proxy_protocol; listen 443 ssl; server_name a.test; gzip on; resolver 10.0.0.1; \
             location / {{ set $app app.test; proxy_pass http://$app:3000; proxy_set_header Host $host; \
             proxy_set_header Early-Data $ssl_early_data; }} }}\n\
             server {{ listen 127.0.0.1:81; server_name b.test; resolver 10.0.0.1; \
             if ($scheme != https) {{ return 301 https://$host$request_uri; }} \
             location / {{ proxy_pass http://app.test:3000; proxy_set_header Host $host; }} }}\n\
             server {{ listen 127.0.0.1:444 ssl; server_name c.test; ssl_early_data on; \
             location / {{ proxy_pass http://10.0.0.1; proxy_set_header Host $host; }} }}\n\
             map $host $many {{ default 0; {many} }} }}"
        )
    };
    let found = |text: &str| {
        let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let warnings = lint(&loaded.directives, &loaded.sources, None);
        warnings.iter().filter_map(|warning| warning.code).collect::<Vec<_>>()
    };
    assert_eq!((found(&with(1)), found(&with(21_000))), (vec![], vec![]));
}
