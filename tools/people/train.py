# ruff: noqa
"""Train `people`; see README.md."""

import argparse
import copy
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import network as torchnet
from augment import batch, dct_matrix
from data import Data, load


def loss_of(z, m, t, ht, a, dice_w):
    """z (n,2,h,w) logits"""
    d = (z[:, 1] - z[:, 0]).float()
    n = len(d)
    y = (m == 1).float()
    known = m != 255
    known = known & ~((ht == 3).view(n, 1, 1) & ((t - y).abs() > 0.5))
    lab = (ht == 2).view(n, 1, 1)
    hast = (ht >= 1).view(n, 1, 1)
    agree = (t - y).abs() < 0.6
    ty = torch.where(known & hast & agree, (1 - a) * y + a * t, y)
    ty = torch.where(~known & hast, t, ty)
    w = torch.where(known, 1.0, 0.0) * torch.where(lab, 0.0, 1.0)
    w = w + torch.where(~known & hast, torch.where(lab, 0.6, 0.3), torch.zeros_like(t))
    yy = torch.where(known, y, t)[:, None]
    edge = (F.max_pool2d(yy, 7, 1, 3) + F.max_pool2d(-yy, 7, 1, 3))[:, 0].clamp(0, 1)
    w = w * (1 + 1.5 * edge)
    ce = F.binary_cross_entropy_with_logits(d, ty, reduction="none")
    ce = (ce * w).sum() / w.sum()
    p = torch.sigmoid(d)
    k = known.float() * (w > 0)
    inter = (p * y * k).sum((1, 2))
    tot = ((p + y) * k).sum((1, 2))
    yes = ((y * k).sum((1, 2)) > 60).float() * (~lab.view(n)).float()
    dice = ((1 - (2 * inter + 30) / (tot + 30)) * yes).sum() / yes.sum().clamp(min=1)
    return ce + dice_w * dice, ce, dice


CUTS = (0, 0.1, 0.2, 0.3, 0.5, 1.01)


@torch.no_grad()
def validate(net, V, dev, bs=64):
    net.eval()
    per = {}
    conf = np.zeros((5, 2, 2))
    ious = [[] for _ in range(5)]
    empty = {}
    pixels = [0, 0]
    for a in range(0, len(V["x"]), bs):
        x = V["x"][a : a + bs].to(dev).permute(0, 3, 1, 2).float()
        with torch.autocast(dev.type, torch.bfloat16, enabled=dev.type == "cuda"):
            z = net(x)
        p = (z[:, 1] > z[:, 0]).cpu().numpy()
        ms = V["m"][a : a + bs].numpy()
        for q in range(len(p)):
            m = ms[q]
            kind = V["kind"][a + q]
            k = m != 255
            y = m == 1
            if not y.any():
                empty.setdefault(kind, []).append(p[q][k].mean())
                continue
            s = np.searchsorted(CUTS, y.mean(), "right") - 1
            c = np.array(
                [
                    [(~y & ~p[q] & k).sum(), (~y & p[q] & k).sum()],
                    [(y & ~p[q] & k).sum(), (y & p[q] & k).sum()],
                ],
                float,
            )
            conf[s] += c
            iou = c.diagonal() / np.maximum(c.sum(0) + c.sum(1) - c.diagonal(), 1)
            ious[s].append(iou.mean())
            per.setdefault(kind, []).append(iou.mean())
    f = lambda c: float(np.mean(c.diagonal() / np.maximum(c.sum(0) + c.sum(1) - c.diagonal(), 1)))
    net.train()
    return dict(
        slices=[round(f(c), 4) for c in conf],
        all=round(f(conf.sum(0)), 4),
        per_image=[round(float(np.mean(i)), 4) if i else None for i in ious],
        n=[len(i) for i in ious],
        mean_image=round(float(np.mean(sum(ious, []))), 4),
        empty={k: round(float(np.mean(v)), 5) for k, v in empty.items()},
        kinds={k: round(float(np.mean(v)), 4) for k, v in per.items()},
    )


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default="/tmp")
    ap.add_argument("--net", default="people")
    ap.add_argument("--out", default=".")
    ap.add_argument("--name", default="people")
    ap.add_argument("--seconds", type=float, default=300)
    ap.add_argument("--batch", type=int, default=256)
    ap.add_argument("--size", type=int, nargs=2, default=(256, 256))
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--backbone-lr", type=float, default=0.5)
    ap.add_argument("--wd", type=float, default=0.02)
    ap.add_argument("--ema", type=float, default=0.999)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--alpha", type=float, default=0.35)
    ap.add_argument("--dice", type=float, default=0.5)
    ap.add_argument("--portrait", type=float, default=0.0)
    ap.add_argument("--freeze-bn", action="store_true")
    ap.add_argument("--warm", type=int, default=150)
    ap.add_argument("--cpu", action="store_true")
    ap.add_argument("--limit", type=int)
    ap.add_argument("--max-steps", type=int, default=10**9)
    ap.add_argument("--evals", type=int, default=6)
    ap.add_argument("--nchw", action="store_true")
    ap.add_argument("--neg", type=float, default=0.2)
    ap.add_argument("--paste", type=float, default=0.2)
    ap.add_argument("--trainall", action="store_true")
    A = ap.parse_args()
    t0 = time.time()
    dev = torch.device("cpu" if A.cpu else "cuda")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = False
    idx, R = load(A.data, A.limit, 2 if A.cpu else 16)
    D = Data(idx, R, dev, A.trainall)
    vi = [i for i, r in enumerate(R) if r[8] is not None]
    V = dict(
        x=torch.from_numpy(np.stack([R[i][8][0] for i in vi])),
        m=torch.from_numpy(np.stack([R[i][8][1] for i in vi])),
        kind=[idx[i][0] for i in vi],
    )
    del R
    print("loaded", round(time.time() - t0, 1), "val", len(vi), flush=True)
    torch.manual_seed(A.seed)
    g = torch.Generator(device=dev)
    g.manual_seed(A.seed)
    net = torchnet.load(A.net).to(dev)
    fmt = torch.contiguous_format if A.nchw else torch.channels_last
    net = net.to(memory_format=fmt)
    net.train()
    head = lambda k: not (k.split(".")[1].startswith(("stem", "block")))
    ps = [(k, p) for k, p in net.named_parameters()]
    groups = [
        dict(
            params=[p for k, p in ps if head(k) == hd and (p.ndim > 1) == wdq],
            lr=A.lr * (1 if hd else A.backbone_lr),
            weight_decay=A.wd if wdq else 0.0,
        )
        for hd in (False, True)
        for wdq in (False, True)
    ]
    for q in groups:
        q["base"] = q["lr"]
    opt = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=not A.cpu)
    ema = {k: v.detach().clone().float() for k, v in net.state_dict().items() if v.is_floating_point()}
    keys = list(ema)
    ema_net = copy.deepcopy(net)
    dm = dct_matrix(dev)
    mix = dict(neg=A.neg, paste=A.paste, unl=0.08, whole=0.4, portrait=A.portrait)

    def ev(step, tag):
        sd = ema_net.state_dict()
        for k in keys:
            sd[k].copy_(ema[k])
        r = validate(ema_net, V, dev)
        r["step"] = step
        r["t"] = round(time.time() - t0, 1)
        print(tag, json.dumps(r), flush=True)
        return r

    def save(name):
        np.savez(
            os.path.join(A.out, name),
            **{k: v.astype(np.float32) for k, v in net.arrays({**net.state_dict(), **ema}).items()},
        )

    start = time.time()
    step = 0
    due = 1
    warm = A.warm
    frac = 0.0
    mark = (start, 0)
    while frac < 1 and step < A.max_steps:
        frac = max((time.time() - start) / A.seconds, step / A.max_steps if A.max_steps < 10**9 else 0)
        mult = min(1, (step + 1) / warm) * max(0.5 * (1 + np.cos(np.pi * min(frac, 1))), 0.002)
        for q in opt.param_groups:
            q["lr"] = q["base"] * mult
        if A.freeze_bn:
            for mod in net.modules():
                if isinstance(mod, torch.nn.BatchNorm2d):
                    mod.eval()
        with torch.no_grad():
            img, m, t, ht = batch(D, A.batch, tuple(A.size), g, dm, mix)
        img = img.contiguous(memory_format=fmt)
        with torch.autocast(dev.type, torch.bfloat16, enabled=not A.cpu):
            z = net(img)
        loss, ce, dice = loss_of(z, m, t, ht, A.alpha, A.dice)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in ps], 5.0)
        opt.step()
        with torch.no_grad():
            sd = net.state_dict()
            dk = min(A.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_([ema[k] for k in keys], [sd[k].float() for k in keys], 1 - dk)
        step += 1
        if step in (5, 20, 50, 100) or step % 200 == 0:
            l = [round(float(v), 4) for v in (loss, ce, dice)]
            now = time.time()
            print(
                "step",
                step,
                "t",
                round(now - start, 1),
                l,
                "img/s",
                round((step - mark[1]) * A.batch / (now - mark[0])),
                flush=True,
            )
            mark = (now, step)
            assert np.isfinite(l[0])
        if A.evals and frac * A.evals >= due and frac < 0.97:
            ev(step, "val")
            due += 1
    r = {} if A.evals < 0 else ev(step, "final")
    save(A.name + "_ema.npz")
    json.dump(
        dict(
            args=vars(A),
            steps=step,
            seconds=round(time.time() - start, 1),
            result=r,
            device=torch.cuda.get_device_name() if not A.cpu else "cpu",
        ),
        open(os.path.join(A.out, A.name + ".json"), "w"),
    )
    print("total", round(time.time() - t0, 1))


if __name__ == "__main__":
    main()
