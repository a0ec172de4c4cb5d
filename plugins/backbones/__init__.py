"""Networks with published weights, whose features metrics and losses compare."""
