"""Statistics: plain numbers in and out. No module here knows of runs, tables or files."""
