//! What a round happens on: database, provider, hosts and organizations, made for it alone; and what is remembered while
//! it lasts: what was done, when hosts died, and which terms runs were seen under.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bulkhead::identity::Identity;
use bulkhead::kit::{Base, Clock, Random, Tasks};
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::chance::Chance;
use super::cluster::{self, Cluster, patiently};
use super::faults::Fault;
use super::node::{Node, Settings};
use super::plan::Plan;
use super::script::{self, TOPICS};
use crate::Client;
use crate::guests::Guest;
use crate::provider::Provider;

const ORGANIZATIONS: [&str; 3] = ["acme", "bravo", "chess"];
const JOURNEY: Guest = Guest::new("journey");

/// A host that died with these runs.
#[derive(Clone, Debug)]
pub struct Death {
    pub at: OffsetDateTime,
    pub runs: Vec<Uuid>,
}

/// The stage of one round.
pub struct Stage {
    pub plan: Plan,
    pub nodes: Vec<Node>,
    pub provider: Provider,
    pub orgs: Vec<Client>,
    /// The harness's own way in.
    pub db: PgPool,
    pub cluster: Cluster,
    pub clock: Clock,
    pub tasks: Tasks,
    began: Instant,
    story: Mutex<Vec<String>>,
    deaths: Mutex<Vec<Death>>,
    terms: Mutex<HashMap<Uuid, i32>>,
    broken: Mutex<Vec<String>>,
}

impl Stage {
    /// `None` where this machine cannot give the fault what it needs.
    pub async fn set(plan: Plan, fault: &Fault, chance: &Chance) -> Result<Option<Self>, String> {
        let began = Instant::now();
        let cluster = if fault.own_cluster {
            match Cluster::own(fault.disk_bytes).await? {
                Some(cluster) => cluster,
                None => return Ok(None),
            }
        } else {
            Cluster::shared().await
        };
        let provider = Provider::start().await;
        provider.always(script::given);
        let db = cluster::pool(cluster.url()).await?;
        let mut nodes = Vec::new();
        for number in 0..fault.nodes {
            let settings = settings(fault, number, plan.dead_after_ms);
            let node = Node::new(number, cluster.url(), settings);
            if !fault.own_artifacts {
                node.share_artifacts(cluster.is_own())?;
            }
            nodes.push(node);
        }
        let started = futures_util::future::join_all(nodes.iter().map(Node::start)).await;
        started.into_iter().collect::<Result<Vec<()>, _>>()?;
        let mut stage = Self {
            plan,
            nodes,
            provider,
            orgs: Vec::new(),
            db,
            cluster,
            clock: Clock::system(),
            tasks: Tasks::current(),
            began,
            story: Mutex::default(),
            deaths: Mutex::default(),
            terms: Mutex::default(),
            broken: Mutex::default(),
        };
        stage.furnish(chance).await?;
        stage.say(format!("{} nodes are ready", stage.nodes.len()));
        Ok(Some(stage))
    }

    async fn furnish(&mut self, chance: &Chance) -> Result<(), String> {
        let base = Base::new(self.db.clone(), self.clock.clone(), Random::system()).await;
        let identity = Identity::new(&base.map_err(|e| format!("{e:?}"))?);
        let count = chance.clone().between(2, ORGANIZATIONS.len() as u64);
        let url = self.nodes[0].url().unwrap_or_default();
        let bytes = JOURNEY.bytes();
        for slug in &ORGANIZATIONS[..usize::try_from(count).unwrap_or(2)] {
            let made = identity.create_organization(slug).await;
            let (_, _, secret) = made.map_err(|e| format!("{e:?}"))?;
            let client = Client::new(&url, slug, secret.expose());
            client.deploy("journey", &bytes).await;
            let connection = json!({
                "kind": "openai", "base_url": self.provider.base_url(), "api_key": key_of(slug), "default_model": "m"
            });
            let put = client.put("/model-connections/default", &connection).await;
            for (word, title) in TOPICS {
                let entry = json!({ "title": title, "content": format!("All about {word}."), "source": word });
                let posted = client.post("/knowledge/entries", &entry).await;
                if !(put.status.is_success() && posted.status.is_success()) {
                    return Err(format!("{slug}: {} {}", put.text, posted.text));
                }
            }
            self.orgs.push(client);
        }
        Ok(())
    }

    /// Tells what is done.
    pub fn say(&self, what: String) {
        let line = format!("{:>7} ms  {what}", self.began.elapsed().as_millis());
        self.plan.tell(&line);
        self.story
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(line);
    }

    pub fn story(&self) -> Vec<String> {
        self.story.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Something that must not be was seen.
    pub fn broken(&self, what: String) {
        self.say(format!("VIOLATED {what}"));
        self.broken
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        self.broken
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }

    pub fn deaths(&self) -> Vec<Death> {
        self.deaths
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }

    /// Kills a node without a word and remembers which runs it took with it.
    pub async fn kill(&self, node: &Node) -> Result<(), String> {
        let runs = self.runs_of(node).await?;
        node.kill().await;
        self.say(format!(
            "kill -9 node {} with {} runs",
            node.number,
            runs.len()
        ));
        self.died(runs);
        Ok(())
    }

    /// A node to suffer: mostly the one with the most runs, once there are some.
    pub async fn victim(&self, chance: &mut Chance) -> Result<&Node, String> {
        let any = &self.nodes[chance.index(self.nodes.len())];
        if chance.often(25) {
            return Ok(any);
        }
        for _ in 0..50 {
            let mut most = (0, any);
            for node in &self.nodes {
                let held = self.runs_of(node).await?.len();
                if held > most.0 {
                    most = (held, node);
                }
            }
            if most.0 > 0 {
                return Ok(most.1);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(any)
    }

    pub fn died(&self, runs: Vec<Uuid>) {
        let death = Death {
            at: self.clock.now(),
            runs,
        };
        self.deaths
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(death);
    }

    /// The runs a node holds.
    pub async fn runs_of(&self, node: &Node) -> Result<Vec<Uuid>, String> {
        let Some(id) = node.id().await.and_then(|id| Uuid::parse_str(&id).ok()) else {
            return Ok(Vec::new());
        };
        patiently(|| {
            sqlx::query_scalar("select id from runs where node_id = $1 and ended_at is null")
                .bind(id)
                .fetch_all(&self.db)
        })
        .await
    }

    /// Runs that have not ended.
    pub async fn open(&self) -> Result<i64, String> {
        patiently(|| {
            sqlx::query_scalar("select count(*) from runs where ended_at is null")
                .fetch_one(&self.db)
        })
        .await
    }

    /// A node that answers, by chance; waits until there is one.
    pub async fn any_url(&self, chance: &mut Chance) -> String {
        loop {
            let up: Vec<String> = self.nodes.iter().filter_map(Node::url).collect();
            if !up.is_empty() {
                return up[chance.index(up.len())].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Looks at every run's term again and again: none may ever be seen to shrink.
    pub async fn watch_terms(self: Arc<Self>) {
        loop {
            let rows: Result<Vec<(Uuid, i32)>, _> = sqlx::query_as("select id, term from runs")
                .fetch_all(&self.db)
                .await;
            for (run, term) in rows.unwrap_or_default() {
                let mut terms = self.terms.lock().unwrap_or_else(|e| e.into_inner());
                let before = terms.insert(run, term).unwrap_or(0);
                drop(terms);
                if term < before {
                    self.broken(format!("I4: run {run} went from term {before} to {term}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The provider knows each organization by a key of its own.
pub fn key_of(slug: &str) -> String {
    format!("sk-{slug}")
}

/// The settings of every node, then the fault's own, then those of this node alone.
fn settings(fault: &Fault, number: usize, dead_after_ms: u64) -> Settings {
    let mut settings: Settings = Vec::new();
    let mut set =
        |key: &str, value: &str| settings.push((format!("BULKHEAD__{key}"), value.to_owned()));
    set("LISTEN", "127.0.0.1:0");
    set("METRICS_LISTEN", "127.0.0.1:0");
    set("DATABASE_CONNECTIONS", "8");
    set("SHUTDOWN_GRACE_MS", "2000");
    set("SANDBOX__THREADS", "2");
    set("SANDBOX__GUESTS", "256");
    set("RUNS__DEAD_AFTER_MS", &dead_after_ms.to_string());
    set("RUNS__DEATHS_MAX", "1000");
    set("RUNS__SUSPEND_AFTER_MS", "300");
    set("MODELS__ALLOW_HTTP_MODELS", "true");
    for (key, value) in fault.settings {
        set(key, value);
    }
    for (key, value) in fault.each.get(number).copied().unwrap_or_default() {
        set(key, value);
    }
    settings
}
