//! The README and docs/ keep their promises: every configuration in them is one that the test accepts, and what their
//! consoles show is what happens with the default configuration, in a network of its own.

use crate::harness::{Setup, eventually, on_nginx, skipped};
use crate::os;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_webserv");

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a language, each with the line it begins at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(&str, (usize, String))>);
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(of)) => open = Some((of, (at + 1, String::new()))),
            (Some(_), Some("")) => found.extend(open.take().filter(|(of, _)| *of == language).map(|(_, block)| block)),
            (Some((_, (_, block))), _) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}

#[test]
fn configurations_in_the_documentation_are_valid() {
    if on_nginx() {
        return;
    }
    let mut pages = vec![top().join("README.md")];
    pages.extend(fs::read_dir(top().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path()));
    let key = "0123456789abcdef0123456789abcdef\n";
    let (setup, mut count) = (Setup::full("").mkdir("www/example").file("link.key", key), 0);
    let (made, certificate) = shell(&setup, "webserv cert example.org");
    assert!(made, "{certificate}");
    for (name, text) in [("fastcgi.conf", include_str!("../../conf/fastcgi.conf")), ("users", "ann:{PLAIN}x\n")] {
        fs::write(setup.dir().join(name), text).expect("written");
    }
    for (what, name) in [("certificate", "example.org.crt"), ("key", "example.org.key")] {
        let path = certificate.lines().find_map(|line| line.strip_prefix(what)).expect("its path").trim();
        fs::copy(path, setup.dir().join(name)).expect("a copy");
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|ext| ext == "md")) {
        let text = fs::read_to_string(page).expect("text");
        for (line, block) in blocks(&text, "nginx") {
            // A fragment stands in a server, or its place is the top.
            let is_whole = ["server", "http", "events"].iter().any(|word| block.contains(&format!("{word} {{")));
            let mut block = block.replace("    ...\n", "");
            if block.starts_with("acme_issuer ") {
                block.push_str("server { listen 127.0.0.1:1; }\n");
            } else if !is_whole {
                block = format!("server {{ listen 127.0.0.1:1;\n{block}}}\n");
            }
            fs::write(setup.dir().join("x.conf"), &block).expect("written");
            let (worked, said) = shell(&setup, "webserv -t -q x.conf");
            assert!(worked && !said.contains("[emerg]"), "{}:{line}:\n{block}\n{said}", page.display());
            count += 1;
        }
    }
    // The README's and the handbook's, whose chapters in docs are made of the site's pages.
    assert!(count >= 9, "the blocks were not found: {count}");
}

/// The default configuration, served from a copy of the checkout with the ports it names.
struct Default {
    setup: Setup,
    server: Child,
}

impl Default {
    /// None: no network of its own can be had here.
    fn start() -> Option<Default> {
        let possible = os::is_root()
            && ["unshare", "nsenter", "ip", "curl", "bash"].iter().all(|program| {
                let path = std::env::var("PATH").unwrap_or_default();
                path.split(':').any(|dir| Path::new(dir).join(program).exists())
            });
        if !possible {
            skipped("the README's consoles want root, unshare, nsenter, ip, curl and bash");
            return None;
        }
        let setup = Setup::full("").mkdir("scratch").unprivileged();
        let copied =
            Command::new("cp").arg("-r").args([top().join("conf"), top().join("www")]).arg(setup.dir()).status();
        assert!(copied.is_ok_and(|status| status.success()));
        let owned = Command::new("chown").args(["-R", "65534"]).arg(setup.dir()).status();
        assert!(owned.is_ok_and(|status| status.success()));
        let log = fs::File::create(setup.dir().join("logs/stderr")).expect("a file");
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" conf/default.conf", BINARY]);
        command.current_dir(setup.dir()).env_remove("NGINX").stdin(Stdio::null()).stderr(log);
        // Its authority is this test's, not this machine's.
        command.env("STATE_DIRECTORY", setup.dir().join("state"));
        os::inherit(&mut command, Vec::new());
        let server = command.spawn().expect("unshare runs");
        let server = Default { setup, server };
        eventually("the default site answers", || {
            server.run("curl -s -o /dev/null http://localhost:8080/ && echo up") == "up\n"
        });
        Some(server)
    }

    /// What a command prints beside the server, in the scratch directory.
    fn run(&self, command: &str) -> String {
        let net = format!("--net=/proc/{}/ns/net", self.server.id());
        let mut shell = Command::new("nsenter");
        shell.arg(net).args(["bash", "-c", command]).current_dir(self.setup.dir().join("scratch")).stdin(Stdio::null());
        String::from_utf8_lossy(&shell.output().expect("nsenter runs").stdout).replace('\r', "")
    }
}

impl Drop for Default {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What a package puts below /etc/webserv, in a directory of the test's: logs, caches and the pid file are there, too.
pub fn packaged(setup: &Setup) {
    let copied = Command::new("cp").arg("-r").arg(top().join("packaging/etc")).arg(setup.dir().join("etc")).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let etc = setup.dir().join("etc");
    fs::copy(top().join("conf/mime.types"), etc.join("mime.types")).expect("it is shipped");
    fs::create_dir(etc.join("sites-enabled")).expect("a directory");
    fs::write(etc.join("uploads.htpasswd"), "upload:{PLAIN}w\n").expect("written");
    let dir = setup.dir().display().to_string();
    for (file, from) in [("webserv.conf", "/var"), ("snippets/uploads.conf", "/var/lib/webserv")] {
        let text = fs::read_to_string(etc.join(file)).expect("it is shipped");
        let text = text.replace(from, &dir).replace("/run/webserv", &format!("{dir}/run/webserv"));
        // That user comes with the package.
        let user = if os::is_root() { "user root;" } else { "" };
        let text = text.replace("user webserv;", user);
        fs::write(etc.join(file), text).expect("written");
    }
    for place in ["log/webserv", "cache/webserv", "run/webserv", "files"] {
        fs::create_dir_all(setup.dir().join(place)).expect("a directory");
    }
}

/// A line without the remark that a reader gets.
fn bare(line: &str) -> &str {
    line.find("  #").map_or(line, |at| &line[..at]).trim_end()
}

/// Commands with the lines that are shown to follow.
fn session(block: &str) -> Vec<(String, Vec<String>)> {
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        let text = line.strip_prefix("$ ");
        let text = text.or(goes_on.then_some(line));
        match (text, steps.last_mut()) {
            (Some(text), last) => {
                let text = bare(text);
                let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
                match last.filter(|_| goes_on) {
                    Some((command, _)) => *command += text,
                    None => steps.push((text.to_owned(), Vec::new())),
                }
                goes_on = more;
            }
            (None, Some((_, shown))) if !line.is_empty() => shown.push(bare(line).to_owned()),
            _ => {}
        }
    }
    steps
}

/// Whether what was printed is what is shown: line for line, or with gaps where `…` stands.
fn is_as_shown(printed: &str, shown: &[String]) -> bool {
    let has_gaps = shown.iter().any(|line| line == "…");
    let mut lines = printed.lines().map(str::trim_end);
    match has_gaps {
        true => shown.iter().filter(|line| *line != "…").all(|line| lines.any(|printed| printed == line)),
        false => lines.filter(|line| !line.is_empty()).eq(shown.iter().map(String::as_str)),
    }
}

#[test]
fn the_readmes_consoles_show_what_happens() {
    if on_nginx() {
        return;
    }
    let text = fs::read_to_string(top().join("README.md")).expect("the README");
    let consoles = blocks(&text, "console");
    let Some(server) = Default::start() else { return };
    let (line, first) = consoles.iter().find(|(_, block)| block.contains("notes.txt")).expect("the first round");
    let mut ran = 0;
    for (command, shown) in session(first) {
        let printed = server.run(&command);
        assert!(is_as_shown(&printed, &shown), "README.md:{line}: $ {command}\nshown: {shown:#?}\nprinted:\n{printed}");
        ran += 1;
    }
    assert!(ran > 6, "the commands were not found");

    // An upload whose line breaks: the example, cut by the clock.
    let (_, second) = consoles.iter().find(|(_, block)| block.contains("big.iso")).expect("the upload that goes on");
    let steps = session(second);
    let [(begin, shown), (_, _), (look, looked), (go_on, _)] = &steps[..] else {
        panic!("README: the example has other steps than this test: {steps:#?}");
    };
    server.run("head -c 3000000 /dev/urandom > big.iso");
    let printed = server.run(&format!("{begin} -s --limit-rate 1m --max-time 1"));
    assert!(printed.contains(&shown[0]), "$ {begin}\n{printed}");
    let url = printed.lines().find_map(|line| line.strip_prefix("Location: ")).expect("where it goes on");
    let look_at = look.replace("$URL", url);
    let printed = server.run(&format!("{look_at} -s"));
    assert!(printed.contains(&looked[0]), "$ {look_at}\n{printed}");
    let offset: u64 = printed.lines().find_map(|l| l.strip_prefix("Upload-Offset: ")?.parse().ok()).expect("an offset");
    assert!(offset > 0 && offset < 3_000_000, "the line was cut: {offset}");
    let shown_offset = looked.iter().find_map(|line| line.strip_prefix("Upload-Offset: ")).expect("an offset is shown");
    let next = shown_offset.parse::<u64>().expect("a number") + 1;
    let command = go_on.replace("$URL", url).replace(&next.to_string(), &(offset + 1).to_string());
    let command = command.replace(shown_offset, &offset.to_string());
    let compared = "cmp big.iso <(curl -s http://localhost:8080/files/big.iso) && echo whole";
    let printed = server.run(&format!("{command} -s && {compared}"));
    assert!(printed.ends_with("whole\n"), "$ {command}\n{printed}");
}

/// A checkout's configuration and sites, a directory to serve, and a key for links.
fn checkout() -> Setup {
    let setup = Setup::full("").mkdir("Downloads").file("link.key", "0123456789abcdef0123456789abcdef\n");
    let copied = Command::new("cp").arg("-r").args([top().join("conf"), top().join("www")]).arg(setup.dir()).status();
    assert!(copied.is_ok_and(|status| status.success()));
    setup
}

/// A shell command with the binary of this build as `webserv`.
fn shell(setup: &Setup, command: &str) -> (bool, String) {
    let mut shell = Command::new("sh");
    let command = command.strip_prefix("webserv ").map_or(command.to_owned(), |rest| format!("\"$0\" {rest}"));
    shell.args(["-c", &command, BINARY]).current_dir(setup.dir()).env_remove("NGINX").stdin(Stdio::null());
    shell.env("HOME", setup.dir()).env("XDG_STATE_HOME", setup.dir()).env("STATE_DIRECTORY", setup.dir().join("state"));
    let out = shell.output().expect("a shell");
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// What is run of a line of the README that begins with `webserv`, in a checkout's copy; None: it wants a server that
/// runs, an editor or a file.
fn runnable(line: &str) -> Option<String> {
    let command = line.split("  ").next().filter(|command| command.starts_with("webserv "))?;
    let serves = command.contains("~/");
    let wants_more = ["-s ", "status", "lsp", "LOG", "URL"].iter().any(|word| command.contains(word));
    if wants_more || command == "webserv [CONFIG]" {
        return None;
    }
    let mut command = command.replace("CONFIG", "conf/default.conf").replace("FILE", "conf/default.conf");
    command = command.replace("/etc/nginx/nginx.conf", "conf/examples/static.conf").replace("/etc/webserv", "etc");
    if serves && !command.contains("--print-config") {
        command.push_str(" --print-config");
    }
    Some(command)
}

#[test]
fn the_commands_that_the_readme_lists_are_understood() {
    if on_nginx() {
        return;
    }
    let text = fs::read_to_string(top().join("README.md")).expect("the README");
    let setup = checkout();
    packaged(&setup);
    let mut ran = 0;
    // What ends by itself, and what is served by a directory's options.
    let blocks = [blocks(&text, "sh"), blocks(&text, "")].concat();
    for line in blocks.iter().flat_map(|(_, block)| block.lines()).filter(|line| line.starts_with("webserv ")) {
        let Some(command) = runnable(line) else { continue };
        let (worked, said) = shell(&setup, &command);
        assert!(worked, "README.md: {line}\n$ {command}\n{said}");
        ran += 1;
    }
    assert!(ran >= 9, "the commands were not found: {ran}");
}

#[test]
fn the_readmes_https_site_is_one_line_beside_what_the_package_brings() {
    if on_nginx() {
        return;
    }
    let text = fs::read_to_string(top().join("README.md")).expect("the README");
    let line = text.lines().find_map(|line| line.strip_prefix("echo '")?.split_once('\'')).expect("the line").0;
    let setup = Setup::full("");
    packaged(&setup);
    fs::write(setup.dir().join("etc/sites-enabled/files"), format!("{line}\n")).expect("written");
    let (worked, said) = shell(&setup, "webserv -t -p etc -c webserv.conf");
    assert!(worked && !said.contains("[warn]"), "{said}");
    let (_, said) = shell(&setup, "webserv explain -p etc -c webserv.conf 'PATCH https://files.example.org/a'");
    assert!(said.contains("401"), "{said}");
}

/// Where each command of the documents is tried that is not run here: a file, and what stands there.
const TRIED: [(&str, &str, &str); 14] = [
    ("cargo run --release -- conf/default.conf", "tests/suite/default_site.rs", "conf/default.conf"),
    ("cargo test", ".ci/run", "cargo test"),
    (".ci/run", ".github/workflows/ci.yml", ".ci/run"),
    ("cargo install cargo-deb && cargo deb --profile dist", "packaging/test-deb", "cargo deb --profile dist"),
    (
        "rustup target add x86_64-unknown-linux-musl",
        ".github/workflows/ci.yml",
        "rustup target add x86_64-unknown-linux-musl",
    ),
    (
        "cargo build --profile dist --target x86_64-unknown-linux-musl",
        ".github/workflows/ci.yml",
        "cargo build --profile dist --locked --target x86_64-unknown-linux-musl",
    ),
    ("sudo apt install ./", "packaging/test-deb", "dpkg -i"),
    ("sudoedit /etc/webserv/sites-available/default", "packaging/test-deb", "/etc/webserv/sites-available/default"),
    ("echo 'server { server_name files.example.org;", "tests/suite/readme.rs", "fn the_readmes_https_site_is_one_line"),
    (
        "sudo webserv -t -c /etc/webserv/webserv.conf",
        "packaging/test-systemd",
        "webserv -t -c /etc/webserv/webserv.conf",
    ),
    ("sudo tee /etc/webserv/sites-enabled/files", "packaging/test-deb", "/etc/webserv/sites-enabled/files"),
    (
        "webserv -c /etc/webserv/webserv.conf -p /etc/webserv -g 'pid /run/webserv/0.pid;' -s drain",
        "tests/suite/fleet.rs",
        "\"drain\"",
    ),
    ("sudo -E env \"PATH=$PATH\" packaging/test-deb", ".github/workflows/ci.yml", "packaging/test-deb"),
    ("cargo build --profile dist", "packaging/test-deb", "cargo build --profile dist"),
];

/// Those of minutes, as far as they can be run here: what says that they are understood.
const LOOKED_AT: [(&str, &str); 4] = [
    ("make bench", "make -n bench"),
    ("tests/bench/loading", "tests/bench/loading --help"),
    ("tests/bench/curves", "tests/bench/curves --help"),
    ("tests/bench/stalls", "tests/bench/stalls --help"),
];

/// Those that nothing runs, and why.
const UNTRIED: [(&str, &str); 1] =
    [("cargo install --path .", "a build of minutes into the home directory; of the same package as all other builds")];

/// A file of the checkout, without the table that names what to look for there.
fn without_the_table(file: &str) -> String {
    let text = fs::read_to_string(top().join(file)).unwrap_or_default();
    match text.split_once("\nconst TRIED: ").filter(|_| file == "tests/suite/readme.rs") {
        Some((before, rest)) => before.to_owned() + rest.split_once("\n];\n").expect("the table ends").1,
        None => text,
    }
}

#[test]
fn commands_of_minutes_are_at_least_understood() {
    if on_nginx() {
        return;
    }
    for (command, look) in LOOKED_AT {
        let words: Vec<&str> = look.split(' ').collect();
        let program = if words[0] == "make" { "make" } else { "python3" };
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            skipped(&format!("`{command}` wants {program}"));
            continue;
        }
        let out =
            Command::new("sh").args(["-c", look]).current_dir(top()).stdin(Stdio::null()).output().expect("a shell");
        assert!(out.status.success(), "{look}: {}", String::from_utf8_lossy(&[out.stdout, out.stderr].concat()));
    }
}

#[test]
fn each_command_of_the_documents_is_tried_somewhere() {
    if on_nginx() {
        return;
    }
    let (mut unknown, mut count) = (Vec::new(), 0);
    for page in ["README.md", "docs/fleet.md", "docs/performance.md", "CONTRIBUTING.md", "packaging/README.md"] {
        let text = fs::read_to_string(top().join(page)).expect("text");
        let commands = blocks(&text, "sh").into_iter().flat_map(|(_, block)| {
            block
                .lines()
                .map(|line| bare(line.trim_start()).to_owned())
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
        });
        for command in commands {
            count += 1;
            let plain = command.strip_prefix("sudo ").unwrap_or(&command);
            if let Some(rest) = plain.strip_prefix("systemctl ").or_else(|| plain.strip_prefix("journalctl -u ")) {
                // The unit is one that the packages ship.
                for unit in rest.split(' ').filter(|word| word.starts_with("webserv")) {
                    let unit = unit.split('@').next().map_or_else(String::new, |name| {
                        if unit.contains('@') { format!("{name}@.service") } else { format!("{name}.service") }
                    });
                    assert!(top().join("packaging/systemd").join(&unit).exists(), "{page}: {command}");
                }
                continue;
            }
            let is_listed = LOOKED_AT.iter().chain(&UNTRIED).any(|(known, _)| command.starts_with(known));
            // The README's own are run, all but what is in no table here.
            if is_listed || page == "README.md" && runnable(&command).is_some() {
                continue;
            }
            match TRIED.iter().find(|(known, ..)| command.starts_with(known)) {
                Some((_, file, what)) => {
                    assert!(without_the_table(file).contains(what), "{page}: {command}: {file} has no {what}");
                }
                None => unknown.push(format!("{page}: {command}")),
            }
        }
    }
    assert!(unknown.is_empty(), "nothing tries these:\n{}", unknown.join("\n"));
    assert!(count > 20, "the commands were not found: {count}");
}

#[test]
fn the_readmes_signed_link_is_what_the_command_and_a_backend_make() {
    if on_nginx() {
        return;
    }
    let text = fs::read_to_string(top().join("README.md")).expect("the README");
    let setup = checkout();
    let consoles = blocks(&text, "console");
    let (_, block) = consoles.iter().find(|(_, block)| block.contains("webserv sign")).expect("the console");
    let [(command, shown)] = &session(block)[..] else { panic!("one command: {block}") };
    let (worked, printed) = shell(&setup, command);
    let mut rest = printed.trim_end();
    let parts: Vec<&str> = shown[0].split('…').collect();
    for part in &parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("shown: {}\nprinted: {printed}", shown[0]));
        rest = &rest[at + part.len()..];
    }
    assert!(worked && printed.starts_with(parts[0]), "{printed}");

    let (_, python) = &blocks(&text, "python")[0];
    let now = "int(time.time()) + 7200";
    assert!(python.contains(now), "{python}");
    let script = format!("{}print(url)\n", python.replace(now, "4102444800"));
    fs::write(setup.dir().join("link.py"), script).expect("written");
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        skipped("python3");
        return;
    }
    let (worked, made) = shell(&setup, "python3 link.py");
    assert!(worked, "{made}");
    let signed = shell(&setup, &command.replace("--expires 2h", "--expires 4102444800")).1;
    assert_eq!(made, signed);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    if on_nginx() {
        return;
    }
    const CHAPTERS: [&str; 7] = [
        "docs/first-steps.md",
        "docs/uploads.md",
        "docs/sites.md",
        "docs/applications.md",
        "docs/https.md",
        "docs/service.md",
        "docs/details.md",
    ];
    let pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/fleet.md", "docs/performance.md"];
    for page in pages.into_iter().chain(CHAPTERS) {
        let text = fs::read_to_string(top().join(page)).expect("text");
        let dir = top().join(page).parent().expect("a directory").to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(dir.join(file).exists(), "{page}: {link}");
        }
        // Files of the checkout that a text names.
        for word in text.split('`').skip(1).step_by(2) {
            let is_ours = ["conf/", "contrib/", "packaging/", "docs/", "tests/", "src/", "www/", "grammar/"]
                .iter()
                .any(|dir| word.starts_with(dir) && word.len() > dir.len());
            let is_path = !word.contains([' ', '*', '<', '$']);
            assert!(!is_ours || !is_path || top().join(word).exists(), "{page}: `{word}`");
        }
    }
}
