//! Tiers and caps, for the operator who holds the database: an organization cannot raise its own cap, so no key of it
//! reaches this.

use std::path::PathBuf;

use serde_json::json;

use crate::billing::Money;
use crate::billing::charge::Reconciliation;
use crate::billing::tiers::{Cap, Dimension, Tiers as Room};
use crate::cli::doctor::database_url;
use crate::cli::serve::refuse_unmigrated;
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::identity::Identity;
use crate::kit::{Base, Clock, OrgId, Random, db};

/// Where the database is.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The data folder of a running `dev`.
    #[arg(
        long,
        env = "BULKHEAD__DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".bulkhead"
    )]
    data: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Tiers {
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetTier {
    /// The tier's name.
    name: String,
    /// Its caps of a month, such as runs=1000 or input_tokens=500000:soft; hard where nothing is said, and what is not
    /// named is unlimited.
    #[arg(value_name = "DIMENSION=CAP[:soft|:hard]", value_parser = cap)]
    caps: Vec<Cap>,
    /// When a warning is told, in percent of each cap.
    #[arg(long, value_name = "PERCENT", default_value_t = 80)]
    warn_at: i32,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct Give {
    /// The organization.
    org: String,
    /// The tier.
    tier: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct SpendCap {
    /// The organization.
    org: String,
    /// An amount of the host's currency, such as 250.00, or `none`.
    amount: String,
    #[command(flatten)]
    at: At,
}

/// The rooms an operator's command works with.
pub(super) struct Rooms {
    tiers: Room,
    pub(super) reconciliation: Reconciliation,
    identity: Identity,
}

impl At {
    pub(super) async fn rooms(&self) -> Result<Rooms, Failure> {
        let url = database_url(&self.data, Surroundings::read())?.ok_or_else(|| {
            Failure::usage(
                "DATABASE_URL is not set and no `bulkhead dev` runs on the data folder: which database?",
            )
        })?;
        let db = db::connect(url.expose(), 2).await?;
        refuse_unmigrated(&db).await?;
        let base = Base::new(db.clone(), Clock::system(), Random::system()).await?;
        Ok(Rooms {
            tiers: Room::new(db.clone(), base.clock.clone()),
            reconciliation: Reconciliation::new(db, base.clock.clone()),
            identity: Identity::new(&base),
        })
    }
}

impl Rooms {
    async fn org(&self, slug: &str) -> Result<OrgId, Failure> {
        let found = self.identity.find_organization(slug).await?;
        found.ok_or_else(|| {
            let detail = format!("there is no organization `{slug}`: make it with `bulkhead keys create --new-org {slug}`");
            Failure::new("not_found", detail)
        })
    }
}

pub(super) async fn tiers(args: Tiers, out: Output) -> Result<(), Failure> {
    let tiers = args.at.rooms().await?.tiers.all().await?;
    if out.is_json() {
        return out.json(&json!({ "data": tiers }));
    }
    let rows = tiers.iter().flat_map(|tier| {
        let caps = tier.caps.iter().map(|cap| {
            let kind = if cap.hard { "hard" } else { "soft" };
            [
                tier.name.clone(),
                cap.dimension.name().to_owned(),
                cap.cap.to_string(),
                kind.to_owned(),
                format!("{} %", cap.warn_percent),
            ]
        });
        let none = tier.caps.is_empty();
        let unlimited = [
            tier.name.clone(),
            "unlimited".to_owned(),
            String::new(),
            String::new(),
            String::new(),
        ];
        caps.chain(none.then_some(unlimited)).collect::<Vec<_>>()
    });
    out.table(
        ["tier", "of", "a month at most", "kind", "warns at"],
        rows.collect(),
    );
    Ok(())
}

pub(super) async fn set_tier(args: SetTier, out: Output) -> Result<(), Failure> {
    let mut caps = args.caps;
    for cap in &mut caps {
        cap.warn_percent = args.warn_at;
    }
    args.at.rooms().await?.tiers.put(&args.name, &caps).await?;
    if out.is_json() {
        return out.json(&json!({ "tier": args.name }));
    }
    out.line(format!("the tier {} has {} caps", args.name, caps.len()));
    Ok(())
}

pub(super) async fn give(args: Give, out: Output) -> Result<(), Failure> {
    let rooms = args.at.rooms().await?;
    let org = rooms.org(&args.org).await?;
    rooms.tiers.give(org, &args.tier).await?;
    if out.is_json() {
        return out.json(&json!({ "org": args.org, "tier": args.tier }));
    }
    out.line(format!("{} has the tier {}", args.org, args.tier));
    Ok(())
}

pub(super) async fn spend_cap(args: SpendCap, out: Output) -> Result<(), Failure> {
    let cap: Option<Money> = match args.amount.as_str() {
        "none" => None,
        text => Some(
            text.parse()
                .map_err(|what| Failure::usage(format!("`{text}`: {what}, or `none`")))?,
        ),
    };
    let rooms = args.at.rooms().await?;
    let org = rooms.org(&args.org).await?;
    rooms.tiers.cap_spending(org, cap).await?;
    let shown = cap.map(|cap| cap.to_string());
    if out.is_json() {
        return out.json(&json!({ "org": args.org, "spend_cap": shown }));
    }
    match shown {
        Some(cap) => out.line(format!("{} may spend {cap} in a month", args.org)),
        None => out.line(format!("{} may spend what it likes", args.org)),
    }
    Ok(())
}

fn cap(text: &str) -> Result<Cap, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as DIMENSION=CAP, such as runs=1000")?;
    let dimension = Dimension::parse(name).ok_or_else(|| {
        format!("`{name}` cannot be capped: there is `runs`, `input_tokens`, `output_tokens`")
    })?;
    let (digits, hard) = match value.split_once(':') {
        None => (value, true),
        Some((digits, "hard")) => (digits, true),
        Some((digits, "soft")) => (digits, false),
        Some((_, other)) => return Err(format!("`{other}` is neither `hard` nor `soft`")),
    };
    let cap: i64 = digits
        .parse()
        .map_err(|_| format!("`{digits}` is no whole number"))?;
    Ok(Cap {
        dimension,
        cap: cap.into(),
        hard,
        warn_percent: 80,
    })
}
