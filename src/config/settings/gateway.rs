//! The settings of FastCGI, SCGI and uwsgi alone, besides those of proxying.

use super::list::List;
use super::programs::Role;
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
    /// Text in STDERR that makes the response a failure.
    pub catch_stderr: List<Box<[u8]>>,
    pub keep_conn: bool,
    /// uwsgi_modifier1 and uwsgi_modifier2.
    pub modifiers: (u64, u64),
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Box<[u8]>,
    pub value: Template,
    /// A parameter with an empty value is not passed.
    pub if_not_empty: bool,
    /// It may name a program.
    pub role: Option<Role>,
    /// It takes the place of a client's field.
    pub is_field: bool,
}
