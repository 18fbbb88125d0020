//! From an alias to what generates: `connection` or `connection/model`. `default` always answers, by the built-in
//! offline model where the organization has no connection of that name.

use reqwest::Url;

use super::{ConnectionId, GenerateError, Kind, Models, store};
use crate::kit::trace::genai::Provider;
use crate::kit::{Error, OrgId, Secret, Trace, db};

/// What answers to an alias the organization gave no connection.
const BUILT_IN: &str = "default";
const OFFLINE_MODEL: &str = "offline";
const ALIAS_BYTES_MAX: usize = 320;
const NAMES_SHOWN: i64 = 20;

/// The connection and model an alias led to; recorded with the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub connection: String,
    pub model: String,
}

/// What to call.
#[derive(Debug)]
pub(super) enum Target {
    Offline,
    OpenAi(Endpoint),
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: ConnectionId,
    pub(super) base_url: Url,
    pub(super) api_key: Option<Secret>,
    /// Where the generation stands in a trace.
    pub(super) traceparent: Option<String>,
}

impl Target {
    /// Who answers, as a trace names it.
    pub(super) fn provider(&self) -> Provider {
        match self {
            Self::Offline => Provider::built_in(),
            Self::OpenAi(endpoint) => {
                let url = &endpoint.base_url;
                let port = url.port_or_known_default().unwrap_or_default();
                Provider::openai(url.host_str().unwrap_or_default(), port)
            }
        }
    }

    /// Tells the provider where it stands in a trace.
    pub(super) fn stands_in(&mut self, trace: &Trace) {
        if let Self::OpenAi(endpoint) = self {
            endpoint.traceparent = trace.traceparent();
        }
    }
}

impl Models {
    /// Resolves an alias; one that leads nowhere is an error that names what there is.
    pub(super) async fn resolve(
        &self,
        org: OrgId,
        alias: &str,
    ) -> Result<(Resolved, Target), GenerateError> {
        if alias.len() > ALIAS_BYTES_MAX || alias.chars().any(char::is_control) {
            return Err(GenerateError::Invalid(format!(
                "A model alias has at most {ALIAS_BYTES_MAX} bytes and no control character."
            )));
        }
        let (name, wanted) = match alias.split_once('/') {
            Some((name, model)) => (name, Some(model).filter(|model| !model.is_empty())),
            None => (alias, None),
        };
        let Some(row) = store::find(&self.db, org, name).await? else {
            return match name {
                BUILT_IN => Ok((resolved(BUILT_IN, OFFLINE_MODEL), Target::Offline)),
                _ => Err(self.unknown(org, name).await?),
            };
        };
        let model = choose(&row, wanted).to_owned();
        let target = match row.kind() {
            Kind::Offline => Target::Offline,
            Kind::Openai => Target::OpenAi(self.endpoint(&row)?),
        };
        Ok((resolved(&row.name, &model), target))
    }

    /// The same while the database is away: nothing has been asked of a provider yet, and the run's own writes wait for
    /// the database as long.
    pub(super) async fn resolve_patiently(
        &self,
        org: OrgId,
        alias: &str,
    ) -> Result<(Resolved, Target), GenerateError> {
        let resolved = db::patiently("an alias", || async {
            match self.resolve(org, alias).await {
                Err(GenerateError::Host(error)) => Err(error),
                outcome => Ok(outcome),
            }
        });
        resolved.await?
    }

    fn endpoint(&self, row: &store::Row) -> Result<Endpoint, Error> {
        let base_url = row.base_url.as_deref().unwrap_or_default();
        let api_key = match &row.api_key_sealed {
            Some(sealed) => Some(self.seal.open(row.id.0.as_bytes(), sealed)?),
            None => None,
        };
        Ok(Endpoint {
            id: row.id,
            base_url: Url::parse(base_url).map_err(Error::internal)?,
            api_key,
            traceparent: None,
        })
    }

    async fn unknown(&self, org: OrgId, name: &str) -> Result<GenerateError, Error> {
        let mut known = store::names(&self.db, org, NAMES_SHOWN).await?;
        if !known.iter().any(|name| name == BUILT_IN) {
            known.insert(0, BUILT_IN.to_owned());
        }
        Ok(GenerateError::UnknownModel(format!(
            "No model connection is called `{name:.64}`; there is `{}`.",
            known.join("`, `")
        )))
    }
}

fn resolved(connection: &str, model: &str) -> Resolved {
    Resolved {
        connection: connection.to_owned(),
        model: model.to_owned(),
    }
}

/// The wanted model where it is allowed, else the connection's default.
fn choose<'a>(row: &'a store::Row, wanted: Option<&'a str>) -> &'a str {
    let allowed = |model: &&str| {
        row.available_models.is_empty() || row.available_models.iter().any(|m| m == model)
    };
    wanted.filter(allowed).unwrap_or(&row.default_model)
}
