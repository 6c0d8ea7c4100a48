//! A part that few of many structs have.

/// Boxed, so that the others keep one word for it, and no empty collection is made and dropped with each of them.
pub type Seldom<T> = Option<Box<T>>;
