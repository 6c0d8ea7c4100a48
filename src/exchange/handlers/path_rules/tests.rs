//! Which paths a request may concern besides its own.

use super::*;
use crate::exchange::testing::{INSIDE, OUTSIDE, Site};

#[test]
fn what_a_request_may_do_to_another_path_its_client_may_do_there_itself() {
    let mut site = Site::new(
        "",
        "location / { allowed_methods GET PUT DELETE COPY MOVE; }
         location /in/ { allowed_methods GET PUT DELETE COPY MOVE; allow 10.0.0.0/8; deny all; }
         location /read/ { } location /write/ { allowed_methods PUT; } location /listed/ { autoindex on; }
         location /none/ { return 403; } location /other/ { proxy_pass http://127.0.0.1:9; }
         location /internal/ { internal; allowed_methods GET PUT; }
         location /script/ { allowed_methods GET PUT DELETE; if ($arg_x = y) { return 403; } }
         location /tried/ { try_files /tried/page =404; allowed_methods GET PUT; }
         location ~ secret { allowed_methods GET PUT; deny all; }",
    );
    use PathAction::{Find, Itself, List, Put, Read, Remove};
    for (line, uri, action, client, expected) in [
        ("PUT /a", "/b", Put, OUTSIDE, true),
        ("PUT /a", "/in/b", Put, OUTSIDE, false),
        ("PUT /a", "/in/b", Put, INSIDE, true),
        ("PUT /a", "/d/secret", Put, INSIDE, false),
        ("PUT /a", "/read/b", Put, INSIDE, false),
        ("PUT /a", "/write/b", Put, INSIDE, true),
        ("PUT /a", "/none/b", Put, INSIDE, false),
        ("PUT /a", "/other/b", Put, INSIDE, false),
        ("PUT /a", "/internal/b", Put, INSIDE, false),
        ("PUT /a", "/script/b", Put, INSIDE, true),
        ("COPY /a", "/write/b", Put, INSIDE, true),
        ("COPY /a", "/write/b", Read, INSIDE, false),
        ("COPY /a", "/read/b", Read, INSIDE, true),
        ("COPY /a", "/in/b", Read, OUTSIDE, false),
        ("COPY /a", "/tried/b", Read, INSIDE, false),
        ("DELETE /a", "/b", Remove, INSIDE, true),
        ("DELETE /a", "/read/b", Remove, INSIDE, false),
        ("DELETE /a", "/script/b", Remove, INSIDE, true),
        ("GET /a", "/read/b", Find, INSIDE, true),
        ("GET /a", "/write/b", Find, INSIDE, false),
        ("GET /a", "/listed/b", List, INSIDE, true),
        ("GET /a", "/read/b", List, INSIDE, false),
        ("PUT /a", "/read/b", Itself, INSIDE, false),
        ("PUT /a", "/write/b", Itself, INSIDE, true),
    ] {
        let mut ex = site.at(line, &[], client);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let target = Target { uri: uri.as_bytes(), path: None };
        let found = rules.check(&mut ex, &mut site.cx, target, action).is_ok();
        assert_eq!(found, expected, "{line} {uri} {action:?} {client}");
    }
}

#[test]
fn a_folder_is_of_the_requests_own_location_where_that_answers_for_it() {
    let mut site = Site::new(
        "",
        "location /up/ { allowed_methods POST; } location /up/in/ { allowed_methods POST; }
         location ~ png$ { } location = /drop { allowed_methods POST; }
         location /apart/ { allowed_methods POST; upload_store DIR/apart; }",
    );
    let root = site.root();
    // Whether the folder is of the request's location, and the path that this has for the URI.
    for (line, uri, is_home, path) in [
        ("POST /up/", "/up/a", true, Some("up/a")),
        ("POST /up/", "/up/d/a.png", true, Some("up/d/a.png")),
        ("POST /up/", "/up/in/a", false, Some("up/in/a")),
        ("POST /up/", "/up/in", true, Some("up/in")),
        ("POST /up/", "/up/in/", true, Some("up/in/")),
        ("POST /up/in/", "/up/a", false, Some("up/a")),
        ("POST /drop", "/a", false, None),
        ("POST /apart/", "/apart/a", true, None),
    ] {
        let mut ex = site.at(line, &[], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        assert_eq!(rules.is_in_home(&ex, uri.as_bytes()), is_home, "{line} {uri}");
        let found = rules.path_of_upload(&mut ex, &mut site.cx, uri.as_bytes());
        let found = found.map(|path| String::from_utf8_lossy(&path).into_owned());
        assert_eq!(found, path.map(|path| format!("{}/{path}", root.display())), "{line} {uri}");
        ex.route.rewritten = true;
        assert_eq!(rules.path_of_upload(&mut ex, &mut site.cx, uri.as_bytes()), None, "{line} {uri}: rewritten");
    }
}

#[test]
fn a_tree_has_one_rule_where_nothing_at_its_location_depends_on_the_uri() {
    let mut site = Site::new(
        "",
        "location / { allowed_methods DELETE; } location /d/ { allowed_methods DELETE; location /d/in/ { } }
         location /script/ { allowed_methods DELETE; set $a b; } location /tried/ { try_files $uri =404; }
         location /realm/ { auth_basic $uri; auth_basic_user_file USERS; }
         location /file/ { auth_basic a; auth_basic_user_file USERS$arg_x; }
         location /root/ { root DIR/$arg_x; } location /ssi/ { ssi on; } location /plain/ { }",
    );
    let right = "Authorization: Basic dTpw";
    for (uri, action, expected) in [
        ("/plain/", PathAction::Remove, true),
        ("/plain/a/", PathAction::Read, true),
        ("/d/", PathAction::Remove, false),
        ("/d/a/", PathAction::Remove, true),
        ("/", PathAction::Remove, false),
        ("/a/", PathAction::Remove, true),
        ("/script/", PathAction::Remove, false),
        ("/tried/", PathAction::Remove, false),
        ("/realm/", PathAction::Remove, false),
        ("/file/", PathAction::Remove, false),
        ("/root/", PathAction::Remove, false),
        ("/ssi/", PathAction::Remove, true),
        ("/ssi/", PathAction::Read, false),
    ] {
        let mut ex = site.at(&format!("DELETE {uri}"), &[right], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        assert_eq!(rules.are_same_below(&ex, uri.as_bytes(), action), expected, "{uri} {action:?}");
        assert!(!rules.are_same_below(&ex, b"/plain/else/", action) || uri.starts_with("/plain/"), "{uri}: another's");
    }
}
