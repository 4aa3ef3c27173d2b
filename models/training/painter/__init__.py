"""The starter painter, made from nothing: scenes, captions, autoencoder, text encoder and U-Net, then the export.

Its stages are one command each (`python -m models.training.painter vae|latents|unet|decoder|export`). Knows nothing
of the running application; what it writes is an ordinary Stable Diffusion folder.
"""
