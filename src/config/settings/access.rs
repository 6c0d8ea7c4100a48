//! Who may do what: methods and addresses.

use crate::config::addr::Cidr;
use crate::config::ast::Span;
use crate::http::method::MethodSet;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct Access {
    /// None: the default of what the location does.
    pub allowed: Option<MethodSet>,
    /// In order; the first that matches decides.
    pub rules: Rc<[Rule]>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub allow: bool,
    pub who: Who,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Who {
    All,
    Unix,
    Net(Cidr),
}
