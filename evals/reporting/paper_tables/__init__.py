"""The paper's tables and figures from runs, with the published figures beside them."""
