"""How a trial is asked, and what its reply says."""
