//! What is not serving: commands that read, write or explain configurations. Nothing of the server depends on them.

pub mod manual;
pub mod serve_dir;
