//! upload_store with variables: a resumable upload goes on where it was begun.

use super::resumable::{OCTETS, filename, patch, tus};
use super::resumable_parts::names;
use super::*;

fn stored_in(store: &str) -> Setup {
    let block = format!(
        "map $request_id $shard {{ '~^(?<half>.{{16}})(.)' $half/$2; }}
         split_clients $request_id $half_of_all {{ 50% left; * right; }}
         server {{
             listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; client_max_body_size 10m;
             location /a/ {{
                 allowed_methods GET POST PUT DELETE; upload_resumable on; upload_create_path on;
                 upload_store %%DIR%%/elsewhere/{store};
             }}
         }}"
    );
    http(&block).file("html/index.html", "index").mkdir("elsewhere")
}

/// The path below `dir` of the one file there.
fn only(s: &Server, dir: &str) -> String {
    let entries: Vec<String> = names(s, dir).into_iter().filter(|entry| !entry.starts_with('.')).collect();
    let [entry] = &entries[..] else { panic!("{dir}: {entries:?}") };
    match s.path(&format!("{dir}/{entry}")).is_dir() {
        true => format!("{entry}/{}", only(s, &format!("{dir}/{entry}"))),
        false => entry.clone(),
    }
}

/// Where that file is, which has this name at the end of its path.
fn stored(s: &Server, name: &str) -> String {
    let path = only(s, "elsewhere");
    assert!(path.ends_with(&format!("/{name}")), "{path}");
    format!("elsewhere/{path}")
}

/// A creation was answered with 201, and each PATCH of its URL with 404.
#[test]
fn an_upload_goes_on_though_each_request_has_another_value_of_a_variable_of_its_store() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("variables that differ between requests");
    for store in [
        "$request_id",
        "$request_id/in",
        "$request_method",
        "$time_iso8601-$connection",
        "$msec-$request_length",
        "$shard",
        "$half_of_all-$request_id",
        "$content_type-$http_upload_length",
    ] {
        table.row(OURS, store, || {
            let mut s = stored_in(store).restartable().start();
            let fields = format!("Upload-Length: 4\r\nContent-Type: text/plain\r\n{}", filename("t"));
            let target = located(tus(&s, "POST", "/a/", &fields, b"").is(201));
            tus(&s, "HEAD", &target, "", b"").is(200).has("Upload-Offset", "0");
            patch(&s, &target, 0, b"ab").is(204);
            s.kill_and_restart();
            tus(&s, "HEAD", &target, "", b"").is(200).has("Upload-Offset", "2");
            patch(&s, &target, 2, b"cd").is(204).has("Content-Location", "/a/t");
            assert_eq!(s.read(&stored(&s, "t")), b"abcd");
        });
    }
    table.row(OURS, "the draft, of a PUT in a folder", || {
        let s = running(stored_in("$request_id"));
        let begun = s.method("PUT", "/a/in/d", "Upload-Complete: ?0\r\n", b"ab");
        let fields = "Content-Type: application/partial-upload\r\nUpload-Offset: 2\r\nUpload-Complete: ?1\r\n";
        s.method("PATCH", &located(begun.is(201)), fields, b"cd").is(201);
        assert_eq!(s.read(&stored(&s, "in/d")), b"abcd");
    });
    table.row(OURS, "a whole of parts", || {
        let s = running(stored_in("$request_id"));
        let part = |content: &[u8]| {
            let fields = format!("Upload-Concat: partial\r\nUpload-Length: 2\r\n{OCTETS}");
            located(tus(&s, "POST", "/a/", &fields, content).is(201))
        };
        let concat = format!("Upload-Concat: final;{} {}\r\n{}", part(b"ab"), part(b"cd"), filename("w"));
        tus(&s, "POST", "/a/", &concat, b"").is(201);
        assert_eq!(s.read(&stored(&s, "w")), b"abcd");
    });
}

/// What may tell clients apart does not change on the way; the log says why the upload is not found.
#[test]
fn an_upload_is_not_found_by_a_request_whose_variables_lead_to_the_store_of_another() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("variables that tell clients apart");
    for (store, place) in [("$http_x_tenant", "ann"), ("of-$http_x_tenant/$request_method", "of-ann/POST")] {
        table.row(OURS, store, || {
            let s = running(stored_in(store));
            let of = |tenant: &str| format!("X-Tenant: {tenant}\r\n");
            let fields = format!("{}Upload-Length: 2\r\n{}", of("ann"), filename("t"));
            let target = located(tus(&s, "POST", "/a/", &fields, b"").is(201));
            tus(&s, "HEAD", &target, &of("bob"), b"").is(404);
            s.await_file("logs/error.log", |log| log.contains("an upload begun for"));
            let append = format!("{OCTETS}Upload-Offset: 0\r\n");
            tus(&s, "PATCH", &target, &format!("{append}{}", of("bob")), b"xy").is(404);
            tus(&s, "PATCH", &target, &format!("{append}{}", of("ann")), b"ab").is(204);
            assert_eq!(s.read(&format!("elsewhere/{place}/t")), b"ab");
        });
    }
}
