//! What the other logs of a configuration have of a recorded request, and what only looks as if it were of it; whose
//! rights files are looked at with.

use super::{said, setup};
use crate::harness::{Setup, skip_on_nginx, skipped};

#[test]
fn the_error_log_has_the_reason_of_a_recorded_request() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "error_log logs/error.log info;\nevents { }\nhttp { log_format own '$remote_addr - - [$time_local] \
                  \"$request\" $status $body_bytes_sent \"-\" \"-\" id=$request_id host=\"$http_host\"'; access_log \
                  logs/access.log own; server {\n  listen 127.0.0.1:%%PORT%%;\n  \
                  server_name a.test;\n  root %%DIR%%/html;\n  location /up/ {\n    proxy_pass http://127.0.0.1:9/;\n    \
                  proxy_intercept_errors on;\n    error_page 404 /none.html;\n    error_page 502 =503 /gone.html;\n  }\n  \
                  location /auth { auth_basic x; auth_basic_user_file users; }\n} }\n";
    let setup = Setup::full(config).file("html/page.html", "page").file("logs/x", "").file("conf/users", "");
    let id = |letter: &str| letter.repeat(32);
    let requests = [
        ("a", "GET /up/a HTTP/1.1", 404),
        ("b", "GET /up/b HTTP/1.1", 404),
        ("c", "GET /auth HTTP/1.1", 417),
        ("d", "GET /auth HTTP/3.0", 505),
        ("e", "GET /auth HTTP/1.1", 400),
        ("f", "GET /page.html HTTP/1.1", 403),
    ];
    let access: String = requests
        .iter()
        .map(|(letter, line, status)| {
            let host = if *letter == "e" { "" } else { "a.test" };
            format!("::1 - - [t] \"{line}\" {status} 9 \"-\" \"-\" id={} host=\"{host}\"\n", id(letter))
        })
        .collect();
    let errors: String = [
        ("a", "error", "connect() failed (111: Connection refused) while connecting to upstream"),
        ("a", "error", "open() \"/x/gone.html\" failed (2: No such file or directory)"),
        ("b", "error", "open() \"/x/none.html\" failed (2: No such file or directory)"),
        ("c", "info", "client sent invalid request: client sent an expectation other than \"100-continue\""),
        ("e", "info", "client sent invalid request: client sent invalid host: malformed Host field"),
        ("f", "error", "open() \"/x/page.html\" failed (13: Permission denied)"),
    ]
    .iter()
    .map(|(letter, level, text)| {
        format!("2026/11/28 00:00:00 [{level}] 7#7: *1 {text}, client: ::1, server: a.test, request_id: \"{}\", request: \"x\"\n", id(letter))
    })
    .collect();
    // The directory and its configuration are there from the first run on.
    let (ok, _) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(ok);
    for (name, text) in [("requests.log", &access), ("logs/error.log", &errors)] {
        std::fs::write(setup.dir().join(name), text).expect("written");
    }
    for (letter, parts, without) in [
        (
            "a",
            &["as was logged, gives no usable answer: 502", "redirect   internal, to /gone.html", "answer     404 "][..],
            "answers 404",
        ),
        ("b", &["as was logged, answers 404", "redirect   internal, to /none.html", "answer     404 "], "usable"),
        ("c", &["answer     417 ", "refused before a location", "server     the one that answered"], "\nlocation"),
        ("d", &["answer     505 ", "server     "], "\nlocation"),
        ("e", &["logged     400: client sent invalid request: client sent invalid host: malformed"], "\nlocation"),
        (
            "f",
            &["answer     200 ", "logged     403: open() \"/x/page.html\" failed (13: ", "conf/test.conf:6]"],
            "deny",
        ),
    ] {
        let (ok, text) = said(&setup, &["explain", "--log", "requests.log", "conf/test.conf", &id(letter)]);
        assert!(ok, "{letter}: {text}");
        for part in parts {
            assert!(text.contains(part), "{letter}: {part:?}: {text}");
        }
        assert!(!text.contains(without), "{letter}: {without:?}: {text}");
    }
    // What the page of an error led to is the same where the file itself is missing.
    let new = std::fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
    std::fs::write(setup.dir().join("conf/new.conf"), new.replace("location /up/ {", "location /other/ {"))
        .expect("written");
    let (ok, text) = said(&setup, &["diff", "conf/test.conf", "conf/new.conf", "--log", "requests.log"]);
    assert!(ok && text.ends_with("0 of 6 recorded requests would be answered differently\n"), "{text}");
}

/// A client chooses its URL: an id there, or an MD5, is of no request.
#[test]
fn an_id_in_a_url_joins_no_lines_of_other_requests() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "error_log logs/error.log info;\nevents { }\nhttp {\n  log_format own '$remote_addr [$time_local] \
                  \"$request\" $status id=$request_id';\n  access_log logs/access.log own;\n  server { listen \
                  127.0.0.1:%%PORT%%; root %%DIR%%/html; }\n}\n";
    let [one, two] = ["a", "b"].map(|letter| letter.repeat(32));
    let access = |path: &str, status: u16, id: &str| format!("::1 [t] \"GET /{path} HTTP/1.1\" {status} id={id}\n");
    let error = |text: &str, id: &str, path: &str| {
        format!(
            "2026/11/28 00:00:00 [error] 7#7: *1 {text}, client: ::1, server: a, request_id: \"{id}\", request: \
             \"GET /{path} HTTP/1.1\"\n"
        )
    };
    let mine = access("page.html", 403, &one);
    let planted = access(&format!("planted?{one}"), 403, &two);
    let setup = Setup::full(config)
        .file("html/page.html", "page")
        .file("requests.log", format!("{mine}{planted}"))
        .file("logs/access.log", format!("{planted}{mine}"))
        .file("logs/error.log", error("open() failed (13: first)", &one, "page.html") + &error("a lie", &two, &one));
    let (ok, text) = said(&setup, &["explain", "--log", "requests.log", "conf/test.conf", &one]);
    assert!(ok && text.contains("logged     403: open() failed (13: first)"), "{text}");
    assert!(text.contains("GET /page.html") && !text.contains("planted") && !text.contains("a lie"), "{text}");
}

/// What the error log has of a peer that failed is not why the next one answered as it did.
#[test]
fn a_peer_that_failed_is_no_reason_for_the_answer_of_the_next() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "error_log logs/error.log info;\nevents { }\nhttp {\n  log_format own '$remote_addr [$time_local] \
                  \"$request\" $status id=$request_id upstream_status=\"$upstream_status\"';\n  access_log \
                  logs/access.log own;\n  log_format short '$remote_addr [$time_local] \"$request\" $status \
                  id=$request_id x=\"$upstream_status\"';\n  access_log logs/short.log short;\n  upstream two { server 127.0.0.1:9; server 127.0.0.1:10; }\n  server { listen \
                  127.0.0.1:%%PORT%%; proxy_pass http://two; }\n}\n"
        .replace("proxy_pass http://two;", "location / { proxy_pass http://two; }");
    let ids = ["a", "b", "c"].map(|letter| letter.repeat(32));
    let all = [(200, "502, 200"), (404, "502, 404"), (502, "502, 502")];
    let access: String = ids
        .iter()
        .zip(all)
        .map(|(id, (status, of))| {
            format!("::1 [t] \"GET /{status} HTTP/1.1\" {status} id={id} upstream_status=\"{of}\"\n")
        })
        .collect();
    let errors: String = ids
        .iter()
        .map(|id| {
            let why = "connect() failed (111: Connection refused) while connecting to upstream";
            format!(
                "2026/11/28 00:00:00 [error] 7#7: *1 {why}, client: ::1, server: , request_id: \"{id}\", request: \"x\"\n"
            )
        })
        .collect();
    let setup = Setup::full(&config).file("requests.log", &access).file("logs/error.log", errors);
    // By its line, too, and where the log does not have what the peers answered.
    let short = access.replace(" upstream_status=", " x=");
    for (at, id) in ids.iter().enumerate() {
        for what in [id.as_str(), access.lines().nth(at).expect("a line"), short.lines().nth(at).expect("a line")] {
            let (ok, text) = said(&setup, &["explain", "--log", "requests.log", "conf/test.conf", what]);
            let logged = text.lines().find(|line| line.starts_with("logged ")).unwrap_or_default();
            assert_eq!(logged.contains("connect() failed"), all[at].0 == 502, "{what}: {text}");
            assert!(ok, "{what}: {text}");
        }
    }
}

/// "0 of 0 … otherwise" was the answer where the process that looks had died.
#[test]
fn a_comparison_whose_process_dies_is_no_comparison() {
    if skip_on_nginx("diff") {
        return;
    }
    let can_trace = || {
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "true"]);
        command.output().is_ok_and(|out| out.status.success())
    };
    if !crate::os::is_root() || !can_trace() {
        skipped("a process that dies while it compares wants root and strace");
        return;
    }
    let setup = setup();
    let (ok, _) = said(&setup, &["diff", "conf/test.conf", "conf/test.conf"]);
    assert!(ok);
    let traced = |what: &str| {
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=setresuid", "-e", &format!("inject=setresuid:{what}")]);
        command.arg(crate::harness::binary()).args([
            "diff",
            "conf/test.conf",
            "conf/test.conf",
            "--log",
            "requests.log",
        ]);
        let out = command.current_dir(setup.dir()).output().expect("strace runs");
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let (ok, text) = traced("signal=KILL");
    assert!(!ok && text.contains("were not compared: ") && text.contains("killed by signal 9"), "{text}");
    assert!(!text.contains("would be answered differently"), "{text}");
    let (ok, text) = traced("error=EPERM");
    assert!(ok && text.contains("[warn] files are looked at as root, the server is "), "{text}");
    assert!(text.contains("0 of 4 recorded requests would be answered differently"), "{text}");
}
