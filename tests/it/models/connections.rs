//! Connections: made, replaced, listed, deleted; what is refused; that a key is never shown and stays at its address.

use bulkhead::kit::http::PageQuery;
use bulkhead::kit::{Error, Secret};
use bulkhead::models::{Config, GenerateError, Kind, PutConnection};

use bulkhead_tests::TestHost;
use serde_json::json;

use super::{KEY, Room, openai, request};

impl Room {
    async fn put(&self, name: &str, put: PutConnection) -> Result<bool, Error> {
        let (connection, is_new) = self.models.put_connection(&self.caller, name, put).await?;
        let shown = serde_json::to_string(&connection).unwrap() + &format!("{connection:?}");
        assert!(!shown.contains(KEY));
        Ok(is_new)
    }

    async fn key_there(&self, name: &str) -> bool {
        let connection = self
            .models
            .get_connection(&self.caller, name)
            .await
            .unwrap();
        connection.has_api_key
    }
}

fn offline() -> PutConnection {
    PutConnection {
        kind: Kind::Offline,
        base_url: None,
        api_key: None,
        default_model: "offline".to_owned(),
        available_models: Vec::new(),
    }
}

fn without_key(base_url: &str) -> PutConnection {
    PutConnection {
        api_key: None,
        ..openai(base_url)
    }
}

#[tokio::test]
async fn a_connection_is_made_replaced_listed_and_deleted() {
    let room = Room::open().await;
    assert!(
        room.put("fast", openai("https://models.example/v1"))
            .await
            .unwrap()
    );
    assert!(
        !room
            .put("fast", without_key("https://models.example/v2"))
            .await
            .unwrap()
    );
    assert!(room.put("slow", offline()).await.unwrap());
    let fast = room
        .models
        .get_connection(&room.caller, "fast")
        .await
        .unwrap();
    assert_eq!(fast.base_url.as_deref(), Some("https://models.example/v2"));
    let query = PageQuery {
        cursor: None,
        limit: Some(1),
    };
    let first = room
        .models
        .list_connections(&room.caller, &query)
        .await
        .unwrap();
    let query = PageQuery {
        cursor: first.next_cursor,
        limit: None,
    };
    let second = room
        .models
        .list_connections(&room.caller, &query)
        .await
        .unwrap();
    assert_eq!((first.data.len(), second.data.len()), (1, 1));
    assert_ne!(first.data[0].name, second.data[0].name);
    room.models
        .delete_connection(&room.caller, "fast")
        .await
        .unwrap();
    for gone in ["fast", "never"] {
        let error = room
            .models
            .delete_connection(&room.caller, gone)
            .await
            .unwrap_err();
        assert_eq!(error.code.status, 404);
        let error = room
            .models
            .get_connection(&room.caller, gone)
            .await
            .unwrap_err();
        assert_eq!(error.code.status, 404);
    }
}

#[tokio::test]
async fn a_key_is_sealed_kept_cleared_and_replaced() {
    let room = Room::open().await;
    let url = "https://models.example/v1";
    room.put("m", openai(url)).await.unwrap();
    let sealed: Vec<u8> = sqlx::query_scalar("select api_key_sealed from model_connections")
        .fetch_one(&room.pool)
        .await
        .unwrap();
    assert!(!sealed.windows(8).any(|part| part == &KEY.as_bytes()[..8]));
    room.put("m", without_key(url)).await.unwrap();
    assert!(room.key_there("m").await, "absent keeps it");
    // To another path it may go, to another origin not.
    room.put("m", without_key("https://models.example/v3?api-version=1"))
        .await
        .unwrap();
    for other in ["https://evil.example/v1", "https://models.example:8443/v1"] {
        let error = room.put("m", without_key(other)).await.unwrap_err();
        assert_eq!(error.fields[0].pointer, "/api_key");
    }
    let cleared = PutConnection {
        api_key: Some(None),
        ..openai("https://evil.example/v1")
    };
    room.put("m", cleared).await.unwrap();
    assert!(!room.key_there("m").await, "null clears it");
    room.put("m", openai(url)).await.unwrap();
    room.put("m", offline()).await.unwrap();
    assert!(!room.key_there("m").await, "offline has none");
}

#[tokio::test]
async fn what_is_absent_null_or_unknown_in_a_body_is_told_apart() {
    let read = |text: &str| serde_json::from_str::<PutConnection>(text);
    let with = |key: &str| {
        format!(r#"{{"kind":"openai","base_url":"https://a/","default_model":"m"{key}}}"#)
    };
    assert!(read(&with("")).unwrap().api_key.is_none());
    assert!(matches!(
        read(&with(r#","api_key":null"#)).unwrap().api_key,
        Some(None)
    ));
    assert!(matches!(
        read(&with(r#","api_key":"k""#)).unwrap().api_key,
        Some(Some(_))
    ));
    assert!(read(&with(r#","apikey":"k""#)).is_err());
    assert!(read(r#"{"kind":"anthropic","default_model":"m"}"#).is_err());
}

#[tokio::test]
async fn what_cannot_be_a_connection_is_refused_by_field() {
    let room = Room::with(Config::default()).await;
    for url in [
        "ftp://models.example/v1",
        "https://",
        "not a url",
        "https://user:pass@models.example/v1",
        "https://models.example/v1#here",
        "http://models.example/v1",
        "http://127.0.0.1:8080/v1",
        "file:///etc/passwd",
    ] {
        let error = room.put("m", openai(url)).await.unwrap_err();
        assert_eq!(error.fields[0].pointer, "/base_url", "{url}: {error}");
    }
}

#[tokio::test]
async fn a_field_that_does_not_fit_its_kind_is_refused() {
    let room = Room::open().await;
    let cases: [(&str, PutConnection); 6] = [
        (
            "/base_url",
            PutConnection {
                base_url: None,
                ..openai("")
            },
        ),
        (
            "/base_url",
            PutConnection {
                base_url: Some("https://a/".into()),
                ..offline()
            },
        ),
        (
            "/api_key",
            PutConnection {
                api_key: Some(Some(Secret::new("k"))),
                ..offline()
            },
        ),
        (
            "/api_key",
            PutConnection {
                api_key: Some(Some(Secret::new("a\nb"))),
                ..openai("https://a/")
            },
        ),
        (
            "/default_model",
            PutConnection {
                default_model: String::new(),
                ..offline()
            },
        ),
        (
            "/available_models/1",
            PutConnection {
                available_models: vec!["a".into(), "\0".into()],
                ..offline()
            },
        ),
    ];
    for (pointer, put) in cases {
        assert_eq!(
            room.put("m", put).await.unwrap_err().fields[0].pointer,
            pointer
        );
    }
    assert_eq!(
        room.put("No!", offline()).await.unwrap_err().code.status,
        422
    );
}

#[tokio::test]
async fn development_may_use_plain_http_to_this_machine_only() {
    let room = Room::open().await;
    for url in [
        "http://localhost:1/v1",
        "http://127.9.9.9/v1",
        "http://[::1]:11434/v1",
    ] {
        room.put("m", openai(url)).await.unwrap();
    }
    for url in [
        "http://10.0.0.1/v1",
        "http://localhost.evil.example/v1",
        "http://169.254.169.254/",
    ] {
        assert!(room.put("m", openai(url)).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn an_alias_leads_to_a_connection_and_a_model() {
    let room = Room::open().await;
    let built_in = room.ask("hello").await;
    assert_eq!(built_in.resolved, "default/offline");
    let unknown = room.generate("fast", request("hello")).await;
    let GenerateError::UnknownModel(text) = unknown.error() else {
        panic!("{unknown:?}")
    };
    assert_eq!(
        text,
        "No model connection is called `fast`; there is `default`."
    );
    let put = PutConnection {
        available_models: vec!["small".into(), "org/large".into()],
        ..openai(&room.provider.base_url())
    };
    room.put("fast", put).await.unwrap();
    for (alias, resolved) in [
        ("fast", "fast/small"),
        ("fast/", "fast/small"),
        ("fast/org/large", "fast/org/large"),
        ("fast/other", "fast/small"),
        ("default/other", "default/offline"),
    ] {
        assert_eq!(
            room.generate(alias, request("hello")).await.resolved,
            resolved,
            "{alias}"
        );
    }
    let wanted: Vec<_> = room
        .provider
        .requests()
        .iter()
        .map(|r| r.body["model"].clone())
        .collect();
    assert_eq!(wanted, ["small", "small", "org/large", "small"]);
    let unknown = room.generate("x", request("hello")).await;
    assert!(
        unknown.error().to_string().contains("`default`, `fast`"),
        "{unknown:?}"
    );
    let odd = room.generate(&"x".repeat(400), request("hello")).await;
    assert!(matches!(odd.error(), GenerateError::Invalid(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_connection_needs_an_admin_and_shows_no_key() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let body = json!({ "kind": "openai", "base_url": "https://models.example/v1", "api_key": KEY, "default_model": "m" });
    let path = "/model-connections/fast";
    let made = client.put(path, &body).await;
    assert_eq!(made.status, 201);
    assert_eq!(client.put(path, &body).await.status, 200);
    let shown = client.get(path).await.json();
    assert_eq!(
        (&shown["has_api_key"], &shown["name"]),
        (&json!(true), &json!("fast"))
    );
    let listed = client.get("/model-connections").await.json();
    assert_eq!(listed["data"], json!([shown]));
    for answer in [&made.json(), &shown, &listed] {
        assert!(!answer.to_string().contains(KEY));
    }
    let mut odd = body.clone();
    odd["api-key"] = json!("k");
    assert_eq!(client.put(path, &odd).await.refusal().0, 400);
    let key = client
        .post(
            "/keys",
            &json!({ "name": "r", "scopes": ["read", "run", "deploy"] }),
        )
        .await;
    let weaker = client.with_key(key.json()["secret"].as_str().unwrap());
    assert_eq!(
        weaker.get(path).await.refusal(),
        (403, "forbidden".to_owned())
    );
    assert_eq!(
        weaker.delete(path).await.refusal(),
        (403, "forbidden".to_owned())
    );
    let foreign = host.client("other").await;
    assert_eq!(
        foreign.get(path).await.refusal(),
        (404, "not_found".to_owned())
    );
    assert_eq!(client.delete(path).await.status, 204);
    assert_eq!(
        client.get(path).await.refusal(),
        (404, "not_found".to_owned())
    );
}
