//! A control plane of one member: whatever is asked for is agreed on at once, one entry for each request.

use std::sync::Arc;
use std::time::Duration;

use cresset_core::cluster::{Event, Removal, Route};
use cresset_core::ids::{Incarnation, LogIndex, MemberId, RouteId};
use cresset_core::node::{Answer, Request, Service};
use cresset_core::time::Uptime;
use tokio::sync::mpsc;

use crate::router::Router;
use crate::runtime;

pub(super) struct Plane {
    router: Arc<Router>,
}

impl Plane {
    pub(super) fn start(router: Arc<Router>, requests: mpsc::Receiver<Request>) -> Plane {
        let plane = Plane { router: router.clone() };
        plane.lease_for(Duration::from_secs(1_000_000));
        router.set_service(Service::Serve, None);
        runtime::spawn(agree(router, requests));
        plane
    }

    pub(super) fn lease_for(&self, time: Duration) {
        self.router.set_lease(Some(self.router.now() + time));
    }

    pub(super) fn lose_lease(&self) {
        self.router.set_lease(Some(Uptime::ZERO));
    }

    pub(super) fn serve(&self, service: Service) {
        self.router.set_service(service, None);
    }
}

async fn agree(router: Arc<Router>, mut requests: mpsc::Receiver<Request>) {
    let mut routes: Vec<Arc<Route>> = Vec::new();
    let mut index = LogIndex(0);
    while let Some(request) = requests.recv().await {
        index = index.next();
        let answer = apply(&router, &mut routes, index, request);
        router.applied(index);
        if let Some((session, answer)) = answer {
            router.answer(session, answer);
        }
    }
}

fn apply(
    router: &Arc<Router>,
    routes: &mut Vec<Arc<Route>>,
    index: LogIndex,
    request: Request,
) -> Option<(cresset_core::ids::SessionId, Answer)> {
    match request {
        Request::Bind { session, jid, .. } => {
            let id = RouteId { index, position: 0 };
            if let Some(at) = routes.iter().position(|route| route.jid == jid) {
                let route = routes.remove(at);
                router.handle_event(&Event::RouteRemoved { route, reason: Removal::Replaced { by: id } });
            }
            let (member, incarnation) = (MemberId(1), Incarnation(1));
            let route = Arc::new(Route { id, jid, member, incarnation, session, presence: Default::default() });
            routes.push(route.clone());
            router.handle_event(&Event::RouteAdded(route));
            Some((session, Answer::Bound { route: id }))
        }
        Request::Announce { session, route, presence, revision } => {
            let known = routes.iter_mut().find(|known| known.id == route)?;
            *known = Arc::new(Route { presence, ..Route::clone(known) });
            router.handle_event(&Event::RouteChanged(known.clone()));
            Some((session, Answer::Announced { revision }))
        }
        Request::Unbind { route } => {
            let at = routes.iter().position(|known| known.id == route)?;
            let route = routes.remove(at);
            router.handle_event(&Event::RouteRemoved { route, reason: Removal::Unbound });
            None
        }
    }
}
