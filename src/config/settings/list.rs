//! A list built from several directives of a level, such as `add_header`; inner levels share it.

use std::ops::Deref;
use std::rc::Rc;

/// Shared with the outer level until the level adds something.
#[derive(Debug, PartialEq, Eq)]
pub struct List<T>(Rc<Vec<T>>);

impl<T: Clone> List<T> {
    /// Adds the item of a directive, as [`List::extend`].
    pub fn add(&mut self, is_first: bool, item: T) {
        self.extend(is_first, [item]);
    }

    /// Adds the items of a directive, possibly none. The first directive of a level starts a new list; further ones
    /// append in place, so that the cost is proportional to the number of directives.
    pub fn extend(&mut self, is_first: bool, items: impl IntoIterator<Item = T>) {
        if is_first {
            *self = List::default();
        }
        Rc::make_mut(&mut self.0).extend(items);
    }
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List(Rc::new(Vec::new()))
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        List(self.0.clone())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> List<T> {
        List(Rc::new(items.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_level_begins_a_list_and_leaves_the_outer_one() {
        let mut outer = List::default();
        outer.add(true, 1);
        outer.add(false, 2);
        let mut inner = outer.clone();
        inner.add(true, 3);
        let mut other = outer.clone();
        other.add(false, 4);
        assert_eq!((&outer[..], &inner[..], &other[..]), (&[1, 2][..], &[3][..], &[1, 2, 4][..]));
    }
}
