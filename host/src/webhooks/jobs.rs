//! What time does to webhooks: what is due is sent, endpoints that took nothing for days are disabled, what is old is
//! forgotten.

use std::time::Duration;

use super::{Webhooks, dispatch};
use crate::kit::jobs::Job;

const LAPSING: Duration = Duration::from_secs(60);
const FORGETTING: Duration = Duration::from_secs(600);

impl Webhooks {
    /// The room's recurring work.
    pub fn jobs(&self) -> Vec<Job> {
        let (send, lapse, forget) = (self.clone(), self.clone(), self.clone());
        let poll = Duration::from_millis(self.config.poll_ms.max(10));
        vec![
            Job::new("webhooks.dispatch", poll, move || {
                let webhooks = send.clone();
                async move { webhooks.dispatch().await }
            }),
            Job::new("webhooks.lapse", LAPSING, move || {
                let webhooks = lapse.clone();
                async move {
                    let now = webhooks.clock.now();
                    let since = now - webhooks.config.disable_after();
                    dispatch::lapse(&webhooks.db, &webhooks.ids, (now, since)).await
                }
            }),
            Job::new("webhooks.forget", FORGETTING, move || {
                let webhooks = forget.clone();
                async move {
                    let before = webhooks.clock.now() - webhooks.config.kept();
                    dispatch::forget(&webhooks.db, before).await
                }
            }),
        ]
    }
}
