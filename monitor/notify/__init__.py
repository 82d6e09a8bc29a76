"""Where an alert goes, one file per receiver.

A receiver module has `Options`, the pure `payload(notification)` and `send(notification, options)`, one attempt whose
`Outcome` says whether another is worth it.
"""
