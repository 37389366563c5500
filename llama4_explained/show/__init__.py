"""Figures. Nothing else in the package imports matplotlib."""
