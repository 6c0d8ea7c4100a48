//! What one client asks for may take long; another that asks for something small meanwhile does not wait for it.

use crate::client::Client;
use crate::harness::{Server, http, skip_on_nginx};

/// bcrypt with cost 12 is a quarter of a second of work; of a password that no test knows.
const SLOW_HASH: &str = "u:$2y$12$abcdefghijklmnopqrstuuS2DzwyGbKZP0HLuXpwR1YbYxq9xZa5W\n";
/// "secret" in htpasswd's own form, which takes a thousand rounds of MD5.
const QUICK_HASH: &str = "v:$apr1$.0MOaPY7$Pagiz4hFvcBJ069gDeQ9z0\n";

fn with_passwords() -> Server {
    http(
        "server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location /in/ { auth_basic in; auth_basic_user_file %%DIR%%/users; }
         }",
    )
    .file("users", format!("{SLOW_HASH}{QUICK_HASH}"))
    .file("html/f", "f")
    .file("html/in/f", "inside")
    .start()
}

/// `u:gues` and one more byte, which is another for each.
fn guess(number: usize) -> String {
    let digit = b"AEIMQUYcgkosw048"[number % 16] as char;
    format!("GET /in/f HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpndWVz{digit}w==\r\n\r\n")
}

#[test]
fn a_password_that_takes_long_to_check_holds_up_no_other_client() {
    if skip_on_nginx("a worker computes the hash itself") {
        return;
    }
    let s = with_passwords();
    s.answers_others_during(&guess(0), "/f").is(401);
}

#[test]
fn guesses_of_many_clients_at_once_are_all_answered() {
    let s = with_passwords();
    let mut guessing: Vec<Client> = (0..3)
        .map(|number| {
            let mut client = s.client();
            client.send(guess(number));
            client
        })
        .collect();
    // One that leaves does not hold up what comes after it.
    guessing.pop();
    for client in &mut guessing {
        client.response().is(401);
    }
    s.get_with("/in/f", "Authorization: Basic djpzZWNyZXQ=\r\n").is(200).body_is("inside");
    s.get_with("/in/f", "Authorization: Basic djpzZWNyZXU=\r\n").is(401);
}

/// Requests that are answered while something else goes on, until it is over. Each on a connection of its own: a reload
/// closes those that are idle.
fn answered_until(s: &Server, mut is_over: impl FnMut() -> bool) -> usize {
    let mut count = 0;
    while !is_over() {
        s.get("/f").is(200).body_is("f");
        count += 1;
    }
    count
}

#[test]
fn clients_are_served_while_a_large_configuration_is_read() {
    if skip_on_nginx("its master reads") {
        return;
    }
    let site = "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; }";
    let setup = http(site);
    let line = |n: usize| format!("server {{ server_name s{n}.test; listen unix:{}/s; }}\n", setup.dir().display());
    let many: String = (0..10_000).map(line).collect();
    let s = setup.file("html/f", "f").file("conf/many", many).allow_log("rooot").start();
    s.get("/f").is(200);
    let reloads = || s.error_log().matches("the configuration was reloaded").count();
    // The name is looked up by another process.
    s.reconfigure_http(&format!("{site}\nupstream u {{ server localhost:1; }} include many;"));
    // More than once, in case this process is not run meanwhile.
    let counts: Vec<usize> = (1..=3)
        .map(|number| {
            s.signal(libc::SIGHUP);
            answered_until(&s, || reloads() == number)
        })
        .collect();
    assert!(counts.iter().any(|count| *count > 0), "{counts:?} requests were answered meanwhile");
    // What is wrong at the end of one is found, and the first is dropped.
    s.reconfigure_http(&format!("{site}\ninclude many; rooot;"));
    s.signal(libc::SIGHUP);
    answered_until(&s, || s.error_log().contains("the configuration was not reloaded"));
    s.reconfigure_http(site);
    s.signal(libc::SIGHUP);
    answered_until(&s, || reloads() == 4);
    // One that is told to stop meanwhile does not read to the end.
    s.reconfigure_http(&format!("{site}\ninclude many;"));
    s.signal(libc::SIGHUP);
}

#[test]
fn random_index_of_a_large_directory_holds_up_no_other_client() {
    if skip_on_nginx("it reads the directory in one go") {
        return;
    }
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location /d/ { random_index on; } }")
        .file("html/f", "f")
        .mkdir("html/d")
        .start();
    for number in 0..60_000 {
        std::fs::File::create(s.path(&format!("html/d/{number}"))).expect("created");
    }
    s.answers_others_during("GET /d/ HTTP/1.1\r\nHost: a\r\n\r\n", "/f").is(200);
}

#[test]
fn a_page_of_many_patterns_holds_up_no_other_client() {
    if skip_on_nginx("it makes the page in one go") {
        return;
    }
    let condition = |number: usize| format!("<!--#if expr=\"$http_a = /(a|b)x{number}[0-9]+z/\" -->y<!--#endif -->");
    // A release build compiles a thousand in less than the first turn gives.
    let page: String = (0..20_000).map(condition).collect();
    let s = http("server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; location /p/ { ssi on; } }")
        .file("html/f", "f")
        .file("html/p/page.html", page)
        .start();
    s.answers_others_during("GET /p/page.html HTTP/1.1\r\nHost: a\r\nA: ax77z\r\n\r\n", "/f").is(200).body_is("y");
}
