"""The director: multimodal language models behind one interface. Never imports torch."""
