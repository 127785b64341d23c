"""Refusals of networks whose parts are known operators that do not fit together."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from sparta_hw.errors import UnsupportedError
from tests.sparta_hw.test_onnx_import_errors import Change, array, attribute, element, inputs


def other(node: str, position: int, values: np.ndarray) -> Change:
    """Another constant at one input of one node."""

    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        model.graph.initializer.append(numpy_helper.from_array(values, "other"))
        inputs(node, position, "other")(model, edit)

    return apply


def everywhere(before: str, after: str) -> Change:
    """Another tensor wherever one is read."""

    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        for node in model.graph.node:
            node.input[:] = [after if name == before else name for name in node.input]

    return apply


def without(*names: str) -> Change:
    """Nodes left out."""

    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        for name in names:
            model.graph.node.remove(edit.node(model, name))

    return apply


PLAIN: dict[str, tuple[Change, str]] = {
    "cells outside of the scale": (
        element("cells.0", 9),
        r"msp\.0 .*a cell is 9, the hardware has 0 to 8; the scale has 9 positions",
    ),
    "all scales pooled": (
        lambda model, edit: edit.set_array(model, "cells.0", np.array([0, 1, 2, 3, 4, 5, 6, 7, 7])),
        r"first\.0: the cells of its MSP are not 3 x 3 equal rectangles of the token grid \(unknown\)",
    ),
    "score not clipped": (
        inputs("score", 0, "msp.0.part"),
        r"score \(Identity\): input 0 \('msp\.0\.part'\) is msp without saturation; Clip it to s12\.4",
    ),
    "score clipped elsewhere": (
        element("highest", 100.0),
        r"msp\.clip \(Clip\): the upper bound is 100\.0, the score unit has 127\.9375",
    ),
    "cue clipped": (
        inputs("msp.clip", 0, "rate.0.part"),
        r"msp\.clip .*: clips rate, which is a sum of cues",
    ),
    "gate of other cells": (
        other("gate.0", 1, np.array([0, 1, 2, 3, 4, 5, 6, 7, 7])),
        r"gate\.0 .*must read the spikes that the cues are taken from, all scales in their order, with the cells",
    ),
    "gate that is neither signed nor not": (
        attribute("gate.0", "signed", 2),
        r"gate\.0 .*signed is 2, it must be 0 or 1",
    ),
    "gain of another ranking": (
        inputs("gain", 0, "score"),
        r"gain \(sparta::TokenGain\): input 0 \('score'\) must be the result of TopKTokens, it is that of FuseScores",
    ),
    "group that is no identity": (
        element("group", 1),
        r"gate\.0 .*the group is a constant, which must be 0 to 8 of shape \[1, 9\]",
    ),
    "factor other than 1": (element("timing", 0.5), r"gain .*timing is 0\.5 for all scores; use 1, or 128"),
    "table of another size": (
        lambda model, edit: edit.set_array(model, "temperature", np.ones(64, np.float32)),
        r"attention\.0 .*temperature has shape \[64\], not \[128\] or \[1\]",
    ),
    "heads that do not divide": (
        attribute("attention.0", "heads", 4),
        r"attention\.0 .*heads is 4, which does not divide 6 features",
    ),
    "attention masked by the score": (
        inputs("attention.0", 3, "score"),
        r"attention\.0 .*input 3 \('score'\) must be msp of the tokens, it is Result; see the chains",
    ),
    "K of another tensor": (
        other("attention.0", 6, np.array([4])),
        r"attention\.0 .*reads K from 'other', others read it from 'k'; use one tensor",
    ),
    "own K without dynamic K": (
        element("k", 0),
        r"topk .*the default of k is 0, the hardware has 1 to 9; the network has 9",
    ),
}

FULL: dict[str, tuple[Change, str]] = {
    "time of pixels on another axis": (
        element("stem.0.axis", 1),
        r"stem\.0\.step \(Unsqueeze\): axes are \[1\], time is the first axis: \[0\]",
    ),
    "pixels without time": (
        inputs("stem.0.hilif", 0, "stem.0.current"),
        r"stem\.0\.hilif .*reads a Conv of pixels without time; Unsqueeze it and Expand it to T steps",
    ),
    "steps that are not expanded": (
        element("stem.0.steps", 0),
        r"stem\.0\.expand \(Expand\): the shape is \[0, 1, 1, 1, 1\], it must be \[T, 1, 1, 1, 1\]",
    ),
    "expanded without an axis": (
        inputs("stem.0.expand", 0, "stem.0.current"),
        r"stem\.0\.expand .*reads a Conv that has no axis for the time; Unsqueeze it at axis 0",
    ),
    "thresholds on another grid": (
        attribute("stem.1.offset", "frac", 7),
        r"stem\.1\.hilif .*v_th moves on grid 2\^-7, frac is 8; give ThresholdOffset the same frac",
    ),
    "gain of the feedback": (
        attribute("stem.1.offset", "gain", 256),
        r"stem\.1\.offset \(sparta::ThresholdOffset\): gain is 256, the hardware has 0 to 255",
    ),
    "limit of the feedback": (
        attribute("stem.1.offset", "limit", -1),
        r"stem\.1\.offset .*limit is -1, the hardware has 0 to 4095",
    ),
    "state that is not 0": (
        element("state", 5),
        r"stem\.0\.offset .*the default of the state is 5, it must be 0",
    ),
    "state of another tensor": (
        other("feedback", 0, np.zeros(1, np.int64)),
        r"feedback .*reads the state from 'other', others read it from 'state'; use one",
    ),
    "feedback that is not closed": (
        lambda model, edit: [without("feedback", "activity")(model, edit), model.graph.output.pop()],
        r"state: thresholds follow this state, which no sparta::Feedback writes",
    ),
    "feedback of one layer": (
        inputs("feedback", 1, "attention.1"),
        r"feedback .*reads the attention of 1 of 2 layers; Concat all of them in their order",
    ),
    "feedback on another grid": (
        attribute("feedback", "frac", 5),
        r"feedback .*frac is 5, only 4 is supported; it must be the grid of 'attention\.0'",
    ),
    "feedback target": (
        attribute("feedback", "target", 1 << 16),
        r"feedback .*target is 65536, .* 0 to 65535",
    ),
    "feedback rate": (attribute("feedback", "rate_shift", 16), r"feedback .*rate_shift is 16, .* 0 to 15"),
    "cells that overlap": (
        lambda model, edit: edit.set_array(model, "cells.2", np.roll(edit.array(model, "cells.2"), 1)),
        r"first\.2: the cells of its MSP are not 2 x 2 equal rectangles of the token grid \(4 x 4\), row by row",
    ),
    "cells of fewer tokens": (
        lambda model, edit: edit.set_array(model, "cells.2", edit.array(model, "cells.2")[:12]),
        r"msp\.add\.2 \(Add\): adds 16 to 12 grid tokens; cells must have one entry a grid token",
    ),
    "sum of two fields": (
        inputs("msp.add.2", 1, "rate.2.part"),
        r"msp\.add\.2 \(Add\): adds msp to rate; add the same results of each MSP",
    ),
    "scale twice": (inputs("msp.add.2", 1, "msp.1.part"), r"msp\.add\.2 .*adds a scale twice"),
    "score of some scales": (
        inputs("temporal.clip", 0, "temporal.1.sum"),
        r"fusion .*input 2 \('temporal\.grouped'\) is temporal of 2 of 3 scales; add up the results of every MSP",
    ),
    "rate of some scales": (
        inputs("group", 0, "rate.1.sum"),
        r"group .*input 0 \('rate\.1\.sum'\) is rate of 2 of 3 scales; add up",
    ),
    "another sum of the rates": (
        lambda model, edit: [
            model.graph.node.insert(
                list(model.graph.node).index(edit.node(model, "spatial")),
                helper.make_node("Add", ["rate.1.sum", "rate.2.part"], ["again"], name="again"),
            ),
            inputs("spatial", 0, "again")(model, edit),
        ],
        r"spatial .*input 0 \('again'\) is rate again, which others read from 'rate\.2\.sum'; use one tensor",
    ),
    "scores of another MSP": (
        lambda model, edit: [
            model.graph.node.insert(
                list(model.graph.node).index(edit.node(model, "spatial")),
                helper.make_node(
                    "MSP",
                    list(edit.node(model, "msp.2").input),
                    [f"extra.{n}" for n in range(5)],
                    name="extra",
                    domain="sparta",
                    frac=3,
                ),
            ),
            model.graph.node.insert(
                list(model.graph.node).index(edit.node(model, "spatial")),
                helper.make_node("Add", ["rate.1.sum", "extra.4"], ["again"], name="again"),
            ),
            inputs("spatial", 0, "again")(model, edit),
        ],
        r"spatial .*input 0 \('again'\) comes from other nodes of MSP than the rest of the record",
    ),
    "cue for another": (
        everywhere("first.grouped", "interval.grouped"),
        r"dynamic_k .*input 0 \('interval\.grouped'\) is interval, it must be first",
    ),
    "field that no tensor has": (
        lambda model, edit: [
            change(model, edit)
            for change in (
                without("first.add.2", "first.grouping", "dynamic_k", "ranking", "priority", "gated"),
                everywhere("index", "winners"),
                everywhere("chosen_k", "k"),
                element("k", 3),
            )
        ],
        r"msp\.0 \(sparta::MSP\): no tensor is first of all 3 scales; add up the results of every MSP",
    ),
    "clipped twice": (
        inputs("temporal.clip", 0, "rate.2.sum"),
        r"temporal\.clip \(Clip\): clips rate, which is a sum of cues",
    ),
    "scales in another order": (
        lambda model, edit: edit.node(model, "tokens").input.reverse(),
        r"tokens \(Concat\): must read the spikes that the cues are taken from, all scales in their order",
    ),
    "tokens of some scales": (
        lambda model, edit: [edit.node(model, "tokens").input.pop(), without("gate.2")(model, edit)],
        r"tokens \(Concat\): must read the spikes that the cues are taken from",
    ),
    "scales on other grids": (
        attribute("gate.1", "frac", 3),
        r"tokens .*joins tokens s8\.3 to tokens s8\.4",
    ),
    "features of another axis": (
        attribute("tokens", "axis", 1),
        r"tokens \(Concat\): axis is 1, features are axis 2",
    ),
    "grid tokens instead of groups": (
        inputs("fusion", 1, "msp"),
        r"fusion .*input 1 \('msp'\) has a value for each grid token; gather those of the group",
    ),
    "group gathered along samples": (
        attribute("msp.grouping", "axis", 0),
        r"msp\.grouping \(GatherElements\): axis is 0, only 1 is supported; gather along the tokens",
    ),
    "no groups": (attribute("group", "tokens", 0), r"group .*tokens is 0, it must be at least 1"),
    "grid of another shape": (
        attribute("spatial", "height", 8),
        r"spatial .*height and width are 8 and 4, the token grid is 4 x 4",
    ),
    "too much inhibition": (
        attribute("spatial", "inhibition", 128),
        r"spatial .*inhibition on grid 2\^-6 is 128, the hardware has 0 to 127",
    ),
    "scores on other grids": (
        attribute("fusion", "fracs", [4, 4, 4]),
        r"fusion \(sparta::TokenMLP\): fracs are \[4, 4, 4\], the grids of its inputs are \[3, 4, 4\]",
    ),
    "score on another grid": (attribute("fusion", "frac", 5), r"fusion .*frac is 5, only 4 is supported"),
    "scores in another order": (
        inputs("fusion", 1, "temporal.grouped"),
        r"fusion .*input 1 \('temporal\.grouped'\) is temporal, it must be msp",
    ),
    "score instead of the spatial one": (
        inputs("fusion", 0, "msp.grouped"),
        r"fusion .*input 0 \('msp\.grouped'\) must be the result of CentreSurround, it is Grouped",
    ),
    "MLP of other units": (
        array("fusion.hidden_weight", lambda values: values[:4]),
        r"fusion .*hidden_weight has shape \[4, 3\], it must be \[8, 3\]",
    ),
    "MLP of real numbers": (
        lambda model, edit: edit.set_array(model, "fusion.weight", np.ones(8, np.float32)),
        r"fusion .*weight is float32; store it as integers",
    ),
    "MLP with a large bias": (
        element("priority.bias", 1 << 23),
        r"priority .*an entry of bias is 8388608, the hardware has -8388608 to 8388607",
    ),
    "MLP shift": (attribute("dynamic_k", "shift", 32), r"dynamic_k .*shift is 32, the hardware has 0 to 31"),
    "K above the tokens": (
        element("k_table", 11),
        r"dynamic_k .*an entry of the table of K is 11, the hardware has 1 to 10; the network has 10 tokens",
    ),
    "K asked for above the tokens": (
        element("k", 11),
        r"dynamic_k .*the default of k is 11, the hardware has 0 to 10; .* 0 is each sample's own",
    ),
    "asked K next to the own one": (
        inputs("gain", 1, "k"),
        r"gain .*reads K from 'k', others read it from 'chosen_k'; use one tensor",
    ),
    "own K of no ranking": (
        everywhere("chosen_k", "dynamic_k"),
        r"topk .*input 1 \('dynamic_k'\) must be k, or the second result of DynamicK, it is Result",
    ),
    "priority of rates before the gate": (
        inputs("priority", 2, "rate.grouped"),
        r"priority .*input 0 \('first\.grouped'\) must be the result of CentreSurround, it is Grouped",
    ),
    "attention to the winners": (
        inputs("attention.1", 5, "winners"),
        r"attention\.1 .*attends to 'winners', which is not what GatherTokens gathers",
    ),
    "gain of the attending tokens": (
        everywhere("winners", "index"),
        r"gain .*input 0 reads 'index', which nothing before it writes",
    ),
    "attention before the tokens": (
        lambda model, edit: edit.node(model, "join").input.reverse(),
        r"join \(Concat\): joins neither tokens with their attention, in this order",
    ),
    "attention of other tokens": (
        inputs("key.1", 0, "selected"),
        r"attention\.1 .*query, key and value must be projections of the same tokens",
    ),
    "hidden of unsigned tokens": (
        lambda model, edit: [edit.set_attribute(model, f"gate.{scale}", "signed", 0) for scale in range(3)],
        r"join .*joins 'selected' u8\.4 with 'attention\.0' s8\.4; the weights of both need one grid",
    ),
    "hidden of another width": (
        array("hidden.0.weight.int", lambda values: values[:24]),
        r"hidden\.0 \(MatMul\): the weight reads 24 features, not 48",
    ),
    "first layer skipped": (
        inputs("pool", 1, "tokens.total"),
        r"pool \(Add\): adds sums other than one of the gated tokens and one of the last attention",
    ),
    "attention of the first layer pooled": (
        inputs("attention.sum", 0, "attention.0"),
        r"pool \(Add\): adds sums other than one of the gated tokens and one of the last attention",
    ),
    "pixels of five dimensions": (
        lambda model, edit: model.graph.input[0].type.tensor_type.shape.dim.add(),
        r"input 'pixels' has shape \?x2x8x8x\?; export it as .* for direct coding as \[batch, C, H, W\]",
    ),
}


@pytest.mark.parametrize("case", PLAIN)
def test_refuses_of_the_plain_network(
    case: str, model: ModelProto, edit: SimpleNamespace, load: Callable
) -> None:
    change, message = PLAIN[case]
    change(model, edit)
    with pytest.raises(UnsupportedError, match=message):
        load(model)


@pytest.mark.parametrize("case", FULL)
def test_refuses_of_the_full_network(
    case: str, full_model: ModelProto, edit: SimpleNamespace, load: Callable
) -> None:
    change, message = FULL[case]
    change(full_model, edit)
    with pytest.raises(UnsupportedError, match=message):
        load(full_model)
