//! Patterns, wherever the configuration has one: they mean what PCRE2 says, on bytes, and one that gives up lets
//! nothing pass.

use crate::harness::{http, skip_on_nginx};

/// What exhausts the steps of `(?!zz)^(?:a+)+$`, and of any other that is written so.
const HARD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";

#[test]
fn a_deny_rule_with_look_ahead_is_not_passed_by_a_byte_that_is_not_utf8() {
    let s = http(
        r#"server { listen 127.0.0.1:%%PORT%%;
            location / { if ($request_uri ~ "^/secret(?!/public)") { return 403; } return 200 in; }
         }"#,
    )
    .start();
    s.get("/secret/f").is(403);
    s.get("/secret/public/f").is(200);
    s.send(b"GET /secret/f?\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is(403);
}

#[test]
fn an_end_stands_before_a_last_line_break_too() {
    let s = http(
        r#"server { listen 127.0.0.1:%%PORT%%; set $one "x.php\n"; set $two "x.php\n\n";
            location /one { if ($one ~ \.php$) { return 200 yes; } return 200 no; }
            location /two { if ($two ~ \.php$) { return 200 yes; } return 200 no; }
            location /absolute { if ($one ~ \.php\z) { return 200 yes; } return 200 no; }
         }"#,
    )
    .start();
    s.get("/one").body_is("yes");
    s.get("/two").body_is("no");
    s.get("/absolute").body_is("no");
}

#[test]
fn a_pattern_that_gives_up_is_a_500_and_lets_nothing_pass() {
    if skip_on_nginx("a map takes its default there, and the line is an alert") {
        return;
    }
    let s = http(
        r#"map $arg_m $mapped { default in; "~(?!zz)^(?:a+)+$" out; }
        server { listen 127.0.0.1:%%PORT%%; server_name "~(?!zz)^(?:a+)+$"; return 200 name; }
        server { listen 127.0.0.1:%%PORT%% default_server;
            location /if { if ($arg_x ~ "(?!zz)^(?:a+)+$") { return 403; } return 200 in; }
            location /not { if ($arg_x !~ "(?!zz)^(?:a+)+$") { return 200 in; } return 403; }
            location /map { if ($mapped = out) { return 403; } return 200 $mapped; }
            location /rewrite/ { rewrite "(?!zz)^/rewrite/(?:a+)+$" /out last; return 200 in; }
            location /referer { valid_referers "~(?!zz)^[a-z]+/(?:a+)+$"; if ($invalid_referer) { return 403; } return 200 in; }
            location /l/ { return 200 in; location ~ "(?!zz)^/l/(?:a+)+$" { return 403; } }
         }"#,
    )
    .start();
    let host = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    for (name, plain, hard) in [
        ("if", "/if?x=b", format!("/if?x={HARD}")),
        ("a negated if", "/not?x=b", format!("/not?x={HARD}")),
        ("map", "/map?m=b", format!("/map?m={HARD}")),
        ("rewrite", "/rewrite/b", format!("/rewrite/{HARD}")),
        ("location", "/l/b", format!("/l/{HARD}")),
    ] {
        assert_eq!(s.get(plain).is(200).text(), "in", "{name}");
        let answer = s.get(&hard);
        assert_eq!(answer.status, 500, "{name}: {}", answer.show());
    }
    s.get_with("/referer", "Referer: http://abcd.test/aaa\r\n").is(403);
    s.get_with("/referer", &format!("Referer: http://abcd/{HARD}\r\n")).is(500);
    s.send(host("aaa")).body_is("name");
    s.send(host(&HARD.replace('!', "-"))).is(500);
    let log = s.error_log();
    assert!(log.contains("[error]") && log.contains("pcre2_match() failed: -47 on \"aaaa"), "{log}");
    assert!(log.contains("using \"(?!zz)^(?:a+)+$\", client: 127.0.0.1"), "{log}");
}

#[test]
fn a_bad_pattern_is_shown_with_its_place() {
    let s = http(r"server { listen 127.0.0.1:%%PORT%%; location ~ ^/a[z-b]c { } }");
    let out = s.run(&["-t", "-p", "%%DIR%%", "-c", "conf/test.conf"]);
    let shown = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "{shown}");
    let words = "pcre2_compile() failed: range out of order in character class in \"^/a[z-b]c\" at \"b]c\"";
    assert!(shown.contains(words), "{shown}");
}

#[test]
fn rewrites_and_conditions_in_a_list_do_what_they_do_alone() {
    let s = http(
        r#"map $arg_k $word { default none; ~^a(.)c$ abc-$1; ~^x x; ~(?<tail>z+)$ tail-$tail; ~*^UP$ up; ~y y; }
        server { listen 127.0.0.1:%%PORT%%;
            rewrite ^/one/(.*)$ /two/$1; rewrite ^/none0/ /bad last; rewrite ^/two/(.*)$ /three/$1;
            rewrite ^/none1/ /bad last; rewrite (.*)/end$ $1 break; rewrite ^/three/ /bad last; rewrite ^/four/(.)(.) /$2$1 last;
            location / {
                set $seen "";
                if ($arg_q ~ ^a) { set $seen "${seen}1"; } if ($arg_q ~ (b)$) { set $seen "${seen}2$1"; }
                if ($arg_q ~* C) { set $seen "${seen}3"; } if ($arg_q ~ "^(?=d)") { set $seen "${seen}4"; }
                if ($seen ~ 1) { set $seen "${seen}5"; } if ($seen ~ 9) { set $seen "${seen}6"; }
                if ($seen ~ 5$) { set $seen "${seen}7"; } if ($seen ~ 7$) { set $seen "${seen}8"; }
                return 200 "$uri $seen $1";
            }
            location /map { return 200 "$word"; }
         }"#,
    )
    .start();
    for (target, expected) in [
        ("/x", "/x  "),
        ("/one/x/end", "/three/x  "),
        ("/two/y/end", "/three/y  "),
        ("/four/ab", "/ba  "),
        ("/x?q=ab", "/x 12b578 "),
        ("/x?q=c", "/x 3 "),
        ("/x?q=dc", "/x 34 "),
        ("/x?q=acb", "/x 12b3578 "),
        ("/map?k=abc", "abc-b"),
        ("/map?k=xyz", "x"),
        ("/map?k=ozz", "tail-zz"),
        ("/map?k=up", "up"),
        ("/map?k=oy", "y"),
        ("/map?k=o", "none"),
    ] {
        let answer = s.get(target);
        assert_eq!((answer.status, answer.text().as_str()), (200, expected), "{target}");
    }
}

/// What each condition does is decided by those before it, though those of one subject are asked together.
#[test]
fn conditions_of_several_subjects_take_turns() {
    let s = http(
        r#"map $first $late { default late-$first; }
        map $1 $captured { default none; b captured; }
        server { listen 127.0.0.1:%%PORT%%;
            location / {
                set $seen ""; set $first 0;
                if ($arg_a ~ ^x) { set $seen "${seen}a"; } if ($arg_b = y) { set $seen "${seen}b"; }
                rewrite ^/one/(.*)$ /two/$1; if ($arg_a ~ (b)) { set $seen "${seen}c$1"; set $first 1; }
                if ($captured ~ ^c) { set $seen "${seen}d"; } if ($arg_b = z) { set $seen "${seen}e"; }
                if ($late ~ -1$) { set $seen "${seen}f"; } rewrite ^/two/(.)(.*)$ /three/$2$1; if ($late ~ -0$) { set $seen "${seen}g"; }
                if ($arg_a ~ q$) { set $seen "${seen}h"; } if ($captured ~ ^n) { set $seen "${seen}i"; }
                if ($arg_b = "") { set $seen "${seen}j"; } if ($late ~ ^x) { set $seen "${seen}k"; }
                if ($captured = b) { return 403; } rewrite ^/none/ /bad last; if ($arg_a ~ "^(?=b)") { set $seen "${seen}l"; }
                if ($late ~ ^late) { set $seen "${seen}m"; } if ($captured ~ x) { set $seen "${seen}n"; }
                if ($arg_b = y) { set $seen "${seen}o"; } rewrite ^/three/(.*)/end$ /four/$1 break; rewrite ^/four/ /bad last;
                return 200 "$uri $seen $1";
            }
         }"#,
    )
    .start();
    for (target, expected) in [
        ("/x?b=-", "/x gim "),
        ("/x", "/x gijm "),
        ("/x?a=x&b=y", "/x abgimo "),
        ("/x?a=b&b=z", "/x cbdeflm "),
        ("/one/ab?a=xbq&b=-", "/three/ba acbdfhm "),
        ("/two/ab/end?b=y", "/three/b/enda bgimo "),
        ("/three/q?a=q", "/three/q ghijm "),
    ] {
        let answer = s.get(target);
        assert_eq!((answer.status, answer.text().as_str()), (200, expected), "{target}");
    }
}
