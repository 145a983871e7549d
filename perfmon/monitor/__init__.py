"""The object you hold: its life, its methods by subject, the parts it is made of."""
