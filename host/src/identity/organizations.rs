//! Organizations: made by the operator, addressed by slug.

use super::keys::{describe, target};
use super::{Identity, Key, NewKey, Scope, store};
use crate::kit::{Code, Error, OrgId, Result, Secret};
use crate::ledger::audit::{Action, Actor, Entry, Target, record};

pub const ORG_EXISTS: Code = Code::new(
    "organization_exists",
    409,
    "There is such an organization already",
);

impl Identity {
    /// Makes an organization with its first admin key, both or neither.
    pub async fn create_organization(&self, slug: &str) -> Result<(OrgId, Key, Secret)> {
        if !is_name(slug) {
            return Err(Error::unprocessable(format!(
                "`{slug}` cannot name an organization: use a-z, 0-9 and `-`, a letter first, at most 63."
            )));
        }
        let org: OrgId = self.ids.next();
        let mut tx = self.db.begin().await?;
        store::insert_organization(&mut tx, org, slug, self.clock.now()).await?;
        let (key, secret) = self
            .insert_key(&mut tx, org, admin("first admin key"))
            .await?;
        let made = Target::new("organization", slug);
        let made = self.by_operator(org, Action::OrganizationCreated, made);
        let entries = [made, self.made_key(org, &key)];
        record(&mut tx, &entries).await?;
        tx.commit().await?;
        Ok((org, key, secret))
    }

    pub async fn find_organization(&self, slug: &str) -> Result<Option<OrgId>> {
        store::find_organization(&self.db, slug).await
    }

    /// An admin key made by somebody who holds the database: the operator at the command line.
    pub async fn create_operator_key(&self, org: OrgId, name: &str) -> Result<(Key, Secret)> {
        let mut tx = self.db.begin().await?;
        let (key, secret) = self.insert_key(&mut tx, org, admin(name)).await?;
        record(&mut tx, &[self.made_key(org, &key)]).await?;
        tx.commit().await?;
        Ok((key, secret))
    }

    /// That the operator made this key.
    fn made_key(&self, org: OrgId, key: &Key) -> Entry {
        let made = self.by_operator(org, Action::ApiKeyCreated, target(key.id));
        describe(made, key)
    }

    /// That whoever holds the database did this.
    pub fn by_operator(&self, org: OrgId, action: Action, target: Target) -> Entry {
        Entry::new(org, self.clock.now(), Actor::operator(), action, target)
    }
}

fn admin(name: &str) -> NewKey {
    NewKey {
        name: name.into(),
        scopes: vec![Scope::Admin],
        expires_at: None,
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
