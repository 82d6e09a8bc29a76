"""One outbound HTTP request: sent within one deadline, its outcome classified, nothing secret said about it.

A 2xx is delivered. Timeouts, connection errors, 429 and 5xx are worth another attempt; a redirect (never followed) and
any other 4xx is final. A URL may itself be a secret (a Slack webhook), so a reason names only scheme, host and port.
"""

from monitor.transport.address import Headers, SecretUrl, Timeout, Unusable, Url, reveal_headers, split_url, where
from monitor.transport.deadline import Address, Deadline, explain, resolve
from monitor.transport.delivery import classify, deliver, retry_after_seconds, send
from monitor.transport.exchange import BODY_LIMIT, NoAnswer, Request, Response, ca_bundle, exchange
from monitor.transport.webhook import json_body, sign, standard_webhook

__all__ = [
    "BODY_LIMIT",
    "Address",
    "Deadline",
    "Headers",
    "NoAnswer",
    "Request",
    "Response",
    "SecretUrl",
    "Timeout",
    "Unusable",
    "Url",
    "ca_bundle",
    "classify",
    "deliver",
    "exchange",
    "explain",
    "json_body",
    "resolve",
    "retry_after_seconds",
    "reveal_headers",
    "send",
    "sign",
    "split_url",
    "standard_webhook",
    "where",
]
