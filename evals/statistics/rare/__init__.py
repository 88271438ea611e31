"""Rare answers: how often one of many is misaligned."""
