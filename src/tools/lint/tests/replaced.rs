//! Lists that replace others, barriers that hold no one back, and files beside those that are meant.

use super::files::count;
use super::twins::{check, check_in, tls};
use super::*;

/// In a server without TLS.
fn plain(lines: &str) -> String {
    format!("http {{ server {{ listen 127.0.0.1:80; server_name a.test; {lines} }} }}")
}

/// In a server on all addresses.
fn public(lines: &str) -> String {
    format!("http {{ server {{ listen 8080; server_name a.test; {lines} }} }}")
}

const PASS: &str = "proxy_pass http://127.0.0.1:3000; proxy_set_header Host $host;";

#[test]
fn lists_that_replace_those_of_the_level_above_are_found() {
    let pages = "error_page 404 /e; error_page 500 502 /f;";
    let zones = |lines: &str| {
        let zone = |name: &str| format!("limit_req_zone $binary_remote_addr zone={name}:1m rate=9r/s;");
        format!("http {{ {} {} server {{ listen 80; server_name a.test; {lines} }} }}", zone("a"), zone("b"))
    };
    let hide = |lines: &str| plain(&format!("proxy_hide_header X-A; location / {{ {PASS} {lines} }}"));
    // A limit, a page for another error and a fallback of a location are rules of their own.
    for good in [
        zones("limit_req zone=a; location /l { limit_req zone=b; }"),
        plain(&format!("{pages} location / {{ error_page 404 /g; {PASS} proxy_intercept_errors on; }}")),
        plain(&format!(
            "{pages} location / {{ error_page 502 = @g; {PASS} proxy_intercept_errors on; }} location @g {{ return 503; }}"
        )),
    ] {
        assert_eq!(unlike(&good, &[]), None);
    }
    check(&[
        (
            "W184",
            &plain("allow 10.0.0.0/8; deny all; location /a { deny 10.0.0.1; }"),
            &plain("allow 10.0.0.0/8; deny all; location /a { deny 10.0.0.1; allow 10.0.0.0/8; deny all; }"),
        ),
        (
            "W184",
            &plain("deny 10.0.0.1; location /a { deny 10.0.0.2; }"),
            &plain("deny 10.0.0.1; location /a { deny 10.0.0.1; deny 10.0.0.2; }"),
        ),
        (
            "W348",
            &plain(&format!("{pages} location / {{ error_page 500 /g; {PASS} proxy_intercept_errors on; }}")),
            &plain(&format!("{pages} location / {{ error_page 500 /g; root /srv; }}")),
        ),
        ("W348", &hide("proxy_hide_header X-B;"), &hide("proxy_hide_header x-a; proxy_hide_header X-B;")),
    ]);
}

#[test]
fn headers_and_redirects_that_reach_no_one_are_found() {
    check_in(
        plain,
        &[
            ("W349", "location / { add_header A b; return 401; }", "location / { add_header A b always; return 401; }"),
            ("W349", "location / { add_header A b; deny all; }", "location / { add_header A b; return 204; }"),
            (
                "W349",
                "location / { add_header A b; return 405; }",
                "location / { add_header A b; if ($request_method = OPTIONS) { return 204; } return 405; }",
            ),
            (
                "W349",
                "auth_basic a; auth_basic_user_file u; location / { add_header A b; deny all; }",
                "satisfy any; auth_basic a; auth_basic_user_file u; location / { add_header A b; deny all; }",
            ),
            (
                "W350",
                "location /a { return 302 /b/c?d; } location /b/ { internal; root /srv; }",
                "location /a { rewrite ^ /b/c last; } location /b/ { internal; root /srv; }",
            ),
            (
                "W351",
                "location /a/ { rewrite ^/a/(.*)$ /b/$1 break; proxy_pass http://127.0.0.1:3000/c/; }",
                "location /a/ { rewrite ^/a/(.*)$ /b/$1 break; proxy_pass http://127.0.0.1:3000/; }",
            ),
            (
                "W351",
                "location /a/ { rewrite ^/a/(.*)$ /b/$1 break; proxy_pass http://127.0.0.1:3000/c/; }",
                "location /a/ { rewrite ^/a/(.*)$ /c/$1 break; proxy_pass http://127.0.0.1:3000/c/; }",
            ),
            (
                "W352",
                "error_page 404 = @f; location @f { try_files $uri =404; }",
                "error_page 404 = @f; location @f { root /srv/b; try_files $uri =404; }",
            ),
            ("W353", "root /srv/html; index html/index.html;", "root /srv/html; index index.html;"),
            ("W353", "root /srv/html; index /srv/html/index.html;", "root /srv/html; index a/index.html;"),
            (
                "W357",
                "server_name b.test; return 301 http://a.test$request_uri;",
                "server_name b.test; return 301 http://c.test$request_uri;",
            ),
            ("W021", "listen 80.443;", "listen 8443;"),
            (
                "W190",
                "valid_referers ~example; if ($invalid_referer) { return 403; }",
                "valid_referers *.a.test; if ($invalid_referer) { return 403; }",
            ),
            ("W360", "gzip on; gzip_min_length 20m;", "gzip on; gzip_min_length 1k;"),
            ("W361", "access_log logs/a combined if=0;", "access_log logs/a combined if=$arg_a;"),
            ("W361", "access_log logs/a combined if=1;", "access_log logs/a combined if=$arg_a;"),
            ("W362", "add_header Content-Length 0;", "add_header X-Content-Length 0;"),
            (
                "W363",
                "location / { add_header Location /x; return 200 a; }",
                "location / { add_header Location /x; return 201 a; }",
            ),
            ("W365", "rewrite ^/a \"/b last\";", "rewrite ^/a \"/b\" last;"),
            (
                "W189",
                "location / { auth_basic a; auth_basic_user_file u; add_header Cache-Control \"public\"; }",
                "location / { auth_basic a; auth_basic_user_file u; add_header Cache-Control \"private\"; }",
            ),
        ],
    );
    let upgrade = |value: &str| {
        plain(&format!(
            "location / {{ {PASS} proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection {value}; }}"
        ))
    };
    let closes = unlike(&upgrade("\"Upgrade, close\""), &[]).unwrap_or_default();
    let is_silent = unlike(&upgrade("\"Upgrade\""), &[]);
    assert!(closes.contains("W0") || closes.contains("W3"), "{closes}");
    assert_eq!(is_silent, None);
}

#[test]
fn barriers_that_hold_no_one_back_are_found() {
    check_in(
        plain,
        &[
            ("W185", "if ($cookie_admin != yes) { return 403; }", "if ($cookie_admin != 8f2c0a71d) { return 403; }"),
            // 404 hides what is not finished; an argument is a link that one hands on.
            ("W185", "if ($cookie_beta != 1) { return 401; }", "if ($cookie_beta != 1) { return 404; }"),
            ("W185", "if ($http_x_admin != yes) { return 403; }", "if ($arg_preview != yes) { return 403; }"),
            (
                "W354",
                "location / { satisfy any; auth_basic a; auth_basic_user_file u; }",
                "location / { satisfy any; allow 10.0.0.1; deny all; auth_basic a; auth_basic_user_file u; }",
            ),
            ("W237", "client_body_in_file_only on;", "client_body_in_file_only clean;"),
            (
                "W237",
                "client_body_in_file_only on;",
                "client_body_in_file_only on; location / { root /srv; add_header X-A $request_body_file; }",
            ),
            ("W355", "client_header_timeout 1h;", "client_header_timeout 2m;"),
        ],
    );
    check_in(
        tls,
        &[("W188", "add_header Set-Cookie \"sid=1; HttpOnly\";", "add_header Set-Cookie \"sid=1; HttpOnly; Secure\";")],
    );
    let tunnel = "resolver 127.0.0.1; tunnel_pass;";
    let server =
        |listen: &str, lines: &str| format!("server {{ listen {listen}; server_name a.test; {lines} {tunnel} }}");
    let first = "server { listen 8080; server_name b.test; return 444; }";
    check(&[
        ("W187", &public(tunnel), &public(&format!("allow 10.0.0.1; deny all; {tunnel}"))),
        ("W187", &public(tunnel), &plain(tunnel)),
        ("W187", &server("8080", ""), &server("[::1]:8080", "listen unix:/run/a.sock;")),
        ("W187", &format!("{first} {}", server("8080 default_server", "")), &format!("{first} {}", server("8080", ""))),
    ]);
    check_in(public, &[("W358", "listen [::]:8080 ipv6only=off;", "listen [::]:8080;")]);
    let both = |one: &str, other: &str| {
        let server = |name: &str, to: &str| {
            format!("server {{ listen 80; server_name {name}; return 301 http://{to}$request_uri; }}")
        };
        format!("http {{ {} {} }}", server("a.test", one), server("b.test", other))
    };
    let server = format!("server {{ listen 80; server_name a.test; location / {{ {PASS} }} }}");
    check(&[
        (
            "W364",
            &format!("events {{ worker_connections 4; }} http {{ {server} }}"),
            &format!("events {{ worker_connections 4000; }} http {{ {server} }}"),
        ),
        ("W359", &both("b.test", "a.test"), &both("b.test", "c.test")),
    ]);
}

#[test]
fn an_upload_area_beside_the_root_of_scripts_is_not_one_of_scripts_that_are_run() {
    let text = |root: &str| {
        plain(&format!(
            "root {root}; location /in/ {{ upload_store up; auth_basic a; auth_basic_user_file u; }} \
             location ~ \\.php$ {{ try_files $uri =404; fastcgi_param SCRIPT_FILENAME $document_root$uri; fastcgi_pass 127.0.0.1:9; }}"
        ))
    };
    let warns = |root: &str| codes(&text(root)).contains(&"W202".to_owned());
    assert!(!warns("html") && warns("up") && warns("/srv"));
}

#[test]
fn masks_that_match_nothing_or_copies_and_pages_that_are_not_there_are_found() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-masks-{}", std::process::id()));
    for (name, text) in [
        ("only/site", ""),
        ("both/site.conf", ""),
        ("both/site.conf.bak", ""),
        ("html/404.html", "x"),
        ("one/site.conf", ""),
    ] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    std::fs::create_dir_all(dir.join("sites")).expect("made");
    for name in ["backup", "old"] {
        std::fs::write(dir.join("sites").join(name), "").expect("written");
    }
    let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
    let counted = |line: &str, code: &str| {
        let main = dir.join("main.conf");
        let text = format!("http {{ server {{ listen 1; server_name a.test; root html; {line} }} }}");
        let loaded = load_text(&main.display().to_string(), text.as_bytes(), &LoadOptions::default());
        lint(&loaded.directives, &loaded.sources, Some(&paths)).iter().filter(|d| d.code == Some(code)).count()
    };
    for (line, code, expected) in [
        ("include only/*.conf;", "W214", 1),
        ("include one/*.cnf;", "W214", 1),
        ("include one/*.conf;", "W214", 0),
        ("include both/*;", "W236", 1),
        ("include both/*.conf;", "W236", 0),
        ("include sites/*;", "W236", 0),
        ("\n# lint: allow W236\ninclude both/*;\n", "W236", 0),
        ("error_page 404 /40x.html;", "W235", 1),
        ("error_page 404 /404.html;", "W235", 0),
        ("error_page 404 /40x.html; location = /40x.html { return 404; }", "W235", 0),
        ("error_page 404 /40x.html; location / { try_files $uri /404.html; }", "W235", 0),
    ] {
        assert_eq!(counted(line, code), expected, "{line} {code}");
    }
    assert_eq!(count("http { server { listen 1; root html; error_page 404 /40x.html; } }", "W235", &paths), 1);
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn the_help_of_a_finding_is_a_line_that_one_can_write() {
    let of = |lines: &str, code: &str| {
        let text = plain(lines);
        let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let found = lint(&loaded.directives, &loaded.sources, None);
        let such = found.into_iter().find(|d| d.code == Some(code)).unwrap_or_else(|| panic!("{lines}: no {code}"));
        (such.message.clone(), such.help.first().cloned().unwrap_or_default())
    };
    let helped = |lines: &str, code: &str, part: &str| {
        let (_, help) = of(lines, code);
        assert!(help.contains(part), "{lines}: {help}");
    };
    helped("rewrite \"^/a{2}\" \"/b c last\";", "W365", "rewrite \"^/a{2}\" \"/b c\" last;");
    helped("rewrite ^/a \"/b last\";", "W365", "rewrite ^/a /b last;");
    helped("location / { add_header Location \"/x y\"; return 200 a; }", "W363", "return 302 \"/x y\";");
    helped(
        "add_header Cross-Origin-Resource-Policy cross-site;",
        "W156",
        "one of: same-origin, same-site, cross-origin",
    );
    helped("add_header Cross-Origin-Opener-Policy same_origin;", "W156", "did you mean \"same-origin\"?");
    let (_, help) = of("add_header Cross-Origin-Opener-Policy 'same_origin; report-to=\"coop\"';", "W156");
    assert!(help.contains("same-origin") && !help.contains("did you mean"), "{help}");
    let (message, _) = of("location / { add_header Content-Length 0; return 204; }", "W362");
    assert!(message.contains("a 204 must not have Content-Length"), "{message}");
    let passed = "location /a/ { rewrite ^/a/(.*)$ /b/$1 break; proxy_pass http://127.0.0.1:3000/c/; }";
    assert!(!of(passed, "W351").1.contains("proxy_pass"));
}
