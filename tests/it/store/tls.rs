//! Redis over TLS: the real binary, because whom it trusts is said in its environment.

use std::path::Path;

use crate::redis::{Form, Tls};
use crate::world::{Process, Setting, World, eventually};

async fn world(server: &Tls) -> World {
    let mut world = World::with(Setting::on(server.plain_url())).await;
    let _ = world.stop().await;
    world
}

fn trusting<'a>(url: &'a str, authority: &'a Path) -> [(&'a str, &'a str); 2] {
    [("OMNI_RELAY__REDIS__URL", url), ("SSL_CERT_FILE", authority.to_str().unwrap())]
}

async fn is_answered(form: Form) {
    let Some(server) = Tls::start(form).await else { return };
    let mut world = world(&server).await;
    let (ours, _) = server.authorities();
    let process = Process::start(&world, &trusting(&server.url(), &ours)).await;
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    // The shared one, and one for each stage that reads.
    let secure = server.secure_connections().await;
    assert!(secure >= 3, "{secure} connections by TLS");
    drop(process);
    world.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_are_answered_over_tls() {
    is_answered(Form::Server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_sentinels_name_is_reached_over_tls() {
    is_answered(Form::Sentinel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_that_a_cluster_names_are_reached_over_tls() {
    is_answered(Form::Cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_trusted_vouches_for_is_refused_and_the_log_says_why() {
    let Some(server) = Tls::start(Form::Server).await else { return };
    let world = world(&server).await;
    let (ours, other) = server.authorities();
    for (url, authority, why) in [
        (server.url(), other, "UnknownIssuer"),
        // The certificate is for another name.
        (server.url_at("localhost"), ours, "not valid for name"),
    ] {
        let process = Process::spawn(&world, &trusting(&url, &authority));
        eventually("the process is up and not ready", async || {
            let answer = world.http.get(format!("{}/readyz", world.url)).send().await;
            let answer = answer.ok().filter(|answer| answer.status() == 503)?;
            let report = answer.text().await.ok()?;
            report.contains("redis does not answer").then_some(())
        })
        .await;
        assert_eq!(server.secure_connections().await, 0);
        let log = process.log();
        let line = log.iter().find(|line| line.contains("redis does not answer"));
        assert!(line.is_some_and(|line| line.contains(why)), "{log:#?}");
    }
}
