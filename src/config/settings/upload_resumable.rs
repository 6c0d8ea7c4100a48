//! Resumable uploads.

use crate::config::value::Millis;
use std::rc::Rc;

/// A group of the upload settings.
#[derive(Clone, Debug)]
pub struct Resumable {
    /// The protocols that are spoken.
    pub speaks: Speaks,
    /// An absolute path. None: beside the stored files.
    pub state_store: Option<Rc<[u8]>>,
    /// Counted from an upload's last received byte; 0: no limit.
    pub max_age: Millis,
}

/// The resumable upload protocols of a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speaks {
    /// tus 1.0.0.
    pub tus: bool,
    /// draft-ietf-httpbis-resumable-upload.
    pub rufh: bool,
}

impl Speaks {
    /// Uploads can go on at all.
    pub fn any(self) -> bool {
        self.tus || self.rufh
    }
}

impl Default for Resumable {
    fn default() -> Resumable {
        Resumable { speaks: Speaks::default(), state_store: None, max_age: Millis(24 * 60 * 60 * 1000) }
    }
}
