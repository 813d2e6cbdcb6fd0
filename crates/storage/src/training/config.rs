//! Settings of what is told to a spam filter.

use chasqui_base::service::StartError;
use chasqui_base::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a spam filter is told when a user moves a message into Junk or out of it. Both commands get the message on their standard input;
/// `{user}` in an argument becomes the account's address. No shell is involved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Learns a message as spam: `["spamc", "-L", "spam", "-u", "{user}"]`. Default none: nothing is learnt.
    pub spam: Vec<String>,
    /// Learns a message as wanted: `["spamc", "-L", "ham", "-u", "{user}"]`. Default none.
    pub ham: Vec<String>,
    /// Messages that may wait to be learnt; more are passed over and counted. Default 1000.
    pub queue: usize,
    /// Commands that run at once. Default 2.
    pub at_once: usize,
    /// How long a command may run before it is killed. Default 30s.
    pub deadline: Span,
    /// Messages above this are not learnt. Default 500kB.
    pub max_size: ByteSize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            spam: Vec::new(),
            ham: Vec::new(),
            queue: 1000,
            at_once: 2,
            deadline: Span::secs(30),
            max_size: ByteSize(500_000),
        }
    }
}

impl TrainingConfig {
    /// Whether anything is learnt.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.spam.is_empty() || !self.ham.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        if self.queue == 0 || self.at_once == 0 {
            return Err(StartError::value("junk_training.queue, junk_training.at_once", "must not be 0"));
        }
        if self.deadline.get().is_zero() {
            return Err(StartError::value("junk_training.deadline", "must be longer than nothing"));
        }
        if [&self.spam, &self.ham]
            .iter()
            .any(|command| command.first().is_some_and(|program| program.contains("{user}")))
        {
            return Err(StartError::value("junk_training", "the program itself cannot depend on the user"));
        }
        Ok(())
    }
}
