//! axe-core finds nothing to complain of, in light and dark, wide and narrow. Skipped, and said so, where there is no
//! axe-core: `.ci/run` installs it, or `npm install -g axe-core`, or `WEBSERV_AXE=…/axe.min.js` names it.

use super::*;
use serde_json::json;
use std::process::Command;

fn axe_core() -> Option<String> {
    let named = std::env::var_os("WEBSERV_AXE").map(PathBuf::from);
    let ours = packages().join("node_modules/axe-core/axe.min.js");
    let installed = || {
        let out = Command::new("npm").args(["root", "-g"]).output().ok()?;
        let root = String::from_utf8(out.stdout).ok()?;
        Some(PathBuf::from(root.trim()).join("axe-core/axe.min.js"))
    };
    std::fs::read_to_string(named.or_else(|| ours.exists().then_some(ours)).or_else(installed)?).ok()
}

pub fn rows(table: &mut Table, browser: &mut Browser) {
    let Some(axe) = axe_core() else {
        return skipped(
            "no axe-core: npm install -g axe-core, or name axe.min.js in WEBSERV_AXE, to look for barriers",
        );
    };
    table.row(OURS, "axe-core finds no barrier", || {
        let s = setup().start();
        for (scheme, width) in [("light", 1000), ("dark", 1000), ("light", 360), ("dark", 360)] {
            for (path, action) in [
                ("/", ""),
                ("/up/", ""),
                ("/up/", "document.querySelector('#rows a.x').click()"),
                ("/up/", "document.querySelector('#rows a.m').click()"),
                ("/up/", "document.querySelector('#rows a[href^=old]').click()"),
                ("/up/?delete=old.txt", ""),
                ("/up/?move=old.txt", ""),
                ("/?search=old", ""),
            ] {
                let mut page = browser.page();
                let screen = json!({"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500});
                page.call("Emulation.setDeviceMetricsOverride", screen);
                let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
                page.call("Emulation.setEmulatedMedia", features);
                page.call("Page.setBypassCSP", json!({"enabled": true}));
                page.open(&url(&s, path));
                if !action.is_empty() {
                    page.eval(action);
                    page.until("document.querySelector('dialog[open]')");
                }
                page.eval(&format!("{axe}; 0"));
                let found = page.eval(
                    "axe.run(document, { resultTypes: ['violations'] })
                        .then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))",
                );
                assert_eq!(found, json!([]), "{scheme} {width} {path} {action}");
            }
        }
    });
}
