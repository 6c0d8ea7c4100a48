//! rewrite, if, set, map and geo: what they make of a request.

use crate::harness::{BOTH, Table, http};

#[test]
fn rewrites_conditions_and_maps() {
    let s = http(
        r#"map $arg_m $mapped { default none; a alpha; ~^x(.*)$ re-$1; "" empty; }
         map $http_user_agent $bot { default 0; ~*bot 1; }
         geo $net { default out; 127.0.0.0/8 loop; }
         server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            rewrite ^/old/(.*)$ /new/$1 last;
            rewrite ^/moved/(.*)$ /new/$1 permanent;
            rewrite ^/temp/(.*)$ /new/$1? redirect;
            location /new/ { return 200 new:$uri:$args; }
            location /brk/ { rewrite ^/brk/(.*)$ /files/$1 break; }
            location /args/ { rewrite ^/args/(.*)$ /new/$1?x=y last; }
            location /noargs/ { rewrite ^/noargs/(.*)$ /new/$1? last; }
            location /map { return 200 $mapped; }
            location /bot { return 200 $bot; }
            location /geo { return 200 $net; }
            location /set { set $a one; set $b "$a-two"; return 200 $b; }
            location /if1 { if ($arg_x) { return 200 yes; } return 200 no; }
            location /if2 { if ($arg_x = a) { return 200 eq; } if ($arg_x != b) { return 200 ne; } return 200 b; }
            location /if3 { if ($request_method = POST) { return 200 post; } return 200 other; }
            location /if4 { if ($http_user_agent ~* (fox|chrome)) { return 200 $1; } return 200 none; }
            location /if5 { if (-f $document_root/there) { return 200 file; } return 200 nofile; }
            location /if6 { if (!-e $request_filename) { return 200 absent; } }
            location /if7 { if (-d $document_root/dir) { return 200 dir; } return 200 nodir; }
            location /if8 { if ($arg_x !~ ^[0-9]+$) { return 400; } return 200 digits; }
            location /cookie { return 200 $cookie_sid; }
            location /vars { return 200 "$arg_a|$http_x_test|$request_method|$host|$remote_addr|$scheme"; }
         }"#,
    )
    .file("html/files/f", "files f")
    .file("html/there", "x")
    .file("html/if6/f", "if6 f")
    .mkdir("html/dir")
    .start();
    let rows: &[(&str, &str, &str, &str, u16, &str)] = &[
        ("rewrite last", "GET", "/old/a?q=1", "", 200, "new:/new/a:q=1"),
        ("rewrite break", "GET", "/brk/f", "", 200, "files f"),
        ("rewrite adds arguments", "GET", "/args/a?q=1", "", 200, "new:/new/a:x=y&q=1"),
        ("rewrite drops arguments", "GET", "/noargs/a?q=1", "", 200, "new:/new/a:"),
        ("map, a value", "GET", "/map?m=a", "", 200, "alpha"),
        ("map, default", "GET", "/map?m=zzz", "", 200, "none"),
        ("map, a regex with a capture", "GET", "/map?m=x12", "", 200, "re-12"),
        ("map, empty", "GET", "/map", "", 200, "empty"),
        ("map on a field", "GET", "/bot", "User-Agent: GoogleBOT\r\n", 200, "1"),
        ("geo", "GET", "/geo", "", 200, "loop"),
        ("set", "GET", "/set", "", 200, "one-two"),
        ("if a variable", "GET", "/if1?x=1", "", 200, "yes"),
        ("if an empty variable", "GET", "/if1", "", 200, "no"),
        ("if 0 is false", "GET", "/if1?x=0", "", 200, "no"),
        ("if =", "GET", "/if2?x=a", "", 200, "eq"),
        ("if !=", "GET", "/if2?x=c", "", 200, "ne"),
        ("if != false", "GET", "/if2?x=b", "", 200, "b"),
        ("if on the method", "POST", "/if3", "", 200, "post"),
        ("if ~* with a capture", "GET", "/if4", "User-Agent: Firefox\r\n", 200, "fox"),
        ("if ~* without a match", "GET", "/if4", "User-Agent: Opera\r\n", 200, "none"),
        ("if -f", "GET", "/if5", "", 200, "file"),
        ("if !-e, absent", "GET", "/if6/none", "", 200, "absent"),
        ("if !-e, there", "GET", "/if6/f", "", 200, "if6 f"),
        ("if -d", "GET", "/if7", "", 200, "dir"),
        ("if !~", "GET", "/if8?x=abc", "", 400, "400 Bad"),
        ("if !~ false", "GET", "/if8?x=12", "", 200, "digits"),
        ("a cookie", "GET", "/cookie", "Cookie: a=b; sid=42; c=d\r\n", 200, "42"),
        ("several variables", "GET", "/vars?b=2&a=1", "X-Test: t\r\n", 200, "1|t|GET|localhost|127.0.0.1|http"),
        ("rewrite permanent", "GET", "/moved/a?q=1", "", 301, "301 Moved"),
        ("rewrite redirect", "GET", "/temp/a?q=1", "", 302, "302 Found"),
    ];
    let port = s.port();
    let mut table = Table::new("rewrite, if, map, geo");
    for &(name, method, target, fields, status, body) in rows {
        table.row(BOTH, name, || {
            let r = s.method(method, target, fields, b"");
            r.is(status);
            match status {
                200 => r.body_is(body),
                301 => r.has("Location", &format!("http://localhost:{port}/new/a?q=1")),
                302 => r.has("Location", &format!("http://localhost:{port}/new/a")),
                _ => r.contains(body),
            };
        });
    }
}
