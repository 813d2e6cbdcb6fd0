//! The keys that the signatures of one message need, asked for all at once.

use super::{
    dkim::{
        self,
        key::{Key, KeyError},
    },
    lookup::{self, Miss},
};
use chasqui_dns::Resolver;
use std::{collections::HashMap, time::Duration};
use tokio::task::JoinSet;

/// What DNS says at the names of keys.
#[derive(Default)]
pub(crate) struct Keys(HashMap<String, Result<Result<Key, KeyError>, Miss>>);

impl Keys {
    /// Asks for all `names`, each once, and waits at most `deadline`: what is open then is a temporary failure.
    pub(crate) async fn fetch(
        resolver: &Resolver,
        names: impl IntoIterator<Item = String>,
        deadline: Duration,
    ) -> Self {
        let mut keys = Self::default();
        // Dropped with the caller, it ends what is under way.
        let mut questions = JoinSet::new();
        for name in names {
            if !keys.0.contains_key(&name) {
                keys.0.insert(name.clone(), Err(Miss::Temporary("DNS timed out")));
                let resolver = resolver.clone();
                questions.spawn(async move {
                    let found = lookup::txt(&resolver, &name).await;
                    (name, found.map(|records| dkim::choose(&records)))
                });
            }
        }
        let end = tokio::time::Instant::now() + deadline;
        while let Ok(Some(answer)) = tokio::time::timeout_at(end, questions.join_next()).await {
            if let Ok((name, found)) = answer {
                keys.0.insert(name, found);
            }
        }
        keys
    }

    /// The key at a name.
    pub(crate) fn get(&self, name: &str) -> Result<Result<&Key, KeyError>, Miss> {
        match self.0.get(name) {
            Some(Ok(Ok(key))) => Ok(Ok(key)),
            Some(Ok(Err(error))) => Ok(Err(*error)),
            Some(Err(miss)) => Err(*miss),
            None => Err(Miss::Nothing),
        }
    }
}
