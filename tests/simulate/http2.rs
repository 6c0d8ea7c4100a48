//! The simulation over HTTP/2: the same server, clients whose requests are streams.

use crate::rng::Rng;
use crate::streams::{H2Client, Left};
use crate::{AT_ONCE, PATIENCE, Served, Site, Then, Wait, over_seeds, serve};
use std::fs;
use std::time::{Duration, Instant};
use webserv::server::Mode;

#[test]
fn every_stream_gets_its_answer_whatever_the_network_does() {
    // Other seeds than those of HTTP/1, whose files have them in their names.
    over_seeds(|site, seed| Streams::new(site, seed + 500_000).run());
}

struct Streams<'a> {
    site: &'a Site,
    rng: Rng,
    seed: u64,
    served: Served,
    clients: Vec<H2Client>,
    made: usize,
    answers: usize,
    jumped: u64,
    jumps: bool,
}

impl<'a> Streams<'a> {
    fn new(site: &'a Site, seed: u64) -> Streams<'a> {
        let mut rng = Rng::new(seed);
        let streams = *rng.pick(&[1, 3, 16, 128]);
        let preread = *rng.pick(&[0, 10, 1000, 65_536]);
        let chunk = *rng.pick(&["1k", "8k", "16k"]);
        let lines = format!(
            "http2 on; http2_max_concurrent_streams {streams}; http2_body_preread_size {preread};
             http2_chunk_size {chunk};"
        );
        let served = serve(site, &mut rng, seed, &lines);
        let jumps = rng.percent(30);
        Streams { site, rng, seed, served, clients: Vec::new(), made: 0, answers: 0, jumped: 0, jumps }
    }

    fn run(mut self) -> (usize, usize) {
        for _ in 0..300 + self.rng.below(600) {
            self.step();
            if self.rng.percent(60) {
                self.served.poll();
            }
        }
        let quits = self.rng.percent(30);
        if quits {
            // Connections that have asked for nothing may be closed at once; what is under way is finished.
            self.served.server.quit();
        }
        self.settle(quits);
        self.end(quits);
        self.served.judge_log();
        self.served.judge_store();
        (self.made, self.answers)
    }

    fn step(&mut self) {
        if self.clients.is_empty() || self.clients.len() < 4 && self.rng.percent(3) {
            let name = format!("client {}", self.made + 1);
            let Some(mut client) = H2Client::connect(&self.served.addr, name, &mut self.rng) else { return };
            self.made += 1;
            client.wild = self.rng.percent(15);
            self.clients.push(client);
            return;
        }
        let at = self.rng.below(self.clients.len());
        let (client, rng) = (&mut self.clients[at], &mut self.rng);
        match rng.below(100) {
            0..=39 => client.act(&self.site.files, self.seed, rng),
            40..=64 => _ = client.send(rng.size(60_000)),
            65..=94 => _ = client.receive(rng.size(60_000)),
            95 if rng.percent(40) => self.leave(at),
            96..=97 if self.jumps => {
                let most = if rng.percent(20) { 1_000_000 } else { 20_000 };
                let ms = rng.size(most) as u64;
                self.jump(ms);
            }
            _ => {}
        }
    }

    fn jump(&mut self, ms: u64) {
        self.served.server.cx.now.jump(ms);
        self.jumped += ms;
        if self.jumped > PATIENCE {
            self.jumped = 0;
            self.clients.iter_mut().for_each(|client| client.late = true);
        }
    }

    fn leave(&mut self, at: usize) {
        let Left { answers, cut, uploads } = self.clients.swap_remove(at).leave();
        self.answers += answers;
        self.served.judge_uploads(uploads);
        for (name, content) in cut {
            let found = fs::read(self.served.store.join(&name)).ok();
            let len = found.as_ref().map_or(0, Vec::len);
            let whole = content.len();
            assert!(found.is_none_or(|found| found == content), "{name} is stored in part: {len} of {whole} bytes");
        }
    }

    fn settle(&mut self, quits: bool) {
        let mut wait = Wait::new();
        loop {
            let mut moved = false;
            for client in &mut self.clients {
                moved |= client.progress(&mut self.rng);
            }
            self.served.poll();
            let is_done = |client: &H2Client| if quits { client.over } else { client.is_settled() };
            let is_settled = self.clients.iter().all(|client| is_done(client) || client.wild || client.late);
            match wait.after(moved, is_settled, self.served.paced, || self.unsettled()) {
                Then::Settled => return,
                Then::Jump(ms) => self.jump(ms),
                Then::GoOn => {}
            }
        }
    }

    fn unsettled(&self) -> String {
        self.clients.iter().map(|client| client.shown() + "\n").collect()
    }

    fn end(&mut self, quits: bool) {
        while !self.clients.is_empty() {
            self.leave(0);
        }
        let begun = Instant::now();
        while self.served.server.connections() > 0 {
            assert!(begun.elapsed() < AT_ONCE, "connections of clients that left stay open");
            self.served.poll();
            // Lingering closes, and what a client that is gone had asked to be done.
            if begun.elapsed() > Duration::from_millis(20) {
                self.served.server.cx.now.jump(10_000);
            }
        }
        self.served.poll();
        let server = &self.served.server;
        assert_eq!(server.mode == Mode::Stopped, quits, "{:?}", server.mode);
        let accepted = server.cx.stats.get(webserv::services::stats::Counter::Accepted) as usize;
        assert!(quits || accepted == self.made, "{accepted} connections of {}", self.made);
    }
}
