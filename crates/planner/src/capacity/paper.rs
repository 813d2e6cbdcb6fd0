//! The rules of the evaluation of Expresso V3, section "Sistema piloto para el corto plazo", and where it contradicts itself.

use chasqui_base::ByteSize;

use super::ratio::thousands;
use super::tier::{Source, Tier, TierName};
use crate::demand::Demand;

const MIB: u64 = 1 << 20;

/// A rule: so many cores and so much memory for so many users.
pub struct Rule {
    /// The tier's name in the paper.
    pub paper: &'static str,
    /// Cores.
    pub cores: u64,
    /// MB, of which 1,024 are a GB.
    pub megabytes: u64,
    /// For so many users.
    pub users: u64,
}

/// The paper's `proxy`, in our words the reverse proxy.
pub const PROXY: Rule = Rule { paper: "proxy", cores: 1, megabytes: 256, users: 1_000 };
/// The static tier.
pub const HTTP: Rule = Rule { paper: "http", cores: 1, megabytes: 256, users: 2_000 };
/// The webmail, in PHP.
pub const APP: Rule = Rule { paper: "app (php)", cores: 10, megabytes: 6 * 1_024, users: 400 };
/// SMTP in both directions.
pub const SMTP: Rule = Rule { paper: "exim", cores: 1, megabytes: 1_024, users: 400 };
/// Mailboxes and IMAP.
pub const IMAP: Rule = Rule { paper: "dovecot", cores: 1, megabytes: 2_048, users: 500 };
/// OpenLDAP.
pub const LDAP: Rule = Rule { paper: "ldap", cores: 1, megabytes: 256, users: 1_000 };

impl Rule {
    fn units(&self, users: u64) -> u64 {
        users.div_ceil(self.users)
    }

    /// Cores for so many users.
    pub fn cores(&self, users: u64) -> u64 {
        self.units(users) * self.cores
    }

    /// Octets of memory for so many users.
    pub fn memory(&self, users: u64) -> u64 {
        self.units(users) * self.megabytes * MIB
    }

    /// The rule in words.
    pub fn text(&self) -> String {
        let memory = if self.megabytes.is_multiple_of(1_024) {
            format!("{} GB", self.megabytes / 1_024)
        } else {
            format!("{} MB", self.megabytes)
        };
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        format!("{cores} + {memory} per {} ({})", thousands(self.users.into()), self.paper)
    }

    /// The tier for so many users.
    pub fn tier(&self, name: TierName, users: u64) -> Tier {
        Tier {
            name,
            cores: self.cores(users),
            memory: ByteSize(self.memory(users)),
            server_memory: ByteSize(0),
            whole: false,
            source: Source::Paper,
            rule: self.text(),
            margin: None,
            counted: true,
        }
    }
}

/// The tiers that the paper's sum counts. Its `exim` is both directions of SMTP: we give half to the exchangers and half to the relays.
pub fn tiers(users: u64) -> Vec<Tier> {
    let half = |name, rest: bool| {
        let both = SMTP.tier(name, users);
        let part = |n: u64| if rest { n / 2 } else { n.div_ceil(2) };
        let rule = format!("half of {}", both.rule);
        Tier { cores: part(both.cores), memory: ByteSize(part(both.memory.0)), rule, ..both }
    };
    vec![
        PROXY.tier(TierName::ReverseProxy, users),
        HTTP.tier(TierName::Http, users),
        APP.tier(TierName::Webmail, users),
        half(TierName::Mx, false),
        half(TierName::Relay, true),
        IMAP.tier(TierName::Storage, users),
        LDAP.tier(TierName::Ldap, users),
    ]
}

/// What the paper says twice and differently, at this demand.
pub fn inconsistencies(demand: &Demand) -> Vec<String> {
    let users = demand.users;
    let n = |number: u64| thousands(number.into());
    let units = users.div_ceil(LDAP.users);
    let connected = users * 8 / 10;
    let twice = connected / 10;
    let rate = demand.requests_per_minute;
    let per_second = |people: u64| super::ratio::Ratio::new(u128::from(people) * u128::from(rate), 60);
    let mut notes = vec![
        format!(
            "The paper's text gives LDAP 1 GB for 1,000 users, its sum 256 MB: {} GB or {} GB here. Its totals use the sum's, and so does this plan.",
            n(units),
            super::ratio::gigabytes(u128::from(LDAP.memory(users))),
        ),
        format!(
            "The paper's \"80 % connected, 10 % with two sessions or more\" does not make one open session for each account: of {} accounts {} are connected, and {} of them with two make {} sessions; \
             to reach {} each of those would need {} sessions. Its {} requests/s are {rate} a minute for every account, connected or not; for the {} connected they are {}. \
             This plan uses the larger figures, as the paper does.",
            n(users),
            n(connected),
            n(twice),
            n(connected + twice),
            n(users),
            if twice == 0 {
                "more".to_owned()
            } else {
                super::ratio::Ratio::new(u128::from(users - connected + twice), u128::from(twice)).to_string()
            },
            per_second(users),
            n(connected),
            per_second(connected),
        ),
    ];
    if users == 50_000 {
        notes.push(
            "The paper prints 2,048 cores and 1,280 GB \"with a percentage for reserve and redundancy\", but no rule. Whole blades of its example (64 cores, 256 GB) give both: 1,600 cores \
             and 25 % are 2,000, in whole blades 32 × 64 = 2,048; 1,106.25 GB and 15 % are 1,272.18, in whole blades' memory 5 × 256 = 1,280. No one percentage gives both: 25 % of memory would be 1,536 GB. \
             The 32 blades have 8,192 GB, so that memory never decides."
                .into(),
        );
    }
    notes
}
