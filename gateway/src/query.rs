//! Queries of URLs. A parameter that a resource does not know is refused: a mistyped `?recursive` must not be ignored.

use axum_extra::extract::Query;
use http::Uri;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of `uri`; all absent if there is no query.
pub(crate) fn read<T: DeserializeOwned + Default>(uri: &Uri) -> Result<T, Problem> {
    if uri.query().is_none() {
        return Ok(T::default());
    }
    match Query::try_from_uri(uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(rejection) => Err(Problem::bad_arguments(format!("the query is not valid: {}", rejection.body_text()))),
    }
}
