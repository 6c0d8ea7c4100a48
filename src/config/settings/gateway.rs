//! Settings that only FastCGI, SCGI and uwsgi have, in addition to those of proxying.

use super::list::List;
use super::programs::Role;
use crate::config::pattern::Pattern;
use crate::config::template::Template;
use std::rc::Rc;

/// Settings of the gateway protocols.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// fastcgi_param, scgi_param, uwsgi_param.
    pub params: List<Param>,
    /// fastcgi_index: the file name appended to a URI that ends in `/`.
    pub index: Box<[u8]>,
    /// fastcgi_split_path_info.
    pub split_path_info: Option<Rc<Pattern>>,
    /// Text in STDERR that makes the response count as invalid.
    pub catch_stderr: List<Box<[u8]>>,
    /// fastcgi_keep_conn: the application is asked not to close the connection.
    pub keep_conn: bool,
    /// uwsgi_modifier1 and uwsgi_modifier2.
    pub modifiers: (u64, u64),
}

/// A parameter of the request.
#[derive(Clone, Debug)]
pub struct Param {
    /// As sent.
    pub name: Box<[u8]>,
    /// Evaluated for each request.
    pub value: Template,
    /// Whether the parameter is omitted if its value is empty.
    pub if_not_empty: bool,
    /// Set if the parameter may name a program.
    pub role: Option<Role>,
    /// Whether it overrides a header field of the client.
    pub is_field: bool,
}
