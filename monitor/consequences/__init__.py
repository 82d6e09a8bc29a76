"""What follows from a result: alerts, notifications, retraining requests, each in the transaction that keeps the result;
and what of it is shown as metrics. The daemon and the backtest decide here alike.
"""
