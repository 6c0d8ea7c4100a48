//! The order of names that people expect: letters without case, runs of digits by value (`file2` before `file10`).

use std::cmp::Ordering;

/// Compares; the bytes break ties.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    by_value(a, b).then_with(|| a.cmp(b))
}

/// Compares folder by folder: what is in a folder follows it.
pub fn compare_paths(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.split(|byte| *byte == b'/'), b.split(|byte| *byte == b'/'));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return compare(a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

fn by_value(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(&x), Some(&y)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (run_a, rest_a) = digits(a);
            let (run_b, rest_b) = digits(b);
            // Without leading zeros the longer run is the larger number, however long it is.
            let ordering = run_a.len().cmp(&run_b.len()).then_with(|| run_a.cmp(run_b));
            if ordering.is_ne() {
                return ordering;
            }
            (a, b) = (rest_a, rest_b);
        } else {
            let ordering = x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase());
            if ordering.is_ne() {
                return ordering;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
    }
}

/// The leading run of digits without its leading zeros, and what follows it.
fn digits(name: &[u8]) -> (&[u8], &[u8]) {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (run, rest) = name.split_at(end);
    let zeros = run.iter().take_while(|&&byte| byte == b'0').count();
    (run.get(zeros..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_folder_follows_it_and_stands_before_the_next_name() {
        let sorted = ["a/", "a/b", "a/b10", "a b", "B/x", "B/x/y", "c2", "c10"];
        let mut paths = sorted;
        paths.reverse();
        paths.sort_by(|a, b| compare_paths(a.as_bytes(), b.as_bytes()));
        assert_eq!(paths, sorted);
    }

    #[test]
    fn numbers_count_and_the_order_is_total() {
        let sorted = ["a", "A1", "a2", "a02", "a10", "b", "file2.txt", "file10.txt", "fil\u{e9}"];
        let mut names: Vec<&str> = sorted.iter().rev().copied().collect();
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(names.len(), sorted.len());
        for (a, b) in names.iter().zip(names.iter().skip(1)) {
            assert!(compare(a.as_bytes(), b.as_bytes()).is_lt() && compare(b.as_bytes(), a.as_bytes()).is_gt());
        }
        let at = |name: &str| names.iter().position(|known| *known == name);
        assert!(at("a2") < at("a10") && at("A1") < at("a2") && at("file2.txt") < at("file10.txt"));
    }
}
