//! The program as a process: its command line, its verdicts. What it does once it runs is in `signals`.

use crate::harness::{BOTH, Runs, Setup, Table, http, on_nginx, ours};
use std::process::Output;

const T: &[&str] = &["-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf", "-e", "%%DIR%%/logs/error.log", "-t"];

fn test_config(config: &str) -> (String, i32, String) {
    let setup = Setup::full(config);
    let dir = setup.dir().display().to_string();
    let out = setup.run(T);
    (text(&out), out.status.code().unwrap_or(-1), dir)
}

pub fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_good_config_is_called_good() {
    let setup = http("server { listen 127.0.0.1:%%PORT%%; }");
    let path = setup.dir().join("conf/test.conf").display().to_string();
    let mut table = Table::new("good configs");
    table.row(BOTH, "-t", || {
        let out = setup.run(T);
        let text = text(&out);
        assert_eq!(out.status.code(), Some(0), "{text}");
        assert!(text.contains(&format!(": the configuration file {path} syntax is ok\n")), "{text}");
        assert!(text.contains(&format!(": configuration file {path} test is successful\n")), "{text}");
        assert!(out.stdout.is_empty(), "verdicts go to stderr");
    });
    table.row(BOTH, "-t -q says nothing", || {
        let out = setup.run(&[T, &["-q"]].concat());
        assert_eq!((out.status.code(), text(&out).as_str()), (Some(0), ""));
    });
    table.row(BOTH, "-tq as one word", || {
        let mut args = T.to_vec();
        *args.last_mut().unwrap() = "-tq";
        let out = setup.run(&args);
        assert_eq!((out.status.code(), text(&out).as_str()), (Some(0), ""));
    });
    table.row(BOTH, "a flag may stand twice", || {
        let out = setup.run(&[T, &["-tqq", "-t"]].concat());
        assert_eq!((out.status.code(), text(&out).as_str()), (Some(0), ""));
    });
    table.row(BOTH, "-v beside -t is no reason not to test", || {
        let out = setup.run(&[T, &["-v"]].concat());
        let text = text(&out);
        assert!(text.starts_with("nginx version: nginx/") && text.contains("test is successful"), "{text}");
    });
    table.row(BOTH, "an empty -e is standard error", || {
        let out = setup.run(&["-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf", "-e", "", "-t"]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    });
    table.row(BOTH, "-q keeps warnings", || {
        let one = "server { listen 127.0.0.1:%%PORT%%; server_name a; }";
        let out = http(&format!("{one} {one}")).run(&[T, &["-q"]].concat());
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
        assert!(text(&out).contains("[warn] conflicting server name \"a\""), "{}", text(&out));
    });
    table.row(BOTH, "the first line of a failed test is the error", || {
        let out = http("nonsense on;").run(T);
        let text = text(&out);
        assert!(text.lines().next().is_some_and(|line| line.contains("[emerg] unknown directive")), "{text}");
    });
    table.row(BOTH, "-T prints the files", || {
        let setup = http("include extra.inc; server { listen 127.0.0.1:%%PORT%%; }")
            .file("conf/extra.inc", "# the extra file\n");
        let mut args = T.to_vec();
        *args.last_mut().unwrap() = "-T";
        let out = setup.run(&args);
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
        let dir = setup.dir().display();
        for file in ["test.conf", "extra.inc"] {
            assert!(stdout.contains(&format!("# configuration file {dir}/conf/{file}:\n")), "{stdout}");
        }
        assert!(stdout.contains("# the extra file\n") && stdout.contains("include extra.inc;"), "{stdout}");
        assert!(text(&out).contains("test is successful"));
    });
    table.row(BOTH, "-g adds directives", || {
        let out = setup.run(&[T, &["-g", "worker_rlimit_nofile 1000;"]].concat());
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    });
    table.row(BOTH, "-g with an unknown directive", || {
        let out = setup.run(&[T, &["-g", "bogus on;"]].concat());
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out).contains("[emerg] unknown directive \"bogus\" in command line"), "{}", text(&out));
    });
    table.row(ours("the config may be named without -c"), "the config as an argument", || {
        let out = setup.run(&["-t", "conf/test.conf"]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    });
    table.row(ours("a bare file of servers"), "server blocks without http", || {
        let (text, code, _) = test_config(
            "server { listen 127.0.0.1:%%PORT%%; root html; }\nserver { listen 127.0.0.1:%%PORT%%; server_name b; }\n",
        );
        assert_eq!(code, 0, "{text}");
    });
    table.row(ours("lists what is not honoured"), "an ignored directive is noted", || {
        let (text, code, _) =
            test_config("events { accept_mutex on; }\nhttp { server { listen 127.0.0.1:%%PORT%%; } }\n");
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("accept_mutex"), "{text}");
    });
}

#[test]
fn a_bad_config_is_called_bad() {
    let rows: &[(Runs, &str, &str, &str)] = &[
        (
            BOTH,
            "an unknown directive",
            "events{}\nhttp {\n    server {\n        lisen 80;\n    }\n}\n",
            "unknown directive \"lisen\" in {F}:4",
        ),
        (
            BOTH,
            "no closing brace",
            "events{}\nhttp {\n server {\n",
            "unexpected end of file, expecting \"}\" in {F}:{4}",
        ),
        (
            BOTH,
            "no semicolon at the end",
            "events{}\nhttp { server { listen 80\n",
            "unexpected end of file, expecting \";\" or \"}\" in {F}:{3}",
        ),
        (BOTH, "one brace too many", "events{}\nhttp { }\n}\n", "unexpected \"}\" in {F}:3"),
        (
            BOTH,
            "too many arguments",
            "events{}\nhttp {\n root a b;\n}\n",
            "invalid number of arguments in \"root\" directive in {F}:3",
        ),
        (
            BOTH,
            "too few arguments",
            "events{}\nhttp {\n root;\n}\n",
            "invalid number of arguments in \"root\" directive in {F}:3",
        ),
        (
            BOTH,
            "the wrong place",
            "events{}\nhttp {\n listen 80;\n}\n",
            "\"listen\" directive is not allowed here in {F}:3",
        ),
        (
            BOTH,
            "a location twice",
            "events{}\nhttp { server {\n location /a {}\n location /a {}\n} }\n",
            "duplicate location \"/a\" in {F}:4",
        ),
        (
            BOTH,
            "a missing include",
            "events{}\nhttp {\n include no.conf;\n}\n",
            "open() \"{D}/conf/no.conf\" failed (2: No such file or directory) in {F}:3",
        ),
        (
            BOTH,
            "a bad size",
            "events{}\nhttp {\n client_max_body_size 5x;\n}\n",
            "\"client_max_body_size\" directive invalid value in {F}:3",
        ),
        (
            BOTH,
            "a bad flag",
            "events{}\nhttp {\n autoindex maybe;\n}\n",
            "invalid value \"maybe\" in \"autoindex\" directive, it must be \"on\" or \"off\" in {F}:3",
        ),
        (
            BOTH,
            "a bad port",
            "events{}\nhttp { server {\n listen 99999;\n} }\n",
            "invalid port in \"99999\" of the \"listen\" directive in {F}:3",
        ),
        (
            BOTH,
            "a directive twice",
            "events{}\nhttp {\n root a;\n root b;\n}\n",
            "\"root\" directive is duplicate in {F}:4",
        ),
        (
            BOTH,
            "an unknown variable",
            "events{}\nhttp { server {\n return 200 $nosuch;\n} }\n",
            "unknown \"nosuch\" variable",
        ),
        (
            BOTH,
            "a block where a semicolon belongs",
            "events{}\nhttp {\n root a { }\n}\n",
            "directive \"root\" is not terminated by \";\" in {F}:3",
        ),
        (
            BOTH,
            "a semicolon where a block belongs",
            "events{}\nhttp {\n server;\n}\n",
            "directive \"server\" has no opening \"{\" in {F}:3",
        ),
        (BOTH, "an unclosed quote", "events{}\nhttp {\n root \"a;\n}\n", " in {F}:{5}"),
        (BOTH, "text behind a quote", "events{}\nhttp {\n root \"a\"b;\n}\n", "unexpected \"b\" in {F}:3"),
        (BOTH, "a bad regex", "events{}\nhttp { server {\n location ~ ( {}\n} }\n", " in {F}:3"),
        (
            BOTH,
            "an error within an include",
            "events{}\nhttp {\n include bad.inc;\n}\n",
            "unknown directive \"rooot\" in {D}/conf/bad.inc:2",
        ),
    ];
    let mut table = Table::new("bad configs");
    for &(runs, name, config, message) in rows {
        table.row(runs, name, || {
            let setup = Setup::full(config).file("conf/bad.inc", "\nrooot x;\n");
            let dir = setup.dir().display().to_string();
            let out = setup.run(T);
            let text = text(&out);
            let file = format!("{dir}/conf/test.conf");
            let mut message = message.replace("{F}", &file).replace("{D}", &dir);
            // `{4}`: nginx names the end of the file; we name the line where what is missing belongs.
            if let Some(at) = message.rfind(":{").map(|at| at + 1) {
                let end = if on_nginx() { message[at + 1..message.len() - 1].to_owned() } else { String::new() };
                message.replace_range(at.., &end);
            }
            assert_eq!(out.status.code(), Some(1), "{text}");
            let line = text
                .lines()
                .find(|line| line.contains(&message))
                .unwrap_or_else(|| panic!("no {message:?} in\n{text}"));
            assert!(line.contains(": [emerg] "), "{line}");
            assert!(text.contains(&format!(": configuration file {file} test failed\n")), "{text}");
        });
    }
    table.row(BOTH, "a missing config file", || {
        let setup = Setup::full("");
        let out = setup.run(&["-p", "%%DIR%%/", "-c", "nofile.conf", "-e", "%%DIR%%/logs/error.log", "-t"]);
        assert_eq!(out.status.code(), Some(1));
        let wanted = format!("open() \"{}/nofile.conf\" failed (2: No such file or directory)", setup.dir().display());
        assert!(text(&out).contains(&wanted), "{}", text(&out));
    });
    table.row(BOTH, "a server does not start with a bad config", || {
        let setup = Setup::full("events{}\nhttp {\n lisen;\n}\n");
        let out = setup.run(&T[..T.len() - 1]);
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out).contains("unknown directive \"lisen\""), "{}", text(&out));
    });
    let better = ours("diagnostics that explain themselves");
    table.row(better, "the source line, a caret and a suggestion", || {
        let (text, _, _) = test_config("events{}\nhttp {\n    server {\n        lisen 80;\n    }\n}\n");
        assert!(text.contains("        lisen 80;"), "{text}");
        assert!(text.lines().any(|line| line.contains("^^^^^") || line.trim_end().ends_with('^')), "{text}");
        assert!(text.to_lowercase().contains("did you mean") && text.contains("listen"), "{text}");
        assert!(text.contains("test.conf:4:9"), "line and column: {text}");
    });
    table.row(better, "two independent errors are both told", || {
        let (text, _, _) = test_config("events{}\nhttp {\n lisen 80;\n root a;\n autoindx on;\n}\n");
        assert!(text.contains("\"lisen\"") && text.contains("\"autoindx\""), "{text}");
        assert_eq!(text.matches("[emerg]").count(), 2, "{text}");
    });
    table.row(better, "a missing semicolon is named on its own line", || {
        let (text, code, dir) = test_config("events{}\nhttp {\n root a\n index b;\n}\n");
        assert_eq!(code, 1);
        assert!(text.contains(&format!("{dir}/conf/test.conf:3")), "{text}");
        assert!(text.contains(';'), "{text}");
    });
    table.row(better, "where the directive would be allowed", || {
        let (text, _, _) = test_config("events{}\nhttp {\n listen 80;\n}\n");
        assert!(text.contains("server"), "{text}");
    });
    table.row(better, "an include chain is told", || {
        let setup = Setup::full("events{}\nhttp {\n include a.inc;\n}\n")
            .file("conf/a.inc", "include b.inc;\n")
            .file("conf/b.inc", "\nrooot x;\n");
        let text = text(&setup.run(T));
        assert!(text.contains("b.inc:2") && text.contains("a.inc:1") && text.contains("test.conf:3"), "{text}");
    });
}

#[test]
fn the_command_line_is_nginxs() {
    let setup = Setup::full("events {} http { }");
    let rows: &[(Runs, &str, &[&str], i32, &str)] = &[
        (BOTH, "-v", &["-v"], 0, "version: nginx/1."),
        (BOTH, "-V", &["-V"], 0, "nginx version: nginx/1."),
        (BOTH, "-V names its modules", &["-V"], 0, "configure arguments: "),
        (BOTH, "-V has dav", &["-V"], 0, "--with-http_dav_module"),
        (BOTH, "-h", &["-h"], 0, "-c filename"),
        (BOTH, "-?", &["-?"], 0, "-s signal"),
        (BOTH, "an unknown option", &["-Z"], 1, "invalid option: \"Z\""),
        (BOTH, "-c without a name", &["-c"], 1, "option \"-c\" requires file name"),
        (BOTH, "-s with an unknown word", &["-s", "foo"], 1, "invalid option: \"-s foo\""),
        (ours("our own name"), "--version", &["--version"], 0, "webserv "),
        (ours("our own name"), "--help", &["--help"], 0, "webserv"),
    ];
    let mut table = Table::new("command line");
    for &(runs, name, args, code, message) in rows {
        table.row(runs, name, || {
            let out = setup.run(args);
            let text = text(&out);
            assert_eq!(out.status.code(), Some(code), "{text}");
            if name == "-v" && !on_nginx() {
                assert!(text.contains("version"), "{text}");
            } else {
                assert!(text.contains(message), "{text}");
            }
        });
    }
    table.row(BOTH, "-s stop without a pid file", || {
        let out = setup.run(&[
            "-p",
            "%%DIR%%/",
            "-c",
            "%%DIR%%/conf/test.conf",
            "-e",
            "%%DIR%%/logs/error.log",
            "-s",
            "stop",
        ]);
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out).contains("failed (2: No such file or directory)"), "{}", text(&out));
    });
    table.row(BOTH, "a port in use", || {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let setup = Setup::full(&format!(
            "daemon off; pid logs/p;\nevents {{}}\nhttp {{ server {{ listen 127.0.0.1:{port}; }} }}\n"
        ));
        let out = setup.run(&T[..T.len() - 1]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(
            text(&out).contains(&format!("[emerg] bind() to 127.0.0.1:{port} failed (98: Address already in use)")),
            "{}",
            text(&out)
        );
    });
}

#[test]
fn a_start_that_fails_leaves_its_reason_in_the_error_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let head = "daemon off; pid logs/p;\nevents {}\n";
    let mut table = Table::new("starts that fail");
    for (runs, name, config, log, said) in [
        (BOTH, "a mistake", format!("{head}http {{ lisen 1; }}\n"), "error.log", "unknown directive \"lisen\""),
        (
            BOTH,
            "a port in use",
            format!("{head}http {{ server {{ listen 127.0.0.1:{port}; }} }}\n"),
            "error.log",
            "failed (98: Address already in use)",
        ),
        (
            BOTH,
            "a port in use, where the file names the log",
            format!("error_log logs/own.log;\n{head}http {{ server {{ listen 127.0.0.1:{port}; }} }}\n"),
            "own.log",
            "failed (98: Address already in use)",
        ),
        (
            ours("the log that the text names, though there is a mistake behind it"),
            "a mistake, where the file names the log",
            format!("error_log logs/own.log;\n{head}http {{ lisen 1; }}\n"),
            "own.log",
            "unknown directive \"lisen\"",
        ),
    ] {
        table.row(runs, name, || {
            let setup = Setup::full(&config);
            let out = setup.run(&T[..T.len() - 1]);
            assert_eq!(out.status.code(), Some(1), "{}", text(&out));
            let log = std::fs::read_to_string(setup.dir().join("logs").join(log)).unwrap_or_default();
            assert!(log.lines().any(|line| line.contains("[emerg]") && line.contains(said)), "{log}");
            assert!(text(&out).contains(said), "{}", text(&out));
        });
    }
}
