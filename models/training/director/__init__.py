"""How the starter director is made: data, base weights, vision tower, fine-tuning, export and evaluation.

One command per stage (`python -m models.training.director STAGE`). Knows nothing of the desktop or of the painter's
training, but for the scenes it shows the tower.
"""
