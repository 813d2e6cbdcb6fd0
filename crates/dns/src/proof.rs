//! What hickory's validation leaves open.
//!
//! hickory proves each RRset by its signature, and then judges a response's proofs of absence as a whole. Two good answers fail there,
//! so they are looked at again here, each by what the standard asks for:
//!
//! - records of a wildcard, when the NSEC that covers the name is the wildcard's own or its neighbour's (RFC 4035 §5.3.4);
//! - an alias, secure by itself, to a name that does not exist: the proof in the response is about the other name.

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// The records of `name` itself, of the type or an alias, where they stand although the response as a whole was refused.
pub(crate) fn salvage(mut message: Message, name: &Name, kind: RecordType) -> Option<Message> {
    let wanted = |record: &&Record| {
        record.name == *name && (record.record_type() == kind || record.record_type() == RecordType::CNAME)
    };
    let own: Vec<Record> = message.answers.iter().filter(wanted).cloned().collect();
    if own.is_empty() || own.iter().any(|record| record.proof != Proof::Secure) {
        return None;
    }
    for record in &own {
        let signature = message.answers.iter().find_map(|signature| match &signature.data {
            RData::DNSSEC(DNSSECRData::RRSIG(data))
                if signature.name == *name
                    && signature.proof == Proof::Secure
                    && data.input().type_covered == record.record_type() =>
            {
                Some(data)
            }
            _ => None,
        })?;
        if signature.input().num_labels < name.num_labels() && !nothing_closer(&message, name, signature) {
            return None;
        }
    }
    message.answers = own;
    message.authorities.clear();
    message.additionals.clear();
    Some(message)
}

/// Whether the absence of the name was proved only as far as opt-out goes: there may be an unsigned delegation (RFC 5155 §9.2).
pub(crate) fn opts_out(message: &Message) -> bool {
    message
        .authorities
        .iter()
        .any(|record| matches!(&record.data, RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) if nsec3.opt_out()))
}

/// Whether a secure NSEC of the signer's zone proves that no name stands between `name` and the wildcard that it was made of: the
/// wildcard's parent with one label more of `name` has neither records nor names below it (RFC 4592 §2.2.1).
fn nothing_closer(message: &Message, name: &Name, signature: &RRSIG) -> bool {
    let zone = &signature.input().signer_name;
    let next_closer = name.trim_to(usize::from(signature.input().num_labels) + 1);
    message.authorities.iter().any(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) if record.proof == Proof::Secure => {
            covers(&record.name, nsec, name, zone)
                && !next_closer.zone_of(&record.name)
                && !next_closer.zone_of(nsec.next_domain_name())
        }
        _ => false,
    })
}

fn covers(owner: &Name, nsec: &NSEC, name: &Name, zone: &Name) -> bool {
    let next = nsec.next_domain_name();
    // The zone's last NSEC points back to its top.
    let before_next = name < next || next == zone;
    // RFC 6840 §4.1: the parent's side of a delegation, or a DNAME, says nothing about names below.
    let types = |kind| nsec.type_set().contains(kind);
    let gives_away = (types(RecordType::NS) && !types(RecordType::SOA)) || types(RecordType::Unknown(39));
    zone.zone_of(owner) && owner < name && before_next && !(gives_away && owner.zone_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn covered(owner: &str, next: &str, types: &[RecordType], asked: &str) -> bool {
        let nsec = NSEC::new(name(next), types.iter().copied());
        covers(&name(owner), &nsec, &name(asked), &name("t.test."))
    }

    #[test]
    fn an_nsec_covers_what_lies_between_its_ends_in_its_zone() {
        let a = [RecordType::A];
        assert!(covered("b.t.test.", "d.t.test.", &a, "c.t.test."));
        assert!(covered("b.t.test.", "d.t.test.", &a, "x.c.t.test."));
        assert!(covered("y.t.test.", "t.test.", &a, "z.t.test."));
        assert!(!covered("b.t.test.", "d.t.test.", &a, "e.t.test."));
        assert!(!covered("b.t.test.", "d.t.test.", &a, "b.t.test."));
        assert!(!covered("y.t.test.", "t.test.", &a, "a.t.test."));
        // The last NSEC of another zone.
        assert!(!covered("y.other.test.", "other.test.", &a, "z.t.test."));
        // The parent's side of a delegation.
        assert!(!covered("b.t.test.", "d.t.test.", &[RecordType::NS], "x.b.t.test."));
    }
}
