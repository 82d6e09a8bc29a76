"""How a retraining is asked for, one small declarative file per system.

A trigger module has `Options`, the pure `request(order, options, now)` and `send(order, options, now)`, one attempt
whose `Outcome` says whether another is worth it. `now` is real time in Unix seconds, also where the watch's clock runs
fast: the other side compares it with its own.
"""
