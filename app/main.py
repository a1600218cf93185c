"""The application: lifespan, middleware and error handlers. No logic."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import related
from app.api import PREFIX, ROUTERS
from app.core import contract, health
from app.core.asgi import Shell, render
from app.core.errors import AppError
from app.core.resources import open_resources
from app.core.settings import Settings
from app.core.validation import from_http, from_validation

DOCS = Path(fastapi_offline.__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application for these settings. Connections open lazily and close with the lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.resources = open_resources(settings, name="chot api")
        try:
            yield
        finally:
            await app.state.resources.close()

    related.register()
    app = FastAPI(
        **contract.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=_operation_id,
    )
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.include_router(health.router)
    _add_docs(app)
    for kind in (AppError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _refuse)
    contract.install(app)

    # The last one added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=2048, compresslevel=5)
    app.add_middleware(Shell, max_body=settings.max_body, max_upload=settings.max_upload, is_upload=_uploads(app))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[
                *("ETag", "Location", "Retry-After", "X-Request-ID"),
                *("Idempotency-Replayed", "RateLimit", "RateLimit-Policy"),
            ],
            max_age=3600,
        )
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = from_validation(error)
    elif isinstance(error, HTTPException):
        error = from_http(error)
    assert isinstance(error, AppError)
    status, headers, body = render(error, request.state.request_id)
    reply = Response(body, status)
    reply.raw_headers[:] = headers
    return reply


def _operation_id(route: APIRoute) -> str:
    return route.name


def _uploads(app: FastAPI) -> Callable[[Scope], bool]:
    """Whether a request brings a file: its route's class says `upload = True`."""
    found = [
        (route.methods, compile_path(route.path)[0])
        for route in iter_route_contexts(app.routes)
        if route.path and route.methods and getattr(route.original_route, "upload", False)
    ]
    return lambda scope: any(scope["method"] in methods and path.match(scope["path"]) for methods, path in found)


def _add_docs(app: FastAPI) -> None:
    app.mount("/docs/assets", StaticFiles(directory=DOCS), name="docs_assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Any:
        """The contract as a page that needs nothing from outside."""
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Chốt API",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )
