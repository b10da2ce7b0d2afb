//! `ZnodeService`: reads and changes of the tree.

use http::Response;
use tonic::body::Body;

use super::convert::{self, answer};
use super::route::Incall;
use super::tree;

/// Answers a call, if there is such a method.
pub(super) async fn answer(method: &str, call: Incall<'_>) -> Option<Response<Body>> {
    Some(match method {
        "Create" => call.request(convert::create, answer::create).await,
        "Get" => call.request(convert::get, answer::get).await,
        "Exists" => call.request(convert::exists, answer::exists).await,
        "SetData" => call.request(convert::set_data, answer::set_data).await,
        "Delete" => call.request(convert::delete, answer::delete).await,
        "ListChildren" => call.request(convert::list_children, answer::list_children).await,
        "StreamTree" => call.subscribe(tree::begin).await,
        "GetAcl" => call.request(convert::get_acl, answer::get_acl).await,
        "SetAcl" => call.request(convert::set_acl, answer::set_acl).await,
        "Multi" => call.request(convert::multi, answer::multi).await,
        "MultiRead" => call.request(convert::multi_read, answer::multi_read).await,
        "Sync" => call.request(convert::sync, answer::sync).await,
        "GetEphemerals" => call.request(convert::get_ephemerals, answer::get_ephemerals).await,
        "CheckAccess" => call.request(convert::check_access, answer::check_access).await,
        "CountDescendants" => call.request(convert::count_descendants, answer::count_descendants).await,
        _ => return None,
    })
}
