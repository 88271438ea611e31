"""What a design beyond one checkpoint and one condition shows: finetuning seeds, and effects of a trigger compared."""
