//! Deleting from the page: never without a question, with script or without.

use super::*;
use serde_json::json;

pub fn rows(table: &mut Table, browser: &mut Browser) {
    table.row(OURS, "a delete is asked about; Escape keeps the file and gives the focus back", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let link = "#rows a.x[aria-label='Delete old.txt']";
        page.eval(&format!("document.querySelector(\"{link}\").focus()"));
        page.press("Enter");
        page.until("document.getElementById('ask').open");
        page.shot("question");
        assert_eq!(page.text("document.getElementById('question').textContent"), "Delete old.txt?");
        assert_eq!(page.text("document.activeElement.textContent"), "Keep", "what is safe has the focus");
        // The focus stays in the dialog (or goes to the browser's own controls), whichever way it is sent.
        for _ in 0..4 {
            page.press("Tab");
            assert!(page.holds("document.activeElement.closest('#ask') || document.activeElement === document.body"));
        }
        page.press("Escape");
        page.until("!document.getElementById('ask').open");
        assert_eq!(page.text("document.activeElement.ariaLabel"), "Delete old.txt");
        assert!(s.exists("html/up/old.txt"));
        is_clean(&mut page, &s, &[]);
    });
    table.row(
        OURS,
        "a name that is read from right to left stands in questions and in the queue as in its row",
        || {
            let s = setup().file("html/up/דוח שנתי.txt", "x").start();
            let mut page = visit(browser, &s, "/up/");
            let shown = |page: &mut Page<'_>, selector: &str| {
                page.text(&format!("(bdi => bdi.dir + ' ' + bdi.innerHTML)(document.querySelector(\"{selector}\"))"))
            };
            assert_eq!(shown(&mut page, "#rows a[href*='%D7'] bdi"), "ltr <bdi>דוח שנתי</bdi>.txt");
            for (link, dialog, name) in [("a.x", "ask", "#name"), ("a.m", "to", "#from")] {
                page.click(&format!("#rows {link}[href*='%D7']"));
                page.until(&format!("document.getElementById('{dialog}').open"));
                assert_eq!(shown(&mut page, name), "ltr <bdi>דוח שנתי</bdi>.txt");
                page.press("Escape");
            }
            page.eval(
                "const chosen = new DataTransfer();
             chosen.items.add(new File(['new'], 'דוח חדש.txt'));
             document.getElementById('file').files = chosen.files;
             document.querySelector('#up .go').click(), 0",
            );
            page.until("document.querySelector('#queue .good')");
            assert_eq!(shown(&mut page, "#queue li > bdi"), "ltr <bdi>דוח חדש</bdi>.txt");
            is_clean(&mut page, &s, &[]);
        },
    );
    table.row(OURS, "yes deletes, says so, and leads on", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.click("#rows a.x[aria-label='Delete large.bin']");
        page.until("document.getElementById('ask').open");
        page.click("#ask button.bad");
        page.until("document.getElementById('status').textContent === 'Deleted large.bin'");
        assert!(!s.exists("html/up/large.bin"));
        assert_eq!(names(&mut page), ["sub", "grüße & <b>co.txt", "old.txt"]);
        assert_eq!(page.text("document.activeElement.ariaLabel"), "Delete old.txt", "the focus goes to what is next");
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "a folder that is not empty says why it stays", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.click("#rows a.x[aria-label='Delete sub']");
        page.until("document.getElementById('ask').open");
        page.click("#ask button.bad");
        page.until("document.getElementById('status').textContent.includes('was not deleted')");
        assert_eq!(
            page.text("document.getElementById('status').textContent"),
            "sub was not deleted: the folder is not empty"
        );
        assert!(s.exists("html/up/sub/inner.txt"));
        is_clean(&mut page, &s, &["409"]);
    });
    table.row(OURS, "without script a page asks", || {
        let s = setup().start();
        let mut page = browser.page();
        page.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        page.open(&url(&s, "/up/"));
        page.load(|page| page.click("#rows a.x[href*='gr']"));
        assert_eq!(page.text("document.querySelector('h1').textContent"), "Delete grüße & <b>co.txt?");
        page.shot("question-plain");
        page.load(|page| page.click("a[href='./']:not([aria-current])"));
        assert!(s.exists("html/up/grüße & <b>co.txt"));
        page.load(|page| page.click("#rows a.x[href*='gr']"));
        page.load(|page| page.click("button.bad"));
        assert!(page.text("location.href").ends_with("/up/"));
        assert_eq!(names(&mut page), ["sub", "large.bin", "old.txt"]);
        assert!(!s.exists("html/up/grüße & <b>co.txt"));
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "a folder with all in it where that is allowed", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/tree/");
        page.click("#rows a.x[aria-label='Delete full']");
        page.until("document.getElementById('ask').open");
        page.click("#ask button.bad");
        page.until("document.getElementById('status').textContent === 'Deleted full'");
        assert!(!s.exists("html/tree/full"));
    });
}
