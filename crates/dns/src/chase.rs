//! A look-up from one response to the next: aliases, records, absence, and what of it is proved.

use std::time::Duration;

use hickory_resolver::net::{self, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsResponse, Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::answer::DnsError;
use crate::cache::Outcome;
use crate::proof;

/// Aliases that are followed.
const MAX_ALIASES: usize = 16;

/// Where a look-up stands while it follows aliases.
pub(crate) struct Chase {
    /// The name that is asked for now.
    pub(crate) at: Name,
    seen: Vec<Name>,
    /// Whether all so far is proved.
    pub(crate) secure: bool,
    /// The shortest time of all so far.
    pub(crate) ttl: Duration,
}

impl Chase {
    pub(crate) fn new(name: &Name, max_ttl: Duration) -> Self {
        Self { at: name.clone(), seen: vec![name.clone()], secure: true, ttl: max_ttl }
    }

    /// Follows the aliases of a response, and takes the records of the last name, if it has them.
    pub(crate) fn follow(
        &mut self,
        message: &Message,
        kind: RecordType,
        provable: bool,
    ) -> Result<Vec<RData>, DnsError> {
        while kind != RecordType::CNAME
            && let Some(alias) =
                message.answers.iter().find(|r| r.name == self.at && target(&r.data).is_some())
        {
            let Some(target) = target(&alias.data) else { break };
            // What a server makes of a DNAME is proved by that alone; it has the same time (RFC 6672 §3.1).
            if alias.proof != Proof::Bogus || !proof::is_of_dname(message, &self.at, target) {
                self.take(alias, provable)?;
            }
            if self.seen.contains(target) || self.seen.len() > MAX_ALIASES {
                return Err(DnsError::CnameLoop);
            }
            self.seen.push(target.clone());
            self.at = target.clone();
        }
        let mut records = Vec::new();
        let last = self.at.clone();
        for record in message.answers.iter().filter(|r| r.name == last && r.record_type() == kind) {
            self.take(record, provable)?;
            records.push(record.data.clone());
        }
        Ok(records)
    }

    fn take(&mut self, record: &Record, provable: bool) -> Result<(), DnsError> {
        if provable && record.proof == Proof::Bogus {
            return Err(DnsError::Bogus);
        }
        self.secure &= provable && record.proof == Proof::Secure;
        self.ttl = self.ttl.min(Duration::from_secs(record.ttl.into()));
        Ok(())
    }

    /// The response has neither records nor an alias.
    pub(crate) fn absent(
        self,
        message: &Message,
        provable: bool,
        negative_ttl: Duration,
    ) -> (Outcome, Duration) {
        let soa = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some((record, soa.minimum)),
            _ => None,
        });
        // Another zone's unsigned SOA proves nothing about this name: without this rule it would turn a signed zone's absence of
        // TLSA records into an insecure one.
        if provable && soa.is_some_and(|(record, _)| !record.name.zone_of(&self.at)) {
            return (Err(DnsError::Bogus), Duration::ZERO);
        }
        if provable && message.authorities.iter().any(|record| record.proof == Proof::Bogus) {
            return (Err(DnsError::Bogus), Duration::ZERO);
        }
        let proved = soa.is_some_and(|(record, _)| record.proof == Proof::Secure);
        let absent_name = message.response_code == ResponseCode::NXDomain;
        let secure = self.secure && provable && proved && !(absent_name && proof::opts_out(message));
        // RFC 2308 §5: the lower of the SOA's own time and its minimum; without a SOA nothing is remembered.
        let ttl = soa.map_or(0, |(record, minimum)| record.ttl.min(minimum));
        let ttl = Duration::from_secs(ttl.into()).min(negative_ttl).min(self.ttl);
        let error = if absent_name { DnsError::NoSuchName { secure } } else { DnsError::NoData { secure } };
        (Err(error), ttl)
    }
}

pub(crate) fn target(data: &RData) -> Option<&Name> {
    match data {
        RData::CNAME(CNAME(target)) => Some(target),
        _ => None,
    }
}

pub(crate) fn is_server_failure(response: &Result<DnsResponse, NetError>) -> bool {
    matches!(response, Err(NetError::Dns(net::DnsError::ResponseCode(ResponseCode::ServFail))))
}

/// The message, and whether its proofs count.
pub(crate) fn readable(
    response: Result<DnsResponse, NetError>,
    asked: &Name,
    kind: RecordType,
) -> Result<(Message, bool), DnsError> {
    let error = match response {
        Ok(response) => match net::DnsError::from_response(response) {
            Ok(response) => return Ok((response.into_message(), true)),
            Err(error) => error,
        },
        Err(NetError::Dns(error)) => error,
        Err(NetError::Timeout) => return Err(DnsError::Timeout),
        Err(error) => return Err(DnsError::Temporary(error.to_string())),
    };
    match error {
        // RFC 2308 §2: neither records nor an alias.
        net::DnsError::NoRecordsFound(none) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                let mut message = Message::query();
                message.metadata.response_code = none.response_code;
                message.authorities = none.authorities.map(|all| all.to_vec()).unwrap_or_default();
                Ok((message, true))
            }
            code => Err(DnsError::Temporary(code.to_string())),
        },
        // The zone's proof of absence is one that proves nothing, such as opt-out (RFC 5155 §6): as from an unsigned zone.
        net::DnsError::Nsec { response, proof: Proof::Insecure, .. } => Ok((response.into_message(), false)),
        net::DnsError::Nsec { response, .. } => proof::salvage(response.into_message(), asked, kind)
            .map(|message| (message, true))
            .ok_or(DnsError::Bogus),
        net::DnsError::DnssecBogus => Err(DnsError::Bogus),
        net::DnsError::ResponseCode(code) => Err(DnsError::Temporary(code.to_string())),
        error => Err(DnsError::Temporary(error.to_string())),
    }
}
