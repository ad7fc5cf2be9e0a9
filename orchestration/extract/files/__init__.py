"""Files of any kind and place: which there are, what their columns are, and their records, read whole or named as broken."""
