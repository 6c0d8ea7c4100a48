//! Rules that follow what variables are assigned, and others beside them: each dangerous text with its harmless twin.

use super::files::count;
use super::twins::check;
use super::*;

fn http(tables: &str, server: &str) -> String {
    format!("http {{ {tables} server {{ listen 127.0.0.1:1; {server} }} }}")
}

#[test]
fn a_value_from_the_client_is_found_behind_the_variables_that_it_was_put_into() {
    check(&[
        (
            "W103",
            "server { set $h $http_host; location / { proxy_set_header Host $h; proxy_pass http://127.0.0.1:1; } }",
            "server { set $h $host; location / { proxy_set_header Host $h; proxy_pass http://127.0.0.1:1; } }",
        ),
        ("W103", "fastcgi_param HTTP_HOST $arg_host;", "fastcgi_param HTTP_HOST $host;"),
        ("W124", "server { set $dir /; root $dir; }", "server { set $dir /srv; root $dir; }"),
        (
            "W102",
            "server { set $to $uri; location /a { return 302 https://a.test$to; } }",
            "server { set $to $request_uri; location /a { return 302 https://a.test$to; } }",
        ),
        (
            "W101",
            "server { set $t 10.0.0.1; if ($http_x_t) { set $t $http_x_t; } location / { proxy_pass http://$t; } }",
            "server { set $t 10.0.0.1; if ($http_x_t) { set $t 10.0.0.2; } location / { proxy_pass http://$t; } }",
        ),
        (
            "W101",
            "location /f/ { rewrite ^/f/(.+)/(.*)$ /$2 break; proxy_pass http://$1; }",
            "location /f/ { rewrite ^/f/(a|b)/(.*)$ /$2 break; proxy_pass http://$1; }",
        ),
    ]);
    let mapped = |value: &str| {
        let server = "location / { proxy_set_header Host $h; proxy_pass http://127.0.0.1:2; }";
        http(&format!("map $uri $h {{ default a.test; /x {value}; }}"), server)
    };
    check(&[("W103", &mapped("$http_x_host"), &mapped("b.test"))]);
}

#[test]
fn each_value_of_a_table_is_named_once_where_no_condition_meets_it() {
    let text = http("map $arg_a $v { default a; x b; y a; }", "if ($v = c) { return 403; }");
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let found = lint(&loaded.directives, &loaded.sources, None);
    let help: Vec<_> = found.iter().map(|warning| warning.help.concat()).collect();
    assert_eq!(help, ["its values are \"a\", \"b\""]);
}

#[test]
fn an_upstream_group_is_known_where_its_name_is_written_in_another_case() {
    let app = |group: &str, lines: &str| {
        http(
            &format!("upstream {group} {{ server 127.0.0.1:2; keepalive 4; }}"),
            &format!("location / {{ {lines} proxy_pass http://my_app; }}"),
        )
    };
    let named = "proxy_set_header Host $host;";
    check(&[
        ("W028", &app("My_app", &format!("{named} proxy_http_version 1.0;")), &app("My_app", named)),
        ("W089", &app("My_app", ""), &app("My_app", named)),
    ]);
    let site = |group: &str| http(group, "location / { proxy_pass https://api.example.org; }");
    check(&[("W087", &site(""), &site("upstream API.example.org { server 127.0.0.1:2; }"))]);
}

#[test]
fn a_condition_that_the_lines_of_a_table_decide_is_found() {
    let map = |lines: &str, condition: &str| {
        http(&format!("map $arg_a $v {{ {lines} }}"), &format!("if ({condition}) {{ return 403; }}"))
    };
    check(&[
        ("W083", &map("default 0; a 0;", "$v"), &map("default 0; a 1;", "$v")),
        ("W083", &map("default a; x b;", "$v = c"), &map("default a; x b;", "$v = b")),
        ("W083", &map("default a; x b;", "$v != c"), &map("default a; x b;", "$v != b")),
        ("W159", &map("a 1; b 0;", "$v = 0"), &map("default 0; a 1; b 0;", "$v = 0")),
        ("W159", &map("a 0; b 1;", "$v"), &map("a 1; b 1;", "$v")),
        ("W083", &map("default 0; a 0;", " $v "), &map("default 0;", "$v")),
    ]);
    let geo = |lines: &str| http(&format!("geo $v {{ {lines} }}"), "if ($v = 0) { return 403; }");
    check(&[
        ("W159", &geo("10.0.0.0/8 1; 10.1.0.0/16 0;"), &geo("default 0; 10.0.0.0/8 1; 10.1.0.0/16 0;")),
        ("W045", &geo("default 0; 0.0.0.0/0 1; 10.1.0.0/16 0;"), &geo("0.0.0.0/0 1; 10.1.0.0/16 0;")),
    ]);
}

#[test]
fn a_condition_with_its_parentheses_apart_is_read_as_one_without() {
    check(&[
        ("W068", "if ( $request_method = post ) { return 405; }", "if ( $request_method = POST ) { return 405; }"),
        ("W068", "if ($http_user_agent = curl) { return 403; }", "if ($http_user_agent = my-monitor) { return 403; }"),
        ("W068", "if ($arg_a = b)) { return 403; }", "if ($arg_a = \"b)\") { return 403; }"),
        (
            "W060",
            "if ($http_cookie ~ \"a=[a-z]+\") { set $x $1; }",
            "if ($http_cookie ~ \"a=([a-z]+)\") { set $x $1; }",
        ),
        ("W022", "if ( $uri = \"^/a\" ) { return 403; }", "if ( $uri ~ \"^/a\" ) { return 403; }"),
    ]);
}

#[test]
fn requests_that_are_led_out_of_their_location_are_found() {
    let api = |line: &str| {
        format!("server {{ location / {{ }} location /api/ {{ {line} proxy_pass http://127.0.0.1:1; }} }}")
    };
    check(&[
        ("W085", &api("rewrite ^/api/(.*)$ /$1;"), &api("rewrite ^/api/(.*)$ /$1 break;")),
        ("W085", &api("rewrite ^/api/(.*)$ /v2/$1 last;"), &api("rewrite ^/api/old/(.*)$ /v2/$1 last;")),
        (
            "W086",
            "server { server_name _; return 301 https://$server_name$request_uri; }",
            "server { server_name a.test; return 301 https://$server_name$request_uri; }",
        ),
        (
            "W086",
            "server { location /a { return 301 https://$server_name/b; } }",
            "server { location /a { return 301 https://$server_name_b/b; } }",
        ),
        ("W077", "location /a { return 301 $host/b; }", "location /a { return 301 $scheme://$host/b; }"),
        (
            "W065",
            r"if ($host ~ ^www\.([a-z.]+)$) { set $bare $1; rewrite ^/(.*)$ $bare/$1 permanent; }",
            r"if ($host ~ ^www\.([a-z.]+)$) { set $bare $1; rewrite ^/(.*)$ https://$bare/$1 permanent; }",
        ),
        (
            "W041",
            "set $a http://127.0.0.1:1; location /a/ { proxy_pass $a/; }",
            "set $a http://127.0.0.1:1; location /a/ { proxy_pass $a; }",
        ),
        (
            "W087",
            "location / { proxy_pass https://a.example.org; }",
            "location / { proxy_pass https://a.example.org; proxy_ssl_server_name on; }",
        ),
        (
            "W087",
            "location / { proxy_pass https://a.example.org:8443; }",
            "location / { proxy_pass https://10.0.0.1; }",
        ),
        (
            "W087",
            "location / { proxy_pass https://a.example.org$request_uri; }",
            "location / { proxy_pass https://a.example.org$request_uri; proxy_ssl_server_name on; }",
        ),
        ("W088", r"location ~ \.(css|html)$ { expires max; }", r"location ~ \.(css|js)$ { expires max; }"),
        ("W088", "location = /index.html { expires 1y; }", "location = /index.html { expires 1h; }"),
        ("W088", "location = /index.html { expires 52w; }", "location = /index.html { expires 4w; }"),
        ("W088", "location = /index.html { expires 12M; }", "location = /index.html { expires 2M; }"),
        ("W088", "location = /index.html { expires 4380h; }", "location = /index.html { expires 24h; }"),
    ]);
}

#[test]
fn what_an_application_cannot_use_is_found() {
    let app = |line: &str| {
        format!(
            "http {{ upstream my_app {{ server 127.0.0.1:2; }} server {{ location / {{ proxy_pass http://my_app; {line} }} }} }}"
        )
    };
    let script = |path: &str| {
        format!(
            r"location /a/ {{ alias /srv/; location ~ \.php$ {{ fastcgi_pass 127.0.0.1:9000; fastcgi_param SCRIPT_FILENAME {path}; }} }}"
        )
    };
    check(&[
        ("W089", &app(""), &app("proxy_set_header Host $host;")),
        ("W090", &script("$document_root$fastcgi_script_name"), &script("$request_filename")),
        ("W130", r#"map $uri $x { default 0; "~*^(\w+\s?)+$" 1; }"#, r#"map $uri $x { default 0; "~*^\w+$" 1; }"#),
        (
            "W070",
            "add_header Content-Security-Policy \"default-src 'self'\"; add_header Content-Security-Policy \"img-src *\";",
            "add_header Content-Security-Policy \"default-src 'self'\"; add_header Content-Security-Policy \"sandbox\";",
        ),
        ("W119", "server_tokens build;", "server_tokens off;"),
        ("W162", "error_log logs/e.log debug;", "error_log logs/e.log info;"),
    ]);
}

#[test]
fn an_upload_area_that_others_profit_from_is_found() {
    let area = |line: &str| format!("location /u/ {{ allow 10.0.0.1; deny all; {line} }}");
    check(&[
        ("W218", &area("upload_execute on;"), &area("upload_execute off;")),
        (
            "W219",
            &area("upload_resumable on; upload_resumable_max_age 0;"),
            &area("upload_resumable on; upload_resumable_max_age 10m;"),
        ),
        ("W220", &area("upload_cross_site on;"), "location /u/ { upload_cross_site on; }"),
        (
            "W201",
            "location /u/ { dav_methods PUT; limit_except GET PUT { deny all; } }",
            "location /u/ { dav_methods PUT; limit_except GET { deny all; } }",
        ),
        (
            "W207",
            "server { location /u/ { allow 10.0.0.1; deny all; delete_trash bin; } location /b/ { alias bin/; } }",
            "server { location /u/ { allow 10.0.0.1; deny all; delete_trash bin; } location /b/ { alias other/; } }",
        ),
    ]);
}

#[test]
fn a_password_that_is_sent_in_the_clear_is_found() {
    let server = |lines: &str| format!("server {{ {lines} auth_basic x; auth_basic_user_file /f; }}");
    check(&[
        ("W160", &server("listen 8080;"), &server("listen 127.0.0.1:8080;")),
        ("W160", &server("listen 80; listen [::1]:80;"), &server("listen [::1]:80; listen unix:/run/a.sock;")),
        ("W160", &server("listen 198.51.100.7:80;"), &server("listen 192.168.1.7:80;")),
        ("W160", &server("listen 80;"), &server("listen 80; set_real_ip_from 10.0.0.1;")),
        ("W160", &server("listen 80;"), &server("listen 80; if ($scheme = http) { return 301 https://a.test; }")),
    ]);
}

#[test]
fn a_key_that_every_user_can_read_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let dir = std::env::temp_dir().join(format!("webserv-lint-key-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a scratch directory");
    let key = dir.join("k.pem");
    std::fs::write(&key, "").expect("a file");
    let mode = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: true };
    let mut seen = Vec::new();
    for (of_dir, of_key) in [(0o755, 0o644), (0o755, 0o640), (0o700, 0o644)] {
        mode(&dir, of_dir);
        mode(&key, of_key);
        seen.push(count("ssl_certificate_key k.pem;", "W161", &paths));
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(seen, [1, 0, 0]);
}

#[test]
fn paths_relative_to_the_prefix_count_as_below_the_root() {
    let paths = Paths { prefix: "/srv/site".into(), conf_dir: "/srv/site".into(), on_this_machine: false };
    let mut found = Vec::new();
    for (root, users) in [("html", "html/users"), ("html", "users"), ("/srv/site", "users"), ("htm", "html/users")] {
        let text = format!("server {{ root {root}; auth_basic x; auth_basic_user_file {users}; }}");
        found.push(count(&text, "W139", &paths));
    }
    assert_eq!(found, [1, 0, 1, 0]);
}

#[test]
fn logs_that_are_no_files_are_not_served() {
    let paths = Paths { prefix: "/srv/site".into(), conf_dir: "/srv/site".into(), on_this_machine: false };
    let mut found = Vec::new();
    for log in ["access_log off", "error_log stderr", "error_log syslog:server=127.0.0.1", "access_log logs/a.log"] {
        found.push(count(&format!("server {{ root /srv/site; {log}; }}"), "W139", &paths));
    }
    assert_eq!(found, [0, 0, 0, 1]);
}

#[test]
fn a_log_of_all_servers_that_one_of_them_sends_is_found() {
    let mut found = Vec::new();
    for text in [
        "http { access_log /w/a.log; server { root /w; } server { root /w; } }",
        "error_log /w/a.log; http { root /w; server { location / { return 200; } } server { listen 81; } }",
        "http { access_log /w/a.log; server { root /w; return 301 https://a.test; } server { root /v; } }",
        "http { access_log /w/a.log; server { root /w; location ~ \\.log$ { deny all; return 403; } } }",
    ] {
        let paths = Paths { prefix: "/".into(), conf_dir: "/".into(), on_this_machine: false };
        found.push(count(text, "W139", &paths));
    }
    assert_eq!(found, [1, 1, 0, 0]);
}

#[test]
fn a_script_is_looked_for_in_the_root() {
    let paths = Paths { prefix: "/srv/site".into(), conf_dir: "/srv/site".into(), on_this_machine: false };
    let mut found = Vec::new();
    for (root, script, pass) in [
        ("html", "/var/www/x$fastcgi_script_name", "127.0.0.1:9000"),
        ("html", "/srv/site/html$fastcgi_script_name", "127.0.0.1:9000"),
        ("/var/www/x/", "/var/www/x$fastcgi_script_name", "unix:/run/php.sock"),
        ("html", "/var/www/x$fastcgi_script_name", "php:9000"),
    ] {
        let text = format!(
            r"server {{ root {root}; location ~ \.php$ {{ fastcgi_pass {pass}; fastcgi_param SCRIPT_FILENAME {script}; }} }}"
        );
        found.push(count(&text, "W084", &paths));
    }
    assert_eq!(found, [1, 0, 0, 0]);
}
