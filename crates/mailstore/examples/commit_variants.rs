//! Measures ways to bring message files to disk, without the store around them: what the choice of group commit rests on.
//!
//! `cargo run --example commit_variants -- DIR [MESSAGES [ROUNDS]]` prints messages/s for each variant: per message or in batches, unnamed
//! files (`O_TMPFILE`) or named ones, with or without early writeback, one thread or several.
//!
//! Medians of five rounds of 500 messages on two busy cores, ext4: one thread 1881/s message by message, 1614/s in batches of 32,
//! 1838/s with early writeback, 2808/s with `syncfs` a batch (2368/s with named files); 8 threads message by message 2825/s,
//! 32 threads 3645/s (3100/s with named files).

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

#[derive(Clone, Copy, Debug)]
struct Variant {
    threads: usize,
    batch: usize,
    unnamed: bool,
    early_writeback: bool,
    syncfs: bool,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| ".".into())).join("commit-variants");
    let messages: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let rounds: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(5);
    let one = Variant { threads: 1, batch: 1, unnamed: true, early_writeback: false, syncfs: false };
    let variants = [
        one,
        Variant { batch: 32, ..one },
        Variant { batch: 32, early_writeback: true, ..one },
        Variant { batch: 32, syncfs: true, ..one },
        Variant { batch: 32, syncfs: true, unnamed: false, ..one },
        Variant { threads: 8, ..one },
        Variant { threads: 32, ..one },
        Variant { threads: 32, unnamed: false, ..one },
    ];
    let mut rates = vec![Vec::new(); variants.len()];
    for _ in 0..rounds {
        // Interleaved, so that whatever else the machine does falls on all alike.
        for (variant, rates) in variants.into_iter().zip(&mut rates) {
            let _ = std::fs::remove_dir_all(&dir);
            for account in 0..64 {
                std::fs::create_dir_all(dir.join(format!("{account}/new"))).expect("create");
                std::fs::create_dir_all(dir.join(format!("{account}/tmp"))).expect("create");
            }
            rustix::fs::syncfs(File::open(&dir).expect("open")).expect("syncfs");
            let start = Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..variant.threads {
                    let dir = &dir;
                    scope.spawn(move || run(dir, thread, messages / variant.threads, variant));
                }
            });
            rates.push((messages as f64 / start.elapsed().as_secs_f64()) as u64);
        }
    }
    for (variant, mut rates) in variants.iter().zip(rates) {
        rates.sort_unstable();
        println!("{:6}/s median of {rates:?}: {variant:?}", rates[rates.len() / 2]);
    }
    let _ = std::fs::remove_dir_all(&dir);
}

fn run(dir: &Path, thread: usize, messages: usize, variant: Variant) {
    let content = vec![b'x'; 10_240];
    let mut n = 0;
    while n < messages {
        let mut batch = Vec::new();
        for _ in 0..variant.batch.min(messages - n) {
            // Accounts of one thread are its own, as with the store's workers.
            let account = dir.join(format!("{}", (n * variant.threads + thread) % 64));
            let temporary = account.join(format!("tmp/{thread}.{n}"));
            let file = if variant.unnamed {
                rustix::fs::open(account.join("new"), OFlags::TMPFILE | OFlags::WRONLY, Mode::from(0o600))
                    .map(File::from)
                    .expect("tmpfile")
            } else {
                File::create(&temporary).expect("create")
            };
            (&file).write_all(&content).expect("write");
            if variant.early_writeback {
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("fadvise");
            }
            batch.push((account, file, temporary, n));
            n += 1;
        }
        if variant.syncfs {
            rustix::fs::syncfs(&batch[0].1).expect("syncfs");
        } else {
            for (_, file, _, _) in &batch {
                file.sync_data().expect("sync");
            }
        }
        for (account, file, temporary, n) in &batch {
            let target = account.join(format!("new/{thread}.{n}"));
            if variant.unnamed {
                use std::os::fd::AsRawFd;
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, source, CWD, &target, AtFlags::SYMLINK_FOLLOW).expect("link");
            } else {
                std::fs::rename(temporary, target).expect("rename");
            }
        }
        if variant.syncfs {
            rustix::fs::syncfs(&batch[0].1).expect("syncfs");
        } else {
            for (account, ..) in &batch {
                File::open(account.join("new")).and_then(|d| d.sync_all()).expect("sync dir");
            }
        }
    }
}
