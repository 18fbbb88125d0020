//! The verbs: a key is made here, its public part added there.

use std::path::PathBuf;

use serde_json::json;

use super::seed;
use crate::cli::client::{Paging, Target};
use crate::cli::terminal::view::{at, more};
use crate::cli::terminal::{Failure, Output};

/// Add, list and revoke the keys of who signs versions; require signatures
///
/// `bulkhead deploy --sign FILE` signs what it uploads.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead publishers keygen release.key
  bulkhead publishers add \"release pipeline\" --key-file release.key
  bulkhead publishers require on
  bulkhead deploy support support.wasm --sign release.key

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a signing key in a new file, and print its public key
    Keygen {
        /// Where to keep it; nothing is overwritten.
        file: PathBuf,
    },
    /// Add a public key: what it signed may be uploaded
    Add {
        /// Whose key it is.
        name: String,
        /// The public key, 64 hexadecimal digits.
        #[arg(required_unless_present = "key_file", conflicts_with = "key_file")]
        public_key: Option<String>,
        /// The file with the signing key: its public key is added.
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// List keys, newest first
    Ls {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        target: Target,
    },
    /// Revoke a key: what it signs from now on is refused
    Revoke {
        /// The key's id.
        #[arg(value_name = "PUBLISHER_ID")]
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take signed versions only, or any
    Require {
        #[arg(value_enum)]
        required: Required,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Required {
    On,
    Off,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let (answer, line) = match args.verb {
        Verb::Keygen { file } => {
            let public = seed::make(&file)?;
            (json!({ "public_key": public }), public)
        }
        Verb::Add {
            name,
            public_key,
            key_file,
            target,
        } => {
            let public = match key_file {
                Some(file) => seed::public_of(&file)?,
                None => public_key.unwrap_or_default(),
            };
            let new = json!({ "name": name, "public_key": public });
            let added = target.client()?.post(&["publisher-keys"], &new).await?;
            let line = format!(
                "{} may sign versions: {}",
                at(&added, "/name"),
                at(&added, "/id")
            );
            (added, line)
        }
        Verb::Ls { paging, target } => return list(paging, &target, out).await,
        Verb::Revoke { id, target } => {
            let revoked = target.client()?.delete(&["publisher-keys", &id]).await?;
            (revoked, format!("{id} is revoked"))
        }
        Verb::Require { required, target } => {
            let to = json!({ "required": matches!(required, Required::On) });
            let put = target.client()?.put(&["signature-policy"], &to).await?;
            let line = match required {
                Required::On => "only signed versions are taken now",
                Required::Off => "versions are taken signed or not",
            };
            (put, line.to_owned())
        }
    };
    if out.is_json() {
        return out.json(&answer);
    }
    out.line(line);
    Ok(())
}

async fn list(paging: Paging, target: &Target, out: Output) -> Result<(), Failure> {
    let query = paging.after([]);
    let page = target.client()?.get(&["publisher-keys"], &query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|key| {
        ["/id", "/name", "/public_key", "/created_at", "/revoked_at"]
            .map(|pointer| at(key, pointer))
    });
    let head = ["publisher", "name", "public key", "created", "revoked"];
    out.table(head, rows.collect());
    more(&page).inspect(|more| out.note(more));
    Ok(())
}
