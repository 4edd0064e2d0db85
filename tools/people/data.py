# ruff: noqa
"""The packed images in memory, and on the GPU."""

import json
import os
from multiprocessing import Pool

import cv2
import numpy as np
import torch

S, TS = 352, 160
IDX = BINS = None


def _init(d):
    global IDX, BINS
    cv2.setNumThreads(1)
    IDX = json.load(open(f"{d}/people.json"))
    BINS = [
        np.memmap(f"{d}/people{j}.bin", np.uint8, "r") if os.path.exists(f"{d}/people{j}.bin") else None
        for j in (0, 1)
    ]


def _decode(k):
    kind, split, stem, j, o, a, b, t = IDX[k]
    B = BINS[j]
    im = cv2.imdecode(B[o : o + a], 1)[:, :, ::-1]
    h, w = im.shape[:2]
    m = cv2.imdecode(B[o + a : o + a + b], 0) if b else np.full((h, w), 255, np.uint8)
    tm = cv2.imdecode(B[o + a + b : o + a + b + t], 0) if t > 1 else np.zeros((TS, TS), np.uint8)
    I = np.zeros((S, S, 3), np.uint8)
    I[:h, :w] = im
    I[:h, w:] = im[:, -1:]
    I[h:] = I[h - 1 : h]
    M = np.full((S, S), 255, np.uint8)
    M[:h, :w] = m
    n, _, st, _ = cv2.connectedComponentsWithStats((m == 1).astype(np.uint8))
    st = [s for s in st[1:] if s[4] > 0.0015 * h * w]
    st.sort(key=lambda s: -s[4])
    boxes = np.zeros((6, 5), np.float32)
    for q, s in enumerate(st[:6]):
        boxes[q] = s
    small = None
    if split == "val":
        small = (
            cv2.resize(im, (256, 256), interpolation=cv2.INTER_AREA),
            cv2.resize(m, (256, 256), interpolation=cv2.INTER_NEAREST),
        )
    has_t = 2 if not b else (1 if t else 0)
    share = (m == 1).mean() if b else -1
    return I, M, tm, (h, w), boxes, min(len(st), 6), has_t, share, small


def load(d, limit=None, procs=16):
    idx = json.load(open(f"{d}/people.json"))
    ks = list(range(len(idx)))
    size = [
        os.path.getsize(f"{d}/people{j}.bin") if os.path.exists(f"{d}/people{j}.bin") else 0 for j in (0, 1)
    ]
    ks = [k for k in ks if idx[k][4] + sum(idx[k][5:8]) <= size[idx[k][3]]]
    if limit:
        ks = ks[:: max(1, len(ks) // limit)]
    with Pool(procs, _init, (d,)) as p:
        R = p.map(_decode, ks, chunksize=16)
    return [idx[k] for k in ks], R


class Data:
    def __init__(s, idx, R, dev, trainall=False):
        tr = [i for i, e in enumerate(idx) if e[1] == "train" or trainall]
        s.dev = dev
        s.I = torch.from_numpy(np.stack([R[i][0] for i in tr])).to(dev).permute(0, 3, 1, 2).contiguous()
        s.M = torch.from_numpy(np.stack([R[i][1] for i in tr])).to(dev)
        s.T = torch.from_numpy(np.stack([R[i][2] for i in tr])).to(dev)
        s.hw = torch.tensor([R[i][3] for i in tr], dtype=torch.float32, device=dev)
        s.box = torch.from_numpy(np.stack([R[i][4] for i in tr])).to(dev)
        s.nb = torch.tensor([R[i][5] for i in tr], device=dev)
        # 3: a teacher, and masks that count bags as people and leave out passers-by
        s.ht = torch.tensor(
            [3 if R[i][6] == 1 and idx[i][0] == "ccp_people" else R[i][6] for i in tr], device=dev
        )
        kinds = np.array([idx[i][0] for i in tr])
        share = np.array([R[i][7] for i in tr])
        ppl = (share > 0) & (s.nb.cpu().numpy() > 0)
        unl = share < 0
        neg = share == 0
        W = {
            "voc_people": 1.5,
            "voc_animals": 1.2,
            "ccp_people": 0.6,
            "coco128": 1.2,
            "voc_vehicles": 1.2,
            "rooms": 0,
            "unlabelled_people": 0,
        }
        wp = np.array([W[k] for k in kinds]) * ppl
        wn = np.where(kinds == "rooms", 0.5, 1.0) * neg
        if not wn.sum():
            wn = wn + 1.0  # a part of the data: speed trials
        if not unl.sum():
            unl = unl + 1.0
        s.wp, s.wn, s.wu = (
            torch.from_numpy(w.astype(np.float32)).to(dev) for w in (wp, wn, unl.astype(np.float32))
        )
        print("train", len(tr), "people", int(ppl.sum()), "neg", int(neg.sum()), "unl", int(unl.sum()))
