"""The page that a run is looked at with: the verdict, the figures, and the transcripts behind them."""
