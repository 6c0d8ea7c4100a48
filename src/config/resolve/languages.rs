//! Recognizes other languages where a directive's name is expected: comments, merge, diff and template markers,
//! programs, shells, other configuration formats, other alphabets. Callers complete the messages.

use crate::config::ast::Directive;
use crate::config::error::PLACEHOLDER;

/// The message about a git conflict marker.
pub const MERGE: &str = "a mark of an unfinished merge: keep one side and remove the marks";

/// A line that git leaves in a file with a conflict.
pub fn is_merge_mark(name: &str) -> bool {
    ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| name.starts_with(mark))
}

/// What to do about a line of a diff.
pub const DIFF: &str = "a mark of a diff: remove it, and the lines that begin with `-`";

/// Whether a name has the `+` or `-` of a diff in front of it.
pub fn is_diff_mark(name: &str) -> bool {
    matches!(name, "+" | "-")
}

/// Letters of another alphabet that look Latin, transliterated.
pub fn latin(name: &str) -> Option<String> {
    const TWINS: &str = "аaеeоoрpсcхxуyіiѕsјjԁdһhոnԝwοoνvιiρpαa";
    if name.is_ascii() {
        return None;
    }
    let twin = |c: char| {
        let mut pairs = TWINS.chars();
        while let (Some(from), Some(to)) = (pairs.next(), pairs.next()) {
            if from == c {
                return Some(to);
            }
        }
        None
    };
    name.chars().map(|c| if c.is_ascii() { Some(c) } else { twin(c) }).collect()
}

/// Words and signs of other languages.
pub fn other_language(name: &str) -> Option<&'static str> {
    if name.starts_with("//")
        || name.starts_with("/*")
        || name.starts_with("--")
        || name == "*"
        || name == "*/"
        || name == "REM"
        || name.starts_with("<!--")
        || name.starts_with('＃')
    {
        return Some("a comment begins with `#` and ends with the line");
    }
    if is_merge_mark(name) {
        return Some(MERGE);
    }
    if name.starts_with("<?") || name.starts_with("<!") || name.to_ascii_lowercase().starts_with("<html") {
        return Some("this is HTML or XML, not a configuration");
    }
    if name.starts_with("{%") || name.starts_with("{{") || name.starts_with("<%") || name.starts_with("${") {
        return Some(PLACEHOLDER);
    }
    if name.starts_with("```") {
        return Some("a mark of a text that this was copied from: remove it");
    }
    Some(match name {
        "+" => DIFF,
        "-" => "a list of YAML: each line is a directive here, without the dash and with `;` at its end",
        "---" => "the beginning of a YAML file: remove it",
        "else" | "elseif" | "elsif" | "elif" => "there is no `else`: write another `if`, or choose the value by `map`",
        "then" | "fi" | "endif" | "end" | "begin" | "done" => "blocks are written { … }",
        "for" | "while" | "foreach" | "switch" | "case" => {
            "there are no loops and cases: `map` chooses a value by another"
        }
        "export" | "var" | "let" | "const" | "local" => {
            "a variable is set by: set $name value; one of the environment by: env NAME=value;"
        }
        "echo" | "print" | "printf" => "a text is answered by: return 200 \"text\";",
        "FROM" | "COPY" | "RUN" | "CMD" | "EXPOSE" | "ENTRYPOINT" | "WORKDIR" | "ENV" => {
            "an instruction of a Dockerfile: it belongs in a file of its own"
        }
        "sudo" | "cd" | "systemctl" | "nginx" | "service" | "apt" | "apt-get" | "cat" | "tee" | "cp" | "mv" | "rm"
        | "ln" | "mkdir" | "chmod" | "chown" | "curl" | "docker" | "certbot" | "vim" | "nano" | "exit" | "source" => {
            "a command of a shell: it belongs in a terminal, remove it here"
        }
        "EOF" | "EOL" | "EOT" | "END" => "the end of a shell's here-document, copied along: remove it",
        "..." | "…" | "[...]" | "…;" => {
            "it stands for lines that were left out where this was copied: write them, or remove it"
        }
        _ => return None,
    })
}

/// `http://…`, `/path` or a host as a name: an argument whose directive is missing.
pub fn block_of(name: &str, d: &Directive) -> Option<String> {
    let is_host = name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:*,".contains(&b));
    if (is_host || name == "localhost" || name.starts_with(':')) && d.block.is_some() {
        let host = name.split(':').next().filter(|host| !host.is_empty());
        let host = host.map_or(String::new(), |host| format!("server_name {host}; "));
        return Some(format!("did you mean \"server {{ {host}… }}\"? a site is a `server` block here"));
    }
    if name.contains("_by_lua") {
        return Some("Lua is not built in: `map`, `rewrite`, `return` or an upstream do such work here".into());
    }
    if name.starts_with('/') && d.block.is_some() {
        return Some(format!("did you mean \"location {name} {{ … }}\"?"));
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Some("a URL alone is no directive: `proxy_pass URL;` or `return 301 URL;`".into());
    }
    None
}
