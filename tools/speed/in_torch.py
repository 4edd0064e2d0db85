"""What `kseg evaluate` and the first step of `kseg train` do, in PyTorch: a script, as somebody would write it.

    python tools/speed/in_torch.py evaluate CAMVID      predict the validation images, print IoU and mean IoU
    python tools/speed/in_torch.py first_step CAMVID    train on one batch, and save the weights

Needs segmentation_models_pytorch, and for `evaluate` torchmetrics.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import torch
from peers import peer

CLASSES, BATCH, CROP, MULTIPLE = 11, 8, (256, 352), 16


class Pairs(torch.utils.data.Dataset):
    """The images and masks of a split, augmented by albumentations where it is given."""

    def __init__(self, folder: Path, split: str, augment=None) -> None:
        self.images = sorted((Path(folder) / "images" / split).glob("*.jpg"))
        self.masks = Path(folder) / "masks" / split
        self.augment = augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        path = self.images[index]
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(self.masks / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        if self.augment is not None:
            done = self.augment(image=image, mask=mask)
            image, mask = done["image"], done["mask"]
        return torch.from_numpy(image).permute(2, 0, 1).float(), torch.from_numpy(mask).long()


def network() -> torch.nn.Module:
    models = peer("segmentation_models_pytorch")
    model = models.DeepLabV3Plus("tu-tf_efficientnet_lite0", encoder_weights=None, classes=CLASSES)
    return model.to(memory_format=torch.channels_last)


def evaluate(folder: Path) -> None:
    model, metrics = network().eval(), peer("torchmetrics")
    score = metrics.JaccardIndex("multiclass", num_classes=CLASSES, ignore_index=255, average="none")
    pairs = Pairs(folder, "val")
    with torch.inference_mode():
        for image, mask in torch.utils.data.DataLoader(pairs, 1, num_workers=1):
            height, width = image.shape[2:]
            margins = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
            padded = torch.nn.functional.pad(image, margins).contiguous(memory_format=torch.channels_last)
            labels = model(padded)[:, :, :height, :width].argmax(1)
            mask[mask >= CLASSES] = 255
            score.update(labels, mask)
    found = score.compute()
    print(*found.tolist(), float(found.mean()))


def first_step(folder: Path) -> None:
    model = network().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    loss = torch.nn.CrossEntropyLoss(ignore_index=255)
    batches = torch.utils.data.DataLoader(Pairs(folder, "train"), BATCH, shuffle=True, num_workers=1)
    image, mask = next(iter(batches))
    image, mask = image[:, :, : CROP[0], : CROP[1]], mask[:, : CROP[0], : CROP[1]].clone()
    mask[mask >= CLASSES] = 255
    loss(model(image.contiguous(memory_format=torch.channels_last)), mask).backward()
    optimizer.step()
    torch.save([model.state_dict(), optimizer.state_dict()], Path(tempfile.mkdtemp()) / "last.pt")


if __name__ == "__main__":
    {"evaluate": evaluate, "first_step": first_step}[sys.argv[1]](Path(sys.argv[2]))
