//! A look-up that was begun before its result is wanted.

use std::future::Future;
use tokio::task::JoinHandle;

/// Runs in a task of its own, which ends with it.
pub(crate) enum Pending<T> {
    Running(JoinHandle<T>),
    Done(T),
    /// It panicked: nothing is known.
    Lost,
}

impl<T: Send + 'static> Pending<T> {
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Running(tokio::spawn(work))
    }

    /// The result, waited for.
    pub(crate) async fn wait(&mut self) -> Option<&T> {
        if let Self::Running(running) = self {
            *self = match running.await {
                Ok(done) => Self::Done(done),
                Err(_) => Self::Lost,
            };
        }
        self.get()
    }

    /// The result, if it was waited for.
    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Running(_) | Self::Lost => None,
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Self::Running(running) = self {
            running.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_waited_for_once_and_ends_with_its_owner() {
        let mut pending = Pending::start(async { 7 });
        assert_eq!(pending.get(), None);
        assert_eq!(pending.wait().await, Some(&7));
        assert_eq!(pending.wait().await, Some(&7));
        assert_eq!(pending.get(), Some(&7));
        let (sent, gone) = tokio::sync::oneshot::channel::<()>();
        drop(Pending::start(async move {
            std::future::pending::<()>().await;
            drop(sent);
        }));
        assert!(gone.await.is_err(), "the task was ended");
        let mut lost: Pending<()> = Pending::start(async { panic!("as expected") });
        assert!(lost.wait().await.is_none());
    }
}
