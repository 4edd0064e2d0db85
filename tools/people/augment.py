# ruff: noqa
"""Batches of framed, lit, degraded and pasted images, made on the GPU."""

import numpy as np
import torch
import torch.nn.functional as F

from data import S


def rnd(n, a, b, g):
    return torch.rand(n, generator=g, device=g.device) * (b - a) + a


def crop_theta(D, i, mode, g):
    """centre and half sizes in source px: (cx, cy, sx, sy), by mode: 0 whole, 1 about a person, 2 random"""
    n = len(i)
    h, w = D.hw[i].unbind(1)
    # whole with jitter
    f = rnd(n, 0.88, 1.0, g)
    sx0, sy0 = w * f, h * rnd(n, 0.88, 1.0, g)
    # about a person, target share
    k = (torch.rand(n, generator=g, device=D.dev) * D.nb[i].clamp(min=1)).long()
    b = D.box[i, k]
    share = torch.exp(rnd(n, float(np.log(0.04)), float(np.log(0.95)), g))
    share = torch.where(torch.rand(n, generator=g, device=D.dev) < 0.45, rnd(n, 0.25, 1.0, g), share)
    fill = (b[:, 4] / (b[:, 2] * b[:, 3]).clamp(min=1)).clamp(0.2, 1)
    area = b[:, 4] / share
    asp = torch.exp(rnd(n, -0.5, 0.5, g)) * ((w / h).sqrt())
    sx1 = (area * asp).sqrt()
    sy1 = (area / asp).sqrt()
    least = rnd(n, 72, 110, g)
    sx1, sy1 = torch.maximum(sx1, least), torch.maximum(sy1, least)
    sx1, sy1 = torch.minimum(sx1, w), torch.minimum(sy1, h)
    # centre: inside the box, biased to the upper part when the crop is smaller than the box
    rx, ry = rnd(n, -0.5, 0.5, g), rnd(n, -0.5, 0.5, g)
    cx1 = b[:, 0] + b[:, 2] / 2 + rx * torch.maximum(b[:, 2] * 0.7, sx1 * 0.8)
    smaller = sy1 < b[:, 3]
    top = b[:, 1] + sy1 * rnd(n, 0.1, 0.6, g)
    cy1 = torch.where(
        smaller & (torch.rand(n, generator=g, device=D.dev) < 0.6),
        top,
        b[:, 1] + b[:, 3] / 2 + ry * torch.maximum(b[:, 3] * 0.7, sy1 * 0.8),
    )
    # random
    z = rnd(n, 0.35, 1.0, g)
    a2 = torch.exp(rnd(n, -0.3, 0.3, g))
    sx2, sy2 = (w * z * a2), (h * z / a2)
    sx2, sy2 = torch.minimum(sx2, w), torch.minimum(sy2, h)
    cx2, cy2 = torch.rand(n, generator=g, device=D.dev) * w, torch.rand(n, generator=g, device=D.dev) * h
    sx = torch.where(mode == 0, sx0, torch.where(mode == 1, sx1, sx2))
    sy = torch.where(mode == 0, sy0, torch.where(mode == 1, sy1, sy2))
    # portrait: about the upper part of the largest person
    b0 = D.box[i, 0]
    s3 = rnd(n, 0.35, 0.9, g)
    side = (b0[:, 4] / s3).sqrt() * rnd(n, 0.5, 1.0, g)
    side = torch.maximum(side, torch.full_like(side, 80.0))
    sx3 = torch.minimum(side * rnd(n, 0.75, 1.35, g), w)
    sy3 = torch.minimum(side, h)
    cx3 = b0[:, 0] + b0[:, 2] / 2 + rnd(n, -0.25, 0.25, g) * sx3
    cy3 = b0[:, 1] + sy3 * rnd(n, 0.25, 0.6, g)
    sx1, sy1, cx1, cy1 = (
        torch.where(mode == 3, a, b) for a, b in ((sx3, sx1), (sy3, sy1), (cx3, cx1), (cy3, cy1))
    )
    mode = torch.where(mode == 3, torch.ones_like(mode), mode)
    cx = torch.where(
        mode == 0, torch.rand(n, generator=g, device=D.dev) * w, torch.where(mode == 1, cx1, cx2)
    )
    cy = torch.where(
        mode == 0, torch.rand(n, generator=g, device=D.dev) * h, torch.where(mode == 1, cy1, cy2)
    )
    cx = torch.minimum(torch.maximum(cx, sx / 2), w - sx / 2)
    cy = torch.minimum(torch.maximum(cy, sy / 2), h - sy / 2)
    return cx, cy, sx, sy


def sample(D, i, mode, g, size, rotate=True):
    n = len(i)
    cx, cy, sx, sy = crop_theta(D, i, mode, g)
    flip = torch.where(torch.rand(n, generator=g, device=D.dev) < 0.5, -1.0, 1.0)
    ang = (
        torch.randn(n, generator=g, device=D.dev).clamp(-2.5, 2.5)
        * 0.09
        * (torch.rand(n, generator=g, device=D.dev) < 0.6)
    )
    H, W = size
    v, u = torch.meshgrid(
        (torch.arange(H, device=D.dev) + 0.5) / H - 0.5,
        (torch.arange(W, device=D.dev) + 0.5) / W - 0.5,
        indexing="ij",
    )
    r = lambda t: t.view(n, 1, 1)
    px = u[None] * r(sx * flip)
    py = v[None] * r(sy)
    x = r(cx) + px * r(ang.cos()) - py * r(ang.sin())
    y = r(cy) + px * r(ang.sin()) + py * r(ang.cos())
    h, w = D.hw[i].unbind(1)
    out = (x < 0) | (y < 0) | (x > r(w)) | (y > r(h))
    grid = torch.stack([x * 2 / S - 1, y * 2 / S - 1], -1)
    img = F.grid_sample(D.I[i].float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    xi = x.floor().long().clamp(0, S - 1)
    yi = y.floor().long().clamp(0, S - 1)
    m = D.M[i].view(n, -1).gather(1, (yi * S + xi).view(n, -1)).view(n, H, W)
    m = torch.where(out, torch.full_like(m, 255), m)
    tg = torch.stack([x * 2 / r(w) - 1, y * 2 / r(h) - 1], -1)
    t = F.grid_sample(
        D.T[i][:, None].float() / 255, tg, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
    return img, m, t


def gauss(x, sigma):
    k = torch.arange(-4, 5, device=x.device, dtype=torch.float32)
    k = torch.exp(-(k**2) / (2 * sigma**2))
    k = k / k.sum()
    c = x.shape[1]
    x = F.conv2d(F.pad(x, (4, 4, 0, 0), mode="replicate"), k.view(1, 1, 1, 9).repeat(c, 1, 1, 1), groups=c)
    return F.conv2d(F.pad(x, (0, 0, 4, 4), mode="replicate"), k.view(1, 1, 9, 1).repeat(c, 1, 1, 1), groups=c)


def dct_matrix(dev):
    k = torch.arange(8, device=dev, dtype=torch.float32)
    m = torch.cos((2 * k[None] + 1) * k[:, None] * np.pi / 16) / 2
    m[0] /= 2**0.5
    return m


def jpeg(x, q, dm):
    n, c, h, w = x.shape
    ycc = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=x.device)
    y = torch.einsum("nchw,dc->ndhw", x - 128, ycc)
    b = y.view(n, 3, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
    f = dm @ b @ dm.T
    fr = torch.arange(8, device=x.device)
    step = (1 + (fr[:, None] + fr[None]) * 0.6) * q.view(n, 1, 1, 1, 1, 1)
    step = step * torch.tensor([1.0, 1.7, 1.7], device=x.device).view(1, 3, 1, 1, 1, 1)
    f = torch.round(f / step) * step
    b = dm.T @ f @ dm
    y = b.permute(0, 1, 2, 4, 3, 5).reshape(n, 3, h, w)
    return torch.einsum("nchw,dc->ndhw", y, torch.linalg.inv(ycc)) + 128


def light(x, g, dev):
    n = len(x)
    r = lambda t: t.view(n, 1, 1, 1)
    x = (x / 255).clamp(1e-3, 1)
    x = x ** r(torch.exp(rnd(n, -0.5, 0.5, g)))
    x = (x - 0.5) * r(rnd(n, 0.7, 1.3, g)) + 0.5 + r(rnd(n, -0.12, 0.12, g))
    gray = x.mean(1, keepdim=True)
    sat = rnd(n, 0.5, 1.4, g)
    sat = torch.where(torch.rand(n, generator=g, device=dev) < 0.06, torch.zeros_like(sat), sat)
    x = gray + (x - gray) * r(sat)
    warm = torch.randn(n, generator=g, device=dev) * 0.07
    tint = torch.randn(n, generator=g, device=dev) * 0.03
    x = x * torch.stack([1 + warm, 1 + tint, 1 - warm], 1).view(n, 3, 1, 1)
    H, W = x.shape[2:]
    ang = rnd(n, 0, 6.283, g)
    d = rnd(n, 0, 0.45, g) * (torch.rand(n, generator=g, device=dev) < 0.5)
    yy = torch.linspace(-1, 1, H, device=dev).view(1, 1, H, 1)
    xx = torch.linspace(-1, 1, W, device=dev).view(1, 1, 1, W)
    x = x * (1 + r(d) * (yy * r(ang.cos()) + xx * r(ang.sin())))
    return x.clamp(0, 1) * 255


def degrade(x, g, dev, dm):
    n = len(x)
    p = torch.rand(n, generator=g, device=dev)
    q = n // 8  # the batch is in random order within its groups: use strided subsets
    perm = torch.randperm(n, generator=g, device=dev)
    for j, sg in enumerate((0.7, 1.2, 2.0)):
        s = perm[j * (q // 2 + 1) : (j + 1) * (q // 2 + 1)]
        x[s] = gauss(x[s], sg)
    perm = torch.randperm(n, generator=g, device=dev)
    s = perm[:q]
    H, W = x.shape[2:]
    x[s] = F.interpolate(F.interpolate(x[s], scale_factor=0.5, mode="area"), size=(H, W), mode="bilinear")
    s = perm[q : 2 * q + 1]
    x[s] = x[s] + torch.randn(x[s].shape, generator=g, device=dev) * rnd(len(s), 2, 14, g).view(-1, 1, 1, 1)
    perm = torch.randperm(n, generator=g, device=dev)
    s = perm[: max(n // 5, 1)]
    x[s] = jpeg(x[s], torch.exp(rnd(len(s), 0.7, 3.3, g)), dm)
    return x.clamp(0, 255)


def batch(D, B, size, g, dm, mix):
    dev = D.dev
    nneg, npaste, nunl = int(B * mix["neg"]), int(B * mix["paste"]), int(B * mix["unl"])
    npeople = B - nneg - nunl
    ip = torch.multinomial(D.wp, npeople, True, generator=g)
    ing = torch.multinomial(D.wn, nneg, True, generator=g)
    parts = [ip, ing]
    if nunl:
        parts.append(torch.multinomial(D.wu, nunl, True, generator=g))
    i = torch.cat(parts)
    r = torch.rand(B, generator=g, device=dev)
    isneg = torch.zeros(B, dtype=torch.bool, device=dev)
    isneg[npeople:] = True
    mode = torch.where(
        isneg, torch.where(r < 0.4, 0, 2), torch.where(r < mix["whole"], 0, torch.where(r < 0.93, 1, 2))
    )
    mode = torch.where(
        ~isneg & (torch.rand(B, generator=g, device=dev) < mix.get("portrait", 0)),
        torch.full_like(mode, 3),
        mode,
    )
    img, m, t = sample(D, i, mode, g, size)
    ht = D.ht[i]
    # paste the first npaste people before backgrounds without people
    if npaste:
        ib = torch.multinomial(D.wn, npaste, True, generator=g)
        bg, _, _ = sample(
            D, ib, torch.where(torch.rand(npaste, generator=g, device=dev) < 0.4, 0, 2), g, size
        )
        share = torch.where(m[:npaste] == 1, 1.0, torch.where(m[:npaste] == 255, 0.5, 0.0))[:, None]
        fg = img[:npaste]
        al = gauss(share, 1.0)
        # shrink some of them into the middle of the background: small people
        k = npaste // 2
        if k:
            z = rnd(k, 0.35, 0.9, g)
            n = k
            tx = (torch.rand(k, generator=g, device=dev) * 2 - 1) * (1 / z - 1)
            ty = (torch.rand(k, generator=g, device=dev) * 2 - 1) * (1 / z - 1)
            th = torch.zeros(k, 2, 3, device=dev)
            th[:, 0, 0] = 1 / z
            th[:, 1, 1] = 1 / z
            th[:, 0, 2] = tx
            th[:, 1, 2] = ty
            gr = F.affine_grid(th, (k, 1, *size), align_corners=False)
            fg[:k] = F.grid_sample(fg[:k], gr, padding_mode="border", align_corners=False)
            al2 = F.grid_sample(al[:k], gr, padding_mode="zeros", align_corners=False)
            mm = F.grid_sample((m[:k] == 1).float()[:, None], gr, padding_mode="zeros", align_corners=False)[
                :, 0
            ]
            vv = F.grid_sample(
                (m[:k] == 255).float()[:, None], gr, padding_mode="zeros", align_corners=False
            )[:, 0]
            al[:k] = al2
            m[:k] = torch.where(vv > 0.4, torch.full_like(m[:k], 255), (mm > 0.5).to(m.dtype))
        w = (m[:npaste] == 1).float()[:, None]
        cnt = w.sum((2, 3), keepdim=True).clamp(min=1)
        gap = (
            (fg * w).sum((2, 3), keepdim=True).mean(1, keepdim=True) / cnt - bg.mean((1, 2, 3), keepdim=True)
        ) * rnd(npaste, 0, 0.6, g).view(-1, 1, 1, 1)
        soft = rnd(npaste, 0, 1, g) < 0.35
        bg = torch.where(soft.view(-1, 1, 1, 1), gauss(bg, 2.0), bg) + gap
        img[:npaste] = al * fg + (1 - al) * bg.clamp(0, 255)
        ht = ht.clone()
        ht[:npaste] = 0
    img = degrade(light(img, g, dev), g, dev, dm)
    return img, m, t, ht
