"""Is it so, or was it chance?"""
