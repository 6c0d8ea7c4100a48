//! What is dangerous beside what looks like it and is harmless: the first warns, the second is silent altogether.

use super::codes;

#[test]
fn the_harmless_twin_of_a_trap_is_silent() {
    let mut wrong = Vec::new();
    for (code, bad, good) in [
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
            "location / { proxy_pass http://$be$request_uri$is_args$args; }",
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
    ] {
        let (found, twin) = (codes(bad), codes(good));
        if !found.iter().any(|found| found == code) || !twin.is_empty() {
            wrong.push(format!("{code}\n  {bad}: {found:?}\n  {good}: {twin:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
