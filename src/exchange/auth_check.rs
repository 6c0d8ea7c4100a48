//! What an exchange knows of the subrequest that auth_request makes ([`super::access::auth_request`]).

use crate::http::status::Status;

/// The state of the subrequest that decides about a request.
pub struct AuthCheck {
    /// `satisfy any`: the status with which the other rules refused the request.
    pub refused: Option<Status>,
    /// The status of the subrequest's response; None until there is one.
    pub verdict: Option<Status>,
}
