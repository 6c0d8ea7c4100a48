//! What clients stored is not run, whichever way it came and whichever way it is asked for.

use crate::gateways::{Kind, application};
use crate::harness::{Server, Table, http, ours, post_files};
use crate::table::skip_on_nginx;

const SCRIPT: &str = "printf '\\nEXECUTED'";

fn start() -> Server {
    let php = application(Kind::FastCgi, b"\r\nEXECUTED").address;
    let scgi = application(Kind::Scgi, b"\r\nEXECUTED").address;
    let uwsgi = application(Kind::Uwsgi, b"\r\nEXECUTED").address;
    let params = "fastcgi_param SCRIPT_FILENAME";
    let setup = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location / {{ dav_methods PUT COPY MOVE; allowed_methods GET POST PUT COPY MOVE; }}
             location ^~ /files/ {{ dav_methods PUT MKCOL COPY MOVE; create_full_put_path on; }}
             location ^~ /forms/ {{ allowed_methods GET POST; upload_serve inline; }}
             location ^~ /pages/ {{ dav_methods PUT; ssi on; }}
             location ^~ /pages-run/ {{ alias %%DIR%%/html/pages/; ssi on; upload_execute on; }}
             location ^~ /pages-linked/ {{ alias %%DIR%%/html/linked-pages/; ssi on; }}
             location ^~ /ssi/ {{ ssi on; }}
             location /closed/ {{ deny all; }}
             location ^~ /store/ {{ upload_store %%DIR%%/html/store; upload_serve inline; }}
             location ~ \\.sh$ {{ allowed_methods GET POST; cgi_pass /bin/sh; }}
             location ~ \\.php {{ {params} $document_root$fastcgi_script_name; fastcgi_pass {php}; }} }}
         server {{ listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html;
             location ^~ /files-run/ {{ alias %%DIR%%/html/files/; cgi_extension .sh /bin/sh; }}
             location ^~ /forms-run/ {{ alias %%DIR%%/html/forms/; cgi_extension .sh /bin/sh; }}
             location ^~ /store-run/ {{ alias %%DIR%%/html/store/; cgi_extension .sh /bin/sh; }}
             location ^~ /trusted/ {{ alias %%DIR%%/html/files/; cgi_extension .sh /bin/sh; upload_execute on; }}
             location ~ ^/captured/(.*\\.sh)$ {{ alias %%DIR%%/html/files/$1; cgi_pass /bin/sh; }}
             location /outer/ {{ location ~ \\.sh$ {{ root %%DIR%%/html/outer/..; cgi_pass /bin/sh; }} }}
             location ~ ^/php/ {{ {params} %%DIR%%/html/$arg_file; fastcgi_pass {php}; }}
             location ~ ^/scgi/ {{ scgi_param SCRIPT_FILENAME %%DIR%%/html/$arg_file; scgi_pass {scgi}; }}
             location ~ ^/uwsgi/ {{ uwsgi_param SCRIPT_FILENAME %%DIR%%/html/$arg_file; uwsgi_pass {uwsgi}; }}
             location ~ ^/translated/ {{ fastcgi_param PATH_TRANSLATED %%DIR%%/html/$arg_file; fastcgi_pass {php}; }}
             location ~ ^/named/ {{ fastcgi_param DOCUMENT_ROOT %%DIR%%/html; fastcgi_param SCRIPT_NAME /$arg_file;
                 fastcgi_pass {php}; }}
             location ~ ^/scgi-named/ {{ scgi_param SCRIPT_NAME $arg_file; scgi_param DOCUMENT_ROOT %%DIR%%/html;
                 scgi_pass {scgi}; }}
             location ~ ^/front/ {{ {params} %%DIR%%/html/ok.php; fastcgi_param DOCUMENT_ROOT %%DIR%%/html;
                 fastcgi_param PATH_TRANSLATED %%DIR%%/html/$arg_file; fastcgi_param SCRIPT_NAME /$arg_file; fastcgi_pass {php}; }}
             location ~ ^/wsgi/ {{ uwsgi_param DOCUMENT_ROOT %%DIR%%/html; uwsgi_param PATH_INFO /$arg_file; uwsgi_pass {uwsgi}; }}
             location ~ ^/uwsgi-cgi/ {{ uwsgi_modifier1 9; uwsgi_param DOCUMENT_ROOT %%DIR%%/html;
                 uwsgi_param PATH_INFO /$arg_file; uwsgi_pass {uwsgi}; }}
             location ~ ^/loaded/ {{ uwsgi_param UWSGI_FILE %%DIR%%/html/$arg_file; uwsgi_pass {uwsgi}; }}
             location ~ ^/module/ {{ uwsgi_param UWSGI_SCRIPT $arg_file; uwsgi_pass {uwsgi}; }}
             location ~ ^/apache/ {{ {params} proxy:fcgi://a%%DIR%%/html/$arg_file; fastcgi_pass {php}; }}
             location ~ ^/(files|outer)/.*\\.php$ {{ {params} /in/a/container$fastcgi_script_name; fastcgi_pass {php}; }}
             location ~ ^/twice/ {{ {params} %%DIR%%/html/ok.php; {params} %%DIR%%/html/$arg_file; fastcgi_pass {php}; }}
             location ~ \\.sh$ {{ cgi_pass /bin/sh; }} }}
         server {{ listen 127.0.0.1:%%PORT2%%; root %%DIR%%/own; upload_store %%DIR%%/own/$host; cgi_extension .sh /bin/sh; }}"
    ));
    let setup = setup
        .file("html/ok.sh", SCRIPT)
        .file("html/ok.php", "")
        .file("html/outer/ok.sh", SCRIPT)
        .file("own/ok.sh", SCRIPT);
    let setup = setup.mkdir("html/files").mkdir("html/forms").mkdir("html/store").link("html/linked", "files");
    let setup = setup.mkdir("html/pages").link("html/linked-pages", "pages").file("html/closed/secret", "SECRET");
    let setup = setup.file("html/ssi/a.html", "<!--#include virtual=\"/closed/secret\" -->");
    let accel = "printf 'Content-Type: text/html\r\nX-Accel-Redirect: /pages/a.txt\r\n\r\n'";
    let setup = setup.file("html/accel.sh", accel);
    setup.allow_log("upstream").allow_log("CGI").allow_log("upload").allow_log("lies where").start()
}

#[test]
fn no_way_leads_from_an_upload_to_a_program() {
    if skip_on_nginx("uploads and CGI are ours") {
        return;
    }
    let s = start();
    let form = |target: &str, name: &str| post_files(&s, target, &[(name, SCRIPT)]).status;
    let put = |target: &str| s.method("PUT", target, "", SCRIPT.as_bytes()).status;
    let to = |method: &str, from: &str, to: &str| {
        let fields = format!("Destination: {to}\r\n");
        s.method(method, from, &fields, b"").status
    };
    for (what, status, expected) in [
        ("PUT", put("/files/put.sh"), 201),
        ("PUT of PHP", put("/files/put.php"), 201),
        ("PUT of a picture", put("/files/evil.jpg"), 201),
        ("PUT of a text", put("/files/a.txt"), 201),
        ("COPY", to("COPY", "/files/a.txt", "/files/copied.sh"), 204),
        ("MOVE", to("MOVE", "/files/a.txt", "/files/moved.sh"), 204),
        ("a form", form("/forms/", "form.sh"), 201),
        ("a form of a store", form("/store/", "form.sh"), 201),
        // The location that would run it takes no files.
        ("a form beside the programs", form("/", "evil.sh"), 403),
        ("PUT of a text beside the programs", put("/b.txt"), 201),
        ("COPY beside the programs", to("COPY", "/b.txt", "/evil.sh"), 403),
        ("MOVE beside the programs", to("MOVE", "/b.txt", "/evil.php"), 403),
        ("MOVE over a program", to("MOVE", "/b.txt", "/ok.sh"), 403),
    ] {
        assert_eq!(status, expected, "{what}");
    }
    assert!(!s.exists("html/evil.sh") && !s.exists("html/evil.php"));
    let page = "<!--#include virtual=\"/closed/secret\" -->";
    s.method("PUT", "/pages/a.html", "", page.as_bytes()).is(201);
    for (at, expected) in [("/pages/", page), ("/pages-linked/", page), ("/pages-run/", "SECRET"), ("/ssi/", "SECRET")]
    {
        s.get(&format!("{at}a.html")).is(200).body_is(expected);
    }
    // Nor does the type make it a page that an application gives it.
    s.method("PUT", "/pages/a.txt", "", page.as_bytes()).is(201);
    s.get("/accel.sh").is(200).has("Content-Type", "text/html").body_is(page);
    let mut table = Table::new("stored programs");
    let why = "uploads and CGI are ours";
    let rows: &[(usize, &str, u16, bool)] = &[
        (0, "/ok.sh", 200, true),
        (0, "/ok.php", 200, true),
        (1, "/ok.sh", 200, true),
        (1, "/outer/ok.sh", 200, true),
        (1, "/php/?file=ok.php", 200, true),
        (1, "/twice/?file=ok.php", 200, true),
        (1, "/trusted/put.sh", 200, true),
        // Files are files in their own place.
        (0, "/files/put.sh", 200, false),
        (0, "/store/form.sh", 200, false),
        (0, "/linked/put.sh", 403, false),
        (0, "/linked/put.php", 403, false),
        (0, "/linked/evil.jpg/x.php", 403, false),
        (0, "/linked/evil.jpg/x.php/y", 403, false),
        (0, "/linked/none/x.php", 403, false),
        // Applications look for a script above the names that are missing.
        (0, "/ok.php/x.php", 200, true),
        (0, "/b.txt/x.php", 403, false),
        (0, "/b.txt/none/x.php/y", 403, false),
        (1, "/php/?file=b.txt/x.php", 403, false),
        (1, "/php/?file=outer/../b.txt/x.php", 403, false),
        (1, "/scgi/?file=ok.php/x.php", 200, true),
        (1, "/scgi/?file=b.txt/x.php", 403, false),
        (1, "/uwsgi/?file=ok.php/x.php", 200, true),
        (1, "/uwsgi/?file=b.txt/x.php", 403, false),
        (1, "/files/put.sh", 403, false),
        (1, "/files-run/copied.sh/info", 403, false),
        (1, "/linked/moved.sh", 403, false),
        (1, "/forms/form.sh", 403, false),
        (1, "/store/form.sh", 403, false),
        (1, "/files-run/put.sh", 403, false),
        (1, "/files-run/moved.sh/info", 403, false),
        (1, "/forms-run/form.sh", 403, false),
        (1, "/store-run/form.sh", 403, false),
        (1, "/captured/put.sh", 403, false),
        (1, "/php/?file=files/put.php", 403, false),
        (1, "/php/?file=linked/put.php", 403, false),
        (1, "/php/?file=ok.php/../files/put.php", 403, false),
        (1, "/php/?file=files/evil.jpg/x.php", 403, false),
        (1, "/php/?file=outer/../files/./put.php", 403, false),
        (1, "/twice/?file=files/put.php", 403, false),
        (1, "/translated/?file=ok.php", 200, true),
        (1, "/translated/?file=files/put.php", 403, false),
        (1, "/named/?file=ok.php", 200, true),
        (1, "/named/?file=linked/put.php", 403, false),
        (1, "/scgi-named/?file=ok.php", 200, true),
        (1, "/scgi-named/?file=files/put.php", 403, false),
        // It has a SCRIPT_FILENAME, which is what counts.
        (1, "/front/?file=files/put.php", 200, true),
        // An application that runs no files of the request.
        (1, "/wsgi/?file=files/put.php", 200, true),
        (1, "/uwsgi-cgi/?file=ok.php", 200, true),
        (1, "/uwsgi-cgi/?file=files/put.sh", 403, false),
        (1, "/loaded/?file=ok.php", 200, true),
        (1, "/loaded/?file=files/put.php", 403, false),
        (1, "/module/?file=files.put", 200, true),
        (1, "/apache/?file=ok.php", 200, true),
        (1, "/apache/?file=files/put.php", 403, false),
        (1, "/outer/ok.php", 200, true),
        (1, "/files/put.php", 403, false),
        (1, "/files/evil.jpg/x.php", 403, false),
        (2, "/ok.sh", 403, false),
    ];
    for (at, target, status, runs) in rows {
        table.row(ours(why), &format!("{at} {target}"), || {
            let mut client = s.client_at(*at);
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
            let answer = client.response();
            answer.is(*status);
            assert_eq!(answer.text() == "EXECUTED", *runs, "{}", answer.show());
        });
    }
    let said = String::from_utf8_lossy(&s.setup.test_config().stderr).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("programs are run below a place")).collect();
    // UWSGI_SCRIPT of an argument counts: a client may name a path there.
    assert_eq!(lines.len(), 18, "{said}");
}
