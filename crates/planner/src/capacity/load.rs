//! What the roles need by our own measurements, and what neither the paper nor a measurement says.

use chasqui_base::ByteSize;

use super::measured::Measured;
use super::paper;
use super::tier::{Source, Tier, TierName};
use crate::demand::Demand;

const GIB: u64 = 1 << 30;
/// Memory of a guest's system beside its role: an assumption.
const SYSTEM: f64 = 512.0 * 1_048_576.0;
/// Memory of ClamAV with its signatures and of SpamAssassin's workers, beside each exchanger: an assumption.
const FILTERS: f64 = 2.5 * 1_073_741_824.0;
/// Seconds that a sender stays connected: an assumption, for the exchangers' memory.
const SMTP_SECONDS: f64 = 10.0;

/// The load of so many of the site's users at the busiest time.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests in a second.
    pub requests: f64,
    /// Messages that arrive in a second of the busiest hour.
    pub messages: f64,
    /// Log-ins in a second of the morning.
    pub log_ins: f64,
    /// Sessions that are open.
    pub sessions: f64,
    /// Octets to users in a second.
    pub octets: f64,
}

impl Load {
    /// Of so many of the users.
    pub fn of(demand: &Demand, users: u64) -> Self {
        let count = users as f64;
        let sessions = demand.sessions() as f64 * count / demand.users as f64;
        let requests = count * f64::from(demand.requests_per_minute) / 60.0;
        Self {
            requests,
            messages: count * f64::from(demand.messages_per_day) * f64::from(demand.peak_hour_percent)
                / 100.0
                / 3_600.0,
            log_ins: sessions / demand.log_in_window.get().as_secs_f64(),
            sessions,
            octets: requests * f64::from(demand.link_kbit) * 125.0,
        }
    }
}

/// The tiers of the binary's roles from what was measured; each request is taken as an IMAP request through the proxy, which is more than a webmail will make of it.
pub fn measured(demand: &Demand, figures: &Measured, users: u64) -> Vec<Tier> {
    let load = Load::of(demand, users);
    let margin = demand.margin;
    let tier = |name: TierName, core_seconds: f64, octets: f64, each: f64, rule: String| Tier {
        name,
        cores: whole(core_seconds * margin).min(MOST_CORES),
        memory: ByteSize(whole(octets)),
        server_memory: ByteSize(whole(each)),
        whole: false,
        source: Source::Measured,
        rule,
        margin: Some(margin),
        counted: false,
    };
    let us = |operation, role| figures.cost(operation, role) / 1e6;
    let mail = load.messages * demand.message_size.0 as f64;
    let start = |role| figures.start(role) + SYSTEM;
    let text = |parts: &[(f64, &str, f64)]| -> String {
        let part =
            |(rate, what, cost): &(f64, &str, f64)| format!("{rate:.1} {what}/s × {:.2} ms", cost * 1e3);
        parts.iter().map(part).collect::<Vec<_>>().join(" + ")
    };
    let passed = |octets: f64, key: &str| {
        format!(" + {:.1} MB/s ÷ {:.0} MB/s", octets / 1e6, figures.bytes(key) / 1e6)
    };

    let proxy = [
        (load.requests, "requests", us("request_tls", "proxy")),
        (load.log_ins, "log-ins", us("log_in_tls", "proxy")),
    ];
    let storage = [
        (load.requests, "requests", us("request_tls", "storage")),
        (load.messages, "messages", us("message_in", "storage")),
        (load.log_ins, "log-ins", us("log_in_tls", "storage")),
    ];
    let mx = [(load.messages, "messages", us("message_in", "mx"))];
    let directory = [
        (load.messages, "messages", us("message_in", "directory")),
        (load.log_ins, "passwords", us("first_log_in", "directory")),
    ];
    let sum = |parts: &[(f64, &str, f64)]| parts.iter().map(|(rate, _, cost)| rate * cost).sum::<f64>();
    let exchange = sum(&mx) + mail / figures.bytes("proxy_tls");
    let connections = margin * load.messages * SMTP_SECONDS * figures.each("mx_connection");
    let session = figures.each("storage_session_tls") + figures.each("storage_session_idle");

    vec![
        tier(
            TierName::Mx,
            exchange,
            connections,
            start("mx") + FILTERS,
            text(&mx) + &passed(mail, "proxy_tls") + "; 2.5 GB a server for ClamAV and SpamAssassin, assumed",
        ),
        Tier {
            source: Source::Assumed,
            ..tier(
                TierName::Relay,
                exchange,
                connections,
                start("mx"),
                "as many messages as arrive, at the exchanger's cost".into(),
            )
        },
        tier(
            TierName::Storage,
            sum(&storage) + (load.octets + mail) / figures.bytes("storage_tls"),
            margin * load.sessions * session + users as f64 * demand.working_set.0 as f64,
            start("storage"),
            text(&storage) + &passed(load.octets + mail, "storage_tls"),
        ),
        proxy_tier(
            &tier,
            figures,
            load,
            margin,
            sum(&proxy),
            text(&proxy) + &passed(load.octets, "proxy_tls"),
        ),
        tier(
            TierName::Directory,
            sum(&directory),
            0.0,
            margin * demand.users as f64 * figures.each("directory_user") + start("directory"),
            text(&directory),
        ),
    ]
}

fn proxy_tier(
    tier: &impl Fn(TierName, f64, f64, f64, String) -> Tier,
    figures: &Measured,
    load: Load,
    margin: f64,
    core_seconds: f64,
    rule: String,
) -> Tier {
    tier(
        TierName::Proxy,
        core_seconds + load.octets / figures.bytes("proxy_tls"),
        margin * load.sessions * figures.each("proxy_session_tls"),
        figures.start("proxy") + SYSTEM,
        rule,
    )
}

/// The tiers without a measurement that the paper has a rule for.
pub fn unmeasured(users: u64) -> Vec<Tier> {
    let rest = [TierName::ReverseProxy, TierName::Http, TierName::Webmail, TierName::Ldap];
    paper::tiers(users).into_iter().filter(|tier| rest.contains(&tier.name)).collect()
}

/// The tiers that the paper leaves out of its sum and that were not measured.
pub fn assumed(demand: &Demand, users: u64) -> Vec<Tier> {
    let tier = |name, per: u64, least: u64, gib_per: u64, least_gib: u64, whole: bool| Tier {
        name,
        cores: users.div_ceil(per).max(least),
        memory: ByteSize(users.div_ceil(gib_per).max(least_gib) * GIB),
        server_memory: ByteSize(0),
        whole,
        source: Source::Assumed,
        rule: format!("1 core per {per}, at least {least}; 1 GB per {gib_per}, at least {least_gib}"),
        margin: None,
        counted: false,
    };
    let mut tiers = vec![
        tier(TierName::Database, 10_000, 2, 2_500, 4, true),
        tier(TierName::Facade, 25_000, 2, 25_000, 2, true),
        tier(TierName::Dns, 500_000, 2, 500_000, 2, true),
        tier(TierName::Log, 25_000, 2, 25_000, 4, true),
        tier(TierName::Monitoring, 50_000, 2, 25_000, 4, true),
    ];
    if demand.backup_percent > 0 {
        tiers.push(tier(TierName::Backup, 25_000, 2, 25_000, 4, false));
    }
    tiers
}

/// Cores of a tier. A figure that asks for more is wrong, and sums of it must not overflow.
const MOST_CORES: u64 = 1_000_000_000;

/// The next whole number; what is not finite or too large is the largest.
fn whole(number: f64) -> u64 {
    number.ceil().max(1.0) as u64
}
