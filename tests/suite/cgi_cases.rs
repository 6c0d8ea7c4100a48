//! What testers try on CGI: programs that misbehave, headers that are odd, and what the environment must say (RFC
//! 3875).

use crate::harness::{Server, Table, eventually, ours, server, skip_on_nginx};
use crate::strace::Strace;
use std::os::unix::fs::OpenOptionsExt;

const PROGRAMS: &[(&str, &str)] = &[
    ("early", "exec 0<&-; printf 'Status: 200 OK\\n\\nearly'"),
    ("ignorant", "printf '\\nread nothing'"),
    ("forever", "printf 'Content-Type: text/plain\\n\\n'; exec yes"),
    ("held", "printf 'Content-Type: text/plain\\n\\nheld'; sleep 60 & exit 0"),
    ("held_silent", "sleep 60 & exit 0"),
    ("no_end", "printf 'Content-Type: text/plain'"),
    ("no_body", "printf 'Content-Type: text/plain\\n\\n'"),
    ("no_header", "printf 'hello world\\n'"),
    ("odd_header", "printf 'this is none\\n\\nbody'"),
    ("odd_status", "printf 'Status: abc\\n\\nx'"),
    ("low_status", "printf 'Status: 99\\n\\nx'"),
    ("no_content", "printf 'Status: 204 No Content\\n\\n'"),
    ("endless_header", "while :; do printf 'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\n'; done"),
    ("endless_line", "exec cat /dev/zero"),
    ("endless_stderr", "printf '\\nsaid'; exec cat /dev/zero >&2"),
    ("loop", "printf 'Location: /sh/loop\\n\\n'"),
    ("moved", "printf 'Status: 301 Moved\\nLocation: http://a.test/\\nContent-Type: text/html\\n\\nmoved'"),
    ("relative", "printf 'Location: other\\n\\n'"),
    ("crlf", "printf 'Content-Type: text/plain\\r\\nX: y\\r\\n\\r\\nbody'"),
    ("cookies", "printf 'Set-Cookie: a=1\\nContent-Type: text/plain\\nSet-Cookie: b=2\\n\\nx'"),
    ("longer", "printf 'Content-Length: 2\\n\\nabcdef'"),
    ("shorter", "printf 'Content-Length: 10\\n\\nabc'"),
    ("data", "printf '\\n'; cat beside.txt"),
    ("killed", "kill -SEGV $$"),
    ("failed", "printf '\\nsome'; exit 3"),
    ("count", "printf '\\n%s ' \"${CONTENT_LENGTH-none}\"; wc -c"),
    ("files", "printf '\\n'; ls /proc/self/fd | tr '\\n' ' '"),
    ("env", "printf 'Content-Type: text/plain\\n\\n'; pwd; env"),
    ("sub/env", "printf '\\n%s|%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$PATH_TRANSLATED\""),
    ("sp ace", "printf '\\n%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\""),
];

fn start() -> Option<Server> {
    if skip_on_nginx("nginx has no CGI") {
        return None;
    }
    let mut setup = server(
        "cgi_timeout 20s; client_max_body_size 64m;
         location /sh/ { cgi_pass /bin/sh; }
         location /run/ { cgi_pass on; }
         location /ext/ { cgi_extension .sh /bin/sh; cgi_extension .run on; }
         location /alias/ { alias %%DIR%%/html/ext/; cgi_extension .sh /bin/sh; }
         location /by-alias/ { alias %%DIR%%/html/sh/; cgi_pass /bin/sh; }
         location = /count { alias %%DIR%%/outside/count.sh; cgi_pass /bin/sh; }
         location /counts { alias %%DIR%%/outside/count.sh; cgi_pass /bin/sh; }
         location /slash/ { alias %%DIR%%/outside/count.sh; cgi_pass /bin/sh; }
         location /named.sh { alias %%DIR%%/outside/count.sh; cgi_extension .sh /bin/sh; }
         location = /current { alias %%DIR%%/html/ext/out.sh; cgi_pass /bin/sh; }
         location = /given { alias %%DIR%%/html/ext/$arg_name; cgi_pass /bin/sh; }
         location = /directory { alias %%DIR%%/html/ext; cgi_pass /bin/sh; }
         location ~ ^/regex/(.*)$ { alias %%DIR%%/html/ext/$1; cgi_extension .sh /bin/sh; }
         location ~ ^/pictures/.*\\.sh(/|$) { cgi_pass /bin/sh; }
         location /nest/ { root %%DIR%%/html; location ~ \\.sh$ { cgi_pass /bin/sh; root %%DIR%%/html/ext/..; } }",
    )
    .mkdir("outside")
    .file("outside/out.sh", "printf '\\nOUTSIDE'")
    .file("outside/count.sh", "printf '\\n%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\"")
    .file("html/sh/beside.txt", "beside")
    .file("html/pictures/evil.jpg", "printf '\\nEXECUTED'")
    .file("html/pictures/fine.sh", "printf '\\n%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\"")
    .file("html/ext/in.sh", "printf '\\ninside'")
    .file("html/ext/yes.run", "#!/bin/sh\nprintf '\\nrun'")
    .file("html/ext/no.run", "#!/bin/sh\nprintf '\\nrun'")
    .file("html/run/lost", "#!/no/such/interpreter\n")
    .file("html/run/none", "printf '\\nx'")
    .mode("html/ext/yes.run", 0o755)
    .mode("html/run/lost", 0o755)
    .link("html/ext/link.sh", "in.sh")
    .link("html/ext/out.sh", "../../outside/out.sh")
    .link("html/ext/away", "../../outside")
    .allow_log("CGI")
    .allow_log("upstream");
    for (name, text) in PROGRAMS {
        setup = setup.file(&format!("html/sh/{name}"), text);
    }
    Some(setup.start())
}

#[test]
fn programs_that_misbehave() {
    let Some(s) = start() else { return };
    let mut table = Table::new("CGI programs");
    let why = "nginx has no CGI";
    let rows: &[(&str, u16, &str)] = &[
        ("early", 200, "early"),
        ("ignorant", 200, "read nothing"),
        // The pipe is held by a child; the answer ends with the program all the same.
        ("held", 200, "held"),
        ("held_silent", 502, "*"),
        ("no_end", 502, "*"),
        ("no_body", 200, ""),
        ("no_header", 502, "*"),
        ("odd_header", 502, "*"),
        ("odd_status", 502, "*"),
        ("low_status", 502, "*"),
        ("no_content", 204, ""),
        ("endless_header", 502, "*"),
        ("endless_line", 502, "*"),
        ("loop", 500, "*"),
        ("moved", 301, "moved"),
        ("relative", 302, ""),
        ("crlf", 200, "body"),
        ("longer", 200, "ab"),
        ("data", 200, "beside"),
        ("killed", 502, "*"),
        ("failed", 200, "some"),
        ("sp%20ace/a%20b%2Fc", 200, "/sh/sp ace|/a b/c"),
    ];
    for (name, status, body) in rows {
        table.row(ours(why), name, || {
            let r = s.get(&format!("/sh/{name}"));
            r.is(*status);
            if *body != "*" {
                r.body_is(body);
            }
        });
    }
    table.row(ours(why), "a body that is not read", || {
        let body = vec![b'x'; 3 << 20];
        s.method("POST", "/sh/early", "", &body).is(200).body_is("early");
        s.method("POST", "/sh/ignorant", "", &body).is(200).body_is("read nothing");
    });
    table.row(ours(why), "fewer bytes than announced", || {
        let all = s.client().send("GET /sh/shorter HTTP/1.1\r\nHost: a\r\n\r\n").rest();
        assert!(all.ends_with(b"\r\n\r\nabc"), "{}", String::from_utf8_lossy(&all));
    });
    table.row(ours(why), "output without end is no more than the client takes", || {
        let mut client = s.client();
        client.send("GET /sh/forever HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.bytes(2 << 20).len(), 2 << 20);
        client.leave();
    });
    table.row(ours(why), "STDERR without end keeps no other client waiting", || {
        let mut client = s.client();
        client.send("GET /sh/endless_stderr HTTP/1.1\r\nHost: a\r\n\r\n");
        s.await_file("logs/error.log", |log| log.contains("/endless_stderr"));
        s.get("/sh/data").is(200).body_is("beside");
        client.leave();
    });
    table.row(ours(why), "two cookies are two lines", || {
        assert_eq!(s.get("/sh/cookies").all("set-cookie"), ["a=1", "b=2"]);
    });
    table.row(ours(why), "HEAD has the same head", || {
        let r = s.client().send("HEAD /sh/cookies HTTP/1.1\r\nHost: a\r\n\r\n").response_to_head();
        r.is(200).has("Content-Type", "text/plain");
    });
    table.row(ours(why), "they are all gone", || {
        eventually("a program can be started", || s.get("/sh/data").status == 200);
    });
}

/// They were all let in before the first of them ran: their bodies came later.
#[test]
fn no_more_programs_run_than_may_though_their_bodies_come_at_once() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("location / { cgi_pass /bin/sh; cgi_max_children 2; }")
        .file("html/waits", "printf '\\n'; cat \"$DOCUMENT_ROOT/fifo\"")
        .allow_log("cgi_max_children")
        .start();
    let fifo = s.path("html/fifo");
    crate::os::mkfifo(&fifo);
    let mut clients: Vec<_> = (0..8).map(|_| s.client()).collect();
    for client in &mut clients {
        client.send("POST /waits HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        client.response().is(100);
    }
    clients.iter_mut().for_each(|client| _ = client.send("x"));
    s.await_file("logs/access.log", |log| log.matches(" 503 ").count() == 6);
    // The two that run end with what they wait for, once they have come to it.
    const NONBLOCK: i32 = 0o4000;
    eventually("they end", || {
        drop(std::fs::OpenOptions::new().write(true).custom_flags(NONBLOCK).open(&fifo));
        String::from_utf8_lossy(&s.read("logs/access.log")).matches(" 200 ").count() == 2
    });
    let mut statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503, 503, 503]);
}

/// Each stayed, ended and not reaped, for three seconds beside those that ran.
#[test]
fn clients_that_leave_at_once_have_no_more_processes_than_may_run() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("location / { cgi_pass /bin/sh; cgi_max_children 2; }")
        .file("html/sleeps", "printf '\\n'; exec sleep 60")
        .file("html/ends", "printf '\\nends'")
        .allow_log("cgi_max_children")
        .start();
    let children = || {
        let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", s.pid)).expect("the server runs");
        list.split_whitespace().count()
    };
    let before = children();
    for _ in 0..12 {
        // While the one before is on its way to its end it has its place.
        eventually("one more is started", || {
            let mut client = s.client();
            client.send("GET /sleeps HTTP/1.1\r\nHost: a\r\n\r\n");
            let is_started = client.bytes(12) == b"HTTP/1.1 200";
            client.leave();
            is_started
        });
        let more = children() - before;
        assert!(more <= 2, "{more} processes");
    }
    eventually("other clients are answered", || s.get("/ends").status == 200);
}

/// The program itself obeys TERM; what it started does not.
#[test]
fn what_an_unwanted_program_has_started_ends_too() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("location / { cgi_pass /bin/sh; }")
        .file(
            "html/parent",
            "(trap '' TERM; sh -c 'echo $PPID' > \"$DOCUMENT_ROOT/new\"; mv \"$DOCUMENT_ROOT/new\" \"$DOCUMENT_ROOT/deaf\"; \
             while :; do sleep 1; done) & wait",
        )
        .start();
    let mut client = s.client();
    client.send("GET /parent HTTP/1.1\r\nHost: a\r\n\r\n");
    let pid = s.await_file("html/deaf", |text| text.ends_with('\n')).trim().to_owned();
    client.leave();
    // A zombie that nothing reaps has ended, too.
    let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    eventually("it is ended", || !runs());
}

/// The number of a group is its leader's until that is reaped; afterwards it may be another's, and KILL would hit that.
#[test]
fn a_program_is_not_reaped_before_its_group_got_its_last_signal() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("location / { cgi_pass /bin/sh; }")
        .file(
            "html/parent",
            "(trap '' TERM; echo $$ > \"$DOCUMENT_ROOT/new\"; mv \"$DOCUMENT_ROOT/new\" \"$DOCUMENT_ROOT/leader\"; \
             while :; do sleep 1; done) & wait",
        )
        .file("html/ends", "printf '\\nends'")
        .start();
    let Some(strace) = Strace::attach(&s, &["-e", "trace=kill,wait4,waitid"]) else { return };
    let mut client = s.client();
    client.send("GET /parent HTTP/1.1\r\nHost: a\r\n\r\n");
    let pid = s.await_file("html/leader", |text| text.ends_with('\n')).trim().to_owned();
    client.leave();
    // Its end is in front of theirs in the kernel's list, whatever is reaped with them.
    for _ in 0..3 {
        s.get("/ends").is(200).body_is("ends");
    }
    eventually("it is reaped", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    let trace = strace.detach();
    let at = |found: &dyn Fn(&str) -> bool| trace.lines().position(found).unwrap_or_else(|| panic!("{pid}: {trace}"));
    let killed = at(&|call| call.starts_with(&format!("kill(-{pid}, SIGKILL)")));
    let reaped = at(&|call| call.starts_with("wait4(") && call.ends_with(&format!(" = {pid}")));
    assert!(killed < reaped, "{trace}");
}

/// It was left alone for ten seconds, with its place among those that may run.
#[test]
fn a_program_that_is_silent_behind_its_head_ends_with_its_answer() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let s = server("location / { cgi_pass /bin/sh; cgi_timeout 300ms; }")
        .file("html/silent", "printf '\\nsaid'; echo $$ > \"$DOCUMENT_ROOT/pid\"; exec sleep 60")
        .file("html/ends", "printf '\\nends'")
        .allow_log("timed out")
        .start();
    let Some(strace) = Strace::attach(&s, &["-e", "trace=kill"]) else { return };
    let mut client = s.client();
    client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    let all = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(all.starts_with("HTTP/1.1 200 ") && all.ends_with("\r\n4\r\nsaid\r\n"), "{all}");
    // A turn of the loop later.
    s.get("/ends").is(200);
    let pid = s.await_file("html/pid", |text| text.ends_with('\n')).trim().to_owned();
    let trace = strace.detach();
    assert!(trace.contains(&format!("kill(-{pid}, SIGTERM)")), "{trace}");
}

#[test]
fn what_programs_are_told() {
    let Some(s) = start() else { return };
    let root = s.path("html").to_string_lossy().into_owned();
    let fields = "Content-Type: a/b\r\nProxy: evil\r\nX_Under: 1\r\nX-A: 1\r\nx-a: 2\r\n";
    let r = s.method("POST", "/sh/env/in/fo?q=%20&r", fields, b"hi");
    let text = r.is(200).text();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.remove(0), format!("{root}/sh"), "the working directory is the script's own");
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1".to_owned(),
        "CONTENT_LENGTH=2".into(),
        "CONTENT_TYPE=a/b".into(),
        "PATH_INFO=/in/fo".into(),
        format!("PATH_TRANSLATED={root}/in/fo"),
        "QUERY_STRING=q=%20&r".into(),
        "REQUEST_METHOD=POST".into(),
        "SCRIPT_NAME=/sh/env".into(),
        format!("SCRIPT_FILENAME={root}/sh/env"),
        format!("SERVER_PORT={}", s.port()),
        "REMOTE_ADDR=127.0.0.1".into(),
        "REDIRECT_STATUS=200".into(),
        "HTTP_X_A=1, 2".into(),
    ] {
        assert!(lines.contains(&line.as_str()), "{line}: {text}");
    }
    for absent in ["HTTP_PROXY", "X_UNDER", "HTTP_CONTENT", "AUTH_TYPE", "REMOTE_USER", "HTTPS", "HOME="] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    s.get("/sh/sub/env").is(200).body_is("/sh/sub/env||");
    s.get("/sh/sub/env/").is(200).body_is(format!("/sh/sub/env|/|{root}/"));
    // No part of it is taken for the name of the location that an alias stands for.
    let aliased = format!("/by-alias/sub/env|/a/path/x|{root}/sh/a/path/x");
    s.get("/by-alias/sub/env/a/path/x").is(200).body_is(aliased);
    s.get("/sh/count").is(200).contains("none ");
    s.method("POST", "/sh/count", "", b"").is(200).contains("0 ");
    s.get("/sh/env/a%0ab").is(400);
    // 3 is the directory that ls reads.
    s.get("/sh/files").is(200).body_is("0 1 2 3 ");
}

#[test]
fn what_is_run_lies_in_the_root() {
    let Some(s) = start() else { return };
    for (target, status) in [
        ("/ext/in.sh", 200),
        ("/ext/link.sh", 200),
        ("/ext/yes.run", 200),
        ("/ext/no.run", 403),
        ("/ext/out.sh", 403),
        ("/ext/away/out.sh", 403),
        ("/alias/in.sh", 200),
        ("/alias/link.sh", 200),
        ("/alias/out.sh", 403),
        ("/alias/away/out.sh", 403),
        ("/regex/in.sh", 200),
        ("/regex/link.sh", 200),
        ("/regex/out.sh", 403),
        ("/regex/away/out.sh", 403),
        ("/regex/../../outside/out.sh", 400),
        ("/sh/%2e%2e/%2e%2e/outside/out.sh", 400),
        ("/run/none", 403),
        ("/run/lost", 500),
        ("/run/", 404),
        ("/sh/sub", 404),
        ("/sh/sub/", 404),
        ("/pictures/fine.sh", 200),
        ("/pictures/fine.sh/in/fo", 200),
        ("/pictures/fine.sh/x.sh", 200),
        ("/pictures/evil.jpg/x.sh", 403),
        ("/pictures/evil.jpg/in/x.sh/fo", 403),
        ("/pictures/evil.jpg", 200),
    ] {
        assert_eq!(s.get(target).status, status, "{target}");
    }
}

#[test]
fn an_alias_may_be_the_program_itself() {
    let Some(s) = start() else { return };
    for (target, status, body) in [
        ("/count", 200, "/count|"),
        ("/counts", 200, "/counts|"),
        ("/counts/in/fo", 200, "/counts|/in/fo"),
        ("/slash/", 200, "/slash|/"),
        ("/slash/info", 200, "/slash|/info"),
        ("/named.sh", 200, "/named.sh|"),
        ("/named.sh/info", 200, "/named.sh|/info"),
        // The configuration names the link; here a client does.
        ("/current", 200, "OUTSIDE"),
        ("/given?name=in.sh", 200, "inside"),
        ("/given?name=out.sh", 403, "*"),
        ("/given?name=away/count.sh", 403, "*"),
        ("/given?name=../ext/in.sh", 404, "*"),
        ("/given", 404, "*"),
        ("/directory", 404, "*"),
    ] {
        let answer = s.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.show());
        assert!(body == "*" || answer.text() == body, "{target}: {}", answer.show());
    }
}

#[test]
fn programs_are_told_of_no_user_whose_password_was_not_checked() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let who = "printf '\\n%s|%s' \"${REMOTE_USER-none}\" \"${AUTH_TYPE-none}\"";
    let asks = "auth_basic x; auth_basic_user_file %%DIR%%/users;";
    let auth = format!("{asks} cgi_pass /bin/sh;");
    let s = server(&format!(
        "location /open/ {{ cgi_pass /bin/sh; }} location /in/ {{ {auth} }}
         location /any/ {{ satisfy any; allow all; {auth} }}
         location = /leads {{ {asks} try_files /none /any/who; }}
         location = /page {{ {asks} ssi on; default_type text/html; }}"
    ))
    .file("users", "a:{PLAIN}b\n")
    .file("html/open/who", who)
    .file("html/in/who", who)
    .file("html/any/who", who)
    .file("html/page", "<!--#include virtual=\"/open/who\" -->")
    .start();
    for (target, told) in [
        ("/open/who", "none|none"),
        ("/in/who", "a|Basic"),
        ("/any/who", "none|none"),
        ("/leads", "none|none"),
        // What a page includes is asked for by the page's user.
        ("/page", "a|Basic"),
    ] {
        s.get_with(target, "Authorization: Basic YTpi\r\n").is(200).body_is(told);
    }
}
