//! The page over HTTPS, with the certificate that `ssl_certificate auto` makes: by HTTP/1.1 and by HTTP/2. And
//! tus-js-client in a browser, which a page of the site loads.

use super::*;
use serde_json::json;

/// Uploads a file of three million bytes in pieces.
const PAGE: &str = r#"<!doctype html><title>tus</title><p id="status">waiting</p><script src="/tus.js"></script><script>
const status = document.getElementById('status');
const bytes = Uint8Array.from({ length: 3000000 }, (_, at) => at * 31 >> 3);
new tus.Upload(new Blob([bytes]), {
    endpoint: '/res/', chunkSize: 700000, metadata: { filename: 'by-tus.bin' },
    onError: error => status.textContent = String(error),
    onSuccess: () => status.textContent = 'stored',
}).start();
</script>"#;

fn setup(http2: &str) -> Setup {
    crate::harness::http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%% ssl; server_name localhost; ssl_certificate auto; {http2}
             root %%DIR%%/html; client_max_body_size 64m; access_log logs/access.log;
             location = /protocol {{ default_type text/html; return 200 \"<p>$server_protocol $ssl_protocol $scheme\"; }}
             location /res/ {{ autoindex on; autoindex_format page; autoindex_upload on; upload_resumable on;
                 allowed_methods GET POST PUT DELETE; }} }}"
    ))
    .file("html/tus.html", PAGE)
    .file("html/res/old.txt", "old!")
    .file("mine/one.txt", "the first file")
    .file("mine/large.dat", noise(24 << 20))
}

pub fn rows(table: &mut Table, browser: &mut Browser) {
    for (http2, protocol) in [("", "HTTP/1.1"), ("http2 on;", "HTTP/2.0")] {
        table.row(OURS, &format!("over HTTPS by {protocol}: a page, uploads, resumable ones"), || {
            let client = script(TUS);
            let s = setup(http2).file("html/tus.js", client.clone().unwrap_or_default()).start();
            let url = |path: &str| format!("https://localhost:{}{path}", s.port());
            let mut page = browser.page();
            // Where people would trust the authority of this machine (`webserv cert`).
            page.call("Security.setIgnoreCertificateErrors", json!({"ignore": true}));
            page.open(&url("/protocol"));
            assert_eq!(page.text("document.body.textContent"), format!("{protocol} TLSv1.3 https"));
            page.open(&url("/res/"));
            assert_eq!(names(&mut page), ["old.txt"]);
            page.choose("#file", &[&mine(&s, "one.txt"), &mine(&s, "large.dat")]);
            page.click("#up button");
            page.until("document.getElementById('status').textContent === '2 stored'");
            assert_eq!(s.read("html/res/one.txt"), b"the first file");
            assert!(s.read("html/res/large.dat") == noise(24 << 20));
            if client.is_some() {
                page.open(&url("/tus.html"));
                page.until("document.getElementById('status').textContent !== 'waiting'");
                assert_eq!(page.text("document.getElementById('status').textContent"), "stored");
                let whole: Vec<u8> = (0..3_000_000u32).map(|at| ((at * 31) >> 3) as u8).collect();
                assert!(s.read("html/res/by-tus.bin") == whole);
                let log = s.await_file("logs/access.log", |log| log.matches("PATCH /res/").count() >= 5);
                assert!(log.contains(protocol), "{log}");
            }
            let (complaints, urls) = page.seen();
            assert!(complaints.iter().all(|line| line.contains("favicon")), "the console: {complaints:?}");
            assert!(urls.iter().all(|seen| seen.starts_with(&url("/")) || seen.starts_with("data:")), "{urls:?}");
        });
    }
}
