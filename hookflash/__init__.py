"""hookflash: attended transfer for any phone."""
