"""Labels of an image by an exported network: python onnx_labels.py model.onnx photo.jpg labels.png."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, photo, target = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
about = session.get_modelmeta().custom_metadata_map
image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
small, side = image.copy(), int(about.get("long_side", 800))
small.thumbnail((side, side))  # objects are then as large as those that the network was trained on
labels = session.run(["labels"], {"images": np.asarray(small)[None]})[0][0]  # (height, width)
picture = Image.fromarray(labels)
picture.putpalette(np.array(json.loads(about["palette"]), np.uint8).tobytes())
picture.resize(image.size, Image.Resampling.NEAREST).save(target)
for value in np.unique(labels):
    print(f"{json.loads(about['classes'])[value]}: {(labels == value).mean():.1%}")
