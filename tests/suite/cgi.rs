//! cgi_pass, black-box: programs in sh, which every machine has, and what must never be run.

use crate::harness::{Server, eventually, noise, server};
use crate::table::skip_on_nginx;
use std::time::Duration;

const ECHO: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv | sort\necho --\ncat\n";

fn start() -> Option<Server> {
    if skip_on_nginx("nginx has no CGI") {
        return None;
    }
    let setup = server(
        "client_max_body_size 300m; underscores_in_headers on; error_page 500 /500.txt; cgi_timeout 5s;
         location /bin/ { cgi_pass on; cgi_env GREETING \"hello $arg_name\"; cgi_env PATH /bin:/usr/bin; }
         location /sh/ { cgi_pass /bin/sh; }
         location /ext/ { cgi_extension .sh /bin/sh; }
         location /slow/ { cgi_pass /bin/sh; cgi_timeout 300ms; }
         location /one/ { cgi_pass /bin/sh; cgi_max_children 1; }
         location /store/ { upload_store %%DIR%%/html/store; cgi_extension .sh /bin/sh; }
         location /stored/ { alias %%DIR%%/html/store/; cgi_extension .sh /bin/sh; }
         location /trusted/ { alias %%DIR%%/html/store/; cgi_extension .sh /bin/sh; upload_execute on; }
         location /quiet/ { cgi_pass /bin/sh; cgi_stderr off; cgi_working_dir %%DIR%%; }",
    );
    let scripts = [
        ("bin/echo", ECHO),
        ("bin/plain", "echo 'no program'"),
        ("sh/echo.sh", ECHO),
        ("sh/length.sh", "printf 'Content-Type: text/plain\\n\\n%s ' $CONTENT_LENGTH; wc -c"),
        ("sh/status.sh", "printf 'Status: 418 Tea\\nX-A: b\\n\\ntea'"),
        ("sh/away.sh", "printf 'Location: http://other.test/\\n\\n'"),
        ("sh/local.sh", "printf 'Location: /ext/hello.sh?from=local\\n\\n'"),
        ("sh/nph.sh", "printf 'HTTP/1.0 203 Mine\\r\\nX-Nph: yes\\r\\n\\r\\nnph'"),
        ("sh/inject.sh", "printf 'A: b\\rSet-Cookie: c\\n\\n'"),
        ("sh/upper.sh", "printf 'Content-Type: text/plain\n\n'; tr a-z A-Z"),
        ("sh/left.sh", "echo $$ > pid; exec sleep 30"),
        ("sh/silent.sh", "exit 1"),
        ("sh/killed.sh", "printf '\\nsome'; kill -9 $$"),
        ("sh/failed.sh", "printf '\\nall of it'; exit 3"),
        ("sh/goes-on.sh", "printf '\\nall of it'; exec >&-; sleep 1"),
        ("sh/word.sh", "echo 'a word' >&2; printf '\\nfine'"),
        ("sh/large.sh", "printf '\\n'; head -c 3000000 /dev/zero | tr '\\0' x"),
        (
            "ext/hello.sh",
            "printf '\\n%s|%s|%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$QUERY_STRING\" \"$REQUEST_METHOD\"",
        ),
        ("ext/page.txt", "a page"),
        ("slow/wait.sh", "sleep 30 & echo $$ > pid; wait"),
        ("one/wait.sh", "echo > started; while [ ! -e go ]; do sleep 0.02; done; printf '\\nended'"),
        ("store/evil.sh", "printf '\\nexecuted'"),
        ("quiet/where.sh", "echo unheard >&2; printf '\\n'; pwd"),
    ];
    let mut setup = setup;
    for (path, text) in scripts {
        setup = setup.file(&format!("html/{path}"), text);
    }
    let setup =
        setup.mode("html/bin/echo", 0o755).link("html/ext/out.sh", "/bin/true").allow_log("CGI").allow_log("upstream");
    Some(setup.start())
}

/// The program acted for the host of the Host line, under the rules of another server.
#[test]
fn a_program_gets_the_host_that_the_target_of_the_request_names() {
    let Some(s) = start() else { return };
    let request = b"GET http://Target.test:81/bin/echo HTTP/1.1\r\nHost: other.test\r\n\r\n";
    let answer = s.client().request(request);
    let text = answer.is(200).text();
    assert!(text.contains("HTTP_HOST=target.test:81\n") && text.contains("SERVER_NAME=target.test\n"), "{text}");
    // Without a host there is none.
    let text = s.client().request(b"GET /bin/echo HTTP/1.0\r\n\r\n").is(200).text();
    assert!(!text.contains("HTTP_HOST"), "{text}");
}

#[test]
fn programs_answer_requests() {
    let Some(s) = start() else { return };
    let echo = s.get_with("/bin/echo/more/path?name=Ada&x=%20", "Proxy: evil\r\nX-One: 1\r\nx_two: 2\r\n");
    echo.is(200).has("Content-Type", "text/plain");
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "GREETING=hello Ada",
        "SCRIPT_NAME=/bin/echo",
        "PATH_INFO=/more/path",
        "QUERY_STRING=name=Ada&x=%20",
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/bin/echo/more/path?name=Ada&x=%20",
        "SERVER_PROTOCOL=HTTP/1.1",
        "REMOTE_ADDR=127.0.0.1",
        "HTTP_X_ONE=1",
        "HTTP_X_TWO=2",
        "HTTP_HOST=localhost",
        "PATH=/bin:/usr/bin",
    ] {
        echo.contains(&format!("{line}\n"));
    }
    for absent in ["HTTP_PROXY", "CARGO", "HOME=", "CONTENT_LENGTH"] {
        assert!(!echo.text().contains(absent), "{absent}: {}", echo.text());
    }
    // Of a name with `_` it is not taken for the field that programs trust.
    let foreign = s.get_with("/bin/echo", "Content_Type: evil\r\nContent_Length: 9\r\n").is(200).text();
    assert!(!foreign.contains("\nCONTENT_"), "{foreign}");
    s.get("/ext/hello.sh").is(200).body_is("/ext/hello.sh|||GET");
    s.get("/ext/hello.sh/a/b?c").is(200).body_is("/ext/hello.sh|/a/b|c|GET");
    s.get("/ext/page.txt").is(200).body_is("a page");
    s.get("/sh/status.sh").is(418).has("X-A", "b").lacks("Status").body_is("tea");
    s.get("/sh/away.sh").is(302).has("Location", "http://other.test/");
    s.get("/sh/local.sh").is(200).body_is("/ext/hello.sh||from=local|GET");
    s.get("/sh/nph.sh").is(203).has("X-Nph", "yes").body_is("nph");
    assert_eq!(s.get("/sh/large.sh").is(200).body.len(), 3_000_000);
    s.method("HEAD", "/sh/status.sh", "", b"");
    s.get("/sh/word.sh").is(200).body_is("fine");
    s.await_file("logs/error.log", |log| log.contains("CGI sent in stderr: \"a word\""));
    let where_ = s.get("/quiet/where.sh").is(200).text();
    assert_eq!(where_.trim(), s.path("").to_string_lossy().trim_end_matches('/'));
    for (target, status) in [
        ("/sh/none.sh", 404),
        ("/sh/", 404),
        ("/bin/plain", 403),
        ("/ext/out.sh", 403),
        ("/sh/inject.sh", 502),
        ("/sh/silent.sh", 502),
    ] {
        assert_eq!(s.get(target).status, status, "{target}");
    }
}

#[test]
fn a_body_is_there_with_its_length() {
    let Some(s) = start() else { return };
    s.method("POST", "/sh/length.sh", "", b"abcde").is(200).contains("5 5");
    let large = noise(3 << 20);
    let answer = s.method("POST", "/sh/length.sh", "", &large).is(200).text();
    assert_eq!(answer.split_whitespace().collect::<Vec<_>>(), [large.len().to_string(), large.len().to_string()]);
    let mut chunked =
        b"POST /sh/length.sh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for piece in large.chunks(100_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(s.send(chunked).is(200).text(), answer);
}

#[test]
fn programs_end_when_nobody_waits_for_them() {
    let Some(s) = start() else { return };
    let group_is_gone = |path: &str| {
        let pid: u32 = s.await_file(path, |text| text.ends_with('\n')).trim().parse().expect("a pid");
        eventually("the program is gone", || crate::os::wait_exit(pid, Duration::from_millis(1)));
    };
    s.get("/slow/wait.sh").is(504);
    group_is_gone("html/slow/pid");
    let mut first = s.client();
    first.send("GET /one/wait.sh HTTP/1.1\r\nHost: a\r\n\r\n");
    s.await_file("html/one/started", |text| !text.is_empty());
    s.get("/one/wait.sh").is(503);
    s.write("html/one/go", "");
    first.response().is(200).body_is("ended");
    eventually("there is room again", || s.get("/one/wait.sh").status == 200);
}

#[test]
fn a_hundred_megabytes_in_chunks_come_back_from_a_program() {
    let Some(s) = start() else { return };
    const PIECES: usize = 100;
    let piece = vec![b'a'; 1 << 20];
    let mut client = s.client();
    client.send("POST /sh/upper.sh HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..PIECES {
        client.send("100000\r\n").send(&piece).send("\r\n");
    }
    client.send("0\r\n\r\n");
    let answer = client.response();
    answer.is(200);
    assert_eq!(answer.body.len(), PIECES << 20);
    assert!(answer.body.iter().all(|byte| *byte == b'A'));
}

#[test]
fn many_programs_run_side_by_side_and_each_gets_its_own_body() {
    let Some(s) = start() else { return };
    let mut clients: Vec<_> = (0..40).map(|at| (at, s.client())).collect();
    for _ in 0..3 {
        for (at, client) in &mut clients {
            let body = format!("client {at} ").repeat(100);
            let length = body.len();
            client.send(format!("POST /sh/upper.sh HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
        for (at, client) in &mut clients {
            client.response().is(200).body_is(format!("CLIENT {at} ").repeat(100));
        }
    }
}

#[test]
fn a_program_whose_client_left_is_ended() {
    let Some(s) = start() else { return };
    let mut client = s.client();
    client.send("GET /sh/left.sh HTTP/1.1\r\nHost: a\r\n\r\n");
    let pid: u32 = s.await_file("html/sh/pid", |text| text.ends_with('\n')).trim().parse().expect("a pid");
    client.leave();
    eventually("the program is gone", || crate::os::wait_exit(pid, Duration::from_millis(1)));
    s.get("/sh/length.sh").is(200);
}

#[test]
fn an_answer_without_a_status_is_200_ok() {
    let Some(s) = start() else { return };
    let mut client = s.client();
    client.send("GET /sh/length.sh HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(client.rest().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// The end of its output alone does not say that there is no more.
#[test]
fn the_answer_of_a_program_that_was_killed_does_not_look_whole() {
    let Some(s) = start() else { return };
    for _ in 0..5 {
        let mut client = s.client();
        client.send("GET /sh/killed.sh HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(all.starts_with("HTTP/1.1 200 ") && all.ends_with("\r\n4\r\nsome\r\n"), "{all}");
    }
    s.await_file("logs/error.log", |log| log.contains("CGI program was ended by signal 9"));
    for whole in ["failed", "goes-on"] {
        s.get(&format!("/sh/{whole}.sh")).is(200).body_is("all of it");
    }
}

#[test]
fn what_clients_store_is_not_run() {
    let Some(s) = start() else { return };
    s.get("/store/evil.sh").is(403);
    s.get("/stored/evil.sh").is(403);
    s.get("/trusted/evil.sh").is(200).body_is("executed");
}

#[test]
fn what_clients_of_programs_do_not_read_has_a_directory_from_the_start() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    for directive in ["cgi_pass /bin/sh;", "cgi_extension .sh /bin/sh;"] {
        let s = server(&format!("location /x/ {{ {directive} }}")).start();
        // It has started when it answers.
        s.get("/none").is(404);
        assert!(s.path("client_body_temp").is_dir(), "{directive}");
    }
}

/// TERM came as soon as the last response was out.
#[test]
fn a_program_that_works_behind_its_answer_finishes_before_the_server_quits() {
    if skip_on_nginx("nginx has no CGI") {
        return;
    }
    let script = "printf '\\nanswer'; exec >&- 2>&-; while [ ! -e go ]; do sleep 0.02; done; echo > finished";
    let mut s = server("location /sh/ { cgi_pass /bin/sh; }").file("html/sh/work.sh", script).start();
    s.get("/sh/work.sh").is(200).body_is("answer");
    s.signal(libc::SIGQUIT);
    eventually("it is told to quit", || s.error_log().contains("SIGQUIT"));
    s.write("html/sh/go", "");
    assert_eq!(s.wait(), 0);
    assert!(s.exists("html/sh/finished"));
}
