//! The `[delivery]` section: how messages leave.

use chasqui_base::{
    EmailAddress, Span, StartError,
    net::{Endpoint, IpNetwork},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

/// How messages leave: routes, source addresses, limits, deadlines.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// The port of other sites' exchangers. Default 25.
    pub port: u16,
    /// Names under which this site's own exchangers stand in DNS, beside `hostname`. A domain that names one of them among its mail
    /// hosts is never sent to that host nor to those behind it, since the message would come back. Default none.
    pub own_names: Vec<String>,
    /// Where mail to the postmaster of a domain of ours that has none goes (RFC 5321 §4.5.1). Default: `postmaster@` the hostname.
    pub postmaster: Option<EmailAddress>,
    /// Networks that mail is delivered to although they are private, loopback or link-local. What DNS says of a foreign domain may not
    /// lead into the site; a route may. Default none.
    pub allowed_networks: Vec<IpNetwork>,
    /// Mail hosts of a domain that one attempt tries before it is put off. Default 5.
    pub hosts: usize,
    /// Addresses of one host that one attempt tries. Default 8.
    pub addresses: usize,
    /// How long the next address of a host waits for the one before it to answer (RFC 8305 §5). Default 250ms.
    pub race_delay: Span,
    /// Where mail for some domains goes instead of the hosts that DNS names. The most exact `domains` entry decides. Default none.
    pub routes: Vec<Route>,
    /// The addresses that mail leaves from. Default none: the system chooses.
    pub pools: Vec<Pool>,
    /// How many connections, and for how long.
    pub connections: Connections,
    /// How long the other end may take.
    pub timeouts: Timeouts,
    /// The connections to the site's own storage nodes.
    pub nodes: chasqui_courier::config::Delivery,
}

/// Where mail for some domains goes instead of the hosts that DNS names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// `example.org` for a domain, `*.example.org` for all below it, `*` for every other one.
    pub domains: Vec<String>,
    /// Hosts with their ports, tried in this order; their MX records are not asked. None: as DNS says, an exception to a wider route.
    pub hosts: Vec<Endpoint>,
    /// What TLS the hosts must have. Default `opportunistic`; with a user, `verified`.
    pub tls: Option<RouteTls>,
    /// The user name at the hosts. Default none: without authentication.
    pub user: Option<String>,
    /// The file with the password; not readable by others.
    pub password: Option<PathBuf>,
}

/// What TLS the hosts of a route must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteTls {
    /// TLS where it is offered and works, clear text elsewhere.
    #[default]
    Opportunistic,
    /// TLS with any certificate.
    Required,
    /// TLS with a certificate for the host's name, of a CA that the system trusts.
    Verified,
    /// Clear text; for hosts on this machine.
    Never,
}

/// Addresses that mail leaves from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Its name in logs.
    pub name: String,
    /// The sender domains that it is for: `example.org`, `*.example.org`, or `*` for every other one. Pools for the same domain take turns.
    pub senders: Vec<String>,
    /// Its IPv4 addresses, used in turn; this host has them.
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, used in turn; this host has them. A pool without addresses of a family does not use the family.
    pub v6: Vec<Ipv6Addr>,
}

/// How many connections, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Messages under way to one destination at first. Grows while they are taken, is halved when the destination puts them off or
    /// cannot be reached. Default 5.
    pub initial: usize,
    /// Messages under way to one destination at most. Default 20.
    pub most: usize,
    /// Messages sent over one connection, then a new one is made. Default 100.
    pub messages: u32,
    /// How long an unused connection is kept for the next message. Default 10s.
    pub idle: Span,
    /// How long a connection is used for further messages. Default 5m.
    pub age: Span,
    /// Unused connections kept in all. Default 500.
    pub kept: usize,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8). More go in further ones. Default 100.
    pub recipients: usize,
}

/// How long the other end may take. The defaults are those of RFC 5321 §4.5.3.2.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For one address to accept a connection. Default 30s.
    pub connect: Span,
    /// For the greeting. Default 5m.
    pub greeting: Span,
    /// For the replies to EHLO, STARTTLS with its handshake, AUTH, RSET. Default 2m.
    pub hello: Span,
    /// For the replies to MAIL, RCPT and DATA, each. Default 5m.
    pub command: Span,
    /// For each 128 KiB of text to be taken. Default 3m.
    pub block: Span,
    /// For the reply to the whole message. One that does not come leaves open whether the message was taken, and it is sent once more
    /// (RFC 1047): this is not to be short. Default 10m.
    pub end: Span,
    /// For a whole attempt until the message is sent, whatever the parts take; the reply to the whole message has its own. Default 1h.
    pub attempt: Span,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            port: 25,
            own_names: Vec::new(),
            postmaster: None,
            allowed_networks: Vec::new(),
            hosts: 5,
            addresses: 8,
            race_delay: Span::millis(250),
            routes: Vec::new(),
            pools: Vec::new(),
            connections: Connections::default(),
            timeouts: Timeouts::default(),
            nodes: chasqui_courier::config::Delivery::default(),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            initial: 5,
            most: 20,
            messages: 100,
            idle: Span::secs(10),
            age: Span::secs(300),
            kept: 500,
            recipients: 100,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::secs(30),
            greeting: Span::secs(300),
            hello: Span::secs(120),
            command: Span::secs(300),
            block: Span::secs(180),
            end: Span::secs(600),
            attempt: Span::secs(3600),
        }
    }
}

impl Delivery {
    /// Refuses values that the types let pass, with the key under `delivery` and how to mend it. Opens nothing.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), StartError> {
        let positive = [
            ("port", usize::from(self.port)),
            ("hosts", self.hosts),
            ("addresses", self.addresses),
            ("connections.initial", self.connections.initial),
            ("connections.most", self.connections.most),
            ("connections.messages", self.connections.messages as usize),
            ("connections.recipients", self.connections.recipients),
            ("nodes.connections_per_node", self.nodes.connections_per_node),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(bad(key, "must not be 0"));
        }
        if self.connections.initial > self.connections.most {
            return Err(bad("connections.initial", "must not be more than `most`"));
        }
        if self.race_delay.get() < Duration::from_millis(10) {
            return Err(bad("race_delay", "RFC 8305 §5 asks for 10ms at least"));
        }
        for (key, span) in self.timeouts.all() {
            if span.get().is_zero() {
                return Err(bad(&format!("timeouts.{key}"), "must be longer than 0"));
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            route.check().map_err(|(key, reason)| bad(&format!("routes[{index}].{key}"), reason))?;
        }
        for (index, pool) in self.pools.iter().enumerate() {
            pool.check().map_err(|(key, reason)| bad(&format!("pools[{index}].{key}"), reason))?;
        }
        Ok(())
    }
}

impl Timeouts {
    const fn all(&self) -> [(&'static str, Span); 7] {
        [
            ("connect", self.connect),
            ("greeting", self.greeting),
            ("hello", self.hello),
            ("command", self.command),
            ("block", self.block),
            ("end", self.end),
            ("attempt", self.attempt),
        ]
    }
}

impl Route {
    /// What TLS its hosts must have.
    #[must_use]
    pub fn tls(&self) -> RouteTls {
        let usual = if self.user.is_some() { RouteTls::Verified } else { RouteTls::Opportunistic };
        self.tls.unwrap_or(usual)
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.domains.is_empty() || !self.domains.iter().all(|pattern| is_pattern(pattern)) {
            return Err(("domains", "`example.org`, `*.example.org` or `*` is expected"));
        }
        if self.hosts.iter().any(|host| host.unix_path().is_some()) {
            return Err(("hosts", "HOST:PORT is expected"));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(("password", "`user` and `password` go together"));
        }
        if self.hosts.is_empty() && (self.user.is_some() || self.tls.is_some()) {
            return Err(("hosts", "`user` and `tls` are those of `hosts`, and there are none"));
        }
        let clear = matches!(self.tls(), RouteTls::Opportunistic | RouteTls::Never);
        if self.user.is_some() && clear && !self.hosts.iter().all(Endpoint::is_local) {
            return Err(("tls", "a password is only sent under TLS: `required` or `verified`"));
        }
        Ok(())
    }
}

impl Pool {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.v4.is_empty() && self.v6.is_empty() {
            return Err(("v4, v6", "at least one address is expected"));
        }
        if self.senders.is_empty() || !self.senders.iter().all(|pattern| is_pattern(pattern)) {
            return Err(("senders", "`example.org`, `*.example.org` or `*` is expected"));
        }
        Ok(())
    }
}

fn is_pattern(pattern: &str) -> bool {
    let name = pattern.strip_prefix("*.").unwrap_or(pattern);
    pattern == "*" || chasqui_base::DomainName::parse(name).is_ok()
}

fn bad(key: &str, reason: &str) -> StartError {
    StartError::value(format!("delivery.{key}"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_key_is_the_default() {
        let text = chasqui_base::config::example::<Delivery>("delivery");
        let read: Delivery =
            chasqui_base::config::parse(&text, "example").unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(format!("{read:?}"), format!("{:?}", Delivery::default()));
        Delivery::default().check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        let refused = |text: &str, expected: &str| {
            let config: Delivery = chasqui_base::config::parse(text, "test").unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("port = 0", "delivery.port");
        refused("race_delay = \"1ms\"", "delivery.race_delay");
        refused("[connections]\ninitial = 30", "delivery.connections.initial");
        refused("[timeouts]\nend = 0", "delivery.timeouts.end");
        refused("[[routes]]\nhosts = [\"a.example:25\"]", "delivery.routes[0].domains");
        refused("[[routes]]\ndomains = [\"*\", \"x..y\"]", "delivery.routes[0].domains");
        refused(
            "[[routes]]\ndomains = [\"*\"]\nhosts = [\"a.example:25\"]\nuser = \"x\"",
            "routes[0].password",
        );
        refused("[[pools]]\nsenders = [\"*\"]", "delivery.pools[0].v4");
        refused("[[pools]]\nv4 = [\"192.0.2.1\"]", "delivery.pools[0].senders");
    }

    #[test]
    fn a_password_goes_only_where_nobody_listens() {
        let route = |tls: &str, host: &str| {
            let text = format!(
                "[[routes]]\ndomains = [\"*\"]\nhosts = [\"{host}\"]\nuser = \"x\"\npassword = \"/p\"\n{tls}"
            );
            let config: Delivery = chasqui_base::config::parse(&text, "test").unwrap();
            config.check()
        };
        assert!(route("tls = \"opportunistic\"", "smtp.example.net:587").is_err());
        assert!(route("tls = \"never\"", "127.0.0.1:587").is_ok());
        assert!(route("", "smtp.example.net:587").is_ok());
    }
}
