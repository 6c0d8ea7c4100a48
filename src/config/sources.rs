//! The texts of a configuration, kept to show spans. Nothing here reads a file.

use super::ast::{Directive, FileId, Span};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// A longer chain of includes is considered a mistake; nginx would continue until it runs out of file descriptors.
pub const MAX_INCLUDE_DEPTH: usize = 16;

/// The texts of a configuration.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// By [`FileId`].
    pub(super) files: Vec<Source>,
    /// Some `include` found no file: the configuration is known only in part.
    pub lacks_files: bool,
    /// Each `include` of a mask: the tree has the directives of the files in its place.
    pub masks: Vec<Directive>,
}

/// One text. A file included twice is two sources that share their bytes, since each was included from another place.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As opened; empty for a text without a file.
    pub(super) path: Rc<[u8]>,
    /// The whole text.
    pub(super) bytes: Rc<[u8]>,
    /// The `include` that named it; None: the main file.
    pub(super) included_from: Option<Span>,
    /// It is the text of `-g`.
    pub(super) command_line: bool,
    /// The start of each line; computed on first use.
    pub(super) lines: OnceCell<Box<[u32]>>,
}

/// A position, counted from 1; columns are characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Byte offset from the start of the line.
    pub offset: usize,
}

impl Sources {
    /// Adds a text; its id is valid for these sources only.
    pub(super) fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(source);
        id
    }

    fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// No text was loaded.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// All sources in the order in which they were read.
    pub fn ids(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len()).map(|n| FileId(n as u32))
    }

    /// The path as named or found; "command line" for `-g`.
    pub fn path(&self, file: FileId) -> Cow<'_, str> {
        self.get(file).map_or(Cow::Borrowed("?"), |source| String::from_utf8_lossy(&source.path))
    }

    /// Empty for an id of other sources.
    pub fn os_path(&self, file: FileId) -> &Path {
        Path::new(OsStr::from_bytes(self.get(file).map_or(b"", |source| &source.path)))
    }

    /// The text; empty for an id of other sources.
    pub fn bytes(&self, file: FileId) -> &[u8] {
        self.get(file).map_or(b"", |source| &source.bytes)
    }

    /// It is the text of `-g`: nginx names it so in messages.
    pub fn is_command_line(&self, file: FileId) -> bool {
        self.get(file).is_some_and(|source| source.command_line)
    }

    /// The `include` directive that included this file.
    pub fn included_from(&self, file: FileId) -> Option<Span> {
        self.get(file)?.included_from
    }

    /// The chain of includes that led to this file, innermost first.
    pub fn include_chain(&self, file: FileId) -> Vec<Span> {
        let next = |span: &Span| self.included_from(span.file);
        std::iter::successors(self.included_from(file), next).take(MAX_INCLUDE_DEPTH).collect()
    }

    /// The bytes of a span, as written.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.bytes(span.file).get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn lines(&self, file: FileId) -> &[u32] {
        let Some(source) = self.get(file) else { return &[] };
        source.lines.get_or_init(|| {
            let starts = memchr::memchr_iter(b'\n', &source.bytes).map(|n| u32::try_from(n + 1).unwrap_or(u32::MAX));
            std::iter::once(0).chain(starts).collect()
        })
    }

    /// The line on which a span starts, counted from 1. Unlike [`Sources::position`] it does not read the line.
    pub fn line_number(&self, span: Span) -> usize {
        self.lines(span.file).partition_point(|start| *start <= span.start).max(1)
    }

    /// The start of a span.
    pub fn position(&self, span: Span) -> Position {
        let line = self.line_number(span);
        let start = self.lines(span.file).get(line - 1).copied().unwrap_or_default();
        let before = self.bytes(span.file).get(start as usize..span.start as usize).unwrap_or_default();
        // As in the excerpt, a byte that is not UTF-8 is one column.
        let column =
            before.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum::<usize>();
        Position { line, column: column + 1, offset: before.len() }
    }

    /// The line on which a span starts, without its line ending.
    pub fn line(&self, span: Span) -> &[u8] {
        let start = (span.start as usize).saturating_sub(self.position(span).offset);
        let rest = self.bytes(span.file).get(start..).unwrap_or_default();
        let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// `FILE:LINE`, or "command line".
    pub fn place(&self, span: Span) -> String {
        let path = crate::util::printable::visible(&self.path(span.file));
        if self.is_command_line(span.file) { path } else { format!("{path}:{}", self.line_number(span)) }
    }
}

/// All files as printed by nginx's `-T`: each once, in the order in which they were first read.
pub fn dump(sources: &Sources) -> Vec<u8> {
    let mut out = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for source in sources.files.iter().filter(|source| !source.command_line) {
        if seen.insert(&*source.path) {
            out.extend_from_slice(b"# configuration file ");
            out.extend_from_slice(&source.path);
            out.extend_from_slice(b":\n");
            out.extend_from_slice(&source.bytes);
            out.push(b'\n');
        }
    }
    out
}
