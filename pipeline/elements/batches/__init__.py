"""Analysis batches, the QC plan of the method, and control charts: what stands or falls together."""
