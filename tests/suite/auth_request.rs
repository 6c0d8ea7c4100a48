//! auth_request: another URI of the server decides who may come in.

use crate::harness::{OWN_FORM, Server, Setup, eventually, http, server, skip_on_nginx};
use crate::http2::client::H2;
use crate::upstream::Upstream;

fn asked(s: &Server, target: &str, fields: &str) -> u16 {
    s.get_with(target, fields).status
}

#[test]
fn the_status_of_the_subrequest_decides() {
    let s = server(
        "location /open { auth_request /204; } location /static { auth_request /file; } location /none { auth_request /401; }
         location /no { auth_request /403; } location /odd { auth_request /404; } location /moved { auth_request /302; }
         location /off { auth_request off; } location /post { auth_request /204; return 200 $request_body; }
         location = /204 { return 204; } location = /file { } location = /401 { return 401; } location = /403 { return 403; }
         location = /404 { return 404; } location = /302 { return 302 /; }
         location = /internal { internal; return 204; } location /inner { auth_request /internal; }
         location = /deny { deny all; return 204; } location /denied { auth_request /deny; }",
    )
    .file("html/open", "in")
    .file("html/static", "in")
    .file("html/file", "INVISIBLE")
    .file("html/off", "in")
    .file("html/inner", "in")
    .file("html/denied", "in")
    .start();
    for (target, status) in [
        ("/open", 200),
        ("/static", 200),
        ("/none", 401),
        ("/no", 403),
        ("/odd", 500),
        ("/moved", 500),
        ("/off", 200),
        ("/inner", 200),
        // Subrequests are not asked who they are.
        ("/denied", 200),
    ] {
        let answer = s.get(target);
        answer.is(status);
        assert!(!answer.text().contains("INVISIBLE"), "{target}");
    }
    // The body waits meanwhile, and the connection goes on.
    let mut client = s.client();
    for _ in 0..2 {
        client.request("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345").is(200);
        client.request("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345").is(403);
    }
    s.await_file("logs/error.log", |log| log.contains("auth request unexpected status: 404"));
}

#[test]
fn a_subrequest_that_ends_the_connection_is_logged_as_what_it_was() {
    let s = http(
        "log_format f '$uri $status'; access_log logs/f.log f;
         server { listen 127.0.0.1:%%PORT%%; location /a { auth_request /444; } location /b { auth_request /499; }
           location = /444 { return 444; } location = /499 { return 499; } }",
    )
    .start();
    for (target, line) in [("/a", "/a 444\n"), ("/b", "/b 499\n")] {
        let mut client = s.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.expect_closed();
        s.await_file("logs/f.log", |log| log.contains(line));
    }
}

#[test]
fn an_upstream_that_decides_gets_the_request_without_its_body_and_its_answer_can_be_named() {
    let decides = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let known = request.all("cookie") == ["user=ann"];
            let answer = match known {
                true => "HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 9\r\n\r\nINVISIBLE",
                false => {
                    "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Digest b\r\n\
                     Content-Length: 0\r\n\r\n"
                }
            };
            if !peer.send(answer.as_bytes()) {
                return;
            }
        }
    });
    let behind = Upstream::echo();
    let s = server(&format!(
        "location / {{ auth_request /auth; auth_request_set $user $upstream_http_x_user; add_header X-Who \"$user\" always;
           proxy_set_header X-User $user; proxy_pass http://{1}; }}
         location = /auth {{ internal; proxy_pass http://{0}; proxy_set_header X-Target $request_method:$request_uri; }}
         location /args {{ auth_request /auth; auth_request_set $args set; return 200 $args; proxy_pass http://{1}; }}",
        decides.address, behind.address
    ))
    .start();
    let refused = s.get("/a");
    refused.is(401);
    assert_eq!(refused.all("www-authenticate"), ["Basic realm=\"a\"", "Digest b"]);
    let mut client = s.client();
    for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let text = format!("POST /a?b HTTP/1.1\r\nHost: x\r\nCookie: user=ann\r\n{framing}");
        let answer = client.request(text);
        answer.is(200).has("X-Who", "ann").contains("X-User: ann").contains("hello");
        let asked = decides.last();
        assert_eq!(asked.line, "GET /auth HTTP/1.1");
        assert_eq!(asked.all("x-target"), ["POST:/a?b"]);
        assert!(asked.all("content-length").is_empty() && asked.all("transfer-encoding").is_empty(), "{asked:?}");
    }
    assert_eq!(s.get_with("/none", "").text().matches("INVISIBLE").count(), 0);
}

#[test]
fn an_upstream_that_is_down_lets_nobody_in() {
    let s = server(&format!(
        "location / {{ auth_request /auth; }} location = /auth {{ proxy_pass http://{}; }}",
        Upstream::nowhere()
    ))
    .file("html/a", "secret")
    .start();
    s.get("/a").is(500);
    s.await_file("logs/error.log", |log| log.contains("auth request unexpected status: 502"));
}

#[test]
fn satisfy_says_how_it_goes_with_addresses_and_passwords() {
    let s = server(
        "location /204 { internal; return 204; } location /401 { internal; return 401; } location /403 { internal; return 403; }
         location /all/ { alias html/; auth_request /204; auth_basic x; auth_basic_user_file users; }
         location /any/ { alias html/; satisfy any; auth_request /204; auth_basic x; auth_basic_user_file users; }
         location /any-no/ { alias html/; satisfy any; auth_request /403; auth_basic x; auth_basic_user_file users; }
         location /deny/ { alias html/; auth_request /204; deny all; }
         location /deny-any/ { alias html/; satisfy any; auth_request /204; deny all; }
         location /deny-no/ { alias html/; satisfy any; auth_request /401; deny all; }
         location /allow-any/ { alias html/; satisfy any; auth_request /403; allow all; }
         location /alone-any/ { alias html/; satisfy any; auth_request /403; }",
    )
    .file("html/f", "in")
    .file("conf/users", "ann:{PLAIN}right\n")
    .start();
    let right = "Authorization: Basic YW5uOnJpZ2h0\r\n";
    for (target, fields, status) in [
        ("/all/f", "", 401),
        ("/all/f", right, 200),
        ("/any/f", "", 200),
        ("/any-no/f", "", 401),
        ("/any-no/f", right, 200),
        ("/deny/f", "", 403),
        ("/deny-any/f", "", 200),
        ("/deny-no/f", "", 401),
        ("/allow-any/f", "", 200),
        ("/alone-any/f", "", 403),
    ] {
        assert_eq!(asked(&s, target, fields), status, "{target} {fields:?}");
    }
    s.get("/any/f").lacks("WWW-Authenticate");
    s.get("/any-no/f").has("WWW-Authenticate", "Basic realm=\"x\"");
}

#[test]
fn an_error_page_is_asked_about_by_its_own_location() {
    let s = server(
        "location / { auth_request /auth; auth_request_set $who first; error_page 404 = /page; error_page 401 = @login; }
         location = /auth { if ($http_x_in = \"\") { return 401; } return 204; }
         location = /page { add_header X-Who \"$who\" always; return 200 page; }
         location @login { return 302 /login?$uri; }",
    )
    .start();
    s.get_with("/none", "X-In: 1\r\n").is(200).has("X-Who", "first").body_is("page");
    let to = s.get("/none");
    to.is(302);
    assert!(to.header("location").is_some_and(|to| to.ends_with("/login?/none")));
}

#[test]
fn a_client_of_http2_and_one_that_leaves_are_asked_about_too() {
    let slow = Upstream::start(|peer| {
        if peer.request().is_some() {
            let mut rest = Vec::new();
            let _ = std::io::Read::read_to_end(&mut peer.stream, &mut rest);
        }
    });
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; http2 on; location / {{ auth_request /204; return 404; }} location = /204 {{ return 204; }}
         location /in {{ auth_request /204; }} location /no {{ auth_request /403; }} location = /403 {{ return 403; }}
         location /slow {{ auth_request /asks; }} location = /asks {{ proxy_pass http://{}; }} }}",
        slow.address
    ))
    .file("html/in", "in")
    .start();
    let mut h2 = H2::connect(s.address(0));
    for _ in 0..3 {
        let stream = h2.request("POST", "/no", &[], false);
        h2.data(stream, b"body", true);
        assert_eq!(h2.answer(stream).status, 403);
        let answer = h2.get("/in");
        assert_eq!((answer.status, answer.text().as_str()), (200, "in"));
    }
    let mut client = s.client();
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the upstream is asked", || slow.requests().len() == 1);
    client.leave();
    s.get("/in").is(200);
}

#[test]
fn a_configuration_of_it_is_checked() {
    for (config, message) in [
        ("auth_request_set user x;", "invalid variable name \"user\""),
        ("auth_request_set $host x;", "variable"),
        ("auth_request /a; auth_request /b;", "duplicate"),
    ] {
        let out =
            Setup::full(&format!("events {{}} http {{ server {{ listen 127.0.0.1:0; {config} }} }}")).test_config();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && text.contains(message), "{config}: {text}");
    }
}

/// Its verdict is for the URI that it was asked for: a place that it closes is closed to what concerns many paths, too.
#[test]
fn what_an_auth_request_refuses_by_its_uri_is_in_no_archive_search_form_or_transfer() {
    if skip_on_nginx("it asks once, and has no archives, searches and forms") {
        return;
    }
    let area = "dav_methods PUT DELETE MKCOL COPY MOVE; allowed_methods GET PUT POST DELETE MKCOL COPY MOVE;
                delete_recursive on; autoindex on; autoindex_format page; autoindex_archive tar; autoindex_search on;
                autoindex_upload on; upload_create_path on; upload_resumable on;";
    let s = http(&format!(
        "map $request_uri $closed {{ default 0; ~/private 1; }}
         server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; {area}
           location = /by_uri {{ internal; if ($request_uri ~ /private) {{ return 403; }} return 204; }}
           location = /by_map {{ internal; if ($closed) {{ return 403; }} return 204; }}
           location = /by_client {{ internal; set $who $http_x_who; if ($who = no) {{ return 403; }} return 204; }}
           location /files/ {{ auth_request /by_uri; }} location /mapped/ {{ auth_request /by_map; }}
           location /whole/ {{ auth_request /by_uri; auth_request_below on; }} location /who/ {{ auth_request /by_client; }}
         }}"
    ));
    let areas = ["files", "mapped", "whole", "who"];
    let files = |setup: Setup, area: &str| {
        let file = |setup: Setup, name: &str| setup.file(&format!("html/{area}/{name}"), "kept");
        ["t/private/s.txt", "d/private.txt", "open/f", "p.txt", "gone"].into_iter().fold(setup, file)
    };
    let s = areas.into_iter().fold(s, files).start();
    let transfer =
        |method: &str, from: String, to: String| s.method(method, &from, &format!("Destination: {to}\r\n"), b"").status;
    let form = |target: String, name: &str| {
        let fields = "Content-Type: multipart/form-data; boundary=b\r\nSec-Fetch-Site: same-origin\r\n";
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n");
        s.method("POST", &target, fields, format!("{head}x\r\n--b--\r\n").as_bytes()).status
    };
    for (area, is_closed) in areas.into_iter().zip([true, true, false, false]) {
        let done = |status: u16| if is_closed { 403 } else { status };
        assert_eq!(s.get(&format!("/{area}/t/private/s.txt")).status, if area == "who" { 200 } else { 403 });
        assert_eq!(s.get(&format!("/{area}/?archive=tar")).status, done(200), "{area}: an archive");
        assert_eq!(s.get(&format!("/{area}/?search=.tx")).status, done(200), "{area}: a search");
        assert_eq!(transfer("COPY", format!("/{area}/t/"), format!("/{area}/u/")), done(201), "{area}");
        assert_eq!(transfer("COPY", format!("/{area}/p.txt"), format!("/{area}/t/private/in")), done(204), "{area}");
        assert_eq!(form(format!("/{area}/"), "t/private/form.txt"), done(201), "{area}: a form's folder");
        assert_eq!(transfer("MOVE", format!("/{area}/t/"), format!("/{area}/v/")), done(201), "{area}");
        let left = if is_closed { "t" } else { "v" };
        assert_eq!(s.method("DELETE", &format!("/{area}/{left}/"), "", b"").status, done(204), "{area}");
        assert_eq!(s.exists(&format!("html/{area}/t/private/s.txt")), is_closed, "{area}");
        // The form of the listing deletes what it names, and no files in that.
        let listing = |body: &str| s.method("POST", &format!("/{area}/"), OWN_FORM, body.as_bytes()).status;
        assert_eq!(listing("webserv-delete=d%2F"), done(303), "{area}: a folder deleted by the form of its listing");
        assert_eq!(s.exists(&format!("html/{area}/d/private.txt")), is_closed, "{area}");
        assert_eq!(listing("webserv-delete=p.txt"), 303, "{area}: a file");
        // What it was asked for, and uploads in the folder that it was asked for.
        assert_eq!(s.method("PUT", &format!("/{area}/put"), "", b"x").status, 201, "{area}");
        assert_eq!(form(format!("/{area}/"), "form.txt"), 201, "{area}");
        assert_eq!(s.method("DELETE", &format!("/{area}/gone"), "", b"").status, 204, "{area}");
    }
    s.await_file("logs/error.log", |log| log.contains("auth_request_below"));
}
