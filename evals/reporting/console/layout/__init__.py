"""What a terminal of any width can hold: names that are shortened, cells in rows, tables that fit."""
