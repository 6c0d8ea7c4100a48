//! The first things a newcomer types: a directory to serve, a word instead of an option, a mistake.

use crate::client::Client;
use crate::os;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_webserv");

/// A directory below the temporary one; it goes with the value.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let path = std::env::temp_dir().join(format!("webserv-words-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("my $site")).expect("a directory");
        fs::write(path.join("my $site/page.txt"), "here").expect("a file");
        Site(path)
    }

    fn dir(&self) -> PathBuf {
        self.0.join("my $site")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `webserv DIR …` on a socket that listens already.
fn serve(dir: &Path, options: &[&str], state: &Path, typed: &str) -> (Running, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let fd = listener.as_raw_fd();
    let mut command = Command::new(BINARY);
    command.arg(dir).args(["--port", &address.port().to_string()]).args(options);
    command.env("NGINX", format!("{fd};")).env("XDG_STATE_HOME", state).env("STATE_DIRECTORY", state);
    command.stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null());
    os::inherit(&mut command, vec![fd]);
    let mut child = command.spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("the pipe takes a line");
    (Running(child), Client::connect(address))
}

fn run(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).env_remove("NGINX").stdin(Stdio::null()).output().expect("the binary runs")
}

#[test]
fn a_directory_is_served_with_a_listing_and_without_writing() {
    let site = Site::new("plain");
    let (_server, mut client) = serve(&site.dir(), &[], &site.0, "");
    client.get("/page.txt").is(200).body_is("here");
    client.get("/").is(200).contains("page.txt");
    client.request("PUT /new HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx").is(405);
    assert!(!site.dir().join("new").exists());
}

/// A site of the visitor's browser whose name leads here by its second look-up (DNS rebinding).
#[test]
fn a_directory_for_this_machine_is_not_served_by_the_names_of_other_sites() {
    let site = Site::new("rebound");
    let (_server, mut client) = serve(&site.dir(), &["--upload"], &site.0, "");
    for (host, read, stored) in [
        ("localhost", 200, 201),
        ("localhost:8000", 200, 204),
        ("127.0.0.1:8000", 200, 204),
        ("[::1]", 200, 204),
        ("app.localhost", 200, 204),
        ("evil.test", 421, 421),
        ("evil.test:8000", 421, 421),
        ("localhost.evil.test", 421, 421),
        ("127.0.0.1.evil.test", 421, 421),
    ] {
        client.request(format!("GET /page.txt HTTP/1.1\r\nHost: {host}\r\n\r\n")).is(read);
        let own = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        client.request(format!("PUT /new HTTP/1.1\r\n{own}Content-Length: 1\r\n\r\nx")).is(stored);
    }
}

#[test]
fn names_with_a_dot_and_links_that_lead_out_are_served_where_it_is_wanted_only() {
    let site = Site::new("kept-back");
    fs::write(site.dir().join(".secret"), "hush").expect("a file");
    fs::write(site.0.join("outside"), "out").expect("a file");
    for dir in ["sub", ".hid"] {
        fs::create_dir(site.dir().join(dir)).expect("a directory");
    }
    fs::write(site.dir().join(".hid/f"), "hush").expect("a file");
    let link = |to: &Path, name: &str| symlink(to, site.dir().join(name)).expect("a link");
    link(Path::new("../outside"), "out");
    link(&site.0, "up");
    link(Path::new("page.txt"), "in");
    link(&site.dir().join("sub"), "absolute");
    fs::write(site.dir().join("sub/f"), "deep").expect("a file");
    link(Path::new(".hid"), "vis");
    link(Path::new("../.secret"), "sub/seen");
    link(&site.dir().join(".hid/f"), "far");
    let (_server, mut client) = serve(&site.dir(), &["--upload"], &site.0, "");
    for (uri, status) in [
        ("/.secret", 404),
        ("/out", 403),
        ("/up/outside", 403),
        ("/up/", 403),
        ("/up/none", 403),
        ("/in", 200),
        ("/absolute/f", 200),
        ("/absolute/", 200),
        ("/absolute/none", 404),
        ("/vis", 403),
        ("/vis/", 403),
        ("/vis/f", 403),
        ("/vis/none/deep", 403),
        ("/sub/seen", 403),
        ("/far", 403),
        ("/sub/none/deep", 404),
    ] {
        client.get(uri).is(status);
    }
    client
        .request("PUT /.new HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
        .is(403)
        .contains("begin with a dot")
        .contains("Nothing was stored");
    for head in ["PUT /vis/new", "PUT /vis/f", "DELETE /vis/f", "DELETE /vis/"] {
        client.request(format!("{head} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).is(403);
    }
    assert_eq!(fs::read_to_string(site.dir().join(".hid/f")).expect("it stays"), "hush");
    let page = client.get("/sub/");
    assert!(page.is(200).text().contains("<bdi>f") && !page.text().contains("<bdi>seen"), "{}", page.text());
    client.get("/").is(200).contains("<bdi>page.txt").contains("<bdi>absolute");
    let page = client.get("/");
    let shown = page.text();
    for name in ["out", "up", "vis", "far"] {
        assert!(!shown.contains(&format!("<bdi>{name}")), "{name}: {shown}");
    }
    let (_server, mut client) = serve(&site.dir(), &["--hidden", "--follow-links"], &site.0, "");
    for uri in ["/.secret", "/out", "/up/outside", "/vis/f"] {
        client.get(uri).is(200);
    }
}

#[test]
fn uploads_into_a_directory_are_stored_where_they_are_allowed() {
    let site = Site::new("upload");
    let (_server, mut client) = serve(&site.dir(), &["--upload"], &site.0, "");
    client.request("PUT /new.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi").is(201);
    assert_eq!(fs::read_to_string(site.dir().join("new.txt")).expect("the upload"), "hi");
}

#[test]
fn a_password_that_was_asked_for_is_asked_of_visitors() {
    let site = Site::new("auth");
    let (_server, mut client) = serve(&site.dir(), &["--auth", "bob"], &site.0, "secret\n");
    client.get("/page.txt").is(401);
    // bob:secret
    let bob = "GET /page.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Ym9iOnNlY3JldA==\r\n\r\n";
    client.request(bob).is(200);
    // A second one of the same user has a file of its own, and none is had twice.
    let (_other, mut other) = serve(&site.dir(), &["--auth", "ann"], &site.0, "other\n");
    other.request(bob).is(401);
    client.request(bob).is(200);
    let names = fs::read_dir(&site.0).expect("the state").flatten();
    let ports: Vec<String> = names
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_prefix("serve-127.0.0.1-")?.strip_suffix(".htpasswd")?.to_owned())
        })
        .collect();
    assert_eq!(ports.len(), 2);
    for port in ports {
        let mut command = Command::new(BINARY);
        command.arg(site.dir()).args(["--port", &port, "--auth", "eve"]).env("STATE_DIRECTORY", &site.0);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        child.stdin.take().expect("a pipe").write_all(b"eve\n").expect("the pipe takes a line");
        let out = child.wait_with_output().expect("it ends");
        assert!(!out.status.success());
        assert!(String::from_utf8_lossy(&out.stderr).contains("another webserv serves 127.0.0.1"), "{out:?}");
    }
    client.request(bob).is(200);
}

#[test]
fn a_password_that_would_cross_the_network_in_the_clear_is_warned_about() {
    let site = Site::new("auth-clear");
    // An address of another machine (RFC 5737): the start ends there, after the warnings about the options.
    let warning = "passwords for 198.51.100.1:8000 cross the network unencrypted; --tls encrypts them";
    for (options, warns) in [
        (&["--auth", "bob", "--bind", "198.51.100.1"][..], true),
        (&["--auth", "bob", "--bind", "198.51.100.1", "--tls"], false),
        (&["--bind", "198.51.100.1"], false),
    ] {
        let mut command = Command::new(BINARY);
        command.arg(site.dir()).args(options).env("XDG_STATE_HOME", &site.0);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        // Where no password is asked for, nothing reads this.
        let _ = child.stdin.take().expect("a pipe").write_all(b"secret\n");
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&out.stderr).contains(warning), warns, "{options:?} {out:?}");
    }
}

#[test]
fn the_printed_configuration_is_one_that_the_test_accepts() {
    let site = Site::new("print");
    fs::create_dir(site.0.join("plain")).expect("a directory");
    let dir = site.0.join("plain");
    let printed = run(&[&dir.to_string_lossy(), "--upload", "--print-config"]);
    let file = site.0.join("printed.conf");
    fs::write(&file, &printed.stdout).expect("a file");
    let checked = run(&["check", &file.to_string_lossy()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(String::from_utf8_lossy(&printed.stdout).contains("autoindex_upload"));
}

#[test]
fn the_printed_configuration_is_laid_out_and_starts_as_it_is_with_c() {
    let site = Site::new("starts");
    let dir = site.0.join("plain");
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join("page.txt"), "here").expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let printed = run(&[&dir.to_string_lossy(), "--port", &address.port().to_string(), "--print-config"]);
    let file = site.0.join("printed.conf");
    fs::write(&file, &printed.stdout).expect("a file");
    let laid_out = run(&["fmt", "--check", &file.to_string_lossy()]);
    assert!(laid_out.status.success(), "{}", String::from_utf8_lossy(&laid_out.stderr));
    let mut command = Command::new(BINARY);
    // Alone, it would go into the background as nginx does.
    command.arg("-c").arg(&file).args(["-g", "daemon off;"]).env("NGINX", format!("{};", listener.as_raw_fd()));
    command.current_dir(&site.0).stdin(Stdio::null()).stderr(Stdio::null());
    os::inherit(&mut command, vec![listener.as_raw_fd()]);
    let _server = Running(command.spawn().expect("the binary starts"));
    let mut client = Client::connect(address);
    client.get("/page.txt").is(200).body_is("here");
    client.get("/").is(200).contains("page.txt");
}

#[test]
fn a_mistake_points_to_help_and_options_of_a_directory_want_one() {
    let table: [(&[&str], &str); 9] = [
        (&["--prot", "80"], "did you mean --port?"),
        (&["-x"], "webserv: invalid option: \"x\"\nwebserv: see 'webserv --help'"),
        (&["--upload", "/no/such/directory"], "--upload is for serving a directory; \"/no/such/directory\" does not"),
        (
            &["--tls", "--port", "80"],
            "--port is for serving a directory; no directory is named: name one, as in webserv . ",
        ),
        // Other servers of a directory have these.
        (&[".", "--enable-cors"], "webserv DIR --print-config"),
        (&[".", "--allow-archive"], "without an option"),
        (&[".", "-A"], "did you mean --upload?"),
        (&[".", "-a", "user:password@/:rw"], "did you mean --auth USER?"),
        (&["directives", "autoindx"], "did you mean \"autoindex\"?"),
    ];
    for (args, expected) in table {
        let out = run(args);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn a_shared_directory_has_no_warning_about_its_log_that_is_off() {
    let site = Site::new("no-log");
    for command in ["-t", "lint"] {
        let made =
            Command::new(BINARY).arg(command).arg(".").current_dir(site.dir()).output().expect("the binary runs");
        let said = String::from_utf8_lossy(&made.stderr).into_owned() + &String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success() && !said.contains("[warn]") && !said.contains("W139"), "{command}: {said}");
    }
}

/// Interrupted at the question for a password, it left the terminal without echo.
#[test]
fn the_terminal_shows_what_is_typed_after_an_interrupted_question() {
    use std::os::unix::process::ExitStatusExt;
    let site = Site::new("interrupted");
    for signal in [2, 15] {
        let (person, program) = os::terminal();
        let mut command = Command::new(BINARY);
        command.arg(site.dir()).args(["--auth", "alice", "--port", "65000"]).env("XDG_STATE_HOME", &site.0);
        command.stdin(program.try_clone().expect("a copy")).stderr(Stdio::null()).stdout(Stdio::null());
        let mut server = Running(command.spawn().expect("the binary starts"));
        while os::echoes(person.as_raw_fd()) {
            assert!(server.0.try_wait().expect("a child").is_none(), "it asks");
            std::thread::yield_now();
        }
        os::kill(server.0.id(), signal);
        let end = server.0.wait().expect("it ends");
        assert_eq!(end.signal(), Some(signal));
        assert!(os::echoes(program.as_raw_fd()), "after signal {signal}");
    }
}
