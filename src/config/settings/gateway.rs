//! What only FastCGI, SCGI and uwsgi have, beside the settings of proxying.

use super::list::List;
use crate::config::pattern::Pattern;
use crate::config::template::Template;
use std::rc::Rc;

/// What only FastCGI, SCGI and uwsgi need to know.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    pub params: List<Param>,
    /// fastcgi_index: the file that stands for a URI ending in `/`.
    pub index: Box<[u8]>,
    /// fastcgi_split_path_info.
    pub split_path_info: Option<Rc<Pattern>>,
    /// Words in STDERR that make a response a failure.
    pub catch_stderr: List<Box<[u8]>>,
    pub keep_conn: bool,
    /// uwsgi_modifier1 and uwsgi_modifier2.
    pub modifiers: (u64, u64),
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Box<[u8]>,
    pub value: Template,
    /// An empty value is not passed at all.
    pub if_not_empty: bool,
}
