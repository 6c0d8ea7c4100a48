//! The end of a text that others hold as well.

use std::ops::Deref;
use std::rc::Rc;

/// Bytes from an offset on: a name in a path that is kept anyway takes no allocation of its own.
#[derive(Clone, Debug)]
pub struct Tail {
    whole: Rc<[u8]>,
    from: usize,
}

impl Tail {
    /// Of a text that ends with it; otherwise it is copied.
    pub fn of(whole: &Rc<[u8]>, end: &[u8]) -> Tail {
        match whole.ends_with(end) {
            true => Tail { whole: whole.clone(), from: whole.len() - end.len() },
            false => Tail { whole: end.into(), from: 0 },
        }
    }
}

impl Deref for Tail {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.whole.get(self.from..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_bytes_whether_the_text_ends_with_them() {
        let whole: Rc<[u8]> = Rc::from(&b"/a/name"[..]);
        for (end, is_shared) in [("name", true), ("/a/name", true), ("", true), ("a", false), ("x/a/name", false)] {
            let tail = Tail::of(&whole, end.as_bytes());
            assert_eq!((&*tail, Rc::ptr_eq(&tail.whole, &whole)), (end.as_bytes(), is_shared), "{end}");
        }
    }
}
