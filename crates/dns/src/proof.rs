//! What hickory's validation leaves open.
//!
//! hickory proves each RRset by its signature, and then judges a response's proofs of absence as a whole. Some good answers fail there,
//! so they are looked at again here, each by what the standard asks for:
//!
//! - records of a wildcard, when the NSEC that covers the name is the wildcard's own or its neighbour's (RFC 4035 §5.3.4);
//! - an alias, secure by itself, to a name that does not exist: the proof in the response is about the other name;
//! - an alias that a server has made of a DNAME record: it has no signature, the DNAME has (RFC 6672 §5.3.1).

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::BinDecodable;

/// The records of `name` itself, of the type or an alias, where they stand although the response as a whole was refused.
pub(crate) fn salvage(mut message: Message, name: &Name, kind: RecordType) -> Option<Message> {
    let of_name = |record: &&Record| {
        record.name == *name && (record.record_type() == kind || record.record_type() == RecordType::CNAME)
    };
    let mut own: Vec<Record> = message.answers.iter().filter(of_name).cloned().collect();
    if own.is_empty() || !own.iter().all(|record| stands(&message, record)) {
        return None;
    }
    own.extend(message.answers.iter().filter(|record| record.record_type() == RecordType::DNAME).cloned());
    message.answers = own;
    message.authorities.clear();
    message.additionals.clear();
    Some(message)
}

/// Whether a record is proved whatever else the response says.
fn stands(message: &Message, record: &Record) -> bool {
    if let RData::CNAME(target) = &record.data
        && record.proof != Proof::Secure
    {
        return is_of_dname(message, &record.name, &target.0);
    }
    let Some(signature) = signature(message, &record.name, record.record_type()) else { return false };
    let is_expanded = signature.input().num_labels < record.name.num_labels();
    record.proof == Proof::Secure && (!is_expanded || nothing_closer(message, &record.name, signature))
}

/// The signature by which records of a name and type were proved.
fn signature<'a>(message: &'a Message, name: &Name, kind: RecordType) -> Option<&'a RRSIG> {
    message.answers.iter().find_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature))
            if record.name == *name
                && record.proof == Proof::Secure
                && signature.input().type_covered == kind =>
        {
            Some(signature)
        }
        _ => None,
    })
}

/// Whether the alias is what a proved DNAME record of the same response says.
pub(crate) fn is_of_dname(message: &Message, alias: &Name, target: &Name) -> bool {
    message.answers.iter().any(|record| {
        let RData::Unknown { code: RecordType::DNAME, rdata } = &record.data else { return false };
        let Ok(new) = Name::from_bytes(&rdata.anything) else { return false };
        let labels = usize::from(alias.num_labels()).checked_sub(record.name.num_labels().into());
        let Some(kept @ 1..) = labels else { return false };
        let front = Name::from_labels(alias.iter().take(kept));
        let expected = front.and_then(|front| front.append_name(&new));
        record.proof == Proof::Secure
            && record.name.zone_of(alias)
            && expected.is_ok_and(|name| name == *target)
    })
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
    let gives_away = (types(RecordType::NS) && !types(RecordType::SOA)) || types(RecordType::DNAME);
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
