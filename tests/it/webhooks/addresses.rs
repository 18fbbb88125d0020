//! Where users may lead the host: every way to write an address that is not of the public internet is refused, when it
//! is given and when it is connected to. No name is better than the addresses it leads to.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead::kit::egress::{Block, Config, Guarded, Lookup, Refused, Rules};
use bulkhead_tests::TestHost;
use bulkhead_tests::receiver::Receiver;
use serde_json::json;

use super::Endpoint;

/// Each is refused as it stands.
const REFUSED: &[&str] = &[
    // This machine.
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0x7F.0x0.0x0.0x1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://00000177.1/",
    "https://127.0x0.00.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://0x0/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://api.localhost/",
    "https://loc%61lhost/",
    "https://%31%32%37.0.0.1/",
    // Unicode that is turned into digits and dots.
    "https://１２７.０.０.１/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://127｡0｡0｡1/",
    "https://𝟏𝟐𝟕.0.0.1/",
    "https://ⓛocalhost/",
    // Private networks.
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://167772161/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://0xc0a80101/",
    "https://192.168.257/",
    "https://[fc00::1]/",
    "https://[fd12:3456:789a::1]/",
    // Links, carriers, multicast, reserved.
    "https://169.254.1.1/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://192.0.0.1/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://198.51.100.7/",
    "https://203.0.113.7/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[fe80::1]/",
    "https://[febf::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[4000::1]/",
    // A cloud's metadata.
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://[fd00:ec2::254]/",
    "https://metadata.google.internal/",
    // An IPv4 address in an IPv6 one, whatever it is.
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2600::5efe:127.0.0.1]/",
    // What is not said plainly.
    "https://user@93.184.216.34/",
    "https://user:password@93.184.216.34/",
    "https://@93.184.216.34/",
    "https://93.184.216.34@127.0.0.1/",
    "https://93.184.216.34#@127.0.0.1/",
    "https://93.184.216.34\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https:127.0.0.1/",
    "https:///127.0.0.1/",
    " https://93.184.216.34/",
    "https://93.184.216.34/ x",
    "https://93.184.216.34/\r\nhost: x",
    "https://93.184.\t216.34/",
    // Other schemes and ports.
    "http://93.184.216.34/",
    "ftp://93.184.216.34/",
    "file:///etc/passwd",
    "gopher://93.184.216.34/",
    "data:text/plain,x",
    "//93.184.216.34/",
    "93.184.216.34",
    "https://93.184.216.34:22/",
    "https://93.184.216.34:25/",
    "https://93.184.216.34:80/",
    "https://93.184.216.34:0/",
    "https://93.184.216.34:65536/",
    // Names of inner networks.
    "https://intranet/",
    "https://printer.local/",
    "https://db.internal/",
    "https://nas.lan/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://./",
    "https:///",
    "https://[::1/",
    "https://[fe80::1%25eth0]/",
    "",
];

const ALLOWED: &[&str] = &[
    "https://93.184.216.34/",
    "https://example.com/hook?key=1",
    "https://example.com:8443/hook",
    "https://EXAMPLE.com./hook",
    "https://bücher.example/hook",
    "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    "https://172.15.255.255/",
    "https://172.32.0.1/",
    "https://100.63.255.255/",
    "https://11.0.0.1/",
];

fn public() -> Rules {
    Rules::new(&Config::default()).unwrap()
}

/// A resolver that answers every name by these, one after the other; the last one stays.
fn resolver(answers: &'static [&'static [&'static str]]) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let nth = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found: Vec<IpAddr> = answers[nth]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        Box::pin(async move { Ok(found) })
    });
    (lookup, asked)
}

#[test]
fn no_way_to_write_it_gets_through() {
    let rules = public();
    assert!(REFUSED.len() > 100);
    let through: Vec<_> = REFUSED
        .iter()
        .filter(|text| rules.check(text).is_ok())
        .collect();
    assert!(through.is_empty(), "{through:#?}");
    for text in ALLOWED {
        assert!(rules.check(text).is_ok(), "{text}: {:?}", rules.check(text));
    }
    let long = format!("https://example.com/{}", "a".repeat(2_048));
    assert!(rules.check(&long).is_err());
}

#[tokio::test]
async fn a_name_is_what_it_leads_to() {
    for bad in [
        &["127.0.0.1"][..],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["::1"],
        &["fd00::1"],
        &["::ffff:10.0.0.1"],
        // One of several spoils the name.
        &["93.184.216.34", "192.168.0.1"],
        &["2606:2800:220:1:248:1893:25c8:1946", "100.64.0.1"],
    ] {
        let bad: &'static [&'static str] = Box::leak(bad.to_vec().into_boxed_slice());
        let (lookup, _) = resolver(Box::leak(vec![bad].into_boxed_slice()));
        let rules = Rules::resolving_by(&Config::default(), lookup).unwrap();
        assert!(
            rules.check("https://rebind.example/").is_ok(),
            "the name alone says nothing"
        );
        assert!(
            rules.check_now("https://rebind.example/").await.is_err(),
            "{bad:?}"
        );
    }
    let (lookup, _) = resolver(&[&["93.184.216.34"]]);
    let rules = Rules::resolving_by(&Config::default(), lookup).unwrap();
    assert!(rules.check_now("https://fine.example/").await.is_ok());
    let nowhere: Lookup =
        Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such name")) }));
    let rules = Rules::resolving_by(&Config::default(), nowhere).unwrap();
    assert!(rules.check_now("https://later.example/").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_later_is_not_followed() {
    let receiver = Receiver::start().await;
    let port = receiver.url("").rsplit(':').next().unwrap().to_owned();
    // Public when it is checked, this machine when it is connected to.
    let (lookup, asked) = resolver(&[&["93.184.216.34"], &["127.0.0.1"]]);
    let config = Config {
        http: true,
        ..Config::default()
    };
    let rules = Rules::resolving_by(&config, lookup.clone()).unwrap();
    let url = rules
        .check_now(&format!("http://rebind.example:{port}/"))
        .await
        .unwrap();
    let sent = Guarded::new(rules)
        .unwrap()
        .post(url.clone())
        .unwrap()
        .send()
        .await;
    let error = sent.unwrap_err();
    assert!(Refused::among(&error).is_some(), "{error:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each connection asks");
    assert_eq!(receiver.got().len(), 0);
    // The same, where this machine is allowed: the connection goes where the resolver said.
    let config = Config {
        allow: vec!["127.0.0.0/8".to_owned()],
        http: true,
    };
    let rules = Rules::resolving_by(&config, lookup).unwrap();
    let sent = Guarded::new(rules)
        .unwrap()
        .post(url)
        .unwrap()
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(receiver.got().len(), 1);
}

#[test]
fn blocks_are_read_strictly() {
    let block: Block = "10.1.0.0/16".parse().unwrap();
    assert!(block.contains("10.1.255.255".parse().unwrap()));
    assert!(!block.contains("10.2.0.0".parse().unwrap()));
    assert!(!block.contains("::ffff:10.1.0.1".parse().unwrap()));
    let all: Block = "::/0".parse().unwrap();
    assert!(all.contains("fd00::1".parse().unwrap()));
    assert!(
        "::1"
            .parse::<Block>()
            .unwrap()
            .contains("::1".parse().unwrap())
    );
    for bad in [
        "10.0.0.0/33",
        "10.0.0/8",
        "::/129",
        "localhost",
        "10.0.0.0/-1",
        "",
        "10.0.0.0/8/8",
    ] {
        assert!(bad.parse::<Block>().is_err(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_when_it_is_given_and_when_it_is_sent_to() {
    let host = TestHost::start_with(|config| config.egress = Config::default()).await;
    let client = host.client("acme").await;
    for url in [
        "https://10.0.0.1/",
        "http://93.184.216.34/",
        "https://localhost/",
    ] {
        let made = client
            .post(
                "/webhook-endpoints",
                &json!({ "url": url, "events": ["*"] }),
            )
            .await;
        assert_eq!(made.refusal(), (422, "address_refused".to_owned()), "{url}");
        assert_eq!(made.json()["errors"][0]["pointer"], "/url");
    }
    // Made where it was allowed; this host still does not connect.
    let receiver = Receiver::start().await;
    let lax = host
        .join_with(|config| {
            config.egress.allow = vec!["127.0.0.0/8".to_owned()];
            config.egress.http = true;
        })
        .await;
    let endpoint = Endpoint::make(&client.at(&lax.url()), &receiver.url("/"), &["*"]).await;
    let event = endpoint.test().await;
    host.run_jobs().await;
    let delivery = endpoint.tried(&host, &event, 1).await;
    let error = delivery["last_attempt"]["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(error.starts_with("refused: its address"), "{error}");
    assert_eq!(receiver.got().len(), 0);
    let moved = endpoint
        .change(&json!({ "url": "https://192.168.0.1/" }))
        .await;
    assert_eq!(
        moved.status, 422,
        "what was allowed was this machine: {}",
        moved.text
    );
    lax.stop().await;
    host.stop().await;
}
