"""Who calls: tokens, issuers' keys, and the record of refusals."""
