//! What a request's variables and its way through the configuration are where upstreams answer oddly, as in nginx.

use crate::harness::{http, server};
use crate::upstream::Upstream;

/// An upstream that gives one answer to all, and closes.
fn says(answer: impl Into<String>) -> Upstream {
    let answer = answer.into();
    Upstream::start(move |peer| {
        if peer.request().is_some() {
            peer.send(answer.as_bytes());
        }
    })
}

#[test]
fn fields_with_a_dot_in_their_name_do_not_reach_upstreams() {
    let up = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let seen: String = request.fields.iter().map(|(name, _)| format!("{name} ")).collect();
            if !peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{seen}", seen.len()).as_bytes()) {
                return;
            }
        }
    });
    for (setting, kept) in [("", false), ("ignore_invalid_headers off;", true)] {
        let s = server(&format!("{setting} location / {{ proxy_pass http://{}; }}", up.address)).start();
        let r = s.get_with("/", "X.Dot: 1\r\nX-Dash: 1\r\n");
        let seen = r.is(200).text().to_ascii_lowercase();
        assert!(seen.contains("x-dash "), "{seen}");
        assert_eq!(seen.contains("x.dot "), kept, "{setting} {seen}");
    }
}

#[test]
fn a_page_found_under_recursive_error_pages_may_fail_into_another() {
    let s = server(
        "location /on { recursive_error_pages on; error_page 404 = @second; return 404; }
         location /off { error_page 404 = @second; return 404; }
         location @second { error_page 404 = @third; return 404; }
         location @third { return 200 third; }",
    )
    .start();
    s.get("/on").is(200).body_is("third");
    s.get("/off").is(404);
}

#[test]
fn of_a_field_that_may_stand_once_variables_know_the_first() {
    let up = says(
        "HTTP/1.1 200 OK\r\nLocation: /1\r\nLocation: /2\r\nLink: a\r\nLink: b\r\nX-Accel-Redirect: /to?1\r\n\
         X-Accel-Redirect: /to?2\r\nX-Accel-Expires: 1\r\nX-Accel-Expires: 2\r\nX-Accel-Limit-Rate: 9000\r\n\
         X-Accel-Limit-Rate: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let s = server(&format!(
        "location / {{ proxy_pass http://{}; }}
         location /to {{ internal; return 200 \"$args $upstream_http_location $upstream_http_link $proxy_host \
         $upstream_http_x_accel_expires $upstream_http_x_accel_limit_rate.\"; }}",
        up.address
    ))
    .start();
    s.get("/").is(200).body_is("1 /1 a, b  1 9000.");
    let duplicate = "duplicate header line: \"X-Accel-Redirect: /to?2\", previous value: \"X-Accel-Redirect: /to?1\"";
    s.await_file("logs/error.log", |log| log.contains(duplicate));
}

#[test]
fn x_accel_redirect_takes_names_of_files_as_they_are() {
    for (target, seen) in [
        ("/f/a#b.txt?q#r", "/f/a#b.txt q#r"),
        ("/f/100%.txt", "/f/100%.txt "),
        ("/f/a%20b%23?x", "/f/a b# x"),
        ("/f/a b", "/f/a b "),
    ] {
        let up = says(format!("HTTP/1.1 200 OK\r\nX-Accel-Redirect: {target}\r\nContent-Length: 0\r\n\r\n"));
        let s = server(&format!(
            "location / {{ proxy_pass http://{}; }} location /f/ {{ internal; return 200 \"$uri $args\"; }}",
            up.address
        ))
        .start();
        s.get("/").is(200).body_is(seen);
    }
    for target in ["/f/../x", "/f/%2e%2e/x", "f/x", "", "?x", "/f/%00", "/f/%0a"] {
        let up = says(format!("HTTP/1.1 200 OK\r\nX-Accel-Redirect: {target}\r\nContent-Length: 0\r\n\r\n"));
        let s = server(&format!("location / {{ proxy_pass http://{}; }}", up.address)).start();
        s.get("/").is(404);
    }
}

#[test]
fn what_a_request_is_made_of_does_not_know_its_server() {
    let up = Upstream::start(|peer| {
        if let Some(request) = peer.request() {
            let seen = request
                .fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("X-Up"))
                .map_or("none", |(_, value)| value);
            peer.send(format!("HTTP/1.1 200 OK\r\n\r\n{seen}").as_bytes());
        }
    });
    let s = http(&format!(
        "log_format f $upstream_addr; access_log logs/access.log f;
         server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{}; proxy_set_header X-Up $upstream_addr; }} }}",
        up.address
    ))
    .start();
    s.get("/").is(200).body_is("none");
    let address = up.address.to_string();
    s.await_file("logs/access.log", |log| log.contains(&address));
}

#[test]
fn arguments_that_a_rewrite_takes_away_are_an_empty_text() {
    let s = http(
        "log_format f \"$uri [$args]\"; access_log logs/access.log f;
         server { listen 127.0.0.1:%%PORT%%;
           location /gone { rewrite ^ /x?; return 200; } location /none { rewrite ^ /y?; return 200; }
           location /set { set $args ''; return 200; } }",
    )
    .start();
    s.get("/gone?a").is(200);
    s.get("/none").is(200);
    s.get("/set?a").is(200);
    let ours = |log: &str| log.lines().filter(|line| line.starts_with('/')).collect::<Vec<_>>().join(" ");
    s.await_file("logs/access.log", |log| ours(log) == "/x [] /y [-] /set []");
}

#[test]
fn trailers_are_looked_at_where_they_are_passed() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\n\r\n";
    for (setting, seen) in [("off", "[-]"), ("on", "[v]")] {
        let up = says(answer);
        let s = http(&format!(
            "log_format f [$upstream_trailer_x_t]; access_log logs/access.log f;
             server {{ listen 127.0.0.1:%%PORT%%; proxy_pass_trailers {setting}; proxy_http_version 1.1;
               location / {{ proxy_pass http://{}; }} }}",
            up.address
        ))
        .start();
        s.get("/").is(200);
        s.await_file("logs/access.log", |log| log.contains(seen));
    }
}

#[test]
fn a_malformed_trailer_of_an_upstream_costs_no_more_than_itself() {
    for line in ["NoColon", "X T: 1", ": 1", "X-T: a\0b", "X-T: a\r\n folded"] {
        let up = says(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{line}\r\nX-Kept: v\r\n\r\n"
        ));
        let s = http(&format!(
            "log_format f [$upstream_trailer_x_kept]; access_log logs/access.log f;
             server {{ listen 127.0.0.1:%%PORT%%; proxy_http_version 1.1; proxy_pass_trailers on;
               location / {{ proxy_pass http://{}; }} }}",
            up.address
        ))
        .start();
        s.get("/").is(200).body_is("ok");
        s.await_file("logs/access.log", |log| log.contains("[v]"));
    }
}

/// The answer that a 412 replaces is over before the page of that error asks another server.
#[test]
fn the_time_of_an_answer_that_a_412_replaces_is_known() {
    let up = says("HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n");
    let s = http(&format!(
        "proxy_cache_path %%DIR%%/cache keys_zone=z:1m;
         log_format t '$upstream_response_time';
         access_log logs/t.log t;
         server {{
             listen 127.0.0.1:%%PORT%%;
             location / {{ proxy_pass http://{up}; proxy_cache z; error_page 412 = @p; }}
             location @p {{ proxy_pass http://{up}; }}
         }}",
        up = up.address
    ))
    .start();
    s.get_with("/", "If-Match: \"y\"\r\n").is(200);
    s.await_file("logs/t.log", |log| {
        let times: Vec<&str> = log.trim().split(" : ").collect();
        times.len() == 2 && times.iter().all(|time| time.parse::<f64>().is_ok())
    });
}
