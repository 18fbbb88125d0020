//! What `bulkhead test` is asked, and its order: the cases are read, native tests run, the component is built, a host of
//! its own is asked. What is wrong with the first is told before the second takes time.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::ask;
use super::bed::{self, Bed};
use super::cases::{self, Case};
use super::expect::missed;
use super::native;
use super::report::{Done, Report};
use crate::cli::build::{Built, For, build};
use crate::cli::client::Target;
use crate::cli::dev;
use crate::cli::dev::database::Database;
use crate::cli::dev::programs;
use crate::cli::stop::Stop;
use crate::cli::terminal::{Failure, Output, log};
use crate::config::Surroundings;

/// Test an agent: natively, then as the component it becomes
///
/// Runs the project's own tests (`cargo test`), builds the component as `deploy` does, and asks it what
/// tests/cases.toml says, in a host of its own: the sandbox, guardrails, knowledge and limits of every host, with the
/// offline model or one that is scripted. Prints a line for each case with what it used.
/// Exits 0 where all passed, 1 where one did not, 2 where the command line is wrong.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead test
  bulkhead test ../my-agent --case refund --output json
  bulkhead test --live support          the same cases, asked of a host that runs; those with a script are passed over

Environment:
  DATABASE_URL   a PostgreSQL to use instead of a private one beside the component
  BULKHEAD__SECTION__KEY, such as BULKHEAD__SANDBOX__LIMITS__FUEL: any setting of the host's configuration
  BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY: with --live; where absent, the `dev` that runs on --data"
)]
pub(in crate::cli) struct Args {
    /// The project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The cases; DIR/tests/cases.toml where absent.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Only the cases with this in their name.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Leave out the project's own tests.
    #[arg(long)]
    skip_native: bool,
    /// Ask this agent on a host that runs, and build nothing.
    #[arg(long, value_name = "AGENT")]
    live: Option<String>,
    /// Fetch PostgreSQL where none is installed, without asking.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    target: Target,
    /// What the host of the test logs on stderr.
    #[arg(
        long,
        env = "BULKHEAD_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        default_value = "error"
    )]
    log: String,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    if !args.folder.is_dir() {
        let folder = args.folder.display();
        return Err(Failure::usage(format!(
            "{folder} is no folder: name a project's"
        )));
    }
    let cases = chosen(&args, out)?;
    if let Some(agent) = &args.live {
        return live(agent, &args.target, &cases, out).await;
    }
    log::start(&args.log, false, out)?;
    let mut stop = Stop::listen()?;
    let mut report = Report {
        agent: String::new(),
        native_ms: None,
        build_ms: None,
        ready_ms: None,
        cases: Vec::new(),
    };
    if !args.skip_native && native::are_there(&args.folder) {
        let began = Instant::now();
        stop.unless(native::run(&args.folder)).await?;
        report.native_ms = Some(ms_since(began));
    }
    let began = Instant::now();
    let built = stop.unless(build(&args.folder, For::Hosts, out)).await?;
    report.build_ms = Some(ms_since(began));
    report.agent.clone_from(&built.agent);
    let project = args.folder.canonicalize()?;
    let how = (&mut report, &mut stop);
    in_a_host((&project, &built), &cases, how, (args.yes, out)).await?;
    report.end(out)
}

/// The cases of the file that were asked for.
fn chosen(args: &Args, out: Output) -> Result<Vec<Case>, Failure> {
    let usual = args.folder.join("tests/cases.toml");
    let file = args.cases.as_ref().unwrap_or(&usual);
    let Some(mut cases) = cases::read(file)? else {
        if args.cases.is_some() || args.case.is_some() || args.live.is_some() {
            let detail = format!("there are no cases: {} is not there", file.display());
            return Err(Failure::new("bad_cases", detail));
        }
        let file = file.display();
        out.note(format!(
            "{file} is not there: the component is deployed and not asked"
        ));
        return Ok(Vec::new());
    };
    if let Some(text) = &args.case {
        let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        cases.retain(|case| case.name.contains(text));
        if cases.is_empty() {
            let detail = format!(
                "no case of {} has {text:?} in its name; they are {}",
                file.display(),
                names.join(", ")
            );
            return Err(Failure::new("bad_cases", detail));
        }
    }
    Ok(cases)
}

/// Asks the built component in a host that lives as long as the test.
async fn in_a_host(
    (project, built): (&Path, &Built),
    cases: &[Case],
    (report, stop): (&mut Report, &mut Stop),
    (yes, out): (bool, Output),
) -> Result<(), Failure> {
    let began = Instant::now();
    let beside = built.wasm.parent().unwrap_or(project);
    let data = beside.join("bulkhead-test").join(&built.agent);
    let surroundings = Surroundings::read();
    let config = bed::config(&data)?;
    programs::ensure(&data, &surroundings, (yes, out), stop).await?;
    let database = Database::open(&data, &surroundings).await?;
    let session = Box::pin(async {
        let host = Box::pin(dev::start(config, &database, &surroundings));
        let host = stop.unless(host).await?;
        let asked = stop.unless(Box::pin(async {
            let bed = Bed::make(&host, (project, built), out).await?;
            report.ready_ms = Some(ms_since(began));
            for case in cases {
                let seen = bed.run(case).await?;
                let missed = missed(case, &seen);
                let done = Done::of(&case.name, seen, missed);
                done.tell(out);
                report.cases.push(done);
            }
            Ok(())
        }));
        let asked = asked.await;
        let stopped = host.stop().await.map_err(Failure::from);
        asked.and(stopped)
    });
    let asked = session.await;
    let closed = database.close().await;
    asked.and(closed)
}

/// Asks an agent of a host that runs: its own model, its own knowledge.
async fn live(agent: &str, target: &Target, cases: &[Case], out: Output) -> Result<(), Failure> {
    let client = target.client()?;
    let mut report = Report {
        agent: agent.to_owned(),
        native_ms: None,
        build_ms: None,
        ready_ms: None,
        cases: Vec::new(),
    };
    for case in cases {
        let done = if case.model.is_some() {
            Done::skipped(&case.name, "its model is scripted")
        } else if case.judge.is_some() {
            Done::skipped(
                &case.name,
                "a guardrail is judged on a host of the test's own",
            )
        } else {
            let seen = ask::ask(&client, (agent, None), case).await?;
            let missed = missed(case, &seen);
            Done::of(&case.name, seen, missed)
        };
        done.tell(out);
        report.cases.push(done);
    }
    report.end(out)
}

fn ms_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
