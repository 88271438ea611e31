"""Tables of questions on a Hugging Face hub: which file a name means, and that file in the cache."""
