//! Password authentication, and how it is combined with address rules.

use super::list::List;
use crate::config::template::{SetTarget, Template};
use crate::config::value::Millis;
use std::rc::Rc;

/// auth_basic, auth_request, secure_link, signed_link, satisfy.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The realm shown to the client. None: no password is required.
    pub realm: Option<Template>,
    /// auth_basic_user_file, relative to the directory of the configuration.
    pub file: Option<Template>,
    /// `satisfy`.
    pub satisfy: Satisfy,
    /// Delay of the response to a wrong password.
    pub delay: Millis,
    /// auth_request: the URI of the subrequest.
    pub request: Option<Rc<[u8]>>,
    /// auth_request_below: an answer that may be for the request's URI alone also holds for other paths.
    pub request_below: bool,
    /// signed_link: keys for signed links. Empty: no link is required.
    pub link_keys: Rc<[Box<[u8]>]>,
    /// auth_request_set.
    pub request_set: List<RequestSet>,
    /// secure_link and secure_link_md5; or secure_link_secret, nginx's older mode.
    pub secure_link: Option<Template>,
    /// What the link's digest is made of.
    pub secure_link_md5: Option<Template>,
    /// The secret word.
    pub secure_link_secret: Option<Rc<[u8]>>,
}

/// A line of auth_request_set.
#[derive(Clone, Debug)]
pub struct RequestSet {
    /// The variable.
    pub slot: SetTarget,
    /// Evaluated in the subrequest.
    pub value: Template,
}

/// Whether all kinds of access rules must allow a client, or any one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Satisfy {
    /// Each rule must allow.
    #[default]
    All,
    /// One that allows is enough.
    Any,
}
