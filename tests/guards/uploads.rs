//! What many large uploads at once cost: memory.

use super::process::Process;
use std::io::{Read, Write};

/// Bodies under way at once, and bytes of each: half a gigabyte in all, of which nothing may stay in the process.
const UPLOADS: usize = 100;
const SIZE: usize = 5 << 20;

#[test]
fn a_hundred_large_uploads_at_once_stay_below_20_megabytes() {
    // Raw bodies go by splice, chunked ones by way of the process.
    for chunked in [false, true] {
        let mut server = Process::start(&[], "client_max_body_size 0;");
        let dir = server.dir.join("up");
        std::fs::create_dir(&dir).expect("a directory");
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_string() } else { format!("Content-Length: {SIZE}") };
        let mut clients: Vec<_> = (0..UPLOADS).map(|_| server.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            let head = format!("PUT /up/{n} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
            client.write_all(head.as_bytes()).expect("sent");
        }
        let piece = vec![b'x'; 256 << 10];
        let mut most = 0;
        for sent in 0..SIZE / piece.len() {
            for client in &mut clients {
                if chunked {
                    client.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("sent");
                }
                client.write_all(&piece).expect("sent");
                if chunked {
                    client.write_all(b"\r\n").expect("sent");
                }
            }
            if sent % 4 == 3 {
                most = most.max(server.resident());
            }
        }
        for client in &mut clients {
            if chunked {
                client.write_all(b"0\r\n\r\n").expect("sent");
            }
            let mut answer = [0; 12];
            client.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 201", "{}", server.shown());
        }
        println!("{most} KiB resident, chunked {chunked}");
        // An optimised binary has 8 MB beside that.
        assert!(most < 12 << 10, "{most} KiB resident, chunked {chunked}");
        server.stop();
    }
}
