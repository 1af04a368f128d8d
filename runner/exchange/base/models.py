"""How other tools call the models of this tree, and what is known of ours: unit, metrics, which way they improve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from runner.core import packages

BYTEMLPERF = {
    **{"bert": "bert_base", "swin-large": "swin_large", "widedeep": "wide_deep", "conformer-encoder": "conformer"},
    **{"yolov5": "yolov5s", "clip": "sd_text_encoder", "unet": "sd_unet", "vae-decoder": "sd_vae_decoder"},
    **{"vae-encoder": "sd_vae_encoder", "chatglm2-6b": "chatglm2_6b"},
}
"""ByteMLPerf's model zoo, without the ending that names framework and precision; further ones have our names."""
FLAGPERF_INFERENCE = {
    **{"bertLarge": "bert_large", "swinTransformer": "swin_b", "sam_h": "sam", "yolov5": "yolov5l"},
    "Aquila_7b_mmlu": "aquila_7b_mmlu",
}
"""FlagPerf's inference cases; further ones have our names."""
MLPERF_INFERENCE = {"resnet": "resnet50", "resnet50": "resnet50", "dlrm-v2-99": "dlrm", "dlrm-v2-99.9": "dlrm"}
"""Where MLPerf serves what a case of ours is. Its BERT answers questions, ours fills masks; its RetinaNet differs."""
MLPERF_TRAINING = {"resnet": "resnet50", "bert": "bert", "dlrm_dcnv2": "dlrm", "maskrcnn": "mask_rcnn"}
"""Where MLPerf trains what a case of ours is. Its RetinaNet has another backbone and data set."""
_ZOO_ENDINGS = ("-tf-fp32", "-torch-fp32", "-onnx-fp32", "-torch-fp16", "-torch-bf16")


@dataclass(kw_only=True, slots=True, frozen=True)
class Known:
    """What `conf/model/<name>.yaml` says of a model."""

    unit: str
    """What throughput counts, in the plural."""
    targets: tuple[str, ...]
    """Metrics of training's quality target."""
    mode: str | None
    """`max` or `min`: which way those metrics improve."""
    served_metric: str | None
    served_mode: str | None


@cache
def known_model(name: str) -> Known | None:
    """What is known of a model of ours; None where there is none of that name."""
    path = packages.leaf("model", name)
    content = yaml.safe_load(path.read_text()) if path else None
    if not isinstance(content, dict) or "unit" not in content:
        return None
    quality = (content.get("train") or {}).get("quality") or {}
    infer = content.get("infer") or {}
    return Known(
        unit=str(content["unit"]),
        targets=tuple(quality.get("targets") or ()),
        mode=quality.get("mode"),
        served_metric=infer.get("metric"),
        served_mode=infer.get("mode", "max") if infer.get("metric") else None,
    )


def of_flagperf(name: str) -> str | None:
    """Our name of FlagPerf's case; FlagPerf's names are ours."""
    return name if known_model(name) else None


def of_flagperf_inference(name: str) -> str | None:
    """Our name of FlagPerf's inference case."""
    return FLAGPERF_INFERENCE.get(name) or of_flagperf(name)


def of_bytemlperf(name: str) -> str | None:
    """Our name of a model of ByteMLPerf's zoo, `BERT-TORCH-FP32` or, as our writer has it, our own in capitals."""
    plain = name.lower()
    ending = next((one for one in _ZOO_ENDINGS if plain.endswith(one)), None)
    if ending:
        stem = plain.removesuffix(ending)
        return BYTEMLPERF.get(stem) or (stem if known_model(stem) else None)
    if plain in BYTEMLPERF and "-" in plain:
        return BYTEMLPERF[plain]
    return next((one for one in packages.choices("model") if one.lower() == plain), None)
