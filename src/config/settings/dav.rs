//! dav_methods and related directives.

use crate::http::method::{Method, MethodSet};

/// dav_methods, dav_ext_methods and their siblings.
#[derive(Clone, Debug, Default)]
pub struct Dav {
    /// dav_methods.
    pub methods: MethodSet,
    /// Minimum number of components of a URI for DELETE.
    pub min_delete_depth: u64,
    /// dav_ext_methods.
    pub ext: MethodSet,
    /// dav_ext_lock: index into `Tables::zones`.
    pub lock_zone: Option<u32>,
}

impl Dav {
    /// WebDAV for clients that mount a directory (dav_ext_methods), beyond what nginx's own module offers.
    pub fn is_extended(&self) -> bool {
        !self.ext.is_empty()
    }

    /// Whether a method is enabled by either directive.
    pub fn answers(&self, method: Method) -> bool {
        self.methods.contains(method) || self.ext.contains(method)
    }
}
