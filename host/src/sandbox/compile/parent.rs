//! The host's side: one child for one task, in a process group of its own, ended whatever happens.
//! Called by agents. Nothing of the child's answer is used before its code proves that it is whole and from the
//! process that was asked; when this returns the child is gone and reaped.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::child::{NO_MACHINE, Order, PANICKED, REFUSED, TAG_BYTES, Task, code};
use super::{CHILD, Failed};
use crate::kit::Random;
use crate::sandbox::engine::Sandbox;

/// The longest a component is looked at.
const INSPECT_S: u64 = 10;
/// As much of what a child complains about as anybody reads.
const COMPLAINT_BYTES: u64 = 4 << 10;

/// What a child left.
struct Answer {
    status: ExitStatus,
    output: Vec<u8>,
    complaint: String,
}

/// Compiles with `program compile-component`.
pub async fn in_child(program: &Path, sandbox: &Sandbox, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let config = &sandbox.config.compile;
    let bounds = (config.wall_s, config.artifact_bytes);
    ask(program, sandbox, Task::Compile, bounds, bytes).await
}

/// Checks what a component is with `program compile-component`: a parser may be driven mad as a compiler may.
pub async fn inspect_in_child(
    program: &Path,
    sandbox: &Sandbox,
    bytes: &[u8],
) -> Result<(), Failed> {
    let bounds = (INSPECT_S.min(sandbox.config.compile.wall_s), 0);
    ask(program, sandbox, Task::Inspect, bounds, bytes)
        .await
        .map(drop)
}

async fn ask(
    program: &Path,
    sandbox: &Sandbox,
    task: Task,
    (wall_s, most): (u64, u64),
    bytes: &[u8],
) -> Result<Vec<u8>, Failed> {
    let order = Order {
        parent: std::process::id(),
        task,
        engine: (*sandbox.config).clone(),
    };
    // What only this child is told: nobody else can answer for it.
    let nonce: [u8; 32] = Random::system().bytes();
    let mut child = Command::new(program)
        .arg(CHILD)
        .arg(serde_json::to_string(&order).map_err(std::io::Error::other)?)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let wall = Duration::from_secs(wall_s);
    let talk = talk(&mut child, &nonce, bytes, most + TAG_BYTES as u64);
    let talked = tokio::time::timeout(wall, talk).await;
    if !matches!(talked, Ok(Ok(Some(_)))) {
        end(&mut child).await?;
    }
    match talked {
        Ok(answer) => judge(answer?.ok_or(Failed::TooLarge(most))?, &nonce, bytes),
        Err(_) => Err(Failed::TooSlow(wall_s)),
    }
}

/// Sends the component and reads what comes; `None` where that is more than it may be.
async fn talk(
    child: &mut Child,
    nonce: &[u8],
    bytes: &[u8],
    most: u64,
) -> std::io::Result<Option<Answer>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = async {
        if let Some(mut pipe) = stdin {
            // A child that died early closes the pipe; its exit status says why.
            let _ = pipe.write_all(nonce).await;
            let _ = pipe.write_all(bytes).await;
        }
    };
    let ((), output, complaint) =
        tokio::join!(send, read(stdout, most + 1), read(stderr, COMPLAINT_BYTES));
    let output = output?;
    if output.len() as u64 > most {
        return Ok(None);
    }
    Ok(Some(Answer {
        status: child.wait().await?,
        output,
        complaint: String::from_utf8_lossy(&complaint?).trim().to_owned(),
    }))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most).read_to_end(&mut read).await?;
    }
    Ok(read)
}

fn judge(answer: Answer, nonce: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let Answer {
        status,
        mut output,
        complaint,
    } = answer;
    match status.code() {
        Some(0) => {}
        Some(REFUSED) => return Err(Failed::Refused(complaint)),
        Some(PANICKED) => {
            tracing::warn!(complaint, "the compiler panicked");
            return Err(Failed::Refused("the compiler gave up on it".to_owned()));
        }
        Some(NO_MACHINE) => return Err(std::io::Error::other(complaint).into()),
        // A signal: the CPU limit's, or the abort of an allocation that the memory limit refused.
        _ => return Err(Failed::TooMuch),
    }
    let Some((tag, artifact)) = output.split_at_checked(TAG_BYTES) else {
        return Err(Failed::Lied);
    };
    if code(nonce, bytes, artifact).verify(tag).is_err() {
        return Err(Failed::Lied);
    }
    output.drain(..TAG_BYTES);
    Ok(output)
}

/// Kills the child with all that is in its group, and waits until it is reaped.
async fn end(child: &mut Child) -> std::io::Result<()> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself just now.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    child.wait().await.map(drop)
}
