//! What strangers stored is sent so that it does not run in the site's name.

use super::*;

#[test]
fn what_could_run_is_sent_to_be_saved_by_whatever_way() {
    if skip_on_nginx("uploads") {
        return;
    }
    let block = "include %%DIR%%/conf/types;
         location /post/ { allowed_methods GET POST; }
         location /put/ { allowed_methods GET PUT; }
         location /store/ { upload_store %%DIR%%/kept; }
         location /shown/ { alias %%DIR%%/kept/; }
         location /off/ { upload_store off; alias %%DIR%%/kept/./; }
         location /zipped/ { allowed_methods GET POST; gzip_static always; }
         location /packed/ { allowed_methods GET POST; gzip on; gzip_min_length 1; gzip_types *; }
         location /html/ { allowed_methods GET POST; default_type text/html; }
         location /aliased/ { alias %%DIR%%/put/; allowed_methods GET PUT; }
         location ~ ^/regex/(.*)$ { alias %%DIR%%/kept/$1; }
         location /inline/ { alias %%DIR%%/kept/; upload_serve inline; }
         location /site/ { }";
    let types = "types { text/html html htm; image/svg+xml svg; text/xml xml; application/javascript js;
         application/xhtml+xml xhtml; text/plain txt; image/png png; application/pdf pdf; }";
    let mut setup = server(block).file("html/index.html", "index").file("conf/types", types);
    let names = ["x.html", "x.HTML", "x.svg", "x.xml", "x.js", "x.xhtml", "x.txt", "x.png", "x", "x.unknown"];
    for dir in ["html/post", "html/put", "kept", "html/zipped", "html/packed", "html/html", "put", "html/site"] {
        for name in names {
            setup = setup.file(&format!("{dir}/{name}"), "<script>alert(1)</script>");
            if dir == "html/zipped" {
                setup = setup.file(&format!("{dir}/{name}.gz"), "packed");
            }
        }
    }
    let s = running(setup);
    let mut table = Table::new("stored files");
    for area in ["post", "put", "shown", "off", "zipped", "packed", "html", "aliased", "regex"] {
        table.row(OURS, area, || {
            for name in names {
                let active =
                    !matches!(name, "x.txt" | "x.png" | "x" | "x.unknown") || area == "html" && !name.contains(".t");
                let active = active && name != "x.png";
                let target = format!("/{area}/{name}");
                let answers = [
                    s.get(&target),
                    s.method("HEAD", &target, "", b""),
                    s.get_with(&target, "Range: bytes=0-3\r\n"),
                    s.get_with(&target, "Accept-Encoding: gzip\r\n"),
                ];
                for r in answers {
                    r.is_one_of(&[200, 206]).has("X-Content-Type-Options", "nosniff");
                    assert_eq!(
                        r.header("Content-Disposition"),
                        active.then_some("attachment"),
                        "{target}\n{}",
                        r.show()
                    );
                }
            }
        });
    }
    table.row(OURS, "a location that is no area, and one that says inline", || {
        for target in ["/site/x.html", "/inline/x.html", "/index.html"] {
            s.get(target).is(200).lacks("Content-Disposition").lacks("X-Content-Type-Options");
        }
    });
    table.row(OURS, "a site whose root is a store is still a site", || {
        let s = server("location /up/ { upload_store %%DIR%%/html; } location /docs/ { }");
        let s = running(s.file("html/index.html", "index").file("html/docs/x.html", "x"));
        s.get("/docs/x.html").is(200).lacks("Content-Disposition");
        s.get("/index.html").is(200).lacks("Content-Disposition");
    });
    table.row(OURS, "a store below the root of the site", || {
        let s = server("location /up/ { upload_store html/files; }").mkdir("html/files");
        let s = running(s.file("html/index.html", "index"));
        s.method("POST", "/up/x.html", "", b"<script>").is(201);
        s.get("/files/x.html").is(200).has("Content-Disposition", "attachment");
        s.get("/index.html").is(200).lacks("Content-Disposition");
    });
}

#[test]
fn what_an_upload_area_holds_is_guarded_in_other_locations_and_servers() {
    if skip_on_nginx("uploads") {
        return;
    }
    let server_of = |(name, block): &(&str, &str)| {
        let root = if *name == "own" { "up" } else { "" };
        format!("server {{ listen 127.0.0.1:%%PORT%%; server_name {name}; root %%DIR%%/html/{root}; {block} }}\n")
    };
    let blocks = [
        (
            "localhost",
            "location /up/ { allowed_methods GET PUT POST; upload_create_path on; } location ~ \\.svg$ { }
                       location /dav/ { dav_methods PUT; }
                       location /shown/ { allowed_methods GET PUT; upload_serve inline; }",
        ),
        ("www", ""),
        ("alias", "location /pics/ { alias %%DIR%%/html/up/; } location /pages/ { alias %%DIR%%/html/dav/; }"),
        ("own", ""),
        ("writes", "location / { allowed_methods GET PUT; }"),
    ];
    let all: String = blocks.iter().map(server_of).collect();
    let types = "types { text/html html; image/svg+xml svg; text/plain txt; }";
    let mut setup = crate::harness::http(&format!("{types} {all}")).file("html/index.html", "index");
    for name in ["up/x.html", "up/x.svg", "up/in/x.svg", "up/x.txt", "dav/x.html", "shown/x.html", "site/x.svg"] {
        setup = setup.file(&format!("html/{name}"), "<script>alert(1)</script>");
    }
    let s = running(setup);
    let get = |host: &str, target: &str| {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        client.response()
    };
    let mut table = Table::new("other ways to an area's files");
    let rows = [
        ("localhost", "/up/x.html", true, true),
        ("localhost", "/up/x.svg", true, true),
        ("localhost", "/up/in/x.svg", true, true),
        ("www", "/up/x.html", true, true),
        ("www", "/up/x.svg", true, true),
        ("www", "/up/x.txt", true, false),
        ("alias", "/pics/x.html", true, true),
        ("localhost", "/site/x.svg", false, false),
        ("www", "/index.html", false, false),
        // Pages that their authors keep by WebDAV, what is to be shown, and a site of its own.
        ("localhost", "/dav/x.html", false, false),
        ("alias", "/pages/x.html", false, false),
        ("www", "/shown/x.html", false, false),
        ("own", "/x.html", false, false),
        ("writes", "/index.html", false, false),
    ];
    for (host, target, guarded, saved) in rows {
        table.row(OURS, &format!("{host}{target}"), || {
            // Once more, as it is cached.
            for _ in 0..2 {
                let r = get(host, target);
                r.is(200);
                assert_eq!(r.header("X-Content-Type-Options"), guarded.then_some("nosniff"), "{}", r.show());
                assert_eq!(r.header("Content-Disposition"), saved.then_some("attachment"), "{}", r.show());
            }
        });
    }
}
