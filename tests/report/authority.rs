//! The authority that replicas share.

use mledojo::operator::server::Authority;
use serde_json::json;

use crate::stage::{OPERATOR, OPERATOR_NAMESPACE, Stage};

fn key(kind: &str) -> (String, String, String) {
    (kind.into(), OPERATOR_NAMESPACE.into(), format!("{OPERATOR}-ca"))
}

#[test]
fn replicas_share_one_authority_and_users_find_it() {
    let stage = Stage::new();
    let others = stage.runtime.block_on(async {
        let load = || {
            Authority::load_or_create(
                stage.client(),
                OPERATOR_NAMESPACE,
                OPERATOR,
                "https://localhost:8443",
            )
        };
        let (a, b) = tokio::join!(load(), load());
        [a.unwrap(), b.unwrap()]
    });
    for other in others {
        assert_eq!(other.certificates_pem(), stage.authority.certificates_pem());
    }
    let world = stage.api.world();
    assert_eq!(
        world.objects[&key("configmaps")]["data"],
        json!({"ca.crt": stage.authority.certificates_pem()})
    );
    let secret = &world.objects[&key("secrets")];
    assert_eq!(secret["metadata"]["resourceVersion"], "1");
    assert!(
        !world.objects[&key("configmaps")]
            .to_string()
            .contains("PRIVATE KEY")
    );
}

#[test]
fn replicas_that_start_at_the_same_time_agree() {
    let stage = Stage::new();
    stage.api.world().objects.clear();
    let all = stage.runtime.block_on(async {
        let load = || {
            Authority::load_or_create(
                stage.client(),
                OPERATOR_NAMESPACE,
                OPERATOR,
                "https://localhost:8443",
            )
        };
        let (a, b, c) = tokio::join!(load(), load(), load());
        [a.unwrap(), b.unwrap(), c.unwrap()].map(|authority| authority.certificates_pem())
    });
    assert!(all.iter().all(|one| *one == all[0]));
    assert_ne!(all[0], stage.authority.certificates_pem());
}
