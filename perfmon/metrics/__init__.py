"""From cells to numbers: metrics, agents, series, trends, health."""
