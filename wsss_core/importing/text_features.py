"""Computes features of texts with CLIP's text tower, if a library that has one is installed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.errors import UserError
from wsss_core.networks.text_features import save_text_features

NO_LIBRARY = "text features need a text tower, and the package that has one is not installed: pip install {}"
OPEN_CLIP_MODEL = "ViT-B-16-quickgelu"
"""open_clip's name of OpenAI's ViT-B/16."""
AT_ONCE = 64
"""Texts that go through the tower at once."""
Encoder = Callable[[list[str]], Tensor]
"""Computes the features (T, E) of texts."""


def make_text_features(
    texts: Sequence[str], background_texts: Sequence[str], tower: Path | str, target: Path | str, model: str | None
) -> int:
    """Write the features of texts to a .safetensors file, atomically.

    Args:
        texts: of the classes, in their order.
        background_texts: of the background.
        tower: a folder in the hub's form (``config.json``, ``model.safetensors``, the tokeniser's files), which
            transformers reads; or a .safetensors file of the whole CLIP, which open_clip reads.
        target: the file to write.
        model: with a file, open_clip's name of its network; by default ``OPEN_CLIP_MODEL``.

    Returns:
        Length of a feature.

    Raises:
        UserError: the tower is missing or cannot be read, or the package for it is not installed.
    """
    if os.path.isdir(tower):
        if model is not None:
            raise UserError("--model is for a .safetensors file; a folder itself says which network it holds")
        encode = _transformers(Path(tower))
    elif os.path.isfile(tower) and Path(tower).suffix == ".safetensors":
        encode = _open_clip(Path(tower), model or OPEN_CLIP_MODEL)
    else:
        raise UserError(
            f"{tower}: give a folder in the hub's form (config.json, model.safetensors, vocab.json, merges.txt), or a "
            ".safetensors file"
        )
    with torch.inference_mode():
        own, background = (_features(encode, list(some)) for some in (texts, background_texts))
    save_text_features(target, own, background, texts, background_texts)
    return own.shape[1]


def _features(encode: Encoder, texts: list[str]) -> Tensor:
    """Features (T, E) of length 1, float32."""
    pieces = [encode(texts[first : first + AT_ONCE]) for first in range(0, len(texts), AT_ONCE)]
    return functional.normalize(torch.cat(pieces).float(), dim=1).cpu()


def _transformers(folder: Path) -> Encoder:
    """A text tower in a folder in the hub's form; nothing is fetched, and only .safetensors weights are read."""
    try:
        import transformers
    except ImportError:
        raise UserError(NO_LIBRARY.format("transformers")) from None
    given: dict[str, Any] = {"local_files_only": True}
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, **given)
        tower = transformers.CLIPTextModelWithProjection.from_pretrained(folder, use_safetensors=True, **given).eval()
    except Exception as error:  # the library changes its types of errors between releases
        raise UserError(f"{folder}: holds no CLIP that transformers can read ({_first_words(error)})") from None

    def encode(texts: list[str]) -> Tensor:
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        _check_lengths(texts, tokens["attention_mask"].sum(dim=1).tolist(), tokenizer.model_max_length)
        features: Tensor = tower(**tokens).text_embeds
        return features

    return encode


def _open_clip(file: Path, model: str) -> Encoder:
    """A text tower in a .safetensors file with open_clip's names."""
    try:
        import open_clip
    except ImportError:
        raise UserError(NO_LIBRARY.format("open_clip_torch")) from None
    try:
        network = open_clip.create_model(model, pretrained=str(file)).eval()
        tokenizer = open_clip.get_tokenizer(model)
    except Exception as error:  # the library changes its types of errors between releases
        raise UserError(f"{file}: holds no {model} that open_clip can read ({_first_words(error)})") from None

    def encode(texts: list[str]) -> Tensor:
        if hasattr(tokenizer, "encode"):  # calling it cuts; 'encode' does not, and lacks the tokens at both ends
            lengths = [len(tokenizer.encode(text)) + 2 for text in texts]
            _check_lengths(texts, lengths, tokenizer.context_length)
        features: Tensor = network.encode_text(tokenizer(texts))
        return features

    return encode


def _check_lengths(texts: list[str], lengths: list[int], most: int) -> None:
    """Check that no text has more tokens than a tower reads, because the libraries would cut it.

    Raises:
        UserError: a text is too long.
    """
    for text, length in zip(texts, lengths, strict=True):
        if length > most:
            raise UserError(f"the text '{text}' has {length} tokens, but the tower reads {most}: make it shorter")


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
