//! What a newcomer runs first: conf/default.conf with its sites, the requests that the README shows, the examples.

use crate::harness::{Setup, on_nginx};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// The default configuration on sockets of its own, over a copy of the sites.
fn default_site() -> Setup {
    let conf = fs::read_to_string(format!("{TOP}/conf/default.conf")).unwrap();
    let conf = conf.replace("127.0.0.1:8080", "127.0.0.1:%%PORT0%%");
    let conf = conf.replace("127.0.0.1:8081", "127.0.0.1:%%PORT1%%").replace("127.0.0.1:8082", "127.0.0.1:%%PORT2%%");
    let conf = conf.replace("127.0.0.1:8443", "127.0.0.1:%%PORT3%%");
    // Called by nginx's flags as root the server would become nobody, who may not write the copy.
    let user = if crate::os::is_root() { "user root root;\n" } else { "" };
    let setup = Setup::full(&format!("{user}{conf}"))
        .file("conf/mime.types", fs::read(format!("{TOP}/conf/mime.types")).unwrap());
    copy(setup, Path::new(&format!("{TOP}/www")), "www")
}

fn copy(mut setup: Setup, from: &Path, to: &str) -> Setup {
    setup = setup.mkdir(to);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{to}/{}", entry.file_name().to_str().unwrap());
        // What was uploaded while trying it out is no part of it.
        let uploaded = (to == "www/files" || to == "www/inbox") && entry.file_name() != ".gitignore";
        setup = match entry.file_type().unwrap().is_dir() {
            true => copy(setup, &entry.path(), &name),
            false if uploaded => setup,
            false => setup.file(&name, fs::read(entry.path()).unwrap()),
        };
    }
    setup
}

#[test]
fn the_program_greets_and_echoes_its_form() {
    if on_nginx() {
        println!("skipped on nginx: it has no CGI");
        return;
    }
    let s = default_site().start();
    s.get("/").is(200).contains("/cgi/hello.sh");
    s.get("/cgi/hello.sh").is(200).has("Content-Type", "text/html; charset=utf-8").contains("<h1>Hello!</h1>");
    let form = |body: &str| {
        s.method("POST", "/cgi/hello.sh", "Content-Type: application/x-www-form-urlencoded\r\n", body.as_bytes())
    };
    form("name=Ada+Lovelace&words=a%3Cb%3E+%26+%22c%22%0D%0Ad")
        .is(200)
        .contains("<h1>Hello, Ada Lovelace!</h1>")
        .contains("<blockquote>a&lt;b&gt; &amp; &quot;c&quot;");
    form("words=%24%28id%29%60id%60").is(200).contains("<blockquote>$(id)`id`</blockquote>");
    // Chunks are gathered: the program is given their length.
    let mut client = s.client();
    client
        .request("POST /cgi/hello.sh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nname=\r\n3\r\nBob\r\n0\r\n\r\n")
        .is(200)
        .contains("Hello, Bob!");
    form(&format!("name={}", "x".repeat(20_000))).is(413);
    s.get("/cgi/none.sh").is(404);
    s.get("/cgi/").is(403);
    // A program that is uploaded is a file like any other.
    s.method("PUT", "/files/evil.sh", "", b"echo executed").is(201);
    s.get("/files/evil.sh").is(200).body_is("echo executed");
}

#[test]
fn the_readmes_requests_answer_as_it_says() {
    if on_nginx() {
        println!("skipped on nginx: the default configuration uses webserv's own directives");
        return;
    }
    let s = default_site().start();
    let form =
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"notes.txt\"\r\n\r\nhello\n\r\n--B--\r\n";
    let upload = || s.method("POST", "/files/", "Content-Type: multipart/form-data; boundary=B\r\n", form.as_bytes());
    let before = s.snapshot("www");
    let created = upload();
    created.is(201);
    assert!(created.header("Location").unwrap().ends_with("/files/notes.txt"), "{}", created.show());
    upload().is(409);
    s.get("/files/").is(200).contains("<bdi>notes.txt</bdi>");
    s.get("/files/notes.txt").is(200).body_is("hello\n");
    s.get_with("/files/notes.txt", "Range: bytes=0-1\r\n").is(206).body_is("he");
    s.method("DELETE", "/files/notes.txt", "", b"").is(204);
    assert_eq!(s.snapshot("www"), before);
    // curl -T, and the draft's first request of the section on resumable uploads.
    s.method("PUT", "/files/notes.txt", "", b"hello\n").is(201);
    s.method("DELETE", "/files/notes.txt", "", b"").is(204);
    let resumable = "Upload-Complete: ?1\r\nUpload-Draft-Interop-Version: 8\r\n";
    let mut client = s.client();
    client.send(format!("PUT /files/big.iso HTTP/1.1\r\nHost: localhost\r\n{resumable}Content-Length: 5\r\n\r\nwhole"));
    client.response().is(104);
    client.response().is(201);
    s.method("DELETE", "/files/big.iso", "", b"").is(204);
    s.method("DELETE", "/", "", b"").is(405).has("Allow", "GET, HEAD, OPTIONS");
    s.get("/").is(200).contains("<html");
    s.get("/nothing-here").is(404).contains("Nothing here");
    for name in ["red", "blue"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {name}.localhost:8081\r\nConnection: close\r\n\r\n");
        let mut client = s.client_at(1);
        client.send(request.as_bytes());
        client.response().is(200).contains(&format!("<title>{name}.localhost</title>"));
    }
    let mut client = s.client_at(2);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost:8082\r\nConnection: close\r\n\r\n");
    client.response().is(200);
}

#[test]
fn the_default_site_is_there_over_https_once_its_authority_is_trusted() {
    if on_nginx() {
        return;
    }
    let s = default_site().start();
    // What `webserv cert` prints is what the server uses.
    let mut command = Command::new(crate::harness::binary());
    let output = command.arg("cert").env("STATE_DIRECTORY", s.path("state")).output().expect("it runs");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && page.contains("update-ca-certificates"), "{page}");
    let place = |what: &str| page.lines().find_map(|line| line.strip_prefix(what)).expect(what).trim().to_owned();
    let (authority, certificate, key) = (place("authority"), place("certificate"), place("key"));
    assert!(fs::read_to_string(&certificate).unwrap().ends_with(&fs::read_to_string(&authority).unwrap()));
    assert!(fs::read_to_string(key).unwrap().contains("PRIVATE KEY"));
    let port = s.address(3).port();
    let (resolve, url) = (format!("localhost:{port}:127.0.0.1"), format!("https://localhost:{port}/"));
    let args = ["-s", "-S", "-m", "20", "--cacert", &authority, "--resolve", &resolve, &url];
    let Some(output) = crate::tls::tool("curl", &args, b"") else { return };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("<html"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_local_authority_signs_for_every_name_of_a_server() {
    if on_nginx() {
        return;
    }
    let names = "server_name devbox .app.test *.b.test ~^r _ \"\";";
    let s = crate::harness::server(&format!("listen 127.0.0.1:%%PORT1%% ssl; {names} ssl_certificate auto;")).start();
    // Once a request is answered the configuration is read.
    s.get("/none").is(404);
    let entries = fs::read_dir(s.path("state/local-ca")).unwrap().map(|entry| entry.unwrap().path());
    let is_leaf = |path: &PathBuf| path.extension().is_some_and(|end| end == "crt") && !path.ends_with("ca.crt");
    let leaf = fs::read(entries.into_iter().find(is_leaf).expect("a certificate")).unwrap();
    let wanted = ["devbox", "app.test", "*.app.test", "*.b.test", "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let missing = webserv::tls::issue::covers(&leaf, &wanted).expect("a certificate").missing;
    assert_eq!(missing, Vec::<String>::new());
}

/// A service's home may be its document root: www-data's is /var/www.
#[test]
fn keys_that_the_server_makes_for_itself_are_not_served() {
    if on_nginx() {
        return;
    }
    let s = crate::harness::http(
        "acme_issuer own { uri https://127.0.0.1:1/dir; state_path %%DIR%%/html/home/own; }
         server { listen 127.0.0.1:%%PORT%%; listen 127.0.0.1:%%PORT1%% ssl; server_name devbox.test;
                  ssl_certificate auto; root %%DIR%%; dav_methods DELETE MOVE COPY; delete_recursive on;
                  allowed_methods GET DELETE MOVE COPY; min_delete_depth 0; }
         server { listen 127.0.0.1:%%PORT3%%; root %%DIR%%/state; }
         server { listen 127.0.0.1:%%PORT2%% ssl; server_name other.test; acme_certificate own;
                  ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key; }",
    )
    .file("html/page", "page")
    .file("state/site/page", "page")
    .file("state/acme_old/account.key", "of an earlier configuration")
    .file("html/home/own/note", "secret")
    .link("html/way", "../state/local-ca")
    .allow_log("acme certificate")
    .start();
    s.get("/html/page").is(200);
    for path in ["/state/local-ca/ca.key", "/state/local-ca/", "/html/way/ca.key", "/html/home/own/note"] {
        s.get(path).is(404);
    }
    // A site may lie in the state directory, as a service's home does.
    let mut home = s.client_at(3);
    home.get("/site/page").is(200);
    home.get("/local-ca/ca.key").is(404);
    home.get("/acme_old/account.key").is(404);
    // Nor does a directory that contains them go elsewhere, where they would be served, or away.
    s.method("MOVE", "/html/home/", "Destination: /html/seen/\r\n", b"").is(403);
    s.method("DELETE", "/html/home/", "", b"").is(403);
    assert!(s.path("state/local-ca/ca.key").exists() && s.path("html/home/own/note").exists());
}

#[test]
fn https_of_this_machine_works_where_nothing_can_be_kept() {
    let s = crate::harness::server("listen 127.0.0.1:%%PORT1%% ssl; ssl_certificate auto; return 200 ok;")
        .file("state", "a file, where a directory would be wanted")
        .start();
    s.await_file("logs/stderr", |text| text.contains("is kept only in memory, until the process ends"));
    let url = format!("https://127.0.0.1:{}/", s.address(1).port());
    let Some(output) = crate::tls::tool("curl", &["-s", "-k", "-m", "20", &url], b"") else { return };
    assert_eq!(output.stdout, b"ok");
}

#[test]
fn every_page_of_the_default_sites_has_one_main_part() {
    let mut seen = 0;
    let mut dirs = vec![Path::new(TOP).join("www")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "html") {
                let page = fs::read_to_string(&path).unwrap();
                assert_eq!(
                    (page.matches("<main").count(), page.matches("</main>").count()),
                    (1, 1),
                    "{}",
                    path.display()
                );
                // What scrolls sideways can be reached by the keyboard.
                assert_eq!(
                    page.matches("<pre").count(),
                    page.matches("<pre tabindex=\"0\"").count(),
                    "{}",
                    path.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "the pages were not found");
}

#[test]
fn the_examples_are_well_formed() {
    if on_nginx() {
        return;
    }
    let mut seen = 0;
    for entry in fs::read_dir(format!("{TOP}/conf/examples")).unwrap() {
        let path = entry.unwrap().path();
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_webserv"))
            .args(["-t", path.to_str().unwrap()])
            .current_dir(TOP)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{}: {said}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "the examples were not found");
}
