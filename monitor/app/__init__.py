"""The composition root: a configuration becomes running parts; they start, reload and stop together."""

from monitor.app.daemon import Daemon, StartFailed
from monitor.app.serving import serve

__all__ = ["Daemon", "StartFailed", "serve"]
