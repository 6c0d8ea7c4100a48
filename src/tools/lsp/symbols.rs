//! The outline of a document: its blocks, each with those inside it. Reads the tree, and knows no directive.

use super::range;
use crate::config::ast::{Directive, FileId, written};
use crate::config::sources::Sources;
use serde_json::{Value, json};

/// Kinds of the protocol.
const NAMESPACE: u8 = 3;

/// The blocks of one file, as `DocumentSymbol`s. What an `include` brought in belongs to the document it stands in.
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
