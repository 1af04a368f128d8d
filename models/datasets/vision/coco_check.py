"""The values of a COCO annotation file, checked once: what passes can be handed to pycocotools' native code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.datasets.base import DataError
from models.datasets.reading import Reader

LISTS = ("images", "annotations", "categories")
IMAGE_KEYS = frozenset({"id", "file_name", "height", "width"})
ANNOTATION_KEYS = frozenset({"id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"})
CATEGORIES = 90
"""Largest category number of COCO; 91 classes with the background."""
LONGEST_SIDE = 65_535
"""Pixels; JPEG's own limit."""
BOX, TRIANGLE = 4, 6
"""Numbers in a box and in the smallest polygon."""
NUMBERS = {int, float}

Row = Mapping[str, Any]


class InstanceCheck:
    """Checks of one annotation file; every refusal names the image or annotation, the key and the value."""

    def __init__(self, reader: Reader, where: Path, *, categories: int = CATEGORIES) -> None:
        self.reader, self.where, self.categories = reader, where, categories

    def check(self, content: Any) -> None:
        """Look at every value that is used.

        Raises:
            DataError: a key is missing, or a value has the wrong type or range.
        """
        if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in LISTS):
            raise self._refusal("Annotation file lacks one of the lists images, annotations, categories")
        images, annotations, categories = (content[name] for name in LISTS)
        self._keys("Image", images, IMAGE_KEYS)
        self._keys("Annotation", annotations, ANNOTATION_KEYS)
        self._keys("Category", categories, frozenset({"id"}))
        self._whole("Category", categories, "id", 0, 2**53)
        self._images(images)
        self._whole("Annotation", annotations, "id", 0, 2**53)
        self._whole("Annotation", annotations, "category_id", 1, self.categories)
        self._whole("Annotation", annotations, "iscrowd", 0, 1)
        sizes = {image["id"]: (image["height"], image["width"]) for image in images}
        for annotation in annotations:
            image = annotation["image_id"]
            if type(image) is not int or image not in sizes:
                raise self._refusal(f"Annotation {annotation['id']} belongs to image {_short(image)}, not listed")
            self._extent(annotation, *sizes[image])
            self._segmentation(annotation, *sizes[image])

    def _refusal(self, problem: str) -> DataError:
        return self.reader.error(problem, self.where)

    def _bad(self, kind: str, row: Row, key: str, wanted: str) -> DataError:
        return self._refusal(f"{kind} {_short(row.get('id'))}: {key} is {_short(row[key])}, not {wanted}")

    def _keys(self, kind: str, rows: Sequence[Any], needed: frozenset[str]) -> None:
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise self._refusal(f"{kind} number {number} is {_short(row)}, not an object")
            if not needed <= row.keys():
                lacking = ", ".join(sorted(needed - row.keys()))
                raise self._refusal(f"{kind} {_short(row.get('id', f'number {number}'))} lacks {lacking}")

    def _whole(self, kind: str, rows: Sequence[Row], key: str, low: int, high: int) -> None:
        """Whole numbers within a range; the usual case, all are, at the speed of C."""
        values = [row[key] for row in rows]
        if set(map(type, values)) <= {int} and (not values or (min(values) >= low and max(values) <= high)):
            return
        row = next(row for row in rows if type(row[key]) is not int or not low <= row[key] <= high)
        raise self._bad(kind, row, key, f"a whole number from {low} to {high}")

    def _images(self, images: Sequence[Row]) -> None:
        self._whole("Image", images, "id", 0, 2**53)
        for key in ("height", "width"):
            self._whole("Image", images, key, 1, LONGEST_SIDE)
        seen: set[int] = set()
        for image in images:
            if not isinstance(image["file_name"], str):
                raise self._bad("Image", image, "file_name", "a name")
            if image["id"] in seen:
                raise self._refusal(f"Image {image['id']} is listed twice")
            seen.add(image["id"])

    def _extent(self, annotation: Row, height: int, width: int) -> None:
        """Box and area; a box may reach beyond its image, as some of COCO's do, but not by more than its size."""
        box, area, far = annotation["bbox"], annotation["area"], 2 * max(height, width)
        if not (isinstance(box, list) and len(box) == BOX and _within(box, -far, far) and box[2] >= 0 <= box[3]):
            raise self._bad("Annotation", annotation, "bbox", f"[x, y, width, height] in pixels of {width}x{height}")
        if not _within([area], 0, far * far):
            raise self._bad("Annotation", annotation, "area", f"a number of pixels of {width}x{height}")

    def _segmentation(self, annotation: Row, height: int, width: int) -> None:
        given, far = annotation["segmentation"], 2 * max(height, width)
        if isinstance(given, dict):
            self._run_lengths(annotation, given, height, width)
            return
        problem = f"Annotation {annotation['id']} has no usable segmentation"
        if not isinstance(given, list) or not given:
            raise self._refusal(f"{problem}: {_short(given)} is no list of polygons and no run lengths")
        for polygon in given:
            # pycocotools takes four numbers for a box.
            if not isinstance(polygon, list) or len(polygon) < TRIANGLE or len(polygon) % 2:
                raise self._refusal(f"{problem}: {_short(polygon)} is no polygon of at least 3 points x, y")
            if not _within(polygon, -far, far):
                raise self._refusal(f"{problem}: {_short(polygon)} is no polygon in pixels of {width}x{height}")

    def _run_lengths(self, annotation: Row, given: Row, height: int, width: int) -> None:
        problem, size = f"Annotation {annotation['id']} has no usable segmentation", given.get("size")
        if not isinstance(size, list) or len(size) != 2 or set(map(type, size)) != {int}:  # noqa: PLR2004
            raise self._refusal(f"{problem}: size is {_short(size)}, not [height, width]")
        if size != [height, width]:
            found = f"{size[1]}x{size[0]}, not {width}x{height}"
            raise self._refusal(f"Annotation {annotation['id']} has a mask of {found}")
        counts = given.get("counts")
        lengths = _decompressed(counts) if isinstance(counts, str) else counts
        if not isinstance(lengths, list) or not set(map(type, lengths)) <= {int} or min(lengths, default=0) < 0:
            raise self._refusal(f"{problem}: counts are {_short(counts)}, not run lengths")
        if sum(lengths) != height * width:
            raise self._refusal(f"{problem}: its run lengths make {sum(lengths)} pixels, not {height * width}")


def _within(values: Sequence[Any], low: float, high: float) -> bool:
    """Whether all are numbers within a range; NaN is in none."""
    return set(map(type, values)) <= NUMBERS and all(low <= value <= high for value in values)


def _decompressed(counts: str) -> list[int] | None:
    """Run lengths from COCO's text of them, None where it is none.

    Five bits a character, from 48 up, the sixth says that more follow, the last one's fifth is the sign; from the
    fourth length on, the difference to the one two places before is written (cocoapi, `maskApi.c`, rleToString).
    """
    lengths: list[int] = []
    value = shift = 0
    for code in counts.encode("utf-8", errors="replace"):
        bits = code - 48
        if not 0 <= bits < 64:  # noqa: PLR2004 - six bits
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))  # noqa: PLR2004 - the fourth on
        value = shift = 0
    return None if shift else lengths


def _short(value: Any) -> str:
    """A value as JSON's reader shows it, cut where it is long."""
    if isinstance(value, list) and len(value) > 2 * TRIANGLE:
        return f"[{', '.join(map(_short, value[: 2 * TRIANGLE]))}, …]"
    text = str(value)[:100] if isinstance(value, dict) else repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"  # noqa: PLR2004
