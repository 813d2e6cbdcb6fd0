//! Measures the directory on this machine: look-ups a second, and the memory that a million users take.
//!
//! ```text
//! lookups speed  [users] [clients] [in-flight] [seconds] [shared|separate]
//! lookups memory [users]
//! lookups reload [users]
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chasqui_base::address::EmailAddress;
use chasqui_base::service::{Lifecycle, RoleService};
use chasqui_directory::admin::Database;
use chasqui_directory::{ClientConfig, Config, DirectoryClient, DirectoryService, KeyFile, LookUp, Node};
use prometheus_client::registry::Registry;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| {
        arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let dir = tempfile::tempdir()?;
    let keys = dir.path().join("keys");
    KeyFile::create(&keys)?;
    let mut config = Config { listen: "127.0.0.1:0".parse()?, keys: keys.clone(), ..Config::default() };
    config.database.path = dir.path().join("directory.sqlite");
    match arguments.first().map(String::as_str) {
        Some("memory") => memory(config, number(1, 1_000_000)).await,
        Some("speed") => {
            let separate = arguments.get(5).is_some_and(|word| word == "separate");
            speed(config, number(1, 100_000), number(2, 8), number(3, 1), number(4, 5), separate).await
        }
        Some("reload") => reload(config, number(1, 200_000)).await,
        _ => Err("lookups speed|memory|reload …".into()),
    }
}

async fn speed(
    config: Config,
    users: usize,
    clients: usize,
    in_flight: usize,
    seconds: usize,
    separate: bool,
) -> Result<(), Failure> {
    fill(&config, users).await?;
    let keys = config.keys.clone();
    let service = DirectoryService::bind(config, &mut Registry::default()).await?;
    let run = Lifecycle::new();
    service.start(&run);
    let client =
        ClientConfig { servers: vec![service.endpoints()[0].1.parse()?], keys, ..ClientConfig::default() };
    let shared = DirectoryClient::connect(&client, None).await?;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let addresses: Arc<Vec<EmailAddress>> =
        Arc::new((0..users).map(|n| address(n).parse()).collect::<Result<_, _>>()?);
    let mut tasks = Vec::new();
    for number in 0..clients {
        let client = if separate { DirectoryClient::connect(&client, None).await? } else { shared.clone() };
        for place in 0..in_flight {
            let (client, done, stop, addresses) =
                (client.clone(), done.clone(), stop.clone(), addresses.clone());
            tasks.push(tokio::spawn(async move {
                let mut n = number * 7919 + place * 104_729;
                let mut slowest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    n = (n + 15_485_863) % addresses.len();
                    let begun = Instant::now();
                    match client.look_up(&addresses[n]).await {
                        Ok(LookUp::Found(_)) => done.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                    slowest = slowest.max(begun.elapsed());
                }
                slowest
            }));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, begun, cpu) = (done.load(Ordering::Relaxed), Instant::now(), cpu_seconds()?);
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let count = (done.load(Ordering::Relaxed) - before) as f64;
    let (rate, per_cpu) = (count / begun.elapsed().as_secs_f64(), count / (cpu_seconds()? - cpu));
    stop.store(true, Ordering::Relaxed);
    let mut slowest = Duration::ZERO;
    for task in tasks {
        slowest = slowest.max(task.await?);
    }
    println!(
        "{users} users, {clients} clients, {in_flight} in flight each: {rate:.0} look-ups/s, {per_cpu:.0} a second of one core, slowest {slowest:?}"
    );
    run.drain(Duration::from_secs(5)).await;
    service.close().await;
    Ok(())
}

/// The slowest look-up in the time of each reload, and in as long a time without one.
async fn reload(config: Config, users: usize) -> Result<(), Failure> {
    fill(&config, users).await?;
    let service = DirectoryService::bind(config.clone(), &mut Registry::default()).await?;
    let run = Lifecycle::new();
    service.start(&run);
    let client = ClientConfig {
        servers: vec![service.endpoints()[0].1.parse()?],
        keys: config.keys.clone(),
        ..ClientConfig::default()
    };
    let client = DirectoryClient::connect(&client, None).await?;
    let mut took = Duration::from_secs(1);
    for round in 0..12 {
        let stop = Arc::new(AtomicBool::new(false));
        let asking: Vec<_> = (0..4)
            .map(|place| tokio::spawn(ask_slowly(client.clone(), users, place, stop.clone())))
            .collect();
        if round % 2 == 0 {
            tokio::time::sleep(took).await;
        } else {
            let begun = Instant::now();
            service.reload(config.clone()).await?;
            took = begun.elapsed();
        }
        stop.store(true, Ordering::Relaxed);
        let mut waits = Vec::new();
        for task in asking {
            waits.extend(task.await??);
        }
        waits.sort_unstable();
        let part = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        let what = if round % 2 == 0 { "without a reload" } else { "with a reload   " };
        println!(
            "{what} of {took:?}: {} look-ups, median {:?}, 99.9% {:?}, slowest {:?}",
            waits.len(),
            part(0.5),
            part(0.999),
            part(1.0)
        );
    }
    run.drain(Duration::from_secs(5)).await;
    service.close().await;
    Ok(())
}

async fn ask_slowly(
    client: DirectoryClient,
    users: usize,
    place: usize,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Duration>, Failure> {
    let (mut waits, mut n) = (Vec::new(), place * 7919);
    while !stop.load(Ordering::Relaxed) {
        n = (n + 15_485_863) % users;
        let asked: EmailAddress = address(n).parse()?;
        let begun = Instant::now();
        client.look_up(&asked).await?;
        waits.push(begun.elapsed());
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(waits)
}

async fn memory(config: Config, users: usize) -> Result<(), Failure> {
    // The database is made by another process, so that only what the server takes is counted here.
    if std::env::var_os("LOOKUPS_FILL").is_some() {
        let path = std::env::var_os("LOOKUPS_FILL").map(std::path::PathBuf::from).ok_or("no path")?;
        let mut config = config;
        config.database.path = path;
        return fill(&config, users).await;
    }
    let filling = std::process::Command::new(std::env::current_exe()?)
        .args(["memory", &users.to_string()])
        .env("LOOKUPS_FILL", &config.database.path)
        .status()?;
    if !filling.success() {
        return Err("the database could not be filled".into());
    }
    println!("before: {} MB", resident()?);
    let begun = Instant::now();
    let service = DirectoryService::bind(config.clone(), &mut Registry::default()).await?;
    println!("{users} users loaded in {:?}: {} MB, peak {} MB", begun.elapsed(), resident()?, peak()?);
    let run = Lifecycle::new();
    service.start(&run);
    for _ in 0..3 {
        let begun = Instant::now();
        service.reload(config.clone()).await?;
        println!("reloaded in {:?}: {} MB, peak {} MB", begun.elapsed(), resident()?, peak()?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("a second later: {} MB", resident()?);
    run.drain(Duration::from_secs(5)).await;
    service.close().await;
    Ok(())
}

fn address(n: usize) -> String {
    format!("user{n}@ejemplo.test")
}

async fn fill(config: &Config, users: usize) -> Result<(), Failure> {
    let database = Database::open(&config.database.path).await?;
    database.add_domain(&"ejemplo.test".parse()?, None).await?;
    for n in 1..=4 {
        let (lmtp, imap, pop3) =
            (format!("10.0.0.{n}:24"), format!("10.0.0.{n}:1143"), format!("10.0.0.{n}:1110"));
        database
            .add_node(&Node {
                name: format!("storage{n}"),
                lmtp: lmtp.parse()?,
                imap: imap.parse()?,
                pop3: pop3.parse()?,
            })
            .await?;
    }
    let csv: String =
        (0..users).map(|n| format!("{},{HASH},7GB,storage{}\n", address(n), n % 4 + 1)).collect();
    let report = database.import_users(csv.as_bytes(), |_| ()).await?;
    if report.added != users as u64 {
        return Err(format!("{:?}", report.refused.first()).into());
    }
    database.close().await;
    Ok(())
}

fn status(key: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
    Ok(kib / 1024)
}

/// Seconds of processor time that this process has used.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in hundredths of a second on every Linux.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn resident() -> Result<u64, Failure> {
    status("VmRSS:")
}

fn peak() -> Result<u64, Failure> {
    status("VmHWM:")
}
