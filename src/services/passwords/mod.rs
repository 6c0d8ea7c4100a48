//! Checks passwords outside the event loop: bcrypt takes a tenth of a second, which must delay only its own login. A
//! [`helper`] process computes one hash at a time; verdicts are cached, positive and negative, so that a password costs
//! time once, not at each request.
//!
//! Limits: one hash at a time, for at most [`helper::LONGEST`] seconds, at a lower priority than the loop. Up to
//! [`ALL`] hashes are queued, [`OF_ONE`] per client; when the queue is full, the client with the most entries loses its
//! newest ([`super::fair_share`]), so that guessing clients cannot keep others out, however many they are. Every second
//! hash is for the client with the fewest wrong passwords so far, which therefore waits for at most two hashes while
//! others guess; the rest is served round robin. Requests with the same password wait for the same hash, and a hash
//! whose clients have all disconnected is not computed.

mod helper;

use super::fair_share::{Sharer, Shares};
use crate::sys::Errno;
use crate::util::wake::Wake;
pub use helper::Verify;

use helper::Hasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;

/// Maximum number of verdicts of each kind. When exceeded, all of that kind are dropped, so guesses do not evict
/// correct passwords.
const KEPT: usize = 4096;
/// Maximum number of queued hashes.
const ALL: usize = 256;
/// Maximum number of queued hashes per client.
const OF_ONE: usize = 16;

/// Two keyed 64-bit hashes of the stored line and the password: neither can be recovered from them.
type Key = (u64, u64);

/// A password to check.
pub struct Given<'a> {
    /// The hash from the file of users, in any format of crypt(3) or nginx.
    pub stored: &'a [u8],
    /// As the client sent it.
    pub password: &'a [u8],
    /// The client's address, for its share.
    pub client: &'a [u8],
    /// Woken when the verdict is known.
    pub waiter: Option<Wake>,
}

/// The verdict, or why there is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It matches.
    Right,
    /// It does not.
    Wrong,
    /// Being computed: the waiter is woken and must ask again.
    Pending,
    /// This client has too many checks in progress.
    TooMany,
    /// All clients together have too many.
    Busy,
    /// It could not be computed; see [`Passwords::trouble`].
    Failed,
}

/// Queued and cached checks, and the helper.
#[derive(Default)]
pub struct Passwords {
    keys: (RandomState, RandomState),
    right: HashSet<Key>,
    wrong: HashSet<Key>,
    /// The hash that failed last, for its waiters.
    failed: Option<Key>,
    /// Clients with queued hashes, in round-robin order.
    queue: VecDeque<Client>,
    /// How many each has in the queue.
    shares: Shares,
    /// Wrong passwords by network.
    guesses: HashMap<Sharer, u32>,
    /// The next hash is for the client whose turn it is, not for the one with the fewest guesses.
    in_turn: bool,
    running: Option<Job>,
    helper: Option<Hasher>,
    woken: Vec<Wake>,
    trouble: Option<String>,
}

struct Client {
    sharer: Sharer,
    jobs: VecDeque<Job>,
}

struct Job {
    key: Key,
    client: Sharer,
    stored: Box<[u8]>,
    password: Box<[u8]>,
    waiters: Vec<Wake>,
    /// Whether a helper exited while computing it.
    failed: bool,
}

impl Passwords {
    /// The verdict, or [`PasswordCheck::Pending`]. Costs at most two small hashes.
    pub fn check(&mut self, given: &Given<'_>, verify: Verify) -> PasswordCheck {
        let pair = (given.stored, given.password);
        let key = (self.keys.0.hash_one(pair), self.keys.1.hash_one(pair));
        if self.right.contains(&key) {
            return PasswordCheck::Right;
        }
        if self.wrong.contains(&key) {
            return PasswordCheck::Wrong;
        }
        if self.failed == Some(key) {
            return PasswordCheck::Failed;
        }
        // No valid password and no stored hash is longer.
        if given.stored.len() > helper::LARGEST || given.password.len() > helper::LARGEST {
            return PasswordCheck::Wrong;
        }
        let waiting = self.queue.iter_mut().flat_map(|client| &mut client.jobs);
        if let Some(job) = self.running.iter_mut().chain(waiting).find(|job| job.key == key) {
            job.waiters.extend(given.waiter.filter(|waiter| !job.waiters.contains(waiter)));
            self.start_next(verify, |_| true);
            return PasswordCheck::Pending;
        }
        let client = Sharer::of(given.client);
        if self.shares.of(client) >= OF_ONE {
            return PasswordCheck::TooMany;
        }
        if self.shares.total() >= ALL && !self.make_room(client) {
            return PasswordCheck::Busy;
        }
        self.enqueue(Job {
            key,
            client,
            stored: given.stored.into(),
            password: given.password.into(),
            waiters: given.waiter.into_iter().collect(),
            failed: false,
        });
        self.start_next(verify, |_| true);
        if self.failed == Some(key) { PasswordCheck::Failed } else { PasswordCheck::Pending }
    }

    fn enqueue(&mut self, job: Job) {
        self.shares.add(job.client);
        match self.queue.iter_mut().find(|client| client.sharer == job.client) {
            Some(client) => client.jobs.push_back(job),
            None => self.queue.push_back(Client { sharer: job.client, jobs: VecDeque::from([job]) }),
        }
    }

    /// Drops the newest hash of the client with the most, if that is fair. Its waiters ask again with the next verdict,
    /// and are refused then.
    fn make_room(&mut self, newcomer: Sharer) -> bool {
        let Some(greedy) = self.shares.gives_way(newcomer) else { return false };
        let Some(at) = self.queue.iter().position(|client| client.sharer == greedy) else { return false };
        let jobs = &mut self.queue[at].jobs;
        if let Some(job) = jobs.pop_back() {
            self.shares.remove(greedy);
            self.woken.extend(job.waiters);
        }
        if jobs.is_empty() {
            self.queue.remove(at);
        }
        true
    }

    /// Starts the helper in advance: the fewer pages the process has, the cheaper a fork is.
    pub fn prepare(&mut self, verify: Verify) {
        if self.helper.is_none() {
            // If this fails, it is retried with the first password.
            self.helper = Hasher::start(verify).ok();
        }
    }

    /// The helper's channel, until the loop watches it.
    pub fn to_watch(&self) -> Option<BorrowedFd<'_>> {
        self.helper.as_ref().filter(|helper| !helper.watched).map(Hasher::fd)
    }

    /// The loop's epoll watches the helper's channel.
    pub fn watched(&mut self) {
        if let Some(helper) = &mut self.helper {
            helper.watched = true;
        }
    }

    /// Handles an event of the helper's channel: a verdict, or its exit. `alive`: whether a waiter still waits.
    pub fn receive(&mut self, verify: Verify, alive: impl Fn(Wake) -> bool) {
        let Some(answer) = self.helper.as_ref().and_then(Hasher::answer) else { return };
        let running = self.running.take();
        self.failed = None;
        match answer {
            Ok(is_right) => {
                let kind = if is_right { &mut self.right } else { &mut self.wrong };
                if kind.len() >= KEPT {
                    kind.clear();
                }
                kind.extend(running.iter().map(|job| job.key));
                if let Some(job) = &running {
                    self.count_guess(job.client, is_right);
                }
                self.woken.extend(running.into_iter().flat_map(|job| job.waiters));
            }
            // A helper that exits while idle is restarted when needed.
            Err(_) => {
                self.helper = None;
                if let Some(job) = running {
                    self.ended_with(job, verify);
                }
            }
        }
        self.start_next(verify, alive);
    }

    fn count_guess(&mut self, client: Sharer, is_right: bool) {
        if is_right {
            self.guesses.remove(&client.line());
            return;
        }
        if self.guesses.len() >= KEPT {
            self.guesses.clear();
        }
        let count = self.guesses.entry(client.line()).or_default();
        *count = count.saturating_add(1);
    }

    /// The helper was killed, or a hash took too long. After the second time the hash is blamed.
    fn ended_with(&mut self, job: Job, verify: Verify) {
        if job.failed {
            let seconds = helper::LONGEST;
            let what = "the process that checks passwords ended twice while checking one";
            self.give_up(job, format!("{what}; a stored hash may take no longer than {seconds} s"));
        } else {
            self.run(Job { failed: true, ..job }, verify);
        }
    }

    /// The waiters that can continue.
    pub fn woken(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.woken)
    }

    /// Messages for the log.
    pub fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    fn start_next(&mut self, verify: Verify, alive: impl Fn(Wake) -> bool) {
        if self.running.is_none()
            && let Some(job) = self.next(&alive)
        {
            self.run(job, verify);
        }
    }

    fn run(&mut self, job: Job, verify: Verify) {
        let ask = |helper: &Hasher| helper.ask(&job.stored, &job.password);
        let mut sent = self.helper.as_ref().ok_or(Errno::EPIPE).and_then(ask);
        if sent.is_err() {
            sent = Hasher::start(verify).and_then(|helper| ask(self.helper.insert(helper)));
        }
        match sent {
            Ok(()) => self.running = Some(job),
            // Queued hashes are retried when the next password arrives.
            Err(e) => self.give_up(job, format!("the process that checks passwords could not be started {e}")),
        }
    }

    /// This hash is not computed: its clients get an error.
    fn give_up(&mut self, job: Job, why: String) {
        self.trouble = Some(why);
        self.failed = Some(job.key);
        self.woken.extend(job.waiters);
    }

    /// The next hash that someone waits for; its client goes to the end of the queue.
    fn next(&mut self, alive: &impl Fn(Wake) -> bool) -> Option<Job> {
        loop {
            let guesses = |at: &usize| self.guesses.get(&self.queue[*at].sharer.line()).copied().unwrap_or_default();
            let at = if self.in_turn { 0 } else { (0..self.queue.len()).min_by_key(guesses)? };
            let mut client = self.queue.remove(at)?;
            let job = client.jobs.pop_front();
            self.shares.remove(client.sharer);
            if !client.jobs.is_empty() {
                self.queue.push_back(client);
            }
            let job = job.filter(|job| job.waiters.iter().any(|waiter| alive(*waiter)));
            if job.is_some() {
                self.in_turn = !self.in_turn;
                return job;
            }
        }
    }
}

#[cfg(test)]
mod tests;
