# ruff: noqa
"""Go on with the preset `camvid` on a GPU; see README.md."""

import argparse, json, os, sys, time, copy, numpy as np, cv2, torch, torch.nn.functional as F
from multiprocessing import Pool

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import network as torchnet
from augment import rnd, light, gauss

N = 11


def dec(a):
    i, m = a
    return cv2.imdecode(np.frombuffer(i, np.uint8), 1)[:, :, ::-1].copy(), cv2.imdecode(
        np.frombuffer(m, np.uint8), 0
    )


def load(path, procs):
    idx = json.load(open(path + ".json"))
    B = open(path + ".bin", "rb").read()
    with Pool(procs) as p:
        R = p.map(dec, [(B[o : o + a], B[o + a : o + a + b]) for s, n, o, a, b in idx], chunksize=8)
    return [e[0] for e in idx], np.stack([r[0] for r in R]), np.stack([r[1] for r in R])


def sample(I, M, cl, i, g, size, dev):
    n = len(i)
    H, W = I.shape[2:]
    h, w = size
    s = torch.exp(rnd(n, float(np.log(0.55)), float(np.log(2.1)), g))
    asp = torch.exp(rnd(n, -0.15, 0.15, g))
    sx, sy = w / s * asp.sqrt(), h / s / asp.sqrt()
    sx, sy = sx.clamp(max=W * 1.25), sy.clamp(max=H * 1.25)
    cx, cy = torch.rand(n, generator=g, device=dev) * W, torch.rand(n, generator=g, device=dev) * H
    # half of the crops stand about a pixel of a class drawn evenly
    k = torch.randint(0, N, (n,), generator=g, device=dev)
    pt = cl[i, k]  # (n,16,2)
    j = torch.randint(0, 16, (n,), generator=g, device=dev)
    p = pt[torch.arange(n, device=dev), j]
    use = (p[:, 0] >= 0) & (torch.rand(n, generator=g, device=dev) < 0.5)
    cx = torch.where(use, p[:, 0] + (torch.rand(n, generator=g, device=dev) - 0.5) * sx * 0.7, cx)
    cy = torch.where(use, p[:, 1] + (torch.rand(n, generator=g, device=dev) - 0.5) * sy * 0.7, cy)
    mid = lambda c, s, L: torch.where(
        s < L, torch.minimum(torch.maximum(c, s / 2), L - s / 2), torch.full_like(c, L / 2)
    )
    cx, cy = mid(cx, sx, W), mid(cy, sy, H)
    fl = torch.where(torch.rand(n, generator=g, device=dev) < 0.5, -1.0, 1.0)
    ang = torch.randn(n, generator=g, device=dev).clamp(-2, 2) * 0.035
    v, u = torch.meshgrid(
        (torch.arange(h, device=dev) + 0.5) / h - 0.5,
        (torch.arange(w, device=dev) + 0.5) / w - 0.5,
        indexing="ij",
    )
    r = lambda t: t.view(n, 1, 1)
    px, py = u[None] * r(sx * fl), v[None] * r(sy)
    x = r(cx) + px * r(ang.cos()) - py * r(ang.sin())
    y = r(cy) + px * r(ang.sin()) + py * r(ang.cos())
    out = (x < 0) | (y < 0) | (x > W) | (y > H)
    img = F.grid_sample(
        I[i].float(),
        torch.stack([x * 2 / W - 1, y * 2 / H - 1], -1),
        padding_mode="border",
        align_corners=False,
    )
    xi, yi = x.floor().long().clamp(0, W - 1), y.floor().long().clamp(0, H - 1)
    m = M[i].view(n, -1).gather(1, (yi * W + xi).view(n, -1)).view(n, h, w)
    return img, torch.where(out, torch.full_like(m, 11), m)


@torch.no_grad()
def validate(net, x, m, dev, flip=False):
    net.eval()
    c = torch.zeros(N, N, device=dev)
    for a in range(0, len(x), 16):
        with torch.autocast(dev.type, torch.bfloat16, enabled=dev.type == "cuda"):
            z = net(x[a : a + 16].float())
        p = z.argmax(1)
        y = m[a : a + 16].long()
        k = y < N
        c += torch.bincount(y[k] * N + p[k], minlength=N * N).view(N, N)
    net.train()
    iou = (c.diagonal() / (c.sum(0) + c.sum(1) - c.diagonal())).cpu().numpy()
    return round(float(iou.mean()), 4), [round(float(v), 3) for v in iou]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default="/tmp/camvid")
    ap.add_argument("--net", default="camvid")
    ap.add_argument("--out", default=".")
    ap.add_argument("--name", default="camvid")
    ap.add_argument("--seconds", type=float, default=100)
    ap.add_argument("--batch", type=int, default=24)
    ap.add_argument("--size", type=int, nargs=2, default=(288, 384))
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--ema", type=float, default=0.995)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--cpu", action="store_true")
    ap.add_argument("--max-steps", type=int, default=10**9)
    ap.add_argument("--evals", type=int, default=5)
    ap.add_argument("--wd", type=float, default=0.03)
    ap.add_argument("--freeze-early", action="store_true")
    ap.add_argument("--trainall", action="store_true")
    A = ap.parse_args()
    t0 = time.time()
    dev = torch.device("cpu" if A.cpu else "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    split, I, M = load(A.data, 2 if A.cpu else 16)
    tr = np.array([s == "train" or A.trainall for s in split])
    va = np.array([s == "val" for s in split])
    rs = np.random.default_rng(0)
    cl = -np.ones((int(tr.sum()), N, 16, 2), np.float32)
    for q, m in enumerate(M[tr]):
        for k in range(N):
            y, x = np.nonzero(m[::2, ::2] == k)
            if len(y) > 20:
                j = rs.integers(0, len(y), 16)
                cl[q, k, :, 0] = x[j] * 2
                cl[q, k, :, 1] = y[j] * 2
    cnt = np.bincount(M[tr].ravel(), minlength=12)[:11].astype(float)
    f = cnt / cnt.sum()
    w = (np.median(f) / f) ** 0.35
    w = np.clip(w / w.mean(), 0.5, 2.5)
    print("weights", np.round(w, 2))
    w = torch.tensor(w, dtype=torch.float32, device=dev)
    cl = torch.from_numpy(cl).to(dev)
    T = lambda a: torch.from_numpy(a).to(dev)
    Im, Mm = T(I[tr]).permute(0, 3, 1, 2).contiguous(), T(M[tr])
    Vx, Vm = T(I[va]).permute(0, 3, 1, 2).contiguous(), T(M[va])
    g = torch.Generator(device=dev)
    g.manual_seed(A.seed)
    torch.manual_seed(A.seed)
    net = torchnet.load(A.net).to(dev)
    print(
        "start",
        validate(net, Vx[: 2 if A.cpu else None], Vm[: 2 if A.cpu else None], dev),
        round(time.time() - t0, 1),
        flush=True,
    )
    net.train()
    ps = list(net.named_parameters())
    head = lambda k: not k.split(".")[1].startswith(("stem", "block"))
    opt = torch.optim.AdamW(
        [
            dict(
                params=[p for k, p in ps if head(k) == hd and (p.ndim > 1) == d],
                lr=A.lr * (1 if hd else 0.5),
                base=A.lr * (1 if hd else 0.5),
                weight_decay=A.wd if d else 0,
            )
            for hd in (0, 1)
            for d in (0, 1)
        ],
        betas=(0.9, 0.99),
        fused=not A.cpu,
    )
    ema = {k: v.detach().clone().float() for k, v in net.state_dict().items() if v.is_floating_point()}
    keys = list(ema)
    en = copy.deepcopy(net)
    start = time.time()
    step = 0
    frac = 0
    due = 1

    def ev(tag):
        sd = en.state_dict()
        for k in keys:
            sd[k].copy_(ema[k])
        r = validate(en, Vx[: 2 if A.cpu else None], Vm[: 2 if A.cpu else None], dev)
        print(tag, step, round(time.time() - start, 1), r, flush=True)
        return r

    while frac < 1 and step < A.max_steps:
        frac = (time.time() - start) / A.seconds
        mult = min(1, (step + 1) / 50) * max(0.5 * (1 + np.cos(np.pi * min(frac, 1))), 0.002)
        for q in opt.param_groups:
            q["lr"] = q["base"] * mult
        with torch.no_grad():
            i = torch.randint(0, len(Im), (A.batch,), generator=g, device=dev)
            img, m = sample(Im, Mm, cl, i, g, tuple(A.size), dev)
            img = light(img, g, dev)
            s = torch.randperm(A.batch, generator=g, device=dev)[: max(A.batch // 6, 1)]
            img[s] = gauss(img[s], 1.0)
        with torch.autocast(dev.type, torch.bfloat16, enabled=not A.cpu):
            z = net(img)
        y = m.long()
        y = torch.where(y >= N, torch.full_like(y, -100), y)
        ce = F.cross_entropy(z.float(), y, weight=w, reduction="none", ignore_index=-100)
        k = y >= 0
        loss = ce.sum() / w[y.clamp(min=0)][k].sum()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in ps], 5.0)
        opt.step()
        step += 1
        with torch.no_grad():
            sd = net.state_dict()
            torch._foreach_lerp_(
                [ema[k] for k in keys],
                [sd[k].float() for k in keys],
                1 - min(A.ema, (1 + step) / (10 + step)),
            )
        if step in (5, 20, 50) or step % 200 == 0:
            print("step", step, round(time.time() - start, 1), round(float(loss.detach()), 4), flush=True)
        if frac * A.evals >= due and frac < 0.97:
            ev("val")
            due += 1
    r = ev("final")
    np.savez(
        os.path.join(A.out, A.name + "_ema.npz"),
        **{k: v.astype(np.float32) for k, v in net.arrays({**net.state_dict(), **ema}).items()},
    )
    json.dump(
        dict(args=vars(A), steps=step, seconds=round(time.time() - start, 1), result=r),
        open(os.path.join(A.out, A.name + ".json"), "w"),
    )
    print("total", round(time.time() - t0, 1))


if __name__ == "__main__":
    main()
