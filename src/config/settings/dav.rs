//! dav_methods and what belongs to it.

use crate::http::method::MethodSet;

#[derive(Clone, Debug, Default)]
pub struct Dav {
    pub methods: MethodSet,
    /// Components a URI must have to be deleted.
    pub min_delete_depth: u64,
}
