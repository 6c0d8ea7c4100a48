//! Clients as programs use them: tus-js-client and tuspy, in each of their ways, also while the server is killed, and
//! reloaded. They are looked for in `target/clients` (`.ci/run` installs them); what is missing is named and skipped.

use super::resumable::area_of;
use super::*;
use crate::harness::skipped;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where packages of npm (`node_modules`) and PyPI (`python`) are.
pub fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// A program that asks no proxy and works in no repository, whatever the environment of the tests names.
pub fn alone(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in
        ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"]
    {
        command.env_remove(name);
    }
    command.env("no_proxy", "127.0.0.1").env_remove("NO_PROXY");
    command
}

/// A script of tests/clients on its way with these arguments, or None and said aloud.
pub fn scripted(name: &str, args: &[&str]) -> Option<Child> {
    let (program, package, variable) = match name {
        "tus.cjs" => ("node", "node_modules/tus-js-client", "NODE_PATH"),
        "webdav.mjs" => ("node", "node_modules/webdav", "NODE_PATH"),
        "tus_client.py" => ("python3", "python/tusclient", "PYTHONPATH"),
        "http2_hostile.py" => ("python3", "python/h2", "PYTHONPATH"),
        "webdav_client.py" => ("python3", "python/webdav4", "PYTHONPATH"),
        _ => panic!("{name}: a client without a package"),
    };
    let package = packages().join(package);
    if !package.is_dir() {
        skipped(&format!("{}: the clients of {name} are not installed (.ci/run does)", package.display()));
        return None;
    }
    let mut command = alone(program);
    command.arg(script(name)).args(args).env(variable, package.parent().expect("its directory"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    if child.is_err() {
        skipped(&format!("no {program}: the clients of {name} are not tried"));
    }
    child.ok()
}

/// A client that uploads `source` to `/a/`.
fn client(s: &Server, name: &str, how: &str, source: &str) -> Option<Child> {
    let url = format!("http://127.0.0.1:{}/a/", s.port());
    scripted(name, &[&url, s.path(source).to_str().expect("UTF-8"), how])
}

/// It says that it succeeded, and the file is what it sent.
#[track_caller]
fn ends_well(s: &Server, child: Child, source: &str, stored: &str) {
    let out = child.wait_with_output().expect("it ended");
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{stored}: {errors}");
    assert!(s.read(&format!("html/a/{stored}")) == s.read(source), "{stored} is not what was sent");
    s.method("DELETE", &format!("/a/{stored}").replace('é', "%C3%A9"), "", b"").is(204);
}

#[test]
fn tus_js_client_and_tuspy_upload_in_all_their_ways() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(area_of("upload_create_path on;").file("source.bin", noise(3_000_001)));
    let mut table = Table::new("clients");
    let ways = "whole pieces first parallel draft03 draft05 draft05whole override folder resumed";
    for how in ways.split(' ') {
        table.row(OURS, &format!("tus-js-client: {how}"), || {
            let Some(child) = client(&s, "tus.cjs", how, "source.bin") else { return };
            let stored = if how == "folder" { "album/é/folder.bin".into() } else { format!("{how}.bin") };
            ends_well(&s, child, "source.bin", &stored);
        });
    }
    for how in ["pieces", "checksum", "resumed"] {
        table.row(OURS, &format!("tuspy: {how}"), || {
            let Some(child) = client(&s, "tus_client.py", how, "source.bin") else { return };
            ends_well(&s, child, "source.bin", &format!("py-{how}.bin"));
        });
    }
}

#[test]
fn clients_go_on_over_a_reload_a_quit_and_a_kill() {
    if skip_on_nginx("uploads") {
        return;
    }
    // A rate that leaves a middle. The four requests of `parallel` are joined by a fifth that the client does not
    // repeat: they take half a minute, so that SIGKILL meets them on any machine, and no QUIT waits for them, which
    // would end the server just as the fifth is sent.
    for (name, how, stored, rate, quits) in [
        ("tus.cjs", "pieces", "pieces.bin", "1m", true),
        ("tus.cjs", "parallel", "parallel.bin", "60k", false),
        ("tus.cjs", "draft05", "draft05.bin", "1m", true),
        ("tus_client.py", "pieces", "py-pieces.bin", "1m", true),
    ] {
        let area = area_of(&format!("upload_limit_rate {rate};"));
        let setup = area.restartable().file("source.bin", noise(9_000_000));
        let mut s = running(setup);
        let Some(child) = client(&s, name, how, "source.bin") else { continue };
        let has = |s: &Server, least: usize| {
            s.snapshot("html/a").iter().filter(|(name, _)| name.ends_with(".part")).map(|(_, c)| c.len()).sum::<usize>()
                >= least
                // On a busy machine all of it may have come between two looks.
                || s.path(&format!("html/a/{stored}")).exists()
        };
        eventually("a part of it is there", || has(&s, 300_000));
        s.signal(libc::SIGHUP);
        eventually("more of it is there", || has(&s, 1_000_000));
        if quits {
            s.quit_and_restart();
            eventually("still more of it is there", || has(&s, 2_000_000));
        }
        let config = String::from_utf8(s.read("conf/test.conf")).expect("UTF-8");
        let unlimited = config.replace(&format!("upload_limit_rate {rate};"), "");
        std::fs::write(s.path("conf/test.conf"), unlimited).expect("its own directory");
        s.kill_and_restart();
        ends_well(&s, child, "source.bin", stored);
    }
}
