//! `webserv explain`: a configuration and a question, and the lines that answer it. Nothing is started.

use crate::harness::{Setup, skip_on_nginx};
use std::fs;

/// One line for each directive: the tests name lines.
const CONFIG: &str = r#"error_log %%DIR%%/never/made.log;
events { }
http {
    root %%DIR%%/html;
    index start.html;
    map $arg_m $mapped { default none; one first; }
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name a.test *.wild.test;
        add_header X-Server a;
        rewrite ^/old/(.*)$ /new/$1 last;
        set $where "$mapped";
        location / {
            try_files $uri $uri/ /fallback.html;
        }
        location = /exact {
            return 302 /elsewhere;
        }
        location /up/ {
            allowed_methods GET POST DELETE;
            client_max_body_size 10;
            add_header X-Up yes always;
        }
        location /closed/ {
            allow 10.0.0.0/8;
            deny all;
        }
        location /except/ {
            limit_except GET {
                deny all;
            }
        }
        location ^~ /final/ {
            if ($arg_x = y) {
                return 418 teapot;
            }
            alias %%DIR%%/html/;
        }
        location ~ \.php$ {
            return 444;
        }
        location ~ ^/a {
            error_page 404 /missing.html;
        }
        location /inside/ {
            internal;
        }
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        server_name *.test ~^w;
        return 301 http://a.test$request_uri;
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        server_name other;
        location /passed/ {
            proxy_pass http://app/part/;
        }
    }
    upstream app {
        server 127.0.0.1:9;
    }
}
"#;

fn setup() -> Setup {
    Setup::full(CONFIG)
        .file("html/start.html", "start")
        .file("html/fallback.html", "fallback")
        .file("html/missing.html", "missing")
        .file("html/up/there", "there")
        .file("html/dir/start.html", "start of dir")
}

#[test]
fn a_question_is_answered_by_the_code_that_serves() {
    if skip_on_nginx("explain") {
        return;
    }
    let rows: &[(&str, &[&str], &[&str])] = &[
        (
            "a file by try_files",
            &["GET", "/start.html"],
            &[
                "request    GET /start.html from 127.0.0.1",
                "listener   127.0.0.1:",
                "server     the listener's default: no name matches localhost  [conf/test.conf:7]",
                "  not: no name of it matches (*.test ~^w)  [conf/test.conf:49]",
                "rewrite    rewrite ^/old/(.*)$ /new/$1 last: does not match /start.html  [conf/test.conf:11]",
                "set $where \"$mapped\": is \"none\"  [conf/test.conf:12]",
                "location   / for /start.html  [conf/test.conf:13]",
                "/: the longest prefix, taken  [conf/test.conf:13]",
                "= /exact: does not match  [conf/test.conf:16]",
                "try_files  %%DIR%%/html/start.html: is a file, taken",
                "handler    static file, index or listing  [conf/test.conf:13]",
                "file       %%DIR%%/html/start.html",
                "answer     200 OK",
                "X-Server: a",
                "settings at conf/test.conf:13",
                "root %%DIR%%/html; conf/test.conf:4",
                "index start.html; conf/test.conf:5",
                "add_header X-Server a; conf/test.conf:10",
                "try_files $uri $uri/ /fallback.html; conf/test.conf:14",
            ],
        ),
        (
            "a fallback is an internal redirect",
            &["/nowhere?q"],
            &[
                "try_files  %%DIR%%/html/nowhere: is not there",
                "none was there: /fallback.html",
                "redirect   internal, to /fallback.html",
                "answer     200 OK",
            ],
        ),
        (
            "an index file",
            &["/dir/"],
            &["index      %%DIR%%/html/dir/start.html: is a file, taken", "redirect   internal, to /dir/start.html"],
        ),
        (
            "a server-level rewrite that matches",
            &["/old/x"],
            &["/new/$1 last: the URI becomes /new/x  [conf/test.conf:11]", "location   / for /new/x"],
        ),
        ("a variable of a map", &["/?m=one"], &["set $where \"$mapped\": is \"first\"  [conf/test.conf:12]"]),
        (
            "an exact name goes before what else matches",
            &["http://a.test:%%PORT%%/exact"],
            &[
                "server     its name is a.test  [conf/test.conf:7]",
                "not: *.test matches too, but an exact name takes precedence  [conf/test.conf:49]",
                "= /exact: the URI is its name, taken  [conf/test.conf:16]",
                "/: matches, but an exact name decides  [conf/test.conf:13]",
                "return 302 /elsewhere: answers 302  [conf/test.conf:17]",
                "answer     302",
                "Location: http://a.test:%%PORT%%/elsewhere",
            ],
        ),
        (
            "the longest wildcard",
            &["http://x.wild.test:%%PORT%%/"],
            &[
                "the longest name with a * that matches: *.wild.test  [conf/test.conf:7]",
                "*.test matches too, but the longest *.name takes precedence",
            ],
        ),
        ("a regex name", &["http://web:%%PORT%%/x"], &["the first regex that matches: ~^w  [conf/test.conf:49]"]),
        ("a Host of one's own", &["-H", "Host: a.test", "/"], &["its name is a.test"]),
        (
            "another listener",
            &["http://other:%%PORT1%%/"],
            &["its name is other", "location   none matches /: the server's own"],
        ),
        (
            "a regex location goes before the prefix",
            &["/up/x.php"],
            &[
                "/up/: the longest prefix, but another takes precedence  [conf/test.conf:19]",
                "~ \\.php$: the first regex that matches, taken  [conf/test.conf:39]",
                "/: matches, but a longer prefix does too",
                "answer     none: the connection is closed without a response",
            ],
        ),
        (
            "a final prefix keeps regexes away, and `if` is true",
            &["/final/x.php?x=y"],
            &[
                "^~ /final/: the longest prefix, and ^~: no regex is tried, taken  [conf/test.conf:33]",
                "~ \\.php$: matches, but a ^~ prefix keeps regexes from being tried",
                "if ($arg_x = y): true  [conf/test.conf:34]",
                "answers 418  [conf/test.conf:35]",
                "answer     418",
            ],
        ),
        (
            "an `if` that is false, and an alias",
            &["/final/start.html"],
            &["if ($arg_x = y): false", "file       %%DIR%%/html/start.html", "alias %%DIR%%/html/; conf/test.conf:37"],
        ),
        (
            "an upload changes nothing",
            &["POST", "/up/new"],
            &[
                "access     allowed_methods: the method is allowed",
                "handler    upload",
                "answer     depends on the body",
                "allowed_methods GET POST DELETE; conf/test.conf:20",
                "client_max_body_size 10; conf/test.conf:21",
                "add_header X-Up yes always; conf/test.conf:22",
            ],
        ),
        (
            "a proxied location",
            &["http://other:%%PORT1%%/passed/a%20b?c"],
            &["handler    proxy_pass: http://app/part/a%20b?c", "answer     is the upstream's"],
        ),
        (
            "a proxied location without its slash",
            &["http://other:%%PORT1%%/passed"],
            &["the name of a proxied location without its trailing slash", "answer     301"],
        ),
        ("a delete changes nothing", &["DELETE", "/up/there"], &["handler    delete", "answer     depends on"]),
        (
            "a method that is not allowed",
            &["PUT", "/up/new"],
            &[
                "allowed_methods: the method is answered without the handler",
                "answer     405",
                "Allow: GET, HEAD, POST",
            ],
        ),
        (
            "a body that is too large",
            &["POST", "/up/new", "-H", "Content-Length: 11"],
            &["log        [error] client intended to send too large body: 11 bytes", "answer     413"],
        ),
        (
            "an address that is denied",
            &["/closed/x"],
            &["access     127.0.0.1 is denied  [conf/test.conf:26]", "answer     403", "deny all; conf/test.conf:26"],
        ),
        (
            "an address that is allowed",
            &["--client", "10.1.2.3", "/closed/x"],
            &["access     10.1.2.3 is allowed  [conf/test.conf:25]", "answer     404"],
        ),
        (
            "limit_except",
            &["POST", "/except/"],
            &[
                "the method is restricted: the block's rules apply  [conf/test.conf:29]",
                "127.0.0.1 is denied  [conf/test.conf:30]",
                "settings at conf/test.conf:29",
            ],
        ),
        (
            "an error page",
            &["/absent"],
            &["error_page 404 has an error page", "redirect   internal, to /missing.html", "answer     404"],
        ),
        (
            "an internal location",
            &["/inside/x"],
            &["internal location, requested directly by the client: 404", "answer     404"],
        ),
        ("a path that leaves the root", &["/../x"], &["answer     400"]),
    ];
    let setup = setup();
    for (name, args, expected) in rows {
        // Each run of the setup has its own ports: the first writes the configuration, whose ports the question needs.
        assert!(setup.run(&["-v"]).status.success());
        let before = fs::read_to_string(setup.dir().join("conf/test.conf")).expect("just written");
        let ports: Vec<&str> = before
            .lines()
            .filter_map(|line| line.trim().strip_prefix("listen 127.0.0.1:")?.strip_suffix(';'))
            .collect();
        let replace = |text: &str| {
            let text = text.replace("%%DIR%%", &setup.dir().to_string_lossy());
            text.replace("%%PORT%%", ports[0]).replace("%%PORT1%%", ports[2])
        };
        let args: Vec<String> = args.iter().map(|arg| replace(arg)).collect();
        let mut command = std::process::Command::new(crate::harness::binary());
        let (options, question): (Vec<&String>, Vec<&String>) = split(&args);
        command.arg("explain").args(options).arg("conf/test.conf").args(question);
        let out = command.current_dir(setup.dir()).env_remove("NGINX").output().expect("the binary runs");
        let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{name}: {errors}");
        // Columns are for the eye.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(flat).collect();
        for wanted in *expected {
            let wanted = flat(&replace(wanted));
            assert!(lines.iter().any(|line| line.contains(&wanted)), "{name}: no line has {wanted:?}\n{text}{errors}");
        }
    }
    assert!(!setup.dir().join("never").exists() && !setup.dir().join("html/up/new").exists());
    assert!(setup.dir().join("html/up/there").exists(), "nothing was deleted");
}

/// Options with their values, and the words of the question.
fn split(args: &[String]) -> (Vec<&String>, Vec<&String>) {
    let (mut options, mut question, mut args) = (Vec::new(), Vec::new(), args.iter());
    while let Some(arg) = args.next() {
        if arg.starts_with('-') {
            options.extend([Some(arg), args.next()].into_iter().flatten());
        } else {
            question.push(arg);
        }
    }
    (options, question)
}

#[test]
fn a_question_that_is_none_is_told_why() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup = setup();
    for (name, args, expected) in [
        ("another protocol", &["ftp://a.test/"][..], "\"ftp\" is not served here"),
        ("no URL", &["a.test"], "\"a.test\" is not a URL"),
        (
            "no listener",
            &["http://a.test:1/"],
            "there is no listener on port 1; the configuration listens on 127.0.0.1:",
        ),
        ("a header that is none", &["/", "-H", "nothing"], "\"nothing\" is not a header"),
        ("an address that is none", &["/", "--client", "here"], "option \"--from\" does not take \"here\""),
    ] {
        let out = setup.run(&[&["explain", "conf/test.conf"], args].concat());
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && errors.contains(expected), "{name}: {errors}");
    }
    let broken =
        Setup::full("server { listen 127.0.0.1:%%PORT%%; rooot /; }\n").run(&["explain", "conf/test.conf", "/"]);
    assert!(String::from_utf8_lossy(&broken.stderr).contains("unknown directive \"rooot\" in conf/test.conf:1"));
}

/// One line for each directive: the test names lines.
const MAP: &str = r#"upstream back { server 127.0.0.1:9; server 127.0.0.1:10 backup; }
server {
    listen 127.0.0.1:%%PORT%%;
    server_name a.test *.b.test;
    location / { root %%DIR%%/html; }
    location ~ xx$ { return 301 /y; }
    location /long/ { proxy_pass http://back/z/; }
    location = /e { return 204; }
    location /up/ { allowed_methods POST; upload_store %%DIR%%/store; }
    location /port { proxy_pass http://127.0.0.1:9; }
    location /try { root %%DIR%%/html; try_files $uri/ =404; }
}
"#;

pub fn said(setup: &Setup, args: &[&str]) -> String {
    let out = setup.run(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn without_a_question_everything_is_listed_in_the_order_it_is_tried() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup = Setup::full(MAP);
    let map = said(&setup, &["explain", "conf/test.conf"]);
    let lines: Vec<String> = map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let begins = [
        "listener 127.0.0.1:",
        "server a.test *.b.test (default)",
        "location = /e: return 204 conf/test.conf:8",
        "location /long/: proxy_pass http://back/z/ conf/test.conf:7",
        "location /port: proxy_pass http://127.0.0.1:9 conf/test.conf:10",
        "location /up/: root ",
        "location /try: root ",
        "location /: root ",
        "location ~ xx$: return 301 /y conf/test.conf:6",
    ];
    assert_eq!(lines.len(), begins.len(), "{map}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{begin:?}: {map}");
    }
}

#[test]
fn explain_shows_servers_stores_slashes_and_no_file_that_nothing_looked_for() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup = Setup::full(MAP);
    let dir = setup.dir().display().to_string();
    for (question, has, lacks) in [
        ("GET http://a.test/long/1", "upstream   127.0.0.1:9, 127.0.0.1:10 backup", "file "),
        ("GET http://a.test/port", "proxy_pass: http://127.0.0.1:9/port", "file "),
        ("POST http://a.test/up/x", &format!("store      {dir}/store"), "html/up"),
        ("GET http://a.test/try", &format!("{dir}/html/try/: is not there"), "file "),
    ] {
        let text = said(&setup, &["explain", "-c", "conf/test.conf", "-p", ".", question]);
        let text = text.split("\nsettings at").next().unwrap_or_default();
        assert!(text.contains(has) && !text.contains(lacks), "{question}: {has:?} / {lacks:?}\n{text}");
    }
}

#[test]
fn rules_of_files_in_an_archive_are_not_shown_as_steps_of_its_request() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "server {\n    listen 127.0.0.1:%%PORT%%;\n    location / { root %%DIR%%/html; autoindex on; \
                  autoindex_format page; autoindex_archive tar; }\n\
                  location /closed/ {\n root %%DIR%%/html; set $a 1; deny all;\n}\n}\n";
    let setup = Setup::full(config).file("html/closed/secret", "s").file("html/open", "o");
    let text = said(&setup, &["explain", "conf/test.conf", "GET", "/?archive=tar"]);
    let steps = text.split("\nsettings at").next().unwrap_or_default();
    assert!(steps.contains("answer     200 OK") && steps.contains("application/x-tar"), "{text}");
    let foreign = ["set $a", "is denied", "[error]", "conf/test.conf:5"];
    assert!(!foreign.iter().any(|step| steps.contains(step)), "{text}");
}

#[test]
fn an_explanation_as_json_has_the_same_steps() {
    if skip_on_nginx("explain") {
        return;
    }
    let setup = Setup::full(MAP);
    let text =
        said(&setup, &["explain", "--format", "json", "--from", "10.0.0.1", "conf/test.conf", "GET", "http://b/e"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let steps = json["steps"].as_array().expect("steps");
    let of = |subject: &str| steps.iter().filter(|step| step["subject"] == subject).collect::<Vec<_>>();
    assert_eq!(of("request")[0]["text"], "GET /e from 10.0.0.1");
    assert_eq!(of("answer")[0]["text"], "204 No Content");
    assert_eq!(of("location")[0]["place"], "conf/test.conf:8");
    assert!(json["settings"].is_array());
}

#[test]
fn files_are_looked_at_with_the_rights_of_the_server() {
    if skip_on_nginx("explain") {
        return;
    }
    if !crate::os::is_root() {
        return crate::harness::skipped("explain with the server's rights: this needs root");
    }
    let config = "USER\nserver {\n    listen 127.0.0.1:%%PORT%%;\n    root %%DIR%%/html;\n}\n";
    let question = ["explain", "conf/test.conf", "GET", "/secret"];
    for (user, rights, answer) in [
        ("", "as nobody, as the server does", "403 Forbidden"),
        ("user root;", "", "200 OK"),
        ("user nobody nogroup;", "as nobody", "403 Forbidden"),
    ] {
        let setup = Setup::full(&config.replace("USER", user)).file("html/secret", "s").mode("html/secret", 0o600);
        let text = said(&setup, &question);
        assert!(text.contains(answer) && text.contains(rights), "{user:?}: {text}");
        assert_eq!(text.contains("rights "), !rights.is_empty(), "{user:?}: {text}");
    }
    // Not root: it cannot become another, and says so.
    let setup = Setup::full(&config.replace("USER", "user www-data;")).file("html/secret", "s");
    assert!(setup.run(&["-v"]).status.success());
    let own = setup.dir().join("webserv");
    crate::harness::copy_for_all(crate::harness::binary(), &own);
    let mut command = std::process::Command::new(own);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    let out = command.args(question).current_dir(setup.dir()).env_remove("NGINX").output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let says = "files are looked at as user 65534; started by root the server is www-data, who may see others";
    assert!(text.contains(says) && text.contains("200 OK"), "{text}{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_test_in_json_says_nothing_else_and_its_replacements_mend() {
    if skip_on_nginx("--format json") {
        return;
    }
    let judge = |setup: &Setup, file: &str| -> (bool, Vec<serde_json::Value>) {
        let out = setup.run(&["-t", "--format", "json", "-c", file]);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let objects = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")));
        (out.status.success(), objects.collect())
    };
    let wrong = "events { }\nhttp {\n    gzip on,\n    server {\n        listen 127.0.0.1:%%PORT%%;\n        \
                 autoindexx on;\n    }\n}\n";
    let setup = Setup::full(wrong);
    let (ok, objects) = judge(&setup, "conf/test.conf");
    assert!(!ok && objects.last().is_some_and(|last| last["level"] == "failure-note"), "{objects:?}");
    let mut text = fs::read_to_string(setup.dir().join("conf/test.conf")).expect("written");
    let path = setup.dir().join("conf/mended.conf");
    let mut spans: Vec<&serde_json::Value> = Vec::new();
    for object in objects.iter().filter(|object| object["level"] == "error") {
        for child in object["children"].as_array().expect("children") {
            spans.extend(
                child["spans"].as_array().expect("spans").iter().filter(|s| s["suggested_replacement"].is_string()),
            );
        }
    }
    assert_eq!(spans.len(), 2, "{objects:?}");
    spans.sort_by_key(|span| std::cmp::Reverse(span["byte_start"].as_u64()));
    for span in spans {
        let at = |name: &str| span[name].as_u64().expect("a number") as usize;
        text.replace_range(at("byte_start")..at("byte_end"), span["suggested_replacement"].as_str().expect("a text"));
    }
    fs::write(&path, &text).expect("written");
    let (ok, objects) = judge(&setup, "conf/mended.conf");
    assert!(ok, "{text}{objects:?}");
    // What the system refuses is a message as well.
    fs::write(&path, format!("error_log none/there.log;\n{text}")).expect("written");
    let (ok, objects) = judge(&setup, "conf/mended.conf");
    assert!(!ok && objects.iter().any(|object| object["level"] == "error"), "{objects:?}");
}
