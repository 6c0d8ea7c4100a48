//! What packages ship is tried where it can be without building one: units, the container's command, the configurations
//! for balancers. packaging/test-deb does the Debian package.

use crate::harness::{Setup, eventually, on_nginx, skipped};
use crate::os;
use crate::process::text as said;
use crate::readme::packaged;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(shipped(path)).expect("it is shipped")
}

/// None where there is no such program: reported, and skipped.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).stdin(Stdio::null()).output() {
        Ok(out) => Some(out),
        Err(_) => {
            skipped(program);
            None
        }
    }
}

#[test]
fn the_units_are_what_systemd_understands() {
    if on_nginx() {
        return;
    }
    let setup = Setup::full("");
    for unit in ["webserv.service", "webserv@.service", "webserv.socket"] {
        let text = read(&format!("packaging/systemd/{unit}"));
        let text = text.replace("/usr/sbin/webserv", env!("CARGO_BIN_EXE_webserv"));
        // The pages are not installed here.
        let text: String =
            text.lines().filter(|line| !line.starts_with("Documentation=")).map(|l| format!("{l}\n")).collect();
        fs::write(setup.dir().join(unit), text).expect("written");
    }
    for unit in ["webserv.service", "webserv@0.service", "webserv.socket"] {
        let path = setup.dir().join(unit);
        let Some(out) = run("systemd-analyze", &["verify", &path.to_string_lossy()]) else { return };
        assert!(out.status.success() && said(&out).trim().is_empty(), "{unit}: {}", said(&out));
    }
}

#[test]
fn shells_and_man_read_what_is_generated_for_them() {
    if on_nginx() {
        return;
    }
    for (shell, file) in [("bash", "webserv.bash"), ("zsh", "_webserv"), ("fish", "webserv.fish")] {
        let path = shipped("packaging/completions").join(file);
        let Some(out) = run(shell, &["-n", &path.to_string_lossy()]) else { continue };
        assert!(out.status.success() && said(&out).is_empty(), "{shell}: {}", said(&out));
        let text = fs::read_to_string(&path).expect("it is shipped");
        assert!(["reload", "check", "directives"].iter().all(|word| text.contains(word)), "{file}");
    }
    // What is offered for the beginning of a word, and what is not.
    let files = shipped("packaging/completions");
    let table = [
        ("webserv rel", "reload", "directives"),
        ("webserv lint --", "--explain", "--upload"),
        ("webserv lint --explain W00", "W001", "W101"),
        ("webserv packaging --up", "--upload", "--port"),
        ("webserv directives autoindex_u", "autoindex_upload", "autoindex_search"),
        ("webserv fmt packaging/rp", "packaging/rpm", "--check"),
        ("webserv check --fo", "--format", "--upload"),
        ("webserv status --a", "--all", "--auth"),
        ("webserv serve --up", "--upload", "--status"),
    ];
    for (line, offered, other) in table {
        let bash = format!(
            "source {}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _webserv webserv \"${{COMP_WORDS[-1]}}\" \
             \"${{COMP_WORDS[-2]}}\" 2>/dev/null; echo \"${{COMPREPLY[*]}}\"",
            files.join("webserv.bash").display()
        );
        let fish = format!("source {}; complete -C'{line}'", files.join("webserv.fish").display());
        for (shell, script) in [("bash", ["-c", &bash]), ("fish", ["-c", &fish])] {
            let mut command = Command::new(shell);
            command.args(script).current_dir(shipped("")).env("HOME", "/nonexistent").stdin(Stdio::null());
            let Ok(out) = command.output() else { continue };
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(text.contains(offered) && !text.contains(other), "{shell}: {line}: {}", said(&out));
        }
    }
    for page in ["webserv.8", "webserv.conf.5"] {
        let path = shipped("packaging/man").join(page);
        let Some(out) = run("mandoc", &["-Tlint", "-Werror", &path.to_string_lossy()]) else { return };
        assert!(out.status.success(), "{page}: {}", said(&out));
    }
}

#[test]
fn the_packages_descriptions_are_well_formed() {
    if on_nginx() {
        return;
    }
    for script in ["preinst", "postinst", "postrm", "prerm"] {
        let path = shipped("packaging/debian").join(script);
        let out = run("sh", &["-n", &path.to_string_lossy()]).expect("a shell");
        assert!(out.status.success(), "{}", said(&out));
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("packaging/rpm/webserv.spec").contains(&format!("Version:        {version}\n")));
}

/// A purge removes the first page where it is as it was shipped, which it knows by its sum.
#[test]
fn a_purge_knows_the_first_page_that_is_shipped() {
    if on_nginx() {
        return;
    }
    let path = shipped("packaging/etc/index.webserv.html");
    let Some(out) = run("sha256sum", &[&path.to_string_lossy()]) else { return };
    let sum = said(&out).split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(sum.len(), 64);
    assert!(
        read("packaging/debian/postrm").contains(&sum),
        "packaging/debian/postrm wants the sum {sum} beside the older ones"
    );
}

#[test]
fn the_balancers_take_what_contrib_has_for_them() {
    if on_nginx() {
        return;
    }
    if let Some(out) = run("haproxy", &["-c", "-f", &shipped("contrib/haproxy.cfg").to_string_lossy()]) {
        assert!(out.status.success(), "{}", said(&out));
    }
    // On a port that needs no right and that nothing has.
    let setup = Setup::full("");
    let config = read("contrib/nginx-front.conf").replace("listen 8080", "listen 127.0.0.1:18222");
    fs::write(setup.dir().join("front.conf"), format!("pid {}/front.pid;\n{config}", setup.dir().display()))
        .expect("written");
    let path = setup.dir().join("front.conf");
    if let Some(out) = run("nginx", &["-t", "-e", "/dev/null", "-c", &path.to_string_lossy()]) {
        assert!(out.status.success(), "{}", said(&out));
    }
}

#[test]
fn the_manifests_are_of_their_schema_and_their_probes_are_answered() {
    if on_nginx() {
        return;
    }
    let file = shipped("packaging/kubernetes/webserv.yaml");
    // Either has the schemas of Kubernetes with it, or gets them.
    let script = "import sys, yaml, kubernetes_validate as k\n\
                  for d in yaml.safe_load_all(open(sys.argv[1])): k.validate(d, '1.31', strict=True)";
    let path = file.to_string_lossy();
    let python = |script: &str| {
        let modules = shipped("target/clients/python");
        Command::new("python3")
            .args(["-c", script, &path])
            .env("PYTHONPATH", modules)
            .stdin(Stdio::null())
            .output()
            .ok()
    };
    let out = match python("import yaml, kubernetes_validate").is_some_and(|out| out.status.success()) {
        true => python(script),
        false => run("kubeconform", &["-strict", "-summary", &path]),
    };
    if let Some(out) = out {
        assert!(out.status.success(), "{}", said(&out));
    }
    let text = read("packaging/kubernetes/webserv.yaml");
    let block =
        text.split("webserv.conf: |\n").nth(1).and_then(|rest| rest.split("---\n").next()).expect("a ConfigMap");
    let config: String = block.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    let port = text.split("containerPort: ").nth(1).and_then(|rest| rest.lines().next()).expect("a port");
    let config = config.replace(&format!("listen {port};"), "listen 127.0.0.1:%%PORT%%;");
    let config = config.replace(&format!("listen [::]:{port};"), "");
    assert!(config.contains("%%PORT%%"), "the container's port is the one that is listened on");
    let config = config.replace("/dev/stderr", "logs/error.log").replace("/dev/stdout", "logs/access.log");
    let config = config.replace("/tmp/", "%%DIR%%/");
    let user = if os::is_root() { "user root;\ndaemon off;\n" } else { "daemon off;\n" };
    let mime = fs::read_to_string(shipped("conf/mime.types")).expect("it is shipped");
    let server = Setup::full(&format!("{user}{config}")).file("conf/mime.types", mime).start();
    for probe in text
        .split("path: /")
        .skip(1)
        .map(|rest| rest.lines().next().unwrap_or_default())
        .filter(|path| path.ends_with('z'))
    {
        server.get(&format!("/{probe}")).is(200);
    }
}

/// The table of the handbook, against the configuration that the package installs, started as the unit does.
#[test]
fn the_commands_of_the_handbooks_service_page_find_the_packages_server() {
    if on_nginx() {
        return;
    }
    let setup = Setup::full("").mkdir("html");
    packaged(&setup);
    let dir = setup.dir();
    let at = dir.display().to_string();
    let address = os::reserve().expect("a free port").1;
    let site = read("packaging/etc/sites-available/default").replace("/var/www/html", &format!("{at}/html"));
    let site = site.replace("listen [::]:80 default_server;", "").replace("/run/webserv", &format!("{at}/run/webserv"));
    let site = site.replace("listen 80", &format!("listen {address}"));
    fs::write(dir.join("etc/sites-enabled/default"), site).expect("written");
    let unit = read("packaging/systemd/webserv.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/sbin/webserv ")).expect("ExecStart");
    let script = format!("exec \"$0\" {start}").replace("/etc/webserv", &format!("{at}/etc"));
    let script = script.replace("/run/webserv", &format!("{at}/run/webserv"));
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_webserv")]).env_remove("NGINX").current_dir(dir.join("html"));
    os::inherit(&mut command, Vec::new());
    let mut server = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let _leftover = Ended(dir.join("run/webserv/webserv.pid"));
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
    let page = read("www/handbook/service.html");
    let written = page.split("<code>sudo webserv ").skip(1).filter_map(|rest| rest.split("</code>").next());
    let mut commands: Vec<&str> = written.filter(|line| line.contains("-c /etc/webserv/webserv.conf")).collect();
    // The one that ends it comes last.
    commands.sort_by_key(|line| line.contains("drain"));
    assert!(commands.len() >= 5, "{commands:?}");
    for line in commands {
        let line = line.replace("/etc/webserv", &format!("{at}/etc"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_webserv"));
        command.args(line.split(' ')).env_remove("NGINX").current_dir(dir.join("html"));
        let out = command.stdin(Stdio::null()).output().expect("it runs");
        assert!(out.status.success(), "webserv {line}: {}", said(&out));
    }
    server.wait().expect("it has ended");
}

/// Ends the process of a pid file with the value, where a test failed.
struct Ended(PathBuf);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(pid) = fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok()) {
            os::kill(pid, libc::SIGKILL);
        }
    }
}

#[test]
fn the_rpm_spec_is_one() {
    if on_nginx() {
        return;
    }
    if let Some(out) = run("rpmspec", &["--parse", &shipped("packaging/rpm/webserv.spec").to_string_lossy()]) {
        assert!(out.status.success(), "{}", said(&out));
    }
}

/// The lines of the container file that begin with a word, without it.
fn instructions<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect()
}

/// `["a", "b"]`
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).expect("a JSON array")
}

/// The directory that the container file makes, with what the binary of this build is linked to.
fn image(setup: &Setup, file: &str) -> PathBuf {
    let root = setup.dir().join("image");
    let copy = |from: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").unwrap_or(to));
        fs::create_dir_all(to.parent().expect("below the root")).expect("a directory");
        fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    };
    for line in instructions(file, "COPY") {
        if let [from, to] = line.split(' ').collect::<Vec<_>>()[..]
            && from != "."
        {
            copy(&shipped(from), Path::new(to));
        }
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_webserv"));
    copy(binary, Path::new("/webserv"));
    let linked = said(&run("ldd", &[env!("CARGO_BIN_EXE_webserv")]).expect("ldd is with the C library"));
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), Path::new(library));
    }
    for dir in ["tmp", "proc", "dev"] {
        fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    for device in ["stdout", "stderr"] {
        let number = if device == "stdout" { 1 } else { 2 };
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), root.join("dev").join(device)).expect("a link");
    }
    // The image's user must not be kept from it by this directory's own mode.
    for path in root.ancestors().take_while(|path| path.starts_with(setup.dir())) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    root
}

#[test]
fn the_containers_command_serves_with_a_read_only_root_and_without_rights() {
    if on_nginx() {
        return;
    }
    if !os::is_root() || run("unshare", &["--mount", "--net", "true"]).is_none_or(|out| !out.status.success()) {
        skipped("a container is made by root, with unshare");
        return;
    }
    let setup = Setup::full("");
    let file = read("packaging/container/Containerfile");
    let root = image(&setup, &file);
    let [entry, command] = ["ENTRYPOINT", "CMD"].map(|word| list(instructions(&file, word)[0]));
    let user = instructions(&file, "USER")[0];
    assert_eq!((user, instructions(&file, "STOPSIGNAL")[0]), ("65534:65534", "SIGQUIT"));
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && mount -t tmpfs tmpfs \"$1/tmp\" && \
                  mount -t proc proc \"$1/proc\" && ip link set lo up && root=$1 && user=$2 && shift 2 && \
                  exec chroot --userspec=\"$user\" \"$root\" \"$@\"";
    let output = fs::File::create(setup.dir().join("logs/output")).expect("a file");
    let mut container = Command::new("unshare");
    container.args(["--mount", "--net", "sh", "-c", script, "sh"]).arg(&root).arg(user).args(entry).args(command);
    container.stdin(Stdio::null()).stdout(output.try_clone().expect("dup")).stderr(output);
    os::inherit(&mut container, Vec::new());
    let mut container = container.spawn().expect("unshare runs");
    let inside = |args: &[&str]| {
        let net = format!("--net=/proc/{}/ns/net", container.id());
        let out = Command::new("nsenter").arg(net).args(args).stdin(Stdio::null()).output().expect("nsenter runs");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let status = |path: &str| {
        let url = format!("http://127.0.0.1:8080{path}");
        inside(&["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
    };
    eventually("the container serves", || status("/healthz") == "200");
    assert_eq!(status("/"), "200");
    os::kill(container.id(), libc::SIGQUIT);
    let ended = container.wait().expect("it ends");
    let text = fs::read_to_string(setup.dir().join("logs/output")).expect("its output");
    assert!(ended.success(), "{ended}: {text}");
    assert!(text.contains("\"GET / HTTP/1.1\" 200") && !text.contains("GET /healthz"), "{text}");
}

/// A maintainer script, run below a directory; stubs of commands write down how they are called.
fn maintain(setup: &Setup, script: &str, args: &[&str]) -> String {
    let top = setup.dir().join("system");
    let stub = top.join("stub");
    for dir in ["stub", "run/systemd/system", "etc/webserv", "var/lib/webserv", "var/www/html", "usr/share/webserv"] {
        fs::create_dir_all(top.join(dir)).expect("a directory");
    }
    fs::write(top.join("usr/share/webserv/index.webserv.html"), "").expect("written");
    let log = top.join("log");
    fs::write(&log, "").expect("written");
    let masked = top.join("var/lib/systemd/deb-systemd-helper-masked/webserv.service");
    for name in [
        "getent",
        "addgroup",
        "adduser",
        "install",
        "chgrp",
        "deb-systemd-invoke",
        "deb-systemd-helper",
        "systemctl",
        "webserv",
    ] {
        let unmask = match name {
            "deb-systemd-helper" => format!("[ \"$1\" != unmask ] || rm -f {}\n", masked.display()),
            "install" => format!("mkdir -p {}\n", top.join("etc/webserv/sites-enabled").display()),
            _ => String::new(),
        };
        let text = format!("#!/bin/sh\necho {name} \"$*\" >>{}\n{unmask}", log.display());
        fs::write(stub.join(name), text).expect("written");
        fs::set_permissions(stub.join(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let mut text = read(script);
    for dir in ["/etc/", "/var/", "/run/", "/lib/", "/usr/share/"] {
        for before in [" ", "=", "\"", "<", ">"] {
            text = text.replace(&format!("{before}{dir}"), &format!("{before}{}{dir}", top.display()));
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.arg("-c").arg(&text).arg(script).args(args).env("PATH", format!("{}:{path}", stub.display()));
    let out = command.stdin(Stdio::null()).output().expect("a shell");
    assert!(out.status.success(), "{script}: {}", said(&out));
    fs::read_to_string(&log).expect("it was written")
}

#[test]
fn a_package_that_was_removed_and_is_installed_again_starts() {
    if on_nginx() {
        return;
    }
    let setup = Setup::full("");
    let masked = setup.dir().join("system/var/lib/systemd/deb-systemd-helper-masked");
    let start = "deb-systemd-invoke start webserv.service";
    let first = maintain(&setup, "packaging/debian/postinst", &["configure", ""]);
    assert!(first.contains(start), "{first}");
    let upgrade = maintain(&setup, "packaging/debian/postinst", &["configure", "0.1.0"]);
    assert!(!upgrade.contains(start) && upgrade.contains("list-units"), "{upgrade}");
    // By `mask` of postrm.
    fs::create_dir_all(&masked).expect("a directory");
    fs::write(masked.join("webserv.service"), "").expect("written");
    let again = maintain(&setup, "packaging/debian/postinst", &["configure", "0.1.0"]);
    assert!(again.contains(start), "{again}");
}

#[test]
fn a_purge_leaves_uploads_and_no_key_of_the_server() {
    if on_nginx() {
        return;
    }
    let setup = Setup::full("");
    let state = setup.dir().join("system/var/lib/webserv");
    for dir in ["local-ca", "acme_example", "files"] {
        fs::create_dir_all(state.join(dir)).expect("a directory");
        fs::write(state.join(dir).join("f"), "").expect("written");
    }
    maintain(&setup, "packaging/debian/postrm", &["purge"]);
    let left: Vec<_> = fs::read_dir(&state).expect("it stays").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["files"]);
}
