//! error_page: the page for a status.

use super::list::List;
use crate::config::template::Template;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct Errors {
    pub pages: List<Rc<ErrorPage>>,
    /// recursive_error_pages: whether an error while serving an error page may have an error page.
    pub recursive: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ErrorPage {
    pub codes: Box<[u16]>,
    pub status: PageStatus,
    pub target: PageTarget,
}

/// The status of an error page's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// The error's own.
    Kept,
    /// `=code`.
    Code(u16),
    /// `=`: that of the page itself.
    FromPage,
}

#[derive(Debug, PartialEq, Eq)]
pub enum PageTarget {
    /// An internal redirect to a URI.
    Uri(Template),
    /// An internal redirect to `@name`.
    Named(Box<[u8]>),
    /// A redirect of the client.
    External(Template),
}
