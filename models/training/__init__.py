"""How the starter models are made: data, training and export. Never imported by the running application."""
