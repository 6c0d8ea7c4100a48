//! Priorities that a client sends for streams before it opens them.
//!
//! Invariant: one entry a stream, and at most [`MOST`] of them: the latest.

/// Streams that an entry is kept for.
const MOST: usize = 16;

/// Stream identifiers and what was sent for each, the earliest first.
#[derive(Debug)]
pub struct EarlyPriorities<T>(Vec<(u32, T)>);

impl<T> Default for EarlyPriorities<T> {
    fn default() -> EarlyPriorities<T> {
        EarlyPriorities(Vec::new())
    }
}

impl<T> EarlyPriorities<T> {
    /// Notes a priority for a stream, in place of an earlier one.
    pub fn keep(&mut self, stream: u32, value: T) {
        self.0.retain(|(of, _)| *of != stream);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((stream, value));
    }

    /// Takes the entry of a stream that opens; streams with lower identifiers can no longer open, and are forgotten.
    pub fn take(&mut self, stream: u32) -> Option<T> {
        let at = self.0.iter().position(|(of, _)| *of == stream);
        let value = at.map(|at| self.0.remove(at).1);
        self.0.retain(|(of, _)| *of > stream);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of `sent` (stream, priority), with the stream of each.
    fn kept(sent: &[(u32, char)]) -> EarlyPriorities<char> {
        let mut early = EarlyPriorities::default();
        sent.iter().for_each(|(stream, priority)| early.keep(*stream, *priority));
        early
    }

    #[test]
    fn the_latest_word_of_a_stream_is_there_once_it_opens() {
        type Row<'a> = (&'a [(u32, char)], u32, Option<char>, &'a [(u32, char)]);
        let table: [Row<'_>; 5] = [
            (&[], 1, None, &[]),
            (&[(3, 'a'), (5, 'b')], 3, Some('a'), &[(5, 'b')]),
            (&[(3, 'a'), (5, 'b'), (3, 'c')], 3, Some('c'), &[(5, 'b')]),
            (&[(9, 'a'), (3, 'b'), (7, 'c')], 5, None, &[(9, 'a'), (7, 'c')]),
            (&[(9, 'a'), (3, 'b'), (7, 'c')], 7, Some('c'), &[(9, 'a')]),
        ];
        for (said, stream, expected, left) in table {
            let mut early = kept(said);
            assert_eq!((early.take(stream), &early.0[..]), (expected, left), "{said:?} {stream}");
        }
    }

    #[test]
    fn the_streams_spoken_of_first_are_forgotten() {
        let all: Vec<(u32, char)> = (0..MOST as u32 + 2).map(|at| (2 * at + 1, 'a')).collect();
        assert_eq!(kept(&all).0, all[2..]);
        // One stream, however often, takes the place of none.
        let again: Vec<(u32, char)> = [&all[2..], &[(99, 'b'); 3]].concat();
        assert_eq!(kept(&again).0, [&all[3..], &[(99, 'b')]].concat());
    }
}
