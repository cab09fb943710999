//! What is deployed to look at the relay: rules, dashboard and runbook name what there is.

use std::path::PathBuf;
use std::process::Command;

use omni_relay::runtime::metrics::{Kind, METRICS};
use omni_relay::simulator::{Fault, FaultKind};
use serde_json::Value;

use crate::world::{Process, World, eventually};

/// What Prometheus adds.
const ADDED: [&str; 3] = ["le", "job", "instance"];

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The alerts: name, expression, what is said beside it.
fn alerts() -> Vec<(String, String, Value)> {
    let rules: Value = serde_yaml_ng::from_str(&read("deploy/prometheus/rules.yml")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]), rule["annotations"].clone())).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/omni-relay.json")).unwrap();
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").cloned().collect()
}

/// The labels of a metric as expressions call it.
fn labels_of(name: &str) -> Option<&'static [&'static str]> {
    METRICS.iter().find_map(|metric| {
        let suffix = name.strip_prefix(metric.name)?;
        let right = match metric.kind {
            Kind::Histogram => ["_bucket", "_count", "_sum"].contains(&suffix),
            Kind::Counter | Kind::Gauge => suffix.is_empty(),
        };
        right.then_some(metric.labels)
    })
}

/// Names of labels in a list such as `le, stage` or `status=~"5xx|lost", operation!="mcp"`.
fn names(list: &str) -> impl Iterator<Item = &str> {
    // Values hold no comma.
    list.split(',').map(|one| one.split(['=', '!']).next().unwrap().trim()).filter(|name| !name.is_empty())
}

/// Every metric of an expression with the labels it is filtered by, and the labels by which it groups.
fn check(expression: &str, whose: &str) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut known: Vec<&str> = ADDED.to_vec();
    let mut looks = expression.contains("up{");
    let mut rest = expression;
    while let Some(at) = rest.find("omni_relay_") {
        let found = &rest[at..];
        let (name, after) = found.split_at(found.find(|c| !word(c)).unwrap_or(found.len()));
        let labels = labels_of(name).unwrap_or_else(|| panic!("{whose}: {name} is not exported"));
        known.extend(labels);
        looks = true;
        if let Some(filter) = after.strip_prefix('{') {
            for label in names(filter.split('}').next().unwrap()) {
                assert!(labels.contains(&label) || ADDED.contains(&label), "{whose}: {name} has no label {label}");
            }
        }
        rest = after;
    }
    assert!(looks, "{whose} looks at nothing");
    for group in expression.split(" by (").skip(1).chain(expression.split(" on (").skip(1)) {
        for label in names(group.split(')').next().unwrap()) {
            assert!(known.contains(&label), "{whose}: nothing has the label {label}");
        }
    }
}

#[test]
fn rules_and_dashboard_look_at_what_is_exported() {
    for (name, expression, _) in alerts() {
        check(&expression, &name);
    }
    let panels = panels();
    for panel in &panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            panel["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{title} does not say what it shows"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            check(expression, title);
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend.split("{{").skip(1).map(|part| part.split("}}").next().unwrap()) {
                let there = expression.contains(label) || label == "instance";
                assert!(there, "{title}: the legend names {label}");
            }
        }
    }
    let shown = panels.iter().map(|panel| panel["targets"].to_string()).collect::<String>();
    for metric in METRICS {
        assert!(shown.contains(metric.name), "no panel shows {}", metric.name);
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_every_section_is_whole() {
    let runbook = read("docs/RUNBOOK.md");
    let tests = read("deploy/prometheus/rules.test.yml");
    let titles: Vec<String> = panels().iter().map(|panel| panel["title"].as_str().unwrap().to_owned()).collect();
    for (name, _, annotations) in alerts() {
        let section =
            runbook.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("{name} has no section"));
        let section = section.split("\n## ").next().unwrap();
        for part in ["**It means**", "**Look at**", "**Do**", "**It helped when**"] {
            assert!(section.contains(part), "{name}: {part} is missing");
        }
        assert_eq!(annotations["runbook"], format!("docs/RUNBOOK.md#{}", name.to_lowercase()));
        assert!(tests.contains(&format!("alertname: {name}\n")), "no unit test for {name}");
    }
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## OmniRelay"));
    for section in sections {
        let known = alerts().iter().any(|(name, ..)| name.strip_prefix("OmniRelay") == Some(section));
        assert!(known, "a section for no alert: {section}");
    }
    // A few of the panels that the text sends people to.
    for title in ["Oldest entry of a stage", "Omni fails", "Dead letters, new", "Reconciled share", "Turned away"] {
        assert!(titles.iter().any(|shown| shown == title) && runbook.contains(&format!("*{title}*")), "{title}");
    }
}

/// A process of its own, as the others share their metrics.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_and_age_until_somebody_decides() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let attempts = [("OMNI_RELAY__RETRY__ATTEMPTS", "1")];
    let _relay = Process::start(&world, &attempts).await;
    let gauges = async || -> Option<(u64, f64)> {
        let text = world.get("/metrics").await.text().await.unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let open = value("omni_relay_dead_letters_open ")?.parse().ok()?;
        Some((open, value("omni_relay_dead_letter_oldest_age_seconds ")?.parse().ok()?))
    };
    let none = async || gauges().await.filter(|(open, age)| *open == 0 && *age <= 0.0);
    eventually("there are none", none).await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(1));
    let asked = world.ask("revenue by region").await;
    let (_, young) = eventually("one is counted", async || gauges().await.filter(|(open, _)| *open == 1)).await;
    eventually("it ages", async || gauges().await.filter(|(open, age)| *open == 1 && *age > young)).await;
    world.discard(&asked.id).await;
    eventually("it is decided on", none).await;
}

/// Of the files that the compose file mounts: whose, from where and to where.
fn mounts(compose: &Value) -> Vec<(String, String, String)> {
    let mut mounts = Vec::new();
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            if let Some((from, to)) = volume.as_str().unwrap().strip_prefix("./").and_then(|rest| rest.split_once(':'))
            {
                mounts.push((name.clone(), format!("deploy/{from}"), to.trim_end_matches(":ro").to_owned()));
            }
        }
    }
    mounts
}

#[test]
fn the_compose_file_gives_prometheus_and_grafana_what_they_need() {
    let compose: Value = serde_yaml_ng::from_str(&read("deploy/compose.yaml")).unwrap();
    let mounts = mounts(&compose);
    for (service, from, _) in &mounts {
        assert!(file(from).exists(), "{service} mounts {from}, which is not there");
    }
    let mounted = |service: &str, path: &str| {
        let inside = |(whose, _, to): &&(String, String, String)| whose == service && path.starts_with(to);
        let (_, from, to) = mounts.iter().find(inside).unwrap_or_else(|| panic!("{service} has no {path}"));
        read(&path.replacen(to, from, 1))
    };

    let prometheus: Value = serde_yaml_ng::from_str(&mounted("prometheus", "/etc/prometheus/prometheus.yml")).unwrap();
    for rules in prometheus["rule_files"].as_array().unwrap() {
        mounted("prometheus", &format!("/etc/prometheus/{}", rules.as_str().unwrap()));
    }
    let scraped = &prometheus["scrape_configs"][0];
    assert_eq!(scraped["job_name"], "omni-relay");
    let targets = scraped["static_configs"][0]["targets"].as_array().unwrap();
    let relays = compose["services"].as_object().unwrap().iter().filter(|(_, service)| service["<<"].is_object());
    let relays: Vec<Value> = relays.map(|(name, _)| format!("{name}:8081").into()).collect();
    assert_eq!(targets, &relays);

    let provisioning = "/etc/grafana/provisioning";
    let sources = mounted("grafana", &format!("{provisioning}/datasources/prometheus.yaml"));
    let sources: Value = serde_yaml_ng::from_str(&sources).unwrap();
    assert_eq!(sources["datasources"][0]["type"], "prometheus");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    assert_eq!(sources["datasources"][0]["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    let boards = mounted("grafana", &format!("{provisioning}/dashboards/omni-relay.yaml"));
    let boards: Value = serde_yaml_ng::from_str(&boards).unwrap();
    let folder = boards["providers"][0]["options"]["path"].as_str().unwrap();
    assert_eq!(mounted("grafana", &format!("{folder}/omni-relay.json")), read("deploy/grafana/omni-relay.json"));
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    for (verb, name) in [("check", "rules.yml"), ("test", "rules.test.yml")] {
        let run = Command::new("promtool").args([verb, "rules", name]).current_dir(file("deploy/prometheus")).output();
        let run = match run {
            Ok(run) => run,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let skips = std::env::var_os("OMNI_RELAY_TEST_NO_SKIP").is_none_or(|value| value.is_empty());
                assert!(skips, "promtool is not there: install the package prometheus");
                eprintln!("skipped: the alert rules, for want of promtool");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "promtool {verb} rules {name}: {said}");
    }
}
