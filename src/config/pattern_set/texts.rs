//! Finds which of many texts a subject contains, in one pass, ignoring ASCII case: an Aho-Corasick automaton over a
//! sparse trie. Our own, since the builder of the crate aho-corasick takes over a second for the short texts of 25 000
//! patterns.
//!
//! Invariant: building takes time linear in the total length of the texts, a search time linear in the subject and the
//! number of hits.

use crate::util::checkpoint;
use crate::util::hash::FastMap;

/// The root of the trie, which is also the failure target.
const ROOT: u32 = 0;

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Start of its range of edges; the next node's value is the end.
    edges: u32,
    /// The failure link: the longest other node that is a suffix of this one.
    fallback: u32,
    /// The nearest node that ends a text, among itself and its failure links; ROOT: none.
    found: u32,
    /// Start of its range of holders; the next node's value is the end.
    holders: u32,
}

/// The automaton, as arrays.
#[derive(Debug)]
pub struct Texts {
    /// Ordered by depth, plus one that ends the last ranges.
    nodes: Box<[Node]>,
    /// The edges' bytes, by node and sorted within one.
    bytes: Box<[u8]>,
    targets: Box<[u32]>,
    /// The root's transitions.
    first: Box<[u32; 256]>,
    /// The values of texts.
    holders: Box<[u32]>,
}

impl Texts {
    /// Non-empty texts and their values; a text may occur several times.
    pub fn new<'t>(texts: impl Iterator<Item = (&'t [u8], u32)> + Clone) -> Texts {
        let (trie, mut held, count) = trie(texts);
        checkpoint::pass_costly();
        // Renumber nodes by depth, so that a failure link points to a lower number.
        let edges = trie.into_iter().map(|((from, byte), to)| {
            checkpoint::pass();
            (from, (byte, to))
        });
        let (starts, mut edges) = grouped(count, edges.collect());
        let range = |node: u32| starts[node as usize] as usize..starts[node as usize + 1] as usize;
        for node in 0..count as u32 {
            checkpoint::pass();
            edges[range(node)].sort_unstable();
        }
        let mut order = Vec::with_capacity(count);
        order.push(ROOT);
        let mut number = vec![ROOT; count];
        let mut at = 0;
        while let Some(&old) = order.get(at) {
            checkpoint::pass();
            for (_, to) in &edges[range(old)] {
                number[*to as usize] = order.len() as u32;
                order.push(*to);
            }
            at += 1;
        }
        for (node, _) in &mut held {
            checkpoint::pass();
            *node = number[*node as usize];
        }
        let (holder_starts, holders) = grouped(count, held);
        let (mut bytes, mut targets) = (Vec::with_capacity(edges.len()), Vec::with_capacity(edges.len()));
        let mut nodes = Vec::with_capacity(count + 1);
        for (&old, holders_start) in order.iter().zip(&holder_starts) {
            checkpoint::pass();
            nodes.push(Node { edges: bytes.len() as u32, holders: *holders_start, ..Node::default() });
            for (byte, to) in &edges[range(old)] {
                bytes.push(*byte);
                targets.push(number[*to as usize]);
            }
        }
        nodes.push(Node { edges: bytes.len() as u32, holders: holders.len() as u32, ..Node::default() });
        let mut first = Box::new([ROOT; 256]);
        let root = ..nodes.get(1).map_or(0, |node| node.edges as usize);
        bytes[root].iter().zip(&targets[root]).for_each(|(byte, to)| first[usize::from(*byte)] = *to);
        let (nodes, bytes, targets) = (nodes.into(), bytes.into(), targets.into());
        let mut texts = Texts { nodes, bytes, targets, first, holders: holders.into() };
        texts.lay_fallbacks(count);
        texts
    }

    /// Reports the values of each text in the subject, possibly more than once.
    pub fn each(&self, subject: &[u8], mut found: impl FnMut(u32)) {
        let mut node = ROOT;
        for byte in subject {
            node = self.step(node, byte.to_ascii_lowercase());
            let mut end = self.nodes[node as usize].found;
            while end != ROOT {
                let at = end as usize;
                let holders = self.nodes[at].holders as usize..self.nodes[at + 1].holders as usize;
                self.holders[holders].iter().for_each(|holder| found(*holder));
                end = self.nodes[self.nodes[at].fallback as usize].found;
            }
        }
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        while node != ROOT {
            if let Some(to) = self.edge(node, byte) {
                return to;
            }
            node = self.nodes[node as usize].fallback;
        }
        self.first[usize::from(byte)]
    }

    fn edge(&self, node: u32, byte: u8) -> Option<u32> {
        let at = node as usize;
        let start = self.nodes[at].edges as usize;
        let bytes = &self.bytes[start..self.nodes[at + 1].edges as usize];
        // Most nodes have one or two edges.
        let place = match bytes.len() {
            0..8 => bytes.iter().position(|own| *own == byte),
            _ => bytes.binary_search(&byte).ok(),
        };
        Some(self.targets[start + place?])
    }

    fn lay_fallbacks(&mut self, count: usize) {
        for at in 0..count {
            checkpoint::pass();
            if at > 0 {
                let node = self.nodes[at];
                let is_end = self.nodes[at + 1].holders > node.holders;
                self.nodes[at].found = if is_end { at as u32 } else { self.nodes[node.fallback as usize].found };
            }
            for edge in self.nodes[at].edges as usize..self.nodes[at + 1].edges as usize {
                let to = self.targets[edge] as usize;
                self.nodes[to].fallback =
                    if at == 0 { ROOT } else { self.step(self.nodes[at].fallback, self.bytes[edge]) };
            }
        }
    }
}

type Trie = FastMap<(u32, u8), u32>;

/// The edges, the final nodes with their values, and the number of nodes.
fn trie<'t>(texts: impl Iterator<Item = (&'t [u8], u32)> + Clone) -> (Trie, Vec<(u32, u32)>, usize) {
    let (mut trie, mut held, mut count) = (Trie::default(), Vec::new(), 1);
    // Reserve for the worst case, without shared prefixes: growing a large map would be one long step.
    trie.reserve(texts.clone().map(|(text, _)| text.len()).sum());
    for (text, holder) in texts {
        checkpoint::pass();
        let mut node = ROOT;
        for byte in text {
            node = *trie.entry((node, byte.to_ascii_lowercase())).or_insert_with(|| {
                count += 1;
                count - 1
            });
        }
        held.push((node, holder));
    }
    (trie, held, count as usize)
}

/// A counting sort by key below `count`: the values in order, and the start of each key's range plus the end of the
/// last. Not a comparison sort, which would be one long step.
fn grouped<T: Copy + Default>(count: usize, items: Vec<(u32, T)>) -> (Vec<u32>, Vec<T>) {
    let mut starts = vec![0; count + 1];
    for (of, _) in &items {
        checkpoint::pass();
        starts[*of as usize + 1] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        checkpoint::pass();
        sum += *start;
        *start = sum;
    }
    let (mut next, mut grouped) = (starts.clone(), vec![T::default(); items.len()]);
    for (of, item) in items {
        checkpoint::pass();
        let place = &mut next[of as usize];
        grouped[*place as usize] = item;
        *place += 1;
    }
    (starts, grouped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::seed::Seed;
    use std::collections::BTreeSet;

    fn found(texts: &[&[u8]], subject: &[u8]) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        Texts::new(texts.iter().copied().zip(0..)).each(subject, |text| {
            found.insert(text);
        });
        found
    }

    #[test]
    fn every_text_that_is_there_is_found() {
        for (texts, subject, expected) in [
            (&["he", "she", "his", "hers"][..], "ushers", &[0, 1, 3][..]),
            (&["a", "aa", "aaa"], "aa", &[0, 1]),
            (&["Bot", "bOT", "x"], "aBOTb", &[0, 1]),
            (&["abcd", "bc", "c"], "abce", &[1, 2]),
            (&["x"], "", &[]),
            (&[], "abc", &[]),
            (&["\u{e9}t\u{e9}"], "\u{e9}t\u{e9}", &[0]),
        ] {
            let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(
                found(&bytes, subject.as_bytes()).into_iter().collect::<Vec<_>>(),
                expected,
                "{texts:?} {subject}"
            );
        }
    }

    #[test]
    fn it_finds_what_looking_for_each_text_finds() {
        let mut random = Seed::new(7);
        for round in 0..300 {
            let letters = if round % 2 == 0 { 3 } else { 6 };
            let mut word = |most: u64| -> Vec<u8> {
                (0..1 + random.below(most)).map(|_| b"abAcd/"[random.below(letters) as usize]).collect()
            };
            let texts: Vec<Vec<u8>> = (0..40).map(|_| word(5)).collect();
            let subject = word(30);
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let lower = subject.to_ascii_lowercase();
            let is_in = |text: &[u8]| lower.windows(text.len()).any(|part| part == text.to_ascii_lowercase());
            let expected: BTreeSet<u32> = (0..).zip(&texts).filter(|(_, text)| is_in(text)).map(|(at, _)| at).collect();
            assert_eq!(found(&texts, &subject), expected, "{texts:?} {subject:?}");
        }
    }
}
