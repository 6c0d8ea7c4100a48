//! A limit of the process's memory (RLIMIT_AS): where there is none for one request, that one ends, and not the process
//! with all the others.

use crate::harness::{Server, on_nginx, server};
use crate::os;

/// The server may take this many bytes more than it has.
fn limit(s: &Server, more: u64) {
    os::limit_memory(s.pid, (s.kilobytes("VmSize") << 10) + more);
}

/// A directory of 10 000 files, whose names are 2.5 MB.
fn with_many_names(block: &str) -> Option<Server> {
    if on_nginx() {
        return None;
    }
    let s = server(block).file("html/f", "f").mkdir("html/many").allow_log("Cannot allocate memory").start();
    s.get("/f").is(200);
    for n in 0..10_000 {
        std::fs::write(s.path(&format!("html/many/{n:0>250}")), "").expect("written");
    }
    Some(s)
}

#[test]
fn a_listing_for_which_there_is_no_memory_ends_alone() {
    let Some(s) = with_many_names("autoindex on;") else { return };
    limit(&s, 3 << 20);
    let status = s.get("/many/").status;
    assert!(matches!(status, 500 | 503), "{status}");
    s.get("/f").is(200).body_is("f");
    assert!(s.error_log().contains("(12: Cannot allocate memory)"), "{}", s.error_log());
    limit(&s, 1 << 30);
    s.get("/many/").is(200);
}

#[test]
fn a_random_index_for_which_there_is_no_memory_ends_alone() {
    let Some(s) = with_many_names("location / { random_index on; }") else { return };
    limit(&s, 1 << 20);
    s.get("/many/").is(500);
    s.get("/f").is(200).body_is("f");
}

#[test]
fn passwords_for_which_there_is_no_memory_end_no_process() {
    if on_nginx() {
        return;
    }
    let users = "name:$apr1$.0MOaPY7$Pagiz4hFvcBJ069gDeQ9z0\n".repeat((12 << 20) / 43);
    let block = "location /in/ { alias %%DIR%%/html/; auth_basic in; auth_basic_user_file %%DIR%%/users; }";
    let s = server(block).file("html/f", "f").file("users", users).allow_log("Cannot allocate memory").start();
    s.get("/f").is(200);
    limit(&s, 4 << 20);
    s.get_with("/in/f", "Authorization: Basic djpzZWNyZXQ=\r\n").is(500);
    s.get("/f").is(200).body_is("f");
}

#[test]
fn a_body_for_which_there_is_no_memory_goes_to_a_file() {
    if on_nginx() {
        return;
    }
    let block = "client_max_body_size 64m; client_body_buffer_size 64m; \
        location /through/ { proxy_pass http://127.0.0.1:%%PORT%%/back/; } location /back/ { return 200 took; }";
    let s = server(block).file("html/f", "f").start();
    s.get("/f").is(200);
    limit(&s, 8 << 20);
    let body = vec![b'x'; 24 << 20];
    s.method("POST", "/through/", "", &body).is(200).body_is("took");
    assert!(s.error_log().contains("a client request body is buffered to a temporary file"), "{}", s.error_log());
}

#[test]
fn a_configuration_for_which_there_is_no_memory_is_refused() {
    if on_nginx() {
        return;
    }
    let s = server("").file("html/f", "f").allow_log("Cannot allocate memory").start();
    s.get("/f").is(200);
    let line = format!("#{}\n", "x".repeat(1 << 20));
    s.write("conf/large.conf", line.repeat(32));
    s.reconfigure_http("include large.conf;");
    limit(&s, 8 << 20);
    s.signal(libc::SIGHUP);
    s.await_file("logs/error.log", |log| log.contains("large.conf\" failed (12: Cannot allocate memory)"));
    s.get("/f").is(200);
}
