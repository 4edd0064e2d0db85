"""What is in an image: areas, polygons, boxes, COCO, GeoJSON on a map, an overlay."""

import kseg

result = kseg.predict("people", "photo.jpg")
print(result.areas(), result.confidence.mean(), result.entropy.max())
for polygon in result.polygons(tolerance=1.5, least=50):
    print(polygon["class"], polygon["area"], round(polygon["score"], 3), len(polygon["exterior"]))
# 0.5 m a pixel, north up, the corner at (500000, 5400000)
features = result.to_geojson(transform=(0.5, 0, 500000, 0, -0.5, 5400000))["features"]
print(len(features), "polygons;", len(result.to_coco()["annotations"]), "annotations;", len(result.boxes()), "boxes")
for ending in ("png", "jpg", "json", "geojson", "csv", "npz"):
    result.save(f"photo_result.{ending}")
for each in kseg.predict("people", "photos/"):  # a folder; also a list, a batch, a video, a camera's number
    print(each.path, each)
