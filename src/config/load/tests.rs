//! Includes in a real directory, and texts that must not reach one.

use crate::config::sources::dump;
use crate::util::checkpoint::Interlude;
use std::fs;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A directory of its own for each test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("webserv-load-{}-{count}", std::process::id()));
        for (name, text) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("it is inside `path`")).expect("the directory can be made");
            fs::write(file, text).expect("the file can be written");
        }
        Directory(path)
    }

    /// Loads `main.conf`; returns the tree, and the messages with this directory replaced by `D`.
    fn load(&self) -> (String, String) {
        let loaded = load(&self.0.join("main.conf"), &LoadOptions::default());
        let tree: Vec<String> = loaded.directives.iter().map(|directive| format!("{directive:?}")).collect();
        (tree.join(" "), self.hide(&loaded.diagnostics.render(&loaded.sources, "webserv")))
    }

    fn hide(&self, text: &str) -> String {
        text.replace(&self.0.display().to_string(), "D")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn includes_are_replaced_in_place_at_any_level() {
    let directory = Directory::with(&[
        ("main.conf", "a; include one.conf; b { include sites/*.conf; include none/*.conf; c; types { include t; } }"),
        ("one.conf", "one; include sites/b.conf;"),
        ("sites/b.conf", "site b;"),
        ("sites/a.conf", "site a { include one_more; }"),
        ("sites/.hidden.conf", "hidden;"),
        ("one_more", "more;"),
        ("t", "text/html html;"),
    ]);
    let tree = "a; one; site b; b { site a { more; } site b; c; types { text/html html; } }";
    assert_eq!(directory.load(), (tree.to_string(), String::new()));
}

#[test]
fn relative_names_start_at_the_main_file() {
    let directory = Directory::with(&[
        ("main.conf", "include sub/a.conf;"),
        ("sub/a.conf", "include b.conf;"),
        ("b.conf", "right;"),
        ("sub/b.conf", "wrong;"),
    ]);
    assert_eq!(directory.load(), ("right;".to_string(), String::new()));
}

#[test]
fn errors_name_the_file_and_how_it_was_reached() {
    let directory = Directory::with(&[
        (
            "main.conf",
            "a;\ninclude one.conf;\ninclude;\ninclude a b;\ninclude one.conf { }\ninclude missing.conf;\ninclude sub;\n",
        ),
        ("one.conf", "b;\n  c }\n"),
        ("sub/x", ""),
    ]);
    let (tree, errors) = directory.load();
    assert_eq!(tree, "a; b; c;");
    let first: Vec<&str> = errors.lines().filter(|line| line.starts_with("webserv:")).collect();
    assert_eq!(
        first,
        [
            "webserv: [emerg] invalid number of arguments in \"include\" directive in D/main.conf:3",
            "webserv: [emerg] invalid number of arguments in \"include\" directive in D/main.conf:4",
            "webserv: [emerg] directive \"include\" is not terminated by \";\" in D/main.conf:5",
            "webserv: [emerg] open() \"D/missing.conf\" failed (2: No such file or directory) in D/main.conf:6",
            "webserv: [emerg] read() \"D/sub\" failed (21: Is a directory) in D/main.conf:7",
            "webserv: [emerg] directive \"c\" is not terminated by \";\" in D/one.conf:2",
            "webserv: [emerg] unexpected \"}\" in D/one.conf:2",
        ]
    );
    assert!(errors.contains(
        " --> D/one.conf:2:4\n  |\n2 |   c }\n  |    ^ missing `;`\n  = note: included from D/main.conf:2\n"
    ));
}

#[test]
fn cycles_end_and_are_reported_with_their_chain() {
    let directory = Directory::with(&[
        ("main.conf", "include a.conf; last;"),
        ("a.conf", "a;\ninclude b.conf;\n"),
        ("b.conf", "b;\n\ninclude *.conf;\n"),
    ]);
    let (tree, errors) = directory.load();
    assert_eq!(tree, "a; b; last;");
    assert_eq!(errors.matches("[emerg]").count(), 3);
    assert!(errors.contains("\"D/a.conf\" includes itself in D/b.conf:3"), "{errors}");
    assert!(errors.contains("= note: included from D/a.conf:2\n  = note: included from D/main.conf:1\n"), "{errors}");
}

#[test]
fn a_chain_of_links_to_one_file_ends() {
    let directory = Directory::with(&[("main.conf", "include l/l/l/main.conf;"), ("sub/x", "")]);
    std::os::unix::fs::symlink(".", directory.0.join("l")).expect("a link can be made");
    fs::write(directory.0.join("main.conf"), "include l/*/main.conf; include l/main.conf;").expect("it can be written");
    let (_, errors) = directory.load();
    assert!(errors.contains("includes itself") || errors.contains("nested deeper"), "{errors}");
}

#[test]
fn nesting_is_counted_over_files() {
    let directory = Directory::with(&[
        ("main.conf", &format!("{} include deep.conf; {}", "a {".repeat(40), "}".repeat(40))),
        ("deep.conf", &format!("{}{}", "b {".repeat(40), "}".repeat(40))),
    ]);
    assert!(directory.load().1.contains("nested deeper than 64 levels in D/deep.conf:1"));
}

#[test]
fn a_missing_main_file_has_nginx_s_message() {
    let loaded = load(Path::new("/nowhere/x.conf"), &LoadOptions::default());
    assert_eq!(
        loaded.diagnostics.render(&loaded.sources, "webserv"),
        "webserv: [emerg] open() \"/nowhere/x.conf\" failed (2: No such file or directory)\n  = help: there is no directory \"/nowhere\"\n"
    );
}

#[test]
fn the_dump_is_nginx_s() {
    let directory = Directory::with(&[("main.conf", "a;\ninclude b.conf;\ninclude b.conf;\n"), ("b.conf", "b;")]);
    let options = LoadOptions { command_line: Some(b"c;".to_vec()), ..LoadOptions::default() };
    let loaded = load(&directory.0.join("main.conf"), &options);
    assert_eq!(format!("{:?}", loaded.directives), "[c;, a;, b;, b;]");
    assert_eq!(
        directory.hide(&String::from_utf8_lossy(&dump(&loaded.sources))),
        "# configuration file D/main.conf:\na;\ninclude b.conf;\ninclude b.conf;\n\n# configuration file D/b.conf:\nb;\n"
    );
}

/// A `geo` block that began with `default` and included 300 000 networks held the loop for 45 ms at a reload.
#[test]
fn an_included_list_is_put_behind_other_lines_in_steps() {
    struct Nothing;
    impl Interlude for Nothing {
        fn run(&mut self, _: Option<BorrowedFd<'_>>) {}
    }
    let list = "10.0.0.0/24 a;\n".repeat(6400);
    let directory = Directory::with(&[("main.conf", "geo { default x; include list; }"), ("list", &list)]);
    let watched = checkpoint::watch(Box::new(Nothing));
    let loaded = load(&directory.0.join("main.conf"), &LoadOptions::default());
    let steps = checkpoint::steps();
    drop(watched);
    assert_eq!(loaded.directives[0].block.as_ref().map(Vec::len), Some(6401));
    assert!(steps >= 100, "{steps}");
}
