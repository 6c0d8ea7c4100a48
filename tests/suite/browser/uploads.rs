//! Uploading from the page: by the plain form, by the script, by dropping; refused, cancelled, replaced.

use super::*;
use serde_json::json;

/// The line of the queue that a file has.
fn line(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#queue li')].find(line => line.querySelector('bdi').textContent === '{name}')"
    )
}

#[track_caller]
fn note(page: &mut Page<'_>, name: &str) -> String {
    page.text(&format!("{}.querySelector('.note').textContent", line(name)))
}

pub fn rows(table: &mut Table, browser: &mut Browser) {
    table.row(OURS, "a plain form uploads without script", || {
        let s = setup().start();
        let mut page = browser.page();
        page.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        page.open(&url(&s, "/up/"));
        assert!(page.holds("!document.getElementById('zone').hidden"), "no script ran");
        page.choose("#file", &[&mine(&s, "one.txt"), &mine(&s, "naïve 文件 %41.txt")]);
        page.load(|page| page.click("#up button"));
        assert!(page.text("location.href").ends_with("/up/"));
        assert_eq!(
            names(&mut page),
            ["sub", "grüße & <b>co.txt", "large.bin", "naïve 文件 %41.txt", "old.txt", "one.txt"]
        );
        assert_eq!(s.read("html/up/one.txt"), b"the first file");
        assert_eq!(s.read("html/up/naïve 文件 %41.txt"), b"named in UTF-8");
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "a plain form that is refused says why", || {
        let s = setup().start();
        let mut page = browser.page();
        page.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        page.open(&url(&s, "/up/"));
        page.choose("#file", &[&mine(&s, "one.txt"), &mine(&s, "old.txt")]);
        page.load(|page| page.click("#up button"));
        let text = page.text("document.body.innerText");
        assert!(text.contains("old.txt was not stored: the name is taken"), "{text}");
        assert!(!s.exists("html/up/one.txt"));
        page.load(|page| page.click("main p a"));
        assert_eq!(names(&mut page).len(), 4, "back in the folder");
    });
    table.row(OURS, "two files, with progress, and the listing shows them", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.choose("#file", &[&mine(&s, "one.txt"), &mine(&s, "naïve 文件 %41.txt")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '2 stored'");
        page.until("document.querySelectorAll('#rows tbody tr:not(.up)').length === 6");
        assert_eq!(note(&mut page, "one.txt"), "stored");
        assert!(page.holds("[...document.querySelectorAll('#queue progress')].every(bar => bar.value === bar.max)"));
        assert_eq!(s.read("html/up/one.txt"), b"the first file");
        assert_eq!(s.read("html/up/naïve 文件 %41.txt"), b"named in UTF-8");
        page.shot("stored");
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "files that are dropped are uploaded", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let files = [mine(&s, "one.txt"), mine(&s, "two.txt")];
        let files = [&*files[0], &*files[1]];
        page.drag("dragEnter", &files);
        page.drag("dragOver", &files);
        page.until("!document.getElementById('drop').hidden");
        page.shot("drop");
        page.drag("drop", &files);
        page.until("document.getElementById('status').textContent === '2 stored'");
        assert!(page.holds("document.getElementById('drop').hidden"));
        assert_eq!(s.read("html/up/two.txt"), b"the second file");
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "each refused file of a dropped folder stays told, however many come after it", || {
        let s = setup().start();
        std::fs::create_dir(s.path("mine/album")).expect("mkdir");
        std::fs::create_dir(s.path("html/tree/album")).expect("mkdir");
        for n in 0..300 {
            s.write(&format!("mine/album/{n}"), "mine");
            s.write(&format!("html/tree/album/{n}"), "theirs");
        }
        let mut page = visit(browser, &s, "/tree/");
        let folder = mine(&s, "album");
        for what in ["dragEnter", "dragOver", "drop"] {
            page.drag(what, &[&folder]);
        }
        page.until("document.querySelectorAll('#queue .done').length === 300");
        assert_eq!(note(&mut page, "album/0"), "the name is taken");
        // What is chosen next makes room.
        page.choose("#file", &[&mine(&s, "one.txt")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(page.holds("document.querySelectorAll('#queue li').length === 1"));
    });
    table.row(
        OURS,
        "hidden files of a dropped folder are left out, and of many rows those that were stored go",
        || {
            let s = setup().start();
            std::fs::create_dir_all(s.path("mine/mac/.git")).expect("mkdir");
            for name in [".DS_Store", "Thumbs.db", ".git/config"] {
                s.write(&format!("mine/mac/{name}"), "hidden");
            }
            (0..12).for_each(|n| s.write(&format!("mine/mac/{n}"), "mine"));
            let mut page = visit(browser, &s, "/tree/");
            let folder = mine(&s, "mac");
            for what in ["dragEnter", "dragOver", "drop"] {
                page.drag(what, &[&folder]);
            }
            page.until("document.getElementById('status').textContent.includes('left out: 3')");
            page.until("!document.querySelector('#queue li')");
            assert_eq!(s.snapshot("html/tree/mac").len(), 12);
            is_clean(&mut page, &s, &[]);
        },
    );
    table.row(OURS, "a dropped folder keeps its dot files where any name is stored", || {
        let s = setup().mkdir("html/any").start();
        std::fs::create_dir_all(s.path("mine/work/.git")).expect("mkdir");
        for name in [".env", ".git/config", "desktop.ini"] {
            s.write(&format!("mine/work/{name}"), "mine");
        }
        let mut page = visit(browser, &s, "/any/");
        let folder = mine(&s, "work");
        for what in ["dragEnter", "dragOver", "drop"] {
            page.drag(what, &[&folder]);
        }
        page.until("document.getElementById('status').textContent === '3 stored'");
        assert_eq!(s.read("html/any/work/.git/config"), b"mine");
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "of two folders that are dropped one after the other the sum is told once", || {
        let s = setup().start();
        for name in ["first", "second"] {
            std::fs::create_dir_all(s.path(&format!("mine/{name}"))).expect("mkdir");
            s.write(&format!("mine/{name}/a"), name);
        }
        let mut page = visit(browser, &s, "/tree/");
        // The first folder is read only when the second one is stored.
        page.eval(
            "{
                const item = DataTransferItem.prototype;
                const get = item.webkitGetAsEntry;
                item.webkitGetAsEntry = function () {
                    item.webkitGetAsEntry = get;
                    const entry = get.call(this);
                    const reader = entry.createReader();
                    const read = (...args) => reader.readEntries(...args);
                    const hold = (...args) => { held.readEntries = read; window.goOn = () => read(...args); };
                    const held = { readEntries: hold };
                    entry.createReader = () => held;
                    return entry;
                };
            }",
        );
        for name in ["first", "second"] {
            let folder = mine(&s, name);
            for what in ["dragEnter", "dragOver", "drop"] {
                page.drag(what, &[&folder]);
            }
        }
        page.until("document.querySelector('#queue .note')?.textContent === 'stored'");
        page.eval("goOn()");
        page.until("document.getElementById('status').textContent === '2 stored'");
        assert_eq!(s.read("html/tree/first/a"), b"first");
    });
    table.row(OURS, "what is cancelled while it waits counts as not stored", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        s.signal(libc::SIGSTOP);
        page.choose("#file", &[&mine(&s, "one.txt"), &mine(&s, "two.txt"), &mine(&s, "large.dat")]);
        page.click("#up button");
        page.until(&format!("{}?.querySelector('.note').textContent === 'waiting'", line("large.dat")));
        page.eval(&format!("{}.querySelector('button').click()", line("large.dat")));
        s.signal(libc::SIGCONT);
        page.until("document.getElementById('status').textContent === '2 stored, 1 not stored'");
    });
    table.row(OURS, "a drag that leaves again leaves no veil", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let file = mine(&s, "one.txt");
        page.drag("dragEnter", &[&file]);
        page.until("!document.getElementById('drop').hidden");
        page.drag("dragOver", &[&file]);
        // The protocol's dragCancel sends the page nothing: what browsers send when files pass over an element, and
        // when they leave the window.
        let leave = "document.body.dispatchEvent(new DragEvent('dragleave', { bubbles: true, relatedTarget: TO }))";
        page.eval(&leave.replace("TO", "document.body.firstElementChild"));
        assert!(!page.holds("document.getElementById('drop').hidden"));
        page.eval(&leave.replace("TO", "null"));
        assert!(page.holds("document.getElementById('drop').hidden"));
        assert!(!s.exists("html/up/one.txt"));
    });
    table.row(OURS, "what is refused says the server's reason", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/small/");
        page.choose("#file", &[&mine(&s, "large.dat"), &mine(&s, "program.exe"), &mine(&s, "one.txt")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 stored, 2 not stored'");
        for (name, why) in
            [("large.dat", "too large: at most 1.0 KiB"), ("program.exe", "files with this extension are not accepted")]
        {
            let said = note(&mut page, name);
            assert!(said.starts_with(why), "{name}: {said}");
        }
        assert!(page.holds("!document.querySelector('#queue button')"), "they would be refused again");
        assert_eq!(s.snapshot("html/small").len(), 2);
        page.shot("refused");
        is_clean(&mut page, &s, &["413", "415", "net::ERR"]);
    });
    table.row(OURS, "a name that is taken: replaced when asked, once", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.choose("#file", &[&mine(&s, "old.txt")]);
        page.click("#up button");
        page.until(&format!("{}.querySelector('button.replace')", line("old.txt")));
        page.shot("taken");
        assert_eq!(note(&mut page, "old.txt"), "the name is taken");
        assert_eq!(s.read("html/up/old.txt"), b"old!");
        page.click("#queue button.replace");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert_eq!(s.read("html/up/old.txt"), b"mine");
        assert!(page.holds("document.activeElement.id === 'file'"), "the focus is not lost with the button");
        is_clean(&mut page, &s, &["409"]);
    });
    table.row(OURS, "where nothing may be replaced, nothing is offered", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/small/");
        page.choose("#file", &[&mine(&s, "old.txt")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 not stored'");
        assert_eq!(note(&mut page, "old.txt"), "the name is taken");
        assert!(page.holds("!document.querySelector('#queue .replace')"));
    });
    table.row(OURS, "an upload that is cancelled half-way leaves nothing", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        let before = s.snapshot("html/up");
        // A server that stands still: the upload stays where the buffers are full.
        s.signal(libc::SIGSTOP);
        page.choose("#file", &[&mine(&s, "large.dat")]);
        page.click("#up button");
        page.until(&format!("{}?.querySelector('progress').value > 0", line("large.dat")));
        assert!(page.holds("[...document.querySelectorAll('#queue progress')].every(bar => bar.value < bar.max)"));
        page.shot("progress");
        page.click("#queue button");
        page.until(&format!("{}.querySelector('.note').textContent === 'cancelled'", line("large.dat")));
        s.signal(libc::SIGCONT);
        eventually("nothing is left", || {
            s.get("/").is(200);
            s.snapshot("html/up") == before
        });
        assert_eq!(page.text("document.querySelector('#queue button').textContent"), "Try again");
        // Again, and whole.
        page.click("#queue button");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(s.read("html/up/large.dat") == noise(24 << 20));
        is_clean(&mut page, &s, &[]);
    });
    table.row(OURS, "who leaves amid an upload is asked, and may stay", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        s.signal(libc::SIGSTOP);
        page.choose("#file", &[&mine(&s, "large.dat")]);
        page.click("#up button");
        page.until("document.querySelector('#queue progress')?.value > 0");
        page.call("Page.reload", json!({}));
        page.await_event("Page.javascriptDialogOpening");
        page.call("Page.handleJavaScriptDialog", json!({"accept": false}));
        s.signal(libc::SIGCONT);
        page.until("document.getElementById('status').textContent === '1 stored'");
    });
    table.row(OURS, "the keyboard is enough", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/up/");
        page.choose("#file", &[&mine(&s, "one.txt")]);
        page.eval("document.getElementById('file').focus()");
        page.press("Tab");
        assert_eq!(page.text("document.activeElement.textContent"), "Upload");
        page.press("Enter");
        page.until("document.getElementById('status').textContent === '1 stored'");
    });
}
