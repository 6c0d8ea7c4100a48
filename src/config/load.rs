//! Loads the files of a configuration: the only part of `config` that reads them from disk. Reads the main file,
//! follows `include`, and keeps every text, so that spans can be shown later.
//!
//! Invariants: loading always ends (depth, number and size of files are bounded, cycles are detected); in the resulting
//! tree every `include` is replaced by its contents, and each directive still points into its own file.

use super::ast::{Directive, Span, Word, append, written};
use super::error::{Diagnostic, Diagnostics};
use super::sources::{MAX_INCLUDE_DEPTH, Source, Sources};
use super::{glob, suggest, syntax};
use crate::io::open;
use crate::sys::Errno;
use crate::util::{byte_order_mark, checkpoint};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Maximum number of files of one configuration, counting a file each time it is included.
const MAX_FILES: usize = 200_000;
/// Maximum size of one file, and of all files together.
const MAX_BYTES: u64 = 256 << 20;

/// Whether `include` may read files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Includes {
    /// As nginx: a file, or a pattern of files.
    #[default]
    Follow,
    /// Every `include` is an error: for texts that do not come from files (fuzzing).
    Refuse,
}

/// What loading may do to files other than the configuration's own (certificates, logs and the like).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// Nothing: for texts that do not come from files ([`Includes::Refuse`]).
    Nothing,
    /// Reading only, for `-t` and other checks: they must not change the machine, and the serving user could not use
    /// files that root created during a check.
    Read,
    /// Reading and writing, for the server, which stores the certificates it makes.
    Write,
}

/// What is loaded besides the main file, and how.
#[derive(Clone, Default, Debug)]
pub struct LoadOptions {
    /// The text of `-g`; read before the main file, as in nginx.
    pub command_line: Option<Vec<u8>>,
    /// The directory for relative includes; the main file's directory if `None`.
    pub include_dir: Option<PathBuf>,
    /// Whether `include` is followed.
    pub includes: Includes,
}

/// The result of loading, with or without errors: the tree contains all that could be parsed, so that later passes can
/// report their errors too.
#[derive(Debug)]
pub struct Loaded {
    /// The texts, for spans.
    pub sources: Sources,
    /// The directives of `-g`, then those of the main file, with includes expanded.
    pub directives: Vec<Directive>,
    /// Errors of reading and of syntax.
    pub diagnostics: Diagnostics,
    /// Never [`Touch::Write`] after loading; the server sets that.
    pub touch: Touch,
}

impl Loaded {
    /// The directory of the main file, to which certificate names are relative.
    pub fn main_directory(&self) -> PathBuf {
        let main = self.sources.ids().find(|id| !self.sources.is_command_line(*id));
        let directory = main.and_then(|id| self.sources.os_path(id).parent());
        directory.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
    }
}

/// Loads `main` and all its includes. Messages show `main` as given.
pub fn load(main: &Path, options: &LoadOptions) -> Loaded {
    let mut loader = Loader::new(main, options);
    let mut directives = loader.command_line();
    match loader.read(main) {
        Ok(bytes) => add_file(&mut directives, loader.main(main.as_os_str().as_bytes(), bytes)),
        Err(error) => loader.diagnostics.push(no_main(main, &error)),
    }
    loader.finish(directives)
}

/// Loads a text in memory. `name` is shown as its path, and relative includes start from its directory.
pub fn load_text(name: &str, bytes: &[u8], options: &LoadOptions) -> Loaded {
    let mut loader = Loader::new(Path::new(name), options);
    let mut directives = loader.command_line();
    add_file(&mut directives, loader.main(name.as_bytes(), bytes.into()));
    loader.finish(directives)
}

/// Appends the main file's directives to those of `-g`. A `pid` in `-g` replaces the file's, so that a service can
/// start several instances of one configuration (nginx reports a duplicate). One that is wrong stays, to be reported.
fn add_file(directives: &mut Vec<Directive>, mut main: Vec<Directive>) {
    let pid = |directive: &Directive| directive.name.is("pid") && directive.args.len() == 1;
    if directives.iter().any(pid)
        && let Some(at) = main.iter().position(pid)
    {
        main.remove(at);
    }
    directives.extend(main);
}

struct Loader<'a> {
    options: &'a LoadOptions,
    /// nginx's conf_prefix, prepended to relative names: ends in `/`, or is empty.
    prefix: Vec<u8>,
    sources: Sources,
    diagnostics: Diagnostics,
    /// Files already read, by path.
    cache: HashMap<PathBuf, Rc<[u8]>>,
    total: u64,
    /// Files being read: the main file and the includes that led here.
    chain: Vec<Rc<[u8]>>,
    full: bool,
}

impl<'a> Loader<'a> {
    fn new(main: &Path, options: &'a LoadOptions) -> Loader<'a> {
        let directory = options.include_dir.as_deref().or(main.parent()).unwrap_or(Path::new(""));
        let mut prefix = directory.as_os_str().as_bytes().to_vec();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Loader {
            options,
            prefix,
            sources: Sources::default(),
            diagnostics: Diagnostics::default(),
            cache: HashMap::new(),
            total: 0,
            chain: Vec::new(),
            full: false,
        }
    }

    fn finish(mut self, directives: Vec<Directive>) -> Loaded {
        self.diagnostics.unite(&self.sources);
        self.diagnostics.sort();
        Loaded {
            sources: self.sources,
            directives,
            diagnostics: self.diagnostics,
            touch: if self.options.includes == Includes::Follow { Touch::Read } else { Touch::Nothing },
        }
    }

    fn command_line(&mut self) -> Vec<Directive> {
        let Some(text) = &self.options.command_line else { return Vec::new() };
        let file = self.sources.add(Source {
            path: b"command line"[..].into(),
            bytes: text.as_slice().into(),
            included_from: None,
            command_line: true,
            lines: OnceCell::new(),
        });
        let (mut directives, errors) = syntax::parse_command_line(file, text);
        self.diagnostics.extend(errors);
        self.expand(&mut directives, 0);
        directives
    }

    fn main(&mut self, path: &[u8], bytes: Rc<[u8]>) -> Vec<Directive> {
        self.file(path.into(), bytes, None, 0)
    }

    /// Parses one file and all its includes. `depth`: number of enclosing blocks.
    fn file(&mut self, path: Rc<[u8]>, bytes: Rc<[u8]>, included_from: Option<Span>, depth: usize) -> Vec<Directive> {
        let source = Source {
            path: path.clone(),
            bytes: bytes.clone(),
            included_from,
            command_line: false,
            lines: OnceCell::new(),
        };
        let file = self.sources.add(source);
        let start = beginning(&bytes);
        if let Some((length, what, help)) = no_configuration(bytes.get(start..).unwrap_or_default()) {
            let span = Span::new(file, start as u32, start as u32 + length);
            self.diagnostics
                .push(Diagnostic::emerg(span, format!("this file is {what}, not a configuration")).help(help));
            return Vec::new();
        }
        let (mut directives, errors) = syntax::parse(file, &bytes, depth);
        self.diagnostics.extend(errors);
        self.chain.push(path);
        self.expand(&mut directives, depth);
        self.chain.pop();
        directives
    }

    /// Expands every `include` of this level and below. Recursion is bounded: `syntax` limits the nesting of blocks
    /// over all files, `include` the chain of files.
    fn expand(&mut self, level: &mut Vec<Directive>, depth: usize) {
        for block in level.iter_mut().filter_map(|directive| directive.block.as_mut()) {
            checkpoint::pass();
            self.expand(block, depth + 1);
        }
        if !level.iter().any(|directive| directive.name.is("include")) {
            return;
        }
        for directive in std::mem::take(level) {
            if directive.name.is("include") {
                append(level, self.include(&directive, depth));
            } else {
                level.push(directive);
            }
        }
        level.shrink_to_fit();
    }

    fn include(&mut self, directive: &Directive, depth: usize) -> Vec<Directive> {
        let name = match directive.args.as_slice() {
            _ if directive.block.is_some() => {
                let message = syntax::not_terminated(&directive.name);
                let bytes = self.sources.bytes(directive.span.file);
                // The block on the next line belongs to the directive there.
                if let Some((first, block)) = syntax::split_at_missing_semicolon(directive, bytes, |_| true) {
                    self.diagnostics.push(syntax::missing_semicolon(&first, &block).diagnostic());
                    return vec![block];
                }
                let error = Diagnostic::emerg(directive.name.span, message).label("`include` takes no block");
                let name = written(&directive.args);
                self.diagnostics.push(error.help(format!("it ends with `;`: include {name};")));
                return Vec::new();
            }
            [name] => name,
            words => {
                self.diagnostics.push(self.wrong_include(directive, words));
                return Vec::new();
            }
        };
        if self.options.includes == Includes::Refuse {
            self.diagnostics.push(Diagnostic::emerg(name.span, "\"include\" is not followed here"));
            return Vec::new();
        }
        let path =
            if name.bytes().starts_with(b"/") { name.bytes().to_vec() } else { [&self.prefix, name.bytes()].concat() };
        if path.contains(&0) {
            self.diagnostics.push(Diagnostic::emerg(name.span, "invalid file name").label("holds a NUL byte"));
            return Vec::new();
        }
        let paths =
            if glob::is_pattern(&path) { glob::expand(&path) } else { vec![PathBuf::from(OsStr::from_bytes(&path))] };
        let before = self.sources.files.len();
        let mut directives = Vec::new();
        for path in paths {
            append(&mut directives, self.include_file(&path, name.span, depth));
        }
        self.sources.lacks_files |= self.sources.files.len() == before;
        if glob::is_pattern(name.bytes()) {
            self.sources.masks.push(directive.clone());
        }
        directives
    }

    /// The error for an `include` with no file or several: usually its `;` is missing.
    fn wrong_include(&self, directive: &Directive, words: &[Word]) -> Diagnostic {
        let bytes = self.sources.bytes(directive.span.file);
        if let Some((first, second)) = syntax::split_at_missing_semicolon(directive, bytes, |_| true) {
            return syntax::missing_semicolon(&first, &second).diagnostic();
        }
        let error = Diagnostic::emerg(directive.span, "invalid number of arguments in \"include\" directive");
        let error = error.label("`include` takes 1 argument");
        match words {
            [] => error.help("a file, or a pattern of files: include sites-enabled/*.conf;"),
            _ => error.help(format!("one in each line: {}", suggest::lines("include", words.iter().map(Word::str)))),
        }
    }

    fn include_file(&mut self, path: &Path, at: Span, depth: usize) -> Vec<Directive> {
        checkpoint::pass_costly();
        let name = path.as_os_str().as_bytes();
        let shown = path.display();
        let error = if self.chain.iter().any(|outer| **outer == *name) {
            Diagnostic::emerg(at, format!("\"{shown}\" includes itself")).label("this file is being read already")
        } else if self.chain.len() >= MAX_INCLUDE_DEPTH {
            Diagnostic::emerg(at, format!("includes are nested deeper than {MAX_INCLUDE_DEPTH} files"))
        } else if self.sources.files.len() >= MAX_FILES {
            if std::mem::replace(&mut self.full, true) {
                return Vec::new();
            }
            Diagnostic::emerg(at, format!("more than {MAX_FILES} files are included"))
        } else {
            match self.read(path) {
                Ok(bytes) => return self.file(name.into(), bytes, Some(at), depth),
                Err(error) => {
                    let diagnostic = Diagnostic::emerg(at, failed(path, &error));
                    if matches!(error, ReadError::Read(Errno::EISDIR)) {
                        let written = String::from_utf8_lossy(self.sources.slice(at)).into_owned();
                        let help =
                            format!("its files are a pattern: include {}/*.conf;", written.trim_end_matches('/'));
                        self.diagnostics.push(diagnostic.help(help));
                        return Vec::new();
                    }
                    if error.is_denied() {
                        self.diagnostics.push(diagnostic.help(open::unreadable(path)));
                        return Vec::new();
                    }
                    if matches!(error, ReadError::Open(Errno::ENOENT))
                        && let Ok(target) = std::fs::read_link(path)
                    {
                        let help = format!(
                            "it is a link to \"{}\", which does not exist: remove it, or make that file",
                            target.display()
                        );
                        self.diagnostics.push(diagnostic.help(help));
                        return Vec::new();
                    }
                    match meant(path, &String::from_utf8_lossy(self.sources.slice(at))) {
                        Some(meant) => diagnostic.help(format!("did you mean \"{meant}\"?")),
                        None => match path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) {
                            Some(directory) => {
                                diagnostic.help(format!("there is no directory \"{}\"", directory.display()))
                            }
                            None => diagnostic
                                .help("remove the line, or make the file; a pattern (*.conf) may match nothing"),
                        },
                    }
                }
            }
        };
        self.diagnostics.push(error);
        Vec::new()
    }

    fn read(&mut self, path: &Path) -> Result<Rc<[u8]>, ReadError> {
        if let Some(bytes) = self.cache.get(path) {
            return Ok(bytes.clone());
        }
        let room = MAX_BYTES.saturating_sub(self.total);
        let bytes = open::read(path, room).map_err(|errno| match errno {
            Errno::EISDIR => ReadError::Read(errno),
            Errno::EINVAL => ReadError::Special,
            _ => ReadError::Open(errno),
        })?;
        if bytes.len() as u64 > room {
            return Err(ReadError::TooLarge);
        }
        self.total += bytes.len() as u64;
        let bytes = shared(bytes);
        self.cache.insert(path.to_path_buf(), bytes.clone());
        Ok(bytes)
    }
}

/// The bytes, to be shared. Many are copied in steps.
fn shared(bytes: Vec<u8>) -> Rc<[u8]> {
    const STEP: usize = 1 << 18;
    if bytes.len() <= STEP {
        return bytes.into();
    }
    let copied = bytes.iter().enumerate().map(|(at, byte)| {
        if at.is_multiple_of(STEP) {
            checkpoint::pass_costly();
        }
        *byte
    });
    copied.collect()
}

/// Where a text begins: behind a byte order mark and blank lines, which `fmt` removes.
fn beginning(bytes: &[u8]) -> usize {
    let mark = byte_order_mark::len(bytes);
    let blanks = bytes.iter().skip(mark).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    mark + blanks.count()
}

/// Recognizes files that are not a configuration at all: how many bytes to mark, what they are, and what to do.
fn no_configuration(bytes: &[u8]) -> Option<(u32, &'static str, &'static str)> {
    let head = bytes.get(..bytes.len().min(64)).unwrap_or_default().to_ascii_lowercase();
    let utf16 = "save it as UTF-8: editors on Windows call this format Unicode";
    Some(match &head[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => (2, "UTF-16 text", utf16),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => (1, "UTF-16 text", utf16),
        [0x7f, b'e', b'l', b'f', ..] => (4, "a program", "name the text that configures it"),
        [0x1f, 0x8b, ..] => (2, "compressed by gzip", "decompress it"),
        [b'p', b'k', 3, 4, ..] => (2, "a zip archive", "unpack it"),
        head if head.starts_with(b"<!doctype") => (9, "HTML", "a web page was saved instead: fetch the file itself"),
        head if head.starts_with(b"<html") => (5, "HTML", "a web page was saved instead: fetch the file itself"),
        head if head.starts_with(b"<?xml") => (5, "XML", "name the file that holds directives"),
        head if is_json(head) => (1, "JSON", "directives are written: name value;"),
        head if head.starts_with(b"[") => (
            1,
            "an ini or TOML file",
            "directives are written `name value;`, and sections are blocks: server { listen 8080; }",
        ),
        head if head.starts_with(b"---\n") => (3, "a YAML file", "directives are written: name value;"),
        head if head.starts_with(b"<?php") => (5, "a PHP script", "name the file that holds directives"),
        head if head.starts_with(b"#!") && head.get(2..).is_some_and(|rest| rest.starts_with(b"/bin/")) => {
            (2, "a script", "name the file that it writes")
        }
        head if head.starts_with(b"-----begin") => {
            (10, "a certificate or key", "name it by ssl_certificate or ssl_certificate_key")
        }
        _ => return None,
    })
}

/// `{ "name": …`: no block of a configuration begins like this.
fn is_json(head: &[u8]) -> bool {
    let inside = head.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b"\""));
    inside.is_some_and(|name| {
        memchr::memchr(b'"', name)
            .and_then(|end| name.get(end + 1..))
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
    })
}

enum ReadError {
    Open(Errno),
    Read(Errno),
    Special,
    TooLarge,
}

impl ReadError {
    fn is_denied(&self) -> bool {
        matches!(self, ReadError::Open(Errno::EACCES) | ReadError::Read(Errno::EACCES))
    }
}

/// A similarly named file for one that is missing, spelled as in the configuration.
pub(crate) fn meant(path: &Path, written: &str) -> Option<String> {
    beside(path).map(|near| in_place(written, &near))
}

/// A similarly named file in the same directory; if that does not exist, in a similarly named one.
fn beside(path: &Path) -> Option<String> {
    let missing = path.file_name()?.to_str()?;
    if path.exists() {
        return None;
    }
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The directory is misspelled; the file must exist in the similarly named one.
    if !directory.exists() {
        let near = directory.with_file_name(beside(directory)?).join(missing);
        let known = directory.parent().unwrap_or(Path::new(""));
        return near.exists().then(|| near.strip_prefix(known).unwrap_or(&near).display().to_string());
    }
    let entries = std::fs::read_dir(directory).ok()?.take(1000);
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = suggest::nearest(missing, names.iter().map(String::as_str));
    near.or_else(|| suggest::nearest(missing, USUAL).filter(|usual| *usual != missing)).map(str::to_owned)
}

/// A path as written, with its last components replaced.
fn in_place(written: &str, near: &str) -> String {
    let written = written.trim_matches(['"', '\'']);
    let parts = near.matches('/').count() + 1;
    let kept = written.rmatch_indices('/').nth(parts - 1).and_then(|(at, _)| written.get(..=at)).unwrap_or_default();
    format!("{kept}{near}")
}

/// Files that configurations usually include.
const USUAL: [&str; 7] =
    ["mime.types", "fastcgi_params", "fastcgi.conf", "scgi_params", "uwsgi_params", "proxy_params", "conf.d"];

/// The error for a main file that cannot be loaded, with a suggestion.
fn no_main(path: &Path, error: &ReadError) -> Diagnostic {
    let diagnostic = Diagnostic::emerg(None, failed(path, error));
    let here = std::env::current_dir().unwrap_or_default();
    let shown = match path.strip_prefix(&here).unwrap_or(path).display().to_string() {
        empty if empty.is_empty() => ".".to_owned(),
        shown => shown,
    };
    match error {
        ReadError::Read(Errno::EISDIR) => diagnostic
            .help(format!("-c names a configuration file; the directory itself is served by: webserv {shown}")),
        ReadError::Open(Errno::ENOENT) => match meant(path, &shown) {
            Some(meant) => diagnostic.help(format!("did you mean \"{meant}\"?")),
            None => match path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()).last() {
                Some(missing) => diagnostic.help(format!("there is no directory \"{}\"", missing.display())),
                None => diagnostic,
            },
        },
        error if error.is_denied() => diagnostic.help(open::unreadable(path)),
        _ => diagnostic,
    }
}

/// nginx's message: `open() "/x" failed (2: No such file or directory)`.
fn failed(path: &Path, error: &ReadError) -> String {
    let path = path.display();
    match error {
        ReadError::Open(errno) => format!("open() \"{path}\" failed {errno}"),
        ReadError::Read(errno) => format!("read() \"{path}\" failed {errno}"),
        ReadError::Special => format!("\"{path}\" is a FIFO or a socket, from which no configuration is read"),
        ReadError::TooLarge => {
            format!("\"{path}\" is too large: the files of a configuration may hold {MAX_BYTES} bytes")
        }
    }
}

/// `2: No such file or directory`, as nginx formats system errors.
pub fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => format!("{code}: {}", text.split(" (os error").next().unwrap_or(&text)),
        None => text,
    }
}

#[cfg(test)]
mod tests;
