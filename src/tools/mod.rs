//! What is not serving: commands that read, write or explain configurations. Nothing of the server depends on them.

pub mod advice;
pub mod cert;
pub mod check_nginx;
pub mod format;
pub mod lint;
pub mod lsp;
pub mod manual;
pub mod report;
pub mod serve_dir;
pub mod sign;
pub mod status;
