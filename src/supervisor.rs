//! Owns every task. A task that ends before the program is asked to, however it ends, ends the program with
//! its name and reason: nothing dies unseen (a detached task that panics leaves a process that looks ready).

use std::future::Future;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A set of tasks that live and die together.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<(&'static str, Result<()>)>,
}

impl Supervisor {
    /// Starts a task under a name.
    pub fn start(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Runs until `stop` is cancelled and all tasks have ended, or until one ends too early.
    ///
    /// # Errors
    /// The name and reason of the task that ended too early, failed or panicked.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let early = match ended {
                Ok((name, Err(error))) => Err(error.context(format!("task {name} failed"))),
                Ok((name, Ok(()))) if !stop.is_cancelled() => {
                    Err(anyhow!("task {name} ended without being asked to"))
                }
                Ok((_, Ok(()))) => Ok(()),
                Err(panic) => Err(anyhow!("a task died: {panic}")),
            };
            if early.is_err() && first.is_ok() {
                first = early;
                stop.cancel();
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_early_ends_all() {
        let stop = CancellationToken::new();
        let mut all = Supervisor::default();
        let waits = stop.clone();
        all.start("patient", async move {
            waits.cancelled().await;
            Ok(())
        });
        all.start("short", async { Ok(()) });
        let error = all.run(stop).await.unwrap_err().to_string();
        assert!(error.contains("short"), "{error}");
    }

    #[tokio::test]
    async fn a_panic_is_seen() {
        let mut all = Supervisor::default();
        all.start("bad", async { panic!("boom") });
        assert!(all.run(CancellationToken::new()).await.is_err());
    }

    #[tokio::test]
    async fn an_asked_for_end_is_no_fault() {
        let stop = CancellationToken::new();
        let mut all = Supervisor::default();
        all.start("a", async { Ok(()) });
        stop.cancel();
        assert!(all.run(stop).await.is_ok());
    }
}
