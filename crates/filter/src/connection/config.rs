//! Settings of what is decided before the text of a message comes.

use chasqui_base::{ByteSize, DomainName, EmailAddress, Span, StartError, net::IpNetwork};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What follows from a check that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// The check is not done.
    #[default]
    Off,
    /// The message is accepted with a line `X-Chasqui-Marks`, which spam filters and Sieve scripts can weigh.
    Mark,
    /// Recipients are answered 450.
    Defer,
    /// Recipients are answered 550.
    Reject,
}

/// What is asked of a client before its text is taken. Recipients `postmaster` and `abuse` are exempt from all of it but the rates, so
/// that whoever is refused can ask why (RFC 5321 §4.5.1, RFC 2142).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// Networks whose clients are exempt from everything in this table. Default loopback.
    pub trusted_networks: Vec<IpNetwork>,
    /// What the client calls itself.
    pub hello: HelloConfig,
    /// The names of its address.
    pub reverse_dns: ReverseConfig,
    /// DNS lists.
    pub lists: ListsConfig,
    /// Unknown senders are told to come back.
    pub greylist: GreylistConfig,
    /// How much one network may send.
    pub rates: RatesConfig,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].iter().filter_map(|text| text.parse().ok()).collect();
        Self {
            trusted_networks: loopback,
            hello: HelloConfig::default(),
            reverse_dns: ReverseConfig::default(),
            lists: ListsConfig::default(),
            greylist: GreylistConfig::default(),
            rates: RatesConfig::default(),
        }
    }
}

impl ConnectionConfig {
    /// Refuses values that the types let pass, with the key and how to mend it.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), StartError> {
        let refuse =
            |key: &str, reason: &str| Err(StartError::value(format!("filter.connection.{key}"), reason));
        for list in &self.lists.address {
            if list.codes.iter().any(|network| network.address().is_ipv6()) {
                return refuse("lists.address.codes", "lists answer with IPv4 addresses (RFC 5782 §2.3)");
            }
        }
        if self.lists.reject_score.is_some_and(|score| score <= 0)
            || self.lists.mark_score.is_some_and(|score| score <= 0)
        {
            return refuse(
                "lists",
                "`reject_score` and `mark_score` are above 0; leave one out to switch it off",
            );
        }
        if self.greylist.entries == 0 || self.rates.networks == 0 {
            return refuse("greylist.entries, rates.networks", "must not be 0");
        }
        if self.greylist.retry_window.get() <= self.greylist.delay.get() {
            return refuse("greylist.retry_window", "must be longer than `delay`, or nobody would ever pass");
        }
        for (key, v4, v6) in [
            ("greylist", self.greylist.ipv4_prefix, self.greylist.ipv6_prefix),
            ("rates", self.rates.ipv4_prefix, self.rates.ipv6_prefix),
        ] {
            if v4 > 32 || v6 > 128 {
                return refuse(key, "`ipv4_prefix` is 32 at most, `ipv6_prefix` 128");
            }
        }
        Ok(())
    }
}

/// Checks of EHLO and HELO.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HelloConfig {
    /// The name is no fully qualified domain name and no address literal (RFC 5321 §4.1.4). Default `mark`.
    pub invalid: Measure,
    /// The name is ours (`hostname`, `own_names`): only forgers call themselves so. Default `reject`.
    pub own_name: Measure,
    /// The name is an address literal and not the client's own address. Default `mark`.
    pub foreign_literal: Measure,
    /// The name has no address in the DNS. Costs a look-up. Default `off`.
    pub unresolved: Measure,
    /// Names of ours beside `hostname`: balancers, aliases. Default none.
    pub own_names: Vec<DomainName>,
}

impl Default for HelloConfig {
    fn default() -> Self {
        Self {
            invalid: Measure::Mark,
            own_name: Measure::Reject,
            foreign_literal: Measure::Mark,
            unresolved: Measure::Off,
            own_names: Vec::new(),
        }
    }
}

/// Reverse DNS with forward confirmation (RFC 8601 §3): the client's address has a name, and the name has the address. What the DNS
/// cannot say now is never held against a client.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseConfig {
    /// The address has no name. Default `off`.
    pub missing: Measure,
    /// None of its names has the address. Default `off`.
    pub unconfirmed: Measure,
}

/// DNS lists (RFC 5782), all asked at once. A block list adds its weight to the client's score when it lists the client; a
/// listing on an allow list exempts the client from block lists, reverse DNS and greylisting. A list that is away counts nothing;
/// one that lists 127.0.0.1, as a dead one does whose domain was sold, is left out (RFC 5782 §5).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListsConfig {
    /// Lists of client addresses. Default none.
    pub address: Vec<AddressList>,
    /// Lists of domain names. Default none.
    pub domain: Vec<DomainList>,
    /// The score from which recipients are answered 550. Default 10.
    pub reject_score: Option<i32>,
    /// The score from which messages are marked. Default 1.
    pub mark_score: Option<i32>,
    /// How long is waited for the answers of all lists together. Default 5s.
    pub deadline: Span,
}

impl Default for ListsConfig {
    fn default() -> Self {
        Self {
            address: Vec::new(),
            domain: Vec::new(),
            reject_score: Some(10),
            mark_score: Some(1),
            deadline: Span::secs(5),
        }
    }
}

/// Whether a listing speaks for or against the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Against it.
    #[default]
    Block,
    /// For it.
    Allow,
}

/// A list of addresses: 192.0.2.99 is looked up as `99.2.0.192.ZONE`, an IPv6 address by its 32 nibbles.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressList {
    /// The zone, such as `bl.example.org`.
    pub zone: DomainName,
    /// `block` or `allow`. Default `block`.
    #[serde(default)]
    pub kind: ListKind,
    /// What a listing on a block list adds to the score. Default 10.
    #[serde(default = "ten")]
    pub weight: i32,
    /// Answers that count: addresses or networks of 127.0.0.0/8. Default all of 127.0.0.0/8 but 127.255.255.0/24, by which lists report
    /// errors.
    #[serde(default)]
    pub codes: Vec<IpNetwork>,
    /// Of an answer's last octet at least one of these bits must be set. Default no such condition.
    #[serde(default)]
    pub bits: Option<u8>,
}

/// Which name is looked up in a list of domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListedName {
    /// The domain of MAIL FROM.
    Sender,
    /// The name in EHLO.
    Hello,
    /// The client's confirmed name in the reverse DNS.
    Reverse,
}

/// A list of domain names.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainList {
    /// The zone.
    pub zone: DomainName,
    /// The names that are looked up: `sender`, `hello`, `reverse`. Default `["sender"]`.
    #[serde(default = "sender_only")]
    pub names: Vec<ListedName>,
    /// What a listing adds to the score. Default 10.
    #[serde(default = "ten")]
    pub weight: i32,
    /// Answers that count, as with lists of addresses.
    #[serde(default)]
    pub codes: Vec<IpNetwork>,
    /// Bits that count, as with lists of addresses.
    #[serde(default)]
    pub bits: Option<u8>,
}

const fn ten() -> i32 {
    10
}

fn sender_only() -> Vec<ListedName> {
    vec![ListedName::Sender]
}

/// Greylisting: the first attempt of a client network, sender and recipient that were never seen together is answered 451; one that comes
/// back later is let in. A store that is away or slow lets in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GreylistConfig {
    /// Whether it is done. Default no: it delays the first message of every correspondent.
    pub enabled: bool,
    /// The store; its folder is made. Default `/var/lib/chasqui/mx/greylist.db`.
    pub path: PathBuf,
    /// How long after the first attempt the next is let in. Default 5m.
    pub delay: Span,
    /// How long after the first attempt it must come at the latest. Default 2d.
    pub retry_window: Span,
    /// How long a triple that was let in is remembered after its last message. Default 36d.
    pub lifetime: Span,
    /// So many triples of one client network that were let in exempt the network, as long as it goes on sending. 0 is never. Default 5.
    pub exempt_after: u32,
    /// Entries of the store; the oldest go when there are more. Default 1000000, about 100 MB.
    pub entries: u64,
    /// Recipients who get everything at once. Default none.
    pub exempt_recipients: Vec<EmailAddress>,
    /// Bits of an IPv4 address that make a client network. Default 24.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a client network. Default 64.
    pub ipv6_prefix: u8,
}

impl Default for GreylistConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            path: "/var/lib/chasqui/mx/greylist.db".into(),
            delay: Span::secs(300),
            retry_window: Span::secs(2 * 86_400),
            lifetime: Span::secs(36 * 86_400),
            exempt_after: 5,
            entries: 1_000_000,
            exempt_recipients: Vec::new(),
            ipv4_prefix: 24,
            ipv6_prefix: 64,
        }
    }
}

/// What one client network may do in a minute. A network may save up one minute's worth, so short bursts pass. More connections get 421,
/// more of the others 450.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Connections a minute. Default no limit.
    pub connections: Option<u32>,
    /// Messages a minute. Default no limit.
    pub messages: Option<u32>,
    /// Recipients a minute. Default no limit.
    pub recipients: Option<u32>,
    /// Octets of message text a minute. A message that is larger by itself passes when nothing else came. Default no limit.
    pub octets: Option<ByteSize>,
    /// Networks that are remembered at once; those that were quiet longest are forgotten when there are more. Default 100000, about 8 MB.
    pub networks: usize,
    /// Bits of an IPv4 address that make a client network. Default 24.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a client network. Default 64.
    pub ipv6_prefix: u8,
}

impl Default for RatesConfig {
    fn default() -> Self {
        Self {
            connections: None,
            messages: None,
            recipients: None,
            octets: None,
            networks: 100_000,
            ipv4_prefix: 24,
            ipv6_prefix: 64,
        }
    }
}
