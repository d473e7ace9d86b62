//! The `mainstay` binary.
fn main() {
    use kube::CustomResourceExt;
    for crd in [
        mainstay::api::NodeHealthPolicy::crd(),
        mainstay::api::Network::crd(),
        mainstay::api::NodeRemediation::crd(),
        mainstay::api::NetworkLedger::crd(),
    ] {
        println!("---\n{}", serde_yaml::to_string(&crd).unwrap());
    }
}
