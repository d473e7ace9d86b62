//! The gate of a Solana validator against a fake of one.

use std::{fs, os::unix::fs::PermissionsExt, sync::atomic::Ordering, time::Duration, time::Instant};

use mainstay::{
    failover::{Boot, Held, Phase},
    gate::{
        member::StartError,
        solana::{
            admin::{Admin, Trouble},
            post::{Post, SolanaError},
        },
    },
};
use serde_json::json;

use crate::{
    records::Records,
    site::{Site, carried, for_ever, go_on, moments, vanish},
    validator::{Pair, at, history_of, staked, tower_of, unstaked, votes},
};

#[tokio::test]
async fn each_answer_of_the_admin_rpc_is_read_as_its_source_means_it() {
    let site = Site::new("a");
    site.until("it starts", |it| it.born > 0).await;
    let admin = Admin::new(&site.options.ledger);
    let seen = admin.look().await.unwrap();
    assert_eq!(seen.identity, unstaked().name());
    for is_new in [false, true] {
        at(&site.validator).is_new = is_new;
        let _ = fs::remove_file(site.tower());
        let refused = admin.set_identity(&site.options.keypair, true).await.unwrap_err();
        assert!(refused.to_string().contains("Unable to load tower file"), "{refused}");
        fs::write(site.tower(), Pair::of(9).tower(&[1])).unwrap();
        let refused = admin.set_identity(&site.options.keypair, true).await.unwrap_err();
        assert!(refused.to_string().contains("signature"), "{refused}");
        fs::write(site.tower(), staked().tower(&[1])).unwrap();
        let taken = admin.set_identity(&site.options.keypair, true).await.unwrap();
        assert_eq!((&taken.identity, &taken.born), (&staked().name(), &seen.born));
        let back = admin.set_identity(&site.options.unstaked, false).await.unwrap();
        assert_eq!(back.identity, unstaked().name());
    }
    for odd in ["", "{", "[]", "{}", r#"{"id":7,"result":null}"#, r#"{"id":1,"result":{}}"#, r#"{"id":1}"#] {
        at(&site.validator).instead = Some(odd.into());
        assert!(matches!(admin.look().await, Err(Trouble::Odd(_))), "{odd}");
    }
    at(&site.validator).instead = Some("x".repeat(70_000));
    assert!(matches!(admin.look().await, Err(Trouble::Odd(_))));
    at(&site.validator).instead = Some(
        json!({"id": 1, "error": {"code": -32602, "message": "Retry once validator start up is complete"}})
            .to_string(),
    );
    assert!(matches!(admin.look().await, Err(Trouble::Refused { code: -32602, .. })));
    at(&site.validator).hangs = Some(Duration::from_secs(4));
    assert!(matches!(admin.look().await, Err(Trouble::Silent(_))));
    assert!(matches!(Admin::new(&site.options.state).look().await, Err(Trouble::Silent(_))));
}

/// The whole way there and back. Whoever goes on knows every vote of whoever has gone, the last one too.
#[tokio::test]
async fn the_tower_travels_with_the_identity() {
    let (a, records) = Site::at_work();
    let b = Site::new("b");
    at(&b.validator).is_new = true;
    let ended = a
        .with(&records, async || {
            a.gets_it().await;
            a.vote(&[6, 7]);
            at(&a.validator).once_more = Some(8);
            records.revoke();
            for_ever().await;
        })
        .await;
    assert!(ended, "it ends when its epoch is sealed");
    let (was, kept) = (carried(&records), fs::read(a.tower()).unwrap());
    assert_eq!((was.epoch.0, was.member.as_str(), &was.files[0].1), (1, "a", &kept));
    assert_eq!(votes(&a.tower()).unwrap(), [5, 6, 7, 8], "the vote that was under way");
    assert_eq!(fs::read(tower_of(&a.options.state)).unwrap(), kept, "it is on the state volume too");
    assert_eq!(at(&a.validator).identity, unstaked().name());
    assert_eq!(a.container.starts(), 1, "nobody has ended the validator");

    go_on(&records, "b");
    let ended = b
        .with(&records, async || {
            b.gets_it().await;
            assert_eq!(fs::read(b.tower()).unwrap(), kept);
            b.vote(&[9]);
            fs::write(history_of(&b.options.ledger), staked().history("of b")).unwrap();
            records.revoke();
            for_ever().await;
        })
        .await;
    assert!(ended);
    assert_eq!(carried(&records).files.len(), 2, "the vote history travels where there is one");

    // What a has is older now, and is replaced.
    go_on(&records, "a");
    a.with(&records, async || {
        a.gets_it().await;
        assert_eq!(votes(&a.tower()).unwrap(), [5, 6, 7, 8, 9]);
        assert!(history_of(&a.options.ledger).exists());
        a.vote(&[10]);
    })
    .await;
    let all = [at(&a.validator).voted.clone(), at(&b.validator).voted.clone()];
    assert_eq!(all, [vec![6, 7, 8, 10], vec![9]]);
}

#[tokio::test]
async fn without_a_seal_only_the_last_member_goes_on_and_a_person_s_tower_is_good_for_one_epoch() {
    let (a, records) = Site::at_work();
    let b = Site::new("b");
    a.with(&records, async || {
        a.gets_it().await;
        a.vote(&[6]);
    })
    .await;
    // Its pod has ended, and its process with it.
    at(&a.validator).identity = unstaked().name();
    vanish(&records, "b");
    assert!(carried(&records).files.is_empty());
    b.vouch(1, &[9]);
    b.with(&records, async || {
        moments(8).await;
        assert!(
            !b.was_given() && b.counts.latched.get() == 1,
            "not without a tower, nor with one of another epoch"
        );
        records.revoke();
        moments(5).await;
    })
    .await;
    let record = records.record();
    assert!(record.sealed.is_some(), "it has signed nothing");
    let was = carried(&records);
    assert_eq!((was.epoch.0, was.member.as_str(), was.files.len()), (2, "a", 0), "and only a has the tower still");

    go_on(&records, "a");
    a.with(&records, async || {
        a.gets_it().await;
        a.vote(&[7]);
    })
    .await;
    at(&a.validator).identity = unstaked().name();
    vanish(&records, "b");
    b.vouch(4, &[5, 6, 7]);
    b.with(&records, async || {
        b.gets_it().await;
        b.vote(&[8]);
    })
    .await;
    assert_eq!(votes(&b.tower()).unwrap(), [5, 6, 7, 8]);
}

/// Whatever has come, be it from a record that was restored from a backup.
#[tokio::test]
async fn an_older_tower_is_never_used_in_the_place_of_a_newer_one() {
    let (site, records) = Site::at_work();
    fs::write(site.tower(), staked().tower(&[5, 6])).unwrap();
    site.with(&records, async || moments(8).await).await;
    assert!(!site.was_given(), "a person's");
    assert_eq!(votes(&site.tower()).unwrap(), [5, 6]);

    // Its own has been put back to an earlier day, while it holds the place.
    let (site, records) = Site::at_work();
    site.with(&records, async || {
        site.gets_it().await;
        site.vote(&[6, 7]);
        moments(2).await;
        fs::write(site.tower(), staked().tower(&[5])).unwrap();
        at(&site.validator).identity = unstaked().name();
        let calls = at(&site.validator).calls.len();
        moments(8).await;
        assert_eq!(at(&site.validator).calls.len(), calls);
        records.revoke();
        moments(20).await;
    })
    .await;
    assert!(records.record().sealed.is_none(), "nor is it sealed with one");
}

#[tokio::test]
async fn a_validator_that_hangs_is_ended_and_seals_with_its_next_process() {
    let (site, records) = Site::at_work();
    let ended = site
        .with(&records, async || {
            site.gets_it().await;
            site.vote(&[6]);
            at(&site.validator).hangs = Some(Duration::from_secs(1_000));
            records.revoke();
            moments(5).await;
            assert!(records.record().sealed.is_none() && site.container.starts() == 1);
            for_ever().await;
        })
        .await;
    assert!(ended && site.container.starts() >= 2, "its process was ended");
    assert!(records.record().sealed.is_some());
    assert_eq!(fs::read(site.tower()).unwrap(), carried(&records).files[0].1);

    // Nobody can end it: nothing is sealed.
    let (mut site, records) = Site::at_work();
    site.options.program = "nobody-of-this-name".into();
    let ended = site
        .with(&records, async || {
            site.gets_it().await;
            at(&site.validator).instead = Some("what?".into());
            records.revoke();
            moments(25).await;
        })
        .await;
    assert!(!ended && records.record().sealed.is_none());
}

/// It was asked to take the identity, has not answered, and does it when nobody expects it any more.
#[tokio::test]
async fn what_was_asked_for_and_not_answered_may_come_later() {
    let (site, records) = Site::at_work();
    site.until("it starts", |it| it.born > 0).await;
    at(&site.validator).slow = Some(Duration::from_secs(5));
    let begun = Instant::now();
    let ended = site
        .with(&records, async || {
            while !site.tower().exists() {
                moments(1).await;
            }
            records.revoke();
            for_ever().await;
        })
        .await;
    assert!(ended && records.record().sealed.is_some());
    assert!(site.container.starts() >= 2, "only its end shows that it never will");
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(begun.elapsed())).await;
    assert_eq!(at(&site.validator).identity, unstaked().name());
}

#[tokio::test]
async fn a_process_that_starts_anew_gets_the_identity_with_its_own_tower() {
    let (site, records) = Site::at_work();
    site.with(&records, async || {
        site.gets_it().await;
        site.vote(&[6]);
        moments(2).await;
        let born = at(&site.validator).born;
        for one in mainstay::gate::client::processes(&site.container.name).unwrap() {
            mainstay::gate::client::end(one, true).unwrap();
        }
        site.until("it starts anew", |it| it.born > born).await;
        site.gets_it().await;
        site.vote(&[7]);
    })
    .await;
    assert_eq!(votes(&site.tower()).unwrap(), [5, 6, 7]);
    assert!(records.record().sealed.is_none());
}

#[tokio::test]
async fn a_validator_that_starts_with_the_identity_loses_it_and_seals_nothing() {
    for holds in [true, false] {
        let site = Site::as_started("a", true);
        site.until("it starts", |it| it.born > 0).await;
        // The first process may have started before it was told so, and may not be there to be ended yet.
        let begun = Instant::now();
        while at(&site.validator).identity != staked().name() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it starts staked: not in time");
            for one in mainstay::gate::client::processes(&site.container.name).unwrap() {
                let _ = mainstay::gate::client::end(one, true);
            }
            moments(1).await;
        }
        let records = Records::offered_to(Held::Identity, if holds { "u-a" } else { "another" });
        site.vouch(1, &[5]);
        site.with(&records, async || {
            site.loses_it().await;
            moments(5).await;
            records.revoke();
            moments(15).await;
        })
        .await;
        assert!(!site.was_given() && records.record().sealed.is_none(), "{holds}");
        assert_eq!(at(&site.validator).identity, unstaked().name());
    }
}

#[tokio::test]
async fn a_process_that_finds_the_identity_again_is_no_end() {
    let (site, records) = Site::at_work();
    let ended = site
        .with(&records, async || {
            site.gets_it().await;
            {
                let mut it = at(&site.validator);
                (it.starts_staked, it.hangs) = (true, Some(Duration::from_secs(1_000)));
            }
            records.revoke();
            while site.container.starts() < 2 {
                moments(1).await;
            }
            site.loses_it().await;
            moments(20).await;
        })
        .await;
    assert!(!ended && records.record().sealed.is_none(), "whatever it says afterwards");
}

#[tokio::test]
async fn a_hold_that_ends_takes_the_identity_along_and_comes_back_with_the_api_server() {
    let (site, records) = Site::at_work();
    site.with(&records, async || {
        site.gets_it().await;
        records.1.store(true, Ordering::Relaxed);
        let away = Instant::now();
        site.loses_it().await;
        assert!(away.elapsed() < Duration::from_secs(3), "{:?}", away.elapsed());
        records.1.store(false, Ordering::Relaxed);
        moments(20).await;
    })
    .await;
    // Either it was shown to be gone, and sealed, or it came back: never both.
    assert_ne!(records.record().sealed.is_some(), at(&site.validator).identity == staked().name());
}

#[tokio::test]
async fn what_is_no_memory_is_not_carried() {
    type Spoil = fn(&Site);
    let table: [(&str, Spoil); 4] = [
        ("gone", |site| fs::remove_file(site.tower()).unwrap()),
        ("of another key", |site| fs::write(site.tower(), Pair::of(9).tower(&[7])).unwrap()),
        ("cut off", |site| fs::write(site.tower(), &staked().tower(&[7])[..300]).unwrap()),
        ("too large", |site| {
            let large = staked().history(&"x".repeat(70_000));
            fs::write(history_of(&site.options.ledger), large).unwrap();
        }),
    ];
    for (what, spoil) in table {
        let (site, records) = Site::at_work();
        let ended = site
            .with(&records, async || {
                site.gets_it().await;
                spoil(&site);
                records.revoke();
                moments(15).await;
            })
            .await;
        assert!(!ended && records.record().sealed.is_none(), "{what}");
    }
}

#[tokio::test]
async fn told_to_end_it_takes_the_identity_away_and_seals_with_the_tower() {
    let (site, records) = Site::at_work();
    let ended = site.told_to_end(&records, Boot(7), async || {
        site.gets_it().await;
        site.vote(&[6, 7]);
    });
    assert!(matches!(ended.await, Ok(())));
    assert_eq!(at(&site.validator).identity, unstaked().name());
    assert!(records.record().sealed.is_some() && matches!(records.record().phase, Phase::Active(_)));
    assert_eq!(carried(&records).files[0].1, fs::read(site.tower()).unwrap(), "what it has voted travels");
}

#[tokio::test]
async fn a_process_after_one_that_ended_without_a_seal_takes_the_identity_away_and_does_not_stay_up() {
    let (site, records) = Site::at_work();
    site.with(&records, async || site.gets_it().await).await;
    let ended = site.told_to_end(&records, Boot(8), for_ever).await;
    assert!(matches!(ended, Err(StartError::Lost)), "{ended:?}");
    assert!(records.record().sealed.is_none());
    assert_eq!(at(&site.validator).identity, unstaked().name());
}

#[test]
fn a_key_pair_is_its_owner_s_alone_and_the_identity_s() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let mut site = Site::new("a");
    assert!(Post::new(&site.options).is_ok());
    fs::set_permissions(&site.options.keypair, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(
        matches!(Post::new(&site.options), Err(SolanaError::Key(error)) if error.to_string().contains("chmod 600"))
    );
    unstaked().write(&site.options.keypair);
    assert!(matches!(Post::new(&site.options), Err(SolanaError::OtherKey { .. })));
    staked().write(&site.options.keypair);
    site.options.unstaked = site.options.keypair.clone();
    assert!(matches!(Post::new(&site.options), Err(SolanaError::SameKey { .. })));
    fs::write(&site.options.keypair, "[]").unwrap();
    assert!(matches!(Post::new(&site.options), Err(SolanaError::NoPair { .. })));
}
