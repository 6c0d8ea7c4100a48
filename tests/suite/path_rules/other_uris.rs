//! Rules that belong to another URI than the one a request names: behind a redirect, or with a slash more or less.

use super::{DAV, OURS, transfer};
use crate::harness::{LOCKINFO, Table, http, server, skip_on_nginx};

/// What comes before a redirect to a named location holds for paths that a request only concerns, too; so does what the
/// named location says itself.
#[test]
fn a_named_location_is_no_way_around_the_scripts_before_it() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let s = server(&format!(
        "if ($request_uri ~ /closed/) {{ return 403; }}
         location /files/ {{
             if ($request_method != GET) {{ return 418; }}
             error_page 418 = @store;
         }}
         location @store {{ {DAV} if ($uri ~ secret) {{ return 403; }} }}
         location /tried/ {{ try_files /none @tried; }}
         location @tried {{ {DAV} }}"
    ))
    .file("html/files/a", "A")
    .file("html/files/open/in/f", "open")
    .file("html/files/tree/closed/f", "closed")
    .file("html/files/other/secret/f", "secret")
    .file("html/tried/a", "A")
    .file("html/tried/open/in/f", "open")
    .file("html/tried/tree/closed/f", "closed")
    .mkdir("html/files/closed")
    .mkdir("html/tried/closed")
    .start();
    let before = s.snapshot("html");
    let mut table = Table::new("named locations");
    for top in ["/files/", "/tried/"] {
        let at = |name: &str| format!("{top}{name}");
        table.row(OURS, &format!("what {top} does not allow"), || {
            s.method("PUT", &at("closed/x"), "", b"x").is(403);
            for method in ["COPY", "MOVE"] {
                transfer(&s, method, &at("a"), &at("closed/x")).is(403);
                transfer(&s, method, &at("tree/"), &at("copy/")).is(403);
            }
            s.method("DELETE", &at("tree/"), "", b"").is(403);
        });
    }
    table.row(OURS, "what the named location does not allow", || {
        s.method("PUT", "/files/secret", "", b"x").is(403);
        for method in ["COPY", "MOVE"] {
            transfer(&s, method, "/files/a", "/files/secret").is(403);
            transfer(&s, method, "/files/other/", "/files/copy/").is(403);
        }
        s.method("DELETE", "/files/other/", "", b"").is(403);
    });
    assert_eq!(s.snapshot("html"), before);
    for top in ["/files/", "/tried/"] {
        let at = |name: &str| format!("{top}{name}");
        table.row(OURS, &format!("what {top} allows"), || {
            s.method("PUT", &at("b"), "", b"x").is(201);
            transfer(&s, "COPY", &at("a"), &at("c")).is(204);
            transfer(&s, "MOVE", &at("c"), &at("d")).is(204);
            transfer(&s, "COPY", &at("open/"), &at("copy/")).is(201);
            s.method("DELETE", &at("open/"), "", b"").is(204);
            assert!(s.exists(&format!("html{}", at("copy/in/f"))) && !s.exists(&format!("html{}", at("open"))));
        });
    }
}

/// A slash at the end of a file's URI, or none at that of a folder's, made it another URI, of another location.
#[test]
fn a_slash_more_or_less_leads_past_no_rule() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let s = http(&format!(
        "dav_ext_lock_zone zone=l:1m;
         server {{
             listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location /up/ {{ {DAV} dav_ext_methods PROPFIND PROPPATCH LOCK UNLOCK; dav_ext_lock zone=l; }}
             location ~ \\.secret$ {{ deny all; }}
             location /up/kept/ {{ deny all; }}
             location /rec/ {{ allowed_methods GET DELETE; delete_recursive on; }}
             location /rec/kept/ {{ deny all; }}
         }}"
    ))
    .file("html/up/a.secret", "secret")
    .file("html/up/plain", "plain")
    .file("html/up/d/f", "f")
    .file("html/up/dir.secret/f", "f")
    .mkdir("html/up/kept")
    .mkdir("html/rec/kept")
    .start();
    let before = s.snapshot("html");
    let time =
        b"<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><D:lastmodified>1000000000</D:lastmodified></D:prop></D:set>\
                 </D:propertyupdate>";
    let mut table = Table::new("slashes");
    table.row(OURS, "a file that is named as a folder", || {
        let modified =
            || std::fs::metadata(s.path("html/up/a.secret")).and_then(|stat| stat.modified()).expect("there");
        let old = modified();
        s.method("PROPPATCH", "/up/a.secret/", "", time).is_one_of(&[404, 409]);
        assert_eq!(modified(), old);
        for target in ["/up/a.secret/", "/up/new.secret/"] {
            s.method("LOCK", target, "", LOCKINFO).is(409);
            s.method("DELETE", target, "", b"").is_one_of(&[404, 409]);
        }
    });
    table.row(OURS, "a destination of the other kind", || {
        for method in ["COPY", "MOVE"] {
            transfer(&s, method, "/up/plain", "/up/new.secret/").is(403);
            transfer(&s, method, "/up/plain", "/up/dir.secret/").is(403);
            transfer(&s, method, "/up/d/", "/up/a.secret").is(403);
        }
    });
    table.row(OURS, "a folder that is named as a file", || {
        s.method("DELETE", "/up/kept", "", b"").is(403);
        s.method("DELETE", "/rec/kept", "", b"").is(403);
        s.method("PROPFIND", "/up/kept", "Depth: 1\r\n", b"").is(403);
        s.method("LOCK", "/up/kept", "", LOCKINFO).is(403);
    });
    table.row(OURS, "nothing has changed", || assert_eq!(s.snapshot("html"), before));
    table.row(OURS, "what no rule is about", || {
        s.method("LOCK", "/up/d", "Depth: 0\r\n", LOCKINFO).is(200);
        s.method("PROPFIND", "/up/d", "Depth: 1\r\n", b"").is(207);
        s.method("PROPPATCH", "/up/d/", "", time).is_one_of(&[207, 423]);
        transfer(&s, "COPY", "/up/plain", "/up/e/").is(201);
        assert_eq!(s.read("html/up/e"), b"plain");
        transfer(&s, "COPY", "/up/dir.secret/", "/up/e").is(204);
        s.method("DELETE", "/up/e", "", b"").is(204);
    });
}
