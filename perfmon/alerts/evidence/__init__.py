"""Statistical evidence: is it real, or chance?"""
