//! The child from outside, as `/proc` shows it while it compiles; and that it ends with its limits, its caller and its
//! host.

use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bulkhead::kit::Tasks;
use bulkhead::sandbox::compile::{Failed, in_child};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::{eventually, program};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{processes, sandbox};
use crate::limits::compiling::bomb;

fn read(process: &Path, file: &str) -> String {
    std::fs::read_to_string(process.join(file)).unwrap_or_default()
}

/// The value of a line of `/proc/PID/status`.
fn status(process: &Path, key: &str) -> String {
    let status = read(process, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_default()
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

/// The words of `/proc/PID/stat` from the end of the name on.
fn stat(process: &Path) -> Vec<String> {
    let stat = read(process, "stat");
    let rest = &stat[stat.rfind(')').expect("a name")..];
    rest.split(' ').map(str::to_owned).collect()
}

/// Soft and hard limit of a line of `/proc/PID/limits`.
fn limits(process: &Path, name: &str) -> Vec<String> {
    let limits = read(process, "limits");
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let words = line.unwrap_or_default().split_whitespace();
    words.take(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_given_up_everything() {
    // A file that whoever started the host forgot to close.
    let leak = std::fs::File::open("/dev/null").expect("there is /dev/null");
    fcntl(&leak, FcntlArg::F_SETFD(FdFlag::empty())).expect("a flag can be changed");
    let (sandbox, mark) = sandbox(|config| config.compile.memory_bytes = 3 << 30);
    let cpu = sandbox.config().compile.cpu_s.to_string();
    let compiling = Tasks::current().spawn(async move {
        let bytes = bomb(4_000);
        in_child(&program(), &sandbox, &bytes).await.map(drop)
    });
    eventually("the child has bound itself", async || {
        processes(&mark)
            .first()
            .is_some_and(|child| limits(child, "Max msgqueue size") == ["0", "0"])
    })
    .await;
    let child = processes(&mark).remove(0);

    let nothing = ["0", "0"];
    for name in [
        "Max file size",
        "Max core file size",
        "Max processes",
        "Max open files",
        "Max locked memory",
    ] {
        assert_eq!(limits(&child, name), nothing, "{name}");
    }
    assert_eq!(limits(&child, "Max cpu time"), [cpu.as_str(), cpu.as_str()]);
    assert_eq!(
        limits(&child, "Max data size"),
        ["3221225472", "3221225472"]
    );
    let space: u64 = limits(&child, "Max address space")[1]
        .parse()
        .expect("it is limited");
    assert!((3 << 30..16 << 30).contains(&space), "{space}");

    without_privileges(&child);
    assert_eq!(read(&child, "environ"), "");
    assert_eq!(
        std::fs::read_link(child.join("cwd")).expect("it has one"),
        Path::new("/")
    );
    let files = std::fs::read_dir(child.join("fd")).expect("it is ours");
    let mut files: Vec<_> = files
        .map(|file| file.expect("it stands still").file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["0", "1", "2"], "not {}", leak.as_raw_fd());

    let words = stat(&child);
    let pid = child
        .file_name()
        .expect("its number")
        .to_string_lossy()
        .into_owned();
    assert_eq!(words[3], pid, "a process group of its own");
    let niceness = |words: &[String]| words[17].parse::<i32>().expect("a number");
    let own = niceness(&stat(Path::new("/proc/self")));
    assert_eq!(niceness(&words), (own + 10).min(19), "below the host");
    assert_eq!(read(&child, "oom_score_adj").trim(), "1000");
    if may_leave_networks() {
        let network =
            |process: &Path| std::fs::read_link(process.join("ns/net")).expect("it has one");
        assert_ne!(network(&child), network(Path::new("/proc/self")));
    }

    // Who does not wait for it any more ends it.
    compiling.abort();
    eventually("the child is gone", async || processes(&mark).is_empty()).await;
}

fn without_privileges(child: &Path) {
    assert_eq!(status(child, "NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(child, set), "0000000000000000", "{set}");
    }
    if nix::unistd::geteuid().is_root() {
        assert_eq!(status(child, "Uid"), "65534\t65534\t65534\t65534");
        assert_eq!(status(child, "Gid"), "65534\t65534\t65534\t65534");
        assert_eq!(status(child, "Groups"), "");
    }
}

/// CAP_SYS_ADMIN, by its number.
fn may_leave_networks() -> bool {
    let own = u64::from_str_radix(&status(Path::new("/proc/self"), "CapEff"), 16);
    own.is_ok_and(|own| own & (1 << 21) != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_late_is_gone_with_the_answer() {
    let (sandbox, mark) = sandbox(|config| config.compile.wall_s = 1);
    let compiling =
        Tasks::current().spawn(async move { in_child(&program(), &sandbox, &bomb(4_000)).await });
    eventually("the child runs", async || !processes(&mark).is_empty()).await;
    let child = processes(&mark).remove(0);
    let answer = compiling.await.expect("it answers");
    assert!(matches!(answer, Err(Failed::TooSlow(1))), "{answer:?}");
    assert!(!child.exists(), "reaped, not only killed");
}

/// The command line of a child whose parent is the shell that runs it.
fn order(parent: &str, mark: &str) -> String {
    format!("{{\"parent\":{parent},\"engine\":{{\"compile\":{{{mark}}}}}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_dies_with_its_host() {
    let (_, mark) = sandbox(|_| {});
    let folder = Folder::new();
    let input = folder.join("input");
    std::fs::write(&input, [vec![0; 32], bomb(4_000)].concat()).expect("the folder is ours");
    let script = "exec 3<\"$2\"; order=$(printf '%s' \"$3\" | sed \"s/SELF/$$/\"); \"$1\" compile-component \"$order\" <&3 >/dev/null 2>&1 & wait";
    let mut host = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(program())
        .arg(&input)
        .arg(order("SELF", &mark))
        .stdin(Stdio::null())
        .spawn()
        .expect("there is a shell");
    let children = || {
        let all = processes(&mark);
        all.into_iter().filter(|process| {
            let words = read(process, "cmdline");
            words.split('\0').nth(1) == Some("compile-component")
                && !status(process, "State").starts_with('Z')
        })
    };
    eventually("the child compiles", async || {
        children().any(|child| limits(&child, "Max msgqueue size") == ["0", "0"])
    })
    .await;
    host.kill().expect("it runs");
    host.wait().expect("it was killed");
    eventually("the child is gone", async || children().next().is_none()).await;
}

/// One that comes to life after its host died does not begin.
#[test]
fn a_child_without_its_host_does_not_begin() {
    let output = Command::new(program())
        .args(["compile-component", &order("1", "\"cpu_s\":60")])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(71));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "the host is gone");
}
