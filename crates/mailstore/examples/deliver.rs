//! Measures deliveries into a store: `cargo run --example deliver -- DIR [MESSAGES [ROUNDS]]` prints messages/s for numbers of workers, values
//! of `sync_together` and concurrent senders, each with 10 KB messages to 256 accounts.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use chasqui_base::{DeliveryId, EmailAddress};
use chasqui_mailstore::{Delivery, FolderName, Quota, Store, StoreConfig};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| ".".into())).join("deliver-bench");
    let messages: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let rounds: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(5);
    let list = |name: &str, default: &[usize]| -> Vec<usize> {
        std::env::var(name)
            .map_or(default.to_vec(), |text| text.split(',').filter_map(|n| n.parse().ok()).collect())
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    let mut stores = Vec::new();
    for workers in list("WORKERS", &[2, 4, 8, 16, 32]) {
        for together in list("TOGETHER", &[0, 2]) {
            let root = dir.join(format!("{workers}-{together}"));
            let config = StoreConfig { root, workers, sync_together: together, ..StoreConfig::default() };
            let store = Store::open(&config).expect("open");
            runtime.block_on(run(&store, 256, 64));
            stores.push((store, format!("workers {workers:2} sync_together {together}")));
        }
    }
    for senders in list("SENDERS", &[1, 8, 32]) {
        // Interleaved, so that whatever else the machine does falls on all alike.
        let mut rates = vec![Vec::new(); stores.len()];
        for _ in 0..rounds {
            for ((store, _), rates) in stores.iter().zip(&mut rates) {
                let start = Instant::now();
                runtime.block_on(run(store, messages, senders));
                rates.push((messages as f64 / start.elapsed().as_secs_f64()) as u64);
            }
        }
        for ((_, name), mut rates) in stores.iter().zip(rates) {
            rates.sort_unstable();
            println!("{:6}/s median of {rates:?}: {name} senders {senders}", rates[rates.len() / 2]);
        }
    }
    for (store, _) in stores {
        runtime.block_on(store.close());
    }
    let _ = std::fs::remove_dir_all(&dir);
}

async fn run(store: &Store, messages: usize, senders: usize) {
    let accounts: Vec<EmailAddress> =
        (0..256).map(|n| EmailAddress::parse(&format!("user{n}@ejemplo.test")).expect("address")).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for sender in 0..senders {
        let (store, accounts) = (store.clone(), accounts.clone());
        tasks.spawn(async move {
            let content = vec![b'x'; 10_240];
            for n in (sender..messages).step_by(senders) {
                let mut message = store.incoming();
                message.write(&content).await.expect("write");
                let delivery = Delivery {
                    account: accounts[n % accounts.len()].clone(),
                    folder: FolderName::inbox(),
                    id: DeliveryId::generate(),
                    quota: Quota::default(),
                    received: SystemTime::now(),
                };
                store.deliver(message, vec![delivery]).await.remove(0).expect("delivered");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}
