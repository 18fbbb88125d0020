//! No bad request to any operation gets an answer that the description does not declare.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bulkhead_tests::client::{Answer, send};
use serde_json::{Map, Value, json};

use super::{OPERATIONS, Operation, World};

/// What may stand in the place of any name in a path.
const NAMES: &str = "%00 %ff %ED%A0%80 ..%2f.. %0d%0aset-cookie:x %F0%9F%92%A5 -1 99999999999";

/// What may stand behind any path.
const QUERIES: &str = "limit=0 limit=-1 limit=x limit=4294967296 limit=1&limit=2 cursor= cursor=x cursor=AAAA \
    cursor=%00 nothing=1 after=-1 after=2147483648 after=x %00=1 state=%00 stop_reason=%00 version=x tag=%00 type=%00 \
    source=%00 from=yesterday to=%ff from=9999-12-31T23:59:59Z from=-000001-01-01T00:00:00Z wait=0 wait=61 wait=x = \
    &&& %ff=%ff";

#[tokio::test(flavor = "multi_thread")]
async fn no_bad_path_or_query_gets_an_undeclared_answer() {
    let world = World::new().await;
    let long = "a".repeat(4_000);
    for operation in OPERATIONS {
        let path = operation.1;
        let names = world
            .names
            .keys()
            .map(|name| (*name, format!("{{{name}}}")));
        for (name, place) in names.filter(|(_, place)| path.contains(place)) {
            for part in NAMES.split(' ').chain([&long[..]]) {
                let path = world.fill(&path.replace(&place, part));
                let answer = ask(&world, operation, &path).await;
                // What is made by naming it may have been made.
                let is_there = answer.status.is_success() && name != "agent" && name != "name";
                assert!(!is_there, "{path} is not there");
            }
        }
        // Nothing may be gone when the next query asks for it.
        for query in QUERIES
            .split_whitespace()
            .filter(|_| operation.0 != "DELETE")
        {
            ask(&world, operation, &format!("{}?{query}", world.fill(path))).await;
        }
    }
    world.end().await;
}

async fn ask(world: &World, (method, route, _, body): &Operation, path: &str) -> Answer {
    let request = world.client.request(method.parse().unwrap(), path);
    let json = |body| {
        request
            .header("content-type", "application/json")
            .body(body)
    };
    let request = match *body {
        "" => world.client.request(method.parse().unwrap(), path),
        // Path and query are read before the body; neither compiler nor guest is the point of these.
        "wasm" => json("garbage").header("content-type", "application/wasm"),
        _ if route.ends_with("/runs") => json("{}"),
        good => json(good),
    };
    let answer = send(request).await;
    world.check((method, route), &answer, path);
    answer
}

/// One operation that takes a body.
struct Taker<'a> {
    world: &'a World,
    operation: &'a Operation,
    kind: &'static str,
}

impl Taker<'_> {
    async fn post(&self, kind: &str, bytes: Vec<u8>, what: &str) -> Answer {
        let (method, path, ..) = self.operation;
        let request = self
            .world
            .client
            .request(method.parse().unwrap(), &self.world.fill(path));
        let answer = send(request.header("content-type", kind).body(bytes)).await;
        self.world.check((method, path), &answer, what);
        answer
    }

    async fn wholes(&self) {
        let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
        let megabyte = format!("\"{}\"", "a".repeat(1 << 20));
        let texts = [
            "",
            "null",
            "[]",
            "{",
            "true",
            "{}x",
            "{\"a\":1,\"a\":2}",
            "\0",
            "\u{feff}{}",
            &deep,
            &megabyte,
        ];
        for bytes in texts
            .map(str::as_bytes)
            .into_iter()
            .chain([&b"\"\xff\""[..]])
        {
            let what = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            let answer = self.post(self.kind, bytes.to_vec(), &what).await;
            assert!(
                answer.status.is_client_error(),
                "{:?} took {what}",
                self.operation
            );
        }
        let wrong = self.post("text/plain", b"{}".to_vec(), "text/plain").await;
        assert_eq!(wrong.refusal(), (415, "unsupported_media_type".to_owned()));
    }

    async fn fields(&self, good: &Map<String, Value>) {
        let parts = [
            json!(null),
            json!(-1),
            json!(0),
            json!(1.5),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(true),
            json!(""),
            json!(" "),
            json!("\0"),
            json!("\u{2028}\u{202e}\r\n"),
            json!("a".repeat(1 << 20)),
            json!([]),
            json!([null]),
            json!(["\0"]),
            json!([[]]),
            json!(vec!["a"; 10_000]),
            json!({}),
            json!({ "\0": "\0" }),
        ];
        for field in good.keys() {
            for part in &parts {
                let mut changed = good.clone();
                changed.insert(field.clone(), part.clone());
                let what: String = format!("{field} = {part}").chars().take(60).collect();
                self.post(self.kind, json!(changed).to_string().into_bytes(), &what)
                    .await;
            }
            let mut without = good.clone();
            let value = without.remove(field);
            self.post(
                self.kind,
                json!(without).to_string().into_bytes(),
                &format!("no {field}"),
            )
            .await;
            let rest = &json!(good).to_string()[1..];
            let twice = format!("{{\"{field}\":{},{rest}", json!(value));
            self.refuses(twice, "a field twice").await;
        }
        let mut more = good.clone();
        more.insert("surprise".to_owned(), json!(1));
        self.refuses(json!(more).to_string(), "an unknown field")
            .await;
    }

    async fn refuses(&self, body: String, what: &str) {
        let answer = self.post(self.kind, body.into_bytes(), what).await;
        let refusal = (400, "invalid_json".to_owned());
        assert_eq!(
            answer.refusal(),
            refusal,
            "{:?} took {what}",
            self.operation
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bad_body_gets_an_undeclared_answer() {
    let world = World::new().await;
    for operation in OPERATIONS
        .iter()
        .filter(|operation| !operation.3.is_empty())
    {
        let kind = if operation.3 == "wasm" {
            "application/wasm"
        } else {
            "application/json"
        };
        let taker = Taker {
            world: &world,
            operation,
            kind,
        };
        taker.wholes().await;
        if let Ok(Value::Object(good)) = serde_json::from_str(operation.3) {
            taker.fields(&good).await;
        }
    }
    world.end().await;
}
