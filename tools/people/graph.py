# ruff: noqa
import json

import numpy as np

KEEP = (
    "strides",
    "dilation_rate",
    "kernel_size",
    "padding",
    "epsilon",
    "momentum",
    "max_value",
    "mean",
    "std",
    "factor",
    "block",
    "rate",
)


def graph_of(model):
    out = []
    made = {}
    for op in model.operations:
        nodes = [n for n in op._inbound_nodes]
        node = [n for n in nodes if id(n) in {id(x) for d in model._nodes_by_depth.values() for x in d}][0]
        ins = [t._keras_history.operation.name for t in node.input_tensors]
        c = {k: v for k, v in op.get_config().items() if k in KEEP}
        out.append([op.name, type(op).__name__, c, ins])
    return out


def save(model, path):
    json.dump(graph_of(model), open(path + ".graph.json", "w"))
    w = {}
    for l in model.layers:
        for v in l.weights:
            if "seed" in v.name:
                continue
            w[f"{l.name}/{v.name}"] = np.asarray(v)
    np.savez(path + ".npz", **w)


def restore(model, arrays):
    n = 0
    for l in model.layers:
        for v in l.weights:
            if "seed" in v.name:
                continue
            a = arrays[f"{l.name}/{v.name}"]
            assert a.shape == tuple(v.shape), (l.name, v.name, a.shape, v.shape)
            v.assign(a)
            n += 1
    return n
