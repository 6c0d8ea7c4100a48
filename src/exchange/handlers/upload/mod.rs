//! POST and PUT: files to disk.
//!
//! - [`state`], [`receive`]: an upload in progress, and its body as it is received
//! - [`mod@start`], [`check`]: the head of a request, and each of its files, checked before their content arrives
//! - [`target_path`], [`target_dir`], [`folders`]: the path of the URI, its directory, opened beneath the root or the
//!   store, and those below it
//! - [`name`], [`rules`], [`quota`], [`quota_share`], [`digest`]: what may be stored, and under which name
//! - [`temp_file`], [`finish`], [`commit`], [`fsync`]: a file being written, how files get their names, and onto the
//!   disk
//! - [`form`], [`raw`]: the two kinds of bodies
//! - [`rate_limit`]: how fast they are read
//! - [`answer`], [`refusal`]: responses
//! - [`record`]: the values of variables about it
//! - [`serve_policy`]: how stored files are sent
//! - [`free_space`]: upload_min_free while files arrive
//! - [`resumed`], [`room`], [`begun_target`]: the same for a file that comes in several requests
//!
//! Invariant: nothing appears in the directory before the body is complete and right; dropping an [`Upload`] leaves
//! nothing behind.

mod answer;
mod begun_target;
mod check;
mod commit;
pub mod digest;
mod finish;
mod folders;
mod form;
mod free_space;
mod fsync;
mod limit;
mod name;
mod quota;
pub mod quota_share;
pub mod rate_limit;
mod raw;
mod receive;
pub mod record;
pub mod refusal;
pub mod resumed;
mod room;
mod rules;
mod sent_form;
mod serve_policy;
mod start;
mod state;
pub mod target_dir;
pub mod target_path;
pub mod temp_file;
#[cfg(test)]
mod tests;

pub use answer::{not_removed, not_written, note_too_large, refuse, refused_otherwise};
pub use name::{Names, numbered};
pub use quota::{check_directory, check_empty, later, lock_empty};
pub use quota_share::QuotaShare;
pub use raw::DEFAULT_TYPE;
pub use record::UploadRecord;
pub use refusal::{Refusal, too_large, why_failed};
pub use rules::{check_extension, check_room, check_type};
pub use serve_policy::guard;
pub use start::start;
pub use state::Upload;
pub use target_dir::{area_of, as_directory, shown_at};
pub use target_path::lacks_name;
