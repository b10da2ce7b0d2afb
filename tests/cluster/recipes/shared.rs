//! What many share: numbers, what they have in memory of the same znodes, and who is there.

use std::time::Duration;

use futures_util::future::join_all;
use quorate_client::recipes::{CachedChildren, CachedNode, CachedTree, Configuration, Counter, Membership, Services};

use super::{PATIENCE, TIMEOUT, ensemble};

#[tokio::test]
async fn nothing_is_lost_of_what_many_count_and_all_see_it() {
    let (mut ensemble, leader) = ensemble().await;
    let clients = [1, 2, 3].map(|at| ensemble.client(&[at, at % 3 + 1, (at + 1) % 3 + 1]).build());
    let tree = CachedTree::start(&clients[0], "/counters");
    let node = CachedNode::start(&clients[1], "/counters/a");
    let counting = clients.iter().map(|client| async move {
        let counter = Counter::new(client, "/counters/a");
        for _ in 0..25 {
            counter.add(1).await.unwrap();
        }
    });
    let killing = async {
        let counter = Counter::new(&clients[0], "/counters/a");
        while counter.get().await.unwrap() < 25 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        ensemble.kill(leader);
    };
    let all = async { tokio::join!(join_all(counting), killing) };
    tokio::time::timeout(PATIENCE, all).await.expect("all is counted");
    let counter = Counter::new(&clients[2], "/counters/a");
    assert_eq!(counter.get().await.unwrap(), 75);
    let last = clients[2].set("/counters/a", "-1").await.unwrap();
    tree.up_to(last.zxid).await.unwrap();
    node.up_to(last.zxid).await.unwrap();
    for seen in [tree.get("/counters/a"), node.get()] {
        let seen = seen.unwrap();
        assert_eq!((seen.data.as_deref(), seen.stat.mzxid), (Some(b"-1".as_slice()), last.stat.mzxid));
    }
    assert_eq!(counter.add(3).await.unwrap(), 2);
    let children = CachedChildren::start(&clients[2], "/counters");
    children.ready().await.unwrap();
    clients[0].create("/counters/b/c", "").parents().await.unwrap();
    let created = clients[0].create("/counters/d", "last").await.unwrap();
    children.up_to(created.zxid).await.unwrap();
    let paths: Vec<_> = children.all().iter().map(|child| child.path.clone()).collect();
    assert_eq!(paths, ["/counters/a", "/counters/b", "/counters/d"]);
    assert_eq!(children.get("d").unwrap().data.as_deref(), Some(b"last".as_slice()));
}

#[tokio::test]
async fn members_and_instances_come_back_and_go() {
    let (mut ensemble, leader) = ensemble().await;
    let clients = [1, 2].map(|at| ensemble.client(&[at, at % 3 + 1, (at + 1) % 3 + 1]).build());
    let group =
        ["a", "b"].map(|name| Membership::join(&clients[usize::from(name == "b")], "/group", name, name, TIMEOUT));
    for member in &group {
        member.joined().await.unwrap();
    }
    let names = |member: &Membership| {
        let members = member.members();
        members.iter().map(|member| member.path.trim_start_matches("/group/").to_owned()).collect::<Vec<_>>()
    };
    let both = async || group.iter().all(|member| names(member) == ["a", "b"]).then_some(());
    ensemble.wait_for("both to see each other", both).await;
    // By hand, and by the end of the session: as if it had been silent.
    clients[0].delete("/group/b").await.unwrap();
    let before = clients[0].last_header().unwrap().zxid;
    let back = async || {
        let members = group[0].members();
        members.iter().any(|member| member.path == "/group/b" && member.stat.czxid > before).then_some(())
    };
    ensemble.wait_for("it to come back", back).await;
    ensemble.kill(leader);
    group[1].set("busy");
    let busy = async || {
        let members = group[0].members();
        members.iter().any(|member| member.data.as_deref() == Some(b"busy")).then_some(())
    };
    ensemble.wait_for("news of it", busy).await;
    let [stays, leaves] = group;
    leaves.leave().await;
    ensemble.wait_for("it to go", async || (names(&stays) == ["a"]).then_some(())).await;

    let services = Services::new(&clients[0], "/services");
    let instances = services.follow("search");
    instances.ready().await.unwrap();
    assert!(instances.random().is_none() && instances.round_robin().is_none());
    let offered = ["x", "y"].map(|name| services.register("search", name, name, TIMEOUT));
    ensemble.wait_for("both instances", async || (instances.all().len() == 2).then_some(())).await;
    let picked: Vec<_> = (0..4).map(|_| instances.round_robin().unwrap().data.clone().unwrap()).collect();
    assert!(picked[0] != picked[1] && picked[..2] == picked[2..]);
    assert!(instances.random().is_some());
    assert_eq!(services.names().await.unwrap(), ["search"]);
    drop(offered);
    ensemble.wait_for("none to be left", async || instances.all().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_configuration_keeps_the_last_value_that_made_sense() {
    let (ensemble, _) = ensemble().await;
    let clients = [1, 2].map(|at| ensemble.client(&[at]).build());
    let configuration = Configuration::<i64>::start(&clients[0], "/config/limit");
    let mut settings = configuration.settings();
    assert_eq!(configuration.ready().await.unwrap().value, None);
    let other = Configuration::<i64>::start(&clients[1], "/config/limit");
    other.set(&7).await.unwrap();
    settings.wait_for(|setting| setting.as_ref().is_some_and(|known| known.value.is_some())).await.unwrap();
    assert_eq!(configuration.get().as_deref(), Some(&7));
    clients[1].set("/config/limit", "many").await.unwrap();
    settings.wait_for(|setting| setting.as_ref().is_some_and(|known| known.problem.is_some())).await.unwrap();
    assert_eq!(configuration.get().as_deref(), Some(&7), "what makes no sense is not taken over");
    clients[1].delete("/config/limit").await.unwrap();
    settings.wait_for(|setting| setting.as_ref().is_some_and(|known| known.value.is_none())).await.unwrap();
    assert!(settings.borrow().as_ref().unwrap().problem.is_none());
}
