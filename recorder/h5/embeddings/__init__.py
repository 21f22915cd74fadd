"""``dataset.h5`` of embeddings with steering vectors: read whole, mapped or by rows, and written aside."""
