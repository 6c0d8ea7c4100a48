//! error_page: the page for a status.

use super::list::List;
use crate::config::template::Template;
use std::rc::Rc;

/// error_page, recursive_error_pages.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// In order: the first that lists a status counts.
    pub pages: List<Rc<ErrorPage>>,
    /// recursive_error_pages: whether an error while serving an error page may have an error page.
    pub recursive: bool,
}

/// One error_page.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The statuses that it is for.
    pub codes: Box<[u16]>,
    /// The status that it is sent with.
    pub status: PageStatus,
    /// What is shown.
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

/// The URI of error_page.
#[derive(Debug, PartialEq, Eq)]
pub enum PageTarget {
    /// An internal redirect to a URI.
    Uri(Template),
    /// An internal redirect to `@name`.
    Named(Box<[u8]>),
    /// A redirect of the client.
    External(Template),
}
