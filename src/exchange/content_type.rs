//! The media type of a response.

use std::rc::Rc;

/// Content-Type of a response, copied only if it has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    #[default]
    None,
    Static(&'static str),
    Shared(Rc<[u8]>),
}

impl ContentType {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            ContentType::None => b"",
            ContentType::Static(text) => text.as_bytes(),
            ContentType::Shared(text) => text,
        }
    }
}
