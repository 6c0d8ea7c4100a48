//! The handbook's search box, which the page of directives answers.

use super::*;
use serde_json::json;

fn handbook() -> Server {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("www/handbook");
    let mut setup = server("location / { add_header Content-Security-Policy \"default-src 'self'\"; }");
    for name in ["directives.html", "directives.js", "style.css", "favicon.svg"] {
        setup = setup.file(&format!("html/{name}"), std::fs::read(dir.join(name)).expect("a page"));
    }
    setup.start()
}

const SHOWN: &str = "[...document.querySelectorAll('main section:not([hidden]) h2')].map(h => h.textContent)";

pub fn rows(table: &mut Table, browser: &mut Browser) {
    table.row(OURS, "the handbook's search finds what people come for, and says where nothing is found", || {
        let s = handbook();
        for (words, first) in [
            ("reverse proxy", "Applications: Reverse proxy"),
            ("websocket upgrade", "Applications: WebSocket and events"),
            ("php-fpm", "Applications: PHP (FastCGI)"),
            ("htpasswd satisfy", "Applications: Passwords"),
            // No section has both.
            ("zzqq WordPress", "Applications: PHP (FastCGI)"),
        ] {
            let mut page = visit(browser, &s, &format!("/directives.html?q={}", words.replace(' ', "+")));
            assert!(page.holds(&format!("{SHOWN}.includes('{first}')")), "{words}: {}", page.eval(SHOWN));
            assert_eq!(page.text("document.querySelector('h1').textContent"), format!("Search: {words}"));
            is_clean(&mut page, &s, &[]);
        }
        let mut page = visit(browser, &s, "/directives.html?q=zzqq");
        assert!(page.text("document.getElementById('count').textContent").starts_with("Nothing found."));
        let others = "document.querySelectorAll('main section:not(.chapter):not([hidden])').length";
        assert!(page.holds(&format!("{SHOWN}.length > 10 && {others} === 0")));
    });
    table.row(OURS, "the page of directives is no wider than a phone", || {
        let s = handbook();
        let mut page = browser.page();
        let screen = json!({"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true});
        page.call("Emulation.setDeviceMetricsOverride", screen);
        page.open(&url(&s, "/directives.html"));
        assert_eq!(page.eval("document.scrollingElement.scrollWidth"), 360);
    });
}
