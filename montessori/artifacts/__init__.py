"""Files that stages write: tables, digests, manifests, and the folders that hold them."""
