"""For the watched app: tells Anchorwatch of predictions and labels, and measures the app's requests.

It stands alone, on the standard library. Nothing here blocks the app or raises into it.

    client = Client("http://127.0.0.1:9877", app="shop")
    client.log_prediction("demand", "order-17", {"temp": 0.3}, 212.0, model_version="v1")
    client.log_label("demand", "order-17", 208.0)
"""

from monitor.client._asgi import AsgiMiddleware
from monitor.client._backlog import Dropped, Stats
from monitor.client._client import Client
from monitor.client._limits import Limits
from monitor.client._metrics import RequestMetrics
from monitor.client._wsgi import WsgiMiddleware

__all__ = ["AsgiMiddleware", "Client", "Dropped", "Limits", "RequestMetrics", "Stats", "WsgiMiddleware"]
