"""The settings of a run: each declared once, with what it means, how it is given, and which rules it must keep."""
