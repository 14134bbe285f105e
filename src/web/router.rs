//! The route table, one line each, and what stands around every route.

use super::dashboard::{
    self, access, account, ack, board, decisions, evidence as evidence_page, incident, law, law_changes, login,
    obligation, people, report, settings, sheet, typed, whatif,
};
use super::error::Problem;
use super::{
    Shared, accounts, assess, assets, attachments, calendar, drafts, erase, evidence, health, inbound, incidents,
    ingest, obligations, openapi, pace, register, stream,
};
use crate::store::Store;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr),+ $(,)?) => {
        /// Method and path of every route, for the test that holds the description to them.
        pub const ROUTES: &[(&str, &str)] = &[$((routes!(@ $method), $path)),+];

        fn table<S: Store>() -> Vec<(&'static str, MethodRouter<Shared<S>>)> {
            vec![$(($path, $method($handler))),+]
        }
    };
    (@ get) => { "GET" };
    (@ post) => { "POST" };
}

routes! {
    post "/api/v1/incidents" => incidents::report::<S>,
    get "/api/v1/incidents" => incidents::list::<S>,
    get "/api/v1/incidents/{id}" => incidents::show::<S>,
    post "/api/v1/incidents/{id}/facts" => incidents::assert_facts::<S>,
    get "/api/v1/incidents/{id}/timeline" => incidents::timeline::<S>,
    post "/api/v1/incidents/{id}/attachments" => attachments::attach::<S>,
    get "/api/v1/incidents/{id}/attachments" => attachments::list::<S>,
    get "/api/v1/incidents/{id}/attachments/{entry}" => attachments::read::<S>,
    post "/api/v1/incidents/{id}/close" => incidents::close::<S>,
    post "/api/v1/incidents/{id}/entity" => incidents::set_entity::<S>,
    post "/api/v1/incidents/{id}/sign-off" => incidents::sign_off::<S>,
    get "/api/v1/incidents/{id}/evidence" => evidence::entries::<S>,
    get "/api/v1/incidents/{id}/bundle" => evidence::bundle::<S>,
    post "/api/v1/incidents/{id}/bundle/preview" => evidence::preview::<S>,
    get "/api/v1/incidents/{id}/fields" => erase::fields::<S>,
    post "/api/v1/incidents/{id}/erasure" => erase::erase::<S>,
    post "/api/v1/incidents/{id}/hold" => erase::hold::<S>,
    post "/api/v1/incidents/{id}/hold/lift" => erase::lift::<S>,
    post "/api/v1/incidents/{id}/withholding" => erase::withhold::<S>,
    get "/api/v1/obligations" => obligations::list::<S>,
    get "/api/v1/obligations/{id}" => obligations::show::<S>,
    get "/api/v1/obligations/{id}/draft" => drafts::draft::<S>,
    post "/api/v1/obligations/{id}/ack" => obligations::acknowledge::<S>,
    post "/api/v1/obligations/{id}/filing" => obligations::file::<S>,
    post "/api/v1/obligations/{id}/waiver" => obligations::waive::<S>,
    post "/api/v1/obligations/{id}/waiver/withdrawal" => obligations::withdraw::<S>,
    get "/api/v1/decisions" => obligations::decisions::<S>,
    post "/api/v1/obligations/{id}/delay" => obligations::delay::<S>,
    get "/api/v1/a/{token}" => ack::offer::<S>,
    post "/api/v1/a/{token}" => ack::take::<S>,
    post "/api/v1/assess" => assess::assess::<S>,
    post "/api/v1/calendar" => calendar::subscribe::<S>,
    post "/api/v1/ingest/{format}" => ingest::take::<S>,
    post "/api/v1/inbound/mail" => inbound::mail::<S>,
    get "/api/v1/register" => register::register::<S>,
    get "/api/v1/statistics" => register::statistics::<S>,
    get "/api/v1/log/checkpoint" => evidence::checkpoint::<S>,
    get "/api/v1/log/entries" => evidence::log_entries::<S>,
    get "/api/v1/log/proof" => evidence::log_proof::<S>,
    get "/api/v1/me" => accounts::me::<S>,
    get "/api/v1/accounts" => accounts::list::<S>,
    post "/api/v1/accounts" => accounts::create::<S>,
    post "/api/v1/accounts/{login}" => accounts::change::<S>,
    post "/api/v1/accounts/{login}/invitation" => accounts::invite::<S>,
    get "/api/v1/tokens" => accounts::tokens::<S>,
    post "/api/v1/tokens" => accounts::create_token::<S>,
    post "/api/v1/tokens/{id}/revocation" => accounts::revoke_token::<S>,
    get "/api/v1/stream" => stream::stream::<S>,
    get "/api/v1/status" => health::status::<S>,
    get "/api/v1/openapi.json" => openapi::document,
    get "/healthz" => health::live,
    get "/readyz" => health::ready::<S>,
    get "/metrics" => health::metrics::<S>,
    get "/calendar/{token}" => calendar::deadlines::<S>,
    get "/rota/{id}" => calendar::rota::<S>,
    get "/a/{token}" => ack::show::<S>,
    post "/a/{token}" => ack::act::<S>,
    get "/" => board::board::<S>,
    get "/incidents" => board::incidents::<S>,
    get "/incidents/{id}" => incident::show::<S>,
    post "/incidents/{id}/facts" => incident::answer::<S>,
    post "/incidents/{id}/close" => incident::close::<S>,
    post "/incidents/{id}/entity" => incident::set_entity::<S>,
    post "/incidents/{id}/sign-off" => incident::sign_off::<S>,
    get "/incidents/{id}/what-if" => whatif::show::<S>,
    get "/incidents/{id}/evidence" => evidence_page::show::<S>,
    post "/incidents/{id}/export" => evidence_page::export::<S>,
    get "/obligations/{id}" => obligation::show::<S>,
    post "/obligations/{id}/ack" => obligation::acknowledge::<S>,
    post "/obligations/{id}/filing" => obligation::file::<S>,
    post "/obligations/{id}/waiver" => obligation::waive::<S>,
    post "/obligations/{id}/waiver/withdrawal" => obligation::withdraw::<S>,
    post "/obligations/{id}/delay" => obligation::delay::<S>,
    get "/decisions" => decisions::show::<S>,
    get "/report" => report::form::<S>,
    post "/report" => report::send::<S>,
    get "/sheet" => sheet::show::<S>,
    get "/law" => law::show::<S>,
    get "/law/changes" => law_changes::show::<S>,
    get "/law/{id}" => law::duty::<S>,
    get "/evidence" => evidence_page::overview::<S>,
    get "/readiness" => evidence_page::readiness::<S>,
    get "/people" => people::show::<S>,
    post "/people" => people::create::<S>,
    post "/people/{login}" => people::change::<S>,
    post "/people/{login}/invitation" => people::invite::<S>,
    get "/settings" => settings::show::<S>,
    get "/access" => access::show::<S>,
    get "/account" => account::show::<S>,
    post "/account/password" => account::password::<S>,
    post "/account/factor" => account::factor::<S>,
    post "/enrol" => account::enrol::<S>,
    get "/setup/{token}" => account::setup_form::<S>,
    post "/setup/{token}" => account::set_up::<S>,
    get "/invitation/{token}" => account::invitation_form::<S>,
    post "/invitation/{token}" => account::take_invitation::<S>,
    get "/login" => login::form::<S>,
    post "/login" => login::open::<S>,
    get "/again" => typed::elsewhere::<S>,
    post "/again" => typed::come_back::<S>,
    get "/login/provider" => login::provider::<S>,
    get "/login/callback" => login::callback::<S>,
    post "/logout" => login::close::<S>,
    get "/assets/{name}" => assets::serve,
}

pub fn build<S: Store>(web: Shared<S>) -> Router {
    let mut router = Router::new();
    for (path, handler) in table::<S>() {
        router = router.route(path, handler);
    }
    router
        .fallback(unknown::<S>)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| Problem::internal().into_response()))
        .layer(from_fn_with_state(web.clone(), pace::watch::<S>))
        .layer(from_fn_with_state(web.options.secure_cookies, guard))
        .with_state(web)
}

async fn unknown<S: Store>(State(web): State<Shared<S>>, uri: Uri) -> Response {
    let problem = Problem::not_found(format!("there is nothing at `{}`", uri.path()));
    match uri.path().starts_with("/api/") {
        true => problem.into_response(),
        false => dashboard::error_page(&problem, web.now()),
    }
}

/// Headers every answer carries, whoever made it.
async fn guard(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // a page with its style inside brings a policy of its own, stricter than this one
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // what is shown depends on the present moment and on who asks
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
