//! Commands that read, write or explain configurations without serving. The server depends on none of them.

pub mod advice;
pub mod cert;
pub mod changes;
pub mod check_nginx;
pub mod format;
pub mod lint;
pub mod lsp;
pub mod manual;
pub mod report;
pub mod serve_dir;
pub mod sign;
pub mod status;
pub mod variables;
