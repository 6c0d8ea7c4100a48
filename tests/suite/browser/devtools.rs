//! A real Chromium, driven by the DevTools protocol over a pair of pipes (`--remote-debugging-pipe`: JSON messages,
//! each ended by a NUL). Knows the protocol and no page of ours. One browser a test process; each page has a browser
//! context of its own, so that nothing is left over from another.

use crate::os;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A browser on a machine that is busy with tests.
const LIMIT: Duration = Duration::from_secs(60);

/// Its start, from a disk that has not seen it for a while.
const START: Duration = Duration::from_secs(120);

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"];

pub struct Browser {
    child: Child,
    to: File,
    from: File,
    /// Received and not yet taken apart.
    buf: Vec<u8>,
    number: u64,
    /// Events of all pages that no caller has taken yet.
    events: Vec<Value>,
    profile: PathBuf,
    /// How long an answer may take.
    patience: Duration,
}

impl Browser {
    /// None where there is no browser; `CHROMIUM=path` names one.
    pub fn start() -> Option<Browser> {
        let program = std::env::var_os("CHROMIUM").map(PathBuf::from).or_else(|| {
            let path = std::env::var_os("PATH")?;
            let mut all = std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
            all.find(|candidate| candidate.is_file())
        })?;
        let profile = std::env::temp_dir().join(format!("webserv-browser-{}", std::process::id()));
        std::fs::create_dir_all(&profile).expect("temporary directory");
        let (theirs_in, to) = os::pipe();
        let (from, theirs_out) = os::pipe();
        let mut command = Command::new(program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        // No proxy of the environment stands between the browser and the server beside it.
        command.arg("--no-proxy-server").env("HOME", &profile).env("TMPDIR", &profile);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        os::inherit_as(&mut command, vec![(theirs_in.as_raw_fd(), 3), (theirs_out.as_raw_fd(), 4)]);
        let child = command.spawn().expect("the browser starts");
        let file = |fd: OwnedFd| File::from(fd);
        let (to, from) = (file(to), file(from));
        let mut browser =
            Browser { child, to, from, buf: Vec::new(), number: 0, events: Vec::new(), profile, patience: START };
        browser.call(None, "Browser.getVersion", json!({}));
        browser.patience = LIMIT;
        Some(browser)
    }

    /// An empty page of its own, its events switched on.
    pub fn page(&mut self) -> Page<'_> {
        let context = self.call(None, "Target.createBrowserContext", json!({}))["browserContextId"].clone();
        let wanted = json!({"url": "about:blank", "browserContextId": context, "width": 1000, "height": 700});
        let target = self.call(None, "Target.createTarget", wanted)["targetId"].clone();
        let attached = self.call(None, "Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        self.events.clear();
        let mut page = Page { browser: self, context, session };
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.call("Page.setLifecycleEventsEnabled", json!({"enabled": true}));
        page
    }

    #[track_caller]
    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut message = json!({"id": number, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser reads");
        loop {
            let Some(mut message) = self.receive() else { panic!("no answer to {method} within {:?}", self.patience) };
            if message["id"] == number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The next message; None when patience ends.
    fn receive(&mut self) -> Option<Value> {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(at) = self.buf.iter().position(|&byte| byte == 0) {
                let message: Vec<u8> = self.buf.drain(..=at).collect();
                return Some(serde_json::from_slice(&message[..at]).expect("the browser speaks JSON"));
            }
            if !os::readable(self.from.as_raw_fd(), end.saturating_duration_since(Instant::now())) {
                return None;
            }
            let mut chunk = [0; 65536];
            let n = self.from.read(&mut chunk).expect("the browser writes");
            assert!(n > 0, "the browser ended");
            self.buf.extend_from_slice(&chunk[..n]);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// One tab.
pub struct Page<'a> {
    browser: &'a mut Browser,
    context: Value,
    session: String,
}

impl Page<'_> {
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// Loads a URL and waits until it is loaded.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.load(|page| {
            page.call("Page.navigate", json!({"url": url}));
        });
    }

    /// Does something that leads to another page (or the same again) and waits until that is loaded and seen: before
    /// its first picture a page gets no input.
    #[track_caller]
    pub fn load(&mut self, action: impl FnOnce(&mut Self)) {
        self.browser.events.retain(|event| event["method"] != "Page.lifecycleEvent");
        action(self);
        self.await_life("load");
        self.await_life("firstContentfulPaint");
    }

    #[track_caller]
    fn await_life(&mut self, name: &str) {
        self.take(name, |event| event["method"] == "Page.lifecycleEvent" && event["params"]["name"] == name);
    }

    /// Waits for an event.
    #[track_caller]
    pub fn await_event(&mut self, name: &str) {
        self.take(name, |event| event["method"] == name);
    }

    #[track_caller]
    fn take(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) {
        loop {
            let mine = |event: &Value| event["sessionId"] == self.session.as_str() && is_it(event);
            if let Some(at) = self.browser.events.iter().position(mine) {
                self.browser.events.remove(at);
                return;
            }
            match self.browser.receive() {
                Some(message) => self.browser.events.push(message),
                None => panic!("no {name} within {LIMIT:?}"),
            }
        }
    }

    /// What a JavaScript expression comes to; a promise is waited for.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let params =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut outcome = self.call("Runtime.evaluate", params);
        assert!(outcome["exceptionDetails"].is_null(), "{expression}: {}", outcome["exceptionDetails"]);
        outcome["result"]["value"].take()
    }

    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        match self.eval(expression) {
            Value::String(text) => text,
            other => panic!("{expression} is {other}"),
        }
    }

    #[track_caller]
    pub fn holds(&mut self, condition: &str) -> bool {
        self.eval(&format!("Boolean({condition})")) == true
    }

    /// Waits until the condition holds in the page, which looks after each change of the document.
    #[track_caller]
    pub fn until(&mut self, condition: &str) {
        let limit = LIMIT.as_millis();
        let looked = self.eval(&format!(
            "new Promise(done => {{
                const changes = new MutationObserver(() => look());
                const end = value => {{ changes.disconnect(); clearInterval(now_and_then); done(value); }};
                const look = () => {{ if ({condition}) end(true); }};
                const now_and_then = setInterval(look, 50);
                setTimeout(() => end(false), {limit} - 1000);
                changes.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
                look();
            }})"
        ));
        if looked != true {
            let shown = self.text("document.body.innerText");
            panic!("never: {condition}\n--- the page shows\n{shown}\n---");
        }
    }

    /// A click of the mouse in the middle of the element.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let at = self.eval(&format!(
            "(() => {{
                const element = document.querySelector({selector:?});
                element.scrollIntoView({{ block: 'center' }});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// One key, by its DOM name: `Enter`, `Escape`, `Tab`, `/`.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "Tab" => (9, ""),
            "/" => (191, "/"),
            " " => (32, " "),
            other => (0, other),
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}));
    }

    /// Types into whatever has the focus.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// What choosing these files in the dialog would do.
    #[track_caller]
    pub fn choose(&mut self, selector: &str, files: &[&Path]) {
        let found =
            self.call("Runtime.evaluate", json!({"expression": format!("document.querySelector({selector:?})")}));
        let object = found["result"]["objectId"].clone();
        assert!(!object.is_null(), "no {selector}");
        self.call("DOM.setFileInputFiles", json!({"objectId": object, "files": files}));
    }

    /// One step of a drag of files over the middle of the window: `dragEnter`, `dragOver`, `drop`, `dragCancel`.
    #[track_caller]
    pub fn drag(&mut self, step: &str, files: &[&Path]) {
        let data = json!({"items": [], "files": files, "dragOperationsMask": 1});
        self.call("Input.dispatchDragEvent", json!({"type": step, "x": 300, "y": 300, "data": data}));
    }

    /// A picture of the whole page, for those who want to look: `SHOTS=directory` in the environment.
    pub fn shot(&mut self, name: &str) {
        let Some(dir) = std::env::var_os("SHOTS") else { return };
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let data = shot["data"].as_str().expect("base64");
        std::fs::write(Path::new(&dir).join(format!("{name}.png")), from_base64(data)).expect("written");
    }

    /// The requests it made.
    pub fn requests(&mut self) -> Vec<Value> {
        // All events of what is done are there once an answer is.
        self.eval("0");
        let sent = self.browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"].clone()).collect()
    }

    /// Everything the page complained of, and every URL it asked for.
    pub fn seen(&mut self) -> (Vec<String>, Vec<String>) {
        let urls = self.requests().iter().map(|sent| sent["url"].as_str().unwrap_or_default().to_owned()).collect();
        let mut complaints = Vec::new();
        for event in &self.browser.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => complaints.push(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" => complaints.push(params["args"].to_string()),
                "Log.entryAdded" => complaints.push(params["entry"].to_string()),
                _ => {}
            }
        }
        (complaints, urls)
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let context = self.context.take();
        self.browser.call(None, "Target.disposeBrowserContext", json!({"browserContextId": context}));
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let group = four.iter().fold(0, |sum, &byte| sum << 6 | value(byte)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&group.to_be_bytes()[1..four.len()]);
    }
    bytes
}
