//! The wheel against tables and a sorted map.

use super::*;
use crate::util::seed::Seed;
use std::collections::BTreeMap;

/// Every list is linked both ways, every bit tells the truth, no timer hangs behind its deadline.
fn check(wheel: &Wheel) {
    let mut hanging = 0;
    for slot in 0..SLOTS {
        let mut prev = FIRST;
        let mut id = wheel.heads[slot];
        assert_eq!(wheel.occupied[slot / 64] >> (slot % 64) & 1 == 1, id != END, "the bit of slot {slot}");
        while id != END {
            let link = wheel.links[id as usize];
            assert_eq!(link.prev, if prev == FIRST { FIRST } else { prev });
            assert_eq!(slot_of(link.at), slot);
            assert!(wheel.full(link.at) <= wheel.full(link.deadline));
            assert!(wheel.full(link.at) >= wheel.cursor);
            hanging += 1;
            prev = id;
            id = link.next;
        }
    }
    for word in 0..WORDS {
        assert_eq!(wheel.words >> word & 1 == 1, wheel.occupied[word] != 0, "the bit of word {word}");
    }
    assert_eq!(hanging, wheel.len());
    assert_eq!(hanging, wheel.links.iter().filter(|link| link.prev != OFF).count());
}

fn expired(wheel: &mut Wheel, now: u64) -> Vec<u32> {
    let mut due = Vec::new();
    wheel.expire(now, &mut due);
    due.sort_unstable();
    check(wheel);
    due
}

#[test]
fn a_timer_fires_at_its_deadline_rounded_up() {
    // start, deadline, the last moment without it, the first with it
    let table = [
        ("on a slot", 0, 160, 159, 160),
        ("between two slots", 0, 161, 175, 176),
        ("a start between two slots", 1_000_003, 1_000_103, 1_000_111, 1_000_112),
        ("beyond the horizon", 0, 3_600_000, 3_599_999, 3_600_000),
        ("in the last slot of the horizon", 0, 4095 * 16, 4095 * 16 - 1, 4095 * 16),
        ("just beyond it", 0, 4096 * 16, 4096 * 16 - 1, 4096 * 16),
        ("past already", 1600, 10, 1599, 1600),
        ("across the wrap of 32-bit ticks", (u64::from(u32::MAX) - 5) * 16, (1 << 36) + 64, 1 << 36, (1 << 36) + 64),
    ];
    for (name, start, deadline, before, after) in table {
        let mut wheel = Wheel::new(start);
        wheel.arm(3, deadline);
        assert_eq!(wheel.deadline(3), Some(after), "{name}");
        for now in (start..=before).step_by(977).chain([before]) {
            assert!(expired(&mut wheel, now).is_empty(), "{name} at {now}");
        }
        assert!(wheel.next(before).is_some_and(|wait| wait <= after - before), "{name}");
        assert_eq!(expired(&mut wheel, after), [3], "{name}");
        assert_eq!((wheel.next(after), wheel.len()), (None, 0), "{name}");
    }
}

#[test]
fn moving_a_deadline_later_leaves_the_timer_where_it_hangs() {
    let mut wheel = Wheel::new(0);
    wheel.arm(0, 1600);
    for deadline in [3200, 60_000, 4800] {
        wheel.arm(0, deadline);
        assert_eq!(wheel.links[0].at, 100);
        assert_eq!(wheel.deadline(0), Some(deadline));
    }
    wheel.arm(0, 800);
    assert_eq!(wheel.links[0].at, 50, "earlier must move it");
    wheel.arm(0, 2400);
    assert_eq!(wheel.next(0), Some(800), "the wake-up for nothing");
    assert!(expired(&mut wheel, 800).is_empty());
    assert_eq!(wheel.next(800), Some(1600));
    assert_eq!(expired(&mut wheel, 2400), [0]);
}

#[test]
fn a_disarmed_timer_does_not_fire_and_frees_its_slot() {
    let mut wheel = Wheel::new(0);
    for id in [5, 6, 7] {
        wheel.arm(id, 1600);
    }
    for (id, left) in [(6, 2), (7, 1), (6, 1), (99, 1), (5, 0)] {
        wheel.disarm(id);
        check(&wheel);
        assert_eq!(wheel.len(), left);
        assert!(!wheel.is_armed(id));
    }
    assert!(wheel.is_empty());
    assert_eq!(wheel.next(0), None);
    assert!(expired(&mut wheel, 10_000).is_empty());
}

#[test]
fn a_clock_that_stands_still_or_goes_back_fires_nothing_twice() {
    let mut wheel = Wheel::new(32_000);
    wheel.arm(1, 32_100);
    assert_eq!(expired(&mut wheel, 33_000), [1]);
    assert!(expired(&mut wheel, 33_000).is_empty());
    wheel.arm(1, 32_500);
    assert!(expired(&mut wheel, 31_000).is_empty());
    assert_eq!(expired(&mut wheel, 33_016), [1], "one past its deadline fires at the next slot");
}

#[test]
fn the_furthest_deadline_is_half_a_year() {
    let mut wheel = Wheel::new(0);
    wheel.arm(0, u64::MAX);
    assert_eq!(wheel.deadline(0), Some(FURTHEST * TICK));
    assert!(expired(&mut wheel, 1_000_000).is_empty());
}

#[test]
fn any_order_of_calls_agrees_with_a_sorted_map() {
    for seed in 0..24 {
        let mut random = Seed::new(seed);
        // Some runs start just before the 32-bit ticks wrap.
        let mut now = if seed % 2 == 0 { random.below(1 << 40) } else { (1 << 36) - random.below(100_000) };
        let mut wheel = Wheel::new(now);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        // What is past when it is armed belongs to the slot that comes up next.
        let mut next_slot = now / TICK;
        for step in 0..3000 {
            let id = random.below(40) as u32;
            match random.below(10) {
                0..=5 => {
                    let horizon = [1, 100, 5000, 65_536, 70_000, 400_000][random.below(6) as usize];
                    let deadline = (now + random.below(horizon)).saturating_sub(random.below(50));
                    wheel.arm(id, deadline);
                    model.insert(id, deadline.div_ceil(TICK).max(next_slot));
                }
                6 => {
                    wheel.disarm(id);
                    model.remove(&id);
                }
                _ => {
                    let leap = [2, 20, 300, 20_000, 200_000][random.below(5) as usize];
                    now += random.below(leap);
                    let last = now / TICK;
                    let expected: Vec<u32> =
                        model.iter().filter(|&(_, &tick)| tick <= last).map(|(&id, _)| id).collect();
                    model.retain(|_, tick| *tick > last);
                    next_slot = next_slot.max(last + 1);
                    let mut due = Vec::new();
                    wheel.expire(now, &mut due);
                    due.sort_unstable();
                    assert_eq!(due, expected, "seed {seed} step {step}");
                }
            }
            if step % 64 == 0 {
                check(&wheel);
            }
            assert_eq!(wheel.len(), model.len(), "seed {seed} step {step}");
            assert_eq!(wheel.is_armed(id), model.contains_key(&id));
            assert_eq!(wheel.deadline(id), model.get(&id).map(|tick| tick * TICK));
            let first = model.values().min().map(|tick| (tick * TICK).saturating_sub(now));
            match (wheel.next(now), first) {
                (Some(wait), Some(first)) => assert!(wait <= first, "seed {seed} step {step}: sleeps too long"),
                (wait, first) => assert_eq!(wait, first, "seed {seed} step {step}"),
            }
        }
    }
}

#[test]
fn sleeping_as_long_as_next_says_reaches_every_deadline() {
    let mut wheel = Wheel::new(7);
    let mut random = Seed::new(4);
    let deadlines: Vec<u64> = (0..200).map(|_| 7 + random.below(500_000)).collect();
    for (id, &deadline) in (0..).zip(&deadlines) {
        wheel.arm(id, 7 + random.below(1000));
        wheel.arm(id, deadline);
    }
    let (mut now, mut wakes, mut fired) = (7, 0, 0);
    let mut due = Vec::new();
    while let Some(wait) = wheel.next(now) {
        now += wait;
        wakes += 1;
        wheel.expire(now, &mut due);
        for id in due.drain(..) {
            let deadline = deadlines[id as usize];
            assert!(deadline.max(7) <= now && now < deadline + TICK + 1000);
            fired += 1;
        }
    }
    assert_eq!(fired, 200);
    // Each timer is late by its first slot at most once, and is put back once per horizon.
    assert!(wakes < 200 * 10, "{wakes}");
}
