//! Password hashes: one per password, round robin between clients, limits, a helper that exits.

use super::*;
use crate::sys::file;
use crate::util::slab;

fn same(stored: &[u8], given: &[u8]) -> bool {
    if stored == b"dies" {
        crate::sys::process::leave(3);
    }
    stored == given
}

fn wake(slot: u32) -> Wake {
    Wake::conn(slab::Key::new(slot, 1))
}

fn given<'a>(stored: &'a str, password: &'a str, client: &'a str, slot: u32) -> Given<'a> {
    let (stored, password, client) = (stored.as_bytes(), password.as_bytes(), client.as_bytes());
    Given { stored, password, client, waiter: Some(wake(slot)) }
}

/// Waits for the helper's next message.
fn hear(passwords: &mut Passwords) -> Vec<Wake> {
    let fd = passwords.helper.as_ref().expect("a helper").fd();
    file::wait_readable(fd, 10_000).expect("poll");
    passwords.receive(same, |waiter| waiter != wake(99));
    passwords.woken()
}

#[test]
fn a_password_is_hashed_once() {
    let mut passwords = Passwords::default();
    let table = [
        ("a", "a", PasswordCheck::Right),
        ("a", "b", PasswordCheck::Wrong),
        ("b", "b", PasswordCheck::Right),
        ("", "", PasswordCheck::Right),
    ];
    for (at, (stored, password, verdict)) in table.into_iter().enumerate() {
        let at = at as u32;
        let asked = given(stored, password, "c", at);
        assert_eq!(passwords.check(&asked, same), PasswordCheck::Pending);
        assert_eq!(
            passwords.check(&given(stored, password, "d", at + 10), same),
            PasswordCheck::Pending,
            "the same hash"
        );
        assert_eq!(hear(&mut passwords), [wake(at), wake(at + 10)]);
        for _ in 0..2 {
            assert_eq!(passwords.check(&asked, same), verdict, "{stored:?} {password:?}");
        }
    }
    assert!(passwords.running.is_none() && passwords.queue.is_empty());
}

#[test]
fn clients_take_turns_and_abandoned_checks_are_left_out() {
    let mut passwords = Passwords::default();
    for (slot, password) in ["1", "2", "3"].into_iter().enumerate() {
        passwords.check(&given("x", password, "greedy", slot as u32), same);
    }
    passwords.check(&given("x", "4", "gone", 99), same);
    passwords.check(&given("x", "x", "patient", 4), same);
    let order: Vec<Vec<Wake>> = (0..4).map(|_| hear(&mut passwords)).collect();
    assert_eq!(order, [[wake(0)], [wake(1)], [wake(4)], [wake(2)]]);
}

#[test]
fn a_client_and_all_together_have_a_bound() {
    let mut passwords = Passwords::default();
    let mut asked = |client: &str, count: usize| -> Vec<PasswordCheck> {
        let ask = |at: usize| passwords.check(&given("x", &format!("{client}{at}"), client, 1), same);
        (0..count).map(ask).collect()
    };
    // One is being computed.
    let verdicts = asked("one", OF_ONE + 2);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == PasswordCheck::Pending).count(), OF_ONE + 1);
    assert_eq!(verdicts.last(), Some(&PasswordCheck::TooMany));
    for client in 1..ALL / OF_ONE {
        assert!(asked(&format!("c{client:02}-"), OF_ONE).iter().all(|verdict| *verdict == PasswordCheck::Pending));
    }
    assert_eq!(asked("late", 1), [PasswordCheck::Pending], "one of those that have the most gives way");
    assert_eq!((passwords.shares.total(), passwords.woken().len()), (ALL, 1));
}

/// 17 addresses kept all other users from logging in, with 503.
#[test]
fn addresses_that_guess_do_not_lock_out_a_user_of_another() {
    let mut passwords = Passwords::default();
    let guess = |passwords: &mut Passwords, client: u32, n: u32| {
        let address = format!("c{client:02}");
        passwords.check(&given("x", &format!("{client}-{n}"), &address, client), same)
    };
    let refill = |passwords: &mut Passwords, round: u32| {
        for client in 0..17 {
            let mut n = round * 100;
            while guess(passwords, client, n) == PasswordCheck::Pending && n < round * 100 + OF_ONE as u32 {
                n += 1;
            }
        }
    };
    refill(&mut passwords, 1);
    for round in 2..60 {
        hear(&mut passwords);
        refill(&mut passwords, round);
    }
    assert_eq!(passwords.shares.total(), ALL);
    let login = given("y", "y", "192.0.2.1", 77);
    assert_eq!(passwords.check(&login, same), PasswordCheck::Pending);
    let verdicts = (1..10).find(|_| hear(&mut passwords).contains(&wake(77)));
    assert!(verdicts.is_some_and(|count| count <= 3), "{verdicts:?}");
    assert_eq!(passwords.check(&login, same), PasswordCheck::Right);
}

#[test]
fn a_helper_that_ends_costs_one_verdict() {
    let mut passwords = Passwords::default();
    let deadly = given("dies", "x", "c", 1);
    assert_eq!(passwords.check(&deadly, same), PasswordCheck::Pending);
    assert_eq!(passwords.check(&given("a", "a", "c", 2), same), PasswordCheck::Pending);
    assert_eq!(hear(&mut passwords), [], "it may have been killed: once more");
    assert_eq!(hear(&mut passwords), [wake(1)]);
    assert_eq!(passwords.check(&deadly, same), PasswordCheck::Failed);
    assert!(passwords.trouble().expect("said").contains("ended"));
    assert_eq!(hear(&mut passwords), [wake(2)]);
    assert_eq!(passwords.check(&given("a", "a", "c", 2), same), PasswordCheck::Right);
}
