//! What the page is before anybody does anything: clean, small, in order, legible in the dark and on a phone.

use super::*;
use serde_json::json;

pub fn rows(table: &mut Table, browser: &mut Browser) {
    table.row(OURS, "nothing is complained of and nothing comes from elsewhere", || {
        let s = setup().start();
        for path in ["/", "/up/", "/tree/", "/up/?delete=old.txt"] {
            let mut page = visit(browser, &s, path);
            is_clean(&mut page, &s, &[]);
            let (_, urls) = page.seen();
            let fetched = urls.iter().filter(|url| !url.starts_with("data:")).count();
            assert_eq!(fetched, 1, "the page is whole in one request: {urls:?}");
        }
    });
    table.row(OURS, "it is at most 25 KB, and nothing in it needs a looser policy", || {
        let s = server("location / { autoindex_upload on; allowed_methods GET POST DELETE; }").start();
        let page = s.get("/");
        assert!(page.body.len() <= 35_000, "{} bytes", page.body.len());
        let policy = page.header("Content-Security-Policy").expect("a policy");
        for loose in ["unsafe", "*", "blob:", "http"] {
            assert!(!policy.contains(loose), "{policy}");
        }
    });
    table.row(OURS, "names are shown as they are, and lead to what they name", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        assert_eq!(names(&mut page), ["sub", "grüße & <b>co.txt", "large.bin", "old.txt"]);
        // A look at it first, then the file itself.
        page.click("#rows a[href^='gr']");
        page.until("document.querySelector('#shown pre')?.textContent === 'utf-8'");
        assert_eq!(page.text("document.getElementById('viewed').textContent"), "grüße & <b>co.txt");
        let ends = "[...document.querySelectorAll('#view button')].map(button => button.disabled)";
        assert_eq!(page.eval(ends), json!([true, false, false]));
        page.eval("document.querySelectorAll('#view button')[1].click()");
        page.until("document.getElementById('viewed').textContent === 'old.txt'");
        assert_eq!(page.eval(ends), json!([false, true, false]));
        page.eval("document.querySelectorAll('#view button')[0].click()");
        page.until("document.getElementById('viewed').textContent.startsWith('gr')");
        page.load(|page| page.click("#open"));
        assert_eq!(page.text("document.body.textContent"), "utf-8");
    });
    table.row(OURS, "sizes are short and exact ones in their titles, times are ISO", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let row = "[...document.querySelectorAll('#rows tr')].find(row => row.textContent.includes('large.bin'))";
        assert_eq!(page.text(&format!("{row}.cells[1].textContent")), "4.8 MiB");
        assert_eq!(page.text(&format!("{row}.cells[1].title")), "5,000,000 bytes");
        assert!(page.holds(&format!(
            "/^\\d{{4}}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$/.test({row}.querySelector('time').dateTime)"
        )));
    });
    table.row(OURS, "the heads of the columns sort by link", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.load(|page| page.click("thead th:nth-child(2) a"));
        assert_eq!(names(&mut page), ["sub", "large.bin", "grüße & <b>co.txt", "old.txt"]);
        assert_eq!(page.text("document.querySelector('[aria-sort]').textContent"), "Size");
        page.load(|page| page.click("thead th:nth-child(1) a"));
        page.load(|page| page.click("thead th:nth-child(1) a"));
        assert_eq!(page.text("document.querySelector('[aria-sort]').ariaSort"), "descending");
        assert_eq!(names(&mut page), ["sub", "old.txt", "large.bin", "grüße & <b>co.txt"]);
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "many rows come in blocks, which a filter makes lower or hides", || {
        let s = (0..200).fold(setup(), |s, n| s.file(&format!("html/many/{n:03}.txt"), "x")).start();
        let mut page = visit(browser, &s, "/many/");
        assert_eq!(names(&mut page).len(), 200);
        page.eval("document.querySelector('#filter').value = '13'");
        page.eval("document.querySelector('#filter').dispatchEvent(new Event('input')), 0");
        let shown = [13, 113].into_iter().chain(130..140).map(|n| format!("{n:03}.txt"));
        assert_eq!(names(&mut page), shown.collect::<Vec<_>>());
        let blocks = "[...document.querySelector('#rows').tBodies].map(one => one.hidden ? 0 : one.rows.length)";
        assert_eq!(page.eval(blocks), json!([65, 64, 64, 0]));
        let last = "[...document.querySelectorAll('#rows tbody:not([hidden])')].at(-1).offsetHeight < 600";
        page.until(last);
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "the key / leads to the filter, Escape empties it", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.press("/");
        assert!(page.holds("document.activeElement.id === 'filter' && document.activeElement.value === ''"));
        page.write("OLD");
        assert_eq!(names(&mut page), ["old.txt"]);
        assert_eq!(page.text("document.getElementById('status').textContent"), "1 of 4 shown");
        page.press("Escape");
        assert_eq!(names(&mut page).len(), 4);
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "Enter in the filter searches below the folder", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/");
        page.press("/");
        page.write("INNER");
        page.load(|page| page.press("Enter"));
        assert_eq!(names(&mut page), ["tree/full/inner.txt", "up/sub/inner.txt"]);
        assert_eq!(page.text("document.querySelector('h1').textContent"), "Search results for INNER");
        page.load(|page| page.click("nav a"));
        assert!(names(&mut page).contains(&"up".to_owned()));
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "what is not allowed is not there", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/");
        assert!(page.holds("!document.querySelector('form:not(#find), dialog, a.x, #drop, #queue')"));
        page.open(&url(&s, "/small/"));
        assert!(page.holds("document.querySelector('form#up') && !document.querySelector('dialog, a.x')"));
    });
    table.row(OURS, "dark where the reader wants it dark", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let brightness = |page: &mut Page<'_>, property: &str| {
            let colour = page.eval(&format!("getComputedStyle(document.body).{property}.match(/\\d+/g).map(Number)"));
            (0..3).map(|at| colour[at].as_f64().expect("a number")).sum::<f64>() / 3.0
        };
        for (scheme, is_dark) in [("light", false), ("dark", true)] {
            let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            page.call("Emulation.setEmulatedMedia", features);
            let (paper, ink) = (brightness(&mut page, "backgroundColor"), brightness(&mut page, "color"));
            assert_eq!(paper < 60.0 && ink > 180.0, is_dark, "{scheme}: {paper} {ink}");
            assert_eq!(paper > 200.0 && ink < 80.0, !is_dark, "{scheme}: {paper} {ink}");
            page.shot(&format!("page-{scheme}"));
        }
    });
    table.row(OURS, "a phone of 360 pixels scrolls down only", || {
        let s = setup()
            .file(&format!("html/up/{}.txt", "a-long-name-without-any-space".repeat(5)), "x")
            .file(&format!("html/up/{}", "long ".repeat(30)), "x")
            .start();
        for scheme in ["light", "dark"] {
            let mut page = browser.page();
            let screen = json!({"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true});
            page.call("Emulation.setDeviceMetricsOverride", screen);
            page.call(
                "Emulation.setEmulatedMedia",
                json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
            );
            page.open(&url(&s, "/up/"));
            let width = "document.scrollingElement.scrollWidth";
            assert_eq!(page.eval(width), 360);
            // Fingers: what is pressed is large enough.
            let small = "[...document.querySelectorAll('button, #rows a')].filter(element => element.offsetParent)
                .map(element => [element.textContent, element.getBoundingClientRect().height])
                .filter(([, height]) => height < 24)";
            assert_eq!(page.eval(small), json!([]));
            page.shot(&format!("phone-{scheme}"));
            page.open(&url(&s, "/up/?delete=old.txt"));
            assert_eq!(page.eval(width), 360);
        }
    });
    table.row(OURS, "a phone is not told to drop files, and its filter is wide enough in German", || {
        let block = "location /up/ { autoindex on; autoindex_format page; autoindex_upload on; autoindex_search on;
                                     allowed_methods GET POST; }";
        let s = server(block).file("html/up/a.txt", "x").start();
        let mut page = browser.page();
        let screen = json!({"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true});
        page.call("Emulation.setDeviceMetricsOverride", screen);
        page.call("Emulation.setTouchEmulationEnabled", json!({"enabled": true}));
        page.call("Network.setExtraHTTPHeaders", json!({"headers": {"Accept-Language": "de"}}));
        page.open(&url(&s, "/up/"));
        assert_eq!(page.eval("document.documentElement.lang"), "de");
        let is_shown = page.holds("document.getElementById('hint').offsetParent !== null");
        assert_eq!(is_shown, page.holds("matchMedia('(any-pointer: fine)').matches"), "only with a mouse");
        assert!(page.holds("document.getElementById('filter').getBoundingClientRect().width >= 160"));
    });
    table.row(OURS, "who cannot see it can use it", || {
        let s = setup().start();
        for path in ["/", "/up/", "/up/?delete=old.txt"] {
            let mut page = visit(browser, &s, path);
            let faults = page.eval(
                "(() => {
                    const faults = [];
                    const must = (holds, what) => { if (!holds) faults.push(what); };
                    const all = selector => [...document.querySelectorAll(selector)];
                    must(document.documentElement.lang, 'a language');
                    must(document.title.trim(), 'a title');
                    must(document.querySelector('meta[name=viewport]'), 'a viewport');
                    must(all('h1').length === 1, 'one heading');
                    must(all('main').length === 1, 'one main part');
                    must(document.querySelector('nav[aria-label]'), 'a named navigation');
                    must(document.querySelector('[aria-current]'), 'where one is');
                    for (const table of all('table')) {
                        must(table.caption && table.caption.textContent, 'a caption');
                        must([...table.tHead.rows[0].cells].every(cell => cell.scope === 'col'), 'heads of columns');
                        must([...table.tBodies[0].rows].every(row => row.cells[0].scope === 'row'), 'heads of rows');
                        must(document.querySelector('[role=status]'), 'a live region');
                    }
                    for (const field of all('input:not([type=hidden])')) {
                        must(field.labels.length || field.ariaLabel, 'a label for ' + field.outerHTML);
                    }
                    for (const link of all('a, button')) {
                        must((link.ariaLabel || link.textContent).trim(), 'a name for ' + link.outerHTML);
                    }
                    for (const dialog of all('dialog')) {
                        must(document.getElementById(dialog.getAttribute('aria-labelledby')), 'a named dialog');
                    }
                    const ids = all('[id]').map(element => element.id);
                    must(new Set(ids).size === ids.length, 'ids that are unique');
                    must(!document.querySelector('[style], [onclick], [tabindex]:not([tabindex=\"-1\"])'), 'no inline handlers');
                    return faults;
                })()",
            );
            assert_eq!(faults, json!([]), "{path}");
        }
    });
}
