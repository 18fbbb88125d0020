//! A rolling restart under load: every host is replaced, one after the other, and no run is dropped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bulkhead_tests::client::{Event, Events, text};
use bulkhead_tests::{Client, TestHost};
use futures_util::future::{join, join_all};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::guests;

/// Who can be asked: what a load balancer knows.
struct Balancer {
    up: Mutex<Vec<String>>,
    turn: AtomicUsize,
    done: AtomicBool,
    /// Requests that had to be made again, and streams that went on elsewhere.
    again: AtomicUsize,
}

impl Balancer {
    fn next(&self) -> String {
        let up = self.up.lock().unwrap();
        up[self.turn.fetch_add(1, Ordering::Relaxed) % up.len()].clone()
    }

    fn add(&self, host: &TestHost) {
        self.up.lock().unwrap().push(host.url());
    }

    async fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    /// Starts a run on whichever host takes it.
    async fn start(&self, client: &Client, body: &serde_json::Value) -> String {
        loop {
            let asked = client.at(&self.next());
            let request = asked.request(Method::POST, "/agents/journey/runs");
            if let Ok(answer) = request.json(body).send().await {
                if answer.status() == StatusCode::ACCEPTED {
                    let location = answer.headers()["location"].to_str().unwrap();
                    return location.rsplit('/').next().unwrap().to_owned();
                }
                assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            }
            self.again().await;
        }
    }

    /// Reads a run to its end, on one host after the other.
    async fn read(&self, client: &Client, run: &str) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let asked = client.at(&self.next());
            let path = format!("/agents/journey/runs/{run}/events");
            let request = asked
                .request(Method::GET, &path)
                .header("accept", "text/event-stream")
                .header("last-event-id", events.len());
            if let Ok(answer) = request.send().await
                && answer.status() == StatusCode::OK
            {
                let mut stream = Events::of(answer).await;
                while let Some(event) = stream.next().await {
                    events.push(event);
                }
            }
            if events.last().is_some_and(|event| event.kind == "done") {
                return events;
            }
            self.again().await;
        }
    }
}

/// Runs until it is told to stop; how many.
async fn load(balancer: &Balancer, client: Client) -> usize {
    let mut runs = 0;
    while !balancer.done.load(Ordering::Relaxed) {
        let body = json!({ "input": "say a \nsleep 60\nsay b \nsleep 60\nsay c" });
        let run = balancer.start(&client, &body).await;
        let events = balancer.read(&client, &run).await;
        let ids: Vec<i32> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5], "{run}");
        assert_eq!(text(&events), "a b c");
        assert_eq!(events[4].data["stop_reason"], "end_turn", "{run}");
        runs += 1;
    }
    runs
}

#[expect(clippy::print_stdout, reason = "a figure that is not asserted")]
#[tokio::test(flavor = "multi_thread")]
async fn no_run_is_dropped() {
    let first = TestHost::start_with(|config| config.shutdown_grace_ms = 100).await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = first.client("acme").await;
    let second = first.join().await;
    let balancer = Balancer {
        up: Mutex::default(),
        turn: AtomicUsize::new(0),
        done: AtomicBool::new(false),
        again: AtomicUsize::new(0),
    };
    balancer.add(&first);
    balancer.add(&second);
    let restarts = async {
        let mut hosts = vec![Box::new(first), Box::new(second)];
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let fresh = Box::new(Box::pin(hosts[0].join()).await);
            balancer.add(&fresh);
            hosts.push(fresh);
            let old = hosts.remove(0);
            // It is asked until it is gone: what it refuses is asked elsewhere.
            let url = old.url();
            old.stop().await;
            balancer.up.lock().unwrap().retain(|up| *up != url);
        }
        balancer.done.store(true, Ordering::Relaxed);
        hosts
    };
    let loads = join_all((0..8).map(|_| load(&balancer, client.clone())));
    let (runs, hosts) = Box::pin(join(loads, restarts)).await;
    println!(
        "rolling restart: 4 hosts replaced, {} runs, 0 dropped, {} requests made again",
        runs.iter().sum::<usize>(),
        balancer.again.load(Ordering::Relaxed)
    );
    for host in hosts {
        host.stop().await;
    }
}
