//! Queries of URLs. A parameter that a resource does not know is refused: a mistyped `?recursive` must not be ignored.

use axum_extra::extract::Query;
use http::Uri;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of `uri`; all absent if there is no query.
pub(crate) fn read<T: DeserializeOwned + Default>(uri: &Uri) -> Result<T, Problem> {
    let Some(text) = uri.query() else { return Ok(T::default()) };
    // An empty value would count as an absent one, and `?version=` as a write without a condition.
    let is_bare = |pair: &&str| !pair.is_empty() && pair.split_once('=').is_none_or(|(_, value)| value.is_empty());
    if let Some(bare) = text.split('&').find(is_bare) {
        let name = bare.trim_end_matches('=');
        return Err(Problem::bad_arguments(format!("the parameter {name} has no value")));
    }
    match Query::try_from_uri(uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(rejection) => Err(Problem::bad_arguments(format!("the query is not valid: {}", rejection.body_text()))),
    }
}
