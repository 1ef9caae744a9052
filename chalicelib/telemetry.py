"""The service's log and metrics: JSON lines, and nothing of the SDK's that could hold a secret.

Metrics are written in CloudWatch's embedded metric format and have few dimensions, never a phone's id. The
service's name in both is Powertools' setting ``POWERTOOLS_SERVICE_NAME``, which tells deployments apart.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import logging
from collections.abc import Mapping
from datetime import timedelta

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "SipCredentials"

logger = Logger()


def count_reset(via: str, outcome: str, *, mirrored: bool = True) -> None:
    """Counts a reset that was asked for, by the way it came and by its outcome."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension("via", via)
    metrics.add_dimension("outcome", outcome)
    metrics.add_metric("Resets", MetricUnit.Count, 1)
    metrics.add_metric("MirrorPending", MetricUnit.Count, 0 if mirrored else 1)
    metrics.flush_metrics()


def count_authorization(outcome: str) -> None:
    """Counts a token that was presented: granted, refused, or failed when nobody could tell."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension("outcome", outcome)
    metrics.add_metric("Authorizations", MetricUnit.Count, 1)
    metrics.flush_metrics()


def count_adoption() -> None:
    """Counts a phone that has proved its new pair."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_metric("Adoptions", MetricUnit.Count, 1)
    metrics.flush_metrics()


def record_sweep(counts: Mapping[str, int], durations: Mapping[str, timedelta]) -> None:
    """Records what a sweep did: counts, and durations in seconds."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    for name, count in counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    for name, duration in durations.items():
        metrics.add_metric(name, MetricUnit.Seconds, duration.total_seconds())
    metrics.flush_metrics()


# At DEBUG these print requests and answers, bodies and all.
_TELL_TALES = ("boto3", "botocore", "pynamodb", "urllib3")


class _NoDebug(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


def silence_sdk_debug_logs() -> None:
    """Keeps the SDK's debug records out of the log, whatever level anyone sets on its loggers."""
    no_debug = _NoDebug()
    for name, sdk_logger in logging.root.manager.loggerDict.items():
        if isinstance(sdk_logger, logging.Logger) and name.split(".")[0] in _TELL_TALES:
            sdk_logger.addFilter(no_debug)
