//! What finding the ends of frames costs: the part of redis mode that runs for every byte.
//!
//! `cargo bench --bench frames`; with a word behind `--`, only what has it in its name. Each name ends in how many frames are scanned
//! in one go; the throughput is of their bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mainstay::resp::frames::{ReplyScanner, RequestScanner, arguments};

/// About 100 bytes.
fn set() -> Vec<u8> {
    let (key, value) = ("user:1000:name", "v".repeat(55));
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len()).into_bytes()
}

fn bulk(length: usize) -> Vec<u8> {
    format!("${length}\r\n{}\r\n", "v".repeat(length)).into_bytes()
}

fn array(length: usize) -> Vec<u8> {
    [format!("*{length}\r\n").into_bytes(), bulk(10).repeat(length)].concat()
}

fn requests(criterion: &mut Criterion) {
    let cases = [
        ("SET of 100 bytes x 1", set()),
        ("SET of 100 bytes x 16", set().repeat(16)),
        ("GET x 1", b"*2\r\n$3\r\nGET\r\n$14\r\nuser:1000:name\r\n".to_vec()),
        ("inline GET x 1", b"GET user:1000:name\r\n".to_vec()),
    ];
    let mut group = criterion.benchmark_group("requests");
    for (name, bytes) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            let mut scanner = RequestScanner::default();
            bencher.iter(|| {
                let mut at = 0;
                while let Ok(Some(used)) = scanner.scan(black_box(&bytes[at..])) {
                    at += used;
                }
                assert_eq!(at, bytes.len());
            });
        });
    }
    let bytes = set();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("name and key of a SET", |bencher| {
        bencher.iter(|| arguments(black_box(&bytes)).take(2).map(|argument| argument.len()).sum::<usize>());
    });
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    let cases = [
        ("OK x 1", b"+OK\r\n".to_vec()),
        ("OK x 16", b"+OK\r\n".repeat(16)),
        ("integer x 1", b":1234567\r\n".to_vec()),
        ("error of 70 bytes x 1", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n".to_vec()),
        ("bulk of 100 bytes x 1", bulk(93)),
        ("bulk of 100 bytes x 16", bulk(93).repeat(16)),
        ("array of 100 bulks x 1", array(100)),
        ("bulk of 64 KiB x 1", bulk(65_536)),
    ];
    let mut group = criterion.benchmark_group("replies");
    for (name, bytes) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            let mut scanner = ReplyScanner::default();
            bencher.iter(|| {
                let mut at = 0;
                while let Ok(Some(used)) = scanner.scan(black_box(&bytes[at..])) {
                    at += used;
                }
                assert_eq!(at, bytes.len());
            });
        });
    }
    let bytes = array(100);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("array of 100 bulks, byte by byte", |bencher| {
        let mut scanner = ReplyScanner::default();
        bencher.iter(|| bytes.iter().filter_map(|byte| scanner.scan(black_box(&[*byte])).ok().flatten()).count());
    });
    let line = [b"+".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
    group.throughput(Throughput::Bytes(line.len() as u64));
    group.bench_function("line of 64 KiB x 1", |bencher| {
        let mut scanner = ReplyScanner::default();
        bencher.iter(|| scanner.scan(black_box(&line)));
    });
    group.finish();
}

criterion_group!(benches, requests, replies);
criterion_main!(benches);
