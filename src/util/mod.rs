//! Small things every layer uses. No I/O, no policy, nothing that knows HTTP or the configuration.

pub mod buf;
pub mod byte_order_mark;
pub mod bytes;
pub mod checkpoint;
pub mod clean_path;
pub mod columns;
pub mod date;
pub mod decimal;
pub mod decompose;
pub mod descent;
pub mod dns;
pub mod fold_case;
pub mod hash;
pub mod inject;
pub mod json;
pub mod memory;
pub mod natural_order;
pub mod networks;
pub mod printable;
pub mod reuse;
pub mod seldom;
pub mod shards;
pub mod slab;
pub mod span;
pub mod subpaths;
pub mod tail;
pub mod text;
pub mod wake;
pub mod wheel;

#[cfg(test)]
pub(crate) mod seed;
