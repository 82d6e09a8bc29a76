"""HTTP: metrics, probes, ingestion, webhooks in, a JSON API, and a page for people."""

from monitor.web._server import create_app, create_metrics_app
from monitor.web._watch import Watch

__all__ = ["Watch", "create_app", "create_metrics_app"]
