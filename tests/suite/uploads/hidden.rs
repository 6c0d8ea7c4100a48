//! What is on its way has a hidden name: no method shows it, and nothing of it stays.

use super::*;
use std::path::Path;

const HIDDEN: [&str; 4] = [
    ".webserv-upload-0123",
    ".webserv-copy-01234567-1/f",
    ".webserv-delete-01234567-1/f",
    ".webserv-upload-state/x.part",
];

/// Where removing fails, by any call of it, what is left over goes later: by this process once that is possible, or by
/// the next.
#[test]
fn what_copy_could_not_remove_goes_later() {
    if skip_on_nginx("nginx copies in place") {
        return;
    }
    let s = server("location / { dav_methods DELETE COPY MOVE; }").allow_log("left over").allow_log("hidden directory");
    let s = (0..5).fold(s, |s, n| s.file(&format!("html/t/{n}"), "new").file(&format!("html/old/{n}"), "old"));
    let mut s = s.restartable().start();
    let html = s.path("html");
    let copy = |s: &crate::harness::Server, call: &str| {
        let strace = crate::strace::Strace::attach(s, &["-e", &format!("inject={call}:error=EIO")])?;
        s.method("COPY", "/t/", "Destination: /old/\r\n", b"").is(201);
        assert_eq!(s.snapshot("html/old"), s.snapshot("html/t"));
        Some(strace)
    };
    let Some(strace) = copy(&s, "unlinkat") else { return };
    assert!(!hidden_in(&html).is_empty(), "it cannot go now");
    eventually("it is in the log", || s.error_log().contains("is left over and could not be removed"));
    drop(strace);
    eventually("this process removes it", || hidden_in(&html).is_empty());
    let Some(strace) = copy(&s, "lseek") else { return };
    eventually("another way is found", || hidden_in(&html).is_empty());
    drop(strace);
    let Some(strace) = copy(&s, "unlinkat") else { return };
    assert!(!hidden_in(&html).is_empty());
    s.kill_and_restart();
    drop(strace);
    eventually("the next process removes it", || hidden_in(&html).is_empty());
}

/// The files that a form replaced stay under hidden names until all of it has its names.
#[test]
fn what_an_upload_could_not_remove_goes_later() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server("location / { allowed_methods GET POST; upload_on_duplicate overwrite; }")
        .allow_log("left over")
        .file("html/a", "old")
        .file("html/b", "old")
        .start();
    let html = s.path("html");
    let Some(strace) = crate::strace::Strace::attach(&s, &["-e", "inject=unlinkat:error=EIO"]) else { return };
    post_form(&s, "/", &form(&[file("a", b"new"), file("b", b"new")])).is_one_of(&[200, 201]);
    assert_eq!((s.read("html/a"), s.read("html/b")), (b"new".to_vec(), b"new".to_vec()));
    assert_eq!(hidden_in(&html).len(), 2, "they cannot go now");
    eventually("it is in the log", || s.error_log().contains("is left over and could not be removed"));
    drop(strace);
    eventually("they are removed", || hidden_in(&html).is_empty());
}

/// A MOVE that fails halfway and cannot be taken back: the log says where what stood there is now.
#[test]
fn what_a_move_could_not_put_back_is_named_in_the_log() {
    if skip_on_nginx("nginx removes the destination first") {
        return;
    }
    let s =
        server("location / { dav_methods MOVE; }").allow_log("neither its new nor its old name").allow_log("failed (5");
    let s = s.file("html/t/f", "new").file("html/old/f", "old").start();
    // The first finds the destination taken, the second exchanges the two.
    let inject = ["-e", "trace=renameat2", "-e", "inject=renameat2:error=EIO:when=3+"];
    let Some(strace) = crate::strace::Strace::attach(&s, &inject) else { return };
    s.method("MOVE", "/t/", "Destination: /old/\r\n", b"").is(500);
    drop(strace);
    assert_eq!((s.read("html/old/f"), s.read("html/t/f")), (b"new".to_vec(), b"old".to_vec()));
    let place = format!("its old name is now \"{}\"", s.path("html/t").display());
    assert!(s.error_log().contains(&place), "{place}: {}", s.error_log());
}

fn hidden_in(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).expect("a directory").flatten();
    names.map(|e| e.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with(".webserv-")).collect()
}

#[test]
fn hidden_names_are_refused_to_every_method() {
    if skip_on_nginx("they are ours") {
        return;
    }
    let mut setup = setup(
        "location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; autoindex on; }
         location /list/ { autoindex on; autoindex_upload on; allowed_methods GET POST DELETE; }
         location /try/ { try_files /up/$arg_f =404; }",
    );
    for dir in ["up", "dav", "list", "plain"] {
        for name in HIDDEN {
            setup = setup.file(&format!("html/{dir}/{name}"), "on its way");
        }
        setup = setup.file(&format!("html/{dir}/seen"), "seen");
    }
    let s = setup.start();
    let before = s.snapshot("html");
    let mut table = Table::new("hidden names");
    for dir in ["up", "dav", "list", "plain"] {
        for name in HIDDEN {
            let directory = name.split_once('/').map(|(directory, _)| format!("/{dir}/{directory}/"));
            let escaped = format!("/{dir}/{}", name.replacen('.', "%2e", 1));
            let inner = format!("/{dir}/seen/../{name}");
            let targets = [format!("/{dir}/{name}"), escaped, inner].into_iter().chain(directory);
            for target in targets {
                table.row(OURS, &target.clone(), || {
                    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"] {
                        s.method(method, &target, "", b"").is(404);
                    }
                    for method in ["COPY", "MOVE"] {
                        s.method(method, &target, "Destination: /dav/taken\r\n", b"").is(404);
                        s.method(method, &target, "Destination: /dav/taken/\r\n", b"").is(404);
                    }
                });
            }
        }
    }
    for name in HIDDEN {
        table.row(OURS, &format!("{name} cannot be made"), || {
            s.method("POST", &format!("/up/{name}"), "", b"x").is(400);
            s.method("PUT", &format!("/dav/{name}"), "", b"x").is(400);
            post_form(&s, "/up/", &form(&[file(name.rsplit('/').next_back().expect("a name"), b"x")])).is(400);
            for method in ["COPY", "MOVE"] {
                s.method(method, "/dav/seen", &format!("Destination: /dav/{name}\r\n"), b"").is(400);
            }
            let directory = name.split('/').next().expect("a name");
            s.method("MKCOL", &format!("/dav/{directory}/"), "", b"").is(400);
            s.method("MKCOL", &format!("/dav/{directory}/inner/"), "", b"").is(400);
        });
        table.row(OURS, &format!("{name} by try_files"), || {
            s.get(&format!("/try/?f={name}")).is(404);
            s.get("/try/?f=seen").is(200);
        });
    }
    table.row(OURS, "listings", || {
        for dir in ["/dav/", "/list/"] {
            let r = s.get(dir);
            r.is(200).contains("seen");
            assert!(!r.text().contains(".webserv-"), "{}", r.text());
        }
    });
    table.row(OURS, "nothing has changed", || assert_eq!(s.snapshot("html"), before));
}

#[test]
fn a_copy_of_a_tree_that_was_killed_leaves_nothing() {
    if skip_on_nginx("nginx copies in place") {
        return;
    }
    let s = server("location / { dav_methods DELETE COPY MOVE; }").mkdir("outside").file("outside/kept", "kept");
    for n in 0..3000 {
        std::fs::create_dir_all(s.dir().join(format!("html/t/{}", n / 30))).expect("a directory");
        std::fs::write(s.dir().join(format!("html/t/{}/{n}", n / 30)), "content").expect("a file");
    }
    let mut s = s.restartable().start();
    let tree = s.snapshot("html/t");
    let mut amid = 0;
    for round in 0..20 {
        let mut client = s.client();
        client.send(format!("COPY /t/ HTTP/1.1\r\nHost: a\r\nDestination: /c{round}/\r\n\r\n"));
        let html = s.path("html");
        eventually("the copy has begun", || !hidden_in(&html).is_empty() || s.exists(&format!("html/c{round}")));
        s.kill_and_restart();
        // Whole, or not at all.
        if s.exists(&format!("html/c{round}")) {
            assert_eq!(s.snapshot(&format!("html/c{round}")), tree);
        } else {
            amid += 1;
        }
        // It serves before all of it is gone.
        s.get("/t/0/0").is(200);
        eventually("nothing is left", || {
            s.get("/t/0/0").is(200);
            hidden_in(&html).is_empty()
        });
        if amid == 3 {
            break;
        }
    }
    assert_eq!(amid, 3, "times that the copy was under way when it was killed");
    assert_eq!(s.snapshot("html/t"), tree);
    s.method("COPY", "/t/", "Destination: /again/\r\n", b"").is(201);
    assert_eq!(s.snapshot("html/again"), tree);
    s.stop();
    assert!(!s.exists("logs/webserv.pid.uploads"), "nothing to look through after an orderly end");
}

/// What lies deeper than descriptors reach is moved up under a hidden name first.
#[test]
fn a_recursive_delete_that_was_killed_leaves_nothing_hidden() {
    if skip_on_nginx("DELETE by allowed_methods is ours") {
        return;
    }
    let s = server("location / { allowed_methods GET DELETE; delete_recursive on; }").file("html/kept", "kept");
    let mut s = s.restartable().start();
    let mut amid = 0;
    for _ in 0..40 {
        // Few: there are file systems that take milliseconds for each.
        for n in 0..12 {
            let deep: std::path::PathBuf = (0..40).map(|level| format!("{n}-{level}")).collect();
            std::fs::create_dir_all(s.path("html/t").join(deep)).expect("directories");
        }
        let mut client = s.client();
        client.send("DELETE /t/ HTTP/1.1\r\nHost: a\r\n\r\n");
        let top = s.path("html/t");
        let hidden = || {
            std::fs::read_dir(&top).is_ok_and(|mut dir| {
                dir.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with(".webserv-")))
            })
        };
        eventually("the removal has begun", || hidden() || !top.exists());
        s.kill_and_restart();
        s.get("/kept").is(200);
        amid += usize::from(top.exists());
        eventually("nothing hidden is left", || {
            s.get("/kept").is(200);
            !hidden()
        });
        if amid == 2 {
            break;
        }
    }
    assert_eq!(amid, 2, "times that the removal was under way when it was killed");
    s.method("DELETE", "/t/", "", b"").is(204);
    assert!(!s.exists("html/t") && s.exists("html/kept"));
}
