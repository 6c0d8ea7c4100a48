//! The media type of a response.

use std::rc::Rc;

/// Content-Type of a response, copied only if it has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    /// The response has no Content-Type.
    #[default]
    None,
    /// One of this program's own.
    Static(&'static str),
    /// From the configuration or an upstream.
    Shared(Rc<[u8]>),
}

impl ContentType {
    /// The value of the field; empty: none is sent.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            ContentType::None => b"",
            ContentType::Static(text) => text.as_bytes(),
            ContentType::Shared(text) => text,
        }
    }
}
