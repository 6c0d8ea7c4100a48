//! The texts of a configuration, kept so that spans can be shown. Nothing here reads a file.

use super::ast::{FileId, Span};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// A chain of includes longer than this is taken for a mistake; nginx would go on until it runs out of files.
pub const MAX_INCLUDE_DEPTH: usize = 16;

/// The texts of a configuration.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    pub(super) files: Vec<Source>,
    /// An `include` led to no file: what the configuration has in full is not known.
    pub lacks_files: bool,
}

/// One text. A file that is included twice is two sources that share their bytes, since each was included from
/// somewhere else.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: Rc<[u8]>,
    pub(super) bytes: Rc<[u8]>,
    pub(super) included_from: Option<Span>,
    pub(super) command_line: bool,
    /// Where each line starts; made when first asked for.
    pub(super) lines: OnceCell<Box<[u32]>>,
}

/// A place as people count it, from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    /// Bytes from the start of the line.
    pub offset: usize,
}

impl Sources {
    pub(super) fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(source);
        id
    }

    fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Every source in the order it was read.
    pub fn ids(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len()).map(|n| FileId(n as u32))
    }

    /// The path as it was named or found; "command line" for `-g`.
    pub fn path(&self, file: FileId) -> Cow<'_, str> {
        self.get(file).map_or(Cow::Borrowed("?"), |source| String::from_utf8_lossy(&source.path))
    }

    pub fn os_path(&self, file: FileId) -> &Path {
        Path::new(OsStr::from_bytes(self.get(file).map_or(b"", |source| &source.path)))
    }

    pub fn bytes(&self, file: FileId) -> &[u8] {
        self.get(file).map_or(b"", |source| &source.bytes)
    }

    pub fn is_command_line(&self, file: FileId) -> bool {
        self.get(file).is_some_and(|source| source.command_line)
    }

    /// The `include` directive that brought this file in.
    pub fn included_from(&self, file: FileId) -> Option<Span> {
        self.get(file)?.included_from
    }

    /// The includes that led to this file, the nearest first.
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

    /// Where a span starts.
    pub fn position(&self, span: Span) -> Position {
        let lines = self.lines(span.file);
        let line = lines.partition_point(|start| *start <= span.start);
        let start = lines.get(line.wrapping_sub(1)).copied().unwrap_or_default();
        let before = self.bytes(span.file).get(start as usize..span.start as usize).unwrap_or_default();
        // As the excerpt shows it: a byte that is no UTF-8 is one column.
        let column =
            before.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum::<usize>();
        Position { line: line.max(1), column: column + 1, offset: before.len() }
    }

    /// The line a span starts in, without its line end.
    pub fn line(&self, span: Span) -> &[u8] {
        let start = (span.start as usize).saturating_sub(self.position(span).offset);
        let rest = self.bytes(span.file).get(start..).unwrap_or_default();
        let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// `FILE:LINE`, or "command line".
    pub fn place(&self, span: Span) -> String {
        let path = crate::util::printable::visible(&self.path(span.file));
        if self.is_command_line(span.file) { path } else { format!("{path}:{}", self.position(span).line) }
    }
}

/// All files as nginx's `-T` prints them: each once, in the order they were first read.
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
