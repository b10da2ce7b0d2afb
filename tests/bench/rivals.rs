//! Get, set and create by Channel, beside a real ZooKeeper under the same load through its own protocol.

use super::Plan;
use super::comparison::Comparison;
use super::load::{Door, Shape, Workload};
use super::table::Table;
use super::zookeeper::{Installation, ZooKeeper};

/// Every workload in every shape; a row each, and nothing but the reason if there is no ZooKeeper to be had.
pub(crate) async fn measure(plan: &Plan, table: &mut Table) {
    let installation = match Installation::prepare() {
        Ok(installation) => installation,
        Err(missing) => return table.plain("Channel beside ZooKeeper", "not measured", &missing),
    };
    let server = [super::start(plan, "rivals", &[])];
    let rival = ZooKeeper::start(&installation, &plan.dir.join("rivals-zookeeper")).await;
    let (ours, theirs) = (Door::Channel(&server), Door::zookeeper(&rival));
    ours.prepare().await;
    theirs.prepare().await;
    println!("beside {}:", installation.describe());
    for shape in [Shape::PIPELINED, Shape::WAITING] {
        for workload in Workload::COMMON {
            let what = format!("{}, {}", workload.describe(), shape.describe());
            let comparison = Comparison::measure(
                &what,
                plan,
                async |seconds| ours.run(workload, shape, seconds).await,
                async |seconds| theirs.run(workload, shape, seconds).await,
            );
            let comparison = comparison.await;
            let measured =
                format!("{:.1} x less CPU/op, {:.1} x the rate", comparison.cpu_ratio(), comparison.rate_ratio());
            let what = format!("Channel {what}, beside {}", installation.describe());
            table.plain(&what, &measured, &comparison.describe());
        }
    }
}
