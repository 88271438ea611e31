"""Attacks on emeval: by servers, models, files and other people on the machine."""
