"""From a recorded trial to an outcome, a metric, a rate. Imports endpoints and below."""
