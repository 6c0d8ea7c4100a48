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

/// What auth_request allowed was asked for one URI. That also covers what an upload or a form brings to the folder of
/// that URI, but no other name that a COPY or MOVE has in view.
#[test]
fn an_answer_of_auth_request_for_one_uri_allows_no_copy_to_or_from_another() {
    let mut site = Site::new(
        "",
        "location /d/ { auth_request /who; allowed_methods GET PUT POST DELETE COPY MOVE; }
         location = /who { return 204; }",
    );
    use PathAction::{Put, Read, Remove};
    for (line, uri, action, expected) in [
        ("PUT /d/a", "/d/a", Put, true),
        ("PUT /d/a", "/d/b", Put, true),
        ("PUT /d/a", "/d/in/b", Put, false),
        ("PUT /d/a", "/d/b", Read, false),
        ("COPY /d/a", "/d/a", Read, true),
        ("COPY /d/a", "/d/a/", Read, true),
        ("COPY /d/a", "/d/b", Put, false),
        ("COPY /d/a", "/d/b", Read, false),
        ("MOVE /d/a", "/d/a", Remove, true),
        ("MOVE /d/a", "/d/b", Put, false),
        ("DELETE /d/", "/d/b", Remove, false),
        ("POST /d/", "/d/b", Remove, true),
        ("POST /d/", "/d/in/b", Remove, false),
    ] {
        for saw_uri in [true, false] {
            let mut ex = site.at(line, &[], INSIDE);
            ex.route.subrequest_saw_uri = saw_uri;
            let rules = PathRules::of(&mut ex, &mut site.cx);
            let target = Target { uri: uri.as_bytes(), path: None };
            let found = rules.check(&mut ex, &mut site.cx, target, action).is_ok();
            assert_eq!(found, expected || !saw_uri, "{line} {uri} {action:?} {saw_uri}");
        }
    }
}

/// A named location answers for the request: the tree is judged as a whole only if that one has no script either.
#[test]
fn a_tree_behind_a_redirect_has_one_rule_where_neither_location_depends_on_the_uri() {
    let mut site = Site::new(
        "",
        "location / { allowed_methods DELETE; } location @plain { allowed_methods DELETE; }
         location @script { allowed_methods DELETE; set $a b; }",
    );
    for (name, expected) in [("@plain", true), ("@script", false)] {
        let mut ex = site.at("DELETE /d/", &[], INSIDE);
        let is_meant = |location: &Location| *location.name == *name.as_bytes();
        let at = ex.config.locations.iter().position(is_meant).expect("it is configured");
        ex.route.location = LocationId(at as u32);
        ex.route.internal = true;
        let rules = PathRules::of(&mut ex, &mut site.cx);
        assert_eq!(rules.are_same_below(&ex, b"/d/", PathAction::Remove), expected, "{name}");
    }
}

/// A named location answers for one that refuses such requests itself: that holds for the paths of that location, and
/// for no path of another one that leads to the same.
#[test]
fn what_a_named_location_allows_is_allowed_for_its_own_location_alone() {
    let mut site = Site::new(
        "",
        "location /d/ { return 418; error_page 418 = @dav; } location /d/in/ { return 403; }
         location /other/ { return 418; error_page 418 = @dav; } location @dav { allowed_methods PUT DELETE; }",
    );
    for (uri, expected) in [("/d/a", true), ("/d/in/a", false), ("/other/a", false)] {
        let mut ex = site.at("DELETE /d/", &[], INSIDE);
        let is_meant = |location: &Location| *location.name == *b"@dav";
        let at = ex.config.locations.iter().position(is_meant).expect("it is configured");
        (ex.route.location, ex.route.internal) = (LocationId(at as u32), true);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let target = Target { uri: uri.as_bytes(), path: None };
        assert_eq!(rules.check(&mut ex, &mut site.cx, target, PathAction::Remove).is_ok(), expected, "{uri}");
    }
}

/// A client that may not read a file, since try_files puts another one in its place, gets no copy of it either. A link
/// that leads nowhere shows nothing.
#[test]
fn what_try_files_hides_is_not_read_but_a_link_to_nothing_goes_along() {
    let mut site = Site::new("", "location /d/ { try_files /d/page =404; allowed_methods GET COPY; }");
    let dir = site.root().join("d");
    std::fs::create_dir(&dir).expect("made");
    ["page", "a"].iter().for_each(|name| std::fs::write(dir.join(name), name).expect("written"));
    std::os::unix::fs::symlink("nowhere", dir.join("link")).expect("a link");
    for (name, expected) in [("page", true), ("a", false), ("link", true)] {
        let mut ex = site.at("COPY /d/", &[], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let (uri, path) = (format!("/d/{name}"), dir.join(name).display().to_string());
        let target = Target { uri: uri.as_bytes(), path: Some(path.as_bytes()) };
        assert_eq!(rules.check(&mut ex, &mut site.cx, target, PathAction::Read).is_ok(), expected, "{name}");
    }
}

/// A folder that takes uploads may contain locations for images, which only read: they get what is uploaded. Folders
/// below that only read get nothing.
#[test]
fn a_form_brings_files_to_locations_that_only_read_within_its_own_folder() {
    let mut site = Site::new(
        "",
        "location / { } location /up/ { allowed_methods POST; }
         location /up/in/ { } location /up/no/ { allowed_methods GET; }
         location ~ png$ { } location ~ gif$ { allowed_methods GET; } location = /up/one { }
         location /apart/ { allowed_methods POST; upload_store DIR/apart; }",
    );
    for (line, uri, expected) in [
        ("POST /up/", "/up/a", true),
        ("POST /up/", "/up/a.png", true),
        ("POST /up/", "/up/one", true),
        ("POST /up/", "/up/a.gif", false),
        ("POST /up/", "/up/d/a.png", true),
        ("POST /up/", "/up/in/a", false),
        ("POST /up/", "/up/no/a", false),
        ("POST /up/", "/a", false),
        ("POST /up/", "/a.png", false),
        ("POST /apart/", "/a", true),
        ("POST /apart/", "/up/no/a", false),
    ] {
        let mut ex = site.at(line, &[], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let target = Target { uri: uri.as_bytes(), path: None };
        let found = rules.check(&mut ex, &mut site.cx, target, PathAction::Put).is_ok();
        assert_eq!(found, expected, "{line} {uri}");
    }
}

/// What a program or a page with commands consists of is read by none of the ways that lead to other paths; only those
/// who may write programs by uploads may copy them.
#[test]
fn the_text_of_a_program_is_copied_only_where_uploads_may_be_programs() {
    let mut site = Site::new(
        "",
        "location /cgi/ { cgi_extension .sh /bin/sh; allowed_methods GET COPY; }
         location /own/ { cgi_extension .sh /bin/sh; allowed_methods GET PUT COPY; upload_execute on; }
         location /ssi/ { ssi on; allowed_methods GET COPY; }",
    );
    for (line, uri, action, expected) in [
        ("COPY /cgi/", "/cgi/a.sh", PathAction::Read, false),
        ("COPY /cgi/", "/cgi/a.txt", PathAction::Read, true),
        ("COPY /cgi/", "/cgi/a.sh", PathAction::Find, true),
        ("COPY /own/", "/own/a.sh", PathAction::Read, true),
        ("GET /own/", "/own/a.sh", PathAction::Read, false),
        ("COPY /ssi/", "/ssi/a.html", PathAction::Read, false),
        ("COPY /ssi/", "/ssi/a.png", PathAction::Read, true),
    ] {
        let mut ex = site.at(line, &[], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let target = Target { uri: uri.as_bytes(), path: None };
        let found = rules.check(&mut ex, &mut site.cx, target, action).is_ok();
        assert_eq!(found, expected, "{line} {uri} {action:?}");
    }
}

#[test]
fn a_file_of_a_location_that_only_reads_has_the_limits_of_the_folder_that_takes_it() {
    let mut site = Site::new(
        "",
        "location /up/ { allowed_methods POST; } location /up/in/ { allowed_methods POST; } location /read/ { }
         location ~ png$ { } location ~ jpg$ { allowed_methods GET PUT; }",
    );
    for (uri, expected) in [
        ("/up/in/a.png", Some("/up/in/")),
        ("/up/in/d/a.png", Some("/up/in/d/")),
        ("/up/in/a.jpg", None),
        ("/up/in/a", None),
        ("/up/a.png", None),
        ("/read/a.png", None),
    ] {
        let mut ex = site.at("POST /up/", &[], INSIDE);
        let rules = PathRules::of(&mut ex, &mut site.cx);
        let there = site.at(&format!("GET {uri}"), &[], INSIDE);
        let limits = TargetLimits::of(there.location(), uri.as_bytes(), methods::allowed(&there));
        let found = rules.folder_that_takes(&ex, &limits, uri.as_bytes());
        assert_eq!(found, expected.map(str::as_bytes), "{uri}");
    }
}
