"""COCO's polygons to label maps and back."""

import json

import cv2
import numpy as np

import kseg

cv2.imwrite("photos/street.jpg", np.full((60, 80, 3), 90, np.uint8))
square = {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [[10, 10, 40, 10, 40, 30, 10, 30]]}
image = {"id": 1, "file_name": "street.jpg", "height": 60, "width": 80}
with open("instances.json", "w") as file:
    json.dump({"images": [image], "categories": [{"id": 3, "name": "car"}], "annotations": [square]}, file)

dataset = kseg.data.from_coco("instances.json", "photos")
image, labels = dataset[0]
print(dataset.classes, np.bincount(labels.ravel()))
kseg.data.to_coco(dataset, "back.json")
again = kseg.data.from_coco("back.json", "photos")
print(np.array_equal(again[0][1], labels))
