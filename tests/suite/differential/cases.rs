//! The notation of `tests/differential/*.case`: what is served, and what is asked.
//!
//! A word at the start of a line, its text in the lines below it, indented by four:
//!
//! ```text
//! === name of a case
//! file html/a.txt            a file; its lines below
//! fill html/big 5000         a file of that many bytes
//! mkdir html/dir
//! link html/l a.txt
//! conf                       the content of http { }
//! server                     the content of one server { } (listen and root are given)
//! ask GET a.test /path       one request; header lines below, then `.` and the lines of a body
//! raw                        bytes as they are: each line ends with CRLF unless it ends with a backslash; `.` is an
//!                            empty line; \r \n \t \\ \xHH
//! differs REASON             the last request is answered otherwise on purpose
//! unsized                    bodies are framed otherwise: their logged sizes are not compared
//! quiet                      what the error logs say is not compared
//! unlogged                   what the access logs say is not compared
//! ```

/// One configuration and what is asked of it.
#[derive(Default)]
pub struct Case {
    pub name: String,
    pub files: Vec<(String, Vec<u8>)>,
    pub dirs: Vec<String>,
    pub links: Vec<(String, String)>,
    pub conf: String,
    pub asks: Vec<Asked>,
    pub quiet: bool,
    pub unlogged: bool,
    pub unsized_: bool,
}

/// One connection.
pub struct Asked {
    /// As the file says it, for messages.
    pub shown: String,
    pub bytes: Vec<u8>,
    /// Method, host, target and header lines of an `ask`.
    pub question: Option<(String, String, String, Vec<String>)>,
    pub differs: Option<String>,
}

/// The cases of a file, in order.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut block: Vec<&str> = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("    ") || line.is_empty()) {
            block.push(line.get(4..).unwrap_or_default());
        }
        while block.last().is_some_and(|line| line.is_empty()) {
            block.pop();
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "===" {
            cases.push(Case { name: rest.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a file starts with ===");
        let joined = || block.iter().map(|line| format!("{line}\n")).collect::<String>();
        match word {
            "file" => case.files.push((rest.to_owned(), joined().into_bytes())),
            "fill" => {
                let (path, size) = rest.split_once(' ').expect("fill PATH SIZE");
                let size: usize = size.parse().expect("fill PATH SIZE");
                case.files.push((path.to_owned(), b"0123456789abcdef".iter().copied().cycle().take(size).collect()));
            }
            "mkdir" => case.dirs.push(rest.to_owned()),
            "link" => {
                let (path, target) = rest.split_once(' ').expect("link PATH TARGET");
                case.links.push((path.to_owned(), target.to_owned()));
            }
            "conf" => case.conf.push_str(&joined()),
            "server" => case.conf.push_str(&format!(
                "server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;\n{}}}\n",
                joined()
            )),
            "ask" => case.asks.push(ask(line, rest, &block)),
            "raw" => {
                let bytes = block.iter().flat_map(|line| raw_line(line)).collect();
                case.asks.push(Asked { shown: joined(), bytes, question: None, differs: None });
            }
            "differs" => case.asks.last_mut().expect("after a request").differs = Some(rest.to_owned()),
            "quiet" => case.quiet = true,
            "unlogged" => case.unlogged = true,
            "unsized" => case.unsized_ = true,
            _ => panic!("unknown word: {line}"),
        }
    }
    cases
}

fn ask(line: &str, rest: &str, block: &[&str]) -> Asked {
    let mut words = rest.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_else(|| panic!("ask METHOD HOST TARGET: {line}"));
    let (method, host, target) = (word(), word(), word());
    let mut parts = block.splitn(2, |line| *line == ".");
    let fields: Vec<String> = parts.next().unwrap_or_default().iter().map(|line| (*line).to_owned()).collect();
    let body: Option<String> = parts.next().map(|lines| lines.join("\n"));
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for field in &fields {
        head.push_str(&format!("{field}\r\n"));
    }
    if let Some(body) = &body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let bytes = [head.as_bytes(), b"\r\n", body.unwrap_or_default().as_bytes()].concat();
    let shown = [&[line], block].concat().join("\n");
    Asked { shown, bytes, question: Some((method, host, target, fields)), differs: None }
}

/// The bytes of a line as `raw` has it.
pub fn raw_line(line: &str) -> Vec<u8> {
    let (line, end): (&str, &[u8]) = match line.strip_suffix('\\') {
        Some(line) => (line, b""),
        None if line == "." => ("", b"\r\n"),
        None => (line, b"\r\n"),
    };
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).expect("\\xHH");
                (digit() * 16 + digit()) as u8
            }
            Some(other) => other,
            None => b'\\',
        });
    }
    bytes.extend_from_slice(end);
    bytes
}
