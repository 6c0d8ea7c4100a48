//! What may change a request's URI before a file is looked for: the rewrite script and try_files.

mod lists;
pub mod script;
pub mod try_files;

#[cfg(test)]
mod tests;
