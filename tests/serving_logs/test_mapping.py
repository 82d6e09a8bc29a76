"""How rows become named features, and responses a prediction and its probability."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.serving_logs import Limits, Outcome, Unreadable
from monitor.serving_logs._bodies import request_body, response_body
from monitor.serving_logs._features import features
from monitor.serving_logs._outcomes import _of_named, outcomes
from tests.serving_logs.wire import refused

AB = ["a", "b"]


def named(body: Any, names: list[str]) -> Any:
    return features(request_body(body, Limits()), names)[0]


def tensors(**held: Any) -> dict[str, Any]:
    def one(name: str, data: Any) -> dict[str, Any]:
        shape, inner = [], data
        while isinstance(inner, list):
            shape.append(len(inner))
            inner = inner[0]
        return {"name": name, "datatype": "BYTES" if isinstance(inner, str) else "FP64", "shape": shape, "data": data}

    return {"inputs": [one(name, data) for name, data in held.items()]}


@pytest.mark.parametrize(
    ("body", "names", "expected"),
    [
        # positions
        ({"instances": [[1, 2]]}, [], {"f0": 1, "f1": 2}),
        ({"instances": [[1, 2]]}, AB, {"a": 1, "b": 2}),
        ({"instances": [7]}, ["a"], {"a": 7}),
        ({"instances": [7]}, [], {"f0": 7}),
        ({"instances": [["red"]]}, [], {"f0": "red"}),
        ({"instances": [[[1, 2], [3, 4]]]}, AB, {"a": [1, 2], "b": [3, 4]}),
        ({"instances": [[[1, 2], [3, 4]]]}, list("abcd"), {"a": 1, "b": 2, "c": 3, "d": 4}),
        ({"instances": [[[1, 2], [3, 4]]]}, [], {"f0_0": 1, "f0_1": 2, "f1_0": 3, "f1_1": 4}),
        ({"instances": [[0.1, 0.2, 0.3]]}, ["embedding"], {"embedding": [0.1, 0.2, 0.3]}),
        ({"instances": [[0.1, None, 0.3]]}, ["embedding"], {"embedding": None}),
        ({"instances": [[0.1, None, 0.3]]}, list("abc"), {"a": 0.1, "b": None, "c": 0.3}),
        # names in the body stand, whatever is declared
        ({"instances": [{"x": 1, "y": "red"}]}, AB, {"x": 1, "y": "red"}),
        ({"instances": [{"a": {"b": 1, "c": {"d": 2}}}]}, [], {"a.b": 1, "a.c.d": 2}),
        ({"instances": [{"features": [1, 2]}]}, AB, {"a": 1, "b": 2}),
        ({"instances": [{"x": [1, 2]}]}, [], {"x_0": 1, "x_1": 2}),
        ({"instances": [{"x": [1, 2]}]}, ["x"], {"x": [1, 2]}),
        ({"instances": [{"x": [1, None]}]}, ["x"], {"x": None}),
        ({"instances": [{"x": ["red", "blue"]}]}, ["x"], {"x_0": "red", "x_1": "blue"}),
        ({"instances": [{"x": [5]}]}, [], {"x": 5}),
        ({"instances": [{"x": {"b64": "cmVk"}, "y": {"b64": "/9j/"}}]}, [], {"x": "red", "y": None}),
        ({"instances": [{"b64": "/9j/"}]}, [], {"f0": None}),
        ({"dataframe_split": {"index": [0], "columns": AB, "data": [[1, 2]]}}, ["x", "y"], {"a": 1, "b": 2}),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, [], {"a": 1}),
        ({"dataframe_records": [{"a": 1, "b": 2}]}, [], {"a": 1, "b": 2}),
        ({"data": {"names": AB, "ndarray": [[1, 2]]}}, [], {"a": 1, "b": 2}),
        ({"data": {"names": [], "ndarray": [[1, 2]]}}, AB, {"a": 1, "b": 2}),
        ({"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}}, AB, {"a": 1, "b": 2}),
        ({"jsonData": {"a": 1, "b": 2}}, [], {"a": 1, "b": 2}),
        ({"strData": "a text"}, ["text"], {"text": "a text"}),
        # tensors
        (tensors(a=[1], b=[[2]]), [], {"a": 1, "b": 2}),
        (tensors(b=[2], a=[1]), AB, {"a": 1, "b": 2}),
        (tensors(**{"input-0": [[1, 2]]}), AB, {"a": 1, "b": 2}),
        (tensors(**{"input-0": [1], "input-1": [2]}), AB, {"a": 1, "b": 2}),
        (tensors(x=[[1, 2]]), [], {"x_0": 1, "x_1": 2}),
        (tensors(x=[[1, 2]]), ["a", "b", "c"], {"x_0": 1, "x_1": 2}),
        (tensors(x=[[1, 2]]), ["x"], {"x": [1, 2]}),
        (tensors(x=[[1, 2]]), ["embedding"], {"embedding": [1, 2]}),
        (tensors(a=[[1, 2]], b=["red"]), ["b"], {"a_0": 1, "a_1": 2, "b": "red"}),
        (tensors(x=[[[1, 2], [3, 4]]]), [], {"x_0": 1, "x_1": 2, "x_2": 3, "x_3": 4}),
        (tensors(x=[[[1, 2], [3, 4]]]), AB, {"a": [1, 2], "b": [3, 4]}),
        ({"inputs": {"a": [1], "b": [[2]]}}, [], {"a": 1, "b": 2}),
        ({"inputs": [[1, 2]]}, AB, {"a": 1, "b": 2}),
    ],
)  # fmt: skip
def test_features_go_by_the_body_s_names_or_the_declared_ones(
    body: Any, names: list[str], expected: dict[str, Any]
) -> None:
    assert named(body, names) == expected


@pytest.mark.parametrize(
    ("body", "names", "reason"),
    [
        ({"instances": [[1, 2, 3]]}, AB, "wrong_width"),
        ({"instances": [1]}, AB, "wrong_width"),
        ({"instances": [["red", "blue"]]}, ["a"], "wrong_width"),
        ({"instances": [[{"a": 1}, 2]]}, [], "bad_value"),
        ({"instances": [{"x": [1, 2], "x_0": 3}]}, [], "duplicate_name"),
        ({"dataframe_split": {"columns": AB, "data": [[1]]}}, [], "shape_mismatch"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, [], "duplicate_name"),
    ],
)
def test_rows_that_cannot_be_named_are_refused(body: Any, names: list[str], reason: str) -> None:
    refused(lambda: named(body, names), reason)


def said(body: Any, **how: Any) -> Any:
    return outcomes(response_body(body, Limits()), Outcome(**how))[0]


def outputs(**held: Any) -> dict[str, Any]:
    return {"outputs": tensors(**held)["inputs"]}


CATS = ("cat", "dog")


@pytest.mark.parametrize(
    ("body", "how", "expected"),
    [
        # one value
        ({"predictions": [212.5]}, {}, (212.5, None)),
        ({"predictions": [[212.5]]}, {}, (212.5, None)),
        ({"predictions": ["cat"]}, {}, ("cat", None)),
        ({"predictions": [True]}, {}, (True, None)),
        ({"predictions": 5}, {}, (5, None)),
        ({"predictions": [{"output": [3]}]}, {}, (3, None)),
        ({"predictions": {"y": [3]}}, {}, (3, None)),
        (outputs(anything=[[3.5]]), {}, (3.5, None)),
        ({"strData": "cat"}, {}, ("cat", None)),
        # scores of classes
        ({"predictions": [[0.2, 0.8]]}, {}, (1, {"0": 0.2, "1": 0.8})),
        ({"predictions": [[0.5, 0.5]]}, {}, (0, {"0": 0.5, "1": 0.5})),
        ({"predictions": [[0.2, 0.8]]}, {"classes": CATS}, ("dog", {"cat": 0.2, "dog": 0.8})),
        ({"predictions": [[-3.5, 2.0]]}, {"classes": CATS}, ("dog", None)),
        ({"predictions": [{"cat": 0.2, "dog": 0.8}]}, {}, ("dog", {"cat": 0.2, "dog": 0.8})),
        ({"data": {"names": ["t:0", "t:1"], "ndarray": [[0.2, 0.8]]}}, {}, (1, {"0": 0.2, "1": 0.8})),
        ({"data": {"names": ["cat", "dog"], "ndarray": [[0.2, 0.8]]}}, {}, ("dog", {"cat": 0.2, "dog": 0.8})),
        # one probability of two classes
        ({"predictions": [0.8]}, {"classes": CATS}, ("dog", 0.8)),
        ({"predictions": [0.2]}, {"classes": ("0", "1")}, ("0", 0.2)),
        ({"predictions": [1]}, {"classes": ("0", "1")}, (1, None)),
        ({"predictions": ["dog"]}, {"classes": CATS}, ("dog", None)),
        ({"predictions": [3.5]}, {"classes": CATS}, (3.5, None)),
        # several outputs
        ({"predictions": [{"score": 0.8, "predicted_label": 1}]}, {}, (1, 0.8)),
        ({"predictions": [{"prediction": 1, "probability": [0.2, 0.8]}]}, {}, (1, {"0": 0.2, "1": 0.8})),
        ({"predictions": [{"label": ["dog"], "prob": [0.8]}]}, {}, ("dog", {"dog": 0.8})),
        ({"predictions": [{"classes": ["cat", "dog"], "scores": [0.2, 0.7]}]}, {}, ("dog", {"cat": 0.2, "dog": 0.7})),
        ({"predictions": [{"label": 1, "score": -3.5}]}, {}, (1, None)),
        ({"predictions": [{"scores": [0.2, 0.8], "took": 3}]}, {}, (1, {"0": 0.2, "1": 0.8})),
        ({"predictions": [{"a": 7, "b": [0.2, 0.8]}]}, {"prediction": "a", "probability": "b"}, (7, {"0": 0.2, "1": 0.8})),
        ({"predictions": [{"label": 7, "mine": 8}]}, {"prediction": "mine"}, (8, None)),
        (outputs(predict=[1], predict_proba=[[0.2, 0.8]]), {}, (1, {"0": 0.2, "1": 0.8})),
        (outputs(predict=[1], predict_proba=[[0.2, 0.8]]), {"classes": CATS}, (1, {"cat": 0.2, "dog": 0.8})),
        (outputs(output_label=["dog"], output_probability=[[0.2, 0.8]]), {}, ("dog", {"0": 0.2, "1": 0.8})),
        (outputs(**{"serving_default/Label:0": ["dog"], "took": [3]}), {}, ("dog", None)),
        ({"data": {"names": ["label", "score"], "ndarray": [[1, 0.8]]}}, {}, (1, 0.8)),
    ],
)  # fmt: skip
def test_a_response_says_one_prediction_and_perhaps_its_probability(
    body: Any, how: dict[str, Any], expected: Any
) -> None:
    assert said(body, **how) == expected


@pytest.mark.parametrize(
    ("body", "how", "reason"),
    [
        ({"predictions": [None]}, {}, "no_prediction"),
        ({"predictions": [{"label": None, "score": 0.8}]}, {}, "no_prediction"),
        ({"predictions": [{"b64": "/9j/"}]}, {}, "no_prediction"),
        ({"predictions": [[212.5, 100]]}, {}, "many_values"),
        ({"predictions": [["cat", "dog"]]}, {}, "many_values"),
        ({"predictions": [[]]}, {}, "many_values"),
        ({"predictions": [[0.2, 0.8], [3, 4]]}, {}, "many_values"),
        ({"predictions": [{"y": 1, "z": 2}]}, {}, "unnamed_outputs"),
        ({"predictions": [{"label": 1, "scores": ["high"]}]}, {}, "bad_probability"),
        ({"predictions": [{"label": 1}]}, {"prediction": "mine"}, "no_prediction"),
        (outputs(a=[1], b=[2]), {}, "unnamed_outputs"),
        ({"predictions": {"a": [1], "b": [2]}}, {}, "unnamed_outputs"),
    ],
)
def test_a_response_that_does_not_say_which_is_the_prediction_is_refused(
    body: Any, how: dict[str, Any], reason: str
) -> None:
    refused(lambda: said(body, **how), reason)


def test_scores_of_two_classes_are_told_from_the_classes_by_all_rows_of_a_call() -> None:
    body = response_body({"predictions": [0.0, 1.0, 0.3]}, Limits())
    assert outcomes(body, Outcome(classes=("0", "1"))) == [("0", 0.0), ("1", 1.0), ("0", 0.3)]
    body = response_body({"predictions": [0.0, 1.0]}, Limits())
    assert outcomes(body, Outcome(classes=("0", "1"))) == [(0.0, None), (1.0, None)]


def test_names_of_the_list_around_the_scores_are_not_taken_for_those_of_the_classes() -> None:
    with pytest.raises(Unreadable, match="expected numbers as probabilities"):
        _of_named({"labels": [None], "probabilities": [[0.2, 0.8]]}, Outcome())
