//! Messages of name servers: what their chains of names lead to, and what is no answer.

use super::*;

/// A message: flags, question, then records of owner (`&` is the question's name, `@n` a pointer), type, TTL and data.
fn message(flags: u16, name: &str, kind: u16, records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
    let mut out = vec![0x12, 0x34];
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    out.extend(wire(name));
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    for (owner, kind, ttl, data) in records {
        out.extend_from_slice(owner);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(&ttl.to_be_bytes());
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(data);
    }
    out
}

fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn said(message: &[u8]) -> String {
    let response = match parse(message) {
        Ok(response) => response,
        Err(bad) => return bad.to_string(),
    };
    let (code, truncated) = (response.code, response.truncated);
    let answer = match response.answer() {
        Ok(answer) => answer,
        Err(bad) => return bad.to_string(),
    };
    let mut words: Vec<String> = answer.addresses.iter().map(IpAddr::to_string).collect();
    words.extend(answer.services.iter().map(|s| format!("{}/{}/{}/{}", s.priority, s.weight, s.port, s.target)));
    words.extend(answer.alias.map(|alias| format!("-> {alias}")));
    words.extend(truncated.then(|| "truncated".to_owned()));
    if answer.ttl != u32::MAX && answer.ttl > 0 {
        words.push(format!("for {}", answer.ttl));
    }
    if code > 0 { format!("error {code}") } else { words.join(" ") }
}

#[test]
fn answers_say_what_their_chain_of_names_leads_to() {
    const ASKED: &[u8] = b"\xc0\x0c";
    let (alias, far) = (wire("x.test"), wire("y.test"));
    let srv = [&[0, 1, 0, 5, 0x1f, 0x90][..], &alias].concat();
    let long = [&[63][..], &[b'a'; 63]].concat().repeat(4);
    for (name, kind, records, expected) in [
        ("an address", 1, vec![(ASKED, 1, 60, &[10, 0, 0, 1][..])], "10.0.0.1 for 60"),
        ("two", 1, vec![(ASKED, 1, 60, &[10, 0, 0, 1]), (ASKED, 1, 30, &[10, 0, 0, 2])], "10.0.0.1 10.0.0.2 for 30"),
        ("none", 1, vec![], ""),
        ("IPv6", 28, vec![(ASKED, 28, 60, &[1; 16])], "101:101:101:101:101:101:101:101 for 60"),
        ("of the other family", 28, vec![(ASKED, 1, 60, &[10, 0, 0, 1])], ""),
        ("an alias", 1, vec![(ASKED, 5, 9, &alias)], "-> x.test for 9"),
        ("an alias and its address", 1, vec![(ASKED, 5, 9, &alias), (&alias, 1, 60, &[1, 2, 3, 4])], "1.2.3.4 for 9"),
        ("in the other order", 1, vec![(&alias, 1, 60, &[1, 2, 3, 4]), (ASKED, 5, 9, &alias)], "1.2.3.4 for 9"),
        ("two aliases", 1, vec![(ASKED, 5, 9, &alias), (&alias, 5, 8, &far)], "-> y.test for 8"),
        ("a circle", 1, vec![(ASKED, 5, 9, &alias), (&alias, 5, 8, ASKED)], "for 8"),
        ("an address of another name", 1, vec![(&alias, 1, 60, &[6, 6, 6, 6])], ""),
        ("a service", 33, vec![(ASKED, 33, 7, &srv)], "1/5/8080/x.test for 7"),
        ("what is not known", 1, vec![(ASKED, 39, 60, &far), (ASKED, 1, 5, &[1, 1, 1, 1])], "1.1.1.1 for 5"),
        ("a TTL of 32 bits", 1, vec![(ASKED, 1, u32::MAX, &[1, 1, 1, 1])], "1.1.1.1"),
        ("a short address", 1, vec![(ASKED, 1, 60, &[1, 2, 3])], "invalid A record in DNS response"),
        ("no address", 1, vec![(ASKED, 1, 60, &[])], "invalid A record in DNS response"),
        ("a name with a rest", 1, vec![(ASKED, 5, 9, b"\x01x\0\0")], "invalid record in DNS response"),
        ("a pointer to itself", 1, vec![(ASKED, 5, 9, b"\xc0\x24")], "invalid compression pointer in DNS response"),
        ("a pointer ahead", 1, vec![(b"\xc0\x50", 1, 9, &[1; 4])], "invalid compression pointer in DNS response"),
        ("an unknown label type", 1, vec![(b"\x80\0", 1, 9, &[1; 4])], "invalid name in DNS response"),
        ("a control byte", 1, vec![(ASKED, 5, 9, b"\x02a\r\0")], "invalid name in DNS response"),
        ("too long a name", 1, vec![(ASKED, 5, 9, &[&long[..], b"\x01a\0"].concat())], "invalid name in DNS response"),
    ] {
        assert_eq!(said(&message(0x8180, "a.test", kind, &records)), expected, "{name}");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let good = message(0x8180, "a.test", 1, &[(b"\xc0\x0c", 1, 60, &[10, 0, 0, 1])]);
    for end in 0..good.len() {
        let read = parse(&good[..end]).and_then(Response::answer);
        assert_eq!(read, Err(SHORT), "cut at {end}");
    }
    for (name, flags, kind, expected) in [
        ("a query", 0x0100, 1, "invalid DNS response"),
        ("another opcode", 0x8900, 1, "invalid DNS response"),
        ("no such name", 0x8183, 1, "error 3"),
        ("truncated", 0x8380, 1, "truncated"),
        ("another type", 0x8180, 16, "unknown query type in DNS response"),
    ] {
        assert_eq!(said(&message(flags, "a.test", kind, &[])), expected, "{name}");
    }
    assert_eq!(said(&message(0x8180, "", 1, &[])), "zero-length domain name in DNS response");
    let mut two = good.clone();
    two[5] = 2;
    assert_eq!(said(&two), "invalid number of questions in DNS response");
}

#[test]
fn an_answer_with_another_id_is_not_read() {
    // A chain of 200 names that begins with its last record, and a record that is cut.
    let names: Vec<Vec<u8>> = (0..=200).map(|at| wire(&format!("n{at}.test"))).collect();
    let links: Vec<_> = (0..200).rev().map(|at| (&names[at][..], 5, 60, &names[at + 1][..])).collect();
    let whole = message(0x8180, "n0.test", 1, &links);
    let cut = &whole[..whole.len() - 3];
    let response = parse(cut).expect("its question tells whether it was asked for");
    assert_eq!((response.id, &*response.name, response.kind), (0x1234, "n0.test", Kind::A));
    assert_eq!(response.answer(), Err(SHORT), "its records are read only now");
    // What is followed of it does not grow with the square of their number.
    assert_eq!(said(&whole), "-> n16.test for 60");
}

#[test]
fn a_name_of_pointers_to_pointers_ends() {
    // A record of a type that is not read, whose data is pointers, each to the one before it.
    for (count, expected) in
        [(POINTERS as u16 - 1, "1.1.1.1 for 5"), (4000, "invalid compression pointer in DNS response")]
    {
        let first: u16 = 12 + 8 + 4 + 12;
        let mut data = 0xc00c_u16.to_be_bytes().to_vec();
        (0..count - 1).for_each(|at| data.extend((0xc000 + first + 2 * at).to_be_bytes()));
        let last = (0xc000 + first + 2 * (count - 1)).to_be_bytes();
        let records: [(&[u8], u16, u32, &[u8]); 2] = [(b"\xc0\x0c", 99, 60, &data), (&last, 1, 5, &[1, 1, 1, 1])];
        assert_eq!(said(&message(0x8180, "a.test", 1, &records)), expected, "{count}");
    }
}

#[test]
fn a_query_asks_one_question() {
    let asked = query(0x1234, "a.test", Kind::Aaaa);
    assert_eq!(asked, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x1c\0\x01");
}

#[test]
fn names_have_one_form() {
    for (name, expected) in [
        ("A.Test", Some("a.test")),
        ("a.test.", Some("a.test")),
        ("_http._tcp.a", Some("_http._tcp.a")),
        ("", None),
        (".", None),
        ("a..b", None),
        ("a b", None),
        ("ü", None),
    ] {
        assert_eq!(canonical(name.as_bytes()).as_deref(), expected, "{name}");
    }
    assert!(canonical(&[b'a'; 63]).is_some() && canonical(&[b'a'; 64]).is_none());
    assert!(canonical(&b"a.".repeat(200)).is_none());
}
