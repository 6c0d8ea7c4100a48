//! nginx's configuration language: text → tree with spans → rows of directives → resolved model.
//!
//! [`load`] opens the files of the configuration, [`certificates`] those of TLS that it names. All else is pure. Invariant: no input makes this panic,
//! and every independent error of a run is reported with its place.

pub mod addr;
pub mod ast;
pub mod certificates;
pub mod context;
pub mod directives;
pub mod endpoints;
pub mod error;
pub mod foreign_names;
pub mod glob;
pub mod load;
pub mod local_ca;
pub mod model;
pub mod names;
pub mod pattern;
pub mod proxy_tls;
pub mod resolve;
pub mod suggest;
pub mod syntax;
pub mod table;
pub mod template;
pub mod tls;
pub mod value;
