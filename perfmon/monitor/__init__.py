"""The monitor object: its life cycle, its methods by subject, and its parts."""
