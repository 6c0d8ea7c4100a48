//! Uploads from a page of another site, as README's lines for CORS allow them, with the visitor's cookie: Uppy and
//! tus-js-client in a browser, while the server is killed and reloaded.

use super::resume::throttle;
use super::*;

/// Uploads by the client that the page's argument names, to the server that another names.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>elsewhere</title><p id="status">waiting</p>
<script src="/tus.js"></script><script src="/uppy.js"></script><script>
const [how, endpoint, credentials] = location.search.slice(1).split(',');
const say = text => document.getElementById('status').textContent = text;
const bytes = Uint8Array.from({ length: 6000000 }, (_, at) => at * 31 >> 3);
const file = { name: how + ' é.bin', type: 'application/octet-stream', data: new Blob([bytes]) };
const withCredentials = credentials === 'yes', retryDelays = [0, 50, 200, 500, 1000, 2000, 4000, 8000];
if (how.startsWith('uppy')) {
    const uppy = new Uppy.Uppy();
    if (how === 'uppy-form') uppy.use(Uppy.XHRUpload, { endpoint, withCredentials, headers: { Accept: 'application/json' } });
    else uppy.use(Uppy.Tus, { endpoint, withCredentials, retryDelays, chunkSize: 500000 });
    uppy.on('complete', r => say(r.failed.length ? 'failed: ' + r.failed[0].error : 'stored'));
    uppy.addFile(file);
    uppy.upload();
} else {
    new tus.Upload(file.data, {
        endpoint, retryDelays, parallelUploads: how === 'tus-parts' ? 3 : 1, chunkSize: 500000,
        metadata: { filename: file.name, filetype: file.type },
        onBeforeRequest: request => { request.getUnderlyingObject().withCredentials = withCredentials; },
        onError: error => say('failed: ' + error), onSuccess: () => say('stored'),
    }).start();
}
</script>"#;

/// As README says it, for visitors that have a cookie.
fn store(origin: &str) -> Setup {
    server(&format!(
        r#"client_max_body_size 64m;
        location /res/ {{
            allowed_methods GET POST PUT DELETE; upload_resumable on; upload_cross_site on;
            add_header Access-Control-Allow-Origin {origin} always;
            add_header Access-Control-Allow-Credentials true always;
            add_header Access-Control-Expose-Headers "Location, Upload-Offset, Upload-Length, Upload-Complete, Tus-Resumable, Upload-Expires, Upload-Metadata, Upload-Concat" always;
            if ($request_method = OPTIONS) {{
                add_header_inherit merge;
                add_header Access-Control-Allow-Methods "POST, PUT, HEAD, PATCH, DELETE";
                add_header Access-Control-Allow-Headers "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Concat, Upload-Defer-Length, Upload-Checksum, Upload-Complete, Upload-Draft-Interop-Version, X-HTTP-Method-Override";
                return 204;
            }}
            if ($cookie_visitor != "known") {{ return 403; }}
        }}"#
    ))
    .file("html/index.html", "index")
    .mkdir("html/res")
    .restartable()
}

pub fn rows(table: &mut Table, browser: &mut Browser) {
    let Some(tus) = script(TUS) else { return };
    let Some(uppy) = script("uppy/dist/uppy.min.js") else { return };
    let site = server("location = /page.html { add_header Set-Cookie \"visitor=known; Path=/\"; }")
        .file("html/page.html", PAGE)
        .file("html/tus.js", tus)
        .file("html/uppy.js", uppy)
        .start();
    let origin = format!("http://127.0.0.1:{}", site.port());
    let whole: Vec<u8> = (0..6_000_000u32).map(|at| ((at * 31) >> 3) as u8).collect();
    let status = "document.getElementById('status').textContent";
    for how in ["uppy", "uppy-form", "tus", "tus-parts"] {
        table.row(OURS, &format!("{how} from a page of another site, with the visitor's cookie"), || {
            let mut s = store(&origin).start();
            let mut page = browser.page();
            let resumes = how != "uppy-form";
            if resumes {
                throttle(&mut page, 1 << 20);
            }
            page.open(&format!("{origin}/page.html?{how},http://127.0.0.1:{}/res/,yes", s.port()));
            if resumes {
                let there = |s: &Server| s.snapshot("html/res").values().map(|content| content.len()).sum::<usize>();
                eventually("a part is on the disk", || there(&s) > 600_000);
                s.signal(libc::SIGHUP);
                eventually("more is on the disk", || there(&s) > 1_200_000);
                s.kill_and_restart();
                throttle(&mut page, 0);
            }
            page.until(&format!("{status} !== 'waiting'"));
            assert_eq!(page.text(status), "stored");
            assert!(s.read(&format!("html/res/{how} é.bin")) == whole);
            page.open(&format!("{origin}/page.html?{how},http://127.0.0.1:{}/res/,no", s.port()));
            page.until(&format!("{status} !== 'waiting'"));
            assert!(page.text(status).starts_with("failed"), "without the cookie: {}", page.text(status));
        });
    }
}
