//! Which location answers a URI, and how requests move between locations.

use crate::harness::{BOTH, Table, http, on_nginx, server};

#[test]
fn the_uri_chooses_the_location() {
    let s = server(
        r#"location / { return 200 root; }
         location = / { return 200 exact-root; }
         location = /exact { return 200 exact; }
         location /exact { return 200 prefix-of-exact; }
         location /pre { return 200 pre; }
         location /prefix/ { return 200 prefix; }
         location /prefix/long/ { return 200 prefix-long; }
         location ^~ /fixed/ { return 200 fixed; }
         location ^~ /fixed/deep/ { return 200 fixed-deep; }
         location /open/ { return 200 open; }
         location ~ \.txt$ { return 200 re-txt; }
         location ~ /first { return 200 re-first; }
         location ~ /first/second { return 200 never; }
         location ~* \.(jpe?g|PNG)$ { return 200 re-image-$1; }
         location ~ "^/brace/[0-9]{3}$" { return 200 brace; }
         location ~ ^/cap/(?<year>\d+)/(.*)$ { return 200 $year:$2; }
         location ~\.nospace$ { return 200 nospace; }
         location /outer/ {
             return 200 outer;
         }
         location /nest/ {
             location = /nest/exact { return 200 nest-exact; }
             location /nest/in/ { return 200 nest-in; }
             location ~ \.txt$ { return 200 nest-txt; }
             location ~ re$ { return 200 nest-re; }
         }
         location /utf-é/ { return 200 utf8; }
         location "/with space/" { return 200 space; }
         location ~ ^/look(?!ahead) { return 200 look; }
         location ~ ^/(?i)Inline { return 200 inline; }"#,
    )
    .file("html/nest/plain", "a file in nest")
    .start();
    let rows: &[(&str, &str, &str)] = &[
        ("= / for the root itself", "/", "exact-root"),
        ("= / ignores the query", "/?a", "exact-root"),
        ("anything else falls to /", "/zzz", "root"),
        ("=", "/exact", "exact"),
        ("= is not a prefix", "/exactly", "prefix-of-exact"),
        ("= with a slash behind", "/exact/", "prefix-of-exact"),
        ("a prefix is bytes, not segments", "/prexyz", "pre"),
        ("the longest prefix", "/prefix/long/x", "prefix-long"),
        ("a shorter prefix", "/prefix/lon", "prefix"),
        ("^~ keeps regexes out", "/fixed/a.txt", "fixed"),
        ("the longest ^~", "/fixed/deep/a.txt", "fixed-deep"),
        ("a regex beats a plain prefix", "/open/a.txt", "re-txt"),
        ("a plain prefix when no regex matches", "/open/a.html", "open"),
        ("the first regex in the file wins", "/first/second", "re-first"),
        ("~ is case-sensitive", "/a.TXT", "root"),
        ("~* is not", "/a.JPG", "re-image-JPG"),
        ("~* with capitals in the pattern", "/a.png", "re-image-png"),
        ("an optional letter", "/a.jpeg", "re-image-jpeg"),
        ("braces in quotes", "/brace/123", "brace"),
        ("braces, no match", "/brace/12", "root"),
        ("captures", "/cap/2026/a/b", "2026:a/b"),
        ("captures see the decoded URI", "/cap/2026/%41", "2026:A"),
        ("a regex sees the decoded URI", "/a%2etxt", "re-txt"),
        ("a regex sees merged slashes", "//first", "re-first"),
        ("a regex does not see the query", "/q?x=.txt", "root"),
        ("~ without a space", "/x.nospace", "nospace"),
        ("nested =", "/nest/exact", "nest-exact"),
        ("nested prefix", "/nest/in/x", "nest-in"),
        ("nested regex before outer regex", "/nest/a.txt", "nest-txt"),
        ("nested regex", "/nest/more", "nest-re"),
        ("nested, nothing inside matches", "/nest/plain", "a file in nest"),
        ("a prefix in UTF-8", "/utf-%C3%A9/x", "utf8"),
        ("a prefix with a space", "/with%20space/x", "space"),
        ("a negative look-ahead that holds", "/lookout", "look"),
        ("a negative look-ahead that fails", "/lookahead", "root"),
        ("an inline flag", "/inline", "inline"),
    ];
    let mut table = Table::new("locations");
    for &(name, target, answer) in rows {
        table.row(BOTH, name, || {
            s.get(target).is(200).body_is(answer);
        });
    }
}

#[test]
fn a_location_without_the_slash_needs_proxying_to_redirect() {
    let s = server("location /dir/ { return 200 in; }").file("html/index.html", "x").start();
    s.get("/dir").is(404);
    s.get("/dir/").is(200).body_is("in");
}

#[test]
fn merge_slashes_can_be_switched_off() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT0%%; server_name on.test; location /a/b { return 200 $uri; } location / { return 200 other:$uri; } }
         server { listen 127.0.0.1:%%PORT1%%; server_name off.test; merge_slashes off;
            location /a/b { return 200 $uri; } location /a//b { return 200 double; } location / { return 200 other:$uri; } }",
    )
    .start();
    let rows: &[(&str, &str, &str, &str)] = &[
        ("on: two", "on.test", "/a//b", "/a/b"),
        ("on: many", "on.test", "///a////b///", "/a/b/"),
        ("on: encoded", "on.test", "/a%2f/b", "/a/b"),
        ("off: two", "off.test", "/a//b", "double"),
        ("off: at the start", "off.test", "//a/b", "other://a/b"),
        ("off: one", "off.test", "/a/b", "/a/b"),
        ("off: a step up takes one segment", "off.test", "/a//../a/b", "other:/a/a/b"),
    ];
    let mut table = Table::new("merge_slashes");
    for &(name, host, target, answer) in rows {
        table.row(BOTH, name, || {
            let mut client = s.client_at(usize::from(host == "off.test"));
            let r = client.request(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            r.is(200).body_is(answer);
        });
    }
}

#[test]
fn requests_move_between_locations() {
    let s = server(
        "location /t1/ { try_files $uri $uri/ /fallback; }
         location = /fallback { return 200 fallback:$uri:$args; }
         location /t2/ { try_files $uri @named; }
         location @named { return 200 named:$uri; }
         location /t3/ { try_files $uri =404; }
         location /t4/ { try_files $uri =410; }
         location /t5/ { try_files /missing $uri.html $uri /other?x=y&$args; }
         location = /other { return 200 other:$args; }
         location /t6/ { try_files $uri/ @named; }
         location /t7/ { try_files /always.txt =404; }
         location /t8/ { alias %%DIR%%/aliased/; try_files $uri /none @named; }
         location /t9/ { try_files $uri /t9/index.php; }
         location = /t9/index.php { return 200 php:$request_uri; }
         location /e1/ { error_page 404 @named; }
         location /e2/ { error_page 404 = @status; }
         location @status { return 202 status; }
         location /e3/ { error_page 404 /inner.html; }
         location = /inner.html { internal; }
         location /e4/ { error_page 404 =200 /inner.html; }
         location /i1/ { internal; }
         location = /go-in { rewrite ^ /i1/f last; }
         location /spa/ { try_files $uri /spa/index.html; }
         location = /if-file { try_files /always.txt =404; default_type text/x-tried; }",
    )
    .file("html/t1/f", "t1 f")
    .file("html/t1/d/index.html", "t1 d index")
    .file("html/t2/f", "t2 f")
    .file("html/t3/f", "t3 f")
    .file("html/t5/page.html", "t5 page")
    .file("html/t6/d/index.html", "t6 d index")
    .file("html/always.txt", "always")
    .file("html/inner.html", "inner page")
    .file("html/i1/f", "internal f")
    .file("html/spa/index.html", "spa index")
    .file("html/spa/app.js", "spa app")
    .file("aliased/x", "aliased x")
    .mkdir("html/t3/dir")
    .start();
    let rows: &[(&str, &str, u16, &str)] = &[
        ("try_files finds the file", "/t1/f", 200, "t1 f"),
        ("try_files finds the directory", "/t1/d/", 200, "t1 d index"),
        ("try_files falls back to a URI", "/t1/none", 200, "fallback:/fallback:"),
        ("the fallback URI loses the query", "/t1/none?a=b", 200, "fallback:/fallback:"),
        ("try_files to a named location, file there", "/t2/f", 200, "t2 f"),
        ("try_files to a named location", "/t2/none", 200, "named:/t2/none"),
        ("try_files =404, file there", "/t3/f", 200, "t3 f"),
        ("try_files =404", "/t3/none", 404, "404 Not Found"),
        ("$uri without slash is no directory", "/t3/dir", 404, "404 Not Found"),
        ("try_files with another code", "/t4/none", 410, "410 Gone"),
        ("a suffix on $uri", "/t5/page", 200, "t5 page"),
        ("the fallback may have a query", "/t5/none?q=1", 200, "other:x=y&q=1"),
        ("$uri/ needs a directory", "/t6/none", 200, "named:/t6/none"),
        ("the index of $uri/ is tried as $uri/ again", "/t6/d/", 200, "named:/t6/d/index.html"),
        ("a constant file", "/t7/whatever", 200, "always"),
        ("with alias", "/t8/x", 200, "aliased x"),
        ("with alias, fallback", "/t8/y", 200, "named:/t8/y"),
        ("to a front controller", "/t9/a/b?c", 200, "php:/t9/a/b?c"),
        ("error_page to a named location keeps the status", "/e1/none", 404, "named:/e1/none"),
        ("error_page = takes the status of the target", "/e2/none", 202, "status"),
        ("error_page to an internal page", "/e3/none", 404, "inner page"),
        ("error_page =200", "/e4/none", 200, "inner page"),
        ("an internal location from outside", "/inner.html", 404, "404 Not Found"),
        ("an internal prefix from outside", "/i1/f", 404, "404 Not Found"),
        ("an internal prefix by rewrite", "/go-in", 200, "internal f"),
        ("a single-page application, a file", "/spa/app.js", 200, "spa app"),
        ("a single-page application, a route", "/spa/users/7", 200, "spa index"),
        ("settings of the location apply to the tried file", "/if-file", 200, "always"),
        ("a named location is no URI", "/@named", 404, "404 Not Found"),
    ];
    let mut table = Table::new("between locations");
    for &(name, target, status, body) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            r.is(status);
            if body.contains("Not Found") || body.contains("Gone") {
                r.contains(body);
            } else {
                r.body_is(body);
            }
        });
    }
    table.row(BOTH, "a loop of internal redirects ends in 500", || {
        let s = server(
            "location /a { try_files /none /b; } location /b { try_files /none /a; } location /r { rewrite ^ /r last; }",
        )
        .allow_log("rewrite or internal redirection cycle")
        .start();
        s.get("/a").is(500);
        s.get("/r").is(500);
    });
}

#[test]
fn add_header_without_name_and_value_ends_what_the_level_above_adds() {
    let s = server(
        "add_header X-Above a; location / { return 200 ok; }
         location /none { add_header \"\" \"\"; return 200 ok; }
         location /own { add_header \"\" \"\"; add_header X-Own b; return 200 ok; }",
    )
    .start();
    s.get("/").is(200).has("X-Above", "a");
    s.get("/own").is(200).has("X-Own", "b").lacks("X-Above");
    let none = s.get("/none");
    none.is(200).lacks("X-Above").lacks("").body_is("ok");
}

#[test]
fn a_target_that_is_no_path_reaches_no_named_location() {
    let s = server(
        "error_page 400 @bad; error_page 404 @none; location / { return 404; } location = /400 { return 400; }
         location @bad { return 200 bad; } location @none { return 200 none; }",
    )
    .allow_log("empty URI in redirect to named location")
    .start();
    s.get("/x").is(404).body_is("none");
    s.get("/400").is(400).body_is("bad");
    s.get("/%2e%2e/").is(500).contains("500 Internal Server Error");
    s.get("/x").is(404).body_is("none");
}

#[test]
fn dots_that_the_configuration_writes_in_a_root_with_variables_lead_on() {
    let s = server(
        "location /root/ { root %%DIR%%/html/../html/$arg_x; }
         location /relative/ { root html/../html/$arg_x; }
         location ~ ^/alias/(.*)$ { alias %%DIR%%/html/../html/$1; }",
    )
    .file("html/sub/root/f.txt", "root")
    .file("html/sub/relative/f.txt", "relative")
    .start();
    s.get("/root/f.txt?x=sub").is(200).body_is("root");
    s.get("/relative/f.txt?x=sub").is(200).body_is("relative");
    s.get("/alias/sub/root/f.txt").is(200).body_is("root");
    if !on_nginx() {
        s.get("/root/f.txt?x=sub/../sub").is(404);
        s.get("/relative/f.txt?x=../html/sub").is(404);
    }
}
