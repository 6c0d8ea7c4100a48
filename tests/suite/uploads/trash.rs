//! What holds a trash, and what a trash holds: neither is lost, nor readable where it was not before.

use super::*;
use crate::harness::{OWN_FORM, post_files};

/// A shown trash, a hidden one two levels down, and one that a nested location with a password inherits.
fn trashes() -> crate::harness::Setup {
    server(
        "location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; autoindex on;
             delete_trash %%DIR%%/html/dav/trash shown;
             location /dav/private/ { auth_basic x; auth_basic_user_file %%DIR%%/users; }
             location ~ ^/dav/team/.*key$ { auth_basic x; auth_basic_user_file %%DIR%%/users; } }
         location /all/ { dav_methods PUT DELETE COPY MOVE; dav_ext_methods PROPFIND; autoindex on; autoindex_format page;
             autoindex_archive zip; min_delete_depth 0; delete_trash %%DIR%%/html/all/in/files/trash; }",
    )
    .file("users", "u:{PLAIN}p\n")
    .file("html/dav/trash/old", "deleted")
    .file("html/dav/private/secret", "secret")
    .file("html/dav/team/plain", "plain")
    .file("html/dav/team/in/a.key", "secret")
    .mkdir("html/dav/empty")
    .file("html/all/in/files/kept", "kept")
    .file("html/all/in/files/trash/was-deleted", "deleted")
    .mkdir("html/all/empty")
}

#[test]
fn a_trash_is_neither_moved_nor_replaced_nor_copied_over() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = trashes().start();
    let mut table = Table::new("a trash is an area");
    for (what, method, from, to) in [
        ("COPY onto it", "COPY", "/dav/empty/", "/dav/trash/"),
        ("MOVE onto it", "MOVE", "/dav/empty/", "/dav/trash"),
        ("a file onto it", "COPY", "/dav/team/plain", "/dav/trash"),
        ("MOVE of it", "MOVE", "/dav/trash/", "/dav/x/"),
        ("COPY onto what holds it", "COPY", "/all/empty/", "/all/in/"),
        ("MOVE of what holds it", "MOVE", "/all/in/", "/all/in2/"),
        ("MOVE of what holds it, one deeper", "MOVE", "/all/in/files", "/all/files2"),
    ] {
        table.row(OURS, what, || {
            s.method(method, from, &format!("Destination: {to}\r\nOverwrite: T\r\n"), b"").is(403);
            assert_eq!(s.read("html/dav/trash/old"), b"deleted");
            assert_eq!(s.read("html/all/in/files/trash/was-deleted"), b"deleted");
        });
    }
    table.row(OURS, "what is in it is", || {
        s.method("MOVE", "/dav/trash/old", "Destination: /dav/old\r\n", b"").is(201);
        s.method("COPY", "/dav/trash/", "Destination: /dav/copied/\r\n", b"").is(201);
    });
}

#[test]
fn a_hidden_trash_two_levels_down_is_in_no_archive_search_or_copy() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = trashes().start();
    let mut table = Table::new("a hidden trash");
    for uri in ["/all/", "/all/in/", "/all/in/files/"] {
        table.row(OURS, uri, || {
            let answer = s.get(&format!("{uri}?archive=zip"));
            let zip = &answer.is(200).body;
            let holds = |name: &[u8]| memchr::memmem::find(zip, name).is_some();
            assert!(holds(b"kept") && !holds(b"was-deleted") && !holds(b"trash"));
            let found = s.get(&format!("{uri}?search=e")).is(200).text();
            assert!(found.contains("kept") && !found.contains("was-deleted") && !found.contains("trash"), "{found}");
        });
    }
    table.row(OURS, "COPY", || {
        s.method("COPY", "/all/in/", "Destination: /all/in2/\r\n", b"").is(201);
        assert_eq!(s.read("html/all/in2/files/kept"), b"kept");
        assert!(!s.exists("html/all/in2/files/trash"));
        assert!(s.exists("html/all/in/files/trash/was-deleted"));
        s.method("COPY", "/all/in/files/", "Destination: /all/files2/\r\n", b"").is(201);
        assert!(s.exists("html/all/files2/kept") && !s.exists("html/all/files2/trash"));
    });
}

#[test]
fn a_file_with_a_password_is_not_public_in_the_shown_trash_of_the_location_around_it() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = trashes().allow_log("do not hold in the trash").start();
    let mut table = Table::new("a shown trash and the rules of what is deleted");
    let user = "Authorization: Basic dTpw\r\n";
    table.row(OURS, "a file", || {
        s.method("GET", "/dav/private/secret", user, b"").is(200);
        s.method("DELETE", "/dav/private/secret", user, b"").is(403);
        s.await_file("logs/error.log", |log| log.contains("do not hold in the trash"));
    });
    table.row(OURS, "a file in a directory", || {
        s.method("DELETE", "/dav/team/", user, b"").is(403);
        s.method("DELETE", "/dav/team/in/", user, b"").is(403);
    });
    assert_eq!(s.read("html/dav/private/secret"), b"secret");
    assert_eq!(s.read("html/dav/team/in/a.key"), b"secret");
    assert_eq!(s.snapshot("html/dav/trash").len(), 1);
    table.row(OURS, "of the location of the trash", || {
        s.method("DELETE", "/dav/team/plain", user, b"").is(204);
        assert_eq!(s.read("html/dav/trash/plain"), b"plain");
    });
}

#[test]
fn a_hidden_trash_is_reached_by_no_link_and_no_capture() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = server(
        "location /up/ { autoindex on; autoindex_format page; autoindex_archive tar; autoindex_search on;
             dav_methods PUT DELETE COPY MOVE; dav_ext_methods PROPFIND; create_full_put_path on;
             delete_trash %%DIR%%/by-link/up/trash; }
         location /link/ { autoindex on; autoindex_archive tar; dav_methods PUT DELETE COPY MOVE; dav_ext_methods PROPFIND; }
         location /alias/ { alias %%DIR%%/html/link/; autoindex on; autoindex_archive tar; }
         location ~ ^/captured/(.*)$ { alias %%DIR%%/html/up/$1; autoindex on; }
         location /tried/ { try_files /link/trash/thrown =404; }
         location /error/ { error_page 403 =200 /link/trash/thrown; return 403; }
         location /page/ { ssi on; }
         location /forms/ { alias %%DIR%%/html/up/; allowed_methods GET POST; upload_create_path on; }
         location /store/ { allowed_methods GET PUT; upload_store %%DIR%%/html/$arg_to; }
         location /root/ { alias %%DIR%%/html/up/trash/; }",
    )
    .file("html/up/kept", "kept")
    .file("html/up/trash/thrown", "away with it")
    .file("html/page/p.html", "<!--#include virtual=\"/link/trash/thrown\" -->")
    .link("html/link", "up")
    .link("html/straight", "up/trash")
    .link("by-link", "html")
    .allow_log("trash")
    .allow_log("rules of a path")
    .start();
    let mut table = Table::new("a hidden trash and links");
    for uri in [
        "/up/trash/thrown",
        "/link/trash/thrown",
        "/link//trash/thrown",
        "/link/trash/",
        "/alias/trash/thrown",
        "/alias/trash/",
        "/captured/trash/thrown",
        "/captured/trash/",
        "/straight/thrown",
        "/tried/x",
        "/error/x",
    ] {
        table.row(OURS, uri, || {
            s.get(uri).is(404);
        });
    }
    table.row(OURS, "an include", || assert!(!s.get("/page/p.html").text().contains("away with it")));
    for uri in ["/up/", "/link/", "/alias/", "/captured/", "/link/?archive=tar", "/alias/?archive=tar", "/up/?search=e"]
    {
        table.row(OURS, uri, || {
            let answer = s.get(uri);
            let body = &answer.is(200).body;
            let holds = |name: &[u8]| memchr::memmem::find(body, name).is_some();
            assert!(
                !holds(b"trash") && !holds(b"away with it") && !holds(b"thrown"),
                "{}",
                String::from_utf8_lossy(body)
            );
        });
    }
    table.row(OURS, "PROPFIND", || {
        s.method("PROPFIND", "/link/trash/", "Depth: 1\r\n", b"").is(404);
        assert!(!s.method("PROPFIND", "/link/", "Depth: 1\r\n", b"").is(207).text().contains("trash"));
    });
    for (method, uri) in [("COPY", "/link/trash/thrown"), ("MOVE", "/link/trash/thrown"), ("COPY", "/link/trash/")] {
        table.row(OURS, &format!("{method} {uri}"), || {
            let end = if uri.ends_with('/') { "/" } else { "" };
            s.method(method, uri, &format!("Destination: /link/out{end}\r\n"), b"").is_one_of(&[403, 404]);
        });
    }
    table.row(OURS, "what is stored", || {
        s.method("PUT", "/link/trash/new", "", b"x").is(404);
        s.method("PUT", "/up/trash/new", "", b"x").is(404);
        s.method("DELETE", "/link/trash/thrown", "", b"").is(404);
        s.method("PUT", "/store/new?to=up/trash", "", b"x").is(404);
        s.method("PUT", "/store/new?to=link/trash", "", b"x").is(404);
        s.method("PUT", "/store/new?to=up", "", b"x").is(201);
        post_files(&s, "/forms/", &[("trash/new", "x")]).is(404);
        assert_eq!(s.snapshot("html/up/trash").len(), 1);
    });
    table.row(OURS, "the root that the configuration names", || {
        assert_eq!(s.get("/root/thrown").is(200).body, b"away with it")
    });
}

/// A file of a nested location that deletes into a trash of its own was gone for good with the folder above it.
#[test]
fn a_folder_takes_no_file_past_the_trash_of_its_own_location() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = server(
        "location /f/ { allowed_methods GET POST PUT DELETE; delete_recursive on; autoindex on; autoindex_upload on;
             location ~ \\.doc$ { delete_trash %%DIR%%/trash; } }
         location /h/ { allowed_methods GET PUT DELETE; delete_recursive on; delete_trash %%DIR%%/other;
             location ~ \\.gone$ { delete_trash off; } location ~ \\.same$ { expires 1d; } }",
    )
    .file("html/f/t/a.doc", "a")
    .file("html/f/u/a", "a")
    .file("html/f/z.doc", "z")
    .file("html/h/t/a.gone", "a")
    .file("html/h/t/a.same", "a")
    .start();
    s.method("DELETE", "/f/z.doc", "", b"").is(204);
    assert_eq!(s.read("trash/z.doc"), b"z");
    s.method("DELETE", "/f/t/", "", b"").is(403);
    s.method("POST", "/f/", OWN_FORM, b"webserv-delete=t").is(403);
    assert_eq!(s.read("html/f/t/a.doc"), b"a");
    s.method("DELETE", "/f/u/", "", b"").is(204);
    s.method("DELETE", "/h/t/", "", b"").is(204);
    assert!(s.exists("other/t/a.gone") && s.exists("other/t/a.same"));
}

/// A 404 and a 403 made it: with a client's variable behind the directory, any number.
#[test]
fn a_trash_is_made_only_when_something_goes_there() {
    if skip_on_nginx("delete_trash") {
        return;
    }
    let s = server(
        "location /f/ { allowed_methods DELETE; delete_trash %%DIR%%/trash/$arg_of; }
         location /dav/ { dav_methods DELETE; delete_trash %%DIR%%/davs/trash; }",
    )
    .file("html/index.html", "index")
    .file("html/f/x", "x")
    .file("html/f/full/y", "y")
    .file("html/dav/x", "x")
    .start();
    let mut table = Table::new("DELETE that removes nothing");
    for (what, target, fields, status) in [
        ("what is missing", "/f/none?of=a", "", 404),
        ("a directory with entries", "/f/full/?of=b", "", 409),
        ("a version that is another", "/f/x?of=c", "If-Match: \"other\"\r\n", 412),
        ("the area itself", "/f/?of=d", "", 403),
        ("what is missing, by dav_methods", "/dav/none", "", 404),
        ("a directory that is named as a file", "/f/full/y/?of=e", "", 409),
    ] {
        table.row(OURS, what, || {
            s.method("DELETE", target, fields, b"").is(status);
            assert!(!s.exists("trash") && !s.exists("davs"), "{:?}", s.snapshot(""));
        });
    }
    table.row(OURS, "a file", || {
        s.method("DELETE", "/f/x?of=ann", "", b"").is(204);
        s.method("DELETE", "/dav/x", "", b"").is(204);
        assert!(s.exists("trash/ann/x") && s.exists("davs/trash/x"));
    });
}

/// The page offered Rename and Delete for a shown trash and for directories of locations: both were always refused.
#[test]
fn the_page_offers_no_rename_or_delete_of_what_is_kept() {
    if skip_on_nginx("autoindex_upload") {
        return;
    }
    let s = server(
        "location /up/ { allowed_methods GET POST DELETE; autoindex on; autoindex_upload on; delete_recursive on;
             delete_trash %%DIR%%/html/up/trash shown;
             location /up/own/deep/ { deny all; } location = /up/exact/ { deny all; } }
         location /other/ { alias %%DIR%%/html/up/aliased/in/; }",
    )
    .mkdir("html/up/trash/old")
    .mkdir("html/up/own/deep")
    .mkdir("html/up/exact")
    .mkdir("html/up/aliased/in")
    .mkdir("html/up/free")
    .file("html/up/trash.txt", "a file")
    .allow_log("is refused: it is or holds")
    .start();
    let mut table = Table::new("actions of a row");
    let kept = ["trash/", "own/", "exact/", "aliased/"];
    let (page, trash) = (s.get("/up/").is(200).text(), s.get("/up/trash/").is(200).text());
    let offers = |page: &str, name: &str| {
        let has = |what: &str| page.contains(&format!("href=\"?{what}={name}\""));
        assert!(page.contains(&format!("<a href=\"{name}\">")), "{name} is listed");
        (has("move"), has("delete"))
    };
    for name in kept {
        table.row(OURS, name, || {
            assert_eq!(offers(&page, name), (false, false));
            s.method("DELETE", &format!("/up/{name}"), "", b"").is(403);
        });
    }
    table.row(OURS, "others", || {
        assert_eq!((offers(&page, "free/"), offers(&page, "trash.txt")), ((true, true), (true, true)));
        assert_eq!(offers(&trash, "old/"), (true, true), "it is taken back or removed for good");
    });
}
