//! What a gateway counts, in fixed slots: the hot path neither looks labels up nor takes a lock.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What requests are about, one label value each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Resource {
    Znodes,
    Children,
    Stats,
    Acls,
    AccessChecks,
    Tree,
    Multi,
    Watch,
    Sessions,
    Cluster,
    Other,
}

impl Resource {
    const ALL: [Resource; 11] = [
        Resource::Znodes,
        Resource::Children,
        Resource::Stats,
        Resource::Acls,
        Resource::AccessChecks,
        Resource::Tree,
        Resource::Multi,
        Resource::Watch,
        Resource::Sessions,
        Resource::Cluster,
        Resource::Other,
    ];

    /// What the request with this URL path is about.
    pub(crate) fn of(url_path: &str) -> Resource {
        let Some(rest) = url_path.strip_prefix("/v1/") else { return Resource::Other };
        match rest.split('/').next().unwrap_or_default() {
            "znodes" => Resource::Znodes,
            "children" => Resource::Children,
            "stats" => Resource::Stats,
            "acls" => Resource::Acls,
            "access-checks" => Resource::AccessChecks,
            "tree" => Resource::Tree,
            "multi" => Resource::Multi,
            "watch" => Resource::Watch,
            "sessions" => Resource::Sessions,
            "cluster" => Resource::Cluster,
            _ => Resource::Other,
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Resource::Znodes => "znodes",
            Resource::Children => "children",
            Resource::Stats => "stats",
            Resource::Acls => "acls",
            Resource::AccessChecks => "access-checks",
            Resource::Tree => "tree",
            Resource::Multi => "multi",
            Resource::Watch => "watch",
            Resource::Sessions => "sessions",
            Resource::Cluster => "cluster",
            Resource::Other => "other",
        }
    }
}

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// From a reply out of memory to the longest wait that a request is given.
const DURATION_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

/// What a gateway counts. Clones share their numbers.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    /// By resource and status class; the same counters as in `requests_family`.
    requests: [[Counter; STATUS_CLASSES.len()]; Resource::ALL.len()],
    /// By resource; the same histograms as in `durations_family`.
    durations: [Histogram; Resource::ALL.len()],
    requests_family: Family<RequestLabels, Counter>,
    durations_family: Family<ResourceLabels, Histogram, fn() -> Histogram>,
    requests_active: Gauge,
    connections_refused: Counter,
    event_streams: Gauge,
    events: Counter,
    resets: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    resource: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: &'static str,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let requests_family = Family::<RequestLabels, Counter>::default();
        let durations_family: Family<ResourceLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        Metrics(Arc::new(Numbers {
            requests: Resource::ALL.map(|resource| {
                STATUS_CLASSES.map(|status| {
                    requests_family.get_or_create_owned(&RequestLabels { resource: resource.label(), status })
                })
            }),
            durations: Resource::ALL
                .map(|resource| durations_family.get_or_create_owned(&ResourceLabels { resource: resource.label() })),
            requests_family,
            durations_family,
            requests_active: Gauge::default(),
            connections_refused: Counter::default(),
            event_streams: Gauge::default(),
            events: Counter::default(),
            resets: Counter::default(),
        }))
    }
}

impl Metrics {
    /// Makes the numbers part of `registry`, with names that begin with `gateway_`.
    pub fn register(&self, registry: &mut Registry) {
        let Numbers { requests_family, durations_family, requests_active, connections_refused, .. } = &*self.0;
        let Numbers { event_streams, events, resets, .. } = &*self.0;
        registry.register("gateway_requests", "HTTP requests answered", requests_family.clone());
        registry.register(
            "gateway_request_duration_seconds",
            "Time from a request's header to its answer's",
            durations_family.clone(),
        );
        registry.register("gateway_requests_active", "HTTP requests being answered", requests_active.clone());
        registry.register(
            "gateway_connections_refused",
            "Connections closed at once, since there were too many",
            connections_refused.clone(),
        );
        registry.register("gateway_event_streams", "Event streams and streamed trees open", event_streams.clone());
        registry.register("gateway_events", "Events written to event streams", events.clone());
        registry.register("gateway_resets", "Watches begun anew because their history was gone", resets.clone());
    }

    pub(crate) fn request_begins(&self) -> Active {
        self.0.requests_active.inc();
        Active(self.clone(), |numbers| &numbers.requests_active)
    }

    pub(crate) fn request_answered(&self, resource: Resource, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUS_CLASSES.len()) - 1;
        self.0.requests[resource as usize][class].inc();
        self.0.durations[resource as usize].observe(after.as_secs_f64());
    }

    pub(crate) fn connection_refused(&self) {
        self.0.connections_refused.inc();
    }

    pub(crate) fn event_stream_begins(&self) -> Active {
        self.0.event_streams.inc();
        Active(self.clone(), |numbers| &numbers.event_streams)
    }

    pub(crate) fn events_written(&self, count: u64) {
        self.0.events.inc_by(count);
    }

    pub(crate) fn watch_reset(&self) {
        self.0.resets.inc();
    }
}

/// Something that is counted while it exists.
#[derive(Debug)]
pub(crate) struct Active(Metrics, fn(&Numbers) -> &Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        (self.1)(&self.0.0).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.request_answered(Resource::Znodes, StatusCode::NOT_FOUND, Duration::from_millis(2));
        metrics.events_written(3);
        let active = metrics.request_begins();
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let during = shown();
        assert!(during.contains("gateway_requests_total{resource=\"znodes\",status=\"4xx\"} 1\n"), "{during}");
        assert!(during.contains("gateway_request_duration_seconds_count{resource=\"znodes\"} 1\n"), "{during}");
        assert!(
            during.contains("gateway_events_total 3\n") && during.contains("gateway_requests_active 1\n"),
            "{during}"
        );
        drop(active);
        assert!(shown().contains("gateway_requests_active 0\n"));
    }

    #[test]
    fn a_url_belongs_to_the_resource_that_it_begins_with() {
        for resource in Resource::ALL {
            assert_eq!(Resource::ALL[resource as usize], resource);
            if resource != Resource::Other {
                assert_eq!(Resource::of(&format!("/v1/{}/x", resource.label())), resource);
            }
        }
        assert_eq!(Resource::of("/v1/watch"), Resource::Watch);
        assert_eq!(Resource::of("/v1/watches"), Resource::Other);
        assert_eq!(Resource::of("/livez"), Resource::Other);
    }
}
