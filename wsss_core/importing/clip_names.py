"""Converts CLIP's image tower in files of several programs to our names."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError

MODELS = ["vit_base_patch16_clip_quickgelu_224.openai", "vit_base_patch32_clip_quickgelu_224.openai"]
"""timm's names of the supported towers; a file's shapes say which one it holds."""
BODY = "trunk.body."
_OPENAI = {
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "conv1.weight": "patch_embed.proj.weight",
}
_OPENAI_PARTS = {
    **{"ln_pre": "norm_pre", "ln_post": "norm", "ln_1": "norm1", "ln_2": "norm2", "attn.in_proj_": "attn.qkv."},
    **{"attn.out_proj": "attn.proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2", "transformer.resblocks": "blocks"},
}
_HUB = {
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding.weight": "pos_embed",
    "embeddings.patch_embedding.weight": "patch_embed.proj.weight",
}
_HUB_PARTS = {
    **{"pre_layrnorm": "norm_pre", "post_layernorm": "norm", "layer_norm1": "norm1", "layer_norm2": "norm2"},
    **{"self_attn.out_proj": "attn.proj", "encoder.layers": "blocks"},
}
_OF_ONE = re.compile(r"(blocks\.\d+\.)self_attn\.[qkv]_proj\.(weight|bias)")


def clip_tower(state: Mapping[str, Tensor], path: Path | str) -> dict[str, Tensor]:
    """The image tower in a file of CLIP, under our names, as float32.

    Args:
        state: with the names of OpenAI and open_clip (``visual.conv1.weight``), of transformers
            (``vision_model.embeddings...``), or of timm (``patch_embed.proj.weight``, and the projection as ``head``).
            The text tower is left out. Without ``logit_scale``, as in timm's files, CLIP's value of 100 is used.
        path: of the file, for messages.

    Raises:
        UserError: there is no image tower, or its heads of queries, keys and values are incomplete.
    """
    _check_shapes(state, path, {"logit_scale": 0})
    if "visual.class_embedding" in state:
        renamed = _of_openai(state, path)
    elif "vision_model.embeddings.class_embedding" in state:
        renamed = _of_hub(state, path)
    elif "cls_token" in state and "head.weight" in state:
        _check_shapes(state, path, {"head.weight": 2})
        if "head.bias" in state and state["head.bias"].count_nonzero():
            raise UserError(
                f"{path}: is a classifier that was fine-tuned from CLIP, not CLIP: its head.bias is not 0, and its "
                "head.weight belongs to classes, and is not the projection to texts' features"
            )
        renamed = {name: tensor for name, tensor in state.items() if not name.startswith(("head.", "logit_"))}
        renamed = {BODY + name: tensor for name, tensor in renamed.items()}
        renamed["projection"] = state["head.weight"].T
    else:
        raise UserError(
            f"{path}: holds no image tower of CLIP: neither visual.class_embedding (OpenAI, open_clip) nor "
            "vision_model.embeddings.class_embedding (transformers) nor cls_token and head.weight (timm) is in it"
        )
    renamed["logit_scale"] = state.get("logit_scale", torch.tensor(math.log(100.0)))
    if (positions := renamed.get(f"{BODY}pos_embed")) is not None and positions.dim() == 2:
        renamed[f"{BODY}pos_embed"] = positions[None]
    if (token := renamed.get(f"{BODY}cls_token")) is not None:
        renamed[f"{BODY}cls_token"] = token.reshape(1, 1, -1)
    return {name: tensor.float().contiguous() for name, tensor in renamed.items()}


def _check_shapes(state: Mapping[str, Tensor], path: Path | str, dimensions: Mapping[str, int]) -> None:
    """Check that existing weights have the right number of dimensions, and no side of 0."""
    for name, number in dimensions.items():
        if (weight := state.get(name)) is not None and (weight.dim() != number or not weight.numel()):
            wanted = f"{number} dimensions" if number else "a single number"
            raise UserError(
                f"{path}: is not an image tower of CLIP: {name} has the shape {list(weight.shape)}, not {wanted}"
            )


def _of_openai(state: Mapping[str, Tensor], path: Path | str) -> dict[str, Tensor]:
    renamed = {}
    _check_shapes(state, path, {"visual.proj": 2, "visual.conv1.weight": 4})
    for name, tensor in state.items():
        if name == "visual.proj":
            renamed["projection"] = tensor
        elif name.startswith("visual."):
            renamed[BODY + _renamed(name.removeprefix("visual."), _OPENAI, _OPENAI_PARTS)] = tensor
    return renamed


def _of_hub(state: Mapping[str, Tensor], path: Path | str) -> dict[str, Tensor]:
    renamed = {}
    _check_shapes(state, path, {"visual_projection.weight": 2, "vision_model.embeddings.patch_embedding.weight": 4})
    for name, tensor in state.items():
        if name == "visual_projection.weight":
            renamed["projection"] = tensor.T
            continue
        if not name.startswith("vision_model.") or name.endswith("position_ids"):
            continue
        own = _renamed(name.removeprefix("vision_model."), _HUB, _HUB_PARTS)
        if (match := _OF_ONE.fullmatch(own)) is None:
            renamed[BODY + own] = tensor
            continue
        block = name.partition("self_attn.")[0]
        parts = [f"{block}self_attn.{which}_proj.{match[2]}" for which in "qkv"]
        if missing := [part for part in parts if part not in state]:
            raise UserError(f"{path}: is not an image tower of CLIP: it lacks {missing[0]}")
        _check_shapes(state, path, dict.fromkeys(parts, 2 if match[2] == "weight" else 1))
        shapes = [list(state[part].shape) for part in parts]
        if shapes[1:] != shapes[:-1]:
            raise UserError(f"{path}: is not an image tower of CLIP: the shapes of {', '.join(parts)} differ: {shapes}")
        renamed[f"{BODY}{match[1]}attn.qkv.{match[2]}"] = torch.cat([state[part] for part in parts])
    return renamed


def _renamed(name: str, whole: Mapping[str, str], parts: Mapping[str, str]) -> str:
    if name in whole:
        return whole[name]
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name


def tower_settings(state: Mapping[str, Tensor], path: Path | str) -> Trunk:
    """The settings of the trunk that a tower of :func:`clip_tower` belongs to.

    Raises:
        UserError: none of ``MODELS`` has these shapes.
    """
    from wsss_core.config.timm_tokens import create_tokens

    patch = state.get(f"{BODY}patch_embed.proj.weight")
    found = {name.removeprefix(BODY): tensor.shape for name, tensor in state.items() if name.startswith(BODY)}
    for model in MODELS:
        with torch.device("meta"):
            own = {name: tensor.shape for name, tensor in create_tokens(model).state_dict().items()}
        if patch is not None and patch.dim() == 4 and own == found:
            return Trunk(network="timm", model=model, output_stride=patch.shape[-1])  # type: ignore[arg-type]
    if patch is not None and patch.dim() != 4:
        shape = list(patch.shape)
        raise UserError(f"{path}: is not an image tower of CLIP: patch_embed.proj.weight has the shape {shape}")
    size = "unknown" if patch is None else f"{patch.shape[0]} channels and patches of {patch.shape[-1]} pixels"
    raise UserError(
        f"{path}: holds an unsupported image tower ({size}, {len(found)} weights); supported are OpenAI's ViT-B/16 and "
        "ViT-B/32 at 224 pixels"
    )
