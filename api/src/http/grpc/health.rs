//! `grpc.health.v1.Health`: what `/readyz` says.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{
    call::{Answer, Call},
    methods::METHODS,
    pb::grpc::health::v1::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    },
    services::health::health_server::Health,
};
use crate::{
    http::{ops::readiness, router::App},
    limits::{HEALTH_WATCH, HEALTH_WATCHERS_MAX},
    problem::{Code, Problem},
};

/// The methods.
pub struct HealthMethods {
    /// Anybody may watch, and each look asks the database.
    watchers: Arc<Semaphore>,
}

impl Default for HealthMethods {
    fn default() -> Self {
        Self {
            watchers: Arc::new(Semaphore::new(HEALTH_WATCHERS_MAX)),
        }
    }
}

#[tonic::async_trait]
impl Health for HealthMethods {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        let (call, asked) = Call::of(request);
        let work = async {
            match status_of(&call.app, &asked.service).await {
                ServingStatus::ServiceUnknown => {
                    Err(Problem::new(Code::NotFound, "there is no such service"))
                }
                status => Ok(response(status)),
            }
        };
        call.read(work).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        let (call, asked) = Call::of(request);
        let place = self.watchers.clone().try_acquire_owned().map_err(|_| {
            let problem = Problem::new(Code::Overloaded, "too many watch the service's health");
            call.status(&problem)
        })?;
        drop(call.in_memory.take_first());
        let told = stream::unfold(None, move |told| {
            let (app, service) = (call.app.clone(), asked.service.clone());
            // For as long as somebody listens.
            let _place = &place;
            async move {
                let status = changed(&app, &service, told).await?;
                Some((Ok(response(status)), Some(status)))
            }
        });
        Ok(Response::new(Box::pin(told)))
    }
}

/// Waits until the status is another than what was told; `None` when the service stops after that.
async fn changed(app: &App, service: &str, told: Option<ServingStatus>) -> Option<ServingStatus> {
    let mut draining = app.gateway.draining.clone();
    loop {
        let status = status_of(app, service).await;
        if told != Some(status) {
            return Some(status);
        }
        if *draining.borrow() {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(HEALTH_WATCH) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }
}

async fn status_of(app: &App, service: &str) -> ServingStatus {
    let known = |known: &str| METHODS.iter().any(|method| method.service_name() == known);
    if !service.is_empty() && !known(service) {
        return ServingStatus::ServiceUnknown;
    }
    match readiness(app).await.is_ready() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
