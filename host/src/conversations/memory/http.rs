//! The routes of a conversation's memory.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Memory;
use crate::conversations::Conversations;
use crate::conversations::http::ConversationPath;
use crate::identity::{Identity, Read, Run};
use crate::kit::Result;
use crate::kit::http::{Params, Problem};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Conversations: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(get, delete))
}

/// Show what the agent keeps for a conversation
///
/// As the runs that have ended left it. A run that goes on is not shown; its steps are.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/memory", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), ("conversation" = String, Path,)),
    responses((status = 200, body = Memory), (status = "4XX", body = Problem)))]
async fn get(
    State(conversations): State<Conversations>,
    Read(caller): Read,
    Params(path): Params<ConversationPath>,
) -> Result<Json<Memory>> {
    let which = (path.agent.as_str(), path.id()?);
    Ok(Json(conversations.memory(&caller, which).await?))
}

/// Delete what the agent keeps for a conversation
///
/// Refused while a run goes on in it. What was said stays. A repeat changes nothing.
#[utoipa::path(delete, path = "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/memory", tag = "conversations",
    params(("org" = String, Path,), ("agent" = String, Path,), ("conversation" = String, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete(
    State(conversations): State<Conversations>,
    Run(caller): Run,
    Params(path): Params<ConversationPath>,
) -> Result<StatusCode> {
    conversations
        .forget(&caller, &path.agent, path.id()?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
