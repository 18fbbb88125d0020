//! Organizations: made by the operator, addressed by slug.

use super::{Identity, Key, NewKey, Scope, store};
use crate::kit::{Code, Error, OrgId, Result, Secret};

pub const ORG_EXISTS: Code = Code::new(
    "organization_exists",
    409,
    "There is such an organization already",
);

impl Identity {
    /// Makes an organization with its first admin key, both or neither being of use alone.
    pub async fn create_organization(&self, slug: &str) -> Result<(OrgId, Key, Secret)> {
        if !is_name(slug) {
            return Err(Error::unprocessable(format!(
                "`{slug}` cannot name an organization: use a-z, 0-9 and `-`, a letter first, at most 63."
            )));
        }
        let org: OrgId = self.ids.next();
        store::insert_organization(&self.db, org, slug, self.clock.now()).await?;
        let (key, secret) = self.create_operator_key(org, "first admin key").await?;
        Ok((org, key, secret))
    }

    pub async fn find_organization(&self, slug: &str) -> Result<Option<OrgId>> {
        store::find_organization(&self.db, slug).await
    }

    /// An admin key made by somebody who holds the database: the operator at the command line.
    pub async fn create_operator_key(&self, org: OrgId, name: &str) -> Result<(Key, Secret)> {
        let new = NewKey {
            name: name.into(),
            scopes: vec![Scope::Admin],
            expires_at: None,
        };
        self.insert_key(org, new).await
    }
}

/// What agents, organizations and connections may be called.
pub fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
