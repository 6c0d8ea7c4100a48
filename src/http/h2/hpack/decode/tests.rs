//! The decoder by the examples of RFC 7541 appendix C, and by every MUST of its text.

use super::*;

const BOUNDS: Bounds = Bounds { total: 32_768, fields: 100 };

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex")).collect()
}

fn shown(block: &Block) -> String {
    let one = |field: &Field| {
        let text = |span: Span| String::from_utf8_lossy(span.of(&block.text)).into_owned();
        format!("{}: {}\n", text(field.name), text(field.value))
    };
    block.fields.iter().map(one).collect()
}

fn decoded(decoder: &mut Decoder, text: &str) -> Result<String, HpackError> {
    let mut block = Block::default();
    decoder.decode(&hex(text), &BOUNDS, &mut block).map(|()| shown(&block))
}

#[test]
fn the_examples_of_the_rfc_are_decoded_with_their_tables() {
    let first = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
    let second = format!("{first}cache-control: no-cache\n");
    let third =
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n";
    // C.3 without and C.4 with Huffman coding: three requests on one connection, and the table's size after each.
    let sequences = [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ];
    for sequence in sequences {
        let mut decoder = Decoder::default();
        for (block, (wanted, usage)) in
            sequence.iter().zip([(first, (1, 57)), (second.as_str(), (2, 110)), (third, (3, 164))])
        {
            assert_eq!(decoded(&mut decoder, block).as_deref(), Ok(wanted));
            assert_eq!(decoder.usage(), usage);
        }
    }
    // C.2: one field each, and whether it is kept.
    let single = [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header\n", 55),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret\n", 0),
        ("82", ":method: GET\n", 0),
    ];
    for (block, wanted, used) in single {
        let mut decoder = Decoder::default();
        assert_eq!(decoded(&mut decoder, block).as_deref(), Ok(wanted));
        assert_eq!(decoder.usage().1, used, "{wanted}");
    }
}

#[test]
fn responses_with_evictions_are_decoded_as_in_the_examples() {
    // C.6: the table has 256 bytes there.
    let mut decoder = Decoder::default();
    let blocks = [
        "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let usage: Vec<_> = blocks
        .iter()
        .map(|block| {
            assert!(decoded(&mut decoder, block).is_ok());
            decoder.usage()
        })
        .collect();
    assert_eq!(usage, [(4, 222), (4, 222), (3, 215)]);
}

#[test]
fn each_decoding_error_of_the_rfc_is_one() {
    let table = [
        ("2.3.3: an index beyond both tables", "be", HpackError::Index(62)),
        ("2.3.3: an index far beyond", "ff ff ff 03", HpackError::Index(65662)),
        ("6.1: index 0", "80", HpackError::Index(0)),
        ("6.2: a name beyond both tables", "7f 00 00", HpackError::Index(63)),
        ("5.1: an integer without end", "ff 80 80 80 80 80 00", HpackError::Integer),
        ("5.1: an integer beyond every bound", "ff ff ff ff ff 0f", HpackError::Integer),
        ("5.1: the largest integer that is one", "ff 81 ff ff 07", HpackError::Index(1 << 24)),
        ("5.1: one more", "ff 82 ff ff 07", HpackError::Integer),
        ("5.1: zeros at its end", "ff 80 80 80 00", HpackError::Index(127)),
        ("5.1: and one too many", "ff 80 80 80 80 00", HpackError::Integer),
        ("5.1: an integer that the block cuts", "ff 80", HpackError::Truncated),
        ("5.2: a string longer than the block", "00 05 61 62", HpackError::Truncated),
        ("5.2: no value", "00 01 61", HpackError::Truncated),
        ("5.2: padding of eight ones", "00 81 ff 00", HpackError::Huffman),
        ("5.2: EOS", "00 84 ff ff ff ff 00", HpackError::Huffman),
        ("5.2: padding of zeros", "00 81 00 00", HpackError::Huffman),
        ("6.3: a size above the setting", "3f e2 1f", HpackError::TableSize(4097)),
        ("4.2: a size after a field", "82 20", HpackError::LateTableSize),
    ];
    for (name, block, error) in table {
        let got = decoded(&mut Decoder::default(), block);
        assert_eq!(got, Err(error), "{name}");
    }
    // Two changes before the first field are what a shrinking and growing setting makes (§4.2).
    assert_eq!(decoded(&mut Decoder::default(), "20 3f e1 1f 82").as_deref(), Ok(":method: GET\n"));
}

#[test]
fn a_block_that_ends_anywhere_else_than_behind_a_field_is_refused() {
    let block = hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff 0f0d 02 3132 10 0161 8162");
    let mut ends = Vec::new();
    for cut in 0..=block.len() {
        let mut out = Block::default();
        match Decoder::default().decode(&block[..cut], &BOUNDS, &mut out) {
            Ok(()) => ends.push(cut),
            Err(error) => assert!(matches!(error, HpackError::Truncated | HpackError::Huffman), "{cut}: {error}"),
        }
    }
    assert_eq!(ends, [0, 1, 2, 3, 17, 22]);
}

#[test]
fn what_exceeds_the_bounds_is_left_out_and_the_table_stays_right() {
    let bounds = Bounds { total: 40, fields: 3 };
    let table: [(&str, &str, Option<Excess>, usize); 4] = [
        ("three fields", "82 86 84", None, 3),
        ("a fourth one", "82 86 84 84", Some(Excess::Fields { limit: 3 }), 3),
        ("a long one", &format!("82 40 0161 1e {}", "78".repeat(30)), Some(Excess::Bytes { limit: 40 }), 1),
        ("a long whole", "82 86 41 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", Some(Excess::Bytes { limit: 40 }), 2),
    ];
    for (name, block, excess, fields) in table {
        let mut out = Block::default();
        assert_eq!(Decoder::default().decode(&hex(block), &bounds, &mut out), Ok(()), "{name}");
        assert_eq!((out.excess, out.fields.len()), (excess, fields), "{name}");
    }
    // The entry that was too long to be stored is in the table all the same.
    let mut decoder = Decoder::default();
    let mut out = Block::default();
    let long = hex(&format!("40 0161 28 {}", "78".repeat(40)));
    assert_eq!(decoder.decode(&long, &bounds, &mut out), Ok(()));
    assert_eq!(decoded(&mut decoder, "be"), Ok(format!("a: {}\n", "x".repeat(40))));
}

#[test]
fn a_decompression_bomb_costs_its_own_bytes() {
    let mut block = hex("40 01 61 7f a1 1e");
    block.extend(std::iter::repeat_n(b'x', 4000));
    block.extend(std::iter::repeat_n(0xbe, 60_000));
    let mut out = Block::default();
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&block, &BOUNDS, &mut out), Ok(()));
    assert_eq!(out.excess, Some(Excess::Bytes { limit: BOUNDS.total }));
    assert!(out.text.capacity() <= 2 * BOUNDS.total && out.fields.len() < 10);
    assert!(decoder.memory() <= 8192, "{}", decoder.memory());
}

/// A block whose first literal puts a name of 4000 bytes into the table.
fn with_a_long_name() -> Vec<u8> {
    let mut block = hex("40 7f a1 1e");
    block.extend(std::iter::repeat_n(b'x', 4000));
    block.push(0);
    block
}

#[test]
fn a_refused_block_copies_no_more_than_its_bounds() {
    let limit = 2 * BOUNDS.encoded();
    let bomb = Err(HpackError::Copies { limit: limit as u32 });
    // Each further literal names it again, in a few bytes and with an empty value: to be added to the table, or not.
    for (literal, expected) in [(&[0x7e, 0][..], bomb), (&[0x0f, 0x2f, 0], Ok(()))] {
        let mut block = with_a_long_name();
        (0..30_000).for_each(|_| block.extend(literal));
        let (mut out, mut decoder) = (Block::default(), Decoder::default());
        assert_eq!(decoder.decode(&block, &BOUNDS, &mut out), expected);
        assert!(decoder.copied <= limit + 4000, "{} bytes were copied", decoder.copied);
    }
}

#[test]
fn a_block_that_is_refused_for_what_it_spells_out_ends_no_connection() {
    // As long as a block may be, of the shortest codes, in crumbs of a field that the static table names.
    let mut block = Vec::new();
    while block.len() < BOUNDS.encoded() - 120 {
        block.extend([0x60, 0x80 | 100]);
        block.extend(std::iter::repeat_n(0, 100));
    }
    let (mut out, mut decoder) = (Block::default(), Decoder::default());
    assert_eq!(decoder.decode(&block, &BOUNDS, &mut out), Ok(()));
    assert!(out.excess.is_some());
    assert_eq!(decoded(&mut decoder, "82").as_deref(), Ok(":method: GET\n"), "and the next one is read");
    assert_eq!(decoder.copied, 0, "each block is counted alone");
}
