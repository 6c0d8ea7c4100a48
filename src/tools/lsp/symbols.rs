//! The outline of a document: its blocks, nested. Uses only the tree, and knows no directive.

use super::text::range;
use crate::config::ast::{Directive, FileId, written};
use crate::config::sources::Sources;
use serde_json::{Value, json};

/// SymbolKind values.
const NAMESPACE: u8 = 3;

/// The blocks of one file as `DocumentSymbol`s. Blocks from an `include` are left to the outline of the included file.
pub fn outline(tree: &[Directive], file: FileId, sources: &Sources) -> Value {
    let blocks = tree.iter().filter(|d| d.span.file == file && d.block.is_some());
    let symbol = |d: &Directive| {
        let inside = d.block.as_deref().unwrap_or_default();
        let named = inside.iter().find(|d| d.name.is("server_name")).filter(|_| d.args.is_empty());
        let name = written(std::iter::once(&d.name).chain(&d.args).chain(named.iter().flat_map(|d| &d.args)));
        json!({
            "name": name,
            "kind": NAMESPACE,
            "range": range(d.span.to(d.close), sources),
            "selectionRange": range(d.span, sources),
            "children": outline(inside, file, sources),
        })
    };
    blocks.map(symbol).collect()
}
