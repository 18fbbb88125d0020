//! The routes of conversations.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Conversation, ConversationId, Conversations, Message};
use crate::identity::{Identity, Read, Run};
use crate::kit::http::idempotency::Repeat;
use crate::kit::http::{Page, PageQuery, Params, Problem, Query};
use crate::kit::{Error, Result};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Conversations: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, archive))
        .routes(routes!(messages))
        .merge(super::memory::http::router())
}

#[derive(Deserialize)]
struct AgentPath {
    agent: String,
}

#[derive(Deserialize)]
pub(super) struct ConversationPath {
    pub(super) agent: String,
    conversation: String,
}

impl ConversationPath {
    pub(super) fn id(&self) -> Result<ConversationId> {
        let id = self.conversation.parse();
        id.map_err(|_| Error::not_found("conversation"))
    }
}

/// Begin a conversation
///
/// Start runs in it with `conversation_id`: each is given what was said before, and all take one version.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/conversations", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,)),
    responses((status = 201, body = Conversation), (status = "4XX", body = Problem)))]
async fn create(
    State(conversations): State<Conversations>,
    Run(caller): Run,
    Params(path): Params<AgentPath>,
    repeat: Repeat,
) -> Result<(StatusCode, Json<Conversation>)> {
    let made = conversations
        .create(&caller, &path.agent, repeat.assigned)
        .await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// List the key's own conversations, newest first
///
/// A key with the scope `admin` sees those of all keys. Archived ones are not listed.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/conversations", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Conversation>), (status = "4XX", body = Problem)))]
async fn list(
    State(conversations): State<Conversations>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Conversation>>> {
    Ok(Json(
        conversations.list(&caller, &path.agent, &query).await?,
    ))
}

/// Show a conversation
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), ("conversation" = String, Path,)),
    responses((status = 200, body = Conversation), (status = "4XX", body = Problem)))]
async fn get(
    State(conversations): State<Conversations>,
    Read(caller): Read,
    Params(path): Params<ConversationPath>,
) -> Result<Json<Conversation>> {
    let found = conversations.get(&caller, &path.agent, path.id()?).await?;
    Ok(Json(found))
}

/// List what was said in a conversation, newest first
///
/// A page holds 4 MiB at most, or one message.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/messages", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), ("conversation" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Message>), (status = "4XX", body = Problem)))]
async fn messages(
    State(conversations): State<Conversations>,
    Read(caller): Read,
    Params(path): Params<ConversationPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Message>>> {
    let which = (path.agent.as_str(), path.id()?);
    Ok(Json(conversations.messages(&caller, which, &query).await?))
}

/// Archive a conversation
///
/// It is listed no more and no run begins in it; what was said is kept, what the agent remembered is deleted. A repeat changes nothing. A key with the
/// scope `admin` may archive those of all keys.
#[utoipa::path(delete, path = "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), ("conversation" = String, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn archive(
    State(conversations): State<Conversations>,
    Run(caller): Run,
    Params(path): Params<ConversationPath>,
) -> Result<StatusCode> {
    conversations
        .archive(&caller, &path.agent, path.id()?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
