# ruff: noqa
"""A Keras functional graph (graph.json + weights.npz) as a PyTorch module."""

import json

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def pads(size, k, s, d):
    total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
    return total // 2, total - total // 2


class Conv(nn.Module):
    def __init__(s, c, w, b, depthwise):
        super().__init__()
        s.stride, s.dil, s.k = c["strides"][0], c["dilation_rate"][0], c["kernel_size"][0]
        s.same = c["padding"] == "same"
        w = torch.from_numpy(
            np.ascontiguousarray(w.transpose(2, 3, 0, 1) if depthwise else w.transpose(3, 2, 0, 1)).astype(
                "float32"
            )
        )
        s.weight = nn.Parameter(w.contiguous(memory_format=torch.channels_last))
        s.groups = w.shape[0] if depthwise else 1
        s.bias = None if b is None else nn.Parameter(torch.from_numpy(b.astype("float32")))

    def forward(s, x):
        p = 0
        if s.same and s.k > 1:
            t, bt = pads(x.shape[2], s.k, s.stride, s.dil)
            l, r = pads(x.shape[3], s.k, s.stride, s.dil)
            if t == bt == l == r:
                p = t
            else:
                x = F.pad(x, (l, r, t, bt))
        return F.conv2d(x, s.weight, s.bias, s.stride, p, s.dil, s.groups)


class Net(nn.Module):
    def __init__(s, graph, weights):
        super().__init__()
        s.graph = graph
        s.mods = nn.ModuleDict()
        for n, kind, c, ins in graph:
            key = n.replace(".", "_")
            g = lambda v: weights[f"{n}/{v}"].astype("float32") if f"{n}/{v}" in weights else None
            if kind in ("Conv2D", "DepthwiseConv2D"):
                s.mods[key] = Conv(c, g("kernel"), g("bias"), kind != "Conv2D")
            elif kind == "BatchNormalization":
                b = nn.BatchNorm2d(len(g("gamma")), eps=c["epsilon"], momentum=1 - c["momentum"])
                with torch.no_grad():
                    for t, v in (
                        (b.weight, "gamma"),
                        (b.bias, "beta"),
                        (b.running_mean, "moving_mean"),
                        (b.running_var, "moving_variance"),
                    ):
                        t.copy_(torch.from_numpy(g(v)))
                s.mods[key] = b

    def arrays(s, state=None):
        """Keras arrays by layer/variable."""
        out = {}
        sd = state or s.state_dict()
        names = {n.replace(".", "_"): n for n, *_ in s.graph}
        for k, v in sd.items():
            _, key, var = k.split(".")
            n = names[key]
            v = v.detach().float().cpu().numpy()
            if var == "num_batches_tracked":
                continue
            m = s.mods[key]
            if isinstance(m, Conv):
                if var == "weight":
                    v = v.transpose(2, 3, 0, 1) if m.groups > 1 else v.transpose(2, 3, 1, 0)
                    var = "kernel"
            else:
                var = {
                    "weight": "gamma",
                    "bias": "beta",
                    "running_mean": "moving_mean",
                    "running_var": "moving_variance",
                }[var]
            out[f"{n}/{var}"] = np.ascontiguousarray(v)
        return out

    def forward(s, x, until=None):
        t = {}
        uses = {}
        for n, kind, c, ins in s.graph:
            a = [t[i] for i in ins]
            key = n.replace(".", "_")
            if kind == "InputLayer":
                y = x
            elif key in s.mods:
                y = s.mods[key](a[0])
            elif kind == "ReLU":
                y = F.relu6(a[0]) if c.get("max_value") == 6 else F.relu(a[0])
            elif kind == "Add":
                y = a[0] + a[1]
            elif kind == "Concatenate":
                y = torch.cat(a, 1)
            elif kind == "Normalize":
                y = (a[0].float() - torch.tensor(c["mean"], device=x.device).view(1, 3, 1, 1)) / torch.tensor(
                    c["std"], device=x.device
                ).view(1, 3, 1, 1)
            elif kind == "ZeroPadding2D":
                (p, q), (r, u) = c["padding"]
                y = F.pad(a[0], (r, u, p, q))
            elif kind == "PadToMultiple":
                f = c["factor"]
                h, w = a[0].shape[2:]
                y = F.pad(a[0], (0, -w % f, 0, -h % f)) if (h % f or w % f) else a[0]
            elif kind == "ResizeLike":
                f = c["factor"]
                h, w = a[1].shape[2:]
                if f is None:
                    y = F.interpolate(a[0], size=(h, w), mode="bilinear", align_corners=False)
                else:
                    y = F.interpolate(a[0].float(), scale_factor=f, mode="bilinear", align_corners=False)[
                        :, :, :h, :w
                    ]
            elif kind == "DepthToSpace":
                b = c["block"]
                B, C, h, w = a[0].shape
                y = (
                    a[0]
                    .float()
                    .view(B, b, b, C // b**2, h, w)
                    .permute(0, 3, 4, 1, 5, 2)
                    .reshape(B, C // b**2, h * b, w * b)
                )
            elif kind == "CropLike":
                h, w = a[1].shape[2:]
                y = a[0][:, :, :h, :w]
            elif kind == "GlobalAveragePooling2D":
                y = a[0].mean((2, 3), keepdim=True)
            elif kind == "Dropout":
                y = F.dropout(a[0], c["rate"], s.training)
            else:
                raise ValueError(kind)
            t[n] = y
            if n == until:
                return y
        return y


def load(path):
    g = json.load(open(path + ".graph.json"))
    w = np.load(path + ".npz")
    return Net(g, {k: w[k] for k in w.files})
