//! Scripts of a location, each run once as its phase does.

use crate::exchange::flow::Flow;
use crate::exchange::locate::location_rewrite;
use crate::exchange::response::Body;
use crate::exchange::testing::{INSIDE, Site};

/// What becomes of a request: its URI and arguments, or the answer.
fn run(script: &str, target: &str) -> String {
    let mut site = Site::new("", &format!("location / {{ {script} }}"));
    site.root();
    site.scratch.write("html/file", b"x");
    let mut ex = site.at(&format!("GET {target}"), &[], INSIDE);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match location_rewrite(&mut ex, &mut site.cx) {
        Flow::Next => format!("{}?{}", text(&ex.route.uri), text(&ex.route.args)),
        Flow::Restart => format!("to {}?{}", text(&ex.route.uri), text(&ex.route.args)),
        Flow::Status(status) => {
            format!("{} {}", status.0, text(ex.response.location.as_deref().unwrap_or_default()))
        }
        Flow::Respond => match &ex.response.body {
            Body::Bytes(body) => format!("{} says {}", ex.response.status.0, text(body)),
            _ => panic!("{script}: no text"),
        },
        Flow::Close => "closed".into(),
        _ => panic!("{script}: another end"),
    }
}

#[test]
fn a_script_leaves_the_uri_the_arguments_and_the_answer_that_nginx_leaves() {
    let table = [
        ("rewrite ^/a /b;", "/a?x=1", "to /b?x=1"),
        ("rewrite ^/a /b?y=2;", "/a?x=1", "to /b?y=2&x=1"),
        ("rewrite ^/a /b?y=2;", "/a", "to /b?y=2"),
        ("rewrite ^/a /b?y=2?;", "/a?x=1", "to /b?y=2"),
        ("rewrite ^/a /b?;", "/a?x=1", "to /b?"),
        ("rewrite ^/b /c;", "/a?x=1", "/a?x=1"),
        ("rewrite ^/(.) /$1$1;", "/a", "to /aa?"),
        ("rewrite ^/a /b; rewrite ^/b /c;", "/a", "to /c?"),
        ("rewrite ^/a /b break; rewrite ^/b /c;", "/a", "/b?"),
        ("rewrite ^/a /b last; rewrite ^/b /c;", "/a", "to /b?"),
        ("break; rewrite ^/a /c;", "/a", "/a?"),
        ("rewrite ^/(.*) $arg_x;", "/a", "500 "),
        ("rewrite ^/a /b redirect;", "/a?x=1", "302 /b?x=1"),
        ("rewrite ^/a /b?y permanent;", "/a?x=1", "301 /b?y&x=1"),
        ("rewrite ^/a http://h/b;", "/a", "302 http://h/b"),
        ("rewrite ^/a http://h/b?;", "/a?x=1", "302 http://h/b"),
        ("return 404;", "/", "404 "),
        ("return 399;", "/", "399 says "),
        ("return 400;", "/", "400 "),
        ("return 404 gone;", "/", "404 says gone"),
        ("return 204;", "/", "204 says "),
        ("return 301 /b;", "/", "301 /b"),
        ("return 302;", "/", "302 "),
        ("return 444;", "/", "closed"),
        ("set $v a$arg_x; return 200 $v;", "/?x=b", "200 says ab"),
        ("set $v a; set $v $v$v; return 200 $v;", "/", "200 says aa"),
        ("set $args y=2; return 200 $arg_y;", "/?x=1", "200 says 2"),
        ("if ($arg_x ~ ^(.)) { set $v $1; } return 200 $v;", "/?x=ab", "200 says a"),
    ];
    for (script, target, expected) in table {
        assert_eq!(run(script, target), expected, "{script} {target}");
    }
}

#[test]
fn a_condition_holds_where_it_holds_in_nginx() {
    for (condition, target, holds) in [
        ("($arg_x)", "/?x=1", true),
        ("($arg_x)", "/?x=0", false),
        ("($arg_x = 1)", "/?x=1", true),
        ("($arg_x = 1)", "/?x=11", false),
        ("($arg_x != 1)", "/?x=1", false),
        ("($arg_x != 1)", "/", true),
        ("($arg_x = $arg_y)", "/?x=1&y=1", true),
        ("($arg_x = $arg_y)", "/?x=1&y=2", false),
        ("($arg_x ~ ^a)", "/?x=ab", true),
        ("($arg_x ~ ^a)", "/?x=Ab", false),
        ("($arg_x ~* ^a)", "/?x=Ab", true),
        ("($arg_x !~ ^a)", "/?x=ab", false),
        ("($arg_x !~ ^a)", "/?x=b", true),
        ("(-f DIR/html/$arg_x)", "/?x=file", true),
        ("(-f DIR/html/$arg_x)", "/?x=", false),
        ("(-d DIR/html/$arg_x)", "/?x=file", false),
        ("(-d DIR/html/$arg_x)", "/?x=", true),
        ("(-e DIR/html/$arg_x)", "/?x=file", true),
        ("(-e DIR/html/$arg_x)", "/?x=none", false),
        ("(!-e DIR/html/$arg_x)", "/?x=none", true),
        ("(-x DIR/html/$arg_x)", "/?x=file", false),
        ("(-x DIR/html/$arg_x)", "/?x=", true),
    ] {
        let expected = if holds { "200 says yes" } else { "200 says no" };
        assert_eq!(
            run(&format!("if {condition} {{ return 200 yes; }} return 200 no;"), target),
            expected,
            "{condition} {target}"
        );
    }
}

#[test]
fn a_long_list_of_conditions_does_what_each_of_them_alone_would_do() {
    let (mut texts, mut patterns, mut others) = (String::new(), String::new(), String::new());
    for n in 0..40 {
        texts += &format!("if ($arg_x = t{n}) {{ return 200 text{n}; }} ");
        patterns += &format!("if ($arg_x ~ ^p({n})$) {{ return 200 pattern$1; }} ");
        others += &format!("if ($arg_x !~ ^[tpu]) {{ return 200 other{n}; }} rewrite ^/r{n}$ /s{n}; ");
    }
    let script = format!("{texts} {patterns} {others} set $v none; return 200 $v$uri;");
    for (target, expected) in [
        ("/?x=t0", "200 says text0"),
        ("/?x=t39", "200 says text39"),
        ("/?x=p0", "200 says pattern0"),
        ("/?x=p39", "200 says pattern39"),
        ("/?x=a", "200 says other0"),
        ("/?x=t40", "200 says none/"),
        ("/?x=p40", "200 says none/"),
        ("/r0?x=u", "200 says none/s0"),
        ("/r39?x=u", "200 says none/s39"),
        ("/r40?x=u", "200 says none/r40"),
    ] {
        assert_eq!(run(&script, target), expected, "{target}");
    }
}
