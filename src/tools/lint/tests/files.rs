//! Rules that examine the file system.

use super::*;

/// How often a rule warns of a configuration with these paths.
pub fn count(text: &str, code: &str, paths: &Paths) -> usize {
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let found = lint(&loaded.directives, &loaded.sources, Some(paths));
    found.iter().filter(|warning| warning.code == Some(code)).count()
}

/// As [`count`], by what is told at each start.
pub fn count_at_start(text: &str, code: &str, paths: &Paths) -> usize {
    let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let found = at_start(&loaded.directives, &loaded.sources, paths);
    found.iter().filter(|warning| warning.code == Some(code)).count()
}

#[test]
fn only_the_first_missing_names_are_compared_with_those_beside_them() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-missing-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("pictures")).expect("a scratch directory");
    let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
    let locations: String = (0..120).map(|at| format!("location /{at} {{ root picturse; }}\n")).collect();
    let found = count_at_start(&format!("server {{ {locations} }}"), "W210", &paths);
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(found, COMPARISONS as usize);
}

#[test]
fn a_program_or_an_upload_area_that_is_not_there_is_found() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-means-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("uploads")).expect("a scratch directory");
    std::fs::write(dir.join("python3"), "").expect("a file");
    let here = dir.display();
    for (line, said) in [
        (format!("cgi_pass {here}/pyhton3;"), "python3"),
        (format!("cgi_extension .py {here}/pyhton3;"), "python3"),
        (format!("cgi_pass {here}/python3;"), ""),
        ("cgi_pass on;".to_owned(), ""),
        (format!("upload_store {here}/uplaods;"), "uploads"),
        (format!("upload_store {here}/uplaods; upload_create_path on;"), ""),
        (format!("upload_store {here}/uplaods/$host;"), ""),
        // Of what may be for another machine nothing is known.
        ("upload_store /nowhere/at-all;".to_owned(), ""),
    ] {
        let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
        let text = format!("server {{ listen 1; location /u/ {{ {line} }} }}");
        let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let found = at_start(&loaded.directives, &loaded.sources, &paths);
        let helps: Vec<_> = found.iter().filter(|d| d.code == Some("W215")).map(|d| d.help.join(" ")).collect();
        assert_eq!(helps.len(), usize::from(!said.is_empty()), "{line}: {helps:?}");
        assert!(helps.iter().all(|help| help.contains(said)), "{line}: {helps:?}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_repository_below_the_root_is_found_unless_hidden_names_are_refused() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-repository-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("site/.git")).expect("a scratch directory");
    std::fs::create_dir_all(dir.join("site/public")).expect("a scratch directory");
    std::fs::write(dir.join("site/public/.env"), "").expect("a file");
    std::fs::create_dir_all(dir.join("dumped")).expect("a scratch directory");
    std::fs::write(dir.join("dumped/dump.sql"), "").expect("a file");
    std::fs::create_dir_all(dir.join("clean")).expect("a scratch directory");
    let mut wrong = Vec::new();
    for (lines, expected) in [
        ("root site;", 1),
        ("root site; location / { try_files $uri =404; }", 1),
        ("root site/public;", 1),
        ("root clean;", 0),
        (r"root site; location ~ /\.(?!well-known/) { deny all; }", 0),
        (r"root site; location ~ /\.git { return 404; }", 0),
        ("root site; location / { proxy_pass http://127.0.0.1:1; }", 0),
        ("root site; auth_basic x;", 0),
        ("location / { root site; }", 1),
        ("location /public/ { root site; }", 1),
        ("location /app/ { alias site/; }", 1),
        ("location /app/ { alias site/; deny all; }", 0),
        ("root dumped;", 1),
        (r"root dumped; location ~ \.sql$ { deny all; }", 0),
        ("root clean; location /app/ { root clean; }", 0),
        ("root site; return 301 https://a.test;", 0),
    ] {
        let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
        let text = format!("server {{ listen 1; {lines} }}");
        if count_at_start(&text, "W158", &paths) != expected {
            wrong.push(lines);
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_password_file_without_a_user_is_found() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-passwords-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("directory")).expect("a scratch directory");
    let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
    let mut wrong = Vec::new();
    for (name, text, has_none) in [
        ("empty", "", true),
        ("remarks", "# alice:x\n\n", true),
        ("words", "alice\n:x\n", true),
        ("users", "# who\nalice:$apr1$x$y\n", false),
        ("unended", "alice:x", false),
    ] {
        std::fs::write(dir.join(name), text).expect("written");
        let text = format!("server {{ listen 1; auth_basic x; auth_basic_user_file {name}; }}");
        if count_at_start(&text, "W211", &paths) != usize::from(has_none) {
            wrong.push(name);
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_root_that_is_a_whole_project_is_found() {
    let dir = std::env::temp_dir().join(format!("webserv-lint-project-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("app/public")).expect("a scratch directory");
    std::fs::create_dir_all(dir.join("site/public")).expect("a scratch directory");
    for name in ["app/artisan", "app/public/index.php", "site/index.html", "site/artisan", "site/public/index.php"] {
        std::fs::write(dir.join(name), "").expect("a file");
    }
    let mut wrong = Vec::new();
    for (lines, expected) in [
        ("root app;", 1),
        ("root app/;", 1),
        ("root app/public;", 0),
        ("root site;", 0),
        ("root app; return 404;", 0),
        ("root app; auth_basic x;", 0),
    ] {
        let paths = Paths { prefix: dir.clone(), conf_dir: dir.clone(), on_this_machine: false };
        if count_at_start(&format!("server {{ listen 1; {lines} }}"), "W332", &paths) != expected {
            wrong.push(lines);
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
