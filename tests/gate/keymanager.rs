//! The gate of a key manager against a fake of one: no real validator client is here.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use mainstay::{
    failover::{Boot, Event, Height, Held},
    gate::{
        Counts,
        client::{end, lives, processes},
        keymanager::{
            api::{Deleted, Imported, Keymanager, Keystore, Trouble},
            post::{KeymanagerError, Options, Post},
        },
        member::Member,
        tenant::stand,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    client::{Client, PASSWORD, Shared, TOKEN, begin, key, of, serve},
    container::Container,
    records::Records,
};

/// A pod: a client and the files of its gate.
struct Site {
    client: Shared,
    container: Container,
    options: Options,
    // Last: the client's program is in it.
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Shared::default();
        let container = begin(&folder, &client);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let options = Options {
            member: Member {
                identity: format!("1.{}", key()),
                name: "a".into(),
                pod_uid: "u".into(),
                node: "n".into(),
                listen: "127.0.0.1:0".into(),
                every: Duration::from_millis(50),
            },
            keymanager: serve(&client),
            token: file("token", &format!("{TOKEN}\n")),
            keystore: file("keystore.json", &json!({"version": 4, "pubkey": key()}).to_string()),
            password: file("password", &format!("{PASSWORD}\n")),
            state: folder.path().to_owned(),
            client: Some(container.name.clone()),
            silence: 300,
            settle: 300,
            grace: 1_000,
        };
        Self { client, container, options, folder }
    }

    fn export(&self) -> PathBuf {
        self.folder.path().join("slashing-protection.json")
    }

    /// Runs the gate beside what the test does with the rest of the world; whether it has ended by itself by then.
    async fn with(&self, records: &Records, test: impl AsyncFnOnce()) -> bool {
        let mut post = Post::new(&self.options).unwrap();
        let stop = CancellationToken::new();
        tokio::select! {
            _ = stand(&self.options.member, records, Boot(7), Counts::default(), &mut post, &stop) => true,
            () = test() => false,
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Client) -> bool) {
        let begun = Instant::now();
        while !holds(&of(&self.client)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn moments(count: u64) {
    tokio::time::sleep(Duration::from_millis(count * 100)).await;
}

async fn for_ever() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn each_answer_of_the_api_is_read_as_the_description_means_it() {
    let site = Site::new();
    let manager = Keymanager::new(&site.options.keymanager, &site.options.token).unwrap();
    let store = Keystore {
        json: Zeroizing::new(json!({"pubkey": key()}).to_string()),
        password: Zeroizing::new(PASSWORD.into()),
    };
    assert!(!manager.lists(&key()).await.unwrap());
    assert_eq!(manager.take_out(&key()).await.unwrap(), Deleted::NotFound);
    assert_eq!(manager.import(&store, None).await.unwrap(), Imported::Imported);
    assert!(manager.lists(&key()).await.unwrap(), "digits may be of either case");
    assert_eq!(manager.import(&store, Some("{}")).await.unwrap(), Imported::Duplicate);
    assert_eq!(of(&site.client).imported_with.as_deref(), Some("{}"));
    of(&site.client).history.push(7);
    let history = of(&site.client).interchange();
    assert_eq!(manager.take_out(&key()).await.unwrap(), Deleted::Known(history.clone()));
    assert_eq!(
        manager.take_out(&key()).await.unwrap(),
        Deleted::Known(history),
        "not active, and known all the same"
    );

    let wrong = Keystore { json: store.json.clone(), password: Zeroizing::new("x".into()) };
    let Err(Trouble::Refused(why)) = manager.import(&wrong, None).await else { panic!("it unlocked") };
    assert_eq!(why, "it does not unlock");
    let instead = |call: &'static str, code: u16, body: Value| {
        of(&site.client).instead = BTreeMap::from([(call, (code, body))]);
    };
    instead("delete", 200, json!({"data": [{"status": "error", "message": "in use"}], "slashing_protection": ""}));
    assert!(matches!(manager.take_out(&key()).await, Err(Trouble::Refused(why)) if why == "in use"));
    for odd in [
        json!({"data": [{"status": "deleted"}]}),
        json!({"data": [{"status": "gone"}], "slashing_protection": "{}"}),
        json!({"data": [], "slashing_protection": "{}"}),
        json!({"data": [{"status": "deleted"}, {"status": "deleted"}], "slashing_protection": "{}"}),
        json!({}),
    ] {
        instead("delete", 200, odd.clone());
        assert!(matches!(manager.take_out(&key()).await, Err(Trouble::Odd(_))), "{odd}");
    }
    instead("delete", 500, json!({"message": "database is locked"}));
    assert!(
        matches!(manager.take_out(&key()).await, Err(Trouble::Refused(why)) if why.contains("500") && why.contains("locked"))
    );
    instead("list", 503, json!({}));
    assert!(matches!(manager.lists(&key()).await, Err(Trouble::Refused(_))), "no list is not an empty one");
    instead("list", 200, json!({"data": {}}));
    assert!(matches!(manager.lists(&key()).await, Err(Trouble::Odd(_))));

    fs::write(&site.options.token, "another").unwrap();
    assert!(matches!(manager.lists(&key()).await, Err(Trouble::Unauthorized(401))));
    assert!(matches!(manager.take_out(&key()).await, Err(Trouble::Unauthorized(401))));
    fs::remove_file(&site.options.token).unwrap();
    assert!(matches!(manager.lists(&key()).await, Err(Trouble::Token { .. })));
    let nobody = Keymanager::new("http://127.0.0.1:9", &site.options.keystore).unwrap();
    assert!(matches!(nobody.lists(&key()).await, Err(Trouble::Silent(_))));
}

#[tokio::test]
async fn told_to_end_it_takes_the_key_away_and_seals() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    let mut post = Post::new(&site.options).unwrap();
    let stop = CancellationToken::new();
    let tells = async {
        site.until("the key comes", |client| client.active).await;
        stop.cancel();
    };
    let (ended, ()) =
        tokio::join!(stand(&site.options.member, &records, Boot(7), Counts::default(), &mut post, &stop), tells);
    assert!(matches!(ended, Ok(())));
    assert!(!of(&site.client).active && records.record().sealed.is_some());
}

#[tokio::test]
async fn the_key_is_there_while_it_is_held_and_the_epoch_is_sealed_by_a_client_without_it() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    let begun = Instant::now();
    let ended = site
        .with(&records, async || {
            site.until("the key comes", |client| client.active).await;
            assert!(begun.elapsed() >= Duration::from_millis(300), "nobody signs for a while between two members");
            of(&site.client).history.extend([7, 8]);
            moments(5).await;
            assert!(records.record().sealed.is_none());
            records.revoke();
            for_ever().await;
        })
        .await;
    assert!(ended, "it ends when its epoch is sealed");
    assert_eq!(records.record().sealed, Some(Height(10)));
    assert!(!of(&site.client).active && site.container.starts() >= 2, "the client was ended");
    assert_eq!(fs::read_to_string(site.export()).unwrap(), of(&site.client).interchange());

    // What it knows goes along when the key comes back.
    records.step(Event::Found { proof: None, share: mainstay::failover::Share::Small, waited: 0 });
    records.offer("u");
    site.with(&records, async || {
        site.until("the key comes back", |client| client.active).await;
        let client = of(&site.client);
        assert_eq!(client.imported_with, Some(client.interchange()));
    })
    .await;
}

/// The incident of 2023: deleted, confirmed by a list, and there again after a restart.
#[tokio::test]
async fn a_client_that_finds_the_key_again_when_it_starts_has_not_ended() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    let ended = site
        .with(&records, async || {
            site.until("the key comes", |client| client.active).await;
            of(&site.client).haunted = true;
            records.revoke();
            while site.container.starts() < 2 {
                moments(1).await;
            }
            moments(40).await;
            site.until("it is deleted once more", |client| !client.active).await;
        })
        .await;
    assert!(!ended && records.record().sealed.is_none(), "whatever it lists afterwards");
}

#[tokio::test]
async fn what_cannot_be_shown_is_never_sealed() {
    // Nobody can end it; it is of another pod; its history cannot be kept; it does not take the token; it does not answer well.
    type Spoil = fn(&mut Site);
    let table: [(&str, Spoil); 5] = [
        ("without a name", |site| site.options.client = None),
        ("of another name", |site| site.options.client = Some("nobody-of-this-name".into())),
        ("no history", |site| {
            let odd = json!({"data": [{"status": "deleted"}], "slashing_protection": "{}"});
            of(&site.client).instead.insert("delete", (200, odd));
        }),
        ("an error", |site| {
            of(&site.client).instead.insert("delete", (500, json!({"message": "no"})));
        }),
        ("no token", |_| {}),
    ];
    for (what, spoil) in table {
        let (mut site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
        spoil(&mut site);
        let ended = site
            .with(&records, async || {
                site.until("the key comes", |client| client.active).await;
                if what == "no token" {
                    fs::write(&site.options.token, "another").unwrap();
                }
                records.revoke();
                moments(35).await;
            })
            .await;
        assert!(!ended && records.record().sealed.is_none(), "{what}");
        let was_ended = site.container.starts() >= 2;
        assert_eq!(
            was_ended,
            matches!(what, "no history" | "an error" | "no token"),
            "{what}: it is ended all the same"
        );
    }
}

#[tokio::test]
async fn a_client_that_has_forgotten_its_key_gets_it_after_a_silence() {
    let (mut site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    site.options.silence = 800;
    site.with(&records, async || {
        site.until("the key comes", |client| client.active).await;
        moments(3).await;
        {
            let mut client = of(&site.client);
            (client.active, client.on_disk) = (false, false);
        }
        let lost = Instant::now();
        site.until("it comes again", |client| client.active).await;
        assert!(lost.elapsed() >= Duration::from_millis(800), "{:?}", lost.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_hold_that_ends_takes_the_key_along_and_comes_back_with_the_api_server() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    site.with(&records, async || {
        site.until("the key comes", |client| client.active).await;
        records.1.store(true, Ordering::Relaxed);
        let away = Instant::now();
        site.until("the key goes", |client| !client.on_disk).await;
        assert!(away.elapsed() < Duration::from_secs(3), "{:?}", away.elapsed());
        records.1.store(false, Ordering::Relaxed);
        moments(60).await;
    })
    .await;
    let record = records.record();
    // Either it was shown to be gone, and sealed, or it came back: never both.
    assert_ne!(record.sealed.is_some(), of(&site.client).active, "{record:?}");
}

#[tokio::test]
async fn whoever_does_not_hold_the_place_has_no_key_whoever_gave_it() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "another"));
    of(&site.client).history.push(3);
    site.with(&records, async || {
        moments(5).await;
        assert!(!of(&site.client).calls.contains(&"import"));
        of(&site.client).active = true;
        site.until("it goes", |client| !client.active).await;
        moments(2).await;
    })
    .await;
    assert!(site.export().exists(), "what it signed meanwhile is known");
    assert_eq!(records.record().claims, 0);
}

#[tokio::test]
async fn the_key_is_not_given_with_a_history_that_cannot_be_read() {
    let (site, records) = (Site::new(), Records::offered_to(Held::Key, "u"));
    fs::write(site.export(), "{").unwrap();
    site.with(&records, async || moments(10).await).await;
    assert!(!of(&site.client).calls.contains(&"import"));
    fs::write(&site.options.keystore, json!({"pubkey": "cd".repeat(48)}).to_string()).unwrap();
    let other = Post::new(&site.options).err();
    assert!(matches!(other, Some(KeymanagerError::OtherKey { .. })));
}

#[test]
fn processes_are_known_by_their_program_and_their_start() {
    let (folder, client) = (tempfile::tempdir().unwrap(), Shared::default());
    let container = begin(&folder, &client);
    let begun = Instant::now();
    let first = loop {
        if let [one] = processes(&container.name).unwrap()[..] {
            break one;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    };
    assert!(lives(first));
    end(first, false).unwrap();
    while lives(first) {
        thread::sleep(Duration::from_millis(10));
    }
    end(first, true).unwrap();
    assert!(processes("nobody-of-this-name").unwrap().is_empty());
}
