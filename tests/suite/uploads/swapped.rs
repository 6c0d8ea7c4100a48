//! A local user swaps directories and files with links that lead out, while clients write, read and delete
//! through those very names. Nothing outside the root changes, and nothing of it is sent.

use super::*;
use crate::os;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const ROUNDS: usize = 60;
const SECRET: &str = "what lies outside of the root";

fn setup() -> Setup {
    server(
        "client_max_body_size 10m; disable_symlinks on from=$document_root;
         location /a/ { allowed_methods GET POST PUT DELETE; upload_on_duplicate overwrite; upload_create_path on;
                        delete_recursive on; autoindex on; }
         location /d/ { alias %%DIR%%/html/a/; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
         location /links/ { alias %%DIR%%/html/a/; disable_symlinks off; dav_methods PUT DELETE MKCOL COPY MOVE;
                        create_full_put_path on; }",
    )
    .file("html/index.html", "index")
    .file("html/a/dir/f", "inside")
    .file("html/a/dir/sub/f", "inside")
    .file("html/a/source", "source")
    .file("outside/f", SECRET)
    .file("outside/file", SECRET)
    .file("outside/sub/f", SECRET)
    .file("outside/sub/keep", SECRET)
    .file("outside/only-outside", SECRET)
    .link("html/a/alt", "../../outside")
    .link("html/a/file-alt", "../../outside/file")
    .file("html/a/file", "inside")
}

/// A name inside, and one that is a link out.
type Pair = (PathBuf, PathBuf);

/// Swaps the pairs until it is stopped; how often it did. While the lock is held no name changes.
fn swap(pairs: &[Pair], resting: &Mutex<()>, stop: &AtomicBool) -> usize {
    let mut steps = 0;
    while !stop.load(Ordering::Relaxed) {
        let moving = resting.lock().expect("no panic while it is held");
        for (one, other) in pairs {
            // A client may just have deleted one of the two.
            steps += usize::from(os::exchange(one, other).is_ok());
        }
        drop(moving);
        std::thread::yield_now();
    }
    steps
}

/// What clients removed, wrote over or moved is again as it was.
fn restore(root: &Path) {
    let remove = |name: &str| {
        let path = root.join(name);
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            std::fs::remove_dir_all(path).expect("removed");
        } else {
            let _ = std::fs::remove_file(path);
        }
    };
    ["dir", "alt", "file", "file-alt", "source", "stolen", "stolen-dir", "moved"].into_iter().for_each(remove);
    std::fs::create_dir_all(root.join("dir/sub")).expect("made");
    for name in ["dir/f", "dir/sub/f", "file", "source"] {
        std::fs::write(root.join(name), "inside").expect("written");
    }
    symlink("../../outside", root.join("alt")).expect("linked");
    symlink("../../outside/file", root.join("file-alt")).expect("linked");
}

#[test]
fn links_swapped_in_a_loop_let_no_byte_out_or_in() {
    if skip_on_nginx("nginx follows links") {
        return;
    }
    let s = running(setup());
    let before = cuts::listing(&s.path("outside"));
    let root = s.path("html/a");
    let pairs = [(root.join("dir"), root.join("alt")), (root.join("file"), root.join("file-alt"))];
    let (stop, resting) = (AtomicBool::new(false), Mutex::new(()));
    let body = form(&[file("f", b"of a form"), file("keep", b"of a form")]);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(&pairs, &resting, &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut seen = BTreeMap::new();
            for round in 0..ROUNDS {
                let mut note = |method: &str, target: &str, response: Response| {
                    let text = response.text();
                    let told = text.contains(SECRET) || text.contains("only-outside");
                    assert!(!told, "round {round}: {method} {target}: {}", response.show());
                    assert!(response.status < 500, "round {round}: {method} {target}: {}", response.show());
                    *seen.entry(format!("{method} {target} {}", response.status)).or_insert(0) += 1;
                };
                for target in
                    ["/a/dir/f", "/a/dir/sub/f", "/a/dir/sub/keep", "/a/file", "/a/dir/", "/d/dir/f", "/d/file"]
                {
                    note("GET", target, s.get(target));
                }
                for target in ["/a/dir/f", "/a/dir/sub/new", "/a/dir/new/er/x", "/a/file", "/a/dir/keep"] {
                    note("POST", target, s.method("POST", target, "", b"written"));
                    note("PUT", target, s.method("PUT", target, "", b"written"));
                }
                note("form", "/a/dir/sub/", post_form(&s, "/a/dir/sub/", &body));
                for area in ["/d", "/links"] {
                    for (method, from, to) in [
                        ("COPY", "source", "dir/f"),
                        ("COPY", "dir/f", "stolen"),
                        ("COPY", "file", "stolen"),
                        ("COPY", "dir/", "stolen-dir/"),
                        ("MOVE", "dir/f", "moved"),
                        ("MOVE", "moved", "dir/sub/f"),
                        ("MOVE", "source", "dir/sub/keep"),
                        ("MOVE", "dir/sub/keep", "source"),
                    ] {
                        let r =
                            s.method(method, &format!("{area}/{from}"), &format!("Destination: {area}/{to}\r\n"), b"");
                        note(method, &format!("{area}/{from} to {to}"), r);
                    }
                    note("MKCOL", area, s.method("MKCOL", &format!("{area}/dir/col{round}/"), "", b""));
                    note("PUT", area, s.method("PUT", &format!("{area}/dir/deep/er/put"), "", b"written"));
                    note("DELETE", area, s.method("DELETE", &format!("{area}/dir/sub/f"), "", b""));
                }
                for target in ["/a/dir/f", "/a/dir/sub/keep", "/a/dir/sub/", "/a/stolen-dir/", "/a/dir/"] {
                    note("DELETE", target, s.method("DELETE", target, "", b""));
                }
                let _resting = resting.lock().expect("no panic while it is held");
                // What was copied is what was inside.
                let inside = root
                    .read_dir()
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
                for entry in inside {
                    let content = std::fs::read(entry.path()).unwrap_or_default();
                    assert!(
                        content != SECRET.as_bytes(),
                        "round {round}: {} holds what is outside",
                        entry.path().display()
                    );
                }
                restore(&root);
            }
            for (what, count) in seen {
                println!("{count:4} {what}");
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let steps = swapper.join().expect("the swapper");
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        println!("{steps} swaps");
        assert!(steps > ROUNDS, "the names were swapped meanwhile");
    });
    assert_eq!(before, cuts::listing(&s.path("outside")));
}
