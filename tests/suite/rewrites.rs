//! rewrite, if, set, map and geo: what they make of a request. Each has its own server, so that one cannot hide
//! another.

use crate::harness::{BOTH, Table, http};

#[test]
fn rewrites_and_conditions() {
    let s = http(
        r#"server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            rewrite ^/old/(.*)$ /new/$1 last;
            rewrite ^/moved/(.*)$ /new/$1 permanent;
            rewrite ^/temp/(.*)$ /new/$1? redirect;
            location /new/ { return 200 new:$uri:$args; }
            location /brk/ { rewrite ^/brk/(.*)$ /files/$1 break; }
            location /args/ { rewrite ^/args/(.*)$ /new/$1?x=y last; }
            location /noargs/ { rewrite ^/noargs/(.*)$ /new/$1? last; }
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
            location /mine { set $arg_own mine; return 200 $arg_own; }
            location /own { return 200 $arg_own; }
            location /bare { return 404 ""; }
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
        ("an argument is what was set", "GET", "/mine?own=1", "", 200, "mine"),
        ("an argument that another location sets is the request's own", "GET", "/own?own=1", "", 200, "1"),
        ("the empty text of an error is none", "GET", "/bare", "", 404, "404 Not"),
        ("if !~ false", "GET", "/if8?x=12", "", 200, "digits"),
        ("a cookie", "GET", "/cookie", "Cookie: a=b; sid=42; c=d\r\n", 200, "42"),
        ("several variables", "GET", "/vars?b=2&a=1", "X-Test: t\r\n", 200, "1|t|GET|localhost|127.0.0.1|http"),
        ("rewrite permanent", "GET", "/moved/a?q=1", "", 301, "301 Moved"),
        ("rewrite redirect", "GET", "/temp/a?q=1", "", 302, "302 Found"),
    ];
    let port = s.port();
    let mut table = Table::new("rewrite, if, set");
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

#[test]
fn maps_give_values() {
    let s = http(
        r#"map $arg_m $mapped { default none; a alpha; ~^x(.*)$ re-$1; "" empty; B upper; ~*^y why; }
         map $http_user_agent $bot { default 0; ~*bot 1; }
         map $host $site { hostnames; default other; .a.test a; *.b.test b; c.* c; }
         map $arg_m$arg_n $both { default "$arg_n-$arg_m"; xy found; }
         server { listen 127.0.0.1:%%PORT%%; server_name localhost;
            location /map { return 200 $mapped; }
            location /bot { return 200 $bot; }
            location /site { return 200 $site; }
            location /both { return 200 $both; } }"#,
    )
    .start();
    let rows: &[(&str, &str, &str, &str, &str)] = &[
        ("a value", "/map?m=a", "localhost", "", "alpha"),
        ("values ignore case", "/map?m=A", "localhost", "", "alpha"),
        ("keys ignore case", "/map?m=b", "localhost", "", "upper"),
        ("default", "/map?m=zzz", "localhost", "", "none"),
        ("a regex with a capture", "/map?m=x12", "localhost", "", "re-12"),
        ("a regex is case-sensitive", "/map?m=X12", "localhost", "", "none"),
        ("a regex that is not", "/map?m=Y", "localhost", "", "why"),
        ("empty", "/map", "localhost", "", "empty"),
        ("on a field", "/bot", "localhost", "User-Agent: GoogleBOT\r\n", "1"),
        ("hostnames, a leading dot", "/site", "a.test", "", "a"),
        ("hostnames, below a leading dot", "/site", "x.a.test", "", "a"),
        ("hostnames, a leading star", "/site", "x.b.test", "", "b"),
        ("hostnames, a trailing star", "/site", "c.anything", "", "c"),
        ("hostnames, default", "/site", "d.test", "", "other"),
        ("a source of two variables", "/both?m=x&n=y", "localhost", "", "found"),
        ("variables in a value", "/both?m=p&n=q", "localhost", "", "q-p"),
    ];
    let mut table = Table::new("map");
    for &(name, target, host, fields, answer) in rows {
        table.row(BOTH, name, || {
            s.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).is(200).body_is(answer);
        });
    }
}

#[test]
fn geo_gives_values() {
    let s = http(
        "geo $net { default out; 127.0.0.0/8 loop; 127.0.0.1/32 one; }
         geo $arg_ip $of { default none; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 2001:db8::/32 six; }
         server { listen 127.0.0.1:%%PORT%%; server_name localhost;
            location /net { return 200 $net; }
            location /of { return 200 $of; } }",
    )
    .start();
    let rows: &[(&str, &str, &str)] = &[
        ("the longest prefix of the client", "/net", "one"),
        ("an address of a variable", "/of?ip=10.2.3.4", "ten"),
        ("a longer prefix", "/of?ip=10.1.3.4", "ten-one"),
        ("IPv6", "/of?ip=2001:db8::1", "six"),
        ("default", "/of?ip=11.0.0.1", "none"),
    ];
    let mut table = Table::new("geo");
    for &(name, target, answer) in rows {
        table.row(BOTH, name, || {
            s.get(target).is(200).body_is(answer);
        });
    }
}
