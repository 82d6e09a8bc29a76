"""The application: a small HTTP service that predicts hourly bike demand, and retrains when it is told to.

Run it from the folder above: `python -m bikes.app --port 8000 --data ./data`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bikes.model import Artefacts
from bikes.service import Service
from bikes.simulator import SEED, City
from bikes.webhook import NotVerified, shared_secret, verify
from monitor.client import AsgiMiddleware, Client

MOST_INSTANCES = 1000
PREDICT_BODY = '{"instances": [{"features": {"temp": 12}, "event_id": "...", "timestamp": "..."}]}'


class BikeApi:
    """The endpoints, over one service."""

    def __init__(self, service: Service, secret: str) -> None:
        self._service, self._secret = service, secret

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "model_version": self._service.live.version})

    async def predict(self, request: Request) -> Response:
        try:
            instances = _instances(await request.body())
            version, values = await run_in_threadpool(self._service.predict, instances)
        except (LookupError, TypeError, ValueError):
            return JSONResponse({"error": f"expected {PREDICT_BODY}"}, status_code=422)
        return JSONResponse({"model_version": version, "predictions": values})

    async def rides(self, request: Request) -> Response:
        """The booking system tells how many bikes were in fact taken."""
        try:
            booked = {str(row["event_id"]): float(row["label"]) for row in await request.json()}
        except (LookupError, TypeError, ValueError):
            return JSONResponse({"error": 'expected [{"event_id": "...", "label": 12}]'}, status_code=422)
        return JSONResponse({"known": self._service.rides.booked(booked)})

    async def retrain(self, request: Request) -> Response:
        """The webhook: verified, answered at once, done in the background, once for each webhook-id."""
        try:
            request_id = verify(self._secret, request.headers, await request.body(), time.time())
        except NotVerified as error:
            return JSONResponse({"error": str(error)}, status_code=401)
        status = "accepted" if self._service.request_retraining(request_id) else "already accepted"
        return JSONResponse({"status": status, "id": request_id}, status_code=202)

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.healthz),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/rides", self.rides, methods=["POST"]),
            Route("/retrain", self.retrain, methods=["POST"]),
        ]


def build(data: Path, city: City, watch_url: str | None) -> Starlette:
    """The application, its first version trained. `watch_url` is where Anchorwatch listens; None: nobody watches."""
    watch = Client(watch_url)
    service = Service(Artefacts(data), city, watch)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    api = BikeApi(service, shared_secret(data / "webhook-secret"))
    measured = Middleware(AsgiMiddleware, client=watch)  # serves /metrics; flushes what `watch` has left at the end
    return Starlette(routes=api.routes(), middleware=[measured], lifespan=lifespan)


def _instances(body: bytes) -> list[dict[str, Any]]:
    """The instances of a prediction request; ValueError, TypeError or LookupError where it is none."""
    instances: Any = json.loads(body)["instances"]
    if not isinstance(instances, list) or len(instances) > MOST_INSTANCES:
        raise ValueError
    for row in instances:
        if not isinstance(row["features"], dict):
            raise TypeError
        if "event_id" in row:
            datetime.fromisoformat(row["timestamp"])
    return instances


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="bikes.app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BIKES_DATA", "data")))
    parser.add_argument("--watch", default=os.environ.get("ANCHORWATCH_URL"), help="where Anchorwatch listens")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    given.data.mkdir(parents=True, exist_ok=True)
    app = build(given.data, City(given.seed), given.watch)
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning", timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
