//! Model connections, the offline model, the OpenAI-compatible client against a provider that misbehaves, and what
//! guests see of it all.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connections;
mod guest;
mod handbook;
mod hostile;
mod offline;
mod openai;

use bulkhead::billing::Meter;
use bulkhead::identity::{Caller, Identity};
use bulkhead::kit::egress::Egress;
use bulkhead::kit::http::Cursors;
use bulkhead::kit::secret::Seal;
use bulkhead::kit::{Base, Clock, Ids, OrgId, Random, Secret, Tasks, db};
use bulkhead::models::chat::{Message, Part, Role};
use bulkhead::models::{
    Chunk, Config, Finish, GenerateError, Kind, Models, PutConnection, Request,
};
use bulkhead_tests::database::{self, Database};
use bulkhead_tests::intent;
use bulkhead_tests::provider::Provider;
use time::macros::datetime;

const KEY: &str = "sk-canary-0123456789abcdef";

/// The room on a database of its own, with a provider nobody is connected to yet.
struct Room {
    models: Models,
    caller: Caller,
    clock: Clock,
    pool: sqlx::PgPool,
    provider: Provider,
    base: Base,
    _database: Database,
}

impl Room {
    async fn open() -> Self {
        Self::with(Config::for_test()).await
    }

    async fn with(config: Config) -> Self {
        let database = database::fresh().await;
        let pool = db::connect(database.url(), 4).await.unwrap();
        let clock = Clock::manual(datetime!(2026-01-02 03:04:05 UTC));
        let random = Random::seeded(7);
        let ids = Ids::new(clock.clone(), random.clone());
        let base = Base {
            db: pool.clone(),
            clock: clock.clone(),
            ids,
            cursors: Cursors::new(b"cursors"),
            tasks: Tasks::current(),
            tracing: Default::default(),
        };
        let identity = Identity::new(&base);
        let (_, _, key) = identity.create_organization("acme").await.unwrap();
        let caller = identity.authenticate(key.expose()).await.unwrap();
        let models = Models::new(
            &base,
            Seal::new(&[7; 32], random),
            Egress::new().unwrap(),
            config,
        );
        Self {
            models,
            caller,
            clock,
            pool,
            base,
            provider: Provider::start().await,
            _database: database,
        }
    }

    /// With the provider behind the alias `default`.
    async fn connected() -> Self {
        Self::connected_with(Config::for_test()).await
    }

    async fn connected_with(config: Config) -> Self {
        let room = Self::with(config).await;
        let put = openai(&room.provider.base_url());
        room.models
            .put_connection(&room.caller, "default", put)
            .await
            .unwrap();
        room
    }

    fn org(&self) -> OrgId {
        self.caller.org
    }

    async fn ask(&self, question: &str) -> Outcome {
        self.generate("default", request(question)).await
    }

    /// A whole generation, to its end or its error.
    async fn generate(&self, alias: &str, request: Request) -> Outcome {
        let mut outcome = Outcome::default();
        let intent = intent::to_generate(&self.pool).await;
        let started = self
            .models
            .generate(
                self.org(),
                alias,
                request,
                (&outcome.meter, &intent, &Default::default()),
            )
            .await;
        let (resolved, mut stream) = match started {
            Ok(started) => started,
            Err(error) => {
                outcome.error = Some(error);
                return outcome;
            }
        };
        outcome.resolved = format!("{}/{}", resolved.connection, resolved.model);
        loop {
            match stream.next().await {
                Ok(Some(chunk)) => outcome.chunks.push(chunk),
                Ok(None) => break,
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome
    }
}

#[derive(Debug, Default)]
struct Outcome {
    resolved: String,
    chunks: Vec<Chunk>,
    error: Option<GenerateError>,
    meter: Meter,
}

impl Outcome {
    fn text(&self) -> String {
        let text = |chunk: &Chunk| match chunk {
            Chunk::Text(text) => text.clone(),
            _ => String::new(),
        };
        self.chunks.iter().map(text).collect()
    }

    fn finish(&self) -> Finish {
        match (self.chunks.last(), &self.error) {
            (Some(Chunk::Finish(finish)), None) => *finish,
            _ => panic!("no end: {self:?}"),
        }
    }

    fn error(&self) -> &GenerateError {
        self.error
            .as_ref()
            .unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    fn broken(&self) -> &str {
        match self.error() {
            GenerateError::Broken(text) => text,
            other => panic!("not broken: {other:?}"),
        }
    }

    fn refused(&self) -> &str {
        match self.error() {
            GenerateError::Provider(text) => text,
            other => panic!("not refused: {other:?}"),
        }
    }
}

fn openai(base_url: &str) -> PutConnection {
    PutConnection {
        kind: Kind::Openai,
        base_url: Some(base_url.to_owned()),
        api_key: Some(Some(Secret::new(KEY))),
        default_model: "small".to_owned(),
        available_models: Vec::new(),
    }
}

fn message(role: Role, text: &str) -> Message {
    Message {
        role,
        parts: vec![Part::Text(text.to_owned())],
    }
}

fn request(question: &str) -> Request {
    Request {
        messages: vec![message(Role::User, question)],
        ..Request::default()
    }
}
