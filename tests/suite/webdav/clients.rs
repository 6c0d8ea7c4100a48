//! Clients as they come: litmus, cadaver and rclone where they are installed.

use super::*;
use crate::uploads::clients::alone;
use std::process::Output;

/// Runs a program; None (said aloud) where it is not installed.
pub fn run(program: &str, args: &[&str], input: &str) -> Option<Output> {
    use std::io::Write;
    let child = alone(program)
        .args(args)
        .env("HOME", std::env::temp_dir())
        .current_dir(std::env::temp_dir())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skipped(&format!("{program} is not installed"));
        return None;
    };
    // One that has ended already reads nothing; how it ended says why.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    Some(child.wait_with_output().expect("it ended"))
}

pub fn url(s: &Server) -> String {
    format!("http://127.0.0.1:{}/", s.port())
}

#[test]
fn litmus_finds_nothing_but_dead_properties() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().start();
    let Some(out) = run("litmus", &["-k", &url(&s)], "") else { return };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("running `locks'"), "{text}");
    let failed = text.lines().filter(|line| line.contains("FAIL") && !line.contains("PROPPATCH"));
    // That of the property that could not be set.
    let failed: Vec<&str> = failed.filter(|line| !line.contains("propget")).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{text}");
}

#[test]
fn cadaver_works_on_a_share() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/there.txt", "there").file("local.txt", "content").start();
    let script = format!(
        "mkcol new\ncd new\nput {} up.txt\nls\ncopy up.txt two.txt\nmove two.txt three.txt\nlock up.txt\nunlock up.txt\n\
         delete three.txt\ncd ..\nls\nrmcol new\nquit\n",
        s.path("local.txt").display()
    );
    let Some(out) = run("cadaver", &[&url(&s)], &script) else { return };
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("up.txt") && text.contains("there.txt"), "{text}");
    assert!(!text.contains("failed") && !text.contains("Could not"), "{text}");
    assert!(!s.exists("html/new") && s.exists("html/there.txt"));
}

#[test]
fn rclone_copies_syncs_moves_and_checks_odd_names() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let names = [
        "a b",
        "100%",
        "Q: why?.txt",
        "Vol. 2.",
        "ä ö",
        "._mac",
        ".DS_Store",
        ".~lock.a.odt#",
        "sub/deep/x&y",
        "+;,=@",
    ];
    let mut setup = share().mkdir("html/to");
    for (n, name) in names.iter().enumerate() {
        setup = setup.file(&format!("from/{name}"), format!("content {n}"));
    }
    let s = setup.start();
    let (from, remote) = (s.path("from").display().to_string(), format!(":webdav,url='{}':", url(&s)));
    let rclone = |args: &[&str]| run("rclone", &[&["--config", "/dev/null", "--retries", "1"], args].concat(), "");
    let Some(out) = rclone(&["copy", &from, &format!("{remote}to")]) else { return };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for (n, name) in names.iter().enumerate() {
        assert_eq!(s.read(&format!("html/to/{name}")), format!("content {n}").into_bytes(), "{name}");
    }
    std::fs::remove_file(s.path("from/a b")).expect("removed");
    s.write("from/100%", "changed and longer");
    for args in [
        &["check", "--download", &from, &format!("{remote}to")][..],
        &["sync", &from, &format!("{remote}to")],
        &["check", "--download", &from, &format!("{remote}to")],
        &["move", &format!("{remote}to/sub"), &format!("{remote}to/moved")],
        &["purge", &format!("{remote}to")],
    ] {
        let out = rclone(args).expect("it is installed");
        // Before the sync they differ.
        let differs = args[0] == "check" && s.exists("html/to/a b");
        assert_eq!(out.status.success(), !differs, "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert!(!s.exists("html/to"));
}
