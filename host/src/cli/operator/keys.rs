//! `bulkhead keys`: API keys over HTTP; and, for the operator who holds the database, organizations and their first keys.

use serde_json::{Value, json};

use crate::cli::client::{Paging, Target};
use crate::cli::serve::refuse_unmigrated;
use crate::cli::terminal::view::{at, more};
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::identity::{Identity, Key, Scope};
use crate::kit::{Base, Clock, Random, Secret, db};

/// Make, list and revoke API keys; make organizations
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead keys create ci --scope deploy --scope read
  bulkhead keys ls
  bulkhead keys revoke key_0190b6f2…
  bulkhead keys create --new-org acme          the operator, in DATABASE_URL: an organization and its admin key
  bulkhead keys create --org acme --operator   the operator, in DATABASE_URL: another admin key

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data.
DATABASE_URL for --new-org and --operator; where absent, the database of that `dev`."
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key; its secret is printed once
    Create(Create),
    /// List keys, newest first
    Ls {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        target: Target,
    },
    /// Revoke a key
    Revoke {
        /// The key's id, not its secret.
        #[arg(value_name = "KEY_ID")]
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What the key is used by.
    #[arg(required_unless_present_any = ["new_org", "operator"])]
    name: Option<String>,
    /// What the key may do.
    #[arg(long = "scope", value_enum, default_values_t = [Scope::Read, Scope::Run])]
    scopes: Vec<Scope>,
    /// When it ends, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Make this organization, with its first admin key, directly in the database.
    #[arg(long, value_name = "ORG", conflicts_with_all = ["name", "scopes", "expires_at", "operator"])]
    new_org: Option<String>,
    /// Make an admin key of --org directly in the database.
    #[arg(long, conflicts_with_all = ["scopes", "expires_at"])]
    operator: bool,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Create(create) if create.new_org.is_some() || create.operator => {
            direct(create, out).await
        }
        Verb::Create(create) => {
            let new = json!({ "name": create.name, "scopes": create.scopes, "expires_at": create.expires_at });
            let key = create.target.client()?.post(&["keys"], &new).await?;
            tell(&key, out)
        }
        Verb::Ls { paging, target } => {
            let query = paging.after([]);
            list(&target.client()?.get(&["keys"], &query).await?, out)
        }
        Verb::Revoke { id, target } => {
            let key = target.client()?.delete(&["keys", &id]).await?;
            if out.is_json() {
                return out.json(&key);
            }
            out.line(format!(
                "{} ({}) is revoked",
                at(&key, "/id"),
                at(&key, "/name")
            ));
            Ok(())
        }
    }
}

fn tell(key: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(key);
    }
    out.fields(&[
        ("organization", at(key, "/org")),
        ("key", at(key, "/id")),
        ("name", at(key, "/name")),
        ("scopes", at(key, "/scopes")),
        ("expires", at(key, "/expires_at")),
        ("secret", at(key, "/secret")),
    ]);
    out.note("the secret is not kept and cannot be shown again");
    Ok(())
}

fn list(page: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(page);
    }
    let rows = page["data"].as_array().into_iter().flatten().map(|key| {
        [
            at(key, "/id"),
            at(key, "/name"),
            at(key, "/scopes"),
            at(key, "/created_at"),
            at(key, "/expires_at"),
            at(key, "/revoked_at"),
        ]
    });
    out.table(
        ["key", "name", "scopes", "created", "expires", "revoked"],
        rows.collect(),
    );
    more(page).inspect(|more| out.note(more));
    Ok(())
}

/// Whoever holds the database may let themselves in; nobody else can make an organization.
async fn direct(create: Create, out: Output) -> Result<(), Failure> {
    let url = crate::cli::doctor::database_url(&create.target.data, Surroundings::read())?;
    let url = url.ok_or_else(|| {
        Failure::usage("DATABASE_URL is not set: organizations and operator keys are made in the database itself")
    })?;
    let db = db::connect(url.expose(), 2).await?;
    refuse_unmigrated(&db).await?;
    let base = Base::new(db, Clock::system(), Random::system()).await?;
    let identity = Identity::new(&base);
    let (slug, (key, secret)) = make(&identity, create).await?;
    let mut document = serde_json::to_value(&key)?;
    document["org"] = json!(slug);
    document["secret"] = json!(secret.expose());
    tell(&document, out)
}

async fn make(identity: &Identity, create: Create) -> Result<(String, (Key, Secret)), Failure> {
    if let Some(slug) = create.new_org {
        let (_, key, secret) = identity.create_organization(&slug).await?;
        return Ok((slug, (key, secret)));
    }
    let slug = create.target.org.filter(|slug| !slug.is_empty());
    let slug =
        slug.ok_or_else(|| Failure::usage("name the organization with --org (BULKHEAD_ORG)"))?;
    let org = identity.find_organization(&slug).await?.ok_or_else(|| {
        let detail = format!("there is no organization `{slug}`: make it with `bulkhead keys create --new-org {slug}`");
        Failure::new("not_found", detail)
    })?;
    let name = create.name.unwrap_or_else(|| "operator key".to_owned());
    Ok((slug, identity.create_operator_key(org, &name).await?))
}
