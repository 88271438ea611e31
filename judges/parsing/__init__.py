"""How the reply of a judge model is read."""
