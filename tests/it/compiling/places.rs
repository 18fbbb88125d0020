//! Who gets a compile child: organizations take turns, none has the last place for itself, and what waits is bounded.

use std::pin::pin;

use bulkhead::sandbox::compile::{Full, Places};
use bulkhead_tests::TestHost;
use bulkhead_tests::raw::Raw;
use futures_util::FutureExt as _;
use futures_util::future::{join_all, select};

use crate::limits::compiling::bomb;

#[tokio::test]
async fn nobody_has_the_last_place_for_himself() {
    let places = Places::new(3, (10, 10));
    let one = places.place(1).await.expect("it is free");
    let _two = places.place(1).await.expect("it is free");
    let mut three = pin!(places.place(1));
    assert!(
        three.as_mut().now_or_never().is_none(),
        "the last is for others"
    );
    let other = places
        .place(2)
        .now_or_never()
        .expect("at once")
        .expect("it is free");
    drop(other);
    assert!(three.as_mut().now_or_never().is_none());
    drop(one);
    three.now_or_never().expect("its turn").expect("a place");
    let only = Places::new(1, (0, 0));
    only.place(1).await.expect("the only one is for everybody");
}

#[tokio::test]
async fn tenants_take_turns() {
    let places = Places::new(1, (10, 10));
    let first = places.place(1).await.expect("it is free");
    let mut waiting: Vec<_> = [1, 1, 1, 2, 2, 3]
        .map(|tenant| (tenant, Box::pin(places.place(tenant))))
        .into();
    for (_, place) in &mut waiting {
        assert!(place.now_or_never().is_none());
    }
    let mut order = Vec::new();
    let mut held = first;
    while !waiting.is_empty() {
        drop(held);
        let mut given = None;
        waiting.retain_mut(|(tenant, place)| match place.now_or_never() {
            Some(place) => {
                assert!(given.is_none(), "one place is given to one");
                given = Some(place.expect("a place"));
                order.push(*tenant);
                false
            }
            None => true,
        });
        held = given.expect("somebody has it");
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1]);
}

#[tokio::test]
async fn who_goes_away_leaves_no_place_behind() {
    let places = Places::new(1, (2, 2));
    let held = places.place(1).await.expect("it is free");
    {
        let mut gone = [Box::pin(places.place(2)), Box::pin(places.place(3))];
        for place in &mut gone {
            assert!(place.now_or_never().is_none());
        }
        assert_eq!(places.place(4).await.err(), Some(Full));
    }
    let mut waits = pin!(places.place(4));
    assert!(
        waits.as_mut().now_or_never().is_none(),
        "their seats are free again"
    );
    drop(held);
    drop(
        waits
            .now_or_never()
            .expect("their places were passed on")
            .expect("a place"),
    );
    // Given and never taken.
    let held = places.place(1).await.expect("it is free");
    let mut late = Box::pin(places.place(2));
    assert!(late.as_mut().now_or_never().is_none());
    drop(held);
    drop(late);
    places
        .place(3)
        .now_or_never()
        .expect("it came back")
        .expect("a place");
    assert_eq!(
        format!("{places:?}"),
        "Places { free: 1, taken: 0, waiting: 0 }"
    );
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let places = Places::new(1, (3, 2));
    let _held = places.place(9).await.expect("it is free");
    let mut seats: Vec<_> = [1, 1, 2]
        .map(|tenant| Box::pin(places.place(tenant)))
        .into();
    for seat in &mut seats {
        assert!(seat.now_or_never().is_none());
    }
    assert_eq!(
        places.place(3).await.err(),
        Some(Full),
        "all seats are taken"
    );
    seats.truncate(2);
    assert_eq!(places.place(1).await.err(), Some(Full), "two are its share");
    assert!(
        places.place(3).now_or_never().is_none(),
        "others have theirs"
    );
    assert!(
        places.place_after_all(1).now_or_never().is_none(),
        "who is bounded elsewhere waits"
    );
}

/// A bomb of a kind of its own: another digest, compiled on its own.
fn bombs(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| bomb(16_000 + n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_upload_does_not_wait_for_bombs() {
    let host = TestHost::start_with(|config| config.sandbox.compile.wall_s = 4).await;
    let bomber = host.client("bomber").await;
    let client = host.client("acme").await;
    let bombs = bombs(3);
    let exploding = join_all(bombs.iter().map(|bytes| bomber.upload("bomb", bytes)));
    let fresh = Raw {
        component: "(core module $among_bombs)",
        ..Raw::default()
    }
    .bytes();
    // While the bombs compile.
    let polite = client.upload("fresh", &fresh);
    match select(pin!(exploding), pin!(polite)).await {
        futures_util::future::Either::Left(_) => panic!("the bombs were first"),
        futures_util::future::Either::Right((answer, exploding)) => {
            assert_eq!(answer.status, 201, "{}", answer.text);
            for answer in exploding.await {
                assert_eq!(answer.code(), "compile_failed", "{}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_beyond_the_queue_are_told_when_to_come_again() {
    let host = TestHost::start_with(|config| {
        config.sandbox.compile.wall_s = 4;
        config.sandbox.compile.queued_per_tenant = 1;
    })
    .await;
    let client = host.client("acme").await;
    let bombs = bombs(6);
    let answers = join_all(bombs.iter().map(|bytes| client.upload("bomb", bytes))).await;
    let full: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(
        !full.is_empty(),
        "one compiles, one waits, and inspecting lets one pass at a time"
    );
    for answer in full {
        assert_eq!(answer.code(), "compile_queue_full", "{}", answer.text);
        assert_eq!(answer.headers["retry-after"], "5");
    }
    assert!(
        answers
            .iter()
            .any(|answer| answer.code() == "compile_failed")
    );
    client.deploy("raw", &Raw::default().bytes()).await;
}
