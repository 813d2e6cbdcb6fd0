//! One address in memory: an account or an alias, packed.
//!
//! ```text
//! entry   = kind domain local rest
//! kind    = %x00 (removed) / %x01 (account) / %x02 (alias)
//! domain  = number                       ; the domain's id in the database
//! local   = length octets
//! account = flags node state services [quota] [uid] [gid] hash      ; rest, of kind 1
//! alias   = number *(length octets)                                  ; rest, of kind 2: the targets
//! ```

use crate::bytes::{Malformed, Reader, put_counted, put_number};
use crate::password::StoredHash;
use crate::record::{AccountState, Services};

const REMOVED: u8 = 0;
const ACCOUNT: u8 = 1;
const ALIAS: u8 = 2;

const HAS_QUOTA: u8 = 1;
const HAS_UID: u8 = 2;
const HAS_GID: u8 = 4;

/// What an address is found by: its domain's id and its local part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    pub(crate) domain: u32,
    pub(crate) local: &'a str,
}

/// An unpacked entry, borrowing from the packed one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    Removed,
    Account(Account<'a>),
    Alias(Alias<'a>),
}

/// An account as the snapshot holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) local: &'a str,
    pub(crate) node: u32,
    pub(crate) state: AccountState,
    pub(crate) services: Services,
    pub(crate) quota: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// [`StoredHash::pack`]; empty when the account has no password.
    pub(crate) hash: &'a [u8],
}

/// An alias's targets, canonical addresses, still packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alias<'a> {
    count: u64,
    packed: Reader<'a>,
}

impl<'a> Alias<'a> {
    pub(crate) fn targets(self) -> impl Iterator<Item = &'a str> {
        let mut packed = self.packed;
        (0..self.count).map_while(move |_| packed.text().ok())
    }
}

/// The key of a packed entry.
pub(crate) fn key(packed: &[u8]) -> Result<Key<'_>, Malformed> {
    let mut reader = Reader(packed);
    reader.u8()?;
    read_key(&mut reader)
}

fn read_key<'a>(reader: &mut Reader<'a>) -> Result<Key<'a>, Malformed> {
    Ok(Key { domain: reader.number32()?, local: reader.text()? })
}

pub(crate) fn unpack(packed: &[u8]) -> Result<Entry<'_>, Malformed> {
    let mut reader = Reader(packed);
    let kind = reader.u8()?;
    let key = read_key(&mut reader)?;
    match kind {
        REMOVED => Ok(Entry::Removed),
        ACCOUNT => {
            let flags = reader.u8()?;
            let node = reader.number32()?;
            let state = AccountState::from_code(reader.u8()?).ok_or(Malformed)?;
            let services = Services::from_bits(reader.u8()?);
            let quota = if flags & HAS_QUOTA != 0 { Some(reader.number()?) } else { None };
            let uid = if flags & HAS_UID != 0 { Some(reader.number32()?) } else { None };
            let gid = if flags & HAS_GID != 0 { Some(reader.number32()?) } else { None };
            Ok(Entry::Account(Account {
                local: key.local,
                node,
                state,
                services,
                quota,
                uid,
                gid,
                hash: reader.0,
            }))
        }
        ALIAS => Ok(Entry::Alias(Alias { count: reader.number()?, packed: reader })),
        _ => Err(Malformed),
    }
}

pub(crate) fn pack_removed(into: &mut Vec<u8>, key: Key<'_>) {
    put_key(into, REMOVED, key);
}

/// Packs an account; `account.hash` is ignored in favour of `hash`.
pub(crate) fn pack_account(
    into: &mut Vec<u8>,
    domain: u32,
    account: &Account<'_>,
    hash: Option<&StoredHash>,
) {
    put_key(into, ACCOUNT, Key { domain, local: account.local });
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    into.push(
        flag(account.quota.is_some(), HAS_QUOTA)
            | flag(account.uid.is_some(), HAS_UID)
            | flag(account.gid.is_some(), HAS_GID),
    );
    put_number(into, account.node.into());
    into.extend([account.state.code(), account.services.bits()]);
    for number in
        [account.quota, account.uid.map(u64::from), account.gid.map(u64::from)].into_iter().flatten()
    {
        put_number(into, number);
    }
    if let Some(hash) = hash {
        hash.pack(into);
    }
}

pub(crate) fn pack_alias<T: AsRef<str>>(into: &mut Vec<u8>, key: Key<'_>, targets: &[T]) {
    put_key(into, ALIAS, key);
    put_number(into, targets.len() as u64);
    for target in targets {
        put_counted(into, target.as_ref().as_bytes());
    }
}

fn put_key(into: &mut Vec<u8>, kind: u8, key: Key<'_>) {
    into.push(kind);
    put_number(into, key.domain.into());
    put_counted(into, key.local.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn accounts_survive_packing(domain: u32, local: String, node: u32, quota: Option<u64>, uid: Option<u32>, gid: Option<u32>, state in 0_u8..3, services: u8) {
            let state = AccountState::from_code(state).unwrap();
            let services = Services::from_bits(services);
            let account = Account { local: &local, node, state, services, quota, uid, gid, hash: &[] };
            let hash = StoredHash::dummy();
            let mut packed = Vec::new();
            pack_account(&mut packed, domain, &account, Some(&hash));
            prop_assert_eq!(key(&packed).unwrap(), Key { domain, local: &local });
            let Entry::Account(read) = unpack(&packed).unwrap() else { panic!() };
            prop_assert_eq!((read.local, read.node, read.quota, read.uid, read.gid), (local.as_str(), node, quota, uid, gid));
            prop_assert_eq!((read.state, read.services), (state, services));
            prop_assert_eq!(StoredHash::unpack(read.hash).unwrap(), hash);
        }

        #[test]
        fn aliases_survive_packing(domain: u32, local: String, targets: Vec<String>) {
            let mut packed = Vec::new();
            pack_alias(&mut packed, Key { domain, local: &local }, &targets);
            let Entry::Alias(read) = unpack(&packed).unwrap() else { panic!() };
            prop_assert_eq!(read.targets().collect::<Vec<_>>(), targets);
        }

        #[test]
        fn random_inputs_never_panic_unpacking(bytes: Vec<u8>) {
            if let Ok(Entry::Alias(alias)) = unpack(&bytes) {
                prop_assert!(alias.targets().count() <= bytes.len());
            }
        }
    }
}
