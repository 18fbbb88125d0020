//! What happens to the files of a host, which are all made from the database: its index and its compiled guests are
//! damaged or deleted while it is away.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Fault;
use crate::chaos::chance::Chance;
use crate::chaos::stage::Stage;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        over_ms: 1_500,
        ..Fault::plain(
            "index",
            "a node's index is damaged or deleted while it is away",
            |stage, chance| Box::pin(hurt(stage, chance, "index")),
        )
    },
    Fault {
        own_artifacts: true,
        over_ms: 1_500,
        ..Fault::plain(
            "artifact",
            "a node's compiled guests are damaged or deleted while it is away",
            |stage, chance| Box::pin(hurt(stage, chance, "artifacts")),
        )
    },
];

async fn hurt(stage: Arc<Stage>, mut chance: Chance, folder: &str) -> Result<(), String> {
    tokio::time::sleep(chance.millis(300, 1_000)).await;
    let node = stage.victim(&mut chance).await?;
    stage.kill(node).await?;
    let folder = node.folder.join(folder);
    let mut files = Vec::new();
    gather(&folder, &mut files);
    files.sort();
    let hurt = if chance.often(30) {
        fs::remove_dir_all(&folder).map(|()| "all of it is gone".to_owned())
    } else {
        damage(&files, &mut chance)
    };
    stage.say(format!("{} files, {hurt:?}", files.len()));
    node.start_at_last().await
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            gather(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

/// Every file may lose its end, have bytes turned, be emptied or be gone.
fn damage(files: &[PathBuf], chance: &mut Chance) -> std::io::Result<String> {
    let mut told = String::new();
    for path in files {
        let mut bytes = fs::read(path)?;
        let at = chance.index(bytes.len());
        let how = match chance.between(0, 4) {
            0 if !bytes.is_empty() => {
                bytes[at] ^= 0x55;
                "turned"
            }
            1 => {
                bytes.truncate(at);
                "cut"
            }
            2 => {
                bytes.clear();
                "emptied"
            }
            3 => {
                fs::remove_file(path)?;
                told.push_str("gone ");
                continue;
            }
            _ => "whole",
        };
        told.push_str(how);
        told.push(' ');
        fs::write(path, bytes)?;
    }
    Ok(told)
}
