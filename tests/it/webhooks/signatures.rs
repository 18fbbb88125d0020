//! Signatures, checked by a library receivers use (`standardwebhooks`), by vectors that others made, and while a secret
//! is rotated. The crate `svix` cannot be built without a second TLS stack, so its signature is a vector here.

use bulkhead::kit::Secret;
use bulkhead::webhooks::sign::Signature;
use bulkhead_tests::receiver::Got;
use serde_json::json;
use time::OffsetDateTime;

use super::{Endpoint, machine_time, seconds, world};

/// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const AT: i64 = 1_614_265_330;

#[test]
fn the_vector_of_the_specification() {
    let secrets = [Secret::new(SECRET)];
    let signed = Signature::Standard.header(ID, AT, BODY, &secrets);
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned();
    assert_eq!(signed, ("webhook-signature", expected));
}

/// Signed by `svix` 2.9.1 and by `standardwebhooks` 1.1.0 for Python: both said this.
#[test]
fn the_vector_of_other_libraries() {
    let (id, at) = ("evt_0190b6f2c0de7000800000000000000a", 1_795_165_200);
    let body = r#"{"id":"evt_0190b6f2c0de7000800000000000000a","type":"agent_run.completed","data":{"ü":1}}"#;
    let secrets = [Secret::new(SECRET)];
    let (_, signed) = Signature::Standard.header(id, at, body.as_bytes(), &secrets);
    assert_eq!(signed, "v1,w/tUIi8QfufF83EyXEj4ig2oMxGd/PJ1K5gXVXPEGUM=");
}

#[test]
fn the_form_of_stripe() {
    let former = Secret::new("whsec_former");
    let secrets = [Secret::new(SECRET), former];
    let (name, signed) = Signature::Stripe.header(ID, AT, BODY, &secrets);
    assert_eq!(name, "stripe-signature");
    let hex = |secret: &str| {
        use sha2::Digest as _;
        // HMAC by its definition, apart from the code under test.
        let mut key = secret.as_bytes().to_vec();
        key.resize(64, 0);
        let pad = |byte: u8| key.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
        let text = [format!("{AT}.").as_bytes(), BODY].concat();
        let inner = sha2::Sha256::digest([pad(0x36), text].concat());
        let outer = sha2::Sha256::digest([pad(0x5c), inner.to_vec()].concat());
        outer
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(
        signed,
        format!("t={AT},v1={},v1={}", hex(SECRET), hex("whsec_former"))
    );
}

fn headers(got: &Got) -> reqwest::header::HeaderMap {
    let mut map = reqwest::header::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        map.insert(name, got.header(name).parse().unwrap());
    }
    map
}

/// Whether the library signs it as one of its signatures is. Its `verify` holds a delivery's age against the machine's
/// clock, which is not the host's here.
fn verified(got: &Got, secret: &str) -> bool {
    let library = standardwebhooks::Webhook::new(secret).unwrap();
    let at = got.header("webhook-timestamp").parse().unwrap();
    let signed = library.sign(&got.id(), at, &got.body).unwrap();
    got.header("webhook-signature")
        .split(' ')
        .any(|one| one == signed)
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_verify_what_is_sent() {
    let (host, client, receiver) = world().await;
    machine_time(&host);
    let endpoint = Endpoint::make(&client, &receiver.url("/hook"), &["*"]).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    receiver.arrived(1).await;
    let got = receiver.got().remove(0);
    assert!(verified(&got, &endpoint.secret));
    let library = standardwebhooks::Webhook::new(&endpoint.secret).unwrap();
    library.verify(&got.body, &headers(&got)).unwrap();
    let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(!verified(&got, other));
    let mut altered = got.clone();
    altered.body.push(b' ');
    assert!(!verified(&altered, &endpoint.secret));
    assert_eq!(got.id(), event);
    assert_eq!(got.path, "/hook");
    assert_eq!(got.header("content-type"), "application/json");
    let now = host.clock().now().unix_timestamp().to_string();
    assert_eq!(got.header("webhook-timestamp"), now);
    let body = got.json();
    assert_eq!(body["id"], event.as_str());
    assert_eq!(body["type"], "webhook_endpoint.test");
    assert_eq!(body["data"]["endpoint"], endpoint.id.as_str());
    let at = body["timestamp"].as_str().unwrap();
    assert!(OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339).is_ok());
    endpoint.tried(&host, &event, 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_endpoint_gets_the_stripe_form() {
    let (host, client, receiver) = world().await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"], "signature": "stripe" });
    let endpoint = Endpoint::of(&client, &body).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &event, 1).await;
    let got = receiver.got().remove(0);
    let (at, secrets) = (
        host.clock().now().unix_timestamp(),
        [Secret::new(&*endpoint.secret)],
    );
    let (name, signed) = Signature::Stripe.header("", at, &got.body, &secrets);
    assert_eq!(got.header(name), signed);
    assert_eq!(got.header("webhook-signature"), "");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_secret_signs_for_a_day() {
    let (host, client, receiver) = world().await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let rotated = endpoint.post("/rotate-secret", &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let new = rotated.json()["signing_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(new, endpoint.secret);
    let send = async |count: usize| {
        let event = endpoint.test().await;
        host.run_jobs().await;
        endpoint.tried(&host, &event, 1).await;
        receiver.got().remove(count - 1)
    };
    host.clock().advance(seconds(24 * 3_600 - 1));
    let got = send(1).await;
    assert_eq!(got.header("webhook-signature").split(' ').count(), 2);
    assert!(verified(&got, &endpoint.secret));
    assert!(verified(&got, &new));
    host.clock().advance(seconds(1));
    let got = send(2).await;
    assert!(!verified(&got, &endpoint.secret));
    assert!(verified(&got, &new));
    assert!(!endpoint.show().await.to_string().contains("whsec_"));
    host.stop().await;
}
