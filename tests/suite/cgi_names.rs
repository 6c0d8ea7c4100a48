//! Which files are programs, and which part of a URI is PATH_INFO: a program's own name has to belong to the location
//! of the URI, whatever `if`, rewrite or named location is on the way.

use crate::harness::{Server, server, skip_on_nginx};

const TELLS: &str = "printf '\\n%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\"";
const EXECUTED: &str = "printf '\\nEXECUTED'";

fn start() -> Option<Server> {
    if skip_on_nginx("nginx has no CGI") {
        return None;
    }
    let s = server(
        "location / { cgi_extension .sh /bin/sh; cgi_extension .run /bin/sh; }
         location = /admin.sh { auth_basic a; auth_basic_user_file %%DIR%%/users; cgi_pass /bin/sh; }
         location ~ ^/denied\\.sh$ { deny all; }
         location /cgi/ { cgi_pass /bin/sh; }
         location = /cgi/admin { deny all; }
         location /spelled.sh/ { cgi_pass /bin/sh; }
         location ~ ^/pattern/.*\\.sh(/|$) { cgi_pass /bin/sh; }
         location ~ ^/old/.*\\.sh$ { rewrite ^/old/(.*)$ /$1 break; cgi_pass /bin/sh; }
         location ~ ^/if/.*\\.sh$ { if ($request_method = GET) { rewrite ^/if/(.*)$ /$1 break; cgi_pass /bin/sh; } }
         location /limited/ { limit_except POST { allow all; } cgi_pass /bin/sh; }
         location = /limited/admin { deny all; }
         location ~ ^/front(/|$) { rewrite ^ /front.sh$uri break; cgi_pass /bin/sh; }
         location /html/ { rewrite ^/html/(.*)\\.html$ /cgi/where/$1 break; cgi_pass /bin/sh; }
         location /stripped/ { rewrite ^/stripped/(.*)$ /cgi/$1 break; cgi_pass /bin/sh; }
         location /static/ { try_files $uri @app; }
         location /missing/ { error_page 404 = @if; }
         location /both/ { root %%DIR%%/static; try_files $uri @app; }
         location /moved/ { root %%DIR%%/static; try_files $uri @moved; }
         location /varied/ { root %%DIR%%/$host; try_files $uri @app; }
         location /any/ { try_files $uri @front; }
         location @app { cgi_pass /bin/sh; }
         location @if { if ($request_method = GET) { cgi_pass /bin/sh; } }
         location @moved { rewrite ^/moved/(.*)$ /cgi/$1 break; cgi_pass /bin/sh; }
         location @front { rewrite ^ /front.sh$uri break; cgi_pass /bin/sh; }",
    )
    .file("users", "a:{PLAIN}b\n")
    .mkdir("html/dir.sh")
    .allow_log("CGI")
    .allow_log("no user/password");
    let programs = ["where.sh", "a.run", "dir.sh/where.run", "cgi/where", "spelled.sh", "pattern/where.sh", "front.sh"];
    let programs = programs.into_iter().chain(["limited/where", "both/where", "old/where.sh"]);
    let s = programs.fold(s, |s, name| s.file(&format!("html/{name}"), TELLS));
    let others = ["admin.sh", "denied.sh", "cgi/admin", "limited/admin", "picture.jpg", "pattern/picture.jpg"];
    let others = others.into_iter().chain(["static/picture.jpg", "missing/picture.jpg", "both/picture.jpg"]);
    let others = others.chain(["cgi/picture.jpg", "varied/picture.jpg"]);
    let s = others.fold(s, |s, name| s.file(&format!("html/{name}"), EXECUTED));
    let s = s.file("static/both/picture.jpg", "picture").file("static/moved/picture.jpg", "picture");
    Some(s.start())
}

#[test]
fn a_program_is_run_where_its_own_name_leads() {
    let Some(s) = start() else { return };
    for (target, status, body) in [
        ("/where.sh", 200, "/where.sh|"),
        ("/where.sh/in/fo", 200, "/where.sh|/in/fo"),
        ("/where.sh/", 200, "/where.sh|/"),
        ("/cgi/where/in/fo", 200, "/cgi/where|/in/fo"),
        ("/pattern/where.sh/in/fo", 200, "/pattern/where.sh|/in/fo"),
        ("/limited/where/in/fo", 200, "/limited/where|/in/fo"),
        // The location names it.
        ("/spelled.sh/in/fo", 200, "/spelled.sh|/in/fo"),
        // Programs with rules of their own.
        ("/admin.sh", 401, "*"),
        ("/admin.sh/", 403, "*"),
        ("/admin.sh/x", 403, "*"),
        ("/denied.sh/x", 403, "*"),
        ("/cgi/admin", 403, "*"),
        ("/cgi/admin/x", 403, "*"),
        ("/limited/admin/x", 403, "*"),
        // Pictures.
        ("/picture.jpg", 200, EXECUTED),
        ("/picture.jpg/x.sh", 404, "*"),
        ("/pattern/picture.jpg/x.sh", 403, "*"),
        ("/old/picture.jpg/x.sh", 403, "*"),
        ("/if/picture.jpg/x.sh", 403, "*"),
        ("/static/picture.jpg", 200, EXECUTED),
        ("/static/picture.jpg/x", 403, "*"),
        ("/static/picture.jpg/", 403, "*"),
        ("/missing/picture.jpg/x", 403, "*"),
        ("/both/picture.jpg", 200, "picture"),
        ("/both/picture.jpg/x", 403, "*"),
        ("/moved/picture.jpg", 200, "picture"),
        ("/moved/picture.jpg/x", 403, "*"),
        ("/varied/picture.jpg/x", 403, "*"),
    ] {
        let answer = s.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.show());
        assert!(body == "*" || answer.text() == body, "{target}: {}", answer.show());
        assert_ne!(answer.text(), "EXECUTED", "{target}");
    }
    s.get_with("/admin.sh", "Authorization: Basic YTpi\r\n").is(200).body_is("EXECUTED");
}

#[test]
fn a_rewrite_that_names_a_program_leaves_it_its_path_info() {
    let Some(s) = start() else { return };
    for (target, body) in [
        ("/old/where.sh", "/where.sh|"),
        ("/if/where.sh", "/where.sh|"),
        ("/front", "/front.sh|/front"),
        ("/front/x/y", "/front.sh|/front/x/y"),
        ("/html/a/b.html", "/cgi/where|/a/b"),
        ("/stripped/where/x", "/cgi/where|/x"),
        ("/any/x/y", "/front.sh|/any/x/y"),
        // The location before it has no such file.
        ("/both/where/x", "/both/where|/x"),
        ("/moved/where/x", "/cgi/where|/x"),
    ] {
        s.get(target).is(200).body_is(body);
    }
}

#[test]
fn plain_uses_of_programs_with_path_info_are_not_refused() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server(
        "location / { cgi_extension .sh /bin/sh; }
         location /cgi-bin/ { cgi_pass on; }
         location ~ ^/pattern/.*\\.sh(/|$) { cgi_pass /bin/sh; }
         location /site/ { try_files $uri $uri/ /front.sh$uri; }
         location /wiki/ { try_files $uri /pattern/front.sh$uri; }
         location /bare/ { try_files $uri /front.sh?$args; }
         location /last/ { rewrite ^/last/(.*)$ /front.sh/$1 last; }
         location /aliased { alias %%DIR%%/html/front.sh; cgi_pass /bin/sh; }
         location /else/ { error_page 404 /front.sh/missing; }
         location ^~ /outer/ { location ~ \\.sh(/|$) { cgi_pass /bin/sh; } }
         location ^~ /app/ { cgi_extension .sh /bin/sh; try_files $uri $uri/ @app; }
         location @app { cgi_extension .sh /bin/sh; }",
    )
    .file("html/front.sh", TELLS)
    .file("html/pattern/front.sh", TELLS)
    .file("html/outer/front.sh", TELLS)
    .file("html/app/front.sh", TELLS)
    .file("html/cgi-bin/front", format!("#!/bin/sh\n{TELLS}"))
    .mode("html/cgi-bin/front", 0o755)
    .allow_log("CGI")
    .start();
    for (target, body) in [
        ("/front.sh", "/front.sh|"),
        ("/front.sh/in/fo", "/front.sh|/in/fo"),
        ("/front.sh/x.sh", "/front.sh|/x.sh"),
        ("/cgi-bin/front", "/cgi-bin/front|"),
        ("/cgi-bin/front/in/fo", "/cgi-bin/front|/in/fo"),
        ("/pattern/front.sh", "/pattern/front.sh|"),
        ("/pattern/front.sh/in/fo", "/pattern/front.sh|/in/fo"),
        ("/site/a/b", "/front.sh|/site/a/b"),
        ("/wiki/a/b", "/pattern/front.sh|/wiki/a/b"),
        ("/bare/a/b", "/front.sh|"),
        ("/last/a/b", "/front.sh|/a/b"),
        ("/aliased", "/aliased|"),
        ("/aliased/in/fo", "/aliased|/in/fo"),
        ("/outer/front.sh/in/fo", "/outer/front.sh|/in/fo"),
        // What the location itself runs stays a program behind the one that it leads on to.
        ("/app/front.sh/in/fo", "/app/front.sh|/in/fo"),
    ] {
        s.get(target).is(200).body_is(body);
    }
    s.get("/else/none").is(404).body_is("/front.sh|/missing");
}

#[test]
fn the_first_segment_with_an_extension_is_the_program_whatever_the_order_of_the_lines() {
    let Some(s) = start() else { return };
    for (target, body) in [
        ("/where.sh/x.run", "/where.sh|/x.run"),
        ("/a.run/x.sh", "/a.run|/x.sh"),
        ("/dir.sh/where.run/x.sh", "/dir.sh/where.run|/x.sh"),
    ] {
        s.get(target).is(200).body_is(body);
    }
    s.get("/dir.sh/none.run/x").is(404);
    s.get("/dir.sh/x").is(404);
}

#[test]
fn a_file_in_a_directory_that_is_named_like_a_program_is_sent() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("cgi_extension .sh /bin/sh; index index.sh; types { text/plain txt; } location / { autoindex on; }")
        .file("html/dir.sh/file.txt", "plain")
        .file("html/indexed.sh/index.sh", TELLS)
        .file("html/dir.sh/where.sh", TELLS)
        .allow_log("CGI")
        .start();
    s.get("/dir.sh/file.txt").is(200).body_is("plain").has("Content-Type", "text/plain");
    s.get("/dir.sh/where.sh/x").is(200).body_is("/dir.sh/where.sh|/x");
    s.get("/dir.sh").is(301);
    assert!(s.get("/dir.sh/").is(200).text().contains("file.txt"));
    s.get("/dir.sh/file.txt/x").is(404);
    s.get("/dir.sh/none.sh").is(404);
    // What is below the directory is a file as any other.
    for (method, target, status) in [
        ("POST", "/dir.sh/file.txt", 405),
        ("DELETE", "/dir.sh/file.txt", 405),
        ("POST", "/dir.sh/none.txt", 404),
        // As nginx, whose `location ~ \.sh$` does not match a slash at the end.
        ("POST", "/dir.sh/", 403),
        ("PUT", "/dir.sh/", 405),
        // And this it would pass to a program.
        ("POST", "/dir.sh", 404),
        ("PUT", "/dir.sh", 404),
    ] {
        s.method(method, target, "", b"x").is(status);
    }
    s.method("POST", "/indexed.sh/", "", b"x").is(200).body_is("/indexed.sh/index.sh|");
    s.method("PUT", "/indexed.sh/", "", b"x").is(405);
}

#[test]
fn a_rewrite_that_makes_the_program_of_captures_leaves_it_its_path_info() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server(
        "location ~ ^/\\w+/api/ { rewrite ^/(\\w+)/api(/.*)$ /$1.sh$2 break; cgi_pass /bin/sh; }
         location ~ ^/n/(?<prog>\\w+)(?<info>/.*)$ { rewrite ^ /$prog.sh$info break; cgi_pass /bin/sh; }
         location ~ ^/cap/ { rewrite ^/cap/(.*)/(.*)$ /$1.sh/$2 break; cgi_pass /bin/sh; }
         location ~ ^/all/.*\\.sh$ { rewrite ^/all/(.*?)/(.*)$ /$1/$2 break; cgi_pass /bin/sh; }",
    )
    .file("html/where.sh", TELLS)
    .file("html/picture.jpg", EXECUTED)
    .allow_log("CGI")
    .start();
    for target in ["/where/api/x", "/n/where/x", "/cap/where/x"] {
        s.get(target).is(200).body_is("/where.sh|/x");
    }
    // What a capture makes the end of a program is a program only if it is one by itself.
    for target in ["/cap/picture.jpg/x/y", "/all/picture.jpg/x.sh"] {
        s.get(target).is(403);
    }
}

#[test]
fn path_info_is_not_refused_behind_a_named_location_that_the_program_comes_to_as_well() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server(
        "location /v1/ { root %%DIR%%/static; rewrite ^/v1/(.*)$ /$1 break; try_files $uri @app; }
         location /v2/ { rewrite ^/v2/(.*)$ /$1 break; try_files /none @app; }
         location /v3/ { rewrite ^/v3/(.*)$ /$1 break; try_files $uri @app; }
         location /v4/ { rewrite ^/v4/(.*)$ /v1/$1 last; }
         location ~ ^/v5/.*\\.sh$ { rewrite ^/v5/(.*)$ /$1 break; try_files /none @app; }
         location /teapot/ { error_page 418 = @app; return 418; }
         location = /teapot/admin.sh { deny all; }
         location /post/ { error_page 418 = @app; if ($uri = /post/where.sh) { return 418; } }
         location @app { cgi_pass /bin/sh; }",
    )
    .file("html/where.sh", TELLS)
    .file("html/teapot/where.sh", TELLS)
    .file("html/teapot/admin.sh", EXECUTED)
    .file("html/post/where.sh", TELLS)
    .file("html/picture.jpg", EXECUTED)
    .file("static/picture.jpg", "picture")
    .allow_log("CGI")
    .start();
    for (target, body) in [
        ("/v1/where.sh", "/where.sh|"),
        ("/v1/where.sh/x", "/where.sh|/x"),
        ("/v2/where.sh/x", "/where.sh|/x"),
        ("/v4/where.sh/x", "/where.sh|/x"),
        ("/teapot/where.sh/x", "/teapot/where.sh|/x"),
    ] {
        s.get(target).is(200).body_is(body);
    }
    // Served as files, and not run, but for what follows their names; in another location; answered otherwise.
    for target in
        ["/v1/picture.jpg/x", "/v3/where.sh/x", "/v5/picture.jpg/x.sh", "/teapot/admin.sh/x", "/post/where.sh/x"]
    {
        let status = s.get(target).status;
        assert!(status == 403 || status == 404, "{target}: {status}");
    }
}

#[test]
fn a_server_that_answers_by_a_named_location_leaves_programs_their_path_info() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("error_page 418 = @app; return 418; location @app { cgi_pass /bin/sh; }")
        .file("html/where.sh", TELLS)
        .allow_log("CGI")
        .start();
    s.get("/where.sh/in/fo").is(200).body_is("/where.sh|/in/fo");
    s.get("/none/where.sh").is(404);
}
