//! How many columns of a terminal a character takes: two for the scripts of East Asia and for pictures, none for what
//! joins the character before it, one for all else. Blocks of Unicode, not its whole table: carets need no more.

/// Blocks whose characters are two columns wide.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f),
    (0x2e80, 0x303e),
    (0x3041, 0x33ff),
    (0x3400, 0x4dbf),
    (0x4e00, 0x9fff),
    (0xa000, 0xa4cf),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe4f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1f300, 0x1f64f),
    (0x1f680, 0x1f6ff),
    (0x1f900, 0x1f9ff),
    (0x20000, 0x3fffd),
];
/// Marks that stand on the character before them.
const JOINING: &[(u32, u32)] = &[
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x20d0, 0x20ff),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
];

/// 0, 1 or 2.
pub fn width(c: char) -> usize {
    let within = |blocks: &[(u32, u32)]| blocks.iter().any(|(from, to)| (*from..=*to).contains(&u32::from(c)));
    match c {
        '\0'..='\u{2ff}' => 1,
        _ if within(JOINING) => 0,
        _ if within(WIDE) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_take_as_many_columns_as_terminals_give_them() {
        for (text, columns) in
            [("abc", 3), ("ü", 1), ("日本語", 6), ("한글", 4), ("e\u{301}", 1), ("🦀", 2), ("ｆ", 2), ("λ→", 2)]
        {
            assert_eq!(text.chars().map(width).sum::<usize>(), columns, "{text}");
        }
    }
}
