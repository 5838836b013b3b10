"""Attention maps: where a vision-language model looks in a photo for the answer it gives."""

from orchestra.images.attention import AttentionMap, TokenMap
from workers.attention.mapper import VisualAttentionMapper
from workers.attention.methods import DEFAULT, METHODS

__all__ = ["DEFAULT", "METHODS", "AttentionMap", "TokenMap", "VisualAttentionMapper"]
