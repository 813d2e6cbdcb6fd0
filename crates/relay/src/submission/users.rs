//! Who users are and what they may do, as the directory says it; a table in tests.

use chasqui_base::{EmailAddress, Secret};
use chasqui_directory::{DirectoryClient, DirectoryUnavailable, LookUp, ScramSalt, Verdict};
use chasqui_sasl::scram::{Proof, Signature};
use std::pin::Pin;

/// An answer of the directory, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DirectoryUnavailable>> + Send + 'a>>;

/// What submission asks of the directory.
pub trait Users: Send + Sync + 'static {
    /// May this name with this password log in?
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answer<'a, Verdict>;

    /// With what were this user's keys made? For a user who does not exist, always the same invention.
    fn scram_begin<'a>(&'a self, login: &'a str) -> Answer<'a, ScramSalt>;

    /// Is this the proof of the user's password for this exchange? With a yes comes our own proof that we know it too.
    fn scram_finish<'a>(
        &'a self,
        login: &'a str,
        auth_message: &'a str,
        proof: &'a Proof,
    ) -> Answer<'a, (Verdict, Option<Signature>)>;

    /// May this account send mail from this address?
    fn may_send_as<'a>(&'a self, account: &'a EmailAddress, sender: &'a EmailAddress) -> Answer<'a, bool>;

    /// Who receives mail for this address?
    fn look_up<'a>(&'a self, address: &'a EmailAddress) -> Answer<'a, LookUp>;
}

impl Users for DirectoryClient {
    fn verify<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answer<'a, Verdict> {
        Box::pin(Self::verify(self, login, password))
    }

    fn scram_begin<'a>(&'a self, login: &'a str) -> Answer<'a, ScramSalt> {
        Box::pin(Self::scram_begin(self, login))
    }

    fn scram_finish<'a>(
        &'a self,
        login: &'a str,
        auth_message: &'a str,
        proof: &'a Proof,
    ) -> Answer<'a, (Verdict, Option<Signature>)> {
        Box::pin(Self::scram_finish(self, login, auth_message, proof))
    }

    fn may_send_as<'a>(&'a self, account: &'a EmailAddress, sender: &'a EmailAddress) -> Answer<'a, bool> {
        Box::pin(Self::may_send_as(self, account, sender))
    }

    fn look_up<'a>(&'a self, address: &'a EmailAddress) -> Answer<'a, LookUp> {
        Box::pin(Self::look_up(self, address))
    }
}
