//! A host of the test's own: every room of a host in this process, on a database of its own, for one organization that
//! no other project shares. Kept from test to test, so that the second is fast; nobody outside is reached from it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ask::{self, Seen};
use super::cases::{Answer, Case, Place};
use super::script::Script;
use crate::cli::build::Built;
use crate::cli::client::Client;
use crate::cli::dev::agent::{self, Deployed};
use crate::cli::terminal::view::at;
use crate::cli::terminal::{Failure, Output};
use crate::config::Config;
use crate::guardrails::{Subject, Verdict};
use crate::host::Host;
use crate::identity::Caller;
use crate::knowledge::ingest;

/// A model connection by this name answers wherever a manifest names no other.
const DEFAULT: &str = "default";
const GRACE_MS: u64 = 2_000;

/// The organization of a project on a running host.
pub(super) struct Bed<'a> {
    host: &'a Host,
    caller: Caller,
    client: Client,
    script: Script,
    deployed: Deployed,
}

/// What a host of tests is: nobody else's, on free ports.
pub(super) fn config(data: &Path) -> Result<Config, Failure> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config::load(None)?;
    config.data = data.to_owned();
    (config.listen, config.metrics_listen) = (free, free);
    config.shutdown_grace_ms = config.shutdown_grace_ms.min(GRACE_MS);
    // The scripted model is on this machine.
    config.models.allow_http_models = true;
    Ok(config)
}

impl<'a> Bed<'a> {
    /// Deploys the component and reads in its knowledge.
    pub(super) async fn make(
        host: &'a Host,
        (project, built): (&Path, &Built),
        out: Output,
    ) -> Result<Self, Failure> {
        let identity = &host.app.identity;
        let slug = slug(project);
        let key = match identity.find_organization(&slug).await? {
            Some(org) => identity.create_operator_key(org, "test").await?.1,
            None => identity.create_organization(&slug).await?.2,
        };
        let caller = identity.authenticate(key.expose()).await?;
        let client = Client::at(&format!("http://{}", host.address), &slug, key)?;
        let deployed = agent::deploy(&host.app.agents, &caller, built).await?;
        let script = Script::start(&host.app.tasks).await?;
        let bed = Self {
            host,
            caller,
            client,
            script,
            deployed,
        };
        bed.read_knowledge(&project.join("knowledge"), out).await?;
        Ok(bed)
    }

    pub(super) async fn run(&self, case: &Case) -> Result<Seen, Failure> {
        if let Some(text) = &case.judge {
            return self.judge(case.place, text).await;
        }
        self.model(case.model.as_deref()).await?;
        let agent = (&*self.deployed.agent, Some(self.deployed.version.number));
        let mut seen = ask::ask(&self.client, agent, case).await?;
        if case.model.is_some() {
            seen.unasked = self.script.left();
        }
        Ok(seen)
    }

    /// By the code that asks guardrail components in every run.
    async fn judge(&self, place: Place, text: &str) -> Result<Seen, Failure> {
        let subject = Subject {
            at: place.name(),
            agent: "test".to_owned(),
            tool: (place == Place::Tool).then(|| "test".to_owned()),
            text: text.to_owned(),
        };
        let (org, name) = (self.caller.org, &self.deployed.agent);
        let mut seen = Seen::default();
        let (verdict, text) = match self.host.app.checker.check(org, name, subject).await {
            Ok(Verdict::Allow) => ("allow", text.to_owned()),
            Ok(Verdict::Rewrite(text)) => ("rewrite", text),
            Ok(Verdict::Block(why)) => ("block", why),
            Err(failed) => {
                seen.fault = format!("it gave no verdict: {failed}");
                return Ok(seen);
            }
        };
        (seen.verdict, seen.text) = (Some(verdict), text);
        Ok(seen)
    }

    /// Puts the script, or the offline model, behind every alias the agent may mean.
    async fn model(&self, answers: Option<&[Answer]>) -> Result<(), Failure> {
        self.script.says(answers.unwrap_or_default());
        let connection = match answers {
            Some(_) => json!({
                "kind": "openai",
                "base_url": self.script.base_url(),
                "default_model": "script",
            }),
            None => json!({ "kind": "offline", "default_model": "offline" }),
        };
        let wanted = &self.deployed.version.manifest.model;
        let named = wanted.split('/').next().filter(|name| !name.is_empty());
        let aliases: BTreeSet<&str> = [DEFAULT].into_iter().chain(named).collect();
        for alias in aliases {
            let path = ["model-connections", alias];
            self.client.put(&path, &connection).await?;
        }
        Ok(())
    }

    /// Reads in the folder, and forgets what is no longer in it.
    async fn read_knowledge(&self, folder: &Path, out: Output) -> Result<(), Failure> {
        let knowledge = &self.host.app.knowledge;
        agent::read_knowledge(knowledge, &self.caller, folder, out).await?;
        let files = match folder.is_dir() {
            true => ingest::collect(folder, &knowledge.config().ingest)?,
            false => Vec::new(),
        };
        let there: BTreeSet<&str> = files.iter().map(|file| file.source.as_str()).collect();
        let mut cursor = None;
        let mut gone = Vec::new();
        loop {
            let query = [("limit", Some("200".to_owned())), ("cursor", cursor)];
            let page = self.client.get(&["knowledge", "entries"], &query).await?;
            let entries = page["data"].as_array().into_iter().flatten();
            let old = entries.filter(|entry| !there.contains(at(entry, "/source").as_str()));
            gone.extend(old.map(|entry| at(entry, "/id")));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        for entry in gone {
            let _: Value = self
                .client
                .delete(&["knowledge", "entries", &entry])
                .await?;
        }
        Ok(())
    }
}

/// The same for one project always, and for no two projects on one database.
fn slug(project: &Path) -> String {
    let digest = Sha256::digest(project.as_os_str().as_encoded_bytes());
    format!("test-{}", hex::encode(&digest[..6]))
}
