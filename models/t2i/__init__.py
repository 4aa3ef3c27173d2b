"""The painter: diffusion pipelines behind one interface. Never imports llama_cpp."""
