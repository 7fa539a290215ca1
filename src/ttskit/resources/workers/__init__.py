"""Engines in processes of their own, which may crash, hang or leak without harm to the rest."""
