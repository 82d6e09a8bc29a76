"""Why a record of a serving system cannot be read: one short reason for the metric, one sentence for a person."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What is wrong, in words that fit a label of a metric. docs/serving-logs.md explains each."""

    MISSING_ID = "missing_id"
    BAD_ID = "bad_id"
    MISSING_TYPE = "missing_type"
    UNKNOWN_TYPE = "unknown_type"
    NOT_JSON = "not_json"
    NOT_CSV = "not_csv"
    NOT_BASE64 = "not_base64"
    TOO_LARGE = "too_large"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_DEEP = "too_deep"
    UNKNOWN_BODY = "unknown_body"
    UNKNOWN_CONTENT = "unknown_content"
    UNKNOWN_COLUMNS = "unknown_columns"
    UNKNOWN_LOG = "unknown_log"
    UNKNOWN_DATATYPE = "unknown_datatype"
    SHAPE_MISMATCH = "shape_mismatch"
    BINARY_LENGTH = "binary_length"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    DUPLICATE_NAME = "duplicate_name"
    WRONG_WIDTH = "wrong_width"
    ROW_COUNTS = "row_counts"
    NO_PREDICTION = "no_prediction"
    UNNAMED_OUTPUTS = "unnamed_outputs"
    MANY_VALUES = "many_values"
    BAD_PROBABILITY = "bad_probability"
    ERROR_RESPONSE = "error_response"
    FAILED_CALL = "failed_call"
    NO_REQUEST = "no_request"
    NO_RESPONSE = "no_response"
    NO_TRUTH = "no_truth"
    NOT_A_PAIR = "not_a_pair"
    BAD_CHECKSUM = "bad_checksum"
    NOT_PROTOBUF = "not_protobuf"
    CORRUPT_HALF = "corrupt_half"


class Unreadable(Exception):
    """A record that cannot be read. Its message says what was expected and got, and quotes no value of the record.

    >>> error = Unreadable(Reason.MISSING_ID, "expected the header ce-id, got none")
    >>> error.reason.value, str(error)
    ('missing_id', 'expected the header ce-id, got none')
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def cut(text: object) -> str:
    """A name as a message quotes it: at most 60 characters.

    >>> cut("ce-type")
    "'ce-type'"
    """
    quoted = repr(text)
    return quoted if len(quoted) <= 60 else quoted[:56] + "...'"
