"""How far a result depends on the judge, the cut-off and what is counted, and on attacks."""
