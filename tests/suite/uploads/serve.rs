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
