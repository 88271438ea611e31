"""How the settings of a run are named in a file."""
