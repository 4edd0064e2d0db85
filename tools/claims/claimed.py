"""The papers' claims: which of two variants is better in which paper, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

FCN = "FCN (Shelhamer et al. 2017)"
PSP = "PSPNet (Zhao et al. 2017), table 1"
V1 = "DeepLab v1 (Chen et al. 2015), table 1"
V2 = "DeepLab v2 (Chen et al. 2017)"
V3 = "DeepLabv3 (Chen et al. 2017)"
V3PLUS = "DeepLabv3+ (Chen et al. 2018)"
NOH = "DeconvNet (Noh et al. 2015)"


@dataclass(frozen=True)
class Claim:
    """A difference between two variants, or ways to predict.

    Args:
        text: the claim.
        better, worse: the keys of what is compared; of several keys with "|" between them, the best one.
        paper: the paper's difference in points of mean IoU; None where it gives no number.
        source: which paper.
        gain: False where the paper says that the first is no better than the second.
        test: for claims on testing, the key of the line of results; None for what is trained.
    """

    text: str
    better: str
    worse: str
    paper: float | None
    source: str
    gain: bool = True
    test: str | None = None


HEADS = (
    Claim("16s above 32s", "fcn16s", "fcn32s", 3.0, FCN),
    Claim("8s above 16s", "fcn8s", "fcn16s", 0.3, FCN),
    Claim("8s above 32s", "fcn8s", "fcn32s", 3.3, FCN),
    Claim("global pooling above none", "psp-b1-ave", "psp-baseline", 2.84, PSP),
    Claim("global pooling by maximum above none", "psp-b1-max", "psp-baseline", 2.71, PSP),
    Claim("average above maximum, one level", "psp-b1-ave", "psp-b1-max", 0.13, PSP),
    Claim("average above maximum, four levels", "psp-b1236-ave", "psp-b1236-max", 0.89, PSP),
    Claim("average above maximum, four reduced levels", "psp-b1236-ave-dr", "psp-b1236-max-dr", 0.81, PSP),
    Claim("four levels above one, average", "psp-b1236-ave", "psp-b1-ave", 1.0, PSP),
    Claim("four levels above one, maximum", "psp-b1236-max", "psp-b1-max", 0.24, PSP),
    Claim("reduced levels above whole ones, average", "psp-b1236-ave-dr", "psp-b1236-ave", 0.61, PSP),
    Claim("reduced levels above whole ones, maximum", "psp-b1236-max-dr", "psp-b1236-max", 0.69, PSP),
    Claim("the whole pyramid above none", "psp-b1236-ave-dr", "psp-baseline", 4.45, PSP),
    Claim("ASPP-S above LargeFOV", "aspp-s", "largefov", 1.22, V2),
    Claim("ASPP-L above LargeFOV", "aspp-l", "largefov", 3.2, V2),
    Claim("ASPP-L above ASPP-S", "aspp-l", "aspp-s", 1.98, V2),
    Claim("poly above step, short training (the paper's on LargeFOV)", "aspp-l", "aspp-l-step", 1.17, V2),
    Claim("4x4 at rate 8 above 4x4 at rate 4", "v1-4x4-r8", "v1-4x4-r4", 3.61, V1),
    Claim("LargeFOV (3x3 at rate 12) above 4x4 at rate 4", "v1-3x3-r12", "v1-4x4-r4", 2.45, V1),
    Claim("7x7 at rate 4 above LargeFOV, before the CRF", "v1-7x7-r4", "v1-3x3-r12", 2.13, V1),
    Claim("image level above none", "v3-image-level", "v3-no-image-level", None, V3),
    Claim("a decoder with low-level features above none", "v3plus-decoder", "v3plus-none", None, V3PLUS),
    Claim("unpooling by switches above fixed places", "deconv-switches", "deconv-fixed", None, NOH),
    Claim("learned upsampling no better than bilinear", "fcn8s-learned", "fcn8s", None, FCN, gain=False),
    Claim("more augmented views no better", "fcn8s", "fcn8s-plain-views", None, FCN, gain=False),
    Claim("class balancing no better", "fcn8s-balanced", "fcn8s", None, FCN, gain=False),
    Claim("loss sampling no better", "fcn8s-sampled", "fcn8s", None, FCN, gain=False),
    Claim("three stages no better than all at once", "fcn8s-staged", "fcn8s-at-once", 0.1, FCN, gain=False),
)

BASE, FCN8S = "whole-psp-base", "whole-fcn8s"
WHOLE = (
    Claim("auxiliary loss of weight 0.4 above none", "whole-psp-auxiliary", BASE, 1.41, "PSPNet, table 2"),
    Claim("poly above step", BASE, "whole-psp-step", 1.17, V2),
    Claim("random scales in training above one scale", BASE, "whole-psp-one-scale", 1.59, V2),
    Claim("multi-scale inputs, fused by maximum, above one scale", "whole-psp-fused", BASE, 2.55, V2),
    Claim("ten times the learning rate for the head above one rate", BASE, "whole-psp-one-rate", None, V2),
    Claim("batches of 8 above batches of 4, same steps", BASE, "whole-psp-batch-4", 11.33, V3),
    Claim("the whole network trained above a frozen backbone", FCN8S, "whole-fcn8s-frozen", 14.0, FCN),
    Claim("the mean of two networks above the better one", "whole-mean", f"{BASE}|{FCN8S}", 2.1, NOH),
    Claim("the mean of two networks above their product", "whole-mean", "whole-product", None, NOH),
    Claim(
        "two stages above whole images, tested on whole images", "whole-deconv-stages", "whole-deconv-images", None, NOH
    ),
    Claim(
        "two stages above whole images, tested with 10 boxes",
        "whole-deconv-stages-boxes",
        "whole-deconv-images-boxes",
        None,
        NOH,
    ),
)

TESTS = (
    Claim("mirrored above single", "mirrored", "single scale", None, "PSPNet (Zhao et al. 2017)", test="scales"),
    Claim("several scales above one", "several scales", "single scale", 1.1, "PSPNet, table 3", test="scales"),
    Claim(
        "several scales, mirrored, above one",
        "several scales, mirrored",
        "single scale",
        1.1,
        "PSPNet, table 3",
        test="scales",
    ),
    Claim(
        "windows that overlap above windows side by side",
        "overlapping by a third",
        "side by side",
        None,
        "PSPNet's released test",
        test="windows",
    ),
    Claim("the mean of two networks above the better one", "mean", "people", 2.1, NOH, test="ensemble"),
    Claim("10 boxes above 1", "10 boxes", "1 boxes", None, NOH, test="proposals"),
    Claim("50 boxes above 10", "50 boxes", "10 boxes", None, NOH, test="proposals"),
    Claim("50 boxes above 10, small boxes included", "50 boxes", "10 boxes", None, NOH, test="many-proposals"),
    Claim("200 boxes above 50", "200 boxes", "50 boxes", None, NOH, test="many-proposals"),
    Claim("2000 boxes above 200", "2000 boxes", "200 boxes", None, NOH, test="many-proposals"),
    Claim("the CRF (as released) above none", "released CRF", "no CRF", 5.39, V1, test="crf"),
    Claim("the CRF (tuned) above none", "tuned CRF", "no CRF", 1.34, V2, test="crf"),
    Claim("the CRF (DeepLab v1's) above none", "DeepLab's CRF", "no CRF", 5.39, V1, test="crf-people"),
    Claim("the CRF (DeconvNet's) above none", "DeconvNet's CRF", "no CRF", 0.9, NOH, test="crf-people"),
)

# What neither heads nor these networks can show.
UNTESTED = (
    "a deeper backbone; COCO's images before VOC's (DeepLab v2): there is one backbone with weights, and no COCO here",
    "auxiliary losses of other weights than 0.4 (PSPNet, table 2): `tools/pspnet/ablate.py`",
    "the mean against the product of two networks for two classes: both always give the same labels",
)

# What was seen in the results of 300 steps, and which claims came out reversed then, as the text says.
SEEN = {
    "voc": """

Scores are low: 300 steps are half a pass through the two views of 2,533 images, for 21 classes. FCN's and DeconvNet's
heads stand on the expanded activations of all stages, the others on the narrow maps of stage 4, so only variants of
one family compare. Wide fields of view come out reversed here too, on maps of 28 x 28 cells. So do the reduced levels
and the decoder, perhaps because they have a layer more to learn in so few steps.""",
    "camvid": """

Wide fields of view are the ones that come out reversed. On CamVid's views of 192 x 256 the maps have 24 x 32 cells,
where the papers' have about 41 x 41: a 3x3 kernel at rate 12 spans 25 cells and at rate 24 49, so most of its outer
weights see nothing but padding. ASPP-S has rates up to 12, ASPP-L up to 24.""",
}
WIDE = ("aspp-l", "aspp-s"), ("v1-4x4-r8", "v1-4x4-r4"), ("v1-3x3-r12", "v1-4x4-r4")
REVERSED = {
    "camvid": WIDE,
    "voc": (*WIDE, ("psp-b1236-ave-dr", "psp-b1236-ave"), ("v3plus-decoder", "v3plus-none")),
}
