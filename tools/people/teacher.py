# ruff: noqa
"""teacher maps: every image with people -> 256x256 uint8, gate*mean(selfie, blurred deeplab person)."""

import time
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

D = Path("/work/shared/data")
R = "/work/shared/reference_models/"
cv2.setNumThreads(1)


def listing():
    out = []
    v = D / "voc_people/VOCdevkit/VOC2012"
    for s in ("train", "val"):
        for n in (v / f"ImageSets/Segmentation/{s}.txt").read_text().split():
            out.append(("voc_people", s, v / f"JPEGImages/{n}.jpg", v / f"SegmentationClass/{n}.png"))
    im = sorted((D / "ccp_people/images").iterdir())
    for i, p in enumerate(im):
        out.append(
            ("ccp_people", "val" if i % 10 == 9 else "train", p, D / "ccp_people/masks" / (p.stem + ".png"))
        )
    for f in ("coco128", "voc_vehicles", "voc_animals", "rooms"):
        for s in ("train", "val"):
            for p in sorted((D / f / "images" / s).iterdir()):
                out.append((f, s, p, D / f / "masks" / s / (p.stem + ".png")))
    for p in sorted((D / "unlabelled_people/images").iterdir()):
        out.append(("unlabelled_people", "train", p, None))
    return out


def mask_of(kind, path):
    from PIL import Image

    m = np.asarray(Image.open(path))
    if kind == "voc_people":
        m = np.where(m == 255, 255, (m == 15)).astype(np.uint8)
    return m


class Net:
    def __init__(s, n, threads=1):
        s.i = Interpreter(R + n, num_threads=threads)
        s.i.allocate_tensors()
        s.a = s.i.get_input_details()[0]
        s.o = s.i.get_output_details()[0]

    def __call__(s, x):
        s.i.set_tensor(s.a["index"], x)
        s.i.invoke()
        return s.i.get_tensor(s.o["index"])[0]


if __name__ == "__main__":
    selfie = Net("selfie_segmentation.tflite")
    dl = Net("deeplabv3_mnv2_pascal_quant.tflite")
    L = listing()
    print(len(L))
    t0 = time.time()
    T = {}
    S = {}
    G = {}
    for k, (kind, s, p, m) in enumerate(L):
        if m is not None:
            mk = mask_of(kind, m)
            if not (mk == 1).any():
                continue
        im = cv2.imread(str(p))[:, :, ::-1]
        p1 = selfie(
            (cv2.resize(im, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255)[None]
        )[..., 0]
        y = (dl(cv2.resize(im, (513, 513), interpolation=cv2.INTER_AREA)[None]) == 15).astype(np.float32)
        h, w = im.shape[:2]
        soft = cv2.resize(cv2.GaussianBlur(y, (0, 0), 4), (256, 256), interpolation=cv2.INTER_AREA)
        g = cv2.resize(y, (256, 256), interpolation=cv2.INTER_AREA) > 0.1
        r = 0.06 * max(h, w)
        rx, ry = max(1, int(r * 256 / w)), max(1, int(r * 256 / h))
        g = cv2.dilate(
            g.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rx + 1, 2 * ry + 1))
        )
        T[str(k)] = np.round(255 * g * (p1 + soft) / 2).astype(np.uint8)
        S[str(k)] = np.round(255 * p1).astype(np.uint8)
        G[str(k)] = np.round(255 * soft).astype(np.uint8)
        if k % 200 == 0:
            print(k, time.time() - t0, flush=True)
    np.savez_compressed("teacher.npz", **T)
    np.savez_compressed("teach_selfie.npz", **S)
    np.savez_compressed("teach_deeplab.npz", **G)
    print("done", time.time() - t0)
