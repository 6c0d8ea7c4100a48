//! nginx's configuration language: text → tree with spans → rows of directives → resolved model.
//!
//! [`load`] opens the files of the configuration, [`certificates`] the TLS files that it names; [`local_ca`] makes
//! certificates, [`lookup`] resolves names. Most of the rest is pure. Invariant: no input causes a panic, and one run
//! reports every independent error with its position.

pub mod acme;
pub mod addr;
pub mod argument;
pub mod ast;
pub mod build;
pub mod certificates;
pub mod context;
pub mod directives;
pub mod dismantle;
pub mod endpoints;
pub mod error;
pub mod examples;
pub mod expires;
pub mod fault;
pub mod foreign_names;
pub mod glob;
pub mod ids;
mod ignored_forms;
mod ignored_values;
pub mod known;
pub mod load;
pub mod local_ca;
pub mod local_certificate;
pub mod lookup;
pub mod model;
pub mod names;
pub mod pass_directives;
pub mod pattern;
pub mod pattern_set;
pub mod proxy_tls;
pub mod registry;
pub mod resolve;
pub mod row;
pub mod script;
pub mod settings;
pub mod sources;
pub mod suggest;
pub mod synopses;
pub mod syntax;
pub mod template;
pub mod tls;
pub mod tls_checks;
pub mod tls_material;
mod tls_recipe;
pub mod upstream_drafts;
pub mod upstream_url;
pub mod value;
