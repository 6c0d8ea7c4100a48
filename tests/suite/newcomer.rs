//! What a newcomer runs into before the first page is served: a port that is taken, a directory that is not there, a
//! word that is no command. Each message names the line and what would help.

use crate::checkers::said;
use crate::harness::{Setup, on_nginx};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `webserv ARGS` in the directory of a setup, to its end.
fn run(setup: &Setup, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webserv"));
    command.args(args).current_dir(setup.dir()).env_remove("NGINX").env("NO_COLOR", "1").stdin(Stdio::null());
    command.env("STATE_DIRECTORY", setup.dir().join("state"));
    command.output().expect("the binary runs")
}

/// A setup whose `x.conf` has this text.
fn with(config: &str) -> Setup {
    Setup::full("").file("x.conf", config).file("site/index.html", "hi")
}

/// The message has all of these, and the command failed.
#[track_caller]
fn fails_with(setup: &Setup, args: &[&str], expected: &[&str]) {
    let out = run(setup, args);
    let text = said(&out);
    assert!(!out.status.success(), "{args:?} succeeded: {text}");
    for part in expected {
        assert!(text.contains(part), "{args:?} lacks {part:?}:\n{text}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_line_and_its_holder() {
    if on_nginx() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let setup = with(&format!("server {{\n    listen 127.0.0.1:{port};\n    root site;\n}}\n"));
    let holder = format!("process {} (", std::process::id());
    fails_with(&setup, &["x.conf"], &["(98: Address already in use) in x.conf:2", &holder, "another port"]);
    let port = port.to_string();
    fails_with(&setup, &["site", "--port", &port], &["(98: Address already in use)", "--port 8080"]);
}

#[test]
fn a_unix_socket_that_cannot_be_made_has_advice_about_paths() {
    if on_nginx() {
        return;
    }
    let setup = with("");
    let _taken = UnixListener::bind(setup.dir().join("busy.sock")).expect("a socket");
    let holder = format!("process {} (", std::process::id());
    let long = format!("{}.sock", "x".repeat(120));
    let table: [(&str, &[&str]); 4] = [
        ("busy.sock", &["(98: Address already in use) in x.conf:1", &holder, "listens there", "name another path"]),
        ("site/index.html", &["(98: Address already in use)", "exists and is not a socket"]),
        ("none/x.sock", &["(2: No such file", "the directory of the socket does not exist"]),
        (&long, &["too long path", "107 bytes at most"]),
    ];
    for (path, expected) in table {
        std::fs::write(setup.dir().join("x.conf"), format!("server {{ listen unix:{path}; root site; }}\n"))
            .expect("written");
        fails_with(&setup, &["x.conf"], expected);
    }
}

#[test]
fn a_path_that_leads_nowhere_is_told_from_a_name_that_is_misspelt() {
    if on_nginx() {
        return;
    }
    let own = crate::over_tls::pair();
    let tls = |certificate: &str, key: &str| {
        format!(
            "server {{ listen 127.0.0.1:1 ssl; root site; ssl_certificate {certificate}; ssl_certificate_key {key}; }}\n"
        )
    };
    let table: [(String, &str, &str); 4] = [
        ("include link;\n".to_owned(), "it is a link to \"nowhere\", which does not exist", "did you mean"),
        (tls("none", "none"), "correct the path: a relative one begins at \"", "did you mean"),
        (tls("own.crt", "none"), "correct the path: a relative one begins at \"", "acme_certificate"),
        ("include none/x;\n".to_owned(), "there is no directory \"none\"", "did you mean"),
    ];
    for (config, expected, unexpected) in table {
        let setup = with(&config).file("own.crt", &own.certificate);
        std::os::unix::fs::symlink("nowhere", setup.dir().join("link")).expect("a link");
        let text = said(&run(&setup, &["-t", "x.conf"]));
        assert!(text.contains(expected) && !text.contains(unexpected), "{config}{text}");
    }
    fails_with(
        &with(""),
        &["-p", "/none"],
        &["open() \"/none/conf/nginx.conf\" failed (2:", "there is no directory \"/none\""],
    );
}

#[test]
fn what_cannot_be_written_is_named_with_its_line_and_the_cure() {
    if on_nginx() {
        return;
    }
    let setup = with("pid none/pid;\nserver { listen 127.0.0.1:1; access_log logs2/a.log; root site; }\n");
    fails_with(&setup, &["-t", "x.conf"], &["logs2/a.log\" failed (2:", "x.conf:2:", "mkdir -p \"", "test failed"]);
    fails_with(&setup, &["x.conf"], &["logs2/a.log\" failed (2:", "x.conf:2:"]);
    std::fs::create_dir(setup.dir().join("logs2")).expect("a directory");
    fails_with(&setup, &["-t", "x.conf"], &["none/pid\" failed (2:", "x.conf:1:5", "mkdir -p \""]);
    let _ = std::fs::remove_dir_all(setup.dir().join("logs"));
    fails_with(&setup, &["-t", "-p", ".", "-c", "x.conf"], &["logs/error.log", "leave -c out"]);
}

#[test]
fn what_is_not_there_is_a_warning_with_its_line() {
    if on_nginx() {
        return;
    }
    let setup = with(
        "server {\n    listen 127.0.0.1:1;\n    root siet;\n    auth_basic a;\n    auth_basic_user_file none;\n}\n",
    );
    let out = run(&setup, &["-t", "x.conf"]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    for part in ["x.conf:3:10", "did you mean \"", "/site\"?", "x.conf:5:26", "htpasswd -c"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let open = with("server {\n    listen 127.0.0.1:1;\n    auth_basic a;\n}\n");
    for args in [&["-t", "x.conf"][..], &["-t", "-p", ".", "-c", "x.conf"]] {
        std::fs::create_dir_all(open.dir().join("logs")).expect("a directory");
        let _ = std::fs::remove_dir_all(open.dir().join("html"));
        let text = said(&run(&open, args));
        for part in
            ["no root: files would be in", "[W213]", "x.conf:1", "no password is asked for", "[W117]", "x.conf:3:16"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
    let answered = with("server { listen 127.0.0.1:1; location / { return 204; } }");
    let text = said(&run(&answered, &["-t", "x.conf"]));
    assert!(!text.contains("no root"), "{text}");
    let silent = with("events {}\nhttp {\n}\n");
    let text = said(&run(&silent, &["-t", "x.conf"]));
    assert!(text.contains("no listener") && text.contains("x.conf:2:1"), "{text}");
}

#[test]
fn the_name_that_was_meant_keeps_its_directory() {
    if on_nginx() {
        return;
    }
    let passwords = |name: &str| {
        format!("server {{ listen 127.0.0.1:1; root site; auth_basic a; auth_basic_user_file {name}; }}\n")
    };
    for (config, meant) in [
        (passwords("users.htpaswd"), "users.htpasswd"),
        (passwords("sub/users.htpaswd"), "sub/users.htpasswd"),
        (passwords("\"sub/users.htpaswd\""), "sub/users.htpasswd"),
        (passwords("sbu/users.htpasswd"), "sub/users.htpasswd"),
        ("include sub/serevrs.conf;\n".to_owned(), "sub/servers.conf"),
    ] {
        let setup =
            with(&config).file("users.htpasswd", "").file("sub/users.htpasswd", "").file("sub/servers.conf", "");
        let text = said(&run(&setup, &["-t", "x.conf"]));
        assert!(text.contains(&format!("did you mean \"{meant}\"?")), "{config}{text}");
    }
}

#[test]
fn under_nginxs_flags_what_is_not_there_is_a_note() {
    if on_nginx() {
        return;
    }
    let setup = with(
        "events { }\nhttp { server { listen 127.0.0.1:1; root none; auth_basic x; auth_basic_user_file none; } }\n",
    )
    .mkdir("logs");
    let text = said(&run(&setup, &["-t", "-p", ".", "-c", "x.conf"]));
    assert!(text.contains("[notice] \"") && text.contains("[W210]") && text.contains("[W211]"), "{text}");
    assert!(text.contains("test is successful") && !text.contains("[warn]"), "{text}");
}

/// Each resumable upload got a 500: nothing said so before the first one.
#[test]
fn a_state_store_on_another_file_system_is_named_at_the_start() {
    if on_nginx() {
        return;
    }
    let area = |more: &str| {
        let methods = "allowed_methods GET POST DELETE; upload_resumable on;";
        with(&format!("server {{ listen 127.0.0.1:1; root site; location / {{ {methods} {more} }} }}"))
    };
    let far = "is on another file system than";
    for (more, expected) in [
        ("delete_trash /proc/none/trash;", None),
        ("upload_state_store /proc/none;", Some("upload_state_store \"/proc/none\"")),
        ("delete_trash trash; upload_state_store state;", None),
    ] {
        let tested = run(&area(more), &["-t", "x.conf"]);
        let text = said(&tested);
        match expected {
            Some(expected) => assert!(text.contains(&format!("{expected} {far}")), "{more}: {text}"),
            None => assert!(tested.status.success() && !text.contains(far), "{more}: {text}"),
        }
    }
}

/// Every configuration that is in the repository for others to use.
const SHIPPED: [&str; 11] = [
    "conf/default.conf",
    "conf/mime.types",
    "conf/examples/spa.conf",
    "conf/examples/static.conf",
    "conf/examples/uploads.conf",
    "conf/examples/vhosts.conf",
    "contrib/nginx-front.conf",
    "packaging/container/webserv.conf",
    "packaging/etc/sites-available/default",
    "packaging/etc/snippets/uploads.conf",
    "packaging/etc/webserv.conf",
];

#[test]
fn the_shipped_configurations_have_no_warning_and_the_layout_of_fmt() {
    if on_nginx() {
        return;
    }
    let mut command = std::process::Command::new(crate::harness::binary());
    let (top, setup) = (concat!(env!("CARGO_MANIFEST_DIR"), "/"), with(""));
    command.env("STATE_DIRECTORY", setup.dir().join("state"));
    let out = command.args(["lint", "conf/default.conf"]).current_dir(top).output().expect("the binary runs");
    assert!(out.status.success(), "{}", said(&out));
    assert!(!setup.dir().join("state").exists(), "its certificate is made by the server that serves it");
    let here = |args: &[&str]| {
        Command::new(crate::harness::binary()).args(args).current_dir(top).output().expect("the binary runs")
    };
    for example in SHIPPED.iter().filter(|file| file.starts_with("conf/examples/")) {
        let out = here(&["lint", example]);
        assert!(out.status.success(), "{example}: {}", said(&out));
    }
    let out = here(&[&["fmt", "--check"], &SHIPPED[..]].concat());
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn a_first_word_that_is_nothing_leads_somewhere() {
    if on_nginx() {
        return;
    }
    let part = "server { listen 127.0.0.1:1; root site; location /s/ { api /status/http/; } }";
    let setup = with("server { listen 127.0.0.1:1; root site; }").file("part.conf", part);
    let table: [(&[&str], &[&str]); 30] = [
        (&["restart"], &["webserv reload CONFIG", "systemctl restart webserv"]),
        (&["8080"], &["webserv . --port 8080"]),
        (&["https://a.test/"], &["\"a.test\"", "webserv DIR"]),
        (&["install"], &["systemctl enable --now webserv"]),
        (&["stop"], &["name the one that the server runs by", "webserv -s stop CONFIG"]),
        (&["check"], &["neither conf/default.conf", "name one"]),
        (&["site", "extra"], &["\"extra\" is one argument too many", "--help"]),
        (&["site", "8080"], &["did you mean --port 8080?"]),
        (&["site", "-p", "8080"], &["did you mean --port 8080?"]),
        (&["site", "-g", "daemon off;"], &["\"-g\" cannot be used with a directory", "--print-config"]),
        (&["site", "--auth", "alice:pw"], &["takes the user's name alone: --auth alice"]),
        (&["directives", "--format", "json"], &["\"--format\"; `webserv directives` has none of that name"]),
        (&["status", "part.conf"], &["a part of the counters only (/status/http/)", "api /status/;"]),
        (&["site", "--port", "-1"], &["does not take \"-1\"", "1 to 65535"]),
        (&["site", "--bind", "nohost"], &["an address, as in 0.0.0.0"]),
        (&["nothing", "--upload"], &["\"nothing\" does not exist"]),
        (&["x.conf", "--upload"], &["\"x.conf\" is a file"]),
        (&["x.conf", "-c", "x.conf"], &["two configurations"]),
        (&["check-nginx", "nothing"], &["open() \"nothing\" failed (2:"]),
        (&["-s", "foo"], &["invalid option: \"-s foo\"", "stop, quit, reopen, reload, drain and upgrade", "--help"]),
        (&[], &["neither conf/default.conf", "webserv DIR", "--help"]),
        (&["strat"], &["\"strat\" failed (2:", "did you mean \"webserv start\"?"]),
        (&["strat", "x.conf"], &["did you mean \"start\"?", "--help"]),
        (&["./nothing"], &["\"./nothing\" failed (2:", "webserv FILE"]),
        (&["x.conf", "y.conf"], &["--help"]),
        (&["site", "--port", "99999"], &["1 to 65535"]),
        (&["reload", "x.conf"], &["writes no pid file", "pid PATH;"]),
        (&["-c", "site"], &["(21: Is a directory)", "served by: webserv site"]),
        (&["-c", "y.conf"], &["y.conf\" failed (2:", "did you mean \"x.conf\"?"]),
        (&["-t", "-c", "nothing.at.all"], &["nothing.at.all\" failed (2:", "test failed"]),
    ];
    for (args, expected) in table {
        fails_with(&setup, args, expected);
    }
}

#[test]
fn a_directory_that_may_not_be_read_or_written_is_named_at_the_start() {
    if on_nginx() {
        return;
    }
    let setup = with("server { listen 127.0.0.1:1; root site/index.html; }").mkdir("locked").unprivileged();
    let text = said(&run(&setup, &["-t", "x.conf"]));
    assert!(text.contains("is a file, not a directory") && text.contains("x.conf:1:"), "{text}");
    let mode = |mode| std::fs::set_permissions(setup.dir().join("locked"), std::fs::Permissions::from_mode(mode));
    mode(0o000).expect("chmod");
    let text = said(&as_nobody(&setup, &["locked"]));
    assert!(text.contains("opendir() \"") && text.contains("(13: Permission denied)"), "{text}");
    assert!(text.contains("start as a user who may"), "{text}");
    let closed = with("server { listen 127.0.0.1:1; root locked; }\n").mkdir("locked").unprivileged();
    let locked = closed.dir().join("locked");
    for (owner, cure) in [(65534, "chmod u+rx"), (0, "chmod o+rx")].into_iter().filter(|_| crate::os::is_root()) {
        std::os::unix::fs::chown(&locked, Some(owner), None).expect("chown");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).expect("chmod");
        let text = said(&as_nobody(&closed, &["-t", "x.conf"]));
        assert!(text.contains("nobody cannot read \"") && text.contains(&format!("locked\": {cure} \"")), "{text}");
    }
    // An address of another machine (RFC 5737) for a directory.
    let text = said(&as_nobody(&setup, &["site", "--bind", "198.51.100.1"]));
    assert!(text.contains("--bind 0.0.0.0 listens on all") && !text.contains("a `listen`"), "{text}");
    // A port that is taken ends what would serve on.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port().to_string();
    mode(0o755).expect("chmod");
    let out = as_nobody(&setup, &["locked", "--port", &port]);
    assert!(!out.status.success(), "{}", said(&out));
}

#[test]
fn what_the_server_could_not_read_or_write_is_told_by_the_test_with_the_users_name() {
    if on_nginx() || !crate::os::is_root() {
        return;
    }
    let site = "server { listen 127.0.0.1:1; root site; auth_basic a; auth_basic_user_file users; }";
    let setup = with(site)
        .file(
            "users",
            "a:$6$abcdefgh$cbHueVS/UT4Gg0.EnfnwJ27Lzzwf8rUdxRQSZm8iRDJv4TEZFHzD38nDTa.yVwJzbBrkaywt7RtORH2j7O12k1\n",
        )
        .unprivileged();
    let mode = |mode| std::fs::set_permissions(setup.dir().join("users"), std::fs::Permissions::from_mode(mode));
    mode(0o600).expect("chmod");
    let text = said(&run(&setup, &["-t", "x.conf"]));
    assert!(text.contains("nobody cannot read the passwords in \"") && text.contains("users\" && chmod g+r"), "{text}");
    mode(0o644).expect("chmod");
    let text = said(&run(&setup, &["-t", "x.conf"]));
    assert!(!text.contains("[warn]"), "{text}");
    let closed = with("pid locked/a.pid;\nserver { listen 127.0.0.1:1; root site; }").mkdir("locked").unprivileged();
    std::fs::set_permissions(closed.dir().join("locked"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    std::os::unix::fs::chown(closed.dir().join("locked"), Some(0), Some(0)).expect("chown");
    let text = said(&as_nobody(&closed, &["-t", "x.conf"]));
    assert!(
        text.contains("a.pid\" failed (13:") && text.contains("x.conf:1:5") && text.contains("nobody may not"),
        "{text}"
    );
    // The log of a service stays its own.
    let log = closed.dir().join("locked/a.pid");
    std::fs::write(&log, "").expect("written");
    for (owner, cure) in [(1, "a.pid\" belongs to daemon: start, or test, as daemon or root"), (65534, "chmod u+w \"")]
    {
        std::os::unix::fs::chown(&log, Some(owner), Some(owner)).expect("chown");
        std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o400)).expect("chmod");
        let text = said(&as_nobody(&closed, &["-t", "x.conf"]));
        assert!(text.contains(cure) && !text.contains("chown"), "{text}");
    }
    std::fs::set_permissions(closed.dir().join("x.conf"), std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let text = said(&as_nobody(&closed, &["-t", "x.conf"]));
    assert!(text.contains("open() \"x.conf\" failed (13:") && text.contains("nobody may not read it"), "{text}");
    std::fs::set_permissions(closed.dir().join("locked"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    let text = said(&as_nobody(&closed, &["locked/x.conf"]));
    assert!(text.contains("open() \"locked/x.conf\" failed (13: ") && text.contains("chmod o+x"), "{text}");
}

/// As [`run`], by an ordinary user.
fn as_nobody(setup: &Setup, args: &[&str]) -> Output {
    let mut command = Command::new(setup.startable(Path::new(env!("CARGO_BIN_EXE_webserv"))));
    command.args(args).current_dir(setup.dir()).env_remove("NGINX").env("NO_COLOR", "1").stdin(Stdio::null());
    if crate::os::is_root() {
        command.uid(65534).gid(65534);
    }
    command.output().expect("the binary runs")
}

#[test]
fn a_server_without_a_pid_file_is_found_by_its_port() {
    if on_nginx() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let setup = with(&format!("server {{ listen 127.0.0.1:{port}; root site; }}\n"));
    let other = format!("process {} (", std::process::id());
    let expected = ["writes no pid file", "pid PATH;", &other, "is another program"];
    fails_with(&setup, &["reload", "x.conf"], &expected);

    let mut server = Command::new(env!("CARGO_BIN_EXE_webserv"));
    server.arg("x.conf").current_dir(setup.dir()).env("NGINX", format!("{};", listener.as_raw_fd()));
    server.stdin(Stdio::null()).stderr(Stdio::null());
    crate::os::inherit(&mut server, vec![listener.as_raw_fd()]);
    let mut server = server.spawn().expect("the binary starts");
    drop(listener);
    crate::harness::eventually("the server is the only one that has the port", || {
        said(&run(&setup, &["reload", "x.conf"])).contains(": kill -HUP ")
    });
    fails_with(&setup, &["x.conf"], &["(webserv) has the port", "have `reuseport` in its `listen`, each of them"]);
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn a_signal_without_a_server_says_that_none_runs() {
    if on_nginx() {
        return;
    }
    let setup = with("pid p.pid;\nserver { listen 127.0.0.1:1; root site; }");
    fails_with(&setup, &["reload", "x.conf"], &["p.pid\" failed (2:", "no server runs by this configuration"]);
}

#[test]
fn a_signal_to_the_server_of_another_user_names_who_may_send_it() {
    if on_nginx() || !crate::os::is_root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let config = format!("pid p.pid;\nserver {{ listen 127.0.0.1:{port}; root site; }}\n");
    let setup = with(&config).unprivileged();
    let mut server = Command::new(env!("CARGO_BIN_EXE_webserv"));
    server.arg("x.conf").current_dir(setup.dir()).env("NGINX", format!("{};", listener.as_raw_fd()));
    server.stdin(Stdio::null()).stderr(Stdio::null());
    crate::os::inherit(&mut server, vec![listener.as_raw_fd()]);
    let mut server = server.spawn().expect("the binary starts");
    let mut text = String::new();
    crate::harness::eventually("the server has written its pid file", || {
        text = said(&as_nobody(&setup, &["reload", "x.conf"]));
        text.contains("kill(")
    });
    let _ = server.kill();
    let _ = server.wait();
    assert!(text.contains("(1: Operation not permitted)") && text.contains("only root may signal it: sudo"), "{text}");
}

#[test]
fn a_block_whose_name_is_misspelt_is_one_error() {
    if on_nginx() {
        return;
    }
    let text = said(&run(&with("sever { listen 127.0.0.1:1; root site; }"), &["-t", "x.conf"]));
    assert!(text.contains("did you mean \"server\"?") && !text.contains("events"), "{text}");
}

#[test]
fn a_test_leaves_no_log_behind_that_the_server_could_not_write() {
    if on_nginx() {
        return;
    }
    let setup = with("error_log logs/e.log;\nserver { listen 127.0.0.1:1; access_log logs/a.log; root site; }\n");
    std::fs::write(setup.dir().join("logs/e.log"), "a line\n").expect("written");
    let out = run(&setup, &["-t", "x.conf"]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(!setup.dir().join("logs/a.log").exists());
    assert_eq!(std::fs::read_to_string(setup.dir().join("logs/e.log")).expect("it stays"), "a line\n");
}

#[test]
fn an_editor_is_served_over_standard_input() {
    if on_nginx() {
        return;
    }
    let setup = with("server { listen 127.0.0.1:1; }");
    let uri = format!("file://{}", setup.dir().join("x.conf").display());
    let text = "server {\n    listn 80;\n}\n";
    let open = serde_json::json!({"method": "textDocument/didOpen",
        "params": {"textDocument": {"uri": uri, "text": text}}});
    let exit = serde_json::json!({"method": "exit"});
    let input: String =
        [open, exit].iter().map(|m| format!("Content-Length: {}\r\n\r\n{m}", m.to_string().len())).collect();
    std::fs::write(setup.dir().join("input"), input).expect("written");
    let input = std::fs::File::open(setup.dir().join("input")).expect("there");
    let out = Command::new(env!("CARGO_BIN_EXE_webserv")).arg("lsp").stdin(input).output().expect("the binary runs");
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("publishDiagnostics") && text.contains("listen") && text.contains("\"line\":1"), "{text}");
}

#[test]
fn carets_stand_under_the_word_and_users_have_a_nearest() {
    if on_nginx() {
        return;
    }
    let out = run(&with("server { server_name 日本語\tx; lisstn 80; }\n"), &["-t", "x.conf"]);
    let text = said(&out);
    let mark = text.lines().find(|line| line.contains('^')).expect("a caret");
    // Three characters of two columns, then a tab as it stands there.
    assert_eq!(mark, format!("  | {}\t{}^^^^^^", " ".repeat(21 + 6), " ".repeat(3)), "{text}");
    let out = run(&with("user rooot;\nserver { listen 127.0.0.1:1; }\n"), &["-t", "x.conf"]);
    assert!(said(&out).contains("did you mean \"root\"?"), "{}", said(&out));
}
