//! The `Caller`: an organization and a key, proven, and the request it came by. Handlers ask for it by the scope they need (`Read(caller)`), so
//! the permission of a route stands in its signature. Foreign and unknown organizations are the same 404.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};

use time::OffsetDateTime;

use super::{Identity, KeyId, Scope};
use crate::kit::http::{RequestId, request};
use crate::kit::{Code, Error, OrgId, Result};
use crate::ledger::audit::{Action, Actor, Entry, Target};

pub const MISSING_KEY: Code = Code::new("missing_key", 401, "The request has no API key");
pub const FORBIDDEN: Code = Code::new("forbidden", 403, "The key may not do this");

/// Who calls, in which organization.
#[derive(Clone, Debug)]
pub struct Caller {
    pub org: OrgId,
    pub slug: Arc<str>,
    pub key: KeyId,
    scopes: Arc<[Scope]>,
    asked: Asked,
}

/// The request a caller came by.
#[derive(Clone, Debug)]
struct Asked {
    at: OffsetDateTime,
    request: Option<RequestId>,
    ip: Option<IpAddr>,
}

/// Put into a request's extensions by whoever wants to know, after its answer, who was proven to have sent it.
#[derive(Clone, Debug, Default)]
pub struct Proven(Arc<OnceLock<Caller>>);

impl Proven {
    pub fn get(&self) -> Option<&Caller> {
        self.0.get()
    }

    /// Tells whoever put it there.
    pub fn tell(extensions: &Extensions, caller: &Caller) {
        if let Some(Self(proven)) = extensions.get() {
            let _ = proven.set(caller.clone());
        }
    }
}

impl Caller {
    /// A key as it is known, of no request yet.
    pub fn new(org: OrgId, slug: Arc<str>, key: KeyId, scopes: Arc<[Scope]>) -> Self {
        let asked = Asked {
            at: OffsetDateTime::UNIX_EPOCH,
            request: None,
            ip: None,
        };
        Self {
            org,
            slug,
            key,
            scopes,
            asked,
        }
    }

    /// The same key, in the request that is being answered.
    pub(super) fn asking(&self, now: OffsetDateTime) -> Self {
        let asked = Asked {
            at: now,
            request: request::current(),
            ip: request::ip(),
        };
        Self {
            asked,
            ..self.clone()
        }
    }

    /// That the caller did this, for the audit log: record it in the transaction that does it.
    pub fn did(&self, action: Action, target: Target) -> Entry {
        let Asked { at, request, ip } = &self.asked;
        Entry::new(self.org, *at, Actor::key(self.key), action, target).asked(request.as_ref(), *ip)
    }

    /// Refuses what the key may not do.
    pub fn need(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        Err(FORBIDDEN.because(format!("This key lacks the scope `{}`.", scope.as_str())))
    }
}

macro_rules! scoped {
    ($($name:ident)*) => {$(
        #[doc = concat!("A caller whose key has the scope `", stringify!($name), "`.")]
        #[derive(Clone, Debug)]
        pub struct $name(pub Caller);

        impl<S> FromRequestParts<S> for $name
        where
            S: Send + Sync,
            Identity: FromRef<S>,
        {
            type Rejection = Error;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
                authenticate(parts, state, Scope::$name).await.map(Self)
            }
        }
    )*};
}

scoped!(Read Run Deploy Admin);

impl Identity {
    /// Proves the key that a request's headers carry.
    pub async fn prove(&self, headers: &HeaderMap) -> Result<Caller> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| {
                MISSING_KEY.because("Send the API key as `authorization: Bearer bh_…`.")
            })?;
        let proven = self.authenticate(token.trim()).await;
        proven.inspect_err(|error| {
            let code = error.code.code;
            metrics::counter!("bulkhead_keys_refused_total", "code" => code).increment(1);
        })
    }
}

async fn authenticate<S>(parts: &mut Parts, state: &S, scope: Scope) -> Result<Caller>
where
    S: Send + Sync,
    Identity: FromRef<S>,
{
    let identity = Identity::from_ref(state);
    let caller = identity.prove(&parts.headers).await?;
    Proven::tell(&parts.extensions, &caller);
    // What is not text, or no text PostgreSQL can hold, names nothing.
    let nothing = || Error::not_found("thing");
    let path = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|rejection| nothing().caused_by(rejection))?;
    if path.iter().any(|(_, value)| value.contains('\0')) {
        return Err(nothing());
    }
    let org = path
        .iter()
        .find(|(name, _)| *name == "org")
        .map(|(_, value)| value);
    if org != Some(&*caller.slug) {
        return Err(Error::not_found("organization"));
    }
    caller.need(scope)?;
    Ok(caller)
}
