"""The dataset of question and source embeddings with steering vectors."""
