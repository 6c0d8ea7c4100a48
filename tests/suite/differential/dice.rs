//! What generated configurations and requests are made with: a seed's dice, and the words that they choose among.

use crate::harness::Setup;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// The sections of a file of words.
pub struct Words(HashMap<String, Vec<String>>);

impl Words {
    pub fn read(file: &str) -> Words {
        let (mut sections, mut name) = (HashMap::<String, Vec<String>>::new(), String::new());
        for line in super::read(file).lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).filter(|line| !line.contains(':')) {
                Some(section) => name = section.to_owned(),
                None => {
                    let entry = if line == "\"\"" { String::new() } else { line.replace("\\r\\n", "\r\n") };
                    sections.entry(name.clone()).or_default().push(entry);
                }
            }
        }
        Words(sections)
    }

    pub fn of(&self, section: &str) -> &[String] {
        self.0.get(section).unwrap_or_else(|| panic!("the words have no section {section}"))
    }
}

pub struct Dice {
    state: u64,
    words: Rc<Words>,
}

impl Dice {
    pub fn new(seed: u64, words: &Rc<Words>) -> Dice {
        Dice { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, words: words.clone() }
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// An entry of a section of the words.
    pub fn word(&mut self, section: &str) -> String {
        let words = self.words.clone();
        let from = words.of(section);
        from[self.below(from.len())].clone()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A text with variables in it.
    pub fn text(&mut self) -> String {
        let words: Vec<String> = (0..1 + self.below(3)).map(|_| self.word("variables")).collect();
        format!("\"{}\"", words.join(" "))
    }
}

/// An entry of a section, with its texts made.
pub fn line(dice: &mut Dice, from: &str) -> String {
    let line = dice.word(from);
    let text = dice.text();
    line.replace(" T;", &format!(" {text};")).replace(" T always", &format!(" {text} always"))
}

/// The directives of a line.
fn names(line: &str) -> Vec<&str> {
    line.split("; ").map(|directive| directive.trim_start().split(' ').next().unwrap_or_default()).collect()
}

/// Directives that add to others of their name.
const ADDING: [&str; 9] = [
    "proxy_set_header",
    "fastcgi_param",
    "scgi_param",
    "uwsgi_param",
    "proxy_redirect",
    "proxy_cookie_path",
    "proxy_cookie_domain",
    "%P%_hide_header",
    "%P%_pass_header",
];

/// More lines of a block: none says twice what may be said once.
pub fn block_lines(dice: &mut Dice, count: usize, from: &str, block: &mut Vec<String>) {
    for _ in 0..count {
        let line = line(dice, from);
        let is_said = |name: &&str| !ADDING.contains(name) && block.iter().any(|other| names(other).contains(name));
        if !names(&line).iter().any(is_said) {
            block.push(line);
        }
    }
}

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What `-t` says of a configuration that is refused.
pub fn takes(setup: &Setup, binary: &Path) -> Result<(), String> {
    let out = setup.run_on(binary, &["-t", "-p", "%%DIR%%/", "-c", "%%DIR%%/conf/test.conf"]);
    match out.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}
