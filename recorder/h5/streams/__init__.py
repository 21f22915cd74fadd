"""How each kind of stream becomes datasets: columns that grow by whole chunks."""
