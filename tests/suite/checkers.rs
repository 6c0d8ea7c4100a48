//! What looks at a configuration leaves the machine as it was: every command but the one that serves, with a
//! configuration for which serving makes files.

use crate::harness::{Setup, on_nginx, skipped};
use crate::os;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SITE: &str = "
acme_issuer local { uri https://localhost:1/dir; accept_terms_of_service; }
server { listen 127.0.0.1:1 ssl; server_name acme.test; acme_certificate local; return 404; }
server {
    listen 127.0.0.1:1 ssl;
    listen 127.0.0.1:2;
    server_name localhost a.test;
    ssl_certificate auto;
    access_log logs/site.log;
    error_log logs/errors.log;
    root site;
    location /files/ { upload_store site/files; dav_methods PUT DELETE; allow 127.0.0.1; deny all; }
}
";

fn setup() -> Setup {
    let nginx = format!("events {{ }}\nhttp {{ {SITE} }}\n");
    let other = SITE.replace("a.test", "b.test");
    let log = "127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 2 \"-\" \"-\"\n";
    let setup = Setup::full("").file("own.conf", SITE).file("other.conf", other).file("nginx.conf", nginx);
    setup.file("site/index.html", "hi").file("access.log", log).mkdir("site/files").mkdir("home").mkdir("tmp")
}

/// Runs `webserv ARGS` to its end, with all that it could write in the directory of the setup.
fn run(setup: &Setup, args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(crate::harness::binary());
    command.args(args).current_dir(setup.dir()).env_remove("NGINX").env("NO_COLOR", "1");
    command.env("STATE_DIRECTORY", setup.dir().join("state")).env("HOME", setup.dir().join("home"));
    command.env("TMPDIR", setup.dir().join("tmp")).env_remove("XDG_STATE_HOME");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // Most do not read it.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends")
}

/// What a command wrote, errors first.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stderr[..], &out.stdout[..]].concat()).into_owned()
}

/// Every file and directory below, with its content.
fn below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(below(&path));
            all.insert(path, Vec::new());
        } else {
            let content = fs::read(&path).expect("a file");
            all.insert(path, content);
        }
    }
    all
}

/// The messages of an editor that opens a file and leaves.
fn editor(setup: &Setup) -> Vec<u8> {
    let uri = format!("file://{}", setup.dir().join("own.conf").display());
    let text = SITE.replace('\n', "\\n");
    let open = format!("{{\"textDocument\":{{\"uri\":\"{uri}\",\"text\":\"{text}\"}}}}");
    let messages = [
        "{\"id\":1,\"method\":\"initialize\",\"params\":{}}".to_owned(),
        format!("{{\"method\":\"textDocument/didOpen\",\"params\":{open}}}"),
        "{\"method\":\"exit\"}".to_owned(),
    ];
    messages.iter().flat_map(|m| format!("Content-Length: {}\r\n\r\n{m}", m.len()).into_bytes()).collect()
}

#[test]
fn commands_that_look_at_a_configuration_write_nothing() {
    if on_nginx() {
        return;
    }
    let setup = setup();
    // Each, what it says where it has read the configuration, and whether it is content.
    let table: [(&[&str], &str, bool); 14] = [
        (&["lint", "own.conf"], "", true),
        (&["-t", "own.conf"], "test is successful", true),
        (&["-t", "-p", ".", "-c", "nginx.conf"], "test is successful", true),
        (&["-T", "own.conf"], "ssl_certificate auto", true),
        (&["explain", "own.conf"], "a.test", true),
        (&["explain", "own.conf", "GET", "https://a.test:1/"], "index.html", true),
        (&["explain", "own.conf", "PUT", "http://a.test:2/files/new"], "/files/", true),
        (&["explain", "own.conf", "--log", "access.log", "GET / HTTP/1.1"], "index.html", true),
        (&["check-nginx", "nginx.conf"], "verdict", true),
        (&["diff", "own.conf", "other.conf"], "b.test", true),
        (&["diff", "own.conf", "other.conf", "--log", "access.log"], "of 1 recorded", true),
        (&["lsp"], "\"diagnostics\":[", true),
        (&["--status", "own.conf"], "api", false),
        (&["-s", "reload", "own.conf"], "pid", false),
    ];
    let input = editor(&setup);
    let before = below(setup.dir());
    let untouched = |args: &[&str]| {
        let after = below(setup.dir());
        let changed = after.iter().filter(|(path, content)| before.get(*path) != Some(content)).map(|(path, _)| path);
        let gone = before.keys().filter(|path| !after.contains_key(*path));
        let changed: Vec<&PathBuf> = changed.chain(gone).collect();
        assert!(changed.is_empty(), "{args:?} changed {changed:?}");
    };
    for (args, says, is_content) in table {
        let out = run(&setup, args, &input);
        let text = said(&out);
        assert_eq!(out.status.success(), is_content, "{args:?}: {text}");
        assert!(text.contains(says) && !text.contains("only in memory"), "{args:?}: {text}");
        untouched(args);
    }
    // It is another matter for the command that is there to make them.
    assert!(run(&setup, &["cert", "a.test"], b"").status.success());
    assert!(setup.dir().join("state/local-ca/ca.key").exists());
    let _ = fs::remove_dir_all(setup.dir());
}

#[test]
fn a_check_says_that_a_certificate_of_this_machine_could_not_be_kept() {
    if on_nginx() {
        return;
    }
    let setup = setup().file("state", "a file, where a directory would be wanted");
    for args in [&["-t", "own.conf"][..], &["lint", "own.conf"], &["-t", "-p", ".", "-c", "nginx.conf"]] {
        let text = said(&run(&setup, args, b""));
        let expected = ["only in memory", "state/local-ca/lock\" cannot be written (20: Not a directory)"];
        assert!(expected.iter().all(|part| text.contains(part)), "{args:?}: {text}");
    }
    let _ = fs::remove_dir_all(setup.dir());
}

#[test]
fn a_test_by_root_takes_no_directory_from_a_service_of_another_user() {
    if on_nginx() {
        return;
    }
    if !os::is_root() {
        skipped("root");
        return;
    }
    // systemd starts the service as its user: the configuration names none.
    let config = "events { }\nhttp { client_body_temp_path tmp/body; server { listen 127.0.0.1:1; root site; } }\n";
    let setup = Setup::full("").file("service.conf", config).mkdir("tmp/body").mkdir("site").mkdir("logs");
    let body = setup.dir().join("tmp/body");
    std::os::unix::fs::chown(&body, Some(12_345), None).expect("chown");
    let out = run(&setup, &["-t", "-p", ".", "-c", "service.conf"], b"");
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(fs::metadata(&body).expect("it stays").uid(), 12_345);
    let _ = fs::remove_dir_all(setup.dir());
}
