//! Places below the one that a request names: what they keep to themselves, and what they take.

use super::{DAV, OURS, form, form_of, transfer};
use crate::harness::{Server, Table, server, skip_on_nginx};

const PAGE: &str = "autoindex on; autoindex_format page; autoindex_archive tar; autoindex_search on;";

fn archive_and_search(s: &Server, folder: &str) -> String {
    let archive = s.get(&format!("{folder}?archive=tar"));
    let found = s.get(&format!("{folder}?search=p"));
    format!("{}\n{}", String::from_utf8_lossy(&archive.body), found.text())
}

#[test]
fn a_folder_with_an_exact_location_gives_away_nothing_of_the_files_below() {
    if skip_on_nginx("it has no archives") {
        return;
    }
    let s = server(&format!(
        "location = /open/ {{ {PAGE} {DAV} }} location /open/ {{ deny all; }}
         location = /inner/ {{ {PAGE} }} location /inner/ {{ {PAGE} location = /inner/p1 {{ deny all; }} }}"
    ))
    .file("html/open/p1", "CLOSED")
    .file("html/open/in/p2", "CLOSED")
    .file("html/inner/p1", "CLOSED")
    .file("html/inner/p3", "SHOWN")
    .start();
    let mut table = Table::new("below exact locations");
    table.row(OURS, "archive and search", || {
        s.get("/open/p1").is(403);
        s.get("/inner/p3").is(200);
        for folder in ["/open/", "/inner/"] {
            let text = archive_and_search(&s, folder);
            assert!(!text.contains("CLOSED") && !text.contains("p1") && !text.contains("p2"), "{folder}: {text}");
        }
        assert!(archive_and_search(&s, "/inner/").contains("SHOWN"));
    });
    table.row(OURS, "COPY", || {
        transfer(&s, "COPY", "/open/", "/taken/").is_one_of(&[403, 409]);
        assert!(!s.exists("html/taken"));
    });
}

#[test]
fn what_try_files_puts_another_file_in_place_of_is_given_away_by_no_archive_search_or_copy() {
    if skip_on_nginx("it has no archives") {
        return;
    }
    let s = server(&format!(
        "location /f/ {{ {PAGE} {DAV} }}
         location /f/masked/ {{ {PAGE} {DAV} try_files /f/denied.html =404; }}
         location /f/plain/ {{ {PAGE} {DAV} try_files $uri $uri/ =404; }}
         location /f/masked/to/open/ {{ {DAV} }} location ~ ^/f/masked/.*\\.shown$ {{ {DAV} }}"
    ))
    .file("html/f/masked/p1", "MASKED")
    .file("html/f/masked/in/p2", "MASKED")
    .file("html/f/masked/from/open/p5", "MASKED")
    .file("html/f/masked/else/p6", "MASKED")
    .file("html/f/plain/p3", "PLAIN")
    .file("html/f/plain/in/p4", "DEEP")
    .file("html/f/denied.html", "denied")
    .start();
    assert_eq!(s.get("/f/masked/p1").is(200).text(), "denied");
    let mut table = Table::new("behind try_files");
    table.row(OURS, "archive and search", || {
        for folder in ["/f/", "/f/masked/"] {
            let text = archive_and_search(&s, folder);
            assert!(!text.contains("MASKED") && !text.contains("p1") && !text.contains("p2"), "{folder}: {text}");
        }
        let text = archive_and_search(&s, "/f/");
        assert!(text.contains("PLAIN") && text.contains("DEEP") && text.contains("denied"), "{text}");
    });
    table.row(OURS, "COPY", || {
        transfer(&s, "COPY", "/f/masked/", "/f/taken/").is_one_of(&[403, 409]);
        transfer(&s, "COPY", "/f/masked/p1", "/f/taken").is(403);
        transfer(&s, "COPY", "/f/plain/in/", "/f/plain/copy/").is(201);
        // Its own location has the page in place of the copy, too.
        transfer(&s, "COPY", "/f/masked/else/", "/f/masked/copy/").is(201);
        for method in ["COPY", "MOVE"] {
            transfer(&s, method, "/f/masked/from/", "/f/masked/to/").is(403);
        }
        assert!(!s.exists("html/f/masked/to"));
        assert!(!s.exists("html/f/taken") && s.exists("html/f/plain/copy/p4"));
    });
}

#[test]
fn forms_bring_nothing_to_locations_below_that_only_read() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /f/ { allowed_methods GET POST; upload_create_path on; upload_on_duplicate overwrite;
                        upload_resumable on; }
         location /f/site/ { index index.html; }
         location ~ ^/f/shop/ { expires 1d; }
         location /f/album/ { allowed_methods GET POST; }
         location ~ \\.png$ { expires 30d; }
         location = /exact { allowed_methods POST; upload_create_path on; }
         location = /stored { allowed_methods POST; upload_store %%DIR%%/store; }
         location /tried/ { try_files /none @tried; }
         location @tried { allowed_methods GET POST PUT; upload_create_path on;
                           if ($uri ~ ^/tried/closed/) { return 403; } }",
    )
    .file("html/f/site/index.html", "THE SITE")
    .file("html/f/shop/index.html", "THE SHOP")
    .mkdir("html/exact")
    .mkdir("html/tried")
    .mkdir("store")
    .start();
    let mut table = Table::new("folders below a form");
    table.row(OURS, "what PUT and POST may not store there", || {
        for name in ["site/index.html", "site/new.html", "site/new.png", "site/in/new", "shop/index.html", "shop/new"] {
            form(&s, "/f/", name).is(403);
        }
        // new.html, site/new.html
        let names = "filename bmV3Lmh0bWw=,relativePath c2l0ZS9uZXcuaHRtbA==";
        let fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nUpload-Metadata: {names}\r\n");
        s.method("POST", "/f/", &fields, b"").is(403);
        assert_eq!(s.read("html/f/site/index.html"), b"THE SITE");
        assert_eq!(s.read("html/f/shop/index.html"), b"THE SHOP");
        assert!(!s.exists("html/f/site/new.html") && !s.exists("html/f/site/in"));
    });
    table.row(OURS, "what a redirect's script does not allow", || {
        s.method("PUT", "/tried/closed/x", "", b"x").is(403);
        form(&s, "/tried/", "closed/x").is(403);
        form(&s, "/tried/", "open/x").is(201);
        form(&s, "/tried/", "x").is(201);
    });
    table.row(OURS, "what is no other place", || {
        for name in ["a", "a.png", "new/a", "new/a.png", "album/a", "album/a.png"] {
            form(&s, "/f/", name).is(201);
        }
        form(&s, "/exact", "a").is(201);
        form(&s, "/stored", "a").is(201);
        assert!(s.exists("html/exact/a") && s.exists("store/a"));
    });
}

/// A folder with an `upload_quota` of its own took any number of files by a form to the folder above it, and one that
/// replaces no file lost the one it had.
#[test]
fn a_folder_with_stricter_limits_takes_nothing_past_them_by_a_form_or_a_tree_above_it() {
    if skip_on_nginx("uploads") {
        return;
    }
    let inner = [
        ("quota", "upload_quota 10k;", 403),
        ("free", "upload_min_free 100%;", 403),
        ("off", "upload_store off;", 403),
        ("body", "client_max_body_size 1k;", 413),
        ("digest", "upload_verify_digest require;", 403),
        ("names", "upload_names safe;", 201),
        ("keeps", "allowed_methods GET POST; upload_on_duplicate error;", 201),
        ("same", "upload_quota 1m files=99; upload_min_free 1k;", 201),
        ("more", "upload_quota off; upload_min_free 0; client_max_body_size 100m;", 201),
    ];
    let below = |at: &dyn Fn(&str) -> String| {
        let lines = inner.map(|(name, rules, _)| format!("location {} {{ {rules} }}", at(name)));
        lines.concat()
    };
    let own = "upload_create_path on; upload_on_duplicate overwrite; upload_names any; upload_quota 1m files=99;
         upload_min_free 1k; client_max_body_size 10m;";
    let mut setup = server(&format!(
        "location /f/ {{ allowed_methods GET POST PUT DELETE; upload_resumable on; {own} {} }}
         location /d/ {{ {DAV} {own} {} {} }}
         location = /apart {{ allowed_methods POST; upload_store %%DIR%%/store; }}
         location / {{ {DAV} upload_quota 1; client_max_body_size 1; upload_verify_digest require; }}
         location ~ \\.jpe?g$ {{ allowed_methods GET PUT; client_max_body_size 1k; }}
         location ~ \\.gif$ {{ upload_quota 1; upload_on_duplicate error; client_max_body_size 1; }}",
        below(&|name| format!("/f/{name}/")),
        below(&|name| format!("/d/COPY-{name}/{name}/")),
        below(&|name| format!("/d/MOVE-{name}/{name}/")),
    ));
    for (name, ..) in inner {
        setup = setup.file(&format!("html/f/{name}/old"), "old").file(&format!("html/d/{name}/{name}/q"), "q");
    }
    let s = setup.mkdir("store").start();
    let mut table = Table::new("limits of a folder below");
    let big = "x".repeat(2000);
    for (name, _, status) in inner {
        table.row(OURS, &format!("form: {name}"), || {
            form_of(&s, "/f/", &format!("{name}/new"), &big).is(status);
            assert_eq!(s.exists(&format!("html/f/{name}/new")), status == 201);
        });
    }
    for (name, file, status) in [("keeps", "old", 409), ("more", "old", 200), ("names", ".hidden", 400)] {
        table.row(OURS, &format!("form: {name}/{file}"), || {
            form_of(&s, "/f/", &format!("{name}/{file}"), &big).is(status);
        });
    }
    assert_eq!(s.read("html/f/keeps/old"), b"old");
    form_of(&s, "/f/", "body/new", &big).is(413).contains("more than 1024 bytes");
    table.row(OURS, "form: images of the folder itself, which its location only reads", || {
        form_of(&s, "/f/", "a.gif", &big).is(201);
        form_of(&s, "/f/", "a.gif", &big).is(200);
    });
    for (name, _, status) in inner {
        // Its own location only reads: uploads to the folder are for another.
        table.row(OURS, &format!("form: an image in {name}"), || {
            form_of(&s, "/f/", &format!("{name}/new.gif"), &big).is(status);
        });
    }
    table.row(OURS, "form: an image that is not replaced", || {
        form_of(&s, "/f/", "keeps/new.gif", &big).is(409);
    });
    table.row(OURS, "form: images of the folder itself, larger and with other names than their own PUT", || {
        form_of(&s, "/f/", "a.jpg", &big).is(201);
        form_of(&s, "/f/", ".a.gif", &big).is(201);
    });
    table.row(OURS, "form: what is stored apart from the location of its name", || {
        form_of(&s, "/apart", "new", &big).is(201);
        assert!(s.exists("store/new"));
    });
    for (name, _, status) in inner.iter().filter(|(name, ..)| ["quota", "free", "off", "same", "more"].contains(name)) {
        for method in ["COPY", "MOVE"] {
            table.row(OURS, &format!("{method} of a tree: {name}"), || {
                transfer(&s, method, &format!("/d/{name}/"), &format!("/d/{method}-{name}/")).is(*status);
                assert_eq!(s.exists(&format!("html/d/{method}-{name}/{name}/q")), *status == 201);
            });
        }
    }
}

/// A form was told the address of a file that no URI shows: the location of its name has its files elsewhere.
#[test]
fn a_form_or_a_resumable_upload_stores_no_file_that_its_own_uri_does_not_name() {
    if skip_on_nginx("uploads") {
        return;
    }
    let all = "allowed_methods GET POST PUT DELETE;";
    let s = server(&format!(
        "location /f/ {{ {all} upload_create_path on; upload_on_duplicate overwrite; upload_resumable on; }}
         location /f/inner/ {{ root %%DIR%%/else; {all} }} location /f/al/ {{ alias %%DIR%%/al/; {all} }}
         location ~ \\.av$ {{ root %%DIR%%/else; {all} }} location ~ \\.off$ {{ upload_store off; }}
         location /f/same/ {{ alias %%DIR%%/html/f/same/; {all} }}
         location = /drop {{ allowed_methods POST; alias %%DIR%%/dropped/; }}
         location /led/ {{ rewrite ^/led/(.*)$ /f/$1 break; root %%DIR%%/led; {all} }}"
    ))
    .mkdir("html/f/same")
    .mkdir("else/f/inner")
    .mkdir("al")
    .mkdir("dropped")
    .mkdir("led/f")
    .start();
    let mut table = Table::new("files that are kept elsewhere");
    // Their paths in base64: inner/q, al/q, x.av, x.off
    for (name, file, folder) in [
        ("inner/q", "cQ==", "aW5uZXIvcQ=="),
        ("al/q", "cQ==", "YWwvcQ=="),
        ("x.av", "eC5hdg==", ""),
        ("x.off", "eC5vZmY=", ""),
    ] {
        table.row(OURS, name, || {
            form(&s, "/f/", name).is(403);
            let folder = if folder.is_empty() { String::new() } else { format!(",relativePath {folder}") };
            let fields =
                format!("Tus-Resumable: 1.0.0\r\nUpload-Length: 1\r\nUpload-Metadata: filename {file}{folder}\r\n");
            s.method("POST", "/f/", &fields, b"").is(403);
            assert!(!s.exists(&format!("html/f/{name}")));
        });
    }
    table.row(OURS, "the same path by an alias, a drop box, and a rewritten URI", || {
        form(&s, "/f/", "same/q").is(201);
        s.get("/f/same/q").is(200);
        form(&s, "/drop", "q").is(201);
        form(&s, "/led/", "q").is(201);
        assert!(s.exists("dropped/q") && s.exists("led/f/q"));
    });
}

/// A store, an alias or another server's site below a WebDAV area was deleted, moved or replaced with a folder above
/// it: the protection ended at the names of the server's own locations.
#[test]
fn a_directory_that_the_configuration_relies_on_is_not_removed_by_any_uri() {
    if skip_on_nginx("it removes them") {
        return;
    }
    let s = server(&format!(
        "location / {{ {DAV} allowed_methods GET PUT POST DELETE MKCOL COPY MOVE; delete_recursive on; }}
         location /al/ {{ alias %%DIR%%/html/st/in/; }} location /us/ {{ upload_store %%DIR%%/html/up/b; }}
         location /file {{ allowed_methods GET; }}
         }} server {{ listen unix:%%DIR%%/other.sock; root %%DIR%%/html/site/b;"
    ))
    .file("html/st/in/f", "kept")
    .file("html/up/b/f", "kept")
    .file("html/site/b/f", "kept")
    .file("html/free/in/f", "free")
    .allow_log("is or holds the directory of a location")
    .start();
    let mut table = Table::new("directories of the configuration");
    for (above, own) in [("/st/", "/st/in/"), ("/up/", "/up/b/"), ("/site/", "/site/b/")] {
        table.row(OURS, own, || {
            for folder in [above, own] {
                s.method("DELETE", folder, "", b"").is(403);
                transfer(&s, "MOVE", folder, "/moved/").is(403);
                transfer(&s, "COPY", "/free/", folder).is(403);
            }
            assert_eq!(s.read(&format!("html{own}f")), b"kept");
            s.method("DELETE", &format!("{own}f"), "", b"").is(204);
        });
    }
    table.row(OURS, "others", || {
        transfer(&s, "MOVE", "/free/", "/moved/").is(201);
        s.method("DELETE", "/moved/", "", b"").is(204);
    });
}
